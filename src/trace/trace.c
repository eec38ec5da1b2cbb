/* trace: the rings. An emit is: one load and a branch when off; otherwise the time stamp, four stores into
 * the thread's own ring and one release store of its head. Nothing is shared between producers.
 *
 * Budget of an emit: no allocation, no system call, one record line written, the producer's own line written;
 * the consumer's line is read once in a ring's length. bench/trace_bench measures it. */
#include "trace/trace_ring.h"

#include <string.h>

#include "trace/trace_file.h"

#define RING_RECORDS_MIN 64
#define RING_RECORDS_MAX (1u << 24)

const char *trace_kind_name(enum trace_kind kind) {
    static const char *const names[] = {
#define TRACE(name, text, a, b) text,
#include "trace/trace.def"
#undef TRACE
    };
    return (unsigned)kind < TRACE_KIND_COUNT ? names[kind] : "unknown";
}

enum troupe_error tracer_create(struct env *env, struct account *account, unsigned threads_max,
                                size_t ring_records, struct tracer **ret_tracer) {
    if (threads_max == 0 || threads_max > UINT16_MAX || ring_records > RING_RECORDS_MAX)
        return TROUPE_INVALID;
    uint64_t capacity = RING_RECORDS_MIN;
    while (capacity < ring_records)
        capacity *= 2;
    struct tracer *tracer =
        memory_alloc_aligned(account, 64, sizeof *tracer + threads_max * sizeof tracer->rings[0]);
    if (tracer == NULL)
        return TROUPE_NOMEM;
    memset(tracer, 0, sizeof *tracer + threads_max * sizeof tracer->rings[0]);
    tracer->env = env;
    tracer->account = account;
    tracer->threads_max = threads_max;
    tracer->capacity = capacity;
    tracer->ticks_origin = env_ticks(env);
    tracer->ns_origin = env_now(env);
    tracer->utc_origin = env_utc(env);
    tracer->block = memory_alloc(account, TRACE_BLOCK_BYTES_MAX);
    bool failed = tracer->block == NULL;
    for (unsigned i = 0; i < threads_max && !failed; i++) {
        tracer->rings[i].mask = capacity - 1;
        tracer->rings[i].records = memory_alloc(account, capacity * sizeof(struct trace_record));
        failed = tracer->rings[i].records == NULL;
    }
    if (failed) {
        tracer_free(tracer);
        return TROUPE_NOMEM;
    }
    *ret_tracer = tracer;
    return TROUPE_OK;
}

void tracer_free(struct tracer *tracer) {
    if (tracer == NULL)
        return;
    struct account *account = tracer->account;
    for (unsigned i = 0; i < tracer->threads_max; i++)
        memory_free(account, tracer->rings[i].records);
    memory_free(account, tracer->block);
    memory_free(account, tracer);
}

void tracer_enable(struct tracer *tracer, bool enabled) {
    atomic_store_explicit(&tracer->enabled, enabled, memory_order_relaxed);
}

void trace_emit(struct tracer *tracer, unsigned thread, enum trace_kind kind, uint64_t span, uint64_t value,
                uint32_t extra) {
    if (tracer == NULL || !atomic_load_explicit(&tracer->enabled, memory_order_relaxed))
        return;
    CHECK(thread < tracer->threads_max);
    struct trace_ring *ring = &tracer->rings[thread];
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed); /* its own */
    if (head - ring->tail_seen > ring->mask) {
        /* acquire, with the release in trace_ring_consume: otherwise the slot could be written while it is
         * still read. */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen > ring->mask) {
            atomic_store_explicit(&ring->dropped,
                                  atomic_load_explicit(&ring->dropped, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
            return;
        }
    }
    ring->records[head & ring->mask] = (struct trace_record){.ticks = env_ticks(tracer->env),
                                                             .span = span,
                                                             .value = value,
                                                             .kind = (uint16_t)kind,
                                                             .thread = (uint16_t)thread,
                                                             .extra = extra};
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

size_t trace_ring_peek(struct trace_ring *ring, struct trace_record *ret, size_t count) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed); /* its own */
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t there = (size_t)(head - tail);
    if (there > count)
        there = count;
    for (size_t i = 0; i < there; i++)
        ret[i] = ring->records[(tail + i) & ring->mask];
    return there;
}

void trace_ring_consume(struct trace_ring *ring, size_t count) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + count, memory_order_release);
}

uint64_t tracer_dropped(const struct tracer *tracer) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < tracer->threads_max; i++)
        sum += atomic_load_explicit(&tracer->rings[i].dropped, memory_order_relaxed);
    return sum;
}

uint64_t tracer_emitted(const struct tracer *tracer) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < tracer->threads_max; i++)
        sum += atomic_load_explicit(&tracer->rings[i].head, memory_order_relaxed);
    return sum;
}
