/* A walk over a made-up index and log, then a plan, its windows, and a new block of their records.
 *
 * The input: pages, records of a table, flags, a root's key; then these records, then the map: the
 * block from offset 0, the log behind. Page checksums and integrity hashes are made good first, so
 * that what a lie reaches is the walk, not the check before it. */
#include "walk.h"

#include <stdlib.h>

#include "carry.h"
#include "map.h"
#include "places.h"
#include "table.h"

enum { HEAD = 3 + AEOR_HASH, MOST_PLACES = 2000 };

static void require(bool holds) {
    if (!holds) abort();
}

static void mend(uint8_t *map, uint64_t length, uint64_t pages) {
    for (uint64_t page = 0; page < pages; page++) {
        uint8_t *image = map + page * AEOR_PAGE;
        uint32_t count = aeor_get16(image + 8);
        /* A bad page would be read again and again, for a while. */
        if (count > AEOR_PAGE_ENTRIES) count = 0;
        if (count > 0) aeor_page_seal(image, count);
        if (count == 0) memset(image, 0, AEOR_PAGE);
    }
    for (uint64_t at = pages * AEOR_PAGE; at < length; at++) {
        struct aeor_entry entry;
        if (!aeor_inside(at, AEOR_ENTRY_START, length)) return;
        if (aeor_entry_parse(map + at, at, &entry) != AEOR_OK) continue;
        if (!aeor_inside(at, entry.total_length, length)) continue;
        aeor_entry_hash(entry.type, map + at + AEOR_ENTRY_START,
                        entry.total_length - AEOR_ENTRY_START, map + at + AEOR_ENTRY_HEADER);
        at += entry.total_length - 1;
    }
}

static void check_places(const struct aeor_index *index, const uint8_t *root, bool rows) {
    uint8_t out[16 * AEOR_PLACE];
    struct aeor_fault fault = {0};
    uint64_t count, all = 0;
    struct aeor_places *places = aeor_places_new(index, root, NULL, 0, MOST_PLACES);
    require(places != NULL);
    int code;
    while ((code = aeor_places_next(places, rows ? out : NULL, 16, &count, &fault)) == AEOR_OK &&
           count > 0) {
        all += count;
    }
    require(all <= MOST_PLACES && (code == AEOR_OK || fault.code == code));
    aeor_places_free(places);
}

static void insert(const uint8_t *records, uint64_t count) {
    struct aeor_bytes overflow = {0};
    struct aeor_fault fault = {0};
    uint8_t *block = calloc(2, AEOR_PAGE);
    int code = aeor_block_insert(block, 2, records, count, 1000, &overflow, &fault);
    require(code == AEOR_OK || code == AEOR_ERR_WALK_TWICE);
    require(aeor_block_seal(block, 2) == AEOR_OK);
    free(block);
    aeor_bytes_free(&overflow);
}

static void check_plan(const struct aeor_index *index, const uint32_t *marks,
                       const uint32_t *paths, uint64_t slots, uint64_t most) {
    struct aeor_plan_sums sums;
    struct aeor_fault fault = {0};
    uint64_t count = aeor_marks_count(marks, slots), bytes, entries, older;
    struct aeor_plan_item *items = malloc((count + 1) * sizeof *items);
    int code = aeor_plan_fill(index, marks, paths, items, count, &sums, &fault);
    for (uint64_t first = 0, end; code == AEOR_OK && first < count; first = end) {
        int64_t latest;
        end = aeor_plan_window(items, count, first, paths, most, &bytes, &entries);
        require(end > first && end <= count);
        if (bytes > 1 << 22) break;
        uint8_t *out = malloc(bytes), *records = malloc(entries * AEOR_RECORD);
        code = aeor_carry(index, items + first, end - first, paths, marks, out, bytes, records,
                          entries, &latest, &fault);
        require(code != AEOR_ERR_ARGUMENT && code != AEOR_ERR_MEMORY);
        if (code == AEOR_OK) insert(records, entries);
        free(out);
        free(records);
    }
    if (code == AEOR_OK) aeor_plan_older(index, items, count, 100, &older, &fault);
    free(items);
}

static void check_walk(const struct aeor_index *index, const uint8_t *root, uint64_t most) {
    uint64_t slots = aeor_index_slots(index), words = (slots + 31) / 32;
    uint32_t *marks = calloc(words + !words, 4), *folders = calloc(words + !words, 4);
    struct aeor_walk *walk = aeor_walk_new(index, marks, folders, 1);
    struct aeor_walker *walker = aeor_walker_new(walk);
    struct aeor_fault fault;
    require(walk != NULL && walker != NULL);
    int code = aeor_walk_add(walk, AEOR_TYPE_DIRECTORY, root, 1, false);
    if (code == AEOR_OK) {
        while ((code = aeor_walker_run(walker, 3)) == AEOR_MORE) {
        }
    }
    aeor_walk_fault(walk, &fault);
    require((code == AEOR_OK) == (fault.code == AEOR_OK));
    require(aeor_marks_count(folders, slots) <= aeor_marks_count(marks, slots));
    aeor_walker_free(walker);
    aeor_walk_free(walk);
    check_plan(index, marks, NULL, slots, most);
    check_plan(index, marks, marks, slots, most);
    free(marks);
    free(folders);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_index index = {0};
    struct aeor_table table;
    if (size < HEAD) return 0;
    uint64_t records = data[1];
    if (!aeor_inside(HEAD, records * AEOR_RECORD, size)) return 0;
    const uint8_t *rows = data + HEAD;
    uint64_t length = size - HEAD - records * AEOR_RECORD;
    uint8_t *map = malloc(length + !length);
    memcpy(map, rows + records * AEOR_RECORD, length);
    index.pages = data[0] * (uint64_t)AEOR_PAGE <= length ? data[0] : length / AEOR_PAGE;
    mend(map, length, index.pages);
    aeor_table_init(&table, 3, 4);
    require(aeor_table_put_many(&table, rows, records) == AEOR_OK);
    index.tables[0] = &table;
    index.table_count = 1;
    index.no_pages = data[2] & 1;
    index.map = map;
    index.map_length = length;
    check_walk(&index, data + 3, data[2] & 2 ? 1000 : 1 << 20);
    check_places(&index, data + 3, data[2] & 4);
    aeor_table_free(&table);
    free(map);
    return 0;
}
