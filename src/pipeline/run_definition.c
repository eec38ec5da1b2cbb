/* run_definition: the definition that a run was created with, as the first row of its store: a run exists once
 * that row is committed, and --resume and `show` read it back from there.
 *
 * Threads: writing in the engine's first turn; reading on any thread, beside a live run too.
 * Memory:  texts and trees are freed here or handed to the caller.
 * Failure: NOT_FOUND when nothing was committed: what was cut short there is no run. */
#include "pipeline/run_internal.h"

#include <stdio.h>
#include <string.h>

#define DEFINITION_BYTES_MAX (32u << 20)

bool run_definition_write(struct run *run, struct turn *turn) {
    struct buffer text;
    struct json json;
    buffer_init(&text, run->account, DEFINITION_BYTES_MAX);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_string(&json, "source", run->pipeline->source);
    json_field_string(&json, "directory", run->pipeline->directory);
    json_field_string(&json, "version", TROUPE_VERSION);
    json_field_int(&json, "cores", env_cores(run->env));
    json_field_int(&json, "workers", run->workers);
    json_key(&json, "pipeline");
    node_write_json(document_root(run->pipeline->document), &json);
    if (run->fixed != NULL) {
        json_key(&json, "configuration");
        space_write_json(run->pipeline->space, run->fixed, &json);
    }
    json_object_end(&json);
    struct store_row row = {.kind = STORE_RUN_CREATED,
                            .a = (int64_t)run->pipeline->study.seed,
                            .b = (int64_t)run->pipeline->data_hash};
    return run_write_text(run, turn, &row, run->id, &text, run_token(TOKEN_CREATED, 0));
}

struct reading {
    const char *source;
    struct document *document;
    int64_t created_utc_ns;
    enum troupe_error error;
    struct fault *fault;
};

static bool on_created(void *context, const struct store_row *row, const char *name, const char *text) {
    struct reading *reading = context;
    (void)name;
    reading->created_utc_ns = row->utc_ns;
    reading->error = document_parse_json(text, row->text_length, reading->source, NULL, &reading->document,
                                         reading->fault);
    return false;
}

enum troupe_error run_read_definition(struct env *env, struct account *account, const char *directory,
                                      struct document **ret_document, int64_t *ret_created_utc_ns,
                                      struct fault *fault) {
    struct store_reader *reader = NULL;
    struct reading reading = {.source = directory, .error = TROUPE_NOT_FOUND, .fault = fault};
    enum troupe_error error = store_reader_open(env, account, directory, &reader, fault);
    if (error != TROUPE_OK)
        return error;
    error = store_read(reader, STORE_RUN_CREATED, on_created, &reading, fault);
    store_reader_close(reader);
    if (error == TROUPE_OK)
        error = reading.error;
    if (error == TROUPE_SYNTAX && fault != NULL)
        error = fault_set(fault, TROUPE_CORRUPT, fault->where, "the run's definition is damaged: %s",
                          fault->text);
    if (error == TROUPE_NOT_FOUND)
        return fault_set(fault, error, directory, "nothing was ever committed to this run");
    if (error != TROUPE_OK)
        return error;
    const struct node *root = document_root(reading.document);
    if (node_kind(node_get(root, "pipeline")) != DOCUMENT_MAP ||
        node_kind(node_get(root, "directory")) != DOCUMENT_STRING) {
        document_free(reading.document);
        return fault_set(fault, TROUPE_CORRUPT, directory, "its definition lacks `pipeline` or `directory`");
    }
    *ret_document = reading.document;
    *ret_created_utc_ns = reading.created_utc_ns;
    return TROUPE_OK;
}

enum troupe_error run_definition_fixed(struct run *run, struct fault *fault) {
    struct document *document = NULL;
    int64_t created;
    enum troupe_error error =
        run_read_definition(run->env, run->account, run->directory, &document, &created, fault);
    const struct node *configuration =
        error == TROUPE_OK ? node_get(document_root(document), "configuration") : NULL;
    if (configuration != NULL) {
        run->fixed_own = memory_alloc(run->account, sizeof *run->fixed_own);
        error = run->fixed_own == NULL
                    ? fault_set(fault, TROUPE_NOMEM, run->id, "out of memory reading the run")
                    : space_read_json(run->pipeline->space, configuration, run->fixed_own, fault);
        run->fixed = run->fixed_own;
    }
    document_free(document);
    return error;
}

enum troupe_error run_load_pipeline(struct env *env, struct account *account, const char *runs_directory,
                                    const char *run_id, const char *const *sets, size_t set_count,
                                    struct pipeline **ret_pipeline, struct fault *fault) {
    char directory[1200];
    struct document *document = NULL;
    struct env_info info = {0};
    int64_t created;
    snprintf(directory, sizeof directory, "%s/%s", runs_directory != NULL ? runs_directory : "runs", run_id);
    if (env_info(env, directory, &info) != TROUPE_OK || !info.exists)
        return fault_set(fault, TROUPE_NOT_FOUND, directory,
                         "there is no run '%s'; `troupe runs` lists what there is", run_id);
    enum troupe_error error = run_read_definition(env, account, directory, &document, &created, fault);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    struct json json;
    buffer_init(&text, account, DEFINITION_BYTES_MAX);
    json_init(&json, &text);
    node_write_json(node_get(document_root(document), "pipeline"), &json);
    error = buffer_ok(&text);
    if (error == TROUPE_OK)
        error = pipeline_parse(env, account, buffer_string(&text), text.length, directory,
                               node_string(node_get(document_root(document), "directory")), sets, set_count,
                               ret_pipeline, fault);
    else
        fault_set(fault, error, directory, "out of memory reading the definition");
    document_free(document);
    buffer_free(&text);
    return error;
}
