/* What would help: computed from the forecast of what waits and of what its owner announces, by solving it again with the
 * change made: how many more agents of a name, which ones fewer, which tasks to shed, and what the last steps of weights
 * do. Each step comes with what is foreseen before and after it.
 *
 * Agents are named NAME/INSTANCE; one more of NAME is thought to be like the best of them, and to be ready after what its
 * last start took. The least number is found by doubling and then one by one from below: list scheduling knows anomalies
 * (Graham 1966), so a number in between is not taken to be good because a larger one is.
 *
 * What is announced can be more than a plan holds: then each entry stands for several tasks, done one after the other. */
#include "coordinate/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 384         /* that are announced, in one forecast */
#define ENTRIES_COUNTED_MAX 128 /* the same of tasks with counted resources: the plan's profile is bounded */
#define SHED_MAX 64
#define SHED_STEPS_MAX 3
#define SPAWN_STEPS_MAX 2
#define EXPECTED_MAX_NS (UINT64_MAX >> 8) /* of one entry: two years, and room to be stretched and added up */
#define SLACK 1.25 /* an agent is retired when all would be on time even if everything took so much longer */

struct entry {
    struct assign_task task;
    uint32_t weight; /* each of its tasks counts so much */
    uint32_t copies;
};
struct remedy {
    struct entry entries[PLAN_TASKS_MAX];
    struct assign_task tasks[PLAN_TASKS_MAX];
    unsigned count;
    bool shed[PLAN_TASKS_MAX];
};

enum troupe_error remedy_create(struct account *account, struct remedy **ret_remedy) {
    *ret_remedy = memory_alloc(account, sizeof **ret_remedy);
    return *ret_remedy ? TROUPE_OK : TROUPE_NOMEM;
}

void remedy_free(struct remedy *remedy, struct account *account) {
    memory_free(account, remedy);
}

/* ---- what is foreseen ---- */
struct look {
    struct coordinator *coordinator;
    struct remedy *remedy;
    uint64_t now_ns;
    const struct message_outlook *outlook; /* NULL: only what waits here */
    struct feedback *feedback;
    unsigned imagined; /* agents of steps before this one; extra ones are counted after them */
    bool deadline;     /* something that is announced has one */
};

static struct feedback_forecast forecast(const struct look *look, unsigned extra) {
    struct coordinator *coordinator = look->coordinator;
    struct remedy *remedy = look->remedy;
    struct feedback_forecast ret = {.finish_ns = look->now_ns};
    struct assign_outcome outcome;
    struct assign_problem problem = plan_problem(coordinator, look->now_ns, look->imagined + extra);
    unsigned count = 0;
    for (unsigned i = 0; i < remedy->count; i++)
        if (!remedy->shed[i])
            remedy->tasks[count++] = remedy->entries[i].task;
    problem.tasks = remedy->tasks;
    problem.task_count = count;
    if (assign_solve(coordinator->plan.scratch, &problem, &outcome)) {
        ret.late = ret.tasks = UINT32_MAX;
        ret.late_weight = UINT64_MAX;
        return ret;
    }
    for (unsigned i = count = 0; i < remedy->count; i++) {
        struct entry *entry = &remedy->entries[i];
        if (remedy->shed[i])
            continue;
        entry->task.agent = remedy->tasks[count].agent;
        entry->task.finish_ns = remedy->tasks[count++].finish_ns;
        ret.tasks += entry->copies;
        if (entry->task.finish_ns > entry->task.deadline_ns) {
            ret.late += entry->copies;
            ret.late_weight += (uint64_t)entry->copies * entry->weight;
        }
        if (entry->task.finish_ns != ASSIGN_NEVER && entry->task.finish_ns > ret.finish_ns)
            ret.finish_ns = entry->task.finish_ns;
    }
    return ret;
}

static struct feedback_step *add_step(struct look *look, enum feedback_kind kind, const char *agent,
                                      size_t length) {
    struct feedback *feedback = look->feedback;
    if (feedback->count == FEEDBACK_STEPS_MAX)
        return NULL;
    struct feedback_step *step = &feedback->steps[feedback->count++];
    *step = (struct feedback_step){.kind = kind};
    snprintf(step->agent, sizeof step->agent, "%.*s",
             (int)(length < FEEDBACK_NAME_MAX ? length : FEEDBACK_NAME_MAX), agent);
    return step;
}

