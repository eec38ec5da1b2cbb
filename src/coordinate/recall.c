/* Tasks wanted back from agents that accepted them: REVOKE, its answers, and why one is asked.
 *
 *   pull   another agent is idle and would end it sooner, or it will be late where it is and on time elsewhere;
 *   lease  it should have begun and ended long since, and nothing was heard: its end was lost, or its agent hangs.
 *
 * So that nothing bounces: a task is pulled RECALLS_MAX times at most; only for a gain of an eighth of what it takes
 * there and PULL_GAIN_NS; one that is known to have begun is not asked for again; each agent has one REVOKE open.
 * A task that comes back keeps its age and goes one class before its priority, once (round_requeue). */
#include "coordinate/coordinator.h"

#define RECALLS_MAX 3
#define PULL_GAIN_NS 1000000
#define PULLS_AT_ONCE 16
#define LOOK_AGAIN_NS 10000000
#define AGAIN_NS 10000000 /* after a full mailbox, or when memory was short */

static uint64_t recall_token(const struct agent_view *view) {
    return (uint64_t)view->recall.token_epoch << 32 | view->index;
}

static struct agent_view *view_recalling(const struct coordinator *coordinator, uint64_t token) {
    uint32_t index = (uint32_t)token;
    if (index >= coordinator->snapshot.views_used)
        return NULL;
    struct agent_view *view = coordinator->snapshot.views[index];
    return view && view->recall.open && view->recall.token_epoch == token >> 32 ? view : NULL;
}

static void look_at(struct coordinator *coordinator, struct agent_view *view, uint64_t at_ns) {
    if (view->probe_ns != 0 && view->probe_ns <= at_ns)
        return;
    view->probe_ns = at_ns;
    round_set_alarm(coordinator, view);
}

static bool ask(struct coordinator *coordinator, struct turn *turn, const struct claim *claim, actor_ref to,
                bool copy) {
    struct agent_view *view = claim->agent;
    struct message *message =
        message_new(coordinator->runtime, MESSAGE_REVOKE, sizeof(struct message_revoke));
    if (!message)
        return false;
    *MESSAGE_PAYLOAD(message, struct message_revoke) = (struct message_revoke){
        .id = claim->id, .epoch = claim->epoch, .copy = copy, .cancel = claim->unwanted};
    view->recall.token_epoch = ++coordinator->epoch;
    if (actor_ask(turn, view->actor, &message, recall_token(view),
                  0)) { /* full; or dead, and then DOWN comes */
        message_free(&message);
        return false;
    }
    view->recall.open = true;
    view->recall.extended = view->recall.overdue = false;
    view->recall.id = claim->id;
    view->recall.epoch = claim->epoch;
    view->recall.to = to;
    view->recall.copy = copy;
    view->recall.expires_ns = turn->now_ns + coordinator->options.offer_timeout_ns;
    round_set_alarm(coordinator, view);
    coordinator->counts.revokes++;
    return true;
}

bool recall_copy(struct coordinator *coordinator, struct turn *turn, const struct claim *claim,
                 actor_ref to) {
    return ask(coordinator, turn, claim, to, true);
}

/* ---- leases ---- */
void recall_accepted(struct coordinator *coordinator, struct agent_view *view, struct claim *claim,
                     uint64_t now_ns) {
    claim->lease_ns = now_ns + coordinator->options.lease_ns;
    look_at(coordinator, view, claim->lease_ns);
}

/* Asked for as if its lease had passed, and with the wish to cancel it. */
void recall_unwanted(struct coordinator *coordinator, struct claim *claim, uint64_t now_ns) {
    claim->lease_ns = now_ns;
    look_at(coordinator, claim->agent, now_ns);
}

/* A task left: one that was behind it may be doing now, and its lease may have passed meanwhile. */
void recall_next_lease(struct coordinator *coordinator, struct agent_view *view) {
    uint32_t at = 0;
    for (struct claim *claim = view->claims.first; claim && at < view->slots; claim = claim->list_next, at++)
        if (claim->lease_ns != 0)
            look_at(coordinator, view, claim->lease_ns);
}

/* Its lease has passed: asked for, or, when the agent owes an answer for too long, told without it. Returns when to look
 * again. */
