/* Constraint expressions: values against hand-computed ones, refusals with their column, limits, and random
 * expressions against a recursive evaluator that builds the text and the value together. */
#include "space/space_private.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct space *space_of_five(void) {
    static const char *const vars[] = {"depth=int(1,8)",          "width=float(0,64)",
                                       "kind=choice(svm,linear)", "batch=choice(16,32,64)",
                                       "flag=choice(true,false)", "other=choice(svm,rbf)"};
    struct space *space;
    struct fault fault;
    assert_int_equal(space_compile_vars(vars, 6, &space, &fault), TROUPE_OK);
    return space;
}

static const double values[] = {4, 2.5, 1, 2, 0, 0}; /* depth 4, width 2.5, linear, batch 64, true, svm */

static void values_are_right(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"depth * width <= 10", true},
        {"depth * width < 10", false},
        {"kind == 'svm'", false},
        {"kind != \"svm\" and depth == 4", true},
        {"kind == other", false},
        {"other == 'svm' or kind == 'svm'", true},
        {"batch / 2 == 32", true},
        {"batch == 64", true},
        {"flag", true},
        {"not flag or flag == true", true},
        {"not flag == false", true}, /* not (flag == false), as in Python */
        {"-2 ** 2 == 0 - 4", true},
        {"2 ** -1 == 0.5", true},
        {"2 ** 3 ** 2 == 512", true},
        {"7 - 2 - 1 == 4", true},
        {"-7 % 3 == 2", true},
        {"1 + 2 * 3 == 7", true},
        {"(1 + 2) * 3 == 9", true},
        {"min(depth, width, 3) == 2.5 and max(1, 2) == 2", true},
        {"abs(-3) == 3 and floor(2.7) == 2 and ceil(2.1) == 3 and sqrt(16) == 4", true},
        {"log(exp(1)) > 0.999 and exp(0) == 1", true},
        {"(depth > 2) + (width > 2) + flag == 3", true},
        {"log(0 - 1) < 3", false}, /* NaN satisfies nothing */
        {"true or false and false", true},
        {"1e3 == 1000 and .5 == 0.5", true},
        {"depth/(width-2.5) > 1", true},
    };
    struct space *space = space_of_five();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expression expression;
        struct fault fault = {0};
        struct place place = {.where = "test"};
        if (expression_compile(space, cases[i].text, &place, &expression, &fault))
            fail_msg("%s: %s", cases[i].text, fault.text);
        if (expression_holds(&expression, values) != cases[i].holds)
            fail_msg("%s is wrong", cases[i].text);
    }
    space_free(space);
}

static void refusals_give_the_column(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "column 1: the expression ends here"},
        {"depth <", "column 8: the expression ends here"},
        {"depht < 2", "column 1: unknown variable 'depht'; did you mean 'depth'?"},
        {"1 < dpth", "column 5: unknown variable 'dpth'; did you mean 'depth'?"},
        {"sqr(depth) < 2", "column 1: unknown function 'sqr'; did you mean 'sqrt'?"},
        {"kind == 'smv'", "column 9: 'smv' is not a choice of 'kind'; did you mean 'svm'?"},
        {"'lin' == kind", "column 1: 'lin' is not a choice of 'kind'"},
        {"depth = 2", "column 7: expected an operator; equality is written =="},
        {"depth 2", "column 7: expected an operator or the end, found '2'"},
        {"depth + 2", "column 1: a constraint must be true or false"},
        {"kind", "this is a text"},
        {"kind < 2", "column 1: '<' needs numbers, found a text"},
        {"kind == 2", "column 9: a text is compared with a number"},
        {"batch == '64'", "column 10: a number is compared with a text"},
        {"1 < depth < 3", "column 11: comparisons cannot be chained"},
        {"depth and flag", "column 1: 'and' needs true or false on both sides, found a number"},
        {"flag or width", "column 9: 'or' needs true or false on both sides, found a number"},
        {"not depth", "column 5: 'not' needs true or false, found a number"},
        {"- kind < 2", "column 3: '-' needs a number, found a text"},
        {"abs(kind) < 2", "column 5: abs needs a number, found a text"},
        {"(depth < 2", "column 11: expected ')'"},
        {"min(depth) < 2", "min needs two values or more"},
        {"abs(depth, 2) < 2", "column 10: expected ')' to end abs("},
        {"kind == 'svm", "column 9: the text is never closed"},
        {"depth < 2x", "column 9: this is no number"},
        {"depth < $", "column 9: expected a value, found '$'"},
        {"or depth", "column 1: expected a value before 'or'"},
        {"1e999 > depth", "column 1: this is no number"},
        {"inf > depth", "unknown variable 'inf'"},
    };
    struct space *space = space_of_five();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expression expression;
        struct fault fault = {0};
        struct place place = {.where = "p.yaml:3:4"};
        enum troupe_error error = expression_compile(space, cases[i].text, &place, &expression, &fault);
        if (!error || !strstr(fault.text, cases[i].message) || strcmp(fault.where, place.where) != 0)
            fail_msg("%s: %s", cases[i].text, fault.text);
    }
    space_free(space);
}

