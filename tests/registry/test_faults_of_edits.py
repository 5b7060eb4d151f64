"""What the builder says is wrong with resources, for those who are about to store them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flask_foreign_token.policies.condition import Condition, Decide
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.registry.snapshot import SnapshotBuilder

from .bodies import introspector, opaque, policy, provider
from .snapshots import BUILDER, builder, stored


class Nothing(Condition):
    """That nothing holds."""

    def compile(self) -> Decide:
        return lambda view: False


class Noting:
    """An engine that notes which policies it is given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        self.given.append(str(policy["noting"]))
        return Nothing()


@pytest.fixture
def noting() -> Noting:
    return Noting()


@pytest.fixture
def by(noting: Noting) -> SnapshotBuilder:
    return builder(engines=Engines(others={"noting": noting}))


def noted(id_: str, text: str) -> dict[str, object]:
    return policy(id_, engine="noting", noting=text)


def places(by: SnapshotBuilder, *bodies: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(issue.resource, issue.path) for issue in by.faults(stored(*bodies))]


def test_only_what_is_not_known_in_that_version_is_compiled(by: SnapshotBuilder, noting: Noting) -> None:
    known = by.build(stored(noted("a", "1"), noted("b", "2"), provider()), "1")
    noting.given.clear()

    by.faults(stored(noted("a", "1"), noted("b", "3"), noted("c", "4"), provider()), known=known)

    assert noting.given == ["3", "4"]


def test_a_change_of_one_is_compiled_once_and_nothing_else_is(by: SnapshotBuilder, noting: Noting) -> None:
    policies = [noted(f"p-{number}", str(number)) for number in range(100)]
    before = by.build(stored(*policies), "1")
    noting.given.clear()

    after = by.build(stored(*policies[:-1], noted("p-99", "changed")), "2", before, tolerant=True)

    assert noting.given == ["changed"]
    assert len(after.policies) == 100


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_known_changes_nothing_of_what_is_wrong(is_known: bool) -> None:
    bodies = [provider(), provider("twin", system="k"), introspector(link="k"), policy(engine="magic"), policy("good")]
    known = BUILDER.build(stored(*bodies[:1], *bodies[2:], policy("twin")), "1", tolerant=True)

    issues = BUILDER.faults(stored(*bodies), known=known if is_known else None)

    assert [(issue.resource, issue.path) for issue in issues] == [
        ("IdentityProvider/twin", "system"),
        ("AccessPolicy/p", "engine"),
    ]


def test_what_is_known_and_was_left_out_is_looked_at_again() -> None:
    bodies = [introspector("a"), introspector("b")]
    known = BUILDER.build(stored(*bodies), "1", tolerant=True)

    assert [issue.resource for issue in BUILDER.faults(stored(*bodies), known=known)] == ["TokenIntrospector/b"]
    assert BUILDER.faults(stored(bodies[1]), known=known) == ()


def test_one_that_takes_what_a_faulty_one_has_is_told() -> None:
    assert places(BUILDER, introspector("a", unknown=True), introspector("b")) == [
        ("TokenIntrospector/a", "unknown"),
        ("TokenIntrospector/b", "jwt.iss"),
    ]


def test_of_two_faulty_ones_no_more_is_said() -> None:
    both = [introspector("a", unknown=True), introspector("b", unknown=True)]

    assert places(BUILDER, *both) == [("TokenIntrospector/a", "unknown"), ("TokenIntrospector/b", "unknown")]


@pytest.mark.parametrize(
    ("bodies", "place"),
    [
        ([provider(id_, system="s") for id_ in "ab"], ("IdentityProvider/b", "system")),
        ([introspector("a"), introspector("b")], ("TokenIntrospector/b", "jwt.iss")),
        ([opaque("a", token_prefix="x"), opaque("b", token_prefix="xy")], ("TokenIntrospector/b", "token_prefix")),
    ],
    ids=["a system", "an issuer", "a prefix"],
)
def test_of_two_that_have_what_only_one_may_have_the_last_is_told(
    bodies: list[Mapping[str, object]], place: tuple[str, str]
) -> None:
    assert places(BUILDER, *bodies) == [place]
