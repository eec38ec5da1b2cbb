/* spans_text: span summaries of a trace file, for a terminal and as JSON. */
#include "analyze/analyze.h"

#include <inttypes.h>

static const char *duration(char out[32], uint64_t ns) {
    return text_format_duration(out, ns > INT64_MAX ? INT64_MAX : (int64_t)ns);
}

static void times_row(struct report_table *table, const char *name, const char *what,
                      const struct analyze_times *times) {
    char text[32];
    if (times->count == 0)
        return;
    report_table_cell(table, name);
    report_table_cell(table, what);
    report_table_format(table, "%" PRIu64, times->count);
    report_table_cell(table, duration(text, times->total_ns));
    report_table_cell(table, duration(text, times->p50_ns));
    report_table_cell(table, duration(text, times->p95_ns));
    report_table_cell(table, duration(text, times->max_ns));
}

enum troupe_error analyze_spans_text(const struct analyze_spans *spans, struct buffer *out) {
    struct report_table table;
    char text[32];
    buffer_format(out, "%" PRIu64 " records over %s\n\n", spans->records,
                  duration(text, spans->to_ns - spans->from_ns));
    report_table_init(&table, out->account, "span||>count|>total|>median|>p95|>longest");
    for (unsigned i = 0; i < spans->kind_count; i++) {
        times_row(&table, spans->kinds[i].name, "queued", &spans->kinds[i].queued);
        times_row(&table, spans->kinds[i].name, "served", &spans->kinds[i].served);
    }
    enum troupe_error error = report_table_end(&table, 2, out);
    for (unsigned i = 0; i < spans->kind_count; i++)
        if (spans->kinds[i].open > 0)
            buffer_format(out, "  %" PRIu64 " of kind '%s' had not ended\n", spans->kinds[i].open,
                          spans->kinds[i].name);
    if (error == TROUPE_OK && spans->event_count > 0) {
        buffer_text(out, "\n");
        report_table_init(&table, out->account, "event|>count|>mean value|>largest");
        for (unsigned i = 0; i < spans->event_count; i++) {
            const struct analyze_event_kind *event = &spans->events[i];
            report_table_cell(&table, event->name);
            report_table_format(&table, "%" PRIu64, event->count);
            report_table_format(&table, "%.6g", (double)event->value_total / (double)event->count);
            report_table_format(&table, "%" PRIu64, event->value_max);
        }
        error = report_table_end(&table, 2, out);
    }
    if (spans->unmatched > 0)
        buffer_format(out, "\n%" PRIu64 " ends have no start in this file.\n", spans->unmatched);
    if (spans->damage[0] != '\0')
        buffer_format(out, "\nThe file is damaged and was read up to there: %s\n", spans->damage);
    return error == TROUPE_OK ? buffer_ok(out) : error;
}

static void write_times(const char *key, const struct analyze_times *times, struct json *json) {
    json_key(json, key);
    json_object_begin(json);
    json_field_int(json, "count", (int64_t)times->count);
    json_field_real(json, "total_ms", (double)times->total_ns / 1e6);
    json_field_real(json, "p50_ms", (double)times->p50_ns / 1e6);
    json_field_real(json, "p95_ms", (double)times->p95_ns / 1e6);
    json_field_real(json, "max_ms", (double)times->max_ns / 1e6);
    json_object_end(json);
}

void analyze_spans_json(const struct analyze_spans *spans, struct json *json) {
    json_object_begin(json);
    json_field_int(json, "records", (int64_t)spans->records);
    json_field_real(json, "length_ms", (double)(spans->to_ns - spans->from_ns) / 1e6);
    json_field_int(json, "unmatched", (int64_t)spans->unmatched);
    json_field_string(json, "damage", spans->damage[0] != '\0' ? spans->damage : NULL);
    json_key(json, "spans");
    json_array_begin(json);
    for (unsigned i = 0; i < spans->kind_count; i++) {
        json_object_begin(json);
        json_field_string(json, "name", spans->kinds[i].name);
        json_field_int(json, "open", (int64_t)spans->kinds[i].open);
        write_times("queued", &spans->kinds[i].queued, json);
        write_times("served", &spans->kinds[i].served, json);
        json_object_end(json);
    }
    json_array_end(json);
    json_key(json, "events");
    json_array_begin(json);
    for (unsigned i = 0; i < spans->event_count; i++) {
        json_object_begin(json);
        json_field_string(json, "name", spans->events[i].name);
        json_field_int(json, "count", (int64_t)spans->events[i].count);
        json_field_real(json, "value_mean",
                        (double)spans->events[i].value_total / (double)spans->events[i].count);
        json_field_real(json, "value_max", (double)spans->events[i].value_max);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}
