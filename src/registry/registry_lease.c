/* Leases: which row expires next. A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), linked through the
 * rows' details, so that a lease costs no allocation of its own.
 *
 * Invariants: none expires before its parent; `link` is the pointer that points to the details, NULL: in none.
 * Threads: the partition's lock. Memory: inside the details. */
#include "registry/registry_private.h"

static struct details *heap_meld(struct details *a, struct details *b) {
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    if (b->expires_ns < a->expires_ns) {
        struct details *first = a;
        a = b;
        b = first;
    }
    b->sibling = a->child;
    if (a->child != NULL) {
        a->child->link = &b->sibling;
    }
    a->child = b;
    b->link = &a->child;
    return a;
}

/* Two passes over the children: in pairs from the left, then all from the right. */
static struct details *heap_pair(struct details *first) {
    struct details *pairs = NULL;
    while (first != NULL) {
        struct details *second = first->sibling, *rest = NULL;
        first->sibling = NULL;
        if (second != NULL) {
            rest = second->sibling;
            second->sibling = NULL;
        }
        struct details *pair = heap_meld(first, second);
        pair->sibling = pairs;
        pairs = pair;
        first = rest;
    }
    struct details *root = NULL;
    while (pairs != NULL) {
        struct details *next = pairs->sibling;
        pairs->sibling = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_root(struct details **heap, struct details *root) {
    *heap = root;
    if (root != NULL) {
        root->link = heap;
    }
}

void lease_insert(struct details **heap, struct details *details) {
    if (details != NULL && details->expires_ns != 0) {
        heap_root(heap, heap_meld(*heap, details));
    }
}

void lease_remove(struct details **heap, struct details *details) {
    if (details == NULL || details->expires_ns == 0) {
        return;
    }
    CHECK(details->link != NULL);
    struct details *below = heap_pair(details->child);
    if (*heap == details) {
        heap_root(heap, below);
    } else {
        *details->link = details->sibling;
        if (details->sibling != NULL) {
            details->sibling->link = details->link;
        }
        heap_root(heap, heap_meld(*heap, below));
    }
    details->child = NULL;
    details->sibling = NULL;
    details->link = NULL;
}
