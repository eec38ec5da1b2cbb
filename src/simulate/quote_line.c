/* quote_line: when the trials of a run under way that are not told yet will be.
 *
 * The whole run is simulated a few times from its record: what has happened as it was, the rest drawn anew each time
 * (resample.c). From each replication only what comes after the last trial that was told is taken:
 *     running time at that trial + (simulated time of a further trial - simulated time of that trial),
 * where the latter is where the trials told last came in the simulation, by when they really came. Averaged over the
 * replications this is one line; how far it may be off altogether is a log-normal factor: see deviation_of.
 * Many trials: HORIZON further ones are simulated and the line goes on at their pace; of a long past the last trials
 * are taken (quote_past.c). Then a quote costs about 250 simulated trials a replication, whatever the run.
 * Threads: any one. Memory: the caller's account; only the line stays. */
#include "simulate/under_way.h"

#include <math.h>
#include <string.h>

#define REPLICATIONS 8u      /* pairs of opposite sign */
#define REPLICATIONS_LONG 4u /* of more than TRIALS_LONG trials */
#define TRIALS_LONG 250u
#define HORIZON 150u
#define PAST_MAX 250u /* of a longer past the last PAST_KEPT trials */
#define PAST_KEPT 100u
#define COMPARED 8u    /* trials told last whose simulated and real times are compared */
#define STEP_FLOOR 0.1 /* of their mean: the least that one replication may say of the rest */

struct quoting {
    const struct run_record *record; /* the caller's, or `cut` */
    struct run_record cut;           /* `missing` trials are not in it, its times begin at cut_ns */
    unsigned missing, budget;        /* budget: the run's, without those; 0: none */
    uint64_t cut_ns;
    const struct quote_options *options;
    struct account *account;
    struct fault *fault;
    struct pipeline pipeline; /* of the record, with the budget to be simulated */
    struct model *model;
    struct under_way under_way;
    uint64_t *told_ns;          /* by trial; 0: not told */
    uint64_t at_ns, latest_ns;  /* of the last trial told; of anything in the record */
    unsigned told, stride;      /* trials in the record; further ones that are simulated */
    double *steps;              /* replication x stride */
    double rests[REPLICATIONS]; /* ns after at_ns of the end */
    unsigned made;              /* replications */
    struct quote_line line;
};

static enum troupe_error no_memory(const struct quoting *quoting) {
    return fault_set(quoting->fault, TROUPE_NOMEM, quoting->record->id, "out of memory making a quote");
}

/* ---- the past ---- */

static enum troupe_error read_past(struct quoting *quoting) {
    const struct run_record *record = quoting->record;
    unsigned numbers = 0;
    for (size_t i = 0; i < record->trial_count; i++)
        numbers = record->trials[i].number >= numbers ? record->trials[i].number + 1 : numbers;
    quoting->told_ns = memory_alloc(quoting->account, (numbers + 1) * sizeof *quoting->told_ns);
    if (quoting->told_ns == NULL)
        return no_memory(quoting);
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *trial = &record->trials[i];
        if (trial->state != TRIAL_OK && trial->state != TRIAL_FAILED)
            continue;
        quoting->told++;
        quoting->told_ns[trial->number] = trial->ended_ns;
        quoting->at_ns = trial->told_ns > quoting->at_ns ? trial->told_ns : quoting->at_ns;
    }
    quoting->latest_ns = quoting->at_ns;
    for (size_t i = 0; i < record->execution_count; i++)
        if (record->executions[i].done > quoting->latest_ns)
            quoting->latest_ns = record->executions[i].done;
    return TROUPE_OK;
}

static bool was_told(const struct quoting *quoting, uint32_t trial) {
    return trial < quoting->model->trial_count && quoting->told_ns[trial] != 0;
}

/* By how much the simulated clock is ahead of the real one. */
static double clock_offset(const struct quoting *quoting, const struct simulated *simulated) {
    double sum = 0;
    unsigned count = 0;
    for (unsigned i = simulated->trial_count; i-- > 0 && count < COMPARED;) {
        uint32_t trial = simulated->trials[i];
        if (!was_told(quoting, trial))
            continue;
        sum += (double)simulated->told_at_ns[i] - (double)quoting->told_ns[trial];
        count++;
    }
    return count > 0 ? sum / count : 0;
}

/* ---- replications ---- */

