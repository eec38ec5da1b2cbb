/* The registry's parts, shared by this floor's files only.
 *
 * Structure: registry -> partitions -> table (slots {tag:16, row:48}) and, per namespace, an index (dense
 *            arrays of rows: all, usable, one per capability). A row is one block: what readers see, then
 *            optional parts, then the links that only writers read.
 * Threads: each field says who may touch it. "partition" means: holders of the partition's lock. Lock order:
 *          partition, then watch; nothing is allocated, sent, retired or called back under either.
 * Memory: the account. What readers may still hold is retired (registry_retire), never freed. */
#ifndef REGISTRY_REGISTRY_PRIVATE_H
#define REGISTRY_REGISTRY_PRIVATE_H

#include <string.h>

#include "registry/registry.h"

#define PARTITIONS_MAX 256U
#define NAMESPACES_MAX 256U
#define NAMESPACE_SLOTS 512U /* of the open-addressed table: never more than half full */
#define WATCHERS_MAX 64U
#define SLOTS_PER_BUCKET 8U /* a cache line */
#define COUNTERS 64U
#define OWNER_SEGMENT 2048U /* actor slots */
#define OWNER_SEGMENTS 2048U

/* ---- rows (registry_row.c) ---- */
enum row_part { ROW_LEASE = 1, ROW_CAPABILITIES = 2, ROW_RESOURCES = 4 };

struct row_lease { /* owner: partition, but for expires_ns, which is immutable */
    uint64_t expires_ns;
    struct registry_row *child, *sibling, **link; /* of the pairing heap; link NULL: in none */
};
struct row_links { /* owner: partition while the row is in the table, then who removed it */
    struct grace_node node;
    struct registry_row *row;
    struct registry_row *owner_next, **owner_link; /* rows of actors with the same hash */
    uint32_t capability_count;
    uint32_t positions[]; /* in the index's arrays: all, usable, then each capability in bit order */
};

struct key {
    uint64_t hash;
    const char *name;
    uint32_t namespace_id;
    uint32_t length;
};

struct namespace { /* immutable */
    uint32_t id;
    uint32_t length;
    char name[];
};

static inline size_t row_aligned(size_t bytes) {
    return (bytes + 7) & ~(size_t)7;
}
/* Where the optional parts begin. */
static inline size_t row_parts_offset(const struct registry_row *row) {
    return row_aligned(offsetof(struct registry_row, bytes) + row->name_length + 1U + row->opaque_length);
}
static inline struct row_lease *row_lease(const struct registry_row *row) {
    return (struct row_lease *)(void *)((char *)(uintptr_t)row + row_parts_offset(row));
}
struct row_links *row_links(const struct registry_row *row);
size_t row_bytes(const struct registry_row *row);
/* NULL: no memory. Version 0. */
struct registry_row *row_new(struct account *account, const struct registration *registration,
                             uint32_t namespace_id, uint64_t now_ns);
/* Fills `copy`, of row_bytes(row), with the values of `row` and another health; in no table or index. */
void row_copy(struct registry_row *copy, const struct registry_row *row, enum health health);
/* Alive and not expired. */
bool row_valid(struct runtime *runtime, const struct registry_row *row, uint64_t now_ns);
static inline bool row_expired(const struct registry_row *row, uint64_t now_ns) {
    return (row->parts & ROW_LEASE) != 0 && row_lease(row)->expires_ns <= now_ns;
}

struct partition;
/* ---- tables (registry_table.c) ---- */
#define SLOT_EMPTY UINT64_C(0) /* no probe goes past a bucket that has one */
#define SLOT_TOMB UINT64_C(1)
#define SLOT_POINTER UINT64_C(0xffffffffffff)

struct table {
    uint64_t mask;                /* buckets - 1; immutable */
    _Atomic(struct table *) next; /* where its rows are moving; readers go on there */
    /* owner: partition */
    uint64_t limit; /* used and tombs together */
    uint64_t used, tombs;
    uint64_t migrated; /* buckets of this one that have moved to `next` */
    uint64_t owners_mask;
    struct registry_row **owners; /* heads of the lists of rows by actor, behind the slots */
    struct grace_node node;
    size_t bytes;
    _Alignas(64) _Atomic uint64_t slots[];
};
struct slot {
    struct table *table;
    uint64_t index;
};

static inline uint64_t hash_bucket(uint64_t hash) {
    return hash >> 16 & UINT64_C(0xffffffff);
}
static inline uint64_t hash_tag(uint64_t hash) {
    return hash & ~SLOT_POINTER;
}
static inline struct registry_row *slot_row(uint64_t word) {
    return (struct registry_row *)(uintptr_t)(word & SLOT_POINTER);
}
static inline bool slot_used(uint64_t word) {
    return word > SLOT_TOMB;
}

