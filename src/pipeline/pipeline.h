/* pipeline: what a user asks for, and the engine that does it: definition, stage graph, run, trial log,
 * artifacts, stage reuse, response.
 *
 * Job:     pipeline_load reads and checks a definition; run_execute carries it out as one run in `runs/ID/`.
 * Threads: loading: any thread, before the runtime. run_execute blocks the calling thread (it becomes worker
 *          0); observer calls come from the engine's turns, one at a time.
 * Memory:  a pipeline owns one arena and its document; everything hanging from it lives until pipeline_free.
 * Failure: INVALID and its kin name file:line:column, path and what was expected; a run that fails is still
 *          committed as far as it came and can be resumed. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "coordinate/coordinate.h"
#include "optimize/optimize.h"
#include "pipeline/run_record.h"
#include "pipeline/turn_file.h"
#include "store/store.h"

#define PIPELINE_AGENTS_MAX 32
#define PIPELINE_STAGES_MAX 32
#define PIPELINE_INSTANCES_MAX 256
#define PIPELINE_TRIALS_MAX 1000000
#define PIPELINE_PARALLEL_MAX 128

enum pipeline_agent_kind { PIPELINE_AGENT_COMMAND, PIPELINE_AGENT_ONCE, PIPELINE_AGENT_NATIVE };

struct pipeline_agent {
    const char *name;
    const struct node *node; /* for messages */
    enum pipeline_agent_kind kind;
    const char *const *argv;    /* COMMAND, ONCE: NULL-terminated */
    const char *native;         /* NATIVE: as written; the plugin's path after pipeline_resolve */
    const char *const *metrics; /* ONCE: what to look for in the output; NULL-terminated */
    bool isolate;
    unsigned instances, batch_max, window;
    unsigned instances_min, instances_max; /* between which feedback may change how many there are */
    uint64_t batch_wait_ns;
    struct capability_set capabilities;
    unsigned capability_count;
    const char **capability_names;
    const char *const *environment; /* "NAME=value with {instance}", NULL-terminated */
    struct resources resources;     /* held by each instance for its life */
    uint64_t timeout_ns;            /* default of its tasks; 0: none */
    const char *options_json;
    uint64_t program_hash; /* after pipeline_resolve */
};

struct pipeline_stage {
    const char *name;
    const struct node *node;
    unsigned capability;
    uint32_t needs; /* bits of stages */
    bool uses_all;  /* variables: all that are active */
    bool uses[SPACE_VARIABLES_MAX];
    uint64_t timeout_ns;
    uint64_t expected_ns; /* how long one is thought to take, until one was seen; 0: not told */
    struct resources resources;
    unsigned retries;
    bool cache;      /* results may be reused */
    bool idempotent; /* may run twice at once */
    bool in_trial;   /* false: only for `test` (and what only it needs) */
    const char *version;
    unsigned size; /* 1 + the variable that says how large its input is; 0: none */
};

enum feedback_apply { FEEDBACK_OFF, FEEDBACK_ADVISE, FEEDBACK_AUTO };

struct pipeline {
    struct account *account;
    struct arena arena;
    struct document *document;
    const char *source;    /* path as given, or "command line" */
    const char *directory; /* absolute, of the file; children run there */
    const char *name;
    struct space *space;
    unsigned agent_count, stage_count;
    struct pipeline_agent agents[PIPELINE_AGENTS_MAX];
    struct pipeline_stage stages[PIPELINE_STAGES_MAX];
    unsigned order[PIPELINE_STAGES_MAX]; /* topological */
    struct capability_names capabilities;
    struct resource_names resource_names;
    struct resources resources, resources_free; /* totals; what instances leave for tasks */
    unsigned objective_stage, test_stage;       /* test_stage: stage_count when there is none */
    const char *objective_metric, *test_metric;
    bool maximise;
    unsigned trials;              /* 0: until the deadline or the space is exhausted */
    uint64_t deadline_ns;         /* running time; 0: none */
    unsigned parallel;            /* trials in flight; 0: as many as there are instances */
    unsigned failures_max;        /* trials that may fail before the first success */
    enum feedback_apply feedback; /* what is done of what would help */
    bool shed_late;               /* AUTO: trials that would end after the deadline are not begun */
    struct study_options study;
    const char *data_json; /* the data section, file names absolute */
    uint64_t data_hash;    /* of its text and of the files it names */
};

