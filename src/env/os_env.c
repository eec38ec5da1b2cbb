/* os_env: the env on a real machine: its creation, clocks, random numbers and facts about the process.
 *
 * Invariants: after env_os_create SIGPIPE and SIGXFSZ are ignored (a broken pipe or a full quota is an error
 *             code, not a death) and SIGCHLD is at its default (or the kernel would reap children before
 *             us). Children get the defaults back.
 * Threads: create and destroy on the thread that will call env_workers_run; the rest from any thread.
 * Memory:  one block for the env, one read buffer, the lanes' thread arrays. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "env/os_internal.h"

enum { TICKS_WINDOW_NS = 1000000 }; /* calibration error: two clock reads (about 50 ns) over this */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_now(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t os_utc(struct env *env) {
    (void)env;
    return (int64_t)clock_ns(CLOCK_REALTIME);
}

static uint64_t os_process_cpu(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t os_thread_cpu(struct env *env) {
    (void)env;
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

#if defined(__x86_64__)
static bool ticks_are_invariant(void) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx) && (edx & (1u << 8));
}

static uint64_t ticks_read(void) {
    return __rdtsc(); /* unserialised: a stamp may be some tens of cycles early, and costs 8 ns less */
}
#else
static bool ticks_are_invariant(void) {
    return false;
}

static uint64_t ticks_read(void) {
    return 0;
}
#endif

uint64_t os_ticks(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    return os->ticks_invariant ? ticks_read() : clock_ns(CLOCK_MONOTONIC);
}

/* One instant on both clocks: the tightest of a few bracketed reads. */
static void ticks_pair(uint64_t *ret_ticks, uint64_t *ret_ns) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t before = ticks_read();
        uint64_t ns = clock_ns(CLOCK_MONOTONIC);
        uint64_t after = ticks_read();
        if (after - before < best) {
            best = after - before;
            *ret_ticks = before + (after - before) / 2;
            *ret_ns = ns;
        }
    }
}

static double os_ticks_per_ns(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    if (!os->ticks_invariant)
        return 1.0;
    uint64_t ticks = 0, ns = 0;
    do
        ticks_pair(&ticks, &ns);
    while (ns - os->ns_origin < TICKS_WINDOW_NS);
    return (double)(ticks - os->ticks_origin) / (double)(ns - os->ns_origin);
}

/* Kernel entropy, fetched 512 bytes at a time: a call to getrandom costs about 300 ns. */
static uint64_t os_random(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    CHECK(pthread_mutex_lock(&os->random_lock) == 0);
    uint32_t used = atomic_load_explicit(&os->random_used, memory_order_relaxed); /* ordered by the lock */
    if (used == ARRAY_COUNT(os->random_pool)) {
        size_t got = 0;
        while (got < sizeof os->random_pool) {
            ssize_t n = getrandom((char *)os->random_pool + got, sizeof os->random_pool - got, 0);
            CHECK(n > 0 || errno == EINTR); /* without entropy nothing that follows would be right */
            got += n > 0 ? (size_t)n : 0;
        }
        used = 0;
    }
    uint64_t value = os->random_pool[used];
    os->random_pool[used] = 0;
    atomic_store_explicit(&os->random_used, used + 1, memory_order_relaxed);
    CHECK(pthread_mutex_unlock(&os->random_lock) == 0);
    return value;
}

static unsigned os_cores(struct env *env) {
    return ((struct os_env *)env)->cores;
}

static const char *os_variable(struct env *env, const char *name) {
    (void)env;
    return getenv(name);
}

static const char *os_program(struct env *env) {
    return ((struct os_env *)env)->program;
}

static int64_t os_pid(struct env *env) {
    (void)env;
    return getpid();
}

static void os_pause(struct env *env, uint64_t ns) {
    (void)env;
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static void os_note(struct env *env, uint64_t tag, uint64_t value) {
    (void)env;
    (void)tag;
    (void)value;
}

static bool os_terminal(struct env *env, int descriptor, unsigned *ret_columns) {
    (void)env;
    if (!isatty(descriptor))
        return false;
    struct winsize size;
    bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    if (ret_columns)
        *ret_columns = known ? size.ws_col : 80;
    return true;
}

enum troupe_error os_error(int number) {
    switch (number) {
    case 0:
        return TROUPE_OK;
    case ENOENT:
    case ENOTDIR:
        return TROUPE_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return TROUPE_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return TROUPE_DISK_FULL;
    case ENOMEM:
        return TROUPE_NOMEM;
    case ENAMETOOLONG:
        return TROUPE_LIMIT;
    default:
        return TROUPE_IO;
    }
}

enum troupe_error os_thread_start(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(ret_thread, NULL, fn, arg);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return failed ? TROUPE_NOMEM : TROUPE_OK; /* EAGAIN: no memory or a limit on threads */
}

/* A program started with a standard stream closed (`troupe ... >&-`) would get it for the first file it opens,
 * and prints would go into a database. */
static void standard_streams_open(void) {
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = dup(fd);
    if (fd >= 0)
        close(fd);
}

static void process_prepare(void) {
    standard_streams_open();
    struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGPIPE, &ignore, NULL) == 0);
    CHECK(sigaction(SIGXFSZ, &ignore, NULL) == 0);
    CHECK(sigaction(SIGCHLD, &standard, NULL) == 0);
}

