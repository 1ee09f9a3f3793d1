"""A file system that is soon full: a small tmpfs, where one may be mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of this size at `folder`; skips the test where mounting is not allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
    try:
        mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield folder
    finally:
        # Lazily: what a caught error refers to keeps files mapped.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path, megabytes: int) -> None:
    """Makes room."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)
