/* BLAKE3 in four lanes: SSE4.1 (of which it needs SSSE3's byte shuffle). */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define LANES 4
#define TARGET __attribute__((target("sse4.1")))
#define KERNEL aeor_blake3_sse41

#define vec __m128i
#define ADD _mm_add_epi32
#define XOR _mm_xor_si128
#define ROTATE(x, n) _mm_or_si128(_mm_srli_epi32(x, n), _mm_slli_epi32(x, 32 - (n)))
#define ROT16(x) _mm_shuffle_epi8(x, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROT12(x) ROTATE(x, 12)
#define ROT8(x) _mm_shuffle_epi8(x, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROT7(x) ROTATE(x, 7)
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
