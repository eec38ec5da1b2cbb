/* Tests of `worker-native` as Troupe sees it: a child, lines in and lines out. */
#include "agent/worker_main.h"
#include "worker_child.h"

static const char start[] =
    "{\"type\":\"start\",\"protocol\":1,\"instance\":2,\"agent\":\"a\",\"capabilities\":[\"noop\"],"
    "\"options\":{\"mode\":\"fast\",\"epochs\":3},\"later\":[1]}";

static const char *plugin_path(const char *name) {
    static char path[1024];
    const char *root = getenv("TROUPE_BUILD_ROOT");
    snprintf(path, sizeof path, "%s/tests/agent/plugins/lib%s.so", root ? root : ".", name);
    return path;
}

static void host(struct worker_child *child, const char *name) {
    child_start(child, native_worker_main, 1, (const char *const[]){plugin_path(name), NULL});
}

static void greeted(struct worker_child *child) {
    host(child, "probe");
    child_say(child, start);
    const struct node *hello = child_answer(child);
    assert_string_equal(answer_text(hello, "type"), "hello");
    assert_int_equal(node_int(node_get(hello, "protocol")), 1);
    assert_int_equal(node_count(node_get(hello, "capabilities")), 8);
    assert_string_equal(answer_text(hello, "name"), "probe");
}

static void test_answers_a_task(void **state) {
    (void)state;
    struct worker_child child;
    greeted(&child);
    char directory[] = "/tmp/troupe-native-XXXXXX", more[128];
    assert_non_null(mkdtemp(directory));
    snprintf(more, sizeof more, "\"artifact_dir\":\"%s\",\"deadline_ms\":20000", directory);
    child_say(&child, task_line(4, "finish", more));
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "progress");
    assert_string_equal(answer_text(answer, "id"), "r/4/s/1");
    assert_true(answer_metric(answer, "accuracy") == 0.5);
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "log");
    assert_string_equal(answer_text(answer, "message"), "half way");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "result");
    assert_string_equal(answer_text(answer, "id"), "r/4/s/1");
    assert_int_equal(node_int(node_get(answer, "attempt")), 1);
    assert_true(answer_metric(answer, "accuracy") == 0.75);
    assert_string_equal(answer_text(answer, "artifact"), "model.bin");
    assert_string_equal(answer_text(node_get(answer, "value"), "text"), "two\nlines");
    child_say(&child, "{\"type\":\"stop\"}");
    assert_null(child_answer(&child));
    assert_int_equal(child_end(&child), 0);
    assert_non_null(strstr(child.held, "a print of the plugin\n"));
    char path[64];
    snprintf(path, sizeof path, "%s/model.bin", directory);
    assert_int_equal(remove(path) | remove(directory), 0);
}

static void test_answers_each_of_a_batch(void **state) {
    (void)state;
    struct worker_child child;
    greeted(&child);
    child_say(
        &child,
        "{\"type\":\"tasks\",\"tasks\":["
        "{\"id\":\"a\",\"run\":\"r\",\"trial\":0,\"stage\":\"s\",\"attempt\":1,\"capability\":\"noop\"},"
        "{\"id\":\"b\",\"run\":\"r\",\"trial\":1,\"stage\":\"s\",\"attempt\":3,\"capability\":\"fail\"},"
        "{\"id\":\"c\",\"run\":\"r\",\"trial\":2,\"stage\":\"s\",\"attempt\":1,\"capability\":\"dance\"}]}");
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "result");
    assert_string_equal(answer_text(answer, "id"), "a");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "error");
    assert_string_equal(answer_text(answer, "id"), "b");
    assert_int_equal(node_int(node_get(answer, "attempt")), 3);
    assert_true(node_bool(node_get(answer, "retryable")));
    assert_string_equal(answer_text(answer, "message"), "the \"disk\" is away\nreally");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "c");
    assert_string_equal(answer_text(answer, "message"), "plugin probe has no capability 'dance'");
    assert_int_equal(child_end(&child), 0); /* the end of input is as good as stop */
}

