/* What can be assumed, and what is said to somebody who assumes something else. If it failed, a typing error would
 * change nothing and be believed. */
#include "../base/cmocka_base.h"

#include "simulate/simulate.h"

static struct account account = ACCOUNT("assumption-test");

static struct pipeline *small(void) {
    static const char text[] = "name: t\nspace: {x: {float: [0, 1]}}\n"
                               "agents: {gpu: {command: [w], instances: 3, capabilities: [train, score]}}\n"
                               "stages: {train: {}, score: {needs: [train]}}\n"
                               "objective: {stage: score, metric: a, goal: maximise}\nbudget: {trials: 3}\n";
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (pipeline_parse(NULL, &account, text, strlen(text), "t.yaml", "/t", NULL, 0, &pipeline, &fault) !=
        TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return pipeline;
}

static void good_ones(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct assumption wanted;
    } cases[] = {
        {"gpu.speed=0.5", {ASSUME_SPEED, "gpu", -1, 0.5}},
        {"gpu/2.speed=2", {ASSUME_SPEED, "gpu", 2, 2}},
        {"train.time=1.5", {ASSUME_TIME, "train", -1, 1.5}},
        {"cores=64", {ASSUME_CORES, "", -1, 64}},
    };
    struct pipeline *pipeline = small();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct assumption found;
        struct fault fault = {0};
        if (assumption_parse(cases[i].text, pipeline, &found, &fault) != TROUPE_OK)
            fail_msg("%s: %s", cases[i].text, fault.text);
        assert_int_equal(found.kind, cases[i].wanted.kind);
        assert_string_equal(found.agent, cases[i].wanted.agent);
        assert_int_equal(found.instance, cases[i].wanted.instance);
        assert_true(found.factor == cases[i].wanted.factor);
    }
    pipeline_free(pipeline);
}

static void bad_ones(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "has no '='"},
        {"gpu.speed", "has no '='"},
        {"gpu.speed=", "no number from 0.001 to 1000"},
        {"gpu.speed=fast", "no number from 0.001 to 1000"},
        {"gpu.speed=0", "no number from 0.001 to 1000"},
        {"gpu.speed=-1", "no number from 0.001 to 1000"},
        {"gpu.speed=1001", "no number from 0.001 to 1000"},
        {"gpu.speed=nan", "no number from 0.001 to 1000"},
        {"gup.speed=2", "there is no agent 'gup'; did you mean 'gpu'?"},
        {"gpu/3.speed=2", "agent 'gpu' has instances 0 to 2, not 3"},
        {"gpu/.speed=2", "has no number behind its '/'"},
        {"gpu/x.speed=2", "has no number behind its '/'"},
        {"gpu/-1.speed=2", "has no number behind its '/'"},
        {"trian.time=2", "there is no stage 'trian'; did you mean 'train'?"},
        {"cores=2.5", "gives no whole number of cores"},
        {"gpu.cores=2", "gives no whole number of cores"},
        {"gpu.memory=2", "says nothing that can be assumed"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789.speed=2",
         "names nothing that could be"},
    };
    struct pipeline *pipeline = small();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct assumption found;
        struct fault fault = {0};
        assert_int_equal(assumption_parse(cases[i].text, pipeline, &found, &fault), TROUPE_USAGE);
        assert_string_equal(fault.where, "--assume");
        if (strstr(fault.text, cases[i].says) == NULL)
            fail_msg("'%s': %s", cases[i].text, fault.text);
    }
    pipeline_free(pipeline);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_ones), cmocka_unit_test(bad_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
