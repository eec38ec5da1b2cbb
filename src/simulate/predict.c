/* predict: the same run under several seeds, and what they agree on.
 *
 * Where the record holds a configuration, its times are taken as they were and the replications differ only in the
 * order of simultaneous events; where it does not, they differ in what is drawn. To that spread comes the machine's
 * own from run to run, which one record cannot tell: PREDICT_NOISE.
 * Threads: any one. Memory: the caller's account. */
#include "simulate/simulate.h"
#include "simulate/student.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct figure_row figure_table[FIGURE_COUNT] = {
    [FIGURE_WALL] = {"wall_ms", "ms"},
    [FIGURE_THROUGHPUT] = {"throughput", "trials/s"},
    [FIGURE_TRIALS] = {"trials", ""},
    [FIGURE_TRIAL_MEAN] = {"trial_mean_ms", "ms"},
    [FIGURE_TRIAL_P50] = {"trial_p50_ms", "ms"},
    [FIGURE_TRIAL_P95] = {"trial_p95_ms", "ms"},
    [FIGURE_AGENTS_BUSY] = {"agents_busy_percent", "%"},
    [FIGURE_CORES_BUSY] = {"cores_busy_percent", "%"},
};

static int by_value(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static int by_real(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* `walls` is sorted here. */
static void trial_figures(uint64_t *walls, size_t count, double *figures) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)walls[i] / 1e6;
    qsort(walls, count, sizeof *walls, by_value);
    figures[FIGURE_TRIALS] = (double)count;
    figures[FIGURE_TRIAL_MEAN] = count > 0 ? sum / (double)count : 0;
    figures[FIGURE_TRIAL_P50] = count > 0 ? (double)walls[(count - 1) / 2] / 1e6 : 0;
    figures[FIGURE_TRIAL_P95] =
        count > 0 ? (double)walls[(size_t)(0.95 * (double)(count - 1) + 0.5)] / 1e6 : 0;
}

static void figures_of(struct simulated *simulated, double *figures) {
    trial_figures(simulated->trial_wall_ns, simulated->trial_count, figures);
    figures[FIGURE_WALL] = (double)simulated->wall_ns / 1e6;
    figures[FIGURE_THROUGHPUT] =
        simulated->wall_ns > 0 ? (double)simulated->told * 1e9 / (double)simulated->wall_ns : 0;
    figures[FIGURE_AGENTS_BUSY] = 100 * simulated->executing;
    figures[FIGURE_CORES_BUSY] = 100 * simulated->cores_busy;
}

/* The place that is full, or that most of the trials' time goes to. */
static void limit_of(const struct prediction_request *request, const struct simulated *simulated, char *out,
                     size_t size) {
    const struct pipeline *pipeline = request->pipeline;
    uint64_t total = simulated->agent_wait_ns + simulated->coordination_ns + simulated->reuse_wait_ns +
                     simulated->store_ns + simulated->transfer_ns;
    unsigned longest = 0;
    for (unsigned s = 0; s < pipeline->stage_count; s++) {
        total += simulated->stage_ns[s];
        if (simulated->stage_ns[s] > simulated->stage_ns[longest])
            longest = s;
    }
    double wait = total > 0 ? (double)simulated->agent_wait_ns / (double)total : 0;
    double stage = total > 0 ? (double)simulated->stage_ns[longest] / (double)total : 0;
    if (simulated->cores_busy > 0.9)
        snprintf(out, size, "the cores: %.0f %% busy", 100 * simulated->cores_busy);
    else if (wait > 0.25)
        snprintf(out, size, "agents for '%.40s': %.0f %% of the trials' time is waiting for one",
                 pipeline->stages[longest].name, 100 * wait);
    else
        snprintf(out, size, "stage '%.40s': %.0f %% of the trials' time", pipeline->stages[longest].name,
                 100 * stage);
}

static bool is_time(unsigned figure) {
    return figure != FIGURE_TRIALS && figure != FIGURE_AGENTS_BUSY && figure != FIGURE_CORES_BUSY;
}

