/* scenario_stages: the `stations:`, `stages:`, `route:` and `teams:` of a scenario. See scenario.c. */
#include "simulate/scenario_private.h"

#include <string.h>

#define PAUSE_EVERY_MIN_NS 1000000

/* ---- stations ---- */

static enum troupe_error read_pauses(struct scenario *scenario, const struct node *map,
                                     struct scenario_station *station, struct fault *fault) {
    static const char *const keys[] = {"every", "length"};
    int64_t every = 0;
    if (map == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && (node_get(map, "every") == NULL || node_get(map, "length") == NULL))
        error = node_fault(map, fault, TROUPE_INVALID, "expected `pauses: {every: DURATION, length: TIME}`");
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(map, "every"), &every, fault);
    if (error == TROUPE_OK)
        error = distribution_read(node_get(map, "length"), scenario->sigma, &scenario->arena, &station->pause,
                                  fault);
    if (error == TROUPE_OK && every > 0 && every < PAUSE_EVERY_MIN_NS)
        error = node_fault(node_get(map, "every"), fault, TROUPE_INVALID,
                           "expected 0 or at least 1ms, found %s", FOUND(node_get(map, "every")));
    if (error == TROUPE_OK && every > 0 && distribution_mean(&station->pause) > (double)every / 2)
        error = node_fault(node_get(map, "length"), fault, TROUPE_INVALID,
                           "the servers would be stopped for more than half of the time");
    station->pause_every_ns = (uint64_t)every;
    return error;
}

static enum troupe_error read_station(struct scenario *scenario, const struct node *map,
                                      struct scenario_station *station, struct fault *fault) {
    static const char *const keys[] = {"servers", "partitions", "waiting", "pauses", "queue_max"};
    int64_t servers = 1, partitions = 1, queue_max = SCENARIO_QUEUE_MAX;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "servers"), 1, SCENARIO_SERVERS_MAX, &servers, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "partitions"), 1, SCENARIO_PARTITIONS_MAX, &partitions, fault);
    if (error == TROUPE_OK && (partitions & (partitions - 1)) != 0)
        error = node_fault(node_get(map, "partitions"), fault, TROUPE_INVALID,
                           "expected a power of two, found %s", FOUND(node_get(map, "partitions")));
    if (error == TROUPE_OK)
        error = scenario_read_factor(node_get(map, "waiting"), &station->waiting, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "queue_max"), 0, SCENARIO_QUEUE_MAX, &queue_max, fault);
    if (error == TROUPE_OK)
        error = read_pauses(scenario, node_get(map, "pauses"), station, fault);
    station->servers = (unsigned)servers;
    station->partitions = (unsigned)partitions;
    station->queue_max = (unsigned)queue_max;
    return error;
}

enum troupe_error scenario_read_stations(struct scenario *scenario, const struct node *map,
                                         struct fault *fault) {
    enum troupe_error error = scenario_read_map(map, "stations", SCENARIO_STATIONS_MAX, fault);
    for (size_t i = 0; i < node_count(map) && error == TROUPE_OK; i++) {
        struct scenario_station *station = &scenario->stations[scenario->station_count++];
        station->name = node_key_at(map, i);
        error = scenario_read_name(map, i, "a station", fault);
        if (error == TROUPE_OK)
            error = read_station(scenario, node_at(map, i), station, fault);
    }
    return error;
}

/* ---- stages ---- */

static enum troupe_error read_at_station(const struct scenario *scenario, const struct node *node,
                                         struct scenario_stage *stage, struct fault *fault) {
    const char *names[SCENARIO_STATIONS_MAX], *name = node_text(node);
    stage->station = -1;
    if (node == NULL)
        return TROUPE_OK;
    for (unsigned i = 0; i < scenario->station_count; i++) {
        names[i] = scenario->stations[i].name;
        if (name != NULL && strcmp(names[i], name) == 0)
            stage->station = (int)i;
    }
    if (stage->station >= 0)
        return stage->cpu > 0
                   ? node_fault(node, fault, TROUPE_INVALID,
                                "a stage at a station cannot name `cpu:` too: the cores are a station of "
                                "their own; make it two stages")
                   : TROUPE_OK;
    const char *near = name != NULL ? text_nearest(name, names, scenario->station_count) : NULL;
    return node_fault(node, fault, TROUPE_INVALID, "expected the name of a station, found %s%s%s%s",
                      FOUND(node), near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                      near != NULL ? "'?" : "");
}

