/* From a record to a report: the same facts in the report floor's words. What a record does not know is left
 * absent; of a run that has ended the account of time is its response's, so that every page and summary agree. */
#include "cli/run_report.h"
#include "cli/run_analysis.h"
#include "cli/run_levers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES_MAX (64 << 20)

struct filling {
    const struct run_record *record;
    struct arena *arena;
    struct report_run *report;
    const struct node *response; /* NULL: none */
    const struct analysis *analysis;
};

static const char *text_of(const struct node *node) {
    return node_kind(node) == DOCUMENT_STRING ? node_string(node) : NULL;
}

static bool is_number(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL;
}

static bool fill_variables(struct filling *filling) {
    const struct space *space = filling->record->pipeline->space;
    unsigned count = space_count(space);
    struct report_variable *variables = ARENA_ARRAY(filling->arena, struct report_variable, count + 1);
    if (variables == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const struct variable *variable = space_variable(space, i);
        variables[i] = (struct report_variable){.name = variable->name,
                                                .kind = variable->kind == VARIABLE_CHOICE ? REPORT_CHOICE
                                                        : variable->kind == VARIABLE_INT  ? REPORT_INT
                                                                                          : REPORT_FLOAT,
                                                .log = variable->log,
                                                .low = variable->low,
                                                .high = variable->high,
                                                .choice_count = variable->choice_count,
                                                .choices = variable->choices};
    }
    filling->report->variables = variables;
    filling->report->variable_count = count;
    return true;
}

static enum report_trial_state state_of(int state) {
    static const enum report_trial_state states[] = {[TRIAL_WAITING] = REPORT_TRIAL_WAITING,
                                                     [TRIAL_RUNNING] = REPORT_TRIAL_RUNNING,
                                                     [TRIAL_OK] = REPORT_TRIAL_OK,
                                                     [TRIAL_FAILED] = REPORT_TRIAL_FAILED,
                                                     [TRIAL_CANCELLED] = REPORT_TRIAL_CANCELLED};
    return states[state];
}

static bool fill_trials(struct filling *filling) {
    const struct run_record *record = filling->record;
    struct report_trial *trials = ARENA_ARRAY(filling->arena, struct report_trial, record->trial_count + 1);
    if (trials == NULL)
        return false;
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *trial = &record->trials[i];
        trials[i] = (struct report_trial){.number = trial->number,
                                          .state = state_of(trial->state),
                                          .objective = trial->objective,
                                          .start_ns = trial->created_ns,
                                          .end_ns = trial->ended_ns,
                                          .values = trial->values,
                                          .message = trial->message};
    }
    filling->report->trials = trials;
    filling->report->trial_count = record->trial_count;
    return true;
}

static double real_of(const struct node *node) {
    return is_number(node) ? node_real(node) : 0;
}

static void fill_scores(struct filling *filling) {
    const struct run_record *record = filling->record;
    struct report_run *report = filling->report;
    const struct node *baseline = node_get(filling->response, "baseline"),
                      *test = node_get(filling->response, "test");
    if (record->has_best) {
        report->has_best = true;
        report->best_trial = record->trials[record->best_trial].number;
        report->best_objective = record->trials[record->best_trial].objective;
    }
    if (is_number(test)) {
        report->has_best_test = true;
        report->best_test = node_real(test);
    }
    if (is_number(node_get(baseline, "objective"))) {
        report->has_baseline = true;
        report->baseline_objective = node_real(node_get(baseline, "objective"));
    }
    if (is_number(node_get(baseline, "test"))) {
        report->has_baseline_test = true;
        report->baseline_test = node_real(node_get(baseline, "test"));
    }
}

