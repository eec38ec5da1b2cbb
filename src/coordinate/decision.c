/* What was seen when a task was given to an agent: each agent's estimate for it, or why it was out of the question. Kept with
 * the task, for those who ask why (coordinator_options.explain); nothing is decided by it.
 *
 * An estimate is made as the plan makes its list: the tasks in its order, each at the agent's first free slot. The search
 * may move tasks afterwards, so that an agent can have an earlier estimate than the one that was chosen: that one was left
 * to other tasks. */
#include "coordinate/coordinator.h"

#include <stdio.h>
#include <string.h>

static enum candidate_verdict out_of_question(const struct agent_view *view, unsigned capability,
                                              uint64_t round, uint64_t now_ns) {
    if (!agent_view_has(view, capability))
        return CANDIDATE_INCAPABLE;
    if (view->draining)
        return CANDIDATE_DRAINING;
    if (!agent_view_usable(view))
        return CANDIDATE_DOWN;
    if (view->offer_expired)
        return CANDIDATE_SILENT;
    if (round != 0 && view->refused_round == round)
        return CANDIDATE_REFUSED;
    if (view->resume_ns > now_ns)
        return CANDIDATE_PAUSED;
    return CANDIDATE_LATER;
}

/* The chosen one first, then by when they would end it; those out of the question last. */
static bool comes_before(const struct decision_candidate *a, const struct decision_candidate *b) {
    if ((a->verdict == CANDIDATE_CHOSEN) != (b->verdict == CANDIDATE_CHOSEN))
        return a->verdict == CANDIDATE_CHOSEN;
    if (a->finish_ns != b->finish_ns)
        return a->finish_ns != 0 && (b->finish_ns == 0 || a->finish_ns < b->finish_ns);
    return a->verdict < b->verdict;
}

static void add(struct task_decision *decision, const struct decision_candidate *candidate) {
    unsigned at = decision->count;
    while (at > 0 && comes_before(candidate, &decision->candidates[at - 1]))
        at--;
    if (decision->count == DECISION_CANDIDATES_MAX)
        decision->left_out++;
    else
        decision->count++;
    if (at == DECISION_CANDIDATES_MAX)
        return;
    memmove(&decision->candidates[at + 1], &decision->candidates[at],
            (decision->count - 1 - at) * sizeof *candidate);
    decision->candidates[at] = *candidate;
}

static struct task_decision *decision_of(struct claim *claim, enum decision_kind kind, uint64_t now_ns) {
    struct task *task = claim->task;
    if (task->decision == NULL)
        task->decision = memory_alloc(task->account, sizeof *task->decision);
    if (task->decision != NULL) /* else nobody will know */
        *task->decision = (struct task_decision){
            .account = task->account, .kind = kind, .at_ns = now_ns, .offers = claim->offers + 1};
    return task->decision;
}

static uint64_t *slots_of(const struct coordinator *coordinator, uint64_t *copy, unsigned view) {
    return copy + (coordinator->plan.agents[view].slot_free_ns - coordinator->plan.slot_times);
}

/* As the plan scored them, in a copy. NULL: no memory, and nothing is explained. */
static uint64_t *copy_slots(struct coordinator *coordinator) {
    const struct plan *plan = &coordinator->plan;
    if (coordinator->explained_capacity < plan->slot_capacity) {
        uint64_t *grown = memory_resize(coordinator->account, coordinator->explained_slots,
                                        plan->slot_capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        coordinator->explained_slots = grown;
        coordinator->explained_capacity = plan->slot_capacity;
    }
    memcpy(coordinator->explained_slots, plan->slot_times, plan->slot_capacity * sizeof *plan->slot_times);
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++)
        if (coordinator->snapshot.views[i])
            assign_slots_sort(slots_of(coordinator, coordinator->explained_slots, i),
                              coordinator->snapshot.views[i]->slots);
    return coordinator->explained_slots;
}

static void explain(struct coordinator *coordinator, uint64_t *copy, unsigned at,
                    struct task_decision *decision, uint64_t round) {
    const struct assign_task *task = &coordinator->plan.tasks[at];
    const struct claim *claim = coordinator->plan.claims[at];
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        const struct agent_view *view = coordinator->snapshot.views[i];
        if (!view)
            continue;
        struct decision_candidate candidate = {
            .verdict = out_of_question(view, claim->demand->capability, round, decision->at_ns),
            .held = view->claims.count};
        snprintf(candidate.agent, sizeof candidate.agent, "%.*s", FEEDBACK_NAME_MAX, view->name);
        uint64_t service_ns = plan_service(coordinator, view, claim);
        if (candidate.verdict == CANDIDATE_LATER || candidate.verdict == CANDIDATE_PAUSED) {
            candidate.start_ns = slots_of(coordinator, copy, i)[0];
            candidate.finish_ns = candidate.start_ns + service_ns;
        }
        if (candidate.verdict == CANDIDATE_LATER && candidate.finish_ns < task->finish_ns)
            candidate.verdict = coordinator->plan.agents[i].room == 0 ? CANDIDATE_FULL : CANDIDATE_SPARED;
        if (task->agent == i) {
            candidate.verdict = CANDIDATE_CHOSEN;
            candidate.finish_ns = task->finish_ns;
            candidate.start_ns = service_ns < task->finish_ns ? task->finish_ns - service_ns : 0;
            if (candidate.start_ns < decision->at_ns)
                candidate.start_ns = decision->at_ns;
        }
        add(decision, &candidate);
    }
}

void decision_plan(struct coordinator *coordinator, const struct round *round, uint64_t now_ns) {
    const struct plan *plan = &coordinator->plan;
    uint64_t *copy = coordinator->options.explain ? copy_slots(coordinator) : NULL;
    for (unsigned i = 0; copy && i < plan->task_count; i++) {
        const struct assign_task *task = &plan->tasks[i];
        struct claim *claim = plan->claims[i];
        enum decision_kind kind = round && round->rebalances > 0 ? DECISION_REBALANCED : DECISION_PLANNED;
        struct task_decision *decision =
            task->offered && claim->task ? decision_of(claim, kind, now_ns) : NULL;
        if (decision)
            explain(coordinator, copy, i, decision, round ? round->id : 0);
        if (task->agent != ASSIGN_NONE)
            assign_slots_advance(slots_of(coordinator, copy, task->agent),
                                 coordinator->snapshot.views[task->agent]->slots, task->finish_ns);
    }
}

void decision_one(struct coordinator *coordinator, struct claim *claim, const struct agent_view *view,
                  enum decision_kind kind, uint64_t now_ns) {
    struct task_decision *decision =
        coordinator->options.explain && claim->task ? decision_of(claim, kind, now_ns) : NULL;
    if (!decision)
        return;
    struct decision_candidate candidate = {.verdict = CANDIDATE_CHOSEN,
                                           .held = view->claims.count,
                                           .start_ns = now_ns,
                                           .finish_ns = now_ns + plan_service(coordinator, view, claim)};
    snprintf(candidate.agent, sizeof candidate.agent, "%.*s", FEEDBACK_NAME_MAX, view->name);
    add(decision, &candidate);
}
