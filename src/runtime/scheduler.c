/* The scheduler: which actor a worker runs next, what it gives to others, and who is woken for what.
 *
 * Order:   first in, first out, pinned actors and others in turn (simulated: drawn); every STREAK_MAX picks at the
 * latest, what other threads brought is taken in. To run first whom the last turn made ready was measured and left: a
 * coordinator then hears each answer alone, in place of all that a round brings (a batch in 150 us, not 35).
 * Giving:  queues are private. A worker that sees another one idle at the end of a step gives it half of its queue
 * (Acar, Chargueraud, Rainey 2013: private deques, sender-initiated), if who is last in it would wait for WAIT_NS_MIN
 * or longer at the pace of the step: a wake and the lines that then travel between the cores cost some 10 us, so two
 * actors with turns of 100 ns are better off as neighbours. What keeps the giver from its queue is a turn, so nobody
 * waits for much longer than that.
 * Wakes:   an actor made ready by its neighbour goes into the queue and wakes nobody. What another thread brings
 * wakes the owner if it is idle, what is given wakes who gets it. A bit in runtime.idle is cleared by whoever takes on
 * the wake, so it is paid once per sleep, not per message.
 * Lost wakes: sleeper: set bit, then look at what was brought. Bringer: put it there, then look at the bit. All four
 * are seq_cst, so at least one sees the other. */
#include "runtime/worker.h"

#define GIVEN_MAX 256U
#define WAIT_NS_MIN 100000U
#define DRAWN_FROM 8U
#define SCATTERED 4U

/* ---- a worker's own queue ---- */

static struct actor *actor_of(struct cell *cell) {
    return (struct actor *)(void *)cell;
}

static void list_push(struct run_list *list, struct actor *actor) {
    actor->cell.next = NULL;
    if (list->count++ == 0) {
        list->first = &actor->cell;
    } else {
        list->last->next = &actor->cell;
    }
    list->last = &actor->cell;
}

static struct actor *list_pop(struct run_list *list) {
    struct actor *actor = actor_of(list->first);
    list->first = actor->cell.next;
    list->count--;
    return actor;
}

static void queue_push(struct run_queue *queue, struct actor *actor) {
    /* Relaxed: it is ours. */
    bool pinned = (atomic_load_explicit(&actor->owner, memory_order_relaxed) & OWNER_PINNED) != 0;
    list_push(pinned ? &queue->pinned : &queue->others, actor);
    queue->waiting++;
}

/* Simulated: any of the first few, drawn from the seed, so that orders which threads would bring about are seen. */
static struct actor *queue_draw(struct runtime *runtime, struct run_queue *queue) {
    bool pinned =
        queue->pinned.count > 0 && (queue->others.count == 0 || random_below(&runtime->draws, 2) != 0);
    struct run_list *list = pinned ? &queue->pinned : &queue->others;
    uint64_t most = list->count < DRAWN_FROM ? list->count : DRAWN_FROM;
    for (uint64_t later = random_below(&runtime->draws, most); later > 0; later--) {
        list_push(list, list_pop(list));
    }
    return list_pop(list);
}

static struct actor *queue_pop(struct runtime *runtime, struct run_queue *queue) {
    struct actor *actor = queue->next;
    queue->streak = 0;
    if (actor != NULL || queue->waiting == 0) {
        queue->next = NULL;
        return actor;
    }
    queue->waiting--;
    queue->taken++;
    if (__builtin_expect(runtime->sim, 0)) {
        return queue_draw(runtime, queue);
    }
    bool others = queue->others.count > 0, pinned = queue->pinned.count > 0;
    queue->turned = pinned && !(queue->turned && others); /* in turn, when there are both */
    return list_pop(queue->turned ? &queue->pinned : &queue->others);
}

/* ---- to other workers ---- */

void scheduler_wake(struct runtime *runtime, struct worker *worker, unsigned index) {
    uint64_t bit = UINT64_C(1) << index;
    if ((atomic_load(&runtime->idle) & bit) == 0 || /* seq_cst: see "lost wakes" */
        (atomic_fetch_and(&runtime->idle, ~bit) & bit) == 0) {
        return;
    }
    COUNT(runtime, worker, wakes);
    if (PLANT(WAKE_LOST)) {
        return;
    }
    env_worker_wake(runtime->env, index);
}

