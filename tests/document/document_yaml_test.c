/* YAML by table: what each text means, and what each wrong text is told, word for word. Fails if a scalar
 * changes its type, if something refused is let in, or if a message loses its place or its advice. */
#include "document_trees.h"

#define CASE(text, expected)                                                                                 \
    { text, sizeof(text) - 1, expected }

struct yaml_case {
    const char *text;
    size_t length;
    const char *expected;
};

static void run(const struct yaml_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_parses_as(document_parse_yaml, cases[i].text, cases[i].length, cases[i].expected);
}

static void structure(void **state) {
    (void)state;
    static const struct yaml_case cases[] = {
        CASE("", "null"),
        CASE("# nothing but a comment\n", "null"),
        CASE("---\n...\n", "null"),
        CASE("a: 1\nb:\n  c: [1, two, {d: 3}]\n", "{\"a\":1,\"b\":{\"c\":[1,\"two\",{\"d\":3}]}}"),
        CASE("- 1\n-\n- - x\n", "[1,null,[\"x\"]]"),
        CASE("{}", "{}"),
        CASE("[]", "[]"),
        CASE("a:\n", "{\"a\":null}"),
        CASE("{a}", "{\"a\":null}"),
        CASE("[a: 1]", "[{\"a\":1}]"),
        CASE("? a\n: b\n", "{\"a\":\"b\"}"),
        CASE("true: 1\n2: x\n'': y\n", "{\"true\":1,\"2\":\"x\",\"\":\"y\"}"),
        CASE("text: |\n  two\n  lines\nfolded: >-\n  one\n  line\n",
             "{\"text\":\"two\\nlines\\n\",\"folded\":\"one line\"}"),
        CASE("%YAML 1.1\n---\na: 1\n", "{\"a\":1}"),
        CASE("\xef\xbb\xbf"
             "a: 1\n",
             "{\"a\":1}"),
        CASE("\xff\xfe"
             "a\0:\0 \0"
             "1\0",
             "{\"a\":1}"),
        CASE("a: 1 # why\n", "{\"a\":1}"),
        CASE("a: x#y\n", "{\"a\":\"x#y\"}"),
        CASE("\xc3\xa9t\xc3\xa9: \xe2\x82\xac\n", "{\"\xc3\xa9t\xc3\xa9\":\"\xe2\x82\xac\"}"),
        CASE("a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}"),
    };
    run(cases, ARRAY_COUNT(cases));
}

/* YAML 1.2.2, 10.3.2: the core schema, and what YAML 1.1 would have made of it otherwise. */
static void scalars(void **state) {
    (void)state;
    static const struct yaml_case cases[] = {
        CASE("[null, Null, NULL, ~, ]", "[null,null,null,null]"),
        CASE("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]"),
        CASE("[yes, no, on, off, y, n, tRUE, nULL]",
             "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\",\"tRUE\",\"nULL\"]"),
        CASE("[0, -1, +7, 007, 0o17, 0xfF]", "[0,-1,7,7,15,255]"),
        CASE("[0o8, 0xg, 0b1, 0o, 0x, -0x1, 1_000, '1']",
             "[\"0o8\",\"0xg\",\"0b1\",\"0o\",\"0x\",\"-0x1\",\"1_000\",\"1\"]"),
        CASE("[9223372036854775807, -9223372036854775808]", "[9223372036854775807,-9223372036854775808]"),
        CASE("[9223372036854775808, 0x10000000000000000, 0o2000000000000000000000]",
             "[9.223372036854776e+18,1.8446744073709552e+19,1.8446744073709552e+19]"),
        CASE("[1.5, .5, 5., 1e3, -1E-3, 0.0, -0.0]", "[1.5,0.5,5.0,1000.0,-0.001,0.0,-0.0]"),
        CASE("[.inf, -.Inf, +.INF, .nan, .NaN]", "[null,null,null,null,null]"),
        CASE("[inf, nan, -.nan, ., -, +, e5, 1e, 1.2.3, 1:30, 2024-01-01]",
             "[\"inf\",\"nan\",\"-.nan\",\".\",\"-\",\"+\",\"e5\",\"1e\",\"1.2.3\",\"1:30\",\"2024-01-01\"]"),
        CASE("['true', \"null\", '', \"\\u00e9\\n\", 'it''s']",
             "[\"true\",\"null\",\"\",\"\xc3\xa9\\n\",\"it's\"]"),
        CASE("\"a\\0b\"", "\"a\\u0000b\""),
        CASE("log(1e-4,1e-1)", "\"log(1e-4,1e-1)\""),
    };
    run(cases, ARRAY_COUNT(cases));
}

