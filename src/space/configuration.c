/* Configurations: activity, normal form, validity, the default, and drawing one at random.
 * A configuration is the caller's plain data; the space is only read. Any thread, no allocation. */
#include "space/space_private.h"

#include <math.h>
#include <stdio.h>

#define DRAW_TRIES 10000

bool space_active(const struct space *space, const struct configuration *configuration, unsigned index) {
    CHECK(index < space->count);
    return !isnan(configuration->values[index]);
}

void space_normalise(const struct space *space, struct configuration *configuration) {
    configuration->count = space->count;
    for (unsigned i = 0; i < space->count; i++) /* parents come first */
        configuration->values[i] = variable_active(space, configuration->values, i)
                                       ? variable_snap(&space->variables[i], configuration->values[i])
                                       : NAN;
}

bool space_feasible(const struct space *space, const struct configuration *configuration) {
    for (unsigned i = 0; i < space->constraint_count; i++)
        if (!expression_holds(&space->constraints[i], configuration->values))
            return false;
    return true;
}

enum troupe_error space_validate(const struct space *space, const struct configuration *configuration,
                                 struct fault *fault) {
    char text[200];
    if (configuration->count != space->count)
        return fault_set(fault, TROUPE_INVALID, "",
                         "the configuration has %u values; the space has %u variables", configuration->count,
                         space->count);
    for (unsigned i = 0; i < space->count; i++) {
        const struct variable *variable = &space->variables[i];
        bool active = variable_active(space, configuration->values, i),
             given = !isnan(configuration->values[i]);
        if (active && !given)
            return fault_set(fault, TROUPE_INVALID, variable->name, "'%s' has no value", variable->name);
        if (!active && given)
            return fault_set(fault, TROUPE_INVALID, variable->name,
                             "'%s' has a value but is inactive: its condition on '%s' does not hold",
                             variable->name, space->variables[variable->parent].name);
        if (active && variable_objection(variable, configuration->values[i], text, sizeof text))
            return fault_set(fault, TROUPE_INVALID, variable->name, "'%s': %s", variable->name, text);
    }
    for (unsigned i = 0; i < space->constraint_count; i++)
        if (!expression_holds(&space->constraints[i], configuration->values))
            return fault_set(fault, TROUPE_INFEASIBLE, "constraints", "the constraint \"%s\" does not hold",
                             space->constraints[i].text);
    return TROUPE_OK;
}

void space_default(const struct space *space, struct configuration *ret_configuration) {
    for (unsigned i = 0; i < space->count; i++) {
        const struct variable *variable = &space->variables[i];
        ret_configuration->values[i] = variable->has_default               ? variable->default_value
                                       : variable->kind == VARIABLE_CHOICE ? 0
                                                                           : space_from_unit(variable, 0.5);
    }
    space_normalise(space, ret_configuration);
}

bool space_has_baseline(const struct space *space) {
    struct configuration configuration;
    space_default(space, &configuration);
    for (unsigned i = 0; i < space->count; i++)
        if (space_active(space, &configuration, i) && !space->variables[i].has_default)
            return false;
    return true;
}

static enum troupe_error draw_failed(const struct space *space, const unsigned *refusals, unsigned tries,
                                     struct fault *fault) {
    unsigned tightest = 0;
    for (unsigned i = 1; i < space->constraint_count; i++)
        if (refusals[i] > refusals[tightest])
            tightest = i;
    return fault_set(fault, TROUPE_INFEASIBLE, "constraints",
                     "none of %u configurations drawn satisfies the constraints; \"%s\" failed most often "
                     "(%u of %u)",
                     tries, space->constraints[tightest].text, refusals[tightest], tries);
}

enum troupe_error space_draw(const struct space *space, struct random_stream *random, unsigned tries,
                             struct configuration *ret_configuration, struct fault *fault) {
    struct configuration drawn;
    unsigned refusals[SPACE_CONSTRAINTS_MAX] = {0};
    if (tries == 0)
        tries = DRAW_TRIES;
    for (unsigned attempt = 0; attempt < tries; attempt++) {
        bool feasible = true;
        for (unsigned i = 0; i < space->count; i++)
            drawn.values[i] = space_from_unit(&space->variables[i], random_unit(random));
        space_normalise(space, &drawn);
        for (unsigned i = 0; i < space->constraint_count; i++)
            if (!expression_holds(&space->constraints[i], drawn.values)) {
                refusals[i]++;
                feasible = false;
            }
        if (feasible) {
            ret_configuration->count = drawn.count;
            for (unsigned i = 0; i < space->count; i++)
                ret_configuration->values[i] = drawn.values[i];
            return TROUPE_OK;
        }
    }
    return draw_failed(space, refusals, tries, fault);
}
