/* Checked readers: a wrong value becomes a sentence with position, path, what was expected and what was
 * found.
 * Invariants: *ret is written on success only; an absent node is a success that writes nothing.
 * Threads: any, the tree is constant. Allocates nothing. */
#include "document/document_tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* At most 40 bytes of a text, cut between characters, control characters shown as '?'. */
static void excerpt(const char *text, size_t length, char out[48]) {
    size_t kept = length <= 40 ? length : 37;
    if (kept < length)
        while (kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80)
            kept--;
    for (size_t i = 0; i < kept; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    memcpy(out + kept, kept < length ? "..." : "", kept < length ? 4 : 1);
}

const char *node_found(const struct node *node, char out[96]) {
    char shown[48];
    switch (node_kind(node)) {
    case DOCUMENT_NULL:
        (void)snprintf(out, 96, "nothing");
        break;
    case DOCUMENT_BOOL:
        (void)snprintf(out, 96, "%s", node->boolean ? "true" : "false");
        break;
    case DOCUMENT_INT:
    case DOCUMENT_REAL:
        excerpt(node->text, node->count, shown);
        (void)snprintf(out, 96, "the %s %s", node->kind == DOCUMENT_INT ? "integer" : "number", shown);
        break;
    case DOCUMENT_STRING:
        excerpt(node->text, node->count, shown);
        (void)snprintf(out, 96, "the string '%s'", shown);
        break;
    case DOCUMENT_LIST:
        (void)snprintf(out, 96, node->count == 0 ? "an empty list" : "a list of %u", node->count);
        break;
    case DOCUMENT_MAP:
        (void)snprintf(out, 96, node->count == 0 ? "an empty map" : "a map");
        break;
    }
    return out;
}

enum troupe_error node_fault(const struct node *node, struct fault *fault, enum troupe_error error,
                             const char *format, ...) {
    if (fault == NULL)
        return error;
    char where[256] = "", path[192], text[768];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (node == NULL)
        return fault_set(fault, error, where, "%s", text);
    position_text(node->source, (struct position){node->line, node->column}, where, sizeof(where));
    node_path(node, path, sizeof(path));
    return fault_set(fault, error, where, "%s%s%s", path, path[0] == '\0' ? "" : ": ", text);
}

static enum troupe_error mismatch(const struct node *node, struct fault *fault, const char *expected) {
    char found[96];
    return node_fault(node, fault, TROUPE_INVALID, "expected %s, found %s", expected,
                      node_found(node, found));
}

enum troupe_error node_read_bool(const struct node *node, bool *ret, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    if (node->kind != DOCUMENT_BOOL)
        return mismatch(node, fault, "true or false");
    *ret = node->boolean;
    return TROUPE_OK;
}

enum troupe_error node_read_int(const struct node *node, int64_t low, int64_t high, int64_t *ret,
                                struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    if (node->kind == DOCUMENT_INT && node->integer >= low && node->integer <= high) {
        *ret = node->integer;
        return TROUPE_OK;
    }
    char expected[96], found[96];
    if (low == INT64_MIN && high == INT64_MAX)
        (void)snprintf(expected, sizeof(expected), "an integer");
    else if (high == INT64_MAX)
        (void)snprintf(expected, sizeof(expected), "an integer of at least %" PRId64, low);
    else if (low == INT64_MIN)
        (void)snprintf(expected, sizeof(expected), "an integer of at most %" PRId64, high);
    else
        (void)snprintf(expected, sizeof(expected), "an integer in %" PRId64 "..%" PRId64, low, high);
    int64_t quoted;
    bool is_quoted = node->kind == DOCUMENT_STRING && text_int(node->text, &quoted) == TROUPE_OK;
    return node_fault(node, fault, TROUPE_INVALID, "expected %s, found %s%s", expected,
                      node_found(node, found), is_quoted ? " (write it without quotes)" : "");
}

enum troupe_error node_read_real(const struct node *node, double *ret, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    if (node->kind != DOCUMENT_INT && node->kind != DOCUMENT_REAL) {
        char found[96];
        double quoted;
        bool is_quoted = node->kind == DOCUMENT_STRING && text_real(node->text, &quoted) == TROUPE_OK;
        return node_fault(node, fault, TROUPE_INVALID, "expected a number, found %s%s",
                          node_found(node, found), is_quoted ? " (write it without quotes)" : "");
    }
    double value = node_real(node);
    if (!isfinite(value))
        return mismatch(node, fault, "a finite number");
    *ret = value;
    return TROUPE_OK;
}

enum troupe_error node_read_string(const struct node *node, const char **ret, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    if (node->kind != DOCUMENT_STRING) {
        char found[96];
        bool scalar =
            node->kind == DOCUMENT_BOOL || node->kind == DOCUMENT_INT || node->kind == DOCUMENT_REAL;
        return node_fault(node, fault, TROUPE_INVALID, "expected a string, found %s%s",
                          node_found(node, found), scalar ? " (quote it to make it a string)" : "");
    }
    if (memchr(node->text, '\0', node->count) != NULL)
        return mismatch(node, fault, "a string without NUL characters");
    *ret = node->text;
    return TROUPE_OK;
}

static bool is_text_or_number(const struct node *node) {
    return node->kind == DOCUMENT_INT || node->kind == DOCUMENT_REAL ||
           (node->kind == DOCUMENT_STRING && strlen(node->text) == node->count);
}

enum troupe_error node_read_duration(const struct node *node, int64_t *ret_ns, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    int64_t ns;
    if (!is_text_or_number(node) || text_duration(node->text, &ns) != TROUPE_OK)
        return mismatch(node, fault,
                        "a duration such as 500ms, 30s, 2m or 1h30m (a number alone is seconds)");
    *ret_ns = ns;
    return TROUPE_OK;
}

enum troupe_error node_read_bytes(const struct node *node, int64_t *ret_bytes, struct fault *fault) {
    if (node == NULL)
        return TROUPE_OK;
    int64_t bytes;
    if (!is_text_or_number(node) || text_bytes(node->text, &bytes) != TROUPE_OK)
        return mismatch(node, fault, "a size such as 64KiB, 1MiB, 8GiB or 10MB (a number alone is bytes)");
    *ret_bytes = bytes;
    return TROUPE_OK;
}

/* "a, b and c" of the allowed keys, as many as fit. */
static void key_list(const char *const *keys, size_t count, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        const char *joint = i == 0 ? "" : i + 1 == count ? " and " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", joint, keys[i]);
    }
    if (used >= size)
        memcpy(out + size - 4, "...", 4);
}

