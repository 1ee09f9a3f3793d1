/* An index and a log made up from the input: pages, records of a table, flags, a root's key; then
 * these records, then the map: the block from offset 0, the log behind.
 *
 * Page checksums and integrity hashes are made good first, so that what a lie reaches is what is
 * tested, not the check before it. */
#ifndef MADE_H
#define MADE_H

#include <stdlib.h>

#include "carry.h"
#include "entry.h"
#include "index.h"
#include "map.h"
#include "table.h"

enum { MADE_HEAD = 3 + AEOR_HASH };

struct made {
    struct aeor_index index;
    struct aeor_table table;
    uint8_t *map;
    uint64_t length, log; /* of the map; where its log begins */
    const uint8_t *root;
    uint8_t flags; /* bit 0: the index has no pages; the others are the target's */
};

static inline void require(bool holds) {
    if (!holds) abort();
}

static inline void made_mend(struct made *made, bool hashes) {
    for (uint64_t page = 0; page < made->index.pages; page++) {
        uint8_t *image = made->map + page * AEOR_PAGE;
        uint32_t count = aeor_get16(image + 8);
        /* A bad page would be read again and again, for a while. */
        if (count > AEOR_PAGE_ENTRIES) count = 0;
        if (count > 0) aeor_page_seal(image, count);
        if (count == 0) memset(image, 0, AEOR_PAGE);
    }
    for (uint64_t at = made->log; hashes && at < made->length; at++) {
        struct aeor_entry entry;
        uint8_t *image = made->map + at;
        if (!aeor_inside(at, AEOR_ENTRY_START, made->length)) return;
        if (aeor_entry_parse(image, at, &entry) != AEOR_OK) continue;
        if (!aeor_inside(at, entry.total_length, made->length)) continue;
        aeor_entry_hash(entry.type, image + AEOR_ENTRY_START,
                        entry.total_length - AEOR_ENTRY_START, image + AEOR_ENTRY_HEADER);
        at += entry.total_length - 1;
    }
}

/* False, and nothing to free, if the input is too short. */
static inline bool made_begin(struct made *made, const uint8_t *data, size_t size,
                              uint8_t unmended) {
    memset(made, 0, sizeof *made);
    if (size < MADE_HEAD) return false;
    uint64_t records = data[1];
    if (!aeor_inside(MADE_HEAD, records * AEOR_RECORD, size)) return false;
    const uint8_t *rows = data + MADE_HEAD;
    made->flags = data[2];
    made->root = data + 3;
    made->length = size - MADE_HEAD - records * AEOR_RECORD;
    made->map = malloc(made->length + !made->length);
    memcpy(made->map, rows + records * AEOR_RECORD, made->length);
    made->index.pages = data[0] * (uint64_t)AEOR_PAGE <= made->length ? data[0]
                                                                      : made->length / AEOR_PAGE;
    made->log = made->index.pages * AEOR_PAGE;
    made_mend(made, !(made->flags & unmended));
    aeor_table_init(&made->table, 3, 4);
    require(aeor_table_put_many(&made->table, rows, records) == AEOR_OK);
    made->index.tables[0] = &made->table;
    made->index.table_count = 1;
    made->index.no_pages = made->flags & 1;
    made->index.map = made->map;
    made->index.map_length = made->length;
    return true;
}

static inline void made_end(struct made *made) {
    aeor_table_free(&made->table);
    free(made->map);
}

/* A bitmap over the slots, all clear; freed by the caller. */
static inline uint32_t *made_marks(const struct made *made) {
    return calloc((aeor_index_slots(&made->index) + 31) / 32 + 1, 4);
}

#endif
