/* scenario_clock: waits. Simulated, a wait is a timer of the runtime: virtual time is exact. Measured, a timer of the
 * system is 50 to 1,000 us late, a third of a registry's service at 1:10; so there the last stretch of a wait is spun
 * by a job on a lane of its own, which tells the waiting actor.
 *
 *      wait_until --push--> inbox --.
 *                                   v                next within NEAR_NS
 *   clock actor: [listening] --drain into the heap--------------------------> [job: spins, tells those due,
 *        ^  ^        |  next is farther: timer AHEAD_NS before it      ^        drains the inbox]
 *        |  '--------'  (a push or the timer wakes it)                 |             |
 *        '------------------------ JOB_DONE: none within FAR_NS -------+-------------'
 *
 * Why no wait is lost. A pusher pushes, then takes the actor's `listening`; if it was set, it wakes the actor. The
 * actor sets it, then drains. Both orders are sequentially consistent: either the pusher sees it set, or the drain sees
 * the push. While the job runs nobody needs to be woken: its end is a message, on which the actor drains again.
 * Threads: push: any turn; the heap belongs to the job while it runs, to the actor otherwise: job_start and JOB_DONE
 *          hand it over. Memory: an entry is the payload of the message that will tell; freed by its receiver, or by
 *          wait_clock_free. */
#include "simulate/scenario_world.h"

#include <stdlib.h>

#define NEAR_NS 400000u  /* a wait that ends within this is spun */
#define AHEAD_NS 250000u /* how long before a wait's end the actor wakes: more than a timer is late */
#define FAR_NS 600000u   /* the job ends when nothing is due within this */
#define LATENESS_MAX 65536

struct wait_entry { /* the payload of SCENARIO_DUE */
    struct heap_node node;
    struct message *message, *below; /* of itself; the next in the inbox */
    actor_ref to;
    uint64_t token, due_ns, deadline_ns, told_ns; /* model; env_now; env_now when it was told */
};
struct wait_clock {
    struct world *world;
    actor_ref actor;
    _Atomic(struct message *) inbox;
    _Atomic bool listening, stopping;
    /* owner: the job or the actor */
    struct heap heap;
    uint64_t timer;
    bool spinning; /* owner: the actor */
    uint32_t *lateness_ns;
    size_t lateness_count;
};

static struct wait_entry *entry_of(const struct message *message) {
    return MESSAGE_PAYLOAD(message, struct wait_entry);
}

/* ---- what is due ---- */

static void drain(struct wait_clock *clock) {
    /* seq_cst, with the push in wait_until: see above. */
    struct message *message = atomic_exchange(&clock->inbox, NULL), *below;
    for (; message != NULL; message = below) {
        struct wait_entry *entry = entry_of(message);
        below = entry->below;
        if (heap_insert(&clock->heap, &entry->node, entry->deadline_ns) != TROUPE_OK) {
            world_fail(clock->world, TROUPE_NOMEM, "out of memory");
            message_free(&message);
        }
    }
}

static struct wait_entry *first(const struct wait_clock *clock) {
    struct heap_node *node = heap_first(&clock->heap);
    return node == NULL ? NULL
                        : (struct wait_entry *)(void *)((char *)node - offsetof(struct wait_entry, node));
}

static void tell(struct wait_clock *clock, struct turn *turn, uint64_t now_ns) {
    for (struct wait_entry *entry; (entry = first(clock)) != NULL && entry->deadline_ns <= now_ns;) {
        struct message *message = entry->message;
        heap_remove(&clock->heap, &entry->node);
        entry->told_ns = now_ns;
        uint64_t late_ns = now_ns - entry->deadline_ns;
        if (clock->lateness_count < LATENESS_MAX)
            clock->lateness_ns[clock->lateness_count++] =
                late_ns < UINT32_MAX ? (uint32_t)late_ns : UINT32_MAX;
        IGNORE(actor_send(clock->world->runtime, turn, entry->to, &message), "it may have ended meanwhile");
        message_free(&message);
    }
}

/* The job. */
static void spin(void *arg) {
    struct wait_clock *clock = arg;
    struct env *env = clock->world->env;
    while (!atomic_load_explicit(&clock->stopping, memory_order_relaxed)) { /* a hint: sooner or later */
        uint64_t now = env_now(env);
        if (atomic_load_explicit(&clock->inbox, memory_order_relaxed) != NULL) /* drain orders it */
            drain(clock);
        tell(clock, NULL, now);
        const struct wait_entry *next = first(clock);
        if (next == NULL || next->deadline_ns > now + FAR_NS)
            return;
    }
}

/* ---- the actor ---- */

