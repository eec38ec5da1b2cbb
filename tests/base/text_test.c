/* Durations, sizes, numbers and suggestions, by table and by round trip. Fails if a unit changes its meaning,
 * if rubbish behind a number is accepted, or if an overflow wraps instead of being refused. */
#include "cmocka_base.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define REFUSED INT64_MIN

struct reading {
    const char *text;
    int64_t expected;
};

static const struct reading durations[] = {
    {"0", 0},
    {"90", 90000000000},
    {"1.5", 1500000000},
    {"500ms", 500000000},
    {"2m", 120000000000},
    {"2min", 120000000000},
    {"1h30m", 5400000000000},
    {"1h 30m", 5400000000000},
    {"1d", 86400000000000},
    {"1d2h3m4s5ms6us7ns", 93784005006007},
    {"40us", 40000},
    {"7ns", 7},
    {"0.5ms", 500000},
    {"1.000000001s", 1000000001},
    {"1.0000000019s", 1000000001},
    {"5 s", 5000000000},
    {"9223372036s", 9223372036000000000},
    {"9223372037s", REFUSED},
    {"99999999999999999999", REFUSED},
    {"106752d", REFUSED},
    {"", REFUSED},
    {"s", REFUSED},
    {" 5s", REFUSED},
    {"5s ", REFUSED},
    {"-5s", REFUSED},
    {"+5s", REFUSED},
    {"5S", REFUSED},
    {"5sec", REFUSED},
    {"1h30", REFUSED},
    {"30m1h", REFUSED},
    {"1h1h", REFUSED},
    {"1.s", REFUSED},
    {".5s", REFUSED},
    {"1e3s", REFUSED},
    {"0x10s", REFUSED},
    {"inf", REFUSED},
    {"five seconds", REFUSED},
};

static const struct reading sizes[] = {
    {"0", 0},
    {"123", 123},
    {"123B", 123},
    {"64KiB", 65536},
    {"64 KiB", 65536},
    {"1MiB", 1048576},
    {"8GiB", INT64_C(8589934592)},
    {"10MB", 10000000},
    {"10kB", 10000},
    {"10KB", 10000},
    {"2TiB", INT64_C(2199023255552)},
    {"1.5GiB", 1610612736},
    {"0.5KiB", 512},
    {"9223372036854775807", INT64_MAX},
    {"9223372036854775808", REFUSED},
    {"8388608TiB", REFUSED},
    {"1.5", REFUSED},
    {"1.5B", REFUSED},
    {"", REFUSED},
    {"KiB", REFUSED},
    {"64K", REFUSED},
    {"64kib", REFUSED},
    {"64KiBs", REFUSED},
    {"64KiB ", REFUSED},
    {"64  KiB", REFUSED},
    {"-1", REFUSED},
    {"1e6", REFUSED},
};

static const struct reading integers[] = {
    {"0", 0},
    {"-0", 0},
    {"+7", 7},
    {"007", 7},
    {"-42", -42},
    {"9223372036854775807", INT64_MAX},
    {"-9223372036854775807", -INT64_MAX},
    {"9223372036854775808", REFUSED},
    {"", REFUSED},
    {"-", REFUSED},
    {"+-1", REFUSED},
    {" 1", REFUSED},
    {"1 ", REFUSED},
    {"1.0", REFUSED},
    {"0x10", REFUSED},
    {"1e3", REFUSED},
};

static void read_table(const struct reading *table, size_t count,
                       enum troupe_error (*read)(const char *, int64_t *)) {
    for (size_t i = 0; i < count; i++) {
        int64_t got = REFUSED;
        enum troupe_error error = read(table[i].text, &got);
        if (got != table[i].expected || (error != TROUPE_OK) != (table[i].expected == REFUSED))
            fail_msg("'%s' gave %" PRId64 " (%s), expected %" PRId64, table[i].text, got, error_name(error),
                     table[i].expected);
    }
}

static void tables(void **state) {
    (void)state;
    read_table(durations, ARRAY_COUNT(durations), text_duration);
    read_table(sizes, ARRAY_COUNT(sizes), text_bytes);
    read_table(integers, ARRAY_COUNT(integers), text_int);
    int64_t lowest = 0;
    assert_int_equal(text_int("-9223372036854775808", &lowest), TROUPE_OK);
    assert_true(lowest == INT64_MIN);
}

static void reals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double expected;
    } good[] = {{"0", 0},  {"1e-3", 1e-3}, {"-2.5E+10", -2.5e10}, {".5", .5},
                {"5.", 5}, {"+1.5", 1.5},  {"1e-400", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        double got = NAN;
        assert_int_equal(text_real(good[i].text, &got), TROUPE_OK);
        assert_true(got == good[i].expected);
    }
    static const char *const bad[] = {"",      ".",  "-",  "e5",    "1e",  "1e+", "inf",   "nan",
                                      "0x1p3", " 1", "1 ", "1.2.3", "1,5", "1_0", "1e400", "--1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        double got = 42;
        assert_int_equal(text_real(bad[i], &got), TROUPE_INVALID);
        assert_true(got == 42);
    }
}

