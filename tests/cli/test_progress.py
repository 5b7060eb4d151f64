"""What is shown of waiting: on a terminal, after a while, and not for longer than it lasts."""

from __future__ import annotations

import io
import threading

import pytest

from flask_foreign_token.cli.progress import progress

TEXT = "reading [red]10 000\x1b resources"
GONE = "\x1b[1A\x1b[2K"
"""One line up, and nothing on it any more."""


class Terminal(io.StringIO):
    """A terminal that tells when something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        length = super().write(text)
        if "reading" in text:
            self.told.set()
        return length


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What stderr is from now on; in a fixture it would be another one again before the test begins."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    return terminal


def test_what_takes_a_while_is_told_as_it_is_written_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)

    with progress(TEXT, after=0):
        assert terminal.told.wait(30)

    text = terminal.getvalue()
    assert "reading [red]10 000\\x1b resources ..." in text
    assert text.endswith(GONE)


def test_what_ends_before_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)

    with progress(TEXT, after=3600):
        [timer] = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]

    timer.join(30)
    assert (timer.is_alive(), terminal.getvalue()) == (False, "")


def test_a_block_that_fails_takes_it_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)

    @progress(TEXT, after=0)
    def fail() -> None:
        terminal.told.wait(30)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()

    assert terminal.getvalue().endswith(GONE)


def test_what_is_no_terminal_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    before = threading.active_count()

    with progress(TEXT, after=0):
        during = threading.active_count()

    assert (during, stderr.getvalue()) == (before, "")
