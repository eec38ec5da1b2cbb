/* What a run's record says of time: a real run in virtual time with workers whose every nanosecond is known, and
 * a store as an older program left it. If this fails, predictions are fitted to something that did not happen. */
#include "../store/store_driver.h"

#include "pipeline/pipeline.h"

#define MS UINT64_C(1000000)
#define US UINT64_C(1000)
#define TRIALS 9
#define CRASHES 4 /* the trial in which the worker dies once */
#define REPORTS 6 /* the trial whose worker knows better how long it waited */
#define REPORTED_NS 1500000u

static const char definition[] =
    "{\"name\":\"r\",\"space\":{\"x\":{\"float\":[0,2]}},"
    "\"agents\":{\"worker\":{\"command\":[\"worker\"],\"instances\":3,\"capabilities\":[\"train\"]}},"
    "\"stages\":{\"train\":{\"retries\":1,\"cache\":false}},"
    "\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":\"maximise\"},"
    "\"budget\":{\"trials\":9},\"optimizer\":{\"sampler\":\"random\",\"seed\":3}}";

/* ---- workers ---- */

struct model {
    struct account *account;
    unsigned crashes;
};
struct model_worker {
    struct model *model;
    struct buffer line;
};

static void *model_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct model *model = context;
    (void)child;
    (void)spec;
    struct model_worker *worker = memory_alloc(model->account, sizeof *worker);
    worker->model = model;
    buffer_init(&worker->line, model->account, 0);
    return worker;
}

static void model_release(void *state) {
    struct model_worker *worker = state;
    buffer_free(&worker->line);
    memory_free(worker->model->account, worker);
}

/* Says hello after 5 ms blocked and 2 ms of CPU; a task takes 7 ms blocked and 10 ms of CPU. */
static void model_line(struct model_worker *worker, struct env_child *child, const char *line,
                       size_t length) {
    static const char hello[] = "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"train\"]}\n";
    struct document *document = NULL;
    assert_int_equal(document_parse_json(line, length, "line", NULL, &document, NULL), TROUPE_OK);
    const struct node *root = document_root(document);
    const char *type = node_string(node_get(root, "type"));
    if (strcmp(type, "start") == 0)
        env_sim_child_emit(child, 5 * MS, 2 * MS, hello, sizeof hello - 1);
    if (strcmp(type, "task") == 0) {
        char answer[300];
        int trial = (int)node_int(node_get(root, "trial")),
            attempt = (int)node_int(node_get(root, "attempt"));
        if (trial == CRASHES && attempt == 1) {
            worker->model->crashes++;
            env_sim_child_emit(child, 0, 3 * MS, "\n", 1);
            env_sim_child_exit(child, 0, 1);
        } else {
            snprintf(answer, sizeof answer,
                     "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%d,\"metrics\":{\"score\":1}%s}\n",
                     node_string(node_get(root, "id")), attempt,
                     trial == REPORTS ? ",\"usage\":{\"core_wait_ms\":1.5}" : "");
            env_sim_child_emit(child, 7 * MS, 10 * MS, answer, strlen(answer));
        }
    }
    document_free(document);
}

static void model_input(void *state, struct env_child *child, const char *bytes, size_t length) {
    struct model_worker *worker = state;
    buffer_append(&worker->line, bytes, length);
    for (const char *end; (end = memchr(buffer_string(&worker->line), '\n', worker->line.length)) != NULL;) {
        size_t line_length = (size_t)(end - worker->line.bytes);
        model_line(worker, child, worker->line.bytes, line_length);
        buffer_consume(&worker->line, line_length + 1);
    }
}

/* ---- a run and its record ---- */

static struct account account;

static struct env *simulation(unsigned cores) {
    struct env *env = NULL;
    struct env_sim_options options = {.seed = 5, .cores = cores, .workers = 2};
    assert_int_equal(env_sim_create(&account, &options, &env), TROUPE_OK);
    return env;
}

