/* The tree's insides, for the files of this floor only: nodes, documents, and the builder through which every
 * parser makes them, so that bounds, duplicate keys and positions are handled in one place.
 *
 * Threads: a builder belongs to one thread; the finished document is read-only.
 * Memory:  nodes, keys and texts are in the document's arena; the builder's own stack is freed by its end.
 * Failure: the first error sticks in the builder's fault and every later call returns it. */
#ifndef DOCUMENT_DOCUMENT_TREE_H
#define DOCUMENT_DOCUMENT_TREE_H

#include "document/document.h"

#include <string.h>

struct node {
    const struct node *parent; /* NULL: the root */
    const char *source;        /* file name, or "--set" */
    const char *key;           /* of a map entry, else NULL */
    const char *text;          /* scalars: as written, or the string */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const struct node **items;
            uint32_t *sorted; /* maps of more than SORTED_FROM: item numbers in key order */
        };
    };
    uint32_t line, column; /* 1-based; line 0: no position, the source says it all */
    uint32_t index;        /* in the parent */
    uint32_t count;        /* items of a list or map, bytes of a text */
    enum document_kind kind;
};

/* Most keys differ in their first byte, which spares the call. */
static inline bool key_equal(const char *a, const char *b) {
    return *a == *b && strcmp(a, b) == 0;
}

/* Up to here a scan over the keys beats a search in a sorted index. */
#define SORTED_FROM 8

struct document {
    struct arena arena;
    const struct node *root;
    const char *source;
};

struct position {
    uint32_t line, column;
};

struct builder {
    struct document *document;
    struct document_limits limits;
    struct fault *fault;
    const char *source; /* of the nodes being added */
    enum troupe_error error;
    size_t nodes;
    size_t depth;
    struct {
        struct node *node;
        size_t first; /* of its children in `pending` */
    } open[DOCUMENT_DEPTH_MAX];
    struct node **pending; /* children of all open lists and maps, innermost last */
    size_t pending_count, pending_capacity;
    struct node *pending_inline[64]; /* most documents of the worker protocol need no more */
    const char *key;                 /* of the next value */
    struct position key_position;
};

/* A scalar before it is a node. */
struct scalar {
    enum document_kind kind;
    bool boolean;
    int64_t integer;
    double real;
    const char *text; /* in the document's arena */
    size_t length;
};

MUST_CHECK enum troupe_error builder_begin(struct builder *builder, const char *source,
                                           const struct document_limits *limits, struct fault *fault);
MUST_CHECK enum troupe_error builder_key(struct builder *builder, struct position position, const char *key,
                                         size_t length); /* copied */
MUST_CHECK enum troupe_error builder_key_take(struct builder *builder, struct position position,
                                              const char *key, size_t length); /* in the arena already */
MUST_CHECK enum troupe_error builder_scalar(struct builder *builder, struct position position,
                                            const struct scalar *scalar);
MUST_CHECK enum troupe_error builder_open(struct builder *builder, struct position position,
                                          enum document_kind kind);
MUST_CHECK enum troupe_error builder_close(struct builder *builder);
/* The document when all went well; frees it otherwise. Ends the builder in both cases. */
MUST_CHECK enum troupe_error builder_end(struct builder *builder, struct document **ret_document);
/* Records the first error, at `position` of the current source. */
enum troupe_error builder_fail(struct builder *builder, enum troupe_error error, struct position position,
                               const char *format, ...) PRINTF_LIKE(4, 5);
bool builder_in_map(const struct builder *builder);
enum troupe_error builder_nomem(struct builder *builder);

/* "source:line:column" into `out`; only the source when line is 0. */
const char *position_text(const char *source, struct position position, char *out, size_t size);

/* A plain (unquoted) scalar by the YAML 1.2 core schema; `text` is NUL-terminated. */
struct scalar scalar_resolve(const char *text, size_t length);

#endif
