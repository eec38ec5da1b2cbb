/* The error table is complete and in range, and a fault holds what was said, cut but never broken. Fails if a
 * row loses a column, if an exit status stops fitting in a byte, or if a fault can be written past its end.
 */
#include "cmocka_base.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void every_row_is_usable(void **state) {
    (void)state;
    for (int i = 0; i < TROUPE_ERROR_COUNT; i++) {
        enum troupe_error error = (enum troupe_error)i;
        assert_true(strlen(error_name(error)) > 0 && strlen(error_text(error)) > 0);
        assert_in_range(error_exit_status(error), 0, 255);
        assert_int_equal(error_exit_status(error) == 0, error == TROUPE_OK);
        assert_in_range(error_http_status(error), 200, 599);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(error_name(error), error_name((enum troupe_error)j));
    }
    assert_string_equal(error_name(TROUPE_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(error_text(TROUPE_NOT_FOUND), "not found");
    assert_true(error_retryable(TROUPE_FULL));
    assert_false(error_retryable(TROUPE_INVALID));
    /* A number from another process. */
    assert_string_equal(error_name((enum troupe_error)9999), "INTERNAL");
}

static void a_fault_says_where_and_why(void **state) {
    (void)state;
    struct fault fault;
    assert_int_equal(fault_set(&fault, TROUPE_INVALID, "a.yaml:1:2", "expected %d", 3), TROUPE_INVALID);
    assert_int_equal(fault.error, TROUPE_INVALID);
    assert_string_equal(fault.where, "a.yaml:1:2");
    assert_string_equal(fault.text, "expected 3");
    assert_int_equal(fault_set(NULL, TROUPE_IO, "x", "nobody listens"), TROUPE_IO);
    assert_int_equal(fault_set(&fault, TROUPE_IO, NULL, "no place"), TROUPE_IO);
    assert_string_equal(fault.where, "");
}

static void a_fault_may_quote_itself(void **state) {
    (void)state;
    struct fault fault;
    (void)fault_set(&fault, TROUPE_IO, "disk", "no space");
    (void)fault_set(&fault, TROUPE_CORRUPT, fault.where, "while closing: %s", fault.text);
    assert_string_equal(fault.where, "disk");
    assert_string_equal(fault.text, "while closing: no space");
}

/* Quoting a stranger must not let it speak to the terminal. */
static void a_fault_is_fit_for_a_terminal(void **state) {
    (void)state;
    struct fault fault;
    (void)fault_set(&fault, TROUPE_INVALID, "a\nb", "%s",
                    "red \x1b[31m, \tbell \a, half \xff, c1 \xc2\x9b, \xc3\xa9\x7f.");
    assert_string_equal(fault.where, "a b");
    assert_string_equal(fault.text, "red ?[31m,  bell ?, half ?, c1 ?, \xc3\xa9?.");
    /* A character cut by the end of the fault goes whole. */
    char longer[sizeof(fault.where) + 2];
    memset(longer, 'x', sizeof(longer));
    memcpy(longer + sizeof(fault.where) - 2, "\xc3\xa9", 3);
    (void)fault_set(&fault, TROUPE_INVALID, longer, "cut");
    assert_int_equal(strlen(fault.where), sizeof(fault.where) - 2);
}

static void long_text_is_cut(void **state) {
    (void)state;
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct fault fault;
    (void)fault_set(&fault, TROUPE_IO, longer, "%s", longer);
    assert_int_equal(strlen(fault.where), sizeof(fault.where) - 1);
    assert_int_equal(strlen(fault.text), sizeof(fault.text) - 1);
}

static void a_failed_check_aborts(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], 2);
        (void)signal(SIGABRT, SIG_DFL);
        CHECK(1 + 1 == 2);
        CHECK(1 + 1 == 3);
        _exit(0);
    }
    (void)close(ends[1]);
    char said[512] = "";
    size_t length = 0;
    for (ssize_t got;
         length + 1 < sizeof(said) && (got = read(ends[0], said + length, sizeof(said) - 1 - length)) > 0;)
        length += (size_t)got;
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "error_test.c"));
    assert_non_null(strstr(said, "check failed: 1 + 1 == 3"));
}

struct heard {
    enum log_level level;
    char line[3000];
    unsigned count;
};

static void hear(void *context, enum log_level level, const char *line) {
    struct heard *heard = context;
    heard->level = level;
    heard->count++;
    (void)strncpy(heard->line, line, sizeof(heard->line) - 1);
}

static void the_log_reaches_its_sink(void **state) {
    (void)state;
    struct heard heard = {0};
    log_write(LOG_ERROR, "before anyone listens");
    log_set_sink(hear, &heard, LOG_INFO);
    log_write(LOG_DEBUG, "too fine");
    assert_int_equal(heard.count, 0);
    log_write(LOG_WARNING, "worker %d was restarted", 3);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.level, LOG_WARNING);
    assert_string_equal(heard.line, "worker 3 was restarted");
    log_write(LOG_INFO, "%5000d", 1); /* longer than a line may be: cut */
    assert_int_equal(heard.count, 2);
    assert_in_range(strlen(heard.line), 1000, 2999);
    log_set_sink(NULL, NULL, LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_usable),      cmocka_unit_test(a_fault_says_where_and_why),
        cmocka_unit_test(a_fault_may_quote_itself), cmocka_unit_test(a_fault_is_fit_for_a_terminal),
        cmocka_unit_test(long_text_is_cut),         cmocka_unit_test(a_failed_check_aborts),
        cmocka_unit_test(the_log_reaches_its_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
