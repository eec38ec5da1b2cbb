/* A write under way: what it needs, what it leaves behind. Shared by registry_supply.c, registry_remove.c,
 * registry_write.c and registry_update.c.
 *
 * Shape of each: make what may be needed, lock the partition, look, and either change everything at once or
 *                unlock, fetch the one thing that is missing (a chunk, a block of bits, a larger table) and look
 *                again. So nothing is allocated under a lock and a failed allocation leaves no trace. What
 *                watchers are told is ordered under the lock by tickets and told after it, from memory that is
 *                the writer's own; only then what was replaced is retired.
 * Threads: any, readers or not: what is linked stays while the lock is held, what was unlinked is the writer's
 *          until it is retired or the lock is given up.
 * Memory: rows from the partition's chunks, details from the account. */
#ifndef REGISTRY_REGISTRY_WRITE_H
#define REGISTRY_REGISTRY_WRITE_H

#include "registry/registry_key.h"

enum supply_kind {
    SUPPLY_NONE,
    SUPPLY_SHELF,
    SUPPLY_TABLE,
    SUPPLY_CHUNK,
    SUPPLY_DIRECTORY,
    SUPPLY_BLOCK,
    SUPPLY_DETAILS
};

struct write {
    struct registry *registry;
    struct partition *partition;
    struct key key;
    uint32_t namespace_id;
    enum supply_kind wanted;
    unsigned posting;
    size_t size;         /* of what is wanted: bytes, buckets, units or places */
    void *supply;        /* fetched, not installed */
    struct chunk *chunk; /* that lacks a block, or after which a new one is to come */
    row_ref fresh;       /* taken, under the lock */
    struct details *details;
    struct directory *outgrown;
    struct table *emptied;
    bool extended; /* rows are to be moved: the keeper goes on with it when no writer does */
    struct batch *leaving;
};

/* ---- the frame and what there is room for (registry_supply.c) ---- */
/* False: there is no name like that. */
bool write_begin(struct write *write, struct registry *registry, uint32_t namespace_id, const char *name,
                 size_t length);
/* Also installs what was fetched. */
void write_lock(struct write *write);
void write_unlock(struct write *write);
MUST_CHECK enum troupe_error write_fetch(struct write *write);
/* Called under the lock; `wanted` says what to fetch, SUPPLY_NONE: nothing. For a row that is not there, or is
 * another holder's: the unit is taken. FULL, LIMIT. */
MUST_CHECK enum troupe_error room_fresh(struct write *write, bool replaces, const struct values *values);
void room_in_place(struct write *write, row_ref ref, const struct values *old, const struct values *values);
/* Rows are admitted a few at a time, so that partitions do not share a line with every write. */
bool rows_admit(struct write *write);

/* ---- removal (registry_remove.c) ---- */
struct removal { /* what is told of it, and retired after that */
    struct values values;
    struct details *details;
    actor_ref actor;
    uint64_t version;
    struct tickets tickets;
};

/* Under the lock: all but the table. */
void row_leave(struct write *write, row_ref ref, struct removal *ret_removal);
/* After it. */
void removal_finish(const struct write *write, const struct removal *removal);

/* ---- putting (registry_write.c) ---- */
struct putting {
    enum registry_change_kind change;
    uint64_t version;
    bool handed_over; /* from another holder: REMOVED, then ADDED */
    bool first_to_expire;
    struct details *replaced;
    struct removal removal; /* of the other holder's row */
    struct tickets tickets;
};

/* Under the lock, with room: nothing fails any more. */
void row_put_in_place(struct write *write, row_ref ref, const struct values *old, const struct values *values,
                      struct putting *ret_putting);
/* After it. The row that was put may be gone already: `values` are the writer's own. */
void putting_finish(const struct write *write, const struct putting *putting, const struct values *values,
                    actor_ref actor);

#endif
