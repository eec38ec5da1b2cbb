/* env: the outside world behind one seam. Clock, random numbers, workers and parking, jobs, child processes
 * and files are reached through `struct env` alone. Two implementations: os_*.c (libuv, pthreads) and
 * sim_*.c (virtual time, one thread, one seed; the same seed replays the same run, event for event).
 *
 * Threads: a call says which thread may make it. Worker 0 is the I/O worker: it runs the event loop, and
 *          every child, descriptor and signal callback runs on it, between turns.
 * Memory:  objects belong to the env's account; env_destroy requires that children and files are gone.
 * Failure: enum troupe_error, with IO, DISK_FULL, NOT_FOUND, EXISTS, LOCKED told apart. */
#ifndef ENV_ENV_H
#define ENV_ENV_H

#include "base/base.h"

struct env;

MUST_CHECK enum troupe_error env_os_create(struct account *account, struct env **ret_env);
void env_destroy(struct env *env);
bool env_is_sim(const struct env *env);

/* ---- clock, random, machine (any thread) ---- */
uint64_t env_now(struct env *env);   /* monotonic ns */
int64_t env_utc(struct env *env);    /* ns since 1970 */
uint64_t env_ticks(struct env *env); /* trace stamps: TSC where invariant, else ns; decides nothing */
double env_ticks_per_ns(struct env *env);
uint64_t env_random(struct env *env); /* OS entropy, or the seed's stream */
unsigned env_cores(struct env *env);
uint64_t env_process_cpu(
    struct env *env); /* ns of this process, without children; sim: modelled turns and jobs */
uint64_t env_thread_cpu(struct env *env);                    /* ns of the calling thread */
const char *env_variable(struct env *env, const char *name); /* getenv; NULL: unset */
const char *env_program(struct env *env);                    /* absolute path of the running binary */
int64_t env_pid(struct env *env);
/* Blocks the calling thread, so not within a turn. Sim: returns at once, for nobody else moves meanwhile. */
void env_pause(struct env *env, uint64_t ns);
/* Mixes a fact into the replay signature; nothing on the OS. */
void env_note(struct env *env, uint64_t tag, uint64_t value);

/* ---- workers: `step` is called over and over for each worker until env_workers_stop ----
 * step does one unit of work (a turn) and says whether it ran; if not, until when it can sleep (UINT64_MAX:
 * until woken). OS: worker 0 on the calling thread (it also runs the event loop), the others on threads of
 * their own. Sim: all on the calling thread, the next ready one drawn from the seed. Wake: any thread; a wake
 * before the park is not lost (the worker re-checks after announcing that it parks). */
struct env_step {
    bool ran;
    uint64_t deadline_ns;
};
struct env_workers {
    unsigned count;
    struct env_step (*step)(void *context, unsigned worker);
    void (*park)(void *context, unsigned worker,
                 bool parking); /* told before it parks and after; may be NULL */
    void *context;
};
/* Returns after env_workers_stop, all worker threads joined. Sim: also returns DEAD when nothing can ever
 * happen again (deadlock) and TIMEOUT past its options' time or event bound. */
MUST_CHECK enum troupe_error env_workers_run(struct env *env, const struct env_workers *workers);
void env_workers_stop(struct env *env);                 /* any thread */
void env_worker_wake(struct env *env, unsigned worker); /* any thread; cheap when it is not parked */

/* ---- jobs: work that computes or blocks, off the workers ----
 * fn runs on a lane; then done(done_arg) runs on the same thread. A lane of one thread keeps order.
 * Any thread may start one. FULL past the bound. Sim: fn runs at its start, done after the cost it was given.
 */
enum env_lane { ENV_LANE_POOL, ENV_LANE_STORE, ENV_LANE_COUNT };
struct env_job {
    void (*fn)(void *arg);
    void (*done)(void *arg);
    void *arg;
    uint64_t sim_cpu_ns, sim_blocked_ns; /* modelled cost; 0: the sim options' default of the lane */
    struct env_job *next;                /* env's while it is queued; the caller owns the struct until done */
};
MUST_CHECK enum troupe_error env_job_start(struct env *env, enum env_lane lane, struct env_job *job);
/* Returns when every job started so far, and every job those start, is done. Not from a lane or a worker's
 * step: for a tear-down after env_workers_run, so that no job outlives what it points to. Sim: runs them on
 * the spot. */
void env_jobs_wait(struct env *env);

