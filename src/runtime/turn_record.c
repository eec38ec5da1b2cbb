/* The record of turns: blocks of each worker, handed to the sink when they are full and at the end of the run.
 *
 * Threads: a worker's records are its own; at the end, when no worker runs any more, the thread that runs the runtime.
 * Memory:  a block a worker from the runtime's account, only when there is a sink.
 * Cost:    off: nothing that is not there anyway (the same look decides whether a turn is simulated); on: one store of
 *          16 bytes a turn, and the sink. */
#include "runtime/worker.h"

#define BLOCK_RECORDS 256U

_Static_assert(sizeof(struct turn_record) == 16, "at most 16 bytes a turn");

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

void turn_record_message(struct worker *worker, const struct turn *turn, const struct message *message) {
    record_add(worker, &(struct turn_record){
                           .actor = actor_ref_slot(turn->self),
                           .kind = message->kind,
                           .worker = (uint16_t)worker->index,
                           .of.message = {actor_ref_slot(message->sender), (uint32_t)message->token}});
}

static void record_read(struct worker *worker, const struct turn *turn, uint64_t version) {
    record_add(worker, &(struct turn_record){.actor = actor_ref_slot(turn->self),
                                             .kind = TURN_RECORD_READ,
                                             .worker = (uint16_t)worker->index,
                                             .of.version = version});
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
