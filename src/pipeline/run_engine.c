/* run_engine: the actor that is a run: asks for trials, hears how tasks and commits end, finishes.
 *
 *   SEARCH --budget told, space exhausted, deadline or stop--> DRAIN (trials in flight)
 *      --> TEST (baseline, best) --> SUMMARY (row durable) --> AGENTS (drained, each DOWN) --> runtime stopped
 *
 * Every arrow is taken by run_continue, which is called whenever something ended and decides by counting
 * what is in flight.
 * Threads: its own turns; observers are called from them.
 * Memory:  struct run, owned by run_execute. */
#include "pipeline/run_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS 100000000u

uint64_t run_token(enum run_token kind, unsigned value) {
    return (uint64_t)kind << 32 | value;
}
enum run_token run_token_kind(uint64_t token) {
    return (enum run_token)(token >> 32);
}
unsigned run_token_value(uint64_t token) {
    return (unsigned)token;
}

const char *run_state_name(enum run_state state) {
    static const char *const names[] = {"running", "finished", "deadline", "stopped", "failed"};
    return names[state];
}

void run_tick_progress(struct run *run, struct turn *turn, struct run_progress *ret) {
    uint64_t elapsed =
        run->elapsed_before_ns + (turn->now_ns > run->start_ns ? turn->now_ns - run->start_ns : 0);
    unsigned busy = 0;
    for (unsigned t = 0; t < ARRAY_COUNT(run->trials); t++)
        for (unsigned i = 0; run->trials[t] != NULL && i < run->pipeline->stage_count; i++)
            busy += run->trials[t]->stages[i].state == STAGE_SUBMITTED;
    *ret = (struct run_progress){.pipeline = run->pipeline,
                                 .run_name = run->id,
                                 .run_directory = run->directory,
                                 .told = run->told,
                                 .failed = run->failed,
                                 .in_flight = run->in_flight,
                                 .reused_stages = (unsigned)run->reused_stages,
                                 .restarts = run->restarts,
                                 .has_best = run->has_best,
                                 .has_baseline = run->has_baseline,
                                 .best_trial = run->best_trial,
                                 .best_objective = run->best_objective,
                                 .baseline_objective = run->baseline_objective,
                                 .busy = busy < run->slots ? busy : run->slots,
                                 .slots = run->slots,
                                 .elapsed_ns = elapsed,
                                 .deadline_in_ns = run->deadline_at_ns == 0 ? UINT64_MAX
                                                   : run->deadline_at_ns > turn->now_ns
                                                       ? run->deadline_at_ns - turn->now_ns
                                                       : 0};
    for (unsigned a = 0; a < run->pipeline->agent_count; a++)
        ret->instances[a] = run_agents_here(run, a);
}

void run_show(struct run *run, struct turn *turn, struct run_event *event) {
    if (run->options.observer.fn == NULL)
        return;
    struct run_progress progress;
    run_tick_progress(run, turn, &progress);
    event->progress = &progress;
    run->options.observer.fn(run->options.observer.context, event);
}

bool run_write(struct run *run, struct turn *turn, const struct store_row *row, const char *name,
               const char *text, uint64_t token) {
    struct store_row stamped = *row;
    stamped.utc_ns = env_utc(run->env);
    enum troupe_error error = store_write(run->store, turn, &stamped, name, text, token != 0, token);
    if (error == TROUPE_OK)
        return true;
    run_fail(run, turn, error, "%s: the store refused a row", run->directory);
    return false;
}

void run_line(struct run *run, struct turn *turn, unsigned trial, const char *format, ...) {
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (run->error == TROUPE_OK && !run->summary_written) {
        struct store_row row = {.kind = STORE_EVENT, .trial = trial, .utc_ns = env_utc(run->env)};
        IGNORE(store_write(run->store, turn, &row, NULL, text, false, 0), "the line is shown all the same");
    }
    struct run_event event = {.kind = RUN_EVENT_LINE, .trial = trial, .text = text};
    run_show(run, turn, &event);
}

