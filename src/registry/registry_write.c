/* Writes: register, unregister, health, and the removal of what ended or expired.
 *
 * Shape of each: make what may be needed, lock the partition, look, and either change everything at once or
 *                unlock, fetch the one thing that is missing (a larger array or table) and look again. So
 *                nothing is allocated under a lock and a failed allocation leaves no trace. What watchers are
 *                told is ordered under the lock by tickets and told after it, from memory that is the writer's
 *                own; only then the removed row is retired.
 * Threads: any, readers or not: what is linked stays while the lock is held, what was unlinked is the writer's
 *          until it is retired.
 * Memory: rows from the account. */
#include "registry/registry_private.h"

#define POSTING_CAPACITY_MIN 4U

enum supply_kind { SUPPLY_NONE, SUPPLY_INDEX, SUPPLY_TABLE, SUPPLY_POSTING, SUPPLY_ROW };

struct write {
    struct registry *registry;
    struct partition *partition;
    struct key key;
    enum supply_kind wanted;
    unsigned posting;
    size_t size;  /* of what is wanted: bytes, buckets, or places */
    void *supply; /* fetched, not installed */
    struct registry_row *copy;
    size_t copy_bytes;
    struct posting_array *outgrown;
    struct table *emptied;
};

/* ---- the frame of a write ---- */

static bool write_begin(struct write *write, struct registry *registry, const struct namespace *in,
                        const char *name) {
    size_t length = strlen(name);
    if (in == NULL || length == 0 || length > REGISTRY_NAME_MAX) {
        return false;
    }
    uint64_t hash = key_hash(registry, in->id, name, length);
    *write = (struct write){
        .registry = registry,
        .partition = partition_of(registry, hash),
        .key = {.hash = hash, .name = name, .namespace_id = in->id, .length = (uint32_t)length}};
    return true;
}

static void write_install(struct write *write) {
    struct partition *partition = write->partition;
    struct index *index = index_of(partition, write->key.namespace_id);
    switch (write->supply == NULL ? SUPPLY_NONE : write->wanted) {
    case SUPPLY_INDEX:
        if (index == NULL) {
            index_install(partition, write->key.namespace_id, write->supply);
            write->supply = NULL;
        }
        break;
    case SUPPLY_TABLE:
        if (table_full(partition)) {
            table_extend(partition, write->supply);
            write->supply = NULL;
        }
        break;
    case SUPPLY_POSTING:
        if (posting_capacity(index, write->posting) < write->size) {
            counted(&partition->bytes, ((struct posting_array *)write->supply)->bytes);
            write->outgrown = posting_install(index, write->posting, write->supply);
            counted(&partition->bytes, write->outgrown == NULL ? 0 : -write->outgrown->bytes);
            write->supply = NULL;
        }
        break;
    default:
        break;
    }
}

static void write_lock(struct write *write) {
    write->outgrown = NULL;
    spin_lock(&write->partition->lock);
    write->emptied = table_migrate(write->registry, write->partition);
    write_install(write);
}

static void write_unlock(struct write *write) {
    spin_unlock(&write->partition->lock);
    posting_retire(write->registry, write->outgrown);
    table_retire(write->registry, write->emptied);
    memory_free(write->registry->account, write->supply); /* somebody else was faster */
    write->supply = NULL;
}

static enum troupe_error write_fetch(struct write *write) {
    struct account *account = write->registry->account;
    switch (write->wanted) {
    case SUPPLY_INDEX:
        write->supply = memory_alloc(account, sizeof(struct index));
        break;
    case SUPPLY_TABLE:
        write->supply = table_new(account, write->size);
        break;
    case SUPPLY_POSTING:
        write->supply = posting_new(account, (uint32_t)write->size);
        break;
    default:
        memory_free(account, write->copy);
        write->copy = memory_alloc(account, write->size);
        write->copy_bytes = write->size;
        return write->copy == NULL ? TROUPE_NOMEM : TROUPE_OK;
    }
    return write->supply == NULL ? TROUPE_NOMEM : TROUPE_OK;
}

/* Under the lock: is there room to put `row` in the place of `old` (which may be NULL)? If not, `wanted` says
 * what to fetch. */
