/* run_agents: the agents of a run: those that are started with it, those that come and go while it runs, and how many
 * trials they are good for at once.
 *
 * An instance has one index for the run's life, whether it was started or not: the agents in the order of the definition,
 * each with `instances_max` of them. Records name instances by it.
 * Threads: run_agents_start before the runtime runs; the rest in the engine's turns, on worker 0.
 * Memory:  the run's account; handles and the names of logs live until run_agents_free, after runtime_free. */
#include "agent/agent.h"
#include "pipeline/run_internal.h"

#include <limits.h>
#include <stdio.h>

#define STAYS_MAX 512 /* of more the whole run is taken */
struct stay {         /* of one that came or left while the run lasted */
    unsigned index;
    int64_t from_us, to_us; /* to: INT64_MAX while it is here */
};
struct run_agents {
    struct agents *handles[PIPELINE_AGENTS_MAX];
    struct stay stays[STAYS_MAX];
    unsigned stay_count;
    char logs[PIPELINE_AGENTS_MAX][1200];
};

enum troupe_error run_agents_create(struct run *run, struct fault *fault) {
    run->agent_parts = memory_alloc(run->account, sizeof *run->agent_parts);
    if (run->agent_parts == NULL)
        return fault_set(fault, TROUPE_NOMEM, run->id, "out of memory starting the run");
    for (unsigned a = 0; a < run->pipeline->agent_count; a++) {
        run->agent_first[a] = run->agent_count;
        run->agent_count += run->pipeline->agents[a].instances_max;
    }
    return TROUPE_OK;
}

void run_agents_free(struct run *run) {
    for (unsigned a = 0; run->agent_parts != NULL && a < PIPELINE_AGENTS_MAX; a++)
        agents_free(run->agent_parts->handles[a]);
    memory_free(run->account, run->agent_parts);
}

unsigned run_agents_here(const struct run *run, unsigned agent) {
    unsigned count = 0;
    for (unsigned i = 0; i < run->pipeline->agents[agent].instances_max; i++)
        count += run->agent_states[run->agent_first[agent] + i] == INSTANCE_HERE;
    return count;
}

unsigned run_agents_proven(const struct run *run, unsigned agent) {
    unsigned count = 0;
    for (unsigned i = run->agent_first[agent];
         i < run->agent_first[agent] + run->pipeline->agents[agent].instances_max; i++)
        count += run->agent_states[i] == INSTANCE_HERE && run->agent_proofs[i] == PROOF_WORKED;
    return count;
}

/* Which of the pipeline's agents an instance is of. */
static unsigned agent_of(const struct run *run, unsigned index) {
    unsigned agent = run->pipeline->agent_count - 1;
    while (run->agent_first[agent] > index)
        agent--;
    return agent;
}

/* ---- slots ---- */

/* They finish what they have. */
static unsigned leaving(const struct run *run, unsigned agent) {
    unsigned count = 0;
    for (unsigned i = 0; i < run->pipeline->agents[agent].instances_max; i++)
        count += run->agent_states[run->agent_first[agent] + i] == INSTANCE_LEAVING;
    return count;
}

void run_agents_count(struct run *run, uint64_t now_ns) {
    const struct pipeline *pipeline = run->pipeline;
    unsigned in_trial = 0;
    if (run->end_ns == 0) { /* what is told after the end changes no time before it */
        run->slots_time_ns += (now_ns - run->slots_since_ns) * run->slots;
        run->slots_since_ns = now_ns;
    }
    run->slots = 0;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        unsigned here = run->started ? run_agents_here(run, a) : pipeline->agents[a].instances;
        bool used = false;
        for (unsigned s = 0; s < pipeline->stage_count; s++)
            used |= pipeline->stages[s].in_trial &&
                    capability_set_has(&pipeline->agents[a].capabilities, pipeline->stages[s].capability);
        run->slots += here + leaving(run, a);
        in_trial += used ? here * pipeline->agents[a].batch_max : 0;
    }
    run->parallel = pipeline->parallel != 0 ? pipeline->parallel : in_trial;
    if (run->parallel > PIPELINE_PARALLEL_MAX)
        run->parallel = PIPELINE_PARALLEL_MAX;
    if (run->parallel == 0)
        run->parallel = 1;
}

/* ---- start ---- */

