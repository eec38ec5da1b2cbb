/* Reading a run back: its definition, then its rows in the order in which later kinds refer to earlier ones.
 * A live run moves on between two reads; rows of trials that were asked for after the first are left out.
 * Threads, memory: see run_record.h. Arrays are grown on the account, texts live in the arena. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/pipeline.h"

struct record_reading {
    struct run_record *record;
    struct account *account;
    struct configuration *configuration; /* scratch */
    struct document *parsed;             /* of the row being read */
    size_t trial_capacity, execution_capacity, start_capacity, event_capacity;
    int64_t work_utc_ns, state_utc_ns; /* newest of each sort of row */
    bool ended;
    enum troupe_error error;
    struct fault *fault;
};

static bool out_of_memory(struct record_reading *reading) {
    reading->error =
        fault_set(reading->fault, TROUPE_NOMEM, reading->record->directory, "out of memory reading the run");
    return false;
}

/* Room for `index` in an array that grows by half; new items are zero. */
static void *array_at(struct record_reading *reading, void *array, size_t *capacity, size_t size,
                      size_t index) {
    void **at = array;
    if (index >= *capacity) {
        size_t wanted = index + index / 2 + 64;
        void *grown = memory_resize(reading->account, *at, wanted * size);
        if (grown == NULL) {
            out_of_memory(reading);
            return NULL;
        }
        *at = grown;
        *capacity = wanted;
    }
    return (char *)*at + index * size;
}

static const struct node *parse(struct record_reading *reading, const char *text) {
    document_free(reading->parsed);
    reading->parsed = NULL;
    reading->error = document_parse_json(text, strlen(text), reading->record->directory, NULL,
                                         &reading->parsed, reading->fault);
    return reading->error == TROUPE_OK ? document_root(reading->parsed) : NULL;
}

static uint64_t ns_of(const struct node *microseconds) {
    bool known = node_kind(microseconds) == DOCUMENT_INT && node_int(microseconds) > 0;
    return known ? (uint64_t)node_int(microseconds) * 1000 : 0;
}

static uint64_t wait_of(const struct node *microseconds) {
    bool known = node_kind(microseconds) == DOCUMENT_INT && node_int(microseconds) >= 0;
    return known ? (uint64_t)node_int(microseconds) * 1000 : CORE_WAIT_UNKNOWN;
}

/* NULL when the list is shorter, or none: a row may be anybody's. */
static const struct node *item_of(const struct node *list, size_t index) {
    return index < node_count(list) ? node_at(list, index) : NULL;
}

/* NULL when there is none, or when memory is short (then the error is set). */
static const char *message_of(struct record_reading *reading, const struct node *root) {
    const struct node *message = node_get(root, "message");
    if (node_kind(message) != DOCUMENT_STRING)
        return NULL;
    char *copy = arena_copy(&reading->record->arena, node_string(message), strlen(node_string(message)));
    if (copy == NULL)
        out_of_memory(reading);
    return copy;
}

static void worked(struct record_reading *reading, const struct store_row *row) {
    if (row->utc_ns > reading->work_utc_ns)
        reading->work_utc_ns = row->utc_ns;
    if (reading->record->started_utc_ns == 0 || row->utc_ns < reading->record->started_utc_ns)
        reading->record->started_utc_ns = row->utc_ns;
}

static unsigned count_of(const struct node *number) {
    bool known = node_kind(number) == DOCUMENT_INT && node_int(number) > 0 && node_int(number) <= UINT16_MAX;
    return known ? (unsigned)node_int(number) : 0;
}

static bool on_created(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    (void)row;
    (void)name;
    const struct node *root = parse(reading, text), *version = node_get(root, "version");
    if (root == NULL)
        return false;
    record->cores = count_of(node_get(root, "cores"));
    record->workers = count_of(node_get(root, "workers"));
    record->fixed = node_get(root, "configuration") != NULL;
    if (node_kind(version) != DOCUMENT_STRING)
        return true;
    record->version = arena_copy(&record->arena, node_string(version), strlen(node_string(version)));
    return record->version != NULL || out_of_memory(reading);
}

