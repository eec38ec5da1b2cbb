/* analyze_queue: the queues a task waits in: the coordinator's (ready until an agent accepts it) and, for each
 * stage, the agents' (accepted until started). The mean length comes from a sweep over arrivals and departures,
 * the arrival rate and the mean wait from counts and sums; Little's law, L = lambda W, holds exactly when every
 * task that arrived has left within the window, so a difference means that stamps are missing or wrong.
 * Memory: scratch on the account, freed here. */
#include "analyze/analysis_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct visit {
    uint64_t arrival, departure;
};
struct change {
    uint64_t at;
    int by;
};

static int by_at(const void *a, const void *b) {
    const struct change *left = a, *right = b;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    return left->by - right->by; /* who leaves makes room before who comes */
}

/* Integral of the length over from..to in length x seconds, and the largest length. */
static double sweep(struct change *changes, size_t count, uint64_t from, uint64_t to, uint64_t *ret_max) {
    double integral = 0;
    int64_t length = 0, max = 0;
    uint64_t at = from;
    qsort(changes, count, sizeof *changes, by_at);
    for (size_t i = 0; i < count; i++) {
        uint64_t now = changes[i].at < from ? from : changes[i].at > to ? to : changes[i].at;
        integral += (double)length * (double)(now - at) / 1e9;
        at = now;
        length += changes[i].by;
        max = length > max ? length : max;
    }
    *ret_max = (uint64_t)max;
    return integral;
}

static void measure(struct analyzer *analyzer, struct visit *visits, size_t count, struct change *changes,
                    struct analyze_queue *queue) {
    const struct analysis *analysis = analyzer->analysis;
    double window = (double)(analysis->active_to - analysis->active_from) / 1e9, waited = 0;
    for (size_t i = 0; i < count; i++) {
        changes[2 * i] = (struct change){visits[i].arrival, 1};
        changes[2 * i + 1] = (struct change){visits[i].departure, -1};
        waited += ((double)visits[i].departure - (double)visits[i].arrival) / 1e9;
    }
    queue->count = count;
    double integral =
        sweep(changes, 2 * count, analysis->active_from, analysis->active_to, &queue->length_max);
    queue->length_mean = window > 0 ? integral / window : 0;
    queue->arrivals_per_second = window > 0 ? (double)count / window : 0;
    queue->wait_mean_s = waited / (double)count;
    double product = queue->arrivals_per_second * queue->wait_mean_s;
    double size = fmax(fmax(fabs(queue->length_mean), fabs(product)), 1e-9);
    queue->little_error = fabs(queue->length_mean - product) / size;
    if (queue->little_error > LITTLE_TOLERANCE && size > 1e-6)
        analyzer_problem(
            analyzer, "queue '%s': mean length %.4g, but arrivals a second x mean wait = %.4g (Little's law)",
            queue->name, queue->length_mean, product);
}

/* Visits of one stage's agent queue, or with stage == stage_count of the coordinator's queue. */
static size_t gather(struct analyzer *analyzer, unsigned stage, struct visit *visits) {
    size_t count = 0;
    bool coordinator = stage == analyzer->record->stage_count;
    for (size_t i = 0; i < analyzer->execution_count; i++) {
        const struct analyze_execution *one = analyzer->executions[i];
        if (one->reused || (!coordinator && one->stage != stage))
            continue;
        visits[count++] = coordinator ? (struct visit){one->ready, one->accepted}
                                      : (struct visit){one->accepted, one->started};
        /* of a later attempt, `ready` is that of the first: it came back when the one before it had ended */
        if (coordinator && i > 0 && analyzer->executions[i - 1]->trial == one->trial &&
            analyzer->executions[i - 1]->stage == one->stage &&
            analyzer->executions[i - 1]->done > one->ready)
            visits[count - 1].arrival = analyzer->executions[i - 1]->done;
    }
    return count;
}

enum troupe_error analyzer_queues(struct analyzer *analyzer) {
    struct analysis *analysis = analyzer->analysis;
    unsigned stages = analyzer->record->stage_count;
    size_t room = analyzer->execution_count + 1;
    struct visit *visits = memory_alloc(analyzer->account, room * sizeof *visits);
    struct change *changes = memory_alloc(analyzer->account, 2 * room * sizeof *changes);
    struct analyze_queue *queues = ARENA_ARRAY(analyzer->arena, struct analyze_queue, stages + 1);
    enum troupe_error error =
        visits != NULL && changes != NULL && queues != NULL ? TROUPE_OK : analyzer_no_memory(analyzer);
    for (unsigned k = 0; k <= stages && error == TROUPE_OK; k++) {
        unsigned stage = k == 0 ? stages : k - 1; /* the coordinator's first */
        size_t count = gather(analyzer, stage, visits);
        if (count == 0)
            continue;
        struct analyze_queue *queue = &queues[analysis->queue_count++];
        if (stage == stages)
            snprintf(queue->name, sizeof queue->name, "coordinator");
        else
            snprintf(queue->name, sizeof queue->name, "agents, %.60s",
                     analyzer_stage_name(analyzer->record, stage));
        measure(analyzer, visits, count, changes, queue);
    }
    analysis->queues = queues;
    memory_free(analyzer->account, visits);
    memory_free(analyzer->account, changes);
    return error;
}