static enum troupe_error read_cache(struct scenario *scenario, const struct node *map,
                                    struct scenario_stage *stage, struct fault *fault) {
    static const char *const keys[] = {"hit", "time"};
    if (map == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && node_get(map, "hit") == NULL)
        error = node_fault(map, fault, TROUPE_INVALID, "expected `cache: {hit: FRACTION, time: TIME}`");
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "hit"), &stage->cache_hit, fault);
    return error == TROUPE_OK ? distribution_read(node_get(map, "time"), scenario->sigma, &scenario->arena,
                                                  &stage->cache_time, fault)
                              : error;
}

static enum troupe_error read_extra(struct scenario *scenario, const struct node *map,
                                    struct scenario_stage *stage, struct fault *fault) {
    static const char *const keys[] = {"probability", "time", "error"};
    if (map == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && (node_get(map, "probability") == NULL || node_get(map, "time") == NULL))
        error =
            node_fault(map, fault, TROUPE_INVALID, "expected `extra: {probability: FRACTION, time: TIME}`");
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "probability"), &stage->extra_probability, fault);
    if (error == TROUPE_OK)
        error = node_read_bool(node_get(map, "error"), &stage->extra_error, fault);
    return error == TROUPE_OK ? distribution_read(node_get(map, "time"), scenario->sigma, &scenario->arena,
                                                  &stage->extra, fault)
                              : error;
}

/* parts: a number, or the word `team`: as many as the team that is held at the stage has members; 0 until the teams
 * are read. */
static enum troupe_error read_split(const struct node *map, struct scenario_stage *stage,
                                    struct fault *fault) {
    static const char *const keys[] = {"parts", "serial"};
    const struct node *parts = node_get(map, "parts");
    int64_t count = 1;
    if (map == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && node_kind(parts) == DOCUMENT_STRING && strcmp(node_text(parts), "team") == 0)
        count = 0;
    else if (error == TROUPE_OK)
        error = node_read_int(parts, 1, SCENARIO_PARTS_MAX, &count, fault);
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "serial"), &stage->serial, fault);
    stage->parts = (unsigned)count;
    return error;
}

static enum troupe_error read_stage(struct scenario *scenario, const struct node *map,
                                    struct scenario_stage *stage, struct fault *fault) {
    static const char *const keys[] = {"time",  "factor", "station", "cpu",     "cache",
                                       "extra", "fails",  "retries", "overlap", "split"};
    int64_t retries = 0;
    stage->factor = 1;
    stage->parts = 1;
    stage->overlap_from = -1;
    stage->overlap_fraction = 1;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && node_get(map, "time") == NULL)
        error = node_fault(map, fault, TROUPE_INVALID, "`time:` is missing: how long the stage takes");
    if (error == TROUPE_OK)
        error =
            distribution_read(node_get(map, "time"), scenario->sigma, &scenario->arena, &stage->time, fault);
    if (error == TROUPE_OK)
        error = scenario_read_factor(node_get(map, "factor"), &stage->factor, fault);
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "cpu"), &stage->cpu, fault);
    if (error == TROUPE_OK && stage->cpu > 0 && scenario->cores == 0)
        error = node_fault(node_get(map, "cpu"), fault, TROUPE_INVALID,
                           "CPU time needs `cores:`, the number of cores that compute");
    if (error == TROUPE_OK)
        error = read_at_station(scenario, node_get(map, "station"), stage, fault);
    if (error == TROUPE_OK)
        error = read_cache(scenario, node_get(map, "cache"), stage, fault);
    if (error == TROUPE_OK)
        error = read_extra(scenario, node_get(map, "extra"), stage, fault);
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "fails"), &stage->fails, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "retries"), 0, 100, &retries, fault);
    if (error == TROUPE_OK)
        error = read_split(node_get(map, "split"), stage, fault);
    stage->retries = (unsigned)retries;
    return error;
}

