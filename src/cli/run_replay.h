/* run_replay: `troupe show --replay`: reads a run's record of turns, has it lived through again, and says what came of
 * it. Threads: the main thread. Memory: nothing stays. Failure: NOT_FOUND: the run was not recorded; CORRUPT, NEWER,
 * UNSUPPORTED: its record; MISMATCH: a decision differs. */
#ifndef CLI_RUN_REPLAY_H
#define CLI_RUN_REPLAY_H

#include "cli/command.h"
#include "pipeline/pipeline.h"

MUST_CHECK enum troupe_error run_replay(struct session *session, const struct run_record *record,
                                        uint32_t until_trial /* RECORD_UNKNOWN: to the end */, bool json,
                                        struct fault *fault);

#endif
