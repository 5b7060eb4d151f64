from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.endpoints import DiscoveredEndpoint
from flask_foreign_token.introspection.jwt import JwtIntrospector
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.registry.snapshot import RegistrySnapshot
from flask_foreign_token.users.userinfo import UserinfoEndpoint

from ..introspection.signing import jwk
from ..publishing import OPENID, Publisher, metadata, publishing
from .bodies import ISSUER, SECRET, asked_provider, introspector, opaque, policy, provider
from .snapshots import builder, built, faults, linked

HTTP = "plain http is for the hosts in FOREIGN_TOKEN_ALLOW_HTTP_HOSTS"
ENDPOINTS = ("userinfo_endpoint", "jwks_uri", "introspection_endpoint")


def keys(snapshot: RegistrySnapshot, id_: str = "i") -> RemoteKeys:
    found = linked(snapshot, id_).introspector
    assert isinstance(found, JwtIntrospector)
    assert isinstance(found.keys, RemoteKeys)
    return found.keys


def keys_endpoint(snapshot: RegistrySnapshot, id_: str = "i") -> DiscoveredEndpoint:
    source = linked(snapshot, id_).source
    assert source is not None
    assert isinstance(source.endpoint, DiscoveredEndpoint)
    return source.endpoint


def userinfo_endpoint(snapshot: RegistrySnapshot, id_: str = "i") -> Any:
    found = linked(snapshot, id_).provider
    assert found is not None
    assert isinstance(found.userinfo, UserinfoEndpoint)
    return found.userinfo._endpoint


def discovering(id_: str = "k", issuer: str = ISSUER, **attributes: object) -> dict[str, object]:
    """A provider of which nothing but the issuer is stored."""
    return {"resourceType": "IdentityProvider", "id": id_, "system": id_, "issuer": issuer, **attributes}


def bare(id_: str = "i", link: str | None = None, iss: str = ISSUER, **attributes: object) -> dict[str, object]:
    """An introspector without keys."""
    return introspector(id_, link, jwt={"iss": iss, "aud": "api"}, **attributes)


def plain(id_: str = "i", link: str | None = None) -> dict[str, object]:
    """An introspector without keys, of an issuer that must not be called."""
    return bare(id_, link, "http://idp.example")


@pytest.mark.parametrize(
    "bodies",
    [[bare()], [provider(), bare(link="k")], [provider(issuer=ISSUER), bare(link="k")]],
    ids=["at jwt.iss", "at jwt.iss, of a provider without issuer", "at the provider's issuer"],
)
def test_keys_that_are_given_nowhere_are_discovered(bodies: list[dict[str, object]]) -> None:
    snapshot = built(*bodies)

    endpoint = keys_endpoint(snapshot)
    assert (endpoint.metadata.issuer, endpoint.member) == (ISSUER, "jwks_uri")
    assert keys(snapshot).state.jwks_uri is None


@pytest.mark.parametrize(
    ("bodies", "address"),
    [
        ([bare(jwks_uri="https://i.example/keys")], "https://i.example/keys"),
        ([discovering(jwks_uri="https://k.example/keys"), bare(link="k")], "https://k.example/keys"),
    ],
)
def test_what_is_given_is_not_discovered(bodies: list[dict[str, object]], address: str) -> None:
    assert keys(built(*bodies)).state.jwks_uri == address


def test_userinfo_is_discovered_at_the_providers_issuer() -> None:
    snapshot = built(discovering(), bare(link="k"))

    endpoint = userinfo_endpoint(snapshot)
    assert isinstance(endpoint, DiscoveredEndpoint)
    assert (endpoint.metadata.issuer, endpoint.member) == (ISSUER, "userinfo_endpoint")


def test_all_that_is_discovered_of_a_provider_is_read_in_one_document() -> None:
    client = {"id": "app", "secret": "hush"}
    snapshot = built(discovering(client=client), bare(link="k"), opaque(link="k"))

    inquiry = linked(snapshot, "o").inquiry
    assert inquiry is not None
    assert isinstance(inquiry.endpoint, DiscoveredEndpoint)
    assert keys_endpoint(snapshot).metadata is userinfo_endpoint(snapshot).metadata
    assert keys_endpoint(snapshot).metadata is inquiry.endpoint.metadata


