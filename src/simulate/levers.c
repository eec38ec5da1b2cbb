/* levers: what of a pipeline can be turned, each by a value that is worth a look: one instance more and twice as many,
 * one less; tasks handed over in fours; reuse the other way; twice the trials in flight; a stage in half its time.
 * Threads: any. Memory: the caller's list. */
#include "simulate/simulate.h"

#include <stdio.h>
#include <string.h>

static struct lever *lever(struct lever_list *list, enum lever_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);
static struct lever *lever(struct lever_list *list, enum lever_kind kind, const char *format, ...) {
    struct lever *made = &list->levers[list->count];
    if (list->count < LEVERS_MAX)
        list->count++;
    else
        list->left_out++;
    *made = (struct lever){.kind = kind};
    va_list args;
    va_start(args, format);
    vsnprintf(made->text, sizeof made->text, format, args);
    va_end(args);
    return made;
}

static void set(struct lever *lever, const char *format, ...) PRINTF_LIKE(2, 3);
static void set(struct lever *lever, const char *format, ...) {
    if (lever->set_count == LEVER_SETS_MAX)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(lever->sets[lever->set_count++], sizeof lever->sets[0], format, args);
    va_end(args);
}

/* ---- agents ---- */

static bool in_trial(const struct pipeline *pipeline, const struct pipeline_agent *agent) {
    for (unsigned s = 0; s < pipeline->stage_count; s++)
        if (pipeline->stages[s].in_trial &&
            capability_set_has(&agent->capabilities, pipeline->stages[s].capability))
            return true;
    return false;
}

/* What the instances hold must be there, and tasks must keep what they had. */
static void set_instances(const struct pipeline *pipeline, const struct pipeline_agent *agent, unsigned count,
                          struct lever *lever) {
    /* What is not written follows the number itself. */
    if (count > agent->instances_max && agent->instances_max != agent->instances)
        set(lever, "agents.%s.instances_max=%u", agent->name, count);
    if (count < agent->instances_min && agent->instances_min != agent->instances)
        set(lever, "agents.%s.instances_min=%u", agent->name, count);
    set(lever, "agents.%s.instances=%u", agent->name, count);
    for (unsigned r = 0; r < pipeline->resource_names.count && count > agent->instances; r++)
        if (agent->resources.amount[r] > 0)
            set(lever, "resources.%s=%lld", pipeline->resource_names.names[r],
                (long long)(pipeline->resources.amount[r] +
                            agent->resources.amount[r] * (int64_t)(count - agent->instances)));
}

static void more_instances(const struct pipeline *pipeline, struct lever_list *list) {
    unsigned total = 0;
    for (unsigned a = 0; a < pipeline->agent_count; a++)
        total += pipeline->agents[a].instances;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &pipeline->agents[a];
        unsigned count = agent->instances;
        if (!in_trial(pipeline, agent))
            continue;
        if (total + 1 <= PIPELINE_INSTANCES_MAX)
            set_instances(pipeline, agent, count + 1,
                          lever(list, LEVER_MORE, "one more instance of '%s' (%u)", agent->name, count + 1));
        if (count > 1 && total + count <= PIPELINE_INSTANCES_MAX)
            set_instances(
                pipeline, agent, 2 * count,
                lever(list, LEVER_MORE, "twice the instances of '%s' (%u)", agent->name, 2 * count));
    }
}

static void fewer_instances(const struct pipeline *pipeline, struct lever_list *list) {
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &pipeline->agents[a];
        if (in_trial(pipeline, agent) && agent->instances > 1)
            set_instances(pipeline, agent, agent->instances - 1,
                          lever(list, LEVER_FEWER, "one instance of '%s' less (%u)", agent->name,
                                agent->instances - 1));
    }
}

static void handing_over(const struct pipeline *pipeline, struct lever_list *list) {
    static const unsigned most = 1024; /* of both; see definition_agents.c */
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &pipeline->agents[a];
        unsigned batch = agent->batch_max == 1 ? 4 : 2 * agent->batch_max;
        unsigned window = 2 * agent->window;
        if (!in_trial(pipeline, agent))
            continue;
        if (batch <= most)
            set(lever(list, LEVER_HAND, "up to %u tasks in one message to '%s'", batch, agent->name),
                "agents.%s.batch_max=%u", agent->name, batch);
        if (agent->batch_max > 1)
            set(lever(list, LEVER_HAND, "one task in a message to '%s'", agent->name),
                "agents.%s.batch_max=1", agent->name);
        if (window <= most)
            set(lever(list, LEVER_HAND, "%u tasks at a worker of '%s' at a time", window, agent->name),
                "agents.%s.window=%u", agent->name, window);
    }
}

