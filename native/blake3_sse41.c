/* BLAKE3 in four lanes: SSE4.1 (of which it needs SSSE3's byte shuffle). */
#include "blake3_units.h"

#ifdef AEOR_X86
#include "blake3_lanes4.inc"

#define TARGET __attribute__((target("sse4.1")))
#define KERNEL aeor_blake3_sse41

#define ROTATE(x, n) _mm_or_si128(_mm_srli_epi32(x, n), _mm_slli_epi32(x, 32 - (n)))
#define ROT16(x) _mm_shuffle_epi8(x, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2))
#define ROT12(x) ROTATE(x, 12)
#define ROT8(x) _mm_shuffle_epi8(x, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1))
#define ROT7(x) ROTATE(x, 7)

#include "blake3_kernel.inc"
#endif
