/* run_ending: what is said when a run has ended: the summary, the files it left, the commands that go on from
 * here. Threads: the main thread. Memory: nothing is kept. */
#ifndef CLI_RUN_ENDING_H
#define CLI_RUN_ENDING_H

#include <stdio.h>

#include "cli/run_quote.h"
#include "cli/run_request.h"

/* The words of `troupe run ...` that start the run again, quoted for a shell. */
void run_ending_write_again(const struct run_request *request, struct buffer *out);
void run_ending_print(struct session *session, const struct run_request *request,
                      const struct run_outcome *outcome, const struct run_quote *quotes, FILE *file);
/* One object on stdout: the response and the quotes, or, when there is none, what went wrong. */
void run_ending_print_json(struct session *session, const struct run_outcome *outcome,
                           const struct run_quote *quotes, enum troupe_error error,
                           const struct fault *fault);

#endif
