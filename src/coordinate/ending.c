/* Each task's one TASK_ENDED: passed on from its agent, or made here when there is nobody else to say it.
 *
 * Invariant: a claim's owner is told exactly once: ledger_count_end is called in tell() and pass_on() alone,
 * and each leaves the claim freed or an orphan. When there is no memory to tell, the claim is owed and tried
 * again. */
#include "coordinate/coordinator.h"

#include <stdio.h>

static enum task_state state_of(enum troupe_error error) {
    switch (error) {
    case TROUPE_CANCELLED:
        return TASK_CANCELLED;
    case TROUPE_WORKER:
    case TROUPE_TIMEOUT:
        return TASK_FAILED;
    default:
        return TASK_REJECTED;
    }
}

static struct task **task_in(struct message *message) {
    struct message_task_ended *ended = MESSAGE_PAYLOAD(message, struct message_task_ended);
    return &ended->task;
}

/* ---- words ---- */
static const char *capability_text(const struct coordinator *coordinator, const struct claim *claim) {
    if (claim->capability_name)
        return claim->capability_name;
    const struct capability_names *names = coordinator->options.capabilities;
    unsigned bit = claim->capability;
    return names && bit < names->count ? names->names[bit] : "?";
}

static void describe_no_agent(const struct coordinator *coordinator, const struct claim *claim, char *text,
                              size_t size) {
    const struct capability_names *names = coordinator->options.capabilities;
    const char *known[CAPABILITIES_MAX];
    size_t count = 0;
    for (unsigned bit = 0; names && bit < names->count; bit++)
        if (coordinator->snapshot.holders[bit] > 0)
            known[count++] = names->names[bit];
    const char *wanted = capability_text(coordinator, claim);
    const char *nearest = count ? text_nearest(wanted, known, count) : NULL;
    if (count == 0)
        snprintf(text, size, "no agent has capability '%s': no agent is left at all", wanted);
    else
        snprintf(text, size, "no agent has capability '%s'; %s '%s'", wanted,
                 nearest ? "did you mean" : "there is, for one,", nearest ? nearest : known[0]);
}

static void describe_unsatisfiable(const struct coordinator *coordinator, const struct claim *claim,
                                   char *text, size_t size) {
    const struct resource_names *names = coordinator->options.resource_names;
    const struct resources *needed = &claim->task->resources;
    for (unsigned i = 0; i < RESOURCES_MAX; i++) {
        long long wants = needed->amount[i], total = coordinator->options.resources.amount[i];
        if (wants <= total)
            continue;
        if (names && i < names->count)
            snprintf(text, size, "needs %s: %lld, but there is %lld in all", names->names[i], wants, total);
        else
            snprintf(text, size, "needs %lld of resource %u, which nobody declared", wants, i);
        return;
    }
    snprintf(text, size, "its resources can never be satisfied");
}

/* OVERLOADED: until there is room for it. */
static uint64_t room_in(const struct coordinator *coordinator, const struct claim *claim, uint64_t now_ns) {
    if (!claim->unplaced)
        return plan_capacity_in(coordinator, now_ns);
    return claim->promised_ns > now_ns ? claim->promised_ns - now_ns : 1;
}

static void describe(const struct coordinator *coordinator, const struct claim *claim,
                     enum troupe_error error, uint64_t now_ns, char *text, size_t size) {
    char duration[32];
    const char *agent = claim->agent ? claim->agent->name : "?";
    switch (error) {
    case TROUPE_NO_AGENT:
        describe_no_agent(coordinator, claim, text, size);
        return;
    case TROUPE_UNSATISFIABLE:
        describe_unsatisfiable(coordinator, claim, text, size);
        return;
    case TROUPE_DEADLINE:
        if (claim->unplaced) {
            char least[32];
            snprintf(text, size, "it takes %s at the fastest agent, but its deadline is in %s",
                     text_format_duration(least, (int64_t)(claim->promised_ns - now_ns)),
                     text_format_duration(duration, (int64_t)(claim->deadline_ns - now_ns)));
            return;
        }
        snprintf(text, size, "its deadline passed while it waited for an agent; capacity returns in %s",
                 text_format_duration(duration, (int64_t)plan_capacity_in(coordinator, now_ns)));
        return;
    case TROUPE_OVERLOADED:
        if (claim->unplaced)
            snprintf(text, size, "it would end after its deadline: there is room for such a task in %s",
                     text_format_duration(duration, (int64_t)room_in(coordinator, claim, now_ns)));
        else if (claim->offers)
            snprintf(text, size, "refused by agents %u times", claim->offers);
        else
            snprintf(text, size, "%u tasks wait already; capacity returns in %s", coordinator->queue.count,
                     text_format_duration(duration, (int64_t)plan_capacity_in(coordinator, now_ns)));
        return;
    case TROUPE_WORKER:
        snprintf(text, size, "agent %s ended while it had the task", agent);
        return;
    case TROUPE_NOMEM:
        snprintf(text, size, "agent %s had no memory to take the task", agent);
        return;
    case TROUPE_TIMEOUT:
        snprintf(text, size, "agent %s did not %s in time", agent,
                 claim->state == CLAIM_OFFERED ? "answer the offer" : "end the task");
        return;
    case TROUPE_INVALID:
        snprintf(text, size,
                 "a task with the id run %llu trial %u stage %u attempt %u is live already, or the task is "
                 "malformed",
                 (unsigned long long)claim->id.run, claim->id.trial, claim->id.stage, claim->id.attempt);
        return;
    case TROUPE_LIMIT:
        snprintf(text, size, "more than %d kinds of task wait at once", DEMANDS_MAX);
        return;
    default:
        snprintf(text, size, "%s", error_text(error));
    }
}

