/* BLAKE3 in eight lanes: AVX-512 F and VL, whose rotate is one instruction. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx512f,avx512vl")))
#define KERNEL aeor_blake3_avx512x8

#define vec __m256i
#define ADD _mm256_add_epi32
#define XOR _mm256_xor_si256
#define ROT16(x) _mm256_ror_epi32(x, 16)
#define ROT12(x) _mm256_ror_epi32(x, 12)
#define ROT8(x) _mm256_ror_epi32(x, 8)
#define ROT7(x) _mm256_ror_epi32(x, 7)
#define SET1(x) _mm256_set1_epi32((int)(x))
#define LOADV(p) _mm256_load_si256((const __m256i *)(p))
#define STOREV(p, x) _mm256_store_si256((__m256i *)(p), x)
#define UNPACKLO32 _mm256_unpacklo_epi32
#define UNPACKHI32 _mm256_unpackhi_epi32
#define UNPACKLO64 _mm256_unpacklo_epi64
#define UNPACKHI64 _mm256_unpackhi_epi64
#define QUAD(p) _mm_loadu_si128((const __m128i *)(p))
#define QUADS(p, r, at) \
    _mm256_inserti128_si256(_mm256_castsi128_si256(QUAD((p)[r] + (at))), QUAD((p)[4 + (r)] + (at)), 1)

#include "blake3_kernel.inc"
#endif
