/* One entry at the start of the input: all ways to read it agree. */
#include "entry.h"

#include <stdlib.h>

#include "map.h"

static void require(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_entry entry, again;
    int code = aeor_entry_header(data, size, 0, 0, &entry);
    if (code != AEOR_OK) {
        require(aeor_entry_fetch(data, size, 0, 0, NULL, NULL, 0, &again) == code);
        aeor_entry_verify(data, size);
        return 0;
    }
    require(entry.total_length <= size);
    uint8_t *value = malloc(entry.value_length + 1u);
    const uint8_t *key = entry.key_length == AEOR_HASH ? data + AEOR_ENTRY_START : NULL;
    code = aeor_entry_fetch(data, size, 0, entry.total_length, key, value, entry.value_length,
                            &again);
    if (entry.key_length <= AEOR_HASH) {
        require(code == aeor_entry_verify(data, entry.total_length));
        require(memcmp(value, data + entry.total_length - entry.value_length,
                       entry.value_length) == 0);
    }
    if (entry.value_length > 0) {
        code = aeor_entry_fetch(data, size, 0, 0, NULL, value, entry.value_length - 1, &again);
        require(code == AEOR_ERR_ARGUMENT || code == AEOR_ERR_ENTRY_LENGTHS);
    }
    require(aeor_entry_verify(data, entry.total_length - 1) != AEOR_OK);
    free(value);
    return 0;
}
