/* Compiles a constraint such as "depth * width <= 64 or kind != 'svm'" to a postfix program, by precedence
 * climbing; names, types and known choices are checked here, so that evaluation cannot fail.
 *   or < and < not < == != < <= > >= (not chained) < + - < * / % < unary - < ** (to the right)
 * A choice is a number when all its choices are, a bool when all are, else a text. Bools count as 0 and 1.
 * Messages give the column in the expression, from 1. One thread: the one that compiles the space. */
#include "space/space_private.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS_MAX 512

enum operand_type { OPERAND_NUMBER, OPERAND_BOOL, OPERAND_TEXT };
static const char *const type_names[] = {"a number", "true or false", "a text"};

/* What a subexpression is. `variable` when it is one choice, `literal` when it is one quoted text. */
struct operand {
    enum operand_type type;
    int variable;
    const char *literal;
    size_t column;
};

struct compiler {
    struct space *space;
    const char *text;
    size_t at;
    unsigned nesting, depth, count;
    const struct place *place;
    struct fault *fault;
    struct instruction instructions[INSTRUCTIONS_MAX];
};

static const struct binary_operator {
    const char *text;
    enum operation operation;
    int level; /* binds tighter the higher */
} binary_operators[] = {
    {"or", OPERATION_OR, 1},      {"and", OPERATION_AND, 2},       {"==", OPERATION_EQUAL, 3},
    {"!=", OPERATION_UNEQUAL, 3}, {"<=", OPERATION_LESS_EQUAL, 3}, {">=", OPERATION_GREATER_EQUAL, 3},
    {"<", OPERATION_LESS, 3},     {">", OPERATION_GREATER, 3},     {"+", OPERATION_ADD, 4},
    {"-", OPERATION_SUBTRACT, 4}, {"**", OPERATION_POWER, 7},      {"*", OPERATION_MULTIPLY, 5},
    {"/", OPERATION_DIVIDE, 5},   {"%", OPERATION_MODULO, 5},
};
#define LEVEL_COMPARE 3
#define LEVEL_NEGATE 6
#define LEVEL_POWER 7

static const struct function {
    const char *name;
    enum operation operation;
    bool many; /* two or more arguments, folded; else exactly one */
} functions[] = {
    {"min", OPERATION_MIN, true},      {"max", OPERATION_MAX, true},    {"abs", OPERATION_ABS, false},
    {"log", OPERATION_LOG, false},     {"exp", OPERATION_EXP, false},   {"sqrt", OPERATION_SQRT, false},
    {"floor", OPERATION_FLOOR, false}, {"ceil", OPERATION_CEIL, false},
};

static enum troupe_error parse(struct compiler *compiler, int level, struct operand *ret);

static enum troupe_error problem(const struct compiler *compiler, enum troupe_error error, size_t column,
                                 const char *format, ...) PRINTF_LIKE(4, 5);
static enum troupe_error problem(const struct compiler *compiler, enum troupe_error error, size_t column,
                                 const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return place_fault(compiler->place, compiler->fault, error, "constraint \"%.160s\", column %zu: %s",
                       compiler->text, column + 1, text);
}

static void blanks_skip(struct compiler *compiler) {
    while (isspace((unsigned char)compiler->text[compiler->at]))
        compiler->at++;
}

