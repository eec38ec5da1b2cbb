/* The log of predictions on a store of its own. A row's `attempt` tells a prediction (0) from a measurement (1) of the
 * prediction with the same `a`; `b` is the definition, `name` the kind. */
#include "simulate/simulate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 40
#define TRY_NS 25000000u /* so a second in all: a writer needs some 20 ms */
#define ROW_BYTES_MAX (256u << 10)
#define PATH_BYTES 1200

enum { ROW_PREDICTION, ROW_MEASUREMENT };

/* ---- rows ---- */

static void write_hash(struct json *json, const char *key, uint64_t hash) {
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_field_string(json, key, text);
}

static void write_prediction(const struct prediction_entry *entry, struct json *json) {
    json_object_begin(json);
    json_field_string(json, "run", entry->run);
    write_hash(json, "inputs", entry->inputs);
    write_hash(json, "data", entry->data);
    json_field_string(json, "version", entry->version);
    json_key(json, "changes");
    if (entry->changes != NULL)
        json_raw(json, entry->changes, strlen(entry->changes));
    else
        json_raw(json, "[]", 2);
    json_field_real(json, "progress", entry->progress);
    json_field_int(json, "assumed", entry->assumed);
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        const struct estimate *figure = &entry->figures[f];
        if (!isfinite(figure->value))
            continue;
        json_key(json, figure_table[f].name);
        json_array_begin(json);
        json_real(json, figure->value);
        json_real(json, figure->low);
        json_real(json, figure->high);
        json_array_end(json);
    }
    json_object_end(json);
}

static void write_measurement(const struct prediction_entry *entry, struct json *json) {
    json_object_begin(json);
    json_field_string(json, "run", entry->measured_run);
    json_field_string(json, "cause", entry->cause);
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        if (isfinite(entry->measured[f]))
            json_field_real(json, figure_table[f].name, entry->measured[f]);
    json_object_end(json);
}

/* A row with its words in `texts`: the entry may go before it. False: out of memory. */
static bool row_make(const struct prediction_entry *entry, int64_t id, int attempt, struct arena *texts,
                     struct account *account, struct store_entry *ret) {
    struct buffer text;
    struct json json;
    buffer_init(&text, account, ROW_BYTES_MAX);
    json_init(&json, &text);
    if (attempt == ROW_PREDICTION)
        write_prediction(entry, &json);
    else
        write_measurement(entry, &json);
    const char *copy =
        buffer_ok(&text) == TROUPE_OK ? arena_copy(texts, buffer_string(&text), text.length) : NULL;
    const char *kind = arena_copy(texts, entry->kind, strlen(entry->kind));
    buffer_free(&text);
    *ret = (struct store_entry){.row = {.kind = STORE_PREDICTION,
                                        .attempt = (uint16_t)attempt,
                                        .a = id,
                                        .b = (int64_t)entry->definition,
                                        .utc_ns = attempt == ROW_PREDICTION ? entry->utc_ns : 0},
                                .name = kind,
                                .text = copy};
    return copy != NULL && kind != NULL;
}

/* ---- writing ---- */

static enum troupe_error path_of(const char *runs_directory, char out[PATH_BYTES], struct fault *fault) {
    int length = snprintf(out, PATH_BYTES, "%s/" PREDICTION_DIRECTORY, runs_directory);
    return length > 0 && length < PATH_BYTES - 16
               ? TROUPE_OK
               : fault_set(fault, TROUPE_LIMIT, runs_directory, "a path that is too long");
}

static enum troupe_error check_room(struct env *env, const char *directory, struct fault *fault) {
    char path[PATH_BYTES + 16];
    struct env_info info = {0};
    snprintf(path, sizeof path, "%s/store.db", directory);
    return env_info(env, path, &info) == TROUPE_OK && info.exists && info.bytes > PREDICTIONS_BYTES_MAX
               ? fault_set(fault, TROUPE_LIMIT, path,
                           "the log of predictions is larger than %u MiB: remove it to begin a new one",
                           PREDICTIONS_BYTES_MAX >> 20)
               : TROUPE_OK;
}

static enum troupe_error append(struct env *env, struct account *account, const char *runs_directory,
                                const struct store_entry *rows, size_t count, struct fault *fault) {
    char directory[PATH_BYTES];
    struct store *store = NULL;
    enum troupe_error error = path_of(runs_directory, directory, fault);
    if (error == TROUPE_OK)
        error = check_room(env, directory, fault);
    if (error != TROUPE_OK)
        return error;
    for (unsigned try = 0; try < TRIES; try++) {
        error = store_open(env, account, directory, &(struct store_options){.create = true}, &store, fault);
        if (error != TROUPE_LOCKED)
            break;
        env_pause(env, TRY_NS);
    }
    if (error == TROUPE_OK)
        error = store_append(store, rows, count, fault);
    store_close(store);
    return error;
}

