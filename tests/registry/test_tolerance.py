"""What has a fault is left out, with whatever cannot be without it, and the others go on: none of them with more than
it had.
"""

from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.errors import Issue
from flask_foreign_token.introspection.choosing import UnknownForm, UnknownIssuer
from flask_foreign_token.introspection.token import Credential

from .bodies import ISSUER, asked_provider, introspector, opaque, policy, provider
from .snapshots import linked, token
from .tolerating import Body, garbage, in_service, named, prefixed, tolerant, unknown

GOOD = introspector("good", iss="https://good.example")


# ---- one fault


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (provider(system=7), ("IdentityProvider/k", "system")),
        (unknown(provider()), ("IdentityProvider/k", "unknown")),
        (unknown(introspector()), ("TokenIntrospector/i", "unknown")),
        (introspector(type="jwe"), ("TokenIntrospector/i", "type")),
        (introspector(link="nobody"), ("TokenIntrospector/i", "identity_provider.reference")),
        (introspector(jwt={"iss": "i"}), ("TokenIntrospector/i", "jwks_uri")),
        (introspector(cache_ttl=0), ("TokenIntrospector/i", "cache_ttl")),
        (introspector(jwt={"iss": "i", "secret": "short"}), ("TokenIntrospector/i", "jwt.secret")),
        (opaque(introspection_endpoint={"url": "http://x.example"}), ("TokenIntrospector/o", "introspection_endpoint")),
        (policy(engine="magic"), ("AccessPolicy/p", "engine")),
        (policy(unknown=1), ("AccessPolicy/p", "unknown")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else value["resourceType"],
)
def test_what_has_a_fault_is_named_and_the_others_go_on(bad: Body, place: tuple[str, str]) -> None:
    snapshot = tolerant(bad, GOOD, policy("good"))

    assert {(resource, path.partition(".")[0]) for resource, path in named(snapshot)} == {
        (place[0], place[1].partition(".")[0])
    }
    assert token(snapshot, "https://good.example").subject == "jane"
    assert "good" in snapshot.policies


def test_what_nothing_is_wrong_with_is_all_in_service() -> None:
    snapshot = tolerant(provider(), introspector(link="k"), policy())

    assert snapshot.out_of_service == ()
    assert in_service(snapshot) == {"i"}


def test_tokens_of_an_introspector_that_is_left_out_are_of_nobody_known() -> None:
    snapshot = tolerant(unknown(introspector()), GOOD)

    with pytest.raises(UnknownIssuer):
        token(snapshot)


def test_what_was_verified_before_is_not_vouched_for_any_more() -> None:
    before = tolerant(introspector())

    after = tolerant(unknown(introspector()), previous=before)

    assert before.vouches(linked(before).introspector.introspector)
    assert not after.vouches(linked(before).introspector.introspector)


def test_what_is_mended_is_in_service_again() -> None:
    broken = tolerant(unknown(introspector()), GOOD)

    mended = tolerant(introspector(), GOOD, previous=broken)

    assert token(mended)
    assert mended.out_of_service == ()


def test_everything_that_is_wrong_is_named_at_once() -> None:
    snapshot = tolerant(
        unknown(provider()),
        introspector(link="k"),
        introspector("other", "nobody", iss="https://other.example"),
        policy(engine="magic"),
        unreadable=garbage("AccessPolicy/x"),
    )

    assert named(snapshot) == {
        ("AccessPolicy/x", ""),
        ("IdentityProvider/k", "unknown"),
        ("TokenIntrospector/i", "identity_provider.reference"),
        ("TokenIntrospector/other", "identity_provider.reference"),
        ("AccessPolicy/p", "engine"),
    }


# ---- a provider


@pytest.mark.parametrize(
    ("bodies", "unreadable"),
    [
        ([unknown(provider())], ()),
        ([provider(), provider("twin", system="k")], ()),
        ([], garbage("IdentityProvider/k")),
    ],
    ids=["with a fault", "that has what another has", "that cannot be read"],
)
def test_without_its_provider_an_introspector_is_left_out_and_takes_no_token_without_user(
    bodies: list[Body], unreadable: tuple[Issue, ...]
) -> None:
    snapshot = tolerant(*bodies, introspector(link="k"), GOOD, unreadable=unreadable)

    assert in_service(snapshot) == {"good"}
    [issue] = [issue for issue in snapshot.out_of_service if issue.resource == "TokenIntrospector/i"]
    assert (issue.path, issue.message.partition(",")[0]) == (
        "identity_provider.reference",
        "IdentityProvider/k is left out",
    )
    with pytest.raises(UnknownIssuer):
        token(snapshot)


