/* Kernel mixtures: see mixture.h. All the time of a TPE ask is spent in mixture_log_density. */
#include "optimize/mixture.h"

#include <math.h>
#include <string.h>

#define REJECTIONS_MAX 100
#define LOG_TINY (-700.0)

enum troupe_error mixture_init(struct mixture *mixture, struct account *account, unsigned dimension,
                               unsigned capacity) {
    size_t cells = (size_t)dimension * capacity;
    *mixture = (struct mixture){.dimension = dimension, .capacity = capacity};
    mixture->centres = memory_alloc(account, cells * sizeof(double));
    mixture->masks = memory_alloc(account, cells * sizeof(double));
    mixture->log_norms = memory_alloc(account, cells * sizeof(double));
    mixture->log_weights = memory_alloc(account, capacity * sizeof(double));
    mixture->exponents = memory_alloc(account, capacity * sizeof(double));
    if (mixture->centres && mixture->masks && mixture->log_norms && mixture->log_weights &&
        mixture->exponents)
        return TROUPE_OK;
    mixture_free(mixture, account);
    return TROUPE_NOMEM;
}

void mixture_free(struct mixture *mixture, struct account *account) {
    memory_free(account, mixture->centres);
    memory_free(account, mixture->masks);
    memory_free(account, mixture->log_norms);
    memory_free(account, mixture->log_weights);
    memory_free(account, mixture->exponents);
    *mixture = (struct mixture){0};
}

void mixture_clear(struct mixture *mixture) {
    mixture->count = 0;
}

void mixture_add(struct mixture *mixture, const double *positions, double weight) {
    CHECK(mixture->count < mixture->capacity);
    unsigned kernel = mixture->count++;
    for (unsigned i = 0; i < mixture->dimension; i++) {
        bool active = positions && !isnan(positions[i]);
        mixture->centres[(size_t)i * mixture->capacity + kernel] = active ? positions[i] : 0;
        mixture->masks[(size_t)i * mixture->capacity + kernel] = active;
    }
    mixture->log_weights[kernel] = weight; /* its logarithm after mixture_finish */
}

/* The standard normal's distribution function. */
static double normal_below(double z) {
    return 0.5 * erfc(-z * M_SQRT1_2);
}

void mixture_finish(struct mixture *mixture, const struct space *space) {
    double total = 0;
    for (unsigned k = 0; k < mixture->count; k++)
        total += mixture->log_weights[k];
    for (unsigned k = 0; k < mixture->count; k++)
        mixture->log_weights[k] = log(mixture->log_weights[k] / total);
    for (unsigned i = 0; i < mixture->dimension; i++) {
        const struct variable *variable = space_variable(space, i);
        double width = mixture->widths[i];
        const double *centres = mixture->centres + (size_t)i * mixture->capacity;
        double *log_norms = mixture->log_norms + (size_t)i * mixture->capacity;
        if (variable->kind == VARIABLE_CHOICE)
            continue;
        /* A density over the unit interval for continuous ones; for cells the mass inside is enough. */
        double factor = isfinite(variable->levels) ? 1 : width * 2.5066282746310002;
        for (unsigned k = 0; k < mixture->count; k++)
            log_norms[k] =
                log(factor * (normal_below((1 - centres[k]) / width) - normal_below(-centres[k] / width)));
    }
}

/* A choice: `own` where the kernel has the same, else `other`, relative to nothing: inactive is uniform. */
static void choice_exponents(const struct mixture *mixture, const struct variable *variable, unsigned index,
                             double choice) {
    const double *restrict centres = mixture->centres + (size_t)index * mixture->capacity;
    const double *restrict masks = mixture->masks + (size_t)index * mixture->capacity;
    double *restrict exponents = mixture->exponents;
    double spread = mixture->widths[index] / variable->choice_count;
    double own = log(1 - mixture->widths[index] + spread), other = log(spread);
    double uniform = -log(variable->choice_count);
    for (unsigned k = 0; k < mixture->count; k++)
        exponents[k] += masks[k] == 0 ? uniform : centres[k] == choice ? own : other;
}

