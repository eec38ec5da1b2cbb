/* run_lines: a run told in plain lines, for logs, pipes and dumb terminals.
 *
 * Threads: the observer's calls come one at a time. Memory: plain data of the caller. */
#ifndef CLI_RUN_LINES_H
#define CLI_RUN_LINES_H

#include <stdio.h>

#include "pipeline/pipeline.h"

/* What an event says in one line without the newline, or NULL when it has nothing to say. */
const char *run_line_text(const struct run_event *event, char *out, size_t size);

/* "lr=0.01 depth=3": the active variables. Returns out. */
const char *run_configuration_text(const struct space *space, const struct configuration *configuration,
                                   char *out, size_t size);
/* A variable's value for people: floats with four significant digits. Returns out. */
const char *run_value_text(const struct variable *variable, double value, char *out, size_t size);

#endif
