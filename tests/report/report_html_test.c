/* The page of a run as text: bounded, escaped, whole or not at all, and about broken runs too. That its markup is
 * well formed and what a browser makes of it is in page_html_test.py. */
#include "sample_run.h"
#include "report/page.h"
#include "../base/cmocka_base.h"

struct made {
    struct account account;
    struct buffer out;
    enum troupe_error error;
};

static void make(struct made *made, const struct report_run *run, size_t limit) {
    made->account = ACCOUNT("page");
    buffer_init(&made->out, &made->account, limit);
    made->error = report_html(run, &made->out);
}

static void drop(struct made *made) {
    buffer_free(&made->out);
    assert_int_equal(made->account.bytes, 0);
}

static unsigned occurrences(const char *text, const char *what) {
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        count++;
    return count;
}

static void holds(const struct made *made, const char *what) {
    if (strstr(buffer_string(&made->out), what) == NULL)
        fail_msg("the page does not hold %s", what);
}

static void typical(void **state) {
    (void)state;
    struct sample *sample = sample_make(60, 4, false);
    struct made made;
    make(&made, &sample->run, 0);
    assert_int_equal(made.error, TROUPE_OK);
    holds(&made, "<title>digits \xc2\xb7 val_acc ");
    holds(&made, "<td>100.0&#8201;%</td>");
    holds(&made, "CUDA out of memory");
    holds(&made, "data-chart=\"time\"");
    assert_int_equal(occurrences(buffer_string(&made.out), "data-chart=\"slice\""), SAMPLE_VARIABLES);
    assert_int_equal(occurrences(buffer_string(&made.out), "data-lane="), SAMPLE_AGENTS);
    assert_true(made.out.length < 100000);
    drop(&made);
    sample_free(sample);
}

/* No text of a user appears as markup: the page holds its own elements only, and nothing that the hostile text
 * brings along. */
static void hostile(void **state) {
    (void)state;
    struct sample *sample = sample_make(60, 4, true), *plain = sample_make(60, 4, false);
    struct made made, own;
    make(&made, &sample->run, 0);
    make(&own, &plain->run, 0);
    assert_int_equal(made.error, TROUPE_OK);
    const char *text = buffer_string(&made.out);
    assert_null(strstr(text, "<img"));
    assert_null(strstr(text, "<!--"));
    assert_int_equal(occurrences(text, "</script"), 2);
    assert_int_equal(occurrences(text, "<script"), 2);
    assert_int_equal(occurrences(text, "<svg"), occurrences(buffer_string(&own.out), "<svg"));
    assert_null(strchr(text, '\x01'));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strchr(text, '\xff'));
    drop(&made);
    drop(&own);
    sample_free(sample);
    sample_free(plain);
}

static void any_size_is_bounded(void **state) {
    (void)state;
    static const struct {
        size_t trials, bytes_max;
    } cases[] = {{0, 60000}, {1, 80000}, {2, 80000}, {2001, 500000}, {10000, 2000000}, {100000, 4500000}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sample *sample = sample_make(cases[i].trials, 4, false);
        struct made made;
        make(&made, &sample->run, 0);
        assert_int_equal(made.error, TROUPE_OK);
        assert_true(made.out.length < cases[i].bytes_max);
        if (cases[i].trials > REPORT_TRIALS_MAX)
            holds(&made, "of 100000 trials are listed");
        if (cases[i].trials > REPORT_POINTS_MAX)
            holds(&made, "trials are drawn: every improvement");
        if (cases[i].trials == 0)
            holds(&made, "No trial has been asked for yet");
        drop(&made);
        sample_free(sample);
    }
}

