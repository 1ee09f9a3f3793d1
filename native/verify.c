#include "verify.h"

#include <stdlib.h>

#include "blake3.h"
#include "entry.h"
#include "map.h"
#include "node.h"
#include "table.h"
#include "verify_address.h"

enum { NO_KV = 0xff };

/* KV type by entry type (FORMAT.md, Entries).  A scan believes entries of any type. */
static uint8_t kv_type(uint8_t type) {
    static const uint8_t types[] = {NO_KV, 0, 1, 2, 3, 4, 5, 7, 9};
    return type < sizeof types ? types[type] : NO_KV;
}

static bool is_set(const uint32_t *marks, uint64_t slot) {
    return marks != NULL && __atomic_load_n(marks + slot / 32, __ATOMIC_RELAXED) >> slot % 32 & 1;
}

static void set(uint32_t *marks, uint64_t slot) {
    __atomic_fetch_or(marks + slot / 32, 1u << slot % 32, __ATOMIC_RELAXED);
}

struct rows {
    struct aeor_verify_row *rows;
    uint64_t capacity;
    struct aeor_verify_sums *sums;
};

static void add_row(struct rows *rows, int code, uint64_t offset, uint64_t length, uint8_t type,
                    uint8_t version, uint8_t kv, const uint8_t *key) {
    uint64_t number = rows->sums->rows++;
    if (number >= rows->capacity) return;
    struct aeor_verify_row *row = rows->rows + number;
    *row = (struct aeor_verify_row){offset, length, code, type, version, kv, {0}};
    if (key != NULL) memcpy(row->key, key, AEOR_HASH);
}

static void find_entry(struct rows *rows, int code, const struct aeor_log_entry *entry) {
    add_row(rows, code, entry->offset, entry->length, entry->type, entry->version, 0, entry->key);
}

/* ---- windows of the log ---- */

enum { GROUP = AEOR_ADDRESS_GROUP };

struct windowing {
    const struct aeor_verify *verify;
    const struct aeor_log_entry *entries;
    uint64_t count;
    struct rows rows;
    struct aeor_addressing addressing;
    uint8_t stored[GROUP][AEOR_HASH], integrity[GROUP][AEOR_HASH];
    bool hashed[GROUP], intact[GROUP], located[GROUP];
    uint64_t slots[GROUP];
    struct aeor_hit hits[GROUP];
    int found[GROUP];
};

/* Chosen by its offset, so that the same seed gives the same sample. */
static bool in_sample(const struct aeor_verify *verify, uint64_t offset) {
    uint64_t x = (offset ^ verify->seed) * 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    return (x * 0xbf58476d1ce4e5b9u) >> 32 < verify->sample;
}

/* Whether an index record of the key stands at this entry, or where else. */
static void locate(struct windowing *work, uint64_t at, const struct aeor_log_entry *entry) {
    work->located[at] = false;
    work->found[at] = AEOR_ABSENT;
    work->hits[at] = (struct aeor_hit){0};
    if (entry->type == AEOR_TYPE_VOID || entry->key_length != AEOR_HASH) return;
    work->found[at] = aeor_index_slot(work->verify->index, entry->key, false, work->hits + at,
                                      work->slots + at);
    work->located[at] =
        work->found[at] == AEOR_OK && work->hits[at].offset == entry->offset;
}

static void locate_all(struct windowing *work, const struct aeor_log_entry *entries,
                       uint64_t count) {
    for (uint64_t i = 0; i < count; i++) locate(work, i, entries + i);
}

/* Fields of the header that no hash covers. */
static bool fields_are_good(const struct aeor_log_entry *entry) {
    if (entry->flags > 1 || entry->compression > (entry->type == AEOR_TYPE_CHUNK)) return false;
    return entry->version == 0 || (entry->version == 1 && entry->type == AEOR_TYPE_FILE);
}

static bool is_root(const struct aeor_verify *verify, const uint8_t *key) {
    for (uint64_t i = 0; i < verify->root_count; i++) {
        if (memcmp(verify->roots + i * AEOR_HASH, key, AEOR_HASH) == 0) return true;
    }
    return false;
}

