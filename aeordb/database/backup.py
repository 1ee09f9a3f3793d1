"""Backups of a database: what of it goes out, and what comes in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aeordb.backup.export import ExportReport, export
from aeordb.backup.patch import PatchReport, export_patch
from aeordb.errors import UnauthorizedError
from aeordb.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from aeordb.storage.store import Store
    from aeordb.storage.view import View

StrPath = str | os.PathLike[str]


class Exports:
    """The part of :class:`Database` that writes exports and patches."""

    _store: Store
    _jobs: int | None

    def resolve(self, version: str) -> bytes:
        """The root of a version (of the class that this is mixed into)."""
        raise NotImplementedError

    def is_root_key(self, text: str) -> bool:
        """Whether the text is this database's root key (of that class too)."""
        raise NotImplementedError

    def export(
        self,
        output: StrPath,
        version: str = "HEAD",
        *,
        root_key: str | None = None,
        uncompressed: bool = False,
        dry_run: bool = False,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> ExportReport:
        """Writes a version to a new file: a database of its own, with nothing else in it.

        Args:
            output: must not be there; missing parent folders are made.
            root_key: this database's root key adds all snapshots and the system data, never a
                credential or a signing key.
            uncompressed: stores every chunk raw, for AeorDB 0.9's import.
            dry_run: counts, and writes nothing.
            jobs: threads; the file does not depend on it.

        Raises ExistsError, NotFoundError, DamagedError with the path that is hit, NotDurableError,
        UnauthorizedError (a wrong root key). On any error nothing is left of the output.
        """
        if root_key is not None and not self.is_root_key(root_key):
            raise UnauthorizedError("the root key is not one of this database")
        with self._walking() as view:
            return export(
                view,
                os.fspath(output),
                self.resolve(version),
                privileged=root_key is not None,
                uncompressed=uncompressed,
                dry_run=dry_run,
                jobs=jobs or self._jobs,
                progress=progress,
            )

    def export_patch(
        self,
        output: StrPath,
        base: str,
        target: str = "HEAD",
        *,
        uncompressed: bool = False,
        dry_run: bool = False,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> PatchReport:
        """Writes what leads from one version to another to a new file, which :meth:`import_` takes.

        The versions may be any two, in either order; where they are the same, nothing is written
        and the report's `output` is None. Costs what differs. Arguments and errors as in
        :meth:`export`.
        """
        with self._walking() as view:
            return export_patch(
                view,
                os.fspath(output),
                self.resolve(base),
                self.resolve(target),
                uncompressed=uncompressed,
                dry_run=dry_run,
                jobs=jobs or self._jobs,
                progress=progress,
            )

    @contextmanager
    def _walking(self) -> Iterator[View]:
        """A view of its own: its walk must not end with that of another thread."""
        view = self._store.view()
        try:
            yield view
        finally:
            view.close()
