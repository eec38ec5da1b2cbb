/* scenario: a scenario file into struct scenario. Every value is checked where it stands, so that a message can name
 * file:line:column and path; overlays and settings are laid over the document before it is read, so they are checked
 * in the same way. The sections are read by scenario_stations.c, scenario_stages.c and scenario_rows.c.
 * Threads: any one. Memory: the scenario's arena; texts are the document's. */
#include "simulate/scenario_private.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIGMA_MAX 5.0

/* ---- shared readers ---- */

enum troupe_error scenario_read_name(const struct node *map, size_t index, const char *what,
                                     struct fault *fault) {
    const char *name = node_key_at(map, index);
    size_t length = strlen(name);
    bool good = length > 0 && length <= 63 && !isdigit((unsigned char)name[0]);
    for (size_t i = 0; i < length && good; i++)
        good = isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == '-';
    return good ? TROUPE_OK
                : node_fault(node_at(map, index), fault, TROUPE_INVALID,
                             "'%.80s' is no name for %s: expected 1 to 63 letters, digits, '_' or '-', no "
                             "digit first",
                             name, what);
}

static enum troupe_error read_real_in(const struct node *node, double low, double high, double *ret,
                                      struct fault *fault) {
    double value = *ret;
    enum troupe_error error = node_read_real(node, &value, fault);
    if (error == TROUPE_OK && node != NULL && (value < low || value > high))
        error = node_fault(node, fault, TROUPE_INVALID, "expected a number from %g to %g, found %s", low,
                           high, FOUND(node));
    if (error == TROUPE_OK)
        *ret = value;
    return error;
}

enum troupe_error scenario_read_fraction(const struct node *node, double *ret, struct fault *fault) {
    return read_real_in(node, 0, 1, ret, fault);
}

enum troupe_error scenario_read_factor(const struct node *node, double *ret, struct fault *fault) {
    return read_real_in(node, 0, 1e6, ret, fault);
}

enum troupe_error scenario_read_rate(const struct node *node, double *ret, struct fault *fault) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"", 1}};
    char number[64];
    double rate = 0;
    const char *text = node_text(node), *slash = text != NULL ? strchr(text, '/') : NULL;
    if (node == NULL)
        return TROUPE_OK;
    size_t length = text == NULL ? 0 : slash != NULL ? (size_t)(slash - text) : strlen(text);
    const char *unit = slash != NULL ? slash + 1 : "";
    while (length > 0 && text[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < ARRAY_COUNT(units) && length > 0 && length < sizeof number; i++) {
        memcpy(number, text, length);
        number[length] = '\0';
        if (strcmp(unit + strspn(unit, " "), units[i].unit) != 0 || text_real(number, &rate) != TROUPE_OK ||
            !isfinite(rate) || rate < 1e-6 || rate > 1e6 || (slash != NULL && units[i].unit[0] == '\0'))
            continue;
        *ret = rate / units[i].seconds;
        return TROUPE_OK;
    }
    return node_fault(
        node, fault, TROUPE_INVALID,
        "expected a rate such as 100/s, 12/min or 30/h (a number alone is a second's), found %s",
        FOUND(node));
}

enum troupe_error scenario_read_map(const struct node *node, const char *what, size_t count_max,
                                    struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    if (node_kind(node) != DOCUMENT_MAP)
        return node_fault(node, fault, TROUPE_INVALID, "expected a map of %s, found %s", what, FOUND(node));
    if (node_count(node) > count_max)
        return node_fault(node, fault, TROUPE_LIMIT, "%zu %s, at most %zu", node_count(node), what,
                          count_max);
    return TROUPE_OK;
}

enum troupe_error scenario_stage_of(const struct scenario *scenario, const struct node *node, unsigned *ret,
                                    struct fault *fault) {
    const char *names[SCENARIO_STAGES_MAX], *text = node_text(node);
    for (unsigned i = 0; i < scenario->stage_count; i++) {
        names[i] = scenario->stages[i].name;
        if (text != NULL && strcmp(names[i], text) == 0) {
            *ret = i;
            return TROUPE_OK;
        }
    }
    const char *near = text != NULL ? text_nearest(text, names, scenario->stage_count) : NULL;
    return node_fault(node, fault, TROUPE_INVALID, "expected the name of a stage, found %s%s%s%s",
                      FOUND(node), near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                      near != NULL ? "'?" : "");
}