bool run_write_text(struct run *run, struct turn *turn, const struct store_row *row, const char *name,
                    struct buffer *text, uint64_t token) {
    enum troupe_error error = buffer_ok(text);
    bool written = error == TROUPE_OK && run_write(run, turn, row, name, buffer_string(text), token);
    if (error != TROUPE_OK)
        run_fail(run, turn, error, "%s: a row could not be written: %s", run->directory, error_text(error));
    buffer_free(text);
    return written;
}

static void cancel_tasks(struct run *run, struct turn *turn, bool at_once) {
    struct message *message =
        message_new(run->runtime, MESSAGE_TASK_CANCEL, sizeof(struct message_task_cancel));
    if (message == NULL)
        return; /* tasks then run to their end or deadline */
    *MESSAGE_PAYLOAD(message, struct message_task_cancel) =
        (struct message_task_cancel){.run = 1, .trial = UINT32_MAX, .at_once = at_once};
    IGNORE(actor_send(run->runtime, turn, run->coordinator, &message), "a dead coordinator has no tasks");
    message_free(&message);
}

static void stop_search(struct run *run, struct turn *turn, enum run_state state, const char *why) {
    if (run->stopping || run->finishing)
        return;
    run->stopping = true;
    run->state = state;
    struct run_event event = {.kind = RUN_EVENT_STOPPING, .text = why};
    run_show(run, turn, &event);
    /* After a deadline the workers are needed again, for the test; else nobody waits for them. */
    cancel_tasks(run, turn, state != RUN_DEADLINE || run->test_mask == 0);
}

void run_fail(struct run *run, struct turn *turn, enum troupe_error error, const char *format, ...) {
    if (run->error != TROUPE_OK)
        return; /* the first one is the cause */
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    run->error = error;
    fault_set(run->fault, error, run->id, "%s", text);
    stop_search(run, turn, RUN_FAILED, text);
    run->state = RUN_FAILED;
}

/* ---- asking ---- */

static enum troupe_error next_configuration(struct run *run, unsigned *ret_number,
                                            struct configuration *ret_configuration, struct fault *fault) {
    const struct run_script *script = &run->options.script;
    unsigned number = 0;
    if (run->fixed != NULL) {
        *ret_configuration = *run->fixed;
    } else {
        number = study_asked(run->study);
        if (script->fn == NULL || !script->fn(script->context, number, ret_configuration))
            return study_ask(run->study, ret_number, ret_configuration, fault);
    }
    *ret_number = number;
    return study_restore(run->study, number, ret_configuration, fault);
}

static bool ask_one(struct run *run, struct turn *turn) {
    struct configuration *configuration = memory_alloc(run->account, sizeof *configuration);
    struct fault fault = {0};
    unsigned number = 0;
    enum troupe_error error =
        configuration == NULL ? TROUPE_NOMEM : next_configuration(run, &number, configuration, &fault);
    struct trial *trial = NULL;
    if (error == TROUPE_OK)
        trial = trial_new(run, turn, number, configuration, run->trial_mask);
    memory_free(run->account, configuration);
    if (error == TROUPE_NOT_FOUND) {
        run->exhausted = true;
        return false;
    }
    if (error == TROUPE_FULL)
        return false; /* deterministic: waits for a tell */
    if (error != TROUPE_OK || trial == NULL) {
        run_fail(run, turn, error != TROUPE_OK ? error : TROUPE_NOMEM, "no further trial: %s",
                 fault.text[0] != '\0' ? fault.text : "out of memory");
        return false;
    }
    struct run_event event = {
        .kind = RUN_EVENT_ASKED, .trial = number, .configuration = &trial->configuration};
    run_show(run, turn, &event);
    struct buffer text;
    struct json json;
    buffer_init(&text, run->account, 1 << 20);
    json_init(&json, &text);
    space_write_json(run->pipeline->space, &trial->configuration, &json);
    struct store_row row = {.kind = STORE_TRIAL_ASKED, .trial = number, .a = run->sequence++};
    bool written = run_write_text(run, turn, &row, NULL, &text, run_token(TOKEN_ASKED, number));
    if (!written)
        trial_free(run, trial); /* nobody has heard of it */
    return written;
}

static bool ask_budget_left(const struct run *run) {
    return !run->stopping && !run->exhausted && study_asked(run->study) < run->trial_limit &&
           !run_feedback_sheds(run);
}

