/* definition: a pipeline file (or the same thing written by the command line) into struct pipeline.
 *
 * Every value is checked where it stands, so that a message can name file:line:column and path. The steps
 * fill the struct in the order of the file's logic (space, agents, stages, graph, objective, budget),
 * because each checks names that the one before has defined.
 * Memory:  the pipeline's arena.
 * Threads: the caller's. */
#include "pipeline/definition.h"

#include <ctype.h>
#include <string.h>

enum troupe_error definition_words(struct pipeline *pipeline, const struct node *list, const char *what,
                                   const char *const **ret_words, unsigned *ret_count, struct fault *fault) {
    if (list == NULL)
        return TROUPE_OK;
    if (node_kind(list) != DOCUMENT_LIST || node_count(list) == 0)
        return node_fault(list, fault, TROUPE_INVALID,
                          "expected a list of %s with at least one entry, found %s", what, FOUND(list));
    size_t count = node_count(list);
    const char **words = ARENA_ARRAY(&pipeline->arena, const char *, count + 1);
    if (words == NULL)
        return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory reading %s", what);
    for (size_t i = 0; i < count; i++) {
        const struct node *word = node_at(list, i);
        words[i] = node_text(word);
        if (words[i] == NULL || node_kind(word) == DOCUMENT_NULL)
            return node_fault(word, fault, TROUPE_INVALID, "expected a text, found %s", FOUND(word));
        if (node_kind(word) == DOCUMENT_STRING && strlen(words[i]) != node_string_length(word))
            return node_fault(word, fault, TROUPE_INVALID, "expected a text without NUL characters");
    }
    *ret_words = words;
    if (ret_count != NULL)
        *ret_count = (unsigned)count;
    return TROUPE_OK;
}

enum troupe_error definition_metric(const struct node *node, const char *metric, struct fault *fault) {
    size_t length = strlen(metric);
    return length >= 1 && length <= METRIC_NAME_MAX
               ? TROUPE_OK
               : node_fault(node, fault, TROUPE_INVALID, "a metric's name has %zu bytes; expected 1 to %d",
                            length, METRIC_NAME_MAX);
}

enum troupe_error definition_name(const struct node *map, size_t index, const char *what,
                                  struct fault *fault) {
    const char *name = node_key_at(map, index);
    size_t length = strlen(name);
    bool good = length > 0 && length <= 63 && !isdigit((unsigned char)name[0]);
    for (size_t i = 0; i < length && good; i++)
        good = isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == '-';
    if (!good)
        return node_fault(node_at(map, index), fault, TROUPE_INVALID,
                          "'%.80s' is no name for %s: expected 1 to 63 letters, digits, '_' or '-', not "
                          "starting with a digit",
                          name, what);
    return TROUPE_OK;
}

enum troupe_error definition_resources(struct pipeline *pipeline, const struct node *map,
                                       struct resources *ret, struct fault *fault) {
    if (map == NULL)
        return TROUPE_OK;
    if (node_kind(map) != DOCUMENT_MAP)
        return node_fault(map, fault, TROUPE_INVALID, "expected a map of resource names to amounts, found %s",
                          FOUND(map));
    for (size_t i = 0; i < node_count(map); i++) {
        const struct node *amount = node_at(map, i);
        enum troupe_error error = definition_name(map, i, "a resource", fault);
        if (error != TROUPE_OK)
            return error;
        unsigned index;
        if (resource_intern(&pipeline->resource_names, node_key_at(map, i), &index) != TROUPE_OK)
            return node_fault(amount, fault, TROUPE_LIMIT, "more than %d kinds of resources", RESOURCES_MAX);
        int64_t value = 0;
        error = node_read_bytes(amount, &value, fault); /* plain counts are bytes without a unit */
        if (error != TROUPE_OK)
            return error;
        if (value < 0)
            return node_fault(amount, fault, TROUPE_INVALID, "expected an amount of at least 0");
        ret->amount[index] = value;
    }
    return TROUPE_OK;
}

