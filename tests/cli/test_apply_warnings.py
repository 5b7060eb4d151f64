"""What ``flask foreign-token apply`` warns of, and refuses with ``--strict``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from ..apps import SECRET, policy, provider, trusting_a_secret
from ..conftest import MakeApp
from .commands import NAMES, fill, refused, run, stored, written

RIGHT = policy("right", {"jwt": {"iss": "https://issuer.example"}})
UPPER_CASE = policy("upper", {"jwt": "present?", "request-method": "GET"})
EVERYBODY = policy("everybody")

UPPER_CASE_SAID = 'AccessPolicy/upper matcho.request-method: methods are lower case, so no request has "GET"; say "get"'
EVERYBODY_SAID = "AccessPolicy/everybody engine: lets everybody into every view"


def test_what_is_probably_not_meant_is_stored_and_warned_of(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", written(tmp_path / "all.json", [UPPER_CASE, RIGHT, EVERYBODY]))

    assert result.exit_code == 0
    first, second = result.stderr.splitlines()[-2:]
    assert first == f"warning: {UPPER_CASE_SAID}"
    assert second.startswith(f"warning: {EVERYBODY_SAID}")
    assert result.stdout.splitlines() == [f"created AccessPolicy/{name}" for name in ("upper", "right", "everybody")]


def test_what_is_right_is_stored_without_a_word(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", written(tmp_path / "all.json", [RIGHT, provider()]))

    assert (result.exit_code, "warning" in result.stderr) == (0, False)


def test_programs_get_nothing_but_json_on_stdout(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", "--json", written(tmp_path / "all.json", [UPPER_CASE]))

    assert [entry["id"] for entry in json.loads(result.stdout)] == ["upper"]
    assert f"warning: {UPPER_CASE_SAID}" in result.stderr


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["for people", "for programs"])
def test_strict_refuses_what_is_warned_of_and_names_all_of_it(
    empty_app: Flask, tmp_path: Path, options: list[str]
) -> None:
    files = [written(tmp_path / "a.json", [RIGHT, UPPER_CASE]), written(tmp_path / "b.json", EVERYBODY)]

    reason = refused(empty_app, "apply", "--strict", *options, *files)

    assert "nothing was changed" in reason
    assert f"{files[0]} {UPPER_CASE_SAID}" in reason
    assert f"{files[1]} {EVERYBODY_SAID}" in reason
    assert stored(fill(empty_app, [])) == []


def test_strict_names_what_is_wrong_as_well(empty_app: Flask, tmp_path: Path) -> None:
    wrong = policy("wrong", {"$or": []})

    reason = refused(empty_app, "apply", "--strict", written(tmp_path / "all.json", [UPPER_CASE, wrong]))

    assert "AccessPolicy/wrong matcho.$or: there is no such operator" in reason
    assert UPPER_CASE_SAID in reason


def test_strict_stores_what_is_right(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", "--strict", written(tmp_path / "all.json", [RIGHT, provider()]))

    assert (result.exit_code, stored(empty_app)) == (0, ["IdentityProvider/keycloak", "AccessPolicy/right"])


def test_what_is_wrong_is_refused_without_warnings(empty_app: Flask, tmp_path: Path) -> None:
    reason = refused(empty_app, "apply", written(tmp_path / "all.json", [UPPER_CASE, policy("wrong", {"$or": []})]))

    assert "warning" not in reason
    assert "lower case" not in reason


@pytest.mark.parametrize("options", [[], ["--strict"]], ids=["lenient", "strict"])
def test_what_is_stored_already_is_not_warned_of(empty_app: Flask, tmp_path: Path, options: list[str]) -> None:
    fill(empty_app, [UPPER_CASE, EVERYBODY])

    result = run(empty_app, "apply", *options, written(tmp_path / "all.json", RIGHT))

    assert (result.exit_code, "warning" in result.stderr) == (0, False)


def test_no_control_character_of_a_policy_reaches_the_terminal(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", written(tmp_path / "all.json", policy("p", {"jwt": {"a\u001b[31m\n": "^x"}})))

    assert r"warning: AccessPolicy/p matcho.jwt.a\x1b[31m\n: reads like" in result.stderr


def test_list_does_not_warn(empty_app: Flask) -> None:
    fill(empty_app, [UPPER_CASE])

    result = run(empty_app, "list", "AccessPolicy")

    assert (result.exit_code, "warning" in result.stderr) == (0, False)


def test_a_secret_that_stands_in_the_database_is_warned_of_and_not_told(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()

    result = run(app, "apply", written(tmp_path / "all.json", trusting_a_secret()))

    assert stored(app) == NAMES
    warning = next(line for line in result.stderr.splitlines() if "TokenIntrospector/secret jwt.secret: " in line)
    assert '{"file": "/run/secrets/' in warning
    assert SECRET not in result.output


def test_strict_refuses_a_secret_that_stands_in_the_database(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()

    reason = refused(app, "apply", "--strict", written(tmp_path / "all.json", trusting_a_secret()))

    assert "TokenIntrospector/secret jwt.secret: " in reason
    assert stored(app) == []


def test_a_secret_that_is_named_is_not_warned_of(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    resources = trusting_a_secret(jwt={"secret": {"env": "CLINIC_SECRET"}})

    result = run(make_app(), "apply", "--strict", written(tmp_path / "all.json", resources))

    assert (result.exit_code, "jwt.secret" in result.stderr) == (0, False)
