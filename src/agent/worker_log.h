/* worker_log: what one child wrote to standard error, and its `log` lines, appended to the run's log with
 * "[agent/instance] " before each line.
 *
 * Appending blocks, so a job does it: at most one at a time, from a second buffer; lines gather meanwhile,
 * bounded at 256 KiB; past that they are dropped, counted and said so in the log.
 * Threads: the instance's, but for the job.
 * Memory:  counted references (owner and job); whoever lets go last writes what is left and closes the file. */
#ifndef AGENT_WORKER_LOG_H
#define AGENT_WORKER_LOG_H

#include "runtime/runtime.h"

#define WORKER_LOG_PENDING_MAX (256 * 1024)

struct worker_log;
MUST_CHECK enum troupe_error worker_log_open(struct env *env, struct account *account, const char *path,
                                             const char *prefix, struct worker_log **ret_log,
                                             struct fault *fault);
/* Raw bytes of a stream, in any cuts. Returns the bytes dropped. */
size_t worker_log_stream(struct worker_log *log, const char *bytes, size_t length);
/* One line of its own, whatever the stream is in the middle of. Returns the bytes dropped. */
size_t worker_log_line(struct worker_log *log, const char *text);
/* Starts a job when there is something to write and none runs. A refusal is harmless: ask again after a turn.
 */
void worker_log_flush(struct worker_log *log, struct turn *turn, uint64_t token);
void worker_log_flushed(struct worker_log *log);       /* JOB_DONE of that token */
bool worker_log_waiting(const struct worker_log *log); /* something to write, and no job runs */
void worker_log_release(struct worker_log *log);       /* the owner's reference; NULL is fine */

#endif
