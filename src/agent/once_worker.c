/* `troupe worker-once`: turns a plain command into a worker. For each task the command runs once, its
 * {placeholders} filled with the configuration; its output goes to standard error (the run's log), and the
 * metrics are found in it.
 *
 *           exec fails                    exits, or is killed
 *   spawned ----------> error    running ---------------------> reaped -> group killed -> output drained -> answer
 *                                   | time is up, cancel, end of input, SIGTERM
 *                                   +--> SIGTERM to its group, SIGKILL a second later or just before the deadline
 *
 * Invariants: when a task is answered nothing of its process group is left. The command dies with this
 *             process (parent-death signal), and this process ends the group when Troupe dies, which it sees
 *             as SIGTERM or end of input.
 * Threads: one.
 * Memory:  bounded, whatever the command prints. Runs in a child: plain POSIX, see worker_loop.h. */
#include "agent/once_text.h"
#include "agent/worker_loop.h"
#include "agent/worker_main.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 256, COMMAND_BYTES_MAX = 1 << 20, MILLISECOND = 1000000, SLICES_MAX = 64 };
#define SECOND 1000000000u

struct once_worker {
    struct account *account;
    char **command; /* NULL-terminated, with placeholders */
    const char *metrics[METRICS_MAX];
    unsigned metric_count;
    uint64_t timeout_ns; /* 0: none */
    int64_t instance;
    struct document *start; /* a copy of `start`, for its capabilities */
};

/* One run of the command. */
struct once_run {
    const struct once_worker *worker;
    struct worker_loop *loop;
    const struct worker_task *task;
    struct once_metric metrics[METRICS_MAX];
    struct once_scan output, errors;
    pid_t process;
    int out, err;
    uint64_t core_wait_ns;                 /* once it is reaped */
    uint64_t started_ns, stop_ns, kill_ns; /* when SIGTERM and SIGKILL are due */
    const char *stopping;                  /* why it was sent SIGTERM; NULL: it was not */
    bool deadline_stops;                   /* stop_ns is the task's deadline, not --timeout */
    bool killed;
    int status;
    struct rusage usage;
};

/* ---- signals: both are turned into something that poll sees ---- */

static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t terminated;

static void on_signal(int number) {
    int saved = errno;
    if (number == SIGTERM)
        terminated = 1;
    ssize_t written = write(signal_pipe[1], "", 1); /* full: there is something to read already */
    (void)written;
    errno = saved;
}

