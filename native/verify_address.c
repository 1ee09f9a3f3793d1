#include "verify_address.h"

#define TEXT(name, text) static const uint8_t name[sizeof text - 1] = text
TEXT(chunk_text, "chunk:");
TEXT(system_chunk_text, "system::");
TEXT(file_text, "file:");
TEXT(identity_text, "fileid:");
TEXT(content_text, "filec:");
TEXT(directory_text, "dir:");
TEXT(listing_text, "dirc:");
TEXT(btree_text, "btree:");
TEXT(symlink_text, "symlink:");
TEXT(symlink_identity_text, "symlinkid:");
TEXT(symlink_content_text, "symlinkc:");
TEXT(snapshot_text, "snap:");
TEXT(fork_text, "::aeordb:fork:");
TEXT(deletion_text, "del:");
TEXT(system_root, "/.aeordb-system");
TEXT(config_root, "/.aeordb-config");

#define PREFIX(name) name, sizeof name

struct part {
    const uint8_t *data;
    uint64_t length;
};

/* Hashes joined parts: short ones in the lanes of the batch, long ones at once. */
static void add_parts(struct aeor_addressing *work, uint64_t at, const struct part *parts,
                      uint64_t count) {
    struct aeor_address *address = work->of + at;
    uint64_t length = 0;
    for (uint64_t i = 0; i < count; i++) length += parts[i].length;
    address->waiting = true;
    if (length <= AEOR_ADDRESS_TEXT) {
        uint8_t *text = work->texts[at];
        for (uint64_t i = 0; i < count; i++) {
            memcpy(text, parts[i].data, (size_t)parts[i].length);
            text += parts[i].length;
        }
        aeor_blake3_add(&work->batch, NULL, 0, work->texts[at], (size_t)length, address->hash);
        return;
    }
    aeor_blake3_hasher hasher;
    aeor_blake3_init(&hasher);
    for (uint64_t i = 0; i < count; i++) {
        aeor_blake3_update(&hasher, parts[i].data, (size_t)parts[i].length);
    }
    aeor_blake3_digest(&hasher, address->hash);
}

static void add_whole(struct aeor_addressing *work, uint64_t at, const uint8_t *prefix,
                      size_t prefix_length, const uint8_t *data, uint64_t length) {
    work->of[at].waiting = true;
    aeor_blake3_add(&work->batch, prefix, prefix_length, data, (size_t)length, work->of[at].hash);
}

void aeor_address_node(aeor_blake3_batch *batch, const uint8_t *value, uint64_t length,
                       uint8_t *hash) {
    bool node = length > 0 && value[0] < 2;
    aeor_blake3_add(batch, node ? btree_text : listing_text,
                    node ? sizeof btree_text : sizeof listing_text, value, (size_t)length, hash);
}

static bool is_below(const uint8_t *path, uint64_t length, const uint8_t *root, size_t root_length) {
    return length >= root_length && memcmp(path, root, root_length) == 0 &&
           (length == root_length || path[root_length] == '/');
}

/* The deletion's own key: its path and its time in decimal. */
static void add_deletion(struct aeor_addressing *work, uint64_t at, const uint8_t *value) {
    const struct aeor_record_fields *fields = &work->of[at].fields;
    uint8_t text[24], *start = text + sizeof text;
    bool negative = fields->created < 0;
    uint64_t time = negative ? -(uint64_t)fields->created : (uint64_t)fields->created;
    do *--start = (uint8_t)('0' + time % 10);
    while ((time /= 10) > 0);
    if (negative) *--start = '-';
    *--start = ':';
    struct part parts[] = {{deletion_text, sizeof deletion_text},
                           {value + fields->name_at, fields->name_length},
                           {start, (uint64_t)(text + sizeof text - start)}};
    add_parts(work, at, parts, 3);
}

void aeor_address_first(struct aeor_addressing *work, uint64_t at,
                        const struct aeor_log_entry *entry, const uint8_t *image) {
    struct aeor_address *address = work->of + at;
    const struct aeor_record_fields *fields = &address->fields;
    const uint8_t *value = image + AEOR_ADDRESS_VALUE;
    uint64_t length = entry->value_length, bad_at;
    address->match = AEOR_MATCH_NONE;
    if (entry->key_length != AEOR_HASH || entry->type == AEOR_TYPE_VOID) return;
    if (entry->type == AEOR_TYPE_CHUNK) {
        if (entry->compression != 0) {
            address->match = AEOR_MATCH_COMPRESSED;
        } else {
            add_whole(work, at, PREFIX(chunk_text), value, length);
        }
        return;
    }
    if (entry->type == AEOR_TYPE_DIRECTORY) {
        if (length == AEOR_HASH) return;
        address->waiting = true;
        aeor_address_node(&work->batch, value, length, address->hash);
        return;
    }
    address->code = aeor_record_fields(entry->type, entry->version, value, length,
                                       &address->fields, &bad_at);
    if (address->code != AEOR_OK) {
        /* AeorDB keeps JSON of its own in entries of this kind (FORMAT.md, System files). */
        bool own = entry->type == AEOR_TYPE_FILE && entry->version == 0;
        address->match = own ? AEOR_MATCH_OWN : AEOR_MATCH_MALFORMED;
        return;
    }
    const uint8_t *name = value + fields->name_at;
    switch (entry->type) {
    case AEOR_TYPE_FILE:
    case AEOR_TYPE_SYMLINK:
        address->system = is_below(name, fields->name_length, PREFIX(system_root)) ||
                          is_below(name, fields->name_length, PREFIX(config_root));
        if (entry->type == AEOR_TYPE_FILE) {
            add_whole(work, at, PREFIX(file_text), name, fields->name_length);
        } else {
            add_whole(work, at, PREFIX(symlink_text), name, fields->name_length);
        }
        break;
    case AEOR_TYPE_DELETION:
        add_deletion(work, at, value);
        break;
    case AEOR_TYPE_SNAPSHOT:
        add_whole(work, at, PREFIX(snapshot_text), name, fields->name_length);
        break;
    default:
        add_whole(work, at, PREFIX(fork_text), name, fields->name_length);
        break;
    }
}