static bool name_byte(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* True, and past it, when the word or sign comes next. */
static bool accept(struct compiler *compiler, const char *sign) {
    blanks_skip(compiler);
    size_t length = strlen(sign);
    if (strncmp(compiler->text + compiler->at, sign, length) != 0)
        return false;
    if (isalpha((unsigned char)sign[0]) && name_byte(compiler->text[compiler->at + length]))
        return false;
    compiler->at += length;
    return true;
}

static enum troupe_error emit(struct compiler *compiler, struct instruction instruction, int pushes) {
    if (compiler->count == INSTRUCTIONS_MAX || (int)compiler->depth + pushes > EXPRESSION_STACK_MAX)
        return problem(compiler, TROUPE_LIMIT, compiler->at, "the expression is too long; split it in two");
    compiler->instructions[compiler->count++] = instruction;
    compiler->depth = (unsigned)((int)compiler->depth + pushes);
    return TROUPE_OK;
}

/* The index of a text among all texts compared in this space; -1: no memory. */
static int text_intern(struct space *space, const char *text) {
    for (unsigned i = 0; i < space->text_count; i++)
        if (strcmp(space->texts[i], text) == 0)
            return (int)i;
    if (space->text_count == space->text_capacity) {
        unsigned capacity = space->text_capacity ? 2 * space->text_capacity : 32;
        const char **grown = ARENA_ARRAY(&space->arena, const char *, capacity);
        if (!grown)
            return -1;
        if (space->text_count)
            memcpy(grown, space->texts, space->text_count * sizeof *grown);
        space->texts = grown;
        space->text_capacity = capacity;
    }
    char *copy = arena_copy(&space->arena, text, strlen(text));
    if (!copy)
        return -1;
    space->texts[space->text_count] = copy;
    return (int)space->text_count++;
}

static enum operand_type choice_type(const struct variable *variable) {
    bool numbers = true, bools = true;
    for (unsigned i = 0; i < variable->choice_count; i++) {
        enum document_kind kind = variable->choice_kinds[i];
        numbers = numbers && (kind == DOCUMENT_INT || kind == DOCUMENT_REAL);
        bools = bools && kind == DOCUMENT_BOOL;
    }
    return numbers ? OPERAND_NUMBER : bools ? OPERAND_BOOL : OPERAND_TEXT;
}

static enum troupe_error choice_push(struct compiler *compiler, int index, struct operand *ret) {
    const struct variable *variable = &compiler->space->variables[index];
    ret->type = choice_type(variable);
    ret->variable = ret->type == OPERAND_TEXT ? index : -1;
    double *table = ARENA_ARRAY(&compiler->space->arena, double, variable->choice_count);
    for (unsigned i = 0; table && i < variable->choice_count; i++) {
        if (ret->type == OPERAND_TEXT)
            table[i] = text_intern(compiler->space, variable->choices[i]);
        else if (ret->type == OPERAND_BOOL)
            table[i] = strcmp(variable->choices[i], "true") == 0;
        else
            CHECK(choice_number(variable, i, &table[i]));
        if (ret->type == OPERAND_TEXT && table[i] < 0)
            table = NULL;
    }
    if (!table)
        return problem(compiler, TROUPE_NOMEM, ret->column, "no memory");
    return emit(compiler, (struct instruction){OPERATION_PUSH_CHOICE, index, 0, table}, 1);
}

static enum troupe_error number_expect(const struct compiler *compiler, const struct operand *operand,
                                       const char *what) {
    if (operand->type != OPERAND_TEXT)
        return TROUPE_OK;
    return problem(compiler, TROUPE_INVALID, operand->column, "%s needs a number, found a text", what);
}

static enum troupe_error call(struct compiler *compiler, const struct function *function,
                              struct operand *ret) {
    unsigned count = 0;
    do {
        struct operand argument;
        enum troupe_error error = parse(compiler, 1, &argument);
        if (!error)
            error = number_expect(compiler, &argument, function->name);
        if (!error && (count > 0 || !function->many))
            error =
                emit(compiler, (struct instruction){function->operation, -1, 0, NULL}, count > 0 ? -1 : 0);
        if (error)
            return error;
        count++;
    } while (function->many && accept(compiler, ","));
    if (!accept(compiler, ")"))
        return problem(compiler, TROUPE_SYNTAX, compiler->at, "expected ')' to end %s(", function->name);
    if (function->many && count < 2)
        return problem(compiler, TROUPE_INVALID, ret->column, "%s needs two values or more", function->name);
    ret->type = OPERAND_NUMBER;
    return TROUPE_OK;
}

static enum troupe_error name_unknown(struct compiler *compiler, const char *name, bool called,
                                      size_t column) {
    const char *candidates[SPACE_VARIABLES_MAX + ARRAY_COUNT(functions)];
    size_t count = 0;
    for (size_t i = 0; called && i < ARRAY_COUNT(functions); i++)
        candidates[count++] = functions[i].name;
    for (unsigned i = 0; !called && i < compiler->space->count; i++)
        candidates[count++] = compiler->space->names[i];
    const char *nearest = text_nearest(name, candidates, count);
    return problem(compiler, TROUPE_INVALID, column, "unknown %s '%.64s'%s%s%s",
                   called ? "function" : "variable", name, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
}

static enum troupe_error name_parse(struct compiler *compiler, struct operand *ret) {
    char name[128];
    size_t start = compiler->at, length = 0;
    while (name_byte(compiler->text[start + length]))
        length++;
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             compiler->text + start);
    compiler->at += length;
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        ret->type = OPERAND_BOOL;
        return emit(compiler, (struct instruction){OPERATION_PUSH_NUMBER, -1, name[0] == 't', NULL}, 1);
    }
    if (strcmp(name, "and") == 0 || strcmp(name, "or") == 0)
        return problem(compiler, TROUPE_SYNTAX, start, "expected a value before '%s'", name);
    if (accept(compiler, "(")) {
        for (size_t i = 0; i < ARRAY_COUNT(functions); i++)
            if (strcmp(functions[i].name, name) == 0)
                return call(compiler, &functions[i], ret);
        return name_unknown(compiler, name, true, start);
    }
    int index = space_find(compiler->space, name);
    if (index < 0)
        return name_unknown(compiler, name, false, start);
    if (compiler->space->variables[index].kind == VARIABLE_CHOICE)
        return choice_push(compiler, index, ret);
    ret->type = OPERAND_NUMBER;
    return emit(compiler, (struct instruction){OPERATION_PUSH_VARIABLE, index, 0, NULL}, 1);
}

