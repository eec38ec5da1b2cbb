/* From a record to a prediction: runs whose every time is known are recorded, fitted and simulated again, unchanged and
 * changed. If this fails, a prediction does not come from what was measured. */
#include "recorded.h"

static const char definition[] =
    "{\"name\":\"t\",\"space\":{\"x\":{\"float\":[0,1],\"default\":0.5},\"k\":{\"int\":[1,3],\"default\":2}},"
    "\"agents\":{\"prepare\":{\"command\":[\"w\"],\"capabilities\":[\"prepare\"]},"
    "\"train\":{\"command\":[\"w\"],\"instances\":2,\"capabilities\":[\"train\"]}},"
    "\"stages\":{\"prepare\":{\"uses\":[\"k\"]},\"train\":{\"needs\":[\"prepare\"],\"retries\":2}},"
    "\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":\"maximise\"},"
    "\"budget\":{\"trials\":30},\"optimizer\":{\"sampler\":\"tpe\",\"seed\":3,\"deterministic\":12}}";

static struct cost computes(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    (void)trial;
    (void)attempt;
    bool prepare = strcmp(stage, "prepare") == 0;
    return (struct cost){.cpu_ns = prepare ? (uint64_t)(k * 10) * MS : (uint64_t)((40 + 100 * x) * 1e6)};
}

static struct cost sleeps(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    struct cost cost = computes(stage, trial, attempt, x, k);
    return (struct cost){.blocked_ns = cost.cpu_ns};
}

static struct cost fails_now_and_then(const char *stage, unsigned trial, unsigned attempt, double x,
                                      double k) {
    struct cost cost = computes(stage, trial, attempt, x, k);
    bool train = strcmp(stage, "train") == 0;
    cost.fails = train && trial % 7 == 3 && attempt == 1;
    cost.crashes = train && trial % 11 == 5 && attempt == 1;
    return cost;
}

static struct cost first_is_slow(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    struct cost cost = sleeps(stage, trial, attempt, x, k);
    if (strcmp(stage, "train") == 0 && recorded_instance == 0)
        cost.blocked_ns *= 2;
    return cost;
}

