/* A pipeline's definition read whole: what is left out has its default, what is written is found in its place,
 * --set and the command line end in the same definition, and every allocation refused in turn on the way is
 * NOMEM, a message and nothing left behind. Messages of wrong definitions: tests/e2e/bad. If it failed, a run
 * would do something else than what its file says. */
#include "../base/cmocka_base.h"

#include <stdio.h>
#include <stdlib.h>

#include "pipeline/pipeline.h"

static struct account account = ACCOUNT("definition-test");
static struct env *env;

static const char whole[] =
    "name: whole\n"
    "data: {rows: 7, tags: [a, b]}\n"
    "space:\n"
    "  x: {float: [0, 1], default: 0.5}\n"
    "  kind: {choice: [a, b], default: a}\n"
    "constraints: ['x < 0.9']\n"
    "resources: {gpu: 5, memory: 8GiB}\n"
    "agents:\n"
    "  worker:\n"
    "    command: [python3, worker.py, 3]\n"
    "    instances: 2\n"
    "    instances_min: 1\n"
    "    instances_max: 3\n"
    "    batch_max: 4\n"
    "    batch_wait_ms: 20\n"
    "    window: 8\n"
    "    capabilities: [prepare, train]\n"
    "    env: {CUDA_VISIBLE_DEVICES: '{instance}'}\n"
    "    resources: {gpu: 1}\n"
    "    timeout: 90s\n"
    "    options: {depth: 3}\n"
    "  looker: {once: [sh, -c, 'echo acc={x}'], metrics: [acc, loss], capabilities: [score]}\n"
    "  plugin: {native: digits, isolate: false}\n"
    "stages:\n"
    "  score: {needs: [train, prepare], resources: {gpu: 2, memory: 512MiB}}\n"
    "  train: {needs: [prepare], uses: [x], timeout: 30s, retries: 5, cache: false, version: 2, size: x, "
    "idempotent: true}\n"
    "  prepare: {uses: []}\n"
    "  held_out: {capability: plugin, needs: [train]}\n"
    "objective: {stage: score, metric: acc, goal: minimize}\n"
    "test: {stage: held_out}\n"
    "budget: {trials: 40, deadline: 2m, parallel: 3, failures_max: 7}\n"
    "optimizer: {sampler: grid, seed: 9, deterministic: 2, startup: 5}\n";

static const char least[] = "space: {x: 'int(1,4)'}\n"
                            "agents: {go: {command: [./go]}}\n"
                            "stages: {go: {}}\n"
                            "objective: {stage: go, metric: m, goal: maximise}\n"
                            "budget: {trials: 1}\n";

