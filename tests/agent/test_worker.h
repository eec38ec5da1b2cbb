/* test_worker: a worker whose tasks say how it behaves: "variables":{"do":"crash"}. The same code is a real
 * child (test_worker_main, run by the test programs themselves) and the model of a child in env_sim.
 *
 * The word it is started with says how it begins: normal, silent (no hello), exit (at once), protocol
 * (another version), capability (lacks "train"), garbage (before its hello), once (dies after one answer),
 * stubborn (goes on after the end of its input, deaf to SIGTERM). */
#ifndef TESTS_AGENT_TEST_WORKER_H
#define TESTS_AGENT_TEST_WORKER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_worker {
    const char *mode;
    unsigned answers;
    void (*emit)(struct test_worker *worker, const char *bytes, size_t length);
    void (*complain)(struct test_worker *worker, const char *text); /* standard error */
    void (*leave)(struct test_worker *worker, int status, int signal);
    void *context;
    bool left;
};

static inline void test_worker_say(struct test_worker *worker, const char *text) {
    worker->emit(worker, text, strlen(text));
}

/* Copies the text of a member into out; finds it by its name alone, which is enough for lines that Troupe
 * writes. */
static inline bool test_worker_field(const char *line, const char *name, char *out, size_t size) {
    char mark[64];
    snprintf(mark, sizeof mark, "\"%s\":", name);
    const char *at = strstr(line, mark);
    if (!at)
        return false;
    at += strlen(mark);
    bool quoted = *at == '"';
    at += quoted;
    size_t length = strcspn(at, quoted ? "\"" : ",}]");
    snprintf(out, size, "%.*s", (int)length, at);
    return true;
}

static inline void test_worker_answer(struct test_worker *worker, const char *id, const char *attempt,
                                      const char *members) {
    char text[1024];
    snprintf(text, sizeof text, "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%s%s}\n", id, attempt,
             members);
    test_worker_say(worker, text);
    worker->answers++;
    if (strcmp(worker->mode, "once") == 0)
        worker->leave(worker, 0, 0);
}

static inline void test_worker_long_line(struct test_worker *worker) {
    enum { CHUNK = 4096, CHUNKS = 1024 };
    char chunk[CHUNK];
    memset(chunk, 'x', sizeof chunk);
    test_worker_say(worker, "{\"type\":\"result\",\"value\":\"");
    for (int at = 0; at < CHUNKS && !worker->left; at++)
        worker->emit(worker, chunk, sizeof chunk);
}

/* One task; `task` is its object. */
static inline void test_worker_task(struct test_worker *worker, const char *task) {
    char id[300] = "", attempt[16] = "1", what[64] = "ok", text[1024];
    test_worker_field(task, "id", id, sizeof id);
    test_worker_field(task, "attempt", attempt, sizeof attempt);
    test_worker_field(task, "do", what, sizeof what);
    if (strcmp(what, "error") == 0 || strcmp(what, "retry") == 0) {
        snprintf(text, sizeof text,
                 "{\"type\":\"error\",\"id\":\"%s\",\"attempt\":%s,\"message\":\"C must be "
                 "positive\",\"retryable\":%s}\n",
                 id, attempt, what[0] == 'r' ? "true" : "false");
        test_worker_say(worker, text);
    } else if (strcmp(what, "crash") == 0) {
        worker->complain(worker, "Traceback: about to crash\n");
        worker->leave(worker, 0, 11);
    } else if (strcmp(what, "exit") == 0) {
        worker->complain(worker, "first line\nthe last words\n\n");
        worker->leave(worker, 3, 0);
    } else if (strcmp(what, "garbage") == 0)
        test_worker_say(worker, "epoch 1: loss=0.3\n");
    else if (strcmp(what, "nan") == 0)
        test_worker_answer(worker, id, attempt, ",\"metrics\":{\"x\":NaN}");
    else if (strcmp(what, "long") == 0)
        test_worker_long_line(worker);
    else if (strcmp(what, "twice") == 0) {
        test_worker_answer(worker, id, attempt, ",\"metrics\":{\"x\":1}");
        test_worker_answer(worker, id, attempt, ",\"metrics\":{\"x\":2}");
    } else if (strcmp(what, "stale") ==
               0) { /* another attempt first, then somebody else's id, then its own */
        test_worker_answer(worker, id, "9", ",\"metrics\":{\"x\":9}");
        test_worker_answer(worker, "nobody/0/x/1", "1", ",\"metrics\":{\"x\":8}");
        test_worker_answer(worker, id, attempt, ",\"metrics\":{\"x\":1}");
    } else if (strcmp(what, "progress") == 0) {
        snprintf(text, sizeof text,
                 "{\"type\":\"progress\",\"id\":\"%s\",\"attempt\":%s,\"step\":3,\"metrics\":{\"acc\":0.5}}\n"
                 "{\"type\":\"log\",\"id\":\"%s\",\"message\":\"epoch 3\"}\n\n\r\n{\"type\":\"mystery\"}\n"
                 "{\"type\":\"error\",\"message\":\"what was that?\"}\n",
                 id, attempt, id);
        test_worker_say(worker, text);
        worker->complain(worker, "a print\n");
        test_worker_answer(worker, id, attempt, "");
    } else if (strcmp(what, "cut") == 0) { /* a line in three pieces, and the next one begun with it */
        snprintf(text, sizeof text,
                 "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%s,\"metrics\":{\"x\":1}}\n{\"ty", id,
                 attempt);
        for (size_t at = 0; at < strlen(text); at += 7)
            worker->emit(worker, text + at, strlen(text + at) < 7 ? strlen(text + at) : 7);
        test_worker_say(worker, "pe\":\"log\",\"message\":\"whole\"}\n");
    } else if (strcmp(what, "hang") != 0 && strcmp(what, "yield") != 0)
        test_worker_answer(worker, id, attempt,
                           ",\"metrics\":{\"x\":1},\"value\":{\"did\":true},\"usage\":{\"cpu_ms\":2}");
}

