#include "rules.h"

#include <stdlib.h>

bool aeor_is_name(const uint8_t *name, uint64_t length) {
    if (length == 0 || memchr(name, '/', length) || memchr(name, 0, length)) return false;
    return !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
}

bool aeor_is_text(const uint8_t *text, uint64_t length) {
    for (uint64_t i = 0; i < length;) {
        uint8_t first = text[i++];
        if (first < 0x80) continue;
        /* How many bytes follow, and what the first of them may be (The Unicode Standard 3.9). */
        unsigned more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        uint8_t low = 0x80, high = 0xbf;
        if (first < 0xc2 || first > 0xf4 || length - i < more) return false;
        if (first == 0xe0) low = 0xa0;
        if (first == 0xed) high = 0x9f;
        if (first == 0xf0) low = 0x90;
        if (first == 0xf4) high = 0x8f;
        if (text[i] < low || text[i] > high) return false;
        for (unsigned j = 1; j < more; j++)
            if (text[i + j] < 0x80 || text[i + j] > 0xbf) return false;
        i += more;
    }
    return true;
}

struct name {
    const uint8_t *text;
    uint64_t length;
};

static int by_name(const void *left, const void *right) {
    const struct name *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Looks for a name that stands twice in a flat listing of `count` children. */
static int check_twice(const uint8_t *value, uint64_t length, uint64_t count) {
    struct aeor_children children;
    struct aeor_child child;
    struct name *names = malloc((size_t)count * sizeof *names);
    if (names == NULL) return AEOR_ERR_MEMORY;
    int code = aeor_children_start(&children, value, length);
    for (uint64_t i = 0; i < count && aeor_children_next(&children, &child) == AEOR_OK; i++)
        names[i] = (struct name){value + child.name_at, child.name_length};
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (uint64_t i = 1; i < count && code == AEOR_OK; i++)
        if (by_name(names + i - 1, names + i) == 0) code = AEOR_ERR_WALK_DOUBLE;
    free(names);
    return code;
}

static int check_children(const uint8_t *value, uint64_t length) {
    struct aeor_children children;
    struct aeor_child child;
    struct name last = {0};
    uint64_t count = 0;
    bool rising = true;
    int code = aeor_children_start(&children, value, length);
    while (code == AEOR_OK && (code = aeor_children_next(&children, &child)) == AEOR_OK) {
        struct name name = {value + child.name_at, child.name_length};
        if (!aeor_is_text(name.text, name.length)) return AEOR_ERR_WALK_TEXT;
        if (!aeor_is_text(value + child.type_at, child.type_length)) return AEOR_ERR_WALK_TEXT;
        if (!aeor_is_name(name.text, name.length)) return AEOR_ERR_WALK_NAME;
        if (count++ > 0 && by_name(&last, &name) >= 0) rising = false;
        last = name;
    }
    if (code != AEOR_ABSENT) return code;
    return rising ? AEOR_OK : check_twice(value, length, count);
}

static int check_separators(const uint8_t *value, uint64_t length) {
    uint64_t count, keys_at, bad_at;
    int code = aeor_node_internal(value, length, NULL, 0, &count, &keys_at, &bad_at);
    for (uint64_t at = 3; code == AEOR_OK && at < keys_at;) {
        uint64_t size = aeor_get16(value + at);
        if (!aeor_is_text(value + at + 2, size)) code = AEOR_ERR_WALK_TEXT;
        at += 2 + size;
    }
    return code;
}

int aeor_rules_node(const uint8_t *value, uint64_t length) {
    bool internal = aeor_node_kind(value, length) == AEOR_NODE_INTERNAL;
    return internal ? check_separators(value, length) : check_children(value, length);
}

int aeor_rules_record(const uint8_t *value, const struct aeor_record_fields *fields) {
    bool holds = aeor_is_text(value + fields->name_at, fields->name_length) &&
                 aeor_is_text(value + fields->text_at, fields->text_length);
    return holds ? AEOR_OK : AEOR_ERR_WALK_TEXT;
}
