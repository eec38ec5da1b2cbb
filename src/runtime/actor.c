/* Actors: spawn, send, stop, end. What a turn does with an actor is in worker.c.
 *
 * Invariants: a message is admitted before it is pushed and counted out after it was handled or destroyed;
 *             an ended actor's queued messages are destroyed exactly once (asked ones answer DEAD by that).
 * Threads: spawn, deliver, stop: any; end, drain: the worker that runs the actor. */
#include <string.h>

#include "runtime/oneshot.h"

_Thread_local struct worker *worker_of_thread;

static void actor_prepare(struct runtime *runtime, struct actor *actor, const struct actor_spec *spec) {
    uint32_t requests_max = spec->mailbox_len_max != 0 ? spec->mailbox_len_max : runtime->mailbox_len_max;
    if (requests_max > REQUESTS_MAX) {
        requests_max = REQUESTS_MAX;
    }
    /* Relaxed: the reference that actor_spawn returns is what others need to get here with a generation that
     * fits. */
    atomic_store_explicit(&actor->requests_max, requests_max, memory_order_relaxed);
    atomic_store_explicit(&actor->request_bytes_max,
                          spec->mailbox_bytes_max != 0 ? spec->mailbox_bytes_max : UINT64_C(64) << 20,
                          memory_order_relaxed);
    mailbox_reset(&actor->head, &actor->tail, &actor->stub);
    actor->handle = spec->handle;
    actor->state = spec->state;
    actor->destroy = spec->destroy;
    actor->timers = NULL;
    actor->exit_reason = TROUPE_OK;
    actor->exiting = false;
    actor->pinned = spec->pinned;
    actor->phase = ACTOR_LIVE;
    actor->release_max = requests_max >= 64 ? 16 : (uint8_t)(1 + requests_max / 4);
    actor->monitors = NULL;
    actor->watching = NULL;
    memset(actor->name, 0, sizeof actor->name);
    if (spec->name != NULL) {
        strncpy(actor->name, spec->name, sizeof actor->name - 1);
    }
}

enum troupe_error actor_spawn(struct runtime *runtime, const struct actor_spec *spec, actor_ref *ret_actor) {
    CHECK(spec->handle != NULL);
    if (runtime->ended) {
        return TROUPE_DEAD;
    }
    struct worker *worker = worker_current(runtime);
    struct cell *cell;
    enum troupe_error error = cell_get(&runtime->actors, worker != NULL ? &worker->actors : NULL, &cell);
    if (error != TROUPE_OK) {
        return error;
    }
    struct actor *actor = (struct actor *)(void *)cell;
    actor_prepare(runtime, actor, spec);
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed); /* the cell is ours alone */
    if (gate == 0) {
        gate = GATE_GENERATION; /* a fresh cell: generations start at 1, so that no reference is 0 */
        atomic_store_explicit(&actor->gate, gate, memory_order_relaxed); /* as above */
    }
    actor->self = actor_ref_make(GATE_GENERATION_OF(gate), cell->index);
    if (spec->link != 0) {
        error = monitor_link(runtime, actor, spec->link);
        if (error != TROUPE_OK) {
            actor->phase = ACTOR_FREE;
            cell_put(&runtime->actors, worker != NULL ? &worker->actors : NULL, cell);
            return error;
        }
    }
    COUNT(runtime, worker, spawned);
    *ret_actor = actor->self;
    return TROUPE_OK;
}

/* True: `bytes` are charged, or too few to be. */
static bool actor_request_bytes(struct actor *actor, uint32_t bytes) {
    if (bytes <= REQUEST_BYTES_SMALL) {
        return true;
    }
    /* Relaxed throughout: a bound, it orders nothing. */
    uint64_t max = atomic_load_explicit(&actor->request_bytes_max, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&actor->request_bytes, bytes, memory_order_relaxed) + bytes <= max) {
        return true;
    }
    atomic_fetch_sub_explicit(&actor->request_bytes, bytes, memory_order_relaxed);
    return false;
}

