#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void aeor_file_begin(int fd, uint64_t offset, uint64_t length) {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd, (void)offset, (void)length;
#endif
}

int aeor_file_send(int fd, const uint8_t *data, uint64_t length, uint64_t offset, bool sync) {
    while (sync && fdatasync(fd) != 0)
        if (errno != EINTR) return -errno;
    for (uint64_t done = 0; done < length;) {
        ssize_t now = pwrite(fd, data + done, (size_t)(length - done), (off_t)(offset + done));
        if (now < 0 && errno == EINTR) continue;
        if (now <= 0) return now < 0 ? errno : EIO;
        done += (uint64_t)now;
    }
    aeor_file_begin(fd, 0, 0);
    return AEOR_OK;
}
