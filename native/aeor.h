/* What every part of the helper shares: codes, widths, unaligned little-endian access.
 *
 * Every function takes (pointer, length) pairs and returns a code: AEOR_OK, or a negative one.
 * Nothing here aborts, prints, or trusts a length that it has not compared with a bound. */
#ifndef AEOR_H
#define AEOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cdef */
enum {
    AEOR_OK = 0,
    AEOR_ERR_ARGUMENT = -1, /* the caller's mistake: a size or an offset out of its bounds */
    AEOR_ERR_MEMORY = -2,
    AEOR_ERR_BOUNDS = -3, /* a length or an offset read from data leaves its buffer */
};
/* end cdef */

#define AEOR_HASH 32 /* length of a BLAKE3-256 hash, and so of a key */

#if defined(__x86_64__) && defined(__GNUC__)
#define AEOR_X86 1
#endif

#define AEOR_LIKELY(x) __builtin_expect(!!(x), 1)
#define AEOR_UNLIKELY(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define AEOR_LE16(x) (x)
#define AEOR_LE32(x) (x)
#define AEOR_LE64(x) (x)
#else
#define AEOR_LE16(x) __builtin_bswap16(x)
#define AEOR_LE32(x) __builtin_bswap32(x)
#define AEOR_LE64(x) __builtin_bswap64(x)
#endif

static inline uint16_t aeor_get16(const void *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return AEOR_LE16(value);
}

static inline uint32_t aeor_get32(const void *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return AEOR_LE32(value);
}

static inline uint64_t aeor_get64(const void *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return AEOR_LE64(value);
}

static inline void aeor_put16(void *to, uint16_t value) {
    value = AEOR_LE16(value);
    memcpy(to, &value, sizeof value);
}

static inline void aeor_put32(void *to, uint32_t value) {
    value = AEOR_LE32(value);
    memcpy(to, &value, sizeof value);
}

static inline void aeor_put64(void *to, uint64_t value) {
    value = AEOR_LE64(value);
    memcpy(to, &value, sizeof value);
}

#endif
