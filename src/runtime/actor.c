/* Actors: spawn, send, stop, end. What a turn does with an actor is in worker.c; who owns it in actor.h.
 *
 * Invariants: a message of another thread is admitted before it is brought and counted out when it is fetched;
 *             an ended actor's queued messages are destroyed exactly once (asked ones answer DEAD by that).
 * Threads: spawn, deliver, stop: any; fetch, credit, end, drain: the owner. */
#include <string.h>

#include "runtime/oneshot.h"

_Thread_local struct worker *worker_of_thread __attribute__((tls_model("initial-exec")));

static void actor_prepare(struct runtime *runtime, struct actor *actor, const struct actor_spec *spec,
                          unsigned worker) {
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
    uint32_t keep = requests_max >= 64 ? requests_max / 32 : 0;
    actor->credit_keep = (uint8_t)(keep < CREDIT_MAX ? keep : CREDIT_MAX);
    mailbox_reset(&actor->mailbox);
    actor->handle = spec->handle;
    actor->state = spec->state;
    actor->destroy = spec->destroy;
    actor->timers = NULL;
    actor->exit_reason = TROUPE_OK;
    actor->exiting = false;
    actor->ready = false;
    actor->phase = ACTOR_LIVE;
    actor->monitors = NULL;
    actor->watching = NULL;
    /* Release pairs with the acquire of whoever looks for the owner. */
    atomic_store_explicit(&actor->owner, (uint8_t)(spec->pinned ? OWNER_PINNED : worker),
                          memory_order_release);
}

enum troupe_error actor_spawn(struct runtime *runtime, const struct actor_spec *spec, actor_ref *ret_actor) {
    CHECK(spec->handle != NULL);
    if (runtime->ended) {
        return TROUPE_DEAD;
    }
    struct worker *worker = worker_current(runtime);
    struct cell_cache *cache = worker != NULL ? &worker->actors : NULL;
    uint8_t charge;
    enum troupe_error error = charge_join(runtime, spec->account, &charge);
    if (error != TROUPE_OK) {
        return error;
    }
    const char *name = actor_name_keep(runtime, spec->name);
    if (name == NULL) {
        return TROUPE_NOMEM;
    }
    struct cell *cell;
    error = cell_get(&runtime->actors, cache, &cell);
    if (error != TROUPE_OK) {
        return error;
    }
    struct actor *actor = (struct actor *)(void *)cell;
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed); /* the cell is ours alone */
    if (gate == 0) {
        gate = GATE_GENERATION; /* a fresh cell: generations start at 1, so that no reference is 0 */
        atomic_store_explicit(&actor->gate, gate, memory_order_relaxed); /* as above */
    }
    atomic_store_explicit(&actor->name, name, memory_order_relaxed);     /* as in actor_prepare */
    atomic_store_explicit(&actor->charge, charge, memory_order_relaxed); /* as in actor_prepare */
    actor_prepare(runtime, actor, spec, worker != NULL ? worker->index : 0);
    if (spec->link != 0) {
        error = monitor_link(runtime, actor, spec->link);
        if (error != TROUPE_OK) {
            actor->phase = ACTOR_FREE;
            cell_put(&runtime->actors, cache, cell);
            return error;
        }
    }
    COUNT(runtime, worker, spawned);
    *ret_actor = actor_ref_make(GATE_GENERATION_OF(gate), cell->index);
    return TROUPE_OK;
}

/* ---- bounds ---- */

static bool actor_request_bytes(struct actor *actor, uint32_t bytes) {
    if (bytes <= REQUEST_BYTES_SMALL) {
        return true;
    }
    /* Relaxed: a bound, it orders nothing. */
    uint64_t before = atomic_fetch_add_explicit(&actor->request_bytes, bytes, memory_order_relaxed);
    if (before + bytes <= atomic_load_explicit(&actor->request_bytes_max, memory_order_relaxed)) {
        return true;
    }
    atomic_fetch_sub_explicit(&actor->request_bytes, bytes, memory_order_relaxed); /* as above */
    return false;
}

void actor_request_bytes_back(struct actor *actor, enum message_kind kind, uint32_t bytes) {
    if (bytes > REQUEST_BYTES_SMALL && message_classes[kind] == MESSAGE_CLASS_REQUEST) {
        atomic_fetch_sub_explicit(&actor->request_bytes, bytes, memory_order_relaxed); /* a bound */
    }
}

