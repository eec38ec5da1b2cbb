/* analyze_agents: how the agents' time divides. Per agent: executing is the union of its executions (a batch
 * counts once); waiting is time in which trials or their tests were under way but it executed nothing; idle is the
 * rest of the time that it was here. With E the executing set, U the under-way set while it was here, and H that time:
 * |E| + (|U| - |U and E|) + (H - |U or E|) = H, and the three are measured by separate sweeps, so the identity is a check. Memory: the lives'
 * intervals are freed here; the executions' stay until the analysis is made. */
#include "analyze/analysis_private.h"

#include <math.h>
#include <stdlib.h>

struct agent_sweep {
    struct interval *under_way;
    size_t under_way_count;
    struct interval *here, *under_way_here; /* of the agent at hand */
    uint64_t here_ns;                       /* of all */
};

static bool executed(const struct analyze_execution *one) {
    return !one->reused && one->ended > one->started;
}

/* Lives of the trials, and of stages besides them: of tests after the search, of a process before a resume. */
static void gather_trials(struct analyzer *analyzer, struct agent_sweep *sweep) {
    for (size_t i = 0; i < analyzer->trial_count; i++) {
        const struct analyze_trial *trial = analyzer->trials[i];
        if (trial->settled) /* of the others their stages say when they were under way */
            sweep->under_way[i] = (struct interval){trial->created, trial->ended};
    }
    for (size_t i = 0; i < analyzer->execution_count; i++)
        sweep->under_way[analyzer->trial_count + i] =
            (struct interval){analyzer->executions[i]->ready, analyzer->executions[i]->done};
    sweep->under_way_count =
        intervals_join(sweep->under_way, analyzer->trial_count + analyzer->execution_count);
}

static void gather_executions(struct analyzer *analyzer, struct analyze_agent_time *agents) {
    const struct analyze_record *record = analyzer->record;
    size_t unknown = 0;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct analyze_execution *one = &record->executions[i];
        if (!executed(one))
            continue;
        if (one->agent == ANALYZE_UNKNOWN)
            unknown++;
        else
            analyzer->executing_first[one->agent + 1]++;
    }
    if (unknown > 0)
        analyzer_problem(analyzer,
                         "%zu executions do not say which agent ran them: the agents' times are too short",
                         unknown);
    for (unsigned a = 0; a < record->agent_count; a++)
        analyzer->executing_first[a + 1] += analyzer->executing_first[a];
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct analyze_execution *one = &record->executions[i];
        if (!executed(one) || one->agent == ANALYZE_UNKNOWN)
            continue;
        struct analyze_agent_time *agent = &agents[one->agent];
        analyzer->executing[analyzer->executing_first[one->agent] + agent->tasks++] =
            (struct interval){one->started, one->ended};
        agent->failed += one->outcome != ANALYZE_OK;
        if (one->ended - one->started > agent->longest_ns)
            agent->longest_ns = one->ended - one->started;
    }
}

/* When it was here, joined. */
static size_t gather_stays(const struct analyzer *analyzer, const struct agent_sweep *sweep, unsigned agent) {
    const struct analyze_record *record = analyzer->record;
    size_t count = 0;
    for (size_t i = 0; i < record->stay_count; i++)
        if (record->stays[i].agent == agent && record->stays[i].to > record->stays[i].from)
            sweep->here[count++] = (struct interval){record->stays[i].from, record->stays[i].to};
    return intervals_join(sweep->here, count);
}

static bool stays_all_the_time(const struct analyze_record *record, unsigned agent) {
    for (size_t i = 0; i < record->stay_count; i++)
        if (record->stays[i].agent == agent)
            return false;
    return true;
}

