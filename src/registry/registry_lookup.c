/* Look-ups, and what they count.
 *
 * The budget of registry_get for a name of up to 16 bytes that is there, none of it shared with a writer of
 * other rows: two cache lines that depend on the key (its bucket, its row); three that do not and stay in L1
 * (the registry's first line, the partition's, the table's), a few more of the chunk directory; no atomic
 * read-modify-write, no fence on x86-64; one store, to the thread's own counters. Branches that go wrong: a tag
 * that fits another row (1 in 3,300), a row put past its bucket (1 in 20 just before a table grows), nothing
 * else, so the processor works on the next look-ups while it waits for this one's lines.
 * Threads: any reader. Memory: none. */
#include "registry/registry_key.h"

#define BATCH 32U

/* A thread's counters: its own cache line for the first COUNTERS - 1 threads of the process. */
static struct lookups *lookups_mine(const struct registry *registry, bool *ret_shared) {
    static _Atomic unsigned threads;
    static _Thread_local unsigned number __attribute__((tls_model("initial-exec")));
    if (__builtin_expect(number == 0, 0)) {
        number = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed); /* a number, no order */
    }
    *ret_shared = number >= COUNTERS;
    return &registry->lookups[*ret_shared ? COUNTERS - 1 : number - 1];
}

static inline void lookups_count(const struct registry *registry, size_t hits, size_t misses) {
    bool shared;
    struct lookups *mine = lookups_mine(registry, &shared);
    if (__builtin_expect(shared, 0)) {
        atomic_fetch_add_explicit(&mine->hit, hits, memory_order_relaxed);      /* statistics */
        atomic_fetch_add_explicit(&mine->missed, misses, memory_order_relaxed); /* statistics */
        return;
    }
    if (hits != 0) {
        counted(&mine->hit, hits);
    }
    if (misses != 0) {
        counted(&mine->missed, misses);
    }
}

static inline uint64_t bucket_slots(const struct bucket *bucket, uint64_t pattern, uint64_t *ret_past) {
    /* Acquire pairs with bucket_tag and bucket_count_past. */
    const uint64_t words[3] = {atomic_load_explicit(&bucket->tags[0], memory_order_acquire),
                               atomic_load_explicit(&bucket->tags[1], memory_order_acquire),
                               atomic_load_explicit(&bucket->tags[2], memory_order_acquire)};
    *ret_past = words[2] >> SLOT_PAST;
    return slots_equal(words, pattern);
}

static inline const struct registry_row *ref_row(const struct registry *registry, const struct bucket *bucket,
                                                 unsigned slot) {
    /* Acquire pairs with bucket_ref. The directory is loaded after it, so that it has the ref's chunk. */
    row_ref ref = atomic_load_explicit(&bucket->refs[slot], memory_order_acquire);
    return directory_row(atomic_load_explicit(&registry->directory, memory_order_acquire), ref);
}

static inline const struct registry_row *table_get(const struct registry *registry, const struct table *table,
                                                   const struct key *key, uint64_t *ret_state) {
    uint64_t pattern = hash_pattern(key->hash), at = hash_bucket(key->hash, table->count), past;
    for (uint64_t probed = 0; probed < table->count; probed++) {
        const struct bucket *bucket = &table->buckets[at];
        for (uint64_t slots = bucket_slots(bucket, pattern, &past); slots != 0; slots &= slots - 1) {
            const struct registry_row *row = ref_row(registry, bucket, slots_first(slots));
            uint64_t state = row_state(row);
            if (__builtin_expect(key_is(key, row, state), 1)) {
                *ret_state = state;
                return row;
            }
        }
        if (__builtin_expect(past == 0, 1)) {
            return NULL;
        }
        at = at + 1 == table->count ? 0 : at + 1;
    }
    return NULL;
}

static inline const struct table *table_of(const struct registry *registry, uint64_t hash) {
    /* Acquire pairs with table_migrate. */
    return atomic_load_explicit(&partition_of(registry, hash)->table, memory_order_acquire);
}

static inline const struct registry_row *key_get(const struct registry *registry, const struct key *key,
                                                 uint64_t now_ns) {
    const struct table *table = table_of(registry, key->hash);
    const struct registry_row *row;
    uint64_t state = STATE_PLAIN;
    do {
        row = table_get(registry, table, key, &state);
    } while (__builtin_expect(row == NULL, 0) &&
             (table = atomic_load_explicit(&table->next, memory_order_acquire)) != NULL); /* table_extend */
    if (__builtin_expect((state & STATE_PLAIN) == 0, 0) && state_expired(state, now_ns)) {
        return NULL;
    }
    return row;
}

