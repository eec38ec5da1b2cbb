/* troupe_coordinate_batch: checks what it is given, makes a row of inverse speeds for each pair of kind and needs,
 * solves, and says of each task what became of it and why.
 *
 * Threads: any; nothing is shared but the account. Memory: one block of rows and numbers, one of the solver's. */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/batch_resources.h"
#include "coordinate/coordinate.h"
#include "troupe.h"

enum { AGENTS_MAX = 65536, TASKS_MAX = 1048576, ROWS_MAX = 4096, ROW_PLACES = 2 * ROWS_MAX };

static struct account account = ACCOUNT("batches");

struct row {
    uint64_t needs;
    uint32_t kind;
    uint32_t number; /* + 1; 0: free */
};
struct request {
    const struct troupe_batch *batch;
    char *problem;
    struct batch_problem solve;
    struct batch_answer answer;
    struct batch_task *tasks;
    float *inverse;
    double *ready;
    uint32_t *room, *row_of; /* by agent; by task */
    struct row *rows;        /* by hash */
    uint32_t *row_task;      /* by row: a task of it */
    unsigned row_count;
    double *start; /* by task, when `pooled` */
    int64_t *needs, *holds;
    bool pooled; /* a task asks for something of a pool */
};

static enum troupe_status problem(const struct request *request, enum troupe_status status,
                                  const char *format, ...) PRINTF_LIKE(3, 4);
static enum troupe_status problem(const struct request *request, enum troupe_status status,
                                  const char *format, ...) {
    if (request->problem) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(request->problem, TROUPE_PROBLEM_MAX, format, arguments);
        va_end(arguments);
    }
    return status;
}

static bool above_zero(double value) {
    return value > 0 && value <= 1e15;
}

static enum troupe_status check_agents(const struct request *request) {
    const struct troupe_batch *batch = request->batch;
    if (batch->agent_count == 0)
        return problem(request, TROUPE_STATUS_INVALID, "no agents: a batch needs at least one");
    if (batch->agent_count > AGENTS_MAX)
        return problem(request, TROUPE_STATUS_LIMIT, "%u agents: at most %d", batch->agent_count, AGENTS_MAX);
    for (uint32_t agent = 0; agent < batch->agent_count; agent++)
        for (uint32_t kind = 0; kind < batch->kind_count; kind++)
            if (!above_zero(batch->agents[agent].speeds[kind]))
                return problem(request, TROUPE_STATUS_INVALID,
                               "agents[%u].speeds[%u]: expected a number above 0 and up to 1e15, found %g",
                               agent, kind, batch->agents[agent].speeds[kind]);
    return TROUPE_STATUS_OK;
}

static enum troupe_status check_tasks(const struct request *request) {
    const struct troupe_batch *batch = request->batch;
    if (batch->task_count > TASKS_MAX)
        return problem(request, TROUPE_STATUS_LIMIT, "%u tasks: at most %d", batch->task_count, TASKS_MAX);
    for (uint32_t at = 0; at < batch->task_count; at++) {
        const struct troupe_batch_task *task = &batch->tasks[at];
        if (task->kind >= batch->kind_count)
            return problem(request, TROUPE_STATUS_INVALID, "tasks[%u].kind: expected one below %u, found %u",
                           at, batch->kind_count, task->kind);
        if (task->work_ns == 0 || task->work_ns > INT64_MAX)
            return problem(request, TROUPE_STATUS_INVALID,
                           "tasks[%u].work_ns: expected 1 to 2^63 - 1, found %llu", at,
                           (unsigned long long)task->work_ns);
        if (!above_zero(task->weight))
            return problem(request, TROUPE_STATUS_INVALID,
                           "tasks[%u].weight: expected a number above 0 and up to 1e15, found %g", at,
                           task->weight);
        if (task->deadline_ns == 0)
            return problem(request, TROUPE_STATUS_INVALID, "tasks[%u].deadline_ns: 0 has passed already", at);
        if (task->home != TROUPE_BATCH_NOBODY && task->home >= batch->agent_count)
            return problem(request, TROUPE_STATUS_INVALID,
                           "tasks[%u].home: expected an agent below %u or TROUPE_BATCH_NOBODY, found %u", at,
                           batch->agent_count, task->home);
    }
    return TROUPE_STATUS_OK;
}

/* ---- rows ---- */

