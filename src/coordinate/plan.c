/* One plan: the agents' load scored, the capability matrix of what waits, and the assignment. Everything lies
 * in scratch made at start (slots' times grow with the agents); a plan lives within one turn.
 *
 * Invariant: a task is in the queue or in plan.offers after plan_assign, never in both, never in neither. */
#include "coordinate/coordinator.h"

#include <string.h>

#define STEP_AHEAD                                                                                           \
    4 /* tasks of a demand looked at beyond its room: those that better wait for a faster agent */

enum troupe_error plan_init(struct plan *plan, struct account *account, unsigned agents_max) {
    unsigned columns = agents_max + SPAWN_MAX;
    plan->agents = memory_alloc(account, columns * sizeof *plan->agents);
    plan->factors = memory_alloc(account, (size_t)PLAN_DEMANDS_MAX * columns * sizeof *plan->factors);
    plan->offers = memory_alloc(account, agents_max * sizeof *plan->offers);
    if (!plan->agents || !plan->factors || !plan->offers)
        return TROUPE_NOMEM;
    return assign_scratch_create(account, columns, PLAN_TASKS_MAX, &plan->scratch);
}

void plan_free(struct plan *plan, struct account *account) {
    assign_scratch_free(plan->scratch);
    memory_free(account, plan->agents);
    memory_free(account, plan->factors);
    memory_free(account, plan->offers);
    memory_free(account, plan->slot_times);
    *plan = (struct plan){0};
}

/* ---- score ---- */
uint64_t plan_service(const struct coordinator *coordinator, const struct agent_view *view,
                      const struct claim *claim) {
    double service = (double)claim->expected_ns *
                     (double)snapshot_factor(&coordinator->snapshot, view, claim->demand->capability);
    return service < 1 ? 1 : service > 1e18 ? (uint64_t)1e18 : (uint64_t)service;
}

/* Of one that runs: what is missing, and once it has taken longer than thought, as much again as it is over. */
static uint64_t left_of(uint64_t service_ns, uint64_t elapsed_ns) {
    uint64_t left_ns = elapsed_ns < service_ns ? service_ns - elapsed_ns : elapsed_ns - service_ns;
    uint64_t least_ns = service_ns / 16, most_ns = service_ns / 4;
    if (elapsed_ns > service_ns && left_ns > most_ns)
        left_ns = most_ns;
    return left_ns > least_ns ? left_ns : least_ns;
}

/* The tasks of one line end together, as far as can be foreseen: when the last of them does. */
static void score_batches(struct agent_view *view) {
    uint32_t at = view->claims.count;
    view->planned = 0;
    view->batch_at = UINT32_MAX;
    if (view->batch_max == 1)
        return;
    for (struct claim *claim = view->claims.last; claim; claim = claim->list_previous) {
        uint32_t batch = --at / view->batch_max;
        if (batch != view->batch_at || claim->finish_ns > view->batch_end_ns)
            view->batch_end_ns = claim->finish_ns;
        view->batch_at = batch;
        claim->finish_ns = view->batch_end_ns;
    }
    view->batch_at = UINT32_MAX;
}

/* The same for those that are planned, most urgent first. */
static void plan_batches(struct coordinator *coordinator) {
    struct plan *plan = &coordinator->plan;
    for (unsigned i = 0; i < plan->task_count; i++)
        if (plan->tasks[i].agent != ASSIGN_NONE)
            coordinator->snapshot.views[plan->tasks[i].agent]->planned++;
    for (unsigned i = plan->task_count; i-- > 0;) {
        struct assign_task *task = &plan->tasks[i];
        if (task->agent == ASSIGN_NONE)
            continue;
        struct agent_view *view = coordinator->snapshot.views[task->agent];
        uint32_t at = view->claims.count + --view->planned, batch = at / view->batch_max;
        if (batch != view->batch_at || task->finish_ns > view->batch_end_ns)
            view->batch_end_ns = task->finish_ns;
        if (batch != view->batch_at && view->claims.count == 0 && at + 1 < view->batch_max)
            view->batch_end_ns += view->batch_wait_ns; /* an idle one waits for more */
        view->batch_at = batch;
        task->finish_ns = view->batch_end_ns;
    }
}

