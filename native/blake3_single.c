/* BLAKE3 a unit at a time, four words side by side: for the one unit that fills no lanes.
 * AVX-512 F and VL: a rotate is one instruction, and so is a round's permutation of the message. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef struct {
    __m128i a, b, c, d;
} rows;

/* Half of the four Gs on the columns. */
#define MIX(v, m, RD, RB)                                            \
    (v).a = _mm_add_epi32(_mm_add_epi32((v).a, m), (v).b);           \
    (v).d = _mm_ror_epi32(_mm_xor_si128((v).d, (v).a), RD);          \
    (v).c = _mm_add_epi32((v).c, (v).d);                             \
    (v).b = _mm_ror_epi32(_mm_xor_si128((v).b, (v).c), RB);

/* The diagonals become columns (1), and come back (3). */
#define TURN(v, by)                                        \
    (v).b = _mm_shuffle_epi32((v).b, (by) == 1 ? 0x39 : 0x93); \
    (v).c = _mm_shuffle_epi32((v).c, 0x4E);                \
    (v).d = _mm_shuffle_epi32((v).d, (by) == 1 ? 0x93 : 0x39);

INLINE void compress(__m128i h[2], const uint8_t *block, uint64_t counter, uint32_t length,
                     uint32_t flags) {
    /* The message in the order in which a round takes it, and that of the next round from it. */
    const __m512i order = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    const __m512i next = _mm512_setr_epi32(1, 5, 7, 2, 3, 9, 0, 14, 4, 10, 12, 15, 13, 6, 11, 8);
    __m512i m = _mm512_permutexvar_epi32(order, _mm512_loadu_si512(block));
    rows v = {h[0], h[1], _mm_setr_epi32((int)IV0, (int)IV1, (int)IV2, (int)IV3),
              _mm_setr_epi32((int)counter, (int)(counter >> 32), (int)length, (int)flags)};
    for (int round = 0;; round++) {
        MIX(v, _mm512_castsi512_si128(m), 16, 12)
        MIX(v, _mm512_extracti32x4_epi32(m, 1), 8, 7)
        TURN(v, 1)
        MIX(v, _mm512_extracti32x4_epi32(m, 2), 16, 12)
        MIX(v, _mm512_extracti32x4_epi32(m, 3), 8, 7)
        TURN(v, 3)
        if (round == 6) break;
        m = _mm512_permutexvar_epi32(next, m);
    }
    h[0] = _mm_xor_si128(v.a, v.c);
    h[1] = _mm_xor_si128(v.b, v.d);
}

TARGET void aeor_blake3_single(const aeor_blake3_unit *units, size_t count) {
    for (const aeor_blake3_unit *unit = units; unit < units + count; unit++) {
        uint8_t scratch[2 * BLOCK];
        __m128i h[2] = {_mm_setr_epi32((int)IV0, (int)IV1, (int)IV2, (int)IV3),
                        _mm_setr_epi32((int)IV4, (int)IV5, (int)IV6, (int)IV7)};
        aeor_blake3_blocks blocks = aeor_blake3_gather(unit, scratch);
        const uint8_t *block = blocks.first;
        uint32_t flags = unit->first;
        for (uint32_t i = 1; i < blocks.count; i++) {
            compress(h, block, unit->counter, BLOCK, flags);
            block = blocks.body + (size_t)i * BLOCK;
            flags = 0;
        }
        compress(h, blocks.last, unit->counter, blocks.last_length, flags | unit->last);
        _mm_storeu_si128((__m128i *)unit->out, h[0]);
        _mm_storeu_si128((__m128i *)(unit->out + 16), h[1]);
    }
}
#endif
