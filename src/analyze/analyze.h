/* analyze: why a run took the time it took: critical paths, waits and their causes, agents, queues, ranked
 * bottlenecks; and spans of a trace file.
 *
 * Job:     plain records of what happened in (times of trials and of their stages' attempts), an account of
 *          every nanosecond out. Its identities are checked and a broken one is reported by name, never
 * hidden: the pieces of a trial's critical path add to its wall time; agents x wall = executing + waiting +
 *          idle; length of a queue = arrival rate x mean wait (Little's law).
 * Threads: none of its own. It reads records, never a store, a clock or a running system.
 * Memory:  an analysis owns one arena on the caller's account; it borrows the record's texts, so the record's
 *          texts must outlive it.
 * Failure: NOMEM; INVALID when a record contradicts itself so that nothing can be said (an index out of
 * range). Times that run backwards are clamped and reported as `problems`. */
#ifndef ANALYZE_ANALYZE_H
#define ANALYZE_ANALYZE_H

#include "report/report.h"
#include "trace/trace.h"

#define ANALYZE_STAGES_MAX 32
#define ANALYZE_UNKNOWN UINT32_MAX

/* ---- the record ---- all times in ns of the run's running time (its start is 0). */
struct analyze_stage {
    const char *name;
    uint32_t needs; /* bits of stages that must be done before */
};
enum analyze_outcome { ANALYZE_OK, ANALYZE_FAILED, ANALYZE_CANCELLED };
struct analyze_execution { /* one attempt of one stage of one trial */
    uint32_t trial;        /* its number */
    uint16_t stage, attempt;
    enum analyze_outcome outcome;
    bool reused;    /* taken from another trial's execution: only ready and done mean anything */
    uint32_t agent; /* index into agents; ANALYZE_UNKNOWN */
    uint64_t ready, assigned, accepted, started, ended, done; /* ascending; equal where nothing happened */
    uint64_t cpu_ns;                                          /* 0: not known */
};
struct analyze_trial {
    uint32_t number;
    enum analyze_outcome outcome;
    uint64_t created, told, ended; /* asked for; objective known; durable. ended == told: not recorded */
    bool settled; /* false: still under way, left out of every sum; its times are not looked at */
};
struct analyze_record {
    const struct analyze_stage *stages;
    unsigned stage_count;
    unsigned objective_stage;
    const char *const *agents; /* one name per instance */
    unsigned agent_count;
    const struct analyze_stay { /* of an agent that was not here all the time; of the others none */
        uint32_t agent;
        uint64_t from, to;
    } * stays; /* an agent's in order */
    size_t stay_count;
    const struct analyze_trial *trials;
    size_t trial_count;
    const struct analyze_execution *executions; /* any order */
    size_t execution_count;
    uint64_t wall_ns; /* the run's running time; 0: until the last time of the record */
    double cores;     /* of the machine; 0: not known */
};

/* ---- the analysis ---- */
enum analyze_cause {
    ANALYZE_STORE,        /* asked -> durable, told -> durable */
    ANALYZE_COORDINATION, /* ready -> accepted by an agent */
    ANALYZE_AGENT_WAIT,   /* in an agent's queue: accepted -> started */
    ANALYZE_STAGE,        /* executing */
    ANALYZE_RETRY,        /* executing an attempt that failed */
    ANALYZE_TRANSFER,     /* answer read -> result kept */
    ANALYZE_REUSE_WAIT,   /* another trial was computing the same result */
    ANALYZE_UNACCOUNTED,  /* between two records that should touch */
    ANALYZE_CAUSE_COUNT
};
const char *analyze_cause_name(enum analyze_cause cause);

