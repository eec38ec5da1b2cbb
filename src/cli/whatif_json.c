/* whatif_json: a prediction as one JSON object. Figures have their names and units from figure_table. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/whatif.h"
#include "simulate/simulate.h"

void whatif_write_estimates(const struct estimate *figures, struct json *json) {
    json_key(json, "predicted");
    json_object_begin(json);
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        json_field_real(json, figure_table[f].name, figures[f].value);
    json_object_end(json);
    json_key(json, "interval");
    json_object_begin(json);
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        json_key(json, figure_table[f].name);
        json_array_begin(json);
        json_real(json, figures[f].low);
        json_real(json, figures[f].high);
        json_array_end(json);
    }
    json_object_end(json);
}

static void write_plain(const char *key, const double *figures, struct json *json) {
    json_key(json, key);
    json_object_begin(json);
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        json_field_real(json, figure_table[f].name, figures[f]);
    json_object_end(json);
}

static void write_changes(const struct whatif *whatif, struct json *json) {
    json_key(json, "changes");
    json_array_begin(json);
    for (unsigned i = 0; i < whatif->changes.count; i++) {
        const struct change *change = &whatif->changes.changes[i];
        json_object_begin(json);
        json_field_string(json, "path", change->path);
        if (change->after[0] != '\0') {
            json_field_string(json, "before", change->before);
            json_field_string(json, "after", change->after);
        }
        if (change->why[0] != '\0')
            json_field_string(json, "note", change->why);
        json_object_end(json);
    }
    json_array_end(json);
    json_key(json, "sets");
    json_array_begin(json);
    for (size_t i = 0; i < whatif->sets.count; i++)
        json_string(json, whatif->sets.texts[i]);
    json_array_end(json);
    json_key(json, "assumptions");
    json_array_begin(json);
    for (size_t i = 0; i < whatif->values->assumes.count; i++)
        json_string(json, whatif->values->assumes.texts[i]);
    json_array_end(json);
}

static void write_measured(const struct whatif *whatif, struct json *json) {
    if (whatif->measured_run == NULL) {
        json_key(json, "measured");
        json_null(json);
        json_key(json, "error_percent");
        json_null(json);
        return;
    }
    double errors[FIGURE_COUNT];
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        errors[f] = prediction_error_percent(whatif->prediction.figures[f].value, whatif->measured[f]);
    json_field_string(json, "measured_run", whatif->measured_run);
    write_plain("measured", whatif->measured, json);
    write_plain("error_percent", errors, json);
    if (whatif->cause[0] != '\0')
        json_field_string(json, "cause", whatif->cause);
}

static void write_parameters(const struct model *model, struct json *json) {
    json_key(json, "parameters");
    json_array_begin(json);
    for (unsigned i = 0; i < model->parameter_count; i++) {
        const struct model_parameter *one = &model->parameters[i];
        json_object_begin(json);
        json_field_string(json, "name", one->name);
        json_field_string(json, "text", one->text);
        json_field_int(json, "n", one->n);
        json_field_bool(json, "assumed", one->assumed);
        json_object_end(json);
    }
    json_array_end(json);
}

void whatif_write_json(const struct whatif *whatif, struct json *json) {
    char signature[24];
    json_object_begin(json);
    json_field_string(json, "run", whatif->id);
    write_changes(whatif, json);
    whatif_write_estimates(whatif->prediction.figures, json);
    write_plain("recorded", whatif->recorded, json);
    write_measured(whatif, json);
    json_field_string(json, "limit", whatif->prediction.limit);
    write_parameters(whatif->model, json);
    snprintf(signature, sizeof signature, "%016" PRIx64, whatif->prediction.signature);
    json_field_string(json, "signature", signature);
    json_field_int(json, "replications", whatif->prediction.replications);
    json_field_int(json, "seed", whatif->values->seed);
    json_object_end(json);
}
