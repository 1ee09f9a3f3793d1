/* A worker of a walk (walk.h): it follows what it has met, and shares it with those that wait. */
#include <stdlib.h>

#include "blake3.h"
#include "map.h"
#include "node.h"
#include "rules.h"
#include "walk.h"
#include "walk_state.h"

enum {
    BATCH = 256, /* records that are read in the order of their offsets */
    ASKED = 64,  /* keys that are looked up together */
    AHEAD = 8,   /* what is asked for soon is brought into the cache so many steps before */
};

/* A key of a record that is still to be looked up, its page on the way into the cache. */
struct asked {
    uint8_t type, key[AEOR_HASH];
    bool path; /* a path key, which the index need not have */
};

struct aeor_walker {
    struct aeor_walk *walk;
    struct aeor_walk_items stack;
    struct asked asked[ASKED];
    uint32_t asked_count;
    struct aeor_bytes node, record;
    struct aeor_walk_item batch[BATCH];
    uint32_t batched;
};

static int fetch(struct aeor_walk *walk, const struct aeor_walk_item *item,
                 struct aeor_bytes *value, struct aeor_entry *entry) {
    struct aeor_hit hit = {.offset = item->offset, .total_length = item->total_length};
    int code = aeor_walk_fetch(walk->index, item->key, item->type, &hit, value, entry);
    return code == AEOR_OK ? code : aeor_walk_fail(walk, code, item->type, item->key, &hit);
}

/* A fault inside the value of an item. */
static int fail_inside(struct aeor_walk *walk, int code, const struct aeor_walk_item *item) {
    struct aeor_hit hit = {.offset = item->offset};
    return aeor_walk_fail(walk, code, item->type, item->key, &hit);
}

