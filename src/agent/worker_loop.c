/* The worker's side of the worker protocol: lines in, one task at a time to the service, answers out.
 *
 * Invariants: every task that is read is answered exactly once; an answer is written before the next task is
 *             begun, so it never waits behind one. Lines that arrive during a task are only peeked at, for
 *             `cancel`, and taken in order.
 * Threads: one.
 * Memory:  the given account; the input holds at most INPUT_MAX bytes, then the pipe does the waiting. Runs
 *          in a child: plain POSIX here is not reached from Troupe's process. */
#include "agent/worker_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 1 << 20,
    INPUT_MAX = 4 * LINE_MAX_BYTES,
    READ_BYTES = 1 << 16,
    CANCELLED_MAX = 64,
    ID_MAX = 255,
    GRACE_MS_MAX = 86400000
};

struct worker_loop {
    struct account *account;
    const struct worker_service *service;
    int input, output;
    struct buffer in, out;
    size_t taken;  /* bytes of `in` that were handled */
    size_t peeked; /* bytes of `in` that were searched for cancels; at least `taken` */
    bool ended;    /* no more input comes */
    bool broken;   /* an answer could not be written */
    bool stopped;
    bool started;
    char cancelled[CANCELLED_MAX][ID_MAX + 1]; /* the newest ones; a ring */
    uint64_t grace_ns[CANCELLED_MAX];          /* of each, until this process is killed for it */
    unsigned cancelled_next;
};

uint64_t worker_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t usage_ns(int who) {
    struct rusage usage;
    if (getrusage(who, &usage) != 0)
        return 0;
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

uint64_t worker_cpu_used(void) {
    return usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN);
}

/* ---- output ---- */

static void write_all(struct worker_loop *loop) {
    size_t at = 0;
    while (at < loop->out.length && !loop->broken) {
        ssize_t written = write(loop->output, loop->out.bytes + at, loop->out.length - at);
        if (written > 0)
            at += (size_t)written;
        else if (errno != EINTR)
            loop->broken = true; /* nobody reads any more */
    }
    buffer_clear(&loop->out);
}

/* Every message is an object that begins with its type; end_line finishes and sends it. */
static struct json begin_line(struct worker_loop *loop, const char *type) {
    struct json json;
    json_init(&json, &loop->out);
    json_object_begin(&json);
    json_field_string(&json, "type", type);
    return json;
}

static void end_line(struct worker_loop *loop, struct json *json) {
    json_object_end(json);
    buffer_text(&loop->out, "\n");
    if (buffer_ok(&loop->out) != TROUPE_OK) { /* no memory for an answer: Troupe sees a worker that died */
        loop->broken = true;
        return;
    }
    write_all(loop);
}

static void say_error(struct worker_loop *loop, const char *id, uint32_t attempt, const char *message) {
    struct json json = begin_line(loop, "error");
    if (id) {
        json_field_string(&json, "id", id);
        json_field_int(&json, "attempt", attempt);
    }
    json_field_string(&json, "message", message);
    json_field_bool(&json, "retryable", false);
    end_line(loop, &json);
}

static void say_hello(struct worker_loop *loop) {
    struct json json = begin_line(loop, "hello");
    json_field_int(&json, "protocol", 1);
    json_key(&json, "capabilities");
    json_array_begin(&json);
    loop->service->capabilities(loop->service->context, &json);
    json_array_end(&json);
    json_field_string(&json, "name", loop->service->name);
    end_line(loop, &json);
}

static void say_usage(struct json *json, const struct task_result *result) {
    if (result->cpu_ns == 0)
        return;
    json_key(json, "usage");
    json_object_begin(json);
    json_field_real(json, "cpu_ms", (double)(result->cpu_ns / 1000) / 1000);
    if (result->core_wait_ns != CORE_WAIT_UNKNOWN)
        json_field_real(json, "core_wait_ms", (double)(result->core_wait_ns / 1000) / 1000);
    json_object_end(json);
}

