/* Small readers and writers of text: durations, sizes, strict numbers, the nearest word.
 * Invariants: the whole text must match; results are written on success only; nothing depends on the locale
 *             (programs stay in the "C" locale).
 * Threads: any. Allocates nothing. */
#include "base/buffer.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Durations are written largest first ("1h30m"), and this table is in that order. */
static const struct unit duration_units[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"min", 60000000000}, {"m", 60000000000},
    {"s", 1000000000},     {"ms", 1000000},      {"us", 1000},         {"ns", 1},
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
};

/* A decimal number before a unit: whole part and billionths. */
struct decimal {
    int64_t whole, billionths;
};

static bool decimal_read(const char **at, struct decimal *ret) {
    const char *next = *at;
    struct decimal made = {0};
    if (!isdigit((unsigned char)*next))
        return false;
    for (; isdigit((unsigned char)*next); next++)
        if (__builtin_mul_overflow(made.whole, 10, &made.whole) ||
            __builtin_add_overflow(made.whole, *next - '0', &made.whole))
            return false;
    if (*next == '.') {
        next++;
        if (!isdigit((unsigned char)*next))
            return false;
        for (int64_t scale = 100000000; isdigit((unsigned char)*next); next++, scale /= 10)
            made.billionths += (*next - '0') * scale;
    }
    *at = next;
    *ret = made;
    return true;
}

static bool decimal_scale(struct decimal decimal, int64_t factor, int64_t *ret) {
    int64_t whole, sum;
    /* factor < 2^47 and billionths < 2^30, so the product needs more than 64 bits. */
    int64_t part = (int64_t)((__int128)decimal.billionths * factor / 1000000000);
    if (__builtin_mul_overflow(decimal.whole, factor, &whole) || __builtin_add_overflow(whole, part, &sum))
        return false;
    *ret = sum;
    return true;
}

static const struct unit *unit_read(const char **at, const struct unit *units, size_t count) {
    size_t length = 0;
    while (isalpha((unsigned char)(*at)[length]))
        length++;
    for (size_t i = 0; i < count; i++)
        if (strlen(units[i].name) == length && memcmp(units[i].name, *at, length) == 0) {
            *at += length;
            return &units[i];
        }
    return NULL;
}

enum troupe_error text_duration(const char *text, int64_t *ret_ns) {
    const char *at = text;
    int64_t total = 0, before = INT64_MAX;
    do {
        struct decimal decimal;
        if (!decimal_read(&at, &decimal))
            return TROUPE_INVALID;
        int64_t factor = 1000000000;
        if (*at != '\0' || before != INT64_MAX) { /* only a number alone may go without unit: seconds */
            if (*at == ' ' && isalpha((unsigned char)at[1]))
                at++;
            const struct unit *unit = unit_read(&at, duration_units, ARRAY_COUNT(duration_units));
            if (unit == NULL || unit->factor >= before)
                return TROUPE_INVALID;
            factor = before = unit->factor;
        }
        int64_t part;
        if (!decimal_scale(decimal, factor, &part) || __builtin_add_overflow(total, part, &total))
            return TROUPE_INVALID;
        if (*at == ' ' && isdigit((unsigned char)at[1]))
            at++;
    } while (*at != '\0');
    *ret_ns = total;
    return TROUPE_OK;
}

enum troupe_error text_bytes(const char *text, int64_t *ret_bytes) {
    const char *at = text;
    struct decimal decimal;
    if (!decimal_read(&at, &decimal))
        return TROUPE_INVALID;
    int64_t factor = 1;
    if (*at != '\0') {
        if (*at == ' ')
            at++;
        const struct unit *unit = unit_read(&at, byte_units, ARRAY_COUNT(byte_units));
        if (unit == NULL || *at != '\0')
            return TROUPE_INVALID;
        factor = unit->factor;
    }
    if (decimal.billionths != 0 && factor == 1)
        return TROUPE_INVALID;
    int64_t bytes;
    if (!decimal_scale(decimal, factor, &bytes))
        return TROUPE_INVALID;
    *ret_bytes = bytes;
    return TROUPE_OK;
}

char *text_format_duration(char out[32], int64_t ns) {
    const char *sign = ns < 0 ? "-" : "";
    double value = fabs((double)ns);
    static const char *const names[] = {"ns", "us", "ms"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++, value /= 1000)
        if (value < 999.5) {
            (void)snprintf(out, 32, "%s%.3g %s", sign, value, names[i]);
            return out;
        }
    if (value < 59.95) {
        (void)snprintf(out, 32, "%s%.3g s", sign, value);
        return out;
    }
    /* Minutes and more: whole seconds, two largest units. */
    int64_t seconds = (int64_t)(value + 0.5);
    if (seconds < 3600)
        (void)snprintf(out, 32, "%s%d min %d s", sign, (int)(seconds / 60), (int)(seconds % 60));
    else if (seconds < 86400)
        (void)snprintf(out, 32, "%s%d h %d min", sign, (int)(seconds / 3600), (int)(seconds / 60 % 60));
    else
        (void)snprintf(out, 32, "%s%d d %d h", sign, (int)(seconds / 86400), (int)(seconds / 3600 % 24));
    return out;
}