/* What a message weighs besides its number. Nothing is taken when it is refused. */
static enum troupe_error weight_take(struct runtime *runtime, struct actor *actor, struct message *message,
                                     bool request) {
    if (request && !actor_request_bytes(actor, message->bytes)) {
        return TROUPE_FULL;
    }
    enum troupe_error error =
        charge_take(runtime, atomic_load_explicit(&actor->charge, memory_order_relaxed), message);
    if (error != TROUPE_OK) {
        actor_request_bytes_back(actor, message->kind, message->bytes);
    }
    return error;
}

static void weight_back(struct runtime *runtime, struct actor *actor, struct message *message) {
    actor_request_bytes_back(actor, message->kind, message->bytes);
    if (message->flags >> MESSAGE_CHARGE_SHIFT != 0) {
        charge_back(runtime, message);
    }
}

static inline bool weighs(const struct actor *actor, const struct message *message) {
    /* Relaxed: a stale reference may see the next tenant's; what is taken then is given back. */
    unsigned charge = atomic_load_explicit(&actor->charge, memory_order_relaxed);
    return (message->bytes > REQUEST_BYTES_SMALL) | ((charge | message->flags >> MESSAGE_CHARGE_SHIFT) != 0);
}

/* Reserves places for the owner's sends. False: the mailbox is full. */
static bool credit_reserve(struct actor *actor) {
    uint32_t most =
        atomic_load_explicit(&actor->requests_max, memory_order_relaxed); /* set before we owned it */
    uint64_t gate =
        atomic_load_explicit(&actor->gate, memory_order_relaxed); /* the exchange checks it again */
    uint32_t wanted;
    do {
        uint32_t used = GATE_REQUESTS_OF(gate);
        if (used >= most) {
            return false;
        }
        wanted = 1 + actor->credit_keep / 2U;
        wanted = wanted < most - used ? wanted : most - used;
        /* Relaxed: a bound; what the owner sends is ordered by being its own. */
    } while (!atomic_compare_exchange_weak_explicit(&actor->gate, &gate, gate + wanted * GATE_REQUEST,
                                                    memory_order_relaxed, memory_order_relaxed));
    actor_credit_set(actor, wanted);
    return true;
}

/* ---- delivery ---- */

static void actor_called(struct actor *actor) {
    if (!actor->exiting) {
        actor->exiting = true;
        actor->exit_reason = TROUPE_CANCELLED;
    }
}

void actor_fetch(struct worker *worker, struct actor *actor, bool noticed) {
    unsigned calls, count = mailbox_fetch(&actor->mailbox, noticed, &calls);
    if (calls > 0) {
        actor_called(actor);
    }
    if (count + calls > 0) {
        /* Acquire pairs with the release of admissions: when nothing is left, every sender is done with the cell. */
        atomic_fetch_sub_explicit(&actor->gate, (count + calls) * GATE_ALL, memory_order_acq_rel);
        worker->meter.stale = true; /* they may have been sent later than our last look at the clock */
    }
}

/* From a neighbour: an actor of the same worker, or one of its callbacks. */
static inline enum troupe_error deliver_near(struct runtime *runtime, struct worker *worker,
                                             struct actor *actor, uint32_t generation,
                                             struct message *message) {
    /* Relaxed: only the owner moves the generation on. */
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed);
    if (__builtin_expect(GATE_GENERATION_OF(gate) != generation, 0)) {
        return TROUPE_DEAD;
    }
    bool request = message_classes[message->kind] == MESSAGE_CLASS_REQUEST;
    if (request && __builtin_expect(actor_credit_of(actor) == 0, 0) && !credit_reserve(actor)) {
        return TROUPE_FULL;
    }
    if (__builtin_expect(weighs(actor, message), 0)) {
        enum troupe_error error = weight_take(runtime, actor, message, request);
        if (error != TROUPE_OK) {
            return error;
        }
    }
    actor_credit_set(actor, actor_credit_of(actor) - request);
    if (__builtin_expect(mailbox_arrived(&actor->mailbox), 0)) {
        actor_fetch(worker, actor, false); /* the sender may have brought it: it must not be overtaken */
    }
    mailbox_put(&actor->mailbox, message);
    if (!actor->ready) {
        actor->ready = true;
        scheduler_ready(worker, actor);
    }
    return TROUPE_OK;
}

