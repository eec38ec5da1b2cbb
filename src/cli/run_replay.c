/* run_replay: see the header. */
#include "cli/run_replay.h"

#include <stdio.h>
#include <string.h>

#include "simulate/simulate.h"

static enum troupe_error read_turns(struct session *session, const struct run_record *record,
                                    struct turn_file *ret_turns, struct fault *fault) {
    char path[1200];
    struct buffer bytes;
    struct env_info info = {0};
    snprintf(path, sizeof path, "%s/turns.bin", record->directory);
    if (env_info(session->env, path, &info) == TROUPE_OK && !info.exists)
        return fault_set(
            fault, TROUPE_NOT_FOUND, path,
            "run %s was not recorded: only one that was started with `troupe run --record` can be "
            "replayed",
            record->id);
    buffer_init(&bytes, session->account, TURN_FILE_BYTES_MAX);
    enum troupe_error error = env_read_file(session->env, path, &bytes, fault);
    if (error == TROUPE_OK) {
        bool killed = record->state == RUN_RUNNING && !record->live; /* while it wrote, maybe */
        size_t length = killed ? turn_file_whole(bytes.bytes, bytes.length) : bytes.length;
        error = turn_file_read(bytes.bytes, length, path, session->account, ret_turns, fault);
    }
    buffer_free(&bytes);
    return error;
}

static void write_json(const struct run_record *record, const struct replay_report *report,
                       struct buffer *out) {
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "run", record->id);
    json_field_bool(&json, "as_recorded", !report->differs);
    json_field_bool(&json, "reached", report->reached);
    json_field_bool(&json, "record_broke_off", report->broke_off);
    json_field_int(&json, "asked", report->asked);
    json_field_int(&json, "assigned", report->assigned);
    json_field_int(&json, "told", report->told);
    json_field_int(&json, "turns", (int64_t)report->turns);
    json_field_int(&json, "turns_recorded", (int64_t)report->turns_recorded);
    json_field_int(&json, "reads", (int64_t)report->reads);
    json_field_real(&json, "virtual_ms", (double)report->virtual_ns / 1e6);
    if (report->differs)
        json_field_string(&json, "difference", report->difference);
    json_object_end(&json);
    buffer_text(out, "\n");
}

static void write_text(const struct run_record *record, uint32_t until_trial,
                       const struct replay_report *report, struct buffer *out) {
    char elapsed[32];
    buffer_format(out,
                  "replay     %s: %u trials asked for, %u attempts assigned, %u trials told, as recorded\n",
                  record->id, report->asked, report->assigned, report->told);
    buffer_format(out,
                  "turns      %llu of %llu that decide, in the recorded order; %llu versions of the registry "
                  "read as recorded\n",
                  (unsigned long long)report->turns, (unsigned long long)report->turns_recorded,
                  (unsigned long long)report->reads);
    if (report->differs)
        buffer_format(out, "differs    after turn %llu: %s\n", (unsigned long long)report->turns,
                      report->difference);
    else if (report->reached)
        buffer_format(out, "reached    trial %u is about to begin\n", until_trial);
    else if (report->broke_off)
        buffer_text(out, "ended      where the record breaks off: the run was killed\n");
    else
        buffer_format(out, "ended      as the run did, after %s of its time\n",
                      text_format_duration(elapsed, (int64_t)report->virtual_ns));
}

enum troupe_error run_replay(struct session *session, const struct run_record *record, uint32_t until_trial,
                             bool json, struct fault *fault) {
    struct turn_file turns = {0};
    struct replay_report report = {0};
    enum troupe_error error = read_turns(session, record, &turns, fault);
    if (error == TROUPE_OK)
        error = replay_run(&(struct replay_request){record, &turns, until_trial}, session->account, &report,
                           fault);
    turn_file_free(&turns);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    buffer_init(&text, session->account, 0);
    if (json)
        write_json(record, &report, &text);
    else
        write_text(record, until_trial, &report, &text);
    error = session_print(&text, fault);
    buffer_free(&text);
    return error == TROUPE_OK && report.differs
               ? fault_set(fault, TROUPE_MISMATCH, record->id, "the replay differs from the record")
               : error;
}
