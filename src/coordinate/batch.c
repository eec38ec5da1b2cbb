/* A batch: lists in two orders, longest first and by deadline; the better of what the search makes of them. */
#include "coordinate/batch_state.h"

#include <stdlib.h>
#include <string.h>

#define EVICTIONS_MAX 64         /* of one filling: each looks at every task and agent */
#define PEAK_FOR_TARDINESS 1.02F /* so much later the last may end when late tasks are less late for it */

struct batch_scratch {
    struct account *account;
    char *block;
    size_t size;
};

enum troupe_error batch_scratch_create(struct account *account, struct batch_scratch **ret_scratch) {
    struct batch_scratch *scratch = memory_alloc(account, sizeof *scratch);
    if (!scratch)
        return TROUPE_NOMEM;
    scratch->account = account;
    *ret_scratch = scratch;
    return TROUPE_OK;
}

void batch_scratch_free(struct batch_scratch *scratch) {
    if (!scratch)
        return;
    memory_free(scratch->account, scratch->block);
    memory_free(scratch->account, scratch);
}

typedef double pair __attribute__((vector_size(2 * sizeof(double))));
typedef int64_t pair_mask __attribute__((vector_size(2 * sizeof(int64_t))));

uint32_t batch_earliest(const float *inverse, const double *ready, const uint32_t *room, unsigned agent_count,
                        double work, double *ret_finish) {
    double least = INFINITY;
    uint32_t best = BATCH_NONE, agent = 0;
    for (; agent < agent_count; agent++) {
        /* Two pairs at a time until one is earlier, which is seldom. */
        for (; agent + 4 <= agent_count; agent += 4) {
            pair one, other;
            memcpy(&one, ready + agent, sizeof one);
            memcpy(&other, ready + agent + 2, sizeof other);
            one += work * (pair){(double)inverse[agent], (double)inverse[agent + 1]};
            other += work * (pair){(double)inverse[agent + 2], (double)inverse[agent + 3]};
            pair_mask less = (one < least) | (other < least);
            if (less[0] | less[1])
                break;
        }
        unsigned limit = agent + 4 <= agent_count ? agent + 4 : agent_count;
        for (; agent < limit; agent++) {
            double finish = ready[agent] + work * (double)inverse[agent];
            if (finish < least && room[agent] > 0) {
                least = finish;
                best = agent;
            }
        }
        agent--; /* the loop adds one */
    }
    *ret_finish = least;
    return best;
}

/* ---- queues ---- */

static void load_set(struct batch_state *state, uint32_t agent, float load) {
    state->load[agent] = load;
    state->level[agent] = state->room[agent] > 0 ? load : INFINITY;
}

void batch_put(struct batch_state *state, uint32_t task, uint32_t agent) {
    uint32_t before = BATCH_NONE, at = state->first[agent];
    if (state->deadlines)
        for (; at != BATCH_NONE && state->rank[at] < state->rank[task]; at = state->next[at])
            before = at;
    state->where[task] = agent;
    state->next[task] = at;
    state->previous[task] = before;
    if (before == BATCH_NONE)
        state->first[agent] = task;
    else
        state->next[before] = task;
    if (at != BATCH_NONE)
        state->previous[at] = task;
    state->room[agent]--;
    load_set(state, agent, state->load[agent] + batch_time(state, task, agent));
}

void batch_take(struct batch_state *state, uint32_t task) {
    uint32_t agent = state->where[task], before = state->previous[task], next = state->next[task];
    if (before == BATCH_NONE)
        state->first[agent] = next;
    else
        state->next[before] = next;
    if (next != BATCH_NONE)
        state->previous[next] = before;
    state->where[task] = BATCH_NONE;
    state->room[agent]++;
    /* Summed again when it empties, so that rounding does not gather. */
    float load = state->first[agent] == BATCH_NONE ? (float)state->problem->ready[agent]
                                                   : state->load[agent] - batch_time(state, task, agent);
    load_set(state, agent, load);
}

/* ---- lists ---- */

static void clear(struct batch_state *state) {
    const struct batch_problem *problem = state->problem;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        state->room[agent] = problem->room[agent];
        state->first[agent] = BATCH_NONE;
        load_set(state, agent, (float)problem->ready[agent]);
    }
    for (unsigned task = 0; task < problem->task_count; task++)
        state->where[task] = BATCH_NONE;
}

/* Vectors of four are what every machine has; two of them at a time keep it busy. */
#define LANES 4
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_mask __attribute__((vector_size(LANES * sizeof(int32_t))));
struct lane_least {
    lanes least;
    lane_mask at;
};

