/* A walk over a made-up index and log (made.h), then a plan, its windows, and a new block of their
 * records. */
#include "walk.h"

#include "carry.h"
#include "made.h"
#include "places.h"

enum { MOST_PLACES = 2000 };

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
    struct made made;
    if (!made_begin(&made, data, size, 0)) return 0;
    check_walk(&made.index, made.root, made.flags & 2 ? 1000 : 1 << 20);
    check_places(&made.index, made.root, made.flags & 4);
    made_end(&made);
    return 0;
}
