/* Numbers for people: forms that change the value read, percents that do not add to 100.0, wrong dates: each
 * would make a report contradict itself. */
#include "report/page.h"
#include "../base/cmocka_base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void numbers(void **state) {
    (void)state;
    static const struct {
        double value;
        unsigned digits;
        const char *expected;
    } cases[] = {{0, 6, "0"},
                 {-0.0, 6, "0"},
                 {1, 6, "1"},
                 {-17, 3, "-17"},
                 {0.95, 6, "0.95"},
                 {0.971573461, 6, "0.971573"},
                 {12.5, 2, "12"}, /* to even, as printf does */
                 {123456, 3, "123456"},
                 {1234567.5, 3, "1.23e6"},
                 {0.00012, 6, "0.00012"},
                 {0.000012, 6, "1.2e-5"},
                 {-3.26e-9, 2, "-3.3e-9"},
                 {1e300, 4, "1e300"},
                 {NAN, 4, "nan"},
                 {INFINITY, 4, "inf"},
                 {-INFINITY, 4, "-inf"},
                 {0.5, 0, "0.5"},
                 {0.5, 99, "0.5"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char out[32];
        assert_string_equal(report_number(out, cases[i].value, cases[i].digits), cases[i].expected);
    }
}

/* Whatever the value: it fits, reads back, and is near to within the digits asked for. */
static void numbers_read_back(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 1, 0);
    for (unsigned i = 0; i < 20000; i++) {
        double value = (random_unit(&random) - 0.5) * pow(10, (double)random_below(&random, 60) - 30);
        unsigned digits = 1 + (unsigned)random_below(&random, 12);
        char out[32];
        assert_true(strlen(report_number(out, value, digits)) < 24);
        char *end;
        double back = strtod(out, &end);
        assert_int_equal(*end, '\0');
        assert_true(fabs(back - value) <= fabs(value) * pow(10, 1 - (double)digits) * 0.5001);
    }
}

static void percents_add_up(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 2, 0);
    for (unsigned turn = 0; turn < 2000; turn++) {
        uint64_t parts[40];
        double percent[40], total = 0;
        unsigned count = 1 + (unsigned)random_below(&random, 40), tenths = 0;
        for (unsigned i = 0; i < count; i++) {
            parts[i] = random_below(&random, 4) == 0 ? 0 : random_u64(&random) >> random_below(&random, 60);
            total += (double)parts[i];
        }
        report_percent(parts, count, percent);
        for (unsigned i = 0; i < count; i++) {
            double tenth = percent[i] * 10;
            assert_true(fabs(tenth - round(tenth)) < 1e-9);
            tenths += (unsigned)round(tenth);
            if (total > 0)
                assert_true(fabs(percent[i] - (double)parts[i] / total * 100) < 0.1 + 1e-9);
        }
        assert_int_equal(tenths, total > 0 ? 1000 : 0);
    }
}

static void dates(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        const char *expected;
    } cases[] = {{0, "1970-01-01 00:00 UTC"},          {951782400, "2000-02-29 00:00 UTC"},
                 {1709251199, "2024-02-29 23:59 UTC"}, {1757520564, "2025-09-10 16:09 UTC"},
                 {4107542399, "2100-02-28 23:59 UTC"}, {-1, "1969-12-31 23:59 UTC"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char out[32];
        assert_string_equal(page_utc(out, cases[i].seconds * 1000000000), cases[i].expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(percents_add_up),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests_name("report/report_number", tests, NULL, NULL);
}
