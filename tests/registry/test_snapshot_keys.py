from __future__ import annotations

from contextlib import closing

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.static_keys import StaticKeys

from ..introspection.provider import Provider as KeyServer
from ..introspection.provider import running
from ..introspection.signing import jwk
from .bodies import ISSUER, SECRET, introspector, policy, provider
from .snapshots import builder, built, linked


@pytest.mark.parametrize(
    ("jwt_settings", "attributes", "kind"),
    [
        ({"secret": SECRET}, {}, StaticKeys),
        ({"keys": [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": SECRET}]}, {}, StaticKeys),
        ({}, {"jwks_uri": "https://idp.example/keys"}, RemoteKeys),
        ({}, {"identity_provider": {"reference": "IdentityProvider/k"}}, RemoteKeys),
    ],
    ids=["secret", "keys", "jwks_uri", "the provider's jwks_uri"],
)
def test_keys_come_from_where_the_resource_says(
    jwt_settings: dict[str, object], attributes: dict[str, object], kind: type
) -> None:
    bodies = [
        provider(jwks_uri="https://idp.example/provider"),
        introspector(jwt={"iss": "i", **jwt_settings}, **attributes),
    ]

    assert isinstance(linked(built(*bodies)).introspector.keys, kind)


def test_the_introspectors_own_address_of_keys_comes_before_the_providers() -> None:
    own = introspector(link="k", jwt={"iss": "i"}, jwks_uri="https://idp.example/own")

    keys = linked(built(provider(jwks_uri="https://idp.example/provider"), own)).introspector.keys

    assert isinstance(keys, RemoteKeys)
    assert keys.state.jwks_uri == "https://idp.example/own"


def test_an_edit_does_not_lose_keys_that_were_fetched() -> None:
    remote = {"jwt": {"iss": "i"}, "jwks_uri": "https://idp.example/keys"}
    before = built(provider(), introspector(link="k", **remote))

    after = built(provider(title="K"), introspector(link="k", **remote, active=False), previous=before)
    elsewhere = built(introspector(**(remote | {"jwks_uri": "https://idp.example/other"})), previous=before)
    sooner = built(introspector(**remote, cache_ttl=5), previous=before)

    assert linked(after).introspector.keys is linked(before).introspector.keys
    assert linked(elsewhere).introspector.keys is not linked(before).introspector.keys
    assert linked(sooner).introspector.keys is not linked(before).introspector.keys


def test_keys_of_a_source_that_is_gone_are_withdrawn_and_begin_anew_when_it_is_back() -> None:
    with closing(Http()) as http, running(KeyServer(jwk("RS256", "first"))) as server:
        by = builder(http)
        body = introspector(jwt={"iss": ISSUER}, jwks_uri=server.url)
        before = built(body, by=by)
        (key,) = linked(before).introspector.keys.find("first", "RS256")

        without = built(policy(), previous=before, by=by)
        assert key.withdrawn
        again = built(body, policy(), previous=without, by=by)

        assert linked(again).introspector.keys is not linked(before).introspector.keys
        (new,) = linked(again).introspector.keys.find("first", "RS256")
        assert not new.withdrawn


def test_keys_of_a_source_that_stays_are_not_withdrawn() -> None:
    with closing(Http()) as http, running(KeyServer(jwk("RS256", "first"))) as server:
        by = builder(http)
        before = built(introspector(jwt={"iss": ISSUER}, jwks_uri=server.url), by=by)
        (key,) = linked(before).introspector.keys.find("first", "RS256")

        built(introspector("j", jwt={"iss": ISSUER}, jwks_uri=server.url), policy(), previous=before, by=by)
        with pytest.raises(Rejected):
            built(introspector(type=None), previous=before, by=by)

        assert not key.withdrawn
