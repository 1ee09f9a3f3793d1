/* A log: the scan covers it without holes, and a rebuild finds entries that are there. */
#include "log.h"

#include <stdlib.h>

#include "entry.h"
#include "map.h"
#include "table.h"

static void require(bool holds) {
    if (!holds) abort();
}

static uint64_t check_scan(const uint8_t *data, size_t size) {
    struct aeor_log_scan scan = {.map = data, .map_length = size, .end = size};
    struct aeor_log_entry found[3];
    uint64_t count, at = 0, entries = 0;
    bool was_gap = false;
    do {
        require(aeor_log_scan(&scan, found, 3, &count) == AEOR_OK);
        for (uint64_t i = 0; i < count; i++) {
            bool gap = found[i].type == 0;
            require(found[i].offset == at && found[i].length > 0);
            require(!(gap && was_gap));
            at += found[i].length;
            entries += !gap;
            was_gap = gap;
        }
    } while (count > 0);
    require(at == size);
    require(scan.good_end <= size);
    return entries;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_table table;
    uint64_t entries = check_scan(data, size);
    aeor_table_init(&table, 1, 2);
    struct aeor_rebuild rebuild = {
        .scan = {.map = data, .map_length = size, .end = size},
        .table = &table,
    };
    int code;
    do {
        code = aeor_rebuild_step(&rebuild, 2);
    } while (code == AEOR_OK);
    require(code == AEOR_ABSENT && aeor_rebuild_finish(&rebuild) == AEOR_OK);
    require(rebuild.entries == entries && table.count <= entries);
    for (uint64_t i = 0; i < table.count; i++) {
        const uint8_t *record = table.records + i * AEOR_RECORD;
        struct aeor_entry entry;
        uint64_t offset = aeor_get64(record + AEOR_RECORD_OFFSET);
        require(aeor_entry_header(data, size, offset, aeor_get32(record + AEOR_RECORD_LENGTH),
                                  &entry) == AEOR_OK);
        require(memcmp(data + offset + AEOR_ENTRY_START, record + AEOR_RECORD_KEY, AEOR_HASH) == 0);
    }
    aeor_rebuild_free(&rebuild);
    aeor_table_free(&table);
    return 0;
}
