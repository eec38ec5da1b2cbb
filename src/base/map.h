/* Open-addressing hash maps from text or uint64 keys to pointers. Not thread-safe. Text keys are copied.
 * Iteration order is insertion order (so that it never depends on addresses or seeds); replacing a value
 * keeps its place. While iterating, entries may be removed, not put. A uint64 key never equals a text key. At
 * most 2^30 entries (LIMIT). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/account.h"
#include "base/error.h"

struct map;
MUST_CHECK enum troupe_error map_create(struct account *account, struct map **ret_map);
void map_free(struct map *map);
size_t map_count(const struct map *map);
void *map_get(const struct map *map, const char *key, size_t key_length); /* NULL: absent */
MUST_CHECK enum troupe_error map_put(struct map *map, const char *key, size_t key_length,
                                     void *value);                     /* replaces */
void *map_remove(struct map *map, const char *key, size_t key_length); /* the value, or NULL */
void *map_get_u64(const struct map *map, uint64_t key);
MUST_CHECK enum troupe_error map_put_u64(struct map *map, uint64_t key, void *value);
void *map_remove_u64(struct map *map, uint64_t key);
/* for (size_t at = 0; map_next(map, &at, &key, &length, &value);) ; key_length is 8 for uint64 keys. */
bool map_next(const struct map *map, size_t *at, const char **ret_key, size_t *ret_length, void **ret_value);

#endif
