/* model_fit: what a run's record tells of its stages, agents and disk.
 *
 * An execution's time at its agent is taken apart: CPU (measured), waiting for a core (measured, where the record has
 * it), and the rest, which is blocked: sleeping, reading, waiting for others. Only CPU and blocked belong to the
 * program; the wait for a core comes out of the simulation again. With a window above 1 a task is handed over while
 * the one before it is still computed, so an execution begins no earlier than its agent's last end.
 * Threads: any one. Memory: the model's arena. */
#include "simulate/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_CPU_ASSUMED_NS 20000000u
#define COMMIT_ASSUMED_NS 2000000u

struct fitting {
    const struct run_record *record;
    struct account *account;
    struct model *model;
    struct fault *fault;
};

static enum troupe_error no_memory(const struct fitting *fitting) {
    return fault_set(fitting->fault, TROUPE_NOMEM, fitting->record->id, "out of memory fitting the run");
}

void model_parameter(struct model *model, unsigned n, const char *name, const char *format, ...) {
    if (model->parameter_count == MODEL_PARAMETERS_MAX)
        return;
    struct model_parameter *one = &model->parameters[model->parameter_count++];
    va_list args;
    va_start(args, format);
    vsnprintf(one->text, sizeof one->text, format, args);
    va_end(args);
    snprintf(one->name, sizeof one->name, "%s", name);
    one->n = n;
    one->assumed = n == 0;
}

/* ---- trials ---- */

static enum troupe_error fit_trials(struct fitting *fitting) {
    const struct run_record *record = fitting->record;
    struct model *model = fitting->model;
    const struct space *space = record->pipeline->space;
    unsigned last = 0;
    model->variables = space_count(space);
    for (unsigned i = 0; i < model->variables; i++)
        model->choice[i] = space_variable(space, i)->kind == VARIABLE_CHOICE;
    for (size_t i = 0; i < record->trial_count; i++)
        last = record->trials[i].number + 1 > last ? record->trials[i].number + 1 : last;
    model->trials = ARENA_ARRAY(&model->arena, struct model_trial, last + 1);
    if (model->trials == NULL)
        return no_memory(fitting);
    model->trial_count = last;
    model->begin_ns = UINT64_MAX;
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *from = &record->trials[i];
        struct model_trial *to = &model->trials[from->number];
        bool told = from->state == TRIAL_OK || from->state == TRIAL_FAILED;
        double *values = ARENA_ARRAY(&model->arena, double, model->variables + 1);
        if (values == NULL)
            return no_memory(fitting);
        memcpy(values, from->values, model->variables * sizeof *values);
        to->values = values;
        to->objective = from->state == TRIAL_OK ? from->objective : NAN;
        to->wall_ns = told && from->ended_ns > from->created_ns ? from->ended_ns - from->created_ns : 0;
        model->told += told;
        if (told && from->created_ns < model->begin_ns)
            model->begin_ns = from->created_ns;
    }
    if (model->told == 0)
        return fault_set(fitting->fault, TROUPE_INVALID, record->id,
                         "no trial has ended yet: a model needs at least one to be fitted from");
    return TROUPE_OK;
}

/* ---- stages ---- */

/* Variables that the stage uses, or anything that it needs, on whatever way. */
static void find_relevant(const struct pipeline *pipeline, struct model *model) {
    for (unsigned k = 0; k < pipeline->stage_count; k++) {
        unsigned at = pipeline->order[k];
        const struct pipeline_stage *stage = &pipeline->stages[at];
        bool *relevant = model->stages[at].relevant;
        for (unsigned v = 0; v < model->variables; v++)
            relevant[v] = stage->uses_all || stage->uses[v];
        for (unsigned needed = 0; needed < pipeline->stage_count; needed++)
            for (unsigned v = 0; (stage->needs & (1u << needed)) && v < model->variables; v++)
                relevant[v] = relevant[v] || model->stages[needed].relevant[v];
    }
}

static bool counts(const struct record_execution *execution) {
    return !execution->reused && (execution->state == TASK_OK || execution->state == TASK_FAILED) &&
           execution->ended > execution->started;
}

