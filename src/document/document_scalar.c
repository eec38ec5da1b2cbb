/* What an unquoted YAML scalar means: the 1.2 core schema (YAML 1.2.2, section 10.3.2), not the 1.1 one, in
 * which `no` is false, `1:30` is ninety and `1_000` is a number. Integers beyond 64 bits become reals.
 * Threads: any. Allocates nothing. */
#include "document/document_tree.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

#define IS_ONE_OF(text, ...)                                                                                 \
    is_one_of((text), (const char *const[]){__VA_ARGS__}, ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

/* [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+ */
static bool resolve_int(struct scalar *scalar) {
    const char *text = scalar->text, *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    const char *allowed = "0123456789";
    if (text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
        base = text[1] == 'o' ? 8 : 16;
        allowed = text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
        digits = text + 2;
    }
    if (*digits == '\0' || digits[strspn(digits, allowed)] != '\0')
        return false;
    errno = 0;
    long long value = strtoll(base == 10 ? text : digits, NULL, base);
    if (errno == 0) {
        scalar->kind = DOCUMENT_INT;
        scalar->integer = value;
        return true;
    }
    scalar->kind = DOCUMENT_REAL;
    if (base != 8) {
        scalar->real = strtod(text, NULL);
        return true;
    }
    scalar->real = 0; /* strtod knows no octal */
    for (; *digits != '\0'; digits++)
        scalar->real = scalar->real * 8 + (*digits - '0');
    return true;
}

static bool resolve_real(struct scalar *scalar) {
    const char *text = scalar->text, *unsigned_text = text + (*text == '-' || *text == '+');
    if (IS_ONE_OF(unsigned_text, ".inf", ".Inf", ".INF"))
        scalar->real = *text == '-' ? -INFINITY : INFINITY;
    else if (IS_ONE_OF(text, ".nan", ".NaN", ".NAN"))
        scalar->real = NAN;
    else if (text_real(text, &scalar->real) != TROUPE_OK)
        return false;
    scalar->kind = DOCUMENT_REAL;
    return true;
}

struct scalar scalar_resolve(const char *text, size_t length) {
    struct scalar scalar = {.kind = DOCUMENT_STRING, .text = text, .length = length};
    if (strlen(text) != length)
        return scalar;
    if (length == 0 || IS_ONE_OF(text, "null", "Null", "NULL", "~")) {
        scalar.kind = DOCUMENT_NULL;
    } else if (IS_ONE_OF(text, "true", "True", "TRUE")) {
        scalar.kind = DOCUMENT_BOOL;
        scalar.boolean = true;
    } else if (IS_ONE_OF(text, "false", "False", "FALSE")) {
        scalar.kind = DOCUMENT_BOOL;
    } else if (strchr("+-.0123456789", text[0]) != NULL && !resolve_int(&scalar)) {
        IGNORE(resolve_real(&scalar), "otherwise it is the string it looks like");
    }
    return scalar;
}
