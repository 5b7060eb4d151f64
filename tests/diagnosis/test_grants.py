from __future__ import annotations

import json
from base64 import b64decode

import pytest

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login, TokenEndpoint
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import without
from ..http_servers import answer, answering, serving
from .checking import CLIENT, about, asking, examined, trusting

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


# ---- a client that may not use a grant

DENIED = {"error": "unauthorized_client", "error_description": "Client not enabled to retrieve service account"}
WRONG = {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"}
STORED = {"id": "my-client", "secret": "my-client-secret"}


def answered(http: Http, issuer: Issuer, said: dict[str, str], login: Login, status: str = "401 No") -> Finding:
    """What is found where the token endpoint answers `said`, and a client is stored."""
    with serving(answering(answer(json.dumps(said).encode(), status=status))) as server:
        resources = trusting(issuer, token_endpoint=server.origin, client=STORED)
        return about(examined(http, resources, login), "client credentials")


@pytest.mark.parametrize("said", [DENIED, {"error": "unauthorized_client"}])
def test_a_stored_client_that_gets_no_token_is_no_fault(http: Http, issuer: Issuer, said: dict[str, str]) -> None:
    finding = answered(http, issuer, said, Login())

    assert (finding.mark, finding.remedy, finding.command) == ("skipped", (), ())
    assert "name one with --client-id" in finding.found


def test_one_that_asks_about_tokens_is_told_that_it_may(http: Http, issuer: Issuer) -> None:
    with serving(answering(answer(json.dumps(DENIED).encode(), status="401 No"))) as server:
        addresses = {"introspection_endpoint": issuer.introspection_endpoint, "token_endpoint": server.origin}
        described, asked, allowing = asking(issuer, provider={"client": STORED, **addresses})
        findings = examined(http, [described, without(asked, "introspection_endpoint"), allowing])

    assert about(findings, "introspection").mark == "ok"
    finding = about(findings, "client credentials")
    assert finding.mark == "skipped"
    assert "the stored client may ask about tokens but gets none" in finding.found


def test_a_client_that_is_beside_a_user_need_get_none_either(http: Http, issuer: Issuer) -> None:
    assert answered(http, issuer, DENIED, Login(None, None, "ann", "a-password")).mark == "skipped"
    assert answered(http, issuer, DENIED, Login("my-client", "x", "ann", "a-password")).mark == "skipped"


@pytest.mark.parametrize("login", [CLIENT, Login("my-client")])
def test_a_client_that_was_named_fails_without_a_word_of_its_secret(http: Http, issuer: Issuer, login: Login) -> None:
    finding = answered(http, issuer, DENIED, login)

    assert (finding.mark, finding.command) == ("failed", ())
    assert "client.secret" not in repr(finding)
    assert "Switch Service accounts roles on" in finding.remedy[1]


@pytest.mark.parametrize("said", [WRONG, {"error": "invalid_client"}, {}])
def test_a_stored_secret_that_is_wrong_fails_with_where_it_is(http: Http, issuer: Issuer, said: dict[str, str]) -> None:
    finding = answered(http, issuer, said, Login())

    assert finding.mark == "failed"
    assert "It is the client.secret that is stored at IdentityProvider/keycloak." in finding.remedy
    assert finding.command


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_scope"])
def test_what_is_not_about_the_secret_does_not_ask_for_another(http: Http, issuer: Issuer, error: str) -> None:
    assert answered(http, issuer, {"error": error}, Login()).command == ()


def test_userinfo_that_is_signed_is_verified(http: Http) -> None:
    with Issuer(userinfo_signed_response_alg="ES256") as issuer:
        good = about(examined(http, trusting(issuer), CLIENT), "client credentials: userinfo")
        strict = trusting(issuer, jwt={"algorithms": ["RS256"]})
        bad = about(examined(http, strict, CLIENT), "client credentials: userinfo")

    assert (good.mark, good.found.partition(",")[0]) == (
        "ok",
        f"{issuer.userinfo_endpoint} speaks of the same subject",
    )
    assert bad.mark == "failed"
    assert "signed userinfo: the algorithm is not permitted" in bad.found
