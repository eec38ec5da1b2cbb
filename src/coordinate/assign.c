/* Earliest-finish list scheduling with capabilities, slots and counted resources, and a bounded local search.
 *
 * Slots of an agent are a binary heap of the times they become free. Counted resources are a profile: what is
 * free now plus a sorted list of changes (running tasks give back, planned ones take and give back); a task
 * starts at the earliest time at which its amounts stay available for its whole service. A task that waits
 * for a resource does not hold its slot meanwhile, so that others may use it; an earlier task's reservation
 * is never moved by a later one. Local search (Graham 1969 for the bound of the list; move and swap as in
 * R||Cmax practice): tasks of the agent that ends last, or that are late, try every other agent; kept when
 * (late, last finish, sum of finishes) falls. */
#include "coordinate/assign.h"

#include <stdlib.h>
#include <string.h>

#define PROFILE_MAX                                                                                          \
    512 /* changes of resources in one plan; beyond it counted tasks wait for the next plan                  \
         */
#define TRIALS_PER_TASK 8
#define TRIALS_MIN 256

struct change {
    uint64_t at_ns;
    const struct resources *amount;
    bool takes;
};
struct objective {
    unsigned late, unplaced;
    uint64_t finish_ns;
    double sum;
};
struct assign_scratch {
    struct account *account;
    unsigned agents_max, tasks_max;
    uint64_t *slots; /* heaps of all agents, one after the other */
    size_t slots_capacity;
    uint32_t *first_slot;  /* by agent */
    uint32_t *room, *idle; /* left, by agent */
    uint32_t *choice;      /* forced agent by task, or ASSIGN_NONE */
    struct assign_task *best;
    struct change changes[PROFILE_MAX];
    unsigned change_count;
};

enum troupe_error assign_scratch_create(struct account *account, unsigned agents_max, unsigned tasks_max,
                                        struct assign_scratch **ret_scratch) {
    struct assign_scratch *scratch = memory_alloc(account, sizeof *scratch);
    if (!scratch)
        return TROUPE_NOMEM;
    scratch->account = account;
    scratch->agents_max = agents_max;
    scratch->tasks_max = tasks_max;
    scratch->first_slot = memory_alloc(account, agents_max * sizeof(uint32_t));
    scratch->room = memory_alloc(account, agents_max * sizeof(uint32_t));
    scratch->idle = memory_alloc(account, agents_max * sizeof(uint32_t));
    scratch->choice = memory_alloc(account, tasks_max * sizeof(uint32_t));
    scratch->best = memory_alloc(account, ASSIGN_IMPROVE_TASKS_MAX * sizeof(struct assign_task));
    if (!scratch->first_slot || !scratch->room || !scratch->idle || !scratch->choice || !scratch->best) {
        assign_scratch_free(scratch);
        return TROUPE_NOMEM;
    }
    *ret_scratch = scratch;
    return TROUPE_OK;
}

void assign_scratch_free(struct assign_scratch *scratch) {
    if (!scratch)
        return;
    memory_free(scratch->account, scratch->slots);
    memory_free(scratch->account, scratch->first_slot);
    memory_free(scratch->account, scratch->room);
    memory_free(scratch->account, scratch->idle);
    memory_free(scratch->account, scratch->choice);
    memory_free(scratch->account, scratch->best);
    memory_free(scratch->account, scratch);
}

uint64_t assign_order_key(uint8_t priority, uint64_t deadline_ns, uint64_t arrival) {
    const uint64_t low = (UINT64_C(1) << 55) - 1;
    uint64_t key = (uint64_t)(255 - priority) << 56;
    if (deadline_ns == UINT64_MAX)
        return key | UINT64_C(1) << 55 | (arrival & low);
    return key | (deadline_ns >> 9 & low); /* 512 ns steps reach 584 years */
}

uint64_t assign_order_raised(uint64_t key) {
    const uint64_t class = UINT64_C(1) << 56;
    return key >= class ? key - class : key;
}

