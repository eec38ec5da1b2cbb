/* The store actor: gathers rows while a commit is under way and commits them in groups on the store lane.
 *
 *   idle --row that somebody waits for, a full group, or COMPANY_NS after any other--> committing
 *                 committing --JOB_DONE, such rows are there--> committing
 *                 committing --JOB_DONE, else--> idle
 *                 committing --JOB_DONE, it failed--> broken: every row, now and later, is answered with the error
 *
 * Invariants: a row's message becomes its own answer once its group is durable, so an answer needs no memory;
 *             rows commit in the order in which they arrived; at most ROWS_QUEUED_MAX rows are between write
 *             and answer.
 * Threads: store_write in any turn; the ring is the actor's; the group is the lane's while `committing`, else
 *          the actor's (handed over by job_start and JOB_DONE). Readers have a connection each.
 * Memory:  the two arrays are allocated at open; rows are messages, charged to the actor that holds them. */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "store/port_sqlite.h"

#define ROWS_QUEUED_MAX 4096
#define GROUP_ROWS_DEFAULT 128
#define PATH_BYTES_MAX 1024
/* One text: a pipeline or a final response; far above any real one, far below SQLite's own limit. */
#define TEXT_BYTES_MAX (32u << 20)
#define LOG_BLOCK_BYTES (256u << 10)
/* Rows that nobody waits for (a stage that ended) are committed with the next that somebody does (its trial's result,
 * a moment later), so that this one need not wait for their commit: so long at most. */
#define COMPANY_NS 5000000u

struct store {
    struct env *env;
    struct account *account;
    struct env_file *lock;
    struct store_database *database;
    char directory[PATH_BYTES_MAX];
    unsigned group_rows_max;
    actor_ref actor; /* set by store_start, before any store_write */
    bool in_memory, discards;
    uint64_t sim_commit_ns;

    /* any thread; relaxed: it bounds, it orders nothing */
    _Atomic unsigned queued;
    /* relaxed: counters */
    _Atomic uint64_t rows, groups, group_rows_max_seen, commit_ns_total, failed;

    /* owner: the actor */
    struct message **ring; /* waiting rows, ROWS_QUEUED_MAX of them at most */
    unsigned ring_first, ring_count;
    unsigned awaited; /* of them: rows that somebody waits for */
    bool committing;
    bool timed; /* a timer runs for the others */
    bool ending;
    enum troupe_error broken; /* not OK: why nothing is written any more */
    char broken_text[256];

    /* owner: the lane while committing, else the actor */
    struct message **group;
    unsigned group_count;
    enum troupe_error group_error;
    struct fault group_fault;
    uint64_t committed_ns;
};

/* Payload of STORE_WRITE. The answer is first: the same block goes back as STORE_COMMITTED. */
struct store_write {
    struct message_store_committed answer;
    struct store_row row;
    bool notify;
    char text[]; /* name, NUL, text, NUL */
};
_Static_assert(offsetof(struct store_write, answer) == 0, "a row's message becomes its answer in place");

/* ---- opening ---- */

static enum troupe_error store_path(const char *directory, const char *name, char ret_path[PATH_BYTES_MAX],
                                    struct fault *fault) {
    int length = snprintf(ret_path, PATH_BYTES_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= PATH_BYTES_MAX)
        return fault_set(fault, TROUPE_LIMIT, directory, "the path is longer than %d bytes",
                         PATH_BYTES_MAX - 16);
    return TROUPE_OK;
}

static enum troupe_error directory_ready(struct store *store, bool create, struct fault *fault) {
    struct env_info info = {0};
    enum troupe_error error = env_info(store->env, store->directory, &info);
    if (error != TROUPE_OK)
        return fault_set(fault, error, store->directory, "%s", error_text(error));
    if (info.exists && !info.directory)
        return fault_set(fault, TROUPE_INVALID, store->directory, "this is a file; a run needs a directory");
    if (info.exists)
        return TROUPE_OK;
    if (!create)
        return fault_set(fault, TROUPE_NOT_FOUND, store->directory, "there is no such run");
    return env_make_directories(store->env, store->directory, fault);
}

