"""Which policies a request looks at, and how often they are asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask, request

from flask_foreign_token.policies.alternatives import CHEAP, fileable, of_any
from flask_foreign_token.policies.condition import Alternatives, Equality
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.index import CROWD, Index
from flask_foreign_token.policies.policy import CompiledPolicy, any_token, compile_policy
from flask_foreign_token.policies.request import PARTS, RequestView

ENGINES = Engines()
OTHER_REQUEST = {"request_method": "get", "uri": "/", "jwt": {"iss": "i", "aud": ["a", "b"], "nothing": None}}


def matcho(policy_id: str, **pattern: Any) -> CompiledPolicy:
    written = {name.replace("_", "-"): value for name, value in pattern.items()}
    return compile_policy(policy_id, "1", {"engine": "matcho", "matcho": written}, ENGINES)


def view(**parts: Any) -> RequestView:
    """A request of which only `parts` exist."""
    made = RequestView(None, None, None)  # type: ignore[arg-type]
    made.update({name.replace("_", "-"): part for name, part in parts.items()})
    return made


class Name(str):
    """A text of an engine's own, by which nothing can be found."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]


def one(path: str, value: Any) -> Alternatives:
    return (Equality(tuple(path.split(".")), value),)


def filed(policy_id: str, *groups: Alternatives) -> CompiledPolicy:
    """A policy that must be looked at where one of each of `groups` holds."""
    return CompiledPolicy(policy_id, "1", "own", (), any_token, lambda view: True, PARTS, equalities=groups)


def found(policies: Index | Policies, asked: Mapping[str, Any]) -> list[str]:
    return [policy.id for policy in policies.candidates(asked)]  # type: ignore[arg-type]


# ---- what is found


def test_a_request_looks_only_at_the_policies_that_stand_under_a_value_of_its_own() -> None:
    policies = Policies(matcho(f"p-{number}", uri=f"/{number}", request_method="get") for number in range(1000))

    assert found(policies, view(uri="/77", request_method="get")) == ["p-77"]
    assert found(policies, view(uri="/1000", request_method="get")) == []


def test_a_policy_stands_under_its_rarest_equality() -> None:
    policies = Policies(
        matcho(f"p-{number}", jwt={"iss": "i"}, uri=f"/{number}", request_method="get") for number in range(20)
    )

    assert policies.filed_under("p-7") == one("uri", "/7")


def test_how_rare_alternatives_are_is_how_common_the_most_common_of_them_is() -> None:
    common = [matcho(f"c-{number}", request_method="get") for number in range(5)]
    policies = Policies([*common, matcho("p", request_method={"$enum": ["get", "put"]}, uri={"$enum": ["/a", "/b"]})])

    assert policies.filed_under("p") == (*one("uri", "/a"), *one("uri", "/b"))


def test_a_policy_is_found_by_each_of_its_alternatives_and_only_once() -> None:
    linked = compile_policy(
        "p", "1", {"engine": "allow", "link": [{"reference": "User/u"}, {"reference": "Client/c"}]}, ENGINES
    )
    policies = Policies([linked])

    for parts in ({"user": {"id": "u"}}, {"client": {"id": "c"}}, {"user": {"id": "u"}, "client": {"id": "c"}}):
        assert found(policies, view(**parts)) == ["p"]
    assert found(policies, view(user={"id": "c"}, client={"id": "u"})) == []


def test_a_policy_without_an_equality_is_always_looked_at() -> None:
    policies = Policies([matcho("p", uri="#^/a")])

    assert policies.filed_under("p") == ()
    assert found(policies, view(uri="/b")) == ["p"]


def test_nobody_is_filed_under_what_is_dear_to_look_at() -> None:
    groups = [one(path, "x") for path in ("body.a", "resource.a", "params.a", "headers.a", "query-string")]

    assert fileable([*groups, one("uri", "/")]) == (one("uri", "/"),)
    assert fileable([(*one("uri", "/"), *one("body.a", "x"))]) == ()
    assert CHEAP <= PARTS
    assert CHEAP.isdisjoint({"body", "resource", "params", "headers", "query-string"})


