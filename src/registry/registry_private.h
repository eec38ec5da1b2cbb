/* The registry's parts, shared by this floor's files only.
 *
 * Structure: registry -> partitions -> table (buckets of ten {tag:16, ref:32}) and, per namespace, a shelf of
 *            chunks. A chunk holds rows, what only writers read of them, and its part of the indexes: bits, one
 *            a row, for the usable rows, each level of load and each capability. A ref is {chunk:21, unit:11}.
 * Threads: each field says who may touch it. "partition" means: holders of the partition's lock. Lock order:
 *          partition, then owner or watch or the small locks of the registry; nothing is allocated, sent,
 *          retired or called back under any.
 * Memory: the account. What readers may still hold is retired (registry_retire) or, a row, put into its
 *         partition's limbo, never freed. */
#ifndef REGISTRY_REGISTRY_PRIVATE_H
#define REGISTRY_REGISTRY_PRIVATE_H

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "registry/registry.h"

#define PARTITIONS_MAX 256U
#define NAMESPACES_MAX 256U
#define NAMESPACE_SLOTS 512U /* of the open-addressed table: never more than half full */
#define WATCHERS_MAX 64U
#define COUNTERS 64U
#define SETS_MAX 1024U /* capability sets that are kept once; number 0 is the empty one */
#define SET_SLOTS 2048U
#define SET_OWN UINT32_MAX
#define OWNER_SEGMENT 2048U /* actor slots */
#define OWNER_SEGMENTS 2048U

/* Too large to be cleared at every call, as hardened builds do with variables. */
#define NOT_CLEARED __attribute__((uninitialized))

struct partition;
/* ---- keys (registry_key.h) ---- */
struct key_words { /* a short name, zeroes behind it */
    uint64_t low, high;
};
struct key {
    uint64_t hash;
    struct key_words words;
    const char *name;
    uint32_t length;
    uint32_t check; /* the upper 16 bits of its row's state */
};
struct namespace { /* immutable */
    uint32_t id;
    uint32_t length;
    char name[];
};

/* ---- rows (registry_row.c) ----
 * A state is {namespace:8, name_length:8, rest:48}; the rest is a pointer to `details`, or, with bit 0 set,
 * {version:32, set:10, load:3, health:2, 1}: what most rows have to say. */
#define ROW_UNIT 32U
#define ROW_SHORT 16U    /* names up to here are compared as two words */
#define ROW_UNITS_MAX 9U /* of REGISTRY_NAME_MAX bytes and a NUL */
#define STATE_PLAIN UINT64_C(1)
#define STATE_POINTER UINT64_C(0xffffffffffff)
#define STATE_VERSION_MAX UINT32_MAX

struct details { /* immutable once published, but for the lease's links */
    struct grace_node node;
    uint64_t version;
    uint64_t expires_ns; /* 0: never */
    const struct capability_set *capabilities;
    struct capability_set own; /* when the set is not among those kept once */
    uint32_t set;
    uint16_t opaque_length, node_id;
    uint8_t health, load;
    bool has_resources;
    /* owner: partition. Of the pairing heap; link NULL: in none */
    struct details *child, *sibling, **link;
    struct registry_row *row;
    size_t bytes;
    struct resources resources;
    unsigned char opaque[];
};
struct values { /* what a row says, before it is written down; points into its writer's memory */
    uint64_t expires_ns;
    const struct capability_set *capabilities;
    const struct resources *resources; /* NULL: none */
    const void *opaque;
    uint32_t set; /* SET_OWN: none that is kept once */
    uint16_t opaque_length, node;
    uint8_t health, load;
};