/* One process per run. The pid in the file is for people, and for the message of the one that is refused. */
static enum troupe_error lock_take(struct store *store, struct fault *fault) {
    char path[PATH_BYTES_MAX];
    enum troupe_error error = store_path(store->directory, "lock", path, fault);
    if (error == TROUPE_OK)
        error = env_file_open(store->env, path, ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_CREATE,
                              &store->lock, fault);
    struct fault why = {0};
    if (error == TROUPE_OK && (error = env_file_lock(store->lock, &why)) != TROUPE_OK)
        return fault_set(fault, error, store->directory, "the run is %s", why.text);
    if (error != TROUPE_OK)
        return error;
    char pid[32];
    int length = snprintf(pid, sizeof pid, "%lld\n", (long long)env_pid(store->env));
    error = env_file_truncate(store->lock, 0);
    if (error == TROUPE_OK)
        error = env_file_write(store->lock, 0, pid, (size_t)length);
    if (error != TROUPE_OK)
        return fault_set(fault, error, path, "the lock file cannot be written: %s", error_text(error));
    return TROUPE_OK;
}

/* The names of the directory, and of what was made in it, must survive a power cut before anything is said
 * to. */
static enum troupe_error names_sync(struct store *store, struct fault *fault) {
    char parent[PATH_BYTES_MAX];
    snprintf(parent, sizeof parent, "%s", store->directory);
    char *slash = strrchr(parent, '/');
    enum troupe_error error = env_sync_directory(store->env, store->directory);
    if (error == TROUPE_OK && slash != NULL && slash != parent) {
        *slash = '\0';
        error = env_sync_directory(store->env, parent);
    }
    if (error != TROUPE_OK)
        return fault_set(fault, error, store->directory, "the directory cannot be made durable: %s",
                         error_text(error));
    return TROUPE_OK;
}

/* The log as this machine shows it, written over itself and synced. After an fsync that failed the kernel shows bytes
 * that the disk never got, as if they were clean: what a later life commits behind them would be lost with them at a
 * power cut, although its own syncs succeed. One that failed cannot be told from here, so it is always done; the log
 * is a few MiB. */
static enum troupe_error log_rewrite(struct store *store, struct fault *fault) {
    char path[PATH_BYTES_MAX];
    struct env_info info = {0};
    struct env_file *file = NULL;
    enum troupe_error error = store_path(store->directory, "store.db-wal", path, fault);
    if (error != TROUPE_OK)
        return error;
    error = env_info(store->env, path, &info);
    if (error == TROUPE_OK && info.bytes == 0)
        return TROUPE_OK;
    char *block = memory_alloc(store->account, LOG_BLOCK_BYTES);
    if (error == TROUPE_OK && block == NULL)
        error = TROUPE_NOMEM;
    if (error == TROUPE_OK)
        error = env_file_open(store->env, path, ENV_FILE_READ | ENV_FILE_WRITE, &file, NULL);
    uint64_t offset = 0;
    for (size_t got = LOG_BLOCK_BYTES; error == TROUPE_OK && got == LOG_BLOCK_BYTES; offset += got) {
        error = env_file_read(file, offset, block, LOG_BLOCK_BYTES, &got);
        if (error == TROUPE_OK && got > 0)
            error = env_file_write(file, offset, block, got);
    }
    if (error == TROUPE_OK)
        error = env_file_sync(file);
    if (file != NULL)
        env_file_close(file);
    memory_free(store->account, block);
    return error == TROUPE_OK
               ? error
               : fault_set(fault, error, path, "the log cannot be made durable: %s", error_text(error));
}

