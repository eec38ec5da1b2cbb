/* Tests of the plugin host in process: what it refuses to open, every reader and setter, the first misuse
 * decides, lazy parsing, and each allocation failing in turn. */
#include "agent/plugin_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct account account = ACCOUNT("plugin-host-test");

static const char *plugin_path(const char *name) {
    static char path[1024];
    const char *root = getenv("TROUPE_BUILD_ROOT");
    snprintf(path, sizeof path, "%s/tests/agent/plugins/lib%s.so", root ? root : ".", name);
    return path;
}

static const char body[] = "\"variables\":{\"C\":10.5,\"depth\":4,\"kind\":\"svm\"},\"inputs\":{\"prepare\":{"
                           "\"value\":{\"counts\":[7,8]}},"
                           "\"model\":{\"path\":\"/a/b\",\"bytes\":9}},\"data\":{\"rows\":\"/"
                           "d.csv\",\"inner\":[1,2.5]},\"seed\":9007199254740993";

static struct plugin *plugin;
static struct plugin_instance *instance;

static int setup(void **state) {
    (void)state;
    struct fault fault;
    if (plugin_open(&account, plugin_path("probe"), &plugin, &fault) != TROUPE_OK) {
        print_error("%s: %s\n", fault.where, fault.text);
        return -1;
    }
    return plugin_instance_create(plugin, "{\"epochs\":3,\"mode\":\"fast\"}", 5, &instance, &fault);
}

static int teardown(void **state) {
    (void)state;
    plugin_instance_destroy(instance);
    plugin_close(plugin);
    return account.blocks == 0 && account.bytes == 0 ? 0 : -1;
}

static struct plugin_request request_for(const char *capability, const char *members) {
    return (struct plugin_request){.run = "r1",
                                   .stage = "train",
                                   .capability = capability,
                                   .trial = 3,
                                   .attempt = 2,
                                   .deadline_ns = UINT64_MAX,
                                   .body = members,
                                   .body_length = strlen(members),
                                   .account = &account};
}

static struct task_result *executed(const struct plugin_request *request) {
    struct task_result *result = NULL;
    assert_int_equal(plugin_execute(instance, request, &result), TROUPE_OK);
    assert_non_null(result);
    return result;
}

