/* A worker's step: clock, timers, turns, rest. env calls it over and over on the worker's thread (or,
 * simulated, draws the next worker from the seed).
 *
 * Invariants: one turn at a time per actor; a turn's message is destroyed after it unless taken; on the OS a
 * step runs up to `burst` turns or a few microseconds, simulated exactly one, so that every turn is a scheduling decision of the
 * seed.
 * Clock:      turn.now_ns never runs backwards along a chain of messages: a worker reads the clock anew when it
 * fetched messages of other threads or became the owner of an actor, and whenever more than a few microseconds (by
 * env_ticks, a hint for nothing else) have passed since its last reading. So a stamp taken by one actor and compared
 * by another never gives a negative time.
 * Meter:      a turn's length is known at the next look at the ticks, which is at the next turn's start. But a look
 * costs 9 ns on a virtual machine, a turn perhaps 10: so turns of a kind that was calm (short) CALM_MIN times in a
 * row are measured in groups of GROUP_MAX. A group that was not calm makes its kinds be measured one by one again.
 * What can be wrong by that is the name of one long turn after many short ones of its kind: it is the last of its
 * group that is named. */
#include <string.h>

#include "runtime/oneshot.h"

#define BURST_TIMERS 64U
#define COLLECT_STEPS 16U /* steps between looks at the grace periods */
#define CPU_STEPS 1024U   /* steps between publications of the thread's CPU time */
/* And, when it parks, the least wall time between them: the system call costs 1.4 us, a park as much. */
#define CPU_PARK_NS 1000000U
#define SLICE 32U
#define SLICE_CROWD 256U
#define CROWD 512U /* requests */
#define CALM_MIN 64U
#define GROUP_MAX                                                                                            \
    16U /* clock_ticks_max / calm_ticks_max: a calm group does not outlast a reading of the clock */

/* ---- clock and long turns ---- */

static void turn_long(struct worker *worker, uint64_t length_ns) {
    struct runtime *runtime = worker->runtime;
    const struct turn_meter *meter = &worker->meter;
    const char *name = meter->name;
    actor_ref ref = meter->ref;
    if (meter->actor != NULL) {
        name =
            atomic_load_explicit(&meter->actor->name, memory_order_relaxed); /* ours still: see half_give */
        ref = actor_self(meter->actor);
    }
    COUNT(runtime, worker, long_turns);
    trace_emit(runtime->tracer, worker->index, TRACE_TURN_LONG, ref, length_ns, meter->kind);
    spin_lock(&runtime->longest_lock);
    if (length_ns > runtime->longest_turn_ns) {
        runtime->longest_turn_ns = length_ns;
        memset(runtime->longest_turn_actor, 0, sizeof runtime->longest_turn_actor);
        strncpy(runtime->longest_turn_actor, name, sizeof runtime->longest_turn_actor - 1);
    }
    spin_unlock(&runtime->longest_lock);
}

static uint64_t clock_read(struct worker *worker) {
    struct turn_meter *meter = &worker->meter;
    meter->now_ns = env_now(worker->runtime->env);
    meter->stale = false;
    if (meter->open) {
        meter->open = false;
        uint64_t length_ns = meter->now_ns - meter->start_ns;
        if (__builtin_expect(length_ns > worker->runtime->turn_budget_ns, 0)) {
            turn_long(worker, length_ns);
        }
    }
    return meter->now_ns;
}

/* What the ticks say about the group that ends here. */
static void group_learn(const struct runtime *runtime, struct turn_meter *meter, uint64_t ticks) {
    if (!meter->open) {
        return;
    }
    uint64_t length = ticks - meter->look_ticks;
    uint8_t *calm = &meter->calm[meter->kind];
    if (length <= runtime->calm_ticks_max * meter->turns) {
        *calm += *calm < UINT8_MAX;
    } else if (meter->turns == 1) {
        *calm = 0;
    } else if (length > runtime->clock_ticks_max) {
        memset(meter->calm, 0, sizeof meter->calm);
    }
}

/* Ends the group and begins one with the turn that starts now. */
static __attribute__((noinline)) void meter_look(struct worker *worker, bool calm) {
    const struct runtime *runtime = worker->runtime;
    struct turn_meter *meter = &worker->meter;
    uint64_t ticks = env_ticks(runtime->env);
    group_learn(runtime, meter, ticks);
    if (meter->stale || runtime->sim || ticks - meter->now_ticks > runtime->clock_ticks_max) {
        meter->now_ticks = ticks;
        clock_read(worker);
    }
    meter->look_ticks = ticks;
    meter->start_ns = meter->now_ns;
    meter->turns = 0;
    meter->left = calm && !runtime->sim ? GROUP_MAX : 1;
}