enum troupe_error node_check_keys(const struct node *map, const char *const *keys, size_t count,
                                  struct fault *fault) {
    if (map == NULL)
        return TROUPE_OK;
    if (map->kind != DOCUMENT_MAP)
        return mismatch(map, fault, "a map");
    for (uint32_t i = 0; i < map->count; i++) {
        const struct node *entry = map->items[i];
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(entry->key, keys[k]) == 0;
        if (known)
            continue;
        char where[256], path[192], advice[320];
        const char *nearest = text_nearest(entry->key, keys, count);
        if (nearest != NULL) {
            (void)snprintf(advice, sizeof(advice), "did you mean '%s'?", nearest);
        } else {
            size_t said = (size_t)snprintf(advice, sizeof(advice), "allowed here: ");
            key_list(keys, count, advice + said, sizeof(advice) - said);
        }
        node_path(map, path, sizeof(path));
        return fault_set(
            fault, TROUPE_INVALID,
            position_text(entry->source, (struct position){entry->line, entry->column}, where, sizeof(where)),
            "%s%sunknown key '%.80s'; %s", path, path[0] == '\0' ? "" : ": ", entry->key, advice);
    }
    return TROUPE_OK;
}

enum troupe_error node_read_config(const struct node *map, enum config_source source, struct config *config,
                                   struct fault *fault) {
    if (node_kind(map) == DOCUMENT_NULL)
        return TROUPE_OK; /* absent, or a file of comments */
    if (map->kind != DOCUMENT_MAP)
        return mismatch(map, fault, "a map of options");
    for (uint32_t i = 0; i < map->count; i++) {
        const struct node *entry = map->items[i];
        char where[256];
        if (!is_text_or_number(entry))
            return mismatch(entry, fault, "a number or text");
        position_text(entry->source, (struct position){entry->line, entry->column}, where, sizeof(where));
        enum troupe_error error = config_set(config, source, where, entry->key, entry->text, fault);
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}
