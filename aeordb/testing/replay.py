"""What a power cut can leave of a recorded trace (engine.md, section 1).

The fault model. Contents: after a cut every byte that was being written is old or new, bytes that
were not written are as they were, a sync that says OK is true; "unsynced" means since the last sync
of that file. A file's size is a change like any other: where it grew and the bytes did not arrive
there are zeros, or bytes that this file held before. Names are independent of contents and of each
other until their folder is synced.

`Disk` follows a trace; after each call, and at the last moment before each sync, `images` gives the
files that could be found if the power went there.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aeordb.native.hashing import blake3
from aeordb.testing.names import Names
from aeordb.testing.recording import CHANGES, FOLDER, MKDIR, OPEN, RENAME, SYNC, UNLINK, Call
from aeordb.testing.tearing import apply, by_sector, growth, largest, mixed, subsets, torn


@dataclass
class Trace:
    """Recorded calls, and when which commit was begun and acknowledged.

    `before`: contents by name that were durable when the recording began. `begun[i]` and
    `acked[i]`: how many calls had been made when step i began, and when it returned.
    """

    calls: list[Call] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)

    def bounds(self, count: int) -> tuple[int, int]:
        """After `count` calls: how many steps are acknowledged, how many may have happened."""
        done = sum(1 for x in self.acked if x <= count)
        # A step that makes no call at all begins and ends at once.
        return done, max(done, bisect_left(self.begun, count))


@dataclass(frozen=True)
class Image:
    """Contents by name after a cut behind `count` calls; `cause` says what the cut did."""

    files: dict[str, bytes]
    count: int
    cause: str

    def digest(self) -> bytes:
        """The same for the same contents under the same names, in whatever folder."""
        parts = []
        for name in sorted(self.files):
            parts += [blake3(os.path.basename(name).encode()), blake3(self.files[name])]
        return blake3(b"".join(parts))


@dataclass
class _File:
    durable: bytes
    pending: list[Call] = field(default_factory=list)
    _seen: bytes | None = None
    # What once stood behind the present end.
    _past: bytes = b""

    def change(self, call: Call) -> None:
        old = self.content()
        content = bytearray(old)
        apply(content, call)
        if len(content) < len(old):
            self._past = old + self._past[len(old) :]
        self.pending.append(call)
        self._seen = bytes(content)

    def content(self) -> bytes:
        """What a process sees: all changes."""
        return self.durable if self._seen is None else self._seen

    def kept(self, calls: Sequence[Call]) -> bytes:
        """The durable content with only these of the pending changes."""
        content = bytearray(self.durable)
        for call in calls:
            apply(content, call)
        return bytes(content)

    def grown(self) -> list[tuple[Call, str]]:
        """Changes that make the file as large as it may have been, without what was written."""
        size, old = largest(self.pending), len(self.durable)
        return [] if size <= old else list(growth(old, size, self._past, self.durable))

    def sync(self) -> None:
        self.durable = self.content()
        self.drop()

    def drop(self) -> None:
        """A sync failed and the kernel gave the pages up."""
        self.pending = []
        self._seen = None


Contents = dict[int, bytes]
Losses = Iterator[tuple[bytes, str]]


class Disk:
    """Files and names while a trace is followed.

    Args:
        before: contents by name, durable.
        torn: at how many places at most one write is torn (each twice: front or back lost); None:
            at each bound of 512 bytes in the file, and at odd bytes.
        mixed: mixtures by the byte at each epoch's end; an epoch ends with a sync.
        subsets: of so many unsynced changes at most every subset is left; of more each single one
            is lost, each single one is all that is left, and `chosen` subsets are taken at random.
        each: of the changes of an epoch so many at most are lost, kept, torn and mixed one by one,
            evenly spread; None: every one.
        sectors: so many mixtures of old and new 512-byte sectors inside each write, all if there
            are no more.
        stale: where the file grew there may also stand what it held before; else only zeros.
    """

    def __init__(
        self,
        before: Mapping[str, bytes] | None = None,
        *,
        torn: int | None = 12,
        mixed: int = 2,
        subsets: int = 3,
        chosen: int = 0,
        each: int | None = None,
        sectors: int = 0,
        stale: bool = False,
    ) -> None:
        self._torn = torn
        self._mixed = mixed
        self._subsets = subsets
        self._chosen = chosen
        self._each = each
        self._sectors = sectors
        self._stale = stale
        self._files: dict[int, _File] = {}
        self._names = Names()
        # A trace's file number to ours: files that were there before have numbers below 0.
        self._numbers: dict[int, int] = {}
        self._add(before or {})

    def images(self, trace: Trace) -> Iterator[Image]:
        """Every image of every prefix of the trace; equal ones may come again."""
        self._add(trace.before)
        yield Image(self.visible(), 0, "before the first call")
        for count, call in enumerate(trace.calls, 1):
            if call.kind == SYNC:
                yield from self._epoch(self._numbers[call.file], count - 1)
            self.follow(call)
            for contents, cause in self._variants(call):
                yield from self._by_name(contents, count, f"{count} {call}: {cause}")
        for number in self._files:
            yield from self._epoch(number, len(trace.calls))

    def follow(self, call: Call) -> None:
        """Makes one call."""
        if call.kind == OPEN:
            self._open(call)
        elif call.kind in CHANGES:
            self._file(call).change(call)
        elif call.kind == SYNC:
            self._file(call).sync()
        elif call.kind == FOLDER:
            self._names.sync(call.name)
        elif call.kind == RENAME:
            self._names.rename(call.name, call.target)
        elif call.kind == UNLINK:
            self._names.unlink(call.name)
        elif call.kind == MKDIR:
            self._names.mkdir(call.name)

    def visible(self) -> dict[str, bytes]:
        """What processes see now."""
        return self._named(self._whole())

    def durable(self) -> dict[str, bytes]:
        """What is left if nothing unsynced arrived (names as they are)."""
        return self._named({number: file.durable for number, file in self._files.items()})

    def unsynced(self) -> Iterator[tuple[dict[str, bytes], str]]:
        """What else the disk may hold now: single changes lost and kept (names as they are)."""
        for contents, cause in self._any_loss():
            yield self._named(contents), cause

    def drop(self) -> None:
        """Forgets what is not synced, as some file systems do after a failed sync."""
        for file in self._files.values():
            file.drop()

    # -- names ----------------------------------------------------------------------------

    def _add(self, before: Mapping[str, bytes]) -> None:
        for name, content in before.items():
            number = self._names.now.get(name, -1 - len(self._files))
            self._files[number] = _File(content)
            self._names.add(name, number)

    def _open(self, call: Call) -> None:
        if call.file in self._numbers:
            return
        if call.created:
            self._files[call.file] = _File(b"")
            self._names.create(call.name, call.file)
        self._numbers[call.file] = self._names.now[call.name]

    def _file(self, call: Call) -> _File:
        return self._files[self._numbers[call.file]]

    def _whole(self) -> Contents:
        return {number: file.content() for number, file in self._files.items()}

    def _by_name(self, contents: Contents, count: int, cause: str) -> Iterator[Image]:
        for names, which in self._names.variants():
            yield Image(self._named(contents, names), count, cause + which)

    def _named(self, contents: Contents, names: dict[str, int] | None = None) -> dict[str, bytes]:
        chosen = self._names.now if names is None else names
        return {name: contents[number] for name, number in chosen.items()}

    # -- contents -------------------------------------------------------------------------

    def _variants(self, call: Call) -> Iterator[tuple[Contents, str]]:
        whole = self._whole()
        yield whole, "all kept"
        if call.kind in (RENAME, UNLINK, FOLDER):
            yield from self._any_loss()
        if call.kind not in CHANGES:
            return
        number = self._numbers[call.file]
        file = self._files[number]
        earlier = file.pending[:-1]
        yield {**whole, number: file.kept([call])}, "all before lost"
        for size, what in self._sizes(file):
            yield {**whole, number: file.kept([size, *earlier])}, f"the last change is {what}"
        for piece, cause in torn(call, self._torn):
            yield {**whole, number: file.kept([*earlier, piece])}, cause
            yield {**whole, number: file.kept([piece])}, f"{cause}, all before lost"

    def _any_loss(self) -> Iterator[tuple[Contents, str]]:
        whole = self._whole()
        for number, file in self._files.items():
            if file.pending:
                for content, cause in self._losses(file):
                    yield {**whole, number: content}, cause

    def _sizes(self, file: _File) -> list[tuple[Call, str]]:
        return file.grown()[: None if self._stale else 1]

    def _losses(self, file: _File) -> Losses:
        """Subsets of the unsynced changes; each also with the size that the file had grown to."""
        pending = file.pending
        sizes = self._sizes(file)
        if len(pending) <= self._subsets:
            which = subsets(len(pending))
        else:
            which = self._some_subsets(len(pending))
        for kept in which:
            calls = [pending[i] for i in kept]
            lost = [i for i in range(len(pending)) if i not in set(kept)]
            cause = f"of {len(pending)} changes " + (
                f"lost {lost}" if len(lost) <= len(kept) else f"kept {list(kept)}"
            )
            yield file.kept(calls), cause
            for size, what in sizes:
                yield file.kept([size, *calls]), f"{cause}, where it grew {what}"

    def _some_subsets(self, count: int) -> Iterator[Sequence[int]]:
        yield ()
        for i in self._one_by_one(count):
            yield (i,)
            yield [*range(i), *range(i + 1, count)]
        rng = random.Random(count)
        for _ in range(self._chosen):
            yield [i for i in range(count) if rng.random() < 0.5]

    def _one_by_one(self, count: int) -> range:
        return range(0, count, 1 if self._each is None else max(1, -(-count // self._each)))

    def _epoch(self, number: int, count: int) -> Iterator[Image]:
        """The last moment before a sync: losses, older writes torn, and mixtures of all."""
        whole = self._whole()
        for content, cause in self._at_end(self._files[number], count):
            where = f"{count} before a sync: {cause}"
            yield from self._by_name({**whole, number: content}, count, where)

    def _at_end(self, file: _File, count: int) -> Losses:
        pending = file.pending
        if not pending:
            return
        yield from self._losses(file)
        for i in self._one_by_one(len(pending)):
            before, change, after = pending[:i], pending[i], pending[i + 1 :]
            for piece, cause in torn(change, 1):
                yield file.kept([*before, piece, *after]), cause
            for n, pieces in enumerate(by_sector(change, self._sectors, count + i)):
                yield file.kept([*before, *pieces, *after]), f"mixture {n} of sectors of {change}"
                yield file.kept(pieces), f"mixture {n} of sectors of {change}, all else lost"
        for i in range(self._mixed):
            rng = random.Random(count * 1000 + i)
            parts = [run for change in pending for run in mixed(change, rng)]
            yield file.kept(parts), f"mixture {i}"
