/* worker_protocol: what is written reads back as the document says, and whatever a worker writes is read,
 * refused with a message that helps, or fails its task alone; never more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/agent.h"
#include "agent/worker_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct account account = ACCOUNT("test");

static struct document *parse(const struct buffer *out) {
    assert_int_equal(buffer_ok(out), TROUPE_OK);
    assert_true(out->length > 1 && out->bytes[out->length - 1] == '\n');
    assert_null(memchr(out->bytes, '\n', out->length - 1));
    struct document *document;
    struct fault fault = {0};
    enum troupe_error error =
        document_parse_json(out->bytes, out->length - 1, "line", NULL, &document, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.text, out->bytes);
    return document;
}

static const char *text_at(const struct node *node, const char *key) {
    assert_non_null(node_get(node, key));
    return node_text(node_get(node, key));
}

static struct task *task_make(const char *run, const char *stage) {
    static const char body[] =
        "\"variables\":{\"C\":10.5},\"inputs\":{},\"data\":{},\"seed\":9007199254740993";
    struct task *task = task_new(&account, body, strlen(body));
    assert_non_null(task);
    task->id = (struct task_id){.run = 7, .trial = 3, .stage = 2, .attempt = 4};
    task->run_name = run;
    task->stage_name = stage;
    task->capability_name = "train";
    task->artifact_directory = "/a b/\"q\"";
    return task;
}

static void start_says_who_and_what(void **state) {
    (void)state;
    struct capability_names names = {.count = 3, .names = {"train", "no", "test"}};
    struct agent_spec spec = {
        .name = "tr\"ain", .capability_names = &names, .options_json = "{\"epochs\":3}"};
    capability_set_add(&spec.capabilities, 0);
    capability_set_add(&spec.capabilities, 2);
    struct buffer out;
    buffer_init(&out, &account, 0);
    worker_write_start(&out, &spec, 5);
    struct document *document = parse(&out);
    const struct node *root = document_root(document);
    assert_string_equal(text_at(root, "type"), "start");
    assert_string_equal(text_at(root, "protocol"), "1");
    assert_string_equal(text_at(root, "instance"), "5");
    assert_string_equal(text_at(root, "agent"), "tr\"ain");
    assert_int_equal(node_count(node_get(root, "capabilities")), 2);
    assert_string_equal(node_string(node_at(node_get(root, "capabilities"), 1)), "test");
    assert_string_equal(text_at(node_get(root, "options"), "epochs"), "3");
    document_free(document);
    buffer_free(&out);
}

static void task_carries_ids_limit_and_body(void **state) {
    (void)state;
    struct task *task = task_make("r1", "train");
    char id[WORKER_ID_MAX + 1];
    worker_task_id(task, id);
    assert_string_equal(id, "r1/3/train/4");
    struct buffer out;
    buffer_init(&out, &account, 0);
    worker_write_task(&out, task, id, 12345678901);
    struct document *document = parse(&out);
    const struct node *root = document_root(document);
    assert_string_equal(text_at(root, "type"), "task");
    assert_string_equal(text_at(root, "id"), "r1/3/train/4");
    assert_string_equal(text_at(root, "deadline_ms"), "12345");
    assert_string_equal(text_at(root, "artifact_dir"), "/a b/\"q\"");
    assert_string_equal(text_at(root, "seed"), "9007199254740993");
    assert_string_equal(text_at(node_get(root, "variables"), "C"), "10.5");
    document_free(document);
    buffer_clear(&out);
    task->artifact_directory = NULL;
    worker_write_task(&out, task, id, UINT64_MAX); /* no limit */
    document = parse(&out);
    assert_null(node_get(document_root(document), "deadline_ms"));
    assert_null(node_get(document_root(document), "artifact_dir"));
    document_free(document);
    buffer_free(&out);
    task_free(task);
}

static void a_long_run_name_gives_way_to_its_number(void **state) {
    (void)state;
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct task *task = task_make(name, "train");
    char id[WORKER_ID_MAX + 1];
    worker_task_id(task, id);
    assert_string_equal(id, "7/3/2/4");
    task_free(task);
}

