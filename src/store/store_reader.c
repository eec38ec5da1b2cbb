/* Reading a run's database: a connection of its own, read-only, beside a live writer or after a crashed one
 * (whose write-ahead log it recovers in memory). Returns what had been committed when the call began.
 * Threads: any one at a time.
 * Memory:  one block of the account besides the database. */
#include "store/store.h"

#include <stdio.h>

#include "store/port_sqlite.h"

#define PATH_BYTES_MAX 1024

struct store_reader {
    struct account *account;
    struct store_database *database;
};

bool store_in_use(struct env *env, const char *directory) {
    char path[PATH_BYTES_MAX + 16];
    struct env_info info = {0};
    struct env_file *file = NULL;
    snprintf(path, sizeof path, "%s/lock", directory);
    if (env_info(env, path, &info) != TROUPE_OK || !info.exists ||
        env_file_open(env, path, ENV_FILE_READ, &file, NULL) != TROUPE_OK)
        return false;
    bool held = env_file_locked(file);
    env_file_close(file);
    return held;
}

/* A run that ended has no log beside it, and then nobody writes until a resume, whose rows go to a log first. The
 * file is then read as it lies, which needs no right to write and leaves nothing beside it. */
static bool lies_still(struct env *env, const char *directory, const char *path) {
    char log[PATH_BYTES_MAX + 24];
    struct env_info info = {0};
    snprintf(log, sizeof log, "%s-wal", path);
    return !env_is_sim(env) && env_info(env, log, &info) == TROUPE_OK && (!info.exists || info.bytes == 0) &&
           !store_in_use(env, directory);
}

enum troupe_error store_reader_open(struct env *env, struct account *account, const char *directory,
                                    struct store_reader **ret_reader, struct fault *fault) {
    char absolute[PATH_BYTES_MAX], path[PATH_BYTES_MAX + 16];
    enum troupe_error error = env_absolute(env, directory, absolute, sizeof absolute);
    if (error != TROUPE_OK)
        return fault_set(fault, error, directory, "not a usable path: %s", error_text(error));
    snprintf(path, sizeof path, "%s/store.db", absolute);
    struct store_reader *reader = memory_alloc(account, sizeof *reader);
    if (reader == NULL)
        return fault_set(fault, TROUPE_NOMEM, path, "%s", error_text(TROUPE_NOMEM));
    reader->account = account;
    error = store_database_open(env, account, path,
                                lies_still(env, absolute, path) ? STORE_ACCESS_STILL : STORE_ACCESS_READ,
                                &reader->database, fault);
    if (error != TROUPE_OK) {
        memory_free(account, reader);
        return error;
    }
    *ret_reader = reader;
    return TROUPE_OK;
}

void store_reader_close(struct store_reader *reader) {
    if (reader == NULL)
        return;
    store_database_close(reader->database, false);
    memory_free(reader->account, reader);
}

enum troupe_error store_read(struct store_reader *reader, enum store_row_kind kind, store_row_fn fn,
                             void *context, struct fault *fault) {
    return store_database_read(reader->database, kind, fn, context, fault);
}

enum troupe_error store_check(struct store_reader *reader, struct fault *fault) {
    return store_database_check(reader->database, false, fault);
}

enum troupe_error store_find_key(struct store_reader *reader, const char *key, store_row_fn fn, void *context,
                                 struct fault *fault) {
    return store_database_find(reader->database, key, fn, context, fault);
}
