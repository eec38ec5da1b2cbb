/* bare_loop: see the header. */
#include "bare_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 512 };

__attribute__((noreturn)) static void fatal(const char *what) {
    fprintf(stderr, "bare loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void write_all(int to, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(to, bytes, length);
        if (written < 0 && errno != EINTR)
            fatal("the worker does not read");
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/* Reads until there is a whole line; counts those that are there, each of which must be of `type`. */
static uint32_t take_lines(struct bare_worker *worker, const char *type) {
    char expected[64];
    size_t expected_length = (size_t)snprintf(expected, sizeof expected, "{\"type\":\"%s\"", type);
    uint32_t lines = 0;
    while (lines == 0) {
        if (worker->held_length == sizeof worker->held)
            fatal("a line too long");
        ssize_t count =
            read(worker->from, worker->held + worker->held_length, sizeof worker->held - worker->held_length);
        if (count <= 0)
            fatal("the worker has ended");
        worker->held_length += (size_t)count;
        char *at = worker->held, *limit = worker->held + worker->held_length, *end;
        while ((end = memchr(at, '\n', (size_t)(limit - at))) != NULL) {
            if ((size_t)(end - at) < expected_length || memcmp(at, expected, expected_length) != 0) {
                fprintf(stderr, "bare loop: expected a %s, got %.*s\n", type, (int)(end - at), at);
                exit(1);
            }
            lines++;
            at = end + 1;
        }
        worker->held_length = (size_t)(limit - at);
        memmove(worker->held, at, worker->held_length);
    }
    return lines;
}

void bare_start(struct bare_worker *worker, char *const *command) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0 || (worker->process = fork()) < 0)
        fatal("cannot start the worker");
    if (worker->process == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[0]);
        close(to[1]);
        close(from[0]);
        close(from[1]);
        execvp(command[0], command);
        fatal(command[0]);
    }
    close(to[0]);
    close(from[1]);
    worker->to = to[1];
    worker->from = from[0];
    worker->held_length = 0;
    static const char start[] = "{\"type\":\"start\",\"protocol\":1,\"instance\":0,\"agent\":\"echo\","
                                "\"capabilities\":[\"echo\"],\"options\":{}}\n";
    write_all(worker->to, start, sizeof start - 1);
    take_lines(worker, "hello");
}

static size_t task_line(char *line, uint32_t number) {
    int length = snprintf(
        line, LINE_BYTES,
        "{\"type\":\"task\",\"id\":\"bench/%" PRIu32 "/echo/1\",\"run\":\"bench\",\"trial\":%" PRIu32
        ",\"stage\":\"echo\",\"attempt\":1,\"capability\":\"echo\",\"deadline_ms\":60000,"
        "\"variables\":{\"x\":0.5,\"kind\":\"svm\"},\"inputs\":{},\"data\":{},\"seed\":%" PRIu32 "}\n",
        number, number, number);
    return (size_t)length;
}

double bare_drive(struct bare_worker *worker, uint32_t tasks, uint32_t window, double *ret_round_trip_us) {
    double *trips = window == 1 ? malloc(tasks * sizeof *trips) : NULL;
    char *lines = malloc((size_t)window * LINE_BYTES);
    if (!lines || (window == 1 && !trips))
        fatal("memory");
    uint64_t began = now_ns();
    uint32_t sent = 0, done = 0;
    while (done < tasks) {
        size_t length = 0;
        uint64_t asked = trips ? now_ns() : 0;
        for (; sent < tasks && sent - done < window; sent++)
            length += task_line(lines + length, sent);
        write_all(worker->to, lines, length);
        uint32_t taken = take_lines(worker, "result");
        if (trips)
            trips[done] = (double)(now_ns() - asked) / 1000;
        done += taken;
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    *ret_round_trip_us = 0;
    if (trips) {
        qsort(trips, tasks, sizeof *trips, ascending);
        *ret_round_trip_us = trips[tasks / 2];
    }
    free(trips);
    free(lines);
    return seconds;
}

void bare_stop(struct bare_worker *worker) {
    int status;
    write_all(worker->to, "{\"type\":\"stop\"}\n", 16);
    close(worker->to);
    if (waitpid(worker->process, &status, 0) != worker->process || status != 0)
        fatal("the worker ended badly");
    close(worker->from);
}
