#include "node.h"

#include "entry.h"

static uint64_t skip(struct aeor_cursor *cursor, uint64_t length) {
    uint64_t at = cursor->at;
    if (cursor->failed || length > cursor->length - cursor->at) {
        cursor->failed = true;
        return 0;
    }
    cursor->at += length;
    return at;
}

static uint8_t take8(struct aeor_cursor *cursor) {
    uint64_t at = skip(cursor, 1);
    return cursor->failed ? 0 : cursor->data[at];
}

static uint16_t take16(struct aeor_cursor *cursor) {
    uint64_t at = skip(cursor, 2);
    return cursor->failed ? 0 : aeor_get16(cursor->data + at);
}

static uint32_t take32(struct aeor_cursor *cursor) {
    uint64_t at = skip(cursor, 4);
    return cursor->failed ? 0 : aeor_get32(cursor->data + at);
}

static uint64_t take64(struct aeor_cursor *cursor) {
    uint64_t at = skip(cursor, 8);
    return cursor->failed ? 0 : aeor_get64(cursor->data + at);
}

static int take_child(struct aeor_cursor *cursor, struct aeor_child *child) {
    child->kind = take8(cursor);
    if (cursor->failed) return AEOR_ERR_NODE_CUT;
    if (child->kind != AEOR_TYPE_FILE && child->kind != AEOR_TYPE_DIRECTORY &&
        child->kind != AEOR_TYPE_SYMLINK) {
        cursor->at--;
        return AEOR_ERR_NODE_KIND;
    }
    child->hash_at = skip(cursor, AEOR_HASH);
    child->size = take64(cursor);
    child->created = (int64_t)take64(cursor);
    child->updated = (int64_t)take64(cursor);
    child->name_length = take16(cursor);
    child->name_at = skip(cursor, child->name_length);
    child->type_length = take16(cursor);
    child->type_at = skip(cursor, child->type_length);
    child->virtual_time = take64(cursor);
    child->node_id = take64(cursor);
    return cursor->failed ? AEOR_ERR_NODE_CUT : AEOR_OK;
}

/* Names in byte order, a shorter one before what it begins. */
static int compare_names(const uint8_t *a, uint64_t a_length, const uint8_t *b,
                         uint64_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    if (order != 0) return order;
    return (a_length > b_length) - (a_length < b_length);
}

int aeor_node_kind(const uint8_t *value, uint64_t length) {
    return length == 0 || value[0] >= AEOR_NODE_FLAT ? AEOR_NODE_FLAT : value[0];
}

int aeor_children_start(struct aeor_children *children, const uint8_t *value, uint64_t length) {
    int kind = aeor_node_kind(value, length);
    *children = (struct aeor_children){.cursor = {.data = value, .length = length}, .first = true};
    if (kind == AEOR_NODE_INTERNAL) return AEOR_ERR_NODE_KIND;
    if (kind == AEOR_NODE_LEAF) {
        children->leaf = true;
        skip(&children->cursor, 1);
        children->left = take16(&children->cursor);
        if (children->cursor.failed) return AEOR_ERR_NODE_CUT;
    }
    return AEOR_OK;
}

int aeor_children_next(struct aeor_children *children, struct aeor_child *child) {
    struct aeor_cursor *cursor = &children->cursor;
    bool at_end = cursor->at == cursor->length;
    if (children->leaf ? children->left == 0 : at_end) {
        return at_end ? AEOR_ABSENT : AEOR_ERR_NODE_TRAILING;
    }
    int code = take_child(cursor, child);
    if (code != AEOR_OK || !children->leaf) return code;
    if (!children->first &&
        compare_names(cursor->data + children->name_at, children->name_length,
                      cursor->data + child->name_at, child->name_length) >= 0) {
        return AEOR_ERR_NODE_ORDER;
    }
    children->first = false;
    children->name_at = child->name_at;
    children->name_length = child->name_length;
    children->left--;
    return AEOR_OK;
}

int aeor_node_children(const uint8_t *value, uint64_t length, uint64_t *columns,
                       uint64_t capacity, uint64_t *count, uint64_t *bad_at) {
    struct aeor_children children;
    struct aeor_child child;
    uint64_t number = 0;
    int code = aeor_children_start(&children, value, length);
    while (code == AEOR_OK && (code = aeor_children_next(&children, &child)) == AEOR_OK) {
        if (columns != NULL) {
            const uint64_t fields[] = {
                child.kind,    child.hash_at,     child.size,    (uint64_t)child.created,
                (uint64_t)child.updated, child.name_at, child.name_length, child.type_at,
                child.type_length, child.virtual_time, child.node_id,
            };
            if (number >= capacity) return AEOR_ERR_ARGUMENT;
            for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
                columns[i * capacity + number] = fields[i];
            }
        }
        number++;
    }
    *count = number;
    *bad_at = children.cursor.at;
    return code == AEOR_ABSENT ? AEOR_OK : code;
}

