#include "page.h"

#include <stdlib.h>
#include <unistd.h>

#include "crc32.h"
#include "map.h"
#include "table.h"

int aeor_bytes_add(struct aeor_bytes *bytes, const void *data, uint64_t length) {
    if (length == 0) return AEOR_OK;
    if (length > bytes->capacity - bytes->length) {
        uint64_t wanted = bytes->length + length;
        if (wanted < length || wanted > SIZE_MAX / 2) return AEOR_ERR_MEMORY;
        wanted += wanted / 2 + 256;
        uint8_t *grown = realloc(bytes->data, (size_t)wanted);
        if (grown == NULL) return AEOR_ERR_MEMORY;
        bytes->data = grown;
        bytes->capacity = wanted;
    }
    memcpy(bytes->data + bytes->length, data, (size_t)length);
    bytes->length += length;
    return AEOR_OK;
}

void aeor_bytes_free(struct aeor_bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

void aeor_checkpoint_free(struct aeor_checkpoint *result) {
    aeor_bytes_free(&result->numbers);
    aeor_bytes_free(&result->images);
    aeor_bytes_free(&result->leads);
    aeor_bytes_free(&result->overflow);
}

uint64_t aeor_page_of(const uint8_t *key, uint64_t pages) {
    uint64_t first = 0;
    for (int i = 0; i < 8; i++) first = first << 8 | key[i];
    /* The format fixes these three roundings; volatile makes each happen, in IEEE doubles. */
    volatile double place = (double)first;
    volatile double share = place / (double)UINT64_MAX;
    volatile double product = share * (double)pages;
    uint64_t page = (uint64_t)product;
    return page < pages ? page : pages - 1;
}

static uint32_t page_crc(const uint8_t image[AEOR_PAGE]) {
    static const uint8_t zeros[4];
    uint32_t crc = aeor_crc32(image, 4, 0);
    crc = aeor_crc32(zeros, sizeof zeros, crc);
    return aeor_crc32(image + 8, AEOR_PAGE - 8, crc);
}

int aeor_page_load(const uint8_t *map, uint64_t map_length, uint64_t kv_offset, uint64_t pages,
                   uint64_t page, uint8_t image[AEOR_PAGE], uint32_t *count) {
    if (page >= pages || kv_offset > map_length ||
        (map_length - kv_offset) / AEOR_PAGE <= page) {
        return AEOR_ERR_PAGE;
    }
    int code = aeor_map_copy(image, map, map_length, kv_offset + page * AEOR_PAGE, AEOR_PAGE);
    if (code != AEOR_OK) return code;
    *count = aeor_get16(image + 8);
    if (aeor_get32(image) == 0 && *count == 0) {
        memset(image, 0, AEOR_PAGE);
        return AEOR_OK;
    }
    if (aeor_get32(image) != AEOR_PAGE_MAGIC || *count > AEOR_PAGE_ENTRIES ||
        aeor_get32(image + 4) != page_crc(image)) {
        return AEOR_ERR_PAGE;
    }
    return AEOR_OK;
}

void aeor_page_seal(uint8_t image[AEOR_PAGE], uint32_t count) {
    uint8_t *end = aeor_page_entry(image, count);
    memset(end, 0, (size_t)(image + AEOR_PAGE - end));
    aeor_put32(image, AEOR_PAGE_MAGIC);
    aeor_put16(image + 8, (uint16_t)count);
    aeor_put32(image + 4, page_crc(image));
}

int aeor_pages_mark(const uint8_t *records, uint64_t count, uint64_t pages, uint8_t *bitmap) {
    if (pages == 0) return AEOR_ERR_ARGUMENT;
    for (uint64_t i = 0; i < count; i++, records += AEOR_RECORD) {
        uint64_t page = aeor_page_of(records + AEOR_RECORD_KEY, pages);
        bitmap[page / 8] |= (uint8_t)(1u << page % 8);
    }
    return AEOR_OK;
}

int aeor_pages_overflow(const uint8_t *records, uint64_t count, uint64_t pages,
                        uint64_t *overflow) {
    if (pages == 0 || pages > UINT32_MAX) return AEOR_ERR_ARGUMENT;
    uint32_t *counts = calloc((size_t)pages, sizeof *counts);
    if (counts == NULL) return AEOR_ERR_MEMORY;
    *overflow = 0;
    for (uint64_t i = 0; i < count; i++, records += AEOR_RECORD) {
        if (records[AEOR_RECORD_KV] & AEOR_KV_DELETED) continue;
        uint32_t *taken = counts + aeor_page_of(records + AEOR_RECORD_KEY, pages);
        if (*taken < AEOR_PAGE_ENTRIES) {
            ++*taken;
        } else {
            ++*overflow;
        }
    }
    free(counts);
    return AEOR_OK;
}

/* Numbers of the records sorted by page, stably; ends[p] is where page p's numbers end. */
static int sort_by_page(const uint8_t *records, uint64_t count, uint64_t pages, uint32_t *ends,
                        uint32_t *order) {
    uint32_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        ends[aeor_page_of(records + i * AEOR_RECORD + AEOR_RECORD_KEY, pages)]++;
    }
    for (uint64_t page = 0; page < pages; page++) {
        uint32_t here = ends[page];
        ends[page] = sum;
        sum += here;
    }
    for (uint64_t i = 0; i < count; i++) {
        order[ends[aeor_page_of(records + i * AEOR_RECORD + AEOR_RECORD_KEY, pages)]++] =
            (uint32_t)i;
    }
    return AEOR_OK;
}

