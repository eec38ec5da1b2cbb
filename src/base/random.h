/* xoshiro256++ streams (Blackman, Vigna 2019), seeded by splitmix64; small, copyable, deterministic. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_stream {
    uint64_t state[4];
};
void random_seed(struct random_stream *stream, uint64_t seed, uint64_t sequence); /* f(seed, n) */
uint64_t random_u64(struct random_stream *stream);
double random_unit(struct random_stream *stream);                     /* [0, 1) */
uint64_t random_below(struct random_stream *stream, uint64_t bound);  /* [0, bound), unbiased; bound >= 1 */
double random_normal(struct random_stream *stream);                   /* mean 0, variance 1 */
uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed); /* XXH3 64 */

#endif
