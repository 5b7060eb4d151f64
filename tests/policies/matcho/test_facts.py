from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.policies.complex import AllOf, AnyOf
from flask_foreign_token.policies.condition import Equality
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.matcho.engine import Matches
from flask_foreign_token.policies.matcho.facts import equalities, needs
from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.policy import parse_policy


def written(groups: Any) -> list[list[str]]:
    """Equalities as ``"jwt.iss=a"``, one list a group."""
    return [[f"{'.'.join(equality.path)}={equality.value}" for equality in group] for group in groups]


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ({"jwt": {"iss": "x"}}, {"jwt"}),
        ({"jwt": "present?", "user": "nil?"}, {"jwt"}),
        ({"user": {"id": "nil?"}}, {"user"}),
        ({"user": {"$not": {"role": "guest"}}}, set()),
        ({"user": {"$not": "nil?"}}, {"user"}),
        ({"user": {"$not": "present?"}}, set()),
        ({"user": {"$one-of": ["nil?", {"id": "x"}]}}, set()),
        ({"user": {"$one-of": ["present?", {"id": "x"}]}}, {"user"}),
        ({"user": {"$every": "x"}}, {"user"}),
        ({"params": {"id": ".user.id"}}, {"params", "user"}),
        ({"params": {"id": {"$one-of": ".jwt.ids"}}}, {"params", "jwt"}),
        ({"params": {"id": {"$one-of": [".user.id", ".jwt.sub"]}}}, {"params"}),
        ({"params": {"id": {"$one-of": [".user.id", {"a": ".user.name"}]}}}, {"params", "user"}),
        ({"params": {"id": {"$not": ".user.id"}}}, {"params"}),
        ({"params": {"$one-of": ["nil?", {"id": ".user.id"}]}}, set()),
        ({"body": [1, ".user.id"]}, {"body", "user"}),
        ({"body": {"$contains": ".user.id"}}, {"body", "user"}),
        ({"body": {"$every": ".user.id"}}, {"body"}),
        ({"body": {"$present-all": [".user.id", ".client.id"]}}, {"body", "user", "client"}),
        ({"body": {"$reference": {"id": ".user.id"}}}, {"body", "user"}),
        ({"$one-of": [{"user": "present?", "uri": "/a"}, {"user": {"id": "x"}}]}, {"user"}),
        ({"$one-of": [{"user": "present?"}, {"client": "present?"}]}, set()),
        ({"$one-of": [{"user": "present?"}, {"uri": ".user.home"}]}, {"user"}),
        ({"$not": {"user": "nil?"}}, set()),
        ({}, set()),
    ],
)
def test_a_pattern_tells_which_parts_it_matches_no_request_without(pattern: object, parts: set[str]) -> None:
    assert needs(parse(pattern)) == parts
    assert Matches(parse(pattern)).needs == parts


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ({"jwt": {"iss": "a"}}, [["jwt.iss=a"]]),
        ({"jwt": {"iss": "a", "n": 1, "b": True}, "uri": "/"}, [["jwt.iss=a"], ["jwt.n=1"], ["jwt.b=True"], ["uri=/"]]),
        ({"jwt": {"a": {"$enum": ["x", 1]}}}, [["jwt.a=x", "jwt.a=1"]]),
        ({"jwt": {"a": {"$one-of": ["x", "y"]}}}, [["jwt.a=x", "jwt.a=y"]]),
        ({"jwt": {"a": {"$one-of": ["x", {"$enum": ["y", "x"]}]}}}, [["jwt.a=x", "jwt.a=y"]]),
        ({"jwt": {"a": {"$one-of": ["x", "present?"]}}}, []),
        ({"jwt": {"a": {"$one-of": ["x", {"b": 1}]}}}, [["jwt.a=x", "jwt.a.b=1"]]),
        ({"$one-of": [{"user": {"id": "x"}}, {"client": {"id": "y"}}]}, [["user.id=x", "client.id=y"]]),
        (
            {"$one-of": [{"uri": "/a", "jwt": {"x": 1}}, {"uri": "/b", "client": {"id": "y"}}]},
            [["uri=/a", "uri=/b"]],
        ),
        (
            {"$one-of": [{"jwt": {"x": 1}, "uri": "/a"}, {"uri": "/b"}]},
            [["uri=/a", "uri=/b"], ["jwt.x=1", "uri=/b"]],
        ),
        (
            {"$one-of": [{"body": {"x": 1}, "uri": "/a"}, {"body": {"x": 2}, "client": {"id": "c"}}]},
            [["body.x=1", "body.x=2"], ["uri=/a", "client.id=c"]],
        ),
        ({"$one-of": [{"jwt": {"x": 1}}, {"jwt": {"x": 1}}]}, [["jwt.x=1"]]),
        ({"$one-of": [{"jwt": {"x": 1}}, {"jwt": {"x": True}}]}, [["jwt.x=1", "jwt.x=True"]]),
        ({"$one-of": [{"jwt": {"x": 1}}, {"jwt": "present?"}]}, []),
        ({"jwt": {"a": [1]}}, []),
        ({"jwt": {"a": {"$contains": "x"}}}, []),
        ({"jwt": {"a": {"$every": "x"}}}, []),
        ({"jwt": {"a": {"$present-all": ["x"]}}}, []),
        ({"jwt": {"a": {"$not": "x"}}}, []),
        ({"jwt": {"a": {"$reference": {"id": "x"}}}}, []),
        ({"jwt": {"a": "#^x$", "b": ".user.id", "c": "present?", "d": {"$one-of": ".user.x"}}}, []),
        ({"$not": {"uri": "/"}}, []),
        ("x", []),
        ({"$enum": ["x"]}, []),
    ],
)
def test_a_pattern_tells_what_is_equal_in_every_request_that_matches(pattern: object, groups: list[list[str]]) -> None:
    assert written(equalities(parse(pattern))) == groups
    assert written(Matches(parse(pattern)).equalities()) == groups


