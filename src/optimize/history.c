/* The history of a study: growing flat arrays, a rank of the visible successes kept by insertion, and a table
 * that tells whether a configuration has been asked. Adding a trial: amortised O(variables); making one
 * visible: a binary search and one memmove. Owner: the study; one thread at a time. */
#include "optimize/study_private.h"

#include <math.h>
#include <string.h>

#define CAPACITY_FIRST 64

static uint64_t values_hash(const struct study *study, const double *values) {
    uint64_t hash = 0x5f;
    for (unsigned i = 0; i < study->dimension; i++) {
        double value = isnan(values[i]) ? NAN : values[i] + 0.0; /* one NaN, one zero */
        hash = hash_bytes(&value, sizeof value, hash);
    }
    return hash;
}

static bool values_equal(const struct study *study, const double *a, const double *b) {
    for (unsigned i = 0; i < study->dimension; i++)
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

/* The slot that holds these values, or the empty one where they belong. */
static unsigned slot_find(const struct study *study, const double *values) {
    unsigned mask = study->slot_count - 1, slot = (unsigned)values_hash(study, values) & mask;
    while (study->slots[slot] &&
           !values_equal(study, values, study->values + (size_t)(study->slots[slot] - 1) * study->dimension))
        slot = (slot + 1) & mask;
    return slot;
}

bool history_contains(const struct study *study, const struct configuration *configuration) {
    return study->slot_count && study->slots[slot_find(study, configuration->values)];
}

/* True when study->array holds `items`; it is left as it was when there is no memory. */
#define GROW(study, array, items)                                                                            \
    ((grown = memory_resize(&(study)->account, (study)->array, (items) * sizeof *(study)->array)) &&         \
     ((study)->array = grown))

static bool slots_grow(struct study *study, unsigned count) {
    unsigned *slots = memory_alloc(&study->account, count * sizeof *slots);
    if (!slots)
        return false;
    memory_free(&study->account, study->slots);
    study->slots = slots;
    study->slot_count = count;
    for (unsigned trial = 0; trial < study->asked; trial++) {
        unsigned slot = slot_find(study, study->values + (size_t)trial * study->dimension);
        if (!study->slots[slot])
            study->slots[slot] = trial + 1;
    }
    return true;
}

enum troupe_error history_reserve(struct study *study, struct fault *fault) {
    if (study->asked < study->capacity)
        return TROUPE_OK;
    unsigned capacity = study->capacity ? 2 * study->capacity : CAPACITY_FIRST;
    size_t cells = (size_t)capacity * study->dimension;
    void *grown;
    /* An array grown before a later one fails keeps its larger size: harmless, capacity is what counts. */
    if (!GROW(study, values, cells) || !GROW(study, positions, cells) || !GROW(study, objectives, capacity) ||
        !GROW(study, violations, capacity) || !GROW(study, states, capacity) ||
        !GROW(study, visible, capacity) || !GROW(study, ranked, capacity) || !slots_grow(study, 2 * capacity))
        return fault_set(fault, TROUPE_NOMEM, "study", "no memory for %u trials", capacity);
    study->capacity = capacity;
    return TROUPE_OK;
}

void history_append(struct study *study, const struct configuration *configuration) {
    CHECK(study->asked < study->capacity);
    size_t row = (size_t)study->asked * study->dimension;
    for (unsigned i = 0; i < study->dimension; i++) {
        const struct variable *variable = space_variable(study->space, i);
        double value = configuration->values[i];
        study->values[row + i] = value;
        study->positions[row + i] =
            variable->kind == VARIABLE_CHOICE ? value : space_to_unit(variable, value);
    }
    study->states[study->asked] = TRIAL_PENDING;
    study->visible[study->asked] = false;
    unsigned slot = slot_find(study, configuration->values);
    if (!study->slots[slot]) {
        study->slots[slot] = study->asked + 1;
        study->distinct++;
    }
    study->asked++;
}

/* A strict order: constraints met before missed, then violation, then objective, then number. */
bool history_better(const struct study *study, unsigned a, unsigned b) {
    if (study->violations[a] != study->violations[b])
        return study->violations[a] < study->violations[b];
    if (study->objectives[a] != study->objectives[b])
        return study->objectives[a] < study->objectives[b];
    return a < b;
}

void history_reveal(struct study *study, unsigned trial) {
    CHECK(study->states[trial] != TRIAL_PENDING && !study->visible[trial]);
    study->visible[trial] = true;
    if (study->states[trial] == TRIAL_FAILED) {
        study->failed_count++;
        return;
    }
    unsigned low = 0, high = study->ranked_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (history_better(study, study->ranked[middle], trial))
            low = middle + 1;
        else
            high = middle;
    }
    memmove(study->ranked + low + 1, study->ranked + low,
            (study->ranked_count - low) * sizeof *study->ranked);
    study->ranked[low] = trial;
    study->ranked_count++;
}

void history_free(struct study *study) {
    memory_free(&study->account, study->values);
    memory_free(&study->account, study->positions);
    memory_free(&study->account, study->objectives);
    memory_free(&study->account, study->violations);
    memory_free(&study->account, study->states);
    memory_free(&study->account, study->visible);
    memory_free(&study->account, study->ranked);
    memory_free(&study->account, study->slots);
}
