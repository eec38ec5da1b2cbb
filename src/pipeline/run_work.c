/* run_work: runs/ID/work/: a directory for each attempt of a stage, where its worker may leave an artifact. It is
 * there and empty when the task is sent, belongs to that attempt alone, and goes when the attempt has ended, so
 * nothing of an attempt that was killed can be taken for another's.
 *
 * Threads: the engine's turns; the disk is touched by jobs on the pool, and by run_work_clear at the start.
 * Memory:  a job's struct travels with JOB_DONE.
 * Failure: a directory that cannot be made ends the run, which can be resumed; one that cannot be removed is left to the
 *          next start, which clears them all. */
#include "pipeline/run_internal.h"

#include <stdio.h>

void work_path(const struct run *run, const struct trial *trial, unsigned stage, char *out, size_t size) {
    snprintf(out, size, "%s/%u-%s-%u", run->work, trial->number, run->pipeline->stages[stage].name,
             trial->stages[stage].attempt);
}

enum troupe_error run_work_clear(struct run *run, struct fault *fault) {
    enum troupe_error error = env_remove_tree(run->env, run->work);
    if (error != TROUPE_OK)
        return fault_set(fault, error, run->work, "cannot clear the work of an earlier process");
    return env_make_directories(run->env, run->work, fault);
}

void work_job_free(struct work_job *job) {
    memory_free(job->account, job);
}

static void work_drop(void *arg) {
    work_job_free(arg);
}

static void make(void *arg) {
    struct work_job *job = arg;
    job->error = env_make_directory(job->env, job->path, &job->fault);
}

static void clear(void *arg) {
    struct work_job *job = arg;
    IGNORE(env_remove_tree(job->env, job->path), "the next start clears what stays");
}

static enum troupe_error start(struct run *run, struct turn *turn, const struct work_job *like,
                               void (*fn)(void *arg)) {
    struct work_job *job = memory_alloc(run->account, sizeof *job);
    if (job == NULL)
        return TROUPE_NOMEM;
    *job = *like;
    job->env = run->env;
    job->account = run->account;
    struct job_spec spec = {.lane = ENV_LANE_POOL,
                            .fn = fn,
                            .drop = work_drop,
                            .arg = job,
                            .token = run_token(TOKEN_WORK, job->makes ? job->trial : TOKEN_VALUE_NONE),
                            .sim_blocked_ns = 50000};
    enum troupe_error error = job_start(turn, &spec);
    if (error != TROUPE_OK)
        work_job_free(job);
    return error;
}

enum troupe_error work_make(struct run *run, struct turn *turn, const struct trial *trial, unsigned stage) {
    struct work_job job = {
        .trial = trial->number, .stage = stage, .attempt = trial->stages[stage].attempt, .makes = true};
    work_path(run, trial, stage, job.path, sizeof job.path);
    return start(run, turn, &job, make);
}

void work_remove(struct run *run, struct turn *turn, const char *path) {
    struct work_job job = {0};
    if (run->options.disk_model != NULL)
        return;
    snprintf(job.path, sizeof job.path, "%s", path);
    IGNORE(start(run, turn, &job, clear), "the next start clears what stays");
}
