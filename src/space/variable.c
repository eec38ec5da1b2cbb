/* One variable's values: its domain, snapping to steps, the unit interval, text and choices.
 * Pure functions of an immutable struct variable; any thread.
 *
 * A discrete variable divides the unit interval into cells, one a value: of equal width, except on a log
 * scale, where the integer i owns [log(i - 1/2), log(i + 1/2)] so that a uniform draw is uniform in the
 * logarithm. */
#include "space/space_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integers a double holds exactly. */
#define INTEGRAL_MAX 9007199254740992.0

static bool discrete(const struct variable *variable) {
    return isfinite(variable->levels);
}

double variable_at(const struct variable *variable, uint64_t level) {
    if (variable->kind == VARIABLE_CHOICE)
        return (double)level;
    double value = variable->low + (double)level * variable->step;
    if (variable->scale > 0)
        value = round(value * variable->scale) / variable->scale;
    return fmin(value, variable->high);
}

static double level_of(const struct variable *variable, double value) {
    if (variable->kind == VARIABLE_CHOICE)
        return fmin(fmax(round(value), 0), variable->levels - 1);
    if (variable->step <= 0)
        return 0;
    return fmin(fmax(round((value - variable->low) / variable->step), 0), variable->levels - 1);
}

double variable_snap(const struct variable *variable, double value) {
    if (isnan(value))
        return value;
    if (discrete(variable))
        return variable_at(variable, (uint64_t)level_of(variable, value));
    return fmin(fmax(value, variable->low), variable->high);
}

/* The ends of the scale that the unit interval stands for. */
static void log_ends(const struct variable *variable, double *ret_low, double *ret_high) {
    double half = variable->kind == VARIABLE_INT ? 0.5 : 0;
    *ret_low = log(variable->low - half);
    *ret_high = log(variable->high + half);
}

double space_to_unit(const struct variable *variable, double value) {
    if (isnan(value))
        return value;
    if (discrete(variable) && (!variable->log || variable->levels < 2))
        return (level_of(variable, value) + 0.5) / variable->levels;
    double low = variable->low, high = variable->high;
    if (variable->log) {
        log_ends(variable, &low, &high);
        value = log(value);
    }
    return fmin(fmax((value - low) / (high - low), 0), 1);
}

double space_from_unit(const struct variable *variable, double unit) {
    if (isnan(unit))
        return unit;
    unit = fmin(fmax(unit, 0), 1);
    if (discrete(variable) && (!variable->log || variable->levels < 2))
        return variable_at(variable, (uint64_t)fmin(floor(unit * variable->levels), variable->levels - 1));
    if (!variable->log) /* the form that is exact at both ends */
        return variable_snap(variable, variable->low * (1 - unit) + variable->high * unit);
    double low, high;
    log_ends(variable, &low, &high);
    if (variable->kind == VARIABLE_FLOAT && unit == 1)
        return variable->high;
    if (variable->kind == VARIABLE_FLOAT && unit == 0)
        return variable->low;
    return variable_snap(variable, exp(low + unit * (high - low)));
}

void space_unit_cell(const struct variable *variable, double value, double *ret_low, double *ret_high) {
    double unit = space_to_unit(variable, value);
    *ret_low = *ret_high = unit;
    if (!discrete(variable) || isnan(unit))
        return;
    if (variable->log && variable->levels >= 2) {
        double low, high;
        log_ends(variable, &low, &high);
        *ret_low = fmax((log(value - 0.5) - low) / (high - low), 0);
        *ret_high = fmin((log(value + 0.5) - low) / (high - low), 1);
        return;
    }
    *ret_low = level_of(variable, value) / variable->levels;
    *ret_high = (level_of(variable, value) + 1) / variable->levels;
}

bool variable_active(const struct space *space, const double *values, unsigned index) {
    const struct variable *variable = &space->variables[index];
    if (variable->parent < 0)
        return true;
    double value = values[variable->parent]; /* NaN when the parent is inactive: equal to nothing */
    for (unsigned i = 0; i < variable->parent_value_count; i++)
        if (variable->parent_values[i] == value)
            return true;
    return false;
}

