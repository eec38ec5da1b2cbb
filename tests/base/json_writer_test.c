/* What the JSON writer puts out, byte for byte. Fails if a comma, an escape or a number form changes; that
 * every output parses is shown in the document floor, by round trip. */
#include "cmocka_base.h"

#include <math.h>

struct writer {
    struct account account;
    struct buffer buffer;
    struct json json;
};

static void begin(struct writer *writer) {
    writer->account = ACCOUNT("test");
    buffer_init(&writer->buffer, &writer->account, 0);
    json_init(&writer->json, &writer->buffer);
}

static void ends_as(struct writer *writer, const char *expected) {
    assert_int_equal(buffer_ok(&writer->buffer), TROUPE_OK);
    assert_int_equal(writer->json.depth, 0);
    assert_string_equal(buffer_string(&writer->buffer), expected);
    buffer_free(&writer->buffer);
    assert_int_equal(writer->account.bytes, 0);
}

static void structure(void **state) {
    (void)state;
    struct writer writer;
    struct json *json = &writer.json;
    begin(&writer);
    json_object_begin(json);
    json_field_string(json, "name", "digits");
    json_field_int(json, "trials", -60);
    json_field_real(json, "share", 0.1);
    json_field_bool(json, "ok", true);
    json_field_raw(json, "raw", "{\"x\":1}", 7);
    json_key(json, "list");
    json_array_begin(json);
    json_int(json, 1);
    json_array_begin(json);
    json_array_end(json);
    json_object_begin(json);
    json_object_end(json);
    json_null(json);
    json_string(json, NULL);
    json_bool(json, false);
    json_array_end(json);
    json_key(json, "");
    json_string(json, "");
    json_object_end(json);
    ends_as(&writer, "{\"name\":\"digits\",\"trials\":-60,\"share\":0.1,\"ok\":true,\"raw\":{\"x\":1},"
                     "\"list\":[1,[],{},null,null,false],\"\":\"\"}");
}

static void strings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        const char *expected;
    } cases[] = {
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
        {"\n\r\t\b\f", 5, "\"\\n\\r\\t\\b\\f\""},
        {"\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"x\xc3", 2, "\"x\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct writer writer;
        begin(&writer);
        json_string_n(&writer.json, cases[i].text, cases[i].length);
        ends_as(&writer, cases[i].expected);
    }
}

static void reals(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *expected;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {3, "3.0"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {0.1 + 0.2, "0.30000000000000004"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
        {123456789012345680.0, "1.2345678901234568e+17"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct writer writer;
        begin(&writer);
        json_real(&writer.json, cases[i].value);
        ends_as(&writer, cases[i].expected);
    }
    struct random_stream random;
    random_seed(&random, 11, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_u64(&random);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        struct writer writer;
        begin(&writer);
        json_real(&writer.json, value);
        assert_true(strtod(buffer_string(&writer.buffer), NULL) == value);
        buffer_free(&writer.buffer);
    }
}

static void integers(void **state) {
    (void)state;
    struct writer writer;
    begin(&writer);
    json_array_begin(&writer.json);
    json_int(&writer.json, INT64_MIN);
    json_int(&writer.json, INT64_MAX);
    json_array_end(&writer.json);
    ends_as(&writer, "[-9223372036854775808,9223372036854775807]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),
        cmocka_unit_test(strings),
        cmocka_unit_test(reals),
        cmocka_unit_test(integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
