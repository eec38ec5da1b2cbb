/* recorded: a run's record whose every time is known: the real engine, store and record reader in virtual time, with
 * workers that take what a test says. */
#ifndef TESTS_SIMULATE_RECORDED_H
#define TESTS_SIMULATE_RECORDED_H

#include "../base/cmocka_base.h"

#include <stdio.h>
#include <stdlib.h>

#include "simulate/simulate.h"

#define MS UINT64_C(1000000)

struct cost {
    uint64_t cpu_ns, blocked_ns;
    bool fails, crashes;
};
/* `x` and `k`: variables of the task, 0 where it has none. */
typedef struct cost (*cost_fn)(const char *stage, unsigned trial, unsigned attempt, double x, double k);

struct recorded {
    struct account account;
    struct env *env;
    struct run_record *record;
    uint64_t wall_ns; /* as the run told it */
};
static int recorded_instance; /* that does the task whose cost is asked for */
struct recorded_worker {
    struct recorded *recorded;
    int instance;
    cost_fn cost;
    struct buffer line;
};
struct recorded_context {
    struct recorded *recorded;
    cost_fn cost;
};

static void *recorded_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    const struct recorded_context *from = context;
    (void)child;
    (void)spec;
    struct recorded_worker *worker = memory_alloc(&from->recorded->account, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->recorded = from->recorded;
    worker->cost = from->cost;
    buffer_init(&worker->line, &from->recorded->account, 0);
    return worker;
}

static void recorded_release(void *state) {
    struct recorded_worker *worker = state;
    buffer_free(&worker->line);
    memory_free(&worker->recorded->account, worker);
}

static double recorded_number(const struct node *map, const char *name) {
    const struct node *node = node_get(map, name);
    return node == NULL ? 0 : node_real(node);
}

static void recorded_task(struct recorded_worker *worker, struct env_child *child, const struct node *task) {
    const struct node *variables = node_get(task, "variables");
    double x = recorded_number(variables, "x"), k = recorded_number(variables, "k");
    int trial = (int)node_int(node_get(task, "trial")), attempt = (int)node_int(node_get(task, "attempt"));
    recorded_instance = worker->instance;
    struct cost cost =
        worker->cost(node_string(node_get(task, "stage")), (unsigned)trial, (unsigned)attempt, x, k);
    char answer[300];
    int length = snprintf(answer, sizeof answer, "{\"type\":\"%s\",\"id\":\"%s\",\"attempt\":%d,%s",
                          cost.fails ? "error" : "result", node_string(node_get(task, "id")), attempt,
                          cost.fails ? "\"message\":\"no\",\"retryable\":true}\n" : "");
    if (!cost.fails)
        snprintf(answer + length, sizeof answer - (size_t)length, "\"metrics\":{\"score\":%.17g}}\n",
                 -(x - 0.3) * (x - 0.3));
    if (cost.crashes) {
        env_sim_child_emit(child, cost.blocked_ns, cost.cpu_ns, "\n", 1);
        env_sim_child_exit(child, 0, 1);
    } else {
        env_sim_child_emit(child, cost.blocked_ns, cost.cpu_ns, answer, strlen(answer));
    }
}

static void recorded_input(void *state, struct env_child *child, const char *bytes, size_t length) {
    static const char hello[] =
        "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"prepare\",\"train\"]}\n";
    struct recorded_worker *worker = state;
    buffer_append(&worker->line, bytes, length);
    for (const char *end; (end = memchr(buffer_string(&worker->line), '\n', worker->line.length)) != NULL;) {
        struct document *document = NULL;
        size_t line = (size_t)(end - worker->line.bytes);
        assert_int_equal(document_parse_json(worker->line.bytes, line, "line", NULL, &document, NULL),
                         TROUPE_OK);
        const struct node *root = document_root(document), *tasks = node_get(root, "tasks");
        if (strcmp(node_string(node_get(root, "type")), "start") == 0)
            env_sim_child_emit(child, 4 * MS, 6 * MS, hello, sizeof hello - 1);
        if (node_get(root, "instance") != NULL)
            worker->instance = (int)node_int(node_get(root, "instance"));
        if (strcmp(node_string(node_get(root, "type")), "task") == 0)
            recorded_task(worker, child, root);
        for (size_t i = 0; i < node_count(tasks); i++)
            recorded_task(worker, child, node_at(tasks, i));
        document_free(document);
        buffer_consume(&worker->line, line + 1);
    }
}

static struct pipeline *recorded_pipeline(struct recorded *recorded, const char *definition,
                                          const char *const *sets, size_t set_count) {
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (pipeline_parse(recorded->env, &recorded->account, definition, strlen(definition), "t.json", "/t",
                       sets, set_count, &pipeline, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return pipeline;
}

/* Runs the definition on `cores` cores, commits taking 2 ms, and reads it back. */
static void recorded_make(struct recorded *recorded, const char *definition, unsigned cores, cost_fn cost) {
    *recorded = (struct recorded){.account = ACCOUNT("recorded")};
    struct recorded_context context = {.recorded = recorded, .cost = cost};
    struct env_sim_options options = {.seed = 3, .cores = cores, .workers = 1};
    options.job_blocked_ns[ENV_LANE_STORE] = 2 * MS;
    assert_int_equal(env_sim_create(&recorded->account, &options, &recorded->env), TROUPE_OK);
    env_sim_set_child_model(recorded->env, &(struct env_child_model){.context = &context,
                                                                     .spawn = recorded_spawn,
                                                                     .input = recorded_input,
                                                                     .release = recorded_release});
    struct pipeline *pipeline = recorded_pipeline(recorded, definition, NULL, 0);
    struct run_options run = {.runs_directory = "/runs", .run_id = "r"};
    struct run_outcome outcome = {0};
    struct fault fault = {0};
    assert_int_equal(pipeline_resolve(recorded->env, pipeline, NULL, &fault), TROUPE_OK);
    enum troupe_error error =
        run_execute(recorded->env, &recorded->account, pipeline, &run, &outcome, &fault);
    if (error != TROUPE_OK && error != TROUPE_DEADLINE)
        fail_msg("%s: %s", fault.where, fault.text);
    run_outcome_free(&outcome);
    pipeline_free(pipeline);
    if (run_record_read(recorded->env, &recorded->account, "/runs", "r", &recorded->record, &fault) !=
        TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    recorded->wall_ns = recorded->record->elapsed_ns;
}

static void recorded_free(struct recorded *recorded) {
    run_record_free(recorded->record);
    env_destroy(recorded->env);
    assert_int_equal(recorded->account.bytes, 0);
    assert_int_equal(recorded->account.blocks, 0);
}

#endif
