/* Scanning the log, and rebuilding the index from it (FORMAT.md, Hot tail). */
#ifndef AEOR_LOG_H
#define AEOR_LOG_H

#include "aeor.h"

/* cdef */
struct aeor_log_entry {
    uint64_t offset;
    uint64_t length; /* the entry's total length; of a gap, its length */
    int64_t time;
    uint32_t key_length, value_length;
    uint8_t type; /* 0: a gap, bytes that are no entry */
    uint8_t version, flags, compression;
    uint8_t key[32]; /* zero unless key_length is 32 */
};

/* A scan of map[offset .. end); the caller sets these and zeroes the rest. */
struct aeor_log_scan {
    const uint8_t *map;
    uint64_t map_length;
    uint64_t offset, end;
    uint64_t good_end; /* where the last entry found so far ends */
    uint64_t wasted;   /* bytes hashed for headers that turned out false */
};

/* Fills up to `capacity` entries in offset order; *count of them; 0 at the end.  Where no entry
 * begins, the next believable one is searched, however far it is, and the gap reported. */
int aeor_log_scan(struct aeor_log_scan *scan, struct aeor_log_entry *entries, uint64_t capacity,
                  uint64_t *count);

/* The same, but ends once entries of at least `most` bytes together are found. */
int aeor_log_window(struct aeor_log_scan *scan, uint64_t most, struct aeor_log_entry *entries,
                    uint64_t capacity, uint64_t *count);

/* A rebuild of the index: the caller fills in `scan` and `table`, and zeroes the rest. */
struct aeor_rebuild {
    struct aeor_log_scan scan;
    struct aeor_table *table; /* for each key its newest entry; deleted ones are marked */
    int64_t latest;           /* the highest entry time met; 0 if none */
    uint64_t entries, gaps;   /* met so far */
    struct aeor_rebuild_note *notes;
    uint64_t note_capacity;
    uint64_t *deletions;
    uint64_t deletion_count, deletion_capacity;
};

/* Goes on for up to `steps` entries; AEOR_ABSENT once the end is reached. */
int aeor_rebuild_step(struct aeor_rebuild *rebuild, uint64_t steps);

/* Marks what the deletion entries say; once, after the last step. */
int aeor_rebuild_finish(struct aeor_rebuild *rebuild);
void aeor_rebuild_free(struct aeor_rebuild *rebuild);
/* end cdef */

#endif
