/* The scheduler: which actor a worker runs next, and who is woken for it.
 *
 * Order:   a worker takes its own actors first in, first out; every eighth pick looks first at what other
 * threads brought, so that a busy worker cannot starve them; then it steals half of another worker's ring.
 * Wakes:   an actor made runnable by a worker goes into that worker's own queue and wakes nobody, unless two
 * or more are waiting there and a worker is idle. What threads without a queue bring wakes one idle worker. A
 * bit in runtime.idle is cleared by whoever takes on the wake, so it is paid once per sleep, not per message.
 * Lost wakes: sleeper: set bit, then look at the injected count. Bringer: raise the count, then look at the
 * bits. All four are seq_cst, so at least one sees the other. */
#include "runtime/worker.h"

#define PICK_FAIR 8U

/* ---- a worker's own queue ---- */

static struct actor *actor_of(struct cell *cell) {
    return (struct actor *)(void *)cell;
}

/* True: at least two are waiting now. */
static bool queue_push(struct run_queue *queue, struct actor *actor) {
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed); /* ours */
    /* Acquire pairs with the release of whoever moved head: its read of the slot came before our reuse of it.
     */
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
    if (queue->first == NULL && head == tail && queue->overflow == NULL) {
        queue->first = actor;
        return false;
    }
    if (queue->overflow == NULL && tail - head < RUN_RING) {
        atomic_store_explicit(&queue->ring[tail % RUN_RING], actor,
                              memory_order_relaxed); /* published by tail */
        /* Release pairs with the acquire in queue_steal: the thief sees the slot and the actor's state. */
        atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
        return true;
    }
    actor->cell.next = NULL;
    if (queue->overflow == NULL) {
        queue->overflow_end = &queue->overflow;
    }
    *queue->overflow_end = &actor->cell;
    queue->overflow_end = &actor->cell.next;
    return true;
}

static struct actor *queue_pop(struct run_queue *queue) {
    struct actor *actor = queue->first;
    if (actor != NULL) {
        queue->first = NULL;
        return actor;
    }
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed); /* ours */
    uint64_t head = atomic_load_explicit(&queue->head, memory_order_acquire); /* as in queue_push */
    while (head != tail) {
        actor =
            atomic_load_explicit(&queue->ring[head % RUN_RING], memory_order_relaxed); /* ours or unchanged */
        /* Release pairs with queue_push's and thieves' acquire of head. */
        if (atomic_compare_exchange_weak_explicit(&queue->head, &head, head + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            break;
        }
        actor = NULL;
    }
    if (actor == NULL && queue->overflow != NULL) {
        actor = actor_of(queue->overflow);
        queue->overflow = actor->cell.next;
        while (queue->overflow != NULL && tail - head < RUN_RING / 2) { /* so that it can be stolen */
            struct actor *moved = actor_of(queue->overflow);
            queue->overflow = moved->cell.next;
            atomic_store_explicit(&queue->ring[tail % RUN_RING], moved,
                                  memory_order_relaxed);                       /* published by tail */
            atomic_store_explicit(&queue->tail, ++tail, memory_order_release); /* as in queue_push */
        }
    }
    return actor;
}