static void divide(struct analyzer *analyzer, struct agent_sweep *sweep, unsigned index,
                   struct analyze_agent_time *agent) {
    struct analysis *analysis = analyzer->analysis;
    struct interval *executing = analyzer->executing + analyzer->executing_first[index];
    size_t count = analyzer->executing_count[index] = intervals_join(executing, agent->tasks);
    const struct interval *under_way = sweep->under_way;
    size_t under_way_count = sweep->under_way_count;
    uint64_t here = analysis->wall_ns;
    if (!stays_all_the_time(analyzer->record, index)) {
        size_t stays = gather_stays(analyzer, sweep, index);
        /* What it did while a process that was killed knew of it was here too. */
        here = intervals_either(sweep->here, stays, executing, count);
        under_way_count = intervals_common(sweep->under_way, sweep->under_way_count, sweep->here, stays,
                                           sweep->under_way_here);
        under_way = sweep->under_way_here;
    }
    uint64_t length = intervals_length(under_way, under_way_count);
    uint64_t both = intervals_both(under_way, under_way_count, executing, count);
    uint64_t either = intervals_either(under_way, under_way_count, executing, count);
    agent->executing_ns = intervals_length(executing, count);
    agent->waiting_ns = length > both ? length - both : 0;
    agent->idle_ns = here > either ? here - either : 0;
    sweep->here_ns += here;
    analysis->executing_ns += agent->executing_ns;
    analysis->waiting_ns += agent->waiting_ns;
    analysis->idle_ns += agent->idle_ns;
}

static void sweep_free(const struct analyzer *analyzer, struct agent_sweep *sweep) {
    memory_free(analyzer->account, sweep->under_way);
    memory_free(analyzer->account, sweep->here);
    memory_free(analyzer->account, sweep->under_way_here);
}

enum troupe_error analyzer_agents(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    struct analysis *analysis = analyzer->analysis;
    uint64_t active = analysis->active_to - analysis->active_from;
    size_t room = record->execution_count + 1, agents_room = record->agent_count + 2;
    size_t lives = analyzer->trial_count + analyzer->execution_count + 1, stays = record->stay_count + 1;
    struct agent_sweep sweep = {
        .under_way = memory_alloc(analyzer->account, lives * sizeof *sweep.under_way),
        .here = memory_alloc(analyzer->account, stays * sizeof *sweep.here),
        .under_way_here = memory_alloc(analyzer->account, (lives + stays) * sizeof *sweep.under_way_here)};
    analyzer->executing = memory_alloc(analyzer->account, room * sizeof *analyzer->executing);
    analyzer->executing_first =
        memory_alloc(analyzer->account, agents_room * sizeof *analyzer->executing_first);
    analyzer->executing_count =
        memory_alloc(analyzer->account, agents_room * sizeof *analyzer->executing_count);
    struct analyze_agent_time *agents =
        ARENA_ARRAY(analyzer->arena, struct analyze_agent_time, record->agent_count + 1);
    if (sweep.under_way == NULL || sweep.here == NULL || sweep.under_way_here == NULL ||
        analyzer->executing == NULL || analyzer->executing_first == NULL ||
        analyzer->executing_count == NULL || agents == NULL) {
        sweep_free(analyzer, &sweep);
        return analyzer_no_memory(analyzer);
    }
    gather_trials(analyzer, &sweep);
    if (record->agent_count > 0)
        gather_executions(analyzer, agents);
    for (unsigned a = 0; a < record->agent_count; a++) {
        agents[a].name = record->agents[a];
        divide(analyzer, &sweep, a, &agents[a]);
    }
    sweep_free(analyzer, &sweep);
    analysis->agents = agents;
    analysis->agent_count = record->agent_count;
    double whole = (double)sweep.here_ns;
    analysis->agents_mean = analysis->wall_ns > 0 ? whole / (double)analysis->wall_ns : 0;
    double parts = (double)analysis->executing_ns + (double)analysis->waiting_ns + (double)analysis->idle_ns;
    analysis->agents_error = whole > 0 ? fabs(parts - whole) / whole : 0;
    if (analysis->agents_error > AGENTS_TOLERANCE)
        analyzer_problem(analyzer,
                         "agents were here for %.3f s in all, but executing, waiting and idle add to %.3f s",
                         whole / 1e9, parts / 1e9);
    analysis->parallel_mean = active > 0 ? (double)analysis->trial_wall_ns / (double)active : 0;
    return TROUPE_OK;
}