static struct row *row_place(const struct request *request, uint32_t at_task) {
    const struct troupe_batch_task *task = &request->batch->tasks[at_task];
    uint64_t hash = (task->needs ^ (uint64_t)task->kind << 56) * UINT64_C(0x9E3779B97F4A7C15);
    for (unsigned at = (unsigned)(hash >> 40);; at++) {
        struct row *row = &request->rows[at % ROW_PLACES];
        if (row->number == 0)
            return row;
        if (row->kind == task->kind && row->needs == task->needs &&
            (request->batch->resource_count == 0 ||
             batch_resources_alike(request->batch, at_task, request->row_task[row->number - 1])))
            return row;
    }
}

static enum troupe_status rows_number(struct request *request) {
    const struct troupe_batch *batch = request->batch;
    for (uint32_t at = 0; at < batch->task_count; at++) {
        const struct troupe_batch_task *task = &batch->tasks[at];
        struct row *row = row_place(request, at);
        if (row->number == 0) {
            if (request->row_count == ROWS_MAX)
                return problem(request, TROUPE_STATUS_LIMIT,
                               "tasks[%u]: more than %d different pairs of kind and needs", at, ROWS_MAX);
            request->row_task[request->row_count] = at;
            *row = (struct row){task->needs, task->kind, ++request->row_count};
        }
        request->row_of[at] = row->number - 1;
    }
    return TROUPE_STATUS_OK;
}

static void rows_fill(const struct request *request) {
    const struct troupe_batch *batch = request->batch;
    for (unsigned row = 0; row < request->row_count; row++) {
        const struct troupe_batch_task *task = &batch->tasks[request->row_task[row]];
        float *inverse = request->inverse + (size_t)row * batch->agent_count;
        for (uint32_t agent = 0; agent < batch->agent_count; agent++) {
            const struct troupe_batch_agent *one = &batch->agents[agent];
            bool able = (task->needs & ~one->capabilities) == 0 &&
                        batch_resources_short(batch, request->row_task[row], agent) == 0;
            inverse[agent] = able ? (float)(1 / one->speeds[task->kind]) : INFINITY;
        }
    }
}

/* ---- what became of each ---- */

static double time_at(const struct request *request, uint32_t task, uint32_t agent) {
    const struct troupe_batch_task *one = &request->batch->tasks[task];
    double inverse =
        (double)request->inverse[(size_t)request->row_of[task] * request->batch->agent_count + agent];
    double time = (double)one->work_ns * inverse;
    return one->home == TROUPE_BATCH_NOBODY || one->home == agent ? time
                                                                  : time + (double)request->batch->away_ns;
}

/* Upwards, so that what is late by less than a ns is late. */
static uint64_t whole_ns(double value) {
    return value >= 1.8e19 ? TROUPE_BATCH_NEVER - 1 : value <= 0 ? 0 : (uint64_t)ceil(value);
}

/* The agent that would end it first, were it alone; NOBODY: none can. Room does not count. */
static uint32_t best_agent(const struct request *request, uint32_t task, double *ret_finish) {
    uint32_t best = TROUPE_BATCH_NOBODY;
    *ret_finish = INFINITY;
    for (uint32_t agent = 0; agent < request->batch->agent_count; agent++) {
        double finish = request->ready[agent] + time_at(request, task, agent);
        if (finish < *ret_finish) {
            *ret_finish = finish;
            best = agent;
        }
    }
    return best;
}

static void say_incapable(const struct request *request, uint32_t at_task, struct troupe_batch_place *place) {
    const struct troupe_batch_task *task = &request->batch->tasks[at_task];
    int least = INT_MAX;
    for (uint32_t agent = 0; agent < request->batch->agent_count; agent++) {
        uint64_t missing = task->needs & ~request->batch->agents[agent].capabilities;
        uint64_t lacking = batch_resources_short(request->batch, at_task, agent);
        int count = __builtin_popcountll(missing) + __builtin_popcountll(lacking);
        if (count < least) {
            least = count;
            place->agent = agent;
            place->missing = missing;
            place->lacking = lacking;
        }
    }
    place->verdict = TROUPE_BATCH_INCAPABLE;
}

