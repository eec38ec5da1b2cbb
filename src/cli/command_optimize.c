/* `troupe optimize`: ask/tell on stdin and stdout, one JSON object a line, for programs in any language.
 *   {"op":"init","space":[{"name":"x","type":"float","low":0,"high":1,"log":false}, ...],"seed":0}  ->
 * {"ok":true}
 *   {"op":"ask"}                                -> {"trial":{"id":0,"params":{"x":0.5}}}
 *   {"op":"tell","id":0,"values":[0.3]}         -> {"ok":true}    ("failed":true instead of values;
 * "constraints")
 *   {"op":"best"}                               -> {"params":{...}} or {}
 *   {"op":"end"}                                -> {"ok":true}
 * `space` may also be the map of a pipeline file. Whatever is wrong is answered {"error":"..."} and the
 * session goes on. Values are minimised unless init says "maximise":true. One thread; lines are bounded. */
#include "optimize/optimize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

#define LINE_MAX_BYTES (1 << 20)

/* What one init made. */
struct search {
    struct document *definition; /* the space's */
    struct space *space;
    struct study *study;
};

struct optimizer {
    struct account account;
    struct buffer answer;
    struct search search;
    bool ended;
};

static void search_clear(struct search *search) {
    study_free(search->study);
    space_free(search->space);
    document_free(search->definition);
    *search = (struct search){0};
}

/* {"parent":"k","in":["a"]} -> "when":{"k":["a"]} */
static enum troupe_error condition_translate(const struct node *condition, struct json *json,
                                             struct fault *fault) {
    const char *parent = NULL;
    const struct node *values = node_get(condition, "in");
    enum troupe_error error = node_read_string(node_get(condition, "parent"), &parent, fault);
    if (error)
        return error;
    if (!parent || node_kind(values) != DOCUMENT_LIST)
        return node_fault(condition, fault, TROUPE_INVALID,
                          "expected a condition such as {\"parent\":\"k\",\"in\":[\"a\"]}");
    json_key(json, "when");
    json_object_begin(json);
    json_key(json, parent);
    node_write_json(values, json);
    json_object_end(json);
    return TROUPE_OK;
}

/* One variable of the list form becomes one of the map form, which the space floor reads and checks. */
static enum troupe_error variable_translate(const struct node *variable, struct json *json,
                                            struct fault *fault) {
    static const char *const keys[] = {"name", "type",    "low",     "high", "log",
                                       "step", "choices", "default", "cond"};
    static const char *const kept[] = {"log", "step", "default"};
    const char *name = NULL, *type = NULL;
    if (node_kind(variable) != DOCUMENT_MAP)
        return node_fault(variable, fault, TROUPE_INVALID, "expected a variable, found %s",
                          node_kind_name(variable));
    enum troupe_error error = node_check_keys(variable, keys, ARRAY_COUNT(keys), fault);
    if (!error)
        error = node_read_string(node_get(variable, "name"), &name, fault);
    if (!error)
        error = node_read_string(node_get(variable, "type"), &type, fault);
    if (error)
        return error;
    bool choice = type && (strcmp(type, "cat") == 0 || strcmp(type, "choice") == 0);
    if (!name || !type || (!choice && strcmp(type, "float") != 0 && strcmp(type, "int") != 0))
        return node_fault(variable, fault, TROUPE_INVALID,
                          "a variable needs a name and a type: float, int or cat");
    json_key(json, name);
    json_object_begin(json);
    json_key(json, choice ? "choice" : type);
    if (choice) {
        node_write_json(node_get(variable, "choices"), json);
    } else {
        json_array_begin(json);
        node_write_json(node_get(variable, "low"), json);
        node_write_json(node_get(variable, "high"), json);
        json_array_end(json);
    }
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        const struct node *value = node_get(variable, kept[i]);
        if (value && !(choice && i < 2)) {
            json_key(json, kept[i]);
            node_write_json(value, json);
        }
    }
    const struct node *condition = node_get(variable, "cond");
    error = condition && node_kind(condition) != DOCUMENT_NULL ? condition_translate(condition, json, fault)
                                                               : TROUPE_OK;
    json_object_end(json);
    return error;
}

static enum troupe_error space_read(struct account *account, const struct node *message,
                                    struct search *search, struct fault *fault) {
    const struct node *variables = node_get(message, "space");
    struct buffer text;
    struct json json;
    if (node_kind(variables) != DOCUMENT_LIST)
        return space_compile(variables, node_get(message, "constraints"), &search->space, fault);
    buffer_init(&text, account, 0);
    json_init(&json, &text);
    json_object_begin(&json);
    enum troupe_error error = TROUPE_OK;
    for (size_t i = 0; i < node_count(variables) && !error; i++)
        error = variable_translate(node_at(variables, i), &json, fault);
    json_object_end(&json);
    if (!error)
        error = buffer_ok(&text);
    if (!error)
        error =
            document_parse_json(buffer_string(&text), text.length, "space", NULL, &search->definition, fault);
    if (!error)
        error = space_compile(document_root(search->definition), node_get(message, "constraints"),
                              &search->space, fault);
    buffer_free(&text);
    return error;
}

