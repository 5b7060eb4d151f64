"""Requests with a token and a user that are known here: how little is done, and that it ends with what it rests on."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import flask_foreign_token
from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.provider import Provider
from flask_foreign_token.users.snapshot import UserSnapshot

from .apps import Resource, deactivate, registry_of, rows, write_registry
from .conftest import MakeApp
from .loading import Clock

FOLDER = flask_foreign_token.__path__[0]
MOST_CALLS = 15
"""Calls of our functions in one such request. Each takes 0.2 µs or so, of some 8 for all of them."""
MOST_CALLS_TO_DECIDE = 7
"""Those for a policy that looks at the request as well, in addition."""

Ask = Callable[..., TestResponse]


def policy(name: str, **pattern: Any) -> Resource:
    return {"resourceType": "AccessPolicy", "id": name, "engine": "matcho", "matcho": pattern}


def trust(issuer: Issuer) -> list[Resource]:
    provider, introspector = issuer.resources()
    return [{**provider, "userinfo-source": "id-token"}, introspector]


def rooms(app: Flask) -> Flask:
    @app.route("/rooms/<name>", methods=["GET", "POST"])
    @require_policy
    def room(name: str) -> dict[str, str]:
        return {"name": name}

    return app


def asking(app: Flask, issuer: Issuer, subject: str = "ann", **claims: Any) -> Ask:
    """Asks with one and the same token, which is known after the first time."""
    headers = {"Authorization": f"Bearer {issuer.token(sub=subject, **claims)}"}
    client = app.test_client()

    def ask(path: str = "/rooms/7", method: str = "GET", **options: Any) -> TestResponse:
        return client.open(path, method=method, **{"headers": {**headers, **options.pop("more", {})}, **options})

    ask()
    return ask


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """How often each of our functions is called, by its module and its name."""
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(FOLDER):
            found[f"{frame.f_code.co_filename[len(FOLDER) + 1 :]} {frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        ({"jwt": {"sub": "ann"}}, MOST_CALLS),
        ({"jwt": {"sub": "ann"}, "uri": "/rooms/7", "request-method": "get"}, MOST_CALLS + MOST_CALLS_TO_DECIDE),
    ],
    ids=["a policy on the token", "a policy on the address too"],
)
def test_a_known_token_takes_few_calls_and_one_hash(make_app: MakeApp, issuer: Issuer, pattern: Any, most: int) -> None:
    ask = asking(rooms(make_app([*trust(issuer), policy("p", **pattern)], FOREIGN_TOKEN_REGISTRY_POLL=3600)), issuer)
    assert ask().status_code == 200

    calls = calls_of(ask)

    assert calls["credentials.py digest"] == 1
    assert calls.total() <= most, calls
    modules = {name.partition(" ")[0] for name in calls}
    assert modules.isdisjoint({"introspection/parse.py", "introspection/jwt.py", "users/store.py", "transactions.py"})
    assert modules.isdisjoint({"http.py", "shared_cache.py", "policies/index.py", "strict_json.py"})


# ---- what is brought beside it


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/rooms/7?access_token=a.b.c"},
        {"path": "/rooms/7?access%5Ftoken=a.b.c"},
        {"path": "/rooms/7?x=1&acc%65ss_token=a.b.c"},
        {"method": "POST", "data": {"access_token": "a.b.c"}},
        {
            "method": "POST",
            "data": "access_token=a.b.c",
            "content_type": "Application/X-WWW-Form-Urlencoded; charset=utf-8",
        },
    ],
    ids=["query", "encoded", "encoded in part", "form", "form in capitals"],
)
def test_a_second_token_is_refused_beside_a_known_one(make_app: MakeApp, issuer: Issuer, options: Any) -> None:
    ask = asking(rooms(make_app([*trust(issuer), policy("p", jwt={"sub": "ann"})])), issuer)

    assert ask(**options).status_code == 400
    assert ask("/rooms/7?x=access").status_code == 200


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer  "])
def test_a_known_token_is_taken_however_its_scheme_is_written(make_app: MakeApp, issuer: Issuer, scheme: str) -> None:
    app = rooms(make_app([*trust(issuer), policy("p", jwt={"sub": "ann"})]))
    token = issuer.token(sub="ann")

    statuses = [
        app.test_client().get("/rooms/7", headers={"Authorization": f"{before}{token}{after}"}).status_code
        for before, after in [("Bearer ", ""), (scheme, ""), ("Bearer", ""), ("Bearer ", " x"), ("Bearer ", ",")]
    ]

    assert statuses == [200, 200, 401, 400, 400]


# ---- what was decided before


def test_what_was_allowed_at_one_address_is_allowed_at_no_other(make_app: MakeApp, issuer: Issuer) -> None:
    rule = policy("p", jwt={"sub": "ann"}, uri="/rooms/7", **{"request-method": "get"})
    ask = asking(rooms(make_app([*trust(issuer), rule])), issuer)

    assert [ask().status_code, ask().status_code, ask(method="HEAD").status_code] == [200, 200, 200]
    assert [ask("/rooms/8").status_code, ask(method="POST").status_code] == [403, 403]
    assert ask().status_code == 200


def test_each_address_is_decided_by_itself(make_app: MakeApp, issuer: Issuer) -> None:
    ask = asking(rooms(make_app([*trust(issuer), policy("p", jwt={"sub": "ann"}, uri="#/rooms/[0-9]+")])), issuer)

    for _ in range(2):
        assert [ask(f"/rooms/{number}").status_code for number in range(10)] == [200] * 10
        assert ask("/rooms/cellar").status_code == 403


def test_what_rests_on_anything_else_is_decided_anew(make_app: MakeApp, issuer: Issuer) -> None:
    rules = [
        policy("header", jwt={"sub": "ann"}, uri="/rooms/7", headers={"x-pass": "yes"}),
        policy("query", jwt={"sub": "ann"}, **{"query-string": "pass=yes"}),
    ]
    ask = asking(rooms(make_app([*trust(issuer), *rules])), issuer)

    assert [ask(more={"X-Pass": "yes"}).status_code, ask().status_code] == [200, 403]
    assert [ask("/rooms/7?pass=yes").status_code, ask().status_code] == [200, 403]


def test_a_link_to_somebody_else_allows_nothing_that_was_allowed(make_app: MakeApp, issuer: Issuer) -> None:
    rule = {**policy("p", jwt={"sub": "ann"}, uri="/rooms/7"), "link": [{"reference": "Operation/room"}]}
    app = rooms(make_app([*trust(issuer), rule], FOREIGN_TOKEN_REGISTRY_POLL=0))
    ask = asking(app, issuer)
    assert [ask().status_code, ask().status_code] == [200, 200]

    write_registry(registry_of(app), [*trust(issuer), {**rule, "link": [{"reference": "Operation/other"}]}])

    assert ask().status_code == 403


@pytest.mark.parametrize("part", ["token", "address"])
def test_what_was_decided_ends_with_the_policy(make_app: MakeApp, issuer: Issuer, part: str) -> None:
    rule = policy("p", jwt={"sub": "ann"}, **({} if part == "token" else {"uri": "/rooms/7"}))
    app = rooms(make_app([*trust(issuer), rule], FOREIGN_TOKEN_REGISTRY_POLL=0))
    ask = asking(app, issuer)
    assert [ask().status_code, ask().status_code] == [200, 200]

    write_registry(registry_of(app), [*trust(issuer), {**rule, "active": False}])
    assert ask().status_code == 403
    write_registry(registry_of(app), [*trust(issuer), rule])
    assert ask().status_code == 200


def test_a_known_token_ends_with_its_introspector(make_app: MakeApp, issuer: Issuer) -> None:
    provider, introspector = trust(issuer)
    rule = policy("p", jwt={"sub": "ann"})
    app = rooms(make_app([provider, introspector, rule], FOREIGN_TOKEN_REGISTRY_POLL=0))
    ask = asking(app, issuer)
    assert ask().status_code == 200

    write_registry(registry_of(app), [provider, {**introspector, "active": False}, rule])

    assert ask().status_code == 401


def test_a_known_token_is_each_apps_own(make_app: MakeApp, issuer: Issuer) -> None:
    allowing, denying = (
        rooms(make_app([*trust(issuer), policy("p", jwt={"sub": subject})])) for subject in ("ann", "bob")
    )
    token = {"Authorization": f"Bearer {issuer.token(sub='ann')}"}

    for _ in range(3):
        assert allowing.test_client().get("/rooms/7", headers=token).status_code == 200
        assert denying.test_client().get("/rooms/7", headers=token).status_code == 403


# ---- the user of a known token


ANYBODY = policy("anybody", jwt={"sub": "present?"})


def statuses(ask: Ask, times: int = 2) -> list[int]:
    return [ask().status_code for _ in range(times)]


def test_who_is_deactivated_behind_our_back_is_let_in_as_long_as_they_are_remembered(
    timed_app: MakeApp, now: Clock, issuer: Issuer
) -> None:
    app = rooms(timed_app([*trust(issuer), ANYBODY], FOREIGN_TOKEN_USER_TTL=30))
    ask = asking(app, issuer)
    assert statuses(ask) == [200, 200]

    deactivate(app, *rows(app, "SELECT id FROM foreign_token_user")[0])
    now.now += 29
    assert statuses(ask) == [200, 200]
    now.now += 1
    assert statuses(ask) == [401, 401]


def test_who_is_forgotten_is_looked_up_though_somebody_still_has_what_was_known(
    make_app: MakeApp, issuer: Issuer
) -> None:
    app = rooms(make_app([*trust(issuer), ANYBODY]))
    ask = asking(app, issuer)
    assert statuses(ask) == [200, 200]
    runtime = app.extensions["foreign_token"].runtime()
    [(standing, _)] = runtime._tokens._young.values()
    known = standing.known()

    deactivate(app, known.user.key)
    runtime.users.forget(known.user.key)

    assert statuses(ask) == [401, 401]


def test_who_was_pushed_out_by_others_is_forgotten_while_one_of_their_requests_runs(
    make_app: MakeApp, issuer: Issuer
) -> None:
    extension = ForeignToken()
    app = rooms(make_app([*trust(issuer), ANYBODY], extension, FOREIGN_TOKEN_TOKEN_CACHE_SIZE=100))
    begun, go_on = threading.Event(), threading.Event()

    @app.get("/waiting")
    @require_policy
    def waiting() -> dict[str, str]:
        begun.set()
        go_on.wait(30)
        return {}

    ask = asking(app, issuer)
    [key] = rows(app, "SELECT id FROM foreign_token_user")[0]
    with ThreadPoolExecutor(1) as other:
        waits = other.submit(ask, "/waiting")
        begun.wait(30)
        for number in range(120):
            asking(app, issuer, f"user{number}")
            ask()
        with app.app_context():
            extension.deactivate(key)
        refused = statuses(ask)
        go_on.set()
        assert waits.result().status_code == 200

    assert refused == [401, 401]


def test_who_is_deactivated_while_they_are_looked_up_is_not_remembered_as_let_in(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = rooms(make_app([*trust(issuer), ANYBODY]))
    asking(app, issuer)
    users = app.extensions["foreign_token"].runtime().users
    meet = users.meet

    def slow_meet(token: Token, provider: Provider, credential: Credential) -> UserSnapshot | None:
        user = meet(token, provider, credential)
        assert user is not None
        deactivate(app, str(user.key))
        users.forget(user.key)
        with pytest.raises(InvalidToken, match="inactive"):
            users.find_or_create(token, provider, credential)
        return user

    monkeypatch.setattr(users, "meet", slow_meet)
    another = asking(app, issuer, jti="another")

    assert statuses(another) == [401, 401]
