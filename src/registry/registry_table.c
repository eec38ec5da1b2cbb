/* Tables: buckets of one cache line, {tag:16} x 10, {rows put past it:32}, {ref:32} x 10, in order of the hash.
 *
 * Probing: from the hash's bucket on, bucket by bucket, until one that no row was put past. So a removal just
 *          clears its tag and counts down along the way; there are no tombs.
 * Publishing: a ref is stored before its tag. A reader that has seen a tag and loads a ref that has been
 *          replaced since compares the row, and misses: its key was absent in between.
 * Growth:  a new table becomes `next` of the current one, and each later write moves MIGRATE_BUCKETS buckets
 *          on. A row is put into the new table before its old tag is cleared, and readers go through the
 *          chain from the oldest table to the newest: one that misses the row in the old table (acquire: it
 *          saw the tag cleared, with release, after the insertion) finds it in the new one. A reader that still
 *          stands in a table that has left the chain goes on by its `next`, which never changes again.
 *          When new, the table has room for all rows and for one more per write until the move is over.
 * Threads: table_find and what changes: holders of the partition's lock. Lookups: registry_lookup.c.
 * Memory: a table is one block, retired when empty. */
#include "registry/registry_bucket.h"
#include "registry/registry_key.h"

#define MIGRATE_BUCKETS 8U /* a microsecond of a write; look-ups are slower until all have moved */
#define BUCKETS_MIN 4U
#define WALK_BUCKETS 128U
#define WALK_ROWS 128U

static uint64_t table_limit(uint64_t buckets) {
    return buckets * BUCKET_SLOTS * 21 / 25; /* 84 in 100 */
}

struct table *table_new(struct account *account, uint64_t buckets) {
    size_t bytes = sizeof(struct table) + buckets * sizeof(struct bucket);
    struct table *table = memory_alloc_aligned(account, 64, bytes);
    if (table == NULL) {
        return NULL;
    }
    table->count = buckets;
    table->limit = table_limit(buckets);
    table->bytes = bytes;
    return table;
}

/* ---- slots ---- */

static row_ref table_probe(const struct registry *registry, struct table *table, const struct key *key,
                           struct slot *ret_slot) {
    uint64_t at = table_home(table, key->hash);
    for (uint64_t probed = 0; probed < table->count; probed++, at = bucket_after(table, at)) {
        const struct bucket *bucket = &table->buckets[at];
        for (uint32_t slots = slots_with(bucket, hash_tag(key->hash)); slots != 0; slots &= slots - 1) {
            unsigned slot = slots_first(slots);
            const struct registry_row *row = row_of(registry, ref_at(bucket, slot));
            if (key_is(key, row, row_state(row))) {
                *ret_slot = (struct slot){.table = table, .bucket = at, .at = slot};
                return ref_at(bucket, slot);
            }
        }
        if (bucket_past(bucket) == 0) {
            break;
        }
    }
    return REF_NONE;
}

row_ref table_find(const struct registry *registry, const struct partition *partition, const struct key *key,
                   struct slot *ret_slot) {
    row_ref ref = REF_NONE;
    for (struct table *table = table_oldest(partition); table != NULL && ref == REF_NONE;
         table = table_next(table)) {
        ref = table_probe(registry, table, key, ret_slot);
    }
    return ref;
}

static void table_put(struct table *table, uint64_t hash, row_ref ref) {
    uint64_t at = table_home(table, hash);
    for (uint64_t probed = 0; probed < table->count; probed++, at = bucket_after(table, at)) {
        struct bucket *bucket = &table->buckets[at];
        uint32_t unused = slots_used(bucket) ^ SLOTS_ALL;
        if (unused != 0) {
            unsigned slot = slots_first(unused);
            table->used++;
            bucket_ref(bucket, slot, ref);
            bucket_tag(bucket, slot, hash_tag(hash));
            return;
        }
        bucket_count_past(bucket, 1);
    }
    CHECK(!"a table below its limit has room");
}

