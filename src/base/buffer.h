/* A growable byte buffer, always NUL-terminated when not empty, with a sticky failure: append freely, ask
 * once at the end with buffer_ok(). limit_bytes bounds it (0: 1 GiB). Also small text helpers. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/account.h"
#include "base/error.h"

struct buffer {
    struct account *account;
    char *bytes;
    size_t length, capacity;
    size_t limit_bytes;
    bool failed;     /* an append was refused: no memory or over the limit; contents stop there */
    bool over_limit; /* it was the limit: buffer_ok says LIMIT, otherwise NOMEM */
};

void buffer_init(struct buffer *buffer, struct account *account, size_t limit_bytes);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
/* Room for `length` more bytes, counted already, for the caller to fill. NULL: refused, as an append. */
char *buffer_extend(struct buffer *buffer, size_t length);
void buffer_text(struct buffer *buffer, const char *text);
/* As a POSIX shell reads it back: one word, quoted where it must be. */
void buffer_shell_word(struct buffer *buffer, const char *word);
void buffer_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_consume(struct buffer *buffer, size_t length); /* drops from the front */
void buffer_clear(struct buffer *buffer);                  /* empties, keeps the memory, forgets a failure */
void buffer_free(struct buffer *buffer);
const char *buffer_string(const struct buffer *buffer); /* never NULL */
MUST_CHECK enum troupe_error buffer_ok(const struct buffer *buffer);

/* "2m", "500ms", "1h30m", "90" (seconds) -> ns; "64KiB", "1MiB", "8GiB", "10MB", "123" -> bytes. */
MUST_CHECK enum troupe_error text_duration(const char *text, int64_t *ret_ns);
MUST_CHECK enum troupe_error text_bytes(const char *text, int64_t *ret_bytes);
/* Formats ns as "12.3 s", "850 ms", "40 us" into `out` (at least 32 bytes) and returns it. */
char *text_format_duration(char out[32], int64_t ns);
char *text_format_bytes(char out[32], int64_t bytes);
/* The candidate nearest to `word` by edit distance, or NULL when none is near enough to suggest. */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);
/* Bytes of the well-formed UTF-8 character that `left` bytes of `text` begin with; 0: none. */
size_t text_utf8_length(const char *text, size_t left);
bool text_is_utf8(const char *text);
/* In place, for what quotes a stranger: control characters and what is not UTF-8 become '?', line ends and tabs
 * a blank, and a character that was cut at the end goes. Returns text. */
char *text_make_printable(char *text);
/* Strict numbers: the whole text must be the number. */
MUST_CHECK enum troupe_error text_int(const char *text, int64_t *ret);
MUST_CHECK enum troupe_error text_real(const char *text, double *ret);

#endif
