/* quote: what the line of a run's further trials comes to: see the header.
 * Threads, memory: see the header. */
#include "simulate/under_way.h"

#include <math.h>

#define NORMAL_90 1.645
#define CUT_MOST                                                                                             \
    3.0 /* after the deadline the tasks at work end, or are killed: at most so many times their mean */

struct outlook {
    const struct quote_line *line;
    const struct quote_options *options;
    unsigned trials_max; /* that are tried for the deadline */
};

/* A space that is exhausted ends the run earlier. */
static unsigned further_wanted(const struct outlook *outlook) {
    return outlook->options->trials != 0 ? outlook->options->trials - outlook->line->told : 0;
}

/* The end, `away` deviations from what is most likely; deadline or not. */
static double wall_ms(const struct outlook *outlook, double away) {
    const struct quote_line *line = outlook->line;
    double factor = exp(away * line->deviation), step = quote_line_step(line, further_wanted(outlook));
    return ((double)line->at_ns + (step + line->tail_ns) * factor) / 1e6;
}

static double ends_ms(const struct outlook *outlook, double away, double cut) {
    const struct quote_line *line = outlook->line;
    double factor = exp(away * line->deviation), deadline = (double)outlook->options->deadline_ns;
    double last = (double)line->at_ns + quote_line_step(line, further_wanted(outlook)) * factor;
    if (deadline == 0 || (outlook->options->trials != 0 && last <= deadline))
        return wall_ms(outlook, away);
    return (deadline + cut * line->task_ns + line->tail_ns * factor) / 1e6;
}

static double fits(const struct outlook *outlook, double away) {
    const struct quote_line *line = outlook->line;
    double left_ns = (double)outlook->options->deadline_ns - (double)line->at_ns;
    return line->told +
           quote_line_in(line, left_ns / exp(away * line->deviation), outlook->trials_max - line->told);
}

static struct quote quote_from(const struct outlook *outlook) {
    const struct quote_options *options = outlook->options;
    const struct estimate unknown = {NAN, NAN, NAN};
    struct quote quote = {.at_trials = outlook->line->told,
                          .at_ns = outlook->line->at_ns,
                          .trials = options->trials,
                          .deadline_ns = options->deadline_ns,
                          .wall_ms = unknown,
                          .fits = unknown};
    quote.ends_ms = (struct estimate){ends_ms(outlook, 0, 1), ends_ms(outlook, -NORMAL_90, 0),
                                      ends_ms(outlook, NORMAL_90, CUT_MOST)};
    if (options->trials != 0)
        quote.wall_ms =
            (struct estimate){wall_ms(outlook, 0), wall_ms(outlook, -NORMAL_90), wall_ms(outlook, NORMAL_90)};
    if (options->deadline_ns != 0) {
        quote.fits = (struct estimate){fits(outlook, 0), fits(outlook, NORMAL_90), fits(outlook, -NORMAL_90)};
        quote.fits_more = options->trials != 0 && quote.fits.value >= outlook->trials_max;
    }
    return quote;
}

enum troupe_error quote_of(const struct run_record *record, const struct quote_options *options,
                           struct account *account, struct quote *ret_quote, struct fault *fault) {
    struct quote_line line = {0};
    if (options->trials == 0 && options->deadline_ns == 0)
        return fault_set(fault, TROUPE_INVALID, record->id,
                         "neither a number of trials nor a deadline: there is no end to be quoted");
    if (record->told == 0)
        return fault_set(fault, TROUPE_INVALID, record->id, "no trial is told yet");
    enum troupe_error error = quote_line_make(record, options, account, &line, fault);
    if (error != TROUPE_OK)
        return error;
    struct outlook outlook = {.line = &line, .options = options, .trials_max = PIPELINE_TRIALS_MAX};
    if (options->trials != 0 && options->trials < PIPELINE_TRIALS_MAX / QUOTE_FURTHER_MAX)
        outlook.trials_max = options->trials * QUOTE_FURTHER_MAX;
    *ret_quote = quote_from(&outlook);
    quote_line_free(&line);
    return TROUPE_OK;
}
