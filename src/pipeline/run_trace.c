/* run_trace: runs/ID/trace.bin: the rings of the run's runtime, drained to a file twice a second by a job and
 * once at the end.
 *
 * The trace decides nothing: when it cannot be written the run says so once and goes on without it.
 * Threads: run_trace_open and _close on the calling thread, before and after runtime_run; the others in the
 *          engine's turns. At most one drain is under way.
 * Memory:  the tracer and the file, from the run's account. */
#include "pipeline/run_internal.h"

#include <stdio.h>

#define DRAIN_NS 500000000u
#define RING_RECORDS 16384u

enum troupe_error run_trace_open(struct run *run, unsigned workers, struct fault *fault) {
    char path[1200];
    if (!run->options.trace || run->options.no_store)
        return TROUPE_OK;
    snprintf(path, sizeof path, "%s/trace.bin", run->directory);
    struct run_trace *trace = &run->trace;
    enum troupe_error error = env_file_open(
        run->env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_APPEND, &trace->file, fault);
    if (error != TROUPE_OK)
        return error;
    error =
        tracer_create(run->env, run->account, workers,
                      run->options.trace_ring_records != 0 ? run->options.trace_ring_records : RING_RECORDS,
                      &trace->tracer);
    if (error != TROUPE_OK)
        return fault_set(fault, error, path, "the trace could not be started");
    tracer_enable(trace->tracer, true);
    return TROUPE_OK;
}

static void drain(void *arg) {
    struct run *run = arg;
    run->trace.error = trace_drain(run->trace.tracer, run->trace.file, &run->trace.fault);
}

static void arm(struct turn *turn) {
    uint64_t timer;
    IGNORE(timer_start(turn, turn->now_ns + DRAIN_NS, run_token(TOKEN_TIMER_TRACE, 0), &timer),
           "what is not drained now is drained at the end, or counted as dropped");
}

void run_trace_start(struct run *run, struct turn *turn) {
    if (run->trace.tracer != NULL)
        arm(turn);
}

void run_trace_timer(struct run *run, struct turn *turn) {
    struct job_spec spec = {.lane = ENV_LANE_POOL,
                            .fn = drain,
                            .arg = run,
                            .token = run_token(TOKEN_TRACE, TOKEN_VALUE_NONE),
                            .sim_blocked_ns = 100000};
    if (run->finishing || run->trace.broken)
        return; /* the end drains what is left */
    if (job_start(turn, &spec) != TROUPE_OK)
        arm(turn);
}

void run_trace_drained(struct run *run, struct turn *turn) {
    if (run->trace.error != TROUPE_OK) {
        run->trace.broken = true;
        tracer_enable(run->trace.tracer, false);
        run_line(run, turn, UINT32_MAX, "no further trace: %s", run->trace.fault.text);
        return;
    }
    arm(turn);
}

void run_trace_close(struct run *run) {
    struct run_trace *trace = &run->trace;
    /* One that never started may share the file with the process that runs it: not a byte is written then. */
    if (run->started && trace->tracer != NULL && trace->file != NULL && !trace->broken)
        IGNORE(trace_drain(trace->tracer, trace->file, NULL), "nothing depends on the trace");
    tracer_free(trace->tracer);
    if (trace->file != NULL)
        env_file_close(trace->file);
    *trace = (struct run_trace){0};
}
