#include "sweep.h"

#include <sys/uio.h>

#include "entry.h"
#include "frame.h"
#include "map.h"
#include "page.h"
#include "table.h"

static int fail(struct aeor_fault *fault, int code, const uint8_t *key, uint64_t offset,
                uint64_t page) {
    *fault = (struct aeor_fault){code, 0, {0}, offset, page};
    if (key != NULL) memcpy(fault->key, key, AEOR_HASH);
    return code;
}

static bool is_set(const uint32_t *marks, uint64_t slot) {
    return marks[slot / 32] >> slot % 32 & 1;
}

/* Goes through an index: `visit` gets what stands behind a key in each index entry that counts. */
struct visiting {
    const struct aeor_index *index;
    const uint32_t *marks;
    struct aeor_fault *fault;
    bool marked_only;
    uint64_t low, last; /* only entries that begin there */
    int (*visit)(void *context, bool marked, const uint8_t *key, const uint8_t *behind_key);
    void *context;
};

static bool wanted(const struct visiting *visiting, const uint8_t *behind_key) {
    uint64_t offset = aeor_get64(behind_key + 1);
    return offset >= visiting->low && offset <= visiting->last;
}

static int visit_page(struct visiting *visiting, uint64_t page) {
    uint8_t image[AEOR_PAGE];
    uint32_t count;
    if (aeor_index_covered(visiting->index, page)) return AEOR_OK;
    int code = aeor_index_page(visiting->index, page, image, &count);
    if (code != AEOR_OK) return fail(visiting->fault, code, NULL, 0, page);
    for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
        const uint8_t *entry = aeor_page_entry(image, at);
        if (!wanted(visiting, entry + AEOR_HASH)) continue;
        bool marked = visiting->marks == NULL
                          ? aeor_index_counts(visiting->index, entry)
                          : is_set(visiting->marks, page * AEOR_PAGE_ENTRIES + at);
        if (!marked && (visiting->marked_only || !aeor_index_counts(visiting->index, entry))) {
            continue;
        }
        code = visiting->visit(visiting->context, marked, entry, entry + AEOR_HASH);
        if (code != AEOR_OK) fail(visiting->fault, code, entry, 0, page);
    }
    return code;
}

static int visit_pages(struct visiting *visiting, uint64_t first, uint64_t last) {
    uint64_t pages = visiting->index->no_pages ? 0 : visiting->index->pages;
    int code = AEOR_OK;
    for (uint64_t page = first; page < pages && page < last && code == AEOR_OK; page++) {
        if (visiting->marked_only && visiting->marks != NULL && visiting->marks[page] == 0) continue;
        code = visit_page(visiting, page);
    }
    return code;
}

static int visit_tables(struct visiting *visiting) {
    const struct aeor_index *index = visiting->index;
    uint64_t pages = index->no_pages ? 0 : index->pages, slots = aeor_index_slots(index);
    int code = AEOR_OK;
    for (uint64_t slot = pages * AEOR_PAGE_ENTRIES; slot < slots && code == AEOR_OK; slot++) {
        const uint8_t *record = aeor_index_record(index, slot);
        if (!wanted(visiting, record + AEOR_RECORD_KV)) continue;
        bool marked = visiting->marks == NULL ? !(record[AEOR_RECORD_KV] & AEOR_KV_DELETED)
                                              : is_set(visiting->marks, slot);
        if (!marked && (visiting->marked_only || record[AEOR_RECORD_KV] & AEOR_KV_DELETED)) {
            continue;
        }
        code = visiting->visit(visiting->context, marked, record + AEOR_RECORD_KEY,
                               record + AEOR_RECORD_KV);
        if (code != AEOR_OK) fail(visiting->fault, code, record + AEOR_RECORD_KEY, 0, 0);
    }
    return code;
}

struct surveying {
    struct aeor_survey *survey;
    uint64_t start, end;
};

static int survey_entry(void *context, bool marked, const uint8_t *key,
                        const uint8_t *behind_key) {
    struct surveying *surveying = context;
    struct aeor_survey *survey = surveying->survey;
    uint64_t offset = aeor_get64(behind_key + 1);
    uint32_t length = aeor_get32(behind_key + 9);
    (void)key;
    if (!marked) {
        survey->garbage++;
        survey->garbage_bytes += length;
        return AEOR_OK;
    }
    /* Everything that frees room relies on it. */
    if (offset < surveying->start || offset >= surveying->end ||
        length > surveying->end - offset) {
        return AEOR_ERR_ENTRY_BOUNDS;
    }
    survey->live++;
    survey->live_bytes += length;
    survey->bins[(offset - surveying->start) / ((surveying->end - surveying->start) /
                                                    AEOR_SWEEP_BINS + 1)]++;
    return AEOR_OK;
}