static struct agent_spec spec_of(const struct run *run, unsigned a) {
    const struct pipeline_agent *definition = &run->pipeline->agents[a];
    bool logs = !run->options.no_store && run->options.disk_model == NULL;
    struct agent_spec spec = {.name = definition->name,
                              .argv = definition->argv,
                              .metrics = definition->metrics,
                              .kind = definition->kind == PIPELINE_AGENT_COMMAND ? AGENT_COMMAND
                                      : definition->kind == PIPELINE_AGENT_ONCE  ? AGENT_ONCE
                                                                                 : AGENT_NATIVE,
                              .plugin = definition->native,
                              .in_process = !definition->isolate,
                              .capabilities = definition->capabilities,
                              .capability_names = &run->pipeline->capabilities,
                              .resources = definition->resources,
                              .options_json = definition->options_json,
                              .instances = definition->instances,
                              .instances_max = definition->instances_max,
                              .batch_max = definition->batch_max,
                              .batch_wait_ns = definition->batch_wait_ns,
                              .window = definition->window,
                              .environment = definition->environment,
                              .directory = run->pipeline->directory,
                              .log_path = logs ? run->agent_parts->logs[a] : NULL,
                              .timeout_ns = definition->timeout_ns,
                              .queue_len_max = run->options.agent_queue_len_max,
                              .start_timeout_ns = run->options.worker_start_timeout_ns,
                              .restarts_max = run->options.agent_restarts_max,
                              .restart_window_ns = run->options.agent_restart_window_ns,
                              .stop_grace_ns = run->options.stop_grace_ns,
                              .cancel_grace_ns = run->options.cancel_grace_ns,
                              .worker_line_max = run->options.worker_line_max,
                              .coordinator = run->coordinator,
                              .account = run->account};
    if (spec.window < spec.batch_max)
        spec.window = spec.batch_max;
    return spec;
}

enum troupe_error run_agents_start(struct run *run, struct fault *fault) {
    const struct pipeline *pipeline = run->pipeline;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        snprintf(run->agent_parts->logs[a], sizeof run->agent_parts->logs[a], "%s/%s.log", run->directory,
                 pipeline->agents[a].name);
        struct agent_spec spec = spec_of(run, a);
        enum troupe_error error =
            agent_start(run->runtime, run->registry, &spec, &run->agent_parts->handles[a], fault);
        if (error != TROUPE_OK)
            return error;
        for (unsigned i = 0; i < pipeline->agents[a].instances; i++) {
            run->agents[run->agent_first[a] + i] = agents_actor(run->agent_parts->handles[a], i);
            run->agent_states[run->agent_first[a] + i] = INSTANCE_HERE;
        }
    }
    return TROUPE_OK;
}

void run_agents_watch(struct run *run, struct turn *turn) {
    for (unsigned i = 0; i < run->agent_count; i++)
        if (run->agent_states[i] == INSTANCE_HERE &&
            actor_monitor(turn, run->agents[i], run_token(TOKEN_AGENT_DOWN, i)) == TROUPE_OK)
            run->agents_live++;
}

/* ---- coming and going ---- */

static void stay_begins(struct run *run, unsigned index, uint64_t now_ns) {
    struct run_agents *parts = run->agent_parts;
    if (parts->stay_count < STAYS_MAX)
        parts->stays[parts->stay_count++] = (struct stay){index, running_us(run, now_ns), INT64_MAX};
}

static void stay_ends(struct run *run, unsigned index, uint64_t now_ns) {
    struct run_agents *parts = run->agent_parts;
    unsigned at = 0;
    while (at < parts->stay_count && (parts->stays[at].index != index || parts->stays[at].to_us != INT64_MAX))
        at++;
    if (at == parts->stay_count && at < STAYS_MAX)
        parts->stays[parts->stay_count++] =
            (struct stay){index, 0, INT64_MAX}; /* it was started with the run */
    if (at < parts->stay_count)
        parts->stays[at].to_us = running_us(run, now_ns);
}

void run_agents_write_stays(const struct run *run, struct json *json) {
    const struct run_agents *parts = run->agent_parts;
    if (parts == NULL || parts->stay_count == 0)
        return;
    json_key(json, "stays");
    json_array_begin(json);
    for (unsigned i = 0; i < parts->stay_count; i++) {
        const struct stay *stay = &parts->stays[i];
        unsigned agent = agent_of(run, stay->index);
        char name[200];
        snprintf(name, sizeof name, "%.150s/%u", run->pipeline->agents[agent].name,
                 stay->index - run->agent_first[agent]);
        json_object_begin(json);
        json_field_string(json, "agent", name);
        json_field_real(json, "from_ms", (double)stay->from_us / 1e3);
        if (stay->to_us != INT64_MAX)
            json_field_real(json, "to_ms", (double)stay->to_us / 1e3);
        json_object_end(json);
    }
    json_array_end(json);
}

