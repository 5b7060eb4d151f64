"""What a terminal gets, and what a pipe gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from ..apps import environment, introspector, policy, provider, write_registry
from .commands import fill, run
from .terminal import APP, on_a_terminal, uncoloured

DESCRIPTION = "red \x1b[31m and a title \x1b]0;x\x07 and \x9b31m and \u202e turned"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder with an app whose policies have names and texts that a terminal would not like."""
    (tmp_path / "clinic.py").write_text(APP)
    resources = [policy("p" * 64, description=DESCRIPTION), policy("other")]
    write_registry(tmp_path / "registry.json", resources)
    return tmp_path


@pytest.mark.parametrize("command", [["list", "AccessPolicy"], ["get", "AccessPolicy", "p" * 64], ["export"]])
def test_control_characters_of_what_is_stored_do_not_reach_a_terminal(clinic: Path, command: list[str]) -> None:
    status, screen = on_a_terminal(clinic, *command)

    assert status == 0
    assert not any(sign in screen for sign in ("\x1b[31m", "\x1b]", "\x07", "\x9b", "\u202e"))


def test_a_narrow_terminal_breaks_no_id_itself(clinic: Path) -> None:
    _, screen = on_a_terminal(clinic, "list", "AccessPolicy")

    assert "p" * 64 in uncoloured(screen)


@pytest.mark.parametrize("id_", ["keycloak-jwt-introspector", "i" * 64])
def test_a_terminal_of_eighty_columns_breaks_no_id(clinic: Path, id_: str) -> None:
    jwt = {"iss": "https://login.example.com/realms/a-clinic-with-a-long-name", "aud": "https://api.example.com"}
    write_registry(clinic / "registry.json", [introspector(id_, None, jwt=jwt, jwks_uri="https://keys.example.com/k")])

    _, screen = on_a_terminal(clinic, "list", "TokenIntrospector", columns=80)

    lines = uncoloured(screen)
    assert [line for line in lines if id_ in line] == [lines[-1]]
    assert max(map(len, lines)) <= 80


def test_what_has_no_room_beside_the_ids_is_shortened(clinic: Path) -> None:
    write_registry(clinic / "registry.json", [policy("readers", description="Everybody who " + "reads and " * 20)])

    _, screen = on_a_terminal(clinic, "list", "AccessPolicy", columns=80)

    lines = uncoloured(screen)
    assert lines[-1].split()[:3] == ["readers", "allow", "Everybody"]
    assert (lines[-1].endswith("…"), len(lines[-1]) > 75) == (True, True)


def test_a_deletion_on_a_terminal_is_asked_about(clinic: Path) -> None:
    refused, screen = on_a_terminal(clinic, "delete", "AccessPolicy", "other", typed=b"n\n")
    assert (refused, "Delete AccessPolicy/other? [y/N]" in screen, "nothing was changed." in screen) == (1, True, True)
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

    lines = uncoloured(screen)
    assert status == 1
    assert "flask --app clinic foreign-token apply - <<'EOF'" in lines
    assert all(len(line) <= 60 or len(line.split()) == 1 for line in lines)
