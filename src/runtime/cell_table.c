/* Cells: see cell_table.h. Workers take and return cells through small caches, CELL_BATCH at a time from the
 * shared list, so that spawn, ask and timer_start usually touch nothing shared. */
#include "runtime/cell_table.h"

#define CELL_BATCH 32U

enum troupe_error cell_table_init(struct cell_table *table, struct account *account, size_t cell_size,
                                  uint32_t cells_max) {
    CHECK(cell_size % 16 == 0 && cells_max > 0);
    size_t segments = (cells_max + CELLS_PER_SEGMENT - 1) / CELLS_PER_SEGMENT;
    *table = (struct cell_table){.account = account, .cell_size = cell_size, .cells_max = cells_max};
    table->cache_max = cells_max >= 65536 ? 2 * CELL_BATCH : 0;
    table->segments = memory_alloc(account, segments * sizeof *table->segments);
    return table->segments == NULL ? TROUPE_NOMEM : TROUPE_OK;
}

void cell_table_free(struct cell_table *table) {
    if (table->segments == NULL) {
        return;
    }
    size_t segments = (table->cells_max + CELLS_PER_SEGMENT - 1) / CELLS_PER_SEGMENT;
    for (size_t at = 0; at < segments; at++) {
        memory_free(table->account,
                    atomic_load_explicit(&table->segments[at], memory_order_relaxed)); /* alone now */
    }
    memory_free(table->account, table->segments);
    table->segments = NULL;
}

/* A new segment for the cells from `created` on. Called without the lock (allocation may take long). */
static enum troupe_error segment_add(struct cell_table *table, uint32_t created) {
    char *segment = memory_alloc_aligned(table->account, 64, CELLS_PER_SEGMENT * table->cell_size);
    if (segment == NULL) {
        return TROUPE_NOMEM;
    }
    for (uint32_t at = 0; at < CELLS_PER_SEGMENT; at++) {
        ((struct cell *)(void *)(segment + at * table->cell_size))->index = created + at;
    }
    char *nobody = NULL;
    /* Release pairs with cell_at's acquire. Somebody else's segment may be there first: use that one. */
    if (!atomic_compare_exchange_strong_explicit(&table->segments[created / CELLS_PER_SEGMENT], &nobody,
                                                 segment, memory_order_release, memory_order_relaxed)) {
        memory_free(table->account, segment);
    }
    return TROUPE_OK;
}

/* Takes up to `wanted` cells, recycled ones first. Returns how many; 0 with *ret_missing: a segment must be
 * added. */
static unsigned cells_take(struct cell_table *table, unsigned wanted, struct cell **ret_list,
                           bool *ret_missing, uint32_t *ret_created) {
    unsigned count = 0;
    struct cell *list = NULL, **end = &list;
    *ret_missing = false;
    spin_lock(&table->lock);
    while (count < wanted && table->free != NULL) {
        *end = table->free;
        end = &table->free->next;
        table->free = table->free->next;
        count++;
    }
    while (count < wanted && table->created < table->cells_max) {
        struct cell *cell = cell_at(table, table->created);
        if (cell == NULL) {
            *ret_missing = count == 0;
            break;
        }
        *end = cell;
        end = &cell->next;
        table->created++;
        count++;
    }
    *ret_created = table->created;
    spin_unlock(&table->lock);
    *end = NULL;
    *ret_list = list;
    return count;
}

enum troupe_error cell_refill(struct cell_table *table, struct cell_cache *cache, struct cell **ret_cell) {
    bool cached = cache != NULL && table->cache_max > 0;
    for (;;) {
        struct cell *list;
        bool missing;
        uint32_t created;
        unsigned count = cells_take(table, cached ? CELL_BATCH : 1, &list, &missing, &created);
        if (count > 0) {
            if (count > 1) {
                cache->free = list->next;
                cache->count = count - 1;
            }
            *ret_cell = list;
            return TROUPE_OK;
        }
        if (!missing) {
            return TROUPE_LIMIT;
        }
        enum troupe_error error = segment_add(table, created);
        if (error != TROUPE_OK) {
            return error;
        }
    }
}

void cell_return(struct cell_table *table, struct cell_cache *cache, struct cell *cell) {
    struct cell *first = cell, *last = cell;
    if (cache != NULL && table->cache_max > 0) { /* full: a batch goes back */
        cell->next = cache->free;
        for (unsigned at = 1; at < CELL_BATCH; at++) {
            last = last->next;
        }
        cache->free = last->next;
        cache->count -= CELL_BATCH - 1;
    }
    spin_lock(&table->lock);
    last->next = table->free;
    table->free = first;
    spin_unlock(&table->lock);
}

uint32_t cell_table_created(struct cell_table *table) {
    spin_lock(&table->lock);
    uint32_t created = table->created;
    spin_unlock(&table->lock);
    return created;
}