static struct pipeline *parsed(const char *text, const char *const *sets, size_t set_count) {
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (pipeline_parse(env, &account, text, strlen(text), "test.yaml", "/somewhere", sets, set_count,
                       &pipeline, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return pipeline;
}

static void agents_are_as_written(const struct pipeline *pipeline) {
    const struct pipeline_agent *worker = &pipeline->agents[0], *looker = &pipeline->agents[1],
                                *plugin = &pipeline->agents[2];
    assert_int_equal(pipeline->agent_count, 3);
    assert_string_equal(worker->name, "worker");
    assert_int_equal(worker->kind, PIPELINE_AGENT_COMMAND);
    assert_string_equal(worker->argv[2], "3"); /* a number is a word too */
    assert_null(worker->argv[3]);
    assert_int_equal(worker->instances, 2);
    assert_int_equal(worker->instances_min, 1);
    assert_int_equal(worker->instances_max, 3);
    assert_int_equal(looker->instances_min, looker->instances);
    assert_int_equal(looker->instances_max, looker->instances);
    assert_int_equal(worker->batch_max, 4);
    assert_int_equal(worker->window, 8);
    assert_int_equal(worker->batch_wait_ns, 20000000);
    assert_int_equal(worker->capability_count, 2);
    assert_string_equal(worker->environment[0], "CUDA_VISIBLE_DEVICES={instance}");
    assert_null(worker->environment[1]);
    assert_int_equal(worker->timeout_ns, 90000000000);
    assert_string_equal(worker->options_json, "{\"depth\":3}");
    assert_int_equal(looker->kind, PIPELINE_AGENT_ONCE);
    assert_string_equal(looker->metrics[1], "loss");
    assert_int_equal(plugin->kind, PIPELINE_AGENT_NATIVE);
    assert_false(plugin->isolate);
    assert_string_equal(plugin->native, "digits");
    assert_string_equal(plugin->capability_names[0], "plugin"); /* its own name */
}

static void stages_are_as_written(const struct pipeline *pipeline) {
    const struct pipeline_stage *score = &pipeline->stages[0], *train = &pipeline->stages[1],
                                *prepare = &pipeline->stages[2], *held_out = &pipeline->stages[3];
    assert_int_equal(pipeline->stage_count, 4);
    assert_int_equal(score->needs, 1u << 1 | 1u << 2);
    assert_true(score->uses_all && score->cache && score->in_trial && score->retries == 2);
    assert_true(!train->uses_all && train->uses[0] && !train->uses[1] && !train->cache);
    assert_true(train->idempotent && !score->idempotent);
    assert_int_equal(train->timeout_ns, 30000000000);
    assert_int_equal(train->retries, 5);
    assert_string_equal(space_variable(pipeline->space, train->size - 1)->name, "x");
    assert_int_equal(score->size, 0);
    assert_string_equal(train->version, "2");
    assert_true(!prepare->uses_all && !prepare->uses[0] && !prepare->uses[1]);
    assert_false(held_out->in_trial);
    unsigned place[4];
    for (unsigned i = 0; i < 4; i++)
        place[pipeline->order[i]] = i;
    assert_true(place[2] < place[1] && place[1] < place[0] && place[1] < place[3]);
}

static void everything_is_where_it_belongs(void **state) {
    (void)state;
    struct pipeline *pipeline = parsed(whole, NULL, 0);
    agents_are_as_written(pipeline);
    stages_are_as_written(pipeline);
    assert_string_equal(pipeline->name, "whole");
    assert_string_equal(pipeline->directory, "/somewhere");
    assert_int_equal(pipeline->resources.amount[0], 5);
    assert_int_equal(pipeline->resources_free.amount[0], 2); /* up to three instances hold one each */
    assert_int_equal(pipeline->resources.amount[1], INT64_C(8) << 30);
    assert_int_equal(pipeline->stages[0].resources.amount[1], INT64_C(512) << 20);
    assert_int_equal(pipeline->objective_stage, 0);
    assert_false(pipeline->maximise);
    assert_int_equal(pipeline->test_stage, 3);
    assert_string_equal(pipeline->test_metric, "acc"); /* the objective's, unless it says another */
    assert_int_equal(pipeline->trials, 40);
    assert_int_equal(pipeline->deadline_ns, 120000000000);
    assert_int_equal(pipeline->parallel, 3);
    assert_int_equal(pipeline->failures_max, 7);
    assert_int_equal(pipeline->study.seed, 9);
    assert_int_equal(pipeline->study.deterministic, 2);
    assert_int_equal(pipeline->study.startup, 5);
    assert_true(pipeline->study.baseline_first && !pipeline->study.maximise);
    pipeline_free(pipeline);
    assert_int_equal(account.bytes, 0);
}

static void what_is_left_out_has_its_default(void **state) {
    (void)state;
    struct pipeline *pipeline = parsed(least, NULL, 0);
    const struct pipeline_agent *agent = &pipeline->agents[0];
    const struct pipeline_stage *stage = &pipeline->stages[0];
    assert_string_equal(pipeline->name, "pipeline");
    assert_true(agent->instances == 1 && agent->batch_max == 1 && agent->window == 1 &&
                agent->timeout_ns == 0);
    assert_true(agent->isolate && agent->environment == NULL);
    assert_string_equal(agent->options_json, "{}");
    assert_true(stage->uses_all && stage->cache && stage->in_trial && stage->timeout_ns == 0 &&
                stage->needs == 0);
    assert_int_equal(stage->retries, 2);
    assert_true(pipeline->maximise && pipeline->deadline_ns == 0 && pipeline->parallel == 0);
    assert_int_equal(pipeline->test_stage, pipeline->stage_count);
    assert_int_equal(pipeline->failures_max, 10);
    assert_int_equal(pipeline->study.seed, 1);
    assert_false(pipeline->study.baseline_first); /* x has no default */
    pipeline_free(pipeline);
    assert_int_equal(account.bytes, 0);
}

static void sets_are_applied_in_order(void **state) {
    (void)state;
    static const char *const sets[] = {"budget.trials=3", "agents.go.instances=2", "budget.trials=5",
                                       "agents.go.command[1]=--fast", "optimizer.sampler=random"};
    struct pipeline *pipeline = parsed(least, sets, ARRAY_COUNT(sets));
    assert_int_equal(pipeline->trials, 5);
    assert_int_equal(pipeline->agents[0].instances, 2);
    assert_string_equal(pipeline->agents[0].argv[1], "--fast");
    pipeline_free(pipeline);
    assert_int_equal(account.bytes, 0);
}

static const char *const vars[] = {"lr=log(1e-4,1e-1)", "kind=choice(a,b)"};
static const char *const constraints[] = {"lr < 0.05"};
static const char *const words[] = {"python3", "train.py", "{lr}", NULL};
static const char *const command_sets[] = {"optimizer.deterministic=1"};

static enum troupe_error from_command(struct pipeline **ret_pipeline, struct fault *fault) {
    struct pipeline_command command = {.vars = vars,
                                       .var_count = ARRAY_COUNT(vars),
                                       .constraints = constraints,
                                       .constraint_count = 1,
                                       .metric = "val_acc",
                                       .minimise = true,
                                       .trials = 12,
                                       .jobs = 3,
                                       .deadline = "60s",
                                       .timeout = "5s",
                                       .name = "tuned",
                                       .seed = 4,
                                       .argv = words};
    return pipeline_from_command(env, &account, &command, command_sets, 1, ret_pipeline, fault);
}

static void a_command_is_a_definition(void **state) {
    (void)state;
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    assert_int_equal(from_command(&pipeline, &fault), TROUPE_OK);
    const struct pipeline_agent *agent = &pipeline->agents[0];
    assert_string_equal(pipeline->name, "tuned");
    assert_int_equal(space_count(pipeline->space), 2);
    assert_int_equal(agent->kind, PIPELINE_AGENT_ONCE);
    assert_string_equal(agent->argv[2], "{lr}");
    assert_string_equal(agent->metrics[0], "val_acc");
    assert_true(agent->instances == 3 && agent->timeout_ns == 5000000000);
    assert_true(!pipeline->maximise && pipeline->trials == 12 && pipeline->deadline_ns == 60000000000);
    assert_true(pipeline->study.seed == 4 && pipeline->study.deterministic == 1);
    pipeline_free(pipeline);
    assert_int_equal(account.bytes, 0);
}

static enum troupe_error parse_whole(struct pipeline **ret_pipeline, struct fault *fault) {
    static const char *const sets[] = {"budget.trials=3"};
    return pipeline_parse(env, &account, whole, sizeof whole - 1, "test.yaml", "/somewhere", sets, 1,
                          ret_pipeline, fault);
}

/* A file of its own, with data and a program that are hashed. */
static enum troupe_error load_example(struct pipeline **ret_pipeline, struct fault *fault) {
    static const char *const directories[] = {"/nowhere", NULL};
    char path[1024];
    struct pipeline *pipeline = NULL;
    snprintf(path, sizeof path, "%s/examples/digits-python/pipeline.yaml", getenv("TROUPE_SOURCE_ROOT"));
    enum troupe_error error = pipeline_load(env, &account, path, NULL, 0, &pipeline, fault);
    if (error == TROUPE_OK)
        error = pipeline_resolve(env, pipeline, directories, fault);
    if (error != TROUPE_OK) {
        pipeline_free(pipeline);
        return error;
    }
    assert_true(pipeline->data_hash != 0 && pipeline->agents[0].program_hash != 0);
    *ret_pipeline = pipeline;
    return TROUPE_OK;
}

static void each_allocation_refused(enum troupe_error (*make)(struct pipeline **, struct fault *)) {
    bool refused = true;
    for (int64_t n = 1; refused; n++) {
        struct pipeline *pipeline = NULL;
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error = make(&pipeline, &fault);
        refused = memory_fail_fired();
        memory_fail_after(0);
        if (refused) {
            if (error != TROUPE_NOMEM || fault.error != TROUPE_NOMEM || fault.text[0] == '\0' ||
                pipeline != NULL)
                fail_msg("allocation %lld refused: %s, %s: %s", (long long)n, error_name(error), fault.where,
                         fault.text);
        } else {
            assert_int_equal(error, TROUPE_OK);
        }
        pipeline_free(pipeline);
        assert_int_equal(account.bytes, 0);
        assert_int_equal(document_account()->bytes, 0);
    }
}

static void refused_memory_is_said(void **state) {
    (void)state;
    each_allocation_refused(parse_whole);
    each_allocation_refused(from_command);
    if (getenv("TROUPE_SOURCE_ROOT") != NULL)
        each_allocation_refused(load_example);
}

int main(void) {
    static struct account env_account = ACCOUNT("env");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_where_it_belongs), cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(sets_are_applied_in_order),      cmocka_unit_test(a_command_is_a_definition),
        cmocka_unit_test(refused_memory_is_said),
    };
    if (env_os_create(&env_account, &env) != TROUPE_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    env_destroy(env);
    return failed;
}
