/* Power cuts of whole runs: under each seed a run of 24 trials loses its power at random events, several times; unsynced
 * writes are kept, dropped or torn; it is resumed until it is done. Some lives end otherwise: the disk refuses writes and
 * syncs, or somebody interrupts, once or twice; the power may go down afterwards as well.
 *
 *   run_cut_sim [--seeds N] [--first S]
 *
 * Fails when a trial that was acknowledged is lost or changed, when one is told or stored twice, when the database is
 * damaged, when an artifact is torn, when a resume does not come to its end, when best/ is not the best, when a trial
 * fails though only the disk did, when a replay differs, or when what is asked for differs from a run that was never
 * disturbed (the study is deterministic). */
#include "run_world.h"
#include "sim_suite.h"

#include <stdio.h>

#define LIVES_CUT_MAX 5
#define MS UINT64_C(1000000)

enum ending { ENDING_NONE, ENDING_CUT, ENDING_DISK, ENDING_SIGNAL };

struct totals {
    uint64_t cuts, disks, signals, events, virtual_ns, acknowledged, lives;
};

static enum ending draw_life(struct run_life *life, unsigned number, struct random_stream *random) {
    static const enum ending endings[] = {ENDING_CUT, ENDING_CUT,  ENDING_CUT,
                                          ENDING_CUT, ENDING_DISK, ENDING_SIGNAL};
    enum ending ending =
        number < LIVES_CUT_MAX ? endings[random_below(random, ARRAY_COUNT(endings))] : ENDING_NONE;
    if (ending == ENDING_CUT) {
        life->power_cut_after_events = 1 + random_below(random, number == 0 ? 1500 : 500);
    } else if (ending == ENDING_DISK) {
        life->write_fails = 0.001;
        life->sync_fails = 0.01;
    } else if (ending == ENDING_SIGNAL) {
        life->interrupt_ns[0] = 1 + random_below(random, 300 * MS);
        if (random_below(random, 2) == 0)
            life->interrupt_ns[1] = life->interrupt_ns[0] + random_below(random, 20 * MS);
    }
    return ending;
}

/* Is this how a life with that ending may end? */
static bool end_expected(enum ending ending, const struct run_life_end *end) {
    switch (ending) {
    case ENDING_DISK:
        return end->error == TROUPE_IO;
    case ENDING_SIGNAL:
        return end->error == TROUPE_OK && end->state == RUN_STOPPED;
    default:
        return false;
    }
}

static void live_under(struct run_world *world, uint64_t seed, struct totals *totals) {
    struct random_stream random;
    random_seed(&random, seed, 77);
    run_world_begin(world, seed);
    world->crash = seed % 3 == 0 ? 0.05 : 0;
    world->hang = seed % 5 == 0 ? 0.03 : 0;
    bool resume = false, complete = false;
    for (unsigned number = 0; number <= LIVES_CUT_MAX && !complete && world->violation[0] == '\0'; number++) {
        struct run_life life = {.resume = resume, .seed = hash_bytes(&number, sizeof number, seed)};
        struct run_life_end end = {0};
        enum ending ending = draw_life(&life, number, &random);
        run_world_live(world, &life, &end);
        complete = !end.power_lost && end.error == TROUPE_OK && end.state == RUN_FINISHED;
        bool expected = complete || end.power_lost || end_expected(ending, &end);
        if (!expected)
            run_violation(world, "life %u ended %s with %s: %.100s: %.300s", number,
                          run_state_name(end.state), error_name(end.error), end.fault.where, end.fault.text);
        totals->cuts += end.power_lost;
        totals->disks += !complete && ending == ENDING_DISK;
        totals->signals += !complete && ending == ENDING_SIGNAL;
        if (end.power_lost || random_below(&random, 2) == 0)
            env_disk_power_cut(world->disk, hash_bytes(&number, sizeof number, seed + 1));
        if (run_world_exists(world)) {
            resume = true;
            run_world_check(world, complete);
        } else if (world->acknowledged > 0) {
            run_violation(world, "the run is gone, and %u trials were acknowledged", world->acknowledged);
        }
    }
    if (!complete)
        run_violation(world, "not done after %u lives", world->lives);
}

/* What a run asks for that nobody disturbs; the same for all seeds. */
static void undisturbed(struct run_world *world) {
    struct run_life life = {.seed = 1};
    struct run_life_end end = {0};
    run_world_begin(world, 1);
    run_world_live(world, &life, &end);
    if (end.error != TROUPE_OK)
        run_violation(world, "undisturbed: %.100s: %.300s", end.fault.where, end.fault.text);
    else
        run_world_check(world, true);
}

static void compare(struct run_world *world, const struct run_world *reference) {
    if (world->crash > 0 || world->hang > 0)
        return; /* trials that failed for good teach the study something else */
    for (unsigned trial = 0; trial < RUN_WORLD_TRIALS && world->violation[0] == '\0'; trial++) {
        if (world->seen[trial].times > 0 && world->seen[trial].state != TRIAL_OK)
            run_violation(world, "trial %u failed, though no worker did", trial);
        if (strcmp(world->asked[trial], reference->asked[trial]) != 0)
            run_violation(world, "trial %u is %s, undisturbed it is %s", trial, world->asked[trial],
                          reference->asked[trial]);
    }
}

int main(int argc, char **argv) {
    struct sim_suite suite = sim_suite_start("run_cut_sim", 40, argc, argv);
    static struct run_world world, reference;
    struct totals totals = {0}, ignored = {0};
    undisturbed(&reference);
    if (reference.violation[0] != '\0')
        return sim_suite_violation(&suite, 1, reference.violation);
    for (uint64_t seed = suite.first; seed < suite.first + suite.seeds; seed++) {
        live_under(&world, seed, &totals);
        uint64_t signature = world.signature;
        compare(&world, &reference);
        run_world_end(&world);
        if (world.violation[0] == '\0' && seed % 16 == 0) {
            live_under(&world, seed, &ignored);
            run_world_end(&world);
            if (world.signature != signature)
                run_violation(&world, "another signature when replayed");
        }
        if (world.violation[0] != '\0')
            return sim_suite_violation(&suite, seed, world.violation);
        totals.events += world.events;
        totals.virtual_ns += world.virtual_ns;
        totals.acknowledged += world.acknowledged;
        totals.lives += world.lives;
    }
    run_world_end(&reference);
    char facts[300];
    snprintf(facts, sizeof facts,
             "%llu lives: %llu power cuts, %llu failed disks, %llu interruptions; %llu trials acknowledged, "
             "0 lost, 0 "
             "twice",
             (unsigned long long)totals.lives, (unsigned long long)totals.cuts,
             (unsigned long long)totals.disks, (unsigned long long)totals.signals,
             (unsigned long long)totals.acknowledged);
    return sim_suite_end(&suite, totals.events, totals.virtual_ns, facts);
}
