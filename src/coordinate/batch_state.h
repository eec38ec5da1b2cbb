/* batch_state: one solution of a batch while it is searched: where each task is, the agents' queues and loads.
 * Shared by batch.c (lists, the answer), batch_balance.c (an early end) and batch_late.c (deadlines). */
#ifndef COORDINATE_BATCH_STATE_H
#define COORDINATE_BATCH_STATE_H

#include <math.h>

#include "coordinate/batch.h"

struct batch_cost { /* of a queue, or of all of them */
    double missed, tardiness;
};
struct batch_state {
    const struct batch_problem *problem;
    bool deadlines;                    /* some task has one */
    bool soothing;                     /* tardiness counts too */
    float peak_max;                    /* no load may pass it by what batch_mend does */
    float *load;                       /* by agent: when it would be done */
    float *level;                      /* the same; INFINITY while it has no room */
    float *power;                      /* of batch_balance.c */
    uint32_t *room;                    /* left, by agent */
    uint32_t *first, *next, *previous; /* queues by rank */
    uint32_t *where;                   /* by task */
    uint32_t *rank, *by_rank;          /* of the deadlines */
    uint32_t *by_size;                 /* longest first */
    struct batch_cost *cost;           /* by agent, kept while `deadlines` */
    bool costs_known;                  /* for the answer: it is that of the queues as they are */
    uint64_t steps_left;
};

static inline float batch_time(const struct batch_state *state, uint32_t task, uint32_t agent) {
    const struct batch_problem *problem = state->problem;
    const struct batch_task *one = &problem->tasks[task];
    float time = (float)one->work * problem->inverse[(size_t)one->row * problem->stride + agent];
    return one->home == BATCH_NONE || one->home == agent ? time : time + (float)problem->away;
}

/* While `soothing`, of equal misses the less tardy; before, they are equal. */
static inline bool batch_cost_less(const struct batch_state *state, struct batch_cost a,
                                   struct batch_cost b) {
    if (a.missed < b.missed - 1e-9 || a.missed > b.missed + 1e-9)
        return a.missed < b.missed;
    return state->soothing && a.tardiness < b.tardiness * (1 - 1e-9) - 1e-3;
}

static inline bool batch_spend(struct batch_state *state, uint64_t steps) {
    if (state->steps_left < steps) {
        state->steps_left = 0;
        return false;
    }
    state->steps_left -= steps;
    return true;
}

void batch_put(struct batch_state *state, uint32_t task, uint32_t agent);
void batch_take(struct batch_state *state, uint32_t task);
/* What `agent` would cost without one task and with another (BATCH_NONE: neither). */
struct batch_cost batch_queue_cost(const struct batch_state *state, uint32_t agent, uint32_t without,
                                   uint32_t with);
/* The queue in order of execution; returns its length. */
unsigned batch_queue_order(const struct batch_state *state, uint32_t agent, uint32_t *ret_order);
struct batch_cost batch_cost_all(struct batch_state *state); /* anew */
struct batch_cost batch_cost_sum(const struct batch_state *state);

uint64_t batch_sweep_steps(const struct batch_state *state); /* of the least sweep */
void batch_sweep(struct batch_state *state);
void batch_descend(struct batch_state *state);
/* From where it stands, with the steps that are left; `kept`: room for a number of each task. */
void batch_throw(struct batch_state *state, uint32_t *kept);
void batch_mend(struct batch_state *state);

#endif
