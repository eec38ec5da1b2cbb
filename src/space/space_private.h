/* Inside the space floor: the compiled space, compiled constraints, and where a definition was written.
 * Nothing outside src/space and its tests includes this. */
#ifndef SPACE_SPACE_PRIVATE_H
#define SPACE_SPACE_PRIVATE_H

#include "space/space.h"

/* One step of a postfix program. PUSH_CHOICE looks the value (an index) up in `table`. */
enum operation {
    OPERATION_PUSH_NUMBER,
    OPERATION_PUSH_VARIABLE,
    OPERATION_PUSH_CHOICE,
    OPERATION_OR,
    OPERATION_AND,
    OPERATION_NOT,
    OPERATION_EQUAL,
    OPERATION_UNEQUAL,
    OPERATION_LESS,
    OPERATION_LESS_EQUAL,
    OPERATION_GREATER,
    OPERATION_GREATER_EQUAL,
    OPERATION_ADD,
    OPERATION_SUBTRACT,
    OPERATION_MULTIPLY,
    OPERATION_DIVIDE,
    OPERATION_MODULO,
    OPERATION_POWER,
    OPERATION_NEGATE,
    OPERATION_MIN,
    OPERATION_MAX,
    OPERATION_ABS,
    OPERATION_LOG,
    OPERATION_EXP,
    OPERATION_SQRT,
    OPERATION_FLOOR,
    OPERATION_CEIL,
};

struct instruction {
    enum operation operation;
    int variable;        /* PUSH_VARIABLE, PUSH_CHOICE */
    double number;       /* PUSH_NUMBER */
    const double *table; /* PUSH_CHOICE: by choice */
};

#define EXPRESSION_TEXT_MAX 4096 /* bytes of one constraint */
#define EXPRESSION_STACK_MAX 64
#define EXPRESSION_NESTING_MAX 48

struct expression {
    const char *text;
    struct instruction *instructions;
    unsigned instruction_count;
    unsigned *variables; /* read by it, each once, ascending */
    unsigned variable_count;
};

struct space {
    struct arena arena;
    unsigned count;
    struct variable *variables;
    const char **names; /* by variable, for suggestions and space_find */
    struct expression *constraints;
    unsigned constraint_count;
    const char **texts; /* texts that constraints compare, interned: a text is its index here */
    unsigned text_count, text_capacity;
};

/* Where a definition was written: a node of a document, else a text such as "--var 'lr=log(1,2)'". */
struct place {
    const struct node *node;
    const char *where;
};
enum troupe_error place_fault(const struct place *place, struct fault *fault, enum troupe_error error,
                              const char *format, ...) PRINTF_LIKE(4, 5);

/* Definitions; space->variables[0 .. index) are finished. */
MUST_CHECK enum troupe_error variable_from_node(struct space *space, unsigned index, const struct node *node,
                                                struct fault *fault);
MUST_CHECK enum troupe_error variable_from_short_form(struct space *space, unsigned index, const char *text,
                                                      const struct place *place, struct fault *fault);
MUST_CHECK enum troupe_error variable_check_name(const struct space *space, unsigned index,
                                                 const struct place *place, struct fault *fault);
/* Checks bounds, step and log; fills levels and scale. */
MUST_CHECK enum troupe_error variable_finish_range(struct variable *variable, const struct place *place,
                                                   struct fault *fault);
/* Appends to variable->choices, which has room for SPACE_CHOICES_MAX; refuses what is there already. */
MUST_CHECK enum troupe_error variable_add_choice(struct space *space, struct variable *variable,
                                                 const char *text, enum document_kind kind,
                                                 const struct place *place, struct fault *fault);

/* Values */
double variable_snap(const struct variable *variable, double value);
double variable_at(const struct variable *variable, uint64_t level); /* discrete only */
bool variable_active(const struct space *space, const double *values, unsigned index);
/* The value that `node` stands for; INVALID when it has the wrong type or is not in the domain. */
MUST_CHECK enum troupe_error variable_read(const struct variable *variable, const struct node *node,
                                           double *ret_value, struct fault *fault);
/* NULL when `value` is in the domain, else what is wrong, written into `out`. */
const char *variable_objection(const struct variable *variable, double value, char *out, size_t size);
/* The number a choice stands for; false when it is a text. */
bool choice_number(const struct variable *variable, unsigned choice, double *ret_number);

MUST_CHECK enum troupe_error expression_compile(struct space *space, const char *text,
                                                const struct place *place, struct expression *ret_expression,
                                                struct fault *fault);
double expression_evaluate(const struct expression *expression, const double *values);
bool expression_holds(const struct expression *expression, const double *values); /* also when it reads NaN */

#endif