/* When each slot becomes free, from what the agent holds, oldest first: the first `slots` of them run. */
static void score_slots(struct coordinator *coordinator, struct agent_view *view, uint64_t now_ns,
                        uint64_t *slots) {
    uint64_t base_ns = view->foreign_until_ns > now_ns ? view->foreign_until_ns : now_ns;
    if (view->resume_ns > base_ns)
        base_ns = view->resume_ns;
    for (uint32_t i = 0; i < view->slots; i++)
        slots[i] = base_ns;
    uint32_t at = 0;
    for (struct claim *claim = view->claims.first; claim; claim = claim->list_next, at++) {
        uint64_t service_ns = plan_service(coordinator, view, claim);
        if (at < view->slots) {
            if (claim->begun_ns == 0)
                claim->begun_ns = now_ns;
            claim->finish_ns = slots[at] = base_ns + left_of(service_ns, now_ns - claim->begun_ns);
        } else {
            if (at == view->slots)
                assign_slots_sort(slots, view->slots);
            claim->finish_ns = slots[0] + service_ns;
            assign_slots_advance(slots, view->slots, claim->finish_ns);
        }
        struct plan *plan = &coordinator->plan;
        if (claim->taken && claim->state != CLAIM_ORPHAN && plan->release_count < PLAN_TASKS_MAX)
            plan->releases[plan->release_count++] =
                (struct assign_release){claim->finish_ns, &claim->demand->resources};
    }
    score_batches(view);
}

enum troupe_error plan_score(struct coordinator *coordinator, uint64_t now_ns, uint64_t round) {
    struct plan *plan = &coordinator->plan;
    struct snapshot *snapshot = &coordinator->snapshot;
    size_t slots = 0;
    for (unsigned i = 0; i < snapshot->views_used; i++)
        slots += snapshot->views[i] ? snapshot->views[i]->slots : 0;
    slots += (size_t)IMAGINED_KINDS * IMAGINED_SLOTS_MAX;
    if (slots > plan->slot_capacity) {
        uint64_t *grown = memory_resize(coordinator->account, plan->slot_times, slots * sizeof *grown);
        if (!grown)
            return TROUPE_NOMEM;
        plan->slot_times = grown;
        plan->slot_capacity = slots;
    }
    plan->serial++;
    plan->release_count = 0;
    plan->room = 0;
    size_t at = 0;
    for (unsigned i = 0; i < snapshot->views_used; i++) {
        struct agent_view *view = snapshot->views[i];
        plan->agents[i] = (struct assign_agent){.slot_free_ns = plan->slot_times + at};
        if (!view)
            continue;
        score_slots(coordinator, view, now_ns, plan->slot_times + at);
        at += view->slots;
        if (agent_view_usable(view) && !view->offer_expired && (round == 0 || view->refused_round != round))
            plan->agents[i].slots = view->slots;
        plan->agents[i].room = agent_view_room(view, now_ns, round);
        plan->room += plan->agents[i].room;
    }
    return TROUPE_OK;
}

/* ---- matrix ---- */
float *plan_factors(const struct coordinator *coordinator, unsigned row) {
    return coordinator->plan.factors + (size_t)row * (coordinator->snapshot.views_max + SPAWN_MAX);
}

uint64_t *plan_imagined_slots(const struct coordinator *coordinator, unsigned kind) {
    const struct plan *plan = &coordinator->plan;
    CHECK(kind < IMAGINED_KINDS);
    return plan->slot_times + plan->slot_capacity - (size_t)(kind + 1) * IMAGINED_SLOTS_MAX;
}

static void matrix_row(struct coordinator *coordinator, struct demand *demand, unsigned forecast) {
    struct plan *plan = &coordinator->plan;
    struct snapshot *snapshot = &coordinator->snapshot;
    unsigned row = plan->demand_count;
    float *factors = plan_factors(coordinator, row);
    uint64_t room = 0;
    for (unsigned i = 0; i < snapshot->views_used; i++) {
        const struct agent_view *view = snapshot->views[i];
        factors[i] = 0;
        if (!view || plan->agents[i].slots == 0 || !agent_view_has(view, demand->capability))
            continue;
        factors[i] = snapshot_factor(snapshot, view, demand->capability);
        room += plan->agents[i].room;
    }
    uint64_t quota = forecast;
    if (forecast == 0) {
        quota = room;
        for (unsigned i = 0; demand->counted && i < RESOURCES_MAX; i++)
            if (demand->resources.amount[i] > 0) {
                int64_t fits = coordinator->free.amount[i] / demand->resources.amount[i];
                if (quota > (uint64_t)fits)
                    quota = (uint64_t)fits;
            }
        quota = room ? quota + STEP_AHEAD : 0;
    }
    plan->quota[row] = quota > PLAN_TASKS_MAX ? PLAN_TASKS_MAX : (uint32_t)quota;
    plan->rows[row] = demand;
    plan->demands[row] = (struct assign_demand){&demand->resources, demand->counted, factors};
    plan->demand_count++;
}

