"""Commands at a terminal: what they ask, and what they do not."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import environment, policy
from .callers import write

APP = """
from flask import Flask
from flask_foreign_token import ForeignToken

app = Flask(__name__)
ForeignToken(app)
"""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Said:
    status: int
    text: str


class Terminal:
    """A folder with an app, and a terminal in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "app.py").write_text(APP)

    def type(self, *words: str, answers: str = "", within: float = 60) -> Said:
        """What `flask foreign-token WORDS` says on a terminal; `answers` is typed as soon as something is asked."""
        command = [sys.executable, "-m", "flask", "foreign-token", *words]
        ours, theirs = pty.openpty()
        variables = environment(FLASK_APP="app", TERM="dumb", COLUMNS="200", NO_COLOR="1")
        with subprocess.Popen(
            command, cwd=self.folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as process:
            os.close(theirs)
            if answers:
                os.write(ours, answers.encode())
            text = self._read(ours, process, time.monotonic() + within)
        os.close(ours)
        return Said(process.returncode, ANSI.sub("", text))

    @staticmethod
    def _read(ours: int, process: subprocess.Popen[bytes], deadline: float) -> str:
        parts: list[bytes] = []
        while True:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"it waits: {b''.join(parts)!r}")
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when nobody has the other end open any more.
                break
            if not part:
                break
            parts.append(part)
        process.wait(30)
        return b"".join(parts).decode(errors="replace")

    def piped(self, *words: str, stdin: str = "") -> Said:
        """The same where nobody is at a terminal, with what it says on standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "foreign-token", *words],
            cwd=self.folder,
            env=environment(FLASK_APP="app"),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Said(done.returncode, done.stdout)

    def stored(self) -> str:
        return self.piped("export").text


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    folder = tmp_path / "clinic"
    folder.mkdir()
    return Terminal(folder)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write(tmp_path, "p.json", policy("readers", {"uri": "/x"}))


def test_apply_asks_nothing_where_nothing_is_deleted(terminal: Terminal, file: str):
    said = terminal.type("apply", file)

    assert said.status == 0, said.text
    assert "AccessPolicy/readers" in said.text
    assert "readers" in terminal.stored()


def test_apply_asks_nothing_with_yes(terminal: Terminal, file: str):
    assert terminal.type("apply", file, "--yes").status == 0
    assert "readers" in terminal.stored()


def test_a_dry_run_asks_nothing(terminal: Terminal, file: str):
    assert terminal.type("apply", file, "--dry-run").status == 0
    assert "readers" not in terminal.stored()


def test_what_changes_nothing_asks_nothing(terminal: Terminal, file: str):
    assert terminal.piped("apply", file, "--yes").status == 0

    assert terminal.type("apply", file).status == 0


@pytest.fixture
def other(terminal: Terminal, file: str, tmp_path: Path) -> str:
    """A file without the policy that is stored."""
    assert terminal.piped("apply", file).status == 0
    return write(tmp_path, "q.json", policy("writers", {"uri": "/y"}))


@pytest.mark.parametrize("answer", ["n\n", "\n"], ids=["no", "nothing"])
def test_prune_asks_and_does_nothing_without_a_yes(terminal: Terminal, other: str, answer: str):
    said = terminal.type("apply", other, "--prune", answers=answer)

    assert "AccessPolicy/readers" in said.text
    assert said.status != 0
    assert "readers" in terminal.stored()
    assert "writers" not in terminal.stored()


@pytest.mark.parametrize(("options", "answer"), [((), "y\n"), (("--yes",), "")], ids=["typed", "as an option"])
def test_prune_does_it_with_a_yes(terminal: Terminal, other: str, options, answer: str):
    said = terminal.type("apply", other, "--prune", *options, answers=answer)

    assert said.status == 0, said.text
    assert "readers" not in terminal.stored()
    assert "writers" in terminal.stored()


def test_prune_wants_a_yes_where_nobody_can_be_asked(terminal: Terminal, other: str):
    assert terminal.piped("apply", other, "--prune").status != 0
    assert "readers" in terminal.stored()
    assert "writers" not in terminal.stored()

    assert terminal.piped("apply", other, "--prune", "--yes").status == 0
    assert "readers" not in terminal.stored()


def test_rollback_asks_first(terminal: Terminal, file: str, tmp_path: Path):
    terminal.piped("apply", file, "--yes")
    terminal.piped("apply", write(tmp_path, "q.json", policy("readers", {"uri": "/other"})), "--yes")
    oldest = str(json.loads(terminal.piped("history", "AccessPolicy", "readers", "--json").text)[-1]["versionId"])

    refused = terminal.type("rollback", "AccessPolicy", "readers", oldest, answers="n\n")
    assert refused.status != 0
    assert "/other" in terminal.stored()

    assert terminal.type("rollback", "AccessPolicy", "readers", oldest, answers="y\n").status == 0
    assert "/other" not in terminal.stored()


def test_provider_add_asks_for_an_audience_and_for_nothing_that_it_finds(terminal: Terminal, own_issuer: Issuer):
    said = terminal.type("provider", "add", "keycloak", "--issuer", own_issuer.issuer, answers="account\n")

    assert said.status == 0, said.text
    assert "udience" in said.text
    stored = terminal.stored()
    assert "account" in stored
    assert own_issuer.jwks_uri in stored


def test_provider_add_asks_for_the_issuer(terminal: Terminal, own_issuer: Issuer):
    answers = f"{own_issuer.issuer}\naccount\n"

    said = terminal.type("provider", "add", "keycloak", answers=answers)

    assert said.status == 0, said.text
    assert own_issuer.jwks_uri in terminal.stored()


def test_provider_add_asks_nothing_where_everything_is_said(terminal: Terminal, own_issuer: Issuer):
    words = ("provider", "add", "keycloak", "--issuer", own_issuer.issuer, "--audience", "account")

    assert terminal.type(*words).status == 0


def test_provider_add_asks_nobody_where_nobody_is(terminal: Terminal, own_issuer: Issuer):
    said = terminal.piped("provider", "add", "keycloak", "--issuer", own_issuer.issuer)

    assert said.status == 1
    assert "keycloak" not in terminal.stored()


@pytest.mark.parametrize("words", [("apply", "--json"), ("apply",)], ids=["json", "people"])
def test_apply_asks_nobody_where_nobody_is(terminal: Terminal, file: str, words):
    command, *options = words

    assert terminal.piped(command, file, *options).status == 0
    assert "readers" in terminal.stored()


def test_progress_is_shown_where_somebody_looks_and_waits(terminal: Terminal, own_issuer: Issuer):
    own_issuer.delay = 1.6
    words = ("provider", "add", "keycloak", "--issuer", own_issuer.issuer, "--audience", "account")

    looked = terminal.type(*words)
    own_issuer.delay = 0.0
    quick = terminal.type(*words, "--replace")

    assert (looked.status, quick.status) == (0, 0), looked.text
    assert len(looked.text.splitlines()) > 0
    assert set(re.findall(r"[A-Za-z]{4,}", looked.text)) - set(re.findall(r"[A-Za-z]{4,}", quick.text))


def test_progress_stays_out_of_what_programs_read(terminal: Terminal, own_issuer: Issuer):
    own_issuer.delay = 1.2
    words = ("provider", "add", "keycloak", "--issuer", own_issuer.issuer, "--audience", "account", "--json")

    json.loads(terminal.piped(*words).text)


@pytest.mark.parametrize("command", ["apply", "export", "history", "rollback", "doctor", "list", "get", "delete"])
def test_every_command_has_a_help_with_an_example(terminal: Terminal, command: str):
    said = terminal.piped(command, "--help")

    assert said.status == 0
    assert "Example" in said.text