bool choice_number(const struct variable *variable, unsigned choice, double *ret_number) {
    if (variable->choice_kinds[choice] != DOCUMENT_INT && variable->choice_kinds[choice] != DOCUMENT_REAL)
        return false;
    return text_real(variable->choices[choice], ret_number) == TROUPE_OK;
}

static const char *real_text(double value, char *out, size_t size) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

const char *space_value_text(const struct variable *variable, double value, char *out, size_t size) {
    if (size == 0)
        return "";
    out[0] = 0;
    if (isnan(value))
        return out;
    if (variable->kind == VARIABLE_CHOICE)
        snprintf(out, size, "%s", variable->choices[(unsigned)level_of(variable, value)]);
    else if (variable->kind == VARIABLE_INT)
        snprintf(out, size, "%.0f", value);
    else
        return real_text(value, out, size);
    return out;
}

const char *variable_objection(const struct variable *variable, double value, char *out, size_t size) {
    char found[40], bound[40];
    real_text(value, found, sizeof found);
    if (variable->kind == VARIABLE_CHOICE) {
        if (value >= 0 && value < variable->choice_count && value == floor(value))
            return NULL;
        snprintf(out, size, "%s is not the index of one of its %u choices", found, variable->choice_count);
        return out;
    }
    if (!isfinite(value))
        snprintf(out, size, "%s is not a finite number", found);
    else if (value < variable->low)
        snprintf(out, size, "%s is below its lowest value %s", found,
                 real_text(variable->low, bound, sizeof bound));
    else if (value > variable->high)
        snprintf(out, size, "%s is above its highest value %s", found,
                 real_text(variable->high, bound, sizeof bound));
    else if (variable->kind == VARIABLE_INT && value != floor(value))
        snprintf(out, size, "%s is not an integer", found);
    else if (discrete(variable) &&
             fabs(value - variable_snap(variable, value)) > 1e-9 * fmax(variable->step, fabs(value)))
        snprintf(out, size, "%s is not on a step; the nearest is %s", found,
                 real_text(variable_snap(variable, value), bound, sizeof bound));
    else
        return NULL;
    return out;
}

/* The choice that `node` names: by text, or two numbers by value (1 and 1.0). -1: none. */
static int choice_find(const struct variable *variable, const struct node *node) {
    enum document_kind kind = node_kind(node);
    bool number = kind == DOCUMENT_INT || kind == DOCUMENT_REAL;
    const char *text = kind == DOCUMENT_BOOL ? (node_bool(node) ? "true" : "false") : node_text(node);
    for (unsigned i = 0; i < variable->choice_count; i++) {
        double value;
        if (text && strcmp(variable->choices[i], text) == 0)
            return (int)i;
        if (number && choice_number(variable, i, &value) && value == node_real(node))
            return (int)i;
    }
    return -1;
}

enum troupe_error variable_read(const struct variable *variable, const struct node *node, double *ret_value,
                                struct fault *fault) {
    char text[200];
    enum document_kind kind = node_kind(node);
    if (variable->kind == VARIABLE_CHOICE) {
        if (kind == DOCUMENT_NULL || kind == DOCUMENT_LIST || kind == DOCUMENT_MAP)
            return node_fault(node, fault, TROUPE_INVALID, "expected one of the choices of '%s', found %s",
                              variable->name, node_kind_name(node));
        int choice = choice_find(variable, node);
        if (choice < 0) {
            const char *nearest = text_nearest(node_text(node), variable->choices, variable->choice_count);
            return node_fault(node, fault, TROUPE_INVALID, "'%s' is not a choice of '%s'; %s'%s'",
                              node_text(node), variable->name,
                              nearest ? "did you mean " : "the first choice is ",
                              nearest ? nearest : variable->choices[0]);
        }
        *ret_value = choice;
        return TROUPE_OK;
    }
    if (kind != DOCUMENT_INT && kind != DOCUMENT_REAL)
        return node_fault(node, fault, TROUPE_INVALID, "expected %s for '%s', found %s",
                          variable->kind == VARIABLE_INT ? "an integer" : "a number", variable->name,
                          node_kind_name(node));
    if (variable_objection(variable, node_real(node), text, sizeof text))
        return node_fault(node, fault, TROUPE_INVALID, "'%s': %s", variable->name, text);
    *ret_value = variable_snap(variable, node_real(node));
    return TROUPE_OK;
}

