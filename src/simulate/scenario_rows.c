/* scenario_rows: what a scenario says about itself: its overlays, the rows it expects, which parameters are assumed;
 * and the comparison of a row with what came out. See scenario.c. */
#include "simulate/scenario_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PARAMETERS_MAX 4000

const struct scenario_figure_row scenario_figure_table[SCENARIO_FIGURE_COUNT] = {
    [SCENARIO_MEAN] = {"mean", SCENARIO_TIME_NS},      [SCENARIO_P50] = {"p50", SCENARIO_TIME_NS},
    [SCENARIO_P95] = {"p95", SCENARIO_TIME_NS},        [SCENARIO_P99] = {"p99", SCENARIO_TIME_NS},
    [SCENARIO_ERRORS] = {"errors", SCENARIO_PERCENT},  [SCENARIO_THROUGHPUT] = {"throughput", SCENARIO_RATE},
    [SCENARIO_CAPACITY] = {"capacity", SCENARIO_RATE},
};

/* ---- overlays ---- */

enum troupe_error scenario_read_overlays(struct scenario *scenario, const struct node *map,
                                         struct fault *fault) {
    static const char *const keys[] = {"set", "note"};
    enum troupe_error error = scenario_read_map(map, "overlays", SCENARIO_OVERLAYS_MAX, fault);
    for (size_t i = 0; i < node_count(map) && error == TROUPE_OK; i++) {
        struct scenario_overlay *overlay = &scenario->overlays[scenario->overlay_count++];
        const struct node *node = node_at(map, i);
        *overlay = (struct scenario_overlay){.name = node_key_at(map, i), .set = "", .note = ""};
        error = scenario_read_name(map, i, "an overlay", fault);
        if (error == TROUPE_OK && node_kind(node) == DOCUMENT_MAP) {
            error = node_check_keys(node, keys, ARRAY_COUNT(keys), fault);
            if (error == TROUPE_OK)
                error = node_read_string(node_get(node, "set"), &overlay->set, fault);
            if (error == TROUPE_OK)
                error = node_read_string(node_get(node, "note"), &overlay->note, fault);
        } else if (error == TROUPE_OK && node_kind(node) == DOCUMENT_STRING) {
            error = node_read_string(node, &overlay->set, fault);
        } else if (error == TROUPE_OK) {
            error = node_fault(node, fault, TROUPE_INVALID,
                               "expected 'PATH=VALUE; PATH=VALUE' or {set: ..., note: ...}, found %s",
                               FOUND(node));
        }
    }
    return error;
}

int scenario_overlay_find(const struct scenario *scenario, const char *name) {
    for (size_t i = 0; i < scenario->overlay_count; i++)
        if (strcmp(scenario->overlays[i].name, name) == 0)
            return (int)i;
    return -1;
}

enum troupe_error scenario_no_overlay(const struct scenario *scenario, const char *where, const char *name,
                                      struct fault *fault) {
    const char *names[SCENARIO_OVERLAYS_MAX];
    for (size_t i = 0; i < scenario->overlay_count; i++)
        names[i] = scenario->overlays[i].name;
    const char *near = text_nearest(name, names, scenario->overlay_count);
    return fault_set(fault, TROUPE_USAGE, where, "the scenario has no overlay '%.80s'%s%s%s", name,
                     near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                     near != NULL ? "'?" : "");
}

/* ---- expected rows ---- */

static enum troupe_error read_value(const struct node *node, enum scenario_unit unit, double *ret,
                                    struct fault *fault) {
    int64_t ns = 0;
    enum troupe_error error = TROUPE_OK;
    switch (unit) {
    case SCENARIO_TIME_NS:
        error = node_read_duration(node, &ns, fault);
        *ret = (double)ns;
        return error;
    case SCENARIO_RATE:
        return scenario_read_rate(node, ret, fault);
    case SCENARIO_PERCENT:
    default:
        return node_read_real(node, ret, fault);
    }
}

/* One value, or [LOW, HIGH]. */
static enum troupe_error read_expectation(const struct node *node, enum scenario_unit unit, bool change,
                                          struct scenario_expectation *ret, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    *ret = (struct scenario_expectation){.given = true, .change = change};
    if (node_kind(node) != DOCUMENT_LIST) {
        enum troupe_error error = read_value(node, unit, &ret->low, fault);
        ret->high = ret->low;
        return error;
    }
    if (node_count(node) != 2)
        return node_fault(node, fault, TROUPE_INVALID, "expected one value or [LOW, HIGH], found %s",
                          FOUND(node));
    enum troupe_error error = read_value(node_at(node, 0), unit, &ret->low, fault);
    if (error == TROUPE_OK)
        error = read_value(node_at(node, 1), unit, &ret->high, fault);
    if (error == TROUPE_OK && ret->high < ret->low)
        error = node_fault(node_at(node, 1), fault, TROUPE_INVALID, "the high end is below the low one");
    return error;
}