/* True if the entry should be the one that the index has, and not the one it has. */
static bool supersedes(const struct windowing *work, uint64_t at,
                       const struct aeor_log_entry *entry) {
    const struct aeor_index *index = work->verify->index;
    const struct aeor_hit *hit = work->hits + at;
    struct aeor_entry other;
    uint8_t stored[AEOR_HASH];
    if (entry->type == AEOR_TYPE_CHUNK || !work->intact[at]) return false;
    if (aeor_entry_header(index->map, index->map_length, hit->offset, hit->total_length, &other) !=
            AEOR_OK ||
        aeor_map_copy(stored, index->map, index->map_length, hit->offset + AEOR_ENTRY_HEADER,
                      AEOR_HASH) != AEOR_OK) {
        return false; /* found when the index is gone through */
    }
    if (entry->time < other.time || (entry->time == other.time && entry->offset < other.offset)) {
        return false;
    }
    /* With content a directory counts more than an empty one, in a rebuild. */
    if (entry->type == AEOR_TYPE_DIRECTORY && entry->value_length == 0) return false;
    return memcmp(stored, work->stored[at], AEOR_HASH) != 0;
}

static void check_index(struct windowing *work, uint64_t at, const struct aeor_log_entry *entry,
                        bool own) {
    const struct aeor_verify *verify = work->verify;
    const struct aeor_hit *hit = work->hits + at;
    if (work->located[at]) {
        set(verify->seen, work->slots[at]);
        if ((hit->kv & AEOR_KV_TYPE) != kv_type(entry->type) ||
            hit->total_length != entry->length) {
            find_entry(&work->rows, AEOR_FOUND_KIND, entry);
        }
        return;
    }
    if (work->found[at] == AEOR_OK) {
        if (supersedes(work, at, entry)) find_entry(&work->rows, AEOR_FOUND_OUTDATED, entry);
        return;
    }
    if (hit->kv & AEOR_KV_DELETED) return;
    work->rows.sums->unindexed++;
    work->rows.sums->unindexed_bytes += entry->length;
    if (work->intact[at] && (own || entry->type == AEOR_TYPE_SNAPSHOT ||
                             entry->type == AEOR_TYPE_FORK || is_root(verify, entry->key))) {
        find_entry(&work->rows, AEOR_FOUND_UNINDEXED, entry);
    }
}

/* Whether the path key of a file or symlink that HEAD has leads to what HEAD has. */
static void check_path(struct windowing *work, const struct aeor_log_entry *entry,
                       const struct aeor_address *address) {
    const struct aeor_verify *verify = work->verify;
    const struct aeor_index *index = verify->index;
    struct aeor_hit hit = {0};
    struct aeor_entry other;
    uint64_t slot;
    int code = aeor_index_slot(index, address->path_key, false, &hit, &slot);
    if (code == AEOR_OK) {
        code = aeor_entry_header(index->map, index->map_length, hit.offset, hit.total_length,
                                 &other);
    }
    if (code == AEOR_OK && other.type == entry->type && other.key_length == AEOR_HASH &&
        aeor_address_same(entry, address, index->map + entry->offset + AEOR_ADDRESS_VALUE,
                          index->map + hit.offset + AEOR_ADDRESS_VALUE, other.version,
                          other.value_length)) {
        set(verify->paths, slot);
    } else {
        find_entry(&work->rows, AEOR_FOUND_PATH, entry);
    }
}

/* What an entry's address says of it, once it is known. */
static void judge(struct windowing *work, uint64_t at, const struct aeor_log_entry *entry) {
    const struct aeor_verify *verify = work->verify;
    const struct aeor_address *address = work->addressing.of + at;
    check_index(work, at, entry, address->match == AEOR_MATCH_OWN);
    if (!work->hashed[at] || !work->intact[at]) return;
    switch (address->match) {
    case AEOR_MATCH_MALFORMED:
        find_entry(&work->rows, address->code, entry);
        break;
    case AEOR_MATCH_NONE:
        if (entry->type == AEOR_TYPE_DIRECTORY) {
            if (work->located[at]) set(verify->loose, work->slots[at]);
        } else {
            find_entry(&work->rows, AEOR_FOUND_ADDRESS, entry);
        }
        break;
    case AEOR_MATCH_PATH:
        if (work->located[at] && (verify->system || !address->system)) {
            set(verify->loose, work->slots[at]);
        }
        break;
    case AEOR_MATCH_IDENTITY:
        if (work->located[at] && is_set(verify->head, work->slots[at])) {
            check_path(work, entry, address);
        }
        if (verify->files && work->located[at] && entry->type == AEOR_TYPE_FILE &&
            is_set(verify->reached, work->slots[at]) && in_sample(verify, entry->offset)) {
            find_entry(&work->rows, AEOR_FOUND_FILE, entry);
        }
        break;
    case AEOR_MATCH_CONTENT:
        if (entry->type == AEOR_TYPE_FILE) work->rows.sums->foreign++;
        break;
    case AEOR_MATCH_COMPRESSED:
        find_entry(&work->rows, AEOR_FOUND_COMPRESSED, entry);
        break;
    default:
        break;
    }
}

