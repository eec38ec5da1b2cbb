/* Updates: a row says something else where it is, by compare-and-set on its version.
 * Shape, threads, memory: see registry_write.h. */
#include "registry/registry_write.h"

static bool same_bytes(const void *a, const void *b, size_t bytes) {
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

static bool same_resources(const struct resources *a, const struct resources *b) {
    return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof *a) == 0);
}

static bool values_same(const struct values *a, const struct values *b) {
    return a->health == b->health && a->load == b->load && a->node == b->node &&
           memcmp(a->capabilities, b->capabilities, sizeof *a->capabilities) == 0 &&
           same_resources(a->resources, b->resources) && a->opaque_length == b->opaque_length &&
           same_bytes(a->opaque, b->opaque, a->opaque_length);
}

static bool update_wrong(const struct registry_update *update) {
    return update->health < REGISTRY_KEEP || update->health > HEALTH_DOWN || update->load < REGISTRY_KEEP ||
           update->load >= (int)REGISTRY_LOADS || update->node < REGISTRY_KEEP || update->node > UINT16_MAX ||
           update->opaque_length > REGISTRY_OPAQUE_MAX;
}

static void values_update(const struct registry *registry, struct values *values,
                          const struct registry_update *update, uint32_t set) {
    static const struct resources none;
    if (update->health != REGISTRY_KEEP) {
        values->health = (uint8_t)update->health;
    }
    if (update->load != REGISTRY_KEEP) {
        values->load = (uint8_t)update->load;
    }
    if (update->node != REGISTRY_KEEP) {
        values->node = (uint16_t)update->node;
    }
    if (update->capabilities != NULL) {
        values->capabilities = set == SET_OWN ? update->capabilities : set_of(registry, set);
        values->set = set;
    }
    if (update->resources != NULL) {
        bool some = memcmp(update->resources, &none, sizeof none) != 0;
        values->resources = some ? update->resources : NULL;
    }
    if (update->opaque != NULL) {
        values->opaque = update->opaque;
        values->opaque_length = (uint16_t)update->opaque_length;
    }
}

/* Under the lock. */
static enum troupe_error update_allowed(const struct write *write, const struct registry_row *row,
                                        uint64_t version_expected) {
    if (row == NULL || !actor_alive(write->registry->runtime, row->actor)) {
        return TROUPE_NOT_FOUND;
    }
    return version_expected != 0 && state_version(row_state(row)) != version_expected ? TROUPE_EXISTS
                                                                                      : TROUPE_OK;
}

struct updating {
    const struct registry_update *update;
    uint64_t version_expected;
    uint32_t set;
    bool done; /* something changed */
    actor_ref actor;
    struct values values;
    struct putting putting;
};

/* Under the lock. */
static enum troupe_error update_once(struct write *write, struct updating *updating) {
    struct slot slot;
    struct values old;
    row_ref ref = table_find(write->registry, write->partition, &write->key, &slot);
    const struct registry_row *row = ref != REF_NONE ? row_of(write->registry, ref) : NULL;
    enum troupe_error error = update_allowed(write, row, updating->version_expected);
    write->wanted = SUPPLY_NONE;
    if (error != TROUPE_OK) {
        return error;
    }
    state_values(write->registry, row_state(row), &old);
    updating->values = old;
    values_update(write->registry, &updating->values, updating->update, updating->set);
    if (values_same(&old, &updating->values)) {
        return TROUPE_OK;
    }
    room_in_place(write, ref, &old, &updating->values);
    if (write->wanted == SUPPLY_NONE) {
        updating->actor = row->actor;
        row_put_in_place(write, ref, &old, &updating->values, &updating->putting);
        tickets_take(shelf_of(write->partition, write->namespace_id), write->key.hash,
                     &updating->putting.tickets);
        updating->done = true;
    }
    return TROUPE_OK;
}

enum troupe_error registry_update(struct registry *registry, const char *name_space, const char *name,
                                  uint64_t version_expected, const struct registry_update *update) {
    struct write write;
    struct updating updating = {.update = update, .version_expected = version_expected};
    if (update_wrong(update)) {
        return TROUPE_INVALID;
    }
    const struct namespace *in = namespace_find(registry, name_space);
    if (in == NULL || !write_begin(&write, registry, in->id, name, strlen(name))) {
        return TROUPE_NOT_FOUND;
    }
    enum troupe_error error = registry_admit(registry);
    if (error == TROUPE_OK && update->capabilities != NULL) {
        error = set_intern(registry, update->capabilities, &updating.set);
    }
    bool again = error == TROUPE_OK;
    while (again) {
        write_lock(&write);
        error = update_once(&write, &updating);
        write_unlock(&write);
        again = error == TROUPE_OK && write.wanted != SUPPLY_NONE;
        if (again) {
            error = write_fetch(&write);
            again = error == TROUPE_OK;
        }
    }
    memory_free(registry->account, write.details);
    if (updating.done) {
        putting_finish(&write, &updating.putting, &updating.values, updating.actor);
    }
    return error;
}

enum troupe_error registry_set_health(struct registry *registry, const char *name_space, const char *name,
                                      uint64_t version_expected, enum health health) {
    struct registry_update update = REGISTRY_UPDATE_NONE;
    if (health > HEALTH_DOWN) {
        return TROUPE_INVALID;
    }
    update.health = (int)health;
    return registry_update(registry, name_space, name, version_expected, &update);
}
