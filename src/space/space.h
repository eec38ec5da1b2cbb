/* space: typed variables, conditions, constraint expressions; configurations streamed one at a time.
 *
 * Threads: a space is immutable once compiled, readable from any thread. A configuration is plain data.
 * Memory:  the space owns its arena. A configuration is a flat array of space_count values in caller memory.
 * Failure: INVALID with the node's position; INFEASIBLE when no configuration satisfies the constraints. */
#ifndef SPACE_SPACE_H
#define SPACE_SPACE_H

#include "document/document.h"

#define SPACE_VARIABLES_MAX 256
#define SPACE_CHOICES_MAX 1024
#define SPACE_CONSTRAINTS_MAX 64

enum variable_kind { VARIABLE_FLOAT, VARIABLE_INT, VARIABLE_CHOICE };

/* One compiled variable. float: [low, high], `step` > 0 snaps, `log` searches in log scale. int: as float on
 * integers. choice: index into choices. A conditional variable is active only while its parent (a choice
 * or int variable, declared earlier) is active and has one of the listed values. */
struct variable {
    const char *name;
    enum variable_kind kind;
    bool log;
    double low, high, step;                 /* float, int */
    unsigned choice_count;                  /* choice */
    const char *const *choices;             /* choice: text of each */
    const enum document_kind *choice_kinds; /* so that 3 stays a number in JSON */
    int parent;                             /* -1: unconditional */
    const double *parent_values;
    unsigned parent_value_count;
    bool has_default;
    double default_value; /* same encoding as a value */
    double levels;        /* distinct values; INFINITY: continuous */
    double scale; /* float with step: values are rounded to 1/scale, so that 0.1 + 0.2 prints 0.3; 0: not */
};

struct space;

/* A value: float as is, int as an integral double, choice as its index. Inactive: NaN. */
struct configuration {
    unsigned count;
    double values[SPACE_VARIABLES_MAX];
};

/* From the pipeline's `space:` node, e.g.
 *   kind: {choice: [svm, linear], default: svm}
 *   C:    {float: [0.01, 1000], log: true, default: 1, when: {kind: svm}}
 *   lr:   log(1e-4, 1e-1)          (the short forms of --var work too: float(a,b[,step]), int(a,b[,step]),
 * log(a,b), logint(a,b), choice(a,b,c)) constraints: `space_constraints` node: list of expressions such as
 * "depth * width <= 64" or "kind != 'svm' or C < 10" `constraints` may be NULL. Expressions are compiled to
 * flat postfix arrays; operators: or and not == != < <= > >= + - * / % ** unary -, min max abs log exp sqrt
 * floor ceil; names are variables; strings are choices. A constraint that reads an inactive variable holds.
 */
MUST_CHECK enum troupe_error space_compile(const struct node *variables, const struct node *constraints,
                                           struct space **ret_space, struct fault *fault);
/* From --var 'lr=log(1e-4,1e-1)' strings. */
MUST_CHECK enum troupe_error space_compile_vars(const char *const *vars, size_t count,
                                                struct space **ret_space, struct fault *fault);
void space_free(struct space *space);
unsigned space_count(const struct space *space);
const struct variable *space_variable(const struct space *space, unsigned index);
int space_find(const struct space *space, const char *name); /* -1: none */
/* Number of distinct configurations, INFINITY when continuous; ignores constraints. */
double space_cardinality(const struct space *space);
uint64_t space_hash(
    const struct space *space); /* of its meaning: names, kinds, bounds, conditions, constraints */

/* Sets inactive variables to NaN from the values of the parents, snaps to steps and bounds. */
void space_normalise(const struct space *space, struct configuration *configuration);
bool space_active(const struct space *space, const struct configuration *configuration, unsigned index);
/* OK or INVALID naming the variable (path) and the reason, or INFEASIBLE naming the constraint. */
MUST_CHECK enum troupe_error space_validate(const struct space *space,
                                            const struct configuration *configuration, struct fault *fault);
bool space_feasible(const struct space *space,
                    const struct configuration *configuration); /* constraints only */
/* Defaults where given, else the middle (log middle, first choice). */
void space_default(const struct space *space, struct configuration *ret_configuration);
/* True when every variable that is active in the default has a declared default: trial 0 is then the
 * baseline. */
bool space_has_baseline(const struct space *space);

/* Unit cube: value <-> [0,1] per variable (log and step aware); choice: (index + 0.5) / count. */
double space_to_unit(const struct variable *variable, double value);
double space_from_unit(const struct variable *variable, double unit);
/* The part of the unit interval that from_unit maps to `value`: what a density must be integrated over. Empty
 * (low == high) for a continuous variable. */
void space_unit_cell(const struct variable *variable, double value, double *ret_low, double *ret_high);
/* Draws from the unit cube until the constraints hold; INFEASIBLE after `tries` (0: 10,000) naming the
 * tightest. */
MUST_CHECK enum troupe_error space_draw(const struct space *space, struct random_stream *random,
                                        unsigned tries, struct configuration *ret_configuration,
                                        struct fault *fault);

/* Streams every configuration of a finite space, or `points` per continuous variable, one at a time, skipping
 * infeasible ones; memory O(variables). A stretch of SPACE_STREAM_SKIP_MAX infeasible ones ends it, with
 * gave_up. */
#define SPACE_STREAM_SKIP_MAX 10000000
struct space_stream {
    const struct space *space;
    unsigned points;
    uint64_t index[SPACE_VARIABLES_MAX];
    bool started, done, gave_up;
};
void space_stream_init(struct space_stream *stream, const struct space *space, unsigned points);
bool space_stream_next(struct space_stream *stream, struct configuration *ret_configuration);

/* {"lr":0.01,"kind":"svm"}: active variables only, in declaration order. */
void space_write_json(const struct space *space, const struct configuration *configuration,
                      struct json *json);
/* Reads that form back; INVALID names what is unknown, missing, inactive or out of range. */
MUST_CHECK enum troupe_error space_read_json(const struct space *space, const struct node *map,
                                             struct configuration *ret_configuration, struct fault *fault);
/* The value as the text used for {name} in a command line. Returns out. */
const char *space_value_text(const struct variable *variable, double value, char *out, size_t size);
/* The JSON Schema of a configuration. */
void space_write_schema(const struct space *space, struct json *json);

#endif
