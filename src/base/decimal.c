/* decimal: see the header.
 *
 * Why it is exact: a whole number below 10^15 and a power of ten up to 10^22 are doubles without error, so
 * their quotient is the double nearest to the decimal number they stand for (Clinger 1990, "How to read
 * floating point numbers accurately", the fast path). And 15 digits survive the way to a double and back, so
 * the digits found here are those that printf would print. */
#include "base/decimal.h"

#include <math.h>

#define DIGITS_MAX 15
#define MANTISSA_END UINT64_C(1000000000000000)

static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* The last `width` digits at least; returns where they begin, before `end`. */
static char *digits_before(char *end, uint64_t value, unsigned width) {
    for (; value > 0 || width > 0; value /= 10, width -= width > 0)
        *--end = (char)('0' + value % 10);
    return end;
}

static size_t digits_append(char *out, uint64_t value, unsigned width) {
    char digits[DECIMAL_BYTES], *end = digits + sizeof digits, *from = digits_before(end, value, width);
    for (char *at = from; at < end; at++)
        out[at - from] = *at;
    return (size_t)(end - from);
}

size_t decimal_write_int(int64_t value, char out[DECIMAL_BYTES]) {
    size_t length = 0;
    if (value < 0)
        out[length++] = '-';
    length += digits_append(out + length, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);
    out[length] = '\0';
    return length;
}

size_t decimal_write(double value, char out[DECIMAL_BYTES]) {
    double size = fabs(value);
    if (!(size == 0 || (size >= 1e-4 && size < 1e15)))
        return 0;
    uint64_t mantissa = 0, scale = 1;
    unsigned places = 0;
    for (;; places++, scale *= 10) {
        double scaled = size * powers[places];
        if (scaled + 0.5 >= (double)MANTISSA_END)
            return 0;
        mantissa = (uint64_t)(scaled + 0.5);
        if ((double)mantissa / powers[places] == size)
            break;
        if (places + 1 == DIGITS_MAX)
            return 0;
    }
    size_t length = 0;
    if (signbit(value))
        out[length++] = '-';
    length += digits_append(out + length, mantissa / scale, 1);
    out[length++] = '.';
    length += digits_append(out + length, mantissa % scale, places > 0 ? places : 1);
    out[length] = '\0';
    return length;
}

bool decimal_read(const char *text, size_t length, double *ret_value) {
    const char *at = text, *end = text + length;
    bool negative = at < end && *at == '-', point = false;
    uint64_t mantissa = 0;
    unsigned places = 0;
    for (at += negative; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        if (*at < '0' || *at > '9' || mantissa >= MANTISSA_END / 10 || places == DIGITS_MAX)
            return false;
        mantissa = mantissa * 10 + (uint64_t)(*at - '0');
        places += point;
    }
    double value = (double)mantissa / powers[places];
    *ret_value = negative ? -value : value;
    return true;
}
