#include "walk.h"

#include <stdlib.h>

#include "table.h"
#include "walk_state.h"

/* KV type by entry type (FORMAT.md, Entries); 0xff: none. */
static const uint8_t kv_types[] = {0xff, 0, 1, 2, 3, 4, 5, 7, 9};

enum { RECENT = 16 };

int aeor_walk_push(struct aeor_walk_items *items, const struct aeor_walk_item *item) {
    if (items->count == items->capacity) {
        uint64_t wanted = items->capacity + items->capacity / 2 + 64;
        if (wanted > SIZE_MAX / sizeof *items->data) return AEOR_ERR_MEMORY;
        struct aeor_walk_item *grown = realloc(items->data, (size_t)wanted * sizeof *grown);
        if (grown == NULL) return AEOR_ERR_MEMORY;
        items->data = grown;
        items->capacity = wanted;
    }
    items->data[items->count++] = *item;
    return AEOR_OK;
}

/* Notes a fault, unless it is one of the newest: one missing entry may be needed at many places. */
static void note(struct aeor_walk *walk, const struct aeor_fault *fault) {
    uint64_t noted = walk->fault_count < walk->fault_capacity ? walk->fault_count
                                                              : walk->fault_capacity;
    for (uint64_t i = noted; i > 0 && noted - i < RECENT; i--) {
        if (memcmp(walk->faults[i - 1].key, fault->key, AEOR_HASH) == 0) return;
    }
    if (walk->fault_count < walk->fault_capacity) walk->faults[walk->fault_count] = *fault;
    walk->fault_count++;
}

int aeor_walk_fail(struct aeor_walk *walk, int code, uint8_t type, const uint8_t *key,
                   const struct aeor_hit *hit) {
    if (code == AEOR_SKIPPED) return code;
    pthread_mutex_lock(&walk->mutex);
    if (walk->faults != NULL && code != AEOR_ERR_MEMORY && code != AEOR_ERR_PAGE) {
        struct aeor_fault fault = {code, type, {0}, hit->offset, hit->page};
        memcpy(fault.key, key, AEOR_HASH);
        note(walk, &fault);
        pthread_mutex_unlock(&walk->mutex);
        return AEOR_SKIPPED;
    }
    if (walk->fault.code == AEOR_OK && !walk->stopped) {
        walk->fault = (struct aeor_fault){code, type, {0}, hit->offset, hit->page};
        memcpy(walk->fault.key, key, AEOR_HASH);
    }
    __atomic_store_n(&walk->stopped, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&walk->wake);
    pthread_mutex_unlock(&walk->mutex);
    return code;
}

int aeor_walk_locate(const struct aeor_index *index, const uint8_t *key, uint8_t type,
                     struct aeor_hit *hit, uint64_t *slot) {
    int code = aeor_index_slot(index, key, false, hit, slot);
    if (code == AEOR_ABSENT) return AEOR_ERR_WALK_MISSING;
    if (code != AEOR_OK) return code;
    if (type >= sizeof kv_types || (hit->kv & AEOR_KV_TYPE) != kv_types[type]) {
        return AEOR_ERR_WALK_TYPE;
    }
    return AEOR_OK;
}

static int reserve(struct aeor_bytes *bytes, uint64_t length) {
    if (length <= bytes->capacity && bytes->data != NULL) return AEOR_OK;
    uint64_t wanted = length + length / 2 + 1024;
    uint8_t *grown = wanted > SIZE_MAX ? NULL : realloc(bytes->data, (size_t)wanted);
    if (grown == NULL) return AEOR_ERR_MEMORY;
    bytes->data = grown;
    bytes->capacity = wanted;
    return AEOR_OK;
}