static void look(struct wait_clock *clock, struct turn *turn) {
    if (clock->spinning || atomic_load_explicit(&clock->stopping, memory_order_relaxed))
        return;
    atomic_store(&clock->listening, true); /* seq_cst: before the drain, see above */
    drain(clock);
    uint64_t now = env_now(clock->world->env);
    tell(clock, turn, now);
    const struct wait_entry *next = first(clock);
    enum troupe_error error = TROUPE_OK;
    if (clock->timer != 0)
        timer_cancel(turn, clock->timer);
    clock->timer = 0;
    if (next == NULL)
        return;
    if (next->deadline_ns > now + NEAR_NS) {
        error = timer_start(turn, next->deadline_ns - AHEAD_NS, 0, &clock->timer);
    } else {
        struct job_spec job = {.lane = ENV_LANE_STORE, .fn = spin, .arg = clock};
        clock->spinning = true;
        atomic_store(&clock->listening, false); /* a push before this is drained by the job */
        error = job_start(turn, &job);
    }
    if (error != TROUPE_OK)
        world_fail(clock->world, error, "the clock of the scenario could not go on");
}

static void clock_handle(struct turn *turn, void *state, const struct message *message) {
    struct wait_clock *clock = state;
    if (message->kind == MESSAGE_JOB_DONE)
        clock->spinning = false;
    if (message->kind == MESSAGE_TIMER)
        clock->timer = 0;
    look(clock, turn);
}

enum troupe_error wait_clock_create(struct world *world) {
    struct wait_clock *clock = memory_alloc(world->account, sizeof *clock);
    if (clock == NULL)
        return TROUPE_NOMEM;
    clock->world = world;
    heap_init(&clock->heap, world->account);
    atomic_init(&clock->listening, true);
    clock->lateness_ns = memory_alloc(world->account, LATENESS_MAX * sizeof *clock->lateness_ns);
    struct actor_spec spec = {.name = "clock", .handle = clock_handle, .state = clock};
    enum troupe_error error =
        clock->lateness_ns != NULL ? actor_spawn(world->runtime, &spec, &clock->actor) : TROUPE_NOMEM;
    if (error == TROUPE_OK)
        world->clock = clock;
    else
        wait_clock_free(clock);
    return error;
}

void wait_clock_stop(struct wait_clock *clock) {
    if (clock != NULL)
        atomic_store_explicit(&clock->stopping, true,
                              memory_order_relaxed); /* the job looks again and again */
}

static int by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

uint64_t wait_clock_lateness(struct wait_clock *clock, double q) {
    if (clock->lateness_count == 0)
        return 0;
    qsort(clock->lateness_ns, clock->lateness_count, sizeof *clock->lateness_ns, by_value);
    return clock->lateness_ns[(size_t)(q * (double)(clock->lateness_count - 1))];
}

void wait_clock_free(struct wait_clock *clock) {
    if (clock == NULL)
        return;
    drain(clock);
    for (struct wait_entry *entry; (entry = first(clock)) != NULL;) {
        heap_remove(&clock->heap, &entry->node);
        message_free(&entry->message);
    }
    heap_free(&clock->heap);
    memory_free(clock->world->account, clock->lateness_ns);
    memory_free(clock->world->account, clock);
}

/* ---- waits ---- */

static void push(struct wait_clock *clock, struct turn *turn, uint64_t at_ns, uint64_t token) {
    struct message *message = world_message(clock->world, MESSAGE_SCENARIO_DUE, sizeof(struct wait_entry));
    if (message == NULL)
        return;
    struct wait_entry *entry = entry_of(message);
    *entry = (struct wait_entry){.message = message,
                                 .to = turn->self,
                                 .token = token,
                                 .due_ns = at_ns,
                                 .deadline_ns = world_real(clock->world, at_ns)};
    entry->below = atomic_load_explicit(&clock->inbox, memory_order_relaxed);
    /* seq_cst, with the exchange in drain: what was written to the entry is seen there. */
    while (!atomic_compare_exchange_weak(&clock->inbox, &entry->below, message))
        continue;
    if (!atomic_exchange(&clock->listening, false))
        return;
    struct message *wake = world_message(clock->world, MESSAGE_SCENARIO_START, sizeof(struct scenario_start));
    world_send(clock->world, turn, clock->actor, &wake);
}

void wait_until(struct world *world, struct turn *turn, uint64_t at_ns, uint64_t token) {
    uint64_t timer;
    if (world->clock != NULL) {
        push(world->clock, turn, at_ns, token);
        return;
    }
    if (at_ns > SCENARIO_TIME_MAX_NS) {
        world_fail(world, TROUPE_LIMIT, "the scenario goes on for more than 196 days");
        return;
    }
    enum troupe_error error = timer_start(turn, world_real(world, at_ns), token, &timer);
    if (error != TROUPE_OK)
        world_fail(world, error, "out of memory");
}

bool wait_ended(const struct world *world, const struct turn *turn, const struct message *message,
                struct wait_end *ret) {
    if (message->kind == MESSAGE_TIMER) {
        uint64_t now = world_now(world, turn->now_ns);
        *ret = (struct wait_end){MESSAGE_PAYLOAD(message, struct message_timer)->token, now, now};
        return true;
    }
    if (message->kind != MESSAGE_SCENARIO_DUE)
        return false;
    const struct wait_entry *entry = entry_of(message);
    uint64_t told = world_now(world, entry->told_ns);
    *ret = (struct wait_end){entry->token, entry->due_ns, told > entry->due_ns ? told : entry->due_ns};
    return true;
}
