/* registry: (namespace, name) -> handle, metadata, lease. Shared data, not an actor: no queue can form in
 * front.
 *
 * Structure: partitions by hash(key) (a power of two, 16 by default), each an open-addressed table of buckets of
 *            one cache line; a bucket refers to rows of 32 bytes in chunks. A row stays where it is as long as
 *            its holder holds the name; what may change of it is one atomic word. What was removed is used
 *            again after the runtime's grace period. One writer lock per partition.
 * Threads: reads take no lock, write nothing shared, never wait; they must be inside a turn or a registered
 *          grace reader, and what they return is valid until that reader is next quiescent. Writes: any
 *          thread.
 * Memory:  charged to the registry's account; bounded by rows_max.
 * Invariants: registered implies alive; indexes match rows; namespaces isolated; no two registrations of a
 *             key. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include "task/task.h"

#define REGISTRY_NAME_MAX 255
#define REGISTRY_OPAQUE_MAX 4096
#define REGISTRY_LOADS 8U /* levels of load that are told apart */

enum health { HEALTH_UP, HEALTH_DEGRADED, HEALTH_DRAINING, HEALTH_DOWN };

struct registry;
struct registry_row {
    actor_ref actor;        /* does not change while the row may be read */
    _Atomic uint64_t state; /* the registry's */
    char name[];            /* zeroes behind it; exactly 16 bytes have no NUL */
};
/* What a row says, all of one moment; what it points to is valid as long as the row is. */
struct registry_view {
    uint64_t version;  /* grows with every change of this key, also over its removal */
    uint64_t lease_ns; /* when it expires; 0: never */
    const struct capability_set *capabilities;
    const struct resources *resources;
    const void *opaque;
    uint16_t opaque_length, node;
    uint8_t name_length;
    uint8_t load; /* 0..REGISTRY_LOADS - 1 */
    enum health health;
};
void registry_row_view(const struct registry *registry, const struct registry_row *row,
                       struct registry_view *ret_view);
uint64_t registry_row_version(const struct registry_row *row);
enum health registry_row_health(const struct registry_row *row);
uint8_t registry_row_name_length(const struct registry_row *row);
const struct capability_set *registry_row_capabilities(const struct registry *registry,
                                                       const struct registry_row *row);

struct registry_options {
    unsigned partitions;    /* a power of two up to 256; 0: 16 */
    size_t rows_max;        /* 0: 1,048,576 */
    unsigned watchers_max;  /* up to 64; 0: 64 */
    unsigned watch_len_max; /* changes sent to one watcher and not yet handled; at least 4; 0: 1024 */
    uint64_t
        seed; /* of its hashes, so of the order in which it shows its rows; 0: env's. To replay a record */
};
MUST_CHECK enum troupe_error registry_create(struct runtime *runtime, struct account *account,
                                             const struct registry_options *options,
                                             struct registry **ret_registry, struct fault *fault);
/* After runtime_free, or before it when runtime_run has returned. When it never ran, actors that use the
 * registry in their destructors are destroyed by runtime_free: free the registry after it. */
void registry_free(struct registry *registry);

struct registration {
    const char *name_space, *name;
    actor_ref actor;
    struct capability_set capabilities;
    struct resources resources;
    enum health health;
    uint16_t node;
    uint8_t load;
    uint64_t lease_ns; /* 0: for the actor's life */
    const void *opaque;
    size_t opaque_length;
};
/* EXISTS: a live holder (another actor) has it; an expired or dead one is replaced. By the same actor: the row
 * is replaced (a lease renewed). DEAD: the actor, or the runtime, has ended. LIMIT: rows_max rows, or too many
 * namespaces. FULL: too many removed rows wait for readers; try again after a turn. Insert is atomic; on
 * failure nothing has changed. */
MUST_CHECK enum troupe_error registry_register(struct registry *registry,
                                               const struct registration *registration, uint64_t now_ns,
                                               uint64_t *ret_version, struct fault *fault);
MUST_CHECK enum troupe_error registry_unregister(struct registry *registry, const char *name_space,
                                                 const char *name, actor_ref actor); /* NOT_FOUND: not his */
