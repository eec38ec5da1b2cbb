/* Strict JSON (RFC 8259) into the builder, in one pass without recursion. Own code because every value needs
 * its line and column, which no C library here reports; a byte order mark at the front is skipped.
 * Invariants: `at` never passes `end`; a column counts characters, so continuation bytes of the line are
 *             counted as they are passed.
 * Threads: one a parse. */
#include "document/document_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct builder *builder;
    const char *at, *end;
    const char *line_start;
    uint32_t line;
    size_t continuations; /* UTF-8 continuation bytes between line_start and at */
};

static struct position here(const struct parser *parser) {
    size_t column = (size_t)(parser->at - parser->line_start) - parser->continuations + 1;
    return (struct position){parser->line, (uint32_t)column};
}

/* "expected X, found Y" at the current byte. */
static enum troupe_error expected(struct parser *parser, const char *what) {
    size_t length = text_utf8_length(parser->at, (size_t)(parser->end - parser->at));
    if (parser->at == parser->end)
        return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser),
                            "expected %s, found the end of the text", what);
    if (length == 0 || (unsigned char)*parser->at < 0x20)
        return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser),
                            "expected %s, found the byte 0x%02x", what, (unsigned char)*parser->at);
    return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser), "expected %s, found '%.*s'", what,
                        (int)length, parser->at);
}

static void skip_blanks(struct parser *parser) {
    for (; parser->at < parser->end; parser->at++) {
        if (*parser->at == '\n') {
            parser->line++;
            parser->line_start = parser->at + 1;
            parser->continuations = 0;
        } else if (*parser->at != ' ' && *parser->at != '\t' && *parser->at != '\r') {
            return;
        }
    }
}

static bool next_is(const struct parser *parser, char byte) {
    return parser->at < parser->end && *parser->at == byte;
}