/* `sets`: "budget.trials=20" and the like, applied in order. */
MUST_CHECK enum troupe_error pipeline_load(struct env *env, struct account *account, const char *path,
                                           const char *const *sets, size_t set_count,
                                           struct pipeline **ret_pipeline, struct fault *fault);
/* From a definition in memory (JSON or YAML); `directory` is where its files are. */
MUST_CHECK enum troupe_error pipeline_parse(struct env *env, struct account *account, const char *text,
                                            size_t length, const char *source, const char *directory,
                                            const char *const *sets, size_t set_count,
                                            struct pipeline **ret_pipeline, struct fault *fault);
void pipeline_free(struct pipeline *pipeline);
/* Finds plugins and scripts, hashes programs and data; NOT_FOUND names the file and where it was looked for.
 * plugin_directories: NULL-terminated, tried after the pipeline's own. */
MUST_CHECK enum troupe_error pipeline_resolve(struct env *env, struct pipeline *pipeline,
                                              const char *const *plugin_directories, struct fault *fault);
int pipeline_stage_find(const struct pipeline *pipeline, const char *name); /* -1 */

#define PIPELINE_COMMAND_LINE "command line" /* its source: messages about it have no line and column */
/* `troupe run --var ... -- command`: the same definition, written as one. */
struct pipeline_command {
    const char *const *vars; /* "lr=log(1e-4,1e-1)" */
    size_t var_count;
    const char *const *constraints;
    size_t constraint_count;
    const char *metric;
    bool minimise;
    unsigned trials, jobs;          /* jobs: 0: one per core */
    const char *deadline, *timeout; /* "60s"; NULL: none */
    const char *name;
    uint64_t seed;
    const char *const *argv; /* NULL-terminated */
};
MUST_CHECK enum troupe_error pipeline_from_command(struct env *env, struct account *account,
                                                   const struct pipeline_command *command,
                                                   const char *const *sets, size_t set_count,
                                                   struct pipeline **ret_pipeline, struct fault *fault);

/* ---- a run ---- */
enum run_state { RUN_RUNNING, RUN_FINISHED, RUN_DEADLINE, RUN_STOPPED, RUN_FAILED };
const char *run_state_name(enum run_state state);
enum trial_state { TRIAL_WAITING, TRIAL_RUNNING, TRIAL_OK, TRIAL_FAILED, TRIAL_CANCELLED };
const char *trial_state_name(enum trial_state state);

struct run_progress {
    const struct pipeline *pipeline;
    const char *run_name, *run_directory;
    unsigned told, failed, in_flight, reused_stages, restarts;
    bool has_best, has_baseline;
    unsigned best_trial;
    double best_objective, baseline_objective;
    unsigned busy, slots;                    /* agent instances */
    unsigned instances[PIPELINE_AGENTS_MAX]; /* of each agent, now */
    uint64_t elapsed_ns;                     /* running time, over resumes */
    uint64_t deadline_in_ns;                 /* UINT64_MAX: none */
};
enum run_event_kind {
    RUN_EVENT_STARTED,
    RUN_EVENT_ASKED,    /* a trial begins: trial, configuration; not durable yet */
    RUN_EVENT_TRIAL,    /* a trial was told (and is durable): trial, objective */
    RUN_EVENT_BEST,     /* ... and is the best so far */
    RUN_EVENT_LINE,     /* something worth knowing: text */
    RUN_EVENT_TICK,     /* about ten times a second, when asked for */
    RUN_EVENT_STOPPING, /* no new trials from here */
    RUN_EVENT_ENDED
};
struct run_event {
    enum run_event_kind kind;
    unsigned trial;
    enum trial_state state;
    double objective;
    uint64_t wall_ns;   /* of the trial */
    uint64_t commit_ns; /* of that: from told to durable */
    const struct configuration *configuration;
    const char *text;
    const struct run_progress *progress;
};
/* A port: implemented by whoever shows the run. NULL fn: nobody looks. */
struct run_observer {
    void (*fn)(void *context, const struct run_event *event);
    void *context;
    bool ticks;
};

