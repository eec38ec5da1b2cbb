/* Blocks of segments in an array in time's order: a place is found by halving, a block that is full is split. */
#include "coordinate/batch_timeline.h"

#include <math.h>
#include <string.h>

enum { SEGMENTS = 32 };

/* A taking adds two segments at most, and each split leaves two blocks of SEGMENTS / 2 or more. */
static size_t blocks_for(size_t takings) {
    return (2 * takings + 1) / (SEGMENTS / 2) + 2;
}

struct carver { /* of one block; with `block` NULL only measures */
    char *block;
    size_t used;
};

static void *carve(struct carver *carver, size_t size) {
    void *part = carver->block ? carver->block + carver->used : NULL;
    carver->used += (size + 15) & ~(size_t)15;
    return part;
}

static size_t place(struct batch_timeline *timeline, void *bytes) {
    struct carver at = {bytes, 0};
    size_t blocks = timeline->blocks_max, cells = blocks * timeline->pools;
    timeline->order = carve(&at, blocks * sizeof(uint32_t));
    timeline->count = carve(&at, blocks * sizeof(uint32_t));
    timeline->start = carve(&at, blocks * SEGMENTS * sizeof(double));
    timeline->used = carve(&at, cells * SEGMENTS * sizeof(int64_t));
    timeline->least = carve(&at, cells * sizeof(int64_t));
    timeline->most = carve(&at, cells * sizeof(int64_t));
    return at.used;
}

size_t batch_timeline_bytes(unsigned pools, size_t takings) {
    struct batch_timeline timeline = {.pools = pools, .blocks_max = (unsigned)blocks_for(takings)};
    return place(&timeline, NULL);
}

void batch_timeline_place(struct batch_timeline *timeline, void *bytes, unsigned pools, size_t takings,
                          const int64_t *total) {
    *timeline =
        (struct batch_timeline){.pools = pools, .blocks_max = (unsigned)blocks_for(takings), .total = total};
    place(timeline, bytes);
    batch_timeline_clear(timeline);
}

static double *starts(const struct batch_timeline *timeline, uint32_t block) {
    return timeline->start + (size_t)block * SEGMENTS;
}

static int64_t *uses(const struct batch_timeline *timeline, uint32_t block, unsigned pool) {
    return timeline->used + ((size_t)block * timeline->pools + pool) * SEGMENTS;
}

void batch_timeline_clear(struct batch_timeline *timeline) {
    timeline->blocks = 1;
    timeline->order[0] = 0;
    timeline->count[0] = 1;
    starts(timeline, 0)[0] = 0;
    for (unsigned pool = 0; pool < timeline->pools; pool++)
        uses(timeline, 0, pool)[0] = timeline->least[pool] = timeline->most[pool] = 0;
}

/* ---- looking ---- */