static void estimate_of(double *values, unsigned count, bool time, bool fixed, struct estimate *ret) {
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < count; i++)
        sum += values[i];
    double mean = sum / count;
    for (unsigned i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double variance = count > 1 ? squares / (count - 1) : 0;
    if (time && !fixed)
        variance += mean * PREDICT_NOISE * mean * PREDICT_NOISE;
    qsort(values, count, sizeof *values, by_real);
    /* Of one more run, when so few tell of the spread. */
    double half = student_95(count > 1 ? count - 1 : 1000) * sqrt(variance * (1 + 1.0 / count));
    *ret = (struct estimate){.value = mean, .low = mean - half > 0 ? mean - half : 0, .high = mean + half};
}

enum troupe_error predict(const struct prediction_request *request, struct account *account,
                          struct prediction *ret, struct fault *fault) {
    unsigned count = request->replications != 0 ? request->replications : PREDICT_REPLICATIONS;
    double *values = memory_alloc(account, count * FIGURE_COUNT * sizeof *values);
    struct prediction made = {.replications = count};
    enum troupe_error error = TROUPE_OK;
    if (values == NULL)
        return fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory");
    bool cut = false;
    for (unsigned r = 0; r < count && error == TROUPE_OK; r++) {
        struct simulation simulation = {.model = request->model,
                                        .pipeline = request->pipeline,
                                        .assumptions = request->assumptions,
                                        .assumption_count = request->assumption_count,
                                        .seed = request->seed + r,
                                        .resample = true};
        struct simulated simulated = {0};
        double figures[FIGURE_COUNT] = {0};
        error = simulate_run(&simulation, account, &simulated, fault);
        if (error != TROUPE_OK)
            break;
        figures_of(&simulated, figures);
        for (unsigned f = 0; f < FIGURE_COUNT; f++)
            values[f * count + r] = figures[f];
        cut = cut || simulated.state == RUN_DEADLINE;
        made.events += simulated.events;
        made.signature = hash_bytes(&simulated.signature, sizeof simulated.signature, made.signature);
        if (r == 0)
            limit_of(request, &simulated, made.limit, sizeof made.limit);
        simulated_free(&simulated);
    }
    if (request->replicated != NULL && error == TROUPE_OK)
        memcpy(request->replicated, values, count * FIGURE_COUNT * sizeof *values);
    for (unsigned f = 0; f < FIGURE_COUNT && error == TROUPE_OK; f++)
        estimate_of(values + f * count, count, is_time(f), cut && f == FIGURE_WALL, &made.figures[f]);
    memory_free(account, values);
    if (error == TROUPE_OK)
        *ret = made;
    return error;
}

void measured_figures(const struct run_record *record, double ret_figures[FIGURE_COUNT]) {
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        ret_figures[f] = NAN;
    struct account *account = record->arena.account;
    uint64_t *walls = memory_alloc(account, (record->trial_count + 1) * sizeof *walls);
    size_t count = 0;
    for (size_t i = 0; i < record->trial_count && walls != NULL; i++) {
        const struct record_trial *trial = &record->trials[i];
        if ((trial->state == TRIAL_OK || trial->state == TRIAL_FAILED) && trial->ended_ns > trial->created_ns)
            walls[count++] = trial->ended_ns - trial->created_ns;
    }
    if (walls != NULL)
        trial_figures(walls, count, ret_figures);
    memory_free(account, walls);
    const struct node *time = node_get(document_root(record->response), "time"),
                      *agents = node_get(time, "agents");
    if (time == NULL)
        return;
    double wall = node_real(node_get(time, "elapsed_ms")), total = node_real(node_get(agents, "total_ms"));
    ret_figures[FIGURE_WALL] = wall;
    ret_figures[FIGURE_THROUGHPUT] = wall > 0 ? 1e3 * (double)record->told / wall : NAN;
    ret_figures[FIGURE_AGENTS_BUSY] =
        total > 0 ? 100 * node_real(node_get(agents, "executing_ms")) / total : NAN;
}
