"""What a version reaches, and what a backup must hold, by the independent reader."""

import os

from tests.kit.layout import CHUNK, DELETION, DIRECTORY, FILE, SYMLINK, ZERO, Entry
from tests.kit.oracle import Oracle
from tests.kit.values import chunk_bytes, deletion_record, directory_node, path_key

Entries = dict[bytes, Entry]


def reach(oracle: Oracle, root: bytes) -> Entries:
    """Every entry that a root leads to, by key: nodes, records, symlinks, chunks."""
    found: Entries = {}
    keys = [] if root == ZERO else [root]
    while keys:
        key = keys.pop()
        if key in found:
            continue
        found[key] = oracle.need(key, DIRECTORY)
        node = directory_node(found[key].value)
        keys += node.nodes
        for child in node.children:
            if child.type == DIRECTORY:
                keys.append(child.hash)
                continue
            found[child.hash] = oracle.need(child.hash, child.type)
            if child.type == FILE:
                for chunk in oracle.file_record(child.hash).chunks:
                    found[chunk] = oracle.need(chunk, CHUNK)
    return found


def path_keys(oracle: Oracle, root: bytes) -> dict[bytes, tuple[str, bytes]]:
    """The path key of every place of a version: its path, and the key of what stands there."""
    found = {path_key(DIRECTORY, "/"): ("/", root)}
    for place in oracle.walk(root):
        found[path_key(place.child.type, place.path)] = place.path, place.child.hash
    return found


def log_entries(oracle: Oracle) -> list[Entry]:
    """All entries of the log, in order; each must be intact, none may stand twice."""
    entries = list(oracle.scan(end=oracle.slot.hot_tail))
    assert all(entry.intact for entry in entries)
    assert sum(entry.total for entry in entries) == oracle.slot.hot_tail - oracle.slot.log_start
    keys = [entry.key for entry in entries]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set(oracle.index)
    assert oracle.slot.entry_count == len(keys)
    return entries


def assert_same(made: Entry, source: Entry, *, raw: bool = False) -> None:
    """The entry went over as it stands; `raw`: its chunk may have been decompressed."""
    assert (made.type, made.version, made.time) == (source.type, source.version, source.time)
    if raw and source.type == CHUNK:
        assert (made.compression, made.value) == (0, chunk_bytes(source))
    else:
        assert (made.compression, made.value) == (source.compression, source.value)


def assert_export(
    output: str | os.PathLike[str], source: Oracle, root: bytes, *, raw: bool = False
) -> Oracle:
    """A full export of `root` holds what it reaches, its path keys, and nothing else."""
    made = Oracle(output)
    content, places = reach(source, root), path_keys(source, root)
    assert (made.slot.backup_type, made.slot.sequence, made.head) == (1, 1, root)
    assert made.slot.base == made.slot.target == root
    entries = {entry.key: entry for entry in log_entries(made)}
    assert set(entries) == set(content) | set(places)
    for key, entry in entries.items():
        if key in content:
            assert_same(entry, content[key], raw=raw)
            continue
        _, hash_ = places[key]
        origin = content[hash_]
        assert (entry.type, entry.time) == (origin.type, origin.time)
        assert entry.value == (hash_ if entry.type == DIRECTORY else origin.value)
    latest = max(entry.time for entry in entries.values())
    assert made.slot.created == made.slot.updated == latest
    return made


def assert_patch(
    output: str | os.PathLike[str], source: Oracle, base: bytes, target: bytes
) -> Oracle:
    """A patch holds what the target reaches and the base does not, path keys and deletions."""
    made = Oracle(output)
    assert (made.slot.backup_type, made.slot.sequence, made.head) == (2, 1, target)
    assert (made.slot.base, made.slot.target) == (base, target)
    old, new = reach(source, base), reach(source, target)
    old_places, new_places = path_keys(source, base), path_keys(source, target)
    entries = {entry.key: entry for entry in log_entries(made)}
    gone = {entry.key for entry in entries.values() if entry.type == DELETION}
    paths = {key for key in entries if key in new_places and key not in gone}
    touched = _touched(source, base, target)
    assert set(entries) - gone - paths == (set(new) - set(old)) | touched
    for key in set(entries) - gone - paths:
        assert_same(entries[key], new[key])
    assert gone == set(old_places) - set(new_places)
    time = source.need(target, DIRECTORY).time
    for key in gone:
        record = deletion_record(entries[key].value)
        assert (record.path, record.reason) == (old_places[key][0], "patch-deletion")
        assert record.deleted == entries[key].time == time
    changed = {
        key
        for key, (_, hash_) in new_places.items()
        if old_places.get(key, ("", b""))[1] != hash_ or hash_ in touched
    }
    assert paths == changed
    for key in paths:
        _, hash_ = new_places[key]
        entry = entries[key]
        assert entry.value == (hash_ if entry.type == DIRECTORY else new[hash_].value)
    return made


def _touched(source: Oracle, base: bytes, target: bytes) -> set[bytes]:
    """Records that both versions list at one path, with other times."""
    before = {place.path: place.child for place in source.walk(base)}
    return {
        place.child.hash
        for place in source.walk(target)
        if place.child.type in (FILE, SYMLINK)
        and place.path in before
        and before[place.path].hash == place.child.hash
        and before[place.path] != place.child
    }
