/* The world of one seed: drawn, run, taken down, and judged by what its accounts and counts say at the end.
 */
#include "sim_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sim_violation(struct sim_world *world, const char *format, ...) {
    if (world->violation[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(world->violation, sizeof world->violation, format, args);
    va_end(args);
}

void sim_use(struct sim_world *world, const struct resources *amount) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++) {
        world->in_use.amount[i] += amount->amount[i];
        if (world->coordinator_count == 1 && world->in_use.amount[i] > world->totals.amount[i])
            sim_violation(world, "resource %u oversubscribed: %lld in use of %lld", i,
                          (long long)world->in_use.amount[i], (long long)world->totals.amount[i]);
    }
}

void sim_unuse(struct sim_world *world, const struct resources *amount) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        world->in_use.amount[i] -= amount->amount[i];
}

static double pick(struct random_stream *random, double most) {
    return random_below(random, 2) ? 0 : random_unit(random) * most;
}

static void draw(struct sim_world *world, struct env_sim_options *sim) {
    struct random_stream *random = &world->random;
    random_seed(random, world->seed, 0);
    world->crash = pick(random, 0.08);
    world->hang = pick(random, 0.04);
    world->garbage = pick(random, 0.04);
    world->twice = pick(random, 0.2);
    world->other_attempt = pick(random, 0.2);
    world->fails = pick(random, 0.2);
    world->silent_stop = pick(random, 0.5);
    world->coordinator_count = 1 + (random_below(random, 8) > 0);
    world->owner_count = 1 + (unsigned)random_below(random, SIM_OWNERS);
    world->agent_count = 1 + (unsigned)random_below(random, SIM_AGENTS);
    world->rogue = random_below(random, 3) == 0;
    world->linked = random_below(random, 2);
    world->one_kind = random_below(random, 2);
    world->lost = pick(random, 0.05);
    world->delayed = pick(random, 0.5);
    world->faults_until_ns = 500 * MS + random_below(random, 2 * SECOND);
    world->totals = (struct resources){{1, 4}};
    *sim = (struct env_sim_options){.seed = world->seed,
                                    .cores = 1 + (unsigned)random_below(random, 4),
                                    .time_max_ns = 3600 * SECOND,
                                    .events_max = 3000000,
                                    .turn_cpu_ns = random_below(random, 2) * 2000};
    sim->faults = (struct env_faults){.child_spawn_fails = pick(random, 0.1),
                                      .child_crash = pick(random, 0.03),
                                      .child_hang = pick(random, 0.03),
                                      .child_line_lost = pick(random, 0.03),
                                      .child_delay = pick(random, 0.2),
                                      .child_delay_ns_max = 100 * MS};
}

static void start_coordinators(struct sim_world *world) {
    struct fault fault = {0};
    for (unsigned i = 0; i < world->coordinator_count; i++) {
        world->options[i] = (struct coordinator_options){
            .capabilities = &world->capabilities,
            .resource_names = &world->resource_names,
            .resources = world->totals,
            .queue_len_max = 20 + (unsigned)random_below(&world->random, 200),
            /* in two of three, most of what waits has no claim */
            .claims_max =
                (unsigned)random_below(&world->random, 3) * (1 + (unsigned)random_below(&world->random, 8)),
            .offer_timeout_ns = SIM_OFFER_TIMEOUT_NS,
            /* where no end can be lost, all must be done without asking after it */
            .lease_ns = world->linked || world->rogue ? SIM_LEASE_NS : 3600 * SECOND,
            .reports_late_ns = world->seed % 4 == 0 ? SECOND : 0,
            .name_space = sim_name_space(world, i),
            .statistics = &world->statistics[i]};
        if (coordinator_start(world->runtime, world->registry, &world->account, &world->options[i],
                              &world->coordinators[i], &fault))
            sim_violation(world, "coordinator_start: %s", fault.text);
    }
}

static const char *const program[] = {"worker", NULL};
static const char *const agent_names[SIM_AGENTS] = {"alpha", "beta", "gamma", "delta", "epsilon"};

