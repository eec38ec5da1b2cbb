/* Levers and their ranking: a lever for everything that can be turned, the one that really limits first, nothing where
 * there is nothing, the same ranking for the same request. If it failed, `troupe whatif --rank` would send people to the
 * wrong screw. */
#include "recorded_run.h"

#include <math.h>

#include "simulate/simulate.h"

static const char definition[] =
    "name: t\n"
    "space: {x: {float: [0, 1]}, d: {choice: [a, b]}}\n"
    "resources: {gpu: 3}\n"
    "agents:\n"
    "  first: {command: [w], capabilities: [first]}\n"
    "  work: {command: [w], instances: 2, capabilities: [work, check], resources: {gpu: 1}}\n"
    "stages:\n"
    "  first: {uses: [d]}\n"
    "  work: {needs: [first], uses: [x]}\n"
    "  check: {needs: [work], resources: {gpu: 1}}\n"
    "objective: {stage: check, metric: m, goal: maximise}\n"
    "budget: {trials: 24}\n"
    "optimizer: {sampler: random, seed: 3, deterministic: 4}\n";
static const struct stage_speed speeds[] = {
    {"first", 5 * MS, MS}, {"work", 80 * MS, 2 * MS}, {"check", 3 * MS, MS}};

static const struct lever *find(const struct lever_list *list, const char *set) {
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->levers[i].sets[0], set) == 0)
            return &list->levers[i];
    fail_msg("no lever sets %s", set);
    return NULL;
}

static void everything_that_turns_is_a_lever(void **state) {
    static const struct {
        const char *set;
        enum lever_kind kind;
        bool assumed;
    } expected[] = {{"agents.first.instances=2", LEVER_MORE, false},
                    {"agents.work.instances=3", LEVER_MORE, false},
                    {"agents.work.instances=4", LEVER_MORE, false},
                    {"agents.work.instances=1", LEVER_FEWER, false},
                    {"agents.first.batch_max=4", LEVER_HAND, false},
                    {"agents.work.batch_max=4", LEVER_HAND, false},
                    {"agents.first.window=2", LEVER_HAND, false},
                    {"agents.work.window=2", LEVER_HAND, false},
                    {"stages.first.cache=false", LEVER_REUSE, false},
                    {"stages.work.cache=false", LEVER_REUSE, false},
                    {"stages.check.cache=false", LEVER_REUSE, false},
                    {"budget.parallel=6", LEVER_SEARCH, false},
                    {"optimizer.deterministic=8", LEVER_SEARCH, false},
                    {"resources.gpu=4", LEVER_RESOURCE, false},
                    {"budget.trials=12", LEVER_BUDGET, false},
                    {"budget.trials=48", LEVER_BUDGET, false},
                    {"first.time=0.5", LEVER_FASTER, true},
                    {"work.time=0.5", LEVER_FASTER, true},
                    {"check.time=0.5", LEVER_FASTER, true},
                    {"cores=3", LEVER_CORES, true}};
    struct place *place = *state;
    static struct lever_list list;
    struct pipeline *pipeline = place_pipeline(place, definition, NULL);
    lever_list_make(pipeline, 2, &list);
    assert_int_equal(list.count, ARRAY_COUNT(expected));
    assert_int_equal(list.left_out, 0);
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        const struct lever *lever = find(&list, expected[i].set);
        assert_int_equal(lever->kind, expected[i].kind);
        assert_int_equal(lever->assumed, expected[i].assumed);
        struct pipeline *changed = NULL;
        assert_int_equal(lever_pipeline(place->env, &place->account, pipeline, lever, &changed, NULL),
                         TROUPE_OK);
        pipeline_free(changed);
    }
    /* what more instances hold is given along, so that tasks keep what they had */
    assert_string_equal(find(&list, "agents.work.instances=4")->sets[1], "resources.gpu=5");
    assert_int_equal(find(&list, "agents.work.instances=1")->set_count, 1);
    pipeline_free(pipeline);
    pipeline = place_pipeline(place, definition, "stages.work.cache=false");
    lever_list_make(pipeline, 2, &list);
    find(&list, "stages.work.cache=true");
    pipeline_free(pipeline);
    pipeline = place_pipeline(place, definition, "budget={deadline: 1500ms, parallel: 100}");
    lever_list_make(pipeline, 2, &list);
    find(&list, "budget.deadline=3000ms");
    for (unsigned i = 0; i < list.count; i++) /* twice 100 trials in flight are more than there can be */
        assert_null(strstr(list.levers[i].sets[0], "parallel"));
    pipeline_free(pipeline);
}