static bool write_has_room(struct write *write, const struct registry_row *old,
                           const struct registry_row *row) {
    const struct index *index = index_of(write->partition, write->key.namespace_id);
    if (index == NULL) {
        write->wanted = SUPPLY_INDEX;
        return false;
    }
    if (old == NULL && table_full(write->partition)) {
        write->wanted = SUPPLY_TABLE;
        write->size = table_buckets_next(write->partition);
        return false;
    }
    write->posting = index_missing(index, old, row);
    if (write->posting != POSTING_NONE) {
        size_t capacity = posting_capacity(index, write->posting);
        write->wanted = SUPPLY_POSTING;
        write->size = capacity == 0 ? POSTING_CAPACITY_MIN : 2 * capacity;
        return false;
    }
    write->wanted = SUPPLY_NONE;
    return true;
}

/* ---- removal ---- */

struct removal {
    struct registry_row *row;
    uint64_t version;
    struct tickets tickets;
};

/* Under the lock. */
static void row_unlink(struct write *write, struct slot slot, struct registry_row *row,
                       struct removal *ret_removal) {
    struct partition *partition = write->partition;
    struct index *index = index_of(partition, row->namespace_id);
    ret_removal->row = row;
    ret_removal->version = ++partition->version;
    tickets_take(index, row_links(row)->positions[POSTING_ALL], &ret_removal->tickets);
    table_remove(slot, row);
    lease_remove(&partition->leases, row);
    index_change(index, row, NULL);
    counted(&partition->rows, UINT64_MAX); /* one less */
    counted(&partition->removed, 1);
    counted(&partition->bytes, -row_bytes(row));
    atomic_fetch_sub_explicit(&write->registry->rows, 1, memory_order_relaxed); /* a bound */
}

/* After the lock. */
static void removal_finish(struct registry *registry, const struct removal *removal) {
    struct event event = event_of_row(REGISTRY_REMOVED, removal->version, removal->row);
    tickets_tell(&removal->tickets, &event);
    row_retire(registry, removal->row);
}

enum troupe_error registry_unregister(struct registry *registry, const char *name_space, const char *name,
                                      actor_ref actor) {
    struct write write;
    struct removal removal;
    struct slot slot;
    if (!write_begin(&write, registry, namespace_find(registry, name_space), name)) {
        return TROUPE_NOT_FOUND;
    }
    write_lock(&write);
    struct registry_row *row = table_find(write.partition, &write.key, &slot);
    bool his = row != NULL && row->actor == actor;
    if (his) {
        row_unlink(&write, slot, row, &removal);
    }
    write_unlock(&write);
    if (!his) {
        return TROUPE_NOT_FOUND;
    }
    removal_finish(registry, &removal);
    return TROUPE_OK;
}

/* Removes a row that `pick` names under the lock; false: it named none. */
static bool remove_picked(struct registry *registry, struct partition *partition,
                          struct registry_row *(*pick)(struct partition *partition, uint64_t argument),
                          uint64_t argument) {
    struct write write = {.registry = registry, .partition = partition};
    struct removal removal;
    write_lock(&write);
    struct registry_row *row = pick(partition, argument);
    if (row != NULL) {
        struct key key = {.hash = key_hash(registry, row->namespace_id, row->bytes, row->name_length),
                          .name = row->bytes,
                          .namespace_id = row->namespace_id,
                          .length = row->name_length};
        struct slot slot;
        struct registry_row *found = table_find(partition, &key, &slot);
        CHECK(found == row);
        row_unlink(&write, slot, row, &removal);
    }
    write_unlock(&write);
    if (row != NULL) {
        removal_finish(registry, &removal);
    }
    return row != NULL;
}

static struct registry_row *pick_owned(struct partition *partition, uint64_t actor) {
    return table_owned(partition, actor);
}

static struct registry_row *pick_expired(struct partition *partition, uint64_t now_ns) {
    struct registry_row *row = partition->leases;
    return row != NULL && row_expired(row, now_ns) ? row : NULL;
}

unsigned registry_remove_some(struct registry *registry, actor_ref actor, unsigned rows_max) {
    unsigned removed = 0;
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        while (removed < rows_max && remove_picked(registry, &registry->partitions[at], pick_owned, actor)) {
            removed++;
        }
    }
    return removed;
}

unsigned registry_remove_actor(struct registry *registry, actor_ref actor) {
    return registry_remove_some(registry, actor, UINT32_MAX);
}

