/* run_internal: private to pipeline/: the state of one run, shared by the files of its engine.
 *
 * The engine is one actor (run_engine.c). Everything below belongs to it and is touched only in its turns,
 * but for what run.c sets up before and reads after runtime_run.
 * Files:   run.c (set-up, end), run_engine.c (messages, asking, finishing), run_trial.c (a trial's way
 *          through its stages), run_stage.c (one stage: task, retries, result), stage_reuse.c (keys, shared
 *          results), artifact.c (files that results leave), run_account.c (where the time went),
 *          run_definition.c (what it was created with), run_resume.c (from the store), response.c (the answer), best.c (runs/ID/best).
 *
 * A trial: ASKED row queued -> committed -> stages -> objective known: study told and TOLD row queued ->
 *          committed -> shown. The study is told in the order in which TOLD rows are queued, and rows carry
 *          one sequence for asks and tells, so a resumed study sees exactly the same history. */
#ifndef PIPELINE_RUN_INTERNAL_H
#define PIPELINE_RUN_INTERNAL_H

#include "pipeline/pipeline.h"

/* Where a trial's time goes, besides its stages; shares are printed in this order. */
enum trial_share {
    SHARE_STORE,
    SHARE_COORDINATION,
    SHARE_AGENT_WAIT,
    SHARE_TRANSFER,
    SHARE_REUSE_WAIT,
    SHARE_FAILED,
    SHARE_COUNT
};
const char *trial_share_name(enum trial_share share);

/* What a stage left; shared by the trials that reuse it. Owner: engine; counted. */
struct stage_result {
    unsigned references;
    char *value; /* JSON text or NULL; own block */
    size_t value_length;
    char artifact[40]; /* hex of its hash, or empty; the file is runs/ID/artifacts/HASH */
    uint64_t artifact_bytes;
    struct artifact_file *file; /* holds it; NULL: none */
    unsigned metric_count;
    struct metric metrics[METRICS_MAX];
    uint64_t wall_ns;
    struct account *account;
};
struct stage_result *stage_result_new(struct account *account, const char *value, size_t length);
struct stage_result *stage_result_keep(struct stage_result *result);
void stage_result_drop(struct stage_result *result);

enum trial_stage_state {
    STAGE_BLOCKED,
    STAGE_SHARED /* another trial computes it */,
    STAGE_PREPARING /* its directory is made */,
    STAGE_SUBMITTED,
    STAGE_STORING,
    STAGE_DONE
};

/* Times of one stage of one trial, each a point on env_now's clock, ascending; equal where nothing happened.
 */
struct stage_times {
    uint64_t ready, failed /* end of the last attempt that failed; 0: none did */;
    uint64_t assigned, accepted, started, ended, done;
};
struct trial_stage {
    enum trial_stage_state state;
    uint16_t attempt, failures;
    bool reused;
    uint64_t key;
    struct stage_result *result;
    struct stage_times times;
    actor_ref agent;                /* of the last attempt; 0: none */
    uint64_t cpu_ns, core_wait_ns;  /* of the last attempt; CORE_WAIT_UNKNOWN */
    struct task_decision *decision; /* of the last attempt that ended; may be NULL */
    struct reuse_entry *entry;      /* that it computes or waits for */
    struct trial_stage *next_waiting;
    struct trial *trial;
};
struct trial {
    unsigned number, slot;
    enum trial_state state;
    bool testing; /* second life: the stages of `test`, after the search */
    bool asked_committed, ended;
    uint32_t wanted; /* stages */
    struct configuration configuration;
    uint64_t created_ns, told_ns, ended_ns;
    double objective;
    char message[600]; /* why it failed */
    struct trial_stage stages[PIPELINE_STAGES_MAX];
};

enum reuse_state { REUSE_RUNNING, REUSE_DONE };
struct reuse_entry {
    uint64_t key;
    enum reuse_state state;
    struct stage_result *result;
    struct trial_stage *waiting; /* list */
    struct reuse_entry *newer, *older;
};
struct reuse {
    struct account *account;
    struct map *entries;
    struct reuse_entry *newest, *oldest; /* of REUSE_DONE */
    uint64_t hits, evicted;
};

