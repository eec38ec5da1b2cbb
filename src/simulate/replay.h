/* replay: a recorded run lived through again in virtual time, turn by turn in its recorded order, for a debugger.
 *
 * What decides is the real engine, coordinator, registry and optimizer on env_sim; workers answer what the record says
 * they answered, at the instant it says. The record of turns (`troupe run --record`) holds the order in which the engine
 * and the coordinator took what they decide by; each takes it in that order again. Every decision is compared with what
 * the run's store says: the configuration of each trial, which instance each attempt went to, how each trial ended, and
 * the versions of the registry that were read. The first one that differs ends the replay.
 * Threads: one, the caller's. Memory: the caller's account; nothing stays.
 * Failure: UNSUPPORTED: what cannot be replayed, and why; NOMEM. A difference is no failure: `differs` says it. */
#ifndef SIMULATE_REPLAY_H
#define SIMULATE_REPLAY_H

struct replay_request {
    const struct run_record *record;
    const struct turn_file *turns;
    uint32_t until_trial; /* stop when it is about to begin; RECORD_UNKNOWN: to the end */
};
struct replay_report {
    unsigned asked, assigned, told;        /* decisions that were as recorded */
    uint64_t turns, turns_recorded, reads; /* of the engine and the coordinator, that decide; versions read */
    bool reached;                          /* until_trial */
    bool broke_off;                        /* the record ends before the run does: it was killed */
    bool differs;
    char difference[600];
    uint64_t virtual_ns, events, signature;
};
MUST_CHECK enum troupe_error replay_run(const struct replay_request *request, struct account *account,
                                        struct replay_report *ret, struct fault *fault);

/* For a debugger to stop at; they do nothing. The frames above them are the turn in which it happened. */
void replay_reached(unsigned trial);    /* --until-trial: the engine is about to begin it */
void replay_differed(const char *how);  /* at the first difference */
void replay_took_turn(uint64_t number); /* before each recorded turn, counted from 1 */

#endif
