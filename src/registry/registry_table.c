/* Tables: open addressing over buckets of eight slots, one cache line each; a slot is {tag:16, row:48}.
 *
 * Probing: from the hash's bucket on, bucket by bucket, until one that has an empty slot. So a removal empties
 *          its slot when the bucket has another empty one (nothing was ever put past it) and leaves a tomb
 *          otherwise. Used slots and tombs together stay below 3/4, so every probe ends.
 * Growth:  a new table becomes `next` of the current one, and each later write moves MIGRATE_BUCKETS buckets
 *          on. A row is put into the new table before its old slot becomes a tomb, and readers go through the
 *          chain from the oldest table to the newest: one that misses the row in the old table (acquire: it
 *          saw the tomb, stored with release after the insertion) finds it in the new one. A reader that still
 *          stands in a table that has left the chain goes on by its `next`, which never changes again.
 *          When new, the table has room for all rows and for one more per write until the move is over.
 * Threads: table_find and what changes: holders of the partition's lock. Lookups: registry.c.
 * Memory: a table is one block, retired when empty. */
#include "registry/registry_private.h"

#define MIGRATE_BUCKETS 2U
#define BUCKETS_MIN 4U
#define SLOTS_PER_OWNER 4U

struct table *table_new(struct account *account, uint64_t buckets) {
    uint64_t slots = buckets * SLOTS_PER_BUCKET, owners = slots / SLOTS_PER_OWNER;
    size_t bytes = sizeof(struct table) + slots * sizeof(uint64_t) + owners * sizeof(struct registry_row *);
    struct table *table = memory_alloc_aligned(account, 64, bytes);
    if (table == NULL) {
        return NULL;
    }
    table->mask = buckets - 1;
    table->limit = slots / 4 * 3;
    table->owners_mask = owners - 1;
    table->owners = (struct registry_row **)(void *)(table->slots + slots);
    table->bytes = bytes;
    return table;
}

static struct table *table_next(const struct table *table) {
    return atomic_load_explicit(&table->next, memory_order_relaxed); /* written under our lock */
}

static struct table *table_oldest(const struct partition *partition) {
    return atomic_load_explicit(&partition->table, memory_order_relaxed); /* written under our lock */
}

static struct table *table_newest(const struct partition *partition) {
    struct table *table = table_oldest(partition), *next = table_next(table);
    return next != NULL ? next : table;
}

static uint64_t word_at(const struct table *table, uint64_t index) {
    return atomic_load_explicit(&table->slots[index], memory_order_relaxed); /* written under our lock */
}

static void word_put(struct table *table, uint64_t index, uint64_t word) {
    /* Release pairs with the acquire of lookups: they see the whole row, and, behind a tomb, where it went. */
    atomic_store_explicit(&table->slots[index], word, memory_order_release);
}

static uint64_t slot_word(uint64_t hash, const struct registry_row *row) {
    CHECK(((uint64_t)(uintptr_t)row & ~SLOT_POINTER) == 0);
    return hash_tag(hash) | (uint64_t)(uintptr_t)row;
}

/* ---- rows by actor ---- */