/* ---- the route ---- */

static enum troupe_error place_stage(struct scenario *scenario, const struct node *node, bool *placed,
                                     struct fault *fault) {
    unsigned stage = 0;
    enum troupe_error error = scenario_stage_of(scenario, node, &stage, fault);
    if (error != TROUPE_OK)
        return error;
    if (placed[stage])
        return node_fault(node, fault, TROUPE_INVALID, "stage '%s' is on the route twice",
                          scenario->stages[stage].name);
    placed[stage] = true;
    scenario->stages[stage].step = scenario->step_count;
    return TROUPE_OK;
}

static enum troupe_error read_route(struct scenario *scenario, const struct node *root, struct fault *fault) {
    bool placed[SCENARIO_STAGES_MAX] = {0};
    const struct node *route = node_get(root, "route"), *stages = node_get(root, "stages");
    enum troupe_error error = TROUPE_OK;
    if (route == NULL || node_kind(route) != DOCUMENT_LIST || node_count(route) == 0)
        return node_fault(route != NULL ? route : root, fault, TROUPE_INVALID,
                          "expected `route:`, a list of stages (a list within it: stages at the same time), "
                          "found %s",
                          FOUND(route));
    for (size_t i = 0; i < node_count(route) && error == TROUPE_OK; i++) {
        const struct node *step = node_at(route, i);
        if (node_kind(step) != DOCUMENT_LIST)
            error = place_stage(scenario, step, placed, fault);
        else if (node_count(step) == 0)
            error = node_fault(step, fault, TROUPE_INVALID, "expected at least one stage");
        for (size_t k = 0; k < node_count(step) && error == TROUPE_OK; k++)
            error = place_stage(scenario, node_at(step, k), placed, fault);
        scenario->step_count++;
    }
    for (unsigned i = 0; i < scenario->stage_count && error == TROUPE_OK; i++)
        if (!placed[i])
            error = node_fault(node_at(stages, i), fault, TROUPE_INVALID,
                               "stage '%s' is not on the route; a factor of 0 leaves one out",
                               scenario->stages[i].name);
    return error;
}

static enum troupe_error read_overlap(struct scenario *scenario, const struct node *map,
                                      struct scenario_stage *stage, struct fault *fault) {
    static const char *const keys[] = {"from", "fraction"};
    unsigned from = 0;
    if (map == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && node_get(map, "from") == NULL)
        error = node_fault(map, fault, TROUPE_INVALID, "expected `overlap: {from: STAGE, fraction: 0.5}`");
    if (error == TROUPE_OK)
        error = scenario_stage_of(scenario, node_get(map, "from"), &from, fault);
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(map, "fraction"), &stage->overlap_fraction, fault);
    if (error == TROUPE_OK && scenario->stages[from].step >= stage->step)
        error = node_fault(node_get(map, "from"), fault, TROUPE_INVALID,
                           "stage '%s' does not come before '%s' on the route", scenario->stages[from].name,
                           stage->name);
    stage->overlap_from = (int)from;
    return error;
}

