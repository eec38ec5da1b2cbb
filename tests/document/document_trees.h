/* Random trees for the tests of this floor: written as JSON, written as YAML in a random style, compared node
 * by node. Strings hold quotes, escapes, control characters and characters of one to four bytes. */
#ifndef TESTS_DOCUMENT_DOCUMENT_TREES_H
#define TESTS_DOCUMENT_DOCUMENT_TREES_H

#include "document_rig.h"

static inline size_t random_string(struct random_stream *random, char *out) {
    static const char *const atoms[] = {"a", "Z", "\"",       "\\",           "/",
                                        " ", ":", "\n",       "\x01",         "\x7f",
                                        "{", ",", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "#", "'", "- ",       "\t",           "\xef\xbf\xbd"};
    size_t length = 0;
    for (uint64_t left = random_below(random, 12); left > 0; left--) {
        const char *atom = atoms[random_below(random, ARRAY_COUNT(atoms))];
        memcpy(out + length, atom, strlen(atom));
        length += strlen(atom);
    }
    out[length] = '\0';
    return length;
}

static inline void random_value(struct random_stream *random, struct json *json, unsigned depth) {
    char text[64];
    uint64_t bits = random_u64(random);
    double real;
    switch (random_below(random, depth >= 6 ? 6 : 9)) {
    case 0:
        json_null(json);
        break;
    case 1:
        json_bool(json, bits & 1);
        break;
    case 2:
        json_int(json, (int64_t)bits >> random_below(random, 64));
        break;
    case 3:
        memcpy(&real, &bits, sizeof(real));
        json_real(json, real);
        break;
    case 4:
    case 5:
        json_string_n(json, text, random_string(random, text));
        break;
    case 6:
        json_array_begin(json);
        for (uint64_t left = random_below(random, 5); left > 0; left--)
            random_value(random, json, depth + 1);
        json_array_end(json);
        break;
    default:
        json_object_begin(json);
        for (uint64_t left = random_below(random, 20); left > 0; left--) {
            size_t length = random_string(random, text);
            (void)snprintf(text + length, sizeof(text) - length, "%u", (unsigned)left); /* no key twice */
            json_key(json, text);
            random_value(random, json, depth + 1);
        }
        json_object_end(json);
    }
}

static inline bool same_tree(const struct node *a, const struct node *b) {
    if (node_kind(a) != node_kind(b) || node_count(a) != node_count(b))
        return false;
    switch (node_kind(a)) {
    case DOCUMENT_NULL:
        return true;
    case DOCUMENT_BOOL:
        return node_bool(a) == node_bool(b);
    case DOCUMENT_INT:
        return node_int(a) == node_int(b);
    case DOCUMENT_REAL:
        return node_real(a) == node_real(b);
    case DOCUMENT_STRING:
        return node_string_length(a) == node_string_length(b) &&
               memcmp(node_string(a), node_string(b), node_string_length(a)) == 0;
    case DOCUMENT_LIST:
    case DOCUMENT_MAP:
        break;
    }
    for (size_t i = 0; i < node_count(a); i++) {
        if (node_kind(a) == DOCUMENT_MAP && (strcmp(node_key_at(a, i), node_key_at(b, i)) != 0 ||
                                             node_get(a, node_key_at(a, i)) != node_at(a, i)))
            return false;
        if (!same_tree(node_at(a, i), node_at(b, i)))
            return false;
    }
    return true;
}

/* ---- YAML in a random style ---- */

static inline void yaml_string(struct random_stream *random, struct buffer *out, const char *text) {
    bool plain = *text != '\0', printable = true;
    for (const char *at = text; *at != '\0'; at++) {
        plain = plain && (*at == 'a' || *at == 'Z');
        printable = printable && (unsigned char)*at >= 0x20 && *at != 0x7f;
    }
    uint64_t style = random_below(random, 3);
    if (plain && style == 0) {
        buffer_text(out, text);
        return;
    }
    bool single = printable && style == 1;
    buffer_text(out, single ? "'" : "\"");
    for (const char *at = text; *at != '\0'; at++) {
        if (single)
            buffer_text(out, *at == '\'' ? "'" : "");
        if (!single && ((unsigned char)*at < 0x20 || *at == 0x7f))
            buffer_format(out, "\\x%02x", (unsigned)(unsigned char)*at);
        else if (!single && (*at == '"' || *at == '\\'))
            buffer_format(out, "\\%c", *at);
        else
            buffer_append(out, at, 1);
    }
    buffer_text(out, single ? "'" : "\"");
}

static inline void yaml_scalar(struct random_stream *random, struct buffer *out, const struct node *node) {
    static const char *const nulls[] = {"null", "~", "Null", "NULL"};
    static const char *const bools[2][3] = {{"false", "False", "FALSE"}, {"true", "True", "TRUE"}};
    if (node_kind(node) == DOCUMENT_STRING)
        yaml_string(random, out, node_string(node));
    else if (node_kind(node) == DOCUMENT_NULL)
        buffer_text(out, nulls[random_below(random, ARRAY_COUNT(nulls))]);
    else if (node_kind(node) == DOCUMENT_BOOL)
        buffer_text(out, bools[node_bool(node)][random_below(random, 3)]);
    else
        buffer_text(out, node_text(node));
}

static inline void yaml_flow(struct random_stream *random, struct buffer *out, const struct node *node) {
    bool map = node_kind(node) == DOCUMENT_MAP;
    if (!map && node_kind(node) != DOCUMENT_LIST) {
        yaml_scalar(random, out, node);
        return;
    }
    buffer_text(out, map ? "{" : "[");
    for (size_t i = 0; i < node_count(node); i++) {
        buffer_text(out, i == 0 ? "" : ", ");
        if (map) {
            yaml_string(random, out, node_key_at(node, i));
            buffer_text(out, ": ");
        }
        yaml_flow(random, out, node_at(node, i));
    }
    buffer_text(out, map ? "}" : "]");
}

/* The value behind "key:" or "-" at `indent`; ends its line. */
static inline void yaml_block(struct random_stream *random, struct buffer *out, const struct node *node,
                              int indent) {
    bool map = node_kind(node) == DOCUMENT_MAP;
    if (node_count(node) == 0 || random_below(random, 4) == 0) {
        buffer_text(out, " ");
        yaml_flow(random, out, node);
        buffer_text(out, random_below(random, 4) == 0 ? " # why\n" : "\n");
        return;
    }
    buffer_text(out, "\n");
    for (size_t i = 0; i < node_count(node); i++) {
        if (random_below(random, 8) == 0)
            buffer_text(out, "\n   # between\n");
        buffer_format(out, "%*s", indent, "");
        if (map)
            yaml_string(random, out, node_key_at(node, i));
        buffer_text(out, map ? ":" : "-");
        yaml_block(random, out, node_at(node, i), indent + 1 + (int)random_below(random, 3));
    }
}

#endif
