/* artifact_files: which files are in runs/ID/artifacts/, and who still needs them. The same bytes are one file, named
 * by their hash, however many results have them; it is garbage once no result has it any more.
 *
 * Invariants: bytes = the sum over the files that some result has. A file is removed only while no job is taking
 *             one over (it could be the same bytes again), and none is taken over while one is removed.
 * Threads:    the engine's turns, and start-up.
 * Memory:     one block a file, from the run's account; a result that is freed gives its hold back, so files live
 *             until the last result is gone. */
#include "pipeline/run_internal.h"

#include <stdio.h>
#include <string.h>

enum troupe_error artifact_files_init(struct artifact_files *files, struct account *account,
                                      uint64_t bytes_max) {
    *files = (struct artifact_files){.account = account, .bytes_max = bytes_max};
    return map_create(account, &files->by_hash);
}

static void file_free(struct artifact_files *files, struct artifact_file *file) {
    map_remove(files->by_hash, file->hash, strlen(file->hash));
    memory_free(files->account, file);
}

void artifact_files_free(struct artifact_files *files) {
    if (files->by_hash == NULL)
        return;
    for (struct artifact_file *file; (file = artifact_files_garbage(files)) != NULL;)
        artifact_file_forget(files, file);
    CHECK(map_count(files->by_hash) == 0); /* results are freed before */
    map_free(files->by_hash);
    files->by_hash = NULL;
}

static void garbage_unlink(struct artifact_files *files, struct artifact_file *file) {
    struct artifact_file **link = &files->garbage;
    while (*link != file)
        link = &(*link)->next_garbage;
    *link = file->next_garbage;
    file->next_garbage = NULL;
}

enum troupe_error artifact_files_hold(struct artifact_files *files, struct stage_result *result) {
    CHECK(result->file == NULL);
    if (result->artifact[0] == '\0')
        return TROUPE_OK;
    struct artifact_file *file = map_get(files->by_hash, result->artifact, strlen(result->artifact));
    if (file == NULL) {
        file = memory_alloc(files->account, sizeof *file);
        if (file == NULL)
            return TROUPE_NOMEM;
        snprintf(file->hash, sizeof file->hash, "%s", result->artifact);
        file->of = files;
        file->bytes = result->artifact_bytes;
        if (map_put(files->by_hash, file->hash, strlen(file->hash), file) != TROUPE_OK) {
            memory_free(files->account, file);
            return TROUPE_NOMEM;
        }
        files->bytes += file->bytes;
    } else if (file->references == 0) {
        garbage_unlink(files, file);
        files->bytes += file->bytes;
    }
    file->references++;
    result->file = file;
    return TROUPE_OK;
}

void artifact_file_drop(struct artifact_file *file) {
    if (file == NULL || --file->references > 0)
        return;
    file->of->bytes -= file->bytes;
    file->next_garbage = file->of->garbage;
    file->of->garbage = file;
}

struct artifact_file *artifact_files_garbage(struct artifact_files *files) {
    return files->garbage;
}

void artifact_file_forget(struct artifact_files *files, struct artifact_file *file) {
    garbage_unlink(files, file);
    file_free(files, file);
}

/* ---- what an earlier process left ---- */
static bool on_name(void *context, const char *name) {
    struct run *run = context;
    char path[1400];
    if (map_get(run->files.by_hash, name, strlen(name)) != NULL)
        return true;
    snprintf(path, sizeof path, "%s/%s", run->artifacts, name);
    IGNORE(env_remove(run->env, path), "it costs space, not correctness");
    return true;
}

void artifact_files_sweep(struct run *run) {
    IGNORE(env_list(run->env, run->artifacts, on_name, run), "what stays costs space, not correctness");
}
