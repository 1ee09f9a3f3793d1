/* What a gc keeps and what it frees, over a made-up index and log (made.h): the entries that are
 * kept and the rooms between them are the log, however it is cut into stretches. */
#include "sweep.h"

#include <fcntl.h>

#include "made.h"
#include "reach.h"
#include "rooms.h"

enum { UNMENDED = 2, OWN = 4, VOIDS = 8, ALL_MARKED = 16, FEW = 3 };

static struct aeor_range ranges[1 << 12];
static struct aeor_room rooms[1 << 12], special[1 << 12];

/* The pages in two halves mark what all of them at once do. */
static void mark(const struct made *made, uint32_t *marks) {
    const struct aeor_index *index = &made->index;
    uint64_t slots = aeor_index_slots(index), half = index->pages / 2, found;
    uint32_t kinds = made->flags & ALL_MARKED ? 0xffff : 0x9c; /* all but chunks, files, symlinks */
    bool own = made->flags & OWN;
    struct aeor_fault fault = {0};
    uint32_t *parts = made_marks(made);
    int code = aeor_marks_kinds(index, marks, kinds, own, 0, index->pages, &fault);
    require(code == AEOR_OK);
    require(aeor_marks_kinds(index, parts, kinds, own, half, index->pages, &fault) == AEOR_OK);
    if (half > 0) {
        require(aeor_marks_kinds(index, parts, kinds, own, 0, half, &fault) == AEOR_OK);
    }
    require(memcmp(parts, marks, (slots + 31) / 32 * 4) == 0);
    free(parts);
    uint64_t before = aeor_marks_count(marks, slots);
    require(aeor_marks_keys(index, marks, made->root, 1, AEOR_HASH, &found, &fault) == AEOR_OK);
    require(aeor_marks_count(marks, slots) <= before + found && found <= 1);
}

static void check_garbage(const struct made *made, const uint32_t *marks,
                          const struct aeor_survey *survey) {
    const struct aeor_index *index = &made->index;
    struct aeor_bytes records = {0};
    struct aeor_checkpoint plan = {0};
    struct aeor_fault fault = {0};
    uint64_t next, used, live = 0, gone = 0;
    bool drops, whole = true;
    for (uint64_t page = 0; page < index->pages && whole; page = next) {
        int code = aeor_sweep_drop(index, marks, page, index->pages, FEW, NULL, 0, &used, &next,
                                   &drops, &plan, &fault);
        require(code == AEOR_OK || (code == AEOR_ERR_PAGE && fault.code == code));
        require(used == 0 && (code != AEOR_OK || next > page));
        whole = code == AEOR_OK; /* else keys that are in the wrong page, or twice in one */
    }
    require(plan.images.length == 0 && plan.overflow.length == 0);
    for (uint64_t at = 0; at < plan.leads.length; at += AEOR_RECORD) {
        gone += (plan.leads.data[at + AEOR_RECORD_KV] & AEOR_KV_DELETED) != 0;
    }
    require(aeor_sweep_tables(index, marks, &records) == AEOR_OK);
    for (uint64_t at = 0; at < records.length; at += AEOR_RECORD) {
        bool deleted = records.data[at + AEOR_RECORD_KV] & AEOR_KV_DELETED;
        gone += deleted;
        live += !deleted;
    }
    require(live <= survey->live && (!whole || gone >= survey->garbage));
    aeor_checkpoint_free(&plan);
    aeor_bytes_free(&records);
}

/* Rooms in stretches of up to `most` items; their bytes in all. */
static uint64_t check_rooms(const struct made *made, const uint64_t *items, uint64_t count,
                            uint64_t most, const uint8_t *voids,
                            uint64_t void_count, uint64_t *freed) {
    uint64_t at = made->log, bytes = 0, end = made->log;
    *freed = 0;
    for (uint64_t first = 0; first <= count; first += most) {
        uint64_t part = count - first < most ? count - first : most, found;
        bool last = first + part == count;
        struct aeor_sorted sorted;
        require(aeor_sweep_rooms(made->map, made->length, made->log, items + first, part,
                                 NULL, 0, &at, last ? made->length : 0, voids, void_count, rooms,
                                 &found) == AEOR_OK);
        require(found <= part + 1);
        for (uint64_t i = 0; i < found; i++) {
            require(rooms[i].offset >= end && rooms[i].end > rooms[i].offset);
            end = rooms[i].end;
            require(end <= made->length && rooms[i].free <= end - rooms[i].offset);
            require(!rooms[i].settled || rooms[i].free == end - rooms[i].offset);
        }
        aeor_sweep_sort(rooms, found, ranges, special, &sorted);
        require(sorted.small + sorted.special <= found && sorted.reclaimed <= sorted.bytes);
        bytes += sorted.bytes;
        *freed += sorted.bytes - sorted.reclaimed;
        static uint8_t headers[(AEOR_SMALL_ROOM + 1) * 64], out[13 << 12];
        static int nowhere = -1;
        if (nowhere < 0) nowhere = open("/dev/null", O_WRONLY);
        require(aeor_ranges_write(nowhere, ranges, sorted.small, headers) == sorted.small);
        aeor_ranges_records(ranges, sorted.small, out);
        if (last) break;
    }
    return bytes;
}