/* Marks what was asked for; a path key only if the index has it. */
static int answer_asked(struct aeor_walker *walker) {
    struct aeor_walk *walk = walker->walk;
    int code = AEOR_OK;
    for (uint32_t i = 0; i < walker->asked_count && code == AEOR_OK; i++) {
        const struct asked *asked = walker->asked + i;
        struct aeor_hit hit = {0};
        struct aeor_walk_item item;
        uint64_t slot;
        bool fresh;
        if (!asked->path) {
            code = aeor_walk_meet(walk, asked->type, asked->key, &item, &slot, &fresh);
            continue;
        }
        code = aeor_index_slot(walk->index, asked->key, false, &hit, &slot);
        if (code == AEOR_OK) {
            aeor_walk_mark(walk->marks, slot);
        } else if (code == AEOR_ABSENT) {
            code = AEOR_OK;
        } else {
            aeor_walk_fail(walk, code, asked->type, asked->key, &hit);
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
static int visit_record(struct aeor_walker *walker, const struct aeor_walk_item *item) {
    struct aeor_walk *walk = walker->walk;
    struct aeor_entry entry;
    struct aeor_record_fields fields;
    uint64_t bad_at;
    int code = fetch(walk, item, &walker->record, &entry);
    if (code != AEOR_OK) return code;
    code = aeor_record_fields(item->type, entry.version, walker->record.data, entry.value_length,
                              &fields, &bad_at);
    if (code == AEOR_OK && walk->strict) code = aeor_rules_record(walker->record.data, &fields);
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
    const struct aeor_walk_item *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Brings a record's bytes into the cache, as far as most records go. */
static void prefetch_record(const struct aeor_index *index, const struct aeor_walk_item *item) {
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
        code = aeor_walk_stopped(walker->walk) ? AEOR_STOPPED
                                               : visit_record(walker, walker->batch + i);
        if (code == AEOR_SKIPPED) code = AEOR_OK;
    }
    walker->batched = 0;
    return code == AEOR_OK ? answer_asked(walker) : code;
}

static int visit_child(struct aeor_walker *walker, const struct aeor_walk_item *parent,
                       const struct aeor_child *child) {
    struct aeor_walk *walk = walker->walk;
    struct aeor_walk_item item;
    uint64_t slot;
    bool fresh, folder = child->kind == AEOR_TYPE_DIRECTORY;
    if (folder && parent->depth >= AEOR_DEPTH_MAX) {
        return fail_inside(walk, AEOR_ERR_WALK_DEPTH, parent);
    }
    int code = aeor_walk_meet(walk, child->kind, walker->node.data + child->hash_at, &item, &slot,
                              &fresh);
    if (code != AEOR_OK) return code;
    if (folder && walk->folders != NULL) aeor_walk_mark(walk->folders, slot);
    if (!fresh) return AEOR_OK;
    if (folder) {
        item.depth = parent->depth + 1;
        return aeor_walk_push(&walker->stack, &item);
    }
    walker->batch[walker->batched++] = item;
    return walker->batched == BATCH ? visit_batch(walker) : AEOR_OK;
}

static int visit_internal(struct aeor_walker *walker, const struct aeor_walk_item *parent,
                          uint64_t length) {
    uint64_t count, keys_at, bad_at;
    if (parent->level >= AEOR_HEIGHT_MAX) {
        return fail_inside(walker->walk, AEOR_ERR_WALK_HEIGHT, parent);
    }
    int code = aeor_node_internal(walker->node.data, length, NULL, 0, &count, &keys_at, &bad_at);
    if (code != AEOR_OK) return fail_inside(walker->walk, code, parent);
    for (uint64_t i = 0; i <= count && code == AEOR_OK; i++) {
        struct aeor_walk_item item;
        uint64_t slot;
        bool fresh;
        code = aeor_walk_meet(walker->walk, AEOR_TYPE_DIRECTORY,
                              walker->node.data + keys_at + i * AEOR_HASH, &item, &slot, &fresh);
        if (code != AEOR_OK || !fresh) continue;
        item.depth = parent->depth;
        item.level = parent->level + 1;
        code = aeor_walk_push(&walker->stack, &item);
    }
    return code;
}

static int visit_directory(struct aeor_walker *walker, const struct aeor_walk_item *item) {
    struct aeor_entry entry;
    struct aeor_children children;
    struct aeor_child child;
    int code = fetch(walker->walk, item, &walker->node, &entry);
    if (code != AEOR_OK) return code;
    if (walker->walk->strict) {
        code = aeor_rules_node(walker->node.data, entry.value_length);
        if (code != AEOR_OK) code = fail_inside(walker->walk, code, item);
        if (code != AEOR_OK && code != AEOR_SKIPPED) return code;
    }
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
        if (met != AEOR_OK && met != AEOR_SKIPPED) return met;
    }
    if (code != AEOR_ABSENT) code = fail_inside(walker->walk, code, item);
    return code == AEOR_ABSENT || code == AEOR_SKIPPED ? visit_batch(walker) : code;
}

static int visit(struct aeor_walker *walker, const struct aeor_walk_item *item) {
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
static int move_items(struct aeor_walk_items *to, struct aeor_walk_items *from, uint64_t most) {
    int code = AEOR_OK;
    for (; most > 0 && from->count > 0 && code == AEOR_OK; most--) {
        code = aeor_walk_push(to, from->data + from->count - 1);
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
    struct aeor_walk_items *stack = &walker->stack;
    uint64_t half = stack->count / 2;
    int code = AEOR_OK;
    if (half == 0 || __atomic_load_n(&walk->idle, __ATOMIC_RELAXED) == 0) return AEOR_OK;
    pthread_mutex_lock(&walk->mutex);
    if (walk->queue.count == 0) {
        for (uint64_t i = 0; i < half && code == AEOR_OK; i++) {
            code = aeor_walk_push(&walk->queue, stack->data + i);
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
        if (aeor_walk_stopped(walk)) return AEOR_STOPPED;
        if (walker->stack.count == 0) code = take(walker);
        if (code == AEOR_ABSENT) return AEOR_OK;
        if (code == AEOR_OK) {
            struct aeor_walk_item item = walker->stack.data[--walker->stack.count];
            code = visit(walker, &item);
        }
        if (code == AEOR_OK || code == AEOR_SKIPPED) code = share(walker);
        if (code == AEOR_STOPPED) return code;
        if (code != AEOR_OK) {
            static const uint8_t no_key[AEOR_HASH];
            struct aeor_hit hit = {0};
            return aeor_walk_fail(walk, code, 0, no_key, &hit); /* the first fault stays */
        }
    }
    return AEOR_MORE;
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
