#include "log.h"

#include <stdlib.h>

#include "blake3.h"
#include "entry.h"
#include "map.h"
#include "table.h"

/* Bytes that a scan may hash in vain per byte of log: bounds its time on hostile files. */
#define WASTE_PER_BYTE 2
#define WASTE_AT_LEAST (64u << 20)

/* An entry that can begin at `offset`: whole before the scan's end, its lengths in agreement. */
static bool header_at(const struct aeor_log_scan *scan, uint64_t offset, struct aeor_entry *entry) {
    uint8_t header[AEOR_ENTRY_HEADER];
    if (!aeor_inside(offset, AEOR_ENTRY_START, scan->end)) return false;
    memcpy(header, scan->map + offset, sizeof header);
    return aeor_entry_parse(header, offset, entry) == AEOR_OK && entry->type != 0 &&
           aeor_inside(offset, entry->total_length, scan->end);
}

static bool hash_is_good(const struct aeor_log_scan *scan, const struct aeor_entry *entry) {
    const uint8_t *image = scan->map + entry->offset;
    uint8_t hash[AEOR_HASH];
    aeor_entry_hash(entry->type, image + AEOR_ENTRY_START,
                    (uint64_t)entry->key_length + entry->value_length, hash);
    return memcmp(hash, image + AEOR_ENTRY_HEADER, AEOR_HASH) == 0;
}

/* To be believed if another header (or the end) follows where it ends, or if its integrity hash is
 * good: of a write that was cut off the header may stand, and what it covers be other entries. */
static bool believable(struct aeor_log_scan *scan, const struct aeor_entry *entry) {
    struct aeor_entry next;
    uint64_t end = entry->offset + entry->total_length;
    if (end == scan->end || header_at(scan, end, &next)) return true;
    if (scan->wasted > WASTE_AT_LEAST + WASTE_PER_BYTE * entry->offset) return false;
    if (hash_is_good(scan, entry)) return true;
    scan->wasted += entry->total_length;
    return false;
}

/* The next place from `from` on where the magic stands with a believable header, or the end. */
static uint64_t search(struct aeor_log_scan *scan, uint64_t from, struct aeor_entry *entry) {
    static const uint8_t first = AEOR_ENTRY_MAGIC & 0xff;
    while (from < scan->end) {
        const uint8_t *found = memchr(scan->map + from, first, (size_t)(scan->end - from));
        if (found == NULL) break;
        from = (uint64_t)(found - scan->map);
        if (header_at(scan, from, entry) && believable(scan, entry)) return from;
        from++;
    }
    return scan->end;
}

/* Moves the scan over the next entry or gap; false at the end.  A gap has type 0. */
static bool next_entry(struct aeor_log_scan *scan, struct aeor_entry *entry, uint64_t *length) {
    if (scan->offset >= scan->end) return false;
    if (header_at(scan, scan->offset, entry) && believable(scan, entry)) {
        *length = entry->total_length;
        scan->offset += *length;
        scan->good_end = scan->offset;
        return true;
    }
    uint64_t start = scan->offset;
    scan->offset = search(scan, start + 1, entry);
    memset(entry, 0, sizeof *entry);
    entry->offset = start;
    *length = scan->offset - start;
    return true;
}

struct scanning {
    struct aeor_log_scan *scan;
    struct aeor_log_entry *entries;
    uint64_t most, capacity, count;
};

static int scan_work(void *context) {
    struct scanning *work = context;
    struct aeor_entry entry;
    uint64_t length, first = work->scan->offset;
    while (work->count < work->capacity && work->scan->offset - first < work->most &&
           next_entry(work->scan, &entry, &length)) {
        struct aeor_log_entry *out = work->entries + work->count++;
        memset(out, 0, sizeof *out);
        out->offset = entry.offset;
        out->length = length;
        out->time = entry.time;
        out->key_length = entry.key_length;
        out->value_length = entry.value_length;
        out->type = entry.type;
        out->version = entry.version;
        out->flags = entry.flags;
        out->compression = entry.compression;
        if (entry.key_length == AEOR_HASH) {
            memcpy(out->key, work->scan->map + entry.offset + AEOR_ENTRY_START, AEOR_HASH);
        }
    }
    return AEOR_OK;
}

