/* document: every input as YAML and as JSON. What parses has positions, paths and checked readers that answer
 * or refuse, and what it writes as JSON reads back as the same tree. */
#include "fuzz.h"

typedef enum troupe_error (*parse_call)(const char *bytes, size_t length, const char *source,
                                        const struct document_limits *limits, struct document **ret_document,
                                        struct fault *fault);

static struct account account = ACCOUNT("fuzz");

static void read_checked(const struct node *node) {
    struct fault fault = {0};
    bool boolean;
    int64_t integer = 0;
    double real;
    const char *text;
    char found[96];
    enum troupe_error errors[6];
    struct fault faults[6] = {{0}};
    errors[0] = node_read_bool(node, &boolean, &faults[0]);
    errors[1] = node_read_int(node, -5, 1000000, &integer, &faults[1]);
    errors[2] = node_read_real(node, &real, &faults[2]);
    errors[3] = node_read_string(node, &text, &faults[3]);
    errors[4] = node_read_duration(node, &integer, &faults[4]);
    errors[5] = node_read_bytes(node, &integer, &faults[5]);
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
        if (errors[i] != TROUPE_OK)
            fuzz_refused(errors[i], &faults[i], NULL);
    if (errors[1] == TROUPE_OK)
        CHECK(node_int(node) >= -5 && node_int(node) <= 1000000);
    CHECK(node_found(node, found)[0] != '\0');
    fuzz_refused(node_fault(node, &fault, TROUPE_INVALID, "found %s", found), &fault, NULL);
    if (node_kind(node) == DOCUMENT_MAP) {
        static const char *const keys[] = {"a", "budget", "trials"};
        enum troupe_error error = node_check_keys(node, keys, ARRAY_COUNT(keys), &fault);
        if (error != TROUPE_OK)
            fuzz_refused(error, &fault, NULL);
    }
}

static size_t visit(const struct node *node, const struct node *parent, size_t index) {
    char path[200];
    CHECK(node_line(node) >= 1 && node_column(node) >= 1);
    CHECK(strlen(node_path(node, path, sizeof path)) < sizeof path);
    if (parent != NULL && node_kind(parent) == DOCUMENT_MAP)
        CHECK(node_get(parent, node_key_at(parent, index)) == node); /* keys are unique */
    read_checked(node);
    size_t count = 1;
    for (size_t i = 0; i < node_count(node); i++)
        count += visit(node_at(node, i), node, i);
    return count;
}

static void write_json(const struct document *document, struct buffer *out) {
    struct json json;
    buffer_init(out, &account, 0);
    json_init(&json, out);
    node_write_json(document_root(document), &json);
    CHECK(buffer_ok(out) == TROUPE_OK);
}

static void try_parse(parse_call parse, const char *bytes, size_t length) {
    struct document *document = NULL, *again = NULL;
    struct fault fault = {0};
    struct document_limits limits = {.nodes_max = 2000};
    enum troupe_error error = parse(bytes, length, "input", &limits, &document, &fault);
    if (error != TROUPE_OK) {
        fuzz_refused(error, &fault, document);
    } else {
        struct buffer first, second;
        CHECK(visit(document_root(document), NULL, 0) <= limits.nodes_max);
        write_json(document, &first);
        CHECK(document_parse_json(first.bytes, first.length, "written", NULL, &again, &fault) == TROUPE_OK);
        write_json(again, &second);
        CHECK(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0);
        buffer_free(&first);
        buffer_free(&second);
        document_free(again);
        document_free(document);
    }
    CHECK(document_account()->bytes == 0 && account.bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_parse(document_parse_yaml, (const char *)data, size);
    try_parse(document_parse_json, (const char *)data, size);
    return 0;
}
