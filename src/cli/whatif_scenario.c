/* whatif_scenario: see whatif_scenario.h. */
#include "cli/whatif_scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLICATIONS 8
#define REPLICATIONS_REAL 3
#define REAL_WITHIN 5.0 /* percent, at p50 and p95 */

bool whatif_is_scenario(struct session *session, const char *word) {
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    struct env_info info = {0};
    if (word == NULL)
        return false;
    size_t length = strlen(word);
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++) {
        size_t end = strlen(endings[i]);
        if (length > end && strcmp(word + length - end, endings[i]) == 0)
            return true;
    }
    return strchr(word, '/') != NULL && env_info(session->env, word, &info) == TROUPE_OK && info.exists &&
           !info.directory;
}

enum troupe_error whatif_without_scenario(const struct scenario_values *values, struct fault *fault) {
    const char *option = values->overlays.count > 0 ? "--overlay"
                         : values->each             ? "--each"
                         : values->steps            ? "--steps"
                         : values->check            ? "--check"
                         : values->real             ? "--real"
                         : values->scale > 0        ? "--scale"
                         : values->seconds > 0      ? "--seconds"
                                                    : NULL;
    return option == NULL ? TROUPE_OK
                          : fault_set(fault, TROUPE_USAGE, option,
                                      "is for a scenario file, such as scenarios/seed-registry.yaml");
}

static enum troupe_error load(struct session *session, const struct scenario_call *call,
                              const struct option_list *overlays, struct scenario **ret,
                              struct fault *fault) {
    struct scenario_change change = {.overlays = overlays->texts,
                                     .overlay_count = overlays->count,
                                     .sets = call->sets->texts,
                                     .set_count = call->sets->count};
    return scenario_load(session->env, session->account, call->path, &change, ret, fault);
}

static struct scenario_request request_of(const struct scenario_call *call, const struct scenario *scenario) {
    return (struct scenario_request){.scenario = scenario,
                                     .seed = call->seed,
                                     .replications =
                                         call->replications > 0 ? call->replications : REPLICATIONS};
}

static void case_free(struct scenario_case *one) {
    scenario_result_free(&one->result);
    scenario_free(one->scenario);
    *one = (struct scenario_case){0};
}

/* Loads and simulates one variant. */
static enum troupe_error make(struct session *session, const struct scenario_call *call,
                              const struct option_list *overlays, struct scenario_case *ret,
                              struct fault *fault) {
    struct scenario_case made = {.name = "", .note = ""};
    enum troupe_error error = load(session, call, overlays, &made.scenario, fault);
    if (error == TROUPE_OK) {
        struct scenario_request request = request_of(call, made.scenario);
        error = scenario_simulate(&request, session->account, &made.result, fault);
    }
    if (error == TROUPE_OK)
        *ret = made;
    else
        case_free(&made);
    return error;
}

static void json_begin(struct json *json, struct buffer *out, const struct scenario *scenario,
                       const struct scenario_call *call) {
    json_init(json, out);
    json_object_begin(json);
    json_field_string(json, "scenario", scenario_name(scenario));
    json_field_string(json, "file", call->path);
    json_field_int(json, "seed", (int64_t)call->seed);
}

static void json_end(struct json *json, const struct scenario *scenario) {
    scenario_json_parameters(scenario, json);
    json_object_end(json);
    buffer_text(json->out, "\n");
}

/* ---- one variant, beside the file as it is ---- */

