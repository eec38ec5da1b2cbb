/* The database of one run on SQLite: opening, schema, writing in transactions, reading by kind.
 *
 * Invariants: one table of rows; partial unique indexes make a second configuration, tell, stage end, task
 * end or creation impossible. Kinds are stored as numbers: enum store_row_kind may only grow at its end; an
 * older program does not see rows of newer kinds. WAL and synchronous=FULL: a commit that returned OK was
 * synced. Nothing changes a file whose schema is newer.
 * Threads: one connection, used by one thread at a time (NOMUTEX).
 * Memory:  a database is two blocks of the account; the rest is SQLite's (see store_library_start). */
#include "store/port_sqlite.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/port_sqlite_vfs.h"

#define SCHEMA_VERSION 1
#define APPLICATION_ID 0x54525550 /* "TRUP" */
/* Other programs (a shell, a backup) hold the write lock for moments only. */
#define BUSY_TIMEOUT_MS 10000
#define SQL_BYTES_MAX 4096

enum statement { STATEMENT_BEGIN, STATEMENT_COMMIT, STATEMENT_INSERT, STATEMENT_REPLACE, STATEMENT_COUNT };

struct store_database {
    struct env *env;
    struct account *account;
    char *path;
    enum store_access access;
    struct store_vfs *vfs; /* simulation only */
    sqlite3 *sqlite;
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* writers only */
};

#define ROW_COLUMNS "kind,trial,stage,attempt,a,b,value,utc_ns,name,text"
static const char *const statement_texts[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_INSERT] = "INSERT INTO record(" ROW_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    [STATEMENT_REPLACE] =
        "INSERT OR REPLACE INTO record(" ROW_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
};

/* ---- faults ---- */

static enum troupe_error database_error(int status, int system_error) {
    switch (status & 0xff) {
    case SQLITE_OK:
        return TROUPE_OK;
    case SQLITE_NOMEM:
        return TROUPE_NOMEM;
    case SQLITE_FULL:
        return TROUPE_DISK_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return TROUPE_LOCKED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TROUPE_CORRUPT;
    case SQLITE_CONSTRAINT:
        return TROUPE_EXISTS;
    case SQLITE_TOOBIG:
        return TROUPE_LIMIT;
    case SQLITE_IOERR:
        if (status == SQLITE_IOERR_NOMEM)
            return TROUPE_NOMEM;
        if (system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG)
            return TROUPE_DISK_FULL;
        return TROUPE_IO;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return TROUPE_IO;
    default:
        return TROUPE_INTERNAL;
    }
}

/* `doing` completes "while ...". */
static enum troupe_error database_fault(const struct store_database *database, int status, const char *doing,
                                        struct fault *fault) {
    sqlite3 *sqlite = database->sqlite; /* NULL when there was no memory for one */
    int system_error = sqlite != NULL ? sqlite3_system_errno(sqlite) : 0;
    /* SQLite keeps the reason of a failed write, but not when it was COMMIT that wrote (3.40); the calls below
     * cleared errno before. */
    if (system_error == 0 && (status & 0xff) == SQLITE_IOERR)
        system_error = errno;
    enum troupe_error error = database_error(status, system_error);
    const char *message = sqlite != NULL ? sqlite3_errmsg(sqlite) : sqlite3_errstr(status);
    char system_text[128] = "";
    const char *reason = system_error != 0 ? strerror_r(system_error, system_text, sizeof system_text) : "";
    switch (error) {
    case TROUPE_DISK_FULL:
        return fault_set(
            fault, error, database->path,
            "no space left while %s: free space on the file system that holds this file, then resume", doing);
    case TROUPE_LOCKED:
        return fault_set(fault, error, database->path,
                         "another program kept the database locked for %d s while %s: close it and try again",
                         BUSY_TIMEOUT_MS / 1000, doing);
    case TROUPE_CORRUPT:
        return fault_set(fault, error, database->path,
                         "the file is damaged (%s, found while %s): restore it from a copy", message, doing);
    default:
        return fault_set(fault, error, database->path, "%s while %s%s%s", message, doing,
                         *reason != '\0' ? ": " : "", reason);
    }
}

/* ---- small statements ---- */

