"""What comes into a database: exports, patches, chains of them, and promotion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from aeordb.backup.chain import backup_paths, put_in_order
from aeordb.backup.importer import ImportReport, check_version, import_files
from aeordb.backup.source import Source
from aeordb.errors import UnauthorizedError
from aeordb.progress import NO_PROGRESS, Progress
from aeordb.versions.imported import forget_imported

if TYPE_CHECKING:
    from aeordb.database.transaction import Transaction
    from aeordb.storage.store import Store
    from aeordb.storage.view import View

StrPath = str | os.PathLike[str]


class Imports:
    """The part of :class:`Database` that imports and promotes."""

    _store: Store
    _jobs: int | None
    _view: View | None

    @property
    def head(self) -> bytes:
        """The root of the current version (of the class that this is mixed into)."""
        raise NotImplementedError

    def resolve(self, version: str) -> bytes:
        """The root of a version (of that class too)."""
        raise NotImplementedError

    def is_root_key(self, text: str) -> bool:
        """Whether the text is this database's root key (of that class too)."""
        raise NotImplementedError

    def transaction(self) -> Transaction:
        """A transaction (of that class too)."""
        raise NotImplementedError

    def import_(
        self,
        files: StrPath | Sequence[StrPath],
        *,
        promote: bool = False,
        force: bool = False,
        root_key: str | None = None,
        salvage: bool = False,
        dry_run: bool = False,
        jobs: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> ImportReport:
        """Imports an export, a patch, or a chain of them, in one commit; nothing is trusted.

        Args:
            files: a backup, several, or a folder of them; they are put in order by the versions
                that they start from and lead to.
            promote: the (last) version becomes HEAD; else a snapshot keeps it.
            force: a patch need not start from HEAD; its version must be complete all the same.
            root_key: this database's root key lets system data in.
            salvage: rebuilds folders whose nodes a backup lacks; the report names them.
            dry_run: checks the trees and says what would be done; writes nothing.
            jobs: threads.

        Raises NotADatabaseError, DamagedError (also for what is missing), BaseMismatchError,
        UnauthorizedError (a wrong root key), NotDurableError; the database is as it was then.
        """
        if root_key is not None and not self.is_root_key(root_key):
            raise UnauthorizedError("the root key is not one of this database")
        with ExitStack() as stack:
            sources = [stack.enter_context(Source(path)) for path in backup_paths(files)]
            chain, notes = put_in_order(sources, self.head, force=force)
            self._view = None
            report = import_files(
                self._store,
                chain,
                promote_head=promote,
                force=force,
                root_key=root_key is not None,
                salvage=salvage,
                dry_run=dry_run,
                jobs=jobs or self._jobs,
                progress=progress,
            )
            return replace(report, warnings=(*notes, *report.warnings))

    def promote(self, version: str, *, dry_run: bool = False) -> bytes:
        """Makes a version the current one, once its whole tree is known to be there; its root.

        `dry_run`: looks whether it is there, and changes nothing. The automatic snapshot that kept
        it since its import goes. Raises NotFoundError, DamagedError.
        """
        self._view = None
        with self._store.mutex:
            root = self.resolve(version)
            check_version(self._store, root)
            if dry_run:
                return root
            self._view = None
            with self.transaction() as tx:
                tx.promote(root)
                forget_imported(tx.writer, root)
        return root
