/* pipeline: a pipeline file, read and checked without touching the files it names. Leading lines of the form
 * "#set PATH=VALUE" are given as --set. What is accepted keeps the promises that the run engine builds on:
 * stages in an order that their needs allow, capabilities that an agent has, resources that can be had. */
#include "fuzz.h"

#include "pipeline/pipeline.h"

#define SETS_MAX 8

static struct account account = ACCOUNT("fuzz"), env_account = ACCOUNT("env");

static void assert_ordered(const struct pipeline *pipeline) {
    uint32_t done = 0;
    for (unsigned i = 0; i < pipeline->stage_count; i++) {
        const struct pipeline_stage *stage = &pipeline->stages[pipeline->order[i]];
        CHECK((stage->needs & ~done) == 0);
        CHECK((done & (1u << pipeline->order[i])) == 0);
        done |= 1u << pipeline->order[i];
        bool held = false;
        for (unsigned a = 0; a < pipeline->agent_count; a++)
            held = held || capability_set_has(&pipeline->agents[a].capabilities, stage->capability);
        CHECK(held);
        CHECK(pipeline_stage_find(pipeline, stage->name) == (int)pipeline->order[i]);
    }
}

static void assert_resources(const struct pipeline *pipeline) {
    for (unsigned r = 0; r < RESOURCES_MAX; r++) {
        CHECK(pipeline->resources_free.amount[r] >= 0);
        CHECK(pipeline->resources_free.amount[r] <= pipeline->resources.amount[r]);
        for (unsigned s = 0; s < pipeline->stage_count; s++)
            CHECK(pipeline->stages[s].resources.amount[r] <= pipeline->resources_free.amount[r]);
    }
}

static void assert_promises(const struct pipeline *pipeline) {
    assert_ordered(pipeline);
    assert_resources(pipeline);
    CHECK(pipeline->trials > 0 || pipeline->deadline_ns > 0);
    CHECK(pipeline->objective_stage < pipeline->stage_count && pipeline->objective_metric != NULL);
    CHECK(pipeline->test_stage <= pipeline->stage_count);
    CHECK(pipeline->stages[pipeline->objective_stage].in_trial);
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &pipeline->agents[a];
        CHECK(agent->instances >= 1 && agent->instances <= PIPELINE_INSTANCES_MAX);
        CHECK((agent->kind == PIPELINE_AGENT_NATIVE) == (agent->native != NULL));
        CHECK((agent->kind == PIPELINE_AGENT_NATIVE) == (agent->argv == NULL));
        CHECK((agent->kind == PIPELINE_AGENT_ONCE) == (agent->metrics != NULL));
        CHECK(agent->argv == NULL || (agent->argv[0] != NULL && agent->argv[0][0] != '\0'));
        for (unsigned m = 0; agent->metrics != NULL && agent->metrics[m] != NULL; m++)
            CHECK(agent->metrics[m][0] != '\0' && strlen(agent->metrics[m]) <= METRIC_NAME_MAX);
    }
}

static size_t take_sets(const uint8_t **data, size_t *left, char lines[SETS_MAX][512],
                        const char *sets[SETS_MAX]) {
    size_t count = 0;
    while (count<SETS_MAX && * left> 5 && memcmp(*data, "#set ", 5) == 0) {
        fuzz_line(data, left, lines[count], sizeof lines[count]);
        sets[count] = lines[count] + 5;
        count++;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct env *env;
    static char lines[SETS_MAX][512];
    const char *sets[SETS_MAX];
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (env == NULL)
        CHECK(env_os_create(&env_account, &env) == TROUPE_OK);
    size_t count = take_sets(&data, &size, lines, sets);
    enum troupe_error error = pipeline_parse(env, &account, (const char *)data, size, "input.yaml",
                                             "/nowhere", sets, count, &pipeline, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, pipeline);
    else
        assert_promises(pipeline);
    pipeline_free(pipeline);
    CHECK(account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