/* ---- overlays and settings ---- */

static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    for (size_t length = strlen(text); length > 0 && isspace((unsigned char)text[length - 1]);)
        text[--length] = '\0';
    return text;
}

/* One PATH=VALUE; `text` is written to. */
static enum troupe_error apply_one(struct scenario *scenario, char *text, const char *where,
                                   struct fault *fault) {
    struct fault inner = {0};
    struct document *changed = NULL;
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return fault_set(fault, TROUPE_USAGE, where, "expected PATH=VALUE, found '%.200s'", text);
    *equals = '\0';
    enum troupe_error error =
        document_with(scenario->document, trim(text), trim(equals + 1), &changed, &inner);
    if (error != TROUPE_OK)
        return fault_set(fault, error, where, "%s", inner.text);
    document_free(scenario->document);
    scenario->document = changed;
    return TROUPE_OK;
}

/* Settings between semicolons. */
static enum troupe_error apply_line(struct scenario *scenario, const char *line, const char *where,
                                    struct fault *fault) {
    enum troupe_error error = TROUPE_OK;
    char *copy = arena_copy(&scenario->arena, line, strlen(line)), *next = NULL;
    if (copy == NULL)
        return fault_set(fault, TROUPE_NOMEM, where, "out of memory");
    for (char *at = copy; at != NULL && error == TROUPE_OK; at = next) {
        next = strchr(at, ';');
        if (next != NULL)
            *next++ = '\0';
        at = trim(at);
        if (*at != '\0')
            error = apply_one(scenario, at, where, fault);
    }
    return error;
}

static enum troupe_error apply_overlay(struct scenario *scenario, const char *name, struct fault *fault) {
    char where[128];
    scenario->overlay_count = 0;
    enum troupe_error error =
        scenario_read_overlays(scenario, node_get(document_root(scenario->document), "overlays"), fault);
    if (error != TROUPE_OK)
        return error;
    int found = scenario_overlay_find(scenario, name);
    if (found < 0)
        return scenario_no_overlay(scenario, "--overlay", name, fault);
    (void)snprintf(where, sizeof where, "overlay %.80s", name);
    return apply_line(scenario, scenario->overlays[found].set, where, fault);
}

enum troupe_error scenario_apply(struct scenario *scenario, const struct scenario_change *change,
                                 struct fault *fault) {
    enum troupe_error error = TROUPE_OK;
    for (size_t i = 0; i < change->overlay_count && error == TROUPE_OK; i++)
        error = apply_overlay(scenario, change->overlays[i], fault);
    for (size_t i = 0; i < change->set_count && error == TROUPE_OK; i++) {
        char *copy = arena_copy(&scenario->arena, change->sets[i], strlen(change->sets[i]));
        error = copy != NULL ? apply_one(scenario, copy, "--set", fault)
                             : fault_set(fault, TROUPE_NOMEM, "--set", "out of memory");
    }
    return error;
}

/* ---- arrivals ---- */

static enum troupe_error missing(const struct node *map, const char *kind, const char *key,
                                 struct fault *fault) {
    return node_fault(map, fault, TROUPE_INVALID, "arrivals of kind %s need `%s:`", kind, key);
}

static enum troupe_error check_bursts(const struct node *map, const struct scenario_arrivals *arrivals,
                                      struct fault *fault) {
    if (arrivals->burst == 0)
        return missing(map, "bursts", "requests", fault);
    if (arrivals->every_ns == 0)
        return missing(map, "bursts", "every", fault);
    if (arrivals->within_ns > arrivals->every_ns)
        return node_fault(node_get(map, "within"), fault, TROUPE_INVALID,
                          "a burst is longer than the time to the next one");
    return TROUPE_OK;
}

