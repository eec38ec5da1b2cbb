/* agent: programs and plugins that do tasks. One agent is one or more instances; each instance is one actor,
 * which owns one child process (or one plugin, or one function), a bounded queue, and the honesty of its
 * answers.
 *
 * Job:     agent_start spawns the instances and registers a row for each: namespace "agents", name
 *          "NAME/INSTANCE", opaque `struct agent_profile`, capabilities as declared, health UP; DRAINING
 *          after AGENT_DRAIN, DOWN once it gave up. An instance answers OFFER (by reply), ends each accepted
 *          task with one TASK_ENDED to the actor that offered it, obeys TASK_CANCEL, sends TASK_PROGRESS to
 *          the task's owner, and AGENT_EVENT to the coordinator.
 * Threads: agent_start before runtime_run, or on worker 0 (in a turn of a pinned actor) while it runs;
 *          agents_drain, agents_statistics and the readers from any thread. Instances with children are
 *          pinned to worker 0, where their lines arrive: no line costs a thread hop.
 * Memory:  texts, arrays, the names and the account of a spec are not copied: they live until agents_free,
 *          which is called after runtime_free. Results are charged to the account of their task.
 * Failure: what cannot work at all (no program named, a plugin that cannot be opened) fails agent_start;
 *          what a child does is never an error of the floor: it ends tasks with WORKER, PROTOCOL, TIMEOUT,
 *          LIMIT or CANCELLED and a message that names the agent, and is told as AGENT_EVENT.
 * Invariants: an accepted task ends exactly once, whatever the child does; an answer counts only for the
 *             attempt that is with this child; queue, window, lines, restarts and logs are bounded. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/worker_main.h"
#include "registry/registry.h"
#include "task/task.h"

enum agent_kind {
    AGENT_COMMAND, /* argv: a program that speaks the worker protocol */
    AGENT_ONCE,    /* argv: any command, run once for each task through `worker-once` */
    AGENT_NATIVE,  /* plugin: a shared module (troupe_plugin.h); in a child unless `in_process` */
    AGENT_FUNCTION /* execute: a C function of this process */
};

/* Runs one task; may not touch the task. NOMEM: no result; otherwise *ret_result (of task->account) says how
 * it went. */
typedef enum troupe_error (*agent_function)(void *arg, const struct task *task,
                                            struct task_result **ret_result);

#define AGENT_BATCH_MAX 64 /* line_send keeps a line's tasks on the stack */
struct agent_spec {
    const char *name;
    enum agent_kind kind;
    const char *const *argv;    /* COMMAND, ONCE; NULL-terminated */
    const char *const *metrics; /* ONCE: what to look for in the output; NULL-terminated, may be NULL */
    const char *plugin;         /* NATIVE: its path */
    bool in_process;            /* NATIVE: `isolate: false` */
    agent_function execute;     /* FUNCTION; called for different instances at the same time */
    void *execute_arg;
    bool execute_inline; /* FUNCTION: inside the turn (trusted, microseconds); otherwise as a job */

    struct capability_set capabilities;
    const struct capability_names *capability_names;
    struct resources resources; /* registered with each instance */
    const char *options_json;   /* `options` of start; NULL: {} */
    unsigned instances;         /* that are started; 0: 1 */
    unsigned instances_max;     /* that agents_add may make of them; 0: `instances` */
    unsigned window;            /* tasks with the worker at a time; 0: batch_max, or 1 */
    unsigned batch_max;         /* tasks in one line to it; 0: 1 */
    uint64_t batch_wait_ns;     /* an idle worker waits so long for a whole batch; 0: not at all */
    unsigned queue_len_max; /* tasks it holds, those with the worker included; 0: 64, at least 2 windows */

    const char *const *environment; /* "NAME=value", NULL-terminated; {instance} is replaced; may be NULL */
    const char *directory;          /* of the children; NULL: ours */
    const char *log_path; /* standard error and `log` lines are appended; NULL: only the last line is kept */

    uint64_t start_timeout_ns;   /* until hello; 0: 10 s */
    uint64_t timeout_ns;         /* of a task that has none of its own; 0: none */
    uint64_t stop_grace_ns;      /* after a cancel, until SIGKILL; 0: 5 s */
    uint64_t cancel_grace_ns;    /* the same when a whole run is cancelled; 0: 50 ms */
    size_t worker_line_max;      /* bytes of a line, either way; 0: 1 MiB */
    unsigned restarts_max;       /* deaths survived within restart_window_ns and since an answer; 0: 5 */
    uint64_t restart_window_ns;  /* 0: 60 s */
    uint64_t restart_backoff_ns; /* before the first restart, doubled up to 5 s; 0: 100 ms */

    actor_ref coordinator; /* gets AGENT_EVENT; 0: nobody */
    struct account *account;
};

struct agents; /* the instances of one agent */

/* `registry` may be NULL: nothing is registered. On failure nothing is left running. */
MUST_CHECK enum troupe_error agent_start(struct runtime *runtime, struct registry *registry,
                                         const struct agent_spec *spec, struct agents **ret_agents,
                                         struct fault *fault);
/* Starts instance `number`, below instances_max, which was never started or whose actor has ended: in a turn of a pinned
 * actor, or on worker 0. On failure nothing of it is left running. */
MUST_CHECK enum troupe_error agents_add(struct runtime *runtime, struct registry *registry,
                                        struct agents *agents, unsigned number, actor_ref *ret_actor,
                                        struct fault *fault);
/* Those with a number below it were started at least once. */
unsigned agents_count(const struct agents *agents);
actor_ref agents_actor(const struct agents *agents, unsigned instance);
const char *agents_name(const struct agents *agents);
/* Sends AGENT_DRAIN to each: no more offers, what was accepted is finished, the child is stopped (stop, end
 * of input; SIGTERM to its group after 1 s, SIGKILL after 5 s), the actor ends: monitor it to know when. */
void agents_drain(struct runtime *runtime, struct agents *agents);
void agents_free(struct agents *agents); /* after runtime_free; NULL is fine */

struct agent_statistics { /* of one instance; `since` the actor's start */
    uint64_t offers, accepted, refused, revoked;
    uint64_t ended_ok, ended_failed, ended_cancelled; /* + held: accepted */
    uint64_t held, at_worker;                         /* now */
    uint64_t busy_ns; /* a task was with the worker: the sum of its tasks' execution, which never overlaps */
    uint64_t cpu_ns;  /* of its tasks */
    uint64_t starts, deaths, kills; /* of the child */
    uint64_t stale_answers, protocol_errors, progress_dropped, log_bytes_dropped, events_dropped;
    uint64_t lines_in, lines_out, bytes_in, bytes_out;
    uint64_t started_ns, ended_ns; /* of the actor; ended 0: still there */
    int64_t pid;                   /* of the child; 0: none */
};
void agents_statistics(const struct agents *agents, unsigned instance, struct agent_statistics *ret);

/* The hidden command `worker-exec`, through which each child is started. argv: [--parent PID] -- PROGRAM
 * ARGS... Runs in the child, becomes the program, or returns: 127 no such program, 126 it cannot be run. */
int worker_exec_main(int argc, char **argv);

#endif