/* The smallest power of ten that makes low and step integral, so that steps print as written; 0: none. */
static double decimal_scale(double low, double step) {
    for (double scale = 1; scale <= 1e12; scale *= 10) {
        double a = low * scale, b = step * scale;
        if (fabs(a - round(a)) <= 1e-9 * fmax(1, fabs(a)) && fabs(b - round(b)) <= 1e-9 * fmax(1, fabs(b)) &&
            round(b) >= 1 && fabs(a) < INTEGRAL_MAX)
            return scale;
    }
    return 0;
}

static enum troupe_error int_check(const struct variable *variable, const struct place *place,
                                   struct fault *fault) {
    if (variable->low != floor(variable->low) || variable->high != floor(variable->high))
        return place_fault(place, fault, TROUPE_INVALID,
                           "'%s': the bounds %g and %g of an int must be integers", variable->name,
                           variable->low, variable->high);
    if (fabs(variable->low) > INTEGRAL_MAX || fabs(variable->high) > INTEGRAL_MAX)
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the bounds of an int must be within +-2^53",
                           variable->name);
    if (variable->step != floor(variable->step))
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the step %g of an int must be an integer",
                           variable->name, variable->step);
    return TROUPE_OK;
}

enum troupe_error variable_finish_range(struct variable *variable, const struct place *place,
                                        struct fault *fault) {
    double low = variable->low, high = variable->high;
    if (!isfinite(low) || !isfinite(high))
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the bounds %g and %g must be finite",
                           variable->name, low, high);
    if (low > high)
        return place_fault(place, fault, TROUPE_INVALID,
                           "'%s': the bounds are reversed: low %g is above high %g", variable->name, low,
                           high);
    if (!isfinite(high - low))
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the range from %g to %g is too wide",
                           variable->name, low, high);
    if (variable->step < 0 || isnan(variable->step) || isinf(variable->step))
        return place_fault(place, fault, TROUPE_INVALID, "'%s': the step %g must be positive", variable->name,
                           variable->step);
    if (variable->log && low <= 0)
        return place_fault(place, fault, TROUPE_INVALID, "'%s': a log scale needs a low above 0, found %g",
                           variable->name, low);
    if (variable->log && variable->step > 0 && !(variable->kind == VARIABLE_INT && variable->step == 1))
        return place_fault(place, fault, TROUPE_INVALID,
                           "'%s': a step and a log scale exclude each other; leave one out", variable->name);
    if (variable->kind == VARIABLE_INT) {
        if (variable->step == 0)
            variable->step = 1;
        enum troupe_error error = int_check(variable, place, fault);
        if (error)
            return error;
    }
    if (low == high) {
        variable->levels = 1;
        variable->step = variable->kind == VARIABLE_INT ? variable->step : 0;
    } else if (variable->step == 0) {
        variable->levels = INFINITY;
    } else {
        variable->levels = floor((high - low) / variable->step * (1 + 1e-12) + 1e-9) + 1;
        if (variable->levels > INTEGRAL_MAX)
            return place_fault(place, fault, TROUPE_INVALID, "'%s': the step %g is too fine for %g to %g",
                               variable->name, variable->step, low, high);
        variable->scale = variable->kind == VARIABLE_FLOAT ? decimal_scale(low, variable->step) : 0;
    }
    return TROUPE_OK;
}