static void start_agents(struct sim_world *world) {
    struct random_stream *random = &world->random;
    struct fault fault = {0};
    for (unsigned i = 0; i < world->agent_count; i++) {
        struct agent_spec *spec = &world->specs[i];
        unsigned batch_max = 1 + (unsigned)random_below(random, 3),
                 window = batch_max + (unsigned)random_below(random, 3);
        *spec =
            (struct agent_spec){.name = agent_names[i],
                                .kind = AGENT_COMMAND,
                                .argv = program,
                                .capability_names = &world->capabilities,
                                .instances = 1 + (unsigned)random_below(random, 3),
                                .window = window,
                                .batch_max = batch_max,
                                .batch_wait_ns = random_below(random, 3) ? 0 : random_below(random, 30 * MS),
                                .queue_len_max = window + (unsigned)random_below(random, 8),
                                .start_timeout_ns = SECOND,
                                .timeout_ns = 300 * MS,
                                .stop_grace_ns = 50 * MS,
                                .restarts_max = 2 + (unsigned)random_below(random, 20),
                                .restart_window_ns = 10 * SECOND,
                                .restart_backoff_ns = 10 * MS,
                                .coordinator = world->coordinators[i % world->coordinator_count],
                                .account = &world->account};
        uint64_t bits = i == 0 ? 7 : 1 + random_below(random, 7);
        spec->capabilities.bits[0] = bits;
        if (agent_start(world->runtime, world->registry, spec, &world->agents[i], &fault))
            sim_violation(world, "agent_start: %s: %s", fault.where, fault.text);
    }
}

/* ---- one agent drains, or an instance's actor is stopped, in the middle of it all ---- */
static void drain_handle(struct turn *turn, void *state, const struct message *message) {
    struct sim_world *world = state;
    uint64_t timer;
    if (message->kind == MESSAGE_USER)
        IGNORE(timer_start(turn, turn->now_ns + random_below(&world->random, SECOND), 0, &timer), "sim");
    if (message->kind != MESSAGE_TIMER)
        return;
    struct agents *agents = world->agents[random_below(&world->random, world->agent_count)];
    if (random_below(&world->random, 2))
        agents_drain(world->runtime, agents);
    else
        actor_stop(world->runtime,
                   agents_actor(agents, (unsigned)random_below(&world->random, agents_count(agents))),
                   TROUPE_INTERNAL);
}

static void start_drainer(struct sim_world *world) {
    if (random_below(&world->random, 3))
        return;
    struct actor_spec spec = {.name = "drainer", .handle = drain_handle, .state = world};
    struct message *start = message_new(world->runtime, MESSAGE_USER, 0);
    if (actor_spawn(world->runtime, &spec, &world->drainer) ||
        actor_send(world->runtime, NULL, world->drainer, &start))
        sim_violation(world, "test: no drainer");
}

/* ---- the end of the faults ---- */
/* Whatever happened before: two leases later what was submitted until then is done. */
static void check_done(struct sim_world *world) {
    for (unsigned o = 0; o < world->owner_count; o++)
        for (unsigned t = 0; t < SIM_TRIALS; t++)
            for (unsigned a = 0; a < SIM_ATTEMPTS; a++) {
                const struct sim_attempt *at = &world->owners[o].attempts[t][a];
                if (at->submitted && !at->ends && at->submitted_ns <= world->faults_until_ns)
                    sim_violation(world, "task %u/%u/%u is not done two leases after the faults%s", o + 1, t,
                                  a + 1, at->at_child ? " (at a child)" : "");
            }
}

static void peace_handle(struct turn *turn, void *state, const struct message *message) {
    struct sim_world *world = state;
    uint64_t timer;
    if (message->kind == MESSAGE_USER) {
        uint64_t checked_ns = world->faults_until_ns + 2 * SIM_LEASE_NS;
        IGNORE(timer_start(turn, world->faults_until_ns, 0, &timer), "sim");
        IGNORE(timer_start(turn, checked_ns, 1, &timer), "sim");
    }
    if (message->kind != MESSAGE_TIMER)
        return;
    if (MESSAGE_PAYLOAD(message, const struct message_timer)->token == 1) {
        check_done(world);
        if (world->violation[0])
            runtime_stop(world->runtime);
        return;
    }
    world->peace = true;
    world->crash = world->hang = world->garbage = world->silent_stop = world->lost = world->delayed = 0;
    env_sim_set_faults(world->env, &(struct env_faults){0});
}

static void start_peace(struct sim_world *world) {
    struct actor_spec spec = {.name = "peace", .handle = peace_handle, .state = world};
    struct message *start = message_new(world->runtime, MESSAGE_USER, 0);
    actor_ref peace;
    if (actor_spawn(world->runtime, &spec, &peace) || actor_send(world->runtime, NULL, peace, &start))
        sim_violation(world, "test: no peace");
}

