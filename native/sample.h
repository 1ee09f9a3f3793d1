/* Whether bytes are worth a compressor's time, from samples. */
#ifndef AEOR_SAMPLE_H
#define AEOR_SAMPLE_H

#include "aeor.h"

/* cdef */
/* loose[i] is 1 if piece i, lengths[i] bytes at offsets[i], may shrink by an eighth because some of
 * its bytes come more often than others: 16 windows of 512 bytes are counted, spread evenly, and
 * one that is uneven will do. Pieces too short for that are all loose. Repeated stretches are not
 * seen. AEOR_ERR_BOUNDS if a piece leaves the buffer. */
int aeor_samples(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                 const uint64_t *lengths, size_t count, uint8_t *loose);
/* end cdef */

#endif
