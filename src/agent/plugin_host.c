/* Opens native plugins and runs their tasks: checks the exported structure, answers the helpers of struct
 * troupe_plugin_host from the task's JSON, collects what the plugin sets into a task_result.
 *
 * Invariants: the JSON is parsed at most once a task, and only when something in it is asked for, so a stage
 *             that reads nothing costs no parse. The first refused setter decides the task's error, whatever
 *             the plugin returns.
 * Threads: none of its own; see plugin_host.h.
 * Memory:  what a task's helpers hand out is in the call's arena and document and dies when plugin_execute
 *          returns. dlopen is the one call on the system here. */
#include "agent/plugin_host.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES_MAX 65536

struct plugin {
    struct account *account;
    void *library;
    const struct troupe_plugin *description;
};

struct plugin_instance {
    struct plugin *plugin;
    void *state;
    struct document *options;
};

/* One execution; what the plugin sees of it is the first member of each half. */
struct call {
    struct troupe_plugin_task task;
    const struct plugin_request *request;
    struct plugin_instance *instance;
    struct document *document; /* of the body, when it was parsed here */
    const struct node *members;
    bool parsed;
    enum troupe_error error; /* of the parse */
    struct arena arena;
};
struct outcome {
    struct troupe_plugin_result result;
    struct call *call;
    unsigned metric_count;
    struct metric metrics[METRICS_MAX];
    char artifact[128];
    char *value; /* in the call's arena */
    size_t value_length;
    bool retryable, refused; /* refused: a setter was; message says which */
    char message[512];
};

static struct call *call_of(const struct troupe_plugin_task *task) {
    return (struct call *)(uintptr_t)task; /* task is its first member; the plugin sees it const */
}

static struct outcome *outcome_of(struct troupe_plugin_result *result) {
    return (struct outcome *)result;
}

/* ---- reading the task ---- */

/* The members, or NULL: a body that does not parse or fit was made by Troupe, so every helper then says
 * absent and plugin_execute reports it. */
static const struct node *call_members(struct call *call) {
    if (call->parsed)
        return call->members;
    call->parsed = true;
    call->error = TROUPE_NOMEM;
    size_t length = call->request->body_length;
    char *text = arena_alloc(&call->arena, length + 3);
    if (!text)
        return NULL;
    text[0] = '{';
    if (length > 0)
        memcpy(text + 1, call->request->body, length);
    text[length + 1] = '}';
    call->error = document_parse_json(text, length + 2, "task", NULL, &call->document, NULL);
    if (call->error == TROUPE_OK)
        call->members = document_root(call->document);
    return call->members;
}

/* "name.inner.0" below `node`; NULL: absent. An exact key wins over its dots. */
static const struct node *node_below(const struct node *node, const char *path) {
    char part[256];
    while (node && *path) {
        const struct node *whole = node_kind(node) == DOCUMENT_MAP ? node_get(node, path) : NULL;
        if (whole)
            return whole;
        size_t length = strcspn(path, ".");
        if (length >= sizeof part)
            return NULL;
        memcpy(part, path, length);
        part[length] = '\0';
        int64_t index;
        if (node_kind(node) == DOCUMENT_MAP)
            node = node_get(node, part);
        else if (node_kind(node) == DOCUMENT_LIST && text_int(part, &index) == TROUPE_OK && index >= 0 &&
                 (size_t)index < node_count(node))
            node = node_at(node, (size_t)index);
        else
            return NULL;
        path += length + (path[length] == '.');
    }
    return node;
}

static const struct node *member(const struct troupe_plugin_task *task, const char *section,
                                 const char *path) {
    const struct node *members = call_members(call_of(task));
    const struct node *map = members ? node_get(members, section) : NULL;
    return map && path ? node_below(map, path) : NULL;
}

static int read_real(const struct node *node, double *ret_value) {
    if (!node || (node_kind(node) != DOCUMENT_INT && node_kind(node) != DOCUMENT_REAL))
        return 0;
    *ret_value = node_real(node);
    return 1;
}

static uint64_t host_seed(const struct troupe_plugin_task *task) {
    const struct node *members = call_members(call_of(task));
    const struct node *seed = members ? node_get(members, "seed") : NULL;
    return seed && node_kind(seed) == DOCUMENT_INT ? (uint64_t)node_int(seed) : 0;
}

