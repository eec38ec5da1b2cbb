/* Reads the definition of one variable from a document: its range or choices, default and condition.
 *   lr:    {float: [1e-4, 0.1], log: true, default: 0.01, when: {kind: [svm, mlp]}}
 *   depth: int(2, 8)                                       (the short forms: short_form.c)
 * What is read goes to the space's arena. One thread: the one that compiles. */
#include "space/space_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAME_LENGTH_MAX 64

static const char *const definition_keys[] = {"float", "int", "choice", "log", "step", "default", "when"};
static const char *const reserved_names[] = {"and", "or", "not", "true", "false"};

static bool name_character(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && ((c >= '0' && c <= '9') || c == '.'));
}

enum troupe_error variable_check_name(const struct space *space, unsigned index, const struct place *place,
                                      struct fault *fault) {
    const char *name = space->names[index];
    size_t length = strlen(name);
    if (length == 0)
        return place_fault(place, fault, TROUPE_INVALID, "a variable needs a name");
    if (length > NAME_LENGTH_MAX)
        return place_fault(place, fault, TROUPE_LIMIT,
                           "the name '%.40s...' has %zu bytes; at most %d are allowed", name, length,
                           NAME_LENGTH_MAX);
    for (size_t i = 0; i < length; i++)
        if (!name_character(name[i], i == 0))
            return place_fault(
                place, fault, TROUPE_INVALID,
                "'%s' is no variable name; expected letters, digits, '_' and '.', a letter first", name);
    for (size_t i = 0; i < ARRAY_COUNT(reserved_names); i++)
        if (strcmp(name, reserved_names[i]) == 0)
            return place_fault(place, fault, TROUPE_INVALID,
                               "'%s' is a word of the constraint language and cannot name a variable", name);
    for (unsigned i = 0; i < index; i++)
        if (strcmp(name, space->names[i]) == 0)
            return place_fault(place, fault, TROUPE_INVALID, "the variable '%s' is defined twice", name);
    return TROUPE_OK;
}

enum troupe_error variable_add_choice(struct space *space, struct variable *variable, const char *text,
                                      enum document_kind kind, const struct place *place,
                                      struct fault *fault) {
    const char **choices = (const char **)(uintptr_t)variable->choices;
    enum document_kind *kinds = (enum document_kind *)(uintptr_t)variable->choice_kinds;
    double number = NAN;
    if (!text_is_utf8(text)) /* only --var can hold such; it could not be written as JSON and read back */
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the choice '%s' is not UTF-8", variable->name,
                           text);
    if (kind == DOCUMENT_INT || kind == DOCUMENT_REAL) {
        if (text_real(text, &number) != TROUPE_OK || !isfinite(number))
            return place_fault(place, fault, TROUPE_INVALID, "'%s': the choice %s is not a finite number",
                               variable->name, text);
    }
    for (unsigned i = 0; i < variable->choice_count; i++) {
        double other;
        if (strcmp(choices[i], text) == 0 || (choice_number(variable, i, &other) && other == number))
            return place_fault(place, fault, TROUPE_INVALID, "'%s': the choice '%s' is listed twice",
                               variable->name, text);
    }
    choices[variable->choice_count] = arena_copy(&space->arena, text, strlen(text));
    if (!choices[variable->choice_count])
        return place_fault(place, fault, TROUPE_NOMEM, "no memory for a choice");
    kinds[variable->choice_count] = kind;
    variable->choice_count++;
    variable->levels = variable->choice_count;
    return TROUPE_OK;
}

