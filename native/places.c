#include "places.h"

#include <stdlib.h>

#include "blake3.h"
#include "node.h"
#include "rules.h"

enum { PREFIX = 4, PATH_MAX_BYTES = 65535 }; /* "dir:" stands before the path, for its key */

/* A node on the way from the root: its value is a copy of its own. */
struct frame {
    struct aeor_bytes value;
    struct aeor_children children;
    uint64_t keys_at, next, count; /* of an internal node: its keys, and which come next */
    uint64_t path_length;
    uint16_t depth;
    uint8_t level;
    bool internal;
    uint8_t key[AEOR_HASH];
    uint64_t offset;
};

struct aeor_places {
    const struct aeor_index *index;
    uint64_t limit, held; /* held: bytes of nodes in all frames */
    struct frame *frames;
    uint64_t depth, capacity;
    bool begun;
    uint8_t root[AEOR_HASH];
    uint64_t path_length;
    uint8_t path[PREFIX + PATH_MAX_BYTES + 1];
};

static int fail(struct aeor_fault *fault, int code, const uint8_t *key, uint64_t offset,
                uint64_t page) {
    *fault = (struct aeor_fault){code, AEOR_TYPE_DIRECTORY, {0}, offset, page};
    memcpy(fault->key, key, AEOR_HASH);
    return code;
}

static void drop(struct aeor_places *places) {
    struct frame *top = places->frames + --places->depth;
    places->held -= top->value.capacity;
    aeor_bytes_free(&top->value);
}

/* Puts a node on top of the frames; *time is its entry's. */
static int enter(struct aeor_places *places, const uint8_t *key, uint64_t path_length,
                 uint16_t depth, uint8_t level, int64_t *time, struct aeor_fault *fault) {
    struct aeor_hit hit = {0};
    struct aeor_entry entry;
    uint64_t slot, bad_at;
    if (places->depth == places->capacity) {
        uint64_t wanted = places->capacity * 2 + 32;
        struct frame *grown = realloc(places->frames, (size_t)wanted * sizeof *grown);
        if (grown == NULL) return fail(fault, AEOR_ERR_MEMORY, key, 0, 0);
        places->frames = grown;
        places->capacity = wanted;
    }
    struct frame *top = places->frames + places->depth;
    memset(top, 0, sizeof *top);
    int code = aeor_walk_locate(places->index, key, AEOR_TYPE_DIRECTORY, &hit, &slot);
    if (code == AEOR_OK) {
        code = aeor_walk_fetch(places->index, key, AEOR_TYPE_DIRECTORY, &hit, &top->value, &entry);
    }
    places->depth++;
    places->held += top->value.capacity;
    if (code != AEOR_OK) return fail(fault, code, key, hit.offset, hit.page);
    /* Nodes on one way down are different entries: together they cannot be longer than the file.
     * (A node's room is at most twice its length, and a little.) */
    if (places->held / 2 > places->index->map_length + places->depth * 1024) {
        return fail(fault, AEOR_ERR_WALK_DEPTH, key, hit.offset, 0);
    }
    memcpy(top->key, key, AEOR_HASH);
    top->offset = hit.offset;
    top->path_length = path_length;
    top->depth = depth;
    top->level = level;
    *time = entry.time;
    int kind = aeor_node_kind(top->value.data, entry.value_length);
    if (kind == AEOR_NODE_INTERNAL) {
        top->internal = true;
        code = level >= AEOR_HEIGHT_MAX ? AEOR_ERR_WALK_HEIGHT
                                        : aeor_node_internal(top->value.data, entry.value_length,
                                                             NULL, 0, &top->count, &top->keys_at,
                                                             &bad_at);
    } else if (kind == AEOR_NODE_FLAT && level > 0) {
        code = AEOR_ERR_WALK_HEIGHT;
    } else {
        code = aeor_children_start(&top->children, top->value.data, entry.value_length);
    }
    return code == AEOR_OK ? code : fail(fault, code, key, hit.offset, 0);
}

/* Writes a row for the folder at the path as it stands. */
static void put_row(const struct aeor_places *places, uint64_t path_length, const uint8_t *key,
                    int64_t time, uint8_t *row) {
    const uint8_t root[] = {'d', 'i', 'r', ':', '/'};
    if (path_length == 0) {
        aeor_blake3(root, sizeof root, row);
    } else {
        aeor_blake3(places->path, PREFIX + path_length, row);
    }
    memcpy(row + AEOR_HASH, key, AEOR_HASH);
    aeor_put64(row + 2 * AEOR_HASH, (uint64_t)time);
}

