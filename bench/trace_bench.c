/* The cost of a record: trace_emit in a loop on one thread, with a ring that has room, a ring that is full
 * (the record is dropped and counted) and a tracer that is switched off.
 *
 * "room" is what a traced run pays and what the target is about; the ring is emptied between the loops, out
 * of the measured time. CPU time of the thread, so that other work on the machine does not count. */
#include "bench_figure.h"

#include "trace/trace.h"

#include <stdio.h>

enum { RING_RECORDS = 1 << 16 };

struct rig {
    struct env *env;
    struct tracer *tracer;
    struct env_file *file;
    struct fault fault;
};

static double emit_ns(struct rig *rig, unsigned records) {
    uint64_t began_ns = env_thread_cpu(rig->env);
    for (unsigned at = 0; at < records; at++)
        trace_emit(rig->tracer, 0, TRACE_TASK_STARTED, at, at, 1);
    return (double)(env_thread_cpu(rig->env) - began_ns) / records;
}

static void drain(struct rig *rig) {
    enum troupe_error error = trace_drain(rig->tracer, rig->file, &rig->fault);
    if (error == TROUPE_OK)
        error = env_file_truncate(rig->file, 0);
    if (error != TROUPE_OK)
        bench_fail("trace_bench", error, &rig->fault);
}

/* Many rings full, so that a round is long enough for the clock. */
static double room_ns(struct rig *rig, unsigned rings) {
    double total = 0;
    for (unsigned at = 0; at < rings; at++) {
        total += emit_ns(rig, RING_RECORDS / 2);
        drain(rig);
    }
    return total / rings;
}

int main(int argc, char **argv) {
    unsigned rounds = 11, rings = 20;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "the median is taken over so many"},
        {"--rings", &rings, 1, 1, 10000, "half rings of 32,768 records written in a round"}};
    bench_options("trace_bench", argc, argv, options, ARRAY_COUNT(options));
    struct account account = ACCOUNT("bench");
    struct rig rig = {0};
    static const char path[] = "trace_bench.tmp";
    enum troupe_error error = env_os_create(&account, &rig.env);
    if (error == TROUPE_OK)
        error = env_file_open(rig.env, path, ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_CREATE, &rig.file,
                              &rig.fault);
    if (error == TROUPE_OK)
        error = tracer_create(rig.env, &account, 1, RING_RECORDS, &rig.tracer);
    if (error != TROUPE_OK)
        bench_fail("trace_bench", error, &rig.fault);
    double room[BENCH_ROUNDS_MAX], full[BENCH_ROUNDS_MAX], off[BENCH_ROUNDS_MAX];
    for (unsigned round = 0; round < rounds; round++) {
        tracer_enable(rig.tracer, true);
        room[round] = room_ns(&rig, rings);
        emit_ns(&rig, RING_RECORDS); /* fills it */
        full[round] = emit_ns(&rig, rings * RING_RECORDS);
        tracer_enable(rig.tracer, false);
        off[round] = emit_ns(&rig, rings * RING_RECORDS);
        drain(&rig);
    }
    bench_print(
        &(struct bench_figure){"trace", "emit", "ns of CPU per record", room, rounds, BENCH_AT_MOST, 30});
    bench_print(&(struct bench_figure){"trace", "emit, ring full", "ns of CPU per record", full, rounds,
                                       BENCH_NO_TARGET, 0});
    bench_print(&(struct bench_figure){"trace", "emit, switched off", "ns of CPU per record", off, rounds,
                                       BENCH_NO_TARGET, 0});
    tracer_free(rig.tracer);
    env_file_close(rig.file);
    IGNORE(env_remove(rig.env, path), "a left-over file is visible");
    env_destroy(rig.env);
    return 0;
}
