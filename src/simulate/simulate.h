/* simulate: a run in virtual time, before it is made or changed: the run engine itself (run_execute) on env_sim, with
 * agents that are models, fitted from what a run recorded.
 *
 * Job:     model_fit reads a run's record into a model; simulate_run carries one run out under it; predict does so
 *          under several seeds and says what is expected and how surely; quote does it for a run that is under way.
 * Threads: any one at a time; nothing here touches a live run, only its record. Everything is decided by the seed:
 *          the same model, pipeline and seed give the same figures, bit for bit.
 * Memory:  a model owns an arena on the caller's account and copies what it needs of the record.
 * Failure: INVALID: there is too little to fit from, or the change is one that the model cannot express; the fault
 *          says what is missing. NOMEM. */
#ifndef SIMULATE_SIMULATE_H
#define SIMULATE_SIMULATE_H

#include "pipeline/pipeline.h"
#include "simulate/scenario.h"

/* ---- the model ---- */
enum sample_end { SAMPLE_OK, SAMPLE_FAILED, SAMPLE_CRASHED };
struct model_sample { /* one attempt of one stage */
    uint32_t trial;
    uint16_t attempt;
    uint32_t instance;   /* of the agent that did it, by the record's list; RECORD_UNKNOWN */
    uint64_t cpu_ns;     /* of a core */
    uint64_t blocked_ns; /* neither on a core nor waiting for one */
    uint64_t wall_ns;    /* all of it, waiting for a core included */
    uint64_t storing_ns; /* from its answer until its result was kept */
    enum sample_end end;
    bool retried;         /* it failed, and another attempt followed */
    const double *values; /* of its trial's configuration */
};
struct model_stage {
    const char *name;
    bool relevant[SPACE_VARIABLES_MAX]; /* variables that it, or what it needs, uses */
    struct model_sample *samples;
    unsigned count;
    bool assumed; /* it never ran: the samples are another stage's */
};
struct model_start { /* from the birth of a worker to its hello */
    uint64_t cpu_ns, blocked_ns;
};
struct model_agent {
    const char *name;
    unsigned instances;
    struct model_start *starts;
    unsigned start_count;
    double *slowness; /* of each instance, against the agent's mean */
};
struct model_trial {
    double objective; /* NaN: it failed, or is under way */
    const double *values;
    uint64_t wall_ns; /* told trials; 0: unknown */
};
struct model_parameter { /* for people: what was taken from the record, and how surely it is known */
    char name[80], text[120];
    unsigned n; /* observations; 0: assumed */
    bool assumed;
};
#define MODEL_PARAMETERS_MAX 80
struct model {
    struct arena arena;
    unsigned variables;
    bool choice[SPACE_VARIABLES_MAX]; /* distance of two values: equal or not */
    unsigned stage_count, agent_count;
    struct model_stage stages[PIPELINE_STAGES_MAX];
    struct model_agent agents[PIPELINE_AGENTS_MAX];
    struct model_trial *trials; /* by number */
    unsigned trial_count, told;
    unsigned cores;
    double
        crowding; /* computing takes so many times as long: what other programs took of the cores; 1: nothing */
    uint64_t commit_ns;
    uint64_t begin_ns; /* before the first trial was asked for */
    struct model_parameter parameters[MODEL_PARAMETERS_MAX];
    unsigned parameter_count;
};
/* `cores`: of this machine, where the record does not say. */
MUST_CHECK enum troupe_error model_fit(const struct run_record *record, unsigned cores,
                                       struct account *account, struct model **ret_model,
                                       struct fault *fault);
void model_free(struct model *model); /* NULL is fine */

/* ---- what is changed besides the pipeline ---- */
struct assumption { /* "train/0.speed=0.5", "stages.train.time=0.5" */
    enum { ASSUME_SPEED, ASSUME_TIME, ASSUME_CORES } kind;
    char agent[64]; /* SPEED: its name; TIME: the stage's */
    int instance;   /* SPEED; -1: all */
    double factor;
};
#define ASSUMPTIONS_MAX 32
MUST_CHECK enum troupe_error assumption_parse(const char *text, const struct pipeline *pipeline,
                                              struct assumption *ret, struct fault *fault);

