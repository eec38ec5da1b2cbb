/* chart: the plot that all charts are made of, and the best-so-far curve.
 *
 * A point is a line of no length with a round cap and a stroke that does not stretch: a circle whatever the
 * shape of the plot, six bytes each. The curve is drawn twice, against trial numbers and against running time;
 * two radio buttons choose, without script. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 24   /* choices with a label of their own */
#define NAMES_WIDTH 30 /* characters that fit side by side under a slice */

static unsigned clamp(double at) {
    return !(at > 0) ? 0 : at > 1 ? CHART_SIZE : (unsigned)(at * CHART_SIZE + 0.5);
}

unsigned chart_x(const struct chart *chart, double value) {
    return clamp(axis_position(&chart->x, value));
}

unsigned chart_y(const struct chart *chart, double value) {
    return CHART_SIZE - clamp(axis_position(&chart->y, value));
}

unsigned chart_order_colour(const struct page *page, const struct report_trial *trial) {
    unsigned first = page->trials[0]->number, last = page->trials[page->trial_count - 1]->number;
    if (last == first || trial->number < first)
        return 0;
    uint64_t colour = (uint64_t)(trial->number - first) * PAGE_COLOURS / ((uint64_t)(last - first) + 1);
    return (unsigned)colour;
}

static void write_range(struct page *page, const char *name, const struct axis *axis) {
    struct json json;
    struct buffer text;
    buffer_init(&text, page->out->account, 1 << 10);
    json_init(&json, &text);
    json_array_begin(&json);
    json_real(&json, axis->low);
    json_real(&json, axis->high);
    json_int(&json, axis->scale == AXIS_LOG);
    json_array_end(&json);
    buffer_format(page->out, " data-%s=\"%s\"", name, buffer_string(&text));
    if (buffer_ok(&text) != TROUPE_OK)
        page->error = buffer_ok(&text);
    buffer_free(&text);
}

void chart_begin(struct chart *chart, const char *what, unsigned variable, double spread, const char *label) {
    struct page *page = chart->page;
    size_t gutter = 2;
    for (unsigned i = 0; i < chart->y.tick_count; i++)
        if (strlen(chart->y.ticks[i].label) > gutter)
            gutter = strlen(chart->y.ticks[i].label);
    buffer_format(
        page->out,
        "<div class=\"plot\" style=\"--gutter:%zuch\" data-chart=\"%s\" data-v=\"%u\" data-spread=\"%g\"",
        gutter, what, variable, spread);
    write_range(page, "x", &chart->x);
    write_range(page, "y", &chart->y);
    buffer_text(page->out, "><div class=\"yticks\" aria-hidden=\"true\">");
    for (unsigned i = 0; i < chart->y.tick_count; i++)
        buffer_format(page->out, "<span style=\"bottom:%.2f%%\">%s</span>", chart->y.ticks[i].at * 100,
                      chart->y.ticks[i].label);
    buffer_format(page->out, "</div><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\"",
                  CHART_SIZE, CHART_SIZE);
    buffer_text(page->out, " aria-label=\"");
    page_text(page, label);
    buffer_text(page->out, "\"><path class=\"grid\" d=\"");
    for (unsigned i = 0; i < chart->y.tick_count; i++)
        buffer_format(page->out, "M0 %uH%d", CHART_SIZE - clamp(chart->y.ticks[i].at), CHART_SIZE);
    for (unsigned i = 0; i < chart->x.tick_count; i++)
        buffer_format(page->out, "M%u 0V%d", clamp(chart->x.ticks[i].at), CHART_SIZE);
    buffer_text(page->out, "\"/>");
}

static void names(struct page *page, const struct report_variable *choice) {
    unsigned every = (choice->choice_count + NAMES_MAX - 1) / NAMES_MAX;
    size_t longest = 0;
    for (unsigned i = 0; i < choice->choice_count; i++)
        if (choice->choices[i] != NULL && strlen(choice->choices[i]) > longest)
            longest = strlen(choice->choices[i]);
    bool upright = longest * choice->choice_count > NAMES_WIDTH;
    buffer_format(page->out, "<div class=\"names%s\" aria-hidden=\"true\">", upright ? " upright" : "");
    for (unsigned i = 0; i < choice->choice_count; i++) {
        if (i % every != 0)
            continue;
        buffer_format(page->out, "<span style=\"left:%.2f%%;--w:%.2f%%\" title=\"",
                      (i + 0.5) * 100 / choice->choice_count, 100.0 / choice->choice_count);
        page_text(page, choice->choices[i]);
        buffer_text(page->out, "\">");
        page_text(page, choice->choices[i]);
        buffer_text(page->out, "</span>");
    }
    buffer_text(page->out, "</div>");
}

