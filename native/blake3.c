/* BLAKE3: inputs into units, units into trees, streams, and the choice of a kernel. */
#include "blake3_units.h"

#define STRIDE (AEOR_BLAKE3_UNITS / 2) /* chunks per subtree of an input too long for a batch */

/* ---- kernels ---- */

static int simd_level = -1; /* not looked up yet; any thread may do it, with the same result */

static int simd_best(void) {
#ifdef AEOR_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        return AEOR_SIMD_AVX512;
    if (__builtin_cpu_supports("avx2")) return AEOR_SIMD_AVX2;
    if (__builtin_cpu_supports("sse4.1")) return AEOR_SIMD_SSE41;
#endif
    return AEOR_SIMD_PORTABLE;
}

int aeor_blake3_simd(void) {
    int level = __atomic_load_n(&simd_level, __ATOMIC_RELAXED);
    if (level < 0) {
        level = simd_best();
        __atomic_store_n(&simd_level, level, __ATOMIC_RELAXED);
    }
    return level;
}

int aeor_blake3_set_simd(int level) {
    if (level < AEOR_SIMD_PORTABLE || level > simd_best()) return AEOR_ERR_ARGUMENT;
    __atomic_store_n(&simd_level, level, __ATOMIC_RELAXED);
    return AEOR_OK;
}

/* The narrowest kernel that holds all units at once: idle lanes cost as much as busy ones. */
static void run(const aeor_blake3_unit *units, size_t count) {
    int level = aeor_blake3_simd();
    (void)level;
#ifdef AEOR_X86
    if (level >= AEOR_SIMD_AVX512) {
        aeor_blake3_kernel *kernel = count > 8   ? aeor_blake3_avx512
                                     : count > 4 ? aeor_blake3_avx512x8
                                     : count > 1 ? aeor_blake3_avx512x4
                                                 : aeor_blake3_single;
        kernel(units, count);
        return;
    }
    if (level >= AEOR_SIMD_AVX2 && count > 4) {
        aeor_blake3_avx2(units, count);
        return;
    }
    if (level >= AEOR_SIMD_SSE41 && count > 1) {
        aeor_blake3_sse41(units, count);
        return;
    }
#endif
    aeor_blake3_portable(units, count);
}

static void parent(const uint8_t pair[2 * AEOR_HASH], bool root, uint8_t *out) {
    aeor_blake3_unit unit = {.data = pair, .out = out, .length = BLOCK,
                             .last = PARENT | (root ? ROOT : 0)};
    run(&unit, 1);
}

/* ---- batches ---- */

void aeor_blake3_start(aeor_blake3_batch *batch) {
    batch->units_used = batch->trees_used = batch->cvs_used = 0;
}

/* Joins the nodes of all trees pairwise, once: a last odd one goes up as it is. */
static void raise_trees(aeor_blake3_batch *batch) {
    size_t used = 0;
    for (uint32_t t = 0; t < batch->trees_used; t++) {
        const aeor_blake3_tree *tree = &batch->trees[t];
        bool top = tree->count == 2;
        /* Parent i lies over nodes of pairs up to i, which a kernel starts no later than it. */
        for (uint32_t i = 0; i + 1 < tree->count; i += 2)
            batch->units[used++] = (aeor_blake3_unit){
                .data = batch->cvs[tree->first + i],
                .out = top ? tree->out : batch->cvs[tree->first + i / 2],
                .length = BLOCK,
                .last = PARENT | (top && tree->root ? ROOT : 0),
            };
    }
    run(batch->units, used);
    uint32_t kept = 0;
    for (uint32_t t = 0; t < batch->trees_used; t++) {
        aeor_blake3_tree tree = batch->trees[t];
        if (tree.count % 2)
            memcpy(batch->cvs[tree.first + tree.count / 2], batch->cvs[tree.first + tree.count - 1],
                   AEOR_HASH);
        tree.count = (tree.count + 1) / 2;
        if (tree.count > 1) batch->trees[kept++] = tree;
    }
    batch->trees_used = kept;
}

void aeor_blake3_flush(aeor_blake3_batch *batch) {
    run(batch->units, batch->units_used);
    while (batch->trees_used) raise_trees(batch);
    aeor_blake3_start(batch);
}

