/* run_quote: the quotes of a run while it is under way: when one is made, and by whom.
 *
 * The first one after a twentieth of the trials (three at least, a hundred at most) or of the time there is; the next
 * whenever there are 1.4 times as many (twice as many from 200 on), and as long as quoting has not cost more than half a
 * percent of the machine. A quote is a job on the pool, one at a time: it reads the record by a connection of its own and
 * simulates in its own thread; the engine's turns only start it and take its result.
 * Threads: run_quote_event in the observer's calls; the rest on the main thread, before and after the run. Memory: plain
 * data of the caller; a job's own on the session's account. Failure: a quote that cannot be made is not there. */
#ifndef CLI_RUN_QUOTE_H
#define CLI_RUN_QUOTE_H

#include "simulate/simulate.h"

#define RUN_QUOTES_MAX 16

struct told_quote {
    struct quote quote;
    uint64_t cpu_ns; /* what it cost */
    bool has_offer;
    struct quote_offer offer;
};
struct run_quote {
    struct env *env;
    struct account *account;
    const char *runs_directory; /* NULL: no quotes */
    /* owner: observer */
    struct told_quote quotes[RUN_QUOTES_MAX];
    unsigned count;
    unsigned next_told; /* a quote when so many trials are told; 0: not known yet */
    unsigned offered_told;
    uint64_t spent_ns;
    /* owner: the job while it is busy, else the observer */
    struct env_job job;
    char run_id[128];
    unsigned instances[PIPELINE_AGENTS_MAX]; /* of each agent, at its start */
    struct quote_options options;
    bool wants_offer, made;
    struct told_quote result; /* its cost 0: there is none */
    /* any thread */
    atomic_bool busy, cancel;
};
void run_quote_open(struct run_quote *quote, struct env *env, struct account *account,
                    const char *runs_directory);
/* True: there is a new one, quotes[count - 1]. */
bool run_quote_event(struct run_quote *quote, const struct run_event *event);
void run_quote_close(struct run_quote *quote); /* no job is under way afterwards */

#endif