/* An agent that only looks for metrics by name cannot report another one: told before the first trial. */
static enum troupe_error check_reported(struct pipeline *pipeline, const struct node *section, unsigned stage,
                                        const char *metric, struct fault *fault) {
    const struct pipeline_agent *deaf = NULL;
    for (unsigned i = 0; i < pipeline->agent_count; i++) {
        const struct pipeline_agent *agent = &pipeline->agents[i];
        if (!capability_set_has(&agent->capabilities, pipeline->stages[stage].capability))
            continue;
        if (agent->kind != PIPELINE_AGENT_ONCE)
            return TROUPE_OK;
        for (const char *const *known = agent->metrics; *known != NULL; known++)
            if (strcmp(*known, metric) == 0)
                return TROUPE_OK;
        deaf = agent;
    }
    return node_fault(
        node_get(section, "metric") != NULL ? node_get(section, "metric") : section, fault, TROUPE_INVALID,
        "stage '%s' can never report '%s': agent '%s' looks only for the names in its `metrics:`",
        pipeline->stages[stage].name, metric, deaf->name);
}

static enum troupe_error read_metric(struct pipeline *pipeline, const struct node *section,
                                     const char *metric_default, unsigned *ret_stage, const char **ret_metric,
                                     struct fault *fault) {
    const char *stage = NULL;
    enum troupe_error error = node_read_string(node_get(section, "stage"), &stage, fault);
    if (error == TROUPE_OK)
        error = node_read_string(node_get(section, "metric"), ret_metric, fault);
    if (error != TROUPE_OK)
        return error;
    if (*ret_metric == NULL)
        *ret_metric = metric_default;
    if (stage == NULL || *ret_metric == NULL)
        return node_fault(section, fault, TROUPE_INVALID, "expected both `stage:` and `metric:`");
    if (node_get(section, "metric") != NULL)
        error = definition_metric(node_get(section, "metric"), *ret_metric, fault);
    if (error != TROUPE_OK)
        return error;
    int found = pipeline_stage_find(pipeline, stage);
    if (found < 0) {
        const char *names[PIPELINE_STAGES_MAX];
        for (unsigned i = 0; i < pipeline->stage_count; i++)
            names[i] = pipeline->stages[i].name;
        const char *nearest = text_nearest(stage, names, pipeline->stage_count);
        return node_fault(node_get(section, "stage"), fault, TROUPE_INVALID, "there is no stage '%s'%s%s%s",
                          stage, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                          nearest ? "'?" : "");
    }
    *ret_stage = (unsigned)found;
    return check_reported(pipeline, section, *ret_stage, *ret_metric, fault);
}

static enum troupe_error read_objective(struct pipeline *pipeline, const struct node *root,
                                        struct fault *fault) {
    static const char *const keys[] = {"stage", "metric", "goal"};
    static const char *const test_keys[] = {"stage", "metric"};
    const struct node *objective = node_get(root, "objective");
    if (objective == NULL || node_kind(objective) != DOCUMENT_MAP)
        return node_fault(objective ? objective : root, fault, TROUPE_INVALID,
                          "expected `objective: {stage: NAME, metric: NAME, goal: maximise | minimise}`");
    enum troupe_error error = node_check_keys(objective, keys, ARRAY_COUNT(keys), fault);
    if (error == TROUPE_OK)
        error = read_metric(pipeline, objective, NULL, &pipeline->objective_stage,
                            &pipeline->objective_metric, fault);
    if (error != TROUPE_OK)
        return error;
    const char *goal = NULL;
    error = node_read_string(node_get(objective, "goal"), &goal, fault);
    if (error != TROUPE_OK)
        return error;
    if (goal == NULL)
        return node_fault(objective, fault, TROUPE_INVALID,
                          "`goal:` is missing: expected maximise or minimise");
    if (strcmp(goal, "maximise") == 0 || strcmp(goal, "maximize") == 0)
        pipeline->maximise = true;
    else if (strcmp(goal, "minimise") != 0 && strcmp(goal, "minimize") != 0)
        return node_fault(node_get(objective, "goal"), fault, TROUPE_INVALID,
                          "expected maximise or minimise, found '%s'", goal);
    pipeline->test_stage = pipeline->stage_count;
    const struct node *test = node_get(root, "test");
    if (test == NULL)
        return TROUPE_OK;
    if (node_kind(test) != DOCUMENT_MAP)
        return node_fault(test, fault, TROUPE_INVALID, "expected `test: {stage: NAME, metric: NAME}`");
    error = node_check_keys(test, test_keys, ARRAY_COUNT(test_keys), fault);
    if (error == TROUPE_OK)
        error = read_metric(pipeline, test, pipeline->objective_metric, &pipeline->test_stage,
                            &pipeline->test_metric, fault);
    if (error == TROUPE_OK && pipeline->test_stage == pipeline->objective_stage)
        error = node_fault(test, fault, TROUPE_INVALID,
                           "the test stage must not be the objective's: it would be seen by the search");
    return error;
}

