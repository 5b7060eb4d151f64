from __future__ import annotations

import pytest

from flask_foreign_token.introspection.choosing import UnknownIssuer
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.token import Versioned
from flask_foreign_token.users.userinfo import TokenClaims, UserinfoEndpoint

from .bodies import INTROSPECTOR, POLICY, PROVIDER, introspector, policy, provider
from .snapshots import builder, built, linked, token


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


def test_the_snapshot_before_stays_as_it_was() -> None:
    before = built(policy())

    built(policy("other"), previous=before)

    assert set(before.resources) == {("AccessPolicy", "p")}
    assert "p" in before.policies
    with pytest.raises(TypeError):
        before.resources["x", "y"] = None  # type: ignore[index]