/* ---- names ---- */
struct group {
    const char *name; /* of an instance; the first `length` bytes are the agent's */
    size_t length;
    unsigned more, fewer;
    uint32_t slots;
    uint64_t start_ns; /* until one more is ready */
};

static size_t name_length(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : strlen(name);
}

static bool in_group(const struct agent_view *view, const struct group *group) {
    return view && agent_view_usable(view) && name_length(view->name) == group->length &&
           strncmp(view->name, group->name, group->length) == 0;
}

static void bound_group(const struct look *look, struct group *group) {
    group->more = look->outlook ? 0 : SPAWN_MAX;
    for (unsigned i = 0; look->outlook && i < look->outlook->agent_count; i++) {
        const struct outlook_agent *agent = &look->outlook->agents[i];
        if (strlen(agent->name) != group->length || strncmp(agent->name, group->name, group->length) != 0)
            continue;
        group->more = agent->more < SPAWN_MAX ? agent->more : SPAWN_MAX;
        group->fewer = agent->fewer;
    }
}

static unsigned find_groups(const struct look *look, struct group *groups, unsigned groups_max) {
    const struct snapshot *snapshot = &look->coordinator->snapshot;
    unsigned count = 0;
    for (unsigned i = 0; i < snapshot->views_used; i++) {
        const struct agent_view *view = snapshot->views[i];
        if (!view || !agent_view_usable(view))
            continue;
        unsigned at = 0;
        while (at < count && !in_group(view, &groups[at]))
            at++;
        if (at == groups_max)
            continue;
        if (at == count) {
            groups[count++] = (struct group){.name = view->name, .length = name_length(view->name)};
            bound_group(look, &groups[at]);
        }
        struct group *group = &groups[at];
        if (view->slots > group->slots)
            group->slots = view->slots;
        if (view->start_ns > group->start_ns)
            group->start_ns = view->start_ns;
    }
    return count;
}

/* ---- more agents ---- */
static void imagine(const struct look *look, const struct group *group, unsigned count) {
    struct coordinator *coordinator = look->coordinator;
    struct plan *plan = &coordinator->plan;
    const struct snapshot *snapshot = &coordinator->snapshot;
    unsigned used = snapshot->views_used, first = used + look->imagined;
    for (unsigned row = 0; row < plan->demand_count; row++) {
        float *factors = plan_factors(coordinator, row), best = 0;
        for (unsigned i = 0; i < used; i++)
            if (in_group(snapshot->views[i], group) && factors[i] > 0 &&
                (best == 0 || factors[i] / snapshot->views[i]->weight < best))
                best = factors[i] / snapshot->views[i]->weight;
        for (unsigned i = 0; i < count; i++)
            factors[first + i] = best;
    }
    uint32_t slots = group->slots < IMAGINED_SLOTS_MAX ? group->slots : IMAGINED_SLOTS_MAX;
    uint64_t *times = plan_imagined_slots(coordinator, look->imagined ? 1 : 0);
    for (uint32_t i = 0; i < slots; i++)
        times[i] = look->now_ns + group->start_ns;
    for (unsigned i = 0; i < count; i++)
        plan->agents[first + i] = (struct assign_agent){.slot_free_ns = times, .slots = slots};
}

static bool as_good(const struct feedback_forecast *a, uint64_t late_weight) {
    return a->late_weight <= late_weight;
}

/* The least number of them with which no more is late than with all. */
static unsigned least_more(const struct look *look, uint64_t late_weight, unsigned more,
                           struct feedback_forecast *ret_after) {
    unsigned low = 0, high = 1; /* low: not enough */
    for (;; high = 2 * high < more ? 2 * high : more) {
        *ret_after = forecast(look, high);
        if (high == more || as_good(ret_after, late_weight))
            break;
        low = high;
    }
    for (unsigned middle = low + 1; middle < high; middle++) {
        struct feedback_forecast after = forecast(look, middle);
        if (!as_good(&after, late_weight))
            continue;
        *ret_after = after;
        return middle;
    }
    return high;
}

