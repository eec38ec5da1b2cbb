/* sim_env: an env in virtual time: its creation, clock, random numbers, events and signature.
 *
 * Invariants: three streams of the seed, so that a fault more or less does not change the order of the rest:
 * `order` breaks ties between events of one instant, `faults` draws faults and splits, `values` is what
 * env_random hands out. The signature is a hash over every event in its order, with its virtual time, and
 * over what the program notes.
 *
 * Threads: one. Memory: one block for the env, one for its workers, one a lane, blocks of 64 for env_sim_at;
 * what the simulated world itself needs (a child's output, an injected event) is asked for a second time when
 * it is refused, because it stands for memory of somebody else's. */
#include <string.h>

#include "env/sim_disk.h"

#define SIM_TIME_DEFAULT (UINT64_C(30) * 86400 * 1000000000)
#define SIM_EVENTS_DEFAULT UINT64_C(100000000)
#define SIM_UTC_START INT64_C(1735689600000000000) /* 2025-01-01 */

struct sim_at {
    struct sim_event event;
    void (*fn)(void *arg);
    void *arg;
    struct sim_at *next; /* in at_free */
};
struct sim_at_block {
    struct sim_at_block *next;
    struct sim_at at[SIM_AT_BLOCK];
};

static struct sim_env *sim_of(struct env *env) {
    return (struct sim_env *)env;
}

/* ---- events ---- */

void sim_event_init(struct sim_event *event, enum sim_kind kind, uint64_t source,
                    void (*fn)(struct sim_env *sim, struct sim_event *event), void *owner) {
    *event = (struct sim_event){.kind = (uint16_t)kind, .source = source, .fn = fn, .owner = owner};
}

/* Out of the list of what waits for worker 0's turn to end. */
static void io_unlink(struct sim_env *sim, struct sim_event *event) {
    struct sim_event **link = &sim->io_first;
    while (*link != event)
        link = &(*link)->next;
    *link = event->next;
    if (!*link)
        sim->io_last = link;
    event->next = NULL;
    event->waiting = false;
}

void sim_cancel(struct sim_env *sim, struct sim_event *event) {
    if (event->queued)
        sim_queue_remove(&sim->queue, event);
    else if (event->waiting)
        io_unlink(sim, event);
}

void sim_schedule(struct sim_env *sim, struct sim_event *event, uint64_t time_ns) {
    CHECK(time_ns >= sim->now);
    sim_cancel(sim, event);
    event->time = time_ns;
    event->tie = random_u64(&sim->order);
    sim_queue_add(&sim->queue, event);
}

void sim_schedule_in(struct sim_env *sim, struct sim_event *event, uint64_t delay_ns) {
    sim_schedule(sim, event, delay_ns < UINT64_MAX - sim->now ? sim->now + delay_ns : UINT64_MAX);
}

void sim_mix(struct sim_env *sim, uint64_t kind, uint64_t source, uint64_t value) {
    uint64_t words[3] = {kind, source, value};
    sim->signature = hash_bytes(words, sizeof words, sim->signature);
}

bool sim_chance(struct sim_env *sim, double probability) {
    return probability > 0 && random_unit(&sim->faults) < probability;
}

bool sim_powered(struct sim_env *sim, enum sim_kind kind, uint64_t value) {
    uint64_t limit = sim->options.faults.power_cut_after_events;
    if (sim->power_lost)
        return false;
    if (limit && sim->events >= limit) {
        sim->power_lost = true;
        return false;
    }
    sim->events++;
    sim_mix(sim, kind, value, sim->now);
    return true;
}

void *sim_take(struct sim_env *sim, size_t bytes) {
    void *block = memory_alloc(sim->env.account, bytes);
    if (!block)
        block = memory_alloc(sim->env.account, bytes);
    CHECK(block);
    return block;
}

/* ---- injected events ---- */

static void at_block_add(struct sim_env *sim, struct sim_at_block *block) {
    block->next = sim->at_blocks;
    sim->at_blocks = block;
    for (unsigned i = SIM_AT_BLOCK; i-- > 0;) {
        block->at[i].next = sim->at_free;
        sim->at_free = &block->at[i];
    }
}

static void at_event(struct sim_env *sim, struct sim_event *event) {
    struct sim_at *at = event->owner;
    void (*fn)(void *) = at->fn;
    void *arg = at->arg;
    at->next = sim->at_free;
    sim->at_free = at;
    fn(arg);
}

