/* critical_path: what a trial's wall time consists of.
 *
 * Backwards from the stage that gave the objective (of a failed trial: the stage that ended last) through
 * whichever needed stage was done last; forwards again, cutting the time at every stamp:
 *
 *   created --store--> ready --coordination--> accepted --wait for agent--> started --stage--> ended --transfer-->
 *   done = ready of the next ... done = told --store--> ended
 *
 * An attempt that failed is executed as `failed attempt` and followed by coordination of the next. A needed stage
 * without a record was taken from an earlier run. Pieces touch: what lies between two stamps that should be one
 * is a piece of its own, `unaccounted`, and a stamp before the one it follows takes no time; both are reported
 * when they exceed a microsecond. Memory: pieces and paths in the analysis' arena. */
#include "analyze/analysis_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* per stage on the path: 5 pieces an attempt and a gap; per trial: 4 */
#define PIECES_OF_TRIAL 4
#define PIECES_OF_STAGE 2
#define PIECES_OF_ATTEMPT 5

struct walk {
    struct analyzer *analyzer;
    const struct analyze_trial *trial;
    size_t first, end; /* its executions */
    uint64_t at;
    const char *last; /* name of the stamp at `at` */
    uint16_t stage, attempt;
    uint32_t agent;
    struct analyze_piece *pieces;
    unsigned piece_count;
    uint64_t sum;
};

static void step(struct walk *walk, enum analyze_cause cause, uint64_t to, const char *stamp) {
    if (to <= walk->at) {
        if (walk->at - to > PATH_TOLERANCE_NS)
            analyzer_problem(
                walk->analyzer, "trial %" PRIu32 ", %s%s: '%s' is %.3f ms before '%s', which it follows",
                walk->trial->number, walk->stage < walk->analyzer->record->stage_count ? "stage " : "",
                walk->stage < walk->analyzer->record->stage_count
                    ? analyzer_stage_name(walk->analyzer->record, walk->stage)
                    : "the trial itself",
                stamp, (double)(walk->at - to) / 1e6, walk->last);
        walk->last = walk->at == to ? stamp : walk->last;
        return;
    }
    if (cause == ANALYZE_UNACCOUNTED && to - walk->at > PATH_TOLERANCE_NS)
        analyzer_problem(walk->analyzer,
                         "trial %" PRIu32 ": nothing accounts for the %.3f ms between '%s' and '%s'",
                         walk->trial->number, (double)(to - walk->at) / 1e6, walk->last, stamp);
    walk->pieces[walk->piece_count++] = (struct analyze_piece){.cause = cause,
                                                               .stage = walk->stage,
                                                               .attempt = walk->attempt,
                                                               .agent = walk->agent,
                                                               .from = walk->at,
                                                               .to = to};
    walk->sum += to - walk->at;
    walk->at = to;
    walk->last = stamp;
}

/* Executions of a stage: first..first + *ret_count. Those that were over before the trial was created are of an
 * earlier process of a resumed run: their results are there, their time is not this trial's. Nor is that of those
 * which became ready after it was told: the held-out test computes again what nobody kept. */
static size_t stage_executions(const struct walk *walk, unsigned stage, size_t *ret_count) {
    size_t at = walk->first, count = 0;
    while (at < walk->end &&
           (walk->analyzer->executions[at]->stage < stage ||
            (walk->analyzer->executions[at]->stage == stage &&
             walk->analyzer->executions[at]->done + PATH_TOLERANCE_NS < walk->trial->created)))
        at++;
    while (at + count < walk->end && walk->analyzer->executions[at + count]->stage == stage &&
           walk->analyzer->executions[at + count]->ready <= walk->trial->told + PATH_TOLERANCE_NS)
        count++;
    *ret_count = count;
    return at;
}

static const struct analyze_execution *last_execution(const struct walk *walk, unsigned stage) {
    size_t count, first = stage_executions(walk, stage, &count);
    return count > 0 ? walk->analyzer->executions[first + count - 1] : NULL;
}

/* The needed stage with a record that was done last; -1: none has one. */
static int last_needed(const struct walk *walk, unsigned stage) {
    const struct analyze_record *record = walk->analyzer->record;
    int last = -1;
    uint64_t done = 0;
    uint32_t wanted = record->stages[stage].needs, seen = 0;
    while (wanted & ~seen) { /* through stages without a record to those that they need */
        unsigned i = (unsigned)__builtin_ctz(wanted & ~seen);
        const struct analyze_execution *execution = last_execution(walk, i);
        seen |= 1u << i;
        if (execution == NULL) {
            wanted |= record->stages[i].needs;
        } else if (last < 0 || execution->done > done) {
            last = (int)i;
            done = execution->done;
        }
    }
    return last;
}

/* The stages of the path, last first. */
static unsigned path_stages(const struct walk *walk, unsigned *stages) {
    const struct analyze_record *record = walk->analyzer->record;
    int at = -1;
    uint64_t latest = 0;
    if (record->stage_count == 0)
        return 0;
    if (walk->trial->outcome == ANALYZE_OK && last_execution(walk, record->objective_stage) != NULL)
        at = (int)record->objective_stage;
    for (unsigned i = 0; i < record->stage_count && walk->trial->outcome != ANALYZE_OK; i++) {
        const struct analyze_execution *execution = last_execution(walk, i);
        if (execution != NULL && (at < 0 || execution->done >= latest)) {
            at = (int)i;
            latest = execution->done;
        }
    }
    unsigned count = 0;
    for (; at >= 0; at = last_needed(walk, (unsigned)at))
        stages[count++] = (unsigned)at;
    return count;
}

