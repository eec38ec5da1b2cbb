/* idle_twin: waits that better assignment would have spared: a task waited, in the coordinator or in an agent's
 * queue, while another agent that executes the same stage had nothing to do.
 *
 * Which agents execute a stage is taken from what they did. Of each wait on a critical path the longest idle time of
 * any one such agent counts, so the sum is at most what was wasted. Cost: waits x agents x log executions; a record
 * beyond PAIRS_MAX pairs is not looked at. Memory: scratch on the account, freed here. */
#include "analyze/analysis_private.h"

#define PAIRS_MAX 50000000u

struct twins {
    uint32_t *stages; /* by agent: bits of the stages it executed */
    uint64_t *before; /* by interval: executing time of its agent before it */
};

/* Executing time of an agent before `at`: the intervals are sorted and do not touch. */
static uint64_t executed_before(const struct analyzer *analyzer, const struct twins *twins, uint32_t agent,
                                uint64_t at) {
    size_t first = analyzer->executing_first[agent], low = 0, high = analyzer->executing_count[agent];
    while (low < high) { /* the first interval that begins at or after `at` */
        size_t middle = low + (high - low) / 2;
        if (analyzer->executing[first + middle].from < at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    const struct interval *last = &analyzer->executing[first + low - 1];
    return twins->before[first + low - 1] + ((last->to < at ? last->to : at) - last->from);
}

static void prepare(const struct analyzer *analyzer, struct twins *twins) {
    const struct analyze_record *record = analyzer->record;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct analyze_execution *one = &record->executions[i];
        if (one->agent != ANALYZE_UNKNOWN && !one->reused && one->ended > one->started)
            twins->stages[one->agent] |= 1u << one->stage;
    }
    for (unsigned a = 0; a < record->agent_count; a++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < analyzer->executing_count[a]; i++) {
            const struct interval *interval = &analyzer->executing[analyzer->executing_first[a] + i];
            twins->before[analyzer->executing_first[a] + i] = sum;
            sum += interval->to - interval->from;
        }
    }
}

static uint64_t spared(const struct analyzer *analyzer, const struct twins *twins,
                       const struct analyze_piece *piece) {
    uint64_t most = 0, length = piece->to - piece->from;
    for (uint32_t a = 0; a < analyzer->record->agent_count; a++) {
        if (a == piece->agent || !(twins->stages[a] & (1u << piece->stage)))
            continue;
        uint64_t executing =
            executed_before(analyzer, twins, a, piece->to) - executed_before(analyzer, twins, a, piece->from);
        if (length - executing > most)
            most = length - executing;
    }
    return most;
}

enum troupe_error analyzer_idle_twins(struct analyzer *analyzer) {
    const struct analyze_record *record = analyzer->record;
    if (record->agent_count < 2 || analyzer->piece_count > PAIRS_MAX / record->agent_count)
        return TROUPE_OK;
    struct twins twins = {
        .stages = memory_alloc(analyzer->account, record->agent_count * sizeof *twins.stages),
        .before = memory_alloc(analyzer->account, (record->execution_count + 1) * sizeof *twins.before)};
    if (twins.stages != NULL && twins.before != NULL) {
        prepare(analyzer, &twins);
        for (size_t i = 0; i < analyzer->piece_count; i++) {
            const struct analyze_piece *piece = &analyzer->pieces[i];
            bool waits = piece->cause == ANALYZE_COORDINATION || piece->cause == ANALYZE_AGENT_WAIT;
            if (waits && piece->agent != ANALYZE_UNKNOWN && piece->stage < record->stage_count)
                analyzer->analysis->idle_twin_ns += spared(analyzer, &twins, piece);
        }
    }
    bool made = twins.stages != NULL && twins.before != NULL;
    memory_free(analyzer->account, twins.stages);
    memory_free(analyzer->account, twins.before);
    return made ? TROUPE_OK : analyzer_no_memory(analyzer);
}
