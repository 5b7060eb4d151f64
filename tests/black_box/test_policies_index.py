"""However policies are filed, each request finds all that allow it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import Resource, policy, trusting
from ..conftest import MakeApp
from .callers import run, write
from .judging import add_routes, let_in
from .naive import allows

SCALARS: list[Any] = [1, 1.0, True, "1", "true", "", 0, False, "ada", "Ada", "a\u0301", "\u00e1", 2**53, -1, 1.5]
VALUES: list[Any] = [*SCALARS, None, [1], [True], ["ada"], {"a": 1}, {"a": True}, [], {}]


def random_pattern(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(12 if depth < 2 else 7)
    if kind < 3:
        return dice.choice(SCALARS[:5] + SCALARS[6:])
    if kind == 3:
        return {"$enum": dice.sample(SCALARS, 3)}
    if kind == 4:
        return dice.choice(["present?", "nil?", "not-blank?"])
    if kind == 5:
        return dice.choice(["#^a", "#da$", "#1", "#^ada$"])
    if kind == 6:
        return dice.choice([".jwt.sub", ".params.q", ".jwt.x"])
    if kind in {7, 8}:
        return {"$one-of": [random_pattern(dice, depth + 1) for _ in range(dice.randint(1, 3))]}
    if kind == 9:
        return {"$not": random_pattern(dice, depth + 1)}
    if kind == 10:
        return {dice.choice(["$contains", "$every"]): random_pattern(dice, depth + 1)}
    return {"a": random_pattern(dice, depth + 1)}


def random_matcho(dice: random.Random) -> Any:
    pattern: dict[str, Any] = {}
    if dice.random() < 0.5:
        pattern["uri"] = dice.choice(
            ["/records/1", "/records/2", "/patients", "#^/records", {"$enum": ["/me", "/records/1"]}]
        )
    if dice.random() < 0.4:
        pattern["request-method"] = dice.choice(["get", "post", {"$one-of": ["get", "put"]}, {"$not": "get"}, "GET"])
    if dice.random() < 0.7:
        names = dice.sample(["sub", "x", "y"], dice.randint(1, 2))
        pattern["jwt"] = {name: random_pattern(dice) for name in names}
    if dice.random() < 0.3:
        pattern["params"] = {"q": random_pattern(dice)}
    if dice.random() < 0.2:
        pattern["client"] = dice.choice([{"id": "portal"}, "nil?", "present?"])
    pattern = pattern or {"uri": "/me"}
    if dice.random() < 0.2:
        return {"$one-of": [pattern, {"jwt": {"x": random_pattern(dice)}}]}
    return pattern


def random_condition(dice: random.Random, depth: int = 0) -> Resource:
    kind = dice.random()
    if kind < 0.7 or depth > 1:
        return {"engine": "matcho", "matcho": random_matcho(dice)}
    if kind < 0.8:
        schema = {"required": ["jwt"], "properties": {"jwt": {"required": ["x"], "properties": {"x": {"const": 1}}}}}
        return {"engine": "json-schema", "schema": schema}
    if kind < 0.84 and depth == 0:
        return {"engine": "allow"}
    conditions = [random_condition(dice, depth + 1) for _ in range(dice.randint(1, 3))]
    return {"engine": "complex", dice.choice(["and", "or"]): conditions}


LINKS = ["Operation/record", "Operation/patients", "Client/portal", "Client/my-client", "User/u-1", "User/none"]


def random_policy(dice: random.Random, number: int) -> Resource:
    body: Resource = {"resourceType": "AccessPolicy", "id": f"p{number}", **random_condition(dice)}
    if dice.random() < 0.4:
        body["link"] = [{"reference": reference} for reference in dice.sample(LINKS, dice.randint(1, 2))]
    if dice.random() < 0.15:
        body["roleName"] = dice.choice(["nurse", "porter"])
    if body["engine"] == "allow" and "link" not in body:
        body["link"] = [{"reference": "Operation/me"}]
    return body


def random_request(dice: random.Random) -> Resource:
    request: Resource = {
        "request-method": dice.choice(["get", "post", "put", "delete"]),
        "uri": dice.choice(["/records/1", "/records/2", "/patients", "/me"]),
        "params": {},
    }
    request["operation"] = {"id": "record" if "records" in request["uri"] else request["uri"][1:]}
    if dice.random() < 0.5:
        request["params"]["q"] = dice.choice(VALUES)
    if dice.random() < 0.85:
        request["jwt"] = {"sub": dice.choice(["ada", "Ada", "1", "a\u0301"])}
        for name in ("x", "y"):
            if dice.random() < 0.6:
                request["jwt"][name] = dice.choice(VALUES)
        if dice.random() < 0.7:
            request["client"] = {"id": dice.choice(["portal", "my-client"])}
        if dice.random() < 0.6:
            request["user"] = {"id": dice.choice(["u-1", "u-2"]), "roles": dice.choice([["nurse"], "porter", [], None])}
    return request


@pytest.mark.parametrize("seed", range(10))
def test_policies_stored_together_allow_what_one_of_them_allows_alone(
    make_app: MakeApp, tmp_path: Path, issuer: Issuer, seed: int
):
    """By tables of simulated requests, which can hold whatever JSON can."""
    dice = random.Random(seed)
    policies = [random_policy(dice, number) for number in range(14)]
    requests = [random_request(dice) for _ in range(60)]
    tests = [{"name": str(number), "request": request, "allowed": False} for number, request in enumerate(requests)]
    together = write(tmp_path, "together.json", {"policies": policies, "tests": tests})
    alone = [write(tmp_path, f"{one['id']}.json", {"policies": [one], "tests": tests}) for one in policies]

    result = run(make_app(trusting(issuer)), "policy", "test", "--json", together, *alone, status=None)

    told: dict[str, list[bool]] = {}
    for one in json.loads(result.stdout)["tests"]:
        told.setdefault(one["file"], []).append(one["allowed"])
    for one, name in zip(policies, alone, strict=True):
        for request, answer in zip(requests, told[name], strict=True):
            assert answer is allows(one, request), (one, request)
    assert told[together] == [any(allows(one, request) for one in policies) for request in requests]


@pytest.mark.parametrize("seed", range(2))
def test_real_requests_are_allowed_by_all_policies_where_one_alone_allows_them(
    make_app: MakeApp, issuer: Issuer, seed: int
):
    dice = random.Random(100 + seed)
    policies = [random_policy(dice, number) for number in range(8)]
    apps = [make_app(trusting(issuer, *chosen)) for chosen in (policies, *([one] for one in policies))]
    for app in apps:
        add_routes(app)
    for _ in range(30):
        request = random_request(dice)
        claims = request.get("jwt")
        client = request.get("client", {}).get("id")
        token = None if claims is None else issuer.token(**{"azp": client, **claims})
        query = {name: value for name, value in request["params"].items() if isinstance(value, str)}
        if "records" not in request["uri"]:
            request["request-method"] = "get"
        asked = [
            let_in(app, token, request["uri"], request["request-method"].upper(), query_string=query) for app in apps
        ]

        assert asked[0] is any(asked[1:]), request


@pytest.mark.parametrize("value", [[1], {"a": 1}, [], {}, [[]], None])
def test_a_value_that_cannot_be_looked_up_denies_and_hides_no_other(make_app: MakeApp, issuer: Issuer, value):
    policies = [policy(f"p{n}", {"jwt": {"tenant": f"t{n}", "sub": f"s{n}"}}) for n in range(20)]
    app = make_app(trusting(issuer, *policies, policy("ada", {"jwt": {"sub": "ada"}})))

    assert let_in(app, issuer.token(sub="ada", tenant=value))
    assert not let_in(app, issuer.token(sub="s1", tenant=value))
    assert let_in(app, issuer.token(sub="s1", tenant="t1"))


def test_numbers_and_booleans_are_not_mixed_up_in_the_index(make_app: MakeApp, issuer: Issuer):
    policies = [
        policy("one", {"jwt": {"x": 1}}),
        policy("true", {"jwt": {"y": True}}),
        policy("text", {"jwt": {"z": "1"}}),
    ]
    app = make_app(trusting(issuer, *policies))

    for name, good in (("x", [1, 1.0]), ("y", [True]), ("z", ["1"])):
        for value in (1, 1.0, True, "1", "true", 0, False, 2):
            expected = any(
                type(value) in {type(one), *([int, float] if type(one) in {int, float} else [])} and value == one
                for one in good
            )
            assert let_in(app, issuer.token(**{name: value})) is expected, (name, value)


def test_many_policies_are_all_found(make_app: MakeApp, issuer: Issuer):
    policies = [policy(f"p{n}", {"jwt": {"tenant": f"t{n}"}, "uri": "/patients"}) for n in range(1500)]
    app = make_app(trusting(issuer, *policies))
    tokens = [issuer.token(tenant=f"t{n}") for n in (0, 7, 1499)]

    assert [let_in(app, token) for token in tokens] == [True] * 3
    assert not let_in(app, tokens[0], "/me")
    assert not let_in(app, issuer.token(tenant="t1500"))