static unsigned owner_of(const struct actor *actor) {
    /* Acquire pairs with the release of whoever handed it on. */
    return atomic_load_explicit(&actor->owner, memory_order_acquire) & OWNER_WORKER;
}

void scheduler_notice(struct runtime *runtime, struct worker *worker, struct actor *actor) {
    struct worker *owner = &runtime->workers[owner_of(actor)];
    uint32_t top =
        atomic_load_explicit(&owner->notices, memory_order_relaxed); /* the exchange checks it again */
    do {
        actor->cell.second = top;
        /* seq_cst: see "lost wakes"; its release pairs with notices_take. */
    } while (!atomic_compare_exchange_weak_explicit(&owner->notices, &top, actor->cell.index + 1,
                                                    memory_order_seq_cst, memory_order_relaxed));
    scheduler_wake(runtime, worker, owner->index);
}

/* A chain of runnable actors, linked by their cells, that belong to `to` now. */
static void handed_push(struct worker *to, struct cell *first, struct cell *last) {
    struct cell *top =
        atomic_load_explicit(&to->handed, memory_order_relaxed); /* the exchange checks it again */
    do {
        last->next = top;
        /* seq_cst as in scheduler_notice. */
    } while (!atomic_compare_exchange_weak_explicit(&to->handed, &top, first, memory_order_seq_cst,
                                                    memory_order_relaxed));
}

/* Takes the older half of what can be given out of the queue. */
static unsigned half_take(struct worker *worker, unsigned to, struct cell **ret_first,
                          struct cell **ret_last) {
    struct run_list *list = &worker->queue.others, taken = {0};
    unsigned wanted = (list->count + 1) / 2;
    wanted = wanted < GIVEN_MAX ? wanted : GIVEN_MAX;
    while (taken.count < wanted) {
        struct actor *actor = list_pop(list);
        list_push(&taken, actor);
        worker->queue.waiting--;
        /* Release pairs with the acquire in actor_deliver and owner_of: the new owner sees what we did. */
        atomic_store_explicit(&actor->owner, (uint8_t)to, memory_order_release);
    }
    *ret_first = taken.first;
    *ret_last = taken.last;
    return taken.count;
}

static void half_give(struct worker *worker, uint64_t idle) {
    struct runtime *runtime = worker->runtime;
    unsigned to = (unsigned)__builtin_ctzll(idle);
    struct cell *first, *last;
    worker_clock_close(worker); /* what is being measured may be among them, and end elsewhere */
    count_up(&worker->counts.steals, half_take(worker, to, &first, &last));
    handed_push(&runtime->workers[to], first, last);
    scheduler_wake(runtime, worker, to);
}

void scheduler_give(struct worker *worker, uint64_t step_ns) {
    struct run_queue *queue = &worker->queue;
    /* Relaxed: a missed sleeper costs parallelism until the next step, nothing else. */
    uint64_t idle = atomic_load_explicit(&worker->runtime->idle, memory_order_relaxed);
    if (__builtin_expect(idle == 0 || queue->others.count == 0, 1)) {
        return;
    }
    uint64_t taken = queue->taken > 0 ? queue->taken : 1;
    if (worker->runtime->sim || step_ns * queue->others.count >= WAIT_NS_MIN * taken) {
        half_give(worker, idle);
    }
}

/* Simulated: one in so many goes to another worker, whoever is idle, so that whatever two threads could do at once is
 * seen under some seed. True: it did. */
static bool scatter(struct worker *worker, struct actor *actor) {
    struct runtime *runtime = worker->runtime;
    if (runtime->workers_count == 1 || random_below(&runtime->draws, SCATTERED) != 0 ||
        (atomic_load_explicit(&actor->owner, memory_order_relaxed) & OWNER_PINNED) != 0) { /* ours */
        return false;
    }
    unsigned to = (worker->index + 1 + (unsigned)random_below(&runtime->draws, runtime->workers_count - 1)) %
                  runtime->workers_count;
    atomic_store_explicit(&actor->owner, (uint8_t)to, memory_order_release); /* as in half_take */
    handed_push(&runtime->workers[to], &actor->cell, &actor->cell);
    scheduler_wake(runtime, worker, to);
    return true;
}

