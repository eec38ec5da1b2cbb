/* sim_cores: the processors as one processor-sharing station: n jobs on C cores each progress at min(1,
 * C/n).
 *
 * All jobs progress alike, so one number, the service each has attained since the station was last empty,
 * stands for all: a job that arrives at attained service A and needs S is finished when the service reaches
 * A + S. (Kleinrock, Queueing Systems II, 4.4.) Numbers are integers, in 1/256 ns, rounded down at each
 * arrival and departure: a job is off by less than 1 ns per 256 changes, and the same on every machine and
 * compiler.
 *
 * Threads: one.
 * Memory:  the jobs are their owners'. */
#include "env/sim_internal.h"

__extension__ typedef unsigned __int128 wide;

static void station_advance(struct sim_env *sim) {
    struct sim_station *station = &sim->station;
    uint64_t elapsed = sim->now - station->updated_ns;
    station->updated_ns = sim->now;
    if (station->jobs.count == 0) {
        station->attained = 0;
        return;
    }
    wide gained = (wide)elapsed << SIM_FRACTION_BITS;
    if (station->jobs.count > station->cores)
        gained = gained * station->cores / station->jobs.count;
    station->attained += (uint64_t)gained;
}

/* When the job that needs least is finished, if nothing arrives before. */
static void station_plan(struct sim_env *sim) {
    struct sim_station *station = &sim->station;
    const struct sim_event *first = sim_queue_first(&station->jobs);
    if (!first) {
        sim_cancel(sim, &station->event);
        return;
    }
    wide left = first->time > station->attained ? first->time - station->attained : 0;
    if (station->jobs.count > station->cores)
        left = (left * station->jobs.count + station->cores - 1) / station->cores;
    uint64_t ns = (uint64_t)((left + (1u << SIM_FRACTION_BITS) - 1) >> SIM_FRACTION_BITS);
    sim_schedule(sim, &station->event, sim->now + ns);
}

static void station_event(struct sim_env *sim, struct sim_event *event) {
    (void)event;
    struct sim_station *station = &sim->station;
    station_advance(sim);
    struct sim_event *first;
    while ((first = sim_queue_first(&station->jobs)) && first->time <= station->attained) {
        struct sim_compute *compute = first->owner;
        sim_queue_remove(&station->jobs, first);
        compute->running = false;
        compute->served_ns = compute->cpu_ns;
        sim_schedule(sim, compute->then, sim->now);
    }
    station_plan(sim);
}

void sim_station_init(struct sim_env *sim, unsigned cores) {
    sim->station.cores = cores;
    sim->station.updated_ns = sim->now;
    sim_event_init(&sim->station.event, SIM_CORES, 0, station_event, NULL);
}

void sim_compute_start(struct sim_env *sim, struct sim_compute *compute, uint64_t cpu_ns,
                       struct sim_event *then) {
    CHECK(!compute->running);
    CHECK(cpu_ns < SIM_TIME_MAX);
    compute->cpu_ns = cpu_ns;
    compute->served_ns = 0;
    compute->then = then;
    if (cpu_ns == 0) {
        sim_schedule(sim, then, sim->now);
        return;
    }
    station_advance(sim);
    compute->running = true;
    compute->begin = sim->station.attained;
    compute->finish = (struct sim_event){
        .time = sim->station.attained + (cpu_ns << SIM_FRACTION_BITS),
        .owner = compute,
    };
    sim_queue_add(&sim->station.jobs, &compute->finish);
    station_plan(sim);
}

void sim_compute_stop(struct sim_env *sim, struct sim_compute *compute) {
    if (!compute->running)
        return;
    compute->served_ns = sim_compute_used(sim, compute);
    sim_queue_remove(&sim->station.jobs, &compute->finish);
    compute->running = false;
    station_plan(sim);
}

uint64_t sim_compute_used(struct sim_env *sim, const struct sim_compute *compute) {
    if (!compute->running)
        return compute->served_ns;
    station_advance(sim);
    uint64_t used = (sim->station.attained - compute->begin) >> SIM_FRACTION_BITS;
    return used < compute->cpu_ns ? used : compute->cpu_ns;
}
