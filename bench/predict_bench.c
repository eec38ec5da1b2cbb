/* How good the run times are that agents foretell: the predictor of src/agent/prediction.c beside an exponentially weighted
 * mean (0.2) for each agent and kind, and beside the last duration alone, on traces that are made (a class and a number
 * make one), or read.
 *
 * A trace is tasks in the order in which they end; each is foretold by both from what ended before. The error is
 * |log(foretold / taken)|; its median is compared. p90 must hold in 88 to 92 of 100. What the coordinator would expect
 * of a kind is made of all agents' durations, as it does. The first task of an agent and kind is not counted: the mean
 * knows nothing then.
 *
 * --trace FILE: lines "AGENT KIND SIZE NS" (SIZE 0: not told), as bench/run_times.py writes them of a run. Threads: one. */
#include "bench_figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/prediction.h"

enum { AGENTS = 64, KINDS = 32, TASKS_MAX = 100000, NAME_BYTES = 64 };
enum class { HETEROGENEOUS, DRIFTING, SIZES, OUTLIERS, ALL, CLASSES };
static const char *const class_names[] = {"heterogeneous agents", "drifting speeds", "size effects",
                                          "outliers", "all of it"};

struct observation {
    unsigned agent, kind;
    double size, ns;
};
struct beside {
    double mean, last;
    struct prediction prediction;
};
struct score {
    double ours[TASKS_MAX], mean[TASKS_MAX], last[TASKS_MAX];
    unsigned from, count, held; /* from: where this trace begins; the ones before are kept */
};
static struct observation trace[TASKS_MAX];
static struct beside known[AGENTS][KINDS];
static struct score score;

static void replay(unsigned count) {
    double expected[KINDS] = {0};
    memset(known, 0, sizeof known);
    score.from = score.count;
    score.held = 0;
    for (unsigned at = 0; at < count; at++) {
        const struct observation *seen = &trace[at];
        struct beside *beside = &known[seen->agent][seen->kind];
        if (beside->mean > 0 && score.count < TASKS_MAX) {
            uint64_t expected_ns = (uint64_t)expected[seen->kind];
            double p50 = (double)prediction_p50(&beside->prediction, expected_ns, seen->size);
            double p90 = (double)prediction_p90(&beside->prediction, expected_ns, seen->size);
            score.ours[score.count] = fabs(log(p50 / seen->ns));
            score.mean[score.count] = fabs(log(beside->mean / seen->ns));
            score.last[score.count++] = fabs(log(beside->last / seen->ns));
            score.held += seen->ns <= p90;
        }
        beside->mean = beside->mean > 0 ? beside->mean + 0.2 * (seen->ns - beside->mean) : seen->ns;
        beside->last = seen->ns;
        expected[seen->kind] = expected[seen->kind] > 0
                                   ? expected[seen->kind] + 0.2 * (seen->ns - expected[seen->kind])
                                   : seen->ns;
        prediction_add(&beside->prediction, (uint64_t)seen->ns, seen->size);
    }
}

/* ---- traces ---- */

static double normal(struct random_stream *random, double deviation) {
    return random_normal(random) * deviation;
}

static unsigned trace_make(enum class class, uint64_t seed, unsigned count) {
    enum { MADE_AGENTS = 8, MADE_KINDS = 4 };
    double speed[MADE_AGENTS][MADE_KINDS], kind_ns[MADE_KINDS], exponent[MADE_KINDS], spread[MADE_KINDS];
    struct random_stream random;
    random_seed(&random, seed, class);
    for (unsigned kind = 0; kind < MADE_KINDS; kind++) {
        kind_ns[kind] = 1e6 * exp(random_unit(&random) * 7);
        exponent[kind] = class == SIZES || class == ALL ? 0.5 + random_unit(&random) : 0;
        spread[kind] = 0.05 + 0.35 * random_unit(&random);
        for (unsigned agent = 0; agent < MADE_AGENTS; agent++)
            speed[agent][kind] = exp(normal(&random, 0.5));
    }
    for (unsigned at = 0; at < count; at++) {
        unsigned agent = (unsigned)random_below(&random, MADE_AGENTS),
                 kind = (unsigned)random_below(&random, MADE_KINDS);
        if (class == DRIFTING || class == ALL) { /* a random walk, and at times a jump of one agent */
            speed[agent][kind] *= exp(normal(&random, 0.03));
            if (random_below(&random, 400) == 0)
                for (unsigned each = 0; each < MADE_KINDS; each++)
                    speed[agent][each] *= random_below(&random, 2) ? 2.5 : 0.4;
        }
        double size = class == SIZES || class == ALL ? exp(normal(&random, 0.8)) * 1e4 : 0;
        double ns = kind_ns[kind] / speed[agent][kind] * exp(normal(&random, spread[kind]));
        if (size > 0)
            ns *= pow(size / 1e4, exponent[kind]);
        if ((class == OUTLIERS || class == ALL) && random_below(&random, 20) == 0)
            ns *= 3 + 20 * random_unit(&random);
        trace[at] = (struct observation){agent, kind, size, ns};
    }
    return count;
}

