/* Evaluates compiled constraints: a postfix program over the values of a configuration, no allocation.
 * Booleans are 1 and 0. Both sides of and/or are evaluated: nothing has a side effect, and a division by zero
 * is an infinity or NaN, which compares false. A constraint that reads an inactive variable (NaN) holds. Any
 * thread. The compiler (expression_compile.c) has checked names, types and the depth of the stack. */
#include "space/space_private.h"

#include <math.h>

static double unary(enum operation operation, double x) {
    switch (operation) {
    case OPERATION_NOT:
        return x == 0;
    case OPERATION_NEGATE:
        return -x;
    case OPERATION_ABS:
        return fabs(x);
    case OPERATION_LOG:
        return log(x);
    case OPERATION_EXP:
        return exp(x);
    case OPERATION_SQRT:
        return sqrt(x);
    case OPERATION_FLOOR:
        return floor(x);
    default:
        CHECK(operation == OPERATION_CEIL);
        return ceil(x);
    }
}

static double binary(enum operation operation, double a, double b) {
    switch (operation) {
    case OPERATION_OR:
        return a != 0 || b != 0;
    case OPERATION_AND:
        return a != 0 && b != 0;
    case OPERATION_EQUAL:
        return a == b;
    case OPERATION_UNEQUAL:
        return a != b;
    case OPERATION_LESS:
        return a < b;
    case OPERATION_LESS_EQUAL:
        return a <= b;
    case OPERATION_GREATER:
        return a > b;
    case OPERATION_GREATER_EQUAL:
        return a >= b;
    case OPERATION_ADD:
        return a + b;
    case OPERATION_SUBTRACT:
        return a - b;
    case OPERATION_MULTIPLY:
        return a * b;
    case OPERATION_DIVIDE:
        return a / b;
    case OPERATION_MODULO: /* the sign of the divisor, as in Python */
        return a - b * floor(a / b);
    case OPERATION_POWER:
        return pow(a, b);
    case OPERATION_MIN:
        return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    default:
        CHECK(operation == OPERATION_MAX);
        return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    }
}

static bool takes_one(enum operation operation) {
    switch (operation) {
    case OPERATION_NOT:
    case OPERATION_NEGATE:
    case OPERATION_ABS:
    case OPERATION_LOG:
    case OPERATION_EXP:
    case OPERATION_SQRT:
    case OPERATION_FLOOR:
    case OPERATION_CEIL:
        return true;
    default:
        return false;
    }
}

double expression_evaluate(const struct expression *expression, const double *values) {
    double stack[EXPRESSION_STACK_MAX];
    unsigned depth = 0;
    for (unsigned i = 0; i < expression->instruction_count; i++) {
        const struct instruction *instruction = &expression->instructions[i];
        switch (instruction->operation) {
        case OPERATION_PUSH_NUMBER:
            stack[depth++] = instruction->number;
            break;
        case OPERATION_PUSH_VARIABLE:
            stack[depth++] = values[instruction->variable];
            break;
        case OPERATION_PUSH_CHOICE: {
            double index = values[instruction->variable];
            stack[depth++] = isnan(index) ? NAN : instruction->table[(unsigned)index];
            break;
        }
        default:
            if (takes_one(instruction->operation)) {
                stack[depth - 1] = unary(instruction->operation, stack[depth - 1]);
            } else {
                depth--;
                stack[depth - 1] = binary(instruction->operation, stack[depth - 1], stack[depth]);
            }
        }
    }
    CHECK(depth == 1);
    return stack[0];
}

bool expression_holds(const struct expression *expression, const double *values) {
    for (unsigned i = 0; i < expression->variable_count; i++)
        if (isnan(values[expression->variables[i]]))
            return true;
    return expression_evaluate(expression, values) == 1;
}
