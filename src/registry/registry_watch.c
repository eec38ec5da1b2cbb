/* Watches: every change of a namespace, in version order per key, to one actor each.
 *
 * Order:  a writer takes a ticket of each watch under the partition's lock; after the lock it puts the message
 *         into the watch's ring at the ticket's place. Whoever finds the next place filled sends; one thread at
 *         a time does (`pumping` counts those who want it; the one who made it 1 goes on until it is 0 again).
 *         So nothing is sent under a lock and nobody waits for a slower writer.
 * First:  the rows that are there are read in small steps in order of their hashes, which is where they are in
 *         any table and stays the same for a key. A row below the cursor has been told, so its changes are; one above has not, and its changes are left out: the step that comes to it
 *         tells how it stands then.
 * Bound:  tickets taken and messages not yet destroyed are at most watch_len_max; the next one is FELL_BEHIND,
 *         the last, whose message was made beforehand. The first reading keeps to half of it and goes on, by
 *         the keeper, as the watcher's messages are destroyed.
 * Threads: any. Lock order: partition, then watch.
 * Memory: a watch is one block, freed with its last reference: the registry's, each ticket's (handed on to its
 *         message), each feeder's. Messages may outlive the registry. */
#include "registry/registry_private.h"

#define FEED_BATCH 16U

struct watch {
    struct registry *registry; /* while not closed */
    struct account *account;
    actor_ref watcher;
    uint64_t id;
    uint32_t namespace_id;
    uint32_t len_max;
    _Atomic uint32_t references;
    _Atomic bool closed;
    _Atomic bool fed; /* every row that was there has been told */
    struct spin lock;
    bool behind;              /* lock: the last ticket was taken */
    _Atomic uint64_t tickets; /* lock writes, any reads */
    _Atomic uint64_t finished;
    _Atomic uint64_t pumping;
    uint64_t sent; /* the pumping thread's */
    bool told;     /* the pumping thread's: the farewell was sent */
    _Atomic(struct message *) farewell;
    _Atomic uint64_t feeding;
    uint32_t feed_partition;         /* the feeding thread's */
    _Atomic(struct message *) *ring; /* len_max + 1: a ticket's place is free again before it comes round */
    struct subscription subscriptions[];
};

struct change_message {
    struct message_registry_change change;
    struct watch *watch; /* a reference, or NULL */
};

static struct message farewell_mark; /* in the ring: send the farewell here */

static void watch_hold(struct watch *watch) {
    atomic_fetch_add_explicit(&watch->references, 1, memory_order_relaxed); /* the holder has one already */
}

static void watch_release(struct watch *watch) {
    /* Release and acquire: what others did with it comes before the end. */
    if (atomic_fetch_sub_explicit(&watch->references, 1, memory_order_acq_rel) == 1) {
        memory_free(watch->account, watch);
    }
}

static bool watch_closed(const struct watch *watch) {
    return atomic_load_explicit(&watch->closed, memory_order_acquire); /* pairs with watch_close */
}

static uint64_t watch_pending(const struct watch *watch) {
    /* Acquire pairs with ticket_finished: what is counted there is free again. Finished first: a ticket is
     * never counted finished before it was taken. */
    uint64_t finished = atomic_load_explicit(&watch->finished, memory_order_acquire);
    return atomic_load_explicit(&watch->tickets, memory_order_relaxed) - finished;
}

static void ticket_finished(struct watch *watch) {
    atomic_fetch_add_explicit(&watch->finished, 1, memory_order_acq_rel); /* pairs with watch_pending */
    if (!watch_closed(watch) && !atomic_load_explicit(&watch->fed, memory_order_relaxed) &&
        watch_pending(watch) <= watch->len_max / 4) {
        keeper_wake(watch->registry);
    }
    watch_release(watch);
}

void watch_message_destroy(struct message *message) {
    if (message->bytes == sizeof(struct change_message)) {
        struct watch *watch = MESSAGE_PAYLOAD(message, struct change_message)->watch;
        if (watch != NULL) {
            ticket_finished(watch);
        }
    }
}

/* ---- tickets ---- */

/* False: the watch has ended, or has its last ticket. `last`: this one is to be the last. */
static bool ticket_take(struct watch *watch, bool last, struct ticket *ret_ticket) {
    spin_lock(&watch->lock);
    bool taken = !watch->behind && !watch_closed(watch);
    if (taken) {
        watch->behind = last || watch_pending(watch) >= watch->len_max;
        uint64_t number = atomic_load_explicit(&watch->tickets, memory_order_relaxed); /* under our lock */
        atomic_store_explicit(&watch->tickets, number + 1, memory_order_relaxed); /* read as a bound only */
        *ret_ticket = (struct ticket){.watch = watch, .number = number, .behind = watch->behind};
    }
    spin_unlock(&watch->lock);
    if (taken) {
        watch_hold(watch);
    }
    return taken;
}