static void check_sweep(const struct made *made, const uint32_t *marks, bool all) {
    const struct aeor_index *index = &made->index;
    struct aeor_survey survey = {0}, other = {0}, parts = {0};
    struct aeor_fault fault = {0};
    uint8_t voids[16];
    uint64_t count, held = 0, end = made->log, freed, again, half = index->pages / 2;
    int code = aeor_sweep_survey(index, marks, 0, UINT64_MAX, made->log, made->length, &survey,
                                 &fault);
    require(code == AEOR_OK || (code == AEOR_ERR_ENTRY_BOUNDS && fault.code == code));
    if (code != AEOR_OK) return;
    if (half > 0) {
        require(aeor_sweep_survey(index, marks, 0, half, made->log, made->length, &parts,
                                  &fault) == AEOR_OK);
        require(aeor_sweep_survey(index, marks, half, UINT64_MAX, made->log, made->length, &other,
                                  &fault) == AEOR_OK);
        aeor_survey_add(&parts, &other);
        require(memcmp(&parts, &survey, sizeof survey) == 0);
    }
    check_garbage(made, marks, &survey);
    uint64_t *items = malloc((survey.live + 1) * sizeof *items);
    static uint64_t starts[AEOR_SWEEP_BINS], ends[AEOR_SWEEP_BINS];
    struct aeor_gather gather = {.start = made->log,
                                 .width = (made->length - made->log) / AEOR_SWEEP_BINS + 1,
                                 .bins = AEOR_SWEEP_BINS,
                                 .low = made->log,
                                 .next = starts,
                                 .ends = ends,
                                 .items = items};
    uint64_t sum = 0;
    for (int bin = 0; bin < AEOR_SWEEP_BINS; bin++) {
        starts[bin] = sum;
        ends[bin] = sum += survey.bins[bin];
    }
    struct aeor_bytes large = {0};
    code = aeor_sweep_extents(index, all ? NULL : marks, 0, UINT64_MAX, &gather, &large, &fault);
    /* With `all` there may be more in a bin than the survey has counted. */
    require(code == AEOR_OK || (all && code == AEOR_ERR_ARGUMENT));
    if (code != AEOR_OK || large.length > 0) goto done;
    count = aeor_sweep_order(&gather);
    require(count <= survey.live && (all || count == survey.live));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = made->log + (items[i] >> AEOR_LENGTH_BITS);
        uint64_t next = offset + (items[i] & AEOR_LENGTH_MAX);
        require(i == 0 || items[i - 1] <= items[i]);
        if (next > made->length) goto done; /* with `all`, what no survey has looked at */
        if (next <= end) continue;
        held += next - (offset > end ? offset : end);
        end = next;
    }
    uint64_t third = made->log + (made->length - made->log) / 3;
    aeor_put64(voids, third);
    aeor_put64(voids + 8, third + 300);
    uint64_t listed = made->flags & VOIDS ? 1 : 0;
    uint64_t bytes = check_rooms(made, items, count, UINT32_MAX, voids, listed, &freed);
    require(bytes + held == made->length - made->log);
    require(check_rooms(made, items, count, FEW, voids, listed, &again) == bytes);
    require(freed == again);
done:
    aeor_bytes_free(&large);
    free(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct made made;
    if (!made_begin(&made, data, size, UNMENDED)) return 0;
    uint32_t *marks = made_marks(&made);
    if (aeor_index_slots(&made.index) < 1 << 12) {
        mark(&made, marks);
        check_sweep(&made, marks, false);
        check_sweep(&made, marks, true);
    }
    free(marks);
    made_end(&made);
    return 0;
}
