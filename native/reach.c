#include "reach.h"

#include "entry.h"
#include "map.h"
#include "node.h"
#include "page.h"
#include "table.h"

enum { FILE_KV = 1, OLD_VERSION = 0 };

static int fail(struct aeor_fault *fault, int code, const uint8_t *key, uint64_t offset,
                uint64_t page) {
    *fault = (struct aeor_fault){code, 0, {0}, offset, page};
    if (key != NULL) memcpy(fault->key, key, AEOR_HASH);
    return code;
}

static bool is_set(const uint32_t *marks, uint64_t slot) {
    return marks[slot / 32] >> slot % 32 & 1;
}

int aeor_marks_keys(const struct aeor_index *index, uint32_t *marks, const uint8_t *keys,
                    uint64_t count, uint64_t stride, uint64_t *found, struct aeor_fault *fault) {
    *found = 0;
    if (stride < AEOR_HASH) return fail(fault, AEOR_ERR_ARGUMENT, NULL, 0, 0);
    for (uint64_t i = 0; i < count; i++, keys += stride) {
        struct aeor_hit hit = {0};
        uint64_t slot;
        int code = aeor_index_slot(index, keys, false, &hit, &slot);
        if (code == AEOR_ABSENT) continue;
        if (code != AEOR_OK) return fail(fault, code, keys, hit.offset, hit.page);
        marks[slot / 32] |= 1u << slot % 32;
        ++*found;
    }
    return AEOR_OK;
}

struct keeping {
    const struct aeor_index *index;
    uint32_t *marks, kinds;
    bool own;
    struct aeor_bytes value;
    struct aeor_fault *fault;
};

/* Whether the entry is one of AeorDB's own; *own is false for one that cannot be read at all, but
 * true where only its bytes are damaged. */
static int is_own(struct keeping *keeping, const uint8_t *key, struct aeor_hit *hit, bool *own) {
    const struct aeor_index *index = keeping->index;
    struct aeor_entry entry;
    struct aeor_record_fields fields;
    uint64_t bad_at;
    *own = false;
    int code = aeor_entry_header(index->map, index->map_length, hit->offset, hit->total_length,
                                 &entry);
    if (code == AEOR_ERR_FAULT) return fail(keeping->fault, code, key, hit->offset, 0);
    if (code != AEOR_OK || entry.type != AEOR_TYPE_FILE || entry.version != OLD_VERSION) {
        return AEOR_OK;
    }
    *own = true;
    code = aeor_walk_fetch(index, key, AEOR_TYPE_FILE, hit, &keeping->value, &entry);
    if (code == AEOR_ERR_FAULT || code == AEOR_ERR_MEMORY || code == AEOR_ERR_PAGE) {
        return fail(keeping->fault, code, key, hit->offset, hit->page);
    }
    if (code == AEOR_OK) {
        *own = aeor_record_fields(AEOR_TYPE_FILE, OLD_VERSION, keeping->value.data,
                                  entry.value_length, &fields, &bad_at) != AEOR_OK;
    }
    return AEOR_OK;
}

/* `behind_key`: what stands behind the key in its index entry, which counts. */
static int keep(struct keeping *keeping, uint64_t slot, const uint8_t *key,
                const uint8_t *behind_key, uint64_t page) {
    uint8_t kv = behind_key[0] & AEOR_KV_TYPE;
    bool wanted = keeping->kinds >> kv & 1;
    if (is_set(keeping->marks, slot)) return AEOR_OK;
    if (!wanted && keeping->own && kv == FILE_KV) {
        struct aeor_hit hit = {.offset = aeor_get64(behind_key + 1),
                               .total_length = aeor_get32(behind_key + 9),
                               .page = page};
        int code = is_own(keeping, key, &hit, &wanted);
        if (code != AEOR_OK) return code;
    }
    if (wanted) keeping->marks[slot / 32] |= 1u << slot % 32;
    return AEOR_OK;
}

static int keep_in_page(struct keeping *keeping, uint64_t page) {
    uint8_t image[AEOR_PAGE];
    uint32_t count;
    if (aeor_index_covered(keeping->index, page)) return AEOR_OK;
    int code = aeor_index_page(keeping->index, page, image, &count);
    if (code != AEOR_OK) return fail(keeping->fault, code, NULL, 0, page);
    for (uint32_t at = 0; at < count && code == AEOR_OK; at++) {
        const uint8_t *entry = aeor_page_entry(image, at);
        if (!aeor_index_counts(keeping->index, entry)) continue;
        code = keep(keeping, page * AEOR_PAGE_ENTRIES + at, entry, entry + AEOR_HASH, page);
    }
    return code;
}

static int keep_in_tables(struct keeping *keeping) {
    const struct aeor_index *index = keeping->index;
    uint64_t slot = index->no_pages ? 0 : index->pages * AEOR_PAGE_ENTRIES;
    uint64_t slots = aeor_index_slots(index);
    int code = AEOR_OK;
    for (; slot < slots && code == AEOR_OK; slot++) {
        const uint8_t *record = aeor_index_record(index, slot);
        struct aeor_hit hit;
        uint64_t own;
        /* Of a key's records in several tables one counts. */
        if (aeor_index_slot(index, record + AEOR_RECORD_KEY, false, &hit, &own) != AEOR_OK ||
            own != slot) {
            continue;
        }
        code = keep(keeping, slot, record + AEOR_RECORD_KEY, record + AEOR_RECORD_KV, 0);
    }
    return code;
}

int aeor_marks_kinds(const struct aeor_index *index, uint32_t *marks, uint32_t kinds, bool own,
                     uint64_t first, uint64_t last, struct aeor_fault *fault) {
    struct keeping keeping = {index, marks, kinds, own, {0}, fault};
    int code = first == 0 ? keep_in_tables(&keeping) : AEOR_OK;
    for (uint64_t page = first; page < last && page < index->pages && code == AEOR_OK; page++) {
        if (index->no_pages) break;
        code = keep_in_page(&keeping, page);
    }
    aeor_bytes_free(&keeping.value);
    return code;
}
