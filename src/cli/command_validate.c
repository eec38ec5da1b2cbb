/* `troupe validate`: every check of a run that needs no run: syntax, types, names, graph, capabilities,
 * resources, feasibility, plugins, programs, data files. Says what the pipeline is. */
#include <math.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_request.h"

struct validate_values {
    struct option_list sets;
    bool json, quiet;
};
static const struct option_row rows[] = {
    {OPTION_LIST(struct validate_values, sets, "set", 0, "PATH=VALUE",
                 "override one value of the file, repeatable")},
    {OPTION_FLAG(struct validate_values, json, "json", 0, "one JSON object: what the pipeline is")},
    {OPTION_FLAG(struct validate_values, quiet, "quiet", 'q', "only the exit status, and what is wrong")},
};
static const struct option_table options = {.rows = rows,
                                            .count = ARRAY_COUNT(rows),
                                            .words_min = 1,
                                            .words_max = 1,
                                            .words_name = "one pipeline FILE"};
const struct command_page page_validate = {
    &options,
    "Checks all that can be checked without running: keys and types, the graph of\n"
    "stages, capabilities, resources, the space and its constraints, plugins,\n"
    "programs, data files. What is wrong is named with file:line:column.\n",
    "  troupe validate examples/digits/pipeline.yaml\n"
    "  troupe validate examples/digits/pipeline.yaml --set budget.trials=20\n"};

static void write_variable(const struct space *space, unsigned index, struct buffer *out) {
    const struct variable *variable = space_variable(space, index);
    buffer_format(out, "  %-14s ", variable->name);
    if (variable->kind == VARIABLE_CHOICE) {
        for (unsigned i = 0; i < variable->choice_count && i < 12; i++)
            buffer_format(out, "%s%s", i > 0 ? " | " : "", variable->choices[i]);
        if (variable->choice_count > 12)
            buffer_format(out, " | ... (%u)", variable->choice_count);
    } else {
        buffer_format(out, "%s %g..%g%s", variable->kind == VARIABLE_INT ? "int" : "float", variable->low,
                      variable->high, variable->log ? " (log)" : "");
    }
    if (variable->parent >= 0)
        buffer_format(out, ", depends on %s", space_variable(space, (unsigned)variable->parent)->name);
    buffer_text(out, "\n");
}

static void write_agent(const struct pipeline_agent *agent, struct buffer *out) {
    buffer_format(out, " %s x%u", agent->name, agent->instances);
    if (agent->instances_min < agent->instances_max)
        buffer_format(out, " (%u..%u)", agent->instances_min, agent->instances_max);
}

static void write_stages(const struct pipeline *pipeline, struct buffer *out) {
    for (unsigned k = 0; k < pipeline->stage_count; k++) {
        const struct pipeline_stage *stage = &pipeline->stages[pipeline->order[k]];
        buffer_format(out, "  %-14s by", stage->name);
        for (unsigned a = 0; a < pipeline->agent_count; a++)
            if (capability_set_has(&pipeline->agents[a].capabilities, stage->capability))
                write_agent(&pipeline->agents[a], out);
        for (unsigned i = 0, first = 1; i < pipeline->stage_count; i++)
            if (stage->needs & (1u << i)) {
                buffer_format(out, "%s%s", first ? ", after " : " and ", pipeline->stages[i].name);
                first = 0;
            }
        buffer_text(out, stage->in_trial ? "\n" : ", for the held-out test only\n");
    }
}

static void write_text(const struct pipeline *pipeline, const char *file, struct buffer *out) {
    char text[32];
    unsigned variables = space_count(pipeline->space);
    double size = space_cardinality(pipeline->space);
    buffer_format(out, "%s: ok\n", file);
    buffer_format(out, "%s: %s %s of stage %s", pipeline->name, pipeline->maximise ? "maximise" : "minimise",
                  pipeline->objective_metric, pipeline->stages[pipeline->objective_stage].name);
    if (pipeline->trials != 0)
        buffer_format(out, ", %u trials", pipeline->trials);
    if (pipeline->deadline_ns != 0)
        buffer_format(out, ", deadline %s", text_format_duration(text, (int64_t)pipeline->deadline_ns));
    buffer_format(out, ", sampler %s, seed %llu%s\n", sampler_name(pipeline->study.sampler),
                  (unsigned long long)pipeline->study.seed,
                  pipeline->study.baseline_first ? ", trial 0 is the baseline" : "");
    buffer_format(out, "%u variables, ", variables);
    if (isinf(size))
        buffer_text(out, "continuous\n");
    else
        buffer_format(out, "%.6g configurations\n", size);
    for (unsigned i = 0; i < variables; i++)
        write_variable(pipeline->space, i, out);
    buffer_format(out, "%u stages\n", pipeline->stage_count);
    write_stages(pipeline, out);
}

static void write_json(const struct pipeline *pipeline, const char *file, struct buffer *out) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_bool(&json, "ok", true);
    json_field_string(&json, "file", file);
    json_field_string(&json, "name", pipeline->name);
    json_field_string(&json, "metric", pipeline->objective_metric);
    json_field_string(&json, "goal", pipeline->maximise ? "maximise" : "minimise");
    json_field_int(&json, "trials", pipeline->trials);
    json_field_real(&json, "deadline_ms", (double)pipeline->deadline_ns / 1e6);
    json_field_bool(&json, "baseline", pipeline->study.baseline_first);
    json_key(&json, "stages");
    json_array_begin(&json);
    for (unsigned k = 0; k < pipeline->stage_count; k++)
        json_string(&json, pipeline->stages[pipeline->order[k]].name);
    json_array_end(&json);
    json_key(&json, "configuration");
    space_write_schema(pipeline->space, &json);
    json_object_end(&json);
    buffer_text(out, "\n");
}

enum troupe_error command_validate(struct session *session, int argc, const char *const *argv,
                                   struct fault *fault) {
    struct validate_values values = {0};
    struct option_words words = {.argc = argc, .argv = argv};
    struct pipeline *pipeline = NULL;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error == TROUPE_OK)
        error = pipeline_load(session->env, session->account, words.words[0], values.sets.texts,
                              values.sets.count, &pipeline, fault);
    if (error != TROUPE_OK)
        return error;
    const char *const *directories = plugin_directories(session);
    error = directories == NULL ? fault_set(fault, TROUPE_NOMEM, "validate", "out of memory")
                                : pipeline_resolve(session->env, pipeline, directories, fault);
    if (error == TROUPE_OK)
        error = pipeline_options(session, pipeline, fault);
    struct buffer text;
    buffer_init(&text, session->account, 16 << 20);
    if (error == TROUPE_OK && values.json)
        write_json(pipeline, words.words[0], &text);
    else if (error == TROUPE_OK && !values.quiet)
        write_text(pipeline, words.words[0], &text);
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    pipeline_free(pipeline);
    return error;
}