static enum troupe_error op_init(struct optimizer *optimizer, const struct node *message, struct json *json,
                                 struct fault *fault) {
    struct study_options options = {0};
    int64_t seed = 0, objectives = 1, startup = 0, deterministic = 0;
    const char *sampler = "auto";
    enum troupe_error error = node_read_int(node_get(message, "seed"), 0, INT64_MAX, &seed, fault);
    if (!error)
        error = node_read_int(node_get(message, "n_objectives"), 1, 16, &objectives, fault);
    if (!error)
        error = node_read_int(node_get(message, "startup"), 0, 100000, &startup, fault);
    if (!error)
        error = node_read_int(node_get(message, "deterministic"), 0, 1024, &deterministic, fault);
    if (!error)
        error = node_read_bool(node_get(message, "maximise"), &options.maximise, fault);
    if (!error)
        error = node_read_string(node_get(message, "sampler"), &sampler, fault);
    if (error)
        return error;
    if (objectives != 1)
        return fault_set(fault, TROUPE_UNSUPPORTED, "n_objectives", "one objective is supported, not %d",
                         (int)objectives);
    if (sampler_parse(sampler, &options.sampler))
        return fault_set(fault, TROUPE_INVALID, "sampler", "'%s' is none of auto, random, sobol, tpe, grid",
                         sampler);
    options.seed = (uint64_t)seed;
    options.startup = (unsigned)startup;
    options.deterministic = (unsigned)deterministic;
    struct search search = {0}; /* the running one goes on when this init is refused */
    error = space_read(&optimizer->account, message, &search, fault);
    if (!error) {
        options.baseline_first = space_has_baseline(search.space);
        error = study_create(search.space, &options, &search.study, fault);
    }
    if (error) {
        search_clear(&search);
        return error;
    }
    search_clear(&optimizer->search);
    optimizer->search = search;
    json_field_bool(json, "ok", true);
    return TROUPE_OK;
}

static enum troupe_error op_ask(struct optimizer *optimizer, struct json *json, struct fault *fault) {
    struct configuration configuration;
    unsigned number;
    enum troupe_error error = study_ask(optimizer->search.study, &number, &configuration, fault);
    if (error)
        return error;
    json_key(json, "trial");
    json_object_begin(json);
    json_field_int(json, "id", number);
    json_key(json, "params");
    space_write_json(optimizer->search.space, &configuration, json);
    json_object_end(json);
    return TROUPE_OK;
}

static enum troupe_error op_tell(struct optimizer *optimizer, const struct node *message, struct json *json,
                                 struct fault *fault) {
    const struct node *values = node_get(message, "values"), *constraints = node_get(message, "constraints");
    int64_t id = -1;
    bool failed = false;
    double objective = NAN, violation = 0;
    enum troupe_error error = node_read_int(node_get(message, "id"), 0, UINT32_MAX, &id, fault);
    if (!error)
        error = node_read_bool(node_get(message, "failed"), &failed, fault);
    if (error)
        return error;
    if (id < 0)
        return fault_set(fault, TROUPE_INVALID, "id", "a tell needs the id of a trial");
    for (size_t i = 0; i < node_count(constraints) && !error; i++) {
        double missed = NAN;
        error = node_read_real(node_at(constraints, i), &missed, fault);
        violation += isnan(missed) ? NAN : fmax(missed, 0);
    }
    if (!error && !failed && node_count(values) != 1)
        error =
            fault_set(fault, TROUPE_INVALID, "values", "expected one value, found %zu", node_count(values));
    if (!error && !failed)
        error = node_read_real(node_at(values, 0), &objective, fault);
    if (!error)
        error = failed ? study_tell_failed(optimizer->search.study, (unsigned)id, fault)
                       : study_tell_constrained(optimizer->search.study, (unsigned)id, objective, violation,
                                                fault);
    if (!error)
        json_field_bool(json, "ok", true);
    return error;
}

static void op_best(struct optimizer *optimizer, struct json *json) {
    unsigned number;
    double objective;
    if (study_best(optimizer->search.study, &number, &objective))
        return;
    json_key(json, "params");
    space_write_json(optimizer->search.space, study_configuration(optimizer->search.study, number), json);
}

static enum troupe_error op_end(struct optimizer *optimizer, struct json *json) {
    optimizer->ended = true;
    json_field_bool(json, "ok", true);
    return TROUPE_OK;
}

static const struct op {
    const char *name;
    const char *keys[12];
    bool needs_init;
} ops[] = {
    {"init", /* the last three are what a caller may know of its problem: accepted, and nothing depends on them */
     {"op", "space", "constraints", "seed", "maximise", "sampler", "startup", "deterministic", "n_objectives",
      "n_constraints", "noisy", "budget"},
     false},
    {"ask", {"op"}, true},
    {"tell", {"op", "id", "values", "failed", "constraints"}, true},
    {"best", {"op"}, true},
    {"end", {"op"}, false},
};

