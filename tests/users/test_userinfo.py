from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from flask_foreign_token.errors import REST, InsufficientScope, InvalidToken, ProviderUnavailable, Refusal
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.endpoints import DiscoveredEndpoint, StoredEndpoint
from flask_foreign_token.introspection.frozen import freeze
from flask_foreign_token.introspection.introspection_endpoint import MAX_ANSWER
from flask_foreign_token.introspection.remote_metadata import RemoteMetadata
from flask_foreign_token.users.nesting import MAX_VALUES
from flask_foreign_token.users.userinfo import TokenClaims, UserinfoEndpoint

from ..publishing import OPENID, metadata, publishing
from .conftest import Clock, a_credential, a_token
from .userinfo_server import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def http() -> Iterator[Http]:
    http = Http()
    yield http
    http.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(http: Http, provider: Provider, clock: Clock) -> UserinfoEndpoint:
    return UserinfoEndpoint(http, StoredEndpoint(provider.url), clock=clock)


def test_the_claims_of_the_token_are_taken_as_they_came() -> None:
    token = a_token(email="a@example.org")

    assert TokenClaims().userinfo(token, a_credential()) == token.claims


def test_the_claims_of_the_token_are_handed_out_as_json_knows_them() -> None:
    token = replace(a_token(), claims=freeze({"sub": "74ae9aaf", "realm_access": {"roles": ["user"]}}))

    claims: Any = TokenClaims().userinfo(token, a_credential())

    assert json.loads(json.dumps(claims)) == claims == {"sub": "74ae9aaf", "realm_access": {"roles": ["user"]}}
    claims["realm_access"]["roles"].append("admin")
    assert token.claims["realm_access"] == {"roles": ("user",)}


def test_userinfo_is_asked_for_with_the_token(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    claims = endpoint.userinfo(a_token(), a_credential("a.b.c"))

    assert claims == {"sub": "74ae9aaf", "email": "a@example.org"}
    assert provider.requests == [("/userinfo", "Bearer a.b.c")]


def test_another_word_may_stand_before_the_token(http: Http, provider: Provider) -> None:
    UserinfoEndpoint(http, StoredEndpoint(provider.url), "token").userinfo(a_token(), a_credential("a.b.c"))

    assert provider.requests == [("/userinfo", "token a.b.c")]


@pytest.mark.requirement("OIDC Core", "5.3.2")
@pytest.mark.parametrize(
    "answer",
    [
        {"sub": "somebody else"},
        {"sub": "74AE9AAF"},
        {"sub": None},
        {"sub": ["74ae9aaf"]},
        {"email": "a@example.org"},
        {},
    ],
)
def test_userinfo_of_another_subject_is_refused(endpoint: UserinfoEndpoint, provider: Provider, answer: object) -> None:
    provider.body = json.dumps(answer).encode()

    with pytest.raises(InvalidToken, match="userinfo names another subject"):
        endpoint.userinfo(a_token(), a_credential())


@pytest.mark.parametrize("answer", [{"sub": "somebody else"}, {}], ids=["somebody else", "nobody"])
def test_while_it_names_another_subject_it_is_not_asked_about_that_token_again(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock, answer: object
) -> None:
    good, provider.body = provider.body, json.dumps(answer).encode()
    for _ in range(50):
        with pytest.raises(InvalidToken, match="userinfo names another subject"):
            endpoint.userinfo(a_token(), a_credential("bad"))
    assert len(provider.requests) == 1
    provider.body = good
    assert endpoint.userinfo(a_token(), a_credential("good"))["sub"] == "74ae9aaf"

    clock.now += REST

    assert endpoint.userinfo(a_token(), a_credential("bad"))["sub"] == "74ae9aaf"


def test_a_token_without_sub_cannot_be_tied_to_userinfo(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    token = a_token()
    del token.claims["sub"]
    provider.body = b'{"email": "a@example.org"}'

    with pytest.raises(InvalidToken, match="has no sub"):
        endpoint.userinfo(token, a_credential())

    assert provider.requests == []


def test_where_another_claim_names_the_subject_sub_still_ties_userinfo_to_the_token(
    endpoint: UserinfoEndpoint,
) -> None:
    token = a_token("an oid", oid="an oid")
    token.claims["sub"] = "74ae9aaf"

    assert endpoint.userinfo(token, a_credential())["email"] == "a@example.org"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (401, InvalidToken),
        (403, InsufficientScope),
        (400, ProviderUnavailable),
        (404, ProviderUnavailable),
        (429, ProviderUnavailable),
        (302, ProviderUnavailable),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
    ],
)
def test_each_status_has_its_refusal(
    endpoint: UserinfoEndpoint, provider: Provider, status: int, refusal: type[Refusal]
) -> None:
    provider.status = status

    with pytest.raises(refusal):
        endpoint.userinfo(a_token(), a_credential())


