/* report: plain values in, text for people out: tables for a terminal, one self-contained HTML page per run.
 *
 * Job:     says what a run found and where its time went. It knows nothing of stores, engines or traces: the
 *          caller (pipeline, serve, analyze, cli) fills the structs below from wherever it has the values.
 * Threads: none of its own; a call reads its arguments and appends to the caller's buffer.
 * Memory:  everything handed in is the caller's and is only read; scratch is on the buffer's account and gone
 *          on return. The page is bounded however large the run: see the REPORT_*_MAX below.
 * Failure: NOMEM, or LIMIT when the buffer's bound is passed. Wrong values (NaN, an index out of range, a
 * time that runs backwards) are shown as absent, never an error: a page about a broken run matters most.
 * Safety:  every text may come from a user or a worker; all of it is escaped for the place it is put in. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/base.h"

/* Bounds of a page. What does not fit is thinned (never the best, the improvements or the first) or counted.
 */
#define REPORT_TRIALS_MAX 20000   /* in the table */
#define REPORT_CELLS_MAX 400000   /* values of trials in the table */
#define REPORT_POINTS_MAX 2000    /* drawn in one chart */
#define REPORT_SLICES_MAX 48      /* variables with a chart of their own */
#define REPORT_LANES_MAX 64       /* agents with a lane */
#define REPORT_BARS_MAX 6000      /* executions drawn on all lanes */
#define REPORT_EVENTS_MAX 200     /* the newest */
#define REPORT_UNKNOWN UINT32_MAX /* index of nothing */

enum report_variable_kind { REPORT_FLOAT, REPORT_INT, REPORT_CHOICE };
struct report_variable {
    const char *name;
    enum report_variable_kind kind;
    bool log;
    double low, high;           /* FLOAT, INT */
    unsigned choice_count;      /* CHOICE */
    const char *const *choices; /* their texts */
};

enum report_trial_state {
    REPORT_TRIAL_WAITING,
    REPORT_TRIAL_RUNNING,
    REPORT_TRIAL_OK,
    REPORT_TRIAL_FAILED,
    REPORT_TRIAL_CANCELLED
};
struct report_trial {
    unsigned number;
    enum report_trial_state state;
    double objective;          /* OK only */
    uint64_t start_ns, end_ns; /* of the run's running time; equal: not known */
    const double *values;      /* one per variable: FLOAT, INT as they are, CHOICE its index, NaN: inactive */
    const char *message;       /* why it failed; NULL: nothing to say */
};

struct report_execution {         /* one attempt of one stage on one agent */
    uint32_t trial, stage, agent; /* indices into stages and agents; REPORT_UNKNOWN is fine */
    uint16_t attempt;
    bool failed;
    uint64_t started_ns, ended_ns; /* of the run's running time */
};
struct report_agent { /* one instance; its three times add to the run's wall time */
    const char *name;
    uint64_t executing_ns, waiting_ns, idle_ns;
    uint64_t tasks;
};
struct report_share { /* of the trials' time; percents add to 100.0 */
    const char *name;
    bool stage; /* work the user asked for; otherwise what it took to get there */
    double ms, percent;
};
struct report_event {
    uint64_t at_ns; /* of the run's running time; UINT64_MAX: not known */
    const char *text;
};
struct report_finding { /* what analyze has to say, most important first */
    const char *title, *text;
};
struct report_lever {                      /* a change, and what a simulation expects of it */
    const char *change, *effect, *command; /* command: that looks closer; NULL */
    bool assumed;                          /* nothing that a definition could say */
};
struct report_fact { /* a line of provenance: "sampler", "tpe" */
    const char *name, *value;
};

struct report_run {
    const char *id, *name, *directory, *version; /* version of Troupe */
    const char *state;                           /* "finished", "deadline", "stopped", "failed", "running" */
    const char *error;                           /* why it failed; NULL */
    const char *metric;
    bool maximise;
    int64_t started_utc_ns; /* 0: not known */
    uint64_t elapsed_ns;    /* running time over resumes: the right end of every time axis */

    const struct report_variable *variables;
    unsigned variable_count;
    const struct report_trial *trials; /* any order; numbers need not be dense */
    size_t trial_count;

    bool has_best, has_baseline, has_best_test, has_baseline_test;
    unsigned best_trial, baseline_trial;
    double best_objective, baseline_objective;
    double best_test, baseline_test; /* on data the search never saw */

    const char *const *stages;
    unsigned stage_count;
    const struct report_share *shares;
    unsigned share_count;
    const struct report_agent *agents;
    unsigned agent_count;
    const struct report_execution *executions;
    size_t execution_count;
    const struct report_event *events; /* oldest first */
    size_t event_count;
    const struct report_finding *findings;
    size_t finding_count;
    const struct report_lever *levers; /* most useful first */
    size_t lever_count;
    const struct report_fact *facts;
    size_t fact_count;
    const char *command;   /* that starts this run again; NULL */
    const char *reproduce; /* command that evaluates the best configuration again; NULL */
};

/* The page: inline CSS and script, no network, light and dark, readable without script. Appended to `out`,
 * whose own limit should be at least 16 MiB. */
MUST_CHECK enum troupe_error report_html(const struct report_run *run, struct buffer *out);

/* Percents of `parts`, in tenths, that add to 100.0 (largest remainder); all 0 when the parts are. */
void report_percent(const uint64_t *parts, unsigned count, double *ret_percent);
/* "0.9712", "1.2e-05": at most `digits` significant ones, no trailing zeros. Returns out. */
char *report_number(char out[32], double value, unsigned digits);

/* ---- a table for a terminal ----
 * Columns are as wide as their widest cell (in characters, not bytes); control characters become spaces, so
 * that no text of a user moves the cursor. */
#define REPORT_COLUMNS_MAX 32
struct report_table {
    struct buffer cells; /* texts, each ended by NUL */
    size_t cell_count;
    unsigned column_count;
    bool right[REPORT_COLUMNS_MAX];
    unsigned width[REPORT_COLUMNS_MAX];
    unsigned width_max; /* of one cell; longer ones end in an ellipsis; 0: 60 */
};
/* `columns`: titles by '|', those of right-aligned columns begin with '>': "trial|>objective|state". */
void report_table_init(struct report_table *table, struct account *account, const char *columns);
void report_table_cell(struct report_table *table, const char *text); /* row by row, left to right */
void report_table_format(struct report_table *table, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends the table, each line after `indent` spaces, and frees it. */
MUST_CHECK enum troupe_error report_table_end(struct report_table *table, unsigned indent,
                                              struct buffer *out);
/* Appends "#########....." : `part` of `whole` in `width` characters. */
void report_bar(struct buffer *out, double part, double whole, unsigned width);

#endif
