/* The space floor: what compiles and what is refused and how; values, unit interval, streams, JSON; each
 * against a naive model over random spaces; every allocation failed in turn. */
#include "space/space.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct document *document;
    struct space *space;
};

static enum troupe_error world_make(const char *yaml, struct world *world, struct fault *fault) {
    *world = (struct world){0};
    enum troupe_error error =
        document_parse_yaml(yaml, strlen(yaml), "p.yaml", NULL, &world->document, fault);
    if (!error) {
        const struct node *root = document_root(world->document);
        error = space_compile(node_get(root, "space"), node_get(root, "constraints"), &world->space, fault);
    }
    return error;
}

static void world_free(struct world *world) {
    space_free(world->space);
    document_free(world->document);
}

static const char rich[] = "space:\n"
                           "  kind: {choice: [svm, linear, 3, 0.5, true], default: svm}\n"
                           "  C: {float: [0.01, 1000], log: true, default: 1, when: {kind: svm}}\n"
                           "  depth: {int: [1, 9], step: 2, when: {kind: [linear, 3]}}\n"
                           "  rate: {float: [0, 1], step: 0.1}\n"
                           "  units: {int: [8, 1024], log: true, when: {depth: [3, 5]}}\n"
                           "  lr: log(1e-4, 1e-1)\n"
                           "constraints: [\"kind != 'svm' or C < 100\", 'depth * rate <= 4.5']\n";

