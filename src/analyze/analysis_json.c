/* analysis_json: an analysis as one JSON object; times in milliseconds, with the microsecond kept. Every path is
 * written out, so that another program can check the sums. */
#include "analyze/analysis_private.h"

static void field_ms(struct json *json, const char *key, uint64_t ns) {
    json_field_real(json, key, (double)ns / 1e6);
}

static const char *outcome_name(enum analyze_outcome outcome) {
    static const char *const names[] = {"ok", "failed", "cancelled"};
    return (unsigned)outcome < ARRAY_COUNT(names) ? names[outcome] : "unknown";
}

static void write_ranks(const struct analysis *analysis, struct json *json) {
    json_key(json, "spent_on");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->rank_count; i++) {
        const struct analyze_rank *rank = &analysis->ranks[i];
        json_object_begin(json);
        json_field_string(json, "name", rank->name);
        json_field_string(json, "cause", analyze_cause_name(rank->cause));
        json_field_real(json, "percent", rank->percent);
        field_ms(json, "ms", rank->total_ns);
        json_field_int(json, "pieces", (int64_t)rank->pieces);
        field_ms(json, "p50_ms", rank->p50_ns);
        field_ms(json, "p95_ms", rank->p95_ns);
        field_ms(json, "max_ms", rank->max_ns);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_bottlenecks(const struct analysis *analysis, struct json *json) {
    json_key(json, "bottlenecks");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->bottleneck_count; i++) {
        json_object_begin(json);
        json_field_string(json, "title", analysis->bottlenecks[i].title);
        json_field_string(json, "text", analysis->bottlenecks[i].text);
        json_field_real(json, "gain_ms_max", analysis->bottlenecks[i].gain_ns_max / 1e6);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_path(const struct analysis *analysis, const struct analyze_path *path, struct json *json) {
    const struct analyze_record *record = analysis->record;
    json_object_begin(json);
    json_field_int(json, "trial", path->trial);
    json_field_string(json, "outcome", outcome_name(path->outcome));
    field_ms(json, "start_ms", path->from);
    field_ms(json, "wall_ms", path->to - path->from);
    json_field_int(json, "error_ns", path->error_ns);
    json_key(json, "pieces");
    json_array_begin(json);
    for (unsigned i = 0; i < path->piece_count; i++) {
        const struct analyze_piece *piece = &path->pieces[i];
        json_object_begin(json);
        json_field_string(json, "cause", analyze_cause_name(piece->cause));
        if (piece->stage < record->stage_count) {
            json_field_string(json, "stage", record->stages[piece->stage].name);
            if (piece->attempt > 0)
                json_field_int(json, "attempt", piece->attempt);
        }
        if (piece->agent != ANALYZE_UNKNOWN)
            json_field_string(json, "agent", record->agents[piece->agent]);
        field_ms(json, "ms", piece->to - piece->from);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void write_agents(const struct analysis *analysis, struct json *json) {
    json_key(json, "agents");
    json_object_begin(json);
    json_field_int(json, "count", analysis->agent_count);
    field_ms(json, "executing_ms", analysis->executing_ns);
    field_ms(json, "waiting_ms", analysis->waiting_ns);
    field_ms(json, "idle_ms", analysis->idle_ns);
    json_field_real(json, "error", analysis->agents_error);
    json_key(json, "each");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->agent_count; i++) {
        const struct analyze_agent_time *agent = &analysis->agents[i];
        json_object_begin(json);
        json_field_string(json, "name", agent->name);
        field_ms(json, "executing_ms", agent->executing_ns);
        field_ms(json, "waiting_ms", agent->waiting_ns);
        field_ms(json, "idle_ms", agent->idle_ns);
        json_field_int(json, "tasks", (int64_t)agent->tasks);
        json_field_int(json, "failed", (int64_t)agent->failed);
        field_ms(json, "longest_ms", agent->longest_ns);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void write_queues(const struct analysis *analysis, struct json *json) {
    json_key(json, "queues");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->queue_count; i++) {
        const struct analyze_queue *queue = &analysis->queues[i];
        json_object_begin(json);
        json_field_string(json, "name", queue->name);
        json_field_int(json, "count", (int64_t)queue->count);
        json_field_real(json, "arrivals_per_second", queue->arrivals_per_second);
        json_field_real(json, "wait_mean_ms", queue->wait_mean_s * 1e3);
        json_field_real(json, "length_mean", queue->length_mean);
        json_field_int(json, "length_max", (int64_t)queue->length_max);
        json_field_real(json, "little_error", queue->little_error);
        json_object_end(json);
    }
    json_array_end(json);
}

void analysis_json(const struct analysis *analysis, struct json *json) {
    json_object_begin(json);
    json_field_int(json, "trials", (int64_t)analysis->trials);
    json_field_int(json, "ok", (int64_t)analysis->ok);
    json_field_int(json, "failed", (int64_t)analysis->failed);
    json_field_int(json, "cancelled", (int64_t)analysis->cancelled);
    json_field_int(json, "unsettled", (int64_t)analysis->unsettled);
    field_ms(json, "wall_ms", analysis->wall_ns);
    field_ms(json, "trial_wall_ms", analysis->trial_wall_ns);
    json_field_real(json, "parallel_mean", analysis->parallel_mean);
    field_ms(json, "idle_twin_ms", analysis->idle_twin_ns);
    json_field_int(json, "path_error_ns_max", analysis->path_error_ns_max);
    write_ranks(analysis, json);
    write_bottlenecks(analysis, json);
    write_agents(analysis, json);
    write_queues(analysis, json);
    json_key(json, "slowest");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->slow_count; i++) {
        json_object_begin(json);
        json_field_int(json, "trial", analysis->slowest[i].path->trial);
        field_ms(json, "wall_ms", analysis->slowest[i].path->to - analysis->slowest[i].path->from);
        json_field_string(json, "why", analysis->slowest[i].why);
        json_object_end(json);
    }
    json_array_end(json);
    json_key(json, "problems");
    json_array_begin(json);
    for (unsigned i = 0; i < analysis->problem_count; i++)
        json_string(json, analysis->problems[i]);
    json_array_end(json);
    json_field_int(json, "problems_dropped", (int64_t)analysis->problems_dropped);
    json_key(json, "paths");
    json_array_begin(json);
    for (size_t i = 0; i < analysis->path_count; i++)
        write_path(analysis, &analysis->paths[i], json);
    json_array_end(json);
    json_object_end(json);
}