/* A task is cut shortly before the deadline, so that its worker can still answer; the run's own timer comes
 * after that, and whatever is asked in between would be cut as well. */
static bool deadline_passed(const struct run *run, const struct turn *turn) {
    return run->deadline_cuts || (run->deadline_at_ns != 0 && turn->now_ns >= run->deadline_at_ns);
}

/* ---- finishing ---- */

static bool start_test(struct run *run, struct turn *turn, unsigned number) {
    const struct configuration *configuration = study_configuration(run->study, number);
    if (configuration == NULL)
        return false;
    struct trial *trial = trial_new(run, turn, number, configuration, run->test_mask);
    if (trial == NULL)
        return false;
    trial->testing = true;
    trial->state = TRIAL_RUNNING;
    trial_advance(run, turn, trial);
    return true;
}

/* Baseline, then best; both at once, they share nothing but agents. True while something is still to be
 * waited for. */
static bool run_tests(struct run *run, struct turn *turn) {
    if (run->test_mask == 0 || run->error != TROUPE_OK || !run->has_best || run->state == RUN_STOPPED)
        return false;
    while (run->test_next < 2) {
        unsigned which = run->test_next++;
        if (which == 0 && run->has_baseline && run->best_trial != 0)
            start_test(run, turn, 0);
        if (which == 1)
            start_test(run, turn, run->best_trial);
    }
    return run->in_flight > 0;
}

/* A search that is over without one value of the objective has failed, whatever ended it; a stopped one may still
 * be resumed. */
static void check_objective(struct run *run) {
    if (run->has_best || run->error != TROUPE_OK || run->state == RUN_STOPPED)
        return;
    if (run->failed > 0 || run->state != RUN_DEADLINE)
        run->state = RUN_FAILED; /* else more time is all that it lacks */
    if (run->failed > 0)
        run->error = fault_set(
            run->fault, TROUPE_NO_OBJECTIVE, run->id, "none of %u trials reported '%s'; the last: %s",
            run->failed, run->pipeline->objective_metric,
            run->last_failure[0] != '\0' ? run->last_failure : "before the run was resumed");
    else
        run->error =
            fault_set(run->fault, TROUPE_DEADLINE, run->id,
                      "no trial ended before the deadline; go on with --resume %s and a later one", run->id);
}

static void write_summary(struct run *run, struct turn *turn) {
    run->end_ns = env_now(run->env);
    if (run->last_trial_ns < turn->now_ns && run->told > 0)
        run->last_trial_ns = turn->now_ns; /* tests belong to the active part */
    if (run->state == RUN_RUNNING)
        run->state = RUN_FINISHED;
    for (unsigned a = 0; a < run->pipeline->agent_count; a++)
        if (run_stale_answers(run, a) > 0)
            run_line(run, turn, UINT32_MAX,
                     "agent %s: %llu answers were dropped: they repeat the id and attempt of no task it has",
                     run->pipeline->agents[a].name, (unsigned long long)run_stale_answers(run, a));
    buffer_clear(&run->response);
    response_write(run, &run->response);
    struct store_row row = {.kind = STORE_RUN_STATE,
                            .a = run->state,
                            .real = (double)(run->elapsed_before_ns + run->end_ns - run->start_ns) / 1e9};
    if (run->error != TROUPE_OK && run->error != TROUPE_NO_OBJECTIVE && run->error != TROUPE_NO_AGENT &&
        run->error != TROUPE_DEADLINE) {
        runtime_stop(run->runtime); /* nothing more can be promised to the disk */
        return;
    }
    row.utc_ns = env_utc(run->env);
    struct buffer text; /* the last trials' commits are told here */
    struct json json;
    buffer_init(&text, run->account, 64 << 10);
    json_init(&json, &text);
    json_object_begin(&json);
    account_write_durable(run, &json);
    json_object_end(&json);
    bool written = buffer_ok(&text) == TROUPE_OK &&
                   store_write(run->store, turn, &row, NULL, buffer_string(&text), false, 0) == TROUPE_OK;
    buffer_free(&text);
    row = (struct store_row){.kind = STORE_SUMMARY, .utc_ns = env_utc(run->env)};
    written = written && store_write(run->store, turn, &row, NULL, buffer_string(&run->response), true,
                                     run_token(TOKEN_SUMMARY, 0)) == TROUPE_OK;
    if (written)
        return;
    run->state = RUN_FAILED;
    run->error = fault_set(run->fault, TROUPE_NOMEM, run->id,
                           "out of memory storing how the run ended; go on with --resume %s", run->id);
    runtime_stop(run->runtime);
}

