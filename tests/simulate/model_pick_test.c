/* Which recorded execution stands for which task. If it failed, slow configurations would be predicted fast. */
#include "recorded.h"

#include <math.h>

#include "simulate/model.h"

static const char definition[] =
    "{\"name\":\"t\",\"space\":{\"x\":{\"float\":[0,1]},\"k\":{\"int\":[1,3]}},"
    "\"agents\":{\"w\":{\"command\":[\"w\"],\"capabilities\":[\"prepare\",\"train\"]}},"
    "\"stages\":{\"prepare\":{\"uses\":[\"k\"],\"cache\":false},\"train\":{\"needs\":[\"prepare\"],\"uses\":["
    "\"x\"],\"retries\":1}},"
    "\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":\"maximise\"},"
    "\"budget\":{\"trials\":40},\"optimizer\":{\"sampler\":\"sobol\",\"seed\":3}}";

enum { PREPARE, TRAIN };

static struct cost by_values(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    bool prepare = strcmp(stage, "prepare") == 0;
    return (struct cost){.blocked_ns = prepare ? (uint64_t)(k * 1e6) : (uint64_t)((10 + 100 * x) * 1e6),
                         .fails = !prepare && trial == 7 && attempt == 1};
}

static uint64_t picked(const struct model *model, const struct pipeline *pipeline, unsigned stage,
                       uint32_t trial, unsigned attempt, double x, double k, uint64_t seed) {
    double values[] = {x, k};
    return model_pick(model, pipeline->space, stage, trial, attempt, values, seed)->blocked_ns;
}

static void samples(void **state) {
    (void)state;
    struct recorded recorded;
    struct model *model = NULL;
    struct fault fault = {0};
    recorded_make(&recorded, definition, 2, by_values);
    assert_int_equal(model_fit(recorded.record, 2, &recorded.account, &model, &fault), TROUPE_OK);
    const struct pipeline *pipeline = recorded.record->pipeline;
    for (uint32_t t = 0; t < model->trial_count; t++) { /* what is recorded, as it was */
        double x = model->trials[t].values[0], k = model->trials[t].values[1];
        uint64_t wanted = (uint64_t)((10 + 100 * x) * 1e6),
                 is = picked(model, pipeline, TRAIN, t, 1, x, k, 9);
        assert_in_range(is, wanted - 5000, wanted + 5000);
        is = picked(model, pipeline, PREPARE, t, 1, NAN, k, 9); /* x does not concern it */
        assert_in_range(is, (uint64_t)(k * 1e6) - 5000, (uint64_t)(k * 1e6) + 5000);
        double values[] = {x, k};
        assert_true(model_objective(model, pipeline->space, t, values) == model->trials[t].objective);
    }
    /* what is not: near what is near, whoever asks; the seed chooses among neighbours */
    unsigned differ = 0;
    for (unsigned i = 0; i <= 20; i++) {
        double x = i / 20.0;
        uint64_t wanted = (uint64_t)((10 + 100 * x) * 1e6),
                 is = picked(model, pipeline, TRAIN, 1000, 1, x, 2, i);
        assert_in_range(is, wanted - 17000000 * (wanted > 17000000), wanted + 17000000);
        assert_int_equal(is, picked(model, pipeline, TRAIN, 1000, 1, x, 2, i));
        differ += is != picked(model, pipeline, TRAIN, 1000, 1, x, 2, i + 100);
    }
    assert_true(differ > 5);
    model_free(model);
    recorded_free(&recorded);
}

static void attempts_in_their_order(void **state) {
    (void)state;
    struct recorded recorded;
    struct model *model = NULL;
    struct fault fault = {0};
    recorded_make(&recorded, definition, 2, by_values);
    assert_int_equal(model_fit(recorded.record, 2, &recorded.account, &model, &fault), TROUPE_OK);
    const double *values = model->trials[7].values;
    const struct space *space = recorded.record->pipeline->space;
    assert_int_equal(model_pick(model, space, TRAIN, 7, 1, values, 1)->end, SAMPLE_FAILED);
    assert_true(model_pick(model, space, TRAIN, 7, 1, values, 1)->retried);
    assert_int_equal(model_pick(model, space, TRAIN, 7, 2, values, 1)->end, SAMPLE_OK);
    assert_int_equal(model_pick(model, space, TRAIN, 7, 3, values, 1)->end, SAMPLE_OK);
    model_free(model);
    recorded_free(&recorded);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples), cmocka_unit_test(attempts_in_their_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
