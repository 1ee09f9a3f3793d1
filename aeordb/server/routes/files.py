"""Files: put, read in whole or in part, deleted; folders listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from aeordb.errors import NotFoundError
from aeordb.server.auth import Identity, any_key
from aeordb.server.errors import HTTPError
from aeordb.server.openapi import fails
from aeordb.server.paths import file_path, view_of
from aeordb.server.routes.models import Deleted, Entry
from aeordb.server.streams import BLOCK, Stream
from aeordb.server.uploads import Body, receive
from aeordb.tree.file_blocks import FileBlocks
from aeordb.tree.paths import TreePath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aeordb import Progress, Stat, Transaction

router = APIRouter(tags=["files"])

# Up to this length a file is read in one go, and in memory for the time of its answer.
_SMALL: Final = BLOCK
_FIELDS: Final = tuple(Entry.model_fields)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAIN_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:;[\x20-\x7e]*)?")
# What clients send without being asked: it says nothing of the file.
_NO_TYPES: Final = ("", "application/x-www-form-urlencoded")

Snapshot = Annotated[str | None, Query(description="Read this snapshot instead of HEAD.")]
Version = Annotated[
    str | None,
    Query(description="Read this version: a snapshot, a fork, or a hash or its first 8 digits."),
]
Key = Annotated[Identity, Depends(any_key)]
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_PUT_BODY: Final[dict[str, Any]] = {"requestBody": {"content": {"*/*": _BINARY}}}
_HEADERS: Final[dict[str, Any]] = {
    "description": "What there is to be read.",
    "content": {"*/*": _BINARY},
}
_READ: Final = fails(404, 416)
_READ[304] = {"description": "Not changed since the ETag that was sent."}
_READ[206] = {"description": "A part of a file.", "content": {"*/*": _BINARY}}


@dataclass(frozen=True, slots=True)
class _Found:
    """A file to be sent: bytes `first` to `last` of it, in `data` if they are few."""

    stat: Stat
    first: int
    last: int
    whole: bool
    data: bytes | None = None
    blocks: FileBlocks | None = None


@router.put(
    "/files/{path:path}",
    responses={
        200: {"model": Entry, "description": "The file is there in place of another."},
        201: {"model": Entry, "description": "The file is there."},
        **fails(404, 409, 412, 507),
    },
    openapi_extra=_PUT_BODY,
)
async def put_file(path: str, request: Request, _key: Key) -> Response:
    """Stores the body as a file, durably, once this answers.

    Missing parent folders are made. `If-None-Match: *` wants no file there, `If-Match` the one
    with this ETag.
    """
    place = file_path(request, file=True)
    state = request.app.state
    async with receive(request, state.disk) as body:
        operation = _Put(place, body, request.headers, state.threads.progress)
        if body.file is None:
            stat = await state.batches.run(operation)
        else:
            body.share()
            stat = await state.batches.run_alone(operation, body.close)
    headers = {"ETag": f'"{stat.hash}"'}
    return JSONResponse(_entry(stat), 201 if operation.created else 200, headers)


class _Put:
    """The change that a PUT makes."""

    def __init__(
        self, path: TreePath, body: Body, headers: Mapping[str, str], progress: Progress
    ) -> None:
        self.path = path
        self.body = body
        self.created = False
        self._progress = progress
        self._absent = headers.get("if-none-match") == "*"
        self._match = headers.get("if-match")
        given = headers.get("content-type", "")
        self._type = None if given in _NO_TYPES or not _PLAIN_TYPE.fullmatch(given) else given

    def __call__(self, tx: Transaction) -> Stat:
        self.created = not tx.exists(self.path)
        if self._absent and not self.created:
            raise HTTPError(412, "there is a file at this path already")
        if self._match is not None and (
            self.created
            or (self._match != "*" and not _listed(self._match, tx.stat(self.path).hash))
        ):
            raise HTTPError(412, "the file at this path is another one")
        if self.body.file is None:
            return tx.put(self.path, bytes(self.body.data), content_type=self._type)
        return tx.put(self.path, self.body.file, content_type=self._type, progress=self._progress)


@router.get(
    "/files/{path:path}",
    response_model=None,
    responses={
        200: {
            "description": "A file's content, or a folder's children.",
            "content": {
                "*/*": _BINARY,
                # A file of this type may hold anything.
                "application/json": {
                    "schema": {"anyOf": [{"$ref": "#/components/schemas/Listing"}, {}]}
                },
            },
        },
        **_READ,
    },
)
async def get_file(
    path: str,
    request: Request,
    _key: Key,
    snapshot: Snapshot = None,
    version: Version = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    offset: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    all: Annotated[  # noqa: A002
        bool, Query(description="List names that begin with `.aeordb-` too.")
    ] = False,
) -> Response:
    """Reads a file, or lists a folder. Symlinks are followed.

    `Range` asks for one part of a file, `If-None-Match` for a file that has changed. A listing has
    at most `limit` children, from number `offset` on.
    """
    found = await _look_up(request, snapshot, version, (offset, limit, all), read=True)
    if isinstance(found, Response):
        return found
    headers = _headers(found)
    status = 200 if found.whole else 206
    if found.blocks is None:
        return Response(found.data, status, headers)
    state = request.app.state
    length = found.last - found.first + 1
    return Stream(state.threads, state.memory, found.blocks, length, status=status, headers=headers)


@router.head("/files/{path:path}", response_model=None, responses={200: _HEADERS, **_READ})
async def head_file(
    path: str,
    request: Request,
    _key: Key,
    snapshot: Snapshot = None,
    version: Version = None,
) -> Response:
    """What GET answers, without the content."""
    found = await _look_up(request, snapshot, version, (0, 1_000, False), read=False)
    if isinstance(found, Response):
        return found
    headers = {**_headers(found), "content-length": str(found.last - found.first + 1)}
    return Response(None, 200 if found.whole else 206, headers)


@router.delete("/files/{path:path}", responses={200: {"model": Deleted}, **fails(404, 507)})
async def delete_file(
    path: str, request: Request, _key: Key, recursive: bool = False
) -> JSONResponse:
    """Deletes a file, a symlink, or a folder; one that is not empty only with `recursive`."""
    place = file_path(request)
    batches = request.app.state.batches

    def delete(tx: Transaction) -> int:
        return tx.delete(place, recursive=recursive)

    count = await (batches.run_alone(delete) if recursive else batches.run(delete))
    return JSONResponse({"path": place, "deleted": count})


@router.get("/files", include_in_schema=False)
async def list_root(
    request: Request,
    key: Key,
    snapshot: Snapshot = None,
    version: Version = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    offset: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    all: bool = False,  # noqa: A002
) -> Response:
    """The root's children."""
    return await get_file("", request, key, snapshot, version, limit, offset, all)


