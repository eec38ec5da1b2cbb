/* The map: a dense array of entries in insertion order, and an open-addressing index of (tag, entry) over
 * it.
 * Invariants: every live entry is found from its hash by linear probing without passing an empty slot
 *             (removal shifts later slots back, so the index has no tombstones); removed entries stay as
 *             holes in the array until a put runs out of room, which then squeezes them out or doubles. The
 *             index is at most 5/8 full.
 * Threads: one at a time.
 * Memory:  the map owns its copies of text keys; values belong to the caller. */
#include "base/map.h"

#include <string.h>

#include "base/check.h"
#include "base/random.h"

#define SLOTS_FIRST 16
#define SLOTS_MAX (UINT32_C(1) << 31)
#define ENTRIES_MAX (UINT32_C(1) << 30)

struct entry {
    uint64_t hash;
    uint64_t number; /* the key of uint64 entries */
    char *text;      /* the key of text entries, NUL-terminated; NULL for uint64 entries */
    size_t length;
    void *value;
    bool live;
};

struct slot {
    uint32_t tag;   /* upper half of the hash: most mismatches are seen without touching the entry */
    uint32_t entry; /* 1-based; 0: empty */
};

struct map {
    struct account *account;
    struct entry *entries;
    struct slot *slots;
    uint32_t used;     /* entries, holes included */
    uint32_t live;     /* entries without holes */
    uint32_t capacity; /* of entries: 5/8 of the slots */
    uint32_t mask;     /* slots - 1 */
};

/* What is looked for. */
struct key {
    uint64_t hash, number;
    const char *text; /* NULL: the number */
    size_t length;
};

static struct key key_text(const char *text, size_t length) {
    return (struct key){.hash = hash_bytes(text, length, 0), .text = text, .length = length};
}

static struct key key_number(uint64_t number) {
    /* splitmix64's finalizer: a bijection, so distinct numbers differ in the full hash. */
    uint64_t hash = number + UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (struct key){.hash = hash ^ (hash >> 31), .number = number, .length = sizeof(number)};
}

static uint32_t capacity_of(uint32_t slots) {
    return slots / 2 + slots / 8;
}

enum troupe_error map_create(struct account *account, struct map **ret_map) {
    struct map *map = memory_alloc(account, sizeof(*map));
    if (map == NULL)
        return TROUPE_NOMEM;
    map->account = account; /* tables come with the first put: many maps stay empty */
    *ret_map = map;
    return TROUPE_OK;
}

void map_free(struct map *map) {
    if (map == NULL)
        return;
    for (uint32_t i = 0; i < map->used; i++)
        memory_free(map->account, map->entries[i].text);
    memory_free(map->account, map->entries);
    memory_free(map->account, map->slots);
    memory_free(map->account, map);
}

size_t map_count(const struct map *map) {
    return map->live;
}

static bool entry_is(const struct entry *entry, const struct key *key) {
    if (entry->hash != key->hash || entry->length != key->length ||
        (entry->text == NULL) != (key->text == NULL))
        return false;
    return key->text == NULL ? entry->number == key->number
                             : memcmp(entry->text, key->text, key->length) == 0;
}

/* The slot of `key`, or false. */
static bool slot_find(const struct map *map, const struct key *key, uint32_t *ret_slot) {
    if (map->live == 0)
        return false;
    uint32_t tag = (uint32_t)(key->hash >> 32);
    for (uint32_t at = (uint32_t)key->hash & map->mask; map->slots[at].entry != 0; at = (at + 1) & map->mask)
        if (map->slots[at].tag == tag && entry_is(&map->entries[map->slots[at].entry - 1], key)) {
            *ret_slot = at;
            return true;
        }
    return false;
}

static void slot_add(struct slot *slots, uint32_t mask, uint64_t hash, uint32_t entry) {
    uint32_t at = (uint32_t)hash & mask;
    while (slots[at].entry != 0)
        at = (at + 1) & mask;
    slots[at] = (struct slot){.tag = (uint32_t)(hash >> 32), .entry = entry};
}

/* Moves live entries down over the holes and rebuilds the index in place; cannot fail. */
static void map_squeeze(struct map *map) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->used; i++)
        if (map->entries[i].live)
            map->entries[kept++] = map->entries[i];
    CHECK(kept == map->live);
    memset(map->entries + kept, 0, (map->used - kept) * sizeof(*map->entries));
    map->used = kept;
    memset(map->slots, 0, ((size_t)map->mask + 1) * sizeof(*map->slots));
    for (uint32_t i = 0; i < kept; i++)
        slot_add(map->slots, map->mask, map->entries[i].hash, i + 1);
}

