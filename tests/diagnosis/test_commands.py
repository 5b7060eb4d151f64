"""The commands that are printed, typed into a shell."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from flask_foreign_token.diagnosis.commands import applying, rewriting, storing
from flask_foreign_token.documents import read_yaml

KEY = ("TokenIntrospector", "o")
STORED = "resourceType: TokenIntrospector\nid: o\nsecret: '********'\n"
PROGRAM = """#!/bin/sh
case "$1" in
get) echo "$@" >>asked; cat stored ;;
apply) cat -- "$(test "$2" = - && echo /dev/stdin || echo "$2")" >applied ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the program is a file that notes what it is told."""
    (tmp_path / "program").write_text(PROGRAM)
    (tmp_path / "program").chmod(0o755)
    (tmp_path / "stored").write_text(STORED)
    return tmp_path


def applied(folder: Path, command: Sequence[str], **environment: str) -> object:
    """What the program was given to apply."""
    text = "set -e\n" + "\n".join(command) + "\n"
    values = {"PATH": "/usr/bin:/bin", **environment}
    subprocess.run(["/bin/sh", "-c", text], cwd=folder, env=values, check=True, timeout=30, capture_output=True)
    return read_yaml((folder / "applied").read_bytes())


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example/certs",
        "https://x/it's;touch${IFS}evil;$(touch%20evil)`id`&|x",
        "https://x/a:",
        "https://x/?a=1",
    ],
)
def test_an_address_is_added_to_what_is_stored_and_nothing_else_happens(folder: Path, address: str) -> None:
    body = applied(folder, storing("./program", KEY, "jwks_uri", address))

    assert body == {"resourceType": "TokenIntrospector", "id": "o", "secret": "********", "jwks_uri": address}
    assert (folder / "asked").read_text() == "get TokenIntrospector o\n"
    assert {path.name for path in folder.iterdir()} == {"program", "stored", "asked", "applied"}


def test_a_long_address_is_not_for_pasting() -> None:
    assert storing("./program", KEY, "jwks_uri", f"https://id.example/{'a' * 200}") == ()


def test_a_resource_is_edited_by_hand_and_what_was_written_does_not_stay(folder: Path) -> None:
    editor = folder / "editor"
    editor.write_text('#!/bin/sh\nls -l "$1" >listed\nsed -i "s/\'[*]*\'/new/" "$1"\n')
    editor.chmod(0o755)

    body = applied(folder, rewriting("./program", KEY), EDITOR="./editor")

    assert body == {"resourceType": "TokenIntrospector", "id": "o", "secret": "new"}
    assert (folder / "listed").read_text().startswith("-rw-------")
    assert not (folder / "edited.yaml").exists()


def test_a_resource_is_stored_as_it_is_shown(folder: Path) -> None:
    body: Mapping[str, object] = {"resourceType": "AccessPolicy", "id": "p", "matcho": {"token": {"iss": "$(id)'"}}}

    assert applied(folder, applying("./program", body)) == body
