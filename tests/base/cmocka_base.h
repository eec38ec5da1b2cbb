/* cmocka with the headers it wants first, for every test program; and the loop that fails the n-th
 * allocation. */
#ifndef TESTS_BASE_CMOCKA_BASE_H
#define TESTS_BASE_CMOCKA_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* Runs the body with the first, second, ... allocation refused, until it runs without reaching the refusal.
 * The body sets `failed` to what it saw; a refusal that was reached must not pass unnoticed unless it may be
 * absorbed. */
#define FOR_EACH_FAILING_ALLOCATION(n)                                                                       \
    for (int64_t n = 1, going = 1; going && (memory_fail_after(n), 1);                                       \
         going = memory_fail_fired(), memory_fail_after(0), n++)

#endif
