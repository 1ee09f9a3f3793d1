#include "tail.h"

#include "blake3.h"
#include "crc32.h"

static const uint8_t START[] = {0xae, 0x01, 0x7d, 0xb1, 0x0d, 1}; /* magic, format version */

int aeor_tail_write(const struct aeor_table *table, const struct aeor_voids *voids,
                    const uint8_t *more, uint64_t more_count, uint8_t *out, uint64_t length,
                    uint8_t *hash) {
    if (table->count > UINT32_MAX || voids->count > UINT32_MAX ||
        more_count > UINT32_MAX - voids->count)
        return AEOR_ERR_BOUNDS;
    uint64_t records = table->count * AEOR_RECORD, listed = voids->count * AEOR_VOID_RECORD;
    uint64_t used = AEOR_TAIL_HEADER + records + listed + more_count * AEOR_VOID_RECORD;
    if (used > length) return AEOR_ERR_BOUNDS;

    uint8_t *at = out;
    memcpy(at, START, sizeof START);
    aeor_put32(at + 6, (uint32_t)table->count);
    aeor_put32(at + 10, (uint32_t)(voids->count + more_count));
    aeor_put32(at + 14, aeor_crc32(at, 14, 0));
    at += AEOR_TAIL_HEADER;
    if (records) memcpy(at, table->records, (size_t)records);
    at += records;
    aeor_voids_records(voids, at);
    at += listed;
    if (more_count) memcpy(at, more, (size_t)more_count * AEOR_VOID_RECORD);
    memset(out + used, 0, (size_t)(length - used));

    aeor_blake3(out, (size_t)length, hash);
    return AEOR_OK;
}
