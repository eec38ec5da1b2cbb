/* decimal against printf and strtod: the same text and the same number wherever it answers, and it answers
 * for what is short. If it failed, a value would change on its way through the protocol. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_base.h"

static void long_way(double value, char *out, size_t size) {
    snprintf(out, size, "%.15g", value);
    if (strpbrk(out, ".e") == NULL)
        strcat(out, ".0");
}

static void check_write(double value, bool must) {
    char text[DECIMAL_BYTES], expected[64];
    size_t length = decimal_write(value, text);
    if (must)
        assert_true(length > 0);
    if (length == 0)
        return;
    assert_true(length < sizeof text && text[length] == '\0' && strlen(text) == length);
    long_way(value, expected, sizeof expected);
    assert_string_equal(text, expected);
    assert_true(strtod(text, NULL) == value);
}

static void writes_as_printf(void **state) {
    (void)state;
    static const double shorts[] = {0,      -0.0,    1,       -1,   0.5,     0.1,  93.75, 0.0001, 1e14,
                                    0.0003, 123.456, 9.99999, 1e-4, 1000000, 0.07, 2.5e9, -17.25, 0.3};
    for (size_t at = 0; at < ARRAY_COUNT(shorts); at++)
        check_write(shorts[at], true);
    char text[DECIMAL_BYTES];
    const double longs[] = {NAN, INFINITY, -INFINITY, 1e15, 9e-5, 5e-324, DBL_MAX, 0.1 + 0.2, 1.0 / 3};
    for (size_t at = 0; at < ARRAY_COUNT(longs); at++)
        assert_int_equal(decimal_write(longs[at], text), 0);
    struct random_stream random;
    random_seed(&random, 5, 0);
    for (int round = 0; round < 100000; round++) {
        uint64_t bits = random_u64(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        check_write(value, false);
        /* 1 to 15 digits with the point anywhere in them. */
        unsigned digits = 1 + (unsigned)(random_u64(&random) % 15);
        unsigned places = (unsigned)(random_u64(&random) % digits);
        double scale = pow(10, digits), short_value = floor(random_unit(&random) * scale) / pow(10, places);
        check_write(short_value, short_value == 0 || short_value >= 1e-4);
    }
}

static void reads_as_strtod(void **state) {
    (void)state;
    double value = 7;
    assert_false(decimal_read("1234567890123456", 16, &value));
    assert_false(decimal_read("1e5", 3, &value));
    assert_false(decimal_read("1.2.3", 5, &value));
    assert_true(value == 7);
    assert_true(decimal_read("-0.0", 4, &value));
    assert_true(value == 0 && signbit(value));
    struct random_stream random;
    random_seed(&random, 6, 0);
    for (int round = 0; round < 100000; round++) {
        char text[64];
        unsigned whole = 1 + (unsigned)(random_u64(&random) % 10),
                 part = (unsigned)(random_u64(&random) % 10);
        size_t length = 0;
        if (random_u64(&random) % 2)
            text[length++] = '-';
        for (unsigned at = 0; at < whole; at++)
            text[length++] = (char)('0' + random_u64(&random) % 10);
        if (part > 0)
            text[length++] = '.';
        for (unsigned at = 0; at < part; at++)
            text[length++] = (char)('0' + random_u64(&random) % 10);
        text[length] = '\0';
        if (decimal_read(text, length, &value))
            assert_true(value == strtod(text, NULL));
        else
            assert_true(whole + part >= 15);
    }
}

static void writes_whole_numbers(void **state) {
    (void)state;
    static const int64_t values[] = {0, 7, -7, 10, 1000000007, INT64_MAX, INT64_MIN, -100};
    for (size_t at = 0; at < ARRAY_COUNT(values); at++) {
        char text[DECIMAL_BYTES], expected[64];
        int length = snprintf(expected, sizeof expected, "%lld", (long long)values[at]);
        assert_int_equal(decimal_write_int(values[at], text), length);
        assert_string_equal(text, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_as_printf),
        cmocka_unit_test(reads_as_strtod),
        cmocka_unit_test(writes_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
