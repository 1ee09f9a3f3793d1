/* An index over a block of pages with a log behind it; tables, voids and marks from the input.
 *
 * The first four bytes: pages, records of a table, voids, marked pages.  Then these records and
 * voids, then the map: the block from offset 0, the log behind. */
#include "index.h"

#include <stdlib.h>

#include "entry.h"
#include "map.h"
#include "table.h"

static void require(bool holds) {
    if (!holds) abort();
}

static void check_scan(const struct aeor_index *index, int kind) {
    struct aeor_bytes records = {0};
    struct aeor_hit hit;
    int code = aeor_index_scan_pages(index, 0, index->pages, kind, &records, &hit);
    require(code == AEOR_OK || code == AEOR_ERR_PAGE);
    if (kind == AEOR_SCAN_LIVE) {
        require(aeor_index_scan_tables(index, kind, &records) == AEOR_OK);
    }
    for (uint64_t at = 0; at < records.length; at += AEOR_RECORD) {
        const uint8_t *key = records.data + at + AEOR_RECORD_KEY;
        uint8_t scratch[2000];
        if (kind == AEOR_SCAN_KILLED) {
            require(records.data[at + AEOR_RECORD_KV] & AEOR_KV_DELETED);
            continue;
        }
        uint32_t length = 0;
        if (aeor_index_chunks(index, key, 1, scratch, sizeof scratch, &length) != 0) {
            require(length <= sizeof scratch);
        }
        code = aeor_index_read(index, key, scratch, sizeof scratch, &hit);
        if (code != AEOR_OK) continue;
        require(memcmp(scratch + AEOR_ENTRY_START, key, AEOR_HASH) == 0);
        require(hit.value_at + (uint64_t)hit.value_length <= sizeof scratch);
    }
    aeor_bytes_free(&records);
}

static void check_checkpoint(const struct aeor_index *index, bool drops) {
    const struct aeor_table *table = index->tables[0];
    struct aeor_checkpoint made = {0}, again = {0};
    uint64_t used;
    int code = aeor_checkpoint(index->map, index->map_length, 0, index->pages, table->records,
                               table->count, drops, true, &made);
    require(code == AEOR_OK || code == AEOR_ERR_PAGE || index->pages == 0);
    if (code == AEOR_OK) {
        require(aeor_checkpoint_replay(made.leads.data, made.leads.length / AEOR_RECORD,
                                       index->pages, drops, UINT64_MAX, &used, &again) == AEOR_OK);
        require(again.images.length == made.images.length);
        require(made.images.length == 0 ||
                memcmp(again.images.data, made.images.data, made.images.length) == 0);
    }
    aeor_checkpoint_free(&made);
    aeor_checkpoint_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_index index = {0};
    struct aeor_table table;
    struct aeor_checkpoint replayed = {0};
    uint64_t used;
    if (size < 4) return 0;
    uint64_t records = data[1], voids = data[2];
    uint8_t marks[32];
    memset(marks, data[3], sizeof marks);
    index.pages = data[0];
    if (!aeor_inside(4, records * AEOR_RECORD + voids * 16, size)) return 0;
    const uint8_t *rows = data + 4;
    aeor_table_init(&table, 3, 4);
    require(aeor_table_put_many(&table, rows, records) == AEOR_OK && table.count <= records);
    index.tables[0] = &table;
    index.table_count = 1;
    index.voids = rows + records * AEOR_RECORD;
    index.void_count = aeor_voids_rise(index.voids, voids) ? voids : 0;
    index.map = index.voids + voids * 16;
    index.map_length = size - (size_t)(index.map - data);
    if (data[3] & 1) index.covered = marks;
    check_scan(&index, AEOR_SCAN_LIVE);
    check_scan(&index, AEOR_SCAN_KILLED);
    check_checkpoint(&index, false);
    check_checkpoint(&index, true);
    aeor_checkpoint_replay(rows, records, index.pages, true, UINT64_MAX, &used, &replayed);
    aeor_checkpoint_free(&replayed);
    aeor_table_free(&table);
    return 0;
}
