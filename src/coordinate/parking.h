/* parking: tasks that wait beyond what a plan looks at, in at most 64 bytes each: a record of 40, its place in two heaps
 * and in a table of ids. The task's own block is its owner's and ours to hand on, as that of every task that waits.
 *
 * Invariants: a record is in the heap of its demand, in that of the deadlines when it has one, and in its bucket; at[]
 *             are its places; equal orders leave in that of their arrival.
 * Threads: the coordinator's turns. Memory: chunks, released but for one when nothing is parked; heaps grow by half,
 * buckets double.
 * Failure: parking_put NOMEM changes nothing; the rest never fails. */
#ifndef COORDINATE_PARKING_H
#define COORDINATE_PARKING_H

#include "task/task.h"

#define PARKED_NONE 0U /* of indexes, which begin at 1 */
enum parked_order { PARKED_BY_ORDER, PARKED_BY_DEADLINE, PARKED_ORDERS };

struct parked {
    struct task *task; /* NULL: a free record */
    uint64_t order;
    uint32_t arrival;           /* among equal orders: the low bits */
    uint32_t next;              /* of its bucket, or of the free ones */
    uint32_t at[PARKED_ORDERS]; /* its place in each heap, from 1 on; 0: not in it */
    uint32_t round;             /* the low bits of the id of its batch's round, */
    uint16_t round_at;          /* which was that one */
    uint16_t demand;            /* index in wait_queue.demands */
};
_Static_assert(sizeof(struct parked) == 40, "what a task that waits costs");

struct parked_heap {
    uint32_t *items;
    uint32_t count, capacity;
};

struct parking {
    struct account *account;
    uint64_t hash_seed;
    struct parked **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t free; /* the first free record */
    uint32_t count;
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two; 0: none yet */
    struct parked_heap deadlines;
};
void parking_init(struct parking *parking, struct account *account, uint64_t hash_seed);
void parking_free(struct parking *parking); /* tasks with it; the heaps of demands before: parked_heap_free */
void parked_heap_free(struct parked_heap *heap, struct account *account);

/* `values`: task, order, arrival, round, round_at, demand. NOMEM. */
MUST_CHECK enum troupe_error parking_put(struct parking *parking, struct parked_heap *heap,
                                         const struct parked *values);
struct task *parking_take(struct parking *parking, struct parked_heap *heap, uint32_t index);
const struct parked *parking_at(const struct parking *parking, uint32_t index);
uint32_t parking_find(const struct parking *parking, struct task_id id); /* PARKED_NONE: it is not here */
static inline uint32_t parked_first(const struct parked_heap *heap) {
    return heap->count > 0 ? heap->items[0] : PARKED_NONE;
}
/* All, in no order: begin with *at = 0; PARKED_NONE after the last. The one told last may be taken. */
uint32_t parking_next(const struct parking *parking, uint32_t *at);

#endif
