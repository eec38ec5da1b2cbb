/* Accounted memory: every block belongs to an account, which counts bytes and blocks and may have a limit.
 * Threads: any; counters are relaxed atomics (they order nothing; exact once the users have been joined).
 * The failing twin: memory_fail_after(n) makes the n-th allocation from now, and only that one, return NULL.
 */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct account {
    const char *name;
    _Atomic int64_t bytes;
    _Atomic int64_t blocks;
    int64_t limit_bytes; /* 0: none */
};

#define ACCOUNT(account_name) ((struct account){.name = (account_name)})

/* All return NULL when memory or the account's limit is exhausted. memory_alloc zeroes. 16-byte aligned. */
void *memory_alloc(struct account *account, size_t bytes);
void *memory_resize(struct account *account, void *block,
                    size_t bytes); /* NULL block: alloc; new part zeroed */
void *memory_alloc_aligned(struct account *account, size_t alignment,
                           size_t bytes);                     /* free with memory_free */
char *memory_text(struct account *account, const char *text); /* strdup */
void memory_free(struct account *account, void *block);       /* NULL is fine */

/* Bytes of memory that is not the account's block, such as a message on its way to the account's owner. False: the
 * limit would be passed; with `refusable` false it is charged all the same (what must not be refused is counted
 * still, and what comes next is refused). */
MUST_CHECK bool account_charge(struct account *account, size_t bytes, bool refusable);
void account_discharge(struct account *account, size_t bytes);

/* n >= 1 counts down over every allocation of the process; 0 switches off. Tests only. */
void memory_fail_after(int64_t n);
/* True when the allocation asked for by memory_fail_after has been reached and refused. */
int memory_fail_fired(void);
/* For libraries with replaceable allocators (SQLite, libuv): count against memory_fail_after too. */
void *memory_library_alloc(size_t bytes);
void *memory_library_resize(void *block, size_t bytes);
void memory_library_free(void *block);

#endif
