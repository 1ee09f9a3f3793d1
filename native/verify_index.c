/* Verification of the index, against what was seen of the log, and of folders' path keys. */
#include <stdlib.h>

#include "blake3.h"
#include "entry.h"
#include "map.h"
#include "table.h"
#include "verify.h"
#include "verify_address.h"
#include "verify_rows.h"

/* A live record of the index: `behind_key` is KV type and flags, offset, total length. */
static void check_record(const struct aeor_verify *verify, struct aeor_rows *rows, uint64_t slot,
                         const uint8_t *key, const uint8_t *behind_key) {
    uint8_t kv = behind_key[0], kind = kv & AEOR_KV_TYPE;
    uint64_t offset = aeor_get64(behind_key + 1);
    uint32_t length = aeor_get32(behind_key + 9);
    rows->sums->entries++;
    rows->sums->bytes += length;
    if (aeor_voids_meet(verify->voids, verify->void_count, offset, length)) {
        aeor_rows_add(rows, AEOR_FOUND_OVERLAP, offset, length, 0, 0, kv, key);
    } else if (!aeor_bit(verify->seen, slot)) {
        aeor_rows_add(rows, AEOR_FOUND_LOST, offset, length, 0, 0, kv, key);
    }
    if (!aeor_bit(verify->loose, slot)) return;
    if (aeor_bit(verify->reached, slot)) {
        /* A tree leads to it, so it is no path key, and its key is no address. */
        if (kind == aeor_kv_type(AEOR_TYPE_DIRECTORY)) {
            aeor_rows_add(rows, AEOR_FOUND_ADDRESS, offset, length, AEOR_TYPE_DIRECTORY, 0, kv,
                          key);
        }
    } else if (verify->strays && !aeor_bit(verify->paths, slot) && !aeor_is_root(verify, key)) {
        aeor_rows_add(rows, AEOR_FOUND_STRAY, offset, length, 0, 0, kv, key);
    }
}

static bool in_tables(const struct aeor_index *index, const uint8_t *key, uint32_t tables) {
    for (uint32_t i = 0; i < tables; i++) {
        if (aeor_table_find(index->tables[i], key) >= 0) return true;
    }
    return false;
}

/* True if one of the page's first `count` entries has this key. */
static bool stands_before(const uint8_t *image, uint32_t count, const uint8_t *key) {
    const uint8_t *entry = image + AEOR_PAGE_HEADER;
    uint64_t first = aeor_get64(key);
    for (uint32_t at = 0; at < count; at++, entry += AEOR_PAGE_ENTRY) {
        if (aeor_get64(entry) == first && memcmp(entry, key, AEOR_HASH) == 0) return true;
    }
    return false;
}

static void check_page(const struct aeor_verify *verify, struct aeor_rows *rows, uint64_t page,
                       uint8_t *image, uint32_t count) {
    const struct aeor_index *index = verify->index;
    for (uint32_t at = 0; at < count; at++) {
        const uint8_t *entry = aeor_page_entry(image, at), *behind = entry + AEOR_HASH;
        if (aeor_page_of(entry, index->pages) != page || stands_before(image, at, entry)) {
            aeor_rows_add(rows, AEOR_FOUND_MISPLACED, aeor_get64(behind + 1),
                          aeor_get32(behind + 9), 0, 0, behind[0], entry);
            continue;
        }
        if (behind[0] & AEOR_KV_DELETED || in_tables(index, entry, index->table_count) ||
            aeor_voids_meet(index->voids, index->void_count, aeor_get64(behind + 1),
                            aeor_get32(behind + 9))) {
            continue;
        }
        check_record(verify, rows, page * AEOR_PAGE_ENTRIES + at, entry, behind);
    }
}

static bool is_zero(const uint8_t *bytes, uint64_t length) {
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)length - 1) == 0);
}