/* Thinned as they may be, the best trial and the first are there. */
static void thinning_keeps_what_counts(void **state) {
    (void)state;
    struct sample *sample = sample_make(60000, 4, false);
    for (size_t i = 0; i < sample->run.trial_count; i++) { /* every trial improves on all before it */
        sample->trials[i].state = REPORT_TRIAL_OK;
        sample->trials[i].objective = (double)i;
    }
    sample->run.best_trial = 59999;
    sample->run.best_objective = 59999;
    struct account account = ACCOUNT("page");
    struct buffer out;
    buffer_init(&out, &account, 0);
    struct page page = {.run = &sample->run, .out = &out};
    arena_init(&page.arena, &account);
    assert_int_equal(page_trials_init(&page), TROUPE_OK);
    assert_true(page.drawn[0] && page.drawn[59999] && page.listed[0] && page.listed[59999]);
    assert_true(page.drawn_count <= REPORT_POINTS_MAX + 1 && page.drawn_count > REPORT_POINTS_MAX / 2);
    assert_true(page.listed_count <= REPORT_TRIALS_MAX + 1 && page.listed_count > REPORT_TRIALS_MAX / 2);
    arena_free(&page.arena);
    sample_free(sample);
}

/* A page about a broken run is what is needed most. */
static void broken_values(void **state) {
    (void)state;
    struct sample *sample = sample_make(40, 4, false);
    struct report_run *run = &sample->run;
    sample->trials[3].objective = NAN;
    sample->trials[4].objective = INFINITY;
    sample->trials[5].state = (enum report_trial_state)77;
    sample->trials[6].values = NULL;
    sample->trials[8].end_ns = 0;
    sample->trials[9].number = 3;
    sample->values[10 * SAMPLE_VARIABLES + 3] = 1e9;  /* no such choice */
    sample->values[11 * SAMPLE_VARIABLES + 3] = -1e9; /* nor this */
    sample->values[12 * SAMPLE_VARIABLES + 0] = -1;   /* on a logarithmic axis */
    sample->values[13 * SAMPLE_VARIABLES + 1] = 1e308;
    sample->executions[0].agent = REPORT_UNKNOWN;
    sample->executions[1].stage = REPORT_UNKNOWN;
    sample->executions[2].ended_ns = 0;
    sample->executions[3].ended_ns = UINT64_MAX;
    sample->executions[4].trial = REPORT_UNKNOWN;
    sample->shares[0].percent = NAN;
    sample->shares[1].percent = 1e9;
    sample->shares[2].ms = -5;
    sample->shares[3].name = NULL;
    sample->variables[0].low = NAN;
    sample->variables[2].high = -7;
    sample->variables[6].choice_count = 0;
    sample->variables[5].name = NULL;
    sample->agents[0] = (struct report_agent){0};
    run->best_trial = 4711; /* no such trial */
    run->baseline_objective = NAN;
    run->name = run->id = run->metric = run->state = run->directory = run->command = NULL;
    struct made made;
    make(&made, run, 0);
    assert_int_equal(made.error, TROUPE_OK);
    assert_null(strstr(buffer_string(&made.out), "nan%"));
    assert_null(strstr(buffer_string(&made.out), "inf%"));
    drop(&made);
    sample_free(sample);
    static const struct report_run nothing;
    make(&made, &nothing, 0);
    assert_int_equal(made.error, TROUPE_OK);
    drop(&made);
}

static void many_variables_and_agents(void **state) {
    (void)state;
    enum { VARIABLES = 256, AGENTS = 200, TRIALS = 3000 };
    struct sample *sample = sample_make(TRIALS, 4, false);
    struct report_variable *variables = calloc(VARIABLES, sizeof *variables);
    struct report_agent *agents = calloc(AGENTS, sizeof *agents);
    double *values = calloc((size_t)VARIABLES * TRIALS, sizeof *values);
    for (unsigned i = 0; i < VARIABLES; i++)
        variables[i] = (struct report_variable){.name = "v", .low = 0, .high = 1};
    for (unsigned i = 0; i < TRIALS; i++)
        sample->trials[i].values = values;
    for (unsigned i = 0; i < AGENTS; i++)
        agents[i] = (struct report_agent){.name = "a", .idle_ns = 1};
    for (size_t i = 0; i < sample->run.execution_count; i++)
        sample->executions[i].agent = (uint32_t)(i % AGENTS);
    sample->run.variables = variables;
    sample->run.variable_count = VARIABLES;
    sample->run.agents = agents;
    sample->run.agent_count = AGENTS;
    struct made made;
    make(&made, &sample->run, 0);
    assert_int_equal(made.error, TROUPE_OK);
    assert_int_equal(occurrences(buffer_string(&made.out), "data-chart=\"slice\""), REPORT_SLICES_MAX);
    assert_int_equal(occurrences(buffer_string(&made.out), "data-lane="), REPORT_LANES_MAX);
    holds(&made, "of 3000 trials are listed"); /* REPORT_CELLS_MAX */
    holds(&made, "The first 64 of 200 agents are drawn");
    assert_true(made.out.length < 8000000);
    drop(&made);
    sample_free(sample);
    free(variables);
    free(agents);
    free(values);
}