async def _look_up(
    request: Request,
    snapshot: str | None,
    version: str | None,
    page: tuple[int, int, bool],
    *,
    read: bool,
) -> _Found | Response:
    """What stands at the path; a folder as the answer with its listing."""
    place = file_path(request)
    headers = request.headers
    database = request.app.state.database

    def look() -> _Found | Response:
        view = view_of(database, snapshot, version)
        stat = view.follow(place)
        if stat.kind == "folder":
            offset, limit, hidden = page
            listed = view.list(stat.path, hidden=hidden, offset=offset, limit=limit + 1)
            items = [_entry(item) for item in listed]
            more = offset + limit if len(items) > limit else None
            return JSONResponse({"items": items[:limit], "next": more})
        if request.url.path.endswith("/"):
            raise NotFoundError(what="folder", name=place)
        if stat.hash is not None and _listed(headers.get("if-none-match", ""), stat.hash):
            return Response(None, 304, {"ETag": f'"{stat.hash}"'})
        first, last, whole = _part(headers, stat)
        if not read:
            return _Found(stat, first, last, whole)
        if last - first >= _SMALL:
            blocks = view.blocks(stat.path, first, last - first + 1)
            return _Found(stat, first, last, whole, blocks=blocks)
        with view.open(stat.path) as file:
            file.seek(first)
            return _Found(stat, first, last, whole, file.read(last - first + 1))

    found: _Found | Response = await request.app.state.threads.run(look)
    return found


def _part(headers: Mapping[str, str], stat: Stat) -> tuple[int, int, bool]:
    """First and last byte that are asked for, and whether that is all.

    A range that is not understood, several ranges, or one of another version of the file, mean the
    whole file (RFC 9110, 14.2). Raises HTTPError 416.
    """
    every = (0, stat.size - 1, True)
    asked = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if asked is None or asked[0] == "bytes=-":
        return every
    condition = headers.get("if-range")
    if condition is not None and condition != f'"{stat.hash}"':
        return every
    first, last = asked[1], asked[2]
    if not first:
        start, end = max(0, stat.size - int(last)), stat.size - 1
    else:
        start, end = int(first), min(int(last) if last else stat.size, stat.size - 1)
        if last and int(last) < start:
            return every
    if start >= stat.size:
        where = {"Content-Range": f"bytes */{stat.size}"}
        raise HTTPError(416, f"the file has {stat.size} bytes", headers=where, size=stat.size)
    return start, end, False


def _headers(found: _Found) -> dict[str, str]:
    stat = found.stat
    kind = stat.content_type or ""
    headers = {
        "Content-Type": kind if _PLAIN_TYPE.fullmatch(kind) else "application/octet-stream",
        "Accept-Ranges": "bytes",
        # What somebody put here is data: no browser shall take it for something else.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    if 0 <= stat.updated < 253_402_300_800_000:
        headers["Last-Modified"] = formatdate(stat.updated // 1000, usegmt=True)
    if stat.hash is not None:
        headers["ETag"] = f'"{stat.hash}"'
    if not found.whole:
        headers["Content-Range"] = f"bytes {found.first}-{found.last}/{stat.size}"
    return headers


def _entry(stat: Stat) -> dict[str, Any]:
    return {name: getattr(stat, name) for name in _FIELDS}


def _listed(etags: str, content_hash: str | None) -> bool:
    """Whether a list of ETags, or `*`, holds this one."""
    if etags.strip() == "*":
        return True
    wanted = {tag.strip().removeprefix("W/") for tag in etags.split(",")}
    return f'"{content_hash}"' in wanted
