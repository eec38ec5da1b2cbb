/* One value changed by path, as `--set` does it: what the new tree holds, where its values say they come
 * from, and what a wrong path or value is told. Fails if the old tree changes, if a place that was not named
 * does, or if a position of the file is lost. */
#include "document_rig.h"

struct with_case {
    const char *path, *value, *expected; /* JSON, or the fault as a line */
};

static const char source[] = "budget: {trials: 40, deadline: 2m}\n"
                             "agents:\n"
                             "  - name: a\n"
                             "  - name: b\n"
                             "space:\n";

#define BUDGET "\"budget\":{\"trials\":40,\"deadline\":\"2m\"}"
#define AGENTS "\"agents\":[{\"name\":\"a\"},{\"name\":\"b\"}]"

static const struct with_case cases[] = {
    {"budget.trials", "9", "{\"budget\":{\"trials\":9,\"deadline\":\"2m\"}," AGENTS ",\"space\":null}"},
    {"budget.trials", "", "{\"budget\":{\"trials\":null,\"deadline\":\"2m\"}," AGENTS ",\"space\":null}"},
    {"budget.trials", "{a: [1, x]}",
     "{\"budget\":{\"trials\":{\"a\":[1,\"x\"]},\"deadline\":\"2m\"}," AGENTS ",\"space\":null}"},
    {"budget.target", "0.5",
     "{\"budget\":{\"trials\":40,\"deadline\":\"2m\",\"target\":0.5}," AGENTS ",\"space\":null}"},
    {"budget", "1", "{\"budget\":1," AGENTS ",\"space\":null}"},
    {"agents[1].name", "c", "{" BUDGET ",\"agents\":[{\"name\":\"a\"},{\"name\":\"c\"}],\"space\":null}"},
    {"agents[0]", "x", "{" BUDGET ",\"agents\":[\"x\",{\"name\":\"b\"}],\"space\":null}"},
    {"agents[2]", "x", "{" BUDGET ",\"agents\":[{\"name\":\"a\"},{\"name\":\"b\"},\"x\"],\"space\":null}"},
    {"agents[2].name", "c",
     "{" BUDGET ",\"agents\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}],\"space\":null}"},
    {"space.lr.low", "1e-4", "{" BUDGET "," AGENTS ",\"space\":{\"lr\":{\"low\":0.0001}}}"},
    {"space[0]", "1", "{" BUDGET "," AGENTS ",\"space\":[1]}"},
    {"data[0][0].x", "1", "{" BUDGET "," AGENTS ",\"space\":null,\"data\":[[{\"x\":1}]]}"},
    {"[\"a.b\"][\"c d\"]", "1", "{" BUDGET "," AGENTS ",\"space\":null,\"a.b\":{\"c d\":1}}"},
    {"[\"budget\"].trials", "1", "{\"budget\":{\"trials\":1,\"deadline\":\"2m\"}," AGENTS ",\"space\":null}"},
    {"", "1", "USAGE --set: '' is no path: it is empty"},
    {".a", "1", "USAGE --set: '.a' is no path: a key between dots is missing"},
    {"a..b", "1", "USAGE --set: 'a..b' is no path: a key between dots is missing"},
    {"a.", "1", "USAGE --set: 'a.' is no path: a key between dots is missing"},
    {"a[0]b", "1", "USAGE --set: 'a[0]b' is no path: expected '.' or '[' after ']'"},
    {"a[x]", "1", "USAGE --set: 'a[x]' is no path: expected a number and ']' after '['"},
    {"a[-1]", "1", "USAGE --set: 'a[-1]' is no path: expected a number and ']' after '['"},
    {"a[0", "1", "USAGE --set: 'a[0' is no path: expected a number and ']' after '['"},
    {"a[12345678901234567890]", "1",
     "USAGE --set: 'a[12345678901234567890]' is no path: expected a number and ']' after '['"},
    {"a[\"b]", "1", "USAGE --set: 'a[\"b]' is no path: expected a key and '\"]' after '[\"'"},
    {"a[\"\"]", "1", "USAGE --set: 'a[\"\"]' is no path: expected a key and '\"]' after '[\"'"},
    {"agents[3]", "x", "INVALID --set: agents[3]: the list has 2 items; the next one is [2]"},
    {"agents.name", "x", "INVALID --set: agents.name: expected a map at agents, found a list of 2"},
    {"budget[0]", "x", "INVALID --set: budget[0]: expected a list at budget, found a map"},
    {"[0]", "x", "INVALID --set: [0]: expected a list at the top, found a map"},
    {"budget.trials.x", "1",
     "INVALID --set: budget.trials.x: expected a map at budget.trials, found the integer 40"},
    {"data[1]", "1", "INVALID --set: data[1]: a new list begins with [0]"},
    {"budget.trials", "[1",
     "SYNTAX --set: budget.trials: '[1': expected ',' or ']' while parsing a flow "
     "sequence that begins on line 1"},
    {"budget.trials", "{a: 1, a: 2}",
     "SYNTAX --set: budget.trials: '{a: 1, a: 2}': the key 'a' stands twice "
     "in this map, first on line 1"},
    {"budget.trials", "&x 1",
     "SYNTAX --set: budget.trials: '&x 1': anchors are not supported; found &x, write the value out"},
};