@pytest.mark.parametrize(
    "group",
    [
        (),
        (Equality((), "x"),),
        (Equality(("uri",), ["x"]),),  # type: ignore[arg-type]
        (Equality(("uri",), None),),  # type: ignore[arg-type]
        (Equality(("jwt", ["x"]), 1),),  # type: ignore[arg-type]
        (Equality(("jwt", 0), 1),),  # type: ignore[arg-type]
        (Equality(["jwt", "x"], 1),),  # type: ignore[arg-type]
        (Equality(("jwt", Name("x")), 1),),
        (Equality(("uri",), Name("x")),),
        (["uri", "x"],),  # type: ignore[arg-type]
        "uri",
    ],
)
def test_what_no_request_can_be_looked_up_by_is_left_out(group: Alternatives) -> None:
    assert fileable([group]) == ()


def test_groups_that_can_be_gone_through_once_are_filed_too() -> None:
    groups = (iter(one(path, 1)) for path in ("uri", "jwt.a"))

    assert fileable(groups) == (one("uri", 1), one("jwt.a", 1))  # type: ignore[arg-type]
    assert of_any([[iter(one("uri", 1))], [iter(one("uri", 2))]]) == [  # type: ignore[list-item]
        (*one("uri", 1), *one("uri", 2))
    ]


@pytest.mark.parametrize("value", [["x"], ("x",), {"x": 1}, None, object(), 1.5, MappingProxyType({"x": "x"})])
@pytest.mark.parametrize("place", ["jwt.a", "uri"])
def test_a_value_that_is_no_scalar_finds_nothing(place: str, value: Any) -> None:
    index = Index([filed("p", one(place, "x"))])

    assert found(index, view(jwt={"a": value}) if place == "jwt.a" else view(uri=value)) == []
    assert found(index, view(jwt={"a": "x"}, uri="x")) == ["p"]


@pytest.mark.parametrize("jwt", ["x", ["a"], None, {}, {"a": "x"}, {"a": ["b"]}, {"b": {"a": "x"}}])
def test_a_path_that_leads_nowhere_finds_nothing(jwt: Any) -> None:
    index = Index([filed("p", one("jwt.a.b", "x"))])

    assert found(index, view(jwt=jwt)) == []
    assert found(index, view(jwt={"a": MappingProxyType({"b": "x"})})) == ["p"]


def test_a_value_may_stand_where_others_have_an_object() -> None:
    index = Index([filed("text", one("jwt.act", "x")), filed("inside", one("jwt.act.sub", "x"))])

    assert found(index, view(jwt={"act": "x"})) == ["text"]
    assert found(index, view(jwt={"act": {"sub": "x"}})) == ["inside"]


def test_equal_numbers_are_found_however_they_are_written() -> None:
    index = Index([filed("p", one("jwt.level", 1)), filed("q", one("jwt.level", 2.0))])

    assert found(index, view(jwt={"level": 1.0})) == ["p"]
    assert found(index, view(jwt={"level": 2})) == ["q"]
    assert not Policies([matcho("p", jwt={"level": 1})]).decide(view(jwt={"level": True})).allowed


def test_a_part_that_cannot_be_had_finds_nothing_and_hides_nobody() -> None:
    class Broken(RequestView):
        def __missing__(self, name: str) -> object:
            raise RuntimeError(name)

    index = Index([filed("p", one("uri", "/")), filed("always")])

    assert found(index, Broken(None, None, None)) == ["always"]  # type: ignore[arg-type]


def test_only_parts_that_somebody_is_filed_under_are_built() -> None:
    built: list[str] = []

    class Watching(RequestView):
        def __missing__(self, name: str) -> object:
            built.append(name)
            raise KeyError(name)

    Index([filed("p", one("uri", "/")), filed("q", one("jwt.iss", "i"))]).candidates(
        Watching(None, None, None)  # type: ignore[arg-type]
    )

    assert sorted(built) == ["jwt", "uri"]


