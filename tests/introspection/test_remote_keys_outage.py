from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.errors import REST, ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.remote_document import REFRESH_AHEAD
from flask_foreign_token.introspection.remote_keys import RemoteKeys

from .concurrency import Background, Clock, at_once
from .provider import GRACE, TTL, Provider, running
from .signing import jwk


def test_64_threads_on_a_cold_source_that_is_down_fetch_once(provider: Provider, keys: RemoteKeys) -> None:
    provider.go_down()

    found = at_once(64, lambda _number: keys.find("first", "RS256"))

    assert found == [ProviderUnavailable] * 64
    assert provider.requests == 1


@pytest.mark.parametrize(
    "spoil",
    [
        Provider.go_down,
        lambda provider: setattr(provider, "status", 404),
        lambda provider: setattr(provider, "status", 302),
        lambda provider: setattr(provider, "status", 201),
        lambda provider: setattr(provider, "body", []),
        lambda provider: setattr(provider, "body", {"keys": {}}),
        lambda provider: setattr(provider, "body", {"error": "no"}),
    ],
)
def test_a_cold_source_without_keys_is_unavailable(
    provider: Provider, keys: RemoteKeys, clock: Clock, spoil: Callable[[Provider], None]
) -> None:
    spoil(provider)

    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            keys.find("first", "RS256")
    assert provider.requests == 1
    assert keys.state.last_error is not None

    clock.pass_(REST)
    provider.come_back()
    provider.serve(jwk("RS256", "first"))
    assert len(keys.find("first", "RS256")) == 1
    assert keys.state.last_error is None


def test_a_source_that_nobody_answers_for_is_unavailable(http: Http, clock: Clock) -> None:
    with running(Provider()) as gone:
        url = gone.url
    keys = RemoteKeys(http, StoredEndpoint(url), ttl=TTL, grace=GRACE, clock=clock)

    with pytest.raises(ProviderUnavailable) as unavailable:
        keys.find("first", "RS256")

    assert ("Retry-After", str(REST)) in unavailable.value.get_headers()


def test_old_keys_serve_while_the_provider_is_down(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    (first,) = keys.find("first", "RS256")
    provider.go_down()
    clock.pass_(TTL)

    assert list(keys.find("first", "RS256")) == [first]
    assert list(keys.find("first", "RS256")) == [first]
    assert provider.requests == 2

    clock.pass_(REST)
    assert list(keys.find("first", "RS256")) == [first]
    assert provider.requests == 3
    assert keys.state.last_error is not None
    assert not first.withdrawn


def test_old_keys_stop_serving_after_the_grace(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    provider.go_down()
    clock.pass_(TTL + GRACE - 1)
    assert len(keys.find("first", "RS256")) == 1

    clock.pass_(1)

    with pytest.raises(ProviderUnavailable):
        keys.find("first", "RS256")


def test_an_unknown_key_id_is_unavailable_while_the_provider_is_down(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    keys.find("first", "RS256")
    provider.go_down()

    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            keys.find("second", "RS256")

    assert provider.requests == 2
    assert len(keys.find("first", "RS256")) == 1


def test_the_first_token_after_an_outage_finds_its_key(provider: Provider, keys: RemoteKeys, clock: Clock) -> None:
    keys.find("first", "RS256")
    provider.go_down()
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            keys.find("second", "RS256")
        clock.pass_(REST)
    provider.come_back()
    provider.serve(jwk("RS256", "second", "other"))

    assert len(keys.find("second", "RS256")) == 1


def test_the_first_request_after_the_rest_succeeds_once_the_provider_is_back(
    provider: Provider, keys: RemoteKeys, clock: Clock
) -> None:
    (first,) = keys.find("first", "RS256")
    provider.serve(jwk("RS256", "first"), jwk("RS256", "second", "other"))
    provider.go_down()
    with pytest.raises(ProviderUnavailable):
        keys.find("second", "RS256")
    provider.come_back()

    clock.pass_(REST - 1)
    with pytest.raises(ProviderUnavailable):
        keys.find("second", "RS256")
    assert list(keys.find("first", "RS256")) == [first]
    clock.pass_(1)

    assert len(keys.find("second", "RS256")) == 1
    assert provider.requests == 3


def test_a_renewal_that_fails_in_the_background_harms_nobody(
    provider: Provider, keys: RemoteKeys, background: Background, clock: Clock
) -> None:
    background.threads_run = True
    (first,) = keys.find("first", "RS256")
    provider.go_down()
    clock.pass_(REFRESH_AHEAD * TTL)
    keys.find("first", "RS256")

    background.run()

    assert list(keys.find("first", "RS256")) == [first]
    assert keys.state.last_error == "status 503"
    assert not first.withdrawn
    assert provider.requests == 2


def test_a_flood_then_an_outage_is_no_outage_for_known_keys(provider: Provider, keys: RemoteKeys) -> None:
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    provider.go_down()

    assert not keys.find("invented", "RS256")
    assert len(keys.find("first", "RS256")) == 1


def test_a_flood_does_not_turn_an_outage_into_wrong_tokens(provider: Provider, http: Http, clock: Clock) -> None:
    keys = RemoteKeys(http, StoredEndpoint(provider.url), ttl=1, grace=GRACE, clock=clock)
    for number in range(100):
        keys.find(f"invented {number}", "RS256")
    provider.go_down()
    clock.pass_(1)
    assert len(keys.find("first", "RS256")) == 1

    with pytest.raises(ProviderUnavailable):
        keys.find("second", "RS256")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, apart from what the test's own server says."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("flask_foreign_token")]


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [({"status": 404}, "the key set: status 404"), ({"body": {"error": "no"}}, "the key set: not a JWK Set")],
)
def test_an_answer_without_keys_is_logged_once_and_by_its_host_alone(
    provider: Provider, keys: RemoteKeys, caplog: pytest.LogCaptureFixture, spoilt: dict[str, object], reason: str
) -> None:
    vars(provider).update(spoilt)

    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            keys.find("first", "RS256")

    assert said(caplog) == [f"127.0.0.1: {reason}"]


def test_a_provider_that_is_down_is_logged_once(
    provider: Provider, keys: RemoteKeys, caplog: pytest.LogCaptureFixture
) -> None:
    provider.go_down()

    with pytest.raises(ProviderUnavailable):
        keys.find("first", "RS256")

    assert said(caplog) == ["127.0.0.1: status 503"]


def test_a_good_answer_is_not_logged(keys: RemoteKeys, caplog: pytest.LogCaptureFixture) -> None:
    keys.find("first", "RS256")

    assert said(caplog) == []
