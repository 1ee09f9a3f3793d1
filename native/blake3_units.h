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
aeor_blake3_kernel aeor_blake3_sse41, aeor_blake3_avx2;
aeor_blake3_kernel aeor_blake3_avx512, aeor_blake3_avx512x8, aeor_blake3_avx512x4, aeor_blake3_single;
#endif

/* Where a unit's blocks of 64 bytes are: the first and the last one are gathered if a prefix or a
 * partial end makes that necessary, all others stay where they are. */
typedef struct {
    const uint8_t *first, *last;
    const uint8_t *body; /* block i, neither first nor last, is at body + 64 * i */
    uint32_t count, last_length;
} aeor_blake3_blocks;

static inline aeor_blake3_blocks aeor_blake3_gather(const aeor_blake3_unit *unit,
                                                    uint8_t scratch[2 * BLOCK]) {
    uint32_t prefix = unit->prefix_length, total = prefix + unit->length;
    uint32_t count = total ? (total + BLOCK - 1) / BLOCK : 1;
    uint32_t start = (count - 1) * BLOCK, end = total - start;
    aeor_blake3_blocks blocks = {.body = unit->data - prefix, .count = count, .last_length = end};
    blocks.first = blocks.body, blocks.last = blocks.body + start;
    if (count == 1 && (prefix || end < BLOCK)) {
        memset(scratch, 0, BLOCK);
        if (prefix) memcpy(scratch, unit->prefix, prefix);
        if (unit->length) memcpy(scratch + prefix, unit->data, unit->length);
        blocks.first = blocks.last = scratch;
        return blocks;
    }
    if (prefix) {
        memcpy(scratch, unit->prefix, prefix);
        if (prefix < BLOCK) memcpy(scratch + prefix, unit->data, BLOCK - prefix);
        blocks.first = scratch;
    }
    if (end < BLOCK) {
        memset(scratch + BLOCK, 0, BLOCK);
        memcpy(scratch + BLOCK, blocks.last, end);
        blocks.last = scratch + BLOCK;
    }
    return blocks;
}

#endif
