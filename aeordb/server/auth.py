"""Who asks: keys and tokens of requests, checked before anything else of them is read.

`Gate` stands before all routes, so that a route that says nothing about keys is closed; `any_key`
and `root_key` are what routes ask for.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, TypeVar
from urllib.parse import urlsplit

from blake3 import blake3
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from aeordb.database import access
from aeordb.errors import DamagedError, UnauthorizedError
from aeordb.format.errors import FormatError
from aeordb.format.system import ROOT_USER, ApiKey, key_prefix, parse_key_text
from aeordb.server.errors import BusyError, HTTPError
from aeordb.server.settings import Settings, is_loopback
from aeordb.server.tokens import Claims, make_token, read_token

if TYPE_CHECKING:
    from aeordb import Database

TOKEN_PATH: Final = "/auth/token"
OPEN_PATHS: Final = frozenset(("/system/health",))
_KEY_START: Final = "aeor_k_"
_CREDENTIAL_MAX: Final = 4096
_CHECKERS: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
_WAITING_MAX: Final = 64
_REMEMBERED_MAX: Final = 4096
_REJECTED_MS: Final = 60_000
T = TypeVar("T")


class ForbiddenError(HTTPError):
    """A valid key that may not do this: 403."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(403, message, code=UnauthorizedError.code, hint=hint)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose request it is: the key's id (empty where none are asked for) and its user's.

    `by_token`: a token of the key was shown, not the key itself.
    """

    key_id: str
    user_id: str
    root: bool
    by_token: bool = False


EVERYONE: Final = Identity("", ROOT_USER, True)


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys of one generation."""

    generation: int
    by_id: dict[str, ApiKey]
    by_prefix: dict[str, str]
    inactive: frozenset[str]
    signing_key: bytes | None