/* Passes the string's characters up to its closing quote, checking all but the meaning of \u escapes. */
static enum troupe_error string_scan(struct parser *parser, bool *ret_escaped) {
    bool escaped = false;
    for (;;) {
        while (parser->at < parser->end && (unsigned char)*parser->at >= 0x20 &&
               (unsigned char)*parser->at < 0x80 && *parser->at != '"' && *parser->at != '\\')
            parser->at++;
        if (parser->at == parser->end)
            return expected(parser, "'\"' to close the string");
        unsigned char byte = (unsigned char)*parser->at;
        if (byte == '"') {
            *ret_escaped = escaped;
            return TROUPE_OK;
        }
        if (byte == '\\') {
            escaped = true;
            parser->at++;
            if (parser->at == parser->end || strchr("\"\\/bfnrtu", *parser->at) == NULL ||
                *parser->at == '\0')
                return expected(parser, "one of \" \\ / b f n r t u after '\\'");
            parser->at++;
        } else if (byte < 0x20) {
            return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser),
                                "the control character 0x%02x must be escaped in a string", byte);
        } else {
            size_t length = text_utf8_length(parser->at, (size_t)(parser->end - parser->at));
            if (length == 0)
                return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser),
                                    "the byte 0x%02x is not valid UTF-8", byte);
            parser->at += length;
            parser->continuations += length - 1;
        }
    }
}

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Four hexadecimal digits before `end`; -1: they are not. */
static int32_t hex_read(const char *at, const char *end) {
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t utf8_write(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(leads[length] | code);
    return length;
}

/* A \u escape at `at` (behind the u), with its low half if it is a high one. Returns the bytes read, 0:
 * wrong. */
static size_t unicode_read(const char *at, const char *end, uint32_t *ret_code) {
    int32_t high = hex_read(at, end);
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *ret_code = (uint32_t)high;
    if (high < 0xd800 || high > 0xdbff)
        return 4;
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u')
        return 0;
    int32_t low = hex_read(at + 6, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *ret_code = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 10;
}

/* Refuses the \u escape at `escape`, in a string that was scanned up to `at`, with its own position. */
static enum troupe_error unicode_refuse(const struct parser *parser, const char *escape) {
    struct parser there = *parser;
    for (const char *byte = escape; byte < parser->at; byte++)
        there.continuations -= ((unsigned char)*byte & 0xc0) == 0x80;
    there.at = escape;
    int32_t code = hex_read(escape + 2, parser->at);
    if (code >= 0)
        return builder_fail(parser->builder, TROUPE_SYNTAX, here(&there),
                            "'%.6s' is half of a surrogate pair", escape);
    const char *end = escape + 2;
    for (int shown = 0; shown < 4 && end < parser->at; shown++)
        end += text_utf8_length(end, (size_t)(parser->at - end)); /* the scan found it well formed */
    return builder_fail(parser->builder, TROUPE_SYNTAX, here(&there), "'%.*s' is no character",
                        (int)(end - escape), escape);
}

/* Replaces the escapes of [from, at) in `out`, which has room for all of it: an escape never grows. */
static enum troupe_error string_unescape(struct parser *parser, const char *from, char *out,
                                         size_t *ret_length) {
    static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char *to = parser->at;
    char *start = out;
    while (from < to) {
        if (*from != '\\') {
            *out++ = *from++;
            continue;
        }
        if (from[1] != 'u') {
            size_t i = 0;
            while (names[i] != from[1])
                i += 2;
            *out++ = names[i + 1];
            from += 2;
            continue;
        }
        uint32_t code;
        size_t read = unicode_read(from + 2, to, &code);
        if (read == 0)
            return unicode_refuse(parser, from);
        out += utf8_write(out, code);
        from += 2 + read;
    }
    *out = '\0';
    *ret_length = (size_t)(out - start);
    return TROUPE_OK;
}

/* The string whose opening quote is at `at`, in the arena; passes the closing quote. */
static enum troupe_error take_string(struct parser *parser, struct scalar *ret) {
    const char *from = ++parser->at;
    bool escaped = false;
    enum troupe_error error = string_scan(parser, &escaped);
    if (error != TROUPE_OK)
        return error;
    struct scalar scalar = {.kind = DOCUMENT_STRING, .length = (size_t)(parser->at - from)};
    char *copy = arena_copy(&parser->builder->document->arena, from, scalar.length);
    if (copy == NULL)
        return builder_nomem(parser->builder);
    if (escaped)
        error = string_unescape(parser, from, copy, &scalar.length);
    if (error != TROUPE_OK)
        return error;
    scalar.text = copy;
    parser->at++;
    *ret = scalar;
    return TROUPE_OK;
}

static size_t digits_pass(struct parser *parser) {
    const char *from = parser->at;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
        parser->at++;
    return (size_t)(parser->at - from);
}

static enum troupe_error take_number(struct parser *parser, struct scalar *ret) {
    const char *from = parser->at;
    bool whole = true;
    if (next_is(parser, '-'))
        parser->at++;
    bool zero = next_is(parser, '0');
    size_t digits = digits_pass(parser);
    if (digits == 0)
        return expected(parser, "a digit");
    if (zero && digits > 1)
        return builder_fail(parser->builder, TROUPE_SYNTAX, here(parser),
                            "a number may not begin with zeros");
    if (next_is(parser, '.')) {
        whole = false;
        parser->at++;
        if (digits_pass(parser) == 0)
            return expected(parser, "a digit after '.'");
    }
    if (next_is(parser, 'e') || next_is(parser, 'E')) {
        whole = false;
        parser->at++;
        if (next_is(parser, '-') || next_is(parser, '+'))
            parser->at++;
        if (digits_pass(parser) == 0)
            return expected(parser, "a digit of the exponent");
    }
    struct scalar scalar = {.kind = DOCUMENT_REAL, .length = (size_t)(parser->at - from)};
    scalar.text = arena_copy(&parser->builder->document->arena, from, scalar.length);
    if (scalar.text == NULL)
        return builder_nomem(parser->builder);
    double shorter;
    bool is_short = decimal_read(from, scalar.length, &shorter);
    if (whole && is_short) {
        scalar.integer = (int64_t)shorter; /* at most 15 digits: nothing is lost */
        scalar.kind = DOCUMENT_INT;
    } else if (whole) {
        errno = 0;
        scalar.integer = strtoll(scalar.text, NULL, 10);
        if (errno == 0)
            scalar.kind = DOCUMENT_INT;
    }
    if (scalar.kind == DOCUMENT_REAL) /* beyond the range: infinity, which checked readers refuse */
        scalar.real = is_short ? shorter : strtod(scalar.text, NULL);
    *ret = scalar;
    return TROUPE_OK;
}

static enum troupe_error take_word(struct parser *parser, struct scalar *ret) {
    static const struct scalar words[] = {
        {.kind = DOCUMENT_BOOL, .boolean = true, .text = "true", .length = 4},
        {.kind = DOCUMENT_BOOL, .text = "false", .length = 5},
        {.kind = DOCUMENT_NULL, .text = "null", .length = 4},
    };
    size_t left = (size_t)(parser->end - parser->at);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (left >= words[i].length && memcmp(parser->at, words[i].text, words[i].length) == 0) {
            *ret = words[i];
            parser->at += words[i].length;
            return TROUPE_OK;
        }
    if (next_is(parser, '\''))
        return expected(parser, "a value (JSON strings take \" quotes)");
    if (left >= 3 && (memcmp(parser->at, "NaN", 3) == 0 || memcmp(parser->at, "Inf", 3) == 0))
        return expected(parser, "a value (JSON has no NaN or Infinity)");
    return expected(parser, "a value");
}

/* The key at `at` and the ':' behind it. */
static enum troupe_error take_key(struct parser *parser) {
    skip_blanks(parser);
    if (!next_is(parser, '"'))
        return expected(parser, "a key in '\"' quotes");
    struct position position = here(parser);
    struct scalar scalar;
    enum troupe_error error = take_string(parser, &scalar);
    if (error == TROUPE_OK)
        error = builder_key_take(parser->builder, position, scalar.text, scalar.length);
    if (error != TROUPE_OK)
        return error;
    skip_blanks(parser);
    if (!next_is(parser, ':'))
        return expected(parser, "':' after the key");
    parser->at++;
    return TROUPE_OK;
}

/* A scalar, or the opening of a list or map up to its first value. *ret_done: a whole value has been passed.
 */
static enum troupe_error take_value(struct parser *parser, bool *ret_done) {
    skip_blanks(parser);
    struct position position = here(parser);
    enum troupe_error error;
    if (next_is(parser, '{') || next_is(parser, '[')) {
        bool map = *parser->at++ == '{';
        error = builder_open(parser->builder, position, map ? DOCUMENT_MAP : DOCUMENT_LIST);
        if (error != TROUPE_OK)
            return error;
        skip_blanks(parser);
        *ret_done = next_is(parser, map ? '}' : ']');
        if (*ret_done) {
            parser->at++;
            return builder_close(parser->builder);
        }
        return map ? take_key(parser) : TROUPE_OK;
    }
    struct scalar scalar = {0};
    if (next_is(parser, '"'))
        error = take_string(parser, &scalar);
    else if (next_is(parser, '-') || (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9'))
        error = take_number(parser, &scalar);
    else
        error = take_word(parser, &scalar);
    *ret_done = true;
    return error != TROUPE_OK ? error : builder_scalar(parser->builder, position, &scalar);
}

/* Behind a value: closes what closes, and passes the ',' (and key) before the next one. *ret_done: all is
 * read. */
static enum troupe_error take_joint(struct parser *parser, bool *ret_done) {
    for (;;) {
        skip_blanks(parser);
        *ret_done = parser->builder->depth == 0;
        if (*ret_done)
            return parser->at == parser->end ? TROUPE_OK : expected(parser, "nothing after the value");
        bool map = builder_in_map(parser->builder);
        if (next_is(parser, ',')) {
            parser->at++;
            skip_blanks(parser);
            if (next_is(parser, map ? '}' : ']'))
                return expected(parser, map ? "a key after ','" : "a value after ','");
            return map ? take_key(parser) : TROUPE_OK;
        }
        if (!next_is(parser, map ? '}' : ']'))
            return expected(parser, map ? "',' or '}'" : "',' or ']'");
        parser->at++;
        enum troupe_error error = builder_close(parser->builder);
        if (error != TROUPE_OK)
            return error;
    }
}

static enum troupe_error parse_values(struct parser *parser) {
    enum troupe_error error = TROUPE_OK;
    for (bool all = false; !all && error == TROUPE_OK;) {
        bool whole = false;
        error = take_value(parser, &whole);
        if (error == TROUPE_OK && whole)
            error = take_joint(parser, &all);
    }
    return error;
}

enum troupe_error document_parse_json(const char *bytes, size_t length, const char *source,
                                      const struct document_limits *limits, struct document **ret_document,
                                      struct fault *fault) {
    struct builder builder;
    enum troupe_error error = builder_begin(&builder, source, limits, fault);
    if (error == TROUPE_OK && length > builder.limits.bytes_max)
        error = builder_fail(&builder, TROUPE_LIMIT, (struct position){0}, "longer than %zu bytes",
                             builder.limits.bytes_max);
    if (error == TROUPE_OK) {
        size_t mark = length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        struct parser parser = {.builder = &builder,
                                .at = bytes + mark,
                                .end = bytes + length,
                                .line_start = bytes + mark,
                                .line = 1};
        error = parse_values(&parser);
    }
    CHECK(error == builder.error);
    return builder_end(&builder, ret_document);
}
