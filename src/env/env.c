/* env: the door's calls, each handed to the implementation that made the object (os_*.c or sim_*.c).
 *
 * Invariants: arguments a program can get wrong are CHECKed here, once for both implementations; nothing here
 * has state of its own. Threads, memory: as the door says. */
#include "env/env_internal.h"

void env_destroy(struct env *env) {
    if (env)
        env->operations->destroy(env);
}

bool env_is_sim(const struct env *env) {
    return env->operations != &env_os_operations;
}

uint64_t env_now(struct env *env) {
    return env->operations->now(env);
}

int64_t env_utc(struct env *env) {
    return env->operations->utc(env);
}

uint64_t env_ticks(struct env *env) {
    return env->operations->ticks(env);
}

double env_ticks_per_ns(struct env *env) {
    return env->operations->ticks_per_ns(env);
}

uint64_t env_random(struct env *env) {
    return env->operations->random(env);
}

unsigned env_cores(struct env *env) {
    return env->operations->cores(env);
}

uint64_t env_process_cpu(struct env *env) {
    return env->operations->process_cpu(env);
}

uint64_t env_thread_cpu(struct env *env) {
    return env->operations->thread_cpu(env);
}

const char *env_variable(struct env *env, const char *name) {
    return env->operations->variable(env, name);
}

const char *env_program(struct env *env) {
    return env->operations->program(env);
}

int64_t env_pid(struct env *env) {
    return env->operations->pid(env);
}

void env_pause(struct env *env, uint64_t ns) {
    env->operations->pause(env, ns);
}

void env_note(struct env *env, uint64_t tag, uint64_t value) {
    env->operations->note(env, tag, value);
}

enum troupe_error env_workers_run(struct env *env, const struct env_workers *workers) {
    CHECK(workers->count >= 1 && workers->count <= ENV_WORKERS_MAX);
    CHECK(workers->step);
    return env->operations->workers_run(env, workers);
}

void env_workers_stop(struct env *env) {
    env->operations->workers_stop(env);
}

void env_worker_wake(struct env *env, unsigned worker) {
    CHECK(worker < ENV_WORKERS_MAX);
    env->operations->worker_wake(env, worker);
}

enum troupe_error env_job_start(struct env *env, enum env_lane lane, struct env_job *job) {
    CHECK(lane < ENV_LANE_COUNT);
    CHECK(job->fn);
    return env->operations->job_start(env, lane, job);
}

void env_jobs_wait(struct env *env) {
    env->operations->jobs_wait(env);
}

enum troupe_error env_child_spawn(struct env *env, const struct env_child_spec *spec,
                                  struct env_child **ret_child, struct fault *fault) {
    CHECK(spec->argv && spec->events.output && spec->events.exited);
    if (!spec->argv[0] || !spec->argv[0][0])
        return fault_set(fault, TROUPE_INVALID, "", "a command is empty");
    return env->operations->child_spawn(env, spec, ret_child, fault);
}

enum troupe_error env_child_write(struct env_child *child, const char *bytes, size_t length) {
    return child->env->operations->child_write(child, bytes, length);
}

void env_child_close_input(struct env_child *child) {
    child->env->operations->child_close_input(child);
}

void env_child_pause(struct env_child *child, bool paused) {
    child->env->operations->child_pause(child, paused);
}

void env_child_kill(struct env_child *child, int signal) {
    child->env->operations->child_kill(child, signal);
}

uint64_t env_child_cpu(struct env_child *child) {
    return child->env->operations->child_cpu(child);
}

uint64_t env_child_core_wait(struct env_child *child) {
    return child->env->operations->child_core_wait(child);
}

int64_t env_child_pid(const struct env_child *child) {
    return child->env->operations->child_pid(child);
}

void env_child_release(struct env_child *child) {
    if (child)
        child->env->operations->child_release(child);
}

enum troupe_error env_signals(struct env *env, void (*fn)(void *context, enum env_signal signal),
                              void *context) {
    return env->operations->signals(env, fn, context);
}

enum troupe_error env_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file,
                                struct fault *fault) {
    CHECK((flags & ~(unsigned)ENV_FILE_FLAGS) == 0);
    CHECK(flags & (ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_APPEND));
    return env->operations->file_open(env, path, flags, ret_file, fault);
}

enum troupe_error env_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                                size_t *ret_length) {
    return file->env->operations->file_read(file, offset, bytes, length, ret_length);
}

enum troupe_error env_file_write(struct env_file *file, uint64_t offset, const void *bytes, size_t length) {
    /* The kernel ignores the offset of a file opened for appending: such a write is a wrong program. */
    CHECK(!(file->flags & ENV_FILE_APPEND));
    return file->env->operations->file_write(file, offset, bytes, length);
}

enum troupe_error env_file_append(struct env_file *file, const void *bytes, size_t length) {
    return file->env->operations->file_append(file, bytes, length);
}

enum troupe_error env_file_size(struct env_file *file, uint64_t *ret_bytes) {
    return file->env->operations->file_size(file, ret_bytes);
}

enum troupe_error env_file_truncate(struct env_file *file, uint64_t bytes) {
    return file->env->operations->file_truncate(file, bytes);
}

enum troupe_error env_file_sync(struct env_file *file) {
    return file->env->operations->file_sync(file);
}

enum troupe_error env_file_lock(struct env_file *file, struct fault *fault) {
    return file->env->operations->file_lock(file, fault);
}

bool env_file_locked(struct env_file *file) {
    return file->env->operations->file_locked(file);
}

void env_file_close(struct env_file *file) {
    if (file)
        file->env->operations->file_close(file);
}

enum troupe_error env_info(struct env *env, const char *path, struct env_info *ret_info) {
    return env->operations->info(env, path, ret_info);
}

enum troupe_error env_make_directory(struct env *env, const char *path, struct fault *fault) {
    return env->operations->make_directory(env, path, fault);
}

enum troupe_error env_rename(struct env *env, const char *from, const char *to, struct fault *fault) {
    return env->operations->rename(env, from, to, fault);
}

enum troupe_error env_sync_directory(struct env *env, const char *path) {
    return env->operations->sync_directory(env, path);
}

enum troupe_error env_remove(struct env *env, const char *path) {
    return env->operations->remove(env, path);
}

bool env_terminal(struct env *env, int descriptor, unsigned *ret_columns) {
    return env->operations->terminal(env, descriptor, ret_columns);
}
