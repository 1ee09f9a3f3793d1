/* What verify.c and verify_index.c share: bits, and rows of what was found.  No part of Python's
 * surface. */
#ifndef AEOR_VERIFY_ROWS_H
#define AEOR_VERIFY_ROWS_H

#include "verify.h"

enum { AEOR_NO_KV = 0xff };

/* KV type by entry type (FORMAT.md, Entries).  A scan believes entries of any type. */
static inline uint8_t aeor_kv_type(uint8_t type) {
    static const uint8_t types[] = {AEOR_NO_KV, 0, 1, 2, 3, 4, 5, 7, 9};
    return type < sizeof types ? types[type] : AEOR_NO_KV;
}

static inline bool aeor_bit(const uint32_t *marks, uint64_t slot) {
    return marks != NULL && __atomic_load_n(marks + slot / 32, __ATOMIC_RELAXED) >> slot % 32 & 1;
}

static inline void aeor_bit_set(uint32_t *marks, uint64_t slot) {
    __atomic_fetch_or(marks + slot / 32, 1u << slot % 32, __ATOMIC_RELAXED);
}

struct aeor_rows {
    struct aeor_verify_row *rows;
    uint64_t capacity;
    struct aeor_verify_sums *sums;
};

static inline void aeor_rows_add(struct aeor_rows *rows, int code, uint64_t offset,
                                 uint64_t length, uint8_t type, uint8_t version, uint8_t kv,
                                 const uint8_t *key) {
    uint64_t number = rows->sums->rows++;
    if (number >= rows->capacity) return;
    struct aeor_verify_row *row = rows->rows + number;
    *row = (struct aeor_verify_row){offset, length, code, type, version, kv, {0}};
    if (key != NULL) memcpy(row->key, key, AEOR_HASH);
}

static inline bool aeor_is_root(const struct aeor_verify *verify, const uint8_t *key) {
    for (uint64_t i = 0; i < verify->root_count; i++) {
        if (memcmp(verify->roots + i * AEOR_HASH, key, AEOR_HASH) == 0) return true;
    }
    return false;
}

#endif