def test_the_links_of_a_policy_are_alternatives_and_its_condition_stands_beside_them() -> None:
    body = {
        "engine": "matcho",
        "matcho": {"jwt": {"iss": "a"}},
        "link": [{"reference": "User/u"}, {"reference": "Client/c"}, {"reference": "User/v"}],
    }

    groups = parse_policy("p", body, Engines()).equalities()

    assert written(groups) == [["user.id=u", "client.id=c", "user.id=v"], ["jwt.iss=a"]]


def test_of_joined_conditions_all_must_be_equal_or_one_of_each() -> None:
    first, second = Matches(parse({"uri": "/a", "jwt": {"iss": "i"}})), Matches(parse({"uri": "/b"}))
    anything = Matches(parse({"uri": "present?"}))

    assert written(AllOf((first, second), ("", "")).equalities()) == [["uri=/a"], ["jwt.iss=i"], ["uri=/b"]]
    assert written(AnyOf((second, first), ("", "")).equalities()) == [["uri=/b", "uri=/a"]]
    assert AnyOf((first, anything), ("", "")).equalities() == []


def test_all_paths_that_every_alternative_pins_are_told() -> None:
    alternatives = [{"uri": f"/{n}", "request-method": "get", "jwt": {"n": n}} for n in range(3)]

    assert written(equalities(parse({"$one-of": alternatives}))) == [
        ["uri=/0", "uri=/1", "uri=/2"],
        ["request-method=get"],
        ["jwt.n=0", "jwt.n=1", "jwt.n=2"],
    ]


def test_alternatives_within_each_other_do_not_multiply() -> None:
    pattern: Any = {"a": 1, "b": 2}
    for depth in range(20):
        pattern = {"$one-of": [pattern, {"a": depth, "b": -depth}, {"b": depth, "c": 0}]}

    groups = equalities(parse(pattern))

    assert sum(map(len, groups)) < 500
    assert all(isinstance(equality, Equality) for group in groups for equality in group)