static enum troupe_error read_budget(struct pipeline *pipeline, const struct node *root,
                                     struct fault *fault) {
    static const char *const keys[] = {"trials", "deadline", "parallel", "failures_max"};
    const struct node *budget = node_get(root, "budget");
    if (budget == NULL || node_kind(budget) != DOCUMENT_MAP)
        return node_fault(budget ? budget : root, fault, TROUPE_INVALID,
                          "expected `budget: {trials: N}` or `budget: {deadline: 60s}` or both");
    enum troupe_error error = node_check_keys(budget, keys, ARRAY_COUNT(keys), fault);
    int64_t trials = 0, deadline = 0, parallel = 0, failures = 10;
    if (error == TROUPE_OK)
        error = node_read_int(node_get(budget, "trials"), 1, PIPELINE_TRIALS_MAX, &trials, fault);
    if (error == TROUPE_OK)
        error = node_read_duration(node_get(budget, "deadline"), &deadline, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(budget, "parallel"), 1, PIPELINE_PARALLEL_MAX, &parallel, fault);
    if (error == TROUPE_OK)
        error = node_read_int(node_get(budget, "failures_max"), 1, PIPELINE_TRIALS_MAX, &failures, fault);
    if (error != TROUPE_OK)
        return error;
    if (node_get(budget, "deadline") != NULL && deadline <= 0)
        return node_fault(node_get(budget, "deadline"), fault, TROUPE_INVALID,
                          "expected a duration above 0, such as 60s");
    if (trials == 0 && deadline == 0)
        return node_fault(budget, fault, TROUPE_INVALID, "expected `trials:` or `deadline:` or both");
    pipeline->trials = (unsigned)trials;
    pipeline->deadline_ns = (uint64_t)deadline;
    pipeline->parallel = (unsigned)parallel;
    pipeline->failures_max = (unsigned)failures;
    return TROUPE_OK;
}

static enum troupe_error read_optimizer(struct pipeline *pipeline, const struct node *root,
                                        struct fault *fault) {
    static const char *const keys[] = {"sampler", "seed", "deterministic", "startup"};
    const struct node *optimizer = node_get(root, "optimizer");
    const char *sampler = "auto";
    int64_t seed = 1, deterministic = 0, startup = 0;
    if (optimizer != NULL) {
        if (node_kind(optimizer) != DOCUMENT_MAP)
            return node_fault(optimizer, fault, TROUPE_INVALID,
                              "expected `optimizer: {sampler: auto, seed: 1}`, found %s", FOUND(optimizer));
        enum troupe_error error = node_check_keys(optimizer, keys, ARRAY_COUNT(keys), fault);
        if (error == TROUPE_OK)
            error = node_read_string(node_get(optimizer, "sampler"), &sampler, fault);
        if (error == TROUPE_OK)
            error = node_read_int(node_get(optimizer, "seed"), 0, INT64_MAX, &seed, fault);
        if (error == TROUPE_OK)
            error = node_read_int(node_get(optimizer, "deterministic"), 0, PIPELINE_PARALLEL_MAX,
                                  &deterministic, fault);
        if (error == TROUPE_OK)
            error = node_read_int(node_get(optimizer, "startup"), 0, 10000, &startup, fault);
        if (error != TROUPE_OK)
            return error;
        if (sampler_parse(sampler, &pipeline->study.sampler) != TROUPE_OK)
            return node_fault(node_get(optimizer, "sampler"), fault, TROUPE_INVALID,
                              "unknown sampler '%s': expected auto, random, sobol, tpe or grid", sampler);
    }
    pipeline->study.seed = (uint64_t)seed;
    pipeline->study.deterministic = (unsigned)deterministic;
    pipeline->study.startup = (unsigned)startup;
    pipeline->study.maximise = pipeline->maximise;
    pipeline->study.trials_max = PIPELINE_TRIALS_MAX;
    pipeline->study.baseline_first = space_has_baseline(pipeline->space);
    return TROUPE_OK;
}