static enum troupe_error text_parse(struct compiler *compiler, struct operand *ret) {
    char quote = compiler->text[compiler->at];
    const char *start = compiler->text + compiler->at + 1, *end = strchr(start, quote);
    if (!end)
        return problem(compiler, TROUPE_SYNTAX, compiler->at, "the text is never closed; expected another %c",
                       quote);
    char *literal = arena_copy(&compiler->space->arena, start, (size_t)(end - start));
    int interned = literal ? text_intern(compiler->space, literal) : -1;
    if (interned < 0)
        return problem(compiler, TROUPE_NOMEM, compiler->at, "no memory");
    compiler->at = (size_t)(end + 1 - compiler->text);
    ret->type = OPERAND_TEXT;
    ret->literal = literal;
    return emit(compiler, (struct instruction){OPERATION_PUSH_NUMBER, -1, interned, NULL}, 1);
}

/* strtod also reads hexadecimal, "inf" and "nan", so the first byte is looked at by the caller. */
static enum troupe_error number_parse(struct compiler *compiler, struct operand *ret) {
    char *end;
    double number = strtod(compiler->text + compiler->at, &end);
    if (!isfinite(number) || name_byte(*end))
        return problem(compiler, TROUPE_SYNTAX, compiler->at, "this is no number");
    compiler->at = (size_t)(end - compiler->text);
    ret->type = OPERAND_NUMBER;
    return emit(compiler, (struct instruction){OPERATION_PUSH_NUMBER, -1, number, NULL}, 1);
}

