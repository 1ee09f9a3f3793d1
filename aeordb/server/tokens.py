"""JSON web tokens: what a key is exchanged for, good for an hour and no longer than the key.

HS256 with the database's own signing key (FORMAT.md 7). A token names the key that it was made
for; with that key it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import jwt

from aeordb.format.system import ApiKey

LIFETIME: Final = 3600
"""Seconds."""
ISSUER: Final = "aeordb"
_ALGORITHM: Final = "HS256"
# Times are checked at each use, by the server's clock.
_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "iss", "sub", "key_id"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}
_SKEW: Final = 5  # seconds that the clock may have been set back since a token was made


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says whose signature is right; times in seconds since 1970 UTC."""

    key_id: str
    user_id: str
    start: int
    end: int

    def hold(self, now: int) -> bool:
        """Whether it is valid at this time, in milliseconds."""
        return self.start - _SKEW <= now // 1000 < self.end


def make_token(signing_key: bytes, key: ApiKey, now: int) -> tuple[str, int]:
    """A token for the holder of a key, and the seconds that it lasts; `now` in milliseconds."""
    start = now // 1000
    end = min(start + LIFETIME, key.expires_at // 1000)
    claims = {
        "iss": ISSUER,
        "sub": key.user_id,
        "key_id": key.key_id,
        "iat": start,
        "exp": end,
    }
    return jwt.encode(claims, signing_key, algorithm=_ALGORITHM), end - start


def read_token(signing_key: bytes, text: str) -> Claims | None:
    """What a token says if its signature is right, else None. Its time may be over."""
    try:
        claims = jwt.decode(
            text, signing_key, algorithms=[_ALGORITHM], issuer=ISSUER, options=_OPTIONS
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    start, end, key_id = claims["iat"], claims["exp"], claims["key_id"]
    if type(start) is not int or type(end) is not int or not isinstance(key_id, str):
        return None
    return Claims(key_id, str(claims["sub"]), start, end)
