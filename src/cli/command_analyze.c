/* `troupe analyze`: where a run's time went, from its store; or what a trace file holds. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_analysis.h"
#include "cli/run_levers.h"
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

static enum troupe_error analyze_record_of(struct session *session, const struct run_record *record,
                                           const struct analyze_values *values, struct buffer *out,
                                           struct fault *fault) {
    struct analysis *analysis = NULL;
    if (values->trial >= 0 && !run_analysis_knows(record, (uint32_t)values->trial))
        return fault_set(fault, TROUPE_NOT_FOUND, "--trial", "%s has no trial %lld", record->id,
                         (long long)values->trial);
    enum troupe_error error =
        run_analysis_make(record, session->env, &session->arena, session->account, &analysis, fault);
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
        struct run_levers levers; /* the end of the run kept the same ones */
        run_levers_make(session, record, values->runs, false, &session->arena, &levers);
        run_levers_write(&levers, out);
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
    struct option_words words = {.argc = argc, .argv = argv};
    const char *id = NULL;
    struct buffer text;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    buffer_init(&text, session->account, 0);
    if (is_file(session, words.words[0])) {
        error = analyze_trace_at(session, words.words[0], values.json, &text, fault);
    } else {
        error = run_listing_choose(session, values.runs, words.words[0], &id, fault);
        if (error == TROUPE_OK)
            error = analyze_chosen(session, id, &values, &text, fault);
    }
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
