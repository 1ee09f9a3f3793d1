"""The OpenAPI document says what the server does: Schemathesis makes requests of it.

The suite has a short run; a long one is the same by hand with a larger `--max-examples`.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import aeordb
from tests.kit.rules import assert_file
from tests.kit.serving import Line, Serving

# Left out: that what fits the schema is taken (paths, names and times have rules that no schema
# has), and that 405 names no method of a neighbouring route (/system/tasks/gc is a task's id too).
OPTIONS = (
    "--max-examples=4",
    "--phases=examples,coverage,fuzzing",
    "--exclude-checks=positive_data_acceptance,allow_header_conformance",
    "--generation-deterministic",
    "--generation-with-security-parameters=false",
    "--continue-on-failure",
    "--no-color",
)


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")
def test_the_server_keeps_to_its_description(tmp_path: Path) -> None:
    path = tmp_path / "data.aeordb"
    with aeordb.open(path, "x") as db:
        db.put("/a.txt", b"first")
        db.snapshots.create("v1")
        db.put("/a.txt", b"second")
        db.put("/docs/b.json", b"{}")
        db.symlink("a.txt", "/link")
    with Serving(path, "--confine-backups") as server:
        key = {"Authorization": f"Bearer {server.ready['root_key']}"}
        header = f"Authorization: {key['Authorization']}"
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                f"{server.url}/openapi.json",
                "-H",
                header,
                *OPTIONS,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        with Line(server.address) as ask:
            assert ask("GET", b"/system/health").status == 200
    served = [line for line in server.log.splitlines() if line.endswith(" ms")]
    assert len(served) > 500
    statuses = [line.split()[-3] for line in served]
    assert not [status for status in statuses if status.startswith("5")]
    assert statuses.count("401") < len(statuses) / 5, "the run has lost its key"
    assert server.ready["root_key"] not in server.log
    assert_file(path)
