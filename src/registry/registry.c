/* The registry: made, read, counted, freed. Writes: registry_write.c.
 *
 * A look-up hashes the key, loads the partition's table, compares the tags of one bucket (a cache line) and
 * reads the row whose tag fits. It writes nothing but its own thread's counters.
 * Threads: see the door. Memory: what was unlinked goes to the runtime's grace list, or, when that is full, to
 * limbo: new rows are refused until limbo is empty, so it holds at most what was there plus one per thread. */
#include "registry/registry_private.h"

#define PARTITIONS_DEFAULT 4U
#define ROWS_DEFAULT 1048576U
#define WATCH_LEN_DEFAULT 1024U
#define WATCH_LEN_MIN 4U
#define BUCKETS_FIRST 4U
#define BATCH 32U

/* ---- retiring ---- */

void registry_retire(struct registry *registry, struct grace_node *node) {
    struct grace *grace = runtime_grace(registry->runtime);
    if (grace_reserve(grace, 1) == TROUPE_OK) {
        grace_defer(grace, node);
        return;
    }
    spin_lock(&registry->limbo_lock);
    node->next = registry->limbo;
    registry->limbo = node;
    spin_unlock(&registry->limbo_lock);
    /* Relaxed: a hint; whoever misses it admits one row more. */
    atomic_fetch_add_explicit(&registry->limbo_count, 1, memory_order_relaxed);
}

enum troupe_error registry_admit(struct registry *registry) {
    struct grace *grace = runtime_grace(registry->runtime);
    while (__builtin_expect(atomic_load_explicit(&registry->limbo_count, memory_order_relaxed) != 0, 0)) {
        if (grace_reserve(grace, 1) != TROUPE_OK) {
            grace_collect(grace);
            if (grace_reserve(grace, 1) != TROUPE_OK) {
                return TROUPE_FULL;
            }
        }
        spin_lock(&registry->limbo_lock);
        struct grace_node *node = registry->limbo;
        if (node != NULL) {
            registry->limbo = node->next;
        }
        spin_unlock(&registry->limbo_lock);
        if (node == NULL) {
            grace_unreserve(grace, 1);
            break; /* another thread takes the last ones over */
        }
        atomic_fetch_sub_explicit(&registry->limbo_count, 1, memory_order_relaxed); /* as above */
        grace_defer(grace, node);
    }
    return TROUPE_OK;
}

/* ---- look-up ---- */

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