/* ---- children (worker 0 only) ---- */
struct env_child;
enum env_stream { ENV_STREAM_OUT, ENV_STREAM_ERR };
struct env_usage {
    uint64_t cpu_ns; /* user + system, with waited-for descendants */
    uint64_t rss_bytes_max;
};
struct env_child_events {
    void (*output)(void *context, enum env_stream stream, const char *bytes, size_t length);
    void (*exited)(void *context, int status, int signal,
                   const struct env_usage *usage); /* last call; once */
    void *context;
    /* The process closed ENV_STREAM_OUT, mostly because it is about to end; at most once; may be NULL. */
    void (*output_closed)(void *context);
};
struct env_child_spec {
    const char *const *argv;        /* NULL-terminated; argv[0] searched in PATH */
    const char *const *environment; /* NULL-terminated "NAME=value" added to ours; may be NULL */
    const char *directory;          /* NULL: ours */
    size_t input_bytes_max;         /* bound of unread input; 0: 4 MiB */
    struct env_child_events events;
};
/* The child leads a new session and dies with us. NOT_FOUND: no such program; IO: why in the fault. */
MUST_CHECK enum troupe_error env_child_spawn(struct env *env, const struct env_child_spec *spec,
                                             struct env_child **ret_child, struct fault *fault);
/* Copies; written when the pipe takes it. FULL past input_bytes_max, DEAD when its input is closed. */
MUST_CHECK enum troupe_error env_child_write(struct env_child *child, const char *bytes, size_t length);
void env_child_close_input(struct env_child *child);
void env_child_pause(struct env_child *child, bool paused); /* stop reading its output: back-pressure */
void env_child_kill(struct env_child *child, int signal);   /* to its process group */
uint64_t env_child_cpu(struct env_child *child); /* ns so far, own and waited-for; 0 when unknown */
/* ns so far that its main thread could run and waited for a core; ENV_UNKNOWN where the system does not tell.
 * That of other threads and of descendants is not in it: what waits for them counts as blocked. */
#define ENV_UNKNOWN UINT64_MAX
uint64_t env_child_core_wait(struct env_child *child);
int64_t env_child_pid(const struct env_child *child);
/* Frees it; kills and reaps silently when it still runs (no more callbacks). */
void env_child_release(struct env_child *child);

/* ---- signals to Troupe itself (worker 0 calls back) ---- */
enum env_signal {
    ENV_SIGNAL_STOP /* INT, TERM */,
    ENV_SIGNAL_RELOAD /* HUP */,
    ENV_SIGNAL_RESIZE /* WINCH */
};
MUST_CHECK enum troupe_error env_signals(struct env *env, void (*fn)(void *context, enum env_signal signal),
                                         void *context);

/* ---- files (any thread, blocking: call from a job, start-up or a lane) ---- */
struct env_file;
enum {
    ENV_FILE_READ = 1,
    ENV_FILE_WRITE = 2,
    ENV_FILE_CREATE = 4,
    ENV_FILE_EXCLUSIVE = 8,
    ENV_FILE_TRUNCATE = 16,
    ENV_FILE_APPEND = 32
};
MUST_CHECK enum troupe_error env_file_open(struct env *env, const char *path, unsigned flags,
                                           struct env_file **ret_file, struct fault *fault);
MUST_CHECK enum troupe_error env_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                                           size_t *ret_length); /* short at the end of the file */
MUST_CHECK enum troupe_error env_file_write(struct env_file *file, uint64_t offset, const void *bytes,
                                            size_t length);
MUST_CHECK enum troupe_error env_file_append(struct env_file *file, const void *bytes, size_t length);
MUST_CHECK enum troupe_error env_file_size(struct env_file *file, uint64_t *ret_bytes);
MUST_CHECK enum troupe_error env_file_truncate(struct env_file *file, uint64_t bytes);
MUST_CHECK enum troupe_error env_file_sync(struct env_file *file);
/* An exclusive advisory lock held until close; LOCKED with the holder's pid in the fault when known. */
MUST_CHECK enum troupe_error env_file_lock(struct env_file *file, struct fault *fault);
/* Does another open file hold the lock? A look takes nothing: it never refuses one who is about to lock. */
bool env_file_locked(struct env_file *file);
void env_file_close(struct env_file *file);

struct env_info {
    bool exists, directory;
    bool waits; /* a pipe, socket or device: to open or read it may wait for somebody */
    uint64_t bytes;
    int64_t modified_utc_ns;
};
MUST_CHECK enum troupe_error env_info(struct env *env, const char *path,
                                      struct env_info *ret_info); /* absent: OK, exists false */
MUST_CHECK enum troupe_error env_make_directories(struct env *env, const char *path, struct fault *fault);
/* One directory whose parent is there, not made durable: for scratch. */
MUST_CHECK enum troupe_error env_make_directory(struct env *env, const char *path, struct fault *fault);
MUST_CHECK enum troupe_error env_rename(struct env *env, const char *from, const char *to,
                                        struct fault *fault);
MUST_CHECK enum troupe_error env_sync_directory(struct env *env, const char *path);
MUST_CHECK enum troupe_error env_remove(struct env *env, const char *path);      /* file or empty directory */
MUST_CHECK enum troupe_error env_remove_tree(struct env *env, const char *path); /* absent: OK */
/* Names in byte order; the callback returns false to stop. */
MUST_CHECK enum troupe_error env_list(struct env *env, const char *path,
                                      bool (*fn)(void *context, const char *name), void *context);