static enum troupe_error read_all(struct pipeline *pipeline, struct fault *fault) {
    static const char *const keys[] = {"name",      "data",      "space",   "constraints", "agents",
                                       "stages",    "objective", "test",    "resources",   "budget",
                                       "optimizer", "options",   "feedback"};
    const struct node *root = document_root(pipeline->document);
    if (node_kind(root) != DOCUMENT_MAP)
        return node_fault(
            root, fault, TROUPE_INVALID,
            "expected a pipeline: a map with name, space, agents, stages, objective and budget, found %s",
            FOUND(root));
    enum troupe_error error = node_check_keys(root, keys, ARRAY_COUNT(keys), fault);
    pipeline->name = "pipeline";
    if (error == TROUPE_OK)
        error = node_read_string(node_get(root, "name"), &pipeline->name, fault);
    if (error == TROUPE_OK && node_get(root, "data") != NULL &&
        node_kind(node_get(root, "data")) != DOCUMENT_MAP)
        error = node_fault(node_get(root, "data"), fault, TROUPE_INVALID, "expected a map, found %s",
                           FOUND(node_get(root, "data")));
    if (error == TROUPE_OK && node_get(root, "space") == NULL)
        error = node_fault(root, fault, TROUPE_INVALID, "`space:` is missing: the variables to choose from");
    if (error == TROUPE_OK)
        error =
            space_compile(node_get(root, "space"), node_get(root, "constraints"), &pipeline->space, fault);
    if (error == TROUPE_OK)
        error = definition_resources(pipeline, node_get(root, "resources"), &pipeline->resources, fault);
    if (error == TROUPE_OK)
        error = definition_agents(pipeline, node_get(root, "agents"), fault);
    if (error == TROUPE_OK)
        error = definition_feedback(pipeline, node_get(root, "feedback"), fault);
    if (error == TROUPE_OK)
        error = definition_stages(pipeline, node_get(root, "stages"), fault);
    if (error == TROUPE_OK)
        error = read_objective(pipeline, root, fault);
    if (error == TROUPE_OK)
        error = definition_graph(pipeline, fault);
    if (error == TROUPE_OK)
        error = read_budget(pipeline, root, fault);
    if (error == TROUPE_OK)
        error = read_optimizer(pipeline, root, fault);
    if (error != TROUPE_OK)
        return error;
    /* An infeasible space is told before anything starts. */
    struct random_stream random;
    random_seed(&random, pipeline->study.seed, UINT64_MAX);
    struct configuration *probe = ARENA_NEW(&pipeline->arena, struct configuration);
    if (probe == NULL)
        return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
    struct fault why = {0};
    error = space_draw(pipeline->space, &random, 0, probe, &why);
    const struct node *constraints = node_get(root, "constraints");
    return error == TROUPE_OK ? error
                              : node_fault(constraints != NULL ? constraints : node_get(root, "space"), fault,
                                           error, "%s", why.text);
}

