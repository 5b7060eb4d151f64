"""Work that nobody waits for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

Begin = Callable[[Callable[[], None]], bool]
"""Begins work that somebody else does, and says whether it was begun."""


def in_background(work: Callable[[], None]) -> bool:
    """Let a thread of its own do `work`; it ends with the process, wherever it is by then.

    :return: false where threads do not run, or no more of them can be had: nothing was begun.
    """
    if not _threads_run():
        return False
    thread = threading.Thread(target=work, name="flask-foreign-token", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _threads_run() -> bool:
    """Without `enable-threads`, which older versions have off, uWSGI lets them stand still between requests."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is None or bool(getattr(uwsgi, "has_threads", False))
