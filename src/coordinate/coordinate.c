/* The coordinator actor: start, the table of what it handles, its one timer, its end.
 *
 * Every turn ends in settle(): what is owed is told again, the registry is read again when a change was lost,
 * a step of offers is asked for, the timer is set to the earliest alarm, the counts are checked. A step is a
 * message to itself, so that everything that arrived before it is one round of offers. */
#include "coordinate/coordinator.h"

#include <string.h>

#define QUEUE_LEN_MAX 4096
#define AGENTS_MAX 256
#define REBALANCE_ROUNDS_MAX 3
#define OFFERS_MAX 64
#define OFFER_TIMEOUT_NS UINT64_C(10000000000)
#define LEASE_NS UINT64_C(30000000000)
#define RETRY_NS 10000000 /* after memory was short */

void coordinator_retry_later(struct coordinator *coordinator, uint64_t now_ns) {
    if (coordinator->retry_ns == UINT64_MAX)
        coordinator->retry_ns = now_ns + RETRY_NS;
}

/* ---- handlers ---- */
static void watch_agents(struct coordinator *coordinator, struct turn *turn) {
    struct snapshot *snapshot = &coordinator->snapshot;
    if (coordinator->watch)
        registry_unwatch(snapshot->registry, coordinator->watch);
    coordinator->watch = 0;
    /* Those that left while nobody told: only when something was lost, and then by name, each one look-up. */
    for (unsigned i = 0; i < snapshot->views_used; i++) {
        struct agent_view *view = snapshot->views[i];
        if (!view || view->gone)
            continue;
        const struct registry_row *row =
            registry_lookup(snapshot->registry, snapshot->name_space, view->name, turn->now_ns);
        if (!row || row->actor != view->actor)
            snapshot_remove(snapshot, view);
        snapshot_release(snapshot, view);
    }
    snapshot->incomplete = registry_watch(snapshot->registry, turn, snapshot->name_space, coordinator->self,
                                          &coordinator->watch) != TROUPE_OK;
    if (snapshot->incomplete)
        coordinator_retry_later(coordinator, turn->now_ns);
    ending_without_agent(coordinator, turn);
}

static void on_batch(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    (void)message;
    intake_batch(coordinator, turn, turn_take(turn));
}

static void on_cancel(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_task_cancel *cancel = MESSAGE_PAYLOAD(message, struct message_task_cancel);
    intake_cancel(coordinator, turn, cancel);
}

static void on_ask_failed(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_ask_failed *failed = MESSAGE_PAYLOAD(message, struct message_ask_failed);
    if (!recall_failed(coordinator, turn, failed->token))
        round_ask_failed(coordinator, turn, failed);
}

static void on_registry_change(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    if (message->token != coordinator->watch)
        return; /* of a watch that was given up: the new one has told, or will tell, all of it */
    struct message_registry_change *change = MESSAGE_PAYLOAD(message, struct message_registry_change);
    turn_record_read(turn, change->version);
    struct agent_view *view = snapshot_change(&coordinator->snapshot, change, turn->now_ns);
    if (view && actor_monitor(turn, view->actor, view->index)) {
        /* Unwatched it could end unseen: not taken on now, but when the registry is read again. */
        snapshot_remove(&coordinator->snapshot, view);
        snapshot_release(&coordinator->snapshot, view);
        coordinator->snapshot.incomplete = true;
    }
    if (coordinator->snapshot.incomplete)
        coordinator_retry_later(coordinator, turn->now_ns);
    view = snapshot_find(&coordinator->snapshot, change->actor);
    if (view)
        snapshot_release(&coordinator->snapshot, view);
    ending_without_agent(coordinator, turn);
    coordinator->want_step = true;
}

static void on_down(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_down *down = MESSAGE_PAYLOAD(message, struct message_down);
    struct agent_view *view = snapshot_find(&coordinator->snapshot, down->actor);
    if (view && !PLANT(DOWN_LOST))
        round_agent_lost(coordinator, turn, view);
}

static void on_agent_event(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_agent_event *event = MESSAGE_PAYLOAD(message, struct message_agent_event);
    struct agent_view *view =
        snapshot_find(&coordinator->snapshot, event->agent ? event->agent : message->sender);
    if (view && event->event == AGENT_GAVE_UP) {
        snapshot_give_up(&coordinator->snapshot, view);
        ending_without_agent(coordinator, turn);
    }
    if (view && event->event == AGENT_UP) {
        view->start_ns = event->ready_ns > event->spawned_ns ? event->ready_ns - event->spawned_ns : 0;
        coordinator->want_step = true;
    }
    if (!coordinator->options.listener)
        return;
    struct message *taken = turn_take(turn);
    if (actor_send(coordinator->runtime, turn, coordinator->options.listener, &taken))
        message_free(&taken); /* nobody listens any more */
}

