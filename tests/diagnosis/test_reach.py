from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource, introspector, policy, provider
from ..introspection.signing import jwk
from ..publishing import OPENID, Publisher, metadata
from .checking import CLIENT, about, examined, trusting

ISSUER = "https://id.invalid/realms/clinic"
SECRET = "a secret of more than thirty-two octets"


def resources(publisher: Publisher, *, jwt: Resource = {}, **attributes: object) -> list[Resource]:  # noqa: B006
    """A provider of `ISSUER` whose endpoints are those of `publisher`."""
    below = f"{publisher.origin}/realms/clinic"
    return [
        provider("keycloak", **attributes),
        introspector("i", jwt={"iss": ISSUER, **jwt}, jwks_uri=f"{below}/certs"),
        policy("all"),
    ]


def found(http: Http, publisher: Publisher, check: str, *, jwt: Resource = {}, **attributes: object) -> Finding:  # noqa: B006
    return about(examined(http, resources(publisher, jwt=jwt, **attributes)), check)


@pytest.fixture
def publisher(publisher: Publisher) -> Publisher:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER, f"{publisher.origin}/realms/clinic"))
    publisher.publish("/realms/clinic/certs", {"keys": [jwk("RS256"), jwk("ES256"), jwk("RS256", "enc", use="enc")]})
    return publisher


def test_a_stored_address_is_looked_at_before_the_issuer(http: Http, publisher: Publisher, own_issuer: Issuer) -> None:
    body = resources(publisher, jwt={"iss": own_issuer.issuer})
    path = own_issuer.path
    publisher.publish(f"{path}{OPENID}", metadata(own_issuer.issuer, f"{publisher.origin}{path}"))

    finding = about(examined(http, body), "discovery")

    assert (finding.mark, finding.found) == ("ok", f"{publisher.origin}{path}{OPENID} names the issuer")
    assert own_issuer.requests["discovery"] == 0


def test_the_issuer_is_looked_at_where_no_stored_address_has_its_document(
    http: Http, publisher: Publisher, own_issuer: Issuer
) -> None:
    publisher.publish(f"{own_issuer.path}{OPENID}", metadata("https://other.example"))

    body = resources(publisher, jwt={"iss": own_issuer.issuer}, issuer=own_issuer.issuer)
    finding = about(examined(http, body), "discovery")

    assert (finding.mark, finding.found) == ("ok", f"{own_issuer.discovery_url} names the issuer")


@pytest.mark.parametrize("stored", ["secret", "keys", "jwks_uri"])
def test_an_issuer_that_nothing_asks_for_is_not_called(
    http: Http, publisher: Publisher, own_issuer: Issuer, stored: str
) -> None:
    body = resources(publisher, jwt={"iss": own_issuer.issuer})
    key = {"kty": "OCT", "alg": "HS256", "format": "plain", "k": SECRET}
    if stored != "jwks_uri":
        del body[1]["jwks_uri"]
        body[1]["jwt"] |= {"secret": SECRET} if stored == "secret" else {"keys": [key]}

    findings = examined(http, body)

    assert about(findings, "discovery").mark == ("warning" if stored == "jwks_uri" else "skipped")
    assert about(findings, "keys").mark == "ok"
    assert own_issuer.requests["discovery"] == 0


def test_where_nothing_asks_for_it_the_reason_is_told(http: Http) -> None:
    body = [provider("keycloak"), introspector("i", jwt={"iss": ISSUER, "secret": SECRET}), policy("all")]

    finding = about(examined(http, body), "discovery")

    assert finding.found == "no metadata is needed, and jwt.iss is only compared with what tokens say"


def test_who_asks_for_a_token_asks_for_its_endpoint(http: Http, own_issuer: Issuer) -> None:
    body = [provider("keycloak"), introspector("i", jwt={"iss": own_issuer.issuer, "secret": SECRET}), policy("all")]

    assert about(examined(http, body, CLIENT), "discovery").mark == "ok"


def test_an_address_that_does_not_answer_is_told_where_another_does(http: Http, publisher: Publisher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        silent = f"http://127.0.0.1:{free.getsockname()[1]}"
    body = resources(publisher, introspection_endpoint=f"{publisher.origin}/introspect")
    body[1]["jwks_uri"] = f"{silent}/certs"

    finding = about(examined(http, body), "discovery")

    assert finding.mark == "ok"
    assert f"{publisher.origin}/realms/clinic{OPENID} names the issuer" in finding.found
    assert f"{silent}/realms/clinic does not answer from here, which does no harm" in finding.found


def test_an_issuer_that_answers_itself_is_enough(http: Http, own_issuer: Issuer) -> None:
    finding = about(examined(http, trusting(own_issuer)), "discovery")

    assert (finding.mark, finding.found) == ("ok", f"{own_issuer.discovery_url} names the issuer")


def test_the_stored_issuer_is_looked_at_too(http: Http, publisher: Publisher) -> None:
    publisher.publish(f"/elsewhere{OPENID}", metadata(ISSUER))
    del publisher.documents[f"/realms/clinic{OPENID}"]

    assert found(http, publisher, "discovery", issuer=f"{publisher.origin}/elsewhere").mark == "ok"


def test_a_document_of_another_issuer_fails(http: Http, publisher: Publisher) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata("https://other.example"))

    finding = found(http, publisher, "discovery", issuer=ISSUER)

    assert finding.mark == "failed"
    assert "names https://other.example" in finding.found
    assert "What is compared and what is called are two things." in finding.remedy