static enum troupe_error store_open_on_disk(struct store *store, const char *directory, bool create,
                                            struct fault *fault) {
    char path[PATH_BYTES_MAX];
    enum troupe_error error = env_absolute(store->env, directory, store->directory, sizeof store->directory);
    if (error != TROUPE_OK)
        return fault_set(fault, error, directory, "not a usable path: %s", error_text(error));
    error = store_path(store->directory, "store.db", path, fault);
    if (error == TROUPE_OK)
        error = directory_ready(store, create, fault);
    if (error == TROUPE_OK && !create) {
        struct env_info info = {0}; /* an absent run gets no lock file either */
        error = env_info(store->env, path, &info);
        if (error == TROUPE_OK && !info.exists)
            error = TROUPE_NOT_FOUND;
        if (error != TROUPE_OK)
            return fault_set(fault, error, path, "there is no such run");
    }
    if (error == TROUPE_OK)
        error = lock_take(store, fault);
    if (error == TROUPE_OK)
        error = PLANT(LOG_TRUSTED) ? TROUPE_OK : log_rewrite(store, fault);
    if (error == TROUPE_OK)
        error =
            store_database_open(store->env, store->account, path,
                                create ? STORE_ACCESS_CREATE : STORE_ACCESS_WRITE, &store->database, fault);
    if (error == TROUPE_OK && create)
        error = names_sync(store, fault);
    return error;
}

enum troupe_error store_open(struct env *env, struct account *account, const char *directory,
                             const struct store_options *options, struct store **ret_store,
                             struct fault *fault) {
    static const struct store_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    struct store *store = memory_alloc(account, sizeof *store);
    if (store == NULL)
        return fault_set(fault, TROUPE_NOMEM, directory, "%s", error_text(TROUPE_NOMEM));
    store->env = env;
    store->account = account;
    store->in_memory = options->memory;
    store->discards = options->discard;
    store->sim_commit_ns = options->commit_ns;
    store->group_rows_max = options->group_rows == 0 ? GROUP_ROWS_DEFAULT : options->group_rows;
    if (store->group_rows_max > ROWS_QUEUED_MAX)
        store->group_rows_max = ROWS_QUEUED_MAX;
    store->ring = memory_alloc(account, sizeof(struct message *) * ROWS_QUEUED_MAX);
    store->group = memory_alloc(account, sizeof(struct message *) * store->group_rows_max);
    enum troupe_error error;
    if (store->ring == NULL || store->group == NULL)
        error = fault_set(fault, TROUPE_NOMEM, directory, "%s", error_text(TROUPE_NOMEM));
    else if (options->discard)
        error = TROUPE_OK;
    else if (options->memory)
        error = store_database_open(env, account, "memory", STORE_ACCESS_MEMORY, &store->database, fault);
    else
        error = store_open_on_disk(store, directory, options->create, fault);
    if (error != TROUPE_OK) {
        store_close(store);
        return error;
    }
    *ret_store = store;
    return TROUPE_OK;
}

void store_close(struct store *store) {
    if (store == NULL)
        return;
    CHECK(!store->committing && store->ring_count == 0); /* the actor's state was destroyed before */
    store_database_close(store->database, store->broken != TROUPE_OK);
    if (store->lock != NULL)
        env_file_close(store->lock);
    memory_free(store->account, store->group);
    memory_free(store->account, store->ring);
    memory_free(store->account, store);
}

enum troupe_error store_append(struct store *store, const struct store_entry *entries, size_t count,
                               struct fault *fault) {
    CHECK(store->actor == 0 && !store->discards);
    enum troupe_error error = store_database_begin(store->database, fault);
    if (error != TROUPE_OK)
        return error;
    for (size_t i = 0; i < count && error == TROUPE_OK; i++) {
        const char *name = entries[i].name != NULL ? entries[i].name : "",
                   *text = entries[i].text != NULL ? entries[i].text : "";
        struct store_row row = entries[i].row;
        size_t name_length = strlen(name), text_length = strlen(text);
        CHECK(row.kind < STORE_ROW_KINDS);
        if (name_length > TEXT_BYTES_MAX || text_length > TEXT_BYTES_MAX) {
            error = fault_set(fault, TROUPE_LIMIT, store->directory, "a text of more than %u bytes",
                              TEXT_BYTES_MAX);
            break;
        }
        row.name_length = (uint32_t)name_length;
        row.text_length = (uint32_t)text_length;
        if (row.utc_ns == 0)
            row.utc_ns = env_utc(store->env);
        error = store_database_insert(store->database, &row, name, text, fault);
    }
    if (error == TROUPE_OK)
        error = store_database_commit(store->database, fault);
    if (error != TROUPE_OK)
        store_database_rollback(store->database);
    return error;
}