static bool signals_set(void) {
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    /* Troupe's death comes as SIGTERM, so that the command's group can be ended before this process is. */
    return sigaction(SIGCHLD, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0 &&
           prctl(PR_SET_PDEATHSIG, SIGTERM) == 0;
}

static void signals_taken(void) {
    char bytes[64];
    while (read(signal_pipe[0], bytes, sizeof bytes) > 0)
        continue;
}

/* ---- the command line ---- */

struct fill {
    const struct once_worker *worker;
    const struct worker_task *task;
    const struct node *variables;
    char text[400]; /* of the value looked up last */
    struct buffer number;
};

static const char *fill_value(void *context, const char *name) {
    struct fill *fill = context;
    const struct node *node = node_get(fill->variables, name);
    if (node && (node_kind(node) == DOCUMENT_REAL || node_kind(node) == DOCUMENT_INT)) {
        struct json json; /* the shortest text that reads back the same */
        buffer_clear(&fill->number);
        json_init(&json, &fill->number);
        node_write_json(node, &json);
        return buffer_string(&fill->number);
    }
    if (node)
        return node_text(node);
    if (strcmp(name, "artifact_dir") == 0)
        return fill->task->artifact_directory;
    const struct node *seed = node_get(fill->task->members, "seed");
    if (strcmp(name, "trial") == 0)
        snprintf(fill->text, sizeof fill->text, "%" PRIu32, fill->task->trial);
    else if (strcmp(name, "instance") == 0)
        snprintf(fill->text, sizeof fill->text, "%" PRId64, fill->worker->instance);
    else if (strcmp(name, "seed") == 0 && seed && node_kind(seed) == DOCUMENT_INT)
        snprintf(fill->text, sizeof fill->text, "%" PRId64, node_int(seed));
    else
        return NULL;
    return fill->text;
}

static const char *const always_known[] = {"trial", "seed", "instance", "artifact_dir"};

/* Fills `arguments`, whose texts live in `arena`. */
static enum troupe_error command_fill(const struct once_worker *worker, const struct worker_task *task,
                                      struct arena *arena, char **arguments, struct fault *fault) {
    struct fill fill = {.worker = worker, .task = task, .variables = node_get(task->members, "variables")};
    const char *names[SLICES_MAX + ARRAY_COUNT(always_known)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(always_known); i++)
        names[count++] = always_known[i];
    for (size_t i = 0; i < node_count(fill.variables) && count < ARRAY_COUNT(names); i++)
        names[count++] = node_key_at(fill.variables, i);
    struct buffer text;
    buffer_init(&text, worker->account, COMMAND_BYTES_MAX);
    buffer_init(&fill.number, worker->account, 0);
    enum troupe_error error = TROUPE_OK;
    for (size_t i = 0; worker->command[i] && error == TROUPE_OK; i++) {
        buffer_clear(&text);
        error = once_fill(worker->command[i], fill_value, &fill, names, count, &text, fault);
        if (error == TROUPE_OK && !(arguments[i] = arena_copy(arena, buffer_string(&text), text.length)))
            error = fault_set(fault, TROUPE_NOMEM, worker->command[i], "out of memory");
    }
    buffer_free(&text);
    buffer_free(&fill.number);
    return error;
}

struct known {
    const char *const *names;
    size_t count;
};

static const char *known_name(void *context, const char *name) {
    const struct known *known = context;
    for (size_t i = 0; i < known->count; i++)
        if (strcmp(known->names[i], name) == 0)
            return name;
    for (size_t i = 0; i < ARRAY_COUNT(always_known); i++)
        if (strcmp(always_known[i], name) == 0)
            return name;
    return NULL;
}

enum troupe_error once_check_command(const char *const *argv, const char *const *names, size_t count,
                                     struct fault *fault) {
    struct account account = ACCOUNT("once-check");
    struct known known = {names, count};
    enum troupe_error error = TROUPE_OK;
    for (size_t i = 0; argv[i] && error == TROUPE_OK; i++) {
        struct buffer text;
        buffer_init(&text, &account, COMMAND_BYTES_MAX);
        error = once_fill(argv[i], known_name, &known, names, count, &text, fault);
        buffer_free(&text);
    }
    return error;
}

/* ---- running it ---- */

/* In the new process, between fork and exec: async-signal-safe calls only. */
static void become_command(char **arguments, int out, int err, int failure, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* died before the line above */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execvp(arguments[0], arguments);
    int cause = errno;
    ssize_t written = write(failure, &cause, sizeof cause);
    (void)written;
    _exit(127);
}

static void close_all(int *descriptors, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

/* 0, or the errno of what failed. */
static int spawn(struct once_run *run, char **arguments) {
    int pipes[6] = {-1, -1, -1, -1, -1, -1}; /* output, errors, exec failure: read and write end of each */
    for (unsigned i = 0; i < 3; i++)
        if (pipe2(pipes + 2 * i, O_CLOEXEC) != 0) {
            int cause = errno;
            close_all(pipes, ARRAY_COUNT(pipes));
            return cause;
        }
    fflush(NULL);
    pid_t self = getpid(), process = fork();
    if (process == 0)
        become_command(arguments, pipes[1], pipes[3], pipes[5], self);
    int cause = process < 0 ? errno : 0;
    close(pipes[1]);
    close(pipes[3]);
    close(pipes[5]);
    if (process > 0) {
        setpgid(process, process); /* also here: whichever comes first */
        ssize_t count;
        do
            count = read(pipes[4], &cause, sizeof cause);
        while (count < 0 && errno == EINTR);
        if (count == (ssize_t)sizeof cause)
            while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
                continue;
        else
            cause = 0;
    }
    close(pipes[4]);
    if (cause != 0) {
        close(pipes[0]);
        close(pipes[2]);
        return cause;
    }
    run->process = process;
    run->out = pipes[0];
    run->err = pipes[2];
    fcntl(run->out, F_SETFL, O_NONBLOCK);
    fcntl(run->err, F_SETFL, O_NONBLOCK);
    return 0;
}

static void forward(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            return; /* the log is gone; the task is not */
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/* Reads what there is, at most SLICES_MAX buffers, so that a command that never stops printing cannot keep
 * the loop from its deadline. Closes the stream at its end. */
static void drain(int *stream, struct once_scan *scan) {
    char bytes[16384];
    for (int slice = 0; *stream >= 0 && slice < SLICES_MAX; slice++) {
        ssize_t count = read(*stream, bytes, sizeof bytes);
        if (count > 0) {
            once_scan_bytes(scan, bytes, (size_t)count);
            forward(bytes, (size_t)count);
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
            close(*stream);
            *stream = -1;
        } else
            return;
    }
}

/* SIGKILL follows `patience_ns` later; told again, the shorter one counts. */
static void stop_group(struct once_run *run, const char *why, uint64_t patience_ns, uint64_t now) {
    if (now + patience_ns < run->kill_ns)
        run->kill_ns = now + patience_ns;
    if (run->stopping)
        return;
    run->stopping = why;
    kill(-run->process, SIGTERM);
}

/* Limits: --timeout stops the command, then kills it a second later. Before the task's own deadline, when
 * Troupe would kill this process too, both are done in time to still answer. */
static void limits_set(struct once_run *run) {
    run->stop_ns = run->kill_ns = UINT64_MAX;
    if (run->worker->timeout_ns > 0)
        run->stop_ns = run->started_ns + run->worker->timeout_ns;
    uint64_t deadline = run->task->deadline_ns;
    if (deadline == UINT64_MAX)
        return;
    uint64_t left = deadline > run->started_ns ? deadline - run->started_ns : 0;
    uint64_t margin = left / 8 < 250u * MILLISECOND ? left / 8 : 250u * MILLISECOND;
    if (deadline - margin < run->stop_ns) {
        run->stop_ns = deadline - margin;
        run->deadline_stops = true;
    }
    run->kill_ns = deadline - margin / 2;
}

static int wait_ms(const struct once_run *run, uint64_t now) {
    uint64_t due = run->stopping ? run->kill_ns : run->stop_ns < run->kill_ns ? run->stop_ns : run->kill_ns;
    if (run->killed || due == UINT64_MAX)
        return -1;
    if (due <= now)
        return 0;
    uint64_t wait = (due - now + MILLISECOND - 1) / MILLISECOND;
    return wait > INT32_MAX ? INT32_MAX : (int)wait;
}

/* How long the exited leader, not what it started, could run and had no core; known until it is waited for. */
static uint64_t core_wait(pid_t process) {
    char path[48], text[96], *end;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)process);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = '\0';
    uint64_t ran = strtoull(text, &end, 10), waited = strtoull(end, NULL, 10);
    return ran > 0 ? waited : CORE_WAIT_UNKNOWN; /* a system that does not count says 0 */
}

/* Ends the group before the exited leader is waited for: until then its number cannot be given to another
 * process. */
static bool reaped(struct once_run *run) {
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)run->process, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != run->process)
        return false;
    kill(-run->process, SIGKILL); /* what it left in the background must not outlive its task */
    run->core_wait_ns = core_wait(run->process);
    return wait4(run->process, &run->status, 0, &run->usage) == run->process;
}

