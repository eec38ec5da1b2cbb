/* A space: its variables in order, its constraints, how many configurations it has, and its hash.
 * Immutable once compiled; everything it points to lives in its arena, which space_free frees.
 * Threads: compiled by one thread, then readable from any. */
#include "space/space_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct account spaces = {.name = "spaces"}; /* the struct and the arena of every space */

enum troupe_error place_fault(const struct place *place, struct fault *fault, enum troupe_error error,
                              const char *format, ...) {
    char text[sizeof(((struct fault *)0)->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (place->node)
        return node_fault(place->node, fault, error, "%s", text);
    return fault_set(fault, error, place->where ? place->where : "", "%s", text);
}

static struct space *space_new(size_t count) {
    struct space *space = memory_alloc(&spaces, sizeof *space);
    if (!space)
        return NULL;
    arena_init(&space->arena, &spaces);
    space->variables = ARENA_ARRAY(&space->arena, struct variable, count);
    space->names = ARENA_ARRAY(&space->arena, const char *, count);
    if (!space->variables || !space->names) {
        space_free(space);
        return NULL;
    }
    return space;
}

void space_free(struct space *space) {
    if (!space)
        return;
    arena_free(&space->arena);
    memory_free(&spaces, space);
}

static enum troupe_error count_check(size_t count, const struct place *place, struct fault *fault) {
    if (count == 0)
        return place_fault(
            place, fault, TROUPE_INVALID,
            "the space has no variables; expected at least one, such as lr: {float: [0.001, 0.1]}");
    if (count > SPACE_VARIABLES_MAX)
        return place_fault(place, fault, TROUPE_LIMIT, "%zu variables; a space has at most %d", count,
                           SPACE_VARIABLES_MAX);
    return TROUPE_OK;
}

static enum troupe_error constraints_compile(struct space *space, const struct node *constraints,
                                             struct fault *fault) {
    struct place place = {.node = constraints};
    if (!constraints || node_kind(constraints) == DOCUMENT_NULL)
        return TROUPE_OK;
    if (node_kind(constraints) != DOCUMENT_LIST)
        return place_fault(&place, fault, TROUPE_INVALID,
                           "expected a list of expressions such as \"depth * width <= 64\", found %s",
                           node_kind_name(constraints));
    size_t count = node_count(constraints);
    if (count > SPACE_CONSTRAINTS_MAX)
        return place_fault(&place, fault, TROUPE_LIMIT, "%zu constraints; a space has at most %d", count,
                           SPACE_CONSTRAINTS_MAX);
    space->constraints = ARENA_ARRAY(&space->arena, struct expression, count ? count : 1);
    if (!space->constraints)
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for the constraints");
    for (size_t i = 0; i < count; i++) {
        const struct node *node = node_at(constraints, i);
        struct place each = {.node = node};
        if (node_kind(node) != DOCUMENT_STRING)
            return place_fault(&each, fault, TROUPE_INVALID,
                               "expected an expression such as \"depth * width <= 64\", found %s",
                               node_kind_name(node));
        enum troupe_error error =
            expression_compile(space, node_string(node), &each, &space->constraints[i], fault);
        if (error)
            return error;
        space->constraint_count++;
    }
    return TROUPE_OK;
}

enum troupe_error space_compile(const struct node *variables, const struct node *constraints,
                                struct space **ret_space, struct fault *fault) {
    struct place place = {.node = variables, .where = "space"};
    if (node_kind(variables) != DOCUMENT_MAP)
        return place_fault(
            &place, fault, TROUPE_INVALID,
            "expected variables by name, such as lr: {float: [0.001, 0.1], log: true}, found %s",
            node_kind_name(variables));
    size_t count = node_count(variables);
    enum troupe_error error = count_check(count, &place, fault);
    if (error)
        return error;
    struct space *space = space_new(count);
    if (!space)
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for %zu variables", count);
    for (size_t i = 0; i < count && !error; i++) {
        const struct node *node = node_at(variables, i);
        struct place each = {.node = node};
        space->names[i] =
            arena_copy(&space->arena, node_key_at(variables, i), strlen(node_key_at(variables, i)));
        space->variables[i].name = space->names[i];
        space->variables[i].parent = -1;
        if (!space->names[i])
            error = place_fault(&each, fault, TROUPE_NOMEM, "no memory for a name");
        else if (!(error = variable_check_name(space, (unsigned)i, &each, fault)))
            error = variable_from_node(space, (unsigned)i, node, fault);
        if (!error)
            space->count++;
    }
    if (!error)
        error = constraints_compile(space, constraints, fault);
    if (error) {
        space_free(space);
        return error;
    }
    *ret_space = space;
    return TROUPE_OK;
}

/* "lr=log(1e-4,1e-1)": the name up to '=', then the short form. */
static enum troupe_error var_compile(struct space *space, unsigned index, const char *text,
                                     struct fault *fault) {
    char where[160];
    struct place place = {.where = where};
    snprintf(where, sizeof where, "--var '%.140s'", text);
    const char *equals = strchr(text, '=');
    if (!equals)
        return place_fault(&place, fault, TROUPE_INVALID,
                           "expected NAME=RANGE, such as lr=log(1e-4,1e-1) or kind=choice(a,b)");
    size_t length = (size_t)(equals - text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    space->names[index] = arena_copy(&space->arena, text, length);
    if (!space->names[index])
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for a name");
    space->variables[index].name = space->names[index];
    space->variables[index].parent = -1;
    enum troupe_error error = variable_check_name(space, index, &place, fault);
    return error ? error : variable_from_short_form(space, index, equals + 1, &place, fault);
}

enum troupe_error space_compile_vars(const char *const *vars, size_t count, struct space **ret_space,
                                     struct fault *fault) {
    struct place place = {.where = "--var"};
    enum troupe_error error = count_check(count, &place, fault);
    if (error)
        return error;
    struct space *space = space_new(count);
    if (!space)
        return place_fault(&place, fault, TROUPE_NOMEM, "no memory for %zu variables", count);
    for (size_t i = 0; i < count && !error; i++) {
        error = var_compile(space, (unsigned)i, vars[i], fault);
        if (!error)
            space->count++;
    }
    if (error) {
        space_free(space);
        return error;
    }
    *ret_space = space;
    return TROUPE_OK;
}

unsigned space_count(const struct space *space) {
    return space->count;
}

const struct variable *space_variable(const struct space *space, unsigned index) {
    CHECK(index < space->count);
    return &space->variables[index];
}

int space_find(const struct space *space, const char *name) {
    for (unsigned i = 0; i < space->count; i++)
        if (strcmp(space->names[i], name) == 0)
            return (int)i;
    return -1;
}

/* Configurations of the children of `parent` that are active at `value`; counts[] of later ones are known. */
static double children_count(const struct space *space, const double *counts, unsigned parent, double value) {
    double product = 1;
    for (unsigned child = parent + 1; child < space->count; child++) {
        const struct variable *variable = &space->variables[child];
        if (variable->parent != (int)parent)
            continue;
        for (unsigned i = 0; i < variable->parent_value_count; i++)
            if (variable->parent_values[i] == value) {
                product *= counts[child];
                break;
            }
    }
    return product;
}

/* True when `value` was listed by an earlier child or earlier in the list of `child`. */
static bool listed_before(const struct space *space, unsigned parent, unsigned child, unsigned at,
                          double value) {
    for (unsigned i = parent + 1; i <= child; i++) {
        const struct variable *variable = &space->variables[i];
        if (variable->parent != (int)parent)
            continue;
        unsigned end = i == child ? at : variable->parent_value_count;
        for (unsigned k = 0; k < end; k++)
            if (variable->parent_values[k] == value)
                return true;
    }
    return false;
}

/* The variables are a forest whose children come after their parents: one pass from the back. A value that no
 * child lists contributes one, so an int parent with a huge range costs no more than its listed values. */
double space_cardinality(const struct space *space) {
    double counts[SPACE_VARIABLES_MAX], total = 1;
    for (unsigned i = space->count; i-- > 0;) {
        counts[i] = space->variables[i].levels;
        for (unsigned child = i + 1; child < space->count; child++) {
            const struct variable *variable = &space->variables[child];
            for (unsigned k = 0; variable->parent == (int)i && k < variable->parent_value_count; k++)
                if (!listed_before(space, i, child, k, variable->parent_values[k]))
                    counts[i] += children_count(space, counts, i, variable->parent_values[k]) - 1;
        }
        if (space->variables[i].parent < 0)
            total *= counts[i];
    }
    return total;
}

static uint64_t hash_text(uint64_t hash, const char *text) {
    return hash_bytes(text, strlen(text) + 1, hash);
}

static uint64_t hash_number(uint64_t hash, double number) {
    number += 0.0; /* -0 is 0 */
    return hash_bytes(&number, sizeof number, hash);
}

uint64_t space_hash(const struct space *space) {
    uint64_t hash = 1;
    for (unsigned i = 0; i < space->count; i++) {
        const struct variable *variable = &space->variables[i];
        hash = hash_text(hash, variable->name);
        hash = hash_number(hash, variable->kind * 2 + variable->log);
        hash = hash_number(hash, variable->parent);
        for (unsigned k = 0; k < variable->parent_value_count; k++)
            hash = hash_number(hash, variable->parent_values[k]);
        if (variable->kind == VARIABLE_CHOICE) {
            for (unsigned k = 0; k < variable->choice_count; k++)
                hash = hash_number(hash_text(hash, variable->choices[k]), variable->choice_kinds[k]);
        } else {
            hash = hash_number(hash_number(hash, variable->low), variable->high);
            hash = hash_number(hash, variable->step);
        }
    }
    for (unsigned i = 0; i < space->constraint_count; i++) {
        const struct expression *expression = &space->constraints[i];
        for (unsigned k = 0; k < expression->instruction_count; k++) {
            const struct instruction *instruction = &expression->instructions[k];
            hash = hash_number(hash, instruction->operation);
            hash = hash_number(hash, instruction->variable);
            hash = hash_number(hash, instruction->number);
        }
        hash = hash_number(hash, -1); /* the end: two constraints are not one longer */
    }
    return hash;
}
