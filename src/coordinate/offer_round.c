/* Offers, their answers, and the rounds that batches go through.
 *
 * An agent has at most one open offer; its epoch tells an answer of it from any other. Offers are asked
 * without the runtime's timeout: the coordinator keeps its own, so that a late answer still arrives and says
 * which tasks came back. Counted resources are taken when the offer is made and given back, once, when the
 * task comes back or ends. */
#include "coordinate/coordinator.h"

#define OTHERS_MAX_NS UINT64_C(3600000000000)
#define BUSY_NS 10000000 /* before an agent with a full mailbox is tried again */

static uint64_t offer_token(const struct agent_view *view) {
    return (uint64_t)view->offer_epoch << 32 | view->index;
}

static struct agent_view *view_of_token(const struct coordinator *coordinator, uint64_t token) {
    uint32_t index = (uint32_t)token;
    if (index >= coordinator->snapshot.views_used)
        return NULL;
    struct agent_view *view = coordinator->snapshot.views[index];
    return view && view->offer_open && view->offer_epoch == token >> 32 ? view : NULL;
}

/* When it is to be looked at again although it says nothing. The end of others' work counts too: a task with
 * counted resources waits here for its agent to be free. */
void round_set_alarm(struct coordinator *coordinator, struct agent_view *view) {
    uint64_t alarm_ns = UINT64_MAX;
    if (view->offer_open && !view->offer_expired) {
        alarm_ns = view->offer_expires_ns;
    } else if (!view->offer_open) {
        if (view->resume_ns != 0)
            alarm_ns = view->resume_ns;
        if (!PLANT(ALARM_FORGOTTEN) && view->foreign_until_ns != 0 && view->foreign_until_ns < alarm_ns)
            alarm_ns = view->foreign_until_ns;
    }
    if (view->recall.open && !view->recall.overdue && view->recall.expires_ns < alarm_ns)
        alarm_ns = view->recall.expires_ns;
    if (view->probe_ns != 0 && view->probe_ns < alarm_ns)
        alarm_ns = view->probe_ns;
    heap_update(&coordinator->alarms, &view->alarm, alarm_ns);
}

/* It keeps its place in the order but for one class, gained once: it was put off by no fault of its own. */
static void raise(struct claim *claim) {
    if (claim->moved)
        return;
    claim->moved = claim->task->moved = true;
    claim->order = assign_order_raised(claim->order);
}

void round_requeue(struct coordinator *coordinator, struct turn *turn, struct claim *claim, bool moved) {
    ending_give_back(coordinator, claim);
    ending_leave_agent(coordinator, claim);
    claim->begun_ns = claim->lease_ns = 0;
    claim->begun = claim->gone = false;
    if (moved)
        raise(claim);
    enum troupe_error error = TROUPE_OK;
    if (claim->cancelled)
        error = TROUPE_CANCELLED;
    else if (claim->deadline_ns <= turn->now_ns)
        error = TROUPE_DEADLINE;
    else if (claim->offers >= coordinator->options.offers_max)
        error = TROUPE_OVERLOADED;
    else if (coordinator->snapshot.holders[claim->demand->capability] == 0)
        error = TROUPE_NO_AGENT;
    else
        error = wait_queue_put(&coordinator->queue, claim);
    if (error) {
        ending_tell(coordinator, turn, claim, error);
        return;
    }
    claim->task->state = TASK_WAITING;
    claim->task->agent = 0;
    ledger_set_state(&coordinator->ledger, claim, CLAIM_WAITING);
    coordinator->want_step = true;
}

void round_offer_settled(struct coordinator *coordinator, struct agent_view *view) {
    if (!view->offer_open || !view->offer_expired)
        return;
    for (const struct claim *claim = view->claims.first; claim; claim = claim->list_next)
        if (claim->epoch == view->offer_epoch)
            return;
    view->offer_open = view->offer_expired = false; /* an answer would be a stale one */
    round_set_alarm(coordinator, view);
    coordinator->want_step = true;
}

