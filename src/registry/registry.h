/* registry: (namespace, name) -> handle, metadata, lease. Shared data, not an actor: no queue can form in
 * front.
 *
 * Structure: partitions by hash(key) (a power of two, 4 by default), each an open-addressed table of tagged
 *            row pointers behind one atomic pointer; rows are immutable versions replaced whole; removed
 *            rows and old tables go to the runtime's grace list. One writer lock per partition.
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

enum health { HEALTH_UP, HEALTH_DEGRADED, HEALTH_DRAINING, HEALTH_DOWN };

struct registry_row { /* immutable; what a lookup compares fills its first line */
    actor_ref actor;
    uint64_t version; /* grows with every change of this key, also over its removal */
    uint32_t namespace_id;
    uint16_t node;
    uint16_t opaque_length;
    uint8_t health;
    uint8_t name_length;
    uint8_t parts; /* the registry's: which of the below stand behind the opaque bytes */
    char bytes[];  /* name, NUL, opaque */
};
uint64_t registry_row_lease(const struct registry_row *row); /* when it expires; 0: never */
const struct capability_set *registry_row_capabilities(const struct registry_row *row);
const struct resources *registry_row_resources(const struct registry_row *row);

struct registry;
struct registry_options {
    unsigned partitions;    /* a power of two up to 256; 0: 4 */
    size_t rows_max;        /* 0: 1,048,576 */
    unsigned watchers_max;  /* up to 64; 0: 64 */
    unsigned watch_len_max; /* changes sent to one watcher and not yet handled; at least 4; 0: 1024 */
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
/* EXISTS: the row has another version than the expected one. FULL, NOMEM: as in register. */
MUST_CHECK enum troupe_error registry_set_health(struct registry *registry, const char *name_space,
                                                 const char *name, uint64_t version_expected /* 0: any */,
                                                 enum health health);

const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name,
                                           uint64_t now_ns); /* NULL: absent, expired or dead */
/* ret_rows[i] for names[i]; returns hits. Prefetches. */
size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows);
/* Rows that have all of `capabilities` and health UP (or DEGRADED): from the index of the rarest of them, never
 * a scan. No row twice; none that was there throughout is missed while fewer than rows_max are found. */
size_t registry_find(struct registry *registry, const char *name_space,
                     const struct capability_set *capabilities, const struct registry_row **ret_rows,
                     size_t rows_max);
size_t registry_count(const struct registry *registry);

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

struct registry_statistics {
    uint64_t rows, lookups_hit, lookups_missed, registered, removed, grown;
    uint64_t bytes; /* of tables, indexes and rows */
};
void registry_statistics(const struct registry *registry, struct registry_statistics *ret);

#endif
