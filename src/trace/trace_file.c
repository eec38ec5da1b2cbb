/* trace_file: rings to file (trace_drain) and file to callbacks (trace_read); the layout is in trace_file.h.
 *
 * A drain that cannot write a whole block cuts the file back to where it was, so that what a reader finds is
 * whole up to a torn end; the records stay in their rings. A reader gets every whole block before a damaged
 * one; the damage is then reported by name and offset. */
#include "trace/trace_ring.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "trace/trace_file.h"

static const char header_magic[8] = {'T', 'R', 'T', 'R', 'A', 'C', 'E', '1'};
static const char block_magic[8] = {'T', 'R', 'B', 'L', 'O', 'C', 'K', '1'};

static char *put(char *at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        *at++ = (char)(value >> (8 * i));
    return at;
}

static uint64_t get(const unsigned char *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* The check of a header or block: it stands at `check_at`, 8 bytes, and covers the rest. */
static uint64_t check_of(const char *bytes, size_t check_at, size_t length) {
    uint64_t before = XXH64(bytes, check_at, 0);
    return XXH64(bytes + check_at + 8, length - check_at - 8, before);
}

/* ---- drain ---- */
static enum troupe_error append(struct tracer *tracer, struct env_file *file, size_t length,
                                struct fault *fault) {
    uint64_t before = 0;
    enum troupe_error error = env_file_size(file, &before);
    if (error == TROUPE_OK)
        error = env_file_append(file, tracer->block, length);
    if (error == TROUPE_OK)
        return error;
    IGNORE(env_file_truncate(file, before), "a torn end is what readers expect of a disk that fails");
    return fault_set(fault, error, "trace file", "cannot write %zu bytes: %s", length, error_text(error));
}

static enum troupe_error write_header(struct tracer *tracer, struct env_file *file, struct fault *fault) {
    char *at = tracer->block;
    memcpy(at, header_magic, sizeof header_magic);
    at = put(at + 8, TRACE_FILE_VERSION, 4);
    at = put(at, TRACE_HEADER_BYTES, 4);
    at = put(at, tracer->ticks_origin, 8);
    at = put(at, tracer->ns_origin, 8);
    at = put(at, (uint64_t)tracer->utc_origin, 8);
    put(at, check_of(tracer->block, TRACE_HEADER_BYTES - 8, TRACE_HEADER_BYTES), 8);
    enum troupe_error error = append(tracer, file, TRACE_HEADER_BYTES, fault);
    tracer->header_written = error == TROUPE_OK;
    return error;
}

static enum troupe_error write_block(struct tracer *tracer, struct env_file *file,
                                     const struct trace_record *records, size_t count, struct fault *fault) {
    char *at = tracer->block;
    size_t length = TRACE_BLOCK_HEADER_BYTES + count * TRACE_RECORD_BYTES;
    memcpy(at, block_magic, sizeof block_magic);
    at = put(at + 8, count, 4);
    at = put(at, 0, 4);
    at = put(at, env_ticks(tracer->env), 8);
    at = put(at, env_now(tracer->env), 8);
    at = put(at, tracer_dropped(tracer), 8);
    char *check = at;
    at += 8;
    for (size_t i = 0; i < count; i++) {
        at = put(at, records[i].ticks, 8);
        at = put(at, records[i].span, 8);
        at = put(at, records[i].value, 8);
        at = put(at, records[i].kind, 2);
        at = put(at, records[i].thread, 2);
        at = put(at, records[i].extra, 4);
    }
    put(check, check_of(tracer->block, (size_t)(check - tracer->block), length), 8);
    return append(tracer, file, length, fault);
}

enum troupe_error trace_drain(struct tracer *tracer, struct env_file *file, struct fault *fault) {
    enum troupe_error error = tracer->header_written ? TROUPE_OK : write_header(tracer, file, fault);
    for (unsigned i = 0; i < tracer->threads_max && error == TROUPE_OK; i++) {
        /* What a ring holds now; what is emitted meanwhile comes with the next drain, so this ends. */
        uint64_t left = tracer->capacity;
        while (left > 0 && error == TROUPE_OK) {
            struct trace_record records[TRACE_BLOCK_RECORDS_MAX];
            size_t count = trace_ring_peek(&tracer->rings[i], records,
                                           left < ARRAY_COUNT(records) ? (size_t)left : ARRAY_COUNT(records));
            if (count == 0)
                break;
            error = write_block(tracer, file, records, count, fault);
            if (error == TROUPE_OK)
                trace_ring_consume(&tracer->rings[i], count);
            left -= count;
        }
    }
    /* Losses after the last record are told by a block of none. */
    uint64_t dropped = tracer_dropped(tracer);
    if (error == TROUPE_OK && dropped != tracer->dropped_written) {
        error = write_block(tracer, file, NULL, 0, fault);
        if (error == TROUPE_OK)
            tracer->dropped_written = dropped;
    }
    return error;
}

/* ---- read ---- */
struct reader {
    const unsigned char *bytes;
    size_t length, at;
    const char *source;
    struct fault *fault;
    uint64_t ticks_origin, ns_origin; /* of the segment */
    double ns_per_tick;
};

static enum troupe_error damaged(struct reader *reader, const char *what) {
    char where[256];
    snprintf(where, sizeof where, "%.200s: byte %zu", reader->source, reader->at);
    return fault_set(reader->fault, TROUPE_CORRUPT, where, "%s", what);
}

/* The ticks' rate over the segment that begins at `at`: from its header to its last whole block. */
static double segment_rate(const struct reader *reader, size_t at) {
    double rate = 1;
    while (reader->length - at >= TRACE_BLOCK_HEADER_BYTES &&
           memcmp(reader->bytes + at, block_magic, sizeof block_magic) == 0) {
        uint64_t count = get(reader->bytes + at + 8, 4);
        uint64_t ticks = get(reader->bytes + at + 16, 8), ns = get(reader->bytes + at + 24, 8);
        if (count > TRACE_BLOCK_RECORDS_MAX ||
            reader->length - at - TRACE_BLOCK_HEADER_BYTES < count * TRACE_RECORD_BYTES)
            break;
        if (ticks > reader->ticks_origin && ns > reader->ns_origin)
            rate = (double)(ns - reader->ns_origin) / (double)(ticks - reader->ticks_origin);
        at += TRACE_BLOCK_HEADER_BYTES + (size_t)count * TRACE_RECORD_BYTES;
    }
    return rate;
}

static enum troupe_error read_header(struct reader *reader) {
    const unsigned char *at = reader->bytes + reader->at;
    if (reader->length - reader->at < TRACE_HEADER_BYTES)
        return damaged(reader, "the file ends inside a header");
    if (memcmp(at, header_magic, sizeof header_magic) != 0)
        return damaged(reader, "expected a trace header (TRTRACE1) or a block, found something else");
    uint64_t version = get(at + 8, 4);
    if (version > TRACE_FILE_VERSION) {
        return fault_set(reader->fault, TROUPE_NEWER, reader->source,
                         "a trace of version %llu; this program reads up to %d", (unsigned long long)version,
                         TRACE_FILE_VERSION);
    }
    if (version == 0 || get(at + 12, 4) != TRACE_HEADER_BYTES ||
        get(at + 40, 8) != check_of((const char *)at, TRACE_HEADER_BYTES - 8, TRACE_HEADER_BYTES))
        return damaged(reader, "a header whose contents do not fit its check");
    reader->ticks_origin = get(at + 16, 8);
    reader->ns_origin = get(at + 24, 8);
    reader->at += TRACE_HEADER_BYTES;
    reader->ns_per_tick = segment_rate(reader, reader->at);
    return TROUPE_OK;
}

static uint64_t to_ns(const struct reader *reader, uint64_t ticks) {
    if (reader->ns_per_tick == 1) /* ticks are ns: exact */
        return reader->ns_origin + (ticks - reader->ticks_origin);
    double offset = ticks >= reader->ticks_origin ? (double)(ticks - reader->ticks_origin)
                                                  : -(double)(reader->ticks_origin - ticks);
    double ns = (double)reader->ns_origin + offset * reader->ns_per_tick;
    return ns <= 0 ? 0 : ns >= 1.8e19 ? UINT64_MAX : (uint64_t)ns;
}

/* One block: checked whole before the first of its records is handed out. */
static enum troupe_error read_block(struct reader *reader,
                                    bool (*fn)(void *, const struct trace_record *, uint64_t), void *context,
                                    bool *ret_go_on) {
    const unsigned char *at = reader->bytes + reader->at;
    if (reader->length - reader->at < TRACE_BLOCK_HEADER_BYTES)
        return damaged(reader, "the file ends inside a block's head");
    uint64_t count = get(at + 8, 4);
    if (count > TRACE_BLOCK_RECORDS_MAX)
        return damaged(reader, "a block that claims more than 1,024 records");
    size_t length = TRACE_BLOCK_HEADER_BYTES + (size_t)count * TRACE_RECORD_BYTES;
    if (reader->length - reader->at < length)
        return damaged(reader, "the file ends inside a block");
    if (get(at + 12, 4) != 0 || get(at + 40, 8) != check_of((const char *)at, 40, length))
        return damaged(reader, "a block whose contents do not fit its check");
    at += TRACE_BLOCK_HEADER_BYTES;
    for (uint64_t i = 0; i < count && *ret_go_on; i++, at += TRACE_RECORD_BYTES) {
        struct trace_record record = {.ticks = get(at, 8),
                                      .span = get(at + 8, 8),
                                      .value = get(at + 16, 8),
                                      .kind = (uint16_t)get(at + 24, 2),
                                      .thread = (uint16_t)get(at + 26, 2),
                                      .extra = (uint32_t)get(at + 28, 4)};
        *ret_go_on = fn(context, &record, to_ns(reader, record.ticks));
    }
    reader->at += length;
    return TROUPE_OK;
}

enum troupe_error trace_read(const void *bytes, size_t length, const char *source,
                             bool (*fn)(void *context, const struct trace_record *record, uint64_t time_ns),
                             void *context, struct fault *fault) {
    struct reader reader = {.bytes = bytes, .length = length, .source = source, .fault = fault};
    bool go_on = true, segment = false;
    enum troupe_error error = TROUPE_OK;
    if (length == 0)
        return damaged(&reader, "an empty file: expected a trace header (TRTRACE1)");
    while (reader.at < length && go_on && error == TROUPE_OK) {
        bool block = segment && length - reader.at >= sizeof block_magic &&
                     memcmp(reader.bytes + reader.at, block_magic, sizeof block_magic) == 0;
        error = block ? read_block(&reader, fn, context, &go_on) : read_header(&reader);
        segment = segment || error == TROUPE_OK;
    }
    return error;
}