static inline const struct details *state_details(uint64_t state) {
    return (state & STATE_PLAIN) != 0 ? NULL : (const struct details *)(uintptr_t)(state & STATE_POINTER);
}
static inline uint64_t row_state(const struct registry_row *row) {
    /* Acquire pairs with row_publish: the details are seen. */
    return atomic_load_explicit(&row->state, memory_order_acquire);
}
static inline void row_publish(struct registry_row *row, uint64_t state) {
    atomic_store_explicit(&row->state, state, memory_order_release); /* row_state */
}
static inline uint32_t state_length(uint64_t state) {
    return state >> 48 & 0xff;
}
static inline uint32_t state_namespace(uint64_t state) {
    return (uint32_t)(state >> 56);
}
uint64_t state_version(uint64_t state);
uint64_t state_lease(uint64_t state);
static inline bool state_expired(uint64_t state, uint64_t now_ns) {
    const struct details *details = state_details(state);
    return details != NULL && details->expires_ns != 0 && details->expires_ns <= now_ns;
}
uint32_t row_units(uint32_t name_length);
void state_values(const struct registry *registry, uint64_t state, struct values *ret_values);
bool values_plain(const struct values *values, uint64_t version);
size_t details_bytes(const struct values *values);
/* NULL: no memory. Holds values of up to `bytes` details_bytes. */
struct details *details_new(struct account *account, size_t bytes);
/* `details` NULL: the values are plain. */
uint64_t state_make(uint32_t check, const struct values *values, uint64_t version, struct details *details);
/* Alive and not expired. */
bool row_valid(struct runtime *runtime, const struct registry_row *row, uint64_t now_ns);
void details_retire(struct registry *registry, struct details *details);

/* ---- capability sets that are kept once (registry_set.c) ---- */
/* SET_OWN: there are too many. NOMEM. */
MUST_CHECK enum troupe_error set_intern(struct registry *registry, const struct capability_set *set,
                                        uint32_t *ret_number);
const struct capability_set *set_of(const struct registry *registry, uint32_t number);
void sets_free(struct registry *registry);

/* ---- chunks (registry_chunk.c) ---- */
typedef uint32_t row_ref;
#define REF_NONE UINT32_MAX
#define CHUNK_UNITS 2048U
#define CHUNK_UNITS_FIRST 64U /* of a shelf, so that a small registry stays small */
#define CHUNK_BITS 11U
#define CHUNKS_MAX ((1U << (32U - CHUNK_BITS)) - 1U)
#define LIMBO_ROWS_LEAVE                                                                                     \
    64U /* of a lane, before the common writes have them wait: a grace period is shared by all */
#define LIMBO_ROWS_MAX 262144U /* of a partition: further rows are refused until readers have moved on */

/* The usable rows are those that have a load. */
enum posting { POSTING_LOAD, POSTING_CAPABILITY = POSTING_LOAD + REGISTRY_LOADS };
#define POSTINGS (POSTING_CAPABILITY + CAPABILITIES_MAX)
#define POSTING_NONE UINT32_MAX

struct posting_block {        /* lives as long as its chunk */
    _Atomic uint64_t summary; /* partition writes, any reads: which words are not zero */
    _Atomic uint64_t words[]; /* partition writes, any reads: one bit a unit */
};
struct links {              /* owner: the owner's lock while the row is in the table, else partition */
    row_ref next, previous; /* rows of the same actor slot; also: free or waiting units, and whose they are */
};
struct chunk {
    uint32_t id, capacity;                              /* immutable */
    uint32_t used;                                      /* partition: units given out so far */
    _Atomic(struct chunk *) next;                       /* of the shelf; partition writes, any reads */
    _Atomic(struct posting_block *) postings[POSTINGS]; /* partition writes, any reads */
    _Alignas(64) unsigned char units[];                 /* capacity rows, then capacity links */
};
struct directory { /* replaced whole when it grows */
    struct grace_node node;
    uint32_t capacity;
    _Atomic(struct chunk *) chunks[];
};
struct batch { /* of rows that wait for readers */
    struct grace_node node;
    struct account *account;
    row_ref first, last;
    bool orphan;         /* the registry is gone */
    _Atomic bool passed; /* the grace period has */
};

/* Writers take units from where they have put them, and from chunks of their own, so that they do not write to each
 * other's lines: each thread has a lane, which it shares when there are more threads than lanes. When a lane has none
 * left it takes those of the others. */
