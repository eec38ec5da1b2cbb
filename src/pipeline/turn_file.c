/* turn_file: see the header. A reader trusts nothing: every length is checked before it is used, every block's check
 * before the first of its records is taken. */
#include "pipeline/turn_file.h"

#include <stdio.h>
#include <string.h>

static const char header_magic[8] = {'T', 'R', 'T', 'U', 'R', 'N', 'S', '1'};
static const char block_magic[8] = {'T', 'R', 'T', 'U', 'R', 'N', 'B', '1'};

static void put(struct buffer *out, uint64_t value, unsigned bytes) {
    char text[8];
    for (unsigned i = 0; i < bytes; i++)
        text[i] = (char)(value >> (8 * i));
    buffer_append(out, text, bytes);
}

static uint64_t get(const unsigned char *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* Of all bytes but the 8 at `check_at`. */
static uint64_t check_of(const void *bytes, size_t check_at, size_t length) {
    const char *at = bytes;
    return hash_bytes(at + check_at + 8, length - check_at - 8, hash_bytes(at, check_at, 0));
}

/* ---- writing ---- */

/* What was appended from `from` on gets its check. */
static void seal(struct buffer *out, size_t from, size_t check_at) {
    if (buffer_ok(out) != TROUPE_OK)
        return;
    uint64_t check = check_of(out->bytes + from, check_at, out->length - from);
    for (unsigned i = 0; i < 8; i++)
        out->bytes[from + check_at + i] = (char)(check >> (8 * i));
}

void turn_file_header(struct buffer *out, uint64_t seed) {
    char program[TURN_FILE_PROGRAM_BYTES] = {0};
    size_t from = out->length;
    snprintf(program, sizeof program, "%s", TROUPE_VERSION);
    buffer_append(out, header_magic, sizeof header_magic);
    put(out, TURN_FILE_FORMAT, 4);
    put(out, TURN_FILE_HEADER_BYTES, 4);
    buffer_append(out, program, sizeof program);
    put(out, seed, 8);
    put(out, 0, 8);
    seal(out, from, TURN_FILE_HEADER_BYTES - 8);
}

static void block_begin(struct buffer *out, size_t count, unsigned end) {
    buffer_append(out, block_magic, sizeof block_magic);
    put(out, count, 4);
    put(out, end, 4);
    put(out, 0, 8);
}

void turn_file_block(struct buffer *out, const struct turn_record *records, size_t count) {
    size_t from = out->length;
    CHECK(count > 0 && count <= TURN_FILE_BLOCK_RECORDS_MAX);
    block_begin(out, count, 0);
    for (size_t i = 0; i < count; i++) {
        const struct turn_record *one = &records[i];
        put(out,
            one->actor | (uint64_t)one->kind << 20 | (uint64_t)one->worker << 28 |
                (uint64_t)one->time_low << 34,
            8);
        put(out,
            one->kind == TURN_RECORD_READ
                ? one->of.version
                : one->of.message.sender | (uint64_t)one->of.message.time_high << 20 |
                      (uint64_t)one->of.message.token << 32,
            8);
    }
    seal(out, from, TURN_FILE_BLOCK_HEADER_BYTES - 8);
}

void turn_file_end(struct buffer *out, uint64_t turns, uint64_t lost) {
    size_t from = out->length;
    block_begin(out, 0, 1);
    put(out, turns, 8);
    put(out, lost, 8);
    seal(out, from, TURN_FILE_BLOCK_HEADER_BYTES - 8);
}

/* ---- reading ---- */

struct reading {
    const unsigned char *bytes;
    size_t length, at;
    const char *source;
    struct fault *fault;
};

static enum troupe_error damaged(const struct reading *reading, const char *what) {
    char where[256];
    snprintf(where, sizeof where, "%.200s: byte %zu", reading->source, reading->at);
    return fault_set(reading->fault, TROUPE_CORRUPT, where, "%s", what);
}

static enum troupe_error read_header(struct reading *reading) {
    const unsigned char *at = reading->bytes;
    if (reading->length < TURN_FILE_HEADER_BYTES)
        return damaged(reading,
                       "the file ends inside its header: it is no record of turns, or was cut short");
    if (memcmp(at, header_magic, sizeof header_magic) != 0)
        return damaged(reading, "expected a record of turns (TRTURNS1), found something else");
    uint64_t format = get(at + 8, 4);
    if (format != TURN_FILE_FORMAT)
        return fault_set(reading->fault, format > TURN_FILE_FORMAT ? TROUPE_NEWER : TROUPE_UNSUPPORTED,
                         reading->source, "a record of turns of format %llu; this program reads format %d",
                         (unsigned long long)format, TURN_FILE_FORMAT);
    if (get(at + 12, 4) != TURN_FILE_HEADER_BYTES ||
        get(at + TURN_FILE_HEADER_BYTES - 8, 8) !=
            check_of(at, TURN_FILE_HEADER_BYTES - 8, TURN_FILE_HEADER_BYTES))
        return damaged(reading, "the header does not fit its check");
    char program[TURN_FILE_PROGRAM_BYTES + 1] = {0};
    memcpy(program, at + 16, TURN_FILE_PROGRAM_BYTES);
    if (strcmp(program, TROUPE_VERSION) != 0)
        return fault_set(
            reading->fault, TROUPE_UNSUPPORTED, reading->source,
            "recorded by version %s; a record is replayed by the version that wrote it, and this "
            "is %s",
            text_make_printable(program), TROUPE_VERSION);
    reading->at = TURN_FILE_HEADER_BYTES;
    return TROUPE_OK;
}

static struct turn_record record_at(const unsigned char *at) {
    uint64_t head = get(at, 8), rest = get(at + 8, 8);
    struct turn_record record = {.actor = head & 0xfffff,
                                 .kind = head >> 20 & 0xff,
                                 .worker = head >> 28 & 0x3f,
                                 .time_low = head >> 34};
    if (record.kind == TURN_RECORD_READ) {
        record.of.version = rest;
    } else {
        record.of.message.sender = rest & 0xfffff;
        record.of.message.time_high = rest >> 20 & 0xfff;
        record.of.message.token = rest >> 32;
    }
    return record;
}

static enum troupe_error read_end(struct reading *reading, struct turn_file *file) {
    const unsigned char *at = reading->bytes + reading->at;
    if (get(at + 8, 4) != 0 || reading->length - reading->at != TURN_FILE_END_BYTES)
        return damaged(reading, "the end of the record is not the end of the file");
    if (get(at + 16, 8) != check_of(at, 16, TURN_FILE_END_BYTES))
        return damaged(reading, "the end of the record does not fit its check");
    if (get(at + 24, 8) != file->count)
        return damaged(reading, "the end tells of another number of turns than there are: a part is missing");
    file->ended = true;
    file->lost = get(at + 32, 8);
    reading->at = reading->length;
    return TROUPE_OK;
}

static enum troupe_error read_block(struct reading *reading, struct turn_file *file) {
    const unsigned char *at = reading->bytes + reading->at;
    if (reading->length - reading->at < TURN_FILE_BLOCK_HEADER_BYTES)
        return damaged(reading, "the file ends inside a block: it was cut short");
    if (memcmp(at, block_magic, sizeof block_magic) != 0)
        return damaged(reading, "expected a block (TRTURNB1), found something else");
    if (get(at + 12, 4) == 1)
        return read_end(reading, file);
    size_t count = (size_t)get(at + 8, 4);
    size_t length = TURN_FILE_BLOCK_HEADER_BYTES + count * TURN_FILE_RECORD_BYTES;
    if (count == 0 || count > TURN_FILE_BLOCK_RECORDS_MAX || get(at + 12, 4) != 0)
        return damaged(reading, "a block of no size that is written");
    if (reading->length - reading->at < length)
        return damaged(reading, "the file ends inside a block: it was cut short");
    if (get(at + 16, 8) != check_of(at, 16, length))
        return damaged(reading, "a block that does not fit its check");
    for (size_t i = 0; i < count; i++) {
        struct turn_record record = record_at(at + TURN_FILE_BLOCK_HEADER_BYTES + i * TURN_FILE_RECORD_BYTES);
        if (record.kind < TURN_RECORD_INPUT && record.kind >= MESSAGE_KIND_COUNT)
            return damaged(reading, "a turn that took a message of no known kind");
        file->records[file->count++] = record;
    }
    reading->at += length;
    return TROUPE_OK;
}

enum troupe_error turn_file_read(const void *bytes, size_t length, const char *source,
                                 struct account *account, struct turn_file *ret, struct fault *fault) {
    struct reading reading = {.bytes = bytes, .length = length, .source = source, .fault = fault};
    struct turn_file file = {.account = account};
    enum troupe_error error = read_header(&reading);
    if (error != TROUPE_OK)
        return error;
    file.seed = get(reading.bytes + 16 + TURN_FILE_PROGRAM_BYTES, 8);
    /* Not more records than bytes have room for, whatever counts say. */
    file.records = memory_alloc(account, (length / TURN_FILE_RECORD_BYTES + 1) * sizeof *file.records);
    if (file.records == NULL)
        return fault_set(fault, TROUPE_NOMEM, source, "out of memory reading the record of turns");
    while (error == TROUPE_OK && reading.at < length)
        error = read_block(&reading, &file);
    if (error == TROUPE_OK)
        *ret = file;
    else
        turn_file_free(&file);
    return error;
}

size_t turn_file_whole(const void *bytes, size_t length) {
    const unsigned char *all = bytes;
    size_t at = TURN_FILE_HEADER_BYTES;
    while (at < length && length - at >= TURN_FILE_BLOCK_HEADER_BYTES) {
        uint64_t count = get(all + at + 8, 4);
        size_t block = count > 0 && count <= TURN_FILE_BLOCK_RECORDS_MAX
                           ? TURN_FILE_BLOCK_HEADER_BYTES + (size_t)count * TURN_FILE_RECORD_BYTES
                       : count == 0 ? TURN_FILE_END_BYTES
                                    : 0;
        if (memcmp(all + at, block_magic, sizeof block_magic) != 0 || block == 0)
            return length; /* not of a writer that was killed: reading says what it is */
        if (length - at < block)
            break;
        at += block;
    }
    return at < length ? at : length;
}

void turn_file_free(struct turn_file *file) {
    if (file->account != NULL)
        memory_free(file->account, file->records);
    *file = (struct turn_file){0};
}
