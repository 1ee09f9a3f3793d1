/* BLAKE3 in plain C, a unit at a time: the reference for the SIMD kernels. */
#include "blake3_units.h"

static inline uint32_t rotate(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

static void compress(uint32_t h[8], const uint8_t *block, uint64_t counter, uint32_t length,
                     uint32_t flags) {
    uint32_t w[16];
    for (int i = 0; i < 16; i++) w[i] = aeor_get32(block + 4 * i);
    uint32_t v[16] = {h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], IV0, IV1, IV2, IV3,
                      (uint32_t)counter, (uint32_t)(counter >> 32), length, flags};
#define MIX(a, b, c, d, x, y)                                          \
    v[a] += v[b] + w[x], v[d] = rotate(v[d] ^ v[a], 16);               \
    v[c] += v[d], v[b] = rotate(v[b] ^ v[c], 12);                      \
    v[a] += v[b] + w[y], v[d] = rotate(v[d] ^ v[a], 8);                \
    v[c] += v[d], v[b] = rotate(v[b] ^ v[c], 7);
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    MIX(0, 4, 8, 12, a, b) MIX(1, 5, 9, 13, c, d)             \
    MIX(2, 6, 10, 14, e, f) MIX(3, 7, 11, 15, g, h)           \
    MIX(0, 5, 10, 15, i, j) MIX(1, 6, 11, 12, k, l)           \
    MIX(2, 7, 8, 13, m, n) MIX(3, 4, 9, 14, o, p)
    BLAKE3_ROUNDS(ROUND)
    for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
}

void aeor_blake3_portable(const aeor_blake3_unit *units, size_t count) {
    for (const aeor_blake3_unit *unit = units; unit < units + count; unit++) {
        uint8_t scratch[2 * BLOCK];
        uint32_t h[8] = {IV0, IV1, IV2, IV3, IV4, IV5, IV6, IV7};
        aeor_blake3_blocks blocks = aeor_blake3_gather(unit, scratch);
        const uint8_t *block = blocks.first;
        uint32_t flags = unit->first;
        for (uint32_t i = 1; i < blocks.count; i++) {
            compress(h, block, unit->counter, BLOCK, flags);
            block = blocks.body + (size_t)i * BLOCK;
            flags = 0;
        }
        compress(h, blocks.last, unit->counter, blocks.last_length, flags | unit->last);
        for (int i = 0; i < 8; i++) aeor_put32(unit->out + 4 * i, h[i]);
    }
}
