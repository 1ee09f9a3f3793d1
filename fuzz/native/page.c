/* Index pages: any bytes as a page, and records brought into pages in each of the ways there are,
 * which must agree.
 *
 * The first four bytes: pages, flags, where the block begins (two); then records of hot-tail form,
 * whose bytes also stand for the block. */
#define _GNU_SOURCE
#include "page.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "carry.h"
#include "table.h"

enum { HEAD = 4, SEALED = 1, DROPS = 2, WRITTEN = 4, MOST = 256 };

static void require(bool holds) {
    if (!holds) abort();
}

static void check_load(const uint8_t *data, size_t size, uint64_t offset, uint64_t pages,
                       bool sealed, const struct aeor_table *table) {
    uint8_t *map = malloc(size + !size), image[AEOR_PAGE];
    uint32_t count;
    memcpy(map, data, size);
    for (uint64_t page = 0; page <= pages; page++) {
        uint64_t at = offset + page * AEOR_PAGE;
        if (sealed && page < pages && at + AEOR_PAGE <= size) {
            aeor_page_seal(map + at, aeor_get16(map + at + 8) % (AEOR_PAGE_ENTRIES + 1));
        }
        int code = aeor_page_load(map, size, offset, pages, page, image, &count);
        require(code == AEOR_OK || code == AEOR_ERR_PAGE);
        require(page < pages || code == AEOR_ERR_PAGE);
        if (code != AEOR_OK) continue;
        require(count <= AEOR_PAGE_ENTRIES);
        struct aeor_checkpoint result = {0};
        code = aeor_page_drop(page, pages, image, count, table->records, (uint32_t)table->count,
                              &result);
        require(code == AEOR_OK || (code == AEOR_ERR_PAGE && result.bad_page == page));
        aeor_checkpoint_free(&result);
    }
    free(map);
}

static void check_written(const struct aeor_checkpoint *made, uint64_t pages) {
    uint8_t image[AEOR_PAGE];
    uint64_t count = made->images.length / AEOR_PAGE, length = (pages + 1) * AEOR_PAGE;
    int file = memfd_create("pages", 0);
    require(file >= 0 && ftruncate(file, (off_t)length) == 0);
    require(aeor_pages_write(file, 3, (const uint32_t *)(const void *)made->numbers.data,
                             made->images.data, count) == count);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, made->numbers.data + 4 * i, 4);
        require(pread(file, image, AEOR_PAGE, 3 + number * (off_t)AEOR_PAGE) == AEOR_PAGE);
        require(memcmp(image, made->images.data + i * AEOR_PAGE, AEOR_PAGE) == 0);
    }
    close(file);
}

/* Pages made of records that are each of another key: by a checkpoint, again from its leads, and by
 * an insertion into a new block. */
static void check_made(const struct aeor_table *table, uint64_t pages, uint8_t flags) {
    struct aeor_checkpoint made = {0}, again = {0};
    struct aeor_bytes overflow = {0};
    struct aeor_fault fault = {0};
    uint8_t marked[MOST / 8 + 1] = {0};
    uint64_t used, full, live = 0;
    bool drops = flags & DROPS;
    require(aeor_checkpoint(NULL, 0, 0, pages, table->records, table->count, drops, true, &made) ==
            AEOR_OK);
    require(aeor_checkpoint_replay(made.leads.data, made.leads.length / AEOR_RECORD, pages, drops,
                                   UINT64_MAX, &used, &again) == AEOR_OK);
    require(used * AEOR_RECORD == made.leads.length);
    require(again.images.length == made.images.length);
    require(made.images.length == 0 ||
            memcmp(again.images.data, made.images.data, made.images.length) == 0);
    require(aeor_pages_mark(table->records, table->count, pages, marked) == AEOR_OK);
    require(aeor_pages_overflow(table->records, table->count, pages, &full) == AEOR_OK);
    require(full * AEOR_RECORD == made.overflow.length);
    uint8_t *block = calloc(pages, AEOR_PAGE);
    for (uint64_t i = 0; i < table->count; i++) {
        const uint8_t *record = table->records + i * AEOR_RECORD;
        if (record[AEOR_RECORD_KV] & AEOR_KV_DELETED) continue;
        require(aeor_block_insert(block, pages, record, 1, 0, &overflow, &fault) == AEOR_OK);
        live++;
    }
    require(aeor_block_seal(block, pages) == AEOR_OK && overflow.length == made.overflow.length);
    require((live - full) * AEOR_RECORD == made.leads.length);
    for (uint64_t i = 0; i < made.images.length / AEOR_PAGE; i++) {
        uint32_t number;
        memcpy(&number, made.numbers.data + 4 * i, 4);
        require(number < pages && (marked[number / 8] >> number % 8 & 1));
        require(memcmp(block + number * (size_t)AEOR_PAGE, made.images.data + i * AEOR_PAGE,
                       AEOR_PAGE) == 0);
    }
    if (flags & WRITTEN) check_written(&made, pages);
    free(block);
    aeor_bytes_free(&overflow);
    aeor_checkpoint_free(&made);
    aeor_checkpoint_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    uint64_t pages = data[0] + 1u, offset = aeor_get16(data + 2), used;
    uint8_t flags = data[1];
    data += HEAD, size -= HEAD;
    uint64_t count = size / AEOR_RECORD;
    struct aeor_table table;
    struct aeor_checkpoint replayed = {0};
    aeor_table_init(&table, 5, 6);
    require(aeor_table_put_many(&table, data, count) == AEOR_OK && table.count <= count);
    check_load(data, size, offset, pages % 5 + 1, flags & SEALED, &table);
    check_made(&table, pages, flags);
    int code = aeor_checkpoint_replay(data, count, pages, flags & DROPS, flags >> 3, &used,
                                      &replayed);
    require(code == AEOR_ERR_PAGE || (code == AEOR_OK && used <= count));
    aeor_checkpoint_free(&replayed);
    aeor_table_free(&table);
    return 0;
}
