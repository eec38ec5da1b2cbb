/* A plugin whose capabilities are the things that a test wants to see done: read everything, set everything,
 * and every way of misbehaving. */
#include "troupe_plugin.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int create(const char *options_json, uint32_t instance, void **ret_state, char *error,
                  size_t error_size) {
    (void)options_json;
    uint32_t *state = malloc(sizeof *state);
    if (!state) {
        snprintf(error, error_size, "out of memory");
        return 1;
    }
    *state = instance;
    *ret_state = state;
    return 0;
}

/* Every reader once, into one line of JSON. */
static int read_all(const struct troupe_plugin_task *task, struct troupe_plugin_result *result,
                    uint32_t instance) {
    const struct troupe_plugin_host *host = task->host;
    double real = -1, data = -1, option = -1, input = -1;
    int64_t depth = -1, none = -1;
    size_t length = 0;
    int found = host->variable_real(task, "C", &real) + host->variable_int(task, "depth", &depth) +
                host->data_real(task, "inner.1", &data) + host->option_real(task, "epochs", &option) +
                host->input_real(task, "prepare", "counts.0", &input) + host->variable_int(task, "C", &none);
    const char *json = host->input_json(task, "prepare", &length);
    char text[2048];
    int written = snprintf(
        text, sizeof text,
        "{\"found\":%d,\"C\":%g,\"depth\":%" PRId64
        ",\"kind\":\"%s\",\"absent\":%d,\"data\":%g,\"rows\":\"%s\","
        "\"epochs\":%g,\"mode\":\"%s\",\"count\":%g,\"path\":\"%s\",\"input\":%.*s,\"artifact\":\"%s\","
        "\"seed\":%" PRIu64 ",\"trial\":%" PRIu32 ",\"attempt\":%" PRIu32
        ",\"run\":\"%s\",\"stage\":\"%s\",\"instance\":%" PRIu32 ",\"deadline\":%d,\"cancelled\":%d}",
        found, real, depth, host->variable_text(task, "kind"), host->variable_text(task, "gamma") == NULL,
        data, host->data_text(task, "rows"), option, host->option_text(task, "mode"), input,
        host->input_path(task, "model"), (int)length, json, host->artifact_path(task, "m.bin"),
        host->seed(task), task->trial, task->attempt, task->run, task->stage, instance,
        host->remaining_ms(task) < INT64_MAX, host->cancelled(task));
    return written < (int)sizeof text && host->set_value_json(result, text, (size_t)written) ? 0 : 1;
}

static int misuse(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    const struct troupe_plugin_host *host = task->host;
    const char *what = troupe_variable_text(task, "what", "");
    if (strcmp(what, "nan") == 0)
        troupe_metric(result, "accuracy", NAN);
    else if (strcmp(what, "name") == 0)
        troupe_metric(result, "", 1);
    else if (strcmp(what, "many") == 0)
        for (int i = 0; i < 17; i++) {
            char name[16];
            snprintf(name, sizeof name, "m%d", i);
            troupe_metric(result, name, i);
        }
    else if (strcmp(what, "json") == 0)
        host->set_value_json(result, "{\"a\":", 5);
    else if (strcmp(what, "big") == 0) {
        static char big[65537];
        memset(big, '1', sizeof big);
        host->set_value_json(result, big, sizeof big);
    } else if (strcmp(what, "artifact") == 0)
        host->set_artifact(result, "../escape");
    /* A plugin that looks at no return value and says that all went well. */
    return 0;
}

static int finish(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    static const char value[] = "{ \"text\": \"two\\nlines\",\n \"pi\": 3.5 }";
    const char *path = task->host->artifact_path(task, "model.bin");
    FILE *file = path ? fopen(path, "we") : NULL;
    if (!file || fputs("model", file) < 0 || fclose(file) != 0)
        return troupe_fail(result, 1, "cannot write model.bin");
    task->host->progress(task, 1, "accuracy", 0.5);
    task->host->log(task, "half way");
    printf("a print of the plugin\n");
    troupe_metric(result, "accuracy", 0.5);
    troupe_metric(result, "accuracy", 0.75); /* the last one counts */
    troupe_metric(result, "loss", 2);
    task->host->set_value_json(result, value, sizeof value - 1);
    task->host->set_artifact(result, "model.bin");
    return 0;
}

static int execute(void *state, const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    uint32_t instance = *(uint32_t *)state;
    const char *capability = task->capability;
    if (strcmp(capability, "noop") == 0)
        return 0;
    if (strcmp(capability, "read") == 0)
        return read_all(task, result, instance);
    if (strcmp(capability, "finish") == 0)
        return finish(task, result);
    if (strcmp(capability, "misuse") == 0)
        return misuse(task, result);
    if (strcmp(capability, "fail") == 0)
        return troupe_fail(result, 1, "the \"disk\" is away\nreally");
    if (strcmp(capability, "until_cancelled") == 0) {
        task->host->progress(task, 0, "begun", 1);
        while (!task->host->cancelled(task))
            continue;
        return troupe_fail(result, 0,
                           task->host->remaining_ms(task) == 0 ? "out of time" : "cancelled in time");
    }
    if (strcmp(capability, "crash") == 0)
        abort();
    return 7; /* "silent" */
}

static const char *const capabilities[] = {
    "noop", "read", "finish", "misuse", "fail", "silent", "until_cancelled", "crash", NULL};

TROUPE_PLUGIN_EXPORT const struct troupe_plugin troupe_plugin = {.abi = TROUPE_PLUGIN_ABI,
                                                                 .size = sizeof(struct troupe_plugin),
                                                                 .name = "probe",
                                                                 .capabilities = capabilities,
                                                                 .create = create,
                                                                 .execute = execute,
                                                                 .destroy = free};
