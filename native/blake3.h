/* BLAKE3-256: one-shot, streaming, and many inputs at once in SIMD lanes.
 *
 * SIMD is chosen at run time (SSE4.1: 4 lanes, AVX2: 8, AVX-512: 16; elsewhere portable C), and
 * never changes a result. The work is cut into units: chunks of up to 1,024 bytes and parent
 * nodes. Lanes take units of any inputs side by side, so that one long input fills them as well
 * as many short ones do. Nothing allocates; the deepest call needs about 60 KiB of stack. */
#ifndef AEOR_BLAKE3_H
#define AEOR_BLAKE3_H

#include "aeor.h"

#define AEOR_BLAKE3_PREFIX 64 /* a prefix's longest length */
#define AEOR_BLAKE3_UNITS 512 /* chunks that one batch collects before it hashes them */
#define AEOR_BLAKE3_DEPTH 54  /* subtrees that wait in a stream of 2^64 bytes */
#define AEOR_BLAKE3_PIECE 256 /* chunks of a piece: a subtree, wherever in a stream it stands */

/* cdef */
enum { AEOR_SIMD_PORTABLE = 0, AEOR_SIMD_SSE41 = 1, AEOR_SIMD_AVX2 = 2, AEOR_SIMD_AVX512 = 3 };

/* The SIMD level in use. */
int aeor_blake3_simd(void);

/* Use this level from now on, in all threads (for tests); AEOR_ERR_ARGUMENT when the CPU lacks it. */
int aeor_blake3_set_simd(int level);

/* The hash of `length` bytes goes to out[32]. */
int aeor_blake3(const uint8_t *data, size_t length, uint8_t *out);

/* A stream: plain memory of fixed size, to be copied and dropped at will. */
typedef struct {
    uint64_t chunks;                             /* whole chunks hashed so far */
    uint32_t used;                               /* bytes waiting in `buffer` */
    uint32_t depth;                              /* subtrees waiting in `stack` */
    uint32_t top;                                /* `buffer` holds a top, not a chunk */
    uint8_t buffer[1024];                        /* the newest chunk: it may be the root */
    uint8_t stack[54][32];                       /* largest subtree first */
} aeor_blake3_hasher;

void aeor_blake3_init(aeor_blake3_hasher *hasher);
int aeor_blake3_update(aeor_blake3_hasher *hasher, const uint8_t *data, size_t length);
/* The same for `count` pieces of 262,144 bytes each, given by their tops (see aeor_blake3_pieces).
 * AEOR_ERR_ARGUMENT unless the stream's length so far is a multiple of that. */
int aeor_blake3_update_tops(aeor_blake3_hasher *hasher, const uint8_t *tops, size_t count);
/* The hash of all so far goes to out[32]; the stream may go on. */
int aeor_blake3_digest(const aeor_blake3_hasher *hasher, uint8_t *out);

/* Many at once, each input behind the same prefix (at most 64 bytes; may be empty).
 * out[32 * i] is the hash of prefix + input i. */

/* Input i is buffer[offsets[i]] .. + lengths[i]; AEOR_ERR_BOUNDS, and nothing hashed, if one
 * leaves the buffer. */
int aeor_blake3_slices(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                       const uint64_t *lengths, size_t count, const uint8_t *prefix,
                       size_t prefix_length, uint8_t *out);

/* The sum of `count` lengths: Python takes ten times as long for it. */
uint64_t aeor_blake3_total(const uint64_t *lengths, size_t count);

/* The inputs lie one after the other and fill the buffer, else AEOR_ERR_BOUNDS. */
int aeor_blake3_joined(const uint8_t *buffer, size_t buffer_length, const uint64_t *lengths,
                       size_t count, const uint8_t *prefix, size_t prefix_length, uint8_t *out);

/* Two things at once of `count` pieces, the i-th of lengths[i] bytes at offsets[i]: keys[32 * i] is
 * the hash of prefix + piece; tops[64 * i] is what a stream of all pieces needs of this one, where
 * it has 262,144 bytes: the chaining values of its halves, `first` such pieces being ahead of the
 * first one. A shorter piece leaves its top alone. AEOR_ERR_BOUNDS, and nothing hashed, if one
 * leaves the buffer. */
int aeor_blake3_pieces(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                       const uint64_t *lengths, size_t count, const uint8_t *prefix,
                       size_t prefix_length, uint64_t first, uint8_t *keys, uint8_t *tops);

/* Input i is lengths[i] bytes at inputs[i]. */
int aeor_blake3_pointers(const uint8_t *const *inputs, const uint64_t *lengths, size_t count,
                         const uint8_t *prefix, size_t prefix_length, uint8_t *out);
/* end cdef */

/* For C callers whose inputs lie elsewhere: add inputs one by one, then flush.
 *
 *     aeor_blake3_batch batch;            about 42 KiB, on the stack
 *     aeor_blake3_start(&batch);
 *     for (...) aeor_blake3_add(&batch, prefix, prefix_length, data, length, out);
 *     aeor_blake3_flush(&batch);
 *
 * Input and prefix must stay where they are until the flush. `out` is written after the last
 * byte of its own input was read, at some time up to the flush: it may overlap that input, but
 * no other. A prefix is at most AEOR_BLAKE3_PREFIX bytes. */
typedef struct {
    const uint8_t *data; /* the unit's bytes, behind the prefix if there is one */
    const uint8_t *prefix;
    uint8_t *out;          /* where its chaining value or hash goes */
    uint64_t counter;      /* the chunk's number in its input; 0 for a parent */
    uint16_t length;       /* of data: at most 1,024 with the prefix */
    uint8_t prefix_length;
    uint8_t first, last;   /* domain flags of the first and of the last block */
} aeor_blake3_unit;

typedef struct {
    uint8_t *out;
    uint16_t first, count; /* its nodes' chaining values: cvs[first] .. + count */
    bool root;             /* the tree's top is a hash, not one more chaining value */
} aeor_blake3_tree;

typedef struct {
    uint32_t units_used, trees_used, cvs_used;
    aeor_blake3_unit units[AEOR_BLAKE3_UNITS];
    aeor_blake3_tree trees[AEOR_BLAKE3_UNITS / 2];
    uint8_t cvs[AEOR_BLAKE3_UNITS][AEOR_HASH];
} aeor_blake3_batch;

void aeor_blake3_start(aeor_blake3_batch *batch);
void aeor_blake3_add(aeor_blake3_batch *batch, const uint8_t *prefix, size_t prefix_length,
                     const uint8_t *data, size_t length, uint8_t *out);
void aeor_blake3_flush(aeor_blake3_batch *batch);

#endif
