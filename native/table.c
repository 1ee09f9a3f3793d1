#include "table.h"

#include <stdlib.h>

#include "entry.h"

#define FIRST_SLOTS 64
#define MOST_RECORDS 0xfffffff0u /* numbers fit 32 bits */

static inline uint64_t turn(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

#define SIPROUND                                    \
    do {                                            \
        a += b, b = turn(b, 13) ^ a, a = turn(a, 32); \
        c += d, d = turn(d, 16) ^ c;                \
        a += d, d = turn(d, 21) ^ a;                \
        c += b, b = turn(b, 17) ^ c, c = turn(c, 32); \
    } while (0)

/* SipHash-1-3 of a 32-byte key: keys come from the file, where anybody can make them collide. */
static uint64_t hash_key(const struct aeor_table *table, const uint8_t *key) {
    uint64_t a = table->seed[0] ^ 0x736f6d6570736575u, b = table->seed[1] ^ 0x646f72616e646f6du;
    uint64_t c = table->seed[0] ^ 0x6c7967656e657261u, d = table->seed[1] ^ 0x7465646279746573u;
    for (int i = 0; i < AEOR_HASH; i += 8) {
        uint64_t word = aeor_get64(key + i);
        d ^= word;
        SIPROUND;
        a ^= word;
    }
    c ^= 0xff;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    return a ^ b ^ c ^ d;
}

void aeor_table_init(struct aeor_table *table, uint64_t seed0, uint64_t seed1) {
    memset(table, 0, sizeof *table);
    table->seed[0] = seed0;
    table->seed[1] = seed1;
}

void aeor_table_free(struct aeor_table *table) {
    free(table->records);
    free(table->slots);
    aeor_table_init(table, table->seed[0], table->seed[1]);
}

static inline uint8_t *record_at(const struct aeor_table *table, uint64_t number) {
    return table->records + number * AEOR_RECORD;
}

/* The slot where `key` is, or the empty one where it would go. */
static uint64_t probe(const struct aeor_table *table, const uint8_t *key) {
    uint64_t mask = table->slot_count - 1;
    uint64_t slot = hash_key(table, key) & mask;
    while (table->slots[slot] != 0 &&
           memcmp(record_at(table, table->slots[slot] - 1) + AEOR_RECORD_KEY, key, AEOR_HASH)) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static int resize_slots(struct aeor_table *table, uint64_t slot_count) {
    uint32_t *slots = slot_count > SIZE_MAX / sizeof *slots ? NULL : calloc(slot_count, sizeof *slots);
    if (slots == NULL) return AEOR_ERR_MEMORY;
    uint64_t mask = slot_count - 1;
    for (uint64_t number = 0; number < table->count; number++) {
        uint64_t slot = hash_key(table, record_at(table, number) + AEOR_RECORD_KEY) & mask;
        while (slots[slot] != 0) slot = (slot + 1) & mask;
        slots[slot] = (uint32_t)(number + 1);
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return AEOR_OK;
}

int aeor_table_reserve(struct aeor_table *table, uint64_t count) {
    if (count > MOST_RECORDS || count > SIZE_MAX / (2 * AEOR_RECORD)) return AEOR_ERR_MEMORY;
    uint64_t slot_count = table->slot_count ? table->slot_count : FIRST_SLOTS;
    while (slot_count < 2 * count) slot_count *= 2; /* at most half full: short probes */
    /* Slots first: there must never be room for more records than there are slots. */
    if (slot_count != table->slot_count) {
        int code = resize_slots(table, slot_count);
        if (code != AEOR_OK) return code;
    }
    if (count > table->capacity) {
        uint8_t *records = realloc(table->records, count * AEOR_RECORD);
        if (records == NULL) return AEOR_ERR_MEMORY;
        table->records = records;
        table->capacity = count;
    }
    return AEOR_OK;
}

int aeor_table_copy(struct aeor_table *table, const struct aeor_table *other) {
    if (other->count == 0) return AEOR_OK;
    uint64_t count = other->count + 16; /* a copy is made to put more */
    uint8_t *records = malloc(count * AEOR_RECORD);
    uint32_t *slots = malloc(other->slot_count * sizeof *slots);
    if (records == NULL || slots == NULL || 2 * count > other->slot_count) {
        free(slots);
        free(records);
        int code = aeor_table_reserve(table, count);
        return code != AEOR_OK ? code : aeor_table_put_many(table, other->records, other->count);
    }
    memcpy(records, other->records, other->count * AEOR_RECORD);
    memcpy(slots, other->slots, other->slot_count * sizeof *slots);
    table->records = records;
    table->slots = slots;
    table->count = other->count;
    table->capacity = count;
    table->slot_count = other->slot_count;
    memcpy(table->seed, other->seed, sizeof table->seed);
    return AEOR_OK;
}

int aeor_table_slot(struct aeor_table *table, const uint8_t *key, uint64_t *number, bool *fresh) {
    uint64_t slot = 0;
    if (table->slot_count != 0) {
        slot = probe(table, key);
        if (table->slots[slot] != 0) {
            *number = table->slots[slot] - 1;
            *fresh = false;
            return AEOR_OK;
        }
    }
    if (table->count == table->capacity) {
        uint64_t wanted = table->capacity < 16 ? 32 : table->capacity + table->capacity / 2;
        int code = aeor_table_reserve(table, wanted);
        if (code != AEOR_OK) return code;
        slot = probe(table, key);
    }
    *number = table->count++;
    *fresh = true;
    table->slots[slot] = (uint32_t)table->count;
    aeor_record_write(record_at(table, *number), key, 0, 0, 0);
    return AEOR_OK;
}

int aeor_table_put(struct aeor_table *table, const uint8_t *key, uint8_t kv, uint64_t offset,
                   uint32_t total_length) {
    uint64_t number;
    bool fresh;
    int code = aeor_table_slot(table, key, &number, &fresh);
    if (code == AEOR_OK) {
        aeor_record_write(record_at(table, number), key, kv, offset, total_length);
    }
    return code;
}

int aeor_table_put_many(struct aeor_table *table, const uint8_t *records, uint64_t count) {
    for (uint64_t i = 0; i < count; i++, records += AEOR_RECORD) {
        int code = aeor_table_put(table, records + AEOR_RECORD_KEY, records[AEOR_RECORD_KV],
                                  aeor_get64(records + AEOR_RECORD_OFFSET),
                                  aeor_get32(records + AEOR_RECORD_LENGTH));
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

int64_t aeor_table_find(const struct aeor_table *table, const uint8_t *key) {
    if (table->slot_count == 0) return -1;
    uint32_t taken = table->slots[probe(table, key)];
    return taken ? (int64_t)taken - 1 : -1;
}

int aeor_table_get(const struct aeor_table *table, const uint8_t *key, uint64_t location[3]) {
    int64_t number = aeor_table_find(table, key);
    if (number < 0) return AEOR_ABSENT;
    const uint8_t *record = record_at(table, (uint64_t)number);
    location[0] = record[AEOR_RECORD_KV];
    location[1] = aeor_get64(record + AEOR_RECORD_OFFSET);
    location[2] = aeor_get32(record + AEOR_RECORD_LENGTH);
    return AEOR_OK;
}