def test_403_asks_for_the_scope_openid(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    provider.status = 403

    with pytest.raises(InsufficientScope) as caught:
        endpoint.userinfo(a_token(), a_credential())

    assert caught.value.scope == "openid"


NONSENSE = [
    pytest.param(b'["74ae9aaf"]', "application/json", id="a list"),
    pytest.param(b'"74ae9aaf"', "application/json", id="a text"),
    pytest.param(b"null", "application/json", id="null"),
    pytest.param(b"<html>", "text/html", id="html"),
    pytest.param(b'{"sub": "74ae9aaf", "sub": "other"}', "application/json", id="a member twice"),
    pytest.param(b'{"sub": "74ae9aaf", "pad": "%s"}' % (b"x" * 10_000_000), "application/json", id="10 MB"),
    pytest.param(b'{"sub": "74ae9aaf"}'.ljust(MAX_ANSWER + 1), "application/json", id="over 64 KiB"),
    pytest.param(b'{"sub": "74ae9aaf", "x": [%s{}]}' % (b"{}," * (MAX_VALUES - 2)), "application/json", id="many {}"),
    pytest.param(b'{"sub": "74ae9aaf", "name": "\\ud800"}', "application/json", id="a lone surrogate"),
    pytest.param(b'{"sub": "74ae9aaf", "n": 1e400}', "application/json", id="beyond a double"),
]


@pytest.mark.parametrize(("body", "content_type"), NONSENSE)
def test_an_answer_that_is_no_object_of_reasonable_size_is_refused(
    endpoint: UserinfoEndpoint, provider: Provider, body: bytes, content_type: str
) -> None:
    provider.body, provider.content_type = body, content_type

    with pytest.raises(ProviderUnavailable):
        endpoint.userinfo(a_token(), a_credential())


def test_64_kib_and_2000_values_are_taken(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    said = {"sub": "74ae9aaf", "groups": [{}] * (MAX_VALUES - 2)}
    provider.body = json.dumps(said).encode().ljust(MAX_ANSWER)

    assert (MAX_ANSWER, MAX_VALUES) == (64 * 1024, 2000)
    assert endpoint.userinfo(a_token(), a_credential()) == said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"sub": "74ae9aaf"}'.ljust(MAX_ANSWER + 1), "a body over 64 KiB"),
        (b'{"sub": "74ae9aaf", "groups": [%s{}]}' % (b"{}," * (MAX_VALUES - 2)), "userinfo: over 2000 values"),
    ],
    ids=["size", "values"],
)
def test_of_what_is_too_large_the_log_says_how_much_it_may_be(
    endpoint: UserinfoEndpoint, provider: Provider, caplog: pytest.LogCaptureFixture, body: bytes, reason: str
) -> None:
    provider.body = body

    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential())

    assert caplog.messages == [f"127.0.0.1: {reason}"]


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (429, b""), (200, b"[]"), (200, b"<html>")], ids=["500", "429", "list", "html"]
)
def test_after_an_outage_the_endpoint_is_left_alone_for_a_while(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock, status: int, body: bytes
) -> None:
    good = provider.body
    provider.status, provider.body = status, body
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential())
    assert len(provider.requests) == 1
    provider.status, provider.body = 200, good

    clock.now += REST

    assert endpoint.userinfo(a_token(), a_credential())["sub"] == "74ae9aaf"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_may_be_due_to_one_token_keeps_nobody_else_out(
    endpoint: UserinfoEndpoint, provider: Provider, status: int
) -> None:
    provider.status = status
    with pytest.raises(Refusal):
        endpoint.userinfo(a_token(), a_credential("bad"))
    provider.status = 200

    assert endpoint.userinfo(a_token(), a_credential("good"))["sub"] == "74ae9aaf"


@pytest.mark.parametrize(("body", "content_type"), NONSENSE)
def test_nor_does_nonsense_that_is_said_of_one_token(
    endpoint: UserinfoEndpoint, provider: Provider, body: bytes, content_type: str
) -> None:
    good = provider.body, provider.content_type
    provider.body, provider.content_type = body, content_type
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential("bad"))
    assert len(provider.requests) == 1
    provider.body, provider.content_type = good

    assert endpoint.userinfo(a_token(), a_credential("good"))["sub"] == "74ae9aaf"


