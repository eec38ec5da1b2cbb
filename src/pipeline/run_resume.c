/* run_resume: a run from its store, as if it had never stopped.
 *
 * The study hears the asks and tells again in the order of their sequence numbers, so its next answer is the
 * one it would have given. Trials that were asked but not told go on: stages that ended OK are in the reuse
 * list, the others run again as attempt + 1. Counts come from told rows alone, so nothing is counted twice.
 * Threads: before runtime_run on the calling thread; run_resume_trials in the engine's first turn. */
#include "pipeline/run_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replayed { /* one ask or tell */
    int64_t sequence;
    unsigned trial;
    bool tell;
    enum trial_state state;
    double objective;
    uint64_t wall_ns;
    struct configuration *configuration;
};
struct replay {
    struct run *run;
    struct replayed *rows;
    size_t count, capacity;
    enum troupe_error error;
    struct fault *fault;
};

static enum troupe_error no_memory(const struct replay *replay) {
    return fault_set(replay->fault, TROUPE_NOMEM, replay->run->id, "out of memory reading the run");
}

static struct replayed *replay_add(struct replay *replay) {
    if (replay->count == replay->capacity) {
        size_t capacity = replay->capacity * 2 + 256;
        struct replayed *grown = memory_resize(replay->run->account, replay->rows, capacity * sizeof *grown);
        if (grown == NULL) {
            replay->error = no_memory(replay);
            return NULL;
        }
        replay->rows = grown;
        replay->capacity = capacity;
    }
    memset(&replay->rows[replay->count], 0, sizeof *replay->rows);
    return &replay->rows[replay->count++];
}

static enum troupe_error parse_text(struct replay *replay, const char *text, struct document **ret) {
    return document_parse_json(text, strlen(text), replay->run->directory, NULL, ret, replay->fault);
}

static bool on_asked(void *context, const struct store_row *row, const char *name, const char *text) {
    struct replay *replay = context;
    struct document *document = NULL;
    struct replayed *ask = replay_add(replay);
    (void)name;
    if (ask == NULL)
        return false;
    ask->sequence = row->a;
    ask->trial = row->trial;
    ask->configuration = memory_alloc(replay->run->account, sizeof *ask->configuration);
    if (ask->configuration == NULL)
        replay->error = no_memory(replay);
    else
        replay->error = parse_text(replay, text, &document);
    if (replay->error == TROUPE_OK)
        replay->error = space_read_json(replay->run->pipeline->space, document_root(document),
                                        ask->configuration, replay->fault);
    document_free(document);
    return replay->error == TROUPE_OK;
}

static bool on_told(void *context, const struct store_row *row, const char *name, const char *text) {
    struct replay *replay = context;
    struct document *document = NULL;
    struct replayed *tell = replay_add(replay);
    (void)name;
    if (tell == NULL)
        return false;
    tell->sequence = row->b;
    tell->trial = row->trial;
    tell->tell = true;
    tell->state = row->a == TRIAL_OK ? TRIAL_OK : TRIAL_FAILED;
    tell->objective = row->real;
    replay->error = parse_text(replay, text, &document);
    if (replay->error == TROUPE_OK && tell->state == TRIAL_OK && !isfinite(tell->objective))
        replay->error = fault_set(replay->fault, TROUPE_CORRUPT, replay->run->directory,
                                  "trial %u is told with an objective that is no finite number", tell->trial);
    if (replay->error == TROUPE_OK) {
        const struct node *root = document_root(document), *wall = node_get(root, "wall_us"),
                          *elapsed = node_get(root, "elapsed_us");
        if (node_kind(wall) == DOCUMENT_INT)
            tell->wall_ns = (uint64_t)node_int(wall) * 1000;
        if (node_kind(elapsed) == DOCUMENT_INT &&
            (uint64_t)node_int(elapsed) * 1000 > replay->run->elapsed_before_ns)
            replay->run->elapsed_before_ns = (uint64_t)node_int(elapsed) * 1000;
    }
    document_free(document);
    return replay->error == TROUPE_OK;
}

static void read_result(const struct node *root, struct stage_result *result) {
    const struct node *metrics = node_get(root, "metrics"), *artifact = node_get(root, "artifact");
    size_t count = node_kind(metrics) == DOCUMENT_MAP ? node_count(metrics) : 0;
    for (size_t i = 0; i < count && result->metric_count < METRICS_MAX; i++) {
        const struct node *value = node_at(metrics, i);
        bool number = node_kind(value) == DOCUMENT_INT || node_kind(value) == DOCUMENT_REAL;
        struct metric *metric = &result->metrics[result->metric_count++];
        snprintf(metric->name, sizeof metric->name, "%s", node_key_at(metrics, i));
        metric->value = number ? node_real(value) : NAN;
    }
    if (node_kind(artifact) == DOCUMENT_STRING) {
        snprintf(result->artifact, sizeof result->artifact, "%s", node_string(artifact));
        const struct node *bytes = node_get(root, "artifact_bytes");
        result->artifact_bytes = node_kind(bytes) == DOCUMENT_INT ? (uint64_t)node_int(bytes) : 0;
    }
}

