"""What a command is waiting for, on a terminal, where that takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING, Final

from ..printable import printable

if TYPE_CHECKING:
    from rich.live import Live

PATIENCE: Final = 1.0
"""Seconds before anything is shown."""


@contextmanager
def progress(text: str, *, after: float = PATIENCE) -> Iterator[None]:
    """Say on stderr that the block goes on, once it has taken a while, and take that away when it ends.

    Nothing is printed unless stderr is a terminal. The block must print nothing itself.

    :param text: what is being done or waited for, ``"reading 10 000 resources"``.
    :param after: seconds, 0 or more.
    """
    if not sys.stderr.isatty():
        yield
        return
    notice = _Notice(text)
    timer = Timer(after, notice.show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        notice.end()


class _Notice:
    """A line that another thread may show, and that is gone for good once it has ended."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = Lock()
        self._live: Live | None = None
        self._is_over = False

    def show(self) -> None:
        # Hardly ever needed, and commands are to start at once.
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        with self._lock:
            if not self._is_over:
                # Of signs that every terminal has.
                spinner = Spinner("line", Text(f"{printable(self._text)} ..."))
                # What the block's own thread writes to stays what it is.
                self._live = Live(
                    spinner, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
                )
                self._live.start()

    def end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._live is not None:
                self._live.stop()
