/* The common writes, in a third of the instructions of the long way (registry_write.c, registry_remove.c): an actor that
 * is monitored already puts a short name that nobody holds, saying no more than a state has room for; or drops one.
 *
 * Invariants: what is not common (a watch, a table that moves, a unit or a block or admission that is missing, a name
 *             that is held, details) is found out before anything is changed, and is left to the long way. What is
 *             changed is changed in the same order as there, and published by the same operations.
 * Threads: any; one lock of a partition, inside it an owner's. Memory: takes and frees nothing. */
#include "registry/registry_bucket.h"
#include "registry/registry_key.h"
#include "registry/registry_owner.h"

struct plain {
    struct registry *registry;
    struct partition *partition;
    struct shelf *shelf;
    struct limbo *limbo; /* the thread's */
    struct key key;
};

/* Takes the lock. */
static inline void plain_lock(struct plain *plain, struct registry *registry, registry_space space,
                              const struct registry_name *name) {
    plain->registry = registry;
    plain->key.name = name->bytes;
    plain->key.length = (uint32_t)name->length;
    plain->key.check = key_check(space, name->length);
    plain->key.words = key_words(name->bytes, name->length);
    plain->key.hash = key_hash_short(registry, space, plain->key.words);
    plain->partition = partition_of(registry, plain->key.hash);
    plain->shelf = shelf_of(plain->partition, space);
    plain->limbo = &plain->partition->limbos[lane_mine()];
    /* What the other writers have written comes at once, not one line after the other. */
    partition_prefetch(plain->partition, plain->key.hash);
    __builtin_prefetch(plain->shelf, 1);
    spin_lock(&plain->partition->lock);
    if (plain->limbo->batch_busy) {
        limbo_settle(registry, plain->limbo);
    }
}

static inline void plain_unlock(struct plain *plain) {
    struct partition *partition = plain->partition;
    struct limbo *limbo = plain->limbo;
    struct batch *leaving =
        limbo->count >= LIMBO_ROWS_LEAVE && !limbo->batch_busy ? limbo_leave(limbo) : NULL;
    spin_unlock_seen(&partition->lock);
    if (__builtin_expect(leaving != NULL, 0)) {
        registry_retire(plain->registry, &leaving->node);
    }
}

/* One table, and nobody who is told. */
static inline bool plain_quiet(const struct plain *plain) {
    return plain->shelf != NULL && plain->shelf->subscriptions == NULL && !table_moving(plain->partition);
}

/* The slot of the key's row; REF_NONE: it is not there. */
static inline row_ref plain_find(const struct plain *plain, struct slot *ret_slot) {
    struct table *table = table_oldest(plain->partition);
    uint64_t at = table_home(table, plain->key.hash);
    const struct bucket *bucket = &table->buckets[at];
    uint32_t slots = slots_with(bucket, hash_tag(plain->key.hash));
    if (slots == 0 && bucket_past(bucket) == 0) {
        return REF_NONE;
    }
    if (slots != 0) {
        row_ref ref = ref_at(bucket, slots_first(slots));
        const struct registry_row *row = row_of(plain->registry, ref);
        if (key_is_short(plain->key.words, plain->key.check, row, row_state(row))) {
            *ret_slot = (struct slot){.table = table, .bucket = at, .at = slots_first(slots)};
            return ref;
        }
    }
    return table_find(plain->registry, plain->partition, &plain->key, ret_slot);
}

/* ---- put ---- */

/* The keeper hears of its end already. */
static inline bool actor_monitored(const struct registry *registry, actor_ref actor) {
    const struct owner *owner = owner_of(registry, actor);
    /* Acquire pairs with keeper_monitor. */
    return owner != NULL &&
           atomic_load_explicit(&owner->generation, memory_order_acquire) == (uint32_t)(actor >> 32);
}

/* Under the lock. A unit, and in its chunk the blocks of bits; REF_NONE: not all of it is there. */
static inline row_ref plain_unit(struct plain *plain, registry_space space, const struct values *values) {
    uint32_t capacity;
    row_ref ref = unit_take(plain->registry, plain->partition, space, 1, &capacity);
    if (ref != REF_NONE && index_missing(chunk_of(plain->registry, ref), NULL, values) != POSTING_NONE) {
        unit_give(plain->registry, plain->shelf, ref, 1);
        return REF_NONE;
    }
    return ref;
}

