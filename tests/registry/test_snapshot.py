from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from flask_foreign_token.errors import InvalidToken, Issue, RegistryUnavailable, Rejected
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.choosing import UnknownIssuer
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.static_keys import StaticKeys
from flask_foreign_token.introspection.token import Credential, Token, Versioned
from flask_foreign_token.registry.linking import Linked
from flask_foreign_token.registry.resources import Resource, identify, version_of
from flask_foreign_token.registry.snapshot import RegistrySnapshot, SnapshotBuilder
from flask_foreign_token.users.userinfo import TokenClaims, UserinfoEndpoint

from ..introspection.provider import Provider as KeyServer
from ..introspection.provider import running
from ..introspection.signing import jwk
from .test_resources import INTROSPECTOR, POLICY, PROVIDER

SECRET = "a secret of more than thirty-two octets"
ISSUER = "https://idp.example"
HTTP = Http(allow_http_hosts=("localhost", "keycloak"))


def builder(http: Http = HTTP, **settings: Any) -> SnapshotBuilder:
    defaults = {"require_audience": True, "default_audience": "api", "key_grace": 3600.0}
    return SnapshotBuilder(http, **(defaults | settings))


BUILDER = builder()


def stored(*bodies: Mapping[str, object]) -> list[Resource]:
    return [Resource(*identify(body), version_of(body), body) for body in bodies]


def built(
    *bodies: Mapping[str, object], previous: RegistrySnapshot | None = None, by: SnapshotBuilder = BUILDER
) -> RegistrySnapshot:
    return by.build(stored(*bodies), "1", previous)


def faults(*bodies: Mapping[str, object], by: SnapshotBuilder = BUILDER) -> list[Issue]:
    with pytest.raises(Rejected) as caught:
        built(*bodies, by=by)
    return list(caught.value.issues)


def provider(id_: str = "k", **attributes: object) -> dict[str, object]:
    body = {"resourceType": "IdentityProvider", "id": id_, "system": id_, "userinfo-source": "id-token"}
    return body | attributes


def introspector(id_: str = "i", link: str | None = None, iss: str = ISSUER, **attributes: object) -> dict[str, object]:
    body: dict[str, object] = {"resourceType": "TokenIntrospector", "id": id_, "type": "jwt"}
    if "jwt" not in attributes:
        body["jwt"] = {"iss": iss, "secret": SECRET}
    if link is not None:
        body["identity_provider"] = {"reference": f"IdentityProvider/{link}"}
    return body | attributes


def policy(id_: str = "p", **attributes: object) -> dict[str, object]:
    return {"resourceType": "AccessPolicy", "id": id_, "engine": "allow", **attributes}


