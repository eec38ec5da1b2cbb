/* distribution: see distribution.h. */
#include "simulate/distribution.h"

#include <math.h>
#include <string.h>

#define NORMAL_95 1.6449 /* the 95th percentile of the standard normal */
#define SIGMA_MAX 5.0
#define FOUND(node) node_found((node), (char[96]){0})

static const char *const forms[] = {"uniform", "exponential", "p95", "median", "mix", "values"};

struct reading {
    double sigma;
    struct arena *arena;
    struct fault *fault;
    unsigned depth;
};

static enum troupe_error read_time(const struct node *node, struct reading *reading, double *ret_ns) {
    int64_t ns = 0;
    enum troupe_error error = node_read_duration(node, &ns, reading->fault);
    if (error != TROUPE_OK)
        return error;
    if ((double)ns > DISTRIBUTION_NS_MAX)
        return node_fault(node, reading->fault, TROUPE_INVALID, "expected at most 11 days");
    *ret_ns = (double)ns;
    return TROUPE_OK;
}

/* A duration, or a map of named ones that are added up: {validation: 8ms, lookup: 12ms}. */
static enum troupe_error read_sum(const struct node *node, struct reading *reading, double *ret_ns) {
    double sum = 0;
    if (node_kind(node) != DOCUMENT_MAP)
        return read_time(node, reading, ret_ns);
    for (size_t i = 0; i < node_count(node); i++) {
        double part = 0;
        enum troupe_error error = read_time(node_at(node, i), reading, &part);
        if (error != TROUPE_OK)
            return error;
        sum += part;
    }
    *ret_ns = sum;
    return TROUPE_OK;
}

static enum troupe_error read_lognormal(const struct node *map, const struct node *value, bool is_p95,
                                        struct reading *reading, struct distribution *ret) {
    const struct node *sigma = node_get(map, "sigma");
    double at = 0;
    ret->kind = DISTRIBUTION_LOGNORMAL;
    ret->sigma = reading->sigma;
    enum troupe_error error = read_sum(value, reading, &at);
    if (error == TROUPE_OK)
        error = node_read_real(sigma, &ret->sigma, reading->fault);
    if (error != TROUPE_OK)
        return error;
    if (sigma == NULL && ret->sigma < 0)
        return node_fault(map, reading->fault, TROUPE_INVALID,
                          "`sigma:` is missing: the standard deviation of the time's logarithm, here or as "
                          "`lognormal: {sigma: 0.35}` for all");
    if (ret->sigma < 0 || ret->sigma > SIGMA_MAX)
        return node_fault(sigma, reading->fault, TROUPE_INVALID, "expected a number from 0 to %g, found %s",
                          SIGMA_MAX, FOUND(sigma));
    ret->low_ns = is_p95 ? at * exp(-ret->sigma * NORMAL_95) : at;
    return TROUPE_OK;
}

static enum troupe_error read_uniform(const struct node *list, struct reading *reading,
                                      struct distribution *ret) {
    ret->kind = DISTRIBUTION_UNIFORM;
    if (node_kind(list) != DOCUMENT_LIST || node_count(list) != 2)
        return node_fault(list, reading->fault, TROUPE_INVALID, "expected [LOW, HIGH], found %s",
                          FOUND(list));
    enum troupe_error error = read_time(node_at(list, 0), reading, &ret->low_ns);
    if (error == TROUPE_OK)
        error = read_time(node_at(list, 1), reading, &ret->high_ns);
    if (error == TROUPE_OK && ret->high_ns < ret->low_ns)
        error =
            node_fault(node_at(list, 1), reading->fault, TROUPE_INVALID, "the high end is below the low one");
    return error;
}

static enum troupe_error check_list(const struct node *list, const char *what, struct reading *reading) {
    if (node_kind(list) != DOCUMENT_LIST || node_count(list) == 0)
        return node_fault(list, reading->fault, TROUPE_INVALID, "expected a list of %s, found %s", what,
                          FOUND(list));
    if (node_count(list) > DISTRIBUTION_LIST_MAX)
        return node_fault(list, reading->fault, TROUPE_LIMIT, "a list of %zu, at most %d", node_count(list),
                          DISTRIBUTION_LIST_MAX);
    return TROUPE_OK;
}

