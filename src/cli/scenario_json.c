/* scenario_json: what a scenario came out with, as JSON. Times are in ms, rates in requests a second; what is unbounded
 * is null. Threads: plain data. Memory: the caller's buffer. */
#include "cli/whatif_scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* In the unit of the output. */
static double value_of(enum scenario_figure figure, double value) {
    return scenario_figure_table[figure].unit == SCENARIO_TIME_NS ? value / 1e6 : value;
}

static const char *key_of(enum scenario_figure figure, char out[48]) {
    static const char *const units[] = {"_ms", "_percent", "_per_s"};
    (void)snprintf(out, 48, "%s%s", scenario_figure_table[figure].name,
                   units[scenario_figure_table[figure].unit]);
    return out;
}

static void write_place(const struct scenario_place *place, struct json *json) {
    static const char *const kinds[] = {"stage", "station", "team", "cores"};
    json_object_begin(json);
    json_field_string(json, "kind", kinds[place->kind]);
    json_field_string(json, "name", place->name);
    json_field_real(json, "visits_per_request", place->visits);
    json_field_real(json, "utilisation", place->utilisation);
    json_field_real(json, "service_ms", place->service_ns / 1e6);
    json_field_real(json, "waiting_ms", place->wait_ns / 1e6);
    json_field_real(json, "capacity_per_s", place->capacity);
    json_object_end(json);
}

void scenario_json_result(const struct scenario_result *result, struct json *json) {
    char key[48], signature[24];
    json_field_int(json, "requests", (int64_t)result->requests);
    json_field_int(json, "replications", result->replications);
    json_field_int(json, "errors", (int64_t)result->errors);
    json_field_int(json, "rejected", (int64_t)result->rejected);
    json_field_real(json, "span_ms", result->span_ns / 1e6);
    if (result->signature != 0) {
        (void)snprintf(signature, sizeof signature, "%016llx", (unsigned long long)result->signature);
        json_field_string(json, "signature", signature);
    } else {
        json_field_real(json, "late_p50_ms", result->late_p50_ns / 1e6);
        json_field_real(json, "late_p99_ms", result->late_p99_ns / 1e6);
    }
    json_key(json, "figures");
    json_object_begin(json);
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++) {
        const struct scenario_estimate *figure = &result->figures[f];
        json_key(json, key_of(f, key));
        json_object_begin(json);
        json_field_real(json, "value", value_of(f, figure->value));
        json_field_real(json, "low", value_of(f, figure->low));
        json_field_real(json, "high", value_of(f, figure->high));
        json_object_end(json);
    }
    json_object_end(json);
    json_key(json, "places");
    json_array_begin(json);
    for (unsigned i = 0; i < result->place_count; i++)
        write_place(&result->places[i], json);
    json_array_end(json);
    json_field_string(json, "limit", result->limit >= 0 ? result->places[result->limit].name : NULL);
}

void scenario_json_case(const struct scenario_case *one, struct json *json) {
    json_object_begin(json);
    json_field_string(json, "overlay", one->name);
    json_field_string(json, "note", one->note);
    scenario_json_result(&one->result, json);
    json_object_end(json);
}

void scenario_json_parameters(const struct scenario *scenario, struct json *json) {
    static const char *const names[] = {"given", "assumed", "changed"};
    size_t count = 0;
    const struct scenario_parameter *parameters = scenario_parameters(scenario, &count);
    json_key(json, "parameters");
    json_object_begin(json);
    for (unsigned origin = 0; origin < ARRAY_COUNT(names); origin++) {
        json_key(json, names[origin]);
        json_object_begin(json);
        for (size_t i = 0; i < count; i++)
            if (parameters[i].origin == (enum scenario_origin)origin)
                json_field_string(json, parameters[i].path, parameters[i].text);
        json_object_end(json);
    }
    json_object_end(json);
}

bool scenario_json_row(const struct scenario_row *row, const struct scenario_case *one,
                       const struct scenario_case *base, struct json *json) {
    bool good = true;
    char key[48], name[64];
    json_object_begin(json);
    json_field_string(json, "row", row->name);
    json_key(json, "overlays");
    json_array_begin(json);
    for (size_t i = 0; i < row->overlay_count; i++)
        json_string(json, row->overlays[i]);
    json_array_end(json);
    json_field_string(json, "note", row->note);
    json_field_int(json, "requests", (int64_t)one->result.requests);
    json_key(json, "figures");
    json_object_begin(json);
    for (unsigned f = 0; f < 2 * SCENARIO_FIGURE_COUNT; f++) {
        enum scenario_figure figure = (enum scenario_figure)(f / 2);
        struct scenario_verdict verdict;
        scenario_compare(row, figure, f % 2 == 1, &one->result, &base->result, &verdict);
        if (!verdict.checked)
            continue;
        enum scenario_figure as = verdict.change ? SCENARIO_ERRORS : figure;
        (void)snprintf(name, sizeof name, "%s%s",
                       verdict.change ? scenario_figure_table[figure].name : key_of(figure, key),
                       verdict.change ? "_change_percent" : "");
        json_key(json, name);
        json_object_begin(json);
        json_field_real(json, "expected_low", value_of(as, verdict.expected_low));
        json_field_real(json, "expected_high", value_of(as, verdict.expected_high));
        json_field_real(json, "ours", value_of(as, verdict.ours));
        json_field_real(json, "difference", verdict.difference);
        json_field_real(json, "tolerance", verdict.tolerance);
        json_field_bool(json, "good", verdict.good);
        json_object_end(json);
        good = good && verdict.good;
    }
    json_object_end(json);
    json_field_bool(json, "good", good);
    json_object_end(json);
    return good;
}