/* ---- one run in virtual time ---- */
/* The record is of a run under way: its trials are what they were, configurations and times; of the others the times are
 * drawn from what `trend` leaves open. A task that had begun at `known_until_ns` of the simulated clock, and is not in
 * the record, ends later. */
struct trend;
struct under_way {
    struct trend *trend;
    uint64_t known_until_ns;
    uint64_t
        seed; /* of the draw; two that differ in the sign alone lie on either side of the most likely one */
    double sign; /* 1, -1; 0: the most likely one */
};
struct simulation {
    const struct model *model;
    const struct pipeline *pipeline; /* as changed; only read */
    const struct assumption *assumptions;
    unsigned assumption_count;
    uint64_t seed;
    bool resample;                     /* what the record does not hold exactly is drawn anew for each seed */
    const struct under_way *under_way; /* NULL: the record is of a run that ended */
};
struct simulated {
    enum run_state state;
    uint64_t wall_ns;
    unsigned told, failed;
    unsigned trial_count; /* of the three below, in the order in which they were told */
    uint32_t *trials;
    uint64_t *trial_wall_ns;
    uint64_t *told_at_ns;         /* since the start */
    double commit_mean_ns;        /* from told to durable */
    double core_wait;             /* for each ns of CPU so many that a worker waited for a core */
    double executing, cores_busy; /* fractions: of agents x wall, of cores x wall */
    uint64_t agent_wait_ns, coordination_ns, reuse_wait_ns, store_ns, transfer_ns,
        stage_ns[PIPELINE_STAGES_MAX];
    uint64_t events, signature;
    struct account *account;
};
MUST_CHECK enum troupe_error simulate_run(const struct simulation *simulation, struct account *account,
                                          struct simulated *ret, struct fault *fault);
void simulated_free(struct simulated *simulated);

/* ---- what is expected ---- */
#define PREDICT_REPLICATIONS 16
#define PREDICT_NOISE 0.03       /* of a time, from one run to the next: one standard deviation, assumed */
enum figure {                    /* of a run; figure_table tells name and unit */
              FIGURE_WALL,       /* ms */
              FIGURE_THROUGHPUT, /* trials a second */
              FIGURE_TRIALS,
              FIGURE_TRIAL_MEAN, /* ms, of the wall times of told trials; so are the next two */
              FIGURE_TRIAL_P50,
              FIGURE_TRIAL_P95,
              FIGURE_AGENTS_BUSY, /* percent of agents x wall */
              FIGURE_CORES_BUSY,  /* percent of cores x wall */
              FIGURE_COUNT
};
extern const struct figure_row { const char *name, *unit; } figure_table[FIGURE_COUNT];
struct estimate {
    double value, low, high; /* 90 % of the time between the last two */
};
struct prediction {
    struct estimate figures[FIGURE_COUNT];
    char limit[160]; /* what limits the run as predicted */
    unsigned replications;
    uint64_t events;    /* of all replications: what it cost */
    uint64_t signature; /* of all of them together */
};
struct prediction_request {
    const struct model *model;
    const struct pipeline *pipeline;
    const struct assumption *assumptions;
    unsigned assumption_count;
    uint64_t seed;
    unsigned replications; /* 0: PREDICT_REPLICATIONS */
    /* Room for FIGURE_COUNT x replications: each replication's figures, by figure; NULL: not wanted. */
    double *replicated;
};
MUST_CHECK enum troupe_error predict(const struct prediction_request *request, struct account *account,
                                     struct prediction *ret, struct fault *fault);
/* The same figures as a record has them. */
void measured_figures(const struct run_record *record, double ret_figures[FIGURE_COUNT]);

/* Parts of this door; each stands on what is above. */
#include "simulate/change.h"
#include "simulate/rank.h"
#include "simulate/prediction_log.h"
#include "simulate/prediction_score.h"
#include "simulate/quote.h"
#include "simulate/replay.h"

#endif
