/* analyze_rank: what all the trials' time was spent on, largest first; and the slowest trials with the piece that
 * made them slow. Every piece of every path is counted in exactly one rank, so the ranks add to the trials' wall
 * time; their percents, in tenths, add to 100.0. */
#include "analyze/analysis_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MAX 5
#define RANKS_MAX (2 * ANALYZE_STAGES_MAX + ANALYZE_CAUSE_COUNT)

/* Stages one by one, executing and executing in vain; then the other causes. */
static unsigned rank_of(const struct analyze_record *record, const struct analyze_piece *piece) {
    if (piece->cause == ANALYZE_STAGE && piece->stage < record->stage_count)
        return piece->stage;
    if (piece->cause == ANALYZE_RETRY && piece->stage < record->stage_count)
        return ANALYZE_STAGES_MAX + piece->stage;
    return 2 * ANALYZE_STAGES_MAX + (unsigned)piece->cause;
}

static void name_rank(const struct analyze_record *record, unsigned slot, struct analyze_rank *rank) {
    rank->stage = record->stage_count;
    if (slot >= 2 * ANALYZE_STAGES_MAX) {
        rank->cause = (enum analyze_cause)(slot - 2 * ANALYZE_STAGES_MAX);
        snprintf(rank->name, sizeof rank->name, "%s", analyze_cause_name(rank->cause));
        return;
    }
    rank->stage = slot % ANALYZE_STAGES_MAX;
    rank->cause = slot < ANALYZE_STAGES_MAX ? ANALYZE_STAGE : ANALYZE_RETRY;
    snprintf(rank->name, sizeof rank->name,
             rank->cause == ANALYZE_RETRY ? "%.60s (failed attempts)" : "%.60s",
             analyzer_stage_name(record, rank->stage));
}

static int by_total(const void *a, const void *b) {
    const struct analyze_rank *left = a, *right = b;
    if (left->total_ns != right->total_ns)
        return left->total_ns > right->total_ns ? -1 : 1;
    if (left->cause != right->cause)
        return left->cause < right->cause ? -1 : 1;
    return left->stage < right->stage ? -1 : left->stage > right->stage;
}

struct rank_counts {
    size_t first[RANKS_MAX + 1]; /* of a rank's lengths */
    uint64_t *lengths;
};

/* Lengths of all pieces, those of a rank together and sorted: two passes, counting and placing. */
static bool count_pieces(struct analyzer *analyzer, struct rank_counts *counts) {
    const struct analyze_record *record = analyzer->record;
    size_t place[RANKS_MAX] = {0};
    memset(counts->first, 0, sizeof counts->first);
    counts->lengths = memory_alloc(analyzer->account, (analyzer->piece_count + 1) * sizeof *counts->lengths);
    if (counts->lengths == NULL)
        return false;
    for (size_t i = 0; i < analyzer->piece_count; i++)
        counts->first[rank_of(record, &analyzer->pieces[i]) + 1]++;
    for (unsigned slot = 0; slot < RANKS_MAX; slot++) {
        counts->first[slot + 1] += counts->first[slot];
        place[slot] = counts->first[slot];
    }
    for (size_t i = 0; i < analyzer->piece_count; i++) {
        const struct analyze_piece *piece = &analyzer->pieces[i];
        counts->lengths[place[rank_of(record, piece)]++] = piece->to - piece->from;
    }
    for (unsigned slot = 0; slot < RANKS_MAX; slot++)
        sort_times(counts->lengths + counts->first[slot], counts->first[slot + 1] - counts->first[slot]);
    return true;
}

static void fill_rank(const struct rank_counts *counts, unsigned slot, struct analyze_rank *rank) {
    const uint64_t *lengths = counts->lengths + counts->first[slot];
    size_t count = counts->first[slot + 1] - counts->first[slot];
    rank->pieces = count;
    for (size_t i = 0; i < count; i++)
        rank->total_ns += lengths[i];
    rank->p50_ns = sorted_quantile(lengths, count, 0.5);
    rank->p95_ns = sorted_quantile(lengths, count, 0.95);
    rank->max_ns = sorted_quantile(lengths, count, 1);
}

/* ---- slow trials ---- */

static int by_wall(const void *a, const void *b) {
    const struct analyze_path *left = *(const struct analyze_path *const *)a;
    const struct analyze_path *right = *(const struct analyze_path *const *)b;
    uint64_t left_wall = left->to - left->from, right_wall = right->to - right->from;
    if (left_wall != right_wall)
        return left_wall > right_wall ? -1 : 1;
    return left->trial < right->trial ? -1 : left->trial > right->trial;
}