void table_insert(struct partition *partition, uint64_t hash, row_ref ref) {
    table_put(table_newest(partition), hash, ref);
}

void table_replace(const struct slot *slot, row_ref ref) {
    bucket_ref(&slot->table->buckets[slot->bucket], slot->at, ref);
}

void table_remove(const struct slot *slot, uint64_t hash) {
    struct table *table = slot->table;
    table->used--;
    bucket_tag(&table->buckets[slot->bucket], slot->at, 0);
    /* After the tag: a reader that no longer goes past has not missed a row that is still there. */
    for (uint64_t at = table_home(table, hash); at != slot->bucket; at = bucket_after(table, at)) {
        bucket_count_past(&table->buckets[at], UINT64_MAX);
    }
}

/* ---- growth ---- */

bool table_full(const struct partition *partition) {
    const struct table *newest = table_newest(partition);
    bool full = newest->used + 1 > newest->limit;
    CHECK(!full || newest == table_oldest(partition)); /* a move ends before its table is full */
    return full;
}

bool table_sparse(const struct partition *partition) {
    const struct table *newest = table_newest(partition);
    return newest->count > BUCKETS_MIN && newest->used < newest->limit / 8;
}

uint64_t table_buckets_next(const struct partition *partition) {
    const struct table *newest = table_newest(partition);
    /* A quarter more, and so many that the move ends in time (see above): it takes a write for MIGRATE_BUCKETS buckets. So
     * a row is moved four times in the long run, and a table is two thirds full at least. */
    uint64_t rows = newest->used + newest->used / 4 + 8,
             least = newest->used + newest->count / MIGRATE_BUCKETS + 2;
    rows = rows < least ? least : rows;
    uint64_t buckets = BUCKETS_MIN;
    while (table_limit(buckets) < rows && buckets < 2 * BUCKETS_MIN) {
        buckets++;
    }
    if (table_limit(buckets) < rows) {
        buckets = rows * 25 / (21 * BUCKET_SLOTS) + 1;
    }
    return buckets;
}

uint64_t table_buckets_for(const struct partition *partition, uint64_t rows) {
    const struct table *newest = table_newest(partition);
    uint64_t buckets = (newest->used + rows) * 25 / (21 * BUCKET_SLOTS) + 2;
    return buckets > newest->count ? buckets : 0;
}

void table_extend(struct partition *partition, struct table *table) {
    struct table *oldest = table_oldest(partition);
    CHECK(table_next(oldest) == NULL);
    /* Release pairs with the acquire of lookups: they see the empty buckets. */
    atomic_store_explicit(&oldest->next, table, memory_order_release);
    counted(&partition->grown, 1);
    counted(&partition->bytes, table->bytes);
}

static void bucket_migrate(struct registry *registry, struct table *from, struct table *to, uint64_t at) {
    struct bucket *bucket = &from->buckets[at];
    for (uint32_t slots = slots_used(bucket); slots != 0; slots &= slots - 1) {
        unsigned slot = slots_first(slots);
        row_ref ref = ref_at(bucket, slot);
        table_put(to, row_hash(registry, row_of(registry, ref)), ref);
        from->used--;
        /* The counts of rows put past the buckets stay as they are: readers look a little further. */
        bucket_tag(bucket, slot, 0);
    }
}

struct table *table_migrate(struct registry *registry, struct partition *partition) {
    struct table *from = table_oldest(partition), *to = table_next(from);
    if (to == NULL) {
        return NULL;
    }
    uint64_t end = from->migrated + MIGRATE_BUCKETS;
    while (from->migrated < from->count && from->migrated < end) {
        bucket_migrate(registry, from, to, from->migrated++);
    }
    if (from->migrated < from->count) {
        return NULL;
    }
    CHECK(from->used == 0);
    /* Release pairs with the acquire of lookups. */
    atomic_store_explicit(partition->table, to, memory_order_release);
    atomic_store_explicit(&partition->buckets, to->count, memory_order_relaxed); /* a hint */
    counted(&partition->bytes, -from->bytes);
    return from;
}

