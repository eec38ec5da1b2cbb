/* Strict JSON by table, and by round trip of random trees: what the writer writes is read back as the same
 * tree, whatever bytes the strings hold. Fails if the parser grows lenient, if a position is off by a
 * character, or if a value changes on its way through. */
#include "document_trees.h"

#define CASE(text, expected)                                                                                 \
    { text, sizeof(text) - 1, expected }

struct json_case {
    const char *text;
    size_t length;
    const char *expected;
};

static void run(const struct json_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_parses_as(document_parse_json, cases[i].text, cases[i].length, cases[i].expected);
}

static void accepted(void **state) {
    (void)state;
    static const struct json_case cases[] = {
        CASE("null", "null"),
        CASE(" \t\r\n true \n", "true"),
        CASE("\xef\xbb\xbf[1]", "[1]"),
        CASE("{}", "{}"),
        CASE("[ ]", "[]"),
        CASE("{\"a\":{\"b\":[[],[{}]]},\"c\":\"\"}", "{\"a\":{\"b\":[[],[{}]]},\"c\":\"\"}"),
        CASE("[0,-0,-1,10,9223372036854775807,-9223372036854775808]",
             "[0,0,-1,10,9223372036854775807,-9223372036854775808]"),
        CASE("[9223372036854775808,1e400,-1e400]", "[9.223372036854776e+18,null,null]"),
        CASE("[0.5,1e3,1E+3,1e-3,-0.0,1.0]", "[0.5,1000.0,1000.0,0.001,-0.0,1.0]"),
        CASE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""),
        CASE("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
        CASE("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
             "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\\u007f\""),
        CASE("\"a\\u0000b\"", "\"a\\u0000b\""),
        CASE("{\"\":1,\" \":2}", "{\"\":1,\" \":2}"),
    };
    run(cases, ARRAY_COUNT(cases));
}

static void refused(void **state) {
    (void)state;
    static const struct json_case cases[] = {
        CASE("", "SYNTAX f:1:1: expected a value, found the end of the text"),
        CASE("  \n ", "SYNTAX f:2:2: expected a value, found the end of the text"),
        CASE("[1,]", "SYNTAX f:1:4: expected a value after ',', found ']'"),
        CASE("{\"a\":1,}", "SYNTAX f:1:8: expected a key after ',', found '}'"),
        CASE("[1 2]", "SYNTAX f:1:4: expected ',' or ']', found '2'"),
        CASE("[1", "SYNTAX f:1:3: expected ',' or ']', found the end of the text"),
        CASE("[1}", "SYNTAX f:1:3: expected ',' or ']', found '}'"),
        CASE("{\"a\" 1}", "SYNTAX f:1:6: expected ':' after the key, found '1'"),
        CASE("{a:1}", "SYNTAX f:1:2: expected a key in '\"' quotes, found 'a'"),
        CASE("{1:1}", "SYNTAX f:1:2: expected a key in '\"' quotes, found '1'"),
        CASE("{\"a\":}", "SYNTAX f:1:6: expected a value, found '}'"),
        CASE("{", "SYNTAX f:1:2: expected a key in '\"' quotes, found the end of the text"),
        CASE("1 2", "SYNTAX f:1:3: expected nothing after the value, found '2'"),
        CASE("]", "SYNTAX f:1:1: expected a value, found ']'"),
        CASE("'a'", "SYNTAX f:1:1: expected a value (JSON strings take \" quotes), found '''"),
        CASE("NaN", "SYNTAX f:1:1: expected a value (JSON has no NaN or Infinity), found 'N'"),
        CASE("-Infinity", "SYNTAX f:1:2: expected a digit, found 'I'"),
        CASE("nul", "SYNTAX f:1:1: expected a value, found 'n'"),
        CASE("nullx", "SYNTAX f:1:5: expected nothing after the value, found 'x'"),
        CASE("True", "SYNTAX f:1:1: expected a value, found 'T'"),
        CASE("// c\n1", "SYNTAX f:1:1: expected a value, found '/'"),
        CASE("01", "SYNTAX f:1:3: a number may not begin with zeros"),
        CASE("-", "SYNTAX f:1:2: expected a digit, found the end of the text"),
        CASE("+1", "SYNTAX f:1:1: expected a value, found '+'"),
        CASE(".5", "SYNTAX f:1:1: expected a value, found '.'"),
        CASE("1.", "SYNTAX f:1:3: expected a digit after '.', found the end of the text"),
        CASE("1.e3", "SYNTAX f:1:3: expected a digit after '.', found 'e'"),
        CASE("1e+", "SYNTAX f:1:4: expected a digit of the exponent, found the end of the text"),
        CASE("0x10", "SYNTAX f:1:2: expected nothing after the value, found 'x'"),
        CASE("\"abc", "SYNTAX f:1:5: expected '\"' to close the string, found the end of the text"),
        CASE("\"a\nb\"", "SYNTAX f:1:3: the control character 0x0a must be escaped in a string"),
        CASE("\"a\\x\"", "SYNTAX f:1:4: expected one of \" \\ / b f n r t u after '\\', found 'x'"),
        CASE("\"a\\",
             "SYNTAX f:1:4: expected one of \" \\ / b f n r t u after '\\', found the end of the text"),
        CASE("\"\\\0\"", "SYNTAX f:1:3: expected one of \" \\ / b f n r t u after '\\', found the byte 0x00"),
        CASE("\"\\u12g4\"", "SYNTAX f:1:2: '\\u12g4' is no character"),
        CASE("\"\\u12\"", "SYNTAX f:1:2: '\\u12' is no character"),
        CASE("\"x\\ud800\"", "SYNTAX f:1:3: '\\ud800' is half of a surrogate pair"),
        CASE("\"\\udc00\\ud800\"", "SYNTAX f:1:2: '\\udc00' is half of a surrogate pair"),
        CASE("\"\xc3\xa9\\ud800\\u0041\"", "SYNTAX f:1:3: '\\ud800' is half of a surrogate pair"),
        CASE("\"\xff\"", "SYNTAX f:1:2: the byte 0xff is not valid UTF-8"),
        CASE("[\"\xc3\xa9\", \xff]", "SYNTAX f:1:7: expected a value, found the byte 0xff"),
        CASE("\"\xed\xa0\x80\"", "SYNTAX f:1:2: the byte 0xed is not valid UTF-8"),
        CASE("\"\xc0\x80\"", "SYNTAX f:1:2: the byte 0xc0 is not valid UTF-8"),
        CASE("\"\xe2\x82", "SYNTAX f:1:2: the byte 0xe2 is not valid UTF-8"),
        CASE("[1,\0]", "SYNTAX f:1:4: expected a value, found the byte 0x00"),
        CASE("{\"a\":1,\n\"a\":2}", "SYNTAX f:2:1: the key 'a' stands twice in this map, first on line 1"),
        CASE("{\"a\":1,\"\\u0061\":2}",
             "SYNTAX f:1:8: the key 'a' stands twice in this map, first on line 1"),
        CASE("{\"a\\u0000\":1}", "SYNTAX f:1:2: a key may not hold a NUL character"),
    };
    run(cases, ARRAY_COUNT(cases));
}

