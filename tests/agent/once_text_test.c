/* Tests of placeholders and of finding metrics in what a command prints. */
#include "agent/once_text.h"
#include "agent/worker_main.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct account account = ACCOUNT("once-text-test");
static const char *const names[] = {"lr", "depth", "trial"};

static const char *look_up(void *context, const char *name) {
    (void)context;
    return strcmp(name, "lr") == 0 ? "0.01" : strcmp(name, "depth") == 0 ? "4" : NULL;
}

static enum troupe_error filled(const char *text, char *ret, size_t size, struct fault *fault) {
    struct buffer out;
    buffer_init(&out, &account, 0);
    enum troupe_error error = once_fill(text, look_up, NULL, names, ARRAY_COUNT(names), &out, fault);
    snprintf(ret, size, "%s", buffer_string(&out));
    buffer_free(&out);
    return error;
}

static void test_fill(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"--lr={lr}", "--lr=0.01"},
        {"{lr}{depth}{lr}", "0.0140.01"},
        {"{{lr}}", "{lr}"},
        {"{{{lr}}}", "{0.01}"},
        {"awk '{print $1}'", "awk '{print $1}'"},
        {"{", "{"},
        {"}", "}"},
        {"{}", "{}"},
        {"{\"a\": 1}", "{\"a\": 1}"},
        {"{lr", "{lr"},
        {"{ lr }", "{ lr }"},
        {"{{}}", "{}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[64];
        assert_int_equal(filled(cases[i][0], text, sizeof text, NULL), TROUPE_OK);
        assert_string_equal(text, cases[i][1]);
    }
    char text[64];
    struct fault fault;
    assert_int_equal(filled("--depth={dept}", text, sizeof text, &fault), TROUPE_INVALID);
    assert_string_equal(fault.where, "--depth={dept}");
    assert_string_equal(
        fault.text, "{dept} is not a variable; did you mean {depth}? (write {{dept}} for the text itself)");
    assert_int_equal(filled("{elephants}", text, sizeof text, &fault), TROUPE_INVALID);
    assert_string_equal(fault.text,
                        "{elephants} is not a variable (write {{elephants}} for the text itself)");
}

static void test_check_command(void **state) {
    (void)state;
    struct fault fault;
    static const char *const good[] = {"python3",          "train.py", "{lr}", "{seed}/{trial}/{instance}",
                                       "{artifact_dir}/m", NULL};
    static const char *const bad[] = {"python3", "train.py", "--lr", "{lrr}", NULL};
    assert_int_equal(once_check_command(good, names, 2, &fault), TROUPE_OK);
    assert_int_equal(once_check_command(bad, names, 2, &fault), TROUPE_INVALID);
    assert_non_null(strstr(fault.text, "did you mean {lr}?"));
}

/* `text` given in pieces of `piece` bytes. */
static struct once_metric scanned(const char *text, size_t piece) {
    struct once_metric metric = {.name = "val_acc"};
    struct once_scan scan;
    once_scan_init(&scan, &account, &metric, 1);
    for (size_t at = 0; at < strlen(text); at += piece)
        once_scan_bytes(&scan, text + at, strlen(text + at) < piece ? strlen(text + at) : piece);
    once_scan_end(&scan);
    once_scan_free(&scan);
    return metric;
}

static void test_find_metric(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool seen;
        double value;
    } cases[] = {
        {"val_acc=0.93", true, 0.93},
        {"val_acc=0.93\n", true, 0.93},
        {"epoch 1 val_acc=0.5\nepoch 2 val_acc=0.75\n", true, 0.75},
        {"val_acc: 0.5 loss: 3", true, 0.5},
        {"val_acc : 1e-3", true, 1e-3},
        {"val_acc = -2.5.", true, -2.5},
        {"{'loss': 1.5, 'val_acc': 0.25}", true, 0.25},
        {"{\"loss\": 1.5, \"val_acc\": 0.25}", true, 0.25},
        {"{\"best\": {\"val_acc\": 9}, \"val_acc\": 0.25}", true, 0.25},
        {"{\"best\": {\"val_acc\": 9}}", false, 0}, /* JSON counts at its top level alone */
        {"{\"val_acc\": \"0.5\"}", false, 0},
        {"best_val_acc=0.99\n", false, 0},
        {"val_acc_max=0.99 val_acc 7", false, 0},
        {"val_acc=0.5 val_acc=none", true, 0.5},
        {"val_acc=12abc", false, 0},
        {"val_acc=0x10", false, 0},
        {"val_acc=\n0.5", false, 0},
        {"val_acc=93%", true, 93},
        {"train/val_acc=1\r\n val_acc=2\r\n", true, 2},
        {"nothing", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        for (size_t piece = 1; piece < 8; piece += 3) {
            struct once_metric metric = scanned(cases[i].text, piece);
            if (metric.seen != cases[i].seen || metric.value != cases[i].value)
                fail_msg("%s: %d %g", cases[i].text, metric.seen, metric.value);
        }
    assert_true(isnan(scanned("val_acc=0.5\nval_acc=nan\n", 3).value));
    assert_true(isinf(scanned("val_acc=inf\n", 3).value));
}

static void test_endless_lines_are_bounded(void **state) {
    (void)state;
    struct once_metric metric = {.name = "val_acc"};
    struct once_scan scan;
    once_scan_init(&scan, &account, &metric, 1);
    char block[1000];
    memset(block, 'x', sizeof block);
    once_scan_bytes(&scan, "val_acc=1 ", 10);
    for (int i = 0; i < 10000; i++)
        once_scan_bytes(&scan, block, sizeof block);
    assert_true(account.bytes < 4 * ONCE_LINE_MAX);
    once_scan_bytes(&scan, "val_acc=2\nlast", 14);
    once_scan_end(&scan);
    assert_true(metric.seen && metric.value == 1); /* what is past the bound is not looked at */
    assert_string_equal(scan.last_line, "last");
    once_scan_free(&scan);
}

static void test_no_memory(void **state) {
    (void)state;
    for (int64_t n = 1;; n++) {
        memory_fail_after(n);
        struct once_metric metric = scanned("{\"val_acc\": 0.5}\nval_acc=2\n", 5);
        char text[64];
        IGNORE(filled("{lr}", text, sizeof text, NULL), "only leaks and crashes are looked for");
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        if (!fired)
            break;
        (void)metric;
    }
}

static int teardown(void **state) {
    (void)state;
    return account.blocks == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),        cmocka_unit_test(test_check_command),
        cmocka_unit_test(test_find_metric), cmocka_unit_test(test_endless_lines_are_bounded),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