/* One name after the other, the one that saves most first: what it saves may leave another to be the one that lacks. */
static void spawn(struct look *look, const struct group *groups, unsigned group_count) {
    struct feedback_forecast before = look->feedback->as_it_is;
    bool taken[FEEDBACK_GROUPS_MAX] = {0};
    for (unsigned round = 0; round < SPAWN_STEPS_MAX && before.late; round++) {
        int best = -1;
        unsigned best_count = 0;
        struct feedback_forecast best_after = before;
        for (unsigned i = 0; i < group_count; i++) {
            unsigned left = SPAWN_MAX - look->imagined, more = groups[i].more < left ? groups[i].more : left;
            if (more == 0 || taken[i])
                continue;
            imagine(look, &groups[i], more);
            uint64_t floor = forecast(look, more).late_weight;
            if (floor >= best_after.late_weight)
                continue;
            best_count = least_more(look, floor, more, &best_after);
            best = (int)i;
        }
        struct feedback_step *step =
            best < 0 ? NULL : add_step(look, FEEDBACK_SPAWN, groups[best].name, groups[best].length);
        if (!step)
            break;
        imagine(look, &groups[best], best_count);
        look->imagined += best_count;
        taken[best] = true;
        step->count = best_count;
        step->before = before;
        step->after = before = best_after;
    }
    look->imagined = 0;
}

/* ---- fewer agents ---- */
static void stretch(struct remedy *remedy, double by) {
    for (unsigned i = 0; i < remedy->count; i++)
        remedy->entries[i].task.expected_ns = (uint64_t)((double)remedy->entries[i].task.expected_ns * by);
}

static unsigned idle_of(const struct look *look, const struct group *group, uint32_t *ret_index,
                        unsigned max) {
    const struct snapshot *snapshot = &look->coordinator->snapshot;
    unsigned count = 0;
    for (unsigned i = snapshot->views_used; i-- > 0 && count < max;)
        if (in_group(snapshot->views[i], group) && snapshot->views[i]->claims.count == 0 &&
            !snapshot->views[i]->offer_open)
            ret_index[count++] = i;
    return count;
}

/* With the idle ones of `count` away: what is foreseen. */
static struct feedback_forecast without(const struct look *look, const uint32_t *idle, unsigned count) {
    struct assign_agent *agents = look->coordinator->plan.agents;
    uint32_t slots[SPAWN_MAX];
    for (unsigned i = 0; i < count; i++) {
        slots[i] = agents[idle[i]].slots;
        agents[idle[i]].slots = 0;
    }
    struct feedback_forecast after = forecast(look, 0);
    for (unsigned i = 0; i < count; i++)
        agents[idle[i]].slots = slots[i];
    return after;
}

static void retire(struct look *look, const struct group *group) {
    uint32_t idle[SPAWN_MAX];
    unsigned count = idle_of(look, group, idle, group->fewer < SPAWN_MAX ? group->fewer : SPAWN_MAX);
    if (count == 0)
        return;
    stretch(look->remedy, SLACK);
    const struct feedback_forecast slow = forecast(look, 0);
    for (; count > 0; count--) {
        struct feedback_forecast after = without(look, idle, count);
        if (after.late_weight <= slow.late_weight &&
            (slow.late > 0 || after.finish_ns <= slow.finish_ns || look->deadline))
            break;
    }
    stretch(look->remedy, 1 / SLACK);
    struct feedback_step *step =
        count == 0 ? NULL : add_step(look, FEEDBACK_RETIRE, group->name, group->length);
    if (!step)
        return;
    step->count = count;
    step->before = look->feedback->as_it_is;
    step->after = without(look, idle, count);
}

/* ---- shedding ---- */
/* Of the first late one and those that its agent does before it: the one that weighs least, the longest of these. After
 * Moore (1968), who drops the longest. */
static int next_to_shed(const struct remedy *remedy) {
    unsigned late = 0;
    while (late < remedy->count && (remedy->shed[late] || remedy->entries[late].task.finish_ns <=
                                                              remedy->entries[late].task.deadline_ns))
        late++;
    if (late == remedy->count)
        return -1;
    unsigned chosen = late;
    for (unsigned i = 0; i < late; i++) {
        const struct entry *entry = &remedy->entries[i], *best = &remedy->entries[chosen];
        if (remedy->shed[i] || entry->task.agent != remedy->entries[late].task.agent ||
            entry->weight > best->weight)
            continue;
        if (entry->weight < best->weight || entry->task.expected_ns > best->task.expected_ns)
            chosen = i;
    }
    return (int)chosen;
}

struct shed_count {
    uint32_t agent;
    unsigned tasks;
};

