"""Path keys made anew, for what HEAD and the system folders say (FORMAT.md 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from aeordb.backup.mark import mark
from aeordb.backup.sink import Sink
from aeordb.format import constants as c
from aeordb.format.hottail import decode_tail_records, pack_tail_records
from aeordb.format.keys import directory_path_key, file_path_key, symlink_path_key
from aeordb.maintenance.repair_entries import Made
from aeordb.maintenance.repair_stock import Stock
from aeordb.native.carry import Image, Plan
from aeordb.native.walk import PLACE, Marks, list_places
from aeordb.tree.walk import walk

_WINDOW = 4 << 20
# A version may hold one folder in many places, but not so that its paths are without number.
_PLACES_MAX = 1 << 24
_PLACES_PER_ENTRY = 1000


def put_head_places(sink: Sink, stock: Stock, head: bytes, jobs: int) -> None:
    """Adds the path keys of a complete version; nothing may be read of the stock after this.

    Each has the time of the entry that it stands for. Raises WalkFault.
    """
    index = stock.index
    found = Marks(index)
    mark(index, head, found, jobs=jobs)
    records = Marks(index)
    records.add_kinds(index, (c.KV_FILE, c.KV_SYMLINK))
    records.keep(found)
    plan = Plan(index, records, paths=records)
    at = 0
    image = Image()
    while at < plan.count:
        window = plan.window(at, _WINDOW)
        at = window.end
        plan.carry(window, image)
        _write_places(sink, image)

    limit = _PLACES_MAX + _PLACES_PER_ENTRY * plan.count
    for batch in list_places(index, head, limit=limit):
        for start in range(0, len(batch), PLACE):
            key, directory = batch[start : start + 32], batch[start + 32 : start + 64]
            time = int.from_bytes(batch[start + 64 : start + PLACE], "little", signed=True)
            stock.add(Made(c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, 0, key, directory, time))
    stock.flush()


def _write_places(sink: Sink, image: Image) -> None:
    """Of each pair in the image, a record and its path key, the path key alone."""
    data = image.data()
    places = list(decode_tail_records(image.index_records()))[1::2]
    parts = [data[place.offset : place.offset + place.length] for place in places]
    offsets, at = [], 0
    for place in places:
        offsets.append(at)
        at += place.length
    records = pack_tail_records(
        [place.key for place in places],
        [place.kv for place in places],
        offsets,
        [place.length for place in places],
    )
    sink.write(b"".join(parts), records, image.latest)


def put_system_places(stock: Stock, roots: Mapping[str, bytes]) -> None:
    """Adds the path keys of the system folders: `roots` by their paths, and all below them."""
    links = dict(roots)
    for path, root in roots.items():
        for below, child in walk(stock, root, hidden=True):
            place = path + below
            if child.kind == c.KIND_DIRECTORY:
                links.setdefault(place, child.hash)
                continue
            is_file = child.kind == c.KIND_FILE
            entry = stock.read_as(child.hash, c.ENTRY_FILE if is_file else c.ENTRY_SYMLINK)
            key = file_path_key(place) if is_file else symlink_path_key(place)
            if not stock.has_many([key])[0]:
                layout = entry.version, entry.flags, 0
                stock.add(Made(entry.type, *layout, key, entry.value, entry.time))
    for place, root in links.items():
        entry = stock.read_as(root, c.ENTRY_DIRECTORY)
        key = directory_path_key(place)
        stock.add(Made(c.ENTRY_DIRECTORY, c.VALUE_VERSION, 0, 0, key, root, entry.time))