enum troupe_error scenario_read_stages(struct scenario *scenario, const struct node *root,
                                       struct fault *fault) {
    const struct node *map = node_get(root, "stages");
    if (map == NULL || node_count(map) == 0)
        return node_fault(map != NULL ? map : root, fault, TROUPE_INVALID,
                          "expected `stages:`, a map of at least one stage, found %s", FOUND(map));
    enum troupe_error error = scenario_read_map(map, "stages", SCENARIO_STAGES_MAX, fault);
    for (size_t i = 0; i < node_count(map) && error == TROUPE_OK; i++) {
        struct scenario_stage *stage = &scenario->stages[scenario->stage_count++];
        stage->name = node_key_at(map, i);
        error = scenario_read_name(map, i, "a stage", fault);
        if (error == TROUPE_OK)
            error = read_stage(scenario, node_at(map, i), stage, fault);
    }
    if (error == TROUPE_OK)
        error = read_route(scenario, root, fault);
    for (size_t i = 0; i < node_count(map) && error == TROUPE_OK; i++)
        error = read_overlap(scenario, node_get(node_at(map, i), "overlap"), &scenario->stages[i], fault);
    return error;
}

/* ---- teams ---- */

static enum troupe_error read_team(struct scenario *scenario, const struct node *map,
                                   struct scenario_team *team, struct fault *fault) {
    static const char *const keys[] = {"size", "of", "from", "to"};
    int64_t size = 1, of = 1;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    for (size_t i = 0; i < ARRAY_COUNT(keys) && error == TROUPE_OK; i++)
        if (node_get(map, keys[i]) == NULL)
            error =
                node_fault(map, fault, TROUPE_INVALID,
                           "expected {size: K, of: N, from: STAGE, to: STAGE}; `%s:` is missing", keys[i]);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "size"), 1, 1000000, &size, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "of"), 1, 1000000, &of, fault);
    if (error == TROUPE_OK && size > of)
        error = node_fault(node_get(map, "size"), fault, TROUPE_UNSATISFIABLE,
                           "a team of %lld can never be had of %lld", (long long)size, (long long)of);
    if (error == TROUPE_OK)
        error = scenario_stage_of(scenario, node_get(map, "from"), &team->from, fault);
    if (error == TROUPE_OK)
        error = scenario_stage_of(scenario, node_get(map, "to"), &team->to, fault);
    if (error == TROUPE_OK && scenario->stages[team->to].step < scenario->stages[team->from].step)
        error = node_fault(node_get(map, "to"), fault, TROUPE_INVALID, "stage '%s' comes before '%s'",
                           scenario->stages[team->to].name, scenario->stages[team->from].name);
    team->size = (unsigned)size;
    team->of = (unsigned)of;
    return error;
}

/* `parts: team` becomes the size of the first team that is held at the stage. */
static enum troupe_error split_over_team(struct scenario *scenario, const struct node *stages, unsigned i,
                                         struct fault *fault) {
    struct scenario_stage *stage = &scenario->stages[i];
    for (unsigned t = 0; t < scenario->team_count && stage->parts == 0; t++) {
        const struct scenario_team *team = &scenario->teams[t];
        if (scenario->stages[team->from].step <= stage->step &&
            stage->step <= scenario->stages[team->to].step)
            stage->parts = team->size < SCENARIO_PARTS_MAX ? team->size : SCENARIO_PARTS_MAX;
    }
    return stage->parts > 0 ? TROUPE_OK
                            : node_fault(node_get(node_get(node_at(stages, i), "split"), "parts"), fault,
                                         TROUPE_INVALID, "no team is held at stage '%s'", stage->name);
}

enum troupe_error scenario_read_teams(struct scenario *scenario, const struct node *map,
                                      struct fault *fault) {
    const struct node *stages = node_get(document_root(scenario->document), "stages");
    enum troupe_error error = scenario_read_map(map, "teams", SCENARIO_TEAMS_MAX, fault);
    for (size_t i = 0; i < node_count(map) && error == TROUPE_OK; i++) {
        struct scenario_team *team = &scenario->teams[scenario->team_count++];
        team->name = node_key_at(map, i);
        error = scenario_read_name(map, i, "a team", fault);
        if (error == TROUPE_OK)
            error = read_team(scenario, node_at(map, i), team, fault);
    }
    for (unsigned i = 0; i < scenario->stage_count && error == TROUPE_OK; i++)
        error = split_over_team(scenario, stages, i, fault);
    return error;
}