static enum troupe_error database_execute(struct store_database *database, const char *sql, const char *doing,
                                          struct fault *fault) {
    errno = 0;
    int status = sqlite3_exec(database->sqlite, sql, NULL, NULL, NULL);
    return status == SQLITE_OK ? TROUPE_OK : database_fault(database, status, doing, fault);
}

/* The first column of the first row, as text cut to `size`; no row: "". The statement runs to its end: what it does may
 * be committed only there, and fail. */
static enum troupe_error database_ask(struct store_database *database, const char *sql, char *ret_text,
                                      size_t size, struct fault *fault) {
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL);
    if (status == SQLITE_OK)
        status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL && sqlite3_column_type(statement, 0) != SQLITE_NULL)
            status = SQLITE_NOMEM;
        else
            snprintf(ret_text, size, "%s", text != NULL ? text : "");
        while (status == SQLITE_ROW)
            status = sqlite3_step(statement);
    } else if (status == SQLITE_DONE) {
        *ret_text = '\0';
    }
    enum troupe_error error = TROUPE_OK;
    if (status != SQLITE_DONE)
        error = database_fault(database, status, sql, fault);
    sqlite3_finalize(statement);
    return error;
}

static enum troupe_error database_ask_number(struct store_database *database, const char *sql,
                                             long long *ret_number, struct fault *fault) {
    char text[64];
    enum troupe_error error = database_ask(database, sql, text, sizeof text, fault);
    if (error == TROUPE_OK)
        *ret_number = strtoll(text, NULL, 10);
    return error;
}

/* ---- schema ---- */

/* The lists of kinds below must be repeated word for word in a query that is to use the index. */
#define KINDS_FEW "kind IN (%d,%d)"

static enum troupe_error schema_create(struct store_database *database, struct fault *fault) {
    char sql[SQL_BYTES_MAX];
    int length = snprintf(
        sql, sizeof sql,
        "BEGIN IMMEDIATE;"
        "CREATE TABLE record("
        "id INTEGER PRIMARY KEY," /* commit order */
        "kind INTEGER NOT NULL,trial INTEGER NOT NULL,stage INTEGER NOT NULL,attempt INTEGER NOT NULL,"
        "a INTEGER NOT NULL,b INTEGER NOT NULL,value REAL," /* NULL: not a number */
        "utc_ns INTEGER NOT NULL,name TEXT NOT NULL,text TEXT NOT NULL) STRICT;"
        "CREATE UNIQUE INDEX once_a_run ON record(kind) WHERE kind IN (%d,%d);"
        "CREATE UNIQUE INDEX once_a_trial ON record(kind,trial) WHERE kind IN (%d,%d);"
        "CREATE UNIQUE INDEX once_an_attempt ON record(trial,stage,attempt) WHERE kind=%d;"
        "CREATE UNIQUE INDEX once_a_task ON record(kind,a) WHERE kind IN (%d,%d);"
        "CREATE INDEX reuse_key ON record(name) WHERE kind=%d AND name<>'';"
        "CREATE INDEX few ON record(kind) WHERE " KINDS_FEW ";"
        "CREATE INDEX agent_starts ON record(kind) WHERE kind=%d;" /* older files have neither it nor such rows */
        "CREATE UNIQUE INDEX once_a_namespace ON record(name) WHERE kind=%d;" /* nor this */
        "PRAGMA application_id=%d;"
        "PRAGMA user_version=%d;"
        "COMMIT",
        STORE_RUN_CREATED, STORE_SUMMARY, STORE_TRIAL_ASKED, STORE_TRIAL_TOLD, STORE_STAGE_ENDED,
        STORE_TASK_ACCEPTED, STORE_TASK_ENDED, STORE_STAGE_ENDED, STORE_RUN_STATE, STORE_EVENT,
        STORE_AGENT_STARTED, STORE_REGISTRY, APPLICATION_ID, SCHEMA_VERSION);
    CHECK(length > 0 && (size_t)length < sizeof sql);
    return database_execute(database, sql, "making the tables", fault);
}