const struct registry_row *registry_get(struct registry *registry, registry_space space, const char *name,
                                        size_t length, uint64_t now_ns) {
    struct key key;
    const struct registry_row *row =
        key_make(registry, space, name, length, &key) ? key_get(registry, &key, now_ns) : NULL;
    lookups_count(registry, row != NULL, row == NULL);
    return row;
}

const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name, uint64_t now_ns) {
    const struct namespace *in = namespace_find(registry, name_space);
    const struct registry_row *row = NULL;
    struct key key;
    if (in != NULL && key_make(registry, in->id, name, strlen(name), &key)) {
        row = key_get(registry, &key, now_ns);
    }
    if (row != NULL && !actor_alive(registry->runtime, row->actor)) {
        row = NULL;
    }
    lookups_count(registry, row != NULL, row == NULL);
    return row;
}

/* ---- batches: all buckets are fetched, then all rows, then compared ---- */

static void batch_some(const struct registry *registry, struct key *keys, const bool *good, size_t count,
                       uint64_t now_ns, const struct registry_row **ret_rows) {
    const struct registry_row *likely[BATCH];
    for (size_t at = 0; at < count; at++) {
        const struct table *table = table_of(registry, keys[at].hash);
        const struct bucket *bucket = &table->buckets[hash_bucket(keys[at].hash, table->count)];
        uint64_t past, slots = bucket_slots(bucket, hash_pattern(keys[at].hash), &past);
        likely[at] = NULL;
        if (__builtin_expect(slots != 0 && good[at], 1)) {
            likely[at] = ref_row(registry, bucket, slots_first(slots));
            __builtin_prefetch(likely[at]);
        }
    }
    for (size_t at = 0; at < count; at++) {
        uint64_t state;
        if (__builtin_expect(likely[at] != NULL, 1) &&
            __builtin_expect(key_is(&keys[at], likely[at], state = row_state(likely[at])), 1)) {
            bool expired = (state & STATE_PLAIN) == 0 && state_expired(state, now_ns);
            ret_rows[at] = expired ? NULL : likely[at];
        } else {
            ret_rows[at] = good[at] ? key_get(registry, &keys[at], now_ns) : NULL;
        }
    }
}

static inline void bucket_prefetch(const struct registry *registry, uint64_t hash) {
    const struct table *table = table_of(registry, hash);
    __builtin_prefetch(&table->buckets[hash_bucket(hash, table->count)]);
}

size_t registry_get_batch(struct registry *registry, registry_space space, const struct registry_name *names,
                          size_t count, uint64_t now_ns, const struct registry_row **ret_rows) {
    struct key keys[BATCH];
    bool good[BATCH];
    size_t hits = 0;
    for (size_t first = 0; first < count; first += BATCH) {
        size_t some = count - first < BATCH ? count - first : BATCH;
        for (size_t at = 0; at < some; at++) {
            good[at] =
                key_make(registry, space, names[first + at].bytes, names[first + at].length, &keys[at]);
            bucket_prefetch(registry, keys[at].hash);
        }
        batch_some(registry, keys, good, some, now_ns, ret_rows + first);
        for (size_t at = 0; at < some; at++) {
            hits += ret_rows[first + at] != NULL;
        }
    }
    lookups_count(registry, hits, count - hits);
    return hits;
}

size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows) {
    const struct namespace *in = namespace_find(registry, name_space);
    struct registry_name some[BATCH];
    size_t hits = 0;
    if (in == NULL) {
        memset(ret_rows, 0, count * sizeof *ret_rows);
        lookups_count(registry, 0, count);
        return 0;
    }
    for (size_t first = 0; first < count; first += BATCH) {
        size_t most = count - first < BATCH ? count - first : BATCH, dead = 0;
        for (size_t at = 0; at < most; at++) {
            some[at] = (struct registry_name){names[first + at], strlen(names[first + at])};
        }
        hits += registry_get_batch(registry, in->id, some, most, now_ns, ret_rows + first);
        for (size_t at = first; at < first + most; at++) {
            if (ret_rows[at] != NULL && !actor_alive(registry->runtime, ret_rows[at]->actor)) {
                ret_rows[at] = NULL;
                dead++;
            }
        }
        hits -= dead;
    }
    return hits;
}