static int host_variable_real(const struct troupe_plugin_task *task, const char *name, double *ret_value) {
    return read_real(member(task, "variables", name), ret_value);
}

static int host_variable_int(const struct troupe_plugin_task *task, const char *name, int64_t *ret_value) {
    const struct node *node = member(task, "variables", name);
    if (!node)
        return 0;
    if (node_kind(node) == DOCUMENT_INT)
        *ret_value = node_int(node);
    else if (node_kind(node) == DOCUMENT_REAL && node_real(node) == floor(node_real(node)) &&
             fabs(node_real(node)) < 9e15)
        *ret_value = (int64_t)node_real(node);
    else
        return 0;
    return 1;
}

static const char *host_variable_text(const struct troupe_plugin_task *task, const char *name) {
    return node_text(member(task, "variables", name));
}

static int host_data_real(const struct troupe_plugin_task *task, const char *path, double *ret_value) {
    return read_real(member(task, "data", path), ret_value);
}

static const char *host_data_text(const struct troupe_plugin_task *task, const char *path) {
    return node_text(member(task, "data", path));
}

static const struct node *option(const struct troupe_plugin_task *task, const char *path) {
    const struct document *options = call_of(task)->instance->options;
    return options && path ? node_below(document_root(options), path) : NULL;
}

static int host_option_real(const struct troupe_plugin_task *task, const char *path, double *ret_value) {
    return read_real(option(task, path), ret_value);
}

static const char *host_option_text(const struct troupe_plugin_task *task, const char *path) {
    return node_text(option(task, path));
}

/* Stage names may hold dots, so `stage` is one key and not a path. */
static const struct node *input(const struct troupe_plugin_task *task, const char *stage, const char *field) {
    const struct node *members = call_members(call_of(task));
    const struct node *inputs = members ? node_get(members, "inputs") : NULL;
    const struct node *one = inputs && stage ? node_get(inputs, stage) : NULL;
    return one && node_kind(one) == DOCUMENT_MAP ? node_get(one, field) : NULL;
}

static const char *host_input_json(const struct troupe_plugin_task *task, const char *stage,
                                   size_t *ret_length) {
    const struct node *value = input(task, stage, "value");
    if (!value)
        return NULL;
    struct call *call = call_of(task);
    struct buffer text;
    buffer_init(&text, call->instance->plugin->account, 0);
    struct json json;
    json_init(&json, &text);
    node_write_json(value, &json);
    const char *copy = NULL;
    if (buffer_ok(&text) == TROUPE_OK)
        copy = arena_copy(&call->arena, buffer_string(&text), text.length);
    if (copy && ret_length)
        *ret_length = text.length;
    buffer_free(&text);
    return copy;
}

static int host_input_real(const struct troupe_plugin_task *task, const char *stage, const char *path,
                           double *ret_value) {
    const struct node *value = input(task, stage, "value");
    return value && path ? read_real(node_below(value, path), ret_value) : 0;
}

static const char *host_input_text(const struct troupe_plugin_task *task, const char *stage,
                                   const char *path) {
    const struct node *value = input(task, stage, "value");
    return value && path ? node_text(node_below(value, path)) : NULL;
}

static const char *host_input_path(const struct troupe_plugin_task *task, const char *stage) {
    return node_text(input(task, stage, "path"));
}

static bool file_name_valid(const char *name) {
    return name && name[0] != '\0' && name[0] != '.' && strlen(name) < 128 && !strchr(name, '/');
}

static const char *host_artifact_path(const struct troupe_plugin_task *task, const char *name) {
    if (!task->artifact_directory || !file_name_valid(name))
        return NULL;
    return arena_format(&call_of(task)->arena, "%s/%s", task->artifact_directory, name);
}

/* ---- the surroundings ---- */

static int64_t host_remaining_ms(const struct troupe_plugin_task *task) {
    const struct plugin_request *request = call_of(task)->request;
    const struct plugin_port *port = request->port;
    if (request->deadline_ns == UINT64_MAX || !port || !port->now_ns)
        return INT64_MAX;
    uint64_t now = port->now_ns(port->context);
    return now >= request->deadline_ns ? 0 : (int64_t)((request->deadline_ns - now) / 1000000);
}

