/* os_internal: what the os_*.c files share: the env on a real machine.
 *
 * Invariants: `loop` is touched by worker 0's thread only (the thread that made the env, which also calls
 *             env_workers_run), except uv_backend_fd's descriptor and `wake_fd`, which any thread may write.
 * Threads:    said per field; fields written by different threads sit on different cache lines.
 * Memory:     everything is charged to env.account; libuv's own few blocks are not (it aborts when it has
 * none). */
#ifndef ENV_OS_INTERNAL_H
#define ENV_OS_INTERNAL_H

#include <pthread.h>
#include <stdalign.h>
#include <uv.h>

#include "env/env_internal.h"

enum {
    OS_CACHE_LINE = 128, /* two lines: neighbours are prefetched in pairs */
    OS_READ_BYTES = 64 << 10,
    OS_READS_PER_TURN =
        4, /* of one stream in one loop iteration, so that one loud child cannot starve others */
};

/* A worker's parking place. The protocol is drawn in os_workers.c. */
struct os_worker {
    alignas(OS_CACHE_LINE) _Atomic uint32_t state; /* any thread */
    struct os_env *os;
    unsigned index;
    pthread_t thread; /* of workers 1.. while env_workers_run runs */
};

struct os_lane {
    alignas(OS_CACHE_LINE) pthread_mutex_t lock;
    pthread_cond_t work;           /* a job was queued, or stop */
    pthread_cond_t drained;        /* nothing queued or running */
    struct env_job *first, **last; /* under lock, oldest first */
    unsigned queued, running;      /* under lock */
    unsigned idle, woken;          /* under lock: threads waiting; of these, signalled and not yet awake */
    unsigned threads_count;        /* constant after create */
    bool stopping;                 /* under lock */
    pthread_t *threads;
};

struct os_child;

struct os_env {
    struct env env;
    uv_loop_t loop;     /* worker 0 */
    bool loop_ready;    /* worker 0 */
    uint64_t callbacks; /* worker 0: counts loop callbacks, so that it knows a poll did something */
    bool loop_changed;  /* worker 0: a handle was started, stopped or closed since the loop last ran */
    int wake_fd;        /* eventfd; any thread writes, the loop reads */
    bool wake_ready;
    uv_poll_t wake_poll;

    int signal_fd; /* -1: not listened to */
    bool signals_ready;
    uv_poll_t signal_poll;
    void (*signal_fn)(void *context, enum env_signal signal);
    void *signal_context;

    struct os_child *children; /* worker 0: every child not yet reaped and closed, newest first */
    unsigned children_held;    /* not released by their owner */
    char *read_bytes;          /* OS_READ_BYTES; worker 0 */

    unsigned cores;
    bool ticks_invariant;
    uint64_t ticks_origin, ns_origin; /* one instant on both clocks */
    char program[ENV_PATH_MAX];

    _Atomic uint32_t files_open;  /* any thread; relaxed, read after the users are joined */
    _Atomic uint32_t random_used; /* under random_lock */
    pthread_mutex_t random_lock;
    uint64_t random_pool[64];

    const struct env_workers *workers; /* written before the threads start */
    alignas(OS_CACHE_LINE) _Atomic bool stopping;
    struct os_worker worker[ENV_WORKERS_MAX];
    struct os_lane lane[ENV_LANE_COUNT];
};

/* os_env.c */
uint64_t os_now(struct env *env);
uint64_t os_ticks(struct env *env);
enum troupe_error os_error(int number); /* from errno */
/* A thread with every signal blocked, so that signals only reach the loop. */
MUST_CHECK enum troupe_error os_thread_start(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg);

/* os_workers.c */
MUST_CHECK enum troupe_error os_workers_prepare(struct os_env *os);
void os_workers_close(struct os_env *os);
enum troupe_error os_workers_run(struct env *env, const struct env_workers *workers);
void os_workers_stop(struct env *env);
void os_worker_wake(struct env *env, unsigned worker);

/* os_jobs.c */
MUST_CHECK enum troupe_error os_jobs_prepare(struct os_env *os);
void os_jobs_close(struct os_env *os); /* what was queued is run first */
enum troupe_error os_job_start(struct env *env, enum env_lane lane, struct env_job *job);
void os_jobs_wait(struct env *env);

/* os_child.c, os_spawn.c */
enum troupe_error os_child_spawn(struct env *env, const struct env_child_spec *spec,
                                 struct env_child **ret_child, struct fault *fault);
enum troupe_error os_child_write(struct env_child *child, const char *bytes, size_t length);
void os_child_close_input(struct env_child *child);
void os_child_pause(struct env_child *child, bool paused);
void os_child_kill(struct env_child *child, int signal);
uint64_t os_child_cpu(struct env_child *child);
uint64_t os_child_core_wait(struct env_child *child);
int64_t os_child_pid(const struct env_child *child);
void os_child_release(struct env_child *child);

struct os_spawned {
    int pid, pid_fd;
    int input, output, errors; /* our ends, non-blocking, close-on-exec */
};
/* Forks and execs; on failure nothing is left: no process, no descriptor. */
MUST_CHECK enum troupe_error os_spawn(struct os_env *os, const struct env_child_spec *spec,
                                      struct os_spawned *ret_spawned, struct fault *fault);

/* os_signals.c */
enum troupe_error os_signals(struct env *env, void (*fn)(void *context, enum env_signal signal),
                             void *context);
void os_signals_close(struct os_env *os);

/* os_files.c */
enum troupe_error os_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file,
                               struct fault *fault);
enum troupe_error os_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                               size_t *ret_length);
enum troupe_error os_file_write(struct env_file *file, uint64_t offset, const void *bytes, size_t length);
enum troupe_error os_file_append(struct env_file *file, const void *bytes, size_t length);
enum troupe_error os_file_size(struct env_file *file, uint64_t *ret_bytes);
enum troupe_error os_file_truncate(struct env_file *file, uint64_t bytes);
enum troupe_error os_file_sync(struct env_file *file);
enum troupe_error os_file_lock(struct env_file *file, struct fault *fault);
bool os_file_locked(struct env_file *file);
void os_file_close(struct env_file *file);
enum troupe_error os_info(struct env *env, const char *path, struct env_info *ret_info);
enum troupe_error os_make_directory(struct env *env, const char *path, struct fault *fault);
enum troupe_error os_rename(struct env *env, const char *from, const char *to, struct fault *fault);
enum troupe_error os_sync_directory(struct env *env, const char *path);
enum troupe_error os_remove(struct env *env, const char *path);
enum troupe_error os_list(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                          void *context);
enum troupe_error os_directory(struct env *env, char *ret_path, size_t size);

#endif
