/* Records of turns: what was written reads back, and what was damaged, cut or written by another version is refused by
 * name. A reader that took a torn block would replay turns that never were. */
#include "../base/cmocka_base.h"

#include <stdio.h>

#include "pipeline/pipeline.h"

static struct account account;
#define TURNS 5000U

static struct turn_record record_of(unsigned i) {
    struct turn_record record = {.actor = i % 5, .worker = i % 64, .time_low = i * 3};
    if (i % 7 == 3) {
        record.kind = TURN_RECORD_READ;
        record.of.version = i * UINT64_C(0x100000001);
        return record;
    }
    record.kind = i % 11 == 0 ? TURN_RECORD_INPUT : i % MESSAGE_KIND_COUNT;
    record.of.message.sender = i;
    record.of.message.time_high = i % 4096;
    record.of.message.token = ~i;
    return record;
}

static void write_turns(struct buffer *out, bool end) {
    static struct turn_record records[TURNS];
    for (unsigned i = 0; i < TURNS; i++)
        records[i] = record_of(i);
    buffer_init(out, &account, 0);
    turn_file_header(out, 41);
    turn_file_block(out, records, TURN_FILE_BLOCK_RECORDS_MAX);
    turn_file_block(out, records + TURN_FILE_BLOCK_RECORDS_MAX, TURNS - TURN_FILE_BLOCK_RECORDS_MAX);
    if (end)
        turn_file_end(out, TURNS, 17);
    assert_int_equal(buffer_ok(out), TROUPE_OK);
}

static enum troupe_error read_back(const struct buffer *bytes, size_t length, struct turn_file *file,
                                   struct fault *fault) {
    *fault = (struct fault){0};
    return turn_file_read(bytes->bytes, length, "turns.bin", &account, file, fault);
}

static void what_was_written_reads_back(void **state) {
    (void)state;
    for (unsigned end = 0; end < 2; end++) {
        struct buffer bytes;
        struct turn_file file = {0};
        struct fault fault;
        write_turns(&bytes, end != 0);
        assert_int_equal(read_back(&bytes, bytes.length, &file, &fault), TROUPE_OK);
        assert_int_equal(file.seed, 41);
        assert_int_equal(file.count, TURNS);
        assert_int_equal(file.ended, end);
        assert_int_equal(file.lost, end != 0 ? 17 : 0);
        for (unsigned i = 0; i < TURNS; i++) {
            struct turn_record wanted = record_of(i);
            assert_memory_equal(&file.records[i], &wanted, sizeof wanted);
        }
        turn_file_free(&file);
        buffer_free(&bytes);
    }
    assert_int_equal(account.bytes, 0);
}

/* Whole blocks without an end are a killed run's; anything else that is cut is told. */
static void a_cut_file_is_refused_unless_between_blocks(void **state) {
    (void)state;
    struct buffer bytes;
    write_turns(&bytes, true);
    size_t first = TURN_FILE_HEADER_BYTES + TURN_FILE_BLOCK_HEADER_BYTES +
                   TURN_FILE_BLOCK_RECORDS_MAX * TURN_FILE_RECORD_BYTES;
    for (size_t length = 0; length < bytes.length;
         length += length < 200 || length > bytes.length - 100 ? 1 : 97) {
        struct turn_file file = {0};
        struct fault fault;
        enum troupe_error error = read_back(&bytes, length, &file, &fault);
        bool whole = length == TURN_FILE_HEADER_BYTES || length == first ||
                     length == bytes.length - TURN_FILE_END_BYTES;
        if (whole) {
            assert_int_equal(error, TROUPE_OK);
            assert_false(file.ended);
        } else {
            assert_int_equal(error, TROUPE_CORRUPT);
            assert_non_null(strstr(fault.where, "turns.bin: byte "));
        }
        turn_file_free(&file);
    }
    buffer_free(&bytes);
    assert_int_equal(account.bytes, 0);
}

static void what_is_whole_of_a_cut_file(void **state) {
    (void)state;
    struct buffer bytes;
    write_turns(&bytes, true);
    size_t ends[] = {TURN_FILE_HEADER_BYTES,
                     TURN_FILE_HEADER_BYTES + TURN_FILE_BLOCK_HEADER_BYTES +
                         TURN_FILE_BLOCK_RECORDS_MAX * TURN_FILE_RECORD_BYTES,
                     bytes.length - TURN_FILE_END_BYTES, bytes.length};
    for (size_t length = 0; length <= bytes.length; length++) {
        size_t wanted = length; /* a header that is not whole stays, and is refused */
        for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
            wanted = ends[i] <= length ? ends[i] : wanted;
        assert_int_equal(turn_file_whole(bytes.bytes, length), wanted);
    }
    bytes.bytes[ends[1]] ^= 1; /* what is not a block is left for its reader to tell of */
    assert_int_equal(turn_file_whole(bytes.bytes, bytes.length), bytes.length);
    buffer_free(&bytes);
    assert_int_equal(account.bytes, 0);
}

static void a_changed_byte_is_found(void **state) {
    (void)state;
    struct buffer bytes;
    write_turns(&bytes, true);
    for (size_t at = 0; at < bytes.length; at += at < 120 || at > bytes.length - 60 ? 1 : 61) {
        struct turn_file file = {0};
        struct fault fault;
        bytes.bytes[at] ^= 0x20;
        enum troupe_error error = read_back(&bytes, bytes.length, &file, &fault);
        assert_true(error == TROUPE_CORRUPT || error == TROUPE_NEWER);
        assert_null(file.records);
        bytes.bytes[at] ^= 0x20;
    }
    buffer_free(&bytes);
    assert_int_equal(account.bytes, 0);
}

static void another_version_is_refused_by_name(void **state) {
    (void)state;
    struct buffer bytes;
    struct turn_file file = {0};
    struct fault fault;
    write_turns(&bytes, true);
    memcpy(bytes.bytes + 16, "9.8.7\x1b", 7);
    uint64_t check = hash_bytes(bytes.bytes + TURN_FILE_HEADER_BYTES, 0,
                                hash_bytes(bytes.bytes, TURN_FILE_HEADER_BYTES - 8, 0));
    for (unsigned i = 0; i < 8; i++)
        bytes.bytes[TURN_FILE_HEADER_BYTES - 8 + i] = (char)(check >> (8 * i));
    assert_int_equal(read_back(&bytes, bytes.length, &file, &fault), TROUPE_UNSUPPORTED);
    assert_non_null(strstr(fault.text, "recorded by version 9.8.7?; "));
    bytes.bytes[8] = 2;
    assert_int_equal(read_back(&bytes, bytes.length, &file, &fault), TROUPE_NEWER);
    buffer_free(&bytes);
    assert_int_equal(account.bytes, 0);
}

static void no_memory_is_told(void **state) {
    (void)state;
    struct buffer bytes;
    struct turn_file file = {0};
    struct fault fault;
    write_turns(&bytes, true);
    memory_fail_after(1);
    assert_int_equal(read_back(&bytes, bytes.length, &file, &fault), TROUPE_NOMEM);
    memory_fail_after(0);
    buffer_free(&bytes);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(a_cut_file_is_refused_unless_between_blocks),
        cmocka_unit_test(what_is_whole_of_a_cut_file),
        cmocka_unit_test(a_changed_byte_is_found),
        cmocka_unit_test(another_version_is_refused_by_name),
        cmocka_unit_test(no_memory_is_told),
    };
    account = ACCOUNT("turn_file_test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