static void refused(void **state) {
    (void)state;
    static const struct yaml_case cases[] = {
        CASE("a: 1\nb: 2\na: 3\n", "SYNTAX f:3:1: the key 'a' stands twice in this map, first on line 1"),
        CASE("x: {a: 1, b: 2, a: 3}", "SYNTAX f:1:17: the key 'a' stands twice in this map, first on line 1"),
        CASE("a: 1\n'a': 2\n", "SYNTAX f:2:1: the key 'a' stands twice in this map, first on line 1"),
        CASE("{a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, c: 10, a: 11, c: 12}",
             "SYNTAX f:1:56: the key 'c' stands twice in this map, first on line 1"),
        CASE("a: &x 1\n", "SYNTAX f:1:4: anchors are not supported; found &x, write the value out"),
        CASE("a: *x\n", "SYNTAX f:1:4: aliases are not supported; found *x"),
        CASE("a: &x {b: 1}\n", "SYNTAX f:1:4: anchors are not supported; found &x, write the value out"),
        CASE("a: !!str 1\n", "SYNTAX f:1:4: tags are not supported; found tag:yaml.org,2002:str"),
        CASE("a: !!map {}\n", "SYNTAX f:1:4: tags are not supported; found tag:yaml.org,2002:map"),
        CASE("a: !x [1]\n", "SYNTAX f:1:4: tags are not supported; found !x"),
        CASE("<<: {a: 1}\n", "SYNTAX f:1:1: merge keys (<<) are not supported"),
        CASE(": 1\n",
             "SYNTAX f:1:1: expected key while parsing a block mapping that begins on line 1 (check the "
             "indentation)"),
        CASE("{: 1}\n",
             "SYNTAX f:1:2: expected node content while parsing a flow node that begins on line 1"),
        CASE("? \n: 1\n", "SYNTAX f:1:2: expected a key before ':'"),
        CASE("{a: 1}: 2\n", "SYNTAX f:1:1: a map cannot be a key; quote it to make it text"),
        CASE("? [a]\n: 2\n", "SYNTAX f:1:3: a list cannot be a key; quote it to make it text"),
        CASE("\"a\\0b\": 1", "SYNTAX f:1:1: a key may not hold a NUL character"),
        CASE("a: 1\n---\nb: 2\n", "SYNTAX f:2:1: expected one document, found a second one"),
        CASE("a:\n\tb: 1\n", "SYNTAX f:2:1: found character that cannot start any token (YAML is indented "
                             "with spaces, not tabs)"),
        CASE("a: @b\n",
             "SYNTAX f:1:4: found character that cannot start any token (quote a value that begins with "
             "a special character)"),
        CASE("a: b: c\n",
             "SYNTAX f:1:5: mapping values are not allowed in this context (quote a value that holds "
             "': ', and check the indentation)"),
        CASE("a:\n  b: 1\n c: 2\n",
             "SYNTAX f:3:2: expected key while parsing a block mapping that begins on line 1 "
             "(check the indentation)"),
        CASE("a: [1,\nb: 2\n",
             "SYNTAX f:3:1: expected ',' or ']' while parsing a flow sequence that begins on line 1"),
        CASE("a: \"x\nb: 2\n", "SYNTAX f:3:1: found unexpected end of stream while scanning a quoted scalar "
                               "that begins on line 1"),
        CASE("key\nother\n: 2\n", "SYNTAX f:3:1: expected nothing after the value (check the indentation)"),
        CASE("a: \xff\n", "SYNTAX f:1:4: invalid leading UTF-8 octet (0xff)"),
        CASE("a: b\nb: \x01\n", "SYNTAX f:2:4: control characters are not allowed (0x01)"),
        CASE("%FOO\n---\n",
             "SYNTAX f:1:5: found unknown directive name while scanning a directive that begins on line 1"),
    };
    run(cases, ARRAY_COUNT(cases));
}

static void positions_and_paths(void **state) {
    (void)state;
    struct document *document = parsed(
        document_parse_yaml, "stages:\n  train:\n    needs: [a, \xc3\xa9, {b.c: 1}]\n  \"x y\":\n    - 1\n");
    const struct node *train = node_get(node_get(document_root(document), "stages"), "train");
    const struct node *needs = node_get(train, "needs"), *deep = node_get(node_at(needs, 2), "b.c");
    static const struct {
        unsigned line, column;
        const char *path;
    } expected[] = {{2, 3, "stages.train"},
                    {3, 5, "stages.train.needs"},
                    {3, 16, "stages.train.needs[1]"},
                    {3, 20, "stages.train.needs[2][\"b.c\"]"}};
    const struct node *nodes[] = {train, needs, node_at(needs, 1), deep};
    for (size_t i = 0; i < ARRAY_COUNT(nodes); i++) {
        char path[100];
        assert_int_equal(node_line(nodes[i]), expected[i].line);
        assert_int_equal(node_column(nodes[i]), expected[i].column);
        assert_string_equal(node_path(nodes[i], path, sizeof(path)), expected[i].path);
    }
    char path[100], little[12];
    const struct node *spaced = node_get(node_get(document_root(document), "stages"), "x y");
    assert_string_equal(node_path(node_at(spaced, 0), path, sizeof(path)), "stages[\"x y\"][0]");
    assert_string_equal(node_path(document_root(document), path, sizeof(path)), "");
    assert_string_equal(node_path(NULL, path, sizeof(path)), "");
    assert_string_equal(node_path(deep, little, sizeof(little)), "stages.t...");
    document_free(document);
}

