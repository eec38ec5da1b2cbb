/* trace: emit-only events into per-thread rings, drained to a file by whoever owns the tracer.
 *
 * Threads: trace_emit from any registered thread (one ring each, single producer); trace_drain from one
 *          thread. A full ring drops and counts; nobody ever waits. No floor decides by the trace.
 * Memory:  rings are sized at start.
 * Cost:    <= 30 ns a record; 32 bytes.
 * File:    headers and checked blocks of records, laid out in trace_file.h; trace_read bounds every count and
 *          refuses damage by name and offset, after handing out what is whole before it. */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "env/env.h"

/* Kinds come from trace.def: TRACE(name, "text", "meaning of a", "meaning of b"). */
enum trace_kind {
#define TRACE(name, text, a, b) TRACE_##name,
#include "trace/trace.def"
#undef TRACE
    TRACE_KIND_COUNT
};
const char *trace_kind_name(enum trace_kind kind);

struct trace_record {
    uint64_t ticks;
    uint64_t span;  /* id of the span the record belongs to (task, trial, turn), 0: none */
    uint64_t value; /* meaning by kind */
    uint16_t kind;
    uint16_t thread;
    uint32_t extra; /* meaning by kind */
};

struct tracer;
MUST_CHECK enum troupe_error tracer_create(struct env *env, struct account *account, unsigned threads_max,
                                           size_t ring_records, struct tracer **ret_tracer);
void tracer_free(struct tracer *tracer);
void tracer_enable(struct tracer *tracer, bool enabled); /* off: an emit is one load and a branch */
/* `thread` < threads_max; each used by one thread at a time. tracer may be NULL: nothing happens. */
void trace_emit(struct tracer *tracer, unsigned thread, enum trace_kind kind, uint64_t span, uint64_t value,
                uint32_t extra);
/* A span is split into queued and served: QUEUED at enqueue, STARTED, ENDED (extra: outcome). */
uint64_t tracer_dropped(const struct tracer *tracer);
uint64_t tracer_emitted(const struct tracer *tracer);

/* Moves what the rings hold into `file` (append); a tracer's first drain writes its header before. */
MUST_CHECK enum troupe_error trace_drain(struct tracer *tracer, struct env_file *file, struct fault *fault);
/* Reads a trace file from memory, calling back for each record in file order, ticks converted to ns. */
MUST_CHECK enum troupe_error trace_read(const void *bytes, size_t length, const char *source,
                                        bool (*fn)(void *context, const struct trace_record *record,
                                                   uint64_t time_ns),
                                        void *context, struct fault *fault);

#endif
