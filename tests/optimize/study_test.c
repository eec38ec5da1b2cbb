/* Studies: what tells and restores are refused, the best, bounds, exhaustion, exact resume, deterministic K
 * under every completion order, and every allocation failed in turn. */
#include "optimize/optimize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct space *space_of(const char *const *vars, size_t count) {
    struct space *space;
    struct fault fault = {0};
    if (space_compile_vars(vars, count, &space, &fault))
        fail_msg("%s: %s", fault.where, fault.text);
    return space;
}

static struct space *mixed_space(void) {
    static const char *const vars[] = {"x=float(0,1)", "y=log(1e-4,1)", "n=int(1,9)", "k=choice(a,b,c)"};
    return space_of(vars, 4);
}

static double mixed_objective(const struct configuration *c) {
    double x = c->values[0] - 0.3, y = log10(c->values[1]) + 2, n = c->values[2] - 6;
    return x * x + 0.2 * y * y + 0.01 * n * n + (c->values[3] == 1 ? 0 : 0.3);
}

static struct study *study_of(const struct space *space, struct study_options options) {
    struct study *study;
    struct fault fault = {0};
    if (study_create(space, &options, &study, &fault))
        fail_msg("%s", fault.text);
    return study;
}

static void wrong_tells_are_refused(void **state) {
    (void)state;
    struct space *space = mixed_space();
    struct study *study = study_of(space, (struct study_options){.sampler = SAMPLER_RANDOM});
    struct configuration configuration;
    struct fault fault;
    unsigned number;
    double objective;
    assert_int_equal(study_best(study, &number, &objective), TROUPE_NOT_FOUND);
    assert_int_equal(study_tell(study, 0, 1, &fault), TROUPE_NOT_FOUND);
    assert_null(study_configuration(study, 0));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
        assert_int_equal(number, i);
        assert_memory_equal(study_configuration(study, i)->values, configuration.values, 4 * sizeof(double));
    }
    assert_int_equal(study_tell(study, 0, NAN, &fault), TROUPE_INVALID);
    assert_int_equal(study_tell_constrained(study, 0, 1, -1, &fault), TROUPE_INVALID);
    assert_int_equal(study_tell_constrained(study, 0, 1, NAN, &fault), TROUPE_INVALID);
    assert_int_equal(study_told(study), 0);
    assert_int_equal(study_tell_constrained(study, 0, -9, 0.1, &fault), TROUPE_OK);
    assert_int_equal(study_best(study, &number, &objective),
                     TROUPE_NOT_FOUND); /* it missed its constraints */
    assert_int_equal(study_tell(study, 3, 2, &fault), TROUPE_OK);
    assert_int_equal(study_tell(study, 3, 1, &fault), TROUPE_EXISTS);
    assert_int_equal(study_tell_failed(study, 3, &fault), TROUPE_EXISTS);
    assert_int_equal(study_tell(study, 1, 2, &fault), TROUPE_OK);
    assert_int_equal(study_best(study, &number, &objective), TROUPE_OK);
    assert_int_equal(number, 1); /* a tie goes to the lowest number */
    assert_int_equal(study_tell_failed(study, 2, &fault), TROUPE_OK);
    assert_int_equal(study_told(study), 4);
    assert_int_equal(study_asked(study), 4);
    study_free(study);
    study = study_of(space, (struct study_options){.maximise = true});
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
        assert_int_equal(study_tell(study, i, i == 1 ? 5 : -7, &fault), TROUPE_OK);
    }
    assert_int_equal(study_best(study, &number, &objective), TROUPE_OK);
    assert_true(number == 1 && objective == 5);
    study_free(study);
    space_free(space);
}

static void sampler_names_round_trip(void **state) {
    (void)state;
    enum sampler_kind kind;
    for (unsigned i = 0; i <= SAMPLER_GRID; i++) {
        assert_int_equal(sampler_parse(sampler_name((enum sampler_kind)i), &kind), TROUPE_OK);
        assert_int_equal(kind, i);
    }
    assert_int_equal(sampler_parse("bayes", &kind), TROUPE_INVALID);
}

static void trials_are_bounded(void **state) {
    (void)state;
    struct space *space = mixed_space();
    struct study *study = study_of(space, (struct study_options){.trials_max = 3});
    struct configuration configuration;
    struct fault fault;
    unsigned number;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_LIMIT);
    assert_int_equal(study_restore(study, 3, &configuration, &fault), TROUPE_LIMIT);
    study_free(study);
    space_free(space);
}