static enum troupe_error read_row_overlays(struct scenario *scenario, const struct node *list,
                                           struct scenario_row *row, struct fault *fault) {
    if (list == NULL)
        return TROUPE_OK;
    if (node_kind(list) != DOCUMENT_LIST || node_count(list) > SCENARIO_OVERLAYS_MAX)
        return node_fault(list, fault, TROUPE_INVALID, "expected a list of at most %d overlays, found %s",
                          SCENARIO_OVERLAYS_MAX, FOUND(list));
    for (size_t i = 0; i < node_count(list); i++) {
        const char *name = node_text(node_at(list, i));
        struct fault inner = {0};
        if (name == NULL || scenario_overlay_find(scenario, name) < 0) {
            IGNORE(scenario_no_overlay(scenario, "", name != NULL ? name : "", &inner), "its text is wanted");
            return node_fault(node_at(list, i), fault, TROUPE_INVALID, "%s", inner.text);
        }
        row->overlays[row->overlay_count++] = name;
    }
    return TROUPE_OK;
}

static enum troupe_error read_row(struct scenario *scenario, const struct node *map, struct scenario_row *row,
                                  struct fault *fault) {
    static const char *const keys[] = {"row",
                                       "note",
                                       "overlays",
                                       "within",
                                       "points",
                                       "mean",
                                       "p50",
                                       "p95",
                                       "p99",
                                       "errors",
                                       "throughput",
                                       "capacity",
                                       "mean_change",
                                       "p50_change",
                                       "p95_change",
                                       "p99_change",
                                       "errors_change",
                                       "throughput_change",
                                       "capacity_change"};
    char key[32];
    unsigned given = 0;
    row->name = row->note = "";
    row->within = 5;
    row->points = 0.3;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(map, "row"), &row->name, fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(map, "note"), &row->note, fault);
    if (error == TROUPE_OK)
        error = scenario_read_factor(node_get(map, "within"), &row->within, fault);
    if (error == TROUPE_OK)
        error = scenario_read_factor(node_get(map, "points"), &row->points, fault);
    if (error == TROUPE_OK)
        error = read_row_overlays(scenario, node_get(map, "overlays"), row, fault);
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT && error == TROUPE_OK; f++) {
        const struct scenario_figure_row *figure = &scenario_figure_table[f];
        error = read_expectation(node_get(map, figure->name), figure->unit, false, &row->figures[f], fault);
        (void)snprintf(key, sizeof key, "%s_change", figure->name);
        if (error == TROUPE_OK)
            error = read_expectation(node_get(map, key), SCENARIO_PERCENT, true, &row->changes[f], fault);
        given += row->figures[f].given + row->changes[f].given;
    }
    if (error == TROUPE_OK && given == 0)
        error = node_fault(map, fault, TROUPE_INVALID, "the row expects nothing: name a figure, such as p95");
    return error;
}

enum troupe_error scenario_read_rows(struct scenario *scenario, const struct node *list,
                                     struct fault *fault) {
    enum troupe_error error = TROUPE_OK;
    if (list == NULL)
        return TROUPE_OK;
    if (node_kind(list) != DOCUMENT_LIST)
        return node_fault(list, fault, TROUPE_INVALID, "expected a list of rows, found %s", FOUND(list));
    if (node_count(list) > SCENARIO_ROWS_MAX)
        return node_fault(list, fault, TROUPE_LIMIT, "%zu rows, at most %d", node_count(list),
                          SCENARIO_ROWS_MAX);
    scenario->rows = ARENA_ARRAY(&scenario->arena, struct scenario_row, node_count(list) + 1);
    if (scenario->rows == NULL)
        return node_fault(list, fault, TROUPE_NOMEM, "out of memory");
    for (size_t i = 0; i < node_count(list) && error == TROUPE_OK; i++)
        error = read_row(scenario, node_at(list, i), &scenario->rows[scenario->row_count++], fault);
    return error;
}

void scenario_compare(const struct scenario_row *row, enum scenario_figure figure, bool change,
                      const struct scenario_result *result, const struct scenario_result *base,
                      struct scenario_verdict *ret) {
    const struct scenario_expectation *expected = change ? &row->changes[figure] : &row->figures[figure];
    bool points = change || scenario_figure_table[figure].unit == SCENARIO_PERCENT;
    double ours = result->figures[figure].value;
    *ret =
        (struct scenario_verdict){.checked = expected->given && (!change || base != NULL), .change = change};
    if (!ret->checked)
        return;
    if (change)
        ours = 100 * (ours / base->figures[figure].value - 1);
    double nearest = ours < expected->low ? expected->low : ours > expected->high ? expected->high : ours;
    ret->expected_low = expected->low;
    ret->expected_high = expected->high;
    ret->ours = ours;
    ret->tolerance = points ? row->points : row->within;
    ret->difference = points ? ours - nearest : nearest != 0 ? 100 * (ours / nearest - 1) : 0;
    ret->good = isfinite(ret->difference) && fabs(ret->difference) <= ret->tolerance;
}

/* ---- parameters ---- */

