/* prediction_match: which run measured which prediction. One pass over the directory: of each run its definition, and
 * of those that a prediction waits for the record too. See prediction_score.h. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1200
#define DEFINITION_BYTES_MAX (32u << 20)

struct matching {
    struct env *env;
    struct account *account;
    const char *runs_directory;
    struct prediction_log *log;
    int64_t *begun_utc_ns;   /* of the run that measured the entry; 0: none; -1: it was in the log before */
    int64_t oldest_utc_ns;   /* of the entries that wait */
    struct run_record *base; /* the last one that was read */
    enum troupe_error error; /* NOMEM alone: a run that cannot be read measures nothing */
};

static bool is_quote(const struct prediction_entry *entry) {
    return strcmp(entry->kind, "quote") == 0;
}

/* Whether this run, begun then, can measure the entry, and better than one that was found before. */
static bool waits_for(const struct matching *matching, size_t index, const char *run_id,
                      int64_t begun_utc_ns) {
    const struct prediction_entry *entry = &matching->log->entries[index];
    int64_t found = matching->begun_utc_ns[index];
    if (found < 0)
        return false;
    if (is_quote(entry))
        return strcmp(entry->run, run_id) == 0;
    return entry->definition != 0 && entry->utc_ns < begun_utc_ns && (found == 0 || begun_utc_ns < found);
}

/* ---- one run ---- */

static enum troupe_error identity_of(struct matching *matching, const struct document *definition,
                                     const char *directory, uint64_t *ret_identity) {
    const struct node *root = document_root(definition);
    struct pipeline *pipeline = NULL;
    struct buffer text;
    struct json json;
    buffer_init(&text, matching->account, DEFINITION_BYTES_MAX);
    json_init(&json, &text);
    node_write_json(node_get(root, "pipeline"), &json);
    enum troupe_error error = buffer_ok(&text);
    if (error == TROUPE_OK)
        error = pipeline_parse(matching->env, matching->account, buffer_string(&text), text.length, directory,
                               node_string(node_get(root, "directory")), NULL, 0, &pipeline, NULL);
    if (error == TROUPE_OK)
        *ret_identity = pipeline_identity(pipeline);
    pipeline_free(pipeline);
    buffer_free(&text);
    return error;
}

static double number_of(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL ? node_real(node) : NAN;
}

/* It ended by itself, in one go, and it searched. */
static bool is_measurement(const struct run_record *record, const struct document *definition) {
    const struct node *time = node_get(document_root(record->response), "time");
    double wall = number_of(node_get(time, "wall_ms")), elapsed = number_of(node_get(time, "elapsed_ms"));
    bool ended = !record->live && (record->state == RUN_FINISHED || record->state == RUN_DEADLINE);
    return ended && wall > 0 && elapsed <= wall &&
           node_get(document_root(definition), "configuration") == NULL;
}

uint64_t record_data_hash(const struct run_record *record) {
    const struct node *hash = node_get(node_get(document_root(record->response), "provenance"), "data_hash");
    return node_kind(hash) == DOCUMENT_STRING ? strtoull(node_string(hash), NULL, 16) : 0;
}

/* NULL: it is gone. Entries of one base follow each other, so the last one read is kept. */
static const struct run_record *base_of(struct matching *matching, const struct prediction_entry *entry) {
    if (matching->base != NULL && strcmp(matching->base->id, entry->run) == 0)
        return matching->base;
    run_record_free(matching->base);
    matching->base = NULL;
    if (run_record_read(matching->env, matching->account, matching->runs_directory, entry->run,
                        &matching->base, NULL) != TROUPE_OK)
        matching->base = NULL;
    return matching->base;
}

static void measure(struct matching *matching, const struct run_record *record, uint64_t identity,
                    int64_t begun_utc_ns) {
    double figures[FIGURE_COUNT];
    uint64_t data = record_data_hash(record);
    measured_figures(record, figures);
    for (size_t i = 0; i < matching->log->count; i++) {
        struct prediction_entry *entry = &matching->log->entries[i];
        bool same = is_quote(entry) ||
                    (entry->definition == identity && (entry->data == data || entry->data == 0 || data == 0));
        if (!same || !waits_for(matching, i, record->id, begun_utc_ns))
            continue;
        matching->begun_utc_ns[i] = begun_utc_ns;
        snprintf(entry->measured_run, sizeof entry->measured_run, "%s", record->id);
        memcpy(entry->measured, figures, sizeof figures);
        prediction_cause(is_quote(entry) ? NULL : base_of(matching, entry), record, entry, entry->cause);
    }
}