/* The stamp of a turn that starts now. */
static inline uint64_t meter_turn(struct worker *worker, struct actor *actor, unsigned kind) {
    struct turn_meter *meter = &worker->meter;
    bool calm = meter->calm[kind] >= CALM_MIN;
    if (__builtin_expect(meter->stale || !calm || meter->left == 0, 0)) {
        meter_look(worker, calm);
    }
    meter->left--;
    meter->open = true;
    meter->turns++;
    meter->kind = (uint16_t)kind;
    meter->actor = actor;
    return meter->now_ns;
}

void worker_actor_ends(struct worker *worker, struct actor *actor) {
    struct turn_meter *meter = &worker->meter;
    if (meter->open && meter->actor == actor) {
        meter->name = atomic_load_explicit(&actor->name, memory_order_relaxed); /* ours */
        meter->ref = actor_self(actor);
        meter->actor = NULL;
    }
}

void worker_clock_close(struct worker *worker) {
    if (worker->meter.open) {
        worker->meter.left = 0;
        worker->meter.now_ticks = worker->runtime->sim ? 0 : env_ticks(worker->runtime->env);
        clock_read(worker);
    }
}

/* ---- turns ---- */

/* What a slice needs of its actor, read once: others write to the actor's line meanwhile. */
struct slice {
    struct actor *actor;
    actor_handler handle;
    void *state;
    actor_ref self;
};

static inline struct turn turn_of(struct worker *worker, const struct slice *slice, struct message *message) {
    return (struct turn){.runtime = worker->runtime,
                         .self = slice->self,
                         .now_ns = meter_turn(worker, slice->actor, message->kind),
                         .worker = worker->index,
                         .message = message};
}

/* Kinds of the runtime's own, and all of a simulation or a record: the turn with everything around it. */
static __attribute__((noinline)) void turn_run_whole(struct worker *worker, const struct slice *slice,
                                                     struct message *message) {
    struct runtime *runtime = worker->runtime;
    struct actor *actor = slice->actor;
    if (message->kind == MESSAGE_TIMER && !timer_delivering(actor, message)) { /* cancelled meanwhile */
        message_destroy(runtime, worker, message);
        return;
    }
    struct turn turn = turn_of(worker, slice, message);
    if (runtime->sim) {
        env_note(runtime->env, (uint64_t)worker->index << 32 | actor_ref_slot(turn.self),
                 (uint64_t)message->kind << 32 | actor_ref_slot(message->sender));
    }
    if (runtime->sink.write != NULL) {
        turn_record_message(worker, &turn, message);
        worker->turn = &turn;
    }
    bool exit = message->kind == MESSAGE_EXIT;
    enum troupe_error reason = exit ? MESSAGE_PAYLOAD(message, struct message_exit)->reason : TROUPE_OK;
    if (message->kind == MESSAGE_JOB_DONE) {
        message->flags |= MESSAGE_DELIVERED;
    }
    slice->handle(&turn, slice->state, message);
    worker->turn = NULL;
    if (exit && turn.message != NULL && !actor->exiting) {
        worker->exiting = actor->exiting = true;
        actor->exit_reason = reason;
    }
    if (turn.message != NULL) {
        message_destroy(runtime, worker, turn.message);
    }
}

static inline void turn_run(struct worker *worker, const struct slice *slice, struct message *message) {
    if ((message->flags & MESSAGE_ANSWERS) != 0 && !ask_settle(worker, slice->actor, message)) {
        message_destroy(worker->runtime, worker, message); /* its promise was kept before */
        return;
    }
    _Static_assert(MESSAGE_ASK_FAILED == 5, "the runtime's own kinds come first");
    if (__builtin_expect(message->kind <= MESSAGE_ASK_FAILED || worker->runtime->whole, 0)) {
        turn_run_whole(worker, slice, message);
        return;
    }
    struct turn turn = turn_of(worker, slice, message);
    slice->handle(&turn, slice->state, message);
    if (turn.message != NULL) {
        message_destroy(worker->runtime, worker, turn.message);
    }
}

struct message *turn_take(struct turn *turn) {
    struct message *message = turn->message;
    CHECK(message != NULL); /* taken twice */
    turn->message = NULL;
    return message;
}

/* Turns in a row: a few, so that what several actors pass on is still in the cache; more where a crowd waits. */
static inline unsigned slice_of(const struct runtime *runtime, const struct actor *actor, unsigned most) {
    unsigned queued = GATE_REQUESTS_OF(atomic_load_explicit(&actor->gate, memory_order_relaxed)); /* about */
    unsigned slice = runtime->sim ? 1 : queued < CROWD ? SLICE : SLICE_CROWD;
    return slice < most ? slice : most;
}

/* Runs up to `most` turns of one actor, none after until_ns, and puts it where it belongs afterwards. Returns the
 * turns. */
