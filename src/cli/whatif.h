/* whatif: private to the files of `troupe whatif`: one question about a run, and what is known of the answer.
 *
 * Threads: the main thread. Memory: everything that a question holds is freed by whatif_free; texts are in the session's
 * arena. */
#ifndef CLI_WHATIF_H
#define CLI_WHATIF_H

#include "cli/whatif_scenario.h"
#include "simulate/simulate.h"

struct whatif_values {
    const char *runs;
    struct option_list sets, assumes;
    int64_t seed, replications;
    bool rank, verify, score, json;
    struct scenario_values scenario;
};

struct whatif {
    struct session *session;
    const struct whatif_values *values;
    const char *id; /* of the recorded run */
    struct run_record *record;
    struct model *model;
    uint64_t data_hash;
    double recorded[FIGURE_COUNT];

    struct option_list sets;   /* the changes: the command line's, or a lever's behind them */
    struct pipeline *pipeline; /* as changed */
    struct change_list changes;
    struct assumption assumptions[ASSUMPTIONS_MAX];
    unsigned assumption_count;

    struct prediction prediction;
    const char *measured_run; /* NULL: nothing was measured */
    double measured[FIGURE_COUNT];
    char cause[160]; /* of what was off in it */
};
struct prediction_request whatif_request(const struct whatif *whatif);
/* A prediction that cannot be kept is told, and nothing else. */
void whatif_keep(const struct whatif *whatif, const struct prediction_entry *entries, size_t count);
void whatif_keep_levers(const struct whatif *whatif, const struct lever *const *levers, unsigned count);
/* JSON of what was changed and assumed, in the session's arena; NULL: out of memory. */
const char *whatif_changes_json(const struct whatif *whatif, const struct lever *lever);

/* whatif_text.c, whatif_json.c */
MUST_CHECK enum troupe_error whatif_write_text(const struct whatif *whatif, struct buffer *out);
void whatif_write_json(const struct whatif *whatif, struct json *json);
void whatif_write_estimates(const struct estimate *figures, struct json *json); /* "predicted", "interval" */
char *whatif_figure_text(char out[32], enum figure figure, double value); /* with its unit; "-": not known */

/* whatif_verify.c: runs what was predicted. */
MUST_CHECK enum troupe_error whatif_verify(struct whatif *whatif, struct fault *fault);

/* whatif_rank.c */
MUST_CHECK enum troupe_error whatif_rank(struct whatif *whatif, struct ranking **ret_ranking,
                                         struct fault *fault);
/* The best one that can be pulled and gains something; NULL: none. */
const struct lever *whatif_best_lever(const struct ranking *ranking);
MUST_CHECK enum troupe_error whatif_rank_text(const struct whatif *whatif, const struct ranking *ranking,
                                              struct buffer *out);
void whatif_rank_json(const struct whatif *whatif, const struct ranking *ranking, struct json *json);

/* whatif_score.c: how good the predictions were that have been measured. */
MUST_CHECK enum troupe_error whatif_score(struct session *session, const struct whatif_values *values,
                                          struct buffer *out, struct fault *fault);

#endif
