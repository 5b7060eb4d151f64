"""Policies of a snapshot: in force, or out of service beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flask_foreign_token.policies.condition import Condition, Decide
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.registry.snapshot import RegistrySnapshot

from ..policies.facts import view_of
from .bodies import policy, provider
from .snapshots import BUILDER, builder, built, faults, stored

WRONG = policy("wrong", engine="matcho", matcho={"uri": None})
DEEP: dict[str, Any] = {}
for _ in range(200):
    DEEP = {"a": DEEP}
DEEP = {"jwt": DEEP}


def whom(snapshot: RegistrySnapshot, **parts: object) -> str | None:
    """The policy that allows a request with these parts."""
    return snapshot.policies.decide(view_of(parts)).policy


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (policy(engine="matcho", matcho={"uri": None}), "matcho.uri", "nil?"),
        (policy(engine="matcho", matcho={"uri": "#("}), "matcho.uri", "no regular expression"),
        (policy(engine="matcho", matcho=DEEP), "", "deep"),
        (policy(engine="matcho", matcho={"uri": {"$enum": ["x" * 70_000]}}), "matcho", "65536"),
        (policy(engine="matcho"), "matcho", "wants a pattern"),
        (policy(engine="matcho", matcho=None), "matcho", "wants a pattern"),
        (policy(engine="mathco"), "engine", "no such engine"),
        (policy(engine="cedar", cedar={"a": 1}), "engine", "no such engine"),
        (policy(matcho={"uri": "/"}), "matcho", "no such attribute"),
        (policy(schema={}), "schema", "no such attribute"),
        (policy(sql=None), "sql", "no such attribute"),
        (policy(**{"and": [{"engine": "allow"}]}), "and", "no such attribute"),
        (policy(engine="complex"), "and", "wants and, or or"),
        (policy(engine="complex", **{"or": [{"engine": "allow"}, {"engine": "x"}]}), "or.1.engine", "no such engine"),
        (policy(engine="complex", **{"or": [{"engine": "allow", "roleName": "r"}]}), "or.0.roleName", "no such"),
        (policy(engine="sql", sql={"query": "SELECT true"}), "", "SQL_URI"),
        (policy(link=[{"reference": "Group/x"}]), "link.0.reference", "User/"),
        (policy(link=[{"reference": "Group/x"}], active=False), "link.0.reference", "User/"),
    ],
)
def test_what_does_not_load_is_out_of_service_with_its_path_and_the_reason(
    body: dict[str, Any], path: str, reason: str
) -> None:
    snapshot = built(body, policy("other"))

    [issue] = snapshot.out_of_service
    assert (issue.resource, issue.path) == ("AccessPolicy/p", path) or not path
    assert reason in issue.message
    assert "p" not in snapshot.policies
    assert whom(snapshot) == "other"
    assert ("AccessPolicy", "p") in snapshot.resources


@pytest.mark.parametrize(
    "body",
    [
        policy(engine="matcho", matcho={"uri": "/x"}),
        policy(engine="complex", **{"and": [{"engine": "allow"}, {"engine": "matcho", "matcho": {"uri": "/x"}}]}),
        policy(engine="complex", **{"or": [{"engine": "matcho", "matcho": {"uri": "/x"}}]}),
        policy(link=[{"reference": "Operation/x"}]),
        policy(roleName="doctor"),
    ],
)
def test_what_loads_is_in_force(body: dict[str, Any]) -> None:
    snapshot = built(body)

    assert whom(snapshot, uri="/x", operation={"id": "x"}, user={"roles": ["doctor"]}) == "p"
    assert whom(snapshot, uri="/y", operation={"id": "y"}, user={"roles": ["nurse"]}) is None
    assert snapshot.out_of_service == ()


@pytest.mark.parametrize(
    "fault",
    [
        {"active": "yes"},
        {"matco": {}},
        {"cedar": {}},
        {"engine": None},
        {"roleName": ""},
        {"link": []},
        {"link": [{}]},
    ],
)
def test_what_is_of_the_wrong_shape_is_out_of_service_too_whether_it_is_active_or_not(fault: dict[str, Any]) -> None:
    before = built(policy(engine="matcho", matcho={"uri": "/x"}))

    for activity in ({}, {"active": False}):
        after = built(policy(**activity | fault), policy("other"), previous=before)

        assert [issue.resource for issue in after.out_of_service] == ["AccessPolicy/p"]
        assert [policy.id for policy in after.policies] == ["other"]
        assert after.absence_of_policy("p") == "is out of service"
        assert ("AccessPolicy", "p") in after.resources


def test_what_is_of_the_wrong_shape_is_a_fault_of_whoever_saves_it() -> None:
    [issue] = BUILDER.faults(stored(policy(active="yes"), policy("other")))

    assert (issue.resource, issue.path) == ("AccessPolicy/p", "active")


def test_beside_a_fault_that_refuses_the_whole_those_out_of_service_are_named_too() -> None:
    assert {issue.resource for issue in faults(WRONG, provider(sytem="x"))} == {
        "AccessPolicy/wrong",
        "IdentityProvider/k",
    }


def test_what_would_be_out_of_service_is_a_fault_of_whoever_saves_it() -> None:
    [issue] = BUILDER.faults(stored(WRONG, policy()))

    assert (issue.resource, issue.path) == ("AccessPolicy/wrong", "matcho.uri")
    assert BUILDER.faults(stored(policy())) == ()


def test_one_that_was_in_force_and_no_longer_loads_denies_and_one_that_is_mended_allows() -> None:
    good = policy(engine="matcho", matcho={"uri": "/x"})
    before = built(good)

    during = built(policy(engine="matcho", matcho={"uri": None}), previous=before)
    after = built(good, previous=during)

    assert [whom(snapshot, uri="/x") for snapshot in (before, during, after)] == ["p", None, "p"]


def test_one_that_does_not_load_is_not_tried_again_until_it_changes() -> None:
    before = built(WRONG)

    after = built(WRONG, policy("new"), previous=before)

    assert after.parts["AccessPolicy", "wrong"] is before.parts["AccessPolicy", "wrong"]
    assert [issue.resource for issue in after.out_of_service] == ["AccessPolicy/wrong"]


def test_why_a_policy_is_not_in_force_can_be_told() -> None:
    snapshot = built(WRONG, policy("off", active=False), policy("on"))

    assert {id_: snapshot.absence_of_policy(id_) for id_ in ("wrong", "off", "on", "none")} == {
        "wrong": "is out of service",
        "off": "is not active",
        "on": None,
        "none": "the registry does not hold",
    }


# ---- engines of other packages


class Uri(Condition):
    """That the path is the one that is written."""

    def __init__(self, uri: object) -> None:
        self.uri = uri

    def compile(self) -> Decide:
        if self.uri == "uncompilable":
            raise LookupError
        return lambda view: view["uri"] == self.uri


class Cedar:
    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        match policy.get("cedar"):
            case "raises":
                raise LookupError
            case "nothing":
                return None  # type: ignore[return-value]
            case written:
                return Uri(written)


WITH_CEDAR = builder(engines=Engines(others={"cedar": Cedar()}))


def test_an_engine_of_another_package_reads_the_attribute_that_has_its_name() -> None:
    inside = {"engine": "complex", "and": [{"engine": "allow"}, {"engine": "cedar", "cedar": "/b"}]}
    snapshot = built(policy("a", engine="cedar", cedar="/a"), policy("b", **inside), by=WITH_CEDAR)

    assert [whom(snapshot, uri=uri) for uri in ("/a", "/b", "/c")] == ["a", "b", None]


@pytest.mark.parametrize("cedar", ["raises", "nothing", "uncompilable"])
def test_one_that_fails_on_a_policy_takes_that_one_out_of_service_and_no_other(cedar: str) -> None:
    snapshot = built(policy("a", engine="cedar", cedar=cedar), policy("b", engine="cedar", cedar="/b"), by=WITH_CEDAR)

    [issue] = snapshot.out_of_service
    assert (issue.resource, "engine" in issue.message) == ("AccessPolicy/a", True)
    assert whom(snapshot, uri="/b") == "b"


def test_an_attribute_that_has_the_name_of_another_engine_is_refused_and_the_near_one_named() -> None:
    [issue] = built(policy(engine="cedar", cedra="/a"), by=WITH_CEDAR).out_of_service

    assert (issue.path, issue.message) == ("cedra", "no such attribute; did you mean cedar?")


def test_of_one_policy_the_faults_of_its_shape_and_of_its_condition_are_named_at_once() -> None:
    snapshot = built(policy(engine="matcho", matcho={"uri": None}, active="yes", link=[{}], unknown=1))

    assert sorted(issue.path for issue in snapshot.out_of_service) == ["active", "link.0", "matcho.uri", "unknown"]
