/* What the registry costs: look-ups of uniformly drawn names by 1 and 2 threads, in batches of 16, misses, writes
 * (register and unregister of further names), find of the first 16 with one capability of 64, bytes per name.
 *
 * Names are 16 bytes long. Times are CPU time of the threads that work, so that a shared machine does not
 * count; with 2 threads also the look-ups of both per second of wall time. Drawing a name costs a few ns and is
 * counted in. Threads: readers registered with the grace periods; no actor runs.
 * Memory: the account's. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench_figure.h"
#include "registry/registry.h"

#define THREADS_MAX 2U
#define NAME_BYTES 17U
#define ACTORS 256U
#define BATCH 16U
#define QUIESCENT_EVERY 64U

struct rig {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    actor_ref actors[ACTORS];
    char (*names)[NAME_BYTES]; /* twice `keys`: the second half is registered by `churn` alone */
    unsigned keys, operations, rounds;
};

struct load {
    struct rig *rig;
    void (*work)(struct rig *rig, struct random_stream *random, unsigned reader);
    unsigned number;
    uint64_t cpu_ns;
};

static struct rig rig;
static uint64_t found; /* what is looked up is used */

static const char *drawn(struct random_stream *random, unsigned keys) {
    return rig.names[random_u64(random) % keys];
}

/* ---- loads ---- */

static void look_up(struct rig *at, struct random_stream *random, unsigned reader) {
    uint64_t hits = 0;
    for (unsigned done = 0; done < at->operations; done++) {
        hits += registry_lookup(at->registry, "agents", drawn(random, at->keys), 0) != NULL;
        if (done % QUIESCENT_EVERY == 0) {
            grace_quiescent(runtime_grace(at->runtime), reader);
        }
    }
    CHECK(hits == at->operations);
}

static void miss(struct rig *at, struct random_stream *random, unsigned reader) {
    uint64_t hits = 0;
    (void)reader;
    for (unsigned done = 0; done < at->operations; done++) {
        hits += registry_lookup(at->registry, "agents", drawn(random, at->keys) + 1, 0) != NULL;
    }
    CHECK(hits == 0);
}

static void look_up_batches(struct rig *at, struct random_stream *random, unsigned reader) {
    const char *names[BATCH];
    const struct registry_row *rows[BATCH];
    for (unsigned done = 0; done < at->operations; done += BATCH) {
        for (unsigned name = 0; name < BATCH; name++) {
            names[name] = drawn(random, at->keys);
        }
        CHECK(registry_lookup_batch(at->registry, "agents", names, BATCH, 0, rows) == BATCH);
        grace_quiescent(runtime_grace(at->runtime), reader);
    }
}

static void churn(struct rig *at, struct random_stream *random, unsigned reader) {
    uint64_t version;
    for (unsigned done = 0; done < at->operations / 8; done++) {
        const char *name = at->names[at->keys + random_u64(random) % at->keys];
        struct registration registration = {
            .name_space = "agents", .name = name, .actor = at->actors[done % ACTORS], .health = HEALTH_UP};
        if (registry_register(at->registry, &registration, 0, &version, NULL) == TROUPE_OK) {
            IGNORE(registry_unregister(at->registry, "agents", name, registration.actor),
                   "of two threads with one name, one may be refused");
        }
        if (done % QUIESCENT_EVERY == 0) {
            grace_quiescent(runtime_grace(at->runtime), reader);
            grace_collect(runtime_grace(at->runtime));
        }
    }
}

static void find(struct rig *at, struct random_stream *random, unsigned reader) {
    const struct registry_row *rows[16];
    (void)reader;
    for (unsigned done = 0; done < at->operations / 16; done++) {
        struct capability_set wanted = {{UINT64_C(1) << random_u64(random) % 64}};
        found += registry_find(at->registry, "agents", &wanted, rows, 16);
    }
}

/* ---- the frame ---- */

