"""With which keys the userinfo is verified that a provider signs."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from flask_foreign_token.errors import RegistryUnavailable
from flask_foreign_token.http import Http, UselessAnswer
from flask_foreign_token.introspection.endpoints import DiscoveredEndpoint
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.token import Token
from flask_foreign_token.registry.parts import NoKeys
from flask_foreign_token.registry.snapshot import RegistrySnapshot
from flask_foreign_token.users.signed_userinfo import SignedUserinfo
from flask_foreign_token.users.userinfo import TokenClaims

from ..introspection.provider import Provider as KeyServer
from ..introspection.provider import running
from ..introspection.signing import header, jwk, sign
from ..loading import Clock
from ..users.conftest import a_credential, a_token
from ..users.userinfo_server import Provider
from .bodies import ASKED, ISSUER, introspector, opaque, policy, provider
from .snapshots import builder, built, linked

KEYS = "https://idp.example/keys"
OWN = introspector("i", "k", jwt={"iss": ISSUER}, jwks_uri=KEYS)
ASKING = opaque("o", "k", introspection_endpoint=ASKED, cache_ttl=7)


def asked(**attributes: object) -> dict[str, object]:
    """A provider that is asked for userinfo."""
    body = provider(userinfo_endpoint="https://idp.example/userinfo", **attributes)
    return {**body, "userinfo-source": "userinfo-endpoint"}


def signed(snapshot: RegistrySnapshot, id_: str) -> SignedUserinfo:
    found = linked(snapshot, id_).signed
    assert found is not None
    return found


def endpoint(snapshot: RegistrySnapshot, id_: str) -> Any:
    """That of the provider as requests get it."""
    link = linked(snapshot, id_)
    found = snapshot.provider_of(link.introspector.introspector)
    assert found is not None
    assert found is link.provider
    return found.userinfo


def keys_address(snapshot: RegistrySnapshot, id_: str = "o") -> str | None:
    keys = signed(snapshot, id_).keys
    assert isinstance(keys, RemoteKeys)
    return keys.state.jwks_uri


def test_the_introspector_that_vouches_lends_its_keys() -> None:
    snapshot = built(asked(jwks_uri="https://idp.example/provider"), OWN)

    assert signed(snapshot, "i").keys is linked(snapshot, "i").introspector.keys
    assert endpoint(snapshot, "i")._signed is signed(snapshot, "i")


def test_its_rules_hold_for_userinfo_too() -> None:
    jwt = {"iss": ISSUER, "leeway": 7, "algorithms": ["ES256"]}
    snapshot = built(asked(client={"id": "clinic"}), introspector("i", "k", jwt=jwt, jwks_uri=KEYS))

    found = signed(snapshot, "i")

    assert (found.algorithms, found.leeway, found.client_id) == (frozenset(["ES256"]), 7, "clinic")


def test_a_provider_without_a_client_has_no_client_id() -> None:
    assert signed(built(asked(), OWN), "i").client_id is None


def test_a_secret_of_the_introspector_serves_for_userinfo_too() -> None:
    snapshot = built(asked(jwks_uri=KEYS), introspector("i", "k"))

    assert signed(snapshot, "i").keys is linked(snapshot, "i").introspector.keys


def test_for_opaque_tokens_the_providers_other_introspector_lends_its_keys() -> None:
    snapshot = built(asked(jwks_uri="https://idp.example/provider"), ASKING, OWN)

    assert signed(snapshot, "o").keys is signed(snapshot, "i").keys is linked(snapshot, "i").introspector.keys


def test_for_opaque_tokens_another_provider_lends_none() -> None:
    other = introspector("j", "other", "https://other.example")
    snapshot = built(asked(jwks_uri="https://idp.example/provider"), ASKING, provider("other"), other)

    assert keys_address(snapshot) == "https://idp.example/provider"


@pytest.mark.parametrize("others", [[], [{**OWN, "active": False}]], ids=["alone", "beside one that is switched off"])
def test_for_opaque_tokens_alone_the_keys_are_the_providers(others: list[dict[str, object]]) -> None:
    assert keys_address(built(asked(jwks_uri="https://idp.example/provider"), ASKING, *others)) == (
        "https://idp.example/provider"
    )


@pytest.mark.parametrize("cache_ttl", [1, 7, 86_400])
def test_keys_for_userinfo_alone_live_as_long_as_others_do_whatever_the_introspector_remembers(cache_ttl: int) -> None:
    now = Clock(1000.0)
    with closing(Http()) as http, running(KeyServer(jwk("RS256", "first"))) as server:
        body = asked(jwks_uri=server.url)
        keys = signed(built(body, {**ASKING, "cache_ttl": cache_ttl}, by=builder(http, clock=now)), "o").keys

        fetches = []
        for age in (0, 10, 200, 301):
            now.now = 1000.0 + age
            keys.find("first", "RS256")
            fetches.append(server.requests)

    assert fetches == [1, 1, 1, 2]


def test_introspectors_of_a_provider_share_them() -> None:
    other = opaque("q", "k", introspection_endpoint=ASKED, cache_ttl=1, token_prefix="q_")
    snapshot = built(asked(jwks_uri=KEYS), {**ASKING, "token_prefix": "o_"}, other)

    assert signed(snapshot, "o").keys is signed(snapshot, "q").keys


def test_they_can_be_discovered() -> None:
    source = linked(built(asked(issuer=ISSUER), ASKING), "o").signed_source

    assert source is not None
    assert isinstance(source.endpoint, DiscoveredEndpoint)
    assert (source.endpoint.metadata.issuer, source.endpoint.member, source.ttl) == (ISSUER, "jwks_uri", 300)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({}, "which is not given"), ({"issuer": "urn:idp"}, "which must be https://")],
    ids=["no issuer", "one that is no address"],
)
def test_where_nobody_knows_the_keys_jwks_uri_is_asked_for(attributes: dict[str, object], reason: str) -> None:
    snapshot = built(asked(**attributes), ASKING)

    keys = signed(snapshot, "o").keys

    assert isinstance(keys, NoKeys)
    assert snapshot.out_of_service == ()
    with pytest.raises(RegistryUnavailable) as unavailable:
        keys.find(None, "RS256")
    start = (
        "IdentityProvider/k jwks_uri: is required where userinfo is signed, since it cannot be discovered at issuer, "
    )
    assert str(unavailable.value.hint).startswith(start + reason)


def test_what_the_token_says_is_verified_already() -> None:
    link = linked(built(provider(), OWN), "i")

    assert link.signed is None
    assert link.provider is not None
    assert isinstance(link.provider.userinfo, TokenClaims)


def test_without_a_provider_nobody_is_asked() -> None:
    assert linked(built(introspector()), "i").signed is None


# ---- edits


def test_keys_for_userinfo_alone_outlive_an_edit_that_does_not_concern_them() -> None:
    before = built(asked(jwks_uri=KEYS), ASKING)

    after = built(asked(jwks_uri=KEYS, title="K"), ASKING, policy(), previous=before)
    elsewhere = built(asked(jwks_uri="https://idp.example/new"), ASKING, previous=before)

    assert signed(after, "o").keys is signed(before, "o").keys
    assert keys_address(elsewhere) == "https://idp.example/new"


def test_an_introspector_that_comes_or_goes_changes_the_keys_of_the_others() -> None:
    body = asked(issuer=ISSUER, jwks_uri=KEYS)
    alone = built(body, ASKING)
    beside = built(body, ASKING, OWN, previous=alone)
    again = built(body, ASKING, previous=beside)

    assert linked(alone, "o").introspector is linked(again, "o").introspector
    assert signed(beside, "o").keys is linked(beside, "i").introspector.keys
    assert signed(again, "o").keys is not signed(beside, "o").keys
    assert endpoint(again, "o")._signed is signed(again, "o")


def test_keys_that_were_withdrawn_with_their_introspector_serve_no_userinfo_and_no_other_introspector() -> None:
    with closing(Http()) as http, running(KeyServer(jwk("RS256", "first"))) as server:
        by = builder(http)
        own = introspector("i", "k", jwt={"iss": ISSUER}, jwks_uri=server.url, cache_ttl=7)
        beside = built(asked(jwks_uri=server.url), ASKING, own, by=by)
        (key,) = signed(beside, "o").keys.find("first", "RS256")

        alone = built(asked(jwks_uri=server.url), ASKING, previous=beside, by=by)
        assert key.withdrawn
        assert not any(key.withdrawn for key in signed(alone, "o").keys.find("first", "RS256"))
        back = built(asked(jwks_uri=server.url), ASKING, own, previous=alone, by=by)

        assert not any(key.withdrawn for key in signed(back, "i").keys.find("first", "RS256"))


# ---- all together


def the_token(**claims: object) -> Token:
    return a_token("anna", ISSUER, **claims)


def test_a_provider_that_asks_for_patience_gets_it_from_all_introspectors_and_snapshots() -> None:
    server = Provider()
    server.status = 429
    with closing(Http()) as http, closing(server):
        by = builder(http)
        bodies = [asked() | {"userinfo_endpoint": server.url}, ASKING, OWN]
        before = built(*bodies, by=by)
        after = built(*bodies, policy(), previous=before, by=by)

        for number, found in enumerate([endpoint(before, "i"), endpoint(before, "o"), endpoint(after, "i")]):
            with pytest.raises(Exception, match="503"):
                found.userinfo(the_token(), a_credential(str(number)))

    assert len(server.requests) == 1


def test_what_the_provider_signs_is_believed_by_its_keys_and_of_no_use_without() -> None:
    server = Provider()
    server.content_type = "application/jwt"
    said = {"iss": ISSUER, "aud": "app", "sub": "anna", "email": "anna@example.com"}
    server.body = sign(header(kid="first"), said).encode()
    with closing(Http()) as http, closing(server), running(KeyServer(jwk("RS256", "first"))) as key_server:
        by = builder(http)
        body = asked() | {"userinfo_endpoint": server.url}
        with_keys = endpoint(built(body | {"jwks_uri": key_server.url}, ASKING, by=by), "o")
        without = endpoint(built(body, ASKING, by=by), "o")

        assert with_keys.userinfo(the_token(client_id="app"), a_credential()) == said
        with pytest.raises(UselessAnswer) as useless:
            without.userinfo(the_token(client_id="app"), a_credential())

    assert "signed userinfo: there are no keys: IdentityProvider/k jwks_uri: is required" in str(useless.value.hint)