static unsigned number_of(char names[][NAME_BYTES], unsigned *count, unsigned most, const char *name) {
    for (unsigned at = 0; at < *count; at++)
        if (strcmp(names[at], name) == 0)
            return at;
    if (*count == most)
        bench_fail("predict_bench: too many agents or kinds in the trace", TROUPE_LIMIT, NULL);
    snprintf(names[*count], NAME_BYTES, "%s", name);
    return (*count)++;
}

static unsigned trace_read(const char *path) {
    static char agents[AGENTS][NAME_BYTES], kinds[KINDS][NAME_BYTES];
    unsigned agent_count = 0, kind_count = 0, count = 0;
    char agent[NAME_BYTES], kind[NAME_BYTES];
    double size, ns;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        bench_fail(path, TROUPE_IO, NULL);
    while (count < TASKS_MAX && fscanf(file, "%63s %63s %lf %lf", agent, kind, &size, &ns) == 4)
        if (ns >= 1)
            trace[count++] = (struct observation){number_of(agents, &agent_count, AGENTS, agent),
                                                  number_of(kinds, &kind_count, KINDS, kind), size, ns};
    fclose(file);
    if (count == 0)
        bench_fail("predict_bench: no line \"AGENT KIND SIZE NS\" in the trace", TROUPE_INVALID, NULL);
    return count;
}

/* ---- figures ---- */

struct rounds {
    double ours[BENCH_ROUNDS_MAX], mean[BENCH_ROUNDS_MAX], last[BENCH_ROUNDS_MAX], held[BENCH_ROUNDS_MAX];
};
static struct rounds rounds_of[CLASSES], pooled;

static void report(const char *figure, struct rounds *made, unsigned rounds) {
    double ratio[BENCH_ROUNDS_MAX];
    for (unsigned at = 0; at < rounds; at++)
        ratio[at] = made->ours[at] / made->mean[at];
    struct {
        const char *unit;
        double *values;
        enum bench_target kind;
        double target;
    } figures[] = {{"median error, log", made->ours, BENCH_NO_TARGET, 0},
                   {"median error of the mean, log", made->mean, BENCH_NO_TARGET, 0},
                   {"median error of the last one, log", made->last, BENCH_NO_TARGET, 0},
                   {"median error against the mean's", ratio, BENCH_AT_MOST, 0.9},
                   {"percent within p90, at least", made->held, BENCH_AT_LEAST, 88},
                   {"percent within p90, at most", made->held, BENCH_AT_MOST, 92}};
    for (unsigned at = 0; at < ARRAY_COUNT(figures); at++)
        bench_print(&(struct bench_figure){"predict", figure, figures[at].unit, figures[at].values, rounds,
                                           figures[at].kind, figures[at].target});
}

static void round_fold(struct rounds *rounds, unsigned round, unsigned from, unsigned held) {
    unsigned count = score.count - from;
    static double sorted[3][TASKS_MAX];
    memcpy(sorted[0], score.ours + from, count * sizeof(double));
    memcpy(sorted[1], score.mean + from, count * sizeof(double));
    memcpy(sorted[2], score.last + from, count * sizeof(double));
    rounds->ours[round] = bench_median(sorted[0], count);
    rounds->mean[round] = bench_median(sorted[1], count);
    rounds->last[round] = bench_median(sorted[2], count);
    rounds->held[round] = 100.0 * held / count;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--trace") == 0) {
        replay(trace_read(argv[2]));
        round_fold(&pooled, 0, 0, score.held);
        report(argv[2], &pooled, 1);
        return 0;
    }
    unsigned rounds = 9, tasks = 4000;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 2, 1, BENCH_ROUNDS_MAX, "traces of each class"},
        {"--tasks", &tasks, 400, 100, TASKS_MAX / CLASSES, "of a trace"}};
    bench_options("predict_bench", argc, argv, options, ARRAY_COUNT(options));
    for (unsigned round = 0; round < rounds; round++) {
        unsigned held = 0;
        score.count = 0;
        for (unsigned class = 0; class < CLASSES; class ++) {
            replay(trace_make(class, round, tasks));
            round_fold(&rounds_of[class], round, score.from, score.held);
            held += score.held;
        }
        round_fold(&pooled, round, 0, held);
    }
    for (unsigned class = 0; class < CLASSES; class ++)
        report(class_names[class], &rounds_of[class], rounds);
    report("all traces", &pooled, rounds);
    return 0;
}
