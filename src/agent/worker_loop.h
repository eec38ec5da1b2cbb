/* worker_loop: the worker's side of the worker protocol, shared by the programs of worker_main.h. Reads
 * lines, keeps the cancelled ids, hands tasks to a service one at a time and writes its answers.
 *
 * Runs in a child process: plain POSIX reads and writes on standard input and output, one thread. Standard
 * output is moved to a private descriptor first and descriptor 1 becomes standard error, so a print in a
 * plugin is harmless. */
#ifndef AGENT_WORKER_LOOP_H
#define AGENT_WORKER_LOOP_H

#include "document/document.h"
#include "task/task.h"

struct worker_loop;

struct worker_task {
    const struct node *members; /* the task's object */
    const char *id, *run, *stage, *capability;
    const char *artifact_directory; /* NULL: none */
    uint32_t trial, attempt;
    uint64_t deadline_ns; /* on worker_now; UINT64_MAX: none */
};

struct worker_service {
    void *context;
    const char *name;
    /* Called once, with the `start` object. A failure is told to Troupe and ends the worker. */
    enum troupe_error (*start)(void *context, const struct node *start, struct fault *fault);
    /* Writes the strings of the array in `hello`. */
    void (*capabilities)(void *context, struct json *json);
    /* Runs one task; the result's cpu_ns is sent when above 0, and with it core_wait_ns when known. NOMEM: no
     * result. */
    enum troupe_error (*task)(void *context, struct worker_loop *loop, const struct worker_task *task,
                              struct task_result **ret_result);
    /* Optional: becomes true, with `wake` readable, when the worker is to end (a signal). */
    bool (*ended)(void *context);
    int wake; /* descriptor; -1: none */
};

/* To be called before anything of others runs (dlopen does): moves the two ends of the protocol to private
 * descriptors and puts /dev/null and standard error in their place, so that no read or print of a plugin can
 * disturb it. */
struct worker_streams {
    int input, output;
};
MUST_CHECK enum troupe_error worker_streams_take(struct worker_streams *ret_streams, struct fault *fault);

/* Returns the exit status: 0 after `stop` or the end of input. Closes the streams. */
int worker_loop_run(struct account *account, const struct worker_streams *streams,
                    const struct worker_service *service);

/* The calls of a running task. Cancelled reads what has arrived meanwhile, without waiting. */
bool worker_loop_cancelled(struct worker_loop *loop, const struct worker_task *task);
/* How long a task that was cancelled may take to end: half of the time until this process is killed for it, so that there
 * is time to answer, and at most `most_ns`. */
uint64_t worker_loop_patience(const struct worker_loop *loop, const struct worker_task *task,
                              uint64_t most_ns);
bool worker_loop_input_ended(
    const struct worker_loop *loop);                   /* after a cancelled(): Troupe has closed our input */
int worker_loop_input(const struct worker_loop *loop); /* descriptor to poll; -1 when nothing more fits */
void worker_loop_progress(struct worker_loop *loop, const struct worker_task *task, int64_t step,
                          const char *metric, double value);
void worker_loop_log(struct worker_loop *loop, const struct worker_task *task, const char *text);

uint64_t worker_now(void);      /* monotonic ns */
uint64_t worker_cpu_used(void); /* ns of this process and its ended children */

#endif