/* Where in the order the block is that `time` falls into. */
static unsigned block_at(const struct batch_timeline *timeline, double time) {
    unsigned low = 0, high = timeline->blocks;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (starts(timeline, timeline->order[middle])[0] <= time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static unsigned segment_at(const struct batch_timeline *timeline, uint32_t block, double time) {
    const double *start = starts(timeline, block);
    unsigned at = 0;
    while (at + 1 < timeline->count[block] && start[at + 1] <= time)
        at++;
    return at;
}

enum fit { FIT_NOWHERE, FIT_SOMEWHERE, FIT_THROUGHOUT };

static enum fit block_fit(const struct batch_timeline *timeline, uint32_t block, const int64_t *needs) {
    enum fit fit = FIT_THROUGHOUT;
    for (unsigned pool = 0; pool < timeline->pools; pool++) {
        size_t cell = (size_t)block * timeline->pools + pool;
        int64_t most = timeline->total[pool] - needs[pool];
        if (needs[pool] > 0 && timeline->least[cell] > most)
            return FIT_NOWHERE;
        if (needs[pool] > 0 && timeline->most[cell] > most)
            fit = FIT_SOMEWHERE;
    }
    return fit;
}

static bool segment_fits(const struct batch_timeline *timeline, uint32_t block, unsigned at,
                         const int64_t *needs) {
    for (unsigned pool = 0; pool < timeline->pools; pool++)
        if (needs[pool] > 0 && uses(timeline, block, pool)[at] > timeline->total[pool] - needs[pool])
            return false;
    return true;
}

/* Within one block, from segment `at` on: true when the answer, `*start`, ends before the block does. */
static bool block_earliest(struct batch_timeline *timeline, uint32_t block, unsigned at, const int64_t *needs,
                           double duration, double end, double *start) {
    const double *begins = starts(timeline, block);
    for (; at < timeline->count[block]; at++) {
        double segment_end = at + 1 < timeline->count[block] ? begins[at + 1] : end;
        timeline->steps++;
        if (!segment_fits(timeline, block, at, needs))
            *start = segment_end;
        else if (segment_end >= *start + duration)
            return true;
    }
    return false;
}

double batch_timeline_earliest(struct batch_timeline *timeline, const int64_t *needs, double from,
                               double duration) {
    double start = from;
    unsigned at = block_at(timeline, from);
    for (bool first = true; at < timeline->blocks; at++, first = false) {
        uint32_t block = timeline->order[at];
        double end =
            at + 1 < timeline->blocks ? starts(timeline, timeline->order[at + 1])[0] : (double)INFINITY;
        enum fit fit = block_fit(timeline, block, needs);
        timeline->steps++;
        if (fit == FIT_NOWHERE)
            start = end;
        else if (fit == FIT_SOMEWHERE) {
            unsigned segment = first ? segment_at(timeline, block, from) : 0;
            if (block_earliest(timeline, block, segment, needs, duration, end, &start))
                return start;
        } else if (end >= start + duration)
            return start;
    }
    CHECK(false); /* the last segment is free for ever */
}

/* ---- taking ---- */

static void block_bounds(const struct batch_timeline *timeline, uint32_t block) {
    for (unsigned pool = 0; pool < timeline->pools; pool++) {
        const int64_t *used = uses(timeline, block, pool);
        int64_t least = used[0], most = used[0];
        for (unsigned at = 1; at < timeline->count[block]; at++) {
            least = used[at] < least ? used[at] : least;
            most = used[at] > most ? used[at] : most;
        }
        timeline->least[(size_t)block * timeline->pools + pool] = least;
        timeline->most[(size_t)block * timeline->pools + pool] = most;
    }
}

/* The second half of the block at `at` becomes one of its own, behind it. */
static void block_split(struct batch_timeline *timeline, unsigned at) {
    CHECK(timeline->blocks < timeline->blocks_max);
    uint32_t from = timeline->order[at], to = timeline->blocks;
    memmove(timeline->order + at + 2, timeline->order + at + 1,
            (timeline->blocks - at - 1) * sizeof *timeline->order);
    timeline->order[at + 1] = to;
    timeline->blocks++;
    unsigned half = timeline->count[from] / 2, rest = timeline->count[from] - half;
    memcpy(starts(timeline, to), starts(timeline, from) + half, rest * sizeof(double));
    for (unsigned pool = 0; pool < timeline->pools; pool++)
        memcpy(uses(timeline, to, pool), uses(timeline, from, pool) + half, rest * sizeof(int64_t));
    timeline->count[from] = half;
    timeline->count[to] = rest;
    block_bounds(timeline, from);
    block_bounds(timeline, to);
}

/* A segment begins at `time` from now on. */
static void cut(struct batch_timeline *timeline, double time) {
    unsigned at = block_at(timeline, time);
    if (timeline->count[timeline->order[at]] == SEGMENTS &&
        starts(timeline, timeline->order[at])[segment_at(timeline, timeline->order[at], time)] < time) {
        block_split(timeline, at);
        at = block_at(timeline, time);
    }
    uint32_t block = timeline->order[at];
    unsigned segment = segment_at(timeline, block, time), rest = timeline->count[block] - segment - 1;
    double *start = starts(timeline, block);
    if (start[segment] >= time)
        return;
    memmove(start + segment + 2, start + segment + 1, rest * sizeof *start);
    start[segment + 1] = time;
    for (unsigned pool = 0; pool < timeline->pools; pool++) {
        int64_t *used = uses(timeline, block, pool);
        memmove(used + segment + 1, used + segment, (rest + 1) * sizeof *used);
    }
    timeline->count[block]++;
}

void batch_timeline_take(struct batch_timeline *timeline, const int64_t *needs, double start, double end) {
    if (end <= start)
        return;
    cut(timeline, start);
    cut(timeline, end);
    for (unsigned at = block_at(timeline, start); at < timeline->blocks; at++) {
        uint32_t block = timeline->order[at];
        const double *begins = starts(timeline, block);
        unsigned from = segment_at(timeline, block, start), to = timeline->count[block];
        if (begins[0] >= end)
            break;
        if (begins[to - 1] >= end)
            to = segment_at(timeline, block, end);
        for (unsigned pool = 0; pool < timeline->pools; pool++) {
            int64_t *used = uses(timeline, block, pool);
            for (unsigned segment = from; needs[pool] > 0 && segment < to; segment++) {
                used[segment] += needs[pool];
                CHECK(used[segment] <= timeline->total[pool]);
            }
        }
        timeline->steps += to - from;
        block_bounds(timeline, block);
    }
}