/* Under the lock: nothing fails any more. */
static inline uint64_t plain_insert(struct plain *plain, row_ref ref, actor_ref actor,
                                    const struct values *values) {
    struct partition *partition = plain->partition;
    struct chunk *chunk = chunk_of(plain->registry, ref);
    struct registry_row *row = chunk_row(chunk, ref & (CHUNK_UNITS - 1));
    uint64_t version = ++partition->version;
    partition->spare--;
    row->actor = actor;
    memcpy(row->name, &plain->key.words, ROW_SHORT);
    row_publish(row, state_make(plain->key.check, values, version, NULL));
    owner_link(plain->registry, ref, actor); /* the row is whole: owner_any reads it */
    table_insert(partition, plain->key.hash, ref);
    index_change(chunk, ref & (CHUNK_UNITS - 1), NULL, values);
    counted(&partition->rows, 1);
    counted(&partition->registered, 1);
    return version;
}

bool plain_put(struct registry *registry, registry_space space, const struct registry_name *name,
               actor_ref actor, const struct values *values, uint64_t *ret_version) {
    struct plain plain NOT_CLEARED;
    struct slot slot;
    /* Relaxed: a hint, as in registry_admit. Acquire: as in keeper_monitor. */
    if (!key_short(name->length) || !values_plain(values, 0) || !actor_monitored(registry, actor) ||
        atomic_load_explicit(&registry->limbo_count, memory_order_relaxed) != 0 ||
        atomic_load_explicit(&registry->ended, memory_order_acquire)) {
        return false;
    }
    plain_lock(&plain, registry, space, name);
    struct partition *partition = plain.partition;
    row_ref ref = REF_NONE;
    /* The actor is looked at under the lock: see register_allowed. */
    if (plain_quiet(&plain) && partition->spare > 0 && !table_full(partition) &&
        partition->version < STATE_VERSION_MAX && plain_find(&plain, &slot) == REF_NONE &&
        actor_alive(registry->runtime, actor)) {
        ref = plain_unit(&plain, space, values);
    }
    if (ref != REF_NONE) {
        *ret_version = plain_insert(&plain, ref, actor, values);
    }
    plain_unlock(&plain);
    return ref != REF_NONE;
}

/* ---- drop ---- */

/* Under the lock. In the order of row_leave: the owner's list, the count, the bits, the table. */
static inline void plain_remove(struct plain *plain, const struct slot *slot, row_ref ref, uint64_t state) {
    struct partition *partition = plain->partition;
    struct chunk *chunk = chunk_of(plain->registry, ref);
    struct values values;
    owner_unlink(plain->registry, ref, chunk_row(chunk, ref & (CHUNK_UNITS - 1))->actor);
    state_values(plain->registry, state, &values);
    partition->version++;
    shelf_removes(plain->shelf);
    index_change(chunk, ref & (CHUNK_UNITS - 1), &values, NULL);
    shelf_removed(plain->shelf);
    limbo_put(plain->registry, partition, ref, state);
    counted(&partition->removed, 1);
    table_remove(slot, plain->key.hash);
    counted(&partition->rows, UINT64_MAX); /* one less */
    rows_release(plain->registry, partition);
}

bool plain_drop(struct registry *registry, registry_space space, const struct registry_name *name,
                actor_ref actor) {
    struct plain plain NOT_CLEARED;
    struct slot slot;
    bool drops = false;
    if (!key_short(name->length) || actor == 0) {
        return false;
    }
    plain_lock(&plain, registry, space, name);
    row_ref ref = plain_quiet(&plain) ? plain_find(&plain, &slot) : REF_NONE;
    if (ref != REF_NONE) {
        const struct registry_row *row = row_of(registry, ref);
        uint64_t state = row_state(row);
        drops = row->actor == actor && (state & STATE_PLAIN) != 0;
        if (drops) {
            plain_remove(&plain, &slot, ref, state);
        }
    }
    plain_unlock(&plain);
    return drops;
}
