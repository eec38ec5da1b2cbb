/* response: the answer of a run: the JSON object of `troupe run --json`, committed with the run. Every number
 * in it is one the engine counted; the CLI only prints it. */
#include "pipeline/run_internal.h"

#include <stdio.h>

static void write_configuration(const struct run *run, unsigned number, struct json *json) {
    const struct configuration *configuration = study_configuration(run->study, number);
    if (configuration == NULL)
        json_null(json);
    else
        space_write_json(run->pipeline->space, configuration, json);
}

static void write_best(const struct run *run, struct json *json) {
    json_key(json, "best");
    if (!run->has_best) {
        json_null(json);
        json_field_raw(json, "objective", "null", 4);
    } else {
        write_configuration(run, run->best_trial, json);
        json_field_real(json, "objective", run->best_objective);
        json_field_int(json, "best_trial", run->best_trial);
    }
    json_key(json, "baseline");
    if (run->has_baseline) {
        json_object_begin(json);
        json_field_int(json, "trial", 0);
        json_field_real(json, "objective", run->baseline_objective);
        double test = run->best_trial == 0 ? run->test_best : run->test_baseline;
        if (run->has_test_baseline || (run->best_trial == 0 && run->has_test_best))
            json_field_real(json, "test", test);
        json_key(json, "configuration");
        write_configuration(run, 0, json);
        json_object_end(json);
    } else {
        json_null(json);
    }
    json_key(json, "test");
    if (run->has_test_best)
        json_real(json, run->test_best);
    else
        json_null(json);
}

static void write_counts(const struct run *run, struct json *json) {
    json_field_int(json, "trials", run->told);
    json_key(json, "counts");
    json_object_begin(json);
    json_field_int(json, "asked", study_asked(run->study));
    json_field_int(json, "told", run->told);
    json_field_int(json, "ok", run->ok);
    json_field_int(json, "failed", run->failed);
    json_field_int(json, "cancelled", run->cancelled);
    json_field_int(json, "resumed", run->resumed_pending);
    json_field_int(json, "tasks", (int64_t)run->tasks);
    json_field_int(json, "reused_stages", (int64_t)run->reused_stages);
    json_field_int(json, "restarts", run->restarts);
    uint64_t stale = 0;
    for (unsigned a = 0; a < run->pipeline->agent_count; a++)
        stale += run_stale_answers(run, a);
    json_field_int(json, "stale_answers", (int64_t)stale);
    json_object_end(json);
}

static void write_names(const struct run *run, struct json *json) {
    const struct pipeline *pipeline = run->pipeline;
    json_field_string(json, "run", run->id);
    json_field_string(json, "name", pipeline->name);
    json_field_string(json, "state", run_state_name(run->state));
    json_field_string(json, "directory", run->directory);
    json_field_string(json, "goal", pipeline->maximise ? "maximise" : "minimise");
    json_field_string(json, "metric", pipeline->objective_metric);
    json_field_string(json, "sampler", sampler_name(pipeline->study.sampler));
    json_field_int(json, "seed", (int64_t)pipeline->study.seed);
    if (run->error != TROUPE_OK) {
        json_key(json, "error");
        json_object_begin(json);
        json_field_string(json, "code", error_name(run->error));
        json_field_string(json, "message", run->fault != NULL ? run->fault->text : error_text(run->error));
        json_object_end(json);
    }
}

void response_write(struct run *run, struct buffer *out) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    write_names(run, &json);
    write_best(run, &json);
    write_counts(run, &json);
    account_write_time(run, &json);
    run_feedback_write(run, &json);
    json_key(&json, "provenance");
    json_object_begin(&json);
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)run->pipeline->data_hash);
    json_field_string(&json, "data_hash", hash);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)space_hash(run->pipeline->space));
    json_field_string(&json, "space_hash", hash);
    json_field_string(&json, "version", TROUPE_VERSION);
    json_object_end(&json);
    json_object_end(&json);
}