static int64_t id_of(const struct prediction_entry *entry, size_t index) {
    const uint64_t parts[] = {entry->inputs, entry->definition, (uint64_t)entry->utc_ns, index};
    return (int64_t)(hash_bytes(parts, sizeof parts, 0) >> 1);
}

enum troupe_error prediction_log_keep(struct env *env, struct account *account, const char *runs_directory,
                                      const struct prediction_entry *entries, size_t count,
                                      struct fault *fault) {
    struct arena texts;
    arena_init(&texts, account);
    struct store_entry *rows = ARENA_ARRAY(&texts, struct store_entry, 2 * count + 1);
    size_t row_count = 0;
    bool made = rows != NULL;
    for (size_t i = 0; i < count && made; i++) {
        struct prediction_entry entry = entries[i];
        if (entry.utc_ns == 0)
            entry.utc_ns = env_utc(env);
        int64_t id = id_of(&entry, i);
        made = row_make(&entry, id, ROW_PREDICTION, &texts, account, &rows[row_count++]);
        if (made && entry.measured_run[0] != '\0')
            made = row_make(&entry, id, ROW_MEASUREMENT, &texts, account, &rows[row_count++]);
    }
    enum troupe_error error =
        made ? append(env, account, runs_directory, rows, row_count, fault)
             : fault_set(fault, TROUPE_NOMEM, runs_directory, "out of memory keeping a prediction");
    arena_free(&texts);
    return error;
}

enum troupe_error prediction_log_measured(struct env *env, struct account *account,
                                          const char *runs_directory,
                                          const struct prediction_entry *const *entries, size_t count,
                                          struct fault *fault) {
    struct arena texts;
    arena_init(&texts, account);
    struct store_entry *rows = ARENA_ARRAY(&texts, struct store_entry, count + 1);
    bool made = rows != NULL;
    for (size_t i = 0; i < count && made; i++)
        made = row_make(entries[i], entries[i]->id, ROW_MEASUREMENT, &texts, account, &rows[i]);
    enum troupe_error error =
        made ? append(env, account, runs_directory, rows, count, fault)
             : fault_set(fault, TROUPE_NOMEM, runs_directory, "out of memory keeping a measurement");
    arena_free(&texts);
    return error;
}

/* ---- reading ---- */

struct log_reading {
    struct prediction_log *log;
    struct account *account;
    struct map *places; /* of ids: index into entries, and 1 */
    size_t capacity;
    enum troupe_error error;
    struct fault *fault;
};

static void read_text(const struct node *node, char *out, size_t size) {
    if (node_kind(node) == DOCUMENT_STRING)
        snprintf(out, size, "%s", node_string(node));
}

static uint64_t read_hash(const struct node *node) {
    return node_kind(node) == DOCUMENT_STRING ? strtoull(node_string(node), NULL, 16) : 0;
}

static double read_number(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL ? node_real(node) : NAN;
}

static bool out_of_memory(struct log_reading *reading) {
    reading->error = fault_set(reading->fault, TROUPE_NOMEM, PREDICTION_DIRECTORY,
                               "out of memory reading the log of predictions");
    return false;
}

/* As JSON again, so that the log owns it. NULL: out of memory. */
static const char *read_changes(struct log_reading *reading, const struct node *changes) {
    struct buffer text;
    struct json json;
    buffer_init(&text, reading->account, ROW_BYTES_MAX);
    json_init(&json, &text);
    node_write_json(changes, &json);
    const char *copy = buffer_ok(&text) == TROUPE_OK
                           ? arena_copy(&reading->log->arena, buffer_string(&text), text.length)
                           : NULL;
    buffer_free(&text);
    return copy;
}

