"""gunicorn on a free port, as an app is deployed with it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..apps import environment

_LISTENING = re.compile(r"Listening at: (http://\S+)")


@contextmanager
def served(
    folder: Path,
    *arguments: str,
    app: str = "wsgi:app",
    port: int = 0,
    log: list[str] | None = None,
    **variables: str,
) -> Iterator[str]:
    """The address of gunicorn with two workers in `folder`, forked from a process that has loaded `app`.

    :param port: where it listens; 0 for a free one.
    :param log: gets the lines of its log when it has stopped.
    """
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    command += arguments
    command += ["--limit-request-field_size", "17000"]
    process = subprocess.Popen(
        [*command, app], cwd=folder, env=environment(**variables), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    seen: list[str] = []
    # Read while it runs: a pipe that nobody empties stops whoever writes to it.
    reading = threading.Thread(target=seen.extend, args=(process.stderr,))
    try:
        for line in process.stderr:
            seen.append(line)
            if found := _LISTENING.search(line):
                reading.start()
                yield found[1]
                break
        else:
            pytest.fail("".join(seen))
    finally:
        process.terminate()
        process.wait(timeout=60)
        if reading.ident is not None:
            reading.join(timeout=60)
        process.stderr.close()
        if log is not None:
            log += "".join(seen).splitlines()
        assert "Traceback" not in "".join(seen), "".join(seen)[-8000:]
