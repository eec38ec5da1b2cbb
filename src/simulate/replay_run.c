/* replay_run: see replay.h. Set-up, the comparison of what the engine tells, and the end.
 *
 * The run is executed by run_execute, with the real store on a disk in memory; so each row is committed, each directory
 * made and each artifact taken over as it was. Only what is outside of the process is the record's: the workers
 * (replay_worker.c) and the order in which things came in (replay_order.c). */
#include "simulate/replaying.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_NS                                                                                          \
    UINT64_C(120000000000) /* of virtual time past the recorded end: then nothing more comes */

/* Not inlined, and not empty to the compiler: a breakpoint on the name is reached. */
#define STOP_HERE __attribute__((noinline, used))

STOP_HERE void replay_reached(unsigned trial) {
    __asm__ volatile("" ::"r"(trial) : "memory");
}

STOP_HERE void replay_differed(const char *how) {
    __asm__ volatile("" ::"r"(how) : "memory");
}

STOP_HERE void replay_took_turn(uint64_t number) {
    __asm__ volatile("" ::"r"(number) : "memory");
}

static void end_now(void *env) {
    env_sim_signal(env, ENV_SIGNAL_STOP); /* twice: at once */
    env_sim_signal(env, ENV_SIGNAL_STOP);
}

void replay_end(struct replaying *replaying) {
    if (replaying->ending)
        return;
    replaying->ending = true;
    env_sim_at(replaying->env, env_now(replaying->env), end_now, replaying->env);
}

void replay_differ(struct replaying *replaying, const char *format, ...) {
    struct replay_report *report = replaying->report;
    if (report->differs || replaying->ending)
        return;
    report->differs = true;
    va_list args;
    va_start(args, format);
    vsnprintf(report->difference, sizeof report->difference, format, args);
    va_end(args);
    replay_differed(report->difference);
    replay_end(replaying);
}

/* ---- what the engine tells ---- */

static void on_asked(struct replaying *replaying, const struct run_event *event) {
    const struct record_trial *trial = run_record_trial(replaying->request->record, event->trial);
    if (event->trial == replaying->request->until_trial) {
        replaying->report->reached = true;
        replay_reached(event->trial);
        replay_end(replaying);
        return;
    }
    if (trial == NULL) {
        if (replaying->request->turns->ended)
            replay_differ(replaying, "trial %u was asked for; the record has none of that number",
                          event->trial);
        return;
    }
    const struct space *space = replaying->pipeline.space;
    for (unsigned i = 0; i < event->configuration->count; i++) {
        double value = event->configuration->values[i], recorded = trial->values[i];
        if (value != recorded && !(isnan(value) && isnan(recorded))) {
            replay_differ(replaying, "trial %u has %s = %.17g; recorded is %.17g", event->trial,
                          space_variable(space, i)->name, value, recorded);
            return;
        }
    }
    replaying->report->asked++;
}

static void on_told(struct replaying *replaying, const struct run_event *event) {
    const struct record_trial *trial = run_record_trial(replaying->request->record, event->trial);
    if (trial == NULL || (int)event->state != trial->state) {
        if (trial == NULL || replaying->request->turns->ended)
            replay_differ(replaying, "trial %u ended %s; recorded is %s", event->trial,
                          trial_state_name(event->state),
                          trial == NULL ? "nothing" : trial_state_name((enum trial_state)trial->state));
        return;
    }
    if (trial->state == TRIAL_OK && event->objective != trial->objective) {
        replay_differ(replaying, "trial %u has the objective %.17g; recorded is %.17g", event->trial,
                      event->objective, trial->objective);
        return;
    }
    replaying->report->told++;
}

static void observe(void *context, const struct run_event *event) {
    struct replaying *replaying = context;
    if (replaying->ending)
        return; /* the rest of the turn that it ends in */
    if (event->kind == RUN_EVENT_ASKED)
        on_asked(replaying, event);
    else if (event->kind == RUN_EVENT_TRIAL || event->kind == RUN_EVENT_BEST)
        on_told(replaying, event);
    else if (event->kind == RUN_EVENT_ENDED)
        replaying->report->virtual_ns = env_now(replaying->env) - replaying->start_ns;
}

/* ---- from set-up to report ---- */

