/* definition_stages: the `stages:` section and the graph it makes. See definition.c. */
#include "pipeline/definition.h"

#include <stdio.h>
#include <string.h>

static enum troupe_error read_uses(struct pipeline *pipeline, const struct node *list,
                                   struct pipeline_stage *stage, struct fault *fault) {
    stage->uses_all = list == NULL;
    if (list == NULL)
        return TROUPE_OK;
    if (node_kind(list) != DOCUMENT_LIST)
        return node_fault(list, fault, TROUPE_INVALID, "expected a list of variables, found %s", FOUND(list));
    for (size_t i = 0; i < node_count(list); i++) {
        const char *name = node_text(node_at(list, i));
        int index = name != NULL ? space_find(pipeline->space, name) : -1;
        if (index < 0) {
            const char *names[SPACE_VARIABLES_MAX];
            for (unsigned k = 0; k < space_count(pipeline->space); k++)
                names[k] = space_variable(pipeline->space, k)->name;
            const char *nearest =
                name != NULL ? text_nearest(name, names, space_count(pipeline->space)) : NULL;
            return node_fault(node_at(list, i), fault, TROUPE_INVALID, "the space has no variable '%s'%s%s%s",
                              name != NULL ? name : "", nearest ? "; did you mean '" : "",
                              nearest ? nearest : "", nearest ? "'?" : "");
        }
        stage->uses[index] = true;
    }
    return TROUPE_OK;
}

static enum troupe_error no_capability(const struct pipeline *pipeline, const struct pipeline_stage *stage,
                                       const char *capability, struct fault *fault) {
    const struct capability_names *known = &pipeline->capabilities;
    const struct node *node = node_get(stage->node, "capability");
    const char *nearest = text_nearest(capability, known->names, known->count);
    char names[400] = "";
    size_t used = 0;
    for (unsigned i = 0; i < known->count && used < sizeof names; i++)
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", known->names[i]);
    return node_fault(node != NULL ? node : stage->node, fault, TROUPE_NO_AGENT,
                      "no agent has the capability '%s' that stage '%s' needs%s%s%s; the agents have: %s%s",
                      capability, stage->name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "", names, used < sizeof names ? "" : "...");
}

static enum troupe_error read_size(const struct pipeline *pipeline, const struct node *node,
                                   struct pipeline_stage *stage, struct fault *fault) {
    const char *name = NULL;
    if (node == NULL)
        return TROUPE_OK;
    enum troupe_error error = node_read_string(node, &name, fault);
    if (error != TROUPE_OK)
        return error;
    int variable = space_find(pipeline->space, name);
    if (variable < 0 || space_variable(pipeline->space, (unsigned)variable)->kind == VARIABLE_CHOICE)
        return node_fault(node, fault, TROUPE_INVALID,
                          "expected a variable of the space that is a number, found '%s'", name);
    stage->size = (unsigned)variable + 1;
    return TROUPE_OK;
}

static enum troupe_error read_stage(struct pipeline *pipeline, const struct node *node,
                                    struct pipeline_stage *stage, struct fault *fault) {
    static const char *const keys[] = {"capability", "needs",   "uses", "timeout",    "resources", "retries",
                                       "cache",      "version", "size", "idempotent", "expected"};
    if (node_kind(node) != DOCUMENT_MAP)
        return node_fault(node, fault, TROUPE_INVALID,
                          "expected a map such as {capability: train, needs: [prepare]}, found %s",
                          FOUND(node));
    int64_t timeout = 0, expected = 0, retries = 2;
    const char *capability = stage->name;
    stage->cache = true;
    stage->version = "";
    enum troupe_error error = node_check_keys(node, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(node, "capability"), &capability, fault);
    if (error == TROUPE_OK)
        error = read_uses(pipeline, node_get(node, "uses"), stage, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(node, "timeout"), &timeout, fault);
    if (error == TROUPE_OK && node_get(node, "timeout") != NULL && timeout <= 0)
        error = node_fault(node_get(node, "timeout"), fault, TROUPE_INVALID, "expected a duration above 0");
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(node, "expected"), &expected, fault);
    if (error == TROUPE_OK && node_get(node, "expected") != NULL && expected <= 0)
        error = node_fault(node_get(node, "expected"), fault, TROUPE_INVALID, "expected a duration above 0");
    if (error == TROUPE_OK)
        error = node_read_int(node_get(node, "retries"), 0, 100, &retries, fault);
    if (error == TROUPE_OK)
        error = node_read_bool(node_get(node, "cache"), &stage->cache, fault);
    if (error == TROUPE_OK)
        error = node_read_bool(node_get(node, "idempotent"), &stage->idempotent, fault);
    if (error == TROUPE_OK && node_get(node, "version") != NULL) {
        stage->version = node_text(node_get(node, "version"));
        if (stage->version == NULL)
            error =
                node_fault(node_get(node, "version"), fault, TROUPE_INVALID, "expected a text or a number");
    }
    if (error == TROUPE_OK)
        error = read_size(pipeline, node_get(node, "size"), stage, fault);
    if (error == TROUPE_OK)
        error = definition_resources(pipeline, node_get(node, "resources"), &stage->resources, fault);
    if (error != TROUPE_OK)
        return error;
    int bit = capability_find(&pipeline->capabilities, capability);
    if (bit < 0)
        return no_capability(pipeline, stage, capability, fault);
    stage->capability = (unsigned)bit;
    stage->timeout_ns = (uint64_t)timeout;
    stage->expected_ns = (uint64_t)expected;
    stage->retries = (unsigned)retries;
    return TROUPE_OK;
}