static enum troupe_error choices_read(struct space *space, struct variable *variable, const struct node *node,
                                      struct fault *fault) {
    struct place place = {.node = node};
    size_t count = node_count(node);
    variable->kind = VARIABLE_CHOICE;
    if (node_kind(node) != DOCUMENT_LIST || count == 0)
        return place_fault(&place, fault, TROUPE_INVALID,
                           "'%s': expected a list of choices such as [a, b], found %s", variable->name,
                           node_kind(node) == DOCUMENT_LIST ? "an empty list" : node_kind_name(node));
    if (count > SPACE_CHOICES_MAX)
        return place_fault(&place, fault, TROUPE_LIMIT, "'%s': %zu choices; at most %d are allowed",
                           variable->name, count, SPACE_CHOICES_MAX);
    variable->choices = ARENA_ARRAY(&space->arena, const char *, count);
    variable->choice_kinds = ARENA_ARRAY(&space->arena, enum document_kind, count);
    if (!variable->choices || !variable->choice_kinds)
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for %zu choices", count);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = node_at(node, i);
        struct place each = {.node = item};
        enum document_kind kind = node_kind(item);
        char integer[32];
        const char *text = node_text(item);
        if (kind == DOCUMENT_BOOL) {
            text = node_bool(item) ? "true" : "false";
        } else if (kind == DOCUMENT_INT) { /* canonical: 0x10 and 16 are one choice, and valid JSON */
            snprintf(integer, sizeof integer, "%lld", (long long)node_int(item));
            text = integer;
        } else if (kind != DOCUMENT_STRING && kind != DOCUMENT_REAL) {
            return place_fault(&each, fault, TROUPE_INVALID,
                               "'%s': a choice is a text, number or bool, found %s", variable->name,
                               node_kind_name(item));
        }
        enum troupe_error error = variable_add_choice(space, variable, text, kind, &each, fault);
        if (error)
            return error;
    }
    return TROUPE_OK;
}

static enum troupe_error range_read(struct variable *variable, const struct node *node, const char *form,
                                    struct fault *fault) {
    struct place place = {.node = node};
    if (node_kind(node) != DOCUMENT_LIST || node_count(node) != 2)
        return place_fault(&place, fault, TROUPE_INVALID, "'%s': expected %s: [low, high], found %s",
                           variable->name, form,
                           node_kind(node) == DOCUMENT_LIST ? "a list that does not hold two numbers"
                                                            : node_kind_name(node));
    enum troupe_error error = node_read_real(node_at(node, 0), &variable->low, fault);
    return error ? error : node_read_real(node_at(node, 1), &variable->high, fault);
}

/* One of float, int, choice, and what goes with it. */
static enum troupe_error domain_read(struct space *space, struct variable *variable, const struct node *node,
                                     struct fault *fault) {
    struct place place = {.node = node};
    const struct node *real = node_get(node, "float"), *integer = node_get(node, "int");
    const struct node *choice = node_get(node, "choice");
    const struct node *step = node_get(node, "step"), *log = node_get(node, "log");
    if (!!real + !!integer + !!choice != 1)
        return place_fault(
            &place, fault, TROUPE_INVALID,
            "'%s': expected exactly one of float: [low, high], int: [low, high], choice: [a, b]",
            variable->name);
    if (choice) {
        struct place extra = {.node = step ? step : log};
        if (extra.node)
            return place_fault(&extra, fault, TROUPE_INVALID, "'%s': a choice has no %s", variable->name,
                               step ? "step" : "log scale");
        return choices_read(space, variable, choice, fault);
    }
    variable->kind = real ? VARIABLE_FLOAT : VARIABLE_INT;
    enum troupe_error error = range_read(variable, real ? real : integer, real ? "float" : "int", fault);
    if (!error)
        error = node_read_bool(log, &variable->log, fault);
    if (!error)
        error = node_read_real(step, &variable->step, fault);
    if (error)
        return error;
    if (step && variable->step <= 0) {
        place.node = step;
        return place_fault(&place, fault, TROUPE_INVALID, "'%s': the step %g must be positive",
                           variable->name, variable->step);
    }
    place.node = real ? real : integer;
    return variable_finish_range(variable, &place, fault);
}