static bool artifact_there(struct run *run, const struct stage_result *result) {
    char path[1200];
    struct env_info info = {0};
    if (result->artifact[0] == '\0')
        return true;
    snprintf(path, sizeof path, "%s/%s", run->artifacts, result->artifact);
    return env_info(run->env, path, &info) == TROUPE_OK && info.exists &&
           info.bytes == result->artifact_bytes;
}

/* The result that a row of a stage that ended OK holds; NULL and an error in the replay: none. */
static struct stage_result *row_result(struct replay *replay, const char *text) {
    struct run *run = replay->run;
    struct document *document = NULL;
    replay->error = parse_text(replay, text, &document);
    if (replay->error != TROUPE_OK)
        return NULL;
    const struct node *value = node_get(document_root(document), "value");
    struct buffer json_text;
    buffer_init(&json_text, run->account, 1 << 20);
    if (value != NULL) {
        struct json json;
        json_init(&json, &json_text);
        node_write_json(value, &json);
    }
    struct stage_result *result = NULL;
    if (buffer_ok(&json_text) == TROUPE_OK)
        result = stage_result_new(run->account, value != NULL ? buffer_string(&json_text) : NULL,
                                  json_text.length);
    if (result != NULL)
        read_result(document_root(document), result);
    else
        replay->error = no_memory(replay);
    buffer_free(&json_text);
    document_free(document);
    return result;
}

static bool on_stage(void *context, const struct store_row *row, const char *name, const char *text) {
    struct replay *replay = context;
    struct run *run = replay->run;
    uint64_t at = (uint64_t)row->trial << 8 | row->stage;
    if ((uintptr_t)map_get_u64(run->attempts, at) < row->attempt && !PLANT(ATTEMPTS_FORGOTTEN) &&
        map_put_u64(run->attempts, at, (void *)(uintptr_t)row->attempt) != TROUPE_OK)
        replay->error = no_memory(replay);
    if (replay->error != TROUPE_OK || row->a != TASK_OK || name[0] == '\0')
        return replay->error == TROUPE_OK;
    uint64_t key = strtoull(name, NULL, 16);
    struct stage_result *result = row_result(replay, text);
    if (result == NULL)
        return false;
    if (reuse_find(&run->reuse, key) == NULL && artifact_there(run, result) &&
        artifact_files_hold(&run->files, result) == TROUPE_OK) {
        struct reuse_entry *entry = reuse_start(&run->reuse, key);
        if (entry != NULL)
            reuse_done(&run->reuse, entry, result);
    }
    stage_result_drop(result);
    return true;
}

/* Of the best trial's own executions: what no key leads to. */
static bool on_stage_of_best(void *context, const struct store_row *row, const char *name, const char *text) {
    struct replay *replay = context;
    struct run *run = replay->run;
    (void)name;
    if (row->trial != run->best_trial || row->a != TASK_OK || row->stage >= run->pipeline->stage_count ||
        run->best_results[row->stage] != NULL)
        return true;
    struct stage_result *result = row_result(replay, text);
    if (result != NULL && artifact_there(run, result) &&
        artifact_files_hold(&run->files, result) == TROUPE_OK)
        run->best_results[row->stage] = stage_result_keep(result);
    stage_result_drop(result);
    return replay->error == TROUPE_OK;
}

static bool on_state(void *context, const struct store_row *row, const char *name, const char *text) {
    struct replay *replay = context;
    uint64_t elapsed = row->real > 0 ? (uint64_t)(row->real * 1e9) : 0;
    (void)name;
    (void)text;
    if (elapsed > replay->run->elapsed_before_ns)
        replay->run->elapsed_before_ns = elapsed;
    return true;
}

