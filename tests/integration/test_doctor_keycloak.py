"""The tutorial's troubles, made on a real Keycloak, and a set-up in which there are none."""

from __future__ import annotations

import secrets
import shlex
import socket
from typing import Any

import pytest
from flask import Flask

from ..apps import Resource, ask, introspector, policy, provider
from ..cli.commands import fill, refused, run
from ..conftest import MakeApp
from ..publishing import OPENID, metadata, publishing
from .keycloak import MakeRealm, Realm

SECRET = "the-secret-of-every-client"
PASSWORD = "testpass123"


def client(name: str, **switches: bool) -> dict[str, object]:
    on = {"serviceAccountsEnabled": True, "directAccessGrantsEnabled": True, "publicClient": False}
    return {"clientId": name, "secret": SECRET, **on, **switches}


def user(name: str, **attributes: Any) -> dict[str, object]:
    person = {"email": f"{name}@example.com", "emailVerified": True, "firstName": "Test", "lastName": "User"}
    credentials = [{"type": "password", "value": PASSWORD, "temporary": False}]
    return {"username": name, "enabled": True, "credentials": credentials, **person, **attributes}


@pytest.fixture(scope="module")
def realm(make_realm: MakeRealm) -> Realm:
    name = f"doctor-{secrets.token_hex(4)}"
    # Where a realm is imported its users have no roles but those that are named.
    roles = {"realmRoles": [f"default-roles-{name}"]}
    return make_realm(
        {
            "realm": name,
            "clients": [
                client("my-client"),
                client("no-service-account", serviceAccountsEnabled=False),
                client("no-password", directAccessGrantsEnabled=False),
            ],
            "users": [
                user("testuser", **roles),
                user("unfinished", requiredActions=["UPDATE_PASSWORD"], **roles),
                user("nameless", firstName="", lastName="", **roles),
                user("without-roles"),
            ],
        }
    )


def addition(realm: Realm, *more: str) -> list[str]:
    return ["provider", "add", "keycloak", "--issuer", realm.issuer, "--backchannel", realm.url, *more]


@pytest.fixture
def app(make_app: MakeApp, realm: Realm) -> Flask:
    """An app that was set up by the commands alone."""
    app = make_app([])
    added = run(app, *addition(realm, "--audience", "account"))
    assert added.exit_code == 0, added.output
    policy = added.stdout.partition("<<'EOF'\n")[2].removesuffix("EOF\n")
    assert run(app, "apply", "-", stdin=policy).exit_code == 0
    return app


def failures(app: Flask, *login: str) -> str:
    """What `doctor` says of what fails, with the remedies."""
    result = run(app, "doctor", "keycloak", *login)
    assert result.exit_code == 1, result.output
    assert SECRET not in result.output
    assert PASSWORD not in result.output
    _, _, failed = result.stdout.partition("  failed ")
    return failed


def by_hand(realm: Realm) -> list[Resource]:
    """The three resources of the tutorial, with its two addresses: what is called, and what is compared."""
    below = f"{realm.url}/protocol/openid-connect"
    return [
        {
            "resourceType": "IdentityProvider",
            "id": "keycloak",
            "title": "Keycloak",
            "system": "keycloak",
            "scopes": ["profile", "openid"],
            "userinfo_endpoint": f"{below}/userinfo",
            "userinfo-source": "userinfo-endpoint",
        },
        {
            "resourceType": "TokenIntrospector",
            "id": "keycloak-jwt-introspector",
            "type": "jwt",
            "jwt": {"iss": realm.issuer, "aud": "account"},
            "jwks_uri": f"{below}/certs",
            "identity_provider": {"reference": "IdentityProvider/keycloak"},
        },
        policy("users", {"jwt": {"iss": realm.issuer}}),
    ]


def login(client_id: str, username: str | None = None) -> list[str]:
    words = ["--client-id", client_id, "--client-secret", SECRET]
    return words if username is None else [*words, "--username", username, "--password", PASSWORD]