static void batch_cancel_and_stop(void **state) {
    (void)state;
    struct task *task = task_make("r1", "score");
    struct buffer out;
    buffer_init(&out, &account, 0);
    worker_write_tasks_begin(&out);
    worker_write_tasks_item(&out, task, "one", UINT64_MAX, true);
    worker_write_tasks_item(&out, task, "two", 5000000, false);
    worker_write_tasks_end(&out);
    struct document *document = parse(&out);
    const struct node *tasks = node_get(document_root(document), "tasks");
    assert_int_equal(node_count(tasks), 2);
    assert_string_equal(text_at(node_at(tasks, 1), "id"), "two");
    assert_string_equal(text_at(node_at(tasks, 1), "deadline_ms"), "5");
    document_free(document);
    buffer_clear(&out);
    worker_write_cancel(&out, "a\"b", 50000000);
    assert_string_equal(buffer_string(&out), "{\"type\":\"cancel\",\"id\":\"a\\\"b\",\"grace_ms\":50}\n");
    buffer_clear(&out);
    worker_write_stop(&out);
    assert_string_equal(buffer_string(&out), "{\"type\":\"stop\"}\n");
    buffer_free(&out);
    task_free(task);
}

/* ---- reading: each line, and what must be in the message ---- */

static const struct {
    const char *line, *expected;
} refused_lines[] = {
    {"garbage", "garbage"},
    {"epoch 3: loss 0.41", "epoch 3: loss 0.41"},
    {"{\"type\":\"result\"", "JSON object"},
    {"[1,2]", "expected a JSON object"},
    {"\"text\"", "expected a JSON object"},
    {"17", "JSON object"},
    {"{}", "'type'"},
    {"{\"type\":3}", "'type'"},
    {"{\"type\":\"result\"}", "'id'"},
    {"{\"type\":\"result\",\"id\":3,\"attempt\":1}", "'id'"},
    {"{\"type\":\"result\",\"id\":\"a\"}", "'attempt'"},
    {"{\"type\":\"result\",\"id\":\"a\",\"attempt\":0}", "'attempt'"},
    {"{\"type\":\"result\",\"id\":\"a\",\"attempt\":65536}", "'attempt'"},
    {"{\"type\":\"result\",\"id\":\"a\",\"attempt\":\"1\"}", "'attempt'"},
    {"{\"type\":\"result\",\"id\":\"a\\u0000b\",\"attempt\":1}", ""},
    {"{\"type\":\"error\",\"id\":\"a\"}", "'attempt'"},
    {"{\"type\":\"progress\",\"step\":1}", "'id'"},
    {"{\"type\":\"progress\",\"id\":\"a\",\"attempt\":-1}", "'attempt'"},
    {"{\"type\":\"result\",\"id\":\"a\",\"attempt\":1,\"metrics\":{\"x\":NaN}}", "JSON has no NaN"},
    {"{\"type\":\"result\",\"id\":\"a\",\"attempt\":1,\"metrics\":{\"x\":-Infinity}}",
     "JSON has no Infinity"},
    {"{\"type\":\"log\",\"type\":\"log\"}", "JSON object"},
    {"{\"type\":\"log\"} {\"type\":\"log\"}", "JSON object"},
    {"\xff\xfe{", "\\xff\\xfe{"},
    {"\x1b[31mred\x1b[0m", "\\x1b[31mred"},
};

static void what_is_no_message_is_refused_with_its_beginning(void **state) {
    (void)state;
    for (size_t at = 0; at < ARRAY_COUNT(refused_lines); at++) {
        struct worker_line line;
        struct fault fault = {0};
        enum troupe_error error =
            worker_line_read(refused_lines[at].line, strlen(refused_lines[at].line), &line, &fault);
        if (error != TROUPE_PROTOCOL)
            fail_msg("%s: %s", refused_lines[at].line, error_name(error));
        if (!strstr(fault.text, refused_lines[at].expected))
            fail_msg("%s: '%s' is not in '%s'", refused_lines[at].line, refused_lines[at].expected,
                     fault.text);
        assert_int_equal(account.blocks, 0);
    }
}

