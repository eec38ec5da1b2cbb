/* moment: times of the wall clock in text: RFC 3339 in UTC for programs, ages for people.
 * Threads: pure. Memory: the caller's text. */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#include <stddef.h>
#include <stdint.h>

#define MOMENT_BYTES 40
/* "2026-03-14T15:09:26Z". Returns out. */
char *moment_utc(char out[MOMENT_BYTES], int64_t utc_ns);
/* "now", "40 s ago", "5 min ago", "3 h ago", "2 days ago"; "" for 0. Returns out. */
char *moment_age(char out[MOMENT_BYTES], int64_t utc_ns, int64_t now_utc_ns);

#endif
