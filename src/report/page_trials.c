/* page_trials: the trials of the page: put in order, counted, thinned to what a page can hold, and listed.
 * Thinning keeps the best, the first, and every trial that was better than all before it as long as those are
 * at most half of the places; the others are kept at equal distances. */
#include "report/page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {"waiting", "running", "ok", "failed", "cancelled"};

bool page_better(const struct page *page, double left, double right) {
    return page->run->maximise ? left > right : left < right;
}

static bool is_ok(const struct report_trial *trial) {
    return trial->state == REPORT_TRIAL_OK && isfinite(trial->objective);
}

static int by_number(const void *a, const void *b) {
    const struct report_trial *left = *(const struct report_trial *const *)a;
    const struct report_trial *right = *(const struct report_trial *const *)b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void count(struct page *page) {
    double best = NAN;
    for (size_t i = 0; i < page->trial_count; i++) {
        const struct report_trial *trial = page->trials[i];
        if (page->run->has_best && trial->number == page->run->best_trial)
            page->best = trial;
        if (page->run->has_baseline && trial->number == page->run->baseline_trial)
            page->baseline = trial;
        if (is_ok(trial) && (isnan(best) || page_better(page, trial->objective, best))) {
            best = trial->objective;
            page->improves[i] = true;
        }
        page->ok += trial->state == REPORT_TRIAL_OK;
        page->failed += trial->state == REPORT_TRIAL_FAILED;
        page->cancelled += trial->state == REPORT_TRIAL_CANCELLED;
        page->running += trial->state == REPORT_TRIAL_RUNNING || trial->state == REPORT_TRIAL_WAITING;
    }
}

static size_t thin(const struct page *page, size_t max, bool *keep) {
    size_t must = 0, kept = 0;
    for (size_t i = 0; i < page->trial_count; i++)
        must += page->improves[i];
    bool improvements = must * 2 <= max;
    size_t places = improvements ? max - must : max;
    size_t stride = page->trial_count > max ? (page->trial_count + places - 3) / (places - 2) : 1;
    for (size_t i = 0; i < page->trial_count; i++) {
        keep[i] = i % stride == 0 || page->trials[i] == page->best || (improvements && page->improves[i]);
        kept += keep[i];
    }
    return kept;
}

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Sorted objectives to an axis. It shows all trials unless a few bad ones are so far off that nothing could be told
 * apart among the others: then it ends three interquartile ranges past the median on the bad side. `with`: a value
 * to be shown in any case, or NaN. Returns how many trials it does not show. */
static size_t scale_axis(const struct page *page, const double *values, size_t n, double with,
                         struct axis *axis) {
    double low = values[0], high = values[n - 1], median = values[n / 2],
           spread = values[n * 3 / 4] - values[n / 4];
    bool ratio = low > 0 && values[n * 9 / 10] / values[n / 10] > 30;
    size_t beyond = 0;
    if (!ratio && n >= 8 && spread > 0) {
        if (page->run->maximise)
            low = fmax(low, fmin(median - 3 * spread, values[n / 10]));
        else
            high = fmin(high, fmax(median + 3 * spread, values[n - 1 - n / 10]));
    }
    if (isfinite(with)) {
        low = fmin(low, with);
        high = fmax(high, with);
    }
    for (size_t i = 0; i < n; i++)
        beyond += values[i] < low || values[i] > high;
    axis_make(axis, low, high, ratio ? AXIS_LOG : AXIS_LINEAR, 0.06, 7, false);
    return beyond;
}

static enum troupe_error scale(struct page *page) {
    size_t n = 0;
    double *values = ARENA_ARRAY(&page->arena, double, page->trial_count + 1);
    if (values == NULL)
        return TROUPE_NOMEM;
    for (size_t i = 0; i < page->trial_count; i++)
        if (is_ok(page->trials[i]))
            values[n++] = page->trials[i]->objective;
    if (n == 0) {
        axis_make(&page->objective, 0, 1, AXIS_LINEAR, 0, 5, false);
        page->objective.tick_count = 0; /* nothing was measured: no numbers */
        page->slice = page->objective;
        return TROUPE_OK;
    }
    qsort(values, n, sizeof *values, by_value);
    double baseline = page->run->has_baseline ? page->run->baseline_objective : NAN;
    page->beyond = scale_axis(page, values, n, baseline, &page->objective);
    page->slice_beyond = scale_axis(page, values, n, NAN, &page->slice);
    return TROUPE_OK;
}

enum troupe_error page_trials_init(struct page *page) {
    const struct report_run *run = page->run;
    size_t places = run->trial_count + 1;
    page->trial_count = run->trial_count;
    page->trials = ARENA_ARRAY(&page->arena, const struct report_trial *, places);
    page->improves = ARENA_ARRAY(&page->arena, bool, places);
    page->drawn = ARENA_ARRAY(&page->arena, bool, places);
    page->listed = ARENA_ARRAY(&page->arena, bool, places);
    if (page->trials == NULL || page->improves == NULL || page->drawn == NULL || page->listed == NULL)
        return TROUPE_NOMEM;
    for (size_t i = 0; i < run->trial_count; i++)
        page->trials[i] = &run->trials[i];
    qsort(page->trials, page->trial_count, sizeof *page->trials, by_number);
    count(page);
    size_t rows = REPORT_CELLS_MAX / (run->variable_count + 6);
    page->drawn_count = thin(page, REPORT_POINTS_MAX, page->drawn);
    page->listed_count = thin(page, rows < REPORT_TRIALS_MAX ? rows : REPORT_TRIALS_MAX, page->listed);
    return scale(page);
}

/* ---- the table ---- */

static void head(struct page *page) {
    const struct report_run *run = page->run;
    static const char *const columns[] = {"trial", "state", NULL, "time"};
    buffer_text(page->out, "<thead><tr>");
    for (unsigned i = 0; i < ARRAY_COUNT(columns); i++) {
        buffer_format(page->out, "<th scope=\"col\"%s>", i == 1 ? " class=\"left\"" : "");
        page_text(page, columns[i] != NULL ? columns[i] : run->metric);
        buffer_text(page->out, "</th>");
    }
    for (unsigned i = 0; i < run->variable_count; i++) {
        buffer_format(page->out, "<th scope=\"col\"%s>",
                      run->variables[i].kind == REPORT_CHOICE ? " class=\"left\"" : "");
        page_text(page, run->variables[i].name);
        buffer_text(page->out, "</th>");
    }
    buffer_text(page->out, "<th scope=\"col\" class=\"left\">note</th></tr></thead>");
}

static void row(struct page *page, const struct report_trial *trial) {
    const struct report_run *run = page->run;
    const char *state = (unsigned)trial->state < ARRAY_COUNT(state_names) ? state_names[trial->state] : "?";
    buffer_format(page->out,
                  "<tr%s><td>%u</td><td class=\"left\"><span class=\"state %s\">%s</span></td><td>",
                  trial == page->best ? " class=\"best\"" : "", trial->number, state, state);
    if (is_ok(trial))
        page_number(page, trial->objective, 6);
    buffer_text(page->out, "</td><td>");
    if (trial->end_ns > trial->start_ns)
        page_duration(page, trial->end_ns - trial->start_ns);
    for (unsigned i = 0; i < run->variable_count; i++) {
        buffer_text(page->out,
                    run->variables[i].kind == REPORT_CHOICE ? "</td><td class=\"left\">" : "</td><td>");
        if (page_active(page, trial, i))
            page_value(page, &run->variables[i], trial->values[i]);
    }
    buffer_text(page->out, "</td><td class=\"left note\">");
    page_text(page, trial->message);
    buffer_text(page->out, "</td></tr>\n");
}

/* Better ones first, then the failed, then what is under way; by number where equal. */
struct ranked {
    const struct report_trial *trial;
    bool maximise;
};

static int by_rank(const void *a, const void *b) {
    const struct ranked *left = a, *right = b;
    bool left_ok = is_ok(left->trial), right_ok = is_ok(right->trial);
    if (left_ok != right_ok)
        return left_ok ? -1 : 1;
    if (left_ok && left->trial->objective != right->trial->objective)
        return (left->trial->objective > right->trial->objective) == left->maximise ? -1 : 1;
    return left->trial->number < right->trial->number ? -1 : 1;
}

static void first_rows(struct page *page) {
    struct ranked *ranked = ARENA_ARRAY(&page->arena, struct ranked, page->listed_count + 1);
    size_t n = 0;
    if (ranked == NULL) {
        page->error = TROUPE_NOMEM;
        return;
    }
    for (size_t i = 0; i < page->trial_count; i++)
        if (page->listed[i])
            ranked[n++] = (struct ranked){page->trials[i], page->run->maximise};
    qsort(ranked, n, sizeof *ranked, by_rank);
    for (size_t i = 0; i < n && i < PAGE_ROWS_STATIC; i++)
        row(page, ranked[i].trial);
}

void page_trials(struct page *page) {
    buffer_text(page->out, "<section id=\"trials\"><h2>Trials</h2>");
    if (page->trial_count == 0) {
        buffer_text(page->out, "<p class=\"empty\">No trial has been asked for yet.</p></section>\n");
        return;
    }
    buffer_format(
        page->out,
        "<div class=\"tools\" hidden><label>Show <select id=\"filter\"><option value=\"\">all %zu"
        "</option><option value=\"ok\">ok (%zu)</option><option value=\"failed\">failed (%zu)</option>",
        page->trial_count, page->ok, page->failed);
    if (page->cancelled + page->running > 0)
        buffer_format(page->out, "<option value=\"other\">unfinished (%zu)</option>",
                      page->cancelled + page->running);
    buffer_text(page->out,
                "</select></label><label>Find <input id=\"find\" type=\"search\" placeholder=\"number, value "
                "or message\" autocomplete=\"off\"></label><span id=\"shown\" role=\"status\"></span></div>");
    buffer_text(page->out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of "
                           "trials\"><table id=\"table\">");
    head(page);
    buffer_text(page->out, "<tbody>");
    first_rows(page);
    buffer_text(page->out, "</tbody></table></div><div id=\"pages\" class=\"tools\" hidden></div>");
    if (page->listed_count < page->trial_count)
        buffer_format(page->out,
                      "<p class=\"hint\">%zu of %zu trials are listed: the best, every improvement, and "
                      "others at equal distances. <code>troupe show --json</code> has all of them.</p>",
                      page->listed_count, page->trial_count);
    buffer_text(page->out, "</section>\n");
}
