/* run_stage: one stage of one trial: reuse or a task; its end: a result, another attempt, or the trial's
 * failure.
 *
 *   BLOCKED -> SHARED (another trial computes the same key) -> DONE
 *      |          `-- it failed: compute it here
 *      `----> SUBMITTED -> [STORING: artifact on the pool] -> DONE
 *                  `-- failed: attempt + 1 while retryable and retries are left
 *
 * Answers of another attempt are dropped.
 * Threads: the engine's turns.
 * Memory:  tasks and results from the run's account; a task is the coordinator's from COORDINATE to TASK_ENDED. */
#include "pipeline/run_internal.h"

#include <stdio.h>
#include <string.h>

static void write_inputs(struct run *run, struct trial *trial, unsigned stage, struct json *json) {
    char path[1200];
    json_key(json, "inputs");
    json_object_begin(json);
    for (unsigned i = 0; i < run->pipeline->stage_count; i++) {
        if (!(run->pipeline->stages[stage].needs & (1u << i)))
            continue;
        const struct stage_result *input = trial->stages[i].result;
        json_key(json, run->pipeline->stages[i].name);
        json_object_begin(json);
        if (input->value != NULL)
            json_field_raw(json, "value", input->value, input->value_length);
        if (input->artifact[0] != '\0') {
            snprintf(path, sizeof path, "%s/%s", run->artifacts, input->artifact);
            json_field_string(json, "path", path);
            json_field_int(json, "bytes", (int64_t)input->artifact_bytes);
        }
        json_object_end(json);
    }
    json_object_end(json);
}

/* "variables":{...},"inputs":{...},"data":{...},"seed":N — the members of the task's object besides its ids.
 */
static enum troupe_error write_body(struct run *run, struct trial *trial, unsigned stage,
                                    struct buffer *body) {
    struct json json;
    json_init(&json, body);
    json_object_begin(&json);
    json_key(&json, "variables");
    stage_variables(run, trial, stage, &json);
    write_inputs(run, trial, stage, &json);
    json_field_raw(&json, "data", run->pipeline->data_json, strlen(run->pipeline->data_json));
    uint64_t seed = run->pipeline->study.seed;
    seed = hash_bytes(&trial->number, sizeof trial->number, seed) >> 1;
    json_field_int(&json, "seed", (int64_t)seed);
    json_object_end(&json);
    return buffer_ok(body);
}

static struct task *stage_task(struct run *run, struct turn *turn, struct trial *trial, unsigned stage) {
    const struct pipeline_stage *definition = &run->pipeline->stages[stage];
    struct buffer body;
    char directory[1200];
    buffer_init(&body, run->account, 1 << 20);
    struct task *task = NULL;
    if (write_body(run, trial, stage, &body) == TROUPE_OK) {
        work_path(run, trial, stage, directory, sizeof directory);
        /* the braces are the worker link's; the directory's name lives behind the body in the same block */
        size_t length = body.length - 2;
        buffer_append(&body, directory, strlen(directory) + 1);
        if (buffer_ok(&body) == TROUPE_OK)
            task = task_new(run->account, body.bytes + 1, body.length - 1);
        if (task != NULL) {
            task->body_length = (uint32_t)length;
            task->artifact_directory = task->body + length + 1;
            task->body[length] = '\0';
        }
    }
    buffer_free(&body);
    if (task == NULL)
        return NULL;
    struct trial_stage *at = &trial->stages[stage];
    task->id =
        (struct task_id){.run = 1, .trial = trial->number, .stage = (uint16_t)stage, .attempt = at->attempt};
    task->owner = run->self;
    task->capability = definition->capability;
    task->idempotent = definition->idempotent;
    task->resources = definition->resources;
    task->submitted_ns = turn->now_ns;
    task->deadline_ns = trial->testing || run->deadline_at_ns == 0 ? UINT64_MAX : run->deadline_at_ns;
    task->timeout_ns = definition->timeout_ns;
    task->expected_ns = run->stage_seen[stage] > 0 ? 0 : definition->expected_ns;
    if (definition->size > 0) {
        double size = trial->configuration.values[definition->size - 1];
        task->size = size > 0 ? size : 0; /* NaN: inactive */
    }
    task->run_name = run->id;
    task->stage_name = definition->name;
    task->capability_name = run->pipeline->capabilities.names[definition->capability];
    return task;
}

static unsigned next_attempt(struct run *run, const struct trial *trial, unsigned stage) {
    uint64_t key = (uint64_t)trial->number << 8 | stage;
    uintptr_t last = (uintptr_t)map_get_u64(run->attempts, key);
    return (unsigned)last + 1;
}

static void submit_failed(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                          const char *why) {
    char text[600];
    snprintf(text, sizeof text, "stage '%s' could not be submitted: %.500s",
             run->pipeline->stages[stage].name, why);
    trial_fail(run, turn, trial, TRIAL_FAILED, text);
}

