/* agent: starts the instances of one agent and keeps what is read of them from outside: their actors and
 * counters.
 *
 * Memory: struct agents is counted by its handle and by each instance, for the actors use its copy of the
 * spec and the counters until they are destroyed. */
#include "agent/agent_instance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 63
#define INSTANCES_MAX 1024
#define WINDOW_MAX 4096
#define QUEUE_MAX 65536
#define RESTARTS_MAX 1000
#define SECOND_NS UINT64_C(1000000000)

struct agents {
    struct agent_spec spec; /* defaults filled in */
    struct account *account;
    _Atomic int references; /* the handle and each instance */
    unsigned count;
    actor_ref *actors;
    struct instance_counters *counters;
};

static void agents_drop(struct agents *agents) {
    /* Whoever goes last sees what the others did: release pairs with acquire. */
    if (atomic_fetch_sub_explicit(&agents->references, 1, memory_order_acq_rel) != 1)
        return;
    struct account *account = agents->account;
    memory_free(account, agents->actors);
    memory_free(account, agents->counters);
    memory_free(account, agents);
}

void agents_free(struct agents *agents) {
    if (agents)
        agents_drop(agents);
}

/* ---- the spec ---- */

#define DEFAULT(field, value) ((field) = (field) ? (field) : (value))

static void spec_defaults(struct agent_spec *spec) {
    DEFAULT(spec->instances, 1);
    DEFAULT(spec->instances_max, spec->instances);
    DEFAULT(spec->batch_max, 1);
    DEFAULT(spec->window, spec->batch_max);
    DEFAULT(spec->queue_len_max, spec->window * 2 > 64 ? spec->window * 2 : 64);
    DEFAULT(spec->start_timeout_ns, 10 * SECOND_NS);
    DEFAULT(spec->stop_grace_ns, 5 * SECOND_NS);
    DEFAULT(spec->cancel_grace_ns, SECOND_NS / 20);
    DEFAULT(spec->worker_line_max, (size_t)1 << 20);
    DEFAULT(spec->restarts_max, 5);
    DEFAULT(spec->restart_window_ns, 60 * SECOND_NS);
    DEFAULT(spec->restart_backoff_ns, SECOND_NS / 10);
}

static const char *spec_wrong(const struct agent_spec *spec) {
    bool command = spec->kind == AGENT_COMMAND || spec->kind == AGENT_ONCE;
    if (command && (!spec->argv || !spec->argv[0] || !spec->argv[0][0]))
        return "it names no program";
    if (spec->kind == AGENT_NATIVE && (!spec->plugin || !spec->plugin[0]))
        return "it names no plugin";
    if (spec->kind == AGENT_FUNCTION && !spec->execute)
        return "it has no function";
    if (spec->instances > INSTANCES_MAX || spec->instances_max > INSTANCES_MAX)
        return "instances: at most 1024";
    if (spec->instances_max < spec->instances)
        return "instances_max: at least instances";
    if (spec->batch_max > AGENT_BATCH_MAX)
        return "batch_max: at most 64";
    if (spec->window < spec->batch_max || spec->window > WINDOW_MAX)
        return "window: at least batch_max, at most 4096";
    if (spec->queue_len_max < spec->window || spec->queue_len_max > QUEUE_MAX)
        return "queue_len_max: at least window, at most 65536";
    if (spec->worker_line_max < 256)
        return "worker_line_max: at least 256 bytes";
    if (spec->restarts_max > RESTARTS_MAX)
        return "restarts_max: at most 1000";
    return NULL;
}

/* ---- an instance's program and environment ---- */

static bool has_child(const struct agent_spec *spec) {
    return spec->kind == AGENT_COMMAND || spec->kind == AGENT_ONCE ||
           (spec->kind == AGENT_NATIVE && !spec->in_process);
}

