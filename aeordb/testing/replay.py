"""What a power cut can leave of a recorded trace.

The fault model (a file's bytes): after a cut every byte that was being written is old or new, bytes
that were not written are as they were, a sync that says OK is true. A file's size is a change like
any other; where it grew and the bytes did not arrive there are zeros. Names are independent of
contents and of each other until their folder is synced.

`Disk` follows a trace; after each call `images` gives the files that could be found if the power
went there: everything written so far, the last write torn at several places, every unsynced change
dropped, each single one lost, each single one survived, a few mixtures by the byte, and sizes
without content. "Unsynced" means since the last sync of that file.
"""

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aeordb.native.hashing import blake3
from aeordb.testing.recording import (
    CHANGES,
    FOLDER,
    OPEN,
    PUNCH,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    Call,
)

SECTOR = 512
# With more unsynced changes, each single one is lost and survives only at the epoch's end.
_MANY = 8
# A byte mixture changes sides after runs of at most so many bytes.
_RUN = 700


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
        return sum(1 for x in self.acked if x <= count), bisect_left(self.begun, count)


@dataclass(frozen=True)
class Image:
    """Contents by name after a cut behind `count` calls; `cause` says what the cut did."""

    files: dict[str, bytes]
    count: int
    cause: str

    def digest(self) -> bytes:
        names = sorted(self.files)
        return blake3(b"".join(blake3(name.encode()) + blake3(self.files[name]) for name in names))


def apply(content: bytearray, call: Call) -> None:
    """Makes one change to a file's content."""
    if call.kind == TRUNCATE:
        if call.length < len(content):
            del content[call.length :]
        else:
            content.extend(bytes(call.length - len(content)))
        return
    data = call.data if call.kind == WRITE else bytes(call.length)
    end = call.end
    if call.kind == PUNCH:
        end = min(end, len(content))
        data = data[: max(0, end - call.offset)]
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[call.offset : call.offset + len(data)] = data


@dataclass
class _File:
    durable: bytes
    pending: list[Call] = field(default_factory=list)
    _seen: bytes | None = None

    def change(self, call: Call) -> None:
        content = bytearray(self.content())
        apply(content, call)
        self.pending.append(call)
        self._seen = bytes(content)

    def content(self) -> bytes:
        """What a process sees: all changes."""
        return self.durable if self._seen is None else self._seen

    def kept(self, calls: Iterable[Call]) -> bytes:
        """The durable content with only these of the pending changes."""
        content = bytearray(self.durable)
        for call in calls:
            apply(content, call)
        return bytes(content)

    def sync(self) -> None:
        self.durable = self.content()
        self.pending = []
        self._seen = None

    def drop(self) -> None:
        """A sync failed and the kernel gave the pages up."""
        self.pending = []
        self._seen = None


