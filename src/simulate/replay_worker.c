/* replay_worker: workers that answer what the record says they answered, at the instant it says.
 *
 * A worker says hello when the record has it ready, and ends each attempt as the record has it: with its objective, with
 * a file where it left one, with an error, or by dying. An attempt the record does not hold was under way when the run
 * ended, and is never answered. Which instance an attempt goes to is the coordinator's decision, compared here.
 * Threads: env_sim's one. Memory: the caller's account. */
#include "simulate/replaying.h"

#include <stdio.h>
#include <string.h>

#define INPUT_BYTES_MAX (64u << 20)
#define LINE_BYTES 700

struct worker {
    struct replaying *replaying;
    struct env_child *child;
    struct buffer line;
    uint32_t instance; /* index into the record's agents; RECORD_UNKNOWN: before its start line */
};

static void *worker_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct replaying *replaying = context;
    (void)spec;
    struct worker *worker = memory_alloc(replaying->account, sizeof *worker);
    if (worker == NULL)
        return NULL;
    *worker = (struct worker){.replaying = replaying, .child = child, .instance = RECORD_UNKNOWN};
    buffer_init(&worker->line, replaying->account, INPUT_BYTES_MAX);
    return worker;
}

static void worker_release(void *state) {
    struct worker *worker = state;
    buffer_free(&worker->line);
    memory_free(worker->replaying->account, worker);
}

/* From now until that instant of the run's running time. */
static uint64_t until(const struct replaying *replaying, uint64_t at_ns) {
    uint64_t now = env_now(replaying->env), due = replaying->start_ns + at_ns;
    return due > now ? due - now : 0;
}

/* ---- hello ---- */

static uint32_t instance_named(const struct run_record *record, const char *agent, int64_t instance) {
    char name[200];
    snprintf(name, sizeof name, "%.150s/%lld", agent, (long long)instance);
    for (uint32_t i = 0; i < record->agent_count; i++)
        if (strcmp(record->agents[i], name) == 0)
            return i;
    return RECORD_UNKNOWN;
}

static void on_start(struct worker *worker, const struct node *start) {
    struct replaying *replaying = worker->replaying;
    const struct run_record *record = replaying->request->record;
    struct buffer hello;
    struct json json;
    worker->instance =
        instance_named(record, node_string(node_get(start, "agent")), node_int(node_get(start, "instance")));
    if (worker->instance == RECORD_UNKNOWN) {
        replay_differ(replaying, "a worker of agent '%.100s' was started, which the record does not know",
                      node_string(node_get(start, "agent")));
        return;
    }
    uint64_t ready = UINT64_MAX;
    unsigned number = replaying->started[worker->instance]++, nth = number;
    for (size_t i = 0; i < record->start_count; i++)
        if (record->starts[i].agent == worker->instance && nth-- == 0) {
            ready = record->starts[i].ready;
            break;
        }
    ready = replay_hello_at(replaying, worker->instance, number, ready);
    if (ready == UINT64_MAX)
        return; /* it was asked to leave before it came so far */
    buffer_init(&hello, replaying->account, 0);
    json_init(&json, &hello);
    json_object_begin(&json);
    json_field_string(&json, "type", "hello");
    json_field_int(&json, "protocol", 1);
    json_key(&json, "capabilities");
    node_write_json(node_get(start, "capabilities"), &json);
    json_object_end(&json);
    buffer_text(&hello, "\n");
    if (buffer_ok(&hello) == TROUPE_OK)
        env_sim_child_emit(worker->child, until(replaying, ready), 0, hello.bytes, hello.length);
    else
        replaying->out_of_memory = true;
    buffer_free(&hello);
}

/* ---- tasks ---- */

struct attempt {
    const char *id, *artifact_directory;
    uint32_t trial;
    unsigned stage, attempt;
};

static const struct record_execution *execution_of(const struct run_record *record,
                                                   const struct attempt *attempt) {
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *execution = &record->executions[i];
        if (execution->trial == attempt->trial && execution->stage == attempt->stage &&
            execution->attempt == attempt->attempt && !execution->reused)
            return execution;
    }
    return NULL;
}