int aeor_log_scan(struct aeor_log_scan *scan, struct aeor_log_entry *entries, uint64_t capacity,
                  uint64_t *count) {
    return aeor_log_window(scan, UINT64_MAX, entries, capacity, count);
}

int aeor_log_window(struct aeor_log_scan *scan, uint64_t most, struct aeor_log_entry *entries,
                    uint64_t capacity, uint64_t *count) {
    struct scanning work = {scan, entries, most, capacity, 0};
    if (scan->end > scan->map_length) return AEOR_ERR_BOUNDS;
    int code = aeor_guarded(scan->map, scan->map_length, scan_work, &work);
    *count = work.count;
    return code;
}

/* What a rebuild remembers of the entry that a record of the table stands for. */
struct aeor_rebuild_note {
    int64_t time;
    uint8_t type;
    bool damaged;
};

static int grow(void **data, uint64_t *capacity, uint64_t needed, size_t size) {
    if (needed <= *capacity) return AEOR_OK;
    uint64_t wanted = needed + needed / 2 + 64;
    if (wanted > SIZE_MAX / size) return AEOR_ERR_MEMORY;
    void *grown = realloc(*data, (size_t)wanted * size);
    if (grown == NULL) return AEOR_ERR_MEMORY;
    *data = grown;
    *capacity = wanted;
    return AEOR_OK;
}

/* The KV type of an entry type (FORMAT.md, Entries); -1: no index entry. */
static int kv_type(uint8_t type) {
    static const int8_t kinds[] = {-1, 0, 1, 2, 3, 4, -1, 7, 9};
    return type < sizeof kinds ? kinds[type] : -1;
}

/* True if the entry is to take the place of the one that the table has under its key. */
static bool takes_over(const struct aeor_log_scan *scan, const struct aeor_entry *entry,
                       bool damaged, const struct aeor_rebuild_note *note, const uint8_t *record) {
    if (damaged != note->damaged) return note->damaged;
    if (entry->type == AEOR_TYPE_DIRECTORY && note->type == AEOR_TYPE_DIRECTORY) {
        bool content = entry->value_length > 0;
        bool had_content = aeor_get32(record + AEOR_RECORD_LENGTH) > AEOR_ENTRY_START + AEOR_HASH;
        if (content != had_content) return content;
    }
    if (entry->time < note->time) return false;
    if (entry->time == note->time && entry->offset < aeor_get64(record + AEOR_RECORD_OFFSET)) {
        return false;
    }
    /* A second copy of a chunk: the older one is as good, so a bad one must not take its place. */
    return entry->type != AEOR_TYPE_CHUNK || hash_is_good(scan, entry);
}

static int note_entry(struct aeor_rebuild *rebuild, const struct aeor_entry *entry) {
    uint8_t key[AEOR_HASH];
    uint64_t number;
    bool fresh;
    int kind = kv_type(entry->type);
    if (entry->time > rebuild->latest) rebuild->latest = entry->time;
    if (kind < 0 || entry->key_length != AEOR_HASH) return AEOR_OK;
    memcpy(key, rebuild->scan.map + entry->offset + AEOR_ENTRY_START, AEOR_HASH);
    /* Of a cut write the header may stand and the value not: it must not hide an older entry.
     * Chunks are not hashed here, that would read the whole file. */
    bool damaged = entry->type != AEOR_TYPE_CHUNK && !hash_is_good(&rebuild->scan, entry);
    int code = aeor_table_slot(rebuild->table, key, &number, &fresh);
    if (code != AEOR_OK) return code;
    code = grow((void **)&rebuild->notes, &rebuild->note_capacity, number + 1,
                sizeof *rebuild->notes);
    if (code != AEOR_OK) return code;
    uint8_t *record = rebuild->table->records + number * AEOR_RECORD;
    struct aeor_rebuild_note *note = rebuild->notes + number;
    if (fresh || takes_over(&rebuild->scan, entry, damaged, note, record)) {
        aeor_record_write(record, key, (uint8_t)kind, entry->offset, entry->total_length);
        note->time = entry->time;
        note->type = entry->type;
        note->damaged = damaged;
    }
    if (entry->type != AEOR_TYPE_DELETION || damaged) return AEOR_OK;
    code = grow((void **)&rebuild->deletions, &rebuild->deletion_capacity,
                rebuild->deletion_count + 1, sizeof *rebuild->deletions);
    if (code == AEOR_OK) rebuild->deletions[rebuild->deletion_count++] = entry->offset;
    return code;
}

