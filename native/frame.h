/* Framing: values into log entries, with their integrity hashes (FORMAT.md, Entries). */
#ifndef AEOR_FRAME_H
#define AEOR_FRAME_H

#include "aeor.h"

/* cdef */
enum { AEOR_FRAME_OVERHEAD = 95 }; /* bytes ahead of the value, with a key of 32 */

/* Completes `count` entries that lie one after the other in `frames`, entry i with its value of
 * value_lengths[i] bytes in place behind AEOR_FRAME_OVERHEAD bytes, which are written here. Keys
 * are 32 bytes each; entry i's time is first_time + i.
 * AEOR_ERR_BOUNDS, and nothing written, unless the entries fill `frames` exactly and each value
 * has at most 2^30 bytes. */
int aeor_frame_entries(uint8_t *frames, size_t frames_length, const uint8_t *types,
                       const uint8_t *versions, const uint8_t *flags, const uint8_t *compressions,
                       const uint8_t *keys, const uint64_t *value_lengths, size_t count,
                       int64_t first_time);

/* The 63 bytes with which a void entry of `total_length` bytes begins: no key,
 * time 0, and a value of zeros, which the hash covers. AEOR_ERR_BOUNDS unless 63 ..= 2^30 + 63. */
int aeor_void_header(uint64_t total_length, uint8_t *out);
/* end cdef */

#endif
