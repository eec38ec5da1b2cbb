/* Which run measures which prediction, why it went otherwise, and the score: the first run of the same definition and
 * data after the prediction, whatever it is called, and no other. If it failed, the record of how good predictions are
 * would compare them with something else. */
#include "recorded_run.h"

#include <math.h>

#include "simulate/simulate.h"

static const char definition[] = "name: t\n"
                                 "space: {x: {float: [0, 1]}}\n"
                                 "agents: {work: {command: [w], instances: 2}}\n"
                                 "stages: {work: {}}\n"
                                 "objective: {stage: work, metric: m, goal: maximise}\n"
                                 "budget: {trials: 12}\n"
                                 "optimizer: {sampler: random, seed: 3}\n";
static const struct stage_speed blocked[] = {{"work", 80 * MS, 0}}, computing[] = {{"work", 0, 40 * MS}};

static void speeds(struct place *place, const struct stage_speed *speed, double slowness) {
    place->speeds = speed;
    place->speed_count = 1;
    place->slowness = slowness;
}

static int64_t begun(struct place *place, const char *run_id) {
    struct document *document = NULL;
    char directory[200];
    int64_t utc_ns = 0;
    snprintf(directory, sizeof directory, PLACE_RUNS "/%s", run_id);
    assert_int_equal(run_read_definition(place->env, &place->account, directory, &document, &utc_ns, NULL),
                     TROUPE_OK);
    document_free(document);
    return utc_ns;
}

/* A prediction from run `base` for its definition changed by `set`, as if made at `utc_ns`. */
static void predicted(struct place *place, const char *base, const char *set, const char *kind,
                      int64_t utc_ns) {
    struct run_record *record = place_record(place, base);
    struct pipeline *pipeline = place_pipeline(place, definition, set);
    struct prediction prediction;
    struct prediction_entry entry;
    struct model *model = NULL;
    assert_int_equal(model_fit(record, 2, &place->account, &model, NULL), TROUPE_OK);
    struct prediction_request request = {.model = model, .pipeline = pipeline, .seed = 1, .replications = 2};
    assert_int_equal(predict(&request, &place->account, &prediction, NULL), TROUPE_OK);
    prediction_entry_make(&request, &prediction, 0, &entry);
    snprintf(entry.kind, sizeof entry.kind, "%s", kind);
    snprintf(entry.run, sizeof entry.run, "%s", base);
    entry.utc_ns = utc_ns;
    assert_int_equal(prediction_log_keep(place->env, &place->account, PLACE_RUNS, &entry, 1, NULL),
                     TROUPE_OK);
    model_free(model);
    pipeline_free(pipeline);
    run_record_free(record);
}