static inline void lanes_take(struct lane_least *so_far, const float *level, const float *inverse, lanes work,
                              lane_mask at) {
    lanes loads, speeds;
    memcpy(&loads, level, sizeof loads);
    memcpy(&speeds, inverse, sizeof speeds);
    lanes finish = loads + work * speeds;
    lane_mask less = finish < so_far->least;
    so_far->least = (lanes)(((lane_mask)finish & less) | ((lane_mask)so_far->least & ~less));
    so_far->at = (at & less) | (so_far->at & ~less);
}

/* The least of level + work x inverse, the first of equals; BATCH_NONE when all are INFINITY. */
static uint32_t least_of(const float *level, const float *inverse, unsigned count, float work,
                         float *ret_least) {
    float least = INFINITY;
    uint32_t target = BATCH_NONE, agent = 0;
    if (count >= 4 * LANES) {
        lanes each = work - (lanes){0};
        lane_mask at = {0, 1, 2, 3};
        struct lane_least even = {INFINITY - (lanes){0}, at}, odd = even;
        for (; agent + 2 * LANES <= count; agent += 2 * LANES, at += 2 * LANES) {
            lanes_take(&even, level + agent, inverse + agent, each, at);
            lanes_take(&odd, level + agent + LANES, inverse + agent + LANES, each, at + LANES);
        }
        for (unsigned lane = 0; lane < 2 * LANES; lane++) {
            const struct lane_least *half = lane < LANES ? &even : &odd;
            float value = half->least[lane % LANES];
            uint32_t where = (uint32_t)half->at[lane % LANES];
            if (value < least || (value == least && target != BATCH_NONE && where < target)) {
                least = value;
                target = where;
            }
        }
    }
    for (; agent < count; agent++) {
        float finish = level[agent] + work * inverse[agent];
        target = finish < least ? agent : target; /* no branch: which one it is nobody can foresee */
        least = finish < least ? finish : least;
    }
    *ret_least = least;
    return target;
}

/* Where `task` ends first. */
static uint32_t list_target(const struct batch_state *state, uint32_t task) {
    const struct batch_problem *problem = state->problem;
    const struct batch_task *one = &problem->tasks[task];
    const float *inverse = problem->inverse + (size_t)one->row * problem->stride;
    float least;
    uint32_t target = least_of(state->level, inverse, problem->agent_count, (float)one->work, &least);
    if (one->home == BATCH_NONE)
        return target;
    float home = state->level[one->home] + (float)one->work * inverse[one->home];
    return home < least + (float)problem->away ? one->home : target;
}

/* Where `task` could go if one of those there went elsewhere, the one that ends first there; BATCH_NONE: nowhere. */
static uint32_t eviction(const struct batch_state *state, uint32_t task, uint32_t *ret_to) {
    uint32_t evicted = BATCH_NONE;
    float least = INFINITY;
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++) {
        if (!isfinite(batch_time(state, task, agent)))
            continue;
        for (uint32_t other = state->first[agent]; other != BATCH_NONE; other = state->next[other])
            for (uint32_t to = 0; to < state->problem->agent_count; to++) {
                float finish = state->level[to] + batch_time(state, other, to);
                if (to != agent && finish < least) {
                    least = finish;
                    evicted = other;
                    *ret_to = to;
                }
            }
    }
    return evicted;
}

/* Those that found no room, now that others have moved. */
static void fill(struct batch_state *state) {
    bool filled = false;
    unsigned evictions = EVICTIONS_MAX;
    for (uint32_t task = 0; task < state->problem->task_count; task++) {
        if (state->where[task] != BATCH_NONE)
            continue;
        uint32_t target = list_target(state, task), to = BATCH_NONE;
        if (target == BATCH_NONE) {
            if (evictions == 0)
                continue;
            evictions--;
            uint32_t evicted = eviction(state, task, &to);
            if (evicted == BATCH_NONE)
                continue;
            target = state->where[evicted];
            batch_take(state, evicted);
            batch_put(state, evicted, to);
        }
        batch_put(state, task, target);
        filled = true;
    }
    if (filled)
        state->costs_known = false;
}

static void push(struct batch_state *state, uint32_t task) {
    uint32_t agent = state->where[task];
    if (agent == BATCH_NONE)
        return;
    uint32_t first = state->first[agent];
    state->next[task] = first;
    state->previous[task] = BATCH_NONE;
    if (first != BATCH_NONE)
        state->previous[first] = task;
    state->first[agent] = task;
}

