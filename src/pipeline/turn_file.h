/* turn_file: the layout of turns.bin, a record of turns, little-endian whatever the machine.
 *
 *   file   := header block* end?                  no end: the process was killed
 *   header := "TRTURNS1" u32 format u32 header_bytes char program[48] u64 seed u64 check      program: its version,
 *             zeroes behind it; seed: of the registry's hashes, which order what is registered at once
 *   block  := "TRTURNB1" u32 count u32 reserved (0) u64 check record*
 *   end    := a block of count 0 whose reserved field is 1 and whose check is followed by u64 turns u64 lost
 *   record := u64 actor:20 kind:8 worker:6 time_low:30      the lower bits first
 *             u64 sender:20 time_high:12 token:32, or version
 *
 * A check is hash_bytes (XXH3) of all other bytes of its header, block or end. The kinds of messages are numbers of the
 * program that wrote them, so a record is read by the same version only.
 * Threads: plain data. Memory: turn_file_read allocates one array on the caller's account, freed by turn_file_free.
 * Failure: CORRUPT names the byte; NEWER, UNSUPPORTED: of another format,
 *          or written by another version of the program. */
#ifndef PIPELINE_TURN_FILE_H
#define PIPELINE_TURN_FILE_H

#include "runtime/runtime.h"

#define TURN_FILE_FORMAT 1
#define TURN_FILE_HEADER_BYTES 80U
#define TURN_FILE_PROGRAM_BYTES 48U
#define TURN_FILE_BLOCK_HEADER_BYTES 24U
#define TURN_FILE_END_BYTES (TURN_FILE_BLOCK_HEADER_BYTES + 16U)
#define TURN_FILE_RECORD_BYTES 16U
#define TURN_FILE_BLOCK_RECORDS_MAX 4096U
#define TURN_FILE_BYTES_MAX (UINT64_C(1) << 30) /* 67 million turns */

void turn_file_header(struct buffer *out, uint64_t seed);
/* At most TURN_FILE_BLOCK_RECORDS_MAX. */
void turn_file_block(struct buffer *out, const struct turn_record *records, size_t count);
void turn_file_end(struct buffer *out, uint64_t turns, uint64_t lost);

struct turn_file {
    struct turn_record *records;
    size_t count;
    bool ended;    /* the run came to its end; false: it was killed, and its last turns are missing */
    uint64_t seed; /* of the registry */
    uint64_t lost; /* turns that were not written, for the disk did not keep up */
    struct account *account;
};
/* `source` is what messages call it. */
MUST_CHECK enum troupe_error turn_file_read(const void *bytes, size_t length, const char *source,
                                            struct account *account, struct turn_file *ret,
                                            struct fault *fault);
/* The length of `bytes` without a last block that was still being written: what to read of the record of a process that
 * was killed. `length` where nothing is to be left off, or what is there was never a block. */
size_t turn_file_whole(const void *bytes, size_t length);
void turn_file_free(struct turn_file *file);

#endif
