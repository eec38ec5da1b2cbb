/* os_workers: worker threads, how they park and how they are woken; worker 0 also runs the event loop.
 *
 * A worker's `state` word (bits PARKED and NOTIFIED):
 *
 *        wake: |= NOTIFIED            step ran, or not
 *      +-------------------+     +---------------------------+
 *      v                   |     v                           |
 *   [NOTIFIED] <---------- [0: running] --CAS 0 -> PARKED--> [PARKED]
 *      |                      ^   ^                          |
 *      | tries to park:       |   |                          | wake: |= NOTIFIED, then futex or eventfd
 *      | CAS fails,           |   |                          v
 *      +-- exchange 0 --------+   +------- exchange 0 ----- [PARKED|NOTIFIED]
 *
 * Why no wake is lost. Whoever has work publishes it and then does one read-modify-write on `state`; the
 * worker, having found nothing, does one too. Such operations on one word have a single order. Wake first:
 * the worker's CAS fails, its exchange (acquire) reads what the wake (release) wrote, so the next step sees
 * the work. Park first: the wake's fetch_or returns PARKED and it pays for the system call. A load on the
 * waker's side would need a seq_cst fence between the publication and it; the locked instruction costs the
 * same and ThreadSanitizer understands it.
 *
 * Threads: wake and stop from any; run on the thread that made the env.
 * Memory:  the parking places are part of struct os_env, so a wake before or after a run is harmless. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "env/os_internal.h"

enum { PARKED = 1, NOTIFIED = 2 };
/* A busy worker 0 looks at the loop this often: 50 us at 3 GHz. Exactness buys nothing: it bounds how late a
 * child's line is seen (plus one turn), and a look (epoll_wait of nothing) costs about 0.4 us, 1 % at this
 * rate. */
enum { POLL_TICKS = 150000, POLL_NS = 50000 };

static void futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns) {
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (long)(deadline_ns % 1000000000u)};
    /* Absolute, on CLOCK_MONOTONIC: env_now's clock. Every reason to return is fine: the worker looks again.
     */
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline_ns == UINT64_MAX ? NULL : &until,
            NULL, FUTEX_BITSET_MATCH_ANY);
}

