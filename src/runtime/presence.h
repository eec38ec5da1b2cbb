/* Presence: whether a worker may be touching its actors, in one word; what lets others take an actor over from a
 * worker that is parked.
 *
 *   HERE --leave: has nothing to do--> AWAY --borrow: another worker takes actors over--> LENT --return--> AWAY
 *     `<-------------enter-----------'
 *
 * Which calls exclude which: leave and enter: the worker's thread. Borrow and return: any other worker's. Between
 * enter and leave nobody borrows; between borrow and return the worker does not enter and nobody else borrows.
 * Orders: each change that lets somebody else in is a release, each that gets in an acquire, of the same word: what
 *         one did to the actors is seen by the next. */
#ifndef RUNTIME_PRESENCE_H
#define RUNTIME_PRESENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum presence { PRESENCE_AWAY, PRESENCE_HERE, PRESENCE_LENT };

static inline void presence_leave(_Atomic uint32_t *presence) {
    atomic_store_explicit(presence, PRESENCE_AWAY, memory_order_release); /* pairs with presence_borrow */
}

/* False: lent for the moment, a few nanoseconds; again. */
static inline bool presence_enter(_Atomic uint32_t *presence) {
    uint32_t away = PRESENCE_AWAY;
    return atomic_compare_exchange_strong_explicit(presence, &away, PRESENCE_HERE,
                                                   memory_order_acquire, /* pairs with presence_return */
                                                   memory_order_relaxed);
}

static inline bool presence_borrow(_Atomic uint32_t *presence) {
    uint32_t away = PRESENCE_AWAY;
    /* The look spares the common refusal the locked instruction. Acquire pairs with leave and return. */
    return atomic_load_explicit(presence, memory_order_relaxed) == PRESENCE_AWAY &&
           atomic_compare_exchange_strong_explicit(presence, &away, PRESENCE_LENT, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void presence_return(_Atomic uint32_t *presence) {
    atomic_store_explicit(presence, PRESENCE_AWAY, memory_order_release); /* pairs with enter and borrow */
}

#endif