static bool fill_stages(struct filling *filling) {
    const struct pipeline *pipeline = filling->record->pipeline;
    const struct node *shares = node_get(node_get(filling->response, "time"), "shares");
    const char **names = ARENA_ARRAY(filling->arena, const char *, pipeline->stage_count + 1);
    struct report_share *made = ARENA_ARRAY(filling->arena, struct report_share, node_count(shares) + 1);
    if (names == NULL || made == NULL)
        return false;
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        names[i] = pipeline->stages[i].name;
    for (size_t i = 0; i < node_count(shares); i++) {
        const struct node *share = node_at(shares, i);
        const char *kind = text_of(node_get(share, "kind")), *name = text_of(node_get(share, "name"));
        made[i] = (struct report_share){.name = name != NULL ? name : "",
                                        .stage = kind != NULL && strcmp(kind, "stage") == 0,
                                        .ms = real_of(node_get(share, "ms")),
                                        .percent = real_of(node_get(share, "percent"))};
    }
    filling->report->stages = names;
    filling->report->stage_count = pipeline->stage_count;
    filling->report->shares = made;
    filling->report->share_count = (unsigned)node_count(shares);
    return true;
}

static bool fill_executions(struct filling *filling) {
    const struct run_record *record = filling->record;
    struct report_execution *made =
        ARENA_ARRAY(filling->arena, struct report_execution, record->execution_count + 1);
    size_t count = 0;
    if (made == NULL)
        return false;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *execution = &record->executions[i];
        if (execution->reused) /* nobody was busy with it */
            continue;
        made[count++] = (struct report_execution){.trial = execution->trial,
                                                  .stage = execution->stage,
                                                  .agent = execution->agent,
                                                  .attempt = execution->attempt,
                                                  .failed = execution->state != TASK_OK,
                                                  .started_ns = execution->started,
                                                  .ended_ns = execution->ended};
    }
    filling->report->executions = made;
    filling->report->execution_count = count;
    return true;
}

static bool fill_agents(struct filling *filling) {
    const struct analysis *analysis = filling->analysis;
    struct report_agent *agents = ARENA_ARRAY(filling->arena, struct report_agent, analysis->agent_count + 1);
    if (agents == NULL)
        return false;
    for (unsigned i = 0; i < analysis->agent_count; i++) {
        const struct analyze_agent_time *agent = &analysis->agents[i];
        agents[i] = (struct report_agent){.name = agent->name,
                                          .executing_ns = agent->executing_ns,
                                          .waiting_ns = agent->waiting_ns,
                                          .idle_ns = agent->idle_ns,
                                          .tasks = agent->tasks};
    }
    filling->report->agents = agents;
    filling->report->agent_count = analysis->agent_count;
    return true;
}

/* When no response has the shares, or it has only those of the last of several processes: the analysis' own. */
static bool fill_shares(struct filling *filling) {
    const struct analysis *analysis = filling->analysis;
    const struct node *time = node_get(filling->response, "time"), *elapsed = node_get(time, "elapsed_ms"),
                      *wall = node_get(time, "wall_ms");
    bool resumed = is_number(elapsed) && is_number(wall) && node_real(elapsed) > node_real(wall);
    if (filling->report->share_count > 0 && !resumed)
        return true;
    struct report_share *shares = ARENA_ARRAY(filling->arena, struct report_share, analysis->rank_count + 1);
    if (shares == NULL)
        return false;
    for (unsigned i = 0; i < analysis->rank_count; i++)
        shares[i] = (struct report_share){.name = analysis->ranks[i].name,
                                          .stage = analysis->ranks[i].cause == ANALYZE_STAGE,
                                          .ms = (double)analysis->ranks[i].total_ns / 1e6,
                                          .percent = analysis->ranks[i].percent};
    filling->report->shares = shares;
    filling->report->share_count = analysis->rank_count;
    return true;
}

static bool fill_events(struct filling *filling) {
    const struct run_record *record = filling->record;
    struct report_event *events = ARENA_ARRAY(filling->arena, struct report_event, record->event_count + 1);
    if (events == NULL)
        return false;
    for (size_t i = 0; i < record->event_count; i++) {
        int64_t since = record->events[i].utc_ns - record->started_utc_ns;
        /* A wall clock says when; over a pause between two processes only that it was later. */
        bool known = since >= 0 && (uint64_t)since <= record->elapsed_ns;
        events[i] = (struct report_event){known ? (uint64_t)since : UINT64_MAX, record->events[i].text};
    }
    filling->report->events = events;
    filling->report->event_count = record->event_count;
    return true;
}