/* Says whether the file holds our tables: it may be new, or its creation may never have been committed. */
static enum troupe_error schema_check(struct store_database *database, bool *ret_present,
                                      struct fault *fault) {
    long long version = 0, application = 0, objects = 0;
    enum troupe_error error = database_ask_number(database, "PRAGMA user_version", &version, fault);
    if (error == TROUPE_OK)
        error = database_ask_number(database, "PRAGMA application_id", &application, fault);
    if (error == TROUPE_OK)
        error = database_ask_number(database, "SELECT count(*) FROM sqlite_schema", &objects, fault);
    if (error != TROUPE_OK)
        return error;
    if (application == 0 && version == 0 && objects == 0) {
        *ret_present = false;
        return TROUPE_OK;
    }
    if (application != APPLICATION_ID)
        return fault_set(fault, TROUPE_CORRUPT, database->path,
                         "this is not a run's database (application id %lld, expected %d)", application,
                         APPLICATION_ID);
    if (version > SCHEMA_VERSION)
        return fault_set(fault, TROUPE_NEWER, database->path,
                         "its schema is version %lld and this program reads up to %d: use the newer program",
                         version, SCHEMA_VERSION);
    if (version < 1)
        return fault_set(fault, TROUPE_CORRUPT, database->path, "schema version %lld does not exist",
                         version);
    *ret_present = true;
    return TROUPE_OK;
}

/* ---- opening and closing ---- */

static enum troupe_error writer_prepare(struct store_database *database, struct fault *fault) {
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        int status = sqlite3_prepare_v3(database->sqlite, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                        &database->statements[i], NULL);
        if (status != SQLITE_OK)
            return database_fault(database, status, "preparing a statement", fault);
    }
    return TROUPE_OK;
}

static enum troupe_error writer_use_wal(struct store_database *database, struct fault *fault) {
    char mode[32];
    enum troupe_error error = database_ask(database, "PRAGMA journal_mode=WAL", mode, sizeof mode, fault);
    if (error != TROUPE_OK)
        return error;
    if (strcmp(mode, "wal") != 0)
        return fault_set(
            fault, TROUPE_IO, database->path,
            "a write-ahead log is not possible here (journal mode stays %s): use a local file system", mode);
    return database_execute(database, "PRAGMA synchronous=FULL", "asking for full durability", fault);
}

static enum troupe_error writer_open(struct store_database *database, struct fault *fault) {
    bool present = false;
    enum troupe_error error = schema_check(database, &present, fault);
    if (error == TROUPE_OK && !present && database->access == STORE_ACCESS_WRITE)
        error = fault_set(fault, TROUPE_NOT_FOUND, database->path, "nothing was ever committed to this run");
    if (error == TROUPE_OK && database->access != STORE_ACCESS_MEMORY)
        error = writer_use_wal(database, fault);
    if (error == TROUPE_OK)
        error = present ? store_database_check(database, true, fault) : schema_create(database, fault);
    if (error == TROUPE_OK)
        error = writer_prepare(database, fault);
    return error;
}

static enum troupe_error reader_open(struct store_database *database, struct fault *fault) {
    bool present = false;
    /* A reader must not checkpoint on close: in the simulation its locks hold nobody off. */
    sqlite3_db_config(database->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum troupe_error error = schema_check(database, &present, fault);
    /* A rollback journal is only there while the file is being made: rows go through the write-ahead log. */
    bool unmade =
        error != TROUPE_OK && sqlite3_extended_errcode(database->sqlite) == SQLITE_READONLY_ROLLBACK;
    if (unmade || (error == TROUPE_OK && !present))
        error = fault_set(fault, TROUPE_NOT_FOUND, database->path, "nothing was ever committed to this run");
    return error;
}

/* "file:/runs/a%3fb/store.db?immutable=1": SQLite then neither locks nor makes a shared-memory file. */
static const char *still_name(const char *path, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "file:");
    for (; *path != '\0' && used + 20 < size; path++)
        used += (size_t)snprintf(out + used, size - used, strchr("%?#", *path) != NULL ? "%%%02x" : "%c",
                                 (unsigned char)*path);
    snprintf(out + used, size - used, "?immutable=1");
    return out;
}

