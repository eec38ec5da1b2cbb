/* quote_log: a run's quotes, with what was measured, in the log of predictions. See quote_text.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/quote_text.h"

static uint64_t inputs_of(const struct run_quote *quotes, const struct quote *quote, uint64_t identity) {
    const uint64_t parts[] = {identity, quote->at_trials, quote->at_ns, quote->trials, quote->deadline_ns};
    return hash_bytes(quotes->run_id, strlen(quotes->run_id), hash_bytes(parts, sizeof parts, 0));
}

static void fill_entry(const struct run_quote *quotes, const struct quote *quote,
                       const struct pipeline *pipeline, const struct node *response,
                       struct prediction_entry *ret) {
    struct quote_score score = quote_score_of(quote, response);
    enum figure figure = score.by_time ? FIGURE_WALL : FIGURE_TRIALS;
    *ret = (struct prediction_entry){.kind = "quote",
                                     .definition = pipeline_identity(pipeline),
                                     .data = pipeline->data_hash,
                                     .version = TROUPE_VERSION};
    ret->inputs = inputs_of(quotes, quote, ret->definition);
    if (quote->trials != 0)
        ret->progress = (double)quote->at_trials / quote->trials;
    snprintf(ret->run, sizeof ret->run, "%s", quotes->run_id);
    snprintf(ret->measured_run, sizeof ret->measured_run, "%s", quotes->run_id);
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        ret->figures[f] = (struct estimate){NAN, NAN, NAN};
        ret->measured[f] = NAN;
    }
    ret->figures[figure] = score.quoted;
    ret->measured[figure] = score.measured;
}

void quote_keep(const struct run_quote *quotes, const struct pipeline *pipeline,
                const struct node *response) {
    struct fault fault = {0};
    if (quotes->count == 0 || !quote_score_of(&quotes->quotes[0].quote, response).judged)
        return;
    struct prediction_entry *entries = memory_alloc(quotes->account, quotes->count * sizeof *entries);
    enum troupe_error error =
        entries == NULL ? fault_set(&fault, TROUPE_NOMEM, "quote", "out of memory") : TROUPE_OK;
    for (unsigned i = 0; i < quotes->count && error == TROUPE_OK; i++)
        fill_entry(quotes, &quotes->quotes[i].quote, pipeline, response, &entries[i]);
    if (error == TROUPE_OK)
        error = prediction_log_keep(quotes->env, quotes->account, quotes->runs_directory, entries,
                                    quotes->count, &fault);
    if (error != TROUPE_OK)
        fprintf(stderr, "troupe: %s: the quotes were not kept: %s\n", fault.where, fault.text);
    memory_free(quotes->account, entries);
}