static enum troupe_error read_needs(struct pipeline *pipeline, struct pipeline_stage *stage,
                                    struct fault *fault) {
    const struct node *needs = node_get(stage->node, "needs");
    if (needs == NULL)
        return TROUPE_OK;
    if (node_kind(needs) != DOCUMENT_LIST)
        return node_fault(needs, fault, TROUPE_INVALID, "expected a list of stages, found %s", FOUND(needs));
    for (size_t i = 0; i < node_count(needs); i++) {
        const char *name = node_text(node_at(needs, i));
        int found = name != NULL ? pipeline_stage_find(pipeline, name) : -1;
        if (found < 0) {
            const char *names[PIPELINE_STAGES_MAX];
            for (unsigned k = 0; k < pipeline->stage_count; k++)
                names[k] = pipeline->stages[k].name;
            const char *nearest = name != NULL ? text_nearest(name, names, pipeline->stage_count) : NULL;
            return node_fault(node_at(needs, i), fault, TROUPE_INVALID,
                              "stage '%s' needs '%s', which is not a stage%s%s%s", stage->name,
                              name != NULL ? name : "", nearest ? "; did you mean '" : "",
                              nearest ? nearest : "", nearest ? "'?" : "");
        }
        stage->needs |= 1u << found;
    }
    return TROUPE_OK;
}

