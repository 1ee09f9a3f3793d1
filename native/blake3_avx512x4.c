/* BLAKE3 in four lanes: AVX-512 F and VL, whose rotate is one instruction. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define LANES 4
#define TARGET __attribute__((target("avx512f,avx512vl")))
#define KERNEL aeor_blake3_avx512x4

#define vec __m128i
#define ADD _mm_add_epi32
#define XOR _mm_xor_si128
#define ROT16(x) _mm_ror_epi32(x, 16)
#define ROT12(x) _mm_ror_epi32(x, 12)
#define ROT8(x) _mm_ror_epi32(x, 8)
#define ROT7(x) _mm_ror_epi32(x, 7)
#define SET1(x) _mm_set1_epi32((int)(x))
#define LOADV(p) _mm_load_si128((const __m128i *)(p))
#define STOREV(p, x) _mm_store_si128((__m128i *)(p), x)
#define UNPACKLO32 _mm_unpacklo_epi32
#define UNPACKHI32 _mm_unpackhi_epi32
#define UNPACKLO64 _mm_unpacklo_epi64
#define UNPACKHI64 _mm_unpackhi_epi64
#define QUADS(p, r, at) _mm_loadu_si128((const __m128i *)((p)[r] + (at)))

#include "blake3_kernel.inc"
#endif
