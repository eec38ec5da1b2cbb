/* rank: every lever that a pipeline has, each tried in virtual time, the best first.
 *
 * All are tried under the same seeds as the pipeline without them, so that the difference of two is not noise. The
 * effort is counted in events, never in time: the same request gives the same ranking, bit for bit.
 * Threads: any one. Memory: a ranking is one block of the caller's account. Failure: as predict; LIMIT when one
 * simulated run of each would cost more than the request allows. A lever that cannot be pulled (the resources do not
 * suffice) is left out. */
#ifndef SIMULATE_RANK_H
#define SIMULATE_RANK_H

enum lever_kind {
    LEVER_MORE,     /* instances of an agent */
    LEVER_HAND,     /* how tasks are handed to a worker: batch_max, window */
    LEVER_REUSE,    /* of a stage's results: on or off */
    LEVER_SEARCH,   /* trials in flight, K of a deterministic search */
    LEVER_RESOURCE, /* more of a counted one */
    LEVER_FASTER,   /* assumed: a stage in half its time: what optimising it gains at most */
    LEVER_CORES,    /* assumed: one core more */
    LEVER_FEWER,    /* instances: what could be given back */
    LEVER_BUDGET    /* more or less to do: no gain, but what it costs */
};
#define LEVER_SETS_MAX 6
struct lever {
    enum lever_kind kind;
    bool assumed;    /* sets[0] is for --assume: nothing that a definition says */
    bool impossible; /* the definition that it makes is refused */
    unsigned set_count;
    char sets[LEVER_SETS_MAX][96]; /* "agents.train.instances=3" */
    char text[120];                /* "one more instance of 'train' (3)" */
    struct prediction prediction;
    /* Percent of the goal's figure, positive: better; from the pairs of replications, 90 %. */
    double gain, gain_low, gain_high;
    bool nothing; /* the gain is below what could be told from nothing */
};
#define LEVERS_MAX 96
struct lever_list {
    unsigned count, left_out;
    struct lever levers[LEVERS_MAX + 1]; /* the last is for those that are left out */
};
/* Of this pipeline, untried, in a fixed order. `cores`: of the machine. */
void lever_list_make(const struct pipeline *pipeline, unsigned cores, struct lever_list *ret);

#define GAIN_MIN 2.0 /* percent: less cannot be told from nothing by one run */
#define RANK_EVENTS 3000000u
#define RANK_REPLICATIONS 8
struct rank_request {
    struct env *env; /* for definitions: file names */
    const struct model *model;
    const struct pipeline *pipeline;
    const struct assumption *assumptions;
    unsigned assumption_count;
    uint64_t seed;
    uint64_t
        events_max; /* in all: LIMIT beyond; 0: RANK_EVENTS, or one replication of each whatever it costs */
};
struct ranking {
    struct prediction base; /* with as many replications as each lever had */
    enum figure goal;       /* FIGURE_WALL; FIGURE_TRIALS when the deadline ends the run */
    struct lever_list list; /* gains first, what costs last; budgets behind */
};
MUST_CHECK enum troupe_error rank_levers(const struct rank_request *request, struct account *account,
                                         struct ranking **ret_ranking, struct fault *fault);
void ranking_free(struct ranking *ranking, struct account *account); /* NULL is fine */
/* The definition that the lever makes of `pipeline`; of an assumed one, the pipeline anew. */
MUST_CHECK enum troupe_error lever_pipeline(struct env *env, struct account *account,
                                            const struct pipeline *pipeline, const struct lever *lever,
                                            struct pipeline **ret_pipeline, struct fault *fault);

#endif
