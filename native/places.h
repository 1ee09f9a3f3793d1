/* Places: every folder of a version by its path, each as often as the tree holds it. */
#ifndef AEOR_PLACES_H
#define AEOR_PLACES_H

#include "aeor.h"
#include "walk.h"

/* cdef */
enum { AEOR_PLACE = 72 }; /* path key, key of the directory, i64 time of the directory's entry */

struct aeor_places;

/* The folder at `path` (no slash at its end; of the root: empty) and all below it, at most `limit`
 * places.  The index is the caller's and outlives this.  NULL: no memory. */
struct aeor_places *aeor_places_new(const struct aeor_index *index, const uint8_t *root,
                                    const uint8_t *path, uint64_t path_length, uint64_t limit);
void aeor_places_free(struct aeor_places *places);

/* Up to `capacity` rows of AEOR_PLACE bytes, a folder before those below it; *count 0: no more.
 * rows NULL: only counts. */
int aeor_places_next(struct aeor_places *places, uint8_t *rows, uint64_t capacity, uint64_t *count,
                     struct aeor_fault *fault);
/* end cdef */

#endif
