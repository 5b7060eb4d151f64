from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from flask_foreign_token.errors import REST, ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.addresses import origin_of
from flask_foreign_token.introspection.freshness import MIN_LIFE
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_metadata import METADATA_TTL, MetadataDirectory, RemoteMetadata

from ..publishing import OAUTH, OPENID, Publisher, metadata, publishing
from .concurrency import Background, Clock, at_once
from .provider import GRACE
from .signing import NOW

ELSEWHERE = "https://elsewhere.example"
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        publisher.publish(OPENID, metadata(publisher.origin))
        yield publisher


Make = Callable[..., RemoteMetadata]


@pytest.fixture
def make(publisher: Publisher, http: Http, clock: Clock, background: Background) -> Make:
    background.threads_run = True

    def make(*origins: str, issuer: str = "") -> RemoteMetadata:
        return RemoteMetadata(
            http,
            issuer or publisher.origin,
            origins=frozenset(origins),
            grace=GRACE,
            clock=clock,
            begin=background,
            jitter=lambda: 0,
        )

    return make


@pytest.fixture
def remote(make: Make) -> RemoteMetadata:
    return make()


def hint_of(remote: RemoteMetadata, member: str = "jwks_uri") -> str:
    """The hint of a refusal whose description says nothing."""
    with pytest.raises(ProviderUnavailable) as unavailable:
        remote.endpoint(member)
    assert unavailable.value.description == ProviderUnavailable.text
    return str(unavailable.value.hint)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, apart from what the test's own server says."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("flask_foreign_token") and record.levelno >= logging.WARNING
    ]


def test_making_one_asks_nobody(publisher: Publisher, remote: RemoteMetadata, background: Background) -> None:
    assert remote.known("jwks_uri") is None
    assert remote.state.fetched_at is None
    assert publisher.asked == []
    assert background.asked == 0


def test_metadata_are_fetched_once_for_all_endpoints(publisher: Publisher, remote: RemoteMetadata) -> None:
    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"
    assert remote.endpoint("userinfo_endpoint") == f"{publisher.origin}/userinfo"
    assert remote.known("userinfo_endpoint") == f"{publisher.origin}/userinfo"
    assert publisher.asked == [OPENID]


def test_64_threads_fetch_once(publisher: Publisher, remote: RemoteMetadata) -> None:
    found = at_once(64, lambda _number: remote.endpoint("jwks_uri"))

    assert found == [f"{publisher.origin}/certs"] * 64
    assert publisher.asked == [OPENID]


def test_64_threads_fetch_once_from_a_provider_that_is_down(publisher: Publisher, remote: RemoteMetadata) -> None:
    publisher.publish(OPENID, {}, 503)

    assert at_once(64, lambda _number: remote.endpoint("jwks_uri")) == [ProviderUnavailable] * 64
    assert publisher.asked == [OPENID]


def test_what_rfc_8414_publishes_serves_as_well(publisher: Publisher, remote: RemoteMetadata) -> None:
    publisher.documents.clear()
    document = metadata(publisher.origin, token_endpoint_auth_methods_supported=None)
    publisher.publish(OAUTH, {**document, "introspection_endpoint": f"{publisher.origin}/introspect"})

    assert remote.endpoint("introspection_endpoint") == f"{publisher.origin}/introspect"
    assert remote.state.document is not None
    assert remote.state.document.address == f"{publisher.origin}{OAUTH}"


def test_how_things_stand_is_shown(publisher: Publisher, remote: RemoteMetadata) -> None:
    remote.endpoint("jwks_uri")

    state = remote.state

    assert state.document is not None
    assert state.document.address == f"{publisher.origin}{OPENID}"
    assert state.fetched_at == NOW
    assert state.refresh_at == NOW + REFRESH_AHEAD * METADATA_TTL
    assert state.expires_at == NOW + METADATA_TTL
    assert state.last_error is None
    assert not state.pending


@pytest.mark.parametrize(
    ("headers", "life"),
    [({"Cache-Control": "no-cache"}, METADATA_TTL), ({"Cache-Control": "max-age=0"}, MIN_LIFE)],
)
def test_the_answer_may_shorten_their_life(
    publisher: Publisher, remote: RemoteMetadata, headers: dict[str, str], life: float
) -> None:
    publisher.headers = headers

    remote.endpoint("jwks_uri")

    assert remote.state.expires_at == NOW + life