void tickets_take_some(const struct shelf *shelf, uint64_t hash, struct tickets *ret_tickets) {
    for (struct subscription *at = shelf->subscriptions; at != NULL; at = at->next) {
        if ((at->done || hash < at->cursor) &&
            ticket_take(at->watch, false, &ret_tickets->taken[ret_tickets->count])) {
            ret_tickets->count++;
        }
    }
}

/* ---- sending ---- */

/* The message whose turn it is, or the farewell. */
static void watch_send(struct watch *watch, struct message *message) {
    if (message == &farewell_mark) {
        /* Acquire: watch_close may want it too. */
        message = atomic_exchange_explicit(&watch->farewell, NULL, memory_order_acq_rel);
        if (message == NULL) {
            ticket_finished(watch);
            return;
        }
        MESSAGE_PAYLOAD(message, struct change_message)->watch = watch; /* the ticket's reference */
        message->token = watch->id;
    } else if (watch->told) {
        message_free(&message);
        return;
    }
    watch->told = MESSAGE_PAYLOAD(message, struct change_message)->change.change == REGISTRY_FELL_BEHIND;
    if (!watch_closed(watch)) {
        /* Refused when the watcher is gone: the keeper will close the watch. */
        IGNORE(actor_send(watch->registry->runtime, NULL, watch->watcher, &message), "freed below");
    }
    message_free(&message);
}

static void watch_pump(struct watch *watch) {
    /* Acquire and release: the next pumping thread sees `sent`, and each sees the places filled before. */
    if (atomic_fetch_add_explicit(&watch->pumping, 1, memory_order_acq_rel) != 0) {
        return;
    }
    uint64_t wanted;
    do {
        wanted = atomic_load_explicit(&watch->pumping, memory_order_acquire);
        for (;;) {
            _Atomic(struct message *) *place = &watch->ring[watch->sent % (watch->len_max + 1)];
            struct message *message = atomic_load_explicit(place, memory_order_acquire); /* ticket_place */
            if (message == NULL) {
                break;
            }
            atomic_store_explicit(place, NULL, memory_order_relaxed); /* ours until the ticket comes round */
            watch->sent++;
            watch_send(watch, message);
        }
    } while (atomic_fetch_sub_explicit(&watch->pumping, wanted, memory_order_acq_rel) != wanted);
}

/* Uses up the ticket. `message` NULL: no memory for it. */
static void ticket_place(const struct ticket *ticket, struct message *message) {
    struct watch *watch = ticket->watch;
    watch_hold(watch); /* the ticket's reference may go with the message */
    if (message != NULL) {
        MESSAGE_PAYLOAD(message, struct change_message)->watch = watch;
        message->token = watch->id;
    } else {
        spin_lock(&watch->lock);
        watch->behind = true; /* tickets that were taken after it are not sent */
        spin_unlock(&watch->lock);
        message = &farewell_mark;
    }
    /* Release pairs with the acquire of watch_pump. */
    atomic_store_explicit(&watch->ring[ticket->number % (watch->len_max + 1)], message, memory_order_release);
    watch_pump(watch);
    watch_release(watch);
}

static void message_fill(struct message *message, const struct event *event) {
    struct message_registry_change *change = MESSAGE_PAYLOAD(message, struct message_registry_change);
    change->change = event->change;
    change->version = event->version;
    change->actor = event->actor;
    change->capabilities = *event->capabilities;
    change->resources = *event->resources;
    change->health = event->health;
    memcpy(change->name, event->name, event->name_length);
}

static struct message *message_change(struct runtime *runtime) {
    return message_new(runtime, MESSAGE_REGISTRY_CHANGE, sizeof(struct change_message));
}

void tickets_tell(const struct tickets *tickets, const struct event *event) {
    for (unsigned at = 0; at < tickets->count; at++) {
        const struct ticket *ticket = &tickets->taken[at];
        struct message *message = NULL;
        if (!ticket->behind) {
            message = message_change(ticket->watch->registry->runtime);
        }
        if (message != NULL) {
            message_fill(message, event);
        }
        ticket_place(ticket, message);
    }
}

/* ---- the first reading ---- */

/* Under the partition's lock: fills messages with the next rows. Returns how many; their tickets may end with
 * the watch's last. */
