/* command_pipeline: `troupe run --var ... -- command` written as a definition, so that there is one path from
 * here on. The text is JSON; messages about it name "command line" and the path (space.lr). */
#include "pipeline/pipeline.h"

#include <string.h>

static enum troupe_error write_space(const struct pipeline_command *command, struct account *account,
                                     struct json *json, struct fault *fault) {
    json_key(json, "space");
    json_object_begin(json);
    for (size_t i = 0; i < command->var_count; i++) {
        const char *equals = strchr(command->vars[i], '=');
        if (equals == NULL || equals == command->vars[i] || equals[1] == '\0')
            return fault_set(fault, TROUPE_USAGE, "--var",
                             "expected NAME=KIND(...), such as 'lr=log(1e-4,1e-1)', found '%s'",
                             command->vars[i]);
        size_t length = (size_t)(equals - command->vars[i]) + 1;
        for (size_t k = 0; k < i; k++)
            if (strncmp(command->vars[k], command->vars[i], length) == 0)
                return fault_set(fault, TROUPE_USAGE, "--var", "'%.*s' is given twice", (int)length - 1,
                                 command->vars[i]);
        struct buffer name;
        buffer_init(&name, account, 4096);
        buffer_append(&name, command->vars[i], (size_t)(equals - command->vars[i]));
        enum troupe_error error = buffer_ok(&name);
        if (error == TROUPE_OK)
            json_field_string(json, buffer_string(&name), equals + 1);
        buffer_free(&name);
        if (error != TROUPE_OK)
            return fault_set(fault, error, "--var", "the name is too long or memory is short");
    }
    json_object_end(json);
    json_key(json, "constraints");
    json_array_begin(json);
    for (size_t i = 0; i < command->constraint_count; i++)
        json_string(json, command->constraints[i]);
    json_array_end(json);
    return TROUPE_OK;
}

static void write_agent(const struct pipeline_command *command, unsigned instances, struct json *json) {
    json_key(json, "agents");
    json_object_begin(json);
    json_key(json, "command");
    json_object_begin(json);
    json_key(json, "once");
    json_array_begin(json);
    for (const char *const *word = command->argv; *word != NULL; word++)
        json_string(json, *word);
    json_array_end(json);
    json_key(json, "metrics");
    json_array_begin(json);
    json_string(json, command->metric);
    json_array_end(json);
    json_field_int(json, "instances", instances);
    if (command->timeout != NULL)
        json_field_string(json, "timeout", command->timeout);
    json_object_end(json);
    json_object_end(json);
}

static void write_rest(const struct pipeline_command *command, struct json *json) {
    json_key(json, "stages");
    json_object_begin(json);
    json_key(json, "command");
    json_object_begin(json);
    json_field_string(json, "capability", "command");
    json_object_end(json);
    json_object_end(json);
    json_key(json, "objective");
    json_object_begin(json);
    json_field_string(json, "stage", "command");
    json_field_string(json, "metric", command->metric);
    json_field_string(json, "goal", command->minimise ? "minimise" : "maximise");
    json_object_end(json);
    json_key(json, "budget");
    json_object_begin(json);
    if (command->trials != 0)
        json_field_int(json, "trials", command->trials);
    if (command->deadline != NULL)
        json_field_string(json, "deadline", command->deadline);
    json_object_end(json);
    json_key(json, "optimizer");
    json_object_begin(json);
    json_field_int(json, "seed", (int64_t)command->seed);
    json_object_end(json);
}

static enum troupe_error check_texts(const char *const *texts, size_t count, const char *option,
                                     struct fault *fault) {
    for (size_t i = 0; i < count; i++)
        if (!text_is_utf8(texts[i]))
            return fault_set(fault, TROUPE_USAGE, option, "'%.120s' is not UTF-8", texts[i]);
    return TROUPE_OK;
}

/* The definition is JSON, which would silently hold other bytes than were given. */
static enum troupe_error check_utf8(const struct pipeline_command *command, struct fault *fault) {
    size_t words = 0;
    while (command->argv[words] != NULL)
        words++;
    enum troupe_error error = check_texts(command->vars, command->var_count, "--var", fault);
    if (error == TROUPE_OK)
        error = check_texts(command->constraints, command->constraint_count, "--constraint", fault);
    if (error == TROUPE_OK)
        error = check_texts(&command->metric, 1, "--metric", fault);
    if (error == TROUPE_OK && command->name != NULL)
        error = check_texts(&command->name, 1, "--name", fault);
    return error == TROUPE_OK ? check_texts(command->argv, words, "--", fault) : error;
}

enum troupe_error pipeline_from_command(struct env *env, struct account *account,
                                        const struct pipeline_command *command, const char *const *sets,
                                        size_t set_count, struct pipeline **ret_pipeline,
                                        struct fault *fault) {
    if (command->metric == NULL)
        return fault_set(fault, TROUPE_USAGE, "--metric",
                         "is missing: the name of the number that the command prints, such as val_acc");
    if (command->metric[0] == '\0' || strlen(command->metric) > METRIC_NAME_MAX)
        return fault_set(fault, TROUPE_USAGE, "--metric", "the name has %zu bytes; expected 1 to %d",
                         strlen(command->metric), METRIC_NAME_MAX);
    if (command->var_count == 0)
        return fault_set(fault, TROUPE_USAGE, "--var",
                         "is missing: at least one variable to choose, such as --var 'lr=log(1e-4,1e-1)'");
    if (command->argv == NULL || command->argv[0] == NULL)
        return fault_set(fault, TROUPE_USAGE, "--", "expected a command after it");
    if (command->trials == 0 && command->deadline == NULL)
        return fault_set(fault, TROUPE_USAGE, "--trials",
                         "expected --trials N or --deadline DURATION, or both");
    enum troupe_error error = check_utf8(command, fault);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    struct json json;
    buffer_init(&text, account, 1 << 20);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_string(&json, "name", command->name != NULL ? command->name : "command");
    error = write_space(command, account, &json, fault);
    if (error == TROUPE_OK) {
        write_agent(command, command->jobs != 0 ? command->jobs : env_cores(env), &json);
        write_rest(command, &json);
        json_object_end(&json);
        error = buffer_ok(&text);
        if (error != TROUPE_OK)
            fault_set(fault, error, "command line", "longer than 1 MiB, or out of memory");
    }
    if (error == TROUPE_OK)
        error = pipeline_parse(env, account, buffer_string(&text), text.length, PIPELINE_COMMAND_LINE, ".",
                               sets, set_count, ret_pipeline, fault);
    buffer_free(&text);
    return error;
}