static enum troupe_error read_arrivals(struct scenario *scenario, const struct node *map,
                                       struct fault *fault) {
    static const char *const keys[] = {"kind", "rate", "requests", "every", "within", "clients"};
    static const char *const kinds[] = {"constant", "poisson", "bursts", "closed"};
    struct scenario_arrivals *arrivals = &scenario->arrivals;
    const char *kind = NULL;
    int64_t burst = 0, every = 0, within = 0, clients = 1;
    enum troupe_error error = node_check_keys(map, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(map, "kind"), &kind, fault);
    if (error == TROUPE_OK && (map == NULL || kind == NULL))
        error = node_fault(map != NULL ? map : document_root(scenario->document), fault, TROUPE_INVALID,
                           "expected `arrivals: {kind: constant | poisson | bursts | closed, ...}`");
    if (error == TROUPE_OK)
        error = scenario_read_rate(node_get(map, "rate"), &arrivals->rate, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "requests"), 1, SCENARIO_BURST_MAX, &burst, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(map, "every"), &every, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(map, "within"), &within, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(map, "clients"), 1, 100000, &clients, fault);
    if (error != TROUPE_OK)
        return error;
    arrivals->burst = (unsigned)burst;
    arrivals->every_ns = (uint64_t)every;
    arrivals->within_ns = (uint64_t)within;
    arrivals->clients = (unsigned)clients;
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(kind, kinds[i]) != 0)
            continue;
        arrivals->kind = (enum arrival_kind)i;
        if (i == ARRIVE_BURSTS)
            return check_bursts(map, arrivals, fault);
        return i != ARRIVE_CLOSED && arrivals->rate <= 0 ? missing(map, kind, "rate", fault) : TROUPE_OK;
    }
    const char *near = text_nearest(kind, kinds, ARRAY_COUNT(kinds));
    return node_fault(node_get(map, "kind"), fault, TROUPE_INVALID,
                      "unknown kind '%.60s': expected constant, poisson, bursts or closed%s%s%s", kind,
                      near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                      near != NULL ? "'?" : "");
}

/* ---- the whole ---- */

static enum troupe_error read_scalars(struct scenario *scenario, const struct node *root,
                                      struct fault *fault) {
    static const char *const keys[] = {"sigma", "shared"};
    const struct node *lognormal = node_get(root, "lognormal");
    int64_t duration = 0, requests = 0, timeout = 0, cores = 0;
    scenario->sigma = -1;
    scenario->name = "scenario";
    scenario->about = "";
    enum troupe_error error = node_read_string(node_get(root, "name"), &scenario->name, fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(root, "about"), &scenario->about, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(root, "duration"), &duration, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(root, "requests"), 1, SCENARIO_REQUESTS_MAX, &requests, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(root, "timeout"), &timeout, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(root, "cores"), 1, 1024, &cores, fault);
    if (error == TROUPE_OK)
        error = node_check_keys(lognormal, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && node_get(lognormal, "sigma") != NULL)
        error = read_real_in(node_get(lognormal, "sigma"), 0, SIGMA_MAX, &scenario->sigma, fault);
    if (error == TROUPE_OK)
        error = scenario_read_fraction(node_get(lognormal, "shared"), &scenario->shared, fault);
    if (error != TROUPE_OK)
        return error;
    if (duration == 0 && requests == 0)
        return node_fault(root, fault, TROUPE_INVALID, "expected `duration:` or `requests:` or both");
    if ((uint64_t)duration > SCENARIO_TIME_MAX_NS / 2)
        return node_fault(node_get(root, "duration"), fault, TROUPE_INVALID, "expected at most 98 days");
    scenario->duration_ns = (uint64_t)duration;
    scenario->requests = (uint64_t)requests;
    scenario->timeout_ns = (uint64_t)timeout;
    scenario->cores = (unsigned)cores;
    return TROUPE_OK;
}

