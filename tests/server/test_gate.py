"""The gate answers by the headers alone: nobody without a key makes the server read a body."""

import http.client
import socket
from pathlib import Path

from tests.kit.serving import Serving

CASES = [
    (method, path, expect)
    for method, path in (("PUT", "/files/big"), ("POST", "/versions/import"), ("POST", "/nowhere"))
    for expect in ("", "Expect: 100-continue\r\n")
]


def test_a_body_without_a_key_is_refused_before_it_comes(tmp_path: Path) -> None:
    with Serving(tmp_path / "data.aeordb") as serving:
        for method, path, expect in CASES:
            with socket.create_connection(serving.address, timeout=30) as sock:
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n"
                sock.sendall(f"{head}{expect}\r\n".encode())
                response = http.client.HTTPResponse(sock, method=method)
                response.begin()
                assert response.status == 401, (path, expect)
                assert response.getheader("www-authenticate") == "Bearer"
                assert b"unauthorized" in response.read()
