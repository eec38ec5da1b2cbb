/* run_view: what a person sees of a run while it runs: the live display on a terminal, plain lines elsewhere,
 * nothing when quiet. It is the observer of run_execute.
 *
 * Threads: the observer's calls come one at a time from any worker; open and close on the main thread. Memory:
 * the outlet's. */
#ifndef CLI_RUN_VIEW_H
#define CLI_RUN_VIEW_H

#include "cli/live_display.h"

struct run_view {
    struct outlet *outlet;
    struct live_display display;
    bool live, quiet;
};
/* `file`: stdout or stderr, whose descriptor it then is. */
MUST_CHECK enum troupe_error run_view_open(struct run_view *view, struct env *env, struct account *account,
                                           FILE *file, int descriptor, bool quiet);
struct run_observer run_view_observer(struct run_view *view);
void run_view_close(struct run_view *view); /* everything said is written, the display is gone */

#endif