struct listing {
    struct scenario *scenario;
    const struct node *assumed;
    bool used[PARAMETERS_MAX]; /* by entry of `assumed` */
    struct fault *fault;
};

/* Is `path` the one named, or within it? */
static bool covers(const char *name, const char *path) {
    size_t length = strlen(name);
    return strncmp(name, path, length) == 0 &&
           (path[length] == '\0' || path[length] == '.' || path[length] == '[');
}

static enum scenario_origin origin_of(struct listing *listing, const struct node *node, const char *path) {
    enum scenario_origin origin = SCENARIO_GIVEN;
    for (size_t i = 0; i < node_count(listing->assumed); i++) {
        const char *name = node_text(node_at(listing->assumed, i));
        if (name != NULL && covers(name, path)) {
            listing->used[i] = true;
            origin = SCENARIO_ASSUMED;
        }
    }
    return node_line(node) == 0 ? SCENARIO_CHANGED : origin;
}

static bool is_plain_list(const struct node *node) {
    for (size_t i = 0; i < node_count(node); i++)
        if (node_text(node_at(node, i)) == NULL)
            return false;
    return node_kind(node) == DOCUMENT_LIST;
}

static enum troupe_error add_parameter(struct listing *listing, const struct node *node) {
    struct scenario *scenario = listing->scenario;
    struct scenario_parameter *parameter = &scenario->parameters[scenario->parameter_count];
    char path[400], text[120];
    size_t used = 0;
    node_path(node, path, sizeof path);
    if (scenario->parameter_count == PARAMETERS_MAX)
        return node_fault(node, listing->fault, TROUPE_LIMIT, "more than %d parameters", PARAMETERS_MAX);
    if (node_kind(node) != DOCUMENT_LIST) {
        (void)snprintf(text, sizeof text, "%s", node_text(node));
    } else {
        used = (size_t)snprintf(text, sizeof text, "[");
        for (size_t i = 0; i < node_count(node) && used + 30 < sizeof text; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.20s", i > 0 ? ", " : "",
                                     node_text(node_at(node, i)));
        (void)snprintf(text + used, sizeof text - used, used + 30 < sizeof text ? "]" : ", ...]");
    }
    text_make_printable(text);
    parameter->path = arena_copy(&scenario->arena, path, strlen(path));
    parameter->text = arena_copy(&scenario->arena, text, strlen(text));
    if (parameter->path == NULL || parameter->text == NULL)
        return node_fault(node, listing->fault, TROUPE_NOMEM, "out of memory");
    parameter->origin = origin_of(listing, node, path);
    scenario->parameter_count++;
    return TROUPE_OK;
}

static enum troupe_error list_parameters(struct listing *listing, const struct node *node) {
    enum troupe_error error = TROUPE_OK;
    if (node == NULL)
        return TROUPE_OK;
    if (node_text(node) != NULL || is_plain_list(node))
        return add_parameter(listing, node);
    for (size_t i = 0; i < node_count(node) && error == TROUPE_OK; i++)
        error = list_parameters(listing, node_at(node, i));
    return error;
}

static enum troupe_error check_assumed(struct listing *listing) {
    const struct scenario *scenario = listing->scenario;
    for (size_t i = 0; i < node_count(listing->assumed); i++) {
        const struct node *node = node_at(listing->assumed, i);
        const char *names[PARAMETERS_MAX], *text = node_text(node);
        if (listing->used[i])
            continue;
        for (size_t k = 0; k < scenario->parameter_count; k++)
            names[k] = scenario->parameters[k].path;
        const char *near = text != NULL ? text_nearest(text, names, scenario->parameter_count) : NULL;
        return node_fault(node, listing->fault, TROUPE_INVALID, "there is no value at %s%s%s%s", FOUND(node),
                          near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                          near != NULL ? "'?" : "");
    }
    return TROUPE_OK;
}

enum troupe_error scenario_read_parameters(struct scenario *scenario, const struct node *root,
                                           struct fault *fault) {
    static const char *const sections[] = {"arrivals",  "duration", "requests", "timeout", "cores",
                                           "lognormal", "stations", "teams",    "stages",  "route"};
    struct listing listing = {.scenario = scenario, .assumed = node_get(root, "assumed"), .fault = fault};
    if (listing.assumed != NULL &&
        (node_kind(listing.assumed) != DOCUMENT_LIST || node_count(listing.assumed) > PARAMETERS_MAX))
        return node_fault(listing.assumed, fault, TROUPE_INVALID, "expected a list of paths, found %s",
                          FOUND(listing.assumed));
    scenario->parameters = ARENA_ARRAY(&scenario->arena, struct scenario_parameter, PARAMETERS_MAX);
    if (scenario->parameters == NULL)
        return node_fault(root, fault, TROUPE_NOMEM, "out of memory");
    enum troupe_error error = TROUPE_OK;
    for (size_t i = 0; i < ARRAY_COUNT(sections) && error == TROUPE_OK; i++)
        error = list_parameters(&listing, node_get(root, sections[i]));
    return error == TROUPE_OK ? check_assumed(&listing) : error;
}