static void a_deep_line_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 64);
    int length = snprintf(text, 64, "{\"type\":\"log\",\"message\":");
    memset(text + length, '[', DEPTH);
    struct worker_line line;
    struct fault fault = {0};
    assert_int_equal(worker_line_read(text, (size_t)length + DEPTH, &line, &fault), TROUPE_PROTOCOL);
    assert_true(strlen(fault.text) < 700);
    free(text);
}

static struct task_result *result_of(const char *text) {
    struct worker_line line;
    struct fault fault = {0};
    if (worker_line_read(text, strlen(text), &line, &fault) != TROUPE_OK)
        fail_msg("%s", fault.text);
    struct buffer scratch;
    buffer_init(&scratch, &account, WORKER_VALUE_MAX + 1);
    struct task_result *result;
    assert_int_equal(worker_line_result(&line, &account, &scratch, &result), TROUPE_OK);
    buffer_free(&scratch);
    worker_line_free(&line);
    return result;
}

static void a_result_is_read_whole(void **state) {
    (void)state;
    struct task_result *result = result_of("{\"type\":\"result\",\"id\":\"r1/3/train/"
                                           "1\",\"attempt\":1,\"value\":{\"rows\":1437,\"x\":[1.5,null]},"
                                           "\"metrics\":{\"val_acc\":0.93,\"n\":4},\"artifact\":\"model."
                                           "bin\",\"usage\":{\"cpu_ms\":412.5},\"new\":1}");
    assert_int_equal(result->error, TROUPE_OK);
    assert_string_equal(result->value, "{\"rows\":1437,\"x\":[1.5,null]}");
    assert_int_equal(result->value_length, strlen(result->value));
    assert_int_equal(result->metric_count, 2);
    assert_string_equal(result->metrics[0].name, "val_acc");
    assert_true(result->metrics[0].value == 0.93 && result->metrics[1].value == 4);
    assert_string_equal(result->artifact, "model.bin");
    assert_int_equal(result->cpu_ns, 412500000);
    assert_true(result->core_wait_ns == CORE_WAIT_UNKNOWN);
    task_result_free(result);
    result = result_of("{\"type\":\"result\",\"id\":\"a\",\"attempt\":1,\"usage\":{\"core_wait_ms\":0.25}}");
    assert_int_equal(result->cpu_ns, 0);
    assert_int_equal(result->core_wait_ns, 250000);
    task_result_free(result);
    result = result_of(
        "{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"usage\":{\"cpu_ms\":1,\"core_wait_ms\":0}}");
    assert_int_equal(result->core_wait_ns, 0); /* none is an answer */
    task_result_free(result);
    static const char *const wrong[] = {"-1", "1e12", "\"5\"", "null", "[]"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        char line[120];
        snprintf(line, sizeof line,
                 "{\"type\":\"result\",\"id\":\"a\",\"attempt\":1,\"usage\":{\"core_wait_ms\":%s}}",
                 wrong[i]);
        result = result_of(line);
        assert_int_equal(result->error, TROUPE_OK); /* a task is not lost for it */
        assert_true(result->core_wait_ns == CORE_WAIT_UNKNOWN);
        task_result_free(result);
    }
    result = result_of("{\"type\":\"result\",\"id\":\"a\",\"attempt\":1}");
    assert_int_equal(result->error, TROUPE_OK);
    assert_null(result->value);
    task_result_free(result);
}

