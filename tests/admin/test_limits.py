"""What is too deep, too long or too much, and what is just not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from flask import Flask

from flask_foreign_token.admin.refusals import MAX_ISSUES
from flask_foreign_token.policies.limits import MAX_SIZE
from flask_foreign_token.registry.fields import MAX_ITEMS, MAX_UNKNOWN
from flask_foreign_token.users.to_scim import MAX_RULES, MAX_STEPS

from ..apps import SECRET, introspector, policy, provider
from .asking import operate


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def issues(app: Flask, path: str, body: object) -> list[tuple[str, str]]:
    answer = operate(app, "PUT", path, body)
    assert answer.status_code == 422
    return [(issue["path"], issue["message"]) for issue in answer.json["issues"]]


# ---- depth


DEEPEST = 62


@pytest.mark.parametrize("form", ["application/json", "text/yaml"])
def test_what_nests_as_deep_as_is_stored_can_be_read_and_found(app: Flask, form: str) -> None:
    headers = {"Accept": form}
    written = operate(app, "PUT", "/AccessPolicy/p", policy("p", nested(DEEPEST)), headers=headers)

    one = operate(app, "GET", "/AccessPolicy/p", headers=headers)
    found = operate(app, "GET", "/AccessPolicy", headers=headers)

    assert [answer.status_code for answer in (written, one, found)] == [201, 200, 200]
    assert yaml.safe_load(one.data)["matcho"] == nested(DEEPEST)
    assert yaml.safe_load(found.data)["entry"][0]["resource"] == yaml.safe_load(one.data)


def test_what_nests_deeper_is_refused(app: Flask) -> None:
    assert issues(app, "/AccessPolicy/p", policy("p", nested(DEEPEST + 1))) == [("", "is JSON nested too deeply")]


# ---- ids


@pytest.mark.parametrize("type_", ["AccessPolicy", "User"])
@pytest.mark.parametrize("id_", [".", ".."])
def test_no_id_is_a_way_in_an_address(app: Flask, type_: str, id_: str) -> None:
    answer = operate(app, "POST", f"/{type_}", {"id": id_, **({"engine": "allow"} if type_ != "User" else {})})

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == ["id"]
    assert "neither . nor .." in answer.json["error_description"]


@pytest.mark.parametrize("type_", ["AccessPolicy", "User"])
@pytest.mark.parametrize("id_", ["...", ".a", "a.", "..a"])
def test_an_id_may_have_dots_in_it(app: Flask, type_: str, id_: str) -> None:
    answer = operate(app, "POST", f"/{type_}", {"id": id_, **({"engine": "allow"} if type_ != "User" else {})})

    assert answer.status_code == 201
    assert operate(app, "GET", f"/{type_}/{id_}").status_code == 200


# ---- numbers


def test_so_many_rules_of_to_scim_are_taken_and_no_more(app: Flask) -> None:
    rules = {f"a{number}": [f"a{number}"] for number in range(MAX_RULES)}

    assert operate(app, "PUT", "/IdentityProvider/k", provider("k", toScim=rules)).status_code == 201
    assert issues(app, "/IdentityProvider/k", provider("k", toScim={**rules, "one": ["more"]})) == [
        ("toScim", f"must not have more than {MAX_RULES} rules")
    ]


def test_a_path_of_to_scim_has_so_many_names_and_no_more(app: Flask) -> None:
    path = [f"a{number}" for number in range(MAX_STEPS)]

    assert operate(app, "PUT", "/IdentityProvider/k", provider("k", toScim={"x": path})).status_code == 201
    assert issues(app, "/IdentityProvider/k", provider("k", toScim={"x": [*path, "more"]})) == [
        ("toScim.x", f"must not be longer than {MAX_STEPS} names")
    ]


def test_a_list_has_so_many_items_and_no_more(app: Flask) -> None:
    links = [{"reference": f"User/{number}"} for number in range(MAX_ITEMS)]

    assert operate(app, "PUT", "/AccessPolicy/p", policy("p", link=links)).status_code == 201
    for more in (links[0], {}, 1):
        assert issues(app, "/AccessPolicy/p", policy("p", link=[*links, more])) == [
            ("link", f"must not hold more than {MAX_ITEMS}")
        ]


def test_a_key_set_has_so_many_keys_and_no_more(app: Flask) -> None:
    key = {"kty": "OCT", "alg": "HS256", "format": "plain"}
    keys = [{**key, "k": f"{SECRET}{number}"} for number in range(101)]
    fitting, larger = (introspector("i", None, jwt={"iss": "i", "keys": some}) for some in (keys[1:], keys))

    assert operate(app, "PUT", "/TokenIntrospector/i", fitting).status_code == 201
    assert issues(app, "/TokenIntrospector/i", larger) == [("jwt.keys", "must not hold more than 100")]


def test_unknown_attributes_are_counted_where_there_are_many(app: Flask) -> None:
    unknown = {f"engin{number:02}": 1 for number in range(MAX_UNKNOWN + 5)}

    found = issues(app, "/AccessPolicy/p", {**policy("p"), **unknown})

    assert found[0] == ("", "has 5 more attributes that do not exist")
    assert [path for path, _ in found[1:]] == sorted(unknown)[:MAX_UNKNOWN]
    assert all("did you mean engine?" in message for _, message in found[1:])


def test_an_answer_names_so_many_faults_and_counts_the_others(app: Flask) -> None:
    links = [{"reference": "nonsense"} for _ in range(MAX_ISSUES + 7)]

    answer = operate(app, "PUT", "/AccessPolicy/p", policy("p", link=links))

    assert len(answer.json["issues"]) == MAX_ISSUES
    assert answer.json["error_description"].endswith("; and 7 more")


def test_the_expressions_of_a_pattern_that_is_too_large_are_not_compiled(app: Flask) -> None:
    wrong = {f"k{number}": "#(" for number in range(MAX_SIZE // 8)}

    assert issues(app, "/AccessPolicy/p", policy("p", {"params": wrong})) == [
        ("matcho", f"a pattern has at most {MAX_SIZE} bytes; make it several policies")
    ]
