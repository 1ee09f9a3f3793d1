/* Sweeping: what a gc takes out of the index, and the room between the entries that stay. */
#ifndef AEOR_SWEEP_H
#define AEOR_SWEEP_H

#include "aeor.h"
#include "carry.h"
#include "walk.h"

/* cdef */
enum { AEOR_SWEEP_BINS = 4096 };

/* Entries that count: marked ones are live, all others garbage. */
struct aeor_survey {
    uint64_t live, live_bytes, garbage, garbage_bytes;
    uint64_t bins[4096]; /* live entries by where they begin in the log, in equal parts of it */
};

/* Adds up the pages first to last - 1, and with first 0 the tables.  `start` and `end` are those of
 * the log. */
int aeor_sweep_survey(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                      uint64_t last, uint64_t start, uint64_t end, struct aeor_survey *survey,
                      struct aeor_fault *fault);

void aeor_survey_add(struct aeor_survey *survey, const struct aeor_survey *other);

/* Adds deleted records for the entries of pages from `first` on that are not marked and that no
 * table overlays.  Ends before page *next: at `last`, or where the pages that lose an entry hold
 * `most` entries or more. */
int aeor_sweep_garbage(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                       uint64_t last, uint64_t most, uint64_t *next, struct aeor_bytes *records,
                       struct aeor_fault *fault);

/* Adds all records of the tables, those that are not marked with the deleted flag. */
int aeor_sweep_tables(const struct aeor_index *index, const uint32_t *marks,
                      struct aeor_bytes *records);

/* The marked entries that begin in [low, high), or with marks NULL all that count, in the order of
 * their offsets; *count of them, at most `capacity`. */
int aeor_sweep_extents(const struct aeor_index *index, const uint32_t *marks, uint64_t low,
                       uint64_t high, struct aeor_plan_item *items, uint64_t capacity,
                       uint64_t *count, struct aeor_fault *fault);

/* A range of the log without a live entry. */
struct aeor_room {
    uint64_t offset, end;
    uint64_t free; /* bytes of it that are free already: in void entries, or listed */
    bool settled;  /* it is one void entry as it stands */
    bool deletions; /* deletion entries stand in it */
};

/* The room between *at, the items and `limit`; *at: then where the last of them ends.  There are at
 * most count + 1 rooms.  `voids`: what the hot tail lists, as an index takes it. */
int aeor_sweep_rooms(const uint8_t *map, uint64_t map_length, const struct aeor_plan_item *items,
                     uint64_t count, uint64_t *at, uint64_t limit, const uint8_t *voids,
                     uint64_t void_count, struct aeor_room *rooms, uint64_t *found);

/* A free range as it is to be written. */
struct aeor_range {
    uint64_t offset, length;
};

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

/* The ranges as void records of a hot tail, 13 bytes each. */
void aeor_ranges_records(const struct aeor_range *ranges, uint64_t count, uint8_t *records);

/* Writes void entries over ranges of at most AEOR_SMALL_ROOM bytes; how many before an error.
 * `headers`: room for AEOR_SMALL_ROOM + 1 headers of 64 bytes, zeros at first. */
uint64_t aeor_ranges_write(int fd, const struct aeor_range *ranges, uint64_t count,
                           uint8_t *headers);
/* end cdef */

#endif