void env_sim_at(struct env *env, uint64_t time_ns, void (*fn)(void *arg), void *arg) {
    CHECK(env_is_sim(env));
    struct sim_env *sim = sim_of(env);
    if (!sim->at_free)
        at_block_add(sim, sim_take(sim, sizeof(struct sim_at_block)));
    struct sim_at *at = sim->at_free;
    sim->at_free = at->next;
    at->fn = fn;
    at->arg = arg;
    sim_event_init(&at->event, SIM_AT, sim->at_made++, at_event, at);
    at->event.io = true;
    sim_schedule(sim, &at->event, time_ns > sim->now ? time_ns : sim->now);
}

/* ---- clock, random, machine ---- */

static uint64_t sim_now(struct env *env) {
    return sim_of(env)->now;
}

static int64_t sim_utc(struct env *env) {
    return SIM_UTC_START + (int64_t)sim_of(env)->now;
}

static double sim_ticks_per_ns(struct env *env) {
    (void)env;
    return 1.0;
}

static uint64_t sim_random(struct env *env) {
    return random_u64(&sim_of(env)->values);
}

static unsigned sim_cores(struct env *env) {
    return sim_of(env)->options.cores;
}

static uint64_t sim_process_cpu(struct env *env) {
    return sim_of(env)->own_cpu_ns;
}

static uint64_t sim_thread_cpu(struct env *env) {
    struct sim_env *sim = sim_of(env);
    return sim->worker[sim->worker_now == SIM_NOBODY ? 0 : sim->worker_now].cpu_ns;
}

/* The outside world of a simulation has no variables: what a run does must not depend on who replays it. */
static const char *sim_variable(struct env *env, const char *name) {
    (void)env;
    (void)name;
    return NULL;
}

static const char *sim_program(struct env *env) {
    (void)env;
    return "/troupe";
}

static int64_t sim_pid(struct env *env) {
    (void)env;
    return SIM_PID;
}

static void sim_pause(struct env *env, uint64_t ns) {
    (void)env;
    (void)ns;
}

static void sim_note(struct env *env, uint64_t tag, uint64_t value) {
    sim_mix(sim_of(env), SIM_NOTE, tag, value);
}

static bool sim_terminal(struct env *env, int descriptor, unsigned *ret_columns) {
    (void)env;
    (void)descriptor;
    (void)ret_columns;
    return false;
}

/* ---- signals ---- */

static void signal_event(struct sim_env *sim, struct sim_event *event) {
    (void)event;
    for (unsigned i = 0; i < ARRAY_COUNT(sim->signals_pending); i++) {
        if (!sim->signals_pending[i])
            continue;
        sim->signals_pending[i]--; /* one an event: the loop, too, reads one at a time */
        if (sim->signal_fn)
            sim->signal_fn(sim->signal_context, (enum env_signal)i);
        break;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(sim->signals_pending); i++) {
        if (sim->signals_pending[i]) {
            sim_schedule(sim, &sim->signal_event, sim->now);
            break;
        }
    }
}

static enum troupe_error sim_signals(struct env *env, void (*fn)(void *context, enum env_signal signal),
                                     void *context) {
    struct sim_env *sim = sim_of(env);
    sim->signal_fn = fn;
    sim->signal_context = context;
    return TROUPE_OK;
}

void env_sim_signal(struct env *env, enum env_signal signal) {
    CHECK(env_is_sim(env));
    struct sim_env *sim = sim_of(env);
    CHECK(signal < ARRAY_COUNT(sim->signals_pending));
    sim->signals_pending[signal]++;
    sim_schedule(sim, &sim->signal_event, sim->now);
}

/* ---- creation ---- */

static void sim_destroy(struct env *env) {
    struct sim_env *sim = sim_of(env);
    CHECK(!sim->children);
    sim_jobs_close(sim);
    CHECK(sim->files_open == 0);
    struct account *account = env->account;
    if (sim->disk)
        sim_disk_detach(sim->disk);
    if (sim->disk_private)
        env_disk_free(sim->disk);
    while (sim->at_blocks) {
        struct sim_at_block *block = sim->at_blocks;
        sim->at_blocks = block->next;
        memory_free(account, block);
    }
    memory_free(account, sim->worker);
    memory_free(account, sim);
}

