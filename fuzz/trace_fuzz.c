/* trace: a trace file of anybody. Its checks are mended first, or nothing behind them would ever be reached. Every
 * record that is handed out has a kind with a name, a reader stops when it says so, and damage is refused by
 * name. */
#include "fuzz.h"

#include "trace/trace.h"
#include "trace/trace_file.h"

#include <stdlib.h>
#include <xxhash.h>

struct seen {
    unsigned count, stop_at;
};

static bool look(void *context, const struct trace_record *record, uint64_t time_ns) {
    struct seen *seen = context;
    (void)time_ns;
    CHECK(trace_kind_name((enum trace_kind)record->kind)[0] != '\0');
    return ++seen->count != seen->stop_at;
}

/* The check stands 8 bytes long at `check_at` and covers the other bytes of a header or block. */
static void mend(uint8_t *bytes, size_t check_at, size_t length) {
    uint64_t check = XXH64(bytes, check_at, 0);
    check = XXH64(bytes + check_at + 8, length - check_at - 8, check);
    for (unsigned i = 0; i < 8; i++)
        bytes[check_at + i] = (uint8_t)(check >> (8 * i));
}

static void mend_all(uint8_t *bytes, size_t length) {
    size_t at = 0;
    while (length - at >= TRACE_HEADER_BYTES && length - at >= TRACE_BLOCK_HEADER_BYTES) {
        if (memcmp(bytes + at, "TRTRACE1", 8) == 0) {
            mend(bytes + at, TRACE_HEADER_BYTES - 8, TRACE_HEADER_BYTES);
            at += TRACE_HEADER_BYTES;
        } else {
            size_t count = bytes[at + 8] + ((size_t)bytes[at + 9] << 8);
            size_t block = TRACE_BLOCK_HEADER_BYTES + count * TRACE_RECORD_BYTES;
            if (memcmp(bytes + at, "TRBLOCK1", 8) != 0 || length - at < block)
                return;
            mend(bytes + at, TRACE_BLOCK_HEADER_BYTES - 8, block);
            at += block;
        }
    }
}

static void try_read(const uint8_t *bytes, size_t length) {
    struct fault fault = {0};
    struct seen all = {0}, first = {.stop_at = 1};
    enum troupe_error error = trace_read(bytes, length, "input.trace", look, &all, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, NULL);
    if (all.count > 0) {
        CHECK(trace_read(bytes, length, "input.trace", look, &first, &fault) == TROUPE_OK);
        CHECK(first.count == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *mended = malloc(size > 0 ? size : 1);
    CHECK(mended != NULL);
    if (size > 0)
        memcpy(mended, data, size);
    mend_all(mended, size);
    try_read(mended, size);
    try_read(data, size);
    free(mended);
    return 0;
}
