/* distribution against its closed forms: means and quantiles of many draws, and what a wrong one is told. If these fail,
 * every figure of a scenario is off by as much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "simulate/distribution.h"

#define DRAWS 200000

static struct account account = ACCOUNT("distribution test");

struct read {
    struct document *document;
    struct arena arena;
    struct distribution distribution;
    struct fault fault;
    enum troupe_error error;
};

static void read_text(struct read *read, const char *yaml) {
    *read = (struct read){0};
    arena_init(&read->arena, &account);
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), "d.yaml", NULL, &read->document, &read->fault),
                     TROUPE_OK);
    read->error = distribution_read(node_get(document_root(read->document), "time"), 0.35, &read->arena,
                                    &read->distribution, &read->fault);
}

static void read_end(struct read *read) {
    document_free(read->document);
    arena_free(&read->arena);
}

static int by_real(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

struct form {
    const char *yaml;
    double mean_ms, p50_ms, p95_ms, tolerance; /* of each, relative */
};

static const struct form forms[] = {
    {"time: 12ms", 12, 12, 12, 1e-9},
    {"time: 0.5", 500, 500, 500, 1e-9},
    {"time: {uniform: [45ms, 180ms]}", 112.5, 112.5, 173.25, 0.01},
    {"time: {uniform: [5ms, 5ms]}", 5, 5, 5, 1e-9},
    {"time: {exponential: 10ms}", 10, 6.931, 29.957, 0.02},
    /* median = p95 / exp(sigma x 1.6449); mean = median x exp(sigma^2 / 2) */
    {"time: {p95: 850ms}", 508.1, 477.9, 850, 0.01},
    {"time: {p95: 850ms, sigma: 0}", 850, 850, 850, 1e-9},
    {"time: {p95: {a: 8ms, b: 12ms, c: 5ms}, sigma: 0.2}", 18.36, 17.99, 25, 0.01},
    {"time: {median: 100ms, sigma: 1}", 164.9, 100, 518.1, 0.03},
    {"time: {mix: [{share: 0.78, time: 1.2ms}, {share: 0.22, time: 4.8ms}]}", 1.992, 1.2, 4.8, 0.01},
    {"time: {mix: [{share: 0.5, time: {mix: [{share: 1, time: 2ms}]}}, {share: 0.5, time: {uniform: [4ms, "
     "8ms]}}]}",
     4, 4, 7.6, 0.01},
    {"time: {values: [1ms, 2ms, 3ms, 10ms]}", 4, 2, 10, 0.02},
};

static void draws_have_the_moments_of_their_form(void **state) {
    (void)state;
    double *draws = malloc(DRAWS * sizeof *draws);
    assert_non_null(draws);
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        struct read read;
        struct random_stream random;
        double sum = 0;
        read_text(&read, forms[i].yaml);
        assert_int_equal(read.error, TROUPE_OK);
        random_seed(&random, 7, i);
        for (size_t k = 0; k < DRAWS; k++) {
            draws[k] = distribution_draw(&read.distribution, &random, random_normal(&random)) / 1e6;
            sum += draws[k];
        }
        qsort(draws, DRAWS, sizeof *draws, by_real);
        double tolerance = forms[i].tolerance;
        assert_float_equal(sum / DRAWS / forms[i].mean_ms, 1, tolerance);
        assert_float_equal(distribution_mean(&read.distribution) / 1e6 / forms[i].mean_ms, 1, 0.001);
        /* At a jump of the distribution function either side is right. */
        bool jump =
            read.distribution.kind == DISTRIBUTION_VALUES || read.distribution.kind == DISTRIBUTION_MIX;
        if (!jump)
            assert_float_equal(draws[DRAWS / 2] / forms[i].p50_ms, 1, tolerance);
        assert_float_equal(draws[DRAWS * 95 / 100] / forms[i].p95_ms, 1, tolerance);
        read_end(&read);
    }
    free(draws);
    assert_int_equal(account.bytes, 0);
}

static void the_same_stream_draws_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        struct read read;
        double first[20];
        read_text(&read, forms[i].yaml);
        for (unsigned round = 0; round < 2; round++) {
            struct random_stream random;
            random_seed(&random, 3, 4);
            for (size_t k = 0; k < ARRAY_COUNT(first); k++) {
                double ns = distribution_draw(&read.distribution, &random, random_normal(&random));
                assert_true(round == 0 || ns == first[k]);
                first[k] = ns;
            }
        }
        read_end(&read);
    }
}