static bool on_asked(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    const struct space *space = record->pipeline->space;
    (void)name;
    if (row->trial >= PIPELINE_TRIALS_MAX) {
        reading->error = fault_set(reading->fault, TROUPE_CORRUPT, record->directory,
                                   "a trial numbered %u: more than a run can have", row->trial);
        return false;
    }
    const struct node *root = parse(reading, text);
    if (root == NULL)
        return false;
    reading->error = space_read_json(space, root, reading->configuration, reading->fault);
    struct record_trial *trial = reading->error != TROUPE_OK
                                     ? NULL
                                     : array_at(reading, &record->trials, &reading->trial_capacity,
                                                sizeof *record->trials, row->trial);
    if (trial == NULL)
        return false;
    double *values = ARENA_ARRAY(&record->arena, double, space_count(space) + 1);
    if (values == NULL)
        return out_of_memory(reading);
    memcpy(values, reading->configuration->values, space_count(space) * sizeof *values);
    *trial = (struct record_trial){.number = row->trial,
                                   .state = record->live ? TRIAL_RUNNING : TRIAL_CANCELLED,
                                   .objective = NAN,
                                   .values = values};
    if (row->trial >= record->trial_count)
        record->trial_count = row->trial + 1;
    worked(reading, row);
    return true;
}

static struct record_trial *trial_of(struct run_record *record, uint32_t number) {
    return number < record->trial_count && record->trials[number].values != NULL ? &record->trials[number]
                                                                                 : NULL;
}

/* Stages that the trial took from others' executions, as executions of their own. */
static bool add_reused(struct record_reading *reading, uint32_t trial, const struct node *list) {
    struct run_record *record = reading->record;
    for (size_t i = 0; i < node_count(list); i++) {
        const struct node *one = node_at(list, i), *stage = item_of(one, 0);
        if (node_count(one) != 3 || node_kind(stage) != DOCUMENT_INT || node_int(stage) < 0 ||
            node_int(stage) >= record->pipeline->stage_count)
            continue;
        struct record_execution *execution =
            array_at(reading, &record->executions, &reading->execution_capacity, sizeof *record->executions,
                     record->execution_count);
        if (execution == NULL)
            return false;
        uint64_t ready = ns_of(item_of(one, 1)), done = ns_of(item_of(one, 2));
        done = done > ready ? done : ready;
        *execution = (struct record_execution){.trial = trial,
                                               .agent = RECORD_UNKNOWN,
                                               .stage = (uint16_t)node_int(stage),
                                               .state = TASK_OK,
                                               .reused = true,
                                               .ready = ready,
                                               .assigned = done,
                                               .accepted = done,
                                               .started = done,
                                               .ended = done,
                                               .done = done,
                                               .core_wait_ns = CORE_WAIT_UNKNOWN};
        record->execution_count++;
    }
    return true;
}

/* Trials told before this row, and when their rows were on disk. */
static void read_durable(struct run_record *record, const struct node *list) {
    for (size_t i = 0; i < node_count(list); i++) {
        const struct node *number = item_of(node_at(list, i), 0);
        bool known = node_kind(number) == DOCUMENT_INT && node_int(number) >= 0 &&
                     node_int(number) < PIPELINE_TRIALS_MAX;
        struct record_trial *trial = known ? trial_of(record, (uint32_t)node_int(number)) : NULL;
        uint64_t at = ns_of(item_of(node_at(list, i), 1));
        if (trial != NULL && at > trial->told_ns)
            trial->ended_ns = at;
    }
}

static bool on_told(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    struct record_trial *trial = trial_of(record, row->trial);
    (void)name;
    if (trial == NULL)
        return true;
    const struct node *root = parse(reading, text);
    if (root == NULL)
        return false;
    uint64_t elapsed = ns_of(node_get(root, "elapsed_us"));
    trial->state = row->a == TRIAL_OK ? TRIAL_OK : TRIAL_FAILED;
    trial->told_ns = trial->ended_ns = elapsed;
    trial->created_ns = ns_of(node_get(root, "created_us"));
    trial->message = message_of(reading, root);
    record->told++;
    record->elapsed_ns = elapsed > record->elapsed_ns ? elapsed : record->elapsed_ns;
    worked(reading, row);
    read_durable(record, node_get(root, "durable_us"));
    if (!add_reused(reading, row->trial, node_get(root, "reused_us")))
        return false;
    if (trial->state != TRIAL_OK) {
        record->failed++;
        return reading->error == TROUPE_OK;
    }
    trial->objective = row->real;
    double best = record->has_best ? record->trials[record->best_trial].objective : NAN;
    if (!record->has_best || (record->pipeline->maximise ? row->real > best : row->real < best)) {
        record->has_best = true;
        record->best_trial = row->trial;
    }
    return reading->error == TROUPE_OK;
}

