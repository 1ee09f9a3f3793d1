/* BLAKE3 in four lanes: AVX-512 F and VL, whose rotate is one instruction. */
#include "blake3_units.h"

#ifdef AEOR_X86
#include "blake3_lanes4.inc"

#define TARGET __attribute__((target("avx512f,avx512vl")))
#define KERNEL aeor_blake3_avx512x4

#define ROT16(x) _mm_ror_epi32(x, 16)
#define ROT12(x) _mm_ror_epi32(x, 12)
#define ROT8(x) _mm_ror_epi32(x, 8)
#define ROT7(x) _mm_ror_epi32(x, 7)

#include "blake3_kernel.inc"
#endif
