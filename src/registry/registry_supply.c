/* The frame of a write, and what it must have before it can be made: a shelf, a chunk with a free unit, blocks of
 * bits, a table with room, details.
 *
 * Invariants: nothing is allocated under the lock; one thing is fetched at a time and installed when the lock is
 *             held again, if it is still needed.
 * Threads, memory: see registry_write.h. */
#include "registry/registry_write.h"

bool write_begin(struct write *write, struct registry *registry, uint32_t namespace_id, const char *name,
                 size_t length) {
    write->registry = registry;
    write->namespace_id = namespace_id;
    write->wanted = SUPPLY_NONE;
    write->supply = NULL;
    write->details = NULL;
    if (!key_make(registry, namespace_id, name, length, &write->key)) {
        return false;
    }
    write->partition = partition_of(registry, write->key.hash);
    partition_prefetch(write->partition, write->key.hash);
    return true;
}

static void write_install(struct write *write) {
    struct partition *partition = write->partition;
    struct shelf *shelf = shelf_of(partition, write->namespace_id);
    bool used = false;
    switch (write->supply == NULL ? SUPPLY_NONE : write->wanted) {
    case SUPPLY_SHELF:
        used = shelf == NULL;
        if (used) {
            shelf_install(partition, write->namespace_id, write->supply);
        }
        break;
    case SUPPLY_TABLE:
        used = table_full(partition);
        if (used) {
            table_extend(partition, write->supply);
            write->extended = true;
        }
        break;
    case SUPPLY_CHUNK: {
        struct chunk *chunk = write->supply;
        used = shelf->stocks[lane_mine()].newest == write->chunk &&
               chunk_install(write->registry, partition, write->namespace_id, chunk);
        break;
    }
    case SUPPLY_DIRECTORY:
        write->outgrown = directory_install(write->registry, write->supply);
        used = true;
        break;
    case SUPPLY_BLOCK:
        used = block_install(write->chunk, write->posting, write->supply);
        counted(&partition->bytes, used ? write->size : 0);
        break;
    default:
        break;
    }
    write->supply = used ? NULL : write->supply;
}

void write_lock(struct write *write) {
    write->outgrown = NULL;
    write->extended = false;
    spin_lock(&write->partition->lock);
    limbo_settle_all(write->registry, write->partition);
    write->emptied = table_moving(write->partition) ? table_migrate(write->registry, write->partition) : NULL;
    if (write->supply != NULL) {
        write_install(write);
    }
}

void write_unlock(struct write *write) {
    struct partition *partition = write->partition;
    write->leaving = limbo_leave_any(partition);
    spin_unlock_seen(&write->partition->lock);
    if (write->leaving != NULL) {
        registry_retire(write->registry, &write->leaving->node);
    }
    if (write->extended) {
        keeper_wake(write->registry);
    }
    if (write->outgrown != NULL || write->emptied != NULL || write->supply != NULL) {
        directory_retire(write->registry, write->outgrown);
        table_retire(write->registry, write->emptied);
        memory_free(write->registry->account, write->supply); /* somebody else was faster */
        write->supply = NULL;
    }
}

enum troupe_error write_fetch(struct write *write) {
    struct account *account = write->registry->account;
    switch (write->wanted) {
    case SUPPLY_SHELF:
        write->supply = shelf_new(account);
        break;
    case SUPPLY_TABLE:
        write->supply = table_new(account, write->size);
        break;
    case SUPPLY_CHUNK:
        write->supply = chunk_new(account, (uint32_t)write->size);
        break;
    case SUPPLY_DIRECTORY:
        write->supply = directory_new(account, (uint32_t)write->size);
        break;
    case SUPPLY_BLOCK:
        write->supply = memory_alloc(account, write->size);
        break;
    default:
        memory_free(account, write->details);
        write->details = details_new(account, write->size);
        return write->details == NULL ? TROUPE_NOMEM : TROUPE_OK;
    }
    return write->supply == NULL ? TROUPE_NOMEM : TROUPE_OK;
}

/* ---- room: each is called under the lock and says in `wanted` what to fetch, SUPPLY_NONE: nothing ---- */

static bool room_details(struct write *write, const struct values *values) {
    /* A name that passes to another holder takes two versions. */
    if (values_plain(values, write->partition->version + 2) ||
        (write->details != NULL && write->details->bytes >= details_bytes(values))) {
        return true;
    }
    write->wanted = SUPPLY_DETAILS;
    write->size = details_bytes(values);
    return false;
}

static bool room_bits(struct write *write, struct chunk *chunk, const struct values *old,
                      const struct values *values) {
    write->posting = index_missing(chunk, old, values);
    if (write->posting == POSTING_NONE) {
        return true;
    }
    write->wanted = SUPPLY_BLOCK;
    write->chunk = chunk;
    write->size = block_bytes(chunk->capacity);
    return false;
}

static enum troupe_error room_unit(struct write *write, struct shelf *shelf) {
    struct partition *partition = write->partition;
    struct registry *registry = write->registry;
    uint32_t capacity;
    write->fresh =
        unit_take(registry, partition, write->namespace_id, row_units(write->key.length), &capacity);
    if (write->fresh != REF_NONE) {
        return TROUPE_OK;
    }
    if (limbo_rows(partition) > LIMBO_ROWS_MAX) {
        return TROUPE_FULL;
    }
    write->size = directory_wanted(registry);
    if (write->size > CHUNKS_MAX) {
        return TROUPE_LIMIT;
    }
    write->wanted = SUPPLY_DIRECTORY;
    if (write->size == 0) {
        write->wanted = SUPPLY_CHUNK;
        write->chunk = shelf->stocks[lane_mine()].newest;
        write->size = capacity;
    }
    return TROUPE_OK;
}

enum troupe_error room_fresh(struct write *write, bool replaces, const struct values *values) {
    struct shelf *shelf = shelf_of(write->partition, write->namespace_id);
    write->wanted = SUPPLY_NONE;
    if (shelf == NULL) {
        write->wanted = SUPPLY_SHELF;
        return TROUPE_OK;
    }
    if (!replaces && table_full(write->partition)) {
        write->wanted = SUPPLY_TABLE;
        write->size = table_buckets_next(write->partition);
        return TROUPE_OK;
    }
    if (!room_details(write, values)) {
        return TROUPE_OK;
    }
    enum troupe_error error = room_unit(write, shelf);
    if (error == TROUPE_OK && write->wanted == SUPPLY_NONE &&
        !room_bits(write, chunk_of(write->registry, write->fresh), NULL, values)) {
        unit_give(write->registry, shelf, write->fresh, row_units(write->key.length));
    }
    return error;
}

void room_in_place(struct write *write, row_ref ref, const struct values *old, const struct values *values) {
    write->wanted = SUPPLY_NONE;
    if (room_details(write, values)) {
        room_bits(write, chunk_of(write->registry, ref), old, values);
    }
}

bool rows_admit(struct write *write) {
    struct registry *registry = write->registry;
    struct partition *partition = write->partition;
    if (partition->spare > 0) {
        partition->spare--;
        return true;
    }
    for (size_t step = registry->rows_step; step > 0; step = step > 1 ? 1 : 0) {
        /* Relaxed: a bound, it orders nothing. */
        size_t before = atomic_fetch_add_explicit(&registry->rows, step, memory_order_relaxed);
        if (before + step <= registry->rows_max) {
            partition->spare = step - 1;
            return true;
        }
        atomic_fetch_sub_explicit(&registry->rows, step, memory_order_relaxed);
    }
    return false;
}