# ---- provider add


def test_the_command_without_an_audience_prints_the_one_of_keycloak(make_app: MakeApp, realm: Realm) -> None:
    reason = refused(make_app([]), *addition(realm))

    assert f"--issuer {realm.issuer} --backchannel {realm.url} --audience account" in reason


def test_an_issuer_that_keycloak_does_not_call_itself_is_refused(make_app: MakeApp, realm: Realm) -> None:
    reason = refused(make_app([]), "provider", "add", "keycloak", "--issuer", realm.url, "--audience", "account")

    assert f"names {realm.issuer}, not {realm.url}" in reason


def test_both_kinds_of_token_are_taken_after_the_commands(app: Flask, realm: Realm) -> None:
    form = {"client_id": "my-client", "client_secret": SECRET, "scope": "openid profile email"}
    account = realm.token(grant_type="client_credentials", **form).json()["access_token"]
    person = realm.token(grant_type="password", username="testuser", password=PASSWORD, **form).json()["access_token"]

    assert [ask(app, token).status_code for token in (account, person)] == [200, 200]


# ---- doctor


def test_where_all_is_well_every_check_passes(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", *login("my-client", "testuser"))

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\n14 ok\n")
    assert "1 of 2 keys serve (RS256)" in result.stdout
    assert "(use is not sig)" in result.stdout


def test_the_tutorials_resources_are_enough_for_both_kinds_of_token(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), by_hand(realm))

    result = run(app, "doctor", "keycloak", *login("my-client", "testuser"))

    assert result.exit_code == 0, result.output
    assert result.stdout.count(f"{realm.url}/protocol/openid-connect/token issued a token") == 2


def test_a_token_endpoint_at_a_host_that_is_not_stored_gets_no_secret(make_app: MakeApp, realm: Realm) -> None:
    with publishing() as elsewhere:
        resources = by_hand(realm)
        issuer = f"{elsewhere.origin}/realms/{realm.name}-elsewhere"
        resources[1] |= {"jwt": {"iss": issuer, "aud": "account"}}
        elsewhere.publish(f"/realms/{realm.name}-elsewhere{OPENID}", metadata(issuer))
        app = fill(make_app([]), resources)

        failed = failures(app, *login("my-client", "testuser"))

    assert f"IdentityProvider/keycloak token_endpoint: {issuer}/token" in failed
    assert len(elsewhere.asked) == 1


@pytest.mark.parametrize("username", ["unfinished", "nameless"])
def test_an_account_that_is_not_fully_set_up(app: Flask, username: str) -> None:
    failed = failures(app, *login("my-client", username))

    assert '"Account is not fully set up"' in failed
    for words in ("Email verified on", "First name and Last name", "Required user actions", "Temporary off"):
        assert words in failed


def test_a_client_that_is_not_enabled_to_retrieve_a_service_account(app: Flask) -> None:
    failed = failures(app, *login("no-service-account"))

    assert '"Client not enabled to retrieve service account"' in failed
    assert "Switch Service accounts roles on" in failed


