"""Policies in Python: only where they are named, only with true, and never with a hold on the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, trusting
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS
from .judging import add_routes, decisions_of, let_in, logged, post_counted, said_of, status

Function = Callable[[dict[str, Any]], Any]


@pytest.fixture
def guarded(make_app: MakeApp, issuer: Issuer):
    """Makes apps with `functions` as policies, and a view ``/NAME`` behind each, ``/all`` behind any of them."""

    def make(*policies: dict[str, Any], **functions: Function) -> Flask:
        extension = ForeignToken()
        for name, function in functions.items():
            extension.policy(name)(function)
        app = make_app(trusting(issuer, *policies), extension)
        add_routes(app)

        def view(**arguments: str) -> dict[str, object]:
            return {"claims": g.token and {**g.token.claims}.get("sub"), **arguments}

        for name in functions:
            app.add_url_rule(f"/{name}", f"view_{name}", require_policy(name)(view), methods=["GET", "POST"])
        app.add_url_rule("/all", "view_all", require_policy(*functions)(view))
        app.add_url_rule("/of/<owner>", "view_owned", require_policy(*functions)(view))
        return app

    return make


def test_true_allows_and_false_denies(guarded, issuer: Issuer):
    app = guarded(yes=lambda request: True, no=lambda request: False)

    assert let_in(app, issuer.token(), "/yes")
    assert let_in(app, None, "/yes")
    assert not let_in(app, issuer.token(), "/no")
    assert not let_in(app, None, "/no")


@pytest.mark.parametrize("answer", [1, "yes", [0], {"a": 1}, 1.0, object(), None, 0, "", (True,), NotImplemented])
def test_whatever_is_not_true_denies(guarded, issuer: Issuer, answer):
    assert not let_in(guarded(odd=lambda request: answer), issuer.token(), "/odd")


class Liar:
    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(True)


def test_what_says_that_it_equals_true_denies(guarded, issuer: Issuer):
    assert not let_in(guarded(odd=lambda request: Liar()), issuer.token(), "/odd")


def test_it_sees_what_policies_see(guarded, issuer: Issuer):
    seen: list[dict[str, Any]] = []

    def look(request: dict[str, Any]) -> bool:
        seen.append({**request})
        return True

    ask(guarded(look=look), issuer.token(sub="ada"), "/look?a=1", headers={"X-Tenant": "north", "Cookie": "a=b"})

    [request] = seen
    assert (request["request-method"], request["uri"], request["query-string"]) == ("get", "/look", "a=1")
    assert request["params"] == {"a": "1"}
    assert request["headers"]["x-tenant"] == "north"
    assert {"authorization", "cookie"}.isdisjoint(request["headers"])
    assert request["jwt"]["sub"] == "ada"
    assert request["user"]["resourceType"] == "User"
    assert (request["client"], request["operation"]) == ({"id": "my-client"}, {"id": "view_look"})


def test_the_arguments_of_the_route_are_params_and_win(guarded, issuer: Issuer):
    app = guarded(owns=lambda request: request["params"]["owner"] == request["jwt"]["sub"])

    assert let_in(app, issuer.token(sub="ada"), "/of/ada")
    assert not let_in(app, issuer.token(sub="ada"), "/of/bob?owner=ada")


def test_a_part_that_does_not_exist_is_a_key_error_and_denies(guarded, issuer: Issuer):
    app = guarded(owns=lambda request: request["jwt"]["sub"] == "ada")

    assert let_in(app, issuer.token(sub="ada"), "/owns")
    assert status(app, None, "/owns") == 401


def test_it_runs_only_where_it_is_named(guarded, issuer: Issuer):
    calls: list[str] = []

    def yes(request: dict[str, Any]) -> bool:
        calls.append(request["uri"])
        return True

    app = guarded(policy("nobody", {"jwt": {"sub": "none"}}), yes=yes)

    assert not let_in(app, issuer.token())
    assert not let_in(app, issuer.token(), "/records/1")
    assert calls == []
    assert let_in(app, issuer.token(), "/yes")


def test_a_stored_policy_does_not_open_what_names_one_in_python(guarded, issuer: Issuer):
    app = guarded(no=lambda request: False)

    assert let_in(app, issuer.token())
    assert not let_in(app, issuer.token(), "/no")


def test_a_stored_policy_of_the_same_id_has_no_part_in_it_and_check_says_so(guarded, issuer: Issuer):
    app = guarded(policy("same", {"jwt": {"sub": "ada"}}), same=lambda request: False)

    assert not let_in(app, issuer.token(sub="ada"), "/same")
    with app.app_context(), pytest.raises(Exception, match="same") as raised:
        ForeignToken().check(app)
    assert type(raised.value).__name__ == "Rejected"


def test_check_is_content_with_names_in_python(guarded):
    app = guarded(yes=lambda request: True)
    with app.app_context():
        ForeignToken().check(app)


def test_one_of_several_is_enough(guarded, issuer: Issuer):
    assert let_in(guarded(no=lambda request: False, yes=lambda request: True), issuer.token(), "/all")
    assert not let_in(guarded(no=lambda request: False, neither=lambda request: None), issuer.token(), "/all")


def raises(request: dict[str, Any]) -> bool:
    raise ValueError("about the person " + request["jwt"]["sub"])


def test_what_raises_denies_and_is_logged_once_by_name(guarded, issuer: Issuer, caplog):
    app = guarded(ill=raises)

    assert [let_in(app, issuer.token(), "/ill") for _ in range(3)] == [False] * 3
    assert len(said_of(caplog, "ill")) == 1


def test_what_raises_says_nothing_of_the_caller_in_the_log(guarded, issuer: Issuer, caplog):
    assert not let_in(guarded(ill=raises), issuer.token(sub="somebody-with-a-name"), "/ill")

    assert "somebody-with-a-name" not in logged(caplog)


def test_what_raises_hides_no_other(guarded, issuer: Issuer):
    assert let_in(guarded(ill=raises, yes=lambda request: True), issuer.token(), "/all")


def stop(request: dict[str, Any]) -> bool:
    raise RecursionError


def recurse(request: dict[str, Any]) -> bool:
    return recurse(request)


@pytest.mark.parametrize("function", [stop, recurse, lambda request: request["no such part"], lambda: True])
def test_however_it_fails_it_denies(guarded, issuer: Issuer, function):
    assert not let_in(guarded(failing=function), issuer.token(), "/failing")


def mutate(request: dict[str, Any]) -> bool:
    for name in ("jwt", "user", "params", "headers", "operation", "client", "body"):
        if isinstance(request.get(name), dict):
            request[name].clear()
            request[name]["sub"] = "mallory"
    request["uri"] = "/elsewhere"
    request["jwt"] = {"sub": "mallory", "realm_access": {"roles": ["admin"]}}
    request.clear()
    return False


def nested(request: dict[str, Any]) -> bool:
    request["jwt"]["realm_access"]["roles"].append("admin")
    request["user"]["data"]["sub"] = "mallory"
    request["user"]["identifier"].append({"system": "keycloak", "value": "mallory"})
    return False


@pytest.mark.parametrize("spoil", [mutate, nested])
def test_what_it_does_to_the_request_changes_neither_other_policies_nor_later_requests(guarded, issuer, spoil):
    seen: list[object] = []

    def look(request: dict[str, Any]) -> bool:
        user = request["user"]
        seen.append((request["uri"], request["jwt"], user["data"], user["identifier"], request["params"]))
        return request["jwt"]["sub"] == "ada" and "admin" not in request["jwt"]["realm_access"]["roles"]

    app = guarded(policy("ada", {"jwt": {"sub": "ada"}, "user": {"data": {"sub": "ada"}}}), spoil=spoil, look=look)
    token = issuer.token(sub="ada")

    for _ in range(3):
        assert ask(app, token, "/all?a=1").json == {"claims": "ada"}
        assert let_in(app, token)
    assert seen[0] == seen[1] == seen[2]


def test_it_may_write_into_its_request(guarded, issuer: Issuer):
    def write(request: dict[str, Any]) -> bool:
        request["jwt"]["x"] = 1
        request["mine"] = []
        return request["jwt"]["x"] == 1 and request["mine"] == []

    assert let_in(guarded(write=write), issuer.token(), "/write")


def test_its_name_stands_in_the_decision(guarded, issuer: Issuer):
    app = guarded(yes=lambda request: True)

    with decisions_of(app) as decisions:
        ask(app, issuer.token(), "/yes")

    assert [(decision.allowed, decision.policy) for decision in decisions] == [(True, "yes")]


async def asynchronous(request: dict[str, Any]) -> bool:
    return True


async def generating(request: dict[str, Any]):
    yield True


def generator(request: dict[str, Any]):
    yield True


@pytest.mark.parametrize("function", [asynchronous, generating, generator, dict, "yes", None, True])
def test_what_is_no_plain_function_is_refused(function):
    with pytest.raises(ConfigError):
        ForeignToken().policy("odd")(function)


@pytest.mark.parametrize("name", ["", " ", "\t", None, 1, b"x"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigError):
        ForeignToken().policy(name)(lambda request: True)


def test_a_name_is_taken_once():
    extension = ForeignToken()
    extension.policy("mine")(lambda request: True)

    with pytest.raises(ConfigError, match="mine"):
        extension.policy("mine")(lambda request: True)


def test_the_decorator_gives_the_function_back():
    def yes(request: dict[str, Any]) -> bool:
        return True

    assert ForeignToken().policy("yes")(yes) is yes


def test_one_that_comes_after_init_app_is_found(make_app: MakeApp, issuer: Issuer):
    extension = ForeignToken()
    app = make_app(trusting(issuer), extension)
    app.add_url_rule("/late", "late", require_policy("late")(lambda: "in"))
    extension.policy("late")(lambda request: request["jwt"]["sub"] == "ada")

    assert let_in(app, issuer.token(sub="ada"), "/late")
    assert not let_in(app, issuer.token(sub="bob"), "/late")


def test_those_of_another_instance_are_not_found(make_app: MakeApp, issuer: Issuer):
    ForeignToken().policy("elsewhere")(lambda request: True)
    app = make_app(trusting(issuer), ForeignToken())
    app.add_url_rule("/elsewhere", "elsewhere", require_policy("elsewhere")(lambda: "in"))

    assert not let_in(app, issuer.token(), "/elsewhere")


def test_an_unreadable_body_denies(guarded, issuer: Issuer):
    app = guarded(bodyless=lambda request: "body" not in request or request.get("body") is None)

    assert let_in(app, issuer.token(), "/bodyless")
    answer = ask(app, issuer.token(), "/bodyless", "POST", data="{", content_type="application/json")
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize(
    ("function", "looks"),
    [
        (lambda request: request["jwt"]["sub"] == "ada", False),
        (lambda request: request["uri"] == "/counted", False),
        (lambda request: request["body"]["a"] == 1, True),
        (lambda request: request.get("body") == {"a": 1}, True),
        (lambda request: request["resource"]["a"] == 1, True),
    ],
)
def test_the_body_is_read_only_if_it_is_looked_at(guarded, issuer: Issuer, function, looks):
    code, reads = post_counted(guarded(counted=function), issuer.token(sub="ada"), {"a": 1}, "/counted")

    assert (code, reads > 0) == (200, looks)


def test_names_in_python_and_stored_ones_may_stand_beside_each_other(make_app: MakeApp, issuer: Issuer):
    extension = ForeignToken()
    extension.policy("ours")(lambda request: request["jwt"]["sub"] == "ada")
    app = make_app(trusting(issuer, policy("stored", {"jwt": {"sub": "bob"}})), extension)
    app.add_url_rule("/both", "both", require_policy("ours", "stored")(lambda: "in"))

    assert [let_in(app, issuer.token(sub=sub), "/both") for sub in ("ada", "bob", "eve")] == [True, True, False]


def test_the_links_of_an_operator_are_not_opened_by_one_in_python(make_app: MakeApp, issuer: Issuer):
    extension = ForeignToken()
    for name in ("foreign_token.search_access_policy", "search_access_policy"):
        extension.policy(name)(lambda request: True)
    app = make_app(trusting(issuer), extension, **OPERATOR_SETTINGS)

    assert status(app, issuer.token(), "/fhir/AccessPolicy") == 403
