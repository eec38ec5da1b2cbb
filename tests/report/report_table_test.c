/* Tables on a terminal: a column out of line, or a name of a user that moves the cursor, would fail here. */
#include "report/report.h"
#include "../base/cmocka_base.h"

#include <string.h>

struct rig {
    struct account account;
    struct buffer out;
    struct report_table table;
};

static void begin(struct rig *rig, const char *columns) {
    rig->account = ACCOUNT("table");
    buffer_init(&rig->out, &rig->account, 0);
    report_table_init(&rig->table, &rig->account, columns);
}

static void ends_as(struct rig *rig, unsigned indent, const char *expected) {
    assert_int_equal(report_table_end(&rig->table, indent, &rig->out), TROUPE_OK);
    assert_string_equal(buffer_string(&rig->out), expected);
    buffer_free(&rig->out);
    assert_int_equal(rig->account.bytes, 0);
}

static void aligns(void **state) {
    (void)state;
    struct rig rig;
    begin(&rig, "name|>objective|state");
    report_table_cell(&rig.table, "a");
    report_table_format(&rig.table, "%.2f", 0.5);
    report_table_cell(&rig.table, "ok");
    report_table_cell(&rig.table, "longer");
    report_table_cell(&rig.table, NULL);
    report_table_cell(&rig.table, "failed");
    ends_as(&rig, 2,
            "  name    objective  state\n"
            "  a            0.50  ok\n"
            "  longer             failed\n");
}

static void characters_not_bytes(void **state) {
    (void)state;
    struct rig rig;
    begin(&rig, "a|b");
    report_table_cell(&rig.table, "\xc3\xa9t\xc3\xa9");
    report_table_cell(&rig.table, "x");
    report_table_cell(&rig.table, "four");
    report_table_cell(&rig.table, "y");
    ends_as(&rig, 0, "a     b\n\xc3\xa9t\xc3\xa9   x\nfour  y\n");
}

static void harmless(void **state) {
    (void)state;
    struct rig rig;
    begin(&rig, "a");
    report_table_cell(&rig.table, "\x1b[2J\r\n\x07\x7f\xc2\x9b\xff.");
    ends_as(&rig, 0, "a\n [2J     ?.\n");
}

static void bounded(void **state) {
    (void)state;
    struct rig rig;
    begin(&rig, "a");
    rig.table.width_max = 5;
    report_table_cell(&rig.table, "12345");
    report_table_cell(&rig.table, "123456");
    ends_as(&rig, 0, "a\n12345\n1234\xe2\x80\xa6\n");
    begin(&rig, "a||b"); /* an empty title; a row that is not full */
    report_table_cell(&rig.table, "1");
    ends_as(&rig, 0, "a    b\n1\n");
}

static void no_memory(void **state) {
    (void)state;
    bool passed = false;
    for (int64_t n = 1; !passed; n++) {
        struct rig rig;
        memory_fail_after(n);
        begin(&rig, "a|b");
        for (unsigned i = 0; i < 40; i++)
            report_table_cell(&rig.table, "some text that makes the buffer grow");
        enum troupe_error error = report_table_end(&rig.table, 2, &rig.out);
        passed = !memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, passed ? TROUPE_OK : TROUPE_NOMEM);
        buffer_free(&rig.out);
        assert_int_equal(rig.account.bytes, 0);
    }
}

static void bars(void **state) {
    (void)state;
    static const struct {
        double part, whole;
        const char *expected;
    } cases[] = {{0, 10, "....."},  {10, 10, "#####"}, {1e-9, 10, "#...."}, {5, 10, "###.."},
                 {20, 10, "#####"}, {1, 0, "....."},   {-1, 10, "....."}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct account account = ACCOUNT("bar");
        struct buffer out;
        buffer_init(&out, &account, 0);
        report_bar(&out, cases[i].part, cases[i].whole, 5);
        assert_string_equal(buffer_string(&out), cases[i].expected);
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns),    cmocka_unit_test(characters_not_bytes),
        cmocka_unit_test(harmless),  cmocka_unit_test(bounded),
        cmocka_unit_test(no_memory), cmocka_unit_test(bars),
    };
    return cmocka_run_group_tests_name("report/report_table", tests, NULL, NULL);
}
