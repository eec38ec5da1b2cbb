/* document: YAML and JSON text into one immutable tree; every node knows its line, column and path.
 *
 * Threads: a document is read-only once parsed and may be read from any thread.
 * Memory:  one arena per document, on document_account(); document_free frees all of it. Strings are
 *          NUL-terminated and live as long.
 * Failure: SYNTAX with "source:line:column", LIMIT when a bound is passed, NOMEM. Duplicate keys are
 *          refused.
 * YAML:    1.1 as libyaml reads it with the 1.2 core schema for scalars (true/false, null, ints, floats); a
 *          quoted scalar is always a string. Anchors/aliases are refused (they hide size), tags too.
 * JSON:    RFC 8259, strict. In both, an integer beyond 64 bits becomes a REAL; a string may hold NULs, a
 *          key not.
 * Position: a map entry's is that of its key, a list item's that of the value; columns count characters. */
#ifndef DOCUMENT_DOCUMENT_H
#define DOCUMENT_DOCUMENT_H

#include "base/base.h"

enum document_kind {
    DOCUMENT_NULL,
    DOCUMENT_BOOL,
    DOCUMENT_INT,
    DOCUMENT_REAL,
    DOCUMENT_STRING,
    DOCUMENT_LIST,
    DOCUMENT_MAP
};

struct document; /* the tree */
struct node;     /* one value in it */

struct document_limits {
    size_t bytes_max; /* 0: 16 MiB */
    size_t nodes_max; /* 0: 1,000,000 */
    size_t depth_max; /* 0: 64; at most DOCUMENT_DEPTH_MAX; lists and maps within each other, the root
                         included */
    bool
        unplaced; /* a program made the text: no line and column would help a person, the source says it all */
};
#define DOCUMENT_DEPTH_MAX 100

MUST_CHECK enum troupe_error document_parse_yaml(const char *bytes, size_t length, const char *source,
                                                 const struct document_limits *limits,
                                                 struct document **ret_document, struct fault *fault);
MUST_CHECK enum troupe_error document_parse_json(const char *bytes, size_t length, const char *source,
                                                 const struct document_limits *limits,
                                                 struct document **ret_document, struct fault *fault);
void document_free(struct document *document); /* NULL is fine */
struct account *document_account(void);        /* of every document in the process; zero when all are freed */
const struct node *document_root(const struct document *document); /* of NULL: NULL */

enum document_kind node_kind(const struct node *node); /* NULL node: DOCUMENT_NULL */
const char *node_kind_name(const struct node *node);   /* "a list" */
unsigned node_line(const struct node *node);           /* 1-based */
unsigned node_column(const struct node *node);
/* "stages.train.needs[0]" into `out`; returns out. */
const char *node_path(const struct node *node, char *out, size_t size);

size_t node_count(const struct node *node);                        /* entries of a list or map; 0 otherwise */
const struct node *node_at(const struct node *node, size_t index); /* list item or map value */
const char *node_key_at(const struct node *node, size_t index);    /* map only */
const struct node *node_get(const struct node *map, const char *key); /* NULL: absent */

/* Plain readers; the caller has checked the kind. INT reads as REAL too. */
bool node_bool(const struct node *node);
int64_t node_int(const struct node *node);
double node_real(const struct node *node);
const char *node_string(const struct node *node);
size_t node_string_length(const struct node *node);
/* The scalar as text, whatever its kind ("1e-3" as written). NULL for list and map. */
const char *node_text(const struct node *node);

/* Checked readers: INVALID with file:line:column, path, what was found and what was expected. An absent node
 * (NULL) leaves *ret untouched and is OK: defaults are set before. */
MUST_CHECK enum troupe_error node_read_bool(const struct node *node, bool *ret, struct fault *fault);
MUST_CHECK enum troupe_error node_read_int(const struct node *node, int64_t low, int64_t high, int64_t *ret,
                                           struct fault *fault);
MUST_CHECK enum troupe_error node_read_real(const struct node *node, double *ret, struct fault *fault);
MUST_CHECK enum troupe_error node_read_string(const struct node *node, const char **ret, struct fault *fault);
MUST_CHECK enum troupe_error node_read_duration(const struct node *node, int64_t *ret_ns,
                                                struct fault *fault);
MUST_CHECK enum troupe_error node_read_bytes(const struct node *node, int64_t *ret_bytes,
                                             struct fault *fault);
/* Refuses keys of `map` that are not in `keys`, naming the nearest allowed one. */
MUST_CHECK enum troupe_error node_check_keys(const struct node *map, const char *const *keys, size_t count,
                                             struct fault *fault);
/* Options from a map such as {workers: 4, stop_grace: 10s}, each into `config` with its position as the
 * source. */
MUST_CHECK enum troupe_error node_read_config(const struct node *map, enum config_source source,
                                              struct config *config, struct fault *fault);
/* What the node is, for messages that end in "..., found %s": "the string 'many'", "a list of 3", "nothing".
 */
const char *node_found(const struct node *node, char out[96]);
/* Fills the fault with this node's source:line:column and path before the text; returns `error`. */
enum troupe_error node_fault(const struct node *node, struct fault *fault, enum troupe_error error,
                             const char *format, ...) PRINTF_LIKE(4, 5);

void node_write_json(const struct node *node, struct json *json);

/* A copy of `document` with the value at `path` ("budget.trials", "agents.train.instances") replaced or
 * added; `value` is read as YAML. Used by --set: faults of the new value say "--set" instead of a position.
 * Missing maps on the way are made; a list grows by one when the index is its count. Keys with dots are
 * written ["a.b"]. */
MUST_CHECK enum troupe_error document_with(const struct document *document, const char *path,
                                           const char *value, struct document **ret_document,
                                           struct fault *fault);

#endif
