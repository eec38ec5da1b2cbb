/* run_trial: a trial's way through its stages.
 *
 *   WAITING --ASKED durable--> RUNNING --objective--> OK        \
 *                                 |---stage failed--> FAILED     > TOLD row queued --durable--> shown, freed
 *                                 `---cancelled-----> CANCELLED (no TOLD row: a resume runs it again)
 *
 * A stage starts when what it needs is DONE, in the same turn, so the times along the critical path touch.
 * Threads: the engine's turns.
 * Memory:  one block per live trial, from the run's account. */
#include "pipeline/run_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *trial_state_name(enum trial_state state) {
    static const char *const names[] = {"waiting", "running", "ok", "failed", "cancelled"};
    return names[state];
}

struct trial *trial_find(struct run *run, unsigned number) {
    for (unsigned i = 0; i < ARRAY_COUNT(run->trials); i++)
        if (run->trials[i] != NULL && run->trials[i]->number == number)
            return run->trials[i];
    return NULL;
}

struct trial *trial_new(struct run *run, struct turn *turn, unsigned number,
                        const struct configuration *configuration, uint32_t wanted) {
    unsigned slot = 0;
    while (slot < ARRAY_COUNT(run->trials) && run->trials[slot] != NULL)
        slot++;
    CHECK(slot < ARRAY_COUNT(run->trials)); /* in_flight <= parallel <= PIPELINE_PARALLEL_MAX */
    struct trial *trial = memory_alloc(run->account, sizeof *trial);
    if (trial == NULL)
        return NULL;
    trial->number = number;
    trial->slot = slot;
    trial->wanted = wanted;
    trial->configuration = *configuration;
    trial->created_ns = turn->now_ns;
    trial->objective = NAN;
    for (unsigned i = 0; i < run->pipeline->stage_count; i++)
        trial->stages[i].trial = trial;
    run->trials[slot] = trial;
    run->in_flight++;
    trace_emit(run->trace.tracer, turn->worker, TRACE_TRIAL_STARTED,
               task_id_span((struct task_id){.run = 1, .trial = number}), number, 0);
    if (run->first_trial_ns == 0)
        run->first_trial_ns = turn->now_ns;
    return trial;
}

void trial_free(struct run *run, struct trial *trial) {
    for (unsigned i = 0; i < run->pipeline->stage_count; i++) {
        stage_result_drop(trial->stages[i].result);
        task_decision_free(trial->stages[i].decision);
    }
    run->trials[trial->slot] = NULL;
    run->in_flight--;
    memory_free(run->account, trial);
}

/* The metric, from the stage's metrics or from the numbers of its value object. */
static bool read_metric(const struct stage_result *result, const char *name, double *ret) {
    for (unsigned i = 0; i < result->metric_count; i++)
        if (strcmp(result->metrics[i].name, name) == 0) {
            *ret = result->metrics[i].value;
            return true;
        }
    if (result->value == NULL)
        return false;
    struct document *document = NULL;
    if (document_parse_json(result->value, result->value_length, "value", NULL, &document, NULL) != TROUPE_OK)
        return false;
    const struct node *number = node_get(document_root(document), name);
    bool found = node_kind(number) == DOCUMENT_REAL || node_kind(number) == DOCUMENT_INT;
    if (found)
        *ret = node_real(number);
    document_free(document);
    return found;
}

/* Stages taken from another trial leave no row of their own: [stage, ready, done] of each. */
static void write_reused(const struct run *run, const struct trial *trial, struct json *json) {
    json_key(json, "reused_us");
    json_array_begin(json);
    for (unsigned i = 0; i < run->pipeline->stage_count; i++) {
        const struct trial_stage *stage = &trial->stages[i];
        if (!stage->reused || stage->state != STAGE_DONE)
            continue;
        json_array_begin(json);
        json_int(json, i);
        json_int(json, running_us(run, stage->times.ready));
        json_int(json, running_us(run, stage->times.done));
        json_array_end(json);
    }
    json_array_end(json);
}