def test_too_many_requests_keep_everybody_out(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    provider.status = 429

    hints = []
    for text in ("one", "two"):
        with pytest.raises(ProviderUnavailable) as unavailable:
            endpoint.userinfo(a_token(), a_credential(text))
        hints.append(unavailable.value.hint)

    assert hints == ["userinfo: no object, status 429"] * 2
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("status", "refusal"), [(400, ProviderUnavailable), (401, InvalidToken), (403, InsufficientScope)]
)
def test_a_token_that_was_refused_is_left_alone_for_a_while(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock, status: int, refusal: type[Refusal]
) -> None:
    provider.status = status
    for _ in range(3):
        with pytest.raises(refusal):
            endpoint.userinfo(a_token(), a_credential())
    assert len(provider.requests) == 1
    provider.status = 200

    clock.now += REST

    assert endpoint.userinfo(a_token(), a_credential())["sub"] == "74ae9aaf"


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_a_clock_that_is_set_back_prolongs_no_rest(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock, status: int
) -> None:
    provider.status = status
    with pytest.raises(Refusal):
        endpoint.userinfo(a_token(), a_credential())
    provider.status = 200

    clock.now -= 3600

    assert endpoint.userinfo(a_token(), a_credential())["sub"] == "74ae9aaf"


def test_while_the_endpoint_is_left_alone_who_asks_is_told_why(http: Http, clock: Clock) -> None:
    provider = Provider()
    provider.close()
    endpoint = UserinfoEndpoint(http, StoredEndpoint(provider.url), clock=clock)

    hints = []
    for text in ("one", "two"):
        with pytest.raises(ProviderUnavailable) as unavailable:
            endpoint.userinfo(a_token(), a_credential(text))
        hints.append(unavailable.value.hint)

    assert hints == ["the connection is refused"] * 2


@pytest.mark.parametrize(("status", "body"), [(400, b""), (404, b""), (429, b""), (200, b"[]")])
def test_an_answer_of_no_use_is_logged_once_and_by_its_host_alone(
    endpoint: UserinfoEndpoint, provider: Provider, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    provider.status, provider.body = status, body

    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential())

    assert caplog.messages == [f"127.0.0.1: userinfo: no object, status {status}"]


@pytest.mark.parametrize(("status", "body"), [(400, b""), (404, b""), (503, b""), (200, b"[]"), (200, b"<html>")])
def test_many_tokens_do_not_fill_the_log(
    endpoint: UserinfoEndpoint,
    provider: Provider,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: bytes,
) -> None:
    provider.status, provider.body = status, body

    for number in range(20):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential(f"token-{number}"))
    assert len(caplog.messages) == 1

    clock.now += REST
    with pytest.raises(ProviderUnavailable):
        endpoint.userinfo(a_token(), a_credential())
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("status", [200, 401, 403])
def test_what_is_said_of_a_token_is_not_logged(
    endpoint: UserinfoEndpoint, provider: Provider, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    provider.status = status

    with suppress(InvalidToken, InsufficientScope):
        endpoint.userinfo(a_token(), a_credential())

    assert caplog.messages == []


def test_a_provider_that_cannot_be_reached_is_unavailable(http: Http, clock: Clock) -> None:
    provider = Provider()
    provider.close()

    with pytest.raises(ProviderUnavailable):
        UserinfoEndpoint(http, StoredEndpoint(provider.url), clock=clock).userinfo(a_token(), a_credential())


def test_an_endpoint_that_is_not_stored_is_the_one_that_the_provider_publishes(http: Http, clock: Clock) -> None:
    with publishing() as publisher:
        publisher.publish(OPENID, metadata(publisher.origin))
        publisher.publish("/userinfo", {"sub": "74ae9aaf"})
        published = RemoteMetadata(http, publisher.origin, origins=frozenset(), grace=0, clock=clock)
        endpoint = UserinfoEndpoint(http, DiscoveredEndpoint(published, "userinfo_endpoint"), clock=clock)

        claims = [endpoint.userinfo(a_token(), a_credential(text)) for text in ("one", "two")]

        assert claims == [{"sub": "74ae9aaf"}] * 2
        assert publisher.asked == [OPENID, "/userinfo", "/userinfo"]


def test_an_endpoint_that_cannot_be_found_is_left_alone_for_a_while_and_no_longer(http: Http, clock: Clock) -> None:
    with publishing() as publisher:
        published = RemoteMetadata(http, publisher.origin, origins=frozenset(), grace=0, clock=clock)
        endpoint = UserinfoEndpoint(http, DiscoveredEndpoint(published, "userinfo_endpoint"), clock=clock)
        with pytest.raises(ProviderUnavailable):
            published.endpoint("jwks_uri")
        asked = len(publisher.asked)

        clock.now += REST - 1
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(a_token(), a_credential())
        assert len(publisher.asked) == asked
        publisher.publish(OPENID, metadata(publisher.origin))
        publisher.publish("/userinfo", {"sub": "74ae9aaf"})
        clock.now += 1

        assert endpoint.userinfo(a_token(), a_credential()) == {"sub": "74ae9aaf"}
