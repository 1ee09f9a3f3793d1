"""Hypothesis strategies for the values of the format."""

from hypothesis import strategies as st

from aeordb.format import constants as c
from aeordb.format.header import Header, Spare
from aeordb.format.nodes import Child
from aeordb.format.page import IndexRecord
from aeordb.format.records import (
    DeletionRecord,
    FileRecord,
    ForkRecord,
    SnapshotRecord,
    SymlinkRecord,
)

u8 = st.integers(0, 0xFF)
u32 = st.integers(0, c.U32_MAX)
u64 = st.integers(0, c.U64_MAX)
i64 = st.integers(-(1 << 63), (1 << 63) - 1)
hashes = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)
blobs = st.binary(max_size=60)

files = st.builds(
    FileRecord,
    path=texts,
    content_type=texts,
    size=u64,
    created=i64,
    updated=i64,
    content_hash=hashes,
    metadata=blobs,
    chunk_keys=st.lists(hashes, max_size=3).map(b"".join),
)
symlinks = st.builds(SymlinkRecord, path=texts, target=texts, created=i64, updated=i64)
deletions = st.builds(DeletionRecord, path=texts, deleted_at=i64, reason=texts)
snapshots = st.builds(SnapshotRecord, name=texts, root=hashes, created=i64, metadata=blobs)
forks = st.builds(ForkRecord, name=texts, root=hashes, created=i64)

children = st.builds(
    Child,
    kind=st.sampled_from(sorted(c.CHILD_KINDS)),
    hash=hashes,
    size=u64,
    created=i64,
    updated=i64,
    name=names,
    content_type=texts,
    virtual_time=u64,
    node_id=u64,
)

spares = st.builds(Spare, flags=u8, region_length=u64, region_hash=hashes, batch_count=u32)
headers = st.builds(
    Header,
    sequence=u64,
    created_at=i64,
    updated_at=i64,
    kv_offset=u64,
    kv_length=u64,
    hot_tail_offset=u64,
    stage=u8,
    head=hashes,
    entry_count=u64,
    resize_in_progress=u8,
    resize_target=u8,
    backup_type=u8,
    base=hashes,
    target=hashes,
    spare=st.none() | spares,
    kv_version=u8,
    nvt_offset=u64,
    nvt_length=u64,
    nvt_version=u8,
    buffer_kvs_offset=u64,
    buffer_nvt_offset=u64,
)
index_records = st.builds(IndexRecord, key=hashes, kv=u8, offset=u64, length=u32)
voids = st.tuples(u64, u32)
