/* The registry: made and freed. Reads: registry_lookup.c, registry_index.c. Writes: registry_write.c.
 *
 * Threads: see the door. Memory: blocks that were unlinked go to the runtime's grace list, or, when that is full,
 * to limbo: new rows are refused until limbo is empty, so it holds at most what was there plus one per thread. */
#include "registry/registry_private.h"

#define PARTITIONS_DEFAULT 16U
#define ROWS_DEFAULT 1048576U
#define WATCH_LEN_DEFAULT 1024U
#define WATCH_LEN_MIN 4U
#define BUCKETS_FIRST 4U
#define ROWS_STEP 64U /* of rows, admitted at once */
#define DIRECTORY_FIRST 64U

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
    registry->lookups = memory_alloc_aligned(account, 64, (COUNTERS + 1) * sizeof *registry->lookups);
    registry->partitions = memory_alloc_aligned(account, 64, partitions * sizeof *registry->partitions);
    struct directory *directory = directory_new(account, DIRECTORY_FIRST);
    atomic_init(&registry->directory, directory);
    registry->tables = memory_alloc_aligned(account, 64, partitions * sizeof *registry->tables);
    if (registry->lookups == NULL || registry->partitions == NULL || registry->tables == NULL ||
        directory == NULL) {
        return TROUPE_NOMEM;
    }
    atomic_init(&registry->lookups[COUNTERS].all, TIMED_EVERY - 1); /* LOOKUPS_NOWHERE */
    for (unsigned at = 0; at < partitions; at++) {
        struct partition *partition = &registry->partitions[at];
        struct table *table = table_new(account, BUCKETS_FIRST);
        partition->table = &registry->tables[at];
        atomic_init(partition->table, table);
        atomic_init(&partition->buckets, BUCKETS_FIRST);
        bool whole = table != NULL;
        for (unsigned lane = 0; lane < LANES; lane++) {
            struct limbo *limbo = &partition->limbos[lane];
            limbo->batch = batch_new(account);
            limbo->first = limbo->settled = REF_NONE;
            whole = whole && limbo->batch != NULL;
        }
        if (!whole) {
            return TROUPE_NOMEM;
        }
        counted(&partition->bytes, table->bytes);
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
    registry->recorded = runtime_records_turns(runtime);
    registry->account = account;
    struct random_stream seeds;
    random_seed(&seeds, options->seed, 0);
    for (unsigned at = 0; at < ARRAY_COUNT(registry->seeds); at++) {
        registry->seeds[at] = options->seed != 0 ? random_u64(&seeds) : env_random(registry->env);
    }
    registry->partition_mask = (options->partitions != 0 ? options->partitions : PARTITIONS_DEFAULT) - 1;
    registry->rows_max = options->rows_max != 0 ? options->rows_max : ROWS_DEFAULT;
    registry->rows_step = registry->rows_max / PARTITIONS_MAX / ROWS_STEP != 0 ? ROWS_STEP : 1;
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

/* Alone now: every load is relaxed. */
static void details_free(struct registry *registry, struct table *table) {
    for (uint64_t at = 0; at < table->count; at++) {
        const struct bucket *bucket = &table->buckets[at];
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            uint64_t tags = atomic_load_explicit(&bucket->tags[slot / 4], memory_order_relaxed);
            if ((tags >> slot % 4 * 16 & TAG_USED) != 0) {
                row_ref ref = atomic_load_explicit(&bucket->refs[slot], memory_order_relaxed);
                uint64_t state = row_state(row_of(registry, ref));
                memory_free(registry->account, (void *)(uintptr_t)state_details(state));
            }
        }
    }
}

static void partition_free(struct registry *registry, struct partition *partition) {
    struct table *table =
        partition->table == NULL ? NULL : atomic_load_explicit(partition->table, memory_order_relaxed);
    while (table != NULL) {
        struct table *next = atomic_load_explicit(&table->next, memory_order_relaxed);
        details_free(registry, table);
        memory_free(registry->account, table);
        table = next;
    }
    for (unsigned at = 0; at < NAMESPACES_MAX; at++) {
        shelf_free(registry, atomic_load_explicit(&partition->shelves[at], memory_order_relaxed));
    }
    for (unsigned lane = 0; lane < LANES; lane++) {
        const struct limbo *limbo = &partition->limbos[lane];
        if (limbo->batch_busy && !atomic_load_explicit(&limbo->batch->passed, memory_order_relaxed)) {
            limbo->batch->orphan = true; /* it is in the grace list, or in limbo: freed there */
        } else {
            memory_free(registry->account, limbo->batch);
        }
    }
}

void registry_free(struct registry *registry) {
    if (registry == NULL) {
        return;
    }
    struct account *account = registry->account;
    if (registry->partitions != NULL && registry->tables != NULL) {
        watches_end(registry, 0);
        keeper_detach(registry);
        for (uint32_t at = 0; at <= registry->partition_mask; at++) {
            partition_free(registry, &registry->partitions[at]);
        }
    }
    while (registry->limbo != NULL) {
        struct grace_node *node = registry->limbo;
        registry->limbo = node->next;
        node->fn(node->context, node);
    }
    owners_free(registry);
    sets_free(registry);
    memory_free(account, atomic_load_explicit(&registry->directory, memory_order_relaxed));
    namespaces_free(registry);
    memory_free(account, registry->partitions);
    memory_free(account, registry->tables);
    memory_free(account, registry->lookups);
    memory_free(account, registry);
}
