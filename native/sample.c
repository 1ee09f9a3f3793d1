#include "sample.h"

enum { WINDOWS = 16, WINDOW = 512 };

/* The squares of the counts add up to WINDOW + WINDOW^2 / 2^H for bytes of H bits of (collision)
 * entropy: 1,536 with a deviation of 45 for noise, 2,560 and more where a Huffman code saves an
 * eighth. In between lies a wide gap. */
static const uint32_t uneven = 2048;

static bool is_loose(const uint8_t *data, size_t length) {
    if (length < WINDOWS * WINDOW) return true;
    size_t step = (length - WINDOW) / (WINDOWS - 1);
    for (size_t i = 0; i < WINDOWS; i++) {
        const uint8_t *window = data + i * step;
        uint16_t counts[256] = {0};
        uint32_t sum = 0;
        for (size_t at = 0; at < WINDOW; at++) counts[window[at]]++;
        for (size_t byte = 0; byte < 256; byte++) sum += (uint32_t)counts[byte] * counts[byte];
        if (sum > uneven) return true;
    }
    return false;
}

int aeor_samples(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                 const uint64_t *lengths, size_t count, uint8_t *loose) {
    for (size_t i = 0; i < count; i++) {
        if (offsets[i] > buffer_length || lengths[i] > buffer_length - offsets[i])
            return AEOR_ERR_BOUNDS;
        loose[i] = is_loose(buffer + offsets[i], lengths[i]);
    }
    return AEOR_OK;
}
