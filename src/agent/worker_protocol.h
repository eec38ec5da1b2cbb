/* worker_protocol: the lines of doc/worker-protocol.md, written and read. Pure: no child, no clock, no
 * actor.
 *
 * Threads: the caller's.
 * Memory:  a read line owns its document; everything in it lives until worker_line_free.
 * Failure: PROTOCOL with the start of the line and what was expected; NOMEM. What is wrong inside a result
 *          (a value that is too long, a metric that is no number) is the task's failure, not the line's: see
 *          worker_line_result. */
#ifndef AGENT_WORKER_PROTOCOL_H
#define AGENT_WORKER_PROTOCOL_H

#include "document/document.h"
#include "task/task.h"

#define WORKER_PROTOCOL_VERSION 1
#define WORKER_ID_MAX 255
#define WORKER_VALUE_MAX 65536
#define WORKER_PROGRESS_METRICS_MAX 4

struct agent_spec;

/* ---- written; each ends with a newline. Failures are sticky in the buffer. ---- */
void worker_write_start(struct buffer *out, const struct agent_spec *spec, unsigned instance);
void worker_write_task(struct buffer *out, const struct task *task, const char *id, uint64_t remaining_ns);
void worker_write_tasks_begin(struct buffer *out);
void worker_write_tasks_item(struct buffer *out, const struct task *task, const char *id,
                             uint64_t remaining_ns, bool first);
void worker_write_tasks_end(struct buffer *out);
void worker_write_cancel(struct buffer *out, const char *id, uint64_t grace_ns);
void worker_write_stop(struct buffer *out);
/* RUN/TRIAL/STAGE/ATTEMPT; the run's number stands for a name that would make it too long. */
void worker_task_id(const struct task *task, char out[WORKER_ID_MAX + 1]);

/* ---- read ---- */
enum worker_line_type {
    WORKER_HELLO,
    WORKER_RESULT,
    WORKER_ERROR,
    WORKER_PROGRESS,
    WORKER_LOG,
    WORKER_UNKNOWN
};
struct worker_line {
    enum worker_line_type type;
    struct document *document;
    const struct node *root;
    const char *type_text;
    const char *id;   /* NULL: none (ERROR, LOG, UNKNOWN, HELLO) */
    uint32_t attempt; /* 0: absent (PROGRESS and what has no id) */
};
/* `bytes` without the newline. */
MUST_CHECK enum troupe_error worker_line_read(const char *bytes, size_t length, struct worker_line *ret_line,
                                              struct fault *fault);
void worker_line_free(struct worker_line *line);

/* HELLO: checks its protocol and that it has all of `needed`. PROTOCOL names both sides. */
MUST_CHECK enum troupe_error worker_line_hello(const struct worker_line *line,
                                               const struct capability_set *needed,
                                               const struct capability_names *names, struct fault *fault);
/* RESULT or ERROR into a result of `account`; wrong contents become a result with error PROTOCOL or LIMIT
 * that says so. cpu_ns and core_wait_ns are what the worker reported, or 0 and CORE_WAIT_UNKNOWN. NOMEM: no
 * result. `scratch` is emptied and used. */
MUST_CHECK enum troupe_error worker_line_result(const struct worker_line *line, struct account *account,
                                                struct buffer *scratch, struct task_result **ret_result);
/* PROGRESS: step and up to 4 metrics; what is not a finite number is left out. */
void worker_line_progress(const struct worker_line *line, struct message_task_progress *ret);
/* LOG, and ERROR without an id: its text; never NULL. */
const char *worker_line_text(const struct worker_line *line);

/* At most `size` - 1 bytes of `bytes` fit for a message to a person: control characters and bytes that are
 * not UTF-8 as \xNN, "..." at the end when there was more. Returns out. */
char *worker_quote(const char *bytes, size_t length, char *out, size_t size);

#endif
