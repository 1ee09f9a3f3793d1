/* Fuzzes the hashers: every SIMD level against the portable one, one-shot against streams and
 * batches and tops of pieces, CRC-32 by folding against tables, entries framed against entries
 * hashed apart. Samples stay within their piece.
 *
 * The input's first bytes choose how the rest is cut: a byte for the prefix's length, two for the
 * longest piece (a long one fills more than a batch). Every piece is copied into a block of its own size, so that the sanitizers see
 * a byte read too far. A difference aborts. */
#include <stdlib.h>

#include "blake3.h"
#include "crc32.h"
#include "entry.h"
#include "frame.h"
#include "sample.h"

enum { PIECES = 600 };

static void require(bool holds) {
    if (!holds) abort();
}

static uint8_t *copy_of(const uint8_t *data, size_t length) {
    uint8_t *copy = malloc(length ? length : 1);
    require(copy != NULL);
    if (length) memcpy(copy, data, length);
    return copy;
}

/* Unequal lengths without a source of chance: a walk that the input's own bytes steer. */
static size_t cut(const uint8_t *data, size_t length, size_t longest, uint64_t *lengths,
                  uint8_t **pieces) {
    size_t count = 0, at = 0;
    uint32_t state = (uint32_t)length;
    while (at < length && count < PIECES) {
        state = state * 1664525u + 1013904223u + data[at];
        size_t here = (state >> 8) % (longest + 1);
        if (here > length - at) here = length - at;
        lengths[count] = here;
        pieces[count++] = copy_of(data + at, here);
        at += here + (here == 0);
    }
    return count;
}

/* Hash of prefix + data as a stream of one piece after the other. */
static void streamed(const uint8_t *prefix, size_t prefix_length, const uint8_t *data,
                     size_t length, size_t piece, uint8_t *out) {
    aeor_blake3_hasher hasher;
    aeor_blake3_init(&hasher);
    require(aeor_blake3_update(&hasher, prefix, prefix_length) == AEOR_OK);
    for (size_t here; length; data += here, length -= here) {
        here = length < piece ? length : piece;
        require(aeor_blake3_update(&hasher, data, here) == AEOR_OK);
    }
    require(aeor_blake3_digest(&hasher, out) == AEOR_OK);
}

static void check_hashes(const uint8_t *prefix, size_t prefix_length, uint8_t **pieces,
                         const uint64_t *lengths, size_t count, size_t piece) {
    static uint8_t want[PIECES * AEOR_HASH], got[PIECES * AEOR_HASH];
    const uint8_t *const *inputs = (const uint8_t *const *)pieces;
    require(aeor_blake3_set_simd(AEOR_SIMD_PORTABLE) == AEOR_OK);
    for (size_t i = 0; i < count; i++)
        streamed(prefix, prefix_length, pieces[i], lengths[i], piece, want + AEOR_HASH * i);
    for (int level = AEOR_SIMD_PORTABLE; level <= AEOR_SIMD_AVX512; level++) {
        if (aeor_blake3_set_simd(level)) continue;
        memset(got, 0, sizeof got);
        require(aeor_blake3_pointers(inputs, lengths, count, prefix, prefix_length, got) == AEOR_OK);
        require(memcmp(got, want, AEOR_HASH * count) == 0);
        for (size_t i = 0; i < count && i < 4; i++) {
            streamed(prefix, prefix_length, pieces[i], lengths[i], SIZE_MAX, got);
            require(memcmp(got, want + AEOR_HASH * i, AEOR_HASH) == 0);
        }
    }
}

