/* resample: what is not known of a run under way, drawn anew in each replication.
 *
 * A configuration that the record holds takes what it took, everything included: then what has happened is repeated to
 * the millisecond. Another one takes what one of the most similar ones took, times what the trend says of their
 * difference, and times how far off the level of all may be: so what is seldom and what is common stay so, a search that
 * moves to slower configurations becomes slower, also beyond those that were seen, and replications differ by what the
 * few samples leave open.
 * What had begun when the record was read, and had not ended, takes longer than that; its draw is from what does, and
 * others are drawn like it from then on. Otherwise the first to end, which are the short ones, would stand for all.
 * Threads: one. Memory: one block, and one for what was drawn, on the caller's account. */
#include "simulate/under_way.h"

#include <math.h>

#define CANDIDATES_MAX 16u
#define CANDIDATES_MIN 6.0 /* and the root of how many samples there are */
#define OBJECTIVES 3u      /* nearest trials that an objective is drawn from */
#define LOOKED_AT_MAX 256u /* of many samples evenly many are looked at */
#define NEARNESS_FLOOR 0.1 /* squared distance within which all are alike */
#define TREND_LIMIT 2.0    /* of a logarithm: seven times as long is as far as a trend is followed */
#define EXCESS 0.5         /* of what has lasted longer than anything known: how much longer, on average */
#define OBJECTIVE_STREAM 0xffffu /* of random numbers; no stage and attempt have it */

struct drawn { /* a task under way */
    unsigned stage;
    struct model_sample sample;
};
struct resampling {
    const struct simulation *simulation;
    const struct space *space;
    struct account *account;
    struct drawn *drawn;
    unsigned count, capacity;
    bool has_line[TREND_OBJECTIVE + 1];
    struct trend_drawn lines[TREND_OBJECTIVE + 1];
};
struct candidate {
    const struct model_sample *sample; /* of a time */
    uint32_t trial;                    /* of an objective */
    double apart, factor;
};
struct candidates {
    unsigned count, count_max;
    struct candidate items[CANDIDATES_MAX]; /* nearest first */
};

enum troupe_error resampling_create(const struct simulation *simulation, struct account *account,
                                    struct resampling **ret_resampling) {
    struct resampling *resampling = memory_alloc(account, sizeof *resampling);
    if (resampling == NULL)
        return TROUPE_NOMEM;
    resampling->simulation = simulation;
    resampling->space = simulation->pipeline->space;
    resampling->account = account;
    *ret_resampling = resampling;
    return TROUPE_OK;
}

void resampling_free(struct resampling *resampling) {
    if (resampling == NULL)
        return;
    memory_free(resampling->account, resampling->drawn);
    memory_free(resampling->account, resampling);
}

static const struct trend_drawn *line_of(struct resampling *resampling, unsigned line) {
    const struct under_way *under_way = resampling->simulation->under_way;
    if (!resampling->has_line[line])
        trend_draw(under_way->trend, line, under_way->seed, under_way->sign, &resampling->lines[line]);
    resampling->has_line[line] = true;
    return &resampling->lines[line];
}

static void consider(struct candidates *candidates, struct candidate candidate) {
    unsigned place = candidates->count;
    if (candidates->count < candidates->count_max)
        candidates->count++;
    else if (candidate.apart >= candidates->items[--place].apart)
        return;
    for (; place > 0 && candidate.apart < candidates->items[place - 1].apart; place--)
        candidates->items[place] = candidates->items[place - 1];
    candidates->items[place] = candidate;
}

static double lasts(const struct candidate *candidate) {
    return (double)candidate->sample->wall_ns * candidate->factor;
}

/* One that lasts longer than `least_ns`, by nearness; NULL: there is none. */
static const struct candidate *choose(const struct candidates *candidates, uint64_t least_ns,
                                      struct random_stream *random) {
    double total = 0, weights[CANDIDATES_MAX];
    const struct candidate *last = NULL;
    for (unsigned i = 0; i < candidates->count; i++) {
        bool fits = least_ns == 0 || lasts(&candidates->items[i]) > (double)least_ns;
        total += weights[i] = fits ? 1 / (candidates->items[i].apart + NEARNESS_FLOOR) : 0;
    }
    double drawn = random_unit(random) * total;
    for (unsigned i = 0; i < candidates->count; i++) {
        if (weights[i] == 0)
            continue;
        last = &candidates->items[i];
        if ((drawn -= weights[i]) < 0)
            break;
    }
    return last;
}

static struct candidate candidate_of(const struct resampling *resampling, unsigned stage,
                                     const struct model_sample *sample, const double *values) {
    const struct model *model = resampling->simulation->model;
    double apart =
        model_distance(model, resampling->space, model->stages[stage].relevant, sample->values, values);
    return (struct candidate){.sample = sample, .apart = apart};
}