static __attribute__((noinline)) enum troupe_error deliver_far(struct runtime *runtime, struct worker *worker,
                                                               struct actor *actor, uint32_t generation,
                                                               struct message *message) {
    bool request = message_classes[message->kind] == MESSAGE_CLASS_REQUEST;
    uint64_t share = request ? GATE_ALL + GATE_REQUEST : GATE_ALL;
    /* Relaxed: requests_max and the gate are checked again by the exchange. */
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed);
    if (GATE_GENERATION_OF(gate) != generation) {
        return TROUPE_DEAD;
    }
    bool weighed = weighs(actor, message);
    if (weighed) {
        enum troupe_error error = weight_take(runtime, actor, message, request);
        if (error != TROUPE_OK) {
            return error;
        }
    }
    do {
        enum troupe_error refusal = TROUPE_OK;
        if (GATE_GENERATION_OF(gate) != generation) {
            refusal = TROUPE_DEAD;
        } else if (request && GATE_REQUESTS_OF(gate) >=
                                  atomic_load_explicit(&actor->requests_max, memory_order_relaxed)) {
            refusal = TROUPE_FULL;
        }
        if (__builtin_expect(refusal != TROUPE_OK, 0)) {
            if (weighed) {
                weight_back(runtime, actor, message);
            }
            return refusal;
        }
        CHECK(GATE_ALL_OF(gate) < ALL_MAX);
        /* Release: pairs with the acquire of actor_fetch and actor_drain, so that the cell's next tenant comes after
         * us; acquire: with the actor's end. */
    } while (!atomic_compare_exchange_weak_explicit(&actor->gate, &gate, gate + share, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (mailbox_bring(&actor->mailbox, message)) {
        scheduler_notice(runtime, worker, actor);
    }
    return TROUPE_OK;
}

static inline enum troupe_error deliver(struct runtime *runtime, struct worker *worker, actor_ref to,
                                        struct message *message) {
    struct actor *actor = actor_at(runtime, to);
    if (__builtin_expect(actor == NULL || to == 0, 0)) {
        return TROUPE_DEAD;
    }
    uint32_t generation = actor_ref_generation(to);
    if (worker != NULL) {
        /* Acquire pairs with the release of whoever handed it on: its fields are ours to see. */
        unsigned owner = atomic_load_explicit(&actor->owner, memory_order_acquire);
        if ((owner & OWNER_WORKER) == worker->index || worker_claim(worker, actor, generation)) {
            return deliver_near(runtime, worker, actor, generation, message);
        }
    }
    return deliver_far(runtime, worker, actor, generation, message);
}

enum troupe_error actor_deliver(struct runtime *runtime, struct worker *worker, actor_ref to,
                                struct message *message) {
    return deliver(runtime, worker, to, message);
}

void actor_deliver_system(struct runtime *runtime, struct worker *worker, actor_ref to,
                          struct message *message) {
    if (actor_deliver(runtime, worker, to, message) != TROUPE_OK) {
        COUNT(runtime, worker, dead_letters);
        message_destroy(runtime, worker, message);
    }
}

static __attribute__((noinline)) enum troupe_error ready_behind(struct worker *worker, struct actor *actor) {
    scheduler_ready(worker, actor);
    return TROUPE_OK;
}

static __attribute__((noinline)) enum troupe_error send_whole(struct runtime *runtime, struct turn *turn,
                                                              actor_ref to, struct message **message) {
    struct message *sent = *message;
    CHECK(sent != NULL && sent->runtime == runtime);
    struct worker *worker = turn != NULL ? worker_of_turn(turn) : worker_current(runtime);
    if (sent->reply == 0) {
        sent->sender = turn != NULL ? turn->self : 0;
    }
    enum troupe_error error = deliver(runtime, worker, to, sent);
    if (error == TROUPE_OK) {
        *message = NULL;
    } else {
        COUNT(runtime, worker, refused);
    }
    return error;
}

/* What most sends are: from a turn to a neighbour that lives and has room and reserved places, with nothing brought
 * by others before it. Decides nothing by itself: whatever is not so takes the whole way. A leaf, for its speed. */
enum troupe_error actor_send(struct runtime *runtime, struct turn *turn, actor_ref to,
                             struct message **message) {
    struct message *sent = *message;
    struct actor *actor = actor_at(runtime, to);
    struct worker *worker = worker_of_thread;
    if (__builtin_expect(turn == NULL || sent == NULL || actor == NULL || runtime->sim, 0)) {
        return send_whole(runtime, turn, to, message);
    }
    /* The orders are those of deliver and deliver_near. */
    unsigned owner = atomic_load_explicit(&actor->owner, memory_order_acquire) & OWNER_WORKER;
    if (__builtin_expect(owner != worker->index, 0)) {
        return send_whole(runtime, turn, to, message);
    }
    unsigned request = message_classes[sent->kind] == MESSAGE_CLASS_REQUEST;
    unsigned credit = actor_credit_of(actor);
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed);
    /* One branch for all of it. */
    unsigned odd = (unsigned)(GATE_GENERATION_OF(gate) != actor_ref_generation(to)) |
                   (unsigned)(credit < request) | (unsigned)weighs(actor, sent) |
                   (unsigned)mailbox_arrived(&actor->mailbox) | (unsigned)(sent->reply != 0) |
                   (unsigned)(sent->runtime != runtime);
    if (__builtin_expect(odd, 0)) {
        return send_whole(runtime, turn, to, message);
    }
    *message = NULL;
    sent->sender = turn->self;
    actor_credit_set(actor, credit - request);
    mailbox_put(&actor->mailbox, sent);
    if (actor->ready) {
        return TROUPE_OK;
    }
    actor->ready = true;
    if (__builtin_expect(worker->queue.next != NULL || worker->queue.waiting != 0, 0)) {
        return ready_behind(worker, actor);
    }
    worker->queue.next = actor;
    return TROUPE_OK;
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
    uint32_t used = GATE_REQUESTS_OF(gate),
             credit = actor_credit_of(actor); /* read apart, so the one may be older */
    return GATE_GENERATION_OF(gate) == actor_ref_generation(ref) && used > credit ? used - credit : 0;
}

