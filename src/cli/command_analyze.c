/* `troupe analyze`: where a run's time went, from its store; or what a trace file holds. */
#include <stdio.h>
#include <string.h>

#include "analyze/analyze.h"
#include "cli/command.h"
#include "cli/run_listing.h"

#define TRACE_BYTES_MAX (1u << 30)

struct analyze_values {
    const char *runs;
    int64_t trial;
    bool json, trace;
};
static const struct option_row rows[] = {
    {OPTION_NUMBER(0, PIPELINE_TRIALS_MAX, struct analyze_values, trial, "trial", 't', "N",
                   "the critical path of trial N (default: that of the typical trial)")},
    {OPTION_FLAG(struct analyze_values, trace, "trace", 0,
                 "the run's trace.bin (see `run --trace`): spans, queued and served apart")},
    {OPTION_FLAG(struct analyze_values, json, "json", 0, "one JSON object")},
    {OPTION_TEXT(struct analyze_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
};
static const struct option_table options = {
    .rows = rows, .count = ARRAY_COUNT(rows), .words_max = 1, .words_name = "one run, or a trace file"};
const struct command_page page_analyze = {
    &options,
    "Where the trials' time went, piece by piece of their critical paths; what limits\n"
    "the run and what a fix could gain; agents, queues, the slowest trials. Its sums\n"
    "are checked, and one that does not add up is named. Without RUN: the newest; a\n"
    "live run is analyzed as far as it came. A trace file may stand for RUN.\n",
    "  troupe analyze\n"
    "  troupe analyze digits-6b0760e9-c2c4 --trial 17\n"
    "  troupe analyze runs/digits-6b0760e9-c2c4/trace.bin --json\n"};

/* ---- a run's record in the analyser's words ---- */

static enum analyze_outcome outcome_of(enum task_state state) {
    return state == TASK_OK ? ANALYZE_OK : state == TASK_CANCELLED ? ANALYZE_CANCELLED : ANALYZE_FAILED;
}

static bool fill_trials(const struct run_record *record, struct arena *arena, struct analyze_record *ret) {
    struct analyze_trial *trials = ARENA_ARRAY(arena, struct analyze_trial, record->trial_count + 1);
    if (trials == NULL)
        return false;
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *trial = &record->trials[i];
        bool settled = trial->state == TRIAL_OK || trial->state == TRIAL_FAILED;
        trials[i] = (struct analyze_trial){.number = trial->number,
                                           .outcome = trial->state == TRIAL_OK       ? ANALYZE_OK
                                                      : trial->state == TRIAL_FAILED ? ANALYZE_FAILED
                                                                                     : ANALYZE_CANCELLED,
                                           .created = trial->created_ns,
                                           .told = trial->told_ns,
                                           .ended = trial->told_ns,
                                           .settled = settled};
    }
    ret->trials = trials;
    ret->trial_count = record->trial_count;
    return true;
}

static const struct record_trial *trial_numbered(const struct run_record *record, uint32_t number) {
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

/* Of a trial that a resume began anew only its last life counts; what the held-out test ran came after it. */
static bool of_its_life(const struct run_record *record, const struct record_execution *execution) {
    const struct record_trial *trial = trial_numbered(record, execution->trial);
    return trial != NULL && execution->ready >= trial->created_ns &&
           (trial->told_ns == 0 || execution->ready <= trial->told_ns);
}

static bool fill_executions(const struct run_record *record, struct arena *arena,
                            struct analyze_record *ret) {
    struct analyze_execution *made =
        ARENA_ARRAY(arena, struct analyze_execution, record->execution_count + 1);
    size_t count = 0;
    if (made == NULL)
        return false;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *execution = &record->executions[i];
        if (of_its_life(record, execution))
            made[count++] = (struct analyze_execution){
                .trial = execution->trial,
                .stage = execution->stage,
                .attempt = execution->attempt,
                .outcome = outcome_of(execution->state),
                .reused = execution->reused,
                .agent = execution->agent == RECORD_UNKNOWN ? ANALYZE_UNKNOWN : execution->agent,
                .ready = execution->ready,
                .assigned = execution->assigned,
                .accepted = execution->accepted,
                .started = execution->started,
                .ended = execution->ended,
                .done = execution->done,
                .cpu_ns = execution->cpu_ns};
    }
    ret->executions = made;
    ret->execution_count = count;
    return true;
}

static enum troupe_error fill(const struct run_record *record, struct env *env, struct arena *arena,
                              struct analyze_record *ret, struct fault *fault) {
    const struct pipeline *pipeline = record->pipeline;
    struct analyze_stage *stages = ARENA_ARRAY(arena, struct analyze_stage, pipeline->stage_count + 1);
    if (stages == NULL || !fill_trials(record, arena, ret) || !fill_executions(record, arena, ret))
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory analyzing it");
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        stages[i] = (struct analyze_stage){pipeline->stages[i].name, pipeline->stages[i].needs};
    ret->stages = stages;
    ret->stage_count = pipeline->stage_count;
    ret->objective_stage = pipeline->objective_stage;
    ret->agents = record->agents;
    ret->agent_count = record->agent_count;
    ret->wall_ns = record->elapsed_ns;
    ret->cores = env_cores(env);
    return TROUPE_OK;
}

static enum troupe_error analyze_record_of(struct session *session, const struct run_record *record,
                                           const struct analyze_values *values, struct buffer *out,
                                           struct fault *fault) {
    struct analyze_record plain = {0};
    struct analysis *analysis = NULL;
    enum troupe_error error = fill(record, session->env, &session->arena, &plain, fault);
    if (error == TROUPE_OK && values->trial >= 0 && trial_numbered(record, (uint32_t)values->trial) == NULL)
        error = fault_set(fault, TROUPE_NOT_FOUND, "--trial", "%s has no trial %lld", record->id,
                          (long long)values->trial);
    if (error == TROUPE_OK)
        error = analyze_run(&plain, session->account, &analysis, fault);
    if (error != TROUPE_OK)
        return error;
    if (values->json) {
        struct json json;
        json_init(&json, out);
        analysis_json(analysis, &json);
        buffer_text(out, "\n");
    } else {
        buffer_format(out, "%s: %s\n", record->id,
                      record->state == RUN_RUNNING && !record->live
                          ? "interrupted"
                          : run_state_name((enum run_state)record->state));
        error = analysis_text(analysis, values->trial < 0 ? ANALYZE_UNKNOWN : (uint32_t)values->trial, out);
        if (error != TROUPE_OK)
            fault_set(fault, error, record->id, "%s", error_text(error));
    }
    analysis_free(analysis, session->account);
    return error;
}

/* ---- a trace file ---- */

static enum troupe_error analyze_trace_at(struct session *session, const char *path, bool as_json,
                                          struct buffer *out, struct fault *fault) {
    struct buffer bytes;
    struct analyze_spans *spans = NULL;
    buffer_init(&bytes, session->account, TRACE_BYTES_MAX);
    enum troupe_error error = env_read_file(session->env, path, &bytes, fault);
    if (error == TROUPE_OK)
        error = analyze_trace(bytes.bytes, bytes.length, path, session->account, &spans, fault);
    if (error == TROUPE_OK && as_json) {
        struct json json;
        json_init(&json, out);
        analyze_spans_json(spans, &json);
        buffer_text(out, "\n");
    } else if (error == TROUPE_OK) {
        error = analyze_spans_text(spans, out);
        if (error != TROUPE_OK)
            fault_set(fault, error, path, "%s", error_text(error));
    }
    analyze_spans_free(spans, session->account);
    buffer_free(&bytes);
    return error;
}

static bool is_file(struct session *session, const char *path) {
    struct env_info info = {0};
    return path != NULL && strchr(path, '/') != NULL && env_info(session->env, path, &info) == TROUPE_OK &&
           info.exists && !info.directory;
}

static enum troupe_error analyze_chosen(struct session *session, const char *id,
                                        const struct analyze_values *values, struct buffer *out,
                                        struct fault *fault) {
    char path[1200];
    struct env_info info = {0};
    struct run_record *record = NULL;
    if (values->trace) {
        int length = snprintf(path, sizeof path, "%s/%s/trace.bin", values->runs, id);
        if (length < 0 || (size_t)length >= sizeof path)
            return fault_set(fault, TROUPE_LIMIT, values->runs, "a path that is too long");
        if (env_info(session->env, path, &info) == TROUPE_OK && !info.exists)
            return fault_set(fault, TROUPE_NOT_FOUND, path,
                             "the run was not traced: `troupe run --trace` is");
        return analyze_trace_at(session, path, values->json, out, fault);
    }
    enum troupe_error error =
        run_record_read(session->env, session->account, values->runs, id, &record, fault);
    if (error == TROUPE_OK)
        error = analyze_record_of(session, record, values, out, fault);
    run_record_free(record);
    return error;
}

enum troupe_error command_analyze(struct session *session, int argc, const char *const *argv,
                                  struct fault *fault) {
    struct analyze_values values = {.runs = "runs", .trial = -1};
    struct option_words words;
    const char *id = NULL;
    struct buffer text;
    enum troupe_error error =
        option_table_parse(&options, argc, argv, &session->arena, &values, &words, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    buffer_init(&text, session->account, 0);
    if (is_file(session, words.words[0])) {
        error = analyze_trace_at(session, words.words[0], values.json, &text, fault);
    } else {
        error = run_listing_choose(session->env, session->account, values.runs, words.words[0],
                                   &session->arena, &id, fault);
        if (error == TROUPE_OK)
            error = analyze_chosen(session, id, &values, &text, fault);
    }
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
