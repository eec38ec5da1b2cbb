/* Compaction: tables that hold far fewer rows than they have room for are replaced by smaller ones. And the other way
 * round: room is made at once for rows that are about to come, so that they are not moved from table to table.
 *
 * Threads: any; readers and writers go on: a partition's lock is held for a few buckets at a time.
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

/* A few rows. False: no more are to be moved. */
static bool move_some(struct registry *registry, struct partition *partition) {
    spin_lock(&partition->lock);
    struct table *emptied = table_migrate(registry, partition);
    bool moving = table_moving(partition);
    spin_unlock(&partition->lock);
    table_retire(registry, emptied);
    return moving;
}

static void compact_move(struct registry *registry, struct partition *partition) {
    while (move_some(registry, partition)) {
    }
}

bool registry_move_some(struct registry *registry, unsigned steps) {
    for (uint32_t at = 0; at <= registry->partition_mask && steps > 0; at++) {
        while (steps > 0 && move_some(registry, &registry->partitions[at])) {
            steps--;
        }
    }
    return steps == 0;
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

enum troupe_error registry_reserve(struct registry *registry, size_t rows) {
    size_t most = rows < registry->rows_max ? rows : registry->rows_max;
    size_t share = most / (registry->partition_mask + (size_t)1);
    share += share / 16 + 32; /* hashes do not share out evenly */
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        compact_move(registry, partition); /* one that is under way ends first */
        spin_lock(&partition->lock);
        uint64_t buckets = table_moving(partition) ? 0 : table_buckets_for(partition, share);
        spin_unlock(&partition->lock);
        if (buckets == 0) {
            continue;
        }
        struct table *table = table_new(registry->account, buckets);
        if (table == NULL) {
            return TROUPE_NOMEM;
        }
        spin_lock(&partition->lock);
        /* What was put meanwhile must find room, and so must all that is moved (table_buckets_next). */
        bool still = !table_moving(partition) && table_buckets_next(partition) <= buckets;
        if (still) {
            table_extend(partition, table);
        }
        spin_unlock(&partition->lock);
        if (still) {
            compact_move(registry, partition);
        } else {
            memory_free(registry->account, table);
        }
    }
    return TROUPE_OK;
}
