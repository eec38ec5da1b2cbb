/* Axes: ticks outside the plot, out of order, doubled or labelled alike would make a chart lie. Hand-made cases
 * and random ranges, degenerate ones among them. */
#include "report/chart_axis.h"
#include "../base/cmocka_base.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void labels_are(const struct axis *axis, const char *expected) {
    char all[400] = "";
    for (unsigned i = 0; i < axis->tick_count; i++) {
        strcat(all, i > 0 ? " | " : "");
        strcat(all, axis->ticks[i].label);
    }
    assert_string_equal(all, expected);
}

static void known(void **state) {
    (void)state;
    struct axis axis;
    axis_make(&axis, 0, 60, AXIS_LINEAR, 0, 6, true);
    labels_are(&axis, "0 | 10 | 20 | 30 | 40 | 50 | 60");
    axis_make(&axis, 0.871, 0.972, AXIS_LINEAR, 0, 5, false);
    labels_are(&axis, "0.88 | 0.90 | 0.92 | 0.94 | 0.96");
    axis_make(&axis, -0.3, 0.3, AXIS_LINEAR, 0, 6, false);
    labels_are(&axis, "-0.3 | -0.2 | -0.1 | 0.0 | 0.1 | 0.2 | 0.3");
    axis_make(&axis, 0, 3e9, AXIS_LINEAR, 0, 3, false);
    labels_are(&axis, "0 | 1e9 | 2e9 | 3e9");
    axis_make(&axis, 1e-4, 1e-1, AXIS_LOG, 0, 4, false);
    labels_are(&axis, "1e-4 | 0.001 | 0.01 | 0.1");
    axis_make(&axis, 16, 1024, AXIS_LOG, 0, 4, true);
    labels_are(&axis, "30 | 100 | 300 | 1000");
    axis_make(&axis, 1e-12, 1, AXIS_LOG, 0, 4, false);
    labels_are(&axis, "1e-12 | 1e-9 | 1e-6 | 0.001 | 1");
    axis_make(&axis, 5, 5, AXIS_LINEAR, 0.02, 6, true); /* one trial */
    labels_are(&axis, "5");
    axis_make(&axis, 2, 4, AXIS_LINEAR, 0, 8, true); /* no halves of whole numbers */
    labels_are(&axis, "2 | 3 | 4");
}

static void times(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *expected;
    } cases[] = {
        {44.4, "0 | 10 s | 20 s | 30 s | 40 s"}, {100, "0 | 20 s | 40 s | 60 s | 80 s | 100 s"},
        {0.15, "0 | 50 ms | 100 ms | 150 ms"},   {7020, "0 | 20 min | 40 min | 60 min | 80 min | 100 min"},
        {86400, "0 | 5 h | 10 h | 15 h | 20 h"}, {864000, "0 | 2 d | 4 d | 6 d | 8 d | 10 d"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct axis axis;
        axis_make_time(&axis, (uint64_t)(cases[i].seconds * 1e9), 6);
        labels_are(&axis, cases[i].expected);
    }
}

static void check(const struct axis *axis) {
    assert_true(isfinite(axis->low) && isfinite(axis->high) && axis->low < axis->high);
    assert_true(axis->scale != AXIS_LOG || axis->low > 0);
    assert_true(axis->tick_count <= AXIS_TICKS_MAX);
    for (unsigned i = 0; i < axis->tick_count; i++) {
        assert_true(axis->ticks[i].at >= 0 && axis->ticks[i].at <= 1);
        assert_true(strlen(axis->ticks[i].label) > 0);
        if (i == 0)
            continue;
        assert_true(axis->ticks[i].at > axis->ticks[i - 1].at);
        assert_string_not_equal(axis->ticks[i].label, axis->ticks[i - 1].label);
    }
}

/* The label says the value that stands at the tick, to what can be seen in a plot. */
static void label_says_value(const struct axis *axis) {
    for (unsigned i = 0; i < axis->tick_count; i++) {
        double at = axis_position(axis, strtod(axis->ticks[i].label, NULL));
        assert_true(fabs(at - axis->ticks[i].at) < 0.02);
    }
}

static void any_range(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 3, 0);
    for (unsigned i = 0; i < 20000; i++) {
        double size = pow(10, (double)random_below(&random, 24) - 12);
        double low = (random_unit(&random) - 0.5) * size, high = low + random_unit(&random) * size;
        enum axis_scale scale = random_below(&random, 2) == 0 ? AXIS_LINEAR : AXIS_LOG;
        struct axis axis;
        if (scale == AXIS_LOG) {
            low = fabs(low) + size * 1e-9;
            high = low * pow(10, random_unit(&random) * 12);
        }
        unsigned ticks = 2 + (unsigned)random_below(&random, 9);
        axis_make(&axis, low, high, scale, 0.04, ticks, false);
        check(&axis);
        label_says_value(&axis);
        assert_true(axis_position(&axis, low) >= -1e-9 && axis_position(&axis, high) <= 1 + 1e-9);
        if (axis.scale == AXIS_LINEAR) {
            assert_true(axis.tick_count >= 2);
            assert_true(axis.tick_count <= (ticks < 4 ? 6 : ticks * 5 / 4 + 1));
        }
        axis_make_time(&axis, random_u64(&random) >> random_below(&random, 64), 6);
        check(&axis);
        assert_in_range(axis.tick_count, 2, 8);
    }
}

static void degenerate(void **state) {
    (void)state;
    static const double ends[] = {0,        -0.0,     1,         -1,  1e-320,    DBL_MIN, DBL_MAX,
                                  -DBL_MAX, INFINITY, -INFINITY, NAN, 1 + 1e-16, 1e15,    3.5};
    for (unsigned low = 0; low < ARRAY_COUNT(ends); low++)
        for (unsigned high = 0; high < ARRAY_COUNT(ends); high++)
            for (unsigned kind = 0; kind < 4; kind++) {
                struct axis axis;
                axis_make(&axis, ends[low], ends[high], kind & 1 ? AXIS_LOG : AXIS_LINEAR, 0.04,
                          kind & 2 ? 100 : 0, kind & 2);
                check(&axis);
            }
    struct axis axis;
    axis_make(&axis, 1, 10, AXIS_LOG, 0, 4, false);
    assert_true(isnan(axis_position(&axis, 0)));
    assert_true(isnan(axis_position(&axis, -3)));
    assert_true(isnan(axis_position(&axis, NAN)));
    axis_make_time(&axis, 0, 6);
    check(&axis);
    axis_make_time(&axis, UINT64_MAX, 6);
    check(&axis);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(times),
        cmocka_unit_test(any_range),
        cmocka_unit_test(degenerate),
    };
    return cmocka_run_group_tests_name("report/chart_axis", tests, NULL, NULL);
}
