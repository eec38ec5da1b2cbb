/* registry_modes MODE BURST N SECONDS: one client that looks up BURST names at a time, in waves, by one of the ways
 * in which a registry can be reached, switched one at a time:
 *
 *   serial     one owner actor answers every question, from a table that is its own business
 *   pool       four actors answer, in rotation
 *   async      registry_lookup_async: a message to the registry's own actor
 *   lockfree   registry_get in the client's own turn;  partitioned: the same with one partition only
 *   batch      registry_get_batch in the client's own turn
 *   warm       registry_warm_get, 4096 rows
 *
 * Line: troupe_MODE burst BURST N, look-ups per second of wall time, ns of CPU each (of all workers), and medians
 *       over the waves in ns: waiting (from being asked to being taken up) and service of one look-up, a whole wave.
 * One worker runs all actors, so that a queue is seen as a queue. Memory: the account's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_figure.h"
#include "registry/registry.h"

#define NAME_BYTES 16U
#define BURST_MAX 1024U
#define SERVERS 4U
#define WAVES_MAX 65536U

enum mode { SERIAL, POOL, ASYNC, LOCKFREE, PARTITIONED, BATCH, WARM, MODES };
static const char *const mode_names[MODES] = {"serial",      "pool",  "async", "lockfree",
                                              "partitioned", "batch", "warm"};

struct question { /* and its answer */
    uint64_t asked, taken, done;
    const char *name;
    actor_ref found;
};

static struct rig {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    registry_space space;
    struct registry_warm *warm;
    actor_ref holder, servers[SERVERS];
    enum mode mode;
    unsigned burst, keys, open, waves;
    char (*names)[NAME_BYTES + 1];
    struct random_stream random;
    uint64_t wave_began, waiting, service, end_ns, began_ns, cpu_ns, lookups;
    double wave_waiting[WAVES_MAX], wave_service[WAVES_MAX], wave_took[WAVES_MAX];
} rig;

static void check(enum troupe_error error, const struct fault *fault) {
    if (error != TROUPE_OK) {
        bench_fail("registry_modes", error, fault);
    }
}

static const char *drawn(void) {
    return rig.names[random_u64(&rig.random) % rig.keys];
}

/* ---- servers ---- */

static void serve(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind != MESSAGE_PING) {
        return;
    }
    struct question *question = MESSAGE_PAYLOAD(message, struct question);
    struct message *reply = message_new(turn->runtime, MESSAGE_PONG, sizeof *question);
    question->taken = env_ticks(rig.env);
    const struct registry_row *row = registry_get(rig.registry, rig.space, question->name, NAME_BYTES, 0);
    question->found = row != NULL ? row->actor : 0;
    question->done = env_ticks(rig.env);
    CHECK(reply != NULL && question->found != 0);
    *MESSAGE_PAYLOAD(reply, struct question) = *question;
    actor_reply(turn, message, &reply);
}

/* ---- the client ---- */

static void client_next(struct turn *turn);

static void wave_end(struct turn *turn) {
    if (rig.waves < WAVES_MAX) {
        rig.wave_took[rig.waves] = (double)(env_ticks(rig.env) - rig.wave_began);
        rig.wave_waiting[rig.waves] = (double)rig.waiting / rig.burst;
        rig.wave_service[rig.waves++] = (double)rig.service / rig.burst;
    }
    rig.lookups += rig.burst;
    if (env_now(rig.env) >= rig.end_ns) {
        runtime_stop(turn->runtime);
        return;
    }
    struct message *again = message_new(turn->runtime, MESSAGE_USER, 0);
    CHECK(again != NULL && actor_send(turn->runtime, turn, turn->self, &again) == TROUPE_OK);
}

static void ask_server(struct turn *turn, unsigned number) {
    struct message *message = message_new(turn->runtime, MESSAGE_PING, sizeof(struct question));
    CHECK(message != NULL);
    struct question *question = MESSAGE_PAYLOAD(message, struct question);
    question->name = drawn();
    question->asked = env_ticks(rig.env);
    check(actor_ask(turn, rig.servers[rig.mode == POOL ? number % SERVERS : 0], &message, number, 0), NULL);
}

/* In the client's own turn. */
static void look_up_here(void) {
    const struct registry_row *rows[BURST_MAX];
    struct registry_name names[BURST_MAX];
    uint64_t began = env_ticks(rig.env);
    for (unsigned at = 0; at < rig.burst; at++) {
        names[at] = (struct registry_name){drawn(), NAME_BYTES};
        rows[at] = rig.mode == BATCH  ? NULL
                   : rig.mode == WARM ? registry_warm_get(rig.warm, rig.space, names[at].bytes, NAME_BYTES, 0)
                                      : registry_get(rig.registry, rig.space, names[at].bytes, NAME_BYTES, 0);
    }
    if (rig.mode == BATCH) {
        registry_get_batch(rig.registry, rig.space, names, rig.burst, 0, rows);
    }
    for (unsigned at = 0; at < rig.burst; at++) {
        CHECK(rows[at] != NULL);
    }
    rig.service += env_ticks(rig.env) - began;
}

