/* schedule: random runs in small whole times, valid by construction, for the tests of the analysis: a random graph
 * of stages, agents that execute one task at a time, attempts that fail and are tried again, results that another
 * trial computes, trials that fail or are still under way. And a naive oracle, which asks of every single moment
 * what it was spent on, going backwards from the end. */
#ifndef TESTS_ANALYZE_SCHEDULE_H
#define TESTS_ANALYZE_SCHEDULE_H

#include "analyze/analyze.h"

#include <stdlib.h>
#include <string.h>

#define SCHEDULE_TRIALS 12
#define SCHEDULE_STAGES 6
#define SCHEDULE_AGENTS 4
#define SCHEDULE_ATTEMPTS 3
#define SCHEDULE_EXECUTIONS (SCHEDULE_TRIALS * SCHEDULE_STAGES * SCHEDULE_ATTEMPTS)

struct schedule {
    struct analyze_record record;
    struct analyze_stage stages[SCHEDULE_STAGES];
    const char *agents[SCHEDULE_AGENTS];
    struct analyze_trial trials[SCHEDULE_TRIALS];
    struct analyze_execution executions[SCHEDULE_EXECUTIONS];
    size_t execution_count;
    uint64_t free_at[SCHEDULE_AGENTS];
};

static inline uint64_t schedule_draw(struct random_stream *random, uint64_t bound) {
    return random_below(random, bound);
}

/* One attempt after `at`; returns when it was done. */
static inline uint64_t schedule_attempt(struct schedule *schedule, struct random_stream *random,
                                        uint32_t trial, unsigned stage, uint16_t attempt, uint64_t ready,
                                        uint64_t at, bool fails) {
    uint32_t agent = (uint32_t)schedule_draw(random, schedule->record.agent_count);
    struct analyze_execution *one = &schedule->executions[schedule->execution_count++];
    *one = (struct analyze_execution){.trial = trial,
                                      .stage = (uint16_t)stage,
                                      .attempt = attempt,
                                      .outcome = fails ? ANALYZE_FAILED : ANALYZE_OK,
                                      .agent = agent,
                                      .ready = ready};
    one->assigned = at + schedule_draw(random, 3);
    one->accepted = one->assigned + schedule_draw(random, 3);
    one->started = one->accepted > schedule->free_at[agent] ? one->accepted : schedule->free_at[agent];
    one->ended = one->started + 1 + schedule_draw(random, 40);
    one->done = one->ended + schedule_draw(random, 3);
    schedule->free_at[agent] = one->ended;
    return one->done;
}

/* A stage of a trial: reused, or up to SCHEDULE_ATTEMPTS attempts. False: it failed for good. */
static inline bool schedule_stage(struct schedule *schedule, struct random_stream *random, uint32_t trial,
                                  unsigned stage, uint64_t ready, uint64_t *ret_done) {
    if (schedule_draw(random, 8) == 0) {
        uint64_t done = ready + schedule_draw(random, 20);
        schedule->executions[schedule->execution_count++] =
            (struct analyze_execution){.trial = trial,
                                       .stage = (uint16_t)stage,
                                       .outcome = ANALYZE_OK,
                                       .reused = true,
                                       .agent = ANALYZE_UNKNOWN,
                                       .ready = ready,
                                       .assigned = done,
                                       .accepted = done,
                                       .started = done,
                                       .ended = done,
                                       .done = done};
        *ret_done = done;
        return true;
    }
    uint64_t at = ready;
    for (uint16_t attempt = 1; attempt <= SCHEDULE_ATTEMPTS; attempt++) {
        bool fails = schedule_draw(random, 6) == 0;
        at = schedule_attempt(schedule, random, trial, stage, attempt, ready, at, fails);
        *ret_done = at;
        if (!fails)
            return true;
    }
    return false;
}

static inline void schedule_trial(struct schedule *schedule, struct random_stream *random, uint32_t number) {
    struct analyze_trial *trial = &schedule->trials[number];
    uint64_t done[SCHEDULE_STAGES] = {0}, end = 0;
    *trial = (struct analyze_trial){.number = number, .created = schedule_draw(random, 200), .settled = true};
    uint64_t first_ready = trial->created + schedule_draw(random, 5);
    for (unsigned stage = 0; stage < schedule->record.stage_count && trial->outcome == ANALYZE_OK; stage++) {
        uint64_t ready = first_ready;
        for (unsigned i = 0; i < stage; i++)
            if ((schedule->stages[stage].needs & (1u << i)) && done[i] > ready)
                ready = done[i];
        if (!schedule_stage(schedule, random, number, stage, ready, &done[stage]))
            trial->outcome = ANALYZE_FAILED;
        end = done[stage] > end ? done[stage] : end;
    }
    trial->told = trial->outcome == ANALYZE_OK ? done[schedule->record.objective_stage] : end;
    trial->ended = trial->told + schedule_draw(random, 4);
}

