/* The checked readers and what they tell a person: for each, what it takes, what it refuses, word for word.
 * Fails if a wrong value passes, if an absent one overwrites a default, or if a message loses position, path,
 * what was expected or what was found. */
#include "document_rig.h"

#include <math.h>

static const char source[] = "truth: true\n"
                             "count: 12\n"
                             "ratio: 0.25\n"
                             "far: .inf\n"
                             "name: digits\n"
                             "quoted: '12'\n"
                             "quoted_real: \"1.5\"\n"
                             "wait: 1m30s\n"
                             "size: 64KiB\n"
                             "nothing:\n"
                             "list: [1, 2]\n"
                             "empty: []\n"
                             "map: {a: 1}\n"
                             "hole: \"a\\0b\"\n"
                             "deep:\n"
                             "  stages:\n"
                             "    - needs: maybe\n"
                             "long: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee\n"
                             "negative: -3\n";

enum reader { READ_BOOL, READ_INT, READ_REAL, READ_STRING, READ_DURATION, READ_BYTES };

struct read_case {
    enum reader reader;
    const char *key;
    const char *expected; /* the value as text, or the fault as a line */
};

static enum troupe_error read_as_text(enum reader reader, const struct node *node, struct fault *fault,
                                      char out[64]) {
    bool truth = false;
    int64_t integer = 0;
    double real = 0;
    const char *text = NULL;
    enum troupe_error error = TROUPE_INTERNAL;
    switch (reader) {
    case READ_BOOL:
        error = node_read_bool(node, &truth, fault);
        snprintf(out, 64, "%s", truth ? "true" : "false");
        break;
    case READ_INT:
        error = node_read_int(node, 1, 100, &integer, fault);
        snprintf(out, 64, "%lld", (long long)integer);
        break;
    case READ_REAL:
        error = node_read_real(node, &real, fault);
        snprintf(out, 64, "%g", real);
        break;
    case READ_STRING:
        error = node_read_string(node, &text, fault);
        snprintf(out, 64, "%s", text == NULL ? "" : text);
        break;
    case READ_DURATION:
        error = node_read_duration(node, &integer, fault);
        snprintf(out, 64, "%lld", (long long)integer);
        break;
    case READ_BYTES:
        error = node_read_bytes(node, &integer, fault);
        snprintf(out, 64, "%lld", (long long)integer);
        break;
    }
    return error;
}

#define DURATION_EXPECTED                                                                                    \
    "expected a duration such as 500ms, 30s, 2m or 1h30m (a number alone is seconds), found "
#define BYTES_EXPECTED "expected a size such as 64KiB, 1MiB, 8GiB or 10MB (a number alone is bytes), found "

