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

MUST_CHECK enum troupe_error oneshot_start(struct worker *worker, actor_ref owner, enum message_kind kind,
                                           uint64_t token, uint64_t deadline_ns,
                                           struct oneshot **ret_oneshot);
uint64_t oneshot_id(const struct oneshot *oneshot);
/* NULL: no such promise, or kept already. Else the caller keeps it, and calls oneshot_release afterwards. */
struct oneshot *oneshot_close(struct runtime *runtime, uint64_t id, enum oneshot_state to);
/* The promise needs no message any more. */
void oneshot_release(struct runtime *runtime, struct worker *worker, struct oneshot *oneshot);
/* As close and release, where nobody else can close it: the asker's worker, while the asker lives. */
struct oneshot *oneshot_find(struct runtime *runtime, uint64_t id);
void oneshot_settle(struct worker *worker, struct oneshot *oneshot);
void oneshot_message_free(struct runtime *runtime, struct worker *worker, struct message *message);
/* Fires what is due, at most `most`; unlinks what others cancelled. */
void oneshot_poll(struct worker *worker, uint64_t now_ns, unsigned most);
/* A TIMER is about to be handled: false when it was cancelled meanwhile. */
bool timer_delivering(struct actor *actor, struct message *message);
void timers_end(struct runtime *runtime, struct worker *worker, struct actor *actor); /* its actor ends */

#endif