static void walk_attempt(struct walk *walk, const struct analyze_execution *execution) {
    walk->attempt = execution->attempt;
    walk->agent = execution->agent;
    if (execution->reused) {
        step(walk, ANALYZE_REUSE_WAIT, execution->done, "done");
        return;
    }
    step(walk, ANALYZE_COORDINATION, execution->accepted, "accepted");
    step(walk, ANALYZE_AGENT_WAIT, execution->started, "started");
    step(walk, execution->outcome == ANALYZE_OK ? ANALYZE_STAGE : ANALYZE_RETRY, execution->ended, "ended");
    step(walk, ANALYZE_TRANSFER, execution->done, "done");
}

static void walk_stage(struct walk *walk, unsigned stage, bool first) {
    size_t count, from = stage_executions(walk, stage, &count);
    walk->stage = (uint16_t)stage;
    walk->attempt = 0;
    walk->agent = ANALYZE_UNKNOWN;
    /* a need without a record: its result came from elsewhere while this stage waited for it */
    bool elsewhere = false;
    for (unsigned i = 0; i < walk->analyzer->record->stage_count; i++)
        if (walk->analyzer->record->stages[stage].needs & (1u << i))
            elsewhere = elsewhere || last_execution(walk, i) == NULL;
    enum analyze_cause before = elsewhere ? ANALYZE_REUSE_WAIT : first ? ANALYZE_STORE : ANALYZE_UNACCOUNTED;
    step(walk, before, walk->analyzer->executions[from]->ready, "ready");
    for (size_t i = 0; i < count; i++)
        walk_attempt(walk, walk->analyzer->executions[from + i]);
}

static void walk_trial(struct walk *walk, struct analyze_path *path) {
    const struct analyze_trial *trial = walk->trial;
    unsigned stages[ANALYZE_STAGES_MAX], count = path_stages(walk, stages);
    walk->at = trial->created;
    walk->last = "created";
    for (unsigned i = count; i-- > 0;)
        walk_stage(walk, stages[i], i + 1 == count);
    walk->stage = (uint16_t)walk->analyzer->record->stage_count;
    walk->attempt = 0;
    walk->agent = ANALYZE_UNKNOWN;
    step(walk, ANALYZE_UNACCOUNTED, trial->told, "told");
    step(walk, ANALYZE_STORE, trial->ended, "ended");
    uint64_t wall = trial->ended > trial->created ? trial->ended - trial->created : 0;
    *path = (struct analyze_path){.trial = trial->number,
                                  .outcome = trial->outcome,
                                  .from = trial->created,
                                  .to = trial->created + wall,
                                  .pieces = walk->pieces,
                                  .piece_count = walk->piece_count,
                                  .error_ns = (int64_t)wall - (int64_t)walk->sum};
}

enum troupe_error analyzer_paths(struct analyzer *analyzer) {
    struct analysis *analysis = analyzer->analysis;
    size_t room =
        analysis->trials * (PIECES_OF_TRIAL + PIECES_OF_STAGE * (size_t)analyzer->record->stage_count) +
        PIECES_OF_ATTEMPT * analyzer->execution_count;
    analyzer->pieces = ARENA_ARRAY(analyzer->arena, struct analyze_piece, room + 1);
    struct analyze_path *paths = ARENA_ARRAY(analyzer->arena, struct analyze_path, analysis->trials + 1);
    if (analyzer->pieces == NULL || paths == NULL)
        return analyzer_no_memory(analyzer);
    for (size_t i = 0; i < analyzer->trial_count; i++) {
        if (!analyzer->trials[i]->settled)
            continue;
        struct walk walk = {.analyzer = analyzer,
                            .trial = analyzer->trials[i],
                            .first = analyzer->first[i],
                            .end = analyzer->first[i + 1],
                            .pieces = analyzer->pieces + analyzer->piece_count,
                            .stage = (uint16_t)analyzer->record->stage_count,
                            .agent = ANALYZE_UNKNOWN};
        struct analyze_path *path = &paths[analysis->path_count++];
        walk_trial(&walk, path);
        analyzer->piece_count += walk.piece_count;
        CHECK(analyzer->piece_count <= room);
        analysis->trial_wall_ns += path->to - path->from;
        int64_t error = path->error_ns < 0 ? -path->error_ns : path->error_ns;
        if (error > analysis->path_error_ns_max)
            analysis->path_error_ns_max = error;
        if (error > PATH_TOLERANCE_NS)
            analyzer_problem(analyzer,
                             "trial %" PRIu32
                             ": the pieces of its critical path add to %.6f ms, its wall time is "
                             "%.6f ms",
                             path->trial, (double)walk.sum / 1e6, (double)(path->to - path->from) / 1e6);
    }
    analysis->paths = paths;
    return TROUPE_OK;
}