/* Goes into the folder that a listing holds. */
static int enter_child(struct aeor_places *places, const struct aeor_child *child, int64_t *time,
                       struct aeor_fault *fault) {
    const struct frame *top = places->frames + places->depth - 1;
    const uint8_t *value = top->value.data;
    uint8_t key[AEOR_HASH];
    uint64_t length = top->path_length;
    if (top->depth >= AEOR_DEPTH_MAX) {
        return fail(fault, AEOR_ERR_WALK_DEPTH, top->key, top->offset, 0);
    }
    if (!aeor_is_name(value + child->name_at, child->name_length) ||
        length + 1 + child->name_length > PATH_MAX_BYTES) {
        return fail(fault, AEOR_ERR_WALK_NAME, top->key, top->offset, 0);
    }
    places->path[PREFIX + length] = '/';
    memcpy(places->path + PREFIX + length + 1, value + child->name_at, child->name_length);
    memcpy(key, value + child->hash_at, AEOR_HASH);
    return enter(places, key, length + 1 + child->name_length, top->depth + 1, 0, time, fault);
}

/* One step: AEOR_OK with *folder true where a folder was entered, AEOR_ABSENT at the end. */
static int step(struct aeor_places *places, bool *folder, int64_t *time,
                struct aeor_fault *fault) {
    *folder = false;
    if (!places->begun) {
        places->begun = *folder = true;
        return enter(places, places->root, places->path_length, 0, 0, time, fault);
    }
    if (places->depth == 0) return AEOR_ABSENT;
    struct frame *top = places->frames + places->depth - 1;
    if (top->internal) {
        uint8_t key[AEOR_HASH];
        if (top->next > top->count) {
            drop(places);
            return AEOR_OK;
        }
        memcpy(key, top->value.data + top->keys_at + top->next++ * AEOR_HASH, AEOR_HASH);
        return enter(places, key, top->path_length, top->depth, top->level + 1, time, fault);
    }
    struct aeor_child child;
    int code;
    while ((code = aeor_children_next(&top->children, &child)) == AEOR_OK) {
        if (child.kind != AEOR_TYPE_DIRECTORY) continue;
        *folder = true;
        return enter_child(places, &child, time, fault);
    }
    if (code != AEOR_ABSENT) return fail(fault, code, top->key, top->offset, 0);
    drop(places);
    return AEOR_OK;
}

int aeor_places_next(struct aeor_places *places, uint8_t *rows, uint64_t capacity, uint64_t *count,
                     struct aeor_fault *fault) {
    *count = 0;
    while (*count < capacity) {
        int64_t time = 0;
        bool folder;
        int code = step(places, &folder, &time, fault);
        if (code == AEOR_ABSENT) return AEOR_OK;
        if (code != AEOR_OK) return code;
        if (!folder) continue;
        const struct frame *top = places->frames + places->depth - 1;
        if (places->limit-- == 0) {
            return fail(fault, AEOR_ERR_WALK_PLACES, top->key, top->offset, 0);
        }
        if (rows != NULL) {
            put_row(places, top->path_length, top->key, time, rows + *count * AEOR_PLACE);
        }
        ++*count;
    }
    return AEOR_OK;
}

struct aeor_places *aeor_places_new(const struct aeor_index *index, const uint8_t *root,
                                    const uint8_t *path, uint64_t path_length, uint64_t limit) {
    if (path_length > PATH_MAX_BYTES) return NULL;
    struct aeor_places *places = calloc(1, sizeof *places);
    if (places == NULL) return NULL;
    places->index = index;
    places->limit = limit;
    memcpy(places->root, root, AEOR_HASH);
    memcpy(places->path, "dir:", PREFIX);
    if (path_length > 0) memcpy(places->path + PREFIX, path, (size_t)path_length);
    places->path_length = path_length;
    return places;
}

void aeor_places_free(struct aeor_places *places) {
    if (places == NULL) return;
    while (places->depth > 0) drop(places);
    free(places->frames);
    free(places);
}