void run_continue(struct run *run, struct turn *turn) {
    if (run->finishing || !run->started)
        return;
    if (deadline_passed(run, turn) && run->in_flight == 0 && (run->deadline_cuts || ask_budget_left(run)))
        stop_search(run, turn, RUN_DEADLINE, "the deadline has come");
    while (run->in_flight < run->parallel && ask_budget_left(run) && !deadline_passed(run, turn))
        if (!ask_one(run, turn))
            break;
    run_feedback_look(run, turn);
    if (run->in_flight > 0 || ask_budget_left(run) || run_feedback_reconsiders(run, turn))
        return;
    run->testing = true;
    if (run_tests(run, turn) || run->finishing)
        return;
    if (run->feedback.shed > 0 && run->state == RUN_RUNNING)
        run->state = RUN_DEADLINE; /* more time is what it lacked */
    run_feedback_ended(run, turn);
    check_objective(run);
    run->finishing = true;
    write_summary(run, turn);
}

static void drain_agents(struct run *run, struct turn *turn) {
    run_agents_drain(run, turn);
    uint64_t timer;
    if (run->agents_live == 0 ||
        timer_start(turn, turn->now_ns + 7000000000u, run_token(TOKEN_TIMER_AGENTS, 0), &timer) != TROUPE_OK)
        runtime_stop(run->runtime);
}

/* ---- messages ---- */

/* The run exists durably. */
static void begin_search(struct run *run, struct turn *turn) {
    struct run_event event = {.kind = RUN_EVENT_STARTED};
    run_show(run, turn, &event);
    run_resume_trials(run, turn);
    run_continue(run, turn);
}

static void on_start(struct run *run, struct turn *turn) {
    uint64_t timer;
    run->self = turn->self;
    run->started = true;
    run->start_ns = turn->now_ns;
    run->process_cpu_ns = env_process_cpu(run->env);
    run_agents_watch(run, turn);
    run->slots_since_ns = turn->now_ns;
    if (run->pipeline->deadline_ns != 0) {
        uint64_t left = run->pipeline->deadline_ns > run->elapsed_before_ns
                            ? run->pipeline->deadline_ns - run->elapsed_before_ns
                            : 0;
        run->deadline_at_ns = turn->now_ns + left;
        if (timer_start(turn, run->deadline_at_ns, run_token(TOKEN_TIMER_DEADLINE, 0), &timer) != TROUPE_OK)
            run_fail(run, turn, TROUPE_NOMEM, "no timer for the deadline");
    }
    if (run->options.observer.ticks)
        IGNORE(timer_start(turn, turn->now_ns + TICK_NS, run_token(TOKEN_TIMER_TICK, 0), &timer),
               "only the display");
    run_trace_start(run, turn);
    run_turns_start(run, turn);
    if (run->options.resume)
        begin_search(run, turn);
    else
        run_definition_write(run, turn);
}

