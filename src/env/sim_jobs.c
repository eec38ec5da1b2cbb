/* sim_jobs: the lanes in virtual time: a slot is a thread; fn runs at the job's start, done after its
 * modelled cost.
 *
 * Invariants: as many jobs under way as the lane has slots (the pool: one a core; the store: one), the
 *             oldest first; so the store lane keeps order. The cost is first blocked time, then a share of
 *             the cores.
 * Threads: one.
 * Memory:  slots at creation; jobs are their owners'. */
#include "env/sim_internal.h"

static struct sim_lane *slot_lane(struct sim_env *sim, const struct sim_slot *slot) {
    return &sim->lane[slot->event.source >> 32];
}

/* A free slot takes the oldest queued job. */
static void slot_fill(struct sim_env *sim, struct sim_slot *slot) {
    struct sim_lane *lane = slot_lane(sim, slot);
    CHECK(!slot->job);
    slot->job = lane->first;
    if (!slot->job)
        return;
    lane->first = slot->job->next;
    if (!lane->first)
        lane->last = &lane->first;
    lane->queued--;
    slot->phase = SIM_PHASE_START;
    sim_schedule(sim, &slot->event, sim->now);
}

static void slot_finish(struct sim_env *sim, struct sim_slot *slot) {
    void (*done)(void *) = slot->job->done;
    void *arg = slot->job->arg;
    slot->job = NULL;
    if (done)
        done(arg); /* may start the next job, even in this slot */
    if (!slot->job)
        slot_fill(sim, slot);
}

static void slot_event(struct sim_env *sim, struct sim_event *event) {
    struct sim_slot *slot = event->owner;
    unsigned lane = (unsigned)(event->source >> 32);
    struct env_job *job = slot->job;
    switch (slot->phase) {
    case SIM_PHASE_START:
        job->fn(job->arg);
        slot->phase = SIM_PHASE_BLOCKED;
        sim_schedule_in(sim, event,
                        job->sim_blocked_ns ? job->sim_blocked_ns : sim->options.job_blocked_ns[lane]);
        break;
    case SIM_PHASE_BLOCKED:
        slot->phase = SIM_PHASE_COMPUTE;
        sim_compute_start(sim, &slot->compute,
                          job->sim_cpu_ns ? job->sim_cpu_ns : sim->options.job_cpu_ns[lane], event);
        break;
    case SIM_PHASE_COMPUTE:
        sim->own_cpu_ns += slot->compute.cpu_ns;
        slot_finish(sim, slot);
        break;
    }
}

enum troupe_error sim_job_start(struct env *env, enum env_lane which, struct env_job *job) {
    struct sim_env *sim = (struct sim_env *)env;
    struct sim_lane *lane = &sim->lane[which];
    if (lane->queued == ENV_JOBS_MAX)
        return TROUPE_FULL;
    job->next = NULL;
    *lane->last = job;
    lane->last = &job->next;
    lane->queued++;
    for (unsigned i = 0; i < lane->slots_count; i++) {
        if (!lane->slots[i].job) {
            slot_fill(sim, &lane->slots[i]);
            break;
        }
    }
    return TROUPE_OK;
}

/* Finishes one job under way, on the spot and at no cost. */
static bool slot_hurry(struct sim_env *sim, struct sim_slot *slot) {
    if (!slot->job)
        return false;
    sim_cancel(sim, &slot->event);
    sim_compute_stop(sim, &slot->compute);
    if (slot->phase == SIM_PHASE_START)
        slot->job->fn(slot->job->arg);
    slot_finish(sim, slot);
    return true;
}

void sim_jobs_wait(struct env *env) {
    struct sim_env *sim = (struct sim_env *)env;
    bool found;
    do {
        found = false;
        for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
            for (unsigned j = 0; j < sim->lane[i].slots_count; j++)
                found = slot_hurry(sim, &sim->lane[i].slots[j]) || found;
        }
    } while (found);
}

enum troupe_error sim_jobs_prepare(struct sim_env *sim) {
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
        struct sim_lane *lane = &sim->lane[i];
        unsigned slots = i == ENV_LANE_STORE ? 1 : sim->options.cores;
        lane->last = &lane->first;
        lane->slots = memory_alloc(sim->env.account, slots * sizeof *lane->slots);
        if (!lane->slots)
            return TROUPE_NOMEM;
        lane->slots_count = slots;
        for (unsigned j = 0; j < slots; j++)
            sim_event_init(&lane->slots[j].event, SIM_JOB, ((uint64_t)i << 32) | j, slot_event,
                           &lane->slots[j]);
    }
    return TROUPE_OK;
}

void sim_jobs_close(struct sim_env *sim) {
    sim_jobs_wait(&sim->env);
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++)
        memory_free(sim->env.account, sim->lane[i].slots);
}
