"""What README.md shows is run, and what it lists is compared with the code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from example_app import demo
from example_app.providers import CALLED
from flask_foreign_token import errors
from flask_foreign_token.settings import PREFIX, Settings
from flask_foreign_token.testing import Issuer

from .apps import ask, database_of, users_in

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ISSUER = "http://localhost:8180/realms/myrealm"
VARYING = {
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "UUID",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


APP, GUARDS, TESTS = blocks("python")
RESOURCES, POLICY = blocks("json")

MakeReadme = Callable[..., Flask]


@pytest.fixture
def make_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeReadme]:
    """Makes README's app in a folder of its own, with what else stands in `code` and in `resources`."""
    made: list[Flask] = []

    def make(issuer: Issuer | None = None, *, code: str = "", resources: str = RESOURCES) -> Flask:
        if issuer is not None:
            monkeypatch.setenv("PROVIDER_URL", issuer.url)
        (tmp_path / "resources.json").write_text(resources, encoding="utf-8")
        (tmp_path / "app.py").write_text(APP + code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("readme", tmp_path / "app.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "readme", module)
        spec.loader.exec_module(module)
        made.append(module.app)
        return module.app

    yield make
    for app in made:
        with app.app_context():
            database_of(app).engine.dispose()


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Issuer]:
    with Issuer(ISSUER) as issuer:
        yield issuer


def test_the_app_lets_a_token_in_and_keeps_its_user(make_readme: MakeReadme, keycloak: Issuer) -> None:
    app = make_readme(keycloak)

    answer = ask(app, keycloak.token(sub="alice"), "/me")

    assert answer.status_code == 200
    assert answer.json["subject"] == answer.json["user"]["sub"] == "alice"
    assert users_in(app) == 1


def test_the_app_refuses_a_request_without_a_token(make_readme: MakeReadme, keycloak: Issuer) -> None:
    assert ask(make_readme(keycloak), None, "/me").status_code == 401


def test_the_app_refuses_a_token_of_another_issuer(make_readme: MakeReadme, keycloak: Issuer, issuer: Issuer) -> None:
    assert ask(make_readme(keycloak), issuer.token(), "/me").status_code == 401


def test_its_resources_are_those_of_the_example_with_an_audience() -> None:
    provider, introspector, policy = json.loads(RESOURCES)
    assert introspector["jwt"].pop("aud") == "account"
    example = (ROOT / "example_app/resources.yaml").read_text(encoding="utf-8")
    example = example.replace(CALLED, "${PROVIDER_URL:-" + ISSUER + "}")
    assert [provider, introspector, policy] == list(yaml.safe_load_all(example))


def test_its_guards_hold(make_readme: MakeReadme, keycloak: Issuer) -> None:
    app = make_readme(keycloak, code=GUARDS)

    assert ask(app, None, "/reports/").status_code == 401
    assert ask(app, keycloak.token(), "/reports/").status_code == 200
    assert ask(app, keycloak.token(scope="profile"), "/fhir/Patient").status_code == 200
    assert ask(app, keycloak.token(scope="email"), "/fhir/Patient").json["error"] == "insufficient_scope"


def test_its_policy_lets_in_whom_it_describes(make_readme: MakeReadme, keycloak: Issuer) -> None:
    provider, introspector, _ = json.loads(RESOURCES)
    resources = json.dumps([provider, introspector, json.loads(POLICY)])
    view = '\n@app.get("/fhir/Observation")\n@require_policy\ndef observations():\n    return []\n'
    app = make_readme(keycloak, code=view, resources=resources)

    doctor = keycloak.token(realm_access={"roles": ["doctor"]})

    assert ask(app, doctor, "/fhir/Observation").status_code == 200
    assert ask(app, doctor, "/me").status_code == 403
    assert ask(app, keycloak.token(), "/fhir/Observation").status_code == 403


def test_its_tests_pass(tmp_path: Path) -> None:
    for name, text in (("app.py", APP), ("resources.json", RESOURCES), ("test_app.py", TESTS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "flask_foreign_token.pytest_plugin", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "2 passed" in run.stdout, run.stdout


def test_the_demo_ends_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = blocks("text")

    demo.main([])

    assert _settled(capsys.readouterr().out).endswith(_settled(shown))


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z]\w*)", "\n".join(_commands(README))))

    assert {"demo", "test"} <= shown <= targets


@pytest.mark.parametrize(("arguments", "measured"), [([], True), (["ARGS=-k matcho"], False)])
def test_a_part_of_the_tests_is_held_to_no_coverage(arguments: list[str], measured: bool) -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "test", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # without the arguments of the make that runs this
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert "-m pytest" in planned
    assert ("coverage" in planned) is measured


def test_it_has_a_row_for_every_setting() -> None:
    rows = [line for line in README.splitlines() if line.startswith(f"| `{PREFIX}")]

    assert rows == [_row(setting) for setting in fields(Settings)]


def test_it_has_a_row_for_every_refusal() -> None:
    shown = {(int(status), error) for status, error in re.findall(r"\| (\d{3}) \| `(\w+)` \|$", README, re.MULTILINE)}

    refusals = {
        (kind.code, kind.error)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.Refusal) and kind is not errors.Refusal
    }

    assert shown == refusals


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGES.md"])
def test_its_links_lead_to_files(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)

    assert [link for link in links if not (ROOT / link).exists()] == []


def _row(setting: Field[Any]) -> str:
    default = f"`{setting.default!r}`" if setting.default is not None else f"none; `{setting.metadata['works']}`"
    return f"| `{PREFIX}{setting.name.upper()}` | {default} | {setting.metadata['meaning']} |"


def _settled(text: str) -> str:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text


def _commands(text: str) -> list[str]:
    """What is to be typed: lines after a prompt, and texts in backticks that begin with ``make``."""
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE) + re.findall(r"`(make [^`]+)`", text)
