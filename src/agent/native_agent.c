/* native_agent: instances that have no child: a function of this process, inside the turn or as a job, and a
 * plugin with `isolate: false`, always as a job. What they run is trusted: it cannot be killed, only asked
 * to stop.
 *
 * One task at a time runs per instance, because calls on one plugin instance may not overlap.
 * Threads: the job's thread works on a block of its own (struct native_run) that owns the task for so long;
 *          the actor only writes its `cancelled` flag.
 * Memory:  whoever has the block when the other is gone frees it. The open plugin is counted, for a job may
 *          outlive its actor. */
#include "agent/agent_instance.h"

#include "agent/plugin_host.h"

#include <stdio.h>
#include <string.h>

#define INLINE_BUDGET_NS 500000u /* half a turn's */

struct native_agent {
    struct account *account;
    struct plugin *plugin;
    struct plugin_instance *instance;
    _Atomic int references; /* the actor and its running job */
};

struct native_run {
    struct runtime *runtime;
    const struct agent_spec *spec;
    struct native_agent *native; /* NULL: a function */
    struct task *task;
    struct task_result *result;
    enum troupe_error error;
    uint64_t started_ns, ended_ns, cpu_ns;
    actor_ref self;
    unsigned number;
    _Atomic bool cancelled;
};

enum troupe_error native_agent_open(struct instance *instance, struct fault *fault) {
    const struct agent_spec *spec = instance->spec;
    if (spec->kind != AGENT_NATIVE)
        return TROUPE_OK;
    struct native_agent *native = memory_alloc(instance->account, sizeof *native);
    if (!native)
        return fault_set(fault, TROUPE_NOMEM, instance->name, "out of memory");
    native->account = instance->account;
    atomic_init(&native->references, 1);
    instance->native = native;
    enum troupe_error error = plugin_open(instance->account, spec->plugin, &native->plugin, fault);
    for (unsigned at = 0; error == TROUPE_OK && at < instance->capability_count; at++) {
        const char *name =
            spec->capability_names ? spec->capability_names->names[instance->capabilities[at].bit] : "";
        if (!plugin_has(native->plugin, name))
            error = fault_set(fault, TROUPE_INVALID, instance->name,
                              "plugin %s has no capability '%s' that the agent promises", spec->plugin, name);
    }
    if (error == TROUPE_OK)
        error = plugin_instance_create(native->plugin, spec->options_json, instance->number,
                                       &native->instance, fault);
    return error; /* instance_destroy closes what there is */
}

/* Whoever goes last sees what the other did: release pairs with acquire. */
static void native_drop(struct native_agent *native) {
    if (!native || atomic_fetch_sub_explicit(&native->references, 1, memory_order_acq_rel) != 1)
        return;
    plugin_instance_destroy(native->instance);
    plugin_close(native->plugin);
    memory_free(native->account, native);
}

void native_agent_close(struct instance *instance) {
    native_drop(instance->native);
    instance->native = NULL;
}

/* ---- on the job's thread ---- */

static uint64_t port_now(void *context) {
    struct native_run *run = context;
    return env_now(runtime_env(run->runtime));
}

static bool port_cancelled(void *context) {
    struct native_run *run = context;
    /* Relaxed: the flag says nothing about other memory. */
    return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
}

static void port_progress(void *context, int64_t step, const char *metric, double value) {
    struct native_run *run = context;
    struct message *message =
        message_new(run->runtime, MESSAGE_TASK_PROGRESS, sizeof(struct message_task_progress));
    if (!message)
        return; /* progress is a courtesy */
    struct message_task_progress *progress = MESSAGE_PAYLOAD(message, struct message_task_progress);
    progress->id = run->task->id;
    progress->step = step;
    if (metric && strlen(metric) <= METRIC_NAME_MAX) {
        progress->metric_count = 1;
        snprintf(progress->metrics[0].name, sizeof progress->metrics[0].name, "%s", metric);
        progress->metrics[0].value = value;
    }
    if (actor_send(run->runtime, NULL, run->task->owner, &message) != TROUPE_OK)
        message_free(&message);
}

static void port_log(void *context, const char *text) {
    struct native_run *run = context;
    struct message *message = run->spec->coordinator ? message_new(run->runtime, MESSAGE_AGENT_EVENT,
                                                                   sizeof(struct message_agent_event))
                                                     : NULL;
    if (!message)
        return;
    struct message_agent_event *event = MESSAGE_PAYLOAD(message, struct message_agent_event);
    event->event = AGENT_LOG;
    event->agent = run->self;
    event->instance = run->number;
    event->task = run->task->id;
    snprintf(event->agent_name, sizeof event->agent_name, "%s", run->spec->name);
    snprintf(event->text, sizeof event->text, "%s", text);
    if (actor_send(run->runtime, NULL, run->spec->coordinator, &message) != TROUPE_OK)
        message_free(&message);
}

static void job_run(void *arg) {
    struct native_run *run = arg;
    struct env *env = runtime_env(run->runtime);
    const struct task *task = run->task;
    uint64_t cpu = env_thread_cpu(env);
    run->started_ns = env_now(env);
    if (run->native) {
        struct plugin_port port = {run, port_now, port_cancelled, port_progress, port_log};
        struct plugin_request request = {.run = task->run_name,
                                         .stage = task->stage_name,
                                         .capability = task->capability_name,
                                         .artifact_directory = task->artifact_directory,
                                         .trial = task->id.trial,
                                         .attempt = task->id.attempt,
                                         .deadline_ns = task->deadline_ns,
                                         .body = task->body,
                                         .body_length = task->body_length,
                                         .port = &port,
                                         .account = task->account};
        run->error = plugin_execute(run->native->instance, &request, &run->result);
    } else
        run->error = run->spec->execute(run->spec->execute_arg, task, &run->result);
    run->ended_ns = env_now(env);
    run->cpu_ns = env_thread_cpu(env) - cpu;
}

