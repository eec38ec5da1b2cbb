/* A batch with shared pools: a serial schedule and a search over what makes it.
 *
 * A schedule comes from an order of the tasks and, of each, an agent or none: each task in turn begins at the earliest
 * time at which its agent is free (between two that were placed before, too) and its amounts are free for as long as it
 * takes; one without an agent goes where it ends first. The first schedule has the agents and the order of batch_solve,
 * which knows no pools; when it ends as early, nothing is left to do. Else lists in other orders are tried, and the best
 * is changed, a task at a time, as long as there are steps; a change stays unless it is worse.
 *
 * Everything is in whole ns, so that what is held by two tasks never overlaps by rounding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinate/batch.h"
#include "coordinate/batch_timeline.h"

enum { GAPS_MAX = 256 }; /* of a queue, from its end, that are looked at for a task */

struct score { /* the first before the next; less is better */
    unsigned unplaced;
    double missed, last, tardiness;
};
struct spot {
    uint32_t agent, behind; /* of the queue's task, or BATCH_NONE: first */
    double start, finish;
};
struct schedule {
    const struct batch_problem *problem;
    const struct batch_pools *pools;
    struct batch_timeline timeline;
    uint32_t *order, *choice; /* what it is made from: tasks; by task */
    uint32_t *agent;          /* by task, and so on: what came of it */
    uint32_t *next, *previous;
    double *start, *finish;
    uint32_t *first, *tail, *room; /* by agent */
    double *idle;                  /* by agent: what its gaps add up to */
    uint32_t *kept_order, *kept_choice;
    double *key;   /* of the sorting under way, by task */
    bool *pooled;  /* by task: needs anything */
    uint64_t left; /* steps */
};

static const int64_t *needs_of(const struct schedule *schedule, uint32_t task) {
    return schedule->pools->needs + (size_t)task * schedule->pools->count;
}

/* Whole ns, 1 at least; INFINITY: it cannot. */
static double time_of(const struct schedule *schedule, uint32_t task, uint32_t agent) {
    const struct batch_problem *problem = schedule->problem;
    const struct batch_task *one = &problem->tasks[task];
    double time = one->work * (double)problem->inverse[(size_t)one->row * problem->stride + agent];
    return fmax(1, ceil(one->home == BATCH_NONE || one->home == agent ? time : time + problem->away));
}

static double free_at(const struct schedule *schedule, uint32_t agent) {
    uint32_t tail = schedule->tail[agent];
    return tail == BATCH_NONE ? schedule->problem->ready[agent] : schedule->finish[tail];
}

/* ---- one schedule ---- */

static double earliest(struct schedule *schedule, uint32_t task, double from, double time) {
    return schedule->pooled[task]
               ? batch_timeline_earliest(&schedule->timeline, needs_of(schedule, task), from, time)
               : from;
}

/* Where on `agent`, if it ends before `ret->finish`. */
static void spot_try(struct schedule *schedule, uint32_t task, uint32_t agent, struct spot *ret) {
    double time = time_of(schedule, task, agent), from = free_at(schedule, agent);
    uint32_t behind = schedule->tail[agent], ahead = BATCH_NONE;
    if (schedule->room[agent] == 0 || !isfinite(time))
        return;
    for (unsigned gaps = 0; schedule->idle[agent] >= time && behind != BATCH_NONE && gaps < GAPS_MAX;
         gaps++) {
        ahead = behind;
        behind = schedule->previous[behind];
        schedule->left -= schedule->left > 0;
    }
    for (;;) { /* from the first gap that is looked at on */
        from = behind == BATCH_NONE ? schedule->problem->ready[agent] : schedule->finish[behind];
        double until = ahead == BATCH_NONE ? (double)INFINITY : schedule->start[ahead];
        if (from + time >= ret->finish)
            return;
        if (until - from >= time) {
            double start = earliest(schedule, task, from, time);
            if (start + time <= until) {
                if (start + time < ret->finish)
                    *ret = (struct spot){agent, behind, start, start + time};
                return;
            }
        }
        behind = ahead;
        ahead = schedule->next[ahead];
    }
}

