/* artifact: the file that a stage leaves: checked, hashed, synced and renamed into runs/ID/artifacts/HASH by
 * a job on the pool, so that no turn waits for the disk. The same bytes are kept once. Which are
 * still needed, artifact_files.c knows; the others are removed, also on the pool.
 * Memory:  the job struct travels with JOB_DONE. */
#include "pipeline/run_internal.h"

#include <stdio.h>
#include <string.h>

#define ARTIFACT_CHUNK (256u << 10)

static enum troupe_error hash_file(struct artifact_job *job, uint64_t ret_hash[2], uint64_t *ret_bytes) {
    struct env_file *file = NULL;
    enum troupe_error error =
        env_file_open(job->env, job->from, ENV_FILE_READ | ENV_FILE_WRITE, &file, &job->fault);
    if (error != TROUPE_OK)
        return error;
    char *chunk = memory_alloc(job->account, ARTIFACT_CHUNK);
    uint64_t offset = 0, low = 0x9e3779b97f4a7c15u, high = 0xc2b2ae3d27d4eb4fu;
    if (chunk == NULL)
        error = fault_set(&job->fault, TROUPE_NOMEM, job->from, "out of memory");
    while (error == TROUPE_OK) {
        size_t got = 0;
        error = env_file_read(file, offset, chunk, ARTIFACT_CHUNK, &got);
        if (error != TROUPE_OK)
            fault_set(&job->fault, error, job->from, "cannot read the artifact");
        if (error != TROUPE_OK || got == 0)
            break;
        low = hash_bytes(chunk, got, low);
        high = hash_bytes(chunk, got, high ^ low);
        offset += got;
    }
    if (error == TROUPE_OK) {
        error = PLANT(ARTIFACT_UNSYNCED) ? TROUPE_OK : env_file_sync(file);
        if (error != TROUPE_OK)
            fault_set(&job->fault, error, job->from, "cannot sync the artifact");
    }
    job->disk_failed = error != TROUPE_OK && error != TROUPE_NOMEM;
    memory_free(job->account, chunk);
    env_file_close(file);
    ret_hash[0] = low;
    ret_hash[1] = high;
    *ret_bytes = offset;
    return error;
}

static void take(struct artifact_job *job) {
    uint64_t hash[2], bytes = 0;
    job->error = hash_file(job, hash, &bytes);
    if (job->error != TROUPE_OK)
        return;
    snprintf(job->result->artifact, sizeof job->result->artifact, "%016llx%016llx",
             (unsigned long long)hash[0], (unsigned long long)hash[1]);
    job->result->artifact_bytes = bytes;
    char to[1200];
    snprintf(to, sizeof to, "%s/%s", job->directory, job->result->artifact);
    job->error = env_rename(job->env, job->from, to, &job->fault);
    if (job->error == TROUPE_OK) {
        job->error = PLANT(ARTIFACT_UNNAMED) ? TROUPE_OK : env_sync_directory(job->env, job->directory);
        if (job->error != TROUPE_OK)
            fault_set(&job->fault, job->error, job->directory, "cannot make its name durable");
    }
    job->disk_failed = job->error != TROUPE_OK;
}

static void artifact_work(void *arg) {
    struct artifact_job *job = arg;
    take(job);
    /* the attempt's directory has served; what else stands in it is not asked for */
    char *slash = strrchr(job->from, '/');
    *slash = '\0';
    IGNORE(env_remove_tree(job->env, job->from), "the next start clears what stays");
}

void artifact_job_free(struct artifact_job *job) {
    stage_result_drop(job->result);
    memory_free(job->account, job);
}

static void artifact_drop(void *arg) {
    artifact_job_free(arg);
}

/* Under a disk model there is no file; keeping it only takes its time. */
static void artifact_pretend(void *arg) {
    (void)arg;
}

static enum troupe_error take_start(struct run *run, struct turn *turn, struct artifact_job *job) {
    const struct run_disk_model *model = run->options.disk_model;
    struct job_spec spec = {.lane = ENV_LANE_POOL,
                            .fn = model != NULL ? artifact_pretend : artifact_work,
                            .drop = artifact_drop,
                            .arg = job,
                            .token = run_token(TOKEN_ARTIFACT, job->trial),
                            .sim_blocked_ns = model != NULL
                                                  ? model->storing_ns(model->context, job->trial, job->stage)
                                                  : 1000000};
    enum troupe_error error = job_start(turn, &spec);
    if (error == TROUPE_OK)
        run->files.taking++;
    return error;
}