/* The actor has ended: the block owns all there is. */
static void job_drop(void *arg) {
    struct native_run *run = arg;
    task_result_free(run->result);
    struct account *account = run->spec->account;
    task_free(run->task);
    native_drop(run->native);
    memory_free(account, run);
}

/* ---- in the actor ---- */

static bool job_begin(struct instance *instance, struct turn *turn, struct held *held) {
    struct native_run *run = memory_alloc(instance->account, sizeof *run);
    if (!run)
        return false;
    *run = (struct native_run){.runtime = instance->runtime,
                               .spec = instance->spec,
                               .native = instance->native,
                               .task = held->task,
                               .self = instance->self,
                               .number = instance->number};
    atomic_init(&run->cancelled, false);
    struct job_spec job = {
        .lane = ENV_LANE_POOL, .fn = job_run, .drop = job_drop, .arg = run, .token = INSTANCE_TOKEN_TASK};
    held_execute(instance, held, turn->now_ns);
    instance->running = held;
    instance->run = run;
    /* Relaxed: the queue of jobs orders the rest. */
    if (instance->native)
        atomic_fetch_add_explicit(&instance->native->references, 1, memory_order_relaxed);
    if (job_start(turn, &job) == TROUPE_OK)
        return true;
    if (instance->native)
        atomic_fetch_sub_explicit(&instance->native->references, 1, memory_order_relaxed); /* not the last */
    instance->running = NULL;
    instance->run = NULL;
    memory_free(instance->account, run);
    return false;
}

/* Runs trusted functions here and now, up to half a turn's budget. */
static void inline_run(struct instance *instance, struct turn *turn) {
    uint64_t now_ns = turn->now_ns, until_ns = turn->now_ns + INLINE_BUDGET_NS;
    struct held *held;
    while (now_ns < until_ns && (held = queue_pop(instance))) {
        struct task_result *result = NULL;
        held_execute(instance, held, now_ns);
        enum troupe_error error = instance->spec->execute(instance->spec->execute_arg, held->task, &result);
        uint64_t ended_ns = env_now(instance->env);
        if (error == TROUPE_OK && result) {
            result->cpu_ns = ended_ns - now_ns; /* it never blocks */
            held_end(instance, held, result, ended_ns);
        } else
            held_fail(instance, held, error == TROUPE_OK ? TROUPE_INTERNAL : error, error_retryable(error),
                      ended_ns, "agent %s: %s", instance->name,
                      error == TROUPE_OK ? "no result" : error_text(error));
        now_ns = ended_ns;
    }
}

void native_agent_pump(struct instance *instance, struct turn *turn) {
    instance->pump_again_ns = INSTANCE_NEVER;
    if (instance->spec->kind == AGENT_FUNCTION && instance->spec->execute_inline) {
        inline_run(instance, turn);
        if (queue_peek(instance))
            instance_wake(instance);
    } else if (!instance->running && queue_peek(instance)) {
        struct held *held = queue_pop(instance);
        if (!job_begin(instance, turn, held)) {
            queue_push_back(instance, held);
            instance->pump_again_ns = instance_after(turn->now_ns, 10000000u);
        }
    }
    if (instance->state == INSTANCE_READY || instance->state == INSTANCE_BUSY)
        instance_become(instance, instance->running ? INSTANCE_BUSY : INSTANCE_READY);
    if (instance->running && instance->running->limit_ns <= turn->now_ns &&
        instance->running->fate == FATE_ANSWER) {
        instance->running->fate = FATE_TIMEOUT;
        instance_event(
            instance, AGENT_LOG, instance->running->task,
            "agent %s: a task passed its limit; it runs in this process and can only be asked to stop",
            instance->name);
        native_agent_cancel(instance);
    }
}

void native_agent_cancel(struct instance *instance) {
    atomic_store_explicit(&instance->run->cancelled, true, memory_order_relaxed); /* see port_cancelled */
}

void native_agent_done(struct instance *instance, struct turn *turn, void *arg) {
    struct native_run *run = arg;
    struct held *held = instance->running;
    CHECK(held && held->task == run->task && instance->run == run);
    instance->running = NULL;
    instance->run = NULL;
    struct task_result *result = run->result;
    held->task->started_ns = run->started_ns;
    uint64_t ended_ns = run->ended_ns > run->started_ns ? run->ended_ns : run->started_ns;
    if (result && held->fate == FATE_ANSWER) {
        if (result->cpu_ns < run->cpu_ns)
            result->cpu_ns = run->cpu_ns;
        held_end(instance, held, result, ended_ns);
    } else {
        char limit[32];
        task_result_free(result);
        if (held->fate == FATE_CANCELLED)
            held_fail(instance, held, TROUPE_CANCELLED, false, ended_ns, "cancelled");
        else if (held->fate == FATE_TIMEOUT)
            held_fail(instance, held, held_limit_error(held), !held->deadline_limits, ended_ns,
                      "agent %s: passed its %s; it ran for %s", instance->name,
                      held->deadline_limits ? "deadline" : "timeout",
                      text_format_duration(limit, (int64_t)(ended_ns - run->started_ns)));
        else
            held_fail(instance, held, run->error == TROUPE_OK ? TROUPE_INTERNAL : run->error,
                      error_retryable(run->error), ended_ns, "agent %s: %s", instance->name,
                      run->error == TROUPE_OK ? "no result" : error_text(run->error));
    }
    native_drop(run->native);
    memory_free(instance->account, run);
    (void)turn;
}
