/* Warm: the rows that a thread has looked up last, by hash, so that a name that comes again costs its row alone and
 * not its bucket.
 *
 * Invariants: an entry is good while its partition has removed nothing since before the row was looked up. A removal
 *             is counted before the row is unlinked, so who still reads the old count may hold the row as if it
 *             had just looked it up: the grace period that frees the row begins after the count, and a reader
 *             that has been quiescent since then sees it.
 * Threads: the one that it was made for, a registered reader or turns of one worker. Memory: the registry's account. */
#include "registry/registry_key.h"

#define WARM_ENTRIES_MAX (1U << 20)

struct warm_entry {
    const struct registry_row *row; /* NULL: none */
    uint64_t removed;               /* the partition's, before the row was looked up */
};
struct registry_warm {
    struct registry *registry;
    uint64_t mask;
    uint64_t found, asked;
    struct warm_entry entries[];
};

enum troupe_error registry_warm_create(struct registry *registry, unsigned entries,
                                       struct registry_warm **ret_warm) {
    if (entries == 0 || entries > WARM_ENTRIES_MAX || (entries & (entries - 1)) != 0) {
        return TROUPE_INVALID;
    }
    struct registry_warm *warm =
        memory_alloc_aligned(registry->account, 64, sizeof *warm + entries * sizeof warm->entries[0]);
    if (warm == NULL) {
        return TROUPE_NOMEM;
    }
    warm->registry = registry;
    warm->mask = entries - 1;
    *ret_warm = warm;
    return TROUPE_OK;
}

void registry_warm_free(struct registry_warm *warm) {
    if (warm != NULL) {
        memory_free(warm->registry->account, warm);
    }
}

double registry_warm_share(const struct registry_warm *warm) {
    return warm->asked == 0 ? 0 : (double)warm->found / (double)warm->asked;
}

const struct registry_row *registry_warm_get(struct registry_warm *warm, registry_space space,
                                             const char *name, size_t length, uint64_t now_ns) {
    struct registry *registry = warm->registry;
    if (!key_short(length)) {
        return registry_get(registry, space, name, length, now_ns);
    }
    struct key_words words = key_words(name, length);
    uint64_t hash = key_hash_short(registry, space, words);
    struct warm_entry *entry = &warm->entries[hash >> 32 & warm->mask];
    /* Acquire: before the row is read, and before it is looked up. */
    uint64_t removed = atomic_load_explicit(&partition_of(registry, hash)->removed, memory_order_acquire);
    warm->asked++;
    if (entry->row != NULL && entry->removed == removed) {
        uint64_t state = row_state(entry->row);
        if (key_is_short(words, key_check(space, length), entry->row, state) &&
            !state_expired(state, now_ns)) {
            warm->found++;
            return entry->row;
        }
    }
    const struct registry_row *row = registry_get(registry, space, name, length, now_ns);
    if (row != NULL) {
        *entry = (struct warm_entry){.row = row, .removed = removed};
    }
    return row;
}