static void stage_submit(struct run *run, struct turn *turn, struct trial *trial, unsigned stage) {
    struct trial_stage *at = &trial->stages[stage];
    uint64_t key = (uint64_t)trial->number << 8 | stage;
    at->attempt = (uint16_t)next_attempt(run, trial, stage);
    enum troupe_error error = map_put_u64(run->attempts, key, (void *)(uintptr_t)at->attempt);
    at->state = STAGE_PREPARING;
    if (error == TROUPE_OK && run->options.disk_model != NULL)
        stage_prepared(run, turn, trial, stage, &(struct work_job){0});
    else if (error == TROUPE_OK)
        error = work_make(run, turn, trial, stage);
    if (error != TROUPE_OK)
        submit_failed(run, turn, trial, stage, error_text(error));
}

static enum troupe_error stage_send(struct run *run, struct turn *turn, struct trial *trial, unsigned stage) {
    struct task *task = stage_task(run, turn, trial, stage);
    struct message *message =
        task != NULL ? message_new(run->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate))
                     : NULL;
    if (message == NULL) {
        task_free(task);
        return TROUPE_NOMEM;
    }
    *MESSAGE_PAYLOAD(message, struct message_coordinate) =
        (struct message_coordinate){.tasks = task, .count = 1}; /* the message's now */
    enum troupe_error error = actor_send(run->runtime, turn, run->coordinator, &message);
    message_free(&message);
    return error;
}

void stage_prepared(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                    const struct work_job *job) {
    enum troupe_error error = job->error;
    if (error != TROUPE_OK) {
        /* A disk that fails is no fault of the trial: a resume runs it again. */
        run_fail(run, turn, error, "%s: %s; go on with --resume %s", job->fault.where, job->fault.text,
                 run->id);
        trial_fail(run, turn, trial, TRIAL_CANCELLED, job->fault.text);
        return;
    }
    if (run->stopping && !trial->testing) {
        work_remove(run, turn, job->path);
        trial_fail(run, turn, trial, TRIAL_CANCELLED, "the run was stopped");
        return;
    }
    error = stage_send(run, turn, trial, stage);
    if (error == TROUPE_OK) {
        trial->stages[stage].state = STAGE_SUBMITTED;
        return;
    }
    work_remove(run, turn, job->path);
    submit_failed(run, turn, trial, stage, error_text(error));
}

static void stage_take(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                       struct stage_result *result) {
    struct trial_stage *at = &trial->stages[stage];
    at->state = STAGE_DONE;
    at->reused = true;
    at->entry = NULL;
    stage_result_drop(at->result);
    at->result = stage_result_keep(result);
    struct stage_times *times = &at->times;
    times->assigned = times->accepted = times->started = times->ended = times->done = turn->now_ns;
    run->reused_stages++;
    run->stage_reused[stage]++;
    run->reuse.hits++;
}

void stage_begin(struct run *run, struct turn *turn, struct trial *trial, unsigned stage) {
    struct trial_stage *at = &trial->stages[stage];
    if (run->stopping && !trial->testing) {
        trial_fail(run, turn, trial, TRIAL_CANCELLED, "the run was stopped");
        return;
    }
    at->times = (struct stage_times){.ready = turn->now_ns};
    at->key = stage_key(run, trial, stage);
    if (run->pipeline->stages[stage].cache) {
        struct reuse_entry *entry = reuse_find(&run->reuse, at->key);
        if (entry != NULL && entry->state == REUSE_DONE) {
            reuse_touch(&run->reuse, entry);
            stage_take(run, turn, trial, stage, entry->result);
            return;
        }
        if (entry != NULL) {
            at->state = STAGE_SHARED;
            at->entry = entry;
            at->next_waiting = entry->waiting;
            entry->waiting = at;
            return;
        }
        at->entry = reuse_start(&run->reuse, at->key);
        if (at->entry == NULL) {
            trial_fail(run, turn, trial, TRIAL_FAILED, "out of memory");
            return;
        }
    }
    stage_submit(run, turn, trial, stage);
}

/* Stages that waited for an entry, by name: what is done for one of them may end the trial of another, so no
 * pointer to a trial is kept from one to the next. */
struct waiters {
    unsigned count;
    struct {
        unsigned trial, stage;
    } at[PIPELINE_PARALLEL_MAX + 2]; /* at most one a live trial: the stage's name is part of its key */
};

static void take_waiters(struct reuse_entry *entry, struct waiters *ret) {
    ret->count = 0;
    for (struct trial_stage *one = entry->waiting, *next; one != NULL; one = next) {
        next = one->next_waiting;
        one->next_waiting = NULL;
        one->entry = NULL;
        one->state = STAGE_BLOCKED;
        CHECK(ret->count < ARRAY_COUNT(ret->at));
        ret->at[ret->count].trial = one->trial->number;
        ret->at[ret->count++].stage = (unsigned)(one - one->trial->stages);
    }
    entry->waiting = NULL;
}

