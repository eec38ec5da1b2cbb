/* run_listing: the runs in a directory, each in a few words, newest first.
 *
 * Threads: the main thread. Memory: one array on the account, freed by run_listing_free. Failure: a run that
 * cannot be read is listed with its reason; only the directory itself is an error. */
#ifndef CLI_RUN_LISTING_H
#define CLI_RUN_LISTING_H

#include "cli/command.h"
#include "pipeline/pipeline.h"

struct run_brief {
    char id[128];
    bool live;
    enum run_state state; /* RUNNING and not live: interrupted */
    uint64_t told, failed;
    char metric[64];
    bool maximise, has_best;
    double best;
    int64_t updated_utc_ns;
    char problem[200]; /* empty: it could be read */
};
struct run_listing {
    struct account *account;
    struct run_brief *runs;
    size_t count;
};
/* An absent directory is an empty listing. */
MUST_CHECK enum troupe_error run_listing_read(struct env *env, struct account *account, const char *directory,
                                              struct run_listing *ret_listing, struct fault *fault);
void run_listing_free(struct run_listing *listing);
const char *run_brief_state(const struct run_brief *brief); /* "running", "interrupted", "finished", ... */
enum run_wanted {
    RUN_WANTED_ANY,
    RUN_WANTED_INTERRUPTED, /* it was not done when it ended */
    RUN_WANTED_CUT          /* or its deadline ended it: it is to have a later one */
};
/* The id of the newest run that is wanted; NOT_FOUND says what there is. `ret_id` is in the session's arena. */
MUST_CHECK enum troupe_error run_listing_newest(struct session *session, const char *directory,
                                                enum run_wanted wanted, const char **ret_id,
                                                struct fault *fault);
/* `id`, when runs/ID is there; the newest run when it is NULL. NOT_FOUND names the nearest one. */
MUST_CHECK enum troupe_error run_listing_choose(struct session *session, const char *directory,
                                                const char *id, const char **ret_id, struct fault *fault);

#endif
