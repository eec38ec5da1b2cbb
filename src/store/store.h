/* store: one SQLite database per run: what must survive a crash, committed before it is acknowledged.
 *
 * Threads: one store actor; SQLite is called only by jobs on the store lane (and by store_open, readers,
 *          before or beside the runtime). Writes are gathered while a commit is under way: a group closes at
 *          group_rows (128) or when the lane is free. WAL, synchronous=FULL.
 * Failure: a failed commit, fsync or full disk fails every write of the group and all later ones (the store
 *          is then `broken`; intake stops, the run ends resumable). LOCKED: another process runs this run.
 *          NEWER: the schema is newer than this program. CORRUPT: integrity check failed.
 * Sim:     the real SQLite on a VFS over env_file (exclusive locking, memory disk). */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "task/task.h"

struct store;

enum store_row_kind {
    STORE_RUN_CREATED,   /* text: JSON {source, directory, pipeline, version, cores, workers}; name: run name;
                            a: seed; b: data hash */
    STORE_RUN_STATE,     /* a: enum run_state; real: running time so far (s); text: JSON detail or empty */
    STORE_TRIAL_ASKED,   /* trial; text: configuration JSON; a: order */
    STORE_STAGE_ENDED,   /* trial, stage, attempt; a: enum task_state; text: JSON {value, metrics, artifact,
                            cpu_us, core_wait_us, times...}; name: reuse key or "" */
    STORE_TRIAL_TOLD,    /* trial; a: trial state; real: objective; b: tell order; text: JSON {times, shares,
                            message} */
    STORE_EVENT,         /* text: one line worth knowing; trial when any */
    STORE_TASK_ACCEPTED, /* task from outside: a: task number; text: its JSON */
    STORE_TASK_ENDED,    /* a: task number; b: state; text: result */
    STORE_SUMMARY,       /* text: final response JSON */
    STORE_AGENT_STARTED, /* a child said hello: a: index among the run's instances; text: JSON {spawned_us,
                            ready_us, cpu_us} */
    STORE_PREDICTION,    /* of the store of predictions, not of a run's: see simulate/prediction_log.c */
    STORE_REGISTRY, /* of a store of its own: what a namespace of a registry says; name: the namespace; a second one
                            replaces the first. See registry_save */
    STORE_ROW_KINDS
};
struct store_row { /* inside a STORE_WRITE payload; text follows in the same block */
    enum store_row_kind kind;
    uint32_t trial;
    uint16_t stage, attempt;
    int64_t a, b;
    double real;
    int64_t utc_ns;
    uint32_t name_length, text_length;
};

struct store_options {
    unsigned group_rows; /* 0: 128 */
    bool create;         /* else NOT_FOUND when absent */
    bool memory;         /* no durability at all: for benches and --no-store */
    bool discard; /* no database: rows are acknowledged after commit_ns of virtual time and forgotten */
    uint64_t commit_ns;
};
/* Opens (and on create makes) `directory`/store.db and takes the run lock (`directory`/lock). Runs recovery
 * and `PRAGMA quick_check`. Before runtime_run, on the calling thread. */
MUST_CHECK enum troupe_error store_open(struct env *env, struct account *account, const char *directory,
                                        const struct store_options *options, struct store **ret_store,
                                        struct fault *fault);
/* Spawns the store actor. */
MUST_CHECK enum troupe_error store_start(struct store *store, struct runtime *runtime, struct fault *fault);
void store_close(struct store *store); /* after runtime_run; checkpoint, release the lock */
/* For a store without an actor: commits all rows, or none, on the calling thread. Lengths and a utc_ns of 0 are filled
 * in as by store_write. */
struct store_entry {
    struct store_row row;
    const char *name, *text; /* NULL: empty */
};
MUST_CHECK enum troupe_error store_append(struct store *store, const struct store_entry *entries,
                                          size_t count, struct fault *fault);

/* Queues a row; name and text end with NUL (NULL: empty) and are copied, at most 32 MiB each (LIMIT); their
 * lengths in `row` are filled in here, and utc_ns when it is 0. A row that would count something twice (a
 * second ASKED or TOLD of a trial, a second end of a (trial, stage, attempt), ...) is answered EXISTS, alone;
 * a second SUMMARY replaces the first, because a resumed run ends twice. `token` comes back in
 * STORE_COMMITTED {error} to the turn's actor once durable; notify false: no message. FULL when the bound of
 * queued rows (4,096) is reached: try again on the next STORE_COMMITTED. */
MUST_CHECK enum troupe_error store_write(struct store *store, struct turn *turn, const struct store_row *row,
                                         const char *name, const char *text, bool notify, uint64_t token);
struct message_store_committed {
    enum troupe_error error;
    uint64_t token;
    uint64_t queued_ns, committed_ns; /* when it was queued, when its group was durable */
    char text[256];                   /* detail when it failed */
};
struct store_statistics {
    uint64_t rows, groups, group_rows_max, commit_ns_total, failed;
};
void store_statistics(const struct store *store, struct store_statistics *ret);

/* ---- reading (any thread, own read-only connection; works beside a live writer) ---- */
struct store_reader;
MUST_CHECK enum troupe_error store_reader_open(struct env *env, struct account *account,
                                               const char *directory, struct store_reader **ret_reader,
                                               struct fault *fault);
void store_reader_close(struct store_reader *reader);
/* True while a process has the run's lock; any thread. A look takes nothing. */
bool store_in_use(struct env *env, const char *directory);
/* Rows of a kind in commit order; name and text are valid during the call; return false to stop. */
typedef bool (*store_row_fn)(void *context, const struct store_row *row, const char *name, const char *text);
MUST_CHECK enum troupe_error store_read(struct store_reader *reader, enum store_row_kind kind,
                                        store_row_fn fn, void *context, struct fault *fault);
MUST_CHECK enum troupe_error store_check(struct store_reader *reader,
                                         struct fault *fault); /* integrity_check */
/* Looks up a stage result by reuse key within this database; NOT_FOUND. Used by resume and reuse. */
MUST_CHECK enum troupe_error store_find_key(struct store_reader *reader, const char *key, store_row_fn fn,
                                            void *context, struct fault *fault);

#endif