static struct registry_row **owner_head(const struct table *table, actor_ref actor) {
    return &table->owners[(actor * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & table->owners_mask];
}

static void owner_link(struct table *table, struct registry_row *row) {
    struct registry_row **head = owner_head(table, row->actor);
    struct row_links *links = row_links(row);
    links->owner_next = *head;
    links->owner_link = head;
    if (*head != NULL) {
        row_links(*head)->owner_link = &links->owner_next;
    }
    *head = row;
}

static void owner_unlink(struct registry_row *row) {
    struct row_links *links = row_links(row);
    *links->owner_link = links->owner_next;
    if (links->owner_next != NULL) {
        row_links(links->owner_next)->owner_link = links->owner_link;
    }
    links->owner_link = NULL;
}

struct registry_row *table_owned(const struct partition *partition, actor_ref actor) {
    for (struct table *table = table_oldest(partition); table != NULL; table = table_next(table)) {
        for (struct registry_row *row = *owner_head(table, actor); row != NULL;
             row = row_links(row)->owner_next) {
            if (row->actor == actor) {
                return row;
            }
        }
    }
    return NULL;
}

/* ---- slots ---- */

static struct registry_row *table_probe(struct table *table, const struct key *key, struct slot *ret_slot) {
    uint64_t bucket = hash_bucket(key->hash) & table->mask, tag = hash_tag(key->hash);
    for (uint64_t probed = 0; probed <= table->mask; probed++, bucket = (bucket + 1) & table->mask) {
        bool empty = false;
        for (uint64_t index = bucket * SLOTS_PER_BUCKET; index < (bucket + 1) * SLOTS_PER_BUCKET; index++) {
            uint64_t word = word_at(table, index);
            if (slot_used(word) && hash_tag(word) == tag && row_is(slot_row(word), key)) {
                *ret_slot = (struct slot){.table = table, .index = index};
                return slot_row(word);
            }
            empty |= word == SLOT_EMPTY;
        }
        if (empty) {
            break;
        }
    }
    return NULL;
}

struct registry_row *table_find(const struct partition *partition, const struct key *key,
                                struct slot *ret_slot) {
    struct registry_row *row = NULL;
    for (struct table *table = table_oldest(partition); table != NULL && row == NULL;
         table = table_next(table)) {
        row = table_probe(table, key, ret_slot);
    }
    return row;
}

static void table_put(struct table *table, uint64_t hash, struct registry_row *row) {
    uint64_t bucket = hash_bucket(hash) & table->mask;
    for (uint64_t probed = 0; probed <= table->mask; probed++, bucket = (bucket + 1) & table->mask) {
        for (uint64_t index = bucket * SLOTS_PER_BUCKET; index < (bucket + 1) * SLOTS_PER_BUCKET; index++) {
            uint64_t word = word_at(table, index);
            if (!slot_used(word)) {
                table->tombs -= word == SLOT_TOMB;
                table->used++;
                owner_link(table, row);
                word_put(table, index, slot_word(hash, row));
                return;
            }
        }
    }
    CHECK(!"a table below its limit has room");
}

static void slot_clear(struct table *table, uint64_t index) {
    uint64_t first = index - index % SLOTS_PER_BUCKET;
    bool empty = false;
    for (uint64_t at = first; at < first + SLOTS_PER_BUCKET; at++) {
        empty |= word_at(table, at) == SLOT_EMPTY;
    }
    table->used--;
    table->tombs += !empty;
    word_put(table, index, empty ? SLOT_EMPTY : SLOT_TOMB);
}

void table_insert(struct partition *partition, uint64_t hash, struct registry_row *row) {
    table_put(table_newest(partition), hash, row);
}

void table_replace(struct slot slot, struct registry_row *old, struct registry_row *row) {
    uint64_t word = word_at(slot.table, slot.index);
    CHECK(slot_row(word) == old);
    owner_unlink(old);
    owner_link(slot.table, row);
    word_put(slot.table, slot.index, slot_word(word, row));
}

void table_remove(struct slot slot, struct registry_row *row) {
    CHECK(slot_row(word_at(slot.table, slot.index)) == row);
    owner_unlink(row);
    slot_clear(slot.table, slot.index);
}

/* ---- growth ---- */

bool table_full(const struct partition *partition) {
    const struct table *newest = table_newest(partition);
    bool full = newest->used + newest->tombs + 1 > newest->limit;
    CHECK(!full || newest == table_oldest(partition)); /* a move ends before its table is full */
    return full;
}

uint64_t table_buckets_next(const struct partition *partition) {
    const struct table *newest = table_newest(partition);
    /* At least twice the rows, and so large that the move ends in time (see above): with C old slots the move
     * takes C/16 writes, and 3/4 of C/4 slots are more than C/8 rows and C/16 new ones. */
    uint64_t slots = 2 * (newest->used + 2), buckets = BUCKETS_MIN;
    if (slots < (newest->mask + 1) * SLOTS_PER_BUCKET / 4) {
        slots = (newest->mask + 1) * SLOTS_PER_BUCKET / 4;
    }
    while (buckets * SLOTS_PER_BUCKET < slots) {
        buckets *= 2;
    }
    return buckets;
}

void table_extend(struct partition *partition, struct table *table) {
    struct table *oldest = table_oldest(partition);
    CHECK(table_next(oldest) == NULL);
    /* Release pairs with the acquire of lookups: they see the empty slots. */
    atomic_store_explicit(&oldest->next, table, memory_order_release);
    counted(&partition->grown, 1);
    counted(&partition->bytes, table->bytes);
}

static void bucket_migrate(struct registry *registry, struct table *from, struct table *to, uint64_t bucket) {
    for (uint64_t index = bucket * SLOTS_PER_BUCKET; index < (bucket + 1) * SLOTS_PER_BUCKET; index++) {
        uint64_t word = word_at(from, index);
        if (slot_used(word)) {
            struct registry_row *row = slot_row(word);
            owner_unlink(row);
            table_put(to, key_hash(registry, row->namespace_id, row->bytes, row->name_length), row);
            slot_clear(from, index);
        }
    }
}

struct table *table_migrate(struct registry *registry, struct partition *partition) {
    struct table *from = table_oldest(partition), *to = table_next(from);
    if (to == NULL) {
        return NULL;
    }
    uint64_t end = from->migrated + MIGRATE_BUCKETS;
    while (from->migrated <= from->mask && from->migrated < end) {
        bucket_migrate(registry, from, to, from->migrated++);
    }
    if (from->migrated <= from->mask) {
        return NULL;
    }
    CHECK(from->used == 0);
    /* Release pairs with the acquire of lookups. */
    atomic_store_explicit(&partition->table, to, memory_order_release);
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
