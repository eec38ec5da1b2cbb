/* An early end of a batch. Two means: sweeps, in which each task in turn goes where it raises the sum of the
 * loads' powers least (from 4 to 256: ever closer to the highest load alone, and with few of the sharp edges on
 * which a search for that alone gets stuck); and a descent of the highest load by a move, an exchange, or
 * a chain of two moves. Where there are deadlines a step may not cost any. When the descent is stuck, a few
 * tasks are thrown elsewhere and what comes of it is kept when it is better. */
#include "coordinate/batch_state.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_STEPS(state) ((state)->problem->agent_count / 8 + 4) /* of one task */
#define LANES 4
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_mask __attribute__((vector_size(LANES * sizeof(int32_t))));

static float power_of(float value, unsigned squarings) {
    for (unsigned at = 0; at < squarings; at++)
        value *= value;
    return value;
}

/* The agent where load^(2^squarings) grows least; `loads`: of all agents, or of those with room. */
static uint32_t sweep_target(const struct batch_state *state, const float *loads, uint32_t task, float scale,
                             unsigned squarings, float *ret_growth) {
    const struct batch_problem *problem = state->problem;
    const struct batch_task *one = &problem->tasks[task];
    const float *inverse = problem->inverse + (size_t)one->row * problem->stride;
    float work = (float)one->work, away = one->home == BATCH_NONE ? 0 : (float)problem->away;
    float least = INFINITY;
    uint32_t target = BATCH_NONE, agent = 0;
    for (; agent + LANES <= problem->agent_count; agent += LANES) {
        lanes level, speed, power;
        memcpy(&level, loads + agent, sizeof level);
        memcpy(&speed, inverse + agent, sizeof speed);
        memcpy(&power, state->power + agent, sizeof power);
        lanes growth = (level + (work * speed + away)) * scale;
        for (unsigned at = 0; at < squarings; at++)
            growth *= growth;
        growth -= power;
        lane_mask less = growth < least;
        int32_t any = 0;
        for (unsigned lane = 0; lane < LANES; lane++)
            any |= less[lane];
        for (unsigned lane = 0; any && lane < LANES; lane++)
            if (growth[lane] < least) {
                least = growth[lane];
                target = agent + lane;
            }
    }
    for (; agent < problem->agent_count; agent++) {
        float growth = power_of((loads[agent] + (work * inverse[agent] + away)) * scale, squarings) -
                       state->power[agent];
        if (growth < least) {
            least = growth;
            target = agent;
        }
    }
    if (one->home != BATCH_NONE && isfinite(loads[one->home])) {
        float growth = power_of((loads[one->home] + work * inverse[one->home]) * scale, squarings) -
                       state->power[one->home];
        if (growth < least) {
            least = growth;
            target = one->home;
        }
    }
    *ret_growth = least;
    return target;
}

static float highest(const struct batch_state *state, uint32_t *ret_agent) {
    float most = 0;
    *ret_agent = BATCH_NONE;
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++)
        if (state->first[agent] != BATCH_NONE && state->load[agent] > most) {
            most = state->load[agent];
            *ret_agent = agent;
        }
    return most;
}

/* How the two queues' costs change; with no deadlines nothing. */
static struct batch_cost exchange_cost(const struct batch_state *state, uint32_t a, uint32_t task, uint32_t b,
                                       uint32_t other) {
    if (!state->deadlines)
        return (struct batch_cost){0};
    struct batch_cost at_a = batch_queue_cost(state, a, task, other),
                      at_b = batch_queue_cost(state, b, other, task);
    return (struct batch_cost){at_a.missed + at_b.missed - state->cost[a].missed - state->cost[b].missed,
                               at_a.tardiness + at_b.tardiness - state->cost[a].tardiness -
                                   state->cost[b].tardiness};
}

static bool cost_worse(const struct batch_state *state, struct batch_cost change) {
    return batch_cost_less(state, (struct batch_cost){0}, change);
}

static void cost_refresh(struct batch_state *state, uint32_t agent) {
    if (state->deadlines)
        state->cost[agent] = batch_queue_cost(state, agent, BATCH_NONE, BATCH_NONE);
}

