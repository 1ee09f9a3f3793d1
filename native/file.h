/* System calls on an open file that happen with every commit, several in one call of Python's. */
#ifndef AEOR_FILE_H
#define AEOR_FILE_H

#include "aeor.h"

/* cdef */
/* Lets the system begin to write a range to the disk (length 0: to the end of the file).
 * Promises nothing, waits for nothing, and takes no error away from a later sync. */
void aeor_file_begin(int fd, uint64_t offset, uint64_t length);

/* Writes all of the data at `offset`, and lets the system begin with whatever of the file is not on
 * its way yet.  `sync`: makes durable first what was written earlier.  The code is 0, the errno of
 * the write, or minus the errno of the sync; after one of these nothing else is done. */
int aeor_file_send(int fd, const uint8_t *data, uint64_t length, uint64_t offset, bool sync);
/* end cdef */

#endif
