/* troupe_plugin.h: an agent written in C (or C++) as a shared module.
 *
 * A module exports one structure, `troupe_plugin`. Troupe hosts it in a child process of its own, one per
 * instance, so a crash or a hang costs one task and never the run; with `isolate: false` it is called on
 * threads of Troupe itself, for trusted short work: then `execute` of different instances runs at the same
 * time in one process.
 *
 * Threads: calls on one instance never overlap. The helpers below may only be called from inside `execute`,
 *          on the thread that runs it, with the task and result that it was given.
 * Memory:  everything reached through a task belongs to the host and lives until `execute` returns; what is
 *          handed to a setter is copied.
 * Failure: `create` and `execute` return 0 for success. Helpers that can fail return 0 or NULL when the
 *          thing asked for is absent or of another kind; setters return 0 when the bound in their comment is
 *          passed. Growth: fields are only ever added at the end; `size` says how many there are. */
#ifndef TROUPE_PLUGIN_H
#define TROUPE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TROUPE_PLUGIN_ABI 1
#define TROUPE_PLUGIN_EXPORT __attribute__((visibility("default")))

struct troupe_plugin_host;

/* One unit of work. Read the fields; ask for the rest through task->host or the inline functions at the end.
 */
struct troupe_plugin_task {
    const struct troupe_plugin_host *host;
    const char *run;                /* its name */
    const char *stage;              /* "train" */
    const char *capability;         /* one of those the plugin has */
    const char *artifact_directory; /* absolute; NULL when the task has none */
    uint32_t trial;                 /* 0 is the baseline: every variable at its default */
    uint32_t attempt;               /* from 1 */
};

/* What came of it; filled through the setters of the host. */
struct troupe_plugin_result {
    const struct troupe_plugin_host *host;
};

/* How a plugin reads a task and writes a result, without a JSON parser. A `path` is "name" or "name.inner.0".
 */
struct troupe_plugin_host {
    uint32_t abi, size;

    uint64_t (*seed)(const struct troupe_plugin_task *task); /* draw from it alone: same seed, same result */

    /* Variables of the configuration; inactive ones are absent. Read as text, a number is the text of the
     * number. */
    int (*variable_real)(const struct troupe_plugin_task *task, const char *name, double *ret_value);
    int (*variable_int)(const struct troupe_plugin_task *task, const char *name, int64_t *ret_value);
    const char *(*variable_text)(const struct troupe_plugin_task *task, const char *name);

    /* The `data:` section of the pipeline; file names in it are absolute. */
    int (*data_real)(const struct troupe_plugin_task *task, const char *path, double *ret_value);
    const char *(*data_text)(const struct troupe_plugin_task *task, const char *path);

    /* The `options:` of the agent. */
    int (*option_real)(const struct troupe_plugin_task *task, const char *path, double *ret_value);
    const char *(*option_text)(const struct troupe_plugin_task *task, const char *path);

    /* Results of the stages that this one needs: a value, or the path of an artifact, or both. */
    const char *(*input_json)(const struct troupe_plugin_task *task, const char *stage, size_t *ret_length);
    int (*input_real)(const struct troupe_plugin_task *task, const char *stage, const char *path,
                      double *ret_value);
    const char *(*input_text)(const struct troupe_plugin_task *task, const char *stage, const char *path);
    const char *(*input_path)(const struct troupe_plugin_task *task, const char *stage);

    /* Absolute path for a file called `name` in the task's artifact directory; no '/' and no leading '.' in
     * it. */
    const char *(*artifact_path)(const struct troupe_plugin_task *task, const char *name);

    /* Time left until the task's deadline, INT64_MAX when it has none; and whether to stop early. */
    int64_t (*remaining_ms)(const struct troupe_plugin_task *task);
    int (*cancelled)(const struct troupe_plugin_task *task);

    /* An intermediate value (for pruning and the display) and a line for the run's log. */
    void (*progress)(const struct troupe_plugin_task *task, int64_t step, const char *metric, double value);
    void (*log)(const struct troupe_plugin_task *task, const char *text);

    /* What is refused here fails the task, with the reason, even when the plugin ignores the return value. */
    int (*set_metric)(struct troupe_plugin_result *result, const char *name,
                      double value); /* 16, names up to 63 */
    int (*set_value_json)(struct troupe_plugin_result *result, const char *json, size_t length); /* 64 KiB */
    int (*set_artifact)(struct troupe_plugin_result *result,
                        const char *name); /* a file in artifact_directory */
    int (*set_error)(struct troupe_plugin_result *result, int retryable,
                     const char *text); /* why it failed */
};

/* The one thing a module exports:
 *   TROUPE_PLUGIN_EXPORT const struct troupe_plugin troupe_plugin = {
 *       .abi = TROUPE_PLUGIN_ABI, .size = sizeof(struct troupe_plugin), .name = "digits", ... }; */
struct troupe_plugin {
    uint32_t abi, size;
    const char *name;
    const char *const *capabilities; /* NULL-terminated */

    /* Optional. `options_json` is the agent's `options:` ("{}" when it has none), `instance` counts from 0.
     * Failure: a non-zero return and why in `error`. */
    int (*create)(const char *options_json, uint32_t instance, void **ret_state, char *error,
                  size_t error_size);

    /* 0: done, with what was set in `result`. Otherwise it failed; set_error says why. */
    int (*execute)(void *state, const struct troupe_plugin_task *task, struct troupe_plugin_result *result);

    /* Optional. Called once, for each successful create. */
    void (*destroy)(void *state);
};

/* ---- shorter spellings ---- */
static inline double troupe_variable(const struct troupe_plugin_task *task, const char *name,
                                     double otherwise) {
    double value = otherwise;
    return task->host->variable_real(task, name, &value) ? value : otherwise;
}

static inline const char *troupe_variable_text(const struct troupe_plugin_task *task, const char *name,
                                               const char *otherwise) {
    const char *text = task->host->variable_text(task, name);
    return text ? text : otherwise;
}

static inline int troupe_metric(struct troupe_plugin_result *result, const char *name, double value) {
    return result->host->set_metric(result, name, value);
}

/* For `return troupe_fail(result, 0, "why");` */
static inline int troupe_fail(struct troupe_plugin_result *result, int retryable, const char *text) {
    result->host->set_error(result, retryable, text);
    return 1;
}

#ifdef __cplusplus
}
#endif
#endif
