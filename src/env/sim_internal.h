/* sim_internal: what the sim_*.c files share: an env in virtual time on one thread.
 *
 * How it works: everything that can happen is an event in one queue, ordered by (time, tie, sequence). The
 * tie is drawn from the seed when the event is queued, so among events of one instant the seed decides,
 * virtual workers included. Time jumps from event to event. What must keep an order (a child's lines, the
 * store lane) has one event in the queue at a time.
 *
 * Invariants: no order, number or hash depends on an address; queueing an event never allocates, so it
 *             cannot fail.
 * Threads: one.
 * Memory:  events live in what they are about; charged to env.account. */
#ifndef ENV_SIM_INTERNAL_H
#define ENV_SIM_INTERNAL_H

#include <limits.h>

#include "env/env_internal.h"

enum {
    SIM_PIPE_BYTES = 65536, /* unread output past which a child stops working */
    SIM_CORES_MAX = 4096,
    SIM_AT_BLOCK = 64,              /* env_sim_at calls that need no memory, and how many more at a time */
    SIM_PID = 1000,                 /* ours; children count on from it */
    SIM_FRACTION_BITS = 8,          /* of a ns, in the station's accounts */
    SIM_CHILD_RSS_BYTES = 16 << 20, /* what every child is said to have used */
};
#define SIM_TIME_MAX (UINT64_C(1) << 54) /* 208 days */
#define SIM_NOBODY UINT_MAX
#define SIM_EPOCH_NS UINT64_C(1000000000) /* env_now at the start: 0 stays free to mean "none" */

enum sim_kind { /* goes into the signature */
                SIM_WORKER = 1,
                SIM_TURN_DONE,
                SIM_CORES,
                SIM_JOB,
                SIM_CHILD_INPUT,
                SIM_CHILD_ACTION,
                SIM_CHILD_OUTPUT,
                SIM_AT,
                SIM_DISK_WRITE,
                SIM_DISK_SYNC,
                SIM_DISK_NAME,
                SIM_SIGNAL,
                SIM_SPAWN,
                SIM_NOTE,
};

struct sim_env;
struct sim_event {
    uint64_t time, tie, sequence;
    struct sim_event *below, *next, *previous; /* pairing heap; sim_queue.c's */
    bool queued;
    bool waiting; /* in io_first: not in the queue, to be queued again */
    bool io;      /* runs on worker 0 between turns, so it waits while that one computes */
    uint16_t kind;
    uint64_t source; /* a number from creation order */
    void (*fn)(struct sim_env *sim, struct sim_event *event);
    void *owner;
};
struct sim_queue {
    struct sim_event *root;
    uint64_t next_sequence;
    size_t count;
};

/* A share of the processor: `then` is queued when cpu_ns of a core's time have been served. */
struct sim_compute {
    struct sim_event finish; /* in the station's own queue, by attained service */
    uint64_t begin, cpu_ns;
    uint64_t served_ns; /* of the last share, once it is over or was stopped */
    bool running;
    struct sim_event *then;
};

/* n jobs on C cores each progress at min(1, C/n). */
struct sim_station {
    struct sim_queue jobs;
    uint64_t attained; /* service per job since the station was last empty, in 1/256 ns */
    uint64_t updated_ns;
    unsigned cores;
    struct sim_event event; /* the next completion */
};

enum sim_worker_state { SIM_WORKER_READY, SIM_WORKER_BUSY, SIM_WORKER_PARKED };
struct sim_worker {
    struct sim_event event;
    struct sim_compute turn;
    enum sim_worker_state state;
    bool notified; /* sticky, as on the OS */
    uint64_t cpu_ns;
};

enum sim_phase { SIM_PHASE_START, SIM_PHASE_BLOCKED, SIM_PHASE_COMPUTE };
struct sim_slot { /* a lane's virtual thread */
    struct sim_event event;
    struct sim_compute compute;
    struct env_job *job;
    enum sim_phase phase;
};
struct sim_lane {
    struct env_job *first, **last;
    unsigned queued;
    unsigned slots_count;
    struct sim_slot *slots;
};

struct sim_at;
struct sim_at_block;
struct sim_child;

struct sim_env {
    struct env env;
    struct env_sim_options options;
    uint64_t now, events, signature;
    bool running, stopping, power_lost;
    struct random_stream order, faults, values; /* ties; faults and splits; env_random */
    struct sim_queue queue;
    struct sim_station station;
    struct sim_event *io_first, **io_last; /* waiting for worker 0's turn to end, linked by next */

    const struct env_workers *workers;
    unsigned worker_now;       /* whose step runs; SIM_NOBODY: none */
    struct sim_worker *worker; /* ENV_WORKERS_MAX */
    uint64_t own_cpu_ns;       /* turns and jobs served */
    struct sim_lane lane[ENV_LANE_COUNT];