static int add_record(struct aeor_bytes *bytes, const uint8_t *entry, uint8_t flags) {
    uint8_t record[AEOR_RECORD];
    record[0] = 1;
    memcpy(record + 1, entry, AEOR_PAGE_ENTRY);
    record[AEOR_RECORD_KV] |= flags;
    return aeor_bytes_add(bytes, record, sizeof record);
}

static int add_page(struct aeor_checkpoint *result, uint64_t page, uint8_t image[AEOR_PAGE],
                    uint32_t count, bool images) {
    uint32_t number = (uint32_t)page;
    int code = aeor_bytes_add(&result->numbers, &number, sizeof number);
    if (code != AEOR_OK || !images) return code;
    aeor_page_seal(image, count);
    return aeor_bytes_add(&result->images, image, AEOR_PAGE);
}

/* Merges the records with these numbers (NULL: all) into one page, and adds all about it to the
 * result. */
static int merge_page(uint64_t page, uint8_t image[AEOR_PAGE], uint32_t count,
                      const uint8_t *records, const uint32_t *numbers, uint32_t length, bool drops,
                      bool images, struct aeor_checkpoint *result) {
    uint8_t left[AEOR_PAGE];
    uint32_t left_count = 0;
    int code = AEOR_OK;
    for (uint32_t i = 0; i < length && drops; i++) {
        const uint8_t *record = records + (uint64_t)(numbers ? numbers[i] : i) * AEOR_RECORD;
        uint32_t at = aeor_page_find(image, count, record + AEOR_RECORD_KEY);
        /* The newest word about an entry decides whether it leaves. */
        if (at < count) memcpy(aeor_page_entry(image, at), record + 1, AEOR_PAGE_ENTRY);
    }
    if (drops) {
        uint32_t kept = 0;
        for (uint32_t at = 0; at < count; at++) {
            uint8_t *entry = aeor_page_entry(image, at);
            bool leaves = entry[AEOR_HASH] & AEOR_KV_DELETED;
            memmove(leaves ? aeor_page_entry(left, left_count++) : aeor_page_entry(image, kept++),
                    entry, AEOR_PAGE_ENTRY);
        }
        count = kept;
    }
    for (uint32_t i = 0; i < length && code == AEOR_OK; i++) {
        const uint8_t *record = records + (uint64_t)(numbers ? numbers[i] : i) * AEOR_RECORD;
        uint32_t at = aeor_page_find(image, count, record + AEOR_RECORD_KEY);
        if (at == count) {
            if (record[AEOR_RECORD_KV] & AEOR_KV_DELETED) continue; /* nothing to hide */
            if (count == AEOR_PAGE_ENTRIES) {
                code = aeor_bytes_add(&result->overflow, record, AEOR_RECORD);
                continue;
            }
            count++;
        }
        memcpy(aeor_page_entry(image, at), record + 1, AEOR_PAGE_ENTRY);
    }
    for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
        code = add_record(&result->leads, aeor_page_entry(image, at), 0);
    }
    for (uint32_t at = 0; at < left_count && code == AEOR_OK; at++) {
        code = add_record(&result->leads, aeor_page_entry(left, at), AEOR_KV_DELETED);
    }
    /* A page that was empty and stays so has no lead record to make it from, and needs none. */
    if (code != AEOR_OK || count + left_count == 0) return code;
    return add_page(result, page, image, count, images);
}

/* A replay finds each record's page by its key, and a table holds a key once: an entry that no
 * lookup can find, or a key that stands twice, must not get among the leads. */
