/* Guarded reading of a mapped file.
 *
 * A mapped file that another process cuts, or whose disk fails, raises SIGBUS in the thread that
 * reads it.  Reads of the map run under a guard that turns this into AEOR_ERR_FAULT; a SIGBUS that
 * is not ours goes to the handler that was there before. */
#ifndef AEOR_MAP_H
#define AEOR_MAP_H

#include "aeor.h"

/* cdef */
enum {
    AEOR_ERR_FAULT = -10, /* the mapped file could not be read at a place inside the map */
};

/* Puts the SIGBUS handler in place (again, if somebody else's has replaced it). */
int aeor_guard_install(void);

/* Copies map[offset .. offset + length) to `to`; AEOR_ERR_BOUNDS if that leaves the map. */
int aeor_map_copy(uint8_t *to, const uint8_t *map, uint64_t map_length, uint64_t offset,
                  uint64_t length);
/* end cdef */

/* Runs work(context) with reads of [base, base + length) guarded; its result, or AEOR_ERR_FAULT.
 * The work is left in the middle at a fault: it must own nothing that only its stack knows. */
int aeor_guarded(const void *base, uint64_t length, int (*work)(void *), void *context);

/* True if [offset, offset + length) lies within `whole` bytes; nothing here can overflow. */
static inline bool aeor_inside(uint64_t offset, uint64_t length, uint64_t whole) {
    return offset <= whole && length <= whole - offset;
}

#endif
