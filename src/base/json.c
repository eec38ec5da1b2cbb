/* The JSON writer. A comma is owed at a depth once a value has been written there; a key pays it and leaves
 * none for its value.
 * Invariants: begin and end match (checked); the output is valid UTF-8 whatever comes in.
 * Threads: one at a time.
 * Memory:  none of its own; failure sticks in the buffer. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/decimal.h"

void json_init(struct json *json, struct buffer *out) {
    *json = (struct json){.out = out};
}

static void value_begin(struct json *json) {
    if (json->comma[json->depth])
        buffer_append(json->out, ",", 1);
    json->comma[json->depth] = true;
}

static void open_with(struct json *json, const char *bracket) {
    value_begin(json);
    CHECK(json->depth + 1 < ARRAY_COUNT(json->comma));
    json->comma[++json->depth] = false;
    buffer_append(json->out, bracket, 1);
}

static void close_with(struct json *json, const char *bracket) {
    CHECK(json->depth > 0);
    json->depth--;
    buffer_append(json->out, bracket, 1);
}

void json_object_begin(struct json *json) {
    open_with(json, "{");
}

void json_object_end(struct json *json) {
    close_with(json, "}");
}

void json_array_begin(struct json *json) {
    open_with(json, "[");
}

void json_array_end(struct json *json) {
    close_with(json, "]");
}

static void escape(struct buffer *out, unsigned char byte) {
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(names); i += 2)
        if ((unsigned char)names[i] == byte) {
            buffer_append(out, (const char[]){'\\', names[i + 1]}, 2);
            return;
        }
    buffer_format(out, "\\u%04x", byte);
}

/* Nothing in it needs an escape or a look at its encoding: nearly every string and key. */
static bool is_plain(const char *text, size_t length) {
    bool plain = true;
    for (size_t at = 0; at < length; at++) { /* without a branch, so that it is done many bytes at a time */
        unsigned char byte = (unsigned char)text[at];
        plain &= byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    }
    return plain;
}

/* The text in quotes and, for a key, the colon behind them. */
static void quoted(struct buffer *out, const char *text, size_t length, bool colon) {
    if (is_plain(text, length)) {
        char *at = buffer_extend(out, length + 2 + colon);
        if (at == NULL)
            return;
        at[0] = '"';
        memcpy(at + 1, text, length);
        at[length + 1] = '"';
        at[length + 1 + colon] = colon ? ':' : '"';
        return;
    }
    const unsigned char *bytes = (const unsigned char *)text;
    size_t from = 0, at = 0;
    buffer_append(out, "\"", 1);
    while (at < length) {
        size_t step = text_utf8_length(text + at, length - at);
        if (step > 1 ||
            (step == 1 && bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\' && bytes[at] != 0x7f)) {
            at += step;
            continue;
        }
        buffer_append(out, text + from, at - from);
        if (step == 0)
            buffer_append(out, "\xef\xbf\xbd", 3);
        else
            escape(out, bytes[at]);
        from = ++at;
    }
    buffer_append(out, text + from, at - from);
    buffer_append(out, "\":", 1 + colon);
}

void json_key(struct json *json, const char *key) {
    CHECK(json->depth > 0);
    value_begin(json);
    quoted(json->out, key, strlen(key), true);
    json->comma[json->depth] = false;
}

void json_string_n(struct json *json, const char *text, size_t length) {
    value_begin(json);
    quoted(json->out, text, length, false);
}

void json_string(struct json *json, const char *text) {
    if (text == NULL)
        json_null(json);
    else
        json_string_n(json, text, strlen(text));
}

void json_int(struct json *json, int64_t value) {
    char text[DECIMAL_BYTES];
    size_t length = decimal_write_int(value, text);
    value_begin(json);
    buffer_append(json->out, text, length);
}

void json_real(struct json *json, double value) {
    if (!isfinite(value)) {
        json_null(json);
        return;
    }
    char text[40];
    size_t length = decimal_write(value, text);
    if (length > 0) {
        value_begin(json);
        buffer_append(json->out, text, length);
        return;
    }
    /* 17 digits always read back the same; 15 are enough for what people write. */
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (strpbrk(text, ".e") == NULL)
        (void)strcat(text, ".0"); /* stays a real for readers that tell integers apart */
    value_begin(json);
    buffer_text(json->out, text);
}

void json_bool(struct json *json, bool value) {
    value_begin(json);
    buffer_text(json->out, value ? "true" : "false");
}

void json_null(struct json *json) {
    value_begin(json);
    buffer_text(json->out, "null");
}

void json_raw(struct json *json, const char *text, size_t length) {
    value_begin(json);
    buffer_append(json->out, text, length);
}

void json_field_string(struct json *json, const char *key, const char *text) {
    json_key(json, key);
    json_string(json, text);
}

void json_field_int(struct json *json, const char *key, int64_t value) {
    json_key(json, key);
    json_int(json, value);
}

void json_field_real(struct json *json, const char *key, double value) {
    json_key(json, key);
    json_real(json, value);
}

void json_field_bool(struct json *json, const char *key, bool value) {
    json_key(json, key);
    json_bool(json, value);
}

void json_field_raw(struct json *json, const char *key, const char *text, size_t length) {
    json_key(json, key);
    json_raw(json, text, length);
}
