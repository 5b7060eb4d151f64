"""A condition as two: what it asks of the token, and what it asks beside that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.policies.complex import AllOf, AnyOf
from flask_foreign_token.policies.condition import Condition, Decide
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.matcho.engine import Matches
from flask_foreign_token.policies.matcho.tree import Fields, Literal
from flask_foreign_token.policies.policy import TOKEN_PARTS, compile_policy, parse_policy
from flask_foreign_token.policies.simulated import simulated
from flask_foreign_token.policies.split import split

ENGINES = Engines()
ROWS = [
    (policy, row["request"])
    for row in json.loads((Path(__file__).parent / "aidbox_decisions.json").read_text())
    for policy in row["policies"]
    if policy["engine"] in ENGINES.names
]
REQUESTS: list[Mapping[str, Any]] = [
    {"jwt": {"iss": "i", "sub": "ann", "azp": "web"}, "client": {"id": "web"}, "uri": "/ann", "request-method": "get"},
    {"jwt": {"iss": "i", "sub": "bob"}, "uri": "/ann", "request-method": "post", "user": {"id": "bob"}},
    {"token": {"sub": "ann"}, "uri": "/", "request-method": "get"},
    {"uri": "/ann", "params": {"x": "ann"}},
]


def matcho(**pattern: Any) -> dict[str, Any]:
    return {"engine": "matcho", "matcho": {name.replace("_", "-"): value for name, value in pattern.items()}}


def condition(policy: Mapping[str, Any]) -> Condition:
    tree = parse_policy("p", policy, ENGINES)
    return AllOf(tree.conditions, ("",) * len(tree.conditions))


def in_two(policy: Mapping[str, Any]) -> tuple[Condition | None, Condition | None]:
    return split(condition(policy), TOKEN_PARTS)


def reads(part: Condition | None) -> set[str] | None:
    return None if part is None else set(part.reads)


def answer(decide: Condition | None, request: Mapping[str, Any]) -> bool:
    return decide is None or decide.compile()(simulated(request)) is True


def answer_of_token(decide: Condition | None, request: Mapping[str, Any]) -> bool:
    """Of a request of which only the token is there."""
    return answer(decide, {name: part for name, part in request.items() if name in TOKEN_PARTS})


@pytest.mark.parametrize(
    ("policy", "of_token", "of_request"),
    [
        (matcho(jwt={"iss": "i"}), {"jwt"}, None),
        (matcho(jwt={"iss": "i"}, client={"id": "web"}), {"jwt", "client"}, None),
        (matcho(uri="/a", request_method="get"), None, {"uri", "request-method"}),
        (matcho(uri="/a", jwt={"iss": "i"}, params={"x": "1"}), {"jwt"}, {"uri", "params"}),
        (matcho(jwt={"sub": ".params.x"}, client={"id": "web"}), {"client"}, {"jwt", "params"}),
        (matcho(params={"x": ".jwt.sub"}, token="nil?"), {"token"}, {"params", "jwt"}),
        ({"engine": "matcho", "matcho": {"$one-of": [{"jwt": {"iss": "i"}}, {"uri": "/a"}]}}, None, {"jwt", "uri"}),
        (
            {"engine": "matcho", "matcho": {"$one-of": [{"jwt": {"iss": "i"}}, {"client": "nil?"}]}},
            {"jwt", "client"},
            None,
        ),
        ({"engine": "allow"}, set(), None),
        ({"engine": "allow", "link": [{"reference": "Client/web"}]}, {"client"}, None),
        ({"engine": "allow", "link": [{"reference": "User/u"}]}, set(), {"user"}),
        ({**matcho(jwt={"iss": "i"}), "roleName": "nurse"}, {"jwt"}, {"user"}),
        ({"engine": "complex", "and": [matcho(jwt={"iss": "i"}, uri="/a"), matcho(uri="/b")]}, {"jwt"}, {"uri"}),
        ({"engine": "complex", "or": [matcho(jwt={"iss": "i"}, uri="/a"), matcho(uri="/b")]}, None, {"jwt", "uri"}),
        ({"engine": "json-schema", "schema": {"required": ["jwt"]}}, {"jwt"}, None),
        ({"engine": "json-schema", "schema": {"required": ["jwt", "uri"]}}, None, {"jwt", "uri"}),
    ],
    ids=lambda case: None if case is None or isinstance(case, set) else json.dumps(case),
)
def test_what_reads_the_token_alone_is_asked_of_it(
    policy: Mapping[str, Any], of_token: set[str] | None, of_request: set[str] | None
) -> None:
    first, second = in_two(policy)

    assert (reads(first), reads(second)) == (of_token, of_request)
    for request in REQUESTS:
        whole = answer(condition(policy), request)
        assert (answer_of_token(first, request) and answer(second, request)) is whole


def test_what_does_not_answer_the_same_each_time_is_asked_of_each_request() -> None:
    class Moody(Condition):
        @property
        def reads(self) -> frozenset[str]:
            return frozenset({"jwt"})

        def compile(self) -> Decide:
            return lambda view: True

    moody = Moody()

    for whole in (moody, AllOf((moody, moody), ("", "")), AnyOf((moody,), ("",))):
        assert split(whole, TOKEN_PARTS) == (None, whole)


def test_what_derives_from_a_condition_of_ours_is_asked_as_it_is() -> None:
    class Denying(Matches):
        def compile(self) -> Decide:
            return lambda view: False

    denying = Denying(Fields(("jwt", "uri"), (Literal("a"), Literal("b"))))

    assert split(denying, TOKEN_PARTS) == (None, denying)


def test_what_an_engine_reads_may_be_any_collection() -> None:
    class Plain(Condition):
        reads = ("jwt",)  # type: ignore[assignment]
        deterministic = True

        def compile(self) -> Decide:
            return lambda view: True

    class Engine:
        def parse(self, policy: Any, context: EngineContext) -> Condition:
            return Plain()

    engines = Engines(others={"plain": Engine()})
    body = {"engine": "complex", "and": [{"engine": "plain"}, matcho(uri="/a")]}

    policies = Policies([compile_policy("p", "1", body, engines)])

    assert policies.decide(simulated({"uri": "/a"})).allowed
    assert not policies.decide(simulated({"uri": "/b"})).allowed


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_both_together_decide_as_the_whole_does(number: int) -> None:
    policy, request = ROWS[number]
    first, second = in_two(policy)

    assert (answer_of_token(first, request) and answer(second, request)) is answer(condition(policy), request)
