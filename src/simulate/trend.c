/* trend: how the time of a stage, and the objective, go with the variables, as far as the few trials of a run under way
 * tell.
 *
 * A Bayesian linear regression (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2.1) of the logarithm
 * of the time, or of the rank of the objective, on the variables in the unit cube: y = level + slopes * features + rest.
 * How much of the variance the variables explain is itself not known: a few ratios are weighed by how likely they make
 * the samples. A draw is one line that the samples allow: ratio, variance of the rest, level and slopes together
 * (Matheron's rule: a draw from the prior, corrected by what it misses of the samples). With few samples draws differ
 * much, and quotes made from them are as wide; two draws of opposite sign lie on either side of what is most likely.
 * Threads: one (there is scratch in it). Memory: an arena on the caller's account. */
#include "simulate/under_way.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 64u   /* of more, evenly many are taken */
#define BROAD 50.0        /* prior variance of the level, in variances of the rest */
#define KNOWN 0.5         /* as if so many samples had been seen of which the rest had this deviation: */
#define REST_GUESS 0.1    /* (of a logarithm, or of a rank) */
#define TIME_FLOOR_NS 1e4 /* a stage that takes nothing has a logarithm all the same */
static const double ratios[] = {0, 0.1, 0.4, 1.5,
                                6, 25,  100}; /* variance explained to variance of the rest */

struct line {
    unsigned count, features, variables;
    double *matrix;                    /* count x features */
    double *values;                    /* less their mean */
    double centre[TREND_FEATURES_MAX]; /* mean of the features */
    double weights[ARRAY_COUNT(ratios)], variances[ARRAY_COUNT(ratios)];
};
struct trend {
    struct arena arena;
    const struct model *model;
    const struct space *space;
    struct line lines[TREND_OBJECTIVE + 1];
    double *scores;                           /* of the objective, by trial; NaN: none */
    double factor[SAMPLES_MAX * SAMPLES_MAX]; /* scratch: lower triangle */
};

/* ---- features ---- */

static bool counts(const struct trend *trend, unsigned line, unsigned variable) {
    return line == TREND_OBJECTIVE || trend->model->stages[line].relevant[variable];
}

/* Each has variance 1 over the space, whatever its kind; an inactive variable is in the middle. The objective also has
 * the square of a number: its best is as a rule not at the edge of the space, and a line would send the search there. */
static unsigned features_of(const struct trend *trend, unsigned line, const double *values, double *out) {
    bool squares = line == TREND_OBJECTIVE;
    unsigned count = 0;
    for (unsigned v = 0; v < trend->model->variables; v++) {
        const struct variable *variable = space_variable(trend->space, v);
        bool choice = variable->kind == VARIABLE_CHOICE, inactive = isnan(values[v]);
        unsigned wanted = !choice                      ? (squares ? 2u : 1u)
                          : variable->choice_count > 1 ? variable->choice_count
                                                       : 0;
        if (!counts(trend, line, v) || count + wanted > TREND_FEATURES_MAX)
            continue;
        for (unsigned c = 0; c < wanted && choice; c++)
            out[count++] = inactive ? 0 : ((values[v] == c) - 1.0 / wanted) / sqrt(1 - 1.0 / wanted);
        if (choice)
            continue;
        double middle = inactive ? 0 : space_to_unit(variable, values[v]) - 0.5;
        out[count++] = middle * sqrt(12);
        if (squares)
            out[count++] = inactive ? 0 : (middle * middle - 1.0 / 12) * sqrt(180);
    }
    return count;
}

double trend_difference(const struct trend *trend, unsigned line, const struct trend_drawn *drawn,
                        const double *values, const double *from) {
    double to_features[TREND_FEATURES_MAX], from_features[TREND_FEATURES_MAX], sum = 0;
    unsigned count = features_of(trend, line, values, to_features);
    features_of(trend, line, from, from_features);
    for (unsigned k = 0; k < count; k++)
        sum += (to_features[k] - from_features[k]) * drawn->slopes[k];
    return sum;
}

/* ---- linear algebra on the samples of a line ---- */

/* Factors the covariance of the samples, in variances of the rest; returns the logarithm of its determinant. */
static double factorise(struct trend *trend, const struct line *line, double ratio) {
    double *factor = trend->factor, logarithm = 0;
    unsigned n = line->count;
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j <= i; j++) {
            const double *a = line->matrix + i * line->features, *b = line->matrix + j * line->features;
            double dot = 0, sum;
            for (unsigned k = 0; k < line->features; k++)
                dot += a[k] * b[k];
            sum = (i == j) + BROAD + ratio / line->variables * dot;
            for (unsigned k = 0; k < j; k++)
                sum -= factor[i * n + k] * factor[j * n + k];
            factor[i * n + j] = i == j ? sqrt(sum) : sum / factor[j * n + j];
            logarithm += i == j ? log(sum) : 0;
        }
    return logarithm;
}