const struct env_operations env_sim_operations = {
    .destroy = sim_destroy,
    .now = sim_now,
    .utc = sim_utc,
    .ticks = sim_now,
    .ticks_per_ns = sim_ticks_per_ns,
    .random = sim_random,
    .cores = sim_cores,
    .process_cpu = sim_process_cpu,
    .thread_cpu = sim_thread_cpu,
    .variable = sim_variable,
    .program = sim_program,
    .pid = sim_pid,
    .pause = sim_pause,
    .note = sim_note,
    .workers_run = sim_workers_run,
    .workers_stop = sim_workers_stop,
    .worker_wake = sim_worker_wake,
    .job_start = sim_job_start,
    .jobs_wait = sim_jobs_wait,
    .child_spawn = sim_child_spawn,
    .child_write = sim_child_write,
    .child_close_input = sim_child_close_input,
    .child_pause = sim_child_pause,
    .child_kill = sim_child_kill,
    .child_cpu = sim_child_cpu,
    .child_core_wait = sim_child_core_wait,
    .child_pid = sim_child_pid,
    .child_release = sim_child_release,
    .signals = sim_signals,
    .file_open = sim_file_open,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_append = sim_file_append,
    .file_size = sim_file_size,
    .file_truncate = sim_file_truncate,
    .file_sync = sim_file_sync,
    .file_lock = sim_file_lock,
    .file_locked = sim_file_locked,
    .file_close = sim_file_close,
    .info = sim_info,
    .make_directory = sim_make_directory,
    .rename = sim_rename,
    .sync_directory = sim_sync_directory,
    .remove = sim_remove,
    .list = sim_list,
    .directory = sim_directory,
    .terminal = sim_terminal,
};

static void options_complete(struct env_sim_options *options) {
    struct random_stream drawn;
    random_seed(&drawn, options->seed, 0);
    uint64_t workers = 1 + random_below(&drawn, 4);
    if (!options->workers)
        options->workers = (unsigned)workers;
    if (!options->cores)
        options->cores = 2;
    if (!options->time_max_ns)
        options->time_max_ns = SIM_TIME_DEFAULT;
    if (!options->events_max)
        options->events_max = SIM_EVENTS_DEFAULT;
    CHECK(options->workers <= ENV_WORKERS_MAX);
    CHECK(options->cores <= SIM_CORES_MAX);
    CHECK(options->time_max_ns < SIM_TIME_MAX);
    options->time_max_ns += SIM_EPOCH_NS;
}

enum troupe_error env_sim_create(struct account *account, const struct env_sim_options *options,
                                 struct env **ret_env) {
    struct sim_env *sim = memory_alloc(account, sizeof *sim);
    if (!sim)
        return TROUPE_NOMEM;
    sim->env.operations = &env_sim_operations;
    sim->env.account = account;
    sim->options = *options;
    options_complete(&sim->options);
    sim->now = SIM_EPOCH_NS;
    random_seed(&sim->order, options->seed, 1);
    random_seed(&sim->faults, options->seed, 2);
    random_seed(&sim->values, options->seed, 3);
    sim->signature = options->seed;
    sim_station_init(sim, sim->options.cores);
    sim_event_init(&sim->signal_event, SIM_SIGNAL, 0, signal_event, NULL);
    sim->signal_event.io = true;
    sim->worker = memory_alloc(account, ENV_WORKERS_MAX * sizeof *sim->worker);
    enum troupe_error error = sim->worker ? TROUPE_OK : TROUPE_NOMEM;
    if (!error) {
        sim_workers_prepare(sim);
        error = sim_jobs_prepare(sim);
    }
    struct sim_at_block *block = error ? NULL : memory_alloc(account, sizeof *block);
    if (block)
        at_block_add(sim, block);
    else
        error = TROUPE_NOMEM;
    if (!error && !options->disk) {
        error = env_disk_create(account, &sim->disk);
        sim->disk_private = error == TROUPE_OK;
    } else if (!error) {
        sim->disk = options->disk;
    }
    if (sim->disk)
        sim_disk_attach(sim->disk);
    if (error)
        sim_destroy(&sim->env);
    else
        *ret_env = &sim->env;
    return error;
}

unsigned env_sim_workers(const struct env *env) {
    CHECK(env_is_sim(env));
    return ((const struct sim_env *)env)->options.workers;
}

uint64_t env_sim_signature(const struct env *env) {
    CHECK(env_is_sim(env));
    return ((const struct sim_env *)env)->signature;
}

uint64_t env_sim_events(const struct env *env) {
    CHECK(env_is_sim(env));
    return ((const struct sim_env *)env)->events;
}
