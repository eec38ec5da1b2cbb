/* outlet: text on its way to a terminal, a pipe or a file, without ever holding up who says it.
 *
 * The run's turns must not wait for a slow reader or a stopped terminal (Ctrl-S), so text is gathered and
 * written by a job on the pool, one at a time. Bounded: what a reader does not take within OUTLET_BYTES_MAX is
 * dropped by whole calls and counted. A reader that has gone (EPIPE) is no error: the rest is dropped.
 * Threads: one speaker at a time, any thread; outlet_close on the main thread after the run. Memory: on the
 * account. */
#ifndef CLI_OUTLET_H
#define CLI_OUTLET_H

#include <stdio.h>

#include "env/env.h"

#define OUTLET_BYTES_MAX (1 << 20)

struct outlet;
MUST_CHECK enum troupe_error outlet_create(struct env *env, struct account *account, FILE *file,
                                           struct outlet **ret_outlet);
void outlet_add(struct outlet *outlet, const char *bytes, size_t length);
/* Starts writing what was added, unless a write is under way: then the next flush takes it along. */
void outlet_flush(struct outlet *outlet);
/* True while the reader has not taken what was flushed: a frame more would only pile up. */
bool outlet_busy(const struct outlet *outlet);
/* Waits for the job, writes the rest, frees. NULL is fine. */
void outlet_close(struct outlet *outlet);

#endif
