/* Errors from one table (err.def), and the fault: where and why, owned by the caller. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))
/* A deliberate ignore of a MUST_CHECK result; `why` is for the reader. */
#define IGNORE(call, why)                                                                                    \
    do {                                                                                                     \
        if (call) {                                                                                          \
        }                                                                                                    \
    } while (0)

enum troupe_error {
#define ERR(code, text, retryable, http, exit_status) TROUPE_##code,
#include "base/err.def"
#undef ERR
    TROUPE_ERROR_COUNT
};

const char *error_name(enum troupe_error error); /* "NOT_FOUND" */
const char *error_text(enum troupe_error error); /* "not found" */
bool error_retryable(enum troupe_error error);
int error_http_status(enum troupe_error error);
int error_exit_status(enum troupe_error error);

/* What went wrong, for a person. Caller-owned, fixed size, NULL is allowed everywhere one is taken. */
struct fault {
    enum troupe_error error;
    char where[256]; /* "file.yaml:3:5", "agent train", "runs/x/store.db"; may be empty */
    char text[768];  /* what was wrong and what was expected */
};

/* Fills `fault` (when not NULL) and returns `error`, so that `return fault_set(...)` reads well. What quotes a
 * stranger is made fit for a terminal: one line of well-formed UTF-8, with '?' for what is not. */
enum troupe_error fault_set(struct fault *fault, enum troupe_error error, const char *where,
                            const char *format, ...) PRINTF_LIKE(4, 5);
enum troupe_error fault_setv(struct fault *fault, enum troupe_error error, const char *where,
                             const char *format, va_list args) PRINTF_LIKE(4, 0);

#endif
