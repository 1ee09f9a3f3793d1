/* The walk: what a version reaches, as bits over the slots of an index.
 *
 *     walk = aeor_walk_new(index, marks, folders, workers);
 *     aeor_walk_add(walk, ...);                      the roots, before the workers begin
 *     in each of `workers` threads:
 *         walker = aeor_walker_new(walk);
 *         while (aeor_walker_run(walker, steps) == AEOR_MORE) ...;
 *         aeor_walker_free(walker);
 *     aeor_walk_free(walk);
 *
 * The worker that sets an entry's bit first owns the entry; a set bit is not followed again.  Nodes
 * and records are verified before they are parsed; of a chunk nothing is read but its index entry. */
#ifndef AEOR_WALK_H
#define AEOR_WALK_H

#include "aeor.h"
#include "index.h"

/* cdef */
enum {
    AEOR_MORE = 4,    /* there is work left: call again */
    AEOR_STOPPED = 5, /* aeor_walk_stop was called, or another worker failed */
};

enum {
    AEOR_ERR_WALK_MISSING = -50, /* the index has no such key */
    AEOR_ERR_WALK_TYPE = -51,    /* an entry of another type */
    AEOR_ERR_WALK_DEPTH = -52,   /* folders nest more than 1,000 levels deep, or loop */
    AEOR_ERR_WALK_HEIGHT = -53,  /* a B-tree of more than 32 levels, or a listing inside one */
    AEOR_ERR_WALK_NAME = -54,    /* a name or path that may not be */
    AEOR_ERR_WALK_PLACES = -55,  /* folders share one another in too many places */
    AEOR_ERR_WALK_TWICE = -56,   /* one key, two entries */
    AEOR_ERR_WALK_TEXT = -57,    /* a name, path or content type that is not UTF-8 */
    AEOR_ERR_WALK_DOUBLE = -58,  /* a listing with one name twice */
};

/* What went wrong, and for which entry. */
struct aeor_fault {
    int32_t code;
    uint8_t type; /* the entry type that was expected */
    uint8_t key[32];
    uint64_t offset, page;
};

struct aeor_walk;
struct aeor_walker;

/* `marks` has a bit for each of aeor_index_slots(index), in 32-bit words; so has `folders`, unless
 * NULL: there each directory gets a bit, but not the B-tree nodes below its own.  All pointers are
 * the caller's and outlive the walk.  NULL: no memory. */
struct aeor_walk *aeor_walk_new(const struct aeor_index *index, uint32_t *marks, uint32_t *folders,
                                uint32_t workers);
void aeor_walk_free(struct aeor_walk *walk);

/* Marks `count` entries of this type as roots; with `alone`, what they lead to is left out. */
int aeor_walk_add(struct aeor_walk *walk, uint8_t type, const uint8_t *keys, uint64_t count,
                  bool alone);

/* Also marks the path keys of the files and symlinks that it meets, as far as the index has them;
 * before the workers begin. */
void aeor_walk_path_keys(struct aeor_walk *walk);

/* What parses and would be refused by who reads it is a fault, too: names that no path may hold or
 * that stand twice, texts that are not UTF-8; before the workers begin. */
void aeor_walk_strict(struct aeor_walk *walk);

/* From now on a fault in the tree is noted in `faults` (the first `capacity` of them), and the walk
 * goes on with what is left; not for walks with `folders`.  Without memory, or at a bad page, it
 * still ends. */
int aeor_walk_collect(struct aeor_walk *walk, struct aeor_fault *faults, uint64_t capacity);

/* How many faults were met so far; perhaps more than there was room for. */
uint64_t aeor_walk_collected(struct aeor_walk *walk);

/* Ends the walk: every worker returns AEOR_STOPPED soon.  From any thread. */
void aeor_walk_stop(struct aeor_walk *walk);

/* The first fault; its code is AEOR_OK if there was none. */
void aeor_walk_fault(struct aeor_walk *walk, struct aeor_fault *fault);

struct aeor_walker *aeor_walker_new(struct aeor_walk *walk);
void aeor_walker_free(struct aeor_walker *walker);

/* Follows up to `steps` entries: AEOR_MORE, or AEOR_OK once no worker has anything left. */
int aeor_walker_run(struct aeor_walker *walker, uint64_t steps);
/* end cdef */

#include "entry.h"
#include "page.h"

enum { AEOR_DEPTH_MAX = 1000, AEOR_HEIGHT_MAX = 32 };

/* Where the entry of a key is that the tree needs: AEOR_ERR_WALK_MISSING if there is none,
 * AEOR_ERR_WALK_TYPE if the index has it as another type than the entry type `type`. */
int aeor_walk_locate(const struct aeor_index *index, const uint8_t *key, uint8_t type,
                     struct aeor_hit *hit, uint64_t *slot);

/* Reads and verifies what was located; looks again if it does not hold, as the index may have been
 * torn.  The value is the first entry->value_length bytes of `value`. */
int aeor_walk_fetch(const struct aeor_index *index, const uint8_t *key, uint8_t type,
                    struct aeor_hit *hit, struct aeor_bytes *value, struct aeor_entry *entry);

#endif