static enum troupe_error show(struct session *session, const struct scenario_call *call, struct buffer *out,
                              struct fault *fault) {
    static const struct option_list none = {0};
    struct scenario_call plain = *call;
    struct scenario_case one = {0}, base = {0};
    bool changed = call->values->overlays.count + call->sets->count > 0;
    struct json json;
    plain.sets = &none;
    enum troupe_error error = make(session, call, &call->values->overlays, &one, fault);
    if (error == TROUPE_OK && changed)
        error = make(session, &plain, &none, &base, fault);
    if (error == TROUPE_OK)
        scenario_keep(session, call, &one, NULL, 0);
    if (error == TROUPE_OK && call->json) {
        json_begin(&json, out, one.scenario, call);
        scenario_json_result(&one.result, &json);
        if (changed) {
            json_key(&json, "unchanged");
            json_object_begin(&json);
            scenario_json_result(&base.result, &json);
            json_object_end(&json);
        }
        json_end(&json, one.scenario);
    } else if (error == TROUPE_OK) {
        scenario_text_result(&one, changed ? &base : NULL, out);
        scenario_text_parameters(one.scenario, out);
    }
    case_free(&base);
    case_free(&one);
    return error;
}

/* ---- several variants ---- */

struct variants {
    struct scenario_case base, *cases;
    size_t count;
};

static int by_gain(const void *a, const void *b) {
    double left = ((const struct scenario_case *)a)->result.figures[SCENARIO_P95].value;
    double right = ((const struct scenario_case *)b)->result.figures[SCENARIO_P95].value;
    return left < right ? -1 : left > right;
}

static void variants_free(struct session *session, struct variants *variants) {
    for (size_t i = 0; i < variants->count; i++)
        case_free(&variants->cases[i]);
    memory_free(session->account, variants->cases);
    case_free(&variants->base);
}

/* --each: the overlays given, then one of all of them; --steps: the first of those given, the first two, ... */
static enum troupe_error variants_make(struct session *session, const struct scenario_call *call,
                                       struct variants *variants, struct fault *fault) {
    const struct scenario_values *values = call->values;
    struct option_list given = values->overlays;
    size_t most = 0;
    struct option_list start = {.texts = given.texts, .count = values->each ? given.count : 0};
    enum troupe_error error = make(session, call, &start, &variants->base, fault);
    if (error != TROUPE_OK)
        return error;
    const struct scenario_overlay *all = scenario_overlays(variants->base.scenario, &most);
    size_t wanted = values->each ? most : given.count;
    const char **names = ARENA_ARRAY(&session->arena, const char *, given.count + 1);
    variants->cases = memory_alloc(session->account, (wanted + 1) * sizeof *variants->cases);
    if (names == NULL || variants->cases == NULL)
        return fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory");
    for (size_t i = 0; i < given.count; i++)
        names[i] = given.texts[i];
    for (size_t i = 0; i < wanted && error == TROUPE_OK; i++) {
        struct option_list list = {.texts = names, .count = values->each ? given.count + 1 : i + 1};
        if (values->each)
            names[given.count] = all[i].name;
        error = make(session, call, &list, &variants->cases[i], fault);
        if (error != TROUPE_OK)
            return error;
        variants->count++;
        variants->cases[i].name = list.texts[list.count - 1];
        for (size_t k = 0; k < most; k++)
            if (strcmp(all[k].name, variants->cases[i].name) == 0)
                variants->cases[i].note = all[k].note;
    }
    if (values->each)
        qsort(variants->cases, variants->count, sizeof *variants->cases, by_gain);
    return error;
}

static enum troupe_error compare(struct session *session, const struct scenario_call *call,
                                 struct buffer *out, struct fault *fault) {
    struct variants variants = {0};
    struct json json;
    if (call->values->steps && call->values->overlays.count == 0)
        return fault_set(fault, TROUPE_USAGE, "--steps", "expected at least one --overlay");
    enum troupe_error error = variants_make(session, call, &variants, fault);
    if (error == TROUPE_OK && call->json) {
        json_begin(&json, out, variants.base.scenario, call);
        scenario_json_result(&variants.base.result, &json);
        json_key(&json, call->values->each ? "each" : "steps");
        json_array_begin(&json);
        for (size_t i = 0; i < variants.count; i++)
            scenario_json_case(&variants.cases[i], &json);
        json_array_end(&json);
        json_end(&json, variants.base.scenario);
    } else if (error == TROUPE_OK) {
        scenario_text_gains(variants.cases, variants.count, &variants.base, call->values->steps, out);
        scenario_text_parameters(variants.base.scenario, out);
    }
    variants_free(session, &variants);
    return error;
}