static enum troupe_error simulate(struct quoting *quoting, uint64_t seed, double sign,
                                  struct simulated *ret) {
    struct simulation simulation = {.model = quoting->model,
                                    .pipeline = &quoting->pipeline,
                                    .seed = seed,
                                    .resample = true,
                                    .under_way = &quoting->under_way};
    if (quoting->options->cancel != NULL && atomic_load(quoting->options->cancel))
        return fault_set(quoting->fault, TROUPE_CANCELLED, quoting->record->id, "the run has ended");
    quoting->under_way.seed = seed / 2;
    quoting->under_way.sign = sign;
    enum troupe_error error = simulate_run(&simulation, quoting->account, ret, quoting->fault);
    if (error == TROUPE_OK) { /* as far as the record goes on this clock; for the next replication */
        double known = (double)quoting->latest_ns + clock_offset(quoting, ret);
        quoting->under_way.known_until_ns = known > 1 ? (uint64_t)known : 1;
    }
    return error;
}

/* Of the trials that are not told yet; how many there are. */
static unsigned further_steps(const struct quoting *quoting, const struct simulated *simulated,
                              double *ret_steps, unsigned max) {
    double then = (double)quoting->at_ns + clock_offset(quoting, simulated);
    unsigned count = 0;
    for (unsigned i = 0; i < simulated->trial_count && count < max; i++)
        if (!was_told(quoting, simulated->trials[i]))
            ret_steps[count++] = fmax((double)simulated->told_at_ns[i] - then, 1);
    return count;
}

static enum troupe_error replicate(struct quoting *quoting) {
    struct simulated simulated = {0};
    unsigned r = quoting->made;
    double sign = r % 2 == 0 ? 1 : -1;
    enum troupe_error error = simulate(quoting, 2 * quoting->options->seed + r, sign, &simulated);
    if (error != TROUPE_OK)
        return error;
    unsigned count =
        further_steps(quoting, &simulated, quoting->steps + (size_t)r * quoting->stride, quoting->stride);
    double end = (double)simulated.wall_ns - (double)quoting->at_ns - clock_offset(quoting, &simulated);
    if (count < quoting->line.count) {
        quoting->line.count = count;
        quoting->line.exhausted = true;
    }
    quoting->rests[quoting->made++] = fmax(end, 1);
    simulated_free(&simulated);
    return TROUPE_OK;
}

/* Geometric mean of a column; a replication in which hardly anything is left to do does not outweigh the others. */
static double mean_of(const double *values, size_t stride, unsigned count, double *ret_deviation) {
    double mean = 0, logs = 0, squares = 0;
    for (unsigned i = 0; i < count; i++)
        mean += values[i * stride] / count;
    for (unsigned i = 0; i < count; i++) {
        double one = log(fmax(values[i * stride], STEP_FLOOR * mean));
        logs += one / count;
        squares += one * one / count;
    }
    if (ret_deviation != NULL)
        *ret_deviation = count > 1 ? sqrt(fmax(squares - logs * logs, 0) * count / (count - 1)) : 0;
    return exp(logs);
}

/* Of the logarithm of the wall times of the trials that were told. */
static double unevenness(const struct model *model) {
    double logs = 0, squares = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < model->trial_count; i++) {
        if (model->trials[i].wall_ns == 0)
            continue;
        double one = log((double)model->trials[i].wall_ns);
        logs += one;
        squares += one * one;
        count++;
    }
    return count > 1 ? sqrt(fmax(squares - logs * logs / count, 0) / (count - 1)) : 0;
}

/* The spread between replications, of which eight tell only so much; and besides, the more the more uneven trials are:
 * what a few of them do not show of the many, and that of a last few each one counts; the machine. Fitted to 2,400
 * quotes of bench/quote_coverage.py and 200 of examples/digits. */
static double deviation_of(double spread, double uneven, unsigned told, unsigned left) {
    double seen = 1.08 * spread, few = hypot(0.07, 0.9 * uneven), last = hypot(0.05, 0.7 * uneven),
           machine = 0.01;
    return sqrt(seen * seen + few * few / told + last * last / (left + 1) + machine * machine);
}