static enum troupe_error primary(struct compiler *compiler, struct operand *ret) {
    blanks_skip(compiler);
    *ret = (struct operand){.variable = -1, .column = compiler->at};
    char c = compiler->text[compiler->at];
    if (accept(compiler, "(")) {
        enum troupe_error error = parse(compiler, 1, ret);
        if (!error && !accept(compiler, ")"))
            error = problem(compiler, TROUPE_SYNTAX, compiler->at, "expected ')'");
        return error;
    }
    if (accept(compiler, "not")) {
        enum troupe_error error = parse(compiler, LEVEL_COMPARE, ret);
        if (!error && ret->type != OPERAND_BOOL)
            error = problem(compiler, TROUPE_INVALID, ret->column, "'not' needs true or false, found %s",
                            type_names[ret->type]);
        return error ? error : emit(compiler, (struct instruction){OPERATION_NOT, -1, 0, NULL}, 0);
    }
    if (accept(compiler, "-")) {
        enum troupe_error error = parse(compiler, LEVEL_NEGATE, ret);
        if (!error)
            error = number_expect(compiler, ret, "'-'");
        ret->type = OPERAND_NUMBER;
        return error ? error : emit(compiler, (struct instruction){OPERATION_NEGATE, -1, 0, NULL}, 0);
    }
    if (c == '\'' || c == '"')
        return text_parse(compiler, ret);
    if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)compiler->text[compiler->at + 1])))
        return number_parse(compiler, ret);
    if (isalpha((unsigned char)c) || c == '_')
        return name_parse(compiler, ret);
    if (!c)
        return problem(compiler, TROUPE_SYNTAX, compiler->at, "the expression ends here; expected a value");
    return problem(compiler, TROUPE_SYNTAX, compiler->at, "expected a value, found '%c'", c);
}