static void say_result(struct worker_loop *loop, const struct worker_task *task,
                       const struct task_result *result) {
    bool failed = result->error != TROUPE_OK;
    struct json json = begin_line(loop, failed ? "error" : "result");
    json_field_string(&json, "id", task->id);
    json_field_int(&json, "attempt", task->attempt);
    if (failed) {
        json_field_string(&json, "message", result->message);
        json_field_bool(&json, "retryable", result->retryable);
        if (result->error == TROUPE_DEADLINE)
            json_field_bool(&json, "deadline", true);
    } else {
        if (result->value)
            json_field_raw(&json, "value", result->value, result->value_length);
        json_key(&json, "metrics");
        json_object_begin(&json);
        for (unsigned i = 0; i < result->metric_count; i++)
            json_field_real(&json, result->metrics[i].name, result->metrics[i].value);
        json_object_end(&json);
        if (result->artifact[0])
            json_field_string(&json, "artifact", result->artifact);
    }
    say_usage(&json, result);
    end_line(loop, &json);
}

void worker_loop_progress(struct worker_loop *loop, const struct worker_task *task, int64_t step,
                          const char *metric, double value) {
    struct json json = begin_line(loop, "progress");
    json_field_string(&json, "id", task->id);
    json_field_int(&json, "attempt", task->attempt);
    json_field_int(&json, "step", step);
    json_key(&json, "metrics");
    json_object_begin(&json);
    json_field_real(&json, metric, value);
    json_object_end(&json);
    end_line(loop, &json);
}

void worker_loop_log(struct worker_loop *loop, const struct worker_task *task, const char *text) {
    struct json json = begin_line(loop, "log");
    if (task)
        json_field_string(&json, "id", task->id);
    json_field_string(&json, "message", text);
    end_line(loop, &json);
}

/* ---- input ---- */

/* Reads what there is, at most READ_BYTES; waits for it when `wait`. */
static void read_some(struct worker_loop *loop, bool wait) {
    if (loop->taken > 0) {
        buffer_consume(&loop->in, loop->taken);
        loop->peeked -= loop->taken;
        loop->taken = 0;
    }
    const struct worker_service *service = loop->service;
    if (service->ended && service->ended(service->context))
        loop->ended = true;
    if (loop->ended || loop->in.length >= INPUT_MAX)
        return;
    struct pollfd ready[2] = {{.fd = loop->input, .events = POLLIN},
                              {.fd = wait ? service->wake : -1, .events = POLLIN}};
    if (poll(ready, 2, wait ? -1 : 0) <= 0 || ready[0].revents == 0)
        return; /* next_line comes back */
    char bytes[READ_BYTES];
    ssize_t count = read(loop->input, bytes, sizeof bytes);
    if (count > 0)
        buffer_append(&loop->in, bytes, (size_t)count);
    else if (count == 0 || (errno != EINTR && errno != EAGAIN))
        loop->ended = true;
}

static void note_cancel(struct worker_loop *loop, const char *line, size_t length) {
    struct document *document = NULL;
    if (document_parse_json(line, length, "stdin", NULL, &document, NULL) != TROUPE_OK)
        return; /* reported when its turn comes */
    const struct node *root = document_root(document);
    const char *type = node_text(node_get(root, "type"));
    const char *id = node_text(node_get(root, "id"));
    if (type && id && strcmp(type, "cancel") == 0 && strlen(id) <= ID_MAX) {
        const struct node *grace = node_get(root, "grace_ms");
        bool told =
            node_kind(grace) == DOCUMENT_INT && node_int(grace) >= 0 && node_int(grace) < GRACE_MS_MAX;
        snprintf(loop->cancelled[loop->cancelled_next], ID_MAX + 1, "%s", id);
        loop->grace_ns[loop->cancelled_next] = told ? (uint64_t)node_int(grace) * 1000000 : UINT64_MAX;
        loop->cancelled_next = (loop->cancelled_next + 1) % CANCELLED_MAX;
    }
    document_free(document);
}

/* Looks through whole lines that were not looked at yet. The byte search keeps long task lines cheap. */
static void peek_cancels(struct worker_loop *loop) {
    if (loop->peeked < loop->taken)
        loop->peeked = loop->taken;
    while (loop->peeked < loop->in.length) {
        const char *line = loop->in.bytes + loop->peeked;
        const char *end = memchr(line, '\n', loop->in.length - loop->peeked);
        if (!end)
            return;
        size_t length = (size_t)(end - line);
        if (length < 1024 && memmem(line, length, "\"cancel\"", 8))
            note_cancel(loop, line, length);
        loop->peeked += length + 1;
    }
}

