#include "crc32.h"

#define POLYNOMIAL 0xEDB88320u /* bit-reversed, as all of this CRC is */

/* tables[n][b]: the remainder of byte b with n zero bytes behind it. */
static uint32_t tables[8][256];

/* When the module is loaded, so that no call has to ask whether they are there. */
__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++) rest = rest >> 1 ^ (rest & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = rest;
    }
    for (int n = 1; n < 8; n++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t rest = tables[n - 1][byte];
            tables[n][byte] = rest >> 8 ^ tables[0][rest & 255];
        }
}

/* Takes and returns the bare remainder, without the CRC's inversions. */
static uint32_t by_tables(const uint8_t *data, size_t length, uint32_t rest) {
    for (; length >= 8; data += 8, length -= 8) {
        uint32_t low = aeor_get32(data) ^ rest, high = aeor_get32(data + 4);
        rest = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
               tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
               tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
    }
    for (; length; data++, length--) rest = rest >> 8 ^ tables[0][(rest ^ *data) & 255];
    return rest;
}

uint32_t aeor_crc32_tables(const uint8_t *data, size_t length, uint32_t value) {
    return ~by_tables(data, length, ~value);
}

#ifdef AEOR_X86
#include <immintrin.h>

#define TARGET __attribute__((target("pclmul,sse4.1")))

/* What stands 8 * n bytes ahead of `next`, moved onto it: `by` holds x^(64n+32) and x^(64n-32)
 * modulo the polynomial, bit-reversed, for the low and the high half. */
TARGET static inline __m128i fold(__m128i ahead, __m128i by, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(ahead, by, 0x00);
    __m128i high = _mm_clmulepi64_si128(ahead, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

#define LOAD(at) _mm_loadu_si128((const __m128i *)(data + (at)))

/* At least 64 bytes: four strands of 16, folded into one, whose remainder the tables give. */
TARGET static uint32_t by_folding(const uint8_t *data, size_t length, uint32_t rest) {
    const __m128i by_64 = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4);
    const __m128i by_16 = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
    __m128i a = _mm_xor_si128(LOAD(0), _mm_cvtsi32_si128((int)rest));
    __m128i b = LOAD(16), c = LOAD(32), d = LOAD(48);
    for (data += 64, length -= 64; length >= 64; data += 64, length -= 64) {
        a = fold(a, by_64, LOAD(0)), b = fold(b, by_64, LOAD(16));
        c = fold(c, by_64, LOAD(32)), d = fold(d, by_64, LOAD(48));
    }
    a = fold(fold(fold(a, by_16, b), by_16, c), by_16, d);
    for (; length >= 16; data += 16, length -= 16) a = fold(a, by_16, LOAD(0));
    uint8_t last[16];
    _mm_storeu_si128((__m128i *)last, a);
    return by_tables(data, length, by_tables(last, sizeof last, 0));
}

static bool can_fold(void) {
    static int known = -1;
    int can = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (can < 0) {
        __builtin_cpu_init();
        can = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
        __atomic_store_n(&known, can, __ATOMIC_RELAXED);
    }
    return can;
}
#endif

uint32_t aeor_crc32(const uint8_t *data, size_t length, uint32_t value) {
#ifdef AEOR_X86
    if (length >= 64 && can_fold()) return ~by_folding(data, length, ~value);
#endif
    return aeor_crc32_tables(data, length, value);
}
