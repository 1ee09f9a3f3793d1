/* Verification of a made-up index and log (made.h): its rows and sums do not depend on the windows,
 * what it passes is as it says, and every record of the index is seen or found to be wrong. */
#include "verify.h"

#include "made.h"
#include "places.h"
#include "walk.h"

enum { UNMENDED = 2, VOIDS = 4, SKIP = 8, STRAYS = 16, NO_HEAD = 32, PART = 64, SYSTEM = 128 };
enum { FAULTS = 3, FOLDERS = 16, SMALL = 300, ROWS = AEOR_VERIFY_ROWS };

static void add(struct aeor_verify_sums *all, const struct aeor_verify_sums *part) {
    all->entries += part->entries;
    all->bytes += part->bytes;
    all->hashed += part->hashed;
    all->unindexed += part->unindexed;
    all->unindexed_bytes += part->unindexed_bytes;
    all->void_entries += part->void_entries;
    all->void_bytes += part->void_bytes;
    all->foreign += part->foreign;
    all->rows += part->rows;
}

/* An entry of which nothing was said must be read as it stands. */
static void check_entry(const struct aeor_verify *verify, const struct aeor_log_entry *entry,
                        const struct aeor_verify_row *rows, uint64_t count) {
    static uint8_t value[1 << 16];
    struct aeor_entry found;
    bool named = false;
    for (uint64_t i = 0; i < count; i++) named |= rows[i].offset == entry->offset;
    if (named || verify->skip != NULL || entry->type == AEOR_TYPE_VOID) return;
    if (entry->type == AEOR_TYPE_CHUNK && verify->sample >> 32 == 0) return;
    require(aeor_entry_fetch(verify->index->map, verify->index->map_length, entry->offset,
                             (uint32_t)entry->length, entry->key, value, sizeof value,
                             &found) == AEOR_OK);
}

static struct aeor_verify_sums check_log(const struct aeor_verify *verify, uint64_t start,
                                         uint64_t most, uint64_t capacity) {
    const struct aeor_index *index = verify->index;
    struct aeor_log_scan scan = {.map = index->map, .map_length = index->map_length};
    struct aeor_verify_sums all = {0}, part;
    struct aeor_log_entry *entries = malloc(capacity * sizeof *entries);
    uint64_t count;
    scan.offset = start;
    scan.end = index->map_length;
    while (aeor_log_window(&scan, most, entries, capacity, &count) == AEOR_OK && count > 0) {
        struct aeor_verify_row *rows = malloc(ROWS * count * sizeof *rows);
        require(aeor_verify_window(verify, entries, count, rows, ROWS * count, &part) == AEOR_OK);
        require(part.rows <= ROWS * count && part.hashed <= part.bytes);
        for (uint64_t i = 0; i < part.rows; i++) {
            require(aeor_inside(rows[i].offset, rows[i].length, index->map_length));
        }
        for (uint64_t i = 0; i < count; i++) check_entry(verify, entries + i, rows, part.rows);
        free(rows);
        add(&all, &part);
    }
    require(all.bytes == index->map_length - start);
    free(entries);
    return all;
}

/* Each live record is seen in the log, or a row says that it is not, or lies in a free range. */
static void check_index(const struct aeor_verify *verify) {
    const struct aeor_index *index = verify->index;
    uint64_t slots = aeor_index_slots(index), bad_page;
    uint64_t capacity = 2 * slots + index->pages + 1, lost = 0;
    struct aeor_verify_row *rows = malloc(2 * capacity * sizeof *rows);
    struct aeor_verify_sums pages, tables, again;
    require(aeor_verify_pages(verify, 0, index->pages, rows, capacity, &pages, &bad_page) ==
            AEOR_OK);
    require(pages.rows <= capacity);
    require(aeor_verify_tables(verify, rows + pages.rows, capacity, &tables) == AEOR_OK);
    require(tables.rows <= capacity);
    add(&pages, &tables);
    for (uint64_t i = 0; i < pages.rows; i++) {
        lost += rows[i].code == AEOR_FOUND_LOST || rows[i].code == AEOR_FOUND_OVERLAP;
    }
    require(pages.entries <= lost + aeor_marks_count(verify->seen, slots));
    require(aeor_verify_pages(verify, 0, index->pages, NULL, 0, &again, &bad_page) == AEOR_OK);
    free(rows);
}

