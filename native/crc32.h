/* CRC-32, the IEEE one (zlib's): by carry-less multiplication where the CPU has it, else by
 * eight tables. */
#ifndef AEOR_CRC32_H
#define AEOR_CRC32_H

#include "aeor.h"

/* cdef */
/* The CRC-32 of what `value` is the CRC-32 of (0: of nothing) and the `length` bytes behind it. */
uint32_t aeor_crc32(const uint8_t *data, size_t length, uint32_t value);

/* The same by tables alone (for tests). */
uint32_t aeor_crc32_tables(const uint8_t *data, size_t length, uint32_t value);
/* end cdef */

#endif