static void count_shed(struct shed_count *counts, unsigned *count, uint32_t agent, unsigned tasks) {
    unsigned at = 0;
    while (at < *count && counts[at].agent != agent)
        at++;
    if (at == SHED_MAX)
        return;
    if (at == *count)
        counts[(*count)++] = (struct shed_count){agent, 0};
    counts[at].tasks += tasks;
}

static int more_shed(const void *left, const void *right) {
    const struct shed_count *a = left, *b = right;
    if (a->tasks != b->tasks)
        return a->tasks > b->tasks ? -1 : 1;
    return a->agent < b->agent ? -1 : a->agent > b->agent;
}

static unsigned late_entries(const struct remedy *remedy) {
    unsigned count = 0;
    for (unsigned i = 0; i < remedy->count; i++)
        count += !remedy->shed[i] && remedy->entries[i].task.finish_ns > remedy->entries[i].task.deadline_ns;
    return count;
}

static void shed(struct look *look) {
    struct remedy *remedy = look->remedy;
    struct shed_count counts[SHED_MAX];
    unsigned count = 0;
    struct feedback_forecast after = forecast(look, 0);
    for (unsigned round = 0; round < SHED_MAX && after.late; round++) {
        /* One by one; several at once where so many are late that this would take too many forecasts. */
        int next = -1;
        for (unsigned some = 1 + late_entries(remedy) / SHED_MAX; some > 0; some--) {
            next = next_to_shed(remedy);
            if (next < 0)
                break;
            remedy->shed[next] = true;
            look->feedback->shed += remedy->entries[next].copies;
            count_shed(counts, &count, remedy->entries[next].task.agent, remedy->entries[next].copies);
        }
        after = forecast(look, 0);
        if (next < 0)
            break;
    }
    memset(remedy->shed, 0, sizeof remedy->shed);
    if (count > 1)
        qsort(counts, count, sizeof *counts, more_shed);
    for (unsigned i = 0; i < count && i < SHED_STEPS_MAX; i++) {
        const struct agent_view *view =
            counts[i].agent == ASSIGN_NONE ? NULL : look->coordinator->snapshot.views[counts[i].agent];
        struct feedback_step *step = add_step(look, FEEDBACK_SHED, view ? view->name : "", REGISTRY_NAME_MAX);
        if (!step)
            return;
        step->count = counts[i].tasks;
        step->before = look->feedback->as_it_is;
        step->after = after; /* of all of them together */
    }
}

/* ---- weights ---- */
static void weights(struct look *look) {
    struct coordinator *coordinator = look->coordinator;
    for (unsigned i = 0; i < WEIGHT_NOTES; i++) {
        struct weight_note *note = &coordinator->weight_notes[i];
        const struct agent_view *view = note->before == 0 || note->index >= coordinator->snapshot.views_used
                                            ? NULL
                                            : coordinator->snapshot.views[note->index];
        if (!view || view->actor != note->actor || view->weight == note->before)
            continue;
        struct feedback_step *step = add_step(look, FEEDBACK_WEIGHT, view->name, REGISTRY_NAME_MAX);
        if (!step)
            return;
        float back = note->before / view->weight;
        for (unsigned row = 0; row < coordinator->plan.demand_count; row++)
            plan_factors(coordinator, row)[note->index] *= back;
        step->before = forecast(look, 0);
        for (unsigned row = 0; row < coordinator->plan.demand_count; row++)
            plan_factors(coordinator, row)[note->index] /= back;
        step->after = look->feedback->as_it_is;
        step->weight_before = note->before;
        step->weight = view->weight;
    }
    memset(coordinator->weight_notes, 0, sizeof coordinator->weight_notes);
}

void remedy_note_weight(struct coordinator *coordinator, const struct agent_view *view, float before) {
    struct weight_note *note = &coordinator->weight_notes[view->index % WEIGHT_NOTES];
    if (note->before == 0 || note->actor != view->actor)
        *note = (struct weight_note){view->actor, view->index, before};
}

/* ---- the whole ---- */
static void take_plan(struct look *look) {
    const struct plan *plan = &look->coordinator->plan;
    struct remedy *remedy = look->remedy;
    remedy->count = 0;
    for (unsigned i = 0; i < plan->task_count; i++)
        remedy->entries[remedy->count++] =
            (struct entry){plan->tasks[i], (uint32_t)plan->claims[i]->priority + 1, 1};
}