static void on_committed(struct run *run, struct turn *turn, const struct message *message) {
    const struct message_store_committed *answer =
        MESSAGE_PAYLOAD(message, const struct message_store_committed);
    if (answer->error != TROUPE_OK) {
        run_fail(run, turn, answer->error, "%s; what was committed before is safe: go on with --resume %s",
                 answer->text[0] != '\0' ? answer->text : error_text(answer->error), run->id);
        if (run_token_kind(answer->token) == TOKEN_SUMMARY)
            runtime_stop(run->runtime);
        struct trial *lost = trial_find(run, run_token_value(answer->token));
        if (lost != NULL && (run_token_kind(answer->token) == TOKEN_ASKED || lost->ended)) {
            trial_free(run, lost); /* not durable: a resume runs it again */
            run_continue(run, turn);
        }
        return;
    }
    struct trial *trial = trial_find(run, run_token_value(answer->token));
    switch (run_token_kind(answer->token)) {
    case TOKEN_CREATED:
        begin_search(run, turn);
        break;
    case TOKEN_ASKED:
        if (trial == NULL || trial->ended)
            break;
        trial->state = TRIAL_RUNNING;
        if (run->stopping)
            trial_fail(run, turn, trial, TRIAL_CANCELLED, "the run was stopped");
        else
            trial_advance(run, turn, trial);
        break;
    case TOKEN_TOLD:
        if (trial != NULL && trial->ended && !trial->testing)
            trial_committed(run, turn, trial);
        break;
    case TOKEN_SUMMARY: {
        struct run_event event = {.kind = RUN_EVENT_ENDED};
        run->summary_written = true;
        run_show(run, turn, &event);
        drain_agents(run, turn);
        break;
    }
    default:
        break;
    }
}

static void on_timer(struct run *run, struct turn *turn, uint64_t token) {
    uint64_t timer;
    struct run_event tick = {.kind = RUN_EVENT_TICK};
    switch (run_token_kind(token)) {
    case TOKEN_TIMER_DEADLINE:
        stop_search(run, turn, RUN_DEADLINE, "the deadline has come");
        run_continue(run, turn);
        break;
    case TOKEN_TIMER_TICK:
        if (run->finishing)
            break;
        run_show(run, turn, &tick);
        IGNORE(timer_start(turn, turn->now_ns + TICK_NS, token, &timer), "only the display");
        break;
    case TOKEN_TIMER_TRACE:
        run_trace_timer(run, turn);
        break;
    case TOKEN_TIMER_TURNS:
        run_turns_timer(run, turn);
        break;
    case TOKEN_TIMER_AGENTS:
        runtime_stop(run->runtime); /* children are killed when the runtime goes */
        break;
    default:
        break;
    }
}

static void on_work(struct run *run, struct turn *turn, struct work_job *job) {
    struct trial *trial = job->makes ? trial_find(run, job->trial) : NULL;
    if (trial != NULL && !trial->ended && trial->stages[job->stage].state == STAGE_PREPARING &&
        trial->stages[job->stage].attempt == job->attempt)
        stage_prepared(run, turn, trial, job->stage, job);
    else if (job->makes && job->error == TROUPE_OK)
        work_remove(run, turn, job->path); /* its trial ended meanwhile */
    work_job_free(job);
}

static void on_job(struct run *run, struct turn *turn, const struct message_job *done) {
    if (run_token_kind(done->token) == TOKEN_TRACE) {
        run_trace_drained(run, turn);
        return;
    }
    if (run_token_kind(done->token) == TOKEN_TURNS) {
        run_turns_written(run, turn);
        return;
    }
    if (run_token_kind(done->token) == TOKEN_WORK) {
        on_work(run, turn, done->arg);
        return;
    }
    struct artifact_job *job = done->arg;
    artifact_done(run, turn, job);
    struct trial *trial = job->stage < run->pipeline->stage_count ? trial_find(run, job->trial) : NULL;
    if (trial != NULL && !trial->ended && trial->stages[job->stage].state == STAGE_STORING &&
        trial->stages[job->stage].attempt == job->attempt) {
        if (job->error == TROUPE_OK) {
            stage_stored(run, turn, trial, job->stage, job->result);
        } else {
            char text[1200];
            snprintf(text, sizeof text, "stage '%s': its artifact could not be kept: %s: %s",
                     run->pipeline->stages[job->stage].name, job->fault.where, job->fault.text);
            /* A disk that fails is no fault of the trial: the run ends, and a resume runs it again. */
            bool disk = job->disk_failed && !PLANT(DISK_BLAMED_ON_TRIAL);
            if (disk)
                run_fail(run, turn, job->error, "%s; go on with --resume %s", text, run->id);
            trial_fail(run, turn, trial, disk ? TRIAL_CANCELLED : TRIAL_FAILED, text);
        }
    }
    artifact_job_free(job);
    artifact_collect(run, turn);
}