static void spot_take(struct schedule *schedule, uint32_t task, const struct spot *spot) {
    uint32_t agent = spot->agent, behind = spot->behind;
    uint32_t ahead = behind == BATCH_NONE ? schedule->first[agent] : schedule->next[behind];
    if (ahead == BATCH_NONE) {
        schedule->idle[agent] += spot->start - free_at(schedule, agent);
        schedule->tail[agent] = task;
    } else {
        schedule->idle[agent] -= spot->finish - spot->start;
        schedule->previous[ahead] = task;
    }
    if (behind == BATCH_NONE)
        schedule->first[agent] = task;
    else
        schedule->next[behind] = task;
    schedule->next[task] = ahead;
    schedule->previous[task] = behind;
    schedule->agent[task] = agent;
    schedule->start[task] = spot->start;
    schedule->finish[task] = spot->finish;
    schedule->room[agent]--;
    if (schedule->pooled[task])
        batch_timeline_take(&schedule->timeline, needs_of(schedule, task), spot->start, spot->finish);
}

static struct spot spot_find(struct schedule *schedule, uint32_t task) {
    struct spot spot = {.agent = BATCH_NONE, .finish = INFINITY};
    uint32_t choice = schedule->choice[task];
    if (choice != BATCH_NONE)
        spot_try(schedule, task, choice, &spot);
    for (uint32_t agent = 0; spot.agent == BATCH_NONE && agent < schedule->problem->agent_count; agent++) {
        spot_try(schedule, task, agent, &spot);
        if (spot.agent == BATCH_NONE)
            continue;
        while (++agent < schedule->problem->agent_count)
            spot_try(schedule, task, agent, &spot);
    }
    return spot;
}

static void schedule_clear(struct schedule *schedule) {
    const struct batch_problem *problem = schedule->problem;
    batch_timeline_clear(&schedule->timeline);
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        schedule->first[agent] = schedule->tail[agent] = BATCH_NONE;
        schedule->room[agent] = problem->room[agent];
        schedule->idle[agent] = 0;
        batch_timeline_take(&schedule->timeline,
                            schedule->pools->holds + (size_t)agent * schedule->pools->count, 0,
                            problem->ready[agent]);
    }
}

static bool score_less(const struct score *a, const struct score *b) {
    if (a->unplaced != b->unplaced)
        return a->unplaced < b->unplaced;
    if (fabs(a->missed - b->missed) > 1e-9)
        return a->missed < b->missed;
    return a->last != b->last ? a->last < b->last : a->tardiness < b->tardiness * (1 - 1e-9) - 1e-3;
}

/* Stops where it is certain to be worse than `best`. */
static struct score schedule_make(struct schedule *schedule, const struct score *best) {
    const struct batch_problem *problem = schedule->problem;
    struct score score = {0};
    uint64_t before = schedule->timeline.steps;
    schedule_clear(schedule);
    for (unsigned at = 0; at < problem->task_count && !score_less(best, &score); at++) {
        uint32_t task = schedule->order[at];
        const struct batch_task *one = &problem->tasks[task];
        struct spot spot = spot_find(schedule, task);
        if (spot.agent == BATCH_NONE) {
            schedule->agent[task] = BATCH_NONE;
            schedule->finish[task] = schedule->start[task] = INFINITY;
            score.unplaced++;
            score.missed += one->weight;
            continue;
        }
        spot_take(schedule, task, &spot);
        score.last = fmax(score.last, spot.finish);
        if (spot.finish > one->deadline) {
            score.missed += one->weight;
            score.tardiness += one->weight * (spot.finish - one->deadline);
        }
    }
    uint64_t steps = schedule->timeline.steps - before + 4 * (uint64_t)problem->task_count;
    schedule->left -= steps < schedule->left ? steps : schedule->left;
    return score;
}

/* ---- lists ---- */

static int key_compare(const void *left, const void *right, void *context) {
    const double *key = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return key[a] != key[b] ? (key[a] < key[b] ? -1 : 1) : a < b ? -1 : a > b;
}

static void order_sort(struct schedule *schedule) {
    qsort_r(schedule->order, schedule->problem->task_count, sizeof *schedule->order, key_compare,
            schedule->key);
}

/* The largest part of a pool that it holds, times its work. */
static double pool_work(const struct schedule *schedule, uint32_t task) {
    double part = 0;
    for (unsigned pool = 0; pool < schedule->pools->count; pool++)
        part = fmax(part, (double)needs_of(schedule, task)[pool] / (double)schedule->pools->total[pool]);
    return part * schedule->problem->tasks[task].work;
}

static void keep(struct schedule *schedule) {
    memcpy(schedule->kept_order, schedule->order, schedule->problem->task_count * sizeof(uint32_t));
    memcpy(schedule->kept_choice, schedule->choice, schedule->problem->task_count * sizeof(uint32_t));
}

static void back(struct schedule *schedule) {
    memcpy(schedule->order, schedule->kept_order, schedule->problem->task_count * sizeof(uint32_t));
    memcpy(schedule->choice, schedule->kept_choice, schedule->problem->task_count * sizeof(uint32_t));
}