/* Until the command has exited and been waited for; its output is read all the while. */
static void attend(struct once_run *run) {
    for (;;) {
        uint64_t now = worker_now();
        struct pollfd streams[4] = {{.fd = run->out, .events = POLLIN},
                                    {.fd = run->err, .events = POLLIN},
                                    {.fd = signal_pipe[0], .events = POLLIN},
                                    {.fd = worker_loop_input(run->loop), .events = POLLIN}};
        poll(streams, ARRAY_COUNT(streams), wait_ms(run, now));
        now = worker_now();
        if (streams[0].revents)
            drain(&run->out, &run->output);
        if (streams[1].revents)
            drain(&run->err, &run->errors);
        signals_taken();
        if (reaped(run))
            return;
        if (streams[3].revents && worker_loop_cancelled(run->loop, run->task))
            stop_group(run, "cancelled", worker_loop_patience(run->loop, run->task, SECOND), now);
        if (reaped(run)) /* reading the input may have taken the byte that told of it */
            return;
        if (terminated || worker_loop_input_ended(run->loop))
            stop_group(run, "stopped with its worker", SECOND, now);
        if (now >= run->stop_ns)
            stop_group(run, "timed out", SECOND, now);
        if (now >= run->kill_ns && !run->killed) {
            kill(-run->process, SIGKILL);
            run->killed = true;
        }
    }
}

/* ---- the answer ---- */

static bool has_number(const struct once_metric *metric) {
    return metric->seen && isfinite(metric->value);
}

