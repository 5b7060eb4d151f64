from __future__ import annotations

import json
from base64 import b64decode

import pytest

from flask_foreign_token.diagnosis.grants import Login, TokenEndpoint
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..http_servers import answer, answering, serving
from .checking import CLIENT, about, examined, trusting

ODD = Login("an id:", "s %+&")


def asked(http: Http, login: Login, *auth_methods: str) -> tuple[str, str]:
    """Head and body of what is sent."""
    with serving(answering(answer())) as server:
        TokenEndpoint(http, server.origin, auth_methods).ask(login, {"grant_type": "client_credentials"})
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    return head, body


@pytest.mark.parametrize("methods", [[], ["client_secret_post"], ["client_secret_basic", "client_secret_post"]])
def test_a_client_authenticates_in_the_form_where_that_is_not_ruled_out(http: Http, methods: list[str]) -> None:
    head, body = asked(http, ODD, *methods)

    assert "Authorization" not in head
    assert body == "grant_type=client_credentials&client_id=an+id%3A&client_secret=s+%25%2B%26"


def test_a_client_authenticates_by_basic_where_the_form_is_not_offered(http: Http) -> None:
    head, body = asked(http, ODD, "client_secret_basic", "private_key_jwt")

    [credential] = [line.split()[2] for line in head.split("\r\n") if line.startswith("Authorization: Basic ")]
    assert b64decode(credential) == b"an+id%3A:s+%25%2B%26"
    assert body == "grant_type=client_credentials"


def test_a_public_client_gives_its_name(http: Http) -> None:
    head, body = asked(http, Login("app", None, "ann", "secret"), "client_secret_basic")

    assert "Authorization" not in head
    assert body.endswith("client_id=app")


@pytest.mark.parametrize(
    "said",
    [
        {"error": "invalid_client", "error_description": "no my-client-secret here"},
        {"error": "my-client-secret", "error_description": "\x1b[31m" + "a" * 10_000},
        {"error": ["invalid_client"], "error_description": {"a": 1}},
        {},
    ],
)
def test_what_a_provider_says_is_printed_without_secrets_and_on_one_line(
    http: Http, issuer: Issuer, said: dict[str, object]
) -> None:
    with serving(answering(answer(json.dumps(said).encode(), status="401 No"))) as server:
        finding = about(examined(http, trusting(issuer, token_endpoint=server.origin), CLIENT), "client credentials")

    assert finding.mark == "failed"
    assert "my-client-secret" not in finding.found
    assert finding.found.isprintable()
    assert len(finding.found) < 500


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("x", "The client does not exist", '"The client does not exist"'),
        ("x", "The secret x is wrong", '"The secret ******** is wrong"'),
        ("is-it", "this-is-its place, is-it?", '"this-is-its place, ********?"'),
        ("s3cret", "nos3crets", '"no********s"'),
        ("a+b(c", "a+b(c", '"********"'),
    ],
)
def test_a_short_secret_is_masked_where_it_stands_alone(
    http: Http, issuer: Issuer, secret: str, said: str, shown: str
) -> None:
    document = json.dumps({"error": "invalid_client", "error_description": said}).encode()
    with serving(answering(answer(document, status="401 No"))) as server:
        resources = trusting(issuer, token_endpoint=server.origin)
        finding = about(examined(http, resources, Login("my-client", secret)), "client credentials")

    assert finding.found.endswith(shown)


@pytest.mark.parametrize(
    "spelt",
    [
        "s3cr&t p@ss/w",
        "s3cr%26t+p%40ss%2Fw",
        "s3cr%26t%20p%40ss%2fw",
        "s3cr%26t p@ss/w",
        "bXktY2xpZW50OnMzY3IlMjZ0K3AlNDBzcyUyRnc=",
        "bXktY2xpZW50OnMzY3IlMjZ0K3AlNDBzcyUyRnc",
    ],
)
def test_a_secret_is_masked_however_it_is_spelt(http: Http, issuer: Issuer, spelt: str) -> None:
    document = json.dumps({"error": "invalid_client", "error_description": f"got {spelt} there"}).encode()
    with serving(answering(answer(document, status="401 No"))) as server:
        resources = trusting(issuer, token_endpoint=server.origin)
        finding = about(examined(http, resources, Login("my-client", "s3cr&t p@ss/w")), "client credentials")

    assert finding.found.rstrip('"').replace("=", "").endswith("got ******** there")


def test_a_password_is_masked_as_a_form_spells_it(http: Http, issuer: Issuer) -> None:
    document = json.dumps({"error": "invalid_grant", "error_description": "username=ann&password=p%C3%A4ss+word"})
    with serving(answering(answer(document.encode(), status="400 No"))) as server:
        resources = trusting(issuer, token_endpoint=server.origin)
        finding = about(examined(http, resources, Login("my-client", None, "ann", "p\u00e4ss word")), "password")

    assert finding.found.endswith('"username=ann&password=********"')


def test_of_two_secrets_none_is_left_in_part(http: Http, issuer: Issuer) -> None:
    document = json.dumps({"error": "invalid_grant", "error_description": "not my-secret-123"})
    with serving(answering(answer(document.encode(), status="400 No"))) as server:
        resources = trusting(issuer, token_endpoint=server.origin)
        login = Login("my-client", "my-secret", "ann", "my-secret-123")
        finding = about(examined(http, resources, login), "password")

    assert finding.found.endswith('"not ********"')


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"access_token": 1}', b'{"access_token": ""}'])
def test_an_answer_without_a_token_fails(http: Http, issuer: Issuer, body: bytes) -> None:
    with serving(answering(answer(body))) as server:
        finding = about(examined(http, trusting(issuer, token_endpoint=server.origin), CLIENT), "client credentials")

    assert (finding.mark, "without an access_token" in finding.found) == ("failed", True)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a b\r\nX-Evil: 1", "ä"])
def test_a_token_that_is_no_jwt_fails(http: Http, issuer: Issuer, token: str) -> None:
    with serving(answering(answer(json.dumps({"access_token": token}).encode()))) as server:
        findings = examined(http, trusting(issuer, token_endpoint=server.origin), CLIENT)

    finding = about(findings, "client credentials: token")
    assert finding.mark == "failed"
    assert token not in finding.found