static void solve_lower(const struct trend *trend, unsigned n, double *x) {
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < i; k++)
            x[i] -= trend->factor[i * n + k] * x[k];
        x[i] /= trend->factor[i * n + i];
    }
}

static void solve(const struct trend *trend, unsigned n, double *x) {
    solve_lower(trend, n, x);
    for (unsigned i = n; i-- > 0;) {
        for (unsigned k = i + 1; k < n; k++)
            x[i] -= trend->factor[k * n + i] * x[k];
        x[i] /= trend->factor[i * n + i];
    }
}

/* How likely each ratio is, the variance of the rest integrated over. */
static void weigh_ratios(struct trend *trend, struct line *line) {
    double best = -INFINITY, total = 0, half[SAMPLES_MAX];
    unsigned n = line->count;
    for (unsigned r = 0; r < ARRAY_COUNT(ratios); r++) {
        double logarithm = factorise(trend, line, ratios[r]), squares = KNOWN * REST_GUESS * REST_GUESS;
        memcpy(half, line->values, n * sizeof *half);
        solve_lower(trend, n, half);
        for (unsigned i = 0; i < n; i++)
            squares += half[i] * half[i];
        line->variances[r] = squares / (KNOWN + n);
        line->weights[r] = -0.5 * logarithm - 0.5 * (KNOWN + n) * log(squares);
        best = fmax(best, line->weights[r]);
    }
    for (unsigned r = 0; r < ARRAY_COUNT(ratios); r++)
        total += line->weights[r] = exp(line->weights[r] - best);
    for (unsigned r = 0; r < ARRAY_COUNT(ratios); r++)
        line->weights[r] /= total;
}

/* ---- fitting ---- */

struct point {
    double y;
    uint32_t trial;
    const double *values;
};

/* From `count` of them. */
static bool fit_line(struct trend *trend, unsigned index, const struct point *points, unsigned count) {
    struct line *line = &trend->lines[index];
    double mean = 0;
    line->count = count < SAMPLES_MAX ? count : SAMPLES_MAX;
    for (unsigned v = 0; v < trend->model->variables; v++)
        line->variables += counts(trend, index, v);
    line->variables += line->variables == 0;
    if (count == 0)
        return true;
    line->features = features_of(trend, index, points[0].values, line->centre);
    memset(line->centre, 0, sizeof line->centre);
    line->matrix = ARENA_ARRAY(&trend->arena, double, (size_t)line->count * line->features + 1);
    line->values = ARENA_ARRAY(&trend->arena, double, line->count);
    if (line->matrix == NULL || line->values == NULL)
        return false;
    for (unsigned i = 0; i < line->count; i++) {
        const struct point *point = &points[(uint64_t)i * count / line->count];
        double *row = line->matrix + i * line->features;
        features_of(trend, index, point->values, row);
        line->values[i] = point->y;
        mean += point->y / line->count;
        for (unsigned k = 0; k < line->features; k++)
            line->centre[k] += row[k] / line->count;
    }
    for (unsigned i = 0; i < line->count; i++)
        line->values[i] -= mean;
    weigh_ratios(trend, line);
    return true;
}

static bool fit_stage(struct trend *trend, unsigned s, struct point *points) {
    const struct model_stage *stage = &trend->model->stages[s];
    for (unsigned i = 0; i < stage->count; i++)
        points[i] = (struct point){.y = log((double)stage->samples[i].wall_ns + TIME_FLOOR_NS),
                                   .trial = stage->samples[i].trial,
                                   .values = stage->samples[i].values};
    return fit_line(trend, s, points, stage->count);
}

static int by_y(const void *a, const void *b) {
    const struct point *left = a, *right = b;
    if (left->y != right->y)
        return left->y < right->y ? -1 : 1;
    return left->trial < right->trial ? -1 : left->trial > right->trial;
}

static int by_trial(const void *a, const void *b) {
    const struct point *left = a, *right = b;
    return left->trial < right->trial ? -1 : left->trial > right->trial;
}