void chart_end(struct chart *chart, const struct report_variable *choice, const char *x_title) {
    struct page *page = chart->page;
    buffer_text(page->out, "</svg>");
    if (choice != NULL) {
        names(page, choice);
    } else {
        buffer_text(page->out, "<div class=\"xticks\" aria-hidden=\"true\">");
        for (unsigned i = 0; i < chart->x.tick_count; i++)
            buffer_format(page->out, "<span style=\"left:%.2f%%\">%s</span>", chart->x.ticks[i].at * 100,
                          chart->x.ticks[i].label);
        buffer_text(page->out, "</div>");
    }
    if (x_title != NULL) {
        buffer_text(page->out, "<div class=\"xtitle\">");
        page_text(page, x_title);
        buffer_text(page->out, "</div>");
    }
    buffer_text(page->out, "</div>");
}

/* ---- the curve ---- */

struct curve {
    struct chart chart;
    bool by_time;
};

static bool usable(const struct curve *curve, const struct report_trial *trial) {
    return !curve->by_time || (trial->end_ns > trial->start_ns);
}

static double across(const struct curve *curve, const struct report_trial *trial) {
    return curve->by_time ? (double)trial->end_ns / 1e9 : (double)trial->number;
}

static bool is_ok(const struct report_trial *trial) {
    return trial->state == REPORT_TRIAL_OK && isfinite(trial->objective);
}

static void points(const struct curve *curve, const char *class, bool ok, bool improvements) {
    struct page *page = curve->chart.page;
    bool any = false;
    for (size_t i = 0; i < page->trial_count; i++) {
        const struct report_trial *trial = page->trials[i];
        bool wanted = ok ? is_ok(trial) : trial->state == REPORT_TRIAL_FAILED;
        if (!wanted || !page->drawn[i] || !usable(curve, trial) || (improvements && !page->improves[i]))
            continue;
        if (!any)
            buffer_format(page->out, "<path class=\"%s\" d=\"", class);
        any = true;
        unsigned x = chart_x(&curve->chart, across(curve, trial));
        if (ok)
            buffer_format(page->out, "M%u %uh0", x, chart_y(&curve->chart, trial->objective));
        else /* it has no height: a tick on the floor */
            buffer_format(page->out, "M%u %dv-60", x, CHART_SIZE);
    }
    if (any)
        buffer_text(page->out, "\"/>");
}

static int by_end(const void *a, const void *b) {
    const struct report_trial *left = *(const struct report_trial *const *)a;
    const struct report_trial *right = *(const struct report_trial *const *)b;
    return left->end_ns < right->end_ns ? -1 : left->end_ns > right->end_ns;
}

/* The step line. By time, the order is that of the ends, which is not that of the numbers. */
static void steps(struct curve *curve) {
    struct page *page = curve->chart.page;
    const struct report_trial **order = page->trials;
    double best = NAN;
    if (curve->by_time) {
        order = ARENA_ARRAY(&page->arena, const struct report_trial *, page->trial_count + 1);
        if (order == NULL) {
            page->error = TROUPE_NOMEM;
            return;
        }
        memcpy(order, page->trials, page->trial_count * sizeof *order);
        qsort(order, page->trial_count, sizeof *order, by_end);
    }
    buffer_text(page->out, "<path class=\"step\" d=\"");
    for (size_t i = 0; i < page->trial_count; i++) {
        const struct report_trial *trial = order[i];
        if (!is_ok(trial) || !usable(curve, trial) ||
            !(isnan(best) || page_better(page, trial->objective, best)))
            continue;
        unsigned x = chart_x(&curve->chart, across(curve, trial));
        unsigned y = chart_y(&curve->chart, trial->objective);
        buffer_format(page->out, isnan(best) ? "M%u %u" : "H%uV%u", x, y);
        best = trial->objective;
    }
    buffer_format(page->out, "%s\"/>", isnan(best) ? "" : "H2000");
}

static void label(const struct page *page, bool by_time, char out[400]) {
    const struct report_run *run = page->run;
    char best[32];
    if (page->best == NULL)
        snprintf(out, 400, "%s of each trial: no trial has succeeded yet", run->metric);
    else
        snprintf(out, 400, "%s of each trial and the best so far against %s: best %s, in trial %u of %zu",
                 run->metric, by_time ? "running time" : "trial number",
                 report_number(best, run->best_objective, 6), run->best_trial, page->trial_count);
}

