"""The native BLAKE3 against the ``blake3`` package, at every SIMD level that this CPU has."""

import mmap
import random
from array import array
from collections.abc import Iterator

import blake3 as oracle
import pytest

from aeordb.native import hashing

NOISE = random.Random(3).randbytes(3 << 20)
EDGES = [n * 1024 + d for n in (1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 255, 256) for d in (-1, 0, 1)]
LONG = [256 * 1024 + 6, 511 * 1024, 512 * 1024, 512 * 1024 + 1, 1023 * 1024 + 5, len(NOISE)]


def expected(data: bytes) -> bytes:
    return oracle.blake3(data).digest()


@pytest.fixture(params=hashing.SIMD_NAMES, autouse=True)
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    before = hashing.simd_name()
    try:
        hashing.set_simd(request.param)
    except ValueError:
        pytest.skip(f"this CPU has no {request.param}")
    assert hashing.simd_name() == request.param
    yield request.param
    hashing.set_simd(before)


def test_every_short_length() -> None:
    # Beyond 8 chunks no narrower kernel holds them all.
    for length in (*range(4097), *range(4097, 9400, 7)):
        assert hashing.blake3(NOISE[:length]) == expected(NOISE[:length]), length


@pytest.mark.parametrize("length", EDGES + LONG)
def test_edges_and_long_inputs(length: int) -> None:
    assert hashing.blake3(NOISE[:length]) == expected(NOISE[:length])


def test_any_buffer() -> None:
    data = NOISE[:5000]
    with mmap.mmap(-1, len(data)) as mapped:
        mapped[:] = data
        buffers = (bytearray(data), memoryview(data), memoryview(b"x" + data)[1:], mapped)
        assert [hashing.blake3(buffer) for buffer in buffers] == [expected(data)] * 4


def test_many_inputs_of_every_length() -> None:
    inputs = [NOISE[length : 2 * length] for length in range(2300)]
    random.Random(5).shuffle(inputs)
    assert hashing.blake3_many(inputs) == [expected(data) for data in inputs]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 200, 1024, 1025])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 16, 17, 31, 513])
def test_many_inputs_of_one_length(count: int, length: int) -> None:
    inputs = [NOISE[at : at + length] for at in range(count)]
    assert hashing.blake3_many(inputs) == [expected(data) for data in inputs]


@pytest.mark.parametrize("prefix", [b"x", b"chunk:", NOISE[:63], NOISE[:64]])
def test_prefix(prefix: bytes) -> None:
    lengths = [*range(0, 2200, 3), *EDGES, *(n - len(prefix) for n in EDGES), *LONG]
    inputs = [NOISE[len(NOISE) - length :] for length in lengths]
    random.Random(7).shuffle(inputs)
    assert hashing.blake3_many(inputs, prefix) == [expected(prefix + data) for data in inputs]


def test_slices_may_overlap() -> None:
    rng = random.Random(11)
    pairs = [(rng.randrange(1 << 20), int(rng.expovariate(1 / 900))) for _ in range(3000)]
    offsets, lengths = (array("Q", numbers) for numbers in zip(*pairs, strict=True))
    hashes = b"".join(expected(b"filec:" + NOISE[at : at + n]) for at, n in pairs)
    assert hashing.blake3_slices(NOISE, offsets, lengths, b"filec:") == hashes


@pytest.mark.parametrize("seed", range(12))
def test_stream_in_random_pieces(seed: int) -> None:
    rng = random.Random(seed)
    mean = 10 ** rng.uniform(1.5, 6)
    ours, theirs = hashing.Hasher(), oracle.blake3()
    at = 0
    while at < len(NOISE) and at < 2000 * mean:
        piece = NOISE[at : at + int(rng.expovariate(1 / mean))]
        at += len(piece)
        ours.update(piece)
        theirs.update(piece)
        if rng.random() < 0.02:
            assert ours.digest() == theirs.digest(), at
    assert ours.digest() == theirs.digest()


