/* What the programs of the suite share: their arguments, their closing line, and the planted bug they are to find.
 *
 *   PROGRAM [--seeds N] [--first S]     TROUPE_SEEDS stands for --seeds, TROUPE_PLANT chooses a planted bug
 *
 * Threads: one. */
#ifndef TESTS_SIM_SUITE_H
#define TESTS_SIM_SUITE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

struct sim_suite {
    const char *name;
    uint64_t first, seeds;
    struct timespec started;
};

static inline uint64_t sim_suite_number(const char *text) {
    int64_t number = 0;
    if (!text || text_int(text, &number) || number < 0) {
        fprintf(stderr, "expected a number, found '%s'\n", text ? text : "nothing");
        exit(2);
    }
    return (uint64_t)number;
}

static inline struct sim_suite sim_suite_start(const char *name, uint64_t seeds, int argc, char **argv) {
    struct sim_suite suite = {.name = name, .first = 1, .seeds = seeds};
    if (getenv("TROUPE_SEEDS"))
        suite.seeds = sim_suite_number(getenv("TROUPE_SEEDS"));
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) {
            suite.seeds = sim_suite_number(argv[i + 1]);
        } else if (strcmp(argv[i], "--first") == 0) {
            suite.first = sim_suite_number(argv[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--seeds N] [--first S]\n", name);
            exit(2);
        }
    }
#ifdef TROUPE_PLANT
    if (getenv("TROUPE_PLANT"))
        plant_chosen = (enum plant)sim_suite_number(getenv("TROUPE_PLANT"));
#endif
    timespec_get(&suite.started, TIME_UTC);
    return suite;
}

static inline int sim_suite_violation(const struct sim_suite *suite, uint64_t seed, const char *violation) {
    printf("%s: seed %llu: %s\n", suite->name, (unsigned long long)seed, violation);
    return 1;
}

/* "NAME: N seeds, E events, V virtual s, W s; FACTS" */
static inline int sim_suite_end(const struct sim_suite *suite, uint64_t events, uint64_t virtual_ns,
                                const char *facts) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    printf("%s: %llu seeds, %llu events, %.0f virtual s, %.1f s; %s\n", suite->name,
           (unsigned long long)suite->seeds, (unsigned long long)events, (double)virtual_ns / 1e9,
           (double)(now.tv_sec - suite->started.tv_sec) +
               (double)(now.tv_nsec - suite->started.tv_nsec) / 1e9,
           facts);
    return 0;
}

#endif