static enum troupe_error check(const struct replay_request *request, struct fault *fault) {
    const struct run_record *record = request->record;
    if (record->live)
        return fault_set(fault, TROUPE_UNSUPPORTED, record->id,
                         "it is running: its record of turns is not whole before it ends");
    if (request->turns->lost > 0)
        return fault_set(fault, TROUPE_UNSUPPORTED, record->id,
                         "%llu turns are missing in its record: the disk did not keep up",
                         (unsigned long long)request->turns->lost);
    if (request->until_trial != RECORD_UNKNOWN && run_record_trial(record, request->until_trial) == NULL)
        return fault_set(fault, TROUPE_NOT_FOUND, "--until-trial", "run %s has no trial %u: it has %zu",
                         record->id, request->until_trial, record->trial_count);
    return TROUPE_OK;
}

static void use_recorded_workers(struct replaying *replaying) {
    static const char *const argv[] = {"recorded", NULL};
    struct pipeline *pipeline = &replaying->pipeline;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        struct pipeline_agent *agent = &pipeline->agents[a];
        agent->kind = PIPELINE_AGENT_COMMAND;
        agent->argv = argv;
        agent->metrics = NULL;
        agent->isolate = true;
        agent->environment = NULL;
    }
    pipeline->data_json = "{}";
}

static enum troupe_error live(struct replaying *replaying, struct fault *fault) {
    const struct run_record *record = replaying->request->record;
    struct configuration fixed = {.count = space_count(record->pipeline->space)};
    struct run_options options = {.runs_directory = "/runs",
                                  .run_id = record->id,
                                  .workers = 1,
                                  .turns = replay_sink(replaying),
                                  .registry_seed = replaying->request->turns->seed,
                                  .guide = replay_guide(replaying),
                                  .observer = {.fn = observe, .context = replaying}};
    if (record->fixed && record->trial_count > 0) {
        memcpy(fixed.values, record->trials[0].values, fixed.count * sizeof *fixed.values);
        options.configuration = &fixed;
    }
    struct run_outcome outcome = {0};
    struct fault ended = {0};
    enum troupe_error error =
        run_execute(replaying->env, replaying->account, &replaying->pipeline, &options, &outcome, &ended);
    run_outcome_free(&outcome);
    if (replaying->out_of_memory || error == TROUPE_NOMEM)
        return fault_set(fault, TROUPE_NOMEM, "replay", "out of memory replaying the run");
    if ((error == TROUPE_TIMEOUT || error == TROUPE_DEAD) && !replaying->ending)
        replay_stuck(replaying);
    else if (error != TROUPE_OK && !replaying->ending && error != TROUPE_NO_OBJECTIVE &&
             error != TROUPE_DEADLINE && error != TROUPE_NO_AGENT)
        return fault_set(fault, error, ended.where, "the replay failed: %s", ended.text);
    return TROUPE_OK;
}

enum troupe_error replay_run(const struct replay_request *request, struct account *account,
                             struct replay_report *ret, struct fault *fault) {
    enum troupe_error error = check(request, fault);
    if (error != TROUPE_OK)
        return error;
    struct replaying *replaying = memory_alloc(account, sizeof *replaying);
    if (replaying == NULL)
        return fault_set(fault, TROUPE_NOMEM, "replay", "out of memory replaying the run");
    struct replay_report report = {0};
    replaying->request = request;
    replaying->account = account;
    replaying->pipeline = *request->record->pipeline;
    replaying->report = &report;
    use_recorded_workers(replaying);
    struct env_sim_options options = {.seed = 1,
                                      .workers = 1,
                                      .cores = request->record->cores,
                                      .time_max_ns = request->record->elapsed_ns + PATIENCE_NS};
    error = replay_orders_read(replaying, fault);
    if (error == TROUPE_OK && env_sim_create(account, &options, &replaying->env) != TROUPE_OK)
        error = fault_set(fault, TROUPE_NOMEM, "replay", "out of memory replaying the run");
    if (error == TROUPE_OK) {
        replaying->start_ns = env_now(replaying->env);
        struct env_child_model model = replay_workers(replaying);
        env_sim_set_child_model(replaying->env, &model);
        error = live(replaying, fault);
        if (report.virtual_ns == 0)
            report.virtual_ns = env_now(replaying->env) - replaying->start_ns;
        report.events = env_sim_events(replaying->env);
        report.signature = env_sim_signature(replaying->env);
        env_destroy(replaying->env);
    }
    replay_orders_free(replaying);
    memory_free(account, replaying);
    if (error == TROUPE_OK)
        *ret = report;
    return error;
}
