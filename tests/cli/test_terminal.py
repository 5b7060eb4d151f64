"""What a terminal gets, and what a pipe gets."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from ..apps import environment, introspector, policy, provider, write_registry
from .commands import fill, run

APP = """
from flask import Flask

from flask_foreign_token import ForeignToken

app = Flask(__name__)
app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", FOREIGN_TOKEN_REGISTRY="registry.json")
ForeignToken(app)
"""
DESCRIPTION = "red \x1b[31m and a title \x1b]0;x\x07 and \x9b31m and \u202e turned"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder with an app whose policies have names and texts that a terminal would not like."""
    (tmp_path / "clinic.py").write_text(APP)
    resources = [policy("p" * 64, description=DESCRIPTION), policy("other")]
    write_registry(tmp_path / "registry.json", resources)
    return tmp_path


def on_a_terminal(folder: Path, *arguments: str, typed: bytes = b"") -> tuple[int, str]:
    """Status and screen of a command that runs on a terminal of 60 columns."""
    screen, side = pty.openpty()
    command = [sys.executable, "-m", "flask", "--app", "clinic", "foreign-token", *arguments]
    values = environment(TERM="xterm-256color", COLUMNS="60", LINES="24", PYTHONUTF8="1")
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


@pytest.mark.parametrize("command", [["list", "AccessPolicy"], ["get", "AccessPolicy", "p" * 64], ["export"]])
def test_control_characters_of_what_is_stored_do_not_reach_a_terminal(clinic: Path, command: list[str]) -> None:
    status, screen = on_a_terminal(clinic, *command)

    assert status == 0
    assert not any(sign in screen for sign in ("\x1b[31m", "\x1b]", "\x07", "\x9b", "\u202e"))


def test_a_narrow_terminal_loses_no_part_of_an_id(clinic: Path) -> None:
    _, screen = on_a_terminal(clinic, "list", "AccessPolicy")

    lines = re.sub(r"\x1b\[\d*m", "", screen).splitlines()
    assert "p" * 64 in "".join(line.lstrip().split(" ")[0] for line in lines)
    assert max(map(len, lines)) <= 60


def test_a_deletion_on_a_terminal_is_asked_about(clinic: Path) -> None:
    refused, screen = on_a_terminal(clinic, "delete", "AccessPolicy", "other", typed=b"n\n")
    assert (refused, "Delete AccessPolicy/other? [y/N]" in screen) == (1, True)
    assert '"other"' in (clinic / "registry.json").read_text()

    allowed, _ = on_a_terminal(clinic, "delete", "AccessPolicy", "other", typed=b"y\n")

    assert allowed == 0
    assert '"other"' not in (clinic / "registry.json").read_text()


def test_yes_is_an_answer_beforehand(clinic: Path) -> None:
    status, screen = on_a_terminal(clinic, "delete", "AccessPolicy", "other", "--yes")

    assert (status, "Delete" in screen) == (0, False)


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}])
def test_a_pipe_gets_no_colours_and_a_row_a_line(
    filled_app: Flask, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in {"COLUMNS": "20", **variables}.items():
        monkeypatch.setenv(name, value)
    fill(filled_app, [policy("p" * 64, description=DESCRIPTION + "long " * 100)])

    text = run(filled_app, "list", "AccessPolicy").stdout

    assert "\x1b" not in text
    assert len(text.splitlines()) == 3
    assert "p" * 64 in text


def test_an_encoding_without_the_letters_is_no_failure(clinic: Path) -> None:
    write_registry(clinic / "registry.json", [policy("a", description="Łódź")])
    command = [sys.executable, "-m", "flask", "--app", "clinic", "foreign-token", "list", "AccessPolicy"]

    done = subprocess.run(
        command, cwd=clinic, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stderr
    assert b"\\u0141\\xf3d\\u017a" in done.stdout


def test_a_reader_who_has_read_enough_gets_no_traceback(clinic: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "clinic", "foreign-token", "export"]
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        command, cwd=clinic, env=environment(), stdout=writer, stderr=subprocess.PIPE, check=False, timeout=30
    )

    os.close(writer)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)


def test_long_lines_are_broken_between_words_on_a_terminal_and_commands_are_not(clinic: Path) -> None:
    resources = [
        provider("keycloak"),
        introspector("i", jwt={"iss": "http://127.0.0.1:1/realms/clinic"}, jwks_uri="http://127.0.0.1:1/certs"),
    ]
    write_registry(clinic / "registry.json", resources)

    status, screen = on_a_terminal(clinic, "doctor", "keycloak")

    lines = re.sub(r"\x1b\[\d*m", "", screen).splitlines()
    assert status == 1
    assert "flask --app clinic foreign-token apply - <<'EOF'" in lines
    assert all(len(line) <= 60 or len(line.split()) == 1 for line in lines)