/* Written in random units, a duration reads back as the sum of its parts. */
static void durations_read_back(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t factor;
    } units[] = {{"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
                 {"ms", 1000000},       {"us", 1000},         {"ns", 1}};
    struct random_stream random;
    random_seed(&random, 3, 0);
    for (int round = 0; round < 5000; round++) {
        char text[200] = "";
        size_t used = 0;
        int64_t expected = 0;
        for (size_t u = 0; u < ARRAY_COUNT(units); u++)
            if (random_below(&random, 2) == 0 || (u == 6 && used == 0)) {
                int64_t value = (int64_t)random_below(&random, 2000);
                used +=
                    (size_t)snprintf(text + used, sizeof(text) - used, "%" PRId64 "%s", value, units[u].name);
                expected += value * units[u].factor;
            }
        int64_t got = -1;
        assert_int_equal(text_duration(text, &got), TROUPE_OK);
        assert_true(got == expected);
    }
}

static void printed_for_people(void **state) {
    (void)state;
    static const struct reading shown[] = {
        {"0 ns", 0},
        {"999 ns", 999},
        {"1 us", 1000},
        {"40 us", 40000},
        {"850 ms", 850000000},
        {"1 s", 999600000},
        {"12.3 s", 12345000000},
        {"1 min 0 s", 59990000000},
        {"2 min 5 s", 125000000000},
        {"1 h 2 min", 3720000000000},
        {"3 d 4 h", 273600000000000},
        {"-1.5 ms", -1500000},
    };
    char out[32];
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++)
        assert_string_equal(text_format_duration(out, shown[i].expected), shown[i].text);
    assert_true(strlen(text_format_duration(out, INT64_MAX)) < 31);
    assert_true(strlen(text_format_duration(out, INT64_MIN)) < 31);
    static const struct reading bytes[] = {
        {"0 B", 0},
        {"1023 B", 1023},
        {"1 KiB", 1024},
        {"1.5 KiB", 1536},
        {"1 MiB", 1048576},
        {"977 KiB", 1000000},
        {"0.999 GiB", INT64_C(1072693248)},
        {"8 EiB", INT64_MAX},
        {"-2 KiB", -2048},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bytes); i++)
        assert_string_equal(text_format_bytes(out, bytes[i].expected), bytes[i].text);
}

static void the_nearest_word(void **state) {
    (void)state;
    static const char *const keys[] = {"trials", "deadline", "seed", "agents", "needs", "uses"};
    static const struct {
        const char *word, *expected;
    } cases[] = {
        {"trails", "trials"}, {"trial", "trials"}, {"Deadline", "deadline"}, {"deadlin", "deadline"},
        {"sede", "seed"},     {"agent", "agents"}, {"need", "needs"},        {"use", "uses"},
        {"budget", NULL},     {"", NULL},          {"xyzzy", NULL},          {"timeout", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *got = text_nearest(cases[i].word, keys, ARRAY_COUNT(keys));
        if (cases[i].expected == NULL)
            assert_null(got);
        else
            assert_string_equal(got == NULL ? "(none)" : got, cases[i].expected);
    }
    char longer[200];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_null(text_nearest(longer, keys, ARRAY_COUNT(keys)));
    assert_null(text_nearest("x", keys, 0));
}

/* Every code point encodes to what text_utf8_length accepts, and surrogates and overlong forms do not pass.
 */
static void utf8(void **state) {
    (void)state;
    unsigned accepted = 0;
    for (uint32_t lead = 0; lead < 256; lead++)
        for (uint32_t second = 0; second < 256; second++) {
            char bytes[4] = {(char)lead, (char)second, (char)0x80, (char)0x80};
            size_t length = text_utf8_length(bytes, 4);
            accepted += length > 1;
            if (length > 1)
                assert_int_equal(text_utf8_length(bytes, length - 1), 0);
        }
    /* 2 bytes: 30 leads x 64; 3: e0 x 32, e1-ec and ee-ef x 64, ed x 32; 4: f0 x 48, f1-f3 x 64, f4 x 16 */
    assert_int_equal(accepted, 30 * 64 + 32 + 14 * 64 + 32 + 48 + 3 * 64 + 16);
    assert_int_equal(text_utf8_length("", 0), 0);
    assert_int_equal(text_utf8_length("a", 1), 1);
    assert_int_equal(text_utf8_length("\x80", 1), 0);
    assert_int_equal(text_utf8_length("\xe2\x82x", 3), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(reals),
        cmocka_unit_test(durations_read_back),
        cmocka_unit_test(printed_for_people),
        cmocka_unit_test(the_nearest_word),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
