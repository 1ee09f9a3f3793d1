"""`put`, `get`, `cat`, `ls`, `rm`, `mv`, `ln`, `log`."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def names(cli: Cli, *arguments: str) -> list[str]:
    """What `ls --names` prints."""
    return cli("ls", "--names", *arguments).lines


def test_ls_shows_kind_size_time_and_name(ok: Cli, data: Path) -> None:
    lines = ok("ls").lines
    assert [line.split()[0] for line in lines] == ["file", "folder", "symlink"]
    assert [line.split("  ")[-1] for line in lines] == ["a.txt", "docs/", "link -> docs/b.txt"]
    assert lines[0].split()[1] == "6"


def test_ls_of_a_subtree_a_folder_and_a_file(ok: Cli, data: Path) -> None:
    everything = ["/a.txt", "/docs/", "/docs/b.txt", "/docs/empty", "/link -> docs/b.txt"]
    assert names(ok, "-R") == everything
    assert names(ok, "-R", "/docs") == ["/docs/b.txt", "/docs/empty"]
    assert names(ok, "/docs") == ["b.txt", "empty"]
    assert names(ok, "/docs/b.txt") == ["/docs/b.txt"]


def test_ls_as_json_has_the_fields_of_the_manual(ok: Cli, data: Path) -> None:
    told = ok("ls", "--json").json["result"]
    assert list(told) == ["items"]
    fields = ["path", "kind", "size", "created", "updated", "content_type", "hash", "target"]
    assert [list(item) for item in told["items"]] == [fields] * 3
    file, folder, link = told["items"]
    assert (file["path"], file["kind"], file["size"], file["target"]) == ("/a.txt", "file", 6, None)
    assert file["content_type"] == "text/plain"
    assert len(file["hash"]) == 64
    assert (folder["kind"], folder["hash"]) == ("folder", None)
    assert (link["kind"], link["target"]) == ("symlink", "docs/b.txt")


def test_ls_hides_what_aeordb_keeps_beside_files(ok: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "source" / ".aeordb-indexes").mkdir()
    (tmp_path / "source" / ".aeordb-indexes" / "i").write_bytes(b"1")
    ok("put", "-r", "source", "/")
    assert not any(".aeordb-" in name for name in names(ok, "-R"))
    assert "/.aeordb-indexes/i" in names(ok, "-R", "--all")


def test_quiet_prints_nothing(ok: Cli, data: Path) -> None:
    for command in (("ls",), ("put", "source/a.txt", "/q"), ("rm", "/q"), ("status",)):
        ran = ok("-q", *command)
        assert (ran.out, ran.err) == ("", "")


def test_put_one_file_to_a_name_or_into_a_folder(ok: Cli, data: Path) -> None:
    ok("put", "source/a.txt", "/new/name.txt")
    ok("put", "source/a.txt", "/docs")
    ok("put", "source/a.txt", "/other/")
    assert names(ok, "/new") == ["name.txt"]
    assert "a.txt" in names(ok, "/docs")
    assert names(ok, "/other") == ["a.txt"]


def test_put_several_goes_into_a_folder_in_one_commit(ok: Cli, cli: Cli, data: Path) -> None:
    before = ok("status", "--json").json["result"]["head"]
    ran = ok("put", "-r", "source/a.txt", "source/docs", "/both", "--json")
    assert ran.json["result"]["files"] == 3
    assert names(ok, "-R", "/both") == [
        "/both/a.txt",
        "/both/docs/",
        "/both/docs/b.txt",
        "/both/docs/empty",
    ]
    head = ran.json["result"]["version"]
    assert head == ok("status", "--json").json["result"]["head"] != before
    assert cli("put", "source/a.txt", "source/missing", "/neither").code == 20
    assert ok("status", "--json").json["result"]["head"] == head


def test_put_counts_what_it_did(ok: Cli, data: Path, tmp_path: Path) -> None:
    assert ok("put", "-r", "source", "/").lines[:3] == [
        "Put complete.",
        "  Files: 0",
        "  Unchanged: 4",
    ]
    (tmp_path / "source" / "a.txt").write_bytes(b"longer than it was")
    told = ok("put", "-r", "source", "/", "--json").json["result"]
    assert (told["files"], told["unchanged"], told["bytes"]) == (1, 3, 18)
    (tmp_path / "source" / "docs" / "b.txt").unlink()
    told = ok("put", "-r", "--delete", "source", "/", "--json").json["result"]
    assert told["deleted"] == 1
    assert names(ok, "/docs") == ["empty"]


def test_checksum_reads_files_that_look_unchanged(ok: Cli, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "source" / "a.txt"
    times = path.stat()
    path.write_bytes(b"ALPHA\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    ok("put", "-r", "source", "/")
    assert ok("cat", "/a.txt").out == "alpha\n"
    ok("put", "-r", "--checksum", "source", "/")
    assert ok("cat", "/a.txt").out == "ALPHA\n"


def test_put_warns_of_what_it_skips(ok: Cli, data: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source" / "pipe")
    ran = ok("put", "-r", "source", "/")
    assert ran.err.startswith("warning: ")
    assert "pipe" in ran.err
    ran = ok("put", "-r", "source", "/", "--json")
    assert ran.err == ""
    assert len(ran.json["warnings"]) == 1


def test_put_from_standard_input(
    ok: Cli, cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 2000
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    ok("put", "-", "/in.bin", "--content-type", "application/x-test")
    item = ok("ls", "/in.bin", "--json").json["result"]["items"][0]
    assert (item["size"], item["content_type"]) == (len(content), "application/x-test")
    ok("get", "/in.bin", "out.bin")
    assert hashlib.sha256(Path("out.bin").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert cli("put", "-", "/docs/").code == 2


def test_put_of_a_folder_needs_r(cli: Cli, data: Path) -> None:
    ran = cli("put", "source", "/x")
    assert (ran.code, ran.out) == (2, "")
    assert "-r" in ran.err


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/a//b", "/.", "/nul\0", "/.aeordb-system/x", "/.aeordb-config/x", "/a" * 1001],
)
def test_paths_that_are_refused_say_why(cli: Cli, data: Path, path: str) -> None:
    ran = cli("put", "source/a.txt", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert "\0" not in ran.err


def test_get_a_file_a_folder_and_standard_output(ok: Cli, data: Path, tmp_path: Path) -> None:
    ok("get", "/a.txt", "copy.txt")
    assert Path("copy.txt").read_bytes() == b"alpha\n"
    assert Path("copy.txt").stat().st_mtime == pytest.approx(
        (tmp_path / "source" / "a.txt").stat().st_mtime, abs=0.001
    )
    Path("here").mkdir()
    ok("get", "/a.txt", "here")
    ok("get", "/docs/b.txt", "new/")
    assert Path("here/a.txt").read_bytes() == b"alpha\n"
    assert Path("new/b.txt").read_bytes() == b"beta\n"
    ran = ok("get", "-r", "/", "all")
    assert ran.lines[:4] == ["Get complete.", "  Files: 3", "  Folders: 1", "  Symlinks: 1"]
    assert sorted(str(path.relative_to("all")) for path in Path("all").rglob("*")) == [
        "a.txt",
        "docs",
        "docs/b.txt",
        "docs/empty",
        "link",
    ]
    assert os.readlink("all/link") == "docs/b.txt"
    assert ok("get", "/a.txt", "-").out == "alpha\n"


def test_get_replaces_and_reads_older_versions(ok: Cli, data: Path) -> None:
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    ok("get", "/a.txt", "out.txt")
    assert Path("out.txt").read_bytes() == b"second\n"
    ok("get", "/a.txt", "out.txt", "--at", "v1")
    assert Path("out.txt").read_bytes() == b"alpha\n"


def test_get_of_a_folder_needs_r_and_a_missing_path_is_exit_20(cli: Cli, data: Path) -> None:
    ran = cli("get", "/docs", "x")
    assert ran.code == 2
    assert "-r" in ran.err
    ran = cli("get", "/missing", "x")
    assert (ran.code, ran.err) == (20, "error: no path '/missing'\n")
    assert not Path("x").exists()


def test_cat_of_several_and_of_a_version(ok: Cli, cli: Cli, data: Path) -> None:
    assert ok("cat", "/a.txt", "/docs/empty", "/docs/b.txt").out == "alpha\nbeta\n"
    ok("rm", "/a.txt")
    assert ok("cat", "/a.txt", "--at", "v1").out == "alpha\n"
    assert cli("cat", "/a.txt").code == 20
    assert cli("cat", "/docs").code == 2
    assert cli("cat", "/docs/b.txt", "--json").json["code"] == "usage"


def test_rm_of_files_and_folders(ok: Cli, cli: Cli, data: Path) -> None:
    assert ok("rm", "/a.txt", "/link").lines == ["Deleted 2 paths."]
    ran = cli("rm", "/docs")
    assert ran.code == 2
    assert "-r" in ran.err
    assert ok("rm", "-r", "/docs", "--json").json["result"]["deleted"] == 3
    assert names(ok, "-R") == []
    assert cli("rm", "/a.txt").code == 20
    assert len(names(ok, "-R", "--at", "v1")) == 5


def test_mv_renames_and_moves_into_folders(ok: Cli, cli: Cli, data: Path) -> None:
    ok("mv", "/a.txt", "/first.txt")
    ok("mv", "/first.txt", "/link", "/docs")
    told = ok("mv", "/docs", "/deep/er", "--json").json["result"]
    assert told["moved"] == [{"from": "/docs", "to": "/deep/er"}]
    assert names(ok, "/deep/er") == ["b.txt", "empty", "first.txt", "link -> docs/b.txt"]
    assert cli("mv", "/docs", "/x").code == 20
    assert cli("mv", "/deep", "/deep/er/inside").code == 2


def test_ln_makes_a_symlink(ok: Cli, cli: Cli, data: Path) -> None:
    assert ok("ln", "a.txt", "/latest").lines == ["Linked /latest -> a.txt"]
    assert "latest -> a.txt" in names(ok, "/")
    assert cli("ln", "x", "/latest").code == 15


def test_log_shows_a_path_in_every_version(ok: Cli, cli: Cli, data: Path) -> None:
    Path("new.txt").write_bytes(b"second\n")
    ok("put", "new.txt", "/a.txt")
    items = ok("log", "/a.txt", "--json").json["result"]["items"]
    assert [(item["version"], item["stat"]["size"]) for item in items] == [("HEAD", 7), ("v1", 6)]
    lines = ok("log", "/a.txt").lines
    assert [line.split()[-1] for line in lines] == ["HEAD", "v1"]
    assert cli("log", "/never").code == 20


def test_names_of_any_kind(ok: Cli, data: Path) -> None:
    for name in ("ü", "名前", "with space", "tab\there", "line\nfeed", "-dash", "🙂" * 60, "\\"):
        Path("file").write_text(name)
        ok("put", "file", f"/odd/{name}")
        assert ok("cat", f"/odd/{name}").out == name
    assert len(ok("ls", "/odd", "--json").json["result"]["items"]) == 8


def test_losses_are_exit_3_with_the_result(cli: Cli, ok: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "a.txt").mkdir(parents=True)
    ran = cli("get", "-r", "/", "out")
    assert (ran.code, ran.lines[:2]) == (3, ["Get complete.", "  Files: 2"])
    assert ran.err.startswith("warning: '/a.txt' is skipped: ")
    (tmp_path / "source" / "no-text-\udcff").write_bytes(b"1")
    ran = cli("put", "-r", "source", "/", "--json")
    assert (ran.code, ran.err) == (3, "")
    told = ran.json
    assert list(told) == ["ok", "code", "command", "result", "warnings"]
    assert (told["ok"], told["code"], told["result"]["files"]) == (False, "incomplete", 0)
    assert len(told["warnings"]) == 1


def test_get_writes_into_devices_and_pipes(ok: Cli, cli: Cli, data: Path) -> None:
    """As root it once put a regular file over the device `/dev/full`."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    Path("alias").symlink_to("pipe")
    try:
        ok("get", "/a.txt", "pipe")
        assert os.read(reader, 100) == b"alpha\n"
        ok("get", "/a.txt", "alias")
        assert os.read(reader, 100) == b"alpha\n"
    finally:
        os.close(reader)
    assert Path("pipe").is_fifo()
    assert Path("alias").is_symlink()
    assert cli("get", "/a.txt", "/dev/full").code == 16
    assert Path("/dev/full").is_char_device()
