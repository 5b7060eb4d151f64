"""Commands that run on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

from ..apps import environment

APP = """
from flask import Flask

from flask_foreign_token import ForeignToken

app = Flask(__name__)
app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", FOREIGN_TOKEN_REGISTRY="registry.json")
ForeignToken(app)
"""
"""To be called ``clinic.py``, in a folder with its registry."""


def uncoloured(screen: str) -> list[str]:
    """The lines of a screen."""
    return re.sub(r"\x1b\[\d*m", "", screen).splitlines()


def on_a_terminal(folder: Path, *arguments: str, typed: bytes = b"", columns: int = 60) -> tuple[int, str]:
    """Status and screen of a command that runs on a terminal."""
    screen, side = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "clinic", "foreign-token", *arguments]
    values = environment(TERM="xterm-256color", COLUMNS=str(columns), LINES="24", PYTHONUTF8="1")
    process = subprocess.Popen(command, cwd=folder, stdin=side, stdout=side, stderr=side, env=values)
    os.close(side)
    if typed:
        os.write(screen, typed)
    text = _all_of(screen)
    os.close(screen)
    return process.wait(30), text


def _all_of(screen: int) -> str:
    chunks = []
    while select.select([screen], [], [], 30)[0]:
        try:
            chunk = os.read(screen, 4096)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode()
