/* page_slices: the objective against each variable, coloured by the order of the trials. Numbers on a linear or
 * logarithmic axis as the variable is searched, choices as columns in which the points are spread a little, by
 * a hash of the trial's number, so that they can be told apart (page.js knows the same hash). Variables that
 * explain most come first. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct slice {
    unsigned variable;
    double association;
};

static int by_association(const void *a, const void *b) {
    const struct slice *left = a, *right = b;
    double l = isnan(left->association) ? -1 : left->association;
    double r = isnan(right->association) ? -1 : right->association;
    if (l != r)
        return l > r ? -1 : 1;
    return left->variable < right->variable ? -1 : 1;
}

/* -0.5 .. 0.5 by trial number; 32 bits, so that page.js computes the same */
static double jitter(unsigned number) {
    uint32_t h = number * 2654435761u;
    h ^= h >> 15;
    return (double)(h % 1024) / 1023 - 0.5;
}

/* How far points of equal value are spread, in the variable's units. */
static double spread(const struct report_variable *variable) {
    if (variable->kind == REPORT_CHOICE)
        return 0.5;
    return variable->kind == REPORT_INT && !variable->log && variable->high - variable->low <= 20 ? 0.3 : 0;
}

static double across(const struct report_variable *variable, const struct report_trial *trial, double value) {
    return value + spread(variable) * jitter(trial->number);
}

static void make_axis(struct page *page, unsigned index, struct axis *axis) {
    const struct report_variable *variable = &page->run->variables[index];
    double low = variable->low, high = variable->high;
    if (variable->kind == REPORT_CHOICE) {
        axis_make(axis, -0.5, variable->choice_count > 0 ? variable->choice_count - 0.5 : 0.5, AXIS_LINEAR, 0,
                  2, true);
        axis->tick_count = 0; /* labels are names */
        return;
    }
    if (!isfinite(low) || !isfinite(high) || low > high) { /* no bounds given: those of the trials */
        low = INFINITY;
        high = -INFINITY;
        for (size_t i = 0; i < page->trial_count; i++)
            if (page_active(page, page->trials[i], index)) {
                low = fmin(low, page->trials[i]->values[index]);
                high = fmax(high, page->trials[i]->values[index]);
            }
    }
    axis_make(axis, low, high, variable->log ? AXIS_LOG : AXIS_LINEAR, 0.04, 5, variable->kind == REPORT_INT);
}

static void points_of(struct chart *chart, unsigned variable, unsigned colour) {
    struct page *page = chart->page;
    bool any = false;
    for (size_t i = 0; i < page->trial_count; i++) {
        const struct report_trial *trial = page->trials[i];
        bool ok = trial->state == REPORT_TRIAL_OK && isfinite(trial->objective);
        bool failed = trial->state == REPORT_TRIAL_FAILED;
        if (!page->drawn[i] || !page_active(page, trial, variable) ||
            (colour == PAGE_COLOURS ? !failed : !ok || chart_order_colour(page, trial) != colour))
            continue;
        if (!any && colour == PAGE_COLOURS)
            buffer_text(page->out, "<path class=\"failed\" d=\"");
        else if (!any)
            buffer_format(page->out, "<path class=\"pt%s o%u\" d=\"", page->drawn_count > 500 ? " small" : "",
                          colour);
        any = true;
        unsigned x = chart_x(chart, across(&page->run->variables[variable], trial, trial->values[variable]));
        if (colour == PAGE_COLOURS)
            buffer_format(page->out, "M%u %dv-80", x, CHART_SIZE);
        else
            buffer_format(page->out, "M%u %uh0", x, chart_y(chart, trial->objective));
    }
    if (any)
        buffer_text(page->out, "\"/>");
}

static void caption(struct page *page, const struct slice *slice) {
    const struct report_variable *variable = &page->run->variables[slice->variable];
    size_t active = 0;
    for (size_t i = 0; i < page->trial_count; i++)
        active += page_active(page, page->trials[i], slice->variable);
    buffer_text(page->out, "<figcaption><b>");
    page_text(page, variable->name);
    buffer_text(page->out, "</b>");
    if (variable->kind != REPORT_CHOICE && variable->log)
        buffer_text(page->out, " <span class=\"tag\">log</span>");
    buffer_text(page->out, "<span class=\"right\">");
    if (active < page->trial_count)
        buffer_format(page->out, "in %zu of %zu trials", active, page->trial_count);
    if (active < page->trial_count && !isnan(slice->association))
        buffer_text(page->out, ", ");
    if (!isnan(slice->association))
        buffer_format(page->out, "explains %.0f&#8201;%%", slice->association * 100);
    buffer_text(page->out, "</span></figcaption>");
}

static void draw(struct page *page, const struct slice *slice) {
    const struct report_variable *variable = &page->run->variables[slice->variable];
    struct chart chart = {.page = page, .y = page->slice};
    char words[400];
    make_axis(page, slice->variable, &chart.x);
    buffer_text(page->out, "<figure class=\"card slice\">");
    caption(page, slice);
    snprintf(words, sizeof words, "%s against %s", page->run->metric, variable->name);
    chart_begin(&chart, "slice", slice->variable, spread(variable), words);
    points_of(&chart, slice->variable, PAGE_COLOURS); /* failed, below the others */
    for (unsigned colour = 0; colour < PAGE_COLOURS; colour++)
        points_of(&chart, slice->variable, colour);
    if (page->best != NULL && page_active(page, page->best, slice->variable)) {
        unsigned y = chart_y(&chart, page->best->objective);
        unsigned x = chart_x(&chart, across(variable, page->best, page->best->values[slice->variable]));
        buffer_format(page->out,
                      "<path class=\"halo\" d=\"M%u %uh0\"/><path class=\"bestpt\" d=\"M%u %uh0\"/>", x, y, x,
                      y);
    }
    chart_end(&chart, variable->kind == REPORT_CHOICE ? variable : NULL, NULL);
    buffer_text(page->out, "</figure>\n");
}

void page_slices(struct page *page) {
    unsigned count = page->run->variable_count;
    if (count == 0 || page->ok == 0)
        return;
    struct slice *slices = ARENA_ARRAY(&page->arena, struct slice, count);
    if (slices == NULL) {
        page->error = TROUPE_NOMEM;
        return;
    }
    for (unsigned i = 0; i < count; i++)
        slices[i] = (struct slice){i, page_association(page, i)};
    qsort(slices, count, sizeof *slices, by_association);
    buffer_text(page->out, "<section id=\"slices\"><h2>What each variable does</h2><p class=\"hint\">");
    page_text(page, page->run->metric);
    buffer_text(page->out,
                " against each variable; colour is the order of the trials, <i class=\"k-order\"></i> "
                "first to last; the best is ringed.");
    if (!isnan(slices[0].association))
        buffer_text(page->out,
                    " <q>Explains</q> is the share of the variation in rank that the variable accounts "
                    "for by itself: a hint, since a search looks longest where it is good.");
    if (page->slice_beyond > 0)
        buffer_format(page->out, " %zu %s off the scale and drawn at its edge.", page->slice_beyond,
                      page->slice_beyond == 1 ? "trial is" : "trials are");
    buffer_text(page->out, "</p><div class=\"grid\">");
    for (unsigned i = 0; i < count && i < REPORT_SLICES_MAX; i++)
        draw(page, &slices[i]);
    buffer_text(page->out, "</div>");
    if (count > REPORT_SLICES_MAX)
        buffer_format(page->out, "<p class=\"hint\">The %d of %u variables that explain most are shown.</p>",
                      REPORT_SLICES_MAX, count);
    buffer_text(page->out, "</section>\n");
}
