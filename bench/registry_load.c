/* registry WORKLOAD THREADS N SECONDS: the registry under one load, as the comparators of bench/peers run it.
 *
 * Prints: name, workload, threads, N, operations per second of wall time, ns of CPU an operation (of the threads
 *         that work), p50 and p99 of one operation in 64 (ns), bytes per name. `./dev bench peers` folds rounds.
 * Names:  16 bytes, "agent:" and a number. Their order is drawn beforehand, so that a load costs no drawing.
 * Threads: one per load, pinned to a core each, registered as readers; no actor runs, but for the mode `serial`.
 * Memory: the account's. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "registry/registry.h"

#define NAME_BYTES 16U
#define OPERATIONS (1U << 18)
#define CHURN_NAMES 10000U
#define ROUND 64U
#define SAMPLES_MAX 65536U
#define THREADS_MAX 16U
#define ACTORS 256U
#define BATCH 16U

enum workload { UNIFORM, ZIPF, MIX95, CHURN, BATCH16, MISS, FIND, WORKLOADS };
static const char *const workload_names[WORKLOADS] = {"uniform", "zipf", "mix95", "churn",
                                                      "batch16", "miss", "find"};

struct load {
    unsigned number;
    char *names;   /* OPERATIONS of them, in the order of use */
    bool *writes;  /* mix95: which operations are writes */
    char *churned; /* CHURN_NAMES of them, its own */
    uint32_t *samples;
    unsigned sample_count;
    uint64_t operations, missed, sink;
    double wall_s, cpu_s;
    /* churn: names are registered in one wave and unregistered in the next */
    unsigned at;
    bool removes;
};

static struct rig {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    registry_space space;
    actor_ref actors[ACTORS];
    enum workload workload;
    unsigned threads, warm;
    uint64_t keys;
    double seconds, ticks_per_ns;
} rig;
static _Atomic unsigned ready;
static _Atomic bool stop;

static void name_of(uint64_t number, char *name) {
    char text[32];
    snprintf(text, sizeof text, "agent:%010llu", (unsigned long long)number);
    memcpy(name, text, NAME_BYTES);
}

