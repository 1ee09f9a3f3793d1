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

/* Counts the whole index.  `start` and `end` are those of the log. */
int aeor_sweep_survey(const struct aeor_index *index, const uint32_t *marks, uint64_t start,
                      uint64_t end, struct aeor_survey *survey, struct aeor_fault *fault);

/* Adds deleted records for the entries of pages from `first` on that are not marked and that no
 * table overlays.  Ends before page *next: at `last`, or where the pages that lose an entry hold
 * `most` entries or more. */
int aeor_sweep_garbage(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                       uint64_t last, uint64_t most, uint64_t *next, struct aeor_bytes *records,
                       struct aeor_fault *fault);

/* Adds all records of the tables, those that are not marked with the deleted flag. */
int aeor_sweep_tables(const struct aeor_index *index, const uint32_t *marks,
                      struct aeor_bytes *records);

/* The marked entries that begin in [low, high), in the order of their offsets; *count of them, at
 * most `capacity`. */
int aeor_sweep_extents(const struct aeor_index *index, const uint32_t *marks, uint64_t low,
                       uint64_t high, struct aeor_plan_item *items, uint64_t capacity,
                       uint64_t *count, struct aeor_fault *fault);

/* A range of the log without a live entry. */
struct aeor_room {
    uint64_t offset, end;
    uint64_t free; /* bytes of it that are free already: in void entries, or listed */
    bool settled;  /* it is one void entry as it stands */
};

/* The room between *at, the items and `limit`; *at: then where the last of them ends.  There are at
 * most count + 1 rooms.  `voids`: what the hot tail lists, as an index takes it. */
int aeor_sweep_rooms(const uint8_t *map, uint64_t map_length, const struct aeor_plan_item *items,
                     uint64_t count, uint64_t *at, uint64_t limit, const uint8_t *voids,
                     uint64_t void_count, struct aeor_room *rooms, uint64_t *found);
/* end cdef */

#endif
