/* bottleneck: what to change first, in words, with the most that it could save.
 *
 * The bound: were a share s of the trials' time gone, with as many trials under way as before, the run would be
 * done in 1 - s of its time; so s x (first trial .. last end) is the most that is to be won. Idle agents: their
 * waiting time over the number of agents. What cannot save one percent is left out. */
#include "analyze/analysis_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOTTLENECKS_MAX 8
#define CANDIDATES_MAX (2 * ANALYZE_STAGES_MAX + ANALYZE_CAUSE_COUNT + 4)
#define GAIN_MIN 0.01
#define BUSY 0.85 /* agents that execute more than this have no time to spare */

struct candidates {
    struct analyze_bottleneck *all;
    unsigned count;
    uint64_t active_ns;
    double busy; /* part of the agents' active time in which they execute */
};

static struct analyze_bottleneck *candidate(struct candidates *candidates, double gain_ns) {
    if (gain_ns < GAIN_MIN * (double)candidates->active_ns || candidates->count >= CANDIDATES_MAX)
        return NULL;
    struct analyze_bottleneck *one = &candidates->all[candidates->count++];
    one->gain_ns_max = gain_ns;
    return one;
}

static void add(struct analyze_bottleneck *one, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct analyze_bottleneck *one, const char *format, ...) {
    size_t length = strlen(one->text);
    va_list args;
    va_start(args, format);
    vsnprintf(one->text + length, sizeof one->text - length, format, args);
    va_end(args);
}

static const char *duration(char out[32], double ns) {
    return text_format_duration(out, ns > 9e18 ? INT64_MAX : (int64_t)ns);
}

/* Part of a stage's execution that its processes computed; negative: not known. */
static double computing(const struct analyzer *analyzer, unsigned stage) {
    double cpu = 0, executing = 0;
    for (size_t i = 0; i < analyzer->execution_count; i++) {
        const struct analyze_execution *one = analyzer->executions[i];
        if (one->stage != stage || one->reused || one->cpu_ns == 0 || one->ended <= one->started)
            continue;
        cpu += (double)one->cpu_ns;
        executing += (double)(one->ended - one->started);
    }
    return executing > 0 ? cpu / executing : -1;
}

static void of_stage(struct analyzer *analyzer, const struct analyze_rank *rank,
                     const struct candidates *candidates, struct analyze_bottleneck *one) {
    char p50[32], max[32], half[32];
    double part = computing(analyzer, rank->stage), cores = analyzer->record->cores;
    snprintf(one->title, sizeof one->title, "%.50s takes %.1f %% of the trials' time", rank->name,
             rank->percent);
    add(one, "Median %s, longest %s. If it took half as long, the run would be done at most %s sooner.",
        duration(p50, (double)rank->p50_ns), duration(max, (double)rank->max_ns),
        duration(half, one->gain_ns_max / 2));
    if (part >= 0 && part < 0.5)
        add(one,
            " It computes %.0f %% of that time and waits for the rest: for disk or network, where more "
            "instances "
            "than cores pay, or for a core that others use.",
            part * 100);
    else if (part >= 0 && cores > 0 &&
             candidates->busy * analyzer->analysis->agents_mean * part > BUSY * cores)
        add(one,
            " It computes %.0f %% of that time and the machine's %.0f cores are busy with it: only cheaper "
            "work "
            "or more cores help.",
            part * 100, cores);
    else if (candidates->busy > BUSY)
        add(one, " Agents execute %.0f %% of the time: another instance would take work off them.",
            candidates->busy * 100);
}

static uint64_t waited(const struct analysis *analysis) {
    uint64_t total = 0;
    for (unsigned i = 0; i < analysis->rank_count; i++)
        if (analysis->ranks[i].cause == ANALYZE_COORDINATION ||
            analysis->ranks[i].cause == ANALYZE_AGENT_WAIT)
            total += analysis->ranks[i].total_ns;
    return total;
}

static bool twins_idle(const struct analysis *analysis) {
    return analysis->idle_twin_ns > waited(analysis) / 2;
}