static void check_places(const struct aeor_verify *verify, const uint8_t *root) {
    uint8_t out[FOLDERS * AEOR_PLACE];
    struct aeor_verify_row rows[FOLDERS];
    struct aeor_verify_sums sums;
    struct aeor_fault fault;
    uint64_t count;
    struct aeor_places *places = aeor_places_new(verify->index, root, NULL, 0, 1000);
    require(places != NULL);
    while (aeor_places_next(places, out, FOLDERS, &count, &fault) == AEOR_OK && count > 0) {
        require(aeor_verify_places(verify, out, count, rows, FOLDERS, &sums) == AEOR_OK);
        require(sums.rows <= count);
    }
    aeor_places_free(places);
}

/* A walk that goes on behind each fault. */
static void walk_all(const struct made *made, uint32_t *marks) {
    struct aeor_fault faults[FAULTS], fault;
    struct aeor_walk *walk = aeor_walk_new(&made->index, marks, NULL, 1);
    struct aeor_walker *walker = aeor_walker_new(walk);
    require(walk != NULL && walker != NULL);
    require(aeor_walk_collect(walk, faults, FAULTS) == AEOR_OK);
    aeor_walk_strict(walk);
    if (made->flags & SYSTEM) aeor_walk_path_keys(walk);
    require(aeor_walk_add(walk, AEOR_TYPE_DIRECTORY, made->root, 1, false) == AEOR_OK);
    int code;
    while ((code = aeor_walker_run(walker, 7)) == AEOR_MORE) {
    }
    aeor_walk_fault(walk, &fault);
    require(code == AEOR_OK && fault.code == AEOR_OK);
    for (uint64_t i = 0; i < aeor_walk_collected(walk) && i < FAULTS; i++) {
        require(faults[i].code != AEOR_OK);
    }
    aeor_walker_free(walker);
    aeor_walk_free(walk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct made made;
    uint8_t voids[16];
    if (!made_begin(&made, data, size, UNMENDED)) return 0;
    uint64_t third = made.log + (made.length - made.log) / 3;
    aeor_put64(voids, third);
    aeor_put64(voids + 8, third + SMALL);
    uint32_t *marks[5]; /* seen, loose, paths, reached, skip */
    for (int i = 0; i < 5; i++) marks[i] = made_marks(&made);
    walk_all(&made, marks[3]);
    if (made.flags & SKIP) memset(marks[4], 0x55, aeor_index_slots(&made.index) / 32 * 4);
    struct aeor_verify verify = {
        .index = &made.index,
        .seen = marks[0],
        .loose = marks[1],
        .paths = marks[2],
        .head = made.flags & NO_HEAD ? NULL : marks[3],
        .reached = marks[3],
        .skip = made.flags & SKIP ? marks[4] : NULL,
        .voids = voids,
        .void_count = made.flags & VOIDS ? 1 : 0,
        .roots = made.root,
        .root_count = 1,
        .latest = INT64_MAX >> (made.flags & PART ? 62 : 0),
        .sample = (uint64_t)1 << (made.flags & PART ? 31 : 32),
        .files = true,
        .strays = made.flags & STRAYS,
        .system = made.flags & SYSTEM,
    };
    struct aeor_verify_sums whole = check_log(&verify, made.log, UINT64_MAX, 1 << 10);
    struct aeor_verify_sums parts = check_log(&verify, made.log, SMALL, 5);
    require(memcmp(&whole, &parts, sizeof whole) == 0);
    check_places(&verify, made.root);
    check_index(&verify);
    for (int i = 0; i < 5; i++) free(marks[i]);
    made_end(&made);
    return 0;
}