static bool set_up(struct sim_world *world, const struct env_sim_options *sim) {
    static const char *const capabilities[] = {"a", "b", "c", "nobody"};
    struct fault fault = {0};
    unsigned bit;
    if (env_sim_create(&world->account, sim, &world->env))
        return false;
    task_message_destructors();
    sim_children_install(world);
    if (runtime_create(world->env, &world->account, &(struct runtime_options){.actors_max = 1024},
                       &world->runtime, &fault))
        return false;
    if (registry_create(world->runtime, &world->account, &(struct registry_options){.rows_max = 256},
                        &world->registry, &fault))
        return false;
    for (unsigned i = 0; i < ARRAY_COUNT(capabilities); i++)
        if (capability_intern(&world->capabilities, capabilities[i], &bit))
            return false;
    if (resource_intern(&world->resource_names, "gpu", &bit) ||
        resource_intern(&world->resource_names, "memory", &bit))
        return false;
    world->owners = memory_alloc(&world->account, SIM_OWNERS * sizeof *world->owners);
    return world->owners != NULL;
}

/* ---- judging ---- */
static void judge(struct sim_world *world) {
    if (world->run_error && !world->violation[0]) {
        unsigned open = 0;
        char first[64] = "";
        for (unsigned o = 0; o < world->owner_count; o++)
            for (unsigned t = 0; t < SIM_TRIALS; t++)
                for (unsigned a = 0; a < SIM_ATTEMPTS; a++) {
                    const struct sim_attempt *at = &world->owners[o].attempts[t][a];
                    if (!at->submitted || at->ends)
                        continue;
                    if (!open++)
                        snprintf(first, sizeof first, "%u/%u/%u%s", o + 1, t, a + 1,
                                 at->at_child ? " (at a child)" : "");
                }
        const struct coordinator_statistics *counts = &world->statistics[0];
        sim_violation(world,
                      "stuck (%s): %u tasks never ended, first %s; the first coordinator: %llu wait, %llu at "
                      "agents, %u agents, %llu slots busy of %llu",
                      error_name(world->run_error), open, first, (unsigned long long)counts->waiting,
                      (unsigned long long)counts->at_agents, (unsigned)counts->agents,
                      (unsigned long long)counts->slots_busy, (unsigned long long)counts->slots);
    }
    for (unsigned i = 0; i < world->coordinator_count; i++) {
        const struct coordinator_statistics *counts = &world->statistics[i];
        if (counts->submitted != counts->ended_ok + counts->ended_failed + counts->ended_cancelled +
                                     counts->rejected + counts->live)
            sim_violation(world, "coordinator counts do not add up");
        if (counts->live)
            sim_violation(world, "%llu tasks live at the end", (unsigned long long)counts->live);
        if (counts->waiting_max > world->options[i].queue_len_max)
            sim_violation(world, "queue of %llu past its bound %u", (unsigned long long)counts->waiting_max,
                          world->options[i].queue_len_max);
        if (counts->undeliverable)
            sim_violation(world, "an end could not be delivered");
        for (unsigned r = 0; r < RESOURCES_MAX; r++)
            if (counts->resources_free.amount[r] != world->totals.amount[r])
                sim_violation(world, "resource %u: %lld free of %lld at the end", r,
                              (long long)counts->resources_free.amount[r],
                              (long long)world->totals.amount[r]);
    }
    uint64_t submitted = 0, seen = 0;
    for (unsigned o = 0; o < world->owner_count; o++)
        submitted += world->owners[o].submitted;
    for (unsigned i = 0; i < world->coordinator_count; i++)
        seen += world->statistics[i].submitted;
    if (submitted != seen)
        sim_violation(world, "%llu tasks submitted, %llu seen", (unsigned long long)submitted,
                      (unsigned long long)seen);
}

void sim_world_live(struct sim_world *world, uint64_t seed) {
    struct env_sim_options sim;
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->account = ACCOUNT("sim");
    draw(world, &sim);
    if (!set_up(world, &sim)) {
        sim_violation(world, "test: no world");
        return;
    }
    start_coordinators(world);
    start_agents(world);
    if (world->linked)
        sim_links_start(world);
    if (world->rogue)
        sim_rogue_start(world);
    start_drainer(world);
    start_peace(world);
    for (unsigned i = 0; i < world->owner_count; i++)
        sim_owner_start(world, i);
    if (!world->violation[0])
        world->run_error = runtime_run(world->runtime);
    world->signature = env_sim_signature(world->env);
    world->events = env_sim_events(world->env);
    world->virtual_ns = env_now(world->env);
    runtime_free(world->runtime);
    for (unsigned i = 0; i < world->agent_count; i++)
        agents_free(world->agents[i]);
    registry_free(world->registry);
    sim_children_forget(world);
    judge(world);
    memory_free(&world->account, world->owners);
    world->owners = NULL;
    env_destroy(world->env);
    if (world->account.bytes != 0 || world->account.blocks != 0)
        sim_violation(world, "%lld bytes in %lld blocks left", (long long)world->account.bytes,
                      (long long)world->account.blocks);
}