/* ---- slots ---- */
static void slot_sift(uint64_t *heap, uint32_t count) { /* the first one has grown */
    uint64_t value = heap[0];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

static int time_compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

void assign_slots_sort(uint64_t *slots, uint32_t count) {
    qsort(slots, count, sizeof *slots, time_compare);
}

void assign_slots_advance(uint64_t *slots, uint32_t count, uint64_t free_ns) {
    slots[0] = free_ns;
    slot_sift(slots, count);
}

static void load_slots(struct assign_scratch *scratch, const struct assign_problem *problem) {
    uint32_t at = 0;
    for (unsigned agent = 0; agent < problem->agent_count; agent++) {
        const struct assign_agent *view = &problem->agents[agent];
        scratch->first_slot[agent] = at;
        scratch->room[agent] = view->room;
        uint32_t idle = 0;
        uint64_t *slots = scratch->slots + at;
        for (uint32_t slot = 0; slot < view->slots; slot++) {
            uint64_t free_ns = view->slot_free_ns[slot];
            if (free_ns <= problem->now_ns) {
                free_ns = problem->now_ns;
                idle++;
            }
            slots[slot] = free_ns;
        }
        if (view->slots > 1 && idle < view->slots) /* a sorted array is a heap */
            assign_slots_sort(slots, view->slots);
        scratch->idle[agent] = idle;
        at += view->slots;
    }
}

/* ---- profile of counted resources ---- */
static void profile_insert(struct assign_scratch *scratch, uint64_t at_ns, const struct resources *amount,
                           bool takes) {
    CHECK(scratch->change_count < PROFILE_MAX);
    unsigned at = scratch->change_count++;
    for (; at > 0 && scratch->changes[at - 1].at_ns > at_ns; at--)
        scratch->changes[at] = scratch->changes[at - 1];
    scratch->changes[at] = (struct change){at_ns, amount, takes};
}

static void load_profile(struct assign_scratch *scratch, const struct assign_problem *problem) {
    scratch->change_count = 0;
    for (unsigned i = 0; i < problem->release_count && scratch->change_count < PROFILE_MAX; i++) {
        uint64_t at_ns = problem->releases[i].at_ns;
        if (at_ns <= problem->now_ns) /* expected back already, yet it is not: not now, at any rate */
            at_ns = problem->now_ns + 1;
        profile_insert(scratch, at_ns, problem->releases[i].amount, false);
    }
}

static void apply_change(struct resources *level, const struct change *change) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        level->amount[i] += change->takes ? -change->amount->amount[i] : change->amount->amount[i];
}

/* The earliest time not before ready_ns from which `needed` stays available for service_ns. */
static uint64_t profile_earliest(const struct assign_scratch *scratch, const struct assign_problem *problem,
                                 const struct resources *needed, uint64_t ready_ns, uint64_t service_ns) {
    struct resources level = problem->free;
    uint64_t start_ns = ready_ns;
    bool fits = false;
    unsigned at = 0;
    for (; at < scratch->change_count && scratch->changes[at].at_ns <= ready_ns; at++)
        apply_change(&level, &scratch->changes[at]);
    fits = resources_fit(&level, needed);
    while (at < scratch->change_count) {
        uint64_t at_ns = scratch->changes[at].at_ns;
        if (fits && at_ns - start_ns >= service_ns)
            return start_ns;
        for (; at < scratch->change_count && scratch->changes[at].at_ns == at_ns; at++)
            apply_change(&level, &scratch->changes[at]);
        bool now_fits = resources_fit(&level, needed);
        if (now_fits && !fits)
            start_ns = at_ns;
        fits = now_fits;
    }
    return fits ? start_ns : ASSIGN_NEVER;
}

/* ---- placing ---- */
static uint64_t saturating_add(uint64_t a, uint64_t b) {
    return a > ASSIGN_NEVER - 1 - b ? ASSIGN_NEVER - 1 : a + b;
}

static bool try_agent(const struct assign_scratch *scratch, const struct assign_problem *problem,
                      const struct assign_task *task, uint32_t agent, struct assign_task *ret_placed) {
    const struct assign_demand *demand = &problem->demands[task->demand];
    float factor = demand->factor[agent];
    if (factor <= 0 || problem->agents[agent].slots == 0)
        return false;
    double service = (double)task->expected_ns * (double)factor;
    uint64_t service_ns = service < 1      ? 1
                          : service > 9e18 ? UINT64_C(9000000000000000000)
                                           : (uint64_t)service;
    uint64_t start_ns = scratch->slots[scratch->first_slot[agent]];
    if (demand->counted) {
        if (scratch->change_count + 2 > PROFILE_MAX)
            return false;
        start_ns = profile_earliest(scratch, problem, demand->resources, start_ns, service_ns);
        if (start_ns == ASSIGN_NEVER)
            return false;
    }
    ret_placed->agent = agent;
    ret_placed->start_ns = start_ns;
    ret_placed->finish_ns = saturating_add(start_ns, service_ns);
    return true;
}

