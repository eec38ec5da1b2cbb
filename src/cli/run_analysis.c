/* A run's record in the analyser's words, and the analysis. See the header. */
#include "cli/run_analysis.h"

#include <string.h>

static enum analyze_outcome outcome_of(enum task_state state) {
    return state == TASK_OK ? ANALYZE_OK : state == TASK_CANCELLED ? ANALYZE_CANCELLED : ANALYZE_FAILED;
}

static bool fill_trials(const struct run_record *record, struct arena *arena, struct analyze_record *ret) {
    struct analyze_trial *trials = ARENA_ARRAY(arena, struct analyze_trial, record->trial_count + 1);
    if (trials == NULL)
        return false;
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *trial = &record->trials[i];
        bool settled = trial->state == TRIAL_OK || trial->state == TRIAL_FAILED;
        trials[i] = (struct analyze_trial){.number = trial->number,
                                           .outcome = trial->state == TRIAL_OK       ? ANALYZE_OK
                                                      : trial->state == TRIAL_FAILED ? ANALYZE_FAILED
                                                                                     : ANALYZE_CANCELLED,
                                           .created = trial->created_ns,
                                           .told = trial->told_ns,
                                           .ended = trial->ended_ns,
                                           .settled = settled};
    }
    ret->trials = trials;
    ret->trial_count = record->trial_count;
    return true;
}

/* Instances that the definition allows and that never came are none. Gives each its index, or ANALYZE_UNKNOWN. */
static uint32_t *fill_agents(const struct run_record *record, struct arena *arena,
                             struct analyze_record *ret) {
    uint32_t *index = ARENA_ARRAY(arena, uint32_t, record->agent_count + 1);
    const char **names = ARENA_ARRAY(arena, const char *, record->agent_count + 1);
    bool *came = ARENA_ARRAY(arena, bool, record->agent_count + 1);
    if (index == NULL || names == NULL || came == NULL)
        return NULL;
    for (unsigned a = 0, at = 0; a < record->pipeline->agent_count; a++)
        for (unsigned i = 0; i < record->pipeline->agents[a].instances_max; i++)
            came[at++] = i < record->pipeline->agents[a].instances;
    for (size_t i = 0; i < record->start_count; i++)
        came[record->starts[i].agent] = true;
    for (size_t i = 0; i < record->execution_count; i++)
        if (record->executions[i].agent != RECORD_UNKNOWN)
            came[record->executions[i].agent] = true;
    for (unsigned i = 0; i < record->agent_count; i++) {
        index[i] = came[i] ? ret->agent_count : ANALYZE_UNKNOWN;
        if (came[i])
            names[ret->agent_count++] = record->agents[i];
    }
    ret->agents = names;
    return index;
}

static uint64_t time_ns(const struct node *ms) {
    double value = node_real(ms);
    return value > 0 && value < 1e12 ? (uint64_t)(value * 1e6) : 0;
}

/* Of those that came or left while the run lasted, when they were here: its response says so. */
static bool fill_stays(const struct run_record *record, const uint32_t *index, struct arena *arena,
                       struct analyze_record *ret) {
    const struct node *response = record->response != NULL ? document_root(record->response) : NULL;
    const struct node *stays = node_get(node_get(node_get(response, "time"), "agents"), "stays");
    struct analyze_stay *made = ARENA_ARRAY(arena, struct analyze_stay, node_count(stays) + 1);
    if (made == NULL)
        return false;
    for (size_t i = 0; i < node_count(stays); i++) {
        const struct node *stay = node_at(stays, i), *to = node_get(stay, "to_ms");
        for (unsigned a = 0; a < record->agent_count; a++)
            if (index[a] != ANALYZE_UNKNOWN &&
                strcmp(record->agents[a], node_string(node_get(stay, "agent"))) == 0)
                made[ret->stay_count++] =
                    (struct analyze_stay){.agent = index[a],
                                          .from = time_ns(node_get(stay, "from_ms")),
                                          .to = to != NULL ? time_ns(to) : record->elapsed_ns};
    }
    ret->stays = made;
    return true;
}

static bool fill_executions(const struct run_record *record, struct arena *arena,
                            struct analyze_record *ret) {
    const uint32_t *index = fill_agents(record, arena, ret);
    struct analyze_execution *made =
        ARENA_ARRAY(arena, struct analyze_execution, record->execution_count + 1);
    if (made == NULL || index == NULL || !fill_stays(record, index, arena, ret))
        return false;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *execution = &record->executions[i];
        made[i] = (struct analyze_execution){
            .trial = execution->trial,
            .stage = execution->stage,
            .attempt = execution->attempt,
            .outcome = outcome_of(execution->state),
            .reused = execution->reused,
            .agent = execution->agent == RECORD_UNKNOWN ? ANALYZE_UNKNOWN : index[execution->agent],
            .ready = execution->ready,
            .assigned = execution->assigned,
            .accepted = execution->accepted,
            .started = execution->started,
            .ended = execution->ended,
            .done = execution->done,
            .cpu_ns = execution->cpu_ns};
    }
    ret->executions = made;
    ret->execution_count = record->execution_count;
    return true;
}

static enum troupe_error fill(const struct run_record *record, struct env *env, struct arena *arena,
                              struct analyze_record *ret, struct fault *fault) {
    const struct pipeline *pipeline = record->pipeline;
    struct analyze_stage *stages = ARENA_ARRAY(arena, struct analyze_stage, pipeline->stage_count + 1);
    if (stages == NULL || !fill_trials(record, arena, ret) || !fill_executions(record, arena, ret))
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory analyzing it");
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        stages[i] = (struct analyze_stage){pipeline->stages[i].name, pipeline->stages[i].needs};
    ret->stages = stages;
    ret->stage_count = pipeline->stage_count;
    ret->objective_stage = pipeline->objective_stage;
    ret->wall_ns = record->elapsed_ns;
    ret->cores = env_cores(env);
    return TROUPE_OK;
}

bool run_analysis_knows(const struct run_record *record, uint32_t trial) {
    return run_record_trial(record, trial) != NULL;
}

enum troupe_error run_analysis_make(const struct run_record *record, struct env *env, struct arena *arena,
                                    struct account *account, struct analysis **ret_analysis,
                                    struct fault *fault) {
    struct analyze_record *plain =
        ARENA_NEW(arena, struct analyze_record); /* the analysis keeps pointing at it */
    if (plain == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory analyzing it");
    enum troupe_error error = fill(record, env, arena, plain, fault);
    return error == TROUPE_OK ? analyze_run(plain, account, ret_analysis, fault) : error;
}
