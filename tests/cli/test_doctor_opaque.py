"""What `doctor` says of introspectors that ask about opaque tokens, and of those that belong to no provider."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import Resource, policy, without
from ..conftest import MakeApp
from ..diagnosis.checking import issuing
from .commands import fill, run

SECRET = "my-client-secret"
LOGIN = ["--client-id", "my-client", "--client-secret", SECRET, "--username", "testuser", "--password", "testpass123"]


@pytest.fixture(scope="module")
def hidden() -> Iterator[Issuer]:
    """An issuer that is not at the address it is called by."""
    with Issuer("http://localhost:1/realms/myrealm") as issuer:
        yield issuer


def opaque(issuer: Issuer, **endpoint: object) -> list[Resource]:
    """`issuer` asked about opaque tokens; `endpoint` adds to who is asked, and as whom."""
    described, asked = issuer.resources(kind="opaque")
    asked["introspection_endpoint"] = {**as_object(asked["introspection_endpoint"]), **endpoint}
    return [described, asked, policy("all")]


def as_object(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_a_provider_of_opaque_tokens_that_is_well_ends_with_success(empty_app: Flask, issuer: Issuer) -> None:
    result = run(fill(empty_app, opaque(issuer)), "doctor", "keycloak", *LOGIN)

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\n13 ok\n")
    assert "ok       introspection" in result.stdout


def test_a_credential_that_is_refused_is_printed_with_the_command_that_mends_it(
    empty_app: Flask, own_issuer: Issuer
) -> None:
    app = fill(empty_app, opaque(own_issuer, client_secret="wrong-secret"))

    result = run(app, "doctor")

    assert result.exit_code == 1
    assert "failed   introspection" in result.stdout
    assert "refuses" in result.stdout
    get = "get TokenIntrospector keycloak-opaque-introspector"
    assert f"\n(umask 077; flask foreign-token {get} >edited.yaml)\n" in result.stdout
    assert "\nflask foreign-token apply edited.yaml && rm edited.yaml\n" in result.stdout
    assert own_issuer.requests["introspection"] == 1
    assert "wrong-secret" not in result.output


def test_no_opaque_token_and_no_credential_is_printed(make_app: MakeApp, issuer: Issuer) -> None:
    token = issuer.opaque_token(sub="ann")
    with issuing(token) as token_endpoint:
        described, *rest = opaque(issuer)
        app = fill(make_app([]), [{**described, "token_endpoint": token_endpoint}, *rest])
        output = run(app, "doctor", "keycloak", *LOGIN).output + run(app, "doctor", "keycloak", *LOGIN, "--json").output

    assert "takes it" in output
    for secret in (token, SECRET, "testpass123", "Basic ", "ann"):
        assert secret not in output


def test_json_has_the_same_form_for_every_finding(make_app: MakeApp, issuer: Issuer) -> None:
    app = fill(make_app([]), opaque(issuer, client_secret="wrong-secret"))

    entries = json.loads(run(app, "doctor", "--json").stdout)

    assert {tuple(entry) for entry in entries} == {("provider", "check", "mark", "found", "remedy", "command")}
    [refused] = [entry for entry in entries if entry["mark"] == "failed"]
    assert refused["check"] == "introspection"
    assert len(refused["command"]) == 3


# ---- introspectors without a provider


def alone(issuer: Issuer, **attributes: object) -> Resource:
    return {**without(opaque(issuer)[1], "identity_provider"), "id": "alone", **attributes}


def test_an_introspector_that_belongs_to_no_provider_is_checked_when_no_provider_is_named(
    empty_app: Flask, own_issuer: Issuer, hidden: Issuer
) -> None:
    app = fill(empty_app, [alone(own_issuer), *hidden.resources("b"), policy("all")])

    everything, named = run(app, "doctor"), run(app, "doctor", "b")

    assert everything.exit_code == 0, everything.output
    headings = [line for line in everything.stdout.splitlines() if not line.startswith(" ")]
    assert headings[:-1] == ["IdentityProvider/b", "TokenIntrospector/alone"]
    assert "failed" not in headings[-1]
    assert "alone" not in named.stdout
    assert own_issuer.requests["introspection"] == 1


def test_it_needs_no_provider_beside_it(empty_app: Flask, own_issuer: Issuer) -> None:
    app = fill(empty_app, [alone(own_issuer), policy("all")])

    well = run(app, "doctor")
    with own_issuer.fail("introspection", 403):
        refused = run(app, "doctor", "--json")

    assert (well.exit_code, refused.exit_code) == (0, 1), well.output
    assert " trust " not in well.stdout
    assert {entry["provider"] for entry in json.loads(refused.stdout)} == {None}
