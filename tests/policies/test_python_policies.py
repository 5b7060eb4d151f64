"""Policies that are functions of the app."""

from __future__ import annotations

import copy
import functools
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, g, request

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError, Rejected
from flask_foreign_token.introspection.frozen import freeze
from flask_foreign_token.policies.decisions import Policies
from flask_foreign_token.policies.own_request import OwnRequest
from flask_foreign_token.policies.python import CodePolicies
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, bearer, policy, secret_token, trusting_a_secret
from ..conftest import MakeApp
from .facts import token

ALL = policy("all")
Function = Callable[[dict[str, Any]], Any]


def app_with(
    make_app: MakeApp, function: Function, *stored: Resource, names: tuple[str, ...] = ("own",), **config: object
) -> Flask:
    """An app whose view ``/own`` asks for `names`, of which ``own`` is `function`."""
    foreign_token = ForeignToken()
    foreign_token.policy("own")(function)
    app = make_app(trusting_a_secret(*stored), foreign_token, **config)
    app.add_url_rule(
        "/own/<owner>", "own", require_policy(*names)(lambda owner: {"sub": g.token and g.token.subject}),
        methods=["GET", "POST"],
    )  # fmt: skip
    return app


def status(app: Flask, issuer: Issuer, path: str = "/own/ann", **more: Any) -> int:
    return ask(app, secret_token(issuer, sub="ann"), path, **more).status_code


# ---- where it runs


def test_a_function_that_says_true_lets_a_request_into_the_view_that_names_it(
    make_app: MakeApp, issuer: Issuer
) -> None:
    app = app_with(make_app, lambda request: request["jwt"]["sub"] == request["params"]["owner"])

    assert status(app, issuer, "/own/ann") == 200
    assert status(app, issuer, "/own/bob") == 403


