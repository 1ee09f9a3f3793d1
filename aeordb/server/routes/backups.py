"""Exports and patches out, imports in, and promotion; what is named lies in the backup folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from aeordb.database.plain import plain
from aeordb.server.auth import Identity, root_key
from aeordb.server.backupdir import BackupDir
from aeordb.server.errors import BusyError
from aeordb.server.openapi import fails
from aeordb.server.paths import version_of
from aeordb.server.routes.models import Imported, Promoted
from aeordb.server.streams import Stream, WholeFile
from aeordb.server.uploads import Body, Model, json_body, receive, such_as, takes

if TYPE_CHECKING:
    from aeordb import Database, ExportReport, ImportReport, PatchReport
    from aeordb.server.threads import Threads

router = APIRouter(prefix="/versions", tags=["backups"])

RootKey = Annotated[Identity, Depends(root_key)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILE_TYPE = "application/octet-stream"

BackupName = Annotated[str, such_as("backup.aeordb", pattern=r"^[^./\\][^/\\]*$")]
SnapshotName = Annotated[str, such_as("v1")]
VersionName = Annotated[str, such_as("HEAD", "v1", "0123456789abcdef")]


class Export(Model):
    """What to export, and the new file's name in the backup folder; without it, the answer is the
    file."""

    output: BackupName | None = None
    snapshot: SnapshotName | None = None
    hash: VersionName | None = None
    uncompressed: bool = False


class Diff(Model):
    """Two versions, and the new file's name in the backup folder; without it, the answer is the
    file."""

    output: BackupName | None = None
    from_: VersionName = Field(alias="from")
    to: VersionName = "HEAD"
    uncompressed: bool = False


class Import(Model):
    """A backup in the backup folder, and what to do with it."""

    file: BackupName
    promote: bool = False
    force: bool = False
    salvage: bool = False
    dry_run: bool = False


class Promote(Model):
    """A version to become HEAD."""

    hash: VersionName


@router.post(
    "/export",
    response_model=None,
    responses={
        200: {
            "description": "What was exported, or without `output` the export itself.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Exported"}},
                _FILE_TYPE: _BINARY,
            },
        },
        **fails(404, 409, 507),
    },
    openapi_extra=takes(Export),
)
async def export(request: Request, _key: RootKey) -> Response:
    """Writes a version (HEAD, unless `snapshot` or `hash`) to a file of its own."""
    wanted = await json_body(request, Export)
    database: Database = request.app.state.database
    progress = request.app.state.threads.progress

    def write(path: str) -> ExportReport:
        version = version_of(database, wanted.snapshot, wanted.hash)
        return database.export(path, version, uncompressed=wanted.uncompressed, progress=progress)

    return await _write(request, wanted.output, write, _export_fields)


@router.post(
    "/diff",
    response_model=None,
    responses={
        200: {
            "description": "What the patch holds, or without `output` the patch itself.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Patched"}},
                _FILE_TYPE: _BINARY,
            },
        },
        **fails(404, 409, 507),
    },
    openapi_extra=takes(Diff),
)
async def diff(request: Request, _key: RootKey) -> Response:
    """Writes what leads from one version to another to a file of its own.

    Where they are the same no file is made, and the answer is JSON in any case.
    """
    wanted = await json_body(request, Diff)
    database: Database = request.app.state.database
    progress = request.app.state.threads.progress

    def write(path: str) -> PatchReport:
        base, target = (version_of(database, None, name) for name in (wanted.from_, wanted.to))
        return database.export_patch(
            path, base, target, uncompressed=wanted.uncompressed, progress=progress
        )

    return await _write(request, wanted.output, write, _patch_fields)


@router.post(
    "/import",
    responses={200: {"model": Imported}, **fails(404, 409, 422, 507)},
    openapi_extra=takes(Import, or_file=True),
)
async def import_backup(
    request: Request,
    _key: RootKey,
    promote: Annotated[bool, Query(description="For a backup in the body.")] = False,
    force: Annotated[bool, Query(description="For a backup in the body.")] = False,
    salvage: Annotated[bool, Query(description="For a backup in the body.")] = False,
    dry_run: Annotated[bool, Query(description="For a backup in the body.")] = False,
) -> Response:
    """Applies an export or a patch: one in the backup folder, or the body itself.

    System data in it is left out. Without `promote` HEAD stays, and a snapshot keeps the version.
    """
    state = request.app.state
    folder = BackupDir(state.settings)
    database: Database = state.database
    threads: Threads = state.threads
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FILE_TYPE:
        async with receive(request, await threads.run(folder.make)) as body:
            await threads.run(_to_disk, body, folder)
            body.share()

            def take() -> ImportReport:
                try:
                    assert body.file is not None
                    with folder.errors("the body"):
                        return database.import_(
                            folder.path_of(body.file.fileno()),
                            promote=promote,
                            force=force,
                            salvage=salvage,
                            dry_run=dry_run,
                            progress=threads.progress,
                        )
                finally:
                    body.close()

            try:
                report = await threads.run_long(take)
            except BusyError:
                body.close()
                raise
    else:
        wanted = await json_body(request, Import)

        def read() -> ImportReport:
            with folder.open(wanted.file) as path, folder.errors(wanted.file):
                return database.import_(
                    path,
                    promote=wanted.promote,
                    force=wanted.force,
                    salvage=wanted.salvage,
                    dry_run=wanted.dry_run,
                    progress=threads.progress,
                )

        report = await threads.run_long(read)
    return JSONResponse(_import_fields(report))


@router.post(
    "/promote",
    responses={200: {"model": Promoted}, **fails(404, 507)},
    openapi_extra=takes(Promote),
)
async def promote(request: Request, _key: RootKey) -> JSONResponse:
    """Makes a version the current one, once its whole tree is known to be there."""
    wanted = await json_body(request, Promote)
    database: Database = request.app.state.database

    def run() -> dict[str, Any]:
        before = database.head
        root = database.promote(version_of(database, None, wanted.hash))
        return {"version": root, "previous": before, "promoted": root != before}

    return JSONResponse(plain(await request.app.state.threads.run_long(run)))


async def _write(
    request: Request,
    output: str | None,
    write: Callable[[str], Any],
    fields: Callable[[Any, str | None], dict[str, Any]],
) -> Response:
    """Has a backup written: under its name, or to be sent and forgotten."""
    state = request.app.state
    folder = BackupDir(state.settings)
    threads: Threads = state.threads
    if output is not None:
        path = folder.new(output)

        def keep() -> Any:
            with folder.errors(output, path), folder.claim(path):
                return write(path)

        return JSONResponse(fields(await threads.run_long(keep), output))

    def make() -> tuple[Any, int]:
        with folder.errors("the export"):
            return folder.write_unnamed(write)

    report, fd = await threads.run_long(make)
    if fd < 0:
        return JSONResponse(fields(report, None))
    version = report.version if hasattr(report, "version") else report.to
    headers = {
        "Content-Type": _FILE_TYPE,
        "Content-Disposition": 'attachment; filename="backup.aeordb"',
        "X-Aeordb-Version": version.hex(),
    }
    length = os.fstat(fd).st_size
    file = os.fdopen(fd, "rb", buffering=0)
    source = WholeFile(file)
    return Stream(threads, state.memory, source, length, close=file.close, headers=headers)


def _to_disk(body: Body, folder: BackupDir) -> None:
    if body.file is None:
        body.file = folder.new_file()
        body.file.write(body.data)


def _export_fields(report: ExportReport, output: str | None) -> dict[str, Any]:
    names = ("version", "files", "chunks", "directories", "bytes")
    fields = {name: plain(getattr(report, name)) for name in names}
    return {**fields, "output": output}


def _patch_fields(report: PatchReport, output: str | None) -> dict[str, Any]:
    names = ("files_added", "files_modified", "files_deleted", "chunks", "directories", "bytes")
    fields = {name: getattr(report, name) for name in names}
    made = output if report.output is not None else None
    return {"from": report.from_.hex(), "to": report.to.hex(), **fields, "output": made}


def _import_fields(report: ImportReport) -> dict[str, Any]:
    fields: dict[str, Any] = plain(report)
    fields["rebuilt"] = [{"path": path, "entries": count} for path, count in report.rebuilt]
    return fields