void scheduler_ready(struct worker *worker, struct actor *actor) {
    struct run_queue *queue = &worker->queue;
    if (__builtin_expect(worker->runtime->sim, 0)) {
        if (!scatter(worker, actor)) {
            queue_push(queue, actor);
        }
    } else if (queue->next == NULL && queue->waiting == 0) {
        queue->next = actor;
    } else {
        queue_push(queue, actor);
    }
}

/* ---- from other threads ---- */

bool scheduler_brought(const struct worker *worker) {
    return atomic_load(&worker->notices) != 0 ||
           atomic_load(&worker->handed) != NULL; /* seq_cst: "lost wakes" */
}

/* Somebody brought something to an actor of ours. */
static void notice_take(struct worker *worker, struct actor *actor) {
    struct runtime *runtime = worker->runtime;
    if (owner_of(actor) != worker->index) { /* it was taken over meanwhile */
        scheduler_notice(runtime, worker, actor);
        return;
    }
    if (actor->phase != ACTOR_LIVE) {
        actor_drain(runtime, worker, actor, true);
        return;
    }
    actor_fetch(worker, actor, true);
    if (!actor->ready && (actor->mailbox.last != NULL || actor->exiting)) {
        actor->ready = true;
        queue_push(&worker->queue, actor);
    }
}

static void notices_take(struct worker *worker) {
    /* Acquire pairs with scheduler_notice. */
    uint32_t top = atomic_exchange_explicit(&worker->notices, 0, memory_order_acquire), oldest = 0;
    const struct cell_table *table = &worker->runtime->actors;
    while (top != 0) { /* oldest first */
        struct cell *cell = cell_at(table, top - 1);
        uint32_t older = cell->second;
        cell->second = oldest;
        oldest = top;
        top = older;
    }
    while (oldest != 0) {
        struct cell *cell = cell_at(table, oldest - 1);
        oldest = cell->second;
        notice_take(worker, actor_of(cell));
    }
}

static void handed_take(struct worker *worker) {
    /* Acquire pairs with handed_push. */
    struct cell *cell = atomic_exchange_explicit(&worker->handed, NULL, memory_order_acquire);
    while (cell != NULL) {
        struct actor *actor = actor_of(cell);
        cell = cell->next;
        queue_push(&worker->queue, actor);
    }
    worker->meter.stale = true; /* they may have been in turns later than our last look at the clock */
}

static void brought_take(struct worker *worker) {
    /* Relaxed: hints; the exchanges are what orders, and the next pick looks again. */
    if (atomic_load_explicit(&worker->notices, memory_order_relaxed) != 0) {
        notices_take(worker);
    }
    if (atomic_load_explicit(&worker->handed, memory_order_relaxed) != NULL) {
        handed_take(worker);
    }
}

struct actor *scheduler_pick_fair(struct worker *worker) {
    brought_take(worker);
    return queue_pop(worker->runtime, &worker->queue);
}

/* ---- taking over from a worker that is away ---- */

bool worker_claim(struct worker *worker, struct actor *actor, uint32_t generation) {
    /* Acquire as in owner_of. */
    unsigned owner = atomic_load_explicit(&actor->owner, memory_order_acquire);
    if ((owner & OWNER_PINNED) != 0) {
        return false;
    }
    _Atomic uint32_t *presence = &worker->runtime->workers[owner & OWNER_WORKER].presence;
    if (!presence_borrow(presence)) {
        return false;
    }
    /* Now the owner cannot change, for only the owner and who holds its LENT change it; and a live actor cannot end.
     * One that is on its way to the owner's queue is left alone: it will be run. */
    bool ours = atomic_load_explicit(&actor->owner, memory_order_relaxed) == owner &&
                GATE_GENERATION_OF(atomic_load_explicit(&actor->gate, memory_order_acquire)) == generation &&
                !actor->ready;
    if (ours) {
        worker->meter.stale = true;
        atomic_store_explicit(&actor->owner, (uint8_t)worker->index,
                              memory_order_release); /* as in half_take */
    }
    presence_return(presence);
    return ours;
}
