from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_foreign_token.errors import REST, ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.endpoints import DiscoveredEndpoint, StoredEndpoint
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.remote_metadata import METADATA_TTL, RemoteMetadata

from ..publishing import OPENID, Publisher, metadata, publishing
from .concurrency import Background, Clock, at_once
from .provider import GRACE
from .signing import NOW, jwk


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        publisher.publish(OPENID, metadata(publisher.origin))
        publisher.publish("/certs", {"keys": [jwk("RS256", "first")]})
        yield publisher


@pytest.fixture
def remote(publisher: Publisher, http: Http, clock: Clock, background: Background) -> RemoteMetadata:
    return RemoteMetadata(
        http,
        publisher.origin,
        origins=frozenset(),
        grace=GRACE,
        clock=clock,
        begin=background,
        jitter=lambda: 0,
    )


@pytest.fixture
def keys(remote: RemoteMetadata, http: Http, clock: Clock, background: Background) -> RemoteKeys:
    endpoint = DiscoveredEndpoint(remote, "jwks_uri")
    return RemoteKeys(http, endpoint, ttl=METADATA_TTL, grace=GRACE, clock=clock, begin=background, jitter=lambda: 0)


def test_a_stored_address_is_known_and_located_as_it_is() -> None:
    endpoint = StoredEndpoint("https://id.example/certs")

    assert endpoint.known == endpoint.locate() == "https://id.example/certs"


def test_stored_endpoints_are_one_where_the_address_is() -> None:
    one, other = StoredEndpoint("https://id.example/certs"), StoredEndpoint("https://id.example/keys")

    assert one == StoredEndpoint("https://id.example/certs")
    assert len({one, other, StoredEndpoint("https://id.example/certs")}) == 2


def test_discovered_endpoints_are_one_where_publication_and_member_are(remote: RemoteMetadata, http: Http) -> None:
    alike = RemoteMetadata(http, remote.issuer, origins=frozenset(), grace=GRACE)
    endpoints = [
        DiscoveredEndpoint(remote, "jwks_uri"),
        DiscoveredEndpoint(remote, "jwks_uri"),
        DiscoveredEndpoint(remote, "userinfo_endpoint"),
        DiscoveredEndpoint(alike, "jwks_uri"),
    ]

    assert endpoints[0] == endpoints[1]
    assert len(set(endpoints)) == 3


def test_a_discovered_address_is_known_once_it_was_located(publisher: Publisher, remote: RemoteMetadata) -> None:
    endpoint = DiscoveredEndpoint(remote, "jwks_uri")
    assert endpoint.known is None
    assert publisher.asked == []

    assert endpoint.locate() == f"{publisher.origin}/certs"
    assert endpoint.known == f"{publisher.origin}/certs"
    assert publisher.asked == [OPENID]


def test_keys_are_fetched_where_the_provider_says(publisher: Publisher, keys: RemoteKeys) -> None:
    assert keys.state.jwks_uri is None

    assert len(keys.find("first", "RS256")) == 1

    assert publisher.asked == [OPENID, "/certs"]
    assert keys.state.jwks_uri == f"{publisher.origin}/certs"


def test_64_threads_on_a_cold_source_discover_once_and_fetch_once(publisher: Publisher, keys: RemoteKeys) -> None:
    assert at_once(64, lambda _number: len(keys.find("first", "RS256"))) == [1] * 64
    assert publisher.asked == [OPENID, "/certs"]


def test_a_renewal_of_the_keys_discovers_nothing_while_the_metadata_live(
    publisher: Publisher, remote: RemoteMetadata, http: Http, clock: Clock, background: Background
) -> None:
    endpoint = DiscoveredEndpoint(remote, "jwks_uri")
    keys = RemoteKeys(http, endpoint, ttl=60, grace=GRACE, clock=clock, begin=background)
    keys.find("first", "RS256")
    clock.pass_(60)

    keys.find("first", "RS256")

    assert publisher.asked == [OPENID, "/certs", "/certs"]


def test_keys_that_moved_are_followed_at_the_next_renewal(publisher: Publisher, keys: RemoteKeys, clock: Clock) -> None:
    (first,) = keys.find("first", "RS256")
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=f"{publisher.origin}/moved"))
    publisher.publish("/moved", {"keys": [jwk("RS256", "first"), jwk("ES256", "second")]})
    publisher.publish("/certs", {}, 404)
    clock.pass_(METADATA_TTL)

    assert list(keys.find("first", "RS256")) == [first]

    assert len(keys.find("second", "ES256")) == 1
    assert keys.state.jwks_uri == f"{publisher.origin}/moved"
    assert publisher.asked == [OPENID, "/certs", OPENID, "/moved"]


def test_keys_whose_address_cannot_be_discovered_are_unavailable_and_rest(
    publisher: Publisher, keys: RemoteKeys, clock: Clock
) -> None:
    publisher.publish(OPENID, {}, 503)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            keys.find("first", "RS256")
    assert publisher.asked == [OPENID]
    assert keys.state.last_error == f"{publisher.origin}{OPENID}: status 503"
    assert keys.state.jwks_uri is None

    publisher.publish(OPENID, metadata(publisher.origin))
    clock.pass_(REST)

    assert len(keys.find("first", "RS256")) == 1
    assert keys.state.last_error is None


def test_keys_do_not_rest_longer_than_the_metadata_that_failed(
    publisher: Publisher, remote: RemoteMetadata, keys: RemoteKeys, clock: Clock
) -> None:
    """Another endpoint of the same provider may have been asked for before."""
    publisher.publish(OPENID, {}, 503)
    with pytest.raises(ProviderUnavailable):
        remote.endpoint("userinfo_endpoint")
    clock.pass_(REST - 1)
    with pytest.raises(ProviderUnavailable):
        keys.find("first", "RS256")
    publisher.publish(OPENID, metadata(publisher.origin))

    clock.pass_(1)

    assert len(keys.find("first", "RS256")) == 1


def test_old_keys_serve_while_their_address_cannot_be_discovered(
    publisher: Publisher, keys: RemoteKeys, clock: Clock
) -> None:
    (first,) = keys.find("first", "RS256")
    publisher.documents.clear()
    clock.pass_(METADATA_TTL + GRACE - 1)

    assert list(keys.find("first", "RS256")) == [first]
    assert not first.withdrawn
    assert keys.state.fetched_at == NOW