/* Where the separators and keys of an internal node are; *below: the child that `name` is in. */
static int walk_internal(struct aeor_cursor *cursor, uint64_t *columns, uint64_t capacity,
                         const uint8_t *name, uint64_t name_length, uint64_t *count,
                         uint64_t *below, uint64_t *keys_at) {
    uint64_t before_at = 0, before_length = 0;
    skip(cursor, 1);
    *count = take16(cursor);
    *below = 0;
    for (uint64_t i = 0; i < *count && !cursor->failed; i++) {
        uint64_t length = take16(cursor);
        uint64_t at = skip(cursor, length);
        if (cursor->failed) break;
        if (i > 0 && compare_names(cursor->data + before_at, before_length, cursor->data + at,
                                   length) >= 0) {
            return AEOR_ERR_NODE_ORDER;
        }
        before_at = at;
        before_length = length;
        /* A name equal to separator i lies in child i + 1. */
        if (name && compare_names(cursor->data + at, length, name, name_length) <= 0) {
            *below = i + 1;
        }
        if (columns != NULL) {
            if (i >= capacity) return AEOR_ERR_ARGUMENT;
            columns[i] = at;
            columns[capacity + i] = length;
        }
    }
    *keys_at = skip(cursor, (*count + 1) * AEOR_HASH);
    if (cursor->failed) return AEOR_ERR_NODE_CUT;
    return cursor->at == cursor->length ? AEOR_OK : AEOR_ERR_NODE_TRAILING;
}

int aeor_node_internal(const uint8_t *value, uint64_t length, uint64_t *columns,
                       uint64_t capacity, uint64_t *count, uint64_t *keys_at, uint64_t *bad_at) {
    struct aeor_cursor cursor = {.data = value, .length = length};
    uint64_t below;
    *bad_at = 0;
    if (aeor_node_kind(value, length) != AEOR_NODE_INTERNAL) return AEOR_ERR_NODE_KIND;
    int code = walk_internal(&cursor, columns, capacity, NULL, 0, count, &below, keys_at);
    *bad_at = cursor.at;
    return code;
}

int aeor_node_find(const uint8_t *value, uint64_t length, const uint8_t *name,
                   uint64_t name_length, struct aeor_child *child, struct aeor_spot *spot,
                   uint64_t *bad_at) {
    struct aeor_children children;
    struct aeor_child next;
    int code, found = AEOR_ABSENT;
    bool placed = false;
    memset(child, 0, sizeof *child);
    memset(spot, 0, sizeof *spot);
    if (aeor_node_kind(value, length) == AEOR_NODE_INTERNAL) {
        struct aeor_cursor cursor = {.data = value, .length = length};
        uint64_t count, below, keys_at;
        code = walk_internal(&cursor, NULL, 0, name, name_length, &count, &below, &keys_at);
        *bad_at = cursor.at;
        if (code != AEOR_OK) return code;
        child->hash_at = keys_at + below * AEOR_HASH;
        return AEOR_BELOW;
    }
    code = aeor_children_start(&children, value, length);
    uint64_t at = children.cursor.at;
    while (code == AEOR_OK && (code = aeor_children_next(&children, &next)) == AEOR_OK) {
        if (!placed) {
            int order = compare_names(value + next.name_at, next.name_length, name, name_length);
            placed = order == 0 || (order > 0 && children.leaf);
            if (order == 0) {
                found = AEOR_OK;
                *child = next;
            }
            spot->start = at;
            spot->end = order == 0 ? children.cursor.at : at;
        }
        at = children.cursor.at;
        spot->count++;
    }
    if (!placed) spot->start = spot->end = at;
    *bad_at = children.cursor.at;
    return code == AEOR_ABSENT ? found : code;
}

static void take_span16(struct aeor_cursor *cursor, uint64_t *at, uint64_t *length) {
    *length = take16(cursor);
    *at = skip(cursor, *length);
}

static void take_span32(struct aeor_cursor *cursor, uint64_t *at, uint64_t *length) {
    *length = take32(cursor);
    *at = skip(cursor, *length);
}

int aeor_record_fields(int type, int version, const uint8_t *value, uint64_t length,
                       struct aeor_record_fields *fields, uint64_t *bad_at) {
    struct aeor_cursor cursor = {.data = value, .length = length};
    memset(fields, 0, sizeof *fields);
    *bad_at = 0;
    if (version != 0 && !(type == AEOR_TYPE_FILE && version == 1)) return AEOR_ERR_NODE_KIND;
    take_span16(&cursor, &fields->name_at, &fields->name_length);
    switch (type) {
    case AEOR_TYPE_FILE:
        take_span16(&cursor, &fields->text_at, &fields->text_length);
        fields->size = take64(&cursor);
        fields->created = (int64_t)take64(&cursor);
        fields->updated = (int64_t)take64(&cursor);
        if (version == 1) fields->hash_at = skip(&cursor, AEOR_HASH);
        take_span32(&cursor, &fields->metadata_at, &fields->metadata_length);
        fields->key_count = take32(&cursor);
        fields->keys_at = skip(&cursor, fields->key_count * AEOR_HASH);
        break;
    case AEOR_TYPE_SYMLINK:
        take_span16(&cursor, &fields->text_at, &fields->text_length);
        fields->created = (int64_t)take64(&cursor);
        fields->updated = (int64_t)take64(&cursor);
        break;
    case AEOR_TYPE_DELETION:
        fields->created = (int64_t)take64(&cursor);
        take_span16(&cursor, &fields->text_at, &fields->text_length);
        break;
    case AEOR_TYPE_SNAPSHOT:
    case AEOR_TYPE_FORK:
        fields->hash_at = skip(&cursor, AEOR_HASH);
        fields->created = (int64_t)take64(&cursor);
        if (type == AEOR_TYPE_SNAPSHOT) {
            take_span32(&cursor, &fields->metadata_at, &fields->metadata_length);
        }
        break;
    default:
        return AEOR_ERR_NODE_KIND;
    }
    *bad_at = cursor.at;
    if (cursor.failed) return AEOR_ERR_NODE_CUT;
    return cursor.at == cursor.length ? AEOR_OK : AEOR_ERR_NODE_TRAILING;
}
