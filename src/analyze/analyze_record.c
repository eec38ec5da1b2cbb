/* analyze_record: the door: checks a record, puts it in order, and has every part of the analysis made.
 *
 * What contradicts itself so that an index would be wrong is INVALID. What is merely odd (a trial recorded twice,
 * an execution of no trial) is left out and reported. Threads: none. Memory: see analysis_private.h. */
#include "analyze/analysis_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *analyze_cause_name(enum analyze_cause cause) {
    static const char *const names[ANALYZE_CAUSE_COUNT] = {"store",      "coordination",   "wait for agent",
                                                           "stage",      "failed attempt", "transfer",
                                                           "reuse wait", "unaccounted"};
    return (unsigned)cause < ANALYZE_CAUSE_COUNT ? names[cause] : "unknown";
}

const char *analyzer_stage_name(const struct analyze_record *record, unsigned stage) {
    return stage < record->stage_count && record->stages[stage].name != NULL ? record->stages[stage].name
                                                                             : "?";
}

enum troupe_error analyzer_no_memory(struct analyzer *analyzer) {
    return fault_set(analyzer->fault, TROUPE_NOMEM, "analysis",
                     "out of memory for %zu trials and %zu executions", analyzer->record->trial_count,
                     analyzer->record->execution_count);
}

void analyzer_problem(struct analyzer *analyzer, const char *format, ...) {
    struct analysis *analysis = analyzer->analysis;
    char text[400];
    if (analysis->problem_count >= PROBLEMS_MAX) {
        analysis->problems_dropped++;
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = arena_copy(analyzer->arena, text, strlen(text));
    if (copy == NULL)
        analyzer->out_of_memory = true;
    else
        analyzer->problems[analysis->problem_count++] = copy;
}

/* ---- checks ---- */

static enum troupe_error check_stages(const struct analyze_record *record, struct fault *fault) {
    if (record->stage_count > ANALYZE_STAGES_MAX)
        return fault_set(fault, TROUPE_INVALID, "record", "%u stages: expected at most %d",
                         record->stage_count, ANALYZE_STAGES_MAX);
    if (record->stage_count > 0 && record->objective_stage >= record->stage_count)
        return fault_set(fault, TROUPE_INVALID, "record", "objective in stage %u of %u",
                         record->objective_stage, record->stage_count);
    /* peel off stages whose needs are peeled off; what is left needs itself */
    uint32_t all = record->stage_count == 32 ? UINT32_MAX : (1u << record->stage_count) - 1, done = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < record->stage_count; i++) {
            if (record->stages[i].needs & ~all)
                return fault_set(fault, TROUPE_INVALID, "record",
                                 "stage '%s' needs a stage that is not there",
                                 analyzer_stage_name(record, i));
            if (!(done & (1u << i)) && !(record->stages[i].needs & ~done)) {
                done |= 1u << i;
                moved = true;
            }
        }
    }
    return done == all ? TROUPE_OK
                       : fault_set(fault, TROUPE_INVALID, "record", "the stages need each other in a cycle");
}

static enum troupe_error check_executions(const struct analyze_record *record, struct fault *fault) {
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct analyze_execution *one = &record->executions[i];
        if (one->stage >= record->stage_count)
            return fault_set(fault, TROUPE_INVALID, "record",
                             "an execution of trial %" PRIu32 " is of stage %u of %u", one->trial, one->stage,
                             record->stage_count);
        if (one->agent != ANALYZE_UNKNOWN && one->agent >= record->agent_count)
            return fault_set(fault, TROUPE_INVALID, "record",
                             "an execution of trial %" PRIu32 " is by agent %" PRIu32 " of %u", one->trial,
                             one->agent, record->agent_count);
    }
    for (size_t i = 0; i < record->stay_count; i++)
        if (record->stays[i].agent >= record->agent_count)
            return fault_set(fault, TROUPE_INVALID, "record", "a stay is of agent %" PRIu32 " of %u",
                             record->stays[i].agent, record->agent_count);
    return TROUPE_OK;
}

/* ---- order ---- */

static int by_number(const void *a, const void *b) {
    const struct analyze_trial *left = *(const struct analyze_trial *const *)a;
    const struct analyze_trial *right = *(const struct analyze_trial *const *)b;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left < right ? -1 : left > right; /* of one array: the first recorded comes first */
}

static int by_attempt(const void *a, const void *b) {
    const struct analyze_execution *left = *(const struct analyze_execution *const *)a;
    const struct analyze_execution *right = *(const struct analyze_execution *const *)b;
    if (left->trial != right->trial)
        return left->trial < right->trial ? -1 : 1;
    if (left->stage != right->stage)
        return left->stage < right->stage ? -1 : 1;
    if (left->attempt != right->attempt)
        return left->attempt < right->attempt ? -1 : 1;
    return left < right ? -1 : left > right;
}

static void sort_trials(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    for (size_t i = 0; i < record->trial_count; i++)
        analyzer->trials[i] = &record->trials[i];
    if (record->trial_count > 0)
        qsort(analyzer->trials, record->trial_count, sizeof *analyzer->trials, by_number);
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct analyze_trial *trial = analyzer->trials[i];
        if (analyzer->trial_count > 0 && analyzer->trials[analyzer->trial_count - 1]->number == trial->number)
            analyzer_problem(analyzer, "trial %" PRIu32 " is recorded twice; the first record is taken",
                             trial->number);
        else
            analyzer->trials[analyzer->trial_count++] = trial;
    }
}

