#include "walk.h"

#include <pthread.h>
#include <stdlib.h>

#include "blake3.h"
#include "map.h"
#include "node.h"
#include "table.h"

/* KV type by entry type (FORMAT.md, Entries); 0xff: none. */
static const uint8_t kv_types[] = {0xff, 0, 1, 2, 3, 4, 5, 7, 9};

enum {
    BATCH = 256, /* records that are read in the order of their offsets */
    ASKED = 64,  /* keys that are looked up together */
    AHEAD = 8,   /* what is asked for soon is brought into the cache so many steps before */
};

/* A node or record whose bit is set, still to be read. */
struct item {
    uint64_t offset;
    uint32_t total_length;
    uint16_t depth;  /* folders above it */
    uint8_t level;   /* B-tree nodes above it in its own directory */
    uint8_t type;
    uint8_t key[AEOR_HASH];
};

struct items {
    struct item *data;
    uint64_t count, capacity;
};

struct aeor_walk {
    const struct aeor_index *index;
    uint32_t *marks, *folders;
    uint32_t workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex; `stopped` and `idle` are also read without it, as hints. */
    struct items queue;
    struct aeor_fault fault, *faults; /* faults: the caller's, to go on behind each of them */
    uint64_t fault_count, fault_capacity;
    uint32_t idle;
    bool stopped, finished;
    bool path_keys; /* set before the workers begin */
};

/* A key of a record that is still to be looked up, its page on the way into the cache. */
struct asked {
    uint8_t type, key[AEOR_HASH];
    bool path; /* a path key, which the index need not have */
};

struct aeor_walker {
    struct aeor_walk *walk;
    struct items stack;
    struct asked asked[ASKED];
    uint32_t asked_count;
    struct aeor_bytes node, record;
    struct item batch[BATCH];
    uint32_t batched;
};

static int push(struct items *items, const struct item *item) {
    if (items->count == items->capacity) {
        uint64_t wanted = items->capacity + items->capacity / 2 + 64;
        if (wanted > SIZE_MAX / sizeof *items->data) return AEOR_ERR_MEMORY;
        struct item *grown = realloc(items->data, (size_t)wanted * sizeof *grown);
        if (grown == NULL) return AEOR_ERR_MEMORY;
        items->data = grown;
        items->capacity = wanted;
    }
    items->data[items->count++] = *item;
    return AEOR_OK;
}

/* Sets the slot's bit; true for who did it first. */
static bool mark(uint32_t *marks, uint64_t slot) {
    uint32_t bit = 1u << slot % 32, *word = marks + slot / 32;
    if (__atomic_load_n(word, __ATOMIC_RELAXED) & bit) return false;
    return !(__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit);
}

static bool is_stopped(struct aeor_walk *walk) {
    return __atomic_load_n(&walk->stopped, __ATOMIC_RELAXED);
}

enum { SKIPPED = 100, RECENT = 16 }; /* SKIPPED: a fault was noted, and the walk goes on */

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

