/* The builder: parsers feed it keys, scalars and brackets in order; it bounds depth and count, links parents,
 * refuses duplicate keys and sorts the index of large maps.
 * Invariants: `pending` holds the children of open containers only, in order; a container's items are copied
 * to the arena in one piece when it closes. Sorting is a heapsort: no memory, no bad input (a hash would have
 * one). */
#include "document/document_tree.h"

#include <stdio.h>
#include <string.h>

static struct account documents = {.name = "documents"};

struct account *document_account(void) {
    return &documents;
}

const char *position_text(const char *source, struct position position, char *out, size_t size) {
    if (position.line == 0)
        (void)snprintf(out, size, "%s", source);
    else
        (void)snprintf(out, size, "%.200s:%u:%u", source, position.line, position.column);
    return out;
}

enum troupe_error builder_fail(struct builder *builder, enum troupe_error error, struct position position,
                               const char *format, ...) {
    if (builder->error != TROUPE_OK)
        return builder->error;
    char where[256];
    va_list args;
    if (builder->limits.unplaced)
        position = (struct position){0};
    va_start(args, format);
    builder->error = fault_setv(builder->fault, error,
                                position_text(builder->source, position, where, sizeof(where)), format, args);
    va_end(args);
    return builder->error;
}

enum troupe_error builder_nomem(struct builder *builder) {
    return builder_fail(builder, TROUPE_NOMEM, (struct position){0}, "no memory for the document");
}

static size_t or_default(size_t limit, size_t normal) {
    return limit == 0 ? normal : limit;
}

enum troupe_error builder_begin(struct builder *builder, const char *source,
                                const struct document_limits *limits, struct fault *fault) {
    static const struct document_limits none = {0};
    limits = limits == NULL ? &none : limits;
    builder->document = NULL;
    builder->limits.unplaced = limits->unplaced;
    builder->limits.bytes_max = or_default(limits->bytes_max, (size_t)16 << 20);
    builder->limits.nodes_max = or_default(limits->nodes_max, 1000000);
    builder->limits.depth_max = or_default(limits->depth_max, 64);
    CHECK(builder->limits.bytes_max < UINT32_MAX && builder->limits.nodes_max < UINT32_MAX);
    CHECK(builder->limits.depth_max <= DOCUMENT_DEPTH_MAX);
    builder->fault = fault;
    builder->source = source;
    builder->error = TROUPE_OK;
    builder->nodes = builder->depth = builder->pending_count = 0;
    builder->pending = builder->pending_inline;
    builder->pending_capacity = ARRAY_COUNT(builder->pending_inline);
    builder->key = NULL;
    /* The document lives in its own arena: a small one is a single allocation. */
    struct arena arena;
    arena_init(&arena, &documents);
    struct document *document = ARENA_NEW(&arena, struct document);
    if (document != NULL)
        document->source = arena_copy(&arena, source, strlen(source));
    if (document == NULL || document->source == NULL) {
        arena_free(&arena);
        return builder_nomem(builder);
    }
    document->arena = arena;
    builder->document = document;
    builder->source = document->source;
    return TROUPE_OK;
}

bool builder_in_map(const struct builder *builder) {
    return builder->depth > 0 && builder->open[builder->depth - 1].node->kind == DOCUMENT_MAP;
}

enum troupe_error builder_key(struct builder *builder, struct position position, const char *key,
                              size_t length) {
    const char *copy = arena_copy(&builder->document->arena, key, length);
    return copy == NULL ? builder_nomem(builder) : builder_key_take(builder, position, copy, length);
}

enum troupe_error builder_key_take(struct builder *builder, struct position position, const char *key,
                                   size_t length) {
    CHECK(builder_in_map(builder) && builder->key == NULL);
    if (memchr(key, '\0', length) != NULL)
        return builder_fail(builder, TROUPE_SYNTAX, position, "a key may not hold a NUL character");
    builder->key = key;
    builder->key_position = position;
    return TROUPE_OK;
}

static enum troupe_error pending_push(struct builder *builder, struct node *node) {
    if (builder->pending_count == builder->pending_capacity) {
        size_t capacity = builder->pending_capacity * 2;
        bool first = builder->pending == builder->pending_inline;
        struct node **grown =
            memory_resize(&documents, first ? NULL : builder->pending, capacity * sizeof(struct node *));
        if (grown == NULL)
            return builder_nomem(builder);
        if (first)
            memcpy(grown, builder->pending_inline, sizeof(builder->pending_inline));
        builder->pending = grown;
        builder->pending_capacity = capacity;
    }
    builder->pending[builder->pending_count++] = node;
    return TROUPE_OK;
}

/* A node of `kind`, linked to its parent; NULL after an error. */
static struct node *node_add(struct builder *builder, struct position position, enum document_kind kind) {
    if (builder->error != TROUPE_OK)
        return NULL;
    if (++builder->nodes > builder->limits.nodes_max) {
        IGNORE(
            builder_fail(builder, TROUPE_LIMIT, position, "more than %zu values", builder->limits.nodes_max),
            "the builder keeps the error");
        return NULL;
    }
    struct node *node = ARENA_NEW(&builder->document->arena, struct node);
    if (node == NULL) {
        IGNORE(builder_nomem(builder), "the builder keeps the error");
        return NULL;
    }
    node->kind = kind;
    node->source = builder->source;
    if (builder->depth == 0) {
        CHECK(builder->document->root == NULL);
        builder->document->root = node;
    } else {
        node->parent = builder->open[builder->depth - 1].node;
        node->index = (uint32_t)(builder->pending_count - builder->open[builder->depth - 1].first);
        CHECK((node->parent->kind == DOCUMENT_MAP) == (builder->key != NULL));
        if (builder->key != NULL) {
            node->key = builder->key;
            position = builder->key_position;
            builder->key = NULL;
        }
        if (pending_push(builder, node) != TROUPE_OK)
            return NULL;
    }
    if (builder->limits.unplaced)
        position = (struct position){0};
    node->line = position.line;
    node->column = position.column;
    return node;
}

