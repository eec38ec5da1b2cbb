/* A oneshot: the promise that exactly one message reaches an actor: a timer's TIMER, or, for an ask, its
 * reply or else ASK_FAILED. The message that needs no answerer is inside, so keeping the promise cannot fail.
 *
 *   start --> ARMED --fire, fail----> FIRED --delivered, destroyed--> (free, next generation)
 *               `-----reply, cancel-> CLOSED -----------------------> (free, next generation)
 *
 * Invariants: whoever moves the state out of ARMED (one compare-and-swap with the generation) keeps the
 *             promise. Two references hold the cell: the promise, until its message is destroyed or turned
 *             out to be needless, and the wheel of the worker that started it, until that worker has
 *             unlinked it.
 * Threads: reply, fail: any. start, timer cancel: the owner's turn. The wheel: its worker; others ask it to
 *          unlink through worker.cancelled. */
#ifndef RUNTIME_ONESHOT_H
#define RUNTIME_ONESHOT_H

#include "runtime/worker.h"

enum oneshot_state { ONESHOT_FREE, ONESHOT_ARMED, ONESHOT_FIRED, ONESHOT_CLOSED };

struct oneshot {
    struct cell cell;
    _Atomic uint64_t state; /* {generation:32, enum oneshot_state:32} */
    _Atomic uint32_t references;
    uint32_t worker; /* whose wheel */
    actor_ref owner;
    struct wheel_entry entry;
    struct oneshot *timer_next, **timer_link; /* timers: the actor's list; owner: the actor's turn */
    struct oneshot *cancelled_next;
    bool timed;
    struct message message; /* last: its payload follows in the cell */
};
#define ONESHOT_PAYLOAD 16U
#define ONESHOT_CELL_BYTES ((sizeof(struct oneshot) + ONESHOT_PAYLOAD + 63) / 64 * 64)

MUST_CHECK enum troupe_error oneshot_start(struct worker *worker, actor_ref owner, enum message_kind kind,
                                           uint64_t token, uint64_t deadline_ns,
                                           struct oneshot **ret_oneshot);
uint64_t oneshot_id(const struct oneshot *oneshot);
/* NULL: no such promise, or kept already. Else the caller keeps it, and calls oneshot_release afterwards. */
struct oneshot *oneshot_close(struct runtime *runtime, uint64_t id, enum oneshot_state to);
/* The promise needs no message any more. */
void oneshot_release(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot);
void oneshot_ask_failed(struct runtime *runtime, struct worker *worker, uint64_t id, enum troupe_error error);
void oneshot_message_free(struct runtime *runtime, struct worker *worker, struct message *message);
/* Fires what is due, at most `most`; unlinks what others cancelled. */
void oneshot_poll(struct worker *worker, uint64_t now_ns, unsigned most);
/* A TIMER is about to be handled: false when it was cancelled meanwhile. */
bool timer_delivering(struct actor *actor, struct message *message);
void timers_end(struct runtime *runtime, struct worker *worker, struct actor *actor); /* its actor ends */

#endif
