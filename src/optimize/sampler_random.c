/* Independent uniform draws (log variables uniform in the logarithm), and the last resort of finite spaces:
 * one configuration that was never asked. One thread at a time per study; no allocation. */
#include "optimize/study_private.h"

#include <string.h>

#define SCAN_MAX                                                                                             \
    1048576 /* configurations walked to find an unasked one: some 100 ms, and only near the end */

enum troupe_error sampler_random(struct study *study, unsigned number, struct random_stream *random,
                                 struct configuration *ret_configuration, struct fault *fault) {
    (void)number;
    return space_draw(study->space, random, 0, ret_configuration, fault);
}

/* Uniform among the unasked: the k-th one seen replaces the choice with probability 1/k. Past SCAN_MAX
 * configurations FULL: there may be some, the caller accepts a repetition. */
enum troupe_error sampler_unasked(struct study *study, struct random_stream *random,
                                  struct configuration *ret_configuration, struct fault *fault) {
    struct space_stream stream;
    struct configuration configuration;
    uint64_t seen = 0;
    if (study->cardinality > SCAN_MAX)
        return fault_set(fault, TROUPE_FULL, "study", "too many configurations to look for an unasked one");
    space_stream_init(&stream, study->space, 1);
    while (space_stream_next(&stream, &configuration)) {
        if (history_contains(study, &configuration))
            continue;
        seen++;
        if (random_below(random, seen) == 0) {
            ret_configuration->count = configuration.count;
            memcpy(ret_configuration->values, configuration.values, configuration.count * sizeof(double));
        }
    }
    return seen ? TROUPE_OK
                : fault_set(fault, TROUPE_NOT_FOUND, "study", "every feasible configuration was asked");
}