/* The trial may be gone afterwards. */
static void write_told(struct run *run, struct turn *turn, struct trial *trial) {
    struct buffer text;
    struct json json;
    buffer_init(&text, run->account, 64 << 10);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_int(&json, "wall_us", (int64_t)(turn->now_ns - trial->created_ns) / 1000);
    json_field_int(&json, "created_us", running_us(run, trial->created_ns));
    json_field_int(&json, "elapsed_us", running_us(run, turn->now_ns));
    write_reused(run, trial, &json);
    account_write_durable(run, &json);
    if (trial->message[0] != '\0')
        json_field_string(&json, "message", trial->message);
    json_object_end(&json);
    struct store_row row = {.kind = STORE_TRIAL_TOLD,
                            .trial = trial->number,
                            .a = trial->state,
                            .b = run->sequence++,
                            .real = isnan(trial->objective) ? 0 : trial->objective};
    trial->told_ns = turn->now_ns;
    uint64_t token = PLANT(SHOWN_EARLY) ? 0 : run_token(TOKEN_TOLD, trial->number);
    if (!run_write_text(run, turn, &row, NULL, &text, token))
        trial_free(run, trial); /* not durable: a resume runs it again */
    else if (PLANT(SHOWN_EARLY))
        trial_committed(run, turn, trial);
}

static bool improves(const struct run *run, double objective) {
    return !run->has_best ||
           (run->pipeline->maximise ? objective > run->best_objective : objective < run->best_objective);
}

/* The best trial's results are held, so that collection never takes the model away. */
static void keep_best(struct run *run, struct trial *trial) {
    run->has_best = true;
    run->best_trial = trial->number;
    run->best_objective = trial->objective;
    for (unsigned i = 0; i < run->pipeline->stage_count; i++) {
        struct stage_result *held = run->best_results[i];
        run->best_results[i] = stage_result_keep(trial->stages[i].result);
        stage_result_drop(held);
    }
}

static void trial_finish_test(struct run *run, struct turn *turn, struct trial *trial,
                              const struct stage_result *result) {
    double value = NAN;
    if (!read_metric(result, run->pipeline->test_metric, &value) || !isfinite(value)) {
        run_line(run, turn, trial->number, "test stage '%s' reported no finite '%s'",
                 run->pipeline->stages[run->pipeline->test_stage].name, run->pipeline->test_metric);
    } else {
        bool baseline = trial->number == 0 && run->has_baseline;
        if (baseline) {
            run->test_baseline = value;
            run->has_test_baseline = true;
        }
        if (trial->number == run->best_trial) {
            run->test_best = value;
            run->has_test_best = true;
        }
    }
    trial_free(run, trial);
    run_continue(run, turn);
}

static void trial_finish(struct run *run, struct turn *turn, struct trial *trial) {
    unsigned last = trial->testing ? run->pipeline->test_stage : run->pipeline->objective_stage;
    const struct stage_result *result = trial->stages[last].result;
    trial->ended = true;
    if (trial->testing) {
        trial_finish_test(run, turn, trial, result);
        return;
    }
    char message[400];
    double objective = NAN;
    if (!read_metric(result, run->pipeline->objective_metric, &objective)) {
        snprintf(message, sizeof message,
                 "stage '%s' did not report '%s': expected it among its metrics or in its value",
                 run->pipeline->stages[last].name, run->pipeline->objective_metric);
        trial->ended = false;
        trial_fail(run, turn, trial, TRIAL_FAILED, message);
        return;
    }
    if (!isfinite(objective)) {
        snprintf(message, sizeof message, "stage '%s' reported '%s' as %s: expected a finite number",
                 run->pipeline->stages[last].name, run->pipeline->objective_metric,
                 isnan(objective) ? "NaN" : "infinity");
        trial->ended = false;
        trial_fail(run, turn, trial, TRIAL_FAILED, message);
        return;
    }
    trial->state = TRIAL_OK;
    trial->objective = objective;
    struct fault fault = {0};
    if (study_tell(run->study, trial->number, objective, &fault) != TROUPE_OK) {
        run_fail(run, turn, fault.error, "trial %u: %s", trial->number, fault.text);
        trial_free(run, trial);
        run_continue(run, turn);
        return;
    }
    run->ok++;
    write_told(run, turn, trial);
    run_continue(run, turn);
}