#define R "{\"type\":\"result\",\"id\":\"a\",\"attempt\":1,"
static const struct {
    const char *line;
    enum troupe_error error;
    const char *expected;
} failed_results[] = {
    {R "\"metrics\":[1]}", TROUPE_PROTOCOL, "expected an object of numbers"},
    {R "\"metrics\":{\"x\":\"0.9\"}}", TROUPE_PROTOCOL, "'x'"},
    {R "\"metrics\":{\"x\":null}}", TROUPE_PROTOCOL, "finite number"},
    {R "\"metrics\":{\"\":1}}", TROUPE_LIMIT, "0 bytes"},
    {R "\"metrics\":{\"a123456789012345678901234567890123456789012345678901234567890123\":1}}", TROUPE_LIMIT,
     "64 bytes"},
    {R "\"metrics\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,"
       "\"l\":1,"
       "\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}}",
     TROUPE_LIMIT, "17 metrics"},
    {R "\"artifact\":\"../model\"}", TROUPE_PROTOCOL, "../model"},
    {R "\"artifact\":\"/etc/passwd\"}", TROUPE_PROTOCOL, "/etc/passwd"},
    {R "\"artifact\":\".hidden\"}", TROUPE_PROTOCOL, ".hidden"},
    {R "\"artifact\":\"\"}", TROUPE_PROTOCOL, "artifact"},
    {R "\"artifact\":7}", TROUPE_PROTOCOL, "artifact"},
    {"{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"message\":\"C must be\\npositive\"}", TROUPE_WORKER,
     "C must be positive"},
    {"{\"type\":\"error\",\"id\":\"a\",\"attempt\":1}", TROUPE_WORKER, "without a message"},
    {"{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"message\":\"late\",\"deadline\":true}",
     TROUPE_DEADLINE, "late"},
    {"{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"message\":\"m\",\"deadline\":\"x\"}", TROUPE_WORKER,
     "m"},
};

static void wrong_contents_fail_the_task_with_a_reason(void **state) {
    (void)state;
    for (size_t at = 0; at < ARRAY_COUNT(failed_results); at++) {
        struct task_result *result = result_of(failed_results[at].line);
        if (result->error != failed_results[at].error ||
            !strstr(result->message, failed_results[at].expected))
            fail_msg("%s: %s: %s", failed_results[at].line, error_name(result->error), result->message);
        assert_false(result->retryable);
        task_result_free(result);
    }
    struct task_result *result =
        result_of("{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"message\":\"busy\",\"retryable\":true}");
    assert_true(result->retryable);
    task_result_free(result);
}

static void a_value_over_its_bound_fails_and_at_it_passes(void **state) {
    (void)state;
    for (int over = 0; over <= 1; over++) {
        size_t inside = WORKER_VALUE_MAX - 2 + (size_t)over; /* the quotes are two bytes */
        char *text = malloc(inside + 128);
        size_t used = (size_t)sprintf(text, R "\"value\":\"");
        memset(text + used, 'v', inside);
        strcpy(text + used + inside, "\"}");
        struct task_result *result = result_of(text);
        assert_int_equal(result->error, over ? TROUPE_LIMIT : TROUPE_OK);
        assert_int_equal(result->value_length, over ? 0 : WORKER_VALUE_MAX);
        task_result_free(result);
        free(text);
    }
}

static void a_long_message_is_cut_between_characters(void **state) {
    (void)state;
    char text[4096];
    size_t used = (size_t)sprintf(text, "{\"type\":\"error\",\"id\":\"a\",\"attempt\":1,\"message\":\"x");
    for (int at = 0; at < 600; at++)
        used += (size_t)sprintf(text + used, "\xc3\xa4");
    strcpy(text + used, "\"}");
    struct task_result *result = result_of(text);
    size_t length = strlen(result->message);
    assert_int_equal(length, 511);
    assert_int_equal((unsigned char)result->message[length - 1], 0xa4);
    task_result_free(result);
}

static void hello_is_checked_against_the_promise(void **state) {
    (void)state;
    struct capability_names names = {.count = 2, .names = {"train", "test"}};
    struct capability_set needed = {{0}};
    capability_set_add(&needed, 1);
    static const struct {
        const char *line, *expected; /* NULL: fine */
    } cases[] = {
        {"{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"other\",\"test\"]}", NULL},
        {"{\"type\":\"hello\",\"protocol\":2,\"capabilities\":[\"test\"]}", "protocol 2"},
        {"{\"type\":\"hello\",\"capabilities\":[\"test\"]}", "(none)"},
        {"{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"train\"]}", "'test'"},
        {"{\"type\":\"hello\",\"protocol\":1}", "none"},
        {"{\"type\":\"hello\",\"protocol\":1,\"capabilities\":\"test\"}", "'test'"},
    };
    for (size_t at = 0; at < ARRAY_COUNT(cases); at++) {
        struct worker_line line;
        struct fault fault = {0};
        assert_int_equal(worker_line_read(cases[at].line, strlen(cases[at].line), &line, &fault), TROUPE_OK);
        enum troupe_error error = worker_line_hello(&line, &needed, &names, &fault);
        assert_int_equal(error, cases[at].expected ? TROUPE_PROTOCOL : TROUPE_OK);
        if (cases[at].expected && !strstr(fault.text, cases[at].expected))
            fail_msg("%s: %s", cases[at].line, fault.text);
        worker_line_free(&line);
    }
}