/* As env_write_file: `to` is old or a whole, durable copy. */
MUST_CHECK enum troupe_error env_copy(struct env *env, const char *from, const char *to, struct fault *fault);
/* Whole file into `ret` (initialised by the caller, whose limit_bytes bounds it: LIMIT). */
MUST_CHECK enum troupe_error env_read_file(struct env *env, const char *path, struct buffer *ret,
                                           struct fault *fault);
/* Temporary file, fsync, rename, directory sync: the file is old or new, never half. */
MUST_CHECK enum troupe_error env_write_file(struct env *env, const char *path, const void *bytes,
                                            size_t length, struct fault *fault);
/* Absolute, normalised; works for paths that do not exist yet. */
MUST_CHECK enum troupe_error env_absolute(struct env *env, const char *path, char *ret_path, size_t size);

/* ---- terminal ---- */
bool env_terminal(struct env *env, int descriptor, unsigned *ret_columns);

/* ==== simulation ==== */
struct env_disk; /* survives a power cut: create once, hand to one env after the other */
MUST_CHECK enum troupe_error env_disk_create(struct account *account, struct env_disk **ret_disk);
void env_disk_free(struct env_disk *disk);
/* Unsynced writes and renames are each kept, dropped or torn (at 512-byte sectors), drawn from `seed`. */
void env_disk_power_cut(struct env_disk *disk, uint64_t seed);

struct env_faults { /* probabilities, 0..1 */
    double child_spawn_fails, child_crash /* per output */, child_hang /* per input */, child_line_lost,
        child_delay;
    uint64_t child_delay_ns_max;
    double disk_write_fails, disk_sync_fails;
    uint64_t disk_bytes_max;         /* 0: no limit; else DISK_FULL past it */
    uint64_t power_cut_after_events; /* 0: never; else env_workers_run returns CANCELLED at that event */
};
struct env_sim_options {
    uint64_t seed;
    unsigned workers; /* virtual workers the runtime should use: 0 draws 1..4; read with env_sim_workers */
    unsigned cores;   /* 0: 2; shared equally by everything that computes (processor sharing) */
    uint64_t time_max_ns; /* 0: 30 days */
    uint64_t events_max;  /* 0: 100,000,000 */
    uint64_t turn_cpu_ns; /* modelled cost of one turn; 0: free */
    uint64_t job_cpu_ns[ENV_LANE_COUNT], job_blocked_ns[ENV_LANE_COUNT]; /* defaults per lane */
    struct env_faults faults;
    struct env_disk *disk; /* NULL: a private one */
};
MUST_CHECK enum troupe_error env_sim_create(struct account *account, const struct env_sim_options *options,
                                            struct env **ret_env);
unsigned env_sim_workers(const struct env *env);
uint64_t env_sim_signature(const struct env *env); /* over every event, its virtual time, and env_note */
uint64_t env_sim_events(const struct env *env);

/* What a child does. `spawn` returns the child's state (NULL: spawn fails). `input` is called with what was
 * written to it; it answers with env_sim_child_emit: after `blocked_ns` and then `cpu_ns` of a core's time
 * (processor sharing), `bytes` appear on its output. env_sim_child_exit ends it in the same way. A child does
 * one thing after the other, in the order of these calls; it reads on meanwhile. `release` comes when the
 * process is gone, however it went: it answers no more. */
struct env_child_model {
    void *context;
    void *(*spawn)(void *context, struct env_child *child, const struct env_child_spec *spec);
    void (*input)(void *state, struct env_child *child, const char *bytes, size_t length);
    void (*input_closed)(void *state, struct env_child *child); /* NULL: it exits with 0 */
    void (*release)(void *state);
};
void env_sim_set_faults(struct env *env, const struct env_faults *faults); /* from now on */
void env_sim_set_child_model(struct env *env, const struct env_child_model *model);
void env_sim_child_emit(struct env_child *child, uint64_t blocked_ns, uint64_t cpu_ns, const char *bytes,
                        size_t length);
void env_sim_child_exit(struct env_child *child, uint64_t blocked_ns, int status);
/* What it was told to do and has not finished is dropped: a worker that obeys a cancel. */
void env_sim_child_abort(struct env_child *child);
unsigned env_sim_child_pending(const struct env_child *child); /* emissions and exits that are not done */
/* Calls fn at a virtual time, on worker 0 between turns: for tests that inject events. */
void env_sim_at(struct env *env, uint64_t time_ns, void (*fn)(void *arg), void *arg);
/* As if the process had received it now; env_signals' callback follows. */
void env_sim_signal(struct env *env, enum env_signal signal);

#endif
