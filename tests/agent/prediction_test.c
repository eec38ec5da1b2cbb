/* prediction: p50 and p90 of recent durations. Broken, offers would promise completions that never come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/prediction.h"
#include "base/base.h"

#include <math.h>

static void nothing_seen_answers_what_was_expected(void **state) {
    (void)state;
    struct prediction prediction = {0};
    assert_int_equal(prediction_p50(&prediction, 0), 0);
    assert_int_equal(prediction_p50(&prediction, 5000), 5000);
    assert_true(prediction_p90(&prediction, 5000) > 5000);
}

static void one_sample_is_the_median(void **state) {
    (void)state;
    struct prediction prediction = {0};
    prediction_add(&prediction, 1000000);
    assert_in_range(prediction_p50(&prediction, 7), 999999, 1000001);
    assert_in_range(prediction_p90(&prediction, 7), 1400000, 1800000);
}

static void lognormal_durations_are_found_again(void **state) {
    (void)state;
    struct random_stream stream;
    random_seed(&stream, 7, 0);
    double p50 = 0, p90 = 0;
    enum { ROUNDS = 200 };
    for (int round = 0; round < ROUNDS; round++) {
        struct prediction prediction = {0};
        for (int at = 0; at < 100; at++)
            prediction_add(&prediction, (uint64_t)(1e8 * exp(0.5 * random_normal(&stream))));
        p50 += (double)prediction_p50(&prediction, 0) / ROUNDS;
        p90 += (double)prediction_p90(&prediction, 0) / ROUNDS;
    }
    assert_true(fabs(p50 / 1e8 - 1) < 0.05);
    assert_true(fabs(p90 / (1e8 * exp(1.2816 * 0.5)) - 1) < 0.05);
}

static void a_change_of_load_is_followed_within_the_window(void **state) {
    (void)state;
    struct prediction prediction = {0};
    for (int at = 0; at < 100; at++)
        prediction_add(&prediction, 1000);
    for (int at = 0; at < PREDICTION_WINDOW; at++)
        prediction_add(&prediction, 2000000);
    assert_in_range(prediction_p50(&prediction, 0), 1999990, 2000010);
    assert_in_range(prediction_p90(&prediction, 0), 1999990, 2000010);
}

static void extremes_stay_finite(void **state) {
    (void)state;
    struct prediction prediction = {0};
    prediction_add(&prediction, 0);
    assert_int_equal(prediction_p50(&prediction, 0), 1);
    prediction_add(&prediction, UINT64_MAX);
    assert_true(prediction_p50(&prediction, 0) > 1);
    assert_true(prediction_p90(&prediction, 0) <= (uint64_t)9e18);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_answers_what_was_expected),
        cmocka_unit_test(one_sample_is_the_median),
        cmocka_unit_test(lognormal_durations_are_found_again),
        cmocka_unit_test(a_change_of_load_is_followed_within_the_window),
        cmocka_unit_test(extremes_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
