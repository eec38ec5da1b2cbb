/* run_view: what a person sees of a run while it runs: the live display on a terminal, plain lines elsewhere,
 * nothing when quiet. It is the observer of run_execute.
 *
 * Threads: the observer's calls come one at a time from any worker; open and close on the main thread. Memory:
 * the outlet's. */
#ifndef CLI_RUN_VIEW_H
#define CLI_RUN_VIEW_H

#include "cli/live_display.h"
#include "cli/run_quote.h"

struct run_view {
    struct outlet *outlet;
    struct live_display display;
    struct run_quote *quotes;        /* the caller's; may be NULL */
    const struct told_quote *spoken; /* the last one that had a line; NULL: none */
    bool live, quiet;
};
/* `file`: stdout or stderr. `quotes` are asked at each event, and shown; NULL: none. */
MUST_CHECK enum troupe_error run_view_open(struct run_view *view, struct env *env, struct account *account,
                                           FILE *file, bool quiet, struct run_quote *quotes);
struct run_observer run_view_observer(struct run_view *view);
void run_view_close(struct run_view *view); /* everything said is written, the display is gone */

#endif
