/* analyze_trace: a trace file as span summaries: how long things waited and how long they were served, by kind.
 *
 * Records come from several threads' rings, so they are put in order of time first. Then one pass: a table says
 * which record kinds queue, start and end a span of a family, and what tells two spans of it apart. Rows wait for
 * commits in one queue, so a commit of n rows ends the waiting of the n oldest. Memory: all records at once, 24
 * bytes each, on the account; the summary in its arena. */
#include "analyze/analysis_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct moment { /* a record, as far as it matters here */
    uint64_t time_ns, id, value;
    uint32_t order; /* in the file: decides between equal times */
    uint16_t kind;
};

enum family { FAMILY_TASK, FAMILY_TRIAL, FAMILY_COMMIT, FAMILY_ROUND, FAMILY_CHILD, FAMILY_COUNT };
enum role { ROLE_QUEUED, ROLE_STARTED, ROLE_ENDED };
struct part {
    bool known;
    enum family family;
    enum role role;
};
static const char *const family_names[] = {"task", "trial", "commit", "coordination round", "child process"};
static const struct part parts[TRACE_KIND_COUNT] = {
    [TRACE_TASK_QUEUED] = {true, FAMILY_TASK, ROLE_QUEUED},
    [TRACE_TASK_STARTED] = {true, FAMILY_TASK, ROLE_STARTED},
    [TRACE_TASK_ENDED] = {true, FAMILY_TASK, ROLE_ENDED},
    [TRACE_TRIAL_STARTED] = {true, FAMILY_TRIAL, ROLE_STARTED},
    [TRACE_TRIAL_ENDED] = {true, FAMILY_TRIAL, ROLE_ENDED},
    [TRACE_COMMIT_QUEUED] = {true, FAMILY_COMMIT, ROLE_QUEUED},
    [TRACE_COMMIT_STARTED] = {true, FAMILY_COMMIT, ROLE_STARTED},
    [TRACE_COMMIT_ENDED] = {true, FAMILY_COMMIT, ROLE_ENDED},
    [TRACE_ROUND_STARTED] = {true, FAMILY_ROUND, ROLE_STARTED},
    [TRACE_ROUND_ENDED] = {true, FAMILY_ROUND, ROLE_ENDED},
    [TRACE_CHILD_STARTED] = {true, FAMILY_CHILD, ROLE_STARTED},
    [TRACE_CHILD_ENDED] = {true, FAMILY_CHILD, ROLE_ENDED}};

struct reading {
    struct account *account;
    struct moment *moments;
    size_t count, capacity;
    bool out_of_memory;
};
struct lengths {
    uint64_t *values;
    size_t count;
};
struct spans_state {
    struct reading *reading;
    struct map *open[FAMILY_COUNT]; /* id -> index + 1 of the moment that queued or started it */
    struct lengths queued[FAMILY_COUNT], served[FAMILY_COUNT];
    size_t *rows, rows_first, rows_end; /* moments of queued rows, oldest first */
    uint64_t unmatched;
};

static bool on_record(void *context, const struct trace_record *record, uint64_t time_ns) {
    struct reading *reading = context;
    if (reading->count == UINT32_MAX)
        return false;
    if (reading->count == reading->capacity) {
        size_t capacity = reading->capacity * 2 + 1024;
        struct moment *grown = memory_resize(reading->account, reading->moments, capacity * sizeof *grown);
        if (grown == NULL) {
            reading->out_of_memory = true;
            return false;
        }
        reading->moments = grown;
        reading->capacity = capacity;
    }
    bool by_value = record->kind == TRACE_CHILD_STARTED || record->kind == TRACE_CHILD_ENDED; /* pids */
    reading->moments[reading->count] = (struct moment){.time_ns = time_ns,
                                                       .id = by_value ? record->value : record->span,
                                                       .value = record->value,
                                                       .order = (uint32_t)reading->count,
                                                       .kind = record->kind};
    reading->count++;
    return true;
}

