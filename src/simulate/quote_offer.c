/* quote_offer: the counter-offer to a deadline that cannot be met.
 *
 * Unlike the quote it asks about another run, one that would have been started differently, so it is a prediction: the
 * whole run, workers competing for the cores. Its wall time is scaled by what the quote says of the run as it is, over
 * what the same prediction says of it; what both get wrong cancels out.
 * Threads, memory: see the header. */
#include "simulate/under_way.h"

#include <math.h>
#include <string.h>

#define REPLICATIONS 1u
#define TRIALS_MAX 60u  /* of a longer run so many are simulated */
#define GAIN_LEAST 0.05 /* a change that gains less is not worth another on top */

struct offering {
    struct env *env;
    const struct quote *quote;
    const struct quote_options *options;
    struct account *account;
    struct fault *fault;
    struct model *model;
    struct lever_list levers;
    double enough_ms; /* predicted wall that would do */
    struct quote_offer offer;
};

static enum troupe_error wall_of(struct offering *offering, const struct pipeline *pipeline,
                                 double *ret_wall_ms) {
    struct pipeline changed = *pipeline;
    struct prediction prediction;
    struct prediction_request request = {.model = offering->model,
                                         .pipeline = &changed,
                                         .seed = offering->options->seed,
                                         .replications = REPLICATIONS};
    if (offering->options->cancel != NULL && atomic_load(offering->options->cancel))
        return fault_set(offering->fault, TROUPE_CANCELLED, "quote", "the run has ended");
    changed.deadline_ns = 0;
    changed.trials = offering->options->trials < TRIALS_MAX ? offering->options->trials : TRIALS_MAX;
    enum troupe_error error = predict(&request, offering->account, &prediction, offering->fault);
    if (error == TROUPE_OK)
        *ret_wall_ms = prediction.figures[FIGURE_WALL].value;
    return error;
}

static bool offered(const struct lever *lever) {
    return !lever->assumed &&
           (lever->kind == LEVER_MORE || lever->kind == LEVER_HAND || lever->kind == LEVER_SEARCH);
}

/* Of `base`, whose wall is *wall_ms: the first change that makes it fit, or else the best, and its wall; where none
 * gains, all stays as it is. */
static enum troupe_error try_round(struct offering *offering, const struct pipeline *base,
                                   const struct lever **ret_lever, struct pipeline **ret_better,
                                   double *wall_ms) {
    double best = *wall_ms * (1 - GAIN_LEAST);
    lever_list_make(base, offering->model->cores, &offering->levers);
    for (unsigned i = 0; i<offering->levers.count && * wall_ms> offering->enough_ms; i++) {
        const struct lever *lever = &offering->levers.levers[i];
        struct pipeline *changed = NULL;
        struct fault refused = {0};
        double wall;
        if (!offered(lever))
            continue;
        enum troupe_error error =
            lever_pipeline(offering->env, offering->account, base, lever, &changed, &refused);
        if (error == TROUPE_NOMEM)
            return fault_set(offering->fault, error, refused.where, "%s", refused.text);
        if (error != TROUPE_OK)
            continue;
        offering->offer.tried++;
        error = wall_of(offering, changed, &wall);
        bool better = error == TROUPE_OK && wall < best;
        if (better) {
            pipeline_free(*ret_better);
            *ret_better = changed;
            *ret_lever = lever;
            *wall_ms = best = wall;
        } else {
            pipeline_free(changed);
        }
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

/* A later change of the same member takes the place of the earlier one. */
static void add_sets(struct quote_offer *offer, const struct lever *lever) {
    for (unsigned i = 0; i < lever->set_count; i++) {
        size_t path = strcspn(lever->sets[i], "=") + 1;
        unsigned at = 0;
        while (at < offer->set_count && strncmp(offer->sets[at], lever->sets[i], path) != 0)
            at++;
        if (at == offer->set_count)
            offer->set_count++;
        memcpy(offer->sets[at], lever->sets[i], sizeof offer->sets[at]);
    }
}

static enum troupe_error try_rounds(struct offering *offering, const struct pipeline *pipeline) {
    struct pipeline *now = NULL;
    double base = 0, wall = 0, quoted_ms = offering->quote->wall_ms.value;
    enum troupe_error error = wall_of(offering, pipeline, &base);
    wall = base;
    offering->enough_ms = base * (double)offering->options->deadline_ns / 1e6 / quoted_ms;
    for (unsigned round = 0; round < QUOTE_ROUNDS && error == TROUPE_OK && !offering->offer.fits; round++) {
        const struct lever *lever = NULL;
        struct pipeline *better = NULL;
        error = try_round(offering, now != NULL ? now : pipeline, &lever, &better, &wall);
        if (error != TROUPE_OK || better == NULL) {
            pipeline_free(better);
            break;
        }
        add_sets(&offering->offer, lever);
        pipeline_free(now);
        now = better;
        offering->offer.wall_ms = quoted_ms * wall / base;
        offering->offer.fits = wall <= offering->enough_ms;
    }
    pipeline_free(now);
    return error;
}

enum troupe_error quote_offer(struct env *env, const struct run_record *record, const struct quote *quote,
                              const struct quote_options *options, struct account *account,
                              struct quote_offer *ret_offer, struct fault *fault) {
    struct offering *offering = memory_alloc(account, sizeof *offering);
    if (offering == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory making a quote");
    offering->env = env;
    offering->quote = quote;
    offering->options = options;
    offering->account = account;
    offering->fault = fault;
    enum troupe_error error = model_fit_under_way(record, options->cores, account, &offering->model, fault);
    if (error == TROUPE_OK)
        error = try_rounds(offering, record->pipeline);
    if (error == TROUPE_OK)
        *ret_offer = offering->offer;
    model_free(offering->model);
    memory_free(account, offering);
    return error;
}
