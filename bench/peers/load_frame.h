/* load_frame: one load on one table of names, and the line that is printed of it. Included by a program that has
 * defined what a backend is, so that nothing stands between the loop and the table:
 *
 *   BACKEND_NAME, BACKEND_BATCH (1: backend_get_batch is there), BACKEND_WRITERS_MAX
 *   BACKEND_FIND, if backend_find(thread, number) is there: the first 16 of one capability of 64, how many
 *   struct backend_thread; backend_begin(thread, number), backend_end(thread): of each thread
 *   backend_open(keys), with room for the names that churn puts; backend_bytes(): what it and its rows take
 *   backend_get(thread, name): its value or 0; backend_get_batch(thread, names, values)
 *   backend_put(thread, name, value), backend_drop(thread, name); backend_quiescent(thread): every 64 operations
 *
 * Line:    name, workload, threads, N, operations per second of wall time, ns of CPU an operation (of the threads
 *          that work), p50 and p99 of one operation in 64 (ns), bytes per name.
 * Names:   16 bytes, "agent:" and a number. Their order is drawn beforehand, so that a load costs no drawing.
 * Threads: one per load, pinned to a core each. Memory: kept until the program ends. */
#ifndef BENCH_PEERS_LOAD_FRAME_H
#define BENCH_PEERS_LOAD_FRAME_H

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_BYTES 16U
#define LOAD_OPERATIONS (1U << 18)
#define CHURN_NAMES 10000U
#define LOAD_ROUND 64U
#define SAMPLES_MAX 65536U
#define THREADS_MAX 16U
#define BATCH 16U

enum workload { UNIFORM, ZIPF, MIX95, CHURN, BATCH16, MISS, FIND, WORKLOADS };
static const char *const workload_names[WORKLOADS] = {"uniform", "zipf", "mix95", "churn",
                                                      "batch16", "miss", "find"};

struct load {
    struct backend_thread backend;
    unsigned number;
    char *names;   /* LOAD_OPERATIONS of them, in the order of use */
    bool *writes;  /* which operations are writes */
    char *churned; /* CHURN_NAMES of them, its own */
    uint32_t *samples;
    unsigned sample_count, at; /* at: the next of `churned` */
    bool drops;                /* names are put in one wave and dropped in the next */
    uint64_t operations, missed, sink;
    double wall_s, cpu_s;
};

static struct {
    enum workload workload;
    unsigned threads;
    uint64_t keys;
    double seconds, ticks_per_ns;
    _Atomic unsigned ready;
    _Atomic bool stop;
} frame;

__attribute__((noreturn)) static void load_fail(const char *what) {
    fprintf(stderr, BACKEND_NAME ": %s\n", what);
    exit(1);
}

static void *load_alloc(size_t bytes) {
    void *block = calloc(1, bytes);
    if (block == NULL) {
        load_fail("no memory");
    }
    return block;
}

static void load_name(uint64_t number, char *name) {
    char text[32];
    snprintf(text, sizeof text, "agent:%010llu", (unsigned long long)number);
    memcpy(name, text, NAME_BYTES);
}

static double load_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline uint64_t load_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)(load_clock(CLOCK_MONOTONIC) * 1e9);
#endif
}

/* ---- what is drawn beforehand ---- */