/* What it is does not matter: the engine hashes it and passes its path on. */
static bool leave_file(const struct replaying *replaying, const struct attempt *attempt) {
    char path[1400], text[64];
    struct env_file *file = NULL;
    snprintf(path, sizeof path, "%s/file", attempt->artifact_directory);
    int length = snprintf(text, sizeof text, "%u/%u/%u", attempt->trial, attempt->stage, attempt->attempt);
    if (env_file_open(replaying->env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_TRUNCATE, &file,
                      NULL) != TROUPE_OK)
        return false;
    bool written = env_file_write(file, 0, text, (size_t)length) == TROUPE_OK;
    env_file_close(file);
    return written;
}

static void write_answer(const struct replaying *replaying, const struct attempt *attempt,
                         const struct record_execution *execution, struct json *json) {
    const struct pipeline *pipeline = &replaying->pipeline;
    const struct record_trial *trial = run_record_trial(replaying->request->record, attempt->trial);
    const char *metric = attempt->stage == pipeline->objective_stage ? pipeline->objective_metric
                         : attempt->stage == pipeline->test_stage    ? pipeline->test_metric
                                                                     : NULL;
    if (execution->state != TASK_OK) {
        json_field_string(json, "message", execution->message != NULL ? execution->message : "as recorded");
        json_field_bool(json, "retryable", record_tried_again(replaying->request->record, execution));
        return;
    }
    if (execution->artifact && leave_file(replaying, attempt))
        json_field_string(json, "artifact", "file");
    json_key(json, "metrics");
    json_object_begin(json);
    if (metric != NULL && trial != NULL && trial->state == TRIAL_OK)
        json_field_real(json, metric, trial->objective);
    json_object_end(json);
}

static void emit_answer(struct worker *worker, const struct attempt *attempt,
                        const struct record_execution *execution, uint64_t in_ns) {
    struct replaying *replaying = worker->replaying;
    struct buffer line;
    struct json json;
    buffer_init(&line, replaying->account, 0);
    json_init(&json, &line);
    json_object_begin(&json);
    json_field_string(&json, "type", execution != NULL && execution->state == TASK_OK ? "result" : "error");
    json_field_string(&json, "id", attempt->id);
    json_field_int(&json, "attempt", attempt->attempt);
    if (execution != NULL)
        write_answer(replaying, attempt, execution, &json);
    else
        json_field_string(&json, "message", "cancelled");
    json_object_end(&json);
    buffer_text(&line, "\n");
    if (buffer_ok(&line) == TROUPE_OK)
        env_sim_child_emit(worker->child, in_ns, 0, line.bytes, line.length);
    else
        replaying->out_of_memory = true;
    buffer_free(&line);
}

static bool attempt_read(const struct replaying *replaying, const struct node *task, struct attempt *ret) {
    int stage = pipeline_stage_find(&replaying->pipeline, node_string(node_get(task, "stage")));
    *ret = (struct attempt){.id = node_string(node_get(task, "id")),
                            .artifact_directory = node_string(node_get(task, "artifact_dir")),
                            .trial = (uint32_t)node_int(node_get(task, "trial")),
                            .stage = (unsigned)stage,
                            .attempt = (unsigned)node_int(node_get(task, "attempt"))};
    return stage >= 0;
}

static void on_task(struct worker *worker, const struct node *task) {
    struct replaying *replaying = worker->replaying;
    const struct run_record *record = replaying->request->record;
    struct attempt attempt;
    if (!attempt_read(replaying, task, &attempt))
        return;
    const char *stage = replaying->pipeline.stages[attempt.stage].name;
    const struct record_execution *execution = execution_of(record, &attempt);
    if (execution == NULL) { /* cut by the end of its run: no row says so */
        if (replaying->request->turns->ended && record->state == RUN_FINISHED)
            replay_differ(replaying,
                          "trial %u, stage %s, attempt %u went to %s; the record has no such attempt",
                          attempt.trial, stage, attempt.attempt, record->agents[worker->instance]);
        replaying->unanswered = !replaying->request->turns->ended;
        return;
    }
    if (execution->agent != RECORD_UNKNOWN && execution->agent != worker->instance) {
        replay_differ(replaying, "trial %u, stage %s, attempt %u went to %s; recorded is %s", attempt.trial,
                      stage, attempt.attempt, record->agents[worker->instance],
                      record->agents[execution->agent]);
        return;
    }
    replaying->report->assigned++;
    struct task_id task_id = {
        .trial = attempt.trial, .stage = (uint16_t)attempt.stage, .attempt = (uint16_t)attempt.attempt};
    uint64_t in_ns = until(replaying, replay_end_at(replaying, task_id_token(task_id), execution->ended));
    if (execution->state == TASK_FAILED && record_died_of(record, execution))
        env_sim_child_exit(worker->child, in_ns, 1);
    else if (execution->state != TASK_CANCELLED)
        emit_answer(worker, &attempt, execution, in_ns);
}

