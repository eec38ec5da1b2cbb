/* Changes of a pipeline: each member of a definition is told from the others, what the model cannot express is refused
 * with its reason, and two definitions that mean the same run have one identity. If it failed, a prediction would be a
 * guess that looks like one from evidence, or be scored by a run of something else. */
#include "../base/cmocka_base.h"

#include <stdio.h>

#include "simulate/simulate.h"

static struct account account = ACCOUNT("change-test");

static const char whole[] = "name: whole\n"
                            "data: {rows: 7, tags: [a, b]}\n"
                            "space:\n"
                            "  x: {float: [0, 1], default: 0.5}\n"
                            "  kind: {choice: [a, b], default: a}\n"
                            "constraints: ['x < 0.9']\n"
                            "resources: {gpu: 8, memory: 8GiB}\n"
                            "agents:\n"
                            "  worker:\n"
                            "    command: [python3, worker.py, 3]\n"
                            "    instances: 2\n"
                            "    capabilities: [prepare, train]\n"
                            "    env: {A: '{instance}'}\n"
                            "    options: {depth: 3}\n"
                            "    resources: {gpu: 1}\n"
                            "  scorer: {native: digits, capabilities: [score, held_out]}\n"
                            "stages:\n"
                            "  prepare: {uses: [kind]}\n"
                            "  train: {needs: [prepare], uses: [x], version: 2}\n"
                            "  score: {needs: [train], uses: []}\n"
                            "  held_out: {needs: [train]}\n"
                            "objective: {stage: score, metric: acc, goal: maximise}\n"
                            "test: {stage: held_out, metric: acc}\n"
                            "budget: {trials: 40, deadline: 2m}\n"
                            "optimizer: {sampler: tpe, seed: 9, deterministic: 2}\n"
                            "options: {stop_grace: 3s}\n";

/* The same run: another layout, another order, defaults spelled out. */
static const char same[] =
    "optimizer: {deterministic: 2, seed: 9, sampler: tpe, startup: 0}\n"
    "options: {stop_grace: 3s}\n"
    "budget: {deadline: 120s, trials: 40, failures_max: 10}\n"
    "test: {stage: held_out, metric: acc}\n"
    "objective: {goal: maximize, metric: acc, stage: score}\n"
    "stages:\n"
    "  held_out: {needs: [train], retries: 2, cache: true}\n"
    "  score: {uses: [], needs: [train]}\n"
    "  train: {version: 2, needs: [prepare], uses: [x], capability: train}\n"
    "  prepare: {uses: [kind]}\n"
    "agents:\n"
    "  scorer: {native: digits, isolate: true, capabilities: [held_out, score], instances: 1}\n"
    "  worker:\n"
    "    options: {depth: 3}\n"
    "    env: {A: '{instance}'}\n"
    "    capabilities: [train, prepare]\n"
    "    instances: 2\n"
    "    window: 1\n"
    "    batch_max: 1\n"
    "    resources: {gpu: 1}\n"
    "    command: [python3, worker.py, 3]\n"
    "resources: {memory: 8589934592, gpu: 8}\n"
    "constraints: ['x < 0.9']\n"
    "space:\n"
    "  x: {float: [0, 1], default: 0.5}\n"
    "  kind: {choice: [a, b], default: a}\n"
    "data: {tags: [a, b], rows: 7}\n"
    "name: another\n";

static struct pipeline *parsed(const char *text, const char *set) {
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (pipeline_parse(NULL, &account, text, strlen(text), "t.yaml", "/tmp", &set, set != NULL, &pipeline,
                       &fault) != TROUPE_OK)
        fail_msg("%s: %s: %s", set != NULL ? set : "-", fault.where, fault.text);
    return pipeline;
}

