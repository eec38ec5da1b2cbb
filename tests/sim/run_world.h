/* A whole run in virtual time: run_execute on env_sim, with workers that are models, on a disk that outlives the
 * power. What the run acknowledges (RUN_EVENT_TRIAL) is remembered and compared with what later lives find.
 *
 * The workers' answers are a pure function of the variables; `prepare` leaves an artifact that `train` reads, whose
 * bytes tell whether it is whole, so one that is missing, torn or another's is seen.
 * Threads: one. Memory: the world's own account; it reads zero between lives. */
#ifndef TESTS_SIM_RUN_WORLD_H
#define TESTS_SIM_RUN_WORLD_H

#include "pipeline/pipeline.h"

#define RUN_WORLD_TRIALS 24
#define RUN_WORLD_RUNS "/runs"
#define RUN_WORLD_ID "r"

struct run_world {
    uint64_t seed;
    struct account account;
    struct env *env; /* of the present life */
    struct env_disk *disk;
    struct random_stream random; /* of the workers */
    double crash, hang;          /* of a worker, per task */
    struct {
        unsigned times; /* acknowledged, over all lives */
        double objective;
        enum trial_state state;
    } seen[RUN_WORLD_TRIALS];
    char *asked[RUN_WORLD_TRIALS]; /* configurations as first found */
    unsigned lives, acknowledged;
    uint64_t events, signature, virtual_ns;
    char violation[512]; /* the first; empty: none */
};

struct run_life {
    bool resume;
    uint64_t power_cut_after_events; /* 0: none */
    double write_fails, sync_fails;  /* of the disk */
    uint64_t interrupt_ns[2];        /* SIGINT so long after the start; 0: none */
    uint64_t seed;                   /* of the simulation; the workers follow the world's */
};
struct run_life_end {
    bool power_lost; /* whatever the error says: the call at hand fails with IO */
    enum troupe_error error;
    enum run_state state;
    struct fault fault;
};

void run_world_begin(struct run_world *world, uint64_t seed);
/* One life from start to its end, bad or good. Allocations may be failed meanwhile. */
void run_world_live(struct run_world *world, const struct run_life *life, struct run_life_end *ret_end);
/* With the power back: the database is whole, holds what was acknowledged with the objective that its configuration
 * has, and nothing twice; configurations are what they were; artifacts that rows name are whole. `complete`: and all
 * trials are there, and the best one's configuration and artifact in best/. */
void run_world_check(struct run_world *world, bool complete);
/* Is there a run to resume? Otherwise it is begun anew. */
bool run_world_exists(struct run_world *world);
void run_world_end(struct run_world *world); /* checks that the account reads zero */
void run_violation(struct run_world *world, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