static int host_cancelled(const struct troupe_plugin_task *task) {
    const struct plugin_port *port = call_of(task)->request->port;
    return (port && port->cancelled && port->cancelled(port->context)) || host_remaining_ms(task) == 0;
}

static void host_progress(const struct troupe_plugin_task *task, int64_t step, const char *metric,
                          double value) {
    const struct plugin_port *port = call_of(task)->request->port;
    if (port && port->progress && step >= 0 && metric && strlen(metric) <= METRIC_NAME_MAX && isfinite(value))
        port->progress(port->context, step, metric, value);
}

static void host_log(const struct troupe_plugin_task *task, const char *text) {
    const struct plugin_port *port = call_of(task)->request->port;
    if (port && port->log && text)
        port->log(port->context, text);
}

/* ---- writing the result ---- */

static int refuse(struct outcome *outcome, const char *format, ...) PRINTF_LIKE(2, 3);
static int refuse(struct outcome *outcome, const char *format, ...) {
    if (!outcome->refused) { /* the first one is the cause */
        va_list args;
        va_start(args, format);
        vsnprintf(outcome->message, sizeof outcome->message, format, args);
        va_end(args);
        outcome->refused = true;
        outcome->retryable = false;
    }
    return 0;
}

static int host_set_metric(struct troupe_plugin_result *result, const char *name, double value) {
    struct outcome *outcome = outcome_of(result);
    if (!name || name[0] == '\0' || strlen(name) > METRIC_NAME_MAX)
        return refuse(outcome, "metric '%.80s': a name has 1 to %d bytes", name ? name : "", METRIC_NAME_MAX);
    if (!isfinite(value))
        return refuse(outcome, "metric '%s' is %g; expected a finite number", name, value);
    unsigned at = 0;
    while (at < outcome->metric_count && strcmp(outcome->metrics[at].name, name) != 0)
        at++;
    if (at == METRICS_MAX)
        return refuse(outcome, "metric '%s' is one too many; a result has at most %d", name, METRICS_MAX);
    snprintf(outcome->metrics[at].name, sizeof outcome->metrics[at].name, "%s", name);
    outcome->metrics[at].value = value;
    if (at == outcome->metric_count)
        outcome->metric_count++;
    return 1;
}

static int host_set_value_json(struct troupe_plugin_result *result, const char *json, size_t length) {
    struct outcome *outcome = outcome_of(result);
    if (!json || length == 0 || length > VALUE_BYTES_MAX)
        return refuse(outcome,
                      "a value of %zu bytes; expected JSON of 1 to %d bytes (write an artifact instead)",
                      length, VALUE_BYTES_MAX);
    struct fault fault;
    struct document *document = NULL;
    if (document_parse_json(json, length, "value", NULL, &document, &fault) != TROUPE_OK)
        return refuse(outcome, "the value is not JSON: %s: %s", fault.where, fault.text);
    /* Written anew: it then holds no line break, and is valid UTF-8. */
    struct buffer text;
    buffer_init(&text, outcome->call->instance->plugin->account, 0);
    struct json writer;
    json_init(&writer, &text);
    node_write_json(document_root(document), &writer);
    document_free(document);
    char *copy = NULL;
    if (buffer_ok(&text) == TROUPE_OK)
        copy = arena_copy(&outcome->call->arena, buffer_string(&text), text.length);
    size_t written = text.length;
    buffer_free(&text);
    if (!copy)
        return refuse(outcome, "out of memory for a value of %zu bytes", length);
    if (written > VALUE_BYTES_MAX)
        return refuse(outcome, "a value of %zu bytes as written; at most %d", written, VALUE_BYTES_MAX);
    outcome->value = copy;
    outcome->value_length = written;
    return 1;
}

static int host_set_artifact(struct troupe_plugin_result *result, const char *name) {
    struct outcome *outcome = outcome_of(result);
    if (!outcome->call->task.artifact_directory)
        return refuse(outcome, "artifact '%.80s': this task has no artifact directory", name ? name : "");
    if (!file_name_valid(name))
        return refuse(outcome, "artifact '%.80s': expected a file name without '/' and without a leading '.'",
                      name ? name : "");
    snprintf(outcome->artifact, sizeof outcome->artifact, "%s", name);
    return 1;
}

