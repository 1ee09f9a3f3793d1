/* What walk.c and walker.c share: a walk's state, under its mutex.  No part of Python's surface. */
#ifndef AEOR_WALK_STATE_H
#define AEOR_WALK_STATE_H

#include <pthread.h>

#include "walk.h"

/* A node or record whose bit is set, still to be read. */
struct aeor_walk_item {
    uint64_t offset;
    uint32_t total_length;
    uint16_t depth;  /* folders above it */
    uint8_t level;   /* B-tree nodes above it in its own directory */
    uint8_t type;
    uint8_t key[AEOR_HASH];
};

struct aeor_walk_items {
    struct aeor_walk_item *data;
    uint64_t count, capacity;
};

struct aeor_walk {
    const struct aeor_index *index;
    uint32_t *marks, *folders;
    uint32_t workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* Under the mutex; `stopped` and `idle` are also read without it, as hints. */
    struct aeor_walk_items queue;
    struct aeor_fault fault, *faults; /* faults: the caller's, to go on behind each of them */
    uint64_t fault_count, fault_capacity;
    uint32_t idle;
    bool stopped, finished;
    bool path_keys, strict; /* set before the workers begin */
};

enum {
    AEOR_SKIPPED = 100, /* a fault was noted, and the walk goes on */
};

int aeor_walk_push(struct aeor_walk_items *items, const struct aeor_walk_item *item);

/* Keeps the first fault and ends the walk, or notes it if faults are collected; gives the code. */
int aeor_walk_fail(struct aeor_walk *walk, int code, uint8_t type, const uint8_t *key,
                   const struct aeor_hit *hit);

/* Marks an entry that the tree leads to; *fresh: nobody had met it, and `item` is set. */
int aeor_walk_meet(struct aeor_walk *walk, uint8_t type, const uint8_t *key,
                   struct aeor_walk_item *item, uint64_t *slot, bool *fresh);

/* Sets the slot's bit; true for who did it first. */
static inline bool aeor_walk_mark(uint32_t *marks, uint64_t slot) {
    uint32_t bit = 1u << slot % 32, *word = marks + slot / 32;
    if (__atomic_load_n(word, __ATOMIC_RELAXED) & bit) return false;
    return !(__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit);
}

static inline bool aeor_walk_stopped(struct aeor_walk *walk) {
    return __atomic_load_n(&walk->stopped, __ATOMIC_RELAXED);
}

#endif