static enum troupe_error op_find(const struct node *message, const struct op **ret_op, struct fault *fault) {
    const char *name = NULL;
    if (node_kind(message) != DOCUMENT_MAP)
        return fault_set(fault, TROUPE_INVALID, "", "expected an object such as {\"op\":\"ask\"}");
    enum troupe_error error = node_read_string(node_get(message, "op"), &name, fault);
    if (error)
        return error;
    for (size_t i = 0; name && i < ARRAY_COUNT(ops); i++)
        if (strcmp(name, ops[i].name) == 0) {
            size_t count = 0;
            while (count < ARRAY_COUNT(ops[i].keys) && ops[i].keys[count])
                count++;
            *ret_op = &ops[i];
            return node_check_keys(message, ops[i].keys, count, fault);
        }
    return fault_set(fault, TROUPE_INVALID, "op", "expected op to be init, ask, tell, best or end");
}

static enum troupe_error message_answer(struct optimizer *optimizer, const struct node *message,
                                        struct json *json, struct fault *fault) {
    const struct op *op = NULL;
    enum troupe_error error = op_find(message, &op, fault);
    if (error)
        return error;
    if (op->needs_init && !optimizer->search.study)
        return fault_set(fault, TROUPE_INVALID, "op", "the first message must be init");
    switch (op->name[0]) {
    case 'i':
        return op_init(optimizer, message, json, fault);
    case 'a':
        return op_ask(optimizer, json, fault);
    case 't':
        return op_tell(optimizer, message, json, fault);
    case 'e':
        return op_end(optimizer, json);
    default:
        op_best(optimizer, json);
        return TROUPE_OK;
    }
}

static void line_answer(struct optimizer *optimizer, const char *line, size_t length) {
    struct document *document = NULL;
    struct fault fault = {0};
    struct json json;
    buffer_clear(&optimizer->answer);
    json_init(&json, &optimizer->answer);
    json_object_begin(&json);
    enum troupe_error error = document_parse_json(line, length, "stdin", NULL, &document, &fault);
    if (!error)
        error = message_answer(optimizer, document_root(document), &json, &fault);
    if (error) { /* nothing of a half-written answer is sent */
        char text[sizeof fault.where + sizeof fault.text + 4];
        snprintf(text, sizeof text, "%s%s%s", fault.where, fault.where[0] ? ": " : "",
                 fault.text[0] ? fault.text : error_text(error));
        buffer_clear(&optimizer->answer);
        json_init(&json, &optimizer->answer);
        json_object_begin(&json);
        json_field_string(&json, "error", text);
    }
    json_object_end(&json);
    document_free(document);
}

static const struct option_table options = {0};
const struct command_page page_optimize = {
    &options,
    "Reads one JSON object a line and answers each with one:\n"
    "  {\"op\":\"init\",\"space\":{\"x\":\"float(0,1)\"}}  {\"ok\":true}\n"
    "  {\"op\":\"ask\"}                              {\"trial\":{\"id\":0,\"params\":{\"x\":0.5}}}\n"
    "  {\"op\":\"tell\",\"id\":0,\"values\":[0.3]}       {\"ok\":true}\n"
    "  {\"op\":\"best\"}                             {\"params\":{\"x\":0.5}}\n"
    "  {\"op\":\"end\"}                              {\"ok\":true}\n"
    "Values are minimised unless init says \"maximise\":true; init also takes\n"
    "\"constraints\", \"seed\", \"sampler\"; \"failed\":true may stand for values. What is\n"
    "wrong is answered {\"error\":\"...\"} and the session goes on.\n",
    "  printf '%s\\n' '{\"op\":\"init\",\"space\":{\"x\":\"float(0,1)\"}}' '{\"op\":\"ask\"}' | troupe "
    "optimize\n"};

static enum troupe_error lines_answer(struct optimizer *optimizer, char *line, struct fault *fault) {
    while (!optimizer->ended && fgets(line, LINE_MAX_BYTES + 2, stdin)) {
        size_t length = strlen(line);
        if (length > LINE_MAX_BYTES && line[length - 1] != '\n')
            return fault_set(fault, TROUPE_LIMIT, "optimize", "a line is longer than %d bytes",
                             LINE_MAX_BYTES);
        line_answer(optimizer, line, length);
        buffer_text(&optimizer->answer, "\n");
        enum troupe_error error = session_print(&optimizer->answer, fault);
        if (error)
            return error;
    }
    return TROUPE_OK;
}

enum troupe_error command_optimize(struct session *session, int argc, const char *const *argv,
                                   struct fault *fault) {
    struct optimizer optimizer = {.account = ACCOUNT("optimize")};
    struct option_words words = {.argc = argc, .argv = argv};
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, NULL, NULL, fault);
    if (error)
        return error;
    buffer_init(&optimizer.answer, &optimizer.account, 0);
    char *line = memory_alloc(&optimizer.account, LINE_MAX_BYTES + 2);
    error = line ? lines_answer(&optimizer, line, fault)
                 : fault_set(fault, TROUPE_NOMEM, "optimize", "out of memory");
    search_clear(&optimizer.search);
    buffer_free(&optimizer.answer);
    memory_free(&optimizer.account, line);
    return error;
}