/* ---- letting go ---- */
void ending_give_back(struct coordinator *coordinator, struct claim *claim) {
    if (!claim->taken)
        return;
    resources_give(&coordinator->free, &claim->demand->resources);
    claim->taken = PLANT(GIVEN_BACK_TWICE);
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        CHECK(coordinator->free.amount[i] <= coordinator->options.resources.amount[i]);
    coordinator->want_step = true;
}

void ending_leave_agent(struct coordinator *coordinator, struct claim *claim) {
    if (!claim->agent)
        return;
    struct agent_view *view = claim->agent;
    claim_list_remove(&view->claims, claim);
    claim->agent = NULL;
    recall_next_lease(coordinator, view);
    round_offer_settled(coordinator, view);
    coordinator->want_step = true;
}

static void leave_expiries(struct coordinator *coordinator, struct claim *claim) {
    if (claim->expiry.position != 0)
        heap_remove(&coordinator->expiries, &claim->expiry);
}

static void let_go(struct coordinator *coordinator, struct claim *claim) {
    leave_expiries(coordinator, claim);
    ending_leave_agent(coordinator, claim);
    if (claim->demand) {
        CHECK(claim->demand->users > 0);
        claim->demand->users--;
    }
    ledger_release(&coordinator->ledger, claim);
}

static void orphan_settled(struct coordinator *coordinator, struct claim *claim) {
    ending_give_back(coordinator, claim);
    let_go(coordinator, claim);
}

/* What was promised of it was kept, or was not. */
static void judge_promise(struct coordinator *coordinator, const struct claim *claim, uint64_t ended_ns,
                          bool on_time) {
    if (claim->promised_ns == 0 || claim->unplaced || claim->cancelled)
        return;
    coordinator->counts.promises_broken += !on_time;
    admission_learn(&coordinator->admission, claim, ended_ns, !on_time);
}

static void deliver(struct coordinator *coordinator, struct turn *turn, actor_ref owner,
                    struct message *message) {
    message->token = task_id_token((*task_in(message))->id);
    if (actor_send(coordinator->runtime, turn, owner, &message)) {
        coordinator->counts.undeliverable++; /* the owner is gone: nobody is left to know */
        message_free(&message);
    }
}

/* ---- telling ---- */
static struct message *ended_message(struct coordinator *coordinator, struct claim *claim,
                                     enum troupe_error error, uint64_t now_ns) {
    struct message *message =
        message_new(coordinator->runtime, MESSAGE_TASK_ENDED, sizeof(struct message_task_ended));
    struct task_result *result = task_result_new(claim->account, NULL, 0);
    if (!claim->task && message && result)
        claim->task = task_new(claim->account, "", 0);
    if (!message || !result || !claim->task) {
        message_free(&message);
        task_result_free(result);
        return NULL;
    }
    struct task *task = claim->task;
    task->id = claim->id;
    task->owner = claim->owner;
    task->agent = claim->agent ? claim->agent->actor : task->agent;
    task->capability = claim->capability;
    task->priority = claim->priority;
    task->run_name = claim->run_name;
    task->stage_name = claim->stage_name;
    task->capability_name = claim->capability_name;
    task->submitted_ns = claim->submitted_ns;
    task->assigned_ns = claim->offered_ns;
    task->deadline_ns = claim->deadline_ns;
    task->expected_ns = claim->expected_ns;
    task->epoch = claim->epoch;
    task->rebalanced = claim->offers ? claim->offers - 1 : 0;
    task->ended_ns = now_ns;
    task->state = state_of(error);
    task->next = NULL;
    result->error = error;
    result->retryable = error_retryable(error);
    if (error == TROUPE_OVERLOADED)
        result->capacity_in_ns = room_in(coordinator, claim, now_ns);
    describe(coordinator, claim, error, now_ns, result->message, sizeof result->message);
    task_result_free(task->result);
    task->result = result;
    claim->task = NULL;
    *task_in(message) = task;
    return message;
}

