/* A oneshot: the promise that exactly one message reaches an actor: a timer's TIMER, or, for an ask, its reply or
 * else ASK_FAILED. Both can time out, and the message for that is inside, so keeping the promise cannot fail.
 *
 *   timer: start --> ARMED --fire--> FIRED --delivered, destroyed--> (free, next generation)
 *                      `---cancel--> CLOSED ----------------------> (free, next generation)
 *   ask:   start --> ARMED --the asker's mailbox yields an answer--> CLOSED --> (free, next generation)
 *
 * Invariants: an ask is decided where its answers arrive: the first reply, DEAD or TIMEOUT that the asker's worker
 *             takes out of its mailbox closes the promise, the others find it closed and are dropped. So a question
 *             answered by a neighbour costs no locked instruction. A timer is decided by one compare-and-swap.
 *             Two references hold the cell: the promise, until it is closed (asks) or its message is destroyed or
 *             turned out to be needless (timers); and the wheel of the worker that started it, until that worker
 *             has unlinked it or, for an ask, the message that it sent is destroyed.
 * Threads: start, timer cancel: the owner's turn. Settle: the owner's worker. The wheel: its worker; others ask it
 *          to unlink through worker.cancelled. */
#ifndef RUNTIME_ONESHOT_H
#define RUNTIME_ONESHOT_H

#include "runtime/worker.h"

enum oneshot_state { ONESHOT_FREE, ONESHOT_ARMED, ONESHOT_FIRED, ONESHOT_CLOSED };

/* LINKED: its wheel holds it. FIRED: the message for that is out, with the wheel's reference. CANCELLED: its wheel's
 * worker is asked to unlink it. */
enum oneshot_wheel { WHEEL_NONE, WHEEL_LINKED, WHEEL_FIRED, WHEEL_CANCELLED };

struct oneshot {
    struct cell cell;
    _Atomic uint64_t state; /* {generation:32, enum oneshot_state:32} */
    _Atomic uint32_t references;
    uint32_t worker; /* whose wheel */
    actor_ref owner;
    uint64_t token;
    _Atomic uint32_t wheel; /* enum oneshot_wheel */
    uint32_t kind;          /* of the message */
    struct wheel_entry entry;
    struct oneshot *timer_next, **timer_link; /* timers: the actor's list; owner: the actor's turn */
    struct oneshot *cancelled_next;
    struct message message; /* filled when it fires; last: its payload follows in the cell */
};
#define ONESHOT_PAYLOAD 16U
#define ONESHOT_CELL_BYTES ((sizeof(struct oneshot) + ONESHOT_PAYLOAD + 63) / 64 * 64)

#define ONESHOT_STATE(generation, state) ((uint64_t)(generation) << 32 | (uint64_t)(state))

static inline uint32_t oneshot_generation(const struct oneshot *oneshot) {
    /* Relaxed: the caller holds a reference, so the generation stands. */
    return (uint32_t)(atomic_load_explicit(&oneshot->state, memory_order_relaxed) >> 32);
}

static inline uint64_t oneshot_id(const struct oneshot *oneshot) {
    return (uint64_t)oneshot_generation(oneshot) << 32 | oneshot->cell.index;
}

MUST_CHECK static inline enum troupe_error oneshot_start(struct worker *worker, actor_ref owner,
                                                         enum message_kind kind, uint64_t token,
                                                         uint64_t deadline_ns, struct oneshot **ret_oneshot) {
    struct cell *cell;
    enum troupe_error error = cell_get(&worker->runtime->oneshots, &worker->oneshots, &cell);
    if (error != TROUPE_OK) {
        return error;
    }
    struct oneshot *oneshot = (struct oneshot *)(void *)cell;
    bool timed = deadline_ns != UINT64_MAX;
    oneshot->owner = owner;
    oneshot->worker = worker->index;
    oneshot->timer_link = NULL;
    oneshot->kind = kind;
    oneshot->token = token;
    uint32_t generation = oneshot_generation(oneshot);
    if (generation == 0) {
        generation = 1; /* a fresh cell, or one that came round: ids are never 0 */
    }
    /* Relaxed: the release below publishes them. */
    atomic_store_explicit(&oneshot->references, timed ? 2 : 1, memory_order_relaxed);
    atomic_store_explicit(&oneshot->wheel, timed ? WHEEL_LINKED : WHEEL_NONE, memory_order_relaxed);
    /* Release pairs with the acquire in oneshot_close: whoever keeps the promise sees the fields above. */
    atomic_store_explicit(&oneshot->state, ONESHOT_STATE(generation, ONESHOT_ARMED), memory_order_release);
    if (timed) {
        wheel_insert(&worker->wheel, &oneshot->entry, deadline_ns);
    }
    *ret_oneshot = oneshot;
    return TROUPE_OK;
}

/* NULL: no such promise, or kept already. Else the caller keeps it, and calls oneshot_release afterwards. */
struct oneshot *oneshot_close(struct runtime *runtime, uint64_t id, enum oneshot_state to);
/* The promise needs no message any more. */
void oneshot_release(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot);
static inline void oneshot_free(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot) {
    /* Relaxed: a stale id only learns that its generation is over; the cell's next user synchronises by its
     * list. */
    atomic_store_explicit(&oneshot->state, ONESHOT_STATE(oneshot_generation(oneshot) + 1, ONESHOT_FREE),
                          memory_order_relaxed);
    cell_put(&runtime->oneshots, worker != NULL ? &worker->oneshots : NULL, &oneshot->cell);
}

/* As close and release, where nobody else can close it: the asker's worker, while the asker lives. */
static inline struct oneshot *oneshot_find(struct runtime *runtime, uint64_t id) {
    struct oneshot *oneshot = (struct oneshot *)(void *)cell_at(&runtime->oneshots, (uint32_t)id);
    /* Acquire pairs with oneshot_start. */
    return oneshot != NULL && atomic_load_explicit(&oneshot->state, memory_order_acquire) ==
                                  ONESHOT_STATE(id >> 32, ONESHOT_ARMED)
               ? oneshot
               : NULL;
}

static inline void oneshot_settle(struct worker *worker, struct oneshot *oneshot) {
    bool untimed =
        atomic_load_explicit(&oneshot->wheel, memory_order_relaxed) == WHEEL_NONE; /* never changes */
    if (untimed || (worker->index == oneshot->worker && oneshot->entry.link != NULL)) {
        if (!untimed) {
            wheel_remove(&worker->wheel, &oneshot->entry);
        }
        oneshot_free(worker->runtime, worker, oneshot); /* both references are ours */
        return;
    }
    /* Relaxed: until the last reference goes nobody else acts on it. */
    atomic_store_explicit(&oneshot->state, ONESHOT_STATE(oneshot_generation(oneshot), ONESHOT_CLOSED),
                          memory_order_relaxed);
    oneshot_release(worker->runtime, worker, oneshot);
}

void oneshot_message_free(struct runtime *runtime, struct worker *worker, struct message *message);
/* Fires what is due, at most `most`; unlinks what others cancelled. */
void oneshot_poll(struct worker *worker, uint64_t now_ns, unsigned most);
/* A TIMER is about to be handled: false when it was cancelled meanwhile. */
/* Cancelled after it had fired; it is in its owner's mailbox still. */
bool timer_stale(const struct message *message);
bool timer_delivering(struct actor *actor, struct message *message);
void timers_end(struct runtime *runtime, struct worker *worker, struct actor *actor); /* its actor ends */

#endif
