/* scenario_source: the actor that lets requests arrive, and the one that counts their ends.
 *
 * An arrival counts from its intended time, however late a real timer brings it. The source tells the recorder how many
 * it began; the recorder ends the run when all of them have ended. With closed arrivals it tells the source of each end,
 * which begins the next.
 * Threads: one actor each. Memory: states on the world's account; what the recorder counts is the world's. */
#include "simulate/scenario_world.h"

#include <math.h>
#include <stdlib.h>

/* ---- the source ---- */

struct source {
    struct world *world;
    uint64_t begun, next_ns; /* of the next arrival, when there is one */
    bool over;
    uint64_t bursts;
    unsigned burst_at;
    uint64_t *burst_ns; /* offsets of the burst under way, in order */
};

static int by_time(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void burst_draw(struct source *source) {
    const struct scenario_arrivals *arrivals = &source->world->scenario->arrivals;
    struct random_stream random;
    world_stream(source->world, source->bursts, DRAW_ARRIVAL, 0, 0, &random);
    for (unsigned i = 0; i < arrivals->burst; i++)
        source->burst_ns[i] = (uint64_t)(random_unit(&random) * (double)arrivals->within_ns);
    qsort(source->burst_ns, arrivals->burst, sizeof *source->burst_ns, by_time);
}

/* When request `begun` arrives, by the one before it. */
static uint64_t next_arrival(struct source *source) {
    const struct scenario_arrivals *arrivals = &source->world->scenario->arrivals;
    struct random_stream random;
    switch (arrivals->kind) {
    case ARRIVE_POISSON:
        world_stream(source->world, source->begun, DRAW_ARRIVAL, 0, 0, &random);
        return source->next_ns + world_ns(-log(1 - random_unit(&random)) / arrivals->rate * 1e9);
    case ARRIVE_BURSTS:
        if (source->burst_at == 0)
            burst_draw(source);
        return source->bursts * arrivals->every_ns + source->burst_ns[source->burst_at];
    case ARRIVE_CONSTANT:
    case ARRIVE_CLOSED:
    default:
        return world_ns((double)source->begun / arrivals->rate * 1e9);
    }
}

static void source_over(struct source *source, struct turn *turn) {
    struct world *world = source->world;
    struct message *message = world_message(world, MESSAGE_SCENARIO_ENDED, sizeof(struct scenario_ended));
    source->over = true;
    if (message == NULL)
        return;
    *MESSAGE_PAYLOAD(message, struct scenario_ended) =
        (struct scenario_ended){.number = source->begun, .last = true};
    world_send(world, turn, world->recorder, &message);
}

/* No request may begin at `at_ns`, or after it: the recorder is told once. */
static bool source_ended(struct source *source, struct turn *turn, uint64_t at_ns) {
    const struct scenario *scenario = source->world->scenario;
    if (source->over)
        return true;
    bool ends = (scenario->requests > 0 && source->begun == scenario->requests) ||
                (scenario->duration_ns > 0 && at_ns >= scenario->duration_ns) ||
                at_ns >= source->world->until_ns;
    if (ends)
        source_over(source, turn);
    else if (source->begun == SCENARIO_REQUESTS_MAX)
        world_fail(source->world, TROUPE_LIMIT, "more than 10,000,000 requests");
    return ends || source->begun == SCENARIO_REQUESTS_MAX;
}

static bool source_begin(struct source *source, struct turn *turn, uint64_t at_ns) {
    if (source_ended(source, turn, at_ns))
        return false;
    request_begin(source->world, turn, source->begun++, at_ns);
    return true;
}

/* Begins what has arrived by `due_ns` and waits for the next. */
static void source_arrive(struct source *source, struct turn *turn, uint64_t due_ns) {
    const struct scenario_arrivals *arrivals = &source->world->scenario->arrivals;
    while (source->next_ns <= due_ns) {
        if (!source_begin(source, turn, source->next_ns))
            return;
        source->burst_at++;
        if (arrivals->kind == ARRIVE_BURSTS && source->burst_at == arrivals->burst) {
            source->burst_at = 0;
            source->bursts++;
        }
        source->next_ns = next_arrival(source);
    }
    if (!source_ended(source, turn, source->next_ns))
        wait_until(source->world, turn, source->next_ns, 0);
}

static void source_handle(struct turn *turn, void *state, const struct message *message) {
    struct source *source = state;
    const struct scenario_arrivals *arrivals = &source->world->scenario->arrivals;
    struct wait_end end;
    if (message->kind == MESSAGE_SCENARIO_START && arrivals->kind == ARRIVE_CLOSED) {
        for (unsigned i = 0; i < arrivals->clients && source_begin(source, turn, 0); i++)
            continue;
    } else if (message->kind == MESSAGE_SCENARIO_START) {
        source->next_ns = next_arrival(source);
        if (!source_ended(source, turn, source->next_ns))
            wait_until(source->world, turn, source->next_ns, 0);
    } else if (message->kind == MESSAGE_SCENARIO_ENDED) {
        (void)source_begin(source, turn, MESSAGE_PAYLOAD(message, struct scenario_ended)->at_ns);
    } else if (wait_ended(source->world, turn, message, &end)) {
        source_arrive(source, turn, end.due_ns);
    }
}

static void source_destroy(void *state) {
    struct source *source = state;
    memory_free(source->world->account, source->burst_ns);
    memory_free(source->world->account, source);
}

enum troupe_error source_spawn(struct world *world) {
    const struct scenario_arrivals *arrivals = &world->scenario->arrivals;
    struct source *source = memory_alloc(world->account, sizeof *source);
    struct message *message = NULL;
    if (source == NULL)
        return TROUPE_NOMEM;
    source->world = world;
    source->burst_ns = memory_alloc(world->account, (arrivals->burst + 1) * sizeof *source->burst_ns);
    struct actor_spec spec = {
        .name = "source", .handle = source_handle, .state = source, .destroy = source_destroy};
    enum troupe_error error =
        source->burst_ns != NULL ? actor_spawn(world->runtime, &spec, &world->source) : TROUPE_NOMEM;
    if (error != TROUPE_OK) {
        source_destroy(source);
        return error;
    }
    message = message_new(world->runtime, MESSAGE_SCENARIO_START, sizeof(struct scenario_start));
    if (message == NULL)
        return TROUPE_NOMEM;
    error = actor_send(world->runtime, NULL, world->source, &message);
    message_free(&message);
    return error;
}

/* ---- the recorder ---- */

struct recorder {
    struct world *world;
    uint64_t last; /* requests begun in all; UINT64_MAX: not known yet */
};

static bool latency_add(struct world *world, uint64_t latency_ns) {
    if (world->ended == world->latency_capacity) {
        size_t capacity = world->latency_capacity == 0 ? 1024 : 2 * world->latency_capacity;
        uint64_t *grown =
            memory_resize(world->account, world->latencies_ns, capacity * sizeof *world->latencies_ns);
        if (grown == NULL) {
            world_fail(world, TROUPE_NOMEM, "out of memory");
            return false;
        }
        world->latencies_ns = grown;
        world->latency_capacity = capacity;
    }
    world->latencies_ns[world->ended++] = latency_ns;
    return true;
}

static void record(struct world *world, const struct scenario_ended *ended) {
    if (!latency_add(world, ended->latency_ns))
        return;
    world->errors += ended->error;
    world->rejected += ended->rejected;
    world->cpu_ns += ended->cpu_ns;
    if (ended->at_ns > world->span_ns)
        world->span_ns = ended->at_ns;
    for (unsigned s = 0; s < world->scenario->stage_count; s++) {
        world->stage_counts[s].visits += ended->stages[s].visits;
        world->stage_counts[s].service_ns += ended->stages[s].service_ns;
        world->stage_counts[s].wait_ns += ended->stages[s].wait_ns;
    }
}

static void recorder_handle(struct turn *turn, void *state, const struct message *message) {
    struct recorder *recorder = state;
    struct world *world = recorder->world;
    if (message->kind != MESSAGE_SCENARIO_ENDED)
        return;
    const struct scenario_ended *ended = MESSAGE_PAYLOAD(message, struct scenario_ended);
    if (ended->last) {
        recorder->last = ended->number;
    } else {
        record(world, ended);
        if (world->scenario->arrivals.kind == ARRIVE_CLOSED) {
            struct message *next =
                world_message(world, MESSAGE_SCENARIO_ENDED, sizeof(struct scenario_ended));
            if (next != NULL)
                MESSAGE_PAYLOAD(next, struct scenario_ended)->at_ns = ended->at_ns;
            world_send(world, turn, world->source, &next);
        }
    }
    if (world->ended == recorder->last) {
        wait_clock_stop(world->clock);
        runtime_stop(world->runtime);
    }
}

static void recorder_destroy(void *state) {
    struct recorder *recorder = state;
    memory_free(recorder->world->account, recorder);
}

enum troupe_error recorder_spawn(struct world *world) {
    struct recorder *recorder = memory_alloc(world->account, sizeof *recorder);
    if (recorder == NULL)
        return TROUPE_NOMEM;
    *recorder = (struct recorder){.world = world, .last = UINT64_MAX};
    struct actor_spec spec = {
        .name = "recorder", .handle = recorder_handle, .state = recorder, .destroy = recorder_destroy};
    enum troupe_error error = actor_spawn(world->runtime, &spec, &world->recorder);
    if (error != TROUPE_OK)
        recorder_destroy(recorder);
    return error;
}