int aeor_verify_pages(const struct aeor_verify *verify, uint64_t first, uint64_t last,
                      struct aeor_verify_row *rows, uint64_t capacity,
                      struct aeor_verify_sums *sums, uint64_t *bad_page) {
    const struct aeor_index *index = verify->index;
    struct aeor_rows out = {rows, capacity, sums};
    memset(sums, 0, sizeof *sums);
    if (index->no_pages) return AEOR_OK;
    for (uint64_t page = first; page < last && page < index->pages; page++) {
        uint8_t image[AEOR_PAGE];
        uint32_t count;
        if (index->covered && index->covered[page / 8] >> page % 8 & 1) continue;
        /* Whether a bad page is a writer's work in progress, who asks for pages alone finds out. */
        int code = rows == NULL ? aeor_page_load(index->map, index->map_length, index->kv_offset,
                                                 index->pages, page, image, &count)
                                : aeor_index_page(index, page, image, &count);
        if (code != AEOR_OK) {
            *bad_page = page;
            return code;
        }
        if (rows == NULL) continue;
        if (count > 0) {
            check_page(verify, &out, page, image, count);
            continue;
        }
        uint64_t offset = index->kv_offset + page * AEOR_PAGE;
        code = aeor_map_copy(image, index->map, index->map_length, offset, AEOR_PAGE);
        if (code != AEOR_OK) return code;
        /* Empty and without a checksum, or with one that was good a moment ago. */
        if (aeor_get32(image) == 0 && !is_zero(image, AEOR_PAGE) && aeor_get16(image + 8) == 0) {
            aeor_rows_add(&out, AEOR_FOUND_PAGE, offset, AEOR_PAGE, 0, 0, 0, NULL);
        }
    }
    return AEOR_OK;
}

int aeor_verify_tables(const struct aeor_verify *verify, struct aeor_verify_row *rows,
                       uint64_t capacity, struct aeor_verify_sums *sums) {
    const struct aeor_index *index = verify->index;
    struct aeor_rows out = {rows, capacity, sums};
    uint64_t slot = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    memset(sums, 0, sizeof *sums);
    for (uint32_t i = 0; i < index->table_count; i++) {
        const struct aeor_table *table = index->tables[i];
        for (uint64_t number = 0; number < table->count; number++, slot++) {
            const uint8_t *record = table->records + number * AEOR_RECORD;
            if (record[AEOR_RECORD_KV] & AEOR_KV_DELETED ||
                in_tables(index, record + AEOR_RECORD_KEY, i)) {
                continue;
            }
            check_record(verify, &out, slot, record + AEOR_RECORD_KEY, record + AEOR_RECORD_KV);
        }
    }
    return AEOR_OK;
}

/* ---- path keys of folders ---- */

struct placing {
    const struct aeor_verify *verify;
    const uint8_t *places;
    uint64_t count;
    struct aeor_rows rows;
    aeor_blake3_batch batch;
    uint8_t hash[AEOR_HASH];
};

/* Whether the entry found under a folder's path key is a link to the folder, or a copy of it. */
static bool leads_to(struct placing *work, const struct aeor_hit *hit, const uint8_t *folder) {
    const struct aeor_index *index = work->verify->index;
    struct aeor_entry entry;
    if (aeor_entry_header(index->map, index->map_length, hit->offset, hit->total_length, &entry) !=
            AEOR_OK ||
        entry.type != AEOR_TYPE_DIRECTORY || entry.key_length != AEOR_HASH) {
        return false;
    }
    const uint8_t *value = index->map + hit->offset + AEOR_ADDRESS_VALUE;
    if (entry.value_length == AEOR_HASH) return memcmp(value, folder, AEOR_HASH) == 0;
    aeor_blake3_start(&work->batch);
    aeor_address_node(&work->batch, value, entry.value_length, work->hash);
    aeor_blake3_flush(&work->batch);
    return memcmp(work->hash, folder, AEOR_HASH) == 0;
}

static int place_work(void *context) {
    struct placing *work = context;
    const uint8_t *place = work->places;
    for (uint64_t i = 0; i < work->count; i++, place += 2 * AEOR_HASH + 8) {
        struct aeor_hit hit = {0};
        uint64_t slot;
        int code = aeor_index_slot(work->verify->index, place, false, &hit, &slot);
        if (code == AEOR_OK && leads_to(work, &hit, place + AEOR_HASH)) {
            aeor_bit_set(work->verify->paths, slot);
        } else {
            aeor_rows_add(&work->rows, AEOR_FOUND_PATH, hit.offset, i, AEOR_TYPE_DIRECTORY, 0, 0,
                          place);
        }
    }
    return AEOR_OK;
}

int aeor_verify_places(const struct aeor_verify *verify, const uint8_t *places, uint64_t count,
                       struct aeor_verify_row *rows, uint64_t capacity,
                       struct aeor_verify_sums *sums) {
    struct placing *work = malloc(sizeof *work);
    if (work == NULL) return AEOR_ERR_MEMORY;
    memset(sums, 0, sizeof *sums);
    work->verify = verify;
    work->places = places;
    work->count = count;
    work->rows = (struct aeor_rows){rows, capacity, sums};
    int code = aeor_guarded(verify->index->map, verify->index->map_length, place_work, work);
    free(work);
    return code;
}