# ---- what only one may have

CLASHES: dict[str, tuple[list[Body], set[str], str]] = {
    "a system": (
        [provider("a", system="s"), provider("b", system="s")],
        {"IdentityProvider/a", "IdentityProvider/b"},
        "system",
    ),
    "a system, three times": (
        [provider(id_, system="s") for id_ in "abc"],
        {"IdentityProvider/a", "IdentityProvider/b", "IdentityProvider/c"},
        "system",
    ),
    "an issuer": ([introspector("a"), introspector("b")], {"TokenIntrospector/a", "TokenIntrospector/b"}, "jwt.iss"),
    "an issuer, in two types": (
        [introspector("a"), opaque("b", jwt={"iss": ISSUER})],
        {"TokenIntrospector/a", "TokenIntrospector/b"},
        "jwt.iss",
    ),
    "a prefix": (
        [prefixed("a", "x"), prefixed("b", "xy"), prefixed("c", "xyz"), prefixed("d", "z")],
        {"TokenIntrospector/a", "TokenIntrospector/b", "TokenIntrospector/c"},
        "token_prefix",
    ),
    "no prefix": (
        [opaque("a", jwt={"iss": "https://a.example"}), prefixed("b")],
        {"TokenIntrospector/a", "TokenIntrospector/b"},
        "token_prefix",
    ),
    "a provider, by several issuers": (
        [
            provider(),
            introspector("a", "k", "https://1.example"),
            introspector("b", "k", "https://1.example", active=False),
            introspector("c", "k", "https://2.example"),
        ],
        {"TokenIntrospector/a", "TokenIntrospector/b", "TokenIntrospector/c"},
        "identity_provider.reference",
    ),
}


@pytest.mark.parametrize(("bodies", "clashing", "path"), CLASHES.values(), ids=CLASHES.keys())
def test_of_those_that_have_what_only_one_may_have_none_is_taken_for_the_right_one(
    bodies: list[Body], clashing: set[str], path: str
) -> None:
    before = tolerant(*bodies[:1], GOOD)

    snapshot = tolerant(*bodies, GOOD, previous=before)

    assert {place for place in named(snapshot) if place[1] == path} >= {(name, path) for name in clashing}
    assert {place[0] for place in named(snapshot)} == clashing
    assert in_service(snapshot).isdisjoint(name.partition("/")[2] for name in clashing)
    assert token(snapshot, "https://good.example")


@pytest.mark.parametrize("clash", ["an issuer", "an issuer, in two types", "a prefix", "no prefix"])
def test_where_all_but_one_are_inactive_that_one_is_in_service(clash: str) -> None:
    bodies, _, _ = CLASHES[clash]
    inactive = [{**body, "active": False} for body in bodies[:-1]]

    assert tolerant(*inactive, bodies[-1]).out_of_service == ()


@pytest.mark.parametrize(
    ("faulty", "good", "path"),
    [
        (provider("a", system="s"), provider("b", system="s"), "system"),
        (introspector("a"), introspector("b"), "jwt.iss"),
        (prefixed("a", "x"), prefixed("b", "xy"), "token_prefix"),
        (opaque("a"), prefixed("b"), "token_prefix"),
        (prefixed("a"), opaque("b", jwt={"iss": "https://b.example"}), "token_prefix"),
    ],
    ids=["a system", "an issuer", "a prefix", "no prefix", "a prefix beside none"],
)
def test_a_fault_in_one_hands_to_another_nothing_that_it_could_not_have_had(
    faulty: Body, good: Body, path: str
) -> None:
    with_both = tolerant(faulty, good)
    with_fault = tolerant(unknown(faulty), good)
    name = f"{good['resourceType']}/b"

    assert (name, path) in named(with_both)
    assert named(with_fault) == {(f"{good['resourceType']}/a", "unknown"), (name, path)}


@pytest.mark.parametrize("faulty", [unknown(provider("k", active=False)), provider("k", active=False, system=7)])
def test_what_would_be_inactive_without_its_fault_takes_nothing(faulty: Body) -> None:
    snapshot = tolerant(faulty, introspector("a", "k"), introspector("b"))

    assert in_service(snapshot) == {"b"}
    assert token(snapshot).introspector.id == "b"


@pytest.mark.parametrize("active", ["no", 0, None])
def test_what_is_not_clearly_inactive_counts_as_active(active: object) -> None:
    snapshot = tolerant({**introspector("a"), "active": active}, introspector("b"))

    assert in_service(snapshot) == set()