static void positions(void **state) {
    (void)state;
    struct document *document = parsed(
        document_parse_json, "{\n  \"\xc3\xa9\xe2\x82\xac\": [ \"\xf0\x9f\x98\x80\", 7,\n\t{\"k\": null} ]}");
    const struct node *list = node_at(document_root(document), 0), *map = node_at(list, 2);
    const struct node *nodes[] = {document_root(document), list, node_at(list, 0),
                                  node_at(list, 1),        map,  node_at(map, 0)};
    static const unsigned expected[][2] = {{1, 1}, {2, 3}, {2, 11}, {2, 16}, {3, 2}, {3, 3}};
    for (size_t i = 0; i < ARRAY_COUNT(nodes); i++) {
        assert_int_equal(node_line(nodes[i]), expected[i][0]);
        assert_int_equal(node_column(nodes[i]), expected[i][1]);
    }
    document_free(document);
}

static void bounds(void **state) {
    (void)state;
    struct document *document = NULL;
    struct fault fault;
    char nested[220];
    for (size_t depth = 64; depth <= 65; depth++) {
        memset(nested, '[', depth);
        memset(nested + depth, ']', depth);
        enum troupe_error error = document_parse_json(nested, 2 * depth, "f", NULL, &document, &fault);
        assert_int_equal(error, depth == 64 ? TROUPE_OK : TROUPE_LIMIT);
        if (error == TROUPE_OK) {
            struct buffer out; /* the writer takes what the parser takes */
            assert_int_equal(strlen(written(document, &out)), 128);
            buffer_free(&out);
            document_free(document);
        }
    }
    assert_string_equal(fault_line(&fault), "LIMIT f:1:65: nested deeper than 64 levels");
    struct document_limits limits = {.bytes_max = 4, .nodes_max = 2};
    assert_int_equal(document_parse_json("[1,2]", 5, "f", &limits, &document, &fault), TROUPE_LIMIT);
    assert_int_equal(document_parse_json("[1]", 3, "f", &limits, &document, &fault), TROUPE_OK);
    document_free(document);
    limits.bytes_max = 5;
    assert_int_equal(document_parse_json("[1,2]", 5, "f", &limits, &document, NULL), TROUPE_LIMIT);
    assert_int_equal(document_account()->bytes, 0);
}

static void random_trees_read_back(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct random_stream random;
        struct buffer text, again;
        struct json json;
        random_seed(&random, seed, 4);
        buffer_init(&text, &account, 0);
        json_init(&json, &text);
        random_value(&random, &json, 0);
        struct document *first = parsed_n(document_parse_json, buffer_string(&text), text.length);
        assert_string_equal(written(first, &again), buffer_string(&text));
        struct document *second = parsed_n(document_parse_json, buffer_string(&again), again.length);
        assert_true(same_tree(document_root(first), document_root(second)));
        document_free(first);
        document_free(second);
        buffer_free(&text);
        buffer_free(&again);
    }
    assert_int_equal(account.bytes, 0);
    assert_int_equal(document_account()->bytes, 0);
}

/* One byte changed, removed or doubled in valid JSON: never a crash, and what is still accepted reads back.
 */
static void damaged_text(void **state) {
    (void)state;
    static const char whole[] =
        "{\"a\":[1,-2.5e3,true,null],\"b\\u00e9\":{\"c\":\"x\\ny\\ud83d\\ude00\"},\"d\":\"\xe2\x82\xac\"}";
    struct random_stream random;
    random_seed(&random, 8, 0);
    unsigned accepted_count = 0;
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
        struct buffer out;
        if (document_parse_json(exact, length, "f", NULL, &document, &fault) == TROUPE_OK) {
            accepted_count++;
            (void)written(document, &out);
            struct document *again = parsed_n(document_parse_json, buffer_string(&out), out.length);
            assert_true(same_tree(document_root(document), document_root(again)));
            document_free(again);
            buffer_free(&out);
        } else {
            assert_true(fault.where[0] == 'f' && fault.text[0] != '\0');
        }
        document_free(document);
        free(exact);
    }
    assert_in_range(accepted_count, 1000, 19000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(positions),
        cmocka_unit_test(bounds),
        cmocka_unit_test(random_trees_read_back),
        cmocka_unit_test(damaged_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
