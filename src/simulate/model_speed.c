/* model_speed: is one instance of an agent slower than its twins, whatever it is given?
 *
 * Each of its samples is set against the most similar one that a twin did; the logarithm of their ratio is averaged.
 * Where that is far from 0 (three standard errors and a tenth), the instance is told to be so much slower, and its
 * samples are brought to what a twin of usual speed would have taken. A run with it, or without it, is then predicted
 * as such.
 * Threads: any. Memory: the model's arena. */
#include "simulate/model.h"

#include <math.h>
#include <stdio.h>

#define SAMPLES_MIN 8u
#define ERRORS_MIN 3.0
#define EFFECT_MIN 0.1
#define COMPARED_MAX 512u /* samples of a stage that are looked at */

struct comparison {
    double sum, squares;
    unsigned count;
};

static double time_of(const struct model_sample *sample) {
    return (double)(sample->cpu_ns + sample->blocked_ns);
}

static bool comparable(const struct model_sample *sample) {
    return sample->end == SAMPLE_OK && sample->instance != RECORD_UNKNOWN && time_of(sample) > 0;
}

/* The nearest of a twin's; NULL: there is none. */
static const struct model_sample *twin_of(const struct model *model, const struct space *space,
                                          const struct model_stage *stage, const struct model_sample *sample,
                                          uint32_t first, unsigned instances) {
    const struct model_sample *near = NULL;
    double best = INFINITY;
    for (unsigned i = 0; i < stage->count; i++) {
        const struct model_sample *other = &stage->samples[i];
        if (!comparable(other) || other->instance == sample->instance || other->instance < first ||
            other->instance >= first + instances)
            continue;
        double apart = model_distance(model, space, stage->relevant, sample->values, other->values);
        if (apart < best) {
            best = apart;
            near = other;
        }
    }
    return near;
}

static void compare_stage(const struct model *model, const struct space *space,
                          const struct model_stage *stage, uint32_t first, unsigned instances,
                          struct comparison *of_instance) {
    if (stage->assumed || stage->count > COMPARED_MAX)
        return;
    for (unsigned i = 0; i < stage->count; i++) {
        const struct model_sample *sample = &stage->samples[i];
        if (!comparable(sample) || sample->instance < first || sample->instance >= first + instances)
            continue;
        const struct model_sample *twin = twin_of(model, space, stage, sample, first, instances);
        if (twin == NULL)
            continue;
        struct comparison *one = &of_instance[sample->instance - first];
        double ratio = log(time_of(sample) / time_of(twin));
        one->sum += ratio;
        one->squares += ratio * ratio;
        one->count++;
    }
}

/* The logarithm by which it is slower than all instances' mean; 0: not surely. */
static double slower(const struct comparison *one, unsigned instances) {
    if (one->count < SAMPLES_MIN)
        return 0;
    double n = one->count, mean = one->sum / n, variance = fmax(one->squares / n - mean * mean, 0);
    double error = sqrt(variance / n);
    /* each twin is compared with this one as well: of the difference to them it has this part */
    double effect = mean * (instances - 1) / instances;
    return fabs(mean) > ERRORS_MIN * error && fabs(mean) > EFFECT_MIN ? effect : 0;
}

static void bring_to_usual(struct model *model, uint32_t instance, double slowness) {
    for (unsigned s = 0; s < model->stage_count; s++)
        for (unsigned i = 0; i < model->stages[s].count && !model->stages[s].assumed; i++) {
            struct model_sample *sample = &model->stages[s].samples[i];
            if (sample->instance != instance)
                continue;
            sample->cpu_ns = (uint64_t)((double)sample->cpu_ns / slowness);
            sample->blocked_ns = (uint64_t)((double)sample->blocked_ns / slowness);
        }
}

enum troupe_error model_fit_speeds(struct model *model, const struct space *space, struct account *account) {
    uint32_t first = 0;
    for (unsigned a = 0; a < model->agent_count; first += model->agents[a].instances, a++) {
        struct model_agent *agent = &model->agents[a];
        agent->slowness = ARENA_ARRAY(&model->arena, double, agent->instances + 1);
        struct comparison *compared = memory_alloc(account, (agent->instances + 1) * sizeof *compared);
        if (agent->slowness == NULL || compared == NULL) {
            memory_free(account, compared);
            return TROUPE_NOMEM;
        }
        for (unsigned s = 0; s < model->stage_count; s++)
            compare_stage(model, space, &model->stages[s], first, agent->instances, compared);
        for (unsigned i = 0; i < agent->instances; i++) {
            agent->slowness[i] = exp(slower(&compared[i], agent->instances));
            if (agent->slowness[i] == 1)
                continue;
            char name[80];
            snprintf(name, sizeof name, "%.50s/%u: speed", agent->name, i);
            model_parameter(model, compared[i].count, name, "%.2f of the agent's mean",
                            1 / agent->slowness[i]);
            bring_to_usual(model, first + i, agent->slowness[i]);
        }
        memory_free(account, compared);
    }
    return TROUPE_OK;
}
