/* model: what world.c asks of a model while a run is simulated. Private to simulate/. */
#ifndef SIMULATE_MODEL_H
#define SIMULATE_MODEL_H

#include "simulate/simulate.h"

/* The sample that stands for this attempt (from 1). Never NULL: every stage has samples. */
const struct model_sample *model_pick(const struct model *model, const struct space *space, unsigned stage,
                                      uint32_t trial, unsigned attempt, const double *values, uint64_t seed);
/* What the objective would be: the record's, or the nearest trial's. */
double model_objective(const struct model *model, const struct space *space, uint32_t trial,
                       const double *values);

#endif
