/* Inside BLAKE3: the constants, and the kernels that hash units. Not for other parts. */
#ifndef AEOR_BLAKE3_UNITS_H
#define AEOR_BLAKE3_UNITS_H

#include "blake3.h"

enum { BLOCK = 64, CHUNK = 1024, CHUNK_BLOCKS = 16 };
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

#define IV0 0x6A09E667u
#define IV1 0xBB67AE85u
#define IV2 0x3C6EF372u
#define IV3 0xA54FF53Au
#define IV4 0x510E527Fu
#define IV5 0x9B05688Cu
#define IV6 0x1F83D9ABu
#define IV7 0x5BE0CD19u

/* The seven rounds' message order: ROUND(r, word numbers), each the permutation of the one above. */
#define BLAKE3_ROUNDS(ROUND)                                 \
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
    ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8) \
    ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1) \
    ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6) \
    ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4) \
    ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7) \
    ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

/* A kernel starts units in order. It writes a unit's out after it has read all of that unit, and
 * at least one block of each unit before it. */
typedef void aeor_blake3_kernel(const aeor_blake3_unit *units, size_t count);

aeor_blake3_kernel aeor_blake3_portable;
#ifdef AEOR_X86
aeor_blake3_kernel aeor_blake3_sse41, aeor_blake3_avx2, aeor_blake3_avx512;
#endif

/* The unit's first block's address, its bytes gathered into scratch[CHUNK] if a prefix or a
 * partial last block makes that necessary. Tells the number of blocks and the last one's length. */
static inline const uint8_t *aeor_blake3_gather(const aeor_blake3_unit *unit, uint8_t *scratch,
                                                uint32_t *blocks, uint32_t *last_length) {
    uint32_t total = (uint32_t)unit->prefix_length + unit->length;
    *blocks = total ? (total + BLOCK - 1) / BLOCK : 1;
    *last_length = total - (*blocks - 1) * BLOCK;
    if (!unit->prefix_length && *last_length == BLOCK) return unit->data;
    memset(scratch + (*blocks - 1) * BLOCK, 0, BLOCK);
    if (unit->prefix_length) memcpy(scratch, unit->prefix, unit->prefix_length);
    if (unit->length) memcpy(scratch + unit->prefix_length, unit->data, unit->length);
    return scratch;
}

#endif
