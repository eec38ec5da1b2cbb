/* agent_instance: one instance of an agent, private to the floor: the actor's state and the calls between its
 * files.
 *
 *   agent.c           starts instances, holds their counters
 *   agent_instance.c  the actor: messages, timers, what is due
 *   agent_child.c     the child's life: spawn, hello, lines, death, restart, stop
 *   agent_outgoing.c  tasks from the queue to the child
 *   agent_queue.c     offers, the queue, the window, the one end of each task
 *   native_agent.c    instances without a child: functions and plugins in this process
 *
 * Threads: everything here belongs to the actor: its turns and, when it is pinned, env's callbacks on worker
 * 0 between turns. Counters are written by it alone and read from anywhere.
 *
 * Memory:  spec->account; all of it sized at start but the texts of lines. */
#ifndef AGENT_AGENT_INSTANCE_H
#define AGENT_AGENT_INSTANCE_H

#include "agent/agent.h"
#include "agent/prediction.h"
#include "agent/worker_link.h"
#include "agent/worker_log.h"
#include "agent/worker_protocol.h"

/* The state is drawn in agent_child.c. */
enum instance_state {
    INSTANCE_STARTING,   /* spawned; hello has not come */
    INSTANCE_READY,      /* nothing is with the worker */
    INSTANCE_BUSY,       /* a task is */
    INSTANCE_CANCELLING, /* one of its tasks was cancelled and is not answered */
    INSTANCE_KILLED,     /* SIGKILL sent; its end has not come */
    INSTANCE_RESTARTING, /* no child; the next one comes after a pause */
    INSTANCE_GAVE_UP,    /* no child, and none will come */
    INSTANCE_STOPPING,   /* asked to end; its end has not come */
    INSTANCE_STOPPED,    /* the actor ends after this turn */
    INSTANCE_STATE_COUNT
};

enum { INSTANCE_TOKEN_TIMER = 1, INSTANCE_TOKEN_LOG, INSTANCE_TOKEN_TASK };

#define INSTANCE_NAME_MAX 96
#define INSTANCE_NEVER UINT64_MAX

/* What ends a task that is with the worker, other than its answer. */
enum held_fate { FATE_ANSWER, FATE_TIMEOUT, FATE_CANCELLED };

/* One accepted task. In the free list, in the queue (heap), or with the worker (list, oldest first). */
struct held {
    struct heap_node node; /* first: the queue hands this back */
    struct held *next;
    double share; /* see struct instance_capability */
    struct task *task;
    struct message *ended;     /* its TASK_ENDED, made when it was accepted: an end never waits for memory */
    struct task_result *spare; /* a result without a value, for the same reason; kept over tasks */
    actor_ref offerer;
    uint64_t limit_ns; /* while executing: when it is cancelled */
    uint64_t kill_ns;  /* cancelled: when the worker is killed for it */
    uint64_t grace_ns; /* and how long that is after it was told */
    enum held_fate fate;
    bool at_worker;       /* in that list */
    bool deadline_limits; /* limit_ns is the task's deadline, not its timeout */
    char id[WORKER_ID_MAX + 1];
};

/* Where a task is that its coordinator wants back, and what it is told. */
enum held_place { HELD_NOWHERE, HELD_IN_QUEUE, HELD_BEGUN };
static inline enum revoke_answer revoke_answer_for(enum held_place place) {
    static const enum revoke_answer answers[] = {
        [HELD_NOWHERE] = REVOKE_DONE, [HELD_IN_QUEUE] = REVOKE_REVOKED, [HELD_BEGUN] = REVOKE_STARTED};
    return answers[place];
}

/* One writer, the actor; read by anyone: relaxed, they order nothing. The formatter
 * never settles on the list. */
/* clang-format off */
#define INSTANCE_COUNTERS(X)                                                                                 \
    X(offers) X(accepted) X(refused) X(revoked) X(ended_ok) X(ended_failed) X(ended_cancelled) X(held) X(at_worker)     \
    X(busy_ns) X(cpu_ns) X(starts) X(deaths) X(kills) X(stale_answers) X(protocol_errors)                    \
    X(progress_dropped) X(log_bytes_dropped) X(events_dropped) X(lines_in) X(lines_out) X(bytes_in)          \
    X(bytes_out) X(started_ns) X(ended_ns)