class Disk:
    """Files and names while a trace is followed.

    Args:
        before: contents by name, durable.
        torn: at how many places at most one write is torn (each twice: front or back lost).
        mixed: mixtures by the byte at each epoch's end.
    """

    def __init__(self, before: dict[str, bytes], *, torn: int = 12, mixed: int = 2) -> None:
        self._torn = torn
        self._mixed = mixed
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._name_changes: list[dict[str, int]] = []
        self._contents = dict(before)

    def images(self, trace: Trace) -> Iterator[Image]:
        """Every image of every prefix of the trace; equal ones may come again."""
        for name, content in trace.before.items():
            self._contents[name] = content
        yield Image(dict(self._contents), 0, "before the first call")
        for count, call in enumerate(trace.calls, 1):
            if call.kind == SYNC:
                yield from self._at_sync(call, count - 1)
            self.follow(call)
            for files, cause in self._variants(call):
                for image, named in self._by_name(files):
                    yield Image(image, count, f"{count} {call}: {cause}{named}")

    def follow(self, call: Call) -> None:
        """Makes one call."""
        if call.kind == OPEN:
            self._open(call)
        elif call.kind in CHANGES:
            self._files[call.file].change(call)
        elif call.kind == SYNC:
            self._files[call.file].sync()
        elif call.kind == FOLDER:
            self._name_changes = []
        elif call.kind in (RENAME, UNLINK):
            self._rename(call)

    def visible(self) -> dict[str, bytes]:
        """What processes see now."""
        return self._named(self._names, {n: f.content() for n, f in self._files.items()})

    def durable(self) -> dict[str, bytes]:
        """What is left if nothing unsynced arrived (names as they are)."""
        return self._named(self._names, {n: f.durable for n, f in self._files.items()})

    def unsynced(self) -> Iterator[tuple[dict[str, bytes], str]]:
        """What else the disk may hold now: single changes lost and kept (names as they are)."""
        whole = {number: file.content() for number, file in self._files.items()}
        for number, file in self._files.items():
            for content, cause in self._losses(file):
                yield self._named(self._names, {**whole, number: content}), cause

    def drop(self) -> None:
        """Forgets what is not synced, as some file systems do after a failed sync."""
        for file in self._files.values():
            file.drop()

    # -- names ----------------------------------------------------------------------------

    def _open(self, call: Call) -> None:
        if call.file in self._files:
            return
        if call.created:
            self._name_changes.append(dict(self._names))
            self._files[call.file] = _File(b"")
        else:
            self._files[call.file] = _File(self._contents.pop(call.name))
        self._names[call.name] = call.file

    def _rename(self, call: Call) -> None:
        self._name_changes.append(dict(self._names))
        if call.name not in self._names:
            self._contents.pop(call.name, None)
            return
        number = self._names.pop(call.name)
        if call.kind == RENAME:
            self._names[call.target] = number

    def _by_name(self, files: dict[int, bytes]) -> Iterator[tuple[dict[str, bytes], str]]:
        yield self._named(self._names, files), ""
        for i, names in enumerate(self._name_changes):
            yield self._named(names, files), f", names as before change {i}"

    def _named(self, names: dict[str, int], files: dict[int, bytes]) -> dict[str, bytes]:
        return {**self._contents, **{name: files[number] for name, number in names.items()}}

    # -- contents -------------------------------------------------------------------------

    def _variants(self, call: Call) -> Iterator[tuple[dict[int, bytes], str]]:
        whole = {number: file.content() for number, file in self._files.items()}
        yield whole, "all kept"
        if call.kind not in CHANGES:
            return
        file = self._files[call.file]
        earlier = file.pending[:-1]
        many = len(file.pending) > _MANY
        for content, cause in self._losses(file, -2 if many else 0):
            yield {**whole, call.file: content}, cause
        for piece, cause in torn(call, self._torn):
            yield {**whole, call.file: file.kept([*earlier, piece])}, cause
            yield {**whole, call.file: file.kept([piece])}, f"{cause}, all before lost"

    def _losses(self, file: _File, first: int = 0) -> Iterator[tuple[bytes, str]]:
        """Everything lost; then each change from `first` on alone lost, and alone kept."""
        pending = file.pending
        yield file.durable, "all lost"
        for i in range(len(pending))[first:]:
            call = pending[i]
            yield file.kept(pending[:i] + pending[i + 1 :]), f"lost {call}"
            yield file.kept([call]), f"only {call}"
        grown = [Call(TRUNCATE, length=call.end) for call in pending if call.kind != PUNCH]
        if grown:
            largest = max(grown, key=lambda call: call.length)
            if largest.length > len(file.durable):
                yield file.kept([largest]), "only the size"

    def _at_sync(self, call: Call, count: int) -> Iterator[Image]:
        """The last moment of an epoch: older writes torn, and mixtures of all."""
        file = self._files[call.file]
        whole = {number: other.content() for number, other in self._files.items()}
        for i, change in enumerate(file.pending[:-1]):
            for piece, cause in torn(change, 1):
                calls = [*file.pending[:i], piece, *file.pending[i + 1 :]]
                files = self._named(self._names, {**whole, call.file: file.kept(calls)})
                yield Image(files, count, f"{count} before a sync: {cause}")
        if not file.pending:
            return
        if len(file.pending) > _MANY:
            for content, cause in self._losses(file):
                files = self._named(self._names, {**whole, call.file: content})
                yield Image(files, count, f"{count} before a sync: {cause}")
        for i in range(self._mixed):
            rng = random.Random(count * 1000 + i)
            parts = [run for change in file.pending for run in mixed(change, rng)]
            files = self._named(self._names, {**whole, call.file: file.kept(parts)})
            yield Image(files, count, f"{count} before a sync: mixture {i}")


def torn(call: Call, places: int) -> Iterator[tuple[Call, str]]:
    """A change of which only the front, or only the back, arrived."""
    if call.kind == TRUNCATE:
        return
    for cut in cuts(call, places):
        for start, end in ((0, cut), (cut, call.length)):
            yield part(call, start, end), f"of {call} only {start}..{end}"


def mixed(call: Call, rng: random.Random) -> Iterator[Call]:
    """Runs of a change's bytes, some there, some not; a truncation all or not at all."""
    if call.kind == TRUNCATE:
        if rng.random() < 0.5:
            yield call
        return
    start = 0
    while start < call.length:
        end = min(call.length, start + rng.randint(1, _RUN if call.length < 1 << 16 else 1 << 16))
        if rng.random() < 0.5:
            yield part(call, start, end)
        start = end


def cuts(call: Call, places: int) -> list[int]:
    """Where a write is torn: at sector bounds of the file, and at odd bytes between."""
    first = call.offset // SECTOR + 1
    bounds = [n * SECTOR - call.offset for n in range(first, (call.end - 1) // SECTOR + 1)]
    odd = [1, call.length // 3 | 1, call.length // 2, call.length - 1]
    odd += [18, 63, call.length - 18]
    room = max(1, places - len(odd))
    step = -(-len(bounds) // room) if bounds else 1
    if places == 1:
        return [call.length // 2] if call.length > 1 else []
    return sorted({cut for cut in (*bounds[::step], *odd) if 0 < cut < call.length})


def part(call: Call, start: int, end: int) -> Call:
    """The same write or punch of only some of its bytes."""
    data = call.data[start:end] if call.kind == WRITE else b""
    return Call(call.kind, call.file, call.offset + start, end - start, data)