@pytest.mark.parametrize(
    ("bodies", "resource", "path", "reason"),
    [
        (
            [bare(iss="i")],
            "TokenIntrospector/i",
            "jwks_uri",
            "none can be discovered at jwt.iss, which must be https://",
        ),
        (
            [plain()],
            "TokenIntrospector/i",
            "jwks_uri",
            HTTP,
        ),
        (
            [provider(issuer="https://other.example"), bare(link="k")],
            "TokenIntrospector/i",
            "jwt.iss",
            "must be the issuer of IdentityProvider/k, where the keys are discovered; or give jwks_uri",
        ),
        (
            [provider(issuer=f"{ISSUER}/"), bare(link="k", active=False)],
            "TokenIntrospector/i",
            "jwt.iss",
            "must be the issuer of IdentityProvider/k",
        ),
        (
            [discovering(issuer="urn:idp")],
            "IdentityProvider/k",
            "userinfo_endpoint",
            "is required, since it cannot be discovered at issuer, which must be https://",
        ),
        *(
            ([discovering(issuer="http://idp.example", active=active)], "IdentityProvider/k", "userinfo_endpoint", HTTP)
            for active in (True, False)
        ),
        (
            [discovering(issuer="http://idp.example", userinfo_endpoint="https://k.example/me"), plain(link="k")],
            "TokenIntrospector/i",
            "jwks_uri",
            HTTP,
        ),
        (
            [provider(issuer="http://idp.example", client={"id": "app", "secret": "hush"}), opaque(link="k")],
            "TokenIntrospector/o",
            "introspection_endpoint",
            HTTP,
        ),
    ],
)
def test_what_can_neither_be_found_nor_discovered_is_refused(
    bodies: list[dict[str, object]], resource: str, path: str, reason: str
) -> None:
    [issue] = faults(*bodies)

    assert (issue.resource, issue.path) == (resource, path)
    assert reason in issue.message


@pytest.mark.parametrize(
    "bodies",
    [
        [provider(issuer="https://other.example"), bare(link="k", jwks_uri="https://other.example/keys")],
        [provider(issuer="https://other.example"), introspector(link="k", jwt={"iss": ISSUER, "secret": SECRET})],
        [provider(issuer="no address at all"), introspector(link="k")],
        [discovering(issuer="http://idp.example", userinfo_endpoint="https://k.example/me"), introspector(link="k")],
    ],
)
def test_an_issuer_where_nothing_is_discovered_may_be_any_text(bodies: list[dict[str, object]]) -> None:
    assert built(*bodies)


def test_nobody_is_asked_while_a_snapshot_is_built() -> None:
    with closing(Http()) as http, publishing() as publisher:
        issuer = publisher.origin
        client = {"id": "app", "secret": "hush"}
        by = builder(http)

        snapshot = built(discovering(issuer=issuer, client=client), bare(iss=issuer), opaque(link="k"), by=by)
        assert by.faults(list(snapshot.resources.values())) == ()

        assert publisher.asked == []


# ---- where what is published may lead


def published_elsewhere(publisher: Publisher, other: str) -> None:
    below = {name: f"{other}/{name}" for name in ENDPOINTS}
    publisher.publish(OPENID, metadata(publisher.origin, **below))


@pytest.mark.parametrize("name", ENDPOINTS)
def test_what_is_published_leads_to_no_origin_that_no_resource_names(name: str) -> None:
    with closing(Http()) as http, publishing() as publisher, publishing() as other:
        published_elsewhere(publisher, other.origin)
        snapshot = built(*resources(publisher.origin), by=builder(http))

        with pytest.raises(ProviderUnavailable) as caught:
            endpoint(snapshot, name).locate()

        assert f"names {other.origin}/{name} as {name}, at an origin that no resource names" in str(caught.value.hint)
        assert other.asked == []


