/* sim_workers: the event loop in virtual time, and the virtual workers in it.
 *
 * Invariants: a worker has at most one event: its next step, its turn's end, or its deadline. Wakes are
 *             sticky, and loop callbacks find worker 0 unparked and not in a turn, exactly as os_workers.c
 *             has it; jobs find it unparked, since they share its thread. The run ends by stop (OK), by having nothing left that can happen (DEAD), by its
 *             bounds (TIMEOUT) or by the power cut (CANCELLED); then no worker is parked and no turn is
 *             under way.
 * Threads: one.
 * Memory:  none of its own. */
#include "env/sim_internal.h"

static void tell(struct sim_env *sim, unsigned index, bool parking) {
    if (!sim->workers->park)
        return;
    unsigned before = sim->worker_now;
    sim->worker_now = index;
    sim->workers->park(sim->workers->context, index, parking);
    sim->worker_now = before;
}

static void worker_unpark(struct sim_env *sim, struct sim_worker *worker) {
    if (worker->state != SIM_WORKER_PARKED)
        return;
    worker->state = SIM_WORKER_READY;
    tell(sim, (unsigned)worker->event.source, false);
    sim_schedule(sim, &worker->event, sim->now);
}

/* Callbacks that waited for worker 0's turn to end are ready now, in an order drawn anew. */
static void io_release(struct sim_env *sim) {
    struct sim_event *event = sim->io_first;
    sim->io_first = NULL;
    sim->io_last = &sim->io_first;
    while (event) {
        struct sim_event *next = event->next;
        event->next = NULL;
        event->waiting = false;
        sim_schedule(sim, event, sim->now);
        event = next;
    }
}

static void worker_park(struct sim_env *sim, struct sim_worker *worker, uint64_t deadline_ns) {
    worker->state = SIM_WORKER_PARKED;
    tell(sim, (unsigned)worker->event.source, true);
    if (!worker->event.queued && deadline_ns != UINT64_MAX) /* queued: it woke itself */
        sim_schedule(sim, &worker->event, deadline_ns > sim->now ? deadline_ns : sim->now);
}

static void worker_event(struct sim_env *sim, struct sim_event *event) {
    struct sim_worker *worker = event->owner;
    unsigned index = (unsigned)event->source;
    if (worker->state == SIM_WORKER_BUSY) {
        worker->state = SIM_WORKER_READY;
        worker->cpu_ns += worker->turn.cpu_ns;
        sim->own_cpu_ns += worker->turn.cpu_ns;
        sim_schedule(sim, event, sim->now);
        if (index == 0)
            io_release(sim);
        return;
    }
    if (worker->state == SIM_WORKER_PARKED) {
        worker->state = SIM_WORKER_READY;
        tell(sim, index, false);
    }
    worker->notified = false;
    sim->worker_now = index;
    struct env_step step = sim->workers->step(sim->workers->context, index);
    sim->worker_now = SIM_NOBODY;
    if (step.ran && sim->options.turn_cpu_ns) {
        worker->state = SIM_WORKER_BUSY;
        sim_compute_start(sim, &worker->turn, sim->options.turn_cpu_ns, event);
    } else if (step.ran || worker->notified) {
        sim_schedule(sim, event, sim->now);
    } else {
        worker_park(sim, worker, step.deadline_ns);
    }
}

void sim_workers_prepare(struct sim_env *sim) {
    sim->worker_now = SIM_NOBODY;
    sim->io_last = &sim->io_first;
    for (unsigned i = 0; i < ENV_WORKERS_MAX; i++)
        sim_event_init(&sim->worker[i].event, SIM_WORKER, i, worker_event, &sim->worker[i]);
}

void sim_worker_wake(struct env *env, unsigned index) {
    struct sim_env *sim = (struct sim_env *)env;
    struct sim_worker *worker = &sim->worker[index];
    worker->notified = true;
    if (worker->state == SIM_WORKER_PARKED && (!worker->event.queued || worker->event.time > sim->now))
        sim_schedule(sim, &worker->event, sim->now);
}

void sim_workers_stop(struct env *env) {
    ((struct sim_env *)env)->stopping = true;
}

static void event_run(struct sim_env *sim, struct sim_event *event) {
    struct sim_worker *first = &sim->worker[0];
    if (event->io && first->state == SIM_WORKER_BUSY) {
        event->next = NULL;
        event->waiting = true;
        *sim->io_last = event;
        sim->io_last = &event->next;
        return;
    }
    sim->events++;
    sim_mix(sim, event->kind, event->source, sim->now);
    if (event->io || event->kind == SIM_JOB) /* what a job sends looks as if worker 0 sent it */
        worker_unpark(sim, first);
    event->fn(sim, event);
}

static enum troupe_error events_run(struct sim_env *sim) {
    const struct env_sim_options *options = &sim->options;
    while (!sim->stopping) {
        struct sim_event *event = sim_queue_first(&sim->queue);
        if (options->faults.power_cut_after_events && sim->events >= options->faults.power_cut_after_events)
            sim->power_lost = true;
        if (sim->power_lost)
            return TROUPE_CANCELLED;
        if (!event)
            return TROUPE_DEAD;
        if (sim->events >= options->events_max || event->time > options->time_max_ns)
            return TROUPE_TIMEOUT;
        sim_queue_remove(&sim->queue, event);
        CHECK(event->time >= sim->now);
        sim->now = event->time;
        event_run(sim, event);
    }
    return TROUPE_OK;
}

enum troupe_error sim_workers_run(struct env *env, const struct env_workers *workers) {
    struct sim_env *sim = (struct sim_env *)env;
    CHECK(!sim->running);
    sim->running = true;
    sim->workers = workers;
    for (unsigned i = 0; i < workers->count; i++) {
        sim->worker[i].state = SIM_WORKER_READY;
        sim_schedule(sim, &sim->worker[i].event, sim->now);
    }
    enum troupe_error error = events_run(sim);
    for (unsigned i = 0; i < workers->count; i++) {
        struct sim_worker *worker = &sim->worker[i];
        sim_compute_stop(sim, &worker->turn);
        worker_unpark(sim, worker);
        sim_cancel(sim, &worker->event);
        worker->state = SIM_WORKER_READY;
    }
    io_release(sim);
    sim->stopping = false;
    sim->running = false;
    sim->workers = NULL;
    return error;
}
