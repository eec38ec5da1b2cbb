/* Monitors and links: who is told when an actor ends.
 *
 * Invariants: a monitor is in the list of the actor it watches and in the list of its watcher, or in
 *             neither; each is delivered or dropped once. A link is two monitors: the child's DOWN to the
 *             parent, and the parent's abnormal end as EXIT to the child.
 * Threads: any; both lists of every actor belong to runtime.monitor_lock. The generation moves on before an
 *          ending actor takes the lock, so whoever finds it alive under the lock is in the list that will be
 *          walked.
 * Memory:  one block per monitor from the runtime's account, with its message inside. */
#include "runtime/worker.h"

struct monitor {
    struct runtime *runtime;
    actor_ref target, watcher;
    struct monitor *target_next, **target_link;   /* of the target */
    struct monitor *watcher_next, **watcher_link; /* of the watcher */
    bool abnormal_only;
    struct message message; /* last: its payload follows */
};

#define MONITOR_PAYLOAD sizeof(struct message_down)

static struct monitor *monitor_new(struct runtime *runtime, enum message_kind kind, actor_ref target,
                                   actor_ref watcher, uint64_t token) {
    struct monitor *monitor = memory_alloc(runtime->account, sizeof *monitor + MONITOR_PAYLOAD);
    if (monitor == NULL) {
        return NULL;
    }
    monitor->runtime = runtime;
    monitor->target = target;
    monitor->watcher = watcher;
    monitor->abnormal_only = kind == MESSAGE_EXIT;
    message_init(&monitor->message, runtime, kind,
                 kind == MESSAGE_EXIT ? sizeof(struct message_exit) : sizeof(struct message_down),
                 MESSAGE_HOME_MONITOR);
    monitor->message.token = token;
    monitor->message.sender = target;
    return monitor;
}

void monitor_message_free(struct message *message) {
    struct monitor *monitor = (struct monitor *)(void *)((char *)message - offsetof(struct monitor, message));
    memory_free(monitor->runtime->account, monitor);
}

/* Called with the lock held. */
static void monitor_attach(struct monitor *monitor, struct actor *target, struct actor *watcher) {
    monitor->target_next = target->monitors;
    monitor->target_link = &target->monitors;
    if (target->monitors != NULL) {
        target->monitors->target_link = &monitor->target_next;
    }
    target->monitors = monitor;
    monitor->watcher_next = watcher->watching;
    monitor->watcher_link = &watcher->watching;
    if (watcher->watching != NULL) {
        watcher->watching->watcher_link = &monitor->watcher_next;
    }
    watcher->watching = monitor;
}

/* Called with the lock held. */
static void monitor_detach(struct monitor *monitor) {
    *monitor->target_link = monitor->target_next;
    if (monitor->target_next != NULL) {
        monitor->target_next->target_link = monitor->target_link;
    }
    *monitor->watcher_link = monitor->watcher_next;
    if (monitor->watcher_next != NULL) {
        monitor->watcher_next->watcher_link = monitor->watcher_link;
    }
}

/* Tells the watcher, or drops the monitor when there is nothing to tell. */
static void monitor_fire(struct worker *worker, struct monitor *monitor, enum troupe_error reason) {
    struct runtime *runtime = monitor->runtime;
    if (monitor->abnormal_only) {
        if (reason == TROUPE_OK) {
            memory_free(runtime->account, monitor);
            return;
        }
        MESSAGE_PAYLOAD(&monitor->message, struct message_exit)->reason = reason;
    } else {
        struct message_down *down = MESSAGE_PAYLOAD(&monitor->message, struct message_down);
        *down = (struct message_down){
            .actor = monitor->target, .reason = reason, .token = monitor->message.token};
    }
    if (actor_deliver(runtime, worker, monitor->watcher, &monitor->message) != TROUPE_OK) {
        memory_free(runtime->account, monitor);
    }
}