static struct run_record *record_of(struct env *env, const char *run) {
    struct run_record *record = NULL;
    struct fault fault = {0};
    if (run_record_read(env, &account, "/runs", run, &record, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return record;
}

static void run_it(struct env *env, struct run_outcome *outcome) {
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    enum troupe_error error = pipeline_parse(env, &account, definition, strlen(definition), "r.json", "/r",
                                             NULL, 0, &pipeline, &fault);
    if (error == TROUPE_OK)
        error = pipeline_resolve(env, pipeline, NULL, &fault);
    struct run_options options = {.runs_directory = "/runs", .run_id = "one"};
    if (error == TROUPE_OK)
        error = run_execute(env, &account, pipeline, &options, outcome, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    pipeline_free(pipeline);
}

/* Times are kept in whole us. */
static void assert_about(uint64_t is, uint64_t wanted) {
    assert_in_range(is, wanted > 3 * US ? wanted - 3 * US : 0, wanted + 3 * US);
}

static uint64_t check_executions(const struct run_record *record) {
    uint64_t waited = 0;
    unsigned failed = 0;
    assert_int_equal(record->execution_count, TRIALS + 1);
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *one = &record->executions[i];
        uint64_t wall = one->ended - one->started;
        assert_true(one->core_wait_ns != CORE_WAIT_UNKNOWN);
        if (one->state != TASK_OK) {
            failed++;
            assert_int_equal(one->trial, CRASHES);
            assert_about(one->cpu_ns, 3 * MS);
            assert_about(one->core_wait_ns, wall - 3 * MS);
        } else {
            assert_about(one->cpu_ns, 10 * MS);
            assert_about(one->core_wait_ns, one->trial == REPORTS ? REPORTED_NS : wall - 17 * MS);
        }
        waited += one->core_wait_ns;
    }
    assert_int_equal(failed, 1);
    return waited;
}

/* Three workers on one core: what is not CPU and not the blocked time that the model has is the wait for it. */
static void a_run_tells_where_each_task_was(void **state) {
    (void)state;
    account = ACCOUNT("test");
    struct model model = {.account = &account};
    struct env *env = simulation(1);
    struct env_child_model table = {
        .context = &model, .spawn = model_spawn, .input = model_input, .release = model_release};
    env_sim_set_child_model(env, &table);
    struct run_outcome outcome = {0};
    run_it(env, &outcome);
    assert_int_equal(outcome.state, RUN_FINISHED);
    assert_int_equal(model.crashes, 1);
    struct run_record *record = record_of(env, "one");
    assert_int_equal(record->told, TRIALS);
    uint64_t waited = check_executions(record);
    assert_true(waited > 20 * MS);
    const struct node *agents = node_get(node_get(document_root(record->response), "time"), "agents");
    double sum = node_real(node_get(agents, "cpu_ms")) + node_real(node_get(agents, "core_wait_ms")) +
                 node_real(node_get(agents, "blocked_ms"));
    assert_true(sum - node_real(node_get(agents, "executing_ms")) < 0.1 &&
                sum - node_real(node_get(agents, "executing_ms")) > -0.1);
    /* one start of each instance, and one after the death */
    unsigned of[3] = {0};
    assert_int_equal(record->start_count, 4);
    for (size_t i = 0; i < record->start_count; i++) {
        const struct record_start *start = &record->starts[i];
        assert_true(start->agent < 3);
        of[start->agent]++;
        assert_int_equal(start->cpu_ns, 2 * MS);
        assert_true(start->ready - start->spawned >= 7 * MS - US);
        assert_true(start->ready <= record->elapsed_ns);
    }
    assert_true(of[0] >= 1 && of[1] >= 1 && of[2] >= 1);
    assert_true(record->starts[3].spawned > record->starts[2].ready);
    assert_int_equal(record->cores, 1);
    assert_int_equal(record->workers, 2);
    assert_string_equal(record->version, TROUPE_VERSION);
    run_record_free(record);
    run_outcome_free(&outcome);
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
}

/* ---- other stores ---- */

#define CREATED "{\"source\":\"r.json\",\"directory\":\"/r\",%s\"pipeline\":%s}"
static char created_text[1200];
static struct driver_row rows[] = {
    {{.kind = STORE_RUN_CREATED}, "one", created_text},
    {{.kind = STORE_TRIAL_ASKED}, NULL, "{\"x\":1}"},
    {{.kind = STORE_STAGE_ENDED, .attempt = 1, .a = TASK_OK}, "", NULL},
    {{.kind = STORE_AGENT_STARTED}, NULL, NULL},
};

static struct driver_row row_of(void *context, uint32_t index) {
    (void)context;
    return rows[index];
}

/* Writes the first `count` rows, and reads them back. */
static struct run_record *record_of_rows(struct env *env, unsigned count) {
    struct driver driver = {.count = count, .make = row_of};
    struct store_options options = {.create = true};
    assert_int_equal(store_open(env, &account, "/runs/one", &options, &driver.store, NULL), TROUPE_OK);
    assert_int_equal(driver_run(&driver, env, &account), TROUPE_OK);
    assert_int_equal(driver.failed, 0);
    assert_int_equal(driver.answers, count);
    store_close(driver.store);
    return record_of(env, "one");
}

static void an_older_store_says_less(void **state) {
    (void)state;
    account = ACCOUNT("test");
    struct env *env = simulation(2);
    snprintf(created_text, sizeof created_text, CREATED, "", definition);
    rows[2].text = "{\"metrics\":{\"score\":1},\"cpu_us\":40,\"agent\":0,\"times_us\":[1,2,3,4,50,60]}";
    struct run_record *record = record_of_rows(env, 3);
    assert_int_equal(record->execution_count, 1);
    assert_int_equal(record->executions[0].cpu_ns, 40 * US);
    assert_true(record->executions[0].core_wait_ns == CORE_WAIT_UNKNOWN);
    assert_int_equal(record->start_count, 0);
    assert_null(record->starts);
    assert_int_equal(record->cores, 0);
    assert_int_equal(record->workers, 0);
    assert_null(record->version);
    run_record_free(record);
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
}

/* A row may be anybody's: what makes no sense is left out, and nothing else is lost by it. */
static void strange_values_are_left_out(void **state) {
    (void)state;
    static const struct {
        const char *facts, *wait, *start;
        int64_t agent;
        size_t starts;
    } cases[] = {
        {"\"cores\":-1,\"workers\":1e9,\"version\":7,", "-5", "{\"spawned_us\":9,\"ready_us\":3}", 2, 1},
        {"\"cores\":\"2\",\"workers\":70000,\"version\":null,", "\"x\"", "{\"spawned_us\":[],\"cpu_us\":-1}",
         0, 1},
        {"\"cores\":[],", "null", "{}", 3, 0},
        {"", "1.5", "7", -1, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char ended[200];
        account = ACCOUNT("test");
        struct env *env = simulation(2);
        snprintf(created_text, sizeof created_text, CREATED, cases[i].facts, definition);
        snprintf(ended, sizeof ended, "{\"core_wait_us\":%s,\"times_us\":[1,2,3,4,50,60]}", cases[i].wait);
        rows[2].text = ended;
        rows[3].text = cases[i].start;
        rows[3].row.a = cases[i].agent;
        struct run_record *record = record_of_rows(env, 4);
        assert_int_equal(record->cores, 0);
        assert_int_equal(record->workers, 0);
        assert_null(record->version);
        assert_int_equal(record->execution_count, 1);
        assert_true(record->executions[0].core_wait_ns == CORE_WAIT_UNKNOWN);
        assert_int_equal(record->start_count, cases[i].starts);
        if (cases[i].starts > 0) {
            assert_int_equal(record->starts[0].ready, record->starts[0].spawned);
            assert_int_equal(record->starts[0].cpu_ns, 0);
        }
        run_record_free(record);
        env_destroy(env);
        assert_int_equal(account.bytes, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_tells_where_each_task_was),
        cmocka_unit_test(an_older_store_says_less),
        cmocka_unit_test(strange_values_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
