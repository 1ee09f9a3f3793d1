#include "sweep.h"

#include "page.h"
#include "rooms.h"
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
        if (visiting->marked_only && visiting->marks && visiting->marks[page] == 0) continue;
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
    struct visiting visiting = {index, marks,      fault,        false,
                                0,     UINT64_MAX, survey_entry, &surveying};
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

static bool is_of(const struct aeor_index *index, uint64_t page, const uint8_t *record) {
    return aeor_page_of(record + AEOR_RECORD_KEY, index->pages) == page;
}

/* The waiting records of one page, from *used on. */
static int add_waiting(const struct aeor_index *index, uint64_t page, const uint8_t *waiting,
                       uint64_t count, uint64_t *used, bool *drops, struct aeor_bytes *records) {
    int code = AEOR_OK;
    for (; *used < count && code == AEOR_OK; ++*used) {
        const uint8_t *record = waiting + *used * AEOR_RECORD;
        if (!is_of(index, page, record)) break;
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
        bool covered = aeor_index_covered(index, page);
        bool waits = *used < waiting_count && is_of(index, page, waiting + *used * AEOR_RECORD);
        records.length = 0;
        if (covered && !waits) continue;
        code = aeor_index_page(index, page, image, &count);
        if (code != AEOR_OK) break;
        if (!covered) {
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

enum { PLACE_BITS = 64 - AEOR_LENGTH_BITS };

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
    uint64_t length = range.length < AEOR_LENGTH_MAX ? range.length : AEOR_LENGTH_MAX;
    gather->items[at] = (range.offset - gather->low) << AEOR_LENGTH_BITS | length;
    if (length < AEOR_LENGTH_MAX) return AEOR_OK;
    return aeor_bytes_add(gathering->large, &range, sizeof range);
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
