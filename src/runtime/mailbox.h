/* The mailbox: what other threads brought, newest first, in one word, and the owner's own list, oldest first.
 *
 *   arrived:  0 --bring, call--> message and calls, or NOTICED --fetch(early)--> NOTICED --fetch(at the notice)--> 0
 *
 * Which calls exclude which: bring and call: any thread, lock-free. The rest: the owner, that is the worker whose
 * the actor is (actor.h); ownership is handed on with release and acquire, which publishes `last`.
 * Invariants: `arrived` is not 0 exactly while a notice to the owner is under way, owed by whoever moved it from 0;
 *             so there is one notice at most, and none is lost. Fetching before the notice comes leaves NOTICED
 *             behind. Per-sender FIFO: what a sender brought before it became the owner's neighbour is visible to
 *             the owner, and put() comes after a fetch of it.
 * Cost:       put and take touch nothing that is shared; bring is one compare-and-swap; a fetch is one exchange for
 *             all that arrived.
 * Memory:     owns nothing; a message belongs to the mailbox from bring or put to take. */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include "runtime/runtime.h"

struct mailbox {
    _Atomic uintptr_t
        arrived; /* any thread; the newest message (they are linked by next, ended by NULL) and tags */
    struct message *last; /* owner; circular: last->next is the oldest; NULL: empty */
};
/* Messages are aligned to 16 bytes: */
#define MAILBOX_NOTICED ((uintptr_t)1) /* there is no message, but a notice is under way */
#define MAILBOX_CALL ((uintptr_t)2)    /* counts calls: messages that nobody had memory for */
#define MAILBOX_CALLS ((uintptr_t)14)
#define MAILBOX_TAGS ((uintptr_t)15)

static inline struct message *message_next(const struct message *message) {
    /* Relaxed here and below: `next` is the thread's own, or published by the orders of `arrived`. */
    return atomic_load_explicit(&message->next, memory_order_relaxed);
}

static inline void message_link(struct message *message, struct message *next) {
    atomic_store_explicit(&message->next, next, memory_order_relaxed);
}

static inline void mailbox_reset(struct mailbox *mailbox) {
    mailbox->last = NULL;
}

/* True: the caller owes the owner a notice. */
static inline bool mailbox_bring(struct mailbox *mailbox, struct message *message) {
    uintptr_t before = atomic_load_explicit(&mailbox->arrived, memory_order_relaxed), after;
    do {
        message_link(message, (struct message *)(before & ~MAILBOX_TAGS));
        after = (uintptr_t)message | (before & MAILBOX_CALLS);
        /* Release pairs with the acquire of mailbox_fetch: the owner sees the payload and `next`. Acquire pairs with
         * its release: whoever owes the next notice comes after the owner is done with the last one. */
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->arrived, &before, after, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return before == 0;
}

/* Brings one call. True: the caller owes the notice. */
static inline bool mailbox_call(struct mailbox *mailbox) {
    uintptr_t before = atomic_load_explicit(&mailbox->arrived, memory_order_relaxed);
    for (;;) {
        if ((before & MAILBOX_CALLS) == MAILBOX_CALLS) { /* see mailbox_called: a race of many threads */
            thrd_yield();
            before =
                atomic_load_explicit(&mailbox->arrived, memory_order_relaxed); /* the exchange checks it */
            continue;
        }
        /* As in mailbox_bring. */
        if (atomic_compare_exchange_weak_explicit(&mailbox->arrived, &before,
                                                  (before + MAILBOX_CALL) & ~MAILBOX_NOTICED,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return before == 0;
        }
    }
}

/* Calls enough are waiting: another one would tell the owner nothing. */
static inline bool mailbox_called(const struct mailbox *mailbox) {
    /* Relaxed: a hint, and half of the room for calls is left to those who looked at the same time. */
    return (atomic_load_explicit(&mailbox->arrived, memory_order_relaxed) & MAILBOX_CALLS) >=
           3 * MAILBOX_CALL;
}

/* Something is there to be fetched. */
static inline bool mailbox_arrived(const struct mailbox *mailbox) {
    /* Relaxed: what must be seen was brought by a thread that synchronised with ours since. */
    return (atomic_load_explicit(&mailbox->arrived, memory_order_relaxed) & ~MAILBOX_NOTICED) != 0;
}

/* Owner. */
static inline void mailbox_put(struct mailbox *mailbox, struct message *message) {
    struct message *last = mailbox->last;
    if (last == NULL) {
        message_link(message, message);
    } else {
        message_link(message, message_next(last));
        message_link(last, message);
    }
    mailbox->last = message;
}

/* Owner: moves what arrived behind the own list, oldest first; returns how many. `noticed`: the notice has come;
 * else only when mailbox_arrived. */
static inline unsigned mailbox_fetch(struct mailbox *mailbox, bool noticed, unsigned *ret_calls) {
    /* Acquire pairs with the release of mailbox_bring (each is a read-modify-write, so the newest one's release
     * heads a sequence that holds them all). Release: see there. */
    uintptr_t arrived =
        atomic_exchange_explicit(&mailbox->arrived, noticed ? 0 : MAILBOX_NOTICED, memory_order_acq_rel);
    struct message *newest = (struct message *)(arrived & ~MAILBOX_TAGS);
    *ret_calls = (unsigned)((arrived & MAILBOX_CALLS) / MAILBOX_CALL);
    if (newest == NULL) {
        return 0;
    }
    unsigned count = 1;
    struct message *oldest = newest, *older = message_next(newest), *last = mailbox->last;
    while (older != NULL) {
        struct message *next = message_next(older);
        message_link(older, oldest);
        oldest = older;
        older = next;
        count++;
    }
    message_link(newest, last != NULL ? message_next(last) : oldest);
    if (last != NULL) {
        message_link(last, oldest);
    }
    mailbox->last = newest;
    return count;
}

/* Owner: takes the whole list, oldest first, ended by NULL; *ret_last is its last one. */
static inline struct message *mailbox_take_all(struct mailbox *mailbox, struct message **ret_last) {
    struct message *last = mailbox->last;
    *ret_last = last;
    if (last == NULL) {
        return NULL;
    }
    struct message *first = message_next(last);
    message_link(last, NULL);
    mailbox->last = NULL;
    return first;
}

/* Owner: puts the rest of what mailbox_take_all gave back in front. */
static inline void mailbox_put_back(struct mailbox *mailbox, struct message *first, struct message *last) {
    if (mailbox->last == NULL) {
        mailbox->last = last;
        message_link(last, first);
        return;
    }
    message_link(last, message_next(mailbox->last));
    message_link(mailbox->last, first);
}

/* Owner: the oldest one; NULL: none. */
static inline struct message *mailbox_take(struct mailbox *mailbox) {
    struct message *last = mailbox->last;
    if (last == NULL) {
        return NULL;
    }
    struct message *first = message_next(last);
    if (first == last) {
        mailbox->last = NULL;
    } else {
        message_link(last, message_next(first));
    }
    return first;
}

#endif
