/* Leases: which row expires next. A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), linked through the
 * rows, so that a lease costs no allocation.
 *
 * Invariants: no row expires before its parent; `link` is the pointer that points to the row, NULL: in none.
 * Threads: the partition's lock. Memory: inside the rows. */
#include "registry/registry_private.h"

static struct registry_row *heap_meld(struct registry_row *a, struct registry_row *b) {
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    if (row_lease(b)->expires_ns < row_lease(a)->expires_ns) {
        struct registry_row *row = a;
        a = b;
        b = row;
    }
    struct row_lease *parent = row_lease(a), *child = row_lease(b);
    child->sibling = parent->child;
    if (parent->child != NULL) {
        row_lease(parent->child)->link = &child->sibling;
    }
    parent->child = b;
    child->link = &parent->child;
    return a;
}

/* Two passes over the children: in pairs from the left, then all from the right. */
static struct registry_row *heap_pair(struct registry_row *first) {
    struct registry_row *pairs = NULL;
    while (first != NULL) {
        struct registry_row *second = row_lease(first)->sibling, *rest = NULL;
        row_lease(first)->sibling = NULL;
        if (second != NULL) {
            rest = row_lease(second)->sibling;
            row_lease(second)->sibling = NULL;
        }
        struct registry_row *pair = heap_meld(first, second);
        row_lease(pair)->sibling = pairs;
        pairs = pair;
        first = rest;
    }
    struct registry_row *root = NULL;
    while (pairs != NULL) {
        struct registry_row *next = row_lease(pairs)->sibling;
        row_lease(pairs)->sibling = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_root(struct registry_row **heap, struct registry_row *root) {
    *heap = root;
    if (root != NULL) {
        row_lease(root)->link = heap;
    }
}

void lease_insert(struct registry_row **heap, struct registry_row *row) {
    if ((row->parts & ROW_LEASE) != 0) {
        heap_root(heap, heap_meld(*heap, row));
    }
}

void lease_remove(struct registry_row **heap, struct registry_row *row) {
    if ((row->parts & ROW_LEASE) == 0) {
        return;
    }
    struct row_lease *lease = row_lease(row);
    CHECK(lease->link != NULL);
    struct registry_row *below = heap_pair(lease->child);
    if (*heap == row) {
        heap_root(heap, below);
    } else {
        *lease->link = lease->sibling;
        if (lease->sibling != NULL) {
            row_lease(lease->sibling)->link = lease->link;
        }
        heap_root(heap, heap_meld(*heap, below));
    }
    lease->child = NULL;
    lease->sibling = NULL;
    lease->link = NULL;
}
