/* Deadlines of a batch: the order of a queue, what it costs, and moves that make fewer tasks late.
 *
 * A queue runs by deadline; where that makes a task late, those that take the most time for their weight stand back
 * for it, behind all that are kept, or it does (Moore 1968 for equal weights, where it is optimal). Tasks without a
 * deadline come last. Queues longer than QUEUE_MAX run by deadline alone. */
#include "coordinate/batch_state.h"

#include <string.h>

enum { QUEUE_MAX = 192 };

struct run_order {
    uint32_t kept[QUEUE_MAX], back[QUEUE_MAX];
    float time[QUEUE_MAX]; /* of those kept */
    unsigned kept_count, back_count;
    float now;
};

static float ready_of(const struct batch_state *state, uint32_t agent) {
    return (float)state->problem->ready[agent];
}

static void order_drop(struct run_order *order, unsigned which) {
    order->now -= order->time[which];
    order->back[order->back_count++] = order->kept[which];
    order->kept_count--;
    for (unsigned at = which; at < order->kept_count; at++) {
        order->kept[at] = order->kept[at + 1];
        order->time[at] = order->time[at + 1];
    }
}

/* Who could stand back for the last one, as `ret_out`: those that take the most time for their weight. False: all that
 * would have to weigh more than it, or as much and take no more time. */
static bool order_sacrifice(const struct run_order *order, const struct batch_task *tasks, bool *ret_out) {
    unsigned last = order->kept_count - 1;
    const struct batch_task *one = &tasks[order->kept[last]];
    double over = (double)order->now - one->deadline, weight = 0;
    memset(ret_out, 0, order->kept_count * sizeof *ret_out);
    for (unsigned count = 0; over > 0; count++) {
        unsigned worst = last;
        double most = -1;
        for (unsigned at = 0; at < last; at++) {
            double badness = (double)order->time[at] / tasks[order->kept[at]].weight;
            if (!ret_out[at] && badness > most) {
                most = badness;
                worst = at;
            }
        }
        if (worst == last)
            return false;
        weight += tasks[order->kept[worst]].weight;
        bool longer = count == 0 && order->time[worst] > order->time[last];
        if (weight > one->weight || (weight >= one->weight && !longer))
            return false;
        ret_out[worst] = true;
        over -= (double)order->time[worst];
    }
    return true;
}

/* Takes the next by deadline. If it is late, others stand back for it when that costs less, or it does. */
static void order_take(struct run_order *order, const struct batch_state *state, uint32_t task, float time) {
    const struct batch_task *tasks = state->problem->tasks;
    bool out[QUEUE_MAX];
    order->kept[order->kept_count] = task;
    order->time[order->kept_count++] = time;
    order->now += time;
    if ((double)order->now <= tasks[task].deadline)
        return;
    if (!order_sacrifice(order, tasks, out)) {
        order_drop(order, order->kept_count - 1);
        return;
    }
    for (unsigned at = order->kept_count - 1; at-- > 0;)
        if (out[at])
            order_drop(order, at);
}

/* Those that stand back: most weight for their time first. */
static void order_back(struct run_order *order, const struct batch_state *state, uint32_t agent) {
    const struct batch_task *tasks = state->problem->tasks;
    for (unsigned at = 1; at < order->back_count; at++) {
        uint32_t task = order->back[at];
        double key = (double)batch_time(state, task, agent) / tasks[task].weight;
        unsigned to = at;
        for (; to > 0; to--) {
            uint32_t before = order->back[to - 1];
            if ((double)batch_time(state, before, agent) / tasks[before].weight <= key)
                break;
            order->back[to] = before;
        }
        order->back[to] = task;
    }
}

static struct batch_cost cost_add(const struct batch_state *state, struct batch_cost cost, uint32_t task,
                                  float finish) {
    const struct batch_task *one = &state->problem->tasks[task];
    if ((double)finish > one->deadline) {
        cost.missed += one->weight;
        cost.tardiness += one->weight * ((double)finish - one->deadline);
    }
    return cost;
}

