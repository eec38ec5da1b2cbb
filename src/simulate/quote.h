/* quote: what is expected of a run under way, from its record: when it will be done, how many trials its deadline
 * leaves room for, and, when that is too few, what would have made room.
 *
 * Threads: any one that may block; the live run is not touched. Memory: plain data. Failure: INVALID: too little is
 * known yet, or there is no end to be quoted; CANCELLED: it was; else as run_record_read and simulate_run. */
#ifndef SIMULATE_QUOTE_H
#define SIMULATE_QUOTE_H

#include <stdatomic.h>

struct quote {
    unsigned at_trials;      /* told when it was made */
    uint64_t at_ns;          /* running time at the last of them */
    unsigned trials;         /* its budget; 0: as many as there is time for */
    uint64_t deadline_ns;    /* 0: none */
    struct estimate wall_ms; /* until its trials are done, were there no deadline; NaN: trials is 0 */
    struct estimate ends_ms; /* until it ends, as it is */
    struct estimate fits;    /* trials told by the deadline, were as many asked for; NaN: no deadline */
    bool fits_more;          /* than were tried: there `fits` stopped */
};
struct quote_options {
    unsigned cores; /* of this machine */
    /* The budget as it is now; the record has that of the beginning. */
    unsigned trials;
    uint64_t deadline_ns;
    uint64_t seed;
    atomic_bool *cancel; /* looked at between replications; NULL: never */
};
MUST_CHECK enum troupe_error quote_of(const struct run_record *record, const struct quote_options *options,
                                      struct account *account, struct quote *ret_quote, struct fault *fault);

/* When the trials do not fit: a few changes of the pipeline (instances, hand-over, trials in flight) are tried, the best
 * one first, then the best one on top of it. */
#define QUOTE_ROUNDS 3
struct quote_offer {
    bool fits; /* with these changes all trials would fit, had the run been started so */
    unsigned tried;
    unsigned set_count;
    char sets[QUOTE_ROUNDS * LEVER_SETS_MAX][96];
    double wall_ms;
};
MUST_CHECK enum troupe_error quote_offer(struct env *env, const struct run_record *record,
                                         const struct quote *quote, const struct quote_options *options,
                                         struct account *account, struct quote_offer *ret_offer,
                                         struct fault *fault);

#endif