unsigned registry_expire_some(struct registry *registry, uint64_t now_ns, unsigned rows_max,
                              uint64_t *ret_next_ns) {
    unsigned removed = 0;
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        while (removed < rows_max && remove_picked(registry, partition, pick_expired, now_ns)) {
            removed++;
        }
        spin_lock(&partition->lock);
        if (partition->leases != NULL && row_lease(partition->leases)->expires_ns < next_ns) {
            next_ns = row_lease(partition->leases)->expires_ns;
        }
        spin_unlock(&partition->lock);
    }
    *ret_next_ns = next_ns;
    return removed;
}

/* ---- register ---- */

struct putting {
    struct registry_row *old; /* replaced, or NULL */
    enum registry_change_kind change;
    uint64_t version;
    uint64_t removed_version; /* of the holder it replaced */
    bool handed_over;         /* from another holder: REMOVED, then ADDED */
    bool first_to_expire;
    struct tickets removed, tickets;
};

/* Under the lock, with room: nothing fails any more. */
static void row_put(struct write *write, struct slot slot, struct registry_row *row,
                    struct putting *ret_putting) {
    struct partition *partition = write->partition;
    struct index *index = index_of(partition, row->namespace_id);
    struct registry_row *old = ret_putting->old;
    ret_putting->handed_over = old != NULL && old->actor != row->actor;
    ret_putting->change = old == NULL || ret_putting->handed_over ? REGISTRY_ADDED : REGISTRY_CHANGED;
    ret_putting->removed.count = 0;
    if (ret_putting->handed_over) {
        ret_putting->removed_version = ++partition->version;
        tickets_take(index, row_links(old)->positions[POSTING_ALL], &ret_putting->removed);
        counted(&partition->removed, 1);
    }
    row->version = ++partition->version;
    ret_putting->version = row->version;
    if (old != NULL) {
        table_replace(slot, old, row);
        lease_remove(&partition->leases, old);
        counted(&partition->bytes, -row_bytes(old));
    } else {
        table_insert(partition, write->key.hash, row);
        counted(&partition->rows, 1);
    }
    lease_insert(&partition->leases, row);
    ret_putting->first_to_expire = partition->leases == row;
    index_change(index, old, row);
    counted(&partition->bytes, row_bytes(row));
    tickets_take(index, row_links(row)->positions[POSTING_ALL], &ret_putting->tickets);
}

/* After the lock. The row that was put may be gone already: `like` is told instead. */
static void putting_finish(struct registry *registry, const struct putting *putting,
                           const struct event *like) {
    if (putting->handed_over) {
        struct event removed = event_of_row(REGISTRY_REMOVED, putting->removed_version, putting->old);
        tickets_tell(&putting->removed, &removed);
    }
    struct event event = *like;
    event.change = putting->change;
    event.version = putting->version;
    tickets_tell(&putting->tickets, &event);
    if (putting->first_to_expire) {
        keeper_wake(registry);
    }
    row_retire(registry, putting->old);
}

/* Under the lock. */
static enum troupe_error register_allowed(const struct write *write, const struct registry_row *old,
                                          const struct registry_row *row, uint64_t now_ns) {
    struct runtime *runtime = write->registry->runtime;
    if (old != NULL && old->actor != row->actor && row_valid(runtime, old, now_ns)) {
        return TROUPE_EXISTS;
    }
    /* Here, so that the keeper either comes later and finds the row, or came before and the actor is seen dead.
     */
    return actor_alive(runtime, row->actor) ? TROUPE_OK : TROUPE_DEAD;
}

static bool rows_admit(struct registry *registry) {
    if (atomic_fetch_add_explicit(&registry->rows, 1, memory_order_relaxed) < registry->rows_max) {
        return true; /* relaxed: a bound, it orders nothing */
    }
    atomic_fetch_sub_explicit(&registry->rows, 1, memory_order_relaxed);
    return false;
}

static enum troupe_error register_row(struct write *write, struct registry_row *row, uint64_t now_ns,
                                      struct putting *ret_putting) {
    for (;;) {
        struct slot slot = {0};
        write_lock(write);
        struct registry_row *old = table_find(write->partition, &write->key, &slot);
        enum troupe_error error = register_allowed(write, old, row, now_ns);
        bool room = error == TROUPE_OK && write_has_room(write, old, row);
        if (room && old == NULL && !rows_admit(write->registry)) {
            error = TROUPE_LIMIT;
        } else if (room) {
            ret_putting->old = old;
            row_put(write, slot, row, ret_putting);
            counted(&write->partition->registered, 1);
        }
        write_unlock(write);
        if (error != TROUPE_OK || room) {
            return error;
        }
        error = write_fetch(write);
        if (error != TROUPE_OK) {
            return error;
        }
    }
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
    return registration->health > HEALTH_DOWN ? "the health is none of the known ones" : NULL;
}