static void draw(struct page *page, bool by_time) {
    struct curve curve = {.chart = {.page = page, .y = page->objective}, .by_time = by_time};
    const struct report_run *run = page->run;
    char words[400];
    if (by_time) {
        uint64_t end = run->elapsed_ns;
        for (size_t i = 0; i < page->trial_count; i++)
            if (page->trials[i]->end_ns > end)
                end = page->trials[i]->end_ns;
        axis_make_time(&curve.chart.x, end, 6);
    } else {
        axis_make(&curve.chart.x, page->trials[0]->number, page->trials[page->trial_count - 1]->number,
                  AXIS_LINEAR, 0.02, 8, true);
    }
    label(page, by_time, words);
    chart_begin(&curve.chart, by_time ? "time" : "curve", 0, 0, words);
    if (run->has_baseline && isfinite(run->baseline_objective))
        buffer_format(page->out, "<path class=\"baseline\" d=\"M0 %uH%d\"/>",
                      chart_y(&curve.chart, run->baseline_objective), CHART_SIZE);
    points(&curve, "failed", false, false);
    points(&curve, page->drawn_count > 500 ? "pt small" : "pt", true, false);
    steps(&curve);
    if (!by_time) /* by time the improvements are others: the step line shows them */
        points(&curve, "improved", true, true);
    if (page->best != NULL && usable(&curve, page->best)) {
        unsigned x = chart_x(&curve.chart, across(&curve, page->best));
        unsigned y = chart_y(&curve.chart, page->best->objective);
        buffer_format(page->out,
                      "<path class=\"halo\" d=\"M%u %uh0\"/><path class=\"bestpt\" d=\"M%u %uh0\"/>", x, y, x,
                      y);
    }
    chart_end(&curve.chart, NULL, by_time ? "running time" : "trial");
}

static void legend(struct page *page) {
    const struct report_run *run = page->run;
    buffer_text(page->out, "<ul class=\"legend\">");
    if (page->ok > 0)
        buffer_text(page->out, "<li><i class=\"k-pt\"></i>trial</li>"
                               "<li><i class=\"k-step\"></i>best so far</li>");
    if (page->best != NULL)
        buffer_text(page->out, "<li><i class=\"k-best\"></i>best</li>");
    if (run->has_baseline)
        buffer_text(page->out, "<li><i class=\"k-baseline\"></i>baseline</li>");
    if (page->failed > 0)
        buffer_text(page->out, "<li><i class=\"k-failed\"></i>failed</li>");
    buffer_text(page->out, "</ul>");
    if (page->beyond > 0)
        buffer_format(page->out, "<p class=\"hint\">%zu %s off the scale and drawn at its edge.</p>",
                      page->beyond, page->beyond == 1 ? "trial is" : "trials are");
    if (page->drawn_count < page->trial_count)
        buffer_format(page->out,
                      "<p class=\"hint\">%zu of %zu trials are drawn: every improvement, and others at "
                      "equal distances.</p>",
                      page->drawn_count, page->trial_count);
}

void page_curves(struct page *page) {
    bool timed = false;
    for (size_t i = 0; i < page->trial_count && !timed; i++)
        timed = is_ok(page->trials[i]) && page->trials[i]->end_ns > page->trials[i]->start_ns;
    buffer_text(page->out, "<section id=\"curve\" class=\"card\"><h2>");
    page_text(page, page->run->metric);
    buffer_text(page->out, ", best so far</h2>");
    if (page->trial_count == 0 || page->ok + page->failed == 0) {
        buffer_text(page->out, "<p class=\"empty\">Nothing to draw yet: no trial has ended.</p></section>\n");
        return;
    }
    if (timed)
        buffer_text(
            page->out,
            "<div class=\"switch\"><input type=\"radio\" name=\"by\" id=\"by-trial\" checked><label "
            "for=\"by-trial\">by trial</label><input type=\"radio\" name=\"by\" id=\"by-time\"><label "
            "for=\"by-time\">by time</label><div class=\"panes\">");
    buffer_text(page->out, "<div class=\"pane-trial\">");
    draw(page, false);
    buffer_text(page->out, "</div>");
    if (timed) {
        buffer_text(page->out, "<div class=\"pane-time\">");
        draw(page, true);
        buffer_text(page->out, "</div></div></div>");
    }
    legend(page);
    buffer_text(page->out, "</section>\n");
}