static void count_entry(struct windowing *work, const struct aeor_log_entry *entry, bool hashed) {
    struct aeor_verify_sums *sums = work->rows.sums;
    sums->bytes += entry->length;
    if (entry->type == 0) return;
    sums->entries++;
    if (hashed) sums->hashed += entry->length;
    if (entry->type == AEOR_TYPE_VOID) {
        sums->void_entries++;
        sums->void_bytes += entry->length;
    }
}

static void verify_group(struct windowing *work, const struct aeor_log_entry *entries,
                         uint64_t count) {
    const struct aeor_verify *verify = work->verify;
    const uint8_t *map = verify->index->map;
    struct aeor_addressing *addressing = &work->addressing;
    for (uint64_t i = 0; i < count; i++) {
        if (entries[i].key_length == AEOR_HASH) aeor_index_prefetch(verify->index, entries[i].key);
    }
    if (verify->skip != NULL) locate_all(work, entries, count);
    aeor_blake3_start(&addressing->batch);
    for (uint64_t i = 0; i < count; i++) {
        const struct aeor_log_entry *entry = entries + i;
        const uint8_t *image = map + entry->offset;
        work->hashed[i] =
            entry->type != 0 &&
            !(verify->skip != NULL && work->located[i] && is_set(verify->skip, work->slots[i])) &&
            (entry->type != AEOR_TYPE_CHUNK || in_sample(verify, entry->offset));
        work->intact[i] = true;
        addressing->of[i] = (struct aeor_address){.match = AEOR_MATCH_UNKNOWN};
        count_entry(work, entry, work->hashed[i]);
        if (!work->hashed[i]) continue;
        memcpy(work->stored[i], image + AEOR_ENTRY_HEADER, AEOR_HASH);
        aeor_blake3_add(&addressing->batch, &entry->type, 1, image + AEOR_ENTRY_START,
                        entry->length - AEOR_ENTRY_START, work->integrity[i]);
        aeor_address_first(addressing, i, entry, image);
    }
    aeor_blake3_flush(&addressing->batch);
    aeor_address_rest(addressing, entries, map, count);
    if (verify->skip == NULL) locate_all(work, entries, count);
    for (uint64_t i = 0; i < count; i++) {
        if (addressing->of[i].match == AEOR_MATCH_IDENTITY) {
            aeor_index_prefetch(verify->index, addressing->of[i].path_key);
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct aeor_log_entry *entry = entries + i;
        if (entry->type == 0) {
            find_entry(&work->rows, AEOR_FOUND_GAP, entry);
            continue;
        }
        if (work->hashed[i] && memcmp(work->stored[i], work->integrity[i], AEOR_HASH) != 0) {
            work->intact[i] = false;
            find_entry(&work->rows, AEOR_ERR_ENTRY_HASH, entry);
        } else if (!fields_are_good(entry)) {
            find_entry(&work->rows, AEOR_FOUND_FIELDS, entry);
        }
        if (entry->time > verify->latest || entry->time < 0) {
            find_entry(&work->rows, AEOR_FOUND_TIME, entry);
        }
        if (entry->type == AEOR_TYPE_VOID) continue;
        if (entry->key_length != AEOR_HASH) {
            if (work->intact[i]) find_entry(&work->rows, AEOR_FOUND_ADDRESS, entry);
            continue;
        }
        judge(work, i, entry);
    }
}

static int window_work(void *context) {
    struct windowing *work = context;
    for (uint64_t i = 0; i < work->count; i += GROUP) {
        verify_group(work, work->entries + i, work->count - i < GROUP ? work->count - i : GROUP);
    }
    return AEOR_OK;
}

int aeor_verify_window(const struct aeor_verify *verify, const struct aeor_log_entry *entries,
                       uint64_t count, struct aeor_verify_row *rows, uint64_t capacity,
                       struct aeor_verify_sums *sums) {
    const struct aeor_index *index = verify->index;
    memset(sums, 0, sizeof *sums);
    for (uint64_t i = 0; i < count; i++) {
        if (!aeor_inside(entries[i].offset, entries[i].length, index->map_length) ||
            (entries[i].type != 0 &&
             entries[i].length != (uint64_t)AEOR_ENTRY_START + entries[i].key_length +
                                      entries[i].value_length)) {
            return AEOR_ERR_ARGUMENT;
        }
    }
    struct windowing *work = malloc(sizeof *work);
    if (work == NULL) return AEOR_ERR_MEMORY;
    work->verify = verify;
    work->entries = entries;
    work->count = count;
    work->rows = (struct rows){rows, capacity, sums};
    int code = aeor_guarded(index->map, index->map_length, window_work, work);
    free(work);
    return code;
}

/* ---- the index ---- */

/* A live record of the index: `behind_key` is KV type and flags, offset, total length. */
static void check_record(const struct aeor_verify *verify, struct rows *rows, uint64_t slot,
                         const uint8_t *key, const uint8_t *behind_key) {
    uint8_t kv = behind_key[0], kind = kv & AEOR_KV_TYPE;
    uint64_t offset = aeor_get64(behind_key + 1);
    uint32_t length = aeor_get32(behind_key + 9);
    rows->sums->entries++;
    rows->sums->bytes += length;
    if (aeor_voids_meet(verify->voids, verify->void_count, offset, length)) {
        add_row(rows, AEOR_FOUND_OVERLAP, offset, length, 0, 0, kv, key);
    } else if (!is_set(verify->seen, slot)) {
        add_row(rows, AEOR_FOUND_LOST, offset, length, 0, 0, kv, key);
    }
    if (!is_set(verify->loose, slot)) return;
    if (is_set(verify->reached, slot)) {
        /* A tree leads to it, so it is no path key, and its key is no address. */
        if (kind == kv_type(AEOR_TYPE_DIRECTORY)) {
            add_row(rows, AEOR_FOUND_ADDRESS, offset, length, AEOR_TYPE_DIRECTORY, 0, kv, key);
        }
    } else if (verify->strays && !is_set(verify->paths, slot) && !is_root(verify, key)) {
        add_row(rows, AEOR_FOUND_STRAY, offset, length, 0, 0, kv, key);
    }
}

static bool in_tables(const struct aeor_index *index, const uint8_t *key, uint32_t tables) {
    for (uint32_t i = 0; i < tables; i++) {
        if (aeor_table_find(index->tables[i], key) >= 0) return true;
    }
    return false;
}

/* True if one of the page's first `count` entries has this key. */
static bool stands_before(const uint8_t *image, uint32_t count, const uint8_t *key) {
    const uint8_t *entry = image + AEOR_PAGE_HEADER;
    uint64_t first = aeor_get64(key);
    for (uint32_t at = 0; at < count; at++, entry += AEOR_PAGE_ENTRY) {
        if (aeor_get64(entry) == first && memcmp(entry, key, AEOR_HASH) == 0) return true;
    }
    return false;
}

static void check_page(const struct aeor_verify *verify, struct rows *rows, uint64_t page,
                       uint8_t *image, uint32_t count) {
    const struct aeor_index *index = verify->index;
    for (uint32_t at = 0; at < count; at++) {
        const uint8_t *entry = aeor_page_entry(image, at), *behind = entry + AEOR_HASH;
        if (aeor_page_of(entry, index->pages) != page || stands_before(image, at, entry)) {
            add_row(rows, AEOR_FOUND_MISPLACED, aeor_get64(behind + 1), aeor_get32(behind + 9), 0,
                    0, behind[0], entry);
            continue;
        }
        if (behind[0] & AEOR_KV_DELETED || in_tables(index, entry, index->table_count) ||
            aeor_voids_meet(index->voids, index->void_count, aeor_get64(behind + 1),
                            aeor_get32(behind + 9))) {
            continue;
        }
        check_record(verify, rows, page * AEOR_PAGE_ENTRIES + at, entry, behind);
    }
}

static bool is_zero(const uint8_t *bytes, uint64_t length) {
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)length - 1) == 0);
}

