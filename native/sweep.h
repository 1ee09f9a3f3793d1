/* Sweeping: what a gc takes out of the index, and where the entries are that stay. */
#ifndef AEOR_SWEEP_H
#define AEOR_SWEEP_H

#include "aeor.h"
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

/* Entries that begin in some neighbouring bins of a survey, bin after bin in `items`: places as
 * rooms.h has them, from `low` on. */
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
/* end cdef */

#endif
