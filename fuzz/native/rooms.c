/* The rooms between entries: items and listed voids made up from the input, over its bytes as log.
 *
 * The first four bytes: items, voids, flags, where the log begins; then each item in three bytes
 * (gap, length in two), each void in four (gap and length in two each). */
#include "rooms.h"

#include <stdlib.h>

#include "entry.h"
#include "frame.h"
#include "index.h"

enum { HEAD = 4, ITEM = 3, VOID = 4, MOST = 256, LARGE = 1, BEYOND = 2 };

static void require(bool holds) {
    if (!holds) abort();
}

struct log {
    const uint8_t *map;
    uint64_t length, low, limit, large_count, void_count;
    uint64_t items[MOST], count;
    struct aeor_range large[MOST];
    uint8_t voids[16 * MOST];
};

/* Rooms in stretches of `most` items: their bytes, and which of these are free. */
static uint64_t rooms_of(const struct log *log, uint64_t most, uint64_t *freed) {
    static struct aeor_room rooms[MOST + 1], special[MOST + 1];
    static struct aeor_range ranges[MOST + 1], above[MOST + 1];
    uint64_t at = log->low, bytes = 0, end = log->low, found;
    *freed = 0;
    for (uint64_t first = 0; first <= log->count; first += most) {
        uint64_t part = log->count - first < most ? log->count - first : most;
        bool last = first + part == log->count;
        struct aeor_sorted sorted;
        require(aeor_sweep_rooms(log->map, log->length, log->low, log->items + first, part,
                                 log->large, log->large_count, &at, last ? log->limit : 0,
                                 log->voids, log->void_count, rooms, &found) == AEOR_OK);
        require(found <= part + 1);
        for (uint64_t i = 0; i < found; i++) {
            require(rooms[i].offset >= end && rooms[i].end > rooms[i].offset);
            end = rooms[i].end;
            require(rooms[i].free <= end - rooms[i].offset);
            require(!rooms[i].settled || rooms[i].free == end - rooms[i].offset);
            if (rooms[i].settled) require(end <= log->length);
        }
        aeor_sweep_sort(rooms, found, ranges, special, &sorted);
        require(sorted.small + sorted.special <= found && sorted.reclaimed <= sorted.bytes);
        bytes += sorted.bytes;
        *freed += sorted.bytes - sorted.reclaimed;
        uint64_t large = aeor_ranges_above(ranges, sorted.small, 100, above);
        require(large <= sorted.small);
        for (uint64_t i = 0; i < large; i++) require(above[i].length >= 100);
        static uint8_t records[13 * (MOST + 1)];
        aeor_ranges_records(ranges, sorted.small, records);
        if (last) break;
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct log log;
    if (size < HEAD) return 0;
    uint8_t flags = data[2];
    log.count = data[0];
    log.void_count = data[1];
    if (size < HEAD + log.count * ITEM + log.void_count * VOID) return 0;
    const uint8_t *items = data + HEAD, *voids = items + log.count * ITEM;
    log.map = voids + log.void_count * VOID;
    log.length = size - (size_t)(log.map - data);
    log.low = data[3] < log.length ? data[3] : log.length;
    log.large_count = 0;
    uint64_t at = log.low, held = 0, end = log.low;
    for (uint64_t i = 0; i < log.count; i++, items += ITEM) {
        uint64_t length = aeor_get16(items + 1), stored = length;
        at += items[0];
        if (!(flags & BEYOND) && at > log.length) at = log.length;
        if (!(flags & BEYOND) && length > log.length - at) stored = length = log.length - at;
        if (flags & LARGE && items[0] % 16 == 15) {
            /* Entries at one place would share the length of the first. */
            bool twice = log.large_count > 0 && log.large[log.large_count - 1].offset == at;
            if (!twice) log.large[log.large_count++] = (struct aeor_range){at, length};
            if (twice) length = log.large[log.large_count - 1].length;
            stored = AEOR_LENGTH_MAX;
        }
        log.items[i] = (at - log.low) << AEOR_LENGTH_BITS | stored;
        if (at + length <= end) continue;
        held += at + length - (at > end ? at : end);
        end = at + length;
    }
    log.limit = end > log.length ? end : log.length;
    at = log.low;
    for (uint64_t i = 0; i < log.void_count; i++, voids += VOID) {
        at += aeor_get16(voids) % 512;
        aeor_put64(log.voids + 16 * i, at);
        at += aeor_get16(voids + 2) % 512 + 1;
        aeor_put64(log.voids + 16 * i + 8, at);
    }
    require(aeor_voids_rise(log.voids, log.void_count));
    uint64_t freed, again;
    uint64_t bytes = rooms_of(&log, UINT32_MAX, &freed);
    require(bytes + held == log.limit - log.low);
    require(rooms_of(&log, 3, &again) == bytes && again == freed);
    return 0;
}
