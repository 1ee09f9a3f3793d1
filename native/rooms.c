#include "rooms.h"

#include <unistd.h>

#include "entry.h"
#include "frame.h"
#include "map.h"

static uint64_t length_of(uint64_t offset, uint64_t length, const struct aeor_range *large,
                          uint64_t count) {
    uint64_t low = 0, high = count;
    if (length < AEOR_LENGTH_MAX) return length;
    while (low < high) { /* the first one at the offset or behind it */
        uint64_t middle = low + (high - low) / 2;
        if (large[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count ? large[low].length : length;
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
        uint64_t offset = i < count ? low + (items[i] >> AEOR_LENGTH_BITS) : limit;
        if (offset > *at) {
            struct aeor_room *room = rooms + *found;
            *room = (struct aeor_room){.offset = *at, .end = offset};
            int code = look(map, map_length, voids, void_count, room);
            if (code != AEOR_OK) return code;
            ++*found;
        }
        if (i == count) break;
        uint64_t end = offset + length_of(offset, items[i] & AEOR_LENGTH_MAX, large, large_count);
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
    for (uint64_t i = 0; i < count; i++, records += AEOR_VOID_RECORD)
        aeor_void_record(ranges[i].offset, ranges[i].length, records);
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