static const struct read_case cases[] = {
    {READ_BOOL, "truth", "true"},
    {READ_BOOL, "count", "INVALID f:2:1: count: expected true or false, found the integer 12"},
    {READ_BOOL, "name", "INVALID f:5:1: name: expected true or false, found the string 'digits'"},
    {READ_BOOL, "nothing", "INVALID f:10:1: nothing: expected true or false, found nothing"},
    {READ_INT, "count", "12"},
    {READ_INT, "ratio", "INVALID f:3:1: ratio: expected an integer in 1..100, found the number 0.25"},
    {READ_INT, "negative", "INVALID f:19:1: negative: expected an integer in 1..100, found the integer -3"},
    {READ_INT, "quoted",
     "INVALID f:6:1: quoted: expected an integer in 1..100, found the string '12' (write it without quotes)"},
    {READ_INT, "list", "INVALID f:11:1: list: expected an integer in 1..100, found a list of 2"},
    {READ_INT, "empty", "INVALID f:12:1: empty: expected an integer in 1..100, found an empty list"},
    {READ_REAL, "ratio", "0.25"},
    {READ_REAL, "count", "12"},
    {READ_REAL, "far", "INVALID f:4:1: far: expected a finite number, found the number .inf"},
    {READ_REAL, "quoted_real",
     "INVALID f:7:1: quoted_real: expected a number, found the string '1.5' (write it without quotes)"},
    {READ_REAL, "name", "INVALID f:5:1: name: expected a number, found the string 'digits'"},
    {READ_REAL, "truth", "INVALID f:1:1: truth: expected a number, found true"},
    {READ_STRING, "name", "digits"},
    {READ_STRING, "count",
     "INVALID f:2:1: count: expected a string, found the integer 12 (quote it to make it a string)"},
    {READ_STRING, "truth",
     "INVALID f:1:1: truth: expected a string, found true (quote it to make it a string)"},
    {READ_STRING, "map", "INVALID f:13:1: map: expected a string, found a map"},
    {READ_STRING, "nothing", "INVALID f:10:1: nothing: expected a string, found nothing"},
    {READ_STRING, "hole",
     "INVALID f:14:1: hole: expected a string without NUL characters, found the string 'a?b'"},
    {READ_DURATION, "wait", "90000000000"},
    {READ_DURATION, "count", "12000000000"},
    {READ_DURATION, "ratio", "250000000"},
    {READ_DURATION, "name", "INVALID f:5:1: name: " DURATION_EXPECTED "the string 'digits'"},
    {READ_DURATION, "negative", "INVALID f:19:1: negative: " DURATION_EXPECTED "the integer -3"},
    {READ_DURATION, "hole", "INVALID f:14:1: hole: " DURATION_EXPECTED "the string 'a?b'"},
    {READ_DURATION, "map", "INVALID f:13:1: map: " DURATION_EXPECTED "a map"},
    {READ_BYTES, "size", "65536"},
    {READ_BYTES, "count", "12"},
    {READ_BYTES, "wait", "INVALID f:8:1: wait: " BYTES_EXPECTED "the string '1m30s'"},
    {READ_BYTES, "truth", "INVALID f:1:1: truth: " BYTES_EXPECTED "true"},
    {READ_BYTES, "long",
     "INVALID f:18:1: long: " BYTES_EXPECTED "the string 'aaaaaaaaaabbbbbbbbbbccccccccccddddddd...'"},
};

static void values_and_refusals(void **state) {
    (void)state;
    struct document *document = parsed(document_parse_yaml, source);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fault fault = {0};
        char text[64];
        const struct node *node = node_get(document_root(document), cases[i].key);
        assert_non_null(node);
        enum troupe_error error = read_as_text(cases[i].reader, node, &fault, text);
        assert_string_equal(error == TROUPE_OK ? text : fault_line(&fault), cases[i].expected);
        assert_int_equal(read_as_text(cases[i].reader, node, NULL, text), error); /* a fault is optional */
    }
    struct fault fault = {0};
    bool truth = false;
    const struct node *stages = node_get(node_get(document_root(document), "deep"), "stages");
    assert_int_equal(node_read_bool(node_get(node_at(stages, 0), "needs"), &truth, &fault), TROUPE_INVALID);
    assert_string_equal(fault_line(&fault), "INVALID f:17:7: deep.stages[0].needs: expected true or false, "
                                            "found the string 'maybe'");
    document_free(document);
    assert_int_equal(document_account()->bytes, 0);
}

static void absent_values_keep_their_defaults(void **state) {
    (void)state;
    bool truth = true;
    int64_t integer = 7;
    double real = 0.5;
    const char *text = "as it was";
    assert_int_equal(node_read_bool(NULL, &truth, NULL), TROUPE_OK);
    assert_int_equal(node_read_int(NULL, 0, 1, &integer, NULL), TROUPE_OK);
    assert_int_equal(node_read_duration(NULL, &integer, NULL), TROUPE_OK);
    assert_int_equal(node_read_bytes(NULL, &integer, NULL), TROUPE_OK);
    assert_int_equal(node_read_real(NULL, &real, NULL), TROUPE_OK);
    assert_int_equal(node_read_string(NULL, &text, NULL), TROUPE_OK);
    assert_true(truth && integer == 7 && real == 0.5);
    assert_string_equal(text, "as it was");
    assert_int_equal(node_check_keys(NULL, NULL, 0, NULL), TROUPE_OK);
    char found[96];
    assert_string_equal(node_found(NULL, found), "nothing");
    struct fault fault = {0};
    assert_int_equal(node_fault(NULL, &fault, TROUPE_INVALID, "%s", "nowhere"), TROUPE_INVALID);
    assert_string_equal(fault_line(&fault), "INVALID : nowhere");
}