static void say_refused(const struct request *request, uint32_t task, struct troupe_batch_place *place) {
    const struct troupe_batch *batch = request->batch;
    *place = (struct troupe_batch_place){.start_ns = TROUPE_BATCH_NEVER, .finish_ns = TROUPE_BATCH_NEVER};
    double finish;
    place->agent = best_agent(request, task, &finish);
    place->lacking = batch_resources_over(batch, task);
    if (place->lacking) {
        place->verdict = TROUPE_BATCH_OVERSIZED;
        place->agent = place->agent == TROUPE_BATCH_NOBODY ? 0 : place->agent;
        return;
    }
    if (place->agent == TROUPE_BATCH_NOBODY) {
        say_incapable(request, task, place);
        return;
    }
    if (batch->refuse_late && finish > (double)batch->tasks[task].deadline_ns) {
        place->verdict = TROUPE_BATCH_HOPELESS;
        place->finish_ns = whole_ns(finish);
        place->start_ns = whole_ns(request->ready[place->agent]);
        return;
    }
    place->verdict = TROUPE_BATCH_FULL;
    double soonest = INFINITY;
    for (uint32_t agent = 0; agent < batch->agent_count; agent++) {
        const struct troupe_batch_agent *one = &batch->agents[agent];
        uint32_t first = request->answer.first[agent], count = request->answer.first[agent + 1] - first;
        if (!isfinite(time_at(request, task, agent)) || one->queued + count == 0)
            continue;
        double each = one->queued > 0 ? (double)one->backlog_ns / one->queued
                                      : request->answer.finish[request->answer.queue[first]];
        soonest = each < soonest ? each : soonest;
    }
    place->capacity_in_ns = isfinite(soonest) ? whole_ns(soonest) : 0;
}

static void say_placed(const struct request *request, uint32_t task, struct troupe_batch_place *place) {
    uint32_t agent = request->answer.agent[task];
    double finish = request->answer.finish[task];
    *place = (struct troupe_batch_place){.agent = agent};
    place->finish_ns = whole_ns(finish);
    place->start_ns =
        whole_ns(request->pooled ? request->start[task] : finish - time_at(request, task, agent));
    place->verdict = finish > request->tasks[task].deadline ? TROUPE_BATCH_LATE : TROUPE_BATCH_ON_TIME;
}

static void say(const struct request *request, struct troupe_batch_place *places,
                struct troupe_batch_summary *ret_summary) {
    struct troupe_batch_summary summary = {.missed = request->answer.missed,
                                           .tardiness_ns = request->answer.tardiness,
                                           .finish_ns = whole_ns(request->answer.last),
                                           .steps = request->answer.steps};
    for (uint32_t task = 0; task < request->batch->task_count; task++) {
        if (request->answer.agent[task] == BATCH_NONE)
            say_refused(request, task, &places[task]);
        else
            say_placed(request, task, &places[task]);
        summary.on_time += places[task].verdict == TROUPE_BATCH_ON_TIME;
        summary.late += places[task].verdict == TROUPE_BATCH_LATE;
        summary.refused += places[task].verdict > TROUPE_BATCH_LATE;
    }
    if (ret_summary)
        *ret_summary = summary;
}

/* ---- whole ---- */

struct carver { /* of one block; with `block` NULL only measures */
    char *block;
    size_t used;
};

static void *carve(struct carver *carver, size_t size) {
    void *part = carver->block ? carver->block + carver->used : NULL;
    carver->used += (size + 15) & ~(size_t)15;
    return part;
}

static size_t request_place(struct request *request, char *block) {
    size_t agents = request->batch->agent_count, tasks = request->batch->task_count;
    struct carver at = {block, 0};
    request->ready = carve(&at, agents * sizeof(double));
    request->room = carve(&at, agents * sizeof(uint32_t));
    request->tasks = carve(&at, tasks * sizeof(struct batch_task));
    request->row_of = carve(&at, tasks * sizeof(uint32_t));
    request->rows = carve(&at, ROW_PLACES * sizeof(struct row));
    request->row_task = carve(&at, ROWS_MAX * sizeof(uint32_t));
    request->answer.agent = carve(&at, tasks * sizeof(uint32_t));
    request->answer.queue = carve(&at, tasks * sizeof(uint32_t));
    request->answer.first = carve(&at, (agents + 1) * sizeof(uint32_t));
    request->answer.finish = carve(&at, tasks * sizeof(double));
    if (request->pooled) {
        unsigned pools = batch_resources_pools(request->batch, NULL, NULL, NULL);
        request->start = carve(&at, tasks * sizeof(double));
        request->needs = carve(&at, tasks * pools * sizeof(int64_t));
        request->holds = carve(&at, agents * pools * sizeof(int64_t));
    }
    return at.used;
}