static void lookups_count(const struct registry *registry, size_t hits, size_t misses) {
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

static const struct registry_row *rows_probe(const struct table *table, const struct key *key) {
    uint64_t bucket = hash_bucket(key->hash) & table->mask, tag = hash_tag(key->hash);
    for (uint64_t probed = 0; probed <= table->mask; probed++, bucket = (bucket + 1) & table->mask) {
        const _Atomic uint64_t *slots = &table->slots[bucket * SLOTS_PER_BUCKET];
        bool empty = false;
        for (unsigned at = 0; at < SLOTS_PER_BUCKET; at++) {
            /* Acquire pairs with word_put: the row's bytes are seen. */
            uint64_t word = atomic_load_explicit(&slots[at], memory_order_acquire);
            if (hash_tag(word) == tag && slot_used(word) && row_is(slot_row(word), key)) {
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

static const struct registry_row *row_at(const struct registry *registry, const struct key *key,
                                         uint64_t now_ns) {
    /* Acquire pairs with table_migrate and table_extend. */
    const struct table *table =
        atomic_load_explicit(&partition_of(registry, key->hash)->table, memory_order_acquire);
    const struct registry_row *row = NULL;
    do {
        row = rows_probe(table, key);
    } while (__builtin_expect(row == NULL, 0) &&
             (table = atomic_load_explicit(&table->next, memory_order_acquire)) != NULL);
    return row != NULL && row_valid(registry->runtime, row, now_ns) ? row : NULL;
}

static bool key_make(const struct registry *registry, const struct namespace *in, const char *name,
                     struct key *ret_key) {
    size_t length = strlen(name);
    if (length > REGISTRY_NAME_MAX) {
        return false;
    }
    *ret_key = (struct key){.hash = key_hash(registry, in->id, name, length),
                            .name = name,
                            .namespace_id = in->id,
                            .length = (uint32_t)length};
    return true;
}

const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name, uint64_t now_ns) {
    const struct namespace *in = namespace_find(registry, name_space);
    const struct registry_row *row = NULL;
    struct key key;
    if (in != NULL && key_make(registry, in, name, &key)) {
        row = row_at(registry, &key, now_ns);
    }
    lookups_count(registry, row != NULL, row == NULL);
    return row;
}

/* Fetches the row that a key's tag points to: a hint, the probe decides. */
static void row_prefetch(const struct registry *registry, const struct key *key) {
    const struct table *table =
        atomic_load_explicit(&partition_of(registry, key->hash)->table, memory_order_acquire); /* row_at */
    const _Atomic uint64_t *slots = &table->slots[(hash_bucket(key->hash) & table->mask) * SLOTS_PER_BUCKET];
    for (unsigned at = 0; at < SLOTS_PER_BUCKET; at++) {
        uint64_t word = atomic_load_explicit(&slots[at], memory_order_relaxed);
        if (hash_tag(word) == hash_tag(key->hash)) {
            __builtin_prefetch(slot_row(word));
        }
    }
}

static size_t batch_some(const struct registry *registry, const struct namespace *in,
                         const char *const *names, size_t count, uint64_t now_ns,
                         const struct registry_row **ret_rows) {
    struct key keys[BATCH];
    bool good[BATCH];
    size_t hits = 0;
    for (size_t at = 0; at < count; at++) {
        good[at] = key_make(registry, in, names[at], &keys[at]);
        if (good[at]) {
            const struct table *table = atomic_load_explicit(&partition_of(registry, keys[at].hash)->table,
                                                             memory_order_acquire); /* as in row_at */
            __builtin_prefetch(
                (const void *)&table->slots[(hash_bucket(keys[at].hash) & table->mask) * SLOTS_PER_BUCKET]);
        }
    }
    for (size_t at = 0; at < count; at++) {
        if (good[at]) {
            row_prefetch(registry, &keys[at]);
        }
    }
    for (size_t at = 0; at < count; at++) {
        ret_rows[at] = good[at] ? row_at(registry, &keys[at], now_ns) : NULL;
        hits += ret_rows[at] != NULL;
    }
    return hits;
}

size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows) {
    const struct namespace *in = namespace_find(registry, name_space);
    size_t hits = 0;
    for (size_t at = 0; at < count; at += BATCH) {
        size_t some = count - at < BATCH ? count - at : BATCH;
        if (in != NULL) {
            hits += batch_some(registry, in, names + at, some, now_ns, ret_rows + at);
        } else {
            memset(ret_rows + at, 0, some * sizeof *ret_rows);
        }
    }
    lookups_count(registry, hits, count - hits);
    return hits;
}

/* ---- statistics ---- */

static uint64_t read_count(const _Atomic uint64_t *total) {
    return atomic_load_explicit(total, memory_order_relaxed); /* a statistic */
}

size_t registry_count(const struct registry *registry) {
    size_t rows = 0;
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        rows += read_count(&registry->partitions[at].rows);
    }
    return rows;
}

void registry_statistics(const struct registry *registry, struct registry_statistics *ret) {
    struct registry_statistics sum = {.rows = registry_count(registry)};
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        const struct partition *partition = &registry->partitions[at];
        sum.registered += read_count(&partition->registered);
        sum.removed += read_count(&partition->removed);
        sum.grown += read_count(&partition->grown);
        sum.bytes += read_count(&partition->bytes);
    }
    for (unsigned at = 0; at < COUNTERS; at++) {
        sum.lookups_hit += read_count(&registry->lookups[at].hit);
        sum.lookups_missed += read_count(&registry->lookups[at].missed);
    }
    *ret = sum;
}

/* ---- life ---- */

static enum troupe_error options_check(const struct registry_options *options, struct fault *fault) {
    unsigned partitions = options->partitions;
    if (partitions > PARTITIONS_MAX || (partitions & (partitions - 1)) != 0) {
        return fault_set(fault, TROUPE_INVALID, "registry",
                         "%u partitions are asked for; expected a power of two up to %u", partitions,
                         PARTITIONS_MAX);
    }
    if (options->watchers_max > WATCHERS_MAX) {
        return fault_set(fault, TROUPE_INVALID, "registry", "%u watchers are asked for; at most %u",
                         options->watchers_max, WATCHERS_MAX);
    }
    if (options->watch_len_max != 0 && options->watch_len_max < WATCH_LEN_MIN) {
        return fault_set(fault, TROUPE_INVALID, "registry",
                         "%u changes for a watcher are too few; at least %u", options->watch_len_max,
                         WATCH_LEN_MIN);
    }
    return TROUPE_OK;
}

static enum troupe_error registry_fill(struct registry *registry) {
    struct account *account = registry->account;
    unsigned partitions = registry->partition_mask + 1;
    registry->lookups = memory_alloc_aligned(account, 64, COUNTERS * sizeof *registry->lookups);
    registry->partitions = memory_alloc_aligned(account, 64, partitions * sizeof *registry->partitions);
    if (registry->lookups == NULL || registry->partitions == NULL) {
        return TROUPE_NOMEM;
    }
    for (unsigned at = 0; at < partitions; at++) {
        struct table *table = table_new(account, BUCKETS_FIRST);
        if (table == NULL) {
            return TROUPE_NOMEM;
        }
        atomic_init(&registry->partitions[at].table, table);
        counted(&registry->partitions[at].bytes, table->bytes);
    }
    return keeper_start(registry);
}

enum troupe_error registry_create(struct runtime *runtime, struct account *account,
                                  const struct registry_options *options, struct registry **ret_registry,
                                  struct fault *fault) {
    static const struct registry_options defaults;
    if (options == NULL) {
        options = &defaults;
    }
    enum troupe_error error = options_check(options, fault);
    if (error != TROUPE_OK) {
        return error;
    }
    struct registry *registry = memory_alloc_aligned(account, 64, sizeof *registry);
    if (registry == NULL) {
        return fault_set(fault, TROUPE_NOMEM, "registry", "no memory for the registry");
    }
    registry->runtime = runtime;
    registry->env = runtime_env(runtime);
    registry->account = account;
    registry->seed = env_random(registry->env);
    registry->partition_mask = (options->partitions != 0 ? options->partitions : PARTITIONS_DEFAULT) - 1;
    registry->rows_max = options->rows_max != 0 ? options->rows_max : ROWS_DEFAULT;
    registry->watchers_max = options->watchers_max != 0 ? options->watchers_max : WATCHERS_MAX;
    registry->watch_len_max = options->watch_len_max != 0 ? options->watch_len_max : WATCH_LEN_DEFAULT;
    error = registry_fill(registry);
    if (error != TROUPE_OK) {
        registry_free(registry);
        return fault_set(fault, error, "registry", "%s",
                         error == TROUPE_NOMEM ? "no memory for its partitions" : "its actor did not start");
    }
    message_set_destructor(MESSAGE_REGISTRY_CHANGE, watch_message_destroy);
    *ret_registry = registry;
    return TROUPE_OK;
}

static void index_free(struct account *account, struct index *index) {
    if (index == NULL) {
        return;
    }
    for (unsigned posting = 0; posting < POSTINGS; posting++) {
        memory_free(account, atomic_load_explicit(&index->postings[posting], memory_order_relaxed));
    }
    memory_free(account, index);
}

/* Alone now: every load is relaxed. */
static void partition_free(struct account *account, struct partition *partition) {
    for (unsigned at = 0; at < NAMESPACES_MAX; at++) {
        index_free(account, atomic_load_explicit(&partition->indexes[at], memory_order_relaxed));
    }
    struct table *table = atomic_load_explicit(&partition->table, memory_order_relaxed);
    while (table != NULL) {
        struct table *next = atomic_load_explicit(&table->next, memory_order_relaxed);
        for (uint64_t at = 0; at < (table->mask + 1) * SLOTS_PER_BUCKET; at++) {
            uint64_t word = atomic_load_explicit(&table->slots[at], memory_order_relaxed);
            if (slot_used(word)) {
                memory_free(account, slot_row(word));
            }
        }
        memory_free(account, table);
        table = next;
    }
}

void registry_free(struct registry *registry) {
    if (registry == NULL) {
        return;
    }
    struct account *account = registry->account;
    if (registry->partitions != NULL) {
        watches_end(registry, 0);
        keeper_detach(registry);
        for (uint32_t at = 0; at <= registry->partition_mask; at++) {
            partition_free(account, &registry->partitions[at]);
        }
    }
    while (registry->limbo != NULL) {
        struct grace_node *node = registry->limbo;
        registry->limbo = node->next;
        node->fn(node->context, node);
    }
    for (unsigned at = 0; at < OWNER_SEGMENTS; at++) {
        memory_free(account, atomic_load_explicit(&registry->owners[at], memory_order_relaxed)); /* alone */
    }
    namespaces_free(registry);
    memory_free(account, registry->partitions);
    memory_free(account, registry->lookups);
    memory_free(account, registry);
}