static bool keys_fit(const uint8_t *image, uint32_t count, uint64_t page, uint64_t pages) {
    const uint8_t *entry = image + AEOR_PAGE_HEADER;
    for (uint32_t at = 0; at < count; at++, entry += AEOR_PAGE_ENTRY) {
        if (aeor_page_of(entry, pages) != page || aeor_page_find(image, at, entry) != at) {
            return false;
        }
    }
    return true;
}

int aeor_page_drop(uint64_t page, uint64_t pages, uint8_t image[AEOR_PAGE], uint32_t count,
                   const uint8_t *records, uint32_t length, struct aeor_checkpoint *result) {
    result->bad_page = page;
    if (!keys_fit(image, count, page, pages)) return AEOR_ERR_PAGE;
    return merge_page(page, image, count, records, NULL, length, true, false, result);
}

static int merge_pages(const uint8_t *map, uint64_t map_length, uint64_t kv_offset, uint64_t pages,
                       const uint8_t *records, const uint32_t *order, const uint32_t *ends,
                       bool drops, bool images, struct aeor_checkpoint *result) {
    uint8_t image[AEOR_PAGE];
    uint32_t start = 0;
    for (uint64_t page = 0; page < pages; start = ends[page], page++) {
        uint32_t count = 0;
        int code = AEOR_OK;
        if (ends[page] == start) continue;
        result->bad_page = page;
        if (map != NULL) {
            code = aeor_page_load(map, map_length, kv_offset, pages, page, image, &count);
        }
        if (code == AEOR_OK && !keys_fit(image, count, page, pages)) code = AEOR_ERR_PAGE;
        if (code == AEOR_OK) {
            code = merge_page(page, image, count, records, order + start, ends[page] - start, drops,
                              images, result);
        }
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

int aeor_checkpoint(const uint8_t *map, uint64_t map_length, uint64_t kv_offset, uint64_t pages,
                    const uint8_t *records, uint64_t count, bool drops, bool images,
                    struct aeor_checkpoint *result) {
    if (pages == 0 || pages > UINT32_MAX || count > UINT32_MAX) return AEOR_ERR_ARGUMENT;
    uint32_t *ends = calloc((size_t)pages, sizeof *ends);
    uint32_t *order = calloc((size_t)count + 1, sizeof *order);
    int code = ends && order ? sort_by_page(records, count, pages, ends, order) : AEOR_ERR_MEMORY;
    if (code == AEOR_OK) {
        code = merge_pages(map, map_length, kv_offset, pages, records, order, ends, drops, images,
                           result);
    }
    free(ends);
    free(order);
    return code;
}

int aeor_checkpoint_replay(const uint8_t *leads, uint64_t count, uint64_t pages, bool drops,
                           uint64_t limit, uint64_t *used, struct aeor_checkpoint *result) {
    uint8_t image[AEOR_PAGE];
    uint64_t i = 0, least = 0;
    if (pages == 0 || pages > UINT32_MAX) return AEOR_ERR_ARGUMENT;
    for (; i < count && limit > 0; limit--) {
        uint32_t filled = 0;
        uint64_t page = aeor_page_of(leads + i * AEOR_RECORD + AEOR_RECORD_KEY, pages);
        result->bad_page = page;
        if (page < least) return AEOR_ERR_PAGE; /* not in page order: no leads of ours */
        least = page + 1;
        for (; i < count; i++) {
            const uint8_t *record = leads + i * AEOR_RECORD;
            if (aeor_page_of(record + AEOR_RECORD_KEY, pages) != page) break;
            if (drops && (record[AEOR_RECORD_KV] & AEOR_KV_DELETED)) continue;
            if (filled == AEOR_PAGE_ENTRIES) return AEOR_ERR_PAGE;
            memcpy(aeor_page_entry(image, filled++), record + 1, AEOR_PAGE_ENTRY);
        }
        int code = add_page(result, page, image, filled, true);
        if (code != AEOR_OK) return code;
    }
    *used = i;
    return AEOR_OK;
}

uint64_t aeor_pages_write(int fd, uint64_t kv_offset, const uint32_t *numbers,
                          const uint8_t *images, uint64_t count) {
    for (uint64_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && numbers[end] == numbers[end - 1] + 1; end++) continue;
        size_t length = (size_t)(end - start) * AEOR_PAGE;
        off_t at = (off_t)(kv_offset + (uint64_t)numbers[start] * AEOR_PAGE);
        if (pwrite(fd, images + start * AEOR_PAGE, length, at) != (ssize_t)length) return start;
    }
    return count;
}