class Authenticator:
    """Checks the credentials of requests.

    A key is checked against its argon2id hash by few threads, with few waiting; then its keyed
    digest is remembered, as that of a token is. What is remembered only leads to the key's record,
    which each request looks at anew: a revoked key is refused from the next request on. One event
    loop calls this.
    """

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], int]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._pool = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="keys")
        self._known = self._load()
        self._right: OrderedDict[bytes, tuple[str, str]] = OrderedDict()  # to key id and hash
        self._wrong: OrderedDict[bytes, int] = OrderedDict()  # to when it was found so
        self._tokens: OrderedDict[bytes, Claims] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}

    def close(self) -> None:
        """Ends the threads; nothing more can be checked."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def identify(self, headers: Headers) -> Identity:
        """Whose request it is, by its headers.

        Raises UnauthorizedError, the same one whatever is wrong with the key; ForbiddenError
        where no keys are asked for and the request comes from a page of another site; BusyError.
        """
        if self._settings.auth == "disabled":
            self._check_site(headers)
            return EVERYONE
        given = headers.getlist("authorization")
        scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        credential = credential.strip(" ")
        if scheme.lower() != "bearer" or not 0 < len(credential) <= _CREDENTIAL_MAX:
            raise refused()
        if credential.startswith(_KEY_START):
            return await self.identify_key(credential)
        key = await self._find_token(credential)
        if key is None:
            raise refused()
        return Identity(key.key_id, key.user_id, key.is_root, by_token=True)

    async def identify_key(self, text: str) -> Identity:
        """Whose key this is. Raises UnauthorizedError, BusyError."""
        key = await self._find_key(text)
        if key is None:
            raise refused()
        return Identity(key.key_id, key.user_id, key.is_root)

    async def make_token(self, identity: Identity) -> tuple[str, int]:
        """A token for the holder of a key, and the seconds that it lasts.

        Raises UnauthorizedError where only a token was shown, or no key: a token that could be
        exchanged for another would never end.
        """
        known = await self._keys()
        key = self._usable(known, identity.key_id)
        if key is None or identity.by_token:
            raise refused()
        signing_key = known.signing_key
        if signing_key is None:
            signing_key = await _in_thread(self._database.api_keys.make_signing_key)
        return make_token(signing_key, key, self._clock())

    async def _find_token(self, text: str) -> ApiKey | None:
        known = await self._keys()
        if known.signing_key is None:
            return None
        digest = self._digest(text)
        claims = self._tokens.get(digest) or read_token(known.signing_key, text)
        if claims is None or not claims.hold(self._clock()):
            return None
        _remember(self._tokens, digest, claims)
        key = self._usable(known, claims.key_id)
        return key if key is not None and key.user_id == claims.user_id else None

    async def _find_key(self, text: str) -> ApiKey | None:
        try:
            prefix = parse_key_text(text)
        except FormatError:
            return None
        known = await self._keys()
        digest = self._digest(text)
        right = self._right.get(digest)
        if right is not None:
            key = self._usable(known, right[0])
            if key is not None and key.key_hash == right[1]:
                self._right.move_to_end(digest)
                return key
        if abs(self._clock() - self._wrong.get(digest, -_REJECTED_MS)) < _REJECTED_MS:
            return None
        key = self._usable(known, known.by_prefix.get(prefix, ""))
        if not await self._matches(digest, key.key_hash if key else None, text) or key is None:
            _remember(self._wrong, digest, self._clock())
            return None
        _remember(self._right, digest, (key.key_id, key.key_hash))
        return self._usable(await self._keys(), key.key_id)  # it may have been revoked meanwhile

    def _digest(self, text: str) -> bytes:
        return blake3(text.encode(), key=self._secret).digest()

    async def _matches(self, digest: bytes, key_hash: str | None, text: str) -> bool:
        """Checks a key once, however many requests bring it at the same time.

        Without a hash it takes as long: what is wrong with a key is not told by the time either.
        """
        task = self._running.get(digest)
        if task is None:
            if len(self._running) >= _WAITING_MAX:
                raise BusyError("too many keys are being checked")
            task = asyncio.create_task(self._check(key_hash, text))
            self._running[digest] = task
            task.add_done_callback(lambda _task: self._running.pop(digest, None))
        return await asyncio.shield(task)

    async def _check(self, key_hash: str | None, text: str) -> bool:
        def check() -> bool:
            return access.matches(key_hash or access.decoy_hash(), text)

        return await asyncio.get_running_loop().run_in_executor(self._pool, check)

    async def _keys(self) -> _Known:
        """The keys of now; read again only after a change."""
        known = self._known
        if known.generation != self._database.api_keys.generation:
            known = self._known = await _in_thread(self._load)
            self._wrong.clear()
            self._tokens.clear()
            for digest, (key_id, _) in list(self._right.items()):
                if self._usable(known, key_id) is None:
                    del self._right[digest]
        return known

    def _load(self) -> _Known:
        keys = self._database.api_keys
        generation = keys.generation  # before reading: a change on the way is seen next time
        by_id = {key.key_id: key for key in keys.records()}
        try:
            signing_key = keys.signing_key()
        except DamagedError:
            signing_key = None  # no token is valid; asking for one says why
        return _Known(
            generation,
            by_id,
            {key_prefix(key_id): key_id for key_id in by_id},
            frozenset(user for user, active in keys.active_users().items() if not active),
            signing_key,
        )

    def _usable(self, known: _Known, key_id: str) -> ApiKey | None:
        key = known.by_id.get(key_id)
        if key is None or key.user_id in known.inactive:
            return None
        return key if access.is_usable(key, self._clock()) else None

    def _check_site(self, headers: Headers) -> None:
        """Without keys, a page in a browser on this machine must not act for its reader."""
        host = headers.get("host", "")
        origin = headers.get("origin")
        foreign = (
            headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
            or (origin is not None and origin not in (f"http://{host}", f"https://{host}"))
            # A foreign name that leads here is a foreign page's way around the two above.
            or not (self._settings.insecure or _is_local(host))
        )
        if foreign:
            raise ForbiddenError(
                "without keys, only this machine's own programs and pages may ask",
                hint="Call the server by its address, or start it with --auth self.",
            )


class Gate:
    """ASGI: refuses what comes without a right key, before its body is read; the guard answers.

    The identity is put into `request.state.identity`. A request for a token may have its key in the
    body instead, where the route looks for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        authenticator: Authenticator = scope["app"].state.authenticator
        headers = Headers(scope=scope)
        identity = None
        if "authorization" in headers or scope["path"] != TOKEN_PATH:
            identity = await authenticator.identify(headers)
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)


bearer = HTTPBearer(
    scheme_name="key",
    description="An API key (`aeor_k_...`), or a token from `POST /auth/token`.",
    auto_error=False,
)


async def any_key(
    request: Request,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Identity:
    """Whose request it is (a dependency): any key will do. The gate has checked it."""
    identity = getattr(request.state, "identity", None)
    if not isinstance(identity, Identity):
        raise refused()
    return identity


async def root_key(identity: Annotated[Identity, Depends(any_key)]) -> Identity:
    """Whose request it is (a dependency): a root key's, else ForbiddenError."""
    if not identity.root:
        raise ForbiddenError("this needs a root key")
    return identity


def refused() -> UnauthorizedError:
    """The one answer to a key that is missing, unknown, wrong, revoked or expired."""
    return UnauthorizedError(
        "a valid API key or token is needed", hint="Send it as: Authorization: Bearer KEY"
    )


def _is_local(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _remember(cache: OrderedDict[bytes, T], digest: bytes, value: T) -> None:
    cache[digest] = value
    cache.move_to_end(digest)
    if len(cache) > _REMEMBERED_MAX:
        cache.popitem(last=False)


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
