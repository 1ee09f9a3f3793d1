#include "carry.h"

#include "blake3.h"
#include "map.h"
#include "node.h"
#include "table.h"

#define GROUP 128 /* entries whose hashes fill the SIMD lanes together */

/* KV type by entry type (FORMAT.md, Entries). */
static const uint8_t kv_types[] = {0xff, 0, 1, 2, 3, 4, 5, 7, 9};

static bool is_set(const uint32_t *marks, uint64_t slot) {
    return marks != NULL && (marks[slot / 32] >> slot % 32 & 1);
}

static uint8_t kv_of(const struct aeor_plan_item *item) { return (uint8_t)item->place; }

static uint64_t offset_of(const struct aeor_plan_item *item) { return item->place >> 8; }

static bool gets_path_key(const struct aeor_plan_item *item, const uint32_t *paths) {
    uint8_t kv = kv_of(item);
    return (kv == kv_types[AEOR_TYPE_FILE] || kv == kv_types[AEOR_TYPE_SYMLINK]) &&
           is_set(paths, item->slot);
}

static int fail(struct aeor_fault *fault, int code, uint8_t type, const uint8_t *key,
                uint64_t offset, uint64_t page) {
    *fault = (struct aeor_fault){code, type, {0}, offset, page};
    if (key != NULL) memcpy(fault->key, key, AEOR_HASH);
    return code;
}

uint64_t aeor_marks_count(const uint32_t *marks, uint64_t slots) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < (slots + 31) / 32; i++) {
        if (marks[i]) count += (uint64_t)__builtin_popcount(marks[i]);
    }
    return count;
}

int aeor_marks_combine(uint32_t *marks, const uint32_t *other, uint64_t slots, int how) {
    uint64_t words = (slots + 31) / 32;
    switch (how) {
    case AEOR_MARKS_ADD:
        for (uint64_t i = 0; i < words; i++) marks[i] |= other[i];
        return AEOR_OK;
    case AEOR_MARKS_REMOVE:
        for (uint64_t i = 0; i < words; i++) marks[i] &= ~other[i];
        return AEOR_OK;
    case AEOR_MARKS_KEEP:
        for (uint64_t i = 0; i < words; i++) marks[i] &= other[i];
        return AEOR_OK;
    default:
        return AEOR_ERR_ARGUMENT;
    }
}

struct filling {
    const struct aeor_index *index;
    const uint32_t *paths;
    struct aeor_plan_item *items;
    uint64_t count, capacity;
    struct aeor_plan_sums *sums;
    struct aeor_fault *fault;
};

/* Adds the item of a slot; `behind_key` is what stands behind the key in its index entry. */
static int add_item(struct filling *filling, uint64_t slot, const uint8_t *key,
                    const uint8_t *behind_key) {
    uint8_t kv = behind_key[0] & AEOR_KV_TYPE;
    uint64_t offset = aeor_get64(behind_key + 1);
    uint32_t length = aeor_get32(behind_key + 9);
    if (!aeor_inside(offset, length, filling->index->map_length) || offset >> 55) {
        return fail(filling->fault, AEOR_ERR_ENTRY_BOUNDS, 0, key, offset, 0);
    }
    if (length < AEOR_ENTRY_START + AEOR_HASH) {
        return fail(filling->fault, AEOR_ERR_ENTRY_LENGTHS, 0, key, offset, 0);
    }
    if (filling->count == filling->capacity || slot > UINT32_MAX) return AEOR_ERR_ARGUMENT;
    struct aeor_plan_item *item = filling->items + filling->count++;
    *item = (struct aeor_plan_item){offset << 8 | kv, length, (uint32_t)slot};
    filling->sums->counts[kv]++;
    filling->sums->bytes[kv] += length;
    if (gets_path_key(item, filling->paths)) {
        filling->sums->path_count++;
        filling->sums->path_bytes += length;
    }
    return AEOR_OK;
}

static int fill_from_pages(struct filling *filling, const uint32_t *marks) {
    const struct aeor_index *index = filling->index;
    uint8_t image[AEOR_PAGE];
    if (index->no_pages) return AEOR_OK;
    for (uint64_t page = 0; page < index->pages; page++) {
        uint32_t count, word = marks[page];
        if (word == 0) continue;
        int code = aeor_index_page(index, page, image, &count);
        for (; word != 0 && code == AEOR_OK; word &= word - 1) {
            uint32_t at = (uint32_t)__builtin_ctz(word);
            const uint8_t *entry = aeor_page_entry(image, at);
            if (at >= count) {
                code = AEOR_ERR_PAGE; /* an entry that was there left it */
            } else {
                code = add_item(filling, page * AEOR_PAGE_ENTRIES + at, entry, entry + AEOR_HASH);
                if (code != AEOR_OK) return code;
            }
        }
        if (code != AEOR_OK) return fail(filling->fault, code, 0, NULL, 0, page);
    }
    return AEOR_OK;
}