/* ---- sending ---- */
static struct message *offer_message(struct coordinator *coordinator, struct turn *turn,
                                     struct agent_view *view, struct claim_list *list) {
    struct message *message = message_new(coordinator->runtime, MESSAGE_OFFER, sizeof(struct message_offer));
    if (!message)
        return NULL;
    struct message_offer *offer = MESSAGE_PAYLOAD(message, struct message_offer);
    struct task **link = &offer->tasks;
    offer->epoch = view->offer_epoch;
    while (list->first) {
        struct claim *claim = list->first;
        struct task *task = claim->task;
        claim_list_remove(list, claim);
        if (claim->demand->counted && !(PLANT(NEVER_TAKEN) && claim->demand->resources.amount[0] == 0)) {
            resources_take(&coordinator->free, &claim->demand->resources);
            claim->taken = true;
        }
        claim->agent = view;
        claim->epoch = view->offer_epoch;
        claim->offers++;
        claim->offered_ns = turn->now_ns;
        claim->task = NULL;
        claim_list_append(&view->claims, claim);
        ending_happened(coordinator, turn, claim, CLAIM_SENT, TROUPE_OK);
        task->agent = view->actor;
        task->epoch = view->offer_epoch;
        task->state = TASK_OFFERED;
        task->assigned_ns = turn->now_ns;
        task->rebalanced = claim->offers - 1;
        task->next = NULL;
        *link = task;
        link = &task->next;
        offer->count++;
    }
    return message;
}

/* The offer did not leave: its tasks are still in the message. */
static void take_back(struct coordinator *coordinator, struct turn *turn, struct message **message) {
    struct message_offer *offer = MESSAGE_PAYLOAD(*message, struct message_offer);
    while (offer->tasks) {
        struct task *task = offer->tasks;
        offer->tasks = task->next;
        task->next = NULL;
        struct claim *claim = ledger_find_epoch(&coordinator->ledger, task->id, task->epoch);
        CHECK(claim && claim->state == CLAIM_OFFERED && !claim->task);
        claim->task = task;
        claim->offers--;
        ending_happened(coordinator, turn, claim, CLAIM_UNSENT, TROUPE_OK);
    }
    offer->count = 0;
    message_free(message);
}

static bool send_offer(struct coordinator *coordinator, struct turn *turn, struct agent_view *view,
                       struct round *round) {
    struct claim_list *list = &coordinator->plan.offers[view->index];
    unsigned count = list->count;
    view->offer_epoch = ++coordinator->epoch;
    struct message *message = offer_message(coordinator, turn, view, list);
    if (!message) {
        while (list->first) {
            struct claim *claim = list->first;
            claim_list_remove(list, claim);
            if (claim->twin) {
                ending_twin(coordinator, claim);
                continue;
            }
            CHECK(wait_queue_put(&coordinator->queue, claim) == TROUPE_OK);
        }
        coordinator_retry_later(coordinator, turn->now_ns);
        return false;
    }
    enum troupe_error error = actor_ask(turn, view->actor, &message, offer_token(view), 0);
    if (error) {
        take_back(coordinator, turn, &message);
        if (error == TROUPE_DEAD)
            round_agent_lost(coordinator, turn, view);
        else {
            view->resume_ns = turn->now_ns + BUSY_NS;
            round_set_alarm(coordinator, view);
        }
        return false;
    }
    view->offer_open = true;
    view->offer_expired = false;
    view->offer_extended = false;
    view->offer_tasks = count;
    view->offer_round = round;
    view->offer_expires_ns = turn->now_ns + coordinator->options.offer_timeout_ns;
    round_set_alarm(coordinator, view);
    if (round)
        round->offers_open++;
    coordinator->counts.offers++;
    coordinator->counts.offered_tasks += count;
    return true;
}

unsigned round_offer(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    unsigned sent = 0;
    decision_plan(coordinator, round, turn->now_ns);
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++)
        if (coordinator->plan.offers[i].count)
            sent += send_offer(coordinator, turn, coordinator->snapshot.views[i], round);
    return sent;
}

void round_offer_one(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                     struct agent_view *view) {
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++)
        coordinator->plan.offers[i] = (struct claim_list){0};
    claim_list_append(&coordinator->plan.offers[view->index], claim);
    send_offer(coordinator, turn, view, NULL);
}

