/* definition_agents: the `agents:` section: what runs the stages, and how many of each. See definition.c. */
#include "agent/agent.h"
#include "pipeline/definition.h"

#include <string.h>

static enum troupe_error read_environment(struct pipeline *pipeline, const struct node *map,
                                          struct pipeline_agent *agent, struct fault *fault) {
    if (map == NULL)
        return TROUPE_OK;
    if (node_kind(map) != DOCUMENT_MAP)
        return node_fault(map, fault, TROUPE_INVALID, "expected a map of names to texts, found %s",
                          FOUND(map));
    const char **pairs = ARENA_ARRAY(&pipeline->arena, const char *, node_count(map) + 1);
    if (pairs == NULL)
        return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
    for (size_t i = 0; i < node_count(map); i++) {
        const char *value = node_text(node_at(map, i));
        if (value == NULL)
            return node_fault(node_at(map, i), fault, TROUPE_INVALID, "expected a text, found %s",
                              FOUND(node_at(map, i)));
        if (strchr(node_key_at(map, i), '=') != NULL || node_key_at(map, i)[0] == '\0')
            return node_fault(node_at(map, i), fault, TROUPE_INVALID,
                              "'%s' is no name of an environment variable", node_key_at(map, i));
        pairs[i] = arena_format(&pipeline->arena, "%s=%s", node_key_at(map, i), value);
        if (pairs[i] == NULL)
            return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
    }
    agent->environment = pairs;
    return TROUPE_OK;
}

static enum troupe_error read_metrics(struct pipeline *pipeline, const struct node *node,
                                      struct pipeline_agent *agent, struct fault *fault) {
    const struct node *metrics = node_get(node, "metrics");
    if (agent->kind != PIPELINE_AGENT_ONCE)
        return metrics == NULL
                   ? TROUPE_OK
                   : node_fault(metrics, fault, TROUPE_INVALID, "only a `once:` agent has `metrics:`");
    if (metrics == NULL)
        return node_fault(node, fault, TROUPE_INVALID,
                          "agent '%s': `once:` needs `metrics: [NAME, ...]` to look for in the output",
                          agent->name);
    enum troupe_error error =
        definition_words(pipeline, metrics, "metric names", &agent->metrics, NULL, fault);
    for (size_t i = 0; i < node_count(metrics) && error == TROUPE_OK; i++)
        error = definition_metric(node_at(metrics, i), agent->metrics[i], fault);
    return error;
}

static enum troupe_error read_program(struct pipeline *pipeline, const struct node *node,
                                      struct pipeline_agent *agent, struct fault *fault) {
    const struct node *command = node_get(node, "command"), *once = node_get(node, "once"),
                      *native = node_get(node, "native");
    if ((command != NULL) + (once != NULL) + (native != NULL) != 1)
        return node_fault(
            node, fault, TROUPE_INVALID,
            "agent '%s': expected exactly one of `command: [PROGRAM, ...]` (speaks the worker protocol), "
            "`once: [PROGRAM, ...]` (runs once per task) and `native: PLUGIN`",
            agent->name);
    agent->isolate = true;
    enum troupe_error error;
    if (native != NULL) {
        agent->kind = PIPELINE_AGENT_NATIVE;
        error = node_read_string(native, &agent->native, fault);
        if (error == TROUPE_OK)
            error = node_read_bool(node_get(node, "isolate"), &agent->isolate, fault);
    } else {
        agent->kind = command != NULL ? PIPELINE_AGENT_COMMAND : PIPELINE_AGENT_ONCE;
        error = definition_words(pipeline, command != NULL ? command : once, "words of a command",
                                 &agent->argv, NULL, fault);
        if (error == TROUPE_OK && agent->argv[0][0] == '\0')
            error = node_fault(node_at(command != NULL ? command : once, 0), fault, TROUPE_INVALID,
                               "the name of the program is empty");
        if (error == TROUPE_OK && node_get(node, "isolate") != NULL)
            error = node_fault(node_get(node, "isolate"), fault, TROUPE_INVALID,
                               "only a native agent has `isolate:`");
    }
    return error == TROUPE_OK ? read_metrics(pipeline, node, agent, fault) : error;
}