static enum troupe_error no_memory(const struct node *node, struct reading *reading) {
    return node_fault(node, reading->fault, TROUPE_NOMEM, "out of memory");
}

static enum troupe_error read_values(const struct node *list, struct reading *reading,
                                     struct distribution *ret) {
    enum troupe_error error = check_list(list, "durations", reading);
    if (error != TROUPE_OK)
        return error;
    ret->kind = DISTRIBUTION_VALUES;
    ret->count = (unsigned)node_count(list);
    ret->values_ns = ARENA_ARRAY(reading->arena, double, ret->count);
    if (ret->values_ns == NULL)
        return no_memory(list, reading);
    for (unsigned i = 0; i < ret->count && error == TROUPE_OK; i++)
        error = read_time(node_at(list, i), reading, &ret->values_ns[i]);
    return error;
}

static enum troupe_error read_any(const struct node *node, struct reading *reading, struct distribution *ret);

static enum troupe_error read_part(const struct node *part, struct reading *reading, double *sum,
                                   struct distribution *ret) {
    static const char *const keys[] = {"share", "time"};
    double share = -1;
    enum troupe_error error = node_kind(part) == DOCUMENT_MAP
                                  ? node_check_keys(part, keys, ARRAY_COUNT(keys), reading->fault)
                                  : TROUPE_OK;
    if (error == TROUPE_OK && (node_get(part, "share") == NULL || node_get(part, "time") == NULL))
        return node_fault(part, reading->fault, TROUPE_INVALID,
                          "expected {share: NUMBER, time: TIME}, found %s", FOUND(part));
    if (error == TROUPE_OK)
        error = node_read_real(node_get(part, "share"), &share, reading->fault);
    if (error == TROUPE_OK && (share < 0 || share > 1))
        error = node_fault(node_get(part, "share"), reading->fault, TROUPE_INVALID,
                           "expected a number from 0 to 1, found %s", FOUND(node_get(part, "share")));
    if (error != TROUPE_OK)
        return error;
    *sum += share;
    return read_any(node_get(part, "time"), reading, ret);
}

static enum troupe_error read_mix(const struct node *list, struct reading *reading,
                                  struct distribution *ret) {
    double sum = 0;
    enum troupe_error error = check_list(list, "{share: NUMBER, time: TIME}", reading);
    if (error == TROUPE_OK && reading->depth == DISTRIBUTION_DEPTH_MAX)
        error = node_fault(list, reading->fault, TROUPE_LIMIT, "mixtures in mixtures, more than %d deep",
                           DISTRIBUTION_DEPTH_MAX);
    if (error != TROUPE_OK)
        return error;
    ret->kind = DISTRIBUTION_MIX;
    ret->count = (unsigned)node_count(list);
    ret->shares = ARENA_ARRAY(reading->arena, double, ret->count);
    ret->parts = ARENA_ARRAY(reading->arena, struct distribution, ret->count);
    if (ret->shares == NULL || ret->parts == NULL)
        return no_memory(list, reading);
    reading->depth++;
    for (unsigned i = 0; i < ret->count && error == TROUPE_OK; i++) {
        error = read_part(node_at(list, i), reading, &sum, &ret->parts[i]);
        ret->shares[i] = sum;
    }
    reading->depth--;
    if (error == TROUPE_OK && fabs(sum - 1) > 1e-6)
        error = node_fault(list, reading->fault, TROUPE_INVALID, "the shares add up to %g, expected 1", sum);
    return error;
}

