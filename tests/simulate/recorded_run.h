/* Runs that are made for a test, in virtual time, by workers of known speed, and kept on a disk: what a model is fitted
 * from, and what measures a prediction. Each stage takes `blocked_ns` and then `cpu_ns`, times `slowness`.
 * Threads: one. Memory: the place's account; it reads zero when the place is gone. */
#ifndef TESTS_SIMULATE_RECORDED_RUN_H
#define TESTS_SIMULATE_RECORDED_RUN_H

#include "../base/cmocka_base.h"

#include <stdio.h>

#include "simulate/simulate.h"

#define PLACE_RUNS "/runs"
#define MS 1000000u

struct stage_speed {
    const char *capability;
    uint64_t blocked_ns, cpu_ns;
};
struct place {
    struct account account;
    struct env_disk *disk;
    struct env *env; /* between runs; for reading */
    const struct stage_speed *speeds;
    unsigned speed_count, cores;
    double slowness;
};
struct place_worker {
    struct place *place;
    struct env_child *child;
    struct buffer line;
};

static void *worker_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct place *place = context;
    (void)spec;
    struct place_worker *worker = memory_alloc(&place->account, sizeof *worker);
    *worker = (struct place_worker){.place = place, .child = child};
    buffer_init(&worker->line, &place->account, 1 << 20);
    return worker;
}

static void worker_release(void *context) {
    struct place_worker *worker = context;
    buffer_free(&worker->line);
    memory_free(&worker->place->account, worker);
}

static void do_task(struct place_worker *worker, const struct node *task) {
    const struct place *place = worker->place;
    const char *capability = node_string(node_get(task, "capability"));
    const struct node *x = node_get(node_get(task, "variables"), "x");
    char line[300];
    snprintf(line, sizeof line,
             "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%d,\"metrics\":{\"m\":%.17g}}\n",
             node_string(node_get(task, "id")), (int)node_int(node_get(task, "attempt")),
             x != NULL ? node_real(x) : 0);
    for (unsigned i = 0; i < place->speed_count; i++)
        if (strcmp(place->speeds[i].capability, capability) == 0)
            env_sim_child_emit(
                worker->child, (uint64_t)((double)place->speeds[i].blocked_ns * place->slowness),
                (uint64_t)((double)place->speeds[i].cpu_ns * place->slowness), line, strlen(line));
}

static void say_hello(struct place_worker *worker, const struct node *capabilities) {
    struct buffer text;
    struct json json;
    buffer_init(&text, &worker->place->account, 1 << 16);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_string(&json, "type", "hello");
    json_field_int(&json, "protocol", 1);
    json_key(&json, "capabilities");
    node_write_json(capabilities, &json);
    json_object_end(&json);
    buffer_text(&text, "\n");
    env_sim_child_emit(worker->child, 0, 20 * MS, text.bytes, text.length);
    buffer_free(&text);
}

static void do_line(struct place_worker *worker, const char *line, size_t length) {
    struct document *document = NULL;
    assert_int_equal(document_parse_json(line, length, "line", NULL, &document, NULL), TROUPE_OK);
    const struct node *root = document_root(document), *tasks = node_get(root, "tasks");
    const char *type = node_string(node_get(root, "type"));
    if (strcmp(type, "start") == 0)
        say_hello(worker, node_get(root, "capabilities"));
    else if (strcmp(type, "task") == 0)
        do_task(worker, root);
    for (size_t i = 0; i < node_count(tasks); i++)
        do_task(worker, node_at(tasks, i));
    document_free(document);
}

static void worker_input(void *context, struct env_child *child, const char *bytes, size_t length) {
    struct place_worker *worker = context;
    (void)child;
    buffer_append(&worker->line, bytes, length);
    for (const char *end; (end = memchr(buffer_string(&worker->line), '\n', worker->line.length)) != NULL;) {
        size_t line_length = (size_t)(end - worker->line.bytes);
        do_line(worker, worker->line.bytes, line_length);
        buffer_consume(&worker->line, line_length + 1);
    }
}

static void place_open(struct place *place, uint64_t seed) {
    struct env_sim_options options = {.seed = seed,
                                      .disk = place->disk,
                                      .workers = 1,
                                      .cores = place->cores,
                                      .time_max_ns = 3600000ull * MS};
    env_destroy(place->env);
    assert_int_equal(env_sim_create(&place->account, &options, &place->env), TROUPE_OK);
}

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    place->account = ACCOUNT("place");
    place->cores = 2;
    place->slowness = 1;
    assert_int_equal(env_disk_create(&place->account, &place->disk), TROUPE_OK);
    place_open(place, 1);
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    env_destroy(place->env);
    env_disk_free(place->disk);
    assert_int_equal(place->account.bytes, 0);
    free(place);
    return 0;
}

static struct pipeline *place_pipeline(struct place *place, const char *definition, const char *set) {
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (pipeline_parse(place->env, &place->account, definition, strlen(definition), "t.yaml", "/sim", &set,
                       set != NULL, &pipeline, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return pipeline;
}

/* A run of the definition, changed by `set` (NULL: not). */
static void place_run(struct place *place, const char *run_id, const char *definition, const char *set) {
    struct fault fault = {0};
    struct run_outcome outcome = {0};
    struct env_child_model model = {
        .context = place, .spawn = worker_spawn, .input = worker_input, .release = worker_release};
    place_open(place, 7);
    env_sim_set_child_model(place->env, &model);
    struct pipeline *pipeline = place_pipeline(place, definition, set);
    struct run_options options = {.runs_directory = PLACE_RUNS, .run_id = run_id, .workers = 1};
    enum troupe_error error = pipeline_resolve(place->env, pipeline, NULL, &fault);
    if (error == TROUPE_OK)
        error = run_execute(place->env, &place->account, pipeline, &options, &outcome, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    run_outcome_free(&outcome);
    pipeline_free(pipeline);
    place_open(place, 8);
}

static struct run_record *place_record(struct place *place, const char *run_id) {
    struct run_record *record = NULL;
    struct fault fault = {0};
    if (run_record_read(place->env, &place->account, PLACE_RUNS, run_id, &record, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return record;
}

#endif