static void of_cause(const struct analysis *analysis, const struct analyze_rank *rank,
                     struct analyze_bottleneck *one) {
    char p50[32], p95[32], gain[32];
    static const struct {
        const char *title, *advice;
    } words[ANALYZE_CAUSE_COUNT] = {
        [ANALYZE_STORE] = {"Committing to disk", "A faster disk helps; so do longer trials."},
        [ANALYZE_COORDINATION] =
            {"Finding an agent for a task",
             "Tasks wait in the coordinator when no agent has room: more instances, or fewer "
             "trials in flight."},
        [ANALYZE_AGENT_WAIT] =
            {"Waiting in the agents' queues",
             "More trials are in flight than agents can execute: more instances would start them "
             "sooner."},
        [ANALYZE_RETRY] = {"Attempts that failed", "What they took was lost: the events of the run say why."},
        [ANALYZE_TRANSFER] = {"Taking over results", "Large results are hashed and synced to disk."},
        [ANALYZE_REUSE_WAIT] = {"Waiting for a result another trial computes",
                                "The stage is shared, so its first execution holds up all who need it."},
        [ANALYZE_UNACCOUNTED] = {"Time that nothing accounts for", "The record has gaps: see the checks."}};
    const char *title = words[rank->cause].title != NULL ? words[rank->cause].title : rank->name;
    snprintf(one->title, sizeof one->title, "%.60s: %.1f %% of the trials' time", title, rank->percent);
    add(one, "Median %s, p95 %s; without it the run would be done at most %s sooner.",
        duration(p50, (double)rank->p50_ns), duration(p95, (double)rank->p95_ns),
        duration(gain, one->gain_ns_max));
    bool waits = rank->cause == ANALYZE_COORDINATION || rank->cause == ANALYZE_AGENT_WAIT;
    if (words[rank->cause].advice != NULL && !(waits && twins_idle(analysis)))
        add(one, " %s", words[rank->cause].advice);
}

static void from_twins(const struct analysis *analysis, struct candidates *candidates) {
    double share = (double)analysis->idle_twin_ns / (double)analysis->trial_wall_ns;
    struct analyze_bottleneck *one = candidate(candidates, share * (double)candidates->active_ns);
    char idle[32], all[32], gain[32];
    if (one == NULL)
        return;
    snprintf(one->title, sizeof one->title,
             "Tasks wait while an agent stands idle: %.1f %% of the trials' time", share * 100);
    add(one,
        "For %s of the %s that tasks waited for an agent, another one that executes the same stage had "
        "nothing "
        "to do; with none of that the run would be done at most %s sooner. Tasks of very different length "
        "make "
        "it so; a smaller `window` of the agents binds them later.",
        duration(idle, (double)analysis->idle_twin_ns), duration(all, (double)waited(analysis)),
        duration(gain, one->gain_ns_max));
}

static void from_ranks(struct analyzer *analyzer, struct candidates *candidates) {
    const struct analysis *analysis = analyzer->analysis;
    for (unsigned i = 0; i < analysis->rank_count; i++) {
        const struct analyze_rank *rank = &analysis->ranks[i];
        double share = (double)rank->total_ns / (double)analysis->trial_wall_ns;
        struct analyze_bottleneck *one = candidate(candidates, share * (double)candidates->active_ns);
        if (one == NULL)
            continue;
        if (rank->cause == ANALYZE_STAGE)
            of_stage(analyzer, rank, candidates, one);
        else
            of_cause(analysis, rank, one);
        if (rank->cause == ANALYZE_RETRY)
            snprintf(one->title, sizeof one->title, "%.60s: %.1f %% of the trials' time", rank->name,
                     rank->percent);
    }
}

static int by_end(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left > right ? -1 : left < right;
}

/* After the last trial was asked for, agents run out of work one after another: what they then lost, spread over
 * all of them. */