static int by_agent_and_start(const void *a, const void *b) {
    const struct record_execution *left = *(const struct record_execution *const *)a,
                                  *right = *(const struct record_execution *const *)b;
    if (left->agent != right->agent)
        return left->agent < right->agent ? -1 : 1;
    if (left->started != right->started)
        return left->started < right->started ? -1 : 1;
    return left->ended < right->ended ? -1 : left->ended > right->ended;
}

/* Its worker died of it: the same agent started anew before it did anything else. */
bool record_died_of(const struct run_record *record, const struct record_execution *execution) {
    uint64_t born = UINT64_MAX;
    for (size_t i = 0; i < record->start_count; i++)
        if (record->starts[i].agent == execution->agent && record->starts[i].ready > execution->ended &&
            record->starts[i].spawned < born)
            born = record->starts[i].spawned;
    for (size_t i = 0; i < record->execution_count && born != UINT64_MAX; i++)
        if (&record->executions[i] != execution && record->executions[i].agent == execution->agent &&
            record->executions[i].started >= execution->ended && record->executions[i].started < born)
            return false;
    return born != UINT64_MAX;
}

bool record_tried_again(const struct run_record *record, const struct record_execution *execution) {
    for (size_t i = 0; i < record->execution_count; i++)
        if (record->executions[i].trial == execution->trial &&
            record->executions[i].stage == execution->stage &&
            record->executions[i].attempt > execution->attempt)
            return true;
    /* The end of the run may have come between the two: then its trial did not fail. */
    const struct record_trial *trial = run_record_trial(record, execution->trial);
    return trial != NULL && trial->state != TRIAL_FAILED;
}

static void fill_sample(const struct fitting *fitting, const struct record_execution *execution,
                        uint64_t from, struct model_sample *ret) {
    bool ok = execution->state == TASK_OK;
    uint64_t wall = execution->ended > from ? execution->ended - from : 0;
    uint64_t cpu =
        execution->cpu_ns < wall ? execution->cpu_ns : wall; /* a second core at once is not modelled */
    uint64_t busy = cpu + (execution->core_wait_ns != CORE_WAIT_UNKNOWN ? execution->core_wait_ns : 0);
    *ret = (struct model_sample){
        .trial = execution->trial,
        .attempt = execution->attempt,
        .instance = execution->agent,
        .cpu_ns = cpu,
        .blocked_ns = wall > busy ? wall - busy : 0,
        .wall_ns = wall,
        .storing_ns = ok && execution->done > execution->ended ? execution->done - execution->ended : 0,
        .end = ok                                           ? SAMPLE_OK
               : record_died_of(fitting->record, execution) ? SAMPLE_CRASHED
                                                            : SAMPLE_FAILED,
        .retried = !ok && record_tried_again(fitting->record, execution),
        .values = fitting->model->trials[execution->trial].values};
}

static enum troupe_error fit_samples(struct fitting *fitting) {
    const struct run_record *record = fitting->record;
    struct model *model = fitting->model;
    const struct record_execution **sorted =
        memory_alloc(fitting->account, (record->execution_count + 1) * sizeof *sorted);
    if (sorted == NULL)
        return no_memory(fitting);
    size_t count = 0;
    for (size_t i = 0; i < record->execution_count; i++)
        if (counts(&record->executions[i]) && record->executions[i].trial < model->trial_count &&
            model->trials[record->executions[i].trial].values != NULL) {
            sorted[count++] = &record->executions[i];
            model->stages[record->executions[i].stage].count++;
        }
    qsort(sorted, count, sizeof *sorted, by_agent_and_start);
    bool made = true;
    for (unsigned s = 0; s < model->stage_count && made; s++) {
        model->stages[s].samples =
            ARENA_ARRAY(&model->arena, struct model_sample, model->stages[s].count + 1);
        made = model->stages[s].samples != NULL;
        model->stages[s].count = 0;
    }
    for (size_t i = 0; i < count && made; i++) {
        struct model_stage *stage = &model->stages[sorted[i]->stage];
        uint64_t from = sorted[i]->started;
        if (i > 0 && sorted[i - 1]->agent == sorted[i]->agent && sorted[i - 1]->ended > from)
            from = sorted[i - 1]->ended;
        fill_sample(fitting, sorted[i], from, &stage->samples[stage->count++]);
    }
    memory_free(fitting->account, sorted);
    return made ? TROUPE_OK : no_memory(fitting);
}

