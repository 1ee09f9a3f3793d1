/* Directory nodes: what the parsers return lies within the value, and they agree. */
#include "node.h"

#include <stdlib.h>

#include "entry.h"
#include "map.h"
#include "rules.h"

static void require(bool holds) {
    if (!holds) abort();
}

static void check_children(const uint8_t *data, size_t size) {
    uint64_t count, again, bad_at;
    int code = aeor_node_children(data, size, NULL, 0, &count, &bad_at);
    require(bad_at <= size && count <= size / 77);
    if (code != AEOR_OK) return;
    uint64_t *columns = calloc(11 * count + 1, sizeof *columns);
    require(aeor_node_children(data, size, columns, count, &again, &bad_at) == AEOR_OK);
    require(again == count);
    for (uint64_t i = 0; i < count; i++) {
        struct aeor_child child;
        struct aeor_spot spot;
        uint64_t name_at = columns[5 * count + i], name_length = columns[6 * count + i];
        require(aeor_inside(columns[1 * count + i], AEOR_HASH, size));
        require(aeor_inside(name_at, name_length, size));
        require(aeor_inside(columns[7 * count + i], columns[8 * count + i], size));
        if (i > 20) continue; /* each search reads from the start */
        require(aeor_node_find(data, size, data + name_at, name_length, &child, &spot, &bad_at) == 0);
        require(child.name_at <= name_at && child.name_length == name_length);
        require(spot.start < child.hash_at && child.type_at + child.type_length < spot.end);
    }
    free(columns);
    struct aeor_child child;
    struct aeor_spot spot;
    code = aeor_node_find(data, size, (const uint8_t *)"b", 1, &child, &spot, &bad_at);
    require(code == AEOR_OK || code == AEOR_ABSENT);
    require(spot.count == count && spot.start <= spot.end && spot.end <= size);
    require((code == AEOR_OK) == (spot.start < spot.end));
}

static void check_internal(const uint8_t *data, size_t size) {
    uint64_t count, keys_at, bad_at;
    int code = aeor_node_internal(data, size, NULL, 0, &count, &keys_at, &bad_at);
    require(bad_at <= size);
    if (code != AEOR_OK) return;
    uint64_t *columns = calloc(2 * count + 1, sizeof *columns);
    require(aeor_node_internal(data, size, columns, count, &count, &keys_at, &bad_at) == AEOR_OK);
    require(aeor_inside(keys_at, (count + 1) * AEOR_HASH, size));
    for (uint64_t i = 0; i < count; i++) {
        struct aeor_child child;
        struct aeor_spot spot;
        require(aeor_inside(columns[i], columns[count + i], size));
        code = aeor_node_find(data, size, data + columns[i], columns[count + i], &child, &spot,
                              &bad_at);
        require(code == AEOR_BELOW && child.hash_at == keys_at + (i + 1) * AEOR_HASH);
    }
    free(columns);
}

/* What the rules pass parses; a name that stands twice is one that a search finds earlier. */
static void check_rules(const uint8_t *data, size_t size) {
    uint64_t count, keys_at, bad_at;
    int code = aeor_rules_node(data, size);
    if (aeor_node_kind(data, size) == AEOR_NODE_INTERNAL) {
        int parsed = aeor_node_internal(data, size, NULL, 0, &count, &keys_at, &bad_at);
        require(code == parsed || code == AEOR_ERR_WALK_TEXT);
        return;
    }
    int parsed = aeor_node_children(data, size, NULL, 0, &count, &bad_at);
    require(code != AEOR_OK || parsed == AEOR_OK);
    if (parsed != AEOR_OK || (code != AEOR_OK && code != AEOR_ERR_WALK_DOUBLE)) return;
    struct aeor_children children;
    struct aeor_child child, first;
    struct aeor_spot spot;
    bool twice = false;
    require(aeor_children_start(&children, data, size) == AEOR_OK);
    while (aeor_children_next(&children, &child) == AEOR_OK) {
        const uint8_t *name = data + child.name_at;
        require(aeor_is_name(name, child.name_length) && aeor_is_text(name, child.name_length));
        require(aeor_node_find(data, size, name, child.name_length, &first, &spot, &bad_at) ==
                AEOR_OK);
        twice |= first.name_at != child.name_at;
    }
    require(twice == (code == AEOR_ERR_WALK_DOUBLE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct aeor_child child;
    struct aeor_spot spot;
    uint64_t bad_at = 0;
    int kind = aeor_node_kind(data, size);
    require(kind == AEOR_NODE_FLAT || (size > 0 && kind == data[0]));
    check_children(data, size);
    check_internal(data, size);
    check_rules(data, size);
    int code = aeor_node_find(data, size, (const uint8_t *)"b", 1, &child, &spot, &bad_at);
    require(bad_at <= size);
    require(code != AEOR_BELOW || aeor_inside(child.hash_at, AEOR_HASH, size));
    return 0;
}
