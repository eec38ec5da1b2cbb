/* once_text: the text work of `worker-once`, pure: filling the {placeholders} of a command and finding
 * metrics in what it prints. Single-threaded plain data. */
#ifndef AGENT_ONCE_TEXT_H
#define AGENT_ONCE_TEXT_H

#include "base/base.h"

#define ONCE_LINE_MAX 65536 /* of a printed line, looked at for metrics */

/* Gives the text of a placeholder, or NULL when there is none of that name. */
typedef const char *(*once_lookup)(void *context, const char *name);

/* "--lr {lr}" -> "--lr 0.01". {{ and }} stand for braces; a brace that does not open "{identifier}" stays as
 * it is. INVALID names the unknown placeholder and the nearest of `names`. */
MUST_CHECK enum troupe_error once_fill(const char *text, once_lookup lookup, void *context,
                                       const char *const *names, size_t count, struct buffer *ret,
                                       struct fault *fault);

struct once_metric {
    const char *name; /* caller's */
    bool seen;
    double value; /* of the last occurrence; may be NaN or infinite when that is what was printed */
};

/* Finds metrics in a stream of output, given in pieces. */
struct once_scan {
    struct account *account;
    struct once_metric *metrics;
    unsigned count;
    struct buffer line;  /* the unfinished one; bytes past ONCE_LINE_MAX are dropped */
    char last_line[400]; /* the last one that was not blank */
};
void once_scan_init(struct once_scan *scan, struct account *account, struct once_metric *metrics,
                    unsigned count);
void once_scan_bytes(struct once_scan *scan, const char *bytes, size_t length);
void once_scan_end(struct once_scan *scan); /* the last line may lack its end */
void once_scan_free(struct once_scan *scan);

#endif
