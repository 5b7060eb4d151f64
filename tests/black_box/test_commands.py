"""The commands that show and delete resources, on the database and on a file alike."""

from __future__ import annotations

import json

import pytest
import yaml
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, registry_of, trusting
from ..conftest import MakeApp
from .callers import (
    OPERATOR_SETTINGS,
    REGISTRY_TYPES,
    SECRETS,
    linked,
    parsed,
    put_all,
    run,
    secret_introspector,
    secret_provider,
    write,
)

RESOURCES = [
    secret_provider(),
    secret_introspector(identity_provider={"reference": "IdentityProvider/acme"}),
    policy("readers", {"request-method": "get"}),
    linked("writers", "Operation/patients"),
]
IDS = {"IdentityProvider": "acme", "TokenIntrospector": "acme-tokens", "AccessPolicy": "readers"}


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    if request.param == "file":
        return make_app(RESOURCES, **OPERATOR_SETTINGS)
    app = make_app(**OPERATOR_SETTINGS)
    put_all(app, RESOURCES)
    return app


def state(app: Flask) -> object:
    return parsed(app, "export")


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_list_shows_the_ids_of_a_type(app: Flask, name):
    assert IDS[name] in run(app, "list", name).stdout


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_list_as_json_is_an_array_of_resources(app: Flask, name):
    listed = parsed(app, "list", name)

    assert IDS[name] in [resource["id"] for resource in listed]
    assert {resource["resourceType"] for resource in listed} == {name}


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_get_prints_yaml_and_json_of_the_same(app: Flask, name):
    as_json = parsed(app, "get", name, IDS[name])

    assert yaml.safe_load(run(app, "get", name, IDS[name]).stdout) == as_json
    assert (as_json["resourceType"], as_json["id"]) == (name, IDS[name])


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("style", [[], ["--json"]], ids=["yaml", "json"])
def test_what_get_prints_can_be_applied_and_changes_nothing(app: Flask, name, style):
    before = state(app)
    shown = run(app, "get", name, IDS[name], *style).stdout

    said = parsed(app, "apply", "-", stdin=shown)

    assert [one["outcome"] for one in said] == ["unchanged"]
    assert state(app) == before


@pytest.mark.parametrize("style", [[], ["--json"]], ids=["yaml", "json"])
def test_what_export_prints_can_be_applied_and_changes_nothing(app: Flask, style):
    before = state(app)

    said = parsed(app, "apply", "-", stdin=run(app, "export", *style).stdout)

    assert len(said) == len(RESOURCES)
    assert {one["outcome"] for one in said} == {"unchanged"}
    assert state(app) == before


def test_export_leaves_times_and_versions_out(app: Flask):
    assert not [resource for resource in state(app) if "meta" in resource]


@pytest.mark.parametrize("words", [["export"], ["list", "{}"], ["get", "{}", "*"]], ids=lambda words: words[0])
@pytest.mark.parametrize("style", [[], ["--json"]], ids=["people", "json"])
def test_no_command_prints_a_secret(app: Flask, words, style):
    for name in REGISTRY_TYPES:
        said = run(app, *[word.format(name).replace("*", IDS[name]) for word in words], *style).output
        assert not [secret for secret in SECRETS if secret in said]


def test_delete_removes_all_that_are_named(app: Flask):
    run(app, "delete", "AccessPolicy", "readers", "writers", "--yes")

    assert parsed(app, "list", "AccessPolicy") == []


def test_delete_as_json_says_what_it_did(app: Flask):
    said = parsed(app, "delete", "AccessPolicy", "readers", "--yes")

    assert [(one["resourceType"], one["id"], one["outcome"]) for one in said] == [
        ("AccessPolicy", "readers", "deleted")
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("get", "AccessPolicy", "nothing"), "AccessPolicy/nothing"),
        (("get", "Patient", "x"), "Patient"),
        (("list", "Patient"), "Patient"),
        (("list",), "TYPE"),
        (("delete", "AccessPolicy", "readers", "nothing", "--yes"), "AccessPolicy/nothing"),
        (("delete", "AccessPolicy"), "ID"),
        (("delete", "IdentityProvider", "acme", "--yes"), "TokenIntrospector/acme-tokens"),
        (("get", "AccessPolicy", "../readers"), "readers"),
        (("apply",), "FILE"),
        (("apply", "/nowhere/to/be/found.yaml"), "/nowhere/to/be/found.yaml"),
        (("apply", "/tmp"), "/tmp"),
        (("nonsense",), "nonsense"),
        (("list", "AccessPolicy", "--nonsense"), "--nonsense"),
        (("users", "show", "nobody"), "nobody"),
        (("users", "deactivate", "nobody"), "nobody"),
        (("users", "activate", "nobody"), "nobody"),
        (("users", "list", "--limit", "0"), "limit"),
        (("users", "list", "--offset", "-1"), "offset"),
        (("provider", "add", "x"), "issuer"),
        (("doctor", "nothing"), "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_failure_ends_with_status_1_says_why_and_changes_nothing(app: Flask, words, reason):
    before = state(app)

    result = run(app, *words, status=1)

    assert reason in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert state(app) == before


@pytest.mark.parametrize("words", [(), ("users",), ("provider",), ("list",), ("apply",), ("doctor",), ("export",)])
def test_help_is_given_with_status_0(app: Flask, words):
    assert "Usage" in run(app, *words, "--help").stdout


def test_a_type_may_be_written_in_any_case(app: Flask):
    assert parsed(app, "list", "tokenintrospector") == parsed(app, "list", "TokenIntrospector")


def test_a_deleted_introspector_ends_its_tokens_at_once(make_app: MakeApp, issuer: Issuer):
    app = make_app()
    run(app, "apply", "-", stdin=json.dumps(trusting(issuer)))
    token = issuer.token()
    assert ask(app, token).status_code == 200

    run(app, "delete", "TokenIntrospector", "keycloak-jwt", "--yes")

    assert ask(app, token).status_code == 401


def test_commands_need_no_operator_and_no_prefix(make_app: MakeApp):
    app = make_app()

    assert parsed(app, "list", "AccessPolicy") == []
    assert parsed(app, "export") == []


def test_commands_work_while_an_app_has_an_unfit_file(make_app: MakeApp, tmp_path):
    app = make_app("{", **OPERATOR_SETTINGS)

    result = run(app, "list", "AccessPolicy", status=1)

    assert registry_of(app).name in result.output
    result = run(app, "apply", write(tmp_path, "p.json", policy("x")), status=1)
    assert registry_of(app).read_text() == "{"