static int host_set_error(struct troupe_plugin_result *result, int retryable, const char *text) {
    struct outcome *outcome = outcome_of(result);
    if (outcome->refused)
        return 0;
    outcome->retryable = retryable != 0;
    snprintf(outcome->message, sizeof outcome->message, "%s", text ? text : "");
    return 1;
}

static const struct troupe_plugin_host host = {
    .abi = TROUPE_PLUGIN_ABI,
    .size = sizeof(struct troupe_plugin_host),
    .seed = host_seed,
    .variable_real = host_variable_real,
    .variable_int = host_variable_int,
    .variable_text = host_variable_text,
    .data_real = host_data_real,
    .data_text = host_data_text,
    .option_real = host_option_real,
    .option_text = host_option_text,
    .input_json = host_input_json,
    .input_real = host_input_real,
    .input_text = host_input_text,
    .input_path = host_input_path,
    .artifact_path = host_artifact_path,
    .remaining_ms = host_remaining_ms,
    .cancelled = host_cancelled,
    .progress = host_progress,
    .log = host_log,
    .set_metric = host_set_metric,
    .set_value_json = host_set_value_json,
    .set_artifact = host_set_artifact,
    .set_error = host_set_error,
};

/* ---- opening, instances, execution ---- */

static enum troupe_error description_check(const struct troupe_plugin *description, const char *path,
                                           struct fault *fault) {
    if (description->abi != TROUPE_PLUGIN_ABI)
        return fault_set(fault, TROUPE_UNSUPPORTED, path, "has plugin ABI %" PRIu32 "; this Troupe has %d",
                         description->abi, TROUPE_PLUGIN_ABI);
    if (description->size < sizeof *description)
        return fault_set(fault, TROUPE_INVALID, path,
                         "its troupe_plugin says %" PRIu32
                         " bytes; expected .size = sizeof(struct troupe_plugin), %zu",
                         description->size, sizeof *description);
    if (!description->name || description->name[0] == '\0')
        return fault_set(fault, TROUPE_INVALID, path, "its troupe_plugin has no name");
    if (!description->execute)
        return fault_set(fault, TROUPE_INVALID, path, "its troupe_plugin has no execute function");
    if (!description->capabilities || !description->capabilities[0])
        return fault_set(fault, TROUPE_INVALID, path,
                         "its troupe_plugin has no capabilities; expected at least one");
    for (unsigned i = 0; description->capabilities[i]; i++) {
        if (i == CAPABILITIES_MAX)
            return fault_set(fault, TROUPE_LIMIT, path,
                             "more than %d capabilities (is the list ended by NULL?)", CAPABILITIES_MAX);
        size_t length = strlen(description->capabilities[i]);
        if (length == 0 || length > 63)
            return fault_set(fault, TROUPE_INVALID, path,
                             "capability %u has a name of %zu bytes; expected 1 to 63", i, length);
    }
    return TROUPE_OK;
}

enum troupe_error plugin_open(struct account *account, const char *path, struct plugin **ret_plugin,
                              struct fault *fault) {
    if (!strchr(path, '/')) /* dlopen would search the library path, where no plugin belongs */
        return fault_set(fault, TROUPE_INVALID, path, "expected the path of a plugin, with a '/' in it");
    struct plugin *plugin = memory_alloc(account, sizeof *plugin);
    if (!plugin)
        return fault_set(fault, TROUPE_NOMEM, path, "out of memory");
    plugin->account = account;
    plugin->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    enum troupe_error error;
    if (!plugin->library) {
        const char *why = dlerror();
        bool absent = why && strstr(why, "cannot open shared object file: No such file");
        error = fault_set(fault, absent ? TROUPE_NOT_FOUND : TROUPE_INVALID, path, "cannot be loaded: %s",
                          why ? why : "no reason given");
        goto out;
    }
    plugin->description = dlsym(plugin->library, "troupe_plugin");
    if (!plugin->description) {
        error =
            fault_set(fault, TROUPE_INVALID, path,
                      "exports no `troupe_plugin` (see troupe_plugin.h; is it marked TROUPE_PLUGIN_EXPORT?)");
        goto out;
    }
    error = description_check(plugin->description, path, fault);
    if (error == TROUPE_OK) {
        *ret_plugin = plugin;
        return TROUPE_OK;
    }
out:
    plugin_close(plugin);
    return error;
}

