/* Look-ups, and what they count.
 *
 * The budget of registry_get for a name of up to 16 bytes that is there, none of it shared with a writer of
 * other rows: two cache lines that depend on the key (its bucket, its row); three that do not and stay in L1
 * (the registry's first line, the partition's, the table's), a few more of the chunk directory; no atomic
 * read-modify-write, no fence on x86-64; one store, to the thread's own counters. Branches that go wrong: a tag
 * that fits another row (1 in 3,300), a row put past its bucket (1 in 20 just before a table grows) or gone on to
 * the next table, nothing else, so the processor works on the next look-ups while it waits for this one's lines.
 * Threads: any reader. Memory: none. */
#include "registry/registry_key.h"

#define BATCH 32U

/* ---- one ---- */

static inline uint64_t bucket_slots(const struct bucket *bucket, uint32_t tag) {
    /* Acquire pairs with bucket_tag and bucket_count_past. */
    uint64_t word0 = atomic_load_explicit(&bucket->tags[0], memory_order_acquire);
    uint64_t word1 = atomic_load_explicit(&bucket->tags[1], memory_order_acquire);
    uint64_t word2 = atomic_load_explicit(&bucket->tags[2], memory_order_acquire);
    return slots_equal(word0, word1, word2, tag);
}

/* After bucket_slots: pairs with bucket_count_past. */
static inline uint64_t bucket_passed(const struct bucket *bucket) {
    return atomic_load_explicit(&bucket->tags[2], memory_order_acquire) >> SLOT_PAST;
}

static inline const struct registry_row *ref_row(const struct registry *registry, const struct bucket *bucket,
                                                 unsigned slot) {
    /* Acquire pairs with bucket_ref. The directory is loaded after it, so that it has the ref's chunk. */
    row_ref ref = atomic_load_explicit(&bucket->refs[slot], memory_order_acquire);
    return directory_row(atomic_load_explicit(&registry->directory, memory_order_acquire), ref);
}

static const struct registry_row *table_get(const struct registry *registry, const struct table *table,
                                            const struct key *key, uint64_t *ret_state) {
    uint64_t at = hash_bucket(key->hash, table->count);
    for (uint64_t probed = 0; probed < table->count; probed++) {
        const struct bucket *bucket = &table->buckets[at];
        for (uint64_t slots = bucket_slots(bucket, hash_tag(key->hash)); slots != 0; slots &= slots - 1) {
            const struct registry_row *row = ref_row(registry, bucket, (unsigned)__builtin_ctzll(slots));
            uint64_t state = row_state(row);
            if (key_is(key, row, state)) {
                *ret_state = state;
                return row;
            }
        }
        if (bucket_passed(bucket) == 0) {
            return NULL;
        }
        at = at + 1 == table->count ? 0 : at + 1;
    }
    return NULL;
}

static inline const struct table *table_of(const struct registry *registry, uint64_t hash) {
    /* Acquire pairs with table_migrate. */
    return atomic_load_explicit(&registry->tables[hash_partition(registry, hash)], memory_order_acquire);
}

static const struct registry_row *key_get(const struct registry *registry, const struct key *key,
                                          uint64_t now_ns) {
    const struct table *table = table_of(registry, key->hash);
    const struct registry_row *row;
    uint64_t state = STATE_PLAIN;
    do {
        row = table_get(registry, table, key, &state);
    } while (row == NULL &&
             (table = atomic_load_explicit(&table->next, memory_order_acquire)) != NULL); /* table_extend */
    return state_expired(state, now_ns) ? NULL : row;
}

/* Whatever is not the common case; counts nothing. */
static __attribute__((noinline)) const struct registry_row *get_slow(const struct registry *registry,
                                                                     registry_space space, const char *name,
                                                                     size_t length, uint64_t now_ns) {
    struct key key;
    return key_make(registry, space, name, length, &key) ? key_get(registry, &key, now_ns) : NULL;
}