def test_a_second_issuer_that_a_faulty_introspector_names_takes_its_provider_from_the_other() -> None:
    snapshot = tolerant(provider(), unknown(introspector("a", "k", "https://a.example")), introspector("b", "k"))

    assert ("TokenIntrospector/b", "identity_provider.reference") in named(snapshot)
    assert in_service(snapshot) == set()


# ---- whose tokens they are


@pytest.mark.parametrize(
    "out",
    [
        [unknown(prefixed("out"))],
        [{**prefixed("out"), "type": "jwt"}],
        [prefixed("out", introspection_endpoint={"url": "ftp://x"})],
        [unknown(asked_provider()), opaque("out", "k", token_prefix="out_")],
        [opaque("out", "nobody", token_prefix="out_")],
        [unknown(prefixed("out", active=False))],
    ],
    ids=["unknown", "type", "url", "its provider", "no provider", "inactive"],
)
def test_opaque_tokens_of_an_introspector_that_is_left_out_go_to_no_other(out: list[Body]) -> None:
    on = prefixed("on", "o" if not out[0].get("active", True) else "on_")

    snapshot = tolerant(*out, on)

    assert in_service(snapshot) == {"on"}
    with pytest.raises(UnknownForm):
        snapshot.introspection.introspect(Credential("bearer", "out_0815"))


@pytest.mark.parametrize(
    "out",
    [
        unknown(introspector("out", iss="https://out.example")),
        introspector("out", "nobody", iss="https://out.example"),
        unknown(provider("out", issuer="https://out.example")),
        {**introspector("out", iss="https://out.example"), "type": 7},
    ],
    ids=["introspector", "without provider", "provider", "type"],
)
def test_an_issuer_that_is_named_by_what_is_left_out_is_still_not_another_ones(out: Body) -> None:
    snapshot = tolerant(out, opaque())
    rules: Any = linked(snapshot, "o").introspector.rules

    assert "https://out.example" in rules.foreign_issuers


def test_the_issuer_behind_a_provider_is_still_that_which_a_faulty_introspector_of_it_names() -> None:
    snapshot = tolerant(asked_provider(), unknown(introspector("j", "k", "https://j.example")), opaque("o", "k"))

    assert linked(snapshot, "o").issuer == "https://j.example"


# ---- shapes

SHAPES: list[object] = [None, 7, "x", [], {}, [{}], {"iss": 7}, {"reference": 7}, {"reference": ""}, True]


@pytest.mark.parametrize("value", SHAPES, ids=repr)
@pytest.mark.parametrize(
    ("body", "name"),
    [
        *((introspector(link="k"), name) for name in ("type", "jwt", "identity_provider", "active", "token_prefix")),
        (introspector(link="k"), "jwks_uri"),
        *((provider(), name) for name in ("system", "issuer", "active", "toScim", "client")),
        *((policy(), name) for name in ("engine", "link", "active", "roleName")),
    ],
    ids=lambda value: value if isinstance(value, str) else value["resourceType"],
)
def test_whatever_stands_in_a_place_the_others_go_on(body: Body, name: str, value: object) -> None:
    snapshot = tolerant(provider(), {**body, "id": "k" if "system" in body else "x", name: value}, GOOD, policy("good"))

    assert token(snapshot, "https://good.example")
    assert "good" in snapshot.policies


# ---- the same, built anew

REGISTRIES: dict[str, list[Body]] = {
    "good": [asked_provider(), introspector("j", "k", "https://j.example"), opaque("o", "k"), policy()],
    "the introspector that names the issuer has a fault": [
        asked_provider(),
        unknown(introspector("j", "k", "https://j.example")),
        opaque("o", "k"),
        policy(),
    ],
    "the provider has a fault": [
        unknown(asked_provider()),
        introspector("j", "k", "https://j.example"),
        opaque("o", "k"),
        policy(),
    ],
    "two have one issuer": [
        asked_provider(),
        introspector("j", "k", "https://j.example"),
        introspector("twin", iss="https://j.example"),
        opaque("o", "k"),
        policy(engine="magic"),
    ],
}


@pytest.mark.parametrize("after", REGISTRIES)
@pytest.mark.parametrize("before", REGISTRIES)
def test_what_was_in_force_before_changes_nothing(before: str, after: str) -> None:
    successor = tolerant(*REGISTRIES[after], previous=tolerant(*REGISTRIES[before]))
    anew = tolerant(*REGISTRIES[after])

    assert named(successor) == named(anew)
    assert {link.settings.id: (link.introspector.rules, link.issuer) for link in successor.linked} == {
        link.settings.id: (link.introspector.rules, link.issuer) for link in anew.linked
    }
    assert {policy_.id for policy_ in successor.policies} == {policy_.id for policy_ in anew.policies}