static void sort_executions(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    size_t strays = 0, at = 0;
    for (size_t i = 0; i < record->execution_count; i++)
        analyzer->executions[i] = &record->executions[i];
    if (record->execution_count > 0)
        qsort(analyzer->executions, record->execution_count, sizeof *analyzer->executions, by_attempt);
    for (size_t i = 0; i < analyzer->trial_count; i++) { /* both are in the order of trials */
        uint32_t number = analyzer->trials[i]->number;
        for (; at < record->execution_count && analyzer->executions[at]->trial < number; at++)
            strays++;
        analyzer->first[i] = analyzer->execution_count;
        for (; at < record->execution_count && analyzer->executions[at]->trial == number; at++)
            analyzer->executions[analyzer->execution_count++] = analyzer->executions[at];
    }
    analyzer->first[analyzer->trial_count] = analyzer->execution_count;
    strays += record->execution_count - at;
    if (strays > 0)
        analyzer_problem(analyzer, "%zu executions belong to no recorded trial and are left out", strays);
}

static void bounds(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    struct analysis *analysis = analyzer->analysis;
    uint64_t last = 0;
    analysis->active_from = UINT64_MAX;
    for (size_t i = 0; i < analyzer->trial_count; i++) {
        const struct analyze_trial *trial = analyzer->trials[i];
        if (!trial->settled) {
            analysis->unsettled++;
            continue;
        }
        if (trial->created < analysis->active_from)
            analysis->active_from = trial->created;
        analysis->trials++;
        analysis->ok += trial->outcome == ANALYZE_OK;
        analysis->failed += trial->outcome == ANALYZE_FAILED;
        analysis->cancelled += trial->outcome == ANALYZE_CANCELLED;
        if (trial->ended > analysis->active_to)
            analysis->active_to = trial->ended;
    }
    for (size_t i = 0; i < analyzer->execution_count;
         i++) { /* of tests, and of a process before a resume, too */
        const struct analyze_execution *one = analyzer->executions[i];
        last = one->done > last ? one->done : last;
        analysis->active_from = one->ready < analysis->active_from ? one->ready : analysis->active_from;
    }
    if (analysis->active_from == UINT64_MAX)
        analysis->active_from = 0;
    analysis->active_to = last > analysis->active_to ? last : analysis->active_to;
    if (analysis->active_to < analysis->active_from)
        analysis->active_to = analysis->active_from;
    analysis->wall_ns = record->wall_ns;
    if (record->wall_ns == 0)
        analysis->wall_ns = last > analysis->active_to ? last : analysis->active_to;
    else if (record->wall_ns + PATH_TOLERANCE_NS < analysis->active_to)
        analyzer_problem(analyzer, "something ends at %.6f s, after the end of the run at %.6f s",
                         (double)analysis->active_to / 1e9, (double)record->wall_ns / 1e9);
}

enum troupe_error analyzer_record(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    enum troupe_error error = check_stages(record, analyzer->fault);
    if (error == TROUPE_OK)
        error = check_executions(record, analyzer->fault);
    if (error != TROUPE_OK)
        return error;
    analyzer->trials = memory_alloc(analyzer->account, (record->trial_count + 1) * sizeof *analyzer->trials);
    analyzer->executions =
        memory_alloc(analyzer->account, (record->execution_count + 1) * sizeof *analyzer->executions);
    analyzer->first = memory_alloc(analyzer->account, (record->trial_count + 1) * sizeof *analyzer->first);
    analyzer->problems = ARENA_ARRAY(analyzer->arena, const char *, PROBLEMS_MAX);
    if (analyzer->trials == NULL || analyzer->executions == NULL || analyzer->first == NULL ||
        analyzer->problems == NULL)
        return analyzer_no_memory(analyzer);
    analyzer->analysis->problems = analyzer->problems;
    sort_trials(analyzer);
    sort_executions(analyzer);
    bounds(analyzer);
    return TROUPE_OK;
}

enum troupe_error analyze_run(const struct analyze_record *record, struct account *account,
                              struct analysis **ret_analysis, struct fault *fault) {
    struct analysis *analysis = memory_alloc(account, sizeof *analysis);
    struct analyzer analyzer = {.record = record, .analysis = analysis, .account = account, .fault = fault};
    if (analysis == NULL)
        return analyzer_no_memory(&analyzer);
    arena_init(&analysis->arena, account);
    analysis->record = record;
    analyzer.arena = &analysis->arena;
    static enum troupe_error (*const parts[])(struct analyzer * analyzer) = {
        analyzer_record, analyzer_paths,      analyzer_ranks,      analyzer_agents,
        analyzer_queues, analyzer_idle_twins, analyzer_bottlenecks};
    enum troupe_error error = TROUPE_OK;
    for (unsigned i = 0; i < ARRAY_COUNT(parts) && error == TROUPE_OK; i++)
        error = parts[i](&analyzer);
    if (error == TROUPE_OK && analyzer.out_of_memory)
        error = analyzer_no_memory(&analyzer);
    memory_free(account, analyzer.trials);
    memory_free(account, analyzer.executions);
    memory_free(account, analyzer.first);
    memory_free(account, analyzer.executing);
    memory_free(account, analyzer.executing_first);
    memory_free(account, analyzer.executing_count);
    if (error != TROUPE_OK) {
        analysis_free(analysis, account);
        return error;
    }
    *ret_analysis = analysis;
    return TROUPE_OK;
}

void analysis_free(struct analysis *analysis, struct account *account) {
    if (analysis == NULL)
        return;
    arena_free(&analysis->arena);
    memory_free(account, analysis);
}