static int by_sequence(const void *a, const void *b) {
    const struct replayed *left = a, *right = b;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

static enum troupe_error replay_tell(struct run *run, const struct replayed *tell, struct fault *fault) {
    enum troupe_error error = tell->state == TRIAL_OK
                                  ? study_tell(run->study, tell->trial, tell->objective, fault)
                                  : study_tell_failed(run->study, tell->trial, fault);
    if (error != TROUPE_OK)
        return error;
    if (tell->trial >= run->record_capacity) {
        unsigned capacity = tell->trial + tell->trial / 2 + 64;
        struct trial_record *grown = memory_resize(run->account, run->records, capacity * sizeof *grown);
        if (grown == NULL)
            return fault_set(fault, TROUPE_NOMEM, run->id, "out of memory reading the run");
        run->records = grown;
        run->record_capacity = capacity;
    }
    run->records[tell->trial] =
        (struct trial_record){tell->state, tell->state == TRIAL_OK ? tell->objective : NAN, tell->wall_ns};
    if (tell->trial >= run->record_count)
        run->record_count = tell->trial + 1;
    run->told++;
    if (tell->state != TRIAL_OK) {
        run->failed++;
        return TROUPE_OK;
    }
    run->ok++;
    if (!run->has_best || (run->pipeline->maximise ? tell->objective > run->best_objective
                                                   : tell->objective < run->best_objective)) {
        run->has_best = true;
        run->best_trial = tell->trial;
        run->best_objective = tell->objective;
    }
    if (tell->trial == 0 && run->pipeline->study.baseline_first && run->fixed == NULL) {
        run->has_baseline = true;
        run->baseline_objective = tell->objective;
    }
    return TROUPE_OK;
}

#define SEQUENCE_MAX (INT64_MAX / 2) /* of asks and tells: no run comes near it, a damaged row may */

static enum troupe_error replay_rows(struct replay *replay) {
    struct run *run = replay->run;
    if (replay->count > 1)
        qsort(replay->rows, replay->count, sizeof *replay->rows, by_sequence);
    for (size_t i = 0; i < replay->count; i++) {
        const struct replayed *row = &replay->rows[i];
        if (row->sequence < 0 || row->sequence > SEQUENCE_MAX)
            return fault_set(replay->fault, TROUPE_CORRUPT, run->directory,
                             "trial %u has a row out of sequence (%lld)", row->trial,
                             (long long)row->sequence);
        enum troupe_error error =
            row->tell ? replay_tell(run, row, replay->fault)
                      : study_restore(run->study, row->trial, row->configuration, replay->fault);
        if (error != TROUPE_OK)
            return error;
        if (!row->tell)
            run->record_count = row->trial >= run->record_count ? row->trial + 1 : run->record_count;
        run->sequence = row->sequence + 1;
    }
    return TROUPE_OK;
}

/* The results of the best trial so far, so that collection spares its artifacts and best/ gets them also when
 * no later trial is better. Its stages' keys lead to most of them. */
static enum troupe_error resume_best(struct run *run, struct fault *fault) {
    if (!run->has_best)
        return TROUPE_OK;
    struct trial *trial = memory_alloc(run->account, sizeof *trial);
    if (trial == NULL)
        return fault_set(fault, TROUPE_NOMEM, run->id, "out of memory reading the run");
    trial->number = run->best_trial;
    trial->configuration = *study_configuration(run->study, run->best_trial);
    for (unsigned k = 0; k < run->pipeline->stage_count; k++) {
        unsigned i = run->pipeline->order[k];
        if (!run->pipeline->stages[i].in_trial)
            continue;
        trial->stages[i].key = stage_key(run, trial, i);
        const struct reuse_entry *entry = reuse_find(&run->reuse, trial->stages[i].key);
        if (entry != NULL)
            run->best_results[i] = stage_result_keep(entry->result);
    }
    memory_free(run->account, trial);
    return TROUPE_OK;
}

enum troupe_error run_resume(struct run *run, struct fault *fault) {
    struct store_reader *reader = NULL;
    struct replay replay = {.run = run, .fault = fault};
    enum troupe_error error = store_reader_open(run->env, run->account, run->directory, &reader, fault);
    static const struct {
        enum store_row_kind kind;
        store_row_fn fn;
    } parts[] = {{STORE_TRIAL_ASKED, on_asked},
                 {STORE_TRIAL_TOLD, on_told},
                 {STORE_STAGE_ENDED, on_stage},
                 {STORE_RUN_STATE, on_state}};
    for (unsigned i = 0; i < ARRAY_COUNT(parts) && error == TROUPE_OK; i++) {
        error = store_read(reader, parts[i].kind, parts[i].fn, &replay, fault);
        if (error == TROUPE_OK)
            error = replay.error;
    }
    if (error == TROUPE_OK)
        error = replay_rows(&replay);
    if (error == TROUPE_OK)
        error = resume_best(run, fault);
    if (error == TROUPE_OK && run->has_best) {
        error = store_read(reader, STORE_STAGE_ENDED, on_stage_of_best, &replay, fault);
        if (error == TROUPE_OK)
            error = replay.error;
    }
    if (error == TROUPE_OK)
        artifact_files_sweep(run);
    for (size_t i = 0; i < replay.count; i++)
        memory_free(run->account, replay.rows[i].configuration);
    memory_free(run->account, replay.rows);
    store_reader_close(reader);
    return error;
}

void run_resume_trials(struct run *run, struct turn *turn) {
    if (!run->options.resume || PLANT(PENDING_FORGOTTEN))
        return;
    unsigned asked = study_asked(run->study);
    for (unsigned number = 0; number < asked && run->in_flight < PIPELINE_PARALLEL_MAX; number++) {
        if (number < run->record_count && run->records != NULL && number < run->record_capacity &&
            run->records[number].state >= TRIAL_OK && !PLANT(TOLD_AGAIN))
            continue;
        const struct configuration *configuration = study_configuration(run->study, number);
        if (configuration == NULL)
            continue;
        struct trial *trial = trial_new(run, turn, number, configuration, run->trial_mask);
        if (trial == NULL) {
            run_fail(run, turn, TROUPE_NOMEM, "out of memory resuming trial %u", number);
            return;
        }
        run->resumed_pending++;
        trial->state = TRIAL_RUNNING;
        trial_advance(run, turn, trial);
    }
}
