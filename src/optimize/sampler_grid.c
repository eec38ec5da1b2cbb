/* The grid: every configuration in the order of space_stream, continuous variables at evenly spaced points.
 * Nothing is kept between asks but the history: the next point is the first that was not asked, so a restored
 * study goes on where it stopped. O(points asked) hash look-ups an ask. One thread at a time per study. */
#include "optimize/study_private.h"

#include <math.h>

#define POINTS_DEFAULT 5

/* As many points per continuous variable as fit the bound of trials, when one was set. */
static unsigned grid_points(const struct study *study) {
    double finite = 1, continuous = 0;
    for (unsigned i = 0; i < study->dimension; i++) {
        const struct variable *variable = space_variable(study->space, i);
        if (isfinite(variable->levels))
            finite *= variable->levels;
        else
            continuous++;
    }
    if (continuous == 0 || study->options.trials_max >= 100000)
        return POINTS_DEFAULT;
    double points = floor(pow(study->options.trials_max / finite, 1 / continuous) + 1e-9);
    return points < 2 ? 2 : points > 1000 ? 1000 : (unsigned)points;
}

enum troupe_error sampler_grid(struct study *study, unsigned number, struct random_stream *random,
                               struct configuration *ret_configuration, struct fault *fault) {
    struct space_stream stream;
    (void)random;
    space_stream_init(&stream, study->space, grid_points(study));
    while (space_stream_next(&stream, ret_configuration))
        if (!history_contains(study, ret_configuration))
            return TROUPE_OK;
    if (stream.gave_up)
        return fault_set(fault, TROUPE_INFEASIBLE, "study",
                         "the grid has %d points in a row that break the constraints", SPACE_STREAM_SKIP_MAX);
    if (number == 0)
        return fault_set(fault, TROUPE_INFEASIBLE, "study", "no point of the grid satisfies the constraints");
    return fault_set(fault, TROUPE_NOT_FOUND, "study", "the grid is exhausted: all its points were asked");
}
