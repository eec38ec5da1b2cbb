/* Power cuts of whole runs: under each seed a run of 24 trials loses its power at random events, several times; unsynced
 * writes are kept, dropped or torn; it is resumed until it is done.
 *
 *   run_cut_sim [--seeds N] [--first S]
 *
 * Fails when a trial that was acknowledged is lost or changed, when one is told or stored twice, when the database is
 * damaged, when an artifact is torn, when a resume does not come to its end, or when a replay differs. */
#include "run_world.h"
#include "sim_suite.h"

#include <stdio.h>

#define CUTS_MAX 5

static unsigned cuts;

static void live_under(struct run_world *world, uint64_t seed) {
    struct random_stream random;
    random_seed(&random, seed, 77);
    run_world_begin(world, seed);
    world->crash = seed % 3 == 0 ? 0.05 : 0;
    world->hang = seed % 5 == 0 ? 0.03 : 0;
    bool resume = false, complete = false;
    struct run_life_end end = {0};
    for (unsigned life = 0; life <= CUTS_MAX && !complete && world->violation[0] == '\0'; life++) {
        bool cut = life < CUTS_MAX;
        struct run_life how = {.resume = resume,
                               .seed = hash_bytes(&life, sizeof life, seed),
                               .power_cut_after_events =
                                   cut ? 1 + random_below(&random, life == 0 ? 1500 : 500) : 0};
        run_world_live(world, &how, &end);
        if (end.power_lost) {
            env_disk_power_cut(world->disk, hash_bytes(&life, sizeof life, seed + 1));
            cuts++;
        } else if (end.error != TROUPE_OK) {
            run_violation(world, "life %u ended with %s: %.100s: %.300s", life, error_name(end.error),
                          end.fault.where, end.fault.text);
        } else {
            complete = true;
        }
        if (run_world_exists(world)) {
            resume = true;
            run_world_check(world, complete);
        } else if (world->acknowledged > 0) {
            run_violation(world, "the run is gone, and %u trials were acknowledged", world->acknowledged);
        }
    }
    if (!complete)
        run_violation(world, "not done after %u lives", world->lives);
    run_world_end(world);
}

int main(int argc, char **argv) {
    struct sim_suite suite = sim_suite_start("run_cut_sim", 60, argc, argv);
    static struct run_world world;
    uint64_t events = 0, virtual_ns = 0, acknowledged = 0;
    for (uint64_t seed = suite.first; seed < suite.first + suite.seeds; seed++) {
        live_under(&world, seed);
        uint64_t signature = world.signature;
        if (world.violation[0] == '\0' && seed % 16 == 0) {
            live_under(&world, seed);
            if (world.signature != signature)
                run_violation(&world, "another signature when replayed");
        }
        if (world.violation[0] != '\0')
            return sim_suite_violation(&suite, seed, world.violation);
        events += world.events;
        virtual_ns += world.virtual_ns;
        acknowledged += world.acknowledged;
    }
    char facts[200];
    snprintf(facts, sizeof facts, "%u power cuts, %llu trials acknowledged, 0 lost, 0 twice", cuts,
             (unsigned long long)acknowledged);
    return sim_suite_end(&suite, events, virtual_ns, facts);
}
