/* prediction_score: runs that measured what was predicted, and how good the predictions were.
 *
 * A run measures a prediction that was made before it began when its definition and its data are the same; a quote is
 * measured by its own run. Runs that ended by themselves count, in one go: a stopped or resumed one measures something
 * else. The same prediction, asked for twice, is scored once.
 * Threads: any that may block. Memory: nothing is kept but in the log. Failure: a run that cannot be read measures
 * nothing; NOMEM. */
#ifndef SIMULATE_PREDICTION_SCORE_H
#define SIMULATE_PREDICTION_SCORE_H

/* Fills in, and keeps in the log, what run `run_id` measured (NULL: every run in the directory; the earliest counts).
 * When the log cannot be written, what was found is in `log` all the same; `ret_matched` tells of how many. */
MUST_CHECK enum troupe_error prediction_match(struct env *env, struct account *account,
                                              const char *runs_directory, const char *run_id,
                                              struct prediction_log *log, unsigned *ret_matched,
                                              struct fault *fault);
/* Why a run went otherwise than predicted from `base` (NULL: it is gone): the largest difference between the two, in
 * words; empty when the prediction was good. */
void prediction_cause(const struct run_record *base, const struct run_record *measured,
                      const struct prediction_entry *entry, char out[160]);

/* As its summary has it; 0: not known. */
uint64_t record_data_hash(const struct run_record *record);

struct figure_score {
    unsigned count, held;                            /* within the 90 % interval */
    double median_error_percent, mean_error_percent; /* absolute; signed: above 0 when predicted too high */
};
struct prediction_score {
    unsigned count, repeated, scored; /* different predictions; asked for again; measured */
    struct figure_score figures[FIGURE_COUNT];
    const struct prediction_entry *worst; /* by its wall time or throughput; NULL: none scored */
    enum figure worst_figure;
    double worst_error_percent; /* signed */
};
/* 100 x (predicted / measured - 1); NaN: not both known. */
double prediction_error_percent(double predicted, double measured);
/* `kind` NULL: of every kind. */
MUST_CHECK enum troupe_error prediction_score_make(const struct prediction_log *log, const char *kind,
                                                   struct account *account, struct prediction_score *ret,
                                                   struct fault *fault);

#endif
