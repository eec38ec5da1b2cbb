/* A study: asks its sampler for trials, takes their results, names the best. No clock, thread or store.
 *
 *   (asked or restored) PENDING --tell--------> SUCCEEDED
 *                          `------tell_failed-> FAILED       nothing leaves the last two
 *
 * Trial n draws from random_seed(seed, n) only, so what is drawn depends on n and the visible history, never
 * on how often or in which order the study was called.
 * Threads: one at a time.
 * Memory:  the study owns all it allocates. */
#include "optimize/study_private.h"

#include <math.h>
#include <string.h>

#define TRIALS_MAX 100000
#define REDRAWS 64 /* of a configuration that was asked before, in a finite space */

static struct account studies = {.name = "studies"}; /* the struct itself; the rest is on the study's own */

static const struct {
    const char *name;
    sampler_draw draw;
} samplers[] = {
    [SAMPLER_AUTO] = {"auto", sampler_tpe},     [SAMPLER_RANDOM] = {"random", sampler_random},
    [SAMPLER_SOBOL] = {"sobol", sampler_sobol}, [SAMPLER_TPE] = {"tpe", sampler_tpe},
    [SAMPLER_GRID] = {"grid", sampler_grid},
};

const char *sampler_name(enum sampler_kind kind) {
    CHECK((size_t)kind < ARRAY_COUNT(samplers));
    return samplers[kind].name;
}

enum troupe_error sampler_parse(const char *name, enum sampler_kind *ret_kind) {
    for (size_t i = 0; i < ARRAY_COUNT(samplers); i++)
        if (strcmp(samplers[i].name, name) == 0) {
            *ret_kind = (enum sampler_kind)i;
            return TROUPE_OK;
        }
    return TROUPE_INVALID;
}

enum troupe_error study_create(const struct space *space, const struct study_options *options,
                               struct study **ret_study, struct fault *fault) {
    struct configuration configuration;
    if ((size_t)options->sampler >= ARRAY_COUNT(samplers))
        return fault_set(fault, TROUPE_INVALID, "study", "sampler %d does not exist", (int)options->sampler);
    if (options->baseline_first) {
        struct fault reason = {0};
        space_default(space, &configuration);
        if (space_validate(space, &configuration, &reason))
            return fault_set(fault, TROUPE_INFEASIBLE, "study",
                             "the default configuration cannot be trial 0: %s", reason.text);
    }
    struct study *study = memory_alloc(&studies, sizeof *study);
    if (!study)
        return fault_set(fault, TROUPE_NOMEM, "study", "no memory for a study");
    study->account = ACCOUNT("study");
    study->space = space;
    study->options = *options;
    if (study->options.trials_max == 0)
        study->options.trials_max = TRIALS_MAX;
    study->dimension = space_count(space);
    study->cardinality = space_cardinality(space);
    study->baseline = options->baseline_first;
    study->copy = memory_alloc(&study->account, sizeof *study->copy);
    if (!study->copy) {
        study_free(study);
        return fault_set(fault, TROUPE_NOMEM, "study", "no memory for a study");
    }
    *ret_study = study;
    return TROUPE_OK;
}

void study_free(struct study *study) {
    if (!study)
        return;
    history_free(study);
    tpe_free(study);
    memory_free(&study->account, study->copy);
    CHECK(study->account.blocks == 0);
    memory_free(&studies, study);
}

/* Deterministic mode: trial n sees exactly trials 0 .. n - K, which must have been told. */
static enum troupe_error history_advance(struct study *study, struct fault *fault) {
    unsigned needed =
        study->asked >= study->options.deterministic ? study->asked - study->options.deterministic + 1 : 0;
    if (study->options.deterministic == 0)
        return TROUPE_OK;
    if (study->first_untold < needed)
        return fault_set(fault, TROUPE_FULL, "study",
                         "trial %u waits for the result of trial %u (deterministic: %u)", study->asked,
                         study->first_untold, study->options.deterministic);
    while (study->first_hidden < needed)
        history_reveal(study, study->first_hidden++);
    return TROUPE_OK;
}

static enum troupe_error exhausted(const struct study *study, struct fault *fault) {
    return fault_set(fault, TROUPE_NOT_FOUND, "study",
                     "the space is exhausted: all %u configurations were asked", study->distinct);
}

/* A configuration for the next trial: the sampler's, or another when that was asked before in a finite space.
 */
static enum troupe_error next_draw(struct study *study, struct configuration *configuration,
                                   struct fault *fault) {
    struct random_stream random;
    bool finite = isfinite(study->cardinality);
    if (study->asked == 0 && study->baseline) {
        space_default(study->space, configuration);
        return TROUPE_OK;
    }
    if (finite && study->distinct >= study->cardinality)
        return exhausted(study, fault);
    random_seed(&random, study->options.seed, study->asked);
    enum troupe_error error =
        samplers[study->options.sampler].draw(study, study->asked, &random, configuration, fault);
    for (unsigned i = 0; i < REDRAWS && !error && finite && history_contains(study, configuration); i++)
        error = sampler_random(study, study->asked, &random, configuration, fault);
    if (finite && (error == TROUPE_INFEASIBLE || (!error && history_contains(study, configuration)))) {
        struct fault first = {0};
        enum troupe_error second = sampler_unasked(study, &random, configuration, &first);
        if (second == TROUPE_OK)
            return TROUPE_OK;
        if (second == TROUPE_NOT_FOUND && study->distinct > 0)
            return exhausted(study, fault);
    }
    return error;
}

