"""What the doctor finds, with an issuer that stands in for a provider."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import Resource, policy, trusting
from .callers import Operated, everything, parsed, run

CLIENT = ("--client-id", "my-client", "--client-secret", "my-client-secret")
PERSON = ("--username", "testuser", "--password", "testpass123")


@pytest.fixture
def app(operated: Operated, own_issuer: Issuer) -> Flask:
    app = operated()
    run(app, "provider", "add", "keycloak", "--issuer", own_issuer.issuer, "--audience", "account")
    run(app, "apply", "-", stdin=json.dumps(policy("all", {"jwt": {"iss": own_issuer.issuer}})))
    return app


def checks(app: Flask, *words: str, status: int = 0) -> dict[str, str]:
    return {one["check"]: one["mark"] for one in parsed(app, "doctor", *words, status=status)}


def test_all_is_well(app: Flask):
    marks = checks(app, "keycloak", *CLIENT, *PERSON)

    assert set(marks.values()) == {"ok"}
    assert {"discovery", "keys", "clock"} <= set(marks)
    assert len(marks) >= 7


def test_without_an_id_every_provider_is_looked_at(app: Flask):
    assert {one["provider"] for one in parsed(app, "doctor")} == {"keycloak", None}


def test_people_get_a_line_for_each_check(app: Flask):
    said = run(app, "doctor", "keycloak", *CLIENT, *PERSON).stdout

    assert "my-client-secret" not in said
    assert "testpass123" not in said
    for check in ("discovery", "keys", "clock", "client credentials", "password", "userinfo"):
        assert check in said


def test_nothing_is_stored(app: Flask):
    before = everything(app)

    run(app, "doctor", "keycloak", *CLIENT, *PERSON)

    assert everything(app) == before


@pytest.mark.parametrize("words", [("keycloak",), ("keycloak", *CLIENT)])
def test_a_provider_that_is_down_is_found_with_the_tutorials_remedy(app: Flask, own_issuer: Issuer, words):
    with own_issuer.down():
        said = run(app, "doctor", *words, status=1).output

    assert "extra_hosts" in said
    assert "keycloak:8080" in said


@pytest.mark.parametrize(
    ("words", "check"),
    [
        ((*CLIENT[:3], "wrong-secret"), "client"),
        (("--client-id", "nobody", "--client-secret", "wrong-secret"), "client"),
        ((*CLIENT, "--username", "testuser", "--password", "wrong-password"), "password"),
    ],
)
def test_a_wrong_credential_is_found_and_not_repeated(app: Flask, words, check):
    result = run(app, "doctor", "keycloak", *words, status=1)

    assert check in result.output
    assert words[-1] not in result.output
    assert "failed" in result.output


@pytest.mark.parametrize("endpoint", ["jwks", "userinfo", "token", "discovery"])
def test_an_endpoint_that_fails_is_found(app: Flask, own_issuer: Issuer, endpoint):
    with own_issuer.fail(endpoint, 500):
        result = run(app, "doctor", "keycloak", *CLIENT, *PERSON, status=1)

    assert "500" in result.output
    assert "Traceback" not in result.output


def test_an_audience_that_its_tokens_have_not_is_found(app: Flask, own_issuer: Issuer):
    words = ("provider", "add", "keycloak", "--issuer", own_issuer.issuer, "--audience", "another", "--replace")
    run(app, *words)

    assert "audience" in run(app, "doctor", "keycloak", *CLIENT, status=1).stdout


def test_a_missing_policy_is_found(operated: Operated, own_issuer: Issuer):
    app = operated(trusting(own_issuer)[:2])

    said = run(app, "doctor", "keycloak", status=None).stdout

    assert "policy" in said
    assert "flask foreign-token apply" in said


def test_the_secret_may_come_from_the_environment(app: Flask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCTOR_CLIENT_SECRET", "my-client-secret")

    assert checks(app, "keycloak", "--client-id", "my-client")["client credentials"] == "ok"


def test_the_secret_may_be_typed(app: Flask):
    result = run(app, "doctor", "keycloak", "--client-id", "my-client", "--client-secret", stdin="my-client-secret\n")

    assert "my-client-secret" not in result.output


def test_no_token_is_printed_or_logged(app: Flask, caplog):
    caplog.set_level("DEBUG")

    said = (
        run(app, "doctor", "keycloak", *CLIENT, *PERSON).output
        + run(app, "doctor", "keycloak", *CLIENT, *PERSON, "--json").output
    )

    assert "eyJ" not in said
    own = "".join(record.getMessage() for record in caplog.records if record.name.startswith("flask_foreign_token"))
    assert "eyJ" not in own
    assert "my-client-secret" not in own


# ---- opaque tokens


def asked(issuer: Issuer, secret: str = "my-client-secret") -> list[Resource]:
    """A provider that is asked about opaque tokens, with that secret."""
    provider, introspector = issuer.resources(kind="opaque")
    endpoint = {"url": issuer.introspection_endpoint, "client_id": "my-client", "client_secret": secret}
    return [provider, {**introspector, "introspection_endpoint": endpoint}, policy("all")]


def test_an_endpoint_that_lets_the_app_ask_is_well(operated: Operated, own_issuer: Issuer):
    marks = checks(operated(asked(own_issuer)), "keycloak", *CLIENT, *PERSON)

    assert set(marks.values()) == {"ok"}
    assert "introspection" in marks


def test_an_endpoint_that_refuses_the_apps_credential_is_found(operated: Operated, own_issuer: Issuer):
    app = operated(asked(own_issuer, "wrong-secret"))

    said = run(app, "doctor", "keycloak", status=1).output

    assert "client_secret" in said
    assert "flask foreign-token get TokenIntrospector" in said
    assert "wrong-secret" not in said


@pytest.mark.parametrize("status", [404, 500])
def test_an_endpoint_that_answers_nonsense_is_found(operated: Operated, own_issuer: Issuer, status: int):
    app = operated(asked(own_issuer))

    with own_issuer.fail("introspection", status):
        said = run(app, "doctor", "keycloak", status=1).output

    assert str(status) in said
    assert own_issuer.introspection_endpoint in said


def test_an_introspector_that_asks_for_no_audience_is_a_warning(operated: Operated, own_issuer: Issuer):
    provider, introspector, all_ = asked(own_issuer)
    resources = [provider, {**introspector, "jwt": {"iss": own_issuer.issuer}}, all_]
    app = operated(resources, FOREIGN_TOKEN_REQUIRE_AUDIENCE=False)

    assert checks(app, "keycloak")["audience"] == "warning"


def test_what_is_stored_is_asked_about_and_no_token_of_anybody(operated: Operated, own_issuer: Issuer):
    run(operated(asked(own_issuer)), "doctor", "keycloak")

    assert own_issuer.requests["introspection"] == 1
    assert own_issuer.requests["token"] == 0