void trial_advance(struct run *run, struct turn *turn, struct trial *trial) {
    if (trial->ended || trial->state != TRIAL_RUNNING)
        return;
    uint32_t done = 0;
    unsigned number = trial->number;
    for (unsigned i = 0; i < run->pipeline->stage_count; i++)
        if (trial->stages[i].state == STAGE_DONE)
            done |= 1u << i;
    for (unsigned k = 0; k < run->pipeline->stage_count; k++) {
        unsigned i = run->pipeline->order[k];
        if (!(trial->wanted & (1u << i)) || trial->stages[i].state != STAGE_BLOCKED)
            continue;
        if (run->pipeline->stages[i].needs & ~done)
            continue;
        stage_begin(run, turn, trial, i);
        if (trial_find(run, number) != trial || trial->ended)
            return; /* it ended inside: failed, or a chain of reused results finished it */
        if (trial->stages[i].state == STAGE_DONE)
            done |= 1u << i;
    }
    if ((trial->wanted & ~done) == 0)
        trial_finish(run, turn, trial);
}

void trial_fail(struct run *run, struct turn *turn, struct trial *trial, enum trial_state state,
                const char *message) {
    if (trial->ended)
        return;
    trial->ended = true;
    trial->state = state;
    snprintf(trial->message, sizeof trial->message, "%s", message);
    for (unsigned i = 0; i < run->pipeline->stage_count; i++)
        stage_release(run, turn, &trial->stages[i]);
    if (trial->testing) {
        run_line(run, turn, trial->number, "test of trial %u: %s", trial->number, message);
        trial_free(run, trial);
        run_continue(run, turn);
        return;
    }
    if (state == TRIAL_CANCELLED) { /* not told: a resume runs what is missing */
        run->cancelled++;
        trial_free(run, trial);
        run_continue(run, turn);
        return;
    }
    run->failed++;
    snprintf(run->last_failure, sizeof run->last_failure, "%s", message);
    struct fault fault = {0};
    if (study_tell_failed(run->study, trial->number, &fault) != TROUPE_OK) {
        run_fail(run, turn, fault.error, "trial %u: %s", trial->number, fault.text);
        trial_free(run, trial);
        run_continue(run, turn);
        return;
    }
    write_told(run, turn, trial);
    if (run->ok == 0 && run->failed >= run->pipeline->failures_max) {
        run_fail(run, turn, TROUPE_NO_OBJECTIVE, "all of the first %u trials failed; the last: %s",
                 run->failed, message);
        return;
    }
    run_continue(run, turn);
}

static bool record_trial(struct run *run, const struct trial *trial) {
    if (trial->number >= run->record_capacity) {
        unsigned capacity =
            run->record_capacity * 2 > trial->number + 64 ? run->record_capacity * 2 : trial->number + 64;
        struct trial_record *grown = memory_resize(run->account, run->records, sizeof *grown * capacity);
        if (grown == NULL)
            return false;
        run->records = grown;
        run->record_capacity = capacity;
    }
    run->records[trial->number] = (struct trial_record){
        .state = trial->state, .objective = trial->objective, .wall_ns = trial->ended_ns - trial->created_ns};
    if (trial->number >= run->record_count)
        run->record_count = trial->number + 1;
    return true;
}

void trial_committed(struct run *run, struct turn *turn, struct trial *trial) {
    trial->ended_ns = turn->now_ns;
    run->last_trial_ns = turn->now_ns;
    run->told++;
    /* What is printed as best or baseline is durable. */
    if (trial->state == TRIAL_OK && improves(run, trial->objective))
        keep_best(run, trial);
    if (trial->state == TRIAL_OK && trial->number == 0 && run->pipeline->study.baseline_first &&
        run->fixed == NULL) {
        run->has_baseline = true;
        run->baseline_objective = trial->objective;
    }
    account_trial(run, trial);
    run_feedback_told(run, turn);
    trace_emit(run->trace.tracer, turn->worker, TRACE_TRIAL_ENDED,
               task_id_span((struct task_id){.run = 1, .trial = trial->number}), trial->number, trial->state);
    if (!record_trial(run, trial)) {
        run_fail(run, turn, TROUPE_NOMEM, "out of memory recording trial %u", trial->number);
        trial_free(run, trial);
        run_continue(run, turn);
        return;
    }
    struct run_event event = {.kind = RUN_EVENT_TRIAL,
                              .trial = trial->number,
                              .state = trial->state,
                              .objective = trial->objective,
                              .wall_ns = trial->ended_ns - trial->created_ns,
                              .commit_ns = trial->ended_ns - trial->told_ns,
                              .configuration = &trial->configuration,
                              .text = trial->message};
    if (run->has_best && run->best_trial == trial->number)
        event.kind = RUN_EVENT_BEST;
    run_show(run, turn, &event);
    trial_free(run, trial);
    run_continue(run, turn);
}
