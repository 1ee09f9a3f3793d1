"""Each command line of the manual "Backup & Restore", as it stands there, and what it prints.

The scripts are the manual's text; `abc123...` and `aeor_k_…` stand for what a reader puts in.
"""

import filecmp
import tempfile

import pytest

import aeordb
from tests.kit.folders import read_folder
from tests.kit.program import Folder
from tests.kit.rules import assert_file
from tests.workflows.conftest import root_key, versions

EXPORTED = """\
Export complete.
  Files: 142
  Chunks: 89
  Directories: 23
  Version: {version}
"""
PATCHED = """\
Patch created.
  Files added: 5
  Files modified: 12
  Files deleted: 3
  Chunks: 8
  Directories: 7
  From: {base}
  To: {target}
"""
IMPORTED = """\
Full export imported.
  Entries: 254
  Chunks: 89
  Files: 142
  Directories: 23
  Deletions: 0
  Version: {version}
"""
NOT_PROMOTED = """\
HEAD has NOT been changed.
  To promote: aeordb promote --hash {version}
"""


def assert_same_files(folder: Folder, database: str, files: str, at: str = "HEAD") -> None:
    """What a database gives back is what was put in."""
    path = folder.path / database
    with aeordb.open(path, "r") as db, tempfile.TemporaryDirectory() as given:
        db.get_tree("/", given, at=at)
        assert read_folder(given) == read_folder(folder.path / files)
    assert_file(path)


# -- full export ----------------------------------------------------------------------


def test_export_head(folder: Folder) -> None:
    ended = folder.ok("aeordb export --database data.aeordb --output backup.aeordb")
    assert "\n  Files: 144\n" in ended.out
    assert f"\n  Version: {versions(folder)['HEAD']}\n" in ended.out
    assert_same_files(folder, "backup.aeordb", "files-v2")


def test_export_a_named_snapshot(folder: Folder) -> None:
    ended = folder.ok("aeordb export --database data.aeordb --output backup.aeordb --snapshot v1")
    assert ended.out.startswith(EXPORTED.format(version=versions(folder)["v1"]))
    assert_same_files(folder, "backup.aeordb", "files-v1")


def test_export_a_specific_version_hash(folder: Folder) -> None:
    hash_ = versions(folder)["v1"]
    for number, digits in enumerate((hash_, hash_[:12])):
        output = f"backup{number}.aeordb"
        script = "aeordb export --database data.aeordb --output backup.aeordb --hash abc123def456"
        ended = folder.ok(script.replace("abc123def456", digits).replace("backup.aeordb", output))
        assert ended.out.startswith(EXPORTED.format(version=hash_))
        assert_same_files(folder, output, "files-v1")


def test_the_output_must_not_exist(folder: Folder) -> None:
    folder.ok("aeordb export --database data.aeordb --output backup.aeordb --snapshot v1")
    before = (folder.path / "backup.aeordb").read_bytes()
    for script in (
        "aeordb export --database data.aeordb --output backup.aeordb",
        "aeordb diff --database data.aeordb --output backup.aeordb --from v1",
    ):
        ended = folder.run(script)
        assert (ended.code, ended.out) == (15, "")
        assert ended.err.startswith("error: 'backup.aeordb' already exists\n")
    assert (folder.path / "backup.aeordb").read_bytes() == before
    assert not list(folder.path.glob("*.part"))


# -- privileged -----------------------------------------------------------------------


@pytest.fixture
def source(folder: Folder) -> tuple[Folder, str]:
    """`source.aeordb`, and its root key."""
    folder.ok("mv data.aeordb source.aeordb")
    return folder, root_key(folder.ok("aeordb emergency-reset -D source.aeordb").out)


def test_privileged_with_flag(source: tuple[Folder, str]) -> None:
    folder, key = source
    script = """
        aeordb export -D source.aeordb -o backup.aeordb \\
          --root-key aeor_k_…
    """
    ended = folder.ok(script.replace("aeor_k_…", key))
    assert ended.out.startswith("Export complete.\n")
    assert "\n  Snapshots: 2\n" in ended.out
    assert_same_files(folder, "backup.aeordb", "files-v1", at="v1")
    assert_same_files(folder, "backup.aeordb", "files-v2")


def test_privileged_with_environment_variable(source: tuple[Folder, str]) -> None:
    folder, key = source
    folder.ok(f"aeordb export -D source.aeordb -o flag.aeordb --root-key {key}")
    script = "AEORDB_ROOT_KEY=aeor_k_… aeordb export -D source.aeordb -o backup.aeordb"
    folder.ok(script.replace("aeor_k_…", key))
    files = (folder.path / "flag.aeordb", folder.path / "backup.aeordb")
    assert filecmp.cmp(*files, shallow=False)


def test_without_the_key_one_version_goes_out(source: tuple[Folder, str]) -> None:
    folder, _ = source
    ended = folder.ok("aeordb export -D source.aeordb -o backup.aeordb")
    assert "Snapshots" not in ended.out
    assert folder.run("aeordb snapshot list -D backup.aeordb").out == ""


