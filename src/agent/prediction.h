/* prediction: how long the next task of one capability will take at one instance, from the few that were
 * last seen.
 *
 * Durations of one program on one kind of task spread by factors, not by amounts, so their logarithms are
 * averaged: p50 = exp(mean), p90 = exp(mean + 1.28 deviations). A window of 32 follows a change of load
 * within seconds.
 * Threads: the instance's.
 * Memory:  none. */
#ifndef AGENT_PREDICTION_H
#define AGENT_PREDICTION_H

#include <stdint.h>

#define PREDICTION_WINDOW 32

struct prediction {
    double log_ns[PREDICTION_WINDOW];
    unsigned count; /* up to the window */
    unsigned next;
    unsigned fitted; /* samples that p50_ns was computed for, over all time */
    unsigned seen;   /* wraps; only compared with `fitted` */
    double mean;     /* of the logarithms */
    uint64_t p50_ns;
};

void prediction_add(struct prediction *prediction, uint64_t duration_ns);
/* `expected_ns` (0: unknown) is answered while nothing was seen. */
uint64_t prediction_p50(struct prediction *prediction, uint64_t expected_ns);
uint64_t prediction_p90(struct prediction *prediction, uint64_t expected_ns);

#endif