void round_step(struct coordinator *coordinator, struct turn *turn) {
    if (coordinator->queue.count == 0)
        return;
    if (plan_score(coordinator, turn->now_ns, 0)) {
        coordinator_retry_later(coordinator, turn->now_ns);
        return;
    }
    if (coordinator->plan.room == 0)
        return;
    coordinator->counts.rounds++;
    plan_matrix(coordinator, 0);
    if (plan_assign(coordinator, turn->now_ns, false, true))
        round_offer(coordinator, turn, NULL);
    recall_look(coordinator, turn);
}

/* ---- rounds ---- */
struct round *round_open(struct coordinator *coordinator, struct message *asked, uint64_t now_ns) {
    for (unsigned i = 0; i < coordinator->round_count; i++) {
        struct round *round = &coordinator->rounds[i];
        if (round->open)
            continue;
        *round = (struct round){.open = true,
                                .id = ++coordinator->round_serial,
                                .asked = asked,
                                .parked_deadline_ns = UINT64_MAX,
                                .phase = PHASE_DISCOVER,
                                .started_ns = now_ns,
                                .stamp_ns = now_ns};
        return round;
    }
    CHECK(!"a round for every open offer and one more");
    return NULL;
}

/* The time since the last stamp was spent in `ended`. Each reading of the clock ends one phase and begins the
 * next, so that the phases add to the total exactly. */
void round_stamp(struct coordinator *coordinator, struct round *round, enum coordinate_phase ended) {
    uint64_t now_ns = env_now(coordinator->env);
    round->reply.phase_ns[ended] += now_ns - round->stamp_ns;
    round->stamp_ns = now_ns;
}

void round_join(struct round *round, struct claim *claim) {
    claim->round = round;
    claim->round_next = round->claims;
    if (round->claims)
        round->claims->round_previous = claim;
    round->claims = claim;
}

void round_leave(struct claim *claim) {
    struct round *round = claim->round;
    if (!round)
        return;
    if (claim->round_previous)
        claim->round_previous->round_next = claim->round_next;
    else
        round->claims = claim->round_next;
    if (claim->round_next)
        claim->round_next->round_previous = claim->round_previous;
    claim->round = NULL;
    claim->round_next = claim->round_previous = NULL;
}

void round_forget(struct claim *claim, bool accepted, bool on_time) {
    struct round *round = claim->round;
    if (!round)
        return;
    round_leave(claim);
    if (claim->rebalanced)
        round->reply.rebalanced++;
    if (!accepted)
        round->reply.rejected++;
    else {
        round->ended_accepted++;
        if (on_time)
            round->ended_on_time++;
        else
            round->ended_late++;
    }
}

void round_advance(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    if (!round->open || round->offers_open)
        return;
    round_stamp(coordinator, round, round->phase);
    if (round->refused && round->rebalances < coordinator->options.rebalance_rounds_max) {
        round->refused = 0;
        round->rebalances++;
        round->phase = PHASE_REBALANCE;
        coordinator->counts.rebalance_rounds++;
        unsigned sent = 0;
        if (plan_score(coordinator, turn->now_ns, round->id))
            coordinator_retry_later(coordinator, turn->now_ns);
        else if (coordinator->plan.room) {
            plan_matrix(coordinator, 0);
            if (plan_assign(coordinator, turn->now_ns, true, true))
                sent = round_offer(coordinator, turn, round);
        }
        round_stamp(coordinator, round, PHASE_REBALANCE);
        if (sent)
            return;
    }
    feedback_reply(coordinator, turn, round);
}

static void close_offer(struct coordinator *coordinator, struct turn *turn, struct agent_view *view,
                        unsigned refused) {
    struct round *round = view->offer_expired ? NULL : view->offer_round;
    view->offer_open = view->offer_expired = false;
    view->offer_round = NULL;
    round_set_alarm(coordinator, view);
    coordinator->want_step = true;
    if (!round)
        return;
    CHECK(round->open && round->offers_open > 0);
    round->offers_open--;
    round->refused += refused;
    round_advance(coordinator, turn, round);
}