/* The queues are made once it is known where each task goes: the last by deadline first, none has to look for its place. */
static void list(struct batch_state *state, const uint32_t *order) {
    unsigned count = state->problem->task_count;
    clear(state);
    for (unsigned at = 0; at < count; at++) {
        uint32_t task = order[at], target = list_target(state, task);
        if (target == BATCH_NONE)
            continue;
        state->where[task] = target;
        state->room[target]--;
        load_set(state, target, state->load[target] + batch_time(state, task, target));
    }
    for (unsigned at = 0; at < count; at++)
        push(state, state->deadlines ? state->by_rank[count - 1 - at] : order[at]);
    fill(state);
}

/* ---- orders ---- */

#define FEW_MAX 16 /* a multiple of LANES */

struct keyed {
    uint32_t key, task;
};

static uint32_t float_bits(float value) { /* of floats not below 0: in their order */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Smallest key first, equal ones as they come. */
static void keyed_sort(struct keyed *items, struct keyed *spare, unsigned count) {
    if (count <= 40) {
        for (unsigned at = 1; at < count; at++) {
            struct keyed one = items[at];
            unsigned to = at;
            for (; to > 0 && items[to - 1].key > one.key; to--)
                items[to] = items[to - 1];
            items[to] = one;
        }
        return;
    }
    for (unsigned shift = 0; shift < 32; shift += 8) {
        unsigned starts[257] = {0};
        for (unsigned at = 0; at < count; at++)
            starts[(items[at].key >> shift & 255) + 1]++;
        for (unsigned at = 0; at < 256; at++)
            starts[at + 1] += starts[at];
        for (unsigned at = 0; at < count; at++)
            spare[starts[items[at].key >> shift & 255]++] = items[at];
        memcpy(items, spare, count * sizeof *items);
    }
}

/* Each one's place by counting those before it: a few vectors' work, and no branch that could be foreseen wrongly, which
 * is most of what a sort of so few takes. By key, and of equal ones by `then`. Beyond `count` nothing is read of either. */
static void few_places(const int32_t *keys, const int32_t *then, unsigned count, int32_t *ret_places) {
    for (unsigned part = 0; part < count; part += LANES) {
        lane_mask places = {0}, mine, second;
        memcpy(&mine, keys + part, sizeof mine);
        memcpy(&second, then + part, sizeof second);
        for (unsigned other = 0; other < count; other++)
            places -= (keys[other] < mine) | ((keys[other] == mine) & (then[other] < second));
        memcpy(ret_places + part, &places, sizeof places);
    }
}

/* The same as orders_make, of few. */
static void few_orders(struct batch_state *state) {
    static const int32_t in_turn[FEW_MAX] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const struct batch_problem *problem = state->problem;
    int32_t keys[FEW_MAX] = {0}, by_size[FEW_MAX] = {0}, by_deadline[FEW_MAX];
    for (unsigned task = 0; task < problem->task_count; task++)
        keys[task] = (int32_t)~float_bits((float)problem->tasks[task].work); /* below 0: longest first */
    few_places(keys, in_turn, problem->task_count, by_size);
    for (unsigned task = 0; task < problem->task_count; task++)
        state->by_size[by_size[task]] = task;
    if (!state->deadlines)
        return;
    for (unsigned task = 0; task < problem->task_count; task++) {
        float deadline = (float)problem->tasks[task].deadline;
        keys[task] = (int32_t)float_bits(deadline > 0 ? deadline : 0);
    }
    few_places(keys, by_size, problem->task_count, by_deadline);
    for (unsigned task = 0; task < problem->task_count; task++) {
        state->rank[task] = (uint32_t)by_deadline[task];
        state->by_rank[by_deadline[task]] = task;
    }
}

static void orders_make(struct batch_state *state, struct keyed *items, struct keyed *spare) {
    const struct batch_problem *problem = state->problem;
    if (problem->task_count <= FEW_MAX) {
        few_orders(state);
        return;
    }
    for (unsigned task = 0; task < problem->task_count; task++)
        items[task] = (struct keyed){~float_bits((float)problem->tasks[task].work), task};
    keyed_sort(items, spare, problem->task_count);
    for (unsigned at = 0; at < problem->task_count; at++)
        state->by_size[at] = items[at].task;
    if (!state->deadlines)
        return;
    /* From the longest-first order, so that those without a deadline come longest first. */
    for (unsigned at = 0; at < problem->task_count; at++) {
        double deadline = problem->tasks[state->by_size[at]].deadline;
        items[at] = (struct keyed){float_bits(deadline > 0 ? (float)deadline : 0), state->by_size[at]};
    }
    keyed_sort(items, spare, problem->task_count);
    for (unsigned at = 0; at < problem->task_count; at++) {
        state->by_rank[at] = items[at].task;
        state->rank[items[at].task] = at;
    }
}

/* ---- the answer ---- */

static void answer_write(const struct batch_state *state, struct batch_answer *answer) {
    const struct batch_problem *problem = state->problem;
    unsigned filled = 0;
    *answer = (struct batch_answer){answer->agent, answer->queue, answer->first, answer->finish,
                                    .steps = problem->steps - state->steps_left};
    for (unsigned task = 0; task < problem->task_count; task++) {
        answer->agent[task] = state->where[task];
        if (state->where[task] != BATCH_NONE)
            continue;
        answer->finish[task] = INFINITY;
        answer->unplaced++;
        answer->missed += problem->tasks[task].weight;
    }
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        answer->first[agent] = filled;
        unsigned count = batch_queue_order(state, agent, answer->queue + filled);
        double now = problem->ready[agent];
        for (unsigned at = filled; at < filled + count; at++) {
            const struct batch_task *task = &problem->tasks[answer->queue[at]];
            double time = task->work * (double)problem->inverse[(size_t)task->row * problem->stride + agent];
            now += task->home == BATCH_NONE || task->home == agent ? time : time + problem->away;
            answer->finish[answer->queue[at]] = now;
            if (now <= task->deadline)
                continue;
            answer->late++;
            answer->missed += task->weight;
            answer->tardiness += task->weight * (now - task->deadline);
        }
        filled += count;
        if (count > 0 && now > answer->last)
            answer->last = now;
    }
    answer->first[problem->agent_count] = filled;
}

