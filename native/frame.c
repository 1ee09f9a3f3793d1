#include "frame.h"

#include "blake3.h"
#include "entry.h"

_Static_assert(AEOR_FRAME_OVERHEAD == AEOR_ENTRY_START + AEOR_HASH, "the key lies between");

static void put_header(uint8_t *frame, uint8_t version, uint8_t type, uint8_t flags,
                       uint8_t compression, uint32_t key_length, uint32_t value_length,
                       int64_t time) {
    aeor_put32(frame, AEOR_ENTRY_MAGIC);
    frame[4] = version;
    frame[5] = type;
    frame[6] = flags;
    aeor_put16(frame + 7, AEOR_ALGORITHM_BLAKE3);
    frame[9] = compression;
    frame[10] = 0; /* encryption: none */
    aeor_put32(frame + 11, key_length);
    aeor_put32(frame + 15, value_length);
    aeor_put64(frame + 19, (uint64_t)time);
    aeor_put32(frame + 27, AEOR_ENTRY_START + key_length + value_length);
}

int aeor_frame_entries(uint8_t *frames, size_t frames_length, const uint8_t *types,
                       const uint8_t *versions, const uint8_t *flags, const uint8_t *compressions,
                       const uint8_t *keys, const uint64_t *value_lengths, size_t count,
                       int64_t first_time) {
    size_t rest = frames_length;
    for (size_t i = 0; i < count; i++) {
        if (value_lengths[i] > AEOR_ENTRY_LIMIT) return AEOR_ERR_BOUNDS;
        if (rest < AEOR_FRAME_OVERHEAD + value_lengths[i]) return AEOR_ERR_BOUNDS;
        rest -= AEOR_FRAME_OVERHEAD + value_lengths[i];
    }
    if (rest) return AEOR_ERR_BOUNDS;

    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)value_lengths[i];
        put_header(frames, versions[i], types[i], flags[i], compressions[i], AEOR_HASH, length,
                   first_time + (int64_t)i);
        memcpy(frames + AEOR_ENTRY_START, keys + AEOR_HASH * i, AEOR_HASH);
        /* What the hash covers is type, key and value: the type waits in the hash's last byte,
         * so that the three lie together; the batch writes a hash after its input was read. */
        uint8_t *hashed = frames + AEOR_ENTRY_START - 1;
        *hashed = types[i];
        aeor_blake3_add(&batch, NULL, 0, hashed, 1 + AEOR_HASH + (size_t)length, frames + AEOR_ENTRY_HEADER);
        frames += AEOR_FRAME_OVERHEAD + length;
    }
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}

int aeor_void_header(uint64_t total_length, uint8_t *out) {
    static const uint8_t type = AEOR_TYPE_VOID;
    static uint8_t zeros[1 << 17]; /* never written: costs address space, not memory */
    if (total_length < AEOR_ENTRY_START || total_length > AEOR_ENTRY_LIMIT + AEOR_ENTRY_START)
        return AEOR_ERR_BOUNDS;
    uint32_t value_length = (uint32_t)(total_length - AEOR_ENTRY_START);
    put_header(out, 0, type, 0, 0, 0, value_length, 0);

    aeor_blake3_hasher hasher;
    aeor_blake3_init(&hasher);
    aeor_blake3_update(&hasher, &type, 1);
    for (uint32_t here; value_length; value_length -= here) {
        here = value_length < sizeof zeros ? value_length : sizeof zeros;
        aeor_blake3_update(&hasher, zeros, here);
    }
    return aeor_blake3_digest(&hasher, out + AEOR_ENTRY_HEADER);
}
