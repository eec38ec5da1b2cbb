/* Inside the optimize floor: a study's history in flat arrays, and the samplers that read it.
 * Nothing outside src/optimize and its tests includes this.
 *
 * Two views of the history. What has been told is `state`. What samplers may look at is `ranked` and
 * `failed`: in completion order a trial enters them when told; in deterministic mode when trial n is about to
 * be asked and this trial is n - K or earlier, so that they are a function of n alone. Everything else asked
 * is pending. */
#ifndef OPTIMIZE_STUDY_PRIVATE_H
#define OPTIMIZE_STUDY_PRIVATE_H

#include "optimize/optimize.h"

enum trial_state { TRIAL_PENDING, TRIAL_SUCCEEDED, TRIAL_FAILED };

struct tpe;

struct study {
    struct account account;
    const struct space *space;
    struct study_options options;
    unsigned dimension;
    double cardinality;

    unsigned asked, told, capacity;
    double *values;     /* trial x variable */
    double *positions;  /* trial x variable: unit interval, choices by index; NaN: inactive */
    double *objectives; /* smaller is better, whatever the user's sense */
    double *violations;
    uint8_t *states; /* enum trial_state */

    unsigned *ranked; /* visible successes, best first */
    unsigned ranked_count;
    unsigned failed_count; /* visible failures */
    uint8_t *visible;      /* by trial */
    unsigned first_untold; /* all trials below are told */
    unsigned first_hidden; /* all trials below are visible */

    unsigned *slots; /* open addressing over configurations: trial + 1, 0 is empty */
    unsigned slot_count, distinct;

    unsigned best; /* trial + 1; 0: none yet */
    bool baseline; /* trial 0 is the default */
    struct tpe *tpe;
    struct configuration *copy; /* what study_configuration returns */
};

/* History (history.c) */
MUST_CHECK enum troupe_error history_reserve(struct study *study,
                                             struct fault *fault); /* for one more trial */
void history_append(struct study *study, const struct configuration *configuration);
bool history_contains(const struct study *study, const struct configuration *configuration);
void history_reveal(struct study *study, unsigned trial); /* makes a told trial visible */
bool history_better(const struct study *study, unsigned a, unsigned b);
void history_free(struct study *study);

/* Samplers: one configuration for trial `number` from the visible history and a stream of its own. */
typedef enum troupe_error (*sampler_draw)(struct study *study, unsigned number, struct random_stream *random,
                                          struct configuration *ret_configuration, struct fault *fault);
MUST_CHECK enum troupe_error sampler_random(struct study *study, unsigned number,
                                            struct random_stream *random,
                                            struct configuration *ret_configuration, struct fault *fault);
MUST_CHECK enum troupe_error sampler_sobol(struct study *study, unsigned number, struct random_stream *random,
                                           struct configuration *ret_configuration, struct fault *fault);
MUST_CHECK enum troupe_error sampler_grid(struct study *study, unsigned number, struct random_stream *random,
                                          struct configuration *ret_configuration, struct fault *fault);
MUST_CHECK enum troupe_error sampler_tpe(struct study *study, unsigned number, struct random_stream *random,
                                         struct configuration *ret_configuration, struct fault *fault);
/* One never asked before, for finite spaces nearly used up; NOT_FOUND when there is none. */
MUST_CHECK enum troupe_error sampler_unasked(struct study *study, struct random_stream *random,
                                             struct configuration *ret_configuration, struct fault *fault);
struct tpe_parameters {
    unsigned startup, candidates, good_max;
    double good_fraction, width_scale, width_min, prior_weight, choice_smoothing;
};
extern struct tpe_parameters tpe_parameters;
void tpe_free(struct study *study);

/* Scrambled Sobol' points (sobol.c). */
#define SOBOL_DIMENSIONS 64
double sobol_unit(uint32_t index, unsigned dimension, uint64_t seed); /* in (0, 1) */
unsigned sobol_polynomial(unsigned dimension, unsigned *ret_degree);  /* all coefficients; for tests */
uint32_t sobol_direction(unsigned dimension, unsigned bit);

#endif