#define LANES 4U
struct stock { /* partition: of a shelf and lane */
    _Alignas(64) struct chunk *newest;
    row_ref free[ROW_UNITS_MAX];
};
struct
    limbo { /* partition: of a lane: units that wait for readers, that still may begin to, that no longer must */
    _Alignas(64) struct batch *batch;
    bool batch_busy;
    row_ref first, last, settled; /* last: set when there is a first */
    uint32_t count, batch_count;
    _Atomic uint64_t waiting; /* partition writes, any reads: relaxed, a statistic */
};
struct subscription;
struct shelf {                                       /* of a partition and namespace; aligned */
    _Alignas(64) struct subscription *subscriptions; /* partition */
    _Atomic(struct chunk *) chunks;                  /* partition writes, any reads: the oldest */
    struct chunk *last;                              /* partition */
    _Atomic uint32_t removals;                       /* partition writes, any reads: odd while a row goes */
    struct stock stocks[LANES];
};

static inline struct registry_row *chunk_row(const struct chunk *chunk, uint32_t unit) {
    return (struct registry_row *)(uintptr_t)(chunk->units + (size_t)unit * ROW_UNIT);
}
static inline struct chunk *directory_chunk(const struct directory *directory, row_ref ref) {
    /* Relaxed: who has the ref, by an acquire, has seen the chunk and its place in the directory. */
    return atomic_load_explicit(&directory->chunks[(size_t)ref >> CHUNK_BITS], memory_order_relaxed);
}
static inline struct registry_row *directory_row(const struct directory *directory, row_ref ref) {
    return chunk_row(directory_chunk(directory, ref), ref & (CHUNK_UNITS - 1));
}
static inline void shelf_removes(struct shelf *shelf) {
    /* Odd while it goes on. Relaxed: published by the store of any bit from here on. Written under our lock. */
    uint32_t removals = atomic_load_explicit(&shelf->removals, memory_order_relaxed);
    atomic_store_explicit(&shelf->removals, removals + 1, memory_order_relaxed);
}

static inline void shelf_removed(struct shelf *shelf) {
    /* Release pairs with the first load in shelf_find: who sees it even sees what was stored before. */
    uint32_t removals = atomic_load_explicit(&shelf->removals, memory_order_relaxed);
    atomic_store_explicit(&shelf->removals, removals + 1, memory_order_release);
}
size_t chunk_bytes(uint32_t capacity);
struct chunk *chunk_new(struct account *account, uint32_t capacity);
size_t block_bytes(uint32_t capacity);

struct shelf *shelf_new(struct account *account);
void shelf_install(struct partition *partition, uint32_t namespace_id, struct shelf *shelf);
/* The shelf, made if need be. NOMEM. */
MUST_CHECK enum troupe_error shelf_ensure(struct registry *registry, struct partition *partition,
                                          uint32_t namespace_id);
/* REF_NONE: a chunk is needed, of *ret_capacity units. */
row_ref unit_take(struct registry *registry, struct partition *partition, uint32_t namespace_id,
                  uint32_t units, uint32_t *ret_capacity);
void unit_give(struct registry *registry, struct shelf *shelf, row_ref ref, uint32_t units);
/* False: the directory is full. Takes the chunk. */
bool chunk_install(struct registry *registry, struct partition *partition, uint32_t namespace_id,
                   struct chunk *chunk);
/* 0: it has room for a chunk; else how many the next one holds. */
size_t directory_wanted(struct registry *registry);
/* A directory with more room takes the place of the old one, which is to be retired; NULL: it was not needed. */
struct directory *directory_new(struct account *account, uint32_t capacity);
struct directory *directory_install(struct registry *registry, struct directory *directory);
void directory_retire(struct registry *registry, struct directory *directory);
/* A row that was unlinked. */
void limbo_put(struct registry *registry, struct partition *partition, row_ref ref, uint64_t state);
/* Under the lock, first: takes over what no reader holds any more; of one lane, or of all. */
void limbo_settle(struct registry *registry, struct limbo *limbo);
void limbo_settle_all(struct registry *registry, struct partition *partition);
/* Rows that were removed and wait. */
size_t limbo_rows(const struct partition *partition);
/* Under the lock, last: rows that may begin to wait, to be retired after it; NULL: none, or others still wait. */
struct batch *limbo_leave(struct limbo *limbo);
struct batch *limbo_leave_any(struct partition *partition);
/* The calling thread's. LANES: it has none yet. */
extern _Thread_local unsigned lane_number __attribute__((tls_model("initial-exec")));
unsigned lane_make(void);
static inline unsigned lane_mine(void) {
    unsigned lane = lane_number;
    return __builtin_expect(lane != LANES, 1) ? lane : lane_make();
}
struct batch *batch_new(struct account *account);
void shelf_free(struct registry *registry, struct shelf *shelf);

