#include "verify.h"

#include <stdlib.h>

#include "blake3.h"
#include "entry.h"
#include "map.h"
#include "table.h"
#include "verify_address.h"
#include "verify_rows.h"

static void find_entry(struct aeor_rows *rows, int code, const struct aeor_log_entry *entry) {
    aeor_rows_add(rows, code, entry->offset, entry->length, entry->type, entry->version, 0,
                  entry->key);
}

enum { GROUP = AEOR_ADDRESS_GROUP };

struct windowing {
    const struct aeor_verify *verify;
    const struct aeor_log_entry *entries;
    uint64_t count;
    struct aeor_rows rows;
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
        aeor_bit_set(verify->seen, work->slots[at]);
        if ((hit->kv & AEOR_KV_TYPE) != aeor_kv_type(entry->type) ||
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
                             entry->type == AEOR_TYPE_FORK || aeor_is_root(verify, entry->key))) {
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
        aeor_bit_set(verify->paths, slot);
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
            if (work->located[at]) aeor_bit_set(verify->loose, work->slots[at]);
        } else {
            find_entry(&work->rows, AEOR_FOUND_ADDRESS, entry);
        }
        break;
    case AEOR_MATCH_PATH:
        if (work->located[at] && (verify->system || !address->system)) {
            aeor_bit_set(verify->loose, work->slots[at]);
        }
        break;
    case AEOR_MATCH_IDENTITY:
        if (work->located[at] && aeor_bit(verify->head, work->slots[at])) {
            check_path(work, entry, address);
        }
        if (verify->files && work->located[at] && entry->type == AEOR_TYPE_FILE &&
            aeor_bit(verify->reached, work->slots[at]) && in_sample(verify, entry->offset)) {
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
            !(verify->skip != NULL && work->located[i] && aeor_bit(verify->skip, work->slots[i])) &&
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
    work->rows = (struct aeor_rows){rows, capacity, sums};
    int code = aeor_guarded(index->map, index->map_length, window_work, work);
    free(work);
    return code;
}