static void request_fill(struct request *request) {
    const struct troupe_batch *batch = request->batch;
    rows_fill(request);
    for (uint32_t agent = 0; agent < batch->agent_count; agent++) {
        request->ready[agent] = (double)batch->agents[agent].backlog_ns;
        request->room[agent] = batch->agents[agent].room;
    }
    for (uint32_t at = 0; at < batch->task_count; at++) {
        const struct troupe_batch_task *task = &batch->tasks[at];
        request->tasks[at] = (struct batch_task){
            .row = request->row_of[at],
            .home = task->home,
            .work = (double)task->work_ns,
            .deadline = task->deadline_ns == TROUPE_BATCH_NEVER ? INFINITY : (double)task->deadline_ns,
            .weight = task->weight};
        double finish;
        if (batch->refuse_late && best_agent(request, at, &finish) != TROUPE_BATCH_NOBODY &&
            finish > request->tasks[at].deadline)
            request->tasks[at].row = request->row_count; /* the row of those that nobody gets */
        if (batch->resource_count > 0 && batch_resources_over(batch, at))
            request->tasks[at].row = request->row_count;
    }
    request->solve = (struct batch_problem){.agent_count = batch->agent_count,
                                            .task_count = batch->task_count,
                                            .stride = batch->agent_count,
                                            .inverse = request->inverse,
                                            .ready = request->ready,
                                            .room = request->room,
                                            .tasks = request->tasks,
                                            .away = (double)batch->away_ns,
                                            .steps = batch->steps};
}

static enum troupe_error solve_pooled(struct request *request, struct batch_scratch *scratch) {
    int64_t total[BATCH_POOLS_MAX];
    struct batch_pools pools = {.total = total, .needs = request->needs, .holds = request->holds};
    pools.count = batch_resources_pools(request->batch, total, request->needs, request->holds);
    return batch_pools_solve(&account, scratch, &request->solve, &pools, &request->answer, request->start);
}

static enum troupe_status request_solve(struct request *request, struct troupe_batch_place *places,
                                        struct troupe_batch_summary *ret_summary) {
    enum troupe_status status = rows_number(request);
    if (status != TROUPE_STATUS_OK)
        return status;
    size_t cells = (size_t)(request->row_count + 1) * request->batch->agent_count;
    request->inverse = memory_alloc(&account, cells * sizeof(float));
    if (!request->inverse)
        return problem(request, TROUPE_STATUS_NO_MEMORY, "out of memory");
    for (size_t at = cells - request->batch->agent_count; at < cells; at++)
        request->inverse[at] = INFINITY;
    request_fill(request);
    struct batch_scratch *scratch = NULL;
    enum troupe_error error = batch_scratch_create(&account, &scratch);
    if (error == TROUPE_OK)
        error = request->pooled ? solve_pooled(request, scratch)
                                : batch_solve(scratch, &request->solve, &request->answer);
    if (error == TROUPE_OK)
        say(request, places, ret_summary);
    batch_scratch_free(scratch);
    memory_free(&account, request->inverse);
    return error == TROUPE_OK ? TROUPE_STATUS_OK : problem(request, TROUPE_STATUS_NO_MEMORY, "out of memory");
}

enum troupe_status troupe_coordinate_batch(const struct troupe_batch *batch,
                                           struct troupe_batch_place *ret_places,
                                           struct troupe_batch_summary *ret_summary, char *ret_problem) {
    struct request request = {.batch = batch, .problem = ret_problem};
    enum troupe_status status = check_agents(&request);
    if (status == TROUPE_STATUS_OK)
        status = check_tasks(&request);
    char said[TROUPE_PROBLEM_MAX];
    if (status == TROUPE_STATUS_OK && batch->resource_count > 0 &&
        (status = batch_resources_check(batch, said)) != TROUPE_STATUS_OK)
        (void)problem(&request, status, "%s", said);
    if (status != TROUPE_STATUS_OK)
        return status;
    request.pooled = batch_resources_pooled(batch);
    char *block = memory_alloc(&account, request_place(&request, NULL));
    if (!block)
        return problem(&request, TROUPE_STATUS_NO_MEMORY, "out of memory");
    request_place(&request, block);
    status = request_solve(&request, ret_places, ret_summary);
    memory_free(&account, block);
    return status;
}