/* The objective is in the last stage, and every stage leads to it: so nothing is done after it is known. */
static inline void schedule_make(struct schedule *schedule, uint64_t seed) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    static const char *const agents[] = {"x/0", "x/1", "y/0", "y/1"};
    struct random_stream random;
    memset(schedule, 0, sizeof *schedule);
    random_seed(&random, seed, 0);
    struct analyze_record *record = &schedule->record;
    *record = (struct analyze_record){.stages = schedule->stages,
                                      .agents = schedule->agents,
                                      .trials = schedule->trials,
                                      .executions = schedule->executions,
                                      .cores = 2};
    record->stage_count = 1 + (unsigned)schedule_draw(&random, SCHEDULE_STAGES);
    record->objective_stage = record->stage_count - 1;
    record->agent_count = 1 + (unsigned)schedule_draw(&random, SCHEDULE_AGENTS);
    record->trial_count = schedule_draw(&random, SCHEDULE_TRIALS + 1);
    memcpy(schedule->agents, agents, sizeof agents);
    for (unsigned stage = 0; stage < record->stage_count; stage++) {
        schedule->stages[stage].name = names[stage];
        for (unsigned i = 0; i < stage; i++)
            if (schedule_draw(&random, 2) == 0)
                schedule->stages[stage].needs |= 1u << i;
    }
    for (unsigned stage = 0; stage + 1 < record->stage_count; stage++) {
        bool needed = false;
        for (unsigned later = stage + 1; later < record->stage_count; later++)
            needed = needed || (schedule->stages[later].needs & (1u << stage));
        if (!needed)
            schedule->stages[record->objective_stage].needs |= 1u << stage;
    }
    for (uint32_t number = 0; number < record->trial_count; number++)
        schedule_trial(schedule, &random, number);
    record->execution_count = schedule->execution_count;
    for (size_t i = schedule->execution_count; i > 1; i--) { /* a record is in any order */
        size_t other = schedule_draw(&random, i);
        struct analyze_execution swap = schedule->executions[i - 1];
        schedule->executions[i - 1] = schedule->executions[other];
        schedule->executions[other] = swap;
    }
    uint64_t last = 0;
    for (size_t i = 0; i < record->trial_count; i++)
        last = schedule->trials[i].ended > last ? schedule->trials[i].ended : last;
    for (size_t i = 0; i < record->execution_count; i++)
        last = schedule->executions[i].done > last ? schedule->executions[i].done : last;
    record->wall_ns = last + schedule_draw(&random, 30);
}

/* ---- the oracle ---- */

static inline const struct analyze_execution *oracle_last(const struct schedule *schedule, uint32_t trial,
                                                          unsigned stage) {
    const struct analyze_execution *last = NULL;
    for (size_t i = 0; i < schedule->record.execution_count; i++) {
        const struct analyze_execution *one = &schedule->executions[i];
        if (one->trial == trial && one->stage == stage && (last == NULL || one->attempt > last->attempt))
            last = one;
    }
    return last;
}

/* Which stage is to blame for moment `at`: back from the end, through the need that was done last, until one was
 * ready by then. -1: none was. */
static inline int oracle_stage(const struct schedule *schedule, const struct analyze_trial *trial,
                               uint64_t at) {
    int stage = -1;
    if (trial->outcome == ANALYZE_OK) {
        stage = (int)schedule->record.objective_stage;
    } else {
        uint64_t latest = 0;
        for (unsigned i = 0; i < schedule->record.stage_count; i++) {
            const struct analyze_execution *last = oracle_last(schedule, trial->number, i);
            if (last != NULL && last->done >= latest) {
                latest = last->done;
                stage = (int)i;
            }
        }
    }
    while (stage >= 0 && at < oracle_last(schedule, trial->number, (unsigned)stage)->ready) {
        int next = -1;
        uint64_t latest = 0;
        for (unsigned i = 0; i < schedule->record.stage_count; i++) {
            const struct analyze_execution *last = oracle_last(schedule, trial->number, i);
            if ((schedule->stages[stage].needs & (1u << i)) && last != NULL &&
                (next < 0 || last->done > latest)) {
                next = (int)i;
                latest = last->done;
            }
        }
        stage = next;
    }
    return stage;
}

static inline enum analyze_cause oracle_cause(const struct schedule *schedule,
                                              const struct analyze_trial *trial, uint64_t at,
                                              unsigned *ret_stage) {
    int stage = at >= trial->told ? -1 : oracle_stage(schedule, trial, at);
    *ret_stage = schedule->record.stage_count;
    if (stage < 0)
        return ANALYZE_STORE;
    const struct analyze_execution *within = NULL; /* the first attempt that was not done by then */
    for (size_t i = 0; i < schedule->record.execution_count; i++) {
        const struct analyze_execution *one = &schedule->executions[i];
        if (one->trial == trial->number && one->stage == stage && one->done > at &&
            (within == NULL || one->attempt < within->attempt))
            within = one;
    }
    if (within->reused)
        return ANALYZE_REUSE_WAIT;
    if (at < within->accepted)
        return ANALYZE_COORDINATION;
    if (at < within->started)
        return ANALYZE_AGENT_WAIT;
    if (at >= within->ended)
        return ANALYZE_TRANSFER;
    *ret_stage = (unsigned)stage;
    return within->outcome == ANALYZE_OK ? ANALYZE_STAGE : ANALYZE_RETRY;
}

#endif
