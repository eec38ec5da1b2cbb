/* fuzz: what every target shares. A target is one libFuzzer entry that gives bytes of a stranger to one parser
 * and checks what the parser's door promises, not only that it survives: a refusal has a code, a text that is
 * fit for a terminal and no output; nothing stays allocated.
 *
 * Threads: one. Memory: each call frees all of it; accounts are checked at its end. Built with clang as
 * TARGET_fuzz (-Dfuzz=true) and with any compiler as TARGET_replay, which runs over files and is a test. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "document/document.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Well-formed UTF-8 without control characters: a message can be printed wherever a person reads it. */
static inline void fuzz_fit_for_terminal(const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        size_t length = text_utf8_length(text, left);
        CHECK(length > 0);
        CHECK((unsigned char)text[0] >= 0x20 && text[0] != 0x7f);
        text += length;
        left -= length;
    }
}

/* What every refusal owes its caller. */
static inline void fuzz_refused(enum troupe_error error, const struct fault *fault, const void *output) {
    CHECK(error != TROUPE_OK && error < TROUPE_ERROR_COUNT);
    CHECK(error != TROUPE_INTERNAL && error != TROUPE_NOMEM);
    CHECK(output == NULL);
    CHECK(fault->error == error);
    CHECK(fault->text[0] != '\0');
    fuzz_fit_for_terminal(fault->where);
    fuzz_fit_for_terminal(fault->text);
}

/* Takes the next line, without its end, off the front of the input: NUL-terminated in `out`, cut at `size` - 1
 * bytes or at a NUL. */
static inline char *fuzz_line(const uint8_t **data, size_t *left, char *out, size_t size) {
    const uint8_t *end = memchr(*data, '\n', *left);
    size_t length = end != NULL ? (size_t)(end - *data) : *left, taken = length < size ? length : size - 1;
    if (taken > 0)
        memcpy(out, *data, taken);
    out[taken] = '\0';
    size_t skipped = length + (end != NULL);
    *data += skipped;
    *left -= skipped;
    return out;
}

#endif
