/* scenario_request: one request as an actor: it takes the teams it needs, passes the steps of the route, and tells the
 * recorder of its end.
 *
 *   step: [teams that begin here, one after the other] -> its stages at the same time -> [teams that end here] -> next
 *   stage: (background share, begun with the stage it overlaps with) -> own share -> failed? again, or the end
 *   share: parts, each: at a station | CPU time, then blocked time
 *
 * Threads: one actor each. Memory: its state, and that of a CPU part while its job runs (the job's when the request is
 * gone). */
#include "simulate/scenario_world.h"

#include <math.h>
#include <string.h>

#define SLICE_NS 10000000u /* of CPU time, by which those that compute take turns on the cores */
#define SLICES_MAX 200     /* of one part: longer ones take longer turns */
#define PART_SHIFT 8       /* a wait's token: part and stage */

struct request_stage {
    unsigned left; /* parts under way */
    unsigned attempt;
    bool background, awaited;
    uint64_t begun_ns;
    struct stage_counts counts;
};
struct request {
    struct world *world;
    uint64_t number, arrived_ns;
    double shared_normal;
    unsigned step, pending, team; /* the team asked for, or the next to look at */
    bool error, rejected, over;
    uint64_t cpu_ns;
    uint64_t granted_ns[SCENARIO_TEAMS_MAX]; /* UINT64_MAX: not held */
    struct request_stage stages[];
};
struct cpu_part {
    struct world *world;
    unsigned stage, part;
    uint64_t turn_ns, left_ns, slice_ns, blocked_ns;
};

static void step_begin(struct request *request, struct turn *turn, uint64_t at_ns);
static void share_done(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns);

/* ---- the end ---- */

static void team_release(struct request *request, struct turn *turn, unsigned team, uint64_t at_ns) {
    struct message *message =
        world_message(request->world, MESSAGE_SCENARIO_RELEASE, sizeof(struct scenario_release));
    if (message == NULL)
        return;
    *MESSAGE_PAYLOAD(message, struct scenario_release) =
        (struct scenario_release){.at_ns = at_ns, .granted_ns = request->granted_ns[team]};
    request->granted_ns[team] = UINT64_MAX;
    world_send(request->world, turn, request->world->teams[team], &message);
}

static void request_end(struct request *request, struct turn *turn, uint64_t at_ns) {
    struct world *world = request->world;
    const struct scenario *scenario = world->scenario;
    uint64_t latency = at_ns > request->arrived_ns ? at_ns - request->arrived_ns : 0;
    bool late = scenario->timeout_ns > 0 && latency > scenario->timeout_ns;
    size_t bytes = sizeof(struct scenario_ended) + scenario->stage_count * sizeof(struct stage_counts);
    struct message *message = world_message(world, MESSAGE_SCENARIO_ENDED, bytes);
    for (unsigned t = 0; t < scenario->team_count; t++)
        if (request->granted_ns[t] != UINT64_MAX)
            team_release(request, turn, t, at_ns);
    request->over = true;
    actor_exit(turn, TROUPE_OK);
    if (message == NULL)
        return;
    struct scenario_ended *ended = MESSAGE_PAYLOAD(message, struct scenario_ended);
    *ended = (struct scenario_ended){.number = request->number,
                                     .latency_ns = late ? scenario->timeout_ns : latency,
                                     .at_ns = at_ns,
                                     .cpu_ns = request->cpu_ns,
                                     .error = late || request->error,
                                     .rejected = request->rejected};
    for (unsigned s = 0; s < scenario->stage_count; s++)
        ended->stages[s] = request->stages[s].counts;
    world_send(world, turn, world->recorder, &message);
}

/* ---- a share of a stage ---- */