static struct model *fitted(struct recorded *recorded) {
    struct model *model = NULL;
    struct fault fault = {0};
    if (model_fit(recorded->record, 2, &recorded->account, &model, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return model;
}

/* Wall time of the definition changed by up to two sets, or of nothing changed. */
static uint64_t simulated_wall(struct recorded *recorded, const struct model *model, const char *one,
                               const char *two, const char *assume, struct simulated *ret) {
    const char *sets[] = {one, two};
    struct pipeline *pipeline =
        recorded_pipeline(recorded, definition, sets, (size_t)(one != NULL) + (size_t)(two != NULL));
    struct assumption assumption;
    struct fault fault = {0};
    if (assume != NULL && assumption_parse(assume, pipeline, &assumption, &fault) != TROUPE_OK)
        fail_msg("%s", fault.text);
    struct simulation simulation = {.model = model,
                                    .pipeline = pipeline,
                                    .assumptions = &assumption,
                                    .assumption_count = assume != NULL,
                                    .seed = 1};
    struct simulated simulated = {0};
    if (simulate_run(&simulation, &recorded->account, &simulated, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    uint64_t wall = simulated.wall_ns;
    if (ret != NULL)
        *ret = simulated;
    else
        simulated_free(&simulated);
    pipeline_free(pipeline);
    return wall;
}

/* What the changed definition really takes, in a world of its own. */
static uint64_t real_wall(const char *changed, unsigned cores, cost_fn cost) {
    struct recorded recorded;
    recorded_make(&recorded, changed, cores, cost);
    uint64_t wall = recorded.wall_ns;
    recorded_free(&recorded);
    return wall;
}

static void assert_close(uint64_t is, uint64_t wanted, double percent) {
    double off = 100 * ((double)is / (double)wanted - 1);
    if (off > percent || off < -percent)
        fail_msg("%.3f ms, expected %.3f ms within %.1f %%: off by %.2f %%", (double)is / 1e6,
                 (double)wanted / 1e6, percent, off);
}

/* The definition with one text replaced by another. */
static const char *changed(char out[sizeof definition + 100], const char *from, const char *to) {
    const char *at = strstr(definition, from);
    assert_non_null(at);
    snprintf(out, sizeof definition + 100, "%.*s%s%s", (int)(at - definition), definition, to,
             at + strlen(from));
    return out;
}

static void unchanged_it_takes_what_it_took(void **state) {
    (void)state;
    cost_fn const costs[] = {computes, sleeps, fails_now_and_then};
    for (size_t i = 0; i < ARRAY_COUNT(costs); i++) {
        struct recorded recorded;
        recorded_make(&recorded, definition, 2, costs[i]);
        struct model *model = fitted(&recorded);
        assert_close(simulated_wall(&recorded, model, NULL, NULL, NULL, NULL), recorded.wall_ns, 1);
        model_free(model);
        recorded_free(&recorded);
    }
}

static void other_instances(void **state) {
    (void)state;
    cost_fn const costs[] = {computes, sleeps};
    static const unsigned counts[] = {1, 3, 4, 8};
    for (size_t c = 0; c < ARRAY_COUNT(costs); c++) {
        struct recorded recorded;
        recorded_make(&recorded, definition, 2, costs[c]);
        struct model *model = fitted(&recorded);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            char set[60], to[60], text[sizeof definition + 100];
            snprintf(set, sizeof set, "agents.train.instances=%u", counts[i]);
            snprintf(to, sizeof to, "\"instances\":%u", counts[i]);
            /* Which of two idle agents gets a task is drawn, so one task more or less stands at the end. */
            assert_close(simulated_wall(&recorded, model, set, NULL, NULL, NULL),
                         real_wall(changed(text, "\"instances\":2", to), 2, costs[c]),
                         counts[i] == 1 ? 1 : 8);
        }
        model_free(model);
        recorded_free(&recorded);
    }
}

static void reuse_batch_and_budget(void **state) {
    (void)state;
    static const struct {
        const char *set, *from, *to;
    } cases[] = {{"stages.prepare.cache=false", "\"uses\":[\"k\"]", "\"uses\":[\"k\"],\"cache\":false"},
                 {"agents.train.batch_max=4", "\"instances\":2", "\"instances\":2,\"batch_max\":4"},
                 {"budget.parallel=6", "\"trials\":30", "\"trials\":30,\"parallel\":6"},
                 {"optimizer.deterministic=2", "\"deterministic\":12", "\"deterministic\":2"}};
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, computes);
    struct model *model = fitted(&recorded);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[sizeof definition + 100];
        uint64_t real = real_wall(changed(text, cases[i].from, cases[i].to), 2, computes);
        /* Other trials are asked for when the study knows less or more: their times come from neighbours. */
        assert_close(simulated_wall(&recorded, model, cases[i].set, NULL, NULL, NULL), real,
                     i == 3 ? 5 : 1.5);
    }
    model_free(model);
    recorded_free(&recorded);
}

static void assumptions_scale(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, sleeps);
    struct model *model = fitted(&recorded);
    uint64_t base = simulated_wall(&recorded, model, "agents.train.instances=1", NULL, NULL, NULL);
    assert_close(simulated_wall(&recorded, model, "agents.train.instances=1", NULL, "train.speed=0.5", NULL),
                 2 * base, 3);
    assert_close(simulated_wall(&recorded, model, "agents.train.instances=1", NULL, "train.time=0.5", NULL),
                 base / 2, 5);
    uint64_t slow = simulated_wall(&recorded, model, NULL, NULL, "train/0.speed=0.5", NULL),
             both = simulated_wall(&recorded, model, NULL, NULL, NULL, NULL);
    assert_true(slow > both && slow < 2 * both);
    model_free(model);
    recorded_free(&recorded);
    recorded_make(&recorded, definition, 2, computes);
    model = fitted(&recorded);
    uint64_t eight = simulated_wall(&recorded, model, "agents.train.instances=8", NULL, NULL, NULL),
             cores = simulated_wall(&recorded, model, "agents.train.instances=8", NULL, "cores=8", NULL);
    assert_true(cores * 2 < eight); /* eight agents that compute, on two cores and on eight */
    model_free(model);
    recorded_free(&recorded);
}