static void relocate(struct batch_state *state, uint32_t task, uint32_t to) {
    uint32_t from = state->where[task];
    batch_take(state, task);
    batch_put(state, task, to);
    cost_refresh(state, from);
    cost_refresh(state, to);
}

static void exchange(struct batch_state *state, uint32_t task, uint32_t other) {
    uint32_t a = state->where[task], b = state->where[other];
    batch_take(state, task);
    batch_take(state, other);
    batch_put(state, task, b);
    batch_put(state, other, a);
    cost_refresh(state, a);
    cost_refresh(state, b);
}

struct sweep {
    struct batch_state *state;
    float scale;
    unsigned squarings;
    bool moved;
};

static float sweep_power(const struct sweep *sweep, float load) {
    return power_of(load * sweep->scale, sweep->squarings);
}

static void sweep_refresh(const struct sweep *sweep, uint32_t agent) {
    sweep->state->power[agent] = sweep_power(sweep, sweep->state->load[agent]);
}

static void sweep_move(struct sweep *sweep, uint32_t task, uint32_t to) {
    struct batch_state *state = sweep->state;
    uint32_t from = state->where[task];
    if (state->deadlines &&
        (!batch_spend(state, 16) || cost_worse(state, exchange_cost(state, from, task, to, BATCH_NONE))))
        return;
    relocate(state, task, to);
    sweep_refresh(sweep, from);
    sweep_refresh(sweep, to);
    sweep->moved = true;
}

/* Where it should go there is no room: for whom of those there it may come. */
static bool sweep_exchange(struct sweep *sweep, uint32_t task, uint32_t to) {
    struct batch_state *state = sweep->state;
    uint32_t from = state->where[task], best = BATCH_NONE;
    float left = state->load[from] - batch_time(state, task, from),
          there = state->load[to] + batch_time(state, task, to);
    float least = (state->power[from] + state->power[to]) * 0.9999F;
    for (uint32_t other = state->first[to]; other != BATCH_NONE; other = state->next[other]) {
        if (!batch_spend(state, sweep->squarings))
            return false;
        float sum = sweep_power(sweep, left + batch_time(state, other, from)) +
                    sweep_power(sweep, there - batch_time(state, other, to));
        if (sum < least && !cost_worse(state, exchange_cost(state, from, task, to, other))) {
            least = sum;
            best = other;
        }
    }
    if (best == BATCH_NONE)
        return false;
    exchange(state, task, best);
    sweep_refresh(sweep, from);
    sweep_refresh(sweep, to);
    return sweep->moved = true;
}

static void sweep_task(struct sweep *sweep, uint32_t task) {
    struct batch_state *state = sweep->state;
    uint32_t from = state->where[task];
    float growth, shrink = (state->power[from] -
                            sweep_power(sweep, state->load[from] - batch_time(state, task, from))) *
                           0.9999F;
    uint32_t to = sweep_target(state, state->load, task, sweep->scale, sweep->squarings, &growth);
    if (to == BATCH_NONE || to == from || growth >= shrink)
        return;
    if (state->room[to] == 0) {
        if (sweep_exchange(sweep, task, to))
            return;
        to = sweep_target(state, state->level, task, sweep->scale, sweep->squarings, &growth);
        if (to == BATCH_NONE || to == from || growth >= shrink)
            return;
    }
    sweep_move(sweep, task, to);
}

static bool sweep_all(struct batch_state *state, unsigned squarings) {
    uint32_t peak;
    float most = highest(state, &peak);
    if (peak == BATCH_NONE)
        return false;
    struct sweep sweep = {state, 1 / most, squarings, false};
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++)
        sweep_refresh(&sweep, agent);
    for (unsigned at = 0; at < state->problem->task_count; at++)
        if (state->where[state->by_size[at]] != BATCH_NONE) {
            if (!batch_spend(state, SWEEP_STEPS(state)))
                break;
            sweep_task(&sweep, state->by_size[at]);
        }
    return sweep.moved;
}

/* ---- descent of the highest ---- */

struct step {
    uint32_t task, to, other; /* other comes back; or goes on to `onward` */
    uint32_t onward;
    float peak; /* the highest of those it touches, afterwards */
};

static float larger(float a, float b) {
    return a > b ? a : b;
}

