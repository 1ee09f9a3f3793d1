/* What is live beside the trees of the versions: entries known by their key or their kind. */
#ifndef AEOR_REACH_H
#define AEOR_REACH_H

#include "aeor.h"
#include "walk.h"

/* cdef */
/* Sets the bits of those keys that the index has; key i begins at byte i * stride (at least 32) of
 * `keys`.  *found: how many there are. */
int aeor_marks_keys(const struct aeor_index *index, uint32_t *marks, const uint8_t *keys,
                    uint64_t count, uint64_t stride, uint64_t *found, struct aeor_fault *fault);

/* Sets the bits of the index entries in pages first to last - 1, and with first 0 in the tables,
 * whose KV type has its bit in `kinds`.  With `own` also those that AeorDB keeps its own records
 * under: file records of version 0 that are no file records. */
int aeor_marks_kinds(const struct aeor_index *index, uint32_t *marks, uint32_t kinds, bool own,
                     uint64_t first, uint64_t last, struct aeor_fault *fault);
/* end cdef */

#endif