static void integer_bounds_are_told(void **state) {
    (void)state;
    struct document *document = parsed(document_parse_yaml, "5");
    static const struct {
        int64_t low, high;
        const char *expected;
    } bounds[] = {
        {6, INT64_MAX, "INVALID f:1:1: expected an integer of at least 6, found the integer 5"},
        {INT64_MIN, 4, "INVALID f:1:1: expected an integer of at most 4, found the integer 5"},
        {6, 9, "INVALID f:1:1: expected an integer in 6..9, found the integer 5"},
        {5, 5, NULL},
        {INT64_MIN, INT64_MAX, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        struct fault fault = {0};
        int64_t value = 0;
        enum troupe_error error =
            node_read_int(document_root(document), bounds[i].low, bounds[i].high, &value, &fault);
        assert_int_equal(error, bounds[i].expected == NULL ? TROUPE_OK : TROUPE_INVALID);
        assert_int_equal(value, bounds[i].expected == NULL ? 5 : 0);
        if (bounds[i].expected != NULL)
            assert_string_equal(fault_line(&fault), bounds[i].expected);
    }
    document_free(document);
    document = parsed(document_parse_yaml, "x");
    struct fault fault = {0};
    int64_t value = 0;
    assert_int_equal(node_read_int(document_root(document), INT64_MIN, INT64_MAX, &value, &fault),
                     TROUPE_INVALID);
    assert_string_equal(fault_line(&fault), "INVALID f:1:1: expected an integer, found the string 'x'");
    document_free(document);
}

static void unknown_keys_are_named(void **state) {
    (void)state;
    static const char *const keys[] = {"trials", "deadline", "target"};
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"budget: {trials: 1, target: 2}", NULL},
        {"budget: {}", NULL},
        {"budget: {trials: 1, trails: 2}",
         "INVALID f:1:21: budget: unknown key 'trails'; did you mean 'trials'?"},
        {"budget: {zzz: 2}",
         "INVALID f:1:10: budget: unknown key 'zzz'; allowed here: trials, deadline and target"},
        {"budget: [1]", "INVALID f:1:1: budget: expected a map, found a list of 1"},
        {"budget: 3", "INVALID f:1:1: budget: expected a map, found the integer 3"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct document *document = parsed(document_parse_yaml, rows[i].text);
        struct fault fault = {0};
        enum troupe_error error =
            node_check_keys(node_get(document_root(document), "budget"), keys, ARRAY_COUNT(keys), &fault);
        assert_int_equal(error, rows[i].expected == NULL ? TROUPE_OK : TROUPE_INVALID);
        if (rows[i].expected != NULL)
            assert_string_equal(fault_line(&fault), rows[i].expected);
        document_free(document);
    }
    /* At the top there is no path; and a list of keys that does not fit is cut, not overrun. */
    static const char *many[60];
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = "a_key_with_a_long_name";
    struct document *document = parsed(document_parse_yaml, "q: 1");
    struct fault fault = {0};
    assert_int_equal(node_check_keys(document_root(document), many, ARRAY_COUNT(many), &fault),
                     TROUPE_INVALID);
    assert_memory_equal(fault.text, "unknown key 'q'; allowed here: a_key", 36);
    assert_string_equal(fault.text + strlen(fault.text) - 3, "...");
    document_free(document);
}

