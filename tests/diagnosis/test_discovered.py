"""Addresses that are not stored, and must be found at the issuer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_foreign_token.diagnosis.commands import storing
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import introspector, policy
from ..http_servers import Peer, answer, serving
from ..introspection.signing import jwk
from ..publishing import OAUTH, OPENID, Publisher, metadata
from .checking import CLIENT, about, discovering, examined, examined_alone, marks

CHECKS = {"keys": "jwks_uri", "introspection": "introspection_endpoint", "userinfo": "userinfo_endpoint"}
EACH = pytest.mark.parametrize(("check", "member"), CHECKS.items())
ELSEWHERE = "https://elsewhere.example"


def realm(publisher: Publisher) -> str:
    return f"{publisher.origin}/realms/clinic"


def publish(publisher: Publisher, **members: Any) -> None:
    """Metadata of the realm, and what they lead to."""
    issuer = realm(publisher)
    document = metadata(issuer, **{"introspection_endpoint": f"{issuer}/introspect", **members})
    publisher.publish(f"/realms/clinic{OPENID}", document)
    publisher.publish("/realms/clinic/certs", {"keys": [jwk("RS256")]})
    publisher.publish("/realms/clinic/introspect", {"active": False})


def found(http: Http, publisher: Publisher, check: str, **attributes: object) -> Finding:
    return about(examined(http, discovering(realm(publisher), **attributes)), check)


def test_an_issuer_is_enough_where_it_publishes_the_rest(http: Http, own_issuer: Issuer) -> None:
    findings = examined(http, discovering(own_issuer.issuer), CLIENT)

    assert set(marks(findings).values()) == {"ok"}
    assert own_issuer.userinfo_endpoint in about(findings, "client credentials: userinfo").found


@pytest.mark.parametrize(
    ("check", "address"),
    [("keys: by id", "/certs"), ("introspection", "/introspect"), ("userinfo", "/userinfo")],
)
def test_what_was_discovered_is_told_with_where(http: Http, publisher: Publisher, check: str, address: str) -> None:
    publish(publisher)

    finding = found(http, publisher, check)

    assert finding.mark == "ok"
    assert f"{realm(publisher)}{address} (published by {realm(publisher)})" in finding.found


@EACH
def test_what_is_stored_wins(http: Http, publisher: Publisher, check: str, member: str) -> None:
    publish(publisher, **{member: f"{ELSEWHERE}/x"})
    publisher.publish("/stored", {"active": False, "keys": [jwk("RS256")]})

    findings = examined(http, discovering(realm(publisher), **{member: f"{publisher.origin}/stored"}))

    assert marks(findings).get(check, "ok") == "ok"
    assert "published by" not in "".join(finding.found for finding in findings if finding.check == check)


@EACH
def test_an_issuer_that_is_down(http: Http, own_issuer: Issuer, check: str, member: str) -> None:
    with own_issuer.down():
        finding = about(examined(http, discovering(own_issuer.issuer)), check)

    assert finding.mark == "failed"
    assert f"IdentityProvider/keycloak {member} is not stored, and cannot be discovered" in finding.found
    assert f"{own_issuer.discovery_url}: the connection is refused" in finding.found
    assert any("listens there" in line for line in finding.remedy)


@EACH
def test_a_document_of_another_issuer(http: Http, publisher: Publisher, check: str, member: str) -> None:
    publish(publisher, issuer=ELSEWHERE)

    finding = found(http, publisher, check)

    assert finding.mark == "failed"
    assert f"{member} is not stored, and cannot be discovered" in finding.found
    assert f"names {ELSEWHERE}, not {realm(publisher)}" in finding.found
    assert "What is compared and what is called are two things." in finding.remedy


@EACH
def test_a_malformed_document(http: Http, publisher: Publisher, check: str, member: str) -> None:
    publish(publisher, response_types_supported="code")

    findings = examined(http, discovering(realm(publisher)))

    assert marks(findings)["discovery"] == "failed"
    finding = about(findings, check)
    assert finding.mark == "failed"
    assert "the metadata is not as it should be" in finding.found
    assert "response_types_supported: must be a list of texts" in finding.found
    assert f"Or store IdentityProvider/keycloak {member}" in finding.remedy[-1]


@EACH
def test_no_document(http: Http, publisher: Publisher, check: str, member: str) -> None:
    findings = examined(http, discovering(realm(publisher)))

    assert marks(findings)["discovery"] == "failed"
    finding = about(findings, check)
    assert finding.mark == "failed"
    assert f"{realm(publisher)} publishes nothing about itself" in finding.found
    assert finding.remedy == (f"See that issuer is right, or store IdentityProvider/keycloak {member}.",)


@pytest.mark.parametrize("kind", ["<html>", "[]", '{"a": 1, "a": 2}'])
def test_a_document_that_is_none(http: Http, publisher: Publisher, kind: str) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", kind)

    findings = examined(http, discovering(realm(publisher)))

    assert {marks(findings)[check] for check in ("discovery", *CHECKS)} == {"failed"}


@EACH
def test_a_document_that_does_not_name_it(http: Http, publisher: Publisher, check: str, member: str) -> None:
    issuer, methods = realm(publisher), ["client_secret_basic"]
    members = {"introspection_endpoint": f"{issuer}/introspect", "token_endpoint_auth_methods_supported": methods}
    publisher.publish(f"{OAUTH}/realms/clinic", metadata(issuer, **{**members, member: None}))

    finding = found(http, publisher, check)

    assert finding.mark == "failed"
    assert f"{member} is not stored, and cannot be discovered" in finding.found
    assert finding.found.endswith(" names none")
    assert finding.remedy[-1] == f"If there is one, store it as IdentityProvider/keycloak {member}."


def test_a_provider_without_userinfo_has_another_way_out(http: Http, publisher: Publisher) -> None:
    publish(publisher, userinfo_endpoint=None)

    assert any("userinfo-source: id-token" in line for line in found(http, publisher, "userinfo").remedy)
    assert "userinfo" not in marks(examined(http, discovering(realm(publisher), **{"userinfo-source": "id-token"})))


@pytest.mark.parametrize(("check", "member"), [("keys", "jwks_uri"), ("userinfo", "userinfo_endpoint")])
def test_an_address_where_no_resource_has_one_comes_with_the_command_that_stores_it(
    http: Http, publisher: Publisher, check: str, member: str
) -> None:
    address = f"{ELSEWHERE}/it's;$(x)&y"
    publish(publisher, **{member: address})

    finding = found(http, publisher, check)

    assert finding.mark == "failed"
    assert f"names one at {ELSEWHERE}, where no resource has an address" in finding.found
    assert finding.remedy == (f"If that is the provider's, store it as IdentityProvider/keycloak {member}: {address}",)
    assert finding.command == storing("flask foreign-token", ("IdentityProvider", "keycloak"), member, address)


def test_an_address_that_a_secret_is_bound_to_is_stored_by_hand_with_the_secret(
    http: Http, publisher: Publisher
) -> None:
    publish(publisher, introspection_endpoint=f"{ELSEWHERE}/introspect")

    finding = found(http, publisher, "introspection")

    assert finding.mark == "failed"
    assert f"introspection_endpoint: {ELSEWHERE}/introspect" in finding.remedy[0]
    assert "Write client.secret along with it" in finding.remedy[1]
    assert finding.command[1] == "${EDITOR:-vi} edited.yaml"


def test_an_address_that_nobody_can_read_is_not_for_pasting(http: Http, publisher: Publisher) -> None:
    publish(publisher, jwks_uri=f"{ELSEWHERE}/{'a' * 500}")

    finding = found(http, publisher, "keys")

    assert (finding.mark, finding.command) == ("failed", ())
    assert len(finding.remedy[0]) < 400


def test_nothing_is_asked_where_no_resource_has_an_address(http: Http, publisher: Publisher) -> None:
    issuer = f"http://localhost:{publisher.origin.rpartition(':')[2]}/realms/clinic"
    document = metadata(issuer, realm(publisher), introspection_endpoint=f"{realm(publisher)}/introspect")
    publisher.publish(f"/realms/clinic{OPENID}", document)

    findings = examined(http, discovering(issuer), CLIENT)

    assert {marks(findings)[check] for check in CHECKS} == {"failed"}
    assert set(publisher.asked) == {f"/realms/clinic{OPENID}"}


def test_an_introspector_without_a_provider_stores_the_address_itself(http: Http, publisher: Publisher) -> None:
    publish(publisher, jwks_uri=f"{ELSEWHERE}/certs")
    alone = introspector("alone", None, jwt={"iss": realm(publisher)})

    finding = about(examined_alone(http, alone, policy("all")), "keys")

    assert "store it as TokenIntrospector/alone jwks_uri" in finding.remedy[0]
    assert "get TokenIntrospector alone" in finding.command[0]


def test_a_token_endpoint_at_the_issuer_where_keys_are_discovered_may_have_the_secret_that_is_given(
    http: Http, own_issuer: Issuer
) -> None:
    described, _, _, allowing = discovering("unused", **{"userinfo-source": "id-token"})
    del described["issuer"], described["client"]

    findings = examined(http, [described, introspector("j", jwt={"iss": own_issuer.issuer}), allowing], CLIENT)

    assert set(marks(findings).values()) == {"ok"}


def test_an_issuer_that_fails_between_two_questions(http: Http) -> None:
    def answer_once(peer: Peer) -> None:
        peer.read()
        peer.write(answer(json.dumps(metadata(peer.server.origin)).encode()))
        while peer.read():
            peer.write(answer(status="503 Oh"))

    with serving(answer_once) as server:
        findings = examined(http, discovering(server.origin))

    assert marks(findings)["discovery"] == "ok"
    finding = about(findings, "keys")
    assert (finding.mark, "cannot be discovered" in finding.found) == ("failed", True)
    assert finding.found.endswith("status 503")
    assert finding.remedy == (
        "Or store IdentityProvider/keycloak jwks_uri, so that nothing need be discovered for it.",
    )