static bool on_stage(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    (void)name;
    if (trial_of(record, row->trial) == NULL || row->stage >= record->pipeline->stage_count)
        return true;
    const struct node *root = parse(reading, text), *times = node_get(root, "times_us"),
                      *agent = node_get(root, "agent");
    struct record_execution *execution =
        root == NULL ? NULL
                     : array_at(reading, &record->executions, &reading->execution_capacity,
                                sizeof *record->executions, record->execution_count);
    if (execution == NULL)
        return false;
    *execution =
        (struct record_execution){.trial = row->trial,
                                  .stage = row->stage,
                                  .attempt = row->attempt,
                                  .state = (enum task_state)row->a,
                                  .agent = RECORD_UNKNOWN,
                                  .ready = ns_of(item_of(times, 0)),
                                  .cpu_ns = ns_of(node_get(root, "cpu_us")),
                                  .artifact = node_kind(node_get(root, "artifact")) == DOCUMENT_STRING,
                                  .core_wait_ns = wait_of(node_get(root, "core_wait_us")),
                                  .message = message_of(reading, root)};
    if (node_kind(agent) == DOCUMENT_INT && node_int(agent) >= 0 && node_int(agent) < record->agent_count)
        execution->agent = (uint32_t)node_int(agent);
    uint64_t *const points[] = {&execution->assigned, &execution->accepted, &execution->started,
                                &execution->ended, &execution->done};
    uint64_t before = execution->ready;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) { /* one that was not stamped takes no time */
        uint64_t at = ns_of(item_of(times, i + 1));
        *points[i] = before = at > before ? at : before;
    }
    record->execution_count++;
    worked(reading, row);
    return reading->error == TROUPE_OK;
}

static bool on_start(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    (void)name;
    if (row->a < 0 || row->a >= record->agent_count)
        return true;
    const struct node *root = parse(reading, text);
    struct record_start *start = root == NULL ? NULL
                                              : array_at(reading, &record->starts, &reading->start_capacity,
                                                         sizeof *record->starts, record->start_count);
    if (start == NULL)
        return false;
    uint64_t spawned = ns_of(node_get(root, "spawned_us")), ready = ns_of(node_get(root, "ready_us"));
    *start = (struct record_start){.agent = (uint32_t)row->a,
                                   .spawned = spawned,
                                   .ready = ready > spawned ? ready : spawned,
                                   .cpu_ns = ns_of(node_get(root, "cpu_us"))};
    record->start_count++;
    return true;
}

static bool on_event(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    struct record_event *event = array_at(reading, &record->events, &reading->event_capacity,
                                          sizeof *record->events, record->event_count);
    (void)name;
    if (event == NULL)
        return false;
    *event = (struct record_event){
        .utc_ns = row->utc_ns, .trial = row->trial, .text = arena_copy(&record->arena, text, strlen(text))};
    if (event->text == NULL)
        return out_of_memory(reading);
    record->event_count++;
    return true;
}

static bool on_state(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    struct run_record *record = reading->record;
    uint64_t elapsed = row->real > 0 ? (uint64_t)(row->real * 1e9) : 0;
    (void)name;
    if (text[0] != '\0') {
        const struct node *root = parse(reading, text);
        if (root == NULL)
            return false;
        read_durable(record, node_get(root, "durable_us"));
    }
    reading->ended = true;
    reading->state_utc_ns = row->utc_ns;
    record->state = row->a >= RUN_RUNNING && row->a <= RUN_FAILED ? (int)row->a : RUN_FAILED;
    record->elapsed_ns = elapsed > record->elapsed_ns ? elapsed : record->elapsed_ns;
    return true;
}

static bool on_summary(void *context, const struct store_row *row, const char *name, const char *text) {
    struct record_reading *reading = context;
    (void)row;
    (void)name;
    document_free(reading->record->response);
    reading->record->response = NULL;
    reading->error = document_parse_json(text, strlen(text), reading->record->directory, NULL,
                                         &reading->record->response, reading->fault);
    return reading->error == TROUPE_OK;
}