static void cell_exponents(const struct mixture *mixture, unsigned index, double low, double high) {
    const double *centres = mixture->centres + (size_t)index * mixture->capacity;
    const double *masks = mixture->masks + (size_t)index * mixture->capacity;
    const double *log_norms = mixture->log_norms + (size_t)index * mixture->capacity;
    double scale = 1 / mixture->widths[index], uniform = log(high - low);
    for (unsigned k = 0; k < mixture->count; k++) {
        if (masks[k] == 0) {
            mixture->exponents[k] += uniform;
            continue;
        }
        /* Both tails are taken from the side where the difference does not cancel. */
        double a = (low - centres[k]) * scale, b = (high - centres[k]) * scale;
        double mass = a > 0 ? normal_below(-a) - normal_below(-b) : normal_below(b) - normal_below(a);
        mixture->exponents[k] += mass > 0 ? log(mass) - log_norms[k] : LOG_TINY;
    }
}

static void point_exponents(const struct mixture *mixture, unsigned index, double point) {
    const double *restrict centres = mixture->centres + (size_t)index * mixture->capacity;
    const double *restrict masks = mixture->masks + (size_t)index * mixture->capacity;
    const double *restrict log_norms = mixture->log_norms + (size_t)index * mixture->capacity;
    double *restrict exponents = mixture->exponents;
    double scale = M_SQRT1_2 / mixture->widths[index];
    for (unsigned k = 0; k < mixture->count; k++) {
        double z = (point - centres[k]) * scale;
        exponents[k] -= masks[k] * (z * z + log_norms[k]);
    }
}

double mixture_log_density(struct mixture *mixture, const struct space *space,
                           const struct candidate *candidate) {
    memcpy(mixture->exponents, mixture->log_weights, mixture->count * sizeof(double));
    for (unsigned i = 0; i < mixture->dimension; i++) {
        const struct variable *variable = space_variable(space, i);
        if (isnan(candidate->centres[i]))
            continue;
        if (variable->kind == VARIABLE_CHOICE)
            choice_exponents(mixture, variable, i, candidate->centres[i]);
        else if (candidate->lows[i] < candidate->highs[i])
            cell_exponents(mixture, i, candidate->lows[i], candidate->highs[i]);
        else
            point_exponents(mixture, i, candidate->centres[i]);
    }
    double top = -INFINITY, sum = 0;
    for (unsigned k = 0; k < mixture->count; k++)
        top = fmax(top, mixture->exponents[k]);
    for (unsigned k = 0; k < mixture->count; k++) {
        double below = mixture->exponents[k] - top;
        if (below > -36) /* less than a rounding error of the sum */
            sum += exp(below);
    }
    return top + log(sum);
}

unsigned mixture_pick(const struct mixture *mixture, struct random_stream *random) {
    double left = random_unit(random);
    for (unsigned k = 0; k + 1 < mixture->count; k++) {
        left -= exp(mixture->log_weights[k]);
        if (left < 0)
            return k;
    }
    return mixture->count - 1;
}

double mixture_draw(const struct mixture *mixture, const struct variable *variable, unsigned index,
                    unsigned kernel, struct random_stream *random) {
    size_t at = (size_t)index * mixture->capacity + kernel;
    bool active = mixture->masks[at] != 0;
    if (variable->kind == VARIABLE_CHOICE) {
        if (active && random_unit(random) >= mixture->widths[index])
            return mixture->centres[at];
        return (double)random_below(random, variable->choice_count);
    }
    for (unsigned i = 0; active && i < REJECTIONS_MAX; i++) {
        double unit = mixture->centres[at] + mixture->widths[index] * random_normal(random);
        if (unit >= 0 && unit <= 1)
            return unit;
    }
    return random_unit(random);
}