static int by_trial(const void *a, const void *b) {
    const struct model_sample *left = a, *right = b;
    if (left->trial != right->trial)
        return left->trial < right->trial ? -1 : 1;
    return left->attempt < right->attempt ? -1 : left->attempt > right->attempt;
}

/* How surely a mean is known. */
struct spread {
    double sum, squares;
    unsigned count;
};

static void spread_add(struct spread *spread, double value) {
    spread->sum += value;
    spread->squares += value * value;
    spread->count++;
}

static double spread_mean(const struct spread *spread) {
    return spread->count > 0 ? spread->sum / spread->count : 0;
}

/* ", mean +- 12 %": where it is in 95 of 100 cases. */
static const char *spread_text(const struct spread *spread, char out[40]) {
    double n = spread->count, mean = spread_mean(spread);
    double variance = n > 1 ? fmax(spread->squares - n * mean * mean, 0) / (n - 1) : 0;
    out[0] = '\0';
    if (spread->count == 1)
        snprintf(out, 40, ", seen once");
    else if (n > 1 && mean > 0)
        snprintf(out, 40, ", mean +- %.0f %%", 196 * sqrt(variance / n) / mean);
    return out;
}

static void describe_stage(const struct fitting *fitting, const struct model_stage *stage) {
    char name[80], cpu_text[32], blocked_text[32], sure[40];
    struct spread cpu = {0}, blocked = {0}, both = {0};
    for (unsigned i = 0; i < stage->count; i++) {
        spread_add(&cpu, (double)stage->samples[i].cpu_ns);
        spread_add(&blocked, (double)stage->samples[i].blocked_ns);
        spread_add(&both, (double)(stage->samples[i].cpu_ns + stage->samples[i].blocked_ns));
    }
    snprintf(name, sizeof name, "%.60s: time", stage->name);
    model_parameter(
        fitting->model, stage->assumed ? 0 : stage->count, name, "%s of CPU + %s blocked a task%s",
        text_format_duration(cpu_text, (int64_t)spread_mean(&cpu)),
        text_format_duration(blocked_text, (int64_t)spread_mean(&blocked)), spread_text(&both, sure));
}

/* A stage that never ran (`test`, before the end of the search) is taken for one like the objective's. */
static enum troupe_error fit_stages(struct fitting *fitting) {
    struct model *model = fitting->model;
    const struct pipeline *pipeline = fitting->record->pipeline;
    model->stage_count = pipeline->stage_count;
    for (unsigned s = 0; s < model->stage_count; s++) {
        model->stages[s].name =
            arena_copy(&model->arena, pipeline->stages[s].name, strlen(pipeline->stages[s].name));
        if (model->stages[s].name == NULL)
            return no_memory(fitting);
    }
    find_relevant(pipeline, model);
    enum troupe_error error = fit_samples(fitting);
    if (error != TROUPE_OK)
        return error;
    const struct model_stage *stand_in = &model->stages[pipeline->objective_stage];
    for (unsigned s = 0; s < model->stage_count; s++)
        qsort(model->stages[s].samples, model->stages[s].count, sizeof *model->stages[s].samples, by_trial);
    for (unsigned s = 0; s < model->stage_count; s++) {
        struct model_stage *stage = &model->stages[s];
        if (stage->count == 0 && stand_in->count == 0)
            return fault_set(fitting->fault, TROUPE_INVALID, fitting->record->id,
                             "stage '%s' has not ended once: there is nothing to fit its time from",
                             stage->name);
        if (stage->count == 0) {
            stage->samples = stand_in->samples;
            stage->count = stand_in->count;
            stage->assumed = true;
        }
        describe_stage(fitting, stage);
    }
    return TROUPE_OK;
}

/* ---- agents and disk ---- */

