/* The record of turns: blocks of each worker, handed to the sink when they are full and at the end of the run.
 *
 * Threads: a worker's records are its own; at the end, when no worker runs any more, the thread that runs the runtime.
 * Memory:  a block a worker from the runtime's account, only when there is a sink.
 * Cost:    off: nothing that is not there anyway (the same look decides whether a turn is simulated); on: one store of
 *          16 bytes a turn, and the sink. */
#include "runtime/worker.h"

#define BLOCK_RECORDS 256U

_Static_assert(sizeof(struct turn_record) == 16, "at most 16 bytes a turn");
_Static_assert(MESSAGE_KIND_COUNT <= TURN_RECORD_INPUT, "a kind is 8 bits");
_Static_assert(WORKERS_MAX <= 64, "a worker is 6 bits");

enum troupe_error turn_records_begin(struct runtime *runtime) {
    for (unsigned index = 0; runtime->sink.write != NULL && index < runtime->workers_count; index++) {
        struct worker *worker = &runtime->workers[index];
        worker->records = memory_alloc(runtime->account, BLOCK_RECORDS * sizeof *worker->records);
        if (worker->records == NULL) {
            return TROUPE_NOMEM;
        }
    }
    return TROUPE_OK;
}

static void block_write(struct worker *worker) {
    if (worker->records_count > 0) {
        worker->runtime->sink.write(worker->runtime->sink.context, worker->records, worker->records_count);
        worker->records_count = 0;
    }
}

void turn_records_end(struct runtime *runtime) {
    for (unsigned index = 0; index < runtime->workers_count; index++) {
        block_write(&runtime->workers[index]);
    }
}

void turn_records_free(struct runtime *runtime) {
    for (unsigned index = 0; runtime->workers != NULL && index < runtime->workers_count; index++) {
        memory_free(runtime->account, runtime->workers[index].records);
    }
}

static void record_add(struct worker *worker, const struct turn_record *record) {
    worker->records[worker->records_count++] = *record;
    if (worker->records_count == BLOCK_RECORDS) {
        block_write(worker);
    }
}

/* The time is split, so that an input and a turn look alike. */
static struct turn_record record_of(const struct worker *worker, uint32_t slot, unsigned kind,
                                    uint64_t time_ns) {
    uint64_t time = time_ns & TURN_RECORD_TIME_MASK;
    return (struct turn_record){.actor = slot & (TURN_RECORD_ACTORS_MAX - 1),
                                .kind = kind & 0xff,
                                .worker = worker->index & 0x3f,
                                .time_low = time & 0x3fffffff,
                                .of.message.time_high = time >> 30 & 0xfff};
}

void turn_record_message(struct worker *worker, const struct turn *turn, const struct message *message) {
    struct turn_record record = record_of(worker, actor_ref_slot(turn->self), message->kind, turn->now_ns);
    record.of.message.sender = actor_ref_slot(message->sender) & (TURN_RECORD_ACTORS_MAX - 1);
    record.of.message.token = (uint32_t)message->token;
    record_add(worker, &record);
}

void turn_record_input(struct runtime *runtime, actor_ref actor, uint64_t token, uint64_t time_ns) {
    struct worker *worker = worker_on_thread(runtime);
    if (worker == NULL || runtime->sink.write == NULL) {
        return;
    }
    struct turn_record record = record_of(worker, actor_ref_slot(actor), TURN_RECORD_INPUT, time_ns);
    record.of.message.token = (uint32_t)token;
    record_add(worker, &record);
}

static void record_read(struct worker *worker, const struct turn *turn, uint64_t version) {
    struct turn_record record = record_of(worker, actor_ref_slot(turn->self), TURN_RECORD_READ, turn->now_ns);
    record.of.version = version;
    record_add(worker, &record);
}

void turn_record_read(struct turn *turn, uint64_t version) {
    if (turn->runtime->sink.write != NULL) {
        record_read(worker_of_turn(turn), turn, version);
    }
}

void turn_record_seen(struct runtime *runtime, uint64_t version) {
    struct worker *worker = worker_on_thread(runtime);
    if (worker != NULL && worker->turn != NULL) {
        record_read(worker, worker->turn, version);
    }
}

bool runtime_records_turns(const struct runtime *runtime) {
    return runtime->sink.write != NULL;
}