static void test_refuses_what_is_no_plugin(void **state) {
    (void)state;
    static const struct {
        const char *name, *says;
        enum troupe_error error;
    } cases[] = {
        {"faulty1", "ABI 2; this Troupe has 1", TROUPE_UNSUPPORTED},
        {"faulty2", "8 bytes", TROUPE_INVALID},
        {"faulty3", "no capabilities", TROUPE_INVALID},
        {"faulty4", "no execute", TROUPE_INVALID},
        {"faulty5", "64 bytes; expected 1 to 63", TROUPE_INVALID},
        {"faulty7", "exports no `troupe_plugin`", TROUPE_INVALID},
        {"missing", "cannot be loaded", TROUPE_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct plugin *opened = NULL;
        struct fault fault;
        assert_int_equal(plugin_open(&account, plugin_path(cases[i].name), &opened, &fault), cases[i].error);
        assert_non_null(strstr(fault.text, cases[i].says));
        assert_non_null(strstr(fault.where, cases[i].name));
        assert_null(opened);
    }
    struct plugin *opened = NULL;
    struct fault fault;
    assert_int_equal(plugin_open(&account, "libc.so.6", &opened, &fault), TROUPE_INVALID);
    assert_int_equal(plugin_open(&account, "/proc/self/status", &opened, &fault), TROUPE_INVALID);
    assert_null(opened);
}

static void test_create_fails_in_its_own_words(void **state) {
    (void)state;
    struct plugin *faulty = NULL;
    struct fault fault;
    assert_int_equal(plugin_open(&account, plugin_path("faulty6"), &faulty, &fault), TROUPE_OK);
    struct plugin_instance *made = NULL;
    assert_int_equal(plugin_instance_create(faulty, "{\"a\":1}", 2, &made, &fault), TROUPE_WORKER);
    assert_string_equal(fault.text, "cannot start instance 2: no device for {\"a\":1}");
    assert_int_equal(plugin_instance_create(faulty, "{\"a\":", 2, &made, &fault), TROUPE_SYNTAX);
    assert_null(made);
    plugin_close(faulty);
}

static void test_reads_everything(void **state) {
    (void)state;
    struct plugin_request request = request_for("read", body);
    request.artifact_directory = "/work";
    struct task_result *result = executed(&request);
    assert_string_equal(result->message, "");
    assert_string_equal(
        result->value,
        "{\"found\":5,\"C\":10.5,\"depth\":4,\"kind\":\"svm\",\"absent\":1,\"data\":2.5,"
        "\"rows\":\"/d.csv\",\"epochs\":3,\"mode\":\"fast\",\"count\":7,\"path\":\"/a/b\","
        "\"input\":{\"counts\":[7,8]},\"artifact\":\"/work/m.bin\",\"seed\":9007199254740993,"
        "\"trial\":3,\"attempt\":2,\"run\":\"r1\",\"stage\":\"train\",\"instance\":5,\"deadline\":0,"
        "\"cancelled\":0}");
    task_result_free(result);
}

/* The same members, parsed by the caller as the isolated child does. */
static void test_reads_parsed_members(void **state) {
    (void)state;
    char text[sizeof body + 2];
    snprintf(text, sizeof text, "{%s}", body);
    struct document *document = NULL;
    assert_int_equal(document_parse_json(text, strlen(text), "t", NULL, &document, NULL), TROUPE_OK);
    struct plugin_request request = request_for("read", "not looked at");
    request.members = document_root(document);
    request.artifact_directory = "/work";
    struct task_result *result = executed(&request);
    assert_int_equal(result->error, TROUPE_OK);
    assert_non_null(strstr(result->value, "\"count\":7"));
    task_result_free(result);
    document_free(document);
}

static void test_a_task_that_reads_nothing_is_not_parsed(void **state) {
    (void)state;
    struct plugin_request request = request_for("noop", "this is no JSON");
    struct task_result *result = executed(&request);
    assert_int_equal(result->error, TROUPE_OK);
    assert_null(result->value);
    assert_int_equal(result->metric_count, 0);
    task_result_free(result);
    request.capability = "read";
    result = executed(&request);
    assert_int_equal(result->error, TROUPE_SYNTAX);
    assert_non_null(strstr(result->message, "could not be read"));
    task_result_free(result);
}

static void test_sets_everything(void **state) {
    (void)state;
    char directory[] = "/tmp/troupe-plugin-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct plugin_request request = request_for("finish", body);
    request.artifact_directory = directory;
    struct task_result *result = executed(&request);
    assert_string_equal(result->message, "");
    assert_int_equal(result->metric_count, 2);
    assert_string_equal(result->metrics[0].name, "accuracy");
    assert_true(result->metrics[0].value == 0.75);
    assert_string_equal(result->metrics[1].name, "loss");
    assert_string_equal(result->artifact, "model.bin");
    /* Written anew: on one line, so it can travel in a message. */
    assert_string_equal(result->value, "{\"text\":\"two\\nlines\",\"pi\":3.5}");
    task_result_free(result);
    char path[64];
    snprintf(path, sizeof path, "%s/model.bin", directory);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(directory), 0);
}

static void test_misuse_fails_the_task(void **state) {
    (void)state;
    static const struct {
        const char *what, *says;
    } cases[] = {
        {"nan", "metric 'accuracy' is nan; expected a finite number"},
        {"name", "metric '': a name has 1 to 63 bytes"},
        {"many", "metric 'm16' is one too many; a result has at most 16"},
        {"json", "the value is not JSON"},
        {"big", "a value of 65537 bytes; expected JSON of 1 to 65536 bytes (write an artifact instead)"},
        {"artifact", "artifact '../escape': "}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char members[128];
        snprintf(members, sizeof members, "\"variables\":{\"what\":\"%s\"}", cases[i].what);
        struct plugin_request request = request_for("misuse", members);
        request.artifact_directory = "/tmp";
        struct task_result *result = executed(&request);
        assert_int_equal(result->error, TROUPE_WORKER);
        assert_false(result->retryable);
        assert_int_equal(strncmp(result->message, cases[i].says, strlen(cases[i].says)), 0);
        assert_int_equal(result->metric_count, 0);
        task_result_free(result);
    }
}