static void try_order(struct schedule *schedule, struct score *best) {
    struct score score = schedule_make(schedule, best);
    if (score_less(&score, best)) {
        *best = score;
        keep(schedule);
    }
}

enum list { LIST_POOLS, LIST_DEADLINE, LIST_WORK, LISTS };

static void try_lists(struct schedule *schedule, const uint32_t *chosen, struct score *best) {
    const struct batch_problem *problem = schedule->problem;
    for (unsigned list = 0; list < LISTS; list++) {
        for (unsigned task = 0; task < problem->task_count; task++)
            schedule->key[task] = list == LIST_POOLS      ? -pool_work(schedule, task)
                                  : list == LIST_DEADLINE ? problem->tasks[task].deadline
                                                          : -problem->tasks[task].work;
        order_sort(schedule);
        memcpy(schedule->choice, chosen, problem->task_count * sizeof *chosen);
        try_order(schedule, best);
        memset(schedule->choice, 0xff, problem->task_count * sizeof *schedule->choice); /* BATCH_NONE */
        try_order(schedule, best);
    }
    back(schedule);
}

/* ---- search ---- */

/* One that is late or ends last, or one of those whose end it waits for, some links back. */
static uint32_t critical(const struct schedule *schedule, struct random_stream *random) {
    const struct batch_problem *problem = schedule->problem;
    uint32_t worst = 0, late = BATCH_NONE;
    unsigned seen = 0;
    for (uint32_t task = 0; task < problem->task_count; task++) {
        if (schedule->agent[task] == BATCH_NONE)
            continue;
        if (schedule->agent[worst] == BATCH_NONE || schedule->finish[task] > schedule->finish[worst])
            worst = task;
        if (schedule->finish[task] > problem->tasks[task].deadline && random_below(random, ++seen) == 0)
            late = task;
    }
    uint32_t task = late != BATCH_NONE && random_below(random, 4) ? late : worst;
    for (uint64_t links = random_below(random, 4); links > 0; links--) {
        uint32_t cause = BATCH_NONE;
        unsigned causes = 0;
        for (uint32_t other = 0; other < problem->task_count; other++)
            if (schedule->finish[other] == schedule->start[task] && random_below(random, ++causes) == 0)
                cause = other;
        if (cause == BATCH_NONE)
            break;
        task = cause;
    }
    return task;
}

static void shift(struct schedule *schedule, unsigned from, unsigned to) {
    uint32_t *order = schedule->order, task = order[from];
    if (to < from)
        memmove(order + to + 1, order + to, (from - to) * sizeof *order);
    else
        memmove(order + from, order + from + 1, (to - from) * sizeof *order);
    order[to] = task;
}

static void change(struct schedule *schedule, struct random_stream *random, uint32_t task) {
    const struct batch_problem *problem = schedule->problem;
    unsigned count = problem->task_count, at = 0;
    while (schedule->order[at] != task)
        at++;
    uint64_t what = random_below(random, 8);
    if (what < 3)
        shift(schedule, at, (unsigned)random_below(random, at + 1));
    else if (what < 5)
        shift(schedule, at, at + (unsigned)random_below(random, count - at));
    if (what == 0 || what >= 5) {
        uint32_t agent = (uint32_t)random_below(random, problem->agent_count);
        bool able = isfinite(time_of(schedule, task, agent));
        schedule->choice[task] = able && random_below(random, 2) ? agent : BATCH_NONE;
    }
}

static void search(struct schedule *schedule, struct score *best) {
    struct random_stream random;
    random_seed(&random, 1, schedule->problem->task_count);
    struct score all = {UINT32_MAX, INFINITY, INFINITY, INFINITY};
    (void)schedule_make(schedule, &all);
    while (schedule->left > 0) {
        change(schedule, &random, critical(schedule, &random));
        struct score score = schedule_make(schedule, best);
        if (score_less(best, &score)) {
            back(schedule);
            if (random_below(&random, 8) == 0) /* what is critical is read from the last that was whole */
                (void)schedule_make(schedule, &all);
        } else {
            *best = score;
            keep(schedule);
        }
    }
    back(schedule);
}

/* ---- whole ---- */

struct carver { /* of one block; with `block` NULL only measures */
    char *block;
    size_t used;
};

static void *carve(struct carver *carver, size_t size) {
    void *part = carver->block ? carver->block + carver->used : NULL;
    carver->used += (size + 15) & ~(size_t)15;
    return part;
}