/* ---- tables (registry_table.c) ---- */
#define BUCKET_SLOTS 10U
#define TAG_USED 0x8000U

struct bucket {               /* a cache line */
    _Atomic uint64_t tags[3]; /* four each; the last: two, and how many rows were put past this bucket */
    _Atomic row_ref refs[BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
struct table {
    uint64_t count;               /* of buckets; immutable */
    _Atomic(struct table *) next; /* where its rows are moving; readers go on there */
    /* owner: partition. Not on the line that readers need */
    _Alignas(64) uint64_t limit, used; /* rows */
    uint64_t migrated;                 /* buckets of this one that have moved to `next` */
    struct grace_node node;
    size_t bytes;
    _Alignas(64) struct bucket buckets[];
};
struct slot {
    struct table *table;
    uint64_t bucket;
    unsigned at;
};
#define SLOTS_ALL ((1U << BUCKET_SLOTS) - 1U)
#define SLOT_PAST 32U /* where the count begins in the last word of tags */

static inline uint64_t hash_bucket(uint64_t hash, uint64_t count) {
    return (hash >> 32) * count >> 32;
}
static inline uint32_t hash_tag(uint64_t hash) {
    return ((uint32_t)hash & 0xffff) | TAG_USED;
}
/* The slots, as bits, that have a tag. */
static inline uint32_t slots_equal(uint64_t word0, uint64_t word1, uint64_t word2, uint32_t tag) {
#if defined(__SSE2__)
    __m128i wanted = _mm_set1_epi16((short)tag);
    __m128i first = _mm_set_epi64x((long long)word1, (long long)word0);
    __m128i last = _mm_cvtsi64_si128((long long)word2);
    __m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(first, wanted), _mm_cmpeq_epi16(last, wanted));
    return (uint32_t)_mm_movemask_epi8(equal) & SLOTS_ALL;
#else
    const uint64_t words[3] = {word0, word1, word2};
    uint32_t slots = 0;
    for (unsigned at = 0; at < BUCKET_SLOTS; at++) {
        slots |= (uint32_t)((words[at / 4] >> at % 4 * 16 & 0xffff) == tag) << at;
    }
    return slots;
#endif
}

struct table *table_new(struct account *account, uint64_t buckets);
uint64_t table_buckets_next(const struct partition *partition);
uint64_t table_buckets_for(const struct partition *partition, uint64_t rows); /* more; 0: there is room */
/* For the lock's holder; REF_NONE: absent. */
row_ref table_find(const struct registry *registry, const struct partition *partition, const struct key *key,
                   struct slot *ret_slot);
/* Needs a table with room: not table_full. */
void table_insert(struct partition *partition, uint64_t hash, row_ref ref);
void table_replace(const struct slot *slot, row_ref ref);
void table_remove(const struct slot *slot, uint64_t hash);
bool table_full(const struct partition *partition);
/* Holds far fewer rows than it has room for. */
bool table_sparse(const struct partition *partition);
/* A further table for the rows to move to; no move may be under way. */
void table_extend(struct partition *partition, struct table *table);
/* Moves a few rows on. Returns a table that is now empty and out of reach, to be retired, or NULL. */
struct table *table_migrate(struct registry *registry, struct partition *partition);
void table_retire(struct registry *registry, struct table *table);
/* Rows of the namespace with hashes from `from` on, in order of their hashes, `refs_max` at most. Returns how
 * many; *ret_next: where to go on; *ret_done: there are no more. Looks at a bounded number of buckets. */
unsigned table_walk(const struct registry *registry, const struct partition *partition, uint32_t namespace_id,
                    uint64_t from, row_ref *ret_refs, unsigned refs_max, uint64_t *ret_next, bool *ret_done);

/* ---- indexes (registry_index.c) ---- */
/* A posting whose block the chunk lacks for what changes from `old` to `values` (NULL: none), or POSTING_NONE. */
unsigned index_missing(const struct chunk *chunk, const struct values *old, const struct values *values);
bool block_install(struct chunk *chunk, unsigned posting, struct posting_block *block);
void index_change(struct chunk *chunk, uint32_t unit, const struct values *old, const struct values *values);

/* ---- owners (registry_owner.c): by actor slot ---- */
struct owner {
    _Atomic uint32_t generation; /* that is monitored */
    struct spin lock;            /* of the list */
    row_ref first;
};
MUST_CHECK enum troupe_error owner_ensure(struct registry *registry, actor_ref actor,
                                          struct owner **ret_owner); /* LIMIT, NOMEM */
/* Copies the key of some row of the actor; false: he has none. */
struct owned_key {
    uint32_t namespace_id, length;
    char name[REGISTRY_NAME_MAX + 1];
};
bool owner_any(struct registry *registry, actor_ref actor, struct owned_key *ret_key);
void owners_free(struct registry *registry);

/* ---- leases (registry_lease.c): a pairing heap by expiry; owner: partition ---- */
void lease_insert(struct details **heap, struct details *details);
void lease_remove(struct details **heap, struct details *details);

/* ---- watches (registry_watch.c) ---- */
struct watch;
struct subscription { /* owner: partition */
    struct subscription *next, **link;
    struct watch *watch;
    uint64_t cursor; /* rows with lower hashes have been told as ADDED */
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
                                        const struct values *values, actor_ref actor, const char *name,
                                        size_t name_length) {
    static const struct resources none;
    return (struct event){.change = change,
                          .version = version,
                          .actor = actor,
                          .capabilities = values->capabilities,
                          .resources = values->resources != NULL ? values->resources : &none,
                          .health = (enum health)values->health,
                          .name = name,
                          .name_length = name_length};
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
void tickets_take_some(const struct shelf *shelf, uint64_t hash, struct tickets *ret_tickets);
static inline void tickets_take(const struct shelf *shelf, uint64_t hash, struct tickets *ret_tickets) {
    ret_tickets->count = 0;
    if (shelf->subscriptions != NULL) {
        tickets_take_some(shelf, hash, ret_tickets);
    }
}
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
MUST_CHECK enum troupe_error keeper_ask(struct registry *registry, struct turn *turn,
                                        struct message **message, uint64_t token, uint64_t timeout_ns);
/* A question (registry_async.c), in the keeper's turn. */
void async_handle(struct registry *registry, struct turn *turn, const struct message *message);
/* The keeper will hear when the actor ends. DEAD: the runtime has ended. */
MUST_CHECK enum troupe_error keeper_monitor(struct registry *registry, actor_ref actor);

/* ---- writes (registry_write.c), and the common ones (registry_plain.c) ---- */
/* False: nothing was done; it goes the long way. `values` are those of a row that is not there yet. */
bool plain_put(struct registry *registry, registry_space space, const struct registry_name *name,
               actor_ref actor, const struct values *values, uint64_t *ret_version);
bool plain_drop(struct registry *registry, registry_space space, const struct registry_name *name,
                actor_ref actor);
/* Moves some rows on to larger tables, those of `steps` calls of table_migrate at most. False: no more are to be moved. */
bool registry_move_some(struct registry *registry, unsigned steps);
unsigned registry_remove_some(struct registry *registry, actor_ref actor, unsigned rows_max);
/* Removes expired rows, `rows_max` at most; *ret_next_ns: when the next one is due (UINT64_MAX: none). */
unsigned registry_expire_some(struct registry *registry, uint64_t now_ns, unsigned rows_max,
                              uint64_t *ret_next_ns);

/* ---- the whole ---- */
struct partition {
    /* What each write changes is one line: writers take it from each other but once. */
    _Alignas(64) struct spin lock;
    uint64_t version; /* partition: of the last change */
    size_t spare;     /* partition: rows admitted beforehand */
    /* partition writes, any reads: relaxed, statistics */
    _Atomic uint64_t rows, registered, removed;
    /* What few writes change, and what is looked at before the lock is taken. */
    _Alignas(64) _Atomic(struct table *) *table;     /* its place in registry.tables */
    _Atomic uint64_t buckets;                        /* partition writes, any reads: of that table, a hint */
    struct details *leases;                          /* partition: the heap's root */
    _Atomic uint64_t grown, bytes;                   /* as the statistics above */
    struct limbo limbos[LANES];                      /* partition */
    _Atomic(struct shelf *) shelves[NAMESPACES_MAX]; /* partition writes, any reads */
};
#define TOOK_SLOTS 64U    /* four an octave of ticks */
#define TIMED_EVERY 1024U /* look-ups of a thread: one of them is timed */
enum lookup { LOOKUP_HIT, LOOKUP_MISSED };
struct lookups { /* one thread's, or (the last) those of all further threads */
    _Alignas(64) _Atomic uint64_t all, missed;
    _Atomic uint64_t took[2][TOOK_SLOTS]; /* by enum lookup */
};

static inline bool table_moving(
    const struct partition *partition) { /* for the lock's holder: relaxed loads */
    const struct table *oldest = atomic_load_explicit(partition->table, memory_order_relaxed);
    return atomic_load_explicit(&oldest->next, memory_order_relaxed) != NULL;
}
/* Before the lock is taken: fetches the key's bucket by what is only a hint, without looking into the table. */
static inline void partition_prefetch(const struct partition *partition, uint64_t hash) {
    __builtin_prefetch(partition, 1);
    const struct table *table = atomic_load_explicit(partition->table, memory_order_relaxed);
    uint64_t buckets = atomic_load_explicit(&partition->buckets, memory_order_relaxed);
    __builtin_prefetch(&table->used, 1);
    __builtin_prefetch(
        (const char *)table + sizeof(struct table) + hash_bucket(hash, buckets) * sizeof(struct bucket), 1);
}

static inline struct shelf *shelf_of(const struct partition *partition, uint32_t namespace_id) {
    /* Acquire pairs with shelf_install: it is seen whole. */
    return atomic_load_explicit(&partition->shelves[namespace_id], memory_order_acquire);
}

struct registry {
    /* Read by every look-up, hardly ever written. */
    _Alignas(64) _Atomic(struct directory *) directory; /* chunk_lock */
    _Atomic(struct table *)
        *tables; /* of each partition the oldest of its chain; partition writes, any reads */
    struct lookups *lookups;
    uint64_t seeds[3];
    uint32_t partition_mask;
    bool recorded; /* the runtime keeps a record of turns: tell it which rows they read */

    struct partition *partitions;

    struct runtime *runtime;
    struct env *env;
    struct account *account;
    unsigned watchers_max, watch_len_max;
    size_t rows_max, rows_step; /* how many a partition admits at once */
    struct registry_port port;  /* set before the runtime runs */
    struct keeper *keeper;
    _Atomic bool ended;                                      /* the keeper is gone: the runtime has ended */
    _Atomic(struct namespace *) namespaces[NAMESPACE_SLOTS]; /* insert: namespace_lock */
    _Atomic(struct owner *) owners[OWNER_SEGMENTS];          /* by actor slot */
    struct spin namespace_lock;
    uint32_t namespace_count; /* namespace_lock */
    struct spin set_lock;
    uint32_t set_count;                              /* set_lock */
    _Atomic(struct capability_set *) sets[SETS_MAX]; /* insert: set_lock */
    _Atomic uint16_t set_slots[SET_SLOTS];           /* insert: set_lock */
    struct spin chunk_lock;
    uint32_t chunk_count;             /* chunk_lock */
    _Alignas(64) _Atomic size_t rows; /* admitted */
    _Atomic size_t limbo_count;       /* a hint */
    struct spin limbo_lock;
    struct grace_node *limbo; /* limbo_lock: unlinked, and the grace list was full */
    struct spin watch_lock;
    uint64_t watch_sequence;             /* watch_lock */
    struct watch *watches[WATCHERS_MAX]; /* watch_lock */
};

static inline struct directory *directory_of(const struct registry *registry) {
    /* Acquire pairs with directory_install: its places are seen. */
    return atomic_load_explicit(&registry->directory, memory_order_acquire);
}
static inline struct chunk *chunk_of(const struct registry *registry, row_ref ref) {
    return directory_chunk(directory_of(registry), ref);
}
static inline struct registry_row *row_of(const struct registry *registry, row_ref ref) {
    return directory_row(directory_of(registry), ref);
}
static inline struct links *chunk_links(const struct chunk *chunk, row_ref ref) {
    struct links *links =
        (struct links *)(void *)(uintptr_t)(chunk->units + (size_t)chunk->capacity * ROW_UNIT);
    return &links[ref & (CHUNK_UNITS - 1)];
}
static inline struct links *links_of(const struct registry *registry, row_ref ref) {
    return chunk_links(chunk_of(registry, ref), ref);
}

/* What goes to a reader by name is told to the record of turns. */
static inline void row_read(const struct registry *registry, const struct registry_row *row) {
    if (__builtin_expect(registry->recorded, 0) && row != NULL) {
        turn_record_seen(registry->runtime, registry_row_version(row));
    }
}

/* counting look-ups (registry_statistics.c) */
/* Where the thread's own counters are in registry.lookups, in bytes. LOOKUPS_NOWHERE: it has none yet, or shares those of
 * all further threads; what is there stands at TIMED_EVERY - 1 for ever, so that it is found out with no question more. */
#define LOOKUPS_NOWHERE (COUNTERS * sizeof(struct lookups))
extern _Thread_local size_t lookups_place __attribute__((tls_model("initial-exec")));
static inline struct lookups *lookups_at(const struct registry *registry, size_t place) {
    return (struct lookups *)(void *)((char *)registry->lookups + place);
}
/* Returns how many there are now on the thread's line. */
uint64_t lookups_add(const struct registry *registry, size_t all, size_t missed);
void lookups_took(const struct registry *registry, enum lookup which, uint64_t ticks);

/* Frees `node`'s block after every reader has moved on. Never fails: when the grace list is full the block
 * waits in limbo, and registry_admit refuses new rows until limbo is empty. */
void registry_retire(struct registry *registry, struct grace_node *node);
MUST_CHECK enum troupe_error registry_admit(struct registry *registry);

/* namespaces (registry_namespace.c) */
const struct namespace *namespace_find(const struct registry *registry, const char *name); /* NULL */
MUST_CHECK enum troupe_error namespace_intern(struct registry *registry, const char *name,
                                              const struct namespace **ret_namespace);
void namespaces_free(struct registry *registry);

static inline uint64_t hash_partition(const struct registry *registry, uint64_t hash) {
    return hash >> 16 & registry->partition_mask;
}
static inline struct partition *partition_of(const struct registry *registry, uint64_t hash) {
    return &registry->partitions[hash_partition(registry, hash)];
}
/* Statistics written by holders of a lock: no read-modify-write. */
static inline void counted(_Atomic uint64_t *total, uint64_t by) {
    uint64_t before = atomic_load_explicit(total, memory_order_relaxed);
    atomic_store_explicit(total, before + by, memory_order_relaxed);
}

/* A row fewer: under the lock. Rows are given back a few at a time, as they are admitted (rows_admit). */
static inline void rows_release(struct registry *registry, struct partition *partition) {
    if (++partition->spare >= 2 * registry->rows_step || registry->rows_step == 1) {
        partition->spare -= registry->rows_step;
        atomic_fetch_sub_explicit(&registry->rows, registry->rows_step, memory_order_relaxed); /* a bound */
    }
}

#endif
