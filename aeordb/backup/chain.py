"""Backups put in the order in which each leads to the next (engine: import)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aeordb.backup.source import Source
from aeordb.errors import BaseMismatchError, NotADatabaseError, UsageError, quote

StrPath = str | os.PathLike[str]
_SUFFIX = ".aeordb"


def backup_paths(files: StrPath | Sequence[StrPath]) -> list[str]:
    """The backups that are meant: files as they are, of a folder those in it, by name.

    Raises NotADatabaseError for a folder without any.
    """
    if isinstance(files, (str, os.PathLike)):
        files = [files]
    paths: list[str] = []
    for name in files:
        file = os.fspath(name)
        if not os.path.isdir(file):
            paths.append(file)
            continue
        found = [entry for entry in sorted(os.listdir(file)) if entry.endswith(_SUFFIX)]
        if not found:
            raise NotADatabaseError(path=file, reason=f"the folder holds no {_SUFFIX} file")
        paths += [os.path.join(file, entry) for entry in found]
    if not paths:
        raise UsageError("no backup to import", hint="Name a file or a folder.")
    return list(dict.fromkeys(paths))


def put_in_order(
    sources: Sequence[Source], head: bytes, *, force: bool = False
) -> tuple[list[Source], list[str]]:
    """The backups from the first to the last of their chain, and what was passed over.

    A chain begins with an export, or with a patch of `head`. An order that fits stays as it is;
    with `force` any does that is none. Raises UsageError where the files lead to several versions,
    BaseMismatchError that names the missing link.
    """
    if len(sources) == 1 or _fits(sources, head):
        return list(sources), []
    try:
        return _chain(sources, head)
    except (UsageError, BaseMismatchError):
        if force:
            return list(sources), []
        raise


def _chain(sources: Sequence[Source], head: bytes) -> tuple[list[Source], list[str]]:
    """The way back from the last version to an export, or to a patch of `head`."""
    last = _last(sources, head)
    chain = [last]
    used = {id(last)}
    while (base := chain[-1].base) is not None and base != head:
        before = _leading_to(base, sources, used)
        if before is None:
            break
        chain.append(before)
        used.add(id(before))
    chain.reverse()
    if chain[0].base is not None and chain[0].base != head:
        raise _missing_link(chain[0], head)
    unused = [source for source in sources if id(source) not in used]
    return chain, [f"{quote(source.path)} is not needed for this version" for source in unused]


def _fits(sources: Sequence[Source], head: bytes) -> bool:
    """Whether each patch starts from the version before it."""
    for source in sources:
        if source.base is not None and source.base != head:
            return False
        head = source.version
    return True


def _last(sources: Sequence[Source], head: bytes) -> Source:
    """The one that leads to a version from which none of the others starts."""
    bases = {source.base for source in sources}
    ends = {source.version: source for source in sources if source.version not in bases}
    if len(ends) == 1:
        version = next(iter(ends))
        # The shortest way: an export rather than a patch to the same version.
        return min(
            (source for source in sources if source.version == version),
            key=lambda source: source.base is not None,
        )
    if not ends:
        raise UsageError("the patches go round in a circle", hint="Import them one by one.")
    versions = {head, *(source.version for source in sources)}
    for source in sources:
        if source.base is not None and source.base not in versions:
            raise _missing_link(source, head)
    names = ", ".join(quote(os.path.basename(source.path)) for source in list(ends.values())[:5])
    raise UsageError(
        f"these files lead to {len(ends)} different versions: {names}",
        hint="Import one of them.",
    )


def _leading_to(version: bytes, sources: Sequence[Source], used: set[int]) -> Source | None:
    found = [s for s in sources if s.version == version and id(s) not in used]
    return min(found, key=lambda source: source.base is not None, default=None)


def _missing_link(first: Source, head: bytes) -> BaseMismatchError:
    assert first.base is not None
    return BaseMismatchError(
        f"A link of the chain is missing: {quote(os.path.basename(first.path))} starts from "
        f"version {first.base.hex()}, which no other file leads to and which is not HEAD "
        f"({head.hex()}).",
        head=head,
        base=first.base,
        hint="Add the backup that leads to it.",
    )