static void describe_failure(const struct once_run *run, struct task_result *result) {
    const char *last = run->errors.last_line[0] ? run->errors.last_line : run->output.last_line;
    const char *before = last[0] ? ": " : "";
    result->error = TROUPE_WORKER;
    char seconds[32];
    if (run->stopping) {
        text_format_duration(seconds, (int64_t)(worker_now() - run->started_ns));
        snprintf(result->message, sizeof result->message, "%s after %s%s%s", run->stopping, seconds, before,
                 last);
        bool late = strcmp(run->stopping, "timed out") == 0;
        result->error = !late ? TROUPE_CANCELLED : run->deadline_stops ? TROUPE_DEADLINE : TROUPE_TIMEOUT;
    } else if (WIFSIGNALED(run->status)) {
        snprintf(result->message, sizeof result->message, "%s was killed by signal %d (%s)%s%s",
                 run->worker->command[0], WTERMSIG(run->status), strsignal(WTERMSIG(run->status)), before,
                 last);
        result->retryable = true;
    } else
        snprintf(result->message, sizeof result->message, "%s exited with status %d%s%s",
                 run->worker->command[0], WEXITSTATUS(run->status), before, last);
}

static void describe_metrics(const struct once_run *run, struct task_result *result) {
    for (unsigned i = 0; i < run->worker->metric_count; i++) {
        const struct once_metric *metric = &run->metrics[i];
        if (has_number(metric)) {
            struct metric *to = &result->metrics[result->metric_count++];
            snprintf(to->name, sizeof to->name, "%s", metric->name);
            to->value = metric->value;
            continue;
        }
        result->error = metric->seen ? TROUPE_WORKER : TROUPE_NO_OBJECTIVE;
        if (metric->seen)
            snprintf(result->message, sizeof result->message, "metric '%s' is %g; expected a finite number",
                     metric->name, metric->value);
        else
            snprintf(result->message, sizeof result->message,
                     "%.80s printed no '%s'; expected a line such as %s=0.93 or {\"%s\": 0.93}%s%.120s",
                     run->worker->command[0], metric->name, metric->name, metric->name,
                     run->output.last_line[0] ? "; the last line: " : "; it printed nothing",
                     run->output.last_line);
        return;
    }
}

/* The model of a command is the one file that it left in {artifact_dir}. */
static void find_artifact(const struct once_run *run, struct task_result *result) {
    DIR *directory = run->task->artifact_directory ? opendir(run->task->artifact_directory) : NULL;
    if (!directory)
        return;
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat info;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(info.st_mode) || strlen(entry->d_name) >= sizeof result->artifact)
            continue;
        if (files++ == 0)
            memcpy(result->artifact, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(directory);
    if (files > 1) {
        result->artifact[0] = '\0';
        worker_loop_log(run->loop, run->task,
                        "several files in {artifact_dir}: none is kept; write one (an archive)");
    }
}

static uint64_t timeval_ns(struct timeval time) {
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_usec * 1000u;
}

static void run_command(struct once_run *run, char **arguments, struct task_result *result) {
    int cause = spawn(run, arguments);
    if (cause != 0) {
        result->error = cause == ENOENT ? TROUPE_NOT_FOUND : TROUPE_WORKER;
        snprintf(result->message, sizeof result->message, "cannot run %.200s: %s", arguments[0],
                 strerror(cause));
        return;
    }
    run->started_ns = worker_now();
    limits_set(run);
    attend(run);
    drain(&run->out, &run->output);
    drain(&run->err, &run->errors);
    once_scan_end(&run->output);
    once_scan_end(&run->errors);
    result->cpu_ns = timeval_ns(run->usage.ru_utime) + timeval_ns(run->usage.ru_stime);
    result->core_wait_ns = run->core_wait_ns;
    if (run->stopping || !WIFEXITED(run->status) || WEXITSTATUS(run->status) != 0)
        describe_failure(run, result);
    else
        describe_metrics(run, result);
    if (result->error == TROUPE_OK)
        find_artifact(run, result);
}

static enum troupe_error once_task(void *context, struct worker_loop *loop, const struct worker_task *task,
                                   struct task_result **ret_result) {
    struct once_worker *worker = context;
    struct task_result *result = task_result_new(worker->account, NULL, 0);
    if (!result)
        return TROUPE_NOMEM;
    struct once_run run = {.worker = worker, .loop = loop, .task = task, .out = -1, .err = -1};
    for (unsigned i = 0; i < worker->metric_count; i++)
        run.metrics[i].name = worker->metrics[i];
    once_scan_init(&run.output, worker->account, run.metrics, worker->metric_count);
    once_scan_init(&run.errors, worker->account, NULL, 0);
    struct arena arena;
    arena_init(&arena, worker->account);
    char *arguments[ARGUMENTS_MAX + 1] = {0};
    struct fault fault = {0};
    enum troupe_error error = command_fill(worker, task, &arena, arguments, &fault);
    if (error != TROUPE_OK) {
        result->error = error;
        snprintf(result->message, sizeof result->message, "%.200s: %.280s", fault.where, fault.text);
    } else
        run_command(&run, arguments, result);
    int streams[] = {run.out, run.err};
    close_all(streams, ARRAY_COUNT(streams));
    once_scan_free(&run.output);
    once_scan_free(&run.errors);
    arena_free(&arena);
    *ret_result = result;
    return TROUPE_OK;
}