/* One line from Troupe, NUL-terminated. "hang" never answers; "yield" does when it is cancelled. */
static inline void test_worker_line(struct test_worker *worker, const char *line) {
    char type[32] = "", id[300], text[400];
    test_worker_field(line, "type", type, sizeof type);
    if (strcmp(type, "start") == 0) {
        const char *mode = worker->mode;
        if (strcmp(mode, "exit") == 0)
            worker->leave(worker, 7, 0);
        else if (strcmp(mode, "protocol") == 0)
            test_worker_say(worker, "{\"type\":\"hello\",\"protocol\":2,\"capabilities\":[\"train\"]}\n");
        else if (strcmp(mode, "capability") == 0)
            test_worker_say(worker, "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"cook\"]}\n");
        else if (strcmp(mode, "garbage") == 0)
            test_worker_say(worker, "Loading model...\n");
        else if (strcmp(mode, "silent") != 0)
            test_worker_say(worker,
                            "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"train\",\"test\"]}\n");
    } else if (strcmp(type, "task") == 0)
        test_worker_task(worker, line);
    else if (strcmp(type, "tasks") == 0) {
        for (const char *at = strstr(line, "{\"id\":"); at && !worker->left; at = strstr(at + 1, "{\"id\":"))
            test_worker_task(worker, at);
    } else if (strcmp(type, "cancel") == 0 && test_worker_field(line, "id", id, sizeof id)) {
        const char *attempt = strrchr(id, '/');
        if (!strstr(id, "/yield/"))
            return;
        snprintf(
            text, sizeof text,
            "{\"type\":\"error\",\"id\":\"%s\",\"attempt\":%s,\"message\":\"stopped\",\"retryable\":false}\n",
            id, attempt ? attempt + 1 : "1");
        test_worker_say(worker, text);
    }
}

/* ---- as a real child ---- */

#include <signal.h>
#include <unistd.h>

static inline void test_worker_child_emit(struct test_worker *worker, const char *bytes, size_t length) {
    while (length > 0 && !worker->left) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written <= 0)
            worker->left = true;
        else {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

static inline void test_worker_child_complain(struct test_worker *worker, const char *text) {
    (void)worker;
    fputs(text, stderr);
}

static inline void test_worker_child_leave(struct test_worker *worker, int status, int number) {
    (void)worker;
    if (number) {
        signal(number, SIG_DFL);
        raise(number);
    }
    _exit(status);
}

/* argv: MODE */
static inline int test_worker_main(int argc, char **argv) {
    struct test_worker worker = {.mode = argc > 0 ? argv[0] : "normal",
                                 .emit = test_worker_child_emit,
                                 .complain = test_worker_child_complain,
                                 .leave = test_worker_child_leave};
    bool stubborn = strcmp(worker.mode, "stubborn") == 0;
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    char *line = NULL;
    size_t size = 0;
    const char *instance = getenv("TEST_INSTANCE");
    if (instance)
        fprintf(stderr, "TEST_INSTANCE is %s\n", instance);
    while (getline(&line, &size, stdin) > 0)
        test_worker_line(&worker, line);
    free(line);
    while (stubborn)
        pause();
    return 0;
}

#endif
