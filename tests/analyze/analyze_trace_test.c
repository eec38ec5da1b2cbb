/* Spans out of a trace file: queued and served apart, whatever the order in which threads' rings were drained.
 * Files are made here byte by byte (layout in trace/trace_file.h), so that every time is known. */
#include "analyze/analyze.h"
#include "document/document.h"
#include "trace/trace_file.h"
#include "../base/cmocka_base.h"

#include <stdio.h>
#include <xxhash.h>

struct file {
    char bytes[1 << 16];
    size_t length, block;
    unsigned records;
};

static void put(struct file *file, size_t at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        file->bytes[at + i] = (char)(value >> (8 * i));
}

static void seal(struct file *file, size_t from, size_t check_at, size_t to) {
    uint64_t before = XXH64(file->bytes + from, check_at, 0);
    put(file, from + check_at, XXH64(file->bytes + from + check_at + 8, to - from - check_at - 8, before), 8);
}

static void begin(struct file *file) {
    memset(file, 0, sizeof *file);
    memcpy(file->bytes, "TRTRACE1", 8);
    put(file, 8, TRACE_FILE_VERSION, 4);
    put(file, 12, TRACE_HEADER_BYTES, 4);
    seal(file, 0, TRACE_HEADER_BYTES - 8, TRACE_HEADER_BYTES);
    file->length = TRACE_HEADER_BYTES;
}

static void block_begin(struct file *file) {
    file->block = file->length;
    file->records = 0;
    memcpy(file->bytes + file->block, "TRBLOCK1", 8);
    file->length += TRACE_BLOCK_HEADER_BYTES;
}

/* Ticks are ns. */
static void record(struct file *file, uint64_t ns, enum trace_kind kind, uint64_t span, uint64_t value) {
    put(file, file->length, ns, 8);
    put(file, file->length + 8, span, 8);
    put(file, file->length + 16, value, 8);
    put(file, file->length + 24, kind, 2);
    file->length += TRACE_RECORD_BYTES;
    put(file, file->block + 8, ++file->records, 4);
}

static void block_end(struct file *file) {
    put(file, file->block + 16, 1000000, 8);
    put(file, file->block + 24, 1000000, 8);
    seal(file, file->block, 40, file->length);
}

static struct account account = ACCOUNT("spans");