static enum troupe_error replicate_all(struct quoting *quoting) {
    struct quote_line *line = &quoting->line;
    unsigned replications = quoting->pipeline.trials > TRIALS_LONG ? REPLICATIONS_LONG : REPLICATIONS;
    quoting->stride = line->count = quoting->pipeline.trials - quoting->told;
    quoting->steps = memory_alloc(quoting->account, (size_t)replications * quoting->stride * sizeof(double));
    line->steps = memory_alloc(quoting->account, (quoting->stride + 1) * sizeof(double));
    if (quoting->steps == NULL || line->steps == NULL)
        return no_memory(quoting);
    for (unsigned r = 0; r < replications; r++) {
        enum troupe_error error = replicate(quoting);
        if (error != TROUPE_OK)
            return error;
    }
    double spread;
    for (unsigned k = 0; k < line->count; k++)
        line->steps[k] = mean_of(quoting->steps + k, quoting->stride, quoting->made, NULL);
    double rest = mean_of(quoting->rests, 1, quoting->made, &spread);
    line->tail_ns = line->count > 0 ? fmax(rest - line->steps[line->count - 1], 0) : rest;
    line->deviation = deviation_of(spread, unevenness(quoting->model), quoting->told, line->count);
    bool all = quoting->budget != 0 && line->count == quoting->budget - quoting->told;
    if (!all && !line->exhausted) /* the last trials, alone at the end, are not those of the run */
        line->count -= line->count / 4;
    return TROUPE_OK;
}

/* What a larger budget would find room for: one replication more, the most likely one, with as many trials as may fit;
 * it continues the line from where the last trials of the budget do not bend it. */
static enum troupe_error lengthen(struct quoting *quoting, double left_ns, unsigned further_max) {
    struct quote_line *line = &quoting->line;
    unsigned joint = line->count - line->count / 4;
    double wanted = 1.2 * quote_line_in(line, left_ns, further_max) + 10;
    unsigned further = wanted < further_max ? (unsigned)wanted : further_max;
    further = further < 2 * HORIZON ? further : 2 * HORIZON;
    if (further <= line->count || joint == 0)
        return TROUPE_OK;
    double *steps = memory_alloc(quoting->account, further * sizeof *steps);
    struct simulated simulated = {0};
    if (steps == NULL)
        return no_memory(quoting);
    quoting->pipeline.trials = quoting->told + further;
    enum troupe_error error = simulate(quoting, 2 * quoting->options->seed, 0, &simulated);
    if (error == TROUPE_OK) {
        unsigned count = further_steps(quoting, &simulated, steps, further);
        double factor = count >= joint ? line->steps[joint - 1] / steps[joint - 1] : 1;
        for (unsigned k = 0; k < count; k++)
            steps[k] = k < line->count ? line->steps[k] : fmax(steps[k] * factor, steps[k - 1]);
        memory_free(quoting->account, line->steps);
        line->steps = steps;
        line->count = count > line->count ? count : line->count;
        steps = NULL;
    }
    simulated_free(&simulated);
    memory_free(quoting->account, steps);
    return error;
}

/* ---- the line ---- */

