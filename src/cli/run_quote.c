/* When a quote is made. See run_quote.h.
 *
 * `busy` is true from before a job starts until it has ended: the observer's acquire load pairs with the job's release
 * store, so the observer sees all of the result, and the next job all that the observer wrote. */
#include "cli/run_quote.h"

#include "cli/quote_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIRST_PART 20u /* of the trials: a twentieth */
#define FIRST_LEAST 3u
#define FIRST_MOST 100u
#define GROWTH 1.4
#define GROWTH_LATE 2.0 /* from LATE trials on */
#define LATE 200u
#define OFFER_GROWTH 2u /* a counter-offer is looked for again when so many times as many trials are told */
#define COST_PART 0.005 /* of what the cores could have done so far */
#define COST_FREE_NS 100000000u

void run_quote_open(struct run_quote *quote, struct env *env, struct account *account,
                    const char *runs_directory) {
    memset(quote, 0, sizeof *quote);
    quote->env = env;
    quote->account = account;
    quote->runs_directory = runs_directory;
}

/* ---- the job ---- */

static void job_quote(void *arg) {
    struct run_quote *quote = arg;
    struct run_record *record = NULL;
    struct fault fault = {0};
    struct told_quote *result = &quote->result;
    uint64_t cpu_ns = env_thread_cpu(quote->env);
    *result = (struct told_quote){0};
    enum troupe_error error =
        run_record_read(quote->env, quote->account, quote->runs_directory, quote->run_id, &record, &fault);
    /* With the agents that there are now: what feedback may yet do is not promised. */
    for (unsigned a = 0; error == TROUPE_OK && a < record->pipeline->agent_count; a++)
        record->pipeline->agents[a].instances = quote->instances[a] > 0 ? quote->instances[a] : 1;
    if (error == TROUPE_OK)
        record->pipeline->feedback = FEEDBACK_OFF;
    if (error == TROUPE_OK)
        error = quote_of(record, &quote->options, quote->account, &result->quote, &fault);
    quote->made = error == TROUPE_OK;
    if (quote->made && quote->wants_offer && quote_verdict(&result->quote) != QUOTE_FITS)
        result->has_offer = quote_offer(quote->env, record, &result->quote, &quote->options, quote->account,
                                        &result->offer, &fault) == TROUPE_OK;
    run_record_free(record);
    result->cpu_ns = env_thread_cpu(quote->env) - cpu_ns + 1;
}

static void job_done(void *arg) {
    struct run_quote *quote = arg;
    atomic_store_explicit(&quote->busy, false, memory_order_release); /* pairs with run_quote_event */
}

/* ---- the observer ---- */

/* Only while no job is under way. */
static bool take(struct run_quote *quote) {
    struct told_quote *made = &quote->result;
    if (made->cpu_ns == 0)
        return false;
    bool fresh = quote->made && quote->count < RUN_QUOTES_MAX;
    quote->spent_ns += made->cpu_ns;
    if (fresh && made->has_offer)
        quote->offered_told = made->quote.at_trials;
    if (fresh && !made->has_offer && quote_verdict(&made->quote) != QUOTE_FITS && quote->count > 0) {
        made->has_offer = quote->quotes[quote->count - 1].has_offer; /* what was found still stands */
        made->offer = quote->quotes[quote->count - 1].offer;
    }
    if (fresh)
        quote->quotes[quote->count++] = *made;
    made->cpu_ns = 0;
    return fresh;
}

/* Trials that are worth a quote; at a resume: as soon as anything is told anew. */
static void find_first(struct run_quote *quote, const struct run_progress *progress) {
    unsigned part = progress->pipeline->trials / FIRST_PART;
    part = part < FIRST_MOST ? part : FIRST_MOST;
    quote->next_told = part > FIRST_LEAST ? part : FIRST_LEAST;
    if (progress->told >= quote->next_told)
        quote->next_told = progress->told + 1;
}

static bool is_due(struct run_quote *quote, const struct run_progress *progress) {
    const struct pipeline *pipeline = progress->pipeline;
    if (pipeline->trials == 0 && pipeline->deadline_ns == 0)
        return false;
    if (quote->next_told == 0)
        find_first(quote, progress);
    bool enough = progress->told >= quote->next_told;
    if (quote->count == 0 && progress->told >= FIRST_LEAST && pipeline->deadline_ns != 0)
        enough = enough || progress->elapsed_ns >= pipeline->deadline_ns / FIRST_PART;
    double affordable = COST_FREE_NS + COST_PART * (double)progress->elapsed_ns * env_cores(quote->env);
    return enough && (pipeline->trials == 0 || progress->told < pipeline->trials) &&
           quote->count < RUN_QUOTES_MAX && (double)quote->spent_ns < affordable;
}

static void start(struct run_quote *quote, const struct run_progress *progress) {
    unsigned told = progress->told;
    quote->next_told = (unsigned)fmax(told + 1, ceil((told < LATE ? GROWTH : GROWTH_LATE) * told));
    memcpy(quote->instances, progress->instances, sizeof quote->instances);
    snprintf(quote->run_id, sizeof quote->run_id, "%s", progress->run_name);
    quote->options = (struct quote_options){.cores = env_cores(quote->env),
                                            .trials = progress->pipeline->trials,
                                            .deadline_ns = progress->pipeline->deadline_ns,
                                            .seed = progress->pipeline->study.seed,
                                            .cancel = &quote->cancel};
    quote->wants_offer = quote->offered_told == 0 || told >= OFFER_GROWTH * quote->offered_told;
    quote->job = (struct env_job){.fn = job_quote, .done = job_done, .arg = quote};
    atomic_store_explicit(&quote->busy, true, memory_order_relaxed); /* the job's start orders it */
    if (env_job_start(quote->env, ENV_LANE_POOL, &quote->job) != TROUPE_OK)
        atomic_store_explicit(&quote->busy, false,
                              memory_order_relaxed); /* the pool is full; no job saw it */
}

bool run_quote_event(struct run_quote *quote, const struct run_event *event) {
    if (quote->runs_directory == NULL)
        return false;
    if (event->kind == RUN_EVENT_STOPPING || event->kind == RUN_EVENT_ENDED)
        atomic_store(&quote->cancel, true);
    if (atomic_load_explicit(&quote->busy, memory_order_acquire)) /* pairs with job_done */
        return false;
    bool fresh = take(quote);
    if (!atomic_load(&quote->cancel) && is_due(quote, event->progress))
        start(quote, event->progress);
    return fresh;
}

void run_quote_close(struct run_quote *quote) {
    if (quote->runs_directory == NULL)
        return;
    atomic_store(&quote->cancel, true);
    env_jobs_wait(quote->env);
    take(quote);
}
