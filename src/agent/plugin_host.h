/* plugin_host: native plugins (include/troupe_plugin.h) opened, checked and called. Used by the isolated
 * child (native_worker.c) and, with `isolate: false`, by the agent on job threads.
 *
 * Threads: a plugin is read-only once open; calls on one instance must not overlap, different instances may.
 * Memory:  the account given to plugin_open pays for everything; results go to the account of the request.
 * Failure: an open or create that fails says why in the fault. plugin_execute gives a task_result for
 * everything that a plugin can do wrong short of crashing; only NOMEM has no result. */
#ifndef AGENT_PLUGIN_HOST_H
#define AGENT_PLUGIN_HOST_H

#include "document/document.h"
#include "task/task.h"

#include "troupe_plugin.h"

struct plugin;
struct plugin_instance;

/* What the host needs of its surroundings; any function may be NULL. Called on the thread of plugin_execute.
 */
struct plugin_port {
    void *context;
    uint64_t (*now_ns)(void *context);
    bool (*cancelled)(void *context);
    void (*progress)(void *context, int64_t step, const char *metric, double value);
    void (*log)(void *context, const char *text);
};

/* One execution. The texts live until plugin_execute returns. */
struct plugin_request {
    const char *run, *stage, *capability;
    const char *artifact_directory; /* NULL: none */
    uint32_t trial, attempt;
    uint64_t deadline_ns; /* on the port's clock; UINT64_MAX: none */
    const char *body;     /* JSON members as in task.h, parsed when the plugin first asks for one */
    size_t body_length;
    const struct node *members; /* instead of body: the same members, parsed */
    const struct plugin_port *port;
    struct account *account; /* of the result */
};

/* NOT_FOUND: no such file. UNSUPPORTED: another ABI. INVALID: not a plugin, with what is wrong in it. */
MUST_CHECK enum troupe_error plugin_open(struct account *account, const char *path,
                                         struct plugin **ret_plugin, struct fault *fault);
void plugin_close(struct plugin *plugin); /* after its instances; NULL is fine */
const struct troupe_plugin *plugin_description(const struct plugin *plugin);
bool plugin_has(const struct plugin *plugin, const char *capability);

/* `options_json` NULL: "{}". WORKER with the plugin's own words when its create fails. */
MUST_CHECK enum troupe_error plugin_instance_create(struct plugin *plugin, const char *options_json,
                                                    uint32_t instance, struct plugin_instance **ret_instance,
                                                    struct fault *fault);
void plugin_instance_destroy(struct plugin_instance *instance); /* NULL is fine */

MUST_CHECK enum troupe_error plugin_execute(struct plugin_instance *instance,
                                            const struct plugin_request *request,
                                            struct task_result **ret_result);

#endif
