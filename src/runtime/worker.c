/* A worker's step: clock, timers, turns, rest. env calls it over and over on the worker's thread (or,
 * simulated, draws the next worker from the seed).
 *
 * Invariants: one turn at a time per actor; a turn's message is destroyed after it unless taken; on the OS a
 * step runs up to `burst` turns, simulated exactly one, so that every turn is a scheduling decision of the
 * seed. Clock:      turn.now_ns never runs backwards along a chain of messages: a worker reads the clock anew
 * for a message that came from another thread, for an actor it did not run last, and whenever more than a few
 *             microseconds (by env_ticks, a hint for nothing else) have passed since its last reading. So a
 * stamp taken by one actor and compared by another never gives a negative time, and a turn of 50 ns does not
 * pay 25 for the clock. Long turns: a turn's length is known at the next stamp, which is after the next
 * turn's start or the step's end. */
#include <string.h>

#include "runtime/oneshot.h"

#define BURST_TIMERS 64U
#define COLLECT_STEPS 16U /* steps between looks at the grace periods */
#define CPU_STEPS 1024U   /* steps between publications of the thread's CPU time */
/* And, when it parks, the least wall time between them: the system call costs 1.4 us, a park as much. */
#define CPU_PARK_NS 1000000U

/* ---- clock and long turns ---- */

static void turn_close(struct worker *worker, uint64_t now_ns) {
    struct runtime *runtime = worker->runtime;
    if (!worker->turn_open) {
        return;
    }
    worker->turn_open = false;
    uint64_t length_ns = now_ns - worker->turn_started_ns;
    if (__builtin_expect(length_ns <= runtime->turn_budget_ns, 1)) {
        return;
    }
    COUNT(runtime, worker, long_turns);
    trace_emit(runtime->tracer, worker->index, TRACE_TURN_LONG, worker->turn_actor, length_ns,
               worker->turn_kind);
    spin_lock(&runtime->longest_lock);
    if (length_ns > runtime->longest_turn_ns) {
        runtime->longest_turn_ns = length_ns;
        memcpy(runtime->longest_turn_actor, worker->turn_name, sizeof runtime->longest_turn_actor);
    }
    spin_unlock(&runtime->longest_lock);
}

static uint64_t clock_read(struct worker *worker) {
    worker->now_ns = env_now(worker->runtime->env);
    turn_close(worker, worker->now_ns);
    return worker->now_ns;
}

/* The stamp of a turn; `fresh`: the last reading will not do. */
static uint64_t clock_stamp(struct worker *worker, bool fresh) {
    struct runtime *runtime = worker->runtime;
    if (runtime->sim) {
        return clock_read(worker);
    }
    uint64_t ticks = env_ticks(runtime->env);
    if (fresh || ticks - worker->now_ticks > runtime->clock_ticks_max) {
        worker->now_ticks = ticks;
        return clock_read(worker);
    }
    worker->turn_open = false; /* shorter than clock_ticks_max, far below any budget */
    return worker->now_ns;
}

/* ---- turns ---- */

static void turn_run(struct worker *worker, struct actor *actor, struct message *message, bool fresh) {
    struct runtime *runtime = worker->runtime;
    bool foreign = message->flags >> MESSAGE_ORIGIN_SHIFT != worker->index + 1;
    struct turn turn = {.runtime = runtime,
                        .self = actor->self,
                        .now_ns = clock_stamp(worker, fresh || foreign),
                        .worker = worker->index,
                        .message = message};
    if (message->kind == MESSAGE_TIMER && !timer_delivering(actor, message)) {
        message_destroy(runtime, worker, message);
        return;
    }
    if (runtime->sim) {
        env_note(runtime->env, (uint64_t)worker->index << 32 | actor_ref_slot(actor->self),
                 (uint64_t)message->kind << 32 | actor_ref_slot(message->sender));
    }
    bool exit = message->kind == MESSAGE_EXIT;
    enum troupe_error reason = exit ? MESSAGE_PAYLOAD(message, struct message_exit)->reason : TROUPE_OK;
    message->flags |= MESSAGE_DELIVERED;
    worker->turn_open = true;
    worker->turn_started_ns = turn.now_ns;
    worker->turn_kind = message->kind;
    worker->turn_actor = actor->self;
    actor->handle(&turn, actor->state, message);
    if (exit && turn.message != NULL && !actor->exiting) {
        actor->exiting = true;
        actor->exit_reason = reason;
    }
    if (turn.message != NULL) {
        message_destroy(runtime, worker, turn.message);
    }
}

struct message *turn_take(struct turn *turn) {
    struct message *message = turn->message;
    CHECK(message != NULL); /* taken twice */
    turn->message = NULL;
    return message;
}

/* Counts handled messages out. True: the actor is idle now and no longer ours to touch. */
static bool gate_release(struct actor *actor, uint64_t held) {
    /* Release pairs with the acquire of the admission that makes it runnable again (actor_deliver). Acquire:
     * whoever runs it next within this period is us or takes it from a run queue. */
    return GATE_ALL_OF(atomic_fetch_sub_explicit(&actor->gate, held, memory_order_acq_rel) - held) == 0;
}