static enum troupe_error connection_open(struct store_database *database, struct fault *fault) {
    static const int flags[] = {
        [STORE_ACCESS_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        [STORE_ACCESS_WRITE] = SQLITE_OPEN_READWRITE,
        [STORE_ACCESS_READ] = SQLITE_OPEN_READONLY,
        [STORE_ACCESS_STILL] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
        [STORE_ACCESS_MEMORY] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    };
    char still[3 * 1024 + 64];
    const char *name = database->access == STORE_ACCESS_MEMORY ? ":memory:"
                       : database->access == STORE_ACCESS_STILL
                           ? still_name(database->path, still, sizeof still)
                           : database->path;
    int status = sqlite3_open_v2(name, &database->sqlite, flags[database->access] | SQLITE_OPEN_NOMUTEX,
                                 database->vfs != NULL ? store_vfs_name(database->vfs) : NULL);
    if (status != SQLITE_OK)
        return database_fault(database, status, "opening it", fault);
    sqlite3_extended_result_codes(database->sqlite, 1);
    sqlite3_busy_timeout(database->sqlite, BUSY_TIMEOUT_MS);
    enum troupe_error error =
        database_execute(database,
                         database->vfs != NULL ? "PRAGMA locking_mode=EXCLUSIVE;PRAGMA temp_store=MEMORY;"
                                                 "PRAGMA trusted_schema=OFF"
                                               : "PRAGMA temp_store=MEMORY;PRAGMA trusted_schema=OFF",
                         "opening it", fault);
    if (error != TROUPE_OK)
        return error;
    bool reads = database->access == STORE_ACCESS_READ || database->access == STORE_ACCESS_STILL;
    return reads ? reader_open(database, fault) : writer_open(database, fault);
}

static void connection_close(struct store_database *database) {
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(database->statements[i]);
        database->statements[i] = NULL;
    }
    int status = sqlite3_close(database->sqlite);
    CHECK(status == SQLITE_OK); /* else a statement was left behind */
    database->sqlite = NULL;
}

enum troupe_error store_database_open(struct env *env, struct account *account, const char *path,
                                      enum store_access access, struct store_database **ret_database,
                                      struct fault *fault) {
    enum troupe_error error = store_library_start(fault);
    if (error != TROUPE_OK)
        return error;
    if (access == STORE_ACCESS_WRITE || access == STORE_ACCESS_READ || access == STORE_ACCESS_STILL) {
        struct env_info info = {0};
        error = env_info(env, path, &info);
        if (error != TROUPE_OK)
            return fault_set(fault, error, path, "%s", error_text(error));
        if (!info.exists)
            return fault_set(fault, TROUPE_NOT_FOUND, path, "there is no such run");
    }
    struct store_database *database = memory_alloc(account, sizeof *database);
    if (database == NULL)
        return fault_set(fault, TROUPE_NOMEM, path, "%s", error_text(TROUPE_NOMEM));
    database->env = env;
    database->account = account;
    database->access = access;
    database->path = memory_text(account, path);
    error = database->path == NULL ? TROUPE_NOMEM : TROUPE_OK;
    if (error == TROUPE_OK && env_is_sim(env) && access != STORE_ACCESS_MEMORY)
        error = store_vfs_register(env, account, &database->vfs);
    if (error != TROUPE_OK)
        fault_set(fault, error, path, "%s", error_text(error));
    else
        error = connection_open(database, fault);
    if (error != TROUPE_OK) {
        store_database_close(database, true);
        return error;
    }
    *ret_database = database;
    return TROUPE_OK;
}

