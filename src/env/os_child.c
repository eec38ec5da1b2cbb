/* os_child: a running child: its pipes on the loop, its end, its usage.
 *
 * A child's life, and what ends it (all on worker 0):
 *
 *   spawned --pidfd readable--> ended: group killed, --both outputs drained--> exited() called
 *      |                          reaped, usage known                              |
 *      |                          |                                                |
 *      +-------- release ---------+------------------- release --------------------+
 *                                 v
 *              every handle closed by the loop --> memory freed
 *
 * Invariants: when the leader ends, what it left in its group is killed before it is reaped (its pid, and so
 *             the group's number, cannot be reused until then). A process that left the group may hold the
 *             pipes for ever, so after the end "would block" counts as the end of a stream. exited() comes
 *             after the last output(), once; while paused it waits. No callback after release.
 * Threads: worker 0.
 * Memory:  one block a child, and one for its unwritten input while there is any; freed when released,
 *          reaped, and its handles closed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "env/os_internal.h"

/* Descendants' CPU is read from /proc at most this often: a read costs 10 to 50 us, and what it gives is in
 * ticks of 10 ms. */
enum { CPU_READ_NS = 10000000 };

enum part { PART_INPUT, PART_OUTPUT, PART_ERRORS, PART_PROCESS, PART_COUNT };

struct os_child {
    struct env_child child;
    struct os_env *os;
    struct os_child *next, **link; /* in os_env.children */
    uv_poll_t poll[PART_COUNT];
    int fd[PART_COUNT];    /* -1: closed */
    unsigned handles_open; /* uv handles whose close callback has not run */
    int pid;
    bool ended; /* reaped; status and usage are known */
    bool told;  /* exited() was called */
    bool released;
    bool paused;
    bool input_closing;  /* close after what is queued */
    struct buffer input; /* from input_sent on: not yet taken by the pipe */
    size_t input_sent;   /* moved to the front only when it is the larger part: draining stays linear */
    size_t input_max;
    int status, signal;
    struct env_usage usage;
    bool clock_known; /* cpu_clock is the child's: asked for once, its pid is ours until it is reaped */
    clockid_t cpu_clock;
    int stat_fd;      /* /proc/PID/stat, opened on the first question; -1: not yet, or none */
    int schedstat_fd; /* /proc/PID/schedstat, the same */
    uint64_t descendants_cpu, descendants_read_ns;
    uint64_t core_wait; /* last read */
    struct env_child_events events;
};

static void child_settle(struct os_child *child);

static void child_free_when_over(struct os_child *child) {
    if (!child->released || !child->ended || child->handles_open)
        return;
    *child->link = child->next;
    if (child->next)
        child->next->link = child->link;
    if (child->stat_fd >= 0)
        close(child->stat_fd);
    if (child->schedstat_fd >= 0)
        close(child->schedstat_fd);
    buffer_free(&child->input);
    memory_free(child->os->env.account, child);
}

static void on_closed(uv_handle_t *handle) {
    struct os_child *child = handle->data;
    child->handles_open--;
    child_free_when_over(child);
}

static void part_close(struct os_child *child, enum part part) {
    if (child->fd[part] < 0)
        return;
    child->os->loop_changed = true;
    uv_close((uv_handle_t *)&child->poll[part], on_closed);
    close(child->fd[part]); /* allowed as soon as uv_close has returned */
    child->fd[part] = -1;
}

/* Reads what is there, within the turn's share. Any callback may pause, kill or release the child. */
static void stream_pump(struct os_child *child, enum part part) {
    enum env_stream stream = part == PART_OUTPUT ? ENV_STREAM_OUT : ENV_STREAM_ERR;
    for (int reads = 0; reads < OS_READS_PER_TURN && child->fd[part] >= 0 && !child->paused; reads++) {
        ssize_t got = read(child->fd[part], child->os->read_bytes, OS_READ_BYTES);
        if (got > 0) {
            if (!child->released)
                child->events.output(child->events.context, stream, child->os->read_bytes, (size_t)got);
            if (got < OS_READ_BYTES && !child->ended)
                return; /* most likely drained: the loop says when there is more, which saves a system call */
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN && !child->ended) {
            return;
        } else {
            part_close(child, part); /* its end, an error, or all there is after the process's end */
            if (part == PART_OUTPUT && !child->ended && !child->released && child->events.output_closed)
                child->events.output_closed(child->events.context);
        }
    }
}