/* ---- writing: the caller's side ---- */

enum troupe_error store_write(struct store *store, struct turn *turn, const struct store_row *row,
                              const char *name, const char *text, bool notify, uint64_t token) {
    CHECK(row->kind < STORE_ROW_KINDS);
    size_t name_length = name != NULL ? strlen(name) : 0, text_length = text != NULL ? strlen(text) : 0;
    if (name_length > TEXT_BYTES_MAX || text_length > TEXT_BYTES_MAX)
        return TROUPE_LIMIT;
    /* Relaxed: the message carries the row; this only counts. */
    if (atomic_fetch_add_explicit(&store->queued, 1, memory_order_relaxed) >= ROWS_QUEUED_MAX) {
        atomic_fetch_sub_explicit(&store->queued, 1, memory_order_relaxed);
        return TROUPE_FULL;
    }
    struct message *message = message_new(turn->runtime, MESSAGE_STORE_WRITE,
                                          sizeof(struct store_write) + name_length + text_length + 2);
    enum troupe_error error = TROUPE_NOMEM;
    if (message != NULL) {
        struct store_write *write = MESSAGE_PAYLOAD(message, struct store_write);
        write->row = *row;
        write->row.name_length = (uint32_t)name_length;
        write->row.text_length = (uint32_t)text_length;
        if (write->row.utc_ns == 0)
            write->row.utc_ns = env_utc(store->env);
        write->notify = notify;
        write->answer.token = token;
        write->answer.queued_ns = turn->now_ns;
        memcpy(write->text, name != NULL ? name : "", name_length + 1);
        memcpy(write->text + name_length + 1, text != NULL ? text : "", text_length + 1);
        message->token = token;
        error = actor_send(turn->runtime, turn, store->actor, &message);
    }
    if (error != TROUPE_OK) {
        message_free(&message);
        atomic_fetch_sub_explicit(&store->queued, 1, memory_order_relaxed);
    }
    return error;
}

/* ---- committing: on the store lane ---- */

/* "PATH: what", cut to fit an answer: a long path loses its front, which says least. */
static void detail_format(char ret_text[256], const char *where, const char *text) {
    size_t length = strlen(where);
    const char *tail = length > 96 ? where + length - 96 : where;
    snprintf(ret_text, 256, "%s%.96s: %.150s", length > 96 ? "..." : "", tail, text);
}

static enum troupe_error group_write(struct store *store, struct fault *fault) {
    enum troupe_error error = store_database_begin(store->database, fault);
    if (error != TROUPE_OK)
        return error;
    for (unsigned i = 0; i < store->group_count; i++) {
        struct store_write *write = MESSAGE_PAYLOAD(store->group[i], struct store_write);
        struct fault refused = {0};
        error = store_database_insert(store->database, &write->row, write->text,
                                      write->text + write->row.name_length + 1, &refused);
        if (error == TROUPE_EXISTS) { /* this row's failure alone: it would have counted something twice */
            write->answer.error = error;
            detail_format(write->answer.text, refused.where, refused.text);
            continue;
        }
        if (error != TROUPE_OK) {
            if (fault != NULL)
                *fault = refused;
            break;
        }
    }
    if (error == TROUPE_OK || error == TROUPE_EXISTS)
        error = store_database_commit(store->database, fault);
    if (error != TROUPE_OK)
        store_database_rollback(store->database);
    return error;
}