void store_database_close(struct store_database *database, bool abandon) {
    if (database == NULL)
        return;
    if (abandon && database->sqlite != NULL)
        sqlite3_db_config(database->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    connection_close(database);
    store_vfs_unregister(database->vfs);
    memory_free(database->account, database->path);
    memory_free(database->account, database);
}

/* ---- writing ---- */

static enum troupe_error database_step(struct store_database *database, enum statement which,
                                       const char *doing, struct fault *fault) {
    sqlite3_stmt *statement = database->statements[which];
    errno = 0;
    int status = sqlite3_step(statement);
    enum troupe_error error =
        status == SQLITE_DONE ? TROUPE_OK : database_fault(database, status, doing, fault);
    sqlite3_reset(statement);
    return error;
}

enum troupe_error store_database_begin(struct store_database *database, struct fault *fault) {
    if (PLANT(ACK_BEFORE_COMMIT) && !sqlite3_get_autocommit(database->sqlite)) {
        enum troupe_error error = database_step(database, STATEMENT_COMMIT, "committing", fault);
        if (error != TROUPE_OK)
            return error;
    }
    return database_step(database, STATEMENT_BEGIN, "starting a transaction", fault);
}

enum troupe_error store_database_insert(struct store_database *database, const struct store_row *row,
                                        const char *name, const char *text, struct fault *fault) {
    /* A resumed run ends a second time: its last summary is the one that counts. So is a registry's last word. */
    bool last_counts = row->kind == STORE_SUMMARY || row->kind == STORE_REGISTRY;
    enum statement which = last_counts ? STATEMENT_REPLACE : STATEMENT_INSERT;
    sqlite3_stmt *statement = database->statements[which];
    int status = SQLITE_OK;
    status |= sqlite3_bind_int(statement, 1, (int)row->kind);
    status |= sqlite3_bind_int64(statement, 2, row->trial);
    status |= sqlite3_bind_int(statement, 3, row->stage);
    status |= sqlite3_bind_int(statement, 4, row->attempt);
    status |= sqlite3_bind_int64(statement, 5, row->a);
    status |= sqlite3_bind_int64(statement, 6, row->b);
    status |= sqlite3_bind_double(statement, 7, row->real); /* NaN is stored as NULL */
    status |= sqlite3_bind_int64(statement, 8, row->utc_ns);
    status |= sqlite3_bind_text(statement, 9, name, (int)row->name_length, SQLITE_STATIC);
    status |= sqlite3_bind_text(statement, 10, text, (int)row->text_length, SQLITE_STATIC);
    CHECK(status == SQLITE_OK); /* static texts within their bound: nothing to allocate, nothing to refuse */
    enum troupe_error error = database_step(database, which, "writing a row", fault);
    if (error == TROUPE_EXISTS)
        fault_set(fault, error, database->path,
                  "a row of kind %d is there already: trial %u, stage %u, attempt %u, number %lld",
                  (int)row->kind, row->trial, row->stage, row->attempt, (long long)row->a);
    return error;
}

enum troupe_error store_database_commit(struct store_database *database, struct fault *fault) {
    if (PLANT(ACK_BEFORE_COMMIT))
        return TROUPE_OK; /* with the next group */
    return database_step(database, STATEMENT_COMMIT, "committing", fault);
}

void store_database_rollback(struct store_database *database) {
    /* SQLite may have rolled back by itself; whatever this says, the transaction is over. */
    if (sqlite3_get_autocommit(database->sqlite) == 0)
        sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- reading ---- */

/* An exclusive-mode connection would keep the view it was opened with; locks in the simulation hold nobody
 * off. So each read there looks anew; it ends within one event, while the writer stands still. */
static enum troupe_error reader_refresh(struct store_database *database, struct fault *fault) {
    if (database->access != STORE_ACCESS_READ || database->vfs == NULL)
        return TROUPE_OK;
    connection_close(database);
    return connection_open(database, fault);
}

static enum troupe_error column_text(const struct store_database *database, sqlite3_stmt *statement,
                                     int column, const char **ret_text, uint32_t *ret_length,
                                     struct fault *fault) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text == NULL)
        return database_fault(database, SQLITE_NOMEM, "reading a row", fault); /* the columns are NOT NULL */
    *ret_text = text;
    *ret_length = (uint32_t)sqlite3_column_bytes(statement, column);
    return TROUPE_OK;
}

