/* Samplers on real problems: TPE beats random search by its median over fixed seeds, on smooth, mixed,
 * conditional and constrained spaces; every trial is valid; pending trials are avoided; grids equal the
 * stream; and the mixture is a density: it integrates to one, and its draws follow it. */
#include "optimize/mixture.h"
#include "optimize/study_private.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 15

static double branin(const double *v) {
    double a = v[1] - 5.1 / (4 * M_PI * M_PI) * v[0] * v[0] + 5 / M_PI * v[0] - 6;
    return a * a + 10 * (1 - 1 / (8 * M_PI)) * cos(v[0]) + 10;
}

static double shifted_sphere(const double *v) {
    static const double centre[] = {0.2, 0.8, 0.35, 0.6, 0.9};
    double sum = 0;
    for (unsigned i = 0; i < 5; i++)
        sum += (v[i] - centre[i]) * (v[i] - centre[i]);
    return sum;
}

static double mixed(const double *v) {
    double lr = log10(v[0]) + 2.5, depth = v[1] - 6;
    return 0.2 * lr * lr + 0.02 * depth * depth + (v[2] == 2 ? 0 : 0.2 + 0.1 * v[2]) +
           0.3 * fabs(v[3] - 0.75);
}

/* kind a: x matters; kind b: depth and, at depth 3, y; the optimum, 0, is in b. */
static double conditional(const double *v) {
    if (v[0] == 0)
        return 0.15 + fabs(v[1] - 0.3);
    return v[2] == 3 ? fabs(v[3] - 0.7) : 0.1 * fabs(v[2] - 3) + 0.1;
}

static double corner(const double *v) {
    return v[0] + v[1];
}

struct problem {
    const char *yaml;
    double (*objective)(const double *values);
    double ratio; /* median of TPE's best <= ratio * median of random's best (optimum 0) */
    double optimum;
};

static const struct problem problems[] = {
    {"space: {x: 'float(-5,10)', y: 'float(0,15)'}\n", branin, 0.7, 0.39788735772973816},
    {"space: {a: 'float(0,1)', b: 'float(0,1)', c: 'float(0,1)', d: 'float(0,1)', e: 'float(0,1)'}\n",
     shifted_sphere, 0.4, 0},
    {"space: {lr: 'log(1e-5,1)', depth: 'int(1,12)', kind: 'choice(p,q,r,s)', drop: 'float(0,1,0.05)'}\n",
     mixed, 0.6, 0},
    {"space:\n  kind: {choice: [a, b]}\n  x: {float: [0, 1], when: {kind: a}}\n"
     "  depth: {int: [1, 6], when: {kind: b}}\n  y: {float: [0, 1], when: {depth: 3}}\n",
     conditional, 0.7, 0},
    {"space: {x: 'float(0,1)', y: 'float(0,1)'}\nconstraints: ['x + 2 * y >= 1', 'x * x + y * y >= 0.3']\n",
     corner, 0.9, 0.5},
};

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double best_of_run(const struct space *space, const struct problem *problem, enum sampler_kind sampler,
                          uint64_t seed) {
    struct study *study;
    struct fault fault = {0};
    struct configuration configuration;
    unsigned number;
    double best;
    struct study_options options = {.sampler = sampler, .seed = seed};
    assert_int_equal(study_create(space, &options, &study, &fault), TROUPE_OK);
    for (unsigned i = 0; i < 80; i++) {
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
        if (space_validate(space, &configuration, &fault))
            fail_msg("trial %u of seed %u: %s", i, (unsigned)seed, fault.text);
        assert_int_equal(study_tell(study, number, problem->objective(configuration.values), &fault),
                         TROUPE_OK);
    }
    assert_int_equal(study_best(study, &number, &best), TROUPE_OK);
    study_free(study);
    return best - problem->optimum;
}

static double median_of_runs(const struct space *space, const struct problem *problem,
                             enum sampler_kind sampler) {
    double results[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        results[seed] = best_of_run(space, problem, sampler, seed);
    qsort(results, SEEDS, sizeof *results, by_value);
    return results[SEEDS / 2];
}

static struct space *space_of(const char *yaml) {
    struct document *document;
    struct space *space;
    struct fault fault = {0};
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), "p", NULL, &document, &fault), TROUPE_OK);
    const struct node *root = document_root(document);
    if (space_compile(node_get(root, "space"), node_get(root, "constraints"), &space, &fault))
        fail_msg("%s", fault.text);
    document_free(document);
    return space;
}

static void tpe_beats_random(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(problems); i++) {
        struct space *space = space_of(problems[i].yaml);
        double tpe = median_of_runs(space, &problems[i], SAMPLER_AUTO);
        double random = median_of_runs(space, &problems[i], SAMPLER_RANDOM);
        if (tpe > problems[i].ratio * random)
            fail_msg("%s: TPE %g, random %g", problems[i].yaml, tpe, random);
        median_of_runs(space, &problems[i], SAMPLER_SOBOL); /* every trial valid */
        space_free(space);
    }
}