struct artifact_files;
struct artifact_file { /* runs/ID/artifacts/HASH */
    struct artifact_files *of;
    char hash[40];
    uint64_t bytes;
    unsigned references; /* results that have it; 0: garbage */
    struct artifact_file *next_garbage;
};
struct artifact_files {
    struct account *account;
    struct map *by_hash;
    uint64_t bytes, bytes_max; /* of files that are not garbage */
    struct artifact_file *garbage;
    unsigned taking, removing;                   /* jobs under way; never both */
    struct artifact_job *waiting, **waiting_end; /* to take over, once nothing is removed */
};

/* What is kept of every told trial (the study keeps configurations). */
struct trial_record {
    enum trial_state state;
    double objective;
    uint64_t wall_ns;
};

struct run_trace { /* all zero: none is written */
    struct tracer *tracer;
    struct env_file *file;
    bool broken;
    enum troupe_error error; /* of the drain that ended last; its job's until then, like the fault */
    struct fault fault;
};

struct run_turns { /* all zero: none is written */
    struct env_file *file;
    struct buffer filling, draining; /* worker 0's; the job's while one is under way */
    uint64_t count, lost;
    bool broken, under_way;
    enum troupe_error error; /* of the write that ended last; its job's until then */
};

struct durable { /* a trial whose result is on disk, and since when: no row can tell of its own commit */
    unsigned trial;
    uint64_t at_ns;
};

struct agent_clock { /* of one instance: the union of its executions */
    uint64_t last_end_ns, executing_ns, tasks;
    unsigned agent; /* index in the pipeline; UINT_MAX: unknown */
};

#define FEEDBACK_EFFECTS_MAX 32
struct feedback_effect { /* of a step that was taken */
    enum feedback_kind kind;
    int agent; /* of the pipeline; -1: of none */
    /* Instances: before it; that came or went; of those that came, how many were taken back. */
    unsigned here, count, taken;
    int64_t at_us; /* running time */
    struct feedback_forecast before, after;
    double rate_before, rate_after, rate_back; /* trials told a second; 0: too few to say; back: taken back */
    enum { EFFECT_OPEN, EFFECT_KEPT, EFFECT_TAKEN_BACK } outcome;
};
struct run_feedback {
    bool asked;     /* an answer is awaited */
    bool measuring; /* the effects from `measured` on wait for their rate */
    unsigned measured;
    bool held[PIPELINE_AGENTS_MAX]; /* its number is left as it is */
    uint64_t next_ns;
    unsigned shed;       /* trials of the budget that are not begun */
    unsigned told_asked; /* trials, when it was asked last */
    unsigned settling;   /* trials to be told that were under way at the last change */
    unsigned told_from;
    uint64_t from_ns; /* what a rate is taken since */
    uint64_t advised; /* hash of the last advice */
    unsigned effect_count, effects_dropped;
    struct feedback_effect effects[FEEDBACK_EFFECTS_MAX];
};

enum run_instance { INSTANCE_ABSENT, INSTANCE_HERE, INSTANCE_LEAVING, INSTANCE_GONE };
enum run_proof { PROOF_NONE, PROOF_WORKED, PROOF_FAILED }; /* what an instance did last */
struct run_agents;

struct run {
    struct env *env;
    struct account *account;
    struct pipeline *pipeline;
    struct run_options options;
    struct fault *fault; /* of run_execute */
    char id[128], directory[1024], artifacts[1100], work[1100];
    struct runtime *runtime;
    struct registry *registry;
    struct store *store;
    struct study *study;
    actor_ref self, coordinator;
    struct coordinator_statistics coordinator_statistics;

    enum run_state state;
    enum troupe_error error; /* of a run that FAILED */
    bool started, stopping, testing, finishing, summary_written;
    unsigned parallel, in_flight, slots, busy, workers;
    struct trial *trials[PIPELINE_PARALLEL_MAX + 2];
    unsigned trial_limit; /* budget; UINT_MAX: none */
    bool exhausted;
    bool deadline_cuts; /* the deadline has ended a task: no new trial could end before it */
    uint32_t trial_mask, test_mask;
    int64_t sequence;      /* of asks and tells */
    unsigned stop_signals; /* owner: worker 0 */
    unsigned test_next;    /* 0: baseline, 1: best, 2: done */
    double test_baseline, test_best;
    bool has_test_baseline, has_test_best;

    unsigned told, ok, failed, cancelled, restarts, resumed_pending;
    char last_failure[400]; /* of the trial that failed last */
    char gave_up[256];      /* what the agent said that gave up last */
    bool has_best;
    unsigned best_trial;
    double best_objective, baseline_objective;
    bool has_baseline;
    struct trial_record *records;
    unsigned record_count, record_capacity;

