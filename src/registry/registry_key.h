/* Keys: a name of a namespace, hashed once a call and compared as words.
 *
 * A name of up to 16 bytes is held in two words with zeroes behind it, as its row holds it (names have no NUL
 * inside), and hashed by a folded multiplication with secret seeds; a longer one by XXH3.
 * Threads: any. Memory: none. */
#ifndef REGISTRY_REGISTRY_KEY_H
#define REGISTRY_REGISTRY_KEY_H

#include "registry/registry_private.h"

static inline uint64_t key_load64(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}
static inline uint64_t key_load32(const char *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}
static inline uint64_t key_fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
static inline uint64_t key_hash_short(const struct registry *registry, uint32_t namespace_id,
                                      struct key_words words) {
    uint64_t salt = registry->seeds[1] + namespace_id * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = key_fold(words.low ^ registry->seeds[0], words.high ^ salt);
    /* One multiplication more: the fold alone leaves the patterns of names that count up. */
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* Of a short name. Loads do not leave it, and overlap rather than branch on each length. */
static inline struct key_words key_words(const char *name, size_t length) {
    if (__builtin_expect(length == ROW_SHORT, 1)) {
        return (struct key_words){key_load64(name), key_load64(name + 8)};
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (length > 8) {
        return (struct key_words){key_load64(name),
                                  key_load64(name + length - 8) >> 8 * (ROW_SHORT - length)};
    }
    if (length >= 4) {
        return (struct key_words){key_load32(name) | key_load32(name + length - 4) << 8 * (length - 4), 0};
    }
    uint64_t word = (unsigned char)name[0];
    word |= length > 1 ? (uint64_t)(unsigned char)name[1] << 8 : 0;
    word |= length > 2 ? (uint64_t)(unsigned char)name[2] << 16 : 0;
    return (struct key_words){word, 0};
#else
    char bytes[ROW_SHORT] = {0};
    memcpy(bytes, name, length);
    return (struct key_words){key_load64(bytes), key_load64(bytes + 8)};
#endif
}

static inline bool key_short(size_t length) {
    return length - 1 < ROW_SHORT;
}

static inline uint32_t key_check(uint32_t namespace_id, size_t length) {
    return namespace_id << 8 | (uint32_t)length;
}

/* False: no name has that length. */
static inline bool key_make(const struct registry *registry, uint32_t namespace_id, const char *name,
                            size_t length, struct key *ret_key) {
    ret_key->name = name;
    ret_key->length = (uint32_t)length;
    ret_key->check = key_check(namespace_id, length);
    ret_key->words = (struct key_words){0, 0};
    ret_key->hash = 0;
    if (__builtin_expect(key_short(length), 1)) {
        ret_key->words = key_words(name, length);
        ret_key->hash = key_hash_short(registry, namespace_id, ret_key->words);
        return true;
    }
    if (length == 0 || length > REGISTRY_NAME_MAX) {
        return false;
    }
    ret_key->hash = hash_bytes(name, length, registry->seeds[2] + namespace_id);
    return true;
}

static inline bool key_is_short(struct key_words words, uint32_t check, const struct registry_row *row,
                                uint64_t state) {
    return ((key_load64(row->name) ^ words.low) | (key_load64(row->name + 8) ^ words.high) |
            (state >> 48 ^ check)) == 0;
}

/* The row, whose state this is, is the key's. */
static inline bool key_is(const struct key *key, const struct registry_row *row, uint64_t state) {
    if (__builtin_expect(key->length <= ROW_SHORT, 1)) {
        return key_is_short(key->words, key->check, row, state);
    }
    return state >> 48 == key->check && memcmp(row->name, key->name, key->length) == 0;
}

static inline uint64_t row_hash(const struct registry *registry, const struct registry_row *row) {
    uint64_t state = row_state(row);
    uint32_t length = state_length(state);
    if (length <= ROW_SHORT) {
        struct key_words words = {key_load64(row->name), key_load64(row->name + 8)};
        return key_hash_short(registry, state_namespace(state), words);
    }
    return hash_bytes(row->name, length, registry->seeds[2] + state_namespace(state));
}

#endif
