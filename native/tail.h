/* Writing a hot tail (FORMAT.md, Hot tail). */
#ifndef AEOR_TAIL_H
#define AEOR_TAIL_H

#include "aeor.h"
#include "table.h"
#include "voids.h"

/* cdef */
enum {
    AEOR_TAIL_HEADER = 18, /* magic, format version, both counts, CRC-32 of these */
};

/* A hot tail of a table's records, of the free ranges, and of `more` void records that are ready;
 * zeros behind it fill `out`.  `hash` is that of all `length` bytes.
 * AEOR_ERR_BOUNDS, and nothing written, unless the tail fits and its counts fit their fields. */
int aeor_tail_write(const struct aeor_table *table, const struct aeor_voids *voids,
                    const uint8_t *more, uint64_t more_count, uint8_t *out, uint64_t length,
                    uint8_t *hash);
/* end cdef */

#endif
