/* The keeper: the registry's own actor, which hears of actors that ended and of time, and does on its turns what
 * nobody else would: removes rows of the dead and of expired leases, ends watches of dead watchers, feeds the
 * first reading of slow ones, ends the move to a larger table that no write goes on with.
 *
 * Invariants: an actor with rows or watches is monitored, once per life (`owner`: the generation monitored, so that registering again and again costs one monitor). One wake-up is under way at a
 *             time; its message is the keeper's own, so waking never fails.
 * Threads: the actor's turns; wake and monitor: any. A turn removes at most STEP_ROWS rows.
 * Memory: freed by its destructor when the registry was freed first, else by the registry. */
#include "registry/registry_private.h"

#define STEP_ROWS 256U
#define STEP_MOVES 32U /* of eight buckets each: some 30 us */

struct keeper {
    struct registry *registry; /* NULL: freed */
    struct runtime *runtime;
    struct account *account;
    actor_ref self;
    _Atomic bool waking;
    struct message *wake; /* owner: who set `waking`; the turn that clears it */
    uint64_t timer;       /* turns */
    uint64_t timer_ns;    /* turns; UINT64_MAX: none is set */
};

static void wake(struct keeper *keeper) {
    /* Acquire pairs with the release in on_step: the message is back. */
    if (atomic_exchange_explicit(&keeper->waking, true, memory_order_acq_rel)) {
        return;
    }
    struct message *message = keeper->wake;
    keeper->wake = NULL;
    if (actor_send(keeper->runtime, NULL, keeper->self, &message) != TROUPE_OK) {
        message_free(&message); /* it has ended */
    }
}

void keeper_wake(struct registry *registry) {
    if (!atomic_load_explicit(&registry->ended, memory_order_acquire)) { /* pairs with keeper_destroy */
        wake(registry->keeper);
    }
}

static void keeper_step(struct keeper *keeper, struct turn *turn) {
    uint64_t next_ns;
    unsigned removed = registry_expire_some(keeper->registry, turn->now_ns, STEP_ROWS, &next_ns);
    watches_feed(keeper->registry);
    if (registry_move_some(keeper->registry, STEP_MOVES)) {
        wake(keeper);
    }
    if (removed == STEP_ROWS) {
        wake(keeper);
        return;
    }
    if (next_ns == keeper->timer_ns) {
        return;
    }
    if (keeper->timer_ns != UINT64_MAX) {
        timer_cancel(turn, keeper->timer);
        keeper->timer_ns = UINT64_MAX;
    }
    if (next_ns == UINT64_MAX) {
        return;
    }
    if (timer_start(turn, next_ns, 0, &keeper->timer) == TROUPE_OK) {
        keeper->timer_ns = next_ns;
    } else {
        wake(keeper); /* no memory for a timer: look again next turn */
    }
}

static void on_down(struct keeper *keeper, struct turn *turn, struct message *message) {
    actor_ref actor = MESSAGE_PAYLOAD(message, struct message_down)->actor;
    watches_end(keeper->registry, actor);
    if (registry_remove_some(keeper->registry, actor, STEP_ROWS) == STEP_ROWS) {
        struct message *again = turn_take(turn); /* more may be left */
        IGNORE(actor_send(keeper->runtime, turn, keeper->self, &again), "this actor is alive");
        message_free(&again);
    }
}

static void keeper_handle(struct turn *turn, void *state, const struct message *message) {
    struct keeper *keeper = state;
    if (message->kind == MESSAGE_REGISTRY_STEP) {
        keeper->wake = turn_take(turn);
        /* Before the step: what is put after the step has passed wakes it again. Release pairs with wake. */
        atomic_store_explicit(&keeper->waking, false, memory_order_release);
    }
    if (keeper->registry == NULL) {
        return;
    }
    switch (message->kind) {
    case MESSAGE_TIMER:
        keeper->timer_ns = UINT64_MAX;
        keeper_step(keeper, turn);
        break;
    case MESSAGE_REGISTRY_STEP:
        keeper_step(keeper, turn);
        break;
    case MESSAGE_REGISTRY_LOOKUP:
        async_handle(keeper->registry, turn, turn->message);
        break;
    case MESSAGE_DOWN:
        on_down(keeper, turn, turn->message);
        break;
    default:
        break;
    }
}

static void keeper_destroy(void *state) {
    struct keeper *keeper = state;
    struct registry *registry = keeper->registry;
    if (registry == NULL) {
        message_free(&keeper->wake);
        memory_free(keeper->account, keeper);
        return;
    }
    /* Release pairs with keeper_wake and keeper_monitor. */
    atomic_store_explicit(&registry->ended, true, memory_order_release);
    watches_end(registry, 0);
    if (!atomic_exchange_explicit(&keeper->waking, true, memory_order_acq_rel)) { /* as in wake */
        message_free(&keeper->wake);
    }
}

enum troupe_error keeper_ask(struct registry *registry, struct turn *turn, struct message **message,
                             uint64_t token, uint64_t timeout_ns) {
    if (atomic_load_explicit(&registry->ended, memory_order_acquire)) { /* keeper_destroy */
        return TROUPE_DEAD;
    }
    return actor_ask(turn, registry->keeper->self, message, token, timeout_ns);
}

enum troupe_error keeper_start(struct registry *registry) {
    struct keeper *keeper = memory_alloc(registry->account, sizeof *keeper);
    if (keeper == NULL) {
        return TROUPE_NOMEM;
    }
    keeper->registry = registry;
    keeper->runtime = registry->runtime;
    keeper->account = registry->account;
    keeper->timer_ns = UINT64_MAX;
    keeper->wake = message_new(registry->runtime, MESSAGE_REGISTRY_STEP, 0);
    enum troupe_error error = TROUPE_NOMEM;
    if (keeper->wake != NULL) {
        struct actor_spec spec = {
            .name = "registry", .handle = keeper_handle, .state = keeper, .destroy = keeper_destroy};
        error = actor_spawn(registry->runtime, &spec, &keeper->self);
    }
    if (error != TROUPE_OK) {
        message_free(&keeper->wake);
        memory_free(registry->account, keeper);
        return error;
    }
    registry->keeper = keeper;
    return TROUPE_OK;
}

void keeper_detach(struct registry *registry) {
    struct keeper *keeper = registry->keeper;
    if (keeper == NULL) {
        return;
    }
    registry->keeper = NULL;
    if (atomic_load_explicit(&registry->ended, memory_order_acquire)) { /* keeper_destroy */
        memory_free(registry->account, keeper);
        return;
    }
    keeper->registry = NULL; /* no turn runs now */
    actor_stop(keeper->runtime, keeper->self, TROUPE_OK);
}

enum troupe_error keeper_monitor(struct registry *registry, actor_ref actor) {
    uint32_t generation = (uint32_t)(actor >> 32);
    struct owner *owner;
    if (atomic_load_explicit(&registry->ended, memory_order_acquire)) { /* keeper_destroy */
        return TROUPE_DEAD;
    }
    enum troupe_error error = owner_ensure(registry, actor, &owner);
    if (error != TROUPE_OK) {
        return error;
    }
    /* Acquire pairs with the store below: the monitor is set. Two threads may both set one: the second DOWN
     * finds nothing. */
    if (atomic_load_explicit(&owner->generation, memory_order_acquire) == generation) {
        return TROUPE_OK;
    }
    error = actor_watch(registry->runtime, registry->keeper->self, actor, 0);
    if (error == TROUPE_OK) {
        atomic_store_explicit(&owner->generation, generation, memory_order_release);
    }
    return error;
}
