"""Keys: spelled out once more, from the table in FORMAT.md."""

from aeordb.format import keys, nodes
from aeordb.native.hashing import blake3

CHUNKS = bytes(range(64))


def test_each_key_hashes_what_format_md_says() -> None:
    expected = {
        keys.content_hash(b"raw"): b"raw",
        keys.chunk_key(b"raw"): b"chunk:raw",
        keys.system_chunk_key(b"raw"): b"system::raw",
        keys.file_identity_key("/é", "t/p", CHUNKS): b"fileid:/\xc3\xa9\0t/p\0" + CHUNKS,
        keys.file_path_key("/é"): b"file:/\xc3\xa9",
        keys.file_content_key(b"value"): b"filec:value",
        keys.directory_content_key(b"value"): b"dirc:value",
        keys.directory_path_key("/"): b"dir:/",
        keys.btree_key(b"\0value"): b"btree:\0value",
        keys.symlink_identity_key("/l", "../t"): b"symlinkid:/l\0../t",
        keys.symlink_path_key("/l"): b"symlink:/l",
        keys.symlink_content_key(b"value"): b"symlinkc:value",
        keys.snapshot_key("v1"): b"snap:v1",
        keys.fork_key("f"): b"::aeordb:fork:f",
        keys.deletion_key("/é", -5): b"del:/\xc3\xa9:-5",
        keys.task_key("_registry"): b"::aeordb:task:_registry",
    }
    for key, text in expected.items():
        assert key == blake3(text), text
    assert blake3(keys.file_identity_text("/é", "t/p", CHUNKS)) == keys.file_identity_key(
        "/é", "t/p", CHUNKS
    )


def test_the_first_byte_tells_a_nodes_key() -> None:
    internal = nodes.encode_internal((), (bytes(32),))
    assert keys.node_key(b"") == blake3(b"dirc:")
    assert keys.node_key(b"\2x") == blake3(b"dirc:\2x")
    assert keys.node_key(nodes.encode_leaf([])) == blake3(b"btree:\0\0\0")
    assert keys.node_key(internal) == blake3(b"btree:" + internal)


def test_many_path_keys_at_once() -> None:
    paths = [f"/folder/file-{i}" for i in range(100)]
    assert keys.file_path_keys(paths) == [keys.file_path_key(path) for path in paths]


def test_a_deletion_names_what_it_marks() -> None:
    assert set(keys.deletion_targets("/a")) == {
        keys.file_path_key("/a"),
        keys.directory_path_key("/a"),
        keys.symlink_path_key("/a"),
        blake3(b"/a"),
    }
    assert keys.snapshot_key("v1") in keys.deletion_targets(keys.snapshot_text("v1"))
    assert keys.fork_key("f") in keys.deletion_targets(keys.fork_text("f"))
