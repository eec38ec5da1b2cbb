/* whatif_text: a prediction for people, on one screen: what was changed, each figure before and after, what limits next,
 * and what all of it rests on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/whatif.h"
#include "report/report.h"

#define PARAMETERS_SHOWN 8
#define LINE_WIDTH 92

static const char *const titles[FIGURE_COUNT] = {
    [FIGURE_WALL] = "wall time",           [FIGURE_THROUGHPUT] = "throughput", [FIGURE_TRIALS] = "trials",
    [FIGURE_TRIAL_MEAN] = "a trial, mean", [FIGURE_TRIAL_P50] = "  median",    [FIGURE_TRIAL_P95] = "  95 %",
    [FIGURE_AGENTS_BUSY] = "agents busy",  [FIGURE_CORES_BUSY] = "cores busy"};

char *whatif_figure_text(char out[32], enum figure figure, double value) {
    if (!isfinite(value))
        snprintf(out, 32, "-");
    else if (figure == FIGURE_THROUGHPUT)
        snprintf(out, 32, value < 100 ? "%.3g /s" : "%.0f /s", value);
    else if (figure == FIGURE_TRIALS)
        snprintf(out, 32, "%.0f", value);
    else if (figure == FIGURE_AGENTS_BUSY || figure == FIGURE_CORES_BUSY)
        snprintf(out, 32, "%.0f %%", value);
    else if (value < 1e3)
        snprintf(out, 32, "%.3g ms", value);
    else if (value < 6e5) /* in one unit, so that two of them can be compared */
        snprintf(out, 32, value < 1e4 ? "%.2f s" : "%.1f s", value / 1e3);
    else
        text_format_duration(out, value < 9e12 ? (int64_t)(value * 1e6) : INT64_MAX);
    return out;
}

/* A difference in percent; of what is a percentage itself in points. */
static void change_cell(struct report_table *table, enum figure figure, double value, double reference) {
    bool points = figure == FIGURE_AGENTS_BUSY || figure == FIGURE_CORES_BUSY;
    if (points && isfinite(value) && isfinite(reference))
        report_table_format(table, "%+.1f pt", value - reference);
    else if (isfinite(value) && isfinite(reference) && reference != 0)
        report_table_format(table, "%+.1f %%", 100 * (value / reference - 1));
    else
        report_table_cell(table, "");
}

static enum troupe_error write_figures(const struct whatif *whatif, struct buffer *out) {
    bool verified = whatif->values->verify && whatif->measured_run != NULL;
    char one[32], two[32];
    struct report_table table;
    report_table_init(&table, out->account,
                      verified ? "|>recorded|>predicted|90 %|>measured|>error"
                               : "|>recorded|>predicted|90 %|>change");
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        const struct estimate *figure = &whatif->prediction.figures[f];
        report_table_cell(&table, titles[f]);
        report_table_cell(&table, whatif_figure_text(one, f, whatif->recorded[f]));
        report_table_cell(&table, whatif_figure_text(one, f, figure->value));
        report_table_format(&table, "%s to %s", whatif_figure_text(one, f, figure->low),
                            whatif_figure_text(two, f, figure->high));
        if (verified)
            report_table_cell(&table, whatif_figure_text(one, f, whatif->measured[f]));
        change_cell(&table, f, figure->value, verified ? whatif->measured[f] : whatif->recorded[f]);
    }
    return report_table_end(&table, 2, out);
}

static void write_changes(const struct whatif *whatif, struct buffer *out) {
    const struct change_list *list = &whatif->changes;
    for (unsigned i = 0; i < list->count; i++) {
        const struct change *change = &list->changes[i];
        buffer_format(out, "  %s", change->path);
        if (change->after[0] != '\0')
            buffer_format(out, ": %s, was %s", change->after, change->before);
        buffer_text(out, change->verdict == CHANGE_IDLE ? " (no time depends on it)\n" : "\n");
    }
    if (list->left_out > 0)
        buffer_format(out, "  and %u more\n", list->left_out);
    for (size_t i = 0; i < whatif->values->assumes.count; i++)
        buffer_format(out, "  assumed: %s\n", whatif->values->assumes.texts[i]);
    if (list->count == 0 && whatif->values->assumes.count == 0)
        buffer_text(out, "  nothing: how well the simulation knows the run\n");
}

/* What was changed in ways that the record tells less surely of, each reason once. */
static void write_notes(const struct whatif *whatif, struct buffer *out) {
    const struct change_list *list = &whatif->changes;
    for (unsigned i = 0; i < list->count; i++) {
        bool said = list->changes[i].verdict != CHANGE_DRAWN;
        for (unsigned k = 0; k < i && !said; k++)
            said = list->changes[k].why == list->changes[i].why;
        if (!said)
            buffer_format(out, "note       %s\n", list->changes[i].why);
    }
    const struct study_options *study = &whatif->pipeline->study;
    bool adaptive = study->sampler == SAMPLER_AUTO || study->sampler == SAMPLER_TPE;
    if (list->count > 0 && adaptive && study->deterministic == 0)
        buffer_text(
            out,
            "note       the search learns in the order in which trials end (deterministic: 0), so it may "
            "ask\n           for other configurations than the record's\n");
}

static void write_assumed(const struct model *model, struct buffer *out) {
    unsigned column = 0;
    for (unsigned i = 0; i < model->parameter_count; i++) {
        const struct model_parameter *one = &model->parameters[i];
        if (!one->assumed)
            continue;
        unsigned length = (unsigned)(strlen(one->name) + strlen(one->text)) + 5;
        bool breaks = column + length > LINE_WIDTH;
        buffer_format(out, "%s%s: %s",
                      column == 0 ? "assumed    "
                      : breaks    ? ",\n           "
                                  : ", ",
                      one->name, one->text);
        column = (column == 0 || breaks ? 11 : column) + length;
    }
    if (column > 0)
        buffer_text(out, "\n");
}

static void write_parameters(const struct model *model, struct buffer *out) {
    unsigned shown = 0, left = 0;
    for (unsigned i = 0; i < model->parameter_count; i++) {
        const struct model_parameter *one = &model->parameters[i];
        if (one->assumed)
            continue;
        if (shown == PARAMETERS_SHOWN) {
            left++;
            continue;
        }
        buffer_format(out, "%s %s: %s (n %u)\n", shown++ == 0 ? "measured  " : "          ", one->name,
                      one->text, one->n);
    }
    if (left > 0)
        buffer_format(out, "           and %u more: --json\n", left);
    write_assumed(model, out);
}

enum troupe_error whatif_write_text(const struct whatif *whatif, struct buffer *out) {
    bool verified = whatif->values->verify && whatif->measured_run != NULL;
    buffer_format(out, "%s, changed:\n", whatif->id);
    write_changes(whatif, out);
    buffer_text(out, "\n");
    enum troupe_error error = write_figures(whatif, out);
    buffer_format(out, "\nlimit      %s\n", whatif->prediction.limit);
    if (verified)
        buffer_format(out, "verified   by %s%s%s\n", whatif->measured_run,
                      whatif->cause[0] != '\0' ? ": " : "", whatif->cause);
    write_notes(whatif, out);
    write_parameters(whatif->model, out);
    return error;
}
