/* Trial n is scrambled Sobol' point n (n - 1 after a baseline). Variables past the tabled dimensions, and
 * points that break a constraint, are drawn at random from the trial's own stream. One thread at a time per
 * study. */
#include "optimize/study_private.h"

#include <string.h>

enum troupe_error sampler_sobol(struct study *study, unsigned number, struct random_stream *random,
                                struct configuration *ret_configuration, struct fault *fault) {
    struct configuration configuration = {.count = study->dimension};
    uint32_t index = number - study->baseline;
    for (unsigned i = 0; i < study->dimension; i++) {
        double unit = i < SOBOL_DIMENSIONS ? sobol_unit(index, i, study->options.seed) : random_unit(random);
        configuration.values[i] = space_from_unit(space_variable(study->space, i), unit);
    }
    space_normalise(study->space, &configuration);
    if (!space_feasible(study->space, &configuration))
        return space_draw(study->space, random, 0, ret_configuration, fault);
    ret_configuration->count = configuration.count;
    memcpy(ret_configuration->values, configuration.values, configuration.count * sizeof(double));
    return TROUPE_OK;
}
