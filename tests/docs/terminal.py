"""A terminal in which what a page shows is typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Timer
from typing import IO

from ..apps import environment
from ..integration.servers import missing, program

PATIENCE = 60
"""Seconds for one command."""

_SERVERS = re.compile(
    r"(\.venv/bin/)?(flask( --app \S+)? run|python -m flask_foreign_token\.testing|gunicorn|redis-server)\b"
)
_READY = re.compile(r" \* Running on |.* Listening at: |issuer  |.* Ready to accept connections")
_DONE = "--- done, status "


class Terminal:
    """A shell that remembers what was set in it. A server that is started there serves until :meth:`close`.

    :param variables: of its environment, beside those of this process.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        for name in ("bash", "curl"):
            if program(name) is None:
                missing(f"{name} is not installed; `apt-get install {name}` brings it")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._folder = folder
        (folder / ".curlrc").write_text("no-progress-meter\n", encoding="utf-8")
        self._servers: list[IO[str]] = []
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment(PATH=path, HOME=str(folder), COLUMNS="200", **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Type `command`; its status, and what it says, a server until it serves."""
        return self._serve(command) if _SERVERS.match(command) else self._type(command)

    def close(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()
        for server in self._servers:
            server.close()

    def _serve(self, command: str) -> tuple[int, str]:
        pipe = self._folder / f".server{len(self._servers)}"
        os.mkfifo(pipe)
        self._write(f"{command} < /dev/null > {pipe} 2>&1 &")
        # Kept open, or the server's next word would end it.
        self._servers.append(pipe.open(encoding="utf-8"))
        said = self._heard(self._servers[-1], _READY)
        return 0 if _READY.search(said) else 1, said

    def _type(self, command: str) -> tuple[int, str]:
        self._write(f"{{ {command}\n}} < /dev/null\nprintf '\\n{_DONE}%s\\n' $?")
        said, _, status = self._heard(self._shell.stdout, re.compile(_DONE)).rpartition(f"\n{_DONE}")
        return int(status or -1), said

    def _write(self, line: str) -> None:
        self._shell.stdin.write(line + "\n")
        self._shell.stdin.flush()

    def _heard(self, voice: Iterable[str], last: re.Pattern[str]) -> str:
        """What is said up to the line `last`, or until everything in the terminal is ended for taking too long."""
        timer = Timer(PATIENCE, os.killpg, (self._shell.pid, signal.SIGKILL))
        timer.start()
        lines: list[str] = []
        try:
            for line in voice:
                lines.append(line)
                if last.match(line):
                    break
        finally:
            timer.cancel()
        return "".join(lines)


def commands_in(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and what is shown below it. Without a prompt the block is one command."""
    if not block.startswith("$ "):
        yield block.rstrip("\n"), ""
        return
    for typed in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = typed.splitlines(keepends=True)
        end = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield "".join(lines[:end]).rstrip("\n"), "".join(lines[end:]).strip()


def is_said(shown: str, said: str) -> bool:
    """Whether `said` is what is `shown`, in which ``...`` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), said.strip(), re.DOTALL) is not None