enum troupe_error actor_watch(struct runtime *runtime, actor_ref watcher_ref, actor_ref ref, uint64_t token) {
    struct monitor *monitor = monitor_new(runtime, MESSAGE_DOWN, ref, watcher_ref, token);
    if (monitor == NULL) {
        return TROUPE_NOMEM;
    }
    struct actor *target = actor_at(runtime, ref), *watcher = actor_at(runtime, watcher_ref);
    spin_lock(&runtime->monitor_lock);
    bool watcher_alive = actor_alive(runtime, watcher_ref);
    bool attached = watcher_alive && actor_alive(runtime, ref);
    if (attached) {
        monitor_attach(monitor, target, watcher);
    }
    spin_unlock(&runtime->monitor_lock);
    if (!watcher_alive) {
        memory_free(runtime->account, monitor);
        return TROUPE_DEAD;
    }
    if (!attached) {
        monitor_fire(worker_current(runtime), monitor, TROUPE_DEAD);
    }
    return TROUPE_OK;
}

void actor_unwatch(struct runtime *runtime, actor_ref watcher_ref, actor_ref ref, uint64_t token) {
    struct actor *watcher = actor_at(runtime, watcher_ref);
    if (watcher == NULL) {
        return;
    }
    struct monitor *found = NULL;
    spin_lock(&runtime->monitor_lock);
    if (actor_alive(runtime, watcher_ref)) {
        found = watcher->watching;
        while (found != NULL &&
               (found->abnormal_only || found->target != ref || found->message.token != token)) {
            found = found->watcher_next;
        }
        if (found != NULL) {
            monitor_detach(found);
        }
    }
    spin_unlock(&runtime->monitor_lock);
    memory_free(runtime->account, found);
}

enum troupe_error actor_monitor(struct turn *turn, actor_ref actor, uint64_t token) {
    return actor_watch(turn->runtime, turn->self, actor, token);
}

enum troupe_error monitor_link(struct runtime *runtime, struct actor *child, actor_ref parent_ref) {
    struct monitor *down = monitor_new(runtime, MESSAGE_DOWN, actor_self(child), parent_ref, 0);
    struct monitor *exit = monitor_new(runtime, MESSAGE_EXIT, parent_ref, actor_self(child), 0);
    enum troupe_error error = TROUPE_NOMEM;
    if (down != NULL && exit != NULL) {
        struct actor *parent = actor_at(runtime, parent_ref);
        error = TROUPE_DEAD;
        spin_lock(&runtime->monitor_lock);
        if (actor_alive(runtime, parent_ref)) {
            monitor_attach(down, child, parent);
            monitor_attach(exit, parent, child);
            error = TROUPE_OK;
        }
        spin_unlock(&runtime->monitor_lock);
    }
    if (error != TROUPE_OK) {
        memory_free(runtime->account, down);
        memory_free(runtime->account, exit);
    }
    return error;
}

void monitor_actor_ended(struct runtime *runtime, struct worker *worker, struct actor *actor, actor_ref ref,
                         enum troupe_error reason) {
    struct monitor *watching = NULL;
    struct monitor *monitors = NULL, **end = &monitors;
    spin_lock(&runtime->monitor_lock);
    while (actor->watching != NULL) {
        struct monitor *monitor = actor->watching;
        monitor_detach(monitor);
        monitor->watcher_next = watching;
        watching = monitor;
    }
    while (actor->monitors != NULL) {
        struct monitor *monitor = actor->monitors;
        CHECK(monitor->target == ref);
        monitor_detach(monitor);
        monitor->target_next = NULL;
        *end = monitor;
        end = &monitor->target_next;
    }
    spin_unlock(&runtime->monitor_lock);
    while (watching != NULL) {
        struct monitor *next = watching->watcher_next;
        memory_free(runtime->account, watching);
        watching = next;
    }
    while (monitors != NULL) {
        struct monitor *next = monitors->target_next;
        monitor_fire(worker, monitors, reason);
        monitors = next;
    }
}
