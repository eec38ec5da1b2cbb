/* prediction: how long the next task of one capability will take at one instance, from those that were last seen there, what
 * is expected of its kind, and its size.
 *
 *   log duration = level of this instance + exponent x log size + what varies
 *
 * Durations spread by factors, not by amounts, so all of it is in logarithms. The window holds the last 32.
 * - Level: each observation moves it by a part of what it is off, held back when it is far off; by which part is chosen by
 *   how far off the window was. When the last few differ from the ones before by more than chance explains, the last few
 *   alone. What was expected counts while little was seen.
 * - Exponent: by least squares between the sizes that were told, drawn towards 1 (in proportion) while they say little.
 * - p90: what nine in ten stayed below, counted: it rises when a duration is above it and falls slowly otherwise, so that
 *   it holds whatever the distribution is.
 *
 * Threads: the instance's. Memory: none. Cost: an observation some 20 ns; a fit 2 to 3 us, at most one
 * for each observation. */
#ifndef AGENT_PREDICTION_H
#define AGENT_PREDICTION_H

#include <stdbool.h>
#include <stdint.h>

#define PREDICTION_WINDOW 32

struct prediction {
    float log_ns[PREDICTION_WINDOW], log_size[PREDICTION_WINDOW]; /* a ring; size 0 (1 told): not told */
    uint8_t count, next;              /* up to the window; where the next one goes */
    uint8_t since;                    /* observations since the speed changed, up to the window */
    bool unfitted;                    /* an observation came after the fit */
    bool sizes;                       /* some had one */
    float level, exponent, deviation; /* fitted */
    float reach;                      /* p90 above the level, in deviations */
    float mean_size;                  /* logarithm, of those fitted */
};

/* `size`: of the task's input, in any unit; 0: not told. */
void prediction_add(struct prediction *prediction, uint64_t duration_ns, double size);
/* `expected_ns` (0: unknown), of this very task, is answered while nothing was seen. */
uint64_t prediction_p50(struct prediction *prediction, uint64_t expected_ns, double size);
uint64_t prediction_p90(struct prediction *prediction, uint64_t expected_ns, double size);
/* How many times as long as one of no told size: 1 while sizes say nothing. */
double prediction_share(struct prediction *prediction, double size);

#endif
