/* CHECK: a wrong program, on in release. CHECK_SLOW: an expensive one, on in debug builds only. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

__attribute__((noreturn, cold)) void check_failed(const char *expression, const char *file, int line);

#define CHECK(expression)                                                                                    \
    do {                                                                                                     \
        if (__builtin_expect(!(expression), 0))                                                              \
            check_failed(#expression, __FILE__, __LINE__);                                                   \
    } while (0)

#ifdef TROUPE_SLOW_CHECKS
#define CHECK_SLOW(expression) CHECK(expression)
#else
#define CHECK_SLOW(expression) ((void)0)
#endif

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
