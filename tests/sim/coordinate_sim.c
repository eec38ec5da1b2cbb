/* coordinate_sim [--seeds N] [--first S]: lives N worlds; the first violation is printed with its seed, which
 * replays it. Every 16th seed is lived twice and must give the same signature. Programs with a planted bug
 * are this one, linked with a changed copy of the file concerned: they must end with a violation or an
 * aborted CHECK. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

int main(int argc, char **argv) {
    uint64_t first = 1, seeds = 1000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else
            return fprintf(stderr, "usage: coordinate_sim [--seeds N] [--first S]\n"), 2;
    }
    static struct sim_world world;
    uint64_t events = 0, tasks = 0, ok = 0, failed = 0, cancelled = 0, rejected = 0, virtual_ns = 0,
             refused = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_world_live(&world, seed);
        uint64_t signature = world.signature;
        if (!world.violation[0] && seed % 16 == 0) {
            sim_world_live(&world, seed);
            if (!world.violation[0] && world.signature != signature)
                snprintf(world.violation, sizeof world.violation, "another signature when replayed");
        }
        if (world.violation[0]) {
            printf("seed %llu: %s\n", (unsigned long long)seed, world.violation);
            return 1;
        }
        events += world.events;
        virtual_ns += world.virtual_ns;
        for (unsigned i = 0; i < world.coordinator_count; i++) {
            const struct coordinator_statistics *counts = &world.statistics[i];
            tasks += counts->submitted;
            ok += counts->ended_ok;
            failed += counts->ended_failed;
            cancelled += counts->ended_cancelled;
            rejected += counts->rejected;
            refused += counts->refused_tasks;
        }
    }
    printf("%llu seeds, %llu events, %.0f virtual s; %llu tasks: %llu ok, %llu failed, %llu cancelled, %llu "
           "rejected; "
           "%llu refusals\n",
           (unsigned long long)seeds, (unsigned long long)events, (double)virtual_ns / 1e9,
           (unsigned long long)tasks, (unsigned long long)ok, (unsigned long long)failed,
           (unsigned long long)cancelled, (unsigned long long)rejected, (unsigned long long)refused);
    return 0;
}
