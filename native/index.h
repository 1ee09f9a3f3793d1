/* One view's index: tables of newer records over the pages of the map, less what voids cover. */
#ifndef AEOR_INDEX_H
#define AEOR_INDEX_H

#include "aeor.h"
#include "page.h"

/* cdef */
enum { AEOR_INDEX_TABLES = 4 };

/* All pointers are the caller's and outlive the index. */
struct aeor_index {
    const uint8_t *map;
    uint64_t map_length;
    uint64_t kv_offset, pages;
    const struct aeor_table *tables[4]; /* asked in this order; the first that knows answers */
    uint32_t table_count;
    bool no_pages;          /* the tables are all there is */
    const uint8_t *covered; /* NULL, or a bit per page: that page is answered by the tables alone */
    const uint8_t *voids;   /* (u64 offset, u64 end) little-endian, rising, disjoint */
    uint64_t void_count;
};

struct aeor_hit {
    uint64_t offset;
    uint64_t page; /* the bad page, with AEOR_ERR_PAGE */
    int64_t time;
    uint32_t total_length;
    uint32_t value_at, value_length; /* the value, within the scratch buffer */
    uint8_t kv, type, version, flags, compression;
};

/* True if each void ends behind its start and no later than the next one's start. */
bool aeor_voids_rise(const uint8_t *voids, uint64_t count);

/* True if the bytes from `offset` meet one of these voids; they end at the end of numbers at the
 * latest. */
bool aeor_voids_meet(const uint8_t *voids, uint64_t count, uint64_t offset, uint64_t length);

/* Where the entry of `key` (32 bytes) is: fills kv, offset and total_length. */
int aeor_index_find(const struct aeor_index *index, const uint8_t *key, struct aeor_hit *hit);

/* How many slots there are: a page's entry has slot page * 32 + position, and behind all pages the
 * records of the tables follow, in their order. */
uint64_t aeor_index_slots(const struct aeor_index *index);

/* As aeor_index_find, and the slot of what was found.  Unless `checked`, a page is searched where it
 * lies, without its checksum: the key is the one asked for then, all else may be torn.  A page that
 * is being written is read again for a while before it is AEOR_ERR_PAGE. */
int aeor_index_slot(const struct aeor_index *index, const uint8_t *key, bool checked,
                    struct aeor_hit *hit, uint64_t *slot);

/* For `count` keys whether each is there. */
int aeor_index_has(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                   bool *there, struct aeor_hit *hit);

/* The same: a 46-byte record each, of which the first byte is 0 if absent. */
int aeor_index_find_many(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                         uint8_t *records, struct aeor_hit *hit);

/* Finds, copies to `scratch` and verifies an entry whose total length is at most `capacity`. */
int aeor_index_read(const struct aeor_index *index, const uint8_t *key, uint8_t *scratch,
                    uint64_t capacity, struct aeor_hit *hit);

/* Fills `out` with the values of the first of `count` chunks, one after the other, and `lengths` with
 * their lengths; returns how many. Each is checked against its address. It stops before a chunk that
 * is compressed, a system's, missing, bad, or larger than what is left of `capacity`:
 * aeor_index_read() says which. */
uint64_t aeor_index_chunks(const struct aeor_index *index, const uint8_t *keys, uint64_t count,
                           uint8_t *out, uint64_t capacity, uint32_t *lengths);

enum {
    AEOR_SCAN_LIVE = -1,   /* live records of any KV type */
    AEOR_SCAN_KILLED = -2, /* those that meet a void, marked as deleted */
};

/* Adds the records of pages first to last - 1 that no table overlays: the live ones of that KV
 * type, or as above. */
int aeor_index_scan_pages(const struct aeor_index *index, uint64_t first, uint64_t last,
                          int kv_type, struct aeor_bytes *records, struct aeor_hit *hit);

/* Adds the live records of that KV type, or of any, in the tables. */
int aeor_index_scan_tables(const struct aeor_index *index, int kv_type,
                           struct aeor_bytes *records);
/* end cdef */

/* aeor_page_load, tried again for a while if the page is bad: a writer may be at work. */
int aeor_index_page(const struct aeor_index *index, uint64_t page, uint8_t image[AEOR_PAGE],
                    uint32_t *count);

/* Whether a page's entry counts: it is not deleted, meets no void, and no table overlays it. */
bool aeor_index_counts(const struct aeor_index *index, const uint8_t *entry);

/* Whether a table has a record of the key, perhaps a deleted one. */
bool aeor_index_overlaid(const struct aeor_index *index, const uint8_t *key);

/* Whether the tables alone answer for a page. */
bool aeor_index_covered(const struct aeor_index *index, uint64_t page);

/* Has the page of a key brought into the cache, for who asks for many keys soon. */
void aeor_index_prefetch(const struct aeor_index *index, const uint8_t *key);

/* The record behind a slot of the tables, or NULL. */
const uint8_t *aeor_index_record(const struct aeor_index *index, uint64_t slot);

/* Copies the key at a slot; a page's entry never moves, so that this needs no checksum. */
int aeor_index_key(const struct aeor_index *index, uint64_t slot, uint8_t key[AEOR_HASH]);

#endif