struct expected {
    const char *set, *path;
    enum change_verdict verdict;
    const char *before, *after;
};
static const struct expected table[] = {
    {"name=other", "name", CHANGE_IDLE, "", ""},
    {"data.rows=8", "data", CHANGE_REFUSED, "", ""},
    {"data.tags=[b, a]", "data", CHANGE_REFUSED, "", ""},
    {"space.x.float=[0, 2]", "space", CHANGE_REFUSED, "", ""},
    {"space.x.default=0.6", "space", CHANGE_REFUSED, "", ""},
    {"constraints=['x < 0.8']", "space", CHANGE_REFUSED, "", ""},
    {"objective.metric=loss", "objective", CHANGE_REFUSED, "", ""},
    {"objective.goal=minimise", "objective", CHANGE_REFUSED, "", ""},
    {"test.metric=loss", "test", CHANGE_REFUSED, "", ""},
    {"options.stop_grace=4s", "options", CHANGE_REFUSED, "", ""},
    {"resources.gpu=9", "resources", CHANGE_EXPRESSED, "", ""},
    {"budget.trials=50", "budget.trials", CHANGE_DRAWN, "40", "50"},
    {"budget.deadline=90s", "budget.deadline", CHANGE_DRAWN, "2 min 0 s", "1 min 30 s"},
    {"budget.parallel=3", "budget.parallel", CHANGE_EXPRESSED, "0", "3"},
    {"budget.failures_max=3", "budget.failures_max", CHANGE_EXPRESSED, "10", "3"},
    {"optimizer.sampler=random", "optimizer.sampler", CHANGE_DRAWN, "", ""},
    {"optimizer.seed=10", "optimizer.seed", CHANGE_DRAWN, "9", "10"},
    {"optimizer.deterministic=4", "optimizer.deterministic", CHANGE_DRAWN, "2", "4"},
    {"optimizer.startup=4", "optimizer.startup", CHANGE_DRAWN, "0", "4"},
    {"agents.worker.command=[python3, other.py]", "agents.worker.program", CHANGE_REFUSED, "", ""},
    {"agents.scorer.isolate=false", "agents.scorer.program", CHANGE_REFUSED, "", ""},
    {"agents.worker.options.depth=4", "agents.worker.options", CHANGE_REFUSED, "", ""},
    {"agents.worker.env.B=1", "agents.worker.env", CHANGE_REFUSED, "", ""},
    {"agents.worker.capabilities=[prepare, train, score]", "agents.worker.capabilities", CHANGE_REFUSED, "",
     ""},
    {"agents.worker.instances=4", "agents.worker.instances", CHANGE_EXPRESSED, "2", "4"},
    {"agents.worker.batch_max=4", "agents.worker.batch_max", CHANGE_EXPRESSED, "1", "4"},
    {"agents.scorer.window=4", "agents.scorer.window", CHANGE_EXPRESSED, "1", "4"},
    {"agents.worker.timeout=3s", "agents.worker.timeout", CHANGE_DRAWN, "none", "3 s"},
    {"agents.worker.resources.gpu=2", "agents.worker.resources", CHANGE_EXPRESSED, "", ""},
    {"agents.new={command: [x]}", "agents.new", CHANGE_REFUSED, "", ""},
    {"stages.train.capability=prepare", "stages.train.capability", CHANGE_REFUSED, "", ""},
    {"stages.score.needs=[train, prepare]", "stages.score.needs", CHANGE_REFUSED, "", ""},
    {"stages.prepare.uses=[]", "stages.prepare.uses", CHANGE_REFUSED, "", ""},
    {"stages.train.version=3", "stages.train.version", CHANGE_REFUSED, "", ""},
    {"stages.train.timeout=3s", "stages.train.timeout", CHANGE_DRAWN, "none", "3 s"},
    {"stages.train.retries=0", "stages.train.retries", CHANGE_EXPRESSED, "2", "0"},
    {"stages.prepare.cache=false", "stages.prepare.cache", CHANGE_EXPRESSED, "true", "false"},
    {"stages.score.resources={gpu: 1}", "stages.score.resources", CHANGE_EXPRESSED, "", ""},
};

static void each_member_is_told(void **state) {
    (void)state;
    struct pipeline *before = parsed(whole, NULL);
    uint64_t identities[ARRAY_COUNT(table)], identity = pipeline_identity(before);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct pipeline *after = parsed(whole, table[i].set);
        struct change_list list;
        struct fault fault = {0};
        change_list_make(before, after, &list);
        if (list.count != 1 || strcmp(list.changes[0].path, table[i].path) != 0 ||
            list.changes[0].verdict != table[i].verdict)
            fail_msg("%s: %u changes, the first '%s' (%d)", table[i].set, list.count,
                     list.count > 0 ? list.changes[0].path : "", (int)list.changes[0].verdict);
        assert_string_equal(list.changes[0].before, table[i].before);
        assert_string_equal(list.changes[0].after, table[i].after);
        bool refused = table[i].verdict == CHANGE_REFUSED;
        assert_int_equal(change_list_check(&list, &fault), refused ? TROUPE_INVALID : TROUPE_OK);
        assert_string_equal(fault.where, refused ? table[i].path : "");
        assert_true(table[i].verdict != CHANGE_DRAWN || list.changes[0].why[0] != '\0');
        identities[i] = pipeline_identity(after);
        assert_true((identities[i] == identity) == (table[i].verdict == CHANGE_IDLE));
        for (size_t k = 1; k < i; k++)
            assert_true(identities[k] != identities[i]);
        pipeline_free(after);
    }
    pipeline_free(before);
    assert_int_equal(account.bytes, 0);
}

