/* Looking at a finished tree: kinds, positions, paths, children, values, JSON. Every call takes NULL as the
 * absent value.
 * Threads: any, the tree is constant. Allocates nothing. */
#include "document/document_tree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum document_kind node_kind(const struct node *node) {
    return node == NULL ? DOCUMENT_NULL : node->kind;
}

const char *node_kind_name(const struct node *node) {
    static const char *const names[] = {
        [DOCUMENT_NULL] = "null",     [DOCUMENT_BOOL] = "true or false", [DOCUMENT_INT] = "an integer",
        [DOCUMENT_REAL] = "a number", [DOCUMENT_STRING] = "a string",    [DOCUMENT_LIST] = "a list",
        [DOCUMENT_MAP] = "a map",
    };
    return names[node_kind(node)];
}

unsigned node_line(const struct node *node) {
    return node == NULL ? 0 : node->line;
}

unsigned node_column(const struct node *node) {
    return node == NULL ? 0 : node->column;
}

/* Keys that would read as something else in a path are quoted: ["a.b"]. */
static bool key_is_plain(const char *key) {
    return *key != '\0' && strpbrk(key, ".[]\"\\ ") == NULL;
}

const char *node_path(const struct node *node, char *out, size_t size) {
    const struct node *chain[DOCUMENT_DEPTH_MAX + 1];
    size_t depth = 0, used = 0;
    CHECK(size > 0);
    out[0] = '\0';
    for (; node != NULL && node->parent != NULL; node = node->parent)
        chain[depth++] = node;
    while (depth-- > 0 && used < size) {
        const struct node *step = chain[depth];
        int length;
        if (step->key == NULL)
            length = snprintf(out + used, size - used, "[%u]", step->index);
        else if (key_is_plain(step->key))
            length = snprintf(out + used, size - used, "%s%s", used == 0 ? "" : ".", step->key);
        else
            length = snprintf(out + used, size - used, "[\"%s\"]", step->key);
        used += (size_t)length;
    }
    if (used >= size && size > 4)
        memcpy(out + size - 4, "...", 4);
    return out;
}

size_t node_count(const struct node *node) {
    return node != NULL && node->kind >= DOCUMENT_LIST ? node->count : 0;
}

const struct node *node_at(const struct node *node, size_t index) {
    CHECK(index < node_count(node));
    return node->items[index];
}

const char *node_key_at(const struct node *node, size_t index) {
    CHECK(node_kind(node) == DOCUMENT_MAP);
    return node_at(node, index)->key;
}

const struct node *node_get(const struct node *map, const char *key) {
    if (node_kind(map) != DOCUMENT_MAP)
        return NULL;
    if (map->sorted == NULL) {
        for (uint32_t i = 0; i < map->count; i++)
            if (key_equal(map->items[i]->key, key))
                return map->items[i];
        return NULL;
    }
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct node *item = map->items[map->sorted[middle]];
        int order = strcmp(key, item->key);
        if (order == 0)
            return item;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool node_bool(const struct node *node) {
    CHECK(node_kind(node) == DOCUMENT_BOOL);
    return node->boolean;
}

int64_t node_int(const struct node *node) {
    CHECK(node_kind(node) == DOCUMENT_INT);
    return node->integer;
}

double node_real(const struct node *node) {
    if (node_kind(node) == DOCUMENT_INT)
        return (double)node->integer;
    CHECK(node_kind(node) == DOCUMENT_REAL);
    return node->real;
}

const char *node_string(const struct node *node) {
    CHECK(node_kind(node) == DOCUMENT_STRING);
    return node->text;
}

size_t node_string_length(const struct node *node) {
    CHECK(node_kind(node) == DOCUMENT_STRING);
    return node->count;
}

const char *node_text(const struct node *node) {
    return node == NULL || node->kind >= DOCUMENT_LIST ? NULL : node->text;
}

/* Recursion is bounded by DOCUMENT_DEPTH_MAX. */
void node_write_json(const struct node *node, struct json *json) {
    switch (node_kind(node)) {
    case DOCUMENT_NULL:
        json_null(json);
        break;
    case DOCUMENT_BOOL:
        json_bool(json, node->boolean);
        break;
    case DOCUMENT_INT:
        json_int(json, node->integer);
        break;
    case DOCUMENT_REAL:
        json_real(json, node->real);
        break;
    case DOCUMENT_STRING:
        json_string_n(json, node->text, node->count);
        break;
    case DOCUMENT_LIST:
        json_array_begin(json);
        for (uint32_t i = 0; i < node->count; i++)
            node_write_json(node->items[i], json);
        json_array_end(json);
        break;
    case DOCUMENT_MAP:
        json_object_begin(json);
        for (uint32_t i = 0; i < node->count; i++) {
            json_key(json, node->items[i]->key);
            node_write_json(node->items[i], json);
        }
        json_object_end(json);
        break;
    }
}