static enum troupe_error apply_sets(struct pipeline *pipeline, const char *const *sets, size_t count,
                                    struct fault *fault) {
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(sets[i], '=');
        if (equals == NULL || equals == sets[i])
            return fault_set(fault, TROUPE_USAGE, "--set",
                             "expected PATH=VALUE, such as budget.trials=20, found '%s'", sets[i]);
        char *path = arena_copy(&pipeline->arena, sets[i], (size_t)(equals - sets[i]));
        if (path == NULL)
            return fault_set(fault, TROUPE_NOMEM, "--set", "out of memory");
        struct document *changed = NULL;
        enum troupe_error error = document_with(pipeline->document, path, equals + 1, &changed, fault);
        if (error != TROUPE_OK)
            return error;
        document_free(pipeline->document);
        pipeline->document = changed;
    }
    return TROUPE_OK;
}

enum troupe_error pipeline_parse(struct env *env, struct account *account, const char *text, size_t length,
                                 const char *source, const char *directory, const char *const *sets,
                                 size_t set_count, struct pipeline **ret_pipeline, struct fault *fault) {
    struct pipeline *pipeline = memory_alloc(account, sizeof *pipeline);
    if (pipeline == NULL)
        return fault_set(fault, TROUPE_NOMEM, source, "out of memory reading the pipeline");
    pipeline->account = account;
    arena_init(&pipeline->arena, account);
    char absolute[4096];
    struct document_limits limits = {.unplaced = strcmp(source, PIPELINE_COMMAND_LINE) == 0};
    enum troupe_error error = env_absolute(env, directory, absolute, sizeof absolute);
    if (error != TROUPE_OK)
        fault_set(fault, error, directory, "cannot find this directory");
    pipeline->source = arena_copy(&pipeline->arena, source, strlen(source));
    if (error == TROUPE_OK)
        pipeline->directory = arena_copy(&pipeline->arena, absolute, strlen(absolute));
    if (error == TROUPE_OK && (pipeline->source == NULL || pipeline->directory == NULL))
        error = fault_set(fault, TROUPE_NOMEM, source, "out of memory reading the pipeline");
    if (error == TROUPE_OK)
        error = document_parse_yaml(text, length, source, &limits, &pipeline->document, fault);
    if (error == TROUPE_OK)
        error = apply_sets(pipeline, sets, set_count, fault);
    if (error == TROUPE_OK)
        error = read_all(pipeline, fault);
    if (error != TROUPE_OK) {
        pipeline_free(pipeline);
        return error;
    }
    *ret_pipeline = pipeline;
    return TROUPE_OK;
}

enum troupe_error pipeline_load(struct env *env, struct account *account, const char *path,
                                const char *const *sets, size_t set_count, struct pipeline **ret_pipeline,
                                struct fault *fault) {
    struct buffer text;
    buffer_init(&text, account, 16 << 20);
    enum troupe_error error = env_read_file(env, path, &text, fault);
    if (error == TROUPE_OK) {
        const char *slash = strrchr(path, '/');
        struct buffer directory;
        buffer_init(&directory, account, 4096);
        if (slash == NULL)
            buffer_text(&directory, ".");
        else
            buffer_append(&directory, path, slash == path ? 1 : (size_t)(slash - path));
        error = buffer_ok(&directory);
        if (error == TROUPE_OK)
            error = pipeline_parse(env, account, buffer_string(&text), text.length, path,
                                   buffer_string(&directory), sets, set_count, ret_pipeline, fault);
        else
            fault_set(fault, error, path, "out of memory reading the pipeline");
        buffer_free(&directory);
    }
    buffer_free(&text);
    return error;
}

void pipeline_free(struct pipeline *pipeline) {
    if (pipeline == NULL)
        return;
    space_free(pipeline->space);
    document_free(pipeline->document);
    arena_free(&pipeline->arena);
    memory_free(pipeline->account, pipeline);
}

int pipeline_stage_find(const struct pipeline *pipeline, const char *name) {
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        if (strcmp(pipeline->stages[i].name, name) == 0)
            return (int)i;
    return -1;
}