static size_t texts_count(const char *const *texts) {
    size_t count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

/* The words point to the spec and to constants; only the array is ours. In simulation the program is what the
 * child model knows it by, so a command is not wrapped. */
static enum troupe_error argv_make(struct instance *instance) {
    static const char exec[] = "worker-exec", once[] = "worker-once", native[] = "worker-native";
    const struct agent_spec *spec = instance->spec;
    size_t words = texts_count(spec->argv) + 2 * texts_count(spec->metrics) + 8, used = 0;
    const char **argv = memory_alloc(instance->account, words * sizeof *argv);
    if (!argv)
        return TROUPE_NOMEM;
    instance->argv = argv;
    if (spec->kind != AGENT_COMMAND || !env_is_sim(instance->env))
        argv[used++] = env_program(instance->env);
    if (spec->kind == AGENT_NATIVE) {
        argv[used++] = native;
        argv[used++] = spec->plugin;
        return TROUPE_OK;
    }
    if (spec->kind == AGENT_ONCE) {
        argv[used++] = once;
        for (const char *const *metric = spec->metrics; metric && *metric; metric++) {
            argv[used++] = "--metric";
            argv[used++] = *metric;
        }
        argv[used++] = "--";
    } else if (!env_is_sim(instance->env)) {
        snprintf(instance->parent, sizeof instance->parent, "%" PRId64, env_pid(instance->env));
        argv[used++] = exec;
        argv[used++] = "--parent";
        argv[used++] = instance->parent;
        argv[used++] = "--";
    }
    for (const char *const *word = spec->argv; *word; word++)
        argv[used++] = *word;
    return TROUPE_OK;
}

/* "CUDA_VISIBLE_DEVICES={instance}" for instance 1: "CUDA_VISIBLE_DEVICES=1". */
static char *template_fill(struct account *account, const char *template, unsigned number) {
    static const char mark[] = "{instance}";
    struct buffer text;
    buffer_init(&text, account, 0);
    for (const char *at; (at = strstr(template, mark)); template = at + strlen(mark)) {
        buffer_append(&text, template, (size_t)(at - template));
        buffer_format(&text, "%u", number);
    }
    buffer_text(&text, template);
    char *filled = buffer_ok(&text) == TROUPE_OK ? memory_text(account, buffer_string(&text)) : NULL;
    buffer_free(&text);
    return filled;
}

static enum troupe_error environment_make(struct instance *instance) {
    size_t count = texts_count(instance->spec->environment);
    if (count == 0)
        return TROUPE_OK;
    instance->environment = memory_alloc(instance->account, (count + 1) * sizeof *instance->environment);
    for (size_t at = 0; instance->environment && at < count; at++)
        if (!(instance->environment[at] =
                  template_fill(instance->account, instance->spec->environment[at], instance->number)))
            return TROUPE_NOMEM;
    return instance->environment ? TROUPE_OK : TROUPE_NOMEM;
}

/* ---- start ---- */

static enum troupe_error instance_messages(struct instance *instance) {
    instance->wake = message_new(instance->runtime, MESSAGE_AGENT_WAKE, 0);
    instance->exit_notice = message_new(instance->runtime, MESSAGE_CHILD_EXITED, 0);
    return instance->wake && instance->exit_notice ? TROUPE_OK : TROUPE_NOMEM;
}

static enum troupe_error instance_fill(struct instance *instance, struct fault *fault) {
    const struct agent_spec *spec = instance->spec;
    enum troupe_error error = queue_create(instance);
    if (error == TROUPE_OK)
        error = instance_messages(instance);
    if (error == TROUPE_OK && instance->has_child) {
        error = argv_make(instance);
        if (error == TROUPE_OK)
            error = environment_make(instance);
        instance->deaths =
            memory_alloc(instance->account, (spec->restarts_max + 1) * sizeof *instance->deaths);
        if (!instance->deaths)
            error = TROUPE_NOMEM;
    }
    if (error != TROUPE_OK)
        return fault_set(fault, error, instance->name, "out of memory");
    if (instance->has_child && spec->log_path)
        error = worker_log_open(instance->env, instance->account, spec->log_path, instance->name,
                                &instance->log, fault);
    if (error == TROUPE_OK && !instance->has_child)
        error = native_agent_open(instance, fault);
    return error;
}

static void instance_gone(void *state) {
    struct instance *instance = state;
    struct agents *agents = instance->agents;
    instance_destroy(instance);
    agents_drop(agents);
}

/* All of an instance but its actor. */
static enum troupe_error instance_create(struct agents *agents, struct runtime *runtime,
                                         struct registry *registry, unsigned number,
                                         struct instance **ret_instance, struct fault *fault) {
    struct instance *instance = memory_alloc(agents->account, sizeof *instance);
    if (!instance)
        return fault_set(fault, TROUPE_NOMEM, agents->spec.name, "out of memory");
    instance->agents = agents;
    instance->spec = &agents->spec;
    instance->runtime = runtime;
    instance->env = runtime_env(runtime);
    instance->registry = registry;
    instance->account = agents->account;
    instance->counters = &agents->counters[number];
    instance->number = number;
    instance->has_child = has_child(&agents->spec);
    instance->state = instance->has_child ? INSTANCE_RESTARTING : INSTANCE_READY;
    instance->timer_ns = instance->closed_limit_ns = instance->start_limit_ns = instance->term_ns =
        instance->kill_ns = INSTANCE_NEVER;
    instance->pump_again_ns = INSTANCE_NEVER;
    instance->restart_ns = instance->has_child ? 0 : INSTANCE_NEVER; /* the first turn starts it */
    snprintf(instance->name, sizeof instance->name, "%s/%u", agents->spec.name, number);
    buffer_init(&instance->out, agents->account, outgoing_bytes_max(&agents->spec));
    buffer_init(&instance->scratch, agents->account, WORKER_VALUE_MAX + 1);
    worker_link_init(&instance->link, instance->env, agents->account, agents->spec.worker_line_max,
                     &child_events, instance);
    GAUGE(instance, started_ns, env_now(instance->env));
    GAUGE(instance, ended_ns, 0); /* of who had the number before */
    atomic_fetch_add_explicit(&agents->references, 1,
                              memory_order_relaxed); /* the handle's is held meanwhile */
    enum troupe_error error = instance_fill(instance, fault);
    if (error != TROUPE_OK) {
        instance_gone(instance);
        return error;
    }
    *ret_instance = instance;
    return TROUPE_OK;
}

static enum troupe_error instance_register(const struct instance *instance, actor_ref self,
                                           struct fault *fault) {
    const struct agent_spec *spec = instance->spec;
    struct agent_profile profile = {.slots = 1,
                                    .batch_max = spec->batch_max,
                                    .window = spec->window,
                                    .queue_len_max = spec->queue_len_max,
                                    .batch_wait_ns = spec->batch_max > 1 ? spec->batch_wait_ns : 0};
    struct registration registration = {.name_space = "agents",
                                        .name = instance->name,
                                        .actor = self,
                                        .capabilities = spec->capabilities,
                                        .resources = spec->resources,
                                        .health = HEALTH_UP,
                                        .opaque = &profile,
                                        .opaque_length = sizeof profile};
    uint64_t version;
    return instance->registry
               ? registry_register(instance->registry, &registration, env_now(instance->env), &version, fault)
               : TROUPE_OK;
}

/* The actor owns `instance` from its spawn on. */
static enum troupe_error instance_spawn(struct agents *agents, struct instance *instance,
                                        struct fault *fault) {
    struct actor_spec actor = {.name = instance->name,
                               .handle = instance_handle,
                               .state = instance,
                               .destroy = instance_gone,
                               .pinned = instance->has_child};
    struct runtime *runtime = instance->runtime;
    struct message *wake = instance->wake; /* its first message, out of reach of its turns until it is sent */
    actor_ref self;
    instance->wake = NULL;
    enum troupe_error error = actor_spawn(runtime, &actor, &self);
    if (error != TROUPE_OK) {
        message_free(&wake);
        instance_gone(instance);
        return fault_set(fault, error, agents->spec.name, "its actor could not be started: %s",
                         error_text(error));
    }
    /* From here on turns may run: only what never changes is read. */
    agents->actors[instance->number] = self;
    if (agents->count <= instance->number)
        agents->count = instance->number + 1;
    error = instance_register(instance, self, fault);
    if (error != TROUPE_OK) {
        message_free(&wake);
        return error;
    }
    error = actor_send(runtime, NULL, self, &wake);
    if (error != TROUPE_OK) {
        message_free(&wake);
        return fault_set(fault, error, agents->spec.name, "its actor could not be woken: %s",
                         error_text(error));
    }
    return TROUPE_OK;
}

static struct agents *agents_new(const struct agent_spec *spec) {
    struct agents *agents = memory_alloc(spec->account, sizeof *agents);
    if (!agents)
        return NULL;
    agents->spec = *spec;
    agents->account = spec->account;
    atomic_init(&agents->references, 1);
    agents->actors = memory_alloc(spec->account, spec->instances_max * sizeof *agents->actors);
    agents->counters = memory_alloc(spec->account, spec->instances_max * sizeof *agents->counters);
    if (agents->actors && agents->counters)
        return agents;
    agents_drop(agents);
    return NULL;
}

enum troupe_error agent_start(struct runtime *runtime, struct registry *registry,
                              const struct agent_spec *spec, struct agents **ret_agents,
                              struct fault *fault) {
    struct agent_spec whole = *spec;
    spec_defaults(&whole);
    const char *name = whole.name ? whole.name : "";
    if (!*name || strlen(name) > NAME_MAX_BYTES)
        return fault_set(fault, TROUPE_INVALID, name, "an agent's name has 1 to %d bytes", NAME_MAX_BYTES);
    const char *wrong = spec_wrong(&whole);
    if (wrong)
        return fault_set(fault, TROUPE_INVALID, name, "%s", wrong);
    struct agents *agents = agents_new(&whole);
    if (!agents)
        return fault_set(fault, TROUPE_NOMEM, name, "out of memory");
    enum troupe_error error = TROUPE_OK;
    for (unsigned number = 0; number < whole.instances && error == TROUPE_OK; number++) {
        struct instance *instance = NULL;
        error = instance_create(agents, runtime, registry, number, &instance, fault);
        if (error == TROUPE_OK)
            error = instance_spawn(agents, instance, fault);
    }
    if (error != TROUPE_OK) {
        for (unsigned at = 0; at < agents->count; at++)
            actor_stop(runtime, agents->actors[at], error);
        agents_free(agents); /* the rest goes with the last of its actors */
        return error;
    }
    *ret_agents = agents;
    return TROUPE_OK;
}

enum troupe_error agents_add(struct runtime *runtime, struct registry *registry, struct agents *agents,
                             unsigned number, actor_ref *ret_actor, struct fault *fault) {
    CHECK(number < agents->spec.instances_max && number <= agents->count);
    struct instance *instance = NULL;
    agents->actors[number] = 0;
    enum troupe_error error = instance_create(agents, runtime, registry, number, &instance, fault);
    if (error == TROUPE_OK)
        error = instance_spawn(agents, instance, fault);
    if (error == TROUPE_OK)
        *ret_actor = agents->actors[number];
    else if (agents->actors[number] != 0)
        actor_stop(runtime, agents->actors[number], error);
    return error;
}

/* ---- from outside ---- */

unsigned agents_count(const struct agents *agents) {
    return agents->count;
}

actor_ref agents_actor(const struct agents *agents, unsigned instance) {
    CHECK(instance < agents->count);
    return agents->actors[instance];
}

const char *agents_name(const struct agents *agents) {
    return agents->spec.name;
}

void agents_drain(struct runtime *runtime, struct agents *agents) {
    for (unsigned at = 0; at < agents->count; at++) {
        struct message *message = message_new(runtime, MESSAGE_AGENT_DRAIN, 0);
        if (message && actor_send(runtime, NULL, agents->actors[at], &message) == TROUPE_OK)
            continue;
        if (message)
            message_free(&message); /* it has ended */
        else
            actor_stop(runtime, agents->actors[at], TROUPE_OK); /* no memory to ask nicely */
    }
}

void agents_statistics(const struct agents *agents, unsigned instance, struct agent_statistics *ret) {
    CHECK(instance < agents->spec.instances_max);
    const struct instance_counters *counters = &agents->counters[instance];
    /* Each is true for a moment of its own; together they add up once the actor has ended. */
#define X(name) ret->name = atomic_load_explicit(&counters->name, memory_order_relaxed);
    INSTANCE_COUNTERS(X)
#undef X
    ret->pid = atomic_load_explicit(&counters->pid, memory_order_relaxed);
}
