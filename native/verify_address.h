/* Content addresses of entries in groups (FORMAT.md, Entries: the last column).  No part of Python's
 * surface: verify.c calls it, under its guard. */
#ifndef AEOR_VERIFY_ADDRESS_H
#define AEOR_VERIFY_ADDRESS_H

#include "aeor.h"
#include "blake3.h"
#include "entry.h"
#include "log.h"
#include "node.h"

enum { AEOR_ADDRESS_GROUP = 128, AEOR_ADDRESS_TEXT = 512 };

#define AEOR_ADDRESS_VALUE (AEOR_ENTRY_START + AEOR_HASH) /* where the value begins */

enum aeor_match {
    AEOR_MATCH_UNKNOWN,    /* not looked at */
    AEOR_MATCH_NONE,       /* no address that this content has */
    AEOR_MATCH_MALFORMED,  /* the value cannot be parsed; `code` says why */
    AEOR_MATCH_COMPRESSED, /* a compressed chunk */
    AEOR_MATCH_OWN,        /* a record of AeorDB's own, whose key is its affair */
    AEOR_MATCH_CONTENT,
    AEOR_MATCH_PATH,
    AEOR_MATCH_IDENTITY,
};

struct aeor_address {
    enum aeor_match match;
    int code;
    bool system;  /* its path lies under a system root */
    bool waiting; /* its address is compared with `hash` after the next flush */
    uint8_t path_key[AEOR_HASH], hash[AEOR_HASH];
    struct aeor_record_fields fields;
};

struct aeor_addressing {
    aeor_blake3_batch batch;
    struct aeor_address of[AEOR_ADDRESS_GROUP];
    uint8_t texts[AEOR_ADDRESS_GROUP][AEOR_ADDRESS_TEXT];
};

/* Adds what the entry's address most likely is the hash of; `image` is the mapped entry. */
void aeor_address_first(struct aeor_addressing *work, uint64_t at,
                        const struct aeor_log_entry *entry, const uint8_t *image);

/* After a flush: compares, and tries what else the addresses may be. */
void aeor_address_rest(struct aeor_addressing *work, const struct aeor_log_entry *entries,
                       const uint8_t *map, uint64_t count);

/* The key of a directory node, by its first byte; to `hash` with the next flush. */
void aeor_address_node(aeor_blake3_batch *batch, const uint8_t *value, uint64_t length,
                       uint8_t *hash);

/* Whether another record is of the same path and content: times and metadata may differ. */
bool aeor_address_same(const struct aeor_log_entry *entry, const struct aeor_address *address,
                       const uint8_t *value, const uint8_t *other, uint8_t version,
                       uint64_t other_length);

#endif