static uint64_t lease_passed(struct coordinator *coordinator, struct turn *turn, struct agent_view *view,
                             struct claim *claim) {
    if (view->recall.open && !view->recall.overdue)
        return view->recall.expires_ns + 1;
    if (view->recall.open) {
        claim->lease_ns = turn->now_ns + coordinator->options.lease_ns;
        if (claim->state == CLAIM_HELD)
            ending_happened(coordinator, turn, claim, CLAIM_OVERDUE, TROUPE_TIMEOUT);
        if (claim->state == CLAIM_HELD) /* no memory to tell */
            claim->lease_ns = turn->now_ns + AGAIN_NS;
        return claim->lease_ns;
    }
    if (!ask(coordinator, turn, claim, 0, false))
        return turn->now_ns + AGAIN_NS;
    coordinator->counts.leases_passed += !claim->unwanted;
    return view->recall.expires_ns + 1;
}

/* Those that may be doing; of an agent that owes an answer, all. */
static void look_at_leases(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    uint64_t next_ns = UINT64_MAX;
    bool all = view->recall.open && view->recall.overdue;
    uint32_t at = 0;
    for (struct claim *claim = view->claims.first; claim; claim = claim->list_next, at++) {
        if (!all && at >= view->slots && !claim->unwanted)
            continue;
        if (claim->state == CLAIM_OFFERED || claim->lease_ns == 0)
            continue;
        uint64_t again_ns =
            claim->lease_ns > turn->now_ns ? claim->lease_ns : lease_passed(coordinator, turn, view, claim);
        if (again_ns < next_ns)
            next_ns = again_ns;
    }
    view->probe_ns = next_ns == UINT64_MAX ? 0 : next_ns;
    if (all) /* it is not waited for any longer: the next lease asks anew */
        view->recall.open = false;
}

void recall_due(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    struct recall *recall = &view->recall;
    if (recall->open && !recall->overdue && recall->expires_ns <= turn->now_ns) {
        if (!recall->extended) { /* once more: a stopped process finds its timers before its answers */
            recall->extended = true;
            recall->expires_ns = turn->now_ns + coordinator->options.offer_timeout_ns / 4 + 1;
        } else {
            recall->overdue = true;
            coordinator->counts.revoke_timeouts++;
        }
    }
    if (view->probe_ns != 0 && view->probe_ns <= turn->now_ns && PLANT(LEASE_FORGOTTEN))
        view->probe_ns = 0;
    if (view->probe_ns != 0 && view->probe_ns <= turn->now_ns)
        look_at_leases(coordinator, turn, view);
}

/* ---- answers ---- */
/* It is ours again, and somebody is idle for it: offered there at once, when nothing else came in between. */
static void hand_on(struct coordinator *coordinator, struct turn *turn, struct task_id id, actor_ref to) {
    struct claim *claim = ledger_find(&coordinator->ledger, id);
    struct agent_view *view = to ? snapshot_find(&coordinator->snapshot, to) : NULL;
    if (!view || !claim || claim->state != CLAIM_WAITING || view->claims.count >= view->slots ||
        agent_view_room(view, turn->now_ns, 0) == 0 || !agent_view_has(view, claim->demand->capability) ||
        !resources_fit(&coordinator->free, &claim->demand->resources))
        return;
    wait_queue_remove(&coordinator->queue, claim);
    decision_one(coordinator, claim, view, DECISION_PULLED, turn->now_ns);
    round_offer_one(coordinator, turn, claim, view);
}

static void came_back(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                      struct task *task, actor_ref to) {
    struct task_id id = claim->id;
    if (claim->state == CLAIM_ORPHAN) {
        task_free(task);
        ending_happened(coordinator, turn, claim, CLAIM_REVOKED, TROUPE_OK);
        return;
    }
    claim->task = task;
    claim->offers--; /* it was not refused */
    if (claim->recalls < UINT8_MAX)
        claim->recalls++;
    coordinator->counts.pulled += to != 0;
    ending_happened(coordinator, turn, claim, CLAIM_REVOKED, TROUPE_OK);
    hand_on(coordinator, turn, id, to);
}

