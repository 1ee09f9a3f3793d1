/* An open-addressing hash table of index records, kept in hot-tail form (FORMAT.md, Hot tail). */
#ifndef AEOR_TABLE_H
#define AEOR_TABLE_H

#include "aeor.h"

/* cdef */
/* The records stand one after the other, in the order of their first put; slots hold 1 + number.
 * Not to be changed by one thread while another reads it. */
struct aeor_table {
    uint8_t *records;
    uint32_t *slots;
    uint64_t count, capacity, slot_count;
    uint64_t seed[2];
};

/* Makes an empty table; the seed is secret per process, so that keys cannot be made to collide. */
void aeor_table_init(struct aeor_table *table, uint64_t seed0, uint64_t seed1);
void aeor_table_free(struct aeor_table *table);

/* Makes `table`, which is empty, one with the records of `other`. */
int aeor_table_copy(struct aeor_table *table, const struct aeor_table *other);

/* Room for `count` records in all. */
int aeor_table_reserve(struct aeor_table *table, uint64_t count);

/* Puts `count` records of 46 bytes each; a key that is there already is replaced in place. */
int aeor_table_put_many(struct aeor_table *table, const uint8_t *records, uint64_t count);
int aeor_table_put(struct aeor_table *table, const uint8_t *key, uint8_t kv, uint64_t offset,
                   uint32_t total_length);

/* The record's number, or -1. */
int64_t aeor_table_find(const struct aeor_table *table, const uint8_t *key);

/* The record's KV type and flags, offset and total length; AEOR_ABSENT if there is none. */
int aeor_table_get(const struct aeor_table *table, const uint8_t *key, uint64_t location[3]);
/* end cdef */

/* A record: u8 1, key, u8 KV type and flags, u64 offset, u32 total length. */
#define AEOR_RECORD 46
#define AEOR_RECORD_KEY 1
#define AEOR_RECORD_KV (1 + AEOR_HASH)
#define AEOR_RECORD_OFFSET (2 + AEOR_HASH)
#define AEOR_RECORD_LENGTH (10 + AEOR_HASH)

#define AEOR_KV_TYPE 0x0f
#define AEOR_KV_DELETED 0x20

static inline void aeor_record_write(uint8_t *record, const uint8_t *key, uint8_t kv,
                                     uint64_t offset, uint32_t total_length) {
    record[0] = 1;
    memmove(record + AEOR_RECORD_KEY, key, AEOR_HASH);
    record[AEOR_RECORD_KV] = kv;
    aeor_put64(record + AEOR_RECORD_OFFSET, offset);
    aeor_put32(record + AEOR_RECORD_LENGTH, total_length);
}

/* The record of `key`; a new one (with zero type, offset, length) if there was none. */
int aeor_table_slot(struct aeor_table *table, const uint8_t *key, uint64_t *number, bool *fresh);

#endif