    struct reuse reuse;
    struct artifact_files files;
    struct map *attempts; /* resume: (trial << 8 | stage) -> last attempt */
    struct stage_result *best_results[PIPELINE_STAGES_MAX];

    uint64_t start_ns, first_trial_ns, last_trial_ns, elapsed_before_ns, deadline_at_ns, end_ns;
    uint64_t share_ns[SHARE_COUNT], stage_share_ns[PIPELINE_STAGES_MAX], trial_wall_ns, share_error_ns_max;
    struct durable durable[PIPELINE_PARALLEL_MAX + 2]; /* told of in the next row */
    unsigned durable_count;
    struct map *clocks;                         /* actor_ref -> struct agent_clock */
    uint64_t process_cpu_ns, in_process_cpu_ns; /* at the start; of stages that this process computes */
    uint64_t executing_ns, cpu_ns, core_wait_ns, blocked_ns, tasks;
    uint64_t reused_stages;
    char configuration_text[64];
    const struct configuration *fixed; /* --configuration: the one trial of this run */
    struct configuration *fixed_own;   /* at a resume */

    struct run_agents *agent_parts;
    actor_ref agents[PIPELINE_INSTANCES_MAX]; /* by index; of one that left the last that had it */
    enum run_instance agent_states[PIPELINE_INSTANCES_MAX];
    enum run_proof agent_proofs[PIPELINE_INSTANCES_MAX];
    unsigned agent_first[PIPELINE_AGENTS_MAX]; /* index of each agent's instance 0 */
    unsigned agent_count, agents_live;
    uint64_t slots_time_ns, slots_since_ns;     /* slots x time until then */
    unsigned stage_seen[PIPELINE_STAGES_MAX];   /* executions that ended well */
    unsigned stage_reused[PIPELINE_STAGES_MAX]; /* results that were taken instead */
    struct run_feedback feedback;
    struct run_trace trace;
    struct run_turns turns;
    struct buffer response;
};

/* run_engine.c */
MUST_CHECK enum troupe_error run_spawn_engine(struct run *run, struct fault *fault);
void run_tick_progress(struct run *run, struct turn *turn, struct run_progress *ret);
void run_show(struct run *run, struct turn *turn, struct run_event *event);
void run_line(struct run *run, struct turn *turn, unsigned trial, const char *format, ...) PRINTF_LIKE(4, 5);
/* Ends the run with an error: no new trials; what is committed stays. */
void run_fail(struct run *run, struct turn *turn, enum troupe_error error, const char *format, ...)
    PRINTF_LIKE(4, 5);
void run_continue(struct run *run, struct turn *turn); /* asks for trials, or goes on to the end */
/* Store rows and their tokens. */
enum run_token {
    TOKEN_ASKED = 1,
    TOKEN_TOLD,
    TOKEN_CREATED,
    TOKEN_SUMMARY,
    TOKEN_ARTIFACT,
    TOKEN_TIMER_DEADLINE,
    TOKEN_TIMER_TICK,
    TOKEN_TIMER_GRACE,
    TOKEN_TIMER_AGENTS,
    TOKEN_AGENT_DOWN,
    TOKEN_TIMER_TRACE,
    TOKEN_TRACE,
    TOKEN_TIMER_TURNS,
    TOKEN_TURNS,
    TOKEN_WORK,
    TOKEN_FEEDBACK
};
#define TOKEN_VALUE_NONE UINT32_MAX /* of no trial, and nobody decides by it */
uint64_t run_token(enum run_token kind, unsigned value);
enum run_token run_token_kind(uint64_t token);
unsigned run_token_value(uint64_t token);
bool run_write(struct run *run, struct turn *turn, const struct store_row *row, const char *name,
               const char *text, uint64_t token /* 0: not told */);
/* The same with a text that is freed here; false, and the run fails, also when it lacks memory. */
bool run_write_text(struct run *run, struct turn *turn, const struct store_row *row, const char *name,
                    struct buffer *text, uint64_t token);

/* run_agents.c: instances by index */
MUST_CHECK enum troupe_error run_agents_create(struct run *run, struct fault *fault);
MUST_CHECK enum troupe_error run_agents_start(struct run *run, struct fault *fault);
void run_agents_free(struct run *run); /* after runtime_free */
void run_agents_watch(struct run *run, struct turn *turn);
void run_agents_drain(struct run *run, struct turn *turn);
void run_agents_count(struct run *run, uint64_t now_ns); /* slots, parallel: after each change */
MUST_CHECK enum troupe_error run_agents_add(struct run *run, struct turn *turn, unsigned agent,
                                            struct fault *fault); /* LIMIT */
