/* worker_child: runs a worker program of worker_main.h in a forked child, with pipes, for its tests. */
#ifndef TESTS_WORKER_CHILD_H
#define TESTS_WORKER_CHILD_H

#include "document/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <sys/select.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker_child {
    pid_t process;
    int to, from, errors;
    char held[1 << 17]; /* read from it, not yet given out */
    size_t held_length;
    char line[1 << 17]; /* the last answer as it came */
    struct document *answer;
};

static inline void child_start(struct worker_child *child, int (*program)(int, char **), int argc,
                               const char *const *argv) {
    int to[2], from[2], errors[2];
    memset(child, 0, sizeof *child);
    assert_int_equal(pipe(to) | pipe(from) | pipe(errors), 0);
    child->process = fork();
    assert_true(child->process >= 0);
    if (child->process == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        dup2(errors[1], 2);
        for (int i = 0; i < 2; i++) {
            close(to[i]);
            close(from[i]);
            close(errors[i]);
        }
        alarm(60); /* a test that goes wrong ends */
        exit(program(argc, (char **)(uintptr_t)argv));
    }
    close(to[0]);
    close(from[1]);
    close(errors[1]);
    child->to = to[1];
    child->from = from[0];
    child->errors = errors[0];
}

/* It may end before it has read all of the line; its last answer says why. */
static inline void child_say(struct worker_child *child, const char *line) {
    size_t length = strlen(line), at = 0;
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    while (at <= length) {
        ssize_t written = at < length ? write(child->to, line + at, length - at) : write(child->to, "\n", 1);
        if (written < 0 && errno == EPIPE)
            break;
        assert_true(written > 0);
        at += (size_t)written;
    }
    signal(SIGPIPE, before);
}

/* The next answer, as a tree that lives until the next call; NULL at the end of its output. */
static inline const struct node *child_answer(struct worker_child *child) {
    document_free(child->answer);
    child->answer = NULL;
    char *end;
    while (!(end = memchr(child->held, '\n', child->held_length))) {
        struct pollfd ready = {.fd = child->from, .events = POLLIN};
        assert_true(poll(&ready, 1, 30000) == 1);
        assert_true(child->held_length < sizeof child->held);
        ssize_t count =
            read(child->from, child->held + child->held_length, sizeof child->held - child->held_length);
        if (count <= 0)
            return NULL;
        child->held_length += (size_t)count;
    }
    size_t length = (size_t)(end - child->held);
    memcpy(child->line, child->held, length);
    child->line[length] = '\0';
    child->held_length -= length + 1;
    memmove(child->held, end + 1, child->held_length);
    struct fault fault;
    assert_int_equal(document_parse_json(child->line, length, "answer", NULL, &child->answer, &fault),
                     TROUPE_OK);
    return document_root(child->answer);
}

static inline const char *answer_text(const struct node *answer, const char *key) {
    const char *text = node_text(node_get(answer, key));
    return text ? text : "";
}

static inline double answer_metric(const struct node *answer, const char *name) {
    const struct node *metric = node_get(node_get(answer, "metrics"), name);
    assert_non_null(metric);
    return node_real(metric);
}

/* Closes its input and waits for its end; standard error is left in `held`. Returns the exit status, or 128 +
 * the signal that ended it. */
static inline int child_end(struct worker_child *child) {
    document_free(child->answer);
    close(child->to);
    close(child->from);
    child->held_length = 0;
    ssize_t count;
    while ((count = read(child->errors, child->held + child->held_length,
                         sizeof child->held - 1 - child->held_length)) > 0)
        child->held_length += (size_t)count;
    child->held[child->held_length] = '\0';
    close(child->errors);
    int status;
    assert_int_equal(waitpid(child->process, &status, 0), child->process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A whole conversation with a program whose n-th allocation is refused, for every n: whatever fails, it
 * answers in whole lines and ends by itself. */
static int (*failing_program)(int, char **);
static int64_t failing_at;

static inline int run_failing(int argc, char **argv) {
    memory_fail_after(failing_at);
    int status = failing_program(argc, argv);
    if (!memory_fail_fired())
        fputs("never reached\n", stderr);
    return status;
}

static inline void every_allocation_fails(int (*program)(int, char **), int argc, const char *const *argv,
                                          const char *lines) {
    failing_program = program;
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    for (failing_at = 1;; failing_at++) {
        static struct worker_child child;
        child_start(&child, run_failing, argc, argv);
        ssize_t written = write(child.to, lines, strlen(lines)); /* it may have ended already */
        (void)written;
        unsigned results = 0, answers = 0;
        for (const struct node *answer; (answer = child_answer(&child)) != NULL;) {
            results += strcmp(answer_text(answer, "type"), "result") == 0;
            /* Both lines before `stop` are answered, so the input may end even if `stop` was not understood.
             */
            if (strcmp(answer_text(answer, "type"), "log") != 0 && ++answers == 2) {
                close(child.to);
                child.to = -1;
            }
        }
        int status = child_end(&child);
        assert_true(status < 128); /* no signal */
        if (strstr(child.held, "never reached")) {
            assert_int_equal(status, 0);
            assert_int_equal(results, 1);
            break;
        }
        assert_true(failing_at < 10000);
    }
    assert_true(failing_at > 10);
    signal(SIGPIPE, before);
}

static inline const char *task_line(unsigned trial, const char *capability, const char *more) {
    static char line[4096];
    snprintf(
        line, sizeof line,
        "{\"type\":\"task\",\"id\":\"r/%u/s/1\",\"run\":\"r\",\"trial\":%u,\"stage\":\"s\",\"attempt\":1,"
        "\"capability\":\"%s\",\"seed\":17%s%s}",
        trial, trial, capability, more[0] ? "," : "", more);
    return line;
}

#endif