static bool read_prediction(struct log_reading *reading, const struct store_row *row, const char *kind,
                            const struct node *root) {
    struct prediction_log *log = reading->log;
    if (log->count == reading->capacity) {
        size_t capacity = reading->capacity * 2 + 64;
        void *grown = memory_resize(reading->account, log->entries, capacity * sizeof *log->entries);
        if (grown == NULL)
            return out_of_memory(reading);
        log->entries = grown;
        reading->capacity = capacity;
    }
    struct prediction_entry *entry = &log->entries[log->count];
    *entry = (struct prediction_entry){.definition = (uint64_t)row->b, .id = row->a, .utc_ns = row->utc_ns};
    const struct node *assumed = node_get(root, "assumed");
    snprintf(entry->kind, sizeof entry->kind, "%s", kind);
    read_text(node_get(root, "run"), entry->run, sizeof entry->run);
    read_text(node_get(root, "version"), entry->version, sizeof entry->version);
    entry->inputs = read_hash(node_get(root, "inputs"));
    entry->data = read_hash(node_get(root, "data"));
    entry->progress = read_number(node_get(root, "progress"));
    entry->assumed = node_kind(assumed) == DOCUMENT_INT ? (unsigned)node_int(assumed) : 0;
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        const struct node *figure = node_get(root, figure_table[f].name);
        double parts[3];
        for (size_t i = 0; i < 3; i++)
            parts[i] = i < node_count(figure) ? read_number(node_at(figure, i)) : NAN;
        entry->figures[f] = (struct estimate){.value = parts[0], .low = parts[1], .high = parts[2]};
        entry->measured[f] = NAN;
    }
    entry->changes = read_changes(reading, node_get(root, "changes"));
    if (entry->changes == NULL ||
        map_put_u64(reading->places, (uint64_t)entry->id, (void *)(uintptr_t)(log->count + 1)) != TROUPE_OK)
        return out_of_memory(reading);
    log->count++;
    return true;
}

/* The first measurement is the one that counts: later ones were taken knowing it. */
static void read_measurement(struct log_reading *reading, const struct store_row *row,
                             const struct node *root) {
    uintptr_t place = (uintptr_t)map_get_u64(reading->places, (uint64_t)row->a);
    struct prediction_entry *entry = place != 0 ? &reading->log->entries[place - 1] : NULL;
    if (entry == NULL || entry->measured_run[0] != '\0')
        return;
    read_text(node_get(root, "run"), entry->measured_run, sizeof entry->measured_run);
    read_text(node_get(root, "cause"), entry->cause, sizeof entry->cause);
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        entry->measured[f] = read_number(node_get(root, figure_table[f].name));
}

static bool on_row(void *context, const struct store_row *row, const char *name, const char *text) {
    struct log_reading *reading = context;
    struct document *document = NULL;
    reading->error =
        document_parse_json(text, row->text_length, PREDICTION_DIRECTORY, NULL, &document, reading->fault);
    if (reading->error != TROUPE_OK)
        return false;
    const struct node *root = document_root(document);
    bool more = true;
    if (row->attempt == ROW_PREDICTION)
        more = read_prediction(reading, row, name, root);
    else
        read_measurement(reading, row, root);
    document_free(document);
    return more;
}

static enum troupe_error read_rows(struct env *env, const char *directory, struct log_reading *reading,
                                   struct fault *fault) {
    struct env_info info = {0};
    struct store_reader *reader = NULL;
    if (env_info(env, directory, &info) == TROUPE_OK && !info.exists)
        return TROUPE_OK;
    enum troupe_error error = store_reader_open(env, reading->account, directory, &reader, fault);
    if (error == TROUPE_NOT_FOUND) /* another process is making it at this moment */
        return TROUPE_OK;
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_PREDICTION, on_row, reading, fault);
    store_reader_close(reader);
    return error == TROUPE_OK ? reading->error : error;
}

enum troupe_error prediction_log_read(struct env *env, struct account *account, const char *runs_directory,
                                      struct prediction_log **ret_log, struct fault *fault) {
    char directory[PATH_BYTES];
    enum troupe_error error = path_of(runs_directory, directory, fault);
    if (error != TROUPE_OK)
        return error;
    struct prediction_log *log = memory_alloc(account, sizeof *log);
    if (log == NULL)
        return fault_set(fault, TROUPE_NOMEM, directory, "out of memory reading the log of predictions");
    arena_init(&log->arena, account);
    struct log_reading reading = {.log = log, .account = account, .fault = fault};
    error = map_create(account, &reading.places);
    error = error == TROUPE_OK ? read_rows(env, directory, &reading, fault)
                               : fault_set(fault, error, directory, "out of memory reading it");
    map_free(reading.places);
    if (error != TROUPE_OK) {
        prediction_log_free(log);
        return error;
    }
    *ret_log = log;
    return TROUPE_OK;
}

void prediction_log_free(struct prediction_log *log) {
    if (log == NULL)
        return;
    struct account *account = log->arena.account;
    memory_free(account, log->entries);
    arena_free(&log->arena);
    memory_free(account, log);
}