static enum troupe_error read_all(struct scenario *scenario, struct fault *fault) {
    static const char *const keys[] = {"name",  "about",    "arrivals", "duration", "requests",
                                       "cores", "timeout",  "stations", "teams",    "stages",
                                       "route", "overlays", "assumed",  "expect",   "lognormal"};
    const struct node *root = document_root(scenario->document);
    if (node_kind(root) != DOCUMENT_MAP)
        return node_fault(root, fault, TROUPE_INVALID,
                          "expected a scenario: a map with arrivals, stages and route, found %s",
                          FOUND(root));
    enum troupe_error error = node_check_keys(root, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = read_scalars(scenario, root, fault);
    if (error == TROUPE_OK)
        error = read_arrivals(scenario, node_get(root, "arrivals"), fault);
    if (error == TROUPE_OK)
        error = scenario_read_stations(scenario, node_get(root, "stations"), fault);
    if (error == TROUPE_OK)
        error = scenario_read_stages(scenario, root, fault);
    if (error == TROUPE_OK)
        error = scenario_read_teams(scenario, node_get(root, "teams"), fault);
    scenario->overlay_count = 0;
    if (error == TROUPE_OK)
        error = scenario_read_overlays(scenario, node_get(root, "overlays"), fault);
    if (error == TROUPE_OK)
        error = scenario_read_rows(scenario, node_get(root, "expect"), fault);
    return error == TROUPE_OK ? scenario_read_parameters(scenario, root, fault) : error;
}

enum troupe_error scenario_parse(struct account *account, const char *text, size_t length, const char *source,
                                 const struct scenario_change *change, struct scenario **ret_scenario,
                                 struct fault *fault) {
    static const struct scenario_change nothing = {0};
    const struct document_limits limits = {.bytes_max = 4 << 20, .nodes_max = 200000};
    struct scenario *scenario = memory_alloc(account, sizeof *scenario);
    if (scenario == NULL)
        return fault_set(fault, TROUPE_NOMEM, source, "out of memory reading the scenario");
    scenario->account = account;
    arena_init(&scenario->arena, account);
    scenario->source = arena_copy(&scenario->arena, source, strlen(source));
    enum troupe_error error = scenario->source != NULL ? TROUPE_OK
                                                       : fault_set(fault, TROUPE_NOMEM, source,
                                                                   "out of memory reading the scenario");
    if (error == TROUPE_OK)
        error = document_parse_yaml(text, length, scenario->source, &limits, &scenario->document, fault);
    if (error == TROUPE_OK)
        error = scenario_apply(scenario, change != NULL ? change : &nothing, fault);
    if (error == TROUPE_OK)
        error = read_all(scenario, fault);
    if (error != TROUPE_OK) {
        scenario_free(scenario);
        return error;
    }
    *ret_scenario = scenario;
    return TROUPE_OK;
}

enum troupe_error scenario_load(struct env *env, struct account *account, const char *path,
                                const struct scenario_change *change, struct scenario **ret_scenario,
                                struct fault *fault) {
    struct buffer text;
    buffer_init(&text, account, 4 << 20);
    enum troupe_error error = env_read_file(env, path, &text, fault);
    if (error == TROUPE_OK)
        error = scenario_parse(account, buffer_string(&text), text.length, path, change, ret_scenario, fault);
    buffer_free(&text);
    return error;
}

void scenario_free(struct scenario *scenario) {
    if (scenario == NULL)
        return;
    document_free(scenario->document);
    arena_free(&scenario->arena);
    memory_free(scenario->account, scenario);
}

const char *scenario_name(const struct scenario *scenario) {
    return scenario->name;
}

const char *scenario_about(const struct scenario *scenario) {
    return scenario->about;
}

const struct scenario_parameter *scenario_parameters(const struct scenario *scenario, size_t *ret_count) {
    *ret_count = scenario->parameter_count;
    return scenario->parameters;
}

const struct scenario_overlay *scenario_overlays(const struct scenario *scenario, size_t *ret_count) {
    *ret_count = scenario->overlay_count;
    return scenario->overlays;
}

const struct scenario_row *scenario_rows(const struct scenario *scenario, size_t *ret_count) {
    *ret_count = scenario->row_count;
    return scenario->rows;
}