static enum troupe_error from_the_end(struct analyzer *analyzer, struct candidates *candidates,
                                      double *ret_lost_ns) {
    const struct analysis *analysis = analyzer->analysis;
    size_t agents = analyzer->record->agent_count;
    uint64_t *ends = memory_alloc(analyzer->account, (analysis->path_count + 1) * sizeof *ends);
    uint64_t last_created = 0;
    double lost = 0;
    if (ends == NULL)
        return analyzer_no_memory(analyzer);
    for (size_t i = 0; i < analysis->path_count; i++) {
        ends[i] = analysis->paths[i].to;
        last_created = analysis->paths[i].from > last_created ? analysis->paths[i].from : last_created;
    }
    if (analysis->path_count > 0)
        qsort(ends, analysis->path_count, sizeof *ends, by_end);
    for (size_t i = 0; i < agents && analysis->path_count > agents; i++) {
        uint64_t from = ends[i] > last_created ? ends[i] : last_created;
        lost += (double)(ends[0] - (from < ends[0] ? from : ends[0]));
    }
    *ret_lost_ns = lost;
    struct analyze_bottleneck *one = agents > 0 ? candidate(candidates, lost / (double)agents) : NULL;
    if (one != NULL) {
        char gain[32], tail[32];
        snprintf(one->title, sizeof one->title, "The end of the run leaves agents without work");
        add(one,
            "The last trial was asked for %s before the end. Spread evenly, the work left would have been "
            "done %s "
            "sooner: more trials, or a deadline instead of a count, make it matter less.",
            duration(tail, (double)(ends[0] - (last_created < ends[0] ? last_created : ends[0]))),
            duration(gain, one->gain_ns_max));
    }
    memory_free(analyzer->account, ends);
    return TROUPE_OK;
}

static void from_agents(struct analyzer *analyzer, struct candidates *candidates, double lost_at_end) {
    const struct analysis *analysis = analyzer->analysis;
    double agents = analysis->agents_mean, waiting = (double)analysis->waiting_ns - lost_at_end;
    char text[32];
    if (agents > 0) {
        struct analyze_bottleneck *one = candidate(candidates, waiting / agents);
        if (one != NULL) {
            snprintf(one->title, sizeof one->title, "Agents wait for work %.1f %% of the time",
                     waiting / ((double)candidates->active_ns * agents) * 100);
            unsigned least = 0;
            for (unsigned i = 1; i < analysis->agent_count; i++)
                if (analysis->agents[i].executing_ns < analysis->agents[least].executing_ns)
                    least = i;
            add(one,
                "On average %.1f trials were under way for %.0f agents. The least busy is %.60s, which "
                "executed "
                "%.1f %% of the time.",
                analysis->parallel_mean, agents, analysis->agents[least].name,
                (double)analysis->agents[least].executing_ns / (double)candidates->active_ns * 100);
            if (analysis->idle_twin_ns < analysis->waiting_ns / 2 && analysis->parallel_mean < agents * 1.05)
                add(one, " More trials in flight would keep more of them busy, those with stages in common "
                         "first.");
        }
    }
    struct analyze_bottleneck *one = candidate(candidates, (double)analysis->active_from);
    if (one != NULL) {
        snprintf(one->title, sizeof one->title, "The first trial came late");
        add(one, "It was asked for %s after the run began.", duration(text, one->gain_ns_max));
    }
}

static int by_gain(const void *a, const void *b) {
    const struct analyze_bottleneck *left = a, *right = b;
    if (left->gain_ns_max != right->gain_ns_max)
        return left->gain_ns_max > right->gain_ns_max ? -1 : 1;
    return strcmp(left->title, right->title);
}

enum troupe_error analyzer_bottlenecks(struct analyzer *analyzer) {
    struct analysis *analysis = analyzer->analysis;
    struct candidates candidates = {.active_ns = analysis->active_to - analysis->active_from};
    double agents_ns = (double)candidates.active_ns * analysis->agents_mean, lost = 0;
    if (analysis->trial_wall_ns == 0 || candidates.active_ns == 0)
        return TROUPE_OK;
    candidates.all = ARENA_ARRAY(analyzer->arena, struct analyze_bottleneck, CANDIDATES_MAX);
    if (candidates.all == NULL)
        return analyzer_no_memory(analyzer);
    candidates.busy = agents_ns > 0 ? (double)analysis->executing_ns / agents_ns : 0;
    from_ranks(analyzer, &candidates);
    from_twins(analysis, &candidates);
    enum troupe_error error = from_the_end(analyzer, &candidates, &lost);
    if (error != TROUPE_OK)
        return error;
    from_agents(analyzer, &candidates, lost);
    qsort(candidates.all, candidates.count, sizeof *candidates.all, by_gain);
    analysis->bottlenecks = candidates.all;
    analysis->bottleneck_count = candidates.count < BOTTLENECKS_MAX ? candidates.count : BOTTLENECKS_MAX;
    return TROUPE_OK;
}