static struct prediction_log *matched(struct place *place, const char *run_id, unsigned expected) {
    struct prediction_log *log = NULL;
    struct fault fault = {0};
    unsigned count = 0;
    assert_int_equal(prediction_log_read(place->env, &place->account, PLACE_RUNS, &log, NULL), TROUPE_OK);
    if (prediction_match(place->env, &place->account, PLACE_RUNS, run_id, log, &count, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    assert_int_equal(count, expected);
    return log;
}

static void a_later_run_of_the_same_measures(void **state) {
    struct place *place = *state;
    speeds(place, blocked, 1);
    place_run(place, "base", definition, NULL);
    int64_t utc_ns = begun(place, "base") + 1;
    predicted(place, "base", "agents.work.instances=3", "whatif", utc_ns - 1000);
    predicted(place, "base", NULL, "whatif", utc_ns - 2000); /* asked for earlier, measured by base itself */
    predicted(place, "base", NULL, "whatif", utc_ns + 3600000000000); /* of which nothing later comes */
    predicted(place, "base", "budget.trials=13", "whatif", utc_ns - 1000);
    place_run(place, "three", definition, "agents.work.instances=3");
    place_run(place, "renamed", definition,
              "name=other"); /* the same run by another name, but base was first */
    struct prediction_log *log = matched(place, NULL, 2);
    const struct prediction_entry *entries = log->entries;
    assert_string_equal(entries[0].measured_run, "three");
    assert_true(fabs(prediction_error_percent(entries[0].figures[FIGURE_WALL].value,
                                              entries[0].measured[FIGURE_WALL])) <
                15); /* its disk is faster than assumed */
    assert_string_equal(entries[1].measured_run, "base");
    assert_string_equal(entries[2].measured_run, "");
    assert_string_equal(entries[3].measured_run, "");
    prediction_log_free(log);
    log = matched(place, NULL, 0); /* it was kept */
    assert_string_equal(log->entries[0].measured_run, "three");
    assert_true(log->entries[0].measured[FIGURE_TRIALS] == 12);
    prediction_log_free(log);
}

static void only_the_run_that_is_named_is_looked_at(void **state) {
    struct place *place = *state;
    speeds(place, blocked, 1);
    place_run(place, "base", definition, NULL);
    int64_t utc_ns = begun(place, "base") - 5;
    predicted(place, "base", "agents.work.instances=3", "whatif", utc_ns);
    place_run(place, "three", definition, "agents.work.instances=3");
    prediction_log_free(matched(place, "base", 0));
    prediction_log_free(matched(place, "gone", 0));
    prediction_log_free(matched(place, "three", 1));
}

static void a_quote_is_measured_by_its_own_run(void **state) {
    struct place *place = *state;
    speeds(place, blocked, 1);
    place_run(place, "base", definition, NULL);
    place_run(place, "other", definition, NULL);
    predicted(place, "base", NULL, "quote", begun(place, "base") + 1000);
    struct prediction_log *log = matched(place, NULL, 1);
    assert_string_equal(log->entries[0].measured_run, "base");
    prediction_log_free(log);
}

/* A run that met its deadline counts; what never ended, or evaluates one configuration, measures nothing. */
static void what_did_not_search_to_its_end_measures_nothing(void **state) {
    struct place *place = *state;
    speeds(place, blocked, 1);
    place_run(place, "base", definition, NULL);
    int64_t utc_ns = begun(place, "base") - 5;
    predicted(place, "base", "budget.deadline=300ms", "whatif", utc_ns);
    place_run(place, "cut", definition, "budget.deadline=300ms");
    assert_int_equal(env_remove_tree(place->env, PLACE_RUNS "/base"), TROUPE_OK);
    struct prediction_log *log = matched(place, NULL, 1);
    assert_string_equal(log->entries[0].measured_run, "cut"); /* although the base is gone */
    prediction_log_free(log);
}

static void causes_are_found(void **state) {
    static const struct {
        const char *run, *set;
        const struct stage_speed *speed;
        double slowness;
        const char *cause;
    } cases[] = {
        {"good", NULL, computing, 1, ""},
        {"slower", NULL, computing, 1.3, "more CPU"},
        {"faster", NULL, computing, 0.7, "less CPU"},
        {"waits", NULL, blocked, 1, "blocked"},
        {"seed", "optimizer.seed=4", computing, 1.3, "other configurations"},
    };
    struct place *place = *state;
    speeds(place, computing, 1);
    place_run(place, "base", definition, NULL);
    struct run_record *base = place_record(place, "base");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prediction_entry entry = {.assumed = 2};
        double figures[FIGURE_COUNT];
        char cause[160] = "x";
        measured_figures(base, figures);
        for (unsigned f = 0; f < FIGURE_COUNT; f++)
            entry.figures[f].value = figures[f];
        speeds(place, cases[i].speed, cases[i].slowness);
        place_run(place, cases[i].run, definition, cases[i].set);
        struct run_record *measured = place_record(place, cases[i].run);
        prediction_cause(base, measured, &entry, cause);
        if (strstr(cause, cases[i].cause) == NULL || (cases[i].cause[0] == '\0' && cause[0] != '\0'))
            fail_msg("%s: %s", cases[i].run, cause);
        if (i == 1) {
            prediction_cause(NULL, measured, &entry, cause);
            assert_non_null(strstr(cause, "2 parameters"));
            entry.progress = 0.25;
            prediction_cause(NULL, measured, &entry, cause);
            assert_non_null(strstr(cause, "25 %"));
            /* others on the machine: long waits for cores that the run does not fill */
            for (size_t k = 0; k < measured->execution_count; k++) {
                struct record_execution *execution = &measured->executions[k];
                execution->core_wait_ns = execution->cpu_ns;
                execution->cpu_ns = 40 * MS;
                execution->ended = execution->started + execution->core_wait_ns + execution->cpu_ns;
            }
            measured->elapsed_ns *= 3;
            prediction_cause(base, measured, &entry, cause);
            assert_non_null(strstr(cause, "others used the cores"));
        }
        run_record_free(measured);
    }
    run_record_free(base);
}

static struct prediction_entry scored(uint64_t inputs, double predicted_ms, double measured_ms) {
    struct prediction_entry entry = {.kind = "whatif", .inputs = inputs, .version = "1", .changes = "[]"};
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        entry.figures[f] = (struct estimate){NAN, NAN, NAN};
        entry.measured[f] = NAN;
    }
    entry.figures[FIGURE_WALL] = (struct estimate){predicted_ms, 0.95 * predicted_ms, 1.05 * predicted_ms};
    if (measured_ms > 0)
        snprintf(entry.measured_run, sizeof entry.measured_run, "m");
    entry.measured[FIGURE_WALL] = measured_ms > 0 ? measured_ms : NAN;
    return entry;
}

