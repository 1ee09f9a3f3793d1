/* BLAKE3 in sixteen lanes: AVX-512 F, whose rotate is one instruction. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define KERNEL aeor_blake3_avx512

#define vec __m512i
#define ADD _mm512_add_epi32
#define XOR _mm512_xor_si512
#define ROT16(x) _mm512_ror_epi32(x, 16)
#define ROT12(x) _mm512_ror_epi32(x, 12)
#define ROT8(x) _mm512_ror_epi32(x, 8)
#define ROT7(x) _mm512_ror_epi32(x, 7)
#define SET1(x) _mm512_set1_epi32((int)(x))
#define LOADV(p) _mm512_load_si512(p)
#define STOREV(p, x) _mm512_store_si512(p, x)
#define UNPACKLO32 _mm512_unpacklo_epi32
#define UNPACKHI32 _mm512_unpackhi_epi32
#define UNPACKLO64 _mm512_unpacklo_epi64
#define UNPACKHI64 _mm512_unpackhi_epi64
#define QUAD(p) _mm_loadu_si128((const __m128i *)(p))
/* A masked broadcast is a load and a blend: cheaper than the shuffle that an insert would be. */
#define QUADS(p, r, at)                                                                      \
    _mm512_mask_broadcast_i32x4(                                                             \
        _mm512_mask_broadcast_i32x4(                                                         \
            _mm512_mask_broadcast_i32x4(_mm512_castsi128_si512(QUAD((p)[r] + (at))), 0x00F0, \
                                        QUAD((p)[4 + (r)] + (at))),                          \
            0x0F00, QUAD((p)[8 + (r)] + (at))),                                              \
        0xF000, QUAD((p)[12 + (r)] + (at)))

#include "blake3_kernel.inc"
#endif