static void table_deferred(void *context, struct grace_node *node) {
    memory_free(context, (char *)node - offsetof(struct table, node));
}

void table_retire(struct registry *registry, struct table *table) {
    if (table != NULL) {
        table->node = (struct grace_node){.fn = table_deferred, .context = registry->account};
        registry_retire(registry, &table->node);
    }
}

/* ---- walking in order of the hash ---- */

struct walk {
    const struct registry *registry;
    uint32_t namespace_id;
    uint64_t from;
    unsigned count;
    struct {
        uint64_t hash;
        row_ref ref;
    } rows[WALK_ROWS]; /* in order */
};

static void walk_add(struct walk *walk, uint64_t hash, row_ref ref) {
    CHECK(walk->count < WALK_ROWS);
    unsigned at = walk->count++;
    for (; at > 0 && walk->rows[at - 1].hash > hash; at--) {
        walk->rows[at] = walk->rows[at - 1];
    }
    walk->rows[at].hash = hash;
    walk->rows[at].ref = ref;
}

/* Adds the rows whose bucket this is, wherever they were put. */
static void walk_bucket(struct walk *walk, const struct table *table, uint64_t home) {
    uint64_t at = home;
    for (uint64_t probed = 0; probed < table->count; probed++, at = bucket_after(table, at)) {
        const struct bucket *bucket = &table->buckets[at];
        for (uint32_t slots = slots_used(bucket); slots != 0; slots &= slots - 1) {
            row_ref ref = ref_at(bucket, slots_first(slots));
            const struct registry_row *row = row_of(walk->registry, ref);
            if (state_namespace(row_state(row)) != walk->namespace_id) {
                continue;
            }
            uint64_t hash = row_hash(walk->registry, row);
            if (hash >= walk->from && table_home(table, hash) == home) {
                walk_add(walk, hash, ref);
            }
        }
        if (bucket_past(bucket) == 0) {
            return;
        }
    }
}

/* All of the table's rows below the hash that is returned; UINT64_MAX: all. */
static uint64_t walk_table(struct walk *walk, const struct table *table, unsigned rows_max) {
    unsigned before = walk->count;
    uint64_t home = table_home(table, walk->from), end = home + WALK_BUCKETS;
    for (; home < table->count && home < end && walk->count - before < rows_max; home++) {
        walk_bucket(walk, table, home);
    }
    return home == table->count ? UINT64_MAX : ((home << 32) + table->count - 1) / table->count << 32;
}

unsigned table_walk(const struct registry *registry, const struct partition *partition, uint32_t namespace_id,
                    uint64_t from, row_ref *ret_refs, unsigned refs_max, uint64_t *ret_next, bool *ret_done) {
    struct walk walk = {.registry = registry, .namespace_id = namespace_id, .from = from};
    uint64_t end = UINT64_MAX;
    unsigned count = 0;
    CHECK(refs_max < WALK_ROWS / 4);
    for (const struct table *table = table_oldest(partition); table != NULL; table = table_next(table)) {
        uint64_t to = walk_table(&walk, table, refs_max);
        end = to < end ? to : end;
    }
    while (count < walk.count && count < refs_max && walk.rows[count].hash < end) {
        ret_refs[count] = walk.rows[count].ref;
        count++;
    }
    *ret_done = end == UINT64_MAX && count == walk.count;
    if (count == walk.count || walk.rows[count].hash >= end) {
        *ret_next = end;
        return count;
    }
    *ret_next = walk.rows[count].hash;
    while (count > 0 && walk.rows[count - 1].hash == *ret_next) {
        count--; /* equal hashes are told together */
    }
    return count;
}
