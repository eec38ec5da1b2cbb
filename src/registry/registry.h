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

enum health { HEALTH_UP, HEALTH_DEGRADED, HEALTH_DRAINING, HEALTH_DOWN };

struct registry_row { /* immutable */
    actor_ref actor;
    uint64_t version;          /* grows with every change of this key */
    uint64_t lease_expires_ns; /* 0: none */
    struct capability_set capabilities;
    struct resources resources;
    uint32_t namespace_id;
    uint16_t node;
    uint8_t health;
    uint8_t name_length;
    uint16_t opaque_length;
    char bytes[]; /* name, NUL, opaque */
};
struct registry;
struct registry_options {
    unsigned partitions;   /* 0: 4 */
    size_t rows_max;       /* 0: 1,048,576 */
    unsigned watchers_max; /* 0: 64 */
};
MUST_CHECK enum troupe_error registry_create(struct runtime *runtime, struct account *account,
                                             const struct registry_options *options,
                                             struct registry **ret_registry, struct fault *fault);
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
/* EXISTS: a live holder (another actor) has it; an expired or dead one is replaced. Insert is atomic. */
MUST_CHECK enum troupe_error registry_register(struct registry *registry,
                                               const struct registration *registration, uint64_t now_ns,
                                               uint64_t *ret_version, struct fault *fault);
MUST_CHECK enum troupe_error registry_unregister(struct registry *registry, const char *name_space,
                                                 const char *name, actor_ref actor); /* NOT_FOUND: not his */
/* Rows of an actor that ended; called by the monitor the registry keeps. */
unsigned registry_remove_actor(struct registry *registry, actor_ref actor);
MUST_CHECK enum troupe_error registry_set_health(struct registry *registry, const char *name_space,
                                                 const char *name, uint64_t version_expected /* 0: any */,
                                                 enum health health);

const struct registry_row *registry_lookup(struct registry *registry, const char *name_space,
                                           const char *name,
                                           uint64_t now_ns); /* NULL: absent, expired or dead */
/* ret_rows[i] for names[i]; returns hits. Prefetches. */
size_t registry_lookup_batch(struct registry *registry, const char *name_space, const char *const *names,
                             size_t count, uint64_t now_ns, const struct registry_row **ret_rows);
/* Rows that have all of `capabilities` and health UP (or DEGRADED): from the index, never a scan. */
size_t registry_find(struct registry *registry, const char *name_space,
                     const struct capability_set *capabilities, const struct registry_row **ret_rows,
                     size_t rows_max);
size_t registry_count(const struct registry *registry);

/* Watches: every change of a namespace, in version order per key, as REGISTRY_CHANGE {kind, name, version,
 * actor, row values} to the watcher; bounded: past it the watcher is told that it fell behind (it then reads
 * again). */
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
MUST_CHECK enum troupe_error registry_watch(struct registry *registry, struct turn *turn,
                                            const char *name_space, actor_ref watcher,
                                            uint64_t *ret_watch); /* first: ADDED for what is there */
void registry_unwatch(struct registry *registry, uint64_t watch);

struct registry_statistics {
    uint64_t rows, lookups_hit, lookups_missed, registered, removed, grown, bytes;
};
void registry_statistics(const struct registry *registry, struct registry_statistics *ret);

#endif
