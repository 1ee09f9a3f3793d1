"""Samples: noise is told from what may shrink, wherever in a slice that stands."""

import base64
import random
from array import array

import pytest

from aeordb.native.sample import samples
from tests.kit.folders import half, prose

SIZE = 262_144
NOISE = random.Random(23).randbytes(4 * SIZE)


def loose(data: bytes) -> bool:
    flags = samples(data, array("Q", [0]), array("Q", [len(data)]))
    assert flags in (b"\0", b"\1")
    return flags == b"\1"


def test_noise_is_not_loose() -> None:
    starts, lengths = array("Q", range(0, 3 * SIZE, 4096)), array("Q", [SIZE] * 192)
    assert samples(NOISE, starts, lengths) == bytes(192)
    assert not loose(NOISE[:8192])


@pytest.mark.parametrize("length", [0, 1, 511, 512, 8191])
def test_what_is_short_is_loose(length: int) -> None:
    assert loose(NOISE[:length])


def test_what_shrinks_by_its_bytes_is_loose() -> None:
    assert loose(bytes(SIZE))
    assert loose(prose("loose", SIZE))
    assert loose(half("loose", SIZE))
    assert loose(base64.b64encode(NOISE)[:SIZE])
    assert loose(bytes(byte & 127 for byte in NOISE[:SIZE]))


@pytest.mark.parametrize("start", range(0, SIZE - SIZE // 8 + 1, SIZE // 32))
def test_an_eighth_of_text_is_found_wherever_it_stands(start: int) -> None:
    text = prose("eighth", SIZE // 8)
    assert loose(NOISE[:start] + text + NOISE[start + len(text) : SIZE])


def test_refusals() -> None:
    one = array("Q", [1])
    with pytest.raises(ValueError, match="leaves its buffer"):
        samples(b"x", one, one)
    for offsets, lengths in ((one, array("Q")), (array("I", [0]), one), (one, array("I", [0]))):
        with pytest.raises(ValueError, match="two arrays"):
            samples(b"x", offsets, lengths)
