/* run_turns: runs/ID/turns.bin: the record of turns, gathered in memory and appended to the file twice a second by a
 * job, and once at the end.
 *
 * A recorded run has one worker, so that its turns have one order; the sink, the engine's timer and the end all run on
 * that worker's thread, and a buffer belongs to the job while one is under way. The record decides nothing: when it
 * cannot be written the run says so once and goes on; past GATHERED_MAX turns are lost and counted.
 * Threads: see above. Memory: two buffers on the run's account. */
#include "pipeline/run_internal.h"

#include <stdio.h>

#include "pipeline/turn_file.h"

#define WRITE_NS 500000000u
#define GATHERED_MAX (16u << 20)

/* A record is of a run from its start. */
static bool recorded(const struct run *run) {
    return run->options.record && !run->options.no_store && !run->options.resume;
}

enum troupe_error run_turns_open(struct run *run, struct fault *fault) {
    char path[1200];
    struct run_turns *turns = &run->turns;
    if (!recorded(run))
        return TROUPE_OK;
    snprintf(path, sizeof path, "%s/turns.bin", run->directory);
    enum troupe_error error =
        env_file_open(run->env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_TRUNCATE | ENV_FILE_APPEND,
                      &turns->file, fault);
    if (error != TROUPE_OK)
        return error;
    buffer_init(&turns->filling, run->account, GATHERED_MAX);
    buffer_init(&turns->draining, run->account, GATHERED_MAX);
    turn_file_header(&turns->filling, run->options.registry_seed);
    return buffer_ok(&turns->filling) == TROUPE_OK
               ? TROUPE_OK
               : fault_set(fault, TROUPE_NOMEM, path, "out of memory starting the record of turns");
}

static void gather(void *context, const struct turn_record *records, size_t count) {
    struct run_turns *turns = context;
    size_t bytes = TURN_FILE_BLOCK_HEADER_BYTES + count * TURN_FILE_RECORD_BYTES;
    /* A gap would make the rest useless: from the first loss on nothing is kept. */
    if (turns->file == NULL || turns->broken || turns->lost > 0 ||
        turns->filling.length + bytes > GATHERED_MAX) {
        turns->lost += count;
        return;
    }
    size_t before = turns->filling.length;
    turn_file_block(&turns->filling, records, count);
    if (buffer_ok(&turns->filling) == TROUPE_OK) {
        turns->count += count;
    } else {
        turns->filling.length = before;
        turns->filling.failed = turns->filling.over_limit = false;
        turns->lost += count;
    }
}

struct turn_sink run_turns_sink(struct run *run) {
    return recorded(run) ? (struct turn_sink){gather, &run->turns} : (struct turn_sink){0};
}

static void write_out(void *arg) {
    struct run_turns *turns = arg;
    turns->error = env_file_append(turns->file, turns->draining.bytes, turns->draining.length);
}

static void arm(struct turn *turn) {
    uint64_t timer;
    IGNORE(timer_start(turn, turn->now_ns + WRITE_NS, run_token(TOKEN_TIMER_TURNS, 0), &timer),
           "what is not written now is written at the end, as far as there is room");
}

void run_turns_start(struct run *run, struct turn *turn) {
    if (run->turns.file != NULL)
        arm(turn);
}

void run_turns_timer(struct run *run, struct turn *turn) {
    struct run_turns *turns = &run->turns;
    struct job_spec spec = {.lane = ENV_LANE_POOL,
                            .fn = write_out,
                            .arg = turns,
                            .token = run_token(TOKEN_TURNS, TOKEN_VALUE_NONE),
                            .sim_blocked_ns = 100000};
    if (run->finishing || turns->broken)
        return; /* the end writes what is left */
    if (turns->filling.length == 0) {
        arm(turn);
        return;
    }
    struct buffer filled = turns->filling;
    turns->filling = turns->draining;
    turns->draining = filled;
    buffer_clear(&turns->filling);
    turns->under_way = true;
    if (job_start(turn, &spec) == TROUPE_OK)
        return;
    turns->under_way = false;
    filled = turns->filling; /* back again: nothing was gathered meanwhile */
    turns->filling = turns->draining;
    turns->draining = filled;
    arm(turn);
}

void run_turns_written(struct run *run, struct turn *turn) {
    struct run_turns *turns = &run->turns;
    turns->under_way = false;
    buffer_clear(&turns->draining);
    if (turns->error != TROUPE_OK) {
        turns->broken = true;
        run_line(run, turn, UINT32_MAX, "no further record of turns: %s", error_text(turns->error));
        return;
    }
    arm(turn);
}

void run_turns_close(struct run *run) {
    struct run_turns *turns = &run->turns;
    if (turns->file == NULL)
        return;
    /* A job that was under way is done, for runtime_free has waited for it; only its message may be lost. */
    if (turns->under_way && turns->error != TROUPE_OK)
        turns->broken = true;
    if (run->started && !turns->broken) {
        if (run->summary_written)
            turn_file_end(&turns->filling, turns->count, turns->lost);
        if (buffer_ok(&turns->filling) == TROUPE_OK && turns->filling.length > 0)
            IGNORE(env_file_append(turns->file, turns->filling.bytes, turns->filling.length),
                   "nothing depends on the record");
    }
    buffer_free(&turns->filling);
    buffer_free(&turns->draining);
    env_file_close(turns->file);
    *turns = (struct run_turns){0};
}
