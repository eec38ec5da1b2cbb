/* Workers and the runtime that holds them: the state behind the door, shared by this floor's files only.
 *
 * Threads: a worker's fields belong to its thread unless they say otherwise; TLS names the worker whose
 * thread this is, so that message_new and callbacks of env between turns find their pool without being handed
 * one. Lock order: none is taken while another is held. */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "runtime/actor.h"
#include "runtime/message_pool.h"
#include "runtime/presence.h"
#include "runtime/timer_wheel.h"

#define WORKERS_MAX 64U
#define JOBS_AWAITED 0x80000000U /* in runtime.jobs_open: the run ends when no job is open */
#define CHARGES_MAX 128U         /* accounts that messages are charged to; 0 is nobody's */

/* Counted by the owner, read by anyone: relaxed, they order nothing. */
typedef _Atomic uint64_t counter;
static inline void count_up(counter *total, uint64_t by) {
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* Runnable actors of one worker; its own, first in, first out. An actor that is made ready when nobody waits goes into
 * `next`, where it costs least and cannot be given away; pinned ones wait apart from those that can be. */
struct run_list {
    struct cell *first, *last; /* oldest first, linked by their cells */
    unsigned count;
};
struct run_queue {
    struct actor *next; /* the oldest of all */
    unsigned waiting;   /* in the lists */
    unsigned streak;    /* times in a row that `next` was there */
    unsigned taken;     /* from the lists, in this step */
    bool turned;        /* the last one of a list came from `pinned` */
    struct run_list others, pinned;
};

struct worker_counts {
    counter turns, long_turns, dead_letters, refused, late_replies, parks, wakes, steals;
    counter spawned, ended;
    counter cpu_ns; /* of its thread, published now and then */
};

/* How turns are measured, alone or in groups: see worker.c. */
struct turn_meter {
    uint64_t now_ns;     /* the last reading of the clock */
    uint64_t now_ticks;  /* env_ticks then */
    uint64_t look_ticks; /* the last look at the ticks: where the group starts */
    uint64_t start_ns;   /* now_ns then */
    bool stale;          /* the next turn must have a new reading */
    bool open;           /* the group's length is not known yet */
    uint8_t left;        /* calm turns that may still join the group */
    uint16_t kind;       /* of its last turn */
    uint32_t turns;      /* in it */
    struct actor *actor; /* of its last turn; NULL: it has ended, and these were its name and reference: */
    const char *name;
    actor_ref ref;
    uint8_t calm[MESSAGE_KIND_COUNT]; /* short turns in a row, measured alone; saturates */
};

struct worker {
    struct runtime *runtime;
    unsigned index;
    bool here;    /* owner's view of presence */
    bool online;  /* in the grace periods */
    bool started; /* has made a step */
    bool stopped; /* has seen the stop */
    bool exiting; /* the actor in its turn ends after it */
    struct pool_cache pool;
    struct run_queue queue;
    struct turn_meter meter;
    struct worker_counts counts;
    struct cell_cache actors, oneshots;
    uint64_t cpu_base_ns; /* of its thread before the first step */
    uint64_t cpu_told_ns; /* when its CPU time was last published */
    uint64_t steps;
    struct turn_record *records; /* of turns, not handed to the sink yet; NULL: there is no sink */
    size_t records_count;
    const struct turn *turn; /* under way; kept only while turns are recorded */
    struct timer_wheel wheel;
    /* any thread */
    _Alignas(64) _Atomic uint32_t
        notices; /* slot + 1 of actors whose mailboxes somebody called, linked by `second` */
    _Atomic(struct cell *) handed;          /* runnable actors that became ours */
    _Atomic(struct oneshot *) cancelled;    /* entries of our wheel to unlink */
    _Alignas(64) _Atomic uint32_t presence; /* presence.h */
};

struct job;
struct actor_names;
struct runtime {
    struct env *env;
    struct account *account;
    struct tracer *tracer;
    struct grace *grace;
    unsigned workers_count;
    bool sim;
    struct random_stream draws; /* simulated: which of the ready actors comes next */
    bool ended;                 /* no more turns, ever */
    bool whole;                 /* turns are simulated or recorded */
    struct turn_sink sink;
    struct turn_guide guide; /* simulated */
    unsigned slice;          /* messages per actor in a row */
    unsigned burst;          /* turns per step */
    uint64_t turn_budget_ns;
    uint64_t calm_ticks_max;  /* a turn that takes no longer is calm */
    uint64_t clock_ticks_max; /* a reading of the clock serves turns that start within so many ticks of it */
    uint64_t step_ns_max;     /* a step ends when it has lasted so long, though the burst is not over */
    uint32_t mailbox_len_max;
    struct worker *workers;
    struct cell_table actors, oneshots;
    struct pool pool;
    _Atomic(struct account *) charges[CHARGES_MAX]; /* what messages are charged to; grows only */
    _Alignas(64) _Atomic uint64_t
        idle; /* bit per worker that found nothing and may sleep; clearing one is the duty to wake */
    _Atomic bool stopping;
    _Atomic uint32_t running;   /* workers that have not seen the stop */
    _Atomic uint32_t jobs_open; /* and JOBS_AWAITED */
    _Alignas(64) struct spin monitor_lock;
    struct spin jobs_lock;
    struct job *jobs; /* under jobs_lock */
    struct spin charges_lock;
    struct spin names_lock;
    struct actor_names *names; /* under names_lock */
    struct spin longest_lock;
    uint64_t longest_turn_ns; /* both under longest_lock */
    char longest_turn_actor[24];
    struct worker_counts outside; /* from threads that are no workers; read-modify-write */
};

extern _Thread_local struct worker *worker_of_thread __attribute__((tls_model("initial-exec")));

/* The worker whose thread this is, if it is one of this runtime's; for its pools alone. */
static inline struct worker *worker_on_thread(const struct runtime *runtime) {
    struct worker *worker = worker_of_thread;
    return worker != NULL && worker->runtime == runtime ? worker : NULL;
}
void worker_arrive(struct worker *worker);
/* The same, for touching its actors: a callback of env finds it away. */
static inline struct worker *worker_current(const struct runtime *runtime) {
    struct worker *worker = worker_on_thread(runtime);
    if (worker != NULL && !worker->here) {
        worker_arrive(worker);
    }
    return worker;
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
#define MESSAGE_DELIVERED 0x40U /* a handler has seen it; of jobs */
#define MESSAGE_ANSWERS 0x80U   /* `reply` is the promise that it keeps */
#define MESSAGE_CHARGE_SHIFT 9U /* above: the charge it is counted in; 0: none */
#define MESSAGE_PAYLOAD_MIN 16U /* room in every block */
/* `next` is the queue's: set when it is sent. */
static inline void message_init(struct message *message, struct runtime *runtime, enum message_kind kind,
                                uint32_t bytes, unsigned flags) {
    message->sender = 0;
    message->reply = 0;
    message->token = 0;
    message->kind = (uint16_t)kind;
    message->flags = (uint16_t)flags;
    message->bytes = bytes;
    message->runtime = runtime;
}
extern const uint8_t message_classes[MESSAGE_KIND_COUNT];
extern void (*message_destructors[MESSAGE_KIND_COUNT])(struct message *message);
void message_destroy_whole(struct runtime *runtime, struct worker *worker, struct message *message);
static inline void message_destroy(struct runtime *runtime, struct worker *worker, struct message *message) {
    if (message->flags == POOL_CLASS_SMALL && message->reply == 0 && worker != NULL &&
        message_destructors[message->kind] == NULL) {
        pool_give(&runtime->pool, &worker->pool, POOL_CLASS_SMALL, message);
    } else {
        message_destroy_whole(runtime, worker, message);
    }
}

/* turn_guide.c: brings what the actor takes next to the front. False: nothing that is there. */
bool turn_guide_choose(struct worker *worker, struct actor *actor);

/* turn_record.c */
MUST_CHECK enum troupe_error turn_records_begin(struct runtime *runtime);
void turn_records_end(struct runtime *runtime);
void turn_records_free(struct runtime *runtime);
void turn_record_message(struct worker *worker, const struct turn *turn, const struct message *message);

/* charge.c */
MUST_CHECK enum troupe_error charge_join(struct runtime *runtime, struct account *account,
                                         uint8_t *ret_charge);
/* FULL: the account's limit; only requests are refused. */
MUST_CHECK enum troupe_error charge_take(struct runtime *runtime, uint8_t charge, struct message *message);
void charge_back(struct runtime *runtime, struct message *message);

/* actor_name.c: names that live as long as the runtime. NULL: out of memory. */
const char *actor_name_keep(struct runtime *runtime, const char *name);
struct actor_names *actor_names_new(struct account *account);
void actor_names_free(struct runtime *runtime);

/* scheduler.c */
void scheduler_ready(struct worker *worker, struct actor *actor); /* ours, and in no queue */
#define STREAK_MAX 16U
struct actor *scheduler_pick_fair(struct worker *worker);
static inline struct actor *scheduler_pick(struct worker *worker) {
    struct run_queue *queue = &worker->queue;
    struct actor *actor = queue->next;
    if (actor != NULL && queue->streak < STREAK_MAX) {
        queue->next = NULL;
        queue->streak++;
        return actor;
    }
    return scheduler_pick_fair(worker);
}
void scheduler_give(struct worker *worker, uint64_t step_ns); /* to an idle worker, at the end of a step */
void scheduler_notice(struct runtime *runtime, struct worker *worker, struct actor *actor);
void scheduler_wake(struct runtime *runtime, struct worker *worker, unsigned index);
bool scheduler_brought(const struct worker *worker);
struct env_step worker_step(void *context, unsigned index);
void worker_park(void *context, unsigned index, bool parking);
/* True: the actor, whose owner was away, is ours now. */
bool worker_claim(struct worker *worker, struct actor *actor, uint32_t generation);
/* Forgets nothing: what is open is closed at the clock's next reading, under this name. */
void worker_actor_ends(struct worker *worker, struct actor *actor);
void worker_clock_close(struct worker *worker);

/* actor.c */
static inline struct actor *actor_at(const struct runtime *runtime, actor_ref ref) {
    return (struct actor *)(void *)cell_at_sized(&runtime->actors, actor_ref_slot(ref), sizeof(struct actor));
}
MUST_CHECK enum troupe_error actor_deliver(struct runtime *runtime, struct worker *worker, actor_ref to,
                                           struct message *message);
/* Delivers a message that is never refused; destroys it when the actor is gone. */
void actor_deliver_system(struct runtime *runtime, struct worker *worker, actor_ref to,
                          struct message *message);
void actor_end(struct runtime *runtime, struct worker *worker, struct actor *actor, enum troupe_error reason);
/* Destroys what is queued; true: the cell is free again (do not touch it any more); false: somebody is still
 * pushing, or a notice is under way, and it will be looked at again then. `noticed`: it has come. */
bool actor_drain(struct runtime *runtime, struct worker *worker, struct actor *actor, bool noticed);
/* Owner: what other threads brought goes behind what is there. */
void actor_fetch(struct worker *worker, struct actor *actor, bool noticed);
void actor_request_bytes_back(struct actor *actor, enum message_kind kind, uint32_t bytes);

/* monitor.c */
MUST_CHECK enum troupe_error monitor_link(struct runtime *runtime, struct actor *child, actor_ref parent);
void monitor_actor_ended(struct runtime *runtime, struct worker *worker, struct actor *actor, actor_ref ref,
                         enum troupe_error reason);
void monitor_message_free(struct message *message);

/* ask.c */
/* An answer is about to be handled: false when its promise was kept before or is nobody's. */
bool ask_settle(struct worker *worker, struct actor *actor, struct message *message);
void ask_abandoned(struct runtime *runtime, struct worker *worker, uint64_t id);

/* job.c */
void job_message_free(struct runtime *runtime, struct message *message);
void jobs_free(struct runtime *runtime);

#endif
