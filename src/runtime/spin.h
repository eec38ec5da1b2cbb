/* A lock for writes of a few dozen nanoseconds: spins, then yields. Part of the runtime's door.
 * Rules: nothing is called, sent or emitted while one is held; readers of shared data never take one. */
#ifndef RUNTIME_SPIN_H
#define RUNTIME_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <threads.h>

#define SPIN_TRIES 128U /* some 5 us: no holder that has a core takes as long */

struct spin {
    _Atomic bool held;
};

static inline void spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause(); /* some 40 ns: the line is left to its holder for that long */
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static inline void spin_lock(struct spin *spin) {
    unsigned tries = 0;
    /* Acquire pairs with the release of spin_unlock: what the last holder wrote is seen. */
    while (atomic_exchange_explicit(&spin->held, true, memory_order_acquire)) {
        while (atomic_load_explicit(&spin->held, memory_order_relaxed)) {
            spin_pause();
            if (++tries % SPIN_TRIES == 0) {
                thrd_yield(); /* the holder may have lost its core */
            }
        }
    }
}

static inline bool spin_try(struct spin *spin) {
    return !atomic_load_explicit(&spin->held, memory_order_relaxed) &&
           !atomic_exchange_explicit(&spin->held, true, memory_order_acquire); /* as in spin_lock */
}

static inline void spin_unlock(struct spin *spin) {
    atomic_store_explicit(&spin->held, false, memory_order_release); /* pairs with spin_lock */
}

/* The same, and what was written is with the other cores when it returns, rather than soon: who then begins, by the clock,
 * sees it. */
static inline void spin_unlock_seen(struct spin *spin) {
    (void)atomic_exchange_explicit(&spin->held, false, memory_order_seq_cst); /* as spin_unlock */
}

#endif