/* One bad definition a row: where the message points, and words of it. */
static const struct {
    const char *yaml, *where, *text;
    enum troupe_error error;
} bad_definitions[] = {
    {"space: {}\n", "p.yaml:1:", "no variables", TROUPE_INVALID},
    {"space: [1]\n", "p.yaml:1:", "expected variables by name", TROUPE_INVALID},
    {"space:\n  lr: {float: [0.1, 1], lgo: true}\n", "p.yaml:2:", "'log'", TROUPE_INVALID},
    {"space:\n  lr: {float: [2, 1]}\n", "p.yaml:2:", "reversed: low 2 is above high 1", TROUPE_INVALID},
    {"space:\n  lr: {float: [0, 1], log: true}\n", "p.yaml:2:", "log scale needs a low above 0",
     TROUPE_INVALID},
    {"space:\n  lr: {float: [0, 1], step: -1}\n", "p.yaml:2:", "must be positive", TROUPE_INVALID},
    {"space:\n  lr: {float: [0, 1], step: 0}\n", "p.yaml:2:", "must be positive", TROUPE_INVALID},
    {"space:\n  lr: {float: [1, 2], step: 0.1, log: true}\n", "p.yaml:2:", "exclude each other",
     TROUPE_INVALID},
    {"space:\n  lr: {float: [0, .inf]}\n", "p.yaml:2:", "finite", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 2.5]}\n", "p.yaml:2:", "must be integers", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 9], step: 0.5}\n", "p.yaml:2:", "must be an integer", TROUPE_INVALID},
    {"space:\n  n: {int: [1, x]}\n", "p.yaml:2:", "", TROUPE_INVALID},
    {"space:\n  n: {int: 4}\n", "p.yaml:2:", "expected int: [low, high]", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 2, 3]}\n", "p.yaml:2:", "does not hold two numbers", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 2], float: [1, 2]}\n", "p.yaml:2:", "exactly one of", TROUPE_INVALID},
    {"space:\n  n: {log: true}\n", "p.yaml:2:", "exactly one of", TROUPE_INVALID},
    {"space:\n  n: 5\n", "p.yaml:2:", "short form", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 4], default: 7}\n", "p.yaml:2:", "above its highest value 4", TROUPE_INVALID},
    {"space:\n  n: {int: [1, 5], step: 2, default: 2}\n", "p.yaml:2:", "not on a step", TROUPE_INVALID},
    {"space:\n  k: {choice: []}\n", "p.yaml:2:", "an empty list", TROUPE_INVALID},
    {"space:\n  k: {choice: [a, a]}\n", "p.yaml:2:", "listed twice", TROUPE_INVALID},
    {"space:\n  k: {choice: [1, 1.0]}\n", "p.yaml:2:", "listed twice", TROUPE_INVALID},
    {"space:\n  k: {choice: [3, '3']}\n", "p.yaml:2:", "listed twice", TROUPE_INVALID},
    {"space:\n  k: {choice: [[a]]}\n", "p.yaml:2:", "a text, number or bool", TROUPE_INVALID},
    {"space:\n  k: {choice: [a, b], step: 1}\n", "p.yaml:2:", "has no step", TROUPE_INVALID},
    {"space:\n  k: {choice: [adam, sgd], default: adm}\n", "p.yaml:2:", "did you mean 'adam'",
     TROUPE_INVALID},
    {"space:\n  9a: float(0,1)\n", "p.yaml:2:", "no variable name", TROUPE_INVALID},
    {"space:\n  and: float(0,1)\n", "p.yaml:2:", "constraint language", TROUPE_INVALID},
    {"space:\n  a: {float: [0, 1], when: {k: x}}\n  k: {choice: [x]}\n",
     "p.yaml:2:", "not a variable defined before it", TROUPE_INVALID},
    {"space:\n  kind: {choice: [x]}\n  a: {float: [0, 1], when: {knd: x}}\n",
     "p.yaml:3:", "did you mean 'kind'", TROUPE_INVALID},
    {"space:\n  a: {float: [0, 1], when: {a: 1}}\n", "p.yaml:2:", "depend on itself", TROUPE_INVALID},
    {"space:\n  f: float(0,1)\n  a: {float: [0, 1], when: {f: 1}}\n", "p.yaml:3:", "only a choice or an int",
     TROUPE_INVALID},
    {"space:\n  k: {choice: [x, y]}\n  a: {float: [0, 1], when: {k: [x, z]}}\n",
     "p.yaml:3:", "'z' is not a choice of 'k'", TROUPE_INVALID},
    {"space:\n  k: {int: [1, 3]}\n  a: {float: [0, 1], when: {k: 4}}\n", "p.yaml:3:", "above its highest",
     TROUPE_INVALID},
    {"space:\n  k: {choice: [x]}\n  a: {float: [0, 1], when: {k: []}}\n", "p.yaml:3:", "lists no value",
     TROUPE_INVALID},
    {"space:\n  k: {choice: [x]}\n  a: {float: [0, 1], when: x}\n", "p.yaml:3:", "one condition",
     TROUPE_INVALID},
    {"space:\n  a: flaot(0, 1)\n", "p.yaml:2:", "did you mean 'float'", TROUPE_INVALID},
    {"space:\n  a: float(0, 1\n", "p.yaml:2:", "expected ',' or ')'", TROUPE_SYNTAX},
    {"space:\n  a: float 0, 1\n", "p.yaml:2:", "column 7: expected '('", TROUPE_SYNTAX},
    {"space:\n  a: float(0, , 1)\n", "p.yaml:2:", "expected a value here", TROUPE_SYNTAX},
    {"space:\n  a: float(0, 1) x\n", "p.yaml:2:", "nothing may follow", TROUPE_SYNTAX},
    {"space:\n  a: float(0)\n", "p.yaml:2:", "1 value; expected float(low, high)", TROUPE_INVALID},
    {"space:\n  a: log(1, 2, 3)\n", "p.yaml:2:", "too many values", TROUPE_INVALID},
    {"space:\n  a: float(0, x)\n", "p.yaml:2:", "'x' is not a number", TROUPE_INVALID},
    {"space:\n  a: int(0, 9, 0)\n", "p.yaml:2:", "must be positive", TROUPE_INVALID},
    {"space:\n  a: choice('x, y)\n", "p.yaml:2:", "never closed", TROUPE_SYNTAX},
    {"space:\n  a: float(0,1)\nconstraints: a < 1\n", "p.yaml:3:", "list of expressions", TROUPE_INVALID},
    {"space:\n  a: float(0,1)\nconstraints: [7]\n", "p.yaml:3:", "expected an expression", TROUPE_INVALID},
};

static void bad_definitions_say_where_and_why(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_definitions); i++) {
        struct world world;
        struct fault fault = {0};
        enum troupe_error error = world_make(bad_definitions[i].yaml, &world, &fault);
        world_free(&world);
        if (error != bad_definitions[i].error || !strstr(fault.text, bad_definitions[i].text) ||
            !strstr(fault.where, bad_definitions[i].where))
            fail_msg("%s\n  gave %s at '%s': %s", bad_definitions[i].yaml, error_name(error), fault.where,
                     fault.text);
    }
}