static void step_moves(struct batch_state *state, uint32_t from, uint32_t task, struct step *best) {
    const struct batch_problem *problem = state->problem;
    float left = state->load[from] - batch_time(state, task, from);
    for (uint32_t to = 0; to < problem->agent_count; to++) {
        float peak = larger(left, state->level[to] + batch_time(state, task, to));
        if (to != from && peak < best->peak &&
            !cost_worse(state, exchange_cost(state, from, task, to, BATCH_NONE)))
            *best = (struct step){task, to, BATCH_NONE, BATCH_NONE, peak};
    }
}

static void step_exchanges(struct batch_state *state, uint32_t from, uint32_t task, struct step *best) {
    const struct batch_problem *problem = state->problem;
    float left = state->load[from] - batch_time(state, task, from);
    for (uint32_t to = 0; to < problem->agent_count; to++) {
        float there = state->load[to] + batch_time(state, task, to);
        if (to == from || !isfinite(there))
            continue;
        for (uint32_t other = state->first[to]; other != BATCH_NONE; other = state->next[other]) {
            if (!batch_spend(state, 2))
                return;
            float rest = there - batch_time(state, other, to);
            if (rest >= best->peak)
                continue;
            float peak = larger(rest, left + batch_time(state, other, from));
            if (peak < best->peak && !cost_worse(state, exchange_cost(state, from, task, to, other)))
                *best = (struct step){task, to, other, BATCH_NONE, peak};
        }
    }
}

/* task goes to `to`, from where `other` goes on to a third. */
static void step_chains(struct batch_state *state, uint32_t from, uint32_t task, struct step *best) {
    const struct batch_problem *problem = state->problem;
    float left = state->load[from] - batch_time(state, task, from);
    for (uint32_t to = 0; to < problem->agent_count; to++) {
        float there = state->load[to] + batch_time(state, task, to);
        if (to == from || !isfinite(there))
            continue;
        for (uint32_t other = state->first[to]; other != BATCH_NONE; other = state->next[other]) {
            float rest = larger(left, there - batch_time(state, other, to));
            if (rest >= best->peak)
                continue;
            if (!batch_spend(state, problem->agent_count / 2 + 2))
                return;
            for (uint32_t onward = 0; onward < problem->agent_count; onward++) {
                float peak = larger(rest, state->level[onward] + batch_time(state, other, onward));
                if (peak >= best->peak || onward == to || onward == from)
                    continue;
                if (state->deadlines) {
                    struct batch_cost a = batch_queue_cost(state, from, task, BATCH_NONE),
                                      b = batch_queue_cost(state, to, other, task),
                                      c = batch_queue_cost(state, onward, BATCH_NONE, other);
                    struct batch_cost change = {a.missed + b.missed + c.missed - state->cost[from].missed -
                                                    state->cost[to].missed - state->cost[onward].missed,
                                                a.tardiness + b.tardiness + c.tardiness -
                                                    state->cost[from].tardiness - state->cost[to].tardiness -
                                                    state->cost[onward].tardiness};
                    if (cost_worse(state, change))
                        continue;
                }
                *best = (struct step){task, to, other, onward, peak};
            }
        }
    }
}

static void step_take(struct batch_state *state, const struct step *step) {
    if (step->other == BATCH_NONE)
        relocate(state, step->task, step->to);
    else if (step->onward == BATCH_NONE)
        exchange(state, step->task, step->other);
    else {
        relocate(state, step->other, step->onward);
        relocate(state, step->task, step->to);
    }
}

static bool descend_once(struct batch_state *state) {
    static void (*const kinds[])(struct batch_state *, uint32_t, uint32_t,
                                 struct step *) = {step_moves, step_exchanges, step_chains};
    uint32_t from;
    float most = highest(state, &from);
    if (from == BATCH_NONE)
        return false;
    struct step best = {.task = BATCH_NONE, .peak = most * 0.99999F};
    for (unsigned kind = 0; kind < ARRAY_COUNT(kinds) && best.task == BATCH_NONE; kind++)
        for (uint32_t task = state->first[from]; task != BATCH_NONE; task = state->next[task]) {
            if (!batch_spend(state, state->problem->agent_count / 4 + 2))
                return false;
            kinds[kind](state, from, task, &best);
        }
    if (best.task == BATCH_NONE)
        return false;
    step_take(state, &best);
    return true;
}