static void on_timer(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_timer *timer = MESSAGE_PAYLOAD(message, struct message_timer);
    if (timer->timer != coordinator->timer)
        return;
    coordinator->timer_ns = UINT64_MAX;
    (void)turn; /* settle() does what is due */
}

static void on_step(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    (void)message;
    coordinator->step = turn_take(turn);
    if (coordinator->started) {
        coordinator->want_step = false;
        round_step(coordinator, turn);
        return;
    }
    coordinator->started = true;
    coordinator->self = turn->self;
    watch_agents(coordinator, turn);
}

static void fill_statistics(const struct coordinator *coordinator, struct coordinator_statistics *ret) {
    const struct ledger *ledger = &coordinator->ledger;
    *ret = coordinator->counts;
    ret->submitted = ledger->submitted;
    ret->ended_ok = ledger->ended_ok;
    ret->ended_failed = ledger->ended_failed;
    ret->ended_cancelled = ledger->ended_cancelled;
    ret->rejected = ledger->rejected;
    ret->live = ledger_live(ledger);
    ret->waiting = coordinator->queue.count;
    ret->waiting_max = coordinator->queue.count_max;
    ret->at_agents = ledger->by_state[CLAIM_OFFERED] + ledger->by_state[CLAIM_HELD];
    ret->resources_free = coordinator->free;
    ret->feedback = coordinator->feedback;
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        const struct agent_view *view = coordinator->snapshot.views[i];
        if (!view || !agent_view_usable(view))
            continue;
        ret->agents++;
        ret->slots += view->slots;
        ret->slots_busy += view->claims.count < view->slots ? view->claims.count : view->slots;
    }
}

static void on_status(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message *reply = message_new(coordinator->runtime, MESSAGE_COORDINATOR_STATUS_ANSWER,
                                        sizeof(struct coordinator_statistics));
    if (!reply)
        return; /* the asker's timeout tells it */
    struct coordinator_statistics *statistics = MESSAGE_PAYLOAD(reply, struct coordinator_statistics);
    fill_statistics(coordinator, statistics);
    actor_reply(turn, message, &reply);
}

static void on_exit(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_exit *exit = MESSAGE_PAYLOAD(message, struct message_exit);
    (void)coordinator;
    actor_exit(turn, exit->reason);
}

typedef void (*coordinator_handler)(struct coordinator *coordinator, struct turn *turn,
                                    struct message *message);
static const coordinator_handler handlers[MESSAGE_KIND_COUNT] = {
    [MESSAGE_COORDINATE] = on_batch,
    [MESSAGE_TASK_CANCEL] = on_cancel,
    [MESSAGE_OFFER_ANSWER] = round_answer,
    [MESSAGE_REVOKE_ANSWER] = recall_answer,
    [MESSAGE_ASK_FAILED] = on_ask_failed,
    [MESSAGE_TASK_ENDED] = ending_from_agent,
    [MESSAGE_AGENT_EVENT] = on_agent_event,
    [MESSAGE_REGISTRY_CHANGE] = on_registry_change,
    [MESSAGE_DOWN] = on_down,
    [MESSAGE_TIMER] = on_timer,
    [MESSAGE_COORDINATE_STEP] = on_step,
    [MESSAGE_COORDINATOR_STATUS] = on_status,
    [MESSAGE_OUTLOOK] = feedback_outlook,
    [MESSAGE_EXIT] = on_exit,
};

/* ---- the end of a turn ---- */
/* A task past its deadline: one that waits is rejected; one at an agent gets offer_timeout more, in which the
 * agent, which keeps the deadline itself, ends it; then its owner is told without it. */
static void expire_claims(struct coordinator *coordinator, struct turn *turn) {
    park_expire(coordinator, turn);
    for (struct heap_node *node; (node = heap_first(&coordinator->expiries)) && node->key <= turn->now_ns;) {
        struct claim *claim = CLAIM_OF(node, expiry);
        uint64_t grace_ns = claim->deadline_ns + coordinator->options.offer_timeout_ns;
        if (claim->state == CLAIM_WAITING && PLANT(DEADLINE_IGNORED))
            heap_update(&coordinator->expiries, node, UINT64_MAX);
        else if (claim->state == CLAIM_WAITING)
            ending_waiting(coordinator, turn, claim, TROUPE_DEADLINE);
        else if (turn->now_ns < grace_ns)
            heap_update(&coordinator->expiries, node, grace_ns);
        else {
            ending_happened(coordinator, turn, claim, CLAIM_OVERDUE, TROUPE_TIMEOUT);
            if (claim->expiry.position != 0) /* could not be told: later */
                heap_update(&coordinator->expiries, node, turn->now_ns + RETRY_NS);
        }
    }
}

