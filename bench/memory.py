"""How much memory of its own a process takes at most while it works."""

import os
import subprocess
import sys
import time
from pathlib import Path

_INTERVAL = 0.01


def peak_private(code: str, *arguments: str | Path) -> int:
    """Runs Python code in a process of its own: the most private bytes it had at any time.

    Pages of mapped databases do not count: the system takes these back when it needs them.
    """
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, _private(process.pid))
        time.sleep(_INTERVAL)
    if process.returncode:
        raise SystemExit(f"the measured process failed with {process.returncode}")
    return peak


def _private(pid: int) -> int:
    """The process's private bytes outside mapped databases, from /proc/PID/smaps."""
    total, counted = 0, True
    try:
        with open(f"/proc/{pid}/smaps") as lines:
            for line in lines:
                name, _, rest = line.partition(" ")
                if not name.endswith(":"):
                    counted = not rest.rstrip().endswith((".aeordb", ".part"))
                elif counted and name in ("Private_Clean:", "Private_Dirty:"):
                    total += int(rest.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return total


def drop_output(path: Path) -> None:
    """Takes an output away, if there is one."""
    if os.path.lexists(path):
        os.unlink(path)
