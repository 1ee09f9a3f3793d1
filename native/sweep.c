#include "sweep.h"

#include <unistd.h>

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

/* Adds deleted records for what of a page is not marked, and not overlaid by a table. */
static int add_garbage(const struct aeor_index *index, const uint32_t *marks, uint64_t page,
                       uint8_t *image, uint32_t count, struct aeor_bytes *records) {
    int code = AEOR_OK;
    for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
        const uint8_t *entry = aeor_page_entry(image, at);
        uint8_t record[AEOR_RECORD] = {1};
        if (is_set(marks, page * AEOR_PAGE_ENTRIES + at) || aeor_index_overlaid(index, entry)) {
            continue;
        }
        memcpy(record + 1, entry, AEOR_PAGE_ENTRY);
        record[AEOR_RECORD_KV] |= AEOR_KV_DELETED;
        code = aeor_bytes_add(records, record, sizeof record);
    }
    return code;
}

/* The waiting records of one page, from *used on. */
static int add_waiting(const struct aeor_index *index, uint64_t page, const uint8_t *waiting,
                       uint64_t count, uint64_t *used, bool *drops, struct aeor_bytes *records) {
    int code = AEOR_OK;
    for (; *used < count && code == AEOR_OK; ++*used) {
        const uint8_t *record = waiting + *used * AEOR_RECORD;
        if (aeor_page_of(record + AEOR_RECORD_KEY, index->pages) != page) break;
        *drops |= (record[AEOR_RECORD_KV] & AEOR_KV_DELETED) != 0;
        code = aeor_bytes_add(records, record, AEOR_RECORD);
    }
    return code;
}

