/* replaying: one replay under way, shared by replay*.c. Private to simulate/.
 * Threads: one. Memory: the caller's account; the whole goes with replay_run. */
#ifndef SIMULATE_REPLAYING_H
#define SIMULATE_REPLAYING_H

#include "simulate/model.h"

#define REPLAY_ACTORS_MAX (PIPELINE_INSTANCES_MAX + 2)
enum replay_role { REPLAY_ENGINE, REPLAY_COORDINATOR, REPLAY_AGENT };
struct replaying;
struct replay_step { /* a turn that decides */
    uint16_t kind;
    uint32_t token;
    uint64_t at_ns; /* of the run's running time */
};
struct replay_order { /* of one actor */
    struct replaying *replaying;
    enum replay_role role;
    uint32_t slot; /* the same in the replay: actors that decide are made at the start, in one order */
    actor_ref actor;
    struct replay_step *steps;
    size_t count, at;
    uint64_t nudged_ns; /* the last instant at which it is to look again */
    uint64_t *reads;    /* versions */
    size_t read_count, read_at;
    struct replay_step waiting; /* the last one that was not its turn; kind 0: none */
};
enum replay_told { REPLAY_TOLD, REPLAY_EXITED, REPLAY_GONE };
/* TOLD: a hello, or the end of an attempt, came from a worker. EXITED: it ended. GONE: so did that of an agent that left. */
struct replay_input {
    enum replay_told kind;
    uint32_t slot, token; /* GONE: slot is the instance's index */
    uint64_t at_ns;
};
struct replaying {
    const struct replay_request *request;
    struct account *account;
    struct env *env;
    struct runtime *runtime;  /* from the first turn on */
    struct pipeline pipeline; /* the record's, with every agent a child */
    struct replay_order orders[REPLAY_ACTORS_MAX];
    unsigned order_count;
    struct replay_input *inputs;
    size_t input_count;
    unsigned started[PIPELINE_INSTANCES_MAX]; /* workers so far, by instance */
    uint64_t start_ns;                        /* of the run, on the simulated clock */
    struct replay_report *report;
    bool unanswered; /* an attempt is under way that the record has no end of */
    bool ending, out_of_memory;
};

/* replay_order.c */
MUST_CHECK enum troupe_error replay_orders_read(struct replaying *replaying, struct fault *fault);
void replay_orders_free(struct replaying *replaying);
/* When the end of that attempt came in, or the hello number `nth` of an instance; `otherwise_ns` when the record does not
 * say. */
uint64_t replay_end_at(const struct replaying *replaying, uint64_t token, uint64_t otherwise_ns);
/* The exit of a worker whose agent leaves at `from_ns` or later; `from_ns` when the record has none. */
uint64_t replay_gone_at(const struct replaying *replaying, uint32_t instance, uint64_t from_ns);
uint64_t replay_hello_at(const struct replaying *replaying, uint32_t instance, unsigned nth,
                         uint64_t otherwise_ns);

/* replay_guide.c */
struct turn_guide replay_guide(struct replaying *replaying);
struct turn_sink replay_sink(struct replaying *replaying);
bool replay_guided(enum replay_role role, unsigned kind, uint32_t token);
struct replay_step replay_step_of(unsigned kind, uint32_t sender, uint64_t token);
/* Nothing more will happen: says what the record has next, and what waits in its place. */
void replay_stuck(struct replaying *replaying);

/* replay_worker.c */
struct env_child_model replay_workers(struct replaying *replaying);

/* replay_run.c: ends the replay at the first difference, or where it was asked to. */
void replay_differ(struct replaying *replaying, const char *format, ...) PRINTF_LIKE(2, 3);
void replay_end(struct replaying *replaying);

#endif