/* By deadline alone, in one pass. */
static struct batch_cost plain_cost(const struct batch_state *state, uint32_t agent, uint32_t without,
                                    uint32_t with, bool *ret_late) {
    struct batch_cost cost = {0};
    float now = ready_of(state, agent);
    uint32_t at = state->first[agent];
    unsigned count = 0;
    *ret_late = false;
    while (at != BATCH_NONE || with != BATCH_NONE) {
        uint32_t task = at;
        if (with != BATCH_NONE && (at == BATCH_NONE || state->rank[with] < state->rank[at])) {
            task = with;
            with = BATCH_NONE;
        } else {
            at = state->next[at];
            if (task == without)
                continue;
        }
        if (state->problem->tasks[task].deadline == INFINITY)
            break; /* so are all that follow */
        now += batch_time(state, task, agent);
        cost = cost_add(state, cost, task, now);
        *ret_late |= (double)now > state->problem->tasks[task].deadline;
        count++;
    }
    if (count > QUEUE_MAX)
        *ret_late = false;
    return cost;
}

static void order_make(struct run_order *order, const struct batch_state *state, uint32_t agent,
                       uint32_t without, uint32_t with) {
    order->kept_count = order->back_count = 0;
    order->now = ready_of(state, agent);
    uint32_t at = state->first[agent];
    while (at != BATCH_NONE || with != BATCH_NONE) {
        uint32_t task = at;
        if (with != BATCH_NONE && (at == BATCH_NONE || state->rank[with] < state->rank[at])) {
            task = with;
            with = BATCH_NONE;
        } else {
            at = state->next[at];
            if (task == without)
                continue;
        }
        if (state->problem->tasks[task].deadline == INFINITY)
            break;
        order_take(order, state, task, batch_time(state, task, agent));
    }
    order_back(order, state, agent);
}

struct batch_cost batch_queue_cost(const struct batch_state *state, uint32_t agent, uint32_t without,
                                   uint32_t with) {
    bool late;
    struct batch_cost cost = plain_cost(state, agent, without, with, &late);
    if (!late)
        return cost;
    struct run_order order;
    order_make(&order, state, agent, without, with);
    cost = (struct batch_cost){0};
    for (unsigned at = 0; at < order.back_count; at++) {
        order.now += batch_time(state, order.back[at], agent);
        cost = cost_add(state, cost, order.back[at], order.now);
    }
    return cost;
}

unsigned batch_queue_order(const struct batch_state *state, uint32_t agent, uint32_t *ret_order) {
    bool late = false;
    unsigned count = 0;
    if (state->deadlines && !(state->costs_known && state->cost[agent].missed == 0))
        (void)plain_cost(state, agent, BATCH_NONE, BATCH_NONE, &late);
    uint32_t at = state->first[agent];
    if (late) {
        struct run_order order;
        order_make(&order, state, agent, BATCH_NONE, BATCH_NONE);
        for (unsigned i = 0; i < order.kept_count; i++)
            ret_order[count++] = order.kept[i];
        for (unsigned i = 0; i < order.back_count; i++)
            ret_order[count++] = order.back[i];
        while (at != BATCH_NONE && state->problem->tasks[at].deadline != INFINITY)
            at = state->next[at];
    }
    for (; at != BATCH_NONE; at = state->next[at])
        ret_order[count++] = at;
    return count;
}

struct batch_cost batch_cost_sum(const struct batch_state *state) {
    struct batch_cost total = {0};
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++) {
        total.missed += state->cost[agent].missed;
        total.tardiness += state->cost[agent].tardiness;
    }
    return total;
}

struct batch_cost batch_cost_all(struct batch_state *state) {
    for (uint32_t agent = 0; agent < state->problem->agent_count; agent++)
        state->cost[agent] = batch_queue_cost(state, agent, BATCH_NONE, BATCH_NONE);
    return batch_cost_sum(state);
}

/* ---- fewer of them late ---- */

struct mend {
    struct batch_state *state;
    uint32_t task, from;    /* who is late */
    uint32_t to, other;     /* best so far; other: who comes back for it, or BATCH_NONE */
    struct batch_cost gain; /* below zero is better */
    float peak;
};