def test_one_at_a_host_of_keys_is_a_warning_where_no_metadata_is_asked_for(http: Http, publisher: Publisher) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata("https://other.example"))

    findings = examined(http, resources(publisher)[:2])

    assert about(findings, "discovery").mark == "warning"
    assert about(findings, "policy").mark == "failed"


def test_a_document_with_faults_is_no_reason_to_refuse_tokens(http: Http, publisher: Publisher) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER, subject_types_supported=None))

    finding = found(http, publisher, "discovery")

    assert finding.mark == "warning"
    assert "subject_types_supported" in finding.found


def test_nor_is_one_that_is_missing(http: Http, publisher: Publisher) -> None:
    del publisher.documents[f"/realms/clinic{OPENID}"]

    assert found(http, publisher, "discovery").mark == "warning"


def test_a_provider_that_is_down_fails_with_every_address_that_was_tried(http: Http, own_issuer: Issuer) -> None:
    resources = trusting(own_issuer, issuer=own_issuer.issuer)
    with own_issuer.down():
        findings = examined(http, resources)

    for check in ("discovery", "keys"):
        assert about(findings, check).mark == "failed"
        assert f"{own_issuer.url}/" in about(findings, check).found
        assert any("listens there" in line for line in about(findings, check).remedy)
        assert any("http://keycloak:8080" in line for line in about(findings, check).remedy)
    assert about(findings, "clock").mark == "skipped"


def test_that_it_is_down_is_a_warning_where_no_metadata_is_asked_for(http: Http, own_issuer: Issuer) -> None:
    resources = trusting(own_issuer)
    with own_issuer.down():
        findings = examined(http, resources)

    assert (about(findings, "discovery").mark, about(findings, "keys").mark) == ("warning", "failed")


def test_an_issuer_that_is_no_address_is_not_called(http: Http, own_issuer: Issuer) -> None:
    body = trusting(own_issuer)
    body[1] = introspector("i", jwt={"iss": "clinic", "secret": SECRET})
    body[0] = provider("keycloak")

    findings = examined(http, body)

    assert about(findings, "discovery").mark == "skipped"
    assert about(findings, "keys").mark == "ok"


@pytest.mark.parametrize("issuer", ["http://[x", "https://[::1", "https://id.example:99999", "urn:clinic", ".example"])
def test_an_issuer_that_no_metadata_can_name_is_looked_for_nowhere(
    http: Http, publisher: Publisher, issuer: str
) -> None:
    body = resources(publisher, jwt={"iss": issuer})

    findings = examined(http, body)

    assert about(findings, "discovery").mark == "skipped"
    assert about(findings, "keys").mark == "ok"
    assert set(publisher.asked) == {"/realms/clinic/certs"}


def test_where_no_key_serves_the_reasons_are_told(http: Http, publisher: Publisher) -> None:
    publisher.publish("/realms/clinic/certs", {"keys": [jwk("RS256", use="enc")]})

    assert found(http, publisher, "keys").found.endswith("0 of 1 keys serve; left out 1: use is not sig")


def test_keys_are_counted_with_their_algorithms(http: Http, publisher: Publisher) -> None:
    finding = found(http, publisher, "keys")

    assert finding.mark == "ok"
    assert finding.found == "TokenIntrospector/i: 2 of 3 keys serve (ES256, RS256)"


def test_keys_that_the_introspector_does_not_permit_do_not_serve(http: Http, publisher: Publisher) -> None:
    finding = found(http, publisher, "keys", jwt={"algorithms": ["PS512"]})

    assert finding.mark == "failed"
    assert "jwt.algorithms" in finding.found


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"keys": []}, 200, "0 of 0 keys serve"),
        ({"keys": [jwk("RS256", use="enc")]}, 200, "0 of 1 keys serve"),
        ({"certs": []}, 200, "not a JWK Set"),
        ({}, 404, "status 404"),
        ({}, 500, "status 500"),
    ],
)
def test_keys_that_cannot_be_had_fail(
    http: Http, publisher: Publisher, document: object, status: int, words: str
) -> None:
    publisher.publish("/realms/clinic/certs", document, status)

    finding = found(http, publisher, "keys")

    assert finding.mark == "failed"
    assert words in finding.found


def test_a_clock_that_says_the_same_is_right(http: Http, publisher: Publisher) -> None:
    publisher.headers["Date"] = formatdate(usegmt=True)

    assert found(http, publisher, "clock").mark == "ok"


def test_an_answer_that_lay_in_a_cache_is_that_much_older(http: Http, publisher: Publisher) -> None:
    publisher.headers |= {"Date": formatdate(time.time() - 3600, usegmt=True), "Age": "3600"}

    assert found(http, publisher, "clock").mark == "ok"


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2025 00:00:00 GMT"])
def test_a_time_that_is_none_tells_nothing(http: Http, publisher: Publisher, date: str) -> None:
    publisher.headers["Date"] = date

    assert found(http, publisher, "clock").mark == "skipped"