/* `count` chunks of one input, from its chunk `counter` on, as one tree; the batch has room for
 * them. `data` begins behind the prefix, which only chunk 0 has. */
static void add_chunks(aeor_blake3_batch *batch, const uint8_t *prefix, size_t prefix_length,
                       const uint8_t *data, size_t length, uint64_t counter, size_t count,
                       bool root, uint8_t *out) {
    uint32_t first = batch->cvs_used;
    if (count > 1) {
        batch->trees[batch->trees_used++] =
            (aeor_blake3_tree){.out = out, .first = first, .count = count, .root = root};
        batch->cvs_used += count;
        root = false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t here = CHUNK - prefix_length;
        if (here > length) here = length;
        batch->units[batch->units_used++] = (aeor_blake3_unit){
            .data = data,
            .prefix = prefix,
            .out = count > 1 ? batch->cvs[first + i] : out,
            .counter = counter + i,
            .length = here,
            .prefix_length = prefix_length,
            .first = CHUNK_START,
            .last = CHUNK_END | (root ? ROOT : 0),
        };
        if (here) data += here;
        length -= here;
        prefix_length = 0;
    }
}

/* ---- streams ---- */

void aeor_blake3_init(aeor_blake3_hasher *hasher) {
    hasher->chunks = 0;
    hasher->used = hasher->depth = hasher->top = 0;
}

/* The stack holds one subtree per bit of `chunks`: a new one of 2^height chunks is joined with
 * all that are now complete. None is the whole input, because more bytes wait behind it. */
static void push(aeor_blake3_hasher *hasher, const uint8_t *cv, int height) {
    uint64_t count = (hasher->chunks += 1ull << height) >> height;
    memcpy(hasher->stack[hasher->depth++], cv, AEOR_HASH);
    for (; count % 2 == 0; count /= 2) {
        hasher->depth--;
        parent(hasher->stack[hasher->depth - 1], false, hasher->stack[hasher->depth - 1]);
    }
}

static void push_buffer(aeor_blake3_hasher *hasher) {
    uint8_t cv[AEOR_HASH];
    hasher->used = 0;
    if (hasher->top) {
        hasher->top = 0;
        parent(hasher->buffer, false, cv);
        push(hasher, cv, __builtin_ctz(AEOR_BLAKE3_PIECE));
        return;
    }
    aeor_blake3_unit unit = {.data = hasher->buffer, .out = cv, .counter = hasher->chunks,
                             .length = CHUNK, .first = CHUNK_START, .last = CHUNK_END};
    run(&unit, 1);
    push(hasher, cv, 0);
}

/* `count` whole chunks, behind which more bytes follow: subtrees as large as their place in the
 * stream allows, all in one batch. */
static void push_chunks(aeor_blake3_hasher *hasher, const uint8_t *data, size_t count) {
    aeor_blake3_batch batch;
    uint8_t cvs[64][AEOR_HASH];
    int heights[64], used = 0;
    aeor_blake3_start(&batch);
    for (uint64_t at = hasher->chunks; count; used++) {
        int height = 63 - __builtin_clzll(count);
        if (at && __builtin_ctzll(at) < height) height = __builtin_ctzll(at);
        size_t chunks = (size_t)1 << height;
        add_chunks(&batch, NULL, 0, data, chunks * CHUNK, at, chunks, false, cvs[used]);
        heights[used] = height;
        data += chunks * CHUNK, at += chunks, count -= chunks;
    }
    aeor_blake3_flush(&batch);
    for (int i = 0; i < used; i++) push(hasher, cvs[i], heights[i]);
}

int aeor_blake3_update(aeor_blake3_hasher *hasher, const uint8_t *data, size_t length) {
    if (hasher->used > CHUNK || hasher->depth > AEOR_BLAKE3_DEPTH) return AEOR_ERR_ARGUMENT;
    while (length) {
        if (hasher->used == CHUNK || hasher->top) push_buffer(hasher);
        if (hasher->used == 0 && length > CHUNK) {
            size_t chunks = (length - 1) / CHUNK;
            if (chunks > AEOR_BLAKE3_UNITS) chunks = AEOR_BLAKE3_UNITS;
            push_chunks(hasher, data, chunks);
            data += chunks * CHUNK, length -= chunks * CHUNK;
        } else {
            size_t here = CHUNK - hasher->used;
            if (here > length) here = length;
            memcpy(hasher->buffer + hasher->used, data, here);
            hasher->used += here;
            data += here, length -= here;
        }
    }
    return AEOR_OK;
}

