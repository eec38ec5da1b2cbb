/* scenario_log: what was simulated of a scenario, in the log of predictions, with what --real measured of it. See
 * whatif_scenario.h. */
#include "cli/whatif_scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a request what the log has of a trial. */
static const struct {
    enum scenario_figure of;
    enum figure kept_as;
    double scale;
} kept[] = {
    {SCENARIO_THROUGHPUT, FIGURE_THROUGHPUT, 1},
    {SCENARIO_MEAN, FIGURE_TRIAL_MEAN, 1e-6},
    {SCENARIO_P50, FIGURE_TRIAL_P50, 1e-6},
    {SCENARIO_P95, FIGURE_TRIAL_P95, 1e-6},
};

static uint64_t inputs_of(const struct scenario *scenario, const struct scenario_call *call) {
    size_t count;
    const struct scenario_parameter *parameters = scenario_parameters(scenario, &count);
    uint64_t hash = call->seed;
    for (size_t i = 0; i < count; i++) {
        hash = hash_bytes(parameters[i].path, strlen(parameters[i].path) + 1, hash);
        hash = hash_bytes(parameters[i].text, strlen(parameters[i].text) + 1, hash);
    }
    return hash;
}

static const char *changes_of(struct session *session, const struct scenario_call *call) {
    struct buffer text;
    struct json json;
    buffer_init(&text, session->account, 0);
    json_init(&json, &text);
    json_array_begin(&json);
    for (size_t i = 0; i < call->values->overlays.count; i++)
        json_string(&json, call->values->overlays.texts[i]);
    for (size_t i = 0; i < call->sets->count; i++)
        json_string(&json, call->sets->texts[i]);
    json_array_end(&json);
    const char *copy =
        buffer_ok(&text) == TROUPE_OK ? arena_copy(&session->arena, buffer_string(&text), text.length) : NULL;
    buffer_free(&text);
    return copy;
}

void scenario_keep(struct session *session, const struct scenario_call *call, const struct scenario_case *one,
                   const struct scenario_result *measured, int64_t scale) {
    struct env_info info = {0};
    struct fault fault = {0};
    if (env_info(session->env, call->runs, &info) != TROUPE_OK || !info.directory)
        return; /* no run was made here: a scenario alone does not begin a directory of runs */
    struct prediction_entry entry = {.kind = "scenario", .version = TROUPE_VERSION};
    size_t count;
    const struct scenario_parameter *parameters = scenario_parameters(one->scenario, &count);
    for (size_t i = 0; i < count; i++)
        entry.assumed += parameters[i].origin == SCENARIO_ASSUMED;
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        entry.figures[f] = (struct estimate){NAN, NAN, NAN};
        entry.measured[f] = NAN;
    }
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        const struct scenario_estimate *said = &one->result.figures[kept[i].of];
        double unit = kept[i].scale;
        entry.figures[kept[i].kept_as] =
            (struct estimate){said->value * unit, said->low * unit, said->high * unit};
        if (measured != NULL)
            entry.measured[kept[i].kept_as] = measured->figures[kept[i].of].value * unit;
    }
    entry.inputs = inputs_of(one->scenario, call);
    entry.changes = changes_of(session, call);
    snprintf(entry.run, sizeof entry.run, "%s", scenario_name(one->scenario));
    if (measured != NULL)
        snprintf(entry.measured_run, sizeof entry.measured_run, "--real 1:%lld", (long long)scale);
    if (prediction_log_keep(session->env, session->account, call->runs, &entry, 1, &fault) != TROUPE_OK)
        fprintf(stderr, "troupe: %s: the prediction was not kept: %s\n", fault.where, fault.text);
}
