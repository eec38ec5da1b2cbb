/* Sobol' points with direction numbers of Joe and Kuo ("Constructing Sobol sequences with better
 * two-dimensional projections", 2008), scrambled in Owen's nested uniform way by hashing (Laine and Karras
 * 2011, as improved by Burley, "Practical hash-based Owen scrambling", 2020), so that each aligned block of
 * 2^k points keeps exactly one point in each interval of length 2^-k of every dimension. Pure functions; any
 * thread; no state. Any point of any dimension is computed by itself: 32 xors at most. */
#include "optimize/study_private.h"

#define DEGREE_MAX 9

/* Dimension 1 is van der Corput's. `a` holds the inner coefficients of the primitive polynomial. */
static const struct {
    uint8_t degree, a;
    uint16_t initial[DEGREE_MAX];
} table[SOBOL_DIMENSIONS - 1] = {
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
    {7, 7, {1, 1, 3, 13, 7, 35, 63}},
    {7, 8, {1, 3, 5, 9, 1, 25, 53}},
    {7, 14, {1, 3, 1, 13, 9, 35, 107}},
    {7, 19, {1, 3, 1, 5, 27, 61, 31}},
    {7, 21, {1, 1, 5, 11, 19, 41, 61}},
    {7, 28, {1, 3, 5, 3, 3, 13, 69}},
    {7, 31, {1, 1, 7, 13, 1, 19, 1}},
    {7, 32, {1, 3, 7, 5, 13, 19, 59}},
    {7, 37, {1, 1, 3, 9, 25, 29, 41}},
    {7, 41, {1, 3, 5, 13, 23, 1, 55}},
    {7, 42, {1, 3, 7, 3, 13, 59, 17}},
    {7, 50, {1, 3, 1, 3, 5, 53, 69}},
    {7, 55, {1, 1, 5, 5, 23, 33, 13}},
    {7, 56, {1, 1, 7, 7, 1, 61, 123}},
    {7, 59, {1, 1, 7, 9, 13, 61, 49}},
    {7, 62, {1, 3, 3, 5, 3, 55, 33}},
    {8, 14, {1, 3, 1, 15, 31, 13, 49, 245}},
    {8, 21, {1, 3, 5, 15, 31, 59, 63, 97}},
    {8, 22, {1, 3, 1, 11, 11, 11, 77, 249}},
    {8, 38, {1, 3, 1, 11, 27, 43, 71, 9}},
    {8, 47, {1, 1, 7, 15, 21, 11, 81, 45}},
    {8, 49, {1, 3, 7, 3, 25, 31, 65, 79}},
    {8, 50, {1, 3, 1, 1, 19, 11, 3, 205}},
    {8, 52, {1, 1, 5, 9, 19, 21, 29, 157}},
    {8, 56, {1, 3, 7, 11, 1, 33, 89, 185}},
    {8, 67, {1, 3, 3, 3, 15, 11, 79, 71}},
    {8, 70, {1, 3, 7, 11, 15, 39, 119, 27}},
    {8, 84, {1, 1, 3, 1, 11, 31, 97, 225}},
    {8, 97, {1, 1, 1, 3, 23, 43, 57, 177}},
    {8, 103, {1, 3, 7, 7, 17, 17, 37, 71}},
    {8, 115, {1, 3, 1, 5, 27, 63, 123, 213}},
    {8, 122, {1, 1, 3, 5, 11, 43, 53, 133}},
    {9, 8, {1, 3, 5, 5, 29, 17, 47, 173, 479}},
    {9, 13, {1, 3, 3, 11, 3, 1, 109, 9, 69}},
    {9, 16, {1, 1, 1, 5, 17, 39, 23, 5, 343}},
    {9, 22, {1, 3, 1, 5, 25, 15, 31, 103, 499}},
    {9, 25, {1, 1, 1, 11, 11, 17, 63, 105, 183}},
    {9, 44, {1, 1, 5, 11, 9, 29, 97, 231, 363}},
    {9, 47, {1, 1, 5, 15, 19, 45, 41, 7, 383}},
    {9, 52, {1, 3, 7, 7, 31, 19, 83, 137, 221}},
    {9, 55, {1, 1, 1, 3, 23, 15, 111, 223, 83}},
    {9, 59, {1, 1, 5, 13, 31, 15, 55, 25, 161}},
    {9, 62, {1, 1, 3, 13, 25, 47, 39, 87, 257}},
};

unsigned sobol_polynomial(unsigned dimension, unsigned *ret_degree) {
    CHECK(dimension >= 1 && dimension < SOBOL_DIMENSIONS);
    *ret_degree = table[dimension - 1].degree;
    return 1u << *ret_degree | (unsigned)table[dimension - 1].a << 1 | 1;
}

/* Direction number `bit` (0: the first), as a 32-bit binary fraction, by the recurrence of the polynomial. */
uint32_t sobol_direction(unsigned dimension, unsigned bit) {
    CHECK(dimension < SOBOL_DIMENSIONS && bit < 32);
    if (dimension == 0)
        return UINT32_C(1) << (31 - bit);
    unsigned degree = table[dimension - 1].degree, a = table[dimension - 1].a;
    uint32_t directions[32];
    for (unsigned i = 0; i <= bit; i++) {
        if (i < degree) {
            directions[i] = (uint32_t)table[dimension - 1].initial[i] << (31 - i);
            continue;
        }
        directions[i] = directions[i - degree] ^ directions[i - degree] >> degree;
        for (unsigned k = 1; k < degree; k++)
            if (a >> (degree - 1 - k) & 1)
                directions[i] ^= directions[i - k];
    }
    return directions[bit];
}

static uint32_t bits_reverse(uint32_t x) {
    x = __builtin_bswap32(x);
    x = (x & 0x0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f);
    x = (x & 0x33333333) << 2 | (x >> 2 & 0x33333333);
    return (x & 0x55555555) << 1 | (x >> 1 & 0x55555555);
}

/* A bijection in which each bit depends on lower bits only: with the bits reversed, Owen's scrambling. */
static uint32_t lower_bits_hash(uint32_t x, uint32_t seed) {
    x ^= x * 0x3d20adea;
    x += seed;
    x *= (seed >> 16) | 1;
    x ^= x * 0x05526c56;
    x ^= x * 0x53a22864;
    return x;
}

double sobol_unit(uint32_t index, unsigned dimension, uint64_t seed) {
    uint32_t x = 0;
    uint64_t key[2] = {seed, dimension};
    for (unsigned bit = 0; index >> bit && bit < 32; bit++)
        if (index >> bit & 1)
            x ^= sobol_direction(dimension, bit);
    uint32_t scramble = (uint32_t)hash_bytes(key, sizeof key, 0x50b01);
    x = bits_reverse(lower_bits_hash(bits_reverse(x), scramble));
    return ((double)x + 0.5) * 0x1.0p-32;
}
