/* Carrying entries into an export or a patch: the plan, the copy in windows, the new index.
 *
 * What is copied is what was checked: each window is read once, into a buffer, verified there, and
 * written from there. */
#ifndef AEOR_CARRY_H
#define AEOR_CARRY_H

#include "aeor.h"
#include "walk.h"

/* cdef */
/* An entry to be carried: its offset and KV type (offset << 8 | type), total length and slot. */
struct aeor_plan_item {
    uint64_t place;
    uint32_t length;
    uint32_t slot;
};

/* Counts and bytes of the plan's entries by KV type; path: of the path keys to be made. */
struct aeor_plan_sums {
    uint64_t counts[16], bytes[16];
    uint64_t path_count, path_bytes;
};

enum { AEOR_MARKS_ADD, AEOR_MARKS_REMOVE, AEOR_MARKS_KEEP };

/* Sets the bits that `other` has set; or clears them; or clears all others. */
int aeor_marks_combine(uint32_t *marks, const uint32_t *other, uint64_t slots, int how);

/* How many bits are set. */
uint64_t aeor_marks_count(const uint32_t *marks, uint64_t slots);

/* Fills `items`, room for as many as there are marks, in the order of their offsets.  Records whose
 * slot is in `paths` (NULL: none) get a path key. */
int aeor_plan_fill(const struct aeor_index *index, const uint32_t *marks, const uint32_t *paths,
                   struct aeor_plan_item *items, uint64_t capacity, struct aeor_plan_sums *sums,
                   struct aeor_fault *fault);

/* Where the window ends that begins at item `first`: behind at least one item, before `most` bytes
 * are exceeded.  *bytes and *entries: what it makes, path keys included. */
uint64_t aeor_plan_window(const struct aeor_plan_item *items, uint64_t count, uint64_t first,
                          const uint32_t *paths, uint64_t most, uint64_t *bytes,
                          uint64_t *entries);

/* Copies `count` items to `out` and verifies them there; a path key's entry goes right behind its
 * record.  Entries whose slot is in `system` (NULL: none) get the system flag.  `records` takes 46
 * bytes for each entry, with offsets from the start of `out`; *latest: the highest entry time.
 * Room for both is what aeor_plan_window said. */
int aeor_carry(const struct aeor_index *index, const struct aeor_plan_item *items, uint64_t count,
               const uint32_t *paths, const uint32_t *system, uint8_t *out, uint64_t capacity,
               uint8_t *records, uint64_t record_capacity, int64_t *latest,
               struct aeor_fault *fault);

/* Of the items, how many have entries that are not later than `time`. */
int aeor_plan_older(const struct aeor_index *index, const struct aeor_plan_item *items,
                    uint64_t count, int64_t time, uint64_t *older, struct aeor_fault *fault);

/* Puts records, `base` added to their offsets, into the unsealed pages of a new KV block that is
 * mapped for writing; those that find their page full go to `overflow`. */
int aeor_block_insert(uint8_t *block, uint64_t pages, const uint8_t *records, uint64_t count,
                      uint64_t base, struct aeor_bytes *overflow, struct aeor_fault *fault);

/* Gives every page of the block that holds entries its magic and checksum. */
int aeor_block_seal(uint8_t *block, uint64_t pages);
/* end cdef */

/* Puts items in the order of their offsets. */
void aeor_plan_sort(struct aeor_plan_item *items, uint64_t count);

#endif