static void var_strings_compile(void **state) {
    (void)state;
    static const char *const vars[] = {"lr=log(1e-4, 1e-1)", "depth = int(2,8,2)", "b=logint(1,64)",
                                       "kind=choice(a, 'b,c', 3, \"4\", true)", "m=float(0,1,0.25)"};
    struct space *space;
    struct fault fault;
    assert_int_equal(space_compile_vars(vars, 5, &space, &fault), TROUPE_OK);
    assert_int_equal(space_count(space), 5);
    assert_string_equal(space_variable(space, 1)->name, "depth");
    assert_true(space_variable(space, 0)->log && space_variable(space, 2)->log);
    assert_true(space_variable(space, 1)->levels == 4 && space_variable(space, 4)->levels == 5);
    const struct variable *kind = space_variable(space, 3);
    assert_int_equal(kind->choice_count, 5);
    assert_string_equal(kind->choices[1], "b,c");
    assert_int_equal(kind->choice_kinds[2], DOCUMENT_INT);
    assert_int_equal(kind->choice_kinds[3], DOCUMENT_STRING);
    assert_int_equal(kind->choice_kinds[4], DOCUMENT_BOOL);
    space_free(space);
    static const char *const bad[] = {"lr", "=log(1,2)", "lr=", "lr=log(0,1)", "l-r=log(1,2)", "lr=log(2,1)"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_not_equal(space_compile_vars(&bad[i], 1, &space, &fault), TROUPE_OK);
        assert_non_null(strstr(fault.where, "--var '"));
    }
    static const char *const twice[] = {"a=int(0,1)", "a=int(0,2)"};
    assert_int_equal(space_compile_vars(twice, 2, &space, &fault), TROUPE_INVALID);
    assert_non_null(strstr(fault.text, "defined twice"));
    const char *many[SPACE_VARIABLES_MAX + 1];
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = "a=int(0,1)";
    assert_int_equal(space_compile_vars(many, ARRAY_COUNT(many), &space, &fault), TROUPE_LIMIT);
}

static void steps_print_as_written(void **state) {
    (void)state;
    static const char *const vars[] = {"m=float(0,1,0.1)"};
    struct space *space;
    struct fault fault;
    assert_int_equal(space_compile_vars(vars, 1, &space, &fault), TROUPE_OK);
    const struct variable *variable = space_variable(space, 0);
    struct configuration configuration = {.count = 1, .values = {0.1 + 0.2}};
    char text[32];
    space_normalise(space, &configuration);
    assert_string_equal(space_value_text(variable, configuration.values[0], text, sizeof text), "0.3");
    assert_string_equal(space_value_text(variable, NAN, text, sizeof text), "");
    space_free(space);
}

/* The naive validity of one value, written without the floor's tables. */
static bool naive_valid(const struct variable *variable, double value) {
    if (variable->kind == VARIABLE_CHOICE)
        return value == 0 || value == 1 || value == 2 || value == 3 || value == 4;
    if (!(value >= variable->low && value <= variable->high))
        return false;
    if (variable->step <= 0)
        return true;
    for (double k = 0; variable->low + k * variable->step <= variable->high + 1e-9; k++)
        if (fabs(variable->low + k * variable->step - value) < 1e-9)
            return true;
    return false;
}

static bool naive_configuration_valid(const struct space *space, const double *v) {
    bool active[6] = {true, v[0] == 0, v[0] == 1 || v[0] == 2, true, v[2] == 3 || v[2] == 5, true};
    for (unsigned i = 0; i < 6; i++)
        if (active[i] ? !naive_valid(space_variable(space, i), v[i]) : !isnan(v[i]))
            return false;
    return true;
}

static double wild_value(struct random_stream *random, const struct variable *variable) {
    switch (random_below(random, 6)) {
    case 0:
        return NAN;
    case 1:
        return -1 + (double)random_below(random, 12);
    case 2:
        return random_unit(random) * 1200 - 100;
    default:
        return space_from_unit(variable, random_unit(random));
    }
}