void actor_request_bytes_back(struct actor *actor, enum message_kind kind, uint32_t bytes) {
    if (bytes > REQUEST_BYTES_SMALL && message_classes[kind] == MESSAGE_CLASS_REQUEST) {
        atomic_fetch_sub_explicit(&actor->request_bytes, bytes, memory_order_relaxed); /* a bound */
    }
}

enum troupe_error actor_deliver(struct runtime *runtime, struct worker *worker, actor_ref to,
                                struct message *message) {
    struct actor *actor = actor_at(runtime, to);
    if (actor == NULL || to == 0) {
        return TROUPE_DEAD;
    }
    bool request = message_classes[message->kind] == MESSAGE_CLASS_REQUEST;
    uint64_t share = request ? GATE_ALL + GATE_REQUEST : GATE_ALL;
    /* Relaxed: requests_max and the gate are checked again by the exchange. */
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed);
    bool charged = request && GATE_GENERATION_OF(gate) == actor_ref_generation(to);
    if (charged && !actor_request_bytes(actor, message->bytes)) {
        return TROUPE_FULL;
    }
    do {
        enum troupe_error refusal = TROUPE_OK;
        if (GATE_GENERATION_OF(gate) != actor_ref_generation(to)) {
            refusal = TROUPE_DEAD;
        } else if (request && GATE_REQUESTS_OF(gate) >=
                                  atomic_load_explicit(&actor->requests_max, memory_order_relaxed)) {
            refusal = TROUPE_FULL;
        }
        if (__builtin_expect(refusal != TROUPE_OK, 0)) {
            if (charged) {
                actor_request_bytes_back(actor, message->kind, message->bytes);
            }
            return refusal;
        }
        CHECK(GATE_ALL_OF(gate) < ALL_MAX);
        /* Release: what the sender did comes before the receiver's count-out; acquire pairs with that
         * count-out (gate_release in worker.c), so that scheduling an idle actor comes after its last turn.
         */
    } while (!atomic_compare_exchange_weak_explicit(&actor->gate, &gate, gate + share, memory_order_acq_rel,
                                                    memory_order_relaxed));
    unsigned origin = worker != NULL ? worker->index + 1 : 0;
    message->flags =
        (uint16_t)((message->flags & 0xffU & ~MESSAGE_DELIVERED) | origin << MESSAGE_ORIGIN_SHIFT);
    mailbox_push(&actor->head, message);
    if (GATE_ALL_OF(gate) == 0) {
        scheduler_ready(runtime, worker, actor);
    }
    return TROUPE_OK;
}

void actor_deliver_system(struct runtime *runtime, struct worker *worker, actor_ref to,
                          struct message *message) {
    if (actor_deliver(runtime, worker, to, message) != TROUPE_OK) {
        COUNT(runtime, worker, dead_letters);
        message_destroy(runtime, worker, message);
    }
}

enum troupe_error actor_send(struct runtime *runtime, struct turn *turn, actor_ref to,
                             struct message **message) {
    CHECK(*message != NULL && (*message)->runtime == runtime);
    struct worker *worker = turn != NULL ? worker_of_turn(turn) : worker_current(runtime);
    (*message)->sender = turn != NULL ? turn->self : 0;
    enum troupe_error error = actor_deliver(runtime, worker, to, *message);
    if (error == TROUPE_OK) {
        *message = NULL;
    } else {
        COUNT(runtime, worker, refused);
    }
    return error;
}

bool actor_alive(struct runtime *runtime, actor_ref ref) {
    const struct actor *actor = actor_at(runtime, ref);
    /* Acquire pairs with actor_end: who sees it dead sees what it did before. */
    return actor != NULL && ref != 0 &&
           GATE_GENERATION_OF(atomic_load_explicit(&actor->gate, memory_order_acquire)) ==
               actor_ref_generation(ref);
}

unsigned actor_mailbox_length(struct runtime *runtime, actor_ref ref) {
    const struct actor *actor = actor_at(runtime, ref);
    if (actor == NULL) {
        return 0;
    }
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed); /* a hint */
    return GATE_GENERATION_OF(gate) == actor_ref_generation(ref) ? GATE_REQUESTS_OF(gate) : 0;
}