static int by_time(const void *a, const void *b) {
    const struct moment *left = a, *right = b;
    if (left->time_ns != right->time_ns)
        return left->time_ns < right->time_ns ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

static void state_free(struct spans_state *state) {
    for (unsigned f = 0; f < FAMILY_COUNT; f++) {
        map_free(state->open[f]);
        memory_free(state->reading->account, state->queued[f].values);
        memory_free(state->reading->account, state->served[f].values);
    }
    memory_free(state->reading->account, state->rows);
}

/* A length for every record that could end one: no growing in the pass. */
static bool state_make(struct spans_state *state) {
    size_t per_role[FAMILY_COUNT][3] = {{0}};
    struct account *account = state->reading->account;
    for (size_t i = 0; i < state->reading->count; i++) {
        uint16_t kind = state->reading->moments[i].kind;
        if (kind < TRACE_KIND_COUNT && parts[kind].known)
            per_role[parts[kind].family][parts[kind].role]++;
    }
    for (unsigned f = 0; f < FAMILY_COUNT; f++) {
        size_t queued = per_role[f][ROLE_QUEUED], served = per_role[f][ROLE_ENDED];
        state->queued[f].values = memory_alloc(account, (queued + 1) * sizeof(uint64_t));
        state->served[f].values = memory_alloc(account, (served + 1) * sizeof(uint64_t));
        if (map_create(account, &state->open[f]) != TROUPE_OK || state->queued[f].values == NULL ||
            state->served[f].values == NULL)
            return false;
    }
    state->rows = memory_alloc(account, (per_role[FAMILY_COMMIT][ROLE_QUEUED] + 1) * sizeof *state->rows);
    return state->rows != NULL;
}

static bool opened(struct spans_state *state, enum family family, uint64_t id, size_t at) {
    return map_put_u64(state->open[family], id, (void *)(uintptr_t)(at + 1)) == TROUPE_OK;
}

/* The moment that opened the span, or NULL; it is closed. */
static const struct moment *closed(struct spans_state *state, enum family family, uint64_t id) {
    uintptr_t at = (uintptr_t)map_remove_u64(state->open[family], id);
    return at != 0 ? &state->reading->moments[at - 1] : NULL;
}

static void rows_start(struct spans_state *state, const struct moment *start) {
    struct lengths *queued = &state->queued[FAMILY_COMMIT];
    for (uint64_t n = 0; n < start->value && state->rows_first < state->rows_end; n++) {
        const struct moment *row = &state->reading->moments[state->rows[state->rows_first++]];
        queued->values[queued->count++] = start->time_ns - row->time_ns;
    }
}

static bool take(struct spans_state *state, size_t at) {
    const struct moment *moment = &state->reading->moments[at], *before;
    const struct part *part = &parts[moment->kind];
    struct lengths *queued = &state->queued[part->family], *served = &state->served[part->family];
    switch (part->role) {
    case ROLE_QUEUED:
        if (part->family == FAMILY_COMMIT) {
            state->rows[state->rows_end++] = at;
            return true;
        }
        return opened(state, part->family, moment->id, at);
    case ROLE_STARTED:
        if (part->family == FAMILY_COMMIT)
            rows_start(state, moment);
        before = closed(state, part->family, moment->id);
        if (before != NULL && parts[before->kind].role == ROLE_QUEUED)
            queued->values[queued->count++] = moment->time_ns - before->time_ns;
        return opened(state, part->family, moment->id, at);
    case ROLE_ENDED:
        before = closed(state, part->family, moment->id);
        if (before != NULL && parts[before->kind].role == ROLE_STARTED)
            served->values[served->count++] = moment->time_ns - before->time_ns;
        else
            state->unmatched++;
        return true;
    }
    return true;
}

static struct analyze_times times_of(struct lengths *lengths) {
    struct analyze_times times = {.count = lengths->count};
    sort_times(lengths->values, lengths->count);
    for (size_t i = 0; i < lengths->count; i++)
        times.total_ns += lengths->values[i];
    times.p50_ns = sorted_quantile(lengths->values, lengths->count, 0.5);
    times.p95_ns = sorted_quantile(lengths->values, lengths->count, 0.95);
    times.max_ns = sorted_quantile(lengths->values, lengths->count, 1);
    return times;
}

static bool summarise(struct spans_state *state, struct analyze_spans *spans) {
    struct analyze_span_kind *kinds = ARENA_ARRAY(&spans->arena, struct analyze_span_kind, FAMILY_COUNT);
    struct analyze_event_kind *events =
        ARENA_ARRAY(&spans->arena, struct analyze_event_kind, TRACE_KIND_COUNT);
    struct analyze_event_kind counts[TRACE_KIND_COUNT] = {{0}};
    if (kinds == NULL || events == NULL)
        return false;
    for (size_t i = 0; i < state->reading->count; i++) {
        const struct moment *moment = &state->reading->moments[i];
        if (moment->kind >= TRACE_KIND_COUNT || parts[moment->kind].known)
            continue;
        struct analyze_event_kind *event = &counts[moment->kind];
        event->count++;
        event->value_total += moment->value;
        event->value_max = moment->value > event->value_max ? moment->value : event->value_max;
    }
    for (unsigned kind = 0; kind < TRACE_KIND_COUNT; kind++)
        if (counts[kind].count > 0) {
            counts[kind].name = trace_kind_name((enum trace_kind)kind);
            events[spans->event_count++] = counts[kind];
        }
    for (unsigned f = 0; f < FAMILY_COUNT; f++) {
        struct analyze_span_kind kind = {.name = family_names[f],
                                         .open = map_count(state->open[f]),
                                         .queued = times_of(&state->queued[f]),
                                         .served = times_of(&state->served[f])};
        if (kind.open + kind.queued.count + kind.served.count > 0)
            kinds[spans->kind_count++] = kind;
    }
    spans->kinds = kinds;
    spans->events = events;
    spans->unmatched = state->unmatched;
    return true;
}

static bool analyse(struct reading *reading, struct analyze_spans *spans) {
    struct spans_state state = {.reading = reading};
    bool ok = state_make(&state);
    spans->records = reading->count;
    if (reading->count > 0) {
        qsort(reading->moments, reading->count, sizeof *reading->moments, by_time);
        spans->from_ns = reading->moments[0].time_ns;
        spans->to_ns = reading->moments[reading->count - 1].time_ns;
    }
    for (size_t i = 0; ok && i < reading->count; i++)
        if (reading->moments[i].kind < TRACE_KIND_COUNT && parts[reading->moments[i].kind].known)
            ok = take(&state, i);
    ok = ok && summarise(&state, spans);
    state_free(&state);
    return ok;
}

enum troupe_error analyze_trace(const void *bytes, size_t length, const char *source, struct account *account,
                                struct analyze_spans **ret_spans, struct fault *fault) {
    struct reading reading = {.account = account};
    struct fault damage = {0};
    struct analyze_spans *spans = memory_alloc(account, sizeof *spans);
    if (spans == NULL)
        return fault_set(fault, TROUPE_NOMEM, source, "out of memory for the analysis");
    arena_init(&spans->arena, account);
    enum troupe_error error = trace_read(bytes, length, source, on_record, &reading, &damage);
    bool ok = !reading.out_of_memory;
    if (error == TROUPE_CORRUPT && reading.count > 0) {
        snprintf(spans->damage, sizeof spans->damage, "%.150s: %.240s", damage.where, damage.text);
        error = TROUPE_OK;
    } else if (error != TROUPE_OK && ok) {
        fault_set(fault, error, damage.where, "%s", damage.text);
    }
    if (error == TROUPE_OK && ok)
        ok = analyse(&reading, spans);
    memory_free(account, reading.moments);
    if (!ok)
        error = fault_set(fault, TROUPE_NOMEM, source, "out of memory after %zu records", reading.count);
    if (error != TROUPE_OK) {
        analyze_spans_free(spans, account);
        return error;
    }
    *ret_spans = spans;
    return TROUPE_OK;
}

void analyze_spans_free(struct analyze_spans *spans, struct account *account) {
    if (spans == NULL)
        return;
    arena_free(&spans->arena);
    memory_free(account, spans);
}
