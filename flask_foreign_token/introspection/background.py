"""Work that nobody waits for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress

Begin = Callable[[Callable[[], None]], None]
"""Begins work that somebody else does, where that can be; who leaves it to that must do without."""


def in_background(work: Callable[[], None]) -> None:
    """Let a thread of its own do `work`; it ends with the process, wherever it is by then.

    Nothing is begun where threads do not run, or no more of them can be had.
    """
    if not _threads_run():
        return
    thread = threading.Thread(target=work, name="flask-foreign-token", daemon=True)
    with suppress(RuntimeError):
        thread.start()


def at_once(work: Callable[[], None]) -> None:
    """Do `work` here and now: it is on a connection that the request's is too, and that is not for two threads."""
    work()


def _threads_run() -> bool:
    """Without `enable-threads`, which older versions have off, uWSGI lets them stand still between requests."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is None or bool(getattr(uwsgi, "has_threads", False))