static void what_means_the_same_is_one(void **state) {
    (void)state;
    struct pipeline *before = parsed(whole, "optimizer.seed=9"), *after = parsed(same, "optimizer.seed=9");
    struct change_list list;
    change_list_make(before, after, &list);
    for (unsigned i = 0; i < list.count; i++)
        if (list.changes[i].verdict != CHANGE_IDLE)
            fail_msg("%s differs", list.changes[i].path);
    assert_int_equal(list.count, 1); /* its name */
    assert_true(pipeline_identity(before) == pipeline_identity(after));
    pipeline_free(before);
    pipeline_free(after);
}

static void what_is_gone_is_told(void **state) {
    (void)state;
    struct pipeline *with = parsed(whole, "agents.spare={command: [x], capabilities: [train]}"),
                    *without = parsed(whole, NULL);
    struct change_list list;
    change_list_make(with, without, &list);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.changes[0].path, "agents.spare");
    assert_int_equal(change_list_check(&list, NULL), TROUPE_OK);
    pipeline_free(with);
    pipeline_free(without);
}

static void a_name_that_is_not_there_is_told(void **state) {
    (void)state;
    static const struct {
        const char *set, *said; /* NULL: it is fine, or the loader's to refuse */
    } cases[] = {{"agents.worker.instances=3", NULL},
                 {"agents.wroker.instances=3", "there is no agent 'wroker'; did you mean 'worker'?"},
                 {"agents.zzzzzz.instances=3", "there is no agent 'zzzzzz'"},
                 {"stages.trian.cache=false", "there is no stage 'trian'; did you mean 'train'?"},
                 {"stages.train.cache=false", NULL},
                 {"agents.new={command: [x]}", NULL},
                 {"agents", NULL},
                 {"agents.", NULL},
                 {"agentsx.y.z=1", NULL},
                 {"budget.trials=4", NULL}};
    struct pipeline *pipeline = parsed(whole, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fault fault = {0};
        enum troupe_error error = change_check_set(pipeline, cases[i].set, &fault);
        assert_int_equal(error, cases[i].said != NULL ? TROUPE_USAGE : TROUPE_OK);
        assert_string_equal(fault.text, cases[i].said != NULL ? cases[i].said : "");
    }
    pipeline_free(pipeline);
}

/* More changes than are listed: a refusal among those left out is told all the same. */
static void a_refusal_is_never_left_out(void **state) {
    (void)state;
    static char text[20000];
    struct pipeline *pipelines[2];
    for (unsigned side = 0; side < 2; side++) {
        size_t used = (size_t)snprintf(text, sizeof text, "space: {x: 'int(1,4)'}\nagents:\n");
        for (unsigned i = 0; i < 25; i++)
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "  a%u: {command: [go], capabilities: [a], batch_max: %u, window: %u}\n",
                                     i, side + 1, side + 1);
        snprintf(
            text + used, sizeof text - used,
            "stages: {s: {capability: a, version: %u}}\nobjective: {stage: s, metric: m, goal: maximise}\n"
            "budget: {trials: 1}\n",
            side);
        pipelines[side] = parsed(text, NULL);
    }
    struct change_list list;
    struct fault fault = {0};
    change_list_make(pipelines[0], pipelines[1], &list);
    assert_int_equal(list.count, CHANGES_MAX);
    assert_int_equal(list.left_out, 50 + 1 - CHANGES_MAX);
    assert_true(list.refused);
    assert_int_equal(change_list_check(&list, &fault), TROUPE_INVALID);
    assert_string_equal(fault.where, "stages.s.version");
    pipeline_free(pipelines[0]);
    pipeline_free(pipelines[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_is_told),         cmocka_unit_test(what_means_the_same_is_one),
        cmocka_unit_test(what_is_gone_is_told),        cmocka_unit_test(a_name_that_is_not_there_is_told),
        cmocka_unit_test(a_refusal_is_never_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