void actor_exit(struct turn *turn, enum troupe_error reason) {
    struct actor *actor = actor_at(turn->runtime, turn->self);
    CHECK(actor->self == turn->self && actor->phase == ACTOR_LIVE);
    if (!actor->exiting) {
        actor->exiting = true;
        actor->exit_reason = reason;
    }
}

/* Without memory for an EXIT: the stop is counted in the gate like a message, and the actor ends at its next
 * chance without a turn to handle it. */
static void actor_stop_bare(struct runtime *runtime, struct worker *worker, actor_ref ref) {
    struct actor *actor = actor_at(runtime, ref);
    if (actor == NULL || ref == 0) {
        return;
    }
    uint64_t gate =
        atomic_load_explicit(&actor->gate, memory_order_relaxed); /* the exchange checks it again */
    do {
        if (GATE_GENERATION_OF(gate) != actor_ref_generation(ref)) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&actor->gate, &gate, gate + GATE_ALL,
                                                    memory_order_acq_rel,
                                                    memory_order_relaxed)); /* as in actor_deliver */
    /* Relaxed: if the worker misses it, the count in the gate makes it look again. */
    atomic_fetch_add_explicit(&actor->stops, 1, memory_order_relaxed);
    if (GATE_ALL_OF(gate) == 0) {
        scheduler_ready(runtime, worker, actor);
    }
}

void actor_stop(struct runtime *runtime, actor_ref ref, enum troupe_error reason) {
    struct worker *worker = worker_current(runtime);
    struct message *message = message_new(runtime, MESSAGE_EXIT, sizeof(struct message_exit));
    if (message == NULL) {
        actor_stop_bare(runtime, worker, ref);
        return;
    }
    MESSAGE_PAYLOAD(message, struct message_exit)->reason = reason;
    if (actor_deliver(runtime, worker, ref, message) != TROUPE_OK) {
        message_destroy(runtime, worker, message); /* gone already: what was wanted */
    }
}

void actor_end(struct runtime *runtime, struct worker *worker, struct actor *actor,
               enum troupe_error reason) {
    CHECK(actor->phase == ACTOR_LIVE);
    actor->phase = ACTOR_ENDING;
    actor_ref ref = actor->self;
    timers_end(runtime, worker, actor); /* first: see there */
    /* Release pairs with actor_alive; nobody is admitted from here on. */
    atomic_fetch_add_explicit(&actor->gate, GATE_GENERATION, memory_order_acq_rel);
    if (actor->destroy != NULL) {
        actor->destroy(actor->state);
    }
    actor->state = NULL;
    COUNT(runtime, worker, ended);
    monitor_actor_ended(runtime, worker, actor, ref, reason);
}

bool actor_drain(struct runtime *runtime, struct worker *worker, struct actor *actor, uint64_t held) {
    struct message *message;
    while ((message = mailbox_pop(&actor->head, &actor->tail, &actor->stub)) != NULL) {
        held += gate_share(message->kind);
        actor_request_bytes_back(actor, message->kind, message->bytes);
        if (message->reply == 0 && message_classes[message->kind] != MESSAGE_CLASS_SYSTEM) {
            COUNT(runtime, worker, dead_letters);
        }
        message_destroy(runtime, worker, message);
    }
    held +=
        GATE_ALL * atomic_exchange_explicit(&actor->stops, 0, memory_order_relaxed); /* see actor_stop_bare */
    /* Acquire pairs with the release of admissions: when nothing is left, every sender is done with the cell.
     */
    uint64_t gate = atomic_fetch_sub_explicit(&actor->gate, held, memory_order_acq_rel) - held;
    if (GATE_ALL_OF(gate) != 0) {
        return false;
    }
    CHECK(GATE_REQUESTS_OF(gate) == 0);
    actor->phase = ACTOR_FREE;
    if (GATE_GENERATION_OF(gate) < GENERATION_MAX) {
        cell_put(&runtime->actors, worker != NULL ? &worker->actors : NULL, &actor->cell);
    }
    return true;
}