/* The computing trial gave up: the first that waits computes it itself, the others wait for that one. */
static void pass_on(struct run *run, struct turn *turn, struct reuse_entry *entry) {
    struct waiters waiters;
    take_waiters(entry, &waiters);
    reuse_abandon(&run->reuse, entry);
    for (unsigned i = 0; i < waiters.count; i++) {
        struct trial *trial = trial_find(run, waiters.at[i].trial);
        if (trial != NULL && !trial->ended && trial->stages[waiters.at[i].stage].state == STAGE_BLOCKED)
            stage_begin(run, turn, trial, waiters.at[i].stage);
    }
}

void stage_release(struct run *run, struct turn *turn, struct trial_stage *at) {
    struct reuse_entry *entry = at->entry;
    at->entry = NULL;
    if (entry == NULL)
        return;
    if (at->state == STAGE_SHARED) {
        for (struct trial_stage **link = &entry->waiting; *link != NULL; link = &(*link)->next_waiting)
            if (*link == at) {
                *link = at->next_waiting;
                break;
            }
        at->state = STAGE_BLOCKED;
    } else if (entry->state == REUSE_RUNNING) {
        at->state = STAGE_BLOCKED;
        pass_on(run, turn, entry);
    }
}

/* False: it could not be queued, and the run has failed for it. */
static bool write_row(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                      enum task_state state, const struct stage_result *result, const char *message) {
    const struct trial_stage *at = &trial->stages[stage];
    struct buffer text;
    struct json json;
    char key[32];
    buffer_init(&text, run->account, 1 << 20);
    json_init(&json, &text);
    json_object_begin(&json);
    if (result != NULL) {
        if (result->value != NULL)
            json_field_raw(&json, "value", result->value, result->value_length);
        json_key(&json, "metrics");
        json_object_begin(&json);
        for (unsigned i = 0; i < result->metric_count; i++)
            json_field_real(&json, result->metrics[i].name, result->metrics[i].value);
        json_object_end(&json);
        if (result->artifact[0] != '\0') {
            json_field_string(&json, "artifact", result->artifact);
            json_field_int(&json, "artifact_bytes", (int64_t)result->artifact_bytes);
        }
        json_field_int(&json, "wall_us", (int64_t)(result->wall_ns / 1000));
    }
    json_field_int(&json, "cpu_us", (int64_t)(at->cpu_ns / 1000));
    if (at->core_wait_ns != CORE_WAIT_UNKNOWN)
        json_field_int(&json, "core_wait_us", (int64_t)(at->core_wait_ns / 1000));
    if (message != NULL)
        json_field_string(&json, "message", message);
    if (run_agents_find(run, at->agent) < run->agent_count)
        json_field_int(&json, "agent", run_agents_find(run, at->agent));
    stage_decision_write(run, at->decision, &json);
    /* of the run's running time, over resumes: ready, assigned, accepted, started, ended, done */
    const uint64_t start = run->start_ns, before = run->elapsed_before_ns;
    json_key(&json, "times_us");
    json_array_begin(&json);
    const uint64_t times[] = {at->times.ready,   at->times.assigned, at->times.accepted,
                              at->times.started, at->times.ended,    turn->now_ns};
    for (unsigned i = 0; i < ARRAY_COUNT(times); i++)
        json_int(&json, times[i] >= start ? (int64_t)((times[i] - start + before) / 1000) : 0);
    json_array_end(&json);
    json_object_end(&json);
    snprintf(key, sizeof key, "%016llx", (unsigned long long)at->key);
    struct store_row row = {.kind = STORE_STAGE_ENDED,
                            .trial = trial->number,
                            .stage = (uint16_t)stage,
                            .attempt = at->attempt,
                            .a = state};
    bool keyed = result != NULL && run->pipeline->stages[stage].cache;
    return run_write_text(run, turn, &row, keyed ? key : NULL, &text, 0);
}

void stage_stored(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                  struct stage_result *result) {
    struct trial_stage *at = &trial->stages[stage];
    struct reuse_entry *entry = at->entry;
    if (!write_row(run, turn, trial, stage, TASK_OK, result, NULL)) {
        /* Its result must not be told when no row has it: a resume runs the stage again. */
        trial_fail(run, turn, trial, TRIAL_CANCELLED, "its result could not be stored");
        return;
    }
    at->state = STAGE_DONE;
    at->times.done = turn->now_ns;
    at->entry = NULL;
    at->result = stage_result_keep(result);
    struct waiters waiters = {0};
    if (entry != NULL) {
        take_waiters(entry, &waiters);
        reuse_done(&run->reuse, entry, result);
    }
    for (unsigned i = 0; i < waiters.count; i++)
        stage_take(run, turn, trial_find(run, waiters.at[i].trial), waiters.at[i].stage, result);
    artifact_collect(run, turn);
    trial_advance(run, turn, trial);
    for (unsigned i = 0; i < waiters.count; i++) {
        struct trial *other = trial_find(run, waiters.at[i].trial);
        if (other != NULL)
            trial_advance(run, turn, other);
    }
}

