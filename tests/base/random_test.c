/* The streams are the published generator, the same everywhere, and fair. The figures come from fixed seeds,
 * so a failure is a change of the code, never bad luck. */
#include "cmocka_base.h"

#include <math.h>

static void known_answers(void **state) {
    (void)state;
    /* xoshiro256++ 1.0 from the state 1, 2, 3, 4 (reference code of its authors). */
    static const uint64_t expected[] = {41943041,
                                        58720359,
                                        3588806011781223,
                                        3591011842654386,
                                        UINT64_C(9228616714210784205),
                                        UINT64_C(9973669472204895162)};
    struct random_stream stream = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        assert_true(random_u64(&stream) == expected[i]);
    assert_true(hash_bytes("", 0, 0) == UINT64_C(0x2d06800538d394c2)); /* XXH3's own vector */
    assert_true(hash_bytes("abc", 3, 0) != hash_bytes("abc", 3, 1));
}

static void streams_are_their_own(void **state) {
    (void)state;
    struct random_stream a, b, c, d;
    random_seed(&a, 1, 2);
    random_seed(&b, 1, 2);
    random_seed(&c, 2, 1);
    random_seed(&d, 1, 3);
    for (int i = 0; i < 100; i++) {
        uint64_t x = random_u64(&a);
        assert_true(x == random_u64(&b));
        assert_true(x != random_u64(&c));
        assert_true(x != random_u64(&d));
    }
    struct random_stream copy = a;
    assert_true(random_normal(&a) == random_normal(&copy)); /* nothing hidden outside the four words */
    assert_true(random_normal(&a) == random_normal(&copy));
    random_seed(&a, 0, 0);
    assert_true((a.state[0] | a.state[1] | a.state[2] | a.state[3]) != 0);
}

static void bounded_numbers_are_fair(void **state) {
    (void)state;
    struct random_stream stream;
    random_seed(&stream, 5, 0);
    static const uint64_t bounds[] = {1, 2, 3, 7, 10, 64, 100};
    for (size_t b = 0; b < ARRAY_COUNT(bounds); b++) {
        unsigned counts[100] = {0};
        const unsigned draws = 100000;
        for (unsigned i = 0; i < draws; i++) {
            uint64_t x = random_below(&stream, bounds[b]);
            assert_true(x < bounds[b]);
            counts[x]++;
        }
        double expected = (double)draws / (double)bounds[b], chi = 0;
        for (uint64_t i = 0; i < bounds[b]; i++)
            chi += (counts[i] - expected) * (counts[i] - expected) / expected;
        double freedom = (double)bounds[b] - 1;
        assert_true(chi <= freedom + 4 * sqrt(2 * freedom) + 1e-9);
    }
    /* Above 2^63 half of the plain products would be biased. */
    unsigned low = 0;
    for (int i = 0; i < 100000; i++)
        low += random_below(&stream, UINT64_C(3) << 62) < (UINT64_C(1) << 62);
    assert_in_range(low, 32700, 33960);
}

static void units_and_normals(void **state) {
    (void)state;
    struct random_stream stream;
    random_seed(&stream, 9, 0);
    const int draws = 200000;
    double sum = 0, square = 0, unit_sum = 0;
    unsigned beyond = 0;
    for (int i = 0; i < draws; i++) {
        double unit = random_unit(&stream), normal = random_normal(&stream);
        assert_true(unit >= 0 && unit < 1);
        unit_sum += unit;
        sum += normal;
        square += normal * normal;
        beyond += fabs(normal) > 1.959964;
    }
    assert_true(fabs(unit_sum / draws - 0.5) < 0.003);
    assert_true(fabs(sum / draws) < 0.01);
    assert_true(fabs(square / draws - 1) < 0.015);
    assert_true(fabs((double)beyond / draws - 0.05) < 0.002);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(streams_are_their_own),
        cmocka_unit_test(bounded_numbers_are_fair),
        cmocka_unit_test(units_and_normals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