/* kind == 'svm': the text must be one that the choice can have, else the constraint is surely a mistake. */
static enum troupe_error texts_check(const struct compiler *compiler, const struct operand *a,
                                     const struct operand *b) {
    const struct operand *choice = a->variable >= 0 ? a : b, *literal = a->variable >= 0 ? b : a;
    if (choice->variable < 0 || !literal->literal)
        return TROUPE_OK;
    const struct variable *variable = &compiler->space->variables[choice->variable];
    for (unsigned i = 0; i < variable->choice_count; i++)
        if (strcmp(variable->choices[i], literal->literal) == 0)
            return TROUPE_OK;
    const char *nearest = text_nearest(literal->literal, variable->choices, variable->choice_count);
    return problem(compiler, TROUPE_INVALID, literal->column, "'%.64s' is not a choice of '%s'%s%s%s",
                   literal->literal, variable->name, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
}

static enum troupe_error types_check(const struct compiler *compiler, const struct binary_operator *operator,
                                     const struct operand * a, const struct operand *b) {
    bool text = a->type == OPERAND_TEXT || b->type == OPERAND_TEXT;
    if (operator->level<LEVEL_COMPARE) {
        const struct operand *bad = a->type != OPERAND_BOOL ? a : b;
        if (bad->type == OPERAND_BOOL)
            return TROUPE_OK;
        return problem(compiler, TROUPE_INVALID, bad->column,
                       "'%s' needs true or false on both sides, found %s", operator->text,
                       type_names[bad->type]);
    }
    if (!text)
        return TROUPE_OK;
    if (operator->operation != OPERATION_EQUAL && operator->operation != OPERATION_UNEQUAL)
        return problem(compiler, TROUPE_INVALID, (a->type == OPERAND_TEXT ? a : b)->column,
                       "'%s' needs numbers, found a text", operator->text);
    if (a->type != b->type)
        return problem(compiler, TROUPE_INVALID, b->column, "%s is compared with %s", type_names[a->type],
                       type_names[b->type]);
    return texts_check(compiler, a, b);
}

static const struct binary_operator *operator_next(struct compiler *compiler, int level) {
    size_t at = compiler->at;
    for (size_t i = 0; i < ARRAY_COUNT(binary_operators); i++) {
        if (!accept(compiler, binary_operators[i].text))
            continue;
        if (binary_operators[i].level >= level)
            return &binary_operators[i];
        break;
    }
    compiler->at = at;
    return NULL;
}

static enum troupe_error parse(struct compiler *compiler, int level, struct operand *ret) {
    if (compiler->nesting == EXPRESSION_NESTING_MAX)
        return problem(compiler, TROUPE_LIMIT, compiler->at, "nested deeper than %d", EXPRESSION_NESTING_MAX);
    compiler->nesting++;
    enum troupe_error error = primary(compiler, ret);
    const struct binary_operator *operator;
    bool compared = false;
    while (!error && (operator= operator_next(compiler, level))) {
        struct operand right;
        if (compared && operator->level == LEVEL_COMPARE)
            return problem(compiler, TROUPE_SYNTAX, compiler->at - strlen(operator->text),
                           "comparisons cannot be chained; write \"a < b and b < c\"");
        error = parse(compiler, operator->level +(operator->level != LEVEL_POWER), &right);
        if (!error)
            error = types_check(compiler, operator, ret, &right);
        if (!error)
            error = emit(compiler, (struct instruction){operator->operation, -1, 0, NULL}, -1);
        compared = operator->level == LEVEL_COMPARE;
        *ret = (struct operand){.type = operator->level <= LEVEL_COMPARE ? OPERAND_BOOL : OPERAND_NUMBER,
                                .variable = -1,
                                .column = ret->column};
    }
    compiler->nesting--;
    return error;
}

/* Moves the finished program into the space's arena, with the list of variables it reads. */
static enum troupe_error program_keep(struct compiler *compiler, struct expression *ret) {
    struct arena *arena = &compiler->space->arena;
    bool reads[SPACE_VARIABLES_MAX] = {false};
    for (unsigned i = 0; i < compiler->count; i++)
        if (compiler->instructions[i].variable >= 0)
            reads[compiler->instructions[i].variable] = true;
    struct expression expression = {.instruction_count = compiler->count};
    expression.text = arena_copy(arena, compiler->text, strlen(compiler->text));
    expression.instructions = ARENA_ARRAY(arena, struct instruction, compiler->count);
    expression.variables = ARENA_ARRAY(arena, unsigned, compiler->space->count);
    if (!expression.text || !expression.instructions || !expression.variables)
        return problem(compiler, TROUPE_NOMEM, 0, "no memory");
    memcpy(expression.instructions, compiler->instructions,
           compiler->count * sizeof *expression.instructions);
    for (unsigned i = 0; i < compiler->space->count; i++)
        if (reads[i])
            expression.variables[expression.variable_count++] = i;
    *ret = expression;
    return TROUPE_OK;
}

enum troupe_error expression_compile(struct space *space, const char *text, const struct place *place,
                                     struct expression *ret_expression, struct fault *fault) {
    struct compiler compiler = {.space = space, .text = text, .place = place, .fault = fault};
    struct operand result;
    if (strlen(text) > EXPRESSION_TEXT_MAX)
        return place_fault(place, fault, TROUPE_LIMIT, "a constraint has at most %d bytes, found %zu",
                           EXPRESSION_TEXT_MAX, strlen(text));
    enum troupe_error error = parse(&compiler, 1, &result);
    if (error)
        return error;
    blanks_skip(&compiler);
    if (text[compiler.at] == '=')
        return problem(&compiler, TROUPE_SYNTAX, compiler.at, "expected an operator; equality is written ==");
    if (text[compiler.at])
        return problem(&compiler, TROUPE_SYNTAX, compiler.at, "expected an operator or the end, found '%c'",
                       text[compiler.at]);
    if (result.type != OPERAND_BOOL)
        return problem(&compiler, TROUPE_INVALID, result.column,
                       "a constraint must be true or false, such as \"depth * width <= 64\"; this is %s",
                       type_names[result.type]);
    return program_keep(&compiler, ret_expression);
}