static int fill_from_tables(struct filling *filling, const uint32_t *marks) {
    uint64_t slots = aeor_index_slots(filling->index);
    uint64_t paged = filling->index->no_pages ? 0 : filling->index->pages * AEOR_PAGE_ENTRIES;
    int code = AEOR_OK;
    for (uint64_t slot = paged; slot < slots && code == AEOR_OK; slot++) {
        if (!is_set(marks, slot)) continue;
        const uint8_t *record = aeor_index_record(filling->index, slot);
        code = add_item(filling, slot, record + AEOR_RECORD_KEY, record + AEOR_RECORD_KV);
    }
    return code;
}

static void sort_few(struct aeor_plan_item *items, uint64_t count) {
    for (uint64_t i = 1; i < count; i++) {
        struct aeor_plan_item item = items[i];
        uint64_t at = i;
        for (; at > 0 && items[at - 1].place > item.place; at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

/* In place, by one byte of the place after the other; never deeper than eight calls. */
static void sort_items(struct aeor_plan_item *items, uint64_t count, int shift) {
    uint64_t starts[257] = {0}, ends[256];
    if (count <= 48) {
        sort_few(items, count);
        return;
    }
    for (uint64_t i = 0; i < count; i++) starts[(items[i].place >> shift & 0xff) + 1]++;
    for (int b = 0; b < 256; b++) starts[b + 1] += starts[b];
    memcpy(ends, starts, sizeof ends);
    for (int b = 0; b < 256; b++) {
        while (ends[b] < starts[b + 1]) {
            struct aeor_plan_item *item = items + ends[b];
            int home = (int)(item->place >> shift & 0xff);
            if (home == b) {
                ends[b]++;
            } else {
                struct aeor_plan_item swapped = items[ends[home]];
                items[ends[home]++] = *item;
                *item = swapped;
            }
        }
    }
    if (shift == 0) return;
    for (int b = 0; b < 256; b++) {
        sort_items(items + starts[b], starts[b + 1] - starts[b], shift - 8);
    }
}

void aeor_plan_sort(struct aeor_plan_item *items, uint64_t count) { sort_items(items, count, 56); }

int aeor_plan_fill(const struct aeor_index *index, const uint32_t *marks, const uint32_t *paths,
                   struct aeor_plan_item *items, uint64_t capacity, struct aeor_plan_sums *sums,
                   struct aeor_fault *fault) {
    struct filling filling = {index, paths, items, 0, capacity, sums, fault};
    memset(sums, 0, sizeof *sums);
    int code = fill_from_pages(&filling, marks);
    if (code == AEOR_OK) code = fill_from_tables(&filling, marks);
    if (code == AEOR_OK && filling.count != capacity) code = AEOR_ERR_ARGUMENT;
    if (code == AEOR_OK) sort_items(items, capacity, 56);
    return code;
}

uint64_t aeor_plan_window(const struct aeor_plan_item *items, uint64_t count, uint64_t first,
                          const uint32_t *paths, uint64_t most, uint64_t *bytes,
                          uint64_t *entries) {
    uint64_t at = first;
    *bytes = *entries = 0;
    for (; at < count; at++) {
        uint64_t copies = gets_path_key(items + at, paths) ? 2 : 1;
        if (at > first && *bytes + copies * items[at].length > most) break;
        *bytes += copies * items[at].length;
        *entries += copies;
    }
    return at;
}

/* A window in the making. */
struct carrying {
    const struct aeor_index *index;
    const uint32_t *paths, *system;
    uint8_t *out, *records;
    uint64_t used, capacity, made, record_capacity;
    int64_t latest;
    struct aeor_fault *fault;
    aeor_blake3_batch batch;
    uint64_t at[GROUP]; /* where the group's entries begin */
    uint8_t hashes[GROUP][AEOR_HASH];
};

static int add_record(struct carrying *work, uint64_t at, uint64_t length) {
    const uint8_t *entry = work->out + at;
    if (work->made == work->record_capacity) return AEOR_ERR_ARGUMENT;
    aeor_record_write(work->records + work->made++ * AEOR_RECORD, entry + AEOR_ENTRY_START,
                      kv_types[entry[5]], at, (uint32_t)length);
    return AEOR_OK;
}

/* Copies one entry, and checks all but its hash. */
static int copy_one(struct carrying *work, const struct aeor_plan_item *item, uint64_t at) {
    uint8_t *entry = work->out + at, key[AEOR_HASH];
    uint64_t offset = offset_of(item);
    struct aeor_entry parsed;
    int code = aeor_index_key(work->index, item->slot, key);
    if (code != AEOR_OK) return fail(work->fault, code, 0, NULL, offset, 0);
    code = aeor_map_copy(entry, work->index->map, work->index->map_length, offset, item->length);
    if (code == AEOR_OK) code = aeor_entry_parse(entry, offset, &parsed);
    if (code == AEOR_OK &&
        (parsed.total_length != item->length || parsed.key_length != AEOR_HASH)) {
        code = AEOR_ERR_ENTRY_LENGTHS;
    }
    if (code == AEOR_OK && memcmp(entry + AEOR_ENTRY_START, key, AEOR_HASH) != 0) {
        code = AEOR_ERR_ENTRY_KEY;
    }
    if (code == AEOR_OK &&
        (parsed.type >= sizeof kv_types || kv_types[parsed.type] != kv_of(item))) {
        code = AEOR_ERR_WALK_TYPE;
    }
    if (code != AEOR_OK) return fail(work->fault, code, 0, key, offset, 0);
    if (parsed.time > work->latest) work->latest = parsed.time;
    return AEOR_OK;
}

static void hash_entry(struct carrying *work, uint64_t at, uint64_t length, uint8_t *hash) {
    uint8_t *entry = work->out + at;
    aeor_blake3_add(&work->batch, entry + 5, 1, entry + AEOR_ENTRY_START,
                    length - AEOR_ENTRY_START, hash);
}

/* The key of the path in a record, to `hash` with the next flush. */
static int hash_path(struct carrying *work, uint64_t at, uint64_t length, uint8_t *hash) {
    static const uint8_t file[] = {'f', 'i', 'l', 'e', ':'};
    static const uint8_t symlink[] = {'s', 'y', 'm', 'l', 'i', 'n', 'k', ':'};
    const uint8_t *entry = work->out + at, *value = entry + AEOR_ENTRY_START + AEOR_HASH;
    struct aeor_record_fields fields;
    uint64_t bad_at;
    bool is_file = entry[5] == AEOR_TYPE_FILE;
    int code = aeor_record_fields(entry[5], entry[4], value,
                                  length - AEOR_ENTRY_START - AEOR_HASH, &fields, &bad_at);
    if (code != AEOR_OK) return code;
    aeor_blake3_add(&work->batch, is_file ? file : symlink,
                    is_file ? sizeof file : sizeof symlink, value + fields.name_at,
                    fields.name_length, hash);
    return AEOR_OK;
}

static int fail_item(struct carrying *work, const struct aeor_plan_item *item, uint64_t at,
                     int code) {
    const uint8_t *entry = work->out + at;
    return fail(work->fault, code, entry[5], entry + AEOR_ENTRY_START, offset_of(item), 0);
}

static int copy_group(struct carrying *work, const struct aeor_plan_item *items, uint64_t count) {
    int code;
    aeor_blake3_start(&work->batch);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t copies = gets_path_key(items + i, work->paths) ? 2 : 1;
        uint64_t length = items[i].length;
        if (copies * length > work->capacity - work->used) return AEOR_ERR_ARGUMENT;
        work->at[i] = work->used;
        code = copy_one(work, items + i, work->at[i]);
        if (code != AEOR_OK) return code;
        hash_entry(work, work->at[i], length, work->hashes[i]);
        work->used += copies * length;
    }
    aeor_blake3_flush(&work->batch);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *entry = work->out + work->at[i];
        if (memcmp(work->hashes[i], entry + AEOR_ENTRY_HEADER, AEOR_HASH) != 0) {
            return fail_item(work, items + i, work->at[i], AEOR_ERR_ENTRY_HASH);
        }
        if (is_set(work->system, items[i].slot)) entry[6] |= 1;
        if (!gets_path_key(items + i, work->paths)) continue;
        code = hash_path(work, work->at[i], items[i].length, work->hashes[i]);
        if (code != AEOR_OK) return fail_item(work, items + i, work->at[i], code);
    }
    aeor_blake3_flush(&work->batch);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = work->at[i], length = items[i].length;
        code = add_record(work, at, length);
        if (code != AEOR_OK) return code;
        if (!gets_path_key(items + i, work->paths)) continue;
        uint8_t *copy = work->out + at + length;
        memcpy(copy, work->out + at, length);
        memcpy(copy + AEOR_ENTRY_START, work->hashes[i], AEOR_HASH);
        hash_entry(work, at + length, length, copy + AEOR_ENTRY_HEADER);
        code = add_record(work, at + length, length);
        if (code != AEOR_OK) return code;
    }
    aeor_blake3_flush(&work->batch);
    return AEOR_OK;
}

