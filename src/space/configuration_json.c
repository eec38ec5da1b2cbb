/* Configurations as JSON: {"lr":0.01,"kind":"svm"}, active variables only, and the JSON Schema of that
 * object. Reading reports what is unknown, missing, inactive or out of range at the position of the node. Any
 * thread. */
#include "space/space_private.h"

#include <math.h>
#include <string.h>

static void choice_write(const struct variable *variable, unsigned choice, struct json *json) {
    const char *text = variable->choices[choice];
    double number;
    if (variable->choice_kinds[choice] == DOCUMENT_INT)
        json_raw(json, text, strlen(text)); /* canonical since compiled */
    else if (variable->choice_kinds[choice] == DOCUMENT_REAL && choice_number(variable, choice, &number))
        json_real(json, number);
    else if (variable->choice_kinds[choice] == DOCUMENT_BOOL)
        json_bool(json, text[0] == 't');
    else
        json_string(json, text);
}

static void value_write(const struct variable *variable, double value, struct json *json) {
    if (variable->kind == VARIABLE_CHOICE)
        choice_write(variable, (unsigned)value, json);
    else if (variable->kind == VARIABLE_INT)
        json_int(json, (int64_t)value);
    else
        json_real(json, value);
}

void space_write_json(const struct space *space, const struct configuration *configuration,
                      struct json *json) {
    json_object_begin(json);
    for (unsigned i = 0; i < space->count; i++) {
        if (isnan(configuration->values[i]))
            continue;
        json_key(json, space->variables[i].name);
        value_write(&space->variables[i], configuration->values[i], json);
    }
    json_object_end(json);
}

enum troupe_error space_read_json(const struct space *space, const struct node *map,
                                  struct configuration *ret_configuration, struct fault *fault) {
    struct configuration read = {.count = space->count};
    if (node_kind(map) != DOCUMENT_MAP)
        return node_fault(map, fault, TROUPE_INVALID,
                          "expected a configuration such as {\"%s\": ...}, found %s",
                          space->variables[0].name, node_kind_name(map));
    enum troupe_error error = node_check_keys(map, space->names, space->count, fault);
    if (error)
        return error;
    for (unsigned i = 0; i < space->count; i++) {
        const struct variable *variable = &space->variables[i];
        const struct node *node = node_get(map, variable->name);
        bool active = variable_active(space, read.values, i);
        read.values[i] = NAN;
        if (active && !node)
            return node_fault(map, fault, TROUPE_INVALID, "'%s' has no value", variable->name);
        if (!active && node)
            return node_fault(node, fault, TROUPE_INVALID,
                              "'%s' has a value but is inactive: its condition on '%s' does not hold",
                              variable->name, space->variables[variable->parent].name);
        if (!active)
            continue;
        error = variable_read(variable, node, &read.values[i], fault);
        if (error)
            return error;
    }
    ret_configuration->count = read.count;
    memcpy(ret_configuration->values, read.values, space->count * sizeof *read.values);
    return TROUPE_OK;
}

static void property_write(const struct variable *variable, struct json *json) {
    json_object_begin(json);
    if (variable->kind == VARIABLE_CHOICE) {
        json_key(json, "enum");
        json_array_begin(json);
        for (unsigned i = 0; i < variable->choice_count; i++)
            choice_write(variable, i, json);
        json_array_end(json);
    } else {
        json_field_string(json, "type", variable->kind == VARIABLE_INT ? "integer" : "number");
        json_key(json, "minimum");
        value_write(variable, variable->low, json);
        json_key(json, "maximum");
        value_write(variable, variable->high, json);
        if (variable->step > 0 && variable->step != 1 && fmod(variable->low, variable->step) == 0)
            json_field_real(json, "multipleOf", variable->step);
    }
    if (variable->has_default) {
        json_key(json, "default");
        value_write(variable, variable->default_value, json);
    }
    json_object_end(json);
}

/* {"if": parent present with one of the values, "then": required, "else": absent} */
static void condition_write(const struct space *space, const struct variable *variable, struct json *json) {
    const struct variable *parent = &space->variables[variable->parent];
    json_object_begin(json);
    json_key(json, "if");
    json_object_begin(json);
    json_key(json, "properties");
    json_object_begin(json);
    json_key(json, parent->name);
    json_object_begin(json);
    json_key(json, "enum");
    json_array_begin(json);
    for (unsigned i = 0; i < variable->parent_value_count; i++)
        value_write(parent, variable->parent_values[i], json);
    json_array_end(json);
    json_object_end(json);
    json_object_end(json);
    json_key(json, "required");
    json_array_begin(json);
    json_string(json, parent->name);
    json_array_end(json);
    json_object_end(json);
    json_key(json, "then");
    json_object_begin(json);
    json_key(json, "required");
    json_array_begin(json);
    json_string(json, variable->name);
    json_array_end(json);
    json_object_end(json);
    json_key(json, "else");
    json_object_begin(json);
    json_key(json, "properties");
    json_object_begin(json);
    json_field_bool(json, variable->name, false);
    json_object_end(json);
    json_object_end(json);
    json_object_end(json);
}

void space_write_schema(const struct space *space, struct json *json) {
    bool conditional = false;
    json_object_begin(json);
    json_field_string(json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_field_string(json, "type", "object");
    json_key(json, "properties");
    json_object_begin(json);
    for (unsigned i = 0; i < space->count; i++) {
        json_key(json, space->variables[i].name);
        property_write(&space->variables[i], json);
        conditional = conditional || space->variables[i].parent >= 0;
    }
    json_object_end(json);
    json_key(json, "required");
    json_array_begin(json);
    for (unsigned i = 0; i < space->count; i++)
        if (space->variables[i].parent < 0)
            json_string(json, space->variables[i].name);
    json_array_end(json);
    json_field_bool(json, "additionalProperties", false);
    if (conditional) {
        json_key(json, "allOf");
        json_array_begin(json);
        for (unsigned i = 0; i < space->count; i++)
            if (space->variables[i].parent >= 0)
                condition_write(space, &space->variables[i], json);
        json_array_end(json);
    }
    json_object_end(json);
}