/* ---- whole ---- */

struct carver { /* of one block */
    char *block;
    size_t used;
};

static void *carve(struct carver *carver, size_t size) {
    void *part = carver->block + carver->used;
    carver->used += (size + 15) & ~(size_t)15;
    return part;
}

enum { PARTS_OF_AGENT = 6, PARTS_OF_TASK = 9, PART_ROUNDING = 16 }; /* as state_place carves them */

static size_t state_size(const struct batch_problem *problem) {
    return problem->agent_count * (5 * sizeof(float) + sizeof(struct batch_cost)) +
           problem->task_count * (7 * sizeof(uint32_t) + 2 * sizeof(struct keyed)) +
           (size_t)(PARTS_OF_AGENT + PARTS_OF_TASK) * PART_ROUNDING;
}

static void state_place(struct batch_state *state, char *block, struct keyed **ret_items,
                        struct keyed **ret_spare, uint32_t **ret_kept) {
    size_t tasks = state->problem->task_count, agents = state->problem->agent_count;
    struct carver at = {block, 0};
    state->load = carve(&at, agents * sizeof(float));
    state->level = carve(&at, agents * sizeof(float));
    state->power = carve(&at, agents * sizeof(float));
    state->room = carve(&at, agents * sizeof(uint32_t));
    state->first = carve(&at, agents * sizeof(uint32_t));
    state->cost = carve(&at, agents * sizeof(struct batch_cost));
    state->next = carve(&at, tasks * sizeof(uint32_t));
    state->previous = carve(&at, tasks * sizeof(uint32_t));
    state->where = carve(&at, tasks * sizeof(uint32_t));
    state->rank = carve(&at, tasks * sizeof(uint32_t));
    state->by_rank = carve(&at, tasks * sizeof(uint32_t));
    state->by_size = carve(&at, tasks * sizeof(uint32_t));
    *ret_kept = carve(&at, tasks * sizeof(uint32_t));
    *ret_items = carve(&at, tasks * sizeof(struct keyed));
    *ret_spare = carve(&at, tasks * sizeof(struct keyed));
    CHECK(at.used <= state_size(state->problem));
}

static float peak_of(const struct batch_state *state) {
    float peak = 0;
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++)
        if (state->first[agent] != BATCH_NONE && state->load[agent] > peak)
            peak = state->load[agent];
    return peak;
}

struct outcome {
    unsigned unplaced;
    struct batch_cost cost;
    float last;
};

static struct outcome outcome_of(const struct batch_state *state) {
    struct outcome outcome = {.last = peak_of(state)};
    if (state->deadlines)
        outcome.cost = batch_cost_sum(state);
    for (unsigned task = 0; task < state->problem->task_count; task++)
        if (state->where[task] == BATCH_NONE) {
            outcome.unplaced++;
            outcome.cost.missed += state->problem->tasks[task].weight;
        }
    return outcome;
}