/* A top waits in the buffer as the newest chunk does: with nothing behind it, it may be the root. */
int aeor_blake3_update_tops(aeor_blake3_hasher *hasher, const uint8_t *tops, size_t count) {
    if (hasher->used > CHUNK || hasher->depth > AEOR_BLAKE3_DEPTH) return AEOR_ERR_ARGUMENT;
    if (count == 0) return AEOR_OK;
    if (hasher->used == CHUNK || hasher->top) push_buffer(hasher);
    if (hasher->used || hasher->chunks % AEOR_BLAKE3_PIECE) return AEOR_ERR_ARGUMENT;
    for (; count; count--, tops += 2 * AEOR_HASH) {
        if (hasher->top) push_buffer(hasher);
        memcpy(hasher->buffer, tops, 2 * AEOR_HASH);
        hasher->top = 1;
    }
    return AEOR_OK;
}

/* The stack's subtrees joined from the right, onto what is behind them. */
static void fold(const aeor_blake3_hasher *hasher, const uint8_t *last, uint8_t *out) {
    uint8_t pair[2 * AEOR_HASH];
    memcpy(pair + AEOR_HASH, last, AEOR_HASH);
    for (uint32_t depth = hasher->depth; depth-- > 0;) {
        memcpy(pair, hasher->stack[depth], AEOR_HASH);
        parent(pair, depth == 0, depth ? pair + AEOR_HASH : out);
    }
}

int aeor_blake3_digest(const aeor_blake3_hasher *hasher, uint8_t *out) {
    if (hasher->used > CHUNK || hasher->depth > AEOR_BLAKE3_DEPTH) return AEOR_ERR_ARGUMENT;
    uint8_t cv[AEOR_HASH];
    bool root = hasher->depth == 0;
    if (hasher->top) {
        parent(hasher->buffer, root, root ? out : cv);
    } else {
        aeor_blake3_unit unit = {.data = hasher->buffer, .out = root ? out : cv,
                                 .counter = hasher->chunks, .length = hasher->used,
                                 .first = CHUNK_START, .last = CHUNK_END | (root ? ROOT : 0)};
        run(&unit, 1);
    }
    fold(hasher, cv, out);
    return AEOR_OK;
}

/* ---- whole inputs ---- */

/* An input of more chunks than a batch holds: subtrees of STRIDE chunks, then the rest. */
static void hash_long(aeor_blake3_batch *batch, const uint8_t *prefix, size_t prefix_length,
                      const uint8_t *data, size_t length, size_t chunks, uint8_t *out) {
    aeor_blake3_hasher hasher;
    uint8_t cv[AEOR_HASH];
    size_t at = 0;
    aeor_blake3_init(&hasher);
    aeor_blake3_flush(batch);
    for (; chunks > STRIDE; chunks -= STRIDE) {
        size_t here = STRIDE * CHUNK - prefix_length;
        add_chunks(batch, prefix, prefix_length, data + at, here, hasher.chunks, STRIDE, false, cv);
        aeor_blake3_flush(batch);
        push(&hasher, cv, __builtin_ctz(STRIDE));
        at += here, prefix_length = 0;
    }
    add_chunks(batch, NULL, 0, data + at, length - at, hasher.chunks, chunks, false, cv);
    aeor_blake3_flush(batch);
    fold(&hasher, cv, out);
}

void aeor_blake3_add(aeor_blake3_batch *batch, const uint8_t *prefix, size_t prefix_length,
                     const uint8_t *data, size_t length, uint8_t *out) {
    size_t whole = length / CHUNK, rest = length % CHUNK + prefix_length;
    size_t chunks = whole + (rest + CHUNK - 1) / CHUNK;
    if (chunks == 0) chunks = 1;
    if (chunks > AEOR_BLAKE3_UNITS) {
        hash_long(batch, prefix, prefix_length, data, length, chunks, out);
        return;
    }
    if (batch->units_used + chunks > AEOR_BLAKE3_UNITS) aeor_blake3_flush(batch);
    add_chunks(batch, prefix, prefix_length, data, length, 0, chunks, true, out);
}

