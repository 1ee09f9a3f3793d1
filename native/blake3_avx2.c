/* BLAKE3 in eight lanes: AVX2. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define KERNEL aeor_blake3_avx2

#define vec __m256i
#define ADD _mm256_add_epi32
#define XOR _mm256_xor_si256
#define ROTATE(x, n) _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define BYTES(a) \
    _mm256_broadcastsi128_si256(_mm_set_epi32(0x0C0C0C0C + (a), 0x08080808 + (a), 0x04040404 + (a), a))
#define ROT16(x) _mm256_shuffle_epi8(x, BYTES(0x01000302))
#define ROT12(x) ROTATE(x, 12)
#define ROT8(x) _mm256_shuffle_epi8(x, BYTES(0x00030201))
#define ROT7(x) ROTATE(x, 7)
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