static void group_commit(void *arg) {
    struct store *store = arg;
    uint64_t started_ns = env_now(store->env);
    store->group_error = store->discards ? TROUPE_OK : group_write(store, &store->group_fault);
    store->committed_ns = env_now(store->env);
    atomic_fetch_add_explicit(&store->commit_ns_total, store->committed_ns - started_ns,
                              memory_order_relaxed);
}

/* ---- the actor ---- */

static struct store_write *write_of(struct message *message) {
    return MESSAGE_PAYLOAD(message, struct store_write);
}

/* The row's block goes back to its sender as the answer, or to its pool. */
static void row_answer(struct store *store, struct turn *turn, struct message **row) {
    struct message *message = *row;
    *row = NULL;
    struct store_write *write = write_of(message);
    atomic_fetch_add_explicit(write->answer.error == TROUPE_OK ? &store->rows : &store->failed, 1,
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&store->queued, 1, memory_order_relaxed);
    if (write->notify && message->sender != 0) {
        message->kind = MESSAGE_STORE_COMMITTED;
        IGNORE(actor_send(turn->runtime, turn, message->sender, &message),
               "DEAD: nobody waits for it any more");
    }
    message_free(&message);
}

static void row_refuse(struct store *store, struct turn *turn, struct message **row) {
    struct store_write *write = write_of(*row);
    write->answer.error = store->broken;
    write->answer.committed_ns = turn->now_ns;
    snprintf(write->answer.text, sizeof write->answer.text, "%s", store->broken_text);
    row_answer(store, turn, row);
}

static struct message *ring_take(struct store *store) {
    struct message *message = store->ring[store->ring_first];
    store->ring[store->ring_first] = NULL;
    store->ring_first = (store->ring_first + 1) % ROWS_QUEUED_MAX;
    store->ring_count--;
    store->awaited -= write_of(message)->notify;
    return message;
}

static void store_break(struct store *store, struct turn *turn, enum troupe_error error,
                        const struct fault *fault) {
    store->broken = error;
    detail_format(store->broken_text, fault->where, fault->text);
    for (unsigned i = 0; i < store->group_count; i++)
        row_refuse(store, turn, &store->group[i]);
    store->group_count = 0;
    while (store->ring_count > 0) {
        struct message *message = ring_take(store);
        row_refuse(store, turn, &message);
    }
}

static void group_commit_start(struct store *store, struct turn *turn) {
    store->group_count = 0;
    while (store->group_count < store->group_rows_max && store->ring_count > 0)
        store->group[store->group_count++] = ring_take(store);
    struct job_spec job = {
        .lane = ENV_LANE_STORE, .fn = group_commit, .arg = store, .sim_blocked_ns = store->sim_commit_ns};
    enum troupe_error error = job_start(turn, &job);
    if (error == TROUPE_OK) {
        store->committing = true;
        trace_emit(runtime_tracer(turn->runtime), turn->worker, TRACE_COMMIT_STARTED, store->groups + 1,
                   store->group_count, 0);
        return;
    }
    struct fault fault;
    fault_set(&fault, error, store->directory, "no commit could be started: %s", error_text(error));
    store_break(store, turn, error, &fault);
}

/* True while the rows at hand may wait for company. */
static bool group_waits(struct store *store, struct turn *turn) {
    if (store->awaited > 0 || store->ending || store->ring_count >= store->group_rows_max)
        return false;
    uint64_t timer;
    if (!store->timed)
        store->timed = timer_start(turn, turn->now_ns + COMPANY_NS, 0, &timer) == TROUPE_OK;
    return store->timed;
}

static void group_start(struct store *store, struct turn *turn) {
    if (store->committing || store->ring_count == 0 || store->broken != TROUPE_OK || group_waits(store, turn))
        return;
    group_commit_start(store, turn);
}