static void validate_agrees_with_naive_and_normalise_is_idempotent(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    assert_int_equal(world_make(rich, &world, &fault), TROUPE_OK);
    struct random_stream random;
    random_seed(&random, 7, 1);
    unsigned valid = 0;
    for (unsigned n = 0; n < 50000; n++) {
        struct configuration a = {.count = 6}, b;
        for (unsigned i = 0; i < 6; i++)
            a.values[i] = wild_value(&random, space_variable(world.space, i));
        if (n % 2)
            space_normalise(world.space, &a);
        bool naive = naive_configuration_valid(world.space, a.values);
        enum troupe_error error = space_validate(world.space, &a, &fault);
        bool feasible = !(a.values[0] == 0 && a.values[1] >= 100) && !(a.values[2] * a.values[3] > 4.5);
        assert_int_equal(error, !naive ? TROUPE_INVALID : !feasible ? TROUPE_INFEASIBLE : TROUPE_OK);
        valid += !error;
        space_normalise(world.space, &a);
        b = a;
        space_normalise(world.space, &b);
        assert_memory_equal(a.values, b.values, 6 * sizeof *a.values);
    }
    assert_in_range(valid, 1000, 49000); /* both answers were really met */
    world_free(&world);
}

static void unit_interval_round_trips(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    assert_int_equal(world_make(rich, &world, &fault), TROUPE_OK);
    struct random_stream random;
    random_seed(&random, 7, 2);
    for (unsigned i = 0; i < space_count(world.space); i++) {
        const struct variable *variable = space_variable(world.space, i);
        assert_true(naive_valid(variable, space_from_unit(variable, 0)));
        assert_true(naive_valid(variable, space_from_unit(variable, 1)));
        for (unsigned n = 0; n < 5000; n++) {
            double unit = random_unit(&random), value = space_from_unit(variable, unit), low, high;
            assert_true(naive_valid(variable, value));
            double back = space_to_unit(variable, value);
            space_unit_cell(variable, value, &low, &high);
            if (isfinite(variable->levels)) {
                assert_true(space_from_unit(variable, back) == value);
                assert_true(low - 1e-12 <= unit && unit <= high + 1e-12 && low < high);
            } else {
                assert_true(fabs(back - unit) < 1e-9);
                assert_true(low == high);
            }
        }
    }
    world_free(&world);
}

/* Every level combination by plain nested counting, normalised, feasible, each kept once in a map. */
static void stream_equals_naive_enumeration(void **state) {
    (void)state;
    static const char yaml[] = "space:\n"
                               "  k: {choice: [a, b, c]}\n"
                               "  n: {int: [1, 4], when: {k: [a, b]}}\n"
                               "  s: {float: [0, 1], step: 0.5, when: {n: [2, 3]}}\n"
                               "  t: {choice: [x, y]}\n"
                               "  u: {int: [1, 3], when: {t: y}}\n"
                               "constraints: [\"k == 'c' or n != 3 or s < 1\", \"t == 'x' or u + n <= 6\"]\n";
    static const char *const names[] = {"k", "n", "s", "t", "u"};
    (void)names;
    struct world world;
    struct fault fault;
    struct account account = ACCOUNT("test");
    struct map *seen;
    assert_int_equal(world_make(yaml, &world, &fault), TROUPE_OK);
    assert_int_equal(map_create(&account, &seen), TROUPE_OK);
    size_t all = 0;
    for (unsigned n = 0; n < 3 * 4 * 3 * 2 * 3; n++) {
        double k = n % 3, i = n / 3 % 4 + 1, s = n / 12 % 3 * 0.5, t = n / 36 % 2, u = n / 72 % 3 + 1;
        struct configuration configuration = {.count = 5, .values = {k, i, s, t, u}};
        space_normalise(world.space, &configuration);
        if (!map_get(seen, (const char *)configuration.values, 5 * sizeof(double))) {
            all++;
            assert_int_equal(map_put(seen, (const char *)configuration.values, 5 * sizeof(double), &account),
                             TROUPE_OK);
        }
    }
    assert_true(space_cardinality(world.space) == (double)all);
    struct space_stream stream;
    struct configuration configuration;
    size_t streamed = 0;
    space_stream_init(&stream, world.space, 1);
    while (space_stream_next(&stream, &configuration)) {
        streamed++;
        assert_int_equal(space_validate(world.space, &configuration, &fault), TROUPE_OK);
        /* removal fails for what was streamed twice or never enumerated */
        assert_non_null(map_remove(seen, (const char *)configuration.values, 5 * sizeof(double)));
    }
    assert_false(space_stream_next(&stream, &configuration));
    const char *key;
    size_t length, left = 0;
    void *value;
    for (size_t at = 0; map_next(seen, &at, &key, &length, &value); left++) {
        configuration.count = 5;
        memcpy(configuration.values, key, 5 * sizeof(double));
        assert_false(space_feasible(world.space, &configuration));
    }
    assert_int_equal(streamed + left, all);
    map_free(seen);
    world_free(&world);
}