static void is_gone(struct coordinator *coordinator, struct turn *turn, struct claim *claim) {
    if (!handover_is_gone((enum claim_state)claim->state, claim->gone)) {
        claim->gone = true;
        claim->lease_ns = turn->now_ns + coordinator->options.offer_timeout_ns;
        look_at(coordinator, claim->agent, claim->lease_ns);
        return;
    }
    coordinator->counts.ends_lost++;
    ending_happened(coordinator, turn, claim, CLAIM_GONE, TROUPE_WORKER);
}

void recall_answer(struct coordinator *coordinator, struct turn *turn, struct message *message) {
    struct message_revoke_answer *answer = MESSAGE_PAYLOAD(message, struct message_revoke_answer);
    struct agent_view *view = view_recalling(coordinator, message->token);
    if (!view || message->sender != view->actor || (unsigned)answer->answer >= REVOKE_ANSWERS) {
        coordinator->counts.stale_answers++;
        return; /* with the message goes the task in it */
    }
    struct recall recall = view->recall;
    view->recall.open = false;
    coordinator->counts.revoke_answers[answer->answer]++;
    struct claim *claim = ledger_find_epoch(&coordinator->ledger, recall.id, recall.epoch);
    bool his = claim && claim->state != CLAIM_OFFERED && claim->agent &&
               handover_his(claim->agent->actor, claim->epoch, message->sender, recall.epoch);
    struct task *task = answer->task;
    bool whole = task && task_id_equal(task->id, recall.id) && task->epoch == recall.epoch;
    if (his && answer->answer == REVOKE_REVOKED && whole) {
        answer->task = NULL;
        came_back(coordinator, turn, claim, task, recall.to);
    } else if (his && answer->answer == REVOKE_STARTED) {
        claim->begun = true;
        recall_accepted(coordinator, view, claim, turn->now_ns);
        if (whole && recall.copy) {
            answer->task = NULL;
            speculation_double(coordinator, turn, claim, task, recall.to);
        }
    } else if (his) { /* an agent that says that it gives back what it does not give has lost it */
        is_gone(coordinator, turn, claim);
    }
    round_set_alarm(coordinator, view);
    recall_next_lease(coordinator, view);
    coordinator->want_step = true;
    snapshot_release(&coordinator->snapshot, view);
}

/* No answer will come: it had no memory for one, or it has ended, and then DOWN comes. */
bool recall_failed(struct coordinator *coordinator, struct turn *turn, uint64_t token) {
    struct agent_view *view = view_recalling(coordinator, token);
    if (!view)
        return false;
    view->recall.open = false;
    look_at(coordinator, view, turn->now_ns + AGAIN_NS);
    round_set_alarm(coordinator, view);
    return true;
}

/* ---- pull ---- */
static bool may_leave(const struct claim *claim) {
    return claim->state == CLAIM_HELD && !claim->begun && !claim->twin && !claim->cancelled &&
           claim->recalls < RECALLS_MAX;
}

/* Does one wait there that could be had? An old forecast is enough to ask the question, unless it has passed. */
static bool has_spare(const struct agent_view *view, uint64_t now_ns) {
    if (view->claims.count <= view->slots || view->recall.open || view->offer_open)
        return false;
    uint32_t behind = view->claims.count - view->slots;
    for (const struct claim *claim = view->claims.last; claim && behind > 0;
         claim = claim->list_previous, behind--)
        if (may_leave(claim) && (claim->finish_ns > now_ns + PULL_GAIN_NS || claim->finish_ns <= now_ns))
            return true;
    return false;
}

bool recall_awaits(const struct coordinator *coordinator, actor_ref actor) {
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        const struct agent_view *view = coordinator->snapshot.views[i];
        if (view && view->recall.open && view->recall.to == actor)
            return true;
    }
    return false;
}

static uint64_t earliest_slot(const struct coordinator *coordinator, const struct agent_view *view) {
    const struct assign_agent *agent = &coordinator->plan.agents[view->index];
    uint64_t earliest_ns = UINT64_MAX;
    for (uint32_t i = 0; i < view->slots; i++)
        if (agent->slot_free_ns[i] < earliest_ns)
            earliest_ns = agent->slot_free_ns[i];
    return earliest_ns;
}

