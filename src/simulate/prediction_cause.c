/* prediction_cause: the largest difference between the run that a prediction was made from and the one that measured
 * it, as far as their records tell. See prediction_score.h.
 *
 * Compared are the trials that both asked for alike, stage by stage: CPU, and time that was neither CPU nor a wait for a
 * core. A wait for a core is contention when the run's own tasks left the cores idle: then others used them. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GOOD_PERCENT 5.0 /* an error that needs no explanation */
#define DIFFERENCE_MIN 0.05
#define OTHERS_MIN 0.2  /* part of the trials */
#define CORES_FULL 0.85 /* the run itself fills them */

struct time_parts {
    double cpu_ns, blocked_ns, wait_ns;
};

static void add_execution(struct time_parts *parts, const struct record_execution *execution) {
    double wall = execution->ended > execution->started ? (double)(execution->ended - execution->started) : 0;
    double cpu = (double)execution->cpu_ns;
    double wait = execution->core_wait_ns != CORE_WAIT_UNKNOWN ? (double)execution->core_wait_ns : 0;
    parts->cpu_ns += cpu;
    parts->wait_ns += wait;
    parts->blocked_ns += wall > cpu + wait ? wall - cpu - wait : 0;
}

static bool alike(const struct run_record *base, const struct run_record *measured, uint32_t number) {
    const struct record_trial *left = run_record_trial(base, number),
                              *right = run_record_trial(measured, number);
    unsigned count = space_count(measured->pipeline->space);
    if (left == NULL || right == NULL || space_count(base->pipeline->space) != count)
        return false;
    for (unsigned v = 0; v < count; v++)
        if (left->values[v] != right->values[v] && !(isnan(left->values[v]) && isnan(right->values[v])))
            return false;
    return true;
}

static struct time_parts parts_of(const struct run_record *record, const struct run_record *base,
                                  const struct run_record *measured) {
    struct time_parts parts = {0};
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *execution = &record->executions[i];
        if (!execution->reused && execution->state == TASK_OK &&
            (base == NULL || alike(base, measured, execution->trial)))
            add_execution(&parts, execution);
    }
    return parts;
}

static double total(const struct time_parts *parts) {
    return parts->cpu_ns + parts->blocked_ns + parts->wait_ns;
}

/* Part of the tasks' time that they waited for cores which the run itself did not fill; 0 when it did. */
static double contention(const struct run_record *measured, unsigned cores) {
    struct time_parts parts = parts_of(measured, NULL, NULL);
    double capacity = (double)cores * (double)measured->elapsed_ns;
    if (capacity <= 0 || total(&parts) <= 0 || parts.cpu_ns / capacity > CORES_FULL)
        return 0;
    return parts.wait_ns / total(&parts);
}

/* Of the trials that are alike: until their results were on disk, and in all. */
struct trial_times {
    unsigned count;
    double commit_ns, wall_ns;
};

static struct trial_times times_of(const struct run_record *record, const struct run_record *base,
                                   const struct run_record *measured) {
    struct trial_times times = {0};
    for (size_t i = 0; i < record->trial_count; i++) {
        const struct record_trial *trial = &record->trials[i];
        if (trial->ended_ns <= trial->created_ns || trial->told_ns > trial->ended_ns ||
            !alike(base, measured, trial->number))
            continue;
        times.count++;
        times.commit_ns += (double)(trial->ended_ns - trial->told_ns);
        times.wall_ns += (double)(trial->ended_ns - trial->created_ns);
    }
    return times;
}

/* The largest difference for a trial, in parts of the time that one took in the record. */
static void compare_times(const struct run_record *base, const struct run_record *measured, char out[160]) {
    struct time_parts before = parts_of(base, base, measured), after = parts_of(measured, base, measured);
    struct trial_times was = times_of(base, base, measured), is = times_of(measured, base, measured);
    if (was.count == 0 || is.count == 0 || was.wall_ns <= 0)
        return;
    unsigned cores = measured->cores != 0 ? measured->cores : base->cores; /* older records do not say */
    double wall = was.wall_ns / was.count, now = contention(measured, cores), then = contention(base, cores);
    double cpu = (after.cpu_ns / is.count - before.cpu_ns / was.count) / wall;
    double blocked = (after.blocked_ns / is.count - before.blocked_ns / was.count) / wall;
    double wait = (after.wait_ns / is.count - before.wait_ns / was.count) / wall;
    double commit = (is.commit_ns / is.count - was.commit_ns / was.count) / wall;
    double most =
        fmax(fmax(fabs(cpu), fabs(blocked)), fmax(now > 0 || then > 0 ? fabs(wait) : 0, fabs(commit)));
    if (most < DIFFERENCE_MIN)
        return;
    if (fabs(wait) == most)
        snprintf(
            out, 160,
            "others used the cores %s: tasks waited %.0f %% of their time for one, %.0f %% in the record",
            wait > 0 ? "more" : "less", 100 * now, 100 * then);
    else if (fabs(commit) == most)
        snprintf(out, 160, "results took %.3g ms to be on disk, %.3g ms in the record",
                 is.commit_ns / is.count / 1e6, was.commit_ns / was.count / 1e6);
    else if (fabs(cpu) == most)
        snprintf(out, 160, "the same configurations took %.0f %% %s CPU than in the record",
                 before.cpu_ns > 0 ? 100 * fabs(after.cpu_ns / before.cpu_ns - 1) : 100,
                 cpu > 0 ? "more" : "less");
    else
        snprintf(out, 160, "the same configurations were blocked for %.3g ms a trial, %.3g ms in the record",
                 after.blocked_ns / is.count / 1e6, before.blocked_ns / was.count / 1e6);
}

static void compare(const struct run_record *base, const struct run_record *measured, char out[160]) {
    unsigned otherwise = 0;
    compare_times(base, measured, out);
    for (size_t i = 0; i < measured->trial_count; i++)
        otherwise += !alike(base, measured, measured->trials[i].number);
    if (out[0] == '\0' && otherwise > OTHERS_MIN * (double)measured->trial_count)
        snprintf(out, 160, "%u of %zu trials asked for other configurations than the record's", otherwise,
                 measured->trial_count);
}

void prediction_cause(const struct run_record *base, const struct run_record *measured,
                      const struct prediction_entry *entry, char out[160]) {
    double figures[FIGURE_COUNT];
    out[0] = '\0';
    measured_figures(measured, figures);
    double wall = prediction_error_percent(entry->figures[FIGURE_WALL].value, figures[FIGURE_WALL]),
           rate =
               prediction_error_percent(entry->figures[FIGURE_THROUGHPUT].value, figures[FIGURE_THROUGHPUT]);
    if (!(fabs(wall) > GOOD_PERCENT) && !(fabs(rate) > GOOD_PERCENT))
        return;
    if (base != NULL)
        compare(base, measured, out);
    else if (contention(measured, measured->cores) > DIFFERENCE_MIN)
        snprintf(out, 160, "others used the cores: tasks waited %.0f %% of their time for one",
                 100 * contention(measured, measured->cores));
    if (out[0] != '\0')
        return;
    if (isfinite(entry->progress) && entry->progress > 0)
        snprintf(out, 160, "told after %.0f %% of the trials", 100 * entry->progress);
    else if (entry->assumed > 0)
        snprintf(out, 160, "not in the records; %u parameters of the model were assumed", entry->assumed);
    else
        snprintf(out, 160, "the records do not tell");
}