static void client_next(struct turn *turn) {
    rig.wave_began = env_ticks(rig.env);
    rig.waiting = rig.service = 0;
    if (rig.mode >= LOCKFREE) {
        look_up_here();
        wave_end(turn);
        return;
    }
    rig.open = rig.burst;
    for (unsigned at = 0; at < rig.burst; at++) {
        if (rig.mode == ASYNC) {
            check(registry_lookup_async(rig.registry, turn, "agents", drawn(), at, 0), NULL);
        } else {
            ask_server(turn, at);
        }
    }
}

static void client(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind == MESSAGE_USER) {
        client_next(turn);
        return;
    }
    if (message->kind == MESSAGE_PONG) {
        const struct question *answer = MESSAGE_PAYLOAD(message, struct question);
        rig.waiting += answer->taken - answer->asked;
        rig.service += answer->done - answer->taken;
    } else {
        CHECK(message->kind == MESSAGE_REGISTRY_ANSWER &&
              MESSAGE_PAYLOAD(message, struct message_registry_answer)->found);
    }
    if (--rig.open == 0) {
        wave_end(turn);
    }
}

/* ---- the frame ---- */

static actor_ref spawn(actor_handler handle) {
    struct actor_spec spec = {.name = "bench", .handle = handle, .mailbox_len_max = 2 * BURST_MAX};
    actor_ref actor;
    check(actor_spawn(rig.runtime, &spec, &actor), NULL);
    return actor;
}

static void fill(void) {
    rig.names = memory_alloc(&rig.account, (size_t)rig.keys * sizeof *rig.names);
    CHECK(rig.names != NULL);
    for (unsigned at = 0; at < rig.keys; at++) {
        uint64_t version;
        char text[32];
        snprintf(text, sizeof text, "agent:%010u", at);
        memcpy(rig.names[at], text, NAME_BYTES);
        check(registry_put(rig.registry, rig.space, rig.names[at], NAME_BYTES, rig.holder, 0, &version),
              NULL);
    }
}

static void begin(void) {
    struct fault fault = {0};
    rig.account = ACCOUNT("registry_modes");
    check(env_os_create(&rig.account, &rig.env), NULL);
    check(
        runtime_create(rig.env, &rig.account, &(struct runtime_options){.workers = 1}, &rig.runtime, &fault),
        &fault);
    struct registry_options options = {.partitions = rig.mode == PARTITIONED ? 1 : 0};
    check(registry_create(rig.runtime, &rig.account, &options, &rig.registry, &fault), &fault);
    check(registry_space_open(rig.registry, "agents", &rig.space), NULL);
    check(registry_warm_create(rig.registry, 4096, &rig.warm), NULL);
    random_seed(&rig.random, 1, 0);
    rig.holder = spawn(serve);
    for (unsigned at = 0; at < SERVERS; at++) {
        rig.servers[at] = spawn(serve);
    }
    fill();
}

int main(int argc, char **argv) {
    if (argc == 5) {
        while (rig.mode < MODES && strcmp(argv[1], mode_names[rig.mode]) != 0) {
            rig.mode++;
        }
        rig.burst = (unsigned)atoi(argv[2]);
        rig.keys = (unsigned)atoi(argv[3]);
    }
    if (argc != 5 || rig.mode == MODES || rig.burst == 0 || rig.burst > BURST_MAX || rig.keys == 0) {
        fprintf(stderr,
                "usage: registry_modes serial|pool|async|lockfree|partitioned|batch|warm BURST N SECONDS\n");
        return 2;
    }
    begin();
    struct message *first = message_new(rig.runtime, MESSAGE_USER, 0);
    CHECK(first != NULL && actor_send(rig.runtime, NULL, spawn(client), &first) == TROUPE_OK);
    uint64_t began_ns = env_now(rig.env);
    rig.end_ns = began_ns + (uint64_t)(atof(argv[4]) * 1e9);
    check(runtime_run(rig.runtime), NULL);
    uint64_t wall_ns = env_now(rig.env) - began_ns;
    double per_ns = env_ticks_per_ns(rig.env);
    printf("troupe_%s burst %u %u %.0f %.2f %.0f %.0f %.0f\n", mode_names[rig.mode], rig.burst, rig.keys,
           (double)rig.lookups * 1e9 / (double)wall_ns,
           (double)runtime_self_cpu(rig.runtime) / (double)rig.lookups,
           bench_median(rig.wave_waiting, rig.waves) / per_ns,
           bench_median(rig.wave_service, rig.waves) / per_ns,
           bench_median(rig.wave_took, rig.waves) / per_ns);
    registry_warm_free(rig.warm);
    runtime_free(rig.runtime);
    registry_free(rig.registry);
    memory_free(&rig.account, rig.names);
    env_destroy(rig.env);
    return 0;
}
