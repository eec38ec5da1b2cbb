/* document_with: line 1 is a path, line 2 a value, the rest a YAML document. A change leaves the old document
 * as it was, and the new one writes JSON that reads back; making it again changes nothing. */
#include "fuzz.h"

static struct account account = ACCOUNT("fuzz");

static void write_json(const struct document *document, struct buffer *out) {
    struct json json;
    buffer_init(out, &account, 0);
    json_init(&json, out);
    node_write_json(document_root(document), &json);
    CHECK(buffer_ok(out) == TROUPE_OK);
}

static void assert_writes_same(const struct document *one, const struct document *other) {
    struct buffer first, second;
    write_json(one, &first);
    write_json(other, &second);
    CHECK(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0);
    buffer_free(&first);
    buffer_free(&second);
}

static void try_change(const struct document *document, const char *path, const char *value) {
    struct buffer before, after;
    struct document *changed = NULL, *again = NULL, *read = NULL;
    struct fault fault = {0};
    write_json(document, &before);
    enum troupe_error error = document_with(document, path, value, &changed, &fault);
    if (error != TROUPE_OK) {
        fuzz_refused(error, &fault, changed);
    } else {
        struct buffer text;
        write_json(changed, &text);
        CHECK(document_parse_json(text.bytes, text.length, "written", NULL, &read, &fault) == TROUPE_OK ||
              fault.error == TROUPE_LIMIT); /* --set may go deeper than a file may */
        CHECK(document_with(changed, path, value, &again, &fault) == TROUPE_OK);
        assert_writes_same(changed, again);
        buffer_free(&text);
    }
    document_free(read);
    document_free(again);
    document_free(changed);
    write_json(document, &after);
    CHECK(before.length == after.length && memcmp(before.bytes, after.bytes, before.length) == 0);
    buffer_free(&before);
    buffer_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[1024], value[1024];
    struct document *document = NULL;
    struct document_limits limits = {.nodes_max = 1000};
    struct fault fault = {0};
    fuzz_line(&data, &size, path, sizeof path);
    fuzz_line(&data, &size, value, sizeof value);
    if (document_parse_yaml((const char *)data, size, "input", &limits, &document, &fault) == TROUPE_OK)
        try_change(document, path, value);
    document_free(document);
    CHECK(document_account()->bytes == 0 && account.bytes == 0);
    return 0;
}
