/* One value of a document changed: the tree is copied through a builder, and on the way down the path the
 * other value takes the place of the old one. Copying keeps the old document immutable and the new one in
 * one arena. Recursion is bounded by DOCUMENT_DEPTH_MAX.
 * Threads: one a call. */
#include "document/document_tree.h"

#include <stdlib.h>
#include <string.h>

struct step {
    const char *key; /* NULL: an index */
    size_t index;
};

struct change {
    struct builder builder;
    const char *path;   /* as given, for messages */
    struct arena texts; /* keys of the steps */
    struct step steps[DOCUMENT_DEPTH_MAX];
    size_t count;
    const struct node *value;
    const char *value_source;
};

static enum troupe_error path_wrong(struct change *change, const char *why) {
    return fault_set(change->builder.fault, TROUPE_USAGE, "--set", "'%.120s' is no path: %s", change->path,
                     why);
}

static enum troupe_error step_add(struct change *change, const char *key, size_t length, size_t index) {
    if (change->count == DOCUMENT_DEPTH_MAX)
        return path_wrong(change, "it is too deep");
    struct step *step = &change->steps[change->count++];
    step->index = index;
    step->key = key == NULL ? NULL : arena_copy(&change->texts, key, length);
    if (key != NULL && step->key == NULL)
        return fault_set(change->builder.fault, TROUPE_NOMEM, "--set", "no memory for the path");
    return TROUPE_OK;
}

/* "[0]" or ["key"] at *at. */
static enum troupe_error step_bracket(struct change *change, const char **at) {
    const char *from = *at + 1, *close;
    if (*from == '"') {
        close = strstr(++from, "\"]");
        if (close == NULL || close == from)
            return path_wrong(change, "expected a key and '\"]' after '[\"'");
        *at = close + 2;
        return step_add(change, from, (size_t)(close - from), 0);
    }
    size_t digits = strspn(from, "0123456789");
    if (digits == 0 || digits > 9 || from[digits] != ']')
        return path_wrong(change, "expected a number and ']' after '['");
    *at = from + digits + 1;
    return step_add(change, NULL, 0, strtoul(from, NULL, 10));
}