/* Keeps the first fault and ends the walk, or notes it if faults are collected; gives the code. */
static int fail(struct aeor_walk *walk, int code, uint8_t type, const uint8_t *key,
                const struct aeor_hit *hit) {
    if (code == SKIPPED) return code;
    pthread_mutex_lock(&walk->mutex);
    if (walk->faults != NULL && code != AEOR_ERR_MEMORY && code != AEOR_ERR_PAGE) {
        struct aeor_fault fault = {code, type, {0}, hit->offset, hit->page};
        memcpy(fault.key, key, AEOR_HASH);
        note(walk, &fault);
        pthread_mutex_unlock(&walk->mutex);
        return SKIPPED;
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

/* Marks an entry that the tree leads to; *fresh: nobody had met it, and `item` is set. */
static int meet(struct aeor_walk *walk, uint8_t type, const uint8_t *key, struct item *item,
                uint64_t *slot, bool *fresh) {
    struct aeor_hit hit = {0};
    int code = aeor_walk_locate(walk->index, key, type, &hit, slot);
    *fresh = false;
    if (code != AEOR_OK) code = fail(walk, code, type, key, &hit);
    if (code != AEOR_OK) return code == SKIPPED ? AEOR_OK : code;
    *fresh = mark(walk->marks, *slot);
    if (*fresh) {
        *item = (struct item){hit.offset, hit.total_length, 0, 0, type, {0}};
        memcpy(item->key, key, AEOR_HASH);
    }
    return AEOR_OK;
}

static int fetch(struct aeor_walk *walk, const struct item *item, struct aeor_bytes *value,
                 struct aeor_entry *entry) {
    struct aeor_hit hit = {.offset = item->offset, .total_length = item->total_length};
    int code = aeor_walk_fetch(walk->index, item->key, item->type, &hit, value, entry);
    return code == AEOR_OK ? code : fail(walk, code, item->type, item->key, &hit);
}

/* A fault inside the value of an item. */
static int fail_inside(struct aeor_walk *walk, int code, const struct item *item) {
    struct aeor_hit hit = {.offset = item->offset};
    return fail(walk, code, item->type, item->key, &hit);
}

/* Marks what was asked for; a path key only if the index has it. */
static int answer_asked(struct aeor_walker *walker) {
    struct aeor_walk *walk = walker->walk;
    int code = AEOR_OK;
    for (uint32_t i = 0; i < walker->asked_count && code == AEOR_OK; i++) {
        const struct asked *asked = walker->asked + i;
        struct aeor_hit hit = {0};
        struct item item;
        uint64_t slot;
        bool fresh;
        if (!asked->path) {
            code = meet(walk, asked->type, asked->key, &item, &slot, &fresh);
            continue;
        }
        code = aeor_index_slot(walk->index, asked->key, false, &hit, &slot);
        if (code == AEOR_OK) {
            mark(walk->marks, slot);
        } else if (code == AEOR_ABSENT) {
            code = AEOR_OK;
        } else {
            fail(walk, code, asked->type, asked->key, &hit);
        }
    }
    walker->asked_count = 0;
    return code;
}

static int ask(struct aeor_walker *walker, uint8_t type, const uint8_t *key, bool path) {
    struct asked *asked = walker->asked + walker->asked_count++;
    asked->type = type;
    asked->path = path;
    memcpy(asked->key, key, AEOR_HASH);
    aeor_index_prefetch(walker->walk->index, key);
    return walker->asked_count == ASKED ? answer_asked(walker) : AEOR_OK;
}

/* Asks for the path key of a record. */
static int ask_path(struct aeor_walker *walker, uint8_t type, const uint8_t *path,
                    uint64_t length) {
    static const char file[] = "file:", symlink[] = "symlink:";
    const char *prefix = type == AEOR_TYPE_FILE ? file : symlink;
    size_t prefix_length = type == AEOR_TYPE_FILE ? sizeof file - 1 : sizeof symlink - 1;
    uint8_t key[AEOR_HASH], text[512];
    if (prefix_length + length <= sizeof text) {
        memcpy(text, prefix, prefix_length);
        memcpy(text + prefix_length, path, (size_t)length);
        aeor_blake3(text, prefix_length + (size_t)length, key);
    } else {
        aeor_blake3_hasher hasher;
        aeor_blake3_init(&hasher);
        aeor_blake3_update(&hasher, (const uint8_t *)prefix, prefix_length);
        aeor_blake3_update(&hasher, path, (size_t)length);
        aeor_blake3_digest(&hasher, key);
    }
    return ask(walker, type, key, true);
}

/* A file record's chunks; of a symlink's record, that it is one. */
static int visit_record(struct aeor_walker *walker, const struct item *item) {
    struct aeor_walk *walk = walker->walk;
    struct aeor_entry entry;
    struct aeor_record_fields fields;
    uint64_t bad_at;
    int code = fetch(walk, item, &walker->record, &entry);
    if (code != AEOR_OK) return code;
    code = aeor_record_fields(item->type, entry.version, walker->record.data, entry.value_length,
                              &fields, &bad_at);
    if (code != AEOR_OK) return fail_inside(walk, code, item);
    if (walk->path_keys) {
        code = ask_path(walker, item->type, walker->record.data + fields.name_at,
                        fields.name_length);
    }
    for (uint64_t i = 0; i < fields.key_count && code == AEOR_OK; i++) {
        code = ask(walker, AEOR_TYPE_CHUNK, walker->record.data + fields.keys_at + i * AEOR_HASH,
                   false);
    }
    return code;
}

static int by_offset(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Brings a record's bytes into the cache, as far as most records go. */
static void prefetch_record(const struct aeor_index *index, const struct item *item) {
    enum { LINE = 64, LINES = 6 };
    if (!aeor_inside(item->offset, LINE * LINES, index->map_length)) return;
    for (int i = 0; i < LINES; i++) __builtin_prefetch(index->map + item->offset + i * LINE);
}

static int visit_batch(struct aeor_walker *walker) {
    int code = AEOR_OK;
    if (walker->batched > 1) {
        qsort(walker->batch, walker->batched, sizeof *walker->batch, by_offset);
    }
    for (uint32_t i = 0; i < walker->batched && code == AEOR_OK; i++) {
        if (i + AHEAD < walker->batched) {
            prefetch_record(walker->walk->index, walker->batch + i + AHEAD);
        }
        code = is_stopped(walker->walk) ? AEOR_STOPPED : visit_record(walker, walker->batch + i);
        if (code == SKIPPED) code = AEOR_OK;
    }
    walker->batched = 0;
    return code == AEOR_OK ? answer_asked(walker) : code;
}

static int visit_child(struct aeor_walker *walker, const struct item *parent,
                       const struct aeor_child *child) {
    struct aeor_walk *walk = walker->walk;
    struct item item;
    uint64_t slot;
    bool fresh, folder = child->kind == AEOR_TYPE_DIRECTORY;
    if (folder && parent->depth >= AEOR_DEPTH_MAX) {
        return fail_inside(walk, AEOR_ERR_WALK_DEPTH, parent);
    }
    int code = meet(walk, child->kind, walker->node.data + child->hash_at, &item, &slot, &fresh);
    if (code != AEOR_OK) return code;
    if (folder && walk->folders != NULL) mark(walk->folders, slot);
    if (!fresh) return AEOR_OK;
    if (folder) {
        item.depth = parent->depth + 1;
        return push(&walker->stack, &item);
    }
    walker->batch[walker->batched++] = item;
    return walker->batched == BATCH ? visit_batch(walker) : AEOR_OK;
}

static int visit_internal(struct aeor_walker *walker, const struct item *parent,
                          uint64_t length) {
    uint64_t count, keys_at, bad_at;
    if (parent->level >= AEOR_HEIGHT_MAX) {
        return fail_inside(walker->walk, AEOR_ERR_WALK_HEIGHT, parent);
    }
    int code = aeor_node_internal(walker->node.data, length, NULL, 0, &count, &keys_at, &bad_at);
    if (code != AEOR_OK) return fail_inside(walker->walk, code, parent);
    for (uint64_t i = 0; i <= count && code == AEOR_OK; i++) {
        struct item item;
        uint64_t slot;
        bool fresh;
        code = meet(walker->walk, AEOR_TYPE_DIRECTORY, walker->node.data + keys_at + i * AEOR_HASH,
                    &item, &slot, &fresh);
        if (code != AEOR_OK || !fresh) continue;
        item.depth = parent->depth;
        item.level = parent->level + 1;
        code = push(&walker->stack, &item);
    }
    return code;
}

static int visit_directory(struct aeor_walker *walker, const struct item *item) {
    struct aeor_entry entry;
    struct aeor_children children;
    struct aeor_child child;
    int code = fetch(walker->walk, item, &walker->node, &entry);
    if (code != AEOR_OK) return code;
    int kind = aeor_node_kind(walker->node.data, entry.value_length);
    if (kind == AEOR_NODE_INTERNAL) return visit_internal(walker, item, entry.value_length);
    if (kind == AEOR_NODE_FLAT && item->level > 0) {
        return fail_inside(walker->walk, AEOR_ERR_WALK_HEIGHT, item);
    }
    code = aeor_children_start(&children, walker->node.data, entry.value_length);
    while (code == AEOR_OK && (code = aeor_children_next(&children, &child)) == AEOR_OK) {
        aeor_index_prefetch(walker->walk->index, walker->node.data + child.hash_at);
    }
    code = aeor_children_start(&children, walker->node.data, entry.value_length);
    while (code == AEOR_OK && (code = aeor_children_next(&children, &child)) == AEOR_OK) {
        int met = visit_child(walker, item, &child);
        if (met != AEOR_OK && met != SKIPPED) return met;
    }
    if (code != AEOR_ABSENT) code = fail_inside(walker->walk, code, item);
    return code == AEOR_ABSENT || code == SKIPPED ? visit_batch(walker) : code;
}

static int visit(struct aeor_walker *walker, const struct item *item) {
    switch (item->type) {
    case AEOR_TYPE_DIRECTORY:
        return visit_directory(walker, item);
    case AEOR_TYPE_FILE:
    case AEOR_TYPE_SYMLINK: {
        int code = visit_record(walker, item);
        return code == AEOR_OK ? answer_asked(walker) : code;
    }
    default:
        return AEOR_OK;
    }
}

/* Moves up to `most` of the items at the end of `from` to `to`. */
static int move_items(struct items *to, struct items *from, uint64_t most) {
    int code = AEOR_OK;
    for (; most > 0 && from->count > 0 && code == AEOR_OK; most--) {
        code = push(to, from->data + from->count - 1);
        if (code == AEOR_OK) from->count--;
    }
    return code;
}

/* Waits for work from the others: AEOR_ABSENT once nobody has any. */
static int take(struct aeor_walker *walker) {
    struct aeor_walk *walk = walker->walk;
    int code = AEOR_OK;
    pthread_mutex_lock(&walk->mutex);
    if (walk->queue.count == 0) {
        __atomic_store_n(&walk->idle, walk->idle + 1, __ATOMIC_RELAXED);
        if (walk->idle == walk->workers) {
            walk->finished = true;
            pthread_cond_broadcast(&walk->wake);
        }
        while (walk->queue.count == 0 && !walk->finished && !walk->stopped) {
            pthread_cond_wait(&walk->wake, &walk->mutex);
        }
        if (!walk->finished) __atomic_store_n(&walk->idle, walk->idle - 1, __ATOMIC_RELAXED);
    }
    if (walk->stopped) {
        code = AEOR_STOPPED;
    } else if (walk->finished) {
        code = AEOR_ABSENT;
    } else {
        code = move_items(&walker->stack, &walk->queue, walk->queue.count / walk->workers + 1);
    }
    pthread_mutex_unlock(&walk->mutex);
    return code;
}

/* Gives a half of the stack, what was pushed first and so leads to most, to who waits. */
static int share(struct aeor_walker *walker) {
    struct aeor_walk *walk = walker->walk;
    struct items *stack = &walker->stack;
    uint64_t half = stack->count / 2;
    int code = AEOR_OK;
    if (half == 0 || __atomic_load_n(&walk->idle, __ATOMIC_RELAXED) == 0) return AEOR_OK;
    pthread_mutex_lock(&walk->mutex);
    if (walk->queue.count == 0) {
        for (uint64_t i = 0; i < half && code == AEOR_OK; i++) {
            code = push(&walk->queue, stack->data + i);
        }
        if (code == AEOR_OK) {
            stack->count -= half;
            memmove(stack->data, stack->data + half, (size_t)stack->count * sizeof *stack->data);
            pthread_cond_broadcast(&walk->wake);
        }
    }
    pthread_mutex_unlock(&walk->mutex);
    return code;
}

int aeor_walker_run(struct aeor_walker *walker, uint64_t steps) {
    struct aeor_walk *walk = walker->walk;
    for (; steps > 0; steps--) {
        int code = AEOR_OK;
        if (is_stopped(walk)) return AEOR_STOPPED;
        if (walker->stack.count == 0) code = take(walker);
        if (code == AEOR_ABSENT) return AEOR_OK;
        if (code == AEOR_OK) {
            struct item item = walker->stack.data[--walker->stack.count];
            code = visit(walker, &item);
        }
        if (code == AEOR_OK || code == SKIPPED) code = share(walker);
        if (code == AEOR_STOPPED) return code;
        if (code != AEOR_OK) {
            static const uint8_t no_key[AEOR_HASH];
            struct aeor_hit hit = {0};
            return fail(walk, code, 0, no_key, &hit); /* the first fault stays */
        }
    }
    return AEOR_MORE;
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
        struct item item;
        uint64_t slot;
        bool fresh;
        int code = meet(walk, type, keys, &item, &slot, &fresh);
        if (code != AEOR_OK) return code;
        if (type == AEOR_TYPE_DIRECTORY && walk->folders != NULL) {
            mark(walk->folders, slot);
        }
        if (!fresh || alone) continue;
        code = push(&walk->queue, &item);
        if (code != AEOR_OK) return code;
    }
    return AEOR_OK;
}

void aeor_walk_path_keys(struct aeor_walk *walk) { walk->path_keys = true; }

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

struct aeor_walker *aeor_walker_new(struct aeor_walk *walk) {
    struct aeor_walker *walker = calloc(1, sizeof *walker);
    if (walker != NULL) walker->walk = walk;
    return walker;
}

void aeor_walker_free(struct aeor_walker *walker) {
    if (walker == NULL) return;
    free(walker->stack.data);
    aeor_bytes_free(&walker->node);
    aeor_bytes_free(&walker->record);
    free(walker);
}