static bool outcome_less(const struct batch_state *state, const struct outcome *a, const struct outcome *b) {
    if (a->unplaced != b->unplaced)
        return a->unplaced < b->unplaced;
    if (batch_cost_less(state, a->cost, b->cost) || batch_cost_less(state, b->cost, a->cost))
        return batch_cost_less(state, a->cost, b->cost);
    return a->last < b->last;
}

static void again(struct batch_state *state, const uint32_t *kept) {
    clear(state);
    for (unsigned at = 0; at < state->problem->task_count; at++) {
        uint32_t task = state->deadlines ? state->by_rank[state->problem->task_count - 1 - at] : at;
        if (kept[task] != BATCH_NONE)
            batch_put(state, task, kept[task]);
    }
    if (state->deadlines)
        (void)batch_cost_all(state);
}

/* Longest first, and what the sweeps make of it when that is better. */
static void start_even(struct batch_state *state, uint32_t *kept) {
    list(state, state->by_size);
    float before = peak_of(state);
    memcpy(kept, state->where, state->problem->task_count * sizeof *kept);
    batch_sweep(state);
    if (peak_of(state) > before)
        again(state, kept);
}

/* Part of the steps for one thing; what it leaves is there for the next. */
static void lend(struct batch_state *state, uint64_t *left, uint64_t part) {
    state->steps_left = part < *left ? part : *left;
    *left -= state->steps_left;
}

static void give_back(const struct batch_state *state, uint64_t *left) {
    *left += state->steps_left;
}

/* An early end whatever the deadlines, and then fewer of them late. Where some still are, the same from a list by
 * deadline; and from the better one again an early end, at no cost of deadlines. */
static void search_late(struct batch_state *state, uint32_t *kept) {
    size_t bytes = state->problem->task_count * sizeof *kept;
    uint64_t left = state->problem->steps, quarter = left / 4;
    if (3 * quarter < batch_sweep_steps(state)) { /* a list is all of it */
        list(state, state->by_size);
        (void)batch_cost_all(state);
    } else {
        state->deadlines = false;
        lend(state, &left, 3 * quarter);
        start_even(state, kept);
        give_back(state, &left);
        memcpy(kept, state->where, bytes);
        state->deadlines = true;
        again(state, kept); /* the queues by deadline */
    }
    lend(state, &left, quarter);
    batch_mend(state);
    give_back(state, &left);
    struct outcome outcome = outcome_of(state);
    if (outcome.unplaced > 0 || outcome.cost.missed > 0) {
        memcpy(kept, state->where, bytes);
        list(state, state->by_rank);
        (void)batch_cost_all(state);
        lend(state, &left, quarter);
        batch_mend(state);
        give_back(state, &left);
        struct outcome other = outcome_of(state);
        if (!outcome_less(state, &other, &outcome))
            again(state, kept);
    }
    lend(state, &left, left - left / 8);
    batch_descend(state);
    batch_throw(state, kept);
    give_back(state, &left);
    lend(state, &left, left);
    if (batch_cost_sum(state).missed > 0) {
        state->soothing = true;
        state->peak_max = peak_of(state) * PEAK_FOR_TARDINESS;
        batch_mend(state);
    }
}

enum troupe_error batch_solve(struct batch_scratch *scratch, const struct batch_problem *problem,
                              struct batch_answer *answer) {
    struct batch_state state = {.problem = problem, .steps_left = problem->steps, .peak_max = INFINITY};
    struct keyed *items, *spare;
    uint32_t *kept;
    size_t size = state_size(problem);
    if (size > scratch->size) {
        memory_free(scratch->account, scratch->block);
        scratch->size = 0;
        if (!(scratch->block = memory_alloc(scratch->account, size)))
            return TROUPE_NOMEM;
        scratch->size = size;
    }
    state_place(&state, scratch->block, &items, &spare, &kept);
    for (unsigned task = 0; task < problem->task_count; task++)
        state.deadlines |= problem->tasks[task].deadline != INFINITY;
    orders_make(&state, items, spare);
    if (problem->steps == 0)
        list(&state, state.deadlines ? state.by_rank : state.by_size);
    else if (state.deadlines) {
        search_late(&state, kept);
        state.costs_known = true;
    } else {
        start_even(&state, kept);
        batch_descend(&state);
        batch_throw(&state, kept);
    }
    fill(&state);
    answer_write(&state, answer);
    return TROUPE_OK;
}
