/* Carrying any marked entries of a made-up index and log (made.h): windows of any size give the
 * same entries, each verified, with a path key behind those that get one. */
#include "carry.h"

#include "made.h"
#include "reach.h"

enum { PATHS = 2, SYSTEM = 4, SPARSE = 8, DAMAGED = 16, MOST_BYTES = 1 << 22 };

struct carried {
    struct aeor_bytes out, records;
    int code;
};

static struct carried carry(const struct aeor_index *index, const struct aeor_plan_item *items,
                            uint64_t count, const uint32_t *paths, const uint32_t *system,
                            uint64_t most) {
    struct carried all = {0};
    struct aeor_fault fault = {0};
    for (uint64_t first = 0, end; all.code == AEOR_OK && first < count; first = end) {
        uint64_t bytes, entries;
        int64_t latest;
        end = aeor_plan_window(items, count, first, paths, most, &bytes, &entries);
        require(end > first && end <= count && entries >= end - first);
        if (bytes > MOST_BYTES || all.out.length > MOST_BYTES) break;
        uint8_t *out = malloc(bytes), *records = malloc(entries * AEOR_RECORD);
        all.code = aeor_carry(index, items + first, end - first, paths, system, out, bytes,
                              records, entries, &latest, &fault);
        require(all.code != AEOR_ERR_ARGUMENT && all.code != AEOR_ERR_MEMORY);
        require(all.code == fault.code);
        for (uint64_t i = 0; i < entries && all.code == AEOR_OK; i++) {
            uint8_t *record = records + i * AEOR_RECORD;
            uint64_t offset = aeor_get64(record + AEOR_RECORD_OFFSET);
            uint32_t length = aeor_get32(record + AEOR_RECORD_LENGTH);
            require(aeor_inside(offset, length, bytes));
            require(aeor_entry_verify(out + offset, length) == AEOR_OK);
            require(memcmp(out + offset + AEOR_ENTRY_START, record + 1, AEOR_HASH) == 0);
            aeor_put64(record + AEOR_RECORD_OFFSET, offset + all.out.length);
        }
        if (all.code == AEOR_OK) {
            require(aeor_bytes_add(&all.records, records, entries * AEOR_RECORD) == AEOR_OK);
            require(aeor_bytes_add(&all.out, out, bytes) == AEOR_OK);
        }
        free(out);
        free(records);
    }
    return all;
}

static void check_plan(const struct aeor_index *index, const uint32_t *marks,
                       const uint32_t *paths, const uint32_t *system, uint64_t slots) {
    struct aeor_plan_sums sums;
    struct aeor_fault fault = {0};
    uint64_t count = aeor_marks_count(marks, slots), counted = 0, older;
    struct aeor_plan_item *items = malloc((count + 1) * sizeof *items);
    int code = aeor_plan_fill(index, marks, paths, items, count, &sums, &fault);
    require(code == fault.code);
    if (code == AEOR_OK) {
        for (int kv = 0; kv < 16; kv++) counted += sums.counts[kv];
        require(counted == count && sums.path_count <= count);
        struct carried one = carry(index, items, count, paths, system, UINT64_MAX);
        struct carried many = carry(index, items, count, paths, system, 500);
        require(one.code == many.code || one.out.length == 0);
        if (one.code == AEOR_OK && one.out.length == many.out.length && one.out.length > 0) {
            require(memcmp(one.out.data, many.out.data, one.out.length) == 0);
            require(one.records.length == many.records.length);
            require(memcmp(one.records.data, many.records.data, one.records.length) == 0);
        }
        aeor_bytes_free(&one.out), aeor_bytes_free(&one.records);
        aeor_bytes_free(&many.out), aeor_bytes_free(&many.records);
        code = aeor_plan_older(index, items, count, INT64_MAX, &older, &fault);
        require(code != AEOR_OK || older == count);
    }
    free(items);
}

/* Marks of entries that count: no plan is made of others. */
static void mark(const struct made *made, uint32_t *marks) {
    struct aeor_fault fault;
    require(aeor_marks_kinds(&made->index, marks, 0xffff, false, 0, UINT64_MAX, &fault) == AEOR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct made made;
    if (!made_begin(&made, data, size, DAMAGED)) return 0;
    uint64_t slots = aeor_index_slots(&made.index), words = (slots + 31) / 32;
    uint32_t *marks = made_marks(&made), *chosen = made_marks(&made);
    for (uint64_t i = 0; i < words; i++) chosen[i] = aeor_get32(made.root + i % 8 * 4);
    mark(&made, marks);
    uint64_t all = aeor_marks_count(marks, slots);
    if (made.flags & SPARSE) {
        require(aeor_marks_combine(marks, chosen, slots, AEOR_MARKS_KEEP) == AEOR_OK);
    }
    require(aeor_marks_combine(marks, chosen, slots, 9) == AEOR_ERR_ARGUMENT);
    require(aeor_marks_count(marks, slots) <= all);
    check_plan(&made.index, marks, made.flags & PATHS ? chosen : NULL,
               made.flags & SYSTEM ? chosen : NULL, slots);
    free(marks);
    free(chosen);
    made_end(&made);
    return 0;
}
