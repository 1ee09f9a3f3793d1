#include "voids.h"

#include <stdlib.h>
#include <unistd.h>

#include "entry.h"
#include "frame.h"
#include "index.h"

static uint64_t end_of(const struct aeor_void *item) { return item->offset + item->length; }

/* Room for one row of `size` bytes more than `count`. */
static int grow(void **rows, uint64_t *capacity, uint64_t count, size_t size) {
    if (count < *capacity) return AEOR_OK;
    uint64_t wanted = *capacity * 2 + 16;
    void *grown = realloc(*rows, (size_t)wanted * size);
    if (grown == NULL) return AEOR_ERR_MEMORY;
    *rows = grown;
    *capacity = wanted;
    return AEOR_OK;
}

/* ---- zeros ---- */

/* The first range of zeros that ends behind `offset`. */
static uint64_t zeros_from(const struct aeor_voids *voids, uint64_t offset) {
    uint64_t low = 0, high = voids->zero_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (voids->zeros[middle].offset + voids->zeros[middle].length > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Puts `count` rows in the place of those from `first` to `last` - 1; at most one more than these. */
static int replace_zeros(struct aeor_voids *voids, uint64_t first, uint64_t last,
                         const struct aeor_range *rows, uint64_t count) {
    if (count == 0 && first == last) return AEOR_OK;
    if (count > last - first) {
        int code = grow((void **)&voids->zeros, &voids->zero_capacity, voids->zero_count,
                        sizeof *rows);
        if (code != AEOR_OK) return code;
    }
    memmove(voids->zeros + first + count, voids->zeros + last,
            (size_t)(voids->zero_count - last) * sizeof *rows);
    if (count) memcpy(voids->zeros + first, rows, (size_t)count * sizeof *rows);
    voids->zero_count = voids->zero_count - (last - first) + count;
    return AEOR_OK;
}

static int cut_zeros(struct aeor_voids *voids, uint64_t start, uint64_t end) {
    struct aeor_range left[2];
    uint64_t first = zeros_from(voids, start), last = first, count = 0;
    for (; last < voids->zero_count && voids->zeros[last].offset < end; last++) {
        uint64_t low = voids->zeros[last].offset, high = low + voids->zeros[last].length;
        if (low < start) left[count++] = (struct aeor_range){low, start - low};
        if (high > end) left[count++] = (struct aeor_range){end, high - end};
    }
    return first == last ? AEOR_OK : replace_zeros(voids, first, last, left, count);
}

static int add_zeros(struct aeor_voids *voids, uint64_t start, uint64_t end) {
    uint64_t first = zeros_from(voids, start), last = first;
    for (; last < voids->zero_count && voids->zeros[last].offset < end; last++) {
        uint64_t low = voids->zeros[last].offset, high = low + voids->zeros[last].length;
        if (low < start) start = low;
        if (high > end) end = high;
    }
    return replace_zeros(voids, first, last, &(struct aeor_range){start, end - start}, 1);
}

/* Of the ranges from `first` on that lie before `end`, those that touch become one; how many. */
static uint64_t join_zeros(struct aeor_voids *voids, uint64_t first, uint64_t end) {
    struct aeor_range *zeros = voids->zeros;
    uint64_t next = first, kept = first;
    for (; next < voids->zero_count && zeros[next].offset < end; next++) {
        if (kept > first && zeros[kept - 1].offset + zeros[kept - 1].length == zeros[next].offset) {
            zeros[kept - 1].length += zeros[next].length;
        } else {
            zeros[kept++] = zeros[next];
        }
    }
    replace_zeros(voids, kept, next, NULL, 0);
    return kept - first;
}

/* ---- ranges ---- */

void aeor_voids_free(struct aeor_voids *voids) {
    free(voids->items);
    free(voids->zeros);
    memset(voids, 0, sizeof *voids);
}

/* The first range at the offset or behind it. */
static uint64_t item_from(const struct aeor_voids *voids, uint64_t offset) {
    uint64_t low = 0, high = voids->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (voids->items[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void set_waiting(struct aeor_voids *voids, struct aeor_void *item, bool waiting) {
    voids->waiting += (uint64_t)waiting - (uint64_t)item->waiting;
    item->waiting = waiting;
}

static void delete_item(struct aeor_voids *voids, uint64_t at) {
    set_waiting(voids, voids->items + at, false);
    voids->count--;
    memmove(voids->items + at, voids->items + at + 1,
            (size_t)(voids->count - at) * sizeof *voids->items);
}

static int insert_item(struct aeor_voids *voids, uint64_t at, uint64_t offset, uint64_t length,
                       bool waiting) {
    int code = grow((void **)&voids->items, &voids->capacity, voids->count, sizeof *voids->items);
    if (code != AEOR_OK) return code;
    memmove(voids->items + at + 1, voids->items + at,
            (size_t)(voids->count - at) * sizeof *voids->items);
    voids->items[at] = (struct aeor_void){offset, length, waiting};
    voids->count++;
    voids->waiting += waiting;
    return AEOR_OK;
}

/* Where a range is to stand; AEOR_ERR_ARGUMENT if it meets another one. */
static int find_place(const struct aeor_voids *voids, uint64_t offset, uint64_t length,
                      uint64_t *at) {
    if (length > UINT64_MAX - offset) return AEOR_ERR_ARGUMENT;
    *at = item_from(voids, offset);
    if (*at > 0 && end_of(voids->items + *at - 1) > offset) return AEOR_ERR_ARGUMENT;
    if (*at < voids->count && voids->items[*at].offset < offset + length) return AEOR_ERR_ARGUMENT;
    return AEOR_OK;
}

int aeor_voids_insert(struct aeor_voids *voids, uint64_t offset, uint64_t length, bool waiting) {
    uint64_t at;
    if (length == 0) return AEOR_OK;
    int code = find_place(voids, offset, length, &at);
    if (code == AEOR_OK) code = insert_item(voids, at, offset, length, waiting);
    return code == AEOR_OK && waiting ? add_zeros(voids, offset, offset + length) : code;
}

int aeor_voids_add(struct aeor_voids *voids, uint64_t offset, uint64_t length) {
    uint64_t at, end = offset + length;
    if (length == 0) return AEOR_OK;
    int code = find_place(voids, offset, length, &at);
    if (code == AEOR_OK) code = insert_item(voids, at, offset, length, true);
    if (code == AEOR_OK) code = add_zeros(voids, offset, end);
    if (code != AEOR_OK) return code;
    struct aeor_void *item = voids->items + at;
    if (at > 0 && end_of(item - 1) == offset && length <= AEOR_VOID_JOINED &&
        item[-1].length <= AEOR_VOID_JOINED - length) {
        item[-1].length += length;
        set_waiting(voids, item - 1, true);
        delete_item(voids, at);
        item--, at--;
    }
    if (at + 1 < voids->count && item[1].offset == end && item->length <= AEOR_VOID_JOINED &&
        item[1].length <= AEOR_VOID_JOINED - item->length) {
        uint64_t header = item[1].length < AEOR_ENTRY_START ? item[1].length : AEOR_ENTRY_START;
        item->length += item[1].length;
        delete_item(voids, at + 1);
        return add_zeros(voids, end, end + header);
    }
    return AEOR_OK;
}

/* The range that so many bytes fit best, or `count`. */
static uint64_t best_fit(const struct aeor_voids *voids, uint64_t length) {
    uint64_t best = voids->count, least = UINT64_MAX;
    for (uint64_t i = 0; i < voids->count; i++) {
        uint64_t here = voids->items[i].length;
        if (here < length || here >= least) continue;
        if (here == length) return i;
        if (here - length >= AEOR_ENTRY_START) best = i, least = here;
    }
    return best;
}

int aeor_voids_take(struct aeor_voids *voids, uint64_t length, uint64_t *offset) {
    if (length == 0) return AEOR_ERR_ARGUMENT;
    uint64_t at = best_fit(voids, length);
    if (at == voids->count) return AEOR_ABSENT;
    uint64_t start = *offset = voids->items[at].offset;
    while (voids->items[at].length > AEOR_VOID_HALVED &&
           voids->items[at].length / 2 >= AEOR_ENTRY_START &&
           voids->items[at].length / 2 - AEOR_ENTRY_START >= length) {
        uint64_t whole = voids->items[at].length, half = whole / 2;
        int code = insert_item(voids, at + 1, start + half, whole - half, true);
        if (code != AEOR_OK) return code;
        voids->items[at].length = half;
    }
    struct aeor_void *item = voids->items + at;
    item->offset += length;
    item->length -= length;
    set_waiting(voids, item, true);
    if (item->length == 0) delete_item(voids, at);
    return cut_zeros(voids, start, start + length);
}

static uint64_t largest(const struct aeor_voids *voids) {
    uint64_t most = 0;
    for (uint64_t i = 0; i < voids->count; i++)
        if (voids->items[i].length > most) most = voids->items[i].length;
    return most;
}

/* Runs in the ranges, and appended ones that have no offset yet. */
static int take_runs(struct aeor_voids *voids, const uint64_t *lengths, uint64_t count,
                     struct aeor_run *runs, uint64_t *found) {
    uint64_t rest = 0;
    *found = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (lengths[i] == 0 || lengths[i] > UINT32_MAX) return AEOR_ERR_ARGUMENT;
        rest += lengths[i];
    }
    uint64_t most = largest(voids);
    for (uint64_t i = 0, placed; i < count; i += placed) {
        struct aeor_run run = {0, count - i, rest, false};
        int code = rest <= most ? aeor_voids_take(voids, rest, &run.offset) : AEOR_ABSENT;
        if (code == AEOR_ABSENT) {
            /* As many as go into the largest range, of which a void entry may be left. */
            uint64_t room = most > AEOR_ENTRY_START ? most - AEOR_ENTRY_START : 0;
            for (run.count = run.size = 0;
                 i + run.count < count && lengths[i + run.count] <= room - run.size; run.count++)
                run.size += lengths[i + run.count];
            if (run.count) code = aeor_voids_take(voids, run.size, &run.offset);
        }
        if (code == AEOR_ABSENT) {
            run = (struct aeor_run){0, 1, lengths[i], true};
        } else if (code != AEOR_OK) {
            return code;
        } else {
            most = largest(voids);
        }
        placed = run.count;
        rest -= run.size;
        struct aeor_run *last = *found ? runs + *found - 1 : NULL;
        if (last != NULL && last->appended == run.appended &&
            (run.appended || last->offset + last->size == run.offset)) {
            last->count += run.count;
            last->size += run.size;
        } else {
            runs[(*found)++] = run;
        }
    }
    return AEOR_OK;
}

int aeor_voids_place(struct aeor_voids *voids, const uint64_t *lengths, uint64_t count,
                     const uint8_t *keys, const uint8_t *kinds, uint64_t *end,
                     struct aeor_table *table, struct aeor_run *runs, uint64_t *found) {
    int code = take_runs(voids, lengths, count, runs, found);
    for (struct aeor_run *run = runs; code == AEOR_OK && run < runs + *found; run++) {
        if (run->appended) {
            if (run->size > UINT64_MAX - *end) return AEOR_ERR_ARGUMENT;
            run->offset = *end;
            *end += run->size;
        }
        uint64_t at = run->offset;
        for (uint64_t i = 0; code == AEOR_OK && i < run->count; i++) {
            if (*kinds != AEOR_NO_RECORD)
                code = aeor_table_put(table, keys, *kinds, at, (uint32_t)*lengths);
            at += *lengths++;
            keys += AEOR_HASH;
            kinds++;
        }
    }
    return code;
}

uint64_t aeor_voids_before(const struct aeor_voids *voids, uint64_t end) {
    uint64_t at = item_from(voids, end);
    return at > 0 && end_of(voids->items + at - 1) == end ? voids->items[at - 1].length : 0;
}

uint64_t aeor_voids_at(const struct aeor_voids *voids, uint64_t offset) {
    uint64_t at = item_from(voids, offset);
    return at < voids->count && voids->items[at].offset == offset ? voids->items[at].length : 0;
}

int aeor_voids_remove(struct aeor_voids *voids, uint64_t offset) {
    uint64_t at = item_from(voids, offset);
    if (at == voids->count || voids->items[at].offset != offset) return AEOR_ABSENT;
    uint64_t end = end_of(voids->items + at);
    delete_item(voids, at);
    return cut_zeros(voids, offset, end);
}

int aeor_voids_clip(struct aeor_voids *voids, uint64_t start) {
    uint64_t gone = item_from(voids, start);
    if (gone > 0 && end_of(voids->items + gone - 1) > start) {
        struct aeor_void *item = voids->items + --gone;
        item->length = end_of(item) - start;
        item->offset = start;
        set_waiting(voids, item, true);
    }
    if (gone == 0) return cut_zeros(voids, 0, start);
    for (uint64_t i = 0; i < gone; i++) set_waiting(voids, voids->items + i, false);
    voids->count -= gone;
    memmove(voids->items, voids->items + gone, (size_t)voids->count * sizeof *voids->items);
    return cut_zeros(voids, 0, start);
}

static int by_length(const void *left, const void *right) {
    const struct aeor_void *a = left, *b = right;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Of the range at rank `surplus` in the order of lengths: those before it are too many. */
static int last_to_stay(const struct aeor_voids *voids, uint64_t surplus, struct aeor_void *bound) {
    struct aeor_void *sorted = malloc((size_t)voids->count * sizeof *sorted);
    if (sorted == NULL) return AEOR_ERR_MEMORY;
    memcpy(sorted, voids->items, (size_t)voids->count * sizeof *sorted);
    qsort(sorted, (size_t)voids->count, sizeof *sorted, by_length);
    *bound = sorted[surplus < voids->count ? surplus : voids->count - 1];
    if (surplus >= voids->count) bound->offset = UINT64_MAX;
    free(sorted);
    return AEOR_OK;
}

int aeor_voids_keep_largest(struct aeor_voids *voids, uint64_t most) {
    struct aeor_void bound = {0, AEOR_VOID_LEAST, false};
    if (voids->count > most) {
        struct aeor_void stays;
        int code = last_to_stay(voids, voids->count - most, &stays);
        if (code != AEOR_OK) return code;
        if (by_length(&stays, &bound) > 0) bound = stays;
    }
    uint64_t kept = 0;
    for (uint64_t i = 0; i < voids->count; i++) {
        const struct aeor_void *item = voids->items + i;
        if (item->waiting || by_length(item, &bound) >= 0) voids->items[kept++] = *item;
    }
    voids->count = kept;
    return AEOR_OK;
}

int aeor_voids_unsettle(struct aeor_voids *voids, uint64_t offset, uint64_t length) {
    uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    uint64_t at = item_from(voids, offset);
    if (at > 0 && end_of(voids->items + at - 1) > offset) at--;
    for (; at < voids->count && voids->items[at].offset < end; at++) {
        struct aeor_void *item = voids->items + at;
        set_waiting(voids, item, true);
        int code = add_zeros(voids, item->offset, end_of(item));
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

/* ---- writing ---- */

int aeor_voids_next(struct aeor_voids *voids, struct aeor_void_write *write) {
    for (uint64_t i = 0; voids->waiting && i < voids->count; i++) {
        struct aeor_void *item = voids->items + i;
        if (!item->waiting) continue;
        if (item->length < AEOR_ENTRY_START) {
            aeor_voids_settle(voids, item->offset);
            continue;
        }
        uint64_t first = zeros_from(voids, item->offset);
        write->offset = item->offset;
        write->length = item->length;
        write->zeros = voids->zeros + first;
        write->zero_count = join_zeros(voids, first, end_of(item));
        return aeor_void_header(item->length, write->header);
    }
    return AEOR_ABSENT;
}

void aeor_voids_settle(struct aeor_voids *voids, uint64_t offset) {
    uint64_t at = item_from(voids, offset);
    if (at == voids->count || voids->items[at].offset != offset) return;
    set_waiting(voids, voids->items + at, false);
    cut_zeros(voids, offset, end_of(voids->items + at));
}

int aeor_voids_write_short(struct aeor_voids *voids, int fd) {
    uint8_t image[AEOR_VOID_SHORT];
    struct aeor_void_write write;
    int code;
    while ((code = aeor_voids_next(voids, &write)) == AEOR_OK) {
        uint64_t length = AEOR_ENTRY_START;
        if (write.zero_count) {
            uint64_t start = write.zeros->offset - write.offset, end = start + write.zeros->length;
            if (write.zero_count > 1 || start > length || end > sizeof image) break;
            if (end > length) length = end;
        }
        memcpy(image, write.header, AEOR_ENTRY_START);
        memset(image + AEOR_ENTRY_START, 0, (size_t)length - AEOR_ENTRY_START);
        if (pwrite(fd, image, (size_t)length, (off_t)write.offset) != (ssize_t)length) break;
        aeor_voids_settle(voids, write.offset);
    }
    return code == AEOR_ABSENT ? AEOR_OK : code;
}

void aeor_voids_records(const struct aeor_voids *voids, uint8_t *records) {
    for (uint64_t i = 0; i < voids->count; i++, records += AEOR_VOID_RECORD)
        aeor_void_record(voids->items[i].offset, voids->items[i].length, records);
}
