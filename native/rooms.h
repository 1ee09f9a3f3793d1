/* The room between the entries that stay in a log, and void entries over it. */
#ifndef AEOR_ROOMS_H
#define AEOR_ROOMS_H

#include "aeor.h"

/* cdef */
struct aeor_range {
    uint64_t offset, length;
};

/* A range of the log without a live entry. */
struct aeor_room {
    uint64_t offset, end;
    uint64_t free; /* bytes of it that are free already: in void entries, or listed */
    bool settled;  /* it is one void entry as it stands */
    bool deletions; /* deletion entries stand in it */
};

/* A place is that of an entry: its bytes behind some `low` in 40 bits, and below these its length
 * in 24, all ones if it is more than fits. */
enum { AEOR_LENGTH_BITS = 24, AEOR_LENGTH_MAX = 0xffffff };

/* The room between *at, the items and `limit`; *at: then where the last of them ends.  There are at
 * most count + 1 rooms.  The items are places; `large`, by offset, has the lengths that do not fit.
 * `voids`: what the hot tail lists, as an index takes it. */
int aeor_sweep_rooms(const uint8_t *map, uint64_t map_length, uint64_t low, const uint64_t *items,
                     uint64_t count, const struct aeor_range *large, uint64_t large_count,
                     uint64_t *at, uint64_t limit, const uint8_t *voids, uint64_t void_count,
                     struct aeor_room *rooms, uint64_t *found);

enum { AEOR_SMALL_ROOM = 8254 }; /* behind a void entry's header, less than two blocks */

struct aeor_sorted {
    uint64_t bytes, reclaimed;     /* of all rooms; of that, what was not free */
    uint64_t small, special;       /* how many there are of each */
};

/* Sorts rooms out: those without a whole block that could be given back go to `ranges`, all others
 * that a void entry fits into, and those with deletions, to `special`.  Both have room for
 * `count`. */
void aeor_sweep_sort(const struct aeor_room *rooms, uint64_t count, struct aeor_range *ranges,
                     struct aeor_room *special, struct aeor_sorted *sorted);

/* Of `count` ranges those of at least `least` bytes go to `out`; how many. */
uint64_t aeor_ranges_above(const struct aeor_range *ranges, uint64_t count, uint64_t least,
                           struct aeor_range *out);

enum {
    AEOR_VOID_RECORD = 13, /* u8 1, u64 offset, u32 length */
};

/* The ranges as void records of a hot tail. */
void aeor_ranges_records(const struct aeor_range *ranges, uint64_t count, uint8_t *records);

/* Writes void entries over ranges of at most AEOR_SMALL_ROOM bytes; how many before an error.
 * `headers`: room for AEOR_SMALL_ROOM + 1 headers of 64 bytes, zeros at first. */
uint64_t aeor_ranges_write(int fd, const struct aeor_range *ranges, uint64_t count,
                           uint8_t *headers);
/* end cdef */

/* A range of 2^32 bytes or more is stated as one byte less than that. */
static inline void aeor_void_record(uint64_t offset, uint64_t length, uint8_t *record) {
    record[0] = 1;
    aeor_put64(record + 1, offset);
    aeor_put32(record + 9, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length);
}

#endif
