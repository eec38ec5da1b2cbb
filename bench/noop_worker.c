/* noop_worker [MICROSECONDS [random]]: a worker whose work is nothing: answers each task with null, after sleeping so
 * long; one of the capability `hold` never. Of its protocol it knows what doc/worker-protocol.md lets a shell
 * script rely on: Troupe's lines have no blanks outside of texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char held[1 << 20], answers[1 << 20];
static size_t held_length, answers_length;
static long sleep_us;
static int spread; /* exponentially about sleep_us */

static void flush_answers(void) {
    for (size_t at = 0; at < answers_length;) {
        ssize_t count = write(1, answers + at, answers_length - at);
        if (count <= 0)
            exit(1);
        at += (size_t)count;
    }
    answers_length = 0;
}

static void answer(const char *text, size_t length) {
    if (answers_length + length > sizeof answers)
        flush_answers();
    memcpy(answers + answers_length, text, length);
    answers_length += length;
}

static void tasks_answer(const char *line, size_t length) {
    static const char id[] = "\"id\":\"";
    const char *at = line, *limit = line + length, *end;
    while ((at = memmem(at, (size_t)(limit - at), id, sizeof id - 1)) != NULL) {
        at += sizeof id - 2;
        if ((end = memchr(at + 1, '"', (size_t)(limit - at - 1))) == NULL)
            exit(1);
        long us = spread ? (long)(-log((rand() + 1.0) / (RAND_MAX + 1.0)) * (double)sleep_us) : sleep_us;
        if (us > 0)
            nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
        answer("{\"type\":\"result\",\"id\":", 22);
        answer(at, (size_t)(end + 1 - at));
        answer(",\"attempt\":1,\"value\":null}\n", 27);
        at = end;
    }
}

static void line_take(const char *line, size_t length) {
    static const char task[] = "{\"type\":\"task", stop[] = "{\"type\":\"stop\"",
                      hold[] = "\"capability\":\"hold\"";
    if (length >= sizeof stop && memcmp(line, stop, sizeof stop - 1) == 0) {
        flush_answers();
        exit(0);
    }
    if (length > sizeof task && memcmp(line, task, sizeof task - 1) == 0 &&
        memmem(line, length, hold, sizeof hold - 1) == NULL)
        tasks_answer(line, length);
}

int main(int argc, char **argv) {
    static const char hello[] =
        "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"nothing\",\"hold\",\"warm\"]}\n";
    sleep_us = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    spread = argc > 2;
    srand((unsigned)getpid());
    answer(hello, sizeof hello - 1);
    flush_answers();
    for (;;) {
        ssize_t count = read(0, held + held_length, sizeof held - held_length);
        if (count <= 0)
            return 0;
        held_length += (size_t)count;
        char *at = held, *limit = held + held_length, *end;
        for (; (end = memchr(at, '\n', (size_t)(limit - at))) != NULL; at = end + 1)
            line_take(at, (size_t)(end - at));
        held_length = (size_t)(limit - at);
        memmove(held, at, held_length);
        flush_answers();
    }
}
