/* once_text: line 1 is a command with {placeholders}, the rest what the command prints. The metrics that are
 * found do not depend on how the output was cut into pieces. */
#include "fuzz.h"

#include "agent/once_text.h"

static struct account account = ACCOUNT("fuzz");
static const char *const names[] = {"lr", "depth", "kind"};

static const char *look_up(void *context, const char *name) {
    (void)context;
    return strcmp(name, "lr") == 0 ? "0.01" : strcmp(name, "depth") == 0 ? "{lr}" : NULL;
}

static void try_fill(const char *text) {
    struct buffer out;
    struct fault fault = {0};
    buffer_init(&out, &account, 0);
    enum troupe_error error = once_fill(text, look_up, NULL, names, ARRAY_COUNT(names), &out, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, NULL);
    buffer_free(&out);
}

static void scan(const uint8_t *bytes, size_t length, size_t piece, struct once_metric metrics[2],
                 char last_line[400]) {
    struct once_scan scan;
    metrics[0] = (struct once_metric){.name = "val_acc"};
    metrics[1] = (struct once_metric){.name = "a"};
    once_scan_init(&scan, &account, metrics, 2);
    for (size_t at = 0; at < length; at += piece)
        once_scan_bytes(&scan, (const char *)bytes + at, length - at < piece ? length - at : piece);
    once_scan_end(&scan);
    memcpy(last_line, scan.last_line, 400);
    once_scan_free(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char command[1024], last_whole[400], last_pieces[400];
    struct once_metric whole[2], pieces[2];
    try_fill(fuzz_line(&data, &size, command, sizeof command));
    scan(data, size, size > 0 ? size : 1, whole, last_whole);
    scan(data, size, 1 + size % 7, pieces, last_pieces);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(whole[i].seen == pieces[i].seen);
        CHECK(memcmp(&whole[i].value, &pieces[i].value, sizeof(double)) == 0);
    }
    CHECK(strcmp(last_whole, last_pieces) == 0);
    CHECK(account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