/* Each sampler asks each of the 24 configurations once, whatever is told, then says so. */
static void finite_spaces_are_exhausted(void **state) {
    (void)state;
    static const char *const vars[] = {"n=int(1,4)", "k=choice(a,b,c)", "m=float(0,1,1)"};
    struct space *space = space_of(vars, 3);
    for (unsigned sampler = 0; sampler <= SAMPLER_GRID; sampler++)
        for (unsigned baseline = 0; baseline < 2; baseline++) {
            struct study *study =
                study_of(space, (struct study_options){.sampler = (enum sampler_kind)sampler,
                                                       .baseline_first = baseline});
            bool seen[24] = {false};
            struct configuration c;
            struct fault fault;
            unsigned number;
            for (unsigned i = 0; i < 24; i++) {
                assert_int_equal(study_ask(study, &number, &c, &fault), TROUPE_OK);
                unsigned index = (unsigned)((c.values[0] - 1) * 6 + c.values[1] * 2 + c.values[2]);
                assert_false(seen[index]);
                seen[index] = true;
                if (i == 7)
                    assert_int_equal(study_tell_failed(study, i, &fault), TROUPE_OK);
                else if (i != 5)
                    assert_int_equal(study_tell(study, i, c.values[0], &fault), TROUPE_OK);
            }
            assert_int_equal(study_ask(study, &number, &c, &fault), TROUPE_NOT_FOUND);
            assert_non_null(strstr(fault.text, "exhausted"));
            study_free(study);
        }
    space_free(space);
}

/* A script of asks and tells with several trials in flight, in an order drawn from `seed`; the trials by
 * number. */
static void play(struct study *study, unsigned trials, unsigned workers, uint64_t seed,
                 struct configuration *ret_trials) {
    struct random_stream random;
    unsigned flying[64], flying_count = 0, number;
    struct fault fault = {0};
    random_seed(&random, seed, 0);
    while (study_told(study) < trials) {
        enum troupe_error error = TROUPE_FULL;
        if (study_asked(study) < trials && flying_count < workers)
            error = study_ask(study, &number, &ret_trials[study_asked(study)], &fault);
        if (error == TROUPE_OK) {
            flying[flying_count++] = number;
            continue;
        }
        assert_int_equal(error, TROUPE_FULL);
        assert_true(flying_count > 0);
        unsigned at = (unsigned)random_below(&random, flying_count);
        number = flying[at];
        flying[at] = flying[--flying_count];
        if (number % 11 == 3)
            assert_int_equal(study_tell_failed(study, number, &fault), TROUPE_OK);
        else
            assert_int_equal(study_tell(study, number, mixed_objective(&ret_trials[number]), &fault),
                             TROUPE_OK);
    }
}

static void trials_assert_equal(const struct configuration *a, const struct configuration *b,
                                unsigned count) {
    for (unsigned i = 0; i < count; i++)
        assert_memory_equal(a[i].values, b[i].values, 4 * sizeof(double));
}

#define TRIALS 60
static struct configuration first[TRIALS], second[TRIALS];

/* deterministic: 4 gives the same trials for one to four workers, whatever finishes first. */
static void deterministic_k_is_independent_of_completion_order(void **state) {
    (void)state;
    struct space *space = mixed_space();
    struct study_options options = {.seed = 5, .deterministic = 4};
    struct study *study = study_of(space, options);
    play(study, TRIALS, 4, 1, first);
    study_free(study);
    for (uint64_t order = 2; order < 40; order++) {
        study = study_of(space, options);
        play(study, TRIALS, 1 + (unsigned)order % 4, order, second);
        trials_assert_equal(first, second, TRIALS);
        study_free(study);
    }
    options.deterministic = 0; /* the same script without it does depend on the order */
    study = study_of(space, options);
    play(study, TRIALS, 4, 1, first);
    study_free(study);
    study = study_of(space, options);
    play(study, TRIALS, 4, 2, second);
    study_free(study);
    assert_memory_not_equal(first[TRIALS - 1].values, second[TRIALS - 1].values, 4 * sizeof(double));
    space_free(space);
}

static void deterministic_k_waits(void **state) {
    (void)state;
    struct space *space = mixed_space();
    struct study *study = study_of(space, (struct study_options){.deterministic = 2});
    struct configuration configuration;
    struct fault fault;
    unsigned number;
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_FULL);
    assert_int_equal(study_tell(study, 1, 1, &fault), TROUPE_OK);
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_FULL);
    assert_int_equal(study_tell(study, 0, 1, &fault), TROUPE_OK);
    assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
    assert_int_equal(number, 2);
    study_free(study);
    space_free(space);
}

/* Stop after any number of trials, restore them, tell what was told: the next ask is the one it would have
 * been. */