struct stepping {
    struct aeor_rebuild *rebuild;
    uint64_t steps;
};

static int step_work(void *context) {
    struct stepping *work = context;
    struct aeor_rebuild *rebuild = work->rebuild;
    struct aeor_entry entry;
    uint64_t length;
    for (uint64_t i = 0; i < work->steps; i++) {
        if (!next_entry(&rebuild->scan, &entry, &length)) return AEOR_ABSENT;
        if (entry.type == 0) {
            rebuild->gaps++;
            continue;
        }
        rebuild->entries++;
        int code = note_entry(rebuild, &entry);
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

int aeor_rebuild_step(struct aeor_rebuild *rebuild, uint64_t steps) {
    struct stepping work = {rebuild, steps};
    if (rebuild->scan.end > rebuild->scan.map_length) return AEOR_ERR_BOUNDS;
    return aeor_guarded(rebuild->scan.map, rebuild->scan.map_length, step_work, &work);
}

static void mark_deleted(struct aeor_rebuild *rebuild, int64_t time, const char *prefix,
                         const uint8_t *text, size_t length) {
    aeor_blake3_batch batch;
    uint8_t key[AEOR_HASH];
    aeor_blake3_start(&batch);
    aeor_blake3_add(&batch, (const uint8_t *)prefix, strlen(prefix), text, length, key);
    aeor_blake3_flush(&batch);
    int64_t number = aeor_table_find(rebuild->table, key);
    if (number >= 0 && rebuild->notes[number].time < time) {
        rebuild->table->records[number * AEOR_RECORD + AEOR_RECORD_KV] |= AEOR_KV_DELETED;
    }
}

int aeor_rebuild_finish(struct aeor_rebuild *rebuild) {
    const struct aeor_log_scan *scan = &rebuild->scan;
    uint8_t text[2 + UINT16_MAX];
    for (uint64_t i = 0; i < rebuild->deletion_count; i++) {
        struct aeor_entry entry;
        uint64_t offset = rebuild->deletions[i];
        int code = aeor_entry_header(scan->map, scan->map_length, offset, 0, &entry);
        if (code == AEOR_ERR_FAULT) return code;
        if (code != AEOR_OK) continue; /* changed under us: it was good a moment ago */
        uint64_t length = entry.value_length < sizeof text ? entry.value_length : sizeof text;
        code = aeor_map_copy(text, scan->map, scan->map_length,
                             offset + AEOR_ENTRY_START + entry.key_length, length);
        if (code != AEOR_OK) return code;
        if (length < 2 || aeor_get16(text) > length - 2) continue;
        size_t path_length = aeor_get16(text);
        if (path_length > 0 && text[2] == '/') {
            mark_deleted(rebuild, entry.time, "file:", text + 2, path_length);
            mark_deleted(rebuild, entry.time, "dir:", text + 2, path_length);
            mark_deleted(rebuild, entry.time, "symlink:", text + 2, path_length);
        } else {
            mark_deleted(rebuild, entry.time, "", text + 2, path_length);
        }
    }
    return AEOR_OK;
}

void aeor_rebuild_free(struct aeor_rebuild *rebuild) {
    free(rebuild->notes);
    free(rebuild->deletions);
    rebuild->notes = NULL;
    rebuild->deletions = NULL;
}