static void commit(struct assign_scratch *scratch, const struct assign_problem *problem,
                   struct assign_task *task) {
    const struct assign_demand *demand = &problem->demands[task->demand];
    uint64_t *slots = scratch->slots + scratch->first_slot[task->agent];
    bool idle_now = slots[0] <= problem->now_ns, starts_now = task->start_ns <= problem->now_ns;
    task->offered = scratch->room[task->agent] > 0 && (!demand->counted || starts_now);
    if (task->offered)
        scratch->room[task->agent]--;
    if (demand->counted) {
        profile_insert(scratch, task->start_ns, demand->resources, true);
        profile_insert(scratch, task->finish_ns, demand->resources, false);
        if (task->start_ns > slots[0]) /* it waits for a resource: its slot serves others meanwhile */
            return;
    }
    if (idle_now)
        scratch->idle[task->agent]--;
    slots[0] = task->finish_ns;
    slot_sift(slots, problem->agents[task->agent].slots);
}

static bool better(const struct assign_scratch *scratch, const struct assign_task *a,
                   const struct assign_task *b) {
    if (a->finish_ns != b->finish_ns)
        return a->finish_ns < b->finish_ns;
    return scratch->idle[a->agent] >
           scratch->idle[b->agent]; /* spread: the one with more idle slots, then the first */
}

static void place_all(struct assign_scratch *scratch, const struct assign_problem *problem,
                      const uint32_t *choice, struct objective *ret_objective) {
    struct objective objective = {.finish_ns = problem->now_ns};
    load_slots(scratch, problem);
    load_profile(scratch, problem);
    for (unsigned i = 0; i < problem->task_count; i++) {
        struct assign_task *task = &problem->tasks[i];
        struct assign_task best = *task, placed = *task;
        best.agent = ASSIGN_NONE;
        best.offered = false;
        best.start_ns = best.finish_ns = ASSIGN_NEVER;
        if (choice && choice[i] != ASSIGN_NONE) {
            if (try_agent(scratch, problem, task, choice[i], &placed))
                best = placed;
        } else {
            for (uint32_t agent = 0; agent < problem->agent_count; agent++)
                if (try_agent(scratch, problem, task, agent, &placed) &&
                    (best.agent == ASSIGN_NONE || better(scratch, &placed, &best)))
                    best = placed;
        }
        *task = best;
        if (best.agent == ASSIGN_NONE) {
            objective.unplaced++;
            objective.late++;
            continue;
        }
        commit(scratch, problem, task);
        if (task->finish_ns > objective.finish_ns)
            objective.finish_ns = task->finish_ns;
        if (task->finish_ns > task->deadline_ns)
            objective.late++;
        objective.sum += (double)(task->finish_ns - problem->now_ns);
    }
    *ret_objective = objective;
}

/* ---- local search ---- */
static bool objective_less(const struct objective *a, const struct objective *b) {
    if (a->unplaced != b->unplaced)
        return a->unplaced < b->unplaced;
    if (a->late != b->late)
        return a->late < b->late;
    if (a->finish_ns != b->finish_ns)
        return a->finish_ns < b->finish_ns;
    return a->sum < b->sum * (1 - 1e-12);
}

struct search {
    struct assign_scratch *scratch;
    const struct assign_problem *problem;
    struct objective best;
    unsigned trials_left;
};

/* Keeps `choice` when it is better; else the caller undoes it. */
static bool search_try(struct search *search) {
    struct objective objective;
    search->trials_left--;
    place_all(search->scratch, search->problem, search->scratch->choice, &objective);
    if (!objective_less(&objective, &search->best))
        return false;
    search->best = objective;
    memcpy(search->scratch->best, search->problem->tasks,
           search->problem->task_count * sizeof(struct assign_task));
    return true;
}