@pytest.mark.parametrize("name", ENDPOINTS)
def test_what_is_published_may_lead_to_an_origin_that_a_resource_names(name: str) -> None:
    with closing(Http()) as http, publishing() as publisher, publishing() as other:
        published_elsewhere(publisher, other.origin)
        stored = {"revocation_endpoint": f"{other.origin}/revoke"}
        snapshot = built(*resources(publisher.origin, **stored), by=builder(http))

        assert endpoint(snapshot, name).locate() == f"{other.origin}/{name}"


def test_a_secret_is_sent_to_no_origin_that_it_is_not_bound_to() -> None:
    with closing(Http()) as http, publishing() as publisher, publishing() as other:
        published_elsewhere(publisher, other.origin)
        stored = {"userinfo_endpoint": f"{other.origin}/userinfo", "jwks_uri": f"{other.origin}/keys"}
        snapshot = built(*resources(publisher.origin, **stored), by=builder(http))

        with pytest.raises(ProviderUnavailable):
            endpoint(snapshot, "introspection_endpoint").locate()


def resources(issuer: str, **attributes: object) -> list[dict[str, object]]:
    client = {"id": "app", "secret": "hush"}
    return [discovering(issuer=issuer, client=client, **attributes), bare("i", "k", issuer), opaque("o", "k")]


def endpoint(snapshot: RegistrySnapshot, name: str) -> DiscoveredEndpoint:
    inquiry = linked(snapshot, "o").inquiry
    assert inquiry is not None
    found = {
        "userinfo_endpoint": lambda: userinfo_endpoint(snapshot),
        "jwks_uri": lambda: keys_endpoint(snapshot),
        "introspection_endpoint": lambda: inquiry.endpoint,
    }[name]()
    assert isinstance(found, DiscoveredEndpoint)
    return found


# ---- edits


def test_what_was_discovered_outlives_edits_that_do_not_concern_it() -> None:
    before = built(discovering(), bare(link="k"))

    after = built(discovering(title="K"), bare(link="k", active=False), policy(), previous=before)
    beside = built(
        discovering(token_endpoint=f"{ISSUER}/token"), bare(link="k"), asked_provider("other"), previous=before
    )

    for snapshot in (after, beside):
        assert keys(snapshot) is keys(before)
        assert keys_endpoint(snapshot).metadata is keys_endpoint(before).metadata


def test_what_was_discovered_of_another_issuer_or_for_other_origins_begins_anew() -> None:
    before = built(discovering(), bare(link="k"))

    elsewhere = built(discovering(issuer=f"{ISSUER}/"), bare(link="k", iss=f"{ISSUER}/"), previous=before)
    wider = built(discovering(token_endpoint="https://other.example/token"), bare(link="k"), previous=before)

    for snapshot in (elsewhere, wider):
        assert keys(snapshot) is not keys(before)
        assert keys_endpoint(snapshot).metadata is not keys_endpoint(before).metadata


def test_discovered_keys_that_nobody_watches_any_more_are_withdrawn() -> None:
    with closing(Http()) as http, publishing() as publisher:
        publisher.publish(OPENID, metadata(publisher.origin))
        publisher.publish("/certs", {"keys": [jwk("RS256", "first")]})
        by = builder(http)
        before = built(bare(iss=publisher.origin), by=by)
        (key,) = keys(before).find("first", "RS256")

        kept = built(bare(iss=publisher.origin), policy(), previous=before, by=by)
        assert not key.withdrawn
        built(policy(), previous=kept, by=by)

        assert key.withdrawn
        assert publisher.asked == [OPENID, "/certs"]


# ---- what an operator sees


def test_the_key_sources_are_those_of_introspectors_in_force_each_once() -> None:
    remote: dict[str, Any] = {"jwks_uri": "https://idp.example/keys"}
    snapshot = built(
        introspector("secret"),
        opaque(),
        introspector("one", jwt={"iss": "1"}, **remote),
        introspector("two", jwt={"iss": "2"}, **remote),
        introspector("off", jwt={"iss": "3"}, jwks_uri="https://idp.example/off", active=False),
        bare("discovered", iss="https://other.example"),
    )

    states = snapshot.key_sources

    assert [state.jwks_uri for state in states] == ["https://idp.example/keys", None]
    assert [(state.fetched_at, state.pending, state.last_error, state.keys) for state in states] == [
        (None, False, None, ())
    ] * 2
