"""A file that is replaced as a whole, by one editor at a time."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


WAIT = 15.0
"""Seconds that an editor waits while another one is at it, as one waits for an SQLite file."""

_LOOK = 0.01
# Seconds between two looks.


@contextmanager
def locked(folder: Path, wait: float = WAIT) -> Iterator[None]:
    """A block in which nobody else is who asks for the same, in this process or another on the same machine.

    Where the system has no such lock (Windows) there is none.

    :param wait: seconds after which it is given up, 0 or more.
    :raises OSError: the folder is not there, or must not be read.
    :raises TimeoutError: somebody else has kept it locked all the time.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, wait)
        try:
            yield
        finally:
            # Closing does not do: a process that was forked meanwhile has the descriptor too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait: float) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                reason = f"another process has kept its folder locked for {wait:g} seconds; see who, and try again"
                raise TimeoutError(errno.ETIMEDOUT, reason) from None
            time.sleep(_LOOK)
        else:
            return


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file, whose mode and owner stay; others see the old or the new one.

    A file that was not there is its owner's alone, since there may be secrets in it.

    :param path: of the file itself, not of a link to it.
    :raises OSError: it cannot be written, in which case the old one is there still and nothing else.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                _make_alike(descriptor, path.stat())
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink()
        raise


def _make_alike(descriptor: int, old: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
