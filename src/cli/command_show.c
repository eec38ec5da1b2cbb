/* `troupe show`: one run and its trials, from its store: after it has ended, beside a live one, or of one that
 * was killed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/moment.h"
#include "cli/run_lines.h"
#include "cli/run_listing.h"
#include "cli/run_replay.h"
#include "cli/run_report.h"
#include "cli/run_summary.h"

#define TRIALS_SHOWN 60 /* unless --all */

struct show_values {
    const char *runs;
    const char *html;
    int64_t until_trial;
    bool json, all, replay;
};
static const struct option_row rows[] = {
    {OPTION_FLAG(struct show_values, all, "all", 'a', "every trial, not only the best 60")},
    {OPTION_FLAG(struct show_values, json, "json", 0, "one JSON object")},
    {OPTION_TEXT(struct show_values, html, "html", 0, "FILE",
                 "write the report of the run as it stands to FILE")},
    {OPTION_FLAG(struct show_values, replay, "replay", 0,
                 "live through a recorded run again, in virtual time, and say where it first differs")},
    {OPTION_NUMBER(0, PIPELINE_TRIALS_MAX, struct show_values, until_trial, "until-trial", 0, "N",
                   "with --replay: only until trial N is about to begin")},
    {OPTION_TEXT(struct show_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
};
static const struct option_table options = {
    .rows = rows, .count = ARRAY_COUNT(rows), .words_max = 1, .words_name = "one run"};
const struct command_page page_show = {
    &options,
    "Without RUN: the newest. Works beside a live run. The object of --json has\n"
    "`trials`: number, state, values, objective, wall_ms; `starts` of workers: agent,\n"
    "spawned_ms, ready_ms, cpu_ms; `cores` and `version`, as it was created.\n\n"
    "--replay needs a run that was started with `troupe run --record`. The engine, the\n"
    "coordinator and the optimizer decide again, in the recorded order, on a simulated\n"
    "clock; workers answer what they answered. Every decision is compared with the\n"
    "record; the exit status is 1 when one differs. For a debugger, stop at\n"
    "replay_reached (trial N is about to begin), replay_differed, or replay_took_turn.\n",
    "  troupe show\n  troupe show digits-6b0760e9-c2c4 --json\n"
    "  troupe show --html report.html\n"
    "  troupe show digits-6b0760e9-c2c4 --replay --until-trial 7\n"
    "  gdb -ex 'break replay_reached' -ex run --args troupe show --replay --until-trial 7\n"};

static const char *state_of(const struct run_record *record) {
    return record->state == RUN_RUNNING && !record->live ? "interrupted"
                                                         : run_state_name((enum run_state)record->state);
}

/* ---- JSON ---- */

static void write_values(const struct run_record *record, const struct record_trial *trial,
                         struct json *json) {
    const struct space *space = record->pipeline->space;
    struct configuration configuration = {.count = space_count(space)};
    memcpy(configuration.values, trial->values, configuration.count * sizeof *trial->values);
    space_write_json(space, &configuration, json);
}

static void write_trial(const struct run_record *record, const struct record_trial *trial,
                        struct json *json) {
    json_object_begin(json);
    json_field_int(json, "number", trial->number);
    json_field_string(json, "state", trial_state_name((enum trial_state)trial->state));
    json_key(json, "values");
    write_values(record, trial, json);
    json_key(json, "objective");
    if (trial->state == TRIAL_OK)
        json_real(json, trial->objective);
    else
        json_null(json);
    if (trial->told_ns != trial->created_ns) {
        json_field_real(json, "start_ms", (double)trial->created_ns / 1e6);
        json_field_real(json, "wall_ms", (double)(trial->told_ns - trial->created_ns) / 1e6);
    }
    if (trial->message != NULL)
        json_field_string(json, "message", trial->message);
    json_object_end(json);
}

static void write_events(const struct run_record *record, struct json *json) {
    char when[MOMENT_BYTES];
    json_key(json, "events");
    json_array_begin(json);
    for (size_t i = 0; i < record->event_count; i++) {
        json_object_begin(json);
        json_field_string(json, "at", moment_utc(when, record->events[i].utc_ns));
        if (record->events[i].trial != RECORD_UNKNOWN)
            json_field_int(json, "trial", record->events[i].trial);
        json_field_string(json, "text", record->events[i].text);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_machine(const struct run_record *record, struct json *json) {
    if (record->version != NULL)
        json_field_string(json, "version", record->version);
    if (record->cores != 0)
        json_field_int(json, "cores", record->cores);
    if (record->workers != 0)
        json_field_int(json, "workers", record->workers);
}

static void write_starts(const struct run_record *record, struct json *json) {
    json_key(json, "starts");
    json_array_begin(json);
    for (size_t i = 0; i < record->start_count; i++) {
        const struct record_start *start = &record->starts[i];
        json_object_begin(json);
        json_field_string(json, "agent", record->agents[start->agent]);
        json_field_real(json, "spawned_ms", (double)start->spawned / 1e6);
        json_field_real(json, "ready_ms", (double)start->ready / 1e6);
        json_field_real(json, "cpu_ms", (double)start->cpu_ns / 1e6);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_json(const struct run_record *record, struct buffer *out) {
    struct json json;
    char when[MOMENT_BYTES];
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "run", record->id);
    json_field_string(&json, "name", record->pipeline->name);
    json_field_string(&json, "state", state_of(record));
    json_field_bool(&json, "live", record->live);
    json_field_string(&json, "directory", record->directory);
    write_machine(record, &json);
    json_field_string(&json, "metric", record->pipeline->objective_metric);
    json_field_string(&json, "goal", record->pipeline->maximise ? "maximise" : "minimise");
    json_field_string(&json, "started", moment_utc(when, record->started_utc_ns));
    json_field_string(&json, "updated", moment_utc(when, record->updated_utc_ns));
    json_field_real(&json, "elapsed_ms", (double)record->elapsed_ns / 1e6);
    json_field_int(&json, "told", (int64_t)record->told);
    json_field_int(&json, "failed", (int64_t)record->failed);
    json_key(&json, "best");
    if (record->has_best) {
        const struct record_trial *best = &record->trials[record->best_trial];
        write_values(record, best, &json);
        json_field_real(&json, "objective", best->objective);
        json_field_int(&json, "best_trial", best->number);
    } else {
        json_null(&json);
        json_key(&json, "objective");
        json_null(&json);
    }
    json_key(&json, "trials");
    json_array_begin(&json);
    for (size_t i = 0; i < record->trial_count; i++)
        write_trial(record, &record->trials[i], &json);
    json_array_end(&json);
    write_starts(record, &json);
    write_events(record, &json);
    json_key(&json, "response");
    if (record->response != NULL)
        node_write_json(document_root(record->response), &json);
    else
        json_null(&json);
    json_object_end(&json);
    buffer_text(out, "\n");
}

/* ---- text ---- */

static void write_head(const struct run_record *record, int64_t now, struct buffer *out) {
    char when[MOMENT_BYTES], elapsed[32];
    buffer_format(out, "run        %s: %s %s\n", record->id,
                  record->pipeline->maximise ? "maximise" : "minimise", record->pipeline->objective_metric);
    buffer_format(out, "state      %s, %s running time%s%s\n", state_of(record),
                  text_format_duration(elapsed, (int64_t)record->elapsed_ns),
                  record->updated_utc_ns != 0 ? ", last change " : "",
                  moment_age(when, record->updated_utc_ns, now));
    if (record->response != NULL) {
        run_summary_write(document_root(record->response), out);
        return;
    }
    buffer_format(out, "trials     %zu, %zu failed\n", record->told, record->failed);
    if (record->has_best)
        buffer_format(out, "best       %s %.6g  (trial %u)\n", record->pipeline->objective_metric,
                      record->trials[record->best_trial].objective,
                      record->trials[record->best_trial].number);
    if (record->state == RUN_RUNNING && !record->live)
        buffer_format(out, "resume     troupe run --resume %s\n", record->id);
}

static void write_line(const struct run_record *record, const struct record_trial *trial,
                       struct buffer *out) {
    const struct space *space = record->pipeline->space;
    char wall[32] = "", value[64];
    if (trial->told_ns != trial->created_ns)
        text_format_duration(wall, (int64_t)(trial->told_ns - trial->created_ns));
    buffer_format(out, "%6u  %-9s  ", trial->number, trial_state_name((enum trial_state)trial->state));
    if (trial->state == TRIAL_OK)
        buffer_format(out, "%12.6g", trial->objective);
    else
        buffer_format(out, "%12s", "");
    buffer_format(out, "  %10s ", wall);
    for (unsigned i = 0; i < space_count(space); i++)
        if (!isnan(trial->values[i]))
            buffer_format(out, " %s=%s", space_variable(space, i)->name,
                          run_value_text(space_variable(space, i), trial->values[i], value, sizeof value));
    if (trial->message != NULL)
        buffer_format(out, "  %s", trial->message);
    buffer_text(out, record->has_best && trial == &record->trials[record->best_trial] ? "  <- best\n" : "\n");
}

struct ranked {
    const struct record_trial *trial;
    bool maximise;
};

static int best_first(const void *a, const void *b) {
    const struct ranked *left = a, *right = b;
    bool left_ok = left->trial->state == TRIAL_OK, right_ok = right->trial->state == TRIAL_OK;
    if (left_ok != right_ok)
        return left_ok ? -1 : 1;
    double difference = left_ok ? left->trial->objective - right->trial->objective : 0;
    if (difference != 0)
        return (difference < 0) == left->maximise ? 1 : -1;
    return left->trial->number < right->trial->number ? -1 : 1;
}

static enum troupe_error write_trials(const struct run_record *record, struct account *account, bool all,
                                      struct buffer *out, struct fault *fault) {
    size_t count = record->trial_count;
    if (count == 0)
        return TROUPE_OK;
    buffer_format(out, "\n%6s  %-9s  %12s  %10s  values\n", "trial", "state",
                  record->pipeline->objective_metric, "wall");
    if (all || count <= TRIALS_SHOWN) {
        for (size_t i = 0; i < count; i++)
            write_line(record, &record->trials[i], out);
        return TROUPE_OK;
    }
    struct ranked *ranked = memory_alloc(account, count * sizeof *ranked);
    if (ranked == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory sorting its trials");
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){&record->trials[i], record->pipeline->maximise};
    qsort(ranked, count, sizeof *ranked, best_first);
    for (size_t i = 0; i < TRIALS_SHOWN; i++)
        write_line(record, ranked[i].trial, out);
    buffer_format(out, "        the best %d of %zu trials; --all shows every one\n", TRIALS_SHOWN, count);
    memory_free(account, ranked);
    return TROUPE_OK;
}

static enum troupe_error write_text(struct session *session, const struct run_record *record, bool all,
                                    struct buffer *out, struct fault *fault) {
    char when[MOMENT_BYTES];
    int64_t now = env_utc(session->env);
    write_head(record, now, out);
    enum troupe_error error = write_trials(record, session->account, all, out, fault);
    size_t from = all || record->event_count <= 20 ? 0 : record->event_count - 20;
    for (size_t i = from; i < record->event_count; i++)
        buffer_format(out, "%s%12s  %s\n", i == from ? "\n" : "",
                      moment_age(when, record->events[i].utc_ns, now), record->events[i].text);
    return error;
}

enum troupe_error command_show(struct session *session, int argc, const char *const *argv,
                               struct fault *fault) {
    struct show_values values = {.runs = "runs", .until_trial = -1};
    struct option_words words = {.argc = argc, .argv = argv};
    struct run_record *record = NULL;
    const char *id = NULL;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error == TROUPE_OK && values.until_trial >= 0 && !values.replay)
        error = fault_set(fault, TROUPE_USAGE, "--until-trial", "belongs to --replay");
    if (error == TROUPE_OK && values.replay && (values.html != NULL || values.all))
        error = fault_set(fault, TROUPE_USAGE, "--replay", "goes with --until-trial and --json only");
    if (error == TROUPE_OK)
        error = run_listing_choose(session, values.runs, words.words[0], &id, fault);
    if (error == TROUPE_OK && values.html != NULL)
        return run_report_write(session, values.runs, id, NULL, values.html, fault);
    if (error == TROUPE_OK)
        error = run_record_read(session->env, session->account, values.runs, id, &record, fault);
    if (error != TROUPE_OK)
        return error;
    if (values.replay) {
        uint32_t until = values.until_trial < 0 ? RECORD_UNKNOWN : (uint32_t)values.until_trial;
        error = run_replay(session, record, until, values.json, fault);
        run_record_free(record);
        return error;
    }
    struct buffer text;
    buffer_init(&text, session->account, 0);
    if (values.json)
        write_json(record, &text);
    else
        error = write_text(session, record, values.all, &text, fault);
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    run_record_free(record);
    return error;
}
