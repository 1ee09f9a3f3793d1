"""System files: API key records and key texts."""

from dataclasses import replace

import pytest

from aeordb.format.errors import FormatError, VersionError
from aeordb.format.system import (
    ApiKey,
    decode_json,
    encode_json,
    key_prefix,
    make_key_text,
    parse_key_text,
)

KEY_ID = "a5aac583-df04-48fa-9c48-dbff4dae13e2"
KEY = ApiKey(
    key_id=KEY_ID,
    key_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    user_id="00000000-0000-0000-0000-000000000000",
    created_at="2026-11-23T14:21:54.822953463Z",
    expires_at=1858515714822,
    label="root",
    rules=({"path": "/"},),
)


def test_a_key_record_comes_back() -> None:
    assert ApiKey.decode(KEY.encode()) == KEY
    assert KEY.encode().startswith(b'{"$v":0,"created_at":"2026')
    assert KEY.is_root
    assert KEY.path == f"/.aeordb-system/api-keys/{KEY_ID}"
    assert not replace(KEY, user_id=KEY_ID).is_root


def test_a_key_text_is_made_and_parsed() -> None:
    text = make_key_text(KEY_ID, bytes(range(32)))
    assert text == "aeor_k_a5aac583df0448fa_" + bytes(range(32)).hex()
    assert parse_key_text(text) == key_prefix(KEY_ID) == "a5aac583df0448fa"


@pytest.mark.parametrize("text", ["", "aeor_k_", "aeor_k_a5aac583df0448fa_00", "secret"])
def test_a_refused_key_text_is_not_repeated(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_key_text(text)
    assert not text or text not in str(caught.value).replace("aeor_k_<", "")


def test_a_key_text_ends_where_it_ends() -> None:
    with pytest.raises(FormatError):
        parse_key_text(make_key_text(KEY_ID, bytes(32)) + "\n")
    with pytest.raises(FormatError):
        make_key_text(KEY_ID, bytes(31))
    with pytest.raises(FormatError):
        make_key_text(KEY_ID.upper(), bytes(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"key_id": 1}',
        b"[" * 100_000,
        KEY.encode().replace(b'"is_revoked":false', b'"is_revoked":0'),
        KEY.encode().replace(b"1858515714822", b"true"),
        KEY.encode().replace(b'"label":"root"', b'"label":1'),
        KEY.encode().replace(b'[{"path":"/"}]', b"1"),
    ],
)
def test_what_is_no_key_record_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        ApiKey.decode(data)


def test_another_version_is_refused() -> None:
    with pytest.raises(VersionError):
        decode_json(b'{"$v":1}')
    with pytest.raises(VersionError):
        decode_json(b'{"$v":false}')
    assert decode_json(b'{"a":1}') == {"a": 1}
    with pytest.raises(FormatError):
        encode_json({"a": float("nan")})
    with pytest.raises(FormatError):
        replace(KEY, key_id="x").encode()
