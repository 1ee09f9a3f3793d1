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

/* ---- void entries ---- */

enum { CHUNK = 1024, CHUNKS = 1024 };

/* Of what a void's hash covers, the type and then zeros, `tops[n]` is the chaining value of the
 * largest subtree that ends at chunk n: those of n, of n without its lowest bit and so on are the
 * hasher's stack after n chunks. Each thread has its own, filled as far as it needed. */
static _Thread_local uint8_t tops[CHUNKS + 1][AEOR_HASH];
static _Thread_local aeor_blake3_hasher filling;

static const uint8_t zeros[1 << 17]; /* costs address space, not memory */

static void fill_tops(uint64_t chunks) {
    static const uint8_t type = AEOR_TYPE_VOID;
    if (filling.used == 0) {
        aeor_blake3_init(&filling);
        aeor_blake3_update(&filling, &type, 1);
        aeor_blake3_update(&filling, zeros, CHUNK - 1);
    }
    while (filling.chunks < chunks) {
        aeor_blake3_update(&filling, zeros, CHUNK);
        memcpy(tops[filling.chunks], filling.stack[filling.depth - 1], AEOR_HASH);
    }
}

/* The hasher after the type and `count` zeros, of which it holds the last chunk back. */
static void hash_void(aeor_blake3_hasher *hasher, uint64_t count) {
    uint64_t chunks = count / CHUNK < CHUNKS ? count / CHUNK : CHUNKS;
    fill_tops(chunks);
    hasher->chunks = chunks;
    hasher->depth = hasher->top = 0;
    for (uint64_t bit = 1ull << 63, end = 0; bit; bit >>= 1)
        if (chunks & bit) memcpy(hasher->stack[hasher->depth++], tops[end += bit], AEOR_HASH);
    uint64_t rest = count + 1 - chunks * CHUNK;
    hasher->used = rest < CHUNK ? (uint32_t)rest : CHUNK;
    memset(hasher->buffer, 0, CHUNK);
    if (chunks == 0) hasher->buffer[0] = AEOR_TYPE_VOID;
    rest -= hasher->used;
    for (uint64_t here; rest; rest -= here) {
        here = rest < sizeof zeros ? rest : sizeof zeros;
        aeor_blake3_update(hasher, zeros, here);
    }
}

int aeor_void_header(uint64_t total_length, uint8_t *out) {
    if (total_length < AEOR_ENTRY_START || total_length > AEOR_ENTRY_LIMIT + AEOR_ENTRY_START)
        return AEOR_ERR_BOUNDS;
    uint32_t value_length = (uint32_t)(total_length - AEOR_ENTRY_START);
    put_header(out, 0, AEOR_TYPE_VOID, 0, 0, 0, value_length, 0);
    aeor_blake3_hasher hasher;
    hash_void(&hasher, value_length);
    return aeor_blake3_digest(&hasher, out + AEOR_ENTRY_HEADER);
}
