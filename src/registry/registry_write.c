/* Registering: a row is put where none is, or in the place of one that has ended, or says something new.
 * Shape, threads, memory: see registry_write.h. */
#include "registry/registry_owner.h"
#include "registry/registry_write.h"

/* Under the lock, with room: nothing fails any more. The row's state, with the next version. */
static void state_put(struct write *write, struct registry_row *row, const struct values *values,
                      struct putting *ret_putting) {
    struct partition *partition = write->partition;
    uint64_t version = ++partition->version;
    struct details *details = NULL;
    if (!values_plain(values, version)) {
        details = write->details;
        write->details = NULL;
        details->row = row;
        counted(&partition->bytes, details->bytes);
    }
    ret_putting->version = version;
    row_publish(row, state_make(write->key.check, values, version, details));
    lease_insert(&partition->leases, details);
    ret_putting->first_to_expire = details != NULL && partition->leases == details;
}

static void name_fill(struct registry_row *row, const struct key *key) {
    if (key->length <= ROW_SHORT) {
        memcpy(row->name, &key->words, ROW_SHORT);
        return;
    }
    size_t room = row_units(key->length) * ROW_UNIT - offsetof(struct registry_row, name);
    memcpy(row->name, key->name, key->length);
    memset(row->name + key->length, 0, room - key->length);
}

static void row_put_fresh(struct write *write, const struct slot *replaced, row_ref old, actor_ref actor,
                          const struct values *values, struct putting *ret_putting) {
    struct partition *partition = write->partition;
    struct registry *registry = write->registry;
    row_ref ref = write->fresh;
    struct registry_row *row = row_of(registry, ref);
    ret_putting->change = REGISTRY_ADDED;
    ret_putting->replaced = NULL;
    ret_putting->handed_over = old != REF_NONE;
    if (old != REF_NONE) {
        row_leave(write, old, &ret_putting->removal);
    }
    row->actor = actor;
    name_fill(row, &write->key);
    state_put(write, row, values, ret_putting);
    owner_link(registry, ref, actor); /* the row is whole: owner_any reads it */
    if (old != REF_NONE) {
        table_replace(replaced, ref);
    } else {
        table_insert(partition, write->key.hash, ref);
        counted(&partition->rows, 1);
    }
    index_change(chunk_of(registry, ref), ref & (CHUNK_UNITS - 1), NULL, values);
}

void row_put_in_place(struct write *write, row_ref ref, const struct values *old, const struct values *values,
                      struct putting *ret_putting) {
    struct registry_row *row = row_of(write->registry, ref);
    ret_putting->change = REGISTRY_CHANGED;
    ret_putting->handed_over = false;
    ret_putting->replaced = (struct details *)(uintptr_t)state_details(row_state(row));
    if (ret_putting->replaced != NULL) {
        lease_remove(&write->partition->leases, ret_putting->replaced);
        counted(&write->partition->bytes, -ret_putting->replaced->bytes);
    }
    state_put(write, row, values, ret_putting);
    index_change(chunk_of(write->registry, ref), ref & (CHUNK_UNITS - 1), old, values);
}

void putting_finish(const struct write *write, const struct putting *putting, const struct values *values,
                    actor_ref actor) {
    if (putting->handed_over) {
        removal_finish(write, &putting->removal);
    }
    if (putting->tickets.count != 0) {
        struct event event = event_of_row(putting->change, putting->version, values, actor, write->key.name,
                                          write->key.length);
        tickets_tell(&putting->tickets, &event);
    }
    if (putting->first_to_expire) {
        keeper_wake(write->registry);
    }
    details_retire(write->registry, putting->replaced);
}

/* ---- register ---- */

/* Under the lock. */
static enum troupe_error register_allowed(const struct write *write, const struct registry_row *old,
                                          actor_ref actor, uint64_t now_ns) {
    struct runtime *runtime = write->registry->runtime;
    if (old != NULL && old->actor != actor && row_valid(runtime, old, now_ns)) {
        return TROUPE_EXISTS;
    }
    /* Here, so that the keeper either comes later and finds the row, or came before and the actor is seen dead.
     */
    return actor_alive(runtime, actor) ? TROUPE_OK : TROUPE_DEAD;
}

/* Under the lock; `wanted` says whether it was done. */
static enum troupe_error register_once(struct write *write, actor_ref actor, const struct values *values,
                                       uint64_t now_ns, struct putting *ret_putting) {
    struct slot slot = {0};
    struct values old;
    row_ref ref = table_find(write->registry, write->partition, &write->key, &slot);
    const struct registry_row *row = ref != REF_NONE ? row_of(write->registry, ref) : NULL;
    enum troupe_error error = register_allowed(write, row, actor, now_ns);
    write->wanted = SUPPLY_NONE;
    if (error != TROUPE_OK) {
        return error;
    }
    if (row != NULL && row->actor == actor) {
        state_values(write->registry, row_state(row), &old);
        room_in_place(write, ref, &old, values);
        if (write->wanted == SUPPLY_NONE) {
            row_put_in_place(write, ref, &old, values, ret_putting);
        }
    } else {
        error = room_fresh(write, row != NULL, values);
        if (error == TROUPE_OK && write->wanted == SUPPLY_NONE && row == NULL && !rows_admit(write)) {
            unit_give(write->registry, shelf_of(write->partition, write->namespace_id), write->fresh,
                      row_units(write->key.length));
            error = TROUPE_LIMIT;
        }
        if (error == TROUPE_OK && write->wanted == SUPPLY_NONE) {
            row_put_fresh(write, &slot, ref, actor, values, ret_putting);
        }
    }
    if (error == TROUPE_OK && write->wanted == SUPPLY_NONE) {
        counted(&write->partition->registered, 1);
        tickets_take(shelf_of(write->partition, write->namespace_id), write->key.hash, &ret_putting->tickets);
    }
    return error;
}