static void test_cancels(void **state) {
    (void)state;
    struct worker_child child;
    greeted(&child);
    child_say(&child, task_line(1, "until_cancelled", ""));
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "progress");
    child_say(&child, task_line(2, "noop", ""));
    child_say(&child, task_line(3, "noop", ""));
    child_say(&child, "{\"type\":\"cancel\",\"id\":\"r/2/s/1\"}");
    child_say(&child, "{\"type\":\"cancel\",\"id\":\"r/1/s/1\"}");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "r/1/s/1");
    assert_string_equal(answer_text(answer, "message"), "cancelled in time");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "r/2/s/1");
    assert_string_equal(answer_text(answer, "message"), "cancelled before it began");
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "r/3/s/1");
    assert_string_equal(answer_text(answer, "type"), "result");
    child_say(&child, task_line(4, "until_cancelled", "\"deadline_ms\":5"));
    child_answer(&child);
    assert_string_equal(answer_text(child_answer(&child), "message"), "out of time");
    assert_int_equal(child_end(&child), 0);
}

static void test_complains_and_goes_on(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"{\"type\":\"dance\"}", "unknown type 'dance'"},
        {"[1]", "expected an object with a `type`"},
        {"{\"type\":7}", "expected an object with a `type`"},
        {"garbage", "not JSON"},
        {"{\"type\":\"task\",\"type\":\"task\"}", "not JSON"}, /* a key twice */
        {start, "a second `start`"},
        {"{\"type\":\"task\",\"attempt\":1}", "a task needs `id`"},
        {"{\"type\":\"task\",\"id\":\"x\",\"attempt\":0}", "a task needs `id`"},
    };
    struct worker_child child;
    greeted(&child);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        child_say(&child, cases[i].line);
        child_say(&child, ""); /* an empty line is nothing */
        const struct node *answer = child_answer(&child);
        assert_string_equal(answer_text(answer, "type"), "error");
        assert_null(node_get(answer, "id"));
        assert_non_null(strstr(answer_text(answer, "message"), cases[i].says));
    }
    child_say(&child, task_line(1, "noop", ""));
    assert_string_equal(answer_text(child_answer(&child), "type"), "result");
    assert_int_equal(child_end(&child), 0);
}

static void test_a_line_past_the_bound_ends_it(void **state) {
    (void)state;
    struct worker_child child;
    greeted(&child);
    static char much[(1 << 20) + 64];
    memset(much, 'x', sizeof much - 1);
    child_say(&child, much);
    assert_string_equal(answer_text(child_answer(&child), "message"), "a line of more than 1 MiB");
    assert_int_equal(child_end(&child), 1);
}

static void test_a_crash_is_its_own(void **state) {
    (void)state;
    struct worker_child child;
    greeted(&child);
    child_say(&child, task_line(1, "crash", ""));
    assert_null(child_answer(&child));
    assert_int_equal(child_end(&child), 128 + SIGABRT);
}

static void test_says_why_it_cannot_start(void **state) {
    (void)state;
    struct worker_child child;
    host(&child, "faulty1");
    assert_null(child_answer(&child));
    assert_int_equal(child_end(&child), error_exit_status(TROUPE_UNSUPPORTED));
    assert_non_null(strstr(child.held, "ABI 2"));
    host(&child, "faulty6");
    child_say(&child, start);
    const struct node *answer = child_answer(&child);
    assert_non_null(strstr(answer_text(answer, "message"), "cannot start instance 2: no device for {"));
    assert_int_equal(child_end(&child), 1);
    host(&child, "probe");
    child_say(&child, task_line(1, "noop", ""));
    assert_string_equal(answer_text(child_answer(&child), "message"), "expected `start` first");
    assert_int_equal(child_end(&child), 0);
    child_start(&child, native_worker_main, 0, (const char *const[]){NULL});
    assert_int_equal(child_end(&child), error_exit_status(TROUPE_USAGE));
}

static void test_every_allocation_fails_once(void **state) {
    (void)state;
    char lines[8192];
    snprintf(
        lines, sizeof lines, "%s\n%s\n{\"type\":\"stop\"}\n", start,
        task_line(1, "read",
                  "\"variables\":{\"C\":1,\"depth\":2,\"kind\":\"k\"},\"inputs\":{\"prepare\":{\"value\":"
                  "{\"counts\":[1]}},\"model\":{\"path\":\"/m\",\"bytes\":1}},\"artifact_dir\":\"/tmp\""));
    every_allocation_fails(native_worker_main, 1, (const char *const[]){plugin_path("probe"), NULL}, lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_a_task),
        cmocka_unit_test(test_answers_each_of_a_batch),
        cmocka_unit_test(test_cancels),
        cmocka_unit_test(test_complains_and_goes_on),
        cmocka_unit_test(test_a_line_past_the_bound_ends_it),
        cmocka_unit_test(test_a_crash_is_its_own),
        cmocka_unit_test(test_says_why_it_cannot_start),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
