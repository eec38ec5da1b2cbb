/* The summary: what it prints of a whole response, and that no part of a response is taken for granted: each is
 * taken away or turned into something else, as in the store of a stranger or of another version. Fails if a
 * number were printed that the response does not hold, or if `troupe show` could be brought down by a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_summary.h"

static const char whole[] =
    "{\"metric\":\"acc\",\"best\":{\"lr\":0.5,\"kind\":\"svm\"},\"objective\":0.97,\"best_trial\":4,"
    "\"baseline\":{\"objective\":0.9,\"test\":0.8},\"test\":0.95,\"trials\":7,"
    "\"counts\":{\"failed\":2,\"reused_stages\":3,\"restarts\":1},"
    "\"time\":{\"wall_ms\":1000,\"elapsed_ms\":3000,\"trial_wall_ms\":1900,"
    "\"shares\":[{\"name\":\"train\",\"ms\":1500,\"percent\":78.9},{\"name\":\"store\",\"ms\":400,"
    "\"percent\":21.1},"
    "{\"name\":\"transfer\",\"ms\":0,\"percent\":0}],"
    "\"agents\":{\"instances\":2,\"total_ms\":2000,\"executing_ms\":1500,\"waiting_ms\":400,\"idle_ms\":100},"
    "\"troupe\":{\"cpu_ms\":5,\"percent_of_machine\":0.25}}}";

static struct document *parsed(const char *text) {
    struct document *document = NULL;
    assert_int_equal(document_parse_json(text, strlen(text), "response", NULL, &document, NULL), TROUPE_OK);
    return document;
}

static void a_whole_response(void **state) {
    (void)state;
    static const char *const lines[] = {
        "best       acc 0.97, held-out test 0.95  (trial 4)\n           lr=0.5 kind=svm\n",
        "baseline   acc 0.9, held-out test 0.8  (trial 0: every variable at its default)\n",
        "trials     7, 2 failed, 3 stages reused, 1 restarts of workers\n",
        "time       1 s (with what came before: 3 s), where the trials' 1.9 s went:\n",
        "            78.9 %  train                     1.5 s\n",
        "            21.1 %  store                    400 ms\n",
        "agents     1.5 s executing + 400 ms waiting + 100 ms idle = 2 s of 2 agents\n",
        "troupe     5 ms of CPU, 0.25 % of the machine\n",
    };
    struct account account = ACCOUNT("test");
    struct document *document = parsed(whole);
    struct buffer text;
    buffer_init(&text, &account, 0);
    run_summary_write(document_root(document), &text);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        if (strstr(buffer_string(&text), lines[i]) == NULL)
            fail_msg("expected\n%sin\n%s", lines[i], buffer_string(&text));
    assert_null(strstr(buffer_string(&text), "transfer")); /* took no time */
    buffer_free(&text);
    document_free(document);
    assert_int_equal(account.bytes, 0);
}

static void write_changed(const char *path, const char *value) {
    struct account account = ACCOUNT("test");
    struct document *document = parsed(whole), *changed = NULL;
    struct buffer text;
    assert_int_equal(document_with(document, path, value, &changed, NULL), TROUPE_OK);
    buffer_init(&text, &account, 0);
    run_summary_write(document_root(changed), &text);
    assert_int_equal(buffer_ok(&text), TROUPE_OK);
    buffer_free(&text);
    document_free(changed);
    document_free(document);
}

static void change_everything_below(const struct node *node) {
    static const char *const values[] = {"null", "true", "-3",    "1e300",      "text",
                                         "[]",   "{}",   "[[1]]", "{a: {b: 1}}"};
    for (size_t i = 0; i < node_count(node); i++) {
        char path[200];
        const struct node *child = node_at(node, i);
        node_path(child, path, sizeof path);
        for (size_t v = 0; v < ARRAY_COUNT(values); v++)
            write_changed(path, values[v]);
        change_everything_below(child);
    }
}

static void every_part_is_a_strangers(void **state) {
    (void)state;
    struct document *document = parsed(whole);
    change_everything_below(document_root(document));
    document_free(document);
    struct account account = ACCOUNT("test");
    struct buffer text;
    buffer_init(&text, &account, 0);
    run_summary_write(NULL, &text);
    assert_int_equal(text.length, 0);
    document = parsed("{}");
    run_summary_write(document_root(document), &text);
    document_free(document);
    buffer_free(&text);
    assert_int_equal(document_account()->bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_response),
        cmocka_unit_test(every_part_is_a_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