def test_candidates_come_in_the_order_of_the_registry_those_of_the_token_first() -> None:
    policies = Policies(
        [
            matcho("uri-1", uri="/"),
            compile_policy("all", "1", {"engine": "allow"}, ENGINES),
            matcho("method", request_method="get"),
            matcho("issuer", jwt={"iss": "i"}),
            matcho("uri-2", uri={"$not": "/b"}),
        ]
    )

    assert found(policies, view(**OTHER_REQUEST)) == ["all", "issuer", "uri-1", "method", "uri-2"]
    assert [policy.id for policy in policies] == ["all", "issuer", "uri-1", "method", "uri-2"]


# ---- how much is looked at


def grid(side: int) -> list[CompiledPolicy]:
    pairs = product(range(side), range(side))
    return [matcho(f"{tenant}-{place}", jwt={"iss": f"t{tenant}"}, uri=f"/{place}") for tenant, place in pairs]


def test_where_many_stand_under_one_value_they_are_filed_again() -> None:
    policies = Policies(grid(20))

    assert found(policies, view(jwt={"iss": "t3"}, uri="/4")) == ["3-4"]
    assert found(policies, view(jwt={"iss": "t3"}, uri="/none")) == []


def test_few_under_one_value_are_not_filed_again() -> None:
    policies = Policies(matcho(f"p-{number}", uri="/a", request_method=f"m{number}") for number in range(CROWD))
    crowd = Policies(grid(3))

    assert policies.filed_under("p-1") == one("request-method", "m1")
    assert len(found(crowd, view(jwt={"iss": "t1"}, uri="/1"))) <= CROWD


def test_alternatives_do_not_multiply_what_is_filed() -> None:
    values = [f"v{number}" for number in range(50)]
    pattern = {"uri": {"$enum": values}, "scheme": {"$enum": values}, "jwt": {"a": {"$enum": values}}}
    policies = Policies(matcho(f"p-{number}", **pattern) for number in range(2 * CROWD))

    assert len(found(policies, view(uri="v1", scheme="v2", jwt={"a": "v3"}))) == 2 * CROWD


class Counting(dict[str, object]):
    """Counts how often it is looked into."""

    def __init__(self, *members: Any) -> None:
        super().__init__(*members)
        self.looks = 0

    def __getitem__(self, key: str) -> object:
        self.looks += 1
        return super().__getitem__(key)


def test_a_thousand_paths_cost_no_more_than_the_claims_that_a_token_has() -> None:
    index = Index(filed(f"p-{number}", one(f"jwt.claim-{number}", "x")) for number in range(1000))
    claims = Counting({"iss": "i", "claim-7": "x", "sub": "s"})

    assert found(index, view(jwt=claims)) == ["p-7"]
    assert claims.looks == 1


def test_a_thousand_claims_cost_no_more_than_the_paths_that_policies_name() -> None:
    index = Index([filed("p", one("jwt.claim-7", "x"))])
    claims = Counting({f"claim-{number}": "x" for number in range(1000)})

    assert found(index, view(jwt=claims)) == ["p"]
    assert claims.looks == 1


# ---- that it decides as if there were none


def random_pattern(chance: random.Random) -> dict[str, Any]:
    def value(of: str) -> Any:
        plain = chance.choice([f"{of}1", f"{of}2", 1, True, 0, "present?", "nil?", f"#{of}"])
        many = {"$enum": [f"{of}1", chance.choice([f"{of}2", 1, False])]}
        return chance.choice([plain, plain, many, {"$not": plain}, {"$one-of": [plain, f"{of}3"]}])

    pattern: dict[str, Any] = {}
    for name in chance.sample(["uri", "request-method", "scheme"], chance.randint(0, 2)):
        pattern[name] = value(name[0])
    if chance.random() < 0.7 or not pattern:
        pattern["jwt"] = {claim: value(claim) for claim in chance.sample(["a", "b", "c"], chance.randint(1, 2))}
    return {"$one-of": [pattern, {"user": {"id": "u1"}}]} if chance.random() < 0.2 else pattern


def random_policy(chance: random.Random, number: int) -> dict[str, Any]:
    body: dict[str, Any] = {"engine": "matcho", "matcho": random_pattern(chance)}
    if chance.random() < 0.2:
        body = {"engine": "complex", chance.choice(["and", "or"]): [body, {"engine": "allow"}, body][: number % 3 + 1]}
    if chance.random() < 0.3:
        body["link"] = [
            {"reference": f"{kind}/{kind[0].lower()}1"} for kind in chance.sample(["User", "Client", "Operation"], 2)
        ]
    return body


