/* prediction_log: every prediction that was told to somebody, kept beside the runs (RUNS/.predictions/) with what was
 * measured of the same thing later.
 *
 * Rows are only added: a measurement is a row of its own that names its prediction. One process writes at a time, for a
 * moment; another one waits for it, a bounded time.
 * Threads: any that may block. Memory: a log that was read owns its texts. Failure: LOCKED: others kept writing; LIMIT:
 * the log is full; and what a store fails with. A prediction that cannot be kept is a warning, never the end of a
 * command: what was asked for was told. */
#ifndef SIMULATE_PREDICTION_LOG_H
#define SIMULATE_PREDICTION_LOG_H

#define PREDICTION_DIRECTORY ".predictions" /* in the directory of the runs */
#define PREDICTIONS_BYTES_MAX (64u << 20)   /* of the file; some 60,000 predictions */

struct prediction_entry {
    char kind[16];       /* "quote", "whatif", "scenario" */
    char run[128];       /* whose record it was made from; of a quote: itself */
    uint64_t inputs;     /* prediction_inputs() */
    uint64_t definition; /* pipeline_identity() as changed; 0: something is assumed that no run can measure */
    uint64_t data;       /* hash of its data; 0: not known */
    char version[32];    /* of the code: TROUPE_VERSION */
    const char *changes; /* JSON: a list of "PATH=VALUE"; NULL: none */
    double progress;     /* quote: part of its trials told when it was made */
    unsigned assumed;    /* parameters of the model without evidence */
    struct estimate figures[FIGURE_COUNT]; /* NaN: not predicted */
    int64_t utc_ns;                        /* 0: now */

    char measured_run[128];        /* empty: not measured yet */
    double measured[FIGURE_COUNT]; /* NaN: not known */
    char cause[160];               /* of what was off; empty: not looked for */
    int64_t id;                    /* the log's; filled in when it is read */
};
/* Of the model, the pipeline, what is assumed and the seed: the same give the same prediction by the same code, but for
 * the number of replications. */
uint64_t prediction_inputs(const struct prediction_request *request);
/* Of whatever is told from `prediction` of `request`, by a pipeline whose data have that hash. */
void prediction_entry_make(const struct prediction_request *request, const struct prediction *prediction,
                           uint64_t data_hash, struct prediction_entry *ret);

/* All or none. Entries that have been measured already are kept with that. */
MUST_CHECK enum troupe_error prediction_log_keep(struct env *env, struct account *account,
                                                 const char *runs_directory,
                                                 const struct prediction_entry *entries, size_t count,
                                                 struct fault *fault);
/* Adds what was measured, in `entries` that were read. */
MUST_CHECK enum troupe_error prediction_log_measured(struct env *env, struct account *account,
                                                     const char *runs_directory,
                                                     const struct prediction_entry *const *entries,
                                                     size_t count, struct fault *fault);

struct prediction_log {
    struct arena arena;
    struct prediction_entry *entries; /* oldest first */
    size_t count;
};
/* No log at all is an empty one. */
MUST_CHECK enum troupe_error prediction_log_read(struct env *env, struct account *account,
                                                 const char *runs_directory, struct prediction_log **ret_log,
                                                 struct fault *fault);
void prediction_log_free(struct prediction_log *log); /* NULL is fine */

#endif
