"""What commands ask on a terminal, and what a plan looks like there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import policy, write_registry
from .commands import written
from .terminal import APP, on_a_terminal, uncoloured

ISSUER = "Issuer, which is the iss of its tokens: "
ID = "ID, under which it is stored: "
AUDIENCE = "Audience, which is what the aud of tokens for this app holds (Keycloak: account): "


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder with an app that has a policy."""
    (tmp_path / "clinic.py").write_text(APP)
    write_registry(tmp_path / "registry.json", [policy("old", {"uri": "/old"})])
    return tmp_path


def ids(clinic: Path) -> list[str]:
    return [body["id"] for body in json.loads((clinic / "registry.json").read_text())]


def introspector(clinic: Path) -> dict[str, object]:
    bodies: list[dict[str, object]] = json.loads((clinic / "registry.json").read_text())
    return next(body for body in bodies if body["resourceType"] == "TokenIntrospector")


def test_prune_shows_the_plan_and_asks(clinic: Path) -> None:
    file = written(clinic / "new.json", policy("new"))

    status, screen = on_a_terminal(clinic, "apply", "--prune", file, typed=b"n\n")

    lines = uncoloured(screen)
    begin = lines.index("would create AccessPolicy/new")
    assert lines[begin + 1] == "would delete AccessPolicy/old"
    assert lines[begin + 2].startswith("Delete AccessPolicy/old? [y/N]: ")
    assert (status, ids(clinic)) == (1, ["old"])
    assert lines[-1].endswith("nothing was changed.")


def test_prune_with_a_yes_does_what_was_shown(clinic: Path) -> None:
    file = written(clinic / "new.json", policy("new"))

    status, screen = on_a_terminal(clinic, "apply", "--prune", file, typed=b"y\n")

    assert (status, ids(clinic)) == (0, ["new"])
    assert uncoloured(screen)[-1].endswith("done: 1 created, 1 deleted")


def test_of_many_the_number_is_asked_about(clinic: Path) -> None:
    write_registry(clinic / "registry.json", [policy(f"p{number}") for number in range(6)])
    file = written(clinic / "new.json", policy("new"))

    _, screen = on_a_terminal(clinic, "apply", "--prune", file, typed=b"n\n")

    assert "Delete 6 resources? [y/N]: " in screen


def test_an_answer_that_never_comes_changes_nothing(clinic: Path) -> None:
    file = written(clinic / "new.json", policy("new"))

    status, screen = on_a_terminal(clinic, "apply", "--prune", file, typed=b"\x04")

    assert (status, ids(clinic)) == (1, ["old"])
    assert uncoloured(screen)[-1] == "Error: nothing was changed."


@pytest.mark.parametrize("options", [[], ["--prune", "--yes"], ["--prune", "--dry-run"]])
def test_nothing_is_asked_where_nothing_is_deleted_or_it_is_allowed(clinic: Path, options: list[str]) -> None:
    status, screen = on_a_terminal(clinic, "apply", *options, written(clinic / "new.json", policy("new")))

    assert (status, "[y/N]" in screen) == (0, False)


def test_a_plan_is_in_colours(clinic: Path) -> None:
    bodies = [policy("old", {"uri": "/new"}, description="d"), policy("new")]

    _, screen = on_a_terminal(clinic, "apply", written(clinic / "all.json", bodies))

    assert "\x1b[33mupdated\x1b[0m AccessPolicy/old" in screen
    assert '\x1b[33m  ~\x1b[0m matcho.uri: "/old" -> "/new"' in screen
    assert '\x1b[32m  +\x1b[0m description: "d"' in screen
    assert "\x1b[32mcreated\x1b[0m AccessPolicy/new" in screen


def test_long_values_are_cut_to_the_width(clinic: Path) -> None:
    body = policy("old", {"uri": "/" + "x" * 300}, description="y" * 300)

    _, screen = on_a_terminal(clinic, "apply", written(clinic / "all.json", body))

    lines = uncoloured(screen)
    changed = next(line for line in lines if "matcho.uri" in line)
    assert changed.startswith('  ~ matcho.uri: "/old" -> "/xxx')
    assert [len(line) for line in lines if line.endswith("…")] == [60, 60]