/* 32 agents have more levers than are tried: those at the end are counted. */
static void levers_are_bounded(void **state) {
    struct place *place = *state;
    static struct lever_list list;
    static char text[8000];
    size_t used = (size_t)snprintf(text, sizeof text, "space: {x: 'int(1,4)'}\nagents:\n");
    for (unsigned i = 0; i < 32; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  a%u: {command: [go], capabilities: [a], instances: 3}\n", i);
    snprintf(text + used, sizeof text - used,
             "stages: {a: {}}\nobjective: {stage: a, metric: m, goal: maximise}\nbudget: {trials: 4}\n");
    struct pipeline *pipeline = place_pipeline(place, text, NULL);
    lever_list_make(pipeline, 1, &list);
    assert_int_equal(list.count, LEVERS_MAX);
    assert_true(list.left_out > 60);
    pipeline_free(pipeline);
}

struct fitted {
    struct run_record *record;
    struct model *model;
};

static struct fitted fit(struct place *place, const char *set) {
    struct fitted fitted = {0};
    struct fault fault = {0};
    place->speeds = speeds;
    place->speed_count = ARRAY_COUNT(speeds);
    place_run(place, "base", definition, set);
    fitted.record = place_record(place, "base");
    if (model_fit(fitted.record, place->cores, &place->account, &fitted.model, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return fitted;
}

static void unfit(struct fitted *fitted) {
    model_free(fitted->model);
    run_record_free(fitted->record);
}

static struct rank_request request_of(struct place *place, const struct fitted *fitted) {
    return (struct rank_request){
        .env = place->env, .model = fitted->model, .pipeline = fitted->record->pipeline, .seed = 1};
}

static void what_limits_comes_first(void **state) {
    struct place *place = *state;
    struct fitted fitted = fit(place, NULL);
    struct ranking *ranking = NULL, *again = NULL;
    struct rank_request request = request_of(place, &fitted);
    assert_int_equal(rank_levers(&request, &place->account, &ranking, NULL), TROUPE_OK);
    assert_int_equal(ranking->goal, FIGURE_WALL);
    assert_int_equal(ranking->base.replications, RANK_REPLICATIONS);
    const struct lever_list *list = &ranking->list;
    const struct lever *twice = find(list, "agents.work.instances=4"),
                       *more = find(list, "agents.work.instances=3");
    /* 24 tasks of 82 ms at two workers: twice as many, or as fast, halve the time; first, cores and checks do not */
    assert_true(twice->gain > 35 && twice->gain < 55 && !twice->nothing);
    assert_true(more->gain > 20 && more->gain < twice->gain);
    assert_true(find(list, "work.time=0.5")->gain > 35);
    static const char *const idle[] = {"agents.first.instances=2", "cores=3", "first.time=0.5",
                                       "check.time=0.5", "resources.gpu=4"};
    for (size_t i = 0; i < ARRAY_COUNT(idle); i++)
        assert_true(find(list, idle[i])->nothing);
    const struct lever *fewer = find(list, "agents.work.instances=1");
    assert_true(fewer->gain < -60 && !fewer->nothing);
    for (unsigned i = 1; i < list->count; i++) {
        const struct lever *before = &list->levers[i - 1], *after = &list->levers[i];
        assert_true(before->kind != LEVER_BUDGET || after->kind == LEVER_BUDGET);
        if (after->kind != LEVER_BUDGET)
            assert_true((before->nothing ? 0 : before->gain) >= (after->nothing ? 0 : after->gain));
        assert_true(after->gain_low <= after->gain && after->gain <= after->gain_high);
        assert_true(after->prediction.limit[0] != '\0');
    }
    assert_true(find(list, "budget.trials=48")->gain < -80);
    assert_int_equal(rank_levers(&request, &place->account, &again, NULL), TROUPE_OK);
    for (unsigned i = 0; i < list->count; i++) {
        assert_string_equal(list->levers[i].sets[0], again->list.levers[i].sets[0]);
        assert_true(list->levers[i].prediction.signature == again->list.levers[i].prediction.signature);
        assert_true(list->levers[i].gain == again->list.levers[i].gain);
    }
    ranking_free(again, &place->account);
    ranking_free(ranking, &place->account);
    unfit(&fitted);
}

/* When the deadline ends the run, more trials by then are the gain. */
static void a_deadline_is_ranked_by_trials(void **state) {
    struct place *place = *state;
    struct fitted fitted = fit(place, "budget.deadline=700ms");
    struct ranking *ranking = NULL;
    struct rank_request request = request_of(place, &fitted);
    assert_int_equal(fitted.record->state, RUN_DEADLINE);
    assert_int_equal(rank_levers(&request, &place->account, &ranking, NULL), TROUPE_OK);
    assert_int_equal(ranking->goal, FIGURE_TRIALS);
    const struct lever *twice = find(&ranking->list, "agents.work.instances=4");
    assert_true(twice->gain > 20 && !twice->nothing);
    assert_true(twice->prediction.figures[FIGURE_TRIALS].value > ranking->base.figures[FIGURE_TRIALS].value);
    assert_true(find(&ranking->list, "agents.work.instances=1")->gain < -20);
    assert_true(find(&ranking->list, "budget.deadline=1400ms")->gain > 20);
    ranking_free(ranking, &place->account);
    unfit(&fitted);
}

static void what_is_assumed_stays_assumed(void **state) {
    struct place *place = *state;
    struct fitted fitted = fit(place, NULL);
    struct ranking *ranking = NULL;
    struct rank_request request = request_of(place, &fitted);
    struct assumption assumptions[2];
    assert_int_equal(assumption_parse("work.time=0.1", fitted.record->pipeline, &assumptions[0], NULL),
                     TROUPE_OK);
    assert_int_equal(assumption_parse("cores=5", fitted.record->pipeline, &assumptions[1], NULL), TROUPE_OK);
    request.assumptions = assumptions;
    request.assumption_count = 2;
    assert_int_equal(rank_levers(&request, &place->account, &ranking, NULL), TROUPE_OK);
    find(&ranking->list, "cores=6");
    assert_true(find(&ranking->list, "work.time=0.5")->gain < 30); /* most of it is gone already */
    ranking_free(ranking, &place->account);
    unfit(&fitted);
}

static void effort_is_bounded(void **state) {
    struct place *place = *state;
    struct fitted fitted = fit(place, NULL);
    struct ranking *ranking = NULL;
    struct fault fault = {0};
    struct rank_request request = request_of(place, &fitted);
    request.events_max = 100;
    assert_int_equal(rank_levers(&request, &place->account, &ranking, &fault), TROUPE_LIMIT);
    assert_non_null(strstr(fault.text, "levers"));
    assert_null(ranking);
    request.events_max = 60000;
    assert_int_equal(rank_levers(&request, &place->account, &ranking, &fault), TROUPE_OK);
    assert_in_range(ranking->base.replications, 1, RANK_REPLICATIONS - 1);
    ranking_free(ranking, &place->account);
    unfit(&fitted);
}

static void every_allocation_fails(void **state) {
    struct place *place = *state;
    struct fitted fitted = fit(place, "budget.trials=2");
    struct rank_request request = request_of(place, &fitted);
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct ranking *ranking = NULL;
        int64_t before = place->account.bytes;
        struct fault fault = {0};
        enum troupe_error error = rank_levers(&request, &place->account, &ranking, &fault);
        ranking_free(ranking, &place->account);
        /* a modelled worker that is out of memory dies like a real one, and the run may end for lack of agents */
        assert_true(error == TROUPE_OK || fault.text[0] != '\0');
        assert_int_equal(place->account.bytes, before);
        n += n / 2; /* some 100,000, mostly the engine's, which its own tests fail one by one */
    }
    unfit(&fitted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_that_turns_is_a_lever, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(levers_are_bounded, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_limits_comes_first, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_deadline_is_ranked_by_trials, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_is_assumed_stays_assumed, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(effort_is_bounded, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(every_allocation_fails, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
