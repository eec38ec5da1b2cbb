/* scenario_figures: what replications counted, as figures: means and percentiles with an interval over the replications
 * (batch means), places with their utilisation, service and waiting apart, and what limits.
 *
 * Capacity: a place whose servers are counted could serve servers / mean service a second, visits a request allowing;
 * a team the same with the time it is held; both at the service times that were seen under this load.
 * Threads: any one. Memory: the result's list of places, on its account. */
#include "simulate/student.h"
#include "simulate/scenario_run.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static int by_real(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* The least value that at least `q` of the sorted ones do not exceed. */
static double quantile(const uint64_t *sorted, size_t count, double q) {
    size_t rank = (size_t)ceil(q * (double)count);
    return (double)sorted[rank > 0 ? rank - 1 : 0];
}

/* ---- places ---- */

/* Requests a second that `servers` could serve. */
static double capacity_of(double servers, uint64_t visits, double busy_ns, uint64_t requests) {
    if (busy_ns <= 0 || requests == 0)
        return INFINITY;
    double service_s = busy_ns / (double)visits / 1e9;
    return servers / service_s / ((double)visits / (double)requests);
}

static struct scenario_place place_make(enum scenario_place_kind kind, const char *name, double servers,
                                        const struct stage_counts *counts, uint64_t requests,
                                        double span_ns) {
    double visits = (double)counts->visits;
    return (struct scenario_place){.kind = kind,
                                   .name = name,
                                   .utilisation = span_ns > 0 ? counts->service_ns / (servers * span_ns) : 0,
                                   .service_ns = visits > 0 ? counts->service_ns / visits : 0,
                                   .wait_ns = visits > 0 ? counts->wait_ns / visits : 0,
                                   .visits = requests > 0 ? visits / (double)requests : 0,
                                   .capacity =
                                       capacity_of(servers, counts->visits, counts->service_ns, requests)};
}

static struct scenario_place station_place(const struct scenario_station *station,
                                           const struct station_counts *counts, uint64_t requests,
                                           double span_ns) {
    struct stage_counts as = {counts->visits, counts->work_ns, counts->wait_ns};
    double servers = (double)station->servers * station->partitions;
    struct scenario_place place =
        place_make(SCENARIO_STATION, station->name, servers, &as, requests, span_ns);
    if (station->pause_every_ns > 0)
        place.capacity *= 1 - distribution_mean(&station->pause) / (double)station->pause_every_ns;
    return place;
}

static struct scenario_place team_place(const struct scenario_team *team, const struct team_counts *counts,
                                        uint64_t requests, double span_ns) {
    struct stage_counts as = {counts->visits, counts->held_ns, counts->wait_ns};
    return place_make(SCENARIO_TEAM, team->name, team->of / team->size, &as, requests, span_ns);
}

static struct scenario_place stage_place(const struct scenario_stage *stage,
                                         const struct stage_counts *counts, uint64_t requests) {
    double total = counts->service_ns, wait = counts->wait_ns < total ? counts->wait_ns : total;
    struct stage_counts as = {counts->visits, total - wait, wait};
    struct scenario_place place = place_make(SCENARIO_STAGE, stage->name, 1, &as, requests, 0);
    place.utilisation = NAN;
    place.capacity = INFINITY;
    return place;
}

/* Of `count` replications with the given sums. Returns the least capacity. */
static double places_fill(const struct scenario *scenario, const struct station_counts *stations,
                          const struct team_counts *teams, double cpu_ns, uint64_t requests, double span_ns,
                          struct scenario_place *places, unsigned *ret_count, int *ret_limit) {
    unsigned count = 0;
    double least = INFINITY;
    *ret_limit = -1;
    for (unsigned s = 0; s < scenario->station_count; s++)
        places[count++] = station_place(&scenario->stations[s], &stations[s], requests, span_ns);
    for (unsigned t = 0; t < scenario->team_count; t++)
        places[count++] = team_place(&scenario->teams[t], &teams[t], requests, span_ns);
    if (scenario->cores > 0) {
        struct stage_counts as = {requests, cpu_ns, 0};
        places[count++] = place_make(SCENARIO_CORES, "cores", scenario->cores, &as, requests, span_ns);
    }
    for (unsigned i = 0; i < count; i++)
        if (places[i].capacity < least) {
            least = places[i].capacity;
            *ret_limit = (int)i;
        }
    *ret_count = count;
    return least;
}

/* ---- one replication ---- */

static void stations_sum(const struct world *world, struct station_counts *sums) {
    for (unsigned s = 0; s < world->scenario->station_count; s++) {
        for (unsigned p = 0; p < world->scenario->stations[s].partitions; p++) {
            const struct station_counts *one = &world->station_counts[s * SCENARIO_PARTITIONS_MAX + p];
            sums[s].visits += one->visits;
            sums[s].work_ns += one->work_ns;
            sums[s].wait_ns += one->wait_ns;
        }
    }
}

static double replication_capacity(const struct world *world) {
    struct scenario_place places[SCENARIO_STATIONS_MAX + SCENARIO_TEAMS_MAX + 1];
    struct station_counts stations[SCENARIO_STATIONS_MAX] = {{0}};
    unsigned count;
    int limit;
    stations_sum(world, stations);
    return places_fill(world->scenario, stations, world->team_counts, world->cpu_ns, world->ended,
                       (double)world->span_ns, places, &count, &limit);
}

