#include "index.h"

#include <time.h>

#include "blake3.h"
#include "entry.h"
#include "map.h"
#include "table.h"

bool aeor_voids_rise(const uint8_t *voids, uint64_t count) {
    uint64_t end = 0;
    for (uint64_t i = 0; i < count; i++, voids += 16) {
        if (aeor_get64(voids) < end || aeor_get64(voids + 8) <= aeor_get64(voids)) return false;
        end = aeor_get64(voids + 8);
    }
    return true;
}

bool aeor_voids_meet(const uint8_t *voids, uint64_t count, uint64_t offset, uint64_t length) {
    uint64_t low = 0, high = count;
    uint64_t end = length <= UINT64_MAX - offset ? offset + length : UINT64_MAX;
    while (low < high) { /* the first void that ends behind the offset */
        uint64_t middle = low + (high - low) / 2;
        if (aeor_get64(voids + 16 * middle + 8) > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < count && aeor_get64(voids + 16 * low) < end;
}

static bool in_void(const struct aeor_index *index, uint64_t offset, uint64_t length) {
    return aeor_voids_meet(index->voids, index->void_count, offset, length);
}

static bool page_covered(const struct aeor_index *index, uint64_t page) {
    return index->no_pages || (index->covered && (index->covered[page / 8] >> page % 8 & 1));
}

/* The record of the first table that knows the key, or NULL. */
static const uint8_t *table_record(const struct aeor_index *index, const uint8_t *key,
                                   uint32_t tables) {
    for (uint32_t i = 0; i < tables; i++) {
        int64_t number = aeor_table_find(index->tables[i], key);
        if (number >= 0) return index->tables[i]->records + number * AEOR_RECORD;
    }
    return NULL;
}

/* Takes over what stands behind the key in a record or a page's entry. */
static int answer(const uint8_t *behind_key, struct aeor_hit *hit) {
    hit->kv = behind_key[0];
    hit->offset = aeor_get64(behind_key + 1);
    hit->total_length = aeor_get32(behind_key + 9);
    return hit->kv & AEOR_KV_DELETED ? AEOR_ABSENT : AEOR_OK;
}

int aeor_index_find(const struct aeor_index *index, const uint8_t *key, struct aeor_hit *hit) {
    uint8_t image[AEOR_PAGE];
    uint32_t count, at;
    const uint8_t *record = table_record(index, key, index->table_count);
    hit->offset = hit->total_length = 0;
    if (record != NULL) return answer(record + AEOR_RECORD_KV, hit);
    if (index->no_pages || index->pages == 0) return AEOR_ABSENT;
    uint64_t page = aeor_page_of(key, index->pages);
    if (page_covered(index, page)) return AEOR_ABSENT;
    hit->page = page;
    int code = aeor_page_load(index->map, index->map_length, index->kv_offset, index->pages, page,
                              image, &count);
    if (code != AEOR_OK) return code;
    at = aeor_page_find(image, count, key);
    if (at == count) return AEOR_ABSENT;
    code = answer(aeor_page_entry(image, at) + AEOR_HASH, hit);
    return code == AEOR_OK && in_void(index, hit->offset, hit->total_length) ? AEOR_ABSENT : code;
}

uint64_t aeor_index_slots(const struct aeor_index *index) {
    uint64_t slots = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    for (uint32_t i = 0; i < index->table_count; i++) slots += index->tables[i]->count;
    return slots;
}

enum { PAGE_TRIES = 50 };

int aeor_index_page(const struct aeor_index *index, uint64_t page, uint8_t image[AEOR_PAGE],
                    uint32_t *count) {
    static const struct timespec moment = {.tv_nsec = 1000000};
    int code = AEOR_ERR_PAGE;
    for (int i = 0; i < PAGE_TRIES && code == AEOR_ERR_PAGE; i++) {
        if (i > 0) nanosleep(&moment, NULL);
        code = aeor_page_load(index->map, index->map_length, index->kv_offset, index->pages, page,
                              image, count);
    }
    return code;
}

struct searching {
    const uint8_t *page, *key;
    uint32_t position;
    uint8_t behind_key[AEOR_PAGE_ENTRY - AEOR_HASH];
};

static int search_work(void *context) {
    struct searching *work = context;
    uint32_t count = aeor_get16(work->page + 8);
    const uint8_t *entry = work->page + AEOR_PAGE_HEADER;
    uint64_t first = aeor_get64(work->key);
    for (uint32_t at = 0; at < count && at < AEOR_PAGE_ENTRIES; at++, entry += AEOR_PAGE_ENTRY) {
        if (aeor_get64(entry) == first && memcmp(entry, work->key, AEOR_HASH) == 0) {
            work->position = at;
            memcpy(work->behind_key, entry + AEOR_HASH, sizeof work->behind_key);
            return AEOR_OK;
        }
    }
    return AEOR_ABSENT;
}

/* Looks for the key in its page as it lies in the map. */
static int search_page(const struct aeor_index *index, uint64_t page, struct searching *work) {
    if (index->kv_offset > index->map_length ||
        (index->map_length - index->kv_offset) / AEOR_PAGE <= page) {
        return AEOR_ERR_PAGE;
    }
    work->page = index->map + index->kv_offset + page * AEOR_PAGE;
    return aeor_guarded(work->page, AEOR_PAGE, search_work, work);
}

int aeor_index_slot(const struct aeor_index *index, const uint8_t *key, bool checked,
                    struct aeor_hit *hit, uint64_t *slot) {
    uint8_t image[AEOR_PAGE];
    uint32_t count, at;
    hit->offset = hit->total_length = 0;
    *slot = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    for (uint32_t i = 0; i < index->table_count; i++) {
        int64_t number = aeor_table_find(index->tables[i], key);
        if (number >= 0) {
            *slot += (uint64_t)number;
            return answer(index->tables[i]->records + number * AEOR_RECORD + AEOR_RECORD_KV, hit);
        }
        *slot += index->tables[i]->count;
    }
    if (index->no_pages || index->pages == 0) return AEOR_ABSENT;
    uint64_t page = aeor_page_of(key, index->pages);
    if (page_covered(index, page)) return AEOR_ABSENT;
    hit->page = page;
    if (!checked) {
        struct searching work = {.key = key};
        if (search_page(index, page, &work) == AEOR_OK &&
            answer(work.behind_key, hit) == AEOR_OK &&
            !in_void(index, hit->offset, hit->total_length)) {
            *slot = page * AEOR_PAGE_ENTRIES + work.position;
            return AEOR_OK;
        }
    }
    int code = aeor_index_page(index, page, image, &count);
    if (code != AEOR_OK) return code;
    at = aeor_page_find(image, count, key);
    if (at == count) return AEOR_ABSENT;
    *slot = page * AEOR_PAGE_ENTRIES + at;
    code = answer(aeor_page_entry(image, at) + AEOR_HASH, hit);
    return code == AEOR_OK && in_void(index, hit->offset, hit->total_length) ? AEOR_ABSENT : code;
}

bool aeor_index_overlaid(const struct aeor_index *index, const uint8_t *key) {
    return table_record(index, key, index->table_count) != NULL;
}

bool aeor_index_covered(const struct aeor_index *index, uint64_t page) {
    return page_covered(index, page);
}

bool aeor_index_counts(const struct aeor_index *index, const uint8_t *entry) {
    return !(entry[AEOR_HASH] & AEOR_KV_DELETED) &&
           !in_void(index, aeor_get64(entry + AEOR_HASH + 1), aeor_get32(entry + AEOR_HASH + 9)) &&
           !aeor_index_overlaid(index, entry);
}

void aeor_index_prefetch(const struct aeor_index *index, const uint8_t *key) {
    enum { LINE = 64, LINES = 16 }; /* as far as most pages are filled */
    if (index->no_pages || index->pages == 0) return;
    uint64_t page = aeor_page_of(key, index->pages);
    if (index->kv_offset > index->map_length ||
        (index->map_length - index->kv_offset) / AEOR_PAGE <= page) {
        return;
    }
    const uint8_t *image = index->map + index->kv_offset + page * AEOR_PAGE;
    for (int i = 0; i < LINES; i++) __builtin_prefetch(image + i * LINE);
}

const uint8_t *aeor_index_record(const struct aeor_index *index, uint64_t slot) {
    uint64_t paged = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    if (slot < paged) return NULL;
    slot -= paged;
    for (uint32_t i = 0; i < index->table_count; i++) {
        if (slot < index->tables[i]->count) return index->tables[i]->records + slot * AEOR_RECORD;
        slot -= index->tables[i]->count;
    }
    return NULL;
}

int aeor_index_key(const struct aeor_index *index, uint64_t slot, uint8_t key[AEOR_HASH]) {
    const uint8_t *record = aeor_index_record(index, slot);
    if (record != NULL) {
        memcpy(key, record + AEOR_RECORD_KEY, AEOR_HASH);
        return AEOR_OK;
    }
    uint64_t page = slot / AEOR_PAGE_ENTRIES;
    if (index->no_pages || page >= index->pages) return AEOR_ERR_ARGUMENT;
    /* Pages lie in the map as far as one was loaded; the copy is bounded in any case. */
    uint64_t within = page * AEOR_PAGE + AEOR_PAGE_HEADER +
                      slot % AEOR_PAGE_ENTRIES * AEOR_PAGE_ENTRY;
    if (index->kv_offset > UINT64_MAX - within) return AEOR_ERR_BOUNDS;
    return aeor_map_copy(key, index->map, index->map_length, index->kv_offset + within, AEOR_HASH);
}

int aeor_index_has(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                   bool *there, struct aeor_hit *hit) {
    for (uint64_t i = 0; i < count; i++, keys += AEOR_HASH) {
        int code = aeor_index_find(index, keys, hit);
        if (code != AEOR_OK && code != AEOR_ABSENT) return code;
        there[i] = code == AEOR_OK;
    }
    return AEOR_OK;
}

int aeor_index_find_many(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                         uint8_t *records, struct aeor_hit *hit) {
    for (uint64_t i = 0; i < count; i++, keys += AEOR_HASH, records += AEOR_RECORD) {
        int code = aeor_index_find(index, keys, hit);
        if (code == AEOR_OK) {
            aeor_record_write(records, keys, hit->kv, hit->offset, hit->total_length);
        } else if (code == AEOR_ABSENT) {
            memset(records, 0, AEOR_RECORD);
        } else {
            return code;
        }
    }
    return AEOR_OK;
}

int aeor_index_read(const struct aeor_index *index, const uint8_t *key, uint8_t *scratch,
                    uint64_t capacity, struct aeor_hit *hit) {
    struct aeor_entry entry;
    uint8_t hash[AEOR_HASH], *start = scratch + AEOR_ENTRY_START;
    int code = aeor_index_find(index, key, hit);
    if (code != AEOR_OK) return code;
    if (hit->total_length < AEOR_ENTRY_START + AEOR_HASH) return AEOR_ERR_ENTRY_LENGTHS;
    if (!aeor_inside(hit->offset, hit->total_length, index->map_length)) {
        return AEOR_ERR_ENTRY_BOUNDS;
    }
    if (hit->total_length > capacity) {
        code = aeor_entry_header(index->map, index->map_length, hit->offset, hit->total_length,
                                 &entry);
        hit->value_length = entry.value_length;
        return code == AEOR_OK ? AEOR_LARGE : code;
    }
    code = aeor_map_copy(scratch, index->map, index->map_length, hit->offset, hit->total_length);
    if (code == AEOR_OK) code = aeor_entry_parse(scratch, hit->offset, &entry);
    if (code != AEOR_OK) return code;
    if (entry.total_length != hit->total_length) return AEOR_ERR_ENTRY_LENGTHS;
    if (entry.key_length != AEOR_HASH || memcmp(start, key, AEOR_HASH) != 0) {
        return AEOR_ERR_ENTRY_KEY;
    }
    memcpy(hash, scratch + AEOR_ENTRY_HEADER, AEOR_HASH);
    start[-1] = entry.type; /* over the stored hash's last byte: now all that is hashed adjoins */
    uint8_t actual[AEOR_HASH];
    aeor_blake3(start - 1, 1 + AEOR_HASH + (uint64_t)entry.value_length, actual);
    if (memcmp(hash, actual, AEOR_HASH) != 0) return AEOR_ERR_ENTRY_HASH;
    hit->time = entry.time;
    hit->type = entry.type;
    hit->version = entry.version;
    hit->flags = entry.flags;
    hit->compression = entry.compression;
    hit->value_at = AEOR_ENTRY_START + AEOR_HASH;
    hit->value_length = entry.value_length;
    return AEOR_OK;
}

/* The bytes of a plain chunk; false if it is none, is bad or does not fit. The key asked for covers
 * all that the integrity hash does: it is the entry's key, the type is known, and the address is made
 * of the value. So one pass over the bytes checks both. */
static bool read_chunk(const struct aeor_index *index, const uint8_t *key, uint8_t *out,
                       uint64_t capacity, uint32_t *length) {
    static const uint8_t prefix[] = {'c', 'h', 'u', 'n', 'k', ':'};
    struct aeor_hit hit;
    struct aeor_entry entry;
    aeor_blake3_hasher hasher;
    uint8_t frame[AEOR_ENTRY_START + AEOR_HASH], address[AEOR_HASH];
    if (aeor_index_find(index, key, &hit) != AEOR_OK || hit.total_length < sizeof frame ||
        !aeor_inside(hit.offset, hit.total_length, index->map_length) ||
        aeor_map_copy(frame, index->map, index->map_length, hit.offset, sizeof frame) != AEOR_OK ||
        aeor_entry_parse(frame, hit.offset, &entry) != AEOR_OK) {
        return false;
    }
    if (entry.total_length != hit.total_length || entry.key_length != AEOR_HASH ||
        memcmp(frame + AEOR_ENTRY_START, key, AEOR_HASH) != 0 || entry.type != AEOR_TYPE_CHUNK ||
        entry.compression != 0 || entry.value_length > capacity) {
        return false;
    }
    if (aeor_map_copy(out, index->map, index->map_length, hit.offset + sizeof frame,
                      entry.value_length) != AEOR_OK) {
        return false;
    }
    aeor_blake3_init(&hasher);
    *length = entry.value_length;
    return aeor_blake3_update(&hasher, prefix, sizeof prefix) == AEOR_OK &&
           aeor_blake3_update(&hasher, out, entry.value_length) == AEOR_OK &&
           aeor_blake3_digest(&hasher, address) == AEOR_OK && memcmp(address, key, AEOR_HASH) == 0;
}

uint64_t aeor_index_chunks(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                           uint8_t *out, uint64_t capacity, uint32_t *lengths) {
    uint64_t done = 0;
    for (; done < count; done++) {
        if (!read_chunk(index, keys + done * AEOR_HASH, out, capacity, &lengths[done])) break;
        out += lengths[done];
        capacity -= lengths[done];
    }
    return done;
}

static bool wanted(uint8_t kv, int kv_type) {
    return !(kv & AEOR_KV_DELETED) && (kv_type < 0 || (kv & AEOR_KV_TYPE) == kv_type);
}

int aeor_index_scan_pages(const struct aeor_index *index, uint64_t first, uint64_t last,
                          int kv_type, struct aeor_bytes *records, struct aeor_hit *hit) {
    uint8_t image[AEOR_PAGE], record[AEOR_RECORD];
    uint32_t count;
    if (index->no_pages) return AEOR_OK;
    for (uint64_t page = first; page < last && page < index->pages; page++) {
        if (page_covered(index, page)) continue;
        hit->page = page;
        int code = aeor_page_load(index->map, index->map_length, index->kv_offset, index->pages,
                                  page, image, &count);
        for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
            const uint8_t *entry = aeor_page_entry(image, at);
            bool killed = kv_type == AEOR_SCAN_KILLED;
            if (!killed && !wanted(entry[AEOR_HASH], kv_type)) continue;
            bool dead = in_void(index, aeor_get64(entry + AEOR_HASH + 1),
                                aeor_get32(entry + AEOR_HASH + 9));
            if (dead != killed || table_record(index, entry, index->table_count)) continue;
            record[0] = 1;
            memcpy(record + 1, entry, AEOR_PAGE_ENTRY);
            if (killed) record[AEOR_RECORD_KV] |= AEOR_KV_DELETED;
            code = aeor_bytes_add(records, record, sizeof record);
        }
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

int aeor_index_scan_tables(const struct aeor_index *index, int kv_type,
                           struct aeor_bytes *records) {
    for (uint32_t i = 0; i < index->table_count; i++) {
        const struct aeor_table *table = index->tables[i];
        for (uint64_t number = 0; number < table->count; number++) {
            const uint8_t *record = table->records + number * AEOR_RECORD;
            if (!wanted(record[AEOR_RECORD_KV], kv_type) ||
                table_record(index, record + AEOR_RECORD_KEY, i)) {
                continue;
            }
            int code = aeor_bytes_add(records, record, AEOR_RECORD);
            if (code != AEOR_OK) return code;
        }
    }
    return AEOR_OK;
}