/* What is gained by the one in the place of the other is gained by neither. */
static bool alike(const struct assign_task *a, const struct assign_task *b) {
    return a->demand == b->demand && a->expected_ns == b->expected_ns && a->deadline_ns == b->deadline_ns;
}

static bool search_task(struct search *search, unsigned task) {
    const struct assign_problem *problem = search->problem;
    uint32_t *choice = search->scratch->choice;
    uint32_t from = choice[task];
    const float *factor = problem->demands[problem->tasks[task].demand].factor;
    for (uint32_t to = 0; to < problem->agent_count && search->trials_left; to++) {
        if (to == from || factor[to] <= 0)
            continue;
        choice[task] = to;
        if (search_try(search))
            return true;
        for (unsigned other = 0; other < problem->task_count && search->trials_left; other++) {
            if (choice[other] != to || other == task || from == ASSIGN_NONE ||
                alike(&problem->tasks[task], &problem->tasks[other]) ||
                problem->demands[problem->tasks[other].demand].factor[from] <= 0)
                continue;
            choice[other] = from;
            if (search_try(search))
                return true;
            choice[other] = to;
        }
        choice[task] = from;
    }
    return false;
}

/* One like it, at the same agent, that comes after it: it was tried before. */
static bool tried(const struct assign_task *tasks, unsigned count, unsigned task) {
    for (unsigned after = task + 1; after < count; after++)
        if (tasks[after].agent == tasks[task].agent && alike(&tasks[after], &tasks[task]))
            return true;
    return false;
}

static uint32_t last_agent(const struct assign_task *tasks, unsigned count) {
    const struct assign_task *last = &tasks[0];
    for (unsigned i = 1; i < count; i++)
        if (tasks[i].agent != ASSIGN_NONE &&
            (last->agent == ASSIGN_NONE || tasks[i].finish_ns > last->finish_ns))
            last = &tasks[i];
    return last->agent;
}

static void improve(struct assign_scratch *scratch, const struct assign_problem *problem,
                    struct objective *objective) {
    struct search search = {scratch, problem, *objective, TRIALS_MIN + TRIALS_PER_TASK * problem->task_count};
    for (unsigned i = 0; i < problem->task_count; i++)
        scratch->choice[i] = problem->tasks[i].agent;
    memcpy(scratch->best, problem->tasks, problem->task_count * sizeof(struct assign_task));
    for (bool again = true; again && search.trials_left;) {
        again = false;
        uint32_t critical = last_agent(scratch->best, problem->task_count);
        for (unsigned i = problem->task_count; i-- > 0 && search.trials_left && !again;)
            if ((scratch->best[i].agent == critical ||
                 scratch->best[i].finish_ns > scratch->best[i].deadline_ns) &&
                !tried(scratch->best, problem->task_count, i))
                again = search_task(&search, i);
    }
    memcpy(problem->tasks, scratch->best, problem->task_count * sizeof(struct assign_task));
    *objective = search.best;
}

enum troupe_error assign_solve(struct assign_scratch *scratch, const struct assign_problem *problem,
                               struct assign_outcome *ret_outcome) {
    if (problem->agent_count > scratch->agents_max || problem->task_count > scratch->tasks_max)
        return TROUPE_LIMIT;
    size_t slots = 0;
    for (unsigned agent = 0; agent < problem->agent_count; agent++)
        slots += problem->agents[agent].slots;
    if (slots > scratch->slots_capacity) {
        uint64_t *grown = memory_resize(scratch->account, scratch->slots, slots * sizeof *grown);
        if (!grown)
            return TROUPE_NOMEM;
        scratch->slots = grown;
        scratch->slots_capacity = slots;
    }
    struct objective objective;
    place_all(scratch, problem, NULL, &objective);
    if (problem->improve && problem->agent_count > 1 && problem->task_count > 1 &&
        problem->task_count <= ASSIGN_IMPROVE_TASKS_MAX)
        improve(scratch, problem, &objective);
    unsigned offered = 0;
    for (unsigned i = 0; i < problem->task_count; i++)
        offered += problem->tasks[i].offered;
    *ret_outcome = (struct assign_outcome){objective.late, objective.unplaced, offered, objective.finish_ns};
    return TROUPE_OK;
}
