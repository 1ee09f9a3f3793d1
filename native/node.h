/* Directory nodes and records (FORMAT.md, Directories and Records): where their fields are.
 *
 * The parsers read a private, verified copy of a value, and answer with offsets into it. */
#ifndef AEOR_NODE_H
#define AEOR_NODE_H

#include "aeor.h"

/* cdef */
enum {
    AEOR_ERR_NODE_CUT = -40,      /* ends in the middle of a field */
    AEOR_ERR_NODE_KIND = -41,     /* a child, node or record of an unknown kind or version */
    AEOR_ERR_NODE_ORDER = -42,    /* names of a B-tree node that do not rise */
    AEOR_ERR_NODE_TRAILING = -43, /* bytes behind the end */
};

enum { AEOR_NODE_FLAT = 2, AEOR_NODE_LEAF = 0, AEOR_NODE_INTERNAL = 1 };

struct aeor_child {
    uint64_t hash_at, size;
    int64_t created, updated;
    uint64_t name_at, type_at; /* type: the content type */
    uint64_t virtual_time, node_id;
    uint16_t name_length, type_length;
    uint8_t kind;
};

/* What kind of node this is. */
int aeor_node_kind(const uint8_t *value, uint64_t length);

/* The children of a flat listing or a leaf, as 11 columns of `capacity` numbers each: kind,
 * hash_at, size, created, updated, name_at, name_length, type_at, type_length, virtual time, node
 * id.  columns NULL: only counts them.  *bad_at: where an error is. */
int aeor_node_children(const uint8_t *value, uint64_t length, uint64_t *columns,
                       uint64_t capacity, uint64_t *count, uint64_t *bad_at);

/* The separators of an internal node as 2 columns of `capacity` numbers: name_at, name_length.
 * The count + 1 keys of the nodes below lie from *keys_at on. */
int aeor_node_internal(const uint8_t *value, uint64_t length, uint64_t *columns,
                       uint64_t capacity, uint64_t *count, uint64_t *keys_at, uint64_t *bad_at);

/* Where a name stands in a flat listing or a leaf, or would: behind the others, or in the order of a
 * leaf.  count: of all children. */
struct aeor_spot {
    uint64_t start, end, count;
};

/* Looks for a name in a node, all of which is parsed: AEOR_OK, the child and its spot; AEOR_ABSENT
 * and the spot; or AEOR_BELOW and in child->hash_at where the key of the node below stands. */
int aeor_node_find(const uint8_t *value, uint64_t length, const uint8_t *name,
                   uint64_t name_length, struct aeor_child *child, struct aeor_spot *spot,
                   uint64_t *bad_at);

/* The fields of a record; which of them it has, its entry type says. */
struct aeor_record_fields {
    uint64_t name_at, name_length;   /* path; a snapshot's or fork's name */
    uint64_t text_at, text_length;   /* content type; a symlink's target; a deletion's reason */
    uint64_t size;
    int64_t created, updated;        /* of a deletion: created is its time */
    uint64_t hash_at;                /* content hash (0: none); a snapshot's or fork's root */
    uint64_t metadata_at, metadata_length;
    uint64_t keys_at, key_count;     /* chunk keys */
};

/* Parses the record of an entry of this type and version. */
int aeor_record_fields(int type, int version, const uint8_t *value, uint64_t length,
                       struct aeor_record_fields *fields, uint64_t *bad_at);
/* end cdef */

/* Reads fields one after the other.  Once one is cut, `failed` stays set and all is zero. */
struct aeor_cursor {
    const uint8_t *data;
    uint64_t length, at;
    bool failed;
};

/* The children of a flat listing or a leaf, one call of aeor_children_next() each. */
struct aeor_children {
    struct aeor_cursor cursor;
    bool leaf;
    uint64_t left; /* a leaf's children still to come */
    uint64_t name_at;
    uint16_t name_length; /* of the child before, in a leaf */
    bool first;
};
int aeor_children_start(struct aeor_children *children, const uint8_t *value, uint64_t length);

/* The next child; AEOR_ABSENT behind the last. */
int aeor_children_next(struct aeor_children *children, struct aeor_child *child);

#endif
