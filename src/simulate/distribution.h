/* distribution: a random time: how it is written, drawn from and what its mean is.
 *
 *   12ms                                              constant
 *   {uniform: [45ms, 180ms]}
 *   {exponential: 5ms}                                its mean
 *   {p95: 850ms, sigma: 0.35}  {median: 1s, sigma: 1} lognormal; p95 may be a map of parts, which are added up
 *   {mix: [{share: 0.8, time: 1ms}, {share: 0.2, time: {exponential: 9ms}}]}
 *   {values: [1ms, 4ms, 2ms]}                         each as likely as the others
 *
 * Threads: any, once read. Memory: lists are in the arena it was read into. */
#ifndef SIMULATE_DISTRIBUTION_H
#define SIMULATE_DISTRIBUTION_H

#include "document/document.h"

#define DISTRIBUTION_LIST_MAX 10000
#define DISTRIBUTION_DEPTH_MAX 4
#define DISTRIBUTION_NS_MAX 1e15 /* 11 days: no single time is longer */

enum distribution_kind {
    DISTRIBUTION_CONSTANT,
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_EXPONENTIAL,
    DISTRIBUTION_LOGNORMAL,
    DISTRIBUTION_MIX,
    DISTRIBUTION_VALUES
};
struct distribution {
    enum distribution_kind kind;
    double low_ns,
        high_ns; /* UNIFORM; CONSTANT, EXPONENTIAL: low is the value, the mean; LOGNORMAL: the median */
    double sigma;
    unsigned count;
    double *values_ns;          /* VALUES */
    double *shares;             /* MIX: running sums, the last is 1 */
    struct distribution *parts; /* MIX */
};
/* `sigma`: of a lognormal that does not say; negative: it must. NULL node: *ret is left alone. */
MUST_CHECK enum troupe_error distribution_read(const struct node *node, double sigma, struct arena *arena,
                                               struct distribution *ret, struct fault *fault);
/* ns. `normal` is the standard normal that a lognormal draws by: the caller makes it, alone or in part common to
 * several times. Bounded to 0..DISTRIBUTION_NS_MAX. */
double distribution_draw(const struct distribution *distribution, struct random_stream *random,
                         double normal);
double distribution_mean(const struct distribution *distribution); /* ns */

#endif