/* ---- throws ---- */

static uint64_t random_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void restore(struct batch_state *state, const uint32_t *where) {
    for (uint32_t task = 0; task < state->problem->task_count; task++)
        if (state->where[task] != where[task] && state->where[task] != BATCH_NONE)
            batch_take(state, task);
    for (uint32_t task = 0; task < state->problem->task_count; task++)
        if (state->where[task] == BATCH_NONE && where[task] != BATCH_NONE)
            batch_put(state, task, where[task]);
    if (state->deadlines)
        (void)batch_cost_all(state);
}

/* A task of `agent`, one as likely as the other; BATCH_NONE: it has none. */
static uint32_t random_of(const struct batch_state *state, uint32_t agent, uint64_t *seed) {
    uint32_t chosen = BATCH_NONE, seen = 0;
    for (uint32_t task = state->first[agent]; task != BATCH_NONE; task = state->next[task])
        if (random_next(seed) % ++seen == 0)
            chosen = task;
    return chosen;
}

/* A few tasks, the first of the highest, go anywhere they can without a late task more; where there is no room one
 * comes back. */
static void throw_some(struct batch_state *state, uint64_t *seed) {
    const struct batch_problem *problem = state->problem;
    uint32_t from;
    highest(state, &from);
    for (unsigned at = 0, throws = 1 + (unsigned)(random_next(seed) % 4); at < throws; at++) {
        uint32_t task =
            at == 0 ? random_of(state, from, seed) : (uint32_t)(random_next(seed) % problem->task_count);
        uint32_t to = (uint32_t)(random_next(seed) % problem->agent_count), other = BATCH_NONE;
        if (task == BATCH_NONE || state->where[task] == BATCH_NONE || to == state->where[task] ||
            !isfinite(batch_time(state, task, to)))
            continue;
        if (state->room[to] == 0 || random_next(seed) % 2 == 0)
            other = random_of(state, to, seed);
        if (other == BATCH_NONE ? state->room[to] == 0
                                : !isfinite(batch_time(state, other, state->where[task])))
            continue;
        if (cost_worse(state, exchange_cost(state, state->where[task], task, to, other)))
            continue;
        if (other == BATCH_NONE)
            relocate(state, task, to);
        else
            exchange(state, task, other);
    }
}

uint64_t batch_sweep_steps(const struct batch_state *state) {
    return (uint64_t)state->problem->task_count * SWEEP_STEPS(state);
}

/* As many as are affordable, from a low power to the highest. */
void batch_sweep(struct batch_state *state) {
    enum { LOWEST = 2, HIGHEST = 8, ALL = HIGHEST - LOWEST + 1 };
    uint64_t each = batch_sweep_steps(state);
    uint64_t affordable = each ? state->steps_left / each : 0;
    unsigned count = affordable < ALL ? (unsigned)affordable : ALL;
    for (unsigned at = 0; at < count; at++)
        sweep_all(state, count == 1 ? HIGHEST : LOWEST + at * (ALL - 1) / (count - 1));
}

void batch_descend(struct batch_state *state) {
    while (state->steps_left > 0 && descend_once(state))
        ;
}

void batch_throw(struct batch_state *state, uint32_t *kept) {
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    uint32_t unused;
    unsigned count = state->problem->task_count;
    float best = highest(state, &unused);
    if (unused == BATCH_NONE || state->problem->agent_count < 2)
        return;
    struct batch_cost cost = state->deadlines ? batch_cost_sum(state) : (struct batch_cost){0};
    memcpy(kept, state->where, count * sizeof *kept);
    while (batch_spend(state, count / 4 + 16)) {
        throw_some(state, &seed);
        batch_descend(state);
        float peak = highest(state, &unused);
        struct batch_cost now = state->deadlines ? batch_cost_sum(state) : (struct batch_cost){0};
        if (batch_cost_less(state, now, cost) || (!batch_cost_less(state, cost, now) && peak <= best)) {
            best = peak;
            cost = now;
            memcpy(kept, state->where, count * sizeof *kept);
        } else
            restore(state, kept);
    }
}
