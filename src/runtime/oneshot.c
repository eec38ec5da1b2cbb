/* Oneshots: see oneshot.h. */
#include "runtime/oneshot.h"

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static void oneshot_drop(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot) {
    /* Acquire and release pair among the holders: the last one sees that the others are done with the cell.
     */
    if (atomic_load_explicit(&oneshot->references, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&oneshot->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    oneshot_free(runtime, worker, oneshot);
}

/* Takes it out of its wheel, or asks the wheel's worker to; the wheel's reference goes with it, unless the message
 * of an ask has it already. */
static void oneshot_unlink(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot) {
    /* Relaxed: what it leads to is decided by the exchange below or by being the wheel's worker. */
    uint32_t wheel = atomic_load_explicit(&oneshot->wheel, memory_order_relaxed);
    if (wheel == WHEEL_NONE || wheel == WHEEL_FIRED) {
        return;
    }
    if (worker != NULL && worker->index == oneshot->worker) {
        if (oneshot->entry.link != NULL) {
            wheel_remove(&worker->wheel, &oneshot->entry);
        }
        oneshot_drop(runtime, worker, oneshot);
        return;
    }
    /* Relaxed: whoever loses only leaves the wheel's reference to the other. */
    if (!atomic_compare_exchange_strong_explicit(&oneshot->wheel, &wheel, WHEEL_CANCELLED,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return;
    }
    _Atomic(struct oneshot *) *stack = &runtime->workers[oneshot->worker].cancelled;
    struct oneshot *top = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        oneshot->cancelled_next = top;
        /* Release pairs with the acquire exchange in oneshot_poll: it sees cancelled_next. */
    } while (!atomic_compare_exchange_weak_explicit(stack, &top, oneshot, memory_order_release,
                                                    memory_order_relaxed));
}

struct oneshot *oneshot_close(struct runtime *runtime, uint64_t id, enum oneshot_state to) {
    struct oneshot *oneshot = (struct oneshot *)(void *)cell_at(&runtime->oneshots, (uint32_t)id);
    if (oneshot == NULL) {
        return NULL;
    }
    uint64_t armed = ONESHOT_STATE(id >> 32, ONESHOT_ARMED);
    /* Relaxed on failure: a promise that is kept already is not touched. The look before spares the common
     * late case (an answered message being destroyed) the locked instruction. Acquire pairs with
     * oneshot_start. */
    if (atomic_load_explicit(&oneshot->state, memory_order_relaxed) != armed ||
        !atomic_compare_exchange_strong_explicit(&oneshot->state, &armed, ONESHOT_STATE(id >> 32, to),
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        return NULL;
    }
    return oneshot;
}

void oneshot_release(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot) {
    oneshot_unlink(runtime, worker, oneshot);
    oneshot_drop(runtime, worker, oneshot);
}

void oneshot_message_free(struct runtime *runtime, struct worker *worker, struct message *message) {
    oneshot_drop(runtime, worker, CONTAINER(message, struct oneshot, message));
}

static void oneshot_message(struct worker *worker, struct oneshot *oneshot, unsigned flags) {
    message_init(&oneshot->message, worker->runtime, (enum message_kind)oneshot->kind, ONESHOT_PAYLOAD,
                 MESSAGE_HOME_ONESHOT | flags);
    oneshot->message.token = oneshot->token;
}

/* The wheel says that it is due. A timer: its deadline keeps the promise unless a cancel has. An ask: the wheel's
 * reference goes with the message, and the asker's mailbox decides. */
static void oneshot_fire(struct worker *worker, struct oneshot *oneshot) {
    struct runtime *runtime = worker->runtime;
    if (oneshot->kind == MESSAGE_TIMER) {
        if (oneshot_close(runtime, oneshot_id(oneshot), ONESHOT_FIRED) == NULL) {
            return; /* whoever closed it has asked us to unlink it; that request drops the wheel's reference */
        }
        oneshot_message(worker, oneshot, 0);
        *MESSAGE_PAYLOAD(&oneshot->message, struct message_timer) =
            (struct message_timer){.timer = oneshot_id(oneshot), .token = oneshot->token};
        oneshot_drop(runtime, worker, oneshot); /* the wheel's */
    } else {
        uint32_t waiting = WHEEL_LINKED;
        /* Relaxed: whoever loses only leaves the cell to the other. */
        if (!atomic_compare_exchange_strong_explicit(&oneshot->wheel, &waiting, WHEEL_FIRED,
                                                     memory_order_relaxed, memory_order_relaxed)) {
            return; /* closed: as above */
        }
        oneshot_message(worker, oneshot, MESSAGE_ANSWERS);
        oneshot->message.reply = oneshot_id(oneshot);
        *MESSAGE_PAYLOAD(&oneshot->message, struct message_ask_failed) =
            (struct message_ask_failed){.error = TROUPE_TIMEOUT, .token = oneshot->token};
    }
    actor_deliver_system(runtime, worker, oneshot->owner, &oneshot->message);
}

void oneshot_poll(struct worker *worker, uint64_t now_ns, unsigned most) {
    /* Relaxed look, then acquire: pairs with the release in oneshot_unlink. */
    if (atomic_load_explicit(&worker->cancelled, memory_order_relaxed) != NULL) {
        struct oneshot *oneshot = atomic_exchange_explicit(&worker->cancelled, NULL, memory_order_acquire);
        while (oneshot != NULL) {
            struct oneshot *next = oneshot->cancelled_next;
            oneshot_unlink(worker->runtime, worker, oneshot);
            oneshot = next;
        }
    }
    struct wheel_entry *entry;
    while (most-- > 0 && (entry = wheel_pop(&worker->wheel, now_ns)) != NULL) {
        oneshot_fire(worker, CONTAINER(entry, struct oneshot, entry));
    }
}

/* ---- timers: oneshots in their actor's list, so that they end with it ---- */

static void timer_list_remove(struct oneshot *oneshot) {
    if (oneshot->timer_link == NULL) {
        return;
    }
    *oneshot->timer_link = oneshot->timer_next;
    if (oneshot->timer_next != NULL) {
        oneshot->timer_next->timer_link = oneshot->timer_link;
    }
    oneshot->timer_link = NULL;
}

enum troupe_error timer_start(struct turn *turn, uint64_t deadline_ns, uint64_t token, uint64_t *ret_timer) {
    struct actor *actor = actor_at(turn->runtime, turn->self);
    struct oneshot *oneshot;
    if (deadline_ns == UINT64_MAX) {
        deadline_ns--; /* the farthest there is: never, in practice */
    }
    enum troupe_error error =
        oneshot_start(worker_of_turn(turn), turn->self, MESSAGE_TIMER, token, deadline_ns, &oneshot);
    if (error != TROUPE_OK) {
        return error;
    }
    oneshot->timer_next = actor->timers;
    oneshot->timer_link = &actor->timers;
    if (actor->timers != NULL) {
        actor->timers->timer_link = &oneshot->timer_next;
    }
    actor->timers = oneshot;
    *ret_timer = oneshot_id(oneshot);
    return TROUPE_OK;
}

void timer_cancel(struct turn *turn, uint64_t timer) {
    struct oneshot *oneshot = oneshot_close(turn->runtime, timer, ONESHOT_CLOSED);
    if (oneshot != NULL) {
        CHECK(oneshot->owner == turn->self && oneshot->kind == MESSAGE_TIMER);
        timer_list_remove(oneshot);
        oneshot_release(turn->runtime, worker_of_turn(turn), oneshot);
        return;
    }
    oneshot = (struct oneshot *)(void *)cell_at(&turn->runtime->oneshots, (uint32_t)timer);
    uint64_t fired = ONESHOT_STATE(timer >> 32, ONESHOT_FIRED);
    if (oneshot != NULL) {
        /* Its TIMER is in our mailbox: timer_delivering will see this. Both run in this actor's turns, so
         * relaxed. */
        atomic_compare_exchange_strong_explicit(&oneshot->state, &fired,
                                                ONESHOT_STATE(timer >> 32, ONESHOT_CLOSED),
                                                memory_order_relaxed, memory_order_relaxed);
    }
}

bool timer_stale(const struct message *message) {
    const struct oneshot *oneshot = CONTAINER(message, const struct oneshot, message);
    /* Relaxed: see timer_cancel. */
    return atomic_load_explicit(&oneshot->state, memory_order_relaxed) !=
           ONESHOT_STATE(oneshot_generation(oneshot), ONESHOT_FIRED);
}

bool timer_delivering(struct actor *actor, struct message *message) {
    struct oneshot *oneshot = CONTAINER(message, struct oneshot, message);
    CHECK(oneshot->owner == actor_self(actor));
    timer_list_remove(oneshot);
    uint64_t fired = ONESHOT_STATE(oneshot_generation(oneshot), ONESHOT_FIRED);
    /* From here on a cancel is ignored. Relaxed: see timer_cancel. */
    return atomic_compare_exchange_strong_explicit(&oneshot->state, &fired,
                                                   ONESHOT_STATE(oneshot_generation(oneshot), ONESHOT_CLOSED),
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* Before the actor's generation moves on: until then a fired one is in its mailbox, so its cell cannot go
 * away. */
void timers_end(struct runtime *runtime, struct worker *worker, struct actor *actor) {
    while (actor->timers != NULL) {
        struct oneshot *oneshot = actor->timers;
        timer_list_remove(oneshot);
        if (oneshot_close(runtime, oneshot_id(oneshot), ONESHOT_CLOSED) != NULL) {
            oneshot_release(runtime, worker, oneshot);
        }
    }
}
