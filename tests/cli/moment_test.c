/* Times in text: known instants, the days around leap days and years without one, ages at their edges. Fails if
 * the calendar is off by a day anywhere between 1600 and 2400, or an age says more than is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/moment.h"

#define S(n) ((int64_t)(n)*1000000000)

static void known_instants(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},          {-1, "1969-12-31T23:59:59Z"},
        {951782399, "2000-02-28T23:59:59Z"},  {951782400, "2000-02-29T00:00:00Z"},
        {951868800, "2000-03-01T00:00:00Z"},  {4107542400, "2100-03-01T00:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"}, {1773500966, "2026-03-14T15:09:26Z"},
    };
    char out[MOMENT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(moment_utc(out, S(cases[i].seconds)), cases[i].text);
    assert_string_equal(moment_utc(out, S(1) + 999999999), "1970-01-01T00:00:01Z");
}

/* Day by day against a calendar that counts. */
static void every_day(void **state) {
    (void)state;
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1700, month = 1, day = 1;
    char out[MOMENT_BYTES], expected[64];          /* room for any int, for compilers that look */
    for (int64_t at = -98615; year < 2200; at++) { /* days from 1970-01-01 to 1700-01-01 */
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00Z", year, month, day);
        assert_string_equal(moment_utc(out, S(at * 86400)), expected);
        int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if (++day > lengths[month - 1] + (month == 2 && leap)) {
            day = 1;
            month = month == 12 ? 1 : month + 1;
            year += month == 1;
        }
    }
}

static void ages(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{-5, "now"},       {0, "now"},           {2, "2 s ago"},
                 {99, "99 s ago"},  {100, "1 min ago"},   {5999, "99 min ago"},
                 {6000, "1 h ago"}, {172799, "47 h ago"}, {172800, "2 days ago"}};
    char out[MOMENT_BYTES];
    int64_t now = S(1773500966);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(moment_age(out, now - S(cases[i].seconds), now), cases[i].text);
    assert_string_equal(moment_age(out, 0, now), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants),
        cmocka_unit_test(every_day),
        cmocka_unit_test(ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