static enum troupe_error read_rows(struct record_reading *reading, struct store_reader *reader) {
    static const struct {
        enum store_row_kind kind;
        store_row_fn fn;
    } parts[] = {{STORE_RUN_CREATED, on_created}, {STORE_TRIAL_ASKED, on_asked},
                 {STORE_TRIAL_TOLD, on_told},     {STORE_STAGE_ENDED, on_stage},
                 {STORE_AGENT_STARTED, on_start}, {STORE_EVENT, on_event},
                 {STORE_RUN_STATE, on_state},     {STORE_SUMMARY, on_summary}};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        enum troupe_error error = store_read(reader, parts[i].kind, parts[i].fn, reading, reading->fault);
        if (error == TROUPE_OK)
            error = reading->error;
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

/* Trials whose row is missing leave no gap: a reader may go through the array from end to end. */
static void close_gaps(struct run_record *record) {
    size_t kept = 0;
    for (size_t i = 0; i < record->trial_count; i++) {
        if (record->trials[i].values == NULL)
            continue;
        if (record->has_best && record->best_trial == i)
            record->best_trial = (unsigned)kept;
        record->trials[kept++] = record->trials[i];
    }
    record->trial_count = kept;
}

/* A row of work that is newer than the last state is of a process that did not end: it lives or was killed. */
static void settle(struct record_reading *reading) {
    struct run_record *record = reading->record;
    if (record->live || !reading->ended || reading->work_utc_ns > reading->state_utc_ns)
        record->state = RUN_RUNNING;
    if (record->state == RUN_RUNNING) {
        document_free(record->response);
        record->response = NULL;
    }
    record->updated_utc_ns =
        reading->work_utc_ns > reading->state_utc_ns ? reading->work_utc_ns : reading->state_utc_ns;
    close_gaps(record);
}

static enum troupe_error name_agents(struct run_record *record, struct fault *fault) {
    const struct pipeline *pipeline = record->pipeline;
    unsigned count = 0;
    for (unsigned i = 0; i < pipeline->agent_count; i++)
        count += pipeline->agents[i].instances_max;
    record->agents = ARENA_ARRAY(&record->arena, const char *, count + 1);
    bool made = record->agents != NULL;
    for (unsigned i = 0; i < pipeline->agent_count && made; i++)
        for (unsigned instance = 0; instance < pipeline->agents[i].instances_max && made; instance++) {
            const char *name = arena_format(&record->arena, "%s/%u", pipeline->agents[i].name, instance);
            record->agents[record->agent_count++] = name;
            made = name != NULL;
        }
    return made ? TROUPE_OK
                : fault_set(fault, TROUPE_NOMEM, record->directory, "out of memory reading the run");
}

static enum troupe_error read_all(struct env *env, struct account *account, const char *runs_directory,
                                  struct run_record *record, struct fault *fault) {
    struct store_reader *reader = NULL;
    struct record_reading reading = {.record = record, .account = account, .fault = fault};
    enum troupe_error error =
        run_load_pipeline(env, account, runs_directory, record->id, NULL, 0, &record->pipeline, fault);
    if (error == TROUPE_OK)
        error = name_agents(record, fault);
    if (error == TROUPE_OK) {
        record->live = store_in_use(env, record->directory);
        error = store_reader_open(env, account, record->directory, &reader, fault);
    }
    if (error != TROUPE_OK)
        return error;
    reading.configuration = ARENA_NEW(&record->arena, struct configuration);
    if (reading.configuration == NULL)
        error = fault_set(fault, TROUPE_NOMEM, record->directory, "out of memory reading the run");
    else
        error = read_rows(&reading, reader);
    document_free(reading.parsed);
    store_reader_close(reader);
    settle(&reading);
    return error;
}

enum troupe_error run_record_read(struct env *env, struct account *account, const char *runs_directory,
                                  const char *run_id, struct run_record **ret_record, struct fault *fault) {
    struct run_record *record = memory_alloc(account, sizeof *record);
    const char *runs = runs_directory != NULL ? runs_directory : "runs";
    if (record == NULL)
        return fault_set(fault, TROUPE_NOMEM, run_id, "out of memory reading the run");
    arena_init(&record->arena, account);
    record->id = arena_copy(&record->arena, run_id, strlen(run_id));
    record->directory = arena_format(&record->arena, "%s/%s", runs, run_id);
    enum troupe_error error = record->id == NULL || record->directory == NULL
                                  ? fault_set(fault, TROUPE_NOMEM, run_id, "out of memory reading the run")
                                  : read_all(env, account, runs, record, fault);
    if (error != TROUPE_OK) {
        run_record_free(record);
        return error;
    }
    *ret_record = record;
    return TROUPE_OK;
}

void run_record_free(struct run_record *record) {
    if (record == NULL)
        return;
    struct account *account = record->arena.account;
    document_free(record->response);
    pipeline_free(record->pipeline);
    memory_free(account, record->trials);
    memory_free(account, record->executions);
    memory_free(account, record->starts);
    memory_free(account, record->events);
    arena_free(&record->arena);
    memory_free(account, record);
}

const struct record_trial *run_record_trial(const struct run_record *record, uint32_t number) {
    size_t low = 0, high = record->trial_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record->trials[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < record->trial_count && record->trials[low].number == number ? &record->trials[low] : NULL;
}