/* ---- against what the file expects ---- */

struct checking {
    struct session *session;
    const struct scenario_call *call;
    struct scenario_case base; /* with the overlays and settings given */
    struct scenario_case *cases;
    const struct scenario_row *rows;
    size_t count;
};

static bool same_overlays(const struct scenario_row *a, const struct scenario_row *b) {
    bool same = a->overlay_count == b->overlay_count;
    for (size_t i = 0; i < a->overlay_count && same; i++)
        same = strcmp(a->overlays[i], b->overlays[i]) == 0;
    return same;
}

/* The variant of a row; one that an earlier row had is not simulated again. */
static enum troupe_error row_case(struct checking *checking, size_t index, const struct scenario_case **ret,
                                  struct fault *fault) {
    const struct scenario_row *row = &checking->rows[index];
    const struct option_list *given = &checking->call->values->overlays;
    size_t count = given->count + row->overlay_count;
    if (row->overlay_count == 0) {
        *ret = &checking->base;
        return TROUPE_OK;
    }
    for (size_t i = 0; i < index; i++)
        if (same_overlays(&checking->rows[i], row)) {
            *ret = &checking->cases[i];
            return TROUPE_OK;
        }
    const char **names = ARENA_ARRAY(&checking->session->arena, const char *, count);
    if (names == NULL)
        return fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory");
    for (size_t i = 0; i < count; i++)
        names[i] = i < given->count ? given->texts[i] : row->overlays[i - given->count];
    struct option_list list = {.texts = names, .count = count};
    *ret = &checking->cases[index];
    return make(checking->session, checking->call, &list, &checking->cases[index], fault);
}

static enum troupe_error check_rows(struct checking *checking, struct json *json, struct buffer *out,
                                    bool *ret_good, struct fault *fault) {
    *ret_good = true;
    for (size_t i = 0; i < checking->count; i++) {
        const struct scenario_case *one = NULL;
        enum troupe_error error = row_case(checking, i, &one, fault);
        if (error != TROUPE_OK)
            return error;
        bool good = json != NULL ? scenario_json_row(&checking->rows[i], one, &checking->base, json)
                                 : scenario_text_row(&checking->rows[i], one, &checking->base, out);
        *ret_good = *ret_good && good;
    }
    return TROUPE_OK;
}

static enum troupe_error check(struct session *session, const struct scenario_call *call, struct buffer *out,
                               bool *ret_good, struct fault *fault) {
    struct checking checking = {.session = session, .call = call};
    struct json json;
    enum troupe_error error = make(session, call, &call->values->overlays, &checking.base, fault);
    if (error == TROUPE_OK) {
        checking.rows = scenario_rows(checking.base.scenario, &checking.count);
        checking.cases = memory_alloc(session->account, (checking.count + 1) * sizeof *checking.cases);
        if (checking.cases == NULL)
            error = fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory");
        else if (checking.count == 0)
            error =
                fault_set(fault, TROUPE_INVALID, call->path, "the scenario expects nothing: no `expect:`");
    }
    if (error == TROUPE_OK && call->json) {
        json_begin(&json, out, checking.base.scenario, call);
        json_key(&json, "rows");
        json_array_begin(&json);
        error = check_rows(&checking, &json, out, ret_good, fault);
        json_array_end(&json);
        json_end(&json, checking.base.scenario);
    } else if (error == TROUPE_OK) {
        error = check_rows(&checking, NULL, out, ret_good, fault);
        buffer_text(out, *ret_good ? "\nevery figure is within its tolerance\n"
                                   : "\nnot every figure is within its tolerance: see PAST\n");
        scenario_text_parameters(checking.base.scenario, out);
    }
    for (size_t i = 0; i < checking.count && checking.cases != NULL; i++)
        case_free(&checking.cases[i]);
    memory_free(session->account, checking.cases);
    case_free(&checking.base);
    return error;
}