static double clock_s(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- what is drawn beforehand ---- */

/* Ranks by Zipf's law with exponent 0.99 (Gray and others 1994), scattered over the names. */
static uint64_t zipf_draw(struct random_stream *random, uint64_t keys) {
    static double zeta_n, eta, alpha;
    const double theta = 0.99;
    if (zeta_n == 0) {
        double zeta_2 = 1 + pow(0.5, theta);
        for (uint64_t rank = 1; rank <= keys; rank++) {
            zeta_n += pow((double)rank, -theta);
        }
        alpha = 1 / (1 - theta);
        eta = (1 - pow(2.0 / (double)keys, 1 - theta)) / (1 - zeta_2 / zeta_n);
    }
    double unit = random_unit(random), scaled = unit * zeta_n;
    uint64_t rank = scaled < 1 ? 0
                    : scaled < 1 + pow(0.5, theta)
                        ? 1
                        : (uint64_t)((double)keys * pow(eta * unit - eta + 1, alpha));
    return hash_bytes(&rank, sizeof rank, 7) % keys;
}

static void load_draw(struct load *load) {
    struct random_stream random;
    random_seed(&random, 12345, load->number);
    load->names = memory_alloc(&rig.account, (size_t)OPERATIONS * NAME_BYTES);
    load->writes = memory_alloc(&rig.account, OPERATIONS);
    load->churned = memory_alloc(&rig.account, (size_t)CHURN_NAMES * NAME_BYTES);
    load->samples = memory_alloc(&rig.account, SAMPLES_MAX * sizeof(uint32_t));
    CHECK(load->names != NULL && load->writes != NULL && load->churned != NULL && load->samples != NULL);
    uint64_t all = rig.keys + (uint64_t)CHURN_NAMES * rig.threads;
    for (unsigned at = 0; at < OPERATIONS; at++) {
        uint64_t number = rig.workload == ZIPF    ? zipf_draw(&random, rig.keys)
                          : rig.workload == MIX95 ? random_u64(&random) % all
                          : rig.workload == MISS  ? all + random_u64(&random) % rig.keys
                                                  : random_u64(&random) % rig.keys;
        name_of(number, load->names + (size_t)at * NAME_BYTES);
        load->writes[at] = rig.workload == CHURN || (rig.workload == MIX95 && random_unit(&random) < 0.05);
    }
    for (unsigned at = 0; at < CHURN_NAMES; at++) {
        name_of(rig.keys + (uint64_t)load->number * CHURN_NAMES + at,
                load->churned + (size_t)at * NAME_BYTES);
    }
}

/* ---- operations ---- */

static void write_one(struct load *load) {
    const char *name = load->churned + (size_t)load->at * NAME_BYTES;
    actor_ref actor = rig.actors[(load->number * 64 + load->at % 64) % ACTORS];
    if (load->removes) {
        CHECK(registry_drop(rig.registry, rig.space, name, NAME_BYTES, actor) == TROUPE_OK);
    } else {
        uint64_t version;
        enum troupe_error error;
        while ((error = registry_put(rig.registry, rig.space, name, NAME_BYTES, actor, 0, &version)) ==
               TROUPE_FULL) {
            sched_yield();
        }
        CHECK(error == TROUPE_OK);
    }
    if (++load->at == CHURN_NAMES) {
        load->at = 0;
        load->removes = !load->removes;
    }
}

static inline void look_up_one(struct load *load, unsigned operation) {
    const struct registry_row *row =
        registry_get(rig.registry, rig.space, load->names + (size_t)operation * NAME_BYTES, NAME_BYTES, 0);
    load->missed += row == NULL;
    load->sink += row != NULL ? row->actor : 0;
}

static void look_up_batch(struct load *load, unsigned operation) {
    struct registry_name names[BATCH];
    const struct registry_row *rows[BATCH];
    for (unsigned at = 0; at < BATCH; at++) {
        names[at].bytes = load->names + (size_t)((operation + at) % OPERATIONS) * NAME_BYTES;
        names[at].length = NAME_BYTES;
    }
    load->missed += BATCH - registry_get_batch(rig.registry, rig.space, names, BATCH, 0, rows);
    for (unsigned at = 0; at < BATCH; at++) {
        load->sink += rows[at] != NULL ? rows[at]->actor : 0;
    }
}

static void find_one(struct load *load, unsigned operation) {
    const struct registry_row *rows[16];
    struct capability_set wanted = {{UINT64_C(1) << operation % 64}};
    size_t found = registry_find(rig.registry, "agents", &wanted, rows, 16);
    for (size_t at = 0; at < found; at++) {
        load->sink += rows[at]->actor;
    }
    load->missed += found == 0;
}

static inline void operate(struct load *load, unsigned operation) {
    if (load->writes[operation]) {
        write_one(load);
    } else if (rig.workload == FIND) {
        find_one(load, operation);
    } else {
        look_up_one(load, operation);
    }
}

/* ---- the frame ---- */

static uint64_t ticks(void) {
    return env_ticks(rig.env);
}

static void pin(unsigned number) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
        fprintf(stderr, "registry: not pinned\n");
    }
}

/* ROUND operations, one of them timed. */
static void run_round(struct load *load, unsigned *operation) {
    if (rig.workload == BATCH16) {
        for (unsigned done = 0; done < ROUND; done += BATCH) {
            look_up_batch(load, *operation);
            *operation = (*operation + BATCH) % OPERATIONS;
        }
        load->operations += ROUND;
        return;
    }
    for (unsigned done = 0; done < ROUND; done++) {
        bool timed = done == ROUND / 2;
        uint64_t began = timed ? ticks() : 0;
        operate(load, *operation);
        if (timed && load->sample_count < SAMPLES_MAX) {
            uint64_t took = ticks() - began;
            load->samples[load->sample_count++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        }
        *operation = (*operation + 1) % OPERATIONS;
    }
    load->operations += ROUND;
}

static void *run_load(void *arg) {
    struct load *load = arg;
    struct grace *grace = runtime_grace(rig.runtime);
    unsigned reader, operation = 0;
    pin(load->number);
    if (grace_register(grace, &reader) != TROUPE_OK) {
        abort();
    }
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) <= rig.threads) {
    }
    double wall_s = clock_s(CLOCK_MONOTONIC), cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        run_round(load, &operation);
        grace_quiescent(grace, reader);
        grace_collect(grace);
    }
    load->wall_s = clock_s(CLOCK_MONOTONIC) - wall_s;
    load->cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID) - cpu_s;
    grace_unregister(grace, reader);
    return NULL;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct load *loads, double bytes) {
    double per_second = 0, cpu_ns = 0;
    unsigned count = 0;
    uint64_t missed = 0, sink = 0;
    uint32_t *samples = memory_alloc(&rig.account, (size_t)rig.threads * SAMPLES_MAX * sizeof *samples);
    CHECK(samples != NULL);
    for (unsigned at = 0; at < rig.threads; at++) {
        struct load *load = &loads[at];
        per_second += (double)load->operations / load->wall_s;
        cpu_ns += load->cpu_s * 1e9 / (double)load->operations / rig.threads;
        memcpy(samples + count, load->samples, load->sample_count * sizeof *samples);
        count += load->sample_count;
        missed += load->missed;
        sink += load->sink;
    }
    bool all = rig.workload == UNIFORM || rig.workload == ZIPF || rig.workload == BATCH16;
    CHECK(!all || missed == 0);
    CHECK(sink != 42);
    qsort(samples, count, sizeof *samples, by_value);
    printf("troupe_registry %s %u %llu %.0f %.2f %.0f %.0f %.1f\n", workload_names[rig.workload], rig.threads,
           (unsigned long long)rig.keys, per_second, cpu_ns,
           count == 0 ? 0 : samples[count / 2] / rig.ticks_per_ns,
           count == 0 ? 0 : samples[count / 100 * 99] / rig.ticks_per_ns, bytes);
    memory_free(&rig.account, samples);
}