enum troupe_error artifact_start(struct run *run, struct turn *turn, struct trial *trial, unsigned stage,
                                 const char *file, struct stage_result *result) {
    struct artifact_job *job = memory_alloc(run->account, sizeof *job);
    if (job == NULL)
        return TROUPE_NOMEM;
    char directory[1200];
    work_path(run, trial, stage, directory, sizeof directory);
    *job = (struct artifact_job){.env = run->env,
                                 .account = run->account,
                                 .trial = trial->number,
                                 .stage = stage,
                                 .attempt = trial->stages[stage].attempt,
                                 .result = stage_result_keep(result)};
    snprintf(job->from, sizeof job->from, "%s/%s", directory, file);
    snprintf(job->directory, sizeof job->directory, "%s", run->artifacts);
    /* Garbage past the bound is removed before more is taken over; otherwise it waits for a quiet moment. */
    if (run->files.removing > 0 ||
        (run->files.garbage != NULL && run->files.bytes > run->files.bytes_max / 2)) {
        *(run->files.waiting != NULL ? run->files.waiting_end : &run->files.waiting) = job;
        run->files.waiting_end = &job->next;
        artifact_collect(run, turn);
        return TROUPE_OK;
    }
    enum troupe_error error = take_start(run, turn, job);
    if (error != TROUPE_OK)
        artifact_job_free(job);
    return error;
}

void artifact_waiting_free(struct artifact_files *files) {
    while (files->waiting != NULL) {
        struct artifact_job *job = files->waiting;
        files->waiting = job->next;
        artifact_job_free(job);
    }
}

static void remove_work(void *arg) {
    struct artifact_job *job = arg;
    IGNORE(env_remove(job->env, job->from), "what stays costs space; a resume sweeps it");
}

/* Garbage goes while nothing is taken over: what is taken over could be the same bytes again. A run that failed removes
 * nothing: rows whose commit failed may be durable all the same, and then a resume needs their artifacts. */
static void remove_garbage(struct run *run, struct turn *turn) {
    struct artifact_file *file;
    if (run->error != TROUPE_OK && !PLANT(REMOVED_AFTER_FAILURE))
        return;
    while (run->files.taking == 0 && (file = artifact_files_garbage(&run->files)) != NULL) {
        struct artifact_job *job = memory_alloc(run->account, sizeof *job);
        if (job == NULL)
            return;
        *job = (struct artifact_job){
            .env = run->env, .account = run->account, .stage = UINT32_MAX, .removes = true};
        snprintf(job->from, sizeof job->from, "%s/%s", run->artifacts, file->hash);
        struct job_spec spec = {.lane = ENV_LANE_POOL,
                                .fn = remove_work,
                                .drop = artifact_drop,
                                .arg = job,
                                .token = run_token(TOKEN_ARTIFACT, TOKEN_VALUE_NONE),
                                .sim_blocked_ns = 1000000};
        if (job_start(turn, &spec) != TROUPE_OK) {
            artifact_job_free(job);
            return;
        }
        artifact_file_forget(&run->files, file);
        run->files.removing++;
    }
}

static void take_waiting(struct run *run, struct turn *turn) {
    while (run->files.removing == 0 && run->files.waiting != NULL) {
        struct artifact_job *job = run->files.waiting;
        if (take_start(run, turn, job) != TROUPE_OK) { /* a full queue of jobs: its end comes back here */
            if (run->files.taking > 0)
                return;
            run->files.waiting = job->next;
            struct trial *trial = trial_find(run, job->trial);
            if (trial != NULL && !trial->ended && trial->stages[job->stage].attempt == job->attempt)
                trial_fail(run, turn, trial, TRIAL_FAILED, "the artifact could not be taken over");
            artifact_job_free(job);
            continue;
        }
        run->files.waiting = job->next;
        job->next = NULL;
    }
}

void artifact_collect(struct run *run, struct turn *turn) {
    while (run->files.bytes > run->files.bytes_max && reuse_evict(&run->reuse)) {
    }
    remove_garbage(run, turn);
    take_waiting(run, turn);
}

void artifact_done(struct run *run, struct turn *turn, struct artifact_job *job) {
    unsigned *counted = job->removes ? &run->files.removing : &run->files.taking;
    CHECK(*counted > 0);
    (*counted)--;
    if (!job->removes && job->error == TROUPE_OK) {
        job->error = artifact_files_hold(&run->files, job->result);
        if (job->error != TROUPE_OK)
            fault_set(&job->fault, job->error, job->from, "out of memory keeping it");
    }
    if (job->removes)
        artifact_collect(run, turn);
}
