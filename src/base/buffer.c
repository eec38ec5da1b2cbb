/* The growable buffer: capacity doubles, one byte is kept for the closing NUL, failure sticks.
 * Invariants: bytes[length] == 0 whenever bytes != NULL; length never passes the limit; a failed buffer holds
 * what fitted before the first refused append, whole appends only.
 * Threads: one at a time. */
#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define LIMIT_DEFAULT ((size_t)1 << 30)
#define CAPACITY_FIRST ((size_t)64)

void buffer_init(struct buffer *buffer, struct account *account, size_t limit_bytes) {
    *buffer =
        (struct buffer){.account = account, .limit_bytes = limit_bytes == 0 ? LIMIT_DEFAULT : limit_bytes};
}

/* Room for `length` more bytes and the NUL. */
static bool buffer_reserve(struct buffer *buffer, size_t length) {
    if (buffer->failed)
        return false;
    if (length > buffer->limit_bytes || buffer->length > buffer->limit_bytes - length) {
        buffer->failed = buffer->over_limit = true;
        return false;
    }
    size_t needed = buffer->length + length + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : buffer->capacity * 2;
    if (capacity > buffer->limit_bytes + 1)
        capacity = buffer->limit_bytes + 1;
    if (capacity < needed)
        capacity = needed;
    char *bytes = memory_resize(buffer->account, buffer->bytes, capacity);
    if (bytes == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

char *buffer_extend(struct buffer *buffer, size_t length) {
    /* The common case first: it has not failed, so its length is within its limit. */
    if ((buffer->failed || length >= buffer->capacity - buffer->length ||
         length > buffer->limit_bytes - buffer->length) &&
        !buffer_reserve(buffer, length))
        return NULL;
    char *at = buffer->bytes + buffer->length;
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
    return at;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    char *at = buffer_extend(buffer, length);
    if (at != NULL && length > 0)
        memcpy(at, bytes, length);
}

void buffer_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}

void buffer_shell_word(struct buffer *buffer, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_{}^";
    /* Some shells expand {a,b} and {1..9}. */
    bool braces = strchr(word, '{') && (strchr(word, ',') || strstr(word, ".."));
    if (word[0] != '\0' && !braces && word[strspn(word, plain)] == '\0' && strcmp(word, "{}") != 0) {
        buffer_text(buffer, word);
        return;
    }
    buffer_text(buffer, "'");
    for (; *word != '\0'; word++)
        if (*word == '\'')
            buffer_text(buffer, "'\\''");
        else
            buffer_append(buffer, word, 1);
    buffer_text(buffer, "'");
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buffer->failed ? 0 : buffer->capacity - buffer->length;
    int length = vsnprintf(room > 0 ? buffer->bytes + buffer->length : NULL, room, format, args);
    va_end(args);
    CHECK(length >= 0);
    if (buffer_reserve(buffer, (size_t)length)) {
        if ((size_t)length >= room)
            (void)vsnprintf(buffer->bytes + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    } else if (room > 0) {
        buffer->bytes[buffer->length] = '\0'; /* take back the part that was written */
    }
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t length) {
    CHECK(length <= buffer->length);
    if (length == 0)
        return;
    memmove(buffer->bytes, buffer->bytes + length, buffer->length - length + 1);
    buffer->length -= length;
}

void buffer_clear(struct buffer *buffer) {
    buffer->length = 0;
    buffer->failed = buffer->over_limit = false;
    if (buffer->bytes != NULL)
        buffer->bytes[0] = '\0';
}

void buffer_free(struct buffer *buffer) {
    memory_free(buffer->account, buffer->bytes);
    buffer_init(buffer, buffer->account, buffer->limit_bytes);
}

const char *buffer_string(const struct buffer *buffer) {
    return buffer->bytes == NULL ? "" : buffer->bytes;
}

enum troupe_error buffer_ok(const struct buffer *buffer) {
    if (!buffer->failed)
        return TROUPE_OK;
    return buffer->over_limit ? TROUPE_LIMIT : TROUPE_NOMEM;
}
