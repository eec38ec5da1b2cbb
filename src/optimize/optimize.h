/* optimize: ask/tell samplers over a space. Pure: no clock, no thread, no store, no actor.
 *
 * Threads: one caller at a time.
 * Memory:  one account per study, released by study_free. Same (space, options, sequence of calls) gives the
 *          same answers. With deterministic K > 0, trial n is a pure function of (seed, n, the told results
 *          of trials below n - K + 1... in trial order): the same trials for up to K workers, whatever order
 *          results come in. study_ask then answers AGAIN-like FULL until those are told. */
#ifndef OPTIMIZE_OPTIMIZE_H
#define OPTIMIZE_OPTIMIZE_H

#include "space/space.h"

enum sampler_kind { SAMPLER_AUTO, SAMPLER_RANDOM, SAMPLER_SOBOL, SAMPLER_TPE, SAMPLER_GRID };

struct study_options {
    enum sampler_kind sampler; /* AUTO: Sobol start-up, then multivariate TPE */
    uint64_t seed;
    unsigned deterministic; /* K; 0: completion order */
    bool maximise;          /* else minimise */
    unsigned startup;       /* 0: sampler's own choice */
    unsigned trials_max;    /* bound of the history; 0: 100,000 */
    bool baseline_first;    /* trial 0 is the space's default */
    unsigned kernels_max;   /* TPE: trials in its densities; 0: 1,024. Fewer are cheaper and coarser */
};

struct study;
MUST_CHECK enum troupe_error study_create(const struct space *space, const struct study_options *options,
                                          struct study **ret_study, struct fault *fault);
void study_free(struct study *study);

/* Next trial, numbered from 0 in order. NOT_FOUND: the space is exhausted (finite and all asked).
 * FULL: deterministic mode waits for a tell. INFEASIBLE: no configuration found. LIMIT: trials_max were
 * asked. */
MUST_CHECK enum troupe_error study_ask(struct study *study, unsigned *ret_number,
                                       struct configuration *ret_configuration, struct fault *fault);
/* One result per asked trial; EXISTS when told twice, NOT_FOUND when never asked, INVALID for NaN. */
MUST_CHECK enum troupe_error study_tell(struct study *study, unsigned number, double objective,
                                        struct fault *fault);
/* For a trial whose result must also meet constraints: `violation` is 0 when all were met, else by how much
 * they were missed in total. Any trial that met them is better than any that did not; among these the smaller
 * violation is better. INVALID for NaN or a negative violation. */
MUST_CHECK enum troupe_error study_tell_constrained(struct study *study, unsigned number, double objective,
                                                    double violation, struct fault *fault);
MUST_CHECK enum troupe_error study_tell_failed(struct study *study, unsigned number, struct fault *fault);
/* Resume: re-enters trial `number` (in order) with the configuration it was given; pending until told. */
MUST_CHECK enum troupe_error study_restore(struct study *study, unsigned number,
                                           const struct configuration *configuration, struct fault *fault);

/* Best told trial so far that met its constraints (ties: lowest number). NOT_FOUND before the first success.
 */
MUST_CHECK enum troupe_error study_best(const struct study *study, unsigned *ret_number,
                                        double *ret_objective);
/* NULL: never asked. The study's own copy, good until study_configuration is called again. */
const struct configuration *study_configuration(const struct study *study, unsigned number);
unsigned study_asked(const struct study *study);
unsigned study_told(const struct study *study);

const char *sampler_name(enum sampler_kind kind);
MUST_CHECK enum troupe_error sampler_parse(const char *name, enum sampler_kind *ret_kind); /* INVALID */

#endif
