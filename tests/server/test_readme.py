"""The requests about keys in README.md, run as they stand there against a real server."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.program import make_folder
from tests.kit.serving import Serving

README = (REPOSITORY / "README.md").read_text("utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_keys_of_the_readme(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    section = README.partition("\n### Keys\n")[2]
    (script,) = re.findall(r"^```sh\n(.*?)^```", section.partition("\n## ")[0], flags=re.M | re.S)
    make, rest = script.split("\ncurl ", 1)
    with Serving(folder.path / "data.aeordb") as serving:
        host, port = serving.address
        (folder.path / ".curlrc").write_text(
            f'silent\nshow-error\nwrite-out = "\\n"\nconnect-to = "localhost:6830:{host}:{port}"\n'
        )
        named = {"API_KEY": serving.ready["root_key"], "CURL_HOME": str(folder.path)}
        made = json.loads(folder.ok(make, **named).out)
        assert made["label"] == "camera"
        ended = folder.ok(f"curl {rest}", KEY_ID=made["key_id"], **named)
        listed, token, revoked = (json.loads(line) for line in ended.lines)
        assert [item["label"] for item in listed["items"]] == ["root-bootstrap", "camera"]
        assert token["expires_in"] == 3600
        assert revoked["is_revoked"]
