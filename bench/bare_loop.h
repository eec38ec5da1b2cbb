/* bare_loop: the comparator of the echo bench: the least that a C program can do to drive a worker. It starts
 * the worker, writes task lines, and counts the lines that come back, keeping `window` tasks with the worker;
 * no actors, no checks of the answers but that they are results, nothing recorded. What Troupe reaches with
 * the same worker and the same messages is held against this, in the same run.
 *
 * Threads: one. Memory: none but its buffer. Failure: ends the program with a message.
 * Plain POSIX: includes nothing of Troupe, so that nothing of Troupe is in what it is compared with. */
#ifndef BENCH_BARE_LOOP_H
#define BENCH_BARE_LOOP_H

#include <stdint.h>
#include <sys/types.h>

struct bare_worker {
    pid_t process;
    int to, from;
    char held[1 << 18];
    size_t held_length;
};

/* Starts the worker and waits for its hello. */
void bare_start(struct bare_worker *worker, char *const *command);
/* Sends `tasks`, keeping `window` of them with the worker. Returns seconds; with a window of 1 also the
 * median round trip of a task, else 0: there it is mostly the queue. */
double bare_drive(struct bare_worker *worker, uint32_t tasks, uint32_t window, double *ret_round_trip_us);
void bare_stop(struct bare_worker *worker);

#endif
