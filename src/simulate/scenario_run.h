/* scenario_run: what replications are added up in. Private to simulate/. */
#ifndef SIMULATE_SCENARIO_RUN_H
#define SIMULATE_SCENARIO_RUN_H

#include "simulate/scenario_world.h"

struct tally { /* sums over replications */
    const struct scenario *scenario;
    struct account *account;
    bool real, medians;
    unsigned replications;
    double figures[SCENARIO_FIGURE_COUNT][SCENARIO_REPLICATIONS_MAX];
    double late_p50_ns[SCENARIO_REPLICATIONS_MAX], late_p99_ns[SCENARIO_REPLICATIONS_MAX];
    double span_ns;
    double cpu_ns;
    uint64_t requests, errors, rejected, signature, events;
    struct station_counts stations[SCENARIO_STATIONS_MAX];
    struct team_counts teams[SCENARIO_TEAMS_MAX];
    struct stage_counts stages[SCENARIO_STAGES_MAX];
};
/* Sorts the world's latencies. */
void tally_add(struct tally *tally, struct world *world);
MUST_CHECK enum troupe_error tally_result(struct tally *tally, struct scenario_result *ret);

#endif
