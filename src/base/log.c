/* The one log sink. Set before threads start and constant from then on, so reading it needs no lock; the sink
 * itself is called from any thread, one whole line without newline at a time, and must cope with that. */
#include "base/log.h"

#include <stdio.h>

static struct {
    log_sink sink; /* NULL: dropped */
    void *context;
    enum log_level minimum;
} destination;

void log_set_sink(log_sink sink, void *context, enum log_level minimum) {
    destination.sink = sink;
    destination.context = context;
    destination.minimum = minimum;
}

void log_write(enum log_level level, const char *format, ...) {
    if (destination.sink == NULL || level < destination.minimum)
        return;
    char line[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    destination.sink(destination.context, level, line);
}