static size_t schedule_place(struct schedule *schedule, char *block, void **ret_timeline) {
    size_t tasks = schedule->problem->task_count, agents = schedule->problem->agent_count;
    struct carver at = {block, 0};
    uint32_t **by_task[] = {&schedule->order,      &schedule->choice,   &schedule->agent,
                            &schedule->next,       &schedule->previous, &schedule->kept_order,
                            &schedule->kept_choice};
    uint32_t **by_agent[] = {&schedule->first, &schedule->tail, &schedule->room};
    for (unsigned i = 0; i < ARRAY_COUNT(by_task); i++)
        *by_task[i] = carve(&at, tasks * sizeof(uint32_t));
    for (unsigned i = 0; i < ARRAY_COUNT(by_agent); i++)
        *by_agent[i] = carve(&at, agents * sizeof(uint32_t));
    schedule->start = carve(&at, tasks * sizeof(double));
    schedule->finish = carve(&at, tasks * sizeof(double));
    schedule->key = carve(&at, tasks * sizeof(double));
    schedule->pooled = carve(&at, tasks * sizeof(bool));
    schedule->idle = carve(&at, agents * sizeof(double));
    *ret_timeline = carve(&at, batch_timeline_bytes(schedule->pools->count, tasks + agents));
    return at.used;
}

static void answer_write(const struct schedule *schedule, const struct score *score,
                         struct batch_answer *answer, double *ret_start) {
    const struct batch_problem *problem = schedule->problem;
    unsigned filled = 0;
    answer->late = 0;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        answer->first[agent] = filled;
        for (uint32_t task = schedule->first[agent]; task != BATCH_NONE; task = schedule->next[task])
            answer->queue[filled++] = task;
    }
    answer->first[problem->agent_count] = filled;
    for (unsigned task = 0; task < problem->task_count; task++) {
        answer->agent[task] = schedule->agent[task];
        answer->finish[task] = schedule->finish[task];
        ret_start[task] = schedule->start[task];
        answer->late +=
            isfinite(schedule->finish[task]) && schedule->finish[task] > problem->tasks[task].deadline;
    }
    answer->missed = score->missed;
    answer->tardiness = score->tardiness;
    answer->last = score->last;
    answer->unplaced = score->unplaced;
    answer->steps = problem->steps - schedule->left;
}

/* The order and agents of `answer`, which knows no pools; then what the pools make of it is searched when it is worse. */
static void solve_from(struct schedule *schedule, struct batch_answer *answer, double *ret_start) {
    const struct batch_problem *problem = schedule->problem;
    const struct score all = {UINT32_MAX, INFINITY, INFINITY, INFINITY};
    for (uint32_t task = 0; task < problem->task_count; task++) {
        schedule->order[task] = task;
        schedule->choice[task] = answer->agent[task];
        schedule->key[task] = answer->finish[task];
        for (unsigned pool = 0; pool < schedule->pools->count; pool++) {
            CHECK(needs_of(schedule, task)[pool] <= schedule->pools->total[pool]);
            schedule->pooled[task] |= needs_of(schedule, task)[pool] > 0;
        }
    }
    order_sort(schedule);
    struct score best = schedule_make(schedule, &all);
    keep(schedule);
    bool bound = best.unplaced > answer->unplaced || best.missed > answer->missed + 1e-9 ||
                 best.last > answer->last + (double)problem->task_count;
    if (bound) {
        try_lists(schedule, answer->agent, &best);
        if (problem->steps > 0)
            search(schedule, &best);
        best = schedule_make(schedule, &all);
    }
    answer_write(schedule, &best, answer, ret_start);
}

enum troupe_error batch_pools_solve(struct account *account, struct batch_scratch *scratch,
                                    const struct batch_problem *problem, const struct batch_pools *pools,
                                    struct batch_answer *answer, double *ret_start) {
    struct batch_problem without = *problem;
    without.steps = problem->steps / 2;
    enum troupe_error error = batch_solve(scratch, &without, answer);
    if (error != TROUPE_OK)
        return error;
    struct schedule schedule = {.problem = problem, .pools = pools, .left = problem->steps - answer->steps};
    void *timeline;
    char *block = memory_alloc(account, schedule_place(&schedule, NULL, &timeline));
    if (!block)
        return TROUPE_NOMEM;
    schedule_place(&schedule, block, &timeline);
    batch_timeline_place(&schedule.timeline, timeline, pools->count,
                         problem->task_count + problem->agent_count, pools->total);
    solve_from(&schedule, answer, ret_start);
    memory_free(account, block);
    return TROUPE_OK;
}