    struct env_child_model model;
    struct sim_child *children;
    uint64_t children_made;

    struct env_disk *disk;
    bool disk_private;
    unsigned files_open;

    struct sim_at *at_free;
    struct sim_at_block *at_blocks;
    uint64_t at_made;
    struct sim_event signal_event;
    unsigned signals_pending[3]; /* by enum env_signal */
    void (*signal_fn)(void *context, enum env_signal signal);
    void *signal_context;
};

/* sim_queue.c */
void sim_queue_add(struct sim_queue *queue, struct sim_event *event); /* time and tie are set */
struct sim_event *sim_queue_first(const struct sim_queue *queue);
void sim_queue_remove(struct sim_queue *queue, struct sim_event *event);

/* sim_env.c */
void sim_event_init(struct sim_event *event, enum sim_kind kind, uint64_t source,
                    void (*fn)(struct sim_env *sim, struct sim_event *event), void *owner);
void sim_schedule(struct sim_env *sim, struct sim_event *event,
                  uint64_t time_ns); /* moves one that is queued */
void sim_schedule_in(struct sim_env *sim, struct sim_event *event, uint64_t delay_ns);
void sim_cancel(struct sim_env *sim, struct sim_event *event);
void sim_mix(struct sim_env *sim, uint64_t kind, uint64_t source, uint64_t value); /* into the signature */
bool sim_chance(struct sim_env *sim, double probability); /* draws nothing when it is 0 */
/* Counts a disk call as an event: false when the power is off, perhaps from now on. */
bool sim_powered(struct sim_env *sim, enum sim_kind kind, uint64_t value);
void *sim_take(struct sim_env *sim, size_t bytes); /* memory of the simulated world; never NULL */

/* sim_workers.c */
void sim_workers_prepare(struct sim_env *sim);
enum troupe_error sim_workers_run(struct env *env, const struct env_workers *workers);
void sim_workers_stop(struct env *env);
void sim_worker_wake(struct env *env, unsigned worker);

/* sim_cores.c */
void sim_station_init(struct sim_env *sim, unsigned cores);
void sim_compute_start(struct sim_env *sim, struct sim_compute *compute, uint64_t cpu_ns,
                       struct sim_event *then);
void sim_compute_stop(struct sim_env *sim, struct sim_compute *compute);
uint64_t sim_compute_used(struct sim_env *sim, const struct sim_compute *compute); /* ns served so far */

/* sim_jobs.c */
MUST_CHECK enum troupe_error sim_jobs_prepare(struct sim_env *sim);
void sim_jobs_close(struct sim_env *sim);
enum troupe_error sim_job_start(struct env *env, enum env_lane lane, struct env_job *job);
void sim_jobs_wait(struct env *env);

/* sim_child.c */
enum troupe_error sim_child_spawn(struct env *env, const struct env_child_spec *spec,
                                  struct env_child **ret_child, struct fault *fault);
enum troupe_error sim_child_write(struct env_child *child, const char *bytes, size_t length);
void sim_child_close_input(struct env_child *child);
void sim_child_pause(struct env_child *child, bool paused);
void sim_child_kill(struct env_child *child, int signal);
uint64_t sim_child_cpu(struct env_child *child);
uint64_t sim_child_core_wait(struct env_child *child);
int64_t sim_child_pid(const struct env_child *child);
void sim_child_release(struct env_child *child);

/* sim_files.c */
enum troupe_error sim_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file,
                                struct fault *fault);
enum troupe_error sim_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                                size_t *ret_length);
enum troupe_error sim_file_write(struct env_file *file, uint64_t offset, const void *bytes, size_t length);
enum troupe_error sim_file_append(struct env_file *file, const void *bytes, size_t length);
enum troupe_error sim_file_size(struct env_file *file, uint64_t *ret_bytes);
enum troupe_error sim_file_truncate(struct env_file *file, uint64_t bytes);
enum troupe_error sim_file_sync(struct env_file *file);
enum troupe_error sim_file_lock(struct env_file *file, struct fault *fault);
bool sim_file_locked(struct env_file *file);
void sim_file_close(struct env_file *file);
enum troupe_error sim_info(struct env *env, const char *path, struct env_info *ret_info);
enum troupe_error sim_make_directory(struct env *env, const char *path, struct fault *fault);
enum troupe_error sim_rename(struct env *env, const char *from, const char *to, struct fault *fault);
enum troupe_error sim_sync_directory(struct env *env, const char *path);
enum troupe_error sim_remove(struct env *env, const char *path);
enum troupe_error sim_list(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                           void *context);
enum troupe_error sim_directory(struct env *env, char *ret_path, size_t size);

#endif