static void figures_of(struct world *world, double figures[SCENARIO_FIGURE_COUNT]) {
    double sum = 0;
    uint64_t *latencies = world->latencies_ns;
    size_t count = world->ended;
    for (size_t i = 0; i < count; i++)
        sum += (double)latencies[i];
    qsort(latencies, count, sizeof *latencies, by_value);
    figures[SCENARIO_MEAN] = sum / (double)count;
    figures[SCENARIO_P50] = quantile(latencies, count, 0.5);
    figures[SCENARIO_P95] = quantile(latencies, count, 0.95);
    figures[SCENARIO_P99] = quantile(latencies, count, 0.99);
    figures[SCENARIO_ERRORS] = 100 * (double)world->errors / (double)count;
    figures[SCENARIO_THROUGHPUT] =
        world->span_ns > 0 ? (double)(count - world->rejected) * 1e9 / (double)world->span_ns : 0;
    figures[SCENARIO_CAPACITY] = replication_capacity(world);
}

void tally_add(struct tally *tally, struct world *world) {
    double figures[SCENARIO_FIGURE_COUNT] = {0};
    if (world->ended > 0)
        figures_of(world, figures);
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++)
        tally->figures[f][tally->replications] = figures[f];
    if (tally->real) {
        tally->late_p50_ns[tally->replications] = (double)wait_clock_lateness(world->clock, 0.5);
        tally->late_p99_ns[tally->replications] = (double)wait_clock_lateness(world->clock, 0.99);
    } else {
        uint64_t signature = env_sim_signature(world->env);
        tally->signature = hash_bytes(&signature, sizeof signature, tally->signature);
        tally->events += env_sim_events(world->env);
    }
    tally->replications++;
    tally->requests += world->ended;
    tally->errors += world->errors;
    tally->rejected += world->rejected;
    tally->cpu_ns += world->cpu_ns;
    tally->span_ns += (double)world->span_ns;
    stations_sum(world, tally->stations);
    for (unsigned t = 0; t < tally->scenario->team_count; t++) {
        tally->teams[t].visits += world->team_counts[t].visits;
        tally->teams[t].held_ns += world->team_counts[t].held_ns;
        tally->teams[t].wait_ns += world->team_counts[t].wait_ns;
    }
    for (unsigned s = 0; s < tally->scenario->stage_count; s++) {
        tally->stages[s].visits += world->stage_counts[s].visits;
        tally->stages[s].service_ns += world->stage_counts[s].service_ns;
        tally->stages[s].wait_ns += world->stage_counts[s].wait_ns;
    }
}

/* ---- all of them ---- */

static struct scenario_estimate mean_of(const double *values, unsigned count) {
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < count; i++)
        sum += values[i];
    double mean = sum / count;
    for (unsigned i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double half =
        count > 1 && isfinite(mean) ? student_95(count - 1) * sqrt(squares / (count - 1) / count) : 0;
    return (struct scenario_estimate){.value = mean, .low = mean - half, .high = mean + half};
}

static struct scenario_estimate median_of(double *values, unsigned count) {
    qsort(values, count, sizeof *values, by_real);
    return (struct scenario_estimate){.value = (values[(count - 1) / 2] + values[count / 2]) / 2,
                                      .low = values[0],
                                      .high = values[count - 1]};
}

enum troupe_error tally_result(struct tally *tally, struct scenario_result *ret) {
    const struct scenario *scenario = tally->scenario;
    size_t most = (size_t)scenario->station_count + scenario->team_count + scenario->stage_count + 1;
    struct scenario_result made = {.requests = tally->requests,
                                   .errors = tally->errors,
                                   .rejected = tally->rejected,
                                   .replications = tally->replications,
                                   .span_ns = tally->span_ns / tally->replications,
                                   .signature = tally->signature,
                                   .events = tally->events,
                                   .account = tally->account};
    made.places = memory_alloc(tally->account, most * sizeof *made.places);
    if (made.places == NULL)
        return TROUPE_NOMEM;
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++)
        made.figures[f] = tally->medians ? median_of(tally->figures[f], tally->replications)
                                         : mean_of(tally->figures[f], tally->replications);
    if (tally->real) {
        made.late_p50_ns = median_of(tally->late_p50_ns, tally->replications).value;
        made.late_p99_ns = median_of(tally->late_p99_ns, tally->replications).value;
    }
    (void)places_fill(scenario, tally->stations, tally->teams, tally->cpu_ns, tally->requests, tally->span_ns,
                      made.places, &made.place_count, &made.limit);
    for (unsigned s = 0; s < scenario->stage_count; s++)
        made.places[made.place_count++] =
            stage_place(&scenario->stages[s], &tally->stages[s], tally->requests);
    *ret = made;
    return TROUPE_OK;
}

void scenario_result_free(struct scenario_result *result) {
    if (result->account == NULL)
        return;
    memory_free(result->account, result->places);
    *result = (struct scenario_result){0};
}