static void resume_is_exact(void **state) {
    (void)state;
    struct space *space = mixed_space();
    struct fault fault;
    for (unsigned deterministic = 0; deterministic <= 3; deterministic += 3)
        for (unsigned stop = 0; stop < TRIALS; stop += 7) {
            struct study_options options = {.seed = 9, .deterministic = deterministic};
            struct study *whole = study_of(space, options), *resumed = study_of(space, options);
            struct configuration a, b;
            unsigned number;
            play(whole, stop, 3, 1, first);
            for (unsigned i = 0; i < stop; i++)
                assert_int_equal(study_restore(resumed, i, &first[i], &fault), TROUPE_OK);
            for (unsigned i = stop; i-- > 0;) /* not even the order matters */
                if (i % 11 == 3)
                    assert_int_equal(study_tell_failed(resumed, i, &fault), TROUPE_OK);
                else
                    assert_int_equal(study_tell(resumed, i, mixed_objective(&first[i]), &fault), TROUPE_OK);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(study_ask(whole, &number, &a, &fault), TROUPE_OK);
                assert_int_equal(study_ask(resumed, &number, &b, &fault), TROUPE_OK);
                assert_memory_equal(a.values, b.values, 4 * sizeof(double));
            }
            study_free(whole);
            study_free(resumed);
        }
    struct study *study = study_of(space, (struct study_options){.seed = 1});
    struct configuration wrong = {.count = 4, .values = {2, 0.1, 3, 1}}, right = {4, {0.5, 0.1, 3, 1}};
    assert_int_equal(study_restore(study, 1, &right, &fault), TROUPE_INVALID);
    assert_int_equal(study_restore(study, 0, &wrong, &fault), TROUPE_INVALID);
    assert_non_null(strstr(fault.text, "above its highest"));
    assert_int_equal(study_restore(study, 0, &right, &fault), TROUPE_OK);
    assert_int_equal(study_restore(study, 0, &right, &fault), TROUPE_EXISTS);
    assert_int_equal(study_tell(study, 0, 1, &fault), TROUPE_OK); /* pending until told */
    study_free(study);
    space_free(space);
}

static void baseline_comes_first(void **state) {
    (void)state;
    static const char yaml[] = "space: {a: {int: [1, 9], default: 7}, b: {int: [1, 9], default: 8}}\n"
                               "good: ['a + b > 3']\nbad: ['a + b < 15']\n";
    struct document *document;
    struct space *space;
    struct fault fault;
    assert_int_equal(document_parse_yaml(yaml, strlen(yaml), "p", NULL, &document, &fault), TROUPE_OK);
    const struct node *root = document_root(document);
    for (unsigned sampler = 0; sampler <= SAMPLER_GRID; sampler++) {
        struct configuration configuration;
        unsigned number;
        assert_int_equal(space_compile(node_get(root, "space"), node_get(root, "good"), &space, &fault),
                         TROUPE_OK);
        struct study *study = study_of(
            space, (struct study_options){.sampler = (enum sampler_kind)sampler, .baseline_first = true});
        assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
        assert_true(configuration.values[0] == 7 && configuration.values[1] == 8);
        study_free(study);
        space_free(space);
    }
    struct study *study;
    assert_int_equal(space_compile(node_get(root, "space"), node_get(root, "bad"), &space, &fault),
                     TROUPE_OK);
    assert_int_equal(study_create(space, &(struct study_options){.baseline_first = true}, &study, &fault),
                     TROUPE_INFEASIBLE);
    assert_non_null(strstr(fault.text, "a + b < 15"));
    space_free(space);
    document_free(document);
}

/* One study from creation to past its start-up and two growths of its arrays. */
static enum troupe_error allocation_script(const struct space *space, enum sampler_kind sampler) {
    struct study *study = NULL;
    struct fault fault;
    enum troupe_error error =
        study_create(space, &(struct study_options){.sampler = sampler}, &study, &fault);
    for (unsigned i = 0; !error && i < 140; i++) {
        struct configuration configuration;
        unsigned number = 999;
        error = study_ask(study, &number, &configuration, &fault);
        if (error) { /* nothing was asked, and asking again works */
            assert_int_equal(study_asked(study), i);
            assert_int_equal(number, 999);
            assert_int_equal(study_ask(study, &number, &configuration, &fault), TROUPE_OK);
            assert_int_equal(number, i);
        }
        if (!error && i % 2)
            error = study_tell(study, i, mixed_objective(&configuration), &fault);
    }
    study_free(study); /* checks that its account is empty */
    return error;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    struct space *space = mixed_space();
    for (unsigned sampler = 0; sampler <= SAMPLER_TPE; sampler++)
        for (int64_t n = 1;; n++) {
            memory_fail_after(n);
            enum troupe_error error = allocation_script(space, (enum sampler_kind)sampler);
            bool fired = memory_fail_fired();
            memory_fail_after(0);
            assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
            if (!fired)
                break;
        }
    space_free(space);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_tells_are_refused),
        cmocka_unit_test(sampler_names_round_trip),
        cmocka_unit_test(trials_are_bounded),
        cmocka_unit_test(finite_spaces_are_exhausted),
        cmocka_unit_test(deterministic_k_is_independent_of_completion_order),
        cmocka_unit_test(deterministic_k_waits),
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(baseline_comes_first),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
