/* The family of LIBLINEAR: linear classifiers with a bias. What is not a setting is as in LIBLINEAR's
 * `train`.
 *
 * LIBLINEAR shuffles with rand(): it is seeded before each fit, so one process with one instance repeats its
 * results. With `isolate: false` and several instances the shuffles interleave and results may differ in the
 * last digit. */
#include "digits.h"

#include <linear.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void quiet(const char *text) {
    (void)text;
}

static struct feature_node *row_nodes(const struct row *row, struct feature_node *node) {
    for (int f = 0; f < FEATURES; f++)
        if (row->pixels[f] != 0)
            *node++ = (struct feature_node){.index = f + 1, .value = row->pixels[f]};
    *node++ = (struct feature_node){.index = FEATURES + 1, .value = 1}; /* the bias */
    *node++ = (struct feature_node){.index = -1};
    return node;
}

static int solver_type(const struct settings *settings) {
    if (strcmp(settings->solver, "crammer_singer") == 0)
        return MCSVM_CS;
    /* LIBLINEAR: large C makes the dual solver stop at its iteration limit; the primal (Newton) one does not
     * care. */
    if (strcmp(settings->solver, "logistic") == 0)
        return L2R_LR;
    return L2R_L2LOSS_SVC_DUAL;
}

static double solver_eps(int type) {
    return type == L2R_LR ? 0.01 : 0.1;
}

static void linear_forget(void *model) {
    struct model *linear = model;
    if (linear)
        free_and_destroy_model(&linear);
}

static void *linear_learn(const struct settings *settings, const struct rows *rows, int without,
                          char *error) {
    set_print_string_function(quiet);
    size_t count = (size_t)rows->count;
    double *labels = calloc(count, sizeof *labels);
    struct feature_node **starts = calloc(count, sizeof(struct feature_node *));
    struct feature_node *nodes = calloc(count * (FEATURES + 2), sizeof *nodes);
    struct model *model = NULL;
    if (!labels || !starts || !nodes) {
        snprintf(error, ERROR_SIZE, "out of memory");
        goto out;
    }
    struct problem problem = {.n = FEATURES + 1, .y = labels, .x = starts, .bias = 1};
    struct feature_node *next = nodes;
    for (int i = 0; i < rows->count; i++) {
        if (rows->items[i].fold == without)
            continue;
        labels[problem.l] = rows->items[i].label;
        starts[problem.l++] = next;
        next = row_nodes(&rows->items[i], next);
    }
    int type = solver_type(settings);
    struct parameter parameter = {.solver_type = type, .eps = solver_eps(type), .C = settings->c, .p = 0.1};
    const char *wrong = check_parameter(&problem, &parameter);
    if (wrong) {
        snprintf(error, ERROR_SIZE, "LIBLINEAR: %s", wrong);
        goto out;
    }
    srand((unsigned)(settings->seed ^ (settings->seed >> 32)));
    model = train(&problem, &parameter); /* keeps nothing of the problem */
out:
    free(labels);
    free(starts);
    free(nodes);
    return model;
}

static int linear_predict(const void *model, const struct row *row) {
    struct feature_node nodes[FEATURES + 2];
    row_nodes(row, nodes);
    return (int)predict(model, nodes);
}

static bool linear_save(const void *model, const char *path) {
    return save_model(path, model) == 0;
}

static void *linear_load(const char *path) {
    return load_model(path);
}

const struct family family_linear = {linear_learn, linear_predict, linear_save, linear_load, linear_forget};
