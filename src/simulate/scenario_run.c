/* scenario_run: replications of a scenario, in virtual time and in real time.
 *
 * Threads: scenario_simulate is one thread throughout; scenario_measure runs the actors on the env's workers and reads
 *          what they counted once these have been joined.
 * Memory: a world a replication; what it counted is added up in struct tally (scenario_figures.c). */
#include "simulate/scenario_run.h"

#include <stdio.h>
#include <string.h>

#define SITE_BITS 20
#define REQUESTS_AT_ONCE_MAX 200000 /* some 150 MB of actors */

/* ---- what every actor needs ---- */

void world_fail(struct world *world, enum troupe_error error, const char *text) {
    if (atomic_exchange(&world->failed, true))
        return;
    world->error = error;
    (void)snprintf(world->failure, sizeof world->failure, "%s", text);
    wait_clock_stop(world->clock);
    runtime_stop(world->runtime);
}

void world_send(struct world *world, struct turn *turn, actor_ref to, struct message **message) {
    if (*message == NULL)
        return;
    /* DEAD is no failure: a request that failed leaves parts behind that nobody waits for. */
    enum troupe_error error = actor_send(world->runtime, turn, to, message);
    if (error != TROUPE_OK && error != TROUPE_DEAD)
        world_fail(world, error, error_text(error));
    message_free(message);
}

struct message *world_message(struct world *world, enum message_kind kind, size_t payload_bytes) {
    struct message *message = message_new(world->runtime, kind, payload_bytes);
    if (message == NULL)
        world_fail(world, TROUPE_NOMEM, "out of memory");
    return message;
}

bool world_spawn(struct world *world, const char *name, actor_handler handle, void *state,
                 void (*destroy)(void *), actor_ref *ret_actor) {
    struct actor_spec spec = {.name = name, .handle = handle, .state = state, .destroy = destroy};
    enum troupe_error error = actor_spawn(world->runtime, &spec, ret_actor);
    if (error == TROUPE_OK)
        return true;
    if (error == TROUPE_LIMIT)
        world_fail(world, error, "more than 200,000 requests at once: more arrive than are served");
    else if (error != TROUPE_DEAD)
        world_fail(world, error, error_text(error));
    destroy(state);
    return false;
}

void world_stream(const struct world *world, uint64_t number, enum draw_site site, unsigned stage,
                  unsigned attempt, struct random_stream *ret) {
    /* 24 bits of number, 6 of stage and 10 of attempt or part, 3 of site: no two meet. */
    uint64_t place = (uint64_t)site << 17 | (uint64_t)stage << 10 | attempt;
    random_seed(ret, world->seed, number << SITE_BITS | place);
}

uint64_t world_ns(double ns) {
    return ns < (double)SCENARIO_TIME_MAX_NS ? (uint64_t)ns : SCENARIO_TIME_MAX_NS + 1;
}

uint64_t world_now(const struct world *world, uint64_t now_ns) {
    uint64_t since = now_ns > world->begin_ns ? now_ns - world->begin_ns : 0;
    return world->clock == NULL ? since : (uint64_t)((double)since * world->scale);
}

uint64_t world_real(const struct world *world, uint64_t at_ns) {
    return world->begin_ns + (world->clock == NULL ? at_ns : (uint64_t)((double)at_ns / world->scale));
}

/* ---- one replication ---- */

static enum troupe_error spawn_all(struct world *world) {
    const struct scenario *scenario = world->scenario;
    enum troupe_error error = recorder_spawn(world);
    for (unsigned s = 0; s < scenario->station_count; s++)
        for (unsigned p = 0; p < scenario->stations[s].partitions && error == TROUPE_OK; p++)
            error = station_spawn(world, s, p);
    for (unsigned t = 0; t < scenario->team_count && error == TROUPE_OK; t++)
        error = team_spawn(world, t);
    return error == TROUPE_OK ? source_spawn(world) : error;
}

static enum troupe_error world_live(struct world *world, bool real, struct fault *fault) {
    struct runtime_options options = {.workers = real ? 0 : 1, .actors_max = REQUESTS_AT_ONCE_MAX};
    const char *where = world->scenario->name;
    enum troupe_error error = runtime_create(world->env, world->account, &options, &world->runtime, fault);
    if (error != TROUPE_OK)
        return error;
    if (real)
        error = wait_clock_create(world);
    if (error == TROUPE_OK)
        error = spawn_all(world);
    world->begin_ns = env_now(world->env);
    if (error == TROUPE_OK)
        error = runtime_run(world->runtime);
    if (atomic_load(&world->failed))
        error = fault_set(fault, world->error, where, "%s", world->failure);
    else if (error == TROUPE_TIMEOUT)
        error = fault_set(fault, TROUPE_LIMIT, where, "the scenario goes on for more than 196 days");
    else if (error != TROUPE_OK)
        error = fault_set(fault, error, where, "%s", error_text(error));
    return error;
}