void plugin_close(struct plugin *plugin) {
    if (!plugin)
        return;
    if (plugin->library)
        dlclose(plugin->library);
    memory_free(plugin->account, plugin);
}

const struct troupe_plugin *plugin_description(const struct plugin *plugin) {
    return plugin->description;
}

bool plugin_has(const struct plugin *plugin, const char *capability) {
    for (const char *const *at = plugin->description->capabilities; *at; at++)
        if (strcmp(*at, capability) == 0)
            return true;
    return false;
}

enum troupe_error plugin_instance_create(struct plugin *plugin, const char *options_json, uint32_t number,
                                         struct plugin_instance **ret_instance, struct fault *fault) {
    const struct troupe_plugin *description = plugin->description;
    const char *options = options_json ? options_json : "{}";
    struct plugin_instance *instance = memory_alloc(plugin->account, sizeof *instance);
    if (!instance)
        return fault_set(fault, TROUPE_NOMEM, description->name, "out of memory");
    instance->plugin = plugin;
    enum troupe_error error =
        document_parse_json(options, strlen(options), "options", NULL, &instance->options, fault);
    if (error == TROUPE_OK && description->create) {
        char why[512] = "";
        if (description->create(options, number, &instance->state, why, sizeof why) != 0) {
            why[sizeof why - 1] = '\0';
            error =
                fault_set(fault, TROUPE_WORKER, description->name, "cannot start instance %" PRIu32 ": %s",
                          number, why[0] ? why : "the plugin does not say why");
        }
    }
    if (error != TROUPE_OK) {
        document_free(instance->options);
        memory_free(plugin->account, instance);
        return error;
    }
    *ret_instance = instance;
    return TROUPE_OK;
}

void plugin_instance_destroy(struct plugin_instance *instance) {
    if (!instance)
        return;
    const struct troupe_plugin *description = instance->plugin->description;
    if (description->destroy)
        description->destroy(instance->state);
    document_free(instance->options);
    memory_free(instance->plugin->account, instance);
}

static enum troupe_error outcome_result(const struct outcome *outcome, int status,
                                        struct task_result **ret_result) {
    struct call *call = outcome->call;
    bool failed = status != 0 || outcome->refused || call->error != TROUPE_OK;
    struct task_result *result = task_result_new(call->request->account, failed ? NULL : outcome->value,
                                                 failed ? 0 : outcome->value_length);
    if (!result)
        return TROUPE_NOMEM;
    const char *name = call->instance->plugin->description->name;
    if (!failed) {
        result->metric_count = outcome->metric_count;
        memcpy(result->metrics, outcome->metrics, sizeof result->metrics);
        snprintf(result->artifact, sizeof result->artifact, "%s", outcome->artifact);
    } else if (call->error != TROUPE_OK) { /* helpers said absent: what the plugin made of it means nothing */
        result->error = call->error;
        result->retryable = error_retryable(call->error);
        snprintf(result->message, sizeof result->message, "%s: the task could not be read: %s", name,
                 error_text(call->error));
    } else {
        result->error = TROUPE_WORKER;
        result->retryable = outcome->retryable;
        if (outcome->message[0])
            snprintf(result->message, sizeof result->message, "%s", outcome->message);
        else
            snprintf(result->message, sizeof result->message, "plugin %s returned %d without saying why",
                     name, status);
    }
    *ret_result = result;
    return TROUPE_OK;
}

enum troupe_error plugin_execute(struct plugin_instance *instance, const struct plugin_request *request,
                                 struct task_result **ret_result) {
    struct call call = {.task = {.host = &host,
                                 .run = request->run,
                                 .stage = request->stage,
                                 .capability = request->capability,
                                 .artifact_directory = request->artifact_directory,
                                 .trial = request->trial,
                                 .attempt = request->attempt},
                        .request = request,
                        .instance = instance,
                        .members = request->members,
                        .parsed = request->members != NULL};
    arena_init(&call.arena, instance->plugin->account);
    struct outcome outcome = {.result = {.host = &host}, .call = &call};
    int status = instance->plugin->description->execute(instance->state, &call.task, &outcome.result);
    enum troupe_error error = outcome_result(&outcome, status, ret_result);
    document_free(call.document);
    arena_free(&call.arena);
    return error;
}