/* The shortest grace that it was told; UINT64_MAX: it was cancelled without. */
static bool is_cancelled(const struct worker_loop *loop, const char *id, uint64_t *ret_grace_ns) {
    bool found = false;
    *ret_grace_ns = UINT64_MAX;
    for (unsigned i = 0; i < CANCELLED_MAX; i++) {
        if (strcmp(loop->cancelled[i], id) != 0)
            continue;
        found = true;
        if (loop->grace_ns[i] < *ret_grace_ns)
            *ret_grace_ns = loop->grace_ns[i];
    }
    return found;
}

uint64_t worker_loop_patience(const struct worker_loop *loop, const struct worker_task *task,
                              uint64_t most_ns) {
    uint64_t grace_ns;
    return is_cancelled(loop, task->id, &grace_ns) && grace_ns / 2 < most_ns ? grace_ns / 2 : most_ns;
}

bool worker_loop_cancelled(struct worker_loop *loop, const struct worker_task *task) {
    read_some(loop, false);
    peek_cancels(loop);
    uint64_t grace_ns;
    return is_cancelled(loop, task->id, &grace_ns);
}

bool worker_loop_input_ended(const struct worker_loop *loop) {
    return loop->ended;
}

int worker_loop_input(const struct worker_loop *loop) {
    return loop->ended || loop->in.length - loop->taken >= INPUT_MAX ? -1 : loop->input;
}

/* The next whole line, without its end. False: there will be none. */
static bool next_line(struct worker_loop *loop, const char **ret_line, size_t *ret_length) {
    size_t searched = 0;
    for (;;) {
        size_t available = loop->in.length - loop->taken;
        const char *line = loop->in.bytes + loop->taken;
        const char *end = available > searched ? memchr(line + searched, '\n', available - searched) : NULL;
        size_t length = end ? (size_t)(end - line) + 1 : available;
        if (length > LINE_MAX_BYTES || loop->in.failed) {
            say_error(loop, NULL, 0,
                      loop->in.failed ? "out of memory for a line" : "a line of more than 1 MiB");
            loop->broken = true; /* ends with status 1 */
            return false;
        }
        if (end) {
            *ret_line = line;
            *ret_length = length - 1;
            loop->taken += length;
            return true;
        }
        if (loop->ended || loop->broken)
            return false;
        searched = available;
        read_some(loop, true);
    }
}

/* ---- messages ---- */

static const char *text_of(const struct node *map, const char *key) {
    const struct node *node = node_get(map, key);
    return node && node_kind(node) == DOCUMENT_STRING ? node_string(node) : NULL;
}

static int64_t int_of(const struct node *map, const char *key, int64_t otherwise) {
    const struct node *node = node_get(map, key);
    return node && node_kind(node) == DOCUMENT_INT ? node_int(node) : otherwise;
}

static void run_task(struct worker_loop *loop, const struct node *node) {
    int64_t attempt = int_of(node, "attempt", 0), deadline_ms = int_of(node, "deadline_ms", -1);
    int64_t trial = int_of(node, "trial", 0);
    struct worker_task task = {.members = node,
                               .id = text_of(node, "id"),
                               .run = text_of(node, "run"),
                               .stage = text_of(node, "stage"),
                               .capability = text_of(node, "capability"),
                               .artifact_directory = text_of(node, "artifact_dir"),
                               .trial = (uint32_t)trial,
                               .attempt = (uint32_t)attempt,
                               .deadline_ns = UINT64_MAX};
    if (!task.id || strlen(task.id) > ID_MAX || attempt < 1 || attempt > UINT16_MAX) {
        say_error(loop, NULL, 0, "a task needs `id` (text, at most 255 bytes) and `attempt` (from 1)");
        return;
    }
    if (!task.run || !task.stage || !task.capability || trial < 0 || trial > UINT32_MAX) {
        say_error(loop, task.id, task.attempt, "a task needs `run`, `trial`, `stage` and `capability`");
        return;
    }
    if (deadline_ms >= 0 && deadline_ms < INT64_MAX / 2000000)
        task.deadline_ns = worker_now() + (uint64_t)deadline_ms * 1000000;
    if (worker_loop_cancelled(loop, &task)) { /* it may have come since the task was read */
        say_error(loop, task.id, task.attempt, "cancelled before it began");
        return;
    }
    struct task_result *result = NULL;
    if (loop->service->task(loop->service->context, loop, &task, &result) == TROUPE_OK)
        say_result(loop, &task, result);
    else
        say_error(loop, task.id, task.attempt, "out of memory");
    task_result_free(result);
}

