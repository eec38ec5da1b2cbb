/* The binary heap over pointers to intrusive nodes.
 * Invariants: nodes[i]->position == i + 1; no node sorts before its parent; (key, sequence) is a total
 *             order, so equal keys leave in the order they came.
 * Threads: one at a time.
 * Memory:  the array is the heap's, the nodes are the caller's. */
#include "base/heap.h"

#include "base/check.h"

#define CAPACITY_FIRST 16

void heap_init(struct heap *heap, struct account *account) {
    *heap = (struct heap){.account = account};
}

void heap_free(struct heap *heap) {
    for (size_t i = 0; i < heap->count; i++)
        heap->nodes[i]->position = 0;
    memory_free(heap->account, heap->nodes);
    heap_init(heap, heap->account);
}

static bool before(const struct heap_node *a, const struct heap_node *b) {
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void place(struct heap *heap, struct heap_node *node, size_t index) {
    heap->nodes[index] = node;
    node->position = index + 1;
}

static void sift_up(struct heap *heap, struct heap_node *node, size_t index) {
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!before(node, heap->nodes[parent]))
            break;
        place(heap, heap->nodes[parent], index);
        index = parent;
    }
    place(heap, node, index);
}

static void sift_down(struct heap *heap, struct heap_node *node, size_t index) {
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before(heap->nodes[child], node))
            break;
        place(heap, heap->nodes[child], index);
        index = child;
    }
    place(heap, node, index);
}

/* Puts `node` right after its key changed or it replaced another at `index`. */
static void settle(struct heap *heap, struct heap_node *node, size_t index) {
    if (index > 0 && before(node, heap->nodes[(index - 1) / 2]))
        sift_up(heap, node, index);
    else
        sift_down(heap, node, index);
}

enum troupe_error heap_reserve(struct heap *heap, size_t count) {
    size_t capacity = heap->capacity == 0 ? CAPACITY_FIRST : heap->capacity;
    while (capacity < count)
        capacity *= 2;
    if (capacity == heap->capacity)
        return TROUPE_OK;
    struct heap_node **nodes =
        memory_resize(heap->account, heap->nodes, capacity * sizeof(struct heap_node *));
    if (nodes == NULL)
        return TROUPE_NOMEM;
    heap->nodes = nodes;
    heap->capacity = capacity;
    return TROUPE_OK;
}

enum troupe_error heap_insert_in_turn(struct heap *heap, struct heap_node *node, uint64_t key,
                                      uint64_t sequence) {
    CHECK(node->position == 0);
    if (heap->count == heap->capacity && heap_reserve(heap, heap->count + 1) != TROUPE_OK)
        return TROUPE_NOMEM;
    node->key = key;
    node->sequence = sequence;
    sift_up(heap, node, heap->count++);
    return TROUPE_OK;
}

enum troupe_error heap_insert(struct heap *heap, struct heap_node *node, uint64_t key) {
    enum troupe_error error = heap_insert_in_turn(heap, node, key, heap->next_sequence);
    heap->next_sequence += error == TROUPE_OK;
    return error;
}

struct heap_node *heap_first(const struct heap *heap) {
    return heap->count == 0 ? NULL : heap->nodes[0];
}

static size_t index_of(const struct heap *heap, const struct heap_node *node) {
    CHECK(node->position >= 1 && node->position <= heap->count && heap->nodes[node->position - 1] == node);
    return node->position - 1;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
    size_t index = index_of(heap, node);
    struct heap_node *last = heap->nodes[--heap->count];
    node->position = 0;
    if (last != node)
        settle(heap, last, index);
}

void heap_update(struct heap *heap, struct heap_node *node, uint64_t key) {
    size_t index = index_of(heap, node);
    node->key = key;
    node->sequence = heap->next_sequence++; /* moved now: after those already waiting for the same key */
    settle(heap, node, index);
}