static void expire_alarms(struct coordinator *coordinator, struct turn *turn) {
    for (struct heap_node *node; (node = heap_first(&coordinator->alarms)) && node->key <= turn->now_ns;) {
        struct agent_view *view =
            (struct agent_view *)(void *)((char *)node - offsetof(struct agent_view, alarm));
        coordinator->want_step = true;
        if (view->resume_ns <= turn->now_ns)
            view->resume_ns = 0;
        if (view->foreign_until_ns <= turn->now_ns)
            view->foreign_until_ns = 0;
        recall_due(coordinator, turn, view);
        if (view->offer_open && !view->offer_expired && view->offer_expires_ns <= turn->now_ns)
            round_offer_expired(coordinator, turn, view);
        else
            round_set_alarm(coordinator, view);
    }
}

static void send_step(struct coordinator *coordinator, struct turn *turn) {
    if (!coordinator->step)
        return;
    if (actor_send(coordinator->runtime, turn, turn->self, &coordinator->step))
        coordinator_retry_later(coordinator, turn->now_ns);
}

static void arm_timer(struct coordinator *coordinator, struct turn *turn) {
    const struct heap *heaps[] = {&coordinator->alarms, &coordinator->expiries};
    uint64_t earliest_ns =
        coordinator->retry_ns < coordinator->look_ns ? coordinator->retry_ns : coordinator->look_ns;
    for (unsigned i = 0; i < ARRAY_COUNT(heaps); i++) {
        const struct heap_node *node = heap_first(heaps[i]);
        if (node && node->key < earliest_ns)
            earliest_ns = node->key;
    }
    if (park_expires_ns(coordinator) < earliest_ns)
        earliest_ns = park_expires_ns(coordinator);
    if (earliest_ns >= coordinator->timer_ns)
        return; /* what is armed fires before, and looks again */
    if (coordinator->timer_ns != UINT64_MAX)
        timer_cancel(turn, coordinator->timer);
    coordinator->timer_ns = UINT64_MAX;
    uint64_t timer;
    if (timer_start(turn, earliest_ns, 0, &timer)) {
        send_step(coordinator, turn); /* no memory for a timer: the next turn tries again */
        return;
    }
    coordinator->timer = timer;
    coordinator->timer_ns = earliest_ns;
}

static void settle(struct coordinator *coordinator, struct turn *turn) {
    expire_claims(coordinator, turn);
    expire_alarms(coordinator, turn);
    if (coordinator->retry_ns <= turn->now_ns) {
        coordinator->retry_ns = UINT64_MAX;
        coordinator->want_step = true;
        ending_retry(coordinator, turn);
        if (coordinator->orphans_owed)
            round_orphan_again(coordinator, turn);
        if (coordinator->snapshot.incomplete)
            watch_agents(coordinator, turn);
    }
    if (coordinator->look_ns <= turn->now_ns) {
        coordinator->look_ns = UINT64_MAX;
        coordinator->want_step = true;
    }
    if (coordinator->want_step) {
        coordinator->want_step = false;
        if (coordinator->queue.count)
            send_step(coordinator, turn);
        else
            recall_look(coordinator, turn);
    }
    park_spare(coordinator);
    arm_timer(coordinator, turn);
    ledger_check(&coordinator->ledger);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct coordinator *coordinator = state;
    (void)message; /* turn->message is the same, ours to change */
    coordinator_handler handler = handlers[turn->message->kind];
    if (handler)
        handler(coordinator, turn, turn->message);
    settle(coordinator, turn);
}

/* ---- start and end ---- */
static void free_coordinator(struct coordinator *coordinator) {
    struct claim *claim;
    for (size_t at = 0; coordinator->ledger.chunks && (claim = ledger_next(&coordinator->ledger, &at));)
        task_free(claim->task);
    while (coordinator->unclaimed) {
        struct task *task = coordinator->unclaimed;
        coordinator->unclaimed = task->next;
        task_free(task);
    }
    for (unsigned i = 0; i < coordinator->round_count && coordinator->rounds; i++)
        message_free(&coordinator->rounds[i].asked);
    message_free(&coordinator->step);
    plan_free(&coordinator->plan, coordinator->account);
    memory_free(coordinator->account, coordinator->explained_slots);
    admission_free(&coordinator->admission, coordinator->account);
    speculation_free(coordinator);
    remedy_free(coordinator->remedy, coordinator->account);
    wait_queue_free(&coordinator->queue);
    heap_free(&coordinator->expiries); /* its nodes are in the claims */
    heap_free(&coordinator->alarms);
    ledger_free(&coordinator->ledger);
    if (coordinator->snapshot.views)
        snapshot_free(&coordinator->snapshot);
    memory_free(coordinator->account, coordinator->rounds);
    memory_free(coordinator->account, coordinator);
}

