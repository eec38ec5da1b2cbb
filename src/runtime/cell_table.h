/* A table of fixed-size cells with stable addresses and small indexes: actors, asks and timers live in such
 * cells.
 *
 * Invariants: a cell's memory stays mapped until the table is freed, so a stale index may always be looked
 * at; what a cell means is told by the generation its user keeps inside. At most cells_max cells exist.
 * Threads:    get, put and at: any thread. A cache belongs to one worker.
 * Memory:     segments of CELLS_PER_SEGMENT cells from the account, zeroed at birth, kept until
 * cell_table_free. */
#ifndef RUNTIME_CELL_TABLE_H
#define RUNTIME_CELL_TABLE_H

#include "base/base.h"
#include "runtime/spin.h"

#define CELLS_PER_SEGMENT 256U

struct cell {          /* first member of every cell */
    struct cell *next; /* owner: the free list it is in; while in use: its user's */
    uint32_t index;
    uint32_t second; /* a second link, of its user; in use or not */
};

struct cell_cache { /* owner: one worker */
    struct cell *free;
    unsigned count;
};

struct cell_table {
    struct account *account;
    size_t cell_size;
    uint32_t cells_max;
    unsigned
        cache_max; /* cells a worker may hoard; 0 when the bound is so small that it would be reached by that */
    _Atomic(char *) *segments;
    struct spin lock; /* of the two below */
    struct cell *free;
    uint32_t created;
};

MUST_CHECK enum troupe_error cell_table_init(struct cell_table *table, struct account *account,
                                             size_t cell_size, uint32_t cells_max);
void cell_table_free(struct cell_table *table);
/* From and to the shared list, a batch at a time, or a new segment. */
MUST_CHECK enum troupe_error cell_refill(struct cell_table *table, struct cell_cache *cache,
                                         struct cell **ret_cell);
void cell_return(struct cell_table *table, struct cell_cache *cache, struct cell *cell);

/* LIMIT: cells_max are in use; NOMEM. `cache` may be NULL. */
MUST_CHECK static inline enum troupe_error cell_get(struct cell_table *table, struct cell_cache *cache,
                                                    struct cell **ret_cell) {
    struct cell *cell = cache != NULL ? cache->free : NULL;
    if (__builtin_expect(cell == NULL, 0)) {
        return cell_refill(table, cache, ret_cell);
    }
    cache->free = cell->next;
    cache->count--;
    *ret_cell = cell;
    return TROUPE_OK;
}

static inline void cell_put(struct cell_table *table, struct cell_cache *cache, struct cell *cell) {
    if (__builtin_expect(cache == NULL || cache->count >= table->cache_max, 0)) {
        cell_return(table, cache, cell);
        return;
    }
    cell->next = cache->free;
    cache->free = cell;
    cache->count++;
}
uint32_t cell_table_created(struct cell_table *table); /* indexes below it exist */

/* NULL: no such cell. `size` is the table's, known where this is compiled. */
static inline struct cell *cell_at_sized(const struct cell_table *table, uint32_t index, size_t size) {
    if (__builtin_expect(index >= table->cells_max, 0)) {
        return NULL;
    }
    /* Acquire pairs with the release in segment_add: the segment's zeroes and indexes are seen. */
    char *segment = atomic_load_explicit(&table->segments[index / CELLS_PER_SEGMENT], memory_order_acquire);
    if (__builtin_expect(segment == NULL, 0)) {
        return NULL;
    }
    return (struct cell *)(void *)(segment + (size_t)(index % CELLS_PER_SEGMENT) * size);
}

static inline struct cell *cell_at(const struct cell_table *table, uint32_t index) {
    return cell_at_sized(table, index, table->cell_size);
}

#endif