/* Rows of an actor, when it has ended or not; how many. The registry's keeper calls it for each that ended. */
unsigned registry_remove_actor(struct registry *registry, actor_ref actor);
/* What an update changes; NULL and REGISTRY_KEEP leave as it is. */
#define REGISTRY_KEEP (-1)
struct registry_update {
    int health, load, node;
    const struct capability_set *capabilities;
    const struct resources *resources;
    const void *opaque; /* with opaque_length; NULL: as it is */
    size_t opaque_length;
};
#define REGISTRY_UPDATE_NONE                                                                                 \
    (struct registry_update) {                                                                               \
        .health = REGISTRY_KEEP, .load = REGISTRY_KEEP, .node = REGISTRY_KEEP                                \
    }
/* Compare-and-set. EXISTS: the row has another version than the expected one. FULL, NOMEM: as in register.
 * NOT_FOUND; INVALID. An update that changes nothing makes no version. */
MUST_CHECK enum troupe_error registry_update(struct registry *registry, const char *name_space,
                                             const char *name, uint64_t version_expected /* 0: any */,
                                             const struct registry_update *update);
MUST_CHECK enum troupe_error registry_set_health(struct registry *registry, const char *name_space,
                                                 const char *name, uint64_t version_expected,
                                                 enum health health);

/* Where the runtime keeps a record of turns, a look-up by text, alone or in batches, and a find tell it the versions of
 * the rows they return; registry_get and registry_get_batch, which are for those who look up much, do not. */
const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name,
                                           uint64_t now_ns); /* NULL: absent, expired or dead */
/* ret_rows[i] for names[i]; returns hits. Prefetches. */
size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows);

/* For those who look up much: the namespace by its number, names with their lengths (no NUL inside). Here a row
 * may still be found for the moment between its actor's end and its removal; a message to it is then refused. */
typedef uint32_t registry_space;
MUST_CHECK enum troupe_error registry_space_open(struct registry *registry, const char *name_space,
                                                 registry_space *ret_space); /* LIMIT, INVALID, NOMEM */
struct registry_name {
    const char *bytes;
    size_t length;
};
/* Registers with nothing to say but HEALTH_UP, for the actor's life; and unregisters. Errors as above. */
MUST_CHECK enum troupe_error registry_put(struct registry *registry, registry_space space, const char *name,
                                          size_t length, actor_ref actor, uint64_t now_ns,
                                          uint64_t *ret_version);
MUST_CHECK enum troupe_error registry_drop(struct registry *registry, registry_space space, const char *name,
                                           size_t length, actor_ref actor);
const struct registry_row *registry_get(struct registry *registry, registry_space space, const char *name,
                                        size_t length, uint64_t now_ns);
size_t registry_get_batch(struct registry *registry, registry_space space, const struct registry_name *names,
                          size_t count, uint64_t now_ns, const struct registry_row **ret_rows);

/* Rows that one thread has looked up last, to look them up again at the cost of the row alone: off unless somebody
 * makes one. Used by its thread only, which is a registered reader (or the turns of one worker). */
struct registry_warm;
MUST_CHECK enum troupe_error registry_warm_create(struct registry *registry,
                                                  unsigned entries /* a power of two, up to 2^20 */,
                                                  struct registry_warm **ret_warm);
void registry_warm_free(struct registry_warm *warm);
const struct registry_row *registry_warm_get(struct registry_warm *warm, registry_space space,
                                             const char *name, size_t length, uint64_t now_ns);
double registry_warm_share(const struct registry_warm *warm); /* of what was asked, found in it */

/* Look-up by message: exactly one of REGISTRY_ANSWER and ASK_FAILED comes, with `token`. FULL: too many questions
 * wait already. A name that is not here goes to the port, if there is one, which answers by registry_answer, now or
 * later: it takes the message by clearing *asked, and frees it after the answer. */
struct message_registry_answer {
    bool found;
    uint8_t load;
    uint16_t node;
    enum health health;
    actor_ref actor;
    uint64_t version;
    struct capability_set capabilities;
    struct resources resources;
};
struct registry_port {
    void (*resolve)(void *context, struct turn *turn, struct message **asked, const char *name_space,
                    const char *name);
    void *context;
};
void registry_set_port(struct registry *registry, const struct registry_port *port); /* before runtime_run */
MUST_CHECK enum troupe_error registry_lookup_async(struct registry *registry, struct turn *turn,
                                                   const char *name_space, const char *name, uint64_t token,
                                                   uint64_t timeout_ns /* 0: never times out */);