static void options_come_from_a_map(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum config_source source;
        const char *expected;
    } rows[] = {
        {"{stop_grace: 10s, agent-restarts-max: 4}", CONFIG_PIPELINE_FILE, NULL},
        {"# only comments", CONFIG_USER_FILE, NULL},
        {"[1]", CONFIG_USER_FILE, "INVALID f:1:1: expected a map of options, found a list of 1"},
        {"{stop_grace: [1]}", CONFIG_USER_FILE,
         "INVALID f:1:2: stop_grace: expected a number or text, found a list of 1"},
        {"{stop_grace: true}", CONFIG_USER_FILE,
         "INVALID f:1:2: stop_grace: expected a number or text, found true"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct document *document = parsed(document_parse_yaml, rows[i].text);
        struct config config;
        struct fault fault = {0};
        config_init(&config);
        enum troupe_error error = node_read_config(document_root(document), rows[i].source, &config, &fault);
        assert_int_equal(error, rows[i].expected == NULL ? TROUPE_OK : TROUPE_INVALID);
        if (rows[i].expected != NULL)
            assert_string_equal(fault_line(&fault), rows[i].expected);
        if (i == 0) {
            assert_int_equal(config_value(&config, OPTION_stop_grace), CONFIG_SECONDS(10));
            assert_int_equal(config_value(&config, OPTION_agent_restarts_max), 4);
            assert_string_equal(config.where[OPTION_stop_grace], "f:1:2");
        }
        document_free(document);
    }
    /* What config itself refuses keeps its place in the file. */
    static const char *const wrong[] = {"{workers: 4}", "{stop_grace: soon}", "{stop_grade: 1s}"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct document *document = parsed(document_parse_yaml, wrong[i]);
        struct config config;
        struct fault fault = {0};
        config_init(&config);
        assert_int_equal(node_read_config(document_root(document), CONFIG_PIPELINE_FILE, &config, &fault),
                         TROUPE_INVALID);
        assert_string_equal(fault.where, "f:1:2");
        document_free(document);
    }
    struct config config;
    config_init(&config);
    assert_int_equal(node_read_config(NULL, CONFIG_USER_FILE, &config, NULL), TROUPE_OK);
}

static void plain_readers(void **state) {
    (void)state;
    struct document *document = parsed(document_parse_yaml, source);
    const struct node *root = document_root(document);
    assert_true(node_bool(node_get(root, "truth")));
    assert_int_equal(node_int(node_get(root, "count")), 12);
    assert_true(node_real(node_get(root, "count")) == 12.0 && isinf(node_real(node_get(root, "far"))));
    assert_int_equal(node_string_length(node_get(root, "hole")), 3);
    assert_memory_equal(node_string(node_get(root, "hole")), "a\0b", 4);
    assert_string_equal(node_text(node_get(root, "ratio")), "0.25");
    assert_null(node_text(node_get(root, "list")));
    assert_null(node_text(NULL));
    assert_int_equal(node_count(node_get(root, "count")), 0);
    assert_null(node_get(root, "absent"));
    assert_null(node_get(node_get(root, "list"), "a"));
    assert_null(node_get(NULL, "a"));
    assert_int_equal(node_kind(NULL), DOCUMENT_NULL);
    assert_int_equal(node_line(NULL) + node_column(NULL), 0);
    static const struct {
        const char *key, *name;
    } kinds[] = {{"nothing", "null"},   {"truth", "true or false"}, {"count", "an integer"},
                 {"ratio", "a number"}, {"name", "a string"},       {"list", "a list"},
                 {"map", "a map"}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        assert_string_equal(node_kind_name(node_get(root, kinds[i].key)), kinds[i].name);
    document_free(document);
    document_free(NULL);
    assert_int_equal(document_account()->bytes, 0);
}

/* More keys than are searched from the front: every one is found, and those between and around them are not.
 */
static void large_maps_are_searched(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (unsigned count = 7; count < 300; count += 13) {
        struct buffer text;
        buffer_init(&text, &account, 0);
        for (unsigned i = 0; i < count; i++) /* in no order */
            buffer_format(&text, "k%03u: %u\n", 2 * (i * 7919 % count), i);
        struct document *document = parsed_n(document_parse_yaml, buffer_string(&text), text.length);
        for (unsigned key = 0; key < 2 * count; key++) {
            char name[16];
            snprintf(name, sizeof(name), "k%03u", key);
            const struct node *node = node_get(document_root(document), name);
            assert_true((node != NULL) == (key % 2 == 0));
        }
        assert_null(node_get(document_root(document), ""));
        assert_null(node_get(document_root(document), "z"));
        document_free(document);
        buffer_free(&text);
    }
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_refusals),     cmocka_unit_test(absent_values_keep_their_defaults),
        cmocka_unit_test(integer_bounds_are_told), cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(options_come_from_a_map), cmocka_unit_test(plain_readers),
        cmocka_unit_test(large_maps_are_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