static void on_output(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct os_child *child = handle->data;
    child->os->callbacks++;
    enum part part = handle == &child->poll[PART_OUTPUT] ? PART_OUTPUT : PART_ERRORS;
    stream_pump(child, part);
    child_settle(child);
}

static size_t input_queued(const struct os_child *child) {
    return child->input.length - child->input_sent;
}

static void input_drop(struct os_child *child) {
    buffer_free(&child->input);
    child->input_sent = 0;
}

static void on_input_ready(uv_poll_t *handle, int status, int events);

static void input_watch(struct os_child *child, bool watch) {
    uv_poll_t *poll = &child->poll[PART_INPUT];
    child->os->loop_changed = true;
    int failed = watch ? uv_poll_start(poll, UV_WRITABLE, on_input_ready) : uv_poll_stop(poll);
    CHECK(failed == 0); /* fails for closed handles only */
}

/* The bytes the pipe took; 0 when it is full; SIZE_MAX when nobody reads it any more. */
static size_t input_offer(struct os_child *child, const char *bytes, size_t length) {
    size_t taken = 0;
    while (taken < length) {
        ssize_t n = write(child->fd[PART_INPUT], bytes + taken, length - taken);
        if (n > 0)
            taken += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n < 0 && errno != EINTR)
            return SIZE_MAX;
    }
    return taken;
}

static void on_input_ready(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct os_child *child = handle->data;
    child->os->callbacks++;
    size_t taken = input_offer(child, child->input.bytes + child->input_sent, input_queued(child));
    if (taken == SIZE_MAX) {
        input_drop(child);
        part_close(child, PART_INPUT);
        return;
    }
    child->input_sent += taken;
    if (child->input_sent > child->input.length / 2 && input_queued(child)) {
        buffer_consume(&child->input, child->input_sent);
        child->input_sent = 0;
    }
    if (input_queued(child))
        return;
    input_drop(child); /* a worker that fell behind once should not keep its megabytes */
    if (child->input_closing)
        part_close(child, PART_INPUT);
    else
        input_watch(child, false);
}

enum troupe_error os_child_write(struct env_child *base, const char *bytes, size_t length) {
    struct os_child *child = (struct os_child *)base;
    if (child->fd[PART_INPUT] < 0 || child->input_closing)
        return TROUPE_DEAD;
    if (length > child->input_max || input_queued(child) > child->input_max - length)
        return TROUPE_FULL;
    bool queued = input_queued(child) > 0;
    size_t taken = 0;
    if (!queued) { /* straight into the pipe: an idle worker gets its line without a trip through the loop */
        taken = input_offer(child, bytes, length);
        if (taken == SIZE_MAX) {
            part_close(child, PART_INPUT);
            return TROUPE_DEAD;
        }
    }
    if (taken == length)
        return TROUPE_OK;
    buffer_append(&child->input, bytes + taken, length - taken);
    if (buffer_ok(&child->input) != TROUPE_OK) {
        /* Part of a line may be in the pipe, or the queue's end is lost: nothing sensible can follow. */
        input_drop(child);
        part_close(child, PART_INPUT);
        return TROUPE_NOMEM;
    }
    if (!queued)
        input_watch(child, true);
    return TROUPE_OK;
}

void os_child_close_input(struct env_child *base) {
    struct os_child *child = (struct os_child *)base;
    if (input_queued(child))
        child->input_closing = true;
    else
        part_close(child, PART_INPUT);
}

static void on_process(uv_poll_t *handle, int status, int events);