struct analyze_piece { /* of a critical path; pieces touch */
    enum analyze_cause cause;
    uint16_t stage, attempt; /* stage: stage_count for the trial itself */
    uint32_t agent;
    uint64_t from, to;
};
struct analyze_path { /* of one settled trial */
    uint32_t trial;
    enum analyze_outcome outcome;
    uint64_t from, to;
    const struct analyze_piece *pieces;
    unsigned piece_count;
    int64_t error_ns; /* wall minus the sum of the pieces */
};
/* Where the trials' time went: one row per stage, one per other cause, largest first. */
struct analyze_rank {
    enum analyze_cause cause;
    unsigned stage; /* ANALYZE_STAGE, ANALYZE_RETRY; stage_count otherwise */
    char name[96];
    uint64_t total_ns, pieces, p50_ns, p95_ns, max_ns;
    double percent; /* of the trials' wall time; tenths; add to 100.0 */
};
struct analyze_agent_time { /* executing + waiting + idle = the time that it was here */
    const char *name;
    uint64_t executing_ns, waiting_ns, idle_ns;
    uint64_t tasks, failed, longest_ns;
};
struct analyze_queue { /* one per stage and wait: L = lambda W */
    char name[96];
    uint64_t count;
    double length_mean;         /* by sweeping over arrivals and departures */
    double arrivals_per_second; /* count / window */
    double wait_mean_s;
    double little_error; /* |L - lambda W| / max(L, tiny): beyond 0.001 is a problem */
    uint64_t length_max;
};
struct analyze_slow { /* the slowest trials and what made them so */
    const struct analyze_path *path;
    char why[200];
};
struct analyze_bottleneck {
    double gain_ns_max; /* wall time that could at most be saved; 0: not a matter of time */
    char title[96], text[400];
};
struct analysis {
    struct arena arena;
    const struct analyze_record *record;
    uint64_t wall_ns, active_from, active_to; /* first trial created, last one ended */
    size_t trials, ok, failed, cancelled, unsettled;
    uint64_t trial_wall_ns;           /* sum over the trials: what the ranks add to */
    const struct analyze_path *paths; /* by number */
    size_t path_count;
    const struct analyze_rank *ranks;
    unsigned rank_count;
    const struct analyze_agent_time *agents;
    unsigned agent_count;
    uint64_t executing_ns, waiting_ns, idle_ns; /* over all agents */
    double agents_mean;                         /* that were here */
    double agents_error;  /* relative, of the time that they were here; beyond 0.001 is a problem */
    double parallel_mean; /* trials in flight, over the active part */
    uint64_t
        idle_twin_ns; /* of the critical paths: waits for an agent while another one that executes the same
                              stage had nothing to do */
    const struct analyze_queue *queues;
    unsigned queue_count;
    const struct analyze_slow *slowest;
    unsigned slow_count;
    const struct analyze_bottleneck *bottlenecks;
    unsigned bottleneck_count;
    const char *const *problems; /* broken identities and damaged records, in words; bounded */
    unsigned problem_count;
    size_t problems_dropped;
    int64_t path_error_ns_max;
};
MUST_CHECK enum troupe_error analyze_run(const struct analyze_record *record, struct account *account,
                                         struct analysis **ret_analysis, struct fault *fault);
void analysis_free(struct analysis *analysis, struct account *account);

/* For a terminal. `trial`: also its critical path, piece by piece; ANALYZE_UNKNOWN: that of the typical
 * trial. */
MUST_CHECK enum troupe_error analysis_text(const struct analysis *analysis, uint32_t trial,
                                           struct buffer *out);
/* One object with everything above. */
void analysis_json(const struct analysis *analysis, struct json *json);

/* ---- a trace file ---- */
struct analyze_times {
    uint64_t count, total_ns, p50_ns, p95_ns, max_ns;
};
struct analyze_span_kind { /* queued and served apart */
    const char *name;
    uint64_t open; /* begun and not ended when the trace ends */
    struct analyze_times queued, served;
};
struct analyze_event_kind { /* records that are not part of a span */
    const char *name;
    uint64_t count, value_total, value_max;
};
struct analyze_spans {
    struct arena arena;
    uint64_t records, unmatched; /* unmatched: ends whose start is not in the file */
    uint64_t from_ns, to_ns;
    const struct analyze_span_kind *kinds;
    unsigned kind_count;
    const struct analyze_event_kind *events;
    unsigned event_count;
    char damage[400]; /* why reading stopped before the end of the file; empty: it did not */
};
/* A file that is damaged after its first record is analysed up to there and says so in `damage`; the trace of a
 * process that was killed usually is. */
MUST_CHECK enum troupe_error analyze_trace(const void *bytes, size_t length, const char *source,
                                           struct account *account, struct analyze_spans **ret_spans,
                                           struct fault *fault);
void analyze_spans_free(struct analyze_spans *spans, struct account *account);
MUST_CHECK enum troupe_error analyze_spans_text(const struct analyze_spans *spans, struct buffer *out);
void analyze_spans_json(const struct analyze_spans *spans, struct json *json);

#endif
