/* Offsets and lengths that lie, given to every function that takes a list of them: what is outside
 * the buffer is refused, and what is inside agrees with one call for each.
 *
 * The first byte: how many pairs; then each in five bytes: offset and length in two, and a byte
 * that lifts one of them to the edges of 64 bits.  The rest is the buffer. */
#include <stdlib.h>

#include "blake3.h"
#include "entry.h"
#include "frame.h"
#include "map.h"
#include "sample.h"

enum { MOST = 24, PAIR = 5, PREFIX = 6 };

static const uint8_t prefix[PREFIX] = "chunk:";

static void require(bool holds) {
    if (!holds) abort();
}

static uint64_t lifted(uint64_t number, unsigned how) {
    switch (how & 7) {
    case 0:
        return UINT64_MAX - number;
    case 1:
        return number << 48;
    case 2:
        return (1ull << 63) + number;
    default:
        return number;
    }
}

static void check_hashes(const uint8_t *buffer, size_t size, const uint64_t *offsets,
                         const uint64_t *lengths, uint64_t count, bool inside) {
    uint8_t out[MOST * AEOR_HASH], tops[MOST * 2 * AEOR_HASH], keys[MOST * AEOR_HASH];
    int code = aeor_blake3_slices(buffer, size, offsets, lengths, count, prefix, PREFIX, out);
    require(code == (inside ? AEOR_OK : AEOR_ERR_BOUNDS));
    code = aeor_blake3_pieces(buffer, size, offsets, lengths, count, prefix, PREFIX, 0, keys, tops);
    require(code == (inside ? AEOR_OK : AEOR_ERR_BOUNDS));
    require(!inside || memcmp(keys, out, count * AEOR_HASH) == 0);
    code = aeor_blake3_joined(buffer, size, lengths, count, prefix, PREFIX, keys);
    uint64_t sum = 0;
    bool fits = true;
    for (uint64_t i = 0; i < count; i++) {
        fits = fits && lengths[i] <= size - sum;
        if (fits) sum += lengths[i];
    }
    require(code == (fits && sum == size ? AEOR_OK : AEOR_ERR_BOUNDS));
    if (inside) require(aeor_blake3_total(lengths, count) <= size * count);
}

static void check_entries(const uint8_t *buffer, size_t size, const uint64_t *offsets,
                          const uint64_t *lengths, uint64_t count) {
    int32_t codes[MOST];
    int code = aeor_entries_verify(buffer, size, offsets, lengths, count, codes);
    require(code == AEOR_OK);
    for (uint64_t i = 0; i < count; i++) {
        struct aeor_entry entry;
        bool in = aeor_inside(offsets[i], lengths[i], size);
        require(in || codes[i] != AEOR_OK);
        if (in) require(codes[i] == aeor_entry_verify(buffer + offsets[i], lengths[i]));
        code = aeor_entry_header(buffer, size, offsets[i], (uint32_t)lengths[i], &entry);
        require(code != AEOR_OK || aeor_inside(offsets[i], entry.total_length, size));
        uint8_t copy[1 << 10];
        if (lengths[i] > sizeof copy && in) continue;
        code = aeor_map_copy(copy, buffer, size, offsets[i], lengths[i]);
        require(code == (in ? AEOR_OK : AEOR_ERR_BOUNDS));
    }
}

static void check_frames(const uint8_t *buffer, size_t size, const uint64_t *lengths,
                         uint64_t count) {
    uint8_t fields[MOST] = {0}, keys[MOST * AEOR_HASH] = {0}, header[AEOR_ENTRY_START];
    uint8_t *frames = malloc(size + !size);
    memcpy(frames, buffer, size);
    int code = aeor_frame_entries(frames, size, fields, fields, fields, fields, keys, lengths,
                                  count, INT64_MAX - MOST);
    require(code == AEOR_OK || (code == AEOR_ERR_BOUNDS && memcmp(frames, buffer, size) == 0));
    for (uint64_t i = 0, at = 0; i < count && code == AEOR_OK; i++) {
        require(aeor_inside(at, AEOR_FRAME_OVERHEAD + lengths[i], size));
        require(aeor_entry_verify(frames + at, AEOR_FRAME_OVERHEAD + lengths[i]) == AEOR_OK);
        at += AEOR_FRAME_OVERHEAD + lengths[i];
    }
    free(frames);
    for (uint64_t i = 0; i < count; i++) {
        bool legal = lengths[i] >= AEOR_ENTRY_START &&
                     lengths[i] <= AEOR_ENTRY_LIMIT + (uint64_t)AEOR_ENTRY_START;
        if (legal && lengths[i] > 1 << 16) continue;
        require(aeor_void_header(lengths[i], header) == (legal ? AEOR_OK : AEOR_ERR_BOUNDS));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t offsets[MOST] = {0}, lengths[MOST] = {0}, count;
    uint8_t loose[MOST];
    if (size == 0) return 0;
    count = data[0] % (MOST + 1);
    data++, size--;
    if (size < count * PAIR) return 0;
    const uint8_t *pairs = data;
    data += count * PAIR, size -= count * PAIR;
    bool inside = true;
    for (uint64_t i = 0; i < count; i++, pairs += PAIR) {
        offsets[i] = lifted(aeor_get16(pairs), pairs[4]);
        lengths[i] = lifted(aeor_get16(pairs + 2), pairs[4] >> 3);
        inside = inside && aeor_inside(offsets[i], lengths[i], size);
    }
    check_hashes(data, size, offsets, lengths, count, inside);
    check_entries(data, size, offsets, lengths, count);
    check_frames(data, size, lengths, count);
    require(aeor_samples(data, size, offsets, lengths, count, loose) ==
            (inside ? AEOR_OK : AEOR_ERR_BOUNDS));
    return 0;
}