def test_a_wrong_key_is_refused(source: tuple[Folder, str]) -> None:
    folder, key = source
    wrong = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")
    for script in (
        f"aeordb export -D source.aeordb -o backup.aeordb --root-key {wrong}",
        f"AEORDB_ROOT_KEY={wrong} aeordb export -D source.aeordb -o backup.aeordb",
    ):
        ended = folder.run(script)
        assert (ended.code, ended.out) == (12, "")
        assert "root key" in ended.err
        assert wrong not in ended.err
    assert not (folder.path / "backup.aeordb").exists()


def test_import_a_privileged_backup(source: tuple[Folder, str]) -> None:
    folder, key = source
    folder.ok(f"aeordb export -D source.aeordb -o backup.aeordb --root-key {key}")
    own = root_key(folder.ok("aeordb init").out)
    script = """
        aeordb import --database data.aeordb --file backup.aeordb \\
          --root-key aeor_k_…
    """
    refused = folder.run(script.replace("aeor_k_…", key))
    assert (refused.code, refused.out) == (12, "")
    ended = folder.ok(script.replace("aeor_k_…", own))
    assert ended.out.startswith("Full export imported.\n")
    assert_same_files(folder, "data.aeordb", "files-v1", at="v1")
    assert_same_files(folder, "data.aeordb", "files-v2", at="v2")
    # Credentials never travel: the key is still this database's own.
    assert folder.run(f"aeordb export -o x.aeordb --root-key {key}").code == 12


def test_without_the_key_system_entries_are_skipped_with_a_warning(
    source: tuple[Folder, str],
) -> None:
    folder, key = source
    folder.ok(f"aeordb export -D source.aeordb -o backup.aeordb --root-key {key}")
    folder.ok("aeordb init")
    ended = folder.run("aeordb import --database data.aeordb --file backup.aeordb --promote")
    assert ended.code == 0
    assert ended.err.startswith("warning: ")
    assert "skipped" in ended.err
    assert set(versions(folder)) == {"HEAD"}
    assert_same_files(folder, "data.aeordb", "files-v2")


# -- diff -----------------------------------------------------------------------------


def test_diff_between_two_snapshots(folder: Folder) -> None:
    ended = folder.ok("aeordb diff --database data.aeordb --output patch.aeordb --from v1 --to v2")
    said = versions(folder)
    assert ended.out.startswith(PATCHED.format(base=said["v1"], target=said["v2"]))
    full = folder.ok("aeordb export --output full.aeordb")
    assert full.lines[0] == "Export complete."
    sizes = [(folder.path / name).stat().st_size for name in ("patch.aeordb", "full.aeordb")]
    assert sizes[0] < sizes[1]


def test_diff_from_a_snapshot_to_head_and_by_hashes(folder: Folder) -> None:
    folder.ok("aeordb diff --database data.aeordb --output named.aeordb --from v1 --to v2")
    folder.ok("aeordb diff --database data.aeordb --output patch.aeordb --from v1")
    script = """
        aeordb diff --database data.aeordb --output hashes.aeordb --from abc123... --to def456...
    """
    said = versions(folder)
    folder.ok(script.replace("abc123...", said["v1"]).replace("def456...", said["v2"][:10]))
    named = folder.path / "named.aeordb"
    assert filecmp.cmp(named, folder.path / "patch.aeordb", shallow=False)
    assert filecmp.cmp(named, folder.path / "hashes.aeordb", shallow=False)


def test_no_difference_makes_no_file(folder: Folder) -> None:
    ended = folder.ok("aeordb diff --database data.aeordb --output patch.aeordb --from v2")
    assert ended.lines[0] == "No patch was written: the versions are the same."
    assert not (folder.path / "patch.aeordb").exists()


# -- import and promote ---------------------------------------------------------------


@pytest.fixture
def target(folder: Folder) -> Folder:
    """A folder with `backup.aeordb` (v1), `patch.aeordb` (v1 to v2), and a new `data.aeordb`."""
    folder.ok(
        """
        aeordb export --output backup.aeordb --snapshot v1
        aeordb diff --output patch.aeordb --from v1
        mv data.aeordb source.aeordb
        aeordb init
        """
    )
    return folder


def source_version(folder: Folder, name: str) -> str:
    """The hash of one of the source's snapshots."""
    listed = folder.ok("aeordb snapshot list -D source.aeordb --json").out
    return listed.partition(f'"name": "{name}", "root": "')[2][:64]


def test_import_a_full_export(target: Folder) -> None:
    version = source_version(target, "v1")
    ended = target.ok("aeordb import --database data.aeordb --file backup.aeordb")
    expected = IMPORTED.format(version=version) + NOT_PROMOTED.format(version=version)
    assert ended.out.startswith(expected)
    assert target.ok("aeordb ls").out == ""
    promoted = target.ok(ended.lines[8].removeprefix("  To promote: "))
    assert promoted.lines[0] == "HEAD has been promoted."
    assert_same_files(target, "data.aeordb", "files-v1")