/* An attempt that the record has ended otherwise ended before the cancel came. */
static void on_cancel(struct worker *worker, const struct node *cancel) {
    const char *id = node_string(node_get(cancel, "id"));
    struct replaying *replaying = worker->replaying;
    unsigned trial = 0, number = 0;
    const char *slash = strrchr(id, '/'), *from = id + strlen(replaying->request->record->id);
    if (slash == NULL || from >= slash || sscanf(from, "/%u/", &trial) != 1 ||
        sscanf(slash, "/%u", &number) != 1)
        return;
    struct attempt attempt = {.id = id, .trial = trial, .attempt = number};
    for (unsigned s = 0; s < replaying->pipeline.stage_count; s++) {
        size_t length = strlen(replaying->pipeline.stages[s].name);
        if ((size_t)(slash - id) > length && slash[-1 - (ptrdiff_t)length] == '/' &&
            strncmp(slash - length, replaying->pipeline.stages[s].name, length) == 0)
            attempt.stage = s;
    }
    const struct record_execution *execution = execution_of(replaying->request->record, &attempt);
    if (execution == NULL || execution->state == TASK_CANCELLED)
        emit_answer(worker, &attempt, NULL, 0);
}

/* ---- lines ---- */

static void on_line(struct worker *worker, const char *line, size_t length) {
    struct document *document = NULL;
    if (document_parse_json(line, length, "task", NULL, &document, NULL) != TROUPE_OK) {
        worker->replaying->out_of_memory = true; /* this program wrote it: it is whole */
        return;
    }
    const struct node *root = document_root(document), *tasks = node_get(root, "tasks");
    const char *type = node_string(node_get(root, "type"));
    if (strcmp(type, "start") == 0)
        on_start(worker, root);
    else if (strcmp(type, "task") == 0)
        on_task(worker, root);
    else if (strcmp(type, "tasks") == 0)
        for (size_t i = 0; i < node_count(tasks); i++)
            on_task(worker, node_at(tasks, i));
    else if (strcmp(type, "cancel") == 0)
        on_cancel(worker, root);
    document_free(document);
}

static void worker_input(void *state, struct env_child *child, const char *bytes, size_t length) {
    struct worker *worker = state;
    buffer_append(&worker->line, bytes, length);
    if (buffer_ok(&worker->line) != TROUPE_OK) {
        worker->replaying->out_of_memory = true;
        env_sim_child_exit(child, 0, 1);
        return;
    }
    size_t taken = 0;
    for (const char *end;
         (end = memchr(worker->line.bytes + taken, '\n', worker->line.length - taken)) != NULL;) {
        on_line(worker, worker->line.bytes + taken, (size_t)(end - worker->line.bytes) - taken);
        taken = (size_t)(end - worker->line.bytes) + 1;
    }
    buffer_consume(&worker->line, taken);
}

/* Its agent leaves. */
static void worker_input_closed(void *state, struct env_child *child) {
    const struct worker *worker = state;
    const struct replaying *replaying = worker->replaying;
    uint64_t now = env_now(replaying->env) - replaying->start_ns;
    uint64_t at = worker->instance != RECORD_UNKNOWN ? replay_gone_at(replaying, worker->instance, now) : now;
    env_sim_child_exit(child, at - now, 0);
}

struct env_child_model replay_workers(struct replaying *replaying) {
    return (struct env_child_model){.context = replaying,
                                    .spawn = worker_spawn,
                                    .input = worker_input,
                                    .input_closed = worker_input_closed,
                                    .release = worker_release};
}
