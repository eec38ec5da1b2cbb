/* peer_row: what the tables of bench/peers hold, and the declarations that load_frame.h wants of each.
 * A row is a malloc'd block with hash, value and name, as a C program would write it. */
#ifndef BENCH_PEERS_PEER_ROW_H
#define BENCH_PEERS_PEER_ROW_H

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#ifndef PEER_ROW_FIRST
#define PEER_ROW_FIRST /* what the table wants in front of a row */
#endif
#define PEER_NAME_BYTES 16U

struct row {
    PEER_ROW_FIRST
    uint64_t hash, value;
    uint16_t length;
    char name[];
};

static inline uint64_t name_hash(const char *name) {
    return XXH3_64bits(name, PEER_NAME_BYTES);
}

static inline bool row_is(const struct row *row, const char *name) {
    return row->length == PEER_NAME_BYTES && memcmp(row->name, name, PEER_NAME_BYTES) == 0;
}

static inline struct row *row_new(const char *name, uint64_t value) {
    struct row *row = malloc(sizeof *row + PEER_NAME_BYTES);
    if (row == NULL) {
        abort();
    }
    row->hash = name_hash(name);
    row->value = value;
    row->length = PEER_NAME_BYTES;
    memcpy(row->name, name, PEER_NAME_BYTES);
    return row;
}

static inline uint64_t power_of_two(uint64_t least) {
    uint64_t power = 1;
    while (power < least) {
        power *= 2;
    }
    return power;
}

static size_t heap_before;
static inline size_t heap_bytes(void) {
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

struct backend_thread;
static void backend_open(uint64_t keys);
static void backend_begin(struct backend_thread *thread, unsigned number);
static void backend_end(struct backend_thread *thread);
static void backend_put(struct backend_thread *thread, const char *name, uint64_t value);
static void backend_drop(struct backend_thread *thread, const char *name);
static void backend_quiescent(struct backend_thread *thread);
static inline uint64_t backend_get(struct backend_thread *thread, const char *name);
static double backend_bytes(void) {
    return (double)(heap_bytes() - heap_before);
}

#endif
