/* Workers and the runtime that holds them: the state behind the door, shared by this floor's files only.
 *
 * Threads: a worker's fields belong to its thread unless they say otherwise; TLS names the worker whose
 * thread this is, so that message_new and callbacks of env between turns find their pool without being handed
 * one. Lock order: none is taken while another is held. */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "runtime/actor.h"
#include "runtime/message_pool.h"
#include "runtime/timer_wheel.h"

#define WORKERS_MAX 64U
#define RUN_RING 256U
#define JOBS_AWAITED 0x80000000U /* in runtime.jobs_open: the run ends when no job is open */

/* Counted by the owner, read by anyone: relaxed, they order nothing. */
typedef _Atomic uint64_t counter;
static inline void count_up(counter *total, uint64_t by) {
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* Runnable actors of one worker, oldest first: `first`, then the ring, then `overflow`. Only the ring can be
 * stolen from, so an actor that is alone costs no atomic read-modify-write and no wake. */
struct run_queue {
    struct actor *first;
    struct cell *overflow, **overflow_end; /* actors, linked by their cells */
    _Alignas(64) _Atomic uint64_t head;    /* thieves and owner */
    _Alignas(64) _Atomic uint64_t tail;    /* owner */
    _Atomic(struct actor *) ring[RUN_RING];
};

/* Actors made runnable by a thread that cannot run them itself. */
struct inject {
    struct spin lock;
    _Atomic uint32_t count;
    struct cell *first, *last; /* actors; under the lock */
};

struct worker_counts {
    counter turns, messages, long_turns, dead_letters, refused, late_replies, parks, wakes, steals;
    counter spawned, ended;
    counter cpu_ns; /* of its thread, published now and then */
};

struct worker {
    struct runtime *runtime;
    unsigned index;
    bool online;  /* in the grace periods */
    bool started; /* has made a step */
    bool stopped; /* has seen the stop */
    uint64_t picks;
    uint64_t now_ns;      /* the last reading of the clock */
    uint64_t now_ticks;   /* env_ticks then */
    uint64_t cpu_base_ns; /* of its thread before the first step */
    uint64_t cpu_told_ns; /* when its CPU time was last published */
    uint64_t steps;
    struct pool_cache pool;
    struct cell_cache actors, oneshots;
    struct timer_wheel wheel;
    struct cell *pinned, **pinned_end; /* actors; worker 0 */
    /* the turn being measured: its length is known at the next stamp */
    uint64_t turn_started_ns;
    bool turn_open;
    uint16_t turn_kind;
    actor_ref turn_actor;
    char turn_name[24];
    struct run_queue queue;
    struct worker_counts counts;
    _Alignas(64) _Atomic(struct oneshot *) cancelled; /* any thread: entries of our wheel to unlink */
};

struct job;
struct runtime {
    struct env *env;
    struct account *account;
    struct tracer *tracer;
    struct grace *grace;
    unsigned workers_count;
    bool sim;
    bool ended;     /* no more turns, ever */
    unsigned slice; /* messages per actor in a row */
    unsigned burst; /* turns per step */
    uint64_t turn_budget_ns;
    uint64_t clock_ticks_max; /* a reading of the clock serves turns that start within so many ticks of it */
    uint32_t mailbox_len_max;
    struct worker *workers;
    struct cell_table actors, oneshots;
    struct pool pool;
    _Alignas(64) _Atomic uint64_t
        idle; /* bit per worker that found nothing and may sleep; clearing one is the duty to wake */
    _Atomic bool stopping;
    _Atomic uint32_t running;   /* workers that have not seen the stop */
    _Atomic uint32_t jobs_open; /* and JOBS_AWAITED */
    _Alignas(64) struct inject inject, inject_pinned;
    struct spin monitor_lock;
    struct spin jobs_lock;
    struct job *jobs; /* under jobs_lock */
    struct spin longest_lock;
    uint64_t longest_turn_ns; /* both under longest_lock */
    char longest_turn_actor[24];
    struct worker_counts outside; /* from threads that are no workers; read-modify-write */
};

extern _Thread_local struct worker *worker_of_thread __attribute__((tls_model("initial-exec")));

/* The worker whose thread this is, if it is one of this runtime's. */
static inline struct worker *worker_current(const struct runtime *runtime) {
    struct worker *worker = worker_of_thread;
    return worker != NULL && worker->runtime == runtime ? worker : NULL;
}
static inline struct worker *worker_of_turn(const struct turn *turn) {
    return &turn->runtime->workers[turn->worker];
}
#define COUNT(runtime, worker, what)                                                                         \
    do {                                                                                                     \
        if ((worker) != NULL)                                                                                \
            count_up(&(worker)->counts.what, 1);                                                             \
        else                                                                                                 \
            atomic_fetch_add_explicit(&(runtime)->outside.what, 1, memory_order_relaxed);                    \
    } while (0)

/* message.c: flags of a message: where its memory is, and what became of it. */
#define MESSAGE_CLASS_MASK 0x0fU /* pool class */
#define MESSAGE_HOME_MASK 0x30U
#define MESSAGE_HOME_POOL 0x00U
#define MESSAGE_HOME_ONESHOT 0x10U
#define MESSAGE_HOME_MONITOR 0x20U
#define MESSAGE_HOME_JOB 0x30U
#define MESSAGE_DELIVERED 0x40U /* a handler has seen it */
#define MESSAGE_ORIGIN_SHIFT 8U /* above: index + 1 of the worker that sent it, 0: another thread */
void message_init(struct message *message, struct runtime *runtime, enum message_kind kind, uint32_t bytes,
                  unsigned flags);
void message_destroy(struct runtime *runtime, struct worker *worker, struct message *message);
extern const uint8_t message_classes[MESSAGE_KIND_COUNT];

/* scheduler.c */
void scheduler_ready(struct runtime *runtime, struct worker *worker, struct actor *actor); /* all left 0 */
struct actor *scheduler_pick(struct worker *worker);
bool scheduler_injected(const struct runtime *runtime, const struct worker *worker);
struct env_step worker_step(void *context, unsigned index);
void worker_park(void *context, unsigned index, bool parking);

/* actor.c */
static inline struct actor *actor_at(const struct runtime *runtime, actor_ref ref) {
    return (struct actor *)(void *)cell_at(&runtime->actors, actor_ref_slot(ref));
}
MUST_CHECK enum troupe_error actor_deliver(struct runtime *runtime, struct worker *worker, actor_ref to,
                                           struct message *message);
/* Delivers a message that is never refused; destroys it when the actor is gone. */
void actor_deliver_system(struct runtime *runtime, struct worker *worker, actor_ref to,
                          struct message *message);
void actor_end(struct runtime *runtime, struct worker *worker, struct actor *actor, enum troupe_error reason);
/* Destroys what is queued and gives `held` back to the gate; true: nothing is left and the cell is free again
 * (do not touch it any more); false: a sender is still pushing. */
bool actor_drain(struct runtime *runtime, struct worker *worker, struct actor *actor, uint64_t held);
static inline uint64_t gate_share(enum message_kind kind) {
    return message_classes[kind] == MESSAGE_CLASS_REQUEST ? GATE_ALL + GATE_REQUEST : GATE_ALL;
}
void actor_request_bytes_back(struct actor *actor, enum message_kind kind, uint32_t bytes);

/* monitor.c */
MUST_CHECK enum troupe_error monitor_link(struct runtime *runtime, struct actor *child, actor_ref parent);
void monitor_actor_ended(struct runtime *runtime, struct worker *worker, struct actor *actor, actor_ref ref,
                         enum troupe_error reason);
void monitor_message_free(struct message *message);

/* job.c */
void job_message_free(struct runtime *runtime, struct message *message);
void jobs_free(struct runtime *runtime);

#endif
