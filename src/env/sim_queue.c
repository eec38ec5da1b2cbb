/* sim_queue: a pairing heap of events by (time, tie, sequence), linked through the events themselves.
 *
 * Invariants: a node is never before its parent; `previous` is the left sibling, or the parent of a first
 *             child. Adding is O(1), removing O(log n) amortised (Fredman, Sedgewick, Sleator, Tarjan 1986).
 * Threads: one.
 * Memory:  none of its own, so queueing cannot fail. */
#include "env/sim_internal.h"

static bool before(const struct sim_event *left, const struct sim_event *right) {
    if (left->time != right->time)
        return left->time < right->time;
    if (left->tie != right->tie)
        return left->tie < right->tie;
    return left->sequence < right->sequence;
}

/* Two heaps' roots, without siblings, into one. */
static struct sim_event *merge(struct sim_event *left, struct sim_event *right) {
    if (!left || !right)
        return left ? left : right;
    if (before(right, left)) {
        struct sim_event *swapped = left;
        left = right;
        right = swapped;
    }
    right->previous = left;
    right->next = left->below;
    if (right->next)
        right->next->previous = right;
    left->below = right;
    return left;
}

/* The children of a removed node, merged in pairs left to right, then together right to left. */
static struct sim_event *merge_siblings(struct sim_event *first) {
    struct sim_event *pairs = NULL;
    while (first) {
        struct sim_event *left = first, *right = first->next;
        first = right ? right->next : NULL;
        left->next = left->previous = NULL;
        if (right)
            right->next = right->previous = NULL;
        left = merge(left, right);
        left->next = pairs; /* a stack while the first pass runs */
        pairs = left;
    }
    struct sim_event *root = NULL;
    while (pairs) {
        struct sim_event *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = merge(root, pair);
    }
    return root;
}

void sim_queue_add(struct sim_queue *queue, struct sim_event *event) {
    CHECK(!event->queued);
    event->sequence = queue->next_sequence++;
    event->below = event->next = event->previous = NULL;
    event->queued = true;
    queue->root = merge(queue->root, event);
    queue->count++;
}

struct sim_event *sim_queue_first(const struct sim_queue *queue) {
    return queue->root;
}

void sim_queue_remove(struct sim_queue *queue, struct sim_event *event) {
    CHECK(event->queued);
    struct sim_event *orphans = merge_siblings(event->below);
    if (event == queue->root) {
        queue->root = orphans;
    } else {
        if (event->previous->below == event)
            event->previous->below = event->next;
        else
            event->previous->next = event->next;
        if (event->next)
            event->next->previous = event->previous;
        queue->root = merge(queue->root, orphans);
    }
    event->below = event->next = event->previous = NULL;
    event->queued = false;
    queue->count--;
}