/* The same, of a name of up to 16 bytes, in the bucket of its own of one table, without a lease. NULL: *ret_sure says
 * whether it is known not to be there. Inlined, without a loop, so that nothing is put on the stack. */
static inline const struct registry_row *get_home(const struct registry *registry, registry_space space,
                                                  const char *name, size_t length, bool *ret_sure) {
    struct key_words words = key_words(name, length);
    uint64_t hash = key_hash_short(registry, space, words);
    const struct table *table = table_of(registry, hash);
    const struct bucket *bucket = &table->buckets[hash_bucket(hash, table->count)];
    uint64_t slots = bucket_slots(bucket, hash_tag(hash));
    if (__builtin_expect(slots != 0, 1)) {
        const struct registry_row *row = ref_row(registry, bucket, (unsigned)__builtin_ctzll(slots));
        uint64_t state = row_state(row);
        bool is = key_is_short(words, key_check(space, length), row, state);
        *ret_sure = false;
        return __builtin_expect(is && (state & STATE_PLAIN) != 0, 1) ? row : NULL;
    }
    *ret_sure = bucket_passed(bucket) == 0 &&
                atomic_load_explicit(&table->next, memory_order_acquire) == NULL; /* table_extend */
    return NULL;
}

/* Counted already, but for a miss. */
static __attribute__((noinline)) const struct registry_row *get_rest(const struct registry *registry,
                                                                     registry_space space, const char *name,
                                                                     size_t length, uint64_t now_ns) {
    const struct registry_row *row = get_slow(registry, space, name, length, now_ns);
    if (row == NULL) {
        lookups_add(registry, 0, 1);
    }
    return row;
}

static __attribute__((noinline)) const struct registry_row *get_missed(const struct registry *registry) {
    counted(&lookups_at(registry, lookups_place)->missed, 1); /* ours */
    return NULL;
}

/* Of a thread that has no counters of its own, or with the time it takes. */
static __attribute__((noinline)) const struct registry_row *get_timed(const struct registry *registry,
                                                                      registry_space space, const char *name,
                                                                      size_t length, uint64_t now_ns) {
    bool sure = false;
    uint64_t began = env_ticks(registry->env);
    const struct registry_row *row =
        key_short(length) ? get_home(registry, space, name, length, &sure) : NULL;
    row = sure || row != NULL ? row : get_slow(registry, space, name, length, now_ns);
    uint64_t took = env_ticks(registry->env) - began;
    if (lookups_add(registry, 1, row == NULL) % TIMED_EVERY == 0) {
        lookups_took(registry, row != NULL ? LOOKUP_HIT : LOOKUP_MISSED, took);
    }
    return row;
}

/* Each call is the last thing that is done, so that nothing is kept across one. */
const struct registry_row *registry_get(struct registry *registry, registry_space space, const char *name,
                                        size_t length, uint64_t now_ns) {
    struct lookups *mine = lookups_at(registry, lookups_place);
    uint64_t all = atomic_load_explicit(&mine->all, memory_order_relaxed) + 1; /* ours, or nobody's */
    if (__builtin_expect(all % TIMED_EVERY == 0, 0)) {
        return get_timed(registry, space, name, length, now_ns);
    }
    atomic_store_explicit(&mine->all, all, memory_order_relaxed); /* ours */
    if (__builtin_expect(!key_short(length), 0)) {
        return get_rest(registry, space, name, length, now_ns);
    }
    bool sure;
    const struct registry_row *row = get_home(registry, space, name, length, &sure);
    if (__builtin_expect(row != NULL, 1)) {
        return row;
    }
    return sure ? get_missed(registry) : get_rest(registry, space, name, length, now_ns);
}