def test_control_characters_of_a_plan_do_not_reach_a_terminal(clinic: Path) -> None:
    body = policy("old", {"uri\x1b]0;x\x07": "a\x9b31m\u202e"})

    _, screen = on_a_terminal(clinic, "apply", "--dry-run", written(clinic / "all.json", body))

    assert "uri" in screen
    assert not any(sign in screen for sign in ("\x1b]", "\x07", "\x9b", "\u202e"))


def test_a_provider_is_asked_for_what_was_left_out(clinic: Path, issuer: Issuer) -> None:
    typed = f"keycloak\n{issuer.issuer}\nmy-api\n".encode()

    status, screen = on_a_terminal(clinic, "provider", "add", typed=typed)

    assert status == 0, screen
    assert -1 < screen.find(ID) < screen.find(ISSUER) < screen.find(AUDIENCE)
    assert ids(clinic)[1:] == ["keycloak", "keycloak-jwt-introspector"]
    assert introspector(clinic)["jwt"] == {"iss": issuer.issuer, "aud": "my-api"}


def test_only_what_was_left_out_is_asked_for(clinic: Path, issuer: Issuer) -> None:
    words = ["provider", "add", "keycloak", "--issuer", issuer.issuer]

    status, screen = on_a_terminal(clinic, *words, typed=b"account\n")

    assert status == 0, screen
    assert (ISSUER in screen, ID in screen, AUDIENCE in screen) == (False, False, True)


@pytest.mark.parametrize("option", [["--audience", "a"], ["--client-id", "c"]])
def test_nothing_is_asked_where_nothing_is_missing(clinic: Path, issuer: Issuer, option: list[str]) -> None:
    words = ["provider", "add", "keycloak", "--issuer", issuer.issuer, *option]

    status, screen = on_a_terminal(clinic, *words)

    assert (status, "Audience" in screen) == (0, False)


def test_the_example_of_an_audience_is_no_answer(clinic: Path, issuer: Issuer) -> None:
    words = ["provider", "add", "keycloak", "--issuer", issuer.issuer]

    status, screen = on_a_terminal(clinic, *words, typed=b"\n  \nmine\n")

    assert (status, screen.count(AUDIENCE)) == (0, 3)
    assert introspector(clinic)["jwt"] == {"iss": issuer.issuer, "aud": "mine"}


def test_an_id_that_could_not_be_stored_is_asked_for_again(clinic: Path, issuer: Issuer) -> None:
    words = ["provider", "add", "--issuer", issuer.issuer, "--audience", "account"]

    status, screen = on_a_terminal(clinic, *words, typed=b"no id\nkeycloak\n")

    assert (status, screen.count(ID)) == (0, 2)
    assert ids(clinic)[1:] == ["keycloak", "keycloak-jwt-introspector"]


def test_an_issuer_that_could_not_be_asked_is_asked_for_again(clinic: Path, issuer: Issuer) -> None:
    words = ["provider", "add", "keycloak", "--audience", "account"]
    typed = f"clinic\nhttp://idp.example/realms/x\n{issuer.issuer}\n".encode()

    status, screen = on_a_terminal(clinic, *words, typed=typed)

    assert (status, screen.count(ISSUER)) == (0, 3)
    assert screen.count("FOREIGN_TOKEN_ALLOW_HTTP_HOSTS") == 2
    assert ids(clinic)[1:] == ["keycloak", "keycloak-jwt-introspector"]


def test_what_is_wrong_with_an_option_is_no_fault_of_the_answer(clinic: Path, issuer: Issuer) -> None:
    words = ["provider", "add", "keycloak", "--audience", "account", "--backchannel", "http://idp.example"]

    status, screen = on_a_terminal(clinic, *words, typed=f"{issuer.issuer}\n".encode())

    assert (status, screen.count(ISSUER)) == (1, 1)
    assert "--backchannel: must be https" in screen


@pytest.mark.parametrize("typed", [b"\x04", b"keycloak\n\x04"], ids=["at once", "after an answer"])
def test_whoever_answers_no_more_is_told_that_nothing_was_stored(clinic: Path, typed: bytes) -> None:
    status, screen = on_a_terminal(clinic, "provider", "add", typed=typed)

    assert (status, ids(clinic)) == (1, ["old"])
    assert uncoloured(screen)[-1] == "Error: nothing was stored."