def token(snapshot: RegistrySnapshot, iss: str = ISSUER, **claims: object) -> Token:
    claims = {"iss": iss, "sub": "jane", "aud": "api", "exp": int(time.time()) + 60, **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    text = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    return snapshot.introspection.introspect(Credential("bearer", text))


def linked(snapshot: RegistrySnapshot, id_: str = "i") -> Linked:
    [found] = [link for link in snapshot.linked if link.settings.id == id_]
    return found


def test_the_tutorials_resources_are_trusted_where_no_audience_is_required() -> None:
    bodies = [PROVIDER, {"id": "i", **INTROSPECTOR}, {"id": "p", **POLICY}]

    snapshot = built(*bodies, by=builder(require_audience=False, default_audience=None))

    assert isinstance(linked(snapshot).introspector.keys, RemoteKeys)
    assert isinstance(linked(snapshot).provider.userinfo, UserinfoEndpoint)
    assert "p" in snapshot.policies
    assert set(snapshot.resources) == {
        ("IdentityProvider", "keycloak"),
        ("TokenIntrospector", "i"),
        ("AccessPolicy", "p"),
    }


def test_nothing_stored_is_a_snapshot_that_trusts_nobody() -> None:
    snapshot = built()

    assert len(snapshot.policies) == 0
    with pytest.raises(UnknownIssuer):
        token(snapshot)


def test_a_token_is_vouched_for_by_its_introspector_and_leads_to_the_provider() -> None:
    snapshot = built(
        provider(subject_claim="oid", create_user=False, toScim={"mail": ["email"]}), introspector(link="k")
    )

    seen = token(snapshot, oid="0815")

    assert seen.subject == "0815"
    assert snapshot.vouches(seen.introspector)
    found = snapshot.provider_of(seen.introspector)
    assert found is not None
    assert (found.id, found.system, found.create_user) == ("k", "k", False)
    assert found.to_scim == {"mail": ["email"]}
    assert isinstance(found.userinfo, TokenClaims)


def test_an_introspector_without_a_provider_has_tokens_without_a_user() -> None:
    snapshot = built(introspector())

    seen = token(snapshot)

    assert snapshot.vouches(seen.introspector)
    assert snapshot.provider_of(seen.introspector) is None


def test_nobody_vouches_for_another_version() -> None:
    snapshot = built(provider(), introspector(link="k"))
    other = Versioned("i", "other")

    assert not snapshot.vouches(other)
    assert snapshot.provider_of(other) is None


@pytest.mark.parametrize(
    "after",
    [
        [provider(), introspector(link="k", cache_ttl=5)],
        [provider(title="K"), introspector(link="k")],
        [provider(), introspector(link="k", active=False)],
        [provider(active=False), introspector(link="k")],
        [provider()],
    ],
    ids=["introspector changed", "provider changed", "introspector off", "provider off", "introspector gone"],
)
def test_what_was_verified_before_a_change_is_not_vouched_for_after_it(after: list[dict[str, object]]) -> None:
    before = built(provider(), introspector(link="k"))

    snapshot = built(*after, previous=before)

    assert not snapshot.vouches(token(before).introspector)


@pytest.mark.parametrize(
    "bodies", [[provider(), introspector(link="k", active=False)], [provider(active=False), introspector(link="k")]]
)
def test_the_tokens_of_what_is_switched_off_are_refused(bodies: list[dict[str, object]]) -> None:
    with pytest.raises(UnknownIssuer):
        token(built(*bodies))


def test_an_inactive_policy_allows_nothing() -> None:
    snapshot = built(policy("on"), policy("off", active=False))

    assert "on" in snapshot.policies
    assert "off" not in snapshot.policies
    assert ("AccessPolicy", "off") in snapshot.resources


def test_the_default_audience_stands_in_where_neither_audience_nor_client_is_named() -> None:
    assert token(built(introspector()), aud="api")
    with pytest.raises(InvalidToken, match="aud"):
        token(built(introspector()), aud="other")


def test_an_audience_of_its_own_replaces_the_default_one() -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "aud": ["a", "b"]}))

    assert token(snapshot, aud="b")
    with pytest.raises(InvalidToken, match="aud"):
        token(snapshot, aud="api")


@pytest.mark.parametrize("aud", [None, "api", "app", ["other", "api"]])
def test_a_client_id_stands_in_for_an_audience_that_is_left_out(aud: object) -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app"}))

    assert token(snapshot, aud=aud, client_id="app")
    with pytest.raises(InvalidToken, match="client"):
        token(snapshot, aud=aud, client_id="other")


@pytest.mark.parametrize("aud", ["other", ["other"], ""])
def test_beside_a_client_id_an_audience_that_is_stated_must_be_ours(aud: object) -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app"}))

    with pytest.raises(InvalidToken, match="aud"):
        token(snapshot, aud=aud, client_id="app")


def test_a_client_id_replaces_the_audience_where_there_is_no_default_one() -> None:
    jwt = {"iss": ISSUER, "secret": SECRET, "client_id": "app"}

    assert token(built(introspector(jwt=jwt), by=builder(default_audience=None)), aud="whatever", client_id="app")


def test_an_audience_of_its_own_is_needed_beside_a_client_id_too() -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app", "aud": "a"}))

    assert token(snapshot, aud="a", client_id="app")
    for aud in ("api", "app", None):
        with pytest.raises(InvalidToken, match="aud"):
            token(snapshot, aud=aud, client_id="app")


