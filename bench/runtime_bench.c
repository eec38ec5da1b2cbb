/* What the runtime's basics cost, in ns of CPU time of the process (all workers) for each: a message between
 * two actors that answer each other (ping-pong, and the same as an ask), a message of eight senders to one
 * receiver (fan-in), an actor's birth and end (spawn).
 *
 * Threads: the actors' own; the rig is read by main before and after the run only. */
#include "bench_figure.h"

#include "runtime/runtime.h"

#include <stdio.h>

enum { SENDERS = 8, BURST = 64 };
enum shape { PING_PONG, ASK, FAN_IN, SPAWN, SHAPE_COUNT };

static const char *const shape_names[SHAPE_COUNT] = {
    [PING_PONG] = "ping-pong", [ASK] = "ask and reply", [FAN_IN] = "fan-in", [SPAWN] = "spawn and end"};
static const char *const shape_units[SHAPE_COUNT] = {[PING_PONG] = "ns of CPU per message",
                                                     [ASK] = "ns of CPU per round trip",
                                                     [FAN_IN] = "ns of CPU per message",
                                                     [SPAWN] = "ns of CPU per actor"};

struct rig {
    enum shape shape;
    unsigned count;
    struct runtime *runtime;
    actor_ref first, second;
    unsigned done, born; /* owner: first */
};

static void send_user(struct rig *rig, struct turn *turn, actor_ref to) {
    struct message *message = message_new(rig->runtime, MESSAGE_USER, 16);
    if (message == NULL || actor_send(rig->runtime, turn, to, &message) != TROUPE_OK)
        bench_fail("runtime_bench: a message was refused", TROUPE_FULL, NULL);
}

static void first_ping(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    if (++rig->done >= rig->count)
        runtime_stop(rig->runtime);
    else
        send_user(rig, turn, rig->second);
}

static void second_ping(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    send_user(rig, turn, rig->first);
}

static void first_ask(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    if (rig->done++ >= rig->count) {
        runtime_stop(rig->runtime);
        return;
    }
    struct message *ask = message_new(rig->runtime, MESSAGE_PING, 16);
    if (ask == NULL || actor_ask(turn, rig->second, &ask, 1, UINT64_C(10000000000)) != TROUPE_OK)
        bench_fail("runtime_bench: an ask was refused", TROUPE_FULL, NULL);
}

static void second_ask(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    struct message *reply =
        message->kind == MESSAGE_PING ? message_new(rig->runtime, MESSAGE_PONG, 16) : NULL;
    if (reply != NULL)
        actor_reply(turn, message, &reply);
}

/* Each sender sends a burst and waits until the receiver has had all of it, so nothing is ever refused. */
static void fan_receive(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    if (++rig->done >= rig->count)
        runtime_stop(rig->runtime);
    else if (message->token == BURST - 1)
        send_user(rig, turn, message->sender);
}

static void fan_send(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    for (unsigned at = 0; at < BURST; at++) {
        struct message *one = message_new(rig->runtime, MESSAGE_USER, 16);
        if (one == NULL)
            bench_fail("runtime_bench", TROUPE_NOMEM, NULL);
        one->token = at;
        if (actor_send(rig->runtime, turn, rig->first, &one) != TROUPE_OK)
            bench_fail("runtime_bench: a message was refused", TROUPE_FULL, NULL);
    }
}

static void spawned(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    if (message->kind == MESSAGE_EXIT)
        return;
    send_user(rig, turn, rig->first);
    actor_exit(turn, TROUPE_OK);
}

static void spawner(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    if (message->sender != 0 && message->sender != turn->self)
        rig->done++;
    if (rig->done >= rig->count) {
        runtime_stop(rig->runtime);
        return;
    }
    if (rig->born > rig->done)
        return;
    for (unsigned at = 0; at < BURST && rig->born < rig->count; at++, rig->born++) {
        const struct actor_spec spec = {.name = "spawned", .handle = spawned, .state = rig};
        actor_ref actor;
        enum troupe_error error = actor_spawn(rig->runtime, &spec, &actor);
        if (error != TROUPE_OK)
            bench_fail("runtime_bench: spawn", error, NULL);
        send_user(rig, turn, actor);
    }
}

static void actor_make(struct rig *rig, const char *name, actor_handler handle, void *state,
                       actor_ref *ret_actor) {
    struct actor_spec spec = {.name = name, .handle = handle, .state = state, .mailbox_len_max = 1024};
    enum troupe_error error = actor_spawn(rig->runtime, &spec, ret_actor);
    if (error != TROUPE_OK)
        bench_fail("runtime_bench: spawn", error, NULL);
}

static void actors_start(struct rig *rig) {
    switch (rig->shape) {
    case PING_PONG:
        actor_make(rig, "second", second_ping, rig, &rig->second);
        actor_make(rig, "first", first_ping, rig, &rig->first);
        break;
    case ASK:
        actor_make(rig, "second", second_ask, rig, &rig->second);
        actor_make(rig, "first", first_ask, rig, &rig->first);
        break;
    case FAN_IN:
        actor_make(rig, "receiver", fan_receive, rig, &rig->first);
        for (unsigned at = 0; at < SENDERS; at++) {
            actor_ref actor;
            actor_make(rig, "sender", fan_send, rig, &actor);
            send_user(rig, NULL, actor);
        }
        return;
    default:
        actor_make(rig, "spawner", spawner, rig, &rig->first);
    }
    send_user(rig, NULL, rig->first);
}

static double measure(enum shape shape, unsigned count, unsigned workers) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct rig rig = {.shape = shape, .count = count};
    enum troupe_error error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){.workers = workers}, &rig.runtime,
                               &fault);
    if (error != TROUPE_OK)
        bench_fail("runtime_bench", error, &fault);
    actors_start(&rig);
    uint64_t cpu_ns = env_process_cpu(env);
    error = runtime_run(rig.runtime);
    cpu_ns = env_process_cpu(env) - cpu_ns;
    if (error != TROUPE_OK)
        bench_fail("runtime_bench", error, NULL);
    runtime_free(rig.runtime);
    env_destroy(env);
    return (double)cpu_ns / ((double)count * (shape == PING_PONG ? 2 : 1));
}

int main(int argc, char **argv) {
    unsigned rounds = 7, count = 400000, workers = 1;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "the median is taken over so many"},
        {"--count", &count, 300, 1, 100000000, "messages or actors of a round"},
        {"--workers", &workers, 1, 1, 64, "threads that run actors"}};
    bench_options("runtime_bench", argc, argv, options, ARRAY_COUNT(options));
    for (enum shape shape = 0; shape < SHAPE_COUNT; shape++) {
        double values[BENCH_ROUNDS_MAX];
        for (unsigned round = 0; round < rounds; round++)
            values[round] = measure(shape, count, workers);
        bench_print(&(struct bench_figure){"runtime", shape_names[shape], shape_units[shape], values, rounds,
                                           BENCH_NO_TARGET, 0});
    }
    return 0;
}