static enum troupe_error read_capabilities(struct pipeline *pipeline, const struct node *node,
                                           struct pipeline_agent *agent, struct fault *fault) {
    const struct node *list = node_get(node, "capabilities");
    const char *const *words = NULL;
    unsigned count = 0;
    enum troupe_error error = definition_words(pipeline, list, "capabilities", &words, &count, fault);
    if (error != TROUPE_OK)
        return error;
    if (words == NULL) { /* the agent's own name is its capability */
        const char **own = ARENA_ARRAY(&pipeline->arena, const char *, 2);
        if (own == NULL)
            return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
        own[0] = agent->name;
        words = own;
        count = 1;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned bit;
        if (words[i][0] == '\0')
            return node_fault(node_at(list, i), fault, TROUPE_INVALID, "the name of a capability is empty");
        if (capability_intern(&pipeline->capabilities, words[i], &bit) != TROUPE_OK)
            return node_fault(list, fault, TROUPE_LIMIT, "more than %d capabilities in one pipeline",
                              CAPABILITIES_MAX);
        capability_set_add(&agent->capabilities, bit);
    }
    agent->capability_names = (const char **)(uintptr_t)words;
    agent->capability_count = count;
    return TROUPE_OK;
}

static enum troupe_error read_options(struct pipeline *pipeline, const struct node *options,
                                      struct pipeline_agent *agent, struct fault *fault) {
    agent->options_json = "{}";
    if (options == NULL)
        return TROUPE_OK;
    if (node_kind(options) != DOCUMENT_MAP)
        return node_fault(options, fault, TROUPE_INVALID, "expected a map, found %s", FOUND(options));
    struct buffer text;
    struct json json;
    buffer_init(&text, pipeline->account, 64 << 10);
    json_init(&json, &text);
    node_write_json(options, &json);
    enum troupe_error error = buffer_ok(&text);
    if (error == TROUPE_OK)
        agent->options_json = arena_copy(&pipeline->arena, buffer_string(&text), text.length);
    buffer_free(&text);
    if (error == TROUPE_LIMIT)
        return node_fault(options, fault, error, "options are larger than 64 KiB");
    if (error != TROUPE_OK || agent->options_json == NULL)
        return node_fault(options, fault, TROUPE_NOMEM, "out of memory");
    return TROUPE_OK;
}

static enum troupe_error read_agent(struct pipeline *pipeline, const struct node *node,
                                    struct pipeline_agent *agent, struct fault *fault) {
    static const char *const keys[] = {"command",      "once",          "native",        "metrics",
                                       "isolate",      "instances",     "batch_max",     "window",
                                       "capabilities", "env",           "resources",     "timeout",
                                       "options",      "batch_wait_ms", "instances_min", "instances_max"};
    if (node_kind(node) != DOCUMENT_MAP)
        return node_fault(node, fault, TROUPE_INVALID,
                          "expected a map such as {command: [python3, worker.py], instances: 2}, found %s",
                          FOUND(node));
    int64_t instances = 1, batch_max = 1, window = 1, timeout = 0, batch_wait_ms = 0;
    enum troupe_error error = node_check_keys(node, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = read_program(pipeline, node, agent, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "instances"), 1, PIPELINE_INSTANCES_MAX, &instances, fault);
    int64_t least = instances, most = instances;
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "instances_min"), 1, instances, &least, fault);
    if (error == TROUPE_OK)
        error =
            node_read_int(node_get(node, "instances_max"), instances, PIPELINE_INSTANCES_MAX, &most, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "batch_max"), 1, AGENT_BATCH_MAX, &batch_max, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "batch_wait_ms"), 0, 60000, &batch_wait_ms, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "window"), 1, 1024, &window, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(node, "timeout"), &timeout, fault);
    if (error == TROUPE_OK && node_get(node, "timeout") != NULL && timeout <= 0)
        error = node_fault(node_get(node, "timeout"), fault, TROUPE_INVALID, "expected a duration above 0");
    if (error == TROUPE_OK)
        error = read_capabilities(pipeline, node, agent, fault);
    if (error == TROUPE_OK)
        error = read_environment(pipeline, node_get(node, "env"), agent, fault);
    if (error == TROUPE_OK)
        error = definition_resources(pipeline, node_get(node, "resources"), &agent->resources, fault);
    if (error == TROUPE_OK)
        error = read_options(pipeline, node_get(node, "options"), agent, fault);
    agent->instances = (unsigned)instances;
    agent->instances_min = (unsigned)least;
    agent->instances_max = (unsigned)most;
    agent->batch_max = (unsigned)batch_max;
    agent->window = (unsigned)window;
    agent->batch_wait_ns = (uint64_t)batch_wait_ms * 1000000;
    agent->timeout_ns = (uint64_t)timeout;
    return error;
}

