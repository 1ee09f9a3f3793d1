/* BLAKE3 in eight lanes: AVX2. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include "blake3_lanes8.inc"

#define TARGET __attribute__((target("avx2")))
#define KERNEL aeor_blake3_avx2

#define ROTATE(x, n) _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define BYTES(a) \
    _mm256_broadcastsi128_si256(_mm_set_epi32(0x0C0C0C0C + (a), 0x08080808 + (a), 0x04040404 + (a), a))
#define ROT16(x) _mm256_shuffle_epi8(x, BYTES(0x01000302))
#define ROT12(x) ROTATE(x, 12)
#define ROT8(x) _mm256_shuffle_epi8(x, BYTES(0x00030201))
#define ROT7(x) ROTATE(x, 7)

#include "blake3_kernel.inc"
#endif