int aeor_sweep_survey(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                      uint64_t last, uint64_t start, uint64_t end, struct aeor_survey *survey,
                      struct aeor_fault *fault) {
    struct surveying surveying = {survey, start, end};
    struct visiting visiting = {index, marks, fault, false, 0, UINT64_MAX, survey_entry, &surveying};
    int code = visit_pages(&visiting, first, last);
    return code == AEOR_OK && first == 0 ? visit_tables(&visiting) : code;
}

void aeor_survey_add(struct aeor_survey *survey, const struct aeor_survey *other) {
    survey->live += other->live;
    survey->live_bytes += other->live_bytes;
    survey->garbage += other->garbage;
    survey->garbage_bytes += other->garbage_bytes;
    for (int i = 0; i < AEOR_SWEEP_BINS; i++) survey->bins[i] += other->bins[i];
}

int aeor_sweep_garbage(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                       uint64_t last, uint64_t most, uint64_t *next, struct aeor_bytes *records,
                       struct aeor_fault *fault) {
    uint8_t image[AEOR_PAGE], record[AEOR_RECORD];
    uint64_t held = 0, page = first;
    uint32_t count;
    int code = AEOR_OK;
    record[0] = 1;
    for (; page < last && page < index->pages && held < most && !index->no_pages; page++) {
        bool hit = false;
        if (aeor_index_covered(index, page)) continue;
        code = aeor_index_page(index, page, image, &count);
        for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
            const uint8_t *entry = aeor_page_entry(image, at);
            if (is_set(marks, page * AEOR_PAGE_ENTRIES + at) ||
                aeor_index_overlaid(index, entry)) {
                continue;
            }
            memcpy(record + 1, entry, AEOR_PAGE_ENTRY);
            record[AEOR_RECORD_KV] |= AEOR_KV_DELETED;
            code = aeor_bytes_add(records, record, sizeof record);
            hit = true;
        }
        if (code != AEOR_OK) return fail(fault, code, NULL, 0, page);
        if (hit) held += count;
    }
    *next = page;
    return AEOR_OK;
}