/* clang-format on */
struct instance_counters {
#define X(name) _Atomic uint64_t name;
    INSTANCE_COUNTERS(X)
#undef X
    _Atomic int64_t pid;
};
#define COUNT(instance, name, amount)                                                                        \
    atomic_store_explicit(&(instance)->counters->name,                                                       \
                          atomic_load_explicit(&(instance)->counters->name, memory_order_relaxed) +          \
                              (uint64_t)(amount),                                                            \
                          memory_order_relaxed)
#define GAUGE(instance, name, value)                                                                         \
    atomic_store_explicit(&(instance)->counters->name, (value), memory_order_relaxed)
#define COUNTED(instance, name) atomic_load_explicit(&(instance)->counters->name, memory_order_relaxed)

struct native_agent; /* a plugin's instance in this process */
struct native_run;

struct instance {
    struct agents *agents;         /* counted */
    const struct agent_spec *spec; /* defaults filled in; lives in struct agents */
    struct runtime *runtime;
    struct env *env;
    struct registry *registry; /* may be NULL */
    struct account *account;
    struct instance_counters *counters; /* in struct agents */
    actor_ref self;
    struct turn *turn; /* NULL between turns, in env's callbacks */
    unsigned number;
    char name[INSTANCE_NAME_MAX]; /* "train/0" */
    bool has_child;               /* kind with a child process */
    enum instance_state state;
    bool draining;
    bool ended; /* this life; the counters are those of all that had the number */

    /* messages to itself and replies, made early and used again */
    struct message *wake;        /* NULL: on its way */
    struct message *exit_notice; /* CHILD_EXITED; NULL: on its way */
    struct message *answer;      /* OFFER_ANSWER for when memory is short; may be NULL */

    /* tasks */
    struct held *slots, *unused;
    struct heap queue;
    struct held *worker_first, *worker_last;
    unsigned writes_refused; /* one after the other: the child has closed its input */
    unsigned held_count, at_worker;
    actor_ref offerer; /* the last one */
    bool shared;       /* there were several */
    unsigned capability_count;
    struct instance_capability {
        unsigned bit, held;
        double share;         /* of those held: their predicted times in those of one of no told size */
        uint64_t expected_ns; /* of those held: what is expected of them, which counts until one was seen */
        struct prediction prediction;
    } * capabilities;         /* those of the spec */
    uint64_t line_started_ns; /* since when the tasks of the line at the worker's head share its time */
    unsigned line_answered;   /* of them so far */

    /* the child */
    struct worker_link link;
    struct worker_log *log; /* may be NULL */
    struct buffer out;      /* what is being written */
    struct buffer scratch;  /* the value being read */
    const char **argv, **environment;
    char parent[24];         /* our pid, for worker-exec */
    enum troupe_error blame; /* of the task at the head, when we killed the child for what it did; OK: none */
    char blame_text[400];
    struct usage_meter {
        uint64_t seen_ns, charged_ns;
        double share;          /* per wall time, last seen */
    } cpu_meter, wait_meter;   /* of this child; see held_charge */
    uint64_t usage_seen_at_ns; /* when both were read */
    uint64_t spawned_ns;
    uint64_t read_ns;       /* when the last line of the piece of output at hand was read; 0: none was */
    bool wait_known;        /* then */
    uint64_t pump_again_ns; /* its input was full */

    /* restarts */
    bool had_child; /* a start that is not the first is a restart */
    bool permanent; /* why it cannot work will not change */
    char gave_up_text[400];
    uint64_t *deaths; /* ring of the last restarts_max + 1 times */
    unsigned death_count;
    unsigned failures;                                     /* in a row, without an answer between */
    uint64_t start_limit_ns, restart_ns, term_ns, kill_ns; /* due times; NEVER */
    uint64_t closed_limit_ns; /* the same: it has closed its output and should have ended by then */

    uint64_t timer, timer_ns; /* armed; timer_ns NEVER: not */

    struct native_agent *native; /* in_process */
    struct held *running;        /* its task is in a job */
    struct native_run *run;      /* that job's block */
};