static uint64_t draw(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t word = *state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static double draw_unit(uint64_t *state) {
    return (double)(draw(state) >> 11) / 9007199254740992.0;
}

/* Ranks by Zipf's law with exponent 0.99 (Gray and others 1994), scattered over the names. */
static uint64_t draw_zipf(uint64_t *state, uint64_t keys) {
    static double zeta_n, eta, alpha;
    const double theta = 0.99, second = 1 + pow(0.5, 0.99);
    if (zeta_n == 0) {
        for (uint64_t rank = 1; rank <= keys; rank++) {
            zeta_n += pow((double)rank, -theta);
        }
        alpha = 1 / (1 - theta);
        eta = (1 - pow(2.0 / (double)keys, 1 - theta)) / (1 - second / zeta_n);
    }
    double unit = draw_unit(state), scaled = unit * zeta_n;
    uint64_t rank = scaled < 1        ? 0
                    : scaled < second ? 1
                                      : (uint64_t)((double)keys * pow(eta * unit - eta + 1, alpha));
    return draw(&rank) % keys;
}

static void load_draw(struct load *load) {
    uint64_t state = 12345 + 77 * load->number, all = frame.keys + (uint64_t)CHURN_NAMES * frame.threads;
    load->names = load_alloc((size_t)LOAD_OPERATIONS * NAME_BYTES);
    load->writes = load_alloc(LOAD_OPERATIONS);
    load->churned = load_alloc((size_t)CHURN_NAMES * NAME_BYTES);
    load->samples = load_alloc(SAMPLES_MAX * sizeof(uint32_t));
    for (unsigned at = 0; at < LOAD_OPERATIONS; at++) {
        uint64_t number = frame.workload == ZIPF    ? draw_zipf(&state, frame.keys)
                          : frame.workload == MIX95 ? draw(&state) % all
                          : frame.workload == MISS  ? all + draw(&state) % frame.keys
                                                    : draw(&state) % frame.keys;
        load_name(number, load->names + (size_t)at * NAME_BYTES);
        load->writes[at] = frame.workload == CHURN || (frame.workload == MIX95 && draw_unit(&state) < 0.05);
    }
    for (unsigned at = 0; at < CHURN_NAMES; at++) {
        load_name(frame.keys + (uint64_t)load->number * CHURN_NAMES + at,
                  load->churned + (size_t)at * NAME_BYTES);
    }
}

/* ---- operations ---- */

static inline const char *load_key(const struct load *load, unsigned operation) {
    return load->names + (size_t)(operation % LOAD_OPERATIONS) * NAME_BYTES;
}

static void load_write(struct load *load) {
    const char *name = load->churned + (size_t)load->at * NAME_BYTES;
    if (load->drops) {
        backend_drop(&load->backend, name);
    } else {
        backend_put(&load->backend, name, load->at + 1);
    }
    if (++load->at == CHURN_NAMES) {
        load->at = 0;
        load->drops = !load->drops;
    }
}

static inline void load_look_up(struct load *load, unsigned operation) {
    uint64_t value = backend_get(&load->backend, load_key(load, operation));
    load->missed += value == 0;
    load->sink += value;
}

static inline void load_batch(struct load *load, unsigned operation) {
#if BACKEND_BATCH
    const char *names[BATCH];
    uint64_t values[BATCH];
    for (unsigned at = 0; at < BATCH; at++) {
        names[at] = load_key(load, operation + at);
    }
    backend_get_batch(&load->backend, names, values);
    for (unsigned at = 0; at < BATCH; at++) {
        load->missed += values[at] == 0;
        load->sink += values[at];
    }
#else
    for (unsigned at = 0; at < BATCH; at++) {
        load_look_up(load, operation + at);
    }
#endif
}

/* LOAD_ROUND operations, one of them timed. */
static void load_round(struct load *load, unsigned operation) {
    for (unsigned done = 0; done < LOAD_ROUND; done++) {
        bool timed = done == LOAD_ROUND / 2 && frame.workload != BATCH16;
        uint64_t began = timed ? load_ticks() : 0;
        if (frame.workload == BATCH16) {
            load_batch(load, operation + done);
            done += BATCH - 1;
#ifdef BACKEND_FIND
        } else if (frame.workload == FIND) {
            load->missed += backend_find(&load->backend, operation + done) != BATCH;
#endif
        } else if (load->writes[(operation + done) % LOAD_OPERATIONS]) {
            load_write(load);
        } else {
            load_look_up(load, operation + done);
        }
        if (timed && load->sample_count < SAMPLES_MAX) {
            uint64_t took = load_ticks() - began;
            load->samples[load->sample_count++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        }
    }
    load->operations += LOAD_ROUND;
}

static void *load_run(void *arg) {
    struct load *load = arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(load->number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
        load_fail("not pinned");
    }
    backend_begin(&load->backend, load->number);
    atomic_fetch_add(&frame.ready, 1);
    while (atomic_load(&frame.ready) <= frame.threads) {
    }
    double wall_s = load_clock(CLOCK_MONOTONIC), cpu_s = load_clock(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned operation = 0; !atomic_load_explicit(&frame.stop, memory_order_relaxed);
         operation += LOAD_ROUND) {
        load_round(load, operation);
        backend_quiescent(&load->backend);
    }
    load->wall_s = load_clock(CLOCK_MONOTONIC) - wall_s;
    load->cpu_s = load_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_s;
    backend_end(&load->backend);
    return NULL;
}

/* ---- the program ---- */

static int samples_order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void load_report(const struct load *loads, double bytes) {
    double per_second = 0, cpu_s = 0;
    uint64_t operations = 0, missed = 0, sink = 0;
    unsigned count = 0;
    uint32_t *samples = load_alloc((size_t)frame.threads * SAMPLES_MAX * sizeof *samples);
    for (unsigned at = 0; at < frame.threads; at++) {
        const struct load *load = &loads[at];
        per_second += (double)load->operations / load->wall_s;
        cpu_s += load->cpu_s;
        operations += load->operations;
        memcpy(samples + count, load->samples, load->sample_count * sizeof *samples);
        count += load->sample_count;
        missed += load->missed;
        sink += load->sink;
    }
    bool all = frame.workload == UNIFORM || frame.workload == ZIPF || frame.workload == BATCH16 ||
               frame.workload == FIND;
    if ((all && missed != 0) || sink == 42) {
        load_fail("a name that is there was not found");
    }
    qsort(samples, count, sizeof *samples, samples_order);
    printf(BACKEND_NAME " %s %u %llu %.0f %.2f %.0f %.0f %.1f\n", workload_names[frame.workload],
           frame.threads, (unsigned long long)frame.keys, per_second, cpu_s * 1e9 / (double)operations,
           count == 0 ? 0 : samples[count / 2] / frame.ticks_per_ns,
           count == 0 ? 0 : samples[(uint64_t)count * 99 / 100] / frame.ticks_per_ns, bytes);
    free(samples);
}

static bool load_arguments(int argc, char **argv) {
    if (argc < 5) {
        return false;
    }
    while (frame.workload < WORKLOADS && strcmp(argv[1], workload_names[frame.workload]) != 0) {
        frame.workload++;
    }
    frame.threads = (unsigned)atoi(argv[2]);
    frame.keys = strtoull(argv[3], NULL, 10);
    frame.seconds = atof(argv[4]);
    return frame.workload != WORKLOADS && frame.threads > 0 && frame.threads <= THREADS_MAX && frame.keys > 0;
}

static void load_fill(void) {
    struct backend_thread thread;
    char name[NAME_BYTES];
    backend_open(frame.keys + (uint64_t)CHURN_NAMES * frame.threads);
    backend_begin(&thread, 0);
    for (uint64_t at = 0; at < frame.keys; at++) {
        load_name(at, name);
        backend_put(&thread, name, at + 1);
        if (at % 1024 == 0) {
            backend_quiescent(&thread);
        }
    }
    backend_end(&thread);
}

int main(int argc, char **argv) {
    static struct load loads[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    if (!load_arguments(argc, argv)) {
        fprintf(stderr, "usage: %s uniform|zipf|mix95|churn|batch16|miss|find THREADS N SECONDS\n", argv[0]);
        return 2;
    }
    bool writes = frame.workload == MIX95 || frame.workload == CHURN;
#ifndef BACKEND_FIND
    if (frame.workload == FIND) {
        return 0; /* it has no such thing */
    }
#endif
    if ((frame.workload == BATCH16 && !BACKEND_BATCH) || (writes && frame.threads > BACKEND_WRITERS_MAX)) {
        return 0; /* it has no such thing */
    }
    double began_s = load_clock(CLOCK_MONOTONIC);
    uint64_t began = load_ticks();
    load_fill();
    double bytes = backend_bytes() / (double)frame.keys;
    for (unsigned at = 0; at < frame.threads; at++) {
        loads[at].number = at;
        load_draw(&loads[at]);
    }
    frame.ticks_per_ns = (double)(load_ticks() - began) / ((load_clock(CLOCK_MONOTONIC) - began_s) * 1e9);
    for (unsigned at = 0; at < frame.threads; at++) {
        if (pthread_create(&ids[at], NULL, load_run, &loads[at]) != 0) {
            load_fail("no thread");
        }
    }
    while (atomic_load(&frame.ready) < frame.threads) {
        usleep(1000);
    }
    atomic_fetch_add(&frame.ready, 1);
    usleep((useconds_t)(frame.seconds * 1e6));
    atomic_store(&frame.stop, true);
    for (unsigned at = 0; at < frame.threads; at++) {
        pthread_join(ids[at], NULL);
    }
    load_report(loads, bytes);
    return 0;
}

#endif
