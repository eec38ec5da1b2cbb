/* assign: which agent takes which task and when it would end. A pure function of what it is given: no clock,
 * no actor, no allocation after assign_scratch_create. Tasks come in the order of their urgency
 * (assign_order_key); each goes to the slot where it ends first; small problems are then improved by moves
 * and swaps. The result is a forecast for every task and, for those that an agent takes now, an offer.
 *
 * Threads: one at a time per scratch.
 * Memory:  the caller's arrays; scratch from an account. */
#ifndef COORDINATE_ASSIGN_H
#define COORDINATE_ASSIGN_H

#include "task/task.h"

#define ASSIGN_NONE UINT32_MAX
#define ASSIGN_NEVER UINT64_MAX
#define ASSIGN_IMPROVE_TASKS_MAX                                                                             \
    48 /* beyond it: list scheduling only, within 4/3 of the optimum on equal agents */

struct assign_agent {
    const uint64_t *slot_free_ns; /* when each of its slots becomes free, any order; <= now: idle */
    uint32_t slots;
    uint32_t room; /* tasks it may be offered now; those planned beyond it are only forecast */
};
struct assign_demand { /* what a kind of task needs */
    const struct resources *resources;
    bool counted;        /* any resource above 0: offered only to an idle slot, never prefetched */
    const float *factor; /* by agent: service time = expected_ns x factor; 0: incapable */
};
struct assign_release { /* resources that running tasks are expected to give back */
    uint64_t at_ns;
    const struct resources *amount;
};
struct assign_task {
    uint32_t demand;
    uint64_t expected_ns; /* at factor 1; above 0 */
    uint64_t deadline_ns; /* UINT64_MAX: none */
    /* out */
    uint32_t agent; /* ASSIGN_NONE: nobody can, ever, as things are */
    bool offered;
    uint64_t start_ns, finish_ns; /* ASSIGN_NEVER when agent is ASSIGN_NONE */
};
struct assign_problem {
    uint64_t now_ns;
    const struct assign_agent *agents;
    unsigned agent_count;
    const struct assign_demand *demands;
    struct assign_task *tasks; /* most urgent first */
    unsigned task_count;
    struct resources free;
    const struct assign_release *releases;
    unsigned release_count;
    bool improve;
};
struct assign_outcome {
    unsigned late;     /* finish after deadline, or nobody */
    unsigned unplaced; /* nobody */
    unsigned offered;
    uint64_t finish_ns; /* the last, of those placed; now when none */
};

struct assign_scratch;
MUST_CHECK enum troupe_error assign_scratch_create(struct account *account, unsigned agents_max,
                                                   unsigned tasks_max, struct assign_scratch **ret_scratch);
void assign_scratch_free(struct assign_scratch *scratch);
/* LIMIT: more agents or tasks than the scratch was made for. NOMEM: its slot table could not grow. */
MUST_CHECK enum troupe_error assign_solve(struct assign_scratch *scratch,
                                          const struct assign_problem *problem,
                                          struct assign_outcome *ret_outcome);

/* Slots as a heap: earliest free first. Sort once, then give the first one a later time. */
void assign_slots_sort(uint64_t *slots, uint32_t count);
void assign_slots_advance(uint64_t *slots, uint32_t count, uint64_t free_ns);

/* Smallest first: higher priority, then earlier deadline, then earlier arrival. */
uint64_t assign_order_key(uint8_t priority, uint64_t deadline_ns, uint64_t arrival);
uint64_t assign_order_raised(uint64_t key); /* as of the next higher priority, when there is one */

#endif
