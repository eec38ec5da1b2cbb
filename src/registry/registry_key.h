/* Keys: a name of a namespace, hashed once a call and compared as words.
 *
 * A name of up to 16 bytes is held in two words with zeroes behind it, as its row holds it (names have no NUL
 * inside), and hashed by two folded multiplications with secret seeds; a longer one by XXH3.
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
                                      const uint64_t words[2]) {
    uint64_t hash = key_fold(words[0] ^ registry->seeds[0], words[1] ^ registry->seeds[1]);
    return key_fold(hash ^ registry->seeds[2], UINT64_C(0x9e3779b97f4a7c15) + 2 * (uint64_t)namespace_id);
}
/* In byte order little or big alike: what is loaded is what a row's words load as, when it is filled by
 * key_words too; only the hash differs. */
static inline void key_words(const char *name, size_t length, uint64_t ret_words[2]) {
    if (__builtin_expect(length == ROW_SHORT, 1)) {
        ret_words[0] = key_load64(name);
        ret_words[1] = key_load64(name + 8);
        return;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (length > 8) {
        ret_words[0] = key_load64(name);
        ret_words[1] = key_load64(name + length - 8) >> 8 * (ROW_SHORT - length);
        return;
    }
    if (length >= 4) {
        ret_words[0] = key_load32(name) | key_load32(name + length - 4) << 8 * (length - 4);
        ret_words[1] = 0;
        return;
    }
#endif
    char bytes[ROW_SHORT] = {0};
    memcpy(bytes, name, length);
    ret_words[0] = key_load64(bytes);
    ret_words[1] = key_load64(bytes + 8);
}

/* False: no name has that length. */
static inline bool key_make(const struct registry *registry, uint32_t namespace_id, const char *name,
                            size_t length, struct key *ret_key) {
    ret_key->name = name;
    ret_key->length = (uint32_t)length;
    ret_key->check = namespace_id << 8 | (uint32_t)length;
    if (__builtin_expect(length - 1 < ROW_SHORT, 1)) {
        key_words(name, length, ret_key->words);
        ret_key->hash = key_hash_short(registry, namespace_id, ret_key->words);
        return true;
    }
    ret_key->words[0] = ret_key->words[1] = 0;
    ret_key->hash = 0;
    if (length == 0 || length > REGISTRY_NAME_MAX) {
        return false;
    }
    ret_key->hash = hash_bytes(name, length, registry->seeds[2] + namespace_id);
    return true;
}

/* The row's state when it is the key's. */
static inline bool key_is(const struct key *key, const struct registry_row *row, uint64_t state) {
    if (__builtin_expect(key->length <= ROW_SHORT, 1)) {
        return ((key_load64(row->name) ^ key->words[0]) | (key_load64(row->name + 8) ^ key->words[1]) |
                (state >> 48 ^ key->check)) == 0;
    }
    return state >> 48 == key->check && memcmp(row->name, key->name, key->length) == 0;
}

static inline uint64_t row_hash(const struct registry *registry, const struct registry_row *row) {
    uint64_t state = row_state(row);
    uint32_t length = state_length(state);
    if (length <= ROW_SHORT) {
        uint64_t words[2] = {key_load64(row->name), key_load64(row->name + 8)};
        return key_hash_short(registry, state_namespace(state), words);
    }
    return hash_bytes(row->name, length, registry->seeds[2] + state_namespace(state));
}

#endif