int aeor_walk_fetch(const struct aeor_index *index, const uint8_t *key, uint8_t type,
                    struct aeor_hit *hit, struct aeor_bytes *value, struct aeor_entry *entry) {
    for (bool checked = false;; checked = true) {
        uint64_t slot;
        int code = aeor_entry_header(index->map, index->map_length, hit->offset,
                                     hit->total_length, entry);
        /* The header's lengths lie within the map: no more is allocated than is there. */
        if (code == AEOR_OK) code = reserve(value, entry->value_length);
        if (code == AEOR_OK) {
            code = aeor_entry_fetch(index->map, index->map_length, hit->offset, hit->total_length,
                                    key, value->data, value->capacity, entry);
        }
        if (code == AEOR_OK && entry->type != type) code = AEOR_ERR_WALK_TYPE;
        if (code == AEOR_OK || code == AEOR_ERR_MEMORY || checked) return code;
        int found = aeor_index_slot(index, key, true, hit, &slot);
        if (found == AEOR_ABSENT) return AEOR_ERR_WALK_MISSING;
        if (found != AEOR_OK) return found;
    }
}

int aeor_walk_meet(struct aeor_walk *walk, uint8_t type, const uint8_t *key,
                   struct aeor_walk_item *item, uint64_t *slot, bool *fresh) {
    struct aeor_hit hit = {0};
    int code = aeor_walk_locate(walk->index, key, type, &hit, slot);
    *fresh = false;
    if (code != AEOR_OK) code = aeor_walk_fail(walk, code, type, key, &hit);
    if (code != AEOR_OK) return code == AEOR_SKIPPED ? AEOR_OK : code;
    *fresh = aeor_walk_mark(walk->marks, *slot);
    if (*fresh) {
        *item = (struct aeor_walk_item){hit.offset, hit.total_length, 0, 0, type, {0}};
        memcpy(item->key, key, AEOR_HASH);
    }
    return AEOR_OK;
}

struct aeor_walk *aeor_walk_new(const struct aeor_index *index, uint32_t *marks, uint32_t *folders,
                                uint32_t workers) {
    struct aeor_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) return NULL;
    walk->index = index;
    walk->marks = marks;
    walk->folders = folders;
    walk->workers = workers;
    if (pthread_mutex_init(&walk->mutex, NULL) != 0) {
        free(walk);
        return NULL;
    }
    if (pthread_cond_init(&walk->wake, NULL) != 0) {
        pthread_mutex_destroy(&walk->mutex);
        free(walk);
        return NULL;
    }
    return walk;
}

void aeor_walk_free(struct aeor_walk *walk) {
    if (walk == NULL) return;
    pthread_cond_destroy(&walk->wake);
    pthread_mutex_destroy(&walk->mutex);
    free(walk->queue.data);
    free(walk);
}

int aeor_walk_add(struct aeor_walk *walk, uint8_t type, const uint8_t *keys, uint64_t count,
                  bool alone) {
    for (uint64_t i = 0; i < count; i++, keys += AEOR_HASH) {
        struct aeor_walk_item item;
        uint64_t slot;
        bool fresh;
        int code = aeor_walk_meet(walk, type, keys, &item, &slot, &fresh);
        if (code != AEOR_OK) return code;
        if (type == AEOR_TYPE_DIRECTORY && walk->folders != NULL) {
            aeor_walk_mark(walk->folders, slot);
        }
        if (!fresh || alone) continue;
        code = aeor_walk_push(&walk->queue, &item);
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

void aeor_walk_path_keys(struct aeor_walk *walk) { walk->path_keys = true; }

void aeor_walk_strict(struct aeor_walk *walk) { walk->strict = true; }

int aeor_walk_collect(struct aeor_walk *walk, struct aeor_fault *faults, uint64_t capacity) {
    if (walk->folders != NULL) return AEOR_ERR_ARGUMENT;
    walk->faults = faults;
    walk->fault_capacity = capacity;
    return AEOR_OK;
}

uint64_t aeor_walk_collected(struct aeor_walk *walk) {
    pthread_mutex_lock(&walk->mutex);
    uint64_t count = walk->fault_count;
    pthread_mutex_unlock(&walk->mutex);
    return count;
}

void aeor_walk_stop(struct aeor_walk *walk) {
    pthread_mutex_lock(&walk->mutex);
    __atomic_store_n(&walk->stopped, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&walk->wake);
    pthread_mutex_unlock(&walk->mutex);
}

void aeor_walk_fault(struct aeor_walk *walk, struct aeor_fault *fault) {
    pthread_mutex_lock(&walk->mutex);
    *fault = walk->fault;
    pthread_mutex_unlock(&walk->mutex);
}
