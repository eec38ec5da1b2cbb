/* digits: what the files of this plugin share. Rows of 8 x 8 pixels with a label, their split into rows to
 * tune on and rows held out, and the two families of classifiers behind one small interface.
 *
 * Threads: plain data; instances share nothing but LIBLINEAR's rand() (see digits_linear.c).
 * Memory:  malloc; rows_free and the family's `forget` give it back.
 * Failure: false, with a sentence in `error` (ERROR_SIZE bytes). */
#ifndef DIGITS_H
#define DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FEATURES = 64, CLASSES = 10, HELD_OUT = 360, FOLDS = 5, ROWS_MAX = 100000, ERROR_SIZE = 400 };

struct row {
    float pixels[FEATURES];
    uint8_t label, fold; /* fold: 0 .. FOLDS-1 for a tuning row */
};
struct rows {
    int count;
    struct row *items;
};
/* x -> (x - shift) * factor, per pixel; found on the tuning rows alone. */
struct scaling {
    float shift[FEATURES], factor[FEATURES];
};

bool rows_read_csv(const char *path, struct rows *ret_rows, char *error);
/* Stratified by label and drawn from `seed`: HELD_OUT rows apart, the others dealt to FOLDS folds. */
bool rows_split(const struct rows *all, uint64_t seed, struct rows *ret_tuning, struct rows *ret_held_out,
                char *error);
void rows_free(struct rows *rows);

bool scaling_find(const char *kind, const struct rows *rows, struct scaling *ret_scaling, char *error);
void scaling_apply(const struct scaling *scaling, struct rows *rows);

/* The artifact of `prepare`. */
bool prepared_write(const char *path, const struct rows *tuning, const struct scaling *scaling, char *error);
bool prepared_read(const char *path, struct rows *ret_tuning, struct scaling *ret_scaling, char *error);

struct settings {
    double c, gamma;
    const char *kernel; /* svm: "rbf" | "poly" */
    int degree;         /* poly */
    const char *solver; /* linear: "l2_svc" | "logistic" | "crammer_singer" */
    uint64_t seed;
};
struct family {
    /* Learns from the rows whose fold is not `without` (-1: from all of them). NULL: see error. */
    void *(*learn)(const struct settings *settings, const struct rows *rows, int without, char *error);
    int (*predict)(const void *model, const struct row *row);
    bool (*save)(const void *model, const char *path);
    void *(*load)(const char *path);
    void (*forget)(void *model);
};
extern const struct family family_svm, family_linear;

#endif