static void json_round_trips(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    struct account account = ACCOUNT("test");
    struct random_stream random;
    random_seed(&random, 7, 3);
    assert_int_equal(world_make(rich, &world, &fault), TROUPE_OK);
    for (unsigned n = 0; n < 2000; n++) {
        struct configuration drawn, read;
        struct buffer buffer;
        struct json json;
        struct document *document;
        assert_int_equal(space_draw(world.space, &random, 0, &drawn, &fault), TROUPE_OK);
        buffer_init(&buffer, &account, 0);
        json_init(&json, &buffer);
        space_write_json(world.space, &drawn, &json);
        assert_int_equal(
            document_parse_json(buffer_string(&buffer), buffer.length, "c", NULL, &document, &fault),
            TROUPE_OK);
        assert_int_equal(space_read_json(world.space, document_root(document), &read, &fault), TROUPE_OK);
        for (unsigned i = 0; i < 6; i++)
            assert_true(drawn.values[i] == read.values[i] ||
                        (isnan(drawn.values[i]) && isnan(read.values[i])));
        document_free(document);
        buffer_free(&buffer);
    }
    static const struct {
        const char *json, *text;
    } bad[] = {
        {"{\"kind\":\"svm\",\"C\":1,\"rate\":0,\"lr\":0.01,\"rat\":1}", "'rate'"},
        {"{\"kind\":\"svm\",\"rate\":0,\"lr\":0.01}", "'C' has no value"},
        {"{\"kind\":\"linear\",\"C\":1,\"depth\":1,\"rate\":0,\"lr\":0.01}", "is inactive"},
        {"{\"kind\":\"svn\",\"C\":1,\"rate\":0,\"lr\":0.01}", "did you mean 'svm'"},
        {"{\"kind\":\"svm\",\"C\":1e9,\"rate\":0,\"lr\":0.01}", "above its highest"},
        {"{\"kind\":\"svm\",\"C\":\"x\",\"rate\":0,\"lr\":0.01}", "expected a number"},
        {"{\"kind\":\"svm\",\"C\":1,\"rate\":0.15,\"lr\":0.01}", "not on a step"},
        {"[1]", "expected a configuration"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct document *document;
        struct configuration read;
        assert_int_equal(document_parse_json(bad[i].json, strlen(bad[i].json), "c", NULL, &document, &fault),
                         TROUPE_OK);
        assert_int_equal(space_read_json(world.space, document_root(document), &read, &fault),
                         TROUPE_INVALID);
        if (!strstr(fault.text, bad[i].text))
            fail_msg("%s: %s", bad[i].json, fault.text);
        document_free(document);
    }
    world_free(&world);
}

static void schema_is_json_and_names_every_variable(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    struct account account = ACCOUNT("test");
    struct buffer buffer;
    struct json json;
    struct document *document;
    assert_int_equal(world_make(rich, &world, &fault), TROUPE_OK);
    buffer_init(&buffer, &account, 0);
    json_init(&json, &buffer);
    space_write_schema(world.space, &json);
    assert_int_equal(document_parse_json(buffer_string(&buffer), buffer.length, "s", NULL, &document, &fault),
                     TROUPE_OK);
    const struct node *root = document_root(document), *properties = node_get(root, "properties");
    assert_int_equal(node_count(properties), 6);
    assert_int_equal(node_count(node_get(root, "required")), 3);
    assert_int_equal(node_count(node_get(root, "allOf")), 3);
    assert_int_equal(node_count(node_get(node_get(properties, "kind"), "enum")), 5);
    document_free(document);
    buffer_free(&buffer);
    world_free(&world);
}

static void default_and_baseline(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    struct configuration configuration;
    assert_int_equal(world_make(rich, &world, &fault), TROUPE_OK);
    space_default(world.space, &configuration);
    assert_true(configuration.values[0] == 0 && configuration.values[1] == 1 &&
                isnan(configuration.values[2]));
    assert_false(space_has_baseline(world.space)); /* rate and lr declare none */
    world_free(&world);
    assert_int_equal(world_make("space:\n  k: {choice: [a, b], default: b}\n"
                                "  x: {float: [0, 1], when: {k: a}}\n",
                                &world, &fault),
                     TROUPE_OK);
    assert_true(space_has_baseline(world.space)); /* x is inactive in the default */
    world_free(&world);
}

static void infeasible_space_names_the_tightest_constraint(void **state) {
    (void)state;
    struct world world;
    struct fault fault;
    struct random_stream random;
    struct configuration configuration;
    random_seed(&random, 1, 1);
    assert_int_equal(
        world_make(
            "space: {a: 'float(0,1)', b: 'float(0,1)'}\nconstraints: ['a < 0.5', 'a + b > 2', 'b < 0.9']\n",
            &world, &fault),
        TROUPE_OK);
    assert_int_equal(space_draw(world.space, &random, 100, &configuration, &fault), TROUPE_INFEASIBLE);
    assert_non_null(strstr(fault.text, "\"a + b > 2\" failed most often (100 of 100)"));
    world_free(&world);
}

static void hash_is_of_the_meaning(void **state) {
    (void)state;
    static const struct {
        const char *yaml;
        bool same;
    } cases[] = {
        {"space: {a: {int: [1, 4]}, b: 'float(0, 1)'}\nconstraints: ['a*b<2']\n", true},
        {"space:\n  a: int(1,4)\n  b: {float: [0, 1], default: 0.5}\nconstraints: [ 'a * b < 2' ]\n", true},
        {"space: {a: {int: [1, 4]}, c: 'float(0, 1)'}\nconstraints: ['a*c<2']\n", false},
        {"space: {a: {int: [1, 5]}, b: 'float(0, 1)'}\nconstraints: ['a*b<2']\n", false},
        {"space: {a: {int: [1, 4], log: true}, b: 'float(0, 1)'}\nconstraints: ['a*b<2']\n", false},
        {"space: {a: {int: [1, 4]}, b: 'float(0, 1)'}\nconstraints: ['a*b<3']\n", false},
        {"space: {a: {int: [1, 4]}, b: 'float(0, 1)'}\n", false},
        {"space: {a: {int: [1, 4]}, b: {float: [0, 1], when: {a: 1}}}\nconstraints: ['a*b<2']\n", false},
    };
    uint64_t first = 0;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world world;
        struct fault fault;
        assert_int_equal(world_make(cases[i].yaml, &world, &fault), TROUPE_OK);
        if (i == 0)
            first = space_hash(world.space);
        assert_int_equal(space_hash(world.space) == first, cases[i].same);
        world_free(&world);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    struct fault fault;
    for (int64_t n = 1;; n++) {
        struct world world;
        memory_fail_after(n);
        enum troupe_error error = world_make(rich, &world, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        world_free(&world);
        if (!fired) {
            assert_int_equal(error, TROUPE_OK);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(error, TROUPE_NOMEM);
    }
    static const char *const vars[] = {"a=choice(x,y)", "b=float(0,1)"};
    for (int64_t n = 1;; n++) {
        struct space *space = NULL;
        memory_fail_after(n);
        enum troupe_error error = space_compile_vars(vars, 2, &space, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        space_free(space);
        assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_definitions_say_where_and_why),
        cmocka_unit_test(var_strings_compile),
        cmocka_unit_test(steps_print_as_written),
        cmocka_unit_test(validate_agrees_with_naive_and_normalise_is_idempotent),
        cmocka_unit_test(unit_interval_round_trips),
        cmocka_unit_test(stream_equals_naive_enumeration),
        cmocka_unit_test(json_round_trips),
        cmocka_unit_test(schema_is_json_and_names_every_variable),
        cmocka_unit_test(default_and_baseline),
        cmocka_unit_test(infeasible_space_names_the_tightest_constraint),
        cmocka_unit_test(hash_is_of_the_meaning),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
