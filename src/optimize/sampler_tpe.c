/* Tree-structured Parzen estimator, multivariate (Bergstra et al. 2011; Falkner et al. 2018, BOHB; Watanabe
 * 2023): the visible trials are split into the best few and the rest, a joint mixture is fitted to each,
 * candidates are drawn from the first, and the one with the highest ratio of the two densities is asked.
 * Pending and failed trials count as bad, so that workers spread out. Until `startup` trials have succeeded,
 * Sobol' points. At most KERNELS_MAX trials (or the study's kernels_max) make the bad mixture (evenly picked by rank), so an ask costs the
 * same however long the history: about candidates x kernels x variables multiply-adds. One thread at a time
 * per study. */
#include "optimize/mixture.h"
#include "optimize/study_private.h"

#include <math.h>
#include <string.h>

#define KERNELS_MAX 1024

struct tpe_parameters tpe_parameters = {
    .startup = 10,
    .candidates = 24,
    .good_fraction = 0.1,
    .good_max = 25,
    .width_scale = 0.2,
    .width_min = 0.01,
    .prior_weight = 1,
    .choice_smoothing = 1,
};

struct tpe {
    struct mixture good, bad;
    struct candidate drawn, best;
};

void tpe_free(struct study *study) {
    if (!study->tpe)
        return;
    mixture_free(&study->tpe->good, &study->account);
    mixture_free(&study->tpe->bad, &study->account);
    memory_free(&study->account, study->tpe);
    study->tpe = NULL;
}

static enum troupe_error tpe_create(struct study *study, struct fault *fault) {
    unsigned most = study->options.kernels_max != 0 ? study->options.kernels_max : KERNELS_MAX;
    unsigned bound = study->options.trials_max < most ? study->options.trials_max : most;
    if (study->tpe)
        return TROUPE_OK;
    study->tpe = memory_alloc(&study->account, sizeof *study->tpe);
    if (study->tpe &&
        !mixture_init(&study->tpe->good, &study->account, study->dimension, tpe_parameters.good_max + 1) &&
        !mixture_init(&study->tpe->bad, &study->account, study->dimension, bound + 1))
        return TROUPE_OK;
    tpe_free(study);
    return fault_set(fault, TROUPE_NOMEM, "study", "no memory for the densities of %u variables",
                     study->dimension);
}

static const double *positions_of(const struct study *study, unsigned trial) {
    return study->positions + (size_t)trial * study->dimension;
}

static void widths_set(const struct study *study, struct mixture *mixture, unsigned kernels) {
    double n = kernels ? kernels : 1;
    for (unsigned i = 0; i < study->dimension; i++) {
        const struct variable *variable = space_variable(study->space, i);
        if (variable->kind == VARIABLE_CHOICE) {
            double mass = tpe_parameters.choice_smoothing * variable->choice_count;
            mixture->widths[i] = mass / (n + mass);
        } else {
            double width = tpe_parameters.width_scale * pow(n, -1.0 / (study->dimension + 4));
            mixture->widths[i] = fmax(width, tpe_parameters.width_min);
        }
    }
}

static void good_fit(struct study *study, unsigned count) {
    struct mixture *good = &study->tpe->good;
    mixture_clear(good);
    for (unsigned i = 0; i < count; i++)
        mixture_add(good, positions_of(study, study->ranked[i]), 1);
    mixture_add(good, NULL, tpe_parameters.prior_weight);
    widths_set(study, good, count);
    mixture_finish(good, study->space);
}

/* Every trial that is not good: the rest of the ranked, the failed, the pending. */
static void bad_fit(struct study *study, unsigned good_count) {
    struct mixture *bad = &study->tpe->bad;
    unsigned others = study->asked - study->ranked_count;
    unsigned ranked = study->ranked_count - good_count, room = bad->capacity - 1;
    unsigned keep_others = others < room / 2 ? others : room / 2;
    unsigned keep_ranked = ranked < room - keep_others ? ranked : room - keep_others;
    mixture_clear(bad);
    for (unsigned i = 0; i < keep_ranked; i++) {
        unsigned at = good_count + (unsigned)((uint64_t)i * ranked / keep_ranked);
        mixture_add(bad, positions_of(study, study->ranked[at]), 1);
    }
    unsigned added = 0;
    for (unsigned trial = study->asked;
         trial-- > 0 && added < keep_others;) /* the newest: the pending ones */
        if (!study->visible[trial] || study->states[trial] == TRIAL_FAILED) {
            mixture_add(bad, positions_of(study, trial), 1);
            added++;
        }
    mixture_add(bad, NULL, tpe_parameters.prior_weight);
    widths_set(study, bad, keep_ranked + added);
    mixture_finish(bad, study->space);
}

/* One draw from the good mixture, brought into the space; false when it breaks a constraint. */
static bool candidate_draw(struct study *study, struct random_stream *random, struct candidate *candidate) {
    const struct mixture *good = &study->tpe->good;
    unsigned kernel = mixture_pick(good, random);
    candidate->configuration.count = study->dimension;
    for (unsigned i = 0; i < study->dimension; i++) {
        const struct variable *variable = space_variable(study->space, i);
        double drawn = mixture_draw(good, variable, i, kernel, random);
        candidate->configuration.values[i] =
            variable->kind == VARIABLE_CHOICE ? drawn : space_from_unit(variable, drawn);
    }
    space_normalise(study->space, &candidate->configuration);
    for (unsigned i = 0; i < study->dimension; i++) {
        const struct variable *variable = space_variable(study->space, i);
        double value = candidate->configuration.values[i];
        candidate->centres[i] = variable->kind == VARIABLE_CHOICE ? value : space_to_unit(variable, value);
        space_unit_cell(variable, value, &candidate->lows[i], &candidate->highs[i]);
    }
    return space_feasible(study->space, &candidate->configuration);
}

static unsigned good_count_of(const struct study *study) {
    double count = ceil(tpe_parameters.good_fraction * study->ranked_count);
    return (unsigned)fmin(count, tpe_parameters.good_max);
}

enum troupe_error sampler_tpe(struct study *study, unsigned number, struct random_stream *random,
                              struct configuration *ret_configuration, struct fault *fault) {
    unsigned startup = study->options.startup ? study->options.startup : tpe_parameters.startup;
    if (study->ranked_count < startup)
        return sampler_sobol(study, number, random, ret_configuration, fault);
    enum troupe_error error = tpe_create(study, fault);
    if (error)
        return error;
    struct tpe *tpe = study->tpe;
    unsigned good_count = good_count_of(study), found = 0;
    double best = -INFINITY;
    good_fit(study, good_count);
    bad_fit(study, good_count);
    for (unsigned i = 0; i < 8 * tpe_parameters.candidates && found < tpe_parameters.candidates; i++) {
        if (!candidate_draw(study, random, &tpe->drawn))
            continue;
        if (isfinite(study->cardinality) && history_contains(study, &tpe->drawn.configuration))
            continue;
        found++;
        double score = mixture_log_density(&tpe->good, study->space, &tpe->drawn) -
                       mixture_log_density(&tpe->bad, study->space, &tpe->drawn);
        if (score > best || found == 1) {
            best = score;
            tpe->best = tpe->drawn;
        }
    }
    if (found == 0)
        return sampler_random(study, number, random, ret_configuration, fault);
    ret_configuration->count = study->dimension;
    memcpy(ret_configuration->values, tpe->best.configuration.values, study->dimension * sizeof(double));
    return TROUPE_OK;
}
