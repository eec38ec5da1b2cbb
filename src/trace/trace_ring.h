/* trace_ring: the tracer's state, shared by trace.c (rings) and trace_file.c (drain). Private to trace/.
 *
 * A ring has one producer (its thread) and one consumer (who drains). Each side's fields stand on cache lines
 * of their own; the producer keeps a copy of `tail`, so that it reads the consumer's line only when the ring
 * looks full. */
#ifndef TRACE_TRACE_RING_H
#define TRACE_TRACE_RING_H

#include "trace/trace.h"

#include <stdalign.h>

struct trace_ring {
    /* owner: producer */
    alignas(64) _Atomic uint64_t
        head; /* release, with the acquire in ring_take: the records below it are whole */
    uint64_t tail_seen;
    _Atomic uint64_t dropped; /* relaxed: a count, it orders nothing */
    struct trace_record *records;
    uint64_t mask;
    /* owner: consumer */
    alignas(
        64) _Atomic uint64_t tail; /* release, with the acquire in trace_emit: the slots below it were read */
};

struct tracer {
    struct env *env;
    struct account *account;
    unsigned threads_max;
    uint64_t capacity;    /* records of a ring; a power of two */
    _Atomic bool enabled; /* relaxed: an emit that misses a switch belongs before it */
    bool header_written;  /* owner: consumer, as what follows */
    uint64_t ticks_origin, ns_origin;
    int64_t utc_origin;
    uint64_t dropped_written;
    char *block; /* encoding space of one block */
    struct trace_ring rings[];
};

/* Copies at most `count` records out of a ring without giving their slots back; returns how many. */
size_t trace_ring_peek(struct trace_ring *ring, struct trace_record *ret, size_t count);
void trace_ring_consume(struct trace_ring *ring, size_t count);

#endif