static void bounds(void **state) {
    (void)state;
    struct document *document = NULL;
    struct fault fault;
    struct document_limits limits = {.bytes_max = 10};
    assert_int_equal(document_parse_yaml("[1, 2, 34]", 10, "f", &limits, &document, &fault), TROUPE_OK);
    document_free(document);
    assert_int_equal(document_parse_yaml("[1, 2, 345]", 11, "f", &limits, &document, &fault), TROUPE_LIMIT);
    assert_string_equal(fault_line(&fault), "LIMIT f: longer than 10 bytes");
    limits = (struct document_limits){.nodes_max = 3};
    assert_int_equal(document_parse_yaml("[1, 2]", 6, "f", &limits, &document, &fault), TROUPE_OK);
    document_free(document);
    assert_int_equal(document_parse_yaml("[1, 2, 3]", 9, "f", &limits, &document, &fault), TROUPE_LIMIT);
    assert_string_equal(fault_line(&fault), "LIMIT f:1:8: more than 3 values");
    limits = (struct document_limits){.depth_max = 2};
    assert_int_equal(document_parse_yaml("[[1]]", 5, "f", &limits, &document, &fault), TROUPE_OK);
    document_free(document);
    assert_int_equal(document_parse_yaml("[[[]]]", 6, "f", &limits, &document, &fault), TROUPE_LIMIT);
    assert_string_equal(fault_line(&fault), "LIMIT f:1:3: nested deeper than 2 levels");
    /* The default depth, and a flood of brackets: refused at the first too many. */
    char flood[100000];
    memset(flood, '[', sizeof(flood));
    assert_int_equal(document_parse_yaml(flood, sizeof(flood), "f", NULL, &document, &fault), TROUPE_LIMIT);
    assert_string_equal(fault_line(&fault), "LIMIT f:1:65: nested deeper than 64 levels");
    assert_int_equal(document_account()->bytes, 0);
}

/* Any tree in any mixture of block and flow, quoted and plain, means what its JSON means. */
static void random_trees_read_as_their_json(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct random_stream random;
        struct buffer json_text, yaml_text;
        struct json json;
        random_seed(&random, seed, 5);
        buffer_init(&json_text, &account, 0);
        buffer_init(&yaml_text, &account, 0);
        json_init(&json, &json_text);
        random_value(&random, &json, 0);
        struct document *meant = parsed_n(document_parse_json, buffer_string(&json_text), json_text.length);
        buffer_text(&yaml_text, seed % 2 == 0 ? "---" : "# a comment\n---");
        yaml_block(&random, &yaml_text, document_root(meant), 0);
        struct document *read = parsed_n(document_parse_yaml, buffer_string(&yaml_text), yaml_text.length);
        if (!same_tree(document_root(meant), document_root(read)))
            fail_msg("seed %d: %s\nread from\n%s", (int)seed, buffer_string(&json_text),
                     buffer_string(&yaml_text));
        document_free(meant);
        document_free(read);
        buffer_free(&json_text);
        buffer_free(&yaml_text);
    }
    assert_int_equal(account.bytes, 0);
    assert_int_equal(document_account()->bytes, 0);
}

/* A byte changed, removed or doubled: never a crash, a leak or a fault without a place. */
static void damaged_text(void **state) {
    (void)state;
    static const char whole[] =
        "a:\n  - [1, 'x', \"\\u00e9\", {b: ~}]\n  - |\n    text\n    more\n? c\n: >-\n  "
        "d\n\xc3\xa9: .inf # end\n";
    struct random_stream random;
    random_seed(&random, 9, 0);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof(whole) + 4];
        size_t length = sizeof(whole) - 1, at = (size_t)random_below(&random, length);
        memcpy(text, whole, length);
        switch (random_below(&random, 3)) {
        case 0:
            text[at] = (char)random_u64(&random);
            break;
        case 1:
            memmove(text + at, text + at + 1, --length - at);
            break;
        default:
            memmove(text + at + 1, text + at, length++ - at);
        }
        char *exact = malloc(length); /* so that a sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, text, length);
        struct document *document = NULL;
        struct fault fault = {0};
        if (document_parse_yaml(exact, length, "f", NULL, &document, &fault) != TROUPE_OK)
            assert_true(fault.where[0] == 'f' && fault.text[0] != '\0');
        document_free(document);
        free(exact);
    }
    assert_int_equal(document_account()->bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),    cmocka_unit_test(scalars),
        cmocka_unit_test(refused),      cmocka_unit_test(positions_and_paths),
        cmocka_unit_test(bounds),       cmocka_unit_test(random_trees_read_as_their_json),
        cmocka_unit_test(damaged_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
