"""File systems in image files, mounted through loop devices, and what a power cut leaves of them.

The image lies in a file system that can copy a file at one moment (reflink), and the loop device
writes it directly, past any cache: a copy of the image then holds what the device had written at
that moment, and nothing more. Needs root and loop devices; tests are skipped where these are not.
"""

import contextlib
import errno
import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_FICLONE = 0x4004_9409
_HOST_MEGABYTES = 3000
# What the image lies on may want blocks of this size written.
_BLOCK = 4096
_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", f"{_BLOCK}"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-b", f"size={_BLOCK}", "-s", f"size={_BLOCK}"],
}
# A copy has the same identity as the original, which may be mounted too.
_OPTIONS = {"ext4": [], "xfs": ["-o", "nouuid"]}
_MEGABYTES = {"ext4": 96, "xfs": 320}


class Disk:
    """A mounted image: `folder` is what is in it, `writes` counts what its device has written."""

    def __init__(self, image: Path, folder: Path, device: str) -> None:
        self.image = image
        self.folder = folder
        self._stat = Path("/sys/block") / Path(device).name / "stat"

    @property
    def writes(self) -> int:
        """How many writes the device has finished."""
        return int(self._stat.read_text().split()[4])

    def cut(self, target: Path) -> None:
        """Copies what is on the disk at this very moment."""
        with self.image.open("rb") as source, target.open("wb") as out:
            fcntl.ioctl(out.fileno(), _FICLONE, source.fileno())


@contextmanager
def host(folder: Path) -> Iterator[Path]:
    """A folder for images, in a file system that can copy a file at one moment.

    Skips the test where there is none and none can be mounted.
    """
    folder.mkdir()
    if _copies_at_once(folder):
        yield folder
        return
    image = folder.with_suffix(".img")
    _make("xfs", image, _HOST_MEGABYTES)
    try:
        with _mounted("xfs", image, folder, direct=False, new=True):
            if not _copies_at_once(folder):
                pytest.skip("no file system here copies a file at one moment (reflink)")
            yield folder
    finally:
        image.unlink()


@contextmanager
def disk(kind: str, image: Path) -> Iterator[Disk]:
    """Mounts an image of that kind of file system, which is made if it is not there.

    What a journal holds is done first, as after a power cut.
    """
    new = not image.exists()
    if new:
        _make(kind, image, _MEGABYTES[kind])
    folder = image.with_suffix(".mounted")
    folder.mkdir(exist_ok=True)
    with _mounted(kind, image, folder, direct=True, new=new) as device:
        yield Disk(image, folder, device)


def _make(kind: str, image: Path, megabytes: int) -> None:
    if shutil.which(_MAKE[kind][0]) is None:
        pytest.skip(f"there is no {_MAKE[kind][0]} here")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([*_MAKE[kind], str(image)], check=True, capture_output=True)


@contextmanager
def _mounted(kind: str, image: Path, folder: Path, *, direct: bool, new: bool) -> Iterator[str]:
    """Mounts an image; its loop device. Both are gone afterwards, whatever happens.

    Where a `new` one cannot be mounted the test is skipped; another one must mount.
    """
    with ExitStack() as stack:
        device = _attach(image, direct=direct)
        stack.callback(_run, "losetup", "-d", device)
        mount = ["mount", "-t", kind, *_OPTIONS[kind], device, str(folder)]
        ran = subprocess.run(mount, capture_output=True, text=True)
        if ran.returncode:
            assert new, f"{image} cannot be mounted any more: {ran.stderr}"
            pytest.skip(f"mounting {kind} is not allowed here: {ran.stderr.strip()}")
        stack.callback(_unmount, folder)
        yield device


def _attach(image: Path, *, direct: bool) -> str:
    command = ["losetup", "--find", "--show", "--sector-size", str(_BLOCK)]
    command += [f"--direct-io={'on' if direct else 'off'}"]
    try:
        ran = subprocess.run([*command, str(image)], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no losetup: {error}")
    if ran.returncode:
        pytest.skip(f"loop devices are not allowed here: {ran.stderr.strip()}")
    device = ran.stdout.strip()
    if direct:
        flag = Path("/sys/block") / Path(device).name / "loop" / "dio"
        if flag.read_text().strip() != "1":
            _run("losetup", "-d", device)
            pytest.skip("loop devices cannot write directly here")
    return device


def _unmount(folder: Path) -> None:
    # What a caught error refers to can keep files mapped: then lazily.
    if subprocess.run(["umount", str(folder)], capture_output=True).returncode:
        _run("umount", "-l", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _copies_at_once(folder: Path) -> bool:
    one, two = folder / "one", folder / "two"
    one.write_bytes(bytes(4096))
    try:
        with one.open("rb") as source, two.open("wb") as out:
            fcntl.ioctl(out.fileno(), _FICLONE, source.fileno())
        return True
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY):
            raise
        return False
    finally:
        for path in (one, two):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