/* False: no memory; nothing has changed. */
static bool tell(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                 enum troupe_error error) {
    struct message *message = ended_message(coordinator, claim, error, turn->now_ns);
    if (!message)
        message =
            ended_message(coordinator, claim, error, turn->now_ns); /* one refusal is not yet exhaustion */
    if (!message)
        return false;
    ledger_count_end(&coordinator->ledger, state_of(error));
    round_forget(claim, claim->agent != NULL, false);
    deliver(coordinator, turn, claim->owner, message);
    return true;
}

void ending_tell(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                 enum troupe_error error) {
    if (error == TROUPE_DEADLINE)
        judge_promise(coordinator, claim, turn->now_ns, false);
    bool told = tell(coordinator, turn, claim, error);
    ending_give_back(coordinator, claim);
    if (told) {
        let_go(coordinator, claim);
        return;
    }
    leave_expiries(coordinator, claim);
    round_forget(claim, claim->agent != NULL, false);
    ending_leave_agent(coordinator, claim);
    claim->owed = (uint8_t)error;
    ledger_set_state(&coordinator->ledger, claim, CLAIM_OWED);
    claim_list_append(&coordinator->owed, claim);
    coordinator_retry_later(coordinator, turn->now_ns);
}

void ending_waiting(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                    enum troupe_error error) {
    CHECK(claim->state == CLAIM_WAITING && claim->task);
    wait_queue_remove(&coordinator->queue, claim);
    ending_tell(coordinator, turn, claim, error);
}

/* The owner is told now; what the task holds stays held until the agent cannot be using it any more. */
static void orphan(struct coordinator *coordinator, struct turn *turn, struct claim *claim) {
    if (!tell(coordinator, turn, claim, TROUPE_TIMEOUT)) {
        coordinator->orphans_owed = true;
        coordinator_retry_later(coordinator, turn->now_ns);
        return;
    }
    if (PLANT(GIVEN_BACK_EARLY))
        ending_give_back(coordinator, claim);
    leave_expiries(coordinator, claim);
    ledger_set_state(&coordinator->ledger, claim, CLAIM_ORPHAN);
}

void ending_retry(struct coordinator *coordinator, struct turn *turn) {
    while (coordinator->owed.first) {
        struct claim *claim = coordinator->owed.first;
        if (!tell(coordinator, turn, claim, (enum troupe_error)claim->owed))
            break;
        claim_list_remove(&coordinator->owed, claim);
        let_go(coordinator, claim);
    }
    while (coordinator->unclaimed) {
        struct task *task = coordinator->unclaimed;
        struct message *message =
            message_new(coordinator->runtime, MESSAGE_TASK_ENDED, sizeof(struct message_task_ended));
        struct task_result *result = message ? task_result_new(task->account, NULL, 0) : NULL;
        if (!result) {
            message_free(&message);
            break;
        }
        coordinator->unclaimed = task->next;
        task->next = NULL;
        task->state = TASK_REJECTED;
        task->ended_ns = turn->now_ns;
        task->result = result;
        result->error = TROUPE_NOMEM;
        result->retryable = true;
        snprintf(result->message, sizeof result->message, "%s", error_text(TROUPE_NOMEM));
        *task_in(message) = task;
        ledger_count_end(&coordinator->ledger, TASK_REJECTED);
        coordinator->ledger.unclaimed--;
        deliver(coordinator, turn, task->owner, message);
    }
    if (coordinator->owed.first || coordinator->unclaimed)
        coordinator_retry_later(coordinator, turn->now_ns);
}

/* ---- from the agent ---- */
static void count_time(struct coordinator *coordinator, struct claim *claim, const struct task *task,
                       uint64_t now_ns) {
    uint64_t ended_ns = task->ended_ns ? task->ended_ns : now_ns;
    bool on_time = task->state == TASK_OK && ended_ns <= claim->deadline_ns;
    if (task->state == TASK_OK && on_time)
        coordinator->counts.on_time++;
    else if (task->state == TASK_OK)
        coordinator->counts.late++;
    if (task->state == TASK_OK || task->result->error == TROUPE_DEADLINE)
        judge_promise(coordinator, claim, ended_ns, on_time);
    if (task->state == TASK_OK && task->started_ns && task->ended_ns >= task->started_ns) {
        speculation_observe(coordinator, claim, task->ended_ns - task->started_ns);
        snapshot_observe(&coordinator->snapshot, claim->agent, claim->capability,
                         task->ended_ns - task->started_ns);
    }
    round_forget(claim, true, on_time);
}