/* Runs up to `most` turns of one actor and puts it where it belongs afterwards. Returns the turns. */
static unsigned actor_run(struct worker *worker, struct actor *actor, unsigned most) {
    struct runtime *runtime = worker->runtime;
    if (actor->phase == ACTOR_ENDING) {
        if (!actor_drain(runtime, worker, actor, 0)) {
            scheduler_ready(runtime, worker, actor);
        }
        return 1;
    }
    unsigned slice = most < runtime->slice ? most : runtime->slice, turns = 0, unreleased = 0;
    uint64_t held = 0;
    bool fresh = actor->last_worker != worker->index;
    actor->last_worker = (uint8_t)worker->index;
    memcpy(worker->turn_name, actor->name, sizeof worker->turn_name);
    struct message *message;
    while (turns < slice && !actor->exiting &&
           (message = mailbox_pop(&actor->head, &actor->tail, &actor->stub)) != NULL) {
        enum message_kind kind = message->kind;
        uint32_t bytes = message->bytes;
        if (unreleased == actor->release_max) {
            gate_release(actor, held); /* not all: the message at hand is still counted */
            held = 0;
            unreleased = 0;
        }
        turn_run(worker, actor, message, fresh);
        actor_request_bytes_back(actor, kind, bytes);
        held += gate_share(kind);
        fresh = false;
        turns++;
        unreleased++;
    }
    count_up(&worker->counts.turns, turns);
    /* Relaxed: see actor_stop_bare. */
    if (!actor->exiting &&
        __builtin_expect(atomic_load_explicit(&actor->stops, memory_order_relaxed) != 0, 0)) {
        actor->exiting = true;
        actor->exit_reason = TROUPE_CANCELLED;
    }
    if (__builtin_expect(actor->exiting, 0)) {
        actor_end(runtime, worker, actor, actor->exit_reason);
        if (!actor_drain(runtime, worker, actor, held)) {
            scheduler_ready(runtime, worker, actor);
        }
    } else if (!gate_release(actor, held)) {
        scheduler_ready(runtime, worker, actor);
    }
    return turns > 0 ? turns
                     : 1; /* an empty-handed look (a push under way) is work too: it bounds the step */
}

/* ---- steps ---- */

static void cpu_publish(struct worker *worker) {
    uint64_t cpu_ns = env_thread_cpu(worker->runtime->env) - worker->cpu_base_ns;
    worker->cpu_told_ns = worker->now_ns;
    atomic_store_explicit(&worker->counts.cpu_ns, cpu_ns, memory_order_relaxed); /* a statistic */
}

static void worker_enter(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    if (!worker->started) {
        worker->started = true;
        worker->cpu_base_ns = env_thread_cpu(runtime->env);
    }
    if (!worker->online) {
        uint64_t bit = UINT64_C(1) << worker->index;
        if ((atomic_load_explicit(&runtime->idle, memory_order_relaxed) & bit) !=
            0) { /* woken by a deadline */
            atomic_fetch_and(&runtime->idle, ~bit);
        }
        grace_online(runtime->grace, worker->index);
        worker->online = true;
    }
}

static void worker_leave(struct worker *worker) {
    if (worker->online) {
        grace_offline(worker->runtime->grace, worker->index);
        worker->online = false;
    }
    grace_collect(worker->runtime->grace);
}

static struct env_step worker_stopped(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    if (!worker->stopped) {
        worker->stopped = true;
        cpu_publish(worker);
        worker_leave(worker);
        if (atomic_fetch_sub(&runtime->running, 1) == 1) {
            env_worker_wake(runtime->env, 0);
        }
    }
    if (worker->index == 0 && atomic_load(&runtime->running) == 0 &&
        atomic_fetch_or(&runtime->jobs_open, JOBS_AWAITED) << 1 == 0) {
        env_workers_stop(runtime->env);
    }
    return (struct env_step){.ran = false, .deadline_ns = UINT64_MAX};
}

static struct env_step worker_rest(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    uint64_t bit = UINT64_C(1) << worker->index;
    worker_leave(worker);
    atomic_fetch_or(&runtime->idle, bit);
    if (scheduler_injected(runtime,
                           worker)) { /* brought since we looked: its bringer may not have seen our bit */
        atomic_fetch_and(&runtime->idle, ~bit);
        return (struct env_step){.ran = true};
    }
    return (struct env_step){.ran = false, .deadline_ns = wheel_next(&worker->wheel)};
}

struct env_step worker_step(void *context, unsigned index) {
    struct runtime *runtime = context;
    struct worker *worker = &runtime->workers[index];
    worker_of_thread = worker;
    if (__builtin_expect(atomic_load(&runtime->stopping), 0)) {
        return worker_stopped(worker);
    }
    worker_enter(worker);
    worker->now_ticks = runtime->sim ? 0 : env_ticks(runtime->env);
    oneshot_poll(worker, clock_read(worker), BURST_TIMERS);
    unsigned turns = 0;
    while (turns < runtime->burst) {
        struct actor *actor = scheduler_pick(worker);
        if (actor == NULL) {
            break;
        }
        turns += actor_run(worker, actor, runtime->burst - turns);
    }
    if (worker->turn_open) {
        clock_read(worker);
    }
    if (runtime->sim) {
        worker_of_thread = &runtime->workers[0]; /* env calls back between turns on behalf of worker 0 */
    }
    if (turns == 0 && wheel_next(&worker->wheel) > worker->now_ns) {
        return worker_rest(worker);
    }
    grace_quiescent(runtime->grace, worker->index);
    worker->steps++;
    if (worker->steps % COLLECT_STEPS == 0) {
        grace_collect(runtime->grace);
    }
    if (worker->steps % CPU_STEPS == 0) {
        cpu_publish(worker);
    }
    return (struct env_step){.ran = true};
}

void worker_park(void *context, unsigned index, bool parking) {
    struct runtime *runtime = context;
    struct worker *worker = &runtime->workers[index];
    if (parking) {
        COUNT(runtime, worker, parks);
        if (worker->started && worker->now_ns - worker->cpu_told_ns >= CPU_PARK_NS) {
            cpu_publish(worker);
        }
    }
}