/* In virtual time the disk can be a model too: nothing is written, a commit and the keeping of an artifact take what
 * is said here. So a run is simulated for its times alone. */
struct run_disk_model {
    uint64_t commit_ns; /* of a group of rows */
    uint64_t (*storing_ns)(void *context, unsigned trial, unsigned stage);
    void *context;
};

/* What the first trials are, instead of asking for them: to live through a run again whose answers came in an order
 * that virtual time would not repeat. False: ask, from here on. */
struct run_script {
    bool (*fn)(void *context, unsigned trial, struct configuration *ret_configuration);
    void *context;
};

struct run_options {
    const char *runs_directory;              /* default "runs" */
    const char *run_id;                      /* NULL: made from the name and the time */
    bool resume;                             /* of run_id */
    bool no_store;                           /* nothing durable: benches */
    const struct run_disk_model *disk_model; /* NULL: the real one; env_sim only */
    struct run_script script;                /* fn NULL: none */
    struct run_observer observer;
    unsigned workers;
    unsigned mailbox_len_max;         /* 0: 1,024 */
    unsigned store_group_rows;        /* 0: 128 */
    unsigned task_queue_len_max;      /* 0: 4,096 */
    unsigned agent_queue_len_max;     /* 0: 64 */
    unsigned agent_restarts_max;      /* 0: 5 */
    uint64_t agent_restart_window_ns; /* 0: 60 s */
    uint64_t worker_start_timeout_ns; /* 0: 10 s */
    uint64_t stop_grace_ns;           /* 0: 5 s */
    uint64_t cancel_grace_ns;         /* 0: 50 ms */
    uint64_t artifacts_bytes_max;     /* 0: 4 GiB */
    size_t worker_line_max;           /* 0: 1 MiB */
    bool trace;                       /* write trace.bin beside the store */
    size_t trace_ring_records;        /* of each thread's ring; 0: 16,384 */
    struct turn_sink turns;           /* instead: who is told of each turn; write NULL: nobody */
    uint64_t registry_seed;           /* 0: drawn */
    struct turn_guide guide;          /* may NULL: none; env_sim only */
    bool record; /* write turns.bin beside the store: what simulate_replay goes by; one worker then */
    const struct configuration *configuration; /* evaluate this one and nothing else; NULL: search */
    const char *const *rerun; /* the command line that starts this run again, NULL-terminated; may be NULL */
};
struct run_outcome {
    enum run_state state;
    char run_id[128]; /* empty: it never started */
    char directory[1024];
    struct buffer response; /* the JSON object of `--json`; freed by run_outcome_free */
};
/* OK also when the run was stopped or met its deadline (see state). LOCKED: it is running elsewhere. */
MUST_CHECK enum troupe_error run_execute(struct env *env, struct account *account, struct pipeline *pipeline,
                                         const struct run_options *options, struct run_outcome *ret_outcome,
                                         struct fault *fault);
void run_outcome_free(struct run_outcome *outcome);
/* The pipeline as committed with the run, changed by `sets`: for --resume (a larger budget) and --again. */
MUST_CHECK enum troupe_error run_load_pipeline(struct env *env, struct account *account,
                                               const char *runs_directory, const char *run_id,
                                               const char *const *sets, size_t set_count,
                                               struct pipeline **ret_pipeline, struct fault *fault);

/* What a run was created with: {"source":..,"directory":..,"version":..,"cores":..,"workers":..,"pipeline":{..}};
 * NOT_FOUND: nothing was committed. */
MUST_CHECK enum troupe_error run_read_definition(struct env *env, struct account *account,
                                                 const char *directory, struct document **ret_document,
                                                 int64_t *ret_created_utc_ns, struct fault *fault);

#endif
