/* Index pages (FORMAT.md, KV block): where a key belongs, reading, checking and building pages.
 *
 * A page holds up to 32 entries of 45 bytes: a hot-tail record without its first byte. */
#ifndef AEOR_PAGE_H
#define AEOR_PAGE_H

#include "aeor.h"

/* cdef */
enum {
    AEOR_ERR_PAGE = -30, /* outside the map, or a bad magic, checksum, count or entry */
};

/* A growing byte string; freed by the caller, also after an error. */
struct aeor_bytes {
    uint8_t *data;
    uint64_t length, capacity;
};
void aeor_bytes_free(struct aeor_bytes *bytes);

/* The page that a key belongs to, of `pages` (at least 1). */
uint64_t aeor_page_of(const uint8_t *key, uint64_t pages);

/* Sets the bit of each record's page in `bitmap`, which has a bit per page. */
int aeor_pages_mark(const uint8_t *records, uint64_t count, uint64_t pages, uint8_t *bitmap);

/* How many of these records would find their page full, were they all there is. */
int aeor_pages_overflow(const uint8_t *records, uint64_t count, uint64_t pages,
                        uint64_t *overflow);

struct aeor_checkpoint {
    struct aeor_bytes numbers;  /* u32 in the machine's order: the pages touched, rising */
    struct aeor_bytes images;   /* their bytes, 1450 each */
    struct aeor_bytes leads;    /* records of all their entries, then of those that leave, by page */
    struct aeor_bytes overflow; /* the records that found their page full */
    uint64_t bad_page;          /* with AEOR_ERR_PAGE */
};
void aeor_checkpoint_free(struct aeor_checkpoint *result);

/* Merges records (each key once) into their pages: in place, else behind the last entry; never
 * moving one.  A deleted record marks its entry, or with `drops` takes it out, as it does with
 * entries that are marked already.  map NULL: the pages are empty so far. */
int aeor_checkpoint(const uint8_t *map, uint64_t map_length, uint64_t kv_offset, uint64_t pages,
                    const uint8_t *records, uint64_t count, bool drops, bool images,
                    struct aeor_checkpoint *result);

/* Makes the first `limit` pages that `leads` of an earlier checkpoint describe, and says how many
 * records these take. */
int aeor_checkpoint_replay(const uint8_t *leads, uint64_t count, uint64_t pages, bool drops,
                           uint64_t limit, uint64_t *used, struct aeor_checkpoint *result);

/* Writes pages into the block at `kv_offset`, neighbours in one call; how many before an error. */
uint64_t aeor_pages_write(int fd, uint64_t kv_offset, const uint32_t *numbers,
                          const uint8_t *images, uint64_t count);
/* end cdef */

#define AEOR_PAGE 1450
#define AEOR_PAGE_MAGIC 0xAE0DB905u
#define AEOR_PAGE_HEADER 10
#define AEOR_PAGE_ENTRY 45
#define AEOR_PAGE_ENTRIES 32

int aeor_bytes_add(struct aeor_bytes *bytes, const void *data, uint64_t length);

/* Copies page number `page` out of the map and checks it; AEOR_ERR_PAGE if it is not a page. */
int aeor_page_load(const uint8_t *map, uint64_t map_length, uint64_t kv_offset, uint64_t pages,
                   uint64_t page, uint8_t image[AEOR_PAGE], uint32_t *count);

/* What aeor_checkpoint does with `drops`, and without images, for one page that is loaded. */
int aeor_page_drop(uint64_t page, uint64_t pages, uint8_t image[AEOR_PAGE], uint32_t count,
                   const uint8_t *records, uint32_t length, struct aeor_checkpoint *result);

/* Completes a page of `count` entries: magic, count, checksum, and zeros behind the last. */
void aeor_page_seal(uint8_t image[AEOR_PAGE], uint32_t count);

static inline uint8_t *aeor_page_entry(uint8_t *image, uint32_t position) {
    return image + AEOR_PAGE_HEADER + (size_t)position * AEOR_PAGE_ENTRY;
}

/* The position of `key` among the first `count` entries; `count` if it is not there. */
static inline uint32_t aeor_page_find(const uint8_t *image, uint32_t count, const uint8_t *key) {
    uint32_t position = 0;
    const uint8_t *entry = image + AEOR_PAGE_HEADER;
    uint64_t first = aeor_get64(key);
    while (position < count &&
           (aeor_get64(entry) != first || memcmp(entry, key, AEOR_HASH) != 0)) {
        position++;
        entry += AEOR_PAGE_ENTRY;
    }
    return position;
}

#endif
