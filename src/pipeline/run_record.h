/* run_record: a run as its store tells it: trials, executions, events, its response; of a run that ended, was
 * killed, or is running at this moment.
 *
 * Threads: any one at a time; reading works beside a live run and sees what was committed when it began.
 * Memory: one arena and the pipeline, freed by run_record_free. Failure: NOT_FOUND names the run; CORRUPT what
 * cannot be read. Times are ns of the run's running time, over resumes: its start is 0. */
#ifndef PIPELINE_RUN_RECORD_H
#define PIPELINE_RUN_RECORD_H

#include "task/task.h"

struct pipeline;
#define RECORD_UNKNOWN UINT32_MAX

struct record_trial {
    unsigned number;
    int state;        /* enum trial_state; of one that was not told: RUNNING in a live run, else CANCELLED */
    double objective; /* OK only */
    uint64_t created_ns, told_ns; /* equal: not known */
    uint64_t ended_ns;            /* its result was on disk; equal to told_ns: not known */
    const double *values;         /* one for each variable of the space; NaN: inactive */
    const char *message;          /* why it failed; may be NULL */
};
struct record_execution {  /* one attempt of one stage */
    uint32_t trial, agent; /* agent: index into agents; RECORD_UNKNOWN */
    uint16_t stage, attempt;
    enum task_state state;
    bool reused; /* taken from another trial's execution: only ready and done mean anything */
    uint64_t ready, assigned, accepted, started, ended, done; /* ascending; equal where nothing happened */
    uint64_t cpu_ns;
    bool artifact;         /* it left a file */
    uint64_t core_wait_ns; /* it could run and waited for a core; CORE_WAIT_UNKNOWN: not measured */
    const char *message;   /* may be NULL */
};
struct record_start { /* of a worker's process, also after a death */
    uint32_t agent;   /* index into agents */
    uint64_t spawned, ready /* it said hello */, cpu_ns /* until then */;
};
struct record_event {
    int64_t utc_ns;
    uint32_t trial; /* RECORD_UNKNOWN: of none */
    const char *text;
};
struct run_record {
    struct arena arena;
    struct pipeline *pipeline;
    const char *id, *directory;
    bool fixed;                  /* it evaluates one given configuration */
    bool live;                   /* a process runs it now */
    int state;                   /* enum run_state; RUNNING and not live: it was killed */
    struct document *response;   /* NULL: it has not ended once */
    struct record_trial *trials; /* by number */
    size_t trial_count, told, failed;
    struct record_execution *executions; /* in the order in which they ended */
    size_t execution_count;
    struct record_start *starts; /* in the order of their hellos; none in older stores */
    size_t start_count;
    struct record_event *events;
    size_t event_count;
    const char **agents; /* "train/0": one an instance */
    unsigned agent_count;
    bool has_best;
    unsigned best_trial;                    /* index into trials */
    int64_t started_utc_ns, updated_utc_ns; /* 0: nothing was committed */
    uint64_t elapsed_ns;
    /* of the process that created the run; 0 and NULL in older stores */
    unsigned cores, workers;
    const char *version;
};
MUST_CHECK enum troupe_error run_record_read(struct env *env, struct account *account,
                                             const char *runs_directory, const char *run_id,
                                             struct run_record **ret_record, struct fault *fault);
void run_record_free(struct run_record *record); /* NULL is fine */
/* NULL: the run has no such trial. */
const struct record_trial *run_record_trial(const struct run_record *record, uint32_t number);

/* How the attempt was given to its agent; attempt 0: the last that ended. *ret_execution is in the record. The decision's
 * times are of the run's running time. NOT_FOUND: there is no such trial, stage or attempt, it has not ended, or it was not
 * kept: says which. */
MUST_CHECK enum troupe_error run_record_decision(struct env *env, struct account *account,
                                                 const struct run_record *record, uint32_t trial,
                                                 const char *stage, unsigned attempt,
                                                 struct task_decision *ret_decision,
                                                 const struct record_execution **ret_execution,
                                                 struct fault *fault);

#endif
