/* The hash table of index records against a plain array: three bytes of input are one step, what
 * to do, the key's number and the value. */
#include "table.h"

#include <stdlib.h>

#include "entry.h"

enum { PUT = 0, PUT_MANY = 1, RESERVE = 2, COPY = 3, FIND = 4, STEPS = 5 };

static void require(bool holds) {
    if (!holds) abort();
}

static void make_key(uint8_t number, uint8_t key[AEOR_HASH]) {
    memset(key, number & 0xf0, AEOR_HASH); /* many differ in their last bytes alone */
    key[AEOR_HASH - 1] = number;
}

static void check(const struct aeor_table *table, const int values[256]) {
    uint8_t key[AEOR_HASH];
    uint64_t count = 0, location[3];
    for (int number = 0; number < 256; number++) {
        make_key((uint8_t)number, key);
        int code = aeor_table_get(table, key, location);
        require(code == (values[number] < 0 ? AEOR_ABSENT : AEOR_OK));
        require((aeor_table_find(table, key) < 0) == (values[number] < 0));
        if (code != AEOR_OK) continue;
        require(location[0] == (uint8_t)values[number] && location[2] == (uint64_t)number);
        require(location[1] == UINT64_MAX - (uint64_t)values[number]);
        count++;
    }
    require(table->count == count && table->count <= table->capacity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_table table, other;
    uint8_t record[3 * AEOR_RECORD];
    int values[256];
    aeor_table_init(&table, size, 2);
    for (int i = 0; i < 256; i++) values[i] = -1;
    for (; size >= 3; data += 3, size -= 3) {
        uint8_t number = data[1], value = data[2];
        uint8_t *key = record + AEOR_RECORD_KEY;
        make_key(number, key);
        switch (data[0] % STEPS) {
        case PUT:
            require(aeor_table_put(&table, key, value, UINT64_MAX - value, number) == AEOR_OK);
            values[number] = value;
            break;
        case PUT_MANY:
            aeor_record_write(record, key, value, UINT64_MAX - value, number);
            memcpy(record + AEOR_RECORD, record, AEOR_RECORD);
            memcpy(record + 2 * AEOR_RECORD, record, AEOR_RECORD);
            require(aeor_table_put_many(&table, record, 3) == AEOR_OK);
            values[number] = value;
            break;
        case RESERVE:
            require(aeor_table_reserve(&table, value) == AEOR_OK);
            require(aeor_table_reserve(&table, UINT64_MAX - value) == AEOR_ERR_MEMORY);
            break;
        case COPY:
            aeor_table_init(&other, number, 2);
            require(aeor_table_copy(&other, &table) == AEOR_OK);
            aeor_table_free(&table);
            table = other;
            break;
        default:
            require((aeor_table_find(&table, key) < 0) == (values[number] < 0));
        }
    }
    check(&table, values);
    aeor_table_free(&table);
    return 0;
}
