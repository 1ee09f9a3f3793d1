/* One log entry (FORMAT.md, Entries): its header, its integrity hash, reading it from a map. */
#ifndef AEOR_ENTRY_H
#define AEOR_ENTRY_H

#include "aeor.h"

/* cdef */
/* Answers that are no errors. */
enum {
    AEOR_ABSENT = 1, /* there is no such key, name or next entry */
    AEOR_LARGE = 2,  /* does not fit the scratch buffer: fetch it from where it is */
    AEOR_BELOW = 3,  /* in a B-tree node below, whose key is at hash_at */
};

enum {
    AEOR_ERR_ENTRY_BOUNDS = -20,     /* leaves the map */
    AEOR_ERR_ENTRY_MAGIC = -21,      /* no entry begins there */
    AEOR_ERR_ENTRY_ALGORITHM = -22,  /* a hash algorithm that is not BLAKE3-256 */
    AEOR_ERR_ENTRY_ENCRYPTION = -23, /* encrypted */
    AEOR_ERR_ENTRY_LENGTHS = -24,    /* lengths that contradict each other or the index */
    AEOR_ERR_ENTRY_KEY = -25,        /* another key than the one asked for */
    AEOR_ERR_ENTRY_HASH = -26,       /* the stored bytes do not match the integrity hash */
};

struct aeor_entry {
    uint64_t offset;       /* where the entry begins */
    uint32_t total_length; /* header, hash, key and value */
    uint32_t key_length;
    uint32_t value_length;
    int64_t time;
    uint8_t version, type, flags, compression;
};

/* Reads the header at `offset`, checks it against the map (and total_length, if not 0). */
int aeor_entry_header(const uint8_t *map, uint64_t map_length, uint64_t offset,
                      uint32_t total_length, struct aeor_entry *entry);

/* Reads and verifies the entry at `offset`; the value goes to `value`, which has room for
 * `capacity` bytes and must hold it.  `key`, unless NULL, must be its key (32 bytes). */
int aeor_entry_fetch(const uint8_t *map, uint64_t map_length, uint64_t offset,
                     uint32_t total_length, const uint8_t *key, uint8_t *value, uint64_t capacity,
                     struct aeor_entry *entry);

/* Verifies the entry image of `length` bytes at `image`, which may be mapped. */
int aeor_entry_verify(const uint8_t *image, uint64_t length);

/* Verifies `count` entries of a (mapped) buffer; codes[i] tells about the i-th. */
int aeor_entries_verify(const uint8_t *map, uint64_t map_length, const uint64_t *offsets,
                        const uint64_t *lengths, uint64_t count, int32_t *codes);
/* end cdef */

#define AEOR_ENTRY_MAGIC 0x0AE012DBu
#define AEOR_ENTRY_HEADER 31                     /* the fixed part, before the integrity hash */
#define AEOR_ENTRY_START (AEOR_ENTRY_HEADER + AEOR_HASH) /* where the key begins */
#define AEOR_ENTRY_LIMIT (1u << 30)              /* the longest key, the longest value */
#define AEOR_ALGORITHM_BLAKE3 1

enum {
    AEOR_TYPE_CHUNK = 1,
    AEOR_TYPE_FILE = 2,
    AEOR_TYPE_DIRECTORY = 3,
    AEOR_TYPE_DELETION = 4,
    AEOR_TYPE_SNAPSHOT = 5,
    AEOR_TYPE_VOID = 6,
    AEOR_TYPE_FORK = 7,
    AEOR_TYPE_SYMLINK = 8,
};

/* Decodes a private copy of the fixed part; fails on a bad magic or lengths that do not add up. */
int aeor_entry_parse(const uint8_t header[AEOR_ENTRY_HEADER], uint64_t offset,
                     struct aeor_entry *entry);

/* The hash of type byte, key and value; `start` points at the key, with the value behind. */
void aeor_entry_hash(uint8_t type, const uint8_t *start, uint64_t length, uint8_t out[AEOR_HASH]);

#endif
