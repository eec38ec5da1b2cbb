/* os_jobs: lanes of threads for work that computes or blocks: the pool (one thread a core) and the store
 * (one).
 *
 * Invariants: a lane starts its jobs in the order they were queued; a lane of one thread therefore also
 *             finishes them in that order. At most ENV_JOBS_MAX wait. A closing lane runs what is queued
 *             first: a job owns things.
 * Threads: env_job_start from any. The lock is held for a few instructions; fn and done run outside it. A
 *          thread is signalled only when one sleeps that has not been signalled yet, so a burst pays for
 *          each sleeper once.
 * Memory:  jobs are the caller's; the lane links them through env_job.next. */
#include <string.h>

#include "env/os_internal.h"

static void *lane_main(void *arg) {
    struct os_lane *lane = arg;
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    for (;;) {
        while (!lane->first && !lane->stopping) {
            lane->idle++;
            CHECK(pthread_cond_wait(&lane->work, &lane->lock) == 0);
            lane->idle--;
            if (lane->woken)
                lane->woken--;
        }
        struct env_job *job = lane->first;
        if (!job)
            break; /* stopping, and nothing left */
        lane->first = job->next;
        if (!lane->first)
            lane->last = &lane->first;
        lane->queued--;
        lane->running++;
        CHECK(pthread_mutex_unlock(&lane->lock) == 0);

        void (*done)(void *) = job->done;
        void *done_arg = job->arg;
        job->fn(done_arg);
        if (done)
            done(done_arg); /* the job may be gone after this */

        CHECK(pthread_mutex_lock(&lane->lock) == 0);
        lane->running--;
        if (!lane->first && lane->running == 0)
            CHECK(pthread_cond_broadcast(&lane->drained) == 0);
    }
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    return NULL;
}

enum troupe_error os_job_start(struct env *env, enum env_lane which, struct env_job *job) {
    struct os_lane *lane = &((struct os_env *)env)->lane[which];
    bool wake = false;
    CHECK(pthread_mutex_lock(&lane->lock) == 0);
    bool full = lane->queued == ENV_JOBS_MAX;
    if (!full) {
        job->next = NULL;
        *lane->last = job;
        lane->last = &job->next;
        lane->queued++;
        wake = lane->idle > lane->woken;
        lane->woken += wake;
    }
    CHECK(pthread_mutex_unlock(&lane->lock) == 0);
    if (wake)
        CHECK(pthread_cond_signal(&lane->work) == 0);
    return full ? TROUPE_FULL : TROUPE_OK;
}

/* Jobs may start jobs on other lanes, so the lanes are waited for until a whole round finds all of them
 * empty. */
void os_jobs_wait(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    bool waited;
    do {
        waited = false;
        for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
            struct os_lane *lane = &os->lane[i];
            CHECK(pthread_mutex_lock(&lane->lock) == 0);
            while (lane->first || lane->running) {
                waited = true;
                CHECK(pthread_cond_wait(&lane->drained, &lane->lock) == 0);
            }
            CHECK(pthread_mutex_unlock(&lane->lock) == 0);
        }
    } while (waited);
}

static enum troupe_error lane_start(struct os_env *os, struct os_lane *lane, unsigned threads) {
    lane->last = &lane->first;
    lane->threads = memory_alloc(os->env.account, threads * sizeof *lane->threads);
    if (!lane->threads)
        return TROUPE_NOMEM;
    CHECK(pthread_mutex_init(&lane->lock, NULL) == 0);
    CHECK(pthread_cond_init(&lane->work, NULL) == 0);
    CHECK(pthread_cond_init(&lane->drained, NULL) == 0);
    for (unsigned i = 0; i < threads; i++) {
        enum troupe_error error = os_thread_start(&lane->threads[i], lane_main, lane);
        if (error)
            return error;
        lane->threads_count++;
    }
    return TROUPE_OK;
}

enum troupe_error os_jobs_prepare(struct os_env *os) {
    enum troupe_error error = lane_start(os, &os->lane[ENV_LANE_POOL], os->cores);
    return error ? error : lane_start(os, &os->lane[ENV_LANE_STORE], 1);
}

void os_jobs_close(struct os_env *os) {
    bool whole =
        os->lane[ENV_LANE_COUNT - 1].threads_count > 0; /* else a lane that failed to start: no jobs yet */
    if (whole)
        os_jobs_wait(&os->env);
    for (unsigned i = 0; i < ENV_LANE_COUNT; i++) {
        struct os_lane *lane = &os->lane[i];
        if (!lane->threads)
            continue;
        CHECK(pthread_mutex_lock(&lane->lock) == 0);
        lane->stopping = true;
        CHECK(pthread_cond_broadcast(&lane->work) == 0);
        CHECK(pthread_mutex_unlock(&lane->lock) == 0);
        for (unsigned j = 0; j < lane->threads_count; j++)
            CHECK(pthread_join(lane->threads[j], NULL) == 0);
        CHECK(pthread_cond_destroy(&lane->drained) == 0);
        CHECK(pthread_cond_destroy(&lane->work) == 0);
        CHECK(pthread_mutex_destroy(&lane->lock) == 0);
        memory_free(os->env.account, lane->threads);
    }
}
