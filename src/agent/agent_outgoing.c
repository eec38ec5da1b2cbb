/* agent_outgoing: tasks from an instance's queue to its worker. All that the worker may get now is written in
 * one piece: a system call costs more than a line, and a worker that reads many lines at once answers many at
 * once.
 *
 * Invariants: a task is in the queue or in the piece being made, and with the worker only once the piece was
 * taken by the pipe (or queued for it); a line has at most worker_line_max bytes and batch_max tasks.
 * Threads: the instance's. Memory: instance->out, kept over pieces; its limit is a piece and one more line.
 * Failure: no memory, or a worker that does not read: the tasks go back to the queue and are tried again. */
#include "agent/agent_instance.h"

#define PUMP_AGAIN_NS UINT64_C(10000000)
#define WRITES_REFUSED_MAX 100u       /* PUMP_AGAIN_NS apart: a second */
#define PIECE_BYTES ((size_t)1 << 16) /* what a pipe holds */
#define PIECE_TASKS 64

struct piece {
    struct held *tasks[PIECE_TASKS];
    unsigned count, lines;
};

size_t outgoing_bytes_max(const struct agent_spec *spec) {
    return PIECE_BYTES + spec->worker_line_max + 16;
}

static void cut(struct buffer *out, size_t length) {
    out->length = length;
    out->failed = out->over_limit = false;
}

/* Until when an idle worker waits for a batch to fill up: batch_wait_ns after its first task came, but not so long that a
 * task could miss its deadline for it. 0: it does not. */
static uint64_t batch_awaited_ns(const struct instance *instance) {
    const struct agent_spec *spec = instance->spec;
    if (spec->batch_wait_ns == 0 || instance->queue.count == 0 || instance->queue.count >= spec->batch_max)
        return 0;
    uint64_t until_ns = INSTANCE_NEVER;
    for (size_t at = 0; at < instance->queue.count; at++) {
        const struct task *task = ((const struct held *)(const void *)instance->queue.nodes[at])->task;
        uint64_t left_ns = task->deadline_ns > task->accepted_ns ? task->deadline_ns - task->accepted_ns : 0;
        uint64_t wait_ns = spec->batch_wait_ns < left_ns / 4 ? spec->batch_wait_ns : left_ns / 4;
        uint64_t full_ns = instance_after(task->accepted_ns, wait_ns);
        until_ns = full_ns < until_ns ? full_ns : until_ns;
    }
    return until_ns;
}

/* A whole batch fits, or the worker has nothing: else batches would decay into single tasks. */
static bool line_wanted(const struct instance *instance, unsigned pending) {
    const struct agent_spec *spec = instance->spec;
    unsigned there = instance->at_worker + pending;
    return (instance->state == INSTANCE_READY || instance->state == INSTANCE_BUSY) &&
           heap_first(&instance->queue) && (there == 0 || there + spec->batch_max <= spec->window);
}

static void task_add(struct instance *instance, const struct held *held, bool first, uint64_t now_ns) {
    uint64_t remaining = held_remaining(instance, held, now_ns);
    if (instance->spec->batch_max == 1)
        worker_write_task(&instance->out, held->task, held->id, remaining);
    else
        worker_write_tasks_item(&instance->out, held->task, held->id, remaining, first);
}

/* Adds one line. False: nothing more for now. */
static bool line_add(struct instance *instance, struct piece *piece, uint64_t now_ns) {
    const struct agent_spec *spec = instance->spec;
    struct buffer *out = &instance->out;
    bool single = spec->batch_max == 1;
    size_t start = out->length, whole = start;
    unsigned first = piece->count, room = spec->window - instance->at_worker - piece->count;
    unsigned most = spec->batch_max < room ? spec->batch_max : room;
    if (!single)
        worker_write_tasks_begin(out);
    while (piece->count - first < most && piece->count < PIECE_TASKS) {
        struct held *held = queue_peek(instance);
        if (!held)
            break;
        if (held->task->deadline_ns <= now_ns) {
            queue_expire(instance, now_ns);
            continue;
        }
        task_add(instance, held, piece->count == first, now_ns);
        if (buffer_ok(out) == TROUPE_NOMEM)
            return false;
        if (buffer_ok(out) != TROUPE_OK || out->length - start + (single ? 0 : 3) > spec->worker_line_max) {
            if (piece->count > first) { /* it begins the next line */
                cut(out, whole);
                break;
            }
            cut(out, start);
            held_fail(instance, queue_pop(instance), TROUPE_LIMIT, false, now_ns,
                      "its line to agent %s would have more than worker_line_max, %zu bytes", instance->name,
                      spec->worker_line_max);
            return true;
        }
        whole = out->length;
        piece->tasks[piece->count++] = queue_pop(instance);
    }
    if (piece->count == first) { /* all that waited had passed their deadlines */
        cut(out, start);
        return false;
    }
    if (!single)
        worker_write_tasks_end(out);
    piece->lines++;
    return true;
}

/* False: it went back to the queue; full or no memory: later; dead: its end will be told. */
static bool piece_send(struct instance *instance, struct piece *piece, uint64_t now_ns) {
    struct buffer *out = &instance->out;
    enum troupe_error error = piece->count > 0 ? buffer_ok(out) : TROUPE_FULL;
    bool refused = false;
    if (error == TROUPE_OK) {
        error = worker_link_write(&instance->link, out->bytes, out->length);
        refused = error == TROUPE_DEAD || error == TROUPE_NOMEM;
    }
    if (error != TROUPE_OK) {
        /* Mostly its end is told in a moment; a child that closed its input and lives on is ended. */
        if (refused && instance->link.child != NULL && ++instance->writes_refused > WRITES_REFUSED_MAX)
            child_kill(instance, TROUPE_WORKER, "it cannot be written to: its input is closed");
        while (piece->count > 0)
            queue_push_back(instance, piece->tasks[--piece->count]);
        if (heap_first(&instance->queue))
            instance->pump_again_ns = instance_after(now_ns, PUMP_AGAIN_NS);
        return false;
    }
    instance->writes_refused = 0;
    COUNT(instance, lines_out, piece->lines);
    COUNT(instance, bytes_out, out->length);
    for (unsigned at = 0; at < piece->count; at++)
        held_to_worker(instance, piece->tasks[at], now_ns);
    instance_state_follow(instance);
    return true;
}

void child_pump(struct instance *instance, uint64_t now_ns) {
    instance->pump_again_ns = INSTANCE_NEVER;
    uint64_t awaited_ns = instance->at_worker == 0 ? batch_awaited_ns(instance) : 0;
    if (awaited_ns > now_ns) {
        instance->pump_again_ns = awaited_ns;
        return;
    }
    while (line_wanted(instance, 0)) {
        struct piece piece;
        piece.count = piece.lines = 0;
        buffer_clear(&instance->out);
        while (line_wanted(instance, piece.count) && piece.count < PIECE_TASKS &&
               instance->out.length < PIECE_BYTES && line_add(instance, &piece, now_ns)) {
        }
        if (!piece_send(instance, &piece, now_ns))
            break;
    }
}
