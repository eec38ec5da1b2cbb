/* Buckets as writers see them: their slots, and which table is which. Readers: registry_lookup.c; what is promised to
 * them: registry_table.c.
 *
 * Threads: the partition's lock. Memory: none. */
#ifndef REGISTRY_REGISTRY_BUCKET_H
#define REGISTRY_REGISTRY_BUCKET_H

#include "registry/registry_private.h"

static inline struct table *table_next(const struct table *table) {
    return atomic_load_explicit(&table->next, memory_order_relaxed); /* written under our lock */
}

static inline struct table *table_oldest(const struct partition *partition) {
    return atomic_load_explicit(partition->table, memory_order_relaxed); /* written under our lock */
}

static inline struct table *table_newest(const struct partition *partition) {
    struct table *table = table_oldest(partition), *next = table_next(table);
    return next != NULL ? next : table;
}

/* ---- buckets; all under our lock, so loads are relaxed ---- */

static inline uint64_t bucket_word(const struct bucket *bucket, unsigned word) {
    return atomic_load_explicit(&bucket->tags[word], memory_order_relaxed);
}

static inline uint64_t bucket_past(const struct bucket *bucket) {
    return bucket_word(bucket, 2) >> SLOT_PAST;
}

static inline void bucket_count_past(struct bucket *bucket, uint64_t by) {
    /* Release: pairs with the acquire of lookups, as the tags do. */
    atomic_store_explicit(&bucket->tags[2], bucket_word(bucket, 2) + (by << SLOT_PAST), memory_order_release);
}

static inline void bucket_tag(struct bucket *bucket, unsigned at, uint64_t tag) {
    uint64_t word = bucket_word(bucket, at / 4), shift = at % 4 * 16;
    word = (word & ~(UINT64_C(0xffff) << shift)) | tag << shift;
    /* Release pairs with the acquire of lookups: they see the ref, and, behind a tag cleared, where its row
     * went. */
    atomic_store_explicit(&bucket->tags[at / 4], word, memory_order_release);
}

static inline void bucket_ref(struct bucket *bucket, unsigned at, row_ref ref) {
    /* Release pairs with the acquire of lookups: they see the row and its chunk in the directory. */
    atomic_store_explicit(&bucket->refs[at], ref, memory_order_release);
}

static inline row_ref ref_at(const struct bucket *bucket, unsigned at) {
    return atomic_load_explicit(&bucket->refs[at], memory_order_relaxed);
}

static inline uint32_t slots_with(const struct bucket *bucket, uint32_t tag) {
    return slots_equal(bucket_word(bucket, 0), bucket_word(bucket, 1), bucket_word(bucket, 2), tag);
}

static inline uint32_t slots_used(const struct bucket *bucket) {
    return slots_with(bucket, 0) ^ SLOTS_ALL;
}

static inline unsigned slots_first(uint32_t slots) {
    return (unsigned)__builtin_ctz(slots);
}

static inline uint64_t table_home(const struct table *table, uint64_t hash) {
    return hash_bucket(hash, table->count);
}

static inline uint64_t bucket_after(const struct table *table, uint64_t bucket) {
    return bucket + 1 == table->count ? 0 : bucket + 1;
}

#endif