int aeor_verify_pages(const struct aeor_verify *verify, uint64_t first, uint64_t last,
                      struct aeor_verify_row *rows, uint64_t capacity,
                      struct aeor_verify_sums *sums, uint64_t *bad_page) {
    const struct aeor_index *index = verify->index;
    struct rows out = {rows, capacity, sums};
    memset(sums, 0, sizeof *sums);
    if (index->no_pages) return AEOR_OK;
    for (uint64_t page = first; page < last && page < index->pages; page++) {
        uint8_t image[AEOR_PAGE];
        uint32_t count;
        if (index->covered && index->covered[page / 8] >> page % 8 & 1) continue;
        /* Whether a bad page is a writer's work in progress, who asks for pages alone finds out. */
        int code = rows == NULL ? aeor_page_load(index->map, index->map_length, index->kv_offset,
                                                 index->pages, page, image, &count)
                                : aeor_index_page(index, page, image, &count);
        if (code != AEOR_OK) {
            *bad_page = page;
            return code;
        }
        if (rows == NULL) continue;
        if (count > 0) {
            check_page(verify, &out, page, image, count);
            continue;
        }
        uint64_t offset = index->kv_offset + page * AEOR_PAGE;
        code = aeor_map_copy(image, index->map, index->map_length, offset, AEOR_PAGE);
        if (code != AEOR_OK) return code;
        /* Empty and without a checksum, or with one that was good a moment ago. */
        if (aeor_get32(image) == 0 && !is_zero(image, AEOR_PAGE) && aeor_get16(image + 8) == 0) {
            add_row(&out, AEOR_FOUND_PAGE, offset, AEOR_PAGE, 0, 0, 0, NULL);
        }
    }
    return AEOR_OK;
}