void actor_exit(struct turn *turn, enum troupe_error reason) {
    struct actor *actor = actor_at(turn->runtime, turn->self);
    CHECK(actor->phase == ACTOR_LIVE && actor_self(actor) == turn->self);
    worker_of_turn(turn)->exiting = true;
    if (!actor->exiting) {
        actor->exiting = true;
        actor->exit_reason = (uint16_t)reason;
    }
}

/* Without memory for an EXIT: the stop is a call, counted in the gate like a message, and the actor ends at its next
 * chance without a turn to handle it. */
static void actor_stop_bare(struct runtime *runtime, struct worker *worker, actor_ref ref) {
    struct actor *actor = actor_at(runtime, ref);
    if (actor == NULL || ref == 0) {
        return;
    }
    uint64_t gate =
        atomic_load_explicit(&actor->gate, memory_order_relaxed); /* the exchange checks it again */
    do {
        if (GATE_GENERATION_OF(gate) != actor_ref_generation(ref) || mailbox_called(&actor->mailbox)) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&actor->gate, &gate, gate + GATE_ALL,
                                                    memory_order_acq_rel,
                                                    memory_order_relaxed)); /* as in deliver_far */
    if (mailbox_call(&actor->mailbox)) {
        scheduler_notice(runtime, worker, actor);
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
    actor_ref ref = actor_self(actor);
    worker_actor_ends(worker, actor);
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

bool actor_drain(struct runtime *runtime, struct worker *worker, struct actor *actor, bool noticed) {
    if (noticed || mailbox_arrived(&actor->mailbox)) {
        actor_fetch(worker, actor, noticed);
    }
    struct message *message;
    unsigned requests = actor_credit_of(actor);
    while ((message = mailbox_take(&actor->mailbox)) != NULL) {
        requests += message_classes[message->kind] == MESSAGE_CLASS_REQUEST;
        actor_request_bytes_back(actor, message->kind, message->bytes);
        if (message->reply == 0 && message_classes[message->kind] != MESSAGE_CLASS_SYSTEM) {
            COUNT(runtime, worker, dead_letters);
        }
        message_destroy(runtime, worker, message);
    }
    actor_credit_set(actor, 0);
    actor->ready = false;
    uint64_t held = requests * GATE_REQUEST;
    /* Acquire pairs with the release of admissions: when nothing is left, every sender is done with the cell. */
    uint64_t gate = atomic_fetch_sub_explicit(&actor->gate, held, memory_order_acq_rel) - held;
    /* A notice that is under way names the cell. Acquire: as in mailbox_fetch. */
    if (GATE_ALL_OF(gate) != 0 || atomic_load_explicit(&actor->mailbox.arrived, memory_order_acquire) != 0) {
        return false;
    }
    CHECK(GATE_REQUESTS_OF(gate) == 0);
    actor->phase = ACTOR_FREE;
    if (GATE_GENERATION_OF(gate) < GENERATION_MAX) {
        cell_put(&runtime->actors, worker != NULL ? &worker->actors : NULL, &actor->cell);
    }
    return true;
}
