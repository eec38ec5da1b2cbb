/* `troupe worker-native PLUGIN.so`: the isolated child that hosts one instance of a native plugin and speaks
 * the worker protocol for it. A plugin that crashes takes this process with it and nothing else.
 *
 * Threads: one.
 * Memory:  accounts of its own. Runs in a child: see worker_loop.h. */
#include "agent/plugin_host.h"
#include "agent/worker_loop.h"
#include "agent/worker_main.h"

#include <stdio.h>
#include <string.h>

struct native_worker {
    struct account *account;
    struct plugin *plugin;
    struct plugin_instance *instance;
};

/* What a running task's port needs. */
struct running {
    struct worker_loop *loop;
    const struct worker_task *task;
};

static uint64_t port_now(void *context) {
    (void)context;
    return worker_now();
}

static bool port_cancelled(void *context) {
    struct running *running = context;
    return worker_loop_cancelled(running->loop, running->task);
}

static void port_progress(void *context, int64_t step, const char *metric, double value) {
    struct running *running = context;
    worker_loop_progress(running->loop, running->task, step, metric, value);
}

static void port_log(void *context, const char *text) {
    struct running *running = context;
    worker_loop_log(running->loop, running->task, text);
}

static enum troupe_error native_start(void *context, const struct node *start, struct fault *fault) {
    struct native_worker *worker = context;
    const struct node *options = node_get(start, "options");
    const struct node *instance = node_get(start, "instance");
    struct buffer text;
    buffer_init(&text, worker->account, 0);
    if (options && node_kind(options) == DOCUMENT_MAP) {
        struct json json;
        json_init(&json, &text);
        node_write_json(options, &json);
    } else
        buffer_text(&text, "{}");
    enum troupe_error error = buffer_ok(&text);
    if (error == TROUPE_OK)
        error = plugin_instance_create(
            worker->plugin, buffer_string(&text),
            instance && node_kind(instance) == DOCUMENT_INT ? (uint32_t)node_int(instance) : 0,
            &worker->instance, fault);
    else
        error = fault_set(fault, error, "options", "%s", error_text(error));
    buffer_free(&text);
    return error;
}

static void native_capabilities(void *context, struct json *json) {
    struct native_worker *worker = context;
    for (const char *const *at = plugin_description(worker->plugin)->capabilities; *at; at++)
        json_string(json, *at);
}

static enum troupe_error native_task(void *context, struct worker_loop *loop, const struct worker_task *task,
                                     struct task_result **ret_result) {
    struct native_worker *worker = context;
    if (!plugin_has(worker->plugin, task->capability)) {
        struct task_result *result = task_result_new(worker->account, NULL, 0);
        if (!result)
            return TROUPE_NOMEM;
        result->error = TROUPE_NO_AGENT;
        snprintf(result->message, sizeof result->message, "plugin %s has no capability '%.100s'",
                 plugin_description(worker->plugin)->name, task->capability);
        *ret_result = result;
        return TROUPE_OK;
    }
    struct running running = {loop, task};
    struct plugin_port port = {&running, port_now, port_cancelled, port_progress, port_log};
    struct plugin_request request = {.run = task->run,
                                     .stage = task->stage,
                                     .capability = task->capability,
                                     .artifact_directory = task->artifact_directory,
                                     .trial = task->trial,
                                     .attempt = task->attempt,
                                     .deadline_ns = task->deadline_ns,
                                     .members = task->members,
                                     .port = &port,
                                     .account = worker->account};
    uint64_t before = worker_cpu_used();
    enum troupe_error error = plugin_execute(worker->instance, &request, ret_result);
    if (error == TROUPE_OK)
        (*ret_result)->cpu_ns = worker_cpu_used() - before;
    fflush(stdout); /* a print without a line's end still reaches the log with its task */
    return error;
}

int native_worker_main(int argc, char **argv) {
    if (argc != 1) {
        fprintf(stderr, "worker-native: expected the path of one plugin\n");
        return error_exit_status(TROUPE_USAGE);
    }
    struct account account = ACCOUNT("worker-native");
    struct native_worker worker = {.account = &account};
    struct fault fault = {0};
    struct worker_streams streams;
    enum troupe_error error = worker_streams_take(&streams, &fault);
    /* Opened before `start` is read, so that a wrong file is told at once, on standard error. */
    if (error == TROUPE_OK)
        error = plugin_open(&account, argv[0], &worker.plugin, &fault);
    if (error != TROUPE_OK) {
        fprintf(stderr, "%s: %s\n", fault.where, fault.text);
        return error_exit_status(error);
    }
    struct worker_service service = {.context = &worker,
                                     .name = plugin_description(worker.plugin)->name,
                                     .start = native_start,
                                     .capabilities = native_capabilities,
                                     .task = native_task,
                                     .wake = -1};
    int status = worker_loop_run(&account, &streams, &service);
    plugin_instance_destroy(worker.instance);
    plugin_close(worker.plugin);
    return status;
}
