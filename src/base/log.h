/* The log of programs (library floors return errors instead of logging). One sink, set at start by the CLI.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
typedef void (*log_sink)(void *context, enum log_level level, const char *line);
void log_set_sink(log_sink sink, void *context, enum log_level minimum); /* before threads start */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