/* How many workers started while this one did, itself included. */
static unsigned starting_with(const struct run_record *record, const struct record_start *start) {
    unsigned count = 0;
    for (size_t i = 0; i < record->start_count; i++)
        count += record->starts[i].spawned < start->ready && record->starts[i].ready > start->spawned;
    return count > 0 ? count : 1;
}

/* Reading its program and linking it, a worker computes, and shares the cores with those that start with it. */
static struct model_start start_of(const struct fitting *fitting, const struct record_start *start) {
    uint64_t wall = start->ready > start->spawned ? start->ready - start->spawned : 0;
    double crowd = (double)starting_with(fitting->record, start) / fitting->model->cores;
    double busy = (double)start->cpu_ns * (crowd > 1 ? crowd : 1);
    return (struct model_start){.cpu_ns = start->cpu_ns < wall ? start->cpu_ns : wall,
                                .blocked_ns = (double)wall > busy ? wall - (uint64_t)busy : 0};
}

static enum troupe_error fit_starts(struct fitting *fitting, struct model_agent *agent) {
    const struct run_record *record = fitting->record;
    size_t length = strlen(agent->name);
    struct spread cpu = {0}, blocked = {0}, both = {0};
    char name[80], cpu_text[32], blocked_text[32], sure[40];
    agent->starts = ARENA_ARRAY(&fitting->model->arena, struct model_start, record->start_count + 1);
    if (agent->starts == NULL)
        return no_memory(fitting);
    for (size_t i = 0; i < record->start_count; i++) {
        const char *of = record->agents[record->starts[i].agent];
        if (strncmp(of, agent->name, length) == 0 && of[length] == '/')
            agent->starts[agent->start_count++] = start_of(fitting, &record->starts[i]);
    }
    unsigned known = agent->start_count;
    if (known == 0)
        agent->starts[agent->start_count++] = (struct model_start){.cpu_ns = START_CPU_ASSUMED_NS};
    for (unsigned i = 0; i < agent->start_count; i++) {
        spread_add(&cpu, (double)agent->starts[i].cpu_ns);
        spread_add(&blocked, (double)agent->starts[i].blocked_ns);
        spread_add(&both, (double)(agent->starts[i].cpu_ns + agent->starts[i].blocked_ns));
    }
    snprintf(name, sizeof name, "%.60s: start", agent->name);
    model_parameter(fitting->model, known, name, "%s of CPU + %s blocked from birth to hello%s",
                    text_format_duration(cpu_text, (int64_t)spread_mean(&cpu)),
                    text_format_duration(blocked_text, (int64_t)spread_mean(&blocked)),
                    known > 0 ? spread_text(&both, sure) : "");
    return TROUPE_OK;
}

