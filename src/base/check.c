/* The end of a wrong program: say which promise was broken and stop, so that nothing after it runs on a lie.
 * Threads: any. Allocates nothing: the heap may be what is broken. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expression, const char *file, int line) {
    (void)fprintf(stderr, "troupe: %s:%d: check failed: %s\n", file, line, expression);
    abort();
}