/* The one that came last is asked to finish what it has and go; false: nobody could be asked. */
bool run_agents_retire(struct run *run, struct turn *turn, unsigned agent);
void run_agents_down(struct run *run, unsigned index, uint64_t now_ns);
void run_agents_write_stays(const struct run *run,
                            struct json *json); /* a member of the object that is open */
void run_agents_heard(struct run *run, struct turn *turn, const struct message_agent_event *event);
void run_agents_worked(struct run *run, actor_ref actor);
unsigned run_agents_proven(const struct run *run, unsigned agent); /* here, and what they did last was well */
unsigned run_agents_here(const struct run *run, unsigned agent);
unsigned run_agents_find(const struct run *run, actor_ref actor); /* agent_count: none */
bool run_agents_in_process(const struct run *run, actor_ref actor);
/* Answers of the agent's workers that belonged to no task of theirs, or to an attempt that is over: dropped. */
uint64_t run_stale_answers(const struct run *run, unsigned agent);

/* run_feedback.c */
void run_feedback_look(struct run *run, struct turn *turn); /* asks what would help, when it is time to */
/* True: before the search ends for what was shed, an answer is awaited. */
bool run_feedback_sheds(const struct run *run); /* what would be asked for next is not begun */
bool run_feedback_reconsiders(struct run *run, struct turn *turn);
void run_feedback_answer(struct run *run, struct turn *turn, const struct feedback *answer);
void run_feedback_unanswered(struct run *run);
void run_feedback_told(struct run *run, struct turn *turn);  /* a trial was */
void run_feedback_ended(struct run *run, struct turn *turn); /* the search */
void run_feedback_write(const struct run *run, struct json *json);

/* run_trial.c */
struct trial *trial_new(struct run *run, struct turn *turn, unsigned number,
                        const struct configuration *configuration, uint32_t wanted);
struct trial *trial_find(struct run *run, unsigned number);
void trial_advance(struct run *run, struct turn *turn, struct trial *trial);
void trial_fail(struct run *run, struct turn *turn, struct trial *trial, enum trial_state state,
                const char *message);
void trial_committed(struct run *run, struct turn *turn, struct trial *trial); /* its TOLD row is durable */
void trial_free(struct run *run, struct trial *trial);

struct work_job;
/* run_stage.c */
void stage_begin(struct run *run, struct turn *turn, struct trial *trial, unsigned stage);
/* Its directory is there, or why not. */
void stage_prepared(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                    const struct work_job *job);
void stage_task_ended(struct run *run, struct turn *turn, struct task *task);
void stage_stored(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                  struct stage_result *result);
void stage_release(struct run *run, struct turn *turn,
                   struct trial_stage *stage); /* a trial that ends lets go */

/* stage_decision.c: a member of the row; NULL: none */
void stage_decision_write(const struct run *run, const struct task_decision *decision, struct json *json);

/* run_work.c: the directory of an attempt */
struct work_job {
    struct env *env;
    struct account *account;
    char path[1400];
    unsigned trial, stage;
    uint16_t attempt;
    bool makes; /* otherwise it removed, and nobody waits */
    enum troupe_error error;
    struct fault fault;
};
MUST_CHECK enum troupe_error run_work_clear(struct run *run, struct fault *fault); /* at the start */
void work_path(const struct run *run, const struct trial *trial, unsigned stage, char *out, size_t size);
/* JOB_DONE carries a struct work_job under TOKEN_WORK. */
MUST_CHECK enum troupe_error work_make(struct run *run, struct turn *turn, const struct trial *trial,
                                       unsigned stage);
void work_remove(struct run *run, struct turn *turn, const char *path);
void work_job_free(struct work_job *job);

