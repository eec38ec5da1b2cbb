/* The mailbox: an intrusive queue of messages with many senders and one receiver (Vyukov 2008,
 * www.1024cores.net, "intrusive MPSC node-based queue").
 *
 * Which calls exclude which: push: any thread, wait-free. pop, reset: one thread at a time (the worker that
 * runs the actor; workers hand the actor over through the run queue, whose orders publish `tail`).
 * Invariants: per-sender FIFO. Between a push's exchange and its store the queue is cut: pop then says empty
 * although newer messages are behind; the receiver's gate (actor.h) counts them, so they are not forgotten.
 * Memory:     owns nothing; a message belongs to the queue from push to pop. */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include "runtime/runtime.h"

static inline void mailbox_push(_Atomic(struct message *) *head, struct message *message) {
    atomic_store_explicit(&message->next, NULL, memory_order_relaxed); /* published by the store below */
    /* Release: the stub's and this message's `next` are set before somebody links behind it; acquire: pairs
     * with the previous pusher's release, so that writing its `next` comes after its own reset of it. */
    struct message *previous = atomic_exchange_explicit(head, message, memory_order_acq_rel);
    /* Release pairs with the acquire loads in mailbox_pop: the receiver sees the payload. */
    atomic_store_explicit(&previous->next, message, memory_order_release);
}

/* NULL: empty, or cut by a push that is not done yet. */
static inline struct message *mailbox_pop(_Atomic(struct message *) *head, struct message **tail,
                                          struct message *stub) {
    struct message *first = *tail;
    struct message *next = atomic_load_explicit(&first->next, memory_order_acquire); /* pairs with push */
    if (first == stub) {
        if (next == NULL) {
            return NULL;
        }
        *tail = first = next;
        next = atomic_load_explicit(&first->next, memory_order_acquire); /* pairs with push */
    }
    if (next != NULL) {
        *tail = next;
        return first;
    }
    /* `first` is the last one linked. If it is the newest, the stub goes behind it so that it can be taken.
     * Acquire pairs with the release of push's exchange; a stale value only makes us say empty too early. */
    if (first != atomic_load_explicit(head, memory_order_acquire)) {
        return NULL;
    }
    mailbox_push(head, stub);
    next = atomic_load_explicit(&first->next, memory_order_acquire); /* pairs with push */
    if (next == NULL) {
        return NULL;
    }
    *tail = next;
    return first;
}

static inline void mailbox_reset(_Atomic(struct message *) *head, struct message **tail,
                                 struct message *stub) {
    atomic_store_explicit(&stub->next, NULL, memory_order_relaxed); /* published with the actor's handle */
    atomic_store_explicit(head, stub, memory_order_relaxed);        /* as above */
    *tail = stub;
}

#endif