/* What the task gains at `thief`, in ns; 0: it stays. */
static uint64_t gain(const struct coordinator *coordinator, const struct claim *claim,
                     const struct agent_view *thief, uint64_t now_ns) {
    if (!agent_view_has(thief, claim->demand->capability) || claim->finish_ns <= now_ns)
        return 0;
    uint64_t start_ns = earliest_slot(coordinator, thief);
    if (start_ns < now_ns)
        start_ns = now_ns;
    uint64_t there_ns = plan_service(coordinator, thief, claim);
    uint64_t end_ns = there_ns > UINT64_MAX - start_ns ? UINT64_MAX : start_ns + there_ns;
    bool idle = thief->claims.count < thief->slots && start_ns <= now_ns;
    bool saved = claim->finish_ns > claim->deadline_ns && end_ns <= claim->deadline_ns;
    uint64_t wanted_ns = PULL_GAIN_NS + there_ns / 8;
    if (end_ns >= claim->finish_ns || (!saved && (!idle || claim->finish_ns - end_ns < wanted_ns)))
        return 0;
    return claim->finish_ns - end_ns;
}

/* What is done before it may yet take longer than thought, and nobody will say so: another look after as long as the least
 * gain is. */
static void look_again(struct coordinator *coordinator, const struct claim *claim,
                       const struct agent_view *thief, uint64_t now_ns) {
    if (thief->claims.count >= thief->slots || !agent_view_has(thief, claim->demand->capability))
        return;
    uint64_t wait_ns = PULL_GAIN_NS + plan_service(coordinator, thief, claim) / 8;
    uint64_t again_ns = now_ns + (wait_ns > LOOK_AGAIN_NS ? wait_ns : LOOK_AGAIN_NS);
    if (again_ns < coordinator->look_ns)
        coordinator->look_ns = again_ns;
}

static bool pull_for(struct coordinator *coordinator, struct turn *turn, struct agent_view *thief) {
    struct claim *best = NULL;
    uint64_t best_ns = 0;
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        struct agent_view *view = coordinator->snapshot.views[i];
        if (!view || view == thief || !has_spare(view, turn->now_ns))
            continue;
        uint32_t behind = view->claims.count - view->slots;
        for (struct claim *claim = view->claims.last; claim && behind > 0;
             claim = claim->list_previous, behind--) {
            if (!may_leave(claim))
                continue;
            uint64_t gain_ns = gain(coordinator, claim, thief, turn->now_ns);
            if (gain_ns > best_ns) {
                best = claim;
                best_ns = gain_ns;
            }
            look_again(coordinator, claim, thief, turn->now_ns);
        }
    }
    return best && ask(coordinator, turn, best, thief->actor, false);
}

static void pull(struct coordinator *coordinator, struct turn *turn) {
    const struct snapshot *snapshot = &coordinator->snapshot;
    if (coordinator->ledger.by_state[CLAIM_HELD] == 0)
        return;
    bool spare = false, room = false;
    for (unsigned i = 0; i < snapshot->views_used && !(spare && room); i++) {
        const struct agent_view *view = snapshot->views[i];
        if (!view)
            continue;
        room |= agent_view_room(view, turn->now_ns, 0) > 0 && view->foreign_until_ns <= turn->now_ns;
        spare |= has_spare(view, turn->now_ns);
    }
    if (!spare || !room)
        return;
    if (plan_score(coordinator, turn->now_ns, 0)) {
        coordinator_retry_later(coordinator, turn->now_ns);
        return;
    }
    unsigned asked = 0;
    for (unsigned i = 0; i < snapshot->views_used && asked < PULLS_AT_ONCE; i++) {
        struct agent_view *thief = snapshot->views[i];
        if (thief && agent_view_room(thief, turn->now_ns, 0) > 0 && !recall_awaits(coordinator, thief->actor))
            asked += pull_for(coordinator, turn, thief);
    }
}

/* What waits is better done by an idle agent than what is being done. */
void recall_look(struct coordinator *coordinator, struct turn *turn) {
    pull(coordinator, turn);
    speculation_look(coordinator, turn);
}
