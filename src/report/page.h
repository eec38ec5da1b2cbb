/* page: private to report/: what the files that write the HTML page share.
 *
 * The page is geometry in SVG stretched to its box (coordinates 0..CHART_SIZE both ways, strokes that do not
 * stretch) and text in HTML placed by percent, so that it is sharp and readable on a phone and on a wall. What
 * needs no script is in the HTML; the script (page.js) sorts, filters, and shows what is under the pointer,
 * from the JSON that page_data.c embeds. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "report/chart_axis.h"

#define CHART_SIZE 2000
#define PAGE_COLOURS 8 /* of stages and of the order of trials: classes s0.. and o0.. in page.css */
#define PAGE_ROWS_STATIC 25

struct page {
    const struct report_run *run;
    struct buffer *out;
    struct arena arena;
    enum troupe_error error;            /* the first one; the page is then worth nothing */
    const struct report_trial **trials; /* by number */
    size_t trial_count, ok, failed, cancelled, running;
    bool *improves; /* by position in trials: better than all before it */
    bool *drawn;    /* in charts: thinned to REPORT_POINTS_MAX */
    bool *listed;   /* in the table: thinned to REPORT_TRIALS_MAX and REPORT_CELLS_MAX */
    size_t drawn_count, listed_count;
    const struct report_trial *best, *baseline;
    struct axis objective, slice; /* the y axes: of the curve, with the baseline on it, and of the slices */
    size_t beyond, slice_beyond;  /* trials worse than they show: drawn at the edge */
};

/* page_text.c: all text from outside goes through these. NULL is "". */
void page_text(struct page *page, const char *text); /* for element content and quoted attributes */
/* Appends JSON made with base's writer, so that no '<' can end the script element it stands in. */
void page_json(struct page *page, const struct buffer *json);
void page_number(struct page *page, double value, unsigned digits);
void page_duration(struct page *page, uint64_t ns);
char *page_utc(char out[32], int64_t utc_ns); /* report_number.c: "2025-03-01 12:34 UTC" */
/* The value of a variable in a trial as text: "0.01", "svm"; "" when inactive. */
void page_value(struct page *page, const struct report_variable *variable, double value);
bool page_active(const struct page *page, const struct report_trial *trial, unsigned variable);

/* page_trials.c */
MUST_CHECK enum troupe_error page_trials_init(struct page *page); /* sorts, counts, thins, scales */
void page_trials(struct page *page);                              /* the table */
bool page_better(const struct page *page, double left, double right);

/* chart.c, page_slices.c */
void page_curves(struct page *page);
void page_slices(struct page *page);
struct chart { /* one plot being written */
    struct page *page;
    struct axis x, y;
};
/* `what`: "curve", "time", "slice": tells the script what x is, and `spread` how far equal values are. The label says in words what is to be seen. */
void chart_begin(struct chart *chart, const char *what, unsigned variable, double spread, const char *label);
/* Ticks, or the names of a choice; x_title NULL: none. */
void chart_end(struct chart *chart, const struct report_variable *choice, const char *x_title);
unsigned chart_x(const struct chart *chart, double value); /* clamped, 0..CHART_SIZE */
unsigned chart_y(const struct chart *chart, double value);
unsigned chart_order_colour(const struct page *page, const struct report_trial *trial);

/* association.c: how much of the objective's rank variance a variable explains by itself, 0..1; NaN: too few
 * trials to say. */
double page_association(struct page *page, unsigned variable);

/* page_time.c, page_lanes.c */
void page_time(struct page *page);
void page_lanes(struct page *page);

/* page_data.c: the JSON for the script */
void page_data(struct page *page);

#endif