/* The parent of `when: {parent: value}`; it must be finished, that is declared earlier. */
static enum troupe_error parent_find(const struct space *space, unsigned index, const struct node *when,
                                     struct fault *fault) {
    struct place place = {.node = when};
    struct variable *variable = &space->variables[index];
    if (node_kind(when) != DOCUMENT_MAP || node_count(when) != 1)
        return place_fault(
            &place, fault, TROUPE_INVALID,
            "'%s': expected one condition such as when: {kind: svm} or when: {kind: [svm, mlp]}, found %s",
            variable->name,
            node_kind(when) == DOCUMENT_MAP ? "a map that does not hold one" : node_kind_name(when));
    const char *name = node_key_at(when, 0);
    place.node = node_at(when, 0);
    int parent = space_find(space, name); /* space->count is index: finds earlier ones only */
    if (parent < 0 && strcmp(name, variable->name) == 0)
        return place_fault(&place, fault, TROUPE_INVALID, "'%s' cannot depend on itself", name);
    if (parent < 0) {
        const char *nearest = text_nearest(name, space->names, index);
        return place_fault(&place, fault, TROUPE_INVALID,
                           "'%s' depends on '%s', which is not a variable defined before it%s%s%s",
                           variable->name, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                           nearest ? "'?" : "");
    }
    if (space->variables[parent].kind == VARIABLE_FLOAT)
        return place_fault(&place, fault, TROUPE_INVALID,
                           "'%s' depends on '%s', a float; only a choice or an int can be a condition",
                           variable->name, name);
    variable->parent = parent;
    return TROUPE_OK;
}

static enum troupe_error condition_read(struct space *space, unsigned index, const struct node *when,
                                        struct fault *fault) {
    enum troupe_error error = parent_find(space, index, when, fault);
    if (error)
        return error;
    struct variable *variable = &space->variables[index];
    const struct variable *parent = &space->variables[variable->parent];
    const struct node *values = node_at(when, 0);
    struct place place = {.node = values};
    bool list = node_kind(values) == DOCUMENT_LIST;
    size_t count = list ? node_count(values) : 1;
    if (count == 0)
        return place_fault(&place, fault, TROUPE_INVALID, "'%s': the condition lists no value of '%s'",
                           variable->name, parent->name);
    if (count > SPACE_CHOICES_MAX)
        return place_fault(&place, fault, TROUPE_LIMIT,
                           "'%s': the condition lists %zu values; at most %d are allowed", variable->name,
                           count, SPACE_CHOICES_MAX);
    double *parent_values = ARENA_ARRAY(&space->arena, double, count);
    if (!parent_values)
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for a condition");
    for (size_t i = 0; i < count; i++) {
        error = variable_read(parent, list ? node_at(values, i) : values, &parent_values[i], fault);
        if (error)
            return error;
    }
    variable->parent_values = parent_values;
    variable->parent_value_count = (unsigned)count;
    return TROUPE_OK;
}

enum troupe_error variable_from_node(struct space *space, unsigned index, const struct node *node,
                                     struct fault *fault) {
    struct variable *variable = &space->variables[index];
    struct place place = {.node = node};
    if (node_kind(node) == DOCUMENT_STRING)
        return variable_from_short_form(space, index, node_string(node), &place, fault);
    if (node_kind(node) != DOCUMENT_MAP)
        return place_fault(
            &place, fault, TROUPE_INVALID,
            "'%s': expected {float: [low, high]}, {int: [low, high]}, {choice: [a, b]} or a short "
            "form such as log(1e-4, 0.1), found %s",
            variable->name, node_kind_name(node));
    enum troupe_error error = node_check_keys(node, definition_keys, ARRAY_COUNT(definition_keys), fault);
    if (!error)
        error = domain_read(space, variable, node, fault);
    if (error)
        return error;
    const struct node *value = node_get(node, "default"), *when = node_get(node, "when");
    if (value) {
        error = variable_read(variable, value, &variable->default_value, fault);
        if (error)
            return error;
        variable->has_default = true;
    }
    return when ? condition_read(space, index, when, fault) : TROUPE_OK;
}