/* Twenty trials in flight after 30 told: pending ones repel, so they are not all at one place. */
static void pending_trials_spread(void **state) {
    (void)state;
    struct space *space = space_of("space: {x: 'float(0,1)', y: 'float(0,1)'}\n");
    struct study *study;
    struct fault fault;
    struct configuration flying[20];
    unsigned number;
    assert_int_equal(study_create(space, &(struct study_options){.seed = 3}, &study, &fault), TROUPE_OK);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(study_ask(study, &number, &flying[0], &fault), TROUPE_OK);
        double x = flying[0].values[0] - 0.5, y = flying[0].values[1] - 0.5;
        assert_int_equal(study_tell(study, number, x * x + y * y, &fault), TROUPE_OK);
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(study_ask(study, &number, &flying[i], &fault), TROUPE_OK);
        for (unsigned k = 0; k < i; k++)
            assert_true(hypot(flying[i].values[0] - flying[k].values[0],
                              flying[i].values[1] - flying[k].values[1]) > 1e-3);
    }
    study_free(study);
    space_free(space);
}

static void grid_equals_the_stream(void **state) {
    (void)state;
    struct space *space = space_of("space: {x: 'float(0,1)', n: 'int(1,4)'}\nconstraints: ['x * n <= 2']\n");
    struct study *study;
    struct fault fault;
    struct space_stream stream;
    struct configuration expected, asked;
    unsigned number;
    struct study_options options = {.sampler = SAMPLER_GRID, .trials_max = 28}; /* 7 points for x */
    assert_int_equal(study_create(space, &options, &study, &fault), TROUPE_OK);
    space_stream_init(&stream, space, 7);
    while (space_stream_next(&stream, &expected)) {
        assert_int_equal(study_ask(study, &number, &asked, &fault), TROUPE_OK);
        assert_memory_equal(asked.values, expected.values, 2 * sizeof(double));
    }
    assert_int_equal(study_ask(study, &number, &asked, &fault), TROUPE_NOT_FOUND);
    study_free(study);
    space_free(space);
}

static void infeasible_spaces_are_named(void **state) {
    (void)state;
    static const char *const yamls[] = {"space: {x: 'float(0,1)'}\nconstraints: ['x > 2']\n",
                                        "space: {x: 'int(0,9)'}\nconstraints: ['x > 2 and x < 2']\n"};
    for (size_t i = 0; i < ARRAY_COUNT(yamls); i++)
        for (unsigned sampler = 0; sampler <= SAMPLER_GRID; sampler++) {
            struct space *space = space_of(yamls[i]);
            struct study *study;
            struct fault fault = {0};
            struct configuration configuration;
            unsigned number;
            struct study_options options = {.sampler = (enum sampler_kind)sampler};
            assert_int_equal(study_create(space, &options, &study, &fault), TROUPE_OK);
            assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_INFEASIBLE);
            assert_true(sampler == SAMPLER_GRID || strstr(fault.text, "x > 2"));
            study_free(study);
            space_free(space);
        }
}

/* One configuration in a thousand is feasible: rejection still finds it, in every sampler that rejects. */
static void tight_constraints_are_met(void **state) {
    (void)state;
    struct space *space = space_of("space: {x: 'float(0,1)', y: 'float(0,1)'}\n"
                                   "constraints: ['abs(x - y) < 0.0005']\n");
    struct study *study;
    struct fault fault;
    struct configuration configuration;
    unsigned number;
    assert_int_equal(study_create(space, &(struct study_options){.seed = 1}, &study, &fault), TROUPE_OK);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
        assert_int_equal(space_validate(space, &configuration, &fault), TROUPE_OK);
        assert_int_equal(study_tell(study, number, configuration.values[0], &fault), TROUPE_OK);
    }
    study_free(study);
    space_free(space);
}

/* Configurations that missed their constraints rank below all that met them, whatever their objective. */
static void told_violations_steer(void **state) {
    (void)state;
    struct space *space = space_of("space: {x: 'float(0,1)', y: 'float(0,1)'}\n");
    struct study *study;
    struct fault fault;
    struct configuration c;
    unsigned number;
    double best;
    assert_int_equal(study_create(space, &(struct study_options){.seed = 2}, &study, &fault), TROUPE_OK);
    for (unsigned i = 0; i < 80; i++) {
        assert_int_equal(study_ask(study, &number, &c, &fault), TROUPE_OK);
        double missed = fmax(0, 1.5 - c.values[0] - 2 * c.values[1]);
        assert_int_equal(study_tell_constrained(study, number, c.values[0] + c.values[1], missed, &fault),
                         TROUPE_OK);
    }
    assert_int_equal(study_best(study, &number, &best), TROUPE_OK);
    assert_in_range((int)(best * 1000), 750, 900); /* the optimum is 0.75, at (0, 0.75) */
    study_free(study);
    space_free(space);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tpe_beats_random),          cmocka_unit_test(pending_trials_spread),
        cmocka_unit_test(grid_equals_the_stream),    cmocka_unit_test(infeasible_spaces_are_named),
        cmocka_unit_test(tight_constraints_are_met), cmocka_unit_test(told_violations_steer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
