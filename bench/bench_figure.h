/* bench_figure: what all benches share: their options and the one line of JSON that each figure is.
 *
 * Threads: the main one. Memory: none is kept; values belong to the caller and are sorted in place.
 * Failure: a wrong option ends the program with 2, a bench that cannot be run with 1, each with a message. */
#ifndef BENCH_BENCH_FIGURE_H
#define BENCH_BENCH_FIGURE_H

#include "base/base.h"

#define BENCH_ROUNDS_MAX 101

struct bench_option {
    const char *name; /* "--tasks" */
    unsigned *value;  /* holds the default */
    unsigned smoke;   /* its value with --smoke: the least that still goes everywhere */
    unsigned low, high;
    const char *meaning;
};
/* --smoke: tiny numbers, so that a test can run the program. --help prints the options and ends it. */
void bench_options(const char *program, int argc, char **argv, const struct bench_option *options,
                   size_t count);

enum bench_target { BENCH_NO_TARGET, BENCH_AT_LEAST, BENCH_AT_MOST };
struct bench_figure {
    const char *bench, *figure, *unit;
    double *values; /* one of each round */
    unsigned count;
    enum bench_target kind;
    double target;
};
double bench_median(double *values, unsigned count);
/* {"bench","figure","value" (the median),"unit","median_of","least","most","target","met","machine"} */
void bench_print(const struct bench_figure *figure);

__attribute__((noreturn)) void bench_fail(const char *what, enum troupe_error error,
                                          const struct fault *fault);

#endif