enum troupe_error definition_stages(struct pipeline *pipeline, const struct node *stages,
                                    struct fault *fault) {
    if (stages == NULL || node_kind(stages) != DOCUMENT_MAP || node_count(stages) == 0)
        return node_fault(stages ? stages : document_root(pipeline->document), fault, TROUPE_INVALID,
                          "expected `stages:`, a map of at least one stage, found %s", FOUND(stages));
    if (node_count(stages) > PIPELINE_STAGES_MAX)
        return node_fault(stages, fault, TROUPE_LIMIT, "%zu stages, at most %d", node_count(stages),
                          PIPELINE_STAGES_MAX);
    for (size_t i = 0; i < node_count(stages); i++) {
        struct pipeline_stage *stage = &pipeline->stages[i];
        stage->name = node_key_at(stages, i);
        stage->node = node_at(stages, i);
        enum troupe_error error = definition_name(stages, i, "a stage", fault);
        if (error == TROUPE_OK)
            error = read_stage(pipeline, stage->node, stage, fault);
        if (error != TROUPE_OK)
            return error;
        pipeline->stage_count++;
    }
    for (unsigned i = 0; i < pipeline->stage_count; i++) {
        enum troupe_error error = read_needs(pipeline, &pipeline->stages[i], fault);
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

/* Follows `needs` from a stage that cannot be ordered until one repeats: that is the cycle to name. */
static enum troupe_error cycle_fault(struct pipeline *pipeline, uint32_t left, struct fault *fault) {
    unsigned at = (unsigned)__builtin_ctz(left);
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        at = (unsigned)__builtin_ctz(pipeline->stages[at].needs & left); /* now surely inside the cycle */
    char path[512] = "";
    size_t length = 0;
    unsigned start = at;
    do {
        length += (size_t)snprintf(path + length, sizeof path - length, "%s -> ", pipeline->stages[at].name);
        at = (unsigned)__builtin_ctz(pipeline->stages[at].needs & left);
    } while (at != start && length < sizeof path - 80);
    snprintf(path + length, sizeof path - length, "%s", pipeline->stages[start].name);
    return node_fault(pipeline->stages[start].node, fault, TROUPE_INVALID,
                      "stages need each other in a cycle: %s", path);
}

static enum troupe_error order_stages(struct pipeline *pipeline, struct fault *fault) {
    uint32_t done = 0;
    uint32_t all = pipeline->stage_count == 32 ? UINT32_MAX : (1u << pipeline->stage_count) - 1;
    for (unsigned placed = 0; placed < pipeline->stage_count;) {
        unsigned before = placed;
        for (unsigned i = 0; i < pipeline->stage_count; i++)
            if (!(done & (1u << i)) && (pipeline->stages[i].needs & ~done) == 0) {
                pipeline->order[placed++] = i;
                done |= 1u << i;
            }
        if (placed == before)
            return cycle_fault(pipeline, all & ~done, fault);
    }
    return TROUPE_OK;
}

static enum troupe_error check_resources(struct pipeline *pipeline, struct fault *fault) {
    pipeline->resources_free = pipeline->resources;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &pipeline->agents[a];
        for (unsigned r = 0; r < pipeline->resource_names.count; r++) {
            int64_t held;
            if (__builtin_mul_overflow(agent->resources.amount[r], (int64_t)agent->instances_max, &held))
                held = INT64_MAX;
            if (held > pipeline->resources_free.amount[r])
                return node_fault(
                    agent->node, fault, TROUPE_UNSATISFIABLE,
                    "%u instances of agent '%s' (%s) hold %lld of '%s', but `resources:` has %lld left",
                    agent->instances_max, agent->name,
                    agent->instances < agent->instances_max ? "its instances_max" : "its instances",
                    (long long)held, pipeline->resource_names.names[r],
                    (long long)pipeline->resources_free.amount[r]);
            pipeline->resources_free.amount[r] -= held;
        }
    }
    for (unsigned s = 0; s < pipeline->stage_count; s++)
        for (unsigned r = 0; r < pipeline->resource_names.count; r++)
            if (pipeline->stages[s].resources.amount[r] > pipeline->resources_free.amount[r])
                return node_fault(
                    pipeline->stages[s].node, fault, TROUPE_UNSATISFIABLE,
                    "stage '%s' needs %lld of '%s', but `resources:` leaves %lld", pipeline->stages[s].name,
                    (long long)pipeline->stages[s].resources.amount[r], pipeline->resource_names.names[r],
                    (long long)pipeline->resources_free.amount[r]);
    return TROUPE_OK;
}

enum troupe_error definition_graph(struct pipeline *pipeline, struct fault *fault) {
    enum troupe_error error = order_stages(pipeline, fault);
    if (error == TROUPE_OK)
        error = check_resources(pipeline, fault);
    if (error != TROUPE_OK)
        return error;
    /* A trial is what the objective needs; the test is what it needs beyond that. Anything else would never
     * run. */
    uint32_t trial = 1u << pipeline->objective_stage, test = 0;
    if (pipeline->test_stage < pipeline->stage_count)
        test = 1u << pipeline->test_stage;
    for (unsigned k = pipeline->stage_count; k-- > 0;) {
        unsigned i = pipeline->order[k];
        if (trial & (1u << i))
            trial |= pipeline->stages[i].needs;
        if (test & (1u << i))
            test |= pipeline->stages[i].needs;
    }
    if (pipeline->test_stage < pipeline->stage_count && (trial & (1u << pipeline->test_stage)))
        return node_fault(
            pipeline->stages[pipeline->test_stage].node, fault, TROUPE_INVALID,
            "the test stage '%s' is needed by the objective: held-out results would be seen by the search",
            pipeline->stages[pipeline->test_stage].name);
    for (unsigned i = 0; i < pipeline->stage_count; i++) {
        pipeline->stages[i].in_trial = (trial & (1u << i)) != 0;
        if (!((trial | test) & (1u << i)))
            return node_fault(pipeline->stages[i].node, fault, TROUPE_INVALID,
                              "stage '%s' would never run: neither the objective '%s' nor a test needs it",
                              pipeline->stages[i].name, pipeline->stages[pipeline->objective_stage].name);
    }
    return TROUPE_OK;
}
