/* Random streams and hashing. xoshiro256++ 1.0 (Blackman, Vigna, "Scrambled linear pseudorandom number
 * generators", 2019); bounded numbers by Lemire, "Fast random integer generation in an interval", 2019;
 * normals by Marsaglia's polar method, one of each pair, so that a stream is its four words and nothing
 * else.
 * Invariants: the same (seed, sequence) gives the same numbers on every machine.
 * Threads: one a stream. */
#include "base/random.h"

#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_seed(struct random_stream *stream, uint64_t seed, uint64_t sequence) {
    /* The seed is mixed before the sequence joins, so (1, 2) and (2, 1) are unrelated, and so are neighbours.
     */
    uint64_t state = seed;
    state = splitmix(&state) ^ sequence;
    for (size_t i = 0; i < ARRAY_COUNT(stream->state); i++)
        stream->state[i] = splitmix(&state);
}

static uint64_t rotate(uint64_t x, int by) {
    return (x << by) | (x >> (64 - by));
}

uint64_t random_u64(struct random_stream *stream) {
    uint64_t *s = stream->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double random_unit(struct random_stream *stream) {
    return (double)(random_u64(stream) >> 11) * 0x1.0p-53;
}

uint64_t random_below(struct random_stream *stream, uint64_t bound) {
    CHECK(bound >= 1);
    __uint128_t product = (__uint128_t)random_u64(stream) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold)
            product = (__uint128_t)random_u64(stream) * bound;
    }
    return (uint64_t)(product >> 64);
}

double random_normal(struct random_stream *stream) {
    for (;;) {
        double u = 2 * random_unit(stream) - 1, v = 2 * random_unit(stream) - 1;
        double square = u * u + v * v;
        if (square > 0 && square < 1)
            return u * sqrt(-2 * log(square) / square);
    }
}

uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, length, seed);
}
