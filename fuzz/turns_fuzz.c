/* turns: a record of turns of anybody. Its checks and its version are mended first, or nothing behind them would ever be
 * reached. What is accepted has only kinds that exist, says whether it ended, and is the same when it is written again;
 * damage is refused by name. */
#include "fuzz.h"

#include "pipeline/pipeline.h"

#include <stdlib.h>

static struct account account = {.name = "turns"};

static void mend(uint8_t *bytes, size_t check_at, size_t length) {
    uint64_t check = hash_bytes(bytes + check_at + 8, length - check_at - 8, hash_bytes(bytes, check_at, 0));
    for (unsigned i = 0; i < 8; i++)
        bytes[check_at + i] = (uint8_t)(check >> (8 * i));
}

static void mend_all(uint8_t *bytes, size_t length) {
    struct buffer header;
    if (length < TURN_FILE_HEADER_BYTES)
        return;
    buffer_init(&header, &account, 0);
    turn_file_header(&header, 0);
    memcpy(bytes + 16, header.bytes + 16, TURN_FILE_PROGRAM_BYTES);
    buffer_free(&header);
    mend(bytes, TURN_FILE_HEADER_BYTES - 8, TURN_FILE_HEADER_BYTES);
    size_t at = TURN_FILE_HEADER_BYTES;
    while (length - at >= TURN_FILE_BLOCK_HEADER_BYTES) {
        size_t count = bytes[at + 8] + ((size_t)bytes[at + 9] << 8);
        size_t block =
            count > 0 ? TURN_FILE_BLOCK_HEADER_BYTES + count * TURN_FILE_RECORD_BYTES : TURN_FILE_END_BYTES;
        if (length - at < block)
            return;
        mend(bytes + at, TURN_FILE_BLOCK_HEADER_BYTES - 8, block);
        at += block;
    }
}

static void write_again(const struct turn_file *file) {
    struct buffer again;
    struct turn_file read = {0};
    buffer_init(&again, &account, 0);
    turn_file_header(&again, file->seed);
    for (size_t at = 0; at < file->count; at += TURN_FILE_BLOCK_RECORDS_MAX) {
        size_t some = file->count - at;
        some = some < TURN_FILE_BLOCK_RECORDS_MAX ? some : TURN_FILE_BLOCK_RECORDS_MAX;
        turn_file_block(&again, file->records + at, some);
    }
    if (file->ended)
        turn_file_end(&again, file->count, file->lost);
    CHECK(turn_file_read(again.bytes, again.length, "again", &account, &read, NULL) == TROUPE_OK);
    CHECK(read.count == file->count && read.ended == file->ended && read.lost == file->lost &&
          read.seed == file->seed);
    CHECK(file->count == 0 || memcmp(read.records, file->records, file->count * sizeof *file->records) == 0);
    turn_file_free(&read);
    buffer_free(&again);
}

static void try_read(const uint8_t *bytes, size_t length) {
    struct fault fault = {0};
    struct turn_file file = {0};
    enum troupe_error error = turn_file_read(bytes, length, "turns.bin", &account, &file, &fault);
    size_t whole = turn_file_whole(bytes, length);
    CHECK(whole <= length && (error != TROUPE_OK || whole == length));
    CHECK(turn_file_whole(bytes, whole) == whole);
    if (error != TROUPE_OK) {
        fuzz_refused(error, &fault, file.records);
    } else {
        for (size_t i = 0; i < file.count; i++)
            CHECK(file.records[i].kind >= TURN_RECORD_INPUT || file.records[i].kind < MESSAGE_KIND_COUNT);
        write_again(&file);
    }
    turn_file_free(&file);
    CHECK(account.bytes == 0);
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