def test_stream_of_whole_chunks() -> None:
    for chunks in (1, 2, 7, 8, 256, 300):
        ours = hashing.Hasher(b"")
        for _ in range(3):
            ours.update(NOISE[: chunks * 1024])
        assert ours.digest() == expected(NOISE[: chunks * 1024] * 3), chunks


PIECE = hashing.PIECE_SIZE


@pytest.mark.parametrize("at_once", [1, 3, 8])
@pytest.mark.parametrize("whole", [0, 1, 2, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("rest", [0, 1, 1024, 1025, PIECE - 1])
def test_a_stream_by_the_tops_of_its_pieces(whole: int, rest: int, at_once: int) -> None:
    """The keys, and after each call what the stream hashes to: any piece may be its last."""
    data = NOISE[: whole * PIECE + rest]
    starts = range(0, len(data), PIECE)
    ours = hashing.Hasher()
    for number in range(0, len(starts), at_once):
        offsets = array("Q", starts[number : number + at_once])
        pieces = [data[at : at + PIECE] for at in offsets]
        lengths = array("Q", map(len, pieces))
        keys, tops = hashing.hash_pieces(data, offsets, lengths, b"chunk:", number)
        assert keys == b"".join(expected(b"chunk:" + piece) for piece in pieces)
        full = lengths.count(PIECE)
        ours.update_tops(tops[: hashing.TOP_SIZE * full])
        if full < len(pieces):
            ours.update(pieces[-1])
        assert ours.digest() == expected(data[: (number + at_once) * PIECE])
    assert ours.digest() == expected(data)


def test_tops_and_bytes_take_turns() -> None:
    offsets, lengths = array("Q", range(0, 8 * PIECE, PIECE)), array("Q", [PIECE] * 8)
    tops = hashing.hash_pieces(NOISE, offsets, lengths, b"", 0)[1]
    size = hashing.TOP_SIZE
    ours = hashing.Hasher(NOISE[:PIECE])
    ours.update_tops(tops[size : 3 * size])
    ours.update(NOISE[3 * PIECE : 3 * PIECE + 1000])
    ours.update(NOISE[3 * PIECE + 1000 : 5 * PIECE])
    ours.update_tops(tops[5 * size : 7 * size])
    ours.update_tops(b"")
    ours.update_tops(tops[7 * size :])
    assert ours.digest() == expected(NOISE[: 8 * PIECE])
    ours.update(b"x")
    for wrong in (tops, tops[:63]):
        with pytest.raises(ValueError, match="whole pieces"):
            ours.update_tops(wrong)
    assert ours.digest() == expected(NOISE[: 8 * PIECE] + b"x")


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at most 64"):
        hashing.blake3_many([b"x"], b"p" * 65)
    for offset, length in ((0, 5), (5, 0), (4, 1), (2**64 - 1, 2)):
        with pytest.raises(ValueError, match="leaves its buffer"):
            hashing.blake3_slices(b"1234", array("Q", [offset]), array("Q", [length]))
    with pytest.raises(ValueError, match="2 offsets"):
        hashing.blake3_slices(b"1234", array("Q", [0, 0]), array("Q", [0]))
    with pytest.raises(ValueError, match="'Q'"):
        hashing.blake3_slices(b"1234", array("I", [0]), array("I", [0]))
    one, two = array("Q", [0]), array("Q", [0, 0])
    for offsets, lengths, prefix, reason in (
        (one, array("Q", [5]), b"", "leaves its buffer"),
        (one, one, b"p" * 65, "at most 64"),
        (two, one, b"", "2 offsets"),
    ):
        with pytest.raises(ValueError, match=reason):
            hashing.hash_pieces(b"1234", offsets, lengths, prefix, 0)
    with pytest.raises(ValueError, match="no SIMD level"):
        hashing.set_simd("abacus")