def test_a_provider_that_cannot_be_reached(app: Flask, realm: Realm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/realms/{realm.name}"
    run(app, "apply", "-", stdin=moved(app, realm.url, address))

    failed = failures(app, *login("my-client"))

    assert f"{address}/protocol/openid-connect/certs: the connection is refused" in failed
    published = f"{realm.issuer}/protocol/openid-connect/certs"
    assert f"The provider publishes {published}: correct jwks_uri of TokenIntrospector/" in failed
    assert "keycloak:host-gateway in extra_hosts" in failed


def test_an_issuer_at_a_port_where_nobody_listens(make_app: MakeApp) -> None:
    issuer = "http://localhost:1/realms/clinic"
    app = fill(make_app([]), [provider(issuer=issuer), introspector("j", jwt={"iss": issuer}), policy("all")])

    failed = failures(app)

    assert "correct issuer of IdentityProvider/keycloak and jwt.iss of TokenIntrospector/j." in failed
    for words in ("http://keycloak:8080", "same network", "keycloak:host-gateway", "--backchannel"):
        assert words in failed


def test_a_realm_that_is_gone(app: Flask, realm: Realm) -> None:
    run(app, "apply", "-", stdin=moved(app, f"{realm.url}/", f"{realm.url}-gone/"))

    failed = failures(app, *login("my-client"))

    assert "answers 404, Realm does not exist" in failed
    assert "The realm is not there, or token_endpoint is of another one." in failed


def test_an_issuer_that_differs_from_the_one_of_the_tokens(app: Flask, realm: Realm) -> None:
    # As somebody who takes the address that is called for the issuer would write it.
    run(app, "apply", "-", stdin=moved(app, f"iss: {realm.issuer}", f"iss: {realm.url}"))

    failed = failures(app, *login("my-client"))

    assert f"names {realm.issuer}, not {realm.url}" in failed
    assert "the issuer is not known" in failed
    assert "What is compared and what is called are two things." in failed
    assert "KC_HOSTNAME" in failed


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (login("nobody"), "Invalid client or Invalid client credentials", "Client id or secret is wrong"),
        (login("my-client", "nobody"), "Invalid user credentials", "Username or password is wrong"),
        (login("no-password", "testuser"), "Client not allowed for direct access grants", "Direct access grants on"),
        (login("my-client", "without-roles"), "aud is missing", "default-roles-"),
        ([*login("my-client"), "--scope", "profile"], "userinfo answers 403", 'scope="openid profile email"'),
        ([*login("my-client"), "--scope", "nonsense"], "invalid_scope", "--scope"),
    ],
)
def test_other_troubles(app: Flask, words: list[str], said: str, remedy: str) -> None:
    failed = failures(app, *words)

    assert said in failed
    assert remedy in failed


# ---- doctor on introspectors that ask


def asking(realm: Realm, path: str = "/token/introspect", **client: str) -> list[Resource]:
    """The realm asked about tokens at `path`, as my-client but for what `client` says."""
    below = f"{realm.url}/protocol/openid-connect"
    endpoint = {"url": below + path, "client_id": "my-client", "client_secret": SECRET, **client}
    return [
        provider(**{"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": f"{below}/userinfo"}),
        introspector("answers", type="opaque", jwt={"iss": realm.issuer}, introspection_endpoint=endpoint),
        policy("users", {"token": {"iss": realm.issuer}}),
    ]


def discovering(realm: Realm, **jwt: str) -> list[Resource]:
    """The realm asked where it says itself that it is to be asked; `jwt` is the introspector's."""
    return [
        provider(issuer=realm.issuer, client={"id": "my-client", "secret": SECRET}),
        introspector("answers", type="opaque", jwt=jwt),
        policy("users", {"token": {"iss": realm.issuer}}),
    ]


def test_where_the_realm_answers_every_check_passes(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), asking(realm))

    result = run(app, "doctor", "keycloak", *login("my-client", "testuser"))

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\n13 ok\n")
    address = f"{realm.url}/protocol/openid-connect/token/introspect"
    assert f"{address} lets it ask; a made-up token is not active" in result.stdout


def test_an_endpoint_that_is_discovered_is_asked_as_the_providers_client(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), discovering(realm, iss=realm.issuer))

    result = run(app, "doctor", "keycloak", *login("my-client", "testuser"))

    assert result.exit_code == 0, result.output
    address = f"{realm.issuer}/protocol/openid-connect/token/introspect (published by {realm.issuer})"
    assert f"{address} lets it ask; a made-up token is not active" in result.stdout


def test_an_introspector_that_does_not_say_whose_jwts_it_asks_about(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), discovering(realm))

    failed = failures(app, *login("my-client"))

    assert "the issuer is not known" in failed
    assert "Set jwt.iss of the introspector of type opaque" in failed


