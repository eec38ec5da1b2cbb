/* Owners: the rows of each actor, and whether the keeper has been asked to hear of its end.
 *
 * Invariants: a row that is linked is in the list of its actor's slot, over all partitions; rows of an earlier
 *             life of the slot may be in it too.
 * Threads: a list: its lock, inside a partition's. generation: any, atomic. Memory: segments of slots from the
 * account, made as needed, kept. */
#include "registry/registry_owner.h"

static struct owner *segment_new(struct account *account) {
    struct owner *segment = memory_alloc(account, OWNER_SEGMENT * sizeof *segment);
    for (uint32_t at = 0; segment != NULL && at < OWNER_SEGMENT; at++) {
        segment[at].first = REF_NONE;
    }
    return segment;
}

enum troupe_error owner_ensure(struct registry *registry, actor_ref actor, struct owner **ret_owner) {
    uint32_t at = (uint32_t)actor;
    if (at >= OWNER_SEGMENT * OWNER_SEGMENTS) {
        return TROUPE_LIMIT;
    }
    if (owner_of(registry, actor) == NULL) {
        struct owner *made = segment_new(registry->account), *none = NULL;
        if (made == NULL) {
            return TROUPE_NOMEM;
        }
        /* Release: what it holds is seen. Acquire: another thread's may be there first. */
        if (!atomic_compare_exchange_strong_explicit(&registry->owners[at / OWNER_SEGMENT], &none, made,
                                                     memory_order_acq_rel, memory_order_acquire)) {
            memory_free(registry->account, made);
        }
    }
    *ret_owner = owner_of(registry, actor);
    return TROUPE_OK;
}

bool owner_any(struct registry *registry, actor_ref actor, struct owned_key *ret_key) {
    struct owner *owner = owner_of(registry, actor);
    bool found = false;
    if (owner == NULL) {
        return false;
    }
    spin_lock(&owner->lock);
    for (row_ref ref = owner->first; ref != REF_NONE && !found; ref = links_of(registry, ref)->next) {
        const struct registry_row *row = row_of(registry, ref);
        if (row->actor == actor) {
            uint64_t state = row_state(row);
            ret_key->namespace_id = state_namespace(state);
            ret_key->length = state_length(state);
            memcpy(ret_key->name, row->name, ret_key->length);
            ret_key->name[ret_key->length] = '\0';
            found = true;
        }
    }
    spin_unlock(&owner->lock);
    return found;
}

void owners_free(struct registry *registry) {
    for (unsigned at = 0; at < OWNER_SEGMENTS; at++) {
        memory_free(registry->account,
                    atomic_load_explicit(&registry->owners[at], memory_order_relaxed)); /* alone now */
    }
}