def test_they_are_renewed_in_the_background(
    publisher: Publisher, remote: RemoteMetadata, background: Background, clock: Clock
) -> None:
    remote.endpoint("jwks_uri")
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=f"{publisher.origin}/moved"))
    clock.pass_(REFRESH_AHEAD * METADATA_TTL)

    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"
    background.run()

    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/moved"
    assert publisher.asked == [OPENID, OPENID]


def test_old_ones_serve_while_the_provider_is_down(publisher: Publisher, remote: RemoteMetadata, clock: Clock) -> None:
    remote.endpoint("jwks_uri")
    publisher.publish(OPENID, {}, 503)
    clock.pass_(METADATA_TTL + GRACE - 1)
    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"

    clock.pass_(REST)

    assert hint_of(remote).endswith(f"{OPENID}: status 503")


def test_an_endpoint_that_is_not_named_is_unavailable(publisher: Publisher, remote: RemoteMetadata) -> None:
    hint = hint_of(remote, "introspection_endpoint")

    assert hint == f"{publisher.origin}{OPENID}: names no introspection_endpoint; store it in the resource"
    assert remote.known("introspection_endpoint") is None


def test_an_endpoint_at_an_origin_that_no_resource_names_is_refused(publisher: Publisher, make: Make) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=f"{ELSEWHERE}/certs"))
    remote = make("https://another.example")

    hint = hint_of(remote)

    assert f"{ELSEWHERE}/certs as jwks_uri" in hint
    assert "store it in the resource" in hint
    assert remote.known("jwks_uri") is None
    assert remote.endpoint("userinfo_endpoint") == f"{publisher.origin}/userinfo"


@pytest.mark.parametrize("address", [f"{ELSEWHERE}/certs", f"{ELSEWHERE}:443/certs", "https://ELSEWHERE.example/certs"])
def test_an_endpoint_at_an_origin_that_a_resource_names_is_taken(
    publisher: Publisher, make: Make, address: str
) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=address))

    assert make(ELSEWHERE).endpoint("jwks_uri") == address


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/certs",
        "http://127.0.0.1:1/certs",
        "http://localhost/certs",
        "https://elsewhere.example.evil.example/certs",
        "https://elsewhere.example:8443/certs",
    ],
)
def test_the_whole_origin_counts(publisher: Publisher, make: Make, address: str) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=address))

    assert address in hint_of(make(ELSEWHERE))


def test_an_address_that_is_none_opens_nothing(publisher: Publisher, make: Make) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=f"{ELSEWHERE}/certs"))

    assert f"{ELSEWHERE}/certs" in hint_of(make("", origin_of("no address")))


def spoilt(origin: str) -> dict[str, tuple[object, int, str]]:
    """Documents that must not be used, with their status and what the hint holds."""
    return {
        "another issuer": (metadata("https://evil.example", origin), 200, "names https://evil.example"),
        "no object": ([], 200, "must be an object"),
        "no address": (metadata(origin, jwks_uri="ftp://id.example"), 200, "jwks_uri: must be https"),
        "no JSON": ("{", 200, f"{OPENID}: "),
        "nothing": ({}, 404, "the endpoints must be stored in the resource"),
        "down": ({}, 503, "status 503"),
        "redirect": ({}, 302, "status 302"),
    }


