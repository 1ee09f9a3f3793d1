/* Verification: the log against its hashes, its addresses and the index, and the other way round.
 *
 * Threads take windows of the log (aeor_log_window), each calls aeor_verify_window; then the index
 * is gone through by page ranges (aeor_verify_pages) and its tables (aeor_verify_tables).  All reads
 * of the map are guarded; what is found comes back as rows. */
#ifndef AEOR_VERIFY_H
#define AEOR_VERIFY_H

#include "aeor.h"
#include "index.h"
#include "log.h"

/* cdef */
/* Codes of rows, beside those of entries (-20 ..) and of records (-40 ..). */
enum {
    AEOR_FOUND_GAP = -60,       /* bytes that belong to no entry */
    AEOR_FOUND_ADDRESS = -61,   /* the key is not the address of the content */
    AEOR_FOUND_FIELDS = -62,    /* a header's version, flags or compression that no entry has */
    AEOR_FOUND_TIME = -63,      /* a time that was never handed out */
    AEOR_FOUND_KIND = -64,      /* the index has it with another type or length */
    AEOR_FOUND_OUTDATED = -65,  /* the index has an older entry of the key */
    AEOR_FOUND_UNINDEXED = -66, /* a name, a system root or an unknown record without a record */
    AEOR_FOUND_PATH = -67,      /* the path key of a file or symlink of HEAD is not as HEAD says */
    AEOR_FOUND_STRAY = -68,     /* a path key of what HEAD does not have */
    AEOR_FOUND_LOST = -69,      /* an index record of which the log has no entry */
    AEOR_FOUND_MISPLACED = -70, /* an entry in a page that its key does not belong to, or twice */
    AEOR_FOUND_PAGE = -71,      /* bytes in an empty page */
    AEOR_FOUND_OVERLAP = -72,   /* a live entry in a free range */
    AEOR_FOUND_COMPRESSED = 1,  /* no fault: a compressed chunk, whose address is still to be checked */
    AEOR_FOUND_FILE = 2,        /* no fault: the record of a file that a version reaches */
};

struct aeor_verify_row {
    uint64_t offset, length;
    int32_t code;
    uint8_t type, version, kv;
    uint8_t key[32];
};

/* What to verify.  All pointers are the caller's; the bitmaps have a bit per slot of the index, in
 * 32-bit words, and are written by all threads. */
struct aeor_verify {
    const struct aeor_index *index;
    uint32_t *seen;      /* set for records whose entry stands in the log where they say */
    uint32_t *loose;     /* set for path keys: of files and symlinks, and directories without address */
    uint32_t *paths;     /* set for path keys that are as HEAD says */
    const uint32_t *head;    /* what HEAD reaches; NULL: path keys are not looked at */
    const uint32_t *reached; /* what any version reaches */
    const uint32_t *skip;    /* entries of these slots are not hashed; or NULL */
    const uint8_t *voids;    /* (u64 offset, u64 end), rising: nothing live may meet them */
    uint64_t void_count;
    const uint8_t *roots; /* keys of directories that the index must have if the log has them */
    uint64_t root_count;
    int64_t latest;  /* no entry has a later time */
    uint64_t sample; /* of 2^32 chunks so many are hashed */
    uint64_t seed;   /* which ones */
    bool files;      /* report the records of files that a version reaches */
    bool strays;     /* report path keys that nothing of HEAD has */
    bool system;     /* `loose` also gets the path keys of system folders */
};

struct aeor_verify_sums {
    uint64_t entries, bytes, hashed;
    uint64_t unindexed, unindexed_bytes; /* entries that the index does not have */
    uint64_t void_entries, void_bytes;
    uint64_t foreign; /* file records under their content key: only AeorDB writes these */
    uint64_t rows; /* all that there were, also those that found no room */
};

enum { AEOR_VERIFY_ROWS = 5 }; /* an entry has no more */

/* Verifies entries that a scan found; up to `capacity` rows. */
int aeor_verify_window(const struct aeor_verify *verify, const struct aeor_log_entry *entries,
                       uint64_t count, struct aeor_verify_row *rows, uint64_t capacity,
                       struct aeor_verify_sums *sums);

/* Goes through the pages first to last - 1: after all windows.  *bad_page with AEOR_ERR_PAGE.
 * rows NULL: only whether the pages hold. */
int aeor_verify_pages(const struct aeor_verify *verify, uint64_t first, uint64_t last,
                      struct aeor_verify_row *rows, uint64_t capacity,
                      struct aeor_verify_sums *sums, uint64_t *bad_page);

/* The same for the records of the tables. */
int aeor_verify_tables(const struct aeor_verify *verify, struct aeor_verify_row *rows,
                       uint64_t capacity, struct aeor_verify_sums *sums);

/* Compares the `dir:` path keys of folders (rows of aeor_places_next) with the index. */
int aeor_verify_places(const struct aeor_verify *verify, const uint8_t *places, uint64_t count,
                       struct aeor_verify_row *rows, uint64_t capacity,
                       struct aeor_verify_sums *sums);
/* end cdef */

#endif