static void gather(struct resampling *resampling, unsigned index, const double *values,
                   struct candidates *candidates) {
    const struct model_stage *stage = &resampling->simulation->model->stages[index];
    const struct trend_drawn *line = line_of(resampling, index);
    unsigned stride = stage->count > LOOKED_AT_MAX ? stage->count / LOOKED_AT_MAX : 1;
    double wanted = CANDIDATES_MIN + sqrt(stage->count);
    candidates->count_max = wanted < CANDIDATES_MAX ? (unsigned)wanted : CANDIDATES_MAX;
    for (unsigned i = 0; i < stage->count; i += stride)
        consider(candidates, candidate_of(resampling, index, &stage->samples[i], values));
    for (unsigned i = 0; i < resampling->count; i++)
        if (resampling->drawn[i].stage == index)
            consider(candidates, candidate_of(resampling, index, &resampling->drawn[i].sample, values));
    for (unsigned i = 0; i < candidates->count; i++) {
        struct candidate *one = &candidates->items[i];
        double difference = trend_difference(resampling->simulation->under_way->trend, index, line, values,
                                             one->sample->values);
        bool recorded = one->sample >= stage->samples && one->sample < stage->samples + stage->count;
        difference += recorded ? line->level : 0; /* what was drawn has it already */
        one->factor = exp(fmax(-TREND_LIMIT, fmin(TREND_LIMIT, difference)));
    }
}

static void keep(struct resampling *resampling, unsigned stage, const struct model_sample *sample) {
    if (resampling->count == resampling->capacity) {
        unsigned capacity = resampling->capacity * 2 + 16;
        struct drawn *grown = memory_resize(resampling->account, resampling->drawn, capacity * sizeof *grown);
        if (grown == NULL)
            return; /* one candidate less */
        resampling->drawn = grown;
        resampling->capacity = capacity;
    }
    resampling->drawn[resampling->count++] = (struct drawn){.stage = stage, .sample = *sample};
}

/* What this very attempt did, or another trial with the same values for this stage. */
static bool known(const struct model *model, unsigned stage, uint32_t trial, unsigned attempt,
                  const double *values, struct model_sample *ret_sample) {
    const struct model_sample *sample = model_known(model, stage, trial, attempt, values);
    if (sample == NULL || (sample->trial == trial && sample->attempt != attempt))
        return false;
    *ret_sample = *sample;
    /* The attempt after it is under way, or it would not be asked for: then this one was worth another. */
    if (sample->end != SAMPLE_OK && trial < model->trial_count && model->trials[trial].wall_ns == 0)
        ret_sample->retried = true;
    return true;
}

struct model_sample resample(struct resampling *resampling, unsigned stage, uint32_t trial, unsigned attempt,
                             const double *values, uint64_t begin_ns) {
    const struct simulation *simulation = resampling->simulation;
    uint64_t known_until_ns = simulation->under_way->known_until_ns;
    struct candidates candidates = {0};
    struct random_stream random;
    struct model_sample made;
    if (known(simulation->model, stage, trial, attempt, values, &made))
        return made;
    gather(resampling, stage, values, &candidates);
    random_seed(&random, simulation->seed, (uint64_t)trial << 16 | stage << 8 | (attempt & 0xff));
    uint64_t age_ns = begin_ns < known_until_ns ? known_until_ns - begin_ns : 0;
    const struct candidate *chosen = choose(&candidates, age_ns, &random);
    if (chosen != NULL) {
        made = *chosen->sample;
        made.wall_ns = (uint64_t)lasts(chosen);
    } else { /* longer than anything known */
        made = *choose(&candidates, 0, &random)->sample;
        made.wall_ns = (uint64_t)((double)age_ns * (1 - EXCESS * log(1 - random_unit(&random)))) + 1;
    }
    made.trial = trial;
    made.values = values;
    if (age_ns > 0)
        keep(resampling, stage, &made);
    return made;
}

/* As a rank among those that are known: of the nearest few one, by nearness, and what the trend says of the difference. */
double resample_objective(struct resampling *resampling, uint32_t trial, const double *values) {
    const struct simulation *simulation = resampling->simulation;
    const struct model *model = simulation->model;
    const struct trend *trend = simulation->under_way->trend;
    struct candidates candidates = {.count_max = OBJECTIVES};
    struct random_stream random;
    if (trial < model->trial_count && isfinite(trend_score(trend, trial)))
        return trend_score(trend, trial);
    unsigned stride = model->trial_count > LOOKED_AT_MAX ? model->trial_count / LOOKED_AT_MAX : 1;
    for (uint32_t i = 0; i < model->trial_count; i += stride)
        if (isfinite(trend_score(trend, i)))
            consider(&candidates,
                     (struct candidate){.trial = i,
                                        .apart = model_distance(model, resampling->space, NULL,
                                                                model->trials[i].values, values)});
    random_seed(&random, simulation->seed, (uint64_t)trial << 16 | OBJECTIVE_STREAM);
    const struct candidate *chosen = choose(&candidates, 0, &random);
    if (chosen == NULL)
        return 0;
    return trend_score(trend, chosen->trial) + trend_difference(trend, TREND_OBJECTIVE,
                                                                line_of(resampling, TREND_OBJECTIVE), values,
                                                                model->trials[chosen->trial].values);
}