int aeor_verify_tables(const struct aeor_verify *verify, struct aeor_verify_row *rows,
                       uint64_t capacity, struct aeor_verify_sums *sums) {
    const struct aeor_index *index = verify->index;
    struct rows out = {rows, capacity, sums};
    uint64_t slot = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    memset(sums, 0, sizeof *sums);
    for (uint32_t i = 0; i < index->table_count; i++) {
        const struct aeor_table *table = index->tables[i];
        for (uint64_t number = 0; number < table->count; number++, slot++) {
            const uint8_t *record = table->records + number * AEOR_RECORD;
            if (record[AEOR_RECORD_KV] & AEOR_KV_DELETED ||
                in_tables(index, record + AEOR_RECORD_KEY, i)) {
                continue;
            }
            check_record(verify, &out, slot, record + AEOR_RECORD_KEY, record + AEOR_RECORD_KV);
        }
    }
    return AEOR_OK;
}

/* ---- path keys of folders ---- */

struct placing {
    const struct aeor_verify *verify;
    const uint8_t *places;
    uint64_t count;
    struct rows rows;
    aeor_blake3_batch batch;
    uint8_t hash[AEOR_HASH];
};

/* Whether the entry found under a folder's path key is a link to the folder, or a copy of it. */
static bool leads_to(struct placing *work, const struct aeor_hit *hit, const uint8_t *folder) {
    const struct aeor_index *index = work->verify->index;
    struct aeor_entry entry;
    if (aeor_entry_header(index->map, index->map_length, hit->offset, hit->total_length, &entry) !=
            AEOR_OK ||
        entry.type != AEOR_TYPE_DIRECTORY || entry.key_length != AEOR_HASH) {
        return false;
    }
    const uint8_t *value = index->map + hit->offset + AEOR_ADDRESS_VALUE;
    if (entry.value_length == AEOR_HASH) return memcmp(value, folder, AEOR_HASH) == 0;
    aeor_blake3_start(&work->batch);
    aeor_address_node(&work->batch, value, entry.value_length, work->hash);
    aeor_blake3_flush(&work->batch);
    return memcmp(work->hash, folder, AEOR_HASH) == 0;
}

static int place_work(void *context) {
    struct placing *work = context;
    const uint8_t *place = work->places;
    for (uint64_t i = 0; i < work->count; i++, place += 2 * AEOR_HASH + 8) {
        struct aeor_hit hit = {0};
        uint64_t slot;
        int code = aeor_index_slot(work->verify->index, place, false, &hit, &slot);
        if (code == AEOR_OK && leads_to(work, &hit, place + AEOR_HASH)) {
            set(work->verify->paths, slot);
        } else {
            add_row(&work->rows, AEOR_FOUND_PATH, hit.offset, i, AEOR_TYPE_DIRECTORY, 0, 0, place);
        }
    }
    return AEOR_OK;
}

int aeor_verify_places(const struct aeor_verify *verify, const uint8_t *places, uint64_t count,
                       struct aeor_verify_row *rows, uint64_t capacity,
                       struct aeor_verify_sums *sums) {
    struct placing *work = malloc(sizeof *work);
    if (work == NULL) return AEOR_ERR_MEMORY;
    memset(sums, 0, sizeof *sums);
    work->verify = verify;
    work->places = places;
    work->count = count;
    work->rows = (struct rows){rows, capacity, sums};
    int code = aeor_guarded(verify->index->map, verify->index->map_length, place_work, work);
    free(work);
    return code;
}