static void measure_ticks(void) {
    double began_s = clock_s(CLOCK_MONOTONIC);
    uint64_t began = ticks();
    while (clock_s(CLOCK_MONOTONIC) - began_s < 0.02) {
    }
    rig.ticks_per_ns = (double)(ticks() - began) / ((clock_s(CLOCK_MONOTONIC) - began_s) * 1e9);
}

static void fill(void) {
    for (unsigned at = 0; at < ACTORS; at++) {
        struct actor_spec spec = {.name = "idle", .handle = (actor_handler)(void (*)(void))abort};
        CHECK(actor_spawn(rig.runtime, &spec, &rig.actors[at]) == TROUPE_OK);
    }
    for (uint64_t at = 0; at < rig.keys; at++) {
        char name[NAME_BYTES + 1] = {0};
        uint64_t version;
        name_of(at, name);
        struct registration registration = {
            .name_space = "agents", .name = name, .actor = rig.actors[at % ACTORS], .health = HEALTH_UP};
        if (rig.workload == FIND) {
            registration.capabilities.bits[0] = UINT64_C(1) << at * 7 % 64;
        }
        CHECK(registry_register(rig.registry, &registration, 0, &version, NULL) == TROUPE_OK);
        if (at % 1024 == 0) {
            grace_collect(runtime_grace(rig.runtime));
        }
    }
}

static void rig_begin(void) {
    struct fault fault = {0};
    rig.account = ACCOUNT("registry");
    enum troupe_error error = env_os_create(&rig.account, &rig.env);
    if (error == TROUPE_OK) {
        error = runtime_create(rig.env, &rig.account, &(struct runtime_options){.workers = 1}, &rig.runtime,
                               &fault);
    }
    if (error == TROUPE_OK) {
        struct registry_options options = {.rows_max = 2 * rig.keys + 1000000};
        const char *partitions = getenv("PARTITIONS");
        options.partitions = partitions != NULL ? (unsigned)atoi(partitions) : 0;
        error = registry_create(rig.runtime, &rig.account, &options, &rig.registry, &fault);
    }
    if (error == TROUPE_OK) {
        error = registry_space_open(rig.registry, "agents", &rig.space);
    }
    if (error != TROUPE_OK) {
        fprintf(stderr, "registry: %s\n", fault.text);
        exit(1);
    }
    measure_ticks();
    fill();
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: registry WORKLOAD THREADS N SECONDS\n");
        return 2;
    }
    while (rig.workload < WORKLOADS && strcmp(argv[1], workload_names[rig.workload]) != 0) {
        rig.workload++;
    }
    rig.threads = (unsigned)atoi(argv[2]);
    rig.keys = strtoull(argv[3], NULL, 10);
    rig.seconds = atof(argv[4]);
    if (rig.workload == WORKLOADS || rig.threads == 0 || rig.threads > THREADS_MAX || rig.keys == 0) {
        fprintf(stderr, "registry: no such load\n");
        return 2;
    }
    rig_begin();
    struct registry_statistics statistics;
    registry_statistics(rig.registry, &statistics);
    static struct load loads[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    for (unsigned at = 0; at < rig.threads; at++) {
        loads[at].number = at;
        load_draw(&loads[at]);
        CHECK(pthread_create(&ids[at], NULL, run_load, &loads[at]) == 0);
    }
    while (atomic_load(&ready) < rig.threads) {
        usleep(1000);
    }
    atomic_fetch_add(&ready, 1);
    usleep((useconds_t)(rig.seconds * 1e6));
    atomic_store(&stop, true);
    for (unsigned at = 0; at < rig.threads; at++) {
        pthread_join(ids[at], NULL);
    }
    report(loads, (double)statistics.bytes / (double)rig.keys);
    return 0;
}
