/* Records of every type and version: their fields lie within the value.
 *
 * The first byte is the entry type, the second its version. */
#include <stdlib.h>

#include "map.h"
#include "node.h"
#include "rules.h"

static void require(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_record_fields fields;
    uint64_t bad_at;
    if (size < 2) return 0;
    int type = data[0] % 10, version = data[1] % 3;
    data += 2;
    size -= 2;
    int code = aeor_record_fields(type, version, data, size, &fields, &bad_at);
    require(bad_at <= size);
    if (code != AEOR_OK) return 0;
    require(aeor_inside(fields.name_at, fields.name_length, size));
    require(aeor_inside(fields.text_at, fields.text_length, size));
    require(aeor_inside(fields.hash_at, fields.hash_at ? AEOR_HASH : 0, size));
    require(aeor_inside(fields.metadata_at, fields.metadata_length, size));
    require(fields.key_count <= size / AEOR_HASH);
    require(aeor_inside(fields.keys_at, fields.key_count * AEOR_HASH, size));
    code = aeor_rules_record(data, &fields);
    require(code == AEOR_OK || code == AEOR_ERR_WALK_TEXT);
    return 0;
}