static enum troupe_error register_row(struct write *write, actor_ref actor, const struct values *values,
                                      uint64_t now_ns, struct putting *ret_putting) {
    for (;;) {
        write_lock(write);
        enum troupe_error error = register_once(write, actor, values, now_ns, ret_putting);
        write_unlock(write);
        if (error != TROUPE_OK || write->wanted == SUPPLY_NONE) {
            return error;
        }
        error = write_fetch(write);
        if (error != TROUPE_OK) {
            return error;
        }
    }
}

static bool resources_some(const struct resources *resources) {
    static const struct resources none;
    return memcmp(resources, &none, sizeof none) != 0;
}

static enum troupe_error register_fault(const struct registration *registration, enum troupe_error error,
                                        struct fault *fault) {
    const char *why = error == TROUPE_EXISTS  ? "a live agent holds the name"
                      : error == TROUPE_DEAD  ? "the actor, or the runtime, has ended"
                      : error == TROUPE_LIMIT ? "the registry has as many rows, or namespaces, as it may have"
                      : error == TROUPE_FULL  ? "removed rows wait for readers; try again after a turn"
                                              : error_text(error);
    return fault_set(fault, error, "registry", "%s/%s: %s", registration->name_space, registration->name,
                     why);
}

static const char *registration_wrong(const struct registration *registration) {
    if (registration->name_space == NULL || registration->name == NULL) {
        return "a namespace and a name are needed";
    }
    if (registration->name[0] == 0 || strlen(registration->name) > REGISTRY_NAME_MAX) {
        return "a name has 1 to 255 bytes";
    }
    if (registration->name_space[0] == 0 || strlen(registration->name_space) > REGISTRY_NAME_MAX) {
        return "a namespace has 1 to 255 bytes";
    }
    if (registration->actor == 0) {
        return "an actor is needed";
    }
    if (registration->opaque_length > REGISTRY_OPAQUE_MAX) {
        return "at most 4096 opaque bytes are kept";
    }
    if (registration->load >= REGISTRY_LOADS) {
        return "a load is a level from 0 to 7";
    }
    return registration->health > HEALTH_DOWN ? "the health is none of the known ones" : NULL;
}

static struct values registration_values(const struct registry *registry,
                                         const struct registration *registration, uint32_t set,
                                         uint64_t now_ns) {
    uint64_t never = UINT64_MAX - now_ns;
    return (struct values){
        .expires_ns = registration->lease_ns == 0      ? 0
                      : registration->lease_ns < never ? now_ns + registration->lease_ns
                                                       : UINT64_MAX,
        .capabilities = set == SET_OWN ? &registration->capabilities : set_of(registry, set),
        .resources = resources_some(&registration->resources) ? &registration->resources : NULL,
        .opaque = registration->opaque,
        .set = set,
        .opaque_length = (uint16_t)registration->opaque_length,
        .node = registration->node,
        .health = (uint8_t)registration->health,
        .load = registration->load};
}

static enum troupe_error values_register(struct registry *registry, registry_space space, const char *name,
                                         size_t length, actor_ref actor, const struct values *values,
                                         uint64_t now_ns, uint64_t *ret_version) {
    struct write write NOT_CLEARED;
    struct putting putting NOT_CLEARED;
    if (plain_put(registry, space, &(struct registry_name){name, length}, actor, values, ret_version)) {
        return TROUPE_OK;
    }
    enum troupe_error error = registry_admit(registry);
    if (error == TROUPE_OK) {
        error = keeper_monitor(registry, actor);
    }
    if (error != TROUPE_OK) {
        return error;
    }
    if (!write_begin(&write, registry, space, name, length)) {
        return TROUPE_INVALID;
    }
    error = register_row(&write, actor, values, now_ns, &putting);
    memory_free(registry->account, write.details);
    if (error == TROUPE_OK) {
        putting_finish(&write, &putting, values, actor);
        *ret_version = putting.version;
    }
    return error;
}

enum troupe_error registry_put(struct registry *registry, registry_space space, const char *name,
                               size_t length, actor_ref actor, uint64_t now_ns, uint64_t *ret_version) {
    const struct values nothing = {.capabilities = set_of(registry, 0), .health = HEALTH_UP};
    if (actor == 0) {
        return TROUPE_INVALID;
    }
    return values_register(registry, space, name, length, actor, &nothing, now_ns, ret_version);
}

enum troupe_error registry_register(struct registry *registry, const struct registration *registration,
                                    uint64_t now_ns, uint64_t *ret_version, struct fault *fault) {
    const char *wrong = registration_wrong(registration);
    if (wrong != NULL) {
        return fault_set(fault, TROUPE_INVALID, "registry", "%s", wrong);
    }
    const struct namespace *in = NULL;
    uint32_t set = 0;
    enum troupe_error error = namespace_intern(registry, registration->name_space, &in);
    if (error == TROUPE_OK) {
        error = set_intern(registry, &registration->capabilities, &set);
    }
    if (error == TROUPE_OK) {
        struct values values = registration_values(registry, registration, set, now_ns);
        error = values_register(registry, in->id, registration->name, strlen(registration->name),
                                registration->actor, &values, now_ns, ret_version);
    }
    return error == TROUPE_OK ? TROUPE_OK : register_fault(registration, error, fault);
}