int aeor_carry(const struct aeor_index *index, const struct aeor_plan_item *items, uint64_t count,
               const uint32_t *paths, const uint32_t *system, uint8_t *out, uint64_t capacity,
               uint8_t *records, uint64_t record_capacity, int64_t *latest,
               struct aeor_fault *fault) {
    struct carrying work;
    work.index = index;
    work.paths = paths;
    work.system = system;
    work.out = out;
    work.records = records;
    work.used = work.made = 0;
    work.capacity = capacity;
    work.record_capacity = record_capacity;
    work.latest = 0;
    work.fault = fault;
    for (uint64_t i = 0; i < count; i += GROUP) {
        int code = copy_group(&work, items + i, count - i < GROUP ? count - i : GROUP);
        if (code != AEOR_OK) return code;
    }
    *latest = work.latest;
    return AEOR_OK;
}

int aeor_plan_older(const struct aeor_index *index, const struct aeor_plan_item *items,
                    uint64_t count, int64_t time, uint64_t *older, struct aeor_fault *fault) {
    *older = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct aeor_entry entry;
        int code = aeor_entry_header(index->map, index->map_length, offset_of(items + i),
                                     items[i].length, &entry);
        if (code != AEOR_OK) {
            uint8_t key[AEOR_HASH] = {0};
            aeor_index_key(index, items[i].slot, key);
            return fail(fault, code, 0, key, offset_of(items + i), 0);
        }
        *older += entry.time <= time;
    }
    return AEOR_OK;
}

