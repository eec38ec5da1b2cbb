/* optimize: the lines of `troupe optimize`, a session an input. Every line is answered with one line of JSON that is
 * an object, and an asked trial is in the space. The command's functions are its own; so its file is included. */
#include "fuzz.h"

#include "../src/cli/command_optimize.c"

#define LINES_MAX_FUZZED 40

static void assert_answer(const struct optimizer *optimizer) {
    struct document *document = NULL;
    struct fault fault = {0};
    CHECK(buffer_ok(&optimizer->answer) == TROUPE_OK);
    CHECK(document_parse_json(optimizer->answer.bytes, optimizer->answer.length, "answer", NULL, &document,
                              &fault) == TROUPE_OK);
    const struct node *root = document_root(document);
    CHECK(node_kind(root) == DOCUMENT_MAP);
    if (node_get(root, "error") != NULL) {
        CHECK(node_kind(node_get(root, "error")) == DOCUMENT_STRING);
        fuzz_fit_for_terminal(node_string(node_get(root, "error")));
    }
    if (node_get(root, "trial") != NULL) {
        struct configuration configuration = {0};
        CHECK(space_read_json(optimizer->search.space, node_get(node_get(root, "trial"), "params"),
                              &configuration, &fault) == TROUPE_OK);
        CHECK(space_feasible(optimizer->search.space, &configuration));
    }
    document_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct optimizer optimizer = {.account = ACCOUNT("fuzz")};
    buffer_init(&optimizer.answer, &optimizer.account, 0);
    for (unsigned i = 0; size > 0 && i < LINES_MAX_FUZZED && !optimizer.ended; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size, skipped = length + (end != NULL);
        line_answer(&optimizer, (const char *)data, length);
        assert_answer(&optimizer);
        data += skipped;
        size -= skipped;
    }
    search_clear(&optimizer.search);
    buffer_free(&optimizer.answer);
    CHECK(optimizer.account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
