/* The family of LIBSVM: C-support vector classification with an RBF or a polynomial kernel. What is not a
 * setting (eps, cache, shrinking, coef0) is as in svm-train, so the untuned default is svm-train's.
 *
 * Memory: a LIBSVM model points into the rows that it learned from, so the model and its nodes are freed
 * together. */
#include "digits.h"

#include <libsvm/svm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct svm {
    struct svm_model *model;
    struct svm_node *nodes; /* NULL for a loaded model */
};

static void quiet(const char *text) {
    (void)text;
}

/* LIBSVM's sparse form: zeros left out, ended by index -1. Returns the node after the end. */
static struct svm_node *row_nodes(const struct row *row, struct svm_node *node) {
    for (int f = 0; f < FEATURES; f++)
        if (row->pixels[f] != 0)
            *node++ = (struct svm_node){.index = f + 1, .value = row->pixels[f]};
    *node++ = (struct svm_node){.index = -1};
    return node;
}

static void svm_forget(void *model) {
    struct svm *svm = model;
    if (!svm)
        return;
    svm_free_and_destroy_model(&svm->model);
    free(svm->nodes);
    free(svm);
}

static void *svm_learn(const struct settings *settings, const struct rows *rows, int without, char *error) {
    svm_set_print_string_function(quiet);
    struct svm *svm = calloc(1, sizeof *svm);
    size_t count = (size_t)rows->count;
    double *labels = calloc(count, sizeof *labels);
    struct svm_node **starts = calloc(count, sizeof(struct svm_node *));
    struct svm_node *nodes = calloc(count * (FEATURES + 1), sizeof *nodes);
    if (!svm || !labels || !starts || !nodes) {
        snprintf(error, ERROR_SIZE, "out of memory");
        goto out;
    }
    struct svm_problem problem = {.y = labels, .x = starts};
    struct svm_node *next = nodes;
    for (int i = 0; i < rows->count; i++) {
        if (rows->items[i].fold == without)
            continue;
        labels[problem.l] = rows->items[i].label;
        starts[problem.l++] = next;
        next = row_nodes(&rows->items[i], next);
    }
    struct svm_parameter parameter = {.svm_type = C_SVC,
                                      .kernel_type = strcmp(settings->kernel, "poly") == 0 ? POLY : RBF,
                                      .degree = settings->degree,
                                      .gamma = settings->gamma,
                                      .cache_size = 100,
                                      .eps = 0.001,
                                      .C = settings->c,
                                      .shrinking = 1};
    const char *wrong = svm_check_parameter(&problem, &parameter);
    if (wrong) {
        snprintf(error, ERROR_SIZE, "LIBSVM: %s", wrong);
        goto out;
    }
    svm->model = svm_train(&problem, &parameter);
    svm->nodes = nodes;
    free(labels);
    free(starts);
    return svm;
out:
    free(svm);
    free(labels);
    free(starts);
    free(nodes);
    return NULL;
}

static int svm_family_predict(const void *model, const struct row *row) {
    const struct svm *svm = model;
    struct svm_node nodes[FEATURES + 1];
    row_nodes(row, nodes);
    return (int)svm_predict(svm->model, nodes);
}

static bool svm_save(const void *model, const char *path) {
    return svm_save_model(path, ((const struct svm *)model)->model) == 0;
}

static void *svm_load(const char *path) {
    struct svm *svm = calloc(1, sizeof *svm);
    if (svm && !(svm->model = svm_load_model(path))) {
        free(svm);
        svm = NULL;
    }
    return svm;
}

const struct family family_svm = {svm_learn, svm_family_predict, svm_save, svm_load, svm_forget};
