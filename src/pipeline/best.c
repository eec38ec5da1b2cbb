/* best: runs/ID/best/: what a user takes away: configuration.json, the artifacts of the best trial's stages
 * (the model among them) and reproduce.sh, the command that evaluates that configuration again. Written after
 * the runtime has ended, on the calling thread. */
#include "pipeline/run_internal.h"

#include <stdio.h>
#include <string.h>

static enum troupe_error write_text(struct run *run, const char *directory, const char *name,
                                    const struct buffer *text, struct fault *fault) {
    char path[1300];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    enum troupe_error error = buffer_ok(text);
    if (error != TROUPE_OK)
        return fault_set(fault, error, path, "out of memory writing it");
    return env_write_file(run->env, path, text->bytes, text->length, fault);
}

static enum troupe_error write_configuration(struct run *run, const char *directory, struct fault *fault) {
    struct buffer text;
    struct json json;
    buffer_init(&text, run->account, 1 << 20);
    json_init(&json, &text);
    space_write_json(run->pipeline->space, study_configuration(run->study, run->best_trial), &json);
    buffer_text(&text, "\n");
    enum troupe_error error = write_text(run, directory, "configuration.json", &text, fault);
    buffer_free(&text);
    return error;
}

static enum troupe_error write_command(struct run *run, const char *directory, struct fault *fault) {
    struct buffer text;
    char here[4096];
    buffer_init(&text, run->account, 1 << 20);
    buffer_text(&text, "#!/bin/sh\n# Evaluates the best configuration again, as a run of one trial.\n");
    if (env_absolute(run->env, ".", here, sizeof here) == TROUPE_OK) {
        buffer_text(&text, "cd ");
        buffer_shell_word(&text, here);
        buffer_text(&text, " || exit\n");
    }
    buffer_text(&text, "exec ");
    buffer_shell_word(&text, env_program(run->env));
    buffer_text(&text, " run --configuration ");
    char path[1300];
    snprintf(path, sizeof path, "%s/configuration.json", directory);
    buffer_shell_word(&text, path);
    for (const char *const *word = run->options.rerun; word != NULL && *word != NULL; word++) {
        buffer_text(&text, " ");
        buffer_shell_word(&text, *word);
    }
    buffer_text(&text, "\n");
    enum troupe_error error = write_text(run, directory, "reproduce.sh", &text, fault);
    buffer_free(&text);
    return error;
}

enum troupe_error best_write(struct run *run, struct fault *fault) {
    char directory[1100], from[1200], to[1300];
    if (!run->has_best || run->options.no_store || run->options.disk_model != NULL)
        return TROUPE_OK;
    snprintf(directory, sizeof directory, "%s/best", run->directory);
    enum troupe_error error = env_make_directories(run->env, directory, fault);
    if (error == TROUPE_OK)
        error = write_configuration(run, directory, fault);
    if (error == TROUPE_OK)
        error = write_command(run, directory, fault);
    for (unsigned i = 0; i < run->pipeline->stage_count && error == TROUPE_OK; i++) {
        const struct stage_result *result = run->best_results[i];
        if (result == NULL || result->artifact[0] == '\0')
            continue;
        snprintf(from, sizeof from, "%s/%s", run->artifacts, result->artifact);
        snprintf(to, sizeof to, "%s/%s.artifact", directory, run->pipeline->stages[i].name);
        error = env_copy(run->env, from, to, fault);
    }
    return error;
}
