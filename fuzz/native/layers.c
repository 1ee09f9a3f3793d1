/* An index of several tables over pages that begin anywhere, with voids and pages that the tables
 * answer for: every way to ask it says the same. */
#include "made.h"
#include "reach.h"

enum { PAGES_COVERED = 2, VOIDS = 4, LAYERS = AEOR_INDEX_TABLES };

struct layers {
    struct aeor_index index;
    struct aeor_table tables[LAYERS];
    uint8_t voids[32], *map;
};

static void begin(struct layers *layers, const struct made *made) {
    uint64_t shift = made->root[0], third = made->length / 3;
    memset(layers, 0, sizeof *layers);
    layers->map = malloc(shift + made->length + 1);
    memset(layers->map, 0xdb, shift);
    memcpy(layers->map + shift, made->map, made->length);
    for (int i = 0; i < LAYERS; i++) aeor_table_init(layers->tables + i, 7, 8 + (uint64_t)i);
    for (uint64_t i = 0; i < made->table.count; i++) {
        const uint8_t *record = made->table.records + i * AEOR_RECORD;
        uint64_t first = made->root[1 + i % 31];
        require(aeor_table_put_many(layers->tables + first % LAYERS, record, 1) == AEOR_OK);
        /* Some keys are in two of them: the first one counts. */
        if (first & 64) {
            require(aeor_table_put_many(layers->tables + first / 8 % LAYERS, record, 1) == 0);
        }
    }
    aeor_put64(layers->voids, third);
    aeor_put64(layers->voids + 8, third + 200);
    aeor_put64(layers->voids + 16, third + 200);
    aeor_put64(layers->voids + 24, third + 500);
    layers->index = (struct aeor_index){
        .map = layers->map,
        .map_length = shift + made->length,
        .kv_offset = shift,
        .pages = made->index.pages,
        .tables = {layers->tables, layers->tables + 1, layers->tables + 2, layers->tables + 3},
        .table_count = 1 + made->root[2] % LAYERS,
        .no_pages = made->index.no_pages,
        .covered = made->flags & PAGES_COVERED ? made->root : NULL,
        .voids = layers->voids,
        .void_count = made->flags & VOIDS ? 2 : 0,
    };
}

static void end(struct layers *layers) {
    for (int i = 0; i < LAYERS; i++) aeor_table_free(layers->tables + i);
    free(layers->map);
}

static void check_key(const struct aeor_index *index, const uint8_t *key, bool found) {
    struct aeor_hit hit = {0}, quick = {0}, checked = {0};
    uint64_t slot, again;
    uint8_t record[AEOR_RECORD], at[AEOR_HASH];
    int code = aeor_index_find(index, key, &hit);
    require(code == AEOR_OK || code == AEOR_ABSENT);
    require(!found || code == AEOR_OK);
    require(aeor_index_slot(index, key, true, &checked, &slot) == code);
    require(aeor_index_find_many(index, key, 1, record, &quick) == AEOR_OK);
    require(record[0] == (code == AEOR_OK));
    bool there = code != AEOR_OK;
    require(aeor_index_has(index, key, 1, &there, &quick) == AEOR_OK && there == (code == AEOR_OK));
    if (code != AEOR_OK) return;
    bool paged = aeor_index_record(index, slot) == NULL;
    require(!paged || !aeor_voids_meet(index->voids, index->void_count, hit.offset,
                                       hit.total_length));
    require(slot < aeor_index_slots(index) && hit.offset == checked.offset);
    require(hit.kv == checked.kv && hit.total_length == checked.total_length);
    require(aeor_index_key(index, slot, at) == AEOR_OK && memcmp(at, key, AEOR_HASH) == 0);
    require(aeor_index_slot(index, key, false, &quick, &again) == AEOR_OK && again == slot);
    aeor_index_prefetch(index, key);
    struct aeor_bytes value = {0};
    struct aeor_entry entry;
    for (uint8_t type = AEOR_TYPE_CHUNK; type <= AEOR_TYPE_SYMLINK; type++) {
        code = aeor_walk_fetch(index, key, type, &quick, &value, &entry);
        if (code == AEOR_OK) require(entry.type == type && entry.value_length <= value.capacity);
    }
    aeor_bytes_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct made made;
    struct layers layers;
    struct aeor_bytes records = {0};
    struct aeor_hit hit = {0};
    struct aeor_fault fault;
    uint8_t key[AEOR_HASH];
    uint64_t found;
    if (!made_begin(&made, data, size, 0)) return 0;
    begin(&layers, &made);
    const struct aeor_index *index = &layers.index;
    require(aeor_voids_rise(index->voids, index->void_count));
    require(aeor_index_scan_pages(index, 0, index->pages, AEOR_SCAN_LIVE, &records, &hit) == 0);
    require(aeor_index_scan_tables(index, AEOR_SCAN_LIVE, &records) == AEOR_OK);
    for (uint64_t i = 0; i < records.length / AEOR_RECORD && i < 64; i++) {
        /* A key in the wrong page, or twice in one, is found nowhere or elsewhere. */
        check_key(index, records.data + i * AEOR_RECORD + AEOR_RECORD_KEY, false);
    }
    uint64_t slots = aeor_index_slots(index);
    uint32_t *marks = calloc(slots / 32 + 1, sizeof *marks);
    require(aeor_marks_keys(index, marks, made.root, 1, AEOR_HASH, &found, &fault) == AEOR_OK);
    require(aeor_marks_keys(index, marks, made.root, 1, 7, &found, &fault) == AEOR_ERR_ARGUMENT);
    free(marks);
    for (uint64_t slot = 0; slot < slots && slot < 200; slot++) {
        require(aeor_index_key(index, slot, key) == AEOR_OK);
        check_key(index, key, false);
    }
    require(aeor_index_key(index, slots, key) != AEOR_OK);
    check_key(index, made.root, false);
    aeor_bytes_free(&records);
    end(&layers);
    made_end(&made);
    return 0;
}
