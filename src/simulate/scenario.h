/* scenario: a system described in a file (doc/scenario.md), and what requests meet in it. Part of simulate's door.
 *
 * Job:     a scenario says how requests arrive and which stages they pass: times drawn from distributions, stations
 *          with servers and queues, teams that are held. Sources, stations, teams and requests are actors of the
 *          runtime; scenario_simulate runs them in virtual time, scenario_measure the same actors on real threads
 *          and timers, in real time divided by `scale`.
 * Threads: any one at a time; measuring starts its own.
 * Memory:  a scenario owns an arena and its document; results are plain values but for lists, which scenario_result_free
 *          frees.
 * Failure: INVALID with file:line:column; LIMIT when the load is past what can be held; NOMEM.
 * The same scenario and seed give the same simulated figures and signature, bit for bit. What is drawn for a request
 * depends on the seed, its number and the stage alone, so two variants of a scenario see the same luck. */
#ifndef SIMULATE_SCENARIO_H
#define SIMULATE_SCENARIO_H

#include "document/document.h"
#include "env/env.h"

#define SCENARIO_STAGES_MAX 64
#define SCENARIO_STATIONS_MAX 32
#define SCENARIO_TEAMS_MAX 16
#define SCENARIO_OVERLAYS_MAX 64
#define SCENARIO_ROWS_MAX 64
#define SCENARIO_REPLICATIONS_MAX 1000

enum scenario_figure { /* scenario_figure_table tells name and unit */
                       SCENARIO_MEAN,
                       SCENARIO_P50,
                       SCENARIO_P95,
                       SCENARIO_P99,
                       SCENARIO_ERRORS,     /* percent */
                       SCENARIO_THROUGHPUT, /* requests a second */
                       SCENARIO_CAPACITY,   /* requests a second; infinite: nothing is counted */
                       SCENARIO_FIGURE_COUNT
};
enum scenario_unit { SCENARIO_TIME_NS, SCENARIO_PERCENT, SCENARIO_RATE };
extern const struct scenario_figure_row {
    const char *name;
    enum scenario_unit unit;
} scenario_figure_table[SCENARIO_FIGURE_COUNT];

/* ---- the definition ---- */
struct scenario;
struct scenario_change { /* what is laid over the file, in this order */
    const char *const *overlays;
    size_t overlay_count;
    const char *const *sets; /* PATH=VALUE */
    size_t set_count;
};
MUST_CHECK enum troupe_error scenario_parse(struct account *account, const char *text, size_t length,
                                            const char *source, const struct scenario_change *change,
                                            struct scenario **ret_scenario, struct fault *fault);
MUST_CHECK enum troupe_error scenario_load(struct env *env, struct account *account, const char *path,
                                           const struct scenario_change *change,
                                           struct scenario **ret_scenario, struct fault *fault);
void scenario_free(struct scenario *scenario); /* NULL is fine */
const char *scenario_name(const struct scenario *scenario);
const char *scenario_about(const struct scenario *scenario); /* a line; may be empty */

enum scenario_origin { SCENARIO_GIVEN, SCENARIO_ASSUMED, SCENARIO_CHANGED /* by an overlay or --set */ };
struct scenario_parameter {
    const char *path, *text; /* "stations.registry.waiting", "0.04" */
    enum scenario_origin origin;
};
const struct scenario_parameter *scenario_parameters(const struct scenario *scenario, size_t *ret_count);

struct scenario_overlay {
    const char *name, *set /* "" when it changes nothing */, *note;
};
const struct scenario_overlay *scenario_overlays(const struct scenario *scenario, size_t *ret_count);

struct scenario_expectation {
    bool given, change; /* change: percent against the scenario without overlays */
    double low, high;   /* in the figure's unit; equal for one number */
};
struct scenario_row { /* of `expect:` */
    const char *name, *note;
    const char *overlays[SCENARIO_OVERLAYS_MAX];
    size_t overlay_count;
    double within, points; /* tolerances: percent; percentage points of errors and changes */
    struct scenario_expectation figures[SCENARIO_FIGURE_COUNT], changes[SCENARIO_FIGURE_COUNT];
};
const struct scenario_row *scenario_rows(const struct scenario *scenario, size_t *ret_count);

/* ---- what comes out ---- */
struct scenario_estimate { /* the mean over replications, and its 90 % confidence interval */
    double value, low, high;
};
struct scenario_place { /* a station, a team, the cores, or a stage of its own */
    enum scenario_place_kind { SCENARIO_STAGE, SCENARIO_STATION, SCENARIO_TEAM, SCENARIO_CORES } kind;
    const char *name;
    double utilisation;         /* 0..1 of its servers; NaN: it has as many as it needs */
    double service_ns, wait_ns; /* means a visit; the wait is in the queue and for pauses to end */
    double visits;              /* a request */
    double capacity;            /* requests a second; infinite: it does not limit */
};
struct scenario_result {
    struct scenario_estimate figures[SCENARIO_FIGURE_COUNT];
    struct scenario_place *places;
    unsigned place_count;
    int limit;                           /* the place with the least capacity; -1: none */
    uint64_t requests, errors, rejected; /* of all replications */
    unsigned replications;
    double span_ns;                  /* simulated, or measured and scaled, a replication */
    double late_p50_ns, late_p99_ns; /* measured: how late waits ended, in the machine's own time */
    uint64_t signature, events;
    struct account *account;
};
struct scenario_request {
    const struct scenario *scenario;
    uint64_t seed;
    unsigned replications;
    uint64_t until_ns; /* no arrival after this; 0: the scenario's own end */
    bool medians;      /* figures are medians over the replications, low and high their least and greatest */
};
MUST_CHECK enum troupe_error scenario_simulate(const struct scenario_request *request,
                                               struct account *account, struct scenario_result *ret,
                                               struct fault *fault);
/* On `env`, an env of the operating system whose workers are not running. The figures are medians. */
MUST_CHECK enum troupe_error scenario_measure(const struct scenario_request *request, struct env *env,
                                              double scale, struct account *account,
                                              struct scenario_result *ret, struct fault *fault);
void scenario_result_free(struct scenario_result *result);

/* ---- against what is expected ---- */
struct scenario_verdict {
    bool checked, change, good;
    double expected_low, expected_high, ours, difference, tolerance;
    /* difference and tolerance: percent, or points for errors and changes */
};
/* `base`: the result without overlays, for changes; may be NULL when the row has none. */
void scenario_compare(const struct scenario_row *row, enum scenario_figure figure, bool change,
                      const struct scenario_result *result, const struct scenario_result *base,
                      struct scenario_verdict *ret);

#endif
