/* The database of one run, as the rest of the floor sees it: rows in, rows out, SQLite's name never spoken.
 *
 * Invariants: a row is visible to readers once store_database_commit returned OK, and then survives a power
 * cut; one run holds at most one configuration and one tell of a trial, one end of (trial, stage, attempt),
 * one acceptance and one end of a task, one creation and one summary: the schema refuses a second one.
 * Threads: a database is used by one thread at a time; several databases may be open on the same file.
 * Memory:  SQLite allocates through base's library allocator, so a failing allocation reaches it too.
 * Failure: faults name the file. DISK_FULL, LOCKED (busy), CORRUPT, NEWER, NOMEM, IO told apart. */
#ifndef STORE_PORT_SQLITE_H
#define STORE_PORT_SQLITE_H

#include "store/store.h"

struct store_database;

enum store_access {
    STORE_ACCESS_CREATE, /* write; made when absent */
    STORE_ACCESS_WRITE,
    STORE_ACCESS_READ,
    STORE_ACCESS_STILL,  /* read a file that nobody writes: no lock, no file beside it, no right to write */
    STORE_ACCESS_MEMORY, /* write, in memory only */
};
/* CREATE and WRITE run recovery and quick_check. NOT_FOUND: no file, or one whose creation never committed.
 */
MUST_CHECK enum troupe_error store_database_open(struct env *env, struct account *account, const char *path,
                                                 enum store_access access,
                                                 struct store_database **ret_database, struct fault *fault);
/* abandon: write nothing more, not even a checkpoint (after a failed sync the cache cannot be trusted). */
void store_database_close(struct store_database *database, bool abandon);

MUST_CHECK enum troupe_error store_database_begin(struct store_database *database, struct fault *fault);
/* EXISTS: the schema refused this row alone; the transaction goes on. Anything else: roll back. */
MUST_CHECK enum troupe_error store_database_insert(struct store_database *database,
                                                   const struct store_row *row, const char *name,
                                                   const char *text, struct fault *fault);
MUST_CHECK enum troupe_error store_database_commit(struct store_database *database, struct fault *fault);
void store_database_rollback(struct store_database *database);

MUST_CHECK enum troupe_error store_database_read(struct store_database *database, enum store_row_kind kind,
                                                 store_row_fn fn, void *context, struct fault *fault);
MUST_CHECK enum troupe_error store_database_find(struct store_database *database, const char *key,
                                                 store_row_fn fn, void *context, struct fault *fault);
/* quick: without comparing indexes with their table. */
MUST_CHECK enum troupe_error store_database_check(struct store_database *database, bool quick,
                                                  struct fault *fault);

#endif