static int more_urgent(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    if (a->task.deadline_ns != b->task.deadline_ns)
        return a->task.deadline_ns < b->task.deadline_ns ? -1 : 1;
    if (a->task.expected_ns != b->task.expected_ns)
        return a->task.expected_ns > b->task.expected_ns ? -1 : 1;
    return a->task.demand < b->task.demand ? -1 : a->task.demand > b->task.demand;
}

static bool announced_row(struct look *look, const struct outlook_tasks *announced, uint32_t *ret_row) {
    struct coordinator *coordinator = look->coordinator;
    struct plan *plan = &coordinator->plan;
    struct demand *demand;
    if (wait_queue_demand(&coordinator->queue, announced->capability, &announced->resources, &demand))
        return false;
    for (*ret_row = 0; *ret_row < plan->demand_count; ++*ret_row)
        if (plan->rows[*ret_row] == demand)
            return true;
    if (plan->demand_count == PLAN_DEMANDS_MAX)
        return false;
    plan_row(coordinator, demand);
    return true;
}

/* What would take longer than the clock counts is never done anyway. */
static uint64_t times(uint64_t expected_ns, uint64_t copies) {
    return expected_ns < EXPECTED_MAX_NS / copies ? expected_ns * copies : EXPECTED_MAX_NS;
}

/* False: no memory, or no place for it. */
static bool announce(struct look *look) {
    struct remedy *remedy = look->remedy;
    const struct message_outlook *outlook = look->outlook;
    uint64_t total = 0;
    bool counted = false;
    for (unsigned i = 0; i < outlook->task_count; i++) {
        total += outlook->tasks[i].count;
        for (unsigned k = 0; k < RESOURCES_MAX; k++)
            counted |= outlook->tasks[i].resources.amount[k] > 0;
    }
    uint64_t room = counted ? ENTRIES_COUNTED_MAX : ENTRIES_MAX;
    if (room > PLAN_TASKS_MAX - remedy->count)
        room = PLAN_TASKS_MAX - remedy->count;
    if (room <= outlook->task_count) /* each kind has its part, and one for what is left over */
        return total == 0;
    uint64_t each = 1 + total / (room - outlook->task_count + 1);
    for (unsigned i = 0; i < outlook->task_count; i++) {
        const struct outlook_tasks *announced = &outlook->tasks[i];
        uint32_t row;
        if (announced->count == 0)
            continue;
        if (!announced_row(look, announced, &row))
            return false;
        uint64_t expected_ns = announced->expected_ns
                                   ? announced->expected_ns
                                   : snapshot_expected(&look->coordinator->snapshot, announced->capability);
        look->deadline |= announced->deadline_ns != UINT64_MAX;
        for (uint64_t left = announced->count; left > 0 && remedy->count < PLAN_TASKS_MAX;) {
            uint64_t copies = left < each ? left : each;
            left -= copies;
            remedy->entries[remedy->count++] = (struct entry){{.demand = row,
                                                               .expected_ns = times(expected_ns, copies),
                                                               .deadline_ns = announced->deadline_ns},
                                                              (uint32_t)announced->priority + 1,
                                                              (uint32_t)copies};
        }
    }
    qsort(remedy->entries, remedy->count, sizeof *remedy->entries, more_urgent);
    return true;
}

/* The plan of the last round, or (outlook) one made for this. */
void remedy_look(struct coordinator *coordinator, uint64_t now_ns, const struct message_outlook *outlook,
                 struct feedback *ret) {
    struct look look = {.coordinator = coordinator,
                        .remedy = coordinator->remedy,
                        .now_ns = now_ns,
                        .outlook = outlook,
                        .feedback = ret};
    struct group groups[FEEDBACK_GROUPS_MAX];
    *ret = (struct feedback){.at_ns = now_ns};
    take_plan(&look);
    if (outlook && !announce(&look))
        return;
    ret->as_it_is = forecast(&look, 0);
    ret->looked = ret->as_it_is.late_weight != UINT64_MAX;
    if (!ret->looked)
        return;
    unsigned group_count = find_groups(&look, groups, FEEDBACK_GROUPS_MAX);
    if (ret->as_it_is.late) {
        spawn(&look, groups, group_count);
        shed(&look);
    } else
        for (unsigned i = 0; i < group_count; i++)
            if (groups[i].fewer)
                retire(&look, &groups[i]);
    forecast(&look, 0);
    weights(&look);
}