static unsigned feed_rows(struct watch *watch, struct partition *partition,
                          struct message *messages[FEED_BATCH], unsigned count,
                          struct ticket ret_tickets[FEED_BATCH]) {
    struct subscription *subscription = &watch->subscriptions[watch->feed_partition];
    struct registry *registry = watch->registry;
    row_ref refs[FEED_BATCH];
    uint64_t next;
    bool done;
    unsigned rows =
        table_walk(registry, partition, watch->namespace_id, subscription->cursor, refs, count, &next, &done);
    for (unsigned at = 0; at < rows; at++) {
        if (!ticket_take(watch, false, &ret_tickets[at])) {
            return at;
        }
        const struct registry_row *row = row_of(registry, refs[at]);
        uint64_t state = row_state(row);
        struct values values;
        state_values(registry, state, &values);
        struct event event = event_of_row(REGISTRY_ADDED, state_version(state), &values, row->actor,
                                          row->name, state_length(state));
        message_fill(messages[at], &event);
        if (ret_tickets[at].behind) {
            return at + 1;
        }
    }
    subscription->cursor = next;
    subscription->done = done;
    return rows;
}

static bool watch_behind(struct watch *watch) {
    spin_lock(&watch->lock);
    bool behind = watch->behind || watch_closed(watch);
    spin_unlock(&watch->lock);
    return behind;
}

/* One step. False: no further one now. */
static bool feed_step(struct watch *watch) {
    struct registry *registry = watch->registry;
    struct message *messages[FEED_BATCH];
    struct ticket tickets[FEED_BATCH];
    uint64_t pending = watch_pending(watch), room = watch->len_max / 2;
    if (watch->feed_partition > registry->partition_mask) {
        atomic_store_explicit(&watch->fed, true, memory_order_relaxed); /* a hint to wake nobody any more */
        return false;
    }
    if (watch_closed(watch) || pending >= room) {
        return false;
    }
    unsigned count = 0, most = room - pending < FEED_BATCH ? (unsigned)(room - pending) : FEED_BATCH;
    while (count < most && (messages[count] = message_change(registry->runtime)) != NULL) {
        count++;
    }
    if (count == 0) {
        struct ticket last;
        if (ticket_take(watch, true, &last)) {
            ticket_place(&last, NULL);
        }
        return false;
    }
    struct partition *partition = &registry->partitions[watch->feed_partition];
    spin_lock(&partition->lock);
    unsigned filled = feed_rows(watch, partition, messages, count, tickets);
    bool done = watch->subscriptions[watch->feed_partition].done;
    spin_unlock(&partition->lock);
    bool behind = watch_behind(watch);
    for (unsigned at = 0; at < count; at++) {
        if (at < filled && !tickets[at].behind) {
            ticket_place(&tickets[at], messages[at]);
            continue;
        }
        message_free(&messages[at]);
        if (at < filled) {
            ticket_place(&tickets[at], NULL);
        }
    }
    watch->feed_partition += done;
    return !behind;
}

/* The caller made `feeding` 1. */
static void feed_run(struct watch *watch) {
    uint64_t wanted;
    do {
        wanted = atomic_load_explicit(&watch->feeding, memory_order_acquire);
        while (feed_step(watch)) {
        }
    } while (atomic_fetch_sub_explicit(&watch->feeding, wanted, memory_order_acq_rel) != wanted);
}

static void watch_feed(struct watch *watch) {
    /* Acquire and release: the feeding threads' fields, handed on as in watch_pump. */
    if (atomic_fetch_add_explicit(&watch->feeding, 1, memory_order_acq_rel) == 0) {
        feed_run(watch);
    }
}

void watches_feed(struct registry *registry) {
    for (unsigned at = 0; at < registry->watchers_max; at++) {
        spin_lock(&registry->watch_lock);
        struct watch *watch = registry->watches[at];
        if (watch != NULL) {
            watch_hold(watch);
        }
        spin_unlock(&registry->watch_lock);
        if (watch != NULL) {
            if (!atomic_load_explicit(&watch->fed, memory_order_relaxed)) {
                watch_feed(watch);
            }
            watch_release(watch);
        }
    }
}

/* ---- begin and end ---- */

static struct watch *watch_new(struct registry *registry, uint32_t namespace_id, actor_ref watcher) {
    size_t partitions = registry->partition_mask + 1;
    size_t ring = sizeof(struct watch) + partitions * sizeof(struct subscription);
    struct watch *watch =
        memory_alloc(registry->account, ring + (registry->watch_len_max + 1) * sizeof(struct message *));
    struct message *farewell = message_change(registry->runtime);
    if (watch == NULL || farewell == NULL) {
        memory_free(registry->account, watch);
        message_free(&farewell);
        return NULL;
    }
    MESSAGE_PAYLOAD(farewell, struct change_message)->change.change = REGISTRY_FELL_BEHIND;
    watch->registry = registry;
    watch->account = registry->account;
    watch->watcher = watcher;
    watch->namespace_id = namespace_id;
    watch->len_max = registry->watch_len_max;
    watch->references = 1;
    /* Until it is subscribed everywhere nobody else feeds it: the keeper may find it before, and a change of a row read
     * then would pass unseen. */
    watch->feeding = 1;
    watch->farewell = farewell;
    watch->ring = (void *)((char *)watch + ring);
    return watch;
}