static bool fill_facts(struct filling *filling) {
    static const char *const provenance[] = {"data_hash", "space_hash"};
    const struct pipeline *pipeline = filling->record->pipeline;
    struct report_fact *facts = ARENA_ARRAY(filling->arena, struct report_fact, 8);
    unsigned count = 0;
    if (facts == NULL)
        return false;
    facts[count++] = (struct report_fact){"pipeline", pipeline->source};
    facts[count++] = (struct report_fact){"sampler", sampler_name(pipeline->study.sampler)};
    facts[count++] = (struct report_fact){
        "seed", arena_format(filling->arena, "%llu", (unsigned long long)pipeline->study.seed)};
    for (size_t i = 0; i < ARRAY_COUNT(provenance); i++) {
        const char *value = text_of(node_get(node_get(filling->response, "provenance"), provenance[i]));
        if (value != NULL)
            facts[count++] = (struct report_fact){provenance[i], value};
    }
    filling->report->facts = facts;
    filling->report->fact_count = count;
    return facts[2].value != NULL;
}

static bool fill_findings(struct filling *filling) {
    const struct analysis *analysis = filling->analysis;
    struct report_finding *findings =
        ARENA_ARRAY(filling->arena, struct report_finding, analysis->bottleneck_count + 1);
    if (findings == NULL)
        return false;
    for (unsigned i = 0; i < analysis->bottleneck_count; i++)
        findings[i] = (struct report_finding){analysis->bottlenecks[i].title, analysis->bottlenecks[i].text};
    filling->report->findings = findings;
    filling->report->finding_count = analysis->bottleneck_count;
    return true;
}

enum troupe_error run_report_fill(const struct run_record *record, const struct analysis *analysis,
                                  const char *again, struct arena *arena, struct report_run *ret_report,
                                  struct fault *fault) {
    const struct node *response = record->response != NULL ? document_root(record->response) : NULL;
    struct report_run report = {
        .id = record->id,
        .name = record->pipeline->name,
        .directory = record->directory,
        .version = TROUPE_VERSION,
        .state = record->state == RUN_RUNNING && !record->live
                     ? "interrupted"
                     : run_state_name((enum run_state)record->state),
        .error = text_of(node_get(node_get(response, "error"), "message")),
        .metric = record->pipeline->objective_metric,
        .maximise = record->pipeline->maximise,
        .started_utc_ns = record->started_utc_ns,
        .elapsed_ns = record->elapsed_ns,
        .command = again,
        .reproduce = record->has_best && response != NULL
                         ? arena_format(arena, "sh %s/best/reproduce.sh", record->directory)
                         : NULL,
    };
    struct filling filling = {record, arena, &report, response, analysis};
    fill_scores(&filling);
    bool made = fill_variables(&filling) && fill_trials(&filling) && fill_stages(&filling) &&
                fill_executions(&filling) && fill_agents(&filling) && fill_shares(&filling) &&
                fill_findings(&filling) && fill_events(&filling) && fill_facts(&filling);
    if (!made)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory making its report");
    *ret_report = report;
    return TROUPE_OK;
}

enum troupe_error run_report_write(struct session *session, const char *runs_directory, const char *run_id,
                                   const char *again, const char *path, struct fault *fault) {
    struct env *env = session->env;
    struct account *account = session->account;
    struct run_record *record = NULL;
    struct analysis *analysis = NULL;
    struct report_run report;
    struct run_levers levers;
    struct arena arena;
    struct buffer page;
    enum troupe_error error = run_record_read(env, account, runs_directory, run_id, &record, fault);
    if (error != TROUPE_OK)
        return error;
    arena_init(&arena, account);
    buffer_init(&page, account, PAGE_BYTES_MAX);
    error = run_analysis_make(record, env, &arena, account, &analysis, fault);
    if (error == TROUPE_OK)
        error = run_report_fill(record, analysis, again, &arena, &report, fault);
    if (error == TROUPE_OK) {
        run_levers_make(session, record, runs_directory, true, &arena, &levers);
        report.levers = levers.levers;
        report.lever_count = levers.count;
        error = report_html(&report, &page);
        if (error != TROUPE_OK)
            fault_set(fault, error, path, "the report could not be made: %s", error_text(error));
    }
    if (error == TROUPE_OK)
        error = env_write_file(env, path, page.bytes, page.length, fault);
    buffer_free(&page);
    analysis_free(analysis, account);
    arena_free(&arena);
    run_record_free(record);
    return error;
}