static void scores_are_medians_and_coverage(void **state) {
    struct place *place = *state;
    struct prediction_entry entries[] = {
        scored(1, 100, 0),   scored(1, 100, 100), /* the same, the second was measured */
        scored(2, 102, 100), scored(3, 150, 100), scored(4, 96, 100), scored(5, 7, 0), scored(4, 96, 100),
    };
    struct prediction_log log = {.entries = entries, .count = ARRAY_COUNT(entries)};
    struct prediction_score score;
    snprintf(entries[3].kind, sizeof entries[3].kind, "quote");
    assert_int_equal(prediction_score_make(&log, NULL, &place->account, &score, NULL), TROUPE_OK);
    assert_int_equal(score.count, 5);
    assert_int_equal(score.repeated, 2);
    assert_int_equal(score.scored, 4);
    const struct figure_score *wall = &score.figures[FIGURE_WALL];
    assert_int_equal(wall->count, 4);
    assert_int_equal(wall->held, 3);
    assert_true(fabs(wall->median_error_percent - 3) < 1e-9); /* of 0, 2, 4, 50 */
    assert_true(fabs(wall->mean_error_percent - 12) < 1e-9);
    assert_ptr_equal(score.worst, &entries[3]);
    assert_true(fabs(score.worst_error_percent - 50) < 1e-9);
    assert_int_equal(score.figures[FIGURE_THROUGHPUT].count, 0);
    assert_int_equal(prediction_score_make(&log, "quote", &place->account, &score, NULL), TROUPE_OK);
    assert_int_equal(score.scored, 1);
    assert_int_equal(prediction_score_make(&log, "scenario", &place->account, &score, NULL), TROUPE_OK);
    assert_int_equal(score.count, 0);
    assert_null(score.worst);
    FOR_EACH_FAILING_ALLOCATION(n) {
        enum troupe_error error = prediction_score_make(&log, NULL, &place->account, &score, NULL);
        assert_true(error == TROUPE_NOMEM || !memory_fail_fired());
    }
}

static void every_allocation_fails(void **state) {
    struct place *place = *state;
    speeds(place, blocked, 1);
    place_run(place, "base", definition, "budget.trials=2");
    predicted(place, "base", "budget.trials=2", "whatif", begun(place, "base") - 5);
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct prediction_log *log = NULL;
        struct fault fault = {0};
        unsigned count = 0;
        memory_fail_after(0);
        assert_int_equal(prediction_log_read(place->env, &place->account, PLACE_RUNS, &log, &fault),
                         TROUPE_OK);
        log->entries[0].measured_run[0] = '\0'; /* as before the first measurement */
        int64_t before = place->account.bytes;
        memory_fail_after(n);
        enum troupe_error error =
            prediction_match(place->env, &place->account, PLACE_RUNS, NULL, log, &count, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        assert_true(error == TROUPE_OK || error == TROUPE_NOMEM);
        assert_int_equal(place->account.bytes, before);
        prediction_log_free(log);
        going = fired;
        if (!fired)
            break;
        n += n / 4;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_later_run_of_the_same_measures, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(only_the_run_that_is_named_is_looked_at, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_quote_is_measured_by_its_own_run, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_did_not_search_to_its_end_measures_nothing, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(causes_are_found, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(scores_are_medians_and_coverage, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(every_allocation_fails, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