/* A model is fitted with a simulation of what was recorded; that is the trials that were asked for so far. */
enum troupe_error model_fit_under_way(const struct run_record *record, unsigned cores,
                                      struct account *account, struct model **ret_model,
                                      struct fault *fault) {
    struct run_record asked = *record;
    struct pipeline *pipeline = memory_alloc(account, sizeof *pipeline);
    if (pipeline == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory making a quote");
    *pipeline = *record->pipeline;
    pipeline->trials = record->trial_count > 0 ? (unsigned)record->trial_count : 1;
    pipeline->deadline_ns = 0;
    asked.pipeline = pipeline;
    enum troupe_error error = model_fit(&asked, cores, account, ret_model, fault);
    memory_free(account, pipeline);
    return error;
}

static enum troupe_error cut_past(struct quoting *quoting) {
    const struct run_record *record = quoting->record;
    if (record->told <= PAST_MAX)
        return TROUPE_OK;
    if (quote_past_cut(record, PAST_KEPT, quoting->account, &quoting->cut, &quoting->cut_ns) != TROUPE_OK)
        return no_memory(quoting);
    quoting->record = &quoting->cut;
    quoting->missing = (unsigned)record->told - PAST_KEPT;
    return TROUPE_OK;
}

/* The budget to be simulated. */
static unsigned budget_of(const struct quoting *quoting) {
    unsigned further = quoting->budget - quoting->told;
    if (quoting->budget == 0) {
        double pace = (double)quoting->at_ns / quoting->told;
        further = (unsigned)fmin(1.5 * (double)quoting->options->deadline_ns / pace + 10, HORIZON);
    }
    return quoting->told + (further < HORIZON ? further : HORIZON);
}

static enum troupe_error prepare(struct quoting *quoting) {
    const struct quote_options *options = quoting->options;
    enum troupe_error error = cut_past(quoting);
    if (error == TROUPE_OK)
        error = read_past(quoting);
    if (error == TROUPE_OK && options->trials != 0 && quoting->missing + quoting->told >= options->trials)
        error = fault_set(quoting->fault, TROUPE_INVALID, quoting->record->id, "all its trials are told");
    if (error == TROUPE_OK)
        error = model_fit_under_way(quoting->record, options->cores, quoting->account, &quoting->model,
                                    quoting->fault);
    if (error != TROUPE_OK)
        return error;
    quoting->budget = options->trials != 0 ? options->trials - quoting->missing : 0;
    quoting->pipeline = *quoting->record->pipeline;
    quoting->pipeline.deadline_ns = 0;
    quoting->pipeline.trials = budget_of(quoting);
    if (quoting->missing > 0) /* which trial it was told before is gone; its configurations are there */
        quoting->pipeline.study.deterministic = 0;
    quoting->under_way.known_until_ns = quoting->latest_ns;
    error = trend_fit(quoting->model, quoting->pipeline.space, quoting->account, &quoting->under_way.trend);
    return error == TROUPE_OK ? TROUPE_OK : no_memory(quoting);
}

static double longest_task(const struct model *model, const struct pipeline *pipeline) {
    double longest = 0;
    for (unsigned s = 0; s < model->stage_count; s++) {
        double mean = 0;
        for (unsigned i = 0; i < model->stages[s].count && pipeline->stages[s].in_trial; i++)
            mean += (double)model->stages[s].samples[i].wall_ns / model->stages[s].count;
        longest = fmax(longest, mean);
    }
    return longest;
}

static enum troupe_error make(struct quoting *quoting) {
    const struct quote_options *options = quoting->options;
    struct quote_line *line = &quoting->line;
    enum troupe_error error = prepare(quoting);
    if (error == TROUPE_OK)
        error = replicate_all(quoting);
    if (error != TROUPE_OK)
        return error;
    line->account = quoting->account;
    line->told = quoting->missing + quoting->told;
    line->at_ns = quoting->cut_ns + quoting->at_ns;
    line->task_ns = longest_task(quoting->model, &quoting->pipeline);
    double left_ns = (double)options->deadline_ns - (double)line->at_ns;
    if (options->deadline_ns != 0 && quoting->pipeline.trials == quoting->budget && !line->exhausted &&
        quote_line_step(line, line->count) < left_ns)
        error = lengthen(quoting, left_ns, options->trials * QUOTE_FURTHER_MAX - line->told);
    return error;
}

enum troupe_error quote_line_make(const struct run_record *record, const struct quote_options *options,
                                  struct account *account, struct quote_line *ret_line, struct fault *fault) {
    struct quoting *quoting = memory_alloc(account, sizeof *quoting);
    if (quoting == NULL)
        return fault_set(fault, TROUPE_NOMEM, record->id, "out of memory making a quote");
    quoting->record = record;
    quoting->options = options;
    quoting->account = account;
    quoting->fault = fault;
    enum troupe_error error = make(quoting);
    if (error == TROUPE_OK)
        *ret_line = quoting->line;
    else
        memory_free(account, quoting->line.steps);
    if (quoting->missing > 0)
        quote_past_free(&quoting->cut, account);
    memory_free(account, quoting->steps);
    memory_free(account, quoting->told_ns);
    trend_free(quoting->under_way.trend);
    model_free(quoting->model);
    memory_free(account, quoting);
    return error;
}

void quote_line_free(struct quote_line *line) {
    if (line->account != NULL)
        memory_free(line->account, line->steps);
    *line = (struct quote_line){0};
}

double quote_line_step(const struct quote_line *line, unsigned further) {
    unsigned count = line->count, half = count / 2;
    if (further == 0 || count == 0)
        return 0;
    if (further <= count)
        return line->steps[further - 1];
    double last = line->steps[count - 1];
    if (line->exhausted)
        return last;
    double pace = half > 0 ? (last - line->steps[half - 1]) / (count - half) : last / count;
    return last + pace * (further - count);
}

unsigned quote_line_in(const struct quote_line *line, double ns, unsigned max) {
    unsigned low = 0, high = line->exhausted && line->count < max ? line->count : max;
    while (low < high) {
        unsigned middle = low + (high - low + 1) / 2;
        if (quote_line_step(line, middle) <= ns)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
