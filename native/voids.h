/* The free ranges of a log: where new entries go, and which bytes of them must still be written. */
#ifndef AEOR_VOIDS_H
#define AEOR_VOIDS_H

#include "aeor.h"
#include "rooms.h"
#include "table.h"

/* cdef */
/* Neighbours are joined up to AEOR_VOID_JOINED bytes: a void entry's header hashes all of it, and
 * is written anew at a commit.  One above AEOR_VOID_HALVED is halved before it is used, so that it
 * costs its hash once.  Hardly an entry is shorter than AEOR_VOID_LEAST. */
enum { AEOR_VOID_JOINED = 262144, AEOR_VOID_HALVED = 1048576, AEOR_VOID_LEAST = 256 };
enum { AEOR_VOID_SHORT = 8192 };

/* `waiting`: it is no intact void entry yet. */
struct aeor_void {
    uint64_t offset, length;
    bool waiting;
};

/* Disjoint and in the order of offsets; all zeros is an empty list.  `zeros` are the parts of
 * waiting ranges whose bytes may be anything: the others are zeros already.  What a call that
 * ended with AEOR_ERR_MEMORY leaves behind is good for nothing but aeor_voids_free. */
struct aeor_voids {
    struct aeor_void *items;
    struct aeor_range *zeros;
    uint64_t count, capacity, zero_count, zero_capacity, waiting;
};

void aeor_voids_free(struct aeor_voids *voids);

/* Lists a range as it is.  `waiting`: its bytes are anything.  AEOR_ERR_ARGUMENT, and nothing
 * done, if it meets another one or passes the end of numbers; an empty one is none. */
int aeor_voids_insert(struct aeor_voids *voids, uint64_t offset, uint64_t length, bool waiting);

/* Lists a waiting range, joined with its neighbours where these are not too long for it. */
int aeor_voids_add(struct aeor_voids *voids, uint64_t offset, uint64_t length);

/* Takes `length` bytes off the range that they fit best (of several the first), from its start:
 * what is left is nothing, or has room for a void entry.  AEOR_ABSENT if they fit none. */
int aeor_voids_take(struct aeor_voids *voids, uint64_t length, uint64_t *offset);

/* `count` entries of `size` bytes that stand together; appended: behind all others. */
struct aeor_run {
    uint64_t offset, count, size;
    bool appended;
};

enum { AEOR_NO_RECORD = 0xff };

/* Finds room for entries of these total lengths: in the ranges, as many of them together as fit
 * one, else from *end on, which moves.  Each gets its record in `table`, with a key of `keys` (32
 * bytes each) and a KV type of `kinds`; one of kind AEOR_NO_RECORD gets none.  `runs` has room for
 * one per entry; *found of them, in the order of entries, neighbours joined. */
int aeor_voids_place(struct aeor_voids *voids, const uint64_t *lengths, uint64_t count,
                     const uint8_t *keys, const uint8_t *kinds, uint64_t *end,
                     struct aeor_table *table, struct aeor_run *runs, uint64_t *found);

/* The length of the range that ends, or begins, just there; 0 if there is none. */
uint64_t aeor_voids_before(const struct aeor_voids *voids, uint64_t end);
uint64_t aeor_voids_at(const struct aeor_voids *voids, uint64_t offset);

/* Takes a whole range off the list, by its offset; AEOR_ABSENT. */
int aeor_voids_remove(struct aeor_voids *voids, uint64_t offset);

/* Takes off the list all that lies before `start`. */
int aeor_voids_clip(struct aeor_voids *voids, uint64_t start);

/* Takes off the list the ranges that are shorter than AEOR_VOID_LEAST, and of the others the
 * shortest until `most` are left; waiting ones stay. */
int aeor_voids_keep_largest(struct aeor_voids *voids, uint64_t most);

/* Nothing is known any more of the bytes of ranges that meet this one. */
int aeor_voids_unsettle(struct aeor_voids *voids, uint64_t offset, uint64_t length);

/* What makes a range one intact void entry: zeros at `zero_count` places, `zeros` on, and then its
 * first 63 bytes. */
struct aeor_void_write {
    uint64_t offset, length;
    const struct aeor_range *zeros;
    uint64_t zero_count;
    uint8_t header[63];
};

/* The first waiting range's; AEOR_ABSENT.  One with no room for a void entry waits no more. */
int aeor_voids_next(struct aeor_voids *voids, struct aeor_void_write *write);

/* That range has been written: it waits no more. */
void aeor_voids_settle(struct aeor_voids *voids, uint64_t offset);

/* Writes to a file what makes waiting ranges intact, one after the other, and settles them; ends
 * at one that needs other zeros than those right behind its header, or more than AEOR_VOID_SHORT
 * bytes in all, or that cannot be written: that one still waits. */
int aeor_voids_write_short(struct aeor_voids *voids, int fd);
/* end cdef */

/* All ranges as void records of a hot tail, of which `records` has room for `count`. */
void aeor_voids_records(const struct aeor_voids *voids, uint8_t *records);

#endif