/* The same time for every share of an attempt: the stream depends on the request, the stage and the attempt. */
static double stage_time(struct request *request, unsigned stage, bool *ret_extra) {
    const struct world *world = request->world;
    const struct scenario_stage *of = &world->scenario->stages[stage];
    struct random_stream random;
    world_stream(world, request->number, DRAW_TIME, stage, request->stages[stage].attempt, &random);
    double shared = world->scenario->shared;
    bool hit = random_unit(&random) < of->cache_hit, extra = random_unit(&random) < of->extra_probability;
    double normal = sqrt(shared) * request->shared_normal + sqrt(1 - shared) * random_normal(&random);
    double ns = of->factor * distribution_draw(hit ? &of->cache_time : &of->time, &random, normal);
    *ret_extra = extra && !hit;
    if (*ret_extra)
        ns += distribution_draw(&of->extra, &random, random_normal(&random));
    return ns < DISTRIBUTION_NS_MAX ? ns : DISTRIBUTION_NS_MAX;
}

static void part_done(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns) {
    if (--request->stages[stage].left == 0)
        share_done(request, turn, stage, at_ns);
}

static void part_wait(struct request *request, struct turn *turn, unsigned stage, unsigned part,
                      uint64_t at_ns, uint64_t ns) {
    /* Also when it is 0: a turn of its own, so that no chain of such stages goes down the stack. */
    wait_until(request->world, turn, at_ns + ns, (uint64_t)part << PART_SHIFT | stage);
}

static void part_ask(struct request *request, struct turn *turn, const struct scenario_ask *ask) {
    struct world *world = request->world;
    unsigned station = (unsigned)world->scenario->stages[ask->stage].station;
    struct random_stream random;
    struct message *message = world_message(world, MESSAGE_SCENARIO_ASK, sizeof *ask);
    if (message == NULL)
        return;
    *MESSAGE_PAYLOAD(message, struct scenario_ask) = *ask;
    world_stream(world, request->number, DRAW_KEY, ask->stage, ask->part, &random);
    /* The hash of the request's key; its low bits, so that twice the partitions split each in two. */
    uint64_t partition = random_u64(&random) & (world->scenario->stations[station].partitions - 1);
    world_send(world, turn, world->stations[station][partition], &message);
}

static void cpu_spin(void *arg) {
    const struct cpu_part *cpu = arg;
    struct env *env = cpu->world->env;
    if (cpu->world->clock == NULL)
        return; /* simulated: the job's cost is modelled */
    uint64_t end = env_thread_cpu(env) + (uint64_t)((double)cpu->slice_ns / cpu->world->scale);
    while (env_thread_cpu(env) < end)
        continue;
}

static void cpu_drop(void *arg) {
    struct cpu_part *cpu = arg;
    memory_free(cpu->world->account, cpu);
}

static void cpu_slice(struct turn *turn, struct cpu_part *cpu) {
    cpu->slice_ns = cpu->left_ns < cpu->turn_ns ? cpu->left_ns : cpu->turn_ns;
    cpu->left_ns -= cpu->slice_ns;
    struct job_spec job = {
        .lane = ENV_LANE_POOL, .fn = cpu_spin, .drop = cpu_drop, .arg = cpu, .sim_cpu_ns = cpu->slice_ns};
    enum troupe_error error = job_start(turn, &job);
    if (error == TROUPE_OK)
        return;
    world_fail(cpu->world, error, "too many requests compute at once");
    cpu_drop(cpu);
}

static void part_begin(struct request *request, struct turn *turn, unsigned stage, unsigned part, double ns,
                       uint64_t at_ns) {
    const struct scenario_stage *of = &request->world->scenario->stages[stage];
    uint64_t cpu_ns = (uint64_t)(ns * of->cpu);
    if (of->station >= 0) {
        struct scenario_ask ask = {
            .number = request->number, .stage = stage, .part = part, .at_ns = at_ns, .work_ns = (uint64_t)ns};
        part_ask(request, turn, &ask);
        return;
    }
    if (cpu_ns == 0) {
        part_wait(request, turn, stage, part, at_ns, (uint64_t)ns);
        return;
    }
    struct cpu_part *cpu = memory_alloc(request->world->account, sizeof *cpu);
    if (cpu == NULL) {
        world_fail(request->world, TROUPE_NOMEM, "out of memory");
        return;
    }
    request->cpu_ns += cpu_ns;
    *cpu = (struct cpu_part){.world = request->world,
                             .stage = stage,
                             .part = part,
                             .turn_ns = cpu_ns / SLICES_MAX > SLICE_NS ? cpu_ns / SLICES_MAX : SLICE_NS,
                             .left_ns = cpu_ns,
                             .blocked_ns = (uint64_t)ns - cpu_ns};
    cpu_slice(turn, cpu);
}