static unsigned cores_usable(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more than 1024 CPUs do not fit the set */
    return online > 0 ? (unsigned)online : 1;
}

static void os_destroy(struct env *env) {
    struct os_env *os = (struct os_env *)env;
    CHECK(os->children_held == 0);
    os_jobs_close(os);
    if (os->loop_ready) {
        while (os->children) /* released and killed: what is left is to reap them */
            uv_run(&os->loop, UV_RUN_ONCE);
        os_signals_close(os);
        os_workers_close(os);
        uv_run(&os->loop, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&os->loop) == 0);
    }
    CHECK(atomic_load_explicit(&os->files_open, memory_order_relaxed) == 0); /* users are joined */
    CHECK(pthread_mutex_destroy(&os->random_lock) == 0);
    struct account *account = env->account;
    memory_free(account, os->read_bytes);
    memory_free(account, os);
}

const struct env_operations env_os_operations = {
    .destroy = os_destroy,
    .now = os_now,
    .utc = os_utc,
    .ticks = os_ticks,
    .ticks_per_ns = os_ticks_per_ns,
    .random = os_random,
    .cores = os_cores,
    .process_cpu = os_process_cpu,
    .thread_cpu = os_thread_cpu,
    .variable = os_variable,
    .program = os_program,
    .pid = os_pid,
    .pause = os_pause,
    .note = os_note,
    .workers_run = os_workers_run,
    .workers_stop = os_workers_stop,
    .worker_wake = os_worker_wake,
    .job_start = os_job_start,
    .jobs_wait = os_jobs_wait,
    .child_spawn = os_child_spawn,
    .child_write = os_child_write,
    .child_close_input = os_child_close_input,
    .child_pause = os_child_pause,
    .child_kill = os_child_kill,
    .child_cpu = os_child_cpu,
    .child_core_wait = os_child_core_wait,
    .child_pid = os_child_pid,
    .child_release = os_child_release,
    .signals = os_signals,
    .file_open = os_file_open,
    .file_read = os_file_read,
    .file_write = os_file_write,
    .file_append = os_file_append,
    .file_size = os_file_size,
    .file_truncate = os_file_truncate,
    .file_sync = os_file_sync,
    .file_lock = os_file_lock,
    .file_locked = os_file_locked,
    .file_close = os_file_close,
    .info = os_info,
    .make_directory = os_make_directory,
    .rename = os_rename,
    .sync_directory = os_sync_directory,
    .remove = os_remove,
    .list = os_list,
    .directory = os_directory,
    .terminal = os_terminal,
};

enum troupe_error env_os_create(struct account *account, struct env **ret_env) {
    struct os_env *os = memory_alloc_aligned(account, OS_CACHE_LINE, sizeof *os);
    if (!os)
        return TROUPE_NOMEM;
    memset(os, 0, sizeof *os);
    os->env.operations = &env_os_operations;
    os->env.account = account;
    os->signal_fd = -1;
    os->wake_fd = -1;
    os->random_used = ARRAY_COUNT(os->random_pool);
    CHECK(pthread_mutex_init(&os->random_lock, NULL) == 0);
    process_prepare();
    os->cores = cores_usable();
    os->ticks_invariant = ticks_are_invariant();
    ticks_pair(&os->ticks_origin, &os->ns_origin);
    ssize_t length = readlink("/proc/self/exe", os->program, sizeof os->program - 1);
    os->program[length > 0 ? length : 0] = 0;

    enum troupe_error error = TROUPE_NOMEM;
    os->read_bytes = memory_alloc(account, OS_READ_BYTES);
    if (!os->read_bytes)
        goto out;
    error = uv_loop_init(&os->loop) == 0 ? TROUPE_OK : TROUPE_IO;
    os->loop_ready = error == TROUPE_OK;
    if (!error)
        error = os_workers_prepare(os);
    if (!error)
        error = os_jobs_prepare(os);
out:
    if (error)
        os_destroy(&os->env);
    else
        *ret_env = &os->env;
    return error;
}