enum troupe_error run_agents_add(struct run *run, struct turn *turn, unsigned agent, struct fault *fault) {
    unsigned number = 0, first = run->agent_first[agent];
    while (number < run->pipeline->agents[agent].instances_max &&
           run->agent_states[first + number] != INSTANCE_ABSENT)
        number++;
    for (unsigned i = 0; i < number && number == run->pipeline->agents[agent].instances_max; i++)
        if (run->agent_states[first + i] == INSTANCE_LEAVING)
            return fault_set(fault, TROUPE_FULL, run->pipeline->agents[agent].name,
                             "an instance that was asked to leave is still here");
    if (number == run->pipeline->agents[agent].instances_max)
        return fault_set(fault, TROUPE_LIMIT, run->pipeline->agents[agent].name,
                         "there are %u instances, at most instances_max", number);
    enum troupe_error error = agents_add(run->runtime, run->registry, run->agent_parts->handles[agent],
                                         number, &run->agents[first + number], fault);
    if (error != TROUPE_OK)
        return error;
    if (actor_monitor(turn, run->agents[first + number], run_token(TOKEN_AGENT_DOWN, first + number)) ==
        TROUPE_OK)
        run->agents_live++; /* else nobody waits for it at the end, as for those of the start */
    run->agent_states[first + number] = INSTANCE_HERE;
    run->agent_proofs[first + number] = PROOF_NONE;
    stay_begins(run, first + number, turn->now_ns);
    run_agents_count(run, turn->now_ns);
    return TROUPE_OK;
}

static bool ask_to_drain(struct run *run, struct turn *turn, unsigned index) {
    struct message *message = message_new(run->runtime, MESSAGE_AGENT_DRAIN, 0);
    bool sent = message != NULL && actor_send(run->runtime, turn, run->agents[index], &message) == TROUPE_OK;
    message_free(&message);
    return sent;
}

/* One that fails before one that did nothing yet, that before one that works; the newest of those. UINT_MAX: none. */
static unsigned to_retire(const struct run *run, unsigned agent) {
    static const unsigned char rank[] = {[PROOF_WORKED] = 1, [PROOF_NONE] = 2, [PROOF_FAILED] = 3};
    unsigned first = run->agent_first[agent], chosen = UINT_MAX, best = 0;
    for (unsigned i = first + run->pipeline->agents[agent].instances_max; i-- > first;)
        if (run->agent_states[i] == INSTANCE_HERE && rank[run->agent_proofs[i]] > best) {
            chosen = i;
            best = rank[run->agent_proofs[i]];
        }
    return chosen;
}

bool run_agents_retire(struct run *run, struct turn *turn, unsigned agent) {
    unsigned index = to_retire(run, agent);
    if (index == UINT_MAX || !ask_to_drain(run, turn, index))
        return false;
    run->agent_states[index] = INSTANCE_LEAVING;
    run_agents_count(run, turn->now_ns);
    return true;
}

void run_agents_drain(struct run *run, struct turn *turn) {
    for (unsigned i = 0; i < run->agent_count; i++)
        if (run->agent_states[i] == INSTANCE_HERE || run->agent_states[i] == INSTANCE_GONE)
            ask_to_drain(run, turn, i); /* one that gave up is an actor still */
}

void run_agents_down(struct run *run, unsigned index, uint64_t now_ns) {
    if (run->agents_live > 0)
        run->agents_live--;
    enum run_instance was = run->agent_states[index];
    /* One that gave up is not tried again: it keeps its number. */
    run->agent_states[index] = was == INSTANCE_LEAVING ? INSTANCE_ABSENT : INSTANCE_GONE;
    if (was != INSTANCE_GONE && run->end_ns == 0) {
        stay_ends(run, index, now_ns);
        run_agents_count(run, now_ns);
    }
}

unsigned run_agents_find(const struct run *run, actor_ref actor) {
    unsigned index = 0;
    while (index < run->agent_count && (actor == 0 || run->agents[index] != actor))
        index++;
    return index;
}

void run_agents_heard(struct run *run, struct turn *turn, const struct message_agent_event *event) {
    unsigned index = run_agents_find(run, event->agent);
    if (index == run->agent_count)
        return;
    if (event->event == AGENT_WORKER_DIED || event->event == AGENT_GAVE_UP)
        run->agent_proofs[index] = PROOF_FAILED;
    if (event->event == AGENT_GAVE_UP && run->agent_states[index] == INSTANCE_HERE) {
        run->agent_states[index] = INSTANCE_GONE;
        stay_ends(run, index, turn->now_ns);
        run_agents_count(run, turn->now_ns);
    }
}

void run_agents_worked(struct run *run, actor_ref actor) {
    unsigned index = run_agents_find(run, actor);
    if (index < run->agent_count)
        run->agent_proofs[index] = PROOF_WORKED;
}

bool run_agents_in_process(const struct run *run, actor_ref actor) {
    unsigned index = run_agents_find(run, actor);
    if (index == run->agent_count)
        return false;
    const struct pipeline_agent *definition = &run->pipeline->agents[agent_of(run, index)];
    return definition->kind == PIPELINE_AGENT_NATIVE && !definition->isolate;
}

uint64_t run_stale_answers(const struct run *run, unsigned agent) {
    uint64_t stale = 0;
    const struct agents *handle = run->agent_parts != NULL ? run->agent_parts->handles[agent] : NULL;
    for (unsigned i = 0; handle != NULL && i < agents_count(handle); i++) {
        struct agent_statistics statistics;
        agents_statistics(handle, i, &statistics);
        stale += statistics.stale_answers;
    }
    return stale;
}
