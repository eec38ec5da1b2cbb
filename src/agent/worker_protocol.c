/* worker_protocol: writing. The task's body is JSON already (the engine made it once per stage), so a line is
 * its ids and a copy of that; nothing is parsed on the way out. */
#include "agent/worker_protocol.h"

#include "agent/agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NANOSECONDS_PER_MS 1000000u

static void line_end(struct buffer *out) {
    buffer_append(out, "\n", 1);
}

void worker_write_start(struct buffer *out, const struct agent_spec *spec, unsigned instance) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "type", "start");
    json_field_int(&json, "protocol", WORKER_PROTOCOL_VERSION);
    json_field_int(&json, "instance", instance);
    json_field_string(&json, "agent", spec->name);
    json_key(&json, "capabilities");
    json_array_begin(&json);
    for (unsigned bit = 0; spec->capability_names && bit < spec->capability_names->count; bit++)
        if (capability_set_has(&spec->capabilities, bit))
            json_string(&json, spec->capability_names->names[bit]);
    json_array_end(&json);
    const char *options = spec->options_json ? spec->options_json : "{}";
    json_field_raw(&json, "options", options, strlen(options));
    json_object_end(&json);
    line_end(out);
}

/* The members of a task but `type`. */
static void task_members(struct json *json, const struct task *task, const char *id, uint64_t remaining_ns) {
    json_field_string(json, "id", id);
    json_field_string(json, "run", task->run_name ? task->run_name : "");
    json_field_int(json, "trial", task->id.trial);
    json_field_string(json, "stage", task->stage_name ? task->stage_name : "");
    json_field_int(json, "attempt", task->id.attempt);
    json_field_string(json, "capability", task->capability_name ? task->capability_name : "");
    if (remaining_ns != UINT64_MAX)
        json_field_int(json, "deadline_ms", (int64_t)(remaining_ns / NANOSECONDS_PER_MS));
    if (task->artifact_directory)
        json_field_string(json, "artifact_dir", task->artifact_directory);
    if (task->body_length > 0) {
        buffer_append(json->out, ",", 1);
        buffer_append(json->out, task->body, task->body_length);
    }
}

void worker_write_task(struct buffer *out, const struct task *task, const char *id, uint64_t remaining_ns) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "type", "task");
    task_members(&json, task, id, remaining_ns);
    json_object_end(&json);
    line_end(out);
}

void worker_write_tasks_begin(struct buffer *out) {
    buffer_text(out, "{\"type\":\"tasks\",\"tasks\":[");
}

void worker_write_tasks_item(struct buffer *out, const struct task *task, const char *id,
                             uint64_t remaining_ns, bool first) {
    if (!first)
        buffer_append(out, ",", 1);
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    task_members(&json, task, id, remaining_ns);
    json_object_end(&json);
}

void worker_write_tasks_end(struct buffer *out) {
    buffer_text(out, "]}\n");
}

void worker_write_cancel(struct buffer *out, const char *id, uint64_t grace_ns) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "type", "cancel");
    json_field_string(&json, "id", id);
    json_field_int(&json, "grace_ms", (int64_t)(grace_ns / 1000000));
    json_object_end(&json);
    line_end(out);
}

void worker_write_stop(struct buffer *out) {
    buffer_text(out, "{\"type\":\"stop\"}\n");
}

/* "run/trial/stage/attempt", by hand: every task pays for it. */
void worker_task_id(const struct task *task, char out[WORKER_ID_MAX + 1]) {
    const char *run = task->run_name ? task->run_name : "", *stage = task->stage_name ? task->stage_name : "";
    size_t run_length = strlen(run), stage_length = strlen(stage);
    if (run_length + stage_length + 2 * DECIMAL_BYTES > WORKER_ID_MAX) {
        snprintf(out, WORKER_ID_MAX + 1, "%" PRIu64 "/%" PRIu32 "/%u/%u", task->id.run, task->id.trial,
                 (unsigned)task->id.stage, (unsigned)task->id.attempt);
        return;
    }
    memcpy(out, run, run_length);
    size_t used = run_length;
    out[used++] = '/';
    used += decimal_write_int(task->id.trial, out + used);
    out[used++] = '/';
    memcpy(out + used, stage, stage_length);
    used += stage_length;
    out[used++] = '/';
    decimal_write_int(task->id.attempt, out + used);
}

static bool quote_plain(char byte) {
    return (unsigned char)byte >= 0x20 && (unsigned char)byte < 0x7f;
}

char *worker_quote(const char *bytes, size_t length, char *out, size_t size) {
    CHECK(size >= 8);
    size_t whole = 0, used = 0;
    for (size_t at = 0; at < length && whole < size; at++)
        whole += quote_plain(bytes[at]) ? 1 : 4;
    size_t room = whole < size ? whole : size - sizeof "...";
    for (size_t at = 0; at < length; at++) {
        bool plain = quote_plain(bytes[at]);
        if (used + (plain ? 1 : 4) > room)
            break;
        if (plain)
            out[used++] = bytes[at];
        else
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", (unsigned char)bytes[at]);
    }
    memcpy(out + used, whole < size ? "" : "...", whole < size ? 1 : sizeof "...");
    return out;
}
