/* whatif_score: `troupe whatif --score`: of the predictions that were kept, how many have been measured since, and how
 * good they were. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/moment.h"
#include "cli/whatif.h"
#include "report/report.h"
#include "simulate/simulate.h"

static const char *const kinds[] = {"whatif", "quote", "scenario", NULL}; /* NULL: all */

static void held_cell(struct report_table *table, const struct figure_score *score) {
    if (score->count > 0)
        report_table_format(table, "%u of %u", score->held, score->count);
    else
        report_table_cell(table, "-");
}

static void error_cell(struct report_table *table, const struct figure_score *score) {
    if (score->count > 0)
        report_table_format(table, "%.1f %%", score->median_error_percent);
    else
        report_table_cell(table, "-");
}

static void write_worst(const struct prediction_score *score, struct buffer *out) {
    const struct prediction_entry *worst = score->worst;
    enum figure figure = score->worst_figure;
    char predicted[32], measured[32], when[MOMENT_BYTES];
    if (worst == NULL)
        return;
    buffer_format(out, "\nworst      %s of %s", worst->kind, worst->run);
    if (worst->changes != NULL && strcmp(worst->changes, "[]") != 0)
        buffer_format(out, " with %s", worst->changes);
    buffer_format(out, ", %s\n           %s: %s predicted, %s measured by %s (%+.1f %%)\n",
                  moment_utc(when, worst->utc_ns), figure == FIGURE_WALL ? "wall time" : "throughput",
                  whatif_figure_text(predicted, figure, worst->figures[figure].value),
                  whatif_figure_text(measured, figure, worst->measured[figure]), worst->measured_run,
                  score->worst_error_percent);
    if (worst->cause[0] != '\0')
        buffer_format(out, "           cause: %s\n", worst->cause);
}

static enum troupe_error write_text(const struct prediction_score *scores, const char *runs,
                                    struct buffer *out) {
    const struct prediction_score *all = &scores[ARRAY_COUNT(kinds) - 1];
    struct report_table table;
    if (all->count == 0) {
        buffer_format(out, "no prediction was made in %s yet: `troupe whatif` makes one\n", runs);
        return TROUPE_OK;
    }
    report_table_init(
        &table, out->account,
        "|>predictions|>measured|>wall: error|>90 % held|>throughput: error|>90 % held|>p95: error");
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        const struct prediction_score *score = &scores[i];
        if (score->count == 0)
            continue;
        report_table_cell(&table, kinds[i] != NULL ? kinds[i] : "all");
        report_table_format(&table, "%u", score->count);
        report_table_format(&table, "%u", score->scored);
        error_cell(&table, &score->figures[FIGURE_WALL]);
        held_cell(&table, &score->figures[FIGURE_WALL]);
        error_cell(&table, &score->figures[FIGURE_THROUGHPUT]);
        held_cell(&table, &score->figures[FIGURE_THROUGHPUT]);
        error_cell(&table, &score->figures[FIGURE_TRIAL_P95]);
    }
    enum troupe_error error = report_table_end(&table, 2, out);
    buffer_text(
        out, "  errors: the median, without sign; p95 of a trial's wall time, or of a scenario's requests\n");
    if (all->scored == 0)
        buffer_text(
            out, "\nnone was measured yet: `troupe whatif RUN --set ... --verify` runs what it predicts\n");
    write_worst(all, out);
    return error;
}

static void write_score(const struct prediction_score *score, struct json *json) {
    json_object_begin(json);
    json_field_int(json, "count", score->count);
    json_field_int(json, "repeated", score->repeated);
    json_field_int(json, "scored", score->scored);
    json_key(json, "figures");
    json_object_begin(json);
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        const struct figure_score *figure = &score->figures[f];
        json_key(json, figure_table[f].name);
        json_object_begin(json);
        json_field_int(json, "count", figure->count);
        json_field_real(json, "median_error_percent", figure->count > 0 ? figure->median_error_percent : NAN);
        json_field_real(json, "mean_error_percent", figure->count > 0 ? figure->mean_error_percent : NAN);
        json_field_int(json, "held", figure->held);
        json_object_end(json);
    }
    json_object_end(json);
    json_key(json, "worst");
    const struct prediction_entry *worst = score->worst;
    if (worst == NULL) {
        json_null(json);
    } else {
        const char *changes = worst->changes != NULL ? worst->changes : "[]";
        json_object_begin(json);
        json_field_string(json, "kind", worst->kind);
        json_field_string(json, "run", worst->run);
        json_field_raw(json, "changes", changes, strlen(changes));
        json_field_string(json, "figure", figure_table[score->worst_figure].name);
        json_field_real(json, "predicted", worst->figures[score->worst_figure].value);
        json_field_real(json, "measured", worst->measured[score->worst_figure]);
        json_field_string(json, "measured_run", worst->measured_run);
        json_field_real(json, "error_percent", score->worst_error_percent);
        json_field_string(json, "cause", worst->cause);
        json_object_end(json);
    }
    json_object_end(json);
}

static void write_json(const struct prediction_score *scores, struct buffer *out) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        json_key(&json, kinds[i] != NULL ? kinds[i] : "all");
        write_score(&scores[i], &json);
    }
    json_object_end(&json);
    buffer_text(out, "\n");
}

enum troupe_error whatif_score(struct session *session, const struct whatif_values *values,
                               struct buffer *out, struct fault *fault) {
    struct prediction_log *log = NULL;
    struct prediction_score scores[ARRAY_COUNT(kinds)];
    struct fault unkept = {0};
    unsigned matched = 0;
    enum troupe_error error = prediction_log_read(session->env, session->account, values->runs, &log, fault);
    if (error != TROUPE_OK)
        return error;
    if (log->count > 0 && prediction_match(session->env, session->account, values->runs, NULL, log, &matched,
                                           &unkept) != TROUPE_OK)
        fprintf(stderr, "troupe: %s: what was measured was not kept: %s\n", unkept.where, unkept.text);
    for (size_t i = 0; i < ARRAY_COUNT(kinds) && error == TROUPE_OK; i++)
        error = prediction_score_make(log, kinds[i], session->account, &scores[i], fault);
    if (error == TROUPE_OK && values->json)
        write_json(scores, out);
    else if (error == TROUPE_OK)
        error = write_text(scores, values->runs, out);
    prediction_log_free(log);
    return error;
}