static void match_run(struct matching *matching, const char *run_id) {
    char directory[PATH_BYTES];
    struct document *definition = NULL;
    struct run_record *record = NULL;
    int64_t begun_utc_ns = 0;
    uint64_t identity = 0;
    bool wanted = false;
    int length = snprintf(directory, sizeof directory, "%s/%s", matching->runs_directory, run_id);
    if (length < 0 || (size_t)length >= sizeof directory)
        return;
    enum troupe_error error =
        run_read_definition(matching->env, matching->account, directory, &definition, &begun_utc_ns, NULL);
    for (size_t i = 0; i < matching->log->count && error == TROUPE_OK && !wanted; i++)
        wanted = waits_for(matching, i, run_id, begun_utc_ns);
    if (wanted)
        error = identity_of(matching, definition, directory, &identity);
    for (size_t i = 0; i < matching->log->count && wanted && error == TROUPE_OK; i++) {
        const struct prediction_entry *entry = &matching->log->entries[i];
        if ((entry->definition != identity && !is_quote(entry)) ||
            !waits_for(matching, i, run_id, begun_utc_ns))
            continue;
        error = run_record_read(matching->env, matching->account, matching->runs_directory, run_id, &record,
                                NULL);
        break;
    }
    if (error == TROUPE_OK && record != NULL && is_measurement(record, definition))
        measure(matching, record, identity, begun_utc_ns);
    if (error == TROUPE_NOMEM)
        matching->error = error;
    run_record_free(record);
    document_free(definition);
}

/* ---- all of them ---- */

static bool on_run(void *context, const char *name) {
    struct matching *matching = context;
    char path[PATH_BYTES];
    struct env_info info = {0};
    int length = snprintf(path, sizeof path, "%s/%s/store.db", matching->runs_directory, name);
    if (name[0] == '.' || length < 0 || (size_t)length >= sizeof path ||
        env_info(matching->env, path, &info) != TROUPE_OK || !info.exists ||
        info.modified_utc_ns < matching->oldest_utc_ns) /* it was written to later than it began */
        return true;
    match_run(matching, name);
    return matching->error == TROUPE_OK;
}

static enum troupe_error keep(struct matching *matching, unsigned *ret_matched, struct fault *fault) {
    struct prediction_log *log = matching->log;
    const struct prediction_entry **list = memory_alloc(matching->account, (log->count + 1) * sizeof *list);
    unsigned count = 0;
    if (list == NULL)
        return fault_set(fault, TROUPE_NOMEM, PREDICTION_DIRECTORY, "out of memory");
    for (size_t i = 0; i < log->count; i++)
        if (matching->begun_utc_ns[i] > 0)
            list[count++] = &log->entries[i];
    *ret_matched = count;
    enum troupe_error error = count > 0
                                  ? prediction_log_measured(matching->env, matching->account,
                                                            matching->runs_directory, list, count, fault)
                                  : TROUPE_OK;
    memory_free(matching->account, list);
    return error;
}

enum troupe_error prediction_match(struct env *env, struct account *account, const char *runs_directory,
                                   const char *run_id, struct prediction_log *log, unsigned *ret_matched,
                                   struct fault *fault) {
    struct matching matching = {.env = env,
                                .account = account,
                                .runs_directory = runs_directory,
                                .log = log,
                                .oldest_utc_ns = INT64_MAX};
    matching.begun_utc_ns = memory_alloc(account, (log->count + 1) * sizeof *matching.begun_utc_ns);
    if (matching.begun_utc_ns == NULL)
        return fault_set(fault, TROUPE_NOMEM, PREDICTION_DIRECTORY, "out of memory");
    for (size_t i = 0; i < log->count; i++) {
        if (log->entries[i].measured_run[0] != '\0')
            matching.begun_utc_ns[i] = -1;
        else if (log->entries[i].utc_ns < matching.oldest_utc_ns)
            matching.oldest_utc_ns = log->entries[i].utc_ns;
    }
    enum troupe_error error = TROUPE_OK;
    if (run_id != NULL)
        match_run(&matching, run_id);
    else if (matching.oldest_utc_ns != INT64_MAX)
        error = env_list(env, runs_directory, on_run, &matching);
    if (error == TROUPE_OK)
        error = matching.error;
    if (error != TROUPE_OK)
        fault_set(fault, error, runs_directory, "its runs cannot be looked at: %s", error_text(error));
    else
        error = keep(&matching, ret_matched, fault);
    run_record_free(matching.base);
    memory_free(account, matching.begun_utc_ns);
    return error;
}