@pytest.mark.parametrize("client", [{"client_secret": "of-another-client"}, {"client_id": "nobody"}])
def test_a_credential_that_the_realm_does_not_take(make_app: MakeApp, realm: Realm, client: dict[str, str]) -> None:
    app = fill(make_app([]), asking(realm, **client))

    failed = failures(app)

    assert "the introspection endpoint refuses this credential with status 401" in failed
    assert "Correct introspection_endpoint.client_id and introspection_endpoint.client_secret" in failed
    assert "the secret is under Clients, the client, Credentials" in failed


def test_a_path_at_which_nobody_answers_about_tokens(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), asking(realm, "/token/introspection"))

    failed = failures(app)

    assert "no object with a boolean active, status 404" in failed
    assert "see that the path is right" in failed


def moved(app: Flask, before: str, after: str) -> str:
    """What `app` has stored, written with `after` in place of `before`."""
    exported = run(app, "export").stdout
    assert before in exported
    return exported.replace(before, after)


# ---- what a newcomer does literally


def stored_client(name: str) -> Resource:
    return {"id": name, "secret": SECRET}


def test_a_client_that_is_stored_to_ask_about_tokens_is_no_fault(make_app: MakeApp, realm: Realm) -> None:
    app = make_app([])
    fill(
        app,
        [
            {**body, "client": stored_client("no-service-account")} if "client" in body else body
            for body in discovering(realm, iss=realm.issuer)
        ],
    )

    alone = run(app, "doctor", "keycloak")
    beside = run(app, "doctor", "keycloak", "--username", "testuser", "--password", PASSWORD)

    assert (alone.exit_code, beside.exit_code) == (0, 0), alone.output + beside.output
    assert "skipped  client credentials" in alone.stdout
    assert "the stored client may ask about tokens but gets none; name one with --client-id" in alone.stdout
    assert "ok       password: token" in beside.stdout


def test_a_stored_secret_that_is_wrong_is_one(make_app: MakeApp, realm: Realm) -> None:
    client = {"id": "my-client", "secret": "of-another-client"}
    app = fill(make_app([]), [{**body, "client": client} if "client" in body else body for body in discovering(realm)])

    assert "It is the client.secret that is stored at IdentityProvider/keycloak." in failures(app)


def typed(app: Flask, output: str) -> None:
    """Type the `provider add` that is printed."""
    [command] = [line for line in output.splitlines() if line.startswith("flask foreign-token provider add")]
    result = run(app, *shlex.split(command)[2:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("wrong", ["{issuer}/", "{url}"])
def test_a_wrong_issuer_is_mended_by_the_command_that_is_printed(make_app: MakeApp, realm: Realm, wrong: str) -> None:
    iss = wrong.format(issuer=realm.issuer, url=realm.url)
    link = introspector("keycloak-jwt-introspector", jwt={"iss": iss})
    app = fill(make_app([]), [provider(issuer=iss), link, policy("all")])

    before = failures(app)
    typed(app, before)

    assert "--backchannel" not in before
    result = run(app, "doctor", "keycloak", *login("my-client", "testuser"))
    assert result.exit_code == 0, result.output


def test_a_provider_without_introspector_gets_one_and_keeps_its_secret(make_app: MakeApp, realm: Realm) -> None:
    app = fill(make_app([]), [provider(issuer=realm.issuer, client=stored_client("my-client")), policy("all")])

    typed(app, failures(app).replace("--audience A ", "--audience account "))

    result = run(app, "doctor", "keycloak")
    assert result.exit_code == 0, result.output
    assert "issued a token" in result.stdout


def test_keys_of_another_realm_are_a_warning(make_app: MakeApp, realm: Realm) -> None:
    keys = f"{realm.keycloak.url}/realms/master/protocol/openid-connect/certs"
    link = introspector("j", jwt={"iss": realm.issuer})
    app = fill(make_app([]), [provider(issuer=realm.issuer, jwks_uri=keys), link, policy("all")])

    assert "warning  keys: address" in run(app, "doctor", "keycloak").stdout