int aeor_blake3(const uint8_t *data, size_t length, uint8_t *out) {
    if (length <= CHUNK) {
        /* A batch's memory is not worth touching. */
        aeor_blake3_unit unit = {.data = data, .out = out, .length = length,
                                 .first = CHUNK_START, .last = CHUNK_END | ROOT};
        run(&unit, 1);
        return AEOR_OK;
    }
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    aeor_blake3_add(&batch, NULL, 0, data, length, out);
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}

static int check_slices(size_t buffer_length, const uint64_t *offsets, const uint64_t *lengths,
                        size_t count, size_t prefix_length) {
    if (prefix_length > AEOR_BLAKE3_PREFIX) return AEOR_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        if (offsets[i] > buffer_length || lengths[i] > buffer_length - offsets[i])
            return AEOR_ERR_BOUNDS;
    return AEOR_OK;
}

int aeor_blake3_slices(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                       const uint64_t *lengths, size_t count, const uint8_t *prefix,
                       size_t prefix_length, uint8_t *out) {
    int code = check_slices(buffer_length, offsets, lengths, count, prefix_length);
    if (code) return code;
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    for (size_t i = 0; i < count; i++)
        aeor_blake3_add(&batch, prefix, prefix_length, buffer + offsets[i], lengths[i],
                        out + AEOR_HASH * i);
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}

int aeor_blake3_pieces(const uint8_t *buffer, size_t buffer_length, const uint64_t *offsets,
                       const uint64_t *lengths, size_t count, const uint8_t *prefix,
                       size_t prefix_length, uint64_t first, uint8_t *keys, uint8_t *tops) {
    enum { HALF = AEOR_BLAKE3_PIECE / 2 };
    int code = check_slices(buffer_length, offsets, lengths, count, prefix_length);
    if (code) return code;
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *data = buffer + offsets[i];
        if (lengths[i] == AEOR_BLAKE3_PIECE * CHUNK) {
            uint64_t counter = (first + i) * AEOR_BLAKE3_PIECE;
            if (batch.units_used + AEOR_BLAKE3_PIECE > AEOR_BLAKE3_UNITS) aeor_blake3_flush(&batch);
            for (size_t half = 0; half < 2; half++)
                add_chunks(&batch, NULL, 0, data + half * HALF * CHUNK, HALF * CHUNK,
                           counter + half * HALF, HALF, false,
                           tops + AEOR_HASH * (2 * i + half));
        }
        aeor_blake3_add(&batch, prefix, prefix_length, data, lengths[i], keys + AEOR_HASH * i);
    }
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}

uint64_t aeor_blake3_total(const uint64_t *lengths, size_t count) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += lengths[i];
    return total;
}

int aeor_blake3_joined(const uint8_t *buffer, size_t buffer_length, const uint64_t *lengths,
                       size_t count, const uint8_t *prefix, size_t prefix_length, uint8_t *out) {
    if (prefix_length > AEOR_BLAKE3_PREFIX) return AEOR_ERR_ARGUMENT;
    size_t rest = buffer_length;
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] > rest) return AEOR_ERR_BOUNDS;
        rest -= lengths[i];
    }
    if (rest) return AEOR_ERR_BOUNDS;
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    for (size_t i = 0; i < count; i++) {
        aeor_blake3_add(&batch, prefix, prefix_length, buffer, lengths[i], out + AEOR_HASH * i);
        buffer += lengths[i];
    }
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}

int aeor_blake3_pointers(const uint8_t *const *inputs, const uint64_t *lengths, size_t count,
                         const uint8_t *prefix, size_t prefix_length, uint8_t *out) {
    if (prefix_length > AEOR_BLAKE3_PREFIX) return AEOR_ERR_ARGUMENT;
    aeor_blake3_batch batch;
    aeor_blake3_start(&batch);
    for (size_t i = 0; i < count; i++)
        aeor_blake3_add(&batch, prefix, prefix_length, inputs[i], lengths[i], out + AEOR_HASH * i);
    aeor_blake3_flush(&batch);
    return AEOR_OK;
}