/* Pieces of a stream by their tops, whole ones and a short last one, against the stream itself. */
static void check_pieces(const uint8_t *prefix, size_t prefix_length, const uint8_t *data,
                         size_t length, size_t start) {
    enum { PIECE = AEOR_BLAKE3_PIECE * 1024, WHOLE = 3 };
    static uint8_t stream[WHOLE * PIECE + PIECE], keys[4 * AEOR_HASH], tops[8 * AEOR_HASH];
    uint8_t want[AEOR_HASH], got[AEOR_HASH];
    uint64_t offsets[4], lengths[4];
    if (length == 0) return;
    size_t rest = start % PIECE, count = 0;
    for (size_t at = 0; at < sizeof stream; at++)
        stream[at] = (uint8_t)(data[at % length] + at / length);
    for (size_t at = 0; at < WHOLE * PIECE + rest; at += PIECE, count++) {
        offsets[count] = at;
        lengths[count] = at < WHOLE * PIECE ? PIECE : rest;
    }
    size_t apart = start % WHOLE + 1; /* pieces of the first call */
    require(aeor_blake3_pieces(stream, sizeof stream, offsets, lengths, apart, prefix,
                               prefix_length, 0, keys, tops) == AEOR_OK);
    require(aeor_blake3_pieces(stream, sizeof stream, offsets + apart, lengths + apart,
                               count - apart, prefix, prefix_length, apart,
                               keys + AEOR_HASH * apart, tops + 2 * AEOR_HASH * apart) == AEOR_OK);
    for (size_t i = 0; i < count; i++) {
        streamed(prefix, prefix_length, stream + offsets[i], lengths[i], SIZE_MAX, want);
        require(memcmp(keys + AEOR_HASH * i, want, AEOR_HASH) == 0);
    }
    aeor_blake3_hasher hasher;
    aeor_blake3_init(&hasher);
    require(aeor_blake3_update_tops(&hasher, tops, apart) == AEOR_OK);
    require(aeor_blake3_update_tops(&hasher, tops + 2 * AEOR_HASH * apart, WHOLE - apart) ==
            AEOR_OK);
    require(aeor_blake3_update(&hasher, stream + WHOLE * PIECE, rest) == AEOR_OK);
    require(aeor_blake3_digest(&hasher, got) == AEOR_OK);
    streamed(NULL, 0, stream, WHOLE * PIECE + rest, SIZE_MAX, want);
    require(memcmp(got, want, AEOR_HASH) == 0);
    require(rest == 0 || aeor_blake3_update_tops(&hasher, tops, 1) == AEOR_ERR_ARGUMENT);
}

static void check_frames(uint8_t **pieces, const uint64_t *lengths, size_t count) {
    static uint8_t fields[PIECES], keys[PIECES * AEOR_HASH];
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        fields[i] = (uint8_t)i;
        memset(keys + AEOR_HASH * i, (int)(i * 7 & 255), AEOR_HASH);
        total += AEOR_FRAME_OVERHEAD + lengths[i];
    }
    uint8_t *frames = malloc(total ? total : 1), *at = frames;
    require(frames != NULL);
    for (size_t i = 0; i < count; i++) {
        memcpy(at + AEOR_FRAME_OVERHEAD, pieces[i], lengths[i]);
        at += AEOR_FRAME_OVERHEAD + lengths[i];
    }
    require(aeor_frame_entries(frames, total, fields, fields, fields, fields, keys, lengths, count,
                               -3) == AEOR_OK);
    at = frames;
    for (size_t i = 0; i < count; i++) {
        uint8_t hash[AEOR_HASH];
        size_t keyed = AEOR_HASH + lengths[i];
        streamed(&fields[i], 1, at + AEOR_ENTRY_START, keyed, SIZE_MAX, hash);
        require(memcmp(at + AEOR_ENTRY_HEADER, hash, AEOR_HASH) == 0);
        require(memcmp(at + AEOR_FRAME_OVERHEAD, pieces[i], lengths[i]) == 0);
        at += AEOR_FRAME_OVERHEAD + lengths[i];
    }
    if (total)
        require(aeor_frame_entries(frames, total - 1, fields, fields, fields, fields, keys,
                                   lengths, count, 0) == AEOR_ERR_BOUNDS);
    free(frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint64_t lengths[PIECES];
    static uint8_t *pieces[PIECES];
    if (size < 3) return 0;
    size_t prefix_length = data[0] % (AEOR_BLAKE3_PREFIX + 1);
    size_t longest = data[1] | (size_t)data[2] << (data[2] >= 224 ? 16 : 4);
    data += 3, size -= 3;
    if (prefix_length > size) prefix_length = size;
    uint8_t *prefix = copy_of(data, prefix_length);

    size_t count = cut(data, size, longest, lengths, pieces);
    check_hashes(prefix, prefix_length, pieces, lengths, count, longest / 3 + 1);
    check_frames(pieces, lengths, count);
    if (size % 16 == 0) check_pieces(prefix, prefix_length, data, size, longest * 257);
    static const uint64_t start = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t loose = 2;
        require(aeor_samples(pieces[i], lengths[i], &start, &lengths[i], 1, &loose) == AEOR_OK);
        require(loose < 2);
    }
    for (size_t i = 0; i < count; i++)
        require(aeor_crc32(pieces[i], lengths[i], (uint32_t)i) ==
                aeor_crc32_tables(pieces[i], lengths[i], (uint32_t)i));
    for (size_t i = 0; i < count; i++) free(pieces[i]);
    free(prefix);
    return 0;
}
