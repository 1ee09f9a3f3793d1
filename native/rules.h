/* What reading refuses in nodes and records that parse (FORMAT.md, Directories and Paths): verify
 * and repair ask for it, so that what they pass can be read. */
#ifndef AEOR_RULES_H
#define AEOR_RULES_H

#include "node.h"
#include "walk.h"

/* Whether a path may have this part: no slash, no NUL, not empty, neither `.` nor `..`. */
bool aeor_is_name(const uint8_t *name, uint64_t length);

/* Whether this is UTF-8, to the letter: no surrogates, nothing longer than need be. */
bool aeor_is_text(const uint8_t *text, uint64_t length);

/* Of a directory node: AEOR_ERR_WALK_TEXT, AEOR_ERR_WALK_NAME, or AEOR_ERR_WALK_DOUBLE for a name
 * that stands twice in a flat listing. */
int aeor_rules_node(const uint8_t *value, uint64_t length);

/* Of a file's or symlink's record: AEOR_ERR_WALK_TEXT. */
int aeor_rules_record(const uint8_t *value, const struct aeor_record_fields *fields);

#endif
