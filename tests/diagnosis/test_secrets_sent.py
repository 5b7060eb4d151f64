"""Whom the doctor sends client secrets and passwords."""

from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.http import Http
from flask_foreign_token.registry.schemas import IdentityProviderSchema
from flask_foreign_token.testing import Issuer

from ..apps import Resource
from ..http_servers import answer, answering, serving
from ..publishing import OPENID, Publisher, metadata
from .checking import PERSON, about, examined, marks, trusting


@pytest.fixture
def lying(publisher: Publisher) -> Publisher:
    """Answers at the issuer's own address, and names its own token endpoint."""
    publisher.publish(f"/realms/clinic{OPENID}", metadata(f"{publisher.origin}/realms/clinic"))
    return publisher


def resources(issuer: Issuer, lying: Publisher, attributes: Resource = {}) -> list[Resource]:  # noqa: B006
    """Endpoints at `issuer`, and a `jwt.iss` at which `lying` answers."""
    body = trusting(issuer, jwt={"iss": f"{lying.origin}/realms/clinic"})
    body[0] |= attributes
    return body


def test_nobody_gets_secrets_by_calling_itself_the_token_endpoint(http: Http, issuer: Issuer, lying: Publisher) -> None:
    findings = examined(http, resources(issuer, lying), PERSON)

    finding = about(findings, "token")
    assert finding.mark == "failed"
    assert lying.origin in finding.found
    assert f"IdentityProvider/keycloak token_endpoint: {lying.origin}/realms/clinic/token" in finding.remedy[0]
    assert "/realms/clinic/token" not in lying.asked
    assert about(findings, "discovery").mark == "ok"


def test_nor_does_the_stored_client(http: Http, issuer: Issuer, lying: Publisher) -> None:
    client = {"id": "my-client", "secret": "my-client-secret"}

    findings = examined(http, resources(issuer, lying, {"client": client}))

    assert marks(findings)["token"] == "failed"
    assert "/realms/clinic/token" not in lying.asked


# ---- the stored secret

STORED = {"client": {"id": "my-client", "secret": "my-client-secret"}}
SENT_TO = ["issuer", "introspection_endpoint", "revocation_endpoint"]


def test_the_secret_is_bound_to_where_it_is_sent_and_to_nothing_else() -> None:
    secret = IdentityProviderSchema().fields["client"].schema.fields["secret"]  # type: ignore[attr-defined]

    assert set(secret.bound_to) == {"client.id", "client.auth-method", "token_endpoint", *SENT_TO}


@pytest.mark.parametrize("attribute", SENT_TO)
def test_the_stored_secret_goes_to_a_published_endpoint_where_it_is_bound_to(
    http: Http, issuer: Issuer, lying: Publisher, attribute: str
) -> None:
    findings = examined(http, resources(issuer, lying, {**STORED, attribute: f"{lying.origin}/realms/clinic"}))

    assert "token" not in marks(findings)
    assert "/realms/clinic/token" in lying.asked


@pytest.mark.parametrize("attribute", ["userinfo_endpoint", "jwks_uri", "authorize_endpoint"])
@pytest.mark.parametrize("login", [Login(), Login("my-client"), Login(None, None, "testuser", "testpass123")])
def test_the_stored_secret_goes_to_no_other_host(
    http: Http, issuer: Issuer, lying: Publisher, attribute: str, login: Login
) -> None:
    findings = examined(http, resources(issuer, lying, {**STORED, attribute: f"{lying.origin}/x"}), login)

    finding = about(findings, "token")
    assert finding.mark == "failed"
    assert f"{lying.origin}, which gets no stored secret" in finding.found
    assert f"IdentityProvider/keycloak token_endpoint: {lying.origin}/realms/clinic/token" in finding.remedy[0]
    assert "/realms/clinic/token" not in lying.asked


def test_nor_to_the_host_of_the_introspectors_keys(http: Http, issuer: Issuer, lying: Publisher) -> None:
    body = resources(issuer, lying, {**STORED, "issuer": f"{issuer.url}/realms/clinic"})
    body[1]["jwks_uri"] = f"{lying.origin}/certs"

    assert marks(examined(http, body))["token"] == "failed"
    assert "/realms/clinic/token" not in lying.asked


def test_nor_to_a_bound_host_that_the_backchannel_turns_into_another(
    http: Http, issuer: Issuer, publisher: Publisher
) -> None:
    named = "https://id.example/realms/clinic"
    publisher.publish(f"/realms/clinic{OPENID}", metadata(named))
    body = trusting(issuer, jwt={"iss": named}, issuer=named, jwks_uri=f"{publisher.origin}/certs", **STORED)

    assert marks(examined(http, body))["token"] == "failed"
    assert "/realms/clinic/token" not in publisher.asked


def test_the_stored_secret_goes_to_the_stored_endpoint_wherever_it_is(
    http: Http, issuer: Issuer, lying: Publisher
) -> None:
    examined(http, resources(issuer, lying, {**STORED, "token_endpoint": f"{lying.origin}/elsewhere"}))

    assert "/elsewhere" in lying.asked


def test_a_secret_that_is_given_goes_where_the_stored_one_does_not(
    http: Http, issuer: Issuer, lying: Publisher
) -> None:
    login = Login("my-client", "given")

    examined(http, resources(issuer, lying, {**STORED, "userinfo_endpoint": f"{lying.origin}/x"}), login)

    assert "/realms/clinic/token" in lying.asked


# ---- what is given


def test_without_a_secret_to_send_the_endpoint_is_no_fault(http: Http, issuer: Issuer, lying: Publisher) -> None:
    assert marks(examined(http, resources(issuer, lying)))["token"] == "skipped"


@pytest.mark.parametrize(
    "attribute",
    ["issuer", "jwks_uri", "authorize_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"],
)
def test_a_published_endpoint_at_a_host_that_is_stored_gets_them(
    http: Http, issuer: Issuer, lying: Publisher, attribute: str
) -> None:
    findings = examined(http, resources(issuer, lying, {attribute: f"{lying.origin}/realms/clinic"}), PERSON)

    assert "token" not in marks(findings)
    assert "/realms/clinic/token" in lying.asked


def test_a_stored_endpoint_gets_them_wherever_it_is(http: Http, issuer: Issuer, lying: Publisher) -> None:
    examined(http, resources(issuer, lying, {"token_endpoint": f"{lying.origin}/elsewhere"}), PERSON)

    assert "/elsewhere" in lying.asked


@pytest.mark.parametrize(
    "answered",
    [answer(b"{}"), answer(b"{}", status="400 Bad Request"), answer(b"{}", status="500 Internal Server Error")],
)
def test_each_failure_names_the_host_that_got_them(http: Http, issuer: Issuer, answered: bytes) -> None:
    with serving(answering(answered)) as server:
        findings = examined(http, trusting(issuer, token_endpoint=f"{server.origin}/token"), PERSON)

    for grant in ("client credentials", "password"):
        assert (about(findings, grant).mark, server.origin in about(findings, grant).found) == ("failed", True)
