/* The error table's columns and the fault that carries detail to a person.
 * Invariants: one row per code, from err.def; a fault is always NUL-terminated and never partly written.
 * Threads: any; the tables are constant, a fault belongs to its caller. */
#include "base/error.h"

#include <stdio.h>

#include "base/buffer.h"

struct error_row {
    const char *name, *text;
    bool retryable;
    int http_status, exit_status;
};

static const struct error_row rows[] = {
#define ERR(code, text, retryable, http, exit_status) {#code, text, retryable, http, exit_status},
#include "base/err.def"
#undef ERR
};

static const struct error_row *row_of(enum troupe_error error) {
    /* A number from a file or another process may be out of range; it must still print. */
    return &rows[(unsigned)error < TROUPE_ERROR_COUNT ? error : TROUPE_INTERNAL];
}

const char *error_name(enum troupe_error error) {
    return row_of(error)->name;
}

const char *error_text(enum troupe_error error) {
    return row_of(error)->text;
}

bool error_retryable(enum troupe_error error) {
    return row_of(error)->retryable;
}

int error_http_status(enum troupe_error error) {
    return row_of(error)->http_status;
}

int error_exit_status(enum troupe_error error) {
    return row_of(error)->exit_status;
}

enum troupe_error fault_setv(struct fault *fault, enum troupe_error error, const char *where,
                             const char *format, va_list args) {
    if (fault == NULL)
        return error;
    /* Formatted aside: `where` and the arguments may point into the fault being overwritten. */
    struct fault made = {.error = error};
    (void)snprintf(made.where, sizeof(made.where), "%s", where == NULL ? "" : where);
    (void)vsnprintf(made.text, sizeof(made.text), format, args);
    text_make_printable(made.where);
    text_make_printable(made.text);
    *fault = made;
    return error;
}

enum troupe_error fault_set(struct fault *fault, enum troupe_error error, const char *where,
                            const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fault_setv(fault, error, where, format, args);
    va_end(args);
    return error;
}
