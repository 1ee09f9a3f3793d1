#include "entry.h"

#include "blake3.h"
#include "map.h"

int aeor_entry_parse(const uint8_t header[AEOR_ENTRY_HEADER], uint64_t offset,
                     struct aeor_entry *entry) {
    memset(entry, 0, sizeof *entry);
    entry->offset = offset;
    if (aeor_get32(header) != AEOR_ENTRY_MAGIC) return AEOR_ERR_ENTRY_MAGIC;
    entry->version = header[4];
    entry->type = header[5];
    entry->flags = header[6];
    entry->compression = header[9];
    entry->key_length = aeor_get32(header + 11);
    entry->value_length = aeor_get32(header + 15);
    entry->time = (int64_t)aeor_get64(header + 19);
    entry->total_length = aeor_get32(header + 27);
    if (aeor_get16(header + 7) != AEOR_ALGORITHM_BLAKE3) return AEOR_ERR_ENTRY_ALGORITHM;
    if (header[10] != 0) return AEOR_ERR_ENTRY_ENCRYPTION;
    if (entry->key_length > AEOR_ENTRY_LIMIT || entry->value_length > AEOR_ENTRY_LIMIT ||
        entry->total_length !=
            (uint64_t)AEOR_ENTRY_START + entry->key_length + entry->value_length) {
        return AEOR_ERR_ENTRY_LENGTHS;
    }
    return AEOR_OK;
}

int aeor_entry_header(const uint8_t *map, uint64_t map_length, uint64_t offset,
                      uint32_t total_length, struct aeor_entry *entry) {
    uint8_t header[AEOR_ENTRY_HEADER];
    int code;
    memset(entry, 0, sizeof *entry);
    entry->offset = offset;
    if (!aeor_inside(offset, AEOR_ENTRY_START, map_length)) return AEOR_ERR_ENTRY_BOUNDS;
    code = aeor_map_copy(header, map, map_length, offset, sizeof header);
    if (code != AEOR_OK) return code;
    code = aeor_entry_parse(header, offset, entry);
    if (code != AEOR_OK) return code;
    if (total_length != 0 && entry->total_length != total_length) return AEOR_ERR_ENTRY_LENGTHS;
    if (!aeor_inside(offset, entry->total_length, map_length)) return AEOR_ERR_ENTRY_BOUNDS;
    return AEOR_OK;
}

void aeor_entry_hash(uint8_t type, const uint8_t *start, uint64_t length, uint8_t out[AEOR_HASH]) {
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    aeor_blake3_add(&batch, &type, 1, start, length, out);
    aeor_blake3_flush(&batch);
}

int aeor_entry_fetch(const uint8_t *map, uint64_t map_length, uint64_t offset,
                     uint32_t total_length, const uint8_t *key, uint8_t *value, uint64_t capacity,
                     struct aeor_entry *entry) {
    /* What is hashed before the value: the type and a key of at most one hash's length. */
    uint8_t prefix[1 + AEOR_HASH], stored[AEOR_HASH], hash[AEOR_HASH];
    aeor_blake3_batch batch;
    uint64_t place = offset + AEOR_ENTRY_HEADER;
    int code = aeor_entry_header(map, map_length, offset, total_length, entry);
    if (code != AEOR_OK) return code;
    if (entry->key_length > AEOR_HASH) return AEOR_ERR_ENTRY_LENGTHS;
    if (key != NULL && entry->key_length != AEOR_HASH) return AEOR_ERR_ENTRY_KEY;
    if (entry->value_length > capacity) return AEOR_ERR_ARGUMENT;
    prefix[0] = entry->type;
    code = aeor_map_copy(stored, map, map_length, place, AEOR_HASH);
    place += AEOR_HASH;
    if (code == AEOR_OK) code = aeor_map_copy(prefix + 1, map, map_length, place, entry->key_length);
    place += entry->key_length;
    if (code == AEOR_OK) code = aeor_map_copy(value, map, map_length, place, entry->value_length);
    if (code != AEOR_OK) return code;
    if (key != NULL && memcmp(prefix + 1, key, AEOR_HASH) != 0) return AEOR_ERR_ENTRY_KEY;
    aeor_blake3_start(&batch);
    aeor_blake3_add(&batch, prefix, 1 + entry->key_length, value, entry->value_length, hash);
    aeor_blake3_flush(&batch);
    return memcmp(hash, stored, AEOR_HASH) == 0 ? AEOR_OK : AEOR_ERR_ENTRY_HASH;
}

#define VERIFY_AT_ONCE 128

struct verifying {
    const uint8_t *map;
    uint64_t map_length;
    const uint64_t *offsets, *lengths;
    uint64_t count;
    int32_t *codes;
    aeor_blake3_batch batch;
    uint8_t starts[VERIFY_AT_ONCE][AEOR_ENTRY_START]; /* copies: a mapped byte may change */
    uint8_t hashes[VERIFY_AT_ONCE][AEOR_HASH];
};

/* Checks the start of an entry image, and leaves the copy of it in `start`. */
static int check_start(const uint8_t *image, uint64_t length, uint8_t start[AEOR_ENTRY_START]) {
    struct aeor_entry entry;
    if (length < AEOR_ENTRY_START) return AEOR_ERR_ENTRY_BOUNDS;
    memcpy(start, image, AEOR_ENTRY_START);
    int code = aeor_entry_parse(start, 0, &entry);
    return code == AEOR_OK && entry.total_length != length ? AEOR_ERR_ENTRY_LENGTHS : code;
}

static int verify_work(void *context) {
    struct verifying *work = context;
    aeor_blake3_start(&work->batch);
    for (uint64_t i = 0; i < work->count; i++) {
        uint64_t offset = work->offsets[i], length = work->lengths[i];
        if (!aeor_inside(offset, length, work->map_length)) {
            work->codes[i] = AEOR_ERR_ENTRY_BOUNDS;
            continue;
        }
        const uint8_t *image = work->map + offset;
        work->codes[i] = check_start(image, length, work->starts[i]);
        if (work->codes[i] == AEOR_OK) {
            aeor_blake3_add(&work->batch, work->starts[i] + 5, 1, image + AEOR_ENTRY_START,
                            length - AEOR_ENTRY_START, work->hashes[i]);
        }
    }
    aeor_blake3_flush(&work->batch);
    for (uint64_t i = 0; i < work->count; i++) {
        if (work->codes[i] == AEOR_OK &&
            memcmp(work->hashes[i], work->starts[i] + AEOR_ENTRY_HEADER, AEOR_HASH) != 0) {
            work->codes[i] = AEOR_ERR_ENTRY_HASH;
        }
    }
    return AEOR_OK;
}

int aeor_entries_verify(const uint8_t *map, uint64_t map_length, const uint64_t *offsets,
                        const uint64_t *lengths, uint64_t count, int32_t *codes) {
    struct verifying work = {.map = map, .map_length = map_length};
    for (uint64_t i = 0; i < count; i += VERIFY_AT_ONCE) {
        work.offsets = offsets + i;
        work.lengths = lengths + i;
        work.codes = codes + i;
        work.count = count - i < VERIFY_AT_ONCE ? count - i : VERIFY_AT_ONCE;
        int code = aeor_guarded(map, map_length, verify_work, &work);
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

int aeor_entry_verify(const uint8_t *image, uint64_t length) {
    uint64_t offset = 0;
    int32_t result = AEOR_OK;
    int code = aeor_entries_verify(image, length, &offset, &length, 1, &result);
    return code == AEOR_OK ? result : code;
}