struct table *table_new(struct account *account, uint64_t buckets);
uint64_t table_buckets_next(const struct partition *partition);

/* For the lock's holder; NULL: absent. */
struct registry_row *table_find(const struct partition *partition, const struct key *key,
                                struct slot *ret_slot);
/* Needs a table with room: not table_full. */
void table_insert(struct partition *partition, uint64_t hash, struct registry_row *row);
void table_replace(struct slot slot, struct registry_row *old, struct registry_row *row);
void table_remove(struct slot slot, struct registry_row *row);
bool table_full(const struct partition *partition);
/* A further table for the rows to move to; table_full must be true. */
void table_extend(struct partition *partition, struct table *table);
/* Moves a few rows on. Returns a table that is now empty and out of reach, to be retired, or NULL. */
struct table *table_migrate(struct registry *registry, struct partition *partition);
/* Some row of the actor, or NULL. */
struct registry_row *table_owned(const struct partition *partition, actor_ref actor);

/* ---- indexes (registry_index.c) ---- */
enum posting { POSTING_ALL, POSTING_USABLE, POSTING_CAPABILITY };
#define POSTINGS (POSTING_CAPABILITY + CAPABILITIES_MAX)

struct posting_array {
    struct grace_node node;
    size_t bytes;
    uint32_t capacity;         /* immutable */
    _Atomic uint32_t count;    /* partition writes, any reads */
    _Atomic uint32_t removals; /* partition writes, any reads: counts them */
    _Atomic(struct registry_row *) rows[];
};
struct subscription;
struct index {                          /* of a partition and namespace */
    struct subscription *subscriptions; /* partition */
    _Atomic(struct posting_array *) postings[POSTINGS];
};
#define POSTING_NONE UINT32_MAX

struct index *index_of(const struct partition *partition, uint32_t namespace_id);
void index_install(struct partition *partition, uint32_t namespace_id, struct index *index);
/* The index, made if need be. NOMEM. */
MUST_CHECK enum troupe_error index_ensure(struct registry *registry, struct partition *partition,
                                          uint32_t namespace_id);
/* An array that must grow before index_change(index, old, row), or POSTING_NONE. */
unsigned index_missing(const struct index *index, const struct registry_row *old,
                       const struct registry_row *row);
struct posting_array *posting_new(struct account *account, uint32_t capacity);
uint32_t posting_capacity(const struct index *index, unsigned posting); /* 0: none yet */
/* Returns the array it takes the place of, to be retired, or NULL. */
struct posting_array *posting_install(struct index *index, unsigned posting, struct posting_array *array);
/* For the lock's holder: the row at a place of POSTING_ALL, or NULL past its end. */
const struct registry_row *index_row(const struct index *index, uint32_t position);
/* Puts `row` where `old` is; either may be NULL. */
void index_change(struct index *index, struct registry_row *old, struct registry_row *row);

/* ---- leases (registry_lease.c): a pairing heap by expiry; owner: partition ---- */
void lease_insert(struct registry_row **heap, struct registry_row *row);
void lease_remove(struct registry_row **heap, struct registry_row *row);

/* ---- watches (registry_watch.c) ---- */
struct watch;
struct subscription { /* owner: partition */
    struct subscription *next, **link;
    struct watch *watch;
    uint32_t cursor; /* rows below it in POSTING_ALL have been told as ADDED */
    bool done;       /* all were: every change is told */
};
struct event { /* what it points to is the writer's own while it is told */
    enum registry_change_kind change;
    uint64_t version;
    actor_ref actor;
    const struct capability_set *capabilities;
    const struct resources *resources;
    enum health health;
    const char *name;
    size_t name_length;
};
static inline struct event event_of_row(enum registry_change_kind change, uint64_t version,
                                        const struct registry_row *row) {
    return (struct event){.change = change,
                          .version = version,
                          .actor = row->actor,
                          .capabilities = registry_row_capabilities(row),
                          .resources = registry_row_resources(row),
                          .health = row->health,
                          .name = row->bytes,
                          .name_length = row->name_length};
}
struct ticket {
    struct watch *watch; /* a reference */
    uint64_t number;
    bool behind; /* for FELL_BEHIND, not for the event */
};
struct tickets {
    unsigned count;
    struct ticket taken[WATCHERS_MAX];
};
/* Under the partition's lock: a place in the order of each watch that has been told of the row so far. */
void tickets_take(const struct index *index, uint32_t position, struct tickets *ret_tickets);
/* After it: makes the messages and sends all whose turn it is. */
void tickets_tell(const struct tickets *tickets, const struct event *event);
void watches_feed(struct registry *registry);
void watches_end(struct registry *registry, actor_ref watcher /* 0: all */);
void watch_message_destroy(struct message *message);