/* a.b[0]["c.d"] into steps. */
static enum troupe_error path_parse(struct change *change) {
    const char *at = change->path;
    if (*at == '\0')
        return path_wrong(change, "it is empty");
    if (!text_is_utf8(at))
        return path_wrong(change, "it is not UTF-8");
    for (bool first = true; *at != '\0'; first = false) {
        enum troupe_error error;
        if (*at == '[') {
            error = step_bracket(change, &at);
        } else {
            if (!first && *at++ != '.')
                return path_wrong(change, "expected '.' or '[' after ']'");
            size_t length = strcspn(at, ".[");
            if (length == 0)
                return path_wrong(change, "a key between dots is missing");
            error = step_add(change, at, length, 0);
            at += length;
        }
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

/* Nodes of the new value have no position: they come from the command line. */
static struct position position_in(struct change *change, const struct node *node) {
    change->builder.source =
        node->source == change->value_source ? "--set" : change->builder.document->source;
    /* A value set earlier keeps its source; it is not the old document's memory. */
    if (node->line == 0 && strcmp(node->source, "--set") == 0)
        change->builder.source = "--set";
    return node->source == change->value_source ? (struct position){0}
                                                : (struct position){node->line, node->column};
}

static enum troupe_error copy(struct change *change, const struct node *node, size_t level, bool on_path);

static enum troupe_error add_key(struct change *change, const char *key, struct position position) {
    return builder_key(&change->builder, position, key, strlen(key));
}

/* The value, inside the maps (and one-item lists) that the rest of the path still needs. */
static enum troupe_error add_missing(struct change *change, size_t level) {
    if (level == change->count)
        return copy(change, change->value, level, false);
    const struct step *step = &change->steps[level];
    struct builder *builder = &change->builder;
    builder->source = "--set";
    if (step->key == NULL && step->index != 0)
        return builder_fail(builder, TROUPE_INVALID, (struct position){0},
                            "%.120s: a new list begins with [0]", change->path);
    enum troupe_error error =
        builder_open(builder, (struct position){0}, step->key == NULL ? DOCUMENT_LIST : DOCUMENT_MAP);
    if (error == TROUPE_OK && step->key != NULL)
        error = add_key(change, step->key, (struct position){0});
    if (error == TROUPE_OK)
        error = add_missing(change, level + 1);
    return error == TROUPE_OK ? builder_close(builder) : error;
}

/* The children of a list or map on the path; the one the step names is changed, or added behind the others.
 */
static enum troupe_error copy_children(struct change *change, const struct node *node, size_t level,
                                       bool on_path) {
    const struct step *step = on_path ? &change->steps[level] : NULL;
    bool met = !on_path;
    enum troupe_error error = TROUPE_OK;
    for (uint32_t i = 0; i < node->count && error == TROUPE_OK; i++) {
        const struct node *item = node->items[i];
        bool here =
            step != NULL &&
            (step->key == NULL ? step->index == i : item->key != NULL && strcmp(item->key, step->key) == 0);
        met = met || here;
        bool replaced = here && level + 1 == change->count;
        struct position position = position_in(change, replaced ? change->value : item);
        if (item->key != NULL)
            error = add_key(change, item->key, position);
        if (error == TROUPE_OK)
            error = replaced ? copy(change, change->value, level + 1, false)
                             : copy(change, item, level + 1, here);
    }
    if (met || error != TROUPE_OK)
        return error;
    change->builder.source = "--set";
    if (step->key != NULL)
        error = add_key(change, step->key, (struct position){0});
    else if (step->index != node->count)
        return builder_fail(&change->builder, TROUPE_INVALID, (struct position){0},
                            "%.120s: the list has %u items; the next one is [%u]", change->path, node->count,
                            node->count);
    return error == TROUPE_OK ? add_missing(change, level + 1) : error;
}

static enum troupe_error copy(struct change *change, const struct node *node, size_t level, bool on_path) {
    struct builder *builder = &change->builder;
    enum document_kind wanted = !on_path                           ? node->kind
                                : change->steps[level].key == NULL ? DOCUMENT_LIST
                                                                   : DOCUMENT_MAP;
    if (on_path && node->kind == DOCUMENT_NULL)
        return add_missing(change, level); /* "budget:" without a value becomes a map */
    if (node->kind != wanted) {
        char found[96], at[192];
        builder->source = "--set";
        node_path(node, at, sizeof(at));
        return builder_fail(builder, TROUPE_INVALID, (struct position){0},
                            "%.120s: expected %s at %s, found %s", change->path,
                            wanted == DOCUMENT_LIST ? "a list" : "a map", at[0] == '\0' ? "the top" : at,
                            node_found(node, found));
    }
    struct position position = position_in(change, node);
    if (node->kind < DOCUMENT_LIST) {
        struct scalar scalar = {.kind = node->kind, .length = node->count};
        scalar.text = arena_copy(&builder->document->arena, node->text, node->count);
        if (scalar.text == NULL)
            return builder_nomem(builder);
        if (node->kind == DOCUMENT_BOOL)
            scalar.boolean = node->boolean;
        else if (node->kind == DOCUMENT_INT)
            scalar.integer = node->integer;
        else if (node->kind == DOCUMENT_REAL)
            scalar.real = node->real;
        return builder_scalar(builder, position, &scalar);
    }
    enum troupe_error error = builder_open(builder, position, node->kind);
    if (error == TROUPE_OK)
        error = copy_children(change, node, level, on_path);
    return error == TROUPE_OK ? builder_close(builder) : error;
}

/* The value as YAML; its syntax errors are told as errors of the option, since a line and column of it help
 * less. */
static enum troupe_error value_parse(struct change *change, const char *value,
                                     struct document **ret_document) {
    struct fault inner = {0};
    enum troupe_error error = document_parse_yaml(value, strlen(value), "--set", NULL, ret_document, &inner);
    if (error == TROUPE_OK)
        return TROUPE_OK;
    return fault_set(change->builder.fault, error, "--set", "%.120s: '%.120s': %s", change->path, value,
                     inner.text);
}

static enum troupe_error change_apply(struct change *change, const struct document *document,
                                      const char *value, struct document **ret_document) {
    struct document *parsed = NULL;
    enum troupe_error error = value_parse(change, value, &parsed);
    if (error != TROUPE_OK)
        return error;
    change->value = parsed->root;
    change->value_source = parsed->source;
    static const struct document_limits widest = {.depth_max = DOCUMENT_DEPTH_MAX};
    error = builder_begin(&change->builder, document->source, &widest, change->builder.fault);
    if (error == TROUPE_OK) {
        error = copy(change, document->root, 0, true);
        CHECK(error == change->builder.error);
        error = builder_end(&change->builder, ret_document);
    }
    document_free(parsed);
    return error;
}

enum troupe_error document_with(const struct document *document, const char *path, const char *value,
                                struct document **ret_document, struct fault *fault) {
    struct change change = {.builder = {.fault = fault}, .path = path};
    arena_init(&change.texts, document_account());
    enum troupe_error error = path_parse(&change);
    if (error == TROUPE_OK)
        error = change_apply(&change, document, value, ret_document);
    arena_free(&change.texts);
    return error;
}