/* ---- answers ---- */
static unsigned take_refused(struct coordinator *coordinator, struct turn *turn, struct agent_view *view,
                             struct message_offer_answer *answer) {
    unsigned refused = 0;
    while (answer->refused) {
        struct task *task = answer->refused;
        answer->refused = task->next;
        task->next = NULL;
        struct claim *claim = ledger_find_epoch(&coordinator->ledger, task->id, task->epoch);
        bool his = claim && claim->agent == view && claim->epoch == view->offer_epoch &&
                   handover_his(view->actor, claim->epoch, view->actor, task->epoch);
        if (his && claim->state == CLAIM_OFFERED && !PLANT(REFUSAL_DROPPED)) {
            claim->task = task;
            claim->rebalanced = claim->round != NULL;
            if (answer->answer == OFFER_INCAPABLE)
                snapshot_drop_capability(&coordinator->snapshot, view, claim->demand->capability);
            ending_happened(coordinator, turn, claim, CLAIM_REFUSED, TROUPE_OK);
            refused++;
            continue;
        }
        if (his && claim->state == CLAIM_ORPHAN) /* too late for its owner, not for what it held */
            ending_happened(coordinator, turn, claim, CLAIM_REFUSED, TROUPE_OK);
        else
            coordinator->counts.stale_answers++;
        task_free(task);
    }
    answer->refused_count = 0;
    return refused;
}

static unsigned keep_accepted(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    unsigned accepted = 0;
    for (struct claim *claim = view->claims.last; claim; claim = claim->list_previous) {
        if (claim->epoch != view->offer_epoch || claim->lease_ns != 0)
            continue;
        accepted += claim->state == CLAIM_OFFERED;
        ending_happened(coordinator, turn, claim, CLAIM_ACCEPTED, TROUPE_OK);
        recall_accepted(coordinator, view, claim, turn->now_ns);
    }
    return accepted;
}

/* What was heard so long ago as the options say: meanwhile what was taken last. */
static uint64_t report_late(const struct coordinator *coordinator, struct agent_view *view, uint64_t until_ns,
                            uint64_t now_ns) {
    uint64_t taken_ns = view->foreign_until_ns;
    if (view->report.at_ns != 0 && now_ns - view->report.at_ns < coordinator->options.reports_late_ns)
        return taken_ns;
    if (view->report.at_ns != 0)
        taken_ns = view->report.until_ns;
    view->report.at_ns = now_ns;
    view->report.until_ns = until_ns;
    return taken_ns;
}

/* What other coordinators queued there comes before ours. It is theirs to know: the agent alone can tell it, and until its
 * next answer it is as it said. */
static void note_others(const struct coordinator *coordinator, struct agent_view *view,
                        const struct message_offer_answer *answer, uint64_t now_ns) {
    uint64_t others_ns = answer->others_ns < OTHERS_MAX_NS ? answer->others_ns : OTHERS_MAX_NS;
    uint64_t until_ns = others_ns ? now_ns + others_ns : 0;
    if (coordinator->options.reports_late_ns != 0)
        until_ns = report_late(coordinator, view, until_ns, now_ns);
    if (until_ns > view->foreign_until_ns && view->offer_round && !view->offer_expired)
        view->offer_round->forecast_stale = true;
    view->foreign_until_ns = until_ns;
}

void round_answer(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_offer_answer *answer = MESSAGE_PAYLOAD(message, struct message_offer_answer);
    struct agent_view *view = view_of_token(coordinator, message->token);
    if (!view || message->sender != view->actor) {
        coordinator->counts.stale_answers++;
        return; /* with the message go the tasks in it */
    }
    if (answer->epoch != view->offer_epoch || (unsigned)answer->answer > OFFER_DRAINING) {
        /* It breaks its contract, but an offer gets one answer: what came back has come back, the rest it has.
         * To drop it would keep the resources of what came back taken for ever. */
        coordinator->counts.stale_answers++;
        if (PLANT(ANSWER_DROPPED))
            return;
        answer->answer = OFFER_OVERLOADED;
    }
    coordinator->counts.answers[answer->answer]++;
    if (view->offer_expired)
        coordinator->counts.stale_answers++;
    unsigned refused = take_refused(coordinator, turn, view, answer);
    unsigned accepted = keep_accepted(coordinator, turn, view);
    note_others(coordinator, view, answer, turn->now_ns);
    coordinator->counts.accepted_tasks += accepted;
    coordinator->counts.refused_tasks += refused;
    if (view->offer_round && !view->offer_expired)
        view->refused_round = refused ? view->offer_round->id : view->refused_round;
    if (answer->answer == OFFER_DRAINING)
        snapshot_drain(&coordinator->snapshot, view);
    else if (refused && answer->answer != OFFER_INCAPABLE) {
        feedback_refused(coordinator, view, turn->now_ns, answer->capacity_in_ns);
        if (view->offer_round && !view->offer_expired)
            view->offer_round->forecast_stale = true;
    } else if (accepted)
        feedback_accepted(view, accepted);
    if (answer->answer == OFFER_DRAINING || answer->answer == OFFER_INCAPABLE)
        ending_without_agent(coordinator, turn);
    unsigned index = view->index;
    close_offer(coordinator, turn, view, refused);
    if (coordinator->snapshot.views[index] == view) /* it may have been lost in the next round of offers */
        snapshot_release(&coordinator->snapshot, view);
}