enum troupe_error study_ask(struct study *study, unsigned *ret_number,
                            struct configuration *ret_configuration, struct fault *fault) {
    struct configuration configuration;
    if (study->asked >= study->options.trials_max)
        return fault_set(fault, TROUPE_LIMIT, "study", "all %u trials were asked", study->options.trials_max);
    enum troupe_error error = history_advance(study, fault);
    if (!error)
        error = history_reserve(study, fault);
    if (!error)
        error = next_draw(study, &configuration, fault);
    if (error)
        return error;
    CHECK_SLOW(space_validate(study->space, &configuration, NULL) == TROUPE_OK);
    *ret_number = study->asked;
    ret_configuration->count = configuration.count;
    memcpy(ret_configuration->values, configuration.values, configuration.count * sizeof(double));
    history_append(study, &configuration);
    return TROUPE_OK;
}

enum troupe_error study_restore(struct study *study, unsigned number,
                                const struct configuration *configuration, struct fault *fault) {
    struct fault reason = {0};
    if (number < study->asked)
        return fault_set(fault, TROUPE_EXISTS, "study", "trial %u is already there", number);
    if (number > study->asked)
        return fault_set(fault, TROUPE_INVALID, "study", "trial %u cannot be restored before trial %u",
                         number, study->asked);
    if (number >= study->options.trials_max)
        return fault_set(fault, TROUPE_LIMIT, "study", "trial %u is past the bound of %u trials", number,
                         study->options.trials_max);
    if (space_validate(study->space, configuration, &reason) == TROUPE_INVALID)
        return fault_set(fault, TROUPE_INVALID, "study", "trial %u does not fit the space: %s", number,
                         reason.text);
    enum troupe_error error = history_reserve(study, fault);
    if (!error)
        history_append(study, configuration);
    return error;
}

static enum troupe_error result_take(struct study *study, unsigned number, enum trial_state state,
                                     struct fault *fault) {
    if (number >= study->asked)
        return fault_set(fault, TROUPE_NOT_FOUND, "study", "trial %u was never asked", number);
    if (study->states[number] != TRIAL_PENDING)
        return fault_set(fault, TROUPE_EXISTS, "study", "trial %u was told before", number);
    study->states[number] = (uint8_t)state;
    study->told++;
    while (study->first_untold < study->asked && study->states[study->first_untold] != TRIAL_PENDING)
        study->first_untold++;
    return TROUPE_OK;
}

enum troupe_error study_tell_constrained(struct study *study, unsigned number, double objective,
                                         double violation, struct fault *fault) {
    if (isnan(objective))
        return fault_set(fault, TROUPE_INVALID, "study", "trial %u: the objective is not a number", number);
    if (isnan(violation) || violation < 0)
        return fault_set(fault, TROUPE_INVALID, "study",
                         "trial %u: the constraint violation %g must be 0 or more", number, violation);
    enum troupe_error error = result_take(study, number, TRIAL_SUCCEEDED, fault);
    if (error)
        return error;
    study->objectives[number] = study->options.maximise ? -objective : objective;
    study->violations[number] = violation;
    /* Of what was told, not of what samplers see: a result counts as soon as it is known. */
    if (violation == 0 && (study->best == 0 || history_better(study, number, study->best - 1)))
        study->best = number + 1;
    if (study->options.deterministic == 0)
        history_reveal(study, number);
    return TROUPE_OK;
}

enum troupe_error study_tell(struct study *study, unsigned number, double objective, struct fault *fault) {
    return study_tell_constrained(study, number, objective, 0, fault);
}

enum troupe_error study_tell_failed(struct study *study, unsigned number, struct fault *fault) {
    enum troupe_error error = result_take(study, number, TRIAL_FAILED, fault);
    if (!error && study->options.deterministic == 0)
        history_reveal(study, number);
    return error;
}

enum troupe_error study_best(const struct study *study, unsigned *ret_number, double *ret_objective) {
    if (study->best == 0)
        return TROUPE_NOT_FOUND;
    *ret_number = study->best - 1;
    *ret_objective = study->objectives[study->best - 1] * (study->options.maximise ? -1 : 1);
    return TROUPE_OK;
}

const struct configuration *study_configuration(const struct study *study, unsigned number) {
    if (number >= study->asked)
        return NULL;
    study->copy->count = study->dimension;
    memcpy(study->copy->values, study->values + (size_t)number * study->dimension,
           study->dimension * sizeof(double));
    return study->copy;
}

unsigned study_asked(const struct study *study) {
    return study->asked;
}

unsigned study_told(const struct study *study) {
    return study->told;
}
