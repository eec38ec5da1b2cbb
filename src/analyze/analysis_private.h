/* analysis_private: private to analyze/: the state of one analysis while it is made. The files take their turns
 * on it in this order: analyze_record.c (sorts and checks the record), critical_path.c, analyze_rank.c,
 * analyze_agents.c, analyze_queue.c, idle_twin.c, bottleneck.c. Results are in the analysis' arena, scratch is on the account
 * and freed by whoever took it. */
#ifndef ANALYZE_ANALYSIS_PRIVATE_H
#define ANALYZE_ANALYSIS_PRIVATE_H

#include "analyze/analyze.h"

#define PROBLEMS_MAX 40
#define PATH_TOLERANCE_NS                                                                                    \
    1000 /* pieces add to the wall time within this; records are in whole microseconds */
#define AGENTS_TOLERANCE 0.001
#define LITTLE_TOLERANCE 0.001

struct interval {
    uint64_t from, to;
};

struct analyzer {
    const struct analyze_record *record;
    struct analysis *analysis;
    struct arena *arena; /* of the analysis */
    struct account *account;
    struct fault *fault;
    const struct analyze_trial **trials; /* by number, each once, settled or not */
    size_t trial_count;
    const struct analyze_execution **executions; /* by trial, stage, attempt */
    size_t *first;                               /* trial_count + 1: of trial i are first[i]..first[i + 1] */
    size_t execution_count;
    struct analyze_piece *pieces; /* of all paths, one after another */
    size_t piece_count;
    struct interval *executing; /* of all agents: those of agent a are executing[executing_first[a]], ... */
    size_t *executing_first, *executing_count;
    const char **problems;
    bool out_of_memory;
};

MUST_CHECK enum troupe_error analyzer_record(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_paths(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_ranks(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_agents(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_queues(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_idle_twins(struct analyzer *analyzer);
MUST_CHECK enum troupe_error analyzer_bottlenecks(struct analyzer *analyzer);

/* Something that does not add up, in words; past PROBLEMS_MAX only counted. */
void analyzer_problem(struct analyzer *analyzer, const char *format, ...) PRINTF_LIKE(2, 3);
MUST_CHECK enum troupe_error analyzer_no_memory(struct analyzer *analyzer);
const char *analyzer_stage_name(const struct analyze_record *record, unsigned stage);

/* interval.c: sets of times, as sorted intervals that do not touch. */
/* Sorts and joins in place; empty ones go; returns how many are left. */
size_t intervals_join(struct interval *intervals, size_t count);
uint64_t intervals_length(const struct interval *intervals, size_t count);
/* Of two joined sets: how long both hold, and how long either does, each found by its own sweep. */
uint64_t intervals_both(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count);
/* Writes where both hold, at most a_count + b_count intervals; returns how many. */
size_t intervals_common(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count,
                        struct interval *ret);
uint64_t intervals_either(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count);

/* The value below which `part` of the sorted values lie: nearest rank, 0 when there are none. */
uint64_t sorted_quantile(const uint64_t *values, size_t count, double part);
void sort_times(uint64_t *values, size_t count);

#endif