/* The agent lives but had no memory to answer, and the tasks died with the offer. What it took before it still
 * has, and may be using the resources of. */
static void offer_dropped(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    struct claim *next = NULL;
    for (struct claim *claim = view->claims.first; claim; claim = next) {
        next = claim->list_next;
        if (claim->epoch != view->offer_epoch)
            continue;
        if (claim->state == CLAIM_ORPHAN || claim->state == CLAIM_OFFERED)
            ending_happened(coordinator, turn, claim, CLAIM_DROPPED, TROUPE_NOMEM);
    }
    view->resume_ns = turn->now_ns + BUSY_NS;
    unsigned index = view->index;
    close_offer(coordinator, turn, view, 0);
    if (coordinator->snapshot.views[index] == view) /* it may have been lost in the next round of offers */
        snapshot_release(&coordinator->snapshot, view);
}

void round_ask_failed(struct coordinator *coordinator, struct turn *turn,
                      const struct message_ask_failed *failed) {
    struct agent_view *view = view_of_token(coordinator, failed->token);
    if (!view) {
        coordinator->counts.stale_answers++;
        return;
    }
    if (actor_alive(coordinator->runtime, view->actor))
        offer_dropped(coordinator, turn, view);
    else
        round_agent_lost(coordinator, turn, view);
}

/* The owners of an expired offer's tasks are told; those for whom there is no memory, again later. */
static void orphan_offered(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    struct claim *next = NULL;
    for (struct claim *claim = view->claims.first; claim; claim = next) {
        next = claim->list_next;
        if (claim->state == CLAIM_OFFERED)
            ending_happened(coordinator, turn, claim, CLAIM_UNANSWERED, TROUPE_TIMEOUT);
    }
}

void round_orphan_again(struct coordinator *coordinator, struct turn *turn) {
    coordinator->orphans_owed = false;
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++)
        if (coordinator->snapshot.views[i] && coordinator->snapshot.views[i]->offer_expired)
            orphan_offered(coordinator, turn, coordinator->snapshot.views[i]);
}

void round_offer_expired(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    if (!view->offer_extended) { /* once more: a stopped process finds its timers before its answers */
        view->offer_extended = true;
        view->offer_expires_ns = turn->now_ns + coordinator->options.offer_timeout_ns / 4 + 1;
        round_set_alarm(coordinator, view);
        return;
    }
    coordinator->counts.offer_timeouts++;
    orphan_offered(coordinator, turn, view);
    struct round *round = view->offer_round;
    view->offer_expired = true;
    view->offer_round = NULL;
    round_set_alarm(coordinator, view);
    round_offer_settled(coordinator, view); /* all of it may have ended before its answer */
    if (!round)
        return;
    CHECK(round->offers_open > 0);
    round->offers_open--;
    round_advance(coordinator, turn, round);
}

void round_agent_lost(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    if (!view->gone)
        snapshot_remove(&coordinator->snapshot, view);
    if (view->claims.count)
        coordinator->counts.agents_lost++;
    while (view->claims.first)
        ending_happened(coordinator, turn, view->claims.first, CLAIM_AGENT_LOST, TROUPE_WORKER);
    view->recall.open = false;
    ending_without_agent(coordinator, turn);
    if (view->offer_open)
        close_offer(coordinator, turn, view, 0);
    coordinator->want_step = true;
    snapshot_release(&coordinator->snapshot, view);
}