static unsigned queue_length(const struct batch_state *state, uint32_t agent) {
    unsigned count = 0;
    for (uint32_t at = state->first[agent]; at != BATCH_NONE; at = state->next[at])
        count++;
    return count;
}

static void mend_try(struct mend *mend, struct batch_cost left, uint32_t to, uint32_t other) {
    struct batch_state *state = mend->state;
    struct batch_cost there = batch_queue_cost(state, to, other, mend->task), gain;
    gain.missed = left.missed + there.missed - state->cost[mend->from].missed - state->cost[to].missed;
    gain.tardiness =
        left.tardiness + there.tardiness - state->cost[mend->from].tardiness - state->cost[to].tardiness;
    float peak = state->load[to] + batch_time(state, mend->task, to);
    if (other != BATCH_NONE)
        peak -= batch_time(state, other, to);
    float back = other == BATCH_NONE ? 0
                                     : state->load[mend->from] - batch_time(state, mend->task, mend->from) +
                                           batch_time(state, other, mend->from);
    if (peak > state->peak_max || back > state->peak_max)
        return;
    bool equal =
        gain.missed == mend->gain.missed && (!state->soothing || gain.tardiness == mend->gain.tardiness);
    if (batch_cost_less(state, gain, mend->gain) || (equal && mend->to != BATCH_NONE && peak < mend->peak)) {
        mend->gain = gain;
        mend->to = to;
        mend->other = other;
        mend->peak = peak;
    }
}

static bool mend_one(struct batch_state *state, uint32_t task, bool swap) {
    const struct batch_problem *problem = state->problem;
    struct mend mend = {.state = state, .task = task, .from = state->where[task], .to = BATCH_NONE};
    struct batch_cost left = batch_queue_cost(state, mend.from, task, BATCH_NONE);
    for (uint32_t to = 0; to < problem->agent_count; to++) {
        if (to == mend.from || !isfinite(batch_time(state, task, to)))
            continue;
        unsigned length = queue_length(state, to);
        if (state->room[to] > 0) {
            if (!batch_spend(state, 2 * length + 4))
                break;
            mend_try(&mend, left, to, BATCH_NONE);
        }
        if (!swap)
            continue;
        for (uint32_t other = state->first[to]; other != BATCH_NONE; other = state->next[other]) {
            if (!isfinite(batch_time(state, other, mend.from)))
                continue;
            if (!batch_spend(state, 4 * length + 8))
                break;
            mend_try(&mend, batch_queue_cost(state, mend.from, task, other), to, other);
        }
    }
    if (mend.to == BATCH_NONE)
        return false;
    batch_take(state, task);
    if (mend.other != BATCH_NONE) {
        batch_take(state, mend.other);
        batch_put(state, mend.other, mend.from);
    }
    batch_put(state, task, mend.to);
    state->cost[mend.from] = batch_queue_cost(state, mend.from, BATCH_NONE, BATCH_NONE);
    state->cost[mend.to] = batch_queue_cost(state, mend.to, BATCH_NONE, BATCH_NONE);
    return true;
}

/* Each task that is late, and then each that stands before one, tries every other agent. */
static bool mend_agent(struct batch_state *state, uint32_t agent, bool swap) {
    uint32_t next;
    for (uint32_t task = state->first[agent]; task != BATCH_NONE; task = next) {
        next = state->next[task];
        if (state->steps_left == 0)
            return false;
        if (state->problem->tasks[task].deadline != INFINITY && mend_one(state, task, swap))
            return true;
    }
    return false;
}

void batch_mend(struct batch_state *state) {
    bool again = true;
    for (unsigned swap = 0; swap < 2 && state->steps_left > 0; swap += again ? 0 : 1) {
        again = false;
        for (uint32_t agent = 0; agent < state->problem->agent_count && state->steps_left > 0; agent++)
            while (state->cost[agent].missed > 0 && state->steps_left > 0 && mend_agent(state, agent, swap))
                again = true;
        if (again && swap)
            swap = 0;
    }
}