static void bounds_are_reached(void **state) {
    (void)state;
    struct space *space = space_of_five();
    struct expression expression;
    struct fault fault;
    struct place place = {.where = "test"};
    char text[EXPRESSION_TEXT_MAX + 10];
    memset(text, '(', 200);
    text[200] = 0;
    assert_int_equal(expression_compile(space, text, &place, &expression, &fault), TROUPE_LIMIT);
    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = 0;
    assert_int_equal(expression_compile(space, text, &place, &expression, &fault), TROUPE_LIMIT);
    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, "1+", 2);
    strcpy(text + 4000, "1>0");
    assert_int_equal(expression_compile(space, text, &place, &expression, &fault), TROUPE_LIMIT);
    for (size_t i = 0; i < 4000; i++)
        text[i] = '-';
    strcpy(text + 4000, "1>0");
    assert_int_equal(expression_compile(space, text, &place, &expression, &fault), TROUPE_LIMIT);
    space_free(space);
}

static void inactive_variables_hold(void **state) {
    (void)state;
    struct space *space = space_of_five();
    struct expression expression;
    struct fault fault;
    struct place place = {.where = "test"};
    double with_nan[] = {NAN, 2.5, 1, 2, 0, 0};
    assert_int_equal(expression_compile(space, "depth > 100 and width < 0", &place, &expression, &fault),
                     TROUPE_OK);
    assert_true(expression_holds(&expression, with_nan));
    assert_false(expression_holds(&expression, values));
    assert_int_equal(expression.variable_count, 2);
    space_free(space);
}

/* Appends a random numeric expression, fully parenthesised, and returns its value. */
static double random_number(struct random_stream *random, unsigned depth, char *out) {
    static const char *const operators[] = {"+", "-", "*", "/"};
    if (depth == 0 || random_below(random, 4) == 0) {
        static const char *const leaves[] = {"depth", "width", "batch", "3", "0.5"};
        static const double leaf_values[] = {4, 2.5, 64, 3, 0.5};
        uint64_t leaf = random_below(random, 5);
        strcat(out, leaves[leaf]);
        return leaf_values[leaf];
    }
    uint64_t sign = random_below(random, 6);
    if (sign >= 4) {
        strcat(out, sign == 4 ? "min(" : "-(");
        double a = random_number(random, depth - 1, out);
        if (sign == 5) {
            strcat(out, ")");
            return -a;
        }
        strcat(out, ", ");
        double b = random_number(random, depth - 1, out);
        strcat(out, ")");
        return isnan(a) || isnan(b) ? NAN : a < b ? a : b;
    }
    strcat(out, "(");
    double a = random_number(random, depth - 1, out);
    strcat(out, operators[sign]);
    double b = random_number(random, depth - 1, out);
    strcat(out, ")");
    return sign == 0 ? a + b : sign == 1 ? a - b : sign == 2 ? a * b : a / b;
}

static void random_expressions_agree_with_a_recursive_evaluator(void **state) {
    (void)state;
    struct space *space = space_of_five();
    struct random_stream random;
    random_seed(&random, 3, 3);
    for (unsigned n = 0; n < 3000; n++) {
        char text[2048] = "";
        double a = random_number(&random, 4, text);
        strcat(text, " <= ");
        double b = random_number(&random, 4, text);
        struct expression expression;
        struct fault fault = {0};
        struct place place = {.where = "test"};
        if (expression_compile(space, text, &place, &expression, &fault))
            fail_msg("%s: %s", text, fault.text);
        if (expression_holds(&expression, values) != (a <= b))
            fail_msg("%s", text);
    }
    space_free(space);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_right),
        cmocka_unit_test(refusals_give_the_column),
        cmocka_unit_test(bounds_are_reached),
        cmocka_unit_test(inactive_variables_hold),
        cmocka_unit_test(random_expressions_agree_with_a_recursive_evaluator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
