/* prediction: see the header. The fit is made when it is asked for, at most once per new sample, because
 * offers are rarer than answers. With one sample the deviation is unknown and taken as 0.35 (p90 at 1.6 times
 * p50), the spread that training stages of the examples show. */
#include "agent/prediction.h"

#include <math.h>

#define DEVIATION_UNKNOWN 0.35
#define NORMAL_P90 1.2815515655446004
#define DURATION_NS_MAX 9e18

void prediction_add(struct prediction *prediction, uint64_t duration_ns) {
    prediction->log_ns[prediction->next] = log(duration_ns > 0 ? (double)duration_ns : 1.0);
    prediction->next = (prediction->next + 1) % PREDICTION_WINDOW;
    if (prediction->count < PREDICTION_WINDOW)
        prediction->count++;
    prediction->seen++;
}

static uint64_t duration_of(double log_ns) {
    double ns = exp(log_ns);
    return ns < DURATION_NS_MAX ? (uint64_t)(ns + 0.5) : (uint64_t)DURATION_NS_MAX;
}

static void prediction_fit(struct prediction *prediction) {
    if (prediction->fitted == prediction->seen)
        return;
    double sum = 0;
    for (unsigned at = 0; at < prediction->count; at++)
        sum += prediction->log_ns[at];
    prediction->mean = sum / prediction->count;
    prediction->p50_ns = duration_of(prediction->mean);
    prediction->fitted = prediction->seen;
}

uint64_t prediction_p50(struct prediction *prediction, uint64_t expected_ns) {
    if (prediction->count == 0)
        return expected_ns;
    prediction_fit(prediction);
    return prediction->p50_ns;
}

/* Asked for rarely, so not kept. */
uint64_t prediction_p90(struct prediction *prediction, uint64_t expected_ns) {
    if (prediction->count == 0)
        return (uint64_t)((double)expected_ns * exp(NORMAL_P90 * DEVIATION_UNKNOWN));
    prediction_fit(prediction);
    double squares = 0;
    for (unsigned at = 0; at < prediction->count; at++) {
        double away = prediction->log_ns[at] - prediction->mean;
        squares += away * away;
    }
    double deviation = prediction->count > 1 ? sqrt(squares / (prediction->count - 1)) : DEVIATION_UNKNOWN;
    return duration_of(prediction->mean + NORMAL_P90 * deviation);
}