/* Room for one more entry. On failure the map is as it was. */
static enum troupe_error map_room(struct map *map) {
    if (map->used < map->capacity)
        return TROUPE_OK;
    if (map->live >= ENTRIES_MAX)
        return TROUPE_LIMIT;
    /* A quarter of holes pays for the squeeze; fewer, and squeezes could come one after the other. */
    if (map->capacity > 0 && map->live <= map->capacity - map->capacity / 4) {
        map_squeeze(map);
        return TROUPE_OK;
    }
    uint32_t slot_count = map->capacity == 0 ? SLOTS_FIRST : (map->mask + 1) * 2;
    CHECK(slot_count <= SLOTS_MAX);
    struct slot *slots = memory_alloc(map->account, slot_count * sizeof(*slots));
    if (slots == NULL)
        return TROUPE_NOMEM;
    uint32_t capacity = capacity_of(slot_count);
    struct entry *entries = memory_resize(map->account, map->entries, capacity * sizeof(*entries));
    if (entries == NULL) {
        memory_free(map->account, slots);
        return TROUPE_NOMEM;
    }
    memory_free(map->account, map->slots);
    map->entries = entries;
    map->slots = slots;
    map->capacity = capacity;
    map->mask = slot_count - 1;
    map_squeeze(map);
    return TROUPE_OK;
}

static void *get(const struct map *map, struct key key) {
    uint32_t at;
    return slot_find(map, &key, &at) ? map->entries[map->slots[at].entry - 1].value : NULL;
}

static enum troupe_error put(struct map *map, struct key key, void *value) {
    uint32_t at;
    if (slot_find(map, &key, &at)) {
        map->entries[map->slots[at].entry - 1].value = value;
        return TROUPE_OK;
    }
    enum troupe_error error = map_room(map);
    if (error != TROUPE_OK)
        return error;
    char *text = NULL;
    if (key.text != NULL) {
        text = memory_alloc(map->account, key.length + 1);
        if (text == NULL)
            return TROUPE_NOMEM;
        memcpy(text, key.text, key.length);
    }
    map->entries[map->used] = (struct entry){.hash = key.hash,
                                             .number = key.number,
                                             .text = text,
                                             .length = key.length,
                                             .value = value,
                                             .live = true};
    map->used++;
    map->live++;
    slot_add(map->slots, map->mask, key.hash, map->used);
    return TROUPE_OK;
}

static void *remove_key(struct map *map, struct key key) {
    uint32_t at;
    if (!slot_find(map, &key, &at))
        return NULL;
    uint32_t entry_at = map->slots[at].entry - 1;
    struct entry *entry = &map->entries[entry_at];
    void *value = entry->value;
    memory_free(map->account, entry->text);
    memset(entry, 0, sizeof(*entry));
    map->live--;
    if (entry_at + 1 == map->used)
        map->used--; /* the newest: no hole left behind, so a stack of keys never squeezes */
    /* Shift back every later slot of the run that may live where the hole is. */
    uint32_t hole = at;
    for (uint32_t next = (at + 1) & map->mask; map->slots[next].entry != 0; next = (next + 1) & map->mask) {
        uint32_t home = (uint32_t)map->entries[map->slots[next].entry - 1].hash & map->mask;
        if (((next - home) & map->mask) >= ((next - hole) & map->mask)) {
            map->slots[hole] = map->slots[next];
            hole = next;
        }
    }
    map->slots[hole] = (struct slot){0};
    return value;
}

void *map_get(const struct map *map, const char *key, size_t key_length) {
    return get(map, key_text(key, key_length));
}

enum troupe_error map_put(struct map *map, const char *key, size_t key_length, void *value) {
    return put(map, key_text(key, key_length), value);
}

void *map_remove(struct map *map, const char *key, size_t key_length) {
    return remove_key(map, key_text(key, key_length));
}

void *map_get_u64(const struct map *map, uint64_t key) {
    return get(map, key_number(key));
}

enum troupe_error map_put_u64(struct map *map, uint64_t key, void *value) {
    return put(map, key_number(key), value);
}

void *map_remove_u64(struct map *map, uint64_t key) {
    return remove_key(map, key_number(key));
}

bool map_next(const struct map *map, size_t *at, const char **ret_key, size_t *ret_length, void **ret_value) {
    for (; *at < map->used; (*at)++) {
        const struct entry *entry = &map->entries[*at];
        if (!entry->live)
            continue;
        if (ret_key != NULL)
            *ret_key = entry->text == NULL ? (const char *)&entry->number : entry->text;
        if (ret_length != NULL)
            *ret_length = entry->length;
        if (ret_value != NULL)
            *ret_value = entry->value;
        (*at)++;
        return true;
    }
    return false;
}
