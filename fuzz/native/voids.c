/* The free ranges against a plain array of bytes: four bytes of input are one step, what to do, a
 * place, and a length in two. */
#define _GNU_SOURCE
#include "voids.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "entry.h"
#include "file.h"
#include "frame.h"
#include "tail.h"

enum { INSERT, ADD, TAKE, PLACE, WRITE, CLIP, REMOVE, KEEP, UNSETTLE, SPREAD, STEPS };
enum { UNIT = 24, SIZE = 256 * UNIT, RUNS = 8 };

static void require(bool holds) {
    if (!holds) abort();
}

/* Which bytes are free; and a file of them, open and as memory. */
static bool is_free[SIZE];
static int file;
static uint8_t *image;

static bool all(uint64_t offset, uint64_t length, bool state) {
    require(offset <= SIZE && length <= SIZE - offset);
    for (uint64_t i = offset; i < offset + length; i++)
        if (is_free[i] != state) return false;
    return true;
}

static void freed(uint64_t offset, uint64_t length) {
    memset(is_free + offset, true, length);
    memset(image + offset, 'x', length);
}

static void taken(uint64_t offset, uint64_t length) {
    static uint8_t data[SIZE];
    require(all(offset, length, true));
    memset(is_free + offset, false, length);
    memset(data, 'x', length);
    require(aeor_file_send(file, data, length, offset, length % 2) == AEOR_OK);
    require(memcmp(image + offset, data, length) == 0);
    aeor_file_begin(file, offset, length);
}

static void check(const struct aeor_voids *voids) {
    uint64_t end = 0, free_bytes = 0, listed = 0, waiting = 0;
    for (uint64_t i = 0; i < voids->count; i++) {
        const struct aeor_void *item = voids->items + i;
        require(item->offset >= end && item->length > 0 && all(item->offset, item->length, true));
        require(aeor_voids_at(voids, item->offset) == item->length);
        end = item->offset + item->length;
        require(aeor_voids_before(voids, end) == item->length);
        listed += item->length;
        waiting += item->waiting;
    }
    for (uint64_t i = 0; i < SIZE; i++) free_bytes += is_free[i];
    require(listed == free_bytes && waiting == voids->waiting);
    struct aeor_table table;
    uint8_t hash[AEOR_HASH], key[AEOR_HASH] = {0};
    uint64_t records = AEOR_TAIL_HEADER + AEOR_RECORD, length = records + AEOR_VOID_RECORD * voids->count;
    uint8_t *tail = malloc((size_t)length);
    aeor_table_init(&table, 1, 2);
    require(tail != NULL && aeor_table_put(&table, key, 1, 2, 3) == AEOR_OK);
    require(aeor_tail_write(&table, voids, NULL, 0, tail, length - 1, hash) == AEOR_ERR_BOUNDS);
    require(aeor_tail_write(&table, voids, NULL, 0, tail, length, hash) == AEOR_OK);
    for (uint64_t i = 0; i < voids->count; i++)
        require(aeor_get64(tail + records + 13 * i + 1) == voids->items[i].offset);
    aeor_table_free(&table);
    free(tail);
}

static void place(struct aeor_voids *voids, const uint8_t *step) {
    struct aeor_run runs[RUNS];
    struct aeor_table table;
    uint8_t keys[RUNS * AEOR_HASH] = {0}, kinds[RUNS];
    uint64_t lengths[RUNS], found, count = step[1] % RUNS + 1u, placed = 0, end = SIZE, indexed = 0;
    for (uint64_t i = 0; i < count; i++) {
        lengths[i] = 1 + (aeor_get16(step + 2) >> i) % 750;
        kinds[i] = (step[3] >> i) % 2 ? AEOR_NO_RECORD : (uint8_t)i;
        keys[i * AEOR_HASH] = (uint8_t)i;
        indexed += kinds[i] != AEOR_NO_RECORD;
    }
    aeor_table_init(&table, 1, 2);
    require(aeor_voids_place(voids, lengths, count, keys, kinds, &end, &table, runs, &found) ==
            AEOR_OK);
    require(found <= count && table.count == indexed);
    uint64_t appended = SIZE;
    for (uint64_t i = 0; i < found; i++) {
        uint64_t size = 0;
        require(runs[i].count > 0);
        for (uint64_t j = 0; j < runs[i].count; j++, placed++) {
            uint64_t location[3];
            int code = aeor_table_get(&table, keys + placed * AEOR_HASH, location);
            require(code == (kinds[placed] == AEOR_NO_RECORD ? AEOR_ABSENT : AEOR_OK));
            if (code == AEOR_OK)
                require(location[0] == kinds[placed] && location[1] == runs[i].offset + size &&
                        location[2] == lengths[placed]);
            size += lengths[placed];
        }
        require(size == runs[i].size);
        if (runs[i].appended) {
            require(runs[i].offset == appended);
            appended += size;
        } else {
            taken(runs[i].offset, size);
        }
        if (i > 0)
            require(runs[i].appended != runs[i - 1].appended ||
                    runs[i].offset != runs[i - 1].offset + runs[i - 1].size);
    }
    require(placed == count && end == appended);
    aeor_table_free(&table);
}

