/* wait_queue: the tasks that no agent can take now, by what they need (demand) and, within one, by urgency. Those that
 * plans look at have a claim; the others are parked. Both are in the order of their urgency; see park.c for who merges.
 *
 * A demand is a capability with amounts of counted resources: all its tasks fit, or none does. Bounded:
 * queue_len_max tasks (the caller asks), DEMANDS_MAX kinds at a time.
 * Threads: the coordinator's turns. */
#ifndef COORDINATE_WAIT_QUEUE_H
#define COORDINATE_WAIT_QUEUE_H

#include "coordinate/ledger.h"
#include "coordinate/parking.h"

#define DEMANDS_MAX 1024

struct demand {
    struct resources resources;
    unsigned capability;
    bool counted;        /* any resource above 0 */
    uint32_t users;      /* live tasks of this kind, waiting or not; 0: may be reused */
    uint32_t deferred;   /* in the plan being made */
    uint32_t plan_row;   /* in the plan being made */
    uint64_t plan;       /* the plan that set the two above */
    unsigned queue_at;   /* position among the non-empty ones */
    uint16_t index;      /* in wait_queue.demands */
    struct heap waiting; /* of claims */
    struct parked_heap parked;
};

struct wait_queue {
    struct account *account;
    struct map *by_need; /* key: struct demand_key in wait_queue.c */
    struct demand *demands[DEMANDS_MAX];
    unsigned demand_count;
    struct demand *last;                /* found last: batches are mostly of one kind */
    struct demand *filled[DEMANDS_MAX]; /* those with waiting tasks */
    unsigned filled_count;
    struct parking parking;
    unsigned count, count_max; /* tasks waiting, parked ones among them: now and the most ever */
    uint64_t arrivals;
};
MUST_CHECK enum troupe_error wait_queue_init(struct wait_queue *queue, struct account *account,
                                             uint64_t hash_seed);
void wait_queue_free(struct wait_queue *queue); /* without claims; parked tasks go with it */
/* LIMIT: more than DEMANDS_MAX kinds at once. The caller adds and drops `users`. */
MUST_CHECK enum troupe_error wait_queue_demand(struct wait_queue *queue, unsigned capability,
                                               const struct resources *resources, struct demand **ret_demand);
/* By claim->order and, among equals, claim->arrival; NOMEM. */
MUST_CHECK enum troupe_error wait_queue_put(struct wait_queue *queue, struct claim *claim);
void wait_queue_remove(struct wait_queue *queue, struct claim *claim);
struct claim *wait_queue_first(const struct demand *demand); /* with a claim; NULL: none */
/* `values` as of parking_put, but the demand. NOMEM. */
MUST_CHECK enum troupe_error wait_queue_park(struct wait_queue *queue, struct demand *demand,
                                             const struct parked *values);
struct task *wait_queue_unpark(struct wait_queue *queue, uint32_t index);

#endif
