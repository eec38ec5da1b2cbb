/* Jobs: work off the workers whose end is a message to the actor that started it.
 *
 * Invariants: each started job ends in one JOB_DONE that a handler sees, or in drop(arg). The runtime does
 *             not return from its run while a job is open, so `done` never meets a runtime that is gone.
 * Threads: job_start: a turn; job_done: the lane's thread; the rest: any.
 * Memory:  one block per job from the runtime's account, with its message inside. */
#include "runtime/worker.h"

struct job {
    struct runtime *runtime;
    actor_ref owner;
    struct job *next, **link; /* runtime.jobs, under jobs_lock */
    void (*fn)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    struct env_job env_job;
    struct message message; /* last: its payload follows */
};

/* A lane's thread is no worker's. A simulated lane is, like everything, on the one thread that there is, where
 * worker 0 may be parked: what is made ready must not go into its queue without a wake. Returns what to restore.
 */
static struct worker *lane_enter(const struct runtime *runtime) {
    struct worker *before = worker_of_thread;
    if (runtime->sim) {
        worker_of_thread = NULL;
    }
    return before;
}

static void job_run(void *arg) {
    struct job *job = arg;
    struct worker *worker = lane_enter(job->runtime);
    job->fn(job->arg);
    worker_of_thread = worker;
}

static void job_done(void *arg) {
    struct job *job = arg;
    struct runtime *runtime = job->runtime;
    struct worker *before = lane_enter(runtime), *worker = worker_current(runtime);
    *MESSAGE_PAYLOAD(&job->message, struct message_job) =
        (struct message_job){.token = job->message.token, .arg = job->arg};
    if (actor_deliver(runtime, worker, job->owner, &job->message) != TROUPE_OK) {
        message_destroy(runtime, worker, &job->message); /* calls drop */
    }
    /* One word holds the open jobs and whether the runtime waits for them, so either we see the wait or the
     * waiter sees us gone. Afterwards the runtime may be gone too: only env is touched. */
    struct env *env = runtime->env;
    if (atomic_fetch_sub(&runtime->jobs_open, 1) == (JOBS_AWAITED | 1U)) {
        env_worker_wake(env, 0);
    }
    worker_of_thread = before;
}

static void job_list_remove(struct job *job) {
    *job->link = job->next;
    if (job->next != NULL) {
        job->next->link = job->link;
    }
}

static void job_list_add(struct runtime *runtime, struct job *job) {
    spin_lock(&runtime->jobs_lock);
    job->next = runtime->jobs;
    job->link = &runtime->jobs;
    if (runtime->jobs != NULL) {
        runtime->jobs->link = &job->next;
    }
    runtime->jobs = job;
    spin_unlock(&runtime->jobs_lock);
}

static void job_free(struct job *job) {
    spin_lock(&job->runtime->jobs_lock);
    job_list_remove(job);
    spin_unlock(&job->runtime->jobs_lock);
    memory_free(job->runtime->account, job);
}

enum troupe_error job_start(struct turn *turn, const struct job_spec *spec) {
    struct runtime *runtime = turn->runtime;
    struct job *job = memory_alloc(runtime->account, sizeof *job + sizeof(struct message_job));
    if (job == NULL) {
        return TROUPE_NOMEM;
    }
    job->runtime = runtime;
    job->owner = turn->self;
    job->fn = spec->fn;
    job->drop = spec->drop;
    job->arg = spec->arg;
    job->env_job = (struct env_job){.fn = job_run, .done = job_done, .arg = job};
    /* A guided turn comes at its recorded instant: a modelled time would only make its message late for it. */
    if (runtime->guide.may == NULL) {
        job->env_job.sim_cpu_ns = spec->sim_cpu_ns;
        job->env_job.sim_blocked_ns = spec->sim_blocked_ns;
    }
    message_init(&job->message, runtime, MESSAGE_JOB_DONE, sizeof(struct message_job), MESSAGE_HOME_JOB);
    job->message.token = spec->token;
    job_list_add(runtime, job);
    atomic_fetch_add(&runtime->jobs_open, 1);
    enum troupe_error error = env_job_start(runtime->env, spec->lane, &job->env_job);
    if (error != TROUPE_OK) {
        atomic_fetch_sub(&runtime->jobs_open, 1);
        job_free(job);
    }
    return error;
}

void job_message_free(struct runtime *runtime, struct message *message) {
    struct job *job = (struct job *)(void *)((char *)message - offsetof(struct job, message));
    CHECK(job->runtime == runtime);
    if ((message->flags & MESSAGE_DELIVERED) == 0 && job->drop != NULL) {
        job->drop(job->arg);
    }
    job_free(job);
}

/* What a simulation left behind when it ended before its jobs did. */
void jobs_free(struct runtime *runtime) {
    while (runtime->jobs != NULL) {
        struct job *job = runtime->jobs;
        job_list_remove(job);
        if (job->drop != NULL) {
            job->drop(job->arg);
        }
        memory_free(runtime->account, job);
    }
}