static struct analyze_spans *analyse(const struct file *file) {
    struct analyze_spans *spans = NULL;
    struct fault fault = {0};
    if (analyze_trace(file->bytes, file->length, "test", &account, &spans, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return spans;
}

static void drop(struct analyze_spans *spans) {
    analyze_spans_free(spans, &account);
    assert_int_equal(account.bytes, 0);
}

static const struct analyze_span_kind *kind(const struct analyze_spans *spans, const char *name) {
    for (unsigned i = 0; i < spans->kind_count; i++)
        if (strcmp(spans->kinds[i].name, name) == 0)
            return &spans->kinds[i];
    fail_msg("no kind '%s'", name);
    return NULL;
}

static void typical(struct file *file) {
    begin(file);
    block_begin(file); /* the agents' thread, drained first */
    record(file, 130, TRACE_TASK_STARTED, 7, 1);
    record(file, 180, TRACE_TASK_ENDED, 7, 1);
    record(file, 190, TRACE_TASK_STARTED, 8, 1);
    record(file, 290, TRACE_TASK_ENDED, 8, 1);
    record(file, 300, TRACE_TASK_STARTED, 9, 1);
    record(file, 310, TRACE_TASK_ENDED, 6, 1); /* started before the trace */
    block_end(file);
    block_begin(file);
    record(file, 100, TRACE_TASK_QUEUED, 7, 1);
    record(file, 110, TRACE_TASK_QUEUED, 8, 1);
    record(file, 120, TRACE_TASK_QUEUED, 9, 1);
    record(file, 200, TRACE_COMMIT_QUEUED, 1, 2);
    record(file, 210, TRACE_COMMIT_QUEUED, 2, 2);
    record(file, 215, TRACE_COMMIT_QUEUED, 3, 2);
    record(file, 220, TRACE_COMMIT_STARTED, 1, 2); /* of the two oldest rows */
    record(file, 250, TRACE_COMMIT_ENDED, 1, 2);
    record(file, 255, TRACE_COMMIT_STARTED, 2, 1);
    record(file, 265, TRACE_COMMIT_ENDED, 2, 1);
    record(file, 270, TRACE_CHILD_STARTED, 0, 4242);
    record(file, 280, TRACE_CHILD_ENDED, 0, 4242);
    record(file, 281, TRACE_LOOKUP, 0, 30);
    record(file, 282, TRACE_LOOKUP, 0, 50);
    block_end(file);
}

static void queued_and_served(void **state) {
    (void)state;
    struct file *file = calloc(1, sizeof *file);
    typical(file);
    struct analyze_spans *spans = analyse(file);
    assert_int_equal(spans->records, 20);
    assert_int_equal(spans->unmatched, 1);
    assert_int_equal(spans->from_ns, 100);
    assert_int_equal(spans->to_ns, 310);
    const struct analyze_span_kind *task = kind(spans, "task"), *commit = kind(spans, "commit");
    assert_int_equal(task->queued.count, 3); /* 30, 80, 180 */
    assert_int_equal(task->queued.total_ns, 290);
    assert_int_equal(task->queued.p50_ns, 80);
    assert_int_equal(task->queued.max_ns, 180);
    assert_int_equal(task->served.count, 2); /* 50, 100 */
    assert_int_equal(task->served.p50_ns, 50);
    assert_int_equal(task->served.p95_ns, 100);
    assert_int_equal(task->open, 1);
    assert_int_equal(commit->queued.count, 3); /* 20, 10, 40 */
    assert_int_equal(commit->queued.total_ns, 70);
    assert_int_equal(commit->served.count, 2); /* 30, 10 */
    assert_int_equal(commit->served.total_ns, 40);
    assert_int_equal(kind(spans, "child process")->served.max_ns, 10);
    assert_int_equal(spans->event_count, 1);
    assert_int_equal(spans->events[0].value_total, 80);
    assert_int_equal(spans->events[0].value_max, 50);
    struct buffer out;
    struct json json;
    buffer_init(&out, &account, 0);
    assert_int_equal(analyze_spans_text(spans, &out), TROUPE_OK);
    assert_non_null(strstr(buffer_string(&out), "1 of kind 'task' had not ended"));
    assert_non_null(strstr(buffer_string(&out), "1 ends have no start in this file"));
    buffer_clear(&out);
    json_init(&json, &out);
    analyze_spans_json(spans, &json);
    struct document *document = NULL;
    assert_int_equal(document_parse_json(buffer_string(&out), out.length, "json", NULL, &document, NULL),
                     TROUPE_OK);
    assert_int_equal(node_count(node_get(document_root(document), "spans")), 3);
    document_free(document);
    buffer_free(&out);
    drop(spans);
    free(file);
}

static void damaged(void **state) {
    (void)state;
    struct file *file = calloc(1, sizeof *file);
    struct analyze_spans *spans = NULL;
    struct fault fault = {0};
    typical(file);
    file->length -= 5; /* torn in the second block: the first one still counts */
    spans = analyse(file);
    assert_int_equal(spans->records, 6);
    assert_non_null(strstr(spans->damage, "the file ends inside a block"));
    drop(spans);
    spans = NULL;
    file->length = 20;
    assert_int_equal(analyze_trace(file->bytes, file->length, "test", &account, &spans, &fault),
                     TROUPE_CORRUPT);
    assert_non_null(strstr(fault.text, "ends inside a header"));
    assert_null(spans);
    assert_int_equal(account.bytes, 0);
    begin(file); /* a header alone: a trace of nothing */
    spans = analyse(file);
    assert_int_equal(spans->records + spans->kind_count + spans->event_count, 0);
    drop(spans);
    free(file);
}

/* Any records in any order: no crash, and every length counted was there. */
static void anything(void **state) {
    (void)state;
    struct file *file = calloc(1, sizeof *file);
    struct random_stream random;
    random_seed(&random, 4, 0);
    for (unsigned round = 0; round < 300; round++) {
        unsigned ends = 0, served = 0;
        begin(file);
        block_begin(file);
        for (unsigned i = 0; i < 200; i++) {
            uint16_t any = (uint16_t)random_below(&random, TRACE_KIND_COUNT + 3);
            ends += any == TRACE_TASK_ENDED || any == TRACE_TRIAL_ENDED || any == TRACE_COMMIT_ENDED ||
                    any == TRACE_ROUND_ENDED || any == TRACE_CHILD_ENDED;
            record(file, random_below(&random, 1000), (enum trace_kind)any, random_below(&random, 6),
                   random_below(&random, 6));
        }
        block_end(file);
        struct analyze_spans *spans = analyse(file);
        assert_int_equal(spans->records, 200);
        for (unsigned i = 0; i < spans->kind_count; i++) {
            served += (unsigned)spans->kinds[i].served.count;
            assert_true(spans->kinds[i].queued.max_ns < 1000 && spans->kinds[i].served.max_ns < 1000);
        }
        assert_int_equal(served + spans->unmatched, ends);
        drop(spans);
    }
    free(file);
}

static void no_memory(void **state) {
    (void)state;
    struct file *file = calloc(1, sizeof *file);
    typical(file);
    bool passed = false;
    for (int64_t n = 1; !passed; n++) {
        struct analyze_spans *spans = NULL;
        struct fault fault = {0};
        struct buffer out;
        buffer_init(&out, &account, 0);
        memory_fail_after(n);
        enum troupe_error error = analyze_trace(file->bytes, file->length, "test", &account, &spans, &fault);
        if (error == TROUPE_OK)
            error = analyze_spans_text(spans, &out);
        passed = !memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, passed ? TROUPE_OK : TROUPE_NOMEM);
        buffer_free(&out);
        drop(spans);
    }
    free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queued_and_served),
        cmocka_unit_test(damaged),
        cmocka_unit_test(anything),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("analyze/analyze_trace", tests, NULL, NULL);
}