/* ---- stages, search, machine ---- */

static void reuse(const struct pipeline *pipeline, struct lever_list *list) {
    for (unsigned s = 0; s < pipeline->stage_count; s++) {
        const struct pipeline_stage *stage = &pipeline->stages[s];
        if (stage->in_trial)
            set(lever(list, LEVER_REUSE, stage->cache ? "no reuse of '%s'" : "reuse of '%s'", stage->name),
                "stages.%s.cache=%s", stage->name, stage->cache ? "false" : "true");
    }
}

static void faster(const struct pipeline *pipeline, struct lever_list *list) {
    for (unsigned s = 0; s < pipeline->stage_count; s++) {
        const struct pipeline_stage *stage = &pipeline->stages[s];
        if (!stage->in_trial)
            continue;
        struct lever *made = lever(list, LEVER_FASTER, "'%s' in half its time", stage->name);
        made->assumed = true;
        set(made, "%s.time=0.5", stage->name);
    }
}

/* As the run counts them. */
static unsigned trials_in_flight(const struct pipeline *pipeline) {
    unsigned count = 0;
    for (unsigned a = 0; a < pipeline->agent_count; a++)
        if (in_trial(pipeline, &pipeline->agents[a]))
            count += pipeline->agents[a].instances * pipeline->agents[a].batch_max;
    if (pipeline->parallel != 0)
        count = pipeline->parallel;
    return count > PIPELINE_PARALLEL_MAX ? PIPELINE_PARALLEL_MAX : count > 0 ? count : 1;
}

static void search(const struct pipeline *pipeline, struct lever_list *list) {
    unsigned parallel = trials_in_flight(pipeline), k = pipeline->study.deterministic;
    if (2 * parallel <= PIPELINE_PARALLEL_MAX)
        set(lever(list, LEVER_SEARCH, "twice the trials in flight (%u)", 2 * parallel), "budget.parallel=%u",
            2 * parallel);
    if (k > 0 && k < 4 * parallel && 2 * k <= PIPELINE_PARALLEL_MAX) /* beyond that it holds nobody up */
        set(lever(list, LEVER_SEARCH, "a search that waits for fewer results (K %u)", 2 * k),
            "optimizer.deterministic=%u", 2 * k);
}

static void counted_resources(const struct pipeline *pipeline, struct lever_list *list) {
    for (unsigned r = 0; r < pipeline->resource_names.count; r++) {
        int64_t most = 0;
        for (unsigned s = 0; s < pipeline->stage_count; s++)
            if (pipeline->stages[s].in_trial && pipeline->stages[s].resources.amount[r] > most)
                most = pipeline->stages[s].resources.amount[r];
        if (most > 0)
            set(lever(list, LEVER_RESOURCE, "%lld more of '%s'", (long long)most,
                      pipeline->resource_names.names[r]),
                "resources.%s=%lld", pipeline->resource_names.names[r],
                (long long)(pipeline->resources.amount[r] + most));
    }
}

static void budgets(const struct pipeline *pipeline, struct lever_list *list) {
    char text[32];
    if (pipeline->trials > 1)
        set(lever(list, LEVER_BUDGET, "half the trials (%u)", pipeline->trials / 2), "budget.trials=%u",
            pipeline->trials / 2);
    if (pipeline->trials > 0 && pipeline->trials <= PIPELINE_TRIALS_MAX / 2)
        set(lever(list, LEVER_BUDGET, "twice the trials (%u)", 2 * pipeline->trials), "budget.trials=%u",
            2 * pipeline->trials);
    if (pipeline->deadline_ns > 0 && pipeline->deadline_ns < (uint64_t)INT64_MAX / 4) {
        long long ms = (long long)(2 * pipeline->deadline_ns / 1000000);
        set(lever(list, LEVER_BUDGET, "twice the time (%s)", text_format_duration(text, ms * 1000000)),
            "budget.deadline=%lldms", ms > 0 ? ms : 1);
    }
}

void lever_list_make(const struct pipeline *pipeline, unsigned cores, struct lever_list *ret) {
    ret->count = ret->left_out = 0;
    more_instances(pipeline, ret);
    faster(pipeline, ret);
    struct lever *core = lever(ret, LEVER_CORES, "one core more (%u)", cores + 1);
    core->assumed = true;
    set(core, "cores=%u", cores + 1);
    search(pipeline, ret);
    handing_over(pipeline, ret);
    reuse(pipeline, ret);
    counted_resources(pipeline, ret);
    fewer_instances(pipeline, ret);
    budgets(pipeline, ret);
}