static void group_done(struct store *store, struct turn *turn) {
    CHECK(store->committing);
    store->committing = false;
    atomic_fetch_add_explicit(&store->groups, 1, memory_order_relaxed);
    if (store->group_count > atomic_load_explicit(&store->group_rows_max_seen, memory_order_relaxed))
        atomic_store_explicit(&store->group_rows_max_seen, store->group_count, memory_order_relaxed);
    trace_emit(runtime_tracer(turn->runtime), turn->worker, TRACE_COMMIT_ENDED, store->groups,
               store->group_count, store->group_error);
    if (store->group_error != TROUPE_OK) {
        store_break(store, turn, store->group_error, &store->group_fault);
        return;
    }
    for (unsigned i = 0; i < store->group_count; i++) {
        write_of(store->group[i])->answer.committed_ns = store->committed_ns;
        row_answer(store, turn, &store->group[i]);
    }
    store->group_count = 0;
    group_start(store, turn);
}

static void store_handle(struct turn *turn, void *state, const struct message *message) {
    struct store *store = state;
    switch (message->kind) {
    case MESSAGE_STORE_WRITE: {
        struct message *row = turn_take(turn);
        if (store->broken != TROUPE_OK) {
            row_refuse(store, turn, &row);
            break;
        }
        CHECK(store->ring_count < ROWS_QUEUED_MAX); /* store_write counted it */
        store->ring[(store->ring_first + store->ring_count++) % ROWS_QUEUED_MAX] = row;
        store->awaited += write_of(row)->notify;
        trace_emit(runtime_tracer(turn->runtime), turn->worker, TRACE_COMMIT_QUEUED,
                   (uint64_t)write_of(row)->row.trial + 1, write_of(row)->row.kind, 0);
        group_start(store, turn);
        break;
    }
    case MESSAGE_JOB_DONE:
        group_done(store, turn);
        break;
    case MESSAGE_TIMER:
        store->timed = false;
        if (!store->committing && store->ring_count > 0 && store->broken == TROUPE_OK)
            group_commit_start(store, turn);
        break;
    case MESSAGE_EXIT:
        store->ending = true; /* what was accepted is committed first */
        group_start(store, turn);
        break;
    default:
        break;
    }
    if (store->ending && !store->committing && store->ring_count == 0)
        actor_exit(turn, TROUPE_OK);
}

/* Rows that nobody committed: their senders were not answered, and are gone too. The runtime has waited for
 * the lane. */
static void store_stopped(void *state) {
    struct store *store = state;
    for (unsigned i = 0; i < store->group_count; i++)
        message_free(&store->group[i]);
    store->group_count = 0;
    store->committing = false;
    while (store->ring_count > 0) {
        struct message *message = ring_take(store);
        message_free(&message);
    }
}

enum troupe_error store_start(struct store *store, struct runtime *runtime, struct fault *fault) {
    CHECK(store->actor == 0);
    struct actor_spec spec = {
        .name = "store",
        .handle = store_handle,
        .state = store,
        .destroy = store_stopped,
        .mailbox_len_max = ROWS_QUEUED_MAX,
        .mailbox_bytes_max =
            4ul * TEXT_BYTES_MAX, /* the largest row, and more: it must not be FULL for ever */
    };
    enum troupe_error error = actor_spawn(runtime, &spec, &store->actor);
    if (error != TROUPE_OK)
        return fault_set(fault, error, store->directory, "the store could not be started: %s",
                         error_text(error));
    return TROUPE_OK;
}

void store_statistics(const struct store *store, struct store_statistics *ret) {
    /* Relaxed: counters of a moment, each right by itself. */
    *ret = (struct store_statistics){
        .rows = atomic_load_explicit(&store->rows, memory_order_relaxed),
        .groups = atomic_load_explicit(&store->groups, memory_order_relaxed),
        .group_rows_max = atomic_load_explicit(&store->group_rows_max_seen, memory_order_relaxed),
        .commit_ns_total = atomic_load_explicit(&store->commit_ns_total, memory_order_relaxed),
        .failed = atomic_load_explicit(&store->failed, memory_order_relaxed),
    };
}