def test_import_and_immediately_promote_head(target: Folder) -> None:
    ended = target.ok("aeordb import --database data.aeordb --file backup.aeordb --promote")
    version = source_version(target, "v1")
    assert ended.out == IMPORTED.format(version=version) + "HEAD has been promoted.\n"
    assert_same_files(target, "data.aeordb", "files-v1")


def test_a_patch_for_another_base_is_refused(target: Folder) -> None:
    head = versions(target)["HEAD"]
    before = (target.path / "data.aeordb").read_bytes()
    ended = target.run("aeordb import --database data.aeordb --file patch.aeordb")
    base = source_version(target, "v1")
    assert (ended.code, ended.out) == (13, "")
    assert ended.err == (
        f"error: Target database HEAD ({head}) does not match patch base version ({base}).\n"
        "  Use --force to apply anyway.\n"
    )
    assert (target.path / "data.aeordb").read_bytes() == before


def test_force_import_a_patch(target: Folder) -> None:
    script = "aeordb import --database data.aeordb --file patch.aeordb --force"
    ended = target.run(script)
    assert (ended.code, ended.out) == (14, "")
    assert "missing" in ended.err
    # Once all that the version needs is there, HEAD may be what it likes.
    target.ok("aeordb import --database data.aeordb --file backup.aeordb")
    ended = target.ok(script)
    assert ended.lines[0] == "Patch imported."
    assert "  Deletions: 3" in ended.lines
    assert ended.lines[7] == "HEAD has NOT been changed."
    target.ok(f"aeordb promote --hash {source_version(target, 'v2')}")
    assert_same_files(target, "data.aeordb", "files-v2")


def test_promote_a_specific_version_hash(folder: Folder) -> None:
    said = versions(folder)
    script = "aeordb promote --database data.aeordb --hash abc123def456..."
    ended = folder.ok(script.replace("abc123def456...", said["v1"]))
    assert ended.lines[:2] == ["HEAD has been promoted.", f"  Version: {said['v1']}"]
    assert_same_files(folder, "data.aeordb", "files-v1")


def test_promote_verifies_that_the_hash_exists(folder: Folder) -> None:
    before = versions(folder)
    ended = folder.run(f"aeordb promote --database data.aeordb --hash {'ab' * 32}")
    assert (ended.code, ended.out) == (20, "")
    assert versions(folder) == before


# -- typical workflows ----------------------------------------------------------------


def test_regular_backups(folder: Folder) -> None:
    """The manual makes the snapshot over HTTP; this is the command for it."""
    ended = folder.ok(
        """
        # Create a snapshot first
        aeordb snapshot create daily-2024-01-15

        # Export it
        aeordb export --database data.aeordb \\
          --output backups/daily-2024-01-15.aeordb \\
          --snapshot daily-2024-01-15
        """
    )
    assert "Export complete." in ended.lines
    assert_same_files(folder, "backups/daily-2024-01-15.aeordb", "files-v2")


INCREMENTAL = """
# First backup: full export
aeordb export --database data.aeordb --output backups/full.aeordb --snapshot v1
# Subsequent backups: just the diff
aeordb diff --database data.aeordb --output backups/patch-v1-v2.aeordb --from v1 --to v2
"""
RESTORE = """
# Import the full backup
aeordb import --database restored.aeordb --file backups/full.aeordb --promote
# Apply incremental patches in order
aeordb import --database restored.aeordb --file backups/patch-v1-v2.aeordb --promote
"""


def test_incremental_backups_and_restore_from_backup(folder: Folder) -> None:
    folder.ok(INCREMENTAL)
    ended = folder.ok(RESTORE)
    assert ended.lines[0] == "Full export imported."
    assert ended.lines[7] == "HEAD has been promoted."
    assert ended.lines[8] == "The database restored.aeordb has been created."
    assert ended.lines[9] == "Patch imported."
    assert ended.lines[-1] == "HEAD has been promoted."
    assert_same_files(folder, "restored.aeordb", "files-v2")


def test_a_whole_chain_in_one_command(folder: Folder) -> None:
    folder.ok(INCREMENTAL)
    for number, files in enumerate(
        (
            "--file backups/full.aeordb --file backups/patch-v1-v2.aeordb",
            "--file backups/patch-v1-v2.aeordb --file backups/full.aeordb",
            "--file backups",
        )
    ):
        ended = folder.ok(f"aeordb import -D restored{number}.aeordb {files} --promote")
        assert ended.lines[0] == "Chain of backups imported."
        assert_same_files(folder, f"restored{number}.aeordb", "files-v2")


def test_migrate_between_servers(folder: Folder) -> None:
    """The manual copies with scp; here the two servers are two folders, so cp does."""
    server = folder.inner("target-server")
    folder.ok(
        """
        # On source server
        aeordb export --database data.aeordb --output transfer.aeordb
        # Copy to target server
        cp transfer.aeordb target-server/
        """
    )
    ended = server.ok(
        """
        # On target server
        aeordb import --database data.aeordb --file transfer.aeordb --promote
        """
    )
    assert ended.lines[0] == "Full export imported."
    assert versions(server)["HEAD"] == versions(folder)["HEAD"]
    assert_same_files(folder, "target-server/data.aeordb", "files-v2")