static void stage_succeeded(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                            struct task *task) {
    const struct task_result *answer = task->result;
    struct stage_result *result = stage_result_new(run->account, answer->value, answer->value_length);
    if (result == NULL) {
        trial_fail(run, turn, trial, TRIAL_FAILED, "out of memory keeping a result");
        return;
    }
    result->metric_count = answer->metric_count;
    memcpy(result->metrics, answer->metrics, sizeof result->metrics);
    result->wall_ns = task->ended_ns - task->started_ns;
    if (answer->artifact[0] != '\0') {
        trial->stages[stage].state = STAGE_STORING;
        if (artifact_start(run, turn, trial, stage, answer->artifact, result) != TROUPE_OK)
            trial_fail(run, turn, trial, TRIAL_FAILED,
                       "the artifact could not be taken over: queue of jobs is full or out of memory");
    } else {
        stage_stored(run, turn, trial, stage, result);
    }
    stage_result_drop(result);
}

static void stage_failed(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                         struct task *task) {
    struct trial_stage *at = &trial->stages[stage];
    const struct pipeline_stage *definition = &run->pipeline->stages[stage];
    const struct task_result *answer = task->result;
    const char *message = answer != NULL && answer->message[0] != '\0' ? answer->message : "no reason given";
    char text[600];
    snprintf(text, sizeof text, "stage '%s': %s", definition->name, message);
    if (task->state == TASK_CANCELLED || run->stopping ||
        (answer != NULL && answer->error == TROUPE_DEADLINE)) {
        run->deadline_cuts |= answer != NULL && answer->error == TROUPE_DEADLINE;
        trial_fail(run, turn, trial, TRIAL_CANCELLED, text);
        return;
    }
    IGNORE(write_row(run, turn, trial, stage, task->state, NULL, message), "the run fails then");
    if (answer != NULL && answer->error == TROUPE_NO_AGENT) { /* no later trial can do better */
        trial_fail(run, turn, trial, TRIAL_CANCELLED, text);
        run_fail(run, turn, TROUPE_NO_AGENT, "%s%s%s", text, run->gave_up[0] != '\0' ? ": " : "",
                 run->gave_up);
        return;
    }
    if (answer != NULL && answer->retryable && at->failures < definition->retries) {
        at->failures++;
        at->times.failed = turn->now_ns;
        run_line(run, turn, trial->number, "%s; attempt %u of %u", text, at->failures + 1,
                 definition->retries + 1);
        stage_submit(run, turn, trial, stage);
        return;
    }
    trial_fail(run, turn, trial, TRIAL_FAILED, text);
}

void stage_task_ended(struct run *run, struct turn *turn, struct task *task) {
    account_task(run, task);
    bool keeps = task->state == TASK_OK && task->result != NULL && task->result->artifact[0] != '\0';
    struct trial *trial = trial_find(run, task->id.trial);
    unsigned stage = task->id.stage;
    if (trial == NULL || stage >= run->pipeline->stage_count ||
        trial->stages[stage].state != STAGE_SUBMITTED || trial->stages[stage].attempt != task->id.attempt ||
        trial->ended) {
        work_remove(run, turn, task->artifact_directory);
        return; /* of a trial that ended meanwhile */
    }
    if (!keeps)
        work_remove(run, turn, task->artifact_directory);
    run->stage_seen[stage] += task->state == TASK_OK;
    if (task->state == TASK_OK)
        run_agents_worked(run, task->agent);
    struct stage_times *times = &trial->stages[stage].times;
    trial->stages[stage].agent = task->agent;
    task_decision_free(trial->stages[stage].decision);
    trial->stages[stage].decision = task->decision;
    task->decision = NULL;
    trial->stages[stage].cpu_ns = task->result != NULL ? task->result->cpu_ns : 0;
    trial->stages[stage].core_wait_ns = task->result != NULL ? task->result->core_wait_ns : CORE_WAIT_UNKNOWN;
    times->assigned = task->assigned_ns;
    times->accepted = task->accepted_ns;
    times->started = task->started_ns;
    times->ended = task->ended_ns;
    if (task->state == TASK_OK && task->result != NULL)
        stage_succeeded(run, turn, trial, stage, task);
    else
        stage_failed(run, turn, trial, stage, task);
}
