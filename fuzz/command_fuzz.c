/* command: `troupe run --var ... -- command` without a file. Every line is one option: "var lr=log(1,2)",
 * "constraint lr < 2", "metric NAME", "minimise", "trials N", "deadline D", "timeout D", "set PATH=VALUE",
 * "name NAME"; any other line is a word of the command. */
#include "fuzz.h"

#include "pipeline/pipeline.h"

#include <stdlib.h>

#define LINES_MAX 48

static struct account account = ACCOUNT("fuzz"), env_account = ACCOUNT("env");

struct words {
    size_t var_count, constraint_count, set_count, argv_count;
    const char *vars[LINES_MAX], *constraints[LINES_MAX], *sets[LINES_MAX], *argv[LINES_MAX + 1];
};

static const char *after(const char *line, const char *word) {
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

static void take_line(const char *line, struct words *words, struct pipeline_command *command) {
    const char *rest;
    if ((rest = after(line, "var")) != NULL)
        words->vars[words->var_count++] = rest;
    else if ((rest = after(line, "constraint")) != NULL)
        words->constraints[words->constraint_count++] = rest;
    else if ((rest = after(line, "set")) != NULL)
        words->sets[words->set_count++] = rest;
    else if ((rest = after(line, "metric")) != NULL)
        command->metric = rest;
    else if ((rest = after(line, "trials")) != NULL)
        command->trials = (unsigned)strtoul(rest, NULL, 10);
    else if ((rest = after(line, "deadline")) != NULL)
        command->deadline = rest;
    else if ((rest = after(line, "timeout")) != NULL)
        command->timeout = rest;
    else if ((rest = after(line, "name")) != NULL)
        command->name = rest;
    else if (strcmp(line, "minimise") == 0)
        command->minimise = true;
    else
        words->argv[words->argv_count++] = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct env *env;
    static char lines[LINES_MAX][512];
    struct words words = {0};
    struct pipeline_command command = {.seed = 1, .jobs = 2};
    struct pipeline *pipeline = NULL;
    struct fault fault = {0};
    if (env == NULL)
        CHECK(env_os_create(&env_account, &env) == TROUPE_OK);
    for (unsigned i = 0; size > 0 && i < LINES_MAX; i++)
        take_line(fuzz_line(&data, &size, lines[i], sizeof lines[i]), &words, &command);
    command.vars = words.vars;
    command.var_count = words.var_count;
    command.constraints = words.constraints;
    command.constraint_count = words.constraint_count;
    command.argv = words.argv;
    enum troupe_error error =
        pipeline_from_command(env, &account, &command, words.sets, words.set_count, &pipeline, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, pipeline);
    pipeline_free(pipeline);
    CHECK(account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
