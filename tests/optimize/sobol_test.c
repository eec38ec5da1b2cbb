/* Scrambled Sobol' points: the table holds primitive polynomials and odd numbers in range; every dimension
 * and the first pairs are balanced, under every seed; seeds differ. */
#include "optimize/study_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* x^(2^degree - 1) is the first power of x that is 1 modulo the polynomial. */
static bool primitive(unsigned polynomial, unsigned degree) {
    unsigned order = 0, power = 1;
    do {
        power <<= 1;
        if (power >> degree & 1)
            power ^= polynomial;
        order++;
    } while (power != 1 && order <= 1u << degree);
    return order == (1u << degree) - 1;
}

static void table_is_sound(void **state) {
    (void)state;
    unsigned polynomials[SOBOL_DIMENSIONS];
    for (unsigned dimension = 1; dimension < SOBOL_DIMENSIONS; dimension++) {
        unsigned degree;
        polynomials[dimension] = sobol_polynomial(dimension, &degree);
        assert_true(primitive(polynomials[dimension], degree));
        for (unsigned other = 1; other < dimension; other++)
            assert_int_not_equal(polynomials[other], polynomials[dimension]);
        for (unsigned bit = 0; bit < 32; bit++) {
            uint32_t initial = sobol_direction(dimension, bit) >> (31 - bit);
            assert_true(initial & 1); /* odd, so that the matrix has ones on its diagonal */
            assert_int_equal(initial << (31 - bit), sobol_direction(dimension, bit)); /* and none below it */
        }
    }
}

/* Each aligned block of 2^k points has one point in each interval of length 2^-k. */
static void every_dimension_is_balanced(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++)
        for (unsigned dimension = 0; dimension < SOBOL_DIMENSIONS; dimension++)
            for (unsigned bits = 0; bits <= 8; bits++)
                for (uint32_t block = 0; block < 3; block++) {
                    bool seen[256] = {false};
                    for (uint32_t i = 0; i < 1u << bits; i++) {
                        double unit = sobol_unit((block << bits) + i, dimension, seed);
                        assert_true(unit > 0 && unit < 1);
                        unsigned cell = (unsigned)(unit * (1u << bits));
                        assert_false(seen[cell]);
                        seen[cell] = true;
                    }
                }
}

/* The first two dimensions are a (0, 2)-sequence: one point in every elementary box. */
static void first_pair_is_balanced_in_boxes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++)
        for (unsigned bits = 1; bits <= 8; bits++)
            for (unsigned left = 0; left <= bits; left++) {
                bool seen[256] = {false};
                for (uint32_t i = 0; i < 1u << bits; i++) {
                    unsigned a = (unsigned)(sobol_unit(i, 0, seed) * (1u << left));
                    unsigned b = (unsigned)(sobol_unit(i, 1, seed) * (1u << (bits - left)));
                    unsigned box = a << (bits - left) | b;
                    assert_false(seen[box]);
                    seen[box] = true;
                }
            }
}

static void seeds_and_dimensions_differ(void **state) {
    (void)state;
    unsigned equal = 0;
    for (uint32_t i = 0; i < 100; i++)
        for (unsigned dimension = 0; dimension < SOBOL_DIMENSIONS; dimension++)
            equal += sobol_unit(i, dimension, 1) == sobol_unit(i, dimension, 2);
    assert_true(equal < 5);
    assert_true(sobol_unit(77, 5, 9) == sobol_unit(77, 5, 9));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(every_dimension_is_balanced),
        cmocka_unit_test(first_pair_is_balanced_in_boxes),
        cmocka_unit_test(seeds_and_dimensions_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