struct inserting {
    uint8_t *block;
    uint64_t pages;
    const uint8_t *records;
    uint64_t count, base;
    struct aeor_bytes *overflow;
    struct aeor_fault *fault;
};

static int insert_work(void *context) {
    struct inserting *work = context;
    const uint8_t *record = work->records;
    for (uint64_t i = 0; i < work->count; i++, record += AEOR_RECORD) {
        uint8_t moved[AEOR_RECORD];
        const uint8_t *key = record + AEOR_RECORD_KEY;
        uint8_t *page = work->block + aeor_page_of(key, work->pages) * AEOR_PAGE;
        uint32_t count = aeor_get16(page + 8);
        if (count > AEOR_PAGE_ENTRIES) return AEOR_ERR_ARGUMENT;
        if (aeor_page_find(page, count, key) < count) {
            return fail(work->fault, AEOR_ERR_WALK_TWICE, 0, key, 0, 0);
        }
        memcpy(moved, record, AEOR_RECORD);
        aeor_put64(moved + AEOR_RECORD_OFFSET,
                   aeor_get64(record + AEOR_RECORD_OFFSET) + work->base);
        if (count == AEOR_PAGE_ENTRIES) {
            int code = aeor_bytes_add(work->overflow, moved, AEOR_RECORD);
            if (code != AEOR_OK) return code;
            continue;
        }
        memcpy(aeor_page_entry(page, count), moved + 1, AEOR_PAGE_ENTRY);
        aeor_put16(page + 8, (uint16_t)(count + 1));
    }
    return AEOR_OK;
}

int aeor_block_insert(uint8_t *block, uint64_t pages, const uint8_t *records, uint64_t count,
                      uint64_t base, struct aeor_bytes *overflow, struct aeor_fault *fault) {
    struct inserting work = {block, pages, records, count, base, overflow, fault};
    if (pages == 0) return AEOR_ERR_ARGUMENT;
    return aeor_guarded(block, pages * AEOR_PAGE, insert_work, &work);
}

struct sealing {
    uint8_t *block;
    uint64_t pages;
};

static int seal_work(void *context) {
    struct sealing *work = context;
    for (uint64_t i = 0; i < work->pages; i++) {
        uint8_t *page = work->block + i * AEOR_PAGE;
        uint32_t count = aeor_get16(page + 8);
        if (count > AEOR_PAGE_ENTRIES) return AEOR_ERR_ARGUMENT;
        if (count > 0) aeor_page_seal(page, count);
    }
    return AEOR_OK;
}

int aeor_block_seal(uint8_t *block, uint64_t pages) {
    struct sealing work = {block, pages};
    return aeor_guarded(block, pages * AEOR_PAGE, seal_work, &work);
}
