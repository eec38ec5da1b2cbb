/* `troupe runs`: what there is in the runs directory, newest first. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/moment.h"
#include "cli/run_listing.h"

struct runs_values {
    const char *runs;
    bool json;
};
static const struct option_row rows[] = {
    {OPTION_TEXT(struct runs_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
    {OPTION_FLAG(struct runs_values, json, "json", 0, "one JSON object")},
};
static const struct option_table options = {.rows = rows, .count = ARRAY_COUNT(rows)};
const struct command_page page_runs = {
    &options,
    "Newest first. States: running (a process is at it), interrupted (its process is\n"
    "gone: --resume), stopped (by Ctrl-C: --resume), finished, deadline, failed.\n",
    "  troupe runs\n  troupe runs --json\n"};

static void write_json(const struct run_listing *listing, struct buffer *out) {
    struct json json;
    char when[MOMENT_BYTES];
    json_init(&json, out);
    json_object_begin(&json);
    json_key(&json, "runs");
    json_array_begin(&json);
    for (size_t i = 0; i < listing->count; i++) {
        const struct run_brief *brief = &listing->runs[i];
        json_object_begin(&json);
        json_field_string(&json, "run", brief->id);
        json_field_string(&json, "state", run_brief_state(brief));
        json_field_bool(&json, "live", brief->live);
        json_field_string(&json, "metric", brief->metric);
        json_field_string(&json, "goal", brief->maximise ? "maximise" : "minimise");
        json_field_int(&json, "trials", (int64_t)brief->told);
        json_field_int(&json, "failed", (int64_t)brief->failed);
        json_key(&json, "objective");
        if (brief->has_best)
            json_real(&json, brief->best);
        else
            json_null(&json);
        json_field_string(&json, "updated", moment_utc(when, brief->updated_utc_ns));
        if (brief->problem[0] != '\0')
            json_field_string(&json, "problem", brief->problem);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    buffer_text(out, "\n");
}

static void write_text(const struct run_listing *listing, const char *directory, int64_t now,
                       struct buffer *out) {
    size_t id_width = 3, metric_width = 9;
    char when[MOMENT_BYTES], best[96];
    if (listing->count == 0) {
        buffer_format(out, "no runs in %s\n", directory);
        return;
    }
    for (size_t i = 0; i < listing->count; i++) {
        size_t id = strlen(listing->runs[i].id), metric = strlen(listing->runs[i].metric) + 9;
        id_width = id > id_width ? id : id_width;
        metric_width = metric > metric_width ? metric : metric_width;
    }
    buffer_format(out, "%-*s  %-11s  %6s  %-*s  %s\n", (int)id_width, "run", "state", "trials",
                  (int)metric_width, "best", "when");
    for (size_t i = 0; i < listing->count; i++) {
        const struct run_brief *brief = &listing->runs[i];
        best[0] = '\0';
        if (brief->has_best)
            snprintf(best, sizeof best, "%s %.6g", brief->metric, brief->best);
        buffer_format(out, "%-*s  %-11s  %6llu  %-*s  %s%s%s\n", (int)id_width, brief->id,
                      run_brief_state(brief), (unsigned long long)brief->told, (int)metric_width, best,
                      moment_age(when, brief->updated_utc_ns, now), brief->problem[0] != '\0' ? "  " : "",
                      brief->problem);
    }
}

enum troupe_error command_runs(struct session *session, int argc, const char *const *argv,
                               struct fault *fault) {
    struct runs_values values = {.runs = "runs"};
    struct option_words words = {.argc = argc, .argv = argv};
    struct run_listing listing;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error == TROUPE_OK)
        error = run_listing_read(session->env, session->account, values.runs, &listing, fault);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    buffer_init(&text, session->account, 0);
    if (values.json)
        write_json(&listing, &text);
    else
        write_text(&listing, values.runs, env_utc(session->env), &text);
    error = session_print(&text, fault);
    buffer_free(&text);
    run_listing_free(&listing);
    return error;
}