static void *run_load(void *arg) {
    struct load *load = arg;
    struct random_stream random;
    unsigned reader;
    random_seed(&random, 1, load->number);
    if (grace_register(runtime_grace(load->rig->runtime), &reader) != TROUPE_OK) {
        bench_fail("registry_bench", TROUPE_LIMIT, NULL);
    }
    uint64_t began_ns = env_thread_cpu(load->rig->env);
    load->work(load->rig, &random, reader);
    load->cpu_ns = env_thread_cpu(load->rig->env) - began_ns;
    grace_unregister(runtime_grace(load->rig->runtime), reader);
    return NULL;
}

/* CPU ns per operation, and million operations per second of wall time, of `threads` threads together. */
static double once(void (*work)(struct rig *, struct random_stream *, unsigned), unsigned threads,
                   unsigned operations, double *ret_millions) {
    struct load loads[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    uint64_t cpu_ns = 0, began_ns = env_now(rig.env);
    for (unsigned at = 0; at < threads; at++) {
        loads[at] = (struct load){.rig = &rig, .work = work, .number = at};
        if (pthread_create(&ids[at], NULL, run_load, &loads[at]) != 0) {
            bench_fail("registry_bench", TROUPE_LIMIT, NULL);
        }
    }
    for (unsigned at = 0; at < threads; at++) {
        pthread_join(ids[at], NULL);
        cpu_ns += loads[at].cpu_ns;
    }
    double all = (double)threads * operations;
    *ret_millions = all * 1000 / (double)(env_now(rig.env) - began_ns);
    return (double)cpu_ns / all;
}

static void measure(const char *figure, void (*work)(struct rig *, struct random_stream *, unsigned),
                    unsigned threads, unsigned operations) {
    double cpu_ns[BENCH_ROUNDS_MAX], millions[BENCH_ROUNDS_MAX];
    char name[64];
    for (unsigned round = 0; round < rig.rounds; round++) {
        cpu_ns[round] = once(work, threads, operations, &millions[round]);
    }
    snprintf(name, sizeof name, "%s, %u thread%s", figure, threads, threads == 1 ? "" : "s");
    bench_print(
        &(struct bench_figure){"registry", name, "ns of CPU", cpu_ns, rig.rounds, BENCH_NO_TARGET, 0});
    if (threads > 1) {
        bench_print(&(struct bench_figure){"registry", name, "million per second of wall time", millions,
                                           rig.rounds, BENCH_NO_TARGET, 0});
    }
}

/* ---- one thing after another, each in a registry of its own ---- */

static struct registry *registry_new(unsigned partitions) {
    struct registry *registry = NULL;
    struct registry_options options = {.partitions = partitions,
                                       .rows_max = 4 * (size_t)rig.keys,
                                       .seed = 1 /* names fall the same way again */};
    enum troupe_error error = registry_create(rig.runtime, &rig.account, &options, &registry, NULL);
    if (error != TROUPE_OK) {
        bench_fail("registry_bench", error, NULL);
    }
    return registry;
}

static void put_one(struct registry *registry, registry_space space, const char *name, actor_ref actor) {
    uint64_t version;
    enum troupe_error error = registry_put(registry, space, name, NAME_BYTES - 1, actor, 0, &version);
    if (error != TROUPE_OK) {
        bench_fail("registry_bench", error, NULL);
    }
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Has this thread lost its core since it was asked last? */
static bool preempted(void) {
    static long before;
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    long now = usage.ru_nivcsw, was = before;
    before = now;
    return now != was;
}

struct tail { /* of look-ups, in ns; `worst_share`: the single worst for each ns of p99 */
    double p99[BENCH_ROUNDS_MAX], most[BENCH_ROUNDS_MAX], worst[BENCH_ROUNDS_MAX],
        worst_share[BENCH_ROUNDS_MAX];
};

static void tail_of(uint64_t *took, unsigned round, struct tail *ret) {
    double each = env_ticks_per_ns(rig.env);
    qsort(took, rig.keys, sizeof *took, by_value);
    ret->p99[round] = (double)took[(uint64_t)rig.keys * 99 / 100] / each;
    ret->most[round] = (double)took[(uint64_t)rig.keys * 9999 / 10000] / each;
    ret->worst[round] = (double)took[rig.keys - 1] / each;
    ret->worst_share[round] = ret->worst[round] / ret->p99[round];
}

/* A look-up that took long because its thread lost its core is left out: it is told by the count of such losses. */
static uint64_t timed_get(struct registry *registry, registry_space space, const char *name) {
    uint64_t began = env_ticks(rig.env);
    CHECK(registry_get(registry, space, name, NAME_BYTES - 1, 0) != NULL);
    uint64_t took = env_ticks(rig.env) - began;
    return took > 5000 && preempted() ? 0 : took;
}

/* Work of about a look-up's length that touches no memory but its own: what it meets, the machine did. */
static uint64_t timed_arithmetic(void) {
    static uint64_t word = 1;
    uint64_t began = env_ticks(rig.env);
    for (unsigned step = 0; step < 32; step++) {
        word = (word ^ word >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    }
    found += word & 1;
    uint64_t took = env_ticks(rig.env) - began;
    return took > 5000 && preempted() ? 0 : took;
}

static void least_of(uint64_t *least, const uint64_t *took, unsigned round) {
    for (unsigned at = 0; at < rig.keys; at++) {
        least[at] = round == 0 || (took[at] != 0 && took[at] < least[at]) ? took[at] : least[at];
    }
}

static struct growth { /* own: a round of the least that each look-up took in all rounds */
    struct tail growing, still, machine, own;
    double against_still[BENCH_ROUNDS_MAX];
} growth;

static void growth_print(void) {
    const struct {
        const char *figure, *unit;
        double *values;
        unsigned rounds;
        double target; /* 0: none */
    } figures[] = {
        {"look-up while its table grows, 99 in 100 take at most", "ns", growth.growing.p99, rig.rounds, 0},
        {"look-up while its table grows, 9,999 in 10,000 take at most", "ns", growth.growing.most, rig.rounds,
         0},
        {"look-up while its table grows, the single worst", "ns", growth.growing.worst, rig.rounds, 0},
        {"look-up while its table grows, the single worst against p99", "times", growth.growing.worst_share,
         rig.rounds, 0},
        {"look-up while nothing is written, the single worst", "ns", growth.still.worst, rig.rounds, 0},
        {"look-up while nothing is written, the single worst against p99", "times", growth.still.worst_share,
         rig.rounds, 0},
        {"arithmetic without a registry, the single worst", "ns", growth.machine.worst, rig.rounds, 0},
        {"the single worst while its table grows against that with nothing written", "times",
         growth.against_still, rig.rounds, 0},
        {"look-up while its table grows, each the least of all rounds, the single worst", "ns",
         growth.own.worst, 1, 0},
        {"look-up while its table grows, each the least of all rounds, the single worst against p99", "times",
         growth.own.worst_share, 1, 20},
    };
    for (size_t at = 0; at < ARRAY_COUNT(figures); at++)
        bench_print(&(struct bench_figure){
            "registry", figures[at].figure, figures[at].unit, figures[at].values, figures[at].rounds,
            figures[at].target > 0 ? BENCH_AT_MOST : BENCH_NO_TARGET, figures[at].target});
}

/* A look-up after each name that is put into one partition, so that a quarter of them meet a table that moves; then as
 * many more with nothing written, and as many pieces of arithmetic: their worst is the machine's (interrupts, other
 * guests). Every round does the same, look-up for look-up, so what the table costs one of them it costs it in each round,
 * and what the machine costs is gone from the least of them. */
static void measure_growth(void) {
    uint64_t *took = memory_alloc(&rig.account, rig.keys * sizeof *took);
    uint64_t *least = memory_alloc(&rig.account, rig.keys * sizeof *least);
    CHECK(took != NULL && least != NULL);
    for (unsigned round = 0; round < rig.rounds; round++) {
        struct registry *registry = registry_new(1);
        struct random_stream random;
        registry_space space = 0;
        random_seed(&random, 5, 0);
        IGNORE(registry_space_open(registry, "agents", &space), "there is room for one");
        for (unsigned at = 0; at < rig.keys; at++) {
            put_one(registry, space, rig.names[at], rig.actors[at % ACTORS]);
            took[at] = timed_get(registry, space, rig.names[random_u64(&random) % (at + 1)]);
        }
        least_of(least, took, round);
        tail_of(took, round, &growth.growing);
        for (unsigned at = 0; at < rig.keys; at++)
            took[at] = timed_get(registry, space, rig.names[random_u64(&random) % rig.keys]);
        tail_of(took, round, &growth.still);
        for (unsigned at = 0; at < rig.keys; at++)
            took[at] = timed_arithmetic();
        tail_of(took, round, &growth.machine);
        growth.against_still[round] = growth.growing.worst[round] / growth.still.worst[round];
        registry_free(registry);
        grace_collect(runtime_grace(rig.runtime));
    }
    tail_of(least, 0, &growth.own);
    growth_print();
    memory_free(&rig.account, took);
    memory_free(&rig.account, least);
}

/* After a crash: each agent an actor of its own, with a lease and a capability. */
static void measure_rebuild(void) {
    double cpu_ms[BENCH_ROUNDS_MAX];
    actor_ref *actors = memory_alloc(&rig.account, rig.keys * sizeof *actors);
    CHECK(actors != NULL);
    for (unsigned at = 0; at < rig.keys; at++) {
        struct actor_spec spec = {.name = "idle", .handle = (actor_handler)(void (*)(void))abort};
        if (actor_spawn(rig.runtime, &spec, &actors[at]) != TROUPE_OK) {
            bench_fail("registry_bench", TROUPE_NOMEM, NULL);
        }
    }
    for (unsigned round = 0; round < rig.rounds; round++) {
        struct registry *registry = registry_new(0);
        uint64_t version, began_ns = env_thread_cpu(rig.env);
        for (unsigned at = 0; at < rig.keys; at++) {
            struct registration registration = {.name_space = "agents",
                                                .name = rig.names[at],
                                                .actor = actors[at],
                                                .capabilities = {{UINT64_C(1) << at % 64}},
                                                .lease_ns = UINT64_C(30000000000)};
            CHECK(registry_register(registry, &registration, 0, &version, NULL) == TROUPE_OK);
        }
        cpu_ms[round] = (double)(env_thread_cpu(rig.env) - began_ns) / 1e6;
        registry_free(registry);
    }
    bench_print(&(struct bench_figure){"registry", "all names registered again, with leases", "ms of CPU",
                                       cpu_ms, rig.rounds, BENCH_AT_MOST, 100});
    memory_free(&rig.account, actors);
}

static void *run_runtime(void *arg) {
    CHECK(runtime_run(arg) == TROUPE_OK);
    return NULL;
}

static void idle(struct turn *turn, void *state, const struct message *message) {
    (void)turn;
    (void)state;
    (void)message;
}

/* From the moment an actor with a hundred rows is told to end until none of them is there. */
static void measure_deaths(void) {
    double ms[BENCH_ROUNDS_MAX];
    struct registry *registry = registry_new(0);
    registry_space space = 0;
    pthread_t thread;
    IGNORE(registry_space_open(registry, "agents", &space), "there is room for one");
    CHECK(pthread_create(&thread, NULL, run_runtime, rig.runtime) == 0);
    for (unsigned round = 0; round < rig.rounds; round++) {
        struct actor_spec spec = {.name = "mortal", .handle = idle};
        actor_ref actor;
        CHECK(actor_spawn(rig.runtime, &spec, &actor) == TROUPE_OK);
        for (unsigned at = 0; at < 100; at++) {
            put_one(registry, space, rig.names[at % (2 * rig.keys)], actor);
        }
        uint64_t began_ns = env_now(rig.env);
        actor_stop(rig.runtime, actor, TROUPE_OK);
        while (registry_count(registry) != 0) {
            usleep(50);
        }
        ms[round] = (double)(env_now(rig.env) - began_ns) / 1e6;
    }
    runtime_stop(rig.runtime);
    pthread_join(thread, NULL);
    bench_print(&(struct bench_figure){"registry", "100 rows of an actor that ended are gone", "ms", ms,
                                       rig.rounds, BENCH_AT_MOST, 10});
    registry_free(registry);
}

static void fill(void) {
    struct fault fault = {0};
    uint64_t version;
    rig.names = memory_alloc(&rig.account, 2 * (size_t)rig.keys * NAME_BYTES);
    if (rig.names == NULL) {
        bench_fail("registry_bench", TROUPE_NOMEM, &fault);
    }
    for (unsigned at = 0; at < 2 * rig.keys; at++) {
        snprintf(rig.names[at], NAME_BYTES, "agent-%010u", at);
    }
    for (unsigned at = 0; at < ACTORS; at++) {
        struct actor_spec spec = {.name = "idle", .handle = (actor_handler)(void (*)(void))abort};
        if (actor_spawn(rig.runtime, &spec, &rig.actors[at]) != TROUPE_OK) {
            bench_fail("registry_bench", TROUPE_NOMEM, &fault);
        }
    }
    for (unsigned at = 0; at < rig.keys; at++) {
        struct registration registration = {.name_space = "agents",
                                            .name = rig.names[at],
                                            .actor = rig.actors[at % ACTORS],
                                            .capabilities = {{UINT64_C(1) << at * 7 % 64}},
                                            .health = HEALTH_UP};
        enum troupe_error error = registry_register(rig.registry, &registration, 0, &version, &fault);
        if (error != TROUPE_OK) {
            bench_fail("registry_bench", error, &fault);
        }
    }
}

int main(int argc, char **argv) {
    struct fault fault = {0};
    unsigned keys = 100000, operations = 1000000, rounds = 5;
    const struct bench_option options[] = {
        {"--keys", &keys, 100, 100, 10000000, "names registered"},
        {"--operations", &operations, 1600, 16, 1U << 30, "look-ups of each thread and round"},
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "rounds, of which the median is printed"},
    };
    bench_options("registry_bench", argc, argv, options, ARRAY_COUNT(options));
    rig = (struct rig){
        .account = ACCOUNT("registry_bench"), .keys = keys, .operations = operations, .rounds = rounds};
    enum troupe_error error = env_os_create(&rig.account, &rig.env);
    if (error == TROUPE_OK) {
        error = runtime_create(rig.env, &rig.account, &(struct runtime_options){.workers = 1}, &rig.runtime,
                               &fault);
    }
    if (error == TROUPE_OK) {
        error =
            registry_create(rig.runtime, &rig.account,
                            &(struct registry_options){.rows_max = 2 * (size_t)keys}, &rig.registry, &fault);
    }
    if (error != TROUPE_OK) {
        bench_fail("registry_bench", error, &fault);
    }
    fill();
    struct registry_statistics statistics;
    registry_statistics(rig.registry, &statistics);
    double bytes = (double)statistics.bytes / keys;
    measure("look-up", look_up, 1, operations);
    measure("look-up", look_up, 2, operations);
    measure("look-up in batches of 16", look_up_batches, 1, operations);
    measure("look-up of an absent name", miss, 1, operations);
    measure("register and unregister", churn, 1, operations / 8);
    measure("register and unregister", churn, 2, operations / 8);
    measure("find 16 of one capability", find, 1, operations / 16);
    bench_print(
        &(struct bench_figure){"registry", "memory", "bytes per name", &bytes, 1, BENCH_NO_TARGET, 0});
    CHECK(found > 0);
    measure_growth();
    measure_rebuild();
    measure_deaths();
    runtime_free(rig.runtime);
    registry_free(rig.registry);
    memory_free(&rig.account, rig.names);
    env_destroy(rig.env);
    return 0;
}