void plan_row(struct coordinator *coordinator, struct demand *demand) {
    matrix_row(coordinator, demand, 1);
}

void plan_matrix(struct coordinator *coordinator, unsigned forecast) {
    struct plan *plan = &coordinator->plan;
    struct wait_queue *queue = &coordinator->queue;
    plan->demand_count = plan->task_count = 0;
    for (unsigned i = 0; i < queue->filled_count && plan->demand_count < PLAN_DEMANDS_MAX; i++)
        matrix_row(coordinator, queue->filled[i], forecast);
    unsigned limit = forecast ? forecast : plan->room + PLAN_DEMANDS_MAX * STEP_AHEAD;
    if (limit > PLAN_TASKS_MAX)
        limit = PLAN_TASKS_MAX;
    while (plan->task_count < limit) {
        struct claim *next = NULL;
        unsigned row = 0;
        for (unsigned i = 0; i < plan->demand_count; i++) {
            struct claim *first = plan->quota[i] ? park_first(coordinator, plan->rows[i]) : NULL;
            if (first && (!next || first->order < next->order ||
                          (first->order == next->order && first->arrival < next->arrival))) {
                next = first;
                row = i;
            }
        }
        if (!next)
            break;
        plan->quota[row]--;
        wait_queue_remove(queue, next);
        plan->tasks[plan->task_count] = (struct assign_task){
            .demand = row, .expected_ns = next->expected_ns, .deadline_ns = next->deadline_ns};
        plan->claims[plan->task_count++] = next;
    }
}

/* ---- assign ---- */
struct assign_problem plan_problem(struct coordinator *coordinator, uint64_t now_ns, unsigned extra_agents) {
    struct plan *plan = &coordinator->plan;
    return (struct assign_problem){.now_ns = now_ns,
                                   .agents = plan->agents,
                                   .agent_count = coordinator->snapshot.views_used + extra_agents,
                                   .demands = plan->demands,
                                   .tasks = plan->tasks,
                                   .task_count = plan->task_count,
                                   .free = coordinator->free,
                                   .releases = plan->releases,
                                   .release_count = plan->release_count};
}

unsigned plan_assign(struct coordinator *coordinator, uint64_t now_ns, bool improve, bool offer) {
    struct plan *plan = &coordinator->plan;
    struct assign_problem problem = plan_problem(coordinator, now_ns, 0);
    problem.improve = improve;
    plan->outcome = (struct assign_outcome){0};
    bool solved = assign_solve(plan->scratch, &problem, &plan->outcome) == TROUPE_OK;
    if (!solved)
        coordinator_retry_later(coordinator, now_ns);
    else
        plan_batches(coordinator);
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++)
        plan->offers[i] = (struct claim_list){0};
    unsigned offered = 0;
    for (unsigned i = 0; i < plan->task_count; i++) {
        struct claim *claim = plan->claims[i];
        const struct assign_task *task = &plan->tasks[i];
        if (solved)
            claim->finish_ns = task->finish_ns;
        if (solved && offer && task->offered) {
            claim_list_append(&plan->offers[task->agent], claim);
            offered++;
            continue;
        }
        CHECK(wait_queue_put(&coordinator->queue, claim) == TROUPE_OK); /* its place was just left */
    }
    return offered;
}

uint64_t plan_capacity_in(const struct coordinator *coordinator, uint64_t now_ns) {
    uint64_t earliest_ns = UINT64_MAX;
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        const struct agent_view *view = coordinator->snapshot.views[i];
        if (!view || !agent_view_usable(view))
            continue;
        if (view->resume_ns > now_ns && view->resume_ns < earliest_ns)
            earliest_ns = view->resume_ns;
        for (const struct claim *claim = view->claims.first; claim; claim = claim->list_next)
            if (claim->finish_ns > now_ns && claim->finish_ns < earliest_ns)
                earliest_ns = claim->finish_ns;
    }
    return earliest_ns == UINT64_MAX ? 0 : earliest_ns - now_ns;
}