static void test_failures(void **state) {
    (void)state;
    struct plugin_request request = request_for("fail", body);
    struct task_result *result = executed(&request);
    assert_int_equal(result->error, TROUPE_WORKER);
    assert_true(result->retryable);
    assert_string_equal(result->message, "the \"disk\" is away\nreally");
    task_result_free(result);
    request = request_for("silent", body);
    result = executed(&request);
    assert_string_equal(result->message, "plugin probe returned 7 without saying why");
    assert_false(result->retryable);
    task_result_free(result);
    request = request_for("finish", body); /* no artifact directory */
    result = executed(&request);
    assert_string_equal(result->message, "cannot write model.bin");
    task_result_free(result);
    assert_true(plugin_has(plugin, "crash"));
    assert_false(plugin_has(plugin, "cras"));
}

struct surroundings {
    unsigned asked, progressed, logged;
    uint64_t now;
};
static bool port_cancelled(void *context) {
    struct surroundings *surroundings = context;
    return ++surroundings->asked == 3;
}
static uint64_t port_now(void *context) {
    struct surroundings *surroundings = context;
    return surroundings->now += 400000000;
}
static void port_progress(void *context, int64_t step, const char *metric, double value) {
    struct surroundings *surroundings = context;
    surroundings->progressed++;
    assert_int_equal(step, 0);
    assert_string_equal(metric, "begun");
    assert_true(value == 1);
}

static void test_cancel_and_deadline(void **state) {
    (void)state;
    struct surroundings surroundings = {0};
    struct plugin_port port = {
        .context = &surroundings, .cancelled = port_cancelled, .progress = port_progress};
    struct plugin_request request = request_for("until_cancelled", body);
    request.port = &port;
    struct task_result *result = executed(&request);
    assert_string_equal(result->message, "cancelled in time");
    assert_int_equal(surroundings.asked, 3);
    assert_int_equal(surroundings.progressed, 1);
    task_result_free(result);
    port = (struct plugin_port){.context = &surroundings, .now_ns = port_now};
    request.deadline_ns = 1000000000;
    result = executed(&request);
    assert_string_equal(result->message, "out of time");
    task_result_free(result);
}

/* Fails the n-th allocation for every n: an error or a whole result, never a leak (teardown reads the
 * account). */
static void test_every_allocation_fails_once(void **state) {
    (void)state;
    static const char *const capabilities[] = {"read", "finish", "misuse"};
    for (size_t i = 0; i < ARRAY_COUNT(capabilities); i++) {
        for (int64_t n = 1;; n++) {
            memory_fail_after(n);
            struct plugin_instance *made = NULL;
            struct fault fault;
            enum troupe_error error =
                plugin_instance_create(plugin, "{\"epochs\":3,\"mode\":\"f\"}", 0, &made, &fault);
            struct task_result *result = NULL;
            struct plugin_request request = request_for(capabilities[i], body);
            request.artifact_directory = "/nonexistent";
            if (error == TROUPE_OK)
                error = plugin_execute(made, &request, &result);
            bool fired = memory_fail_fired();
            memory_fail_after(0);
            if (error != TROUPE_OK)
                assert_int_equal(error, TROUPE_NOMEM);
            task_result_free(result);
            plugin_instance_destroy(made);
            if (!fired)
                break;
            assert_true(n < 1000);
        }
    }
}

static void test_open_survives_failed_allocations(void **state) {
    (void)state;
    for (int64_t n = 1;; n++) {
        struct plugin *opened = NULL;
        struct fault fault;
        memory_fail_after(n);
        enum troupe_error error = plugin_open(&account, plugin_path("probe"), &opened, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        plugin_close(opened);
        if (!fired)
            break;
        assert_int_equal(error, TROUPE_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_what_is_no_plugin),
        cmocka_unit_test(test_create_fails_in_its_own_words),
        cmocka_unit_test(test_reads_everything),
        cmocka_unit_test(test_reads_parsed_members),
        cmocka_unit_test(test_a_task_that_reads_nothing_is_not_parsed),
        cmocka_unit_test(test_sets_everything),
        cmocka_unit_test(test_misuse_fails_the_task),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_cancel_and_deadline),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_open_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