/* ---- agent_instance.c ---- */
void instance_handle(struct turn *turn, void *state, const struct message *message);
void instance_destroy(void *state);
void instance_wake(struct instance *instance); /* gets a turn soon; any of its threads */
void instance_event(struct instance *instance, enum agent_event event, const struct task *task,
                    const char *format, ...) PRINTF_LIKE(4, 5);
void instance_health(struct instance *instance, enum health health);
unsigned instance_thread(const struct instance *instance); /* of the trace */
/* now + duration, NEVER when either is. */
uint64_t instance_after(uint64_t now_ns, uint64_t duration_ns);

/* ---- agent_queue.c ---- */
MUST_CHECK enum troupe_error queue_create(struct instance *instance);
void queue_destroy(struct instance *instance); /* tasks are freed: the coordinator sees the actor end */
void queue_offer(struct instance *instance, struct turn *turn, struct message *message);
void queue_revoke(struct instance *instance, struct turn *turn, struct message *message);
void queue_cancel(struct instance *instance, const struct message_task_cancel *cancel, uint64_t now_ns);
struct held *queue_pop(struct instance *instance); /* the next to do, or NULL; it is still held */
struct held *queue_peek(const struct instance *instance);
void queue_push_back(struct instance *instance, struct held *held); /* popped, but not started */
void queue_expire(struct instance *instance, uint64_t now_ns);
uint64_t queue_next_deadline(const struct instance *instance);
void queue_end_waiting(struct instance *instance, enum troupe_error error, bool retryable, const char *text,
                       uint64_t now_ns);
void held_to_worker(struct instance *instance, struct held *held, uint64_t now_ns);
struct held *held_find(const struct instance *instance, const char *id, uint32_t attempt);
void usage_begin(struct instance *instance, uint64_t now_ns); /* what the child used so far is no task's */
void held_execute(struct instance *instance, struct held *held,
                  uint64_t now_ns); /* stamps its start and limit */
uint64_t held_remaining(const struct instance *instance, const struct held *held, uint64_t now_ns);
/* What a task that passed its limit ends with. Past a deadline it is nobody's failure and no retry can help. */
static inline enum troupe_error held_limit_error(const struct held *held) {
    return held->deadline_limits ? TROUPE_DEADLINE : TROUPE_TIMEOUT;
}
/* The one end of a task. `result` is the task's from here on; NULL: made from error and text. */
void held_end(struct instance *instance, struct held *held, struct task_result *result, uint64_t now_ns);
void held_fail(struct instance *instance, struct held *held, enum troupe_error error, bool retryable,
               uint64_t now_ns, const char *format, ...) PRINTF_LIKE(6, 7);

/* ---- agent_child.c ---- */
extern const struct worker_link_events child_events;
void child_start(struct instance *instance, uint64_t now_ns);
/* It is told, and killed when it has not answered `grace_ns` later. */
void child_cancel(struct instance *instance, struct held *held, enum held_fate fate, uint64_t grace_ns,
                  uint64_t now_ns);
void child_due(struct instance *instance, uint64_t now_ns); /* whatever time has come for */
uint64_t child_next_due(const struct instance *instance);
void child_exited(struct instance *instance, uint64_t now_ns);
void child_stop(struct instance *instance, uint64_t now_ns);
void instance_become(struct instance *instance, enum instance_state state);
void instance_state_follow(struct instance *instance); /* READY, BUSY or CANCELLING */

/* ---- agent_outgoing.c ---- */
/* Ends the child; its tasks end with `blame`. Nothing happens to one that is killed already. */
void child_kill(struct instance *instance, enum troupe_error blame, const char *text);
void child_pump(struct instance *instance, uint64_t now_ns); /* tasks from the queue to the worker */
size_t outgoing_bytes_max(const struct agent_spec *spec);    /* of instance->out */

/* ---- native_agent.c ---- */
MUST_CHECK enum troupe_error native_agent_open(struct instance *instance, struct fault *fault);
void native_agent_close(struct instance *instance);
void native_agent_pump(struct instance *instance, struct turn *turn);
void native_agent_done(struct instance *instance, struct turn *turn, void *arg);
void native_agent_cancel(struct instance *instance);

#endif