static void process_watch(struct os_child *child, bool watch) {
    uv_poll_t *poll = &child->poll[PART_PROCESS];
    if (child->fd[PART_PROCESS] < 0)
        return;
    child->os->loop_changed = true;
    int failed = watch ? uv_poll_start(poll, UV_READABLE, on_process) : uv_poll_stop(poll);
    CHECK(failed == 0);
}

static void streams_watch(struct os_child *child) {
    child->os->loop_changed = true;
    for (enum part part = PART_OUTPUT; part <= PART_ERRORS; part++) {
        if (child->fd[part] < 0)
            continue;
        int failed = child->paused ? uv_poll_stop(&child->poll[part])
                                   : uv_poll_start(&child->poll[part], UV_READABLE, on_output);
        CHECK(failed == 0);
    }
}

void os_child_pause(struct env_child *base, bool paused) {
    struct os_child *child = (struct os_child *)base;
    if (child->paused == paused)
        return;
    child->paused = paused;
    streams_watch(child);
    if (child->ended)
        process_watch(child, !paused);
}

static uint64_t timeval_ns(struct timeval value) {
    return (uint64_t)value.tv_sec * 1000000000u + (uint64_t)value.tv_usec * 1000u;
}

/* A file of /proc/PID as text, 0 when it cannot be read. The descriptor is kept: a read without the path walk. */
static size_t process_read(const struct os_child *child, int *fd, const char *name, char *text, size_t size) {
    if (*fd < 0) {
        char path[48];
        snprintf(path, sizeof path, "/proc/%d/%s", child->pid, name);
        *fd = open(path, O_RDONLY | O_CLOEXEC);
        if (*fd < 0)
            return 0;
    }
    ssize_t length = pread(*fd, text, size - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = 0;
    return (size_t)length;
}

/* "RUNNING WAITED SLICES" of the main thread, in ns. It reads the task and answers it, so each ns that it waits
 * is one of the answer's; over all threads the waits overlap and add up to more than the time that passed. 0.6
 * us, so the caller need not be held off. A system that does not count says 0 for a process that has run. */
static void core_wait_read(struct os_child *child) {
    char text[96], *end;
    if (process_read(child, &child->schedstat_fd, "schedstat", text, sizeof text) == 0)
        return;
    uint64_t ran = strtoull(text, &end, 10), waited = strtoull(end, NULL, 10);
    if (ran > 0)
        child->core_wait = waited;
}

/* The process is a zombie: kill what it left, then reap it. */
static void child_reap(struct os_child *child) {
    kill(-child->pid, SIGKILL);
    core_wait_read(child); /* a zombie's is whole, and goes with it */
    int status = 0;
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    int reaped;
    while ((reaped = wait4(child->pid, &status, 0, &usage)) < 0 && errno == EINTR) {
    }
    CHECK(reaped == child->pid);
    child->ended = true;
    child->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    child->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->usage.cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    child->usage.rss_bytes_max = (uint64_t)usage.ru_maxrss * 1024u;
}

/* Told once both outputs are drained. Until then the pidfd stays watched (unless paused): readable for good,
 * it is what brings the loop back to streams that hold more than one turn's share, or that others keep open.
 */
static void child_settle(struct os_child *child) {
    if (!child->ended || child->told || child->fd[PART_OUTPUT] >= 0 || child->fd[PART_ERRORS] >= 0)
        return;
    child->told = true;
    part_close(child, PART_PROCESS);
    part_close(child, PART_INPUT);
    if (!child->released)
        child->events.exited(child->events.context, child->status, child->signal, &child->usage);
}

static void on_process(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct os_child *child = handle->data;
    child->os->callbacks++;
    if (!child->ended)
        child_reap(child);
    stream_pump(child, PART_OUTPUT);
    stream_pump(child, PART_ERRORS);
    child_settle(child);
    if (child->paused)
        process_watch(child, false);
}

enum troupe_error os_child_spawn(struct env *env, const struct env_child_spec *spec,
                                 struct env_child **ret_child, struct fault *fault) {
    struct os_env *os = (struct os_env *)env;
    struct os_child *child = memory_alloc(env->account, sizeof *child);
    if (!child)
        return fault_set(fault, TROUPE_NOMEM, spec->argv[0], "out of memory starting the program");
    struct os_spawned spawned;
    enum troupe_error error = os_spawn(os, spec, &spawned, fault);
    if (error) {
        memory_free(env->account, child);
        return error;
    }
    child->child.env = env;
    child->os = os;
    child->pid = spawned.pid;
    child->stat_fd = child->schedstat_fd = -1;
    child->core_wait = ENV_UNKNOWN;
    child->events = spec->events;
    child->input_max = spec->input_bytes_max ? spec->input_bytes_max : ENV_INPUT_DEFAULT;
    buffer_init(&child->input, env->account,
                0); /* the bound is kept in os_child_write: sent bytes may still be in front */
    int fds[PART_COUNT] = {spawned.input, spawned.output, spawned.errors, spawned.pid_fd};
    for (enum part part = 0; part < PART_COUNT; part++) {
        child->fd[part] = fds[part];
        CHECK(uv_poll_init(&os->loop, &child->poll[part], fds[part]) ==
              0); /* the descriptors can be polled */
        child->poll[part].data = child;
        child->handles_open++;
    }
    streams_watch(child);
    process_watch(child, true);
    child->link = &os->children;
    child->next = os->children;
    if (child->next)
        child->next->link = &child->next;
    os->children = child;
    os->children_held++;
    *ret_child = &child->child;
    return TROUPE_OK;
}

void os_child_kill(struct env_child *base, int signal) {
    struct os_child *child = (struct os_child *)base;
    if (!child->ended)
        kill(-child->pid, signal); /* ESRCH cannot be: an unreaped leader keeps its group */
}

/* utime and stime of waited-for descendants, fields 16 and 17, in clock ticks (10 ms). The name in field 2 may
 * hold anything, so fields are counted from its last ')'. */
static uint64_t descendants_cpu(struct os_child *child) {
    char text[1024];
    if (process_read(child, &child->stat_fd, "stat", text, sizeof text) == 0)
        return 0;
    char *at = strrchr(text, ')');
    if (!at)
        return 0;
    for (int field = 2; field < 16; field++) {
        at = strchr(at + 1, ' ');
        if (!at)
            return 0;
    }
    char *end;
    uint64_t ticks = strtoull(at, &end, 10);
    ticks += strtoull(end, NULL, 10);
    return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t os_child_cpu(struct env_child *base) {
    struct os_child *child = (struct os_child *)base;
    if (child->ended)
        return child->usage.cpu_ns;
    if (!child->clock_known && clock_getcpuclockid(child->pid, &child->cpu_clock) != 0)
        return 0;
    child->clock_known = true;
    struct timespec own;
    if (clock_gettime(child->cpu_clock, &own) != 0)
        return 0;
    uint64_t now = os_now(&child->os->env);
    if (now - child->descendants_read_ns >= CPU_READ_NS) {
        uint64_t read = descendants_cpu(child);
        if (read > child->descendants_cpu)
            child->descendants_cpu = read;
        child->descendants_read_ns = now;
    }
    return (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec + child->descendants_cpu;
}

uint64_t os_child_core_wait(struct env_child *base) {
    struct os_child *child = (struct os_child *)base;
    if (!child->ended)
        core_wait_read(child);
    return child->core_wait;
}

int64_t os_child_pid(const struct env_child *base) {
    return ((const struct os_child *)base)->pid;
}

void os_child_release(struct env_child *base) {
    struct os_child *child = (struct os_child *)base;
    CHECK(!child->released);
    child->released = true;
    child->os->children_held--;
    input_drop(child);
    part_close(child, PART_INPUT);
    part_close(child, PART_OUTPUT);
    part_close(child, PART_ERRORS);
    if (!child->ended)
        kill(-child->pid, SIGKILL); /* on_process reaps it, and the last handle's close frees it */
    else
        part_close(child, PART_PROCESS);
    child_free_when_over(child);
}