enum troupe_error registry_register(struct registry *registry, const struct registration *registration,
                                    uint64_t now_ns, uint64_t *ret_version, struct fault *fault) {
    const char *wrong = registration_wrong(registration);
    if (wrong != NULL) {
        return fault_set(fault, TROUPE_INVALID, "registry", "%s", wrong);
    }
    const struct namespace *in = NULL;
    struct write write;
    struct putting putting;
    struct registry_row *row = NULL;
    enum troupe_error error = registry_admit(registry);
    if (error == TROUPE_OK) {
        error = namespace_intern(registry, registration->name_space, &in);
    }
    if (error == TROUPE_OK) {
        error = keeper_monitor(registry, registration->actor);
    }
    if (error == TROUPE_OK) {
        row = row_new(registry->account, registration, in->id, now_ns);
        error = row == NULL ? TROUPE_NOMEM : TROUPE_OK;
    }
    if (error == TROUPE_OK) {
        bool begun = write_begin(&write, registry, in, registration->name);
        CHECK(begun);
        error = register_row(&write, row, now_ns, &putting);
    }
    if (error != TROUPE_OK) {
        memory_free(registry->account, row);
        return register_fault(registration, error, fault);
    }
    struct event like = {.actor = registration->actor,
                         .capabilities = &registration->capabilities,
                         .resources = &registration->resources,
                         .health = registration->health,
                         .name = registration->name,
                         .name_length = write.key.length};
    putting_finish(registry, &putting, &like);
    *ret_version = putting.version;
    return TROUPE_OK;
}

/* ---- health ---- */

/* Under the lock: what stands in the way, or the row to change. */
static enum troupe_error health_allowed(const struct write *write, uint64_t version_expected,
                                        struct slot *ret_slot, struct registry_row **ret_row) {
    struct registry_row *row = table_find(write->partition, &write->key, ret_slot);
    if (row == NULL || !actor_alive(write->registry->runtime, row->actor)) {
        return TROUPE_NOT_FOUND;
    }
    if (version_expected != 0 && row->version != version_expected) {
        return TROUPE_EXISTS;
    }
    *ret_row = row;
    return TROUPE_OK;
}

/* Under the lock: the copy with the new health, if it fits by now and has room. */
static bool health_copy(struct write *write, const struct registry_row *row, enum health health) {
    if (write->copy == NULL || write->copy_bytes != row_bytes(row)) {
        write->wanted = SUPPLY_ROW;
        write->size = row_bytes(row);
        return false;
    }
    row_copy(write->copy, row, health);
    return write_has_room(write, row, write->copy);
}

/* *ret_putting.old: the row replaced, NULL when it had that health already. */
static enum troupe_error health_put(struct write *write, uint64_t version_expected, enum health health,
                                    struct putting *ret_putting) {
    for (;;) {
        struct slot slot;
        struct registry_row *row = NULL;
        write_lock(write);
        enum troupe_error error = health_allowed(write, version_expected, &slot, &row);
        bool same = error == TROUPE_OK && row->health == (uint8_t)health;
        bool ready = error == TROUPE_OK && !same && health_copy(write, row, health);
        if (ready) {
            ret_putting->old = row;
            row_put(write, slot, write->copy, ret_putting);
            write->copy = NULL;
        }
        write_unlock(write);
        if (error != TROUPE_OK || same || ready) {
            return error;
        }
        error = write_fetch(write);
        if (error != TROUPE_OK) {
            return error;
        }
    }
}

enum troupe_error registry_set_health(struct registry *registry, const char *name_space, const char *name,
                                      uint64_t version_expected, enum health health) {
    struct write write;
    struct putting putting = {.old = NULL};
    if (health > HEALTH_DOWN) {
        return TROUPE_INVALID;
    }
    if (!write_begin(&write, registry, namespace_find(registry, name_space), name)) {
        return TROUPE_NOT_FOUND;
    }
    enum troupe_error error = registry_admit(registry);
    if (error == TROUPE_OK) {
        error = health_put(&write, version_expected, health, &putting);
    }
    memory_free(registry->account, write.copy);
    if (error == TROUPE_OK && putting.old != NULL) {
        struct event like = event_of_row(REGISTRY_CHANGED, putting.version, putting.old);
        like.health = health;
        putting_finish(registry, &putting, &like);
    }
    return error;
}