/* stage_reuse.c */
MUST_CHECK enum troupe_error reuse_init(struct reuse *reuse, struct account *account);
void reuse_free(struct reuse *reuse);
struct reuse_entry *reuse_find(struct reuse *reuse, uint64_t key);
struct reuse_entry *reuse_start(struct reuse *reuse, uint64_t key); /* RUNNING; NULL: out of memory */
void reuse_done(struct reuse *reuse, struct reuse_entry *entry, struct stage_result *result);
void reuse_abandon(struct reuse *reuse, struct reuse_entry *entry); /* failed: the next one tries itself */
void reuse_touch(struct reuse *reuse, struct reuse_entry *entry);
#define REUSE_ENTRIES_MAX 65536u
/* Forgets the least recently used result that only this list still has; false: there is none. */
bool reuse_evict(struct reuse *reuse);
uint64_t stage_key(const struct run *run, const struct trial *trial, unsigned stage);
/* The variables a stage may see, as a JSON object. */
void stage_variables(const struct run *run, const struct trial *trial, unsigned stage, struct json *json);

/* artifact.c: hash, fsync, rename into artifacts/, on the pool; JOB_DONE carries the same struct back. */
struct artifact_job {
    struct artifact_job *next; /* waiting */
    bool removes;
    struct env *env;
    struct account *account;
    char from[1400], directory[1100];
    unsigned trial, stage;
    uint16_t attempt;
    struct stage_result *result; /* to be completed */
    enum troupe_error error;
    bool disk_failed; /* the error is the disk's, not the worker's */
    struct fault fault;
};
MUST_CHECK enum troupe_error artifact_start(struct run *run, struct turn *turn, struct trial *trial,
                                            unsigned stage, const char *file, struct stage_result *result);
void artifact_job_free(struct artifact_job *job);
void artifact_waiting_free(struct artifact_files *files);
void artifact_done(struct run *run, struct turn *turn,
                   struct artifact_job *job); /* before its result is used */
void artifact_collect(struct run *run,
                      struct turn *turn); /* back under the bound; removes garbage, on the pool */

/* artifact_files.c */
MUST_CHECK enum troupe_error artifact_files_init(struct artifact_files *files, struct account *account,
                                                 uint64_t bytes_max);
void artifact_files_free(struct artifact_files *files); /* after every result */
/* The result has its file from now on, until it is freed. */
MUST_CHECK enum troupe_error artifact_files_hold(struct artifact_files *files, struct stage_result *result);
void artifact_file_drop(struct artifact_file *file);                        /* NULL is fine */
struct artifact_file *artifact_files_garbage(struct artifact_files *files); /* one of it; NULL: none */
void artifact_file_forget(struct artifact_files *files, struct artifact_file *garbage);
void artifact_files_sweep(struct run *run); /* at a resume: removes what no result has */

/* run_account.c */
/* A point on env_now's clock as us of the run's running time, over resumes; before its start: the start. */
int64_t running_us(const struct run *run, uint64_t at_ns);
void account_trial(struct run *run, struct trial *trial);
void account_task(struct run *run, const struct task *task);
/* The member `durable_us`: [trial, running time] of those on disk since it was written last. */
void account_write_durable(struct run *run, struct json *json);
void account_write_time(const struct run *run, struct json *json); /* the `time` object */
/* Rounds parts of `total` to tenths of a percent that add to 100.0 (largest remainder). */
void account_percent(const uint64_t *parts, unsigned count, double *ret_percent);

/* run_resume.c */
MUST_CHECK enum troupe_error run_resume(struct run *run, struct fault *fault); /* before the runtime runs */
void run_resume_trials(struct run *run, struct turn *turn);                    /* pending ones go on */

/* run_definition.c */
bool run_definition_write(struct run *run, struct turn *turn);
/* At a resume: the configuration of a run that evaluates only that one. */
MUST_CHECK enum troupe_error run_definition_fixed(struct run *run, struct fault *fault);

/* run_trace.c */
MUST_CHECK enum troupe_error run_trace_open(struct run *run, unsigned workers, struct fault *fault);
void run_trace_start(struct run *run, struct turn *turn);
void run_trace_timer(struct run *run, struct turn *turn);
void run_trace_drained(struct run *run, struct turn *turn);
void run_trace_close(struct run *run); /* after runtime_free: emitters are gone */

/* run_turns.c */
MUST_CHECK enum troupe_error run_turns_open(struct run *run, struct fault *fault);
struct turn_sink run_turns_sink(struct run *run); /* write NULL: nothing is recorded */
void run_turns_start(struct run *run, struct turn *turn);
void run_turns_timer(struct run *run, struct turn *turn);
void run_turns_written(struct run *run, struct turn *turn);
void run_turns_close(struct run *run); /* after runtime_free */

/* response.c, best.c */
void response_write(struct run *run, struct buffer *out);
MUST_CHECK enum troupe_error best_write(struct run *run, struct fault *fault);

#endif
