/* decimal: short numbers to text and back, exactly, for a tenth of what printf and strtod take. Most numbers
 * in the protocol and the store are short: 12, 0.5, 93.75.
 *
 * Threads: any. Memory: the caller's.
 * Failure: says so when a number is not short; the caller then goes the long way, which gives the same
 * result where both can. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_BYTES 32 /* enough for what is written here, its NUL included */

size_t decimal_write_int(int64_t value, char out[DECIMAL_BYTES]); /* the length */
/* As "%.15g", but a whole number keeps a ".0". 0: at most 15 digits do not give `value` back, or an exponent
 * would be needed. */
size_t decimal_write(double value, char out[DECIMAL_BYTES]);
/* [-]digits[.digits] of `length` bytes, correctly rounded. False: longer than 15 digits. */
bool decimal_read(const char *text, size_t length, double *ret_value);

#endif