def test_it_has_no_say_where_it_is_not_named(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with(make_app, lambda request: True, policy("never", {"jwt": {"sub": "nobody"}}))

    assert status(app, issuer, "/own/ann") == 200
    assert status(app, issuer, "/patients") == 403


def test_an_anonymous_request_that_it_does_not_allow_is_asked_for_a_token(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with(make_app, lambda request: "jwt" in request, policy("never", {"jwt": {"sub": "nobody"}}))

    assert ask(app, path="/own/ann").status_code == 401
    assert status(app, issuer) == 200


@pytest.mark.parametrize("names", [("own", "stored"), ("stored", "own"), ("absent", "own")])
@pytest.mark.parametrize("says", [True, False])
def test_beside_other_names_one_that_allows_is_enough(
    make_app: MakeApp, issuer: Issuer, names: tuple[str, ...], says: bool
) -> None:
    app = app_with(make_app, lambda request: says, policy("stored", {"jwt": {"sub": "bob"}}), names=names)

    assert status(app, issuer) == (200 if says else 403)
    bob = ask(app, secret_token(issuer, sub="bob"), "/own/ann").status_code
    assert bob == (200 if says or "stored" in names else 403)


def test_a_stored_policy_of_the_same_id_has_no_part_in_what_the_view_decides(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with(make_app, lambda request: False, policy("own"))

    assert status(app, issuer) == 403
    assert status(app, issuer, "/patients") == 200


def test_a_stored_policy_of_the_same_id_is_named_by_check(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    foreign_token.policy("own")(lambda request: True)
    app = make_app([policy("own"), policy("other")], foreign_token)

    with app.app_context(), pytest.raises(Rejected) as refused:
        foreign_token.check()

    assert "AccessPolicy/own id: is also a policy in Python" in str(refused.value)
    assert "AccessPolicy/other" not in str(refused.value)


def test_check_is_content_with_a_view_that_asks_for_a_policy_in_python(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    app = make_app([ALL], foreign_token)
    app.add_url_rule("/own", "own", require_policy("own")(lambda: "in"))
    with app.app_context(), pytest.raises(Rejected, match="view 'own': asks for AccessPolicy/own"):
        foreign_token.check()

    foreign_token.policy("own")(lambda request: True)

    with app.app_context():
        foreign_token.check()


def test_it_may_be_added_before_init_app_and_after_it_and_holds_in_every_app(bare_app: MakeApp) -> None:
    foreign_token, apps = ForeignToken(), [bare_app(), bare_app()]
    foreign_token.policy("early")(lambda request: True)
    for app in apps:
        foreign_token.init_app(app)
        app.add_url_rule("/early", "early", require_policy("early")(lambda: "in"))
        app.add_url_rule("/late", "late", require_policy("late")(lambda: "in"))
    foreign_token.policy("late")(lambda request: True)

    assert [ask(app, path=path).status_code for app in apps for path in ("/early", "/late")] == [200] * 4


def test_the_policies_of_one_extension_are_none_of_another(bare_app: MakeApp) -> None:
    other, app = ForeignToken(), bare_app()
    other.policy("own")(lambda request: True)
    ForeignToken(app)
    app.add_url_rule("/own", "own", require_policy("own")(lambda: "in"))

    assert ask(app, path="/own").status_code == 401


def test_the_function_stays_what_it_is() -> None:
    def own(request: dict[str, Any]) -> bool:
        return True

    assert ForeignToken().policy("own")(own) is own


# ---- what it says


@pytest.mark.parametrize(
    "said", [False, None, 1, "yes", [True], len], ids=["false", "none", "1", "yes", "list", "function"]
)
def test_whatever_is_not_true_denies(make_app: MakeApp, issuer: Issuer, said: object) -> None:
    app = app_with(make_app, lambda request: said)

    assert status(app, issuer) == 403


def test_one_that_raises_denies_lets_others_be_asked_and_is_logged_once_with_its_id(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(make_app, lambda request: request["secret of ann"], policy("b", {"jwt": {"sub": "bob"}}),
                   names=("own", "b"))  # fmt: skip

    statuses = [status(app, issuer) for _ in range(3)]
    bob = ask(app, secret_token(issuer, sub="bob"), "/own/ann").status_code

    assert (statuses, bob) == ([403, 403, 403], 200)
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in logged] == [
        "AccessPolicy/own does not allow what it cannot evaluate: KeyError"
    ]


def test_the_decision_names_it() -> None:
    code = CodePolicies()
    code.add("own", lambda request: True)

    decision = code.decide(Policies([]), view(), ("absent", "own"))

    assert (decision.allowed, decision.policy) == (True, "own")


def test_a_guard_that_names_none_asks_the_stored_policies_alone(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    foreign_token.policy("own")(lambda request: True)
    app = make_app(trusting_a_secret(policy("nobody", {"jwt": {"sub": "nobody"}})), foreign_token)
    app.add_url_rule("/bare", "bare", require_policy(lambda: "in"))
    app.add_url_rule("/own", "own", require_policy("own")(lambda: "in"))
    token = secret_token(issuer, sub="ann")

    assert [ask(app, token, path=path).status_code for path in ("/bare", "/own")] == [403, 200]


# ---- what is refused at decoration


@pytest.mark.parametrize("name", ["", "  ", None, 7, ["own"], lambda request: True])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"as in policy\(\"own\"\)"):
        ForeignToken().policy(name)


def test_a_name_that_is_taken_is_refused_and_another_is_not() -> None:
    foreign_token = ForeignToken()
    foreign_token.policy("own")(lambda request: True)

    with pytest.raises(ConfigError, match="there is a policy 'own' already"):
        foreign_token.policy("own")
    foreign_token.policy("other")(lambda request: True)


async def late(request: dict[str, Any]) -> bool:
    return True


async def dripping(request: dict[str, Any]) -> Any:
    yield True


def yielding(request: dict[str, Any]) -> Iterator[bool]:
    yield True


class Late:
    async def __call__(self, request: dict[str, Any]) -> bool:
        return True


class Prompt:
    def __call__(self, request: dict[str, Any]) -> bool:
        return True


@pytest.mark.parametrize("function", [late, dripping, yielding, functools.partial(late), Late(), Prompt, None, "own"])
def test_what_is_no_plain_function_is_refused_and_its_name_stays_free(function: Any) -> None:
    foreign_token = ForeignToken()

    with pytest.raises(ConfigError, match="'own' must"):
        foreign_token.policy("own")(function)
    foreign_token.policy("own")(lambda request: True)


@pytest.mark.parametrize("function", [Prompt(), functools.partial(lambda answer, request: answer, True)])
def test_whatever_else_can_be_called_is_taken(make_app: MakeApp, issuer: Issuer, function: Any) -> None:
    assert status(app_with(make_app, function), issuer) == 200


# ---- the request that it gets

CLAIMS = {"sub": "ann", "azp": "web", "realm_access": {"roles": ["doctor"]}}
USER = {"resourceType": "User", "id": "u-1", "roles": ["doctor"], "name": {"given": ["Ann"]}}


def view(**environment: Any) -> RequestView:
    """What policies see of a POST of Ann's with a body."""
    app = Flask("clinic")
    app.add_url_rule("/own/<owner>", "own", lambda owner: "", methods=["POST"])
    options = {"path": "/own/ann?page=2", "method": "POST", "json": {"tags": ["a"]}, **environment}
    with app.test_request_context(**options):
        made = request._get_current_object()  # type: ignore[attr-defined]
    return RequestView(made, replace(token(), claims=freeze(CLAIMS)), USER)


READS: list[Callable[[dict[str, Any]], object]] = [
    dict,
    list,
    sorted,
    len,
    bool,
    repr,
    json.dumps,
    copy.copy,
    copy.deepcopy,
    lambda request: {**request},
    lambda request: list(reversed(request)),
    lambda request: list(request.items()),
    lambda request: list(request.keys()),
    lambda request: list(request.values()),
    lambda request: request.copy(),
    lambda request: request["body"]["tags"],
    lambda request: request.get("jwt"),
    lambda request: request.get("token"),
    lambda request: request.get("token", 7),
    lambda request: request.get("user", {}).get("roles", []),
    lambda request: ("user" in request, "token" in request, "jwt" not in request, "nonsense" in request),
    lambda request: request == dict(request),
    lambda request: (request != dict(request), request == {}, copy.copy(request) == request),
    lambda request: request | {"uri": 1},
    lambda request: {"uri": 1, "a": 1} | request,
    lambda request: request.pop("body"),
    lambda request: request.pop("token", 7),
    lambda request: request.setdefault("body", 7),
    lambda request: request.setdefault("token", 7),
    lambda request: len([request.popitem() for _ in range(3)]),
    lambda request: "{uri}".format_map(request),
    lambda request: (lambda **parts: parts)(**{name: part for name, part in request.items() if name.isidentifier()}),
    lambda request: isinstance(request, dict),
    lambda request: [(name, request[name]) for name in request],
]


def matched(request: dict[str, Any]) -> object:
    match request:
        case {"jwt": {"sub": subject}, **others}:
            return subject, others
    return None


def changed(request: dict[str, Any]) -> object:
    request["uri"], request["more"] = "/else", 1
    del request["scheme"]
    request.update(body=[], params=None)
    request |= {"jwt": {}}
    return dict(request)


@pytest.mark.parametrize("read", [*READS, matched, changed])
def test_it_answers_as_the_plain_dictionary_would(read: Callable[[dict[str, Any]], object]) -> None:
    whole = json.loads(json.dumps(view().complete()))

    assert read(OwnRequest(view())) == read(copy.deepcopy(whole))


@pytest.mark.parametrize("missing", ["token", "nonsense"])
def test_what_is_missing_raises_what_a_dictionary_raises(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        OwnRequest(view())[missing]
    with pytest.raises(KeyError, match=missing):
        OwnRequest(view()).pop(missing)


def test_only_what_is_looked_at_is_built() -> None:
    seen = view()

    own = OwnRequest(seen)
    assert "body" in own
    assert len(own) == len(view().complete())
    assert own["uri"] == "/own/ann"

    assert set(seen) == {"uri"}


def test_everything_in_it_is_plain_at_every_depth() -> None:
    def kinds(value: object) -> set[type]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return {type(value)}.union(*map(kinds, inner))

    assert set().union(*map(kinds, OwnRequest(view()).values())) <= {dict, list, str, int}


def spoil(value: Any) -> None:
    """Empty every dictionary and list."""
    for inner in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        spoil(inner)
    if isinstance(value, dict | list):
        value.clear()


def test_what_is_done_to_it_changes_nothing_for_anybody_else() -> None:
    seen, before = view(), view().complete()

    own = OwnRequest(seen)
    spoil(own)

    assert len(own) == 0
    assert seen.complete() == before
    assert OwnRequest(seen) == json.loads(json.dumps(before))
    assert USER["roles"] == ["doctor"]


def test_neither_the_view_nor_another_policy_sees_what_a_function_did(make_app: MakeApp, issuer: Issuer) -> None:
    def own(request: dict[str, Any]) -> bool:
        spoil(request)
        return False

    app = app_with(make_app, own, policy("ann", {"jwt": {"sub": "ann"}, "body": {"tags": ["a"]}}), names=("own", "ann"))

    def echo(owner: str) -> dict[str, Any]:
        return {"sub": g.token.claims["sub"], "body": request.json}

    app.view_functions["own"] = require_policy("own", "ann")(echo)
    answers = [
        app.test_client().post("/own/ann", json={"tags": ["a"]}, headers=bearer(secret_token(issuer, sub="ann")))
        for _ in range(2)
    ]

    assert [answer.json for answer in answers] == [{"sub": "ann", "body": {"tags": ["a"]}}] * 2


BROKEN = {"data": b"{not json", "content_type": "application/json", "method": "POST"}


def test_a_body_that_nobody_looks_at_is_not_parsed(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with(make_app, lambda request: "body" in request and request["jwt"]["sub"] == "ann")

    assert status(app, issuer, **BROKEN) == 200


@pytest.mark.parametrize(
    "look",
    [
        lambda request: request["body"] != 1,
        lambda request: request.get("body") != 1,
        lambda request: bool(dict(request)),
        lambda request: request.get("resource") is None,
    ],
)
def test_a_body_that_cannot_be_read_denies_whoever_looks(make_app: MakeApp, issuer: Issuer, look: Function) -> None:
    app = app_with(make_app, look)

    assert status(app, issuer, **BROKEN) == 403
    assert status(app, issuer, method="POST", json={"a": 1}) == (200 if look({"body": {}, "resource": {}}) else 403)


def test_a_request_without_a_body_has_none(make_app: MakeApp, issuer: Issuer) -> None:
    app = app_with(make_app, lambda request: "body" not in request and request.get("resource") is None)

    assert status(app, issuer) == 200