static void pass_on(struct coordinator *coordinator, struct turn *turn, struct claim *claim) {
    struct message *message = turn_take(turn);
    struct task *task = *task_in(message);
    actor_ref owner = claim->owner;
    struct agent_view *view = claim->agent;
    count_time(coordinator, claim, task, turn->now_ns);
    ledger_count_end(&coordinator->ledger, task->state);
    ending_give_back(coordinator, claim);
    view->ended++;
    view->resume_ns = 0; /* it has room again, whatever it said before */
    let_go(coordinator, claim);
    deliver(coordinator, turn, owner, message);
}

void ending_twin(struct coordinator *coordinator, struct claim *claim) {
    speculation_leave(coordinator, claim);
    task_free(claim->task);
    claim->task = NULL;
    ending_give_back(coordinator, claim);
    let_go(coordinator, claim);
}

/* One of two: does its end end the task? */
static bool ends_both(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                      struct handover step) {
    const struct task *task = (step.follows & HANDOVER_PASS) ? *task_in(turn->message) : NULL;
    if (task && (task->state == TASK_OK || claim->cancelled)) {
        speculation_won(coordinator, claim, turn->now_ns);
        return true;
    }
    if (step.next == CLAIM_ORPHAN) {
        speculation_leave(coordinator, claim);
        ledger_set_state(&coordinator->ledger, claim, CLAIM_ORPHAN);
        claim->unwanted = true;
        recall_unwanted(coordinator, claim, turn->now_ns);
    } else
        ending_twin(coordinator, claim);
    return false;
}

void ending_from_agent(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct task *task = *task_in(message);
    struct claim *claim = task ? ledger_find_epoch(&coordinator->ledger, task->id, task->epoch) : NULL;
    if (!claim && task && PLANT(STALE_END_ACCEPTED))
        claim = ledger_find(&coordinator->ledger, task->id);
    /* Sent between turns, where a child's lines are read, it has no sender: the task says whose it was. */
    actor_ref sender = message->sender || !task ? message->sender : task->agent;
    bool his =
        claim && claim->agent &&
        (handover_his(claim->agent->actor, claim->epoch, sender, task->epoch) || PLANT(STALE_END_ACCEPTED));
    if (!his) {
        coordinator->counts.stale_ends++;
        return;
    }
    struct agent_view *view = claim->agent;
    bool broken = !task_state_terminal(task->state) || !task->result;
    if (broken && claim->twin)
        ending_twin(coordinator, claim);
    else if (broken && claim->state != CLAIM_ORPHAN)
        ending_tell(coordinator, turn, claim, TROUPE_WORKER); /* an agent that breaks its contract */
    else
        ending_happened(coordinator, turn, claim, CLAIM_ENDED, TROUPE_OK);
    snapshot_release(&coordinator->snapshot, view);
}

void ending_happened(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                     enum claim_event event, enum troupe_error error) {
    struct handover step = handover_next((enum claim_state)claim->state, event);
    CHECK(step.possible);
    coordinator->counts.stale_ends += (step.follows & HANDOVER_STALE) != 0;
    if (claim->twin && (step.follows & (HANDOVER_TELL | HANDOVER_PASS | HANDOVER_QUEUE)) &&
        !ends_both(coordinator, turn, claim, step))
        return;
    if (step.follows & HANDOVER_QUEUE)
        round_requeue(coordinator, turn, claim, event != CLAIM_UNSENT);
    else if (step.follows & HANDOVER_PASS)
        pass_on(coordinator, turn, claim);
    else if (step.next == CLAIM_FREE && (step.follows & HANDOVER_TELL))
        ending_tell(coordinator, turn, claim, error);
    else if (step.next == CLAIM_FREE)
        orphan_settled(coordinator, claim);
    else if (step.follows & HANDOVER_TELL)
        orphan(coordinator, turn, claim);
    else
        ledger_set_state(&coordinator->ledger, claim, (enum claim_state)step.next);
    if (step.next == CLAIM_ORPHAN && claim->state == CLAIM_ORPHAN && claim->lease_ns == 0)
        recall_accepted(coordinator, claim->agent, claim,
                        turn->now_ns); /* it may have it, and lose its end */
}

void ending_without_agent(struct coordinator *coordinator, struct turn *turn) {
    struct wait_queue *queue = &coordinator->queue;
    for (unsigned i = queue->filled_count; i-- > 0;) {
        struct demand *demand = queue->filled[i];
        if (coordinator->snapshot.holders[demand->capability] > 0)
            continue;
        while (demand->waiting.count)
            ending_waiting(coordinator, turn, wait_queue_first(demand), TROUPE_NO_AGENT);
        park_without_agent(coordinator, turn, demand);
    }
}