static void progress_and_log(void **state) {
    (void)state;
    static const char text[] =
        "{\"type\":\"progress\",\"id\":\"a\",\"step\":3,\"metrics\":{\"a\":1,\"b\":\"x\",\"c\":2,"
        "\"d\":3,\"e\":4,\"f\":5}}";
    struct worker_line line;
    struct fault fault = {0};
    struct message_task_progress progress = {0};
    assert_int_equal(worker_line_read(text, strlen(text), &line, &fault), TROUPE_OK);
    assert_int_equal(line.type, WORKER_PROGRESS);
    assert_int_equal(line.attempt, 0);
    worker_line_progress(&line, &progress);
    assert_int_equal(progress.step, 3);
    assert_int_equal(progress.metric_count, 4);
    assert_string_equal(progress.metrics[3].name, "e");
    worker_line_free(&line);
    static const char log[] = "{\"type\":\"log\",\"message\":17}";
    assert_int_equal(worker_line_read(log, strlen(log), &line, &fault), TROUPE_OK);
    assert_string_equal(worker_line_text(&line), "");
    worker_line_free(&line);
    static const char odd[] = "{\"type\":\"reslut\",\"id\":\"a\"}";
    assert_int_equal(worker_line_read(odd, strlen(odd), &line, &fault), TROUPE_OK);
    assert_int_equal(line.type, WORKER_UNKNOWN);
    assert_string_equal(line.type_text, "reslut");
    worker_line_free(&line);
}

static void quotes_fit_and_escape(void **state) {
    (void)state;
    char out[16];
    assert_string_equal(worker_quote("abc", 3, out, sizeof out), "abc");
    assert_string_equal(worker_quote("a\nb", 3, out, sizeof out), "a\\x0ab");
    assert_string_equal(worker_quote("0123456789abcde", 15, out, sizeof out), "0123456789abcde");
    assert_string_equal(worker_quote("0123456789abcdef", 16, out, sizeof out), "0123456789ab...");
    for (size_t length = 0; length < 40; length++) {
        char bytes[40];
        memset(bytes, 0xee, sizeof bytes);
        assert_true(strlen(worker_quote(bytes, length, out, sizeof out)) < sizeof out);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char text[] = R "\"value\":{\"rows\":[1,2,3]},\"metrics\":{\"x\":1}}";
    for (int64_t n = 1;; n++) {
        struct worker_line line;
        struct task_result *result = NULL;
        struct buffer scratch;
        buffer_init(&scratch, &account, WORKER_VALUE_MAX + 1);
        memory_fail_after(n);
        enum troupe_error error = worker_line_read(text, strlen(text), &line, NULL);
        if (error == TROUPE_OK) {
            error = worker_line_result(&line, &account, &scratch, &result);
            worker_line_free(&line);
        }
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        task_result_free(result);
        buffer_free(&scratch);
        assert_int_equal(account.blocks, 0);
        assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_says_who_and_what),
        cmocka_unit_test(task_carries_ids_limit_and_body),
        cmocka_unit_test(a_long_run_name_gives_way_to_its_number),
        cmocka_unit_test(batch_cancel_and_stop),
        cmocka_unit_test(what_is_no_message_is_refused_with_its_beginning),
        cmocka_unit_test(a_deep_line_is_refused),
        cmocka_unit_test(a_result_is_read_whole),
        cmocka_unit_test(wrong_contents_fail_the_task_with_a_reason),
        cmocka_unit_test(a_value_over_its_bound_fails_and_at_it_passes),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(hello_is_checked_against_the_promise),
        cmocka_unit_test(progress_and_log),
        cmocka_unit_test(quotes_fit_and_escape),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