/* The pieces of one rank in this trial that exceed the rank's median piece by most. */
static void explain(const struct analyzer *analyzer, const struct rank_counts *counts,
                    struct analyze_slow *slow) {
    const struct analyze_record *record = analyzer->record;
    uint64_t spent[RANKS_MAX] = {0};
    unsigned worst = RANKS_MAX;
    int64_t worst_excess = 0;
    char took[32], usual[32];
    for (unsigned i = 0; i < slow->path->piece_count; i++) {
        const struct analyze_piece *piece = &slow->path->pieces[i];
        spent[rank_of(record, piece)] += piece->to - piece->from;
    }
    for (unsigned slot = 0; slot < RANKS_MAX; slot++) {
        const uint64_t *lengths = counts->lengths + counts->first[slot];
        uint64_t median = sorted_quantile(lengths, counts->first[slot + 1] - counts->first[slot], 0.5);
        int64_t excess = (int64_t)spent[slot] - (int64_t)median;
        if (slot >= ANALYZE_STAGES_MAX && slot < 2 * ANALYZE_STAGES_MAX)
            excess = (int64_t)spent[slot]; /* a failed attempt is all excess */
        if (spent[slot] > 0 && excess > worst_excess) {
            worst_excess = excess;
            worst = slot;
        }
    }
    if (worst == RANKS_MAX) {
        snprintf(slow->why, sizeof slow->why, "nothing in it took longer than usual");
        return;
    }
    struct analyze_rank rank = {0};
    name_rank(record, worst, &rank);
    const uint64_t *lengths = counts->lengths + counts->first[worst];
    uint64_t median = sorted_quantile(lengths, counts->first[worst + 1] - counts->first[worst], 0.5);
    text_format_duration(took, (int64_t)spent[worst]);
    text_format_duration(usual, (int64_t)median);
    if (rank.cause == ANALYZE_RETRY)
        snprintf(slow->why, sizeof slow->why, "%s took %s", rank.name, took);
    else
        snprintf(slow->why, sizeof slow->why, "%s took %s, the median is %s", rank.name, took, usual);
}

static enum troupe_error rank_slow(struct analyzer *analyzer, const struct rank_counts *counts) {
    struct analysis *analysis = analyzer->analysis;
    const struct analyze_path **order =
        memory_alloc(analyzer->account, (analysis->path_count + 1) * sizeof *order);
    struct analyze_slow *slowest = ARENA_ARRAY(analyzer->arena, struct analyze_slow, SLOW_MAX);
    if (order == NULL || slowest == NULL) {
        memory_free(analyzer->account, order);
        return analyzer_no_memory(analyzer);
    }
    for (size_t i = 0; i < analysis->path_count; i++)
        order[i] = &analysis->paths[i];
    if (analysis->path_count > 0)
        qsort(order, analysis->path_count, sizeof *order, by_wall);
    for (size_t i = 0; i < analysis->path_count && i < SLOW_MAX; i++) {
        slowest[i].path = order[i];
        explain(analyzer, counts, &slowest[i]);
        analysis->slow_count++;
    }
    analysis->slowest = slowest;
    memory_free(analyzer->account, order);
    return TROUPE_OK;
}

enum troupe_error analyzer_ranks(struct analyzer *analyzer) {
    struct analysis *analysis = analyzer->analysis;
    struct rank_counts counts;
    uint64_t totals[RANKS_MAX];
    double percents[RANKS_MAX];
    struct analyze_rank *ranks = ARENA_ARRAY(analyzer->arena, struct analyze_rank, RANKS_MAX);
    if (ranks == NULL || !count_pieces(analyzer, &counts))
        return analyzer_no_memory(analyzer);
    for (unsigned slot = 0; slot < RANKS_MAX; slot++) {
        if (counts.first[slot + 1] == counts.first[slot])
            continue;
        name_rank(analyzer->record, slot, &ranks[analysis->rank_count]);
        fill_rank(&counts, slot, &ranks[analysis->rank_count++]);
    }
    qsort(ranks, analysis->rank_count, sizeof *ranks, by_total);
    for (unsigned i = 0; i < analysis->rank_count; i++)
        totals[i] = ranks[i].total_ns;
    report_percent(totals, analysis->rank_count, percents);
    for (unsigned i = 0; i < analysis->rank_count; i++)
        ranks[i].percent = percents[i];
    analysis->ranks = ranks;
    enum troupe_error error = rank_slow(analyzer, &counts);
    memory_free(analyzer->account, counts.lengths);
    return error;
}