static enum troupe_error fit_agents(struct fitting *fitting) {
    struct model *model = fitting->model;
    const struct pipeline *pipeline = fitting->record->pipeline;
    model->agent_count = pipeline->agent_count;
    for (unsigned a = 0; a < model->agent_count; a++) {
        struct model_agent *agent = &model->agents[a];
        agent->name = arena_copy(&model->arena, pipeline->agents[a].name, strlen(pipeline->agents[a].name));
        agent->instances = pipeline->agents[a].instances_max; /* records name them so */
        if (agent->name == NULL)
            return no_memory(fitting);
        enum troupe_error error = fit_starts(fitting, agent);
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

/* What the store cost the trials that were told: from told to durable. */
static struct spread commit_times(const struct run_record *record) {
    struct spread spread = {0};
    for (size_t i = 0; i < record->trial_count; i++)
        if (record->trials[i].ended_ns > record->trials[i].told_ns)
            spread_add(&spread, (double)(record->trials[i].ended_ns - record->trials[i].told_ns));
    return spread;
}

/* Two things are only seen mixed with what the run does to itself: a commit waits for the one under way, and workers
 * wait for cores because of each other. The simulation of the very run that was recorded tells how much of that is its
 * own; what is measured beyond it is the disk's, and other programs', which are taken to stay as they were. */
#define CALIBRATION_TRIALS_MAX 2000u
#define CROWDING_MAX 4.0

static enum troupe_error calibrate(struct fitting *fitting, double wait, double commit_mean) {
    const struct run_record *record = fitting->record;
    struct model *model = fitting->model;
    struct simulated simulated = {0};
    if (model->trial_count > CALIBRATION_TRIALS_MAX)
        return TROUPE_OK;
    struct pipeline *as_far = memory_alloc(fitting->account, sizeof *as_far);
    if (as_far == NULL)
        return no_memory(fitting);
    *as_far = *record->pipeline;
    as_far->trials = model->told; /* the budget may be far more than it came to */
    as_far->deadline_ns = 0;
    struct simulation simulation = {.model = model, .pipeline = as_far, .seed = 1};
    enum troupe_error error = simulate_run(&simulation, fitting->account, &simulated, fitting->fault);
    memory_free(fitting->account, as_far);
    if (error != TROUPE_OK)
        return error;
    double crowding = (1 + wait) / (1 + simulated.core_wait);
    model->crowding = crowding < 1 ? 1 : crowding > CROWDING_MAX ? CROWDING_MAX : crowding;
    if (simulated.commit_mean_ns > 0 && commit_mean > 0)
        model->commit_ns = (uint64_t)((double)model->commit_ns * commit_mean / simulated.commit_mean_ns);
    simulated_free(&simulated);
    return TROUPE_OK;
}

static enum troupe_error fit_machine(struct fitting *fitting) {
    const struct run_record *record = fitting->record;
    struct model *model = fitting->model;
    double wait = 0, cpu = 0;
    struct spread waits = {0};
    char text[32], sure[40];
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *one = &record->executions[i];
        if (!counts(one) || one->core_wait_ns == CORE_WAIT_UNKNOWN)
            continue;
        wait += (double)one->core_wait_ns;
        cpu += (double)one->cpu_ns;
        spread_add(&waits, one->cpu_ns > 0 ? (double)one->core_wait_ns / (double)one->cpu_ns : 0);
    }
    struct spread commits = commit_times(record);
    model->crowding = 1;
    model->commit_ns = commits.count > 0 ? (uint64_t)(spread_mean(&commits) / 2) : COMMIT_ASSUMED_NS;
    enum troupe_error error = calibrate(fitting, cpu > 0 ? wait / cpu : 0, spread_mean(&commits));
    if (error != TROUPE_OK)
        return error;
    model_parameter(model, commits.count, "store: commit", "%s a group%s",
                    text_format_duration(text, (int64_t)model->commit_ns), spread_text(&commits, sure));
    model_parameter(model, waits.count, "other programs",
                    "took %.0f %% of the cores that the agents could have used",
                    100 * (1 - 1 / model->crowding));
    model_parameter(model, record->cores != 0, "cores", "%u, shared equally", model->cores);
    model_parameter(model, 0, "from run to run", "each task varies by 3 %%, a whole run by 3 %%");
    return TROUPE_OK;
}

enum troupe_error model_fit(const struct run_record *record, unsigned cores, struct account *account,
                            struct model **ret_model, struct fault *fault) {
    struct model *model = memory_alloc(account, sizeof *model);
    if (model == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory fitting the run");
    arena_init(&model->arena, account);
    struct fitting fitting = {.record = record, .account = account, .model = model, .fault = fault};
    model->cores = record->cores != 0 ? record->cores : cores;
    enum troupe_error error = fit_trials(&fitting);
    if (error == TROUPE_OK)
        error = fit_stages(&fitting);
    if (error == TROUPE_OK)
        error = fit_agents(&fitting);
    if (error == TROUPE_OK && model_fit_speeds(model, record->pipeline->space, account) != TROUPE_OK)
        error = no_memory(&fitting);
    if (error == TROUPE_OK)
        error = fit_machine(&fitting);
    if (error != TROUPE_OK) {
        model_free(model);
        return error;
    }
    *ret_model = model;
    return TROUPE_OK;
}

void model_free(struct model *model) {
    if (model == NULL)
        return;
    struct account *account = model->arena.account;
    arena_free(&model->arena);
    memory_free(account, model);
}
