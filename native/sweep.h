/* Sweeping: what a gc takes out of the index, and the room between the entries that stay. */
#ifndef AEOR_SWEEP_H
#define AEOR_SWEEP_H

#include "aeor.h"
#include "walk.h"

/* cdef */
enum { AEOR_SWEEP_BINS = 4096 };

struct aeor_range {
    uint64_t offset, length;
};

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

/* The checkpoint, without images, that takes what is not marked out of the pages from `first` on.
 * `waiting`: the tables' records of these pages and later ones, by page, which go along; *used of
 * them.  Ends before page *next: at `last`, or where the pages that lose an entry hold `most`
 * entries or more.  *drops: an entry leaves, or one of the waiting records is a deleted one. */
int aeor_sweep_drop(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                    uint64_t last, uint64_t most, const uint8_t *waiting, uint64_t waiting_count,
                    uint64_t *used, uint64_t *next, bool *drops, struct aeor_checkpoint *result,
                    struct aeor_fault *fault);

/* Adds all records of the tables, those that are not marked with the deleted flag. */
int aeor_sweep_tables(const struct aeor_index *index, const uint32_t *marks,
                      struct aeor_bytes *records);

/* Entries that begin in some neighbouring bins of a survey, each bin's from its start in `items` on:
 * bytes behind `low` in 40 bits, and their length in 24, all ones if it is more than fits. */
struct aeor_gather {
    uint64_t start, width; /* of the first of all bins, and of each */
    uint64_t first, bins;  /* the bins */
    uint64_t low;          /* where the first of them begins */
    uint64_t *next;        /* for each of them, where its next item goes */
    const uint64_t *ends;  /* and where its items end */
    uint64_t *items;
};

/* Gathers the marked entries of the pages first to last - 1, and with first 0 of the tables; with
 * marks NULL all that count.  Threads may share the gathering.  `large`: struct aeor_range of those
 * whose length does not fit. */
int aeor_sweep_extents(const struct aeor_index *index, const uint32_t *marks, uint64_t first,
                       uint64_t last, struct aeor_gather *gather, struct aeor_bytes *large,
                       struct aeor_fault *fault);

/* Brings what was gathered in the order of offsets; how many there are. */
uint64_t aeor_sweep_order(struct aeor_gather *gather);

/* A range of the log without a live entry. */
struct aeor_room {
    uint64_t offset, end;
    uint64_t free; /* bytes of it that are free already: in void entries, or listed */
    bool settled;  /* it is one void entry as it stands */
    bool deletions; /* deletion entries stand in it */
};

/* The room between *at, the items and `limit`; *at: then where the last of them ends.  There are at
 * most count + 1 rooms.  The items count from `low`; `large`, by offset, has the lengths of large
 * ones.  `voids`: what the hot tail lists, as an index takes it. */
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

/* The ranges as void records of a hot tail, 13 bytes each. */
void aeor_ranges_records(const struct aeor_range *ranges, uint64_t count, uint8_t *records);

/* Writes void entries over ranges of at most AEOR_SMALL_ROOM bytes; how many before an error.
 * `headers`: room for AEOR_SMALL_ROOM + 1 headers of 64 bytes, zeros at first. */
uint64_t aeor_ranges_write(int fd, const struct aeor_range *ranges, uint64_t count,
                           uint8_t *headers);
/* end cdef */

#endif
