/* page_data: the JSON that the page's script works on: the listed trials column by column (a name is then paid
 * for once), and the executions when they are few enough to be drawn one by one. It stands in a script element
 * of type application/json, which nothing executes; page_json takes care that it cannot be left. */
#include "report/page.h"

#include <math.h>

#define EXECUTIONS_MAX REPORT_BARS_MAX

static void write_variables(struct page *page, struct json *json) {
    json_key(json, "variables");
    json_array_begin(json);
    for (unsigned i = 0; i < page->run->variable_count; i++) {
        const struct report_variable *variable = &page->run->variables[i];
        json_object_begin(json);
        json_field_string(json, "name", variable->name);
        json_field_bool(json, "choice", variable->kind == REPORT_CHOICE);
        if (variable->kind == REPORT_CHOICE) {
            json_key(json, "choices");
            json_array_begin(json);
            for (unsigned k = 0; k < variable->choice_count; k++)
                json_string(json, variable->choices[k]);
            json_array_end(json);
        }
        json_object_end(json);
    }
    json_array_end(json);
}

typedef void (*column_fn)(struct page *page, const struct report_trial *trial, struct json *json);

static void put_number(struct page *page, const struct report_trial *trial, struct json *json) {
    (void)page;
    json_int(json, trial->number);
}

static void put_state(struct page *page, const struct report_trial *trial, struct json *json) {
    (void)page;
    json_int(json, trial->state);
}

static void put_objective(struct page *page, const struct report_trial *trial, struct json *json) {
    (void)page;
    json_real(json, trial->state == REPORT_TRIAL_OK ? trial->objective : NAN);
}

static void put_start(struct page *page, const struct report_trial *trial, struct json *json) {
    (void)page;
    json_int(json, (int64_t)(trial->start_ns / 1000));
}

static void put_end(struct page *page, const struct report_trial *trial, struct json *json) {
    (void)page;
    json_int(json, (int64_t)(trial->end_ns / 1000));
}

static void column(struct page *page, const char *name, column_fn put, struct json *json) {
    json_key(json, name);
    json_array_begin(json);
    for (size_t i = 0; i < page->trial_count; i++)
        if (page->listed[i])
            put(page, page->trials[i], json);
    json_array_end(json);
}

static void write_values(struct page *page, struct json *json) {
    json_key(json, "values");
    json_array_begin(json);
    for (unsigned v = 0; v < page->run->variable_count; v++) {
        json_array_begin(json);
        for (size_t i = 0; i < page->trial_count; i++) {
            const struct report_trial *trial = page->trials[i];
            if (!page->listed[i])
                continue;
            if (!page_active(page, trial, v))
                json_null(json);
            else if (page->run->variables[v].kind == REPORT_FLOAT)
                json_real(json, trial->values[v]);
            else
                json_int(json, (int64_t)fmax(fmin(trial->values[v], 9e15), -9e15));
        }
        json_array_end(json);
    }
    json_array_end(json);
}

static void write_notes(struct page *page, struct json *json) {
    size_t at = 0;
    json_key(json, "notes"); /* by row, so that the many without one cost nothing: [row, text, ...] */
    json_array_begin(json);
    for (size_t i = 0; i < page->trial_count; i++) {
        if (!page->listed[i])
            continue;
        const char *message = page->trials[i]->message;
        if (message != NULL && message[0] != '\0') {
            json_int(json, (int64_t)at);
            json_string(json, message);
        }
        at++;
    }
    json_array_end(json);
}

static void write_executions(struct page *page, struct json *json) {
    const struct report_run *run = page->run;
    json_key(json, "stages");
    json_array_begin(json);
    for (unsigned i = 0; i < run->stage_count; i++)
        json_string(json, run->stages[i]);
    json_array_end(json);
    json_key(json, "executions"); /* lane, stage, trial, attempt, started us, ended us, failed */
    json_array_begin(json);
    for (size_t i = 0; i < run->execution_count && run->execution_count <= EXECUTIONS_MAX; i++) {
        const struct report_execution *one = &run->executions[i];
        if (one->agent >= run->agent_count || one->agent >= REPORT_LANES_MAX)
            continue;
        const int64_t fields[] = {one->agent,
                                  one->stage < run->stage_count ? (int64_t)one->stage : -1,
                                  one->trial == REPORT_UNKNOWN ? -1 : (int64_t)one->trial,
                                  one->attempt,
                                  (int64_t)(one->started_ns / 1000),
                                  (int64_t)(one->ended_ns / 1000),
                                  one->failed};
        for (unsigned k = 0; k < ARRAY_COUNT(fields); k++)
            json_int(json, fields[k]);
    }
    json_array_end(json);
}

void page_data(struct page *page) {
    struct json json;
    struct buffer text;
    buffer_init(&text, page->out->account, page->out->limit_bytes);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_string(&json, "metric", page->run->metric);
    json_field_bool(&json, "maximise", page->run->maximise);
    json_field_int(&json, "best", page->best != NULL ? (int64_t)page->best->number : -1);
    json_field_int(&json, "elapsed", (int64_t)(page->run->elapsed_ns / 1000));
    write_variables(page, &json);
    column(page, "number", put_number, &json);
    column(page, "state", put_state, &json);
    column(page, "objective", put_objective, &json);
    column(page, "start", put_start, &json);
    column(page, "end", put_end, &json);
    write_values(page, &json);
    write_notes(page, &json);
    write_executions(page, &json);
    json_object_end(&json);
    buffer_text(page->out, "<script type=\"application/json\" id=\"data\">");
    page_json(page, &text);
    buffer_text(page->out, "</script>\n");
    if (buffer_ok(&text) != TROUPE_OK)
        page->error = buffer_ok(&text);
    buffer_free(&text);
}