static unsigned actor_run(struct worker *worker, struct actor *actor, unsigned most, uint64_t until_ns) {
    unsigned turns = 0, handled = 0, keep = actor->credit_keep;
    if (mailbox_arrived(&actor->mailbox)) {
        actor_fetch(worker, actor, false);
    }
    if (__builtin_expect(worker->runtime->guide.may != NULL, 0) && !actor->exiting &&
        !turn_guide_choose(worker, actor)) {
        actor->ready = false;
        return 1; /* a look is work too */
    }
    struct message *last, *message = mailbox_take_all(&actor->mailbox, &last);
    const struct slice slice = {actor, actor->handle, actor->state, actor_self(actor)};
    most = slice_of(worker->runtime, actor, most);
    worker->exiting = actor->exiting;
    while (message != NULL && turns < most && !worker->exiting && worker->meter.now_ns <= until_ns) {
        struct message *next = message_next(message);
        if (next != NULL) {
            __builtin_prefetch(next, 1); /* it may come from another core */
        }
        enum message_kind kind = message->kind;
        uint32_t bytes = message->bytes;
        if (handled > keep) {
            actor_credit(actor, handled);
            handled = 0;
        }
        turn_run(worker, &slice, message);
        if (__builtin_expect(bytes > REQUEST_BYTES_SMALL, 0)) {
            actor_request_bytes_back(actor, kind, bytes);
        }
        handled += message_classes[kind] == MESSAGE_CLASS_REQUEST;
        turns++;
        message = next;
    }
    count_up(&worker->counts.turns, turns);
    if (handled > 0) {
        actor_credit(actor, handled);
    }
    if (message != NULL) {
        mailbox_put_back(&actor->mailbox, message, last);
    }
    if (__builtin_expect(actor->exiting, 0)) {
        actor_end(worker->runtime, worker, actor, (enum troupe_error)actor->exit_reason);
        actor_drain(worker->runtime, worker, actor, false); /* else at the notice that is under way */
    } else if (actor->mailbox.last != NULL) {
        scheduler_ready(worker, actor);
    } else {
        actor->ready = false;
    }
    return turns > 0 ? turns : 1; /* an end without a turn is work too: it bounds the step */
}

/* ---- steps ---- */

static void cpu_publish(struct worker *worker) {
    uint64_t cpu_ns = env_thread_cpu(worker->runtime->env) - worker->cpu_base_ns;
    worker->cpu_told_ns = worker->meter.now_ns;
    atomic_store_explicit(&worker->counts.cpu_ns, cpu_ns, memory_order_relaxed); /* a statistic */
}

void worker_arrive(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    unsigned tries = 0;
    while (!presence_enter(&worker->presence)) { /* afterwards we see which actors are not ours any more */
        if (++tries % 64 == 0) {
            thrd_yield(); /* who borrows may have lost its core */
        }
    }
    worker->here = true;
    uint64_t bit = UINT64_C(1) << worker->index;
    if ((atomic_load_explicit(&runtime->idle, memory_order_relaxed) & bit) != 0) { /* woken by a deadline */
        atomic_fetch_and(&runtime->idle, ~bit);
    }
}

static void worker_enter(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    if (!worker->started) {
        worker->started = true;
        worker->cpu_base_ns = env_thread_cpu(runtime->env);
    }
    if (!worker->here) {
        worker_arrive(worker);
    }
    if (!worker->online) {
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
    worker_leave(worker);
    worker->here = false;
    presence_leave(&worker->presence);
    atomic_fetch_or(&runtime->idle, UINT64_C(1) << worker->index);
    if (scheduler_brought(worker)) { /* since we looked: its bringer may not have seen our bit */
        worker_arrive(worker);
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
    worker->meter.left = 0;
    worker->queue.taken = 0;
    worker->meter.now_ticks = runtime->sim ? 0 : env_ticks(runtime->env);
    uint64_t started_ns = clock_read(worker);
    oneshot_poll(worker, started_ns, BURST_TIMERS);
    unsigned turns = 0;
    uint64_t until_ns = started_ns + runtime->step_ns_max;
    while (turns < runtime->burst && worker->meter.now_ns <= until_ns) {
        struct actor *actor = scheduler_pick(worker);
        if (actor == NULL) {
            break;
        }
        turns += actor_run(worker, actor, runtime->burst - turns, until_ns);
    }
    worker_clock_close(worker);
    scheduler_give(worker, worker->meter.now_ns - started_ns);
    if (runtime->sim) {
        worker_of_thread = &runtime->workers[0]; /* env calls back between turns on behalf of worker 0 */
    }
    if (turns == 0 && wheel_next(&worker->wheel) > worker->meter.now_ns) {
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
        if (worker->started && worker->meter.now_ns - worker->cpu_told_ns >= CPU_PARK_NS) {
            cpu_publish(worker);
        }
    }
}