@pytest.mark.parametrize("active", [True, False])
def test_an_introspector_without_any_audience_is_refused(active: bool) -> None:
    [issue] = faults(introspector(active=active), by=builder(default_audience=None))

    assert (issue.resource, issue.path) == ("TokenIntrospector/i", "jwt.aud")
    assert "FOREIGN_TOKEN_REQUIRE_AUDIENCE" in issue.message


def test_an_introspector_without_any_audience_is_taken_where_none_is_required() -> None:
    snapshot = built(introspector(), by=builder(default_audience=None, require_audience=False))

    assert token(snapshot, aud="whatever")


@pytest.mark.parametrize("name", ["aud", "client_id"])
def test_an_audience_or_a_client_of_its_own_is_enough(name: str) -> None:
    assert built(introspector(jwt={"iss": ISSUER, "secret": SECRET, name: "x"}), by=builder(default_audience=None))


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


@pytest.mark.parametrize(
    ("bodies", "resource", "path", "reason"),
    [
        ([introspector(jwt={"iss": "i"})], "TokenIntrospector/i", "jwks_uri", "there are no keys"),
        (
            [provider(), introspector(link="k", jwt={"iss": "i"})],
            "TokenIntrospector/i",
            "jwks_uri",
            "there are no keys",
        ),
        (
            [introspector(jwt={"iss": "i", "keys": [{"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "x"}]})],
            "TokenIntrospector/i",
            "jwt.keys.0.pub",
            "must be one public key in PEM",
        ),
        (
            [introspector(jwt={"iss": "i"}, jwks_uri="http://idp.example/keys")],
            "TokenIntrospector/i",
            "jwks_uri",
            "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS",
        ),
        (
            [introspector(jwt={"iss": "i"}, jwks_uri="file:///etc/passwd")],
            "TokenIntrospector/i",
            "jwks_uri",
            "must be https://",
        ),
        (
            [introspector(link="nobody")],
            "TokenIntrospector/i",
            "identity_provider.reference",
            "there is no IdentityProvider/nobody",
        ),
        (
            [introspector(link="nobody", active=False)],
            "TokenIntrospector/i",
            "identity_provider.reference",
            "there is no IdentityProvider/nobody",
        ),
        (
            [introspector("one"), introspector("two")],
            "TokenIntrospector/two",
            "jwt.iss",
            "TokenIntrospector/one has the same",
        ),
        (
            [provider("one"), provider("two", system="one")],
            "IdentityProvider/two",
            "system",
            "IdentityProvider/one has the same",
        ),
        (
            [provider("one"), provider("two", system="one", active=False)],
            "IdentityProvider/two",
            "system",
            "IdentityProvider/one has the same",
        ),
        (
            [provider(), introspector("one", "k", "https://1"), introspector("two", "k", "https://2")],
            "TokenIntrospector/two",
            "identity_provider.reference",
            "TokenIntrospector/one is linked to IdentityProvider/k already",
        ),
        ([policy(), policy(active=False)], "AccessPolicy/p", "", "is there twice"),
        ([provider(toScim={"x": ["id"]})], "IdentityProvider/k", "toScim.x", "id"),
        *(
            ([provider(**{name: "ftp://idp.example"})], "IdentityProvider/k", name, "must be https://")
            for name in (
                "authorize_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
                "introspection_endpoint",
                "jwks_uri",
                "revocation_endpoint",
            )
        ),
        ([policy(engine="matcho", matcho={"uri": None})], "AccessPolicy/p", "matcho.uri", "nil?"),
        ([policy(link=[{"reference": "Group/x"}], active=False)], "AccessPolicy/p", "link.0.reference", "User/"),
        ([policy(matcho={})], "AccessPolicy/p", "matcho", "no such attribute"),
        ([provider(sytem="x")], "IdentityProvider/k", "sytem", "did you mean system?"),
    ],
)
def test_what_must_not_be_used_is_refused_with_resource_path_and_reason(
    bodies: list[dict[str, object]], resource: str, path: str, reason: str
) -> None:
    [issue] = faults(*bodies)

    assert (issue.resource, issue.path) == (resource, path)
    assert reason in issue.message


@pytest.mark.parametrize(
    "bodies",
    [
        [introspector("one"), introspector("two", active=False)],
        [provider(active=False), introspector("one", "k"), introspector("two")],
        [introspector("one"), introspector("two", iss=ISSUER + "/")],
        [provider("one"), provider("two", system="One")],
    ],
)
def test_what_differs_or_is_switched_off_stands_beside_it(bodies: list[dict[str, object]]) -> None:
    assert len(built(*bodies).resources) == len(bodies)


def test_a_reference_to_a_resource_with_faults_is_none_to_nothing() -> None:
    assert [issue.resource for issue in faults(provider(system=""), introspector(link="k"))] == ["IdentityProvider/k"]


def test_every_fault_of_every_resource_is_named_at_once() -> None:
    issues = faults(
        provider(title=1, scopes=1),
        introspector(jwt={"iss": "i", "secret": "short"}, jwks_uri=5),
        introspector(
            "other", jwt={"iss": "i", "secret": "short"}, identity_provider={"reference": "IdentityProvider/x"}
        ),
        policy(engine="sql"),
        by=builder(default_audience=None),
    )

    assert sorted((issue.resource, issue.path) for issue in issues) == [
        ("AccessPolicy/p", "engine"),
        ("IdentityProvider/k", "scopes"),
        ("IdentityProvider/k", "title"),
        ("TokenIntrospector/i", ""),
        ("TokenIntrospector/i", "jwks_uri"),
        ("TokenIntrospector/other", "jwt.aud"),
    ]


SHORT = {"kty": "OCT", "alg": "HS256", "format": "plain", "k": "short"}
PEM = {"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "x"}


@pytest.mark.parametrize(
    ("jwt", "path"),
    [({"secret": "short"}, "jwt.secret"), ({"secret": ""}, "jwt.secret"), ({"keys": [SHORT]}, "jwt.keys.0.k")],
)
def test_a_secret_that_must_not_be_used_takes_its_introspector_out_of_service_and_no_other(
    jwt: dict[str, object], path: str
) -> None:
    snapshot = built(introspector(jwt={"iss": "i", **jwt}), introspector("other", iss="o"))

    assert [(issue.resource, issue.path) for issue in snapshot.out_of_service] == [("TokenIntrospector/i", path)]
    with pytest.raises(RegistryUnavailable):
        token(snapshot, iss="i")
    assert token(snapshot, iss="o")


def test_a_written_key_that_is_none_beside_a_bad_secret_is_refused() -> None:
    issues = faults(introspector(jwt={"iss": "i", "keys": [SHORT, PEM]}))

    assert {issue.path for issue in issues} == {"jwt.keys", "jwt.keys.0.k", "jwt.keys.1.pub"}


def test_a_refusal_repeats_no_secret_and_no_address() -> None:
    with pytest.raises(Rejected) as caught:
        built(
            provider(jwks_uri="http://hush.example", client={"secret": {"hush": "hush"}}),
            introspector(jwt={"iss": "i", "secret": "hush"}),
        )

    assert "hush" not in str(caught.value)


def test_what_did_not_change_is_used_again() -> None:
    bodies = [provider(), introspector(link="k"), policy()]
    before = built(*bodies)

    after = built(*bodies[:2], policy(), policy("new"), previous=before)

    assert linked(after) is linked(before)
    assert after.parts["AccessPolicy", "p"] is before.parts["AccessPolicy", "p"]
    assert after.parts["IdentityProvider", "k"] is before.parts["IdentityProvider", "k"]


def test_what_changed_is_made_again() -> None:
    before = built(provider(), introspector(link="k"), policy())

    after = built(provider(title="K"), introspector(link="k"), policy(description="d"), previous=before)

    assert linked(after).introspector is not linked(before).introspector
    assert linked(after).provider is not linked(before).provider
    assert after.parts["AccessPolicy", "p"] is not before.parts["AccessPolicy", "p"]


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
            built(policy(engine="none"), previous=before, by=by)

        assert not key.withdrawn


def test_the_snapshot_before_stays_as_it_was() -> None:
    before = built(policy())

    built(policy("other"), previous=before)

    assert set(before.resources) == {("AccessPolicy", "p")}
    assert "p" in before.policies
    with pytest.raises(TypeError):
        before.resources["x", "y"] = None  # type: ignore[index]
