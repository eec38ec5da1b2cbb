/* Compaction: tables that hold far fewer rows than they have room for are replaced by smaller ones.
 *
 * Threads: any; readers and writers go on: a partition's lock is held for two buckets at a time.
 * Memory: the larger table is retired. Chunks are kept: their units are used again. */
#include "registry/registry_private.h"

/* Takes over `table` if it is still wanted: then it is NULL. */
static void compact_begin(struct partition *partition, uint64_t buckets, struct table **table) {
    spin_lock(&partition->lock);
    if (!table_moving(partition) && table_sparse(partition) && table_buckets_next(partition) <= buckets) {
        table_extend(partition, *table);
        *table = NULL;
    }
    spin_unlock(&partition->lock);
}

static void compact_move(struct registry *registry, struct partition *partition) {
    bool moving = true;
    while (moving) {
        spin_lock(&partition->lock);
        struct table *emptied = table_migrate(registry, partition);
        moving = table_moving(partition);
        spin_unlock(&partition->lock);
        table_retire(registry, emptied);
    }
}

enum troupe_error registry_compact(struct registry *registry) {
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        spin_lock(&partition->lock);
        bool wanted = !table_moving(partition) && table_sparse(partition);
        uint64_t buckets = wanted ? table_buckets_next(partition) : 0;
        spin_unlock(&partition->lock);
        if (!wanted) {
            continue;
        }
        struct table *table = table_new(registry->account, buckets);
        if (table == NULL) {
            return TROUPE_NOMEM;
        }
        compact_begin(partition, buckets, &table);
        memory_free(registry->account, table);
        compact_move(registry, partition);
    }
    return TROUPE_OK;
}