static enum troupe_error read_form(const struct node *map, struct reading *reading,
                                   struct distribution *ret) {
    static const char *const keys[] = {"uniform", "exponential", "p95", "median", "mix", "values", "sigma"};
    const struct node *value = NULL;
    size_t form = 0;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), reading->fault);
    if (error != TROUPE_OK)
        return error;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        const struct node *found = node_get(map, forms[i]);
        if (found != NULL && value != NULL)
            return node_fault(map, reading->fault, TROUPE_INVALID, "both `%s:` and `%s:`: expected one",
                              forms[form], forms[i]);
        form = found != NULL ? i : form;
        value = found != NULL ? found : value;
    }
    bool lognormal = value != NULL && (strcmp(forms[form], "p95") == 0 || strcmp(forms[form], "median") == 0);
    if (value == NULL)
        return node_fault(map, reading->fault, TROUPE_INVALID,
                          "expected one of uniform, exponential, p95, median, mix and values");
    if (node_get(map, "sigma") != NULL && !lognormal)
        return node_fault(node_get(map, "sigma"), reading->fault, TROUPE_INVALID,
                          "`sigma:` belongs to `p95:` or `median:`");
    if (lognormal)
        return read_lognormal(map, value, strcmp(forms[form], "p95") == 0, reading, ret);
    if (strcmp(forms[form], "uniform") == 0)
        return read_uniform(value, reading, ret);
    if (strcmp(forms[form], "mix") == 0)
        return read_mix(value, reading, ret);
    if (strcmp(forms[form], "values") == 0)
        return read_values(value, reading, ret);
    ret->kind = DISTRIBUTION_EXPONENTIAL;
    return read_time(value, reading, &ret->low_ns);
}

static enum troupe_error read_any(const struct node *node, struct reading *reading,
                                  struct distribution *ret) {
    if (node_kind(node) == DOCUMENT_MAP)
        return read_form(node, reading, ret);
    if (node_text(node) == NULL || node_kind(node) == DOCUMENT_BOOL)
        return node_fault(
            node, reading->fault, TROUPE_INVALID,
            "expected a duration such as 12ms, or a map such as {uniform: [1ms, 3ms]}, found %s",
            FOUND(node));
    ret->kind = DISTRIBUTION_CONSTANT;
    return read_time(node, reading, &ret->low_ns);
}

enum troupe_error distribution_read(const struct node *node, double sigma, struct arena *arena,
                                    struct distribution *ret, struct fault *fault) {
    struct reading reading = {.sigma = sigma, .arena = arena, .fault = fault};
    struct distribution made = {0};
    if (node == NULL)
        return TROUPE_OK;
    enum troupe_error error = read_any(node, &reading, &made);
    if (error == TROUPE_OK)
        *ret = made;
    return error;
}

static const struct distribution *pick_part(const struct distribution *mix, double unit) {
    unsigned i = 0;
    while (i + 1 < mix->count && unit >= mix->shares[i])
        i++;
    return &mix->parts[i];
}

static double draw(const struct distribution *distribution, struct random_stream *random, double normal) {
    switch (distribution->kind) {
    case DISTRIBUTION_UNIFORM:
        return distribution->low_ns + random_unit(random) * (distribution->high_ns - distribution->low_ns);
    case DISTRIBUTION_EXPONENTIAL:
        return -distribution->low_ns * log(1 - random_unit(random));
    case DISTRIBUTION_LOGNORMAL:
        return distribution->low_ns * exp(distribution->sigma * normal);
    case DISTRIBUTION_MIX:
        return draw(pick_part(distribution, random_unit(random)), random, normal);
    case DISTRIBUTION_VALUES:
        return distribution->values_ns[random_below(random, distribution->count)];
    case DISTRIBUTION_CONSTANT:
    default:
        return distribution->low_ns;
    }
}

double distribution_draw(const struct distribution *distribution, struct random_stream *random,
                         double normal) {
    double ns = draw(distribution, random, normal);
    return ns < DISTRIBUTION_NS_MAX ? ns : DISTRIBUTION_NS_MAX;
}

double distribution_mean(const struct distribution *distribution) {
    double sum = 0;
    switch (distribution->kind) {
    case DISTRIBUTION_UNIFORM:
        return (distribution->low_ns + distribution->high_ns) / 2;
    case DISTRIBUTION_LOGNORMAL:
        return distribution->low_ns * exp(distribution->sigma * distribution->sigma / 2);
    case DISTRIBUTION_MIX:
        for (unsigned i = 0; i < distribution->count; i++)
            sum += (distribution->shares[i] - (i > 0 ? distribution->shares[i - 1] : 0)) *
                   distribution_mean(&distribution->parts[i]);
        return sum;
    case DISTRIBUTION_VALUES:
        for (unsigned i = 0; i < distribution->count; i++)
            sum += distribution->values_ns[i];
        return sum / distribution->count;
    case DISTRIBUTION_CONSTANT:
    case DISTRIBUTION_EXPONENTIAL:
    default:
        return distribution->low_ns;
    }
}
