"""Mistakes in the tree, the server and the helper in C."""

from tests.planted.bug import bug

TREE = (
    bug(
        "tree-separators-shifted",
        "aeordb/tree/btree.py",
        "encode_internal([ref.low for ref in part[1:]], keys)",
        "encode_internal([ref.low for ref in part[:-1]], keys)",
        "tree/test_directory.py",
    ),
    bug(
        "tree-name-equal-to-a-separator-goes-left",
        "aeordb/tree/btree.py",
        "end = bisect_left(edits, node.names[number], start, key=itemgetter(0))",
        "end = bisect_right(edits, node.names[number], start, key=itemgetter(0))",
        "tree/test_directory.py",
    ),
    bug(
        "leaf-halves-exchanged",
        "aeordb/tree/btree.py",
        "runs[at : at + 1] = [run[:half], run[half:]]",
        "runs[at : at + 1] = [run[half:], run[:half]]",
        "tree/test_directory.py",
    ),
    bug(
        "paths-in-lower-case",
        "aeordb/tree/paths.py",
        "    return check_limits(TreePath(path), text)\n",
        "    return check_limits(TreePath(path.lower()), text)\n",
        "tree/test_paths.py",
    ),
    bug(
        "system-folders-take-a-put",
        "aeordb/tree/paths.py",
        "    if is_system(path):\n        raise PathError",
        "    if False:\n        raise PathError",
        "tree/test_edit.py",
    ),
    bug(
        "chunk-address-not-checked",
        "aeordb/tree/reading.py",
        "        _address(_CHUNK_BASE, CHUNK_PREFIX, raw) != key\n",
        "        False\n",
        "tree/test_reading.py",
    ),
    bug(
        "content-hash-not-checked",
        "aeordb/tree/reading.py",
        "    if hasher is not None and hasher.digest() != record.content_hash:\n",
        "    if False:\n",
        "tree/test_reading.py",
    ),
    bug(
        "packed-though-it-saves-nothing",
        "aeordb/tree/chunking.py",
        "return packed_length * 8 <= raw_length * 7",
        "return packed_length <= raw_length",
        "tree/test_chunking.py",
    ),
    bug(
        "get-follows-symlinks",
        "aeordb/folders/target.py",
        "        self._fds.append(os.open(name, OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=here))\n",
        "        self._fds.append(os.open(name, OPEN_FOLDER, dir_fd=here))\n",
        "folders/test_get.py",
    ),
    bug(
        "last-door-open",
        "aeordb/folders/target.py",
        'name in (b".", b"..") or b"/" in name',
        'name == b"."',
        "folders/test_get.py::test_the_last_door_refuses_what_leads_elsewhere",
    ),
)

SERVER = (
    bug(
        "token-without-end",
        "aeordb/server/tokens.py",
        "return self.start - _SKEW <= now // 1000 < self.end",
        "return self.start - _SKEW <= now // 1000",
        "server/test_auth.py",
    ),
    bug(
        "token-for-a-token",
        "aeordb/server/auth.py",
        "        if key is None or identity.by_token:\n",
        "        if key is None:\n",
        "server/test_auth.py",
    ),
    bug(
        "revoked-key-accepted",
        "aeordb/database/access.py",
        "return not key.is_revoked and now < key.expires_at",
        "return now < key.expires_at",
        "server/test_auth.py",
        "database/test_root_key.py",
    ),
    bug(
        "any-key-is-a-root-key",
        "aeordb/server/auth.py",
        "    if not identity.root:\n",
        "    if False:\n",
        "server/test_matrix.py",
        "server/test_auth.py",
    ),
    bug(
        "output-outside-of-the-backup-folder",
        "aeordb/server/backupdir.py",
        'if not name or "/" in name or',
        "if not name or",
        "server/test_backups.py",
    ),
    bug(
        "symlink-in-the-backup-folder-followed",
        "aeordb/server/backupdir.py",
        "flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK",
        "flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK",
        "server/test_backups.py",
    ),
)

NATIVE = (
    bug(
        "read-without-integrity-check",
        "native/index.c",
        "    if (memcmp(hash, actual, AEOR_HASH) != 0) return AEOR_ERR_ENTRY_HASH;\n    hit->time",
        "    hit->time",
        "native/test_index.py::test_read_of_a_damaged_entry",
    ),
    bug(
        "another-keys-entry-accepted",
        "native/index.c",
        "    if (entry.key_length != AEOR_HASH || memcmp(start, key, AEOR_HASH) != 0) {\n",
        "    if (entry.key_length != AEOR_HASH) {\n",
        "native/test_index.py::test_read_of_another_entry",
    ),
    bug(
        "page-without-checksum",
        "native/page.c",
        "*count > AEOR_PAGE_ENTRIES ||\n        aeor_get32(image + 4) != page_crc(image)) {",
        "*count > AEOR_PAGE_ENTRIES) {",
        "native/test_pages.py",
    ),
    bug(
        "deleted-entries-stay-in-pages",
        "native/page.c",
        "bool leaves = entry[AEOR_HASH] & AEOR_KV_DELETED;",
        "bool leaves = false;",
        "native/test_pages.py::test_checkpoint",
    ),
    bug(
        "flagged-page-read-all-the-same",
        "native/index.c",
        "    if (page_covered(index, page)) return AEOR_ABSENT;\n"
        "    hit->page = page;\n    int code = aeor_page_load(",
        "    hit->page = page;\n    int code = aeor_page_load(",
        "native/test_index.py::test_layers",
    ),
    bug(
        "equal-names-in-a-leaf",
        "native/node.c",
        "cursor->data + child->name_at, child->name_length) >= 0) {",
        "cursor->data + child->name_at, child->name_length) > 0) {",
        "native/test_nodes.py::test_names_that_do_not_rise",
    ),
    bug(
        "one-level-too-deep",
        "native/walker.c",
        "parent->depth >= AEOR_DEPTH_MAX",
        "parent->depth > AEOR_DEPTH_MAX",
        "native/test_walk.py::test_depth_is_limited",
    ),
    bug(
        "export-copies-damage",
        "native/carry.c",
        "        if (memcmp(work->hashes[i], entry + AEOR_ENTRY_HEADER, AEOR_HASH) != 0) {\n",
        "        if (false) {\n",
        "native/test_carry.py::test_every_byte_but_the_time_is_checked",
        "backup/test_export_damage.py",
    ),
)
