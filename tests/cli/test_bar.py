"""Progress: nothing without a terminal, nothing in the first second, then bytes and rate."""

import io
import threading
import time

from aeordb.cli.bar import Bar, bar_for
from aeordb.progress import NO_PROGRESS


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self.written.set()
        return super().write(text)


def test_no_bar_without_a_terminal_or_when_quiet() -> None:
    assert bar_for(io.StringIO(), wanted=True) is NO_PROGRESS
    assert bar_for(Terminal(), wanted=False) is NO_PROGRESS
    assert isinstance(bar_for(Terminal(), wanted=True), Bar)


def test_short_operations_show_nothing() -> None:
    terminal = Terminal()
    bar = Bar(terminal, patience=60)
    bar.start(100, "Reading")
    bar.advance(100, 1)
    bar.finish()
    assert terminal.getvalue() == ""


def test_long_operations_show_label_bytes_and_items() -> None:
    terminal = Terminal()
    bar = Bar(terminal, patience=0)
    bar.start(2000, "Reading")
    bar.advance(500, 1)
    assert terminal.written.wait(30)
    bar.advance(500, 2)
    deadline = time.monotonic() + 30
    while "1.0/2.0 kB" not in terminal.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    bar.start(None, "Writing")
    bar.advance(10)
    bar.finish()
    shown = terminal.getvalue()
    assert "Reading" in shown
    assert "1.0/2.0 kB" in shown
    assert "3 files" in shown


def test_finish_twice_and_without_start_is_harmless() -> None:
    bar = Bar(Terminal())
    bar.finish()
    bar.start(1, "x")
    bar.finish()
    bar.finish()