/* It is in registry.watches no more, and closed. */
static void watch_close(struct registry *registry, struct watch *watch) {
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        struct subscription *subscription = &watch->subscriptions[at];
        spin_lock(&partition->lock);
        if (subscription->link != NULL) {
            *subscription->link = subscription->next;
            if (subscription->next != NULL) {
                subscription->next->link = subscription->link;
            }
            subscription->link = NULL;
        }
        spin_unlock(&partition->lock);
    }
    struct message *farewell =
        atomic_exchange_explicit(&watch->farewell, NULL, memory_order_acq_rel); /* watch_send */
    message_free(&farewell);
    watch_release(watch);
}

/* Takes the watch out of slot `at` if it is `id`, or `watcher`'s (0: anybody's). */
static void watch_end(struct registry *registry, unsigned at, uint64_t id, actor_ref watcher) {
    spin_lock(&registry->watch_lock);
    struct watch *watch = registry->watches[at];
    if (watch != NULL && ((id != 0 && watch->id != id) || (watcher != 0 && watch->watcher != watcher))) {
        watch = NULL;
    }
    if (watch != NULL) {
        registry->watches[at] = NULL;
        /* Under the lock: whoever takes the slot next is known to come after it, so that no namespace ever has
         * more open watches than WATCHERS_MAX. Release pairs with watch_closed. */
        atomic_store_explicit(&watch->closed, true, memory_order_release);
    }
    spin_unlock(&registry->watch_lock);
    if (watch != NULL) {
        watch_close(registry, watch);
    }
}

void registry_unwatch(struct registry *registry, uint64_t watch) {
    if (watch != 0) {
        watch_end(registry, watch % WATCHERS_MAX, watch, 0);
    }
}

void watches_end(struct registry *registry, actor_ref watcher) {
    for (unsigned at = 0; at < registry->watchers_max; at++) {
        watch_end(registry, at, 0, watcher);
    }
}

static enum troupe_error watch_begin(struct registry *registry, struct watch *watch, uint64_t *ret_id) {
    unsigned at = 0;
    spin_lock(&registry->watch_lock);
    while (at < registry->watchers_max && registry->watches[at] != NULL) {
        at++;
    }
    if (at < registry->watchers_max) {
        watch->id = ++registry->watch_sequence * WATCHERS_MAX + at;
        *ret_id = watch->id;
        registry->watches[at] = watch;
        watch_hold(watch); /* the caller's own */
    }
    spin_unlock(&registry->watch_lock);
    return at < registry->watchers_max ? TROUPE_OK : TROUPE_LIMIT;
}

static void watch_subscribe(struct registry *registry, struct watch *watch) {
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        struct partition *partition = &registry->partitions[at];
        struct subscription *subscription = &watch->subscriptions[at];
        subscription->watch = watch;
        spin_lock(&partition->lock);
        struct shelf *shelf = shelf_of(partition, watch->namespace_id);
        if (!watch_closed(watch)) { /* closed meanwhile: it would never be unlinked */
            subscription->next = shelf->subscriptions;
            subscription->link = &shelf->subscriptions;
            if (subscription->next != NULL) {
                subscription->next->link = &subscription->next;
            }
            shelf->subscriptions = subscription;
        }
        spin_unlock(&partition->lock);
    }
}

enum troupe_error registry_watch(struct registry *registry, struct turn *turn, const char *name_space,
                                 actor_ref watcher, uint64_t *ret_watch) {
    const struct namespace *in;
    uint64_t id = 0;
    (void)turn; /* a change is sent by whoever changes */
    enum troupe_error error = namespace_intern(registry, name_space, &in);
    if (error == TROUPE_OK) {
        error = keeper_monitor(registry, watcher);
    }
    for (uint32_t at = 0; error == TROUPE_OK && at <= registry->partition_mask; at++) {
        error = shelf_ensure(registry, &registry->partitions[at], in->id);
    }
    if (error != TROUPE_OK) {
        return error;
    }
    struct watch *watch = watch_new(registry, in->id, watcher);
    if (watch == NULL) {
        return TROUPE_NOMEM;
    }
    error = watch_begin(registry, watch, &id);
    if (error != TROUPE_OK) {
        watch_close(registry, watch);
        return error;
    }
    watch_subscribe(registry, watch);
    feed_run(watch);
    watch_release(watch);
    /* The keeper may have heard of its end before the watch was there. */
    if (!actor_alive(registry->runtime, watcher)) {
        registry_unwatch(registry, id);
        return TROUPE_DEAD;
    }
    *ret_watch = id;
    return TROUPE_OK;
}