/* Samplers look at the order alone, so the rank stands for the objective: it has no outliers. Equal ones stay equal. */
static bool fit_objective(struct trend *trend, struct point *points) {
    const struct model *model = trend->model;
    unsigned count = 0;
    trend->scores = ARENA_ARRAY(&trend->arena, double, model->trial_count + 1);
    if (trend->scores == NULL)
        return false;
    for (unsigned i = 0; i < model->trial_count; i++) {
        trend->scores[i] = NAN;
        if (model->trials[i].values != NULL && isfinite(model->trials[i].objective))
            points[count++] = (struct point){model->trials[i].objective, i, model->trials[i].values};
    }
    qsort(points, count, sizeof *points, by_y);
    for (unsigned i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && points[end].y == points[i].y;)
            end++;
        for (unsigned k = i; k < end; k++)
            trend->scores[points[k].trial] = ((i + end) / 2.0 / count - 0.5) * sqrt(12);
    }
    for (unsigned i = 0; i < count; i++)
        points[i].y = trend->scores[points[i].trial];
    qsort(points, count, sizeof *points, by_trial); /* evenly many are taken of all times, not of all ranks */
    return fit_line(trend, TREND_OBJECTIVE, points, count);
}

enum troupe_error trend_fit(const struct model *model, const struct space *space, struct account *account,
                            struct trend **ret_trend) {
    struct trend *trend = memory_alloc(account, sizeof *trend);
    unsigned most = model->trial_count;
    for (unsigned s = 0; s < model->stage_count; s++)
        most = model->stages[s].count > most ? model->stages[s].count : most;
    struct point *points = memory_alloc(account, (most + 1) * sizeof *points);
    bool made = trend != NULL && points != NULL;
    if (made) {
        arena_init(&trend->arena, account);
        trend->model = model;
        trend->space = space;
    }
    for (unsigned s = 0; s < model->stage_count && made; s++)
        made = fit_stage(trend, s, points);
    made = made && fit_objective(trend, points);
    memory_free(account, points);
    if (made) {
        *ret_trend = trend;
        return TROUPE_OK;
    }
    if (trend != NULL)
        arena_free(&trend->arena);
    memory_free(account, trend);
    return TROUPE_NOMEM;
}

void trend_free(struct trend *trend) {
    if (trend == NULL)
        return;
    struct account *account = trend->arena.account;
    arena_free(&trend->arena);
    memory_free(account, trend);
}

double trend_score(const struct trend *trend, uint32_t trial) {
    return trend->scores[trial];
}

/* ---- drawing ---- */

static unsigned draw_ratio(const struct line *line, struct random_stream *random) {
    double drawn = random_unit(random);
    unsigned r = 0;
    while (r + 1 < ARRAY_COUNT(ratios) && (drawn -= line->weights[r]) > 0)
        r++;
    return r;
}

/* Of the rest: scaled inverse chi-squared. */
static double draw_deviation(const struct line *line, unsigned r, struct random_stream *random) {
    unsigned freedom = line->count + 1;
    double squares = 0;
    for (unsigned i = 0; i < freedom; i++) {
        double z = random_normal(random);
        squares += z * z;
    }
    return sqrt(line->variances[r] * freedom / squares);
}

void trend_draw(struct trend *trend, unsigned index, uint64_t seed, double sign, struct trend_drawn *ret) {
    const struct line *line = &trend->lines[index];
    struct random_stream random;
    double misses[SAMPLES_MAX], likely[SAMPLES_MAX];
    unsigned n = line->count;
    memset(ret, 0, sizeof *ret);
    if (n == 0)
        return;
    random_seed(&random, seed, index);
    unsigned r = draw_ratio(line, &random);
    double rest = sign * draw_deviation(line, r, &random), ratio = ratios[r] / line->variables;
    double level = rest * sqrt(BROAD) * random_normal(&random);
    for (unsigned k = 0; k < line->features; k++)
        ret->slopes[k] = rest * sqrt(ratio) * random_normal(&random);
    for (unsigned i = 0; i < n; i++) {
        likely[i] = line->values[i];
        misses[i] = line->values[i] - level - rest * random_normal(&random);
        for (unsigned k = 0; k < line->features; k++)
            misses[i] -= line->matrix[i * line->features + k] * ret->slopes[k];
    }
    factorise(trend, line, ratios[r]);
    solve(trend, n, misses);
    solve(trend, n, likely);
    for (unsigned i = 0; i < n; i++)
        level += BROAD * (misses[i] - likely[i]);
    for (unsigned k = 0; k < line->features; k++) {
        double most_likely = 0;
        for (unsigned i = 0; i < n; i++) {
            ret->slopes[k] += ratio * line->matrix[i * line->features + k] * misses[i];
            most_likely += ratio * line->matrix[i * line->features + k] * likely[i];
        }
        level += (ret->slopes[k] - most_likely) * line->centre[k];
    }
    ret->level = level;
}
