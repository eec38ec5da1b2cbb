/* space: a YAML map of `space`, `constraints` and `configuration`. A space that compiles draws, streams, writes
 * and reads its configurations; the one of the input is accepted only when it is in range and feasible. */
#include "space_use.h"

static struct account account = ACCOUNT("fuzz");

static void read_configuration(const struct space *space, const struct node *map) {
    struct configuration configuration = {0};
    struct fault fault = {0};
    enum troupe_error error = space_read_json(space, map, &configuration, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, NULL);
    else
        space_use_one(space, &configuration, &account);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct document *document = NULL;
    struct document_limits limits = {.nodes_max = 2000};
    struct fault fault = {0};
    struct space *space = NULL;
    if (document_parse_yaml((const char *)data, size, "input", &limits, &document, &fault) == TROUPE_OK &&
        node_kind(document_root(document)) == DOCUMENT_MAP) {
        const struct node *root = document_root(document);
        enum troupe_error error =
            space_compile(node_get(root, "space"), node_get(root, "constraints"), &space, &fault);
        if (error != TROUPE_OK) {
            fuzz_refused(error, &fault, space);
        } else {
            space_use(space, &account);
            if (node_get(root, "configuration") != NULL)
                read_configuration(space, node_get(root, "configuration"));
        }
    }
    space_free(space);
    document_free(document);
    CHECK(document_account()->bytes == 0 && account.bytes == 0);
    return 0;
}
