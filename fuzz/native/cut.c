/* A file that is cut while it is mapped: what the helper reads behind the cut raises SIGBUS, and
 * must come back as an error, with nothing left behind: no memory, no lock.
 *
 * Index and log are made up (made.h); the first byte of the root's key says where the cut is. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "made.h"
#include "places.h"
#include "reach.h"
#include "rooms.h"
#include "sweep.h"
#include "verify.h"

enum { BLOCK = 4096, ENTRIES = 64, VERIFY_ROWS = ENTRIES * AEOR_VERIFY_ROWS };

static struct aeor_log_entry entries[ENTRIES];
static struct aeor_verify_row rows[VERIFY_ROWS];

static void check_log(const struct aeor_index *index, uint64_t start) {
    struct aeor_log_scan scan = {.map = index->map, .map_length = index->map_length,
                                 .offset = start, .end = index->map_length};
    struct aeor_table table;
    uint64_t count;
    while (aeor_log_scan(&scan, entries, ENTRIES, &count) == AEOR_OK && count > 0) {
    }
    aeor_table_init(&table, 1, 2);
    struct aeor_rebuild rebuild = {
        .scan = {.map = index->map, .map_length = index->map_length, .offset = start,
                 .end = index->map_length},
        .table = &table,
    };
    int code;
    while ((code = aeor_rebuild_step(&rebuild, 5)) == AEOR_OK) {
    }
    if (code == AEOR_ABSENT) aeor_rebuild_finish(&rebuild);
    aeor_rebuild_free(&rebuild);
    aeor_table_free(&table);
}

static void check_walk(const struct aeor_index *index, uint32_t *marks, const uint8_t *root) {
    struct aeor_fault fault;
    uint8_t out[4 * AEOR_PLACE];
    uint64_t count;
    struct aeor_walk *walk = aeor_walk_new(index, marks, NULL, 1);
    struct aeor_walker *walker = aeor_walker_new(walk);
    if (aeor_walk_add(walk, AEOR_TYPE_DIRECTORY, root, 1, false) == AEOR_OK) {
        while (aeor_walker_run(walker, 2) == AEOR_MORE) {
        }
    }
    aeor_walk_stop(walk);
    aeor_walk_fault(walk, &fault);
    aeor_walker_free(walker);
    aeor_walk_free(walk);
    struct aeor_places *places = aeor_places_new(index, root, NULL, 0, 500);
    while (aeor_places_next(places, out, 4, &count, &fault) == AEOR_OK && count > 0) {
    }
    aeor_places_free(places);
}

/* What a whole log gave is read from one that is cut by now. */
static void check_verify(const struct aeor_index *index, uint64_t found, uint32_t *marks,
                         const uint8_t *root) {
    struct aeor_verify_sums sums;
    uint64_t bad_page;
    struct aeor_verify verify = {
        .index = index, .seen = marks, .loose = marks, .paths = marks, .head = marks,
        .reached = marks, .roots = root, .root_count = 1, .latest = INT64_MAX,
        .sample = (uint64_t)1 << 32, .files = true, .strays = true,
    };
    aeor_verify_window(&verify, entries, found, rows, VERIFY_ROWS, &sums);
    aeor_verify_pages(&verify, 0, index->pages, rows, VERIFY_ROWS, &sums, &bad_page);
    aeor_verify_tables(&verify, rows, VERIFY_ROWS, &sums);
    for (uint64_t i = 0; i < found; i++) {
        const uint64_t offset = entries[i].offset, length = entries[i].length;
        int32_t code;
        struct aeor_entry entry;
        aeor_entries_verify(index->map, index->map_length, &offset, &length, 1, &code);
        aeor_entry_header(index->map, index->map_length, offset, 0, &entry);
    }
}

static void check_carry(const struct aeor_index *index, const struct aeor_plan_item *items,
                        uint64_t count, const uint32_t *marks) {
    struct aeor_fault fault;
    uint64_t bytes, made, older;
    int64_t latest;
    aeor_plan_window(items, count, 0, NULL, UINT64_MAX, &bytes, &made);
    if (bytes > 1 << 22) return;
    uint8_t *out = malloc(bytes + 1), *records = malloc(made * AEOR_RECORD + 1);
    aeor_carry(index, items, count, NULL, marks, out, bytes, records, made, &latest, &fault);
    aeor_plan_older(index, items, count, 0, &older, &fault);
    free(out);
    free(records);
}

static void check_sweep(const struct aeor_index *index, uint32_t *marks, uint64_t start) {
    static struct aeor_survey survey;
    struct aeor_fault fault;
    struct aeor_checkpoint plan = {0};
    struct aeor_bytes found = {0};
    struct aeor_hit hit;
    struct aeor_room room;
    uint64_t used, next, at = start, count;
    bool drops;
    aeor_sweep_survey(index, marks, 0, UINT64_MAX, start, index->map_length, &survey, &fault);
    aeor_sweep_drop(index, marks, 0, index->pages, UINT64_MAX, NULL, 0, &used, &next, &drops, &plan,
                    &fault);
    aeor_checkpoint_free(&plan);
    aeor_marks_kinds(index, marks, 0x9c, true, 0, UINT64_MAX, &fault);
    aeor_index_scan_pages(index, 0, index->pages, AEOR_SCAN_LIVE, &found, &hit);
    aeor_bytes_free(&found);
    aeor_sweep_rooms(index->map, index->map_length, start, NULL, 0, NULL, 0, &at,
                     index->map_length, NULL, 0, &room, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct made made;
    struct aeor_fault fault = {0};
    uint64_t found;
    if (!made_begin(&made, data, size, 0)) return 0;
    uint64_t blocks = (made.length + BLOCK - 1) / BLOCK;
    if (blocks == 0 || blocks > 64) {
        made_end(&made);
        return 0;
    }
    require(aeor_guard_install() == AEOR_OK);
    int file = memfd_create("cut", 0);
    require(file >= 0 && pwrite(file, made.map, made.length, 0) == (ssize_t)made.length);
    struct aeor_index index = made.index;
    uint8_t *map = mmap(NULL, blocks * BLOCK, PROT_READ, MAP_SHARED, file, 0);
    require(map != MAP_FAILED);
    index.map = map;
    uint32_t *marks = made_marks(&made), *live = made_marks(&made);
    require(aeor_marks_kinds(&index, live, 0xffff, false, 0, UINT64_MAX, &fault) == AEOR_OK);
    uint64_t count = aeor_marks_count(live, aeor_index_slots(&index));
    struct aeor_plan_item *items = malloc((count + 1) * sizeof *items);
    struct aeor_plan_sums sums;
    bool planned = aeor_plan_fill(&index, live, NULL, items, count, &sums, &fault) == AEOR_OK;
    struct aeor_log_scan scan = {.map = index.map, .map_length = index.map_length,
                                 .offset = made.log, .end = index.map_length};
    require(aeor_log_scan(&scan, entries, ENTRIES, &found) == AEOR_OK);

    require(ftruncate(file, (off_t)(made.root[0] % blocks * BLOCK)) == 0);
    uint8_t byte;
    require(aeor_map_copy(&byte, map, made.length, made.length - 1, 1) == AEOR_ERR_FAULT);
    check_log(&index, made.log);
    check_walk(&index, marks, made.root);
    check_verify(&index, found, marks, made.root);
    if (planned) check_carry(&index, items, count, live);
    check_sweep(&index, live, made.log);
    munmap(map, blocks * BLOCK);
    close(file);
    free(items);
    free(marks);
    free(live);
    made_end(&made);
    return 0;
}
