"""Chunks: their addresses, when compression is kept, and pieces that repeat."""

from array import array

import pytest
import zstandard
from blake3 import blake3

from aeordb.native.sample import samples
from aeordb.tree.chunking import (
    Chunk,
    chunk_keys,
    compress_many,
    compressed,
    content_hashes,
    cut,
    pack_block,
    saves_enough,
)
from tests.kit.folders import CHUNK_EDGES, CHUNK_SIZE, half, noise, prose


def raw_of(chunk: Chunk) -> bytes:
    if chunk.compression:
        return zstandard.ZstdDecompressor().decompress(chunk.value)
    return chunk.value


@pytest.mark.parametrize("size", CHUNK_EDGES)
def test_pieces_are_full_but_the_last(size: int) -> None:
    data = noise("cut", size)
    pieces = cut(data)
    assert b"".join(pieces) == data
    assert all(len(piece) == CHUNK_SIZE for piece in pieces[:-1])
    assert all(0 < len(piece) <= CHUNK_SIZE for piece in pieces)


def test_a_key_hashes_the_raw_bytes_behind_their_prefix() -> None:
    pieces = [prose("key", size) for size in (1, 499, 500, 10_000, CHUNK_SIZE)]
    expected = [blake3(b"chunk:" + piece).digest() for piece in pieces]
    assert [chunk.key for chunk in pack_block(pieces, compress=True)] == expected
    assert chunk_keys(pieces) == expected
    assert chunk_keys(pieces[:3]) == expected[:3]
    assert chunk_keys(pieces[:1]) == expected[:1]
    assert chunk_keys([]) == []


def test_content_hashes_have_no_prefix() -> None:
    datas = [b"", b"a", prose("content", 5_000), noise("content", CHUNK_SIZE + 1)]
    assert content_hashes(datas) == [blake3(data).digest() for data in datas]
    assert content_hashes(datas[:3]) == [blake3(data).digest() for data in datas[:3]]
    assert content_hashes([]) == []


@pytest.mark.parametrize("size", [499, 500])
def test_compression_begins_at_500_bytes(size: int) -> None:
    frame = compressed(bytes(size))
    assert (frame is not None) == (size >= 500)
    assert compress_many([bytes(size), b"", bytes(size)]) == [frame, None, frame]


def test_compression_is_kept_only_if_it_saves_an_eighth() -> None:
    assert saves_enough(800, 700)
    assert not saves_enough(800, 701)
    assert compressed(noise("random", 10_000)) is None
    text = compressed(prose("text", 10_000))
    assert text is not None
    assert len(text) * 8 <= 10_000 * 7


def test_many_at_once_give_what_one_by_one_gives() -> None:
    pieces = [half("many", size) for size in (0, 1, 499, 500, 501, 4_096, 20_000, 100_000)]
    pieces += [noise("many", 3_000), prose("many", 3_000)]
    assert compress_many(pieces) == [compressed(piece) for piece in pieces]


def test_a_chunk_states_its_raw_length() -> None:
    pieces = [prose("block", CHUNK_SIZE), noise("block", CHUNK_SIZE), prose("rest", 100)]
    chunks = pack_block(pieces, compress=True)
    assert [raw_of(chunk) for chunk in chunks] == pieces
    assert [chunk.length for chunk in chunks] == [len(piece) for piece in pieces]
    assert [chunk.compression for chunk in chunks] == [1, 0, 0]
    assert [chunk.compression for chunk in pack_block(pieces, compress=False)] == [0, 0, 0]


def test_equal_pieces_give_one_chunk() -> None:
    zeros = bytes(CHUNK_SIZE)
    chunks = pack_block([zeros, bytes(CHUNK_SIZE), zeros, b"end"], compress=True)
    assert chunks[0] is chunks[1] is chunks[2]
    assert raw_of(chunks[0]) == zeros
    assert raw_of(chunks[3]) == b"end"


def test_text_behind_noise_is_still_compressed() -> None:
    """After some chunks that zstd could not shrink a sample decides, and text passes it."""
    pieces = [noise(i, CHUNK_SIZE) for i in range(6)] + [prose("late", CHUNK_SIZE)]
    assert [chunk.compression for chunk in pack_block(pieces, compress=True)] == [0] * 6 + [1]


def test_samples_made_beforehand_change_nothing() -> None:
    pieces = [noise(i, CHUNK_SIZE) for i in range(3)] + [half("s", CHUNK_SIZE), prose("s", 900)]
    pieces += [noise(i, CHUNK_SIZE) for i in range(3, 5)]
    made = samples(
        b"".join(pieces),
        array("Q", [sum(map(len, pieces[:i])) for i in range(len(pieces))]),
        array("Q", map(len, pieces)),
    )
    chunks = pack_block(pieces, compress=True)
    assert pack_block(pieces, True, chunk_keys(pieces), made) == chunks
    assert [chunk.compression for chunk in chunks] == [0, 0, 0, 1, 1, 0, 0]
