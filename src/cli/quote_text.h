/* quote_text: quotes in words and in JSON, against what was measured, and for the log of predictions (quote_log.c).
 * Threads: any; quote_keep blocks. Memory: none stays. */
#ifndef CLI_QUOTE_TEXT_H
#define CLI_QUOTE_TEXT_H

#include "cli/run_quote.h"
#include "document/document.h"

#define QUOTE_TEXT_BYTES 700
/* "60 trials take 20 s (17-24 s, 90 %) of your 60 s; 180 would fit". Returns out. */
const char *quote_text(const struct told_quote *told, char out[QUOTE_TEXT_BYTES]);
/* Worth a line after `before`, the last one that had one (NULL: none had): it is outside of its interval, or says
 * otherwise whether the deadline can be met, or has an interval of less than half the width. */
bool quote_is_news(const struct told_quote *told, const struct told_quote *before);
enum quote_verdict {
    QUOTE_FITS,
    QUOTE_MAY_MISS, /* its deadline is not likely to be met */
    QUOTE_MISSES    /* nor anywhere in the interval */
};
enum quote_verdict quote_verdict(const struct quote *quote);

struct quote_score {
    bool judged; /* it ended as it was asked to, and something was quoted */
    bool
        by_time; /* all trials were told: of the wall time; else of the trials that the deadline left room for */
    struct estimate quoted;
    double measured, error_percent;
    bool held;
};
/* Of a response whose run has ended. */
struct quote_score quote_score_of(const struct quote *quote, const struct node *response);
/* One line with its newline, or nothing. */
void quote_write_score(const struct run_quote *quotes, const struct node *response, struct buffer *out);
/* Into the log beside the runs; where that fails there is a warning on stderr. */
void quote_keep(const struct run_quote *quotes, const struct pipeline *pipeline, const struct node *response);
/* The members "quote" (a list), "quoted", "measured", "error_percent" and "held" (null: not judged). */
void quote_write_json(const struct run_quote *quotes, const struct node *response, struct json *json);

#endif