void registry_answer(struct turn *turn, const struct message *asked,
                     const struct message_registry_answer *answer);

/* Rows that have all of `capabilities` and health UP (or DEGRADED): from the index, never a scan of rows. No
 * row twice; none that was there throughout is missed while fewer than rows_max are found. */
size_t registry_find(struct registry *registry, const char *name_space,
                     const struct capability_set *capabilities, const struct registry_row **ret_rows,
                     size_t rows_max);
/* The same, those with the least load first; loads that change meanwhile count as before or after. At most
 * REGISTRY_LEAST_MAX. */
#define REGISTRY_LEAST_MAX 64U
size_t registry_find_least_loaded(struct registry *registry, const char *name_space,
                                  const struct capability_set *capabilities,
                                  const struct registry_row **ret_rows, size_t rows_max);
size_t registry_count(const struct registry *registry);
/* Gives back what tables hold that have become far too large; any thread, while all others go on. NOMEM: not all. */
MUST_CHECK enum troupe_error registry_compact(struct registry *registry);
/* Makes room for so many more rows, as far as rows_max allows; any thread, while all others go on. NOMEM: not for all. */
MUST_CHECK enum troupe_error registry_reserve(struct registry *registry, size_t rows);

/* Watches: every change of a namespace, in version order per key, as REGISTRY_CHANGE {kind, name, version,
 * actor, row values} to the watcher; the message's token is the watch. First an ADDED for each row that is
 * there. Bounded by watch_len_max: past it, or without memory for a message, FELL_BEHIND is the last message
 * of the watch; its watcher unwatches and watches again. A key that passes to another holder is REMOVED and
 * ADDED. Not covered: how events of different keys interleave. */
enum registry_change_kind { REGISTRY_ADDED, REGISTRY_CHANGED, REGISTRY_REMOVED, REGISTRY_FELL_BEHIND };
struct message_registry_change {
    enum registry_change_kind change;
    actor_ref actor;
    uint64_t version;
    struct capability_set capabilities;
    struct resources resources;
    enum health health;
    char name[REGISTRY_NAME_MAX + 1];
};
/* LIMIT: watchers_max watches; DEAD: the watcher, or the runtime, has ended. It ends with its watcher. */
MUST_CHECK enum troupe_error registry_watch(struct registry *registry, struct turn *turn,
                                            const char *name_space, actor_ref watcher, uint64_t *ret_watch);
/* Messages that are under way still arrive. A watch that has ended: nothing. */
void registry_unwatch(struct registry *registry, uint64_t watch);

/* What a namespace says, as text, to be kept by whoever can: rows that find returns, with what is left of their leases.
 * Inside a turn or a registered reader. NOMEM; LIMIT: the buffer's. */
MUST_CHECK enum troupe_error registry_save(struct registry *registry, const char *name_space,
                                           struct buffer *out, size_t *ret_rows);
/* And back: `fn` is called for each row, without a namespace and an actor; what it points to is valid during the call.
 * `expired`: its lease ended since, by the wall clock `utc_ns`. An error of fn ends it. CORRUPT names the byte (rows
 * before it have been told); NEWER: of another format. */
struct registry_saved {
    void (*begin)(void *context, size_t rows); /* as many as are said to follow, at most; may be NULL */
    MUST_CHECK enum troupe_error (*fn)(void *context, const struct registration *registration, bool expired);
    void *context;
};
MUST_CHECK enum troupe_error registry_saved_read(const char *text, size_t length, const char *source,
                                                 int64_t utc_ns, const struct registry_saved *to,
                                                 struct fault *fault);

struct registry_statistics {
    uint64_t rows, lookups_hit, lookups_missed, registered, removed, grown;
    uint64_t waiting; /* rows that were removed and whose memory is not used again yet */
    uint64_t bytes;   /* of tables, indexes and rows */
    /* Of registry_get alone, one call in 1024 of each thread; 0: none was timed. To a quarter of an octave. */
    uint64_t hit_p50_ns, hit_p95_ns, missed_p50_ns, missed_p95_ns;
};
void registry_statistics(const struct registry *registry, struct registry_statistics *ret);

#endif
