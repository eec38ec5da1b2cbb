/* Registry, coordinators and real agents over modelled children: one world a seed (sim_world.h). Every 16th seed is
 * lived twice and must give the same signature. The first violation is printed with its seed, which replays it. */
#include "sim_suite.h"
#include "sim_world.h"

struct totals {
    uint64_t events, tasks, ok, failed, cancelled, rejected, virtual_ns, refused;
    uint64_t shared, revoked, doubled, lost, stale, parked;
};

static void count(struct totals *totals, const struct sim_world *world) {
    totals->events += world->events;
    totals->virtual_ns += world->virtual_ns;
    totals->shared += world->coordinator_count > 1;
    for (unsigned i = 0; i < world->coordinator_count; i++) {
        const struct coordinator_statistics *counts = &world->statistics[i];
        totals->tasks += counts->submitted;
        totals->ok += counts->ended_ok;
        totals->failed += counts->ended_failed;
        totals->cancelled += counts->ended_cancelled;
        totals->rejected += counts->rejected;
        totals->refused += counts->refused_tasks;
        totals->revoked += counts->revoke_answers[REVOKE_REVOKED];
        totals->doubled += counts->doubled;
        totals->lost += counts->ends_lost;
        totals->stale += counts->stale_ends;
        totals->parked += counts->parked;
    }
}

int main(int argc, char **argv) {
    struct sim_suite suite = sim_suite_start("coordinate_sim", 400, argc, argv);
    static struct sim_world world;
    struct totals totals = {0};
    for (uint64_t seed = suite.first; seed < suite.first + suite.seeds; seed++) {
        sim_world_live(&world, seed);
        uint64_t signature = world.signature;
        if (!world.violation[0] && seed % 16 == 0) {
            sim_world_live(&world, seed);
            if (!world.violation[0] && world.signature != signature)
                return sim_suite_violation(&suite, seed, "another signature when replayed");
        }
        if (world.violation[0])
            return sim_suite_violation(&suite, seed, world.violation);
        count(&totals, &world);
    }
    char facts[480];
    snprintf(
        facts, sizeof facts,
        "%llu with two coordinators; %llu tasks: %llu ok, %llu failed, %llu cancelled, %llu rejected; "
        "%llu refusals, %llu taken back, %llu doubled, %llu lost ends found out, %llu old ends discarded, "
        "%llu waited without a claim",
        (unsigned long long)totals.shared, (unsigned long long)totals.tasks, (unsigned long long)totals.ok,
        (unsigned long long)totals.failed, (unsigned long long)totals.cancelled,
        (unsigned long long)totals.rejected, (unsigned long long)totals.refused,
        (unsigned long long)totals.revoked, (unsigned long long)totals.doubled,
        (unsigned long long)totals.lost, (unsigned long long)totals.stale, (unsigned long long)totals.parked);
    return sim_suite_end(&suite, totals.events, totals.virtual_ns, facts);
}
