/* quote_past: the last trials of a long run as a run of their own.
 *
 * A simulation begins with what has happened, and after some hundred trials that tells little that the last of them do
 * not. Trials are numbered anew in their order; times begin when the first of them was asked for.
 * Threads: any. Memory: two arrays on the account; the rest is the record's. */
#include "simulate/under_way.h"

#include <stdlib.h>
#include <string.h>

static int by_told(const void *a, const void *b) {
    const struct record_trial *left = *(const struct record_trial *const *)a,
                              *right = *(const struct record_trial *const *)b;
    if (left->told_ns != right->told_ns)
        return left->told_ns < right->told_ns ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static bool is_told(const struct record_trial *trial) {
    return trial->state == TRIAL_OK || trial->state == TRIAL_FAILED;
}

static uint64_t after(uint64_t ns, uint64_t start_ns) {
    return ns > start_ns ? ns - start_ns : 0;
}

/* Of the `keep` told last: from when on, and when the first of them was asked for. */
static void find_start(const struct record_trial **sorted, size_t told, unsigned keep, uint64_t *ret_told_ns,
                       uint64_t *ret_start_ns) {
    qsort(sorted, told, sizeof *sorted, by_told);
    *ret_told_ns = sorted[told - keep]->told_ns;
    *ret_start_ns = UINT64_MAX;
    for (size_t i = told - keep; i < told; i++)
        if (sorted[i]->created_ns < *ret_start_ns)
            *ret_start_ns = sorted[i]->created_ns;
}

static void keep_trials(struct run_record *cut, const struct run_record *record, uint64_t told_ns,
                        uint64_t start_ns, uint32_t *numbers) {
    for (size_t i = 0; i < record->trial_count; i++) {
        struct record_trial trial = record->trials[i];
        numbers[trial.number] = RECORD_UNKNOWN;
        if (is_told(&trial) && trial.told_ns < told_ns)
            continue;
        numbers[trial.number] = (uint32_t)cut->trial_count;
        trial.number = (unsigned)cut->trial_count;
        trial.created_ns = after(trial.created_ns, start_ns);
        trial.told_ns = after(trial.told_ns, start_ns);
        trial.ended_ns = after(trial.ended_ns, start_ns);
        cut->told += is_told(&trial);
        cut->failed += trial.state == TRIAL_FAILED;
        cut->trials[cut->trial_count++] = trial;
    }
}

static void keep_executions(struct run_record *cut, const struct run_record *record, uint64_t start_ns,
                            const uint32_t *numbers, unsigned number_count) {
    for (size_t i = 0; i < record->execution_count; i++) {
        struct record_execution one = record->executions[i];
        if (one.trial >= number_count || numbers[one.trial] == RECORD_UNKNOWN)
            continue;
        uint64_t *const points[] = {&one.ready,   &one.assigned, &one.accepted,
                                    &one.started, &one.ended,    &one.done};
        for (size_t k = 0; k < ARRAY_COUNT(points); k++)
            *points[k] = after(*points[k], start_ns);
        one.trial = numbers[one.trial];
        cut->executions[cut->execution_count++] = one;
    }
}

enum troupe_error quote_past_cut(const struct run_record *record, unsigned keep, struct account *account,
                                 struct run_record *ret_cut, uint64_t *ret_start_ns) {
    struct run_record cut = *record;
    unsigned number_count = 1;
    size_t told = 0;
    for (size_t i = 0; i < record->trial_count; i++)
        if (record->trials[i].number >= number_count)
            number_count = record->trials[i].number + 1;
    const struct record_trial **sorted = memory_alloc(account, (record->trial_count + 1) * sizeof *sorted);
    uint32_t *numbers = memory_alloc(account, number_count * sizeof *numbers);
    cut.trials = memory_alloc(account, (record->trial_count + 1) * sizeof *cut.trials);
    cut.executions = memory_alloc(account, (record->execution_count + 1) * sizeof *cut.executions);
    bool made = sorted != NULL && numbers != NULL && cut.trials != NULL && cut.executions != NULL;
    if (made) {
        uint64_t told_ns, start_ns;
        for (size_t i = 0; i < record->trial_count; i++)
            if (is_told(&record->trials[i]))
                sorted[told++] = &record->trials[i];
        CHECK(keep > 0 && told >= keep);
        find_start(sorted, told, keep, &told_ns, &start_ns);
        cut.trial_count = cut.execution_count = 0;
        cut.told = cut.failed = 0;
        memset(numbers, 0xff, number_count * sizeof *numbers);
        keep_trials(&cut, record, told_ns, start_ns, numbers);
        keep_executions(&cut, record, start_ns, numbers, number_count);
        *ret_cut = cut;
        *ret_start_ns = start_ns;
    } else {
        memory_free(account, cut.trials);
        memory_free(account, cut.executions);
    }
    memory_free(account, sorted);
    memory_free(account, numbers);
    return made ? TROUPE_OK : TROUPE_NOMEM;
}

void quote_past_free(struct run_record *cut, struct account *account) {
    memory_free(account, cut->trials);
    memory_free(account, cut->executions);
}
