/* batch_timeline: how much of some shared pools is in use when; what a plan of tasks that hold amounts while they run
 * asks for the earliest time at which a task's amounts are free for as long as it takes.
 *
 * Invariant: no pool is ever used above its total (batch_timeline_take CHECKs it).
 * Times are whole ns as double, intervals [start, end). Segments of equal use lie in blocks of 16 to 32, each with its
 * least and most, so that a search passes over what is full or empty block by block.
 * Threads: one at a time. Memory: the caller's, batch_timeline_bytes of it. Failure: none. */
#ifndef COORDINATE_BATCH_TIMELINE_H
#define COORDINATE_BATCH_TIMELINE_H

#include "base/base.h"

struct batch_timeline {
    unsigned pools;
    unsigned blocks, blocks_max;
    const int64_t *total;  /* by pool */
    uint32_t *order;       /* of the blocks in time */
    uint32_t *count;       /* by block: segments */
    double *start;         /* by block and segment; a segment ends where the next begins */
    int64_t *used;         /* by block, pool and segment */
    int64_t *least, *most; /* by block and pool */
    uint64_t steps;        /* segments and blocks that were looked at */
};

/* For so many takings. */
size_t batch_timeline_bytes(unsigned pools, size_t takings);
/* `total` stays the caller's. Nothing is in use. */
void batch_timeline_place(struct batch_timeline *timeline, void *bytes, unsigned pools, size_t takings,
                          const int64_t *total);
void batch_timeline_clear(struct batch_timeline *timeline);
/* Needs above a total are a wrong program: there would be no such time. */
double batch_timeline_earliest(struct batch_timeline *timeline, const int64_t *needs, double from,
                               double duration);
void batch_timeline_take(struct batch_timeline *timeline, const int64_t *needs, double start, double end);

#endif
