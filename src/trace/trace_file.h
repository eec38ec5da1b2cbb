/* trace_file: the layout of a trace file, little-endian whatever the machine. Private to trace/.
 *
 *   segment := header block*          one for each process that appended to the file
 *   header  := "TRTRACE1" u32 version u32 header_bytes u64 ticks_origin u64 ns_origin i64 utc_origin u64
 * check block   := "TRBLOCK1" u32 records u32 reserved (0) u64 ticks u64 ns u64 dropped u64 check record*
 *   record  := u64 ticks u64 span u64 value u16 kind u16 thread u32 extra
 *
 * (ticks, ns) of a block are one reading of both clocks when it was drained: with the header's pair it gives
 * the rate of the ticks, better the longer the trace runs. `dropped` counts records lost so far to full
 * rings. `check` is the XXH64 of all bytes of the header or block but itself. */
#ifndef TRACE_TRACE_FILE_H
#define TRACE_TRACE_FILE_H

#define TRACE_FILE_VERSION 1
#define TRACE_HEADER_BYTES 48
#define TRACE_BLOCK_HEADER_BYTES 48
#define TRACE_RECORD_BYTES 32
#define TRACE_BLOCK_RECORDS_MAX 1024
#define TRACE_BLOCK_BYTES_MAX (TRACE_BLOCK_HEADER_BYTES + TRACE_BLOCK_RECORDS_MAX * TRACE_RECORD_BYTES)

#endif
