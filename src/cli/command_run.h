/* command_run: what `troupe run` does with a request, for a command that runs something on the way (`whatif --verify`).
 * Threads: the main thread. Memory: the outcome is the caller's. */
#ifndef CLI_COMMAND_RUN_H
#define CLI_COMMAND_RUN_H

#include "cli/run_quote.h"
#include "cli/run_request.h"

/* Carries it out and shows it: on stdout, or on stderr when it asks for JSON. `quotes`: filled on the way; NULL: none are
 * made. CANCELLED: it was stopped. */
MUST_CHECK enum troupe_error run_carry_out(struct session *session, const struct run_request *request,
                                           struct run_quote *quotes, struct run_outcome *outcome,
                                           struct fault *fault);
/* The run is over and safe: a report that cannot be written is told and changes nothing else. */
void run_carry_report(struct session *session, const struct run_request *request,
                      const struct run_outcome *outcome);

#endif