/* Afterwards every range is what a void entry needs: a header, and zeros. */
static void write_all(struct aeor_voids *voids, bool in_one) {
    struct aeor_void_write write;
    int code;
    if (in_one) {
        uint64_t before = voids->waiting;
        require(aeor_voids_write_short(voids, -1) == AEOR_OK && voids->waiting <= before);
        require(aeor_voids_write_short(voids, file) == AEOR_OK);
    }
    while ((code = aeor_voids_next(voids, &write)) == AEOR_OK) {
        for (uint64_t i = 0; i < write.zero_count; i++) {
            struct aeor_range zeros = write.zeros[i];
            require(zeros.offset >= write.offset && zeros.length > 0);
            require(zeros.offset + zeros.length <= write.offset + write.length);
            memset(image + zeros.offset, 0, zeros.length);
        }
        memcpy(image + write.offset, write.header, AEOR_ENTRY_START);
        aeor_voids_settle(voids, write.offset);
    }
    require(code == AEOR_ABSENT && voids->waiting == 0);
    for (uint64_t i = 0; i < voids->count; i++) {
        const struct aeor_void *item = voids->items + i;
        uint8_t header[AEOR_ENTRY_START];
        if (item->length < AEOR_ENTRY_START) continue;
        require(aeor_void_header(item->length, header) == AEOR_OK);
        require(memcmp(image + item->offset, header, sizeof header) == 0);
        for (uint64_t at = AEOR_ENTRY_START; at < item->length; at++)
            require(image[item->offset + at] == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_voids voids = {0};
    memset(is_free, 0, sizeof is_free);
    if (image == NULL) {
        file = memfd_create("voids", 0);
        require(file >= 0 && ftruncate(file, SIZE) == 0);
        image = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        require(image != MAP_FAILED);
    }
    memset(image, 'x', SIZE);
    for (; size >= 4; data += 4, size -= 4) {
        uint64_t offset = (uint64_t)data[1] * UNIT, length = aeor_get16(data + 2) % 1536 + 1u, at;
        if (length > SIZE - offset) length = SIZE - offset;
        int code;
        switch (data[0] % STEPS) {
        case INSERT:
        case ADD:
            code = data[0] % STEPS == ADD ? aeor_voids_add(&voids, offset, length)
                                          : aeor_voids_insert(&voids, offset, length, true);
            require(code == (all(offset, length, false) ? AEOR_OK : AEOR_ERR_ARGUMENT));
            if (code == AEOR_OK) freed(offset, length);
            break;
        case TAKE:
            code = aeor_voids_take(&voids, length, &at);
            require(code == AEOR_OK || code == AEOR_ABSENT);
            if (code == AEOR_OK) taken(at, length);
            break;
        case PLACE:
            place(&voids, data);
            break;
        case WRITE:
            write_all(&voids, data[1] % 2);
            break;
        case CLIP:
            require(aeor_voids_clip(&voids, offset) == AEOR_OK);
            memset(is_free, 0, offset);
            memset(image, 'x', offset);
            break;
        case REMOVE:
            at = aeor_voids_at(&voids, offset);
            require(aeor_voids_remove(&voids, offset) == (at ? AEOR_OK : AEOR_ABSENT));
            if (at) taken(offset, at);
            break;
        case KEEP:
            require(aeor_voids_keep_largest(&voids, data[1] % 16) == AEOR_OK);
            memset(is_free, 0, sizeof is_free);
            for (uint64_t i = 0; i < voids.count; i++)
                freed(voids.items[i].offset, voids.items[i].length);
            for (uint64_t i = 0; i < voids.count; i++)
                require(aeor_voids_unsettle(&voids, voids.items[i].offset, 1) == AEOR_OK);
            break;
        case UNSETTLE:
            require(aeor_voids_unsettle(&voids, offset, length) == AEOR_OK);
            require(aeor_voids_unsettle(&voids, UINT64_MAX, UINT64_MAX) == AEOR_OK);
            break;
        default: /* what no log has */
            require(aeor_voids_insert(&voids, UINT64_MAX - offset, offset + 1, false) ==
                    AEOR_ERR_ARGUMENT);
            require(aeor_voids_take(&voids, 0, &at) == AEOR_ERR_ARGUMENT);
            require(aeor_voids_take(&voids, UINT64_MAX - offset, &at) == AEOR_ABSENT);
        }
        if (size % 32 < 4) check(&voids);
    }
    check(&voids);
    write_all(&voids, size % 2);
    aeor_voids_free(&voids);
    return 0;
}
