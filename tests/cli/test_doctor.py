from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import introspector, policy, provider, registry_of, trusting, write_registry
from ..conftest import MakeApp
from ..introspection.signing import jwk
from ..publishing import OPENID, Publisher, metadata, publishing
from .commands import fill, run

SECRET = "my-client-secret"
LOGIN = ["--client-id", "my-client", "--client-secret", SECRET, "--username", "testuser", "--password", "testpass123"]


@pytest.fixture(scope="module")
def hidden() -> Iterator[Issuer]:
    """An issuer that is not at the address it is called by."""
    with Issuer("http://localhost:1/realms/myrealm") as issuer:
        yield issuer


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def app(empty_app: Flask, hidden: Issuer) -> Flask:
    return fill(empty_app, [*hidden.resources(), policy("all")])


def test_a_provider_that_is_well_ends_with_success(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", *LOGIN)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("IdentityProvider/keycloak\n")
    assert result.stdout.endswith("\n14 ok\n")


def test_each_line_has_a_mark_a_check_and_what_was_found(app: Flask) -> None:
    lines = run(app, "doctor", "keycloak", *LOGIN).stdout.splitlines()[1:-1]

    assert [line.split()[0] for line in lines] == ["ok"] * 14
    assert [line.split()[1] for line in lines][:8] == [
        "provider",
        "introspector",
        "audience",
        "policy",
        "discovery",
        "keys",
        "keys:",
        "client",
    ]


def test_a_failure_ends_with_status_1_and_its_remedy(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", "--client-id", "my-client", "--client-secret", "wrong")

    assert result.exit_code == 1
    assert "failed   client credentials" in result.stdout
    assert "Client id or secret is wrong" in result.stdout


def test_a_warning_ends_with_success(make_app: MakeApp, hidden: Issuer) -> None:
    app = fill(make_app([]), [*hidden.resources(), policy("p", {"request-method": "get"})])

    result = run(app, "doctor")

    assert result.exit_code == 0, result.output
    assert "warning  policy" in result.stdout


def test_no_token_and_no_secret_is_printed(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", *LOGIN)

    for secret in (SECRET, "testpass123", "eyJ", "testuser@example.com"):
        assert secret not in result.output


def test_json_holds_the_same(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", "--client-id", "my-client", "--client-secret", "wrong", "--json")

    entries = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {entry["provider"] for entry in entries} == {"keycloak"}
    assert set(entries[0]) == {"provider", "check", "mark", "found", "remedy", "command"}
    assert [entry["check"] for entry in entries if entry["mark"] == "failed"] == ["client credentials"]


def test_a_remedy_is_given_once(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = fill(make_app([]), [*own_issuer.resources(), policy("all")])

    with own_issuer.down():
        result = run(app, "doctor")

    assert result.exit_code == 1
    assert result.stdout.count("http://keycloak:8080") < result.stdout.count("the connection is refused")
    assert result.stderr.count("the connection is refused") == 0


def test_a_policy_that_lacks_is_printed_as_a_command_that_can_be_pasted(make_app: MakeApp, hidden: Issuer) -> None:
    app = fill(make_app([]), hidden.resources())

    output = run(app, "doctor").stdout

    _, _, command = output.partition("\nflask foreign-token apply - <<'EOF'\n")
    document = command.partition("\nEOF\n")[0]
    assert run(app, "apply", "-", stdin=document).exit_code == 0
    assert "AccessPolicy/keycloak-users-policy names the issuer" in run(app, "doctor").stdout


def test_every_provider_is_checked_when_none_is_named(make_app: MakeApp, issuer: Issuer, hidden: Issuer) -> None:
    app = fill(make_app([]), [*hidden.resources("b"), *trusting(issuer, name="a")])

    result = run(app, "doctor")

    assert [line for line in result.stdout.splitlines() if line.startswith("Identity")] == [
        "IdentityProvider/a",
        "IdentityProvider/b",
    ]


def test_a_provider_that_is_not_active_is_only_named_where_nobody_asks_for_it(
    make_app: MakeApp, own_issuer: Issuer, hidden: Issuer
) -> None:
    app = fill(make_app([]), [*hidden.resources("b"), *trusting(own_issuer, name="a", active=False), policy("all")])

    result = run(app, "doctor")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    named = lines.index("IdentityProvider/a")
    assert lines[named + 1].split()[:2] == ["skipped", "provider"]
    assert lines[named + 2] == "IdentityProvider/b"
    assert not any(own_issuer.requests.values())


def test_a_provider_that_is_not_active_fails_with_the_command_that_mends_it(
    empty_app: Flask, own_issuer: Issuer
) -> None:
    app = fill(empty_app, trusting(own_issuer, active=False))

    result = run(app, "doctor", "keycloak", *LOGIN)

    assert result.exit_code == 1
    assert "IdentityProvider/keycloak is not active, so none of its tokens is taken" in result.stdout
    assert "\nflask foreign-token get IdentityProvider keycloak | sed " in result.stdout
    assert not any(own_issuer.requests.values())


@pytest.mark.parametrize("iss", ["http://[x", "https://[::1", "urn:clinic"])
def test_a_provider_with_an_odd_issuer_does_not_keep_others_from_being_checked(
    make_app: MakeApp, hidden: Issuer, iss: str
) -> None:
    odd = hidden.resources("a")
    odd[1]["jwt"] = {"iss": iss, "aud": "account"}
    app = fill(make_app([]), [*odd, *hidden.resources("b"), policy("all")])

    result = run(app, "doctor")

    assert result.exit_code == 0, result.output
    assert result.stdout.count("ok       keys ") == 2
    assert f"{hidden.discovery_url} names the issuer" in result.stdout


def test_a_login_is_for_one_provider(make_app: MakeApp, issuer: Issuer, hidden: Issuer) -> None:
    app = fill(make_app([]), [*hidden.resources("b"), *trusting(issuer, name="a")])

    result = run(app, "doctor", *LOGIN)

    assert result.exit_code == 1
    assert "one provider must be named for a login: a, b" in result.stderr


def test_a_secret_of_the_environment_is_for_one_provider(
    make_app: MakeApp, own_issuer: Issuer, hidden: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTOR_CLIENT_SECRET", SECRET)
    stored = trusting(own_issuer, name="a", client={"id": "my-client"})
    app = fill(make_app([]), [*hidden.resources("b"), *stored])

    run(app, "doctor")
    asked_of_all = own_issuer.requests["token"]
    run(app, "doctor", "a")

    assert (asked_of_all, own_issuer.requests["token"]) == (0, 1)


def test_secrets_may_come_from_the_environment(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("DOCTOR_PASSWORD", "testpass123")

    result = run(app, "doctor", "keycloak", "--client-id", "my-client", "--username", "testuser")

    assert result.exit_code == 0, result.output


def test_secrets_without_a_value_are_prompted_for_and_not_echoed(app: Flask) -> None:
    arguments = ["--client-id", "my-client", "--client-secret", "--username", "testuser", "--password"]

    result = run(app, "doctor", "keycloak", *arguments, stdin=f"{SECRET}\ntestpass123\n")

    assert result.exit_code == 0, result.output
    assert "Client secret:" in result.output
    assert SECRET not in result.output


def test_a_user_without_a_password_is_refused_where_nobody_can_be_asked(app: Flask) -> None:
    result = run(app, "doctor", "keycloak", *LOGIN[:6])

    assert (result.exit_code, result.stdout) == (1, "")
    assert "--password" in result.stderr


def test_an_empty_registry_fails(empty_app: Flask) -> None:
    result = run(empty_app, "doctor")

    assert result.exit_code == 1
    assert "failed   trust" in result.stdout
    assert "nothing is stored, so that no token is taken" in result.stdout
    assert "\nflask foreign-token provider add ID --issuer URL --audience A\n" in result.stdout


def test_a_provider_that_is_not_stored_fails(app: Flask) -> None:
    result = run(app, "doctor", "keycloack")

    assert result.exit_code == 1
    assert "IdentityProvider/keycloack is not stored; did you mean keycloak?" in result.stdout
    assert "\nflask foreign-token doctor keycloak\n" in result.stdout


def test_a_registry_that_does_not_load_fails_with_every_fault(make_app: MakeApp) -> None:
    app = make_app([])
    write_registry(registry_of(app), [{"resourceType": "IdentityProvider", "id": "x"}, policy("p", active="yes")])

    result = run(app, "doctor")

    assert result.exit_code == 1
    assert result.stdout.count("failed   registry") >= 2
    assert "IdentityProvider/x system: is required" in result.stdout


def test_an_introspector_out_of_service_is_told_and_the_rest_checked(make_app: MakeApp) -> None:
    app = make_app([])
    introspector = {
        "resourceType": "TokenIntrospector",
        "id": "i",
        "type": "jwt",
        "jwt": {"iss": "clinic", "aud": "a", "secret": "short"},
        "identity_provider": {"reference": "IdentityProvider/x"},
    }
    provider = {"resourceType": "IdentityProvider", "id": "x", "system": "x", "userinfo-source": "id-token"}
    write_registry(registry_of(app), [provider, introspector, policy("p")])

    result = run(app, "doctor")

    assert result.exit_code == 1
    assert result.stdout.count("failed  ") == 1
    assert "failed   introspector" in result.stdout


# ---- what must be discovered


def test_an_address_elsewhere_is_taken_once_the_command_was_typed(make_app: MakeApp, publisher: Publisher) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    elsewhere = publisher.origin.replace("127.0.0.1", "localhost")
    publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer, elsewhere))
    publisher.publish("/certs", {"keys": [jwk("RS256", "the-key")]})
    described = provider("keycloak", issuer=issuer)
    app = fill(make_app([]), [described, introspector("i", jwt={"iss": issuer}), policy("all")])

    before = run(app, "doctor")
    [command] = [line for line in before.stdout.splitlines() if line.startswith("{ ")]
    get, echo = command.removeprefix("{ ").partition("; }")[0].split("; ")
    stored = run(app, *shlex.split(get)[2:]).stdout
    applied = run(app, "apply", "-", stdin=stored + shlex.split(echo)[1] + "\n")
    after = run(app, "doctor")

    assert (before.exit_code, applied.exit_code, after.exit_code) == (1, 0, 0), applied.output + after.output
    assert "failed   keys" in before.stdout
    assert "RS256 the-key" in after.stdout


# ---- commands that are typed as they are printed


def typed(app: Flask, output: str) -> int:
    """The status of the `provider add` that is printed."""
    [command] = [line.strip() for line in output.splitlines() if "provider add" in line and not line.startswith("  ")]
    result = run(app, *shlex.split(command)[2:])
    assert result.exit_code == 0, result.output
    return result.exit_code


def test_a_wrong_issuer_is_mended_by_the_command(make_app: MakeApp, own_issuer: Issuer) -> None:
    wrong = f"{own_issuer.issuer}/"
    link = introspector("keycloak-jwt-introspector", jwt={"iss": wrong})
    app = fill(make_app([]), [provider("keycloak", issuer=wrong), link, policy("all")])

    before = run(app, "doctor", "keycloak")
    typed(app, before.stdout)
    after = run(app, "doctor", "keycloak", *LOGIN)

    assert (before.exit_code, after.exit_code) == (1, 0), after.output


def test_a_missing_introspector_is_added_by_the_command_though_a_secret_is_stored(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    client = {"id": "my-client", "secret": SECRET}
    app = fill(make_app([]), [provider("keycloak", issuer=own_issuer.issuer, client=client), policy("all")])

    typed(app, run(app, "doctor", "keycloak").stdout)

    assert "issued a token" in run(app, "doctor", "keycloak").stdout


def test_an_address_that_is_wrong_is_mended_by_the_command(make_app: MakeApp, own_issuer: Issuer) -> None:
    described = provider("keycloak", issuer=own_issuer.issuer, jwks_uri=f"{own_issuer.jwks_uri}x")
    app = fill(make_app([]), [described, introspector("j", jwt={"iss": own_issuer.issuer}), policy("all")])

    [command] = [line for line in run(app, "doctor").stdout.splitlines() if line.startswith("{ ")]
    got = run(app, "get", "IdentityProvider", "keycloak").stdout
    _, without, echo = command.removeprefix("{ ").partition("; }")[0].partition(" | ")[2].partition("grep")
    pipe = f"{{ {without}{echo}; }}"
    edited = subprocess.run(["sh", "-c", pipe], input=got.encode(), capture_output=True, check=True).stdout
    applied = run(app, "apply", "-", stdin=edited)

    assert applied.exit_code == 0, applied.output
    assert run(app, "doctor").exit_code == 0


def test_a_line_of_a_remedy_is_given_once(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = fill(make_app([]), [*own_issuer.resources(), policy("all")])

    with own_issuer.down():
        result = run(app, "doctor")

    assert result.stdout.count("listens there") == 1
    assert "the remedy is the one above)" in result.stdout