static void destroy(void *state) {
    struct coordinator *coordinator = state;
    if (coordinator->watch)
        registry_unwatch(coordinator->snapshot.registry, coordinator->watch);
    if (coordinator->options.statistics)
        fill_statistics(coordinator, coordinator->options.statistics);
    free_coordinator(coordinator);
}

static void set_defaults(struct coordinator_options *options) {
    if (!options->name_space)
        options->name_space = "agents";
    if (!options->queue_len_max)
        options->queue_len_max = QUEUE_LEN_MAX;
    if (!options->claims_max)
        options->claims_max = PLAN_TASKS_MAX;
    if (!options->agents_max)
        options->agents_max = AGENTS_MAX;
    if (!options->rebalance_rounds_max)
        options->rebalance_rounds_max = REBALANCE_ROUNDS_MAX;
    if (!options->offers_max)
        options->offers_max = OFFERS_MAX;
    if (!options->offer_timeout_ns)
        options->offer_timeout_ns = OFFER_TIMEOUT_NS;
    if (!options->lease_ns)
        options->lease_ns = LEASE_NS;
}

static enum troupe_error init_coordinator(struct coordinator *coordinator, struct registry *registry) {
    const struct coordinator_options *options = &coordinator->options;
    struct account *account = coordinator->account;
    coordinator->timer_ns = coordinator->retry_ns = coordinator->look_ns = UINT64_MAX;
    coordinator->free = options->resources;
    admission_init(&coordinator->admission);
    heap_init(&coordinator->alarms, account);
    heap_init(&coordinator->expiries, account);
    coordinator->round_count = options->agents_max + 1;
    coordinator->rounds = memory_alloc(account, coordinator->round_count * sizeof *coordinator->rounds);
    coordinator->step = message_new(coordinator->runtime, MESSAGE_COORDINATE_STEP, 0);
    if (!coordinator->rounds || !coordinator->step)
        return TROUPE_NOMEM;
    enum troupe_error error = ledger_init(&coordinator->ledger, account, coordinator->options.claims_max * 16,
                                          env_random(coordinator->env));
    if (!error)
        error = wait_queue_init(&coordinator->queue, account, coordinator->ledger.hash_seed);
    if (!error)
        error = snapshot_init(&coordinator->snapshot, coordinator->runtime, registry, account,
                              options->name_space, options->agents_max, &coordinator->alarms);
    if (!error)
        error = plan_init(&coordinator->plan, account, options->agents_max);
    if (!error)
        error = remedy_create(account, &coordinator->remedy);
    return error;
}

enum troupe_error coordinator_start(struct runtime *runtime, struct registry *registry,
                                    struct account *account, const struct coordinator_options *options,
                                    actor_ref *ret_coordinator, struct fault *fault) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        if (options->resources.amount[i] < 0)
            return fault_set(fault, TROUPE_INVALID, "coordinator", "total of resource %u is below zero: %lld",
                             i, (long long)options->resources.amount[i]);
    struct coordinator *coordinator = memory_alloc(account, sizeof *coordinator);
    if (!coordinator)
        return fault_set(fault, TROUPE_NOMEM, "coordinator", "no memory to start it");
    coordinator->runtime = runtime;
    coordinator->env = runtime_env(runtime);
    coordinator->account = account;
    coordinator->options = *options;
    set_defaults(&coordinator->options);
    enum troupe_error error = init_coordinator(coordinator, registry);
    if (error) {
        free_coordinator(coordinator);
        return fault_set(fault, error, "coordinator", "no memory to start it");
    }
    struct message *step = coordinator->step; /* the first one starts it */
    coordinator->step = NULL;
    struct actor_spec spec = {
        .name = "coordinator", .handle = handle, .state = coordinator, .destroy = destroy};
    actor_ref actor = 0;
    error = actor_spawn(runtime, &spec, &actor);
    if (error) {
        message_free(&step);
        free_coordinator(coordinator);
        return fault_set(fault, error, "coordinator", "its actor could not be started: %s",
                         error_text(error));
    }
    error = actor_send(runtime, NULL, actor, &step);
    if (error) {
        message_free(&step);
        actor_stop(runtime, actor, error);
        return fault_set(fault, error, "coordinator", "it could not be started: %s", error_text(error));
    }
    *ret_coordinator = actor;
    return TROUPE_OK;
}
