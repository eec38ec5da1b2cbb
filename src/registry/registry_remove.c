/* Removals: by the holder, of what ended, of what expired. They allocate nothing and never fail.
 * Threads, memory: see registry_write.h. */
#include "registry/registry_owner.h"
#include "registry/registry_write.h"

void row_leave(struct write *write, row_ref ref, struct removal *ret_removal) {
    struct partition *partition = write->partition;
    struct registry *registry = write->registry;
    struct registry_row *row = row_of(registry, ref);
    struct shelf *shelf = shelf_of(partition, write->namespace_id);
    uint64_t state = row_state(row);
    owner_unlink(registry, ref, row->actor); /* first: its lock would wait for what is stored before */
    state_values(registry, state, &ret_removal->values);
    ret_removal->details = (struct details *)(uintptr_t)state_details(state);
    ret_removal->actor = row->actor;
    ret_removal->version = ++partition->version;
    tickets_take(shelf, write->key.hash, &ret_removal->tickets);
    lease_remove(&partition->leases, ret_removal->details);
    shelf_removes(shelf);
    index_change(chunk_of(registry, ref), ref & (CHUNK_UNITS - 1), &ret_removal->values, NULL);
    shelf_removed(shelf);
    limbo_put(registry, partition, ref, state);
    counted(&partition->removed, 1);
    if (ret_removal->details != NULL) {
        counted(&partition->bytes, -ret_removal->details->bytes);
    }
}

/* Under the lock. */
static void row_unlink(struct write *write, const struct slot *slot, row_ref ref,
                       struct removal *ret_removal) {
    row_leave(write, ref, ret_removal);
    table_remove(slot, write->key.hash);
    counted(&write->partition->rows, UINT64_MAX); /* one less */
    rows_release(write->registry, write->partition);
}

void removal_finish(const struct write *write, const struct removal *removal) {
    if (removal->tickets.count != 0) {
        struct event event = event_of_row(REGISTRY_REMOVED, removal->version, &removal->values,
                                          removal->actor, write->key.name, write->key.length);
        tickets_tell(&removal->tickets, &event);
    }
    details_retire(write->registry, removal->details);
}

/* Removes the key's row if it is the actor's (0: anybody's, expired at now_ns). */
static bool row_remove(struct write *write, actor_ref actor, uint64_t now_ns) {
    struct removal removal NOT_CLEARED;
    struct slot slot;
    write_lock(write);
    row_ref ref = table_find(write->registry, write->partition, &write->key, &slot);
    bool removes = false;
    if (ref != REF_NONE) {
        const struct registry_row *row = row_of(write->registry, ref);
        removes = actor != 0 ? row->actor == actor : state_expired(row_state(row), now_ns);
    }
    if (removes) {
        row_unlink(write, &slot, ref, &removal);
    }
    write_unlock(write);
    if (removes) {
        removal_finish(write, &removal);
    }
    return removes;
}

enum troupe_error registry_drop(struct registry *registry, registry_space space, const char *name,
                                size_t length, actor_ref actor) {
    struct write write NOT_CLEARED;
    if (plain_drop(registry, space, &(struct registry_name){name, length}, actor)) {
        return TROUPE_OK;
    }
    if (actor == 0 || !write_begin(&write, registry, space, name, length)) {
        return TROUPE_NOT_FOUND;
    }
    return row_remove(&write, actor, 0) ? TROUPE_OK : TROUPE_NOT_FOUND;
}

enum troupe_error registry_unregister(struct registry *registry, const char *name_space, const char *name,
                                      actor_ref actor) {
    const struct namespace *in = namespace_find(registry, name_space);
    return in == NULL ? TROUPE_NOT_FOUND : registry_drop(registry, in->id, name, strlen(name), actor);
}

static bool key_remove(struct registry *registry, const struct owned_key *at, actor_ref actor,
                       uint64_t now_ns) {
    struct write write NOT_CLEARED;
    bool begun = write_begin(&write, registry, at->namespace_id, at->name, at->length);
    CHECK(begun);
    return row_remove(&write, actor, now_ns);
}

unsigned registry_remove_some(struct registry *registry, actor_ref actor, unsigned rows_max) {
    struct owned_key key NOT_CLEARED;
    unsigned removed = 0;
    while (removed < rows_max && owner_any(registry, actor, &key)) {
        removed += key_remove(registry, &key, actor, 0);
    }
    return removed;
}

unsigned registry_remove_actor(struct registry *registry, actor_ref actor) {
    return registry_remove_some(registry, actor, UINT32_MAX);
}

/* The key of the partition's row that expires first, if it has expired; when it will, otherwise. */
static bool first_expired(struct partition *partition, uint64_t now_ns, struct owned_key *ret_key,
                          uint64_t *ret_next_ns) {
    spin_lock(&partition->lock);
    const struct details *first = partition->leases;
    bool expired = first != NULL && first->expires_ns <= now_ns;
    *ret_next_ns = first != NULL ? first->expires_ns : UINT64_MAX;
    if (expired) {
        uint64_t state = row_state(first->row);
        ret_key->namespace_id = state_namespace(state);
        ret_key->length = state_length(state);
        memcpy(ret_key->name, first->row->name, ret_key->length);
        ret_key->name[ret_key->length] = '\0';
    }
    spin_unlock(&partition->lock);
    return expired;
}

unsigned registry_expire_some(struct registry *registry, uint64_t now_ns, unsigned rows_max,
                              uint64_t *ret_next_ns) {
    struct owned_key key NOT_CLEARED;
    unsigned removed = 0;
    uint64_t next_ns = UINT64_MAX, first_ns;
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        while (first_expired(partition, now_ns, &key, &first_ns) && removed < rows_max) {
            removed += key_remove(registry, &key, 0, now_ns);
        }
        next_ns = first_ns < next_ns ? first_ns : next_ns;
    }
    *ret_next_ns = next_ns;
    return removed;
}