int aeor_sweep_drop(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                    uint64_t last, uint64_t most, const uint8_t *waiting, uint64_t waiting_count,
                    uint64_t *used, uint64_t *next, bool *drops, struct aeor_checkpoint *result,
                    struct aeor_fault *fault) {
    struct aeor_bytes records = {0};
    uint8_t image[AEOR_PAGE];
    uint64_t held = 0, page = first;
    uint32_t count;
    int code = AEOR_OK;
    *used = 0;
    *drops = false;
    for (; page < last && page < index->pages && held < most; page++) {
        records.length = 0;
        code = aeor_index_page(index, page, image, &count);
        if (code != AEOR_OK) break;
        if (!aeor_index_covered(index, page)) {
            code = add_garbage(index, marks, page, image, count, &records);
        }
        if (records.length) held += count, *drops = true;
        if (code == AEOR_OK) {
            code = add_waiting(index, page, waiting, waiting_count, used, drops, &records);
        }
        if (code == AEOR_OK && records.length) {
            code = aeor_page_drop(page, index->pages, image, count, records.data,
                                  (uint32_t)(records.length / AEOR_RECORD), result);
        }
        if (code != AEOR_OK) break;
    }
    aeor_bytes_free(&records);
    *next = page;
    return code == AEOR_OK ? code : fail(fault, code, NULL, 0, page);
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

enum { LENGTH_BITS = 24, LENGTH_MAX = (1 << LENGTH_BITS) - 1, PLACE_BITS = 64 - LENGTH_BITS };

struct gathering {
    struct aeor_gather *gather;
    struct aeor_bytes *large;
};

static int gather_entry(void *context, bool marked, const uint8_t *key,
                        const uint8_t *behind_key) {
    struct gathering *gathering = context;
    struct aeor_gather *gather = gathering->gather;
    struct aeor_range range = {aeor_get64(behind_key + 1), aeor_get32(behind_key + 9)};
    uint64_t bin = (range.offset - gather->start) / gather->width - gather->first;
    (void)marked, (void)key;
    if (bin >= gather->bins || (range.offset - gather->low) >> PLACE_BITS) {
        return AEOR_ERR_ARGUMENT;
    }
    uint64_t at = __atomic_fetch_add(gather->next + bin, 1, __ATOMIC_RELAXED);
    if (at >= gather->ends[bin]) return AEOR_ERR_ARGUMENT;
    uint64_t length = range.length < LENGTH_MAX ? range.length : LENGTH_MAX;
    gather->items[at] = (range.offset - gather->low) << LENGTH_BITS | length;
    return length < LENGTH_MAX ? AEOR_OK : aeor_bytes_add(gathering->large, &range, sizeof range);
}

int aeor_sweep_extents(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                       uint64_t last, struct aeor_gather *gather, struct aeor_bytes *large,
                       struct aeor_fault *fault) {
    struct gathering gathering = {gather, large};
    uint64_t end = gather->low + gather->bins * gather->width;
    struct visiting visiting = {index,       marks,   fault,        true,
                                gather->low, end - 1, gather_entry, &gathering};
    if (gather->bins == 0) return AEOR_OK;
    int code = visit_pages(&visiting, first, last);
    return code == AEOR_OK && first == 0 ? visit_tables(&visiting) : code;
}

/* In place, by eight bits at a time; never deeper than eight calls. */
static void sort_places(uint64_t *items, uint64_t count, int shift) {
    uint64_t starts[257] = {0}, ends[256];
    if (count <= 32 || shift < 0) {
        for (uint64_t i = 1; i < count; i++) {
            uint64_t item = items[i], at = i;
            for (; at > 0 && items[at - 1] > item; at--) items[at] = items[at - 1];
            items[at] = item;
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) starts[(items[i] >> shift & 0xff) + 1]++;
    for (int b = 0; b < 256; b++) starts[b + 1] += starts[b];
    memcpy(ends, starts, sizeof ends);
    for (int b = 0; b < 256; b++) {
        while (ends[b] < starts[b + 1]) {
            uint64_t item = items[ends[b]];
            int home = (int)(item >> shift & 0xff);
            items[ends[b]] = items[ends[home]];
            items[ends[home]++] = item;
        }
    }
    for (int b = 0; b < 256 && shift > 0; b++) {
        sort_places(items + starts[b], starts[b + 1] - starts[b], shift > 8 ? shift - 8 : 0);
    }
}

uint64_t aeor_sweep_order(struct aeor_gather *gather) {
    uint64_t total = 0;
    for (uint64_t bin = 0; bin < gather->bins; bin++) {
        uint64_t start = bin ? gather->ends[bin - 1] : 0, differ = 0;
        uint64_t *items = gather->items + start, count = gather->next[bin] - start;
        for (uint64_t i = 1; i < count; i++) differ |= items[i] ^ items[0];
        int bits = differ ? 64 - __builtin_clzll(differ) : 0;
        sort_places(items, count, bits > 8 ? bits - 8 : 0);
        memmove(gather->items + total, items, count * sizeof *items);
        total += count;
    }
    return total;
}

static uint64_t length_of(uint64_t offset, uint64_t length, const struct aeor_range *large,
                          uint64_t count) {
    uint64_t low = 0;
    if (length < LENGTH_MAX) return length;
    while (low < count) { /* the first one at the offset or behind it */
        uint64_t middle = low + (count - low) / 2;
        if (large[middle].offset < offset) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return large[low].length;
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

int aeor_sweep_rooms(const uint8_t *map, uint64_t map_length, uint64_t low, const uint64_t *items,
                     uint64_t count, const struct aeor_range *large, uint64_t large_count,
                     uint64_t *at, uint64_t limit, const uint8_t *voids, uint64_t void_count,
                     struct aeor_room *rooms, uint64_t *found) {
    *found = 0;
    for (uint64_t i = 0; i <= count; i++) {
        uint64_t offset = i < count ? low + (items[i] >> LENGTH_BITS) : limit;
        if (offset > *at) {
            struct aeor_room *room = rooms + *found;
            *room = (struct aeor_room){.offset = *at, .end = offset};
            int code = look(map, map_length, voids, void_count, room);
            if (code != AEOR_OK) return code;
            ++*found;
        }
        if (i == count) break;
        uint64_t end = offset + length_of(offset, items[i] & LENGTH_MAX, large, large_count);
        if (end > *at) *at = end;
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
    uint8_t image[AEOR_SMALL_ROOM] = {0};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length = ranges[i].length;
        if (length < AEOR_ENTRY_START || length > AEOR_SMALL_ROOM) return i;
        uint8_t *header = headers + length * 64;
        /* A header begins with its magic: zeros are none yet. */
        if (header[0] == 0 && aeor_void_header(length, header) != AEOR_OK) return i;
        memcpy(image, header, AEOR_ENTRY_START);
        if (pwrite(fd, image, length, (off_t)ranges[i].offset) != (ssize_t)length) return i;
    }
    return count;
}