int aeor_sweep_tables(const struct aeor_index *index, const uint32_t *marks,
                      struct aeor_bytes *records) {
    uint64_t slots = aeor_index_slots(index);
    uint64_t slot = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    for (; slot < slots; slot++) {
        uint8_t record[AEOR_RECORD];
        memcpy(record, aeor_index_record(index, slot), sizeof record);
        if (!is_set(marks, slot)) record[AEOR_RECORD_KV] |= AEOR_KV_DELETED;
        int code = aeor_bytes_add(records, record, sizeof record);
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

struct gathering {
    uint64_t count, capacity;
    struct aeor_plan_item *items;
};

static int gather(void *context, bool marked, const uint8_t *key, const uint8_t *behind_key) {
    struct gathering *gathering = context;
    uint64_t offset = aeor_get64(behind_key + 1);
    (void)marked, (void)key;
    if (gathering->count == gathering->capacity || offset >> 55) return AEOR_ERR_ARGUMENT;
    gathering->items[gathering->count++] = (struct aeor_plan_item){
        offset << 8 | (behind_key[0] & AEOR_KV_TYPE), aeor_get32(behind_key + 9), 0};
    return AEOR_OK;
}

int aeor_sweep_extents(const struct aeor_index *index, const uint32_t *marks, uint64_t low,
                       uint64_t high, struct aeor_plan_item *items, uint64_t capacity,
                       uint64_t *count, struct aeor_fault *fault) {
    struct gathering gathering = {0, capacity, items};
    struct visiting visiting = {index, marks, fault, true, low, high - 1, gather, &gathering};
    *count = 0;
    if (high <= low) return AEOR_OK;
    int code = visit_pages(&visiting, 0, UINT64_MAX);
    if (code == AEOR_OK) code = visit_tables(&visiting);
    if (code != AEOR_OK) return code;
    aeor_plan_sort(items, gathering.count);
    *count = gathering.count;
    return AEOR_OK;
}

/* The first listed void that ends behind `offset`: *start and its end, or 0 if there is none. */
static uint64_t listed_end(const uint8_t *voids, uint64_t count, uint64_t offset,
                           uint64_t *start) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (aeor_get64(voids + 16 * middle + 8) > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *start = low < count ? aeor_get64(voids + 16 * low) : UINT64_MAX;
    return low < count ? aeor_get64(voids + 16 * low + 8) : 0;
}

/* Looks at what stands in a room. */
static int look(const uint8_t *map, uint64_t map_length, const uint8_t *voids,
                uint64_t void_count, struct aeor_room *room) {
    uint64_t at = room->offset;
    room->free = 0;
    room->settled = room->deletions = false;
    while (at < room->end) {
        struct aeor_entry entry;
        int code = aeor_entry_header(map, map_length, at, 0, &entry);
        if (code == AEOR_ERR_FAULT) return code;
        bool whole = code == AEOR_OK && entry.total_length <= room->end - at;
        bool is_void = whole && entry.type == AEOR_TYPE_VOID && entry.key_length == 0;
        uint64_t end = whole ? at + entry.total_length : 0;
        room->deletions |= whole && entry.type == AEOR_TYPE_DELETION;
        if (is_void && at == room->offset && end == room->end) room->settled = true;
        uint64_t start, listed = listed_end(voids, void_count, at, &start);
        if (listed > room->end) listed = room->end;
        if (is_void) {
            room->free += end - at;
        } else if (listed > at && start <= at) {
            room->free += listed - at;
            end = listed;
        } else if (!whole) {
            /* Bytes that are no entry, and not free: up to the next listed void. */
            end = start < room->end ? start : room->end;
        }
        at = end;
    }
    return AEOR_OK;
}

int aeor_sweep_rooms(const uint8_t *map, uint64_t map_length, const struct aeor_plan_item *items,
                     uint64_t count, uint64_t *at, uint64_t limit, const uint8_t *voids,
                     uint64_t void_count, struct aeor_room *rooms, uint64_t *found) {
    *found = 0;
    for (uint64_t i = 0; i <= count; i++) {
        uint64_t offset = i < count ? items[i].place >> 8 : limit;
        if (offset > *at) {
            struct aeor_room *room = rooms + *found;
            *room = (struct aeor_room){.offset = *at, .end = offset};
            int code = look(map, map_length, voids, void_count, room);
            if (code != AEOR_OK) return code;
            ++*found;
        }
        if (i < count && offset + items[i].length > *at) *at = offset + items[i].length;
    }
    return AEOR_OK;
}

enum { BLOCK = 4096 };

void aeor_sweep_sort(const struct aeor_room *rooms, uint64_t count, struct aeor_range *ranges,
                     struct aeor_room *special, struct aeor_sorted *sorted) {
    memset(sorted, 0, sizeof *sorted);
    for (uint64_t i = 0; i < count; i++) {
        const struct aeor_room *room = rooms + i;
        uint64_t length = room->end - room->offset;
        sorted->bytes += length;
        sorted->reclaimed += length - room->free;
        if (length < AEOR_ENTRY_START) continue;
        uint64_t block = (room->offset + AEOR_ENTRY_START + BLOCK - 1) / BLOCK * BLOCK;
        if (block + BLOCK > room->end && !room->settled && !room->deletions) {
            ranges[sorted->small++] = (struct aeor_range){room->offset, length};
        } else {
            special[sorted->special++] = *room;
        }
    }
}

uint64_t aeor_ranges_above(const struct aeor_range *ranges, uint64_t count, uint64_t least,
                           struct aeor_range *out) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (ranges[i].length >= least) out[found++] = ranges[i];
    }
    return found;
}

void aeor_ranges_records(const struct aeor_range *ranges, uint64_t count, uint8_t *records) {
    for (uint64_t i = 0; i < count; i++, records += 13) {
        records[0] = 1;
        aeor_put64(records + 1, ranges[i].offset);
        aeor_put32(records + 9, (uint32_t)ranges[i].length);
    }
}

uint64_t aeor_ranges_write(int fd, const struct aeor_range *ranges, uint64_t count,
                           uint8_t *headers) {
    static uint8_t zeros[AEOR_SMALL_ROOM]; /* never written */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length = ranges[i].length;
        if (length < AEOR_ENTRY_START || length > AEOR_SMALL_ROOM) return i;
        uint8_t *header = headers + length * 64;
        /* A header begins with its magic: zeros are none yet. */
        if (header[0] == 0 && aeor_void_header(length, header) != AEOR_OK) return i;
        struct iovec parts[2] = {{header, AEOR_ENTRY_START},
                                 {zeros, (size_t)(length - AEOR_ENTRY_START)}};
        if (pwritev(fd, parts, 2, (off_t)ranges[i].offset) != (ssize_t)length) return i;
    }
    return count;
}