@pytest.mark.parametrize("name", list(spoilt("")))
def test_metadata_that_must_not_be_used_are_unavailable_rest_and_are_logged_once(
    publisher: Publisher, remote: RemoteMetadata, clock: Clock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    document, status, reason = spoilt(publisher.origin)[name]
    publisher.publish(OPENID, document, status)

    hints = {hint_of(remote) for _ in range(3)}

    (hint,) = hints
    assert reason in hint
    assert remote.state.last_error == hint
    assert publisher.asked.count(OPENID) == 1
    assert len(said(caplog)) == 1

    publisher.publish(OPENID, metadata(publisher.origin))
    clock.pass_(REST)
    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"
    assert remote.state.last_error is None


def test_metadata_that_must_not_be_used_do_not_replace_good_ones(
    publisher: Publisher, remote: RemoteMetadata, clock: Clock
) -> None:
    remote.endpoint("jwks_uri")
    publisher.publish(OPENID, metadata("https://evil.example", publisher.origin, jwks_uri=f"{publisher.origin}/evil"))
    clock.pass_(METADATA_TTL)

    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"
    assert "https://evil.example" in str(remote.state.last_error)


def test_what_is_wrong_with_metadata_is_logged_once_for_each_change(
    publisher: Publisher, remote: RemoteMetadata, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    good = metadata(publisher.origin)
    answers: list[tuple[object, int]] = [([], 200), ([], 200), ({}, 200), ({}, 200), (good, 200), ({}, 200)]
    for document, status in [*answers, ({}, 503), ({}, 200)]:
        publisher.publish(OPENID, document, status)
        for _ in range(2):
            with suppress(ProviderUnavailable):
                remote.endpoint("jwks_uri")
        clock.pass_(METADATA_TTL + GRACE)

    assert [line.rsplit(": ", 1)[1] for line in said(caplog)] == [
        "must be an object",
        "must be there, and a text",
        "must be there, and a text",
        "status 503",
        "must be there, and a text",
    ]


def test_a_member_that_must_not_be_used_is_logged_once_for_each_change(
    publisher: Publisher, remote: RemoteMetadata, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    members: list[dict[str, Any]] = [{}, {}, {"introspection_endpoint": f"{publisher.origin}/introspect"}, {}]
    for document in members:
        publisher.publish(OPENID, metadata(publisher.origin, **document))
        for _ in range(2):
            for member in ("introspection_endpoint", "jwks_uri"):
                with suppress(ProviderUnavailable):
                    remote.endpoint(member)
        clock.pass_(METADATA_TTL)

    assert len(said(caplog)) == 2


def test_an_issuer_that_is_no_address_is_never_asked(publisher: Publisher, make: Make) -> None:
    assert hint_of(make(issuer="my realm")).startswith("issuer: must begin with https://")
    assert publisher.asked == []


def test_a_directory_has_one_for_each_way_of_asking(http: Http) -> None:
    directory = MetadataDirectory(http, grace=GRACE)
    one = directory.of("https://id.example", frozenset({ELSEWHERE}))

    assert directory.of("https://id.example", frozenset({ELSEWHERE})) is one
    assert directory.of("https://id.example", NOTHING) is not one
    assert directory.of("https://id.example/", frozenset({ELSEWHERE})) is not one


@pytest.mark.parametrize("origins", [{"https://id.example"}, {""}, {"https://id.example", ""}])
def test_the_issuers_own_origin_and_what_is_no_address_make_no_other_way_of_asking(
    http: Http, origins: set[str]
) -> None:
    directory = MetadataDirectory(http, grace=GRACE)
    one = directory.of("https://id.example/realm", NOTHING)

    assert directory.of("https://id.example/realm", frozenset(origins)) is one
    assert one.origins == {"https://id.example"}


def test_64_threads_get_the_same_from_a_directory(http: Http) -> None:
    directory = MetadataDirectory(http, grace=GRACE)

    found = at_once(64, lambda _number: directory.of("https://id.example", NOTHING))

    assert len(set(map(id, found))) == 1


def test_a_directory_forgets_what_nobody_uses(publisher: Publisher, http: Http) -> None:
    directory = MetadataDirectory(http, grace=GRACE)
    directory.of(publisher.origin, NOTHING).endpoint("jwks_uri")
    gc.collect()

    assert directory.of(publisher.origin, NOTHING).known("jwks_uri") is None


def test_a_directory_makes_what_asks_the_provider(publisher: Publisher, http: Http, clock: Clock) -> None:
    directory = MetadataDirectory(http, grace=GRACE, clock=clock)
    remote = directory.of(publisher.origin, NOTHING)

    assert remote.endpoint("jwks_uri") == f"{publisher.origin}/certs"
    assert directory.of(publisher.origin, NOTHING).known("jwks_uri") == f"{publisher.origin}/certs"
    assert publisher.asked == [OPENID]
