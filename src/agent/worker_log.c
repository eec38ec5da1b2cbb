/* worker_log: see the header. */
#include "agent/worker_log.h"

#include <stdio.h>
#include <string.h>

struct worker_log {
    struct account *account;
    struct env_file *file;
    struct buffer pending;  /* owner: the instance */
    struct buffer writing;  /* owner: the job while `busy`, else the instance */
    size_t dropped;         /* since the last note in the log */
    bool busy;              /* owner: the instance; a job runs */
    bool in_line;           /* the stream's last byte was no newline */
    _Atomic int references; /* instance and job */
    char prefix[96];
};

enum troupe_error worker_log_open(struct env *env, struct account *account, const char *path,
                                  const char *prefix, struct worker_log **ret_log, struct fault *fault) {
    struct worker_log *log = memory_alloc(account, sizeof *log);
    if (!log)
        return fault_set(fault, TROUPE_NOMEM, path, "out of memory");
    enum troupe_error error =
        env_file_open(env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_APPEND, &log->file, fault);
    if (error != TROUPE_OK) {
        memory_free(account, log);
        return error;
    }
    log->account = account;
    /* The note about dropped lines needs a little more than the bound. */
    buffer_init(&log->pending, account, WORKER_LOG_PENDING_MAX + 256);
    buffer_init(&log->writing, account, WORKER_LOG_PENDING_MAX + 256);
    snprintf(log->prefix, sizeof log->prefix, "[%.90s] ", prefix);
    atomic_init(&log->references, 1);
    *ret_log = log;
    return TROUPE_OK;
}

/* The reference that goes last sees what the other did to the buffers: release pairs with acquire. */
static void reference_drop(struct worker_log *log) {
    if (atomic_fetch_sub_explicit(&log->references, 1, memory_order_acq_rel) != 1)
        return;
    if (log->pending.length > 0)
        IGNORE(env_file_append(log->file, log->pending.bytes, log->pending.length),
               "nobody is left who could be told, and the log is no record");
    env_file_close(log->file);
    buffer_free(&log->pending);
    buffer_free(&log->writing);
    memory_free(log->account, log);
}

void worker_log_release(struct worker_log *log) {
    if (log)
        reference_drop(log);
}

/* A piece of a line, with its prefix when it begins one. */
static size_t piece_add(struct worker_log *log, const char *bytes, size_t length) {
    size_t prefix = log->in_line ? 0 : strlen(log->prefix);
    if (log->pending.length + prefix + length > WORKER_LOG_PENDING_MAX) {
        log->dropped += length;
        return length;
    }
    size_t before = log->pending.length;
    if (prefix)
        buffer_append(&log->pending, log->prefix, prefix);
    buffer_append(&log->pending, bytes, length);
    if (log->pending.failed) { /* no memory: forget this piece, keep what was there */
        log->pending.length = before;
        log->pending.failed = log->pending.over_limit = false;
        log->dropped += length;
        return length;
    }
    log->in_line = bytes[length - 1] != '\n';
    return 0;
}

size_t worker_log_stream(struct worker_log *log, const char *bytes, size_t length) {
    size_t dropped = 0;
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t piece = end ? (size_t)(end - bytes) + 1 : length;
        dropped += piece_add(log, bytes, piece);
        bytes += piece;
        length -= piece;
    }
    return dropped;
}

size_t worker_log_line(struct worker_log *log, const char *text) {
    if (log->in_line && log->pending.length < WORKER_LOG_PENDING_MAX)
        IGNORE(piece_add(log, "\n", 1) != 0, "counted there");
    size_t length = strlen(text);
    size_t dropped = length > 0 ? worker_log_stream(log, text, length) : 0;
    if (log->in_line)
        dropped += piece_add(log, "\n", 1);
    return dropped;
}

bool worker_log_waiting(const struct worker_log *log) {
    return log && !log->busy && log->pending.length > 0;
}

static void job_write(void *arg) {
    struct worker_log *log = arg;
    IGNORE(env_file_append(log->file, log->writing.bytes, log->writing.length),
           "a full disk stops the run where it is a record; the log is none");
}

static void job_drop(void *arg) {
    reference_drop(arg);
}

void worker_log_flush(struct worker_log *log, struct turn *turn, uint64_t token) {
    if (!worker_log_waiting(log))
        return;
    if (log->dropped > 0) {
        buffer_format(&log->pending, "%s%s(%zu bytes of log were dropped here: the disk was slower)\n",
                      log->in_line ? "\n" : "", log->prefix, log->dropped);
        log->pending.failed = log->pending.over_limit = false;
        log->in_line = false;
        log->dropped = 0;
    }
    struct buffer swapped = log->writing;
    log->writing = log->pending;
    log->pending = swapped;
    buffer_clear(&log->pending);
    /* Relaxed: the job is handed over by its queue, which orders everything before it. */
    atomic_fetch_add_explicit(&log->references, 1, memory_order_relaxed);
    struct job_spec job = {
        .lane = ENV_LANE_POOL, .fn = job_write, .drop = job_drop, .arg = log, .token = token};
    if (job_start(turn, &job) == TROUPE_OK) {
        log->busy = true;
        return;
    }
    atomic_fetch_sub_explicit(&log->references, 1,
                              memory_order_relaxed); /* the owner's is left: not the last */
    swapped = log->writing;
    log->writing = log->pending;
    log->pending = swapped;
}

void worker_log_flushed(struct worker_log *log) {
    CHECK(log->busy);
    log->busy = false;
    buffer_clear(&log->writing);
    reference_drop(log);
}
