/* The bare comparator of the echo benchmark: the least that a C program can do to drive a worker. It starts
 * the worker, writes task lines, and counts the lines that come back, keeping `window` tasks with the worker;
 * no actors, no checks of the answers but that they are results, nothing recorded. What Troupe reaches with
 * the same worker and the same messages is held against this, in the same run.
 *
 *   worker_echo_bare [--tasks N] [--repeats R] [--window W]... [-- COMMAND...]
 *
 * One JSON object a line: the median over the repeats of tasks a second, and of the median round trip. A
 * program of its own: plain POSIX, nothing of Troupe is linked. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WINDOWS_MAX = 8,
    WINDOW_MAX = 1024,
    REPEATS_MAX = 100,
    TASKS_MAX = 10000000,
    BUFFER_BYTES = 1 << 18,
    LINE_BYTES = 512
};

struct worker {
    pid_t process;
    int to, from;
    char held[BUFFER_BYTES];
    size_t held_length;
};

struct plan {
    uint32_t tasks, repeats, windows[WINDOWS_MAX];
    unsigned window_count;
    char **command;
};

static void fatal(const char *what) {
    fprintf(stderr, "worker_echo_bare: %s: %s\n", what, strerror(errno));
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

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
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

static void worker_start(struct worker *worker, char **command) {
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
}

/* Reads until there is a whole line; counts those that are there, each of which must be of `type`. */
static uint32_t take_lines(struct worker *worker, const char *type) {
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
                fprintf(stderr, "worker_echo_bare: expected a %s, got %.*s\n", type, (int)(end - at), at);
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

static size_t task_line(char *line, uint32_t number) {
    int length = snprintf(
        line, LINE_BYTES,
        "{\"type\":\"task\",\"id\":\"bench/%" PRIu32 "/echo/1\",\"run\":\"bench\",\"trial\":%" PRIu32
        ",\"stage\":\"echo\",\"attempt\":1,\"capability\":\"echo\",\"deadline_ms\":60000,"
        "\"variables\":{\"x\":0.5,\"kind\":\"svm\"},\"inputs\":{},\"data\":{},\"seed\":%" PRIu32 "}\n",
        number, number, number);
    return (size_t)length;
}

/* Sends `tasks`, keeping `window` of them with the worker. Returns seconds; the median round trip of a task
 * only when the window is 1, where it is not a queue. */
static double drive(struct worker *worker, uint32_t tasks, uint32_t window, double *ret_round_trip_us) {
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
    *ret_round_trip_us = trips ? median(trips, tasks) : 0;
    free(trips);
    free(lines);
    return seconds;
}

static void machine(char *text, size_t size) {
    char line[256], model[128] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "model name : %127[^\"\\\n]", model) == 1)
            break;
    if (file)
        fclose(file);
    snprintf(text, size, "%s, %ld cores", model, sysconf(_SC_NPROCESSORS_ONLN));
}

static void measure(const struct plan *plan, struct worker *worker, uint32_t window) {
    double rates[REPEATS_MAX], trips[REPEATS_MAX], trip;
    char where[192];
    machine(where, sizeof where);
    drive(worker, plan->tasks / 10 + window, window, &trip); /* warm */
    for (uint32_t i = 0; i < plan->repeats; i++)
        rates[i] = plan->tasks / drive(worker, plan->tasks, window, &trips[i]);
    printf("{\"bench\":\"worker_echo_bare\",\"window\":%" PRIu32 ",\"tasks\":%" PRIu32 ",\"repeats\":%" PRIu32
           ",\"tasks_per_s\":%.0f",
           window, plan->tasks, plan->repeats, median(rates, plan->repeats));
    if (window == 1)
        printf(",\"round_trip_p50_us\":%.2f", median(trips, plan->repeats));
    printf(",\"machine\":\"%s\"}\n", where);
    fflush(stdout);
}

static uint32_t number(const char *text, uint32_t low, uint32_t high) {
    char *end;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "worker_echo_bare: '%s': expected a number from %u to %u\n", text ? text : "", low,
                high);
        exit(2);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv) {
    static char *default_command[] = {"python3", "bench/echo_worker.py", NULL};
    struct plan plan = {.tasks = 20000, .repeats = 5, .command = default_command};
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            plan.command = argv + i + 1;
            break;
        }
        if (strcmp(argv[i], "--tasks") == 0)
            plan.tasks = number(argv[i + 1], 10, TASKS_MAX);
        else if (strcmp(argv[i], "--repeats") == 0)
            plan.repeats = number(argv[i + 1], 1, REPEATS_MAX);
        else if (strcmp(argv[i], "--window") == 0 && plan.window_count < WINDOWS_MAX)
            plan.windows[plan.window_count++] = number(argv[i + 1], 1, WINDOW_MAX);
        else {
            fprintf(stderr,
                    "usage: worker_echo_bare [--tasks N] [--repeats R] [--window W]... [-- COMMAND...]\n");
            return 2;
        }
    }
    if (plan.window_count == 0) {
        plan.windows[0] = 1;
        plan.windows[1] = 16;
        plan.window_count = 2;
    }
    static struct worker worker;
    worker_start(&worker, plan.command);
    static const char start[] = "{\"type\":\"start\",\"protocol\":1,\"instance\":0,\"agent\":\"echo\","
                                "\"capabilities\":[\"echo\"],\"options\":{}}\n";
    write_all(worker.to, start, sizeof start - 1);
    take_lines(&worker, "hello");
    for (unsigned i = 0; i < plan.window_count; i++)
        measure(&plan, &worker, plan.windows[i]);
    write_all(worker.to, "{\"type\":\"stop\"}\n", 16);
    close(worker.to);
    int status;
    return waitpid(worker.process, &status, 0) == worker.process && status == 0 ? 0 : 1;
}