const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name, uint64_t now_ns) {
    const struct namespace *in = namespace_find(registry, name_space);
    const struct registry_row *row = NULL;
    bool sure = in == NULL;
    size_t length = strlen(name);
    if (in != NULL && key_short(length)) {
        row = get_home(registry, in->id, name, length, &sure);
    }
    if (row == NULL && !sure) {
        row = get_slow(registry, in->id, name, length, now_ns);
    }
    if (row != NULL && !actor_alive(registry->runtime, row->actor)) {
        row = NULL;
    }
    row_read(registry, row);
    lookups_add(registry, 1, row == NULL);
    return row;
}

/* ---- batches: all buckets are fetched, then all rows, then compared ---- */

struct batch_key {
    const struct bucket *bucket; /* NULL: looked up alone */
    struct key_words words;
    uint32_t tag, check;
};

static inline void batch_begin(const struct registry *registry, registry_space space,
                               const struct registry_name *name, struct batch_key *ret_key) {
    ret_key->bucket = NULL;
    if (__builtin_expect(key_short(name->length), 1)) {
        struct key_words words = key_words(name->bytes, name->length);
        uint64_t hash = key_hash_short(registry, space, words);
        const struct table *table = table_of(registry, hash);
        ret_key->bucket = &table->buckets[hash_bucket(hash, table->count)];
        ret_key->words = words;
        ret_key->tag = hash_tag(hash);
        ret_key->check = key_check(space, name->length);
        __builtin_prefetch(ret_key->bucket);
    }
}

/* The row that a key's tag points to: the comparison decides. NULL: look again. */
static inline const struct registry_row *batch_likely(const struct registry *registry,
                                                      const struct batch_key *key) {
    uint64_t slots = key->bucket != NULL ? bucket_slots(key->bucket, key->tag) : 0;
    if (__builtin_expect(slots == 0, 0)) {
        return NULL;
    }
    const struct registry_row *row = ref_row(registry, key->bucket, (unsigned)__builtin_ctzll(slots));
    __builtin_prefetch(row);
    return row;
}

static size_t batch_some(const struct registry *registry, registry_space space,
                         const struct registry_name *names, size_t count, uint64_t now_ns,
                         const struct registry_row **ret_rows) {
    struct batch_key keys[BATCH] NOT_CLEARED;
    size_t hits = 0;
    for (size_t at = 0; at < count; at++) {
        batch_begin(registry, space, &names[at], &keys[at]);
    }
    for (size_t at = 0; at < count; at++) {
        ret_rows[at] = batch_likely(registry, &keys[at]);
    }
    for (size_t at = 0; at < count; at++) {
        const struct registry_row *row = ret_rows[at];
        if (__builtin_expect(row != NULL, 1)) {
            uint64_t state = row_state(row);
            if (__builtin_expect(key_is_short(keys[at].words, keys[at].check, row, state), 1) &&
                __builtin_expect((state & STATE_PLAIN) != 0, 1)) {
                hits++;
                continue;
            }
        }
        ret_rows[at] = get_slow(registry, space, names[at].bytes, names[at].length, now_ns);
        hits += ret_rows[at] != NULL;
    }
    return hits;
}

size_t registry_get_batch(struct registry *registry, registry_space space, const struct registry_name *names,
                          size_t count, uint64_t now_ns, const struct registry_row **ret_rows) {
    size_t hits = 0;
    for (size_t first = 0; first < count; first += BATCH) {
        size_t some = count - first < BATCH ? count - first : BATCH;
        hits += batch_some(registry, space, names + first, some, now_ns, ret_rows + first);
    }
    lookups_add(registry, count, count - hits);
    return hits;
}

size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows) {
    const struct namespace *in = namespace_find(registry, name_space);
    struct registry_name some[BATCH] NOT_CLEARED;
    size_t hits = 0;
    if (in == NULL) {
        memset(ret_rows, 0, count * sizeof *ret_rows);
        lookups_add(registry, count, count);
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
            row_read(registry, ret_rows[at]);
        }
        hits -= dead;
    }
    return hits;
}