static void whole_or_not_at_all(void **state) {
    (void)state;
    struct sample *sample = sample_make(30, 4, false);
    struct made made;
    bool passed = false;
    for (int64_t n = 1; !passed; n++) {
        made.account = ACCOUNT("page");
        buffer_init(&made.out, &made.account, 0);
        buffer_text(&made.out, "before");
        memory_fail_after(n);
        made.error = report_html(&sample->run, &made.out);
        passed = !memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(made.error, passed ? TROUPE_OK : TROUPE_NOMEM);
        if (!passed)
            assert_string_equal(buffer_string(&made.out), "before");
        drop(&made);
    }
    make(&made, &sample->run, 20000);
    assert_int_equal(made.error, TROUPE_LIMIT);
    assert_int_equal(made.out.length, 0);
    drop(&made);
    sample_free(sample);
}

/* ---- association ---- */

static double association(size_t n, double (*objective)(size_t i, struct random_stream *random),
                          enum report_variable_kind kind) {
    struct account account = ACCOUNT("page");
    struct report_variable variable = {.name = "x", .kind = kind, .low = 0, .high = 1, .choice_count = 4};
    struct report_trial *trials = calloc(n, sizeof *trials);
    double *values = calloc(n, sizeof *values);
    struct random_stream random;
    random_seed(&random, 9, 0);
    for (size_t i = 0; i < n; i++) {
        values[i] = kind == REPORT_CHOICE ? (double)(i % 4) : (double)i / (double)n;
        trials[i] =
            (struct report_trial){.number = (unsigned)i, .state = REPORT_TRIAL_OK, .values = &values[i]};
        trials[i].objective = objective(i, &random);
    }
    struct report_run run = {.variables = &variable, .variable_count = 1, .trials = trials, .trial_count = n};
    struct buffer out;
    buffer_init(&out, &account, 0);
    struct page page = {.run = &run, .out = &out};
    arena_init(&page.arena, &account);
    assert_int_equal(page_trials_init(&page), TROUPE_OK);
    double share = page_association(&page, 0);
    arena_free(&page.arena);
    free(trials);
    free(values);
    return share;
}

static double rising(size_t i, struct random_stream *random) {
    (void)random;
    return (double)i;
}

static double noise(size_t i, struct random_stream *random) {
    (void)i;
    return random_unit(random);
}

static double by_choice(size_t i, struct random_stream *random) {
    return (double)(i % 4) + random_unit(random) * 0.5;
}

static double same(size_t i, struct random_stream *random) {
    (void)i;
    (void)random;
    return 1;
}

static void associations(void **state) {
    (void)state;
    assert_true(association(400, rising, REPORT_FLOAT) > 0.95);
    assert_true(association(400, noise, REPORT_FLOAT) < 0.05);
    /* four groups that do not overlap: of the ranks' variance 15/16 lies between them */
    double share = association(400, by_choice, REPORT_CHOICE);
    assert_true(share > 0.93 && share < 0.945);
    assert_true(association(400, noise, REPORT_CHOICE) < 0.05);
    assert_true(association(400, same, REPORT_CHOICE) == 0);
    assert_true(isnan(association(15, rising, REPORT_FLOAT)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typical),
        cmocka_unit_test(hostile),
        cmocka_unit_test(any_size_is_bounded),
        cmocka_unit_test(thinning_keeps_what_counts),
        cmocka_unit_test(broken_values),
        cmocka_unit_test(many_variables_and_agents),
        cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(associations),
    };
    return cmocka_run_group_tests_name("report/report_html", tests, NULL, NULL);
}