/* ---- the keeper (registry_keeper.c): its actor hears of ended actors and of time ---- */
struct keeper;
MUST_CHECK enum troupe_error keeper_start(struct registry *registry);
void keeper_detach(struct registry *registry);
void keeper_wake(struct registry *registry);
/* The keeper will hear when the actor ends. DEAD: the runtime has ended. */
MUST_CHECK enum troupe_error keeper_monitor(struct registry *registry, actor_ref actor);

/* ---- writes (registry_write.c) ---- */
unsigned registry_remove_some(struct registry *registry, actor_ref actor, unsigned rows_max);
/* Removes expired rows, `rows_max` at most; *ret_next_ns: when the next one is due (UINT64_MAX: none). */
unsigned registry_expire_some(struct registry *registry, uint64_t now_ns, unsigned rows_max,
                              uint64_t *ret_next_ns);

/* ---- the whole ---- */
struct partition {
    _Alignas(64) _Atomic(struct table *) table; /* partition writes, any reads; the oldest of the chain */
    _Alignas(64) struct spin lock;
    struct registry_row *leases; /* partition: the heap's root */
    uint64_t version;            /* partition: of the last change */
    /* partition writes, any reads: relaxed, statistics */
    _Atomic uint64_t rows, registered, removed, grown, bytes;
    _Atomic(struct index *) indexes[NAMESPACES_MAX]; /* partition writes, any reads */
};
struct lookups { /* one thread's, or (the last) those of all further threads */
    _Alignas(64) _Atomic uint64_t hit;
    _Atomic uint64_t missed;
};

struct registry {
    struct runtime *runtime;
    struct env *env;
    struct account *account;
    uint64_t seed;
    uint32_t partition_mask;
    unsigned watchers_max, watch_len_max;
    size_t rows_max;
    struct partition *partitions;
    struct keeper *keeper;
    _Atomic bool ended; /* the keeper is gone: the runtime has ended */
    struct lookups *lookups;
    _Atomic(struct namespace *) namespaces[NAMESPACE_SLOTS]; /* insert: namespace_lock */
    _Atomic(_Atomic uint32_t *) owners[OWNER_SEGMENTS]; /* by actor slot: the generation that is monitored */
    struct spin namespace_lock;
    uint32_t namespace_count; /* namespace_lock */
    _Alignas(64) _Atomic size_t rows;
    _Atomic size_t limbo_count; /* a hint */
    struct spin limbo_lock;
    struct grace_node *limbo; /* limbo_lock: unlinked, and the grace list was full */
    struct spin watch_lock;
    uint64_t watch_sequence;             /* watch_lock */
    struct watch *watches[WATCHERS_MAX]; /* watch_lock */
};

/* Frees `node`'s block after every reader has moved on. Never fails: when the grace list is full the block
 * waits in limbo, and registry_admit refuses new rows until limbo is empty. */
void registry_retire(struct registry *registry, struct grace_node *node);
MUST_CHECK enum troupe_error registry_admit(struct registry *registry);
void row_retire(struct registry *registry, struct registry_row *row);
void table_retire(struct registry *registry, struct table *table);
void posting_retire(struct registry *registry, struct posting_array *array);

/* namespaces (registry_namespace.c) */
const struct namespace *namespace_find(const struct registry *registry, const char *name); /* NULL */
MUST_CHECK enum troupe_error namespace_intern(struct registry *registry, const char *name,
                                              const struct namespace **ret_namespace);
void namespaces_free(struct registry *registry);

static inline uint64_t key_hash(const struct registry *registry, uint32_t namespace_id, const char *name,
                                size_t length) {
    return hash_bytes(name, length, registry->seed + namespace_id * UINT64_C(0x9e3779b97f4a7c15));
}
static inline bool row_is(const struct registry_row *row, const struct key *key) {
    return row->name_length == key->length && row->namespace_id == key->namespace_id &&
           memcmp(row->bytes, key->name, key->length) == 0;
}
static inline struct partition *partition_of(const struct registry *registry, uint64_t hash) {
    return &registry->partitions[hash & registry->partition_mask];
}
/* Statistics written by holders of a lock: no read-modify-write. */
static inline void counted(_Atomic uint64_t *total, uint64_t by) {
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

#endif
