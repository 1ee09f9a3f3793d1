"""The requests in README.md, run as they stand there against a real server."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.program import Folder, make_folder
from tests.kit.serving import Serving

README = (REPOSITORY / "README.md").read_text("utf-8")


pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def script_of(title: str) -> str:
    """The commands of a section."""
    section = README.partition(f"\n### {title}\n")[2]
    end = re.search(r"^###? ", section, flags=re.M)
    assert end is not None
    (script,) = re.findall(r"^```sh\n(.*?)^```", section[: end.start()], flags=re.M | re.S)
    return str(script)


def curl_here(folder: Folder, serving: Serving) -> dict[str, str]:
    """Leads curl to the test's server, wherever it listens; the environment for it."""
    host, port = serving.address
    (folder.path / ".curlrc").write_text(
        f'silent\nshow-error\nwrite-out = "\\n"\nconnect-to = "localhost:6830:{host}:{port}"\n'
    )
    return {"API_KEY": serving.ready["root_key"], "CURL_HOME": str(folder.path)}


def test_the_keys_of_the_readme(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    make, rest = script_of("Keys").split("\ncurl ", 1)
    with Serving(folder.path / "data.aeordb") as serving:
        named = curl_here(folder, serving)
        made = json.loads(folder.ok(make, **named).out)
        assert made["label"] == "camera"
        ended = folder.ok(f"curl {rest}", KEY_ID=made["key_id"], **named)
        listed, token, revoked = (json.loads(line) for line in ended.lines)
        assert [item["label"] for item in listed["items"]] == ["root-bootstrap", "camera"]
        assert token["expires_in"] == 3600
        assert revoked["is_revoked"]


def test_the_schedules_of_the_readme(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    with Serving(folder.path / "data.aeordb") as serving:
        ended = folder.ok(script_of("Schedules and tasks"), **curl_here(folder, serving))
        answers, metrics = ended.lines[:6], "\n".join(ended.lines[6:])
    made, changed, listed, task, tasks, collected = map(json.loads, answers)
    assert (made["id"], made["args"]["retention_count"]) == ("nightly", 7)
    assert changed["args"]["retention_count"] == 14
    assert listed["items"] == [changed]
    assert tasks["items"][0]["id"] == task["id"]
    assert collected["dry_run"]
    assert 'aeordb_task_age_seconds{schedule="nightly",task_type="backup"} +Inf' in metrics