def random_request(chance: random.Random) -> dict[str, Any]:
    def value(of: str) -> Any:
        return chance.choice([f"{of}1", f"{of}2", 1, 1.0, True, False, 0, None, [f"{of}1"], {"x": 1}])

    parts: dict[str, Any] = {name: value(name[0]) for name in ("uri", "request-method", "scheme")}
    parts["jwt"] = {claim: value(claim) for claim in ("a", "b", "c") if chance.random() < 0.8}
    parts |= {name: {"id": f"{name[0]}{chance.randint(1, 2)}"} for name in ("user", "client", "operation")}
    return {name: part for name, part in parts.items() if chance.random() < 0.9}


@pytest.mark.parametrize("seed", range(20))
def test_no_policy_that_allows_is_passed_over(seed: int) -> None:
    chance = random.Random(seed)
    compiled = [
        compile_policy(f"p-{number}", "1", random_policy(chance, number), ENGINES)
        for number in range(chance.choice([3, 60]))
    ]
    policies = Policies(compiled)

    for _ in range(150):
        asked = random_request(chance)
        allowing = {policy.id for policy in compiled if Policies([policy]).decide(asked, [policy.id]).allowed}  # type: ignore[arg-type]
        assert allowing <= set(found(policies, asked))
        assert policies.decide(asked).policy == next((p.id for p in policies if p.id in allowing), None)  # type: ignore[arg-type]


# ---- what is filed anew


def test_where_nothing_changed_the_policies_are_the_same() -> None:
    given = [matcho("p", jwt={"iss": "i"}), matcho("q", uri="/")]
    policies = Policies(given)

    assert policies.after(given) is policies
    assert policies.after(given[::-1]) is not policies
    assert policies.after(given[:1]) is not policies


def test_a_change_of_anything_but_what_a_policy_is_filed_by_files_nothing_anew() -> None:
    before = Index([matcho("p", uri="/a", headers={"x": "1"}), matcho("q", uri="/b")])

    after = Index([matcho("p", uri="/a", headers={"x": "2"}), matcho("q", uri="/b")], before.filing)

    assert after.filing is before.filing
    assert after.filed_under("p") == one("uri", "/a")
    assert [policy.version for policy in after.candidates(view(uri="/a"))] == ["1"]
    assert after.candidates(view(uri="/a")) == [next(iter(after))]


@pytest.mark.parametrize(
    "changed",
    [
        [matcho("p", uri="/c"), matcho("q", uri="/b")],
        [matcho("q", uri="/b"), matcho("p", uri="/a")],
        [matcho("p", uri="/a")],
        [matcho("p", uri="/a"), matcho("q", uri="/b"), matcho("r", uri="/c")],
        [matcho("p", headers={"x": "1"}), matcho("q", uri="/b")],
    ],
    ids=["another value", "another order", "one less", "one more", "none any more"],
)
def test_after_any_other_change_policies_are_found_by_what_they_say_now(changed: list[CompiledPolicy]) -> None:
    before = Policies([matcho("p", uri="/a"), matcho("q", uri="/b")])

    after = before.after(changed)

    for uri in ("/a", "/b", "/c", "/d"):
        assert found(after, view(uri=uri)) == found(Policies(changed), view(uri=uri))
        assert after.decide(view(uri=uri, headers={})) == Policies(changed).decide(view(uri=uri, headers={}))


# ---- what is built of a request


def test_the_body_is_not_parsed_for_a_policy_that_stands_under_another_uri() -> None:
    policies = Policies([matcho("p", uri="/a", body={"secret": True}), matcho("q", uri="/b", body={"secret": False})])

    def decide(path: str) -> tuple[bool, bool]:
        with Flask(__name__).test_request_context(path, method="POST", json={"secret": True}):
            asked = RequestView(request._get_current_object(), None, None)  # type: ignore[attr-defined]
            return policies.decide(asked).allowed, "body" in asked

    assert decide("/a") == (True, True)
    assert decide("/b") == (False, True)
    assert decide("/c") == (False, False)
