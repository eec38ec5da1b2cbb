/* model_pick: how long this stage takes with this configuration.
 *
 * A configuration that the record holds takes what it took then. Another one takes what one of its three nearest
 * neighbours took, drawn by nearness: so the spread between like configurations is kept, and a search that moves to
 * slower ones becomes slower. The draw depends on seed, trial and stage alone: two variants of a run that ask for the
 * same configuration give it the same time, so their difference is not noise.
 * Threads: any. Memory: none. */
#include "simulate/model.h"

#include <math.h>

#define NEIGHBOURS 3
#define LOOKED_AT_MAX 256u  /* of many samples evenly many are looked at */
#define NEARNESS_FLOOR 0.02 /* squared distance within which all are alike */

static bool same_value(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static bool same_values(const struct model *model, const bool *relevant, const double *a, const double *b) {
    for (unsigned v = 0; v < model->variables; v++)
        if ((relevant == NULL || relevant[v]) && !same_value(a[v], b[v]))
            return false;
    return true;
}

double model_distance(const struct model *model, const struct space *space, const bool *relevant,
                      const double *a, const double *b) {
    double sum = 0;
    for (unsigned v = 0; v < model->variables; v++) {
        if ((relevant != NULL && !relevant[v]) || same_value(a[v], b[v]))
            continue;
        if (model->choice[v] || isnan(a[v]) || isnan(b[v])) {
            sum += 1;
            continue;
        }
        const struct variable *variable = space_variable(space, v);
        double apart = space_to_unit(variable, a[v]) - space_to_unit(variable, b[v]);
        sum += apart * apart;
    }
    return sum;
}

/* Index of the first sample of that trial, or of the next one. */
static unsigned first_of(const struct model_stage *stage, uint32_t trial) {
    unsigned low = 0, high = stage->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (stage->samples[middle].trial < trial)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct model_sample *model_known(const struct model *model, unsigned stage_index, uint32_t trial,
                                       unsigned attempt, const double *values) {
    const struct model_stage *stage = &model->stages[stage_index];
    unsigned at = first_of(stage, trial), last = at;
    if (at < stage->count && stage->samples[at].trial == trial &&
        same_values(model, stage->relevant, stage->samples[at].values, values)) {
        while (last + 1 < stage->count && stage->samples[last + 1].trial == trial && last - at + 1 < attempt)
            last++;
        return &stage->samples[last];
    }
    for (unsigned i = 0; i < stage->count && stage->count <= LOOKED_AT_MAX; i++)
        if (stage->samples[i].end == SAMPLE_OK &&
            same_values(model, stage->relevant, stage->samples[i].values, values))
            return &stage->samples[i];
    return NULL;
}

const struct model_sample *model_pick(const struct model *model, const struct space *space,
                                      unsigned stage_index, uint32_t trial, unsigned attempt,
                                      const double *values, uint64_t seed) {
    const struct model_stage *stage = &model->stages[stage_index];
    const struct model_sample *found = model_known(model, stage_index, trial, attempt, values),
                              *near[NEIGHBOURS] = {NULL};
    double apart[NEIGHBOURS] = {INFINITY, INFINITY, INFINITY};
    if (found != NULL)
        return found;
    unsigned stride = stage->count > LOOKED_AT_MAX ? stage->count / LOOKED_AT_MAX : 1;
    for (unsigned i = 0; i < stage->count; i += stride) {
        double d = model_distance(model, space, stage->relevant, stage->samples[i].values, values);
        unsigned place = NEIGHBOURS;
        while (place > 0 && d < apart[place - 1])
            place--;
        for (unsigned k = NEIGHBOURS - 1; k > place && place < NEIGHBOURS; k--) {
            apart[k] = apart[k - 1];
            near[k] = near[k - 1];
        }
        if (place < NEIGHBOURS) {
            apart[place] = d;
            near[place] = &stage->samples[i];
        }
    }
    struct random_stream random;
    double total = 0, weight[NEIGHBOURS];
    random_seed(&random, seed, (uint64_t)trial << 16 | stage_index << 8 | (attempt & 0xff));
    for (unsigned k = 0; k < NEIGHBOURS; k++)
        total += weight[k] = near[k] != NULL ? 1 / (apart[k] + NEARNESS_FLOOR) : 0;
    double drawn = random_unit(&random) * total;
    for (unsigned k = 0; k < NEIGHBOURS; k++)
        if ((drawn -= weight[k]) < 0)
            return near[k];
    return near[0];
}

double model_objective(const struct model *model, const struct space *space, uint32_t trial,
                       const double *values) {
    double best = INFINITY, objective = 0;
    if (trial < model->trial_count && model->trials[trial].values != NULL &&
        isfinite(model->trials[trial].objective) &&
        same_values(model, NULL, model->trials[trial].values, values))
        return model->trials[trial].objective;
    unsigned stride = model->trial_count > LOOKED_AT_MAX ? model->trial_count / LOOKED_AT_MAX : 1;
    for (unsigned i = 0; i < model->trial_count; i += stride) {
        if (model->trials[i].values == NULL || !isfinite(model->trials[i].objective))
            continue;
        double d = model_distance(model, space, NULL, model->trials[i].values, values);
        if (d < best) {
            best = d;
            objective = model->trials[i].objective;
        }
    }
    return objective;
}