static enum troupe_error row_from(const struct store_database *database, sqlite3_stmt *statement,
                                  struct store_row *ret_row, const char *ret_texts[2], struct fault *fault) {
    sqlite3_int64 kind = sqlite3_column_int64(statement, 0), trial = sqlite3_column_int64(statement, 1);
    sqlite3_int64 stage = sqlite3_column_int64(statement, 2), attempt = sqlite3_column_int64(statement, 3);
    if (kind < 0 || kind >= STORE_ROW_KINDS || trial < 0 || trial > UINT32_MAX || stage < 0 ||
        stage > UINT16_MAX || attempt < 0 || attempt > UINT16_MAX)
        return fault_set(fault, TROUPE_CORRUPT, database->path,
                         "a row has impossible numbers (kind %lld, trial %lld, stage %lld, attempt %lld)",
                         kind, trial, stage, attempt);
    struct store_row row = {
        .kind = (enum store_row_kind)kind,
        .trial = (uint32_t)trial,
        .stage = (uint16_t)stage,
        .attempt = (uint16_t)attempt,
        .a = sqlite3_column_int64(statement, 4),
        .b = sqlite3_column_int64(statement, 5),
        .real = sqlite3_column_type(statement, 6) == SQLITE_NULL ? NAN : sqlite3_column_double(statement, 6),
        .utc_ns = sqlite3_column_int64(statement, 7),
    };
    enum troupe_error error = column_text(database, statement, 8, &ret_texts[0], &row.name_length, fault);
    if (error == TROUPE_OK)
        error = column_text(database, statement, 9, &ret_texts[1], &row.text_length, fault);
    if (error == TROUPE_OK)
        *ret_row = row;
    return error;
}

/* `key` is bound to ?1 when the query has one. */
static enum troupe_error database_rows(struct store_database *database, const char *sql, const char *key,
                                       store_row_fn fn, void *context, struct fault *fault) {
    sqlite3_stmt *statement = NULL;
    uint64_t count = 0;
    enum troupe_error error = TROUPE_OK;
    int status = sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL);
    if (status == SQLITE_OK && key != NULL)
        status = sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    while (status == SQLITE_OK || status == SQLITE_ROW) {
        status = sqlite3_step(statement);
        if (status != SQLITE_ROW)
            break;
        struct store_row row;
        const char *texts[2] = {"", ""};
        error = row_from(database, statement, &row, texts, fault);
        count++;
        if (error != TROUPE_OK || !fn(context, &row, texts[0], texts[1]))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        error = database_fault(database, status, "reading rows", fault);
    sqlite3_finalize(statement);
    if (error == TROUPE_OK && key != NULL && count == 0)
        return TROUPE_NOT_FOUND; /* an answer, not a fault */
    return error;
}

enum troupe_error store_database_read(struct store_database *database, enum store_row_kind kind,
                                      store_row_fn fn, void *context, struct fault *fault) {
    CHECK(kind < STORE_ROW_KINDS);
    enum troupe_error error = reader_refresh(database, fault);
    if (error != TROUPE_OK)
        return error;
    /* Kinds of which a run holds few among many rows have an index; the others are most of the table anyway.
     */
    char few[64] = "";
    if (kind == STORE_RUN_STATE || kind == STORE_EVENT)
        snprintf(few, sizeof few, KINDS_FEW " AND ", STORE_RUN_STATE, STORE_EVENT);
    else if (kind == STORE_RUN_CREATED || kind == STORE_SUMMARY)
        snprintf(few, sizeof few, KINDS_FEW " AND ", STORE_RUN_CREATED, STORE_SUMMARY);
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT " ROW_COLUMNS " FROM record WHERE %skind=%d ORDER BY id", few,
             (int)kind);
    return database_rows(database, sql, NULL, fn, context, fault);
}

enum troupe_error store_database_find(struct store_database *database, const char *key, store_row_fn fn,
                                      void *context, struct fault *fault) {
    enum troupe_error error = reader_refresh(database, fault);
    if (error != TROUPE_OK)
        return error;
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT " ROW_COLUMNS " FROM record WHERE kind=%d AND name<>'' AND name=?1 ORDER BY id",
             STORE_STAGE_ENDED);
    return database_rows(database, sql, key, fn, context, fault);
}

enum troupe_error store_database_check(struct store_database *database, bool quick, struct fault *fault) {
    enum troupe_error error = reader_refresh(database, fault);
    if (error != TROUPE_OK)
        return error;
    char finding[256];
    error = database_ask(database, quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", finding,
                         sizeof finding, fault);
    if (error != TROUPE_OK)
        return error;
    if (strcmp(finding, "ok") != 0)
        return fault_set(fault, TROUPE_CORRUPT, database->path,
                         "the file is damaged (%s): restore it from a copy", finding);
    return TROUPE_OK;
}
