/* run_summary: the end of a run in text, from its response (the JSON object of `--json`), so that a run that
 * ends now and one that is shown later read the same.
 *
 * Threads: plain data. Memory: the caller's buffer. */
#ifndef CLI_RUN_SUMMARY_H
#define CLI_RUN_SUMMARY_H

#include "document/document.h"

/* `response`: the parsed object; NULL or parts of it may be missing: what is not known is not said. */
void run_summary_write(const struct node *response, struct buffer *out);

#endif