static void draws_are_bounded(void **state) {
    (void)state;
    struct read read;
    struct random_stream random;
    random_seed(&random, 1, 1);
    read_text(&read, "time: {median: 11d, sigma: 5}");
    assert_int_equal(read.error, TROUPE_OK);
    for (unsigned i = 0; i < 1000; i++) {
        double ns = distribution_draw(&read.distribution, &random, random_normal(&random));
        assert_true(ns >= 0 && ns <= DISTRIBUTION_NS_MAX);
    }
    read_end(&read);
}

static const struct {
    const char *yaml;
    enum troupe_error error;
    const char *where, *says;
} wrong[] = {
    {"time: soon", TROUPE_INVALID, "d.yaml:1:1", "duration"},
    {"time: true", TROUPE_INVALID, "d.yaml:1:1", "expected a duration such as 12ms"},
    {"time: [1ms]", TROUPE_INVALID, "d.yaml:1:1", "a list"},
    {"time: {}", TROUPE_INVALID, "d.yaml:1:1", "one of uniform"},
    {"time: {unifrom: [1ms, 2ms]}", TROUPE_INVALID, "d.yaml:1:8", "did you mean 'uniform'?"},
    {"time: {uniform: 3ms}", TROUPE_INVALID, "d.yaml:1:8", "[LOW, HIGH]"},
    {"time: {uniform: [3ms, 1ms]}", TROUPE_INVALID, "d.yaml:1:23", "below the low one"},
    {"time: {exponential: 3ms, p95: 9ms}", TROUPE_INVALID, "d.yaml:1:1", "both"},
    {"time: {exponential: 3ms, sigma: 1}", TROUPE_INVALID, "d.yaml:1:26", "belongs to"},
    {"time: {p95: 3ms, sigma: 9}", TROUPE_INVALID, "d.yaml:1:18", "from 0 to 5"},
    {"time: {p95: {a: 1ms, b: x}}", TROUPE_INVALID, "d.yaml:1:22", "duration"},
    {"time: {p95: 12d}", TROUPE_INVALID, "d.yaml:1:8", "at most 11 days"},
    {"time: {mix: []}", TROUPE_INVALID, "d.yaml:1:8", "expected a list of"},
    {"time: {mix: [{share: 0.5, time: 1ms}]}", TROUPE_INVALID, "d.yaml:1:8", "add up to 0.5"},
    {"time: {mix: [{share: 2, time: 1ms}]}", TROUPE_INVALID, "d.yaml:1:15", "from 0 to 1"},
    {"time: {mix: [3ms]}", TROUPE_INVALID, "d.yaml:1:14", "{share: NUMBER, time: TIME}"},
    {"time: {mix: [{share: 1, time: 1ms, tiem: 2ms}]}", TROUPE_INVALID, "d.yaml:1:36",
     "did you mean 'time'?"},
    {"time: {mix: [{share: 1, time: {mix: [{share: 1, time: {mix: [{share: 1, time: {mix: [{share: 1, time: "
     "{mix: [{share: 1, time: 1ms}]}}]}}]}}]}}]}",
     TROUPE_LIMIT, "d.yaml:1:104", "mixtures"},
    {"time: {values: []}", TROUPE_INVALID, "d.yaml:1:8", "list of durations"},
    {"time: {values: [1ms, {a: 2ms}]}", TROUPE_INVALID, "d.yaml:1:22", "duration"},
};

static void a_wrong_one_is_told_where_and_why(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct read read;
        read_text(&read, wrong[i].yaml);
        if (read.error != wrong[i].error || strcmp(read.fault.where, wrong[i].where) != 0 ||
            strstr(read.fault.text, wrong[i].says) == NULL)
            fail_msg("%s: %s: %s", wrong[i].yaml, read.fault.where, read.fault.text);
        read_end(&read);
    }
}

static void a_lognormal_needs_a_sigma(void **state) {
    (void)state;
    struct read read;
    read_text(&read, "time: {p95: 1s}");
    struct distribution distribution = {0};
    assert_int_equal(distribution_read(node_get(document_root(read.document), "time"), -1, &read.arena,
                                       &distribution, &read.fault),
                     TROUPE_INVALID);
    assert_non_null(strstr(read.fault.text, "`sigma:` is missing"));
    read_end(&read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_have_the_moments_of_their_form),
        cmocka_unit_test(the_same_stream_draws_the_same),
        cmocka_unit_test(draws_are_bounded),
        cmocka_unit_test(a_wrong_one_is_told_where_and_why),
        cmocka_unit_test(a_lognormal_needs_a_sigma),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
