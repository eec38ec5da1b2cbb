/* What the tests of this floor share: parse a text, write a tree as JSON, look at a fault as one line. */
#ifndef TESTS_DOCUMENT_DOCUMENT_RIG_H
#define TESTS_DOCUMENT_DOCUMENT_RIG_H

#include "../base/cmocka_base.h"

#include <stdio.h>

#include "document/document.h"

typedef enum troupe_error (*parse_call)(const char *bytes, size_t length, const char *source,
                                        const struct document_limits *limits, struct document **ret_document,
                                        struct fault *fault);

/* "CODE where: text" in static memory. */
static inline const char *fault_line(const struct fault *fault) {
    static char line[1100];
    (void)snprintf(line, sizeof(line), "%s %s: %s", error_name(fault->error), fault->where, fault->text);
    return line;
}

static inline struct document *parsed_n(parse_call parse, const char *text, size_t length) {
    struct document *document = NULL;
    struct fault fault = {0};
    if (parse(text, length, "f", NULL, &document, &fault) != TROUPE_OK)
        fail_msg("'%s' was refused: %s", text, fault_line(&fault));
    return document;
}

static inline struct document *parsed(parse_call parse, const char *text) {
    return parsed_n(parse, text, strlen(text));
}

/* The tree as JSON in `out`, which the caller frees. */
static inline const char *written(const struct document *document, struct buffer *out) {
    static struct account account = {.name = "rig"};
    struct json json;
    buffer_init(out, &account, 0);
    json_init(&json, out);
    node_write_json(document_root(document), &json);
    assert_int_equal(buffer_ok(out), TROUPE_OK);
    return buffer_string(out);
}

/* `text` parses to a tree that writes as `expected`, or, when `expected` begins with a capital, is refused
 * so. */
static inline void assert_parses_as(parse_call parse, const char *text, size_t length, const char *expected) {
    struct document *document = NULL;
    struct fault fault = {0};
    struct buffer out;
    enum troupe_error error = parse(text, length, "f", NULL, &document, &fault);
    assert_int_equal(error, fault.error);
    if (error != TROUPE_OK) {
        assert_null(document);
        if (strcmp(fault_line(&fault), expected) != 0)
            fail_msg("\ntext     %s\nrefused  %s\nexpected %s", text, fault_line(&fault), expected);
    } else {
        if (strcmp(written(document, &out), expected) != 0)
            fail_msg("\ntext     %s\nread as  %s\nexpected %s", text, buffer_string(&out), expected);
        buffer_free(&out);
    }
    document_free(document);
    assert_int_equal(document_account()->bytes, 0);
}

#endif
