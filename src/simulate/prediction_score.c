/* prediction_score: medians, coverage and the worst case of a log. See the header. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double prediction_error_percent(double predicted, double measured) {
    if (!isfinite(predicted) || !isfinite(measured))
        return NAN;
    if (predicted == measured)
        return 0;
    return measured != 0 ? 100 * (predicted / measured - 1) : NAN;
}

static int by_real(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, unsigned count) {
    qsort(values, count, sizeof *values, by_real);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void score_figure(const struct prediction_entry *const *entries, unsigned count, enum figure figure,
                         double *scratch, struct prediction_score *score) {
    struct figure_score *ret = &score->figures[figure];
    double sum = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct estimate *estimate = &entries[i]->figures[figure];
        double measured = entries[i]->measured[figure],
               error = prediction_error_percent(estimate->value, measured);
        if (!isfinite(error))
            continue;
        scratch[ret->count++] = fabs(error);
        sum += error;
        ret->held += measured >= estimate->low && measured <= estimate->high;
        bool matters = figure == FIGURE_WALL || figure == FIGURE_THROUGHPUT;
        if (matters && (score->worst == NULL || fabs(error) > fabs(score->worst_error_percent))) {
            score->worst = entries[i];
            score->worst_figure = figure;
            score->worst_error_percent = error;
        }
    }
    if (ret->count == 0)
        return;
    ret->median_error_percent = median(scratch, ret->count);
    ret->mean_error_percent = sum / ret->count;
}

static uint64_t key_of(const struct prediction_entry *entry) {
    const uint64_t parts[] = {
        entry->inputs, entry->definition, hash_bytes(entry->version, strlen(entry->version), 0),
        hash_bytes(entry->kind, strlen(entry->kind), 1), hash_bytes(entry->run, strlen(entry->run), 2)};
    return hash_bytes(parts, sizeof parts, 0);
}

/* The first of each; one that was measured takes the place of its repetition that was not. */
static enum troupe_error distinct(const struct prediction_log *log, const char *kind, struct account *account,
                                  const struct prediction_entry **entries, struct prediction_score *score) {
    struct map *seen = NULL;
    enum troupe_error error = map_create(account, &seen);
    for (size_t i = 0; i < log->count && error == TROUPE_OK; i++) {
        const struct prediction_entry *entry = &log->entries[i];
        if (kind != NULL && strcmp(entry->kind, kind) != 0)
            continue;
        uintptr_t place = (uintptr_t)map_get_u64(seen, key_of(entry));
        if (place == 0) {
            entries[score->count++] = entry;
            error = map_put_u64(seen, key_of(entry), (void *)(uintptr_t)score->count);
            continue;
        }
        score->repeated++;
        if (entries[place - 1]->measured_run[0] == '\0')
            entries[place - 1] = entry;
    }
    map_free(seen);
    return error;
}

enum troupe_error prediction_score_make(const struct prediction_log *log, const char *kind,
                                        struct account *account, struct prediction_score *ret,
                                        struct fault *fault) {
    struct prediction_score score = {0};
    const struct prediction_entry **entries = memory_alloc(account, (log->count + 1) * sizeof *entries);
    double *scratch = memory_alloc(account, (log->count + 1) * sizeof *scratch);
    enum troupe_error error =
        entries == NULL || scratch == NULL ? TROUPE_NOMEM : distinct(log, kind, account, entries, &score);
    unsigned scored = 0;
    for (unsigned i = 0; i < score.count && error == TROUPE_OK; i++)
        if (entries[i]->measured_run[0] != '\0')
            entries[scored++] = entries[i];
    score.scored = scored;
    for (unsigned f = 0; f < FIGURE_COUNT && error == TROUPE_OK; f++)
        score_figure(entries, scored, (enum figure)f, scratch, &score);
    memory_free(account, entries);
    memory_free(account, scratch);
    if (error != TROUPE_OK)
        return fault_set(fault, error, PREDICTION_DIRECTORY, "out of memory scoring the predictions");
    *ret = score;
    return TROUPE_OK;
}