char *text_format_bytes(char out[32], int64_t bytes) {
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const char *sign = bytes < 0 ? "-" : "";
    double value = fabs((double)bytes);
    size_t i = 0;
    /* 999.5 rather than 1024: three digits always print without an exponent. */
    while (value >= (i == 0 ? 1024 : 999.5) && i + 1 < ARRAY_COUNT(names)) {
        value /= 1024;
        i++;
    }
    (void)snprintf(out, 32, i == 0 ? "%s%.0f %s" : "%s%.3g %s", sign, value, names[i]);
    return out;
}

#define WORD_MAX 64

/* Optimal string alignment distance: insert, delete, replace or swap two neighbours, each 1; case is free. */
static unsigned edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        before[j] = above[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            int a_here = tolower((unsigned char)a[i - 1]), b_here = tolower((unsigned char)b[j - 1]);
            unsigned best = above[j - 1] + (a_here != b_here);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a_here == tolower((unsigned char)b[j - 2]) &&
                b_here == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

static size_t common_prefix(const char *a, const char *b) {
    size_t length = 0;
    while (a[length] != '\0' && a[length] == b[length])
        length++;
    return length;
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count) {
    size_t length = strlen(word);
    if (length == 0 || length > WORD_MAX)
        return NULL;
    const char *best = NULL;
    size_t best_prefix = 0;
    /* One slip in three letters is a typo; more is another word. */
    unsigned best_distance = length < 3 ? 1 : (unsigned)(length / 3);
    for (size_t i = 0; i < count; i++) {
        size_t candidate_length = strlen(candidates[i]);
        if (candidate_length > WORD_MAX)
            continue;
        unsigned distance = edit_distance(word, length, candidates[i], candidate_length);
        size_t prefix = common_prefix(word, candidates[i]);
        if (distance >= (length > candidate_length ? length : candidate_length))
            continue; /* nothing in common: 'a' is not meant by 'c' */
        /* Of equally near words the one that begins alike: slips are rarer in the first letters. */
        if (distance < best_distance ||
            (distance == best_distance && (best == NULL || prefix > best_prefix))) {
            best = candidates[i];
            best_distance = distance;
            best_prefix = prefix;
        }
    }
    return best;
}

enum troupe_error text_int(const char *text, int64_t *ret) {
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return TROUPE_INVALID;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0)
        return TROUPE_INVALID;
    *ret = value;
    return TROUPE_OK;
}

/* Decimal only: strtod alone would also take blanks, hexadecimal, "inf" and "nan". */
static bool is_decimal(const char *text) {
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789"), part = 0;
    text += whole;
    if (*text == '.') {
        part = strspn(text + 1, "0123456789");
        text += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        size_t exponent = strspn(text, "0123456789");
        if (exponent == 0)
            return false;
        text += exponent;
    }
    return *text == '\0';
}

enum troupe_error text_real(const char *text, double *ret) {
    if (!is_decimal(text))
        return TROUPE_INVALID;
    double value = strtod(text, NULL);
    if (!isfinite(value))
        return TROUPE_INVALID;
    *ret = value;
    return TROUPE_OK;
}

/* Length of the well-formed UTF-8 sequence at `text` (Unicode table 3-7), or 0. */
size_t text_utf8_length(const char *text, size_t left) {
    if (left == 0)
        return 0;
    const unsigned char *at = (const unsigned char *)text;
    unsigned char lead = at[0], low = 0x80, high = 0xbf;
    size_t length = lead < 0x80   ? 1
                    : lead < 0xc2 ? 0
                    : lead < 0xe0 ? 2
                    : lead < 0xf0 ? 3
                    : lead < 0xf5 ? 4
                                  : 0;
    if (length == 0 || length > left)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf)
        if (at[i] < low || at[i] > high)
            return 0;
    return length;
}

bool text_is_utf8(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = text_utf8_length(text, left);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

static size_t continuations(const char *text) {
    size_t count = 0;
    while (((unsigned char)text[count] & 0xc0) == 0x80)
        count++;
    return count;
}

char *text_make_printable(char *text) {
    size_t left = strlen(text);
    char *to = text;
    for (const char *at = text; left > 0;) {
        size_t length = text_utf8_length(at, left);
        unsigned char first = (unsigned char)at[0];
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)at[1] < 0xa0);
        if (length == 0 && first >= 0xc2 && left < 4 && continuations(at + 1) == left - 1)
            break; /* the end was cut within a character */
        if (length == 0 || control)
            *to++ = first == '\n' || first == '\t' || first == '\r' ? ' ' : '?';
        else
            to = (char *)memmove(to, at, length) + length;
        length = length == 0 ? 1 : length;
        at += length;
        left -= length;
    }
    *to = '\0';
    return text;
}