/* ---- the worker ---- */

static bool once_ended(void *context) {
    (void)context;
    signals_taken(); /* first: a byte that is taken here was written after `terminated` was set */
    return terminated;
}

static enum troupe_error once_start(void *context, const struct node *start, struct fault *fault) {
    struct once_worker *worker = context;
    const struct node *instance = node_get(start, "instance");
    worker->instance = instance && node_kind(instance) == DOCUMENT_INT ? node_int(instance) : 0;
    struct buffer text;
    buffer_init(&text, worker->account, 0);
    struct json json;
    json_init(&json, &text);
    const struct node *capabilities = node_get(start, "capabilities");
    if (capabilities)
        node_write_json(capabilities, &json);
    enum troupe_error error = buffer_ok(&text);
    if (error == TROUPE_OK)
        error = document_parse_json(buffer_string(&text), text.length, "start", NULL, &worker->start, fault);
    buffer_free(&text);
    return error;
}

/* A command has no capabilities of its own: it does what the pipeline file says. */
static void once_capabilities(void *context, struct json *json) {
    const struct once_worker *worker = context;
    const struct node *list = document_root(worker->start);
    for (size_t i = 0; i < node_count(list); i++)
        json_string(json, node_text(node_at(list, i)));
}

static enum troupe_error arguments_read(struct once_worker *worker, int argc, char **argv,
                                        struct fault *fault) {
    int at = 0;
    for (; at < argc && strcmp(argv[at], "--") != 0; at += 2) {
        const char *value = at + 1 < argc ? argv[at + 1] : NULL;
        int64_t timeout_ns = 0;
        if (strcmp(argv[at], "--metric") == 0 && value && strlen(value) - 1 < METRIC_NAME_MAX) {
            if (worker->metric_count == METRICS_MAX)
                return fault_set(fault, TROUPE_LIMIT, "--metric", "at most %d", METRICS_MAX);
            worker->metrics[worker->metric_count++] = value;
        } else if (strcmp(argv[at], "--timeout") == 0 && value &&
                   text_duration(value, &timeout_ns) == TROUPE_OK && timeout_ns > 0)
            worker->timeout_ns = (uint64_t)timeout_ns;
        else
            return fault_set(fault, TROUPE_USAGE, "worker-once",
                             "%s %s: expected --metric NAME, --timeout DURATION or -- COMMAND", argv[at],
                             value ? value : "");
    }
    worker->command = at < argc ? argv + at + 1 : NULL;
    if (!worker->command || !worker->command[0] || worker->metric_count == 0)
        return fault_set(fault, TROUPE_USAGE, "worker-once", "expected --metric NAME ... -- COMMAND ARGS...");
    if (argc - at - 1 > ARGUMENTS_MAX)
        return fault_set(fault, TROUPE_LIMIT, "worker-once", "a command of %d words; at most %d",
                         argc - at - 1, ARGUMENTS_MAX);
    return TROUPE_OK;
}

int once_worker_main(int argc, char **argv) {
    struct account account = ACCOUNT("worker-once");
    struct once_worker worker = {.account = &account};
    struct worker_streams streams;
    struct fault fault = {0};
    enum troupe_error error = arguments_read(&worker, argc, argv, &fault);
    if (error == TROUPE_OK)
        error = worker_streams_take(&streams, &fault);
    if (error == TROUPE_OK && !signals_set())
        error = fault_set(&fault, TROUPE_IO, "worker-once", "signals: %s", strerror(errno));
    if (error != TROUPE_OK) {
        fprintf(stderr, "%s: %s\n", fault.where, fault.text);
        return error_exit_status(error);
    }
    struct worker_service service = {.context = &worker,
                                     .name = "worker-once",
                                     .start = once_start,
                                     .capabilities = once_capabilities,
                                     .task = once_task,
                                     .ended = once_ended,
                                     .wake = signal_pipe[0]};
    int status = worker_loop_run(&account, &streams, &service);
    document_free(worker.start);
    return status;
}
