"""The commands and the operator's endpoints on a real Keycloak, tested from outside."""

from __future__ import annotations

import json
import shlex

import pytest
from flask import Flask

from ..apps import ask, bearer
from ..black_box.callers import OPERATOR_SETTINGS, TYPES, ids, operate, parsed, read, run
from ..conftest import MakeApp
from .keycloak import MakeRealm, Realm

CLIENT = {"clientId": "my-client", "secret": "my-client-secret"}
ABLE = {"serviceAccountsEnabled": True, "directAccessGrantsEnabled": True, "standardFlowEnabled": True}
PERSON = {
    "username": "testuser",
    "email": "testuser@example.com",
    "emailVerified": True,
    "enabled": True,
    "firstName": "Test",
    "lastName": "User",
    "credentials": [{"type": "password", "value": "testpass123", "temporary": False}],
}
WORDS = ("--client-id", "my-client", "--client-secret", "my-client-secret")
SIGNS_IN = ("--username", "testuser", "--password", "testpass123")


@pytest.fixture(scope="module")
def realm(make_realm: MakeRealm) -> Realm:
    made = make_realm({"clients": [{**CLIENT, **ABLE}]})
    made.admin("POST", "/users", PERSON)
    return made


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(**OPERATOR_SETTINGS)


def add(app: Flask, realm: Realm, *more: str, status: int | None = 0):
    words = ("provider", "add", "keycloak", "--issuer", realm.issuer, "--backchannel", realm.url)
    return run(app, *words, *more, status=status)


def person(realm: Realm) -> str:
    form = {
        "grant_type": "password",
        "username": "testuser",
        "password": "testpass123",
        "scope": "openid profile email",
    }
    answer = realm.token(client_id="my-client", client_secret="my-client-secret", **form)
    return str(answer.json()["access_token"])


def allow(app: Flask, realm: Realm) -> None:
    body = {"engine": "matcho", "matcho": {"jwt": {"iss": realm.issuer}}}
    assert operate(app, "PUT", "/fhir/AccessPolicy/keycloak-users-policy", body).status_code == 201


def test_a_refusal_without_audience_prints_a_command_that_works(app: Flask, realm: Realm):
    said = add(app, realm, status=1).stderr

    [line] = [line.strip() for line in said.splitlines() if line.strip().startswith("flask ")]
    assert "--audience account" in line
    run(app, *shlex.split(line)[2:])
    allow(app, realm)
    assert ask(app, person(realm)).status_code == 200


def test_endpoints_are_those_at_the_backchannel_and_the_issuer_stays(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")

    introspector, provider = (
        read(app, "TokenIntrospector/keycloak-jwt-introspector"),
        read(app, "IdentityProvider/keycloak"),
    )
    assert introspector["jwt"]["iss"] == realm.issuer
    assert introspector["jwks_uri"] == f"{realm.url}/protocol/openid-connect/certs"
    assert provider["userinfo_endpoint"] == f"{realm.url}/protocol/openid-connect/userinfo"


def test_a_backchannel_to_another_realm_is_refused(app: Flask, realm: Realm):
    master = realm.url.rsplit("/", 1)[0] + "/master"

    words = ("provider", "add", "keycloak", "--issuer", realm.issuer, "--backchannel", master, "--audience", "account")
    said = run(app, *words, status=1).stderr

    assert realm.issuer in said
    assert ids(app, "IdentityProvider") == []


def test_a_person_is_kept_out_and_let_in_again(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")
    allow(app, realm)
    token = person(realm)
    assert ask(app, token).status_code == 200
    [user] = parsed(app, "users", "list")
    assert parsed(app, "users", "show", user["id"])["data"]["preferred_username"] == "testuser"

    run(app, "users", "deactivate", user["id"])
    assert ask(app, token).status_code == 401

    run(app, "users", "activate", user["id"])
    assert ask(app, token).status_code == 200


def test_a_user_that_was_read_can_be_put_back(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")
    allow(app, realm)
    assert ask(app, person(realm)).status_code == 200
    [user] = ids(app, "User")

    answer = operate(app, "PUT", f"/fhir/User/{user}", read(app, f"User/{user}"))

    assert answer.status_code == 200
    assert ask(app, person(realm)).status_code == 200
    assert ids(app, "User") == [user]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")]
)
def test_a_keycloak_token_opens_nothing_of_the_operators(app: Flask, realm: Realm, name, method, path):
    add(app, realm, "--audience", "account")
    allow(app, realm)

    answer = app.test_client().open(f"/fhir/{name}{path}", method=method, headers=bearer(person(realm)))

    assert answer.status_code == 403


def test_the_doctor_finds_all_well(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")
    allow(app, realm)

    result = run(app, "doctor", "keycloak", *WORDS, *SIGNS_IN)

    for check in ("discovery", "keys", "clock", "client credentials", "password", "userinfo"):
        assert check in result.output
    assert "failed" not in result.output
    assert "warning" not in result.output
    assert "eyJ" not in result.output
    assert "my-client-secret" not in result.output
    assert "testpass123" not in result.output


def test_the_doctor_finds_a_person_without_a_name(app: Flask, make_realm: MakeRealm):
    realm = make_realm({"clients": [{**CLIENT, **ABLE}]})
    realm.admin("POST", "/users", {k: v for k, v in PERSON.items() if k not in {"firstName", "lastName"}})
    add(app, realm, "--audience", "account")

    said = run(app, "doctor", "keycloak", *WORDS, *SIGNS_IN, status=1).output

    assert "Account is not fully set up" in said
    for remedy in ("first", "last name", "Required user actions", "emporary"):
        assert remedy.lower() in said.lower()


def test_the_doctor_finds_a_client_without_service_account(app: Flask, make_realm: MakeRealm):
    realm = make_realm({"clients": [{**CLIENT, **ABLE, "serviceAccountsEnabled": False}]})
    add(app, realm, "--audience", "account")

    said = run(app, "doctor", "keycloak", *WORDS, status=1).output

    assert "Client not enabled to retrieve service account" in said
    assert "Service accounts roles" in said


def test_the_doctor_finds_a_provider_that_cannot_be_reached(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")
    provider = read(app, "IdentityProvider/keycloak")
    text = json.dumps(provider).replace(realm.keycloak.url, "http://127.0.0.1:9")
    introspector = json.dumps(read(app, "TokenIntrospector/keycloak-jwt-introspector"))
    operate(app, "PUT", "/fhir/IdentityProvider/keycloak", text)
    path = "/fhir/TokenIntrospector/keycloak-jwt-introspector"
    operate(app, "PUT", path, introspector.replace(realm.keycloak.url, "http://127.0.0.1:9"))

    said = run(app, "doctor", "keycloak", *WORDS, status=1).output

    assert "127.0.0.1:9" in said
    assert "extra_hosts" in said


def test_the_doctor_finds_an_issuer_that_differs_from_its_address(app: Flask, realm: Realm):
    add(app, realm, "--audience", "account")
    path = "TokenIntrospector/keycloak-jwt-introspector"
    introspector = json.dumps(read(app, path)).replace(f'"{realm.issuer}"', f'"{realm.url}"')
    assert operate(app, "PUT", f"/fhir/{path}", introspector).status_code == 200

    said = run(app, "doctor", "keycloak", *WORDS, *SIGNS_IN, status=1).output

    assert realm.issuer in said
    assert "issuer" in said