static void share_begin(struct request *request, struct turn *turn, unsigned stage, double share,
                        uint64_t at_ns) {
    const struct scenario_stage *of = &request->world->scenario->stages[stage];
    bool extra = false;
    double ns = share * stage_time(request, stage, &extra);
    double divided = (1 - of->serial) / of->parts, first = of->serial + divided;
    /* Parts that only pass time end with the longest: the one that does the serial work too. */
    unsigned parts = of->station < 0 && of->cpu <= 0 ? 1 : of->parts;
    request->error = request->error || (extra && of->extra_error);
    request->stages[stage].left = parts;
    for (unsigned part = 0; part < parts && !request->over; part++)
        part_begin(request, turn, stage, part, ns * (part == 0 ? first : divided), at_ns);
}

/* ---- stages ---- */

static void stage_done(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns) {
    const struct scenario *scenario = request->world->scenario;
    struct request_stage *state = &request->stages[stage];
    state->counts.visits++;
    state->counts.service_ns += (double)(at_ns - state->begun_ns);
    for (unsigned t = 0; t < scenario->team_count; t++)
        if (scenario->teams[t].to == stage && request->granted_ns[t] != UINT64_MAX)
            team_release(request, turn, t, at_ns);
    if (--request->pending > 0)
        return;
    request->step++;
    request->team = 0;
    if (request->step == scenario->step_count)
        request_end(request, turn, at_ns);
    else
        step_begin(request, turn, at_ns);
}

static bool stage_fails(struct request *request, unsigned stage) {
    const struct scenario_stage *of = &request->world->scenario->stages[stage];
    struct random_stream random;
    if (of->fails <= 0)
        return false;
    world_stream(request->world, request->number, DRAW_FAILS, stage, request->stages[stage].attempt, &random);
    return random_unit(&random) < of->fails;
}

static void stage_own(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns) {
    const struct scenario_stage *of = &request->world->scenario->stages[stage];
    struct request_stage *state = &request->stages[stage];
    double share = of->overlap_from >= 0 && state->attempt == 0 ? 1 - of->overlap_fraction : 1;
    state->left = 1;
    if (share > 0)
        share_begin(request, turn, stage, share, at_ns);
    else
        part_done(request, turn, stage, at_ns);
}

static void share_done(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns) {
    struct request_stage *state = &request->stages[stage];
    if (state->background) {
        state->background = false;
        if (state->awaited)
            stage_own(request, turn, stage, at_ns);
        return;
    }
    if (!stage_fails(request, stage)) {
        stage_done(request, turn, stage, at_ns);
    } else if (state->attempt < request->world->scenario->stages[stage].retries) {
        state->attempt++;
        stage_own(request, turn, stage, at_ns);
    } else {
        request->error = true;
        request_end(request, turn, at_ns);
    }
}

static void stage_begin(struct request *request, struct turn *turn, unsigned stage, uint64_t at_ns) {
    struct request_stage *state = &request->stages[stage];
    state->begun_ns = at_ns;
    if (state->background)
        state->awaited = true;
    else
        stage_own(request, turn, stage, at_ns);
}

/* ---- steps ---- */

static bool team_ask(struct request *request, struct turn *turn, uint64_t at_ns) {
    const struct scenario *scenario = request->world->scenario;
    for (; request->team < scenario->team_count; request->team++) {
        if (scenario->stages[scenario->teams[request->team].from].step != request->step)
            continue;
        struct message *message =
            world_message(request->world, MESSAGE_SCENARIO_ASK, sizeof(struct scenario_ask));
        if (message == NULL)
            return true;
        MESSAGE_PAYLOAD(message, struct scenario_ask)->at_ns = at_ns;
        world_send(request->world, turn, request->world->teams[request->team], &message);
        return true;
    }
    return false;
}