/* ---- measured ---- */

static bool agrees(const struct scenario_result *simulated, const struct scenario_result *measured) {
    static const enum scenario_figure figures[] = {SCENARIO_P50, SCENARIO_P95};
    for (size_t i = 0; i < ARRAY_COUNT(figures); i++) {
        double expected = simulated->figures[figures[i]].value, ours = measured->figures[figures[i]].value;
        if (!(fabs(ours - expected) <= expected * REAL_WITHIN / 100))
            return false;
    }
    return true;
}

static enum troupe_error real(struct session *session, const struct scenario_call *call, struct buffer *out,
                              bool *ret_good, struct fault *fault) {
    struct scenario_case one = {.name = "", .note = ""};
    struct scenario_result measured = {0};
    struct json json;
    int64_t scale = call->values->scale > 0 ? call->values->scale : 10;
    int64_t seconds = call->values->seconds > 0 ? call->values->seconds : 60;
    enum troupe_error error = load(session, call, &call->values->overlays, &one.scenario, fault);
    if (error != TROUPE_OK)
        return error;
    struct scenario_request request = request_of(call, one.scenario);
    request.replications = call->replications > 0 ? call->replications : REPLICATIONS_REAL;
    request.until_ns = (uint64_t)seconds * (uint64_t)scale * 1000000000u;
    request.medians = true; /* as what is measured */
    error = scenario_simulate(&request, session->account, &one.result, fault);
    if (error == TROUPE_OK)
        fprintf(stderr, "measuring %u times %.0f s ...\n", request.replications,
                one.result.span_ns / (double)scale / 1e9);
    if (error == TROUPE_OK)
        error = scenario_measure(&request, session->env, (double)scale, session->account, &measured, fault);
    if (error == TROUPE_OK && call->json) {
        json_begin(&json, out, one.scenario, call);
        json_field_int(&json, "scale", scale);
        json_key(&json, "simulated");
        json_object_begin(&json);
        scenario_json_result(&one.result, &json);
        json_object_end(&json);
        json_key(&json, "measured");
        json_object_begin(&json);
        scenario_json_result(&measured, &json);
        json_object_end(&json);
        json_end(&json, one.scenario);
    } else if (error == TROUPE_OK) {
        scenario_text_real(&one, &measured, scale, out);
        scenario_text_parameters(one.scenario, out);
    }
    if (error == TROUPE_OK)
        scenario_keep(session, call, &one, &measured, scale);
    *ret_good = error == TROUPE_OK && agrees(&one.result, &measured);
    scenario_result_free(&measured);
    case_free(&one);
    return error;
}

/* ---- the command ---- */

enum troupe_error whatif_scenario(struct session *session, const struct scenario_call *call,
                                  struct fault *fault) {
    struct buffer out;
    bool good = true;
    enum troupe_error error;
    const struct scenario_values *values = call->values;
    if (values->each + values->steps + (values->check || values->real) > 1)
        return fault_set(fault, TROUPE_USAGE, "whatif",
                         "expected one of --each, --steps and --check or --real");
    buffer_init(&out, session->account, 0);
    if (values->real)
        error = real(session, call, &out, &good, fault);
    else if (values->check)
        error = check(session, call, &out, &good, fault);
    else if (values->each || values->steps)
        error = compare(session, call, &out, fault);
    else
        error = show(session, call, &out, fault);
    if (error == TROUPE_OK)
        error = session_print(&out, fault);
    buffer_free(&out);
    return error == TROUPE_OK && values->check && !good ? TROUPE_MISMATCH : error;
}
