/* model: what world.c asks of a model while a run is simulated. Private to simulate/. */
#ifndef SIMULATE_MODEL_H
#define SIMULATE_MODEL_H

#include "simulate/simulate.h"

/* The sample that stands for this attempt (from 1). Never NULL: every stage has samples. */
const struct model_sample *model_pick(const struct model *model, const struct space *space, unsigned stage,
                                      uint32_t trial, unsigned attempt, const double *values, uint64_t seed);
/* What the record holds of this very configuration; NULL: nothing. */
const struct model_sample *model_known(const struct model *model, unsigned stage, uint32_t trial,
                                       unsigned attempt, const double *values);
/* What the objective would be: the record's, or the nearest trial's. */
double model_objective(const struct model *model, const struct space *space, uint32_t trial,
                       const double *values);

/* In the unit cube, squared: 1 for each choice that differs, or variable that only one of them has. `relevant` NULL:
 * all variables. */
double model_distance(const struct model *model, const struct space *space, const bool *relevant,
                      const double *a, const double *b);
/* Its worker died of it: the same agent started anew before it did anything else. */
bool record_died_of(const struct run_record *record, const struct record_execution *execution);
/* Another attempt followed. */
bool record_tried_again(const struct run_record *record, const struct record_execution *execution);
/* Finds instances that are slower or faster than their twins, and takes that out of their samples. */
MUST_CHECK enum troupe_error model_fit_speeds(struct model *model, const struct space *space,
                                              struct account *account);
/* Adds to model->parameters; n 0: assumed. Past their bound it is left out. */
void model_parameter(struct model *model, unsigned n, const char *name, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
