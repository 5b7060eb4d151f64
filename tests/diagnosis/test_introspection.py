"""Whether the introspection endpoint lets this app ask."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource, policy, without
from ..http_servers import Server, answer, answering, serving
from ..publishing import OPENID, Publisher, metadata
from .checking import about, asking, endpoint_of, examined, examined_alone, marks

REWRITTEN = "Else write another in place of the mask, which is shown whatever is stored:"


def found(http: Http, resources: list[Resource]) -> Finding:
    return about(examined(http, resources), "introspection")


def alone(url: str, **attributes: object) -> list[Resource]:
    """An introspector that asks at `url`, and belongs to no provider."""
    asked = {"url": url, "authorization": "Bearer hush"}
    return [
        {"resourceType": "TokenIntrospector", "id": "o", "type": "opaque", "introspection_endpoint": asked}
        | attributes,
        policy("all"),
    ]


def form_of(server: Server) -> dict[str, list[str]]:
    return parse_qs(server.requests[-1].decode().partition("\r\n\r\n")[2])


# ---- it lets us ask


def test_an_endpoint_that_knows_nothing_of_a_made_up_token_is_well(http: Http, own_issuer: Issuer) -> None:
    finding = found(http, asking(own_issuer))

    assert finding.mark == "ok"
    assert own_issuer.introspection_endpoint in finding.found
    assert "TokenIntrospector/keycloak-opaque-introspector" in finding.found
    assert own_issuer.requests["introspection"] == 1


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_it_is_asked_as_tokens_are(http: Http, issuer: Issuer, method: str) -> None:
    resources = asking(issuer, introspection_endpoint=endpoint_of(issuer, auth_method=method))

    assert found(http, resources).mark == "ok"


def test_the_provider_is_asked_where_the_introspector_has_no_endpoint(http: Http, issuer: Issuer) -> None:
    client = {"client": {"id": "my-client", "secret": "my-client-secret"}}
    resources = asking(issuer, provider={"introspection_endpoint": issuer.introspection_endpoint, **client})
    resources[1] = without(resources[1], "introspection_endpoint")

    assert found(http, resources).mark == "ok"


def test_the_token_that_is_made_up_is_another_each_time_and_begins_as_those_of_the_introspector(http: Http) -> None:
    asked = []
    with serving(answering(answer(b'{"active": false}'))) as server:
        for _ in range(2):
            examined_alone(http, *alone(server.origin, token_prefix="ory_at_"))
            asked += form_of(server)["token"]

    assert len({*asked}) == 2
    assert all(token.startswith("ory_at_") and len(token) >= 40 for token in asked)


# ---- it does not


@pytest.mark.parametrize("status", ["401 No", "403 No"])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "invalid_client", "error_description": "hush"}'])
def test_a_credential_that_is_refused_is_told_with_what_to_correct_and_how(
    http: Http, status: str, body: bytes
) -> None:
    with serving(answering(answer(body, status=status))) as server:
        finding = about(examined_alone(http, *alone(server.origin)), "introspection")

    assert finding.mark == "failed"
    assert f"{server.origin}: the introspection endpoint refuses" in finding.found
    assert f"status {status[:3]}" in finding.found
    assert finding.remedy[0] == "Correct introspection_endpoint.authorization of TokenIntrospector/o."
    assert any("does not let it ask" in line for line in finding.remedy) == status.startswith("403")
    assert finding.remedy[-1] == REWRITTEN
    assert finding.command == (
        "(umask 077; flask foreign-token get TokenIntrospector o >edited.yaml)",
        "${EDITOR:-vi} edited.yaml",
        "flask foreign-token apply edited.yaml && rm edited.yaml",
    )
    assert "hush" not in repr(finding)


def test_a_client_that_is_not_known_is_refused_with_400_too(http: Http) -> None:
    body = json.dumps({"error": "invalid_client"}).encode()
    with serving(answering(answer(body, status="400 No"))) as server:
        finding = about(examined_alone(http, *alone(server.origin)), "introspection")

    assert (finding.mark, "status 400" in finding.found) == ("failed", True)


def test_the_wrong_secret_of_an_introspector(http: Http, issuer: Issuer) -> None:
    finding = found(http, asking(issuer, introspection_endpoint=endpoint_of(issuer, client_secret="wrong-secret")))

    assert finding.mark == "failed"
    attributes = "introspection_endpoint.client_id and introspection_endpoint.client_secret"
    assert finding.remedy[0] == f"Correct {attributes} of TokenIntrospector/keycloak-opaque-introspector."
    assert finding.remedy[1].startswith("Or introspection_endpoint.auth_method there")
    assert finding.remedy[1].endswith("the provider takes client_secret_basic, client_secret_post.")
    assert "wrong-secret" not in repr(finding)


def test_the_wrong_secret_of_a_provider(http: Http, issuer: Issuer) -> None:
    client = {"client": {"id": "my-client", "secret": "wrong-secret"}}
    resources = asking(issuer, provider={"introspection_endpoint": issuer.introspection_endpoint, **client})
    resources[1] = without(resources[1], "introspection_endpoint")

    finding = found(http, resources)

    assert finding.mark == "failed"
    assert finding.remedy[0] == "Correct client.id and client.secret of IdentityProvider/keycloak."
    assert finding.remedy[1].startswith("Or client.auth-method there")
    assert "get IdentityProvider keycloak" in finding.command[0]


def test_what_a_provider_publishes_of_methods_cannot_do_anything_to_a_terminal(
    http: Http, publisher: Publisher
) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    methods = ["\x1b[31mred", "b" * 10_000]
    publisher.publish(
        f"/realms/clinic{OPENID}", metadata(issuer, introspection_endpoint_auth_methods_supported=methods)
    )
    publisher.publish("/introspect", {}, 401)
    asked = {"url": f"{publisher.origin}/introspect", "client_id": "c", "client_secret": "s"}

    resources = alone("unused", jwt={"iss": issuer}, introspection_endpoint=asked)
    finding = about(examined_alone(http, *resources), "introspection")

    assert finding.remedy[1].isprintable()
    assert len(finding.remedy[1]) < 500


# ---- what answers is no introspection endpoint


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (answer(b"<html>", content_type="text/html"), "does not call itself JSON"),
        (answer(b"<html>"), "not JSON"),
        (answer(b"[]"), "no object with a boolean active, status 200"),
        (answer(b"{}"), "no object with a boolean active, status 200"),
        (answer(b'{"active": "false"}'), "no object with a boolean active, status 200"),
        (answer(b"<html>", status="404 No", content_type="text/html"), "status 404"),
        (answer(b"", status="405 No"), "status 405"),
        (answer(b"{}", status="429 No"), "status 429"),
        (answer(b"", "Location: /login", status="302 Found"), "status 302"),
        (answer(b"", status="503 No"), "status 503"),
    ],
)
def test_what_came_is_told_with_a_remedy(http: Http, answered: bytes, words: str) -> None:
    with serving(answering(answered)) as server:
        finding = about(examined_alone(http, *alone(server.origin)), "introspection")

    assert finding.mark == "failed"
    assert f"TokenIntrospector/o: {server.origin}: " in finding.found
    assert words in finding.found
    assert finding.remedy


def test_an_endpoint_that_cannot_be_reached(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.down():
        finding = found(http, asking(own_issuer))

    assert finding.mark == "failed"
    assert f"{own_issuer.introspection_endpoint}: the connection is refused" in finding.found
    assert any("listens there" in line for line in finding.remedy)


def test_an_endpoint_that_calls_everything_active_lets_anybody_in(http: Http) -> None:
    with serving(answering(answer(b'{"active": true}'))) as server:
        finding = about(examined_alone(http, *alone(server.origin)), "introspection")

    assert finding.mark == "failed"
    assert "calls a made-up token active" in finding.found
    assert finding.remedy


def test_an_endpoint_that_answers_no_such_questions_is_a_warning(http: Http) -> None:
    body = json.dumps({"error": "unsupported_token_type"}).encode()
    with serving(answering(answer(body, status="400 No"))) as server:
        finding = about(examined_alone(http, *alone(server.origin)), "introspection")

    assert finding.mark == "warning"
    assert "answers no questions about tokens of this kind" in finding.found
    assert any("type jwt" in line for line in finding.remedy)


# ---- nobody is asked


@pytest.mark.parametrize("secret", ["", "  "])
def test_a_secret_that_must_not_be_used_is_sent_nowhere(http: Http, own_issuer: Issuer, secret: str) -> None:
    findings = examined(http, asking(own_issuer, introspection_endpoint=endpoint_of(own_issuer, client_secret=secret)))

    finding = about(findings, "introspector")
    assert finding.mark == "failed"
    assert "out of service" in finding.found
    assert "introspection_endpoint.client_secret: must not be blank" in finding.found
    assert finding.command[1] == "${EDITOR:-vi} edited.yaml"
    assert "introspection" not in marks(findings)
    assert own_issuer.requests["introspection"] == 0


def test_a_blank_secret_of_the_provider_is_mended_there(http: Http, own_issuer: Issuer) -> None:
    client = {"client": {"id": "my-client", "secret": " "}}
    resources = asking(own_issuer, provider={"introspection_endpoint": own_issuer.introspection_endpoint, **client})
    resources[1] = without(resources[1], "introspection_endpoint")

    finding = about(examined(http, resources), "introspector")

    assert finding.mark == "failed"
    assert "get IdentityProvider keycloak" in finding.command[0]
    assert own_issuer.requests["introspection"] == 0


def test_who_is_not_active_is_not_asked(http: Http, own_issuer: Issuer) -> None:
    findings = examined(http, asking(own_issuer, active=False))

    assert marks(findings)["introspector"] == "failed"
    assert not any(own_issuer.requests.values())