/* A lost row is a start that nobody learns from: no reason to fail the run. */
static void write_agent_start(struct run *run, struct turn *turn, const struct message_agent_event *event) {
    unsigned agent = run_agents_find(run, event->agent);
    if (agent == run->agent_count || !run->started || run->error != TROUPE_OK || run->finishing)
        return;
    struct buffer text;
    struct json json;
    buffer_init(&text, run->account, 1024);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_int(&json, "spawned_us", running_us(run, event->spawned_ns));
    json_field_int(&json, "ready_us", running_us(run, event->ready_ns));
    json_field_int(&json, "cpu_us", (int64_t)(event->cpu_ns / 1000));
    json_object_end(&json);
    struct store_row row = {.kind = STORE_AGENT_STARTED, .a = agent, .utc_ns = env_utc(run->env)};
    if (buffer_ok(&text) == TROUPE_OK)
        IGNORE(store_write(run->store, turn, &row, NULL, buffer_string(&text), false, 0), "see above");
    buffer_free(&text);
}

static void on_agent_event(struct run *run, struct turn *turn, const struct message_agent_event *event) {
    run_agents_heard(run, turn, event);
    if (event->event == AGENT_UP)
        write_agent_start(run, turn, event);
    if (event->event == AGENT_RESTARTED)
        run->restarts++;
    if (event->event == AGENT_GAVE_UP)
        snprintf(run->gave_up, sizeof run->gave_up, "%s", event->text);
    if (event->event != AGENT_UP && event->event != AGENT_LOG && !run->finishing)
        run_line(run, turn, event->task.run != 0 ? event->task.trial : UINT32_MAX, "%s", event->text);
}

static void on_down(struct run *run, struct turn *turn, const struct message_down *down) {
    if (run_token_kind(down->token) != TOKEN_AGENT_DOWN)
        return;
    run_agents_down(run, run_token_value(down->token), turn->now_ns);
    if (run->summary_written && run->agents_live == 0)
        runtime_stop(run->runtime);
}

static void engine_handle(struct turn *turn, void *state, const struct message *message) {
    struct run *run = state;
    switch ((enum message_kind)message->kind) {
    case MESSAGE_RUN_START:
        on_start(run, turn);
        break;
    case MESSAGE_STORE_COMMITTED:
        on_committed(run, turn, message);
        break;
    case MESSAGE_TASK_ENDED:
        stage_task_ended(run, turn, MESSAGE_PAYLOAD(message, const struct message_task_ended)->task);
        break;
    case MESSAGE_JOB_DONE:
        on_job(run, turn, MESSAGE_PAYLOAD(message, const struct message_job));
        break;
    case MESSAGE_TIMER:
        on_timer(run, turn, MESSAGE_PAYLOAD(message, const struct message_timer)->token);
        break;
    case MESSAGE_AGENT_EVENT:
        on_agent_event(run, turn, MESSAGE_PAYLOAD(message, const struct message_agent_event));
        break;
    case MESSAGE_DOWN:
        on_down(run, turn, MESSAGE_PAYLOAD(message, const struct message_down));
        break;
    case MESSAGE_FEEDBACK:
        run_feedback_answer(run, turn, MESSAGE_PAYLOAD(message, const struct feedback));
        run_continue(run, turn);
        break;
    case MESSAGE_ASK_FAILED:
        run_feedback_unanswered(run);
        run_continue(run, turn);
        break;
    case MESSAGE_RUN_STOP:
        stop_search(run, turn, RUN_STOPPED,
                    "interrupted: no new trials, what runs is cancelled; once more stops at once");
        run_continue(run, turn);
        break;
    default: /* COORDINATED, TASK_PROGRESS: nothing to decide */
        break;
    }
    if (run->stopping && !run->finishing)
        run_continue(run, turn);
}

enum troupe_error run_spawn_engine(struct run *run, struct fault *fault) {
    struct actor_spec spec = {.name = "run",
                              .handle = engine_handle,
                              .state = run,
                              .mailbox_len_max = 8192,
                              .pinned = run->pipeline->feedback == FEEDBACK_AUTO}; /* it starts agents */
    enum troupe_error error = actor_spawn(run->runtime, &spec, &run->self);
    return error == TROUPE_OK ? error
                              : fault_set(fault, error, run->id, "the run's actor could not be started");
}
