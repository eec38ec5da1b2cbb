/* under_way: a run that has not ended, as its quotes see it. Private to simulate/. */
#ifndef SIMULATE_UNDER_WAY_H
#define SIMULATE_UNDER_WAY_H

#include "simulate/model.h"

/* ---- what its record does not hold ---- */
#define TREND_OBJECTIVE PIPELINE_STAGES_MAX /* the line of the objective; the others are by stage */
#define TREND_FEATURES_MAX 128
struct trend_drawn {
    double slopes[TREND_FEATURES_MAX];
    double level; /* how far all are off what is most likely */
};
MUST_CHECK enum troupe_error trend_fit(const struct model *model, const struct space *space,
                                       struct account *account, struct trend **ret_trend);
void trend_free(struct trend *trend); /* NULL is fine */
/* A line that the samples allow; `sign` 1 or -1: one on either side of the most likely one, 0: that one. */
void trend_draw(struct trend *trend, unsigned line, uint64_t seed, double sign, struct trend_drawn *ret);
/* What it says of two configurations: of the logarithms of their times, or of their scores. */
double trend_difference(const struct trend *trend, unsigned line, const struct trend_drawn *drawn,
                        const double *values, const double *from);
double trend_score(const struct trend *trend, uint32_t trial); /* of its objective; NaN: it has none */

struct resampling; /* of one replication */
MUST_CHECK enum troupe_error resampling_create(const struct simulation *simulation, struct account *account,
                                               struct resampling **ret_resampling);
void resampling_free(struct resampling *resampling); /* NULL is fine */
/* The time of an attempt that begins at `begin_ns` of the simulated clock. `values` outlive the resampling. */
struct model_sample resample(struct resampling *resampling, unsigned stage, uint32_t trial, unsigned attempt,
                             const double *values, uint64_t begin_ns);
double resample_objective(struct resampling *resampling, uint32_t trial, const double *values);

/* ---- quotes ---- */
/* As model_fit, of a record that ends in the middle. */
MUST_CHECK enum troupe_error model_fit_under_way(const struct run_record *record, unsigned cores,
                                                 struct account *account, struct model **ret_model,
                                                 struct fault *fault);
/* The last `keep` trials that were told, and those under way, as a record whose times begin at *ret_start_ns. It borrows
 * from `record`; quote_past_free gives back what is its own. NOMEM. */
MUST_CHECK enum troupe_error quote_past_cut(const struct run_record *record, unsigned keep,
                                            struct account *account, struct run_record *ret_cut,
                                            uint64_t *ret_start_ns);
void quote_past_free(struct run_record *cut, struct account *account);

/* When the trials that are not told yet are expected to be. */
struct quote_line {
    struct account *account;
    unsigned told;    /* so far */
    uint64_t at_ns;   /* running time at the last of them */
    double *steps;    /* ns after at_ns at which one, two, ... further trials are told */
    unsigned count;   /* of them */
    bool exhausted;   /* more there will not be: the space has no other configurations */
    double tail_ns;   /* from the last trial to the end of the run */
    double task_ns;   /* what a task of the longest stage takes on average */
    double deviation; /* of the logarithm of all times in it */
};
MUST_CHECK enum troupe_error quote_line_make(const struct run_record *record,
                                             const struct quote_options *options, struct account *account,
                                             struct quote_line *ret_line, struct fault *fault);
void quote_line_free(struct quote_line *line);
/* ns until so many further trials are told; beyond `count` at the pace of what is there. */
double quote_line_step(const struct quote_line *line, unsigned further);
/* How many, up to `max`, are told in that time. */
unsigned quote_line_in(const struct quote_line *line, double ns, unsigned max);

#define QUOTE_FURTHER_MAX 4u /* times its budget: how many trials are tried for the deadline */

#endif