static void background_begin(struct request *request, struct turn *turn, uint64_t at_ns) {
    const struct scenario *scenario = request->world->scenario;
    for (unsigned s = 0; s < scenario->stage_count && !request->over; s++) {
        const struct scenario_stage *of = &scenario->stages[s];
        if (of->overlap_from < 0 || of->overlap_fraction <= 0 ||
            scenario->stages[of->overlap_from].step != request->step)
            continue;
        request->stages[s].background = true;
        share_begin(request, turn, s, of->overlap_fraction, at_ns);
    }
}

static void step_begin(struct request *request, struct turn *turn, uint64_t at_ns) {
    const struct scenario *scenario = request->world->scenario;
    unsigned step = request->step;
    if (team_ask(request, turn, at_ns))
        return;
    request->pending = 0;
    for (unsigned s = 0; s < scenario->stage_count; s++)
        request->pending += scenario->stages[s].step == step;
    background_begin(request, turn, at_ns);
    for (unsigned s = 0; s < scenario->stage_count && !request->over && request->step == step; s++)
        if (scenario->stages[s].step == step)
            stage_begin(request, turn, s, at_ns);
}

/* ---- turns ---- */

static void request_answer(struct request *request, struct turn *turn, const struct scenario_answer *said) {
    if (said->team) {
        request->granted_ns[said->stage] = said->at_ns;
        request->team = said->stage + 1;
        step_begin(request, turn, said->at_ns);
    } else if (said->refused) {
        request->error = request->rejected = true;
        request_end(request, turn, said->at_ns);
    } else {
        request->stages[said->stage].counts.wait_ns += (double)said->wait_ns;
        part_done(request, turn, said->stage, said->at_ns);
    }
}

static void request_computed(struct request *request, struct turn *turn, struct cpu_part *cpu) {
    uint64_t now = world_now(request->world, turn->now_ns);
    if (cpu->left_ns > 0 && !request->over) {
        cpu_slice(turn, cpu);
        return;
    }
    if (!request->over)
        part_wait(request, turn, cpu->stage, cpu->part, now, cpu->blocked_ns);
    cpu_drop(cpu);
}

static void request_handle(struct turn *turn, void *state, const struct message *message) {
    struct request *request = state;
    struct wait_end end;
    if (message->kind == MESSAGE_JOB_DONE) {
        request_computed(request, turn, MESSAGE_PAYLOAD(message, struct message_job)->arg);
    } else if (request->over) {
        return;
    } else if (message->kind == MESSAGE_SCENARIO_START) {
        step_begin(request, turn, request->arrived_ns);
    } else if (message->kind == MESSAGE_SCENARIO_ANSWER) {
        request_answer(request, turn, MESSAGE_PAYLOAD(message, struct scenario_answer));
    } else if (wait_ended(request->world, turn, message, &end)) {
        part_done(request, turn, (unsigned)(end.token & ((1u << PART_SHIFT) - 1)), end.at_ns);
    }
}

static void request_destroy(void *state) {
    struct request *request = state;
    memory_free(request->world->account, request);
}

void request_begin(struct world *world, struct turn *turn, uint64_t number, uint64_t at_ns) {
    struct random_stream random;
    unsigned stages = world->scenario->stage_count;
    struct request *request =
        memory_alloc(world->account, sizeof *request + stages * sizeof request->stages[0]);
    struct message *message = world_message(world, MESSAGE_SCENARIO_START, sizeof(struct scenario_start));
    actor_ref actor;
    if (request == NULL || message == NULL) {
        world_fail(world, TROUPE_NOMEM, "out of memory");
        memory_free(world->account, request);
        message_free(&message);
        return;
    }
    request->world = world;
    request->number = number;
    request->arrived_ns = at_ns;
    memset(request->granted_ns, 0xff, sizeof request->granted_ns);
    world_stream(world, number, DRAW_SHARED, 0, 0, &random);
    request->shared_normal = random_normal(&random);
    if (world_spawn(world, "request", request_handle, request, request_destroy, &actor))
        world_send(world, turn, actor, &message);
    message_free(&message);
}