/* The second thing that the address may be; false if there is none. */
static bool add_second(struct aeor_addressing *work, uint64_t at,
                       const struct aeor_log_entry *entry, const uint8_t *value) {
    static const uint8_t zero[1];
    const struct aeor_record_fields *fields = &work->of[at].fields;
    const uint8_t *name = value + fields->name_at, *text = value + fields->text_at;
    switch (entry->type) {
    case AEOR_TYPE_CHUNK:
        add_whole(work, at, PREFIX(system_chunk_text), value, entry->value_length);
        return true;
    case AEOR_TYPE_FILE: {
        struct part parts[] = {{PREFIX(identity_text)},         {name, fields->name_length},
                               {zero, 1},                       {text, fields->text_length},
                               {zero, 1},                       {value + fields->keys_at,
                                                                 fields->key_count * AEOR_HASH}};
        add_parts(work, at, parts, 6);
        return true;
    }
    case AEOR_TYPE_SYMLINK: {
        struct part parts[] = {{PREFIX(symlink_identity_text)},
                               {name, fields->name_length},
                               {zero, 1},
                               {text, fields->text_length}};
        add_parts(work, at, parts, 4);
        return true;
    }
    case AEOR_TYPE_DELETION: /* in a patch: the path key of what is gone */
        add_whole(work, at, PREFIX(file_text), name, fields->name_length);
        return true;
    default:
        return false;
    }
}

/* And what it may be beside these. */
static bool add_third(struct aeor_addressing *work, uint64_t at, const struct aeor_log_entry *entry,
                      const uint8_t *value, int round) {
    const struct aeor_record_fields *fields = &work->of[at].fields;
    const uint8_t *name = value + fields->name_at;
    if (entry->type == AEOR_TYPE_DELETION && round < 4) {
        if (round == 2) add_whole(work, at, PREFIX(directory_text), name, fields->name_length);
        if (round == 3) add_whole(work, at, PREFIX(symlink_text), name, fields->name_length);
        return true;
    }
    if (entry->type == AEOR_TYPE_DELETION && round == 4) {
        add_whole(work, at, NULL, 0, name, fields->name_length);
        return true;
    }
    if (round > 2) return false;
    if (entry->type == AEOR_TYPE_FILE) {
        add_whole(work, at, PREFIX(content_text), value, entry->value_length);
        return true;
    }
    if (entry->type == AEOR_TYPE_SYMLINK) {
        add_whole(work, at, PREFIX(symlink_content_text), value, entry->value_length);
        return true;
    }
    return false;
}

/* What a match in this round means. */
static enum aeor_match meaning(const struct aeor_log_entry *entry, int round) {
    bool record = entry->type == AEOR_TYPE_FILE || entry->type == AEOR_TYPE_SYMLINK;
    if (!record || round > 2) return AEOR_MATCH_CONTENT;
    return round == 1 ? AEOR_MATCH_PATH : AEOR_MATCH_IDENTITY;
}

void aeor_address_rest(struct aeor_addressing *work, const struct aeor_log_entry *entries,
                       const uint8_t *map, uint64_t count) {
    for (int round = 1, waiting = 1; waiting > 0; round++) {
        waiting = 0;
        for (uint64_t i = 0; i < count; i++) {
            struct aeor_address *address = work->of + i;
            const struct aeor_log_entry *entry = entries + i;
            if (!address->waiting) continue;
            address->waiting = false;
            if (round == 1) memcpy(address->path_key, address->hash, AEOR_HASH);
            if (memcmp(address->hash, entry->key, AEOR_HASH) == 0) {
                address->match = meaning(entry, round);
                continue;
            }
            const uint8_t *value = map + entry->offset + AEOR_ADDRESS_VALUE;
            waiting += round == 1 ? add_second(work, i, entry, value)
                                  : add_third(work, i, entry, value, round);
        }
        aeor_blake3_flush(&work->batch);
    }
}

static bool same(const uint8_t *a, uint64_t a_length, const uint8_t *b, uint64_t b_length) {
    return a_length == b_length && memcmp(a, b, (size_t)a_length) == 0;
}

bool aeor_address_same(const struct aeor_log_entry *entry, const struct aeor_address *address,
                       const uint8_t *value, const uint8_t *other, uint8_t version,
                       uint64_t other_length) {
    const struct aeor_record_fields *mine = &address->fields;
    struct aeor_record_fields its;
    uint64_t bad_at;
    if (aeor_record_fields(entry->type, version, other, other_length, &its, &bad_at) != AEOR_OK) {
        return false;
    }
    return mine->size == its.size &&
           same(value + mine->name_at, mine->name_length, other + its.name_at, its.name_length) &&
           same(value + mine->text_at, mine->text_length, other + its.text_at, its.text_length) &&
           same(value + mine->keys_at, mine->key_count * AEOR_HASH, other + its.keys_at,
                its.key_count * AEOR_HASH);
}