/* Takes half of the ring of `from`: one to run, the rest into our queue. */
static struct actor *queue_steal(struct worker *worker, struct run_queue *from) {
    struct actor *taken[RUN_RING / 2];
    uint64_t head =
        atomic_load_explicit(&from->head, memory_order_acquire); /* pairs with the last mover's release */
    for (;;) {
        uint64_t tail = atomic_load_explicit(&from->tail, memory_order_acquire); /* pairs with queue_push */
        if (head >= tail) { /* `head` may be newer than `tail` */
            return NULL;
        }
        uint64_t count = (tail - head + 1) / 2;
        if (count > RUN_RING / 2) {
            head = atomic_load_explicit(&from->head, memory_order_acquire); /* torn pair: look again */
            continue;
        }
        for (uint64_t at = 0; at < count; at++) {
            /* Relaxed: a slot that is reused meanwhile makes the exchange below fail. */
            taken[at] = atomic_load_explicit(&from->ring[(head + at) % RUN_RING], memory_order_relaxed);
        }
        /* Release: our reads of the slots come before the owner's reuse (its acquire of head). */
        if (atomic_compare_exchange_weak_explicit(&from->head, &head, head + count, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            for (uint64_t at = 1; at < count; at++) {
                queue_push(&worker->queue, taken[at]);
            }
            count_up(&worker->counts.steals, count);
            return taken[0];
        }
    }
}

/* ---- from other threads ---- */

static void inject_push(struct inject *inject, struct actor *actor) {
    actor->cell.next = NULL;
    spin_lock(&inject->lock);
    if (inject->first == NULL) {
        inject->first = &actor->cell;
    } else {
        inject->last->next = &actor->cell;
    }
    inject->last = &actor->cell;
    atomic_fetch_add(&inject->count, 1); /* seq_cst: see "lost wakes" */
    spin_unlock(&inject->lock);
}

static struct actor *inject_pop(struct inject *inject) {
    if (atomic_load_explicit(&inject->count, memory_order_relaxed) ==
        0) { /* a hint: the next pick looks again */
        return NULL;
    }
    spin_lock(&inject->lock);
    struct cell *cell = inject->first;
    if (cell != NULL) {
        inject->first = cell->next;
        atomic_fetch_sub_explicit(&inject->count, 1,
                                  memory_order_relaxed); /* orders nothing: the lock does */
    }
    spin_unlock(&inject->lock);
    return cell != NULL ? actor_of(cell) : NULL;
}

static void idle_wake(struct runtime *runtime, struct worker *worker, uint64_t candidates) {
    uint64_t idle = atomic_load(&runtime->idle) & candidates; /* seq_cst: see "lost wakes" */
    while (idle != 0) {
        unsigned index = (unsigned)__builtin_ctzll(idle);
        uint64_t bit = UINT64_C(1) << index;
        if ((atomic_fetch_and(&runtime->idle, ~bit) & bit) != 0) {
            COUNT(runtime, worker, wakes);
            if (PLANT(WAKE_LOST)) {
                return;
            }
            env_worker_wake(runtime->env, index);
            return;
        }
        idle = atomic_load(&runtime->idle) & candidates;
    }
}

void scheduler_ready(struct runtime *runtime, struct worker *worker, struct actor *actor) {
    if (actor->pinned) {
        if (worker != NULL && worker->index == 0) {
            actor->cell.next = NULL;
            *worker->pinned_end = &actor->cell;
            worker->pinned_end = &actor->cell.next;
            return;
        }
        inject_push(&runtime->inject_pinned, actor);
        idle_wake(runtime, worker, 1);
        return;
    }
    if (worker != NULL) {
        if (queue_push(&worker->queue, actor) &&
            /* Relaxed: a missed sleeper costs parallelism until the next push, nothing else. */
            atomic_load_explicit(&runtime->idle, memory_order_relaxed) != 0) {
            idle_wake(runtime, worker, UINT64_MAX);
        }
        return;
    }
    inject_push(&runtime->inject, actor);
    idle_wake(runtime, worker, UINT64_MAX);
}

bool scheduler_injected(const struct runtime *runtime, const struct worker *worker) {
    return atomic_load(&runtime->inject.count) != 0 || /* seq_cst: see "lost wakes" */
           (worker->index == 0 && atomic_load(&runtime->inject_pinned.count) != 0);
}

static struct actor *pinned_pop(struct worker *worker) {
    if (worker->index != 0) {
        return NULL;
    }
    struct cell *cell = worker->pinned;
    if (cell == NULL) {
        return inject_pop(&worker->runtime->inject_pinned);
    }
    worker->pinned = cell->next;
    if (worker->pinned == NULL) {
        worker->pinned_end = &worker->pinned;
    }
    return actor_of(cell);
}

static struct actor *steal(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    for (unsigned step = 1; step < runtime->workers_count; step++) {
        unsigned index = (worker->index + step) % runtime->workers_count;
        struct actor *actor = queue_steal(worker, &runtime->workers[index].queue);
        if (actor != NULL) {
            return actor;
        }
    }
    return NULL;
}

struct actor *scheduler_pick(struct worker *worker) {
    struct runtime *runtime = worker->runtime;
    struct actor *actor = NULL;
    uint64_t pick = worker->picks++;
    if (pick % PICK_FAIR == 0) {
        actor = inject_pop(&runtime->inject);
    }
    if (actor == NULL && (pick & 1) != 0) {
        actor = pinned_pop(worker);
    }
    if (actor == NULL) {
        actor = queue_pop(&worker->queue);
    }
    if (actor == NULL) {
        actor = pinned_pop(worker);
    }
    if (actor == NULL) {
        actor = inject_pop(&runtime->inject);
    }
    return actor != NULL ? actor : steal(worker);
}