static void world_end(struct world *world) {
    wait_clock_free(world->clock);
    if (world->runtime != NULL)
        runtime_free(world->runtime);
    memory_free(world->account, world->latencies_ns);
    memory_free(world->account, world->station_counts);
    memory_free(world->account, world);
}

/* The seed of a replication: unrelated to its neighbours'. */
static uint64_t seed_of(uint64_t seed, unsigned replication) {
    struct random_stream random;
    random_seed(&random, seed, replication);
    return random_u64(&random);
}

static struct world *world_make(const struct scenario_request *request, struct account *account,
                                unsigned replication) {
    size_t partitions = (size_t)request->scenario->station_count * SCENARIO_PARTITIONS_MAX + 1;
    struct world *world = memory_alloc(account, sizeof *world);
    if (world == NULL)
        return NULL;
    world->scenario = request->scenario;
    world->account = account;
    world->seed = seed_of(request->seed, replication);
    world->until_ns = request->until_ns > 0 ? request->until_ns : UINT64_MAX;
    world->scale = 1;
    world->station_counts = memory_alloc(account, partitions * sizeof *world->station_counts);
    if (world->station_counts != NULL)
        return world;
    world_end(world);
    return NULL;
}

static enum troupe_error no_memory(const struct scenario_request *request, struct fault *fault) {
    return fault_set(fault, TROUPE_NOMEM, request->scenario->name, "out of memory");
}

/* `env` NULL: in a simulated one of its own. */
static enum troupe_error replicate(const struct scenario_request *request, struct env *env, double scale,
                                   struct account *account, unsigned replication, struct tally *tally,
                                   struct fault *fault) {
    unsigned cores = request->scenario->cores;
    struct world *world = world_make(request, account, replication);
    enum troupe_error error = world != NULL ? TROUPE_OK : no_memory(request, fault);
    if (error == TROUPE_OK && env == NULL) {
        struct env_sim_options options = {.seed = world->seed,
                                          .workers = 1,
                                          .cores = cores > 0 ? cores : 1,
                                          .time_max_ns = SCENARIO_TIME_MAX_NS,
                                          .events_max = UINT64_C(1) << 40};
        error = env_sim_create(account, &options, &world->env);
        if (error != TROUPE_OK)
            error = no_memory(request, fault);
    } else if (error == TROUPE_OK) {
        world->env = env;
        world->scale = scale;
    }
    if (error == TROUPE_OK)
        error = world_live(world, env != NULL, fault);
    if (error == TROUPE_OK)
        tally_add(tally, world);
    if (world != NULL) {
        struct env *simulated = env == NULL ? world->env : NULL;
        world_end(world);
        if (simulated != NULL)
            env_destroy(simulated);
    }
    return error;
}

static enum troupe_error run_all(const struct scenario_request *request, struct env *env, double scale,
                                 struct account *account, struct scenario_result *ret, struct fault *fault) {
    struct tally tally = {.scenario = request->scenario,
                          .account = account,
                          .real = env != NULL,
                          .medians = env != NULL || request->medians};
    enum troupe_error error = TROUPE_OK;
    for (unsigned i = 0; i < request->replications && error == TROUPE_OK; i++)
        error = replicate(request, env, scale, account, i, &tally, fault);
    if (error == TROUPE_OK) {
        error = tally_result(&tally, ret);
        if (error != TROUPE_OK)
            error = no_memory(request, fault);
    }
    return error;
}

enum troupe_error scenario_simulate(const struct scenario_request *request, struct account *account,
                                    struct scenario_result *ret, struct fault *fault) {
    CHECK(request->replications >= 1 && request->replications <= SCENARIO_REPLICATIONS_MAX);
    return run_all(request, NULL, 1, account, ret, fault);
}

enum troupe_error scenario_measure(const struct scenario_request *request, struct env *env, double scale,
                                   struct account *account, struct scenario_result *ret,
                                   struct fault *fault) {
    CHECK(request->replications >= 1 && request->replications <= SCENARIO_REPLICATIONS_MAX);
    CHECK(!env_is_sim(env) && scale > 0);
    unsigned cores = request->scenario->cores;
    if (cores > env_cores(env))
        return fault_set(fault, TROUPE_UNSATISFIABLE, request->scenario->name,
                         "it computes on %u cores, and this machine has %u: it can be simulated here, not "
                         "measured",
                         cores, env_cores(env));
    return run_all(request, env, scale, account, ret, fault);
}