static void changes_and_refusals(void **state) {
    (void)state;
    struct document *document = parsed(document_parse_yaml, source);
    struct buffer before, after;
    (void)written(document, &before);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct document *changed = NULL;
        struct fault fault = {0};
        enum troupe_error error = document_with(document, cases[i].path, cases[i].value, &changed, &fault);
        if (error == TROUPE_OK) {
            assert_string_equal(written(changed, &after), cases[i].expected);
            buffer_free(&after);
            document_free(changed);
        } else {
            assert_null(changed);
            assert_int_equal(fault.error, error);
            assert_string_equal(fault_line(&fault), cases[i].expected);
            assert_int_equal(document_with(document, cases[i].path, cases[i].value, &changed, NULL), error);
        }
        assert_string_equal(written(document, &after), buffer_string(&before));
        buffer_free(&after);
    }
    buffer_free(&before);
    document_free(document);
    assert_int_equal(document_account()->bytes, 0);
}

/* What came from the file keeps its line; what was set says so, also after a second change. */
static void values_say_where_they_come_from(void **state) {
    (void)state;
    struct document *first = parsed(document_parse_yaml, source), *second = NULL, *third = NULL;
    assert_int_equal(document_with(first, "budget.trials", "{n: many}", &second, NULL), TROUPE_OK);
    assert_int_equal(document_with(second, "agents[2].name", "c", &third, NULL), TROUPE_OK);
    document_free(first);
    document_free(second); /* a copy owes nothing to what it was made from */
    const struct node *root = document_root(third);
    const struct node *budget = node_get(root, "budget");
    struct fault fault = {0};
    int64_t value;
    assert_int_equal(node_read_int(node_get(node_get(budget, "trials"), "n"), 1, 9, &value, &fault),
                     TROUPE_INVALID);
    assert_string_equal(fault_line(&fault), "INVALID --set: budget.trials.n: expected an integer in 1..9, "
                                            "found the string 'many'");
    assert_int_equal(node_read_int(node_get(budget, "deadline"), 1, 9, &value, &fault), TROUPE_INVALID);
    assert_string_equal(fault_line(&fault), "INVALID f:1:22: budget.deadline: expected an integer in 1..9, "
                                            "found the string '2m'");
    const struct node *agents = node_get(root, "agents");
    assert_int_equal(node_line(node_at(agents, 1)), 4);
    assert_int_equal(node_read_int(node_get(node_at(agents, 2), "name"), 1, 9, &value, &fault),
                     TROUPE_INVALID);
    assert_string_equal(fault.where, "--set");
    assert_int_equal(node_read_int(node_get(node_at(agents, 1), "name"), 1, 9, &value, &fault),
                     TROUPE_INVALID);
    assert_string_equal(fault.where, "f:4:5");
    document_free(third);
    assert_int_equal(document_account()->bytes, 0);
}

static void depth_is_bounded(void **state) {
    (void)state;
    struct document *document = parsed(document_parse_yaml, "a: 1"), *changed = NULL;
    struct fault fault = {0};
    char path[4 * 102] = "x";
    for (unsigned steps = 1; steps < DOCUMENT_DEPTH_MAX; steps++)
        strcat(path, ".x");
    assert_int_equal(document_with(document, path, "1", &changed, &fault), TROUPE_OK);
    char shown[512];
    const struct node *node = document_root(changed);
    for (unsigned steps = 0; steps < DOCUMENT_DEPTH_MAX; steps++)
        node = node_get(node, "x");
    assert_string_equal(node_path(node, shown, sizeof(shown)), path);
    document_free(changed);
    changed = NULL;
    assert_int_equal(document_with(document, path, "[]", &changed, &fault), TROUPE_LIMIT);
    assert_string_equal(fault_line(&fault), "LIMIT --set: nested deeper than 100 levels");
    strcat(path, ".x");
    assert_int_equal(document_with(document, path, "1", &changed, &fault), TROUPE_USAGE);
    assert_non_null(strstr(fault.text, "it is too deep"));
    assert_null(changed);
    document_free(document);
    assert_int_equal(document_account()->bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_and_refusals),
        cmocka_unit_test(values_say_where_they_come_from),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