void os_worker_wake(struct env *env, unsigned worker) {
    struct os_env *os = (struct os_env *)env;
    struct os_worker *to = &os->worker[worker];
    /* acq_rel: release pairs with the worker's exchange in unpark() and try_park(): what was published before
     * this call is seen by its next step. Acquire keeps two wakers' publications in one chain. */
    uint32_t before = atomic_fetch_or_explicit(&to->state, NOTIFIED, memory_order_acq_rel);
    if (before != PARKED)
        return;
    if (worker == 0) {
        uint64_t one = 1;
        ssize_t written = write(os->wake_fd, &one, sizeof one);
        CHECK(written == (ssize_t)sizeof one ||
              errno == EAGAIN); /* EAGAIN: the counter is full, so readable */
    } else {
        syscall(SYS_futex, &to->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void os_workers_stop(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    /* release: pairs with the acquire load in stopped(); the wakes below order it for parked workers too. */
    atomic_store_explicit(&os->stopping, true, memory_order_release);
    for (unsigned i = 0; i < ENV_WORKERS_MAX; i++)
        os_worker_wake(env, i);
}

static bool stopped(struct os_env *os) {
    return atomic_load_explicit(&os->stopping, memory_order_acquire); /* pairs with os_workers_stop */
}

/* True: the worker may sleep, and unpark() must follow. False: somebody called; step again. */
static bool try_park(struct os_worker *worker) {
    uint32_t running = 0;
    if (atomic_compare_exchange_strong_explicit(&worker->state, &running, PARKED, memory_order_acq_rel,
                                                memory_order_acquire))
        return true;
    atomic_exchange_explicit(&worker->state, 0, memory_order_acq_rel); /* pairs with os_worker_wake */
    return false;
}

static void unpark(struct os_worker *worker) {
    atomic_exchange_explicit(&worker->state, 0, memory_order_acq_rel); /* pairs with os_worker_wake */
}

static void tell(const struct env_workers *workers, unsigned index, bool parking) {
    if (workers->park)
        workers->park(workers->context, index, parking);
}

static void *worker_main(void *arg) {
    struct os_worker *worker = arg;
    const struct env_workers *workers = worker->os->workers;
    while (!stopped(worker->os)) {
        struct env_step step = workers->step(workers->context, worker->index);
        if (step.ran || !try_park(worker))
            continue;
        tell(workers, worker->index, true);
        futex_wait(&worker->state, PARKED, step.deadline_ns);
        unpark(worker);
        tell(workers, worker->index, false);
    }
    return NULL;
}

/* Sleeps until the loop has something to do, the deadline, or a wake. The loop's descriptor is polled rather
 * than the loop run, so that callbacks run after the worker has been told that it is no longer parked, and
 * because a poll has nanoseconds where the loop has milliseconds. Costs one more system call a sleep: 0.3 us.
 */
static void loop_sleep(struct os_env *os, uint64_t deadline_ns) {
    struct timespec left = {0}, *limit = NULL;
    int loop_ms = uv_backend_timeout(&os->loop);
    if (loop_ms == 0)
        return;
    uint64_t now = os_now(&os->env);
    if (loop_ms > 0 && (uint64_t)loop_ms * 1000000u < UINT64_MAX - now &&
        now + (uint64_t)loop_ms * 1000000u < deadline_ns)
        deadline_ns = now + (uint64_t)loop_ms * 1000000u; /* a timer of a port's own */
    if (deadline_ns != UINT64_MAX) {
        uint64_t ns = deadline_ns > now ? deadline_ns - now : 0;
        left = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
        limit = &left;
    }
    struct pollfd loop_fd = {.fd = uv_backend_fd(&os->loop), .events = POLLIN};
    ppoll(&loop_fd, 1, limit, NULL); /* any outcome, EINTR too: the caller looks again */
}

/* Runs what the loop has, and registers the descriptors that steps and callbacks began to watch. True: a
 * callback ran. */
static bool loop_look(struct os_env *os, uint64_t *ret_polled) {
    uint64_t before = os->callbacks;
    os->loop_changed = false; /* first: a callback may change it again */
    uv_run(&os->loop, UV_RUN_NOWAIT);
    *ret_polled = os_ticks(&os->env);
    return os->callbacks != before;
}

static void loop_main(struct os_env *os) {
    const struct env_workers *workers = os->workers;
    struct os_worker *worker = &os->worker[0];
    uint64_t interval = os->ticks_invariant ? POLL_TICKS : POLL_NS;
    uint64_t polled = 0;
    while (!stopped(os)) {
        struct env_step step = workers->step(workers->context, 0);
        bool due = os_ticks(&os->env) - polled >= interval;
        if (step.ran && !due)
            continue;
        /* Just looked and nothing new to watch: what has come since then ends the sleep at once. */
        if ((due || os->loop_changed) && (loop_look(os, &polled) || step.ran))
            continue;
        if (!try_park(worker))
            continue;
        tell(workers, 0, true);
        loop_sleep(os, step.deadline_ns);
        unpark(worker);
        tell(workers, 0, false);
        loop_look(os, &polled);
    }
}

enum troupe_error os_workers_run(struct env *env, const struct env_workers *workers) {
    struct os_env *os = (struct os_env *)env;
    CHECK(!os->workers);
    os->workers = workers;
    enum troupe_error error = TROUPE_OK;
    unsigned started = 1;
    while (started < workers->count && !error) {
        struct os_worker *worker = &os->worker[started];
        error = os_thread_start(&worker->thread, worker_main, worker);
        started += error == TROUPE_OK;
    }
    if (error)
        os_workers_stop(env);
    else
        loop_main(os);
    for (unsigned i = 1; i < started; i++)
        CHECK(pthread_join(os->worker[i].thread, NULL) == 0);
    os->workers = NULL;
    /* The stop is used up here and not at the start, so that one that came before the run is honoured.
     * Relaxed: the other workers are joined. */
    atomic_store_explicit(&os->stopping, false, memory_order_relaxed);
    return error;
}

static void on_wake(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct os_env *os = handle->data;
    uint64_t count;
    /* EAGAIN: an earlier look took it. Not counted as a callback: it brings no work of its own. */
    if (read(os->wake_fd, &count, sizeof count) < 0)
        CHECK(errno == EAGAIN || errno == EINTR);
}

enum troupe_error os_workers_prepare(struct os_env *os) {
    for (unsigned i = 0; i < ENV_WORKERS_MAX; i++) {
        os->worker[i].os = os;
        os->worker[i].index = i;
    }
    os->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (os->wake_fd < 0)
        return TROUPE_IO;
    if (uv_poll_init(&os->loop, &os->wake_poll, os->wake_fd) != 0)
        return TROUPE_IO;
    os->wake_ready = true;
    os->wake_poll.data = os;
    return uv_poll_start(&os->wake_poll, UV_READABLE, on_wake) == 0 ? TROUPE_OK : TROUPE_IO;
}

void os_workers_close(struct os_env *os) {
    if (os->wake_ready)
        uv_close((uv_handle_t *)&os->wake_poll, NULL);
    if (os->wake_fd >= 0)
        close(os->wake_fd);
    os->wake_fd = -1;
}