static void a_slow_instance_is_found(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, sleeps);
    struct model *model = fitted(&recorded);
    assert_true(model->agents[1].slowness[0] == 1 && model->agents[1].slowness[1] == 1);
    model_free(model);
    recorded_free(&recorded);
    char text[sizeof definition + 100], longer[sizeof text];
    changed(text, "\"trials\":30", "\"trials\":90");
    snprintf(longer, sizeof longer, "%s", text);
    recorded_make(&recorded, longer, 2, first_is_slow);
    model = fitted(&recorded);
    double ratio = model->agents[1].slowness[0] / model->agents[1].slowness[1];
    if (ratio < 1.7 || ratio > 2.3)
        fail_msg("instance 0 takes %.2f times as long, expected 2", ratio);
    assert_close(simulated_wall(&recorded, model, "budget.trials=90", NULL, NULL, NULL), recorded.wall_ns, 8);
    model_free(model);
    recorded_free(&recorded);
}

static void a_deadline_cuts(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, computes);
    struct model *model = fitted(&recorded);
    struct simulated simulated;
    simulated_wall(&recorded, model, "budget.deadline=0.5s", NULL, NULL, &simulated);
    assert_int_equal(simulated.state, RUN_DEADLINE);
    assert_true(simulated.told > 3 && simulated.told < 30);
    assert_close(simulated.wall_ns, 500 * MS, 5);
    simulated_free(&simulated);
    model_free(model);
    recorded_free(&recorded);
}

static void the_seed_decides(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, computes);
    struct model *model = fitted(&recorded);
    struct pipeline *pipeline = recorded_pipeline(&recorded, definition, NULL, 0);
    struct prediction first, again, other;
    struct prediction_request request = {.model = model, .pipeline = pipeline, .seed = 1, .replications = 3};
    assert_int_equal(predict(&request, &recorded.account, &first, NULL), TROUPE_OK);
    assert_int_equal(predict(&request, &recorded.account, &again, NULL), TROUPE_OK);
    request.seed = 100;
    assert_int_equal(predict(&request, &recorded.account, &other, NULL), TROUPE_OK);
    assert_true(first.signature == again.signature);
    assert_memory_equal(first.figures, again.figures, sizeof first.figures);
    assert_true(first.signature != other.signature);
    assert_close((uint64_t)(first.figures[FIGURE_WALL].value * 1e6), recorded.wall_ns, 3);
    assert_true(first.figures[FIGURE_WALL].low < first.figures[FIGURE_WALL].value);
    pipeline_free(pipeline);
    model_free(model);
    recorded_free(&recorded);
}

/* Every allocation of fitting and simulating refused in turn. */
static void no_memory(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, computes);
    struct pipeline *pipeline = recorded_pipeline(&recorded, definition, NULL, 0);
    int64_t before = recorded.account.blocks;
    for (int64_t n = 1;; n += n < 60 ? 1 : 97) {
        struct model *model = NULL;
        struct simulated simulated = {0};
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error = model_fit(recorded.record, 2, &recorded.account, &model, &fault);
        struct simulation simulation = {.model = model, .pipeline = pipeline, .seed = 1};
        if (error == TROUPE_OK)
            error = simulate_run(&simulation, &recorded.account, &simulated, &fault);
        bool fired = memory_fail_fired() != 0;
        memory_fail_after(0);
        if (error != TROUPE_OK && (!fired || fault.text[0] == '\0'))
            fail_msg("allocation %lld: %s: %s", (long long)n, error_name(error), fault.text);
        simulated_free(&simulated);
        model_free(model);
        assert_int_equal(recorded.account.blocks, before);
        if (!fired)
            break;
    }
    pipeline_free(pipeline);
    recorded_free(&recorded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_it_takes_what_it_took),
        cmocka_unit_test(other_instances),
        cmocka_unit_test(reuse_batch_and_budget),
        cmocka_unit_test(assumptions_scale),
        cmocka_unit_test(a_slow_instance_is_found),
        cmocka_unit_test(a_deadline_cuts),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