static bool start(struct worker_loop *loop, const struct node *message) {
    struct fault fault = {0};
    int64_t protocol = int_of(message, "protocol", 0);
    if (protocol < 1) {
        say_error(loop, NULL, 0, "`start` has no `protocol`; this worker speaks 1");
        return false;
    }
    if (loop->service->start(loop->service->context, message, &fault) != TROUPE_OK) {
        char text[sizeof fault.where + sizeof fault.text + 3];
        snprintf(text, sizeof text, "%s%s%s", fault.where, fault.where[0] ? ": " : "", fault.text);
        fprintf(stderr, "%s\n", text);
        say_error(loop, NULL, 0, text);
        return false;
    }
    loop->started = true;
    say_hello(loop);
    return true;
}

/* Handles one line; false ends the worker with status 1. */
static bool handle(struct worker_loop *loop, const struct node *message) {
    const char *type = node_kind(message) == DOCUMENT_MAP ? text_of(message, "type") : NULL;
    if (!type) {
        say_error(loop, NULL, 0, "expected an object with a `type`");
    } else if (strcmp(type, "start") == 0) {
        if (!loop->started)
            return start(loop, message);
        say_error(loop, NULL, 0, "a second `start`");
    } else if (strcmp(type, "stop") == 0) {
        loop->stopped = true;
    } else if (strcmp(type, "cancel") == 0) {
        /* Noted when it was peeked at; its task has been answered or comes later. */
    } else if (!loop->started) {
        say_error(loop, NULL, 0, "expected `start` first");
    } else if (strcmp(type, "task") == 0) {
        run_task(loop, message);
    } else if (strcmp(type, "tasks") == 0) {
        const struct node *tasks = node_get(message, "tasks");
        for (size_t i = 0; i < node_count(tasks); i++)
            run_task(loop, node_at(tasks, i));
    } else {
        char text[128];
        snprintf(text, sizeof text, "unknown type '%.60s'", type);
        say_error(loop, NULL, 0, text);
    }
    return true;
}

enum troupe_error worker_streams_take(struct worker_streams *ret_streams, struct fault *fault) {
    int input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool taken = input >= 0 && output >= 0 && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
                 dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
    int cause = errno;
    if (nothing > STDIN_FILENO)
        close(nothing);
    if (!taken) {
        if (input >= 0)
            close(input);
        if (output >= 0)
            close(output);
        return fault_set(fault, TROUPE_IO, "worker", "standard input, output and error are needed: %s",
                         strerror(cause));
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that prints of a plugin reach the log as they are made */
    signal(SIGPIPE, SIG_IGN);
    sigset_t none; /* a thread that starts processes may have blocked all of them */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    *ret_streams = (struct worker_streams){input, output};
    return TROUPE_OK;
}

int worker_loop_run(struct account *account, const struct worker_streams *streams,
                    const struct worker_service *service) {
    struct worker_loop *loop = memory_alloc(account, sizeof *loop);
    if (!loop)
        return error_exit_status(TROUPE_NOMEM);
    loop->account = account;
    loop->service = service;
    loop->input = streams->input;
    loop->output = streams->output;
    buffer_init(&loop->in, account, INPUT_MAX + READ_BYTES);
    buffer_init(&loop->out, account, 0);
    int status = 0;
    const char *line;
    size_t length;
    while (status == 0 && !loop->stopped && next_line(loop, &line, &length)) {
        peek_cancels(loop);
        if (length == 0)
            continue;
        struct document *document = NULL;
        struct fault fault = {0};
        /* The document copies what it needs, so the input may move while the task runs. */
        if (document_parse_json(line, length, "stdin", NULL, &document, &fault) != TROUPE_OK) {
            char text[sizeof fault.text + 32];
            snprintf(text, sizeof text, "not JSON: %s", fault.text);
            say_error(loop, NULL, 0, text);
            continue;
        }
        if (!handle(loop, document_root(document)))
            status = 1;
        document_free(document);
    }
    if (loop->broken)
        status = 1;
    close(loop->input);
    close(loop->output);
    buffer_free(&loop->in);
    buffer_free(&loop->out);
    memory_free(account, loop);
    return status;
}
