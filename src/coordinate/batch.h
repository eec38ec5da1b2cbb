/* batch: a whole batch of tasks over agents that serve one task after the other, as well as a bounded number of
 * steps allows. A pure function: no clock, no actor, no allocation once its scratch is large enough; the same
 * problem gives the same answer.
 *
 * What is wanted, the first before the next: little weight of missed deadlines, little weighted tardiness, an
 * early end of the last task. Each queue is in the order of its deadlines, but for tasks that miss theirs
 * anyhow and then stand back for those that need not.
 *
 * Units:   times are ns from now, as double. Threads: one at a time per scratch.
 * Memory:  arrays of the problem and of the answer are the caller's. Failure: NOMEM. */
#ifndef COORDINATE_BATCH_H
#define COORDINATE_BATCH_H

#include "base/base.h"

#define BATCH_NONE UINT32_MAX

struct batch_task {
    uint32_t row;    /* of the inverse speeds */
    uint32_t home;   /* where its data is, or BATCH_NONE */
    double work;     /* ns at speed 1, above 0 */
    double deadline; /* INFINITY: none */
    double weight;   /* above 0 */
};
struct batch_problem {
    unsigned agent_count, task_count;
    unsigned stride;      /* of a row; agent_count or more */
    const float *inverse; /* by row and agent: 1 / speed; INFINITY: it cannot */
    const double *ready;  /* by agent: until what it has is done */
    const uint32_t *room; /* by agent: how many of these tasks it may get */
    const struct batch_task *tasks;
    double away;    /* what a task takes longer elsewhere than at its home */
    uint64_t steps; /* of the search, each some ns; 0: lists only */
};
struct batch_answer {
    uint32_t *agent; /* by task; BATCH_NONE: nobody can, or has room */
    uint32_t *queue; /* task_count: the agents' queues, one after the other, in order of execution */
    uint32_t *first; /* agent_count + 1: where each begins */
    double *finish;  /* by task; INFINITY: nobody */
    double missed, tardiness, last; /* weights; the end of the last task */
    unsigned late, unplaced;        /* tasks; late without the unplaced */
    uint64_t steps;                 /* that were used */
};

struct batch_scratch;
MUST_CHECK enum troupe_error batch_scratch_create(struct account *account,
                                                  struct batch_scratch **ret_scratch);
void batch_scratch_free(struct batch_scratch *scratch); /* NULL is fine */
MUST_CHECK enum troupe_error batch_solve(struct batch_scratch *scratch, const struct batch_problem *problem,
                                         struct batch_answer *answer);

/* Shared pools, of which a task holds amounts while it runs. */
#define BATCH_POOLS_MAX 8
struct batch_pools {
    unsigned count;       /* 1 to BATCH_POOLS_MAX */
    const int64_t *total; /* by pool */
    const int64_t *needs; /* by task and pool; none above its total */
    const int64_t *holds; /* by agent and pool: until it is ready; all agents' at most the total */
};
/* The same with pools that are never used above their totals: an agent may wait between two tasks. Times are whole ns.
 * `ret_start`: by task. An answer that the pools leave alone is that of batch_solve. */
MUST_CHECK enum troupe_error batch_pools_solve(struct account *account, struct batch_scratch *scratch,
                                               const struct batch_problem *problem,
                                               const struct batch_pools *pools, struct batch_answer *answer,
                                               double *ret_start);

/* One arrival: the agent where it ends first, the first of equals; BATCH_NONE: nobody. */
uint32_t batch_earliest(const float *inverse, const double *ready, const uint32_t *room, unsigned agent_count,
                        double work, double *ret_finish);

#endif
