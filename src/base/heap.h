/* A binary min-heap of (key, sequence) with intrusive positions, so that an entry can be moved or removed. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/account.h"
#include "base/error.h"

struct heap_node {
    uint64_t key;      /* smallest first */
    uint64_t sequence; /* ties: first in, first out, or heap_insert_in_turn's */
    size_t position;   /* 1-based while in a heap, 0 outside */
};
struct heap {
    struct account *account;
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t next_sequence;
};
void heap_init(struct heap *heap, struct account *account);
void heap_free(struct heap *heap); /* the array, not the nodes */
MUST_CHECK enum troupe_error heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);
/* Room for so many: insertions up to it do not fail. */
MUST_CHECK enum troupe_error heap_reserve(struct heap *heap, size_t count);
/* Among equal keys in the place that `sequence` gives it: for nodes that come and go and keep their turn. A heap has only
 * such insertions, or none. */
MUST_CHECK enum troupe_error heap_insert_in_turn(struct heap *heap, struct heap_node *node, uint64_t key,
                                                 uint64_t sequence);
struct heap_node *heap_first(const struct heap *heap); /* NULL: empty */
void heap_remove(struct heap *heap, struct heap_node *node);
void heap_update(struct heap *heap, struct heap_node *node, uint64_t key);

#endif