enum troupe_error definition_agents(struct pipeline *pipeline, const struct node *agents,
                                    struct fault *fault) {
    if (agents == NULL || node_kind(agents) != DOCUMENT_MAP || node_count(agents) == 0)
        return node_fault(agents ? agents : document_root(pipeline->document), fault, TROUPE_INVALID,
                          "expected `agents:`, a map of at least one agent, found %s", FOUND(agents));
    if (node_count(agents) > PIPELINE_AGENTS_MAX)
        return node_fault(agents, fault, TROUPE_LIMIT, "%zu agents, at most %d", node_count(agents),
                          PIPELINE_AGENTS_MAX);
    unsigned total = 0;
    for (size_t i = 0; i < node_count(agents); i++) {
        struct pipeline_agent *agent = &pipeline->agents[i];
        agent->name = node_key_at(agents, i);
        agent->node = node_at(agents, i);
        enum troupe_error error = definition_name(agents, i, "an agent", fault);
        if (error == TROUPE_OK)
            error = read_agent(pipeline, agent->node, agent, fault);
        if (error != TROUPE_OK)
            return error;
        total += agent->instances_max;
        if (total > PIPELINE_INSTANCES_MAX)
            return node_fault(agent->node, fault, TROUPE_LIMIT, "more than %d agent instances in all",
                              PIPELINE_INSTANCES_MAX);
        pipeline->agent_count++;
    }
    return TROUPE_OK;
}

/* Unless it is said, what may change is changed: whoever writes `instances_max: 4` wants up to four. */
enum troupe_error definition_feedback(struct pipeline *pipeline, const struct node *feedback,
                                      struct fault *fault) {
    static const char *const keys[] = {"apply", "shed"}, *const applies[] = {"off", "advise", "auto"};
    const char *apply = "off", *shed = "none";
    bool bounds = false;
    for (unsigned a = 0; a < pipeline->agent_count; a++)
        if (pipeline->agents[a].instances_min < pipeline->agents[a].instances_max)
            bounds = true;
    enum troupe_error error = TROUPE_OK;
    if (feedback != NULL && node_kind(feedback) != DOCUMENT_MAP)
        return node_fault(feedback, fault, TROUPE_INVALID,
                          "expected `feedback: {apply: auto | advise | off, shed: late | none}`, found %s",
                          FOUND(feedback));
    if (feedback != NULL)
        error = node_check_keys(feedback, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK && feedback != NULL)
        error = node_read_string(node_get(feedback, "shed"), &shed, fault);
    pipeline->shed_late = strcmp(shed, "late") == 0;
    if (bounds || pipeline->shed_late)
        apply = "auto";
    if (error == TROUPE_OK && feedback != NULL)
        error = node_read_string(node_get(feedback, "apply"), &apply, fault);
    if (error != TROUPE_OK)
        return error;
    unsigned at = 0;
    while (at < ARRAY_COUNT(applies) && strcmp(apply, applies[at]) != 0)
        at++;
    if (at == ARRAY_COUNT(applies))
        return node_fault(node_get(feedback, "apply"), fault, TROUPE_INVALID,
                          "expected auto, advise or off, found '%s'", apply);
    if (!pipeline->shed_late && strcmp(shed, "none") != 0)
        return node_fault(node_get(feedback, "shed"), fault, TROUPE_INVALID,
                          "expected late or none, found '%s'", shed);
    pipeline->feedback = (enum feedback_apply)at;
    if (pipeline->shed_late && pipeline->feedback != FEEDBACK_AUTO)
        return node_fault(node_get(feedback, "shed"), fault, TROUPE_INVALID,
                          "expected none, for with `apply: %s` nothing is done; or `apply: auto`", apply);
    if (pipeline->feedback == FEEDBACK_AUTO && !bounds && !pipeline->shed_late)
        return node_fault(
            node_get(feedback, "apply"), fault, TROUPE_INVALID,
            "there is nothing that could be done: expected `instances_min` or `instances_max` of "
            "an agent, or `shed: late`");
    return TROUPE_OK;
}