enum troupe_error builder_scalar(struct builder *builder, struct position position,
                                 const struct scalar *scalar) {
    struct node *node = node_add(builder, position, scalar->kind);
    if (node == NULL)
        return builder->error;
    node->text = scalar->text;
    node->count = (uint32_t)scalar->length;
    if (scalar->kind == DOCUMENT_BOOL)
        node->boolean = scalar->boolean;
    else if (scalar->kind == DOCUMENT_INT)
        node->integer = scalar->integer;
    else if (scalar->kind == DOCUMENT_REAL)
        node->real = scalar->real;
    return TROUPE_OK;
}

enum troupe_error builder_open(struct builder *builder, struct position position, enum document_kind kind) {
    if (builder->depth == builder->limits.depth_max)
        return builder_fail(builder, TROUPE_LIMIT, position, "nested deeper than %zu levels",
                            builder->limits.depth_max);
    struct node *node = node_add(builder, position, kind);
    if (node == NULL)
        return builder->error;
    builder->open[builder->depth].node = node;
    builder->open[builder->depth].first = builder->pending_count;
    builder->depth++;
    return TROUPE_OK;
}

static bool sorts_before(const struct node *map, uint32_t a, uint32_t b) {
    int order = strcmp(map->items[a]->key, map->items[b]->key);
    return order != 0 ? order < 0 : a < b;
}

/* Moves the entry at `root` down in the max-heap of the first `count` entries. */
static void sink(struct node *map, uint32_t root, uint32_t count) {
    uint32_t *heap = map->sorted, moving = heap[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && sorts_before(map, heap[child], heap[child + 1]))
            child++;
        if (!sorts_before(map, moving, heap[child]))
            break;
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = moving;
}

static void sort_keys(struct node *map) {
    for (uint32_t i = 0; i < map->count; i++)
        map->sorted[i] = i;
    for (uint32_t i = map->count / 2; i-- > 0;)
        sink(map, i, map->count);
    for (uint32_t last = map->count - 1; last > 0; last--) {
        uint32_t largest = map->sorted[0];
        map->sorted[0] = map->sorted[last];
        map->sorted[last] = largest;
        sink(map, 0, last);
    }
}

/* A key that stands twice in `map`: the later entry, and the earlier one in *ret_first. NULL: none. */
static const struct node *duplicate_key(const struct node *map, const struct node **ret_first) {
    const struct node *found = NULL;
    if (map->sorted != NULL) {
        for (uint32_t i = 1; i < map->count; i++) {
            const struct node *a = map->items[map->sorted[i - 1]], *b = map->items[map->sorted[i]];
            if (strcmp(a->key, b->key) == 0 && (found == NULL || b->index < found->index)) {
                found = b;
                *ret_first = a;
            }
        }
        return found;
    }
    for (uint32_t i = 1; i < map->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (key_equal(map->items[i]->key, map->items[j]->key)) {
                *ret_first = map->items[j];
                return map->items[i];
            }
    return NULL;
}

enum troupe_error builder_close(struct builder *builder) {
    if (builder->error != TROUPE_OK)
        return builder->error;
    CHECK(builder->depth > 0 && builder->key == NULL);
    builder->depth--;
    struct node *node = builder->open[builder->depth].node;
    size_t first = builder->open[builder->depth].first, count = builder->pending_count - first;
    builder->pending_count = first;
    if (count == 0)
        return TROUPE_OK;
    struct arena *arena = &builder->document->arena;
    const struct node **items = ARENA_ARRAY(arena, const struct node *, count);
    if (items == NULL)
        return builder_nomem(builder);
    memcpy(items, builder->pending + first, count * sizeof(*items));
    node->items = items;
    node->count = (uint32_t)count;
    if (node->kind != DOCUMENT_MAP)
        return TROUPE_OK;
    if (count > SORTED_FROM) {
        node->sorted = ARENA_ARRAY(arena, uint32_t, count);
        if (node->sorted == NULL)
            return builder_nomem(builder);
        sort_keys(node);
    }
    const struct node *earlier, *twice = duplicate_key(node, &earlier);
    if (twice == NULL)
        return TROUPE_OK;
    if (builder->limits.unplaced)
        return builder_fail(builder, TROUPE_SYNTAX, (struct position){0},
                            "the key '%.80s' stands twice in a map", twice->key);
    return builder_fail(builder, TROUPE_SYNTAX, (struct position){twice->line, twice->column},
                        "the key '%.80s' stands twice in this map, first on line %u", twice->key,
                        earlier->line);
}

enum troupe_error builder_end(struct builder *builder, struct document **ret_document) {
    if (builder->pending != builder->pending_inline)
        memory_free(&documents, builder->pending);
    if (builder->error != TROUPE_OK) {
        document_free(builder->document);
        return builder->error;
    }
    CHECK(builder->depth == 0 && builder->document->root != NULL);
    *ret_document = builder->document;
    return TROUPE_OK;
}

void document_free(struct document *document) {
    if (document == NULL)
        return;
    struct arena arena = document->arena; /* the document is inside what is freed */
    arena_free(&arena);
}

const struct node *document_root(const struct document *document) {
    return document == NULL ? NULL : document->root;
}
